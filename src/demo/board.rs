//! What everybody in the demo knows of the pair: the one place that the screen is drawn from.
//!
//! Not how it is found out. Invariant: no lock is held across an await; times are since the demo began.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::ledger::Ledger;
use crate::config::{Config, Role};
use crate::remoting::bodies::route::BrokerData;

/// How far a host is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It has no process.
    Down,
    /// It has a process that clients cannot use yet.
    Starting,
    /// All that it is to do, it does.
    Up,
    /// It was told to stop.
    Stopping,
}

/// A broker on a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broker {
    /// Its group.
    pub group: String,
    /// Its number in it; 0 is the master.
    pub id: i64,
    /// Where it answers.
    pub address: String,
    /// Where its log ends, if it answers.
    pub log_end: Option<u64>,
}

/// One host.
#[derive(Clone, Debug)]
pub struct Host {
    /// Its address.
    pub address: String,
    /// How far it is.
    pub state: State,
    /// Where its name server answers.
    pub name_server: String,
    /// What its name server tells, if it answers.
    pub view: Option<Vec<BrokerData>>,
    /// Its master and its slave.
    pub brokers: Vec<Broker>,
}

/// How far the consumer is in one queue.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Queue {
    /// The next offset that it wants.
    pub position: i64,
    /// Where the queue ended when a broker last answered.
    pub end: i64,
    /// Where it last asked.
    pub source: String,
}

/// What the producer and the consumer do with one group.
#[derive(Clone, Debug, Default)]
pub struct Traffic {
    /// Messages that it acknowledged.
    pub sent: u64,
    /// Messages that came from it.
    pub received: u64,
    /// Its queues.
    pub queues: BTreeMap<i32, Queue>,
    /// Where all queues are read, as last told.
    pub source: String,
}

impl Traffic {
    /// Messages that the consumer has not read yet.
    #[must_use]
    pub fn lag(&self) -> i64 {
        self.queues.values().map(|queue| (queue.end - queue.position).max(0)).sum()
    }

    /// Where all queues are read, if that is one place.
    fn common_source(&self) -> Option<&str> {
        let mut sources = self.queues.values().map(|queue| queue.source.as_str());
        let first = sources.next()?;
        sources.all(|source| source == first).then_some(first)
    }
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// When, since the demo began.
    pub at: Duration,
    /// What.
    pub text: String,
}

/// See the file's head.
#[derive(Debug)]
pub struct Board {
    /// The hosts.
    pub hosts: [Host; 2],
    /// By group.
    pub traffic: BTreeMap<String, Traffic>,
    /// What was sent and received.
    pub ledger: Ledger,
    /// Everything that happened.
    pub events: Vec<Event>,
    /// Whether the topic was created, so that hosts have to know it.
    pub has_topic: bool,
    /// What is told once only.
    told: BTreeSet<String>,
}

impl Board {
    /// A board of hosts that are down.
    #[must_use]
    pub fn new(configs: [&Config; 2]) -> Self {
        let groups = configs.iter().flat_map(|config| &config.brokers);
        let traffic = groups.map(|broker| (broker.group.clone(), Traffic::default())).collect();
        Self {
            hosts: configs.map(host),
            traffic,
            ledger: Ledger::default(),
            events: Vec::new(),
            has_topic: false,
            told: BTreeSet::new(),
        }
    }

    /// Notes an event.
    pub fn note(&mut self, at: Duration, text: impl Into<String>) {
        self.events.push(Event { at, text: text.into() });
    }

    /// Notes an event that is the same each time, the first time.
    pub fn note_once(&mut self, at: Duration, text: &str) {
        if self.told.insert(text.to_owned()) {
            self.note(at, text);
        }
    }

    /// `host 1`, for an address there.
    #[must_use]
    pub fn place(&self, address: &str) -> String {
        let ip = address.rsplit_once(':').map_or(address, |(ip, _)| ip);
        let at = self.hosts.iter().position(|host| host.address == ip);
        at.map_or_else(|| address.to_owned(), |at| format!("host {}", at + 1))
    }

    /// Notes where a queue is asked for, and tells when a whole group is read elsewhere.
    pub fn reads(&mut self, at: Duration, group: &str, queue: i32, address: &str) {
        let Some(traffic) = self.traffic.get_mut(group) else { return };
        let one = traffic.queues.entry(queue).or_default();
        if one.source == address {
            return;
        }
        address.clone_into(&mut one.source);
        if traffic.common_source() != Some(address) || traffic.source == address {
            return;
        }
        let is_first = std::mem::replace(&mut traffic.source, address.to_owned()).is_empty();
        if !is_first {
            let place = self.place(address);
            let brokers = self.hosts.iter().flat_map(|host| &host.brokers);
            let is_master = brokers.into_iter().any(|one| one.address == address && one.id == 0);
            let role = if is_master { "its master" } else { "its slave" };
            self.note(at, format!("consumer reads {group} from {role} on {place}"));
        }
    }

    /// How far the consumer is in a queue.
    #[must_use]
    pub fn position(&self, group: &str, queue: i32) -> i64 {
        let queues = self.traffic.get(group).map(|traffic| &traffic.queues);
        queues.and_then(|queues| queues.get(&queue)).map_or(0, |queue| queue.position)
    }

    /// How many bytes a group's slave is behind its master, if both answer.
    #[must_use]
    pub fn replication_lag(&self, group: &str) -> Option<u64> {
        let of = |is_master: bool| {
            let brokers = self.hosts.iter().flat_map(|host| &host.brokers);
            let mut ours = brokers.filter(|one| one.group == group && (one.id == 0) == is_master);
            ours.next()?.log_end
        };
        Some(of(true)?.saturating_sub(of(false)?))
    }

    /// Whether a host's name server and that of the other, where it runs, know who they are to know.
    #[must_use]
    pub fn is_known(&self, host: usize) -> bool {
        let runs = |host: &&Host| host.state != State::Down;
        let knows = |view: &[BrokerData], broker: &Broker| {
            let mut groups = view.iter().filter(|group| group.broker_name == broker.group);
            groups.any(|group| group.addresses.get(&broker.id) == Some(&broker.address))
        };
        self.hosts.iter().enumerate().filter(|(_, one)| runs(one)).all(|(at, one)| {
            let Some(view) = &one.view else { return false };
            let ours = &self.hosts[host];
            let others = self.hosts.iter().filter(|other| at == host && runs(other));
            let mut wanted = ours.brokers.iter().chain(others.flat_map(|other| &other.brokers));
            wanted.all(|broker| knows(view, broker))
        })
    }
}

fn host(config: &Config) -> Host {
    let address = config.advertise.to_string();
    let port = config.name_server.as_ref().map_or(0, |server| server.port);
    let brokers = config.brokers.iter().map(|broker| Broker {
        group: broker.group.clone(),
        id: if broker.role == Role::Master { 0 } else { broker.id.into() },
        address: format!("{address}:{}", broker.port),
        log_end: None,
    });
    Host {
        state: State::Down,
        name_server: format!("{address}:{port}"),
        view: None,
        brokers: brokers.collect(),
        address,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::net::IpAddr;

    use super::*;
    use crate::config::check_text;
    use crate::config::init::{Mode, Plan};

    pub(in crate::demo) fn board() -> Board {
        let hosts = ["127.0.0.1", "127.0.0.2"].map(|host| host.parse::<IpAddr>().unwrap());
        let mode = Mode::TwoMastersTwoSlavesAsync;
        let plan = Plan { cluster: "C".to_owned(), hosts: hosts.to_vec(), mode };
        let texts = plan.files().unwrap();
        let configs: Vec<Config> =
            texts.iter().map(|text| check_text("x", text).unwrap().config).collect();
        Board::new([&configs[0], &configs[1]])
    }

    #[test]
    fn a_group_is_read_elsewhere_when_all_its_queues_are() {
        let mut board = board();
        let (master, slave) = ("127.0.0.1:10911", "127.0.0.2:10921");
        let read = |board: &mut Board, address: &str| {
            for queue in [0, 1] {
                board.reads(Duration::ZERO, "broker-a", queue, address);
            }
            board.events.drain(..).map(|event| event.text).collect::<Vec<_>>()
        };
        assert_eq!(read(&mut board, master), [""; 0], "where it begins is no news");
        assert_eq!(read(&mut board, slave), ["consumer reads broker-a from its slave on host 2"]);
        assert_eq!(read(&mut board, slave), [""; 0]);
        board.reads(Duration::ZERO, "broker-a", 0, master);
        assert!(board.events.is_empty());
        assert_eq!(read(&mut board, master), ["consumer reads broker-a from its master on host 1"]);
    }

    #[test]
    fn a_lag_needs_both_ends() {
        let mut board = board();
        assert_eq!(board.replication_lag("broker-a"), None);
        for host in &mut board.hosts {
            for broker in &mut host.brokers {
                broker.log_end = Some(if broker.id == 0 { 500 } else { 120 });
            }
        }
        assert_eq!(board.replication_lag("broker-a"), Some(380));
        board.hosts[0].brokers[0].log_end = Some(7);
        assert_eq!(board.replication_lag("broker-a"), Some(0), "the slave was asked later");
        board.hosts[1].brokers[1].log_end = None;
        assert_eq!(board.replication_lag("broker-a"), None);
    }

    #[test]
    fn a_host_is_known_when_every_name_server_that_runs_says_so() {
        let mut board = board();
        let groups: Vec<BrokerData> = ["broker-a", "broker-b"]
            .into_iter()
            .map(|name| BrokerData {
                addresses: BTreeMap::new(),
                broker_name: name.to_owned(),
                cluster: "C".to_owned(),
            })
            .collect();
        board.hosts[0].state = State::Starting;
        board.hosts[0].view = Some(groups.clone());
        assert!(!board.is_known(0));
        let mut groups = groups;
        groups[0].addresses.insert(0, "127.0.0.1:10911".to_owned());
        groups[1].addresses.insert(1, "127.0.0.1:10921".to_owned());
        board.hosts[0].view = Some(groups.clone());
        assert!(board.is_known(0), "the other one does not run");
        board.hosts[1].state = State::Up;
        board.hosts[1].view = Some(groups.clone());
        assert!(!board.is_known(0), "its own name server does not know the other's brokers");
        groups[0].addresses.insert(1, "127.0.0.2:10921".to_owned());
        groups[1].addresses.insert(0, "127.0.0.2:10911".to_owned());
        board.hosts[0].view = Some(groups);
        assert!(board.is_known(0));
        board.hosts[1].view = None;
        assert!(!board.is_known(0), "the other's name server does not answer");
    }
}
