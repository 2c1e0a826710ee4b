//! Commit log, consume queues, key index, offsets and tables of one broker group (contract 3.17).
//!
//! | file | what |
//! | --- | --- |
//! | `log/` | the commit log: segments, appending, copying, flushing, scanning; its slaves |
//! | `dispatch` | what the log tells its followers about a record |
//! | `derived` | queues and index, followed in memory and saved in slices |
//! | `consume_queue`, `queue_tail` | the queues |
//! | `light` | queues of senders' choice, besides those of topics |
//! | `key_index` | the index of keys |
//! | `slices`, `slice_rows`, `schema`, `rebuild` | the databases that queues and index are saved in |
//! | `slice_begin`, `slice_keys` | the two files beside each: what held when it began, which keys it may have |
//! | `timers`, `timer_rows` | which messages wait for a time of their own |
//! | `tables/` | topics, groups, positions, and their mirror in 4.9.4's files |
//! | `recovery` | opening a store, after a crash too |
//! | `cut` | what a slave's log is to lose at the next opening |
//! | `adopt`, `java_store` | taking a stopped 4.9.4 broker's store over |
//! | `saver`, `checkpoint` | saving behind the log, in order |
//! | `keeper` | rebuilding, retention, a full disk |
//! | `reading` | pulls and look-ups |
//! | `answers` | what it is asked for, and what becomes of that |
//! | `options` | what a store is told when it is opened |
//! | `disk` | flushing, where tests put faults |
//!
//! Not here: what clients are told. Invariants: an appended message is in the file before its sender is told;
//! whatever is not in the log can be made again from it; only `disk`'s failed flush ends the process.

pub mod adopt;
#[cfg(test)]
mod adopt_tests;
mod answers;
mod checkpoint;
pub mod consume_queue;
mod cut;
#[cfg(test)]
mod cut_tests;
#[cfg(test)]
mod damage_tests;
pub mod derived;
#[cfg(test)]
mod derived_tests;
mod disk;
pub mod dispatch;
#[cfg(test)]
pub(crate) mod fault_disk;
#[cfg(test)]
mod fault_tests;
pub mod java_store;
mod keeper;
pub mod key_index;
pub mod light;
#[cfg(test)]
mod light_tests;
mod log;
pub mod options;
mod queue_tail;
mod reading;
pub mod rebuild;
mod recovery;
mod saver;
pub mod schema;
mod slice_begin;
mod slice_keys;
mod slice_rows;
mod slices;
#[cfg(test)]
mod store_tests;
pub mod tables;
mod timer_rows;
mod timers;

use std::sync::atomic::{AtomicBool, AtomicU32};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::oneshot;

use self::cut::Cut;
use self::derived::Derived;
use self::disk::{Disk, SystemDisk};
use self::keeper::Keeper;
use self::log::{CommitLog, Stop};
use self::recovery::{Recovered, Recovery};
use self::saver::Saver;
use crate::clock::Clock;
use crate::message::NewMessage;
use crate::model::PhysicalOffset;

pub use answers::{
    All, AppendError, AppendResult, Appended, CopiedHole, CopyError, Durability, EntryFilter,
    PullRequest, PullStatus, Pulled, Queried,
};
pub use consume_queue::ReadError;
pub(crate) use disk::used_percent;
pub use options::{Retention, SharedRetention, StoreOptions};
pub use tables::{StartTopics, Tables};
pub use timer_rows::Timer;
pub use timers::Timers;

/// The store of one broker group; shared as `Arc<Store>`. Dropped without [`Store::stop`], it ends as if the process
/// had been killed.
#[derive(Debug)]
pub struct Store {
    log: Arc<CommitLog>,
    derived: Arc<Derived>,
    tables: Arc<Tables>,
    saver: Arc<Saver>,
    keeper: Arc<Keeper>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    in_memory_bytes: u64,
}

pub use self::log::Replica;
/// What is told about every new message: topic, queue, its offset there, its tags code.
pub use self::log::{Arrival, Busy, Listener};

/// Why a store cannot be opened; nothing was thrown away.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct OpenError(pub String);

impl Store {
    /// Opens the store in `options.dir`, recovering what a crash left, and starts its threads. Blocks for as long as
    /// the recovery takes; `progress` is told now and then how many bytes of log are read, of how many.
    ///
    /// # Errors
    /// [`OpenError`], in words an operator can act on.
    pub fn open(
        options: StoreOptions,
        start_topics: &StartTopics,
        clock: &Clock,
        progress: &dyn Fn(u64, u64),
    ) -> Result<Arc<Self>, OpenError> {
        Self::open_on(Arc::new(SystemDisk), options, start_topics, clock, progress)
    }

    /// [`Self::open`] on a disk that tests put faults in.
    pub(crate) fn open_on(
        disk: Arc<dyn Disk>,
        options: StoreOptions,
        start_topics: &StartTopics,
        clock: &Clock,
        progress: &dyn Fn(u64, u64),
    ) -> Result<Arc<Self>, OpenError> {
        let recovery = Recovery { options: &options, clock, disk: &*disk, progress };
        let recovered = recovery.run(start_topics)?;
        let Recovered { tables, derived, segments, extent, checkpoint_file, saved_to } = recovered;
        let follower = Arc::clone(&derived);
        let log = CommitLog::new(options.clone(), clock.clone(), disk, follower, segments, extent);
        let dir = options.dir.display();
        let log = Arc::new(log.map_err(|error| OpenError(format!("{dir}: {error}")))?);
        let parts = (Arc::clone(&log), Arc::clone(&derived), Arc::clone(&tables));
        let saver = Saver::new(parts.0, parts.1, parts.2, checkpoint_file, saved_to, clock.clone());
        let saver = Arc::new(saver);
        let signal = Arc::downgrade(&saver);
        tables.topics.add_hook(Box::new(move |_| {
            if let Some(saver) = signal.upgrade() {
                saver.configs_changed();
            }
        }));
        let keeper = Arc::new(Keeper {
            options: options.clone(),
            clock: clock.clone(),
            log: Arc::clone(&log),
            derived: Arc::clone(&derived),
            saver: Arc::clone(&saver),
            stopped: AtomicBool::new(false),
            manual_rounds: AtomicU32::new(0),
            thread: OnceLock::new(),
        });
        let threads = Mutex::default();
        let in_memory_bytes = options.in_memory_bytes;
        let store = Self { log, derived, tables, saver, keeper, threads, in_memory_bytes };
        store.start_threads(&options).map_err(|error| OpenError(format!("{dir}: {error}")))?;
        Ok(Arc::new(store))
    }

    fn start_threads(&self, options: &StoreOptions) -> std::io::Result<()> {
        let start = |name: &str, work: Box<dyn FnOnce() + Send>| {
            let thread = crate::task::spawn_thread(name, work)?;
            self.threads.lock().unwrap_or_else(PoisonError::into_inner).push(thread);
            Ok::<_, std::io::Error>(())
        };
        let log = Arc::clone(&self.log);
        start("log flush", Box::new(move || log.run_flush()))?;
        let log = Arc::clone(&self.log);
        start("log expiry", Box::new(move || log.run_flush_expiry()))?;
        let (log, saver) = (Arc::clone(&self.log), Arc::clone(&self.saver));
        let checkpoint_bytes = options.checkpoint_bytes;
        start(
            "log allocate",
            Box::new(move || log.run_allocation(|| saver.log_grew(checkpoint_bytes))),
        )?;
        let log = Arc::clone(&self.log);
        start("slave expiry", Box::new(move || log.run_slave_expiry()))?;
        let saver = Arc::clone(&self.saver);
        let interval = Duration::from_millis(options.checkpoint_interval_ms);
        start("store save", Box::new(move || saver.run(interval)))?;
        let keeper = Arc::clone(&self.keeper);
        start("store keep", Box::new(move || keeper.run()))
    }

    /// What it was opened with.
    #[must_use]
    pub fn options(&self) -> &StoreOptions {
        &self.keeper.options
    }

    /// How full the log's disk is, in percent; 100 if that cannot be told.
    #[must_use]
    pub fn disk_used_percent(&self) -> f64 {
        self.log.disk().used_percent(&self.keeper.options.dir).unwrap_or(100.0)
    }

    /// What is kept, and how full the disk may be.
    #[must_use]
    pub fn retention(&self) -> Retention {
        Retention::clone(&self.keeper.options.retention.get())
    }

    /// Changes it for all stores of the node, until its settings are read again.
    pub fn change_retention(&self, change: impl FnOnce(&mut Retention)) {
        let mut retention = self.retention();
        change(&mut retention);
        self.keeper.options.retention.set(retention);
    }

    /// Deletes what is too old at any hour for the next minutes (ST-093).
    pub fn delete_expired_now(&self) {
        self.keeper.delete_expired_now();
    }

    /// Topics, groups, and positions.
    #[must_use]
    pub fn tables(&self) -> &Tables {
        &self.tables
    }

    /// The messages that wait for a time of their own.
    #[must_use]
    pub fn timers(&self) -> &Timers {
        self.derived.timers()
    }

    /// Queues a group of messages (a batch, or one) of one queue for appending; `done` is called after the write,
    /// from any thread, without a lock held. Followed by [`Self::write_enqueued`], unless it is `done` of an append that
    /// does not wait: what that queues is written by who wrote what it tells of.
    pub fn enqueue(
        &self,
        messages: &[NewMessage],
        wait: bool,
        done: Box<dyn FnOnce(AppendResult) + Send>,
    ) {
        self.log.enqueue(messages, wait, done);
    }

    /// Refuses what has been queued for too long, above all because the disk keeps a write waiting. To be called now
    /// and then; does not block.
    pub fn refuse_long_queued(&self) {
        self.log.refuse_long_queued();
    }

    /// Writes what is queued, unless another thread is at it already and takes it along.
    pub fn write_enqueued(&self) {
        self.log.write_enqueued();
    }

    /// Appends one message and waits for it.
    ///
    /// # Errors
    /// [`AppendError`]; nothing was stored.
    pub async fn append(
        &self,
        message: NewMessage,
        wait: bool,
    ) -> Result<(Appended, Durability), AppendError> {
        let (sender, receiver) = oneshot::channel();
        let done = Box::new(move |result: AppendResult| {
            // Who waited may have gone.
            let _ = sender.send(result);
        });
        self.log.enqueue(&[message], wait, done);
        self.log.write_enqueued();
        let (appended, durability) = receiver.await.unwrap_or(Err(AppendError::Stopping))?;
        let only = appended.first().copied().ok_or(AppendError::Stopping)?;
        Ok((only, durability))
    }

    /// Deletes a topic with its queues and all positions in it (B-062, S-46); returns whether it was there.
    pub fn remove_topic(&self, topic: &str) -> bool {
        self.log.while_held(|end, _| self.derived.remove_topic(topic, end))
    }

    /// Where the log begins and where its next record will begin.
    #[must_use]
    pub fn log_range(&self) -> (PhysicalOffset, PhysicalOffset) {
        (PhysicalOffset(self.log.start()), PhysicalOffset(self.log.end()))
    }

    /// Appends the whole records at the beginning of `bytes`, which the master's log has at `at`; returns how many
    /// bytes these were, and the caller keeps the rest until there is more. An empty store may begin anywhere where a
    /// segment can. Blocks as an append does.
    ///
    /// # Errors
    /// [`CopyError`]; what was before the fault is appended, and nothing else changed.
    pub fn append_copied(&self, at: PhysicalOffset, bytes: &[u8]) -> Result<usize, CopyError> {
        let start = self.log.start();
        let copied = self.log.append_copied(at.0, bytes);
        if self.log.start() != start {
            self.derived.expire_below(PhysicalOffset(self.log.start()));
        }
        copied
    }

    /// Appends what is no record in the master's log, which has it at `at` (it begins at `begun_at`), up to the next
    /// record; the caller keeps the rest. Blocks as an append does.
    ///
    /// # Errors
    /// [`CopyError`], but never `Damaged`; nothing was changed.
    pub fn append_hole(
        &self,
        begun_at: PhysicalOffset,
        at: PhysicalOffset,
        bytes: &[u8],
    ) -> Result<CopiedHole, CopyError> {
        self.log.append_hole(begun_at.0, at.0, bytes)
    }

    /// A slave that copies the log and has it up to `at`, as it says; it counts until the value is dropped.
    #[must_use]
    pub fn replica(&self, at: PhysicalOffset) -> Replica {
        Replica::new(Arc::clone(&self.log), at.0)
    }

    /// Whether the log can be cut at `at`: it is in it, and in its newest slice.
    #[must_use]
    pub fn can_cut(&self, at: PhysicalOffset) -> bool {
        let (start, end) = (self.log.start(), self.log.end());
        let newest_slice = end - end % self.keeper.options.slice_bytes;
        (start.max(newest_slice)..=end).contains(&at.0)
    }

    /// Notes that the log is to be cut at `at`, a record's beginning or the log's end, when it is opened next; what is
    /// cut off is then kept in files `cut-OFFSET-TIME` of the group's folder. Nothing must be appended meanwhile.
    /// Blocks.
    ///
    /// # Errors
    /// What the system says; nothing is noted then.
    pub fn cut_at_next_open(&self, at: PhysicalOffset) -> std::io::Result<()> {
        if !self.can_cut(at) {
            return Err(std::io::ErrorKind::InvalidInput.into());
        }
        self.log.stop_appends();
        let noted_ms = self.log.clock().now_ms();
        Cut { at: at.0, noted_ms }.note(self.log.disk(), &self.keeper.options.dir)
    }

    /// The last whole record that ends at or below `end`, if one is found within the size of the largest record;
    /// it may be a part of a larger one that looks like a record. May block on the disk.
    ///
    /// # Errors
    /// [`ReadError::Unavailable`]: the disk does not give it now.
    pub fn last_record_below(
        &self,
        end: PhysicalOffset,
    ) -> Result<Option<(PhysicalOffset, Bytes)>, ReadError> {
        let found = self.log.last_record_below(end.0);
        found.map_err(|error| reading::unreadable(end.0, &error))
    }

    /// Up to where the log is on the disk.
    #[must_use]
    pub fn flushed_to(&self) -> PhysicalOffset {
        PhysicalOffset(self.log.flushed_to())
    }

    /// How many appends wait for whoever writes the log, and for how many milliseconds that one has been at it.
    #[must_use]
    pub fn waiting_appends(&self) -> (usize, u64) {
        self.log.waiting()
    }

    /// How long ago the newest record was stored, by the clock of who stored it first; `None` if there is none.
    #[must_use]
    pub fn newest_stored_ago(&self) -> Option<Duration> {
        let newest = self.log.while_held(|_, newest| newest);
        let ago_ms = self.keeper.clock.now_ms().saturating_sub(newest);
        (newest > 0).then(|| Duration::from_millis(u64::try_from(ago_ms).unwrap_or(0)))
    }

    /// How many places of the log were found damaged since it was opened: what lay there is lost here, and stepped
    /// over.
    #[must_use]
    pub fn damaged_places(&self) -> usize {
        self.log.segments().damaged_places()
    }

    /// Its databases. Blocks.
    #[must_use]
    pub fn databases(&self) -> Databases {
        let dir = &self.keeper.options.dir;
        let (slices, open) = self.derived.slices.counts();
        let bytes = files_bytes(&dir.join("tables")) + files_bytes(&dir.join("slices"));
        Databases { bytes, slices, open }
    }

    /// Whether appends are refused because the disk is full.
    #[must_use]
    pub fn is_read_only(&self) -> bool {
        self.log.is_read_only()
    }

    /// Registers what is told about every new message (long polling); only the first registration counts.
    pub fn set_listener(&self, listener: Listener) {
        self.log.set_listener(listener);
    }

    /// Refuses further appends; what was appended before goes on to slaves and is read as ever.
    pub fn refuse_appends(&self) {
        self.log.stop_appends();
    }

    /// Refuses further appends, brings everything to the disk, and ends the threads; returns whether all that the
    /// next start does not make again by itself is there. Blocks.
    pub fn stop(&self) -> bool {
        self.log.stop_appends();
        let saved = self.saver.save();
        if let Err(error) = &saved {
            tracing::error!(dir = %self.keeper.options.dir.display(), %error, "not all could be saved");
        }
        self.end(Stop::Finish) && saved.is_ok()
    }

    /// Returns whether the threads ended in order.
    fn end(&self, stop: Stop) -> bool {
        self.keeper.stop();
        self.saver.stop();
        self.log.stop(stop);
        let threads =
            std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        let mut in_order = true;
        for thread in threads {
            if thread.join().is_err() {
                tracing::error!("a thread of the store ended by a panic");
                in_order = false;
            }
        }
        in_order
    }
}

/// The databases of a store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Databases {
    /// What their files take.
    pub bytes: u64,
    /// Those of queues and index: one for each slice of the log.
    pub slices: usize,
    /// What of these are open.
    pub open: usize,
}

/// What all files below a folder take; what goes away meanwhile counts or not.
fn files_bytes(dir: &std::path::Path) -> u64 {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let sizes = entries.map(|entry| match entry.metadata() {
        Ok(found) if found.is_dir() => files_bytes(&entry.path()),
        Ok(found) => found.len(),
        Err(_) => 0,
    });
    sizes.sum()
}

impl Drop for Store {
    fn drop(&mut self) {
        self.log.stop_appends();
        self.end(Stop::Abandon);
    }
}
