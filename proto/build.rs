//! Tells the crate which commit and target it is built from; the protocol files will be compiled here.

use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo:rerun-if-changed=proto/build.rs");
    let git = |arguments: &[&str]| {
        let output = Command::new("git").args(arguments).output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        output.status.success().then(|| text.trim().to_owned())
    };
    // The log of HEAD changes with every commit and checkout.
    let log = git(&["rev-parse", "--git-path", "logs/HEAD"]);
    if let Some(log) = log.filter(|path| Path::new(path).exists()) {
        println!("cargo:rerun-if-changed={log}");
    }
    // A source archive has no repository of its own, and must not name one around it.
    let commit = git(&["rev-parse", "--short=12", "HEAD"]).filter(|_| Path::new(".git").exists());
    println!("cargo:rustc-env=BUILD_COMMIT={}", commit.as_deref().unwrap_or("unknown"));
    println!("cargo:rustc-env=BUILD_TARGET={}", std::env::var("TARGET").unwrap_or_default());
}
