//! Messages by key (12) and by their place in the log (33).
//!
//! Not the index (`store`). Invariants: both wait for the disk, on a thread that may; answers with messages have a
//! JSON header whatever the request had; messages found by key may be of other keys, as only hashes are
//! compared (B-212), but a message found by its place is a whole record (repairs B-214).

use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::Broker;
use super::requests::{Answer, Refusal, send_answer};
use crate::model::PhysicalOffset;
use crate::remoting::{Command, response};
use crate::task;
use crate::transport::Responder;

/// Messages that one answer has at most (`maxMsgsNumBatch`).
const COUNT_MAX: usize = 64;
/// Messages that a look-up by unique key asks for (`defaultQueryMaxNum`).
const UNIQUE_COUNT: i32 = 32;
/// Bytes of messages after which an answer has no more: a frame must stay below 16 MiB.
const BODY_BYTES_MAX: usize = 15 << 20;

/// Answers a query by key (B-210 to B-213).
pub(super) fn by_key(broker: &Arc<Broker>, request: Command, responder: Responder) {
    answer(broker, "query by key", request, responder, find_by_key);
}

/// Answers a look-up of a record by its physical offset (B-214).
pub(super) fn by_offset(broker: &Arc<Broker>, request: Command, responder: Responder) {
    answer(broker, "view message", request, responder, find_by_offset);
}

fn answer(
    broker: &Arc<Broker>,
    name: &'static str,
    request: Command,
    responder: Responder,
    find: fn(&Broker, &Command) -> Answer,
) {
    let broker = Arc::clone(broker);
    task::spawn_blocking(name, move || match find(&broker, &request) {
        Ok(found) if found.code == response::SUCCESS => responder.send_json(found),
        other => send_answer(responder, other),
    });
}

fn find_by_key(broker: &Broker, request: &Command) -> Answer {
    let topic = request.required_str("topic")?;
    let key = request.required_str("key")?;
    let mut count = request.required_i32("maxNum")?;
    let times = request.required_i64("beginTimestamp")?..=request.required_i64("endTimestamp")?;
    if request.field("_UNIQUE_KEY_QUERY") == Some("true") {
        count = UNIQUE_COUNT;
    }
    let count_max = usize::try_from(count).unwrap_or(0).min(COUNT_MAX);
    let queried = broker.store.query(topic, key, count_max, times)?;
    let body = join(&queried.records);
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

/// The records one after the other, the first in any case.
fn join(records: &[Bytes]) -> Bytes {
    let mut body = BytesMut::new();
    for record in records {
        if !body.is_empty() && body.len() + record.len() > BODY_BYTES_MAX {
            break;
        }
        body.extend_from_slice(record);
    }
    body.freeze()
}

fn find_by_offset(broker: &Broker, request: &Command) -> Answer {
    let offset = request.required_i64("offset")?;
    let record =
        u64::try_from(offset).ok().and_then(|at| broker.store.record_at(PhysicalOffset(at)));
    let record = record.ok_or_else(|| {
        let remark = format!("can not find message by the offset, {offset}");
        Refusal::new(response::SYSTEM_ERROR, remark)
    })?;
    Ok(Command::response(response::SUCCESS).with_body(record))
}
