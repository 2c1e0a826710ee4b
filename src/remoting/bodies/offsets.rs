//! Positions as a slave asks its master for them: of consumer groups (43) and of delay levels (45).
//!
//! Not the positions of one queue (14, 15), which are headers. Invariant: what cannot be a queue of ours is left out,
//! because 4.9.4 keeps positions for whatever a client names (B-241).

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::model::{GroupName, QueueId, TopicName};
use crate::remoting::DecodeError;
use crate::remoting::json::{self, Form, Value};

/// Between topic and group.
const SEPARATOR: char = '@';

/// How far groups are in the queues of topics.
pub type ConsumerOffsetTable = BTreeMap<(TopicName, GroupName), BTreeMap<QueueId, i64>>;

/// The answer to 43 (B-320, ST-102).
#[must_use]
pub fn consumer_offsets(table: &ConsumerOffsetTable) -> Bytes {
    let rows = table.iter().map(|((topic, group), queues)| {
        let offsets = queues.iter().map(|(queue_id, offset)| (queue_id.0, (*offset).into()));
        (format!("{topic}{SEPARATOR}{group}"), Value::map(offsets))
    });
    Value::object([("offsetTable", Value::map(rows))]).to_bytes(Form::Dialect)
}

/// Reads the answer to 43.
///
/// # Errors
/// It is no table, or a position is no number.
pub fn parse_consumer_offsets(body: &[u8]) -> Result<ConsumerOffsetTable, DecodeError> {
    let value = json::parse(body)?;
    value.expect_object("the table of positions")?;
    let mut table = ConsumerOffsetTable::new();
    for (key, queues) in value.get("offsetTable").entries() {
        let Some((topic, group)) = key.as_str().and_then(|key| key.split_once(SEPARATOR)) else {
            continue;
        };
        let mut offsets = BTreeMap::new();
        for (queue_id, offset) in queues.entries() {
            let offset = position(offset)?;
            if let Some(queue_id) = queue_id.as_i64().and_then(|id| u32::try_from(id).ok()) {
                offsets.insert(QueueId(queue_id), offset);
            }
        }
        table.insert((TopicName::new(topic), GroupName::new(group)), offsets);
    }
    Ok(table)
}

/// The answer to 45: positions by level (B-321, ST-103).
#[must_use]
pub fn delay_offsets(offsets: &BTreeMap<i32, i64>) -> Bytes {
    let offsets = offsets.iter().map(|(level, offset)| (*level, (*offset).into()));
    Value::object([("offsetTable", Value::map(offsets))]).to_bytes(Form::Dialect)
}

/// Reads the answer to 45.
///
/// # Errors
/// It is no table, or a level or position is no number.
pub fn parse_delay_offsets(body: &[u8]) -> Result<BTreeMap<i32, i64>, DecodeError> {
    let value = json::parse(body)?;
    value.expect_object("the table of delay positions")?;
    let rows = value.get("offsetTable").entries().iter().map(|(level, offset)| {
        let level = level.as_i64().and_then(|level| i32::try_from(level).ok());
        let level = level.ok_or_else(|| DecodeError("JSON: a delay level is none".to_owned()))?;
        Ok((level, position(offset)?))
    });
    rows.collect()
}

fn position(value: &Value<'_>) -> Result<i64, DecodeError> {
    value.as_i64().ok_or_else(|| DecodeError("JSON: a position is not a number".to_owned()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_text_panics(text in r#"[-{}:,"@a0-9 ]{0,60}"#, bytes: Vec<u8>) {
            for body in [text.as_bytes(), &bytes] {
                let _ = (parse_consumer_offsets(body), parse_delay_offsets(body));
            }
        }
    }

    #[test]
    fn positions_of_groups_are_written_as_4_9_4_does_and_read_again_b320() {
        let key = |topic: &str, group: &str| (TopicName::new(topic), GroupName::new(group));
        let table = ConsumerOffsetTable::from([
            (key("%RETRY%G", "G"), BTreeMap::from([(QueueId(0), 7)])),
            (key("T", "G"), BTreeMap::from([(QueueId(0), 12), (QueueId(3), -1)])),
        ]);
        let body = consumer_offsets(&table);
        assert_eq!(body, r#"{"offsetTable":{"%RETRY%G@G":{0:7},"T@G":{0:12,3:-1}}}"#);
        assert_eq!(parse_consumer_offsets(&body), Ok(table));
        assert_eq!(consumer_offsets(&ConsumerOffsetTable::new()), r#"{"offsetTable":{}}"#);
    }

    #[test]
    fn what_is_no_queue_is_left_out_and_what_is_no_position_refused() {
        let body = br#"{"dataVersion":{},"offsetTable":{"nothing":{0:1},"T@G@H":{-1:5,"2":"6"}}}"#;
        let table = parse_consumer_offsets(body).unwrap();
        let key = (TopicName::new("T"), GroupName::new("G@H"));
        assert_eq!(table, ConsumerOffsetTable::from([(key, BTreeMap::from([(QueueId(2), 6)]))]));
        assert_eq!(parse_consumer_offsets(b"{}"), Ok(ConsumerOffsetTable::new()));
        for bad in ["", "[]", r#"{"offsetTable":{"T@G":{0:"x"}}}"#] {
            assert!(parse_consumer_offsets(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn positions_of_delay_levels_are_written_as_4_9_4_does_and_read_again_b321() {
        let offsets = BTreeMap::from([(3, 1), (18, 9)]);
        let body = delay_offsets(&offsets);
        assert_eq!(body, r#"{"offsetTable":{3:1,18:9}}"#);
        assert_eq!(parse_delay_offsets(&body), Ok(offsets));
        assert_eq!(parse_delay_offsets(b"{\n\t\"offsetTable\":{}\n}"), Ok(BTreeMap::new()));
        for bad in ["", "7", r#"{"offsetTable":{x:1}}"#, r#"{"offsetTable":{1:true}}"#] {
            assert!(parse_delay_offsets(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
