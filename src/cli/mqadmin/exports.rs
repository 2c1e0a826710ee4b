//! Exports to files: M-111 to M-113.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use super::groups::consumers;
use super::run::{Done, Failure, Run};
use crate::admin::{AdminError, Statistics, statistics};
use crate::model::version_name as version;
use crate::model::{
    DLQ_PREFIX, DataVersion, RETRY_PREFIX, SubscriptionGroupConfig, TopicConfig, system,
};
use crate::remoting::bodies::groups::group_value;
use crate::remoting::bodies::topics::{topic_value, version_value};
use crate::remoting::json::{Form, Value};
use crate::remoting::{VERSION_4_9_4, response};

/// Where 4.9.4's tool exports to.
const FOLDER: &str = "/tmp/rocketmq/export";
/// Groups that tools and clients have for themselves (4.9.4's `SYSTEM_GROUP_SET`); so is what begins with `CID_RMQ_SYS_`.
const SYSTEM_GROUPS: [&str; 12] = [
    "DEFAULT_CONSUMER",
    "DEFAULT_PRODUCER",
    "TOOLS_CONSUMER",
    "FILTERSRV_CONSUMER",
    "__MONITOR_CONSUMER",
    "CLIENT_INNER_PRODUCER",
    "SELF_TEST_P_GROUP",
    "SELF_TEST_C_GROUP",
    "CID_ONS-HTTP-PROXY",
    "CID_ONSAPI_PERMISSION",
    "CID_ONSAPI_OWNER",
    "CID_ONSAPI_PULL",
];
/// The settings of a broker that are exported.
const SETTINGS: [&str; 16] = [
    "autoCreateSubscriptionGroup",
    "autoCreateTopicEnable",
    "brokerClusterName",
    "brokerId",
    "brokerName",
    "brokerRole",
    "fileReservedTime",
    "filterServerNums",
    "flushDiskType",
    "maxMessageSize",
    "messageDelayLevel",
    "msgTraceTopicName",
    "slaveReadEnable",
    "traceOn",
    "traceTopicEnable",
    "useTLS",
];

/// Writes a file below `-f`; returns its path.
fn save(run: &Run, name: &str, content: &Value<'_>) -> Result<String, Failure> {
    let folder = run.given.get('f').unwrap_or(FOLDER);
    let path = format!("{folder}/{name}");
    let text = content.to_bytes(Form::Pretty);
    let written = fs::create_dir_all(Path::new(folder)).and_then(|()| fs::write(&path, &text));
    written.map_err(|error| anyhow::anyhow!("{path}: {error}"))?;
    Ok(path)
}

/// The topics of applications at a broker, with the version of its table; those for retries and dead letters only with
/// `-s`.
async fn topics_of(
    run: &Run,
    address: &str,
) -> Result<(DataVersion, Vec<TopicConfig>), AdminError> {
    let system = run.admin.system_topics_at(address).await?;
    let (version, mut topics) = run.admin.topic_table(address).await?;
    let is_special = |name: &str| name.starts_with(RETRY_PREFIX) || name.starts_with(DLQ_PREFIX);
    topics.retain(|topic| !system.iter().any(|name| name == topic.name.as_str()));
    topics.retain(|topic| run.given.has('s') || !is_special(topic.name.as_str()));
    Ok((version, topics))
}

/// The groups of applications at a broker, with the version of its table.
async fn groups_of(
    run: &Run,
    address: &str,
) -> Result<(DataVersion, Vec<SubscriptionGroupConfig>), AdminError> {
    let (version, mut groups) = run.admin.group_table(address).await?;
    let is_system =
        |name: &str| name.starts_with(system::GROUP_PREFIX) || SYSTEM_GROUPS.contains(&name);
    groups.retain(|group| !is_system(group.name.as_str()));
    Ok((version, groups))
}

fn topic_table(topics: &BTreeMap<String, TopicConfig>) -> Value<'_> {
    Value::map(topics.iter().map(|(name, topic)| (name.as_str(), topic_value(topic))))
}

fn group_table(groups: &BTreeMap<String, SubscriptionGroupConfig>) -> Value<'_> {
    Value::map(groups.iter().map(|(name, group)| (name.as_str(), group_value(group))))
}

/// `exportMetadata` (M-111).
pub(super) async fn metadata(run: &mut Run) -> Done {
    let (topics_only, groups_only) = (run.given.has('t'), run.given.has('g'));
    let broker = run.given.get('b').map(str::to_owned);
    let addresses = match (&broker, run.given.get('c').map(str::to_owned)) {
        (Some(address), _) if topics_only || groups_only => vec![address.clone()],
        (Some(_), _) => return Err(Failure::Usage("-b needs -t or -g".to_owned())),
        (None, Some(cluster)) => run.masters(&cluster).await?,
        (None, None) => return Err(Failure::Usage("-b or -c is missing".to_owned())),
    };
    let (mut topics, mut groups) = (BTreeMap::new(), BTreeMap::new());
    let mut of_table = DataVersion::default();
    for address in &addresses {
        let (of_topics, found) = topics_of(run, address).await?;
        for mut topic in found {
            // Queues of all masters together.
            let name = topic.name.to_string();
            if let Some(TopicConfig { read_queues, write_queues, .. }) = topics.get(&name) {
                topic.read_queues = topic.read_queues.saturating_add(*read_queues);
                topic.write_queues = topic.write_queues.saturating_add(*write_queues);
            }
            topics.insert(name, topic);
        }
        let (of_groups, found) = groups_of(run, address).await?;
        of_table = if topics_only { of_topics } else { of_groups };
        for mut group in found {
            let name = group.name.to_string();
            if let Some(SubscriptionGroupConfig { retry_queue_nums, .. }) = groups.get(&name) {
                group.retry_queue_nums = group.retry_queue_nums.saturating_add(*retry_queue_nums);
            }
            groups.insert(name, group);
        }
    }
    let table = if topics_only { Some(("topicConfigTable", topic_table(&topics))) } else { None };
    let table =
        table.or_else(|| groups_only.then(|| ("subscriptionGroupTable", group_table(&groups))));
    let (name, mut content) = match table {
        Some(table) if topics_only => ("topic.json", vec![table]),
        Some(table) => ("subscriptionGroup.json", vec![table]),
        None => {
            let tables = vec![
                ("subscriptionGroupTable", group_table(&groups)),
                ("topicConfigTable", topic_table(&topics)),
            ];
            ("metadata.json", tables)
        }
    };
    if broker.is_none() {
        content.push(("exportTime", run.clock.now_ms().into()));
    } else {
        content.insert(0, ("dataVersion", version_value(of_table)));
    }
    let path = save(run, name, &Value::object(content))?;
    // With a line's end for a cluster only, as 4.9.4 has it.
    run.print(format_args!("export {path} success{}", if broker.is_none() { "\n" } else { "" }))
}

/// The masters of the cluster with their groups' names.
async fn masters_of(run: &mut Run) -> Result<Vec<(String, String, usize)>, Failure> {
    let cluster = run.given.must('c').to_owned();
    let info = run.admin.cluster_info().await?;
    let Some(names) = info.clusters.get(&cluster) else {
        run.no_cluster(&cluster, info.clusters.keys())?;
        return Ok(Vec::new());
    };
    let groups = info.brokers.iter().filter(|group| names.contains(&group.broker_name));
    let master = |group: &crate::remoting::bodies::route::BrokerData| {
        let slaves = group.addresses.keys().filter(|id| **id != 0).count();
        Some((group.broker_name.clone(), group.master()?.to_owned(), slaves))
    };
    Ok(groups.filter_map(master).collect())
}

/// `exportConfigs` (M-112).
pub(super) async fn configs(run: &mut Run) -> Done {
    let masters = masters_of(run).await?;
    let mut configs = BTreeMap::new();
    for (_, address, _) in &masters {
        let mut settings = run.admin.broker_settings(address).await?;
        settings.retain(|key, _| SETTINGS.contains(&key.as_str()));
        configs.insert(settings.get("brokerName").cloned().unwrap_or_default(), settings);
    }
    let slaves: usize = masters.iter().map(|(.., slaves)| slaves).sum();
    let settings = configs.iter().map(|(name, settings)| {
        let settings = settings.iter().map(|(key, value)| (key.as_str(), value.as_str().into()));
        (name.as_str(), Value::map(settings))
    });
    let scale = Value::object([
        ("masterBrokerSize", masters.len().into()),
        ("namesrvSize", run.admin.name_servers().len().into()),
        ("slaveBrokerSize", slaves.into()),
    ]);
    let content = Value::object([("brokerConfigs", Value::map(settings)), ("clusterScale", scale)]);
    let path = save(run, "configs.json", &content)?;
    run.print(format_args!("export {path} success"))
}

/// What one broker does, for `exportMetrics`.
struct Metrics {
    runtime: BTreeMap<String, String>,
    settings: BTreeMap<String, String>,
    topics: usize,
    groups: usize,
    clients: BTreeSet<String>,
    half: Statistics,
    delayed: Statistics,
}

impl Metrics {
    async fn of(run: &Run, address: &str) -> Result<Self, AdminError> {
        let (_, groups) = groups_of(run, address).await?;
        let mut clients = BTreeSet::new();
        for group in &groups {
            // Who is not connected has no version.
            let found = consumers(run, group.name.as_str()).await.unwrap_or_default();
            let client = |one: crate::remoting::bodies::clients::ClientConnection| {
                format!("{}%{}", one.language.name(), version(one.version))
            };
            clients.extend(found.connections.into_iter().map(client));
        }
        Ok(Self {
            runtime: run.admin.runtime_info(address).await?,
            settings: run.admin.broker_settings(address).await?,
            topics: topics_of(run, address).await?.1.len(),
            groups: groups.len(),
            clients,
            half: counted(run, address, system::HALF_TOPIC).await?,
            delayed: counted(run, address, system::SCHEDULE_TOPIC).await?,
        })
    }

    fn rate(&self, key: &str) -> f64 {
        self.runtime.get(key).and_then(|text| text.split(' ').next()?.parse().ok()).unwrap_or(0.0)
    }

    /// Messages of yesterday.
    fn yesterday(&self, what: &str) -> i64 {
        let number = |when: &str| {
            self.runtime
                .get(&format!("msg{what}Total{when}Morning"))
                .and_then(|text| text.parse().ok())
        };
        number("Today").unwrap_or(0i64).saturating_sub(number("Yesterday").unwrap_or(0))
    }

    /// Messages a second, and a day: in, out, of transactions, delayed.
    fn numbers(&self) -> ([f64; 4], [i64; 4]) {
        let rates =
            [self.rate("putTps"), self.rate("getTransferedTps"), self.half.tps, self.delayed.tps];
        (rates, [self.yesterday("Put"), self.yesterday("Get"), self.half.day(), self.delayed.day()])
    }

    fn to_value(&self) -> Value<'_> {
        let text = |key: &str| Value::from(self.runtime.get(key));
        let (rates, days) = self.numbers();
        let quota = Value::object([
            (
                "diskRatio",
                Value::object([
                    ("commitLogDiskRatio", text("commitLogDiskRatio")),
                    ("consumeQueueDiskRatio", text("consumeQueueDiskRatio")),
                ]),
            ),
            ("groupSize", self.groups.into()),
            ("messageAverageSize", text("putMessageAverageSize")),
            ("oneDayNum", day_value(days)),
            (
                "tps",
                Value::object(
                    ["normalInTps", "normalOutTps", "transInTps", "scheduleInTps"]
                        .into_iter()
                        .zip(rates.map(Value::double)),
                ),
            ),
            ("topicSize", self.topics.into()),
        ]);
        let env = Value::object([
            ("cpuNum", Value::from(self.settings.get("clientCallbackExecutorThreads"))),
            ("totalMemKBytes", text("totalMemKBytes")),
        ]);
        let versions = Value::object([
            ("clientInfo", Value::array(self.clients.iter())),
            ("rocketmqVersion", version(VERSION_4_9_4).into()),
        ]);
        Value::object([("runtimeEnv", env), ("runtimeQuota", quota), ("runtimeVersion", versions)])
    }
}

/// What was counted of a topic of the system; nothing if there was nothing to count.
async fn counted(run: &Run, address: &str, topic: &str) -> Result<Statistics, AdminError> {
    match run.admin.statistics(address, statistics::TOPIC_PUT_NUMS, topic).await {
        Err(error) if error.is_refused(response::SYSTEM_ERROR) => Ok(Statistics::default()),
        answered => answered,
    }
}

fn day_value(days: [i64; 4]) -> Value<'static> {
    let names =
        ["normalOneDayInNum", "normalOneDayOutNum", "transOneDayInNum", "scheduleOneDayInNum"];
    Value::object(names.into_iter().zip(days.map(Value::from)))
}

/// `exportMetrics` (M-113).
pub(super) async fn metrics(run: &mut Run) -> Done {
    let mut all = BTreeMap::new();
    for (name, address, _) in masters_of(run).await? {
        all.insert(name, Metrics::of(run, &address).await?);
    }
    let (mut rates, mut days) = ([0.0; 4], [0i64; 4]);
    for (own_rates, own_days) in all.values().map(Metrics::numbers) {
        for at in 0..4 {
            rates[at] += own_rates[at];
            days[at] = days[at].saturating_add(own_days[at]);
        }
    }
    let names = ["totalNormalInTps", "totalNormalOutTps", "totalTransInTps", "totalScheduleInTps"];
    let total = Value::object([
        ("totalOneDayNum", day_value(days)),
        ("totalTps", Value::object(names.into_iter().zip(rates.map(Value::double)))),
    ]);
    let report = Value::map(all.iter().map(|(name, metrics)| (name.as_str(), metrics.to_value())));
    let path = save(
        run,
        "metrics.json",
        &Value::object([("evaluateReport", report), ("totalData", total)]),
    )?;
    run.print(format_args!("export {path} success"))
}
