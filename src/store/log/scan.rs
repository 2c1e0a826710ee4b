//! Reads a log from front to back, record by record: recovery and rebuilds (ST-051, ST-052).
//!
//! Not what is made of the records. Invariants: a record is only given out if its lengths, its body's CRC and its
//! own physical offset are right; bytes that are no record are never skipped unasked.

use std::io;

use super::segments::{Segment, Segments};
use crate::message::{BLANK_HEADER_BYTES, Record, RecordError};

/// How much is read at once.
const CHUNK_BYTES: usize = 1 << 20;
/// The magic of a record as it lies in the file, and where: behind the size.
const MAGIC: [u8; 4] = crate::message::MESSAGE_MAGIC.to_be_bytes();
const MAGIC_AT: usize = 4;

/// What lies at a scanner's position.
pub(in crate::store) enum Found<'a> {
    /// A record; the scanner is behind it now.
    Record(Record<'a>),
    /// Something that is no record; the scanner stays.
    Bad,
    /// No segment: the log goes no further.
    End,
}

enum Step {
    Good(usize),
    Bad,
    End,
}

/// A place in a log.
pub(in crate::store) struct Scanner<'a> {
    segments: &'a Segments,
    position: u64,
    buffer: Vec<u8>,
    /// The physical offset of the buffer's first byte.
    buffer_start: u64,
}

impl<'a> Scanner<'a> {
    /// A scanner at a record boundary.
    pub(in crate::store) fn new(segments: &'a Segments, position: u64) -> Self {
        Self { segments, position, buffer: Vec::new(), buffer_start: position }
    }

    /// Where the next record is expected.
    pub(in crate::store) fn position(&self) -> u64 {
        self.position
    }

    /// Reads what is here; a blank record takes the scanner to the next segment.
    ///
    /// # Errors
    /// What the system says.
    pub(in crate::store) fn read(&mut self) -> io::Result<Found<'_>> {
        let size = match self.step()? {
            Step::Good(size) => size,
            Step::Bad => return Ok(Found::Bad),
            Step::End => return Ok(Found::End),
        };
        let at = self.in_buffer();
        self.position += size as u64;
        // It was parsed a moment ago.
        Ok(Record::parse(&self.buffer[at..at + size]).map_or(Found::Bad, Found::Record))
    }

    fn step(&mut self) -> io::Result<Step> {
        loop {
            let Some(segment) = self.segments.holding(self.position) else { return Ok(Step::End) };
            let left = usize::try_from(segment.end() - self.position).unwrap_or(usize::MAX);
            if left < BLANK_HEADER_BYTES {
                return Ok(Step::Bad);
            }
            self.fill(&segment, BLANK_HEADER_BYTES)?;
            let at = self.in_buffer();
            let head = &self.buffer[at..at + BLANK_HEADER_BYTES];
            let size = u32::from_be_bytes([head[0], head[1], head[2], head[3]]);
            let size = usize::try_from(size).unwrap_or(usize::MAX);
            match Record::parse(head) {
                Err(RecordError::Blank(_)) if size == left => {
                    self.position = segment.end();
                    continue;
                }
                Err(RecordError::Truncated) if size <= left => {}
                _ => return Ok(Step::Bad),
            }
            self.fill(&segment, size)?;
            let at = self.in_buffer();
            let is_good = Record::parse(&self.buffer[at..at + size]).is_ok_and(|record| {
                record.bytes().len() == size
                    && record.physical_offset().0 == self.position
                    && record.crc_matches()
            });
            return Ok(if is_good { Step::Good(size) } else { Step::Bad });
        }
    }

    fn in_buffer(&self) -> usize {
        usize::try_from(self.position - self.buffer_start).unwrap_or(usize::MAX)
    }

    /// Makes sure that the buffer has `bytes` bytes from the position on; they are in the segment.
    fn fill(&mut self, segment: &Segment, bytes: usize) -> io::Result<()> {
        let from = self.position.checked_sub(self.buffer_start).map(usize::try_from);
        if let Some(Ok(from)) = from
            && self.buffer.len() >= from + bytes
        {
            return Ok(());
        }
        let left = usize::try_from(segment.end() - self.position).unwrap_or(usize::MAX);
        self.buffer.resize(bytes.max(CHUNK_BYTES).min(left), 0);
        self.buffer_start = self.position;
        segment.read_at(&mut self.buffer, self.position)
    }

    /// Goes to the next record behind the position that lies wholly below `limit`; false, and the scanner stays, if
    /// there is none.
    ///
    /// # Errors
    /// What the system says.
    pub(in crate::store) fn skip_to_record(&mut self, limit: u64) -> io::Result<bool> {
        let stays_at = self.position;
        let mut at = self.position + 1;
        while let Some(segment) = self.segments.holding(at).filter(|_| at < limit) {
            while let Some(candidate) = next_magic(&segment, at)?.filter(|found| *found < limit) {
                self.position = candidate;
                if let Step::Good(size) = self.step()?
                    && self.position == candidate
                    && candidate + size as u64 <= limit
                {
                    return Ok(true);
                }
                at = candidate + 1;
            }
            at = segment.end();
        }
        self.position = stays_at;
        Ok(false)
    }
}

/// Where, from `at` on, a record may begin in a segment: its magic is there.
fn next_magic(segment: &Segment, mut at: u64) -> io::Result<Option<u64>> {
    let mut chunk = vec![0; CHUNK_BYTES];
    while let Some(data) = segment.next_data(at)? {
        at = data;
        let left = usize::try_from(segment.end() - at).unwrap_or(usize::MAX);
        if left < MAGIC_AT + MAGIC.len() {
            return Ok(None);
        }
        let chunk = &mut chunk[..CHUNK_BYTES.min(left)];
        segment.read_at(chunk, at)?;
        if let Some(found) = memchr::memmem::find(&chunk[MAGIC_AT..], &MAGIC) {
            return Ok(Some(at + found as u64));
        }
        // What may have begun at the chunk's end is looked at again.
        at += (chunk.len() - MAGIC_AT - MAGIC.len() + 1) as u64;
    }
    Ok(None)
}
