//! A queue as bodies name it, as an object that can also be a key (S-01).
//!
//! Not what is said of the queue. Invariant: read back, it is what was written.

use crate::model::MessageQueue;
use crate::remoting::DecodeError;
use crate::remoting::json::Value;

/// The queue.
pub(super) fn queue_value(queue: &MessageQueue) -> Value<'_> {
    Value::object([
        ("brokerName", queue.broker_name.as_str().into()),
        ("queueId", queue.queue_id.into()),
        ("topic", queue.topic.as_str().into()),
    ])
}

/// Reads a queue; what is left out has Java's default.
pub(super) fn parse_queue(value: &Value<'_>) -> Result<MessageQueue, DecodeError> {
    value.expect_object("a queue")?;
    Ok(MessageQueue {
        topic: value.text("topic").unwrap_or_default().to_owned(),
        broker_name: value.text("brokerName").unwrap_or_default().to_owned(),
        queue_id: value.number_or("queueId", 0)?,
    })
}
