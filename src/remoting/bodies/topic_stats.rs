//! How full a topic's queues are: the answer to 202 (B-315).
//!
//! Not which queues there are. Invariant: read back, it is what was written.

use bytes::Bytes;

use super::queues::{parse_queue, queue_value};
use crate::model::MessageQueue;
use crate::remoting::DecodeError;
use crate::remoting::json::{self, Form, Value};

/// One queue's offsets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicOffset {
    /// Which queue.
    pub queue: MessageQueue,
    /// Offset of its first message.
    pub min_offset: i64,
    /// Offset of its next message.
    pub max_offset: i64,
    /// Store time of its last message in milliseconds since 1970; 0 if it has none.
    pub last_update_timestamp: i64,
}

/// Writes the body.
#[must_use]
pub fn topic_stats(offsets: &[TopicOffset]) -> Bytes {
    let table = offsets.iter().map(|one| {
        let offset = Value::object([
            ("lastUpdateTimestamp", Value::from(one.last_update_timestamp)),
            ("maxOffset", one.max_offset.into()),
            ("minOffset", one.min_offset.into()),
        ]);
        (queue_value(&one.queue), offset)
    });
    let table = Value::Object(table.collect());
    Value::object([("offsetTable", table)]).to_bytes(Form::Dialect)
}

/// Reads the body.
///
/// # Errors
/// It is no such table.
pub fn parse_topic_stats(body: &[u8]) -> Result<Vec<TopicOffset>, DecodeError> {
    let value = json::parse(body)?;
    value.expect_object("the topic's offsets")?;
    let entry = |(queue, offset): &(Value<'_>, Value<'_>)| {
        Ok(TopicOffset {
            queue: parse_queue(queue)?,
            min_offset: offset.number_or("minOffset", 0)?,
            max_offset: offset.number_or("maxOffset", 0)?,
            last_update_timestamp: offset.number_or("lastUpdateTimestamp", 0)?,
        })
    };
    value.get("offsetTable").entries().iter().map(entry).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_queues_as_keys_r102() {
        let text = br#"{"offsetTable":{{"brokerName":"b","queueId":1,"topic":"T"}:{"lastUpdateTimestamp":7,"maxOffset":5,"minOffset":2}}}"#;
        let queue = MessageQueue { topic: "T".into(), broker_name: "b".into(), queue_id: 1 };
        let offset = TopicOffset { queue, min_offset: 2, max_offset: 5, last_update_timestamp: 7 };
        assert_eq!(topic_stats(std::slice::from_ref(&offset)), text[..]);
        assert_eq!(parse_topic_stats(text).unwrap(), [offset]);
        assert_eq!(topic_stats(&[]), br#"{"offsetTable":{}}"#[..]);
        assert!(parse_topic_stats(b"[]").is_err());
    }
}
