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

use std::ops::RangeInclusive;
use std::sync::Arc;

use bytes::Bytes;

use crate::clock::Clock;
use crate::message::NewMessage;
use crate::model::{PhysicalOffset, QueueId, QueueOffset, TopicName};

pub use consume_queue::ReadError;
pub use options::StoreOptions;
pub use tables::{StartTopics, Tables};

/// The store of one broker group; shared as `Arc<Store>`.
#[derive(Debug)]
pub struct Store;

/// Why a store cannot be opened; nothing was thrown away.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct OpenError(pub String);

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

impl Store {
    /// Opens the store in `options.dir`, recovering what a crash left, and starts its threads. Blocks for as long as
    /// the recovery takes; `progress` is told now and then how many bytes of log are read, of how many.
    ///
    /// # Errors
    /// [`OpenError`], in words an operator can act on.
    pub fn open(
        _options: StoreOptions,
        _start_topics: &StartTopics,
        _clock: &Clock,
        _progress: &dyn Fn(u64, u64),
    ) -> Result<Arc<Self>, OpenError> {
        todo!()
    }
    /// Topics, groups, and positions.
    #[must_use]
    pub fn tables(&self) -> &Tables {
        todo!()
    }
    /// Queues a group of messages (a batch, or one) of one queue for appending; `done` is called after the write,
    /// from any thread, without a lock held. Followed by [`Self::write_enqueued`].
    pub fn enqueue(
        &self,
        _messages: &[NewMessage],
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
    /// Reads messages (B-170 to B-176).
    ///
    /// # Errors
    /// [`ReadError::WouldBlock`]: ask again from a blocking thread with `may_block`; [`ReadError::Unavailable`]: later.
    pub fn pull(&self, _request: &PullRequest<'_>, _may_block: bool) -> Result<Pulled, ReadError> {
        todo!()
    }
    /// First and next offset of a queue, both 0 if unknown (S-20).
    ///
    /// # Errors
    /// [`ReadError`]
    pub fn queue_range(
        &self,
        _topic: &str,
        _queue: QueueId,
        _may_block: bool,
    ) -> Result<(QueueOffset, QueueOffset), ReadError> {
        todo!()
    }
    /// Next offset of a queue, 0 if unknown (S-20).
    #[must_use]
    pub fn max_offset(&self, _topic: &str, _queue: QueueId) -> QueueOffset {
        todo!()
    }
    /// The entry nearest in time (B-306). Blocks.
    ///
    /// # Errors
    /// [`ReadError::Unavailable`]
    pub fn offset_by_time(
        &self,
        _topic: &str,
        _queue: QueueId,
        _timestamp: i64,
    ) -> Result<QueueOffset, ReadError> {
        todo!()
    }
    /// Store time of a queue's message, if it has it. Blocks.
    ///
    /// # Errors
    /// [`ReadError::Unavailable`]
    pub fn store_time_of(
        &self,
        _topic: &str,
        _queue: QueueId,
        _offset: QueueOffset,
    ) -> Result<Option<i64>, ReadError> {
        todo!()
    }
    /// Store time of the log's first record. Blocks.
    #[must_use]
    pub fn earliest_store_time(&self) -> Option<i64> {
        todo!()
    }
    /// The record at a physical offset, if there is one. Blocks.
    #[must_use]
    pub fn record_at(&self, _offset: PhysicalOffset) -> Option<Bytes> {
        todo!()
    }
    /// Records by key hash, newest first (B-210 to B-212). Blocks.
    ///
    /// # Errors
    /// [`ReadError::Unavailable`]
    pub fn query(
        &self,
        _topic: &str,
        _key: &str,
        _count_max: usize,
        _times: RangeInclusive<i64>,
    ) -> Result<Queried, ReadError> {
        todo!()
    }
    /// Deletes a topic with its queues and all positions in it (B-062, S-46); returns whether it was there.
    pub fn remove_topic(&self, _topic: &str) -> bool {
        todo!()
    }
    /// Where the log begins and where its next record will begin.
    #[must_use]
    pub fn log_range(&self) -> (PhysicalOffset, PhysicalOffset) {
        todo!()
    }
    /// Up to where the log is on the disk.
    #[must_use]
    pub fn flushed_to(&self) -> PhysicalOffset {
        todo!()
    }
    /// Whether appends are refused because the disk is full.
    #[must_use]
    pub fn is_read_only(&self) -> bool {
        todo!()
    }
    /// Registers what is told about every new message: topic, queue, its offset, tags code (long polling).
    pub fn set_listener(
        &self,
        _listener: Arc<dyn Fn(&TopicName, QueueId, QueueOffset, i64) + Send + Sync>,
    ) {
        todo!()
    }
    /// Refuses further appends, brings everything to the disk, and ends the threads. Blocks.
    pub fn stop(&self) {
        todo!()
    }
}
