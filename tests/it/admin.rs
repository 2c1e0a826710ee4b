//! `rmq-node admin` against a running node: what is printed, and the exit codes that scripts rely on.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;

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

    let (code, _, error) = admin(address, &["topics", "delete", "TBW102", "--yes"]);
    assert_eq!(code, Some(1), "{error}");
    assert!(error.contains("system topic"), "{error}");
    let (code, printed, error) = admin(address, &["topics", "delete", "Hello", "--dry-run"]);
    assert_eq!(code, Some(0), "{error}");
    assert!(printed.starts_with("topic Hello would be deleted: broker-a"), "{printed}");
    // Nobody is there to say yes.
    let (code, _, error) = admin(address, &["topics", "delete", "Hello"]);
    assert_eq!((code, error.contains("--yes")), (Some(1), true), "{error}");
    let (code, printed, error) = admin(address, &["topics", "delete", "Hello", "--yes"]);
    assert_eq!(code, Some(0), "{error}");
    assert_eq!(printed.lines().count(), 2, "{printed}");
    assert_eq!(admin(address, &["topics", "delete", "Hello", "--yes"]).0, Some(4));
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
pub fn admin_beside(data_dir: &Path, arguments: &[&str]) -> (Option<i32>, String, String) {
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
    // What changes something is written down, with who asked.
    let (code, printed, error) = admin_beside(dir.path(), &["audit", "-o", "json"]);
    assert_eq!(code, Some(0), "{error}");
    let records: serde_json::Value = serde_json::from_str(&printed).unwrap();
    let line = |at: usize| (records[at]["method"].clone(), records[at]["code"].clone());
    assert_eq!(line(0), ("Topics/Create".into(), "OK".into()));
    assert_eq!(line(1), ("Topics/Create".into(), "FAILED_PRECONDITION".into()));
    assert_eq!(records.as_array().unwrap().len(), 2);
    let user = format!("uid {}", nix::unistd::getuid());
    assert!(records[0]["who"].as_str().unwrap().starts_with(&user), "{printed}");
    let (code, _, error) = admin(address, &["audit"]);
    assert_eq!(code, Some(1), "{error}");
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
fn a_group_is_listed_shown_and_goes_on_elsewhere() {
    let (address, dir) = (free_address(), tempfile::tempdir().unwrap());
    let _node = Node::start(address, dir.path());
    let name_server = format!("{address}:9876");
    let broker = format!("{address}:10911");
    let run = |arguments: &[&str]| {
        let mut command = rmq_node(arguments);
        let output = command.args(["-n", &name_server]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    assert_eq!(admin(address, &["groups", "show", "readers"]).0, Some(4));
    run(&["bench", "produce", "-t", "Hello", "-m", "24"]);
    run(&["admin", "updateSubGroup", "-b", &broker, "-g", "readers"]);
    let to_begin = ["offsets", "reset", "readers", "-t", "Hello", "--to", "earliest", "--yes"];
    let (code, _, error) = admin(address, &to_begin);
    assert_eq!(code, Some(0), "{error}");
    let (code, printed, error) = admin(address, &["groups"]);
    assert_eq!(code, Some(0), "{error}");
    let line = printed.lines().find(|line| line.starts_with("readers ")).unwrap();
    let cells: Vec<_> = line.split_whitespace().collect();
    assert_eq!(cells[..3], ["readers", "1", "24"], "{printed}");
    assert_eq!(admin(address, &["groups", "-o", "name"]).1, "readers\n");
    let (code, printed, error) = admin(address, &["groups", "show", "readers"]);
    assert_eq!(code, Some(0), "{error}");
    assert!(printed.contains("lag      24\n"), "{printed}");
    let reset = ["offsets", "reset", "readers", "--topic", "Hello", "--to"];
    let run = |more: &[&str]| admin(address, &[&reset[..], more].concat());
    let (code, printed, error) = run(&["latest", "--dry-run"]);
    assert_eq!(code, Some(0), "{error}");
    assert_eq!(printed.matches("dry-run").count(), 4, "{printed}");
    assert!(admin(address, &["groups", "show", "readers"]).1.contains("lag      24\n"));
    assert_eq!(run(&["latest"]).0, Some(1));
    let (code, printed, error) = run(&["latest", "--yes"]);
    assert_eq!(code, Some(0), "{error}");
    assert_eq!(printed.matches("done").count(), 4, "{printed}");
    assert!(admin(address, &["groups", "show", "readers"]).1.contains("lag      0\n"));
    assert_eq!(run(&["-2", "--yes"]).0, Some(0));
    assert!(admin(address, &["groups", "show", "readers"]).1.contains("lag      8\n"));
    assert_eq!(run(&["yesterday"]).0, Some(2));
}

#[test]
fn a_group_is_created_changed_and_deleted() {
    let (address, dir) = (free_address(), tempfile::tempdir().unwrap());
    let _node = Node::start(address, dir.path());
    let run = |arguments: &[&str]| admin(address, &[&["groups"][..], arguments].concat());
    let (code, printed, error) = run(&["create", "readers", "--retry-max-times", "3"]);
    assert_eq!(code, Some(0), "{error}");
    assert_eq!(printed, format!("group readers created: broker-a ({address}:10911)\n"));
    assert!(run(&["create", "readers", "--retry-max-times", "3"]).1.contains("unchanged"));
    let (code, _, error) = run(&["create", "readers"]);
    assert_eq!((code, error.contains("groups update")), (Some(1), true), "{error}");
    assert!(run(&["update", "readers", "--consume", "false", "--dry-run"]).1.contains("would be"));
    assert_eq!(run(&["update", "readers", "--consume", "false"]).0, Some(0));
    let (code, printed, error) = run(&["show", "readers"]);
    assert_eq!(code, Some(0), "{error}");
    assert!(
        printed.contains("settings broker-a: 3 retries over 1 queues, NOTHING IS"),
        "{printed}"
    );
    assert_eq!(run(&["update", "readers"]).0, Some(2));
    assert_eq!(run(&["update", "nobody", "--consume", "true"]).0, Some(4));
    assert_eq!(run(&["delete", "readers"]).0, Some(1));
    assert_eq!(run(&["delete", "readers", "--yes"]).0, Some(0));
    assert_eq!(run(&["delete", "readers", "--yes"]).0, Some(4));
    let (code, printed, error) = admin(address, &["clients"]);
    assert_eq!((code, printed.as_str()), (Some(0), ""), "{error}");
    assert_eq!(error, "No client is connected.\n");
}

#[test]
fn dead_letters_are_listed_and_given_to_their_group_again() {
    let (address, dir) = (free_address(), tempfile::tempdir().unwrap());
    let _node = Node::start(address, dir.path());
    let run = |arguments: &[&str]| admin(address, arguments);
    let dlq = |arguments: &[&str]| run(&[&["messages", "dlq", "readers"][..], arguments].concat());
    assert_eq!(dlq(&[]).0, Some(4));
    assert_eq!(run(&["groups", "create", "readers"]).0, Some(0));
    let (code, printed, error) = dlq(&[]);
    assert_eq!((code, printed.as_str()), (Some(0), ""), "{error}");
    assert_eq!(error, "Group readers has no dead letters.\n");
    for body in ["one", "two"] {
        assert_eq!(run(&["sendMessage", "-t", "%DLQ%readers", "-p", body]).0, Some(0));
    }
    assert_eq!(run(&["messages", "dlq", "-o", "name"]).1, "readers\n");
    assert_eq!(run(&["messages", "dlq", "--resend"]).0, Some(2), "of which group?");
    let (code, printed, error) = dlq(&["-o", "json"]);
    assert_eq!(code, Some(0), "{error}");
    let found: serde_json::Value = serde_json::from_str(&printed).unwrap();
    let bodies: Vec<_> = (0..2).map(|at| &found["letters"][at]["message"]["body_text"]).collect();
    assert_eq!(bodies, ["two", "one"]);
    // Its topic of retries is not there before its first consumer is.
    let (code, _, error) = dlq(&["--resend", "--yes"]);
    assert_eq!(code, Some(1), "{error}");
    assert!(error.contains("its first consumer that connects makes it"), "{error}");
    assert_eq!(run(&["topics", "create", "%RETRY%readers", "--queues", "1"]).0, Some(0));
    assert_eq!(dlq(&["--resend"]).0, Some(1));
    assert_eq!(dlq(&["--resend", "--dry-run"]).1.matches("dry-run").count(), 2);
    let (code, printed, error) = dlq(&["--resend", "--yes", "-o", "json"]);
    assert_eq!(code, Some(0), "{error}");
    assert_eq!(printed.matches("SEND_OK").count(), 2, "{printed}");
    let tail = ["messages", "tail", "%RETRY%readers", "--from", "0", "-c", "2", "-o", "json"];
    let (code, printed, error) = run(&tail);
    assert_eq!(code, Some(0), "{error}");
    // In the order in which they died.
    let one = printed.find("\"body_text\":\"one\"").unwrap();
    assert!(one < printed.find("\"body_text\":\"two\"").unwrap(), "{printed}");
    assert_eq!(dlq(&["--id", "unknown"]).0, Some(4));
    assert_eq!(dlq(&["--to-topic"]).0, Some(2), "it is for --resend");
}

#[test]
fn name_servers_are_listed_and_told() {
    let (address, dir) = (free_address(), tempfile::tempdir().unwrap());
    let _node = Node::start(address, dir.path());
    let run = |arguments: &[&str]| admin(address, &[&["nameservers"][..], arguments].concat());
    let (code, printed, error) = run(&["--routes"]);
    assert_eq!(code, Some(2), "a noun alone takes nothing: {printed}{error}");
    let (code, printed, error) = run(&["list", "--routes"]);
    assert_eq!(code, Some(0), "{error}");
    assert!(printed.contains(&format!("{address}:9876  rmq-node        1 ")), "{printed}");
    assert!(run(&["kv", "put", "Orders", "broker-a:4"]).1.contains("set: name server"));
    let (code, printed, _) = run(&["kv", "list"]);
    assert_eq!((code, printed.contains("Orders  broker-a:4")), (Some(0), true), "{printed}");
    assert_eq!(run(&["kv", "delete", "Orders"]).0, Some(1));
    assert_eq!(run(&["kv", "delete", "Orders", "--yes"]).0, Some(0));
    assert_eq!(run(&["kv", "delete", "Orders", "--yes"]).0, Some(4));
    assert!(run(&["config"]).1.contains("orderMessageEnable"));
    assert_eq!(run(&["config", "set", "orderMessageEnable", "true"]).0, Some(0));
    let (code, _, error) = run(&["config", "set", "listenPort", "1"]);
    assert_eq!((code, error.contains("only orderMessageEnable can")), (Some(1), true), "{error}");
    assert!(run(&["wipe-write", "broker-a"]).1.contains("wiped"));
    assert!(run(&["add-write", "broker-a"]).1.contains("added"));
    assert_eq!(run(&["wipe-write", "broker-x"]).0, Some(4));
}

#[test]
fn messages_are_found_shown_and_followed() {
    let (address, dir) = (free_address(), tempfile::tempdir().unwrap());
    let _node = Node::start(address, dir.path());
    let name_server = format!("{address}:9876");
    let produce = |more: &[&str]| {
        let arguments = ["bench", "produce", "-t", "Hello", "-n", &name_server];
        let output = rmq_node(&arguments).args(more).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    produce(&["-m", "5", "--tags", "blue"]);
    produce(&["-m", "3", "--tags", "red"]);
    let tail = ["messages", "tail", "Hello", "--from", "0", "-o", "json"];
    let run = |more: &[&str]| admin(address, &[&tail[..], more].concat());
    let (code, printed, error) = run(&["-c", "8"]);
    assert_eq!((code, printed.lines().count()), (Some(0), 8), "{error}");
    let (code, printed, error) = run(&["-c", "3", "--tag", "red"]);
    assert_eq!((code, printed.lines().count()), (Some(0), 3), "{error}");
    let message: serde_json::Value = serde_json::from_str(printed.lines().next().unwrap()).unwrap();
    assert_eq!(message["tags"], "red");
    let offset_id = message["offset_id"].as_str().unwrap();
    let (code, printed, error) = admin(address, &["messages", "show", offset_id]);
    assert_eq!(code, Some(0), "{error}");
    assert!(printed.contains("property   TAGS = red\n"), "{printed}");
    let id = message["id"].as_str().unwrap();
    if id != offset_id {
        assert_eq!(admin(address, &["messages", "show", id, "-t", "Hello"]).0, Some(0));
    }
    let elsewhere = ["messages", "show", offset_id, "--trace-topic", "Traces"];
    let (code, _, error) = admin(address, &elsewhere);
    assert_eq!(code, Some(6), "{error}");
    assert!(error.contains("its trace is missing: there is no topic \"Traces\""), "{error}");
    let direct = ["messages", "consume-directly", offset_id, "-g", "readers"];
    let (code, _, error) = admin(address, &direct);
    assert_eq!(code, Some(4), "{error}");
    assert!(error.contains("no member of group \"readers\" is connected to broker-a"), "{error}");
    let send = ["messages", "send", "Hello", "hi", "--property"];
    let send = |more: &[&str]| admin(address, &[&send[..], more].concat());
    assert_eq!(send(&["TAGS=x"]).0, Some(2));
    assert_eq!(send(&["color"]).0, Some(2));
    let (code, printed, error) = send(&["color=red", "--property", "a=b=c", "-o", "name"]);
    assert_eq!(code, Some(0), "{error}");
    let (_, printed, _) = admin(address, &["messages", "show", printed.trim(), "-t", "Hello"]);
    assert!(printed.contains("property   a = b=c\n"), "{printed}");
    assert!(printed.contains("property   color = red\n"), "{printed}");
    assert_eq!(admin(address, &["messages", "show", "nonsense"]).0, Some(2));
    assert_eq!(admin(address, &["messages", "show", "nonsense", "-t", "Hello"]).0, Some(4));
    let (code, printed, error) = admin(address, &["messages", "find", "Hello", "no such key"]);
    assert_eq!((code, printed.as_str()), (Some(0), ""), "{error}");
}

#[test]
fn results_come_in_every_format() {
    let (address, dir) = (free_address(), tempfile::tempdir().unwrap());
    let _node = Node::start(address, dir.path());
    let printed = |output| admin(address, &["cluster", "-o", output]).1;
    assert_eq!(printed("name"), "broker-a\n");
    assert!(
        printed("yaml").contains(&format!("  address: \"{address}:10911\"\n")),
        "{}",
        printed("yaml")
    );
    assert!(printed("tsv").contains(&format!("broker-a\t0\tmaster\t{address}:10911\t")));
    assert!(printed("wide").contains("LOG END"));
    let name_server = format!("{address}:9876");
    let mut watching = rmq_node(&["admin", "cluster", "--watch", "1", "-n", &name_server]);
    let mut watching = watching.stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(watching.stdout.take().unwrap()).lines();
    let shown = lines.map(Result::unwrap).filter(|line| line.contains("master"));
    assert_eq!(shown.take(2).count(), 2);
    // Nobody reads on.
    assert!(watching.wait().unwrap().success());
    let watched = admin(address, &["topics", "delete", "x", "--watch", "1"]);
    assert_eq!(watched.0, Some(2), "{}", watched.2);
}

#[test]
fn a_slave_begins_anew_only_where_it_is_and_when_that_is_confirmed() {
    let (address, dir) = (free_address(), tempfile::tempdir().unwrap());
    let _node = Node::start(address, dir.path());
    let resync = ["replication", "resync", "b"];
    // Nobody is there to say yes.
    let (code, _, error) = admin_beside(dir.path(), &resync);
    assert_eq!(code, Some(1), "{error}");
    assert!(error.contains("error: not done: it was not confirmed"), "{error}");
    let confirmed = [&resync[..], &["--yes"]].concat();
    let (code, _, error) = admin_beside(dir.path(), &confirmed);
    assert_eq!(code, Some(4), "{error}");
    let (code, _, error) = admin(address, &confirmed);
    assert_eq!((code, error.contains("only a node itself can")), (Some(1), true), "{error}");
}

#[test]
fn a_node_tells_how_it_is_and_reads_its_settings_again() {
    let (address, dir) = (free_address(), tempfile::tempdir().unwrap());
    let file = dir.path().join("a.toml");
    let data_dir = dir.path().join("data");
    let text = |level: &str| {
        format!("listen = \"{address}\"\ndata_dir = {data_dir:?}\n[log]\nlevel = \"{level}\"\n")
    };
    fs::write(&file, text("info")).unwrap();
    let node = Node::spawn(&mut rmq_node(&["run", "--config", file.to_str().unwrap()]));
    let (code, printed, error) = admin_beside(&data_dir, &["node", "-o", "json"]);
    assert_eq!(code, Some(0), "{error}");
    let status: serde_json::Value = serde_json::from_str(&printed).unwrap();
    assert_eq!(status["pid"], node.pid());
    assert!(status["status"].as_str().unwrap().starts_with("serving"), "{printed}");
    fs::write(&file, text("warn")).unwrap();
    let (code, printed, error) = admin_beside(&data_dir, &["node", "reload"]);
    assert_eq!(code, Some(0), "{error}");
    assert!(printed.contains("log.level"), "{printed}");
    fs::write(&file, "listen = 7\n").unwrap();
    let (code, _, error) = admin_beside(&data_dir, &["node", "reload"]);
    assert_eq!(code, Some(1), "{error}");
    assert!(error.contains("a.toml:1"), "{error}");
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
