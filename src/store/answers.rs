//! What a store is asked for, and what becomes of that: appends, copies of a master's log, pulls, queries by key.
//!
//! Words only: who does it is in `log`, `derived` and `reading`.

use bytes::Bytes;

use super::Busy;
use crate::message::EncodeError;
use crate::model::{PhysicalOffset, QueueId, QueueOffset};

/// Where an appended message lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// Start of its record.
    pub physical_offset: PhysicalOffset,
    /// Its position in its queue.
    pub queue_offset: QueueOffset,
    /// Its store time, in milliseconds since 1970.
    pub store_timestamp: i64,
}

/// Why an append was not done; nothing was stored.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// The message cannot be a record.
    #[error("{0}")]
    Illegal(#[from] EncodeError),
    /// A body is larger than the store takes, or the records are larger than a segment.
    #[error("the message has {bytes} bytes; at most {max} are allowed")]
    TooLarge {
        /// What it has.
        bytes: usize,
        /// What is allowed.
        max: usize,
    },
    /// The disk is too full to take more.
    #[error("the disk is full: nothing is stored until space is freed")]
    DiskFull,
    /// The log's file could not be written.
    #[error("the log cannot be written: {0}")]
    Failed(String),
    /// The log cannot take it now.
    #[error("{0}")]
    Busy(Busy),
    /// The store is a slave's: it takes what the master has, and nothing else.
    #[error("a slave stores nothing of its own")]
    IsSlave,
    /// The store is stopping.
    #[error("the store is stopping")]
    Stopping,
}

/// Why bytes of a master's log cannot be taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CopyError {
    /// The log goes on elsewhere.
    #[error("the bytes are of offset {at}, but this log ends at {end}")]
    Elsewhere {
        /// Where the master has them.
        at: u64,
        /// Where this log ends.
        end: u64,
    },
    /// The master's segments have another size.
    #[error("the master's log has no segments of {own} bytes as this one: see offset {at}")]
    SegmentSize {
        /// Where that was seen.
        at: u64,
        /// What this store's segments have.
        own: u64,
    },
    /// What came is no record.
    #[error("at offset {at} came {what}")]
    Damaged {
        /// Where it would be.
        at: u64,
        /// What came instead.
        what: String,
    },
    /// The disk is too full to take more.
    #[error("the disk is full")]
    DiskFull,
    /// The log's file could not be written.
    #[error("the log cannot be written: {0}")]
    Failed(String),
    /// The store is stopping.
    #[error("the store is stopping")]
    Stopping,
}

/// What was taken of a hole in a master's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CopiedHole {
    /// How many bytes.
    pub bytes: usize,
    /// Whether a record follows, as far as its beginning says, or the hole goes to its segment's end.
    pub is_over: bool,
}

/// How durable an appended message is when its sender is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// As far as the store's configuration asks.
    Reached,
    /// Stored, but the flush did not end in time (answer 10).
    FlushTimeout,
    /// Stored, but there is no slave, or it is too far behind (answer 11).
    SlaveNotAvailable,
    /// Stored, but no slave had it in time (answer 12).
    SlaveTimeout,
}

/// What an append ends with; one [`Appended`] per message of the group.
pub type AppendResult = Result<(Vec<Appended>, Durability), AppendError>;

/// How a pull ended (B-170).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are 4.9.4's, explained by B-170")]
pub enum PullStatus {
    Found,
    NoMatchedMessage,
    MessageWasRemoving,
    NoMessageInQueue,
    OffsetTooSmall,
    OffsetOverflowOne,
    OffsetOverflowBadly,
}

/// What a pull found.
#[derive(Clone, Debug)]
pub struct Pulled {
    /// How it ended.
    pub status: PullStatus,
    /// Where the next pull begins.
    pub next_offset: QueueOffset,
    /// The queue's first offset.
    pub min_offset: QueueOffset,
    /// The queue's next offset.
    pub max_offset: QueueOffset,
    /// Whole records, one after the other.
    pub body: Bytes,
    /// How many records.
    pub count: u32,
    /// Whether the last record that was looked at is so far behind the log's end that it does not count as in memory
    /// (B-190); false if none was looked at.
    pub is_far_behind: bool,
}

/// What a pull asks for.
#[derive(Clone, Copy)]
pub struct PullRequest<'a> {
    /// The topic.
    pub topic: &'a str,
    /// The queue of it.
    pub queue_id: QueueId,
    /// Where to begin, as the client says it; may be negative.
    pub offset: i64,
    /// The most messages wanted.
    pub count_max: u32,
    /// Which messages are wanted.
    pub filter: &'a dyn EntryFilter,
}

/// What a query by key found.
#[derive(Clone, Debug, Default)]
pub struct Queried {
    /// Whole records, in the order of the log.
    pub records: Vec<Bytes>,
    /// The newest indexed record's offset and store time (B-212).
    pub index_last: Option<(PhysicalOffset, i64)>,
}

/// Does an entry of a queue match a subscription.
pub trait EntryFilter {
    /// By the tags code alone, without reading the record.
    fn matches_tags_code(&self, tags_code: i64) -> bool;
    /// By the record's properties text; only asked when [`Self::needs_properties`].
    fn matches_properties(&self, properties: &str) -> bool;
    /// Whether the record must be read to decide.
    fn needs_properties(&self) -> bool;
}

/// Every message.
#[derive(Clone, Copy, Debug)]
pub struct All;

impl EntryFilter for All {
    fn matches_tags_code(&self, _tags_code: i64) -> bool {
        true
    }
    fn matches_properties(&self, _properties: &str) -> bool {
        true
    }
    fn needs_properties(&self) -> bool {
        false
    }
}
