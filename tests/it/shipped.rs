//! Files that are shipped are right: settings are accepted by the binary, pages and completions are its own.

use std::fs;
use std::path::Path;

use rmq_node::cli::generate;

use crate::support::rmq_node;

#[test]
fn every_file_in_conf_is_accepted() {
    let mut checked = 0;
    for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("conf")).unwrap() {
        let path = entry.unwrap().path();
        let arguments = ["config", "check", "--config", path.to_str().unwrap()];
        let output = rmq_node(&arguments).output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{text}");
        checked += 1;
    }
    assert!(checked >= 2, "only {checked} files in conf");
}

#[test]
fn the_defaults_that_are_shown_are_the_shipped_file() {
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("conf/rmq-node.toml");
    let output = rmq_node(&["config", "show", "--defaults"]).output().unwrap();
    assert_eq!(output.stdout, fs::read(shipped).unwrap());
}

#[test]
fn man_pages_and_completions_are_those_of_the_definitions() {
    let packaging = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging");
    let made = generate::files().unwrap();
    for (path, content) in &made {
        let committed = fs::read(packaging.join(path)).unwrap_or_default();
        let same = &committed == content;
        assert!(same, "packaging/{} is old: `cargo run -- generate packaging`", path.display());
    }
    for folder in ["man", "completions/bash", "completions/fish", "completions/zsh"] {
        for entry in fs::read_dir(packaging.join(folder)).unwrap() {
            let path = Path::new(folder).join(entry.unwrap().file_name());
            let is_made = made.iter().any(|(one, _)| *one == path);
            assert!(is_made, "packaging/{} belongs to no command: remove it", path.display());
        }
    }
}

#[test]
fn the_version_names_commit_and_target() {
    let output = rmq_node(&["--version"]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let rest = text.strip_prefix(concat!("rmq-node ", env!("CARGO_PKG_VERSION"), " (commit "));
    let (commit, target) = rest.and_then(|rest| rest.split_once(", ")).expect(&text);
    assert!(!commit.is_empty(), "{text}");
    assert!(target.contains("linux"), "{text}");
}

#[test]
fn what_the_build_script_exports_is_no_setting() {
    // `cargo run` passes it on to the node, which refuses settings that it does not know.
    let script = include_str!("../../proto/build.rs");
    assert!(script.contains("rustc-env=BUILD_COMMIT="));
    assert!(!script.contains("rustc-env=RMQ_NODE_"));
}
