//! Saves what is derived from the log, behind it, in this order; one thread.
//!
//! Positions are noted, the log is flushed up to its end X, queues and index are written up to X, the noted positions
//! are saved, then the checkpoint says X. Invariants: nothing saved points to log bytes that are not on the disk;
//! positions never run ahead of the log; the checkpoint is written last.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::checkpoint::{Checkpoint, CheckpointFile, boot_id};
use super::derived::{Derived, WriteError};
use super::log::CommitLog;
use super::tables::Tables;
use crate::clock::Clock;
use crate::kv::KvError;
use crate::model::PhysicalOffset;

/// Why a save did not come to its end; the next one does it all.
#[derive(Debug, thiserror::Error)]
pub(super) enum SaveError {
    /// The log is not flushed any more: the store is ending.
    #[error("the log's flushing has ended")]
    Ended,
    #[error(transparent)]
    Write(#[from] WriteError),
    #[error(transparent)]
    Tables(#[from] KvError),
    #[error("the checkpoint cannot be written: {0}")]
    Checkpoint(#[from] io::Error),
}

/// Nothing was saved yet.
const NOTHING: u64 = u64::MAX;

/// What somebody wants of the saving thread.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Wanted {
    stop: bool,
    /// A topic or group changed.
    configs: bool,
    /// Much was appended.
    all: bool,
}

/// Saves a store.
#[derive(Debug)]
pub(super) struct Saver {
    log: Arc<CommitLog>,
    derived: Arc<Derived>,
    tables: Arc<Tables>,
    /// Held while saving: one saves at a time.
    file: Mutex<CheckpointFile>,
    /// What the checkpoint says; [`NOTHING`] if there is none. Asked while a save is going on.
    saved_to: AtomicU64,
    wanted: Mutex<Wanted>,
    waker: Condvar,
    clock: Clock,
    boot_id: u128,
}

impl Saver {
    pub(super) fn new(
        log: Arc<CommitLog>,
        derived: Arc<Derived>,
        tables: Arc<Tables>,
        file: CheckpointFile,
        saved_to: Option<u64>,
        clock: Clock,
    ) -> Self {
        Self {
            log,
            derived,
            tables,
            file: Mutex::new(file),
            saved_to: AtomicU64::new(saved_to.unwrap_or(NOTHING)),
            wanted: Mutex::default(),
            waker: Condvar::new(),
            clock,
            boot_id: boot_id(),
        }
    }

    fn wanted(&self) -> MutexGuard<'_, Wanted> {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks for topics and groups to be saved soon: one changed. Only signals.
    pub(super) fn configs_changed(&self) {
        self.wanted().configs = true;
        self.waker.notify_all();
    }

    /// Asks for a save if there are so many bytes of log to save.
    pub(super) fn log_grew(&self, bytes_max: u64) {
        let saved_to = self.saved_to().unwrap_or(self.log.opened_at());
        if self.log.end().saturating_sub(saved_to) >= bytes_max {
            self.wanted().all = true;
            self.waker.notify_all();
        }
    }

    /// Ends the thread.
    pub(super) fn stop(&self) {
        self.wanted().stop = true;
        self.waker.notify_all();
    }

    /// What the checkpoint says.
    pub(super) fn saved_to(&self) -> Option<u64> {
        Some(self.saved_to.load(Ordering::Acquire)).filter(|saved_to| *saved_to != NOTHING)
    }

    /// The thread: saves everything every `interval` and when asked to, until it is stopped.
    pub(super) fn run(&self, interval: Duration) {
        let mut all_at = self.clock.monotonic() + interval;
        loop {
            let wait = all_at.saturating_duration_since(self.clock.monotonic());
            let wait = self.tables.mirror_wait().map_or(wait, |mirror| mirror.min(wait));
            let Wanted { stop, all, .. } = self.wait(wait);
            if stop {
                return;
            }
            let now = self.clock.monotonic();
            let saved = if all || all_at <= now {
                all_at = now + interval;
                self.save()
            } else {
                self.tables.commit_configs().map_err(Into::into)
            };
            match saved {
                Ok(()) => {}
                Err(SaveError::Ended) => return,
                Err(SaveError::Write(WriteError::Condemned)) => {
                    tracing::info!(
                        "queues and index are saved when the newest slice is made again"
                    );
                }
                Err(error) => {
                    tracing::error!(%error, "queues, index and positions cannot be saved now")
                }
            }
        }
    }

    /// Waits for a wish, not longer than `wait_max`.
    fn wait(&self, wait_max: Duration) -> Wanted {
        let wanted = self.wanted();
        let (mut wanted, _) = self
            .waker
            .wait_timeout_while(wanted, wait_max, |wanted| *wanted == Wanted::default())
            .unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *wanted)
    }

    /// Saves everything up to the log's end. Blocks.
    ///
    /// # Errors
    /// [`SaveError`]; the checkpoint stays where it was.
    pub(super) fn save(&self) -> Result<(), SaveError> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let noted = self.tables.note_positions();
        let (end, newest_store_time) = self.log.while_held(|end, newest| (end.0, newest));
        if noted.is_empty() && self.saved_to() == Some(end) {
            return Ok(self.tables.save_configs()?);
        }
        if !self.log.flush_to(end) {
            self.tables.positions_not_saved(&noted);
            return Err(SaveError::Ended);
        }
        if let Err(error) = self.derived.write_behind(PhysicalOffset(end)) {
            self.tables.positions_not_saved(&noted);
            return Err(error.into());
        }
        self.tables.save_positions(&noted, end)?;
        let checkpoint =
            Checkpoint { offset: end, flushed_to: end, newest_store_time, boot_id: self.boot_id };
        file.write(self.log.disk(), &checkpoint)?;
        self.saved_to.store(end, Ordering::Release);
        Ok(())
    }
}
