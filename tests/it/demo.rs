//! `rmq-node demo`: the story is played to its count, and nothing stays behind however it ends.

use std::io::{BufRead, BufReader, Read};
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::{free_address, rmq_node};

/// The ports that a host of the demo takes.
const PORTS: [u16; 7] = [9876, 10909, 10911, 10912, 10919, 10921, 10922];

fn demo(hosts: [Ipv4Addr; 2], temporary: &Path, arguments: &[&str]) -> Command {
    let hosts = format!("{},{}", hosts[0], hosts[1]);
    let mut command = rmq_node(&["demo", "--hosts", &hosts]);
    command.args(arguments).env("TMPDIR", temporary);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn is_empty(dir: &Path) -> bool {
    std::fs::read_dir(dir).unwrap().next().is_none()
}

/// Waits until no process has a port of these hosts.
fn wait_until_gone(hosts: [Ipv4Addr; 2]) {
    let is_free = || {
        hosts.iter().all(|host| PORTS.iter().all(|port| TcpListener::bind((*host, *port)).is_ok()))
    };
    let mut looks = 0;
    while !is_free() {
        looks += 1;
        assert!(looks < 1500, "a host of the demo is left");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The number of a line of the closing count.
fn count(printed: &str, what: &str) -> u64 {
    let line = printed.lines().find(|line| line.starts_with(what)).expect(printed);
    line.split_whitespace().last().unwrap().parse().unwrap()
}

/// Reads what a demo prints until a line with this text.
fn read_until(child: &mut Child, text: &str) -> BufReader<std::process::ChildStdout> {
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    let mut printed = String::new();
    while !printed.contains(text) {
        if lines.read_line(&mut printed).unwrap() == 0 {
            let mut error = String::new();
            child.stderr.take().unwrap().read_to_string(&mut error).unwrap();
            panic!("{printed}{error}");
        }
    }
    lines
}

fn signal(child: &Child, signal: Signal) {
    kill(Pid::from_raw(child.id().try_into().unwrap()), signal).unwrap();
}

#[test]
fn nothing_that_was_acknowledged_is_lost_by_a_kill_of_each_host() {
    let (hosts, dir) = ([free_address(), free_address()], tempfile::tempdir().unwrap());
    let script = "wait 1; kill 1; wait 1; start 1; kill 2; wait 1; start 2; stop 1; wait 0.5";
    let output = demo(hosts, dir.path(), &["--script", script]).output().unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), error.as_str()), (Some(0), ""), "{printed}");
    let acknowledged = count(&printed, "acknowledged");
    assert!(acknowledged > 0);
    assert_eq!(count(&printed, "received"), acknowledged);
    assert_eq!(count(&printed, "missing"), 0);
    assert_eq!(count(&printed, "still stored"), acknowledged);
    for event in [
        "host 1 killed (kill -9)",
        "producer goes on at broker-b, without broker-a",
        "consumer reads broker-a from its slave on host 2",
        "producer sends to broker-a again",
        "producer goes on at broker-a, without broker-b",
        "consumer reads broker-b from its slave on host 1",
        "host 1 has stopped in order",
    ] {
        assert!(printed.contains(event), "{event}: {printed}");
    }
    assert!(is_empty(dir.path()), "the folder is left");
    wait_until_gone(hosts);
}

#[test]
fn an_interrupt_counts_and_what_is_kept_is_told() {
    let (hosts, dir) = ([free_address(), free_address()], tempfile::tempdir().unwrap());
    let kept = dir.path().join("kept");
    let data_dir = ["--data-dir", kept.to_str().unwrap()];
    let arguments = [&data_dir[..], &["--mode", "2m-2s-sync", "--script", "wait 1000"]].concat();
    let mut child = demo(hosts, dir.path(), &arguments).spawn().unwrap();
    let mut lines = read_until(&mut child, "producer sends");
    signal(&child, Signal::SIGINT);
    let mut printed = String::new();
    lines.read_to_string(&mut printed).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0), "{printed}");
    assert_eq!(count(&printed, "missing"), 0);
    let command = format!("run --config {0}/{1}/rmq-node.toml", kept.display(), hosts[1]);
    assert!(printed.contains(&command), "{printed}");
    assert!(kept.join(hosts[0].to_string()).join("data").exists());
    // A second demo does not write into the first one's data.
    let again = demo(hosts, dir.path(), &data_dir).output().unwrap();
    let error = String::from_utf8(again.stderr).unwrap();
    assert_eq!(again.status.code(), Some(1));
    assert!(error.contains("is not empty: name a new folder"), "{error}");
}

#[test]
fn hosts_do_not_outlive_a_demo_that_is_killed() {
    let (hosts, dir) = ([free_address(), free_address()], tempfile::tempdir().unwrap());
    let mut child = demo(hosts, dir.path(), &["--script", "wait 1000"]).spawn().unwrap();
    let _lines = read_until(&mut child, "topic DemoTopic created");
    signal(&child, Signal::SIGKILL);
    child.wait().unwrap();
    wait_until_gone(hosts);
}

#[test]
fn a_demo_that_is_told_to_end_before_it_began_leaves_nothing() {
    let (hosts, dir) = ([free_address(), free_address()], tempfile::tempdir().unwrap());
    let mut child = demo(hosts, dir.path(), &["--script", "wait 1000"]).spawn().unwrap();
    let _lines = read_until(&mut child, "host 2 started");
    signal(&child, Signal::SIGTERM);
    assert_eq!(child.wait().unwrap().code(), Some(1));
    assert!(is_empty(dir.path()), "the folder is left");
    wait_until_gone(hosts);
}

#[test]
fn a_port_that_is_taken_is_told_before_anything_is_made() {
    let (hosts, dir) = ([free_address(), free_address()], tempfile::tempdir().unwrap());
    let _taken = TcpListener::bind((hosts[1], 10911)).unwrap();
    let output = demo(hosts, dir.path(), &[]).output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    let expected =
        format!("error: {}:10911 is needed, and process {} (", hosts[1], std::process::id());
    assert!(error.starts_with(&expected), "{error}");
    assert!(error.contains("--hosts 127.0.1.1,127.0.1.2"), "{error}");
    assert!(output.stdout.is_empty() && is_empty(dir.path()));
}

#[test]
fn wrong_usage_is_2() {
    for arguments in [&["demo", "--script", "kill 3"][..], &["demo", "--hosts", "127.0.0.1"]] {
        assert_eq!(rmq_node(arguments).output().unwrap().status.code(), Some(2), "{arguments:?}");
    }
}
