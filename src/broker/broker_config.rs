//! The broker's configuration under 4.9.4's keys, and the few of it that change while it runs (25, 26; B-303, B-304, K-007).
//!
//! Not the node's settings, which are read at the start, and which nothing here writes. Invariants: what 26 says is in
//! force; keys that mean nothing here are left out. 25 changes all that it is asked, or nothing. What it changes is kept
//! over restarts (`config::Overrides`), until it is what the settings say, or 9011 takes it back: `brokerPermission`,
//! `autoCreateTopicEnable`, `autoCreateSubscriptionGroup`, `rejectTransactionMessage`, `slaveReadEnable` and `traceOn` of
//! this broker, how long messages are kept of all brokers of the node.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::answers::{Answer, Refusal};
use super::{Broker, BrokerOptions};
use crate::clock::Clock;
use crate::config::{self, AutoCreate, Kept, KeptStore, fixed_properties, properties, why_not_now};
use crate::model::{DataVersion, Permission};
use crate::remoting::bodies::extension::{self, BrokerState, OverrideRow, ResetConfig};
use crate::remoting::bodies::topics::version_value;
use crate::remoting::json::Form;
use crate::remoting::{Command, response};
use crate::store::Retention;
use crate::store::options::FlushMode;
use crate::transport::Connection;

/// Beyond these `diskMaxUsedSpaceRatio` counts as the nearer one (ST-090).
const DISK_PERCENT: std::ops::RangeInclusive<u8> = 10..=95;

/// What can be changed beside the store's [`Retention`].
#[derive(Debug)]
pub(super) struct LiveConfig {
    /// `brokerPermission`
    permission: AtomicU32,
    /// `autoCreateTopicEnable`
    creates_topics: AtomicBool,
    /// `autoCreateSubscriptionGroup`
    creates_groups: AtomicBool,
    /// `traceOn`
    is_traced: AtomicBool,
    /// `rejectTransactionMessage`
    rejects_transactions: AtomicBool,
    /// `slaveReadEnable`
    reads_from_slaves: AtomicBool,
    /// How often something was changed.
    version: Mutex<DataVersion>,
}

impl LiveConfig {
    /// As it is at the start: as the settings say, or as it was changed.
    pub fn new(clock: &Clock, options: &BrokerOptions) -> Self {
        let mut kept = Change::default();
        for (key, value) in options.overrides.kept().brokers.remove(&options.group).iter().flatten()
        {
            match kept.take(key, value) {
                Ok(true) => tracing::info!(group = options.group, key, value, "as it was changed"),
                Ok(false) => tracing::error!(group = options.group, "{}", why_not_now(key)),
                Err(why) => tracing::error!(group = options.group, "{why}"),
            }
        }
        let AutoCreate { topics, groups } = options.auto_create;
        let reject = kept.rejects_transactions.unwrap_or(options.transactions.reject);
        let slaves = kept.reads_from_slaves.unwrap_or(options.reads_from_slaves);
        Self {
            permission: AtomicU32::new(kept.permission.unwrap_or(Permission::READ_WRITE).0),
            creates_topics: AtomicBool::new(kept.creates_topics.unwrap_or(topics)),
            creates_groups: AtomicBool::new(kept.creates_groups.unwrap_or(groups)),
            is_traced: AtomicBool::new(kept.is_traced.unwrap_or(true)),
            rejects_transactions: AtomicBool::new(reject),
            reads_from_slaves: AtomicBool::new(slaves),
            version: Mutex::new(DataVersion { timestamp: clock.now_ms(), counter: 0 }),
        }
    }

    /// Whether the broker may be written to, and read from (B-101, B-162).
    pub fn permission(&self) -> Permission {
        Permission(self.permission.load(Ordering::Relaxed))
    }

    /// Whether the first message of a topic makes it.
    pub fn creates_topics(&self) -> bool {
        self.creates_topics.load(Ordering::Relaxed)
    }

    /// Whether the first request of a consumer group makes it.
    pub fn creates_groups(&self) -> bool {
        self.creates_groups.load(Ordering::Relaxed)
    }

    /// Whether clients that tell of what they send are to do so (C-053).
    pub fn is_traced(&self) -> bool {
        self.is_traced.load(Ordering::Relaxed)
    }

    /// Whether half messages are refused.
    pub fn rejects_transactions(&self) -> bool {
        self.rejects_transactions.load(Ordering::Relaxed)
    }

    /// Whether consumers that are far behind are told to read from a slave (B-190).
    pub fn reads_from_slaves(&self) -> bool {
        self.reads_from_slaves.load(Ordering::Relaxed)
    }
}

/// Keys and values, in the order in which they are shown.
type Properties = Vec<(&'static str, String)>;

/// 26.
pub(super) fn show(broker: &Arc<Broker>, _: &Command, _: &Connection) -> Answer {
    let mut text = String::new();
    for (key, value) in in_force(broker) {
        // Writing to a text cannot fail.
        let _ = writeln!(text, "{key}={value}");
    }
    let version = *broker.live_config.version.lock().unwrap_or_else(PoisonError::into_inner);
    let version = version_value(version).to_bytes(Form::Dialect);
    let answer = Command::response(response::SUCCESS).with_body(text);
    Ok(answer.with_field("version", String::from_utf8_lossy(&version)))
}

/// All that has a meaning here.
fn in_force(broker: &Broker) -> Properties {
    let (own, store) = (&broker.options, broker.store.options());
    let Retention { hours, delete_hours, disk_expire_percent, .. } = broker.store.retention();
    let role = match (broker.is_slave(), store.in_sync_min) {
        (true, _) => "SLAVE",
        (false, 0) => "ASYNC_MASTER",
        (false, _) => "SYNC_MASTER",
    };
    let flush = match store.flush {
        FlushMode::Async => "ASYNC_FLUSH",
        FlushMode::Sync => "SYNC_FLUSH",
    };
    let of_this_broker = [
        ("namesrvAddr", own.name_servers.join(";")),
        ("brokerIP1", own.address.ip().to_string()),
        ("brokerIP2", own.ha_address.ip().to_string()),
        ("brokerName", own.group.clone()),
        ("brokerClusterName", own.cluster.clone()),
        ("brokerId", own.id.0.to_string()),
        ("brokerPermission", broker.live_config.permission().0.to_string()),
        ("autoCreateTopicEnable", broker.live_config.creates_topics().to_string()),
        ("autoCreateSubscriptionGroup", broker.live_config.creates_groups().to_string()),
        ("aclEnable", own.acl.is_some().to_string()),
        ("traceOn", broker.live_config.is_traced().to_string()),
        ("enablePropertyFilter", true.to_string()),
        ("listenPort", own.address.port().to_string()),
        ("haListenPort", own.ha_address.port().to_string()),
        ("storePathRootDir", store.dir.display().to_string()),
        ("storePathCommitLog", store.dir.join("commitlog").display().to_string()),
        ("mappedFileSizeCommitLog", store.segment_bytes.to_string()),
        ("flushIntervalCommitLog", store.flush_interval_ms.to_string()),
        ("deleteWhen", hours_text(&delete_hours)),
        ("diskMaxUsedSpaceRatio", disk_expire_percent.to_string()),
        ("fileReservedTime", hours.to_string()),
        ("maxMessageSize", store.max_message_bytes.to_string()),
        ("messageDelayLevel", store.delay_levels.to_string()),
        ("brokerRole", role.to_owned()),
        ("flushDiskType", flush.to_owned()),
        ("syncFlushTimeout", store.sync_flush_timeout_ms.to_string()),
        ("slaveTimeout", store.slave_timeout_ms.to_string()),
        ("rejectTransactionMessage", broker.live_config.rejects_transactions().to_string()),
        ("slaveReadEnable", broker.live_config.reads_from_slaves().to_string()),
        ("transactionTimeOut", own.transactions.timeout_ms.to_string()),
        ("transactionCheckMax", own.transactions.checks_max.to_string()),
        ("transactionCheckInterval", own.transactions.check_interval_ms.to_string()),
        ("useTLS", own.credentials.tls.is_on().to_string()),
        ("haSlaveFallbehindMax", store.slave_behind_bytes_max.to_string()),
    ];
    let is_own = |key: &str| of_this_broker.iter().any(|(own, _)| *own == key);
    let fixed = fixed_properties().filter(|(key, _)| !is_own(key));
    let mut all: Properties = fixed.map(|(key, value)| (key, value.to_owned())).collect();
    all.extend(of_this_broker);
    all.sort_unstable();
    all
}

/// What is to be changed.
#[derive(Debug, Default)]
struct Change {
    permission: Option<Permission>,
    creates_topics: Option<bool>,
    creates_groups: Option<bool>,
    is_traced: Option<bool>,
    rejects_transactions: Option<bool>,
    reads_from_slaves: Option<bool>,
    hours: Option<u64>,
    delete_hours: Option<Vec<u8>>,
    disk_expire_percent: Option<u8>,
}

/// 9010: what of this was changed, and how producers are.
pub(super) fn state(broker: &Arc<Broker>, _: &Command, _: &Connection) -> Answer {
    let settings = settings(broker);
    let instead_of = |key: &str| {
        let found = settings.iter().find(|(known, _)| *known == key);
        found.map(|(_, value)| value.clone()).unwrap_or_default()
    };
    let row = |(key, value): (String, String)| {
        let instead_of = instead_of(&key);
        OverrideRow { key, value, instead_of }
    };
    let state = BrokerState {
        overrides: overridden(broker).into_iter().map(row).collect(),
        closed_ms: broker.writers.closed_ms(),
        last_send_ms: broker.writers.last_send_ms(),
        producers: broker.clients.producer_count(),
    };
    Ok(Command::response(response::SUCCESS).with_body(extension::to_bytes(&state)))
}

/// What is not as the settings say.
fn overridden(broker: &Broker) -> BTreeMap<String, String> {
    let Kept { store, mut brokers } = broker.options.overrides.kept();
    let mut all = brokers.remove(&broker.options.group).unwrap_or_default();
    let KeptStore { retention_hours, delete_hours, disk_expire_percent } = store;
    all.extend(
        [
            retention_hours.map(|hours| ("fileReservedTime".to_owned(), hours.to_string())),
            delete_hours.map(|hours| ("deleteWhen".to_owned(), hours_text(&hours))),
            disk_expire_percent
                .map(|percent| ("diskMaxUsedSpaceRatio".to_owned(), percent.to_string())),
        ]
        .into_iter()
        .flatten(),
    );
    all
}

/// What the settings say of all that can be changed.
fn settings(broker: &Broker) -> Properties {
    let store = broker.options.overrides.settings();
    let AutoCreate { topics, groups } = broker.options.auto_create;
    vec![
        ("autoCreateSubscriptionGroup", groups.to_string()),
        ("autoCreateTopicEnable", topics.to_string()),
        ("brokerPermission", Permission::READ_WRITE.0.to_string()),
        ("deleteWhen", hours_text(&store.delete_hours)),
        ("diskMaxUsedSpaceRatio", store.disk_expire_percent.to_string()),
        ("fileReservedTime", store.retention_hours.to_string()),
        ("rejectTransactionMessage", broker.options.transactions.reject.to_string()),
        ("slaveReadEnable", broker.options.reads_from_slaves.to_string()),
        ("traceOn", true.to_string()),
    ]
}

fn hours_text(hours: &[u8]) -> String {
    let hours: Vec<_> = hours.iter().map(|hour| format!("{hour:02}")).collect();
    hours.join(";")
}

/// 9011: one key is as the settings say again. Blocks as 25 does.
pub(super) fn reset(broker: &Arc<Broker>, request: &Command, connection: &Connection) -> Answer {
    let ResetConfig { key } = extension::parse(&request.body)?;
    let refusal = |remark: String| Refusal::new(response::SYSTEM_ERROR, remark);
    let settings = settings(broker);
    let found = settings.iter().find(|(known, _)| *known == key);
    let (_, value) = found.ok_or_else(|| refusal(why_not_now(&key)))?;
    let mut change = Change::default();
    change.take(&key, value).map_err(refusal)?;
    keep_and_apply(broker, change, connection)
}

/// 25. Blocks, until name servers are told of a changed permission.
pub(super) fn update(broker: &Arc<Broker>, request: &Command, connection: &Connection) -> Answer {
    let refusal = |remark: String| Refusal::new(response::SYSTEM_ERROR, remark);
    let text = std::str::from_utf8(&request.body)
        .map_err(|error| refusal(format!("the properties are not UTF-8: {error}")))?;
    if properties::has_broken_escape(text) {
        return Err(refusal("string2Properties error".to_owned()));
    }
    let wanted = properties::parse(text);
    if wanted.is_empty() {
        return Ok(Command::response(response::SUCCESS));
    }
    let known = in_force(broker);
    let mut change = Change::default();
    for (key, value) in &wanted {
        let is_so = known.iter().any(|(known, now)| known == key && now == value.trim());
        if !change.take(key, value.trim()).map_err(refusal)? && !is_so {
            return Err(refusal(why_not_now(key)));
        }
    }
    keep_and_apply(broker, change, connection)
}

/// A change is on the disk before it is in force.
fn keep_and_apply(broker: &Broker, change: Change, connection: &Connection) -> Answer {
    let kept =
        broker.options.overrides.change(|kept, settings| change.keep(broker, kept, settings));
    kept.map_err(|error| {
        let remark = format!("nothing is changed, because it cannot be kept: {error}");
        Refusal::new(response::SYSTEM_ERROR, remark)
    })?;
    tracing::info!(?change, by = %connection.remote(), "configuration changed");
    apply(broker, change);
    Ok(Command::response(response::SUCCESS))
}

impl Change {
    /// Notes a key's new value; false if the key cannot be changed.
    fn take(&mut self, key: &str, value: &str) -> Result<bool, String> {
        let bad = |what: &str| format!("`{key}` is {what}, not `{value}`");
        let flag = || {
            let is_on = value.to_ascii_lowercase().parse::<bool>().ok();
            is_on.map(Some).ok_or_else(|| bad("true or false"))
        };
        match key {
            "brokerPermission" => {
                let permission = value.parse().ok().filter(|number| [2, 4, 6].contains(number));
                let permission = permission.ok_or_else(|| bad("2 (write), 4 (read) or 6"))?;
                self.permission = Some(Permission(permission));
            }
            "autoCreateTopicEnable" => self.creates_topics = flag()?,
            "autoCreateSubscriptionGroup" => self.creates_groups = flag()?,
            "traceOn" => self.is_traced = flag()?,
            "rejectTransactionMessage" => self.rejects_transactions = flag()?,
            "slaveReadEnable" => self.reads_from_slaves = flag()?,
            "fileReservedTime" => {
                let hours = value.parse().ok().filter(|hours| *hours > 0);
                self.hours = Some(hours.ok_or_else(|| bad("a number of hours from 1 on"))?);
            }
            "deleteWhen" => {
                let hour = |text: &str| text.trim().parse().ok().filter(|hour| *hour < 24);
                let hours: Option<Vec<u8>> = value.split(';').map(hour).collect();
                self.delete_hours = Some(hours.ok_or_else(|| bad("hours from 00 to 23 with `;`"))?);
            }
            "diskMaxUsedSpaceRatio" => {
                let percent: Option<u8> = value.parse().ok().filter(|percent| *percent <= 100);
                let percent = percent.ok_or_else(|| bad("a percentage"))?;
                let percent = percent.clamp(*DISK_PERCENT.start(), *DISK_PERCENT.end());
                self.disk_expire_percent = Some(percent);
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Notes for the next start what is not as the settings say then.
    fn keep(&self, broker: &Broker, kept: &mut Kept, settings: &config::Store) {
        let other = |hours: &u64| *hours != settings.retention_hours;
        keep(&mut kept.store.retention_hours, self.hours, other);
        let other = |hours: &Vec<u8>| *hours != settings.delete_hours;
        keep(&mut kept.store.delete_hours, self.delete_hours.clone(), other);
        let other = |percent: &u8| *percent != settings.disk_expire_percent;
        keep(&mut kept.store.disk_expire_percent, self.disk_expire_percent, other);
        let own = kept.brokers.entry(broker.options.group.clone()).or_default();
        let AutoCreate { topics, groups } = broker.options.auto_create;
        let reject = broker.options.transactions.reject;
        let slaves = broker.options.reads_from_slaves;
        let text = |is_on: Option<bool>| is_on.map(|is_on| is_on.to_string());
        for (key, value, usual) in [
            (
                "brokerPermission",
                self.permission.map(|permission| permission.0.to_string()),
                Permission::READ_WRITE.0.to_string(),
            ),
            ("autoCreateTopicEnable", text(self.creates_topics), topics.to_string()),
            ("autoCreateSubscriptionGroup", text(self.creates_groups), groups.to_string()),
            ("traceOn", text(self.is_traced), true.to_string()),
            ("rejectTransactionMessage", text(self.rejects_transactions), reject.to_string()),
            ("slaveReadEnable", text(self.reads_from_slaves), slaves.to_string()),
        ] {
            let mut there = own.remove(key);
            keep(&mut there, value, |value| *value != usual);
            own.extend(there.map(|value| (key.to_owned(), value)));
        }
    }
}

/// What is kept of a new value, if there is one: nothing if it is no other than the settings'.
fn keep<T>(kept: &mut Option<T>, new: Option<T>, is_other: impl FnOnce(&T) -> bool) {
    if let Some(new) = new {
        *kept = Some(new).filter(is_other);
    }
}

fn apply(broker: &Broker, change: Change) {
    broker.store.change_retention(|retention| {
        retention.hours = change.hours.unwrap_or(retention.hours);
        if let Some(hours) = change.delete_hours {
            retention.delete_hours = hours;
        }
        let percent = change.disk_expire_percent.unwrap_or(retention.disk_expire_percent);
        retention.disk_expire_percent = percent;
    });
    let live = &broker.live_config;
    {
        let mut version = live.version.lock().unwrap_or_else(PoisonError::into_inner);
        *version = version.next(broker.clock.now_ms());
    }
    for (flag, new) in [
        (&live.creates_topics, change.creates_topics),
        (&live.creates_groups, change.creates_groups),
        (&live.is_traced, change.is_traced),
        (&live.rejects_transactions, change.rejects_transactions),
        (&live.reads_from_slaves, change.reads_from_slaves),
    ] {
        if let Some(is_on) = new {
            flag.store(is_on, Ordering::Relaxed);
        }
    }
    if let Some(permission) = change.permission {
        live.permission.store(permission.0, Ordering::Relaxed);
        broker.writers.close(!permission.contains(Permission::WRITE));
        // Name servers look at what has a new version only, and links at what lies elsewhere.
        broker.store.tables().topics.renew();
        broker.registration.tell_now();
    }
}

#[cfg(test)]
mod tests {
    use super::super::answers::FAQ;
    use super::super::tests_support::TestBroker;
    use super::*;
    use crate::model::{TopicConfig, TopicName};
    use crate::remoting::headers::PullHeader;
    use crate::remoting::{json, request};

    async fn shown(broker: &TestBroker) -> (BTreeMap<String, String>, u64) {
        let answer = broker.call(Command::request(request::GET_BROKER_CONFIG)).await;
        assert_eq!((answer.code, &answer.remark), (0, &None));
        let version = json::parse(answer.field("version").unwrap().as_bytes()).unwrap();
        let counter = version.number("counter").unwrap().unwrap();
        (properties::parse(std::str::from_utf8(&answer.body).unwrap()), counter)
    }

    async fn updated(broker: &TestBroker, text: &str) -> (i32, String) {
        let request = Command::request(request::UPDATE_BROKER_CONFIG);
        broker.refused(request.with_body(text.to_owned())).await
    }

    #[tokio::test]
    async fn what_is_in_force_is_shown_under_494s_keys_b304() {
        let broker = TestBroker::new();
        let (shown, counter) = shown(&broker).await;
        let store_dir = broker.broker.store.options().dir.display().to_string();
        for (key, value) in [
            ("brokerName", "broker-a"),
            ("brokerClusterName", "DefaultCluster"),
            ("brokerId", "0"),
            ("brokerIP1", "127.0.0.1"),
            ("listenPort", "10911"),
            ("haListenPort", "10912"),
            ("brokerRole", "ASYNC_MASTER"),
            ("flushDiskType", "ASYNC_FLUSH"),
            ("fileReservedTime", "72"),
            ("deleteWhen", "04"),
            ("messageDelayLevel", "1s 5s 10s 30s 1m 2m 3m 4m 5m 6m 7m 8m 9m 10m 20m 30m 1h 2h"),
            ("brokerPermission", "6"),
            ("autoCreateTopicEnable", "true"),
            ("enablePropertyFilter", "true"),
            ("storePathRootDir", &store_dir),
        ] {
            assert_eq!(shown.get(key).map(String::as_str), Some(value), "{key}");
        }
        assert_eq!((shown.get("sendMessageThreadPoolNums"), counter), (None, 0));
    }

    #[tokio::test]
    async fn what_export_configs_needs_is_there() {
        // It fails on a missing one.
        let needed = "brokerClusterName brokerId brokerName brokerRole fileReservedTime filterServerNums flushDiskType \
            maxMessageSize messageDelayLevel msgTraceTopicName slaveReadEnable traceOn traceTopicEnable useTLS \
            autoCreateTopicEnable autoCreateSubscriptionGroup";
        let (shown, _) = shown(&TestBroker::new()).await;
        for key in needed.split_whitespace() {
            assert!(shown.contains_key(key), "{key}");
        }
    }

    #[tokio::test]
    async fn some_keys_change_b303() {
        let broker = TestBroker::new();
        let text = "fileReservedTime=48\ndeleteWhen=02;16\ndiskMaxUsedSpaceRatio=99\nbrokerRole = ASYNC_MASTER\n";
        assert_eq!(updated(&broker, text).await, (0, String::new()));
        let changed = Retention {
            hours: 48,
            delete_hours: vec![2, 16],
            disk_expire_percent: 95,
            ..Retention::default()
        };
        assert_eq!(broker.broker.store.retention(), changed);
        assert_eq!(updated(&broker, "# nothing\n").await, (0, String::new()));
        let (after, counter) = shown(&broker).await;
        let texts =
            ["fileReservedTime", "deleteWhen", "diskMaxUsedSpaceRatio"].map(|key| &*after[key]);
        assert_eq!((texts, counter), (["48", "02;16", "95"], 1));
    }

    #[tokio::test]
    async fn what_cannot_be_changed_is_refused_and_nothing_changes_with_it() {
        let broker = TestBroker::new();
        for (bad, why) in [
            ("noSuchKey=1", "4.9.4 has no key `noSuchKey`"),
            ("rocketmqHome=/tmp/x", "`rocketmqHome` changes nothing here: "),
            ("storePathRootDir=/", "`storePathRootDir` changes nothing here: "),
            ("longPollingEnable=false", "`longPollingEnable` is always `true` here: "),
            ("maxMessageSize=1", "`maxMessageSize` is read at the start only: "),
            ("brokerPermission=7", "`brokerPermission` is 2 (write), 4 (read) or 6, not `7`"),
            ("traceOn=yes", "`traceOn` is true or false, not `yes`"),
            ("slaveReadEnable=1", "`slaveReadEnable` is true or false, not `1`"),
            ("deleteWhen=24", "`deleteWhen` is hours from 00 to 23 with `;`, not `24`"),
            ("diskMaxUsedSpaceRatio=x", "`diskMaxUsedSpaceRatio` is a percentage, not `x`"),
            (
                "rejectTransactionMessage=yes",
                "`rejectTransactionMessage` is true or false, not `yes`",
            ),
            ("x=\\u12", "string2Properties error"),
            ("fileReservedTime=0", "`fileReservedTime` is a number of hours from 1 on, not `0`"),
        ] {
            // The keys are taken in their order: some before the bad one, some after it.
            let (code, remark) = updated(&broker, &format!("brokerPermission=4\n{bad}\n")).await;
            assert_eq!((code, remark.starts_with(why)), (1, true), "{bad}: {remark}");
        }
        assert_eq!(broker.broker.live_config.permission(), Permission::READ_WRITE);
        assert_eq!(shown(&broker).await.1, 0);
        let request = Command::request(request::UPDATE_BROKER_CONFIG).with_body(vec![0xFF]);
        assert_eq!(broker.refused(request).await.0, 1);
    }

    #[tokio::test]
    async fn traces_are_switched_off_and_on_c053() {
        let broker = TestBroker::new();
        for (text, told) in [("", "true"), ("traceOn=false", "false"), ("traceOn=true", "true")] {
            assert_eq!(updated(&broker, text).await.0, 0);
            assert_eq!(shown(&broker).await.0["traceOn"], told);
            let sent = broker.send("T", "", "x").await;
            assert_eq!((sent.code, sent.field("TRACE_ON")), (0, Some(told)));
        }
    }

    #[tokio::test]
    async fn what_clients_use_may_have_to_be_made_before_k_b10_k_b13() {
        let broker = TestBroker::new();
        let tables = broker.broker.store.tables();
        let pull =
            |group| PullHeader { consumer_group: group, topic: "U", ..PullHeader::default() };
        let off = "autoCreateTopicEnable=false\nautoCreateSubscriptionGroup=FALSE\n";
        assert_eq!(updated(&broker, off).await.0, 0);
        let now = shown(&broker).await.0;
        assert_eq!(now["autoCreateTopicEnable"], "false");
        assert_eq!(now["autoCreateSubscriptionGroup"], "false");
        let sent = broker.send("T", "", "x").await;
        let remark = format!("topic[T] not exist, apply first please!{FAQ}");
        assert_eq!((sent.code, sent.remark), (response::TOPIC_NOT_EXIST, Some(remark)));
        let remark = format!("subscription group [G] does not exist, {FAQ}");
        let refused = broker.refused(pull("G").to_request()).await;
        assert_eq!(refused, (response::SUBSCRIPTION_GROUP_NOT_EXIST, remark));
        assert_eq!(broker.send("%RETRY%G", "", "x").await.code, 26, "nor by what is sent again");
        assert!(tables.topics.get("T").is_none() && tables.groups.get("G").is_none());
        broker.call(pull("CID_RMQ_SYS_x").to_request()).await;
        assert!(tables.groups.get("CID_RMQ_SYS_x").is_some(), "4.9.4's own are always made");
        let on = "autoCreateTopicEnable=true\nautoCreateSubscriptionGroup=true\n";
        assert_eq!(updated(&broker, on).await.0, 0);
        assert_eq!(broker.send("T", "", "x").await.code, 0);
        broker.call(pull("G").to_request()).await;
        assert!(tables.groups.get("G").is_some());
    }

    #[tokio::test]
    async fn transactions_may_be_refused_k_b29() {
        let broker = TestBroker::new();
        let half = "TRAN_MSG\u{1}true\u{2}PGROUP\u{1}P\u{2}";
        assert_eq!(updated(&broker, "rejectTransactionMessage=TRUE").await.0, 0);
        assert_eq!(shown(&broker).await.0["rejectTransactionMessage"], "true");
        let refused = broker.send("T", half, "x").await;
        let remark = "the broker[127.0.0.1] sending transaction message is forbidden";
        assert_eq!((refused.code, refused.remark.as_deref()), (16, Some(remark)));
        assert_eq!(refused.field("TRACE_ON"), Some("true"));
        assert_eq!(broker.send("T", "TRAN_MSG\u{1}false\u{2}", "x").await.code, 0);
        assert_eq!(updated(&broker, "rejectTransactionMessage=false").await.0, 0);
        assert_eq!(broker.send("T", half, "x").await.code, 0);
    }

    #[tokio::test]
    async fn a_broker_may_be_closed_to_writers_and_to_readers_b101_b162() {
        let broker = TestBroker::new();
        let topics = &broker.broker.store.tables().topics;
        topics.put(TopicConfig { order: true, ..TopicConfig::new(TopicName::new("Ordered"), 1) });
        let version = topics.version();
        assert_eq!(updated(&broker, "brokerPermission=4").await.0, 0);
        assert_eq!(topics.version().counter, version.counter + 1, "name servers are told");
        let sent = broker.send("Ordered", "", "x").await;
        let remark = "the broker[127.0.0.1] sending message is forbidden";
        assert_eq!((sent.code, sent.remark.as_deref()), (16, Some(remark)));
        assert_eq!(broker.send("T", "", "x").await.code, 0, "only the route says so");
        assert_eq!(updated(&broker, "brokerPermission=2").await.0, 0);
        let header = PullHeader { consumer_group: "G", topic: "T", ..PullHeader::default() };
        let remark = "the broker[127.0.0.1] pulling message is forbidden".to_owned();
        assert_eq!(broker.refused(header.to_request()).await, (16, remark));
        assert_eq!(broker.send("Ordered", "", "x").await.code, 0);
    }

    async fn told(broker: &TestBroker) -> BrokerState {
        let answer = broker.call(Command::request(request::EXTENSION_BROKER_STATE)).await;
        assert_eq!((answer.code, &answer.remark), (0, &None));
        extension::parse(&answer.body).unwrap()
    }

    async fn reset_key(broker: &TestBroker, key: &str) -> (i32, String) {
        let body = extension::to_bytes(&ResetConfig { key: key.to_owned() });
        let request = Command::request(request::EXTENSION_RESET_CONFIG);
        broker.refused(request.with_body(body)).await
    }

    #[tokio::test]
    async fn what_was_changed_is_kept_over_a_restart_until_it_is_taken_back() {
        let broker = TestBroker::new();
        assert_eq!(told(&broker).await, BrokerState::default());
        let text = "brokerPermission=4\ntraceOn=false\nrejectTransactionMessage=true\nfileReservedTime=48\n\
            autoCreateSubscriptionGroup=false\nslaveReadEnable=true\n";
        assert_eq!(updated(&broker, text).await.0, 0);
        assert_eq!(broker.send("T", "", "x").await.code, 0);
        let broker = broker.restarted().await;
        let now = shown(&broker).await.0;
        let keys = "brokerPermission traceOn rejectTransactionMessage autoCreateSubscriptionGroup \
            slaveReadEnable";
        let texts: Vec<_> = keys.split(' ').map(|key| &*now[key]).collect();
        assert_eq!(texts, ["4", "false", "true", "false", "true"]);
        let BrokerState { overrides, closed_ms, last_send_ms, .. } = told(&broker).await;
        assert_eq!((closed_ms.is_some(), last_send_ms), (true, None));
        let row = |key: &str, value: &str, instead_of: &str| OverrideRow {
            key: key.to_owned(),
            value: value.to_owned(),
            instead_of: instead_of.to_owned(),
        };
        let settings = broker.broker.options.overrides.settings();
        let expected = [
            row("autoCreateSubscriptionGroup", "false", "true"),
            row("brokerPermission", "4", "6"),
            row("fileReservedTime", "48", &settings.retention_hours.to_string()),
            row("rejectTransactionMessage", "true", "false"),
            row("slaveReadEnable", "true", "false"),
            row("traceOn", "false", "true"),
        ];
        assert_eq!(overrides, expected);
        // Both are ways back to what the settings say.
        assert_eq!(updated(&broker, "brokerPermission=6\n").await.0, 0);
        assert_eq!(reset_key(&broker, "traceOn").await.0, 0);
        let BrokerState { overrides, closed_ms, .. } = told(&broker).await;
        assert_eq!((overrides.len(), closed_ms), (4, None));
        let (code, why) = reset_key(&broker, "maxMessageSize").await;
        assert_eq!((code, why.starts_with("`maxMessageSize` is read at the start")), (1, true));
    }

    #[tokio::test]
    async fn when_a_producer_sent_last_is_told() {
        let broker = TestBroker::new();
        assert_eq!(broker.send("T", "", "x").await.code, 0);
        broker.clock.advance(std::time::Duration::from_secs(9));
        let last_send_ms = told(&broker).await.last_send_ms.unwrap();
        assert!(last_send_ms >= 9000, "{last_send_ms}");
        // One that is refused is one that still tries.
        assert_eq!(broker.send("bad!name", "", "x").await.code, 1);
        assert!(told(&broker).await.last_send_ms.unwrap() < last_send_ms);
    }
}
