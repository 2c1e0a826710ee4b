//! Making a slice again from the log, while everything else goes on.
//!
//! The new database is filled beside the condemned one and takes its place when it is whole. Not the reading
//! of the log: the caller gives the records. Invariant: what is made depends on the records, the `begin`
//! files and the topics' floors alone.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use super::derived::{Rows, write_mark};
use super::dispatch::Dispatch;
use super::key_index::{KeyIndex, write_run};
use super::queue_tail::QueueTail;
use super::slice_begin::BeginContent;
use super::slice_rows::{QueueKey, QueueState};
use super::slices::{Slices, write_keys};
use super::tables::Tables;
use crate::kv::{Database, KvError, OpenError, SledDatabase};
use crate::model::PhysicalOffset;

/// After how many records what was gathered is written.
const RECORDS_GATHERED: usize = 200_000;

/// A slice being made again.
#[derive(Debug)]
pub struct Rebuild {
    slices: Arc<Slices>,
    tables: Arc<Tables>,
    number: u64,
    end: u64,
    path: PathBuf,
    database: SledDatabase,
    /// The `begin` file's content; `None` if it is lost too.
    begin: Option<BTreeMap<QueueKey, QueueState>>,
    queues_after: Vec<(QueueKey, QueueState)>,
    queues: BTreeMap<QueueKey, QueueTail>,
    /// How queues were before their first record of the slice.
    before: BTreeMap<QueueKey, QueueState>,
    index: KeyIndex,
    start_time: Option<i64>,
    /// The end of the last record.
    taken_to: u64,
    gathered: usize,
}

impl Rebuild {
    pub(super) fn begin(
        slices: Arc<Slices>,
        tables: Arc<Tables>,
        number: u64,
        end: u64,
        queues_after: Vec<(QueueKey, QueueState)>,
    ) -> io::Result<Self> {
        let path = slices.path(number, "rebuilding");
        if path.exists() {
            std::fs::remove_dir_all(&path)?;
        }
        let database = SledDatabase::create(&path, &slices.identity(number));
        let database = database.map_err(|error| match error {
            OpenError::Io(error) => error,
            other => io::Error::other(other.to_string()),
        })?;
        let begin = match BeginContent::read(&slices.path(number, "begin")) {
            Ok(begin) => Some(begin.queues.into_iter().collect()),
            Err(error)
                if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::InvalidData) =>
            {
                None
            }
            Err(error) => return Err(error),
        };
        let index = KeyIndex::new(Arc::clone(&slices), slices.start_of(number), None);
        Ok(Self {
            slices,
            tables,
            number,
            end,
            path,
            database,
            begin,
            queues_after,
            queues: BTreeMap::new(),
            before: BTreeMap::new(),
            index,
            start_time: None,
            taken_to: 0,
            gathered: 0,
        })
    }

    /// Which records are needed: those that begin in this range (the end not included), in order.
    #[must_use]
    pub fn range(&self) -> (PhysicalOffset, PhysicalOffset) {
        (PhysicalOffset(self.slices.start_of(self.number)), PhysicalOffset(self.end))
    }

    /// Takes a record. Blocks now and then.
    ///
    /// # Errors
    /// What the system says; the rebuild is then given up by dropping it.
    pub fn dispatch(&mut self, dispatch: &Dispatch<'_>) -> Result<(), KvError> {
        let physical = dispatch.physical_offset.0;
        if self.slices.number_of(physical) != self.number || physical >= self.end {
            return Ok(());
        }
        self.start_time.get_or_insert(dispatch.store_timestamp);
        self.taken_to = physical + u64::from(dispatch.size);
        self.index.dispatch(dispatch);
        self.file(dispatch);
        dispatch.in_light_queues().for_each(|light| self.file(&light));
        self.gathered += 1;
        if self.gathered >= RECORDS_GATHERED { self.write() } else { Ok(()) }
    }

    /// Takes a record into one of its queues.
    fn file(&mut self, dispatch: &Dispatch<'_>) {
        let (topic, queue_id) = (dispatch.topic, dispatch.queue_id);
        let physical = dispatch.physical_offset.0;
        let row = self.tables.topics.row_for_record(topic, queue_id, dispatch.physical_offset);
        if dispatch.in_queue && physical >= row.floor.0 {
            let key = QueueKey { topic_id: row.id, queue_id };
            let begin = &self.begin;
            let tail = self.queues.entry(key).or_insert_with(|| {
                let state = begin.as_ref().and_then(|begin| begin.get(&key)).copied();
                // Where the log begins within the slice, the queue's first record does not follow on.
                let follows = state.filter(|state| state.next == dispatch.queue_offset.0);
                QueueTail::restored(follows.unwrap_or_default(), u64::MAX)
            });
            tail.push(dispatch, self.number);
            self.before
                .entry(key)
                .or_insert(QueueState { next: dispatch.queue_offset.0, ..QueueState::default() });
        }
    }

    fn write(&mut self) -> Result<(), KvError> {
        self.gathered = 0;
        let mut rows = Rows::default();
        for (key, tail) in &mut self.queues {
            let unwritten = tail.unwritten(u64::MAX);
            rows.add(&self.database, *key, tail.state(), &unwritten)?;
            unwritten.iter().for_each(|unwritten| tail.written(unwritten));
            tail.forget_written();
        }
        rows.apply(&self.database)?;
        for run in self.index.unwritten(u64::MAX) {
            write_run(&self.database, run)?;
        }
        self.index.written(u64::MAX);
        self.database.flush()
    }

    /// Puts the slice in its place; from now on it is read again. Blocks.
    ///
    /// # Errors
    /// What the system says; the slice stays condemned and will be asked for again.
    pub fn finish(mut self) -> Result<(), KvError> {
        self.write()?;
        let is_newest = self.slices.numbers().last() == Some(&self.number);
        write_mark(&self.database, if is_newest { self.end } else { self.taken_to })?;
        self.database.flush()?;
        let keys = self.slices.path(self.number, "keys-new");
        if !is_newest {
            write_keys(&self.database, &keys)?;
        }
        let Self { slices, tables, number, database, path, begin, queues_after, before, .. } = self;
        drop(database);
        // Opened once more: sled then writes the snapshot that later openings are fast with.
        drop(SledDatabase::open(&path, &slices.identity(number)));
        let lost_begin = begin.is_none().then(|| {
            let mut queues: BTreeMap<_, _> = queues_after.into_iter().collect();
            queues.extend(before);
            let rows = tables.topics.rows().into_iter();
            BeginContent {
                slice: number,
                start_time: self.start_time.unwrap_or(0),
                topics: rows.map(|(name, row)| (name, row.id, row.floor)).collect(),
                queues: queues.into_iter().collect(),
            }
        });
        slices.replace(number, lost_begin.as_ref())?;
        if !is_newest {
            std::fs::rename(keys, slices.path(number, "keys"))?;
        }
        tracing::info!(slice = number, "a slice was rebuilt");
        Ok(())
    }
}
