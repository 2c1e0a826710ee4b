//! Checks of the settings, and of this host with them: addresses, ports, limits, kernel, clock.
//!
//! Not the data directory (`disk`) nor the unit (`unit`). Numbers beyond which something is told stand at the top,
//! each with its reason.

use std::net::IpAddr;

use super::cluster::Answers;
use super::host::{Host, Port, PortKind};
use super::{Context, Finding};
use crate::config::Config;
use crate::node;
use crate::node::ports::OTHER_FILES;

/// A node's ports ask for 1 024 waiting connections, and the kernel gives this many at most.
const CONNECTIONS_WAITING: u64 = 1024;
/// What the disk takes in a few seconds; beyond it, one flush stalls every send for longer than clients wait.
const DIRTY_BYTES_MAX: u64 = 8 << 30;
/// The kernel's own default is 20.
const DIRTY_RATIO_MAX: u64 = 40;
/// Beyond it the kernel takes the node's memory rather than cached files that nobody reads again.
const SWAPPINESS_MAX: u64 = 10;
/// Interfaces that only this host's containers and virtual machines are behind.
const BRIDGES: [&str; 7] = ["docker", "br-", "veth", "virbr", "cni", "lxcbr", "podman"];

/// What is wrong with the settings, as `config check` says it.
pub fn settings(context: &Context<'_>) -> Vec<Finding> {
    let loaded = match context.settings {
        Ok(loaded) => loaded,
        Err(wrong) => {
            let finding = |problem: &crate::config::Problem| {
                let place = problem.at.as_deref().unwrap_or("the settings");
                Finding::error(
                    problem.to_string(),
                    "with these settings `rmq-node run` ends with 78 and touches nothing",
                    format!("change {place} as it says, then `rmq-node config check`"),
                )
            };
            return wrong.0.iter().map(finding).collect();
        }
    };
    let config = &loaded.config;
    if let Err(wrong) = node::check_accounts(config) {
        return wrong.0.lines().map(accounts).collect();
    }
    let mut roles: Vec<String> =
        config.brokers.iter().map(|one| format!("{} of {}", one.role, one.group)).collect();
    if config.name_server.is_some() {
        roles.insert(0, "name server".to_owned());
    }
    let kind = if loaded.standalone { "standalone: no broker is configured, " } else { "" };
    vec![Finding::ok(format!("{kind}{} of {}", roles.join(", "), config.cluster))]
}

/// What is wrong with an account file.
fn accounts(problem: &str) -> Finding {
    let why = "with these accounts `rmq-node run` does not start; a node that runs keeps those that it has";
    if problem.contains("Permission denied") {
        return Finding::note(problem, why, "run `rmq-node doctor` as root or as the node's user");
    }
    Finding::error(problem, why, "change the file as it says, then `rmq-node config check`")
}

/// What is bound and what is announced are addresses of this host that others can dial.
pub fn addresses(context: &Context<'_>) -> Vec<Finding> {
    let Some(config) = context.config() else { return Vec::new() };
    let host = &context.host;
    let mut found = Vec::new();
    let listen = config.listen;
    if !listen.is_unspecified() && host.interface(listen).is_none() {
        found.push(Finding::error(
            format!("listen = \"{listen}\" is no address of this host: {}", host.shown_addresses()),
            "no port can be bound there, so the node does not start",
            "write listen = \"0.0.0.0\", or one of these addresses",
        ));
    }
    announced("advertise", config.advertise, config, host, &mut found);
    if config.replication_advertise != config.advertise && !config.brokers.is_empty() {
        announced("replication_advertise", config.replication_advertise, config, host, &mut found);
    }
    found
}

fn announced(key: &str, address: IpAddr, config: &Config, host: &Host, found: &mut Vec<Finding>) {
    let Some(interface) = host.interface(address) else {
        let ports: Vec<String> =
            host.ports.iter().map(|port| format!("-p {0}:{0}", port.number)).collect();
        found.push(Finding::warning(
            format!(
                "{key} = \"{address}\" is no address of this host: {}",
                host.shown_addresses()
            ),
            "if this is a container or behind address translation, others dial exactly the ports that are announced: a \
             mapping such as 10623 -> 10911 sends them to whoever has 10911 there, and a slave is taken for another \
             group's master",
            format!(
                "map every port to the same number ({}), or use the host's network (--network host); else write \
                 {key} with an address of this host",
                ports.join(" ")
            ),
        ));
        return;
    };
    let listen = config.listen;
    if !listen.is_unspecified() && listen != address {
        found.push(Finding::error(
            format!("{key} = \"{address}\" is announced, but listen = \"{listen}\" is bound"),
            "whoever dials what is announced is refused",
            format!("write listen = \"0.0.0.0\", or {key} = \"{listen}\""),
        ));
    } else if BRIDGES.iter().any(|bridge| interface.starts_with(bridge)) {
        found.push(Finding::warning(
            format!("{key} = \"{address}\" is on {interface}, a bridge of containers"),
            "other hosts cannot dial it: their clients and slaves find nobody",
            format!("write {key} with an address that they dial: {}", host.shown_addresses()),
        ));
    } else if address.is_loopback() {
        found.push(Finding::ok(format!("{address} is announced: for this host only")));
    } else {
        found.push(Finding::ok(format!("{address} ({interface}) is announced as {key}")));
    }
}

/// Each port is this node's, or free before its start.
pub fn ports(context: &Context<'_>) -> Vec<Finding> {
    let Some(config) = context.config() else { return Vec::new() };
    let cluster = &context.cluster;
    let all = &context.host.ports;
    let numbers: Vec<String> = all.iter().map(|port| port.number.to_string()).collect();
    let mut found = Vec::new();
    for port in all {
        let answers = cluster.own.get(&port.number);
        found.extend(if cluster.runs { served(port, answers) } else { free(port, answers) });
    }
    if found.is_empty() {
        let what = format!("{} on {}", numbers.join(", "), config.listen);
        found.push(Finding::ok(if cluster.runs {
            format!("{what} are served by this node")
        } else {
            format!(
                "{what} are free; the node does not run: look again after its start, for its registration, peers and \
                 replication"
            )
        }));
    }
    found
}

fn served(port: &Port, answers: Option<&Answers>) -> Option<Finding> {
    let place = format!("{}, {}", port.role, port.number);
    let fix = "see why in its log (`journalctl -u rmq-node`), then `systemctl restart rmq-node`";
    match (answers, &port.holder) {
        (Some(Answers::Other(who)), _) => Some(Finding::error(
            format!("{place}: {who} answers there"),
            "clients of one broker reach another",
            "give each broker ports of its own in [[broker]]",
        )),
        (_, None) => Some(Finding::error(
            format!("{place}: the node runs, but nobody listens there"),
            "this role is down while the others run, or runs with other settings than these",
            fix,
        )),
        (Some(Answers::Nothing(reason)), Some(holder)) => Some(Finding::error(
            format!("{place}: {holder} has it and does not answer: {reason}"),
            "whoever dials it waits in vain",
            fix,
        )),
        _ => None,
    }
}

fn free(port: &Port, answers: Option<&Answers>) -> Option<Finding> {
    let holder = port.holder.as_ref()?;
    let who = match answers {
        Some(Answers::Other(who)) => format!(", {who}"),
        _ => String::new(),
    };
    let key = match port.kind {
        PortKind::NameServer => "port in [name_server]",
        PortKind::Broker(_) => "port of that [[broker]]",
        PortKind::Vip(_) => "port of that [[broker]] (the VIP port is two below)",
        PortKind::Ha(_) => "port of that [[broker]] (the HA port is one above)",
    };
    Some(Finding::error(
        format!("{}, {}: {holder} has it{who}", port.role, port.number),
        "the node binds all its ports or does not start",
        format!("stop that process, or write another {key}"),
    ))
}

/// No port of the node is one that the kernel gives to outgoing connections.
pub fn local_port_range(context: &Context<'_>) -> Vec<Finding> {
    let kernel = &context.host.kernel;
    let Some((first, last)) = kernel.local_ports else { return Vec::new() };
    let is_reserved =
        |port: u16| kernel.reserved_ports.iter().any(|(from, to)| (*from..=*to).contains(&port));
    let numbers = context.host.ports.iter().map(|port| port.number);
    let numbers = numbers.chain(context.admin.as_ref().map(|door| door.address.port()));
    let numbers = numbers.chain(context.console.as_ref().map(|door| door.address.port()));
    let within: Vec<String> = numbers
        .filter(|port| (first..=last).contains(port) && !is_reserved(*port))
        .map(|port| port.to_string())
        .collect();
    if within.is_empty() {
        return Vec::new();
    }
    let mut reserved: Vec<String> =
        kernel.reserved_ports.iter().map(|(from, to)| format!("{from}-{to}")).collect();
    reserved.extend(within.iter().cloned());
    vec![Finding::warning(
        format!(
            "in {first} to {last}, which the kernel gives to outgoing connections: {}",
            within.join(", ")
        ),
        "any program's connection may have the port when the node starts: it then does not start",
        sysctl("net.ipv4.ip_local_reserved_ports", &reserved.join(",")),
    )]
}

/// A process may open as many files as connections and segments need.
pub fn open_files(context: &Context<'_>) -> Vec<Finding> {
    let Some(config) = context.config() else { return Vec::new() };
    let of_unit = context.unit.as_ref().and_then(|unit| unit.files_max);
    let (files_max, whose) = match (of_unit, &context.host.files_max) {
        (Some(number), _) => (number, "LimitNOFILE of the unit"),
        (None, Some(limit)) => (limit.number, limit.whose),
        (None, None) => return Vec::new(),
    };
    let connections = u64::try_from(config.limits.connections_max).unwrap_or(u64::MAX);
    let wanted = connections.saturating_add(OTHER_FILES);
    if files_max >= wanted {
        let shown =
            if files_max == u64::MAX { "any number of".to_owned() } else { files_max.to_string() };
        return vec![Finding::ok(format!("{shown} open files for {connections} connections"))];
    }
    let fewer = files_max.saturating_sub(OTHER_FILES);
    let raise = match of_unit {
        Some(_) => format!("write LimitNOFILE={wanted} in [Service] (`systemctl edit rmq-node`)"),
        None => format!("ulimit -n {wanted} before `rmq-node run`"),
    };
    vec![Finding::warning(
        format!(
            "a process may open {files_max} files ({whose}), and {connections} connections need {wanted}"
        ),
        "connections beyond it are not accepted, and a segment or database may not be opened",
        format!("{raise}, or limits.connections_max = {fewer} in the settings"),
    )]
}

/// The kernel's settings that matter to a log that is appended to.
pub fn kernel(context: &Context<'_>) -> Vec<Finding> {
    let kernel = &context.host.kernel;
    let mut found = Vec::new();
    if let Some(waiting) = kernel.connections_waiting_max.filter(|max| *max < CONNECTIONS_WAITING) {
        found.push(Finding::note(
            format!("net.core.somaxconn is {waiting}"),
            "when all clients connect again at once, those beyond it wait for seconds",
            sysctl("net.core.somaxconn", "4096"),
        ));
    }
    found.extend(dirty(context));
    if kernel.huge_pages_always == Some(true) {
        found.push(Finding::note(
            "transparent huge pages are always given",
            "the node's memory grows in steps of 2 MiB, and compaction stalls it now and then",
            "echo madvise > /sys/kernel/mm/transparent_hugepage/enabled; at each boot: the kernel parameter \
             transparent_hugepage=madvise",
        ));
    }
    let swaps = kernel.swap_bytes.is_some_and(|bytes| bytes > 0);
    if let Some(swappiness) = kernel.swappiness.filter(|value| swaps && *value > SWAPPINESS_MAX) {
        found.push(Finding::note(
            format!("vm.swappiness is {swappiness}, and there is swap"),
            "the log fills the page cache, and the kernel swaps the node out to keep it: sends then stall",
            sysctl("vm.swappiness", "1"),
        ));
    }
    if found.is_empty() {
        found.push(Finding::ok("its settings suit the node"));
    }
    found
}

/// How much may wait for the disk.
fn dirty(context: &Context<'_>) -> Option<Finding> {
    let kernel = &context.host.kernel;
    let bytes = kernel.dirty_bytes.filter(|bytes| *bytes > 0);
    let (what, is_much) = match (bytes, kernel.dirty_ratio) {
        (Some(bytes), _) => {
            (format!("vm.dirty_bytes is {} MiB", bytes >> 20), bytes > DIRTY_BYTES_MAX)
        }
        (None, Some(ratio)) => {
            let bytes = kernel.memory_bytes.map(|memory| memory / 100 * ratio);
            let is_much = bytes.map_or(ratio > DIRTY_RATIO_MAX, |bytes| bytes > DIRTY_BYTES_MAX);
            let shown = bytes.map(|bytes| format!(" ({} MiB)", bytes >> 20)).unwrap_or_default();
            (format!("vm.dirty_ratio is {ratio}{shown}"), is_much)
        }
        (None, None) => return None,
    };
    is_much.then(|| {
        Finding::warning(
            what,
            "so much may wait for the disk that writing it stalls every send for longer than clients wait; all of it \
             is lost with the power unless flush = \"sync\"",
            sysctl("vm.dirty_bytes", "1073741824"),
        )
    })
}

fn sysctl(key: &str, value: &str) -> String {
    format!("echo '{key} = {value}' > /etc/sysctl.d/90-rmq-node.conf && sysctl --system")
}

/// Somebody keeps the clock right.
pub fn clock(context: &Context<'_>) -> Vec<Finding> {
    vec![match &context.host.time_keeper {
        Some(keeper) => Finding::ok(format!("kept by {keeper}")),
        None => Finding::note(
            "no time keeper is seen (chronyd, ntpd, systemd-timesyncd)",
            "store times decide when messages are deleted, delivered late and found by time; in a container or virtual \
             machine the clock may be its host's",
            "apt install chrony, or `timedatectl set-ntp true`",
        ),
    }]
}
