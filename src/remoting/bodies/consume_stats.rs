//! How far groups are: the answers to 208, 303, 308 and 317 (B-319, B-327, B-334, B-337), and the groups of a topic
//! (300, B-325).
//!
//! Not where the numbers come from. Invariant: written as 4.9.4 writes them, byte for byte but for the order of queues
//! and groups, which is a hash's there.

use bytes::Bytes;

use super::queues::{parse_queue, queue_value};
use crate::model::{GroupName, MessageQueue, QueueId, human_time};
use crate::remoting::DecodeError;
use crate::remoting::json::{self, Form, Value};

/// How far a group is in a topic, or in all its topics.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ConsumeStats {
    /// Messages it got per second in the last minute.
    pub tps: f64,
    /// Each queue.
    pub queues: Vec<QueueProgress>,
}

/// How far a group is in a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueProgress {
    /// Which queue.
    pub queue: MessageQueue,
    /// Offset of the queue's next message.
    pub broker_offset: i64,
    /// Offset of the group's next message.
    pub consumer_offset: i64,
    /// Store time of the group's last message in milliseconds since 1970; 0 if it is not known.
    pub last_timestamp: i64,
}

impl ConsumeStats {
    /// Messages that the group has not got yet.
    #[must_use]
    pub fn behind(&self) -> i64 {
        let behind = |one: &QueueProgress| one.broker_offset.saturating_sub(one.consumer_offset);
        self.queues.iter().map(behind).fold(0, i64::saturating_add)
    }

    fn to_value(&self) -> Value<'_> {
        let row = |one: &'_ QueueProgress| {
            Value::object([
                ("brokerOffset", one.broker_offset.into()),
                ("consumerOffset", one.consumer_offset.into()),
                ("lastTimestamp", one.last_timestamp.into()),
            ])
        };
        let table = self.queues.iter().map(|one| (queue_value(&one.queue), row(one))).collect();
        Value::object([
            ("consumeTps", Value::double(self.tps)),
            ("offsetTable", Value::Object(table)),
        ])
    }

    /// The answer to 208.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        self.to_value().to_bytes(Form::Dialect)
    }

    /// Reads the answer to 208.
    ///
    /// # Errors
    /// It is none.
    pub fn parse(body: &[u8]) -> Result<Self, DecodeError> {
        let value = json::parse(body)?;
        value.expect_object("a group's progress")?;
        Self::read(&value)
    }

    fn read(value: &Value<'_>) -> Result<Self, DecodeError> {
        let row = |(queue, row): &(Value<'_>, Value<'_>)| {
            Ok(QueueProgress {
                queue: parse_queue(queue)?,
                broker_offset: row.number_or("brokerOffset", 0)?,
                consumer_offset: row.number_or("consumerOffset", 0)?,
                last_timestamp: row.number_or("lastTimestamp", 0)?,
            })
        };
        let queues =
            value.get("offsetTable").entries().iter().map(row).collect::<Result<_, _>>()?;
        Ok(Self { tps: value.get("consumeTps").as_f64().unwrap_or(0.0), queues })
    }
}

/// The answer to 317, read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BrokerConsumeStats {
    /// Each group with its topics.
    pub groups: Vec<(String, Vec<ConsumeStats>)>,
    /// Messages that all of them together have not got yet.
    pub total_behind: i64,
}

/// Reads the answer to 317.
///
/// # Errors
/// It is none.
pub fn parse_broker_consume_stats(body: &[u8]) -> Result<BrokerConsumeStats, DecodeError> {
    let value = json::parse(body)?;
    value.expect_object("the groups' progress")?;
    let mut groups = Vec::new();
    for (group, topics) in value.get("consumeStatsList").items().iter().flat_map(Value::entries) {
        let topics = topics.items().iter().map(ConsumeStats::read).collect::<Result<_, _>>()?;
        groups.push((group.as_str().unwrap_or_default().to_owned(), topics));
    }
    Ok(BrokerConsumeStats { groups, total_behind: value.number_or("totalDiff", 0)? })
}

/// Reads the answer to 300.
///
/// # Errors
/// It is none.
pub fn parse_group_list(body: &[u8]) -> Result<Vec<String>, DecodeError> {
    let value = json::parse(body)?;
    value.expect_object("the list of groups")?;
    Ok(value.texts("groupList"))
}

/// The answer to 317: each group of the broker at `address` with its topics.
#[must_use]
pub fn broker_consume_stats(address: &str, groups: &[(GroupName, Vec<ConsumeStats>)]) -> Bytes {
    let behind = groups.iter().flat_map(|(_, topics)| topics).map(ConsumeStats::behind);
    let total_diff = behind.fold(0, i64::saturating_add);
    let list = groups.iter().map(|(group, topics)| {
        let topics = Value::array(topics.iter().map(ConsumeStats::to_value));
        Value::map([(group.as_str(), topics)])
    });
    let body = Value::object([
        ("brokerAddr", address.into()),
        ("consumeStatsList", Value::array(list)),
        ("totalDiff", total_diff.into()),
    ]);
    body.to_bytes(Form::Dialect)
}

/// Between which times the messages of a queue lie, and where a group is (303); each in milliseconds since 1970, -1
/// where there is no message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimeSpan {
    /// Which queue.
    pub queue: MessageQueue,
    /// Store time of the first message.
    pub min: i64,
    /// Store time of the last message.
    pub max: i64,
    /// Store time of the group's last message.
    pub consumed: i64,
    /// How old the group's next message is, in milliseconds.
    pub delay_ms: i64,
}

/// The answer to 303.
#[must_use]
pub fn time_spans(spans: &[TimeSpan]) -> Bytes {
    let spans = spans.iter().map(|one| {
        Value::object([
            ("consumeTimeStamp", one.consumed.into()),
            ("consumeTimeStampStr", human_time(one.consumed).into()),
            ("delayTime", one.delay_ms.into()),
            ("maxTimeStamp", one.max.into()),
            ("maxTimeStampStr", human_time(one.max).into()),
            ("messageQueue", queue_value(&one.queue)),
            ("minTimeStamp", one.min.into()),
            ("minTimeStampStr", human_time(one.min).into()),
        ])
    });
    Value::object([("consumeTimeSpanSet", Value::array(spans))]).to_bytes(Form::Dialect)
}

/// The answer to 300.
#[must_use]
pub fn group_list<'a>(groups: impl IntoIterator<Item = &'a GroupName>) -> Bytes {
    let groups = Value::array(groups.into_iter().map(GroupName::as_str));
    Value::object([("groupList", groups)]).to_bytes(Form::Dialect)
}

/// The answer to 308.
#[must_use]
pub fn correction_offsets(offsets: impl IntoIterator<Item = (QueueId, i64)>) -> Bytes {
    let offsets = offsets.into_iter().map(|(queue, offset)| (queue.to_wire(), offset.into()));
    Value::object([("correctionOffsets", Value::map(offsets))]).to_bytes(Form::Dialect)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue() -> MessageQueue {
        MessageQueue { topic: "T".into(), broker_name: "b".into(), queue_id: 1 }
    }

    fn stats() -> ConsumeStats {
        let one = QueueProgress {
            queue: queue(),
            broker_offset: 5,
            consumer_offset: 2,
            last_timestamp: 7,
        };
        ConsumeStats { tps: 0.5, queues: vec![one] }
    }

    #[test]
    fn progress_is_494s_byte_for_byte_b319_b337() {
        let row = r#"{"consumeTps":0.5,"offsetTable":{{"brokerName":"b","queueId":1,"topic":"T"}:{"brokerOffset":5,"consumerOffset":2,"lastTimestamp":7}}}"#;
        assert_eq!(stats().to_bytes(), row.as_bytes());
        assert_eq!(ConsumeStats::parse(row.as_bytes()), Ok(stats()));
        let groups = [(GroupName::new("G"), vec![stats()]), (GroupName::new("H"), Vec::new())];
        let body = format!(
            r#"{{"brokerAddr":"127.0.0.1:1","consumeStatsList":[{{"G":[{row}]}},{{"H":[]}}],"totalDiff":3}}"#
        );
        assert_eq!(broker_consume_stats("127.0.0.1:1", &groups), body.as_bytes());
        let read = BrokerConsumeStats {
            groups: vec![("G".to_owned(), vec![stats()]), ("H".to_owned(), Vec::new())],
            total_behind: 3,
        };
        assert_eq!(parse_broker_consume_stats(body.as_bytes()), Ok(read));
    }

    #[test]
    fn spans_groups_and_corrections_are_494s_byte_for_byte_b325_b327_b334() {
        let span = TimeSpan { queue: queue(), min: -1, max: 1500, consumed: 0, delay_ms: 4 };
        let body = r#"{"consumeTimeSpanSet":[{"consumeTimeStamp":0,"consumeTimeStampStr":"1970-01-01#00:00:00:000","delayTime":4,"maxTimeStamp":1500,"maxTimeStampStr":"1970-01-01#00:00:01:500","messageQueue":{"brokerName":"b","queueId":1,"topic":"T"},"minTimeStamp":-1,"minTimeStampStr":"1969-12-31#23:59:59:999"}]}"#;
        assert_eq!(time_spans(&[span]), body.as_bytes());
        assert_eq!(group_list(&[GroupName::new("G")]), br#"{"groupList":["G"]}"#[..]);
        assert_eq!(parse_group_list(br#"{"groupList":["G"]}"#), Ok(vec!["G".to_owned()]));
        assert_eq!(correction_offsets([(QueueId(0), 3)]), br#"{"correctionOffsets":{0:3}}"#[..]);
    }
}
