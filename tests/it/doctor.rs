//! `rmq-node doctor` as an operator meets it: before the start, beside a running node, and with something wrong.
//!
//! Only what a test decides is asserted: the disk and the kernel are the machine's.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use rmq_node::remoting::bodies::dial_back::{DialBack, PortState, dial_back_request};
use rmq_node::remoting::{Command, decode, encode, frame_length, request, response};

use crate::support::{Node, free_address, rmq_node};

const CLUSTER_CHECKS: [&str; 5] = ["name servers", "brokers", "peers", "replication", "topics"];

/// A report with its exit code.
struct Report {
    code: i32,
    findings: Vec<serde_json::Value>,
}

impl Report {
    fn of(arguments: &[&str]) -> Self {
        let output = rmq_node(&["doctor", "-o", "json"]).args(arguments).output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect(&error);
        let findings = report["findings"].as_array().unwrap().clone();
        Self { code: output.status.code().unwrap(), findings }
    }

    /// What one check says, as `severity: what`.
    fn said(&self, check: &str) -> Vec<String> {
        let text = |one: &serde_json::Value, key: &str| one[key].as_str().unwrap().to_owned();
        let its = self.findings.iter().filter(|one| one["check"] == check);
        its.map(|one| format!("{}: {}", text(one, "severity"), text(one, "what"))).collect()
    }

    fn fix(&self, what: &str) -> String {
        let found = self.findings.iter().find(|one| one["what"] == what);
        found.expect(what)["fix"].as_str().unwrap().to_owned()
    }
}

/// The file of one host of a cross-paired pair.
fn pair_file(hosts: [Ipv4Addr; 2], this: usize, dir: &Path) -> PathBuf {
    let (this, hosts) = (hosts[this].to_string(), format!("{},{}", hosts[0], hosts[1]));
    let made = rmq_node(&["config", "init", "--hosts", &hosts, "--mode", "2m-2s-async"])
        .args(["--this", &this])
        .output()
        .unwrap();
    let file = dir.join(format!("{this}.toml"));
    // Its usual address is that of all nodes here.
    let made = String::from_utf8(made.stdout).unwrap();
    fs::write(&file, format!("{made}\n[console]\nlisten = \"{this}\"\n")).unwrap();
    file
}

/// Looks until a report is as it should be; what registers and copies takes its time.
fn eventually(arguments: &[&str], is_so: impl Fn(&Report) -> bool) -> Report {
    let mut looks = 0;
    loop {
        let report = Report::of(arguments);
        if is_so(&report) {
            return report;
        }
        looks += 1;
        assert!(looks < 200, "{:#?}", report.findings);
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// How a name server that is down is told.
fn no_answer(host: Ipv4Addr) -> String {
    format!(
        "{host}:9876 does not answer: cannot connect to {host}:9876: Connection refused (os error 111)"
    )
}

/// What is told on host `a` of a pair, neither of which runs.
fn assert_told_before_the_start(first: &[&str], [a, b]: [Ipv4Addr; 2]) {
    let before = Report::of(first);
    assert_eq!(
        before.said("ports"),
        [
            format!(
                "ok: 9876, 10909, 10911, 10912, 10919, 10921, 10922 on {a} are free; the node does not run: look again \
                 after its start, for its registration, peers and replication"
            ),
            format!("ok: port of the console, {a}:8080, is free")
        ]
    );
    let peer_down = no_answer(b);
    assert_eq!(before.said("name servers"), [format!("error: {peer_down}")]);
    assert_eq!(
        before.fix(&peer_down),
        "start it, or on its host: firewall-cmd --permanent --add-port=9876/tcp && firewall-cmd --reload (or ufw allow \
         9876/tcp); if it is gone for good, take it out of name_servers"
    );
}

#[test]
fn a_pair_is_well_until_one_host_is_down() {
    let dir = tempfile::tempdir().unwrap();
    let hosts = [free_address(), free_address()];
    let [a, b] = hosts;
    let files = [0, 1].map(|this| pair_file(hosts, this, dir.path()));
    let data = [0, 1].map(|this| dir.path().join(format!("data-{this}")));
    let start = |this: usize| {
        let mut command = rmq_node(&["run", "--config"]);
        Node::spawn(command.arg(&files[this]).arg("--data-dir").arg(&data[this]))
    };
    let arguments = |this: usize| {
        [
            "--config".to_owned(),
            files[this].display().to_string(),
            "--data-dir".to_owned(),
            data[this].display().to_string(),
        ]
    };
    let (first, second) = (arguments(0), arguments(1));
    let (first, second) =
        (first.each_ref().map(String::as_str), second.each_ref().map(String::as_str));

    assert_told_before_the_start(&first, hosts);
    assert!(!data[0].exists(), "nothing is made");

    let nodes = [start(0), start(1)];
    let is_well = |report: &Report| {
        let is_bad = |check: &&str| report.said(check).iter().any(|text| !text.starts_with("ok: "));
        report.said("replication").len() == 2 && !CLUSTER_CHECKS.iter().any(is_bad)
    };
    let well = eventually(&first, is_well);
    assert_eq!(
        well.said("ports"),
        [
            format!(
                "ok: 9876, 10909, 10911, 10912, 10919, 10921, 10922 on {a} are served by this node"
            ),
            format!("ok: port of the console, {a}:8080, is served by this node")
        ]
    );
    assert_eq!(
        well.said("peers"),
        [format!(
            "ok: broker-a (1) at {b}:10921 reaches 9876, 10909, 10911, 10912, 10919, 10921, 10922 here"
        )]
    );
    assert_eq!(
        well.said("replication"),
        [
            "ok: broker-a (1) has all that its master has",
            "ok: broker-b (1) has all that its master has"
        ]
    );

    let [node_a, node_b] = nodes;
    drop(node_b);
    let down = eventually(&first, |report| report.said("brokers").len() == 2);
    assert_eq!(down.code, 2);
    assert_eq!(down.said("name servers")[0], format!("warning: {}", no_answer(b)));
    assert_eq!(
        down.said("replication"),
        [
            format!(
                "warning: broker-a (0) at {a}:10911 has no slave, though other groups of DefaultCluster have"
            ),
            format!("error: broker-b has no master: only broker-b (1) at {a}:10921 is registered")
        ]
    );
    let itself = Report::of(&second);
    assert_eq!(itself.said("replication"), [""; 0], "what is down here is no finding there");
    assert_eq!(itself.said("name servers"), [format!("ok: {a}:9876 answer")]);
    drop(node_a);
}

#[test]
fn a_port_that_somebody_has_is_named_with_its_holder() {
    let (address, dir) = (free_address(), tempfile::tempdir().unwrap());
    let _holder = TcpListener::bind((address, 10911)).unwrap();
    let (listen, data) = (address.to_string(), dir.path().join("data"));
    let report = Report::of(&["--listen", &listen, "--data-dir", data.to_str().unwrap()]);
    assert_eq!(report.code, 2);
    let said = report.said("ports");
    let expected = format!("error: port of broker-a, 10911: process {} (", std::process::id());
    assert!(said[0].starts_with(&expected), "{said:?}");
    assert_eq!(said[1..], [format!("ok: port of the console, {address}:8080, is free")]);
}

#[test]
fn an_announced_address_that_nobody_answers_is_told_with_the_line_to_write() {
    let (address, dir) = (free_address(), tempfile::tempdir().unwrap());
    let other = free_address();
    let file = dir.path().join("a.toml");
    let text = format!(
        "listen = \"{address}\"\nadvertise = \"{other}\"\nname_servers = [\"{address}:9876\"]\n[name_server]\n[[broker]]\ngroup = \"broker-a\"\n"
    );
    fs::write(&file, text).unwrap();
    let (file, data) = (file.to_str().unwrap(), dir.path().join("data"));
    let arguments = ["--config", file, "--data-dir", data.to_str().unwrap()];
    let _node = Node::spawn(rmq_node(&["run"]).args(arguments));
    let report = Report::of(&arguments);
    assert_eq!(report.code, 2);
    let bound =
        format!("advertise = \"{other}\" is announced, but listen = \"{address}\" is bound");
    assert_eq!(report.said("addresses"), [format!("error: {bound}")]);
    assert_eq!(
        report.fix(&bound),
        format!("write listen = \"0.0.0.0\", or advertise = \"{address}\"")
    );
    let route = format!("broker-a (0) at {other}:10911: nobody listens there");
    assert_eq!(report.said("brokers"), [format!("error: {route}")]);
}

/// Somebody who speaks remoting.
struct Peer(TcpStream);

impl Peer {
    fn call(&mut self, command: &Command) -> Command {
        let mut frame = BytesMut::new();
        encode(command, &mut frame);
        self.0.write_all(&frame).unwrap();
        let mut frame = vec![0; 4];
        self.0.read_exact(&mut frame).unwrap();
        frame.resize(frame_length(&frame, 64 << 20).unwrap().unwrap(), 0);
        self.0.read_exact(&mut frame[4..]).unwrap();
        decode(Bytes::from(frame)).unwrap()
    }

    fn connect(address: Ipv4Addr, port: u16) -> Self {
        Self(TcpStream::connect((address, port)).unwrap())
    }

    /// Registers a broker, for as long as this lives.
    fn register(address: Ipv4Addr, group: &str, id: u8, at: &str) -> Self {
        let mut peer = Self::connect(address, 9876);
        let fields = [
            ("brokerName", group),
            ("brokerAddr", at),
            ("clusterName", "DefaultCluster"),
            ("haServerAddr", "172.17.0.2:10912"),
            ("brokerId", &id.to_string()),
            ("compressed", "false"),
            ("bodyCrc32", "0"),
        ];
        let add = |request: Command, (key, value): (&str, &str)| request.with_field(key, value);
        let request = fields.into_iter().fold(Command::request(request::REGISTER_BROKER), add);
        assert_eq!(peer.call(&request).code, response::SUCCESS);
        peer
    }
}

#[test]
fn the_tutorials_slave_is_told_that_announces_another_groups_master() {
    let (address, dir) = (free_address(), tempfile::tempdir().unwrap());
    let data = dir.path().join("data");
    let listen = address.to_string();
    let arguments = ["--listen", &listen, "--data-dir", data.to_str().unwrap()];
    let _node = Node::start(address, &data);
    // What it listens on in its container is, on the host, the VIP port of another group's master.
    let announced = format!("{address}:10909");
    let _slave = Peer::register(address, "broker-b", 1, &announced);
    let gone = free_address();
    let _gone = Peer::register(address, "broker-c", 0, &format!("{gone}:10911"));
    let report = Report::of(&arguments);
    assert_eq!(report.code, 2);
    let slave = format!("broker-b (1) at {announced}: broker-a (0) answers there");
    assert!(
        report.said("brokers").contains(&format!("error: {slave}")),
        "{:?}",
        report.said("brokers")
    );
    assert_eq!(
        report.fix(&slave),
        "give each broker of a host a port of its own (port = 10921; listenPort=10921 of 4.9.4), map it to the same number \
         (-p 10919:10919 -p 10921:10921 -p 10922:10922), and restart it"
    );
    let route = format!("error: broker-c (0) at {gone}:10911: nobody listens there");
    assert!(report.said("brokers").contains(&route), "{:?}", report.said("brokers"));
}

#[test]
fn the_admin_api_over_tcp_is_looked_at_before_the_start_and_after() {
    let (address, dir) = (free_address(), tempfile::tempdir().unwrap());
    let [file, logins] = ["a.toml", "logins.toml"].map(|name| dir.path().join(name));
    let settings = format!(
        "listen = \"{address}\"\ndata_dir = {:?}\n[admin]\nlisten = \"{address}:9877\"\nlogins_file = {logins:?}\n",
        dir.path().join("data")
    );
    fs::write(&file, settings).unwrap();
    let arguments = ["--config", file.to_str().unwrap()];
    let holder = TcpListener::bind((address, 9877)).unwrap();
    let report = Report::of(&arguments);
    let held = format!("port of the admin API, {address}:9877: process {}", std::process::id());
    let said = report.said("ports");
    assert!(said[1].starts_with(&format!("error: {held}")), "{said:?}");
    let missing = format!("error: {} cannot be used for logins: No such file", logins.display());
    assert!(report.said("logins")[0].starts_with(&missing), "{:?}", report.said("logins"));
    drop(holder);
    let hash = "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b";
    let login = format!("[[token]]\nname = \"looking\"\nrole = \"reader\"\nsha256 = \"{hash}\"\n");
    fs::write(&logins, login).unwrap();
    fs::set_permissions(&logins, fs::Permissions::from_mode(0o600)).unwrap();
    let report = Report::of(&arguments);
    let place = format!("ok: port of the admin API, {address}:9877, is");
    assert_eq!(report.said("ports")[1], format!("{place} free"));
    assert_eq!(report.said("logins"), ["ok: who may use the admin API over TCP can be read"]);
    let _node = Node::spawn(rmq_node(&["run"]).args(arguments));
    assert_eq!(Report::of(&arguments).said("ports")[1], format!("{place} served by this node"));
}

#[test]
fn the_console_is_looked_at_before_the_start_and_after() {
    let (address, dir) = (free_address(), tempfile::tempdir().unwrap());
    let (file, data) = (dir.path().join("a.toml"), dir.path().join("data"));
    let settings = format!("listen = \"{address}\"\ndata_dir = {data:?}\n");
    fs::write(&file, &settings).unwrap();
    let arguments = ["--config", file.to_str().unwrap()];
    let holder = TcpListener::bind((address, 8080)).unwrap();
    let place = format!("port of the console, {address}:8080");
    let held = format!("{place}: process {} (", std::process::id());
    let report = Report::of(&arguments);
    let said = report.said("ports");
    assert!(said[1].starts_with(&format!("warning: {held}")), "{said:?}");
    // Who wrote it down does not want to be without.
    fs::write(&file, settings + "[console]\nport = 8080\n").unwrap();
    let report = Report::of(&arguments);
    let said = report.said("ports");
    assert!(report.code == 2 && said[1].starts_with(&format!("error: {held}")), "{said:?}");
    drop(holder);
    assert_eq!(Report::of(&arguments).said("ports")[1], format!("ok: {place}, is free"));
    let _node = Node::spawn(rmq_node(&["run"]).args(arguments));
    let served = format!("ok: {place}, is served by this node");
    let report = eventually(&arguments, |report| {
        report.said("ports")[1] == served && !report.said("console").is_empty()
    });
    let password = data.join("console-admin-password");
    let told = format!("the password for the first log-in is in {}", password.display());
    assert_eq!(report.said("console"), [format!("ok: {told}")]);
    fs::set_permissions(&password, fs::Permissions::from_mode(0o644)).unwrap();
    let told = format!("{} can be read by others (mode 644)", password.display());
    assert_eq!(Report::of(&arguments).said("console"), [format!("warning: {told}")]);
}

#[test]
fn wrong_settings_are_78_and_told_as_the_check_of_settings_tells_them() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("a.toml");
    fs::write(
        &file,
        "listen = \"127.0.0.1\"\nname_servers = [\"192.168.1.161;192.168.1.162:9876\"]\n",
    )
    .unwrap();
    let file = file.to_str().unwrap();
    let report = Report::of(&["--config", file]);
    assert_eq!(report.code, 78);
    let expected = format!(
        "error: {file}:2:16: \"192.168.1.161;192.168.1.162:9876\" is more than one address, and 192.168.1.161 has no port: \
         write [\"192.168.1.161:9876\", \"192.168.1.162:9876\"]"
    );
    assert_eq!(report.said("settings"), [expected]);
    let usage = rmq_node(&["doctor", "--conf"]).output().unwrap();
    assert_eq!((usage.status.code(), usage.stdout.len()), (Some(2), 0));
}

#[test]
fn for_a_terminal_each_finding_says_what_why_and_what_to_do() {
    let (address, dir) = (free_address(), tempfile::tempdir().unwrap());
    let _holder = TcpListener::bind((address, 9876)).unwrap();
    let (listen, data) = (address.to_string(), dir.path().join("data"));
    let mut command =
        rmq_node(&["doctor", "--listen", &listen, "--data-dir", data.to_str().unwrap()]);
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        text.starts_with("settings\n  ok       standalone: no broker is configured, "),
        "{text}"
    );
    let paragraph = text
        .split_once("\nports\n  ERROR    port of the name server, 9876: process ")
        .expect(&text)
        .1;
    let lines: Vec<&str> = paragraph.lines().skip(1).take(2).collect();
    assert_eq!(
        lines,
        [
            "           why: the node binds all its ports or does not start",
            "           fix: stop that process, or write another port in [name_server]"
        ]
    );
    // How full the machine's disk is may be another one.
    let errors = text.lines().filter(|line| line.trim_start().starts_with("ERROR ")).count();
    let told = if errors == 1 { "1 error, ".to_owned() } else { format!("{errors} errors, ") };
    let last = text.lines().last().unwrap();
    assert!(last.starts_with(&told) && last.ends_with(" passed"), "{text}");
}

#[test]
fn nobody_is_dialled_for_a_stranger() {
    let (address, dir) = (free_address(), tempfile::tempdir().unwrap());
    let _node = Node::start(address, dir.path());
    let secret = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = secret.local_addr().unwrap().port();
    let mut peer = Peer::connect(address, 10911);
    let ask = |ports: &[u16]| {
        Command::request(request::EXTENSION_DIAL_BACK).with_body(dial_back_request(ports))
    };
    let answer = peer.call(&ask(&[port]));
    let told = DialBack::parse(&answer.body).unwrap();
    assert_eq!(
        (told.ports, told.group.as_str()),
        (vec![(port, PortState::NotRegistered)], "broker-a")
    );
    secret.set_nonblocking(true).unwrap();
    assert!(secret.accept().is_err(), "nobody came");
    assert_eq!(peer.call(&ask(&[1; 9])).code, response::SYSTEM_ERROR);
    let codes: Vec<i32> = (0..20).map(|_| peer.call(&ask(&[port])).code).collect();
    assert_eq!(codes.last(), Some(&response::SYSTEM_BUSY), "{codes:?}");
}
