//! What the broker tells and asks consumers for tools: bodies of 220, 222 and 223 (B-322 to B-324).
//!
//! Not what 307 and 309 carry, which goes through as it is. Invariant: what a client said of its queues is told as it
//! said it.

use bytes::Bytes;

use super::queues::{parse_queue, queue_value};
use crate::model::MessageQueue;
use crate::remoting::DecodeError;
use crate::remoting::json::{self, Form, Value};

/// Where to go on: the body of 220 for Java, and of the answer to 222.
#[must_use]
pub fn offset_table(offsets: &[(MessageQueue, i64)]) -> Bytes {
    let table = offsets.iter().map(|(queue, offset)| (queue_value(queue), (*offset).into()));
    Value::object([("offsetTable", Value::Object(table.collect()))]).to_bytes(Form::Dialect)
}

/// Reads it.
///
/// # Errors
/// It is none.
pub fn parse_offset_table(body: &[u8]) -> Result<Vec<(MessageQueue, i64)>, DecodeError> {
    let value = json::parse(body)?;
    value.expect_object("the positions")?;
    let row = |(queue, offset): &(Value<'_>, Value<'_>)| {
        Ok((parse_queue(queue)?, offset.as_i64().unwrap_or(0)))
    };
    value.get("offsetTable").entries().iter().map(row).collect()
}

/// The same as C++ reads it.
#[must_use]
pub fn offset_list(offsets: &[(MessageQueue, i64)]) -> Bytes {
    let list = offsets.iter().map(|(queue, offset)| {
        Value::object([
            ("brokerName", queue.broker_name.as_str().into()),
            ("offset", (*offset).into()),
            ("queueId", queue.queue_id.into()),
            ("topic", queue.topic.as_str().into()),
        ])
    });
    Value::object([("offsetTable", Value::array(list))]).to_bytes(Form::Dialect)
}

/// What a client answered to 221.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumerStatus {
    /// Which client.
    pub client_id: String,
    /// Its answer's body.
    pub body: Bytes,
}

/// The answer to 223; a body that cannot be read counts as one that says nothing.
#[must_use]
pub fn consumer_statuses(statuses: &[ConsumerStatus]) -> Bytes {
    let tables = statuses.iter().filter_map(|status| {
        let body = json::parse_bounded(&status.body, json::REQUEST_VALUES_MAX).ok()?;
        let table = body.get("messageQueueTable").entries().to_vec();
        Some((status.client_id.as_str(), Value::Object(table)))
    });
    let body = Value::object([
        ("consumerTable", Value::map(tables)),
        ("messageQueueTable", Value::Object(Vec::new())),
    ]);
    body.to_bytes(Form::Dialect)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_are_494s_byte_for_byte_b323() {
        let queue = MessageQueue { topic: "T".into(), broker_name: "b".into(), queue_id: 1 };
        let offsets = [(queue, 7)];
        let table = br#"{"offsetTable":{{"brokerName":"b","queueId":1,"topic":"T"}:7}}"#;
        assert_eq!(offset_table(&offsets), table[..]);
        assert_eq!(parse_offset_table(table), Ok(offsets.to_vec()));
        let list = br#"{"offsetTable":[{"brokerName":"b","offset":7,"queueId":1,"topic":"T"}]}"#;
        assert_eq!(offset_list(&offsets), list[..]);
    }

    #[test]
    fn what_clients_say_is_told_by_client_b324() {
        let status = |client_id: &str, body: &'static str| ConsumerStatus {
            client_id: client_id.into(),
            body: Bytes::from_static(body.as_bytes()),
        };
        let said = r#"{"consumerTable":{},"messageQueueTable":{{"brokerName":"b","queueId":1,"topic":"T"}:7}}"#;
        let body = consumer_statuses(&[status("c", said), status("d", "nonsense")]);
        let expected = r#"{"consumerTable":{"c":{{"brokerName":"b","queueId":1,"topic":"T"}:7}},"messageQueueTable":{}}"#;
        assert_eq!(body, expected.as_bytes());
    }
}
