//! What an import found on one host, made to fit together and written.
//!
//! Not how it was found (`import`). Invariant: whatever two files of 4.9.4 say of ports, no two roles
//! share one in what is written.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};

use super::check_addresses::NAME_SERVER_PORT;
use super::{ConfigError, Flush, Replication, Role, check_text};

/// 4.9.4's default.
const PORT: u16 = 10911;
/// As many ports a broker spans: the VIP port is two below its own, the HA port one above.
const PORTS: u16 = 4;
/// From one broker of a host to the next, each taking three ports.
const PORT_STEP: u16 = 10;

/// A broker as one file has it, 4.9.4's defaults elsewhere.
#[derive(Debug)]
pub(super) struct Broker {
    file: String,
    pub(super) group: String,
    pub(super) role: Role,
    pub(super) replication: Replication,
    pub(super) id: Option<u32>,
    pub(super) port: Option<u16>,
    pub(super) flush: Flush,
}

impl Broker {
    pub(super) fn new(file: &str) -> Self {
        Self {
            file: file.to_owned(),
            group: String::new(),
            role: Role::Master,
            replication: Replication::Async,
            id: None,
            port: None,
            flush: Flush::Async,
        }
    }
}

/// All that was found.
#[derive(Debug, Default)]
pub(super) struct Host {
    /// What is one for the host, as TOML by the path of its key.
    pub(super) settings: BTreeMap<&'static str, String>,
    pub(super) name_servers: Vec<String>,
    pub(super) brokers: Vec<Broker>,
    name_server: Option<u16>,
}

impl Host {
    /// Adds a name server, or says why there is one already.
    pub(super) fn add_name_server(&mut self, file: &str, port: Option<u16>) -> Option<String> {
        if self.name_server.is_some() {
            return Some(format!(
                "{file}: a host has one name server, and another file has it; not written"
            ));
        }
        self.name_server = Some(port.unwrap_or(NAME_SERVER_PORT));
        None
    }

    /// The file, and what is still wrong with it.
    pub(super) fn finish(
        mut self,
        mistakes: &mut Vec<String>,
    ) -> (String, Result<(), ConfigError>) {
        // The master keeps its port if a slave wants the same.
        self.brokers.sort_by_key(|broker| broker.role == Role::Slave);
        self.complete_brokers(mistakes);
        self.check_addresses(mistakes);
        self.choose_ports(mistakes);
        self.find_name_server(mistakes);
        let toml = self.toml();
        let result = check_text("rmq-node.toml", &toml).map(|_| ());
        (toml, result)
    }

    fn complete_brokers(&mut self, mistakes: &mut Vec<String>) {
        for broker in &mut self.brokers {
            let file = &broker.file;
            if broker.group.is_empty() {
                mistakes.push(format!("{file}: brokerName is not written, and 4.9.4 takes the host's name; to be written"));
            }
            if broker.role == Role::Slave && broker.id.is_none() {
                mistakes.push(format!(
                    "{file}: a slave with brokerId 0 does not start in 4.9.4; written: id = 1"
                ));
                broker.id = Some(1);
            }
        }
    }

    fn check_addresses(&self, mistakes: &mut Vec<String>) {
        let first =
            "the first address that it finds, in a container one that no other host can dial";
        // What 4.9.4 announces are brokers.
        if !self.brokers.is_empty() && !self.settings.contains_key("advertise") {
            mistakes.push(format!(
                "brokerIP1 is not written, and 4.9.4 announces {first}; to be written: advertise"
            ));
        }
        let masters = self.brokers.iter().filter(|broker| broker.role == Role::Master);
        if !self.settings.contains_key("replication_advertise") {
            mistakes.extend(masters.map(|master| {
                format!(
                    "{}: brokerIP2 is not written, so that 4.9.4 tells slaves to copy {} from {first}; written: nothing, \
                     slaves dial advertise",
                    master.file, master.group
                )
            }));
        }
    }

    /// Gives a broker whose ports meet those of one before it others.
    fn choose_ports(&mut self, mistakes: &mut Vec<String>) {
        let mut taken: Vec<(u16, String)> = Vec::new();
        for at in 0..self.brokers.len() {
            let broker = &self.brokers[at];
            let wanted = broker.port.unwrap_or(PORT);
            let meets = |port: u16| taken.iter().find(|(one, _)| one.abs_diff(port) < PORTS);
            let mut port = wanted;
            if let Some((theirs, other)) = meets(wanted) {
                // At most a few brokers: there is a free one.
                port = (1..1000)
                    .map(|step| PORT + PORT_STEP * step)
                    .find(|port| meets(*port).is_none())
                    .unwrap_or(PORT);
                let why = self.met(broker, wanted, *theirs, other);
                mistakes.push(format!("{}: {why}; written: port = {port}", broker.file));
            }
            taken
                .push((port, format!("the {} of {} ({})", broker.role, broker.group, broker.file)));
            self.brokers[at].port = Some(port);
        }
    }

    /// Why a broker cannot have the port that its file gives it, beside another with `theirs`.
    fn met(&self, broker: &Broker, wanted: u16, theirs: u16, other: &str) -> String {
        let Broker { group, role, .. } = broker;
        let cause = match broker.port {
            None => "listenPort is not written".to_owned(),
            Some(port) => format!("listenPort is {port}"),
        };
        if wanted != theirs {
            return format!(
                "{cause}, and port - 2 to port + 1 of the {role} of {group} meet those of {other}: the second does not start"
            );
        }
        let host = self.advertise().map_or("this host".to_owned(), |address| address.to_string());
        format!(
            "{cause}, so that the {role} of {group} announces port {wanted} of {host}, which is that of {other}: behind a \
             port mapping too, clients that are sent to the one reach the other"
        )
    }

    fn advertise(&self) -> Option<IpAddr> {
        self.settings.get("advertise")?.trim_matches('"').parse().ok()
    }

    /// A name server that has no file, because all its settings are the defaults.
    fn find_name_server(&mut self, mistakes: &mut Vec<String>) {
        let own = self.advertise();
        let addresses = self.name_servers.iter().filter_map(|one| one.parse::<SocketAddr>().ok());
        let listed: Vec<u16> =
            addresses.filter(|one| Some(one.ip()) == own).map(|one| one.port()).collect();
        if self.name_server.is_none() {
            self.name_server = listed.first().copied();
        }
        if self.name_servers.is_empty() && self.name_server.is_none() {
            mistakes.push("namesrvAddr is not written: 4.9.4 takes it from -n or NAMESRV_ADDR; to be written: name_servers".to_owned());
        }
    }

    fn toml(&self) -> String {
        let mut text = "# Made by rmq-node config import of 4.9.4's property files.\n\n".to_owned();
        let mut add = |line: String| writeln!(text, "{line}").expect("a string takes all");
        let (tables, top): (Vec<_>, Vec<_>) =
            self.settings.iter().partition(|(path, _)| path.contains('.'));
        for (key, value) in top {
            add(format!("{key} = {value}"));
        }
        if self.brokers.is_empty() && self.name_server.is_some() {
            // Without it the built-in broker would run beside the name server.
            add("broker = []".to_owned());
        }
        if !self.name_servers.is_empty() {
            let servers: Vec<_> = self
                .name_servers
                .iter()
                .map(|one| toml::Value::from(one.as_str()).to_string())
                .collect();
            add(format!("name_servers = [{}]", servers.join(", ")));
        }
        if let Some(port) = self.name_server {
            add(format!("\n[name_server]\nport = {port}"));
        }
        for broker in &self.brokers {
            let group = toml::Value::from(broker.group.as_str());
            add(format!("\n[[broker]]\ngroup = {group}\nrole = \"{}\"", broker.role));
            if let (Role::Slave, Some(id)) = (broker.role, broker.id) {
                add(format!("id = {id}"));
            }
            add(format!("port = {}", broker.port.unwrap_or(PORT)));
            if broker.role == Role::Master {
                let is_sync = broker.replication == Replication::Sync;
                add(format!("replication = \"{}\"", if is_sync { "sync" } else { "async" }));
            }
            let is_sync = broker.flush == Flush::Sync;
            add(format!("flush = \"{}\"", if is_sync { "sync" } else { "async" }));
        }
        // Those of one table follow each other.
        let mut last_table = "";
        for (path, value) in tables {
            let Some((table, key)) = path.split_once('.') else { continue };
            if table != last_table {
                add(format!("\n[{table}]"));
                last_table = table;
            }
            add(format!("{key} = {value}"));
        }
        text
    }
}
