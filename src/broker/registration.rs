//! Registration with name servers: at start, every 30 s, and when topics change (103, 104; B-020 to B-028). Their
//! answers say a slave where its master is (N-051, H-060).
//!
//! Not the topics themselves. One task for each name server, so that a slow one holds up no other; each has its own
//! connection (N-024), and does not wait for the next period when it is lost. Invariants: over a new connection all topics are told, later the changed ones as soon as they
//! change and all again with each period; changes that come while a registration is under way are told together by
//! the next one; a registration carries the topics and the version of one moment, because a name server of 4.9.4
//! takes no second one with an equal version (N-047, N-081).

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::answers::not_supported;
use super::{Broker, BrokerOptions, MasterAddresses};
use crate::acl;
use crate::message::body_crc;
use crate::model::{Permission, TopicConfig, shown};
use crate::remoting::bodies::registration::registration;
use crate::remoting::bodies::route::ClusterInfo;
use crate::remoting::headers::RegisterBroker;
use crate::remoting::{Command, json, request, response};
use crate::replication::Standing;
use crate::replication::decide::{self, Rival};
use crate::replication::past::log_of;
use crate::replication::peers::Peer;
use crate::task;
use crate::transport::{CallError, Client, Connection, Responder, Service};

/// How often all topics are told (`registerNameServerPeriod`, B-020).
const PERIOD: Duration = Duration::from_secs(30);
/// How long a name server has to answer (`registerBrokerTimeoutMills`, B-022).
const REGISTER_TIMEOUT: Duration = Duration::from_secs(6);
/// How long it has to answer at the end.
const UNREGISTER_TIMEOUT: Duration = Duration::from_secs(3);
/// How often a slave asks that knows no master.
const PERIOD_WITHOUT_MASTER: Duration = Duration::from_secs(1);
/// After a failure; see [`longer`].
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// A name server that comes back, with nothing in it, is not without brokers for longer.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(5);

/// The links to all name servers.
pub(super) struct Registration {
    client: Client,
    links: Vec<Link>,
    /// How often topics changed or a connection was lost.
    changes: watch::Sender<u64>,
    registered: watch::Sender<bool>,
    /// A slave's master, of the first name server that knows one.
    master: watch::Sender<Option<MasterAddresses>>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

/// One name server.
struct Link {
    address: String,
    told: watch::Sender<Told>,
    /// The master that it named last.
    master: Mutex<Option<MasterAddresses>>,
}

impl Link {
    fn named_master(&self) -> MutexGuard<'_, Option<MasterAddresses>> {
        self.master.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a name server knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    /// Nothing yet: the first attempt is under way.
    Nothing,
    /// All changes up to this one.
    UpTo(u64),
    /// The last attempt failed: nobody waits for it.
    Unreachable,
}

/// Wakes the links when a connection is lost: a name server that forgot the broker with it is told at once, one that
/// is gone is seen to be gone.
struct OnLoss(watch::Sender<u64>);

impl Service for OnLoss {
    fn on_request(&self, request: Command, responder: Responder) {
        // Name servers ask nothing.
        not_supported(&request, responder);
    }

    fn on_close(&self, _: &Connection) {
        count_up(&self.0);
    }
}

fn count_up(changes: &watch::Sender<u64>) {
    changes.send_modify(|count| *count += 1);
}

/// What was told over a connection.
struct Sent {
    connection: Connection,
    topics: Vec<Arc<TopicConfig>>,
}

/// Why a registration did not succeed.
#[derive(Debug, thiserror::Error)]
enum RegisterError {
    #[error(transparent)]
    Call(#[from] CallError),
    #[error("it answered {code}: {remark}")]
    Refused { code: i32, remark: String },
    #[error("{0}")]
    Replaced(String),
}

impl Registration {
    /// No name server knows of the broker yet.
    pub fn new(options: &BrokerOptions) -> Self {
        let name_servers = &options.name_servers;
        let link = |address: &String| Link {
            address: address.clone(),
            told: watch::Sender::new(Told::Nothing),
            master: Mutex::default(),
        };
        let changes = watch::Sender::new(0);
        Self {
            client: options.client(Some(Arc::new(OnLoss(changes.clone())))),
            links: name_servers.iter().map(link).collect(),
            changes,
            // Without name servers a broker runs unregistered (B-028).
            registered: watch::Sender::new(name_servers.is_empty()),
            master: watch::Sender::new(None),
            tasks: Mutex::default(),
        }
    }

    /// Waits until one name server has answered.
    pub async fn registered(&self) {
        // The sender lives as long as this.
        let _ = self.registered.subscribe().wait_for(|registered| *registered).await;
    }

    /// Where a slave's master is.
    pub fn master_addresses(&self) -> watch::Receiver<Option<MasterAddresses>> {
        self.master.subscribe()
    }

    /// Notes what a name server says of the master: of those that know one, the one named first counts.
    fn note_master(&self, index: usize, named: Option<MasterAddresses>) {
        *self.links[index].named_master() = named;
        self.master.send_if_modified(|known| {
            let master = self.links.iter().find_map(|link| link.named_master().clone());
            let is_news = *known != master;
            if is_news {
                tracing::info!(?master, "the master's address");
                *known = master;
            }
            is_news
        });
    }

    /// Topics changed: they are told soon (B-024).
    pub fn changed(&self) {
        count_up(&self.changes);
    }

    /// Topics changed: returns when every name server that can be reached was told, or when the time is up (B-022).
    /// Blocks.
    pub fn tell_now(&self) {
        self.changed();
        Handle::current().block_on(self.told());
    }

    /// Waits until every name server that can be reached was told of all changes up to now.
    async fn told(&self) {
        let change = *self.changes.borrow();
        let all = async {
            for link in &self.links {
                let covers = |told: &Told| match told {
                    Told::Nothing => false,
                    Told::UpTo(last) => *last >= change,
                    Told::Unreachable => true,
                };
                // The sender lives as long as the link.
                let _ = link.told.subscribe().wait_for(covers).await;
            }
        };
        if timeout(REGISTER_TIMEOUT, all).await.is_err() {
            tracing::warn!("not every name server was told of a changed topic in time");
        }
    }

    /// Tells name servers that the broker is gone (B-012); nothing is registered after it.
    pub async fn unregister(&self, options: &BrokerOptions) {
        let tasks = std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        for task in &tasks {
            task.abort();
        }
        for task in tasks {
            // It was aborted.
            let _ = task.await;
        }
        let told = self.links.iter().filter(|link| matches!(*link.told.borrow(), Told::UpTo(_)));
        let calls: Vec<_> = told.map(|link| self.spawn_unregister(link, options)).collect();
        for call in calls {
            // A panic in it was reported.
            let _ = call.await;
        }
    }

    fn spawn_unregister(&self, link: &Link, options: &BrokerOptions) -> JoinHandle<()> {
        let request = Command::request(request::UNREGISTER_BROKER)
            .with_field("brokerName", &options.group)
            .with_field("brokerAddr", options.address)
            .with_field("clusterName", &options.cluster)
            .with_field("brokerId", options.id);
        let (client, name_server) = (self.client.clone(), link.address.clone());
        task::spawn(task::Kind::Ignore, "unregistration", async move {
            match client.call(&name_server, request, UNREGISTER_TIMEOUT).await {
                Ok(answer) if answer.code == response::SUCCESS => {
                    tracing::info!(name_server, "unregistered");
                }
                Ok(answer) => {
                    tracing::warn!(name_server, code = answer.code, remark = ?answer.remark, "not unregistered");
                }
                Err(error) => tracing::warn!(name_server, %error, "not unregistered"),
            }
        })
    }

    /// Keeps one name server informed, for ever.
    async fn keep(&self, broker: &Broker, index: usize) {
        let link = &self.links[index];
        let mut changes = self.changes.subscribe();
        let mut sent: Option<Sent> = None;
        let mut full_at = Instant::now();
        let mut retry_after = RETRY_AFTER;
        loop {
            if sent.take_if(|sent| !sent.connection.is_open()).is_some() {
                // At once, but not again and again should the name server close every connection.
                full_at = full_at - PERIOD + RETRY_AFTER;
                sleep_until(full_at).await;
            }
            let change = *changes.borrow_and_update();
            let is_full = full_at <= Instant::now();
            match self.register(broker, link, &mut sent, is_full).await {
                Ok(answer) => {
                    if let Some(answer) = answer {
                        self.take(broker, index, &answer);
                    }
                    if is_full {
                        full_at = Instant::now() + self.period(broker);
                    }
                    retry_after = RETRY_AFTER;
                    if !matches!(link.told.send_replace(Told::UpTo(change)), Told::UpTo(_)) {
                        tracing::info!(name_server = link.address, "registered");
                    }
                    self.registered.send_replace(true);
                    tokio::select! {
                        () = sleep_until(full_at) => {}
                        // It cannot end: its sender lives as long as this.
                        _ = changes.changed() => {}
                    }
                }
                Err(error) => {
                    sent = None;
                    full_at = Instant::now();
                    if link.told.send_replace(Told::Unreachable) != Told::Unreachable {
                        tracing::warn!(name_server = link.address, %error, "not registered");
                    }
                    if self.links.iter().any(|link| matches!(*link.told.borrow(), Told::UpTo(_))) {
                        // Without any, the master that was named last stays.
                        self.note_master(index, None);
                    }
                    sleep(retry_after).await;
                    retry_after = longer(retry_after);
                }
            }
        }
    }

    /// Takes what an answer says besides that all is well.
    fn take(&self, broker: &Broker, index: usize, answer: &Command) {
        if broker.is_slave() {
            self.note_master(index, master_of(answer, &broker.options));
        }
        if !answer.body.is_empty() && self.is_first(index) {
            apply_order_table(broker, &answer.body);
        }
    }

    fn period(&self, broker: &Broker) -> Duration {
        let seeks_master = broker.is_slave() && self.master.borrow().is_none();
        if seeks_master { PERIOD_WITHOUT_MASTER } else { PERIOD }
    }

    /// Whether no name server that is named earlier answers: of several order tables, its one counts (B-025).
    fn is_first(&self, index: usize) -> bool {
        self.links[..index].iter().all(|link| *link.told.borrow() == Told::Unreachable)
    }

    /// Registers once, unless there is nothing to tell; returns the answer (N-051).
    async fn register(
        &self,
        broker: &Broker,
        link: &Link,
        sent: &mut Option<Sent>,
        is_full: bool,
    ) -> Result<Option<Command>, RegisterError> {
        let connection = self.client.connection(&link.address).await?;
        let (version, topics) = broker.store.tables().topics.snapshot();
        let known = sent.as_ref().filter(|sent| !is_full && sent.connection == connection);
        let news = match known {
            Some(known) => changed_topics(&known.topics, &topics),
            None => topics.clone(),
        };
        if known.is_some() && news.is_empty() {
            return Ok(None);
        }
        if let Some(why) = replaced(broker, &connection).await {
            return Err(RegisterError::Replaced(why));
        }
        let body = registration(version, &as_told(broker, news));
        let answer = call(&connection, &broker.options, body).await?;
        *sent = Some(Sent { connection, topics });
        Ok(Some(answer))
    }
}

/// Topics as name servers are told of them: with the broker's permission while it may not both be read and written
/// (B-023).
fn as_told(broker: &Broker, topics: Vec<Arc<TopicConfig>>) -> Vec<Arc<TopicConfig>> {
    let permission = broker.live_config.permission();
    if permission.contains(Permission::READ_WRITE) {
        return topics;
    }
    let told = |topic: &Arc<TopicConfig>| {
        let (name, read_queues) = (topic.name.clone(), topic.read_queues);
        let config = TopicConfig::new(name, topic.write_queues);
        Arc::new(TopicConfig { read_queues, permission, ..config })
    };
    topics.iter().map(told).collect()
}

/// Why a master must not take its place: the one that a name server knows there goes before it. It takes
/// nothing more then.
async fn replaced(broker: &Broker, name_server: &Connection) -> Option<String> {
    if broker.is_slave() {
        return None;
    }
    if let Standing::Replaced(why) = &*broker.member.standing().borrow() {
        return Some(why.clone());
    }
    let why = rival(broker, name_server).await?;
    tracing::error!(group = broker.options.group, "this master takes nothing more: {why}");
    broker.member.set_standing(Standing::Replaced(why.clone()));
    // Nor what is on its way, or comes from the broker itself. It may wait for a write.
    let store = Arc::clone(&broker.store);
    let refusing = task::spawn_blocking("no more appends", move || store.refuse_appends());
    // It fails only if it panics, which is reported.
    let _ = refusing.await;
    Some(why)
}

/// Why the master that a name server knows of this group, if it is another one, goes before this one.
async fn rival(broker: &Broker, name_server: &Connection) -> Option<String> {
    let BrokerOptions { group, address, .. } = &broker.options;
    let request = Command::request(request::GET_BROKER_CLUSTER_INFO);
    // Whoever does not answer cannot be registered with either.
    let answer = name_server.call(request, REGISTER_TIMEOUT).await.ok()?;
    let info = ClusterInfo::parse(&answer.body).ok()?;
    let of_group = info.brokers.into_iter().find(|one| one.broker_name == *group)?;
    let holder = of_group.addresses.get(&0).filter(|holder| **holder != address.to_string())?;
    let advice = format!(
        "if it shall stay so, write role = \"slave\" for group = \"{group}\" in this host's file, and restart"
    );
    // Who is silent holds nothing.
    let hello = match broker.member.greet(holder, 0).await.ok()? {
        Peer::Plain => return Some(format!("{holder} is the master of {group}; {advice}")),
        Peer::Ours(hello) => hello,
    };
    // Under an older address of its own it meets itself.
    if hello.role != "master" || hello.address == address.to_string() {
        return None;
    }
    let theirs = *log_of(&hello).ok()?.history.last()?;
    let own = *broker.member.past().history().last()?;
    match decide::rival(&own, &theirs) {
        Rival::Stay => None,
        Rival::Yield => Some(format!(
            "{holder} is the master of {group} too, since the later epoch {theirs} (here {own}); {advice}"
        )),
    }
}

/// How long to wait after one more failure: twice as long, up to [`RETRY_AFTER_MAX`].
fn longer(pause: Duration) -> Duration {
    (2 * pause).min(RETRY_AFTER_MAX)
}

async fn call(
    connection: &Connection,
    options: &BrokerOptions,
    body: Bytes,
) -> Result<Command, RegisterError> {
    let header = RegisterBroker {
        broker_name: options.group.clone(),
        broker_addr: options.address.to_string(),
        cluster_name: options.cluster.clone(),
        ha_server_addr: options.ha_address.to_string(),
        broker_id: options.id.0.into(),
        compressed: false,
        body_crc32: i32::try_from(body_crc(&body)).unwrap_or_default(),
    };
    let request = header.to_request().with_body(body);
    let answer = connection.call(request, REGISTER_TIMEOUT).await?;
    if answer.code != response::SUCCESS {
        let remark = acl::advised(shown(&answer.remark.unwrap_or_default()));
        return Err(RegisterError::Refused { code: answer.code, remark });
    }
    Ok(answer)
}

/// The master that an answer names (N-051). A slave has none if its own address is registered as the master's.
fn master_of(answer: &Command, options: &BrokerOptions) -> Option<MasterAddresses> {
    let field = |key| answer.field(key).filter(|text| !text.is_empty()).map(str::to_owned);
    let master = MasterAddresses { broker: field("masterAddr")?, ha: field("haServerAddr")? };
    Some(master).filter(|master| master.broker != options.address.to_string())
}

/// The topics that are not what they were; a topic's configuration is replaced, never changed, so that its place in
/// memory tells. Deleted topics are not told (B-024).
fn changed_topics(
    known: &[Arc<TopicConfig>],
    topics: &[Arc<TopicConfig>],
) -> Vec<Arc<TopicConfig>> {
    // Both are by name.
    let mut known = known.iter().peekable();
    let mut is_known = |topic: &Arc<TopicConfig>| {
        let is_next = |one: &&Arc<TopicConfig>| Arc::ptr_eq(one, topic);
        if known.next_if(is_next).is_some() {
            return true;
        }
        while known.next_if(|one| one.name < topic.name).is_some() {}
        known.next_if(is_next).is_some()
    };
    topics.iter().filter(|topic| !is_known(topic)).cloned().collect()
}

/// Topics in the name server's order table are ordered, all others are not (B-025).
fn apply_order_table(broker: &Broker, body: &[u8]) {
    let parsed = json::parse(body);
    let Ok(value) = parsed.inspect_err(|error| tracing::warn!(%error, "no order table")) else {
        return;
    };
    let table = value.get("table");
    if table.expect_object("table").is_err() {
        return;
    }
    let ordered: HashSet<&str> =
        table.entries().iter().filter_map(|(key, _)| key.as_str()).collect();
    let topics = &broker.store.tables().topics;
    for topic in topics.snapshot().1 {
        let order = ordered.contains(topic.name.as_str());
        // Meanwhile the topic may have been changed or deleted: nothing but the one switch is set.
        if topics.set_order(&topic.name, order) {
            tracing::info!(
                topic = topic.name.as_str(),
                order,
                "the name server's order table changed a topic"
            );
        }
    }
}

/// Registers until `stop`, or until [`Registration::unregister`].
pub(super) fn start(broker: &Arc<Broker>, handle: &Handle, stop: &CancellationToken) {
    let _entered = handle.enter();
    let spawn = |index| {
        let (broker, stop) = (Arc::clone(broker), stop.clone());
        task::spawn(task::Kind::Ignore, "registration", async move {
            let _ = stop.run_until_cancelled(broker.registration.keep(&broker, index)).await;
        })
    };
    let spawned = (0..broker.registration.links.len()).map(spawn);
    let mut tasks = broker.registration.tasks.lock().unwrap_or_else(PoisonError::into_inner);
    tasks.extend(spawned);
}

#[cfg(test)]
#[path = "registration_tests.rs"]
mod tests;
