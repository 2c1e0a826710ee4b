//! Each check of a host: silent where all is well, and told where one thing is not.

use std::path::Path;

use super::admin_door::AdminDoor;
use super::cluster::{Answers, Cluster};
use super::console_door::ConsoleDoor;
use super::disk::{self, DataDirectory, Mount, Owned, Runner, Space};
use super::host::{FilesMax, Host, Kernel, Port, PortKind};
use super::*;
use crate::config::check_text;

const GIB: u64 = 1 << 30;

/// The tutorial's first host.
pub(super) const PAIR: &str = include_str!("../../../conf/2m-2s-async/192.168.1.161.toml");

pub(super) fn loaded(text: &str) -> Loaded {
    check_text("a.toml", text).unwrap()
}

/// That host with nothing wrong, the node not started yet.
pub(super) fn context(loaded: &Loaded) -> Context<'_> {
    let port =
        |kind, role: &str, number| Port { kind, role: role.to_owned(), number, holder: None };
    let ports = vec![
        port(PortKind::NameServer, "port of the name server", 9876),
        port(PortKind::Vip(0), "VIP port of broker-a", 10909),
        port(PortKind::Broker(0), "port of broker-a", 10911),
        port(PortKind::Ha(0), "HA port of broker-a", 10912),
    ];
    let interface = |name: &str, address: &str| (name.to_owned(), address.parse().unwrap());
    let kernel = Kernel {
        memory_bytes: Some(16 * GIB),
        swap_bytes: Some(0),
        swappiness: Some(60),
        dirty_ratio: Some(20),
        dirty_bytes: Some(0),
        connections_waiting_max: Some(4096),
        huge_pages_always: Some(false),
        local_ports: Some((32_768, 60_999)),
        reserved_ports: Vec::new(),
    };
    let path = Path::new("/var/lib/rmq-node");
    let data = DataDirectory {
        path: path.to_owned(),
        runner: Runner { name: "rmq-node".to_owned(), uid: 998, gid: 997 },
        nearest: Some(Owned {
            path: path.to_owned(),
            uid: 998,
            gid: 997,
            mode: 0o40750,
            is_dir: true,
        }),
        foreign: Vec::new(),
        space: Some(Space {
            total: 100 * GIB,
            used: 20 * GIB,
            usable: 80 * GIB,
            inodes: 1 << 20,
            inodes_free: 1 << 19,
        }),
        mount: Some(Mount { point: "/".to_owned(), kind: "ext4".to_owned(), read_only: false }),
    };
    let host = Host {
        addresses: vec![interface("lo", "127.0.0.1"), interface("eth0", "192.168.1.161")],
        ports,
        data: Some(data),
        files_max: Some(FilesMax { number: 1 << 20, whose: "the hard limit of this shell" }),
        kernel,
        time_keeper: Some("chronyd".to_owned()),
    };
    let cluster = Cluster::default();
    Context {
        settings: Ok(loaded),
        host,
        unit: None,
        tls: None,
        admin: None,
        console: None,
        cluster,
    }
}

/// What is not well, as `severity: what`.
pub(super) fn told(findings: &[Finding]) -> Vec<String> {
    let bad = findings.iter().filter(|one| one.severity != Severity::Ok);
    bad.map(|one| format!("{:?}: {}", one.severity, one.what)).collect()
}

/// The only finding that is not well, which says all three things.
pub(super) fn only(findings: Vec<Finding>) -> Finding {
    let mut bad = findings.into_iter().filter(|one| one.severity != Severity::Ok);
    let first = bad.next().expect("a finding");
    assert_eq!(bad.next(), None);
    assert!(!first.why.is_empty() && !first.fix.is_empty(), "{first:?}");
    first
}

#[test]
fn a_host_with_nothing_wrong_is_told_as_that() {
    let loaded = loaded(PAIR);
    let findings = findings(&context(&loaded));
    assert_eq!(told(&findings), [""; 0]);
    let checks: Vec<&str> = findings.iter().map(|one| one.check).collect();
    let expected = [
        "settings",
        "addresses",
        "ports",
        "data directory",
        "data directory",
        "data directory",
        "limits",
        "kernel",
        "clock",
    ];
    assert_eq!(checks, expected);
}

#[test]
fn wrong_settings_are_told_with_their_place_and_the_host_is_looked_at_all_the_same() {
    let text = PAIR.replace(
        "\"192.168.1.161:9876\", \"192.168.1.162:9876\"",
        "\"192.168.1.161;192.168.1.162:9876\"",
    );
    let wrong = check_text("a.toml", &text).unwrap_err();
    let right = loaded(PAIR);
    let mut context = Context { settings: Err(&wrong), ..context(&right) };
    let Finding { what, why, fix, .. } = only(findings(&context));
    assert_eq!(
        what,
        "a.toml:6:16: \"192.168.1.161;192.168.1.162:9876\" is more than one address, and 192.168.1.161 has no port: \
         write [\"192.168.1.161:9876\", \"192.168.1.162:9876\"]"
    );
    assert_eq!(why, "with these settings `rmq-node run` ends with 78 and touches nothing");
    assert_eq!(fix, "change a.toml:6:16 as it says, then `rmq-node config check`");
    context.host.kernel.huge_pages_always = Some(true);
    assert_eq!(told(&findings(&context)).len(), 2);
}

#[test]
fn addresses_that_are_not_this_hosts_are_told_with_those_that_are() {
    let loaded = loaded(PAIR);
    let mut context = context(&loaded);
    context.host.addresses[1].1 = "172.17.0.3".parse().unwrap();
    let Finding { severity, what, why, fix, .. } = only(host_checks::addresses(&context));
    assert_eq!(severity, Severity::Warning);
    assert_eq!(what, "advertise = \"192.168.1.161\" is no address of this host: 172.17.0.3 (eth0)");
    // The tutorial's mapping.
    assert!(why.contains("10623 -> 10911"), "{why}");
    let expected = "map every port to the same number (-p 9876:9876 -p 10909:10909 -p 10911:10911 -p 10912:10912)";
    assert!(fix.starts_with(expected), "{fix}");
}

#[test]
fn what_is_bound_is_what_is_announced() {
    let two = |listen: &str| loaded(&format!("listen = \"{listen}\"\n{PAIR}"));
    let bound = two("192.168.1.161");
    assert!(told(&host_checks::addresses(&context(&bound))).is_empty());
    let gone = two("192.168.1.170");
    let texts = told(&host_checks::addresses(&context(&gone)));
    assert_eq!(
        texts,
        [
            "Error: listen = \"192.168.1.170\" is no address of this host: 192.168.1.161 (eth0)",
            "Error: advertise = \"192.168.1.161\" is announced, but listen = \"192.168.1.170\" is bound"
        ]
    );
    let other = loaded(
        &PAIR.replace("advertise    =", "replication_advertise = \"10.0.0.1\"\nadvertise    ="),
    );
    let finding = only(host_checks::addresses(&context(&other)));
    assert!(
        finding.what.starts_with("replication_advertise = \"10.0.0.1\" is no address"),
        "{finding:?}"
    );
}

#[test]
fn an_address_on_a_bridge_of_containers_is_told() {
    let loaded = loaded(PAIR);
    let mut context = context(&loaded);
    context.host.addresses[1].0 = "br-0123".to_owned();
    let finding = only(host_checks::addresses(&context));
    assert_eq!(finding.what, "advertise = \"192.168.1.161\" is on br-0123, a bridge of containers");
}

#[test]
fn a_port_that_somebody_has_is_told_before_the_start() {
    let loaded = loaded(PAIR);
    let mut context = context(&loaded);
    context.host.ports[3].holder = Some("process 12 (java)".to_owned());
    let Finding { what, fix, severity, .. } = only(host_checks::ports(&context));
    assert_eq!(
        (severity, what.as_str()),
        (Severity::Error, "HA port of broker-a, 10912: process 12 (java) has it")
    );
    assert_eq!(
        fix,
        "stop that process, or write another port of that [[broker]] (the HA port is one above)"
    );
    context.host.ports[3].holder = None;
    context.host.ports[2].holder = Some("process 12 (java)".to_owned());
    context.cluster.own.insert(10911, Answers::Other("broker-b (0)".to_owned()));
    let finding = only(host_checks::ports(&context));
    assert_eq!(finding.what, "port of broker-a, 10911: process 12 (java) has it, broker-b (0)");
}

#[test]
fn the_port_of_the_admin_api_is_this_nodes_or_free() {
    let loaded = loaded(PAIR);
    let mut context = context(&loaded);
    let node = || Some("process 12 (rmq-node)".to_owned());
    let mut look = |holder: Option<&str>, runs: bool| {
        context.host.ports[2].holder = runs.then(node).flatten();
        context.cluster.runs = runs;
        context.cluster.own =
            if runs { [(10911, Answers::Ours)].into() } else { Default::default() };
        context.admin = Some(AdminDoor {
            address: "127.0.0.1:9877".parse().unwrap(),
            holder: holder.map(str::to_owned),
            logins: Ok(()),
            file: None,
        });
        told(&admin_door::port(&context))
    };
    assert_eq!(look(None, false), [""; 0]);
    assert_eq!(look(node().as_deref(), true), [""; 0]);
    let place = "Error: port of the admin API, 127.0.0.1:9877";
    assert_eq!(look(None, true), [format!("{place}: the node runs, but nobody listens there")]);
    let other = "process 13 (rmq-node)";
    for runs in [false, true] {
        assert_eq!(look(Some(other), runs), [format!("{place}: {other} has it")]);
    }
    context.host.kernel.local_ports = Some((9877, 9877));
    let finding = only(host_checks::local_port_range(&context));
    assert!(finding.what.ends_with("outgoing connections: 9877"), "{finding:?}");
}

#[test]
fn logins_that_the_node_cannot_read_are_told() {
    let loaded = loaded(PAIR);
    let mut context = context(&loaded);
    let mut look = |logins: Result<(), &str>, uid: u32, mode: u32| {
        let path = Path::new("/etc/rmq-node/logins.toml").to_owned();
        context.admin = Some(AdminDoor {
            address: "127.0.0.1:9877".parse().unwrap(),
            holder: None,
            logins: logins.map_err(str::to_owned),
            file: Some(Owned { path, uid, gid: 997, mode, is_dir: false }),
        });
        told(&admin_door::logins(&context))
    };
    for (uid, mode) in [(998, 0o100_600), (0, 0o100_640)] {
        assert_eq!(look(Ok(()), uid, mode), [""; 0]);
    }
    let unreadable = "/etc/rmq-node/logins.toml cannot be read by rmq-node, whom the node runs as";
    assert_eq!(look(Ok(()), 0, 0o100_600), [format!("Error: {unreadable}")]);
    assert_eq!(look(Err("no"), 998, 0o100_600), ["Error: no"]);
    let denied = "x: Permission denied (os error 13)";
    assert_eq!(look(Err(denied), 998, 0o100_600), [format!("Note: {denied}")]);
}

#[test]
fn the_port_of_the_console_is_this_nodes_or_can_be() {
    let loaded = loaded(PAIR);
    let mut context = context(&loaded);
    let node = || Some("process 12 (rmq-node)".to_owned());
    let mut look = |address: &str, holder: Option<&str>, runs: bool, is_wanted: bool| {
        context.host.ports[2].holder = runs.then(node).flatten();
        context.cluster.runs = runs;
        context.cluster.own =
            if runs { [(10911, Answers::Ours)].into() } else { Default::default() };
        context.console = Some(ConsoleDoor {
            address: address.parse().unwrap(),
            is_wanted,
            holder: holder.map(str::to_owned),
            password: None,
        });
        console_door::port(&context).remove(0)
    };
    let place = "127.0.0.1:8080";
    assert_eq!(
        look(place, None, false, false).what,
        "port of the console, 127.0.0.1:8080, is free"
    );
    assert_eq!(look("0.0.0.0:8080", None, false, true).severity, Severity::Ok);
    assert_eq!(look(place, node().as_deref(), true, false).severity, Severity::Ok);
    let other = "process 13 (tomcat)";
    let found = look(place, Some(other), false, false);
    assert_eq!(found.severity, Severity::Warning);
    assert_eq!(found.what, format!("port of the console, {place}: {other} has it"));
    assert_eq!(found.why, "the node runs without console and /metrics");
    let found = look(place, Some(other), false, true);
    assert_eq!(found.severity, Severity::Error);
    assert_eq!(found.why, "with [console] in its settings the node does not start");
    let found = look(place, Some(other), true, true);
    assert_eq!(found.why, "with [console] in its settings it will not start again");
    let found = look(place, None, true, false);
    assert_eq!(found.severity, Severity::Warning);
    assert!(found.what.ends_with(": the node runs, but nobody listens there"), "{found:?}");
    let found = look("198.51.100.1:8080", None, false, true);
    assert_eq!(found.severity, Severity::Error);
    assert!(found.what.ends_with("198.51.100.1:8080: this host has no such address"), "{found:?}");
    context.host.kernel.local_ports = Some((8080, 8080));
    let finding = only(host_checks::local_port_range(&context));
    assert!(finding.what.ends_with("outgoing connections: 8080"), "{finding:?}");
}

#[test]
fn a_first_password_that_only_the_node_can_read_is_well() {
    let loaded = loaded(PAIR);
    let mut context = context(&loaded);
    let mut look = |uid: u32, mode: u32, is_dir: bool| {
        let path = Path::new("/d/console-admin-password").to_owned();
        context.console = Some(ConsoleDoor {
            address: "127.0.0.1:8080".parse().unwrap(),
            is_wanted: false,
            holder: None,
            password: Some(Owned { path, uid, gid: 997, mode, is_dir }),
        });
        let found = console_door::password(&context).remove(0);
        format!("{:?}: {}; {}", found.severity, found.what, found.fix)
    };
    let name = "/d/console-admin-password";
    let told = look(998, 0o100_600, false);
    assert_eq!(told, format!("Ok: the password for the first log-in is in {name}; "));
    let told = look(0, 0o100_600, false);
    let unreadable = "cannot be read by rmq-node, whom the node runs as";
    assert_eq!(told, format!("Error: {name} {unreadable}; chown rmq-node {name}"));
    let told = look(998, 0o100_644, false);
    let open = "can be read by others (mode 644)";
    assert_eq!(told, format!("Warning: {name} {open}; chmod 600 {name}"));
    let told = look(998, 0o040_700, true);
    assert_eq!(told, format!("Error: {name} is a folder; rmdir {name}"));
    context.console = None;
    assert_eq!(console_door::password(&context), []);
}

#[test]
fn a_port_that_does_not_answer_is_told_once_the_node_runs() {
    let loaded = loaded(PAIR);
    let mut context = context(&loaded);
    context.cluster.runs = true;
    for port in &mut context.host.ports {
        port.holder = Some("process 7 (rmq-node)".to_owned());
    }
    for port in [9876, 10909, 10911] {
        context.cluster.own.insert(port, Answers::Ours);
    }
    let ok = host_checks::ports(&context);
    assert_eq!(ok[0].what, "9876, 10909, 10911, 10912 on 0.0.0.0 are served by this node");
    let mut one = |port, answers| {
        let before = context.cluster.own.insert(port, answers).unwrap();
        let finding = only(host_checks::ports(&context));
        context.cluster.own.insert(port, before);
        finding.what
    };
    assert_eq!(
        one(10911, Answers::Other("broker-b (0)".to_owned())),
        "port of broker-a, 10911: broker-b (0) answers there"
    );
    assert_eq!(
        one(9876, Answers::Nothing("no answer".to_owned())),
        "port of the name server, 9876: process 7 (rmq-node) has it and does not answer: no answer"
    );
    context.host.ports[3].holder = None;
    assert_eq!(
        only(host_checks::ports(&context)).what,
        "HA port of broker-a, 10912: the node runs, but nobody listens there"
    );
}

#[test]
fn ports_that_outgoing_connections_get_are_told_unless_they_are_reserved() {
    let loaded = loaded(PAIR);
    let mut context = context(&loaded);
    context.host.kernel.local_ports = Some((10_911, 60_999));
    context.host.kernel.reserved_ports = vec![(10_912, 10_920)];
    let Finding { what, fix, .. } = only(host_checks::local_port_range(&context));
    assert_eq!(what, "in 10911 to 60999, which the kernel gives to outgoing connections: 10911");
    assert_eq!(
        fix,
        "echo 'net.ipv4.ip_local_reserved_ports = 10912-10920,10911' > /etc/sysctl.d/90-rmq-node.conf && sysctl --system"
    );
    context.host.kernel.reserved_ports.push((10_911, 10_911));
    assert!(host_checks::local_port_range(&context).is_empty());
}

#[test]
fn too_few_open_files_are_told_with_whose_limit_it_is() {
    let loaded = loaded(PAIR);
    let mut context = context(&loaded);
    context.host.files_max = Some(FilesMax { number: 1024, whose: "the hard limit of this shell" });
    let Finding { what, fix, .. } = only(host_checks::open_files(&context));
    let expected = "a process may open 1024 files (the hard limit of this shell), and 20000 connections need 21024";
    assert_eq!(what, expected);
    assert_eq!(
        fix,
        "ulimit -n 21024 before `rmq-node run`, or limits.connections_max = 0 in the settings"
    );
    context.unit = Some(Unit { files_max: Some(4096), ..Unit::default() });
    let Finding { what, fix, .. } = only(host_checks::open_files(&context));
    assert!(what.contains("4096 files (LimitNOFILE of the unit)"), "{what}");
    assert!(fix.starts_with("write LimitNOFILE=21024 in [Service]"), "{fix}");
    context.unit = Some(Unit { files_max: Some(u64::MAX), ..Unit::default() });
    assert!(told(&host_checks::open_files(&context)).is_empty());
}

#[test]
fn settings_of_the_kernel_that_hurt_are_told() {
    let loaded = loaded(PAIR);
    let told_with = |change: fn(&mut Kernel)| {
        let mut context = context(&loaded);
        change(&mut context.host.kernel);
        let Finding { severity, what, .. } = only(host_checks::kernel(&context));
        format!("{severity:?}: {what}")
    };
    assert_eq!(
        told_with(|one| one.connections_waiting_max = Some(128)),
        "Note: net.core.somaxconn is 128"
    );
    assert_eq!(
        told_with(|one| one.dirty_ratio = Some(60)),
        "Warning: vm.dirty_ratio is 60 (9830 MiB)"
    );
    assert_eq!(
        told_with(|one| one.dirty_bytes = Some(9 * GIB)),
        "Warning: vm.dirty_bytes is 9216 MiB"
    );
    assert_eq!(
        told_with(|one| one.swap_bytes = Some(1)),
        "Note: vm.swappiness is 60, and there is swap"
    );
    assert_eq!(
        told_with(|one| one.huge_pages_always = Some(true)),
        "Note: transparent huge pages are always given"
    );
    let unknown = Context {
        host: Host { kernel: Kernel::default(), ..context(&loaded).host },
        ..context(&loaded)
    };
    assert!(told(&host_checks::kernel(&unknown)).is_empty(), "what is not known is no finding");
}

#[test]
fn a_clock_that_nobody_keeps_is_told() {
    let loaded = loaded(PAIR);
    let mut context = context(&loaded);
    context.host.time_keeper = None;
    assert_eq!(only(host_checks::clock(&context)).severity, Severity::Note);
}

/// A context whose data directory was changed.
fn with_data<'a>(loaded: &'a Loaded, change: impl FnOnce(&mut DataDirectory)) -> Context<'a> {
    let mut context = context(loaded);
    change(context.host.data.as_mut().unwrap());
    context
}

#[test]
fn owners_and_modes_of_the_data_directory_are_told_with_the_command() {
    let loaded = loaded(PAIR);
    let told = |change: fn(&mut DataDirectory)| {
        let Finding { severity, what, fix, .. } =
            only(disk::permissions(&with_data(&loaded, change)));
        (severity, what, fix)
    };
    let owned =
        |path: &str, uid, mode| Owned { path: path.into(), uid, gid: 0, mode, is_dir: true };
    let (severity, what, fix) = told(|data| data.nearest.as_mut().unwrap().uid = 0);
    assert_eq!(severity, Severity::Error);
    assert_eq!(
        what,
        "/var/lib/rmq-node belongs to root (mode 750), and rmq-node may not write there"
    );
    assert_eq!(fix, "chown -R rmq-node: /var/lib/rmq-node");
    let (_, what, fix) = told(|data| {
        data.nearest =
            Some(Owned { path: "/var/lib".into(), uid: 0, gid: 0, mode: 0o40755, is_dir: true })
    });
    assert_eq!(what, "/var/lib belongs to root (mode 755), and rmq-node may not write there");
    assert_eq!(fix, "install -d -m 750 -o rmq-node /var/lib/rmq-node");
    let (severity, what, fix) = told(|data| data.nearest.as_mut().unwrap().mode = 0o40777);
    assert_eq!(
        (severity, what.as_str()),
        (Severity::Warning, "/var/lib/rmq-node may be written to by everybody (mode 777)")
    );
    assert_eq!(fix, "chmod -R o-rwx /var/lib/rmq-node");
    let (severity, what, _) = told(|data| data.nearest.as_mut().unwrap().is_dir = false);
    assert_eq!(
        (severity, what.as_str()),
        (Severity::Error, "/var/lib/rmq-node is in the way: it is a file")
    );
    // A store that was copied as root.
    let copied = owned("/var/lib/rmq-node/broker-a/commitlog", 0, 0o40755);
    let mut context = with_data(&loaded, |data| data.foreign = vec![copied]);
    let Finding { severity, what, fix, .. } = only(disk::permissions(&context));
    assert_eq!((severity, fix.as_str()), (Severity::Error, "chown -R rmq-node: /var/lib/rmq-node"));
    assert_eq!(what, "/var/lib/rmq-node/broker-a/commitlog belongs to root, not to rmq-node");
    context.unit =
        Some(Unit { state_directory: Some("/var/lib/rmq-node".into()), ..Unit::default() });
    assert_eq!(only(disk::permissions(&context)).severity, Severity::Error, "its head is right");
    context.host.data.as_mut().unwrap().nearest.as_mut().unwrap().uid = 0;
    assert_eq!(only(disk::permissions(&context)).severity, Severity::Note, "systemd gives it away");
}

#[test]
fn a_disk_that_is_nearly_full_is_told_by_the_settings_measure() {
    let loaded = loaded(PAIR);
    let told = |space: Space| {
        let context = with_data(&loaded, |data| data.space = Some(space));
        let Finding { severity, what, why, .. } = only(disk::space(&context));
        format!("{severity:?}: {what}: {why}")
    };
    // 600 GiB are kept for root: neither used nor to be used.
    let space = |usable| Space {
        total: 1000 * GIB,
        used: (400 * GIB) - usable,
        usable,
        inodes: 0,
        inodes_free: 0,
    };
    let what = |used, free| {
        format!("{used} % of the disk under /var/lib/rmq-node are used, {free} GiB are free")
    };
    let expected = format!(
        "Note: {}: beyond 75 % expired files are deleted at any hour, beyond 85 % the oldest ones, read or not",
        what("80.0", 80)
    );
    assert_eq!(told(space(80 * GIB)), expected);
    let expected = format!(
        "Warning: {}: beyond 85 % the oldest files of the log are deleted, read or not",
        what("87.5", 50)
    );
    assert_eq!(told(space(50 * GIB)), expected);
    let expected = format!("Error: {}: beyond 90 % every send is refused", what("95.0", 20));
    assert_eq!(told(space(20 * GIB)), expected);
    let small = Space { total: 4 * GIB, used: GIB, usable: 3 * GIB, inodes: 0, inodes_free: 0 };
    let expected = "Warning: 3072 MiB are free under /var/lib/rmq-node, 2 segments for each broker here need 4096 MiB: ";
    assert!(told(small).starts_with(expected), "{}", told(small));
    let inodes = Space { inodes: 1 << 20, inodes_free: 9, ..space(390 * GIB) };
    let expected = "Warning: 9 of 1048576 inodes are free under /var/lib/rmq-node: ";
    assert!(told(inodes).starts_with(expected), "{}", told(inodes));
}

#[test]
fn file_systems_that_forget_are_told() {
    let loaded = loaded(PAIR);
    let told = |kind: &str, read_only| {
        let mount = Mount { point: "/data".to_owned(), kind: kind.to_owned(), read_only };
        told(&disk::filesystem(&with_data(&loaded, |data| data.mount = Some(mount))))
    };
    assert_eq!(told("tmpfs", false), ["Warning: /var/lib/rmq-node is on tmpfs, which is memory"]);
    assert_eq!(
        told("overlay", false),
        ["Warning: /var/lib/rmq-node is on overlay, a container's own layer"]
    );
    assert_eq!(
        told("nfs4", false),
        ["Warning: /var/lib/rmq-node is on nfs4, a network file system"]
    );
    assert_eq!(
        told("ext4", true),
        ["Error: /var/lib/rmq-node is on /data, which is mounted read-only"]
    );
    for kind in ["ext4", "xfs", "btrfs", "zfs"] {
        assert!(told(kind, false).is_empty(), "{kind}");
    }
}

/// A unit as `conf` would be started by.
fn unit(text: &str) -> Option<Unit> {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("rmq-node.service"), format!("[Service]\n{text}\n")).unwrap();
    let unit = Unit::find_in(&[dir.path()]);
    unit.map(|unit| Unit { path: "/etc/systemd/system/rmq-node.service".into(), ..unit })
}

#[test]
fn a_sandbox_that_hides_the_data_is_told_with_the_drop_in() {
    let loaded = loaded(PAIR);
    let told = |path: &str, text: &str| {
        let mut context = with_data(&loaded, |data| data.path = path.into());
        context.unit = unit(text);
        let found = unit::sandbox(&context);
        (found[0].severity, found[0].what.clone(), found[0].fix.clone())
    };
    let strict = "ProtectSystem=strict\nProtectHome=yes\nStateDirectory=rmq-node";
    assert_eq!(told("/var/lib/rmq-node", strict).0, Severity::Ok);
    let (severity, what, fix) = told("/data/rocketmq", strict);
    assert_eq!(severity, Severity::Error);
    assert_eq!(
        what,
        "/data/rocketmq is read-only for the unit: ProtectSystem=strict in /etc/systemd/system/rmq-node.service"
    );
    assert_eq!(
        fix,
        "`systemctl edit rmq-node`: RequiresMountsFor=/data/rocketmq in [Unit], ReadWritePaths=/data/rocketmq in [Service]"
    );
    let (_, what, _) = told("/home/rocketmq/store", strict);
    assert_eq!(
        what,
        "/home/rocketmq/store is hidden from the unit: ProtectHome=yes in /etc/systemd/system/rmq-node.service"
    );
    let (severity, what, _) = told("./rmq-node-data", "User=x");
    assert_eq!(severity, Severity::Error);
    assert!(what.ends_with("has no StateDirectory="), "{what}");
    let mut context = context(&loaded);
    context.unit = unit("User=no-such-user-here");
    let finding = only(unit::user(&context));
    assert!(finding.what.starts_with("there is no user no-such-user-here"), "{finding:?}");
    context.unit = unit("User=root");
    assert!(unit::user(&context).is_empty());
}

#[test]
fn a_data_directory_is_looked_at_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let text =
        format!("data_dir = \"{}\"\nlisten = \"127.0.0.1\"\n", dir.path().join("a/b").display());
    let loaded = loaded(&text);
    let data = DataDirectory::look(&loaded.config, None);
    assert_eq!(data.nearest.unwrap().path, dir.path());
    assert!(data.space.unwrap().total > 0 && data.mount.is_some());
    std::fs::create_dir_all(dir.path().join("a/b/broker-a/commitlog")).unwrap();
    let data = DataDirectory::look(&loaded.config, None);
    assert_eq!(data.nearest.unwrap().path, dir.path().join("a/b"));
    assert!(data.foreign.is_empty(), "all is this process's own");
}

#[test]
fn certificates_that_will_not_do_are_told_before_they_end() {
    let text = format!("{PAIR}\n[tls]\ncertificate_file = \"a.crt\"\nkey_file = \"a.key\"\n");
    let loaded = loaded(&text);
    let found = |days_left, findings: &[&str]| {
        let findings = findings.iter().map(|&one| one.to_owned()).collect();
        let tls = Some(Ok(tls::Files { days_left, findings }));
        tls::certificates(&Context { tls, ..context(&loaded) })
    };
    let severity = |found: Vec<Finding>| found.iter().map(|one| one.severity).collect::<Vec<_>>();
    assert_eq!(severity(found(100, &[])), [Severity::Ok]);
    assert_eq!(severity(found(20, &["it ends", "it names another"])), [Severity::Warning; 2]);
    assert_eq!(severity(found(-1, &["it has ended"])), [Severity::Error]);
    let unread = |why: &str| {
        let tls = Some(Err(why.to_owned()));
        severity(tls::certificates(&Context { tls, ..context(&loaded) }))
    };
    assert_eq!(unread("a.key: Permission denied"), [Severity::Note]);
    assert_eq!(unread("a.key: No such file"), [Severity::Error]);
    assert_eq!(severity(tls::certificates(&context(&loaded))), []);
}
