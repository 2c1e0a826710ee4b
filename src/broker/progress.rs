//! How far groups are, as tools ask (208, 300, 303, 308, 317; B-319, B-325, B-327, B-334, B-337).
//!
//! Not the positions themselves (`offsets`, `store`). Invariants: an answer has at most [`QUEUES_MAX`] queues, because
//! nothing bounds those of a topic (B-300); asking changes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::answers::{Answer, Refusal};
use super::{Broker, light};
use crate::model::{GroupName, MessageQueue, QueueId, QueueOffset, TopicConfig, TopicName};
use crate::remoting::bodies::consume_stats::{
    ConsumeStats, QueueProgress, TimeSpan, broker_consume_stats, correction_offsets, group_list,
    time_spans,
};
use crate::remoting::{Command, response};
use crate::transport::Connection;

/// Queues in one answer, at most.
const QUEUES_MAX: u32 = 65_536;

/// How many queues an answer may still have.
struct Room(u32);

impl Room {
    fn take(&mut self, queues: u32) -> Result<(), Refusal> {
        let too_many = || {
            let remark = format!("the answer would have more than {QUEUES_MAX} queues");
            Refusal::new(response::SYSTEM_ERROR, remark)
        };
        self.0 = self.0.checked_sub(queues).ok_or_else(too_many)?;
        Ok(())
    }
}

fn done(body: bytes::Bytes) -> Answer {
    Ok(Command::response(response::SUCCESS).with_body(body))
}

/// 208: how far a group is in one topic, or in all where it has a position (B-319). Blocks.
pub(super) fn of_group(broker: &Arc<Broker>, request: &Command, _: &Connection) -> Answer {
    let group = request.required_str("consumerGroup")?;
    let topics = match request.field("topic").filter(|topic| !topic.trim().is_empty()) {
        Some(topic) => vec![TopicName::new(topic)],
        None => broker.store.tables().consumer_offsets.topics_of(group),
    };
    let mut room = Room(QUEUES_MAX);
    let mut all = ConsumeStats::default();
    for topic in topics {
        let Some(config) = read_topic(broker, group, topic.as_str()) else { continue };
        let one = progress(broker, group, &config, config.read_queues, &mut room)?;
        all.tps += one.tps;
        all.queues.extend(one.queues);
    }
    done(all.to_bytes())
}

/// 317: how far all groups are (B-337, S-47). Blocks.
pub(super) fn of_all(broker: &Arc<Broker>, request: &Command, _: &Connection) -> Answer {
    let is_order = request.flag_bool("isOrder");
    let tables = broker.store.tables();
    let mut topics: BTreeMap<GroupName, Vec<TopicName>> = BTreeMap::new();
    for (topic, group) in tables.consumer_offsets.snapshot().into_keys() {
        topics.entry(group).or_default().push(topic);
    }
    let mut room = Room(QUEUES_MAX);
    let mut all = Vec::new();
    for group in tables.groups.snapshot().1 {
        let mut stats = Vec::new();
        for topic in topics.remove(&group.name).unwrap_or_default() {
            let config = read_topic(broker, group.name.as_str(), topic.as_str());
            let Some(config) = config.filter(|config| !is_order || config.order) else { continue };
            let name = group.name.as_str();
            stats.push(progress(broker, name, &config, config.write_queues, &mut room)?);
        }
        all.push((group.name.clone(), stats));
    }
    done(broker_consume_stats(&broker.options.address.to_string(), &all))
}

/// A topic that is there, unless the group is connected and reads others.
fn read_topic(broker: &Broker, group: &str, topic: &str) -> Option<Arc<TopicConfig>> {
    let config = light::topic(broker, topic)?;
    (!broker.clients.reads_others_only(group, topic)).then_some(config)
}

fn progress(
    broker: &Broker,
    group: &str,
    topic: &TopicConfig,
    queues: u32,
    room: &mut Room,
) -> Result<ConsumeStats, Refusal> {
    room.take(queues)?;
    let name = topic.name.as_str();
    let positions = broker.store.tables().consumer_offsets.of_group(name, group);
    let row = |id| {
        let consumed = positions.get(&QueueId(id)).copied().unwrap_or(0).max(0);
        let last = match consumed {
            0 => 0,
            next => store_time(broker, name, QueueId(id), next - 1)?.max(0),
        };
        Ok(QueueProgress {
            queue: queue(broker, name, id),
            broker_offset: broker.store.max_offset(name, QueueId(id)).to_wire(),
            consumer_offset: consumed,
            last_timestamp: last,
        })
    };
    let queues: Result<Vec<_>, Refusal> = (0..queues).map(row).collect();
    Ok(ConsumeStats { tps: broker.statistics.group_tps(group, name), queues: queues? })
}

fn queue(broker: &Broker, topic: &str, id: u32) -> MessageQueue {
    MessageQueue {
        topic: topic.to_owned(),
        broker_name: broker.options.group.clone(),
        queue_id: QueueId(id).to_wire(),
    }
}

/// When a queue's message was stored; -1 if it is not there.
fn store_time(broker: &Broker, topic: &str, id: QueueId, offset: i64) -> Result<i64, Refusal> {
    let Ok(offset) = u64::try_from(offset) else { return Ok(-1) };
    Ok(broker.store.store_time_of(topic, id, QueueOffset(offset))?.unwrap_or(-1))
}

/// 303: between which times a topic's messages lie, and where a group is (B-327). Blocks.
pub(super) fn spans(broker: &Arc<Broker>, request: &Command, _: &Connection) -> Answer {
    let (topic, group) = (request.required_str("topic")?, request.required_str("group")?);
    let Some(config) = light::topic(broker, topic) else {
        let remark = format!("topic[{topic}] not exist");
        return Err(Refusal::new(response::TOPIC_NOT_EXIST, remark));
    };
    Room(QUEUES_MAX).take(config.write_queues)?;
    let spans: Result<Vec<_>, Refusal> =
        (0..config.write_queues).map(|id| span(broker, topic, group, id)).collect();
    done(time_spans(&spans?))
}

fn span(broker: &Broker, topic: &str, group: &str, id: u32) -> Result<TimeSpan, Refusal> {
    let queue_id = QueueId(id);
    let (first, next) = broker.store.queue_range(topic, queue_id, true)?;
    let time = |offset| store_time(broker, topic, queue_id, offset);
    let min = time(first.to_wire())?;
    // Without a position it is -1, and what follows is 4.9.4's arithmetic.
    let consumed = broker.store.tables().consumer_offsets.query(topic, group, queue_id);
    let consumed = consumed.unwrap_or(-1);
    let is_behind = consumed < next.to_wire();
    Ok(TimeSpan {
        queue: queue(broker, topic, id),
        min,
        max: time(next.to_wire() - 1)?,
        consumed: if consumed > 0 { time(consumed - 1)? } else { min },
        delay_ms: if is_behind { broker.clock.now_ms() - time(consumed)? } else { 0 },
    })
}

/// 300: the groups that read a topic, or have read it (B-325).
pub(super) fn readers(broker: &Arc<Broker>, request: &Command, _: &Connection) -> Answer {
    let topic = request.required_str("topic")?;
    let mut groups = BTreeSet::from_iter(broker.clients.readers_of(topic));
    groups.extend(broker.store.tables().consumer_offsets.groups_of(topic));
    done(group_list(&groups))
}

/// 308: how far the last group is in each queue of a topic (B-334). The comparison with another group finds none in
/// 4.9.4, which takes topic for group there; and what it leaves out it also deletes, which this broker does not. Blocks.
pub(super) fn correction(broker: &Arc<Broker>, request: &Command, _: &Connection) -> Answer {
    let topic = request.required_str("topic")?;
    request.required_str("compareGroup")?;
    let left_out: Vec<&str> =
        request.field("filterGroups").unwrap_or_default().split(',').collect();
    let offsets = &broker.store.tables().consumer_offsets;
    let mut last: BTreeMap<QueueId, i64> = BTreeMap::new();
    for group in offsets.groups_of(topic) {
        if left_out.contains(&group.as_str()) {
            continue;
        }
        for (queue_id, offset) in offsets.of_group(topic, group.as_str()) {
            let (first, _) = broker.store.queue_range(topic, queue_id, true)?;
            if offset >= first.to_wire() {
                last.entry(queue_id).and_modify(|last| *last = offset.min(*last)).or_insert(offset);
            }
        }
    }
    done(correction_offsets(last))
}

#[cfg(test)]
mod tests {
    use super::super::tests_support::TestBroker;
    use super::*;
    use crate::model::SubscriptionGroupConfig;
    use crate::remoting::{json, request};

    /// Three messages in queue 0 of `T`, and a group that got two of them.
    async fn broker() -> TestBroker {
        let broker = TestBroker::new();
        for topic in ["T", "U"] {
            let config =
                TopicConfig { read_queues: 2, ..TopicConfig::new(TopicName::new(topic), 1) };
            broker.broker.store.tables().topics.put(config);
        }
        for body in ["1", "2", "3"] {
            broker.send("T", "", body).await;
        }
        broker.broker.store.tables().consumer_offsets.commit("T", "G", QueueId(0), 2);
        broker
    }

    fn of_group() -> Command {
        Command::request(request::GET_CONSUME_STATS).with_field("consumerGroup", "G")
    }

    async fn text(broker: &TestBroker, request: Command) -> String {
        let answer = broker.call(request).await;
        assert_eq!((answer.code, answer.remark, answer.fields), (0, None, None));
        String::from_utf8(answer.body.to_vec()).unwrap()
    }

    fn stored(broker: &TestBroker, offset: i64) -> i64 {
        store_time(&broker.broker, "T", QueueId(0), offset).unwrap()
    }

    /// A heartbeat of the group, subscribed to one topic.
    async fn online(broker: &TestBroker, topic: &str) {
        let body = format!(
            r#"{{"clientID":"c","consumerDataSet":[{{"groupName":"G","subscriptionDataSet":[{{"subString":"*","topic":"{topic}"}}]}}]}}"#
        );
        let answer = broker.call(Command::request(request::HEART_BEAT).with_body(body)).await;
        assert_eq!(answer.code, 0);
    }

    #[tokio::test]
    async fn a_group_is_told_by_read_queue_b319() {
        let broker = broker().await;
        let last = stored(&broker, 1);
        let expected = format!(
            r#"{{"consumeTps":0.0,"offsetTable":{{{{"brokerName":"broker-a","queueId":0,"topic":"T"}}:{{"brokerOffset":3,"consumerOffset":2,"lastTimestamp":{last}}},{{"brokerName":"broker-a","queueId":1,"topic":"T"}}:{{"brokerOffset":0,"consumerOffset":0,"lastTimestamp":0}}}}}}"#
        );
        assert_eq!(text(&broker, of_group()).await, expected);
        assert_eq!(text(&broker, of_group().with_field("topic", " ")).await, expected);
        assert_eq!(text(&broker, of_group().with_field("topic", "T")).await, expected);
        let none = r#"{"consumeTps":0.0,"offsetTable":{}}"#;
        assert_eq!(text(&broker, of_group().with_field("topic", "never")).await, none);
        online(&broker, "U").await;
        assert_eq!(text(&broker, of_group()).await, none, "it does not read T any more");
        online(&broker, "T").await;
        broker.broker.statistics.messages_out("G", "T", 5, 50);
        broker.broker.statistics.sample_now();
        assert!(text(&broker, of_group()).await.starts_with(r#"{"consumeTps":0.5,"#));
    }

    #[tokio::test]
    async fn all_groups_are_told_by_write_queue_b337() {
        let broker = broker().await;
        let groups = &broker.broker.store.tables().groups;
        for name in ["G", "H"] {
            groups.put(SubscriptionGroupConfig::new(GroupName::new(name)));
        }
        let all = |order: bool| {
            Command::request(request::GET_BROKER_CONSUME_STATS).with_field("isOrder", order)
        };
        let body = text(&broker, all(false)).await;
        let body = json::parse(body.as_bytes()).unwrap();
        let of = |name| {
            body.get("consumeStatsList")
                .items()
                .iter()
                .find(|one| one.get(name) != &json::Value::Null)
        };
        let topics = of("G").unwrap().get("G").items();
        assert_eq!((topics.len(), topics[0].get("offsetTable").entries().len()), (1, 1));
        assert_eq!(of("H").unwrap().get("H").items().len(), 0);
        let address = body.text("brokerAddr");
        assert_eq!((address, body.text("totalDiff")), (Some("127.0.0.1:10911"), Some("1")));
        assert!(text(&broker, all(true)).await.contains(r#"{"G":[]}"#), "T is not ordered");
    }

    #[tokio::test]
    async fn times_of_a_group_are_told_b327() {
        let broker = broker().await;
        let asked = |topic: &'static str, group: &'static str| {
            let request = Command::request(request::QUERY_CONSUME_TIME_SPAN);
            request.with_field("topic", topic).with_field("group", group)
        };
        let body = text(&broker, asked("T", "G")).await;
        let body = json::parse(body.as_bytes()).unwrap();
        let [span] = body.get("consumeTimeSpanSet").items() else { panic!("{body:?}") };
        let time = |key| span.number::<i64>(key).unwrap().unwrap();
        let times = ["minTimeStamp", "consumeTimeStamp", "maxTimeStamp"].map(time);
        assert_eq!(times, [0, 1, 2].map(|offset| stored(&broker, offset)));
        assert!((0..60_000).contains(&time("delayTime")), "{span:?}");
        let body = text(&broker, asked("U", "G")).await;
        assert!(body.contains(r#""maxTimeStamp":-1,"#), "{body}");
        let (code, remark) = broker.refused(asked("never", "G")).await;
        assert_eq!((code, remark.as_str()), (17, "topic[never] not exist"));
    }

    #[tokio::test]
    async fn readers_are_those_that_read_and_those_that_have_read_b325() {
        let broker = broker().await;
        let asked = |topic: &'static str| {
            Command::request(request::QUERY_TOPIC_CONSUME_BY_WHO).with_field("topic", topic)
        };
        online(&broker, "U").await;
        broker.broker.store.tables().consumer_offsets.commit("U", "H", QueueId(0), 0);
        assert_eq!(text(&broker, asked("U")).await, r#"{"groupList":["G","H"]}"#);
        assert_eq!(text(&broker, asked("T")).await, r#"{"groupList":["G"]}"#);
        assert_eq!(text(&broker, asked("never")).await, r#"{"groupList":[]}"#);
    }

    #[tokio::test]
    async fn the_last_group_of_each_queue_is_told_b334() {
        let broker = broker().await;
        let offsets = &broker.broker.store.tables().consumer_offsets;
        offsets.commit("T", "H", QueueId(0), 1);
        let asked = |filter: &'static str| {
            let request = Command::request(request::QUERY_CORRECTION_OFFSET);
            let request = request.with_field("topic", "T").with_field("compareGroup", "H");
            request.with_field("filterGroups", filter)
        };
        assert_eq!(text(&broker, asked("")).await, r#"{"correctionOffsets":{0:1}}"#);
        assert_eq!(text(&broker, asked("X,H")).await, r#"{"correctionOffsets":{0:2}}"#);
        assert_eq!(offsets.query("T", "H", QueueId(0)), Some(1), "asking deletes nothing");
    }

    #[tokio::test]
    async fn an_answer_has_not_more_queues_than_fit() {
        let broker = broker().await;
        let config = TopicConfig::new(TopicName::new("T"), QUEUES_MAX + 1);
        broker.broker.store.tables().topics.put(config);
        let (code, remark) = broker.refused(of_group()).await;
        assert_eq!((code, remark.as_str()), (1, "the answer would have more than 65536 queues"));
    }
}
