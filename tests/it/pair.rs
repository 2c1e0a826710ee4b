//! Hosts that each have a name server, a master and the slave of the next host's master: two, or a ring of three, from the files
//! that `config init` makes.

use std::fs::{self, File};
use std::io::Read;
use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::admin::admin;
use crate::support::{Node, free_address, rmq_node};

/// More than the tests' messages need.
const LOG_BYTES: usize = 2 << 20;

/// Starts one host of a cluster whose folders are in `dir`, each by its address.
pub fn start(mode: &str, hosts: &[Ipv4Addr], this: usize, dir: &Path) -> Node {
    let all: Vec<_> = hosts.iter().map(Ipv4Addr::to_string).collect();
    let (this, hosts) = (all[this].as_str(), all.join(","));
    let made = rmq_node(&["config", "init", "--hosts", &hosts, "--mode", mode])
        .args(["--this", this])
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let file = dir.join(format!("{this}.toml"));
    fs::write(&file, made.stdout).unwrap();
    Node::spawn(rmq_node(&["run", "--config"]).arg(file).arg("--data-dir").arg(dir.join(this)))
}

/// The beginning of a group's log on a host.
fn log_of(dir: &Path, host: Ipv4Addr, group: &str) -> Vec<u8> {
    let path = dir.join(host.to_string()).join(group).join("commitlog/00000000000000000000");
    let mut log = vec![0; LOG_BYTES];
    File::open(path).unwrap().read_exact(&mut log).unwrap();
    log
}

/// Sends by the route that a host's name server knows.
fn send(host: Ipv4Addr, count: &str) {
    produce(["-n", &format!("{host}:9876")], count);
}

/// Sends to the master of one host only.
fn send_to(master: Ipv4Addr, count: &str) {
    produce(["--broker", &format!("{master}:10911")], count);
}

/// Sends when one message is taken: a host that is up may still look for its master's past, and takes none until then.
fn produce(to: [&str; 2], count: &str) {
    let once = |count| {
        let command = [&["bench", "produce"], &to[..], &["-m", count, "-c", "1"]].concat();
        rmq_node(&command).output().unwrap()
    };
    let mut looks = 0;
    while !once("1").status.success() {
        looks += 1;
        assert!(looks < 1000, "no message is taken: {:?}", once("1"));
        std::thread::sleep(Duration::from_millis(20));
    }
    let sent = once(count);
    assert!(sent.status.success(), "{}", String::from_utf8_lossy(&sent.stderr));
}

/// Where the slave of a host's master is.
fn slave_of(hosts: &[Ipv4Addr], this: usize) -> Ipv4Addr {
    hosts[(this + hosts.len() - 1) % hosts.len()]
}

/// Waits until every slave's log is its master's.
pub fn wait_until_equal(dir: &Path, hosts: &[Ipv4Addr]) {
    for (this, group) in (0..hosts.len()).zip(["broker-a", "broker-b", "broker-c"]) {
        let is_copied = || {
            let [one, other] =
                [hosts[this], slave_of(hosts, this)].map(|host| log_of(dir, host, group));
            one == other && one.iter().any(|byte| *byte != 0)
        };
        let mut looks = 0;
        while !is_copied() {
            looks += 1;
            assert!(looks < 3000, "{group} is not copied");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

#[test]
fn two_hosts_hold_each_others_messages_through_a_kill_and_stop_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let hosts = [free_address(), free_address()];
    let first = start("2m-2s-async", &hosts, 0, dir.path());
    let second = start("2m-2s-async", &hosts, 1, dir.path());
    // Both have the topic then, also if the first that was sent to did not know the other yet.
    for host in hosts {
        send_to(host, "1");
    }
    send(hosts[0], "100");
    send(hosts[1], "100");
    wait_until_equal(dir.path(), &hosts);
    drop(first);
    let first = start("2m-2s-async", &hosts, 0, dir.path());
    send(hosts[0], "100");
    send(hosts[1], "100");
    wait_until_equal(dir.path(), &hosts);
    for node in [first, second] {
        node.signal(Signal::SIGTERM);
        let (status, log) = node.wait();
        assert!(status.success(), "{log}");
    }
}

#[test]
fn in_a_ring_of_three_the_messages_of_a_dead_host_come_from_its_slave() {
    let dir = tempfile::tempdir().unwrap();
    let hosts = [free_address(), free_address(), free_address()];
    let mut nodes = [0, 1, 2].map(|this| Some(start("2m-2s-async", &hosts, this, dir.path())));
    for (host, count) in hosts.into_iter().zip(["40", "80", "120"]) {
        send_to(host, count);
    }
    wait_until_equal(dir.path(), &hosts);
    nodes[1] = None;
    let address = format!("{}:10921", slave_of(&hosts, 1));
    let pulled =
        rmq_node(&["bench", "consume", "--broker", &address, "-m", "80", "-c", "1", "-o", "json"])
            .output()
            .unwrap();
    assert!(pulled.status.success(), "{}", String::from_utf8_lossy(&pulled.stderr));
    let summary: serde_json::Value = serde_json::from_slice(&pulled.stdout).unwrap();
    assert_eq!(summary["messages"], 80, "{summary}");
    assert_eq!(summary["errors"], serde_json::json!({}), "{summary}");
    // The others go on without it.
    for host in [hosts[0], hosts[2]] {
        send_to(host, "40");
    }
    nodes[1] = Some(start("2m-2s-async", &hosts, 1, dir.path()));
    for host in hosts {
        send_to(host, "40");
    }
    wait_until_equal(dir.path(), &hosts);
    for node in nodes.into_iter().flatten() {
        node.signal(Signal::SIGTERM);
        let (status, log) = node.wait();
        assert!(status.success(), "{log}");
    }
}

#[test]
fn topics_that_differ_between_masters_are_shown_and_repaired() {
    let dir = tempfile::tempdir().unwrap();
    let hosts = [free_address(), free_address()];
    let _nodes = [0, 1].map(|this| start("2m-noslave", &hosts, this, dir.path()));
    let done = |arguments: &[&str]| {
        let (code, printed, error) = admin(hosts[0], arguments);
        assert_eq!(code, Some(0), "{error}");
        (printed, error)
    };
    done(&["topics", "create", "Both"]);
    done(&["topics", "create", "One", "--broker", "broker-b"]);
    done(&[
        "topics",
        "create",
        "Size",
        "--broker",
        "broker-a",
        "--queues",
        "4",
        "--permission",
        "r",
    ]);
    done(&[
        "topics",
        "create",
        "Size",
        "--broker",
        "broker-b",
        "--queues",
        "6",
        "--permission",
        "w",
    ]);
    let (printed, error) = done(&["topics"]);
    let expected = "TOPIC  BROKER    READ QUEUES  WRITE QUEUES  PERMISSION  DRIFT\n\
                    Both   broker-a            8             8  rw\n\
                    Both   broker-b            8             8  rw\n\
                    One    broker-a            -             -  -           missing\n\
                    One    broker-b            8             8  rw\n\
                    Size   broker-a            4             4  r           should have 6 read, 6 write, rw\n\
                    Size   broker-b            6             6  w           should have 6 read, 6 write, rw\n";
    assert_eq!(printed, expected);
    assert!(
        error.contains("2 of these topics; `rmq-node admin topics repair --dry-run`"),
        "{error}"
    );
    let expected = "TOPIC  BROKER    BEFORE              AFTER\n\
                    One    broker-a  missing             8 read, 8 write, rw\n\
                    Size   broker-a  4 read, 4 write, r  6 read, 6 write, rw\n\
                    Size   broker-b  6 read, 6 write, w  6 read, 6 write, rw\n";
    let (printed, error) = done(&["topics", "repair", "--dry-run"]);
    assert_eq!(
        (printed.as_str(), error.as_str()),
        (expected, "Nothing was changed: this was a dry run.\n")
    );
    assert_eq!(done(&["topics", "repair"]).0, expected);
    let (printed, error) = done(&["topics", "repair", "-o", "json"]);
    assert_eq!((printed.as_str(), error.as_str()), ("[]\n", ""), "notes are for people");
    let same = "Topics are the same on all masters that answered.\n";
    assert_eq!(done(&["topics", "repair"]).1, same);
    let (printed, _) = done(&["topics"]);
    assert!(!printed.contains("DRIFT"), "{printed}");
}

#[test]
fn a_host_that_does_not_answer_is_told_of_in_time() {
    let (hosts, dir) = ([free_address(), free_address()], tempfile::tempdir().unwrap());
    let nodes = [0, 1].map(|this| start("2m-2s-async", &hosts, this, dir.path()));
    let [first, second] = hosts.map(|host| format!("{host}:9876"));
    assert_eq!(admin(hosts[0], &["topics", "create", "Hello"]).0, Some(0));
    // The system still takes its connections.
    nodes[1].signal(Signal::SIGSTOP);
    for noun in ["topics", "groups", "cluster"] {
        for names in [format!("{first},{second}"), format!("{second},{first}")] {
            let ask = ["admin", noun, "--timeout", "16", "-n", &names];
            let output = rmq_node(&ask).output().unwrap();
            let error = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(6), "{noun}: {error}");
            assert!(error.contains("broker-b"), "{noun}: {error}");
            let printed = String::from_utf8(output.stdout).unwrap();
            assert!(noun != "topics" || printed.contains("Hello  broker-a"), "{noun}: {printed}");
        }
    }
    let ask = ["admin", "topics", "--timeout", "1", "-n", &second];
    let output = rmq_node(&ask).output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(3), "{error}");
    nodes[1].signal(Signal::SIGCONT);
    assert_eq!(admin(hosts[0], &["topics"]).0, Some(0));
}
