//! The entries of a queue: the answer to 321 (B-338).
//!
//! Not what they mean. Invariant: written as 4.9.4 writes them without its extended entries, byte for byte.

use bytes::Bytes;

use super::clients::subscription_value;
use super::heartbeat::SubscriptionData;
use crate::remoting::json::{Form, Value};

/// A part of a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueEntries {
    /// Offset of the queue's first entry.
    pub min: i64,
    /// Offset of its next entry.
    pub max: i64,
    /// What a group wants of the topic, if one was named and wants something.
    pub subscription: Option<SubscriptionData>,
    /// What a filter made of it, or why there is none.
    pub filter_data: Option<String>,
    /// The entries: position and size of the record in the log, and its tags code.
    pub entries: Vec<(i64, u32, i64)>,
}

impl QueueEntries {
    /// The body.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        let entries = self.entries.iter().map(|(physical, size, tags_code)| {
            Value::object([
                ("eval", false.into()),
                ("physicOffset", (*physical).into()),
                ("physicSize", (*size).into()),
                ("tagsCode", (*tags_code).into()),
            ])
        });
        let body = Value::object([
            ("filterData", self.filter_data.as_ref().into()),
            ("maxQueueIndex", self.max.into()),
            ("minQueueIndex", self.min.into()),
            ("queueData", Value::array(entries)),
            ("subscriptionData", self.subscription.as_ref().map(subscription_value).into()),
        ]);
        body.to_bytes(Form::Dialect)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_494s_byte_for_byte_b338() {
        let mut part = QueueEntries {
            min: 0,
            max: 1,
            subscription: None,
            filter_data: None,
            entries: vec![(7, 100, -5)],
        };
        let rest = r#""maxQueueIndex":1,"minQueueIndex":0,"queueData":[{"eval":false,"physicOffset":7,"physicSize":100,"tagsCode":-5}]"#;
        assert_eq!(part.to_bytes(), format!("{{{rest}}}").as_bytes());
        part.subscription = Some(SubscriptionData { topic: "T".into(), ..Default::default() });
        part.filter_data = Some("null".into());
        let subscription = r#""subscriptionData":{"classFilterMode":false,"codeSet":[],"expressionType":"","subString":"","subVersion":0,"tagsSet":[],"topic":"T"}"#;
        let body = format!(r#"{{"filterData":"null",{rest},{subscription}}}"#);
        assert_eq!(part.to_bytes(), body.as_bytes());
    }
}
