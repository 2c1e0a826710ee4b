//! Which topics there are: creation by sends, and the requests that create, list and delete (B-050 to B-062).
//!
//! Not the table itself (`store`), not what name servers are told of it (`registration`). Invariants: creating a
//! topic for a sender never waits for the disk; none is created beyond `limits.topics_max`.

use std::sync::Arc;

use super::answers::{Answer, FAQ, Refusal};
use super::{Broker, light, topic_spread};
use crate::metrics::Limit;
use crate::model::{
    Permission, RETRY_PREFIX, TopicConfig, TopicName, shown, system, validate_topic,
};
use crate::remoting::bodies::topics::{topic_list, topic_table, topic_value};
use crate::remoting::headers::{SendHeader, read_create_topic};
use crate::remoting::json::Form;
use crate::remoting::{Command, response};
use crate::store::Tables;
use crate::transport::Connection;

/// Names that are remembered for each topic that there may be: deleted ones must not become too many either.
const NAMES_PER_TOPIC: usize = 10;
/// Longest name that a record can carry, in bytes.
const TOPIC_BYTES_MAX: usize = 127;
/// The unit bit of a topic's system flag.
const UNIT: u32 = 1;
/// The bit of a topic that a group in unit mode reads.
pub(super) const UNIT_SUBSCRIPTION: u32 = 2;

/// The topic of a send, which may be created for it (B-055 to B-057); `None` if it must be applied for.
pub(super) fn create_in_send(broker: &Broker, header: &SendHeader<'_>) -> Option<Arc<TopicConfig>> {
    let is_retry = header.topic.starts_with(RETRY_PREFIX);
    let sys_flag = match (header.unit_mode, is_retry) {
        (false, _) => 0,
        (true, true) => UNIT_SUBSCRIPTION,
        (true, false) => UNIT,
    };
    let template = broker.store.tables().topics.get(header.default_topic);
    let may_be_one = |topic: &Arc<TopicConfig>| {
        // As with 4.9.4 the topics of the cluster's and the broker's name are templates in any case.
        let is_on =
            topic.name.as_str() != system::AUTO_CREATE_TOPIC || broker.live_config.creates_topics();
        is_on && topic.permission.contains(Permission::INHERIT)
    };
    if let Some(template) = template.filter(may_be_one) {
        let wanted = u32::try_from(header.default_topic_queue_nums).unwrap_or(0);
        let created = TopicConfig {
            permission: template.permission.without(Permission::INHERIT),
            filter_type: template.filter_type,
            sys_flag,
            ..TopicConfig::new(TopicName::new(header.topic), wanted.min(template.write_queues))
        };
        return create(broker, created);
    }
    let usual = Permission::READ_WRITE;
    is_retry.then(|| create_in_send_back(broker, header.topic, 1, usual, sys_flag))?
}

/// A topic that the broker itself needs, created if it is not there; `None` if there are too many or if no record
/// can carry its name.
pub(super) fn create_in_send_back(
    broker: &Broker,
    name: &str,
    queues: u32,
    permission: Permission,
    sys_flag: u32,
) -> Option<Arc<TopicConfig>> {
    let existing = broker.store.tables().topics.get(name);
    existing.or_else(|| {
        let config = TopicConfig::new(TopicName::new(name), queues);
        create(broker, TopicConfig { permission, sys_flag, ..config })
    })
}

fn create(broker: &Broker, config: TopicConfig) -> Option<Arc<TopicConfig>> {
    let tables = broker.store.tables();
    if config.name.as_str().len() > TOPIC_BYTES_MAX || is_full(broker) {
        return None;
    }
    let (config, is_new) = tables.topics.put_if_absent(config);
    if is_new {
        tracing::info!(
            topic = shown(config.name.as_str()),
            queues = config.write_queues,
            "topic created"
        );
        broker.registration.changed();
        topic_spread::created(broker, &config);
    }
    Some(config)
}

fn has_too_many(broker: &Broker) -> bool {
    let topics = &broker.store.tables().topics;
    let max = broker.limits().numbers().topics_max;
    topics.count() >= max || topics.names_count() >= NAMES_PER_TOPIC * max
}

fn is_full(broker: &Broker) -> bool {
    let is_full = has_too_many(broker);
    if is_full {
        broker.limits().reached(Limit::Topics);
    }
    is_full
}

/// What a sender to a topic is told that is not there and was not created: 4.9.4's words, and our limit if it is that.
pub(super) fn not_created(broker: &Broker, name: &str) -> Refusal {
    let limit = has_too_many(broker).then(|| broker.limits().text(Limit::Topics));
    let why =
        limit.map(|limit| format!(" No more topics are created: {limit}.")).unwrap_or_default();
    let remark = format!("topic[{name}] not exist, apply first please!{why}{FAQ}");
    Refusal::new(response::TOPIC_NOT_EXIST, remark)
}

/// 17: creates or replaces a topic (B-300). Blocks.
pub(super) fn update(broker: &Arc<Broker>, request: &Command, connection: &Connection) -> Answer {
    refuse_if_slave(broker)?;
    // B-300: whether a topic is ordered is not changed here.
    let config = TopicConfig { order: false, ..read_create_topic(request)? };
    check_name(broker, config.name.as_str())?;
    if light::is_light(broker, config.name.as_str()) {
        return Ok(Command::response(response::SUCCESS).with_remark("not set any response code"));
    }
    let tables = broker.store.tables();
    if tables.topics.get(config.name.as_str()).is_none() && is_full(broker) {
        return Err(Refusal::new(response::SYSTEM_ERROR, broker.limits().text(Limit::Topics)));
    }
    tracing::info!(?config, by = %connection.remote(), "topic created or changed");
    tables.topics.put(config);
    saved(tables, "topics")?;
    broker.registration.tell_now();
    // S-08: 4.9.4 forgets to take this remark away.
    Ok(Command::response(response::SUCCESS).with_remark("not set any response code"))
}

/// 215: deletes a topic with its queues and positions (B-301, S-46). A slave takes it from its master soon, and says
/// that all is well, because tools ask every broker (S-45). Blocks.
pub(super) fn delete(broker: &Arc<Broker>, request: &Command, connection: &Connection) -> Answer {
    let topic = request.required_str("topic")?;
    check_name(broker, topic)?;
    if broker.is_slave() {
        return Ok(Command::response(response::SUCCESS));
    }
    let was_there = broker.store.remove_topic(topic);
    tracing::info!(topic, was_there, by = %connection.remote(), "topic deleted");
    broker.statistics.forget_topic(topic);
    saved(broker.store.tables(), "topics")?;
    broker.registration.changed();
    Ok(Command::response(response::SUCCESS))
}

/// H-079: a slave has the configurations of its master.
pub(super) fn refuse_if_slave(broker: &Broker) -> Result<(), Refusal> {
    let remark = "Can't modify topic or subscription group from slave broker, please execute it from master broker.";
    if broker.is_slave() { Err(Refusal::new(response::SYSTEM_ERROR, remark)) } else { Ok(()) }
}

/// What an operator is told is done stays done; `what` is what he changed.
pub(super) fn saved(tables: &Tables, what: &str) -> Result<(), Refusal> {
    tables.commit_configs().map_err(|error| {
        tracing::error!(%error, "{what} cannot be saved");
        Refusal::new(response::SYSTEM_ERROR, format!("the {what} cannot be saved: {error}"))
    })
}

/// 21: all configurations (B-302, R-014).
pub(super) fn list(broker: &Arc<Broker>, _: &Command, _: &Connection) -> Answer {
    let (version, topics) = broker.store.tables().topics.snapshot();
    let answer = Command::response(response::SUCCESS).with_empty_fields();
    Ok(answer.with_body(topic_table(version, &topics)))
}

/// 351: one configuration, as brokers of 5.x tell it; what only these have is left out.
pub(super) fn show(broker: &Arc<Broker>, request: &Command, _: &Connection) -> Answer {
    let name = request.required_str("topic")?;
    let topic = broker.store.tables().topics.get(name).ok_or_else(|| {
        let remark = format!("No topic in this broker. topic: {name}");
        Refusal::new(response::TOPIC_NOT_EXIST, remark)
    })?;
    let body = topic_value(&topic).to_bytes(Form::Dialect);
    Ok(Command::response(response::SUCCESS).with_body(body))
}

/// 305: the broker's own topics (B-328).
pub(super) fn list_system(broker: &Arc<Broker>, _: &Command, _: &Connection) -> Answer {
    let options = &broker.options;
    let reply = format!("{}_REPLY_TOPIC", options.cluster);
    let mut topics: Vec<String> = system::TOPICS.iter().map(|&name| name.to_owned()).collect();
    topics.extend([options.cluster.clone(), options.group.clone(), reply]);
    topics.sort_unstable();
    topics.dedup();
    Ok(Command::response(response::SUCCESS).with_body(topic_list(None, &topics)))
}

fn check_name(broker: &Broker, name: &str) -> Result<(), Refusal> {
    validate_topic(name)
        .map_err(|error| Refusal::new(response::SYSTEM_ERROR, error.to_string()))?;
    if is_system_topic(broker, name) {
        let remark = format!("The topic[{name}] is conflict with system topic.");
        return Err(Refusal::new(response::SYSTEM_ERROR, remark));
    }
    Ok(())
}

/// Whether a topic is the broker's own (B-052).
pub(super) fn is_system_topic(broker: &Broker, name: &str) -> bool {
    let options = &broker.options;
    name == system::AUTO_CREATE_TOPIC
        || name == system::BENCHMARK_TOPIC
        || name == system::TRACE_TOPIC
        || system::NOT_FOR_SENDING.contains(&name)
        || name.starts_with(system::TOPIC_PREFIX)
        || name == options.cluster
        || name == options.group
        || name.strip_suffix("_REPLY_TOPIC") == Some(&options.cluster)
}

/// A topic as remarks name it, `TopicConfig.toString` (B-104).
pub(super) fn described(topic: &TopicConfig) -> String {
    let bit = |bit, letter| if topic.permission.contains(bit) { letter } else { '-' };
    let perm: String =
        [bit(Permission::READ, 'R'), bit(Permission::WRITE, 'W'), bit(Permission::INHERIT, 'X')]
            .into_iter()
            .collect();
    format!(
        "TopicConfig [topicName={}, readQueueNums={}, writeQueueNums={}, perm={perm}, topicFilterType={}, \
         topicSysFlag={}, order={}]",
        topic.name,
        topic.read_queues,
        topic.write_queues,
        topic.filter_type.as_str(),
        topic.sys_flag,
        topic.order
    )
}

#[cfg(test)]
mod tests {
    use super::super::tests_support::{self, TestBroker};
    use super::*;
    use crate::remoting::headers::create_topic;
    use crate::remoting::{json, request};

    fn created(name: &str, queues: u32) -> Command {
        let config = TopicConfig { order: true, ..TopicConfig::new(TopicName::new(name), queues) };
        create_topic(&config, "TBW102")
    }

    fn deleted(name: &str) -> Command {
        Command::request(request::DELETE_TOPIC_IN_BROKER).with_field("topic", name)
    }

    #[tokio::test]
    async fn topics_are_created_changed_and_deleted_b300_b301() {
        let broker = TestBroker::new();
        for queues in [8, 3] {
            let (code, remark) = broker.refused(created("T", queues)).await;
            assert_eq!((code, remark.as_str()), (0, "not set any response code"), "S-08");
        }
        let broker = broker.restarted().await;
        let topic = broker.broker.store.tables().topics.get("T").unwrap();
        assert_eq!(*topic, TopicConfig::new(TopicName::new("T"), 3), "`order` is ignored");
        broker.send("T", "", "x").await;
        assert_eq!(broker.refused(deleted("T")).await, (0, String::new()));
        assert_eq!(broker.refused(deleted("T")).await, (0, String::new()), "not there: 0 too");
        let broker = broker.restarted().await;
        assert_eq!(broker.broker.store.tables().topics.get("T"), None);
        broker.send("T", "", "y").await;
        assert_eq!(broker.records("T", 0).len(), 1, "B-062: begins again at 0");
    }

    #[tokio::test]
    async fn names_are_checked_and_the_brokers_own_topics_stay_b052_b054() {
        let broker = TestBroker::new();
        let own =
            ["TBW102", "DefaultCluster", "broker-a", "DefaultCluster_REPLY_TOPIC", "rmq_sys_x"];
        for name in own.into_iter().chain(["SELF_TEST_TOPIC", "BenchmarkTest"]) {
            let remark = format!("The topic[{name}] is conflict with system topic.");
            assert_eq!(broker.refused(created(name, 1)).await, (1, remark.clone()));
            assert_eq!(broker.refused(deleted(name)).await, (1, remark));
        }
        let refused = async |name| broker.refused(created(name, 1)).await;
        assert_eq!(refused(" ").await, (1, "The specified topic is blank.".into()));
        let long = "t".repeat(128);
        let remark = "The specified topic is longer than topic max length.".to_owned();
        assert_eq!(refused(long.as_str()).await, (1, remark));
    }

    #[tokio::test]
    async fn the_first_trace_makes_the_topic_of_traces_and_no_tool_does() {
        let broker = TestBroker::new();
        let remark = format!("The topic[{}] is conflict with system topic.", system::TRACE_TOPIC);
        assert_eq!(broker.refused(created(system::TRACE_TOPIC, 1)).await, (1, remark));
        let topics = &broker.broker.store.tables().topics;
        assert_eq!(topics.get(system::TRACE_TOPIC), None);
        assert_eq!(broker.send(system::TRACE_TOPIC, "", "x").await.code, response::SUCCESS);
        assert!(topics.get(system::TRACE_TOPIC).is_some());
    }

    #[tokio::test]
    async fn all_topics_are_listed_b302() {
        let broker = TestBroker::new();
        broker.call(created("T", 5)).await;
        let answer = broker.call(Command::request(request::GET_ALL_TOPIC_CONFIG)).await;
        assert_eq!((answer.code, answer.fields.map(|fields| fields.len())), (0, Some(0)), "R-014");
        let text = std::str::from_utf8(&answer.body).unwrap();
        assert!(text.starts_with("{\"dataVersion\":{\"counter\":1,\"timestamp\":"), "{text}");
        let row = r#""T":{"order":false,"perm":6,"readQueueNums":5,"topicFilterType":"SINGLE_TAG","topicName":"T","topicSysFlag":0,"writeQueueNums":5}"#;
        assert!(text.contains(row), "{text}");
        let table = json::parse(&answer.body).unwrap();
        assert_eq!(table.get("topicConfigTable").entries().len(), 9, "{text}");
    }

    #[tokio::test]
    async fn one_topic_is_told_as_5x_does() {
        let broker = TestBroker::new();
        broker.call(created("T", 5)).await;
        let asked = |topic: &'static str| {
            Command::request(request::GET_TOPIC_CONFIG).with_field("topic", topic)
        };
        let answer = broker.call(asked("T")).await;
        let row = r#"{"order":false,"perm":6,"readQueueNums":5,"topicFilterType":"SINGLE_TAG","topicName":"T","topicSysFlag":0,"writeQueueNums":5}"#;
        assert_eq!((answer.code, &answer.body[..]), (0, row.as_bytes()));
        let remark = "No topic in this broker. topic: never".to_owned();
        assert_eq!(broker.refused(asked("never")).await, (17, remark));
    }

    #[tokio::test]
    async fn the_brokers_own_topics_are_listed_b328() {
        let broker = TestBroker::new();
        let request = Command::request(request::GET_SYSTEM_TOPIC_LIST_FROM_BROKER);
        let answer = broker.call(request).await;
        let topics = json::parse(&answer.body).unwrap().texts("topicList");
        assert_eq!(topics.len(), 12, "{topics:?}");
        for name in ["TBW102", "DefaultCluster", "broker-a", "DefaultCluster_REPLY_TOPIC"] {
            assert!(topics.iter().any(|topic| topic == name), "{name}");
        }
        assert!(topics.iter().all(|topic| is_system_topic(&broker.broker, topic)), "{topics:?}");
    }

    #[tokio::test]
    async fn there_are_not_more_topics_than_a_broker_may_have() {
        let broker = TestBroker::new();
        let topics = &broker.broker.store.tables().topics;
        topics.put(TopicConfig::new(TopicName::new("t100"), 1));
        let max = topics.count();
        tests_support::limit(&broker.broker, |numbers| numbers.topics_max = max);
        let text = format!("limits.topics_max = {max} is reached");
        let refused = broker.send("one-more", "", "x").await;
        let remark = format!(
            "topic[one-more] not exist, apply first please! No more topics are created: {text}.{FAQ}"
        );
        assert_eq!((refused.code, refused.remark), (response::TOPIC_NOT_EXIST, Some(remark)));
        assert_eq!(broker.send("%RETRY%G", "", "x").await.code, response::TOPIC_NOT_EXIST);
        let (code, remark) = broker.refused(created("one-more", 1)).await;
        assert_eq!((code, remark), (1, text));
        assert_eq!(tests_support::times_reached(&broker.broker, Limit::Topics), 3);
        assert_eq!(broker.call(created("t100", 7)).await.code, 0, "changing one is no creation");
    }
}
