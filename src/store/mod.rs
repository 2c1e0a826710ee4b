//! Commit log, consume queues, key index, offsets and tables of one broker group. DESIGN 6.

pub mod consume_queue;
pub mod derived;
#[cfg(test)]
mod derived_tests;
mod disk;
pub mod dispatch;
pub mod key_index;
mod log;
pub mod options;
mod queue_tail;
pub mod rebuild;
pub mod schema;
mod slice_begin;
mod slice_keys;
mod slice_rows;
mod slices;
pub mod tables;

use std::sync::Arc;

use bytes::Bytes;

use crate::message::NewMessage;
use crate::model::{PhysicalOffset, QueueId, QueueOffset, TopicName};

/// The store of one broker group; shared as `Arc<Store>`.
#[derive(Debug)]
pub struct Store;

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
    Illegal(#[from] crate::message::EncodeError),
    /// The records are larger than the store takes.
    #[error("the message needs {bytes} bytes in the log; at most {max} are allowed")]
    TooLarge {
        /// What the records would need.
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
    /// The store is stopping.
    #[error("the store is stopping")]
    Stopping,
}

/// How durable an appended message is when its sender is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// As far as the store's configuration asks.
    Reached,
    /// Stored, but the flush did not end in time (answer 10).
    FlushTimeout,
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
    OffsetFoundNull,
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

impl Store {
    /// Queues a group of messages (a batch, or one) of one queue for appending; `done` is called after the write.
    pub fn enqueue(
        &self,
        _messages: Vec<NewMessage>,
        _wait: bool,
        _done: Box<dyn FnOnce(AppendResult) + Send>,
    ) {
        todo!()
    }
    /// Writes what is queued, unless another thread is at it already and takes it along.
    pub fn write_enqueued(&self) {
        todo!()
    }
    /// Appends one message and waits for it.
    ///
    /// # Errors
    /// [`AppendError`]; nothing was stored.
    pub async fn append(
        &self,
        _message: NewMessage,
        _wait: bool,
    ) -> Result<(Appended, Durability), AppendError> {
        todo!()
    }
    /// Reads messages; `None` means that the disk may have to be read: ask again from a blocking thread with `may_block`.
    #[must_use]
    pub fn pull(
        &self,
        _topic: &str,
        _queue: QueueId,
        _offset: i64,
        _count_max: u32,
        _filter: &dyn EntryFilter,
        _may_block: bool,
    ) -> Option<Pulled> {
        todo!()
    }
    /// First offset of a queue, 0 if unknown (S-20). May block.
    #[must_use]
    pub fn min_offset(&self, _topic: &str, _queue: QueueId) -> QueueOffset {
        todo!()
    }
    /// Next offset of a queue, 0 if unknown (S-20).
    #[must_use]
    pub fn max_offset(&self, _topic: &str, _queue: QueueId) -> QueueOffset {
        todo!()
    }
    /// The entry nearest in time (B-306). May block.
    #[must_use]
    pub fn offset_by_time(&self, _topic: &str, _queue: QueueId, _timestamp: i64) -> QueueOffset {
        todo!()
    }
    /// Store time of a queue's message, if it has it. May block.
    #[must_use]
    pub fn store_time_of(
        &self,
        _topic: &str,
        _queue: QueueId,
        _offset: QueueOffset,
    ) -> Option<i64> {
        todo!()
    }
    /// The record at a physical offset, if there is one. May block.
    #[must_use]
    pub fn record_at(&self, _offset: PhysicalOffset) -> Option<Bytes> {
        todo!()
    }
    /// Records by key hash, ascending by offset; at most `count_max` (B-210 to B-212). May block.
    #[must_use]
    pub fn query(
        &self,
        _topic: &str,
        _key: &str,
        _count_max: usize,
        _begin: i64,
        _end: i64,
    ) -> Vec<Bytes> {
        todo!()
    }
    /// Registers what is told about every new message: topic, queue, its offset, tags code (long polling).
    pub fn set_listener(
        &self,
        _listener: Arc<dyn Fn(&TopicName, QueueId, QueueOffset, i64) + Send + Sync>,
    ) {
        todo!()
    }
}
