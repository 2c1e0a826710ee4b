//! What shells are told when somebody presses the tab key, with a node running.

use std::fs;
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

/// The answers that bash has from the packaged file for a line with the cursor at its end, a space between them.
fn bash(line: &str) -> String {
    let binary = Path::new(env!("CARGO_BIN_EXE_rmq-node"));
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/completions/bash/rmq-node");
    // Not the shell that presses the key: it has nothing to tell of spaces behind answers.
    let script = format!(
        "source {}; COMP_POINT=${{#COMP_LINE}}; COMP_WORDBREAKS=$' \\t\\n\"\\'><=;|&(:'; compopt() {{ :; }}\n\
         _rmq_node_answers; echo \"${{COMPREPLY[*]}}\"",
        file.display()
    );
    let path = format!("{}:{}", binary.parent().unwrap().display(), std::env::var("PATH").unwrap());
    let mut bash = Command::new("bash");
    let output =
        bash.args(["-c", &script]).env("PATH", path).env("COMP_LINE", line).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}

/// What is answered if it is right, or at last: the cluster may take longer than who presses a key waits.
fn patiently<T: PartialEq<E>, E>(ask: impl Fn() -> T, expected: &E) -> T {
    (0..20).map(|_| ask()).find(|answer| answer == expected).unwrap_or_else(ask)
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
    let answers = |words: &[&str], expected: &[&str]| {
        assert_eq!(patiently(|| ask(words), &expected), expected, "{words:?}");
    };
    answers(&["topics", "show", ""], &["Orders", "Other", "Paid"]);
    answers(&["topics", "delete", "O"], &["Orders", "Other"]);
    answers(&["groups", "show", ""], &["readers"]);
    answers(&["offsets", "reset", "readers", "--topic", "P"], &["Paid"]);
    answers(&["topics", "create", "X", "--broker", ""], &["broker-a"]);
    answers(&["topics", "create", "X", "--cluster", ""], &["DefaultCluster"]);
    // What is to be created has no name yet.
    assert!(!ask(&["topics", "create", ""]).contains(&"Orders".to_owned()));
    assert_eq!(bash("rmq-node admin topics rep"), "repair");
    let completes = |words: &str, expected: &str| {
        let asked = || bash(&format!("rmq-node admin -n {words}"));
        assert_eq!(patiently(asked, &expected), expected, "{words}");
    };
    for line in
        ["N topics show Pa", "'N' topics show Pa", "\"N\" 'topics' show Pa", "N topics show 'Pa"]
    {
        completes(&line.replace('N', &name_server), "Paid");
    }
    completes(&format!("{name_server} topics show \"O"), "Orders Other");
    // Bash puts the answer behind the sign that it cuts words at.
    for topic in ["--topic=Pa", "--topic='Pa"] {
        completes(&format!("{name_server} offsets reset readers {topic}"), "Paid");
    }
}

#[test]
fn files_with_blanks_quotes_and_colons_are_completed_in_bash() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["two words.yaml", "a:b.yaml", "it's.yaml"] {
        fs::write(dir.path().join(name), "").unwrap();
    }
    let file = |typed: &str| bash(&format!("rmq-node admin diff {typed}"));
    let folder = dir.path().display();
    assert_eq!(file(&format!("{folder}/tw")), format!("{folder}/two\\ words.yaml"));
    assert_eq!(file(&format!("{folder}/two\\ w")), format!("{folder}/two\\ words.yaml"));
    assert_eq!(file(&format!("\"{folder}/two w")), format!("{folder}/two words.yaml"));
    assert_eq!(file(&format!("{folder}/a:b")), "b.yaml");
    assert_eq!(file(&format!("'{folder}/a:b")), format!("{folder}/a:b.yaml"));
    assert_eq!(file(&format!("{folder}/it")), format!("{folder}/it\\'s.yaml"));
    assert_eq!(file(&format!("'{folder}/it")), format!("{folder}/it'\\''s.yaml"));
}

#[test]
fn nobody_is_told_that_nobody_answers() {
    let words = ["rmq-node", "admin", "-n", "127.0.0.1:1", "topics", "show", "O"];
    assert_eq!(fish(&words), [""; 0]);
    assert!(fish(&["rmq-node", "admin", "topics", ""]).contains(&"repair".to_owned()));
}
