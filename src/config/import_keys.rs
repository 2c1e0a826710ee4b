//! Every key of 4.9.4 (contract 6) and what becomes of it in a file of ours.
//!
//! A table and nothing else; `import` reads it. Invariant: a key whose loss would be noticed is not
//! among those that are not needed.

/// What becomes of a key.
#[derive(Clone, Copy, Debug)]
pub(super) enum Fate {
    /// A setting of ours says the same.
    Taken(Target),
    /// Nobody misses it, because.
    NotNeeded(&'static str),
    /// Everything is as with this value, because; another one cannot be had.
    Fixed(&'static str, &'static str),
}

/// The setting that says the same.
#[derive(Clone, Copy, Debug)]
pub(super) enum Target {
    /// The port of whatever the file is for.
    Port,
    Broker(BrokerKey),
    Host(HostKey),
}

/// What each broker has for itself.
#[derive(Clone, Copy, Debug)]
pub(super) enum BrokerKey {
    Group,
    Role,
    Id,
    Flush,
}

/// What all brokers of a host have together.
#[derive(Clone, Copy, Debug)]
pub(super) enum HostKey {
    Cluster,
    NameServers,
    /// An address of this host.
    Address(&'static str),
    DelayLevels,
    DeleteHours,
    DiskExpirePercent,
    /// True or false.
    Flag(&'static str),
    /// What is off unless all these keys are true, and what is said of a file that leaves it off.
    Feature(&'static str, &'static [&'static str], &'static str),
    /// A file.
    File(&'static str),
    /// A word, as 4.9.4 and as a file of ours write it.
    Word(&'static str, &'static [(&'static str, &'static str)]),
    /// A whole number.
    Number(&'static str),
}

use BrokerKey::{Flush, Group, Id, Role};
use Fate::{Fixed, NotNeeded, Taken};
use HostKey::{
    Address, Cluster, DelayLevels, DeleteHours, DiskExpirePercent, Feature, File, Flag,
    NameServers, Number, Word,
};
use Target::{Broker, Host, Port};

const ACCOUNTS: HostKey =
    Feature("acl.enabled", &["aclEnable"], "accounts are off unless they are on");
const LIGHT_QUEUES: HostKey = Feature(
    "store.light_queues",
    &["enableLmq", "enableMultiDispatch"],
    "there are no light queues unless enableLmq and enableMultiDispatch are true",
);

const CLIENT: &str = "one client serves all of it";
const DLEDGER: &str = "it is for DLedger";
const FILES: &str = "what is not the log is in no files of 4.9.4's kind";
const FILTERS: &str = "filters are evaluated on the message itself";
const HOOKS: &str = "it is for hooks that are not here";
const IN_FLIGHT: &str = "requests wait in no queue, limits.in_flight_max is for all of them";
const INTERVALS: &str = "the store knows itself when it has to";
const KEY_PASSWORD: &str =
    "keys have no password here: `openssl pkey -in OLD -out NEW` takes it off";
const OWN_FOLDER: &str =
    "rmq-node has a data directory of its own (data_dir), and never writes into 4.9.4's";
const POOLS: &str = "there are no thread pools";
const PULLS: &str = "a pull gives what 4.9.4 gives by default";
const REPLICATION: &str = "replication has its own times and sizes";
const SOCKETS: &str = "the system sizes its buffers itself";
const UNSENT: &str = "limits.connection_unsent_bytes_max is for it";
const UNUSED: &str = "4.9.4 does not use it either";

/// Whether a key is one of a broker's own: whoever has it is no name server.
pub(super) fn is_brokers(key: &str) -> bool {
    BROKER.iter().chain(STORE).any(|(one, _)| *one == key) && key != "rocketmqHome"
}

/// Whether a key is one of TLS, which has a file of its own.
pub(super) fn is_tls(key: &str) -> bool {
    TLS.iter().any(|(one, _)| *one == key)
}

/// Whether a key is one of a name server's own.
pub(super) fn is_name_servers(key: &str) -> bool {
    NAME_SERVER.iter().any(|(one, _)| *one == key)
}

/// What becomes of a key, if 4.9.4 has it.
pub(super) fn fate(key: &str) -> Option<Fate> {
    all().find(|(one, _)| *one == key).map(|(_, fate)| *fate)
}

/// All keys.
pub(super) fn all() -> impl Iterator<Item = &'static (&'static str, Fate)> {
    let of_roles = BROKER.iter().chain(STORE).chain(SERVER).chain(NAME_SERVER);
    of_roles.chain(CLIENT_KEYS).chain(SYSTEM).chain(TLS)
}

/// Keys that are copied from page to page and that no 4.9.4 ever read, with the reason.
pub(super) const NEVER_READ: &[(&str, &str)] = &[
    ("abortFile", "its path follows storePathRootDir"),
    ("checkTransactionMessageEnable", "checks are always on"),
    ("storeCheckpoint", "its path follows storePathRootDir"),
    ("storePathConsumeQueue", "its path follows storePathRootDir"),
    ("storePathIndex", "its path follows storePathRootDir"),
];

/// `BrokerConfig` (6.1).
const BROKER: &[(&str, Fate)] = &[
    ("rocketmqHome", NotNeeded("there is one binary and no folder around it")),
    ("namesrvAddr", Taken(Host(NameServers))),
    ("brokerIP1", Taken(Host(Address("advertise")))),
    ("brokerIP2", Taken(Host(Address("replication_advertise")))),
    ("brokerName", Taken(Broker(Group))),
    ("brokerClusterName", Taken(Host(Cluster))),
    ("brokerId", Taken(Broker(Id))),
    (
        "brokerPermission",
        Fixed(
            "6",
            "a master is readable and writable unless `rmq-node admin brokers config set brokerPermission VALUE`, which \
             is kept, says otherwise",
        ),
    ),
    (
        "defaultTopicQueueNums",
        Fixed("8", "a topic that its first message makes has up to 8 queues"),
    ),
    ("autoCreateTopicEnable", Taken(Host(Flag("auto_create.topics")))),
    ("clusterTopicEnable", Fixed("true", "the topic of the cluster's name is always there")),
    ("brokerTopicEnable", Fixed("true", "the topic of the broker's name is always there")),
    ("autoCreateSubscriptionGroup", Taken(Host(Flag("auto_create.groups")))),
    ("messageStorePlugIn", Fixed("", "there are no plug-ins")),
    ("msgTraceTopicName", Fixed("RMQ_SYS_TRACE_TOPIC", "the topic of traces has this name")),
    (
        "traceTopicEnable",
        Fixed(
            "false",
            "the first trace that a client sends makes the topic of traces, RMQ_SYS_TRACE_TOPIC, as the first message of any topic, unless auto_create.topics is false",
        ),
    ),
    ("sendMessageThreadPoolNums", NotNeeded(POOLS)),
    ("putMessageFutureThreadPoolNums", NotNeeded(POOLS)),
    ("pullMessageThreadPoolNums", NotNeeded(POOLS)),
    ("processReplyMessageThreadPoolNums", NotNeeded(POOLS)),
    ("queryMessageThreadPoolNums", NotNeeded(POOLS)),
    ("adminBrokerThreadPoolNums", NotNeeded(POOLS)),
    ("clientManageThreadPoolNums", NotNeeded(POOLS)),
    ("consumerManageThreadPoolNums", NotNeeded(POOLS)),
    ("heartbeatThreadPoolNums", NotNeeded(POOLS)),
    ("endTransactionThreadPoolNums", NotNeeded(POOLS)),
    ("flushConsumerOffsetInterval", NotNeeded(INTERVALS)),
    ("flushConsumerOffsetHistoryInterval", NotNeeded(UNUSED)),
    ("rejectTransactionMessage", Taken(Host(Flag("transactions.reject")))),
    (
        "fetchNamesrvAddrByAddressServer",
        Fixed("false", "name servers are those of name_servers only"),
    ),
    ("sendThreadPoolQueueCapacity", NotNeeded(IN_FLIGHT)),
    ("putThreadPoolQueueCapacity", NotNeeded(IN_FLIGHT)),
    ("pullThreadPoolQueueCapacity", NotNeeded(IN_FLIGHT)),
    ("replyThreadPoolQueueCapacity", NotNeeded(IN_FLIGHT)),
    ("queryThreadPoolQueueCapacity", NotNeeded(IN_FLIGHT)),
    ("clientManagerThreadPoolQueueCapacity", NotNeeded(IN_FLIGHT)),
    ("consumerManagerThreadPoolQueueCapacity", NotNeeded(IN_FLIGHT)),
    ("heartbeatThreadPoolQueueCapacity", NotNeeded(IN_FLIGHT)),
    ("endTransactionPoolQueueCapacity", NotNeeded(IN_FLIGHT)),
    ("filterServerNums", Fixed("0", "there are no filter servers")),
    ("longPollingEnable", Fixed("true", "a pull always waits until there is a message")),
    ("shortPollingTimeMills", NotNeeded("it is for longPollingEnable=false")),
    ("notifyConsumerIdsChangedEnable", Fixed("true", "consumers are always told of one another")),
    ("highSpeedMode", NotNeeded(UNUSED)),
    ("commercialEnable", NotNeeded(HOOKS)),
    ("commercialTimerCount", NotNeeded(HOOKS)),
    ("commercialTransCount", NotNeeded(HOOKS)),
    ("commercialBigCount", NotNeeded(HOOKS)),
    ("commercialBaseCount", NotNeeded(HOOKS)),
    ("transferMsgByHeap", NotNeeded("there is no heap")),
    ("maxDelayTime", NotNeeded(UNUSED)),
    ("regionId", Fixed("DefaultRegion", "answers to senders name this region")),
    ("registerBrokerTimeoutMills", Fixed("6000", "a registration waits 6 s")),
    ("slaveReadEnable", Taken(Host(Flag("store.read_from_slaves")))),
    ("disableConsumeIfConsumerReadSlowly", Fixed("false", "slow consumers are not cut off")),
    ("consumerFallbehindThreshold", NotNeeded("it is for disableConsumeIfConsumerReadSlowly=true")),
    ("brokerFastFailureEnable", NotNeeded(IN_FLIGHT)),
    ("waitTimeMillsInSendQueue", NotNeeded("store.busy_after_ms is for it")),
    ("waitTimeMillsInPullQueue", NotNeeded(IN_FLIGHT)),
    ("waitTimeMillsInHeartbeatQueue", NotNeeded(IN_FLIGHT)),
    ("waitTimeMillsInTransactionQueue", NotNeeded(IN_FLIGHT)),
    ("startAcceptSendRequestTimeStamp", Fixed("0", "messages are taken from the start")),
    (
        "traceOn",
        Fixed(
            "true",
            "answers to senders say that traces are on unless `rmq-node admin brokers config set traceOn VALUE`, which is \
             kept, says otherwise",
        ),
    ),
    ("enableCalcFilterBitMap", NotNeeded(FILTERS)),
    ("expectConsumerNumUseFilter", NotNeeded(FILTERS)),
    ("maxErrorRateOfBloomFilter", NotNeeded(FILTERS)),
    ("filterDataCleanTimeSpan", NotNeeded(FILTERS)),
    ("filterSupportRetry", Fixed("false", "retries are not filtered again")),
    ("enablePropertyFilter", NotNeeded("filters need no setting")),
    ("compressedRegister", NotNeeded("registrations are small")),
    ("forceRegister", NotNeeded("it always registers")),
    ("registerNameServerPeriod", Fixed("30000", "it registers every 30 s")),
    ("transactionTimeOut", Taken(Host(Number("transactions.timeout_ms")))),
    ("transactionCheckMax", Taken(Host(Number("transactions.checks_max")))),
    ("transactionCheckInterval", Taken(Host(Number("transactions.check_interval_ms")))),
    ("aclEnable", Taken(Host(ACCOUNTS))),
    ("storeReplyMessageEnable", Fixed("true", "replies are always stored")),
    ("enableDetailStat", NotNeeded("statistics need no setting")),
    ("autoDeleteUnusedStats", NotNeeded("statistics need no setting")),
    (
        "isolateLogEnable",
        NotNeeded("events go to the journal or to standard error, with the group's name"),
    ),
];

/// `MessageStoreConfig` (6.2).
const STORE: &[(&str, Fate)] = &[
    ("storePathRootDir", NotNeeded(OWN_FOLDER)),
    ("storePathCommitLog", NotNeeded(OWN_FOLDER)),
    ("storePathDLedgerCommitLog", NotNeeded(DLEDGER)),
    ("readOnlyCommitLogStorePaths", Fixed("", "the log is in one folder")),
    ("mappedFileSizeCommitLog", Taken(Host(Number("store.segment_bytes")))),
    ("mappedFileSizeConsumeQueue", NotNeeded(FILES)),
    ("enableConsumeQueueExt", NotNeeded(FILES)),
    ("mappedFileSizeConsumeQueueExt", NotNeeded(FILES)),
    ("bitMapLengthConsumeQueueExt", NotNeeded(FILES)),
    ("flushIntervalCommitLog", Taken(Host(Number("store.flush_interval_ms")))),
    ("commitIntervalCommitLog", NotNeeded("it is for transientStorePoolEnable=true")),
    ("useReentrantLockWhenPutMessage", NotNeeded("the log has one way to be written")),
    ("flushCommitLogTimed", NotNeeded(INTERVALS)),
    ("flushIntervalConsumeQueue", NotNeeded(INTERVALS)),
    ("cleanResourceInterval", NotNeeded(INTERVALS)),
    ("deleteCommitLogFilesInterval", NotNeeded(INTERVALS)),
    ("deleteConsumeQueueFilesInterval", NotNeeded(INTERVALS)),
    ("destroyMapedFileIntervalForcibly", NotNeeded(INTERVALS)),
    ("redeleteHangedFileInterval", NotNeeded(INTERVALS)),
    ("deleteWhen", Taken(Host(DeleteHours))),
    ("diskMaxUsedSpaceRatio", Taken(Host(DiskExpirePercent))),
    ("fileReservedTime", Taken(Host(Number("store.retention_hours")))),
    ("putMsgIndexHightWater", NotNeeded(UNUSED)),
    ("maxMessageSize", Taken(Host(Number("store.max_message_bytes")))),
    ("checkCRCOnRecover", Fixed("true", "records are always checked")),
    ("flushCommitLogLeastPages", NotNeeded(INTERVALS)),
    ("commitCommitLogLeastPages", NotNeeded(INTERVALS)),
    ("flushLeastPagesWhenWarmMapedFile", NotNeeded(INTERVALS)),
    ("flushConsumeQueueLeastPages", NotNeeded(INTERVALS)),
    ("flushCommitLogThoroughInterval", NotNeeded(INTERVALS)),
    ("commitCommitLogThoroughInterval", NotNeeded(INTERVALS)),
    ("flushConsumeQueueThoroughInterval", NotNeeded(INTERVALS)),
    ("maxTransferBytesOnMessageInMemory", Fixed("262144", PULLS)),
    ("maxTransferCountOnMessageInMemory", Fixed("32", PULLS)),
    ("maxTransferBytesOnMessageInDisk", Fixed("65536", PULLS)),
    ("maxTransferCountOnMessageInDisk", Fixed("8", PULLS)),
    ("accessMessageInMemoryMaxRatio", Fixed("40", PULLS)),
    ("messageIndexEnable", Fixed("true", "messages can always be found by their keys")),
    ("maxHashSlotNum", NotNeeded(FILES)),
    ("maxIndexNum", NotNeeded(FILES)),
    ("maxMsgsNumBatch", Fixed("64", "a query by key gives up to 64 messages")),
    ("messageIndexSafe", NotNeeded("the index is made again from the log")),
    ("haListenPort", NotNeeded("it is always the port + 1, in 4.9.4 too whatever its file says")),
    ("haSendHeartbeatInterval", NotNeeded(REPLICATION)),
    ("haHousekeepingInterval", NotNeeded(REPLICATION)),
    ("haTransferBatchSize", NotNeeded(REPLICATION)),
    ("haMasterAddress", NotNeeded("a slave is told by its name servers where its master is")),
    ("haSlaveFallbehindMax", Fixed("268435456", REPLICATION)),
    ("brokerRole", Taken(Broker(Role))),
    ("flushDiskType", Taken(Broker(Flush))),
    ("syncFlushTimeout", Taken(Host(Number("store.sync_flush_timeout_ms")))),
    ("slaveTimeout", Fixed("3000", "a sender waits 3 s for a slave")),
    ("messageDelayLevel", Taken(Host(DelayLevels))),
    ("flushDelayOffsetInterval", NotNeeded(INTERVALS)),
    ("cleanFileForciblyEnable", Fixed("true", "the oldest files go when the disk is nearly full")),
    ("warmMapedFileEnable", NotNeeded("no file is mapped")),
    ("offsetCheckInSlave", NotNeeded("positions are checked everywhere")),
    ("debugLockEnable", NotNeeded("the log has one way to be written")),
    ("duplicationEnable", Fixed("false", "a log is copied by slaves only")),
    ("diskFallRecorded", NotNeeded("statistics need no setting")),
    ("osPageCacheBusyTimeOutMills", Taken(Host(Number("store.busy_after_ms")))),
    ("defaultQueryMaxNum", Fixed("32", "a query by unique key looks at 32 messages")),
    (
        "transientStorePoolEnable",
        NotNeeded("what is answered is in the file, and there is no pool before it"),
    ),
    ("transientStorePoolSize", NotNeeded("it is for transientStorePoolEnable=true")),
    ("fastFailIfNoBufferInStorePool", NotNeeded("it is for transientStorePoolEnable=true")),
    (
        "enableDLegerCommitLog",
        Fixed("false", "there is no DLedger: a group is a master and its slaves"),
    ),
    ("dLegerGroup", NotNeeded(DLEDGER)),
    ("dLegerPeers", NotNeeded(DLEDGER)),
    ("dLegerSelfId", NotNeeded(DLEDGER)),
    ("preferredLeaderId", NotNeeded(DLEDGER)),
    ("isEnableBatchPush", NotNeeded(DLEDGER)),
    // What 4.9.4 reads instead of the one above (K-002).
    ("enableBatchPush", NotNeeded(DLEDGER)),
    ("enableScheduleMessageStats", NotNeeded("statistics need no setting")),
    ("enableLmq", Taken(Host(LIGHT_QUEUES))),
    ("enableMultiDispatch", Taken(Host(LIGHT_QUEUES))),
    ("maxLmqConsumeQueueNum", Taken(Host(Number("limits.light_queues_max")))),
    ("enableScheduleAsyncDeliver", NotNeeded("deliveries need no setting")),
    ("scheduleAsyncDeliverMaxPendingLimit", NotNeeded("deliveries need no setting")),
    ("scheduleAsyncDeliverMaxResendNum2Blocked", NotNeeded("deliveries need no setting")),
];

/// `NettyServerConfig` (6.3), of brokers and name servers.
const SERVER: &[(&str, Fate)] = &[
    ("listenPort", Taken(Port)),
    ("serverWorkerThreads", NotNeeded(POOLS)),
    ("serverCallbackExecutorThreads", NotNeeded(POOLS)),
    ("serverSelectorThreads", NotNeeded(POOLS)),
    ("serverOnewaySemaphoreValue", NotNeeded(IN_FLIGHT)),
    ("serverAsyncSemaphoreValue", NotNeeded(IN_FLIGHT)),
    ("serverChannelMaxIdleTimeSeconds", Fixed("120", "silent connections are closed after 120 s")),
    ("serverSocketSndBufSize", NotNeeded(SOCKETS)),
    ("serverSocketRcvBufSize", NotNeeded(SOCKETS)),
    ("writeBufferHighWaterMark", NotNeeded(UNSENT)),
    ("writeBufferLowWaterMark", NotNeeded(UNSENT)),
    ("serverSocketBacklog", NotNeeded("1024 connections may wait to be accepted")),
    ("serverPooledByteBufAllocatorEnable", NotNeeded("there is no heap")),
    ("useEpollNativeSelector", NotNeeded("epoll is all there is")),
];

/// `NamesrvConfig` (6.4), without `rocketmqHome`, which brokers have too.
const NAME_SERVER: &[(&str, Fate)] = &[
    ("kvConfigPath", NotNeeded(OWN_FOLDER)),
    ("configStorePath", NotNeeded(OWN_FOLDER)),
    ("productEnvName", Fixed("center", "there is one environment")),
    ("clusterTest", Fixed("false", "there is one environment")),
    (
        "orderMessageEnable",
        Fixed(
            "false",
            "it is set while the name server runs: `mqadmin updateNamesrvConfig`, which is remembered",
        ),
    ),
];

/// `NettyClientConfig` (6.5), which brokers read too, without what 6.3 has.
const CLIENT_KEYS: &[(&str, Fate)] = &[
    ("clientWorkerThreads", NotNeeded(POOLS)),
    ("clientCallbackExecutorThreads", NotNeeded(POOLS)),
    ("clientOnewaySemaphoreValue", NotNeeded(CLIENT)),
    ("clientAsyncSemaphoreValue", NotNeeded(CLIENT)),
    ("connectTimeoutMillis", NotNeeded(CLIENT)),
    ("channelNotActiveInterval", NotNeeded(CLIENT)),
    ("clientChannelMaxIdleTimeSeconds", NotNeeded(CLIENT)),
    ("clientSocketSndBufSize", NotNeeded(SOCKETS)),
    ("clientSocketRcvBufSize", NotNeeded(SOCKETS)),
    ("clientPooledByteBufAllocatorEnable", NotNeeded("there is no heap")),
    ("clientCloseSocketIfTimeout", NotNeeded(CLIENT)),
    ("useTLS", NotNeeded("a node with [tls] dials with TLS whoever takes it")),
];

/// What brokers hand on to the JVM (B-007).
const SYSTEM: &[(&str, Fate)] = &[
    ("rmqAddressServerDomain", NotNeeded("it is for fetchNamesrvAddrByAddressServer=true")),
    ("rmqAddressServerSubGroup", NotNeeded("it is for fetchNamesrvAddrByAddressServer=true")),
];

/// `tls.properties`, and the system properties of the same names.
const TLS: &[(&str, Fate)] = &[
    ("tls.server.certPath", Taken(Host(File("tls.certificate_file")))),
    ("tls.server.keyPath", Taken(Host(File("tls.key_file")))),
    ("tls.server.keyPassword", Fixed("", KEY_PASSWORD)),
    ("tls.server.trustCertPath", Taken(Host(File("tls.ca_file")))),
    (
        "tls.server.need.client.auth",
        Taken(Host(Word(
            "tls.client_certificates",
            &[("none", "none"), ("optional", "optional"), ("require", "required")],
        ))),
    ),
    ("tls.server.authClient", Fixed("true", "a certificate that is shown is always checked")),
    (
        "tls.server.mode",
        Taken(Host(Word(
            "tls.mode",
            &[("disabled", "disabled"), ("permissive", "permissive"), ("enforcing", "enforcing")],
        ))),
    ),
    ("tls.client.certPath", Taken(Host(File("tls.certificate_file")))),
    ("tls.client.keyPath", Taken(Host(File("tls.key_file")))),
    ("tls.client.keyPassword", Fixed("", KEY_PASSWORD)),
    ("tls.client.trustCertPath", Taken(Host(File("tls.ca_file")))),
    ("tls.client.authServer", Fixed("true", "who is dialled is always checked")),
    ("tls.test.mode.enable", Fixed("false", "no node makes a certificate itself")),
    ("tls.enable", NotNeeded("a node with [tls] dials with TLS whoever takes it")),
    ("tls.config.file", NotNeeded("there is one file")),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_key_of_4_9_4_has_one_fate() {
        let counts = [BROKER, STORE, SERVER, NAME_SERVER, CLIENT_KEYS].map(<[_]>::len);
        // Contract 6.1 to 6.5, with K-S71 under both names; rocketmqHome and the water marks counted once.
        assert_eq!(counts, [80, 78 + 1, 14, 6 - 1, 14 - 2]);
        let names: BTreeSet<&str> = all().map(|(key, _)| *key).collect();
        assert_eq!(names.len(), all().count(), "a key is there twice");
        assert!(NEVER_READ.iter().all(|(key, _)| !names.contains(key)));
    }
}
