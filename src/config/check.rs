//! What the settings mean together: a [`Config`], or every reason why not.
//!
//! Nothing is asked of the host here: only what the settings alone decide is refused (exit code 78).

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::layers::{DEFAULT, Origins};
use super::settings::{BrokerTable, Replication, Role, Settings};
use super::{Broker, Config, ConfigError, NameServer, Problem};

/// Names that a broker's folder in the data directory cannot have.
const RESERVED_GROUPS: [&str; 3] = ["nameserver", "node", "acl"];
/// What a name server's address usually ends with.
const NAME_SERVER_PORT: u16 = 9876;
const SEGMENT_BYTES_MIN: u64 = 1 << 20;
const MESSAGE_BYTES_MIN: usize = 1 << 10;

/// The problems found so far, each where its value was written.
struct Findings<'a> {
    origins: &'a Origins,
    problems: Vec<Problem>,
}

impl Findings<'_> {
    fn add(&mut self, path: &str, text: String) {
        let at = self.origins.get(path).map(|found| found.origin.clone());
        self.problems.push(Problem { at: at.filter(|origin| !origin.starts_with(DEFAULT)), text });
    }
}

/// Checks everything, so that one run tells all that is wrong.
pub fn check(settings: Settings, origins: &Origins) -> Result<Config, ConfigError> {
    let mut findings = Findings { origins, problems: Vec::new() };
    check_names(&settings, &mut findings);
    check_brokers(&settings.broker, &mut findings);
    if settings.broker.is_empty() && settings.name_server.is_none() {
        findings.add("broker", "nothing to run: write [name_server] or a [[broker]]".to_owned());
    }
    check_ports(&settings, &mut findings);
    check_name_servers(&settings, &mut findings);
    check_store(&settings, &mut findings);
    check_limits(&settings, &mut findings);
    let addresses = check_advertise(&settings, &mut findings);
    if settings.data_dir.as_os_str().is_empty() {
        findings.add(
            "data_dir",
            "no folder is named: write data_dir = \"/var/lib/rmq-node\"".to_owned(),
        );
    }
    let (Some((listen, advertise)), true) = (addresses, findings.problems.is_empty()) else {
        return Err(ConfigError(findings.problems));
    };
    let broker =
        |table: BrokerTable| Broker { group: table.group, port: table.port, flush: table.flush };
    Ok(Config {
        cluster: settings.cluster,
        listen,
        advertise,
        name_servers: settings.name_servers,
        data_dir: settings.data_dir,
        name_server: settings.name_server.map(|table| NameServer { port: table.port }),
        brokers: settings.broker.into_iter().map(broker).collect(),
        store: settings.store,
        limits: settings.limits,
        log: settings.log,
    })
}

fn is_name(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    !text.is_empty() && text.len() <= 127 && text.chars().all(allowed)
}

fn check_names(settings: &Settings, findings: &mut Findings<'_>) {
    if !is_name(&settings.cluster) {
        let text = format!("cluster \"{}\": use letters, digits, - and _", settings.cluster);
        findings.add("cluster", text);
    }
    for (at, broker) in settings.broker.iter().enumerate() {
        let path = format!("broker[{at}].group");
        if !is_name(&broker.group) {
            findings
                .add(&path, format!("group \"{}\": use letters, digits, - and _", broker.group));
        } else if RESERVED_GROUPS.contains(&broker.group.as_str()) {
            let text =
                format!("group \"{}\": the data directory has a folder of that name", broker.group);
            findings.add(&path, text);
        }
    }
}

fn check_brokers(brokers: &[BrokerTable], findings: &mut Findings<'_>) {
    let mut seen = BTreeMap::new();
    for (at, broker) in brokers.iter().enumerate() {
        let path = |key: &str| format!("broker[{at}].{key}");
        let group = &broker.group;
        let id = broker.id.unwrap_or(u32::from(broker.role == Role::Slave));
        if broker.role == Role::Slave {
            let text = "role = \"slave\" is not built yet: this version has masters only; leave this [[broker]] out";
            findings.add(&path("role"), text.to_owned());
        } else if id != 0 {
            findings.add(&path("id"), "a master's id is 0: leave the line out".to_owned());
        }
        if broker.replication == Replication::Sync {
            let text = "replication = \"sync\" is not built yet: this version has no slaves; write \"async\"";
            findings.add(&path("replication"), text.to_owned());
        }
        if let Some(before) = seen.insert((group, id), at) {
            let before = position(findings, &format!("broker[{before}].group"));
            let text = format!(
                "group \"{group}\" has id {id} twice, first at {before}: one broker a host may have it"
            );
            findings.add(&path("group"), text);
        }
    }
}

fn position(findings: &Findings<'_>, path: &str) -> String {
    findings.origins.get(path).map_or_else(|| path.to_owned(), |found| found.origin.clone())
}

/// Each broker takes its port, the VIP port two below and the HA port one above.
fn check_ports(settings: &Settings, findings: &mut Findings<'_>) {
    let mut taken: BTreeMap<u16, String> = BTreeMap::new();
    let mut take = |findings: &mut Findings<'_>, path: &str, port: u16, whose: String| {
        if let Some(other) = taken.insert(port, whose.clone()) {
            findings.add(
                path,
                format!(
                    "port {port} is both the {other} and the {whose}: choose ports further apart"
                ),
            );
        }
    };
    if let Some(server) = &settings.name_server {
        if server.port == 0 {
            findings.add(
                "name_server.port",
                "port 0 cannot be dialled: write a number from 1".to_owned(),
            );
        }
        take(findings, "name_server.port", server.port, "name server's port".to_owned());
    }
    for (at, broker) in settings.broker.iter().enumerate() {
        let (path, group) = (format!("broker[{at}].port"), &broker.group);
        let (Some(vip @ 1..), Some(ha)) = (broker.port.checked_sub(2), broker.port.checked_add(1))
        else {
            let text = format!(
                "port {}: port - 2 and port + 1 are used too, write 3 to 65534",
                broker.port
            );
            findings.add(&path, text);
            continue;
        };
        take(findings, &path, vip, format!("VIP port of {group} (port - 2)"));
        take(findings, &path, broker.port, format!("port of {group}"));
        take(findings, &path, ha, format!("HA port of {group} (port + 1)"));
    }
}

/// Whether `entry` is `HOST:PORT`; `usual` is the port that is proposed if not.
///
/// # Errors
/// What to write instead.
pub fn check_address(entry: &str, usual: u16) -> Result<(), String> {
    match entry.rsplit_once(':') {
        None => Err(format!("\"{entry}\" has no port: write \"{entry}:{usual}\"")),
        Some(("", _)) => Err(format!("\"{entry}\" has no host: write HOST:PORT")),
        Some((host, port)) if !port.parse::<u16>().is_ok_and(|port| port > 0) => {
            Err(format!("\"{port}\" is no port: write \"{host}:{usual}\""))
        }
        Some(_) => Ok(()),
    }
}

fn check_name_servers(settings: &Settings, findings: &mut Findings<'_>) {
    let is_derived = |path: &str| {
        findings.origins.get(path).is_some_and(|found| found.origin.starts_with(DEFAULT))
    };
    // What follows from other settings is as right as they are.
    if is_derived("name_servers") {
        return;
    }
    for (at, entry) in settings.name_servers.iter().enumerate() {
        let mut refuse = |text: String| {
            let one = format!("name_servers[{at}]");
            let path =
                if findings.origins.contains_key(&one) { one } else { "name_servers".to_owned() };
            findings.add(&path, text);
        };
        if entry.contains([',', ';']) {
            let parts = entry.split([',', ';']).map(|part| format!("\"{}\"", part.trim()));
            let parts: Vec<String> = parts.collect();
            refuse(format!("\"{entry}\" is more than one address: write [{}]", parts.join(", ")));
            continue;
        }
        if let Err(text) = check_address(entry, NAME_SERVER_PORT) {
            refuse(text);
        }
    }
    // With a name server here, only the address that it is dialled at is missing, which is told below.
    let is_told = settings.name_server.is_some() && settings.advertise.is_none();
    if settings.name_servers.is_empty() && !is_told {
        let text = "nobody could find the brokers: write name_servers = [\"HOST:9876\"], or [name_server] to run one here";
        findings.add("name_servers", text.to_owned());
    }
}

fn check_advertise(settings: &Settings, findings: &mut Findings<'_>) -> Option<(IpAddr, IpAddr)> {
    let listen = settings.listen?;
    let Some(advertise) = settings.advertise else {
        let text = format!(
            "advertise is missing: with listen = \"{listen}\" nobody knows which address to dial; write \
             advertise = \"192.168.1.161\" with this host's own address"
        );
        findings.add("listen", text);
        return None;
    };
    if advertise.is_unspecified() || advertise.is_multicast() {
        let text =
            format!("advertise = \"{advertise}\" cannot be dialled: write this host's own address");
        findings.add("advertise", text);
    }
    if advertise.is_loopback() {
        let elsewhere = settings.name_servers.iter().find(|entry| !is_on_this_host(entry));
        if let Some(peer) = elsewhere {
            let text = format!(
                "advertise = \"{advertise}\" is this host only, but {peer} is elsewhere and would send clients \
                 to itself: write advertise = \"192.168.1.161\" with the address that others dial"
            );
            findings.add("advertise", text);
        }
    }
    Some((listen, advertise))
}

/// Also true of what is no address, which is another finding.
fn is_on_this_host(address: &str) -> bool {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    let host = host.trim_start_matches('[').trim_end_matches(']');
    address.contains([',', ';'])
        || host == "localhost"
        || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn check_store(settings: &Settings, findings: &mut Findings<'_>) {
    let store = &settings.store;
    if store.segment_bytes < SEGMENT_BYTES_MIN {
        findings.add("store.segment_bytes", format!("write at least {SEGMENT_BYTES_MIN}"));
    }
    let message_bytes = u64::try_from(store.max_message_bytes).unwrap_or(u64::MAX);
    if store.max_message_bytes < MESSAGE_BYTES_MIN || message_bytes > store.segment_bytes / 2 {
        let text = format!(
            "write {MESSAGE_BYTES_MIN} to {} (half of segment_bytes)",
            store.segment_bytes / 2
        );
        findings.add("store.max_message_bytes", text);
    }
    if store.delete_hours.is_empty() || store.delete_hours.iter().any(|hour| *hour > 23) {
        findings.add("store.delete_hours", "write hours from 0 to 23, such as [4]".to_owned());
    }
    for (path, value) in [
        ("store.retention_hours", store.retention_hours),
        ("store.flush_interval_ms", store.flush_interval_ms),
        ("store.sync_flush_timeout_ms", store.sync_flush_timeout_ms),
    ] {
        if value == 0 {
            findings.add(path, "write at least 1".to_owned());
        }
    }
    let percents =
        [store.disk_expire_percent, store.disk_force_percent, store.disk_read_only_percent];
    if !percents.is_sorted() || percents[0] == 0 || percents[2] > 100 {
        let text = format!(
            "disk percents are {percents:?}: expire, force and read-only must rise, from 1 to 100"
        );
        findings.add("store.disk_expire_percent", text);
    }
}

fn check_limits(settings: &Settings, findings: &mut Findings<'_>) {
    let limits = &settings.limits;
    for (path, value) in [
        ("limits.connections_max", limits.connections_max),
        ("limits.connection_in_flight_max", limits.connection_in_flight_max),
        ("limits.in_flight_max", limits.in_flight_max),
        ("limits.half_read_bytes_max", limits.half_read_bytes_max),
        ("limits.connection_unsent_bytes_max", limits.connection_unsent_bytes_max),
        ("limits.unsent_bytes_max", limits.unsent_bytes_max),
    ] {
        if value == 0 {
            findings.add(path, "write at least 1".to_owned());
        }
    }
    if limits.frame_bytes_max <= settings.store.max_message_bytes {
        let text = format!(
            "a frame must hold a message: write more than max_message_bytes, {}",
            settings.store.max_message_bytes
        );
        findings.add("limits.frame_bytes_max", text);
    }
}
