//! What the broker stores of its own accord: copies of messages that waited elsewhere, or go to wait, its own marks, and
//! where what waits goes in the end.
//!
//! Not when that is (`delay`, `timers`, `transactions`, `send_back`). Invariant: a copy has everything of its record that is
//! not said to be otherwise.

use std::sync::mpsc;

use bytes::Bytes;

use super::Broker;
use super::java_properties::JavaProperties;
use crate::message::{NewMessage, Record, properties};
use crate::model::{QueueId, TopicName};
use crate::store::{AppendError, AppendResult, Appended, Durability, Store};

/// The properties text of a message that is to wait, and then to go to a queue of `topic`.
pub(super) fn bound_for(
    fields: JavaProperties<'_>,
    topic: &TopicName,
    queue_id: QueueId,
) -> String {
    let queue_id = queue_id.to_string();
    let mut fields = fields;
    fields.set(properties::REAL_TOPIC, topic.as_str());
    fields.set(properties::REAL_QUEUE_ID, &queue_id);
    fields.into_text()
}

/// Where a message that waits goes in the end; `None` if it does not say.
pub(super) fn destination<'a>(waiting: &Record<'a>) -> Option<(&'a str, QueueId)> {
    let topic = properties::find(waiting.properties(), properties::REAL_TOPIC)?;
    let queue_id = properties::find(waiting.properties(), properties::REAL_QUEUE_ID)?;
    Some((topic, QueueId(queue_id.parse().ok()?)))
}

/// A stored message once more, in another queue or with other properties.
pub(super) fn copy_of(
    record: &Record<'_>,
    body: Bytes,
    (topic, queue_id): (&str, QueueId),
    properties: String,
) -> NewMessage {
    NewMessage {
        topic: TopicName::new(topic),
        queue_id,
        // The application's, which 4.9.4 loses when it checks a half message.
        flag: record.flag(),
        sys_flag: record.sys_flag(),
        born_timestamp: record.born_timestamp(),
        born_host: record.born_host(),
        store_host: record.store_host(),
        reconsume_times: record.reconsume_times(),
        prepared_transaction_offset: 0,
        body,
        properties,
    }
}

/// A message of the broker's own.
pub(super) fn own_message(
    broker: &Broker,
    (topic, queue_id): (&str, QueueId),
    body: String,
    properties: String,
) -> NewMessage {
    let address = broker.options.address;
    NewMessage {
        topic: TopicName::new(topic),
        queue_id,
        flag: 0,
        sys_flag: 0,
        born_timestamp: broker.clock.now_ms(),
        born_host: address,
        store_host: address,
        reconsume_times: 0,
        prepared_transaction_offset: 0,
        body: Bytes::from(body),
        properties,
    }
}

/// What became of one message.
pub(super) type AppendOutcome = Result<(Appended, Durability), AppendError>;

/// Stores messages of any queues with one write, without waiting for the disk; results in their order. Any of them may fail
/// alone. Blocks.
pub(super) fn append_all(store: &Store, messages: Vec<NewMessage>) -> Vec<AppendOutcome> {
    let mut results = vec![Err(AppendError::Stopping); messages.len()];
    let (sender, receiver) = mpsc::channel();
    for (at, message) in messages.into_iter().enumerate() {
        let sender = sender.clone();
        let done = move |result: AppendResult| {
            let only = result.and_then(|(appended, durability)| {
                let only = appended.first().copied().ok_or(AppendError::Stopping)?;
                Ok((only, durability))
            });
            // The receiver waits below for as long as there is a sender.
            let _ = sender.send((at, only));
        };
        store.enqueue(&[message], false, Box::new(done));
    }
    drop(sender);
    store.write_enqueued();
    for (at, result) in receiver {
        results[at] = result;
    }
    results
}

/// Stores one message without waiting for the disk or for slaves (H-033). Blocks.
pub(super) fn append(store: &Store, message: NewMessage) -> Result<Appended, AppendError> {
    let result = append_all(store, vec![message]).pop();
    result.unwrap_or(Err(AppendError::Stopping)).map(|(appended, _)| appended)
}
