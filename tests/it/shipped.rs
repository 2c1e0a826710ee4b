//! Files that are shipped are right: settings are accepted by the binary, pages and completions are its own.

use std::fs;
use std::path::{Path, PathBuf};

use rmq_node::cli::generate;
use rmq_node::config::init::Mode;
use rmq_node::config::{Role, Sources, load};

use crate::support::rmq_node;

/// The tutorial's hosts.
const HOSTS: &str = "192.168.1.161,192.168.1.162";

/// A file of `conf`.
fn conf(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("conf").join(path)
}

#[test]
fn the_documented_settings_are_accepted() {
    let file = conf("rmq-node.toml");
    let output =
        rmq_node(&["config", "check", "--config", file.to_str().unwrap()]).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn the_files_of_every_mode_are_those_that_init_makes_and_right() {
    let modes = Mode::ALL.map(|(name, _)| name);
    for mode in modes {
        let hosts = if mode == "single" { "192.168.1.161" } else { HOSTS };
        for host in hosts.split(',') {
            let arguments = ["config", "init", "--hosts", hosts, "--mode", mode, "--this", host];
            let output = rmq_node(&arguments).output().unwrap();
            let file = conf(&format!("{mode}/{host}.toml"));
            let shipped = fs::read_to_string(&file).unwrap_or_default();
            let made = String::from_utf8(output.stdout).unwrap();
            assert_eq!(
                made,
                shipped,
                "conf/{mode}/{host}.toml: `rmq-node {}`",
                arguments.join(" ")
            );
            let sources = Sources { config_file: Some(file), ..Sources::default() };
            load(&sources).unwrap();
        }
    }
    for entry in fs::read_dir(conf("")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let is_known =
            ["rmq-node.toml", "README.md"].into_iter().chain(modes).any(|one| one == name);
        assert!(is_known, "conf/{name} belongs to no mode");
    }
}

#[test]
fn a_pair_is_the_tutorials_in_roles_and_ports() {
    let file = conf("2m-2s-async/192.168.1.162.toml");
    let sources = Sources { config_file: Some(file), ..Sources::default() };
    let config = load(&sources).unwrap().config;
    let brokers = config.brokers.iter().map(|one| (one.group.as_str(), one.role, one.id, one.port));
    let expected = [("broker-b", Role::Master, 0, 10911), ("broker-a", Role::Slave, 1, 10921)];
    assert_eq!(brokers.collect::<Vec<_>>(), expected);
    assert_eq!(config.name_servers, ["192.168.1.161:9876", "192.168.1.162:9876"]);
    assert_eq!(config.advertise.to_string(), "192.168.1.162");
}

#[test]
fn the_defaults_that_are_shown_are_the_shipped_file() {
    let shipped = conf("rmq-node.toml");
    let output = rmq_node(&["config", "show", "--defaults"]).output().unwrap();
    assert_eq!(output.stdout, fs::read(shipped).unwrap());
}

#[test]
fn man_pages_completions_and_helps_are_those_of_the_definitions() {
    let packaging = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging");
    let made = generate::files().unwrap();
    for (path, content) in &made {
        let committed = fs::read(packaging.join(path)).unwrap_or_default();
        assert!(
            &committed == content,
            "packaging/{} is old: `cargo run -- generate packaging`\n{}",
            path.display(),
            difference(&committed, content)
        );
    }
    for folder in ["man", "completions/bash", "completions/fish", "completions/zsh"] {
        for entry in fs::read_dir(packaging.join(folder)).unwrap() {
            let path = Path::new(folder).join(entry.unwrap().file_name());
            let is_made = made.iter().any(|(one, _)| *one == path);
            assert!(is_made, "packaging/{} belongs to no command: remove it", path.display());
        }
    }
}

/// The lines that only one of two texts has, each once it is reached.
fn difference(old: &[u8], new: &[u8]) -> String {
    let [old, new] = [old, new].map(String::from_utf8_lossy);
    let only = |one: &str, other: &str, sign: char| {
        let there: std::collections::BTreeSet<_> = other.lines().collect();
        let lines = one.lines().filter(move |line| !there.contains(line));
        lines.map(|line| format!("{sign} {line}\n")).collect::<String>()
    };
    only(&old, &new, '-') + &only(&new, &old, '+')
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
