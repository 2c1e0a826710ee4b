//! Bodies of the requests that lock and unlock queues for reading in order (41, 42), and the answer (B-310, B-311).
//!
//! Not who holds which queue. Invariant: of queues that stand there twice one is left, as in Java's set.

use bytes::Bytes;

use super::queues::{parse_queue, queue_value};
use crate::model::MessageQueue;
use crate::remoting::DecodeError;
use crate::remoting::json::{self, Form, Value};

/// What a consumer asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockBatchBody {
    /// The consumer's group.
    pub group: String,
    /// The consumer.
    pub client_id: String,
    /// The queues to lock or to unlock.
    pub queues: Vec<MessageQueue>,
}

impl LockBatchBody {
    /// Reads the body of 41 and 42.
    ///
    /// # Errors
    /// It is not such a body, or group or client are missing.
    pub fn parse(body: &[u8]) -> Result<Self, DecodeError> {
        let value = json::parse_bounded(body, json::REQUEST_VALUES_MAX)?;
        value.expect_object("the body")?;
        let text = |key: &str| {
            let text = value.text(key).map(str::to_owned);
            text.ok_or_else(|| DecodeError(format!("the body has no `{key}`")))
        };
        let (group, client_id) = (text("consumerGroup")?, text("clientId")?);
        let queues: Result<Vec<_>, _> =
            value.get("mqSet").items().iter().map(parse_queue).collect();
        let mut queues = queues?;
        queues.sort_unstable();
        queues.dedup();
        Ok(Self { group, client_id, queues })
    }
}

/// The body of the answer to 41: the queues that the consumer holds now.
#[must_use]
pub fn encode_locked<'a>(queues: impl IntoIterator<Item = &'a MessageQueue>) -> Bytes {
    let queues = queues.into_iter().map(queue_value);
    Value::object([("lockOKMQSet", Value::array(queues))]).to_bytes(Form::Dialect)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_read_and_answers_written_as_4_9_4_does() {
        let text = br#"{"clientId":"127.0.0.1@golden","consumerGroup":"GoldenGroup","mqSet":[{"brokerName":"broker-a","queueId":0,"topic":"Golden"},{"topic":"Golden","queueId":"0","brokerName":"broker-a"}]}"#;
        let body = LockBatchBody::parse(text).unwrap();
        assert_eq!(
            (body.group.as_str(), body.client_id.as_str()),
            ("GoldenGroup", "127.0.0.1@golden")
        );
        let answer = encode_locked(&body.queues);
        let known = br#"{"lockOKMQSet":[{"brokerName":"broker-a","queueId":0,"topic":"Golden"}]}"#;
        assert_eq!(answer, known[..]);
        assert_eq!(encode_locked(&[]), br#"{"lockOKMQSet":[]}"#[..]);
    }

    #[test]
    fn bodies_without_client_or_with_strange_queues_are_refused() {
        for body in ["", "[]", r#"{"consumerGroup":"G"}"#, r#"{"clientId":"c"}"#] {
            assert!(LockBatchBody::parse(body.as_bytes()).is_err(), "{body}");
        }
        let none = LockBatchBody::parse(br#"{"clientId":"c","consumerGroup":"G"}"#).unwrap();
        assert_eq!(none.queues, []);
        let strange = br#"{"clientId":"c","consumerGroup":"G","mqSet":[1]}"#;
        assert!(LockBatchBody::parse(strange).is_err());
    }
}
