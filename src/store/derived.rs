//! What is derived from the log: consume queues, key index and timers, followed in memory and saved in slices.
//!
//! Not the log itself, nor the checkpoint: the caller flushes the log before [`Derived::write_behind`] and saves
//! the checkpoint after it. Everything here can be made again by reading the log. Invariants: nothing enters a
//! slice before the log bytes it points to are on the disk; a new slice's `begin` is on the disk before
//! anything else of it; taking a record never touches the disk.
//!
//! Measured by `tests/bench/slices.rs` (2 cores, one run: 64 M messages of 1 200 bytes with one key, 400 queues,
//! nine slices of 8 GiB, saved every 250 000 messages; `files cold`: dropped from the page cache before):
//!
//! | | |
//! | --- | --- |
//! | dispatching, next offset included | 0.13 us of CPU a message |
//! | saving | 0.52 us of CPU a message; the longest, with the sealing of a slice, 0.6 s |
//! | disk | 69 bytes a message; a full slice 454 to 495 MB, its keys file 9 MB |
//! | opening | 65 ms with files cold, 10 ms else |
//! | 20 000 random reads of 32 entries over all slices | 176 us each with files cold, 41 us else |
//! | 1 000 queries by key over all slices | 11 to 14 ms each |
//! | memory | 94 MB after writing, 258 MB after 20 000 reads, at most 309 MB after queries |
//! | retention | half of the log gone in 0.5 s, 0.2 s of CPU; 1.8 GB freed |
//!
//! 100 M messages in 14 slices cost the same to write (0.14 and 0.45 us, 66 bytes a message, opened in 152 and 8 ms). Reads
//! that jump between more slices than are kept open cost an opening each: 7 ms of CPU.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::consume_queue::{ConsumeQueues, Queue, SavedQueue};
use super::dispatch::{Dispatch, Follower};
use super::key_index::{KeyIndex, last_run, remove_runs_from, write_run};
use super::queue_tail::Unwritten;
use super::rebuild::Rebuild;
use super::schema::slices as schema;
use super::slice_begin::BeginContent;
use super::slice_rows::{QueueKey, QueueState, RunInfo, decode_page, encode_page, page_key};
pub use super::slices::SliceOptions;
use super::slices::Slices;
use super::tables::{Source, Tables};
use super::timers::{self, Timers};
use crate::clock::Clock;
use crate::kv::{Batch, Database, KvError, SledDatabase};
use crate::model::{PhysicalOffset, QueueId, QueueOffset, system};

/// How many rows are written at once.
const BATCH_ROWS: usize = 256;
/// No slice: nothing was taken yet.
const NONE: u64 = u64::MAX;

/// What the log says of itself when the derived state is opened.
#[derive(Clone, Copy, Debug)]
pub struct LogExtent {
    /// Where it begins.
    pub start: PhysicalOffset,
    /// Up to where queues and index were saved, if that is known; never above what is on the disk.
    pub checkpoint: Option<PhysicalOffset>,
}

/// Why something could not be saved.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The newest slice is condemned: nothing is saved until [`Derived::wanted_rebuild`] was done. The checkpoint
    /// must not be moved.
    #[error("the newest slice is to be rebuilt")]
    Condemned,
    /// The system or the database said no; the next try may succeed.
    #[error(transparent)]
    Failed(#[from] KvError),
}

/// The newest slice, being written.
#[derive(Debug, Default)]
struct Writer {
    slice: Option<u64>,
    written_to: u64,
}

/// Consume queues, key index and timers of a group.
#[derive(Debug)]
pub struct Derived {
    queues: ConsumeQueues,
    index: KeyIndex,
    timers: Timers,
    tables: Arc<Tables>,
    pub(super) slices: Arc<Slices>,
    /// The slice of the newest record.
    current: AtomicU64,
    /// What held when slices began whose files are not yet made.
    begun: Mutex<Vec<BeginContent>>,
    writer: Mutex<Writer>,
}

/// What was opened, and what is missing.
#[derive(Debug)]
pub struct Opened {
    /// The queues and the index.
    pub derived: Derived,
    /// From where on the log has to be read again, record by record; at least the log's start.
    pub read_from: PhysicalOffset,
}

impl Follower for Derived {
    fn next_offset(&self, topic: &str, queue_id: QueueId) -> QueueOffset {
        self.queues.next_offset(topic, queue_id)
    }

    fn dispatch(&self, dispatch: &Dispatch<'_>) {
        let slice = self.slices.number_of(dispatch.physical_offset.0);
        let current = self.current.load(Ordering::Acquire);
        // Records of older slices are read again only where they are known already.
        if slice != current && (current == NONE || slice > current) {
            self.begin_slice(slice, dispatch.store_timestamp);
        }
        self.queues.dispatch(dispatch);
        dispatch.in_light_queues().for_each(|light| self.queues.dispatch(&light));
        self.index.dispatch(dispatch);
        if let Some(change) = dispatch.timer {
            self.timers.dispatch(dispatch.physical_offset, change);
        }
    }
}

impl Derived {
    /// Opens what is in a group's folder. What cannot be opened is deleted, to be read from the log again;
    /// `tables_source` says whether the topics' ids survived.
    ///
    /// # Errors
    /// What the system says; nothing is thrown away because of it.
    pub fn open(
        options: SliceOptions,
        tables: Arc<Tables>,
        tables_source: Source,
        log: LogExtent,
        clock: &Clock,
    ) -> io::Result<Opened> {
        let (timers_dir, identity) = (timers_dir(&options), options.identity.clone());
        let slices = Arc::new(Slices::open(options, clock)?);
        slices.expire_below(log.start.0);
        slices.tidy()?;
        let checkpoint = log.checkpoint.filter(|_| tables_source == Source::Database);
        let newest = newest_slice(&slices, checkpoint.map(|offset| offset.0))?;
        add_missing(&slices, log.start.0)?;
        let Newest { number, written_to, mut database } = newest;
        let (read_from, saved, last) = match number {
            None => (log.start.0, Vec::new(), None),
            Some(number) => {
                let begin = BeginContent::read(&slices.path(number, "begin"))?;
                if tables_source == Source::Export {
                    tables.topics.restore_ids(&begin.topics);
                }
                let from = |written_to| checkpoint.map_or(written_to, |at| at.0.min(written_to));
                let mut from = written_to.map(from);
                let mut tails = Vec::new();
                let mut last = None;
                if let (Some(open), Some(at)) = (&database, from) {
                    match read_newest(open, at) {
                        Ok(found) => (tails, last) = found,
                        Err(KvError::Io(error)) => return Err(error),
                        Err(error) => {
                            slices.condemn(number, &error.to_string());
                            (database, from) = (None, None);
                        }
                    }
                }
                slices.unseal(number)?;
                let from = from.unwrap_or(slices.start_of(number));
                (from.max(log.start.0), saved_queues(begin, tails, &tables), last)
            }
        };
        if let (Some(number), None) = (number, &database) {
            slices.create_database(number).map_err(into_io)?;
        }
        let last = last.map(|run| (PhysicalOffset(run.last), run.last_store_time));
        let queues = ConsumeQueues::new(
            Arc::clone(&tables),
            Arc::clone(&slices),
            saved,
            read_from,
            log.start.0,
        );
        let may_wait = read_from > log.start.0
            && queues.next_offset(system::TIMER_TOPIC, QueueId(0)) > QueueOffset(0);
        let at = PhysicalOffset(read_from);
        let timers = Timers::open(timers_dir, &identity, log.checkpoint, at, may_wait)?;
        let derived = Self {
            timers,
            queues,
            index: KeyIndex::new(Arc::clone(&slices), read_from, last),
            tables,
            slices,
            current: AtomicU64::new(number.unwrap_or(NONE)),
            begun: Mutex::default(),
            writer: Mutex::new(Writer { slice: number, written_to: read_from }),
        };
        Ok(Opened { derived, read_from: PhysicalOffset(read_from) })
    }

    /// The consume queues.
    #[must_use]
    pub fn queues(&self) -> &ConsumeQueues {
        &self.queues
    }

    /// The key index.
    #[must_use]
    pub fn index(&self) -> &KeyIndex {
        &self.index
    }

    /// The messages that wait for a time of their own.
    #[must_use]
    pub fn timers(&self) -> &Timers {
        &self.timers
    }

    /// Deletes a topic: its configuration, its queues and all groups' positions in it (B-062, S-46). To be
    /// called while no record is appended; `log_end` is where the next one will begin. Returns whether it was there.
    pub fn remove_topic(&self, topic: &str, log_end: PhysicalOffset) -> bool {
        self.tables.consumer_offsets.remove_topic(topic);
        self.queues.remove_topic(topic, log_end)
    }

    /// Whether what was saved lacks records that the log does not have any more, so that it has to be
    /// [cut](Self::delete_from) and opened again; asked after the log was read.
    #[must_use]
    pub fn is_ahead_of_log(&self) -> bool {
        self.queues.lack_records()
    }

    /// Before a log is cut at `offset` and what is derived is opened again: deletes all slices that have records
    /// from there on. The checkpoint must be lowered to the returned offset before.
    ///
    /// # Errors
    /// What the system says.
    pub fn delete_from(
        options: &SliceOptions,
        offset: PhysicalOffset,
        clock: &Clock,
    ) -> io::Result<PhysicalOffset> {
        timers::remove(&timers_dir(options))?;
        let slices = Slices::open(options.clone(), clock)?;
        let first = slices.number_of(offset.0);
        for number in slices.numbers().into_iter().rev().filter(|number| *number >= first) {
            slices.remove(number)?;
        }
        Ok(PhysicalOffset(slices.start_of(first)))
    }

    /// Notes that the log begins at `log_start` now; slices wholly below it are deleted when no one reads them.
    pub fn expire_below(&self, log_start: PhysicalOffset) {
        self.queues.expire_below(log_start.0);
        self.slices.expire_below(log_start.0);
    }

    /// Closes slices that no one reads, and deletes those that expired and that no one reads any more. Blocks.
    ///
    /// # Errors
    /// What the system says.
    pub fn tidy(&self) -> io::Result<()> {
        self.slices.tidy()
    }

    fn begin_slice(&self, slice: u64, start_time: i64) {
        let snapshot = self.queues.snapshot();
        let content =
            BeginContent { slice, start_time, topics: snapshot.topics, queues: snapshot.queues };
        self.begun.lock().unwrap_or_else(PoisonError::into_inner).push(content);
        self.current.store(slice, Ordering::Release);
    }

    /// Saves queues and index of all records that begin below `up_to`, up to which the log must be on the disk.
    /// One thread calls this, again and again. Blocks.
    ///
    /// # Errors
    /// [`WriteError`]; what was not saved is saved the next time, and the checkpoint stays where it is.
    pub fn write_behind(&self, up_to: PhysicalOffset) -> Result<(), WriteError> {
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        // Pages are filed under topic ids: these must not be lost before.
        self.tables.save_configs()?;
        self.timers.write_behind(up_to)?;
        loop {
            let next = self.next_begun(up_to.0);
            let bound = next.as_ref().map_or(up_to.0, |next| self.slices.start_of(next.slice));
            if let Some(slice) = writer.slice {
                if self.slices.is_condemned(slice) {
                    return Err(WriteError::Condemned);
                }
                self.write_slice(&mut writer, slice, bound)?;
            }
            let Some(next) = next else { break };
            if let Some(sealed) = writer.slice {
                match self.slices.seal(sealed) {
                    Err(KvError::Corrupt(why)) => self.slices.condemn(sealed, &why),
                    sealed => sealed?,
                }
            }
            self.slices.create(&next)?;
            (writer.slice, writer.written_to) = (Some(next.slice), bound);
            self.begun.lock().unwrap_or_else(PoisonError::into_inner).remove(0);
        }
        Ok(())
    }

    /// The next slice that is to be made, if records below `up_to` are in it.
    fn next_begun(&self, up_to: u64) -> Option<BeginContent> {
        let begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        begun.first().filter(|next| self.slices.start_of(next.slice) < up_to).cloned()
    }

    fn write_slice(&self, writer: &mut Writer, slice: u64, bound: u64) -> Result<(), WriteError> {
        let database = match self.slices.database(slice) {
            Ok(database) => database,
            Err(_) if self.slices.is_condemned(slice) => return Err(WriteError::Condemned),
            Err(error) => return Err(KvError::Io(io::Error::other(error)).into()),
        };
        let written = self.write_queues(&*database, bound).and_then(|pages| {
            let mut rows = pages;
            for run in self.index.unwritten(bound) {
                rows += run.len() / schema::CHUNK_ENTRIES + 1;
                write_run(&*database, run)?;
            }
            self.slices.used(slice, rows);
            write_mark(&*database, bound)?;
            database.flush()
        });
        if let Err(error) = written {
            self.slices.failed(slice, &error);
            return Err(error.into());
        }
        self.index.written(bound);
        writer.written_to = writer.written_to.max(bound);
        Ok(())
    }

    /// Writes the pages and tails of all queues that have something new below `bound`; returns how many pages.
    fn write_queues(&self, database: &dyn Database, bound: u64) -> Result<usize, KvError> {
        let listed = self.queues.take_listed();
        let mut written: Vec<(Arc<Queue>, Vec<Unwritten>)> = Vec::with_capacity(listed.len());
        let mut result = Ok(());
        for part in listed.chunks(BATCH_ROWS) {
            let mut rows = Rows::default();
            for queue in part {
                let (unwritten, state) = {
                    let mut tail = queue.tail();
                    (tail.unwritten(bound), tail.state())
                };
                if result.is_ok() {
                    result = rows.add(database, queue.key, state, &unwritten);
                }
                written.push((Arc::clone(queue), unwritten));
            }
            if result.is_ok() {
                result = rows.apply(database);
            }
        }
        // In memory until it is known to be on the disk: that of one slice is soon flushed.
        let flushed = result.and_then(|()| database.flush());
        let mut pages = 0;
        for (queue, unwritten) in written {
            pages += unwritten.len();
            if flushed.is_ok() {
                let mut tail = queue.tail();
                unwritten.iter().for_each(|unwritten| tail.written(unwritten));
            }
            self.queues.list_again(queue, unwritten.is_empty());
        }
        flushed.map(|()| pages)
    }

    /// A slice that has to be made again from the log, if there is one: the caller reads the records of
    /// [`Rebuild::range`] into it and finishes it. Reads that need the slice fail until then.
    ///
    /// # Errors
    /// What the system says.
    pub fn wanted_rebuild(&self) -> io::Result<Option<Rebuild>> {
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        // The newest first: its `begin` file says where the queues of the one before ended.
        let Some(number) = self.slices.condemned().last().copied() else { return Ok(None) };
        let end = if writer.slice == Some(number) {
            writer.written_to
        } else {
            self.slices.start_of(number + 1)
        };
        drop(writer);
        let queues_after = self.queues_after(number)?;
        let (slices, tables) = (Arc::clone(&self.slices), Arc::clone(&self.tables));
        Rebuild::begin(slices, tables, number, end, queues_after).map(Some)
    }

    /// All queues as they were when a slice ended, for its `begin` file if that is lost.
    fn queues_after(&self, number: u64) -> io::Result<Vec<(QueueKey, QueueState)>> {
        let numbers = self.slices.numbers();
        match numbers.iter().find(|other| **other > number) {
            Some(next) => match BeginContent::read(&self.slices.path(*next, "begin")) {
                Ok(begin) => Ok(begin.queues),
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::NotFound | io::ErrorKind::InvalidData
                    ) =>
                {
                    Ok(Vec::new())
                }
                Err(error) => Err(error),
            },
            None => Ok(self.queues.snapshot().queues),
        }
    }
}

/// Beside the slices.
fn timers_dir(options: &SliceOptions) -> std::path::PathBuf {
    options.dir.with_file_name("timers")
}

/// The slice to go on with.
struct Newest {
    number: Option<u64>,
    /// Up to where it has the log; `None` if it is to be filled anew.
    written_to: Option<u64>,
    database: Option<Arc<SledDatabase>>,
}

/// Finds the newest slice to go on with. Newer ones that are of no use are deleted: without a `begin` file, or
/// begun after the checkpoint. Without a checkpoint, the newest one is filled anew.
fn newest_slice(slices: &Slices, checkpoint: Option<u64>) -> io::Result<Newest> {
    for number in slices.numbers().into_iter().rev() {
        let is_after = checkpoint.is_some_and(|offset| slices.start_of(number) > offset);
        if slices.begin(number).is_err() || is_after {
            slices.remove(number)?;
            continue;
        }
        let anew = Newest { number: Some(number), written_to: None, database: None };
        let Some(checkpoint) = checkpoint else { return Ok(anew) };
        let database = match slices.database(number) {
            Ok(database) => database,
            Err(_) if slices.is_condemned(number) => return Ok(anew),
            Err(error) => return Err(io::Error::other(error)),
        };
        let mark = match database.get(schema::META, schema::WRITTEN_TO) {
            Ok(mark) => mark,
            Err(KvError::Io(error)) => return Err(error),
            Err(error) => {
                slices.condemn(number, &error.to_string());
                return Ok(anew);
            }
        };
        let written_to = mark.and_then(|mark| mark.try_into().ok()).map(u64::from_be_bytes);
        if written_to.is_none_or(|written_to| written_to < checkpoint) {
            tracing::error!(
                slice = number,
                written_to,
                checkpoint,
                "a slice lost what was saved and is made again"
            );
            return Ok(anew);
        }
        return Ok(Newest { number: Some(number), written_to, database: Some(database) });
    }
    Ok(Newest { number: None, written_to: None, database: None })
}

/// Adds the slices that the log has but that are not there, to be rebuilt.
fn add_missing(slices: &Slices, log_start: u64) -> io::Result<()> {
    let numbers = slices.numbers();
    let Some(newest) = numbers.last() else { return Ok(()) };
    for number in slices.number_of(log_start)..*newest {
        if !numbers.contains(&number) {
            slices.add(number)?;
        }
    }
    Ok(())
}

/// A queue as a slice has it.
type Tail = (QueueKey, QueueState);

/// The queues that the newest slice has, and its last run below `from`; later runs are removed.
fn read_newest(
    database: &SledDatabase,
    from: u64,
) -> Result<(Vec<Tail>, Option<RunInfo>), KvError> {
    let mut tails = Vec::new();
    let mut is_damaged = false;
    database.scan(schema::TAILS, &[], &mut |key, value| {
        match (QueueKey::parse(key), QueueState::decode(key, value)) {
            (Some(queue), Some(state)) => tails.push((queue, state)),
            _ => is_damaged = true,
        }
        !is_damaged
    })?;
    if is_damaged {
        return Err(KvError::Corrupt("a queue's tail cannot be read".to_owned()));
    }
    remove_runs_from(database, from)?;
    Ok((tails, last_run(database, u64::MAX)?))
}

/// All queues as they were saved: from the `begin` file, or from the slice where it has newer ones.
fn saved_queues(begin: BeginContent, tails: Vec<Tail>, tables: &Tables) -> Vec<SavedQueue> {
    let mut states: std::collections::BTreeMap<QueueKey, QueueState> =
        begin.queues.into_iter().collect();
    states.extend(tails);
    let rows = tables.topics.rows();
    let names: std::collections::HashMap<u32, _> =
        rows.into_iter().map(|(name, row)| (row.id, name)).collect();
    let named = states
        .into_iter()
        .filter_map(|(key, state)| Some((names.get(&key.topic_id)?.clone(), key, state)));
    named.collect()
}

/// Notes up to where a slice has the log.
pub(super) fn write_mark(database: &dyn Database, written_to: u64) -> Result<(), KvError> {
    let mut batch = Batch::default();
    batch.insert(schema::WRITTEN_TO, written_to.to_be_bytes());
    database.apply(schema::META, batch)
}

/// Rows of several queues that are written together: pages first, then tails.
#[derive(Default)]
pub(super) struct Rows {
    pages: Batch,
    tails: Batch,
}

impl Rows {
    pub(super) fn add(
        &mut self,
        database: &dyn Database,
        queue: QueueKey,
        state: QueueState,
        unwritten: &[Unwritten],
    ) -> Result<(), KvError> {
        for Unwritten { page, .. } in unwritten {
            let key = page_key(queue, page.number);
            let mut page = page.clone();
            if page.first_slot > 0
                && let Some(value) = database.get(schema::PAGES, &key)?
                && let Some(older) = decode_page(&key, &value)
            {
                page.continue_from(&older);
            }
            self.pages.insert(key, encode_page(&key, &page));
        }
        if let Some(last) = unwritten.last()
            && let Some(entry) = last.page.entries.last()
        {
            let size = if entry.is_hole() { 0 } else { u64::from(entry.size) };
            let last_end = entry.physical_offset.0 + size;
            let state = QueueState { next: last.page.end(), last_end, ..state };
            self.tails.insert(queue.bytes(), state.encode(&queue.bytes()));
        }
        if self.pages.len() >= BATCH_ROWS {
            database.apply(schema::PAGES, std::mem::take(&mut self.pages))?;
        }
        Ok(())
    }

    pub(super) fn apply(self, database: &dyn Database) -> Result<(), KvError> {
        if !self.pages.is_empty() {
            database.apply(schema::PAGES, self.pages)?;
        }
        if self.tails.is_empty() { Ok(()) } else { database.apply(schema::TAILS, self.tails) }
    }
}

fn into_io(error: KvError) -> io::Error {
    match error {
        KvError::Io(error) => error,
        other => io::Error::other(other),
    }
}
