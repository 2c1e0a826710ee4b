//! One broker: answers producers, consumers and tools (contract 3).
//!
//! | file | what |
//! | --- | --- |
//! | `accounts` | the accounts as tools change them (50 to 54), and nodes tell one another (9006) |
//! | `permissions` | who may ask, where accounts are on |
//! | `requests` | which file answers which request code, and which codes are refused |
//! | `answers` | how a request is answered: at once or from a thread, with a result or a refusal |
//! | `send` | sends: checks and the append (10, 310, 320) |
//! | `send_back` | messages that a consumer gives back: retry and dead-letter topics (36) |
//! | `reply` | replies to requests that producers wait for (324, 325 → 326) |
//! | `pull` | pulls (11) |
//! | `light` | light queues, as clients see them |
//! | `long_polling` | pulls that wait for a message |
//! | `offsets` | positions of groups, offsets of queues (14, 15, 29 to 32) |
//! | `query` | messages by key and by id (12, 33) |
//! | `clients` | who is connected: producers and consumers |
//! | `subscriptions` | what consumers subscribe to, and whether it can be filtered here (46) |
//! | `heartbeats` | what clients say of themselves, and are told of one another (34, 35, 40) |
//! | `client_calls` | what tools ask of them through the broker (222, 223, 307, 309 → 220, 221, 307, 309) |
//! | `client_lists` | how tools are told of them (38, 203, 204, 328) |
//! | `order_locks` | which consumer may read a queue in order (41, 42) |
//! | `copies` | what the broker itself stores: copies of messages, and marks |
//! | `delay` | the delay levels |
//! | `timers` | messages that wait for a time of their own (9007) |
//! | `transactions` | half messages and their ends (37, 323) |
//! | `transaction_check` | asking producers what became of half messages (39) |
//! | `java_properties` | in which order properties are stored |
//! | `topics`, `groups` | their configuration (17, 21, 215, 305, 351; 200, 201, 207, 314, 352) |
//! | `topic_spread` | topics that sends made, on the cluster's other masters (17) |
//! | `topic_stats` | how full their queues are (202) |
//! | `progress` | how far groups are (208, 300, 303, 308, 317) |
//! | `queue_entries` | the entries of a queue (321) |
//! | `upkeep` | what is cleaned because an operator wants it (306, 316, 329) |
//! | `registration` | what name servers are told, and where the master is |
//! | `metadata_sync` | what a slave copies of its master besides the log (43, 45) |
//! | `extension` | who our own nodes are (9001) |
//! | `figures` | what is reckoned now and then, for metrics and alerts (9009) |
//! | `positions` | positions with generations, between our own nodes (9004) |
//! | `start_step` | what a master does before it serves, and answers until then |
//! | `runtime_info` | what tools are told about this broker (28) |
//! | `broker_config` | its configuration under 4.9.4's keys (25, 26, 9011) |
//! | `flow_control` | senders are told when the log cannot take more |
//! | `dial_back` | whether ports of the asker can be reached from here (9003) |
//! | `saved_statistics` | what of them survives a restart |
//! | `statistics` | messages in and out, in total and per second (315) |
//! | `statistics_items` | the same by name, with samples |
//! | `writers` | since when producers are kept away, and when one sent last (9010) |
//! | `latencies` | how long appends and gets take |
//!
//! Not here: bytes on sockets (`transport`), bytes on disks (`store`). Invariants: nothing that may wait for the
//! disk runs on a connection's task; a request is answered once, or never if its connection is gone.

mod accounts;
mod answers;
mod broker_config;
mod client_calls;
mod client_lists;
mod clients;
mod copies;
mod delay;
mod dial_back;
mod extension;
mod figures;
mod flow_control;
mod groups;
mod heartbeats;
pub mod java_properties;
mod latencies;
mod light;
mod long_polling;
mod metadata_sync;
mod offsets;
mod order_locks;
mod permissions;
mod positions;
mod progress;
mod pull;
mod query;
mod queue_entries;
mod registration;
mod reply;
mod requests;
mod runtime_info;
mod saved_statistics;
mod send;
mod send_back;
mod start_step;
mod statistics;
mod statistics_items;
mod subscriptions;
#[cfg(test)]
mod tests_support;
mod timers;
mod topic_spread;
mod topic_stats;
mod topics;
mod transaction_check;
mod transactions;
mod upkeep;
mod writers;

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::acl::Acl;
use crate::clock::Clock;
use crate::config::{AutoCreate, Overrides};
use crate::metrics::Metrics;
use crate::model::{BrokerId, Permission};
use crate::remoting::Command;
pub use crate::replication::MasterAddresses;
use crate::replication::{Member, MemberOptions};
use crate::store::Store;
use crate::task::{self, Kind};
use crate::transport::{Client, Connection, Credentials, Limits, Responder, Service};
pub use transactions::TransactionOptions;

/// What a broker is told when it is made.
#[derive(Clone, Debug)]
pub struct BrokerOptions {
    /// The cluster it belongs to (`brokerClusterName`).
    pub cluster: String,
    /// Its group (`brokerName`).
    pub group: String,
    /// Its number in the group; 0 is the master.
    pub id: BrokerId,
    /// What clients dial, and what records carry as store host (`brokerIP1:listenPort`).
    pub address: SocketAddr,
    /// What slaves dial (`brokerIP2:haListenPort`).
    pub ha_address: SocketAddr,
    /// Where it registers, each as `host:port`.
    pub name_servers: Vec<String>,
    /// What clients make by using it, until 25 says otherwise.
    pub auto_create: AutoCreate,
    /// Whether consumers that are far behind are told to read from a slave, until 25 says otherwise (`slaveReadEnable`).
    pub reads_from_slaves: bool,
    /// How transactions are checked.
    pub transactions: TransactionOptions,
    /// The accounts, where they are on.
    pub acl: Option<Arc<Acl>>,
    /// What signs its requests to others.
    pub credentials: Credentials,
    /// What peers can make it hold.
    pub limits: Arc<Limits>,
    /// What was changed while the node ran.
    pub overrides: Arc<Overrides>,
}

impl BrokerOptions {
    /// A client whose requests are the broker's own; `service` answers what is asked over its connections.
    fn client(&self, service: Option<Arc<dyn Service>>) -> Client {
        Client::with(service, self.credentials.clone())
    }
}

/// One broker.
pub struct Broker {
    options: BrokerOptions,
    store: Arc<Store>,
    clock: Clock,
    metrics: Arc<Metrics>,
    clients: clients::Clients,
    carried: subscriptions::Carried,
    order_locks: order_locks::OrderLocks,
    long_polling: Arc<long_polling::LongPolling>,
    statistics: statistics::Statistics,
    live_config: broker_config::LiveConfig,
    writers: writers::Writers,
    registration: registration::Registration,
    topic_spread: topic_spread::TopicSpread,
    member: Arc<Member>,
    delivery: delay::Moving,
    checks: delay::Moving<HashSet<u64>>,
    timer_moves: delay::Moving,
    dial_backs: dial_back::DialBacks,
    reckoned: figures::Reckoned,
    /// When it was made, in wall time.
    booted_ms: i64,
}

impl Broker {
    /// A broker over a member's open store; it answers as soon as it is served, and is found as soon as it is [started](Self::start).
    #[must_use]
    pub fn new(
        options: BrokerOptions,
        member: Arc<Member>,
        clock: &Clock,
        metrics: Arc<Metrics>,
    ) -> Arc<Self> {
        let live_config = broker_config::LiveConfig::new(clock, &options);
        let writers = writers::Writers::new(clock);
        writers.close(!live_config.permission().contains(Permission::WRITE));
        let store_options = member.store().options();
        let broker = Arc::new(Self {
            clients: clients::Clients::new(clock),
            carried: subscriptions::Carried::default(),
            order_locks: order_locks::OrderLocks::new(clock),
            long_polling: Arc::default(),
            statistics: saved_statistics::load(&store_options.dir, clock)
                .with_light_queues(store_options.light_queues),
            live_config,
            writers,
            delivery: delay::Moving::default(),
            checks: delay::Moving::default(),
            timer_moves: delay::Moving::default(),
            dial_backs: dial_back::DialBacks::new(clock),
            reckoned: figures::Reckoned::default(),
            registration: registration::Registration::new(&options),
            topic_spread: topic_spread::TopicSpread::new(),
            booted_ms: clock.now_ms(),
            options,
            store: Arc::clone(member.store()),
            member,
            clock: clock.clone(),
            metrics,
        });
        long_polling::listen(&broker);
        broker
    }

    /// Starts what runs beside the requests, until `stop`: registration, client expiry, a slave's copying of tables and
    /// a master's telling of new topics on `control`, delayed delivery, checks of transactions and the waiting pulls on
    /// `data`.
    pub fn start(
        self: &Arc<Self>,
        control: &tokio::runtime::Handle,
        data: &tokio::runtime::Handle,
        stop: &CancellationToken,
    ) {
        long_polling::start(self, data, stop);
        registration::start(self, control, stop);
        clients::start(self, control, stop);
        statistics::start(self, control, stop);
        metadata_sync::start(self, control, stop);
        topic_spread::start(self, control, stop);
        flow_control::start(self, control, stop);
        self.start_deliveries(data, stop);
    }

    /// Starts what stores waiting messages again; a slave gets what its master stores.
    fn start_deliveries(self: &Arc<Self>, data: &tokio::runtime::Handle, stop: &CancellationToken) {
        if self.is_slave() {
            return;
        }
        let _entered = data.enter();
        let (kind, until) = (|| Kind::StopNode(stop.clone()), || stop.clone());
        let broker = || Arc::clone(self);
        task::spawn(kind(), "delay levels", delay::run(broker(), until()));
        task::spawn(kind(), "timers", timers::run(broker(), until()));
        let checks = transaction_check::keep_checking(broker(), self.clock.monotonic(), until());
        task::spawn(kind(), "transaction checks", checks);
    }

    /// Waits, after the `stop` of [`Self::start`], until no delayed message is being delivered and no half message put
    /// back; only then may the store be stopped, or what was just stored again comes once more. Blocks for a moment.
    pub fn finish(&self) {
        self.delivery.finish();
        saved_statistics::save(self);
        self.checks.finish();
        self.timer_moves.finish();
    }

    /// What peers can make it hold.
    fn limits(&self) -> &Limits {
        &self.options.limits
    }

    /// Whether it copies a master.
    fn is_slave(&self) -> bool {
        self.options.id != BrokerId(0)
    }

    /// What a broker with these options is as a member of its group.
    #[must_use]
    pub fn member_options(options: &BrokerOptions) -> MemberOptions {
        MemberOptions {
            cluster: options.cluster.clone(),
            group: options.group.clone(),
            id: options.id,
            address: options.address,
            ha_address: options.ha_address,
            name_servers: options.name_servers.clone(),
            credentials: options.credentials.clone(),
        }
    }

    /// Where a slave's master is, as name servers say.
    #[must_use]
    pub fn master_addresses(&self) -> watch::Receiver<Option<MasterAddresses>> {
        self.registration.master_addresses()
    }

    /// Waits until one name server has answered a registration.
    pub async fn registered(&self) {
        self.registration.registered().await;
    }

    /// Tells name servers that the broker is gone (B-012): the first step of its end.
    pub async fn unregister(&self) {
        self.registration.unregister(&self.options).await;
    }
}

impl std::fmt::Debug for Broker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Broker").field("options", &self.options).finish_non_exhaustive()
    }
}

/// A broker on a port.
#[derive(Debug)]
pub struct BrokerService(pub Arc<Broker>);

impl Service for BrokerService {
    fn on_request(&self, request: Command, responder: Responder) {
        permissions::answer(&self.0, request, responder);
    }

    fn on_batch_end(&self) {
        self.0.store.write_enqueued();
    }

    fn on_close(&self, connection: &Connection) {
        self.0.clients.forget_connection(connection);
        self.0.long_polling.forget_connection(connection);
    }
}
