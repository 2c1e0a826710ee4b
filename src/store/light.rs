//! Light queues (LMQ, ST-110): one record of the log, which is in a queue of its topic, is in queues of its sender's
//! choice as well, each of which is the only queue, 0, of a topic `%LMQ%...` that nobody creates.
//!
//! A sender names them in the property `INNER_MULTI_DISPATCH`; who appends notes the record's offsets there in
//! `INNER_MULTI_QUEUE_OFFSET`, so that slaves, recovery and rebuilding file it as the master did. To `consume_queue` they are
//! queues as all others. Invariants: a record says only offsets that its appender gave it; unless
//! light queues are on nothing else of this is looked at.
//!
//! Not as in 4.9.4, which takes any topic's name: without the prefix nothing is filed, as that would be sending to a topic
//! without being asked for the permission. And a message that waits (half messages, delays, retries) is filed when it is
//! where it can be consumed, not when it begins to wait and then once more.

use std::fmt::Write as _;

use crate::message::{NewMessage, properties, sys_flag};
use crate::model::{
    DLQ_PREFIX, LIGHT_PREFIX, QueueId, QueueOffset, RETRY_PREFIX, TopicName, system,
};

/// The queue of a light queue's topic.
pub(super) const QUEUE: QueueId = QueueId(0);
/// The longest name, in bytes: what a topic's name in a record has at most.
const NAME_BYTES_MAX: usize = 127;
/// Between names, and between offsets.
const SEPARATOR: char = ',';
/// The longest text of an offset.
const OFFSET_WIDEST: QueueOffset = QueueOffset(i64::MAX.cast_unsigned());

/// Whether a topic is a light queue's, or a group one that reads such.
#[must_use]
pub fn is_light(name: &str) -> bool {
    name.starts_with(LIGHT_PREFIX)
}

/// Where a record is in a light queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LightPlace {
    /// The light queue's topic.
    pub topic: TopicName,
    /// The offset there.
    pub queue_offset: QueueOffset,
}

/// A name that a sender may not write.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`INNER_MULTI_DISPATCH` takes names of at most 127 bytes that begin with `%LMQ%`, with commas between them"
)]
pub struct BadName;

/// The light queues that a property's value names; as in Java, what follows the last name does not count.
///
/// # Errors
/// [`BadName`] if one is none.
pub fn names(value: &str) -> Result<Vec<&str>, BadName> {
    let value = value.trim_end_matches(SEPARATOR);
    if value.trim().is_empty() {
        return Ok(Vec::new());
    }
    let is_good = |name: &&str| is_light(name) && name.len() <= NAME_BYTES_MAX;
    let names: Vec<&str> = value.split(SEPARATOR).collect();
    if names.iter().all(is_good) { Ok(names) } else { Err(BadName) }
}

/// Where a record says that it is; what does not add up says nothing.
pub(super) fn places(names: &str, offsets: &str) -> Vec<LightPlace> {
    let names: Vec<&str> = names.trim_end_matches(SEPARATOR).split(SEPARATOR).collect();
    let offset = |text: &str| text.parse().ok().filter(|offset| *offset <= OFFSET_WIDEST.0);
    let offsets = offsets.trim_end_matches(SEPARATOR).split(SEPARATOR).map(offset);
    let Some(offsets) = offsets.collect::<Option<Vec<u64>>>() else { return Vec::new() };
    if offsets.len() != names.len() {
        return Vec::new();
    }
    let all = names.into_iter().zip(offsets).filter(|(name, _)| is_light(name));
    let place = |(name, offset)| LightPlace {
        topic: TopicName::new(name),
        queue_offset: QueueOffset(offset),
    };
    all.map(place).collect()
}

/// The light queues that a message goes to when it is appended.
pub(super) fn of_message(message: &NewMessage) -> Vec<TopicName> {
    let topic = message.topic.as_str();
    let waits = [system::HALF_TOPIC, system::SCHEDULE_TOPIC, system::TIMER_TOPIC].contains(&topic)
        || topic.starts_with(RETRY_PREFIX)
        || topic.starts_with(DLQ_PREFIX);
    let transaction = message.sys_flag & sys_flag::TRANSACTION_MASK;
    if waits || (transaction != 0 && transaction != sys_flag::TRANSACTION_COMMIT) {
        return Vec::new();
    }
    let value = properties::find(&message.properties, properties::LIGHT_QUEUES).unwrap_or_default();
    names(value).unwrap_or_default().into_iter().map(TopicName::new).collect()
}

/// Takes out of a properties text what only who appends may write.
pub(super) fn without_offsets(text: &str) -> Option<String> {
    if !text.contains(properties::LIGHT_OFFSETS) {
        return None;
    }
    let is_other = |entry: &&str| {
        let key = entry.split_once(properties::KEY_VALUE_SEPARATOR).map(|(key, _)| key);
        key != Some(properties::LIGHT_OFFSETS)
    };
    let kept: Vec<&str> = text.split(properties::PROPERTY_SEPARATOR).filter(is_other).collect();
    Some(kept.join(&properties::PROPERTY_SEPARATOR.to_string()))
}

/// The property that says the offsets, to be put at the end of a properties text.
pub(super) fn offsets_property(properties_are_empty: bool, offsets: &[QueueOffset]) -> String {
    let mut text = String::new();
    if !properties_are_empty {
        text.push(properties::PROPERTY_SEPARATOR);
    }
    text.push_str(properties::LIGHT_OFFSETS);
    for (index, offset) in offsets.iter().enumerate() {
        text.push(if index == 0 { properties::KEY_VALUE_SEPARATOR } else { SEPARATOR });
        // Writing to a text cannot fail.
        let _ = write!(text, "{}", offset.0);
    }
    text
}

/// The longest that [`offsets_property`] can be for so many queues.
pub(super) fn widest_property(count: usize) -> String {
    offsets_property(false, &vec![OFFSET_WIDEST; count])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_light_queues_or_refused() {
        assert_eq!(names("%LMQ%a,%LMQ%b,,"), Ok(vec!["%LMQ%a", "%LMQ%b"]));
        assert_eq!(names(" "), Ok(vec![]));
        let long = format!("%LMQ%{}", "x".repeat(123));
        for bad in ["T", "%LMQ%a,T", "%LMQ%a,,%LMQ%b", " %LMQ%a", &long] {
            assert_eq!(names(bad), Err(BadName), "{bad}");
        }
    }

    #[test]
    fn places_are_those_of_light_queues_if_they_add_up() {
        let place = |name: &str, offset| LightPlace {
            topic: TopicName::new(name),
            queue_offset: QueueOffset(offset),
        };
        assert_eq!(
            places("%LMQ%a,T,%LMQ%b", "7,1,0"),
            [place("%LMQ%a", 7), place("%LMQ%b", 0)],
            "a 4.9.4 master files under T too"
        );
        for (names, offsets) in
            [("%LMQ%a", ""), ("%LMQ%a", "1,2"), ("%LMQ%a", "x"), ("%LMQ%a", "9223372036854775808")]
        {
            assert_eq!(places(names, offsets), [], "{names} {offsets}");
        }
    }

    #[test]
    fn what_a_sender_says_of_offsets_is_taken_out() {
        assert_eq!(without_offsets("TAGS\u{1}a"), None);
        let text = "TAGS\u{1}a\u{2}INNER_MULTI_QUEUE_OFFSET\u{1}9\u{2}KEYS\u{1}k";
        assert_eq!(without_offsets(text).as_deref(), Some("TAGS\u{1}a\u{2}KEYS\u{1}k"));
        let value = "KEYS\u{1}INNER_MULTI_QUEUE_OFFSET";
        assert_eq!(without_offsets(value).as_deref(), Some(value));
    }
}
