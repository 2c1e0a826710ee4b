//! Keeps a store in order, on a thread of its own: makes condemned slices and lost timers again, watches the disk, and deletes what
//! is too old (ST-090 to ST-095).
//!
//! Invariants: the segment that the log ends in is never deleted, nor is one above the checkpoint; a file's age is
//! that of its newest message, not of the file (S-62); what a connected slave still copies stays until the disk is
//! fuller than `disk_expire_percent`.

use std::collections::BTreeSet;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::Thread;
use std::time::{Duration, Instant};

use super::derived::Derived;
use super::dispatch::{Facts, Place};
use super::log::{CommitLog, Segment};
use super::options::{Retention, StoreOptions};
use super::recovery::read_records;
use super::saver::Saver;
use super::timers;
use crate::clock::Clock;
use crate::model::PhysicalOffset;

/// How often condemned slices are looked for.
const REBUILD_PERIOD: Duration = Duration::from_secs(1);
/// How often the disk and the age of segments are looked at (B-043).
const CLEAN_PERIOD: Duration = Duration::from_secs(10);
/// How many segments are deleted at once (ST-091).
const DELETED_MAX: usize = 10;
/// How often old files are deleted at any hour once an operator asked for it (ST-093).
const MANUAL_ROUNDS: u32 = 20;
const HOUR_MS: i64 = 3_600_000;

/// Keeps a store in order.
#[derive(Debug)]
pub(super) struct Keeper {
    pub(super) options: StoreOptions,
    pub(super) clock: Clock,
    pub(super) log: Arc<CommitLog>,
    pub(super) derived: Arc<Derived>,
    pub(super) saver: Arc<Saver>,
    pub(super) stopped: AtomicBool,
    /// How often more old files are deleted at any hour.
    pub(super) manual_rounds: AtomicU32,
    pub(super) thread: OnceLock<Thread>,
}

impl Keeper {
    /// The thread.
    pub(super) fn run(&self) {
        self.thread.get_or_init(std::thread::current);
        let mut clean_at: Option<Instant> = None;
        while !self.stopped.load(Ordering::Acquire) {
            if let Err(error) = self.rebuild_condemned() {
                tracing::error!(%error, "a slice cannot be made again now");
            }
            if let Err(error) = self.rebuild_timers() {
                tracing::error!(%error, "the timers cannot be made again now");
            }
            let now = self.clock.monotonic();
            if clean_at.is_none_or(|at| at <= now) {
                clean_at = Some(now + CLEAN_PERIOD);
                if let Err(error) = self.clean().and_then(|()| self.derived.tidy()) {
                    tracing::error!(%error, "old files of the log cannot be deleted now");
                }
            }
            std::thread::park_timeout(REBUILD_PERIOD);
        }
    }

    /// Ends the thread, when it has done what it is at.
    pub(super) fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
        if let Some(thread) = self.thread.get() {
            thread.unpark();
        }
    }

    /// The next [`MANUAL_ROUNDS`] times what is too old is deleted, whatever the hour.
    pub(super) fn delete_expired_now(&self) {
        self.manual_rounds.store(MANUAL_ROUNDS, Ordering::Release);
    }

    /// Makes all condemned slices again, from the log.
    pub(super) fn rebuild_condemned(&self) -> io::Result<()> {
        while let Some(mut rebuild) = self.derived.wanted_rebuild()? {
            let (from, to) = rebuild.range();
            let segments = self.log.segments();
            let from = from.0.max(segments.start());
            // A slice may begin within a record; a segment does not.
            let boundary = segments.holding(from).map_or(from, |segment| segment.start());
            read_records(segments, boundary..to.0.min(self.log.end()), |record| {
                if self.stopped.load(Ordering::Acquire) {
                    return Err(io::ErrorKind::Interrupted.into());
                }
                if record.physical_offset().0 < from {
                    return Ok(());
                }
                let facts = Facts::of(record, &self.options);
                let dispatch = facts.placed(record.topic(), record.queue_id(), Place::of(record));
                rebuild.dispatch(&dispatch).map_err(io::Error::other)
            })?;
            rebuild.finish().map_err(io::Error::other)?;
        }
        Ok(())
    }

    /// Makes the timers again, from the log, if they are lost.
    pub(super) fn rebuild_timers(&self) -> io::Result<()> {
        let Some(to) = self.derived.timers().lost_to() else { return Ok(()) };
        let segments = self.log.segments();
        let mut waiting = BTreeSet::new();
        read_records(segments, segments.start()..to.0, |record| {
            if self.stopped.load(Ordering::Acquire) {
                return Err(io::ErrorKind::Interrupted.into());
            }
            if let Some(change) = Facts::of(record, &self.options).timer() {
                timers::take(&mut waiting, record.physical_offset(), change);
            }
            Ok(())
        })?;
        self.derived.timers().rebuilt(&waiting, to).map_err(io::Error::other)
    }

    /// Whether a segment, that is to be deleted, has messages that wait for a time of their own: these are stored again
    /// first. A disk that takes nothing more cannot wait for that.
    fn is_held_back(&self, segment: &Segment) -> io::Result<bool> {
        let (timers, end) = (self.derived.timers(), PhysicalOffset(segment.end()));
        if !timers.hold_back(end).map_err(io::Error::other)? {
            return Ok(false);
        }
        if self.log.is_read_only() {
            tracing::error!(segment = %segment.path().display(), "messages that wait for their time are deleted: the disk is full");
            return Ok(false);
        }
        tracing::info!(segment = %segment.path().display(), "a file of the log stays until what waits in it is stored again");
        Ok(true)
    }

    /// Looks how full the disk is, and deletes the segments that are too old, or that the disk has no room for.
    pub(super) fn clean(&self) -> io::Result<()> {
        let used = self.log.disk().used_percent(&self.options.dir)?;
        let retention = self.options.retention.get();
        self.log.set_too_full(used > f64::from(retention.disk_read_only_percent), used);
        let is_forced = used > f64::from(retention.disk_force_percent);
        let is_pressed = used > f64::from(retention.disk_expire_percent);
        let less = |rounds: u32| rounds.checked_sub(1);
        let is_manual =
            self.manual_rounds.fetch_update(Ordering::AcqRel, Ordering::Acquire, less).is_ok();
        let is_time = self.is_delete_hour(&retention) || is_pressed || is_manual;
        let mut deleted = 0;
        while (is_forced || is_time) && deleted < DELETED_MAX {
            let list = self.log.segments().all();
            let [oldest, later @ ..] = list.as_slice() else { break };
            let is_saved = self.saver.saved_to().is_some_and(|saved| oldest.end() <= saved);
            let is_copied = || self.log.copied_to().is_none_or(|at| oldest.end() <= at);
            let is_needless = || (is_pressed || is_copied()) && self.is_expired(&retention, later);
            if !is_saved || !(is_forced || is_needless()) || self.is_held_back(oldest)? {
                break;
            }
            tracing::info!(segment = %oldest.path().display(), used, is_forced, "a file of the log is deleted");
            self.log.segments().remove_oldest(self.log.disk())?;
            deleted += 1;
        }
        if deleted > 0 {
            self.derived.expire_below(PhysicalOffset(self.log.start()));
        }
        Ok(())
    }

    fn is_delete_hour(&self, retention: &Retention) -> bool {
        let hour = self.clock.local_ms().div_euclid(HOUR_MS).rem_euclid(24);
        retention.delete_hours.iter().any(|wanted| i64::from(*wanted) == hour)
    }

    /// Whether everything before `later` is too old: it was stored before the first message there that can be read.
    fn is_expired(&self, retention: &Retention, later: &[Arc<Segment>]) -> bool {
        let hours = i64::try_from(retention.hours).unwrap_or(i64::MAX);
        let oldest_kept = self.clock.now_ms().saturating_sub(hours.saturating_mul(HOUR_MS));
        let first = later.iter().find_map(|segment| self.log.first_store_time_in(segment));
        first.is_some_and(|stored| stored < oldest_kept)
    }
}
