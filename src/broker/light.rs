//! Light queues (LMQ, ST-110) as clients see them: sends that name some, pulls of them, groups that read them.
//!
//! Not how they are filed (`store::light`). Invariants: a light queue's topic and a light group are in no table, whatever
//! is asked of them; with light queues off there is nothing special about either name.

use std::collections::HashSet;
use std::sync::Arc;

use super::Broker;
use super::answers::Refusal;
use super::java_properties::JavaProperties;
use crate::message::properties;
use crate::metrics::Limit;
use crate::model::{GroupName, QueueId, SubscriptionGroupConfig, TopicConfig, TopicName};
use crate::remoting::response;
use crate::store::light;

/// Whether that is a light queue's topic, or a light group.
pub(super) fn is_light(broker: &Broker, name: &str) -> bool {
    broker.store.options().light_queues && light::is_light(name)
}

/// A topic's configuration; a light queue's is not in the table, and always the same.
pub(super) fn topic(broker: &Broker, name: &str) -> Option<Arc<TopicConfig>> {
    if is_light(broker, name) {
        return Some(Arc::new(TopicConfig::new(TopicName::new(name), 1)));
    }
    broker.store.tables().topics.get(name)
}

/// The configuration of a light group, if it is one.
pub(super) fn group(broker: &Broker, name: &str) -> Option<Arc<SubscriptionGroupConfig>> {
    let config = || Arc::new(SubscriptionGroupConfig::new(GroupName::new(name)));
    is_light(broker, name).then(config)
}

/// The queue that a position is kept for: a light group has one a topic, whatever queue it says.
pub(super) fn position_queue(broker: &Broker, group: &str, queue_id: QueueId) -> QueueId {
    if is_light(broker, group) { QueueId(0) } else { queue_id }
}

/// Refuses a message to a topic that names what is no light queue, or makes more new ones than there is room for.
pub(super) fn check(
    broker: &Broker,
    topic: &str,
    fields: &JavaProperties<'_>,
) -> Result<(), Refusal> {
    if !broker.store.options().light_queues {
        return Ok(());
    }
    let Some(value) = fields.get(properties::LIGHT_QUEUES) else { return Ok(()) };
    let mut names = light::names(value)
        .map_err(|error| Refusal::new(response::MESSAGE_ILLEGAL, error.to_string()))?;
    names.extend(light::is_light(topic).then_some(topic));
    refuse_beyond_limit(broker, &names)
}

/// Refuses a message to a light queue's own topic, if that is a new one and there is no room for it.
pub(super) fn check_topic(broker: &Broker, topic: &str) -> Result<(), Refusal> {
    if is_light(broker, topic) { refuse_beyond_limit(broker, &[topic]) } else { Ok(()) }
}

fn refuse_beyond_limit(broker: &Broker, names: &[&str]) -> Result<(), Refusal> {
    let is_new = |name: &&&str| !broker.store.has_queue(name, QueueId(0));
    let new: HashSet<&&str> = names.iter().filter(is_new).collect();
    let max = broker.limits().numbers().light_queues_max;
    if new.is_empty() || broker.store.light_queues() + new.len() <= max {
        return Ok(());
    }
    // 4.9.4 has this answer and never gives it: it gives out nothing of any light queue from then on.
    let remark = format!(
        "[LMQ_CONSUME_QUEUE_NUM_EXCEEDED]broker config enableLmq and enableMultiDispatch, lmq consumeQueue num exceed \
         maxLmqConsumeQueueNum config num, here {max}."
    );
    broker.limits().reached(Limit::LightQueues);
    Err(Refusal::new(response::SYSTEM_ERROR, remark))
}

/// Refuses a batch in whose properties, or in those of one of its messages, light queues are named: 4.9.4 stores it, and
/// files it in none.
pub(super) fn refuse_in_batch(broker: &Broker, text: &str) -> Result<(), Refusal> {
    let is_asked = broker.store.options().light_queues
        && text.contains(properties::LIGHT_QUEUES)
        && properties::find(text, properties::LIGHT_QUEUES).is_some();
    if is_asked {
        let remark = "messages of a batch go to no light queues: send those with INNER_MULTI_DISPATCH one by one";
        return Err(Refusal::new(response::MESSAGE_ILLEGAL, remark));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::tests_support::{TestBroker, header, limit, times_reached};
    use crate::metrics::Limit;
    use crate::remoting::headers::{PullHeader, SendHeader, pull_flag};
    use crate::remoting::{Command, request};

    fn broker(max: usize) -> TestBroker {
        let broker = TestBroker::with(|options| options.light_queues = true);
        limit(&broker.broker, |limits| limits.light_queues_max = max);
        broker
    }

    fn pull<'a>(topic: &'a str, group: &'a str, offset: i64) -> PullHeader<'a> {
        PullHeader {
            consumer_group: group,
            topic,
            queue_offset: offset,
            max_msg_nums: 32,
            sys_flag: pull_flag::SUBSCRIPTION,
            subscription: Some("*"),
            ..PullHeader::default()
        }
    }

    async fn max_offset(broker: &TestBroker, topic: &str) -> i64 {
        let request = Command::request(request::GET_MAX_OFFSET).with_field("topic", topic);
        broker.call(request.with_field("queueId", 0)).await.required_i64("offset").unwrap()
    }

    #[tokio::test]
    async fn a_light_queue_is_pulled_and_in_no_table_st110() {
        let broker = broker(9);
        let sent = broker.send("T", "INNER_MULTI_DISPATCH\u{1}%LMQ%a,%LMQ%b", "x").await;
        assert_eq!((sent.code, sent.field("queueOffset")), (0, Some("0")));
        assert_eq!(max_offset(&broker, "%LMQ%b").await, 1);
        let answer = broker.call(pull("%LMQ%a", "%LMQ%g", 0).to_request()).await;
        assert_eq!((answer.code, answer.field("nextBeginOffset")), (0, Some("1")));
        assert!(!answer.body.is_empty());
        // As with 4.9.4, one that nobody sent to is empty, and not unknown.
        assert_eq!(broker.call(pull("%LMQ%none", "%LMQ%g", 0).to_request()).await.code, 19);
        let mut wrong = pull("%LMQ%a", "%LMQ%g", 0);
        wrong.queue_id = 1;
        assert_eq!(broker.call(wrong.to_request()).await.code, 1);
        let position = |code, queue: i32| {
            let request = Command::request(code).with_field("consumerGroup", "%LMQ%g");
            request.with_field("topic", "%LMQ%a").with_field("queueId", queue)
        };
        let commit = position(request::UPDATE_CONSUMER_OFFSET, 3).with_field("commitOffset", 1);
        assert_eq!(broker.call(commit).await.code, 0);
        let asked = broker.call(position(request::QUERY_CONSUMER_OFFSET, 0)).await;
        assert_eq!(asked.field("offset"), Some("1"), "a light group has one position a topic");
        let tables = broker.broker.store.tables();
        assert!(tables.groups.get("%LMQ%g").is_none() && tables.topics.get("%LMQ%a").is_none());
    }

    #[tokio::test]
    async fn names_that_are_none_and_batches_and_too_many_are_refused() {
        let broker = broker(2);
        for bad in ["T", "%LMQ%a,T"] {
            let sent = broker.send("T", &format!("INNER_MULTI_DISPATCH\u{1}{bad}"), "x").await;
            assert_eq!(sent.code, 13, "{bad}: {:?}", sent.remark);
        }
        let properties = "INNER_MULTI_DISPATCH\u{1}%LMQ%a";
        let mut batch = header();
        (batch.topic, batch.properties, batch.batch) = ("T", properties, true);
        let body = [0, 0, 0, 23, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, b'x', 0, 0];
        let request = batch.to_request(request::SEND_BATCH_MESSAGE).with_body(body.to_vec());
        let refused = broker.refused(request).await;
        assert_eq!(refused.0, 13);
        assert!(refused.1.contains("no light queues"), "{}", refused.1);
        for (queues, code) in [("%LMQ%a,%LMQ%b", 0), ("%LMQ%b", 0), ("%LMQ%b,%LMQ%c", 1)] {
            let sent = broker.send("T", &format!("INNER_MULTI_DISPATCH\u{1}{queues}"), "x").await;
            assert_eq!(sent.code, code, "{queues}: {:?}", sent.remark);
        }
        assert_eq!(max_offset(&broker, "%LMQ%b").await, 2);
        assert_eq!(times_reached(&broker.broker, Limit::LightQueues), 1);
    }

    #[tokio::test]
    async fn whoever_sends_to_light_queues_themselves_makes_no_more_than_there_may_be() {
        let broker = broker(2);
        for (topic, code) in [("%LMQ%a", 0), ("%LMQ%b", 0), ("%LMQ%c", 1), ("%LMQ%b", 0)] {
            assert_eq!(broker.send(topic, "", "x").await.code, code, "{topic}");
        }
        assert_eq!(broker.broker.store.light_queues(), 2);
    }

    #[tokio::test]
    async fn replies_make_no_more_light_queues_than_there_may_be() {
        let broker = broker(2);
        let properties = "INNER_MULTI_DISPATCH\u{1}%LMQ%a,%LMQ%b,%LMQ%c";
        let reply = SendHeader { properties, ..header() };
        let (code, remark) = broker.refused(reply.to_request(request::SEND_REPLY_MESSAGE_V2)).await;
        assert_eq!((code, remark.contains("lmq consumeQueue num exceed")), (1, true), "{remark}");
        assert_eq!(broker.broker.store.light_queues(), 0);
    }

    #[tokio::test]
    async fn light_queues_leave_room_for_topics() {
        let broker = broker(999);
        broker.send("T", "", "x").await;
        let topics = broker.broker.store.tables().topics.count() + 1;
        limit(&broker.broker, |limits| limits.topics_max = topics);
        let names: Vec<_> = (0..=10 * topics).map(|number| format!("%LMQ%{number}")).collect();
        let text = format!("INNER_MULTI_DISPATCH\u{1}{}", names.join(","));
        assert_eq!(broker.send("T", &text, "x").await.code, 0);
        assert_eq!(broker.broker.store.light_queues(), names.len());
        assert_eq!(broker.send("U", "", "x").await.code, 0);
    }

    #[tokio::test]
    async fn with_light_queues_off_the_names_mean_nothing() {
        let broker = TestBroker::new();
        let sent = broker.send("T", "INNER_MULTI_DISPATCH\u{1}%LMQ%a,T2", "x").await;
        assert_eq!((sent.code, max_offset(&broker, "%LMQ%a").await), (0, 0));
        assert_eq!(broker.call(pull("%LMQ%a", "G", 0).to_request()).await.code, 17);
        assert_eq!(broker.send("%LMQ%a", "", "x").await.code, 0, "an ordinary topic");
        assert!(broker.broker.store.tables().topics.get("%LMQ%a").is_some());
    }

    #[tokio::test]
    async fn a_pull_of_a_light_queue_waits_for_its_message() {
        let broker = broker(9);
        broker.start();
        let mut waiting = pull("%LMQ%a", "%LMQ%g", 0);
        waiting.sys_flag |= pull_flag::SUSPEND;
        waiting.suspend_timeout_ms = 60_000;
        let (answer, sent) = tokio::join!(broker.call(waiting.to_request()), async {
            while broker.broker.long_polling.count() == 0 {
                tokio::task::yield_now().await;
            }
            broker.send("T", "INNER_MULTI_DISPATCH\u{1}%LMQ%a", "x").await
        });
        assert_eq!((answer.code, sent.code), (0, 0));
    }
}
