//! `rmq-node admin export`, `diff` and `apply` against running nodes: exit codes, and that a second apply does nothing.

use std::fs;

use crate::admin::{admin, admin_beside};
use crate::support::{Node, free_address, rmq_node};

#[test]
fn what_one_node_has_another_one_gets_and_the_second_time_nothing_differs() {
    let (from, to) = (free_address(), free_address());
    let (from_dir, to_dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (_one, _other) = (Node::start(from, from_dir.path()), Node::start(to, to_dir.path()));
    assert_eq!(admin(from, &["topics", "create", "Orders", "--queues", "3"]).0, Some(0));
    assert_eq!(admin(from, &["topics", "create", "Read", "--permission", "r"]).0, Some(0));
    let broker = format!("{from}:10911");
    let old = ["admin", "updateSubGroup", "-b", &broker, "-g", "readers", "-r", "3", "-a", "true"];
    assert!(rmq_node(&old).output().unwrap().status.success());
    assert_eq!(admin(to, &["topics", "create", "Old"]).0, Some(0));

    let file = from_dir.path().join("metadata.yml");
    let path = file.to_str().unwrap();
    let (code, printed, error) = admin(from, &["export", path]);
    assert_eq!((code, printed.as_str()), (Some(0), ""), "{error}");
    assert!(error.ends_with("2 topics, 1 groups, 0 values of name servers\n"), "{error}");
    let text = fs::read_to_string(&file).unwrap();
    assert_eq!(admin(from, &["export"]).1, text);
    assert!(text.contains("  Orders: {read_queues: 3, write_queues: 3, permission: rw}\n"));
    assert_eq!(admin(from, &["diff", path]).0, Some(0));

    let (code, printed, error) = admin(to, &["diff", path]);
    assert_eq!(code, Some(7), "{error}");
    let first = printed.lines().next().unwrap();
    let expected = format!(
        "+ topic Orders at broker-a ({to}:10911): read_queues 3, write_queues 3, permission rw"
    );
    assert_eq!((first, printed.lines().count()), (expected.as_str(), 3));
    assert!(error.contains("left alone: 1"), "{error}");
    assert_eq!(admin(to, &["apply", path, "--dry-run"]), (Some(0), printed.clone(), error));
    assert_eq!(admin(to, &["diff", path]).0, Some(7), "a dry run changes nothing");
    // Over the socket, whose audit log has each step.
    let (code, done, error) = admin_beside(to_dir.path(), &["apply", path]);
    assert_eq!((code, done), (Some(0), printed), "{error}");
    let (code, printed, error) = admin(to, &["apply", path]);
    assert_eq!((code, printed.as_str()), (Some(0), ""), "{error}");
    assert!(error.starts_with("Nothing differs.\n"), "{error}");
    let audit = admin_beside(to_dir.path(), &["audit", "-o", "json"]).1;
    let records: serde_json::Value = serde_json::from_str(&audit).unwrap();
    assert_eq!(records[0]["method"], "Metadata/Apply");
    let lines = records[0]["result"].as_str().unwrap();
    assert!(lines.contains("create group readers at broker-a: done"), "{lines}");

    // What the file does not name goes only if somebody says so.
    let (code, printed, error) = admin(to, &["apply", path, "--prune"]);
    assert_eq!((code, printed.as_str()), (Some(1), ""), "{error}");
    assert!(error.contains("--yes"), "{error}");
    let (code, printed, error) = admin(to, &["apply", path, "--prune", "--yes"]);
    assert_eq!(code, Some(0), "{error}");
    let expected =
        format!("- topic Old at broker-a ({to}:10911)\n- topic Old at name server ({to}:9876)\n");
    assert_eq!(printed, expected);
    assert_eq!(admin(to, &["diff", path, "--prune"]).0, Some(0));
    assert_eq!(admin(to, &["export"]).1, text);
}

#[test]
fn a_wrong_file_is_told_with_its_line_and_a_step_that_fails_is_not_the_end() {
    let (address, dir) = (free_address(), tempfile::tempdir().unwrap());
    let node = Node::start(address, dir.path());
    let file = dir.path().join("metadata.yml");
    let path = file.to_str().unwrap();
    let write = |text: &str| fs::write(&file, text).unwrap();
    write("version: 1\ntopics:\n  Orders: {read_queue: 3}\n");
    let (code, _, error) = admin(address, &["apply", path]);
    let expected =
        format!("error: {path}:3: unknown key `read_queue`; did you mean `read_queues`?\n");
    assert_eq!((code, error), (Some(2), expected));
    assert_eq!(admin(address, &["diff", "/nonexistent/metadata.yml"]).0, Some(2));
    // Offsets in a topic that is not there.
    write("version: 1\noffsets: {readers: {Nope: {broker-a: {0: 1}}}}\ntopics: {Orders: {}}\n");
    let (code, printed, error) = admin(address, &["apply", path, "--yes"]);
    assert_eq!(code, Some(6), "{error}");
    assert!(printed.starts_with("+ topic Orders at broker-a"), "{printed}");
    assert!(error.contains("error: not done: + offsets of readers in Nope at broker-a"), "{error}");
    // A file is not replaced by less than there is.
    write("kept\n");
    node.signal(nix::sys::signal::Signal::SIGKILL);
    node.wait();
    assert_eq!(admin(address, &["export", path]).0, Some(3));
    assert_eq!(fs::read_to_string(&file).unwrap(), "kept\n");
}
