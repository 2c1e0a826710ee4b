//! `rmq-node admin` against a running node: what is printed, and the exit codes that scripts rely on.

use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use nix::sys::signal::Signal;

use crate::support::{Node, free_address, rmq_node};

/// Runs `rmq-node admin` for the node on `address`: exit code, standard output, standard error.
pub fn admin(address: Ipv4Addr, arguments: &[&str]) -> (Option<i32>, String, String) {
    let name_server = format!("{address}:9876");
    let mut command = rmq_node(&["admin"]);
    let output = command.args(arguments).args(["-n", &name_server]).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn a_topic_is_created_listed_shown_and_deleted() {
    let (address, dir) = (free_address(), tempfile::tempdir().unwrap());
    let _node = Node::start(address, dir.path());
    let (code, _, error) = admin(address, &["topics", "show", "Hello"]);
    assert_eq!(code, Some(4), "{error}");
    let (code, printed, error) = admin(address, &["topics", "create", "Hello", "--queues", "3"]);
    assert_eq!(code, Some(0), "{error}");
    assert_eq!(printed, format!("topic Hello created: broker-a ({address}:10911)\n"));
    let (code, printed, error) = admin(address, &["topics"]);
    assert_eq!(code, Some(0), "{error}");
    let expected = "TOPIC  BROKER    READ QUEUES  WRITE QUEUES  PERMISSION\n\
                    Hello  broker-a            3             3  rw\n";
    assert_eq!(printed, expected);
    assert!(error.contains("list --all"), "{error}");
    let (code, _, error) = admin(address, &["topics", "create", "Hello"]);
    assert_eq!(code, Some(1), "{error}");
    assert!(error.contains("with 3 read queues"), "{error}");

    let name_server = format!("{address}:9876");
    let bench = ["bench", "produce", "-t", "Hello", "-m", "90", "-n", &name_server];
    assert_eq!(rmq_node(&bench).output().unwrap().status.code(), Some(0));
    let (code, printed, error) = admin(address, &["topics", "show", "Hello", "-o", "json"]);
    assert_eq!(code, Some(0), "{error}");
    let shown: serde_json::Value = serde_json::from_str(&printed).unwrap();
    assert_eq!(shown["messages"], 90);
    assert_eq!(shown["queues"].as_array().unwrap().len(), 3);

    let (code, _, error) = admin(address, &["topics", "delete", "TBW102"]);
    assert_eq!(code, Some(1), "{error}");
    assert!(error.contains("system topic"), "{error}");
    let (code, printed, error) = admin(address, &["topics", "delete", "Hello", "--dry-run"]);
    assert_eq!(code, Some(0), "{error}");
    assert!(printed.starts_with("topic Hello would be deleted: broker-a"), "{printed}");
    let (code, printed, error) = admin(address, &["topics", "delete", "Hello"]);
    assert_eq!(code, Some(0), "{error}");
    assert_eq!(printed.lines().count(), 2, "{printed}");
    assert_eq!(admin(address, &["topics", "delete", "Hello"]).0, Some(4));
}

#[test]
fn without_an_address_the_settings_of_this_host_count() {
    let (address, dir) = (free_address(), tempfile::tempdir().unwrap());
    let _node = Node::start(address, dir.path());
    let mut command = rmq_node(&["admin", "topics", "list", "--all"]);
    let output = command.env("RMQ_NODE_LISTEN", address.to_string()).output().unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(printed.contains("TBW102"), "{printed}");
}

/// Runs `rmq-node admin` without an address beside the node with this folder.
fn admin_beside(data_dir: &Path, arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut command = rmq_node(&["admin"]);
    // Not the machine's own node.
    command.env("RUNTIME_DIRECTORY", "/nonexistent").env("RMQ_NODE_DATA_DIR", data_dir);
    let output = command.args(arguments).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn without_an_address_the_node_of_this_host_is_asked_over_its_socket() {
    let (address, dir) = (free_address(), tempfile::tempdir().unwrap());
    let socket = dir.path().join("admin.sock");
    let node = Node::start(address, dir.path());
    assert_eq!(fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o660);
    let (code, printed, error) = admin_beside(dir.path(), &["topics", "create", "Hello"]);
    assert_eq!(code, Some(0), "{error}");
    assert_eq!(printed, format!("topic Hello created: broker-a ({address}:10911)\n"));
    let (code, _, error) =
        admin_beside(dir.path(), &["topics", "create", "Hello", "--queues", "2"]);
    assert_eq!(code, Some(1), "{error}");
    assert!(error.contains("with 8 read queues"), "{error}");
    // Both ways tell the same.
    let named = ["cluster", "--socket", socket.to_str().unwrap()];
    assert_eq!(admin_beside(dir.path(), &named).0, Some(0));
    for noun in
        [&["topics", "-o", "json"][..], &["topics", "show", "Hello"], &["topics", "show", "x"]]
    {
        assert_eq!(admin_beside(dir.path(), noun), admin(address, noun));
    }
    // A socket that a killed node has left is in nobody's way.
    node.signal(Signal::SIGKILL);
    node.wait();
    assert!(socket.exists());
    let (code, _, error) = admin_beside(dir.path(), &named);
    assert_eq!(code, Some(3), "{error}");
    assert!(error.contains("admin.sock: Connection refused"), "{error}");
    let node = Node::start(address, dir.path());
    assert_eq!(admin_beside(dir.path(), &["topics", "show", "Hello"]).0, Some(0));
    node.signal(Signal::SIGTERM);
    assert!(node.wait().0.success());
    assert!(!socket.exists());
}

#[test]
fn a_cluster_is_shown_and_a_brokers_port_is_no_name_server() {
    let (address, dir) = (free_address(), tempfile::tempdir().unwrap());
    let _node = Node::start(address, dir.path());
    let (code, printed, error) = admin(address, &["cluster"]);
    assert_eq!((code, error.as_str()), (Some(0), ""));
    let place = format!("broker-a   0  master  {address}:10911");
    assert!(printed.contains(&place), "{printed}");
    assert!(printed.contains("serving"), "{printed}");
    let (code, printed, error) = admin(address, &["replication"]);
    assert_eq!(
        (code, printed.as_str(), error.as_str()),
        (Some(0), "", "No slave is registered.\n")
    );
    let broker = format!("{address}:10911");
    let output = rmq_node(&["admin", "cluster", "-n", &broker]).output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert!(error.starts_with(&format!("error: {broker} is no name server")), "{error}");
}

#[test]
fn a_slave_begins_anew_only_where_it_is_and_when_that_is_confirmed() {
    let (address, dir) = (free_address(), tempfile::tempdir().unwrap());
    let file = dir.path().join("a.toml");
    let text = format!(
        "listen = \"{address}\"\nadvertise = \"{address}\"\nname_servers = [\"{address}:9876\"]\n\
         [[broker]]\ngroup = \"b\"\nrole = \"slave\"\nport = 10921\n"
    );
    fs::write(&file, text).unwrap();
    let resync = |arguments: &[&str]| {
        let mut command = rmq_node(&["admin", "replication", "resync", "--config"]);
        let output = command.arg(&file).args(arguments).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, error) = resync(&["a", "--yes"]);
    assert_eq!(code, Some(4), "{error}");
    // Nobody is there to say yes.
    let (code, error) = resync(&["b"]);
    assert_eq!(code, Some(1), "{error}");
    assert!(error.contains("error: not done: it was not confirmed"), "{error}");
    let (code, error) = resync(&["b", "--yes"]);
    assert_eq!(code, Some(3), "{error}");
}

#[test]
fn only_what_waits_for_its_time_can_be_cancelled() {
    let (address, dir) = (free_address(), tempfile::tempdir().unwrap());
    let _node = Node::start(address, dir.path());
    let (code, printed, error) = admin(address, &["timers", "cancel", "unknown"]);
    assert_eq!((code, printed.as_str()), (Some(4), ""), "{error}");
    assert_eq!(error, "error: no message of the id \"unknown\" waits for its time\n");
}

#[test]
fn nobody_there_is_3_and_says_what_to_do() {
    let (code, _, error) = admin(free_address(), &["topics"]);
    assert_eq!(code, Some(3));
    assert!(error.contains("no name server answers: "), "{error}");
    assert!(error.contains("rmq-node run"), "{error}");
}

#[test]
fn wrong_usage_is_2() {
    let address = free_address();
    for arguments in [&["topics", "creat"][..], &["topics", "create", "bad!name"]] {
        assert_eq!(admin(address, arguments).0, Some(2), "{arguments:?}");
    }
    assert_eq!(
        rmq_node(&["admin", "topics", "-n", " , "]).output().unwrap().status.code(),
        Some(2)
    );
}
