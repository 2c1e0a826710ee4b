//! Roles of one node beside one another: one that cannot run keeps no other from running, and a master that stops
//! leaves its slave everything.

use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::admin::admin;
use crate::support::{Node, free_address, rmq_node};

/// Settings of a host with `brokers`, each a group and a port, and a name server if `names`.
fn settings(dir: &Path, address: Ipv4Addr, names: bool, brokers: &[(&str, u16)]) -> PathBuf {
    let mut text = format!("listen = \"{address}\"\nadvertise = \"{address}\"\n");
    text += &format!("name_servers = [\"{address}:9876\"]\n");
    if names {
        text += "[name_server]\n";
    }
    for (group, port) in brokers {
        text += &format!("[[broker]]\ngroup = \"{group}\"\nport = {port}\n");
    }
    let file = dir.join("node.toml");
    fs::write(&file, text).unwrap();
    file
}

/// What the service manager is told.
struct Manager(UnixDatagram);

impl Manager {
    fn new(dir: &Path) -> (Self, PathBuf) {
        let path = dir.join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        (Self(socket), path)
    }

    /// The next notification that contains `what`.
    fn until(&self, what: &str) -> String {
        loop {
            let mut buffer = [0; 4096];
            let length = self.0.recv(&mut buffer).unwrap();
            let text = String::from_utf8(buffer[..length].to_vec()).unwrap();
            if text.contains(what) {
                return text;
            }
        }
    }
}

#[test]
fn a_broker_whose_folder_cannot_be_used_stays_down_alone_and_says_so() {
    let (address, dir) = (free_address(), tempfile::tempdir().unwrap());
    let file = settings(dir.path(), address, true, &[("broker-a", 10911), ("broker-b", 10921)]);
    let data = dir.path().join("data");
    fs::create_dir(&data).unwrap();
    fs::write(data.join("broker-b"), "a file in its place").unwrap();
    let (manager, socket) = Manager::new(dir.path());
    let mut command = rmq_node(&["run", "--config"]);
    command.arg(file).arg("--data-dir").arg(&data).env("NOTIFY_SOCKET", socket);
    let node = Node::spawn(&mut command);
    let ready = manager.until("READY=1");
    assert!(ready.contains("STATUS=degraded; broker-b (master): down: "), "{ready}");
    assert!(node.banner.contains("\n  broker-b     does not run\n"), "{}", node.banner);
    // Whoever dials it is refused at once.
    for port in [10919, 10921, 10922] {
        let refused = TcpStream::connect((address, port)).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused, "{port}");
    }
    let names = format!("{address}:9876");
    let sent = rmq_node(&["bench", "produce", "-n", &names, "-m", "10", "-c", "1"]).output();
    let sent = sent.unwrap();
    assert!(sent.status.success(), "{}", String::from_utf8_lossy(&sent.stderr));
    node.signal(Signal::SIGTERM);
    let (status, log) = node.wait();
    assert_eq!(status.code(), Some(0), "{log}");
    let expected = format!("broker-b stays down: {}", data.join("broker-b").display());
    assert!(log.lines().any(|line| line.contains("ERROR") && line.contains(&expected)), "{log}");
}

#[test]
fn a_node_of_which_nothing_can_run_ends_with_1() {
    let (address, dir) = (free_address(), tempfile::tempdir().unwrap());
    let file = settings(dir.path(), address, false, &[("broker-a", 10911)]);
    let data = dir.path().join("data");
    fs::create_dir(&data).unwrap();
    fs::write(data.join("broker-a"), "a file in its place").unwrap();
    let run = rmq_node(&["run", "--config"]).arg(file).arg("--data-dir").arg(&data).output();
    let run = run.unwrap();
    let error = String::from_utf8(run.stderr).unwrap();
    assert_eq!(run.status.code(), Some(1), "{error}");
    let last = error.lines().last().unwrap();
    let folder = data.join("broker-a");
    assert!(last.starts_with(&format!("error: broker-a: {}: ", folder.display())), "{error}");
}

#[test]
fn a_node_that_could_not_save_all_ends_with_1() {
    let (address, dir) = (free_address(), tempfile::tempdir().unwrap());
    let node = Node::start(address, dir.path());
    let names = format!("{address}:9876");
    let sent = rmq_node(&["bench", "produce", "-n", &names, "-m", "1", "-c", "1"]).output();
    assert!(sent.unwrap().status.success());
    let folder = dir.path().join("broker-a/export");
    fs::remove_dir_all(&folder).unwrap();
    fs::write(&folder, "a file in its place").unwrap();
    node.signal(Signal::SIGTERM);
    let (status, log) = node.wait();
    assert_eq!(status.code(), Some(1), "{log}");
    let expected = "error: not all of broker-a could be saved: see the log\n";
    assert!(log.ends_with(expected), "{log}");
}

/// The log of broker-a in a data directory.
fn log_of(data: &Path) -> Vec<u8> {
    let path = data.join("broker-a/commitlog/00000000000000000000");
    let mut log = Vec::new();
    File::open(path).unwrap().take(LOG_BYTES).read_to_end(&mut log).unwrap();
    log
}

/// More than the sockets between two hosts hold.
const LOG_BYTES: u64 = 24 << 20;

#[test]
fn a_master_that_stops_leaves_its_slave_the_rest_of_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let hosts = [free_address(), free_address()];
    let start = |this: usize, notify: &Path| {
        let (this, list) = (hosts[this].to_string(), format!("{},{}", hosts[0], hosts[1]));
        let made = rmq_node(&["config", "init", "--hosts", &list, "--mode", "master-slave-async"])
            .args(["--this", &this])
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let file = dir.path().join(format!("{this}.toml"));
        fs::write(&file, made.stdout).unwrap();
        let mut command = rmq_node(&["run", "--config"]);
        command.arg(file).arg("--data-dir").arg(dir.path().join(&this));
        Node::spawn(command.env("NOTIFY_SOCKET", notify))
    };
    let (manager, socket) = Manager::new(dir.path());
    let master = start(0, &socket);
    let slave = start(1, &dir.path().join("nobody"));
    let [master_data, slave_data] = hosts.map(|host| dir.path().join(host.to_string()));
    let names = format!("{}:9876", hosts[0]);
    let send = |count: &str| {
        let arguments = ["bench", "produce", "-n", &names, "-m", count, "-c", "1", "-s", "100000"];
        let sent = rmq_node(&arguments).output().unwrap();
        assert!(sent.status.success(), "{}", String::from_utf8_lossy(&sent.stderr));
    };
    send("1");
    let mut looks = 0;
    while log_of(&master_data) != log_of(&slave_data) {
        looks += 1;
        assert!(looks < 3000, "nothing is copied");
        std::thread::sleep(Duration::from_millis(20));
    }
    let (code, printed, error) = admin(hosts[0], &["replication", "-o", "json"]);
    assert_eq!(code, Some(0), "{error}");
    let copies: serde_json::Value = serde_json::from_str(&printed).unwrap();
    assert_eq!(copies[0]["slave"], format!("{}:10921", hosts[1]), "{printed}");
    assert_eq!(copies[0]["behind_bytes"], 0, "{printed}");
    // The slave reads nothing while more is stored than the sockets hold, until the master has begun to stop.
    slave.signal(Signal::SIGSTOP);
    send("200");
    master.signal(Signal::SIGTERM);
    manager.until("STOPPING=1");
    slave.signal(Signal::SIGCONT);
    let (status, log) = master.wait();
    assert!(status.success(), "{log}");
    assert!(log_of(&master_data) == log_of(&slave_data), "the slave lacks something: {log}");
}
