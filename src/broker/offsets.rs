//! Positions of consumer groups (14, 15) and offsets of queues (29 to 32).
//!
//! Not when pulls commit a position (`pull`). Invariants: neither topic, queue nor group need exist: unknown
//! queues begin and end at 0 (S-20); what is known without the disk is answered on the connection's task.

use std::sync::Arc;

use super::answers::{Answer, Refusal, blocking, send_answer};
use super::{Broker, light};
use crate::metrics::Limit;
use crate::model::QueueId;
use crate::remoting::{Command, FieldError, response};
use crate::store::ReadError;
use crate::transport::{Connection, Responder};

/// The queue that a request is about; `None` for a negative id, which no queue has.
fn queue_id(request: &Command) -> Result<Option<QueueId>, FieldError> {
    let id = request.required_i32("queueId")?;
    Ok(u32::try_from(id).ok().map(QueueId))
}

fn with_offset(offset: i64) -> Command {
    Command::response(response::SUCCESS).with_field("offset", offset)
}

/// Notes how far a group is (15). Always done, also for what does not exist, and backwards (B-241, S-68).
pub(super) fn update(broker: &Broker, request: &Command) -> Answer {
    let group = request.required_str("consumerGroup")?;
    let topic = request.required_str("topic")?;
    let queue_id = queue_id(request)?;
    let offset = request.required_i64("commitOffset")?;
    if let Some(queue_id) = queue_id {
        commit(broker, group, topic, queue_id, offset);
    }
    Ok(Command::response(response::SUCCESS).with_empty_fields())
}

/// Notes how far a group is, while there is room for its position.
pub(super) fn commit(broker: &Broker, group: &str, topic: &str, queue_id: QueueId, offset: i64) {
    let queue_id = light::position_queue(broker, group, queue_id);
    let positions = &broker.store.tables().consumer_offsets;
    let max = broker.limits().numbers().positions_max;
    if !positions.commit_if_room(topic, group, queue_id, offset, max) {
        broker.limits().reached(Limit::Positions);
    }
}

/// How far a group is (14).
pub(super) fn query(broker: &Arc<Broker>, request: Command, responder: Responder) {
    match stored_position(broker, &request) {
        Ok(Some(offset)) => responder.send(with_offset(offset)),
        Ok(None) => blocking(broker, request, responder, first_position),
        Err(error) => send_answer(responder, Err(error.into())),
    }
}

/// A position that is there and not negative, as 4.9.4 asks.
fn stored_position(broker: &Broker, request: &Command) -> Result<Option<i64>, FieldError> {
    let group = request.required_str("consumerGroup")?;
    let topic = request.required_str("topic")?;
    let Some(queue_id) = queue_id(request)? else { return Ok(None) };
    let queue_id = light::position_queue(broker, group, queue_id);
    let stored = broker.store.tables().consumer_offsets.query(topic, group, queue_id);
    Ok(stored.filter(|offset| *offset >= 0))
}

/// Where a group without a position begins: at 0 while the queue's first message is there and in memory, also
/// in unknown queues; otherwise the client decides (B-242, S-19).
fn first_position(broker: &Arc<Broker>, request: &Command, _: &Connection) -> Answer {
    let is_young = match queue_id(request)? {
        Some(queue_id) => begins_in_memory(broker, request.required_str("topic")?, queue_id)?,
        None => true,
    };
    if is_young {
        return Ok(with_offset(0));
    }
    let remark = "Not found, V3_0_6_SNAPSHOT maybe this group consumer boot first";
    Ok(Command::response(response::QUERY_NOT_FOUND).with_remark(remark).with_empty_fields())
}

fn begins_in_memory(broker: &Broker, topic: &str, queue_id: QueueId) -> Result<bool, ReadError> {
    let (first, _) = broker.store.queue_range(topic, queue_id, true)?;
    Ok(first.0 == 0 && !broker.store.is_on_disk(topic, queue_id, first)?)
}

/// Where the message nearest in time is (29, B-306).
pub(super) fn search(broker: &Arc<Broker>, request: &Command, _: &Connection) -> Answer {
    let topic = request.required_str("topic")?;
    let queue_id = queue_id(request)?;
    let timestamp = request.required_i64("timestamp")?;
    let Some(queue_id) = queue_id else { return Ok(with_offset(0)) };
    let offset = broker.store.offset_by_time(topic, queue_id, timestamp)?;
    Ok(with_offset(offset.to_wire()))
}

/// Where the next message will be (30, B-307).
pub(super) fn max(broker: &Broker, request: &Command) -> Answer {
    let topic = request.required_str("topic")?;
    let next = queue_id(request)?.map(|queue_id| broker.store.max_offset(topic, queue_id));
    Ok(with_offset(next.unwrap_or_default().to_wire()))
}

/// Where the first message is (31, B-308).
pub(super) fn min(broker: &Arc<Broker>, request: Command, responder: Responder) {
    let answer = match first_offset(broker, &request, false) {
        Err(Failed::Read(ReadError::WouldBlock)) => {
            return blocking(broker, request, responder, |broker, request, _| {
                Ok(with_offset(first_offset(broker, request, true)?))
            });
        }
        other => other.map(with_offset).map_err(Into::into),
    };
    send_answer(responder, answer);
}

fn first_offset(broker: &Broker, request: &Command, may_block: bool) -> Result<i64, Failed> {
    let topic = request.required_str("topic")?;
    let Some(queue_id) = queue_id(request)? else { return Ok(0) };
    let (first, _) = broker.store.queue_range(topic, queue_id, may_block)?;
    Ok(first.to_wire())
}

/// Why an offset is not known.
enum Failed {
    Field(FieldError),
    Read(ReadError),
}

impl From<FieldError> for Failed {
    fn from(error: FieldError) -> Self {
        Self::Field(error)
    }
}

impl From<ReadError> for Failed {
    fn from(error: ReadError) -> Self {
        Self::Read(error)
    }
}

impl From<Failed> for Refusal {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::Field(error) => error.into(),
            Failed::Read(error) => error.into(),
        }
    }
}

/// When the queue's first message was stored (32, B-309).
pub(super) fn earliest_store_time(
    broker: &Arc<Broker>,
    request: &Command,
    _: &Connection,
) -> Answer {
    let topic = request.required_str("topic")?;
    let time = match queue_id(request)? {
        Some(queue_id) => {
            let (first, _) = broker.store.queue_range(topic, queue_id, true)?;
            broker.store.store_time_of(topic, queue_id, first)?
        }
        None => None,
    };
    Ok(Command::response(response::SUCCESS).with_field("timestamp", time.unwrap_or(-1)))
}

#[cfg(test)]
mod tests {
    use crate::broker::pull::tests::{World, pull};
    use crate::broker::tests_support;
    use crate::metrics::Limit;
    use crate::remoting::headers::{PullHeader, pull_flag};
    use crate::remoting::{Command, request};

    fn about(code: i32, topic: &str, queue_id: i32) -> Command {
        Command::request(code).with_field("topic", topic).with_field("queueId", queue_id)
    }

    fn position(code: i32, topic: &str, queue_id: i32) -> Command {
        about(code, topic, queue_id).with_field("consumerGroup", "G")
    }

    /// The answer's only field, if it says that all is well.
    async fn asked(world: &World, request: Command, field: &'static str) -> i64 {
        let answer = world.call(request).await;
        assert_eq!((answer.code, &answer.remark), (0, &None));
        assert_eq!(answer.fields.as_ref().map(|fields| fields.len()), Some(1));
        answer.required_i64(field).unwrap()
    }

    #[tokio::test]
    async fn positions_are_kept_for_whatever_name_and_go_backwards_b241() {
        let world = World::new();
        for offset in [7, 3] {
            let update = position(request::UPDATE_CONSUMER_OFFSET, "none", 5);
            let answer = world.call(update.with_field("commitOffset", offset)).await;
            assert_eq!((answer.code, answer.remark), (0, None));
            assert!(answer.fields.is_some_and(|fields| fields.is_empty()));
            let query = position(request::QUERY_CONSUMER_OFFSET, "none", 5);
            assert_eq!(asked(&world, query, "offset").await, offset);
        }
        let update = position(request::UPDATE_CONSUMER_OFFSET, "none", -1);
        assert_eq!(world.call(update.with_field("commitOffset", 1)).await.code, 0);
        let answer = world.call(position(request::UPDATE_CONSUMER_OFFSET, "none", 5)).await;
        let remark = "the mandatory field `commitOffset` is missing";
        assert_eq!((answer.code, answer.remark.as_deref()), (1, Some(remark)));
    }

    #[tokio::test]
    async fn positions_have_a_limit_that_is_counted_and_told_to_tools() {
        let world = World::new();
        let update = |group: &str, queue_id: i32| {
            let update = about(request::UPDATE_CONSUMER_OFFSET, "T", queue_id);
            update.with_field("consumerGroup", group).with_field("commitOffset", 7)
        };
        assert_eq!(world.call(update("G", 1)).await.code, 0);
        tests_support::limit(&world.broker, |numbers| numbers.positions_max = 1);
        for (group, queue_id) in [("G", 2), ("H", 1), ("G", 1)] {
            assert_eq!(world.call(update(group, queue_id)).await.code, 0, "as in 4.9.4 (B-241)");
        }
        let pull = PullHeader { sys_flag: pull_flag::COMMIT_OFFSET | pull().sys_flag, ..pull() };
        assert_eq!(world.call(pull.to_request()).await.code, 19);
        let positions = world.broker.store.tables().consumer_offsets.positions();
        assert_eq!(positions.len(), 1);
        assert_eq!(tests_support::times_reached(&world.broker, Limit::Positions), 3);
        let told = world.call(Command::request(request::GET_BROKER_RUNTIME_INFO)).await;
        let told = String::from_utf8(told.body.to_vec()).unwrap();
        assert!(told.contains(r#""limitReached_positions_max":"3""#), "{told}");
    }

    #[tokio::test]
    async fn a_new_group_begins_at_0_while_the_first_message_is_in_memory_b242() {
        let world = World::with_options(|options| options.in_memory_bytes = 1_000);
        for (topic, queue_id) in [("T", 0), ("none", 0), ("T", -1), ("T", 99)] {
            let query = position(request::QUERY_CONSUMER_OFFSET, topic, queue_id);
            assert_eq!(asked(&world, query, "offset").await, 0, "{topic} {queue_id}");
        }
        let query = position(request::QUERY_CONSUMER_OFFSET, "T", 0);
        let mut stored = 0;
        while stored < 1_000 {
            assert_eq!(asked(&world, query.clone(), "offset").await, 0, "{stored} bytes");
            world.store("a", "k").await;
            stored = world.broker.store.log_range().1.0;
        }
        let answer = world.call(query.clone()).await;
        let remark = "Not found, V3_0_6_SNAPSHOT maybe this group consumer boot first";
        assert_eq!((answer.code, answer.remark.as_deref()), (22, Some(remark)));
        assert!(answer.fields.is_some_and(|fields| fields.is_empty()));
        // A negative position counts as none.
        let update = position(request::UPDATE_CONSUMER_OFFSET, "T", 0);
        world.call(update.with_field("commitOffset", -1)).await;
        assert_eq!(world.call(query).await.code, 22);
    }

    #[tokio::test]
    async fn queues_begin_and_end_and_unknown_ones_at_0_s20() {
        let world = World::new();
        world.store("a", "k").await;
        world.store("a", "k").await;
        for (topic, queue_id, end) in [("T", 0, 2), ("T", 1, 0), ("none", 0, 0), ("T", -1, 0)] {
            let max = about(request::GET_MAX_OFFSET, topic, queue_id);
            assert_eq!(asked(&world, max, "offset").await, end, "{topic} {queue_id}");
            let min = about(request::GET_MIN_OFFSET, topic, queue_id);
            assert_eq!(asked(&world, min, "offset").await, 0);
        }
        let answer = world.call(Command::request(request::GET_MIN_OFFSET)).await;
        assert_eq!((answer.code, answer.fields), (1, None), "S-09");
    }

    #[tokio::test]
    async fn messages_are_found_by_time_b306_b309() {
        let world = World::new();
        let first = world.store("a", "k").await;
        world.clock.advance(std::time::Duration::from_secs(100));
        let second = world.store("a", "k").await;
        let search = |topic, queue_id, timestamp: i64| {
            let request = about(request::SEARCH_OFFSET_BY_TIMESTAMP, topic, queue_id);
            asked(&world, request.with_field("timestamp", timestamp), "offset")
        };
        assert_eq!(search("T", 0, 0).await, 0);
        assert_eq!(search("T", 0, first.store_timestamp + 10).await, 0, "the nearest one");
        assert_eq!(search("T", 0, second.store_timestamp - 10).await, 1);
        assert_eq!(search("T", 0, i64::MAX).await, 1, "the last one, not the end (S-28)");
        assert_eq!(search("none", 0, 0).await + search("T", -1, 0).await, 0);
        let earliest = |topic, queue_id| {
            asked(&world, about(request::GET_EARLIEST_MSG_STORETIME, topic, queue_id), "timestamp")
        };
        assert_eq!(earliest("T", 0).await, first.store_timestamp);
        for (topic, queue_id) in [("T", 1), ("none", 0), ("T", -1)] {
            assert_eq!(earliest(topic, queue_id).await, -1);
        }
    }
}
