//! Messages by key (12) and by their place in the log (33).
//!
//! Not the index (`store`). Invariants: both wait for the disk, on a thread that may; answers with messages have a
//! JSON header whatever the request had; messages found by key may be of other keys, as only hashes are
//! compared (B-212), but a message found by its place is a whole record (repairs B-214).

use std::sync::Arc;

use bytes::Bytes;

use super::Broker;
use super::answers::{Answer, Refusal, blocking_then, send_answer};
use crate::model::PhysicalOffset;
use crate::remoting::{Command, response};
use crate::store::ReadError;
use crate::transport::{Connection, Responder};

/// Messages that one answer has at most (`maxMsgsNumBatch`).
const COUNT_MAX: usize = 64;
/// Messages that a look-up by unique key asks for (`defaultQueryMaxNum`).
const UNIQUE_COUNT: i32 = 32;

/// Answers a query by key (B-210 to B-213).
pub(super) fn by_key(broker: &Arc<Broker>, request: Command, responder: Responder) {
    blocking_then(broker, request, responder, find_by_key, send_found);
}

/// Answers a look-up of a record by its physical offset (B-214).
pub(super) fn by_offset(broker: &Arc<Broker>, request: Command, responder: Responder) {
    blocking_then(broker, request, responder, find_by_offset, send_found);
}

fn send_found(responder: Responder, answer: Answer) {
    match answer {
        Ok(found) if found.code == response::SUCCESS => responder.send_json(found),
        other => send_answer(responder, other),
    }
}

fn find_by_key(broker: &Arc<Broker>, request: &Command, _: &Connection) -> Answer {
    let topic = request.required_str("topic")?;
    let key = request.required_str("key")?;
    let mut count = request.required_i32("maxNum")?;
    let times = request.required_i64("beginTimestamp")?..=request.required_i64("endTimestamp")?;
    if request.field("_UNIQUE_KEY_QUERY") == Some("true") {
        count = UNIQUE_COUNT;
    }
    let count_max = usize::try_from(count).unwrap_or(0).min(COUNT_MAX);
    let queried = broker.store.query(topic, key, count_max, times)?;
    let body = Bytes::from(queried.records.concat());
    // 4.9.4 leaves both at 0 when it finds nothing.
    let last = queried.index_last.filter(|_| !body.is_empty());
    let (offset, time) = last.unwrap_or_default();
    let (code, remark) = if body.is_empty() {
        let remark = "can not find message, maybe time range not correct";
        (response::QUERY_NOT_FOUND, Some(remark.to_owned()))
    } else {
        (response::SUCCESS, None)
    };
    Ok(Command { remark, ..Command::response(code) }
        .with_field("indexLastUpdatePhyoffset", offset.to_wire())
        .with_field("indexLastUpdateTimestamp", time)
        .with_body(body))
}

fn find_by_offset(broker: &Arc<Broker>, request: &Command, _: &Connection) -> Answer {
    found_at(request, |at| broker.store.record_at(at))
}

/// The record at the offset that a request names, if `look_up` is what finds it.
pub(super) fn found_at(
    request: &Command,
    look_up: impl Fn(PhysicalOffset) -> Result<Option<Bytes>, ReadError>,
) -> Answer {
    let offset = request.required_i64("offset")?;
    let record = PhysicalOffset::from_wire(offset).map(look_up).transpose()?.flatten();
    let record = record.ok_or_else(|| {
        let remark = format!("can not find message by the offset, {offset}");
        Refusal::new(response::SYSTEM_ERROR, remark)
    })?;
    Ok(Command::response(response::SUCCESS).with_body(record))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::pull::tests::World;
    use crate::broker::tests_support::{TestBroker, properties};
    use crate::message::Record;
    use crate::remoting::{SerializeType, request};

    fn by_key(key: &str, max: i32, begin: i64, end: i64) -> Command {
        let request = Command::request(request::QUERY_MESSAGE).with_field("topic", "T");
        let request = request.with_field("key", key).with_field("maxNum", max);
        let request = request.with_field("beginTimestamp", begin).with_field("endTimestamp", end);
        Command { serialize_type: SerializeType::RocketMq, ..request }
    }

    fn count(mut body: &[u8]) -> usize {
        let mut count = 0;
        while !body.is_empty() {
            body = &body[Record::parse(body).unwrap().bytes().len()..];
            count += 1;
        }
        count
    }

    #[tokio::test]
    async fn messages_are_found_by_key_b210_b211() {
        let world = World::new();
        let first = world.store("a", "k1 k2").await;
        for _ in 0..2 {
            world.store("a", "k1").await;
        }
        let answer = world.call(by_key("k2", 1, 0, i64::MAX)).await;
        assert_eq!((answer.code, &answer.remark), (0, &None));
        assert_eq!(answer.serialize_type, SerializeType::Json, "R-048");
        assert_eq!(world.broker.store.record_at(first.physical_offset), Ok(Some(answer.body)));
        for (max, found) in [(1, 1), (2, 2), (1_000, 3)] {
            let answer = world.call(by_key("k1", max, 0, i64::MAX)).await;
            assert_eq!((answer.code, count(&answer.body)), (0, found));
        }
        let unique = by_key("k1", 1, 0, i64::MAX).with_field("_UNIQUE_KEY_QUERY", "true");
        let answer = world.call(unique).await;
        assert_eq!(count(&answer.body), 3, "maxNum does not count then");
        let newest = answer.required_i64("indexLastUpdatePhyoffset").unwrap();
        assert!(newest > first.physical_offset.to_wire());
        let time = answer.required_i64("indexLastUpdateTimestamp").unwrap();
        assert!(time >= first.store_timestamp);
    }

    #[tokio::test]
    async fn nothing_found_is_22_with_both_fields_b211() {
        let world = World::new();
        world.store("a", "k1").await;
        let cases = [("none", 1, 0, i64::MAX), ("k1", 1, 0, 1), ("k1", -1, 0, i64::MAX)];
        for (key, max, begin, end) in cases {
            let answer = world.call(by_key(key, max, begin, end)).await;
            let remark = "can not find message, maybe time range not correct";
            assert_eq!((answer.code, answer.remark.as_deref()), (22, Some(remark)), "{key}");
            assert_eq!(answer.serialize_type, SerializeType::RocketMq);
            assert_eq!(answer.field("indexLastUpdatePhyoffset"), Some("0"));
            assert_eq!(answer.field("indexLastUpdateTimestamp"), Some("0"));
        }
    }

    #[tokio::test]
    async fn what_the_disk_does_not_give_now_is_not_taken_for_not_found() {
        let broker = TestBroker::new();
        broker.store_with("T", "body", &properties("KEYS=k1")).await;
        let at_time = |code| {
            let request = Command::request(code).with_field("topic", "T");
            request.with_field("queueId", 0).with_field("timestamp", 1)
        };
        let asked = [
            by_key("k1", 1, 0, i64::MAX),
            at_time(request::SEARCH_OFFSET_BY_TIMESTAMP),
            at_time(request::GET_EARLIEST_MSG_STORETIME),
        ];
        let log = broker.lose_first_segment();
        let unavailable = (1, ReadError::Unavailable.to_string());
        for request in asked.clone() {
            assert_eq!(broker.refused(request.clone()).await, unavailable, "{}", request.code);
        }
        std::fs::write(broker.first_segment(), log).unwrap();
        for request in asked {
            assert_eq!(broker.call(request).await.code, 0);
        }
    }

    #[tokio::test]
    async fn a_message_is_found_by_its_place_and_only_whole_b214() {
        let world = World::new();
        let stored = world.store("a", "k").await;
        let view = |offset: i64| {
            let request = Command::request(request::VIEW_MESSAGE_BY_ID);
            let request = request.with_field("offset", offset);
            world.call(Command { serialize_type: SerializeType::RocketMq, ..request })
        };
        let at = stored.physical_offset.to_wire();
        let answer = view(at).await;
        assert_eq!((answer.code, &answer.remark, &answer.fields), (0, &None, &None));
        assert_eq!((answer.serialize_type, count(&answer.body)), (SerializeType::Json, 1));
        for offset in [at + 4, 99_999_999, -1] {
            let answer = view(offset).await;
            let remark = format!("can not find message by the offset, {offset}");
            assert_eq!((answer.code, answer.remark), (1, Some(remark)));
        }
    }
}
