//! What shells are told when somebody presses the tab key, with a node running.

use std::path::Path;
use std::process::Command;

use crate::admin::admin;
use crate::support::{Node, free_address, rmq_node};

/// The answers to fish, whose question has everything in its words; without flags.
fn fish(words: &[&str]) -> Vec<String> {
    let mut command = rmq_node(&["--"]);
    // Not the machine's own node.
    command.env("RUNTIME_DIRECTORY", "/nonexistent").env("RMQ_NODE_DATA_DIR", "/nonexistent");
    let output = command.args(words).env("RMQ_COMPLETE", "fish").output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let answers = text.lines().map(|line| line.split('\t').next().unwrap());
    // Flags can stand nearly everywhere.
    answers.filter(|answer| !answer.starts_with('-')).map(str::to_owned).collect()
}

/// The answers that bash has from the packaged file, of which it cuts the words at colons.
fn bash(words: &str, typed: &str) -> String {
    let binary = Path::new(env!("CARGO_BIN_EXE_rmq-node"));
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/completions/bash/rmq-node");
    let script = format!(
        "source {}; COMP_WORDS=({words} {typed:?}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); COMP_TYPE=9\n\
         _clap_complete_rmq_node rmq-node {typed:?} x; echo \"${{COMPREPLY[*]}}\"",
        file.display()
    );
    let path = format!("{}:{}", binary.parent().unwrap().display(), std::env::var("PATH").unwrap());
    let output = Command::new("bash").args(["-c", &script]).env("PATH", path).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}

#[test]
fn names_of_the_cluster_are_completed() {
    let (address, dir) = (free_address(), tempfile::tempdir().unwrap());
    let _node = Node::start(address, dir.path());
    for topic in ["Orders", "Other", "Paid"] {
        assert_eq!(admin(address, &["topics", "create", topic]).0, Some(0));
    }
    let name_server = format!("{address}:9876");
    let broker = format!("{address}:10911");
    let group = ["admin", "updateSubGroup", "-b", &broker, "-g", "readers"];
    assert!(rmq_node(&group).output().unwrap().status.success());
    let ask = |words: &[&str]| fish(&[&["rmq-node", "admin", "-n", &name_server], words].concat());
    assert_eq!(ask(&["topics", "show", ""]), ["Orders", "Other", "Paid"]);
    assert_eq!(ask(&["topics", "delete", "O"]), ["Orders", "Other"]);
    assert_eq!(ask(&["groups", "show", ""]), ["readers"]);
    assert_eq!(ask(&["offsets", "reset", "readers", "--topic", "P"]), ["Paid"]);
    assert_eq!(ask(&["topics", "create", "X", "--broker", ""]), ["broker-a"]);
    assert_eq!(ask(&["topics", "create", "X", "--cluster", ""]), ["DefaultCluster"]);
    // What is to be created has no name yet.
    assert!(!ask(&["topics", "create", ""]).contains(&"Orders".to_owned()));
    assert_eq!(bash(&format!("rmq-node admin -n {address} : 9876 topics show"), "Pa"), "Paid");
    assert_eq!(bash("rmq-node admin topics", "rep"), "repair");
}

#[test]
fn nobody_is_told_that_nobody_answers() {
    let words = ["rmq-node", "admin", "-n", "127.0.0.1:1", "topics", "show", "O"];
    assert_eq!(fish(&words), [""; 0]);
    assert!(fish(&["rmq-node", "admin", "topics", ""]).contains(&"repair".to_owned()));
}
