//! What may stand in a file: every key with its type. Defaults are not here but in
//! `conf/rmq-node.toml`, which is shipped and is the first layer.
//!
//! Not checked values: [`super::check`] makes a [`super::Config`] of them. Invariants: serde refuses
//! every key that is not a field here, so a setting that nothing reads cannot be written; the zeros of
//! `Default` only fill what one file leaves out while that file is read alone.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;

use serde::Deserialize;

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
    pub transactions: Transactions,
    pub limits: Limits,
    pub tls: Tls,
    pub acl: Acl,
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
    /// UTC hours in which expired files are deleted (`deleteWhen`).
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
    /// Largest body of a message (`maxMessageSize`).
    pub max_message_bytes: usize,
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
}

/// `[limits]`: what peers can make us hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Open connections of all ports.
    pub connections_max: usize,
    /// Requests in flight on one connection.
    pub connection_in_flight_max: usize,
    /// Requests in flight on all connections (`sendThreadPoolQueueCapacity`).
    pub in_flight_max: usize,
    /// One frame (`com.rocketmq.remoting.frameMaxLength`).
    pub frame_bytes_max: usize,
    /// Bytes of incomplete frames, all connections together.
    pub half_read_bytes_max: usize,
    /// Unread answers of one connection (`writeBufferHighWaterMark`).
    pub connection_unsent_bytes_max: usize,
    /// Unread answers, all connections together.
    pub unsent_bytes_max: usize,
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
