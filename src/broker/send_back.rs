//! Messages that a consumer gives back: they come again later, or go to the dead letters (36; B-130 to B-136).
//!
//! Not the later delivery (`delay`). Invariant: only a message that is stored again is answered with success (S-57),
//! but for groups without retry queues, whose messages are dropped as 4.9.4 does.

use std::sync::Arc;

use bytes::Bytes;

use super::answers::{Answer, Refusal};
use super::copies::{append_all, copy_of};
use super::java_properties::JavaProperties;
use super::{Broker, delay, flow_control, light, send, topics};
use crate::message::{MessageId, NewMessage, Record, properties};
use crate::model::{Permission, PhysicalOffset, QueueId, RETRY_PREFIX, TopicName, system};
use crate::remoting::{Command, response};
use crate::store::{AppendError, Durability, ReadError};
use crate::transport::Connection;

/// The delay level of a message that comes back for the first time (B-132).
const FIRST_LEVEL: i32 = 3;

/// What 4.9.4 calls the state of a store that takes nothing.
const SERVICE_NOT_AVAILABLE: &str = "SERVICE_NOT_AVAILABLE";

/// Where a message that came back goes.
struct Way {
    topic: TopicName,
    queue_id: QueueId,
    level: i32,
}

/// Answers 36. Blocks.
pub(super) fn answer(broker: &Arc<Broker>, request: &Command, _: &Connection) -> Answer {
    answer_with(broker, request, |at| broker.store.record_at(at))
}

/// The same, if `look_up` is what finds messages.
pub(super) fn answer_with(
    broker: &Arc<Broker>,
    request: &Command,
    look_up: impl Fn(PhysicalOffset) -> Result<Option<Bytes>, ReadError>,
) -> Answer {
    let offset = request.required_i64("offset")?;
    let group = request.required_str("group")?;
    let asked_level = request.required_i32("delayLevel")?;
    let own_times_max = request.optional_i32("maxReconsumeTimes")?;
    let config = send::group_config(broker, group)?;
    if !broker.live_config.permission().contains(Permission::WRITE) {
        return Err(send::forbidden(broker, "message"));
    }
    let Some(queues) = u32::try_from(config.retry_queue_nums).ok().filter(|queues| *queues > 0)
    else {
        return Ok(Command::response(response::SUCCESS));
    };
    let look_up = || match PhysicalOffset::from_wire(offset) {
        Some(at) => look_up(at),
        None => Ok(None),
    };
    let not_there = || {
        let remark = format!("look message by offset failed, {offset}");
        Refusal::new(response::SYSTEM_ERROR, remark)
    };
    if broker.is_slave() {
        // H-073; a topic of its own would be gone with the next sync.
        let found = look_up()?.ok_or_else(not_there);
        return found.and(Err(Refusal::new(response::SYSTEM_ERROR, SERVICE_NOT_AVAILABLE)));
    }
    let retry = retry_topic(broker, group, queues, request.flag_bool("unitMode"))?;
    let stored = look_up()?.ok_or_else(not_there)?;
    let record = Record::parse(&stored).map_err(|_| not_there())?;
    let times = record.reconsume_times();
    let way = if times >= send::times_max(&config, request, own_times_max) || asked_level < 0 {
        let topic = send::dead_letter_topic(broker, group)?.name.clone();
        Way { topic, queue_id: QueueId(0), level: 0 }
    } else {
        let queue_id = send::any_queue(queues).unwrap_or_default();
        let level = if asked_level == 0 { FIRST_LEVEL.saturating_add(times) } else { asked_level };
        Way { topic: retry, queue_id, level }
    };
    let body = stored.slice_ref(record.body());
    let message = given_back(broker, &record, body, &way)?;
    let (topic, queue_id) = (message.topic.clone(), message.queue_id);
    let bytes = send::record_bytes(&message);
    append(broker, message)?;
    if topic.as_str() == system::SCHEDULE_TOPIC {
        broker.statistics.stored_under(topic.as_str(), 1, bytes);
        broker.statistics.delayed(queue_id, 1, bytes);
    }
    // Whoever sent it may have written any name there.
    let came_from = properties::find(record.properties(), properties::RETRY_TOPIC)
        .filter(|topic| light::topic(broker, topic).is_some());
    broker.statistics.sent_back(group, came_from.unwrap_or(record.topic()));
    Ok(Command::response(response::SUCCESS))
}

/// The group's retry topic, which must be there and writable (B-131).
fn retry_topic(
    broker: &Broker,
    group: &str,
    queues: u32,
    unit_mode: bool,
) -> Result<TopicName, Refusal> {
    let name = format!("{RETRY_PREFIX}{group}");
    let sys_flag = if unit_mode { topics::UNIT_SUBSCRIPTION } else { 0 };
    let permission = Permission::READ_WRITE;
    let topic = topics::create_in_send_back(broker, &name, queues, permission, sys_flag);
    let topic = topic
        .ok_or_else(|| Refusal::new(response::SYSTEM_ERROR, format!("topic[{name}] not exist")))?;
    if !topic.permission.contains(Permission::WRITE) {
        let remark = format!("the topic[{name}] sending message is forbidden");
        return Err(Refusal::new(response::NO_PERMISSION, remark));
    }
    Ok(topic.name.clone())
}

/// The message that is stored for one that came back (B-133); properties are set in 4.9.4's order.
fn given_back(
    broker: &Broker,
    record: &Record<'_>,
    body: Bytes,
    way: &Way,
) -> Result<NewMessage, Refusal> {
    let level = way.level.to_string();
    let first_id =
        MessageId { store_host: record.store_host(), offset: record.physical_offset() }.to_string();
    let mut fields = JavaProperties::parse(record.properties());
    if fields.get(properties::RETRY_TOPIC).is_none() {
        fields.set(properties::RETRY_TOPIC, record.topic());
    }
    fields.set(properties::WAIT, "false");
    fields.set(properties::DELAY, &level);
    let origin = fields.get(properties::ORIGIN_MESSAGE_ID).filter(|id| !id.trim().is_empty());
    fields.set(properties::ORIGIN_MESSAGE_ID, origin.unwrap_or(&first_id));
    let (topic, queue_id, properties) = match delay::level_of(broker, &fields, record.sys_flag())? {
        None => (way.topic.clone(), way.queue_id, fields.into_text()),
        Some(level) => {
            let text = delay::scheduled(fields, level, &way.topic, way.queue_id);
            (TopicName::new(system::SCHEDULE_TOPIC), delay::queue_of(level), text)
        }
    };
    Ok(NewMessage {
        reconsume_times: record.reconsume_times().saturating_add(1),
        ..copy_of(record, body, (topic.as_str(), queue_id), properties)
    })
}

/// Stores a message.
fn append(broker: &Broker, message: NewMessage) -> Result<(), Refusal> {
    let result = append_all(&broker.store, vec![message]).pop();
    let result = result.unwrap_or(Err(AppendError::Stopping)).map(|(_, durability)| durability);
    told(broker, result).inspect_err(|_| broker.statistics.append_failed())
}

/// What fails is named as 4.9.4 names it (B-135); while the log is busy it refuses before it looks at anything (B-150).
fn told(broker: &Broker, result: Result<Durability, AppendError>) -> Result<(), Refusal> {
    let status = match result {
        Ok(Durability::Reached) => return Ok(()),
        Ok(Durability::FlushTimeout) => "FLUSH_DISK_TIMEOUT",
        Ok(Durability::SlaveNotAvailable) => "SLAVE_NOT_AVAILABLE",
        Ok(Durability::SlaveTimeout) => "FLUSH_SLAVE_TIMEOUT",
        Err(AppendError::Illegal(_) | AppendError::TooLarge { .. }) => "MESSAGE_ILLEGAL",
        Err(AppendError::Failed(_)) => "CREATE_MAPEDFILE_FAILED",
        Err(AppendError::Busy(busy)) => return Err(flow_control::refusal(broker, busy)),
        Err(AppendError::DiskFull | AppendError::IsSlave | AppendError::Stopping) => {
            SERVICE_NOT_AVAILABLE
        }
    };
    Err(Refusal::new(response::SYSTEM_ERROR, status))
}

#[cfg(test)]
mod tests {
    use super::super::tests_support::{TestBroker, properties, readable};
    use super::*;
    use crate::model::{DelayLevels, GroupName, SubscriptionGroupConfig, TopicConfig};
    use crate::remoting::request;
    use crate::store::Busy;

    fn given_back(group: &str, offset: u64, level: i32) -> Command {
        Command::request(request::CONSUMER_SEND_MSG_BACK)
            .with_field("offset", offset)
            .with_field("group", group)
            .with_field("delayLevel", level)
            .with_field("originMsgId", "x")
            .with_field("originTopic", "T")
    }

    /// A broker with one message at offset 0, and a group with three deliveries.
    async fn with_message() -> TestBroker {
        with_message_at(TestBroker::new()).await
    }

    /// The same in a broker that is there.
    async fn with_message_at(broker: TestBroker) -> TestBroker {
        let sent = broker.send("T", &properties("TAGS=a UNIQ_KEY=U KEYS=k"), "body").await;
        assert_eq!(sent.code, 0);
        put_group(&broker, |group| group.retry_max_times = 3);
        broker
    }

    fn put_group(broker: &TestBroker, change: impl FnOnce(&mut SubscriptionGroupConfig)) {
        let mut group = SubscriptionGroupConfig::new(GroupName::new("G"));
        change(&mut group);
        broker.broker.store.tables().groups.put(group);
    }

    fn offset_of(record: &Bytes) -> u64 {
        Record::parse(record).unwrap().physical_offset().0
    }

    #[tokio::test]
    async fn a_message_waits_longer_each_time_and_ends_as_dead_letter_b132_b133() {
        let broker = with_message().await;
        let mut offset = 0;
        let first_id = "7F00000100002A9F0000000000000000";
        for times in 0..3 {
            let answer = broker.call(given_back("G", offset, 0)).await;
            assert_eq!((answer.code, answer.remark, answer.fields), (0, None, None));
            let level = 3 + times;
            let records = broker.records("SCHEDULE_TOPIC_XXXX", level - 1);
            assert_eq!(records.len(), 1, "level {level}");
            offset = offset_of(&records[0]);
            let record = Record::parse(&records[0]).unwrap();
            assert_eq!(
                readable(record.properties()),
                format!(
                    "REAL_TOPIC=%RETRY%G ORIGIN_MESSAGE_ID={first_id} RETRY_TOPIC=T KEYS=k UNIQ_KEY=U \
                     CLUSTER=DefaultCluster WAIT=false DELAY={level} TAGS=a REAL_QID=0"
                )
            );
            assert_eq!((record.body(), record.born_timestamp()), (&b"body"[..], 1_650_000_000_000));
            assert_eq!(record.reconsume_times(), i32::try_from(times).unwrap() + 1);
        }
        let topic = broker.broker.store.tables().topics.get("%RETRY%G").unwrap();
        assert_eq!((topic.write_queues, topic.permission), (1, Permission::READ_WRITE));
        assert_eq!(broker.call(given_back("G", offset, 0)).await.code, 0);
        let stored = broker.only_properties("%DLQ%G", 0);
        assert!(stored.contains("DELAY=0") && stored.contains("RETRY_TOPIC=T"), "{stored}");
    }

    #[tokio::test]
    async fn with_fewer_levels_it_waits_at_the_last_one_b132_b270() {
        let levels = DelayLevels::parse("1s 5s").unwrap();
        let broker = TestBroker::with(|options| options.delay_levels = levels);
        let broker = with_message_at(broker).await;
        assert_eq!(broker.call(given_back("G", 0, 0)).await.code, 0);
        let waits = broker.only_properties("SCHEDULE_TOPIC_XXXX", 1);
        assert!(waits.contains("DELAY=2") && waits.contains("REAL_TOPIC=%RETRY%G"), "{waits}");
    }

    #[tokio::test]
    async fn what_comes_back_is_no_new_message_for_the_broker_b370_b373() {
        let broker = with_message().await;
        assert_eq!(broker.call(given_back("G", 0, 0)).await.code, 0);
        let statistics = &broker.broker.statistics;
        statistics.sample_now();
        let all = broker.counted("BROKER_PUT_NUMS", "DefaultCluster", "statsMinute").await;
        let waiting = broker.counted("TOPIC_PUT_NUMS", "SCHEDULE_TOPIC_XXXX", "statsMinute").await;
        assert_eq!((all, waiting, statistics.totals().stored.messages), (1, 1, 2));
    }

    #[tokio::test]
    async fn what_comes_back_is_counted_by_topics_that_there_are_b372() {
        let broker = with_message().await;
        for (topic, came_from) in [("T", "U"), ("V", "T")] {
            broker.send(topic, &properties(&format!("RETRY_TOPIC={came_from}")), "x").await;
            let offset = offset_of(broker.records(topic, 0).last().unwrap());
            assert_eq!(broker.call(given_back("G", offset, 0)).await.code, 0);
        }
        let counted = broker.broker.statistics.saved().sent_back;
        let counted: Vec<_> = counted.iter().map(|(topic, ..)| topic.as_str()).collect();
        assert_eq!(counted, ["T"]);
    }

    #[tokio::test]
    async fn a_negative_level_or_the_clients_own_limit_makes_a_dead_letter_b132() {
        let broker = with_message().await;
        broker.call(given_back("G", 0, -1)).await;
        broker.call(given_back("G", 0, 5).with_field("maxReconsumeTimes", 0)).await;
        assert_eq!(broker.records("%DLQ%G", 0).len(), 2);
        let old_client = given_back("G", 0, 99).with_field("maxReconsumeTimes", 0);
        broker.call(Command { version: 120, ..old_client }).await;
        assert_eq!(broker.records("SCHEDULE_TOPIC_XXXX", 17).len(), 1, "level clamped");
    }

    #[tokio::test]
    async fn what_cannot_be_given_back_is_refused_b131() {
        let broker = with_message().await;
        let remark = "look message by offset failed, 7".to_owned();
        assert_eq!(broker.refused(given_back("G", 7, 0)).await, (1, remark));
        let missing = Command::request(36).with_field("offset", 0).with_field("group", "G");
        let (code, remark) = broker.refused(missing).await;
        assert_eq!((code, remark.contains("`delayLevel`")), (1, true), "{remark}");
        let read_only = TopicConfig {
            permission: Permission::READ,
            ..TopicConfig::new(TopicName::new("%RETRY%G"), 1)
        };
        broker.broker.store.tables().topics.put(read_only);
        let remark = "the topic[%RETRY%G] sending message is forbidden".to_owned();
        assert_eq!(broker.refused(given_back("G", 0, 0)).await, (16, remark));
        put_group(&broker, |group| group.retry_queue_nums = 0);
        assert_eq!(broker.refused(given_back("G", 0, 0)).await, (0, String::new()), "S-57");
        let name = "g".repeat(200);
        let remark = format!("topic[%RETRY%{name}] not exist");
        assert_eq!(broker.refused(given_back(&name, 0, 0)).await, (1, remark));
        let name = "g".repeat(256);
        let (code, remark) = broker.refused(given_back(&name, 0, 0)).await;
        let start = format!("subscription group not exist, {name} \nSee http");
        assert_eq!((code, remark.starts_with(&start)), (26, true), "{remark}");
        broker.broker.store.stop();
        put_group(&broker, |_| {});
        broker.broker.store.tables().topics.put(TopicConfig::new(TopicName::new("%RETRY%G"), 1));
        let remark = "SERVICE_NOT_AVAILABLE".to_owned();
        assert_eq!(broker.refused(given_back("G", 0, 0)).await, (1, remark), "B-135");
    }

    #[tokio::test]
    async fn a_broker_that_may_not_be_written_to_takes_nothing_back_b131() {
        let broker = with_message().await;
        let only_read = Command::request(request::UPDATE_BROKER_CONFIG);
        assert_eq!(broker.call(only_read.with_body("brokerPermission=4")).await.code, 0);
        let remark = "the broker[127.0.0.1] sending message is forbidden".to_owned();
        for retry_queues in [1, 0] {
            put_group(&broker, |group| group.retry_queue_nums = retry_queues);
            assert_eq!(broker.refused(given_back("G", 0, 0)).await, (16, remark.clone()));
        }
        assert!(broker.records("SCHEDULE_TOPIC_XXXX", 2).is_empty());
    }

    #[tokio::test]
    async fn while_the_log_is_busy_consumers_are_told_what_senders_are_b150() {
        let broker = TestBroker::new();
        let busy = Err(AppendError::Busy(Busy::Stalled { write_ms: 1200 }));
        let Refusal { code, remark } = told(&broker.broker, busy).unwrap_err();
        let begins = "[REJECTREQUEST]system busy, start flow control for a while";
        assert_eq!((code, remark.starts_with(begins)), (response::SYSTEM_BUSY, true), "{remark}");
    }
}
