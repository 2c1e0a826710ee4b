//! The nouns of RocketMQ that every layer shares. No I/O, no wire format.
//!
//! | file | what |
//! | --- | --- |
//! | `names` | names of topics and groups |
//! | `config` | how a topic and a group are configured |
//! | `delay_levels` | how long messages of each delay level wait |
//! | `versions` | versions of clients and brokers |
//! | `bodies` | bodies of messages as people read them |
//! | `amounts` | sizes and dates as people read them |
//!
//! Invariant: offsets are never bare integers; a [`PhysicalOffset`] counts bytes of the commit log,
//! a [`QueueOffset`] counts messages of one queue.

mod amounts;
mod bodies;
mod config;
mod delay_levels;
mod names;
mod versions;

pub use amounts::{date, days, human_bytes, human_seconds, human_time};
pub use bodies::{hexdump, indented_json};
pub use config::{DataVersion, Permission, SubscriptionGroupConfig, TopicConfig, TopicFilterType};
pub use delay_levels::{DelayLevelError, DelayLevels};
pub use names::{
    DLQ_PREFIX, GroupName, LIGHT_PREFIX, NameError, RETRY_PREFIX, TopicName, java_hash_code, shown,
    system, validate_topic,
};
pub use versions::{version_name, version_text};

use std::fmt;

/// A byte position in a commit log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PhysicalOffset(pub u64);

/// A position in one consume queue, counted in messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QueueOffset(pub u64);

/// A queue's number within its topic on one broker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QueueId(pub u32);

/// A broker's number within its group: 0 is the master (B-004).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BrokerId(pub u32);

/// One queue of one topic on one broker group.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageQueue {
    /// The topic, as clients name it.
    pub topic: String,
    /// The broker group (4.x `brokerName`).
    pub broker_name: String,
    /// The queue's number.
    pub queue_id: i32,
}

impl PhysicalOffset {
    /// The position that 4.x puts on the wire; nothing lies at a negative one.
    #[must_use]
    pub fn from_wire(offset: i64) -> Option<Self> {
        u64::try_from(offset).ok().map(Self)
    }

    /// The position `bytes` further on.
    #[must_use]
    pub fn plus(self, bytes: u64) -> Self {
        Self(self.0 + bytes)
    }

    /// The value as 4.x puts it on the wire (a signed 64-bit integer).
    #[must_use]
    pub fn to_wire(self) -> i64 {
        i64::try_from(self.0).unwrap_or(i64::MAX)
    }
}

impl QueueOffset {
    /// The position `count` messages further on.
    #[must_use]
    pub fn plus(self, count: u64) -> Self {
        Self(self.0 + count)
    }

    /// The value as 4.x puts it on the wire (a signed 64-bit integer).
    #[must_use]
    pub fn to_wire(self) -> i64 {
        i64::try_from(self.0).unwrap_or(i64::MAX)
    }
}

impl QueueId {
    /// The value as 4.x puts it on the wire (a signed 32-bit integer).
    #[must_use]
    pub fn to_wire(self) -> i32 {
        i32::try_from(self.0).unwrap_or(i32::MAX)
    }
}

macro_rules! display_as_number {
    ($($type:ty),*) => {$(
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    )*};
}
display_as_number!(PhysicalOffset, QueueOffset, QueueId, BrokerId);
