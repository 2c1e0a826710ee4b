//! The entries of a queue, for whoever looks for a message that did not come (321, B-338).
//!
//! Not the messages. Invariant: an answer has at most [`ENTRIES_MAX`] entries; holes where records were lost are left
//! out.

use std::sync::Arc;

use super::Broker;
use super::answers::{Answer, Refusal};
use super::client_lists::data_of;
use crate::model::{QueueId, QueueOffset};
use crate::remoting::bodies::queue_entries::QueueEntries;
use crate::remoting::{Command, response};
use crate::transport::Connection;

/// Entries in one answer, at most.
const ENTRIES_MAX: usize = 32_768;

/// 321. Blocks.
pub(super) fn answer(broker: &Arc<Broker>, request: &Command, _: &Connection) -> Answer {
    let topic = request.field("topic").unwrap_or_default();
    let id = request.optional_i32("queueId")?.unwrap_or(0);
    let index = request.optional_i64("index")?.unwrap_or(0);
    let count = request.optional_i32("count")?.unwrap_or(0);
    let queue_id = u32::try_from(id).ok().map(QueueId);
    let queue_id = queue_id.filter(|id| broker.store.has_queue(topic, *id)).ok_or_else(|| {
        Refusal::new(response::SYSTEM_ERROR, format!("{id}@{topic} is not exist!"))
    })?;
    let (first, next) = broker.store.queue_range(topic, queue_id, true)?;
    let (min, max) = (first.to_wire(), next.to_wire());
    if !(min..max).contains(&index) {
        // A success without a body, as 4.9.4 has it.
        let remark = format!("Index {index} of {id}@{topic} is not exist!");
        return Ok(Command::response(response::SUCCESS).with_remark(remark));
    }
    let count = usize::try_from(count).unwrap_or(0).min(ENTRIES_MAX);
    let from = QueueOffset(index.unsigned_abs());
    let entries = broker.store.entries(topic, queue_id, from, count)?;
    let entries = entries.iter().filter(|entry| !entry.is_hole());
    let entries =
        entries.map(|one| (one.physical_offset.to_wire(), one.size, one.tags_code)).collect();
    let (subscription, filter_data) = match request.field("consumerGroup") {
        None => (None, None),
        Some(group) => match broker.clients.subscription(group, topic) {
            // Nothing is kept of a filter beside its expression.
            Some(subscription) => (Some(data_of(&subscription)), Some("null".to_owned())),
            None => (None, Some(format!("{group}@{topic} is not online!"))),
        },
    };
    let body = QueueEntries { min, max, subscription, filter_data, entries };
    let answer = Command::response(response::SUCCESS).with_body(body.to_bytes());
    // S-08: 4.9.4 forgets to take this remark away here too.
    Ok(answer.with_remark("not set any response code"))
}

#[cfg(test)]
mod tests {
    use super::super::tests_support::TestBroker;
    use super::*;
    use crate::remoting::{json, request};

    fn asked(index: i64, count: i32) -> Command {
        let request = Command::request(request::QUERY_CONSUME_QUEUE).with_field("topic", "T");
        request.with_field("queueId", 0).with_field("index", index).with_field("count", count)
    }

    #[tokio::test]
    async fn entries_are_told_from_an_offset_on_b338() {
        let broker = TestBroker::new();
        for _ in 0..3 {
            broker.send("T", "TAGS\u{1}a\u{2}", "x").await;
        }
        let answer = broker.call(asked(1, 5)).await;
        assert_eq!((answer.code, answer.remark.as_deref()), (0, Some("not set any response code")));
        let body = json::parse(&answer.body).unwrap();
        let bounds = (body.text("minQueueIndex"), body.text("maxQueueIndex"));
        assert_eq!(bounds, (Some("0"), Some("3")));
        let entries = body.get("queueData").items();
        let places: Vec<_> =
            entries.iter().map(|one| (one.text("physicOffset"), one.text("tagsCode"))).collect();
        let size: u32 = entries[0].number("physicSize").unwrap().unwrap();
        let (second, third) = (size.to_string(), (2 * size).to_string());
        assert_eq!(places, [(Some(&*second), Some("97")), (Some(&*third), Some("97"))]);
        let answer = broker.call(asked(0, 5).with_field("consumerGroup", "G")).await;
        let body = json::parse(&answer.body).unwrap();
        assert_eq!(body.text("filterData"), Some("G@T is not online!"));
    }

    #[tokio::test]
    async fn what_is_not_there_is_a_success_with_a_remark_b338() {
        let broker = TestBroker::new();
        broker.send("T", "", "x").await;
        for index in [-1, 1, i64::MAX] {
            let answer = broker.call(asked(index, 1)).await;
            let remark = format!("Index {index} of 0@T is not exist!");
            assert_eq!((answer.code, answer.remark, answer.body.len()), (0, Some(remark), 0));
        }
        for (key, value) in [("topic", "never"), ("queueId", "9"), ("queueId", "-1")] {
            let mut request = asked(0, 1);
            request.set_field(key, value);
            let (code, remark) = broker.refused(request).await;
            assert!(code == 1 && remark.ends_with(" is not exist!"), "{remark}");
        }
        let entries = broker.call(asked(0, -1)).await;
        assert_eq!(json::parse(&entries.body).unwrap().get("queueData").items().len(), 0);
    }
}
