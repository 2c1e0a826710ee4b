//! Which messages wait for a time of their own: followed in memory, saved in buckets of a second.
//!
//! Not their delivery, nor what their properties ask for (`broker`). The log says all of it: a record of
//! `rmq_sys_wheel_timer` waits until a later record names it as its predecessor, because it delivers, moves or cancels
//! the message ([`TimerChange`]). So a slave knows what its master delivered, and nothing has to be agreed upon.
//! Invariants: a message is known as waiting until the record that ends that is in the log; nothing enters the database
//! before the log bytes that it follows from are on the disk; in memory are only what is due within
//! [`LOADED_AHEAD_MS`], about [`LOADED_MAX`] of them, and what changed since the last save.
//!
//! Measured by `tests/bench/timers.rs` (2 cores, busy with other work too; an unoptimised build but where it says so):
//!
//! | | |
//! | --- | --- |
//! | a node with 1 M messages that wait for up to 40 days, just opened | 68 MB of memory in all |
//! | then 1 000 due a second for 20 s | late by 1 ms (half), 3 ms (99 %), 10 ms (all); 84 MB |
//! | then 50 000 due in the same second | the last one late by 1.0 s, by 0.2 s if optimised; 100 MB |
//! | appending and saving 1 M, optimised | 9.8 us of CPU each |
//! | memory while 1 M are appended in 6 s and saved | 200 to 230 MB; 191 MB without their waiting: their queue and index |
//! | disk | 123 bytes each, of messages that are due in different seconds |

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::dispatch::TimerChange;
use super::schema::timers as schema;
use super::timer_rows::{Timer, bucket_rows, buckets, change_bucket, scan, set};
use crate::kv::{Batch, Database, KvError, OpenError, SledDatabase};
use crate::model::PhysicalOffset;

/// How far ahead of the time messages are loaded, in milliseconds.
const LOADED_AHEAD_MS: i64 = 10_000;
/// From so many loaded messages on no more buckets are loaded.
const LOADED_MAX: usize = 200_000;
/// How many rows are written at once.
const BATCH_ROWS: usize = 256;
/// How many changes are sorted and written at once.
const CHANGES_AT_ONCE: usize = 20_000;

/// Something that the database does not have yet.
#[derive(Clone, Copy, Debug)]
struct Change {
    /// The record that says so.
    by: PhysicalOffset,
    timer: Timer,
    waits: bool,
}

#[derive(Debug, Default)]
struct State {
    /// In the order of the log.
    unsaved: Vec<Change>,
    /// All that are due before `loaded_to_ms`.
    loaded: BTreeSet<Timer>,
    loaded_to_ms: i64,
    /// When whoever delivers will come by himself.
    comes_at_ms: i64,
    /// Records below it are to be stored again.
    wanted_below: PhysicalOffset,
}

/// What is on the disk. Held while that is read or written.
#[derive(Debug)]
struct Saved {
    /// `None` as long as nothing ever waited, and until a rebuild is done.
    database: Option<SledDatabase>,
    /// Up to where the log is in it.
    to: PhysicalOffset,
    /// It has to be made again from the log up to `to`. Until then changes stay in memory.
    is_lost: bool,
}

impl Saved {
    /// Reads the database, if there is one; it is made again if it is damaged.
    fn read<T>(
        &mut self,
        read: impl FnOnce(&dyn Database) -> Result<T, KvError>,
    ) -> Result<Option<T>, KvError> {
        let Some(database) = &self.database else { return Ok(None) };
        let result = read(database).map(Some);
        if let Err(KvError::Corrupt(why)) = &result {
            self.condemn(why);
        }
        result
    }

    fn refuse_if_lost(&self) -> Result<(), KvError> {
        let error = || KvError::Io(io::Error::other("the timers are being made again"));
        if self.is_lost { Err(error()) } else { Ok(()) }
    }

    fn condemn(&mut self, why: &str) {
        tracing::error!(why, "the timers are made again");
        (self.database, self.is_lost) = (None, true);
    }
}

/// Some of what waits, in the order of delivery.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Part {
    /// The messages.
    pub timers: Vec<Timer>,
    /// Where the next part begins; nothing if there is none.
    pub next: Option<Timer>,
}

/// The messages of a group that wait for a time of their own.
#[derive(Debug)]
pub struct Timers {
    dir: PathBuf,
    identity: Vec<u8>,
    state: Mutex<State>,
    saved: Mutex<Saved>,
    comes_earlier: Notify,
}

impl Timers {
    /// Opens the database in `dir`. What comes from `read_from` on will be dispatched; `may_wait` tells whether there
    /// was ever a record of the timer topic before.
    pub(super) fn open(
        dir: PathBuf,
        identity: &str,
        checkpoint: Option<PhysicalOffset>,
        read_from: PhysicalOffset,
        may_wait: bool,
    ) -> io::Result<Self> {
        let identity = identity.as_bytes().to_vec();
        let found = match SledDatabase::open(&dir, &identity) {
            Ok(database) => written_to(&database).map(|to| Some((database, to))),
            Err(OpenError::Missing) => Ok(None),
            Err(OpenError::Io(error)) => return Err(error),
            Err(OpenError::Condemned(why)) => Err(KvError::Corrupt(why)),
        };
        let found = match found {
            // It lost what was saved.
            Ok(Some((_, to))) if checkpoint.is_some_and(|checkpoint| to < checkpoint) => None,
            Ok(found) => found,
            Err(KvError::Io(error)) => return Err(error),
            Err(error) => {
                tracing::error!(%error, dir = %dir.display(), "the timers are made again");
                None
            }
        };
        let is_lost = found.is_none() && may_wait;
        let database = found.map(|(database, _)| database);
        Ok(Self {
            dir,
            identity,
            state: Mutex::default(),
            saved: Mutex::new(Saved { database, to: read_from, is_lost }),
            comes_earlier: Notify::new(),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn saved(&self) -> MutexGuard<'_, Saved> {
        self.saved.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes what a record at `by` changes, from memory only.
    pub(super) fn dispatch(&self, by: PhysicalOffset, change: TimerChange) {
        let mut state = self.state();
        for (timer, waits) in changes_of(by, change) {
            state.unsaved.push(Change { by, timer, waits });
            if timer.due_ms < state.loaded_to_ms {
                if !waits {
                    state.loaded.remove(&timer);
                } else if state.loaded.insert(timer) && timer.due_ms < state.comes_at_ms {
                    state.comes_at_ms = timer.due_ms;
                    self.comes_earlier.notify_one();
                }
            }
        }
    }

    /// The next messages that are due, at most so many. Blocks.
    ///
    /// # Errors
    /// The database cannot be read now.
    pub fn due(&self, now_ms: i64, count_max: usize) -> Result<Vec<Timer>, KvError> {
        self.load(now_ms)?;
        let state = self.state();
        let due = state.loaded.iter().take_while(|timer| timer.due_ms <= now_ms);
        Ok(due.take(count_max).copied().collect())
    }

    /// When to ask for the next ones, in milliseconds since 1970; [`Self::comes_earlier`] tells if that changes.
    #[must_use]
    pub fn next_look_at(&self) -> i64 {
        let mut state = self.state();
        let first = state.loaded.first().map_or(i64::MAX, |timer| timer.due_ms);
        let is_full = state.loaded.len() >= LOADED_MAX;
        let load_at = if is_full { i64::MAX } else { state.loaded_to_ms - LOADED_AHEAD_MS / 2 };
        state.comes_at_ms = first.min(load_at);
        state.comes_at_ms
    }

    /// How many messages are loaded, because they are due within [`LOADED_AHEAD_MS`], and when the first of them is due.
    #[must_use]
    pub fn loaded(&self) -> (usize, Option<i64>) {
        let state = self.state();
        (state.loaded.len(), state.loaded.first().map(|timer| timer.due_ms))
    }

    /// Waits until something is to be done before the time that [`Self::next_look_at`] said last.
    pub async fn comes_earlier(&self) {
        self.comes_earlier.notified().await;
    }

    /// Loads the next buckets if it is time for that.
    fn load(&self, now_ms: i64) -> Result<(), KvError> {
        let (from_ms, count) = {
            let state = self.state();
            (state.loaded_to_ms, state.loaded.len())
        };
        // Before anything that may wait for a save.
        if from_ms - now_ms > LOADED_AHEAD_MS / 2 || count >= LOADED_MAX {
            return Ok(());
        }
        let mut saved = self.saved();
        saved.refuse_if_lost()?;
        let to_ms = now_ms - now_ms.rem_euclid(schema::BUCKET_MS) + LOADED_AHEAD_MS;
        let found = saved.read(|database| buckets(database, from_ms..to_ms, LOADED_MAX - count))?;
        let (found, to_ms) = found.unwrap_or((Vec::new(), to_ms));
        let mut state = self.state();
        let State { unsaved, loaded, loaded_to_ms, .. } = &mut *state;
        loaded.extend(found);
        for Change { timer, waits, .. } in unsaved.iter() {
            if (from_ms..to_ms).contains(&timer.due_ms) {
                set(loaded, *timer, *waits);
            }
        }
        *loaded_to_ms = to_ms;
        Ok(())
    }

    /// Whether a message still waits. Blocks.
    ///
    /// # Errors
    /// The database cannot be read now, or is being made again: "no" would be taken for the end of the message.
    pub fn is_waiting(&self, timer: Timer) -> Result<bool, KvError> {
        let mut saved = self.saved();
        saved.refuse_if_lost()?;
        let is_saved = saved.read(|database| {
            let (timers, _) = bucket_rows(database, timer.bucket())?;
            Ok(timers.contains(&timer))
        })?;
        let state = self.state();
        let last = state.unsaved.iter().rev().find(|change| change.timer == timer);
        Ok(last.map_or(is_saved == Some(true), |change| change.waits))
    }

    /// Messages that wait and whose records begin below `offset`, at most so many, in any order; `None` if that is not
    /// known yet. Reads all that wait. Blocks.
    ///
    /// # Errors
    /// The database cannot be read now.
    pub fn below(
        &self,
        offset: PhysicalOffset,
        count_max: usize,
    ) -> Result<Option<Vec<Timer>>, KvError> {
        let mut saved = self.saved();
        if saved.is_lost {
            return Ok(None);
        }
        let mut last = BTreeMap::new();
        let state = self.state();
        for Change { timer, waits, .. } in &state.unsaved {
            if timer.offset < offset {
                last.insert(*timer, *waits);
            }
        }
        drop(state);
        let unsaved = last.iter().filter(|(_, waits)| **waits).map(|(timer, _)| *timer);
        let mut found: Vec<_> = unsaved.collect();
        saved.read(|database| {
            scan(database, Timer::FIRST, |_, row| {
                let is_one = |timer: &Timer| timer.offset < offset && !last.contains_key(timer);
                found.extend(row.into_iter().filter(is_one));
                found.len() < count_max
            })
        })?;
        found.truncate(count_max);
        Ok(Some(found))
    }

    /// What waits from `from` on, at most so many; `None` if that is not known yet. Blocks.
    ///
    /// # Errors
    /// The database cannot be read now.
    pub fn part(&self, from: Timer, count_max: usize) -> Result<Option<Part>, KvError> {
        let mut saved = self.saved();
        if saved.is_lost {
            return Ok(None);
        }
        // Whole buckets, because a bucket's rows are in no order.
        let range = from.bucket() * schema::BUCKET_MS..i64::MAX;
        let found = saved.read(|database| buckets(database, range.clone(), count_max))?;
        let (found, to_ms) = found.unwrap_or((Vec::new(), range.end));
        let mut waiting: BTreeSet<_> = found.into_iter().filter(|timer| *timer >= from).collect();
        for Change { timer, waits, .. } in &self.state().unsaved {
            if *timer >= from && timer.due_ms < to_ms {
                set(&mut waiting, *timer, *waits);
            }
        }
        let mut rest = waiting.into_iter();
        let timers = rest.by_ref().take(count_max).collect();
        let behind = || (to_ms < i64::MAX).then(|| Timer::first_at(to_ms));
        Ok(Some(Part { timers, next: rest.next().or_else(behind) }))
    }

    /// How many messages wait; none if that is not known yet. Reads all that wait. Blocks.
    ///
    /// # Errors
    /// The database cannot be read now.
    pub fn count(&self) -> Result<Option<usize>, KvError> {
        let mut saved = self.saved();
        if saved.is_lost {
            return Ok(None);
        }
        let last: BTreeMap<_, _> = {
            let state = self.state();
            state.unsaved.iter().map(|change| (change.timer, change.waits)).collect()
        };
        let mut count = last.values().filter(|waits| **waits).count();
        saved.read(|database| {
            scan(database, Timer::FIRST, |_, row| {
                count += row.iter().filter(|timer| !last.contains_key(timer)).count();
                true
            })
        })?;
        Ok(Some(count))
    }

    /// Asks for all records below `offset` that wait to be stored again, because they are to be deleted. Returns
    /// whether there are any, or may be. Blocks.
    pub(super) fn hold_back(&self, offset: PhysicalOffset) -> Result<bool, KvError> {
        if self.below(offset, 1)?.is_some_and(|found| found.is_empty()) {
            return Ok(false);
        }
        self.state().wanted_below = offset;
        Ok(true)
    }

    /// Below which offset records that wait are to be stored again.
    #[must_use]
    pub fn wanted_below(&self) -> PhysicalOffset {
        self.state().wanted_below
    }

    /// Saves what records below `up_to` said, up to which the log must be on the disk. Blocks.
    pub(super) fn write_behind(&self, up_to: PhysicalOffset) -> Result<(), KvError> {
        let mut saved = self.saved();
        if saved.is_lost {
            return Ok(());
        }
        let count = self.state().unsaved.partition_point(|change| change.by < up_to);
        if count == 0 && saved.database.is_none() {
            return Ok(());
        }
        match self.write(&mut saved, count, up_to) {
            Err(KvError::Corrupt(why)) => {
                saved.condemn(&why);
                return Ok(());
            }
            written => written?,
        }
        saved.to = up_to;
        let mut state = self.state();
        // With the memory that it takes after a burst.
        state.unsaved = state.unsaved.split_off(count);
        Ok(())
    }

    /// Writes the first `count` changes, some at a time, so that they are not in memory twice.
    fn write(&self, saved: &mut Saved, count: usize, up_to: PhysicalOffset) -> Result<(), KvError> {
        let database = self.database_of(saved)?;
        for at in (0..count).step_by(CHANGES_AT_ONCE) {
            let part = at..count.min(at + CHANGES_AT_ONCE);
            let changes: BTreeMap<_, _> = {
                let state = self.state();
                let changes = state.unsaved[part].iter();
                // The last one of each counts.
                changes.map(|change| (change.timer, change.waits)).collect()
            };
            let changes: Vec<_> = changes.into_iter().collect();
            write_changes(database, &changes)?;
        }
        write_mark(database, up_to)
    }

    /// The database, made if there is none.
    fn database_of<'a>(&self, saved: &'a mut Saved) -> Result<&'a SledDatabase, KvError> {
        match &mut saved.database {
            Some(database) => Ok(database),
            none => Ok(none.insert(self.create()?)),
        }
    }

    /// Makes the database anew.
    fn create(&self) -> Result<SledDatabase, KvError> {
        remove(&self.dir)?;
        SledDatabase::create(&self.dir, &self.identity).map_err(|error| match error {
            OpenError::Io(error) => KvError::Io(error),
            other => KvError::Io(io::Error::other(other.to_string())),
        })
    }

    /// Up to where the log has to be read to make the database again, if that is so. The end stays: what comes later
    /// is known.
    pub(super) fn lost_to(&self) -> Option<PhysicalOffset> {
        let saved = self.saved();
        saved.is_lost.then_some(saved.to)
    }

    /// Ends a rebuild with all that waits at the offset that [`Self::lost_to`] said. Blocks.
    pub(super) fn rebuilt(
        &self,
        waiting: &BTreeSet<Timer>,
        to: PhysicalOffset,
    ) -> Result<(), KvError> {
        let mut saved = self.saved();
        if !saved.is_lost || saved.to != to {
            return Ok(());
        }
        let database = self.database_of(&mut saved)?;
        let waiting: Vec<_> = waiting.iter().map(|timer| (*timer, true)).collect();
        write_changes(database, &waiting)?;
        write_mark(database, to)?;
        saved.is_lost = false;
        drop(saved);
        tracing::info!(waiting = waiting.len(), "the timers were made again");
        self.comes_earlier.notify_one();
        Ok(())
    }
}

/// Follows records for a rebuild.
pub(super) fn take(waiting: &mut BTreeSet<Timer>, by: PhysicalOffset, change: TimerChange) {
    for (timer, waits) in changes_of(by, change) {
        set(waiting, timer, waits);
    }
}

/// What does not wait any more and what does, because of a record at `by`.
fn changes_of(by: PhysicalOffset, change: TimerChange) -> impl Iterator<Item = (Timer, bool)> {
    let TimerChange { due_ms, ends, waits } = change;
    let ended = ends.map(|offset| (Timer { due_ms, offset }, false));
    ended.into_iter().chain(waits.then_some((Timer { due_ms, offset: by }, true)))
}

/// Deletes the database in `dir`, if there is one.
pub(super) fn remove(dir: &Path) -> io::Result<()> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Writes changes, each of another message, in their order.
fn write_changes(database: &dyn Database, changes: &[(Timer, bool)]) -> Result<(), KvError> {
    let mut batch = Batch::default();
    for changes in changes.chunk_by(|(one, _), (other, _)| one.bucket() == other.bucket()) {
        change_bucket(database, &mut batch, changes)?;
        if batch.len() >= BATCH_ROWS {
            database.apply(schema::BUCKETS, std::mem::take(&mut batch))?;
        }
    }
    database.apply(schema::BUCKETS, batch)
}

/// Notes up to where the log is in the database, and brings all to the disk.
fn write_mark(database: &dyn Database, up_to: PhysicalOffset) -> Result<(), KvError> {
    let mut batch = Batch::default();
    batch.insert(schema::WRITTEN_TO, up_to.0.to_be_bytes());
    database.apply(schema::META, batch)?;
    database.flush()
}

fn written_to(database: &SledDatabase) -> Result<PhysicalOffset, KvError> {
    let value = database.get(schema::META, schema::WRITTEN_TO)?;
    let value = value.and_then(|value| value.try_into().ok()).map(u64::from_be_bytes);
    value
        .map(PhysicalOffset)
        .ok_or_else(|| KvError::Corrupt("it does not say how far it is".into()))
}

#[cfg(test)]
#[path = "timers_tests.rs"]
mod tests;
