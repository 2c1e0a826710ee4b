//! How full a topic's queues are (202, B-315).
//!
//! Not how far groups are. Invariant: an answer has at most [`QUEUES_MAX`] queues, because nothing bounds
//! those of a topic (B-300).

use std::sync::Arc;

use super::answers::{Answer, Refusal};
use super::{Broker, light};
use crate::model::{MessageQueue, QueueId, QueueOffset};
use crate::remoting::bodies::topic_stats::{TopicOffset, topic_stats};
use crate::remoting::{Command, response};
use crate::transport::Connection;

/// Queues in one answer, at most.
const QUEUES_MAX: u32 = 65_536;

/// The offsets of all write queues (S-47). Blocks.
pub(super) fn answer(broker: &Arc<Broker>, request: &Command, _: &Connection) -> Answer {
    let topic = request.required_str("topic")?;
    let Some(config) = light::topic(broker, topic) else {
        let remark = format!("topic[{topic}] not exist");
        return Err(Refusal::new(response::TOPIC_NOT_EXIST, remark));
    };
    if config.write_queues > QUEUES_MAX {
        let remark =
            format!("topic[{topic}] has {} queues, of which none are told", config.write_queues);
        return Err(Refusal::new(response::SYSTEM_ERROR, remark));
    }
    let offsets: Result<Vec<_>, Refusal> =
        (0..config.write_queues).map(|id| offset(broker, topic, QueueId(id))).collect();
    Ok(Command::response(response::SUCCESS).with_body(topic_stats(&offsets?)))
}

fn offset(broker: &Broker, topic: &str, queue: QueueId) -> Result<TopicOffset, Refusal> {
    let (min, max) = broker.store.queue_range(topic, queue, true)?;
    let last = match max.0.checked_sub(1) {
        // What retention has deleted has no time.
        Some(last) => broker.store.store_time_of(topic, queue, QueueOffset(last))?.unwrap_or(-1),
        None => 0,
    };
    Ok(TopicOffset {
        queue: MessageQueue {
            topic: topic.to_owned(),
            broker_name: broker.options.group.clone(),
            queue_id: queue.to_wire(),
        },
        min_offset: min.to_wire(),
        max_offset: max.to_wire(),
        last_update_timestamp: last,
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests_support::TestBroker;
    use super::*;
    use crate::model::{TopicConfig, TopicName};
    use crate::remoting::bodies::topic_stats::parse_topic_stats;
    use crate::remoting::request;

    fn asked(topic: &str) -> Command {
        Command::request(request::GET_TOPIC_STATS_INFO).with_field("topic", topic)
    }

    #[tokio::test]
    async fn every_write_queue_is_told_b315() {
        let broker = TestBroker::new();
        let config = TopicConfig { read_queues: 5, ..TopicConfig::new(TopicName::new("T"), 2) };
        broker.broker.store.tables().topics.put(config);
        broker.send("T", "", "x").await;
        broker.send("T", "", "y").await;
        let answer = broker.call(asked("T")).await;
        let offsets = parse_topic_stats(&answer.body).unwrap();
        let told: Vec<_> = offsets
            .iter()
            .map(|one| (one.queue.queue_id, one.min_offset, one.max_offset))
            .collect();
        assert_eq!(told, [(0, 0, 2), (1, 0, 0)]);
        let stored =
            broker.broker.store.store_time_of("T", QueueId(0), QueueOffset(1)).unwrap().unwrap();
        assert_eq!(offsets[0].last_update_timestamp, stored);
        assert_eq!(
            (offsets[1].last_update_timestamp, offsets[1].queue.broker_name.as_str()),
            (0, "broker-a")
        );
    }

    #[tokio::test]
    async fn unknown_and_boundless_topics_are_refused() {
        let broker = TestBroker::new();
        assert_eq!(broker.refused(asked("T")).await, (17, "topic[T] not exist".to_owned()));
        broker.broker.store.tables().topics.put(TopicConfig::new(TopicName::new("T"), u32::MAX));
        assert_eq!(broker.refused(asked("T")).await.0, 1);
    }
}
