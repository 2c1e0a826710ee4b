//! Facts of this host: its addresses, who listens on the node's ports, the kernel's settings, and who keeps its clock.
//!
//! Not what they mean (`host_checks`), nor the disk (`disk`). Invariant: what cannot be read is unknown, and no error.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

use nix::ifaddrs::getifaddrs;
use nix::sys::resource::{Resource, getrlimit};

use super::disk::DataDirectory;
use super::unit::Unit;
use crate::config::Config;
use crate::node::ports;

/// Programs that keep a clock right, as the kernel names their processes (15 characters).
const TIME_KEEPERS: [&str; 5] = ["chronyd", "ntpd", "openntpd", "ptp4l", "systemd-timesyn"];
/// How `ports::holder` ends for a node.
const NODE_NAME: &str = "(rmq-node)";
/// What timesyncd touches each time it has set the clock.
const SYNCHRONIZED: &str = "/run/systemd/timesync/synchronized";

/// A host.
#[derive(Debug, Default)]
pub struct Host {
    /// Its addresses, each with its interface.
    pub addresses: Vec<(String, IpAddr)>,
    /// The ports of the node.
    pub ports: Vec<Port>,
    /// Where the node keeps everything; `None` with wrong settings.
    pub data: Option<DataDirectory>,
    /// How many files the running node may open, or one that is started as this process was.
    pub files_max: Option<FilesMax>,
    pub kernel: Kernel,
    /// Who keeps the clock right, if that can be seen.
    pub time_keeper: Option<String>,
}

/// How many files a process may open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilesMax {
    pub number: u64,
    /// Whose number it is.
    pub whose: &'static str,
}

/// What a port of the node is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PortKind {
    NameServer,
    /// Of the broker with this place in the settings.
    Broker(usize),
    Vip(usize),
    Ha(usize),
}

/// A port of the node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    pub kind: PortKind,
    /// What it is called: `port of broker-a`.
    pub role: String,
    pub number: u16,
    /// Who listens there, if anybody does.
    pub holder: Option<String>,
}

/// Settings of the kernel; what is not known is `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kernel {
    pub memory_bytes: Option<u64>,
    pub swap_bytes: Option<u64>,
    pub swappiness: Option<u64>,
    /// Percent of the memory that may wait for the disk.
    pub dirty_ratio: Option<u64>,
    /// The same in bytes; 0 if the ratio counts.
    pub dirty_bytes: Option<u64>,
    pub connections_waiting_max: Option<u64>,
    /// Whether memory is always given in huge pages.
    pub huge_pages_always: Option<bool>,
    /// The ports that outgoing connections get, first and last.
    pub local_ports: Option<(u16, u16)>,
    /// Those of them that they do not get.
    pub reserved_ports: Vec<(u16, u16)>,
}

impl Host {
    /// Looks at everything; without settings at what does not depend on them.
    pub fn look(config: Option<&Config>, unit: Option<&Unit>) -> Self {
        let ports = config.map(own_ports).unwrap_or_default();
        Self {
            addresses: addresses(),
            files_max: files_max(&ports),
            ports,
            data: config.map(|config| DataDirectory::look(config, unit)),
            kernel: Kernel::read(),
            time_keeper: time_keeper(),
        }
    }

    /// The interface that has an address; all of 127.0.0.0/8 is every host's own.
    pub fn interface(&self, address: IpAddr) -> Option<&str> {
        let found = self.addresses.iter().find(|(_, one)| *one == address);
        found.map(|(name, _)| name.as_str()).or(address.is_loopback().then_some("lo"))
    }

    /// Its addresses but loopback and link-local ones, for a text.
    pub fn shown_addresses(&self) -> String {
        let is_link_local = |address: IpAddr| match address {
            IpAddr::V4(v4) => v4.is_link_local(),
            IpAddr::V6(v6) => v6.is_unicast_link_local(),
        };
        let others =
            self.addresses.iter().filter(|(_, one)| !one.is_loopback() && !is_link_local(*one));
        let shown: Vec<String> = others.map(|(name, one)| format!("{one} ({name})")).collect();
        if shown.is_empty() { "none but loopback".to_owned() } else { shown.join(", ") }
    }
}

/// Where a process of this host dials what is bound on `listen`.
pub fn dialled_here(listen: IpAddr) -> IpAddr {
    match listen {
        IpAddr::V4(v4) if v4.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(v6) if v6.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        _ => listen,
    }
}

fn addresses() -> Vec<(String, IpAddr)> {
    let Ok(interfaces) = getifaddrs() else { return Vec::new() };
    let one = |interface: nix::ifaddrs::InterfaceAddress| {
        let storage = interface.address?;
        let v4 = storage.as_sockaddr_in().map(|at| IpAddr::V4(at.ip()));
        let address = v4.or_else(|| storage.as_sockaddr_in6().map(|at| IpAddr::V6(at.ip())))?;
        Some((interface.interface_name, address))
    };
    interfaces.filter_map(one).collect()
}

/// Every port of the settings, with its holder.
fn own_ports(config: &Config) -> Vec<Port> {
    let port = |kind, role: String, number| {
        let holder = ports::holder(SocketAddr::new(config.listen, number));
        Port { kind, role, number, holder }
    };
    let mut all = Vec::new();
    if let Some(server) = &config.name_server {
        all.push(port(PortKind::NameServer, "port of the name server".to_owned(), server.port));
    }
    for (at, broker) in config.brokers.iter().enumerate() {
        let group = &broker.group;
        all.push(port(PortKind::Vip(at), format!("VIP port of {group}"), broker.port - 2));
        all.push(port(PortKind::Broker(at), format!("port of {group}"), broker.port));
        all.push(port(PortKind::Ha(at), format!("HA port of {group}"), broker.port + 1));
    }
    all
}

/// Of the node that has the ports, if it has them and can be looked at.
fn files_max(ports: &[Port]) -> Option<FilesMax> {
    let is_node = |holder: &&String| holder.ends_with(NODE_NAME);
    let holder = ports.iter().filter_map(|port| port.holder.as_ref()).find(is_node);
    let pid = holder.and_then(|holder| holder.split(' ').nth(1));
    let limits = pid.and_then(|pid| fs::read_to_string(format!("/proc/{pid}/limits")).ok());
    if let Some(number) = limits.and_then(|limits| hard_files_limit(&limits)) {
        return Some(FilesMax { number, whose: "the limit of the running node" });
    }
    let (_, number) = getrlimit(Resource::RLIMIT_NOFILE).ok()?;
    Some(FilesMax { number, whose: "the hard limit of this shell" })
}

/// The last number of the line of `/proc/PID/limits`.
fn hard_files_limit(limits: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

impl Kernel {
    fn read() -> Self {
        let text = |path: &str| fs::read_to_string(path).ok();
        let number = |path: &str| text(path)?.trim().parse().ok();
        let memory = text("/proc/meminfo").unwrap_or_default();
        let huge_pages = text("/sys/kernel/mm/transparent_hugepage/enabled");
        let ports = |name: &str| text(&format!("/proc/sys/net/ipv4/{name}"));
        Self {
            memory_bytes: memory_line(&memory, "MemTotal:"),
            swap_bytes: memory_line(&memory, "SwapTotal:"),
            swappiness: number("/proc/sys/vm/swappiness"),
            dirty_ratio: number("/proc/sys/vm/dirty_ratio"),
            dirty_bytes: number("/proc/sys/vm/dirty_bytes"),
            connections_waiting_max: number("/proc/sys/net/core/somaxconn"),
            huge_pages_always: huge_pages.map(|text| text.contains("[always]")),
            local_ports: ports("ip_local_port_range").and_then(|text| two_ports(&text)),
            reserved_ports: ports("ip_local_reserved_ports")
                .map(|text| port_ranges(&text))
                .unwrap_or_default(),
        }
    }
}

/// A line of `/proc/meminfo` in bytes.
fn memory_line(text: &str, key: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(key))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

fn two_ports(text: &str) -> Option<(u16, u16)> {
    let (first, last) = text.trim().split_once(char::is_whitespace)?;
    Some((first.parse().ok()?, last.trim().parse().ok()?))
}

/// `8080,9148-9150`.
fn port_ranges(text: &str) -> Vec<(u16, u16)> {
    let range = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Some((first.parse().ok()?, last.parse().ok()?))
    };
    text.trim().split(',').filter_map(range).collect()
}

fn time_keeper() -> Option<String> {
    if Path::new(SYNCHRONIZED).exists() {
        return Some("systemd-timesyncd, which has set it".to_owned());
    }
    let processes = fs::read_dir("/proc").ok()?;
    let names = processes.flatten().filter_map(|process| {
        let name = fs::read_to_string(process.path().join("comm")).ok()?;
        Some(name.trim().to_owned())
    });
    names.into_iter().find(|name| TIME_KEEPERS.contains(&name.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_the_kernel_are_read() {
        let text = "MemTotal:       16384 kB\nSwapTotal:          0 kB\n";
        assert_eq!(memory_line(text, "MemTotal:"), Some(16 << 20));
        assert_eq!(memory_line(text, "SwapTotal:"), Some(0));
        assert_eq!(memory_line(text, "MemFree:"), None);
        assert_eq!(two_ports("32768\t60999\n"), Some((32_768, 60_999)));
        assert_eq!(two_ports("x"), None);
        let limits =
            "Limit   Soft Limit   Hard Limit   Units\nMax open files   1024   4096   files\n";
        assert_eq!(hard_files_limit(limits), Some(4096));
        assert_eq!(port_ranges("8080,9148-9150\n"), [(8080, 8080), (9148, 9150)]);
        assert!(port_ranges("\n").is_empty());
    }

    #[test]
    fn this_host_is_seen() {
        let host = Host::look(None, None);
        assert_eq!(host.interface("127.9.9.9".parse().unwrap()), Some("lo"));
        assert_eq!(host.interface("192.0.2.1".parse().unwrap()), None);
        assert!(host.kernel.memory_bytes.unwrap() > 0);
        assert!(host.files_max.unwrap().number > 0);
        assert_eq!(dialled_here("0.0.0.0".parse().unwrap()).to_string(), "127.0.0.1");
        assert_eq!(dialled_here("192.0.2.1".parse().unwrap()).to_string(), "192.0.2.1");
    }
}
