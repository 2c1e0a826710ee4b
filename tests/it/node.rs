//! The built binary as an operator meets it: starts, stops, exit codes, and who holds what.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixDatagram;
use std::process::Output;
use std::time::Duration;

use bytes::BytesMut;
use nix::sys::signal::Signal;
use rmq_node::remoting::{Command, encode, request};

use crate::support::{Node, free_address, rmq_node};

fn error(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn a_node_says_where_it_is_and_ends_with_0_when_told_to() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let (address, dir) = (free_address(), tempfile::tempdir().unwrap());
        let node = Node::start(address, &dir.path().join("data"));
        assert!(node.banner.contains(&format!("name server  {address}:9876\n")), "{}", node.banner);
        assert!(node.banner.contains(&format!("broker-a     {address}:10911 ")), "{}", node.banner);
        assert!(node.banner.contains(dir.path().to_str().unwrap()), "{}", node.banner);
        for port in [9876, 10909, 10911, 10912] {
            TcpStream::connect((address, port)).unwrap();
        }
        for path in ["LOCK", "node.json", "nameserver", "broker-a/commitlog", "broker-a/checkpoint"]
        {
            assert!(dir.path().join("data").join(path).exists(), "{path}");
        }
        node.signal(signal);
        let (status, log) = node.wait();
        assert_eq!(status.code(), Some(0), "{log}");
        assert!(log.lines().last().unwrap().ends_with("stopped"), "{log}");
        assert!(!log.contains('\u{1b}'), "no colour when nobody looks: {log}");
    }
}

#[test]
fn a_node_that_is_told_twice_waits_for_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let (socket, data, address) =
        (dir.path().join("notify"), dir.path().join("data"), free_address());
    let manager = UnixDatagram::bind(&socket).unwrap();
    manager.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let (listen, data) = (address.to_string(), data.to_str().unwrap());
    let mut command = rmq_node(&["run", "--listen", &listen, "--data-dir", data]);
    let node = Node::spawn(command.env("NOTIFY_SOCKET", &socket));
    // Somebody asks for more than sockets hold, and reads nothing: an orderly stop waits for a while.
    let mut reader = TcpStream::connect((address, 10911)).unwrap();
    let mut requests = BytesMut::new();
    for _ in 0..10_000 {
        encode(&Command::request(request::GET_ALL_TOPIC_CONFIG), &mut requests);
    }
    let asking = reader.try_clone().unwrap();
    let asked = std::thread::spawn(move || (&asking).write_all(&requests));
    // The first answer is there, so that others are on their way.
    reader.read_exact(&mut [0; 4]).unwrap();
    node.signal(Signal::SIGTERM);
    let mut buffer = [0; 1024];
    while !buffer.starts_with(b"STOPPING=1") {
        manager.recv(&mut buffer).unwrap();
    }
    node.signal(Signal::SIGTERM);
    let (status, log) = node.wait();
    assert_eq!(status.code(), Some(1), "{log}");
    // What still goes on elsewhere may tell of itself behind it.
    let errors: Vec<&str> = log.lines().filter(|line| line.starts_with("error: ")).collect();
    assert_eq!(errors, ["error: told twice to stop: not all was answered or flushed"], "{log}");
    assert!(!log.contains("task ended"), "{log}");
    // The node may have ended before it read all.
    let _ = asked.join().unwrap();
}

#[test]
fn two_nodes_run_side_by_side_on_equal_ports() {
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let nodes = dirs.each_ref().map(|dir| Node::start(free_address(), dir.path()));
    for node in nodes {
        node.signal(Signal::SIGTERM);
        assert_eq!(node.wait().0.code(), Some(0));
    }
}

#[test]
fn a_second_start_in_the_same_folder_says_who_has_it() {
    let dir = tempfile::tempdir().unwrap();
    let node = Node::start(free_address(), dir.path());
    let (path, address) = (dir.path().to_str().unwrap(), free_address().to_string());
    let second = rmq_node(&["run", "--data-dir", path, "--listen", &address]).output().unwrap();
    assert_eq!(second.status.code(), Some(1));
    let expected = format!(
        "error: data directory {path} is in use by process {} (rmq-node): stop it, or choose another with --data-dir\n",
        node.pid()
    );
    assert_eq!(error(&second), expected);
}

#[test]
fn a_second_start_on_the_same_ports_says_who_has_them_and_leaves_the_folder_empty() {
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let address = free_address();
    let node = Node::start(address, dirs[0].path());
    let path = dirs[1].path().to_str().unwrap();
    let second = rmq_node(&["run", "--data-dir", path, "--listen", &address.to_string()]).output();
    let second = second.unwrap();
    assert_eq!(second.status.code(), Some(1));
    let expected = format!(
        "error: cannot bind {address}:9876, port of the name server: process {} (rmq-node) has it: ",
        node.pid()
    );
    assert!(error(&second).starts_with(&expected), "{}", error(&second));
    let left: Vec<_> =
        fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["LOCK"]);
}

#[test]
fn a_node_that_was_killed_leaves_no_lock() {
    let (address, dir) = (free_address(), tempfile::tempdir().unwrap());
    let node = Node::start(address, dir.path());
    node.signal(Signal::SIGKILL);
    node.wait();
    let node = Node::start(address, dir.path());
    node.signal(Signal::SIGTERM);
    assert_eq!(node.wait().0.code(), Some(0));
}

#[test]
fn wrong_settings_end_with_78_before_anything_is_touched() {
    let dir = tempfile::tempdir().unwrap();
    let (file, data) = (dir.path().join("a.toml"), dir.path().join("data"));
    fs::write(&file, "cluster = \"c\"\nlistn = \"127.0.0.1\"\n").unwrap();
    let (file, data_dir) = (file.to_str().unwrap(), data.to_str().unwrap());
    let expected = format!("{file}:2:1: unknown key `listn`; did you mean `listen`?\n");
    for command in [["config", "check"].as_slice(), &["config", "show"], &["run"]] {
        let output = rmq_node(command).args(["--config", file, "--data-dir", data_dir]).output();
        let output = output.unwrap();
        assert_eq!(output.status.code(), Some(78));
        assert_eq!(error(&output), expected);
    }
    assert!(!data.exists());
}

#[test]
fn checking_works_beside_a_running_node() {
    let (address, dir) = (free_address(), tempfile::tempdir().unwrap());
    let _node = Node::start(address, dir.path());
    let (path, address) = (dir.path().to_str().unwrap(), address.to_string());
    let check = rmq_node(&["config", "check", "--data-dir", path, "--listen", &address]).output();
    assert_eq!(check.unwrap().status.code(), Some(0));
}

#[test]
fn the_service_manager_is_told_of_start_progress_and_stop() {
    let dir = tempfile::tempdir().unwrap();
    let (socket, data) = (dir.path().join("notify"), dir.path().join("data"));
    let manager = UnixDatagram::bind(&socket).unwrap();
    manager.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let next = || {
        let mut buffer = [0; 1024];
        let length = manager.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    };
    let address = free_address().to_string();
    let mut command =
        rmq_node(&["run", "--listen", &address, "--data-dir", data.to_str().unwrap()]);
    command.env("NOTIFY_SOCKET", &socket).env("WATCHDOG_USEC", "300000");
    let node = Node::spawn(&mut command);
    let until = |what: &str| {
        let mut told = Vec::new();
        while !told.last().is_some_and(|text: &String| text.contains(what)) {
            told.push(next());
        }
        told
    };
    let start = until("READY=1");
    assert!(start.last().unwrap().contains("STATUS=serving"), "{start:?}");
    until("WATCHDOG=1");
    until("WATCHDOG=1");
    node.signal(Signal::SIGTERM);
    until("STOPPING=1");
    assert_eq!(node.wait().0.code(), Some(0));
}

#[test]
fn settings_are_read_again_and_taken_over_as_a_whole_or_not_at_all() {
    let dir = tempfile::tempdir().unwrap();
    let [socket, data, file] = ["notify", "data", "a.toml"].map(|name| dir.path().join(name));
    let manager = UnixDatagram::bind(&socket).unwrap();
    manager.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let until = |what: &str| {
        let mut buffer = [0; 1024];
        loop {
            let length = manager.recv(&mut buffer).unwrap();
            let told = String::from_utf8(buffer[..length].to_vec()).unwrap();
            if told.contains(what) {
                return told;
            }
        }
    };
    let head = format!("listen = \"{}\"\n", free_address());
    let settings = |text: &str| fs::write(&file, format!("{head}{text}")).unwrap();
    settings("");
    let (file_name, data) = (file.to_str().unwrap(), data.to_str().unwrap());
    let environment = [("NOTIFY_SOCKET", socket.as_path()), ("RUNTIME_DIRECTORY", dir.path())];
    let mut command = rmq_node(&["run", "--config", file_name, "--data-dir", data]);
    let node = Node::spawn(command.envs(environment));
    until("READY=1");
    let running = dir.path().join("settings.toml");
    let check = || {
        let running = running.to_str().unwrap();
        let mut command =
            rmq_node(&["config", "check", "--config", file_name, "--running", running]);
        command.args(["--data-dir", data]).output().unwrap()
    };
    let reload = || {
        node.signal(Signal::SIGHUP);
        assert!(until("RELOADING=1").contains("MONOTONIC_USEC="));
        until("READY=1");
        fs::read_to_string(&running).unwrap()
    };
    settings("[log]\nlevel = \"debug\"\n[limits]\nconnections_max = 100\n");
    let checked = String::from_utf8(check().stdout).unwrap();
    assert!(
        checked.contains("a reload takes over log.level = \"debug\", was \"info\"\n"),
        "{checked}"
    );
    let told = reload();
    assert!(
        told.contains("level = \"debug\" ") && told.contains("connections_max = 100 "),
        "{told}"
    );
    // What needs a restart, what is wrong, or both refuse the rest with them.
    settings("cluster = \"other\"\n[limits]\nconnections_max = 7\n");
    let refused = check();
    assert_eq!(refused.status.code(), Some(78));
    let expected = format!(
        "{file_name}:2:11: cluster = \"other\": the node runs with \"DefaultCluster\", restart to apply it\n"
    );
    assert_eq!(error(&refused), expected);
    assert_eq!(reload(), told);
    settings("[limits]\nconnections_max = 7\nthreads = 3\n");
    assert_eq!(reload(), told);
    settings("");
    assert!(!reload().contains("connections_max = 100 "));
    node.signal(Signal::SIGTERM);
    let (status, log) = node.wait();
    assert_eq!(status.code(), Some(0), "{log}");
    let lines = [
        "settings changed: limits.connections_max = 100, was 20000; log.level = \"debug\", was \"info\"",
        expected.trim_end(),
        "unknown key `threads`",
    ];
    for line in lines {
        assert!(log.contains(line), "{line}: {log}");
    }
}

#[test]
fn settings_are_shown_to_whoever_reads_only_their_begin() {
    for arguments in
        [&["config", "show"][..], &["config", "show", "--defaults"], &["config", "check"]]
    {
        // A pipe that nobody reads any more.
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = rmq_node(arguments).stdout(writer).output().unwrap();
        assert_eq!(
            (output.status.code(), error(&output)),
            (Some(0), String::new()),
            "{arguments:?}"
        );
    }
}

#[test]
fn what_fails_ends_with_its_code_also_where_nobody_reads_why() {
    let nowhere = ["admin", "cluster", "--socket", "/nonexistent/admin.sock"];
    for (arguments, code) in
        [(&nowhere[..], 3), (&["mqadmin", "nothing"], 2), (&["mqadmin", "topicRoute"], 2)]
    {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = rmq_node(arguments).stderr(writer).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}");
    }
}
