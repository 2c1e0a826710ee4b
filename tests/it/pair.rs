//! Two hosts, each with a name server, a master and the slave of the other's: from the files that `config init` makes.

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

fn start(mode: &str, hosts: [Ipv4Addr; 2], this: usize, dir: &Path) -> Node {
    let (this, hosts) = (hosts[this].to_string(), format!("{},{}", hosts[0], hosts[1]));
    let made = rmq_node(&["config", "init", "--hosts", &hosts, "--mode", mode])
        .args(["--this", &this])
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

fn send(host: Ipv4Addr, count: &str) {
    let names = format!("{host}:9876");
    let sent = rmq_node(&["bench", "produce", "-n", &names, "-m", count, "-c", "1"]).output();
    let sent = sent.unwrap();
    assert!(sent.status.success(), "{}", String::from_utf8_lossy(&sent.stderr));
}

fn wait_until_equal(dir: &Path, hosts: [Ipv4Addr; 2]) {
    for group in ["broker-a", "broker-b"] {
        let is_copied = || {
            let [one, other] = hosts.map(|host| log_of(dir, host, group));
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
    let first = start("2m-2s-async", hosts, 0, dir.path());
    let second = start("2m-2s-async", hosts, 1, dir.path());
    send(hosts[0], "100");
    send(hosts[1], "100");
    wait_until_equal(dir.path(), hosts);
    drop(first);
    let first = start("2m-2s-async", hosts, 0, dir.path());
    send(hosts[0], "100");
    send(hosts[1], "100");
    wait_until_equal(dir.path(), hosts);
    for node in [first, second] {
        node.signal(Signal::SIGTERM);
        let (status, log) = node.wait();
        assert!(status.success(), "{log}");
    }
}

#[test]
fn topics_that_differ_between_masters_are_shown_and_repaired() {
    let dir = tempfile::tempdir().unwrap();
    let hosts = [free_address(), free_address()];
    let _nodes = [0, 1].map(|this| start("2m-noslave", hosts, this, dir.path()));
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
    assert_eq!(
        (printed.as_str(), error.as_str()),
        ("[]\n", "Topics are the same on all masters that answered.\n")
    );
    let (printed, _) = done(&["topics"]);
    assert!(!printed.contains("DRIFT"), "{printed}");
}
