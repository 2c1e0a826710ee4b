//! The properties text of a message: `key 0x01 value 0x02 ...` (ST-004).

use std::fmt;

use memchr::memchr;

/// Between a key and its value.
pub const KEY_VALUE_SEPARATOR: char = '\u{1}';
/// Between two properties.
pub const PROPERTY_SEPARATOR: char = '\u{2}';

/// Tag of the message; consumers filter by it.
pub const TAGS: &str = "TAGS";
/// Blank-separated keys that the message can be queried by.
pub const KEYS: &str = "KEYS";
/// The id that the producing client gave (ST-021).
pub const UNIQ_KEY: &str = "UNIQ_KEY";
/// `false`: the sender does not wait for flush and replication.
pub const WAIT: &str = "WAIT";
/// Delay level, 1 to 18 (B-270).
pub const DELAY: &str = "DELAY";
/// When the message is to be delivered, in milliseconds since 1970; these three are 5.x's.
pub const TIMER_DELIVER_MS: &str = "TIMER_DELIVER_MS";
/// After how many seconds it is to be delivered.
pub const TIMER_DELAY_SEC: &str = "TIMER_DELAY_SEC";
/// After how many milliseconds it is to be delivered.
pub const TIMER_DELAY_MS: &str = "TIMER_DELAY_MS";
/// What the broker made of them: when it is due, in milliseconds since 1970.
pub const TIMER_OUT_MS: &str = "TIMER_OUT_MS";
/// In a record of the timer topic: the message of this id does not wait any more.
pub const TIMER_DEL_UNIQKEY: &str = "TIMER_DEL_UNIQKEY";
/// Where a delayed or half message goes in the end.
pub const REAL_TOPIC: &str = "REAL_TOPIC";
/// The queue that goes with [`REAL_TOPIC`].
pub const REAL_QUEUE_ID: &str = "REAL_QID";
/// The topic that a retried message came from.
pub const RETRY_TOPIC: &str = "RETRY_TOPIC";
/// The offset id of a retried message's first delivery.
pub const ORIGIN_MESSAGE_ID: &str = "ORIGIN_MESSAGE_ID";
/// `true`: a transactional half message.
pub const TRANSACTION_PREPARED: &str = "TRAN_MSG";
/// The group whose producers know what became of a transaction.
pub const PRODUCER_GROUP: &str = "PGROUP";
/// How often a half message was checked (B-262).
pub const TRANSACTION_CHECK_TIMES: &str = "TRANSACTION_CHECK_TIMES";
/// For how many seconds a half message is not to be checked (B-264).
pub const CHECK_IMMUNITY_S: &str = "CHECK_IMMUNITY_TIME_IN_SECONDS";
/// Where a half message was in its queue before it was put back unchecked (B-264).
pub const PREPARED_QUEUE_OFFSET: &str = "TRAN_PREPARED_QUEUE_OFFSET";
/// The cluster that stored the message (B-111).
pub const CLUSTER: &str = "CLUSTER";
/// The client that waits for the reply that a message is.
pub const REPLY_TO_CLIENT: &str = "REPLY_TO_CLIENT";
/// The light queues that a message goes to as well, with commas between them (ST-110).
pub const LIGHT_QUEUES: &str = "INNER_MULTI_DISPATCH";
/// Its offsets there, in the same order; the broker's own.
pub const LIGHT_OFFSETS: &str = "INNER_MULTI_QUEUE_OFFSET";
/// When the broker handed a reply over, in milliseconds since 1970.
pub const PUSH_REPLY_TIME: &str = "PUSH_REPLY_TIME";

/// Names that applications may not use: clients of 4.9.4 refuse them (`MessageConst.STRING_HASH_SET`).
pub const OF_SYSTEM: [&str; 31] = [
    KEYS,
    TAGS,
    WAIT,
    DELAY,
    RETRY_TOPIC,
    REAL_TOPIC,
    REAL_QUEUE_ID,
    TRANSACTION_PREPARED,
    PRODUCER_GROUP,
    "MIN_OFFSET",
    "MAX_OFFSET",
    "BUYER_ID",
    ORIGIN_MESSAGE_ID,
    "TRANSFER_FLAG",
    "CORRECTION_FLAG",
    "MQ2_FLAG",
    "RECONSUME_TIME",
    "MSG_REGION",
    "TRACE_ON",
    UNIQ_KEY,
    "MAX_RECONSUME_TIMES",
    "CONSUME_START_TIME",
    "INSTANCE_ID",
    "CORRELATION_ID",
    REPLY_TO_CLIENT,
    "TTL",
    "ARRIVE_TIME",
    PUSH_REPLY_TIME,
    CLUSTER,
    "MSG_TYPE",
    LIGHT_OFFSETS,
];

/// A message's properties in their order of appearance; a later value replaces an earlier one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Properties {
    entries: Vec<(String, String)>,
}

impl Properties {
    /// Reads a properties text; entries with an empty key or value are dropped (ST-004).
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let mut properties = Self::default();
        for (key, value) in iterate(text) {
            properties.set(key, value);
        }
        properties
    }

    /// The value of `key`.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.entries.iter().find(|(k, _)| k == key).map(|(_, value)| value.as_str())
    }

    /// Sets `key`, in place if it is there already.
    pub fn set(&mut self, key: &str, value: &str) {
        match self.entries.iter_mut().find(|(k, _)| k == key) {
            Some((_, old)) => value.clone_into(old),
            None => self.entries.push((key.to_owned(), value.to_owned())),
        }
    }

    /// Removes `key` and returns its value.
    pub fn remove(&mut self, key: &str) -> Option<String> {
        let at = self.entries.iter().position(|(k, _)| k == key)?;
        Some(self.entries.remove(at).1)
    }

    /// The entries in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.entries.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }
}

/// The text form, without a trailing separator (ST-004).
impl fmt::Display for Properties {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (key, value)) in self.entries.iter().enumerate() {
            if index > 0 {
                write!(f, "{PROPERTY_SEPARATOR}")?;
            }
            write!(f, "{key}{KEY_VALUE_SEPARATOR}{value}")?;
        }
        Ok(())
    }
}

/// The last value of `key` in a properties text, without building a table.
#[must_use]
pub fn find<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    iterate(text).filter(|(k, _)| *k == key).last().map(|(_, value)| value)
}

/// All entries of a properties text that have a key and a value.
pub fn iterate(text: &str) -> impl Iterator<Item = (&str, &str)> {
    entries(text)
        .filter_map(|entry| {
            let at = memchr(KEY_VALUE_SEPARATOR as u8, entry.as_bytes())?;
            Some((&entry[..at], &entry[at + 1..]))
        })
        .filter(|(key, value)| !key.is_empty() && !value.is_empty())
}

/// Whatever is between separators of properties.
pub fn entries(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let end = memchr(PROPERTY_SEPARATOR as u8, text.as_bytes());
        rest = end.map(|end| &text[end + 1..]);
        Some(&text[..end.unwrap_or(text.len())])
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn text_round_trips_and_drops_empty_entries() {
        let properties = Properties::parse(
            "TAGS\u{1}a\u{2}KEYS\u{1}k1 k2\u{2}\u{1}x\u{2}E\u{1}\u{2}TAGS\u{1}b\u{2}",
        );
        assert_eq!(properties.to_string(), "TAGS\u{1}b\u{2}KEYS\u{1}k1 k2");
        assert_eq!(properties.get(KEYS), Some("k1 k2"));
    }

    #[test]
    fn find_takes_the_last_value_as_decoders_do() {
        assert_eq!(find("A\u{1}1\u{2}A\u{1}2", "A"), Some("2"));
        assert_eq!(find("A\u{1}1", "B"), None);
    }

    proptest! {
        #[test]
        fn entries_are_what_separators_part(text in "[aé\u{1}\u{2}]{0,12}") {
            let parts = text.split(PROPERTY_SEPARATOR);
            let entries = parts.filter_map(|part| part.split_once(KEY_VALUE_SEPARATOR));
            let whole: Vec<_> = entries.filter(|(k, v)| !k.is_empty() && !v.is_empty()).collect();
            prop_assert_eq!(iterate(&text).collect::<Vec<_>>(), whole);
        }
    }
}
