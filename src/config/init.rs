//! The files of a new cluster: one for each host, by the cluster's mode.
//!
//! Pure: text out, nothing read or written. Invariant: each text is a configuration that passes every
//! check, so that whoever starts from it starts from something that works.

use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};

use super::check::{NAME_RULE, is_name};
use super::check_addresses::NAME_SERVER_PORT;
use super::{ConfigError, Problem, check_text};

/// The same in every mode, so that firewalls need one list.
const MASTER_PORT: u16 = 10911;
const SLAVE_PORT: u16 = 10921;
/// Groups are named by letters.
const HOSTS_MAX: usize = 26;

/// How the brokers of a cluster stand to one another; the documented ones of 4.9.4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// One master.
    Single,
    /// One master, copied by every other host.
    MasterSlaveAsync,
    /// The same; senders wait for a copy.
    MasterSlaveSync,
    /// A master on each host, without copies.
    TwoMastersNoSlave,
    /// A master on each host, copied by the one before it in the list.
    TwoMastersTwoSlavesAsync,
    /// The same; senders wait for the copy.
    TwoMastersTwoSlavesSync,
}

impl Mode {
    /// All modes with their names.
    pub const ALL: [(&str, Self); 6] = [
        ("single", Self::Single),
        ("master-slave-async", Self::MasterSlaveAsync),
        ("master-slave-sync", Self::MasterSlaveSync),
        ("2m-noslave", Self::TwoMastersNoSlave),
        ("2m-2s-async", Self::TwoMastersTwoSlavesAsync),
        ("2m-2s-sync", Self::TwoMastersTwoSlavesSync),
    ];

    /// The mode of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|(one, _)| *one == name).map(|(_, mode)| mode)
    }

    /// What it is called.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::ALL.into_iter().find(|(_, mode)| *mode == self).map_or("", |(name, _)| name)
    }

    /// What so many hosts are for, if nobody says.
    #[must_use]
    pub fn of_hosts(hosts: usize) -> Self {
        if hosts == 1 { Self::Single } else { Self::TwoMastersTwoSlavesAsync }
    }

    fn is_sync(self) -> bool {
        matches!(self, Self::MasterSlaveSync | Self::TwoMastersTwoSlavesSync)
    }

    /// The group whose master the host at this place is, and the one that it copies with its id there.
    fn roles(self, at: usize, hosts: usize) -> (Option<usize>, Option<(usize, usize)>) {
        match self {
            Self::Single | Self::TwoMastersNoSlave => (Some(at), None),
            Self::MasterSlaveAsync | Self::MasterSlaveSync if at == 0 => (Some(0), None),
            Self::MasterSlaveAsync | Self::MasterSlaveSync => (None, Some((0, at))),
            Self::TwoMastersTwoSlavesAsync | Self::TwoMastersTwoSlavesSync => {
                (Some(at), Some(((at + 1) % hosts, 1)))
            }
        }
    }
}

/// A cluster to be.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Its name.
    pub cluster: String,
    /// What its hosts are dialled at.
    pub hosts: Vec<IpAddr>,
    /// How its brokers stand to one another.
    pub mode: Mode,
}

impl Plan {
    /// The file of each host, in their order.
    ///
    /// # Errors
    /// The hosts do not fit the mode, or what is wrong with the name or an address.
    pub fn files(&self) -> Result<Vec<String>, ConfigError> {
        let refuse = |text| ConfigError(vec![Problem { at: None, text }]);
        self.check_hosts().map_err(refuse)?;
        let texts: Vec<String> = (0..self.hosts.len()).map(|at| self.file(at)).collect();
        for (text, host) in texts.iter().zip(&self.hosts) {
            check_text(&format!("file of {host}"), text)?;
        }
        Ok(texts)
    }

    fn check_hosts(&self) -> Result<(), String> {
        let (mode, hosts) = (self.mode, &self.hosts);
        if !is_name(&self.cluster) {
            return Err(format!("cluster \"{}\": {NAME_RULE}", self.cluster));
        }
        let twice = hosts.iter().enumerate().find(|(at, host)| hosts[..*at].contains(host));
        if let Some((_, host)) = twice {
            return Err(format!("host {host} is there twice: write each once"));
        }
        let needs = match (mode, hosts.len()) {
            (Mode::Single, 1) => return Ok(()),
            (Mode::Single, _) => "one host".to_owned(),
            (_, 2..=HOSTS_MAX) => return Ok(()),
            _ => format!("2 to {HOSTS_MAX} hosts"),
        };
        Err(format!("mode {} needs {needs}, and {} are named", mode.name(), hosts.len()))
    }

    fn file(&self, at: usize) -> String {
        let (host, hosts, mode) = (self.hosts[at], self.hosts.len(), self.mode);
        let (master, copied) = mode.roles(at, hosts);
        let mut roles = vec!["name server".to_owned()];
        roles.extend(master.map(|number| format!("master of {}", group(number))));
        roles.extend(copied.map(|(number, _)| format!("slave of {}", group(number))));
        let list: Vec<String> = self.hosts.iter().map(IpAddr::to_string).collect();
        let server = |host: &IpAddr| format!("\"{}\"", SocketAddr::new(*host, NAME_SERVER_PORT));
        let servers: Vec<String> = self.hosts.iter().map(server).collect();
        let mut text = format!(
            "# {host} of a cluster in mode {}: {}.\n# Made by rmq-node config init --cluster {} --hosts {} --mode {}\n\n",
            mode.name(),
            roles.join(", "),
            self.cluster,
            list.join(","),
            mode.name(),
        );
        let mut add = |line: String| writeln!(text, "{line}").expect("a string takes all");
        add(format!("cluster      = \"{}\"", self.cluster));
        if host.is_loopback() {
            // Several of them are one machine: none may bind the ports of all.
            add(format!("listen       = \"{host}\""));
        }
        add(format!("advertise    = \"{host}\""));
        add(format!("name_servers = [{}]", servers.join(", ")));
        add(format!("\n[name_server]\nport = {NAME_SERVER_PORT}"));
        if let Some(number) = master {
            let group = group(number);
            add(format!(
                "\n[[broker]]\ngroup = \"{group}\"\nrole  = \"master\"\nport  = {MASTER_PORT}"
            ));
            let replication = if mode.is_sync() { "sync" } else { "async" };
            add(format!("replication = \"{replication}\"\nflush       = \"async\""));
        }
        if let Some((number, id)) = copied {
            let group = group(number);
            add(format!(
                "\n[[broker]]\ngroup = \"{group}\"\nrole  = \"slave\"\nid    = {id}\nport  = {SLAVE_PORT}"
            ));
            add("flush = \"async\"".to_owned());
        }
        text
    }
}

/// `broker-a` and so on.
fn group(number: usize) -> String {
    let letter = u8::try_from(number).map_or('z', |number| char::from(b'a'.saturating_add(number)));
    format!("broker-{letter}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Replication, Role};

    fn plan(mode: &str, hosts: usize) -> Plan {
        let hosts = (1..=hosts).map(|at| format!("10.0.0.{at}").parse().unwrap()).collect();
        Plan { cluster: "C".to_owned(), hosts, mode: Mode::named(mode).unwrap() }
    }

    fn configs(plan: &Plan) -> Vec<Config> {
        let files = plan.files().unwrap();
        files.iter().map(|text| check_text("file", text).unwrap().config).collect()
    }

    /// `+a` for a master and `-a1` for a slave, by host.
    fn roles(mode: &str, hosts: usize) -> Vec<String> {
        let one = |config: &Config| {
            let brokers = config.brokers.iter().map(|broker| {
                let letter = broker.group.strip_prefix("broker-").unwrap();
                match broker.role {
                    Role::Master => format!("+{letter}"),
                    Role::Slave => format!("-{letter}{}", broker.id),
                }
            });
            brokers.collect::<Vec<_>>().join(" ")
        };
        configs(&plan(mode, hosts)).iter().map(one).collect()
    }

    #[test]
    fn every_mode_gives_each_host_its_roles() {
        assert_eq!(roles("single", 1), ["+a"]);
        assert_eq!(roles("master-slave-async", 2), ["+a", "-a1"]);
        assert_eq!(roles("master-slave-sync", 3), ["+a", "-a1", "-a2"]);
        assert_eq!(roles("2m-noslave", 3), ["+a", "+b", "+c"]);
        assert_eq!(roles("2m-2s-async", 2), ["+a -b1", "+b -a1"]);
        assert_eq!(roles("2m-2s-sync", 4), ["+a -b1", "+b -c1", "+c -d1", "+d -a1"]);
        assert_eq!(roles("2m-2s-sync", 26)[25], "+z -a1");
    }

    #[test]
    fn every_host_runs_a_name_server_that_all_know() {
        for config in configs(&plan("2m-2s-async", 3)) {
            assert_eq!(config.cluster, "C");
            assert_eq!(config.name_servers, ["10.0.0.1:9876", "10.0.0.2:9876", "10.0.0.3:9876"]);
            assert_eq!(config.name_server.unwrap().port, 9876);
            assert!(config.listen.is_unspecified());
        }
    }

    #[test]
    fn only_masters_of_sync_modes_wait_for_copies() {
        for (mode, expected) in
            [("2m-2s-async", Replication::Async), ("2m-2s-sync", Replication::Sync)]
        {
            for config in configs(&plan(mode, 2)) {
                let of = |broker: &crate::config::Broker| broker.replication;
                let found: Vec<_> = config.brokers.iter().map(of).collect();
                assert_eq!(found, [expected, Replication::Async]);
            }
        }
    }

    #[test]
    fn hosts_on_one_machine_bind_their_own_address() {
        let hosts = vec!["127.0.0.1".parse().unwrap(), "127.0.0.2".parse().unwrap()];
        let plan = Plan { hosts, ..plan("2m-2s-async", 2) };
        let listens: Vec<String> =
            configs(&plan).iter().map(|one| one.listen.to_string()).collect();
        assert_eq!(listens, ["127.0.0.1", "127.0.0.2"]);
    }

    #[test]
    fn hosts_that_do_not_fit_are_refused() {
        let refused = |plan: &Plan| plan.files().unwrap_err().to_string();
        assert_eq!(refused(&plan("single", 2)), "mode single needs one host, and 2 are named");
        for mode in ["2m-2s-sync", "2m-noslave", "master-slave-async"] {
            for number in [0, 1, 27] {
                let expected = format!("mode {mode} needs 2 to 26 hosts, and {number} are named");
                assert_eq!(refused(&plan(mode, number)), expected);
            }
        }
        let twice = Plan { hosts: vec!["10.0.0.1".parse().unwrap(); 2], ..plan("2m-2s-async", 2) };
        assert_eq!(refused(&twice), "host 10.0.0.1 is there twice: write each once");
        let name = Plan { cluster: "a\"b\n".to_owned(), ..plan("single", 1) };
        assert_eq!(refused(&name), "cluster \"a\"b\n\": write 1 to 127 letters, digits, - and _");
        let docker = Plan { hosts: vec!["172.17.0.2".parse().unwrap()], ..plan("single", 1) };
        assert!(refused(&docker).contains("is a container's address"));
    }
}
