//! Appending by flat combining: who finds the log busy is written by whoever holds it.
//!
//! Records are encoded before the lock; inside it only queue offset, physical offset and store time are set, and where
//! it will be in light queues is said (`gather`), one `write` is done for all that was gathered, and the followers are
//! told. Nothing here sleeps or hands work to another thread. Invariants: the records of a group are neighbours in their queue and in
//! one segment; a failed write leaves the tail where it was, and zeros behind it; callbacks run without a lock held.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use super::gather::{Gather, Light};
use super::stall::Busy;
use super::waiters::Waiter;
use super::{CommitLog, Segment, tell};
use crate::message::{BLANK_HEADER_BYTES, EncodeError, NewMessage, Record, encode, encode_blank};
use crate::model::{QueueId, TopicName};
use crate::store::disk::{Disk, is_disk_full};
use crate::store::dispatch::{Facts, Place};
use crate::store::light;
use crate::store::options::{FlushMode, StoreRole};
use crate::store::{AppendError, AppendResult, Appended, Durability};

/// How many bytes may wait for whoever writes; more are refused.
const PENDING_BYTES_MAX: usize = 64 << 20;

/// What is called when an append has ended.
pub type Done = Box<dyn FnOnce(AppendResult) + Send>;

/// How many bytes are gathered for one write, unless one group alone has more.
const GATHERED_BYTES_MAX: usize = 1 << 20;
/// How many groups are gathered for one write: each is compared with the queues of those before it.
const GATHERED_GROUPS_MAX: usize = 256;

/// The encoded messages of one queue that are stored together.
pub(super) struct Group {
    pub(super) topic: TopicName,
    pub(super) queue_id: QueueId,
    pub(super) queued_at: Instant,
    /// The records, one after the other.
    pub(super) bytes: Vec<u8>,
    /// What the followers need to know of each record.
    pub(super) facts: Vec<Facts>,
    /// Of a single message.
    pub(super) light: Option<Light>,
    wait: bool,
    /// Taken away when the flush is to call it.
    pub(super) done: Option<Done>,
}

/// What a [`Group`] has of its messages.
struct Encoded {
    bytes: Vec<u8>,
    facts: Vec<Facts>,
    light: Option<Light>,
}

impl std::fmt::Debug for Group {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Group").field("topic", &self.topic).finish_non_exhaustive()
    }
}

/// The log's end, held by whoever writes.
#[derive(Debug)]
pub(super) struct Tail {
    pub(super) segment: Arc<Segment>,
    pub(super) position: u64,
    pub(super) last_store_timestamp: i64,
    pub(super) stopped: bool,
    /// Up to where a failed write may have left something behind the tail.
    torn_to: u64,
    /// Where groups are gathered; kept, so that it is allocated once.
    gathered: Vec<u8>,
}

impl Tail {
    pub(super) fn new(segment: Arc<Segment>, position: u64, last_store_timestamp: i64) -> Self {
        let gathered = Vec::new();
        Self { segment, position, last_store_timestamp, stopped: false, torn_to: 0, gathered }
    }

    /// Makes zero what a failed write may have left up to `end`, now or before the next write.
    pub(super) fn was_torn_to(&mut self, end: u64) {
        self.torn_to = end;
        if let Err(error) = self.zero_torn() {
            tracing::error!(%error, "what a failed write left cannot be taken back yet");
        }
    }

    /// Makes zero what a failed write left: whole records of it would come back to life behind shorter ones.
    pub(super) fn zero_torn(&mut self) -> io::Result<()> {
        if self.torn_to > self.position {
            self.segment.zero(self.position, self.torn_to)?;
        }
        self.torn_to = 0;
        Ok(())
    }

    /// How many bytes of records and blank record the tail's segment can still take.
    fn room(&self) -> usize {
        usize::try_from(self.segment.end() - self.position).unwrap_or(usize::MAX)
    }
}

/// What is left to do for a group when the log is no longer held.
struct Finished {
    group: Group,
    outcome: Outcome,
}

enum Outcome {
    /// Written; its sender is told now, unless the flush took that over.
    Written(Vec<Appended>),
    Failed(AppendError),
}

impl CommitLog {
    /// Queues the messages (a batch, or one; of one queue) for appending; `done` is called after the write.
    pub fn enqueue(&self, messages: &[NewMessage], wait: bool, done: Done) {
        let queued_at = self.clock.monotonic();
        match self.refuse_or_encode(messages, queued_at) {
            Ok(Encoded { bytes, facts, light }) => {
                let (topic, queue_id) = (messages[0].topic.clone(), messages[0].queue_id);
                let done = Some(done);
                let group = Group { topic, queue_id, queued_at, bytes, facts, light, wait, done };
                self.pending_bytes.fetch_add(group.bytes.len(), Ordering::Relaxed);
                self.pending.lock().unwrap_or_else(PoisonError::into_inner).push_back(group);
            }
            Err(error) => done(Err(error)),
        }
    }

    fn refuse_or_encode(
        &self,
        messages: &[NewMessage],
        now: Instant,
    ) -> Result<Encoded, AppendError> {
        if self.stopping.load(Ordering::Relaxed) {
            return Err(AppendError::Stopping);
        }
        if self.options.role == StoreRole::Slave {
            return Err(AppendError::IsSlave);
        }
        if self.is_read_only() {
            return Err(AppendError::DiskFull);
        }
        self.refuse_if_stalled(now)?;
        let queued = self.pending_bytes.load(Ordering::Relaxed);
        if queued > PENDING_BYTES_MAX {
            return Err(AppendError::Busy(Busy::QueueFull { bytes: queued }));
        }
        let mut facts = Vec::with_capacity(messages.len());
        let (mut bytes, mut light) = (Vec::new(), None);
        for message in messages {
            // S-60: only bodies are limited; `encode` limits the rest.
            if message.body.len() > self.options.max_message_bytes {
                return Err(self.too_large(message.body.len()));
            }
            let stripped = light::without_offsets(&message.properties)
                .map(|properties| NewMessage { properties, ..message.clone() });
            let message = stripped.as_ref().unwrap_or(message);
            let mut record = encode(message)?;
            if self.options.light_queues && messages.len() == 1 {
                light = Light::of(message, &mut record)?;
            }
            let view =
                Record::parse(&record).map_err(|_| EncodeError::BodyTooLong(record.len()))?;
            facts.push(Facts::of(&view, &self.options));
            if messages.len() == 1 {
                bytes = record;
            } else {
                bytes.extend_from_slice(&record);
            }
        }
        let segment_bytes = usize::try_from(self.segments.segment_bytes()).unwrap_or(usize::MAX);
        if messages.is_empty() || bytes.len() + BLANK_HEADER_BYTES > segment_bytes {
            return Err(self.too_large(bytes.len()));
        }
        Ok(Encoded { bytes, facts, light })
    }

    fn too_large(&self, bytes: usize) -> AppendError {
        AppendError::TooLarge { bytes, max: self.options.max_message_bytes }
    }

    /// Writes what is queued, unless another thread is at it: that one takes it along.
    pub fn write_enqueued(&self) {
        loop {
            let mut finished = Vec::new();
            let mut tail = match self.tail.try_lock() {
                Ok(tail) => tail,
                Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
                Err(TryLockError::WouldBlock) => return,
            };
            let groups = self.take_pending();
            if !groups.is_empty() {
                self.write(&mut tail, groups, &mut finished);
            }
            drop(tail);
            self.replicas.log_grew();
            self.complete(finished);
            // What was queued between taking and letting go found the log held, and relies on us.
            if self.pending.lock().unwrap_or_else(PoisonError::into_inner).is_empty() {
                return;
            }
        }
    }

    pub(super) fn take_pending(&self) -> VecDeque<Group> {
        let taken =
            std::mem::take(&mut *self.pending.lock().unwrap_or_else(PoisonError::into_inner));
        let bytes = taken.iter().map(|group| group.bytes.len()).sum();
        self.pending_bytes.fetch_sub(bytes, Ordering::Relaxed);
        taken
    }

    fn write(&self, tail: &mut Tail, mut groups: VecDeque<Group>, finished: &mut Vec<Finished>) {
        while let Some(mut first) = groups.pop_front() {
            let store_timestamp = tail.last_store_timestamp.max(self.clock.now_ms());
            let room = tail.room();
            let mut gather = Gather::new(&*self.follower, tail.position, store_timestamp);
            gather.settle(&mut first);
            let is_over = first.bytes.len() + BLANK_HEADER_BYTES > room;
            let ready = if tail.stopped {
                Err(AppendError::Stopping)
            } else {
                let ready =
                    tail.zero_torn().and_then(|()| if is_over { self.roll(tail) } else { Ok(()) });
                ready.map_err(|error| self.append_error(&error))
            };
            if let Err(error) = ready {
                fail(std::iter::once(first).chain(groups.drain(..)), &error, finished);
                return;
            }
            if is_over {
                groups.push_front(first);
                continue;
            }
            gather.add(first);
            while gather.groups.len() < GATHERED_GROUPS_MAX
                && let Some(mut next) = groups.pop_front()
            {
                gather.settle(&mut next);
                let bytes = gather.bytes + next.bytes.len();
                if bytes > GATHERED_BYTES_MAX || bytes + BLANK_HEADER_BYTES > room {
                    groups.push_front(next);
                    break;
                }
                gather.add(next);
            }
            let Gather { groups: gathered, placed, bytes, .. } = gather;
            let begun = self.stall.write_begins(&self.clock);
            let written = write_gathered(self.disk(), tail, &gathered);
            self.stall.write_ends();
            let took = self.clock.monotonic().saturating_duration_since(begun);
            self.options.times.append.observe(took);
            match written {
                Ok(end) => self.written(tail, end, gathered, placed, finished),
                Err(error) => {
                    tail.was_torn_to(tail.position + bytes as u64);
                    fail(gathered, &self.append_error(&error), finished);
                }
            }
        }
    }

    /// Moves the tail, tells the followers and decides who is told by the flush.
    fn written(
        &self,
        tail: &mut Tail,
        end: u64,
        groups: Vec<Group>,
        placed: Vec<Vec<Appended>>,
        finished: &mut Vec<Finished>,
    ) {
        let mut group_end = tail.position;
        tail.position = end;
        self.end.store(end, Ordering::Release);
        let mut waiters = Vec::new();
        for (mut group, appended) in groups.into_iter().zip(placed) {
            for (fact, place) in group.facts.iter().zip(&appended) {
                tail.last_store_timestamp = place.store_timestamp;
                self.follower.dispatch(&fact.placed(
                    group.topic.as_str(),
                    group.queue_id,
                    place_of(place),
                ));
            }
            let waits = self.options.flush == FlushMode::Sync && group.wait;
            group_end += group.bytes.len() as u64;
            if group.wait
                && self.replicas.is_waited_for()
                && let Some(done) = group.done.take()
            {
                let timeout = Duration::from_millis(self.options.slave_timeout_ms);
                let deadline = self.clock.monotonic() + timeout;
                group.done = Some(self.replicas.then_wait(group_end, deadline, done));
            }
            // A segment is on the disk before anything in the next one is acknowledged.
            let needed = if waits { group_end } else { tail.segment.start() };
            if needed > self.flush.flushed_to()
                && let Some(done) = group.done.take()
            {
                let timeout = Duration::from_millis(self.options.sync_flush_timeout_ms);
                let deadline = self.clock.monotonic() + timeout;
                let (appended, in_time) = (appended.clone(), Durability::Reached);
                waiters.push(Waiter { end: needed, deadline, appended, in_time, done });
            }
            finished.push(Finished { group, outcome: Outcome::Written(appended) });
        }
        if !waiters.is_empty() {
            self.flush.park(waiters);
        }
        self.wake_allocation(end);
    }

    /// Ends the tail's segment with a blank record (ST-005) and goes on in the next one.
    fn roll(&self, tail: &mut Tail) -> io::Result<()> {
        let next = self.segments.get_or_create(self.disk(), tail.segment.end())?;
        let remaining = u32::try_from(tail.room()).unwrap_or(u32::MAX);
        if remaining > 0 {
            tail.segment.write_at(self.disk(), &encode_blank(remaining), tail.position)?;
        }
        tail.position = next.start();
        tail.segment = next;
        self.end.store(tail.position, Ordering::Release);
        Ok(())
    }

    fn append_error(&self, error: &io::Error) -> AppendError {
        if is_disk_full(error) {
            self.set_no_space(true);
            self.wake_allocator();
            AppendError::DiskFull
        } else {
            tracing::error!(%error, "the log cannot be written");
            AppendError::Failed(error.to_string())
        }
    }

    fn complete(&self, finished: Vec<Finished>) {
        for Finished { group, outcome } in finished {
            match outcome {
                Outcome::Written(appended) => {
                    self.tell_listener(&group, &appended);
                    if let Some(done) = group.done {
                        done(Ok((appended, Durability::Reached)));
                    }
                }
                Outcome::Failed(error) => {
                    if let Some(done) = group.done {
                        done(Err(error));
                    }
                }
            }
        }
    }

    fn tell_listener(&self, group: &Group, appended: &[Appended]) {
        let Some(listener) = self.listener.get() else { return };
        let mut rest = &group.bytes[..];
        for (fact, place) in group.facts.iter().zip(appended) {
            let (record, after) = rest.split_at(fact.size() as usize);
            rest = after;
            let dispatch = fact.placed(group.topic.as_str(), group.queue_id, place_of(place));
            tell(listener, &dispatch, record);
        }
    }

    /// Refuses all further appends, those that are queued too.
    pub(super) fn stop_appending(&self) {
        self.stopping.store(true, Ordering::Relaxed);
        let mut tail = self.tail.lock().unwrap_or_else(PoisonError::into_inner);
        tail.stopped = true;
        drop(tail);
        self.write_enqueued();
    }
}

/// Writes the groups at the tail with one system call and returns where they end.
fn write_gathered(disk: &dyn Disk, tail: &mut Tail, groups: &[Group]) -> io::Result<u64> {
    let Tail { segment, position, gathered, .. } = tail;
    let bytes = match groups {
        [only] => &only.bytes,
        _ => {
            gathered.clear();
            for group in groups {
                gathered.extend_from_slice(&group.bytes);
            }
            gathered
        }
    };
    segment.write_at(disk, bytes, *position)?;
    Ok(*position + bytes.len() as u64)
}

fn fail(
    groups: impl IntoIterator<Item = Group>,
    error: &AppendError,
    finished: &mut Vec<Finished>,
) {
    let failed = |group| Finished { group, outcome: Outcome::Failed(error.clone()) };
    finished.extend(groups.into_iter().map(failed));
}

fn place_of(appended: &Appended) -> Place {
    Place {
        queue_offset: appended.queue_offset,
        physical_offset: appended.physical_offset,
        store_timestamp: appended.store_timestamp,
    }
}
