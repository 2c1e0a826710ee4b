//! The commit log: segment files, appending, flushing, reading (ST-001 to ST-007, ST-060 to ST-063).
//!
//! | file | what |
//! | --- | --- |
//! | `segments` | the files |
//! | `append` | appending, together with whatever else waits |
//! | `gather` | what is written at once, and the places that it gets |
//! | `flush` | bringing bytes to the disk |
//! | `replicas` | the slaves that copy it |
//! | `waiters` | who is told when it is on the disk, or with slaves |
//! | `copy` | appending what a master's log has |
//! | `stall` | a disk that keeps it waiting: who is told, and when |
//! | `scan` | reading from front to back |
//!
//! Not what is built from it: queues and index follow it as a [`Follower`]. Invariants: bytes below
//! [`CommitLog::end`] never change; every byte below it belongs to a whole record, a blank record, or
//! a hole that recovery found, or that the master's log has; one thread at a time writes, all others read without a lock.

mod append;
mod copy;
mod flush;
mod gather;
mod replicas;
mod scan;
mod segments;
mod stall;
mod waiters;

use std::collections::VecDeque;
use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};

pub use replicas::Replica;
pub(in crate::store) use scan::{Found, Scanner};
pub use segments::{Segment, Segments, SegmentsError};
pub(in crate::store) use segments::{name_of, start_of_name};
pub use stall::Busy;

use self::append::{Group, Tail};
use self::flush::Flush;
use self::replicas::Replicas;
use self::stall::Stall;
use super::disk::{Disk, is_disk_full};
use super::dispatch::{Dispatch, Follower};
use super::options::{FlushMode, StoreOptions};
use crate::clock::Clock;
use crate::message::{
    MESSAGE_MAGIC, RECORD_FRONT_BYTES, Record, after_body, properties_after_body,
};
use crate::metrics::LogTimes;
use crate::model::{PhysicalOffset, QueueId, QueueOffset};

/// The beginning of a record, up to and with its own physical offset.
const HEAD_BYTES: usize = 36;
/// The largest record that is read by its offset alone, whatever its size field says.
const RECORD_BYTES_MAX: u32 = 64 << 20;
/// A record up to this size costs less to read at once than in two pieces.
pub(in crate::store) const READ_WHOLE_BYTES: u32 = 8 << 10;
/// What is nearer to the log's end was written lately, and is read without reading ahead; more than any system reads ahead.
const TAIL_BYTES: u64 = 16 << 20;
/// How much is read ahead at once for those who read what is not in memory; systems take little more in one request.
const READ_AHEAD_BYTES: u64 = 1 << 20;
/// How often space is asked for on a full disk.
const ALLOCATION_RETRY: Duration = Duration::from_secs(1);

/// A new message that consumers may take.
#[derive(Clone, Copy, Debug)]
pub struct Arrival<'a> {
    /// Its topic.
    pub topic: &'a str,
    /// Its queue.
    pub queue_id: QueueId,
    /// Its offset there.
    pub queue_offset: QueueOffset,
    /// Its tags code.
    pub tags_code: i64,
    /// The whole record.
    record: &'a [u8],
}

impl<'a> Arrival<'a> {
    /// Its properties text.
    #[must_use]
    pub fn properties(&self) -> &'a str {
        Record::parse(self.record).map(|record| record.properties()).unwrap_or_default()
    }
}

/// Tells of a record in each queue that it is in.
fn tell(listener: &Listener, dispatch: &Dispatch<'_>, record: &[u8]) {
    if !dispatch.in_queue {
        return;
    }
    let arrived = |dispatch: &Dispatch<'_>| {
        let Dispatch { topic, queue_id, queue_offset, tags_code, .. } = *dispatch;
        listener(&Arrival { topic, queue_id, queue_offset, tags_code, record });
    };
    arrived(dispatch);
    dispatch.in_light_queues().for_each(|light| arrived(&light));
}

/// What is told about every new message.
pub type Listener = Arc<dyn Fn(&Arrival<'_>) + Send + Sync>;

/// How the log's threads end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// After all that is written is flushed.
    Finish,
    /// At once, as if the process had been killed.
    Abandon,
}

/// Where a log that was opened begins and ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extent {
    /// The offset that the next record gets.
    pub end: u64,
    /// Up to where the log is on the disk.
    pub flushed_to: u64,
    /// The newest store time, in milliseconds since 1970.
    pub last_store_timestamp: i64,
}

/// The commit log of one group.
pub struct CommitLog {
    options: StoreOptions,
    clock: Clock,
    disk: Arc<dyn Disk>,
    follower: Arc<dyn Follower>,
    segments: Segments,
    pending: Mutex<VecDeque<Group>>,
    /// Bytes of the groups in `pending`.
    pending_bytes: AtomicUsize,
    tail: Mutex<Tail>,
    stall: Stall,
    /// The offset that the next record gets.
    end: AtomicU64,
    /// Where the log ended when it was opened.
    opened_at: u64,
    flush: Flush,
    replicas: Arc<Replicas>,
    listener: OnceLock<Listener>,
    stopping: AtomicBool,
    /// Space could not be allocated.
    no_space: AtomicBool,
    /// The disk is fuller than `disk_read_only_percent`.
    too_full: AtomicBool,
    /// When the log's end passes this, space is to be allocated.
    allocate_at: AtomicU64,
    allocator: OnceLock<std::thread::Thread>,
    /// Held while allocating: what the last attempt found holds.
    allocating: Mutex<()>,
    /// Up to where was read ahead last.
    read_ahead_to: AtomicU64,
}

impl std::fmt::Debug for CommitLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CommitLog").field("end", &self.end).finish_non_exhaustive()
    }
}

impl CommitLog {
    /// A log over recovered segments; the first segment is made if there is none.
    ///
    /// # Errors
    /// What the system says.
    pub fn new(
        options: StoreOptions,
        clock: Clock,
        disk: Arc<dyn Disk>,
        follower: Arc<dyn Follower>,
        segments: Segments,
        extent: Extent,
    ) -> io::Result<Self> {
        let Extent { end, flushed_to, last_store_timestamp } = extent;
        let segment = match segments.holding(end) {
            Some(segment) => segment,
            None => segments.get_or_create(&*disk, end)?,
        };
        // What recovery read ahead of the end.
        segment.forget_from(end.saturating_sub(TAIL_BYTES).max(segment.start()))?;
        let replicas = Replicas::new(options.in_sync_min, options.slave_behind_bytes_max);
        Ok(Self {
            stall: Stall::new(&clock),
            options,
            clock,
            disk,
            follower,
            segments,
            pending: Mutex::default(),
            pending_bytes: AtomicUsize::new(0),
            tail: Mutex::new(Tail::new(segment, end, last_store_timestamp)),
            end: AtomicU64::new(end),
            opened_at: end,
            flush: Flush::new(flushed_to),
            replicas,
            listener: OnceLock::new(),
            stopping: AtomicBool::new(false),
            no_space: AtomicBool::new(false),
            too_full: AtomicBool::new(false),
            allocate_at: AtomicU64::new(end),
            allocator: OnceLock::new(),
            allocating: Mutex::new(()),
            read_ahead_to: AtomicU64::new(0),
        })
    }

    /// The offset of the first byte there is.
    #[must_use]
    pub fn start(&self) -> u64 {
        self.segments.start()
    }

    /// The offset that the next record gets.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.end.load(Ordering::Acquire)
    }

    /// Up to where the log is on the disk.
    #[must_use]
    pub fn flushed_to(&self) -> u64 {
        self.flush.flushed_to()
    }

    /// How many appends wait for whoever writes, and for how many milliseconds that one has been at it.
    #[must_use]
    pub fn waiting(&self) -> (usize, u64) {
        let waiting = self.pending.lock().unwrap_or_else(PoisonError::into_inner).len();
        (waiting, self.stall.lasts_ms(self.clock.monotonic()))
    }

    /// Where the log ended when it was opened.
    #[must_use]
    pub fn opened_at(&self) -> u64 {
        self.opened_at
    }

    /// The segment files.
    #[must_use]
    pub fn segments(&self) -> &Segments {
        &self.segments
    }

    pub(super) fn disk(&self) -> &dyn Disk {
        &*self.disk
    }

    pub(super) fn times(&self) -> &LogTimes {
        &self.options.times
    }

    pub(super) fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Up to where every connected slave has the log; `None` without slaves.
    #[must_use]
    pub fn copied_to(&self) -> Option<u64> {
        self.replicas.copied_to()
    }

    /// Registers what is told about every new message; only the first registration counts.
    pub fn set_listener(&self, listener: Listener) {
        if self.listener.set(listener).is_err() {
            tracing::warn!("the log has a listener already");
        }
    }

    /// Waits until the log is on the disk up to `end`; false if that will not happen any more. Blocks.
    #[must_use]
    pub fn flush_to(&self, end: u64) -> bool {
        self.flush.wait_for(end)
    }

    /// Whether appends are refused because the disk is full.
    #[must_use]
    pub fn is_read_only(&self) -> bool {
        self.no_space.load(Ordering::Relaxed) || self.too_full.load(Ordering::Relaxed)
    }

    fn set_no_space(&self, no_space: bool) {
        let was = self.no_space.swap(no_space, Ordering::Relaxed);
        let dir = self.options.dir.display();
        if no_space && !was {
            tracing::error!(%dir, "the disk is full: the log takes nothing more until there is room");
        } else if was && !no_space {
            tracing::info!(%dir, "there is room on the disk again");
        }
    }

    /// Sets whether the disk, of which `used_percent` are used, is too full to append (ST-095).
    pub fn set_too_full(&self, too_full: bool, used_percent: f64) {
        let was = self.too_full.swap(too_full, Ordering::Relaxed);
        let dir = self.options.dir.display();
        if too_full && !was {
            tracing::error!(
                %dir,
                used_percent,
                "the disk is fuller than disk_read_only_percent: the log takes nothing more until it is not"
            );
        } else if was && !too_full {
            tracing::info!(%dir, used_percent, "the disk is no longer fuller than disk_read_only_percent");
        }
    }

    /// Reads bytes of the log; they must lie in one segment and below the end. May block on the disk.
    ///
    /// # Errors
    /// `NotFound` if the range is no longer or not yet there, else what the system says.
    pub fn read_into(&self, range: Range<u64>, into: &mut [u8]) -> io::Result<()> {
        let end = self.end();
        let segment = self.segments.holding(range.start).filter(|_| range.end <= end);
        let Some(segment) = segment.filter(|segment| range.end <= segment.end()) else {
            return Err(io::ErrorKind::NotFound.into());
        };
        if end - range.start <= TAIL_BYTES {
            segment.read_tail_at(into, range.start)
        } else {
            segment.read_at(into, range.start)
        }
    }

    /// Like [`Self::read_into`], if the kernel has all of it in its memory; false, and anything may be in `into`, if it has
    /// not. Never blocks.
    #[must_use]
    pub fn read_cached_into(&self, range: Range<u64>, into: &mut [u8]) -> bool {
        let segment = self.segments.holding(range.start).filter(|_| range.end <= self.end());
        let segment = segment.filter(|segment| range.end <= segment.end());
        segment.is_some_and(|segment| segment.read_cached_at(into, range.start))
    }

    /// Has the disk read what follows `from`, for a reader that goes on there; it does not wait for that.
    pub fn read_ahead(&self, from: u64) {
        let hot_from = self.end().saturating_sub(TAIL_BYTES);
        let Some(segment) = self.segments.holding(from).filter(|_| from < hot_from) else { return };
        let to = from.saturating_add(READ_AHEAD_BYTES);
        let asked_to = self.read_ahead_to.load(Ordering::Relaxed);
        if (to - READ_AHEAD_BYTES / 2..=to).contains(&asked_to) {
            return;
        }
        self.read_ahead_to.store(to, Ordering::Relaxed);
        let to = to.min(segment.end()).min(hot_from);
        if let Err(error) = segment.read_ahead(from, to) {
            tracing::debug!(%error, from, "the log cannot be read ahead");
        }
    }

    /// Like [`Self::read_into`]; false if the range is no longer or not yet there.
    ///
    /// # Errors
    /// What the system says: what is there may be whole.
    pub fn read_if_there(&self, range: Range<u64>, into: &mut [u8]) -> io::Result<bool> {
        match self.read_into(range, into) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The record that begins at `offset`, if there is one: its own offset and its lengths must agree (unlike B-214). May
    /// block.
    ///
    /// # Errors
    /// What the system says: what is there may be whole.
    pub fn record_at(&self, offset: PhysicalOffset) -> io::Result<Option<Bytes>> {
        let mut head = [0; HEAD_BYTES];
        if !self.read_if_there(offset.0..offset.0.saturating_add(head.len() as u64), &mut head)? {
            return Ok(None);
        }
        let size = u32::from_be_bytes([head[0], head[1], head[2], head[3]]);
        let says_it_lies_here = head[28..] == offset.0.to_be_bytes();
        if says_it_lies_here && size <= RECORD_BYTES_MAX {
            self.record_of(offset, size)
        } else {
            Ok(None)
        }
    }

    /// The record of `size` bytes at `offset`, checked like [`Self::record_at`].
    fn record_of(&self, offset: PhysicalOffset, size: u32) -> io::Result<Option<Bytes>> {
        let mut bytes = BytesMut::zeroed(usize::try_from(size).map_err(io::Error::other)?);
        let range = offset.0..offset.0.saturating_add(u64::from(size));
        let is_there = self.read_if_there(range, &mut bytes)?;
        let fits = is_there && record_in(&bytes, offset).is_some();
        Ok(fits.then(|| bytes.freeze()))
    }

    /// The properties text of the record at `offset`; its body is not read.
    #[must_use]
    pub fn properties_of(&self, offset: PhysicalOffset) -> Option<String> {
        let mut front = [0; RECORD_FRONT_BYTES];
        self.read_into(offset.0..offset.0.checked_add(front.len() as u64)?, &mut front).ok()?;
        let range = after_body(&front, offset)?;
        let mut rest = vec![0; range.len()];
        self.read_into(offset.0 + range.start as u64..offset.0 + range.end as u64, &mut rest)
            .ok()?;
        properties_after_body(&rest).map(str::to_owned)
    }

    /// The last whole record that ends at or below `end`; see [`super::Store::last_record_below`].
    pub(super) fn last_record_below(
        &self,
        end: u64,
    ) -> io::Result<Option<(PhysicalOffset, Bytes)>> {
        const WINDOW: u64 = 64 << 10;
        let end = end.min(self.end());
        let oldest = self.start().max(end.saturating_sub(u64::from(RECORD_BYTES_MAX)));
        let mut to = end;
        while to > oldest {
            let Some(segment) = self.segments.holding(to - 1) else { return Ok(None) };
            let from = to.saturating_sub(WINDOW).max(segment.start()).max(oldest);
            // A header that begins before `to` may end behind it.
            let read_to = (to + HEAD_BYTES as u64).min(segment.end()).min(end);
            let mut bytes = vec![0; usize::try_from(read_to - from).map_err(io::Error::other)?];
            if !self.read_if_there(from..read_to, &mut bytes)? {
                return Ok(None);
            }
            let starts = bytes.windows(HEAD_BYTES).enumerate().rev();
            let looks_right = |(index, head): &(usize, &[u8])| {
                head[4..8] == MESSAGE_MAGIC.to_be_bytes()
                    && head[28..] == (from + *index as u64).to_be_bytes()
            };
            for (index, _) in starts.filter(looks_right) {
                let at = PhysicalOffset(from + index as u64);
                let record = self.record_at(at)?;
                if let Some(record) = record.filter(|record| at.0 + record.len() as u64 <= end) {
                    return Ok(Some((at, record)));
                }
            }
            to = from;
        }
        Ok(None)
    }

    /// The store time of the record at `offset`, in milliseconds since 1970, if there is one. May block.
    ///
    /// # Errors
    /// What the system says: what is there may be whole.
    pub fn store_time_at(&self, offset: PhysicalOffset, size: u32) -> io::Result<Option<i64>> {
        let record = self.record_of(offset, size)?;
        Ok(record.and_then(|record| Some(Record::parse(&record).ok()?.store_timestamp())))
    }

    /// The store time of a segment's first record, in milliseconds since 1970; `None` too if that cannot be read now: who
    /// asks how old something is waits then. May block.
    #[must_use]
    pub fn first_store_time_in(&self, segment: &Segment) -> Option<i64> {
        let record = self.record_at(PhysicalOffset(segment.start())).ok().flatten()?;
        Record::parse(&record).ok().map(|record| record.store_timestamp())
    }

    /// Whether the allocating thread has done what it was woken for.
    #[cfg(test)]
    pub(in crate::store) fn is_allocated(&self) -> bool {
        self.allocate_at.load(Ordering::Relaxed) > self.end()
            && self.allocate_at.load(Ordering::Relaxed) < u64::MAX
    }

    fn wake_allocation(&self, end: u64) {
        if end >= self.allocate_at.load(Ordering::Relaxed) && self.allocator.get().is_some() {
            self.allocate_at.store(u64::MAX, Ordering::Relaxed);
            self.wake_allocator();
        }
    }

    fn wake_allocator(&self) {
        if let Some(allocator) = self.allocator.get() {
            allocator.unpark();
        }
    }

    /// Reserves space ahead of the log's end, in the next segment too. Blocks.
    ///
    /// A full disk makes the log read-only until a later call succeeds.
    pub fn allocate_ahead(&self) {
        let _allocating = self.allocating.lock().unwrap_or_else(PoisonError::into_inner);
        let end = self.end();
        let step = self.options.allocate_ahead_bytes.min(self.segments.segment_bytes());
        // Twice the step, so that one step is always left when the next one is asked for.
        match self.allocate_to(end, end + 2 * step) {
            Ok(()) => self.set_no_space(false),
            Err(error) if is_disk_full(&error) => self.set_no_space(true),
            Err(error) => tracing::warn!(%error, "space for the log cannot be reserved"),
        }
        self.allocate_at.store(end + step, Ordering::Relaxed);
    }

    fn allocate_to(&self, from: u64, to: u64) -> io::Result<()> {
        let mut at = from;
        while at < to {
            let segment = match self.segments.holding(at) {
                Some(segment) => segment,
                None => self.segments.get_or_create(self.disk(), at)?,
            };
            segment.allocate_to(self.disk(), from, to)?;
            at = segment.end();
        }
        Ok(())
    }

    /// The work of the thread that allocates space: whenever the log has grown, and every second while the disk is
    /// full; `grown` is called each time. Returns when the log is stopped.
    pub fn run_allocation(&self, grown: impl Fn()) {
        // Known before it is asked whether to end, so that it is woken for that.
        self.allocator.get_or_init(std::thread::current);
        while !self.flush.is_stopped() {
            self.allocate_ahead();
            grown();
            if self.is_read_only() {
                std::thread::park_timeout(ALLOCATION_RETRY);
            } else {
                std::thread::park();
            }
        }
    }

    /// The flushing thread's work; returns when the log is stopped.
    pub fn run_flush(&self) {
        self.flush.run(self, Duration::from_millis(self.options.flush_interval_ms));
    }

    /// The work of the thread that answers those who wait too long for the disk; returns when the log is stopped.
    pub fn run_flush_expiry(&self) {
        if self.options.flush == FlushMode::Sync {
            let timeout = Duration::from_millis(self.options.sync_flush_timeout_ms);
            self.flush.waiters.run_expiry(self, timeout);
        }
    }

    /// The work of the thread that answers those who wait too long for slaves; returns when the log is stopped.
    pub fn run_slave_expiry(&self) {
        if self.replicas.is_waited_for() {
            let timeout = Duration::from_millis(self.options.slave_timeout_ms);
            self.replicas.waiters.run_expiry(self, timeout);
        }
    }

    /// Calls `work` with the log's end and its newest store time while no record is appended.
    pub fn while_held<T>(&self, work: impl FnOnce(PhysicalOffset, i64) -> T) -> T {
        let tail = self.tail.lock().unwrap_or_else(PoisonError::into_inner);
        let done = work(PhysicalOffset(tail.position), tail.last_store_timestamp);
        drop(tail);
        // What was queued meanwhile found the log held.
        self.write_enqueued();
        done
    }

    /// Refuses further appends; what is queued is refused too.
    pub fn stop_appends(&self) {
        self.stop_appending();
    }

    /// Ends the log's threads.
    pub fn stop(&self, stop: Stop) {
        self.flush.stop(stop);
        self.replicas.stop(stop);
        self.wake_allocator();
    }
}

/// What `bytes` are, if they are exactly one record that says that it lies at `offset`.
pub(in crate::store) fn record_in(bytes: &[u8], offset: PhysicalOffset) -> Option<Record<'_>> {
    let record = Record::parse(bytes).ok()?;
    let fits = record.bytes().len() == bytes.len() && record.physical_offset() == offset;
    fits.then_some(record)
}
