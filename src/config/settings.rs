//! What may stand in a file: every key with its type. Defaults are not here but in
//! `conf/rmq-node.toml`, which is shipped and is the first layer.
//!
//! Not checked values: [`super::check`] makes a [`super::Config`] of them. Invariants: serde refuses
//! every key that is not a field here, so a setting that nothing reads cannot be written; the values of
//! `Default` only fill what one file leaves out while that file is read alone (those of [`Limits`] are the real
//! ones, for whoever has no settings).

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use crate::metrics::Limit;
use crate::model::DelayLevels;

/// One file, or all layers together.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    pub cluster: String,
    pub listen: Option<IpAddr>,
    pub advertise: Option<IpAddr>,
    pub replication_advertise: Option<IpAddr>,
    pub allow_internal_addresses: bool,
    pub name_servers: Vec<String>,
    pub data_dir: PathBuf,
    pub name_server: Option<NameServerTable>,
    pub broker: Vec<BrokerTable>,
    pub store: Store,
    pub auto_create: AutoCreate,
    pub transactions: Transactions,
    pub limits: Limits,
    pub tls: Tls,
    pub acl: Acl,
    pub admin: Admin,
    pub console: Console,
    pub metrics: Metrics,
    pub alerts: Alerts,
    pub log: Log,
}

/// `[name_server]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NameServerTable {
    pub port: u16,
}

/// `[[broker]]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BrokerTable {
    pub group: String,
    #[serde(default)]
    pub role: Role,
    pub id: Option<u32>,
    #[serde(default)]
    pub port: u16,
    #[serde(default)]
    pub flush: Flush,
    #[serde(default)]
    pub replication: Replication,
    pub in_sync_min: Option<u32>,
    pub start_without_slave_after_s: Option<u64>,
}

/// What a broker is in its group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Takes messages.
    #[default]
    Master,
    /// Copies a master, and serves reads while it is away.
    Slave,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Master => "master",
            Self::Slave => "slave",
        })
    }
}

/// When a message counts as stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Flush {
    /// When the kernel has it.
    #[default]
    Async,
    /// When the disk has it.
    Sync,
}

/// Whether a sender waits for slaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Replication {
    /// It does not.
    #[default]
    Async,
    /// It does, for `in_sync_min` of them.
    Sync,
}

/// `[store]`: the stores of all brokers here.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Store {
    /// Size of a log file (`mappedFileSizeCommitLog`).
    pub segment_bytes: u64,
    /// How long messages are kept (`fileReservedTime`).
    pub retention_hours: u64,
    /// Hours of the day, in this host's time zone, in which expired files are deleted (`deleteWhen`).
    pub delete_hours: Vec<u8>,
    /// Disk use above which they are deleted at any hour (`diskMaxUsedSpaceRatio`).
    pub disk_expire_percent: u8,
    /// Disk use above which the oldest files are deleted (`diskSpaceCleanForciblyRatio`).
    pub disk_force_percent: u8,
    /// Disk use above which nothing is stored (`diskSpaceWarningLevelRatio`).
    pub disk_read_only_percent: u8,
    /// Longest time unflushed with `flush = "async"` (`flushIntervalCommitLog`).
    pub flush_interval_ms: u64,
    /// Longest wait for the disk with `flush = "sync"` (`syncFlushTimeout`).
    pub sync_flush_timeout_ms: u64,
    /// How long a write to the log may last before sends are answered "busy" (`osPageCacheBusyTimeOutMills`).
    pub busy_after_ms: u64,
    /// Largest body of a message (`maxMessageSize`).
    pub max_message_bytes: usize,
    /// How long messages of each delay level wait (`messageDelayLevel`).
    #[serde(deserialize_with = "delay_levels")]
    pub delay_levels: DelayLevels,
    /// Whether messages can go to light queues too (`enableLmq` with `enableMultiDispatch`).
    pub light_queues: bool,
    /// Whether consumers that are far behind are told to read from a slave (`slaveReadEnable`).
    pub read_from_slaves: bool,
}

/// Reads them as 4.9.4 writes them, in one text.
fn delay_levels<'de, D: Deserializer<'de>>(from: D) -> Result<DelayLevels, D::Error> {
    let text = String::deserialize(from)?;
    DelayLevels::parse(&text).map_err(D::Error::custom)
}

/// `[auto_create]`: what clients make at the brokers here by using it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AutoCreate {
    /// Topics, by the first message (`autoCreateTopicEnable`).
    pub topics: bool,
    /// Consumer groups, by the first request (`autoCreateSubscriptionGroup`).
    pub groups: bool,
}

impl Default for AutoCreate {
    fn default() -> Self {
        Self { topics: true, groups: true }
    }
}

/// `[transactions]`: how the brokers here ask producers what became of transactions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Transactions {
    /// How old a half message is when it is checked first (`transactionTimeOut`).
    pub timeout_ms: u64,
    /// How often one is checked before it is given up (`transactionCheckMax`).
    pub checks_max: u32,
    /// How often half messages are looked at (`transactionCheckInterval`).
    pub check_interval_ms: u64,
    /// Whether half messages are refused (`rejectTransactionMessage`).
    pub reject: bool,
}

/// `[limits]`: what peers can make us hold (`transport::Limits` says what happens at each).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Open connections of all ports.
    pub connections_max: usize,
    /// Requests that are not done yet, of one connection, oneway ones too.
    pub connection_in_flight_max: usize,
    /// The same of all connections (`sendThreadPoolQueueCapacity`).
    pub in_flight_max: usize,
    /// Bytes of requests in flight, all connections together.
    pub in_flight_bytes_max: usize,
    /// One frame, length word included (`com.rocketmq.remoting.frameMaxLength`, R-004).
    pub frame_bytes_max: usize,
    /// Bytes of incomplete frames, all connections together.
    pub half_read_bytes_max: usize,
    /// Unread answers of one connection (`writeBufferHighWaterMark`).
    pub connection_unsent_bytes_max: usize,
    /// Unread answers, all connections together.
    pub unsent_bytes_max: usize,
    /// Topics of one broker.
    pub topics_max: usize,
    /// Consumer groups of one broker; as many groups may be connected, and as many of producers.
    pub groups_max: usize,
    /// Pulls that wait for a message, at one broker; a tenth of them for one connection once half of them wait.
    pub waiting_pulls_max: usize,
    /// Connections in groups of one broker, each counted once for each group it is in.
    pub client_memberships_max: usize,
    /// What the subscriptions of all connected groups of one broker may take in memory.
    pub subscription_bytes_max: usize,
    /// Positions of groups in queues that one broker keeps.
    pub positions_max: usize,
    /// Locks of queues that are read in order, at one broker.
    pub order_locks_max: usize,
    /// Broker addresses that a name server knows, clusters, and groups in clusters.
    pub registered_brokers_max: usize,
    /// Topics that a name server knows, each counted once for each broker group that has it.
    pub registered_topics_max: usize,
    /// What the key-value configuration of a name server may take in memory.
    pub kv_config_bytes_max: usize,
    /// Light queues of one broker (`maxLmqConsumeQueueNum`).
    pub light_queues_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: 20_000,
            connection_in_flight_max: 1_024,
            in_flight_max: 65_536,
            in_flight_bytes_max: 96 << 20,
            frame_bytes_max: 16 << 20,
            half_read_bytes_max: 96 << 20,
            connection_unsent_bytes_max: 32 << 20,
            unsent_bytes_max: 96 << 20,
            topics_max: 20_000,
            groups_max: 20_000,
            waiting_pulls_max: 100_000,
            client_memberships_max: 200_000,
            subscription_bytes_max: 64 << 20,
            positions_max: 1_000_000,
            order_locks_max: 200_000,
            registered_brokers_max: 2_000,
            registered_topics_max: 400_000,
            kv_config_bytes_max: 4 << 20,
            light_queues_max: 20_000,
        }
    }
}

impl Limits {
    /// Every number but that of a frame, which has its own rule, with its key.
    #[must_use]
    pub fn counts(&self) -> [(Limit, usize); 18] {
        [
            (Limit::Connections, self.connections_max),
            (Limit::ConnectionInFlight, self.connection_in_flight_max),
            (Limit::InFlight, self.in_flight_max),
            (Limit::InFlightBytes, self.in_flight_bytes_max),
            (Limit::HalfReadBytes, self.half_read_bytes_max),
            (Limit::ConnectionUnsentBytes, self.connection_unsent_bytes_max),
            (Limit::UnsentBytes, self.unsent_bytes_max),
            (Limit::Topics, self.topics_max),
            (Limit::Groups, self.groups_max),
            (Limit::WaitingPulls, self.waiting_pulls_max),
            (Limit::ClientMemberships, self.client_memberships_max),
            (Limit::SubscriptionBytes, self.subscription_bytes_max),
            (Limit::Positions, self.positions_max),
            (Limit::OrderLocks, self.order_locks_max),
            (Limit::RegisteredBrokers, self.registered_brokers_max),
            (Limit::RegisteredTopics, self.registered_topics_max),
            (Limit::KvConfigBytes, self.kv_config_bytes_max),
            (Limit::LightQueues, self.light_queues_max),
        ]
    }
}

/// `[tls]`: what is encrypted, and who is trusted. Empty paths are not set; a relative one is meant from where the node
/// is started.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tls {
    /// The node's certificate and what leads to its CA, PEM, its own first; without it there is no TLS
    /// (`tls.server.certPath`).
    pub certificate_file: PathBuf,
    /// The certificate's private key, PEM (`tls.server.keyPath`).
    pub key_file: PathBuf,
    /// The CAs that certificates of others are checked by, PEM (`tls.server.trustCertPath`).
    pub ca_file: PathBuf,
    /// Whether those who connect show a certificate (`tls.server.need.client.auth`).
    pub client_certificates: ClientCertificates,
    /// Which connections are taken and made (`tls.server.mode`).
    pub mode: TlsMode,
}

impl Tls {
    /// Whether there is TLS: with a certificate, unless it is disabled.
    #[must_use]
    pub fn is_on(&self) -> bool {
        !self.certificate_file.as_os_str().is_empty() && self.mode != TlsMode::Disabled
    }
}

/// Whether those who connect show a certificate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClientCertificates {
    /// They are not asked for one.
    #[default]
    None,
    /// They are asked, and one that is shown must be good.
    Optional,
    /// Nobody is let in without a good one.
    Required,
}

/// Which connections are taken and made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TlsMode {
    /// Plain ones only.
    Disabled,
    /// Both.
    #[default]
    Permissive,
    /// Encrypted ones only.
    Enforcing,
}

/// `[acl]`: who may do what.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Acl {
    /// Whether requests must be signed (`aclEnable`).
    pub enabled: bool,
    /// The folder of the operator's account files (`conf/acl`).
    pub accounts_dir: PathBuf,
    /// The access key of the account that this node signs its own requests with.
    pub node_account: String,
}

/// `[admin]`: the admin API over TCP, beside the socket that every node has.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Admin {
    /// Where it listens; nowhere if it is unset. Elsewhere than on a loopback address it needs TLS.
    pub listen: Option<SocketAddr>,
    /// Who may do what there; needed with `listen`.
    pub logins_file: PathBuf,
}

/// `[console]`: the web console and `/metrics`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Console {
    pub enabled: bool,
    pub listen: Option<IpAddr>,
    pub port: u16,
    pub name_servers: Vec<String>,
    pub base_path: String,
}

/// `[metrics]`: what `/metrics` shows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Metrics {
    /// How often topics and groups are reckoned.
    pub interval_s: u64,
    /// Whether each queue that a group is behind in is shown.
    pub queue_lag: bool,
    /// Whether the families of rocketmq-exporter are shown too.
    pub exporter_names: bool,
}

/// `[alerts]`: what is told of, and to whom. A threshold of 0 switches its rule off.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Alerts {
    /// Whether the node looks for what is wrong.
    pub enabled: bool,
    /// How often.
    pub interval_s: u64,
    /// How long something must be wrong to be told.
    pub pending_s: u64,
    /// After what time it is told again; 0: never.
    pub repeat_hours: u64,
    /// Messages that a group may be behind in a topic.
    pub lag_messages: u64,
    /// How old a message may be that a group has not got.
    pub lag_age_s: u64,
    /// Whether messages may not wait for a group of which nobody is connected.
    pub no_consumer: bool,
    /// What a slave may not have of its master's log.
    pub slave_behind_bytes: u64,
    /// How much older its log may be.
    pub slave_behind_s: u64,
    /// How full a disk may be.
    pub disk_percent: u8,
    /// For how long it must not get too full to store, as it fills now.
    pub disk_forecast_hours: u64,
    /// How long the node's certificate must be good.
    pub certificate_days: u64,
    /// Messages of a group that are too many if they become dead letters.
    pub dead_letters_per_hour: u64,
    /// Whether members of a group must subscribe to the same.
    pub subscriptions: bool,
    /// How much clocks of hosts may differ.
    pub clock_difference_ms: u64,
    /// A file of addresses that are sent JSON.
    pub webhook_file: PathBuf,
    /// The same for DingTalk.
    pub dingtalk_file: PathBuf,
    /// The same for WeCom.
    pub wecom_file: PathBuf,
    /// The same for Feishu.
    pub feishu_file: PathBuf,
    /// The same for Slack.
    pub slack_file: PathBuf,
    /// The CAs of those who are told; empty: the system's.
    pub ca_file: PathBuf,
    /// Who sends mail, as `host:port`.
    pub mail_server: String,
    /// How mail is encrypted on its way there.
    pub mail_tls: MailTls,
    /// Who the node is there; empty: nobody asks.
    pub mail_user: String,
    /// A file with its password.
    pub mail_password_file: PathBuf,
    /// Who mail is from.
    pub mail_from: String,
    /// Who gets it.
    pub mail_to: Vec<String>,
}

impl Alerts {
    /// Whether anybody is told.
    #[must_use]
    pub fn has_receivers(&self) -> bool {
        let Self { webhook_file, dingtalk_file, wecom_file, feishu_file, slack_file, .. } = self;
        let files = [webhook_file, dingtalk_file, wecom_file, feishu_file, slack_file];
        !self.mail_to.is_empty() || files.iter().any(|file| !file.as_os_str().is_empty())
    }
}

/// How mail is encrypted on its way to its server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MailTls {
    /// After a plain greeting.
    #[default]
    Starttls,
    /// From the start.
    Tls,
    /// It is not.
    None,
}

/// `[log]`: what is told on standard error or to the journal.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// The least severe events that are told (`logback_broker.xml`).
    pub level: Level,
}

/// How severe an event must be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the names are those of `tracing`")]
pub enum Level {
    Error,
    Warn,
    #[default]
    Info,
    Debug,
    Trace,
}
