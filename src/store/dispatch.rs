//! What the log tells the consume queues and the key index about one record (ST-012, ST-030, ST-043, B-271).
//!
//! Not the queues or the index themselves. Invariant: all of it is computable from the record and the options alone, so
//! that master, slave, recovery and rebuild agree where these do; the time in a delayed message's entry, which follows the
//! delay levels, is told by 317 and decides nothing.

use super::light::{self, LightPlace};
use super::options::StoreOptions;
use crate::message::{Record, properties, sys_flag};
use crate::model::{PhysicalOffset, QueueId, QueueOffset, system};

/// Between the tokens of the `KEYS` property.
const KEY_SEPARATOR: char = ' ';

/// One record as the queues and the index see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dispatch<'a> {
    /// The topic that the record is stored under.
    pub topic: &'a str,
    /// The queue of that topic.
    pub queue_id: QueueId,
    /// The record's position in its queue.
    pub queue_offset: QueueOffset,
    /// Where the record begins.
    pub physical_offset: PhysicalOffset,
    /// Bytes of the record.
    pub size: u32,
    /// What a queue entry carries: the tags' hash, or the delivery time of a delayed message.
    pub tags_code: i64,
    /// When the broker stored it, in milliseconds since 1970.
    pub store_timestamp: i64,
    /// Whether the record gets a queue entry: prepared and rolled-back ones do not (ST-012).
    pub in_queue: bool,
    /// [`key_hash`] of `UNIQ_KEY` and of each token of `KEYS`; empty for rolled-back records (ST-043).
    pub key_hashes: &'a [u32],
    /// What it changes about the messages that wait for a time of their own.
    pub timer: Option<TimerChange>,
    /// Where it is in light queues.
    pub light: &'a [LightPlace],
}

impl Dispatch<'_> {
    /// The record as its light queues see it.
    pub fn in_light_queues(&self) -> impl Iterator<Item = Dispatch<'_>> {
        self.light.iter().map(|place| Dispatch {
            topic: place.topic.as_str(),
            queue_id: light::QUEUE,
            queue_offset: place.queue_offset,
            key_hashes: &[],
            timer: None,
            light: &[],
            ..*self
        })
    }
}

/// What a record changes about the messages that wait for a time of their own (see `timers`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimerChange {
    /// When the message is due, in milliseconds since 1970; not negative.
    pub due_ms: i64,
    /// The record that waited for that time and does not any more.
    pub ends: Option<PhysicalOffset>,
    /// Whether this record waits for it.
    pub waits: bool,
}

impl TimerChange {
    /// What `record` changes, which has a `TIMER_OUT_MS` property. A record that ends another one's waiting, because it
    /// delivers, moves or cancels it, names it by its prepared transaction offset, which senders cannot set: one more
    /// than where the other one begins, because 0 is what all others have.
    fn of(record: &Record<'_>, due_ms: &str, is_end: bool) -> Option<Self> {
        let is_transaction = record.sys_flag() & sys_flag::TRANSACTION_MASK != 0;
        let due_ms = due_ms.parse().ok().filter(|due_ms| *due_ms >= 0 && !is_transaction)?;
        let ends = u64::try_from(record.prepared_transaction_offset()).ok();
        let ends = ends.and_then(|ends| ends.checked_sub(1)).map(PhysicalOffset);
        let waits = record.topic() == system::TIMER_TOPIC && !is_end;
        (waits || ends.is_some()).then_some(Self { due_ms, ends, waits })
    }
}

/// The parts of a [`Dispatch`] that do not depend on where and when the record is stored.
#[derive(Clone, Debug)]
pub struct Facts {
    size: u32,
    tags: Tags,
    in_queue: bool,
    key_hashes: Vec<u32>,
    timer: Option<TimerChange>,
    light: Vec<LightPlace>,
}

#[derive(Clone, Copy, Debug)]
enum Tags {
    /// The hash of the tags, 0 without tags.
    Code(i64),
    /// Delivery so many milliseconds after the store time.
    DueAfter(i64),
}

impl Facts {
    /// What `record` says to a store with these options; its place and time are not looked at.
    #[must_use]
    pub fn of(record: &Record<'_>, options: &StoreOptions) -> Self {
        let transaction = record.sys_flag() & sys_flag::TRANSACTION_MASK;
        let mut key_hashes = Vec::new();
        let mut tags = Tags::Code(0);
        let mut delay = None;
        let (mut due_ms, mut is_timer_end) = (None, false);
        let (mut light_queues, mut light_offsets) = ("", "");
        for (key, value) in properties::iterate(record.properties()) {
            match key {
                properties::TAGS => tags = Tags::Code(tags_code(value)),
                properties::DELAY if record.topic() == system::SCHEDULE_TOPIC => {
                    delay = options.delay_levels.asked_ms(value);
                }
                properties::TIMER_OUT_MS => due_ms = Some(value),
                properties::TIMER_DEL_UNIQKEY => is_timer_end = true,
                properties::LIGHT_QUEUES => light_queues = value,
                properties::LIGHT_OFFSETS => light_offsets = value,
                properties::UNIQ_KEY => key_hashes.push(key_hash(record.topic(), value)),
                properties::KEYS => {
                    let tokens = value.split(KEY_SEPARATOR).filter(|token| !token.is_empty());
                    key_hashes.extend(tokens.map(|token| key_hash(record.topic(), token)));
                }
                _ => {}
            }
        }
        if transaction == sys_flag::TRANSACTION_ROLLBACK {
            key_hashes.clear();
        }
        if let Some(delay_ms) = delay {
            tags = Tags::DueAfter(delay_ms);
        }
        let in_queue = transaction == 0 || transaction == sys_flag::TRANSACTION_COMMIT;
        let is_light = options.light_queues && in_queue && !light_offsets.is_empty();
        Self {
            size: u32::try_from(record.bytes().len()).unwrap_or(u32::MAX),
            tags,
            in_queue,
            key_hashes,
            light: if is_light { light::places(light_queues, light_offsets) } else { Vec::new() },
            timer: due_ms.and_then(|due_ms| TimerChange::of(record, due_ms, is_timer_end)),
        }
    }

    /// Bytes of the record.
    #[must_use]
    pub fn size(&self) -> u32 {
        self.size
    }

    /// Where the record is in light queues.
    pub(super) fn light(&self) -> &[LightPlace] {
        &self.light
    }

    /// Notes where the record is in light queues, and how many bytes it has with its saying so.
    pub(super) fn set_light(&mut self, light: Vec<LightPlace>, size: usize) {
        self.light = light;
        self.size = u32::try_from(size).unwrap_or(u32::MAX);
    }

    /// Whether the record gets a queue entry and with it a queue offset.
    #[must_use]
    pub fn in_queue(&self) -> bool {
        self.in_queue
    }

    /// What the record changes about the messages that wait for a time of their own.
    #[must_use]
    pub fn timer(&self) -> Option<TimerChange> {
        self.timer
    }

    /// Completes these facts with the record's queue, place and time.
    #[must_use]
    pub fn placed<'a>(&'a self, topic: &'a str, queue_id: QueueId, place: Place) -> Dispatch<'a> {
        Dispatch {
            topic,
            queue_id,
            queue_offset: place.queue_offset,
            physical_offset: place.physical_offset,
            size: self.size,
            tags_code: match self.tags {
                Tags::Code(code) => code,
                Tags::DueAfter(delay_ms) => place.store_timestamp.saturating_add(delay_ms),
            },
            store_timestamp: place.store_timestamp,
            in_queue: self.in_queue,
            key_hashes: &self.key_hashes,
            timer: self.timer,
            light: &self.light,
        }
    }
}

/// Where and when a record is stored.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// Its position in its queue.
    pub queue_offset: QueueOffset,
    /// Where it begins in the log.
    pub physical_offset: PhysicalOffset,
    /// When, in milliseconds since 1970.
    pub store_timestamp: i64,
}

impl Place {
    /// The place and time written in a record.
    #[must_use]
    pub fn of(record: &Record<'_>) -> Self {
        Self {
            queue_offset: record.queue_offset(),
            physical_offset: record.physical_offset(),
            store_timestamp: record.store_timestamp(),
        }
    }
}

/// What follows the log's tail; called for every record, in the order of the log, from memory only.
///
/// The log knows its followers by this trait alone, so that it can be tested without them.
pub trait Follower: Send + Sync {
    /// The offset that the next record of a queue gets; 0 for a queue that was never written.
    fn next_offset(&self, topic: &str, queue_id: QueueId) -> QueueOffset;
    /// Takes one record. A queue offset beyond the next one leaves a hole that pulls step over.
    fn dispatch(&self, dispatch: &Dispatch<'_>);
}

/// The tags code of a tag: Java's hash, sign-extended (S-25).
#[must_use]
pub fn tags_code(tags: &str) -> i64 {
    i64::from(crate::model::java_hash_code(tags))
}

/// The hash that a key is indexed and looked up by: of `topic#key`, made positive as 4.9.4 does (ST-042).
#[must_use]
pub fn key_hash(topic: &str, key: &str) -> u32 {
    let units = topic.encode_utf16().chain([u16::from(b'#')]).chain(key.encode_utf16());
    let hash = units.fold(0i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)));
    if hash == i32::MIN { 0 } else { hash.unsigned_abs() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{NewMessage, encode};
    use crate::model::java_hash_code;

    fn facts(topic: &str, sys_flag: i32, properties: &str) -> Facts {
        let properties = properties.to_owned();
        let message = NewMessage { sys_flag, properties, ..NewMessage::plain(topic, 1, "body") };
        let bytes = encode(&message).unwrap();
        Facts::of(&Record::parse(&bytes).unwrap(), &StoreOptions::new("unused"))
    }

    fn place(store_timestamp: i64) -> Place {
        Place { queue_offset: QueueOffset(0), physical_offset: PhysicalOffset(0), store_timestamp }
    }

    #[test]
    fn keys_and_tags_are_hashed_as_java_does() {
        let facts = facts("T", 0, "TAGS\u{1}TagA\u{2}KEYS\u{1}k1  k2\u{2}UNIQ_KEY\u{1}U");
        let dispatch = facts.placed("T", QueueId(1), place(9));
        assert_eq!(dispatch.tags_code, 2_598_919);
        let expected: Vec<u32> =
            ["T#k1", "T#k2", "T#U"].map(|key| java_hash_code(key).unsigned_abs()).to_vec();
        assert_eq!(dispatch.key_hashes, expected);
    }

    #[test]
    fn a_hash_of_the_smallest_integer_is_0_st042() {
        assert_eq!(java_hash_code("T#E8Hcafb"), i32::MIN);
        assert_eq!(key_hash("T", "E8Hcafb"), 0);
    }

    #[test]
    fn delayed_messages_carry_their_delivery_time_b271() {
        for (level, delay_ms) in [("1", 1000), ("3", 10_000), ("18", 7_200_000), ("99", 7_200_000)]
        {
            let facts = facts(system::SCHEDULE_TOPIC, 0, &format!("DELAY\u{1}{level}"));
            let tags_code = facts.placed("x", QueueId(0), place(5)).tags_code;
            assert_eq!(tags_code, 5 + delay_ms, "level {level}");
        }
        let facts = facts("T", 0, "DELAY\u{1}3\u{2}TAGS\u{1}TagA");
        assert_eq!(facts.placed("T", QueueId(0), place(5)).tags_code, 2_598_919);
    }

    #[test]
    fn prepared_and_rolled_back_records_get_no_queue_entry_st012() {
        for (transaction, in_queue, keys) in [
            (0, true, 1),
            (sys_flag::TRANSACTION_PREPARED, false, 1),
            (sys_flag::TRANSACTION_COMMIT, true, 1),
            (sys_flag::TRANSACTION_ROLLBACK, false, 0),
        ] {
            let facts = facts("T", transaction, "KEYS\u{1}k");
            assert_eq!((facts.in_queue(), facts.key_hashes.len()), (in_queue, keys));
        }
    }
}
