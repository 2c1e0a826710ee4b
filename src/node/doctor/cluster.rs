//! Facts of the cluster, asked over remoting as any client would: what answers on this host's ports, what name servers
//! know, what each broker says of itself, and what peers say of this host.
//!
//! Not what they mean (`cluster_checks`, `replication_checks`). Invariants: everything that is asked only reads;
//! everybody is asked at once, and whoever does not answer in its time is left alone; what brokers of 4.9.4 do not
//! know (9003) is asked of them as 4.9.4 answers it (26, 28).

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::sync::oneshot;

use super::host::{Host, PortKind, dialled_here};
use crate::acl::Acl;
use crate::admin::Admin;
use crate::clock::Clock;
use crate::config::{Config, properties};
use crate::node::options;
use crate::proto::v1::{ClusterState, ListTopicsResponse};
use crate::remoting::bodies::dial_back::{DialBack, PORTS_MAX, dial_back_request};
use crate::remoting::bodies::route::{BrokerData, ClusterInfo};
use crate::remoting::json;
use crate::remoting::{Command, request, response};
use crate::task;
use crate::transport::{Client, Credentials, Dialled, Signer, Tls, TlsMaterial, dial};

/// How long a connection and an answer may take.
const TIMEOUT: Duration = Duration::from_secs(2);
/// How long a peer may take that asks its name servers and dials.
const DIAL_BACK_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a slave that is behind has to be seen to move.
const MOVE_TIME: Duration = Duration::from_secs(1);
/// Peers that are asked to dial back: each other host once.
const PEERS_MAX: usize = 8;

/// What answers on a port of this node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answers {
    /// The role that the settings have there.
    Ours,
    /// Somebody else, who is named.
    Other(String),
    /// Nobody, for this reason.
    Nothing(String),
}

/// Who answers at a broker's address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Who {
    pub group: String,
    pub id: i64,
    /// The release of rmq-node; `None` of a broker that does not know 9003.
    pub node_version: Option<String>,
    /// What its slaves dial.
    pub ha_address: String,
    /// How far its clock is ahead of this host's.
    pub ahead: Option<Ahead>,
}

/// How far a clock is ahead of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ahead {
    pub ms: i64,
    /// How wrong that may be.
    pub error_ms: i64,
}

/// A broker that a name server shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registered {
    pub cluster: String,
    pub group: String,
    pub id: i64,
    pub address: String,
    /// The name servers that show it.
    pub by: Vec<String>,
    pub dialled: Dialled,
    /// The same of its VIP port, if it answers on its own.
    pub vip: Option<Dialled>,
    /// The same of its HA address, if that is known.
    pub ha: Option<Dialled>,
    pub who: Result<Who, String>,
    /// `brokerVersionDesc`.
    pub version: Option<String>,
    /// Where its log ends; of slaves before their masters.
    pub log_end: Option<i64>,
    /// The same of a slave that was behind, a moment later.
    pub log_end_later: Option<i64>,
}

impl Registered {
    /// `broker-a (0) at 192.168.1.161:10911`.
    pub fn shown(&self) -> String {
        format!("{} ({}) at {}", self.group, self.id, self.address)
    }

    pub fn host(&self) -> Option<IpAddr> {
        Some(self.address.parse::<SocketAddr>().ok()?.ip())
    }
}

/// A name server of the settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameServer {
    pub address: String,
    /// The groups that it knows, or why it does not say.
    pub groups: Result<Vec<BrokerData>, String>,
}

/// What a peer says of this host's ports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AskedBack {
    /// Who was asked.
    pub peer: String,
    /// `None` of a broker that is no node of ours.
    pub answer: Option<Result<DialBack, String>>,
}

/// A cluster.
#[derive(Debug, Default)]
pub struct Cluster {
    /// What answers where somebody listens on a port of this node, but for HA ports.
    pub own: BTreeMap<u16, Answers>,
    /// Whether the node of the settings runs.
    pub runs: bool,
    pub name_servers: Vec<NameServer>,
    pub brokers: Vec<Registered>,
    pub asked_back: Vec<AskedBack>,
    /// What masters have; `None` if nobody could be asked.
    pub topics: Option<ListTopicsResponse>,
    /// How brokers say that they are; `None` if nobody could be asked.
    pub members: Option<ClusterState>,
}

impl Cluster {
    /// Asks everybody.
    pub async fn look(config: &Config, host: &Host) -> Self {
        let credentials = credentials(config);
        let client = Client::with(None, credentials.clone());
        let own = own(&client, config, host).await;
        let is_broker = |port: u16| config.brokers.iter().any(|broker| broker.port == port);
        let is_ours = |(port, answers): (&u16, &Answers)| {
            *answers == Answers::Ours && (is_broker(*port) || config.brokers.is_empty())
        };
        let runs = own.iter().any(is_ours);
        let asked = config.name_servers.iter().cloned();
        let name_servers = all(asked.map(|address| name_server(client.clone(), address))).await;
        let registered = registered(&name_servers);
        let mut brokers = all(registered.into_iter().map(|one| probe(client.clone(), one))).await;
        add_log_ends(&client, &mut brokers).await;
        let asked_back =
            if runs { ask_back(config, host, &brokers, &credentials).await } else { Vec::new() };
        let answering = name_servers.iter().filter(|one| one.groups.is_ok());
        let answering: Vec<String> = answering.map(|one| one.address.clone()).collect();
        let (mut topics, mut members) = (None, None);
        if !brokers.is_empty() {
            let admin = Admin::new(answering, credentials);
            (topics, members) = (admin.topics().await.ok(), admin.cluster().await.ok());
        }
        Self { own, runs, name_servers, brokers, asked_back, topics, members }
    }
}

/// Runs all at the same time; the results in their order.
async fn all<T, F>(futures: impl Iterator<Item = F>) -> Vec<T>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let start = |future: F| {
        let (sender, receiver) = oneshot::channel();
        task::spawn(task::Kind::Ignore, "look", async move {
            // Whoever asked may have gone.
            let _ = sender.send(future.await);
        });
        receiver
    };
    let started: Vec<_> = futures.map(start).collect();
    let mut results = Vec::new();
    for one in started {
        // A panic in it was reported.
        results.extend(one.await.ok());
    }
    results
}

/// A successful answer, or why there is none.
async fn call(client: &Client, address: &str, request: Command) -> Result<Command, String> {
    let answer = client.call(address, request, TIMEOUT).await.map_err(|error| error.to_string())?;
    if answer.code == response::SUCCESS {
        return Ok(answer);
    }
    let remark = answer.remark.unwrap_or_default();
    Err(format!("it answers {} {remark}", response::name(answer.code)))
}

async fn own(client: &Client, config: &Config, host: &Host) -> BTreeMap<u16, Answers> {
    let here = dialled_here(config.listen);
    let held = host.ports.iter().filter(|port| port.holder.is_some());
    let asked = held.filter(|port| !matches!(port.kind, PortKind::Ha(_))).map(|port| {
        let address = SocketAddr::new(here, port.number).to_string();
        let expected = match port.kind {
            PortKind::Broker(at) | PortKind::Vip(at) => {
                config.brokers.get(at).map(|broker| (broker.group.clone(), i64::from(broker.id)))
            }
            PortKind::NameServer | PortKind::Ha(_) => None,
        };
        let (client, number) = (client.clone(), port.number);
        async move { (number, answers(&client, address, expected).await) }
    });
    all(asked).await.into_iter().collect()
}

async fn answers(client: &Client, address: String, expected: Option<(String, i64)>) -> Answers {
    let Some((group, id)) = expected else {
        return match name_server(client.clone(), address).await.groups {
            Ok(_) => Answers::Ours,
            Err(reason) => Answers::Nothing(reason),
        };
    };
    match who(client, &address).await {
        Ok(who) if who.group == group && who.id == id => Answers::Ours,
        Ok(who) => Answers::Other(format!("{} ({})", who.group, who.id)),
        Err(reason) => Answers::Nothing(reason),
    }
}

async fn name_server(client: Client, address: String) -> NameServer {
    let request = Command::request(request::GET_BROKER_CLUSTER_INFO);
    let answer = call(&client, &address, request).await;
    let groups = answer.and_then(|answer| {
        let info = ClusterInfo::parse(&answer.body);
        info.map(|info| info.brokers).map_err(|error| format!("it is no name server: {error}"))
    });
    NameServer { address, groups }
}

/// Every broker that a name server shows, each once.
fn registered(name_servers: &[NameServer]) -> Vec<Registered> {
    let mut all: BTreeMap<(String, i64, String), Registered> = BTreeMap::new();
    for server in name_servers {
        for group in server.groups.iter().flatten() {
            for (id, address) in &group.addresses {
                let key = (group.broker_name.clone(), *id, address.clone());
                let one = all.entry(key).or_insert_with(|| Registered {
                    cluster: group.cluster.clone(),
                    group: group.broker_name.clone(),
                    id: *id,
                    address: address.clone(),
                    by: Vec::new(),
                    dialled: Dialled::Timeout,
                    vip: None,
                    ha: None,
                    who: Err("it was not asked".to_owned()),
                    version: None,
                    log_end: None,
                    log_end_later: None,
                });
                one.by.push(server.address.clone());
            }
        }
    }
    all.into_values().collect()
}

/// Dials a broker, and asks it who it is.
async fn probe(client: Client, mut broker: Registered) -> Registered {
    broker.dialled = dial(&broker.address, TIMEOUT).await;
    if broker.dialled != Dialled::Reachable {
        return broker;
    }
    let vip = broker.address.parse::<SocketAddr>().ok().and_then(|mut at| {
        at.set_port(at.port().checked_sub(2)?);
        Some(at.to_string())
    });
    if let Some(vip) = vip {
        broker.vip = Some(dial(&vip, TIMEOUT).await);
    }
    broker.who = who(&client, &broker.address).await;
    let (before, runtime) = (Clock::system().now_ms(), runtime(&client, &broker.address).await);
    let after = Clock::system().now_ms();
    broker.version = runtime.get("brokerVersionDesc").cloned();
    if let Ok(who) = &mut broker.who {
        if who.ahead.is_none() {
            who.ahead = now_of(&runtime).map(|now| ahead(now, 500, before, after));
        }
        broker.ha = Some(dial(&who.ha_address, TIMEOUT).await);
    }
    broker
}

/// How far a clock is ahead that said `now`, right to `error_ms`, between two times of this host's.
fn ahead(now: i64, error_ms: i64, before: i64, after: i64) -> Ahead {
    let half = (after - before) / 2;
    Ahead { ms: now - (before + half), error_ms: error_ms + half }
}

/// Who answers at a broker's address.
async fn who(client: &Client, address: &str) -> Result<Who, String> {
    let before = Clock::system().now_ms();
    match call(client, address, Command::request(request::EXTENSION_DIAL_BACK)).await {
        Ok(answer) => {
            let told = DialBack::parse(&answer.body).map_err(|error| error.to_string())?;
            Ok(Who {
                group: told.group,
                id: told.broker_id,
                node_version: Some(told.version),
                ha_address: told.ha_address,
                ahead: Some(ahead(told.time_ms, 0, before, Clock::system().now_ms())),
            })
        }
        // A plain 4.9.4 broker: its settings say the same.
        Err(_) => {
            let answer =
                call(client, address, Command::request(request::GET_BROKER_CONFIG)).await?;
            let settings = properties::parse(&String::from_utf8_lossy(&answer.body));
            let text = |key: &str| settings.get(key).cloned();
            let unknown = || "it is no broker".to_owned();
            let ha = format!(
                "{}:{}",
                text("brokerIP2").unwrap_or_default(),
                text("haListenPort").unwrap_or_default()
            );
            Ok(Who {
                group: text("brokerName").ok_or_else(unknown)?,
                id: text("brokerId").and_then(|id| id.parse().ok()).ok_or_else(unknown)?,
                node_version: None,
                ha_address: ha,
                ahead: None,
            })
        }
    }
}

/// What a broker says of itself by 28; nothing if it does not answer.
async fn runtime(client: &Client, address: &str) -> BTreeMap<String, String> {
    let request = Command::request(request::GET_BROKER_RUNTIME_INFO);
    let Ok(answer) = call(client, address, request).await else { return BTreeMap::new() };
    let Ok(body) = json::parse(&answer.body) else { return BTreeMap::new() };
    let entries = body.get("table").entries().iter();
    let text = |(key, value): &(json::Value<'_>, json::Value<'_>)| {
        Some((key.as_str()?.to_owned(), value.as_str()?.to_owned()))
    };
    entries.filter_map(text).collect()
}

/// The time of a broker that tells only since when it runs, and for how long: `[ 0 days, 1 hours, 2 minutes, 3
/// seconds ]` (B-360), rounded down; right to half a second.
fn now_of(runtime: &BTreeMap<String, String>) -> Option<i64> {
    let booted: i64 = runtime.get("bootTimestamp")?.parse().ok()?;
    let words = runtime.get("runtime")?.split_whitespace();
    let numbers: Vec<i64> = words.filter_map(|word| word.parse().ok()).collect();
    let [days, hours, minutes, seconds] = numbers[..] else { return None };
    let seconds =
        ((days.checked_mul(24)? + hours).checked_mul(60)? + minutes).checked_mul(60)? + seconds;
    booted.checked_add(seconds.checked_mul(1000)?)?.checked_add(500)
}

/// Where logs end: of slaves first, so that none looks further than its master; of slaves that are behind again.
async fn add_log_ends(client: &Client, brokers: &mut [Registered]) {
    let groups: BTreeSet<String> =
        brokers.iter().filter(|one| one.id != 0).map(|one| one.group.clone()).collect();
    let wanted = |one: &Registered, of_slaves: bool| {
        groups.contains(&one.group)
            && (one.id != 0) == of_slaves
            && one.dialled == Dialled::Reachable
    };
    for of_slaves in [true, false] {
        let asked = brokers.iter().map(|one| (wanted(one, of_slaves), one.address.clone()));
        let ends = log_ends(client, asked).await;
        for (broker, end) in brokers.iter_mut().zip(ends) {
            broker.log_end = broker.log_end.or(end);
        }
    }
    let master_end = |group: &str| {
        let master = brokers.iter().find(|one| one.id == 0 && one.group == group);
        master.and_then(|master| master.log_end)
    };
    let behind: Vec<bool> = brokers
        .iter()
        .map(|one| one.id != 0 && one.log_end.is_some() && one.log_end < master_end(&one.group))
        .collect();
    if behind.contains(&true) {
        tokio::time::sleep(MOVE_TIME).await;
        let asked = behind.into_iter().zip(brokers.iter().map(|one| one.address.clone()));
        let ends = log_ends(client, asked).await;
        for (broker, end) in brokers.iter_mut().zip(ends) {
            broker.log_end_later = end;
        }
    }
}

async fn log_ends(
    client: &Client,
    asked: impl Iterator<Item = (bool, String)>,
) -> Vec<Option<i64>> {
    let one = |(is_asked, address): (bool, String)| {
        let client = client.clone();
        async move {
            if !is_asked {
                return None;
            }
            runtime(&client, &address).await.get("commitLogMaxOffset")?.parse().ok()
        }
    };
    let asked: Vec<_> = asked.collect();
    all(asked.into_iter().map(one)).await
}

/// What the node of these settings shows, as far as that can be read here.
fn credentials(config: &Config) -> Credentials {
    // What cannot be read is a finding of its own.
    let material = TlsMaterial::load(&config.tls).ok().flatten();
    Credentials { signer: signer(config), tls: Tls::new(material) }
}

/// Signs as the node of these settings, if accounts are on and can be read.
fn signer(config: &Config) -> Signer {
    let Some(acl) = options::acl(config, &config.data_dir) else { return Signer::default() };
    match Acl::node_key(&acl) {
        Ok(key) => Signer::new(move |request| key.sign(&acl.node_account, request)),
        Err(_) => Signer::default(),
    }
}

/// Asks one broker of each other host to dial this one's ports.
async fn ask_back(
    config: &Config,
    host: &Host,
    brokers: &[Registered],
    credentials: &Credentials,
) -> Vec<AskedBack> {
    let from = host.interface(config.advertise).map(|_| config.advertise);
    let client = match from {
        Some(from) => Client::from_address(from, credentials.clone()),
        None => Client::with(None, credentials.clone()),
    };
    let is_ha_asked = config.replication_advertise == config.advertise;
    let wanted =
        host.ports.iter().filter(|port| is_ha_asked || !matches!(port.kind, PortKind::Ha(_)));
    let ports: Vec<u16> = wanted.map(|port| port.number).collect();
    let mut hosts = BTreeSet::from([config.advertise, config.listen]);
    let others = brokers.iter().filter(|one| one.who.is_ok());
    let peers = others.filter(|one| one.host().is_some_and(|host| hosts.insert(host)));
    let asked = peers.take(PEERS_MAX).map(|one| {
        let (client, peer, ports) = (client.clone(), one.shown(), ports.clone());
        let is_node = one.who.as_ref().is_ok_and(|who| who.node_version.is_some());
        let address = one.address.clone();
        async move {
            let answer = async { ask_one_back(&client, &address, &ports).await };
            AskedBack { peer, answer: if is_node { Some(answer.await) } else { None } }
        }
    });
    let asked: Vec<_> = asked.collect();
    all(asked.into_iter()).await
}

/// Asks for all ports, a few at a time.
async fn ask_one_back(client: &Client, address: &str, ports: &[u16]) -> Result<DialBack, String> {
    let mut all: Option<DialBack> = None;
    for some in ports.chunks(PORTS_MAX) {
        let request =
            Command::request(request::EXTENSION_DIAL_BACK).with_body(dial_back_request(some));
        let answer = client.call(address, request, DIAL_BACK_TIMEOUT).await;
        let answer = answer.map_err(|error| error.to_string())?;
        if answer.code != response::SUCCESS {
            return Err(answer.remark.unwrap_or_default());
        }
        let told = DialBack::parse(&answer.body).map_err(|error| error.to_string())?;
        match &mut all {
            Some(all) => all.ports.extend(told.ports),
            None => all = Some(told),
        }
    }
    all.ok_or_else(|| "there is no port to ask for".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_a_4_9_4_broker_follows_from_how_long_it_runs() {
        let entries = [
            ("bootTimestamp", "1000000"),
            ("runtime", "[ 1 days, 2 hours, 3 minutes, 4 seconds ]"),
        ];
        let mut runtime: BTreeMap<String, String> =
            entries.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        let seconds = 86_400 + 2 * 3600 + 3 * 60 + 4;
        assert_eq!(now_of(&runtime), Some(1_000_000 + seconds * 1000 + 500));
        for wrong in
            ["[ 1 days ]", "", "[ 9223372036854775807 days, 0 hours, 0 minutes, 0 seconds ]"]
        {
            runtime.insert("runtime".to_owned(), wrong.to_owned());
            assert_eq!(now_of(&runtime), None, "{wrong}");
        }
        assert_eq!(ahead(5_000, 500, 1_000, 1_200), Ahead { ms: 3_900, error_ms: 600 });
    }
}
