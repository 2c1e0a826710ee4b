//! Reading messages: pulls, look-ups by time, key and offset (B-170 to B-176, B-210 to B-214, B-306).
//!
//! Not which answer a client gets. Invariants: the bytes of a record are given out as they lie in the log, and only
//! whole; a caller that must not block reads only what was written lately, and of the rest what the kernel has in its
//! memory; what is read from the disk, or by the broker itself, is checked; what the disk does not give now is not taken
//! for gone.

use std::cell::Cell;
use std::io;
use std::ops::{Range, RangeInclusive};

use bytes::{Bytes, BytesMut};

use super::consume_queue::{Entry, ReadError};
use super::dispatch::key_hash;
use super::log::{READ_WHOLE_BYTES, record_in};
use super::{EntryFilter, PullRequest, PullStatus, Pulled, Queried, Store};
use crate::message::Record;
use crate::model::{PhysicalOffset, QueueId, QueueOffset};

/// The most entries that one pull looks at, unless it asks for more messages than a 20th of it (B-174).
const SCANNED_MAX: usize = 800;
/// How many entries are looked at together.
const SCANNED_AT_ONCE: usize = 128;
/// How much an answer may have, of what counts as in memory and of what does not (B-173).
const ANSWER: Limits = Limits { memory: (256 << 10, 32), disk: (64 << 10, 8), is_checked: false };
/// How much the broker itself is given at once: as many as it asks for.
const OWN: Limits =
    Limits { memory: (1 << 20, u32::MAX), disk: (1 << 20, u32::MAX), is_checked: true };
/// Bytes of records after which a query has no more: they are one answer, whose frame must stay below 16 MiB.
const QUERIED_BYTES_MAX: usize = 15 << 20;
/// How far behind the log's end its bytes may be read by who must not block: the kernel has them in memory.
const NEVER_BLOCKS_BYTES: u64 = 256 << 20;

impl Store {
    /// Reads messages for a client (B-170 to B-176).
    ///
    /// # Errors
    /// [`ReadError::WouldBlock`]: ask again from a blocking thread with `may_block`; [`ReadError::Unavailable`]: later.
    pub fn pull(&self, request: &PullRequest<'_>, may_block: bool) -> Result<Pulled, ReadError> {
        self.pull_within(&ANSWER, request, may_block)
    }

    /// [`Self::pull`] for the broker itself, which gets as many messages as it asks for, but not much more than 1 MiB,
    /// and none that is damaged: what it could not read it would pass, with all that is behind it. Blocks.
    ///
    /// # Errors
    /// [`ReadError::Unavailable`]
    pub fn pull_own(&self, request: &PullRequest<'_>) -> Result<Pulled, ReadError> {
        self.pull_within(&OWN, request, true)
    }

    fn pull_within(
        &self,
        limits: &Limits,
        request: &PullRequest<'_>,
        may_block: bool,
    ) -> Result<Pulled, ReadError> {
        let (topic, queue_id) = (request.topic, request.queue_id);
        let (min_offset, max_offset) = self.derived.queues().range(topic, queue_id, may_block)?;
        let mut pulled = Pulled {
            status: PullStatus::NoMessageInQueue,
            next_offset: QueueOffset(0),
            min_offset,
            max_offset,
            body: Bytes::new(),
            count: 0,
            is_far_behind: false,
        };
        let offset = u64::try_from(request.offset).ok();
        let (status, next) = match offset {
            _ if max_offset.0 == 0 => (PullStatus::NoMessageInQueue, 0),
            Some(offset) if offset >= min_offset.0 && offset < max_offset.0 => {
                let answer = Answer::new(limits, request.count_max, self.log.end());
                self.collect(answer, request, offset, &mut pulled, may_block)?;
                return Ok(pulled);
            }
            Some(offset) if offset == max_offset.0 => (PullStatus::OffsetOverflowOne, offset),
            Some(offset) if offset > max_offset.0 => {
                (PullStatus::OffsetOverflowBadly, max_offset.0)
            }
            _ => (PullStatus::OffsetTooSmall, min_offset.0),
        };
        (pulled.status, pulled.next_offset) = (status, QueueOffset(next));
        Ok(pulled)
    }

    /// Goes through the queue from `offset` on, until the answer is full.
    fn collect(
        &self,
        mut answer: Answer<'_>,
        request: &PullRequest<'_>,
        offset: u64,
        pulled: &mut Pulled,
        may_block: bool,
    ) -> Result<(), ReadError> {
        let wanted = usize::try_from(request.count_max).unwrap_or(usize::MAX);
        let scanned_max = SCANNED_MAX.max(wanted);
        let (mut scanned, mut is_gone) = (0, false);
        // Without a filter, as many entries as messages are needed.
        let mut at_once = wanted;
        'scan: while scanned < scanned_max && !answer.has_all() {
            let from = QueueOffset(offset + scanned as u64);
            let count = at_once.clamp(1, SCANNED_AT_ONCE).min(scanned_max - scanned);
            at_once = SCANNED_AT_ONCE;
            let queues = self.derived.queues();
            let read = queues.entries(request.topic, request.queue_id, from, count, may_block);
            let entries = match read {
                Ok(entries) => entries,
                Err(_) if scanned > 0 => break,
                Err(error) => return Err(error),
            };
            if entries.is_empty() {
                break;
            }
            for entry in &entries {
                match self.look_at(entry, request.filter, may_block, &mut answer)? {
                    Looked::Done => {}
                    Looked::Gone => is_gone = true,
                    Looked::Later => break 'scan,
                }
                scanned += 1;
            }
        }
        pulled.next_offset = QueueOffset(offset + scanned as u64);
        pulled.is_far_behind = answer.is_far_behind;
        let counted = answer.count;
        // What is left to be read is newer than what was read.
        let left = u32::try_from(answer.ranges.len()).unwrap_or(u32::MAX);
        pulled.count = counted.saturating_sub(left) + self.read_ranges(&mut answer)?;
        pulled.body = answer.body.freeze();
        pulled.status = match (pulled.count, is_gone || counted > 0) {
            (0, true) => PullStatus::MessageWasRemoving,
            (0, false) => PullStatus::NoMatchedMessage,
            _ => PullStatus::Found,
        };
        Ok(())
    }

    /// Puts an entry's record into the answer, or its place, if it matches. Of who asks for properties, and of old ones for
    /// who must not block, each record is read, and so none again.
    fn look_at(
        &self,
        entry: &Entry,
        filter: &dyn EntryFilter,
        may_block: bool,
        answer: &mut Answer<'_>,
    ) -> Result<Looked, ReadError> {
        let place = Place::of(entry, answer.log_end, self.in_memory_bytes);
        // What is lost lies nowhere.
        if !entry.is_hole() {
            answer.is_far_behind = place.is_on_disk;
        }
        if answer.is_full(&place) {
            return Ok(Looked::Later);
        }
        if entry.is_hole() {
            return Ok(Looked::Gone);
        }
        if !filter.matches_tags_code(entry.tags_code) {
            return Ok(Looked::Done);
        }
        if !may_block && !self.is_in_memory(place.range.start, answer.log_end) {
            match self.read_cached(filter, &place.range, &mut answer.body) {
                Some(true) => answer.count(&place),
                Some(false) => {}
                None if answer.count > 0 => return Ok(Looked::Later),
                None => return Err(ReadError::WouldBlock),
            }
            return Ok(Looked::Done);
        }
        if !filter.needs_properties() {
            answer.add(place);
            return Ok(Looked::Done);
        }
        match self.read_matching(filter, &place.range, &mut answer.body)? {
            Some(true) => answer.count(&place),
            Some(false) => {}
            None => return Ok(Looked::Gone),
        }
        Ok(Looked::Done)
    }

    /// Whether reading there does not wait for the disk.
    fn is_in_memory(&self, at: u64, log_end: u64) -> bool {
        at >= self.log.opened_at() && log_end.saturating_sub(at) <= NEVER_BLOCKS_BYTES
    }

    /// Appends a record to `body` if its properties match; `None` if it is gone or damaged. Of a long one that does
    /// not match, the body is not read.
    fn read_matching(
        &self,
        filter: &dyn EntryFilter,
        range: &Range<u64>,
        body: &mut BytesMut,
    ) -> Result<Option<bool>, ReadError> {
        if range.end - range.start > u64::from(READ_WHOLE_BYTES) {
            let properties = self.log.properties_of(PhysicalOffset(range.start));
            // What cannot be read is told below.
            if properties.is_some_and(|text| !filter.matches_properties(&text)) {
                return Ok(Some(false));
            }
        }
        self.read_record(range, body, |record| filter.matches_properties(record.properties()))
    }

    /// Appends a record to `body` if it matches and the kernel has it in its memory; `None` if it has not, or it is damaged,
    /// which is for those who may block to tell.
    fn read_cached(
        &self,
        filter: &dyn EntryFilter,
        range: &Range<u64>,
        body: &mut BytesMut,
    ) -> Option<bool> {
        let (start, at) = (body.len(), PhysicalOffset(range.start));
        body.resize(start + usize::try_from(range.end - range.start).ok()?, 0);
        let is_read = self.log.read_cached_into(range.clone(), &mut body[start..]);
        let record = if is_read { record_in(&body[start..], at) } else { None };
        let matches = |record: Record<'_>| {
            !filter.needs_properties() || filter.matches_properties(record.properties())
        };
        let found = record.map(matches);
        if found != Some(true) {
            body.truncate(start);
        }
        found
    }

    /// Appends a record to `body` if it is wanted; `None` if it is gone or damaged.
    fn read_record(
        &self,
        range: &Range<u64>,
        body: &mut BytesMut,
        is_wanted: impl FnOnce(&Record<'_>) -> bool,
    ) -> Result<Option<bool>, ReadError> {
        let (start, at) = (body.len(), PhysicalOffset(range.start));
        let is_there = self.read_into(range, body)?;
        let record = if is_there { record_in(&body[start..], at) } else { None };
        let found = record.map(|record| is_wanted(&record));
        if found != Some(true) {
            body.truncate(start);
        }
        if found.is_none() {
            self.log.segments().note_damage(range.start);
            tracing::warn!(
                physical_offset = range.start,
                "a record is gone or damaged, and is left out"
            );
        }
        Ok(found)
    }

    /// Appends the records that are left to be read; those that are gone or damaged are left out. Returns how many it
    /// appended.
    fn read_ranges(&self, answer: &mut Answer<'_>) -> Result<u32, ReadError> {
        let Answer { limits, ranges, log_end, body, .. } = answer;
        let bytes: u64 = ranges.iter().map(|range| range.end - range.start).sum();
        body.reserve(usize::try_from(bytes).unwrap_or(0));
        let mut count = 0;
        let mut at = 0;
        while let Some(first) = ranges.get(at) {
            let neighbours = ranges[at..].windows(2).take_while(|two| two[0].end == two[1].start);
            let taken = neighbours.count() + 1;
            let together = &ranges[at..at + taken];
            let whole = first.start..together[taken - 1].end;
            let (is_hot, start) = (self.is_in_memory(first.start, *log_end), body.len());
            // Neighbours in two segments cannot be read together, damaged ones must not be.
            if is_hot
                && self.read_into(&whole, body)?
                && (!limits.is_checked || are_records(&body[start..], together))
            {
                count += u32::try_from(taken).unwrap_or(u32::MAX);
            } else {
                body.truncate(start);
                for range in together {
                    let is_good = self.read_record(range, body, |_| true)?.is_some();
                    count += u32::from(is_good);
                }
            }
            at += taken;
        }
        Ok(count)
    }

    /// Appends bytes of the log to `body`; false, and nothing is appended, if they are not there. Behind what had to come
    /// from the disk more is read ahead.
    fn read_into(&self, range: &Range<u64>, body: &mut BytesMut) -> Result<bool, ReadError> {
        let start = body.len();
        let Ok(bytes) = usize::try_from(range.end - range.start) else { return Ok(false) };
        body.resize(start + bytes, 0);
        let into = &mut body[start..];
        let is_old = !self.is_in_memory(range.start, self.log.end());
        if is_old && self.log.read_cached_into(range.clone(), into) {
            return Ok(true);
        }
        let read = self.log.read_if_there(range.clone(), into);
        let is_read = read.map_err(|error| unreadable(range.start, &error))?;
        if !is_read {
            body.truncate(start);
        } else if is_old {
            self.log.read_ahead(range.end);
        }
        Ok(is_read)
    }

    /// First and next offset of a queue, both 0 if unknown (S-20).
    ///
    /// # Errors
    /// [`ReadError`]
    pub fn queue_range(
        &self,
        topic: &str,
        queue: QueueId,
        may_block: bool,
    ) -> Result<(QueueOffset, QueueOffset), ReadError> {
        self.derived.queues().range(topic, queue, may_block)
    }

    /// Next offset of a queue, 0 if unknown (S-20).
    #[must_use]
    pub fn max_offset(&self, topic: &str, queue: QueueId) -> QueueOffset {
        self.derived.queues().next_offset(topic, queue)
    }

    /// Next offsets of all of a topic's queues, summed up.
    #[must_use]
    pub fn next_offsets(&self, topic: &str) -> u64 {
        self.derived.queues().next_offsets(topic)
    }

    /// The entry nearest in time (B-306). Blocks.
    ///
    /// # Errors
    /// [`ReadError::Unavailable`]
    pub fn offset_by_time(
        &self,
        topic: &str,
        queue: QueueId,
        timestamp: i64,
    ) -> Result<QueueOffset, ReadError> {
        let (from, to) = self.derived.queues().range_around(topic, queue, timestamp, true)?;
        let (mut low, mut high) = (from.0, to.0);
        // The first entry that is not older; entries without a record count as older.
        while low < high {
            let middle = low + (high - low) / 2;
            match self.store_time_of(topic, queue, QueueOffset(middle))? {
                Some(stored) if stored >= timestamp => high = middle,
                _ => low = middle + 1,
            }
        }
        if low >= to.0 {
            return Ok(QueueOffset(to.0.saturating_sub(1).max(from.0)));
        }
        if low == from.0 {
            return Ok(from);
        }
        let newer = self.store_time_of(topic, queue, QueueOffset(low))?;
        let older = self.store_time_of(topic, queue, QueueOffset(low - 1))?;
        let is_older_nearer = match (older, newer) {
            (Some(older), Some(newer)) => {
                timestamp.saturating_sub(older) < newer.saturating_sub(timestamp)
            }
            _ => false,
        };
        Ok(QueueOffset(low - u64::from(is_older_nearer)))
    }

    /// Store time of a queue's message, if it has it. Blocks.
    ///
    /// # Errors
    /// [`ReadError::Unavailable`]
    pub fn store_time_of(
        &self,
        topic: &str,
        queue: QueueId,
        offset: QueueOffset,
    ) -> Result<Option<i64>, ReadError> {
        let entries = self.derived.queues().entries(topic, queue, offset, 1, true)?;
        let Some(entry) = entries.first().filter(|entry| !entry.is_hole()) else { return Ok(None) };
        let at = entry.physical_offset;
        self.log.store_time_at(at, entry.size).map_err(|error| unreadable(at.0, &error))
    }

    /// How many light queues there are.
    #[must_use]
    pub fn light_queues(&self) -> usize {
        self.derived.queues().light_count()
    }

    /// Whether a queue has or had records.
    #[must_use]
    pub fn has_queue(&self, topic: &str, queue: QueueId) -> bool {
        self.derived.queues().queue_ids(topic).contains(&queue)
    }

    /// A queue's entries from an offset on, at most `count_max`; holes stand for lost records. Blocks.
    ///
    /// # Errors
    /// [`ReadError::Unavailable`]
    pub fn entries(
        &self,
        topic: &str,
        queue: QueueId,
        from: QueueOffset,
        count_max: usize,
    ) -> Result<Vec<Entry>, ReadError> {
        self.derived.queues().entries(topic, queue, from, count_max, true)
    }

    /// Whether a queue's message counts as on the disk, and not in memory (B-173, B-242). Blocks.
    ///
    /// # Errors
    /// [`ReadError::Unavailable`]
    pub fn is_on_disk(
        &self,
        topic: &str,
        queue: QueueId,
        offset: QueueOffset,
    ) -> Result<bool, ReadError> {
        let entries = self.derived.queues().entries(topic, queue, offset, 1, true)?;
        let place =
            entries.first().map(|entry| Place::of(entry, self.log.end(), self.in_memory_bytes));
        Ok(place.is_some_and(|place| place.is_on_disk))
    }

    /// Store time of the log's first record, in milliseconds since 1970; `None` too if that cannot be read now. Blocks.
    #[must_use]
    pub fn earliest_store_time(&self) -> Option<i64> {
        let list = self.log.segments().all();
        list.first().and_then(|segment| self.log.first_store_time_in(segment))
    }

    /// Whether what is at a physical offset is read without waiting for the disk.
    #[must_use]
    pub fn reads_at_once(&self, offset: PhysicalOffset) -> bool {
        self.is_in_memory(offset.0, self.log.end())
    }

    /// The record at a physical offset, if there is one. Blocks, unless it [`Self::reads_at_once`].
    ///
    /// # Errors
    /// [`ReadError::Unavailable`]: the disk does not give it now, and it may be whole.
    pub fn record_at(&self, offset: PhysicalOffset) -> Result<Option<Bytes>, ReadError> {
        self.log.record_at(offset).map_err(|error| unreadable(offset.0, &error))
    }

    /// The newest records of a key hash (B-210 to B-212): one at least, further ones up to 15 MiB. Blocks.
    ///
    /// # Errors
    /// [`ReadError::Unavailable`], also if only one of them cannot be read now: without it another one would seem to be
    /// the newest, or none to be there.
    pub fn query(
        &self,
        topic: &str,
        key: &str,
        count_max: usize,
        times: RangeInclusive<i64>,
    ) -> Result<Queried, ReadError> {
        let index = self.derived.index();
        // The index knows no errors of the log: the first one is kept here, and nothing is read after it.
        let read = Cell::new(Ok::<(), ReadError>(()));
        let store_time = |offset| {
            read.get().ok()?;
            let found = self.record_at(offset).inspect_err(|error| read.set(Err(*error)));
            Some(Record::parse(&found.ok()??).ok()?.store_timestamp())
        };
        let hash = key_hash(topic, key);
        let mut offsets = index.query(hash, &times, count_max, &store_time)?;
        read.get()?;
        offsets.sort_unstable();
        let (mut records, mut bytes) = (Vec::new(), 0);
        for offset in offsets.into_iter().rev() {
            let Some(record) = self.record_at(offset)? else { continue };
            bytes += record.len();
            if bytes > QUERIED_BYTES_MAX && !records.is_empty() {
                break;
            }
            records.push(record);
        }
        records.reverse();
        Ok(Queried { records, index_last: index.last() })
    }
}

/// Tells that the disk does not give a part of the log. What is there may be whole, so nobody may step over it.
pub(super) fn unreadable(physical_offset: u64, error: &io::Error) -> ReadError {
    tracing::error!(
        physical_offset,
        %error,
        "the log cannot be read here, and what is here waits until it can: if that does not pass, the disk fails; \
         let a slave take this broker's place and replace it"
    );
    ReadError::Unavailable
}

/// Where a record lies, and whether it counts as in memory.
struct Place {
    range: Range<u64>,
    is_on_disk: bool,
}

impl Place {
    fn of(entry: &Entry, log_end: u64, in_memory_bytes: u64) -> Self {
        let start = entry.physical_offset.0;
        let is_on_disk = log_end.saturating_sub(start) > in_memory_bytes;
        Self { range: start..start.saturating_add(u64::from(entry.size)), is_on_disk }
    }
}

/// Whether `bytes`, which lie at these neighbouring places, are one record each.
fn are_records(bytes: &[u8], ranges: &[Range<u64>]) -> bool {
    let mut rest = bytes;
    ranges.iter().all(|range| {
        let own = usize::try_from(range.end - range.start).ok();
        let Some((record, behind)) = own.and_then(|own| rest.split_at_checked(own)) else {
            return false;
        };
        rest = behind;
        record_in(record, PhysicalOffset(range.start)).is_some()
    })
}

/// The most bytes and messages that are read at once.
struct Limits {
    /// With what counts as in memory.
    memory: (u64, u32),
    /// With what counts as on the disk.
    disk: (u64, u32),
    /// Whether what was written lately is checked too.
    is_checked: bool,
}

/// What came of an entry that was looked at.
enum Looked {
    /// It is in the answer, or does not match.
    Done,
    /// Its record is lost.
    Gone,
    /// It is for another pull.
    Later,
}

/// What was collected for an answer.
struct Answer<'a> {
    limits: &'a Limits,
    count_max: u32,
    /// Where the log ended when it was begun.
    log_end: u64,
    /// Records that were read,
    body: BytesMut,
    /// and where those lie that follow them, left to be read together.
    ranges: Vec<Range<u64>>,
    /// Bytes of all these records.
    bytes: u64,
    /// How many they are.
    count: u32,
    /// Whether the last record that was looked at counts as on the disk.
    is_far_behind: bool,
}

impl<'a> Answer<'a> {
    fn new(limits: &'a Limits, count_max: u32, log_end: u64) -> Self {
        let (body, ranges) = (BytesMut::new(), Vec::new());
        Self { limits, count_max, log_end, body, ranges, bytes: 0, count: 0, is_far_behind: false }
    }

    /// Whether one more record would be too much; the first one never is (B-173).
    fn is_full(&self, next: &Place) -> bool {
        let (bytes_max, count_max) =
            if next.is_on_disk { self.limits.disk } else { self.limits.memory };
        let bytes = self.bytes + (next.range.end - next.range.start);
        self.count > 0
            && (self.count >= self.count_max || self.count >= count_max || bytes > bytes_max)
    }

    /// Whether there are as many messages as any answer has.
    fn has_all(&self) -> bool {
        self.count > 0 && self.count >= self.count_max.min(self.limits.memory.1)
    }

    fn add(&mut self, place: Place) {
        self.count(&place);
        self.ranges.push(place.range);
    }

    fn count(&mut self, place: &Place) {
        self.bytes += place.range.end - place.range.start;
        self.count += 1;
    }
}
