//! Appending what a master's log has, byte for byte and at the same offsets (H-015).
//!
//! Not how it gets here: that is `replication`'s. Invariants: only whole records and blank records are written, each
//! checked before (its lengths, its body's CRC, its own offset), unless it was said that the master's log has a hole;
//! what does not fit changes nothing; queues and index follow as on the master, because all they need is in the
//! records.

use std::io;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use super::append::Tail;
use super::{CommitLog, RECORD_BYTES_MAX, tell};
use crate::message::{
    BLANK_HEADER_BYTES, RECORD_HEAD_BYTES, Record, RecordError, encode_blank, may_begin,
};
use crate::model::PhysicalOffset;
use crate::store::disk::is_disk_full;
use crate::store::dispatch::{Facts, Place};
use crate::store::{CopiedHole, CopyError};

/// A record that is about to be written.
struct Checked<'a> {
    record: Record<'a>,
    facts: Facts,
}

/// Whole records at the beginning of some bytes, all of one segment.
#[derive(Default)]
struct Run<'a> {
    records: Vec<Checked<'a>>,
    bytes: usize,
}

impl CommitLog {
    /// Appends the whole records at the beginning of `bytes`, which the master's log has at `at`; returns how many
    /// bytes these were. The rest is the beginning of a record.
    ///
    /// # Errors
    /// [`CopyError`]; what was before the fault is appended.
    pub fn append_copied(&self, at: u64, bytes: &[u8]) -> Result<usize, CopyError> {
        let mut told = Vec::new();
        let mut taken = 0;
        let mut tail = self.tail.lock().unwrap_or_else(PoisonError::into_inner);
        let copied = self.copy(&mut tail, at, bytes, &mut taken, &mut told);
        drop(tail);
        self.replicas.log_grew();
        if let Some(listener) = self.listener.get() {
            for Checked { record, facts } in &told {
                let place = Place::of(record);
                let dispatch = facts.placed(record.topic(), record.queue_id(), place);
                tell(listener, &dispatch, record.bytes());
            }
        }
        copied.map(|()| taken)
    }

    fn copy<'a>(
        &self,
        tail: &mut Tail,
        at: u64,
        bytes: &'a [u8],
        taken: &mut usize,
        told: &mut Vec<Checked<'a>>,
    ) -> Result<(), CopyError> {
        self.make_ready(tail, at)?;
        loop {
            if tail.position == tail.segment.end() {
                self.next_segment(tail).map_err(|error| self.copy_error(&error))?;
            }
            let run = self.run_of(tail, &bytes[*taken..])?;
            if run.bytes == 0 {
                return Ok(());
            }
            let run_bytes = run.bytes;
            self.write_run(tail, run, &bytes[*taken..*taken + run_bytes], told)?;
            *taken += run_bytes;
        }
    }

    /// Appends what the master's log has at `at` up to the next record, whatever it is: there is none at `begun_at`.
    /// What may be the beginning of one is left, until there is more of it.
    ///
    /// # Errors
    /// [`CopyError`], but never `Damaged`.
    pub fn append_hole(
        &self,
        begun_at: u64,
        at: u64,
        bytes: &[u8],
    ) -> Result<CopiedHole, CopyError> {
        let mut tail = self.tail.lock().unwrap_or_else(PoisonError::into_inner);
        self.make_ready(&mut tail, at)?;
        if tail.position == tail.segment.end() {
            self.next_segment(&mut tail).map_err(|error| self.copy_error(&error))?;
        }
        let room = tail.segment.end() - tail.position;
        let within = &bytes[..bytes.len().min(usize::try_from(room).unwrap_or(usize::MAX))];
        let next = (0..within.len()).find(|&index| {
            let position = tail.position + index as u64;
            let blank = u32::try_from(tail.segment.end() - position).map(encode_blank);
            let is_blank = blank.is_ok_and(|blank| within[index..].starts_with(&blank));
            let is_next = is_blank || may_begin(&within[index..], PhysicalOffset(position));
            position > begun_at && is_next
        });
        let is_over = next.is_some() || within.len() as u64 == room;
        let bytes = match next {
            Some(index) => index,
            None if is_over => within.len(),
            None => within.len().saturating_sub(RECORD_HEAD_BYTES - 1),
        };
        self.write_run(&mut tail, Run::default(), &within[..bytes], &mut Vec::new())?;
        drop(tail);
        self.replicas.log_grew();
        Ok(CopiedHole { bytes, is_over })
    }

    fn make_ready(&self, tail: &mut Tail, at: u64) -> Result<(), CopyError> {
        if tail.stopped {
            return Err(CopyError::Stopping);
        }
        if self.is_read_only() {
            return Err(CopyError::DiskFull);
        }
        if at == tail.position { Ok(()) } else { self.begin_at(tail, at) }
    }

    /// Lets an empty log begin where the master's does.
    fn begin_at(&self, tail: &mut Tail, at: u64) -> Result<(), CopyError> {
        let end = tail.position;
        if end != 0 {
            return Err(CopyError::Elsewhere { at, end });
        }
        if !at.is_multiple_of(self.segments.segment_bytes()) {
            return Err(CopyError::SegmentSize { at, own: self.segments.segment_bytes() });
        }
        tail.segment =
            self.segments.begin_at(self.disk(), at).map_err(|error| self.copy_error(&error))?;
        tail.position = at;
        self.end.store(at, Ordering::Release);
        tracing::info!(at, "the log begins where the master's does");
        Ok(())
    }

    fn next_segment(&self, tail: &mut Tail) -> io::Result<()> {
        tail.segment = self.segments.get_or_create(self.disk(), tail.segment.end())?;
        tail.position = tail.segment.start();
        Ok(())
    }

    /// The whole records at the beginning of `bytes`, up to the end of the tail's segment. What is no record is an
    /// error only if it comes first.
    fn run_of<'a>(&self, tail: &Tail, bytes: &'a [u8]) -> Result<Run<'a>, CopyError> {
        let mut run = Run::default();
        loop {
            let position = tail.position + run.bytes as u64;
            let room = tail.segment.end() - position;
            let found = self.whole_record(position, room, &bytes[run.bytes..]);
            match found {
                Ok(Whole::Record(checked)) => {
                    run.bytes += checked.record.bytes().len();
                    run.records.push(checked);
                }
                Ok(Whole::Blank(size)) => run.bytes += size,
                Ok(Whole::NotYet) => return Ok(run),
                Err(_) if run.bytes > 0 => return Ok(run),
                Err(error) => return Err(error),
            }
        }
    }

    fn whole_record<'a>(
        &self,
        position: u64,
        room: u64,
        bytes: &'a [u8],
    ) -> Result<Whole<'a>, CopyError> {
        if room == 0 || bytes.len() < BLANK_HEADER_BYTES {
            return Ok(Whole::NotYet);
        }
        let damaged = |what: &str| CopyError::Damaged { at: position, what: what.to_owned() };
        let size = u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        let crosses = CopyError::SegmentSize { at: position, own: self.segments.segment_bytes() };
        match Record::parse(bytes) {
            Err(RecordError::Blank(size)) if size > RECORD_BYTES_MAX => {
                Err(damaged("a blank record that is too large"))
            }
            Err(RecordError::Truncated) if size > RECORD_BYTES_MAX => {
                Err(damaged("a record that is too large"))
            }
            // Most of a damaged size is seen at once, or it would be waited for what never comes.
            Err(RecordError::Truncated) if bytes.len() < RECORD_HEAD_BYTES => Ok(Whole::NotYet),
            Err(RecordError::Truncated) if !may_begin(bytes, PhysicalOffset(position)) => {
                Err(damaged("the beginning of no record of this place"))
            }
            Err(RecordError::Truncated) if u64::from(size) > room => Err(crosses),
            Ok(record) if u64::from(size) > room && record.crc_matches() => Err(crosses),
            Err(RecordError::Blank(size)) if u64::from(size) != room => Err(crosses),
            Err(RecordError::Truncated) => Ok(Whole::NotYet),
            Err(RecordError::Blank(size)) => {
                let size = usize::try_from(size).unwrap_or(usize::MAX);
                Ok(if size <= bytes.len() { Whole::Blank(size) } else { Whole::NotYet })
            }
            Err(error) => Err(damaged(&error.to_string())),
            Ok(record) if record.physical_offset().0 != position => {
                Err(damaged("a record of another place"))
            }
            Ok(record) if !record.crc_matches() => Err(damaged("a body that is not what it was")),
            Ok(record)
                if i64::try_from(record.queue_offset().0).is_err()
                    || i32::try_from(record.queue_id().0).is_err() =>
            {
                Err(damaged("a record of no queue"))
            }
            Ok(record) => {
                let facts = Facts::of(&record, &self.options);
                Ok(Whole::Record(Checked { record, facts }))
            }
        }
    }

    fn write_run<'a>(
        &self,
        tail: &mut Tail,
        run: Run<'a>,
        bytes: &[u8],
        told: &mut Vec<Checked<'a>>,
    ) -> Result<(), CopyError> {
        let end = tail.position + bytes.len() as u64;
        let written = tail
            .zero_torn()
            .and_then(|()| tail.segment.write_at(self.disk(), bytes, tail.position));
        if let Err(error) = written {
            tail.was_torn_to(end);
            return Err(self.copy_error(&error));
        }
        tail.position = end;
        self.end.store(end, Ordering::Release);
        for Checked { record, facts } in &run.records {
            let place = Place::of(record);
            tail.last_store_timestamp = tail.last_store_timestamp.max(place.store_timestamp);
            self.follower.dispatch(&facts.placed(record.topic(), record.queue_id(), place));
        }
        if self.listener.get().is_some() {
            told.extend(run.records);
        }
        self.wake_allocation(end);
        Ok(())
    }

    fn copy_error(&self, error: &io::Error) -> CopyError {
        if is_disk_full(error) {
            self.set_no_space(true);
            self.wake_allocator();
            CopyError::DiskFull
        } else {
            CopyError::Failed(error.to_string())
        }
    }
}

/// What is at the beginning of some bytes.
enum Whole<'a> {
    Record(Checked<'a>),
    Blank(usize),
    NotYet,
}
