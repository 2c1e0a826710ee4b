//! What a topic and a subscription group are configured to do, with 4.9.4's defaults.

use super::{GroupName, TopicName};

/// A topic's permission bits (B-059).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Permission(pub u32);

impl Permission {
    /// Other topics may be created after this one's pattern.
    pub const INHERIT: Self = Self(1);
    /// Clients may send.
    pub const WRITE: Self = Self(2);
    /// Clients may pull.
    pub const READ: Self = Self(4);
    /// Sending and pulling, the default of every topic.
    pub const READ_WRITE: Self = Self(6);
    /// What template topics have.
    pub const ALL: Self = Self(7);

    /// Whether every bit of `other` is set here.
    #[must_use]
    pub fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// These bits less those of `other`.
    #[must_use]
    pub fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

/// How consumers filter a topic (B-061).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum TopicFilterType {
    /// One tag a message.
    #[default]
    SingleTag,
    /// Several tags a message; only sets a bit on stored messages.
    MultiTag,
}

impl TopicFilterType {
    /// The name as Java's enum spells it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SingleTag => "SINGLE_TAG",
            Self::MultiTag => "MULTI_TAG",
        }
    }
}

/// A topic on one broker (N-043).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicConfig {
    /// The topic's name.
    pub name: TopicName,
    /// Queues that consumers read.
    pub read_queues: u32,
    /// Queues that producers write.
    pub write_queues: u32,
    /// What clients may do.
    pub permission: Permission,
    /// How consumers filter.
    pub filter_type: TopicFilterType,
    /// Bit 0 unit, bit 1 unit subscription (N-082).
    pub sys_flag: u32,
    /// Whether the topic is listed as ordered.
    pub order: bool,
}

impl TopicConfig {
    /// A readable and writable topic with as many read as write queues.
    #[must_use]
    pub fn new(name: TopicName, queues: u32) -> Self {
        Self {
            name,
            read_queues: queues,
            write_queues: queues,
            permission: Permission::READ_WRITE,
            filter_type: TopicFilterType::SingleTag,
            sys_flag: 0,
            order: false,
        }
    }
}

/// A consumer group on one broker, with 4.9.4's fields and defaults (B-070).
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "the fields are 4.9.4's")]
pub struct SubscriptionGroupConfig {
    /// The group's name.
    pub name: GroupName,
    /// Whether pulls are served.
    pub consume_enable: bool,
    /// Kept and returned, consulted nowhere (B-073).
    pub consume_from_min_enable: bool,
    /// Whether members may consume in broadcasting mode.
    pub consume_broadcast_enable: bool,
    /// Queues of the retry topic.
    pub retry_queue_nums: i32,
    /// Deliveries before a message goes to the dead-letter topic.
    pub retry_max_times: i32,
    /// Which broker pulls are sent to normally.
    pub broker_id: i64,
    /// Which broker pulls are sent to when the group is far behind.
    pub which_broker_when_consume_slowly: i64,
    /// Whether members are told when membership changes.
    pub notify_consumer_ids_changed_enable: bool,
}

impl SubscriptionGroupConfig {
    /// A group with 4.9.4's defaults.
    #[must_use]
    pub fn new(name: GroupName) -> Self {
        Self {
            name,
            consume_enable: true,
            consume_from_min_enable: true,
            consume_broadcast_enable: true,
            retry_queue_nums: 1,
            retry_max_times: 16,
            broker_id: 0,
            which_broker_when_consume_slowly: 1,
            notify_consumer_ids_changed_enable: true,
        }
    }
}

/// The version of a table; equal only if both parts are (B-060).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DataVersion {
    /// Wall time of the change, in milliseconds since 1970.
    pub timestamp: i64,
    /// Number of changes.
    pub counter: i64,
}

impl DataVersion {
    /// The version after one more change at `now_ms`.
    #[must_use]
    pub fn next(self, now_ms: i64) -> Self {
        Self { timestamp: now_ms, counter: self.counter + 1 }
    }
}
