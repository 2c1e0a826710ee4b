//! Opening a store: finding the log's end, and bringing queues, index and tables up to it (ST-051 to ST-055).
//!
//! Not the running store. Invariants: nothing below the checkpoint's `flushed_to` is ever cut off unless a note says
//! so (`cut`), a bad record there is stepped over and leaves a hole in its queue; what follows the log's end is zero before the first append;
//! everything in the log is on the disk when this returns.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::OpenError;
use super::checkpoint::{Checkpoint, CheckpointFile, boot_id};
use super::cut::Cut;
use super::derived::{Derived, LogExtent, SliceOptions, WriteError};
use super::disk::{Disk, flush_or_end};
use super::dispatch::{Facts, Follower, Place};
use super::log::{Extent, Found, Scanner, Segments, SegmentsError};
use super::options::{FlushMode, StoreOptions};
use super::tables::{Source, StartTopics, Tables};
use crate::clock::Clock;
use crate::kv::KvError;
use crate::model::{PhysicalOffset, QueueId, system};

/// How often the progress is told, in bytes of log.
const TOLD_EVERY_BYTES: u64 = 64 << 20;
/// How much of what was behind the log's end is kept.
const ASIDE_BYTES_MAX: u64 = 64 << 20;
/// How much is copied at once.
const COPY_BYTES: u64 = 1 << 20;

/// An opened store's parts.
pub(super) struct Recovered {
    pub(super) tables: Arc<Tables>,
    pub(super) derived: Arc<Derived>,
    pub(super) segments: Segments,
    pub(super) extent: Extent,
    pub(super) checkpoint_file: CheckpointFile,
    /// What the checkpoint says.
    pub(super) saved_to: Option<u64>,
}

/// What is at hand during a recovery.
pub(super) struct Recovery<'a> {
    pub(super) options: &'a StoreOptions,
    pub(super) clock: &'a Clock,
    pub(super) disk: &'a dyn Disk,
    /// Told now and then how many bytes of log are read, of how many.
    pub(super) progress: &'a dyn Fn(u64, u64),
}

/// The folders and files of a group.
pub(super) fn slice_options(options: &StoreOptions) -> SliceOptions {
    SliceOptions {
        dir: options.dir.join("slices"),
        slice_bytes: options.slice_bytes,
        identity: identity(options),
    }
}

/// Whose databases they are: the group's name, which is its folder's.
fn identity(options: &StoreOptions) -> String {
    options.dir.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
}

impl Recovery<'_> {
    pub(super) fn run(&self, start_topics: &StartTopics) -> Result<Recovered, OpenError> {
        let Self { options, clock, .. } = *self;
        let dir = &options.dir;
        for folder in [dir.clone(), dir.join("commitlog"), dir.join("slices"), dir.join("export")] {
            fs::create_dir_all(&folder).map_err(at(&folder))?;
        }
        let path = dir.join("checkpoint");
        let (mut checkpoint_file, checkpoint) = CheckpointFile::open(&path).map_err(at(&path))?;
        let saved_to = checkpoint.map(|checkpoint| checkpoint.offset);
        let opened = Tables::open(dir, &identity(options), clock, saved_to);
        let (tables, source) = opened.map_err(at(dir))?;
        // What is acknowledged later must not go with its folder.
        for folder in [Some(dir.as_path()), dir.parent()].into_iter().flatten() {
            self.disk.flush_dir(folder).map_err(at(folder))?;
        }
        let tables = Arc::new(tables);
        tables.topics.ensure_start_topics(start_topics);
        let segments = Segments::open(&dir.join("commitlog"), options.segment_bytes)?;
        if segments.all().is_empty() {
            self.begin_log(&segments, checkpoint, &tables).map_err(at(dir))?;
        }
        let flushed_to = match checkpoint {
            Some(checkpoint) => checkpoint.flushed_to,
            None => newest_with_data(&segments).map_err(at(dir))?,
        };
        let found_end = self.find_end(&segments, flushed_to, checkpoint).map_err(at(dir))?;
        let cut = Cut::noted(dir).map_err(at(dir))?;
        let end = cut.map_or(found_end, |cut| cut.at.clamp(segments.start(), found_end));
        self.settle(&segments, flushed_to.min(end), end, cut).map_err(at(dir))?;
        let is_lowered = tables.topics.lower_floors(PhysicalOffset(end));
        let mut saved_to = checkpoint.map(|checkpoint| checkpoint.offset);
        // A log that lost what is below the checkpoint is cut too.
        let opened = match saved_to {
            Some(saved_to) if saved_to > end => None,
            _ if cut.is_some() => None,
            _ => self.derive(&segments, &tables, source, saved_to, end)?,
        };
        let opened = match opened {
            Some(opened) => opened,
            None => {
                // Queues and index have records that the log lost: the slice that it ends in is made again.
                let first = saved_to.unwrap_or(0).min(end - end % options.slice_bytes);
                let lowered =
                    Checkpoint { offset: first, flushed_to: end, boot_id: 0, newest_store_time: 0 };
                checkpoint_file.write(self.disk, &lowered).map_err(at(&path))?;
                let slices = slice_options(options);
                Derived::delete_from(&slices, PhysicalOffset(end), clock).map_err(at(dir))?;
                saved_to = Some(first);
                let ahead =
                    || OpenError(format!("{}: the queues have more than the log", dir.display()));
                self.derive(&segments, &tables, source, saved_to, end)?.ok_or_else(ahead)?
            }
        };
        let (derived, newest_read) = opened;
        clamp_positions(&tables, &derived);
        let noted = tables.note_positions();
        if is_lowered || !noted.is_empty() {
            // Before anything is appended: the next start must not take what is new for what was lost.
            let saved = tables.save_configs().and_then(|()| tables.save_positions(&noted, end));
            saved.map_err(into_io).map_err(at(dir))?;
        }
        if let Some(Cut { at: asked, .. }) = cut {
            tracing::warn!(dir = %dir.display(), asked, end, was = found_end, "the log was cut");
            Cut::forget(self.disk, dir).map_err(at(dir))?;
        }
        let newest_known = checkpoint.map_or(0, |checkpoint| checkpoint.newest_store_time);
        let last_store_timestamp = newest_known.max(newest_read);
        let extent = Extent { end, flushed_to: end, last_store_timestamp };
        let derived = Arc::new(derived);
        Ok(Recovered { tables, derived, segments, extent, checkpoint_file, saved_to })
    }

    /// Makes the first segment of a log that is new, or lost: then it goes on where nothing of the former one was,
    /// so that what is known of offsets stays true.
    fn begin_log(
        &self,
        segments: &Segments,
        checkpoint: Option<Checkpoint>,
        tables: &Tables,
    ) -> io::Result<()> {
        let floors = tables.topics.rows().into_iter().map(|(_, row)| row.floor.0).max();
        let known = checkpoint.map_or(0, |checkpoint| checkpoint.flushed_to);
        let beyond = floors.unwrap_or(0).max(known);
        let start = beyond.next_multiple_of(self.options.segment_bytes);
        if start > 0 {
            tracing::error!(dir = %self.options.dir.display(), start, "the log is gone; a new one begins behind it");
        }
        if checkpoint.is_none() {
            Derived::delete_from(&slice_options(self.options), PhysicalOffset(0), self.clock)?;
        }
        segments.get_or_create(self.disk, start).map(|_| ())
    }

    /// Where the log ends: behind its last record, and never below what the checkpoint says is on the disk.
    fn find_end(
        &self,
        segments: &Segments,
        flushed_to: u64,
        checkpoint: Option<Checkpoint>,
    ) -> io::Result<u64> {
        let from = flushed_to.max(segments.start());
        if segments.holding(from).is_none() {
            // Exactly at the newest segment's end, or segments were taken away.
            let list = segments.all();
            let end = list.last().map_or(from, |newest| newest.end());
            if end < from {
                tracing::error!(end, flushed_to, "the log lacks its end");
            }
            return Ok(end);
        }
        // While the machine ran on, the kernel has all that was written: what is bad then was not torn.
        let is_same_boot =
            checkpoint.is_some_and(|known| known.boot_id != 0 && known.boot_id == boot_id());
        let steps_over = is_same_boot || self.options.flush == FlushMode::Sync;
        let mut scanner = Scanner::new(segments, from);
        loop {
            match scanner.read()? {
                Found::Record(_) => {}
                Found::End => return Ok(scanner.position()),
                Found::Bad => {
                    if !(steps_over && scanner.skip_to_record(u64::MAX)?) {
                        return Ok(scanner.position());
                    }
                }
            }
        }
    }

    /// Makes the log end at `end`: what is behind is set aside and made zero, what is before goes to the disk. From
    /// the newest segment on backwards: what is broken off is found again behind the same end.
    fn settle(
        &self,
        segments: &Segments,
        flushed_to: u64,
        end: u64,
        cut: Option<Cut>,
    ) -> io::Result<()> {
        let list = segments.all();
        for segment in list.iter().rev().filter(|segment| segment.end() > flushed_to) {
            let segment = &segments.own(self.disk, segment)?;
            let to = segment.end().min(end);
            // A flush that failed may have marked pages clean that are not on the disk: they are written again.
            let mut at = segment.start().max(flushed_to);
            while at < to {
                let mut bytes = vec![0; usize::try_from(COPY_BYTES.min(to - at)).unwrap_or(0)];
                segment.read_at(&mut bytes, at)?;
                segment.write_at(self.disk, &bytes, at)?;
                at += bytes.len() as u64;
            }
            if segment.end() > end && self.set_aside(segment, end, cut)? {
                segment.zero(end.max(segment.start()), segment.end())?;
            }
            flush_or_end(self.disk, segment.file(), segment.path())?;
        }
        Ok(())
    }

    /// Copies what a segment has from `end` on to a file, for whoever misses it; returns whether there was anything.
    /// Of what is cut on purpose all is kept, and never a part of it over the whole.
    fn set_aside(
        &self,
        segment: &super::log::Segment,
        end: u64,
        cut: Option<Cut>,
    ) -> io::Result<bool> {
        let start = end.max(segment.start());
        let Some(from) = segment.next_data(start)? else { return Ok(false) };
        let name = match cut {
            Some(cut) => format!("cut-{start:020}-{}", cut.noted_ms),
            None => format!("cut-{start:020}"),
        };
        let path = self.options.dir.join(name);
        if cut.is_some() && path.exists() {
            return Ok(true);
        }
        let bytes_max = if cut.is_some() { u64::MAX } else { ASIDE_BYTES_MAX };
        let new = path.with_extension("tmp");
        let mut aside: Option<File> = None;
        let mut at = from;
        while let Some(data) = segment.next_data(at)? {
            let bytes = usize::try_from(COPY_BYTES.min(segment.end() - data)).unwrap_or(0);
            let mut bytes = vec![0; bytes];
            segment.read_at(&mut bytes, data)?;
            at = data + bytes.len() as u64;
            if bytes.iter().all(|byte| *byte == 0) {
                continue;
            }
            if aside.is_none() {
                tracing::warn!(end, path = %path.display(), "bytes behind the log's end are cut off and set aside");
                let mut options = OpenOptions::new();
                options.read(true).write(true).create(true).truncate(true);
                aside = Some(options.open(&new)?);
            }
            if data - start >= bytes_max {
                break;
            }
            if let Some(aside) = &aside {
                aside.write_all_at(&bytes, data - start)?;
            }
        }
        if let Some(aside) = &aside {
            flush_or_end(self.disk, aside, &new)?;
            fs::rename(&new, &path)?;
            self.disk.flush_dir(&self.options.dir)?;
        }
        Ok(aside.is_some())
    }

    /// Opens queues and index and reads the log's end into them; the newest store time comes with them. `None` if
    /// they have more than the log.
    fn derive(
        &self,
        segments: &Segments,
        tables: &Arc<Tables>,
        source: Source,
        checkpoint: Option<u64>,
        end: u64,
    ) -> Result<Option<(Derived, i64)>, OpenError> {
        let slices = slice_options(self.options);
        let extent = LogExtent {
            start: PhysicalOffset(segments.start()),
            checkpoint: checkpoint.map(PhysicalOffset),
        };
        let failed = at(&slices.dir);
        let opened = Derived::open(slices.clone(), Arc::clone(tables), source, extent, self.clock);
        let opened = opened.map_err(failed)?;
        let read_from = opened.read_from.0;
        let boundary = if checkpoint == Some(read_from) {
            read_from
        } else {
            segments.holding(read_from).map_or(read_from, |segment| segment.start())
        };
        let derived = opened.derived;
        let mut last_store_timestamp = 0;
        let mut saved_to = read_from;
        let mut told_at = boundary;
        let read = read_records(segments, boundary..end, |record| {
            last_store_timestamp = last_store_timestamp.max(record.store_timestamp());
            let at = record.physical_offset().0;
            if at >= read_from {
                let facts = Facts::of(record, self.options);
                derived.dispatch(&facts.placed(
                    record.topic(),
                    record.queue_id(),
                    Place::of(record),
                ));
            }
            if at >= told_at + TOLD_EVERY_BYTES {
                told_at = at;
                (self.progress)(at - boundary, end - boundary);
            }
            // As often as when it was appended, so that memory does not hold all of it.
            if at >= saved_to + self.options.checkpoint_bytes {
                saved_to = at;
                return match derived.write_behind(PhysicalOffset(at)) {
                    // What is condemned is rebuilt when the store runs.
                    Ok(()) | Err(WriteError::Condemned) => Ok(()),
                    Err(WriteError::Failed(error)) => Err(into_io(error)),
                };
            }
            Ok(())
        });
        read.map_err(at(&self.options.dir))?;
        Ok((!derived.is_ahead_of_log()).then_some((derived, last_store_timestamp)))
    }
}

/// Shows all records that begin in a range of a log, which begins and ends at record boundaries; what is no record
/// is stepped over, loudly.
pub(super) fn read_records(
    segments: &Segments,
    range: std::ops::Range<u64>,
    mut visit: impl FnMut(&crate::message::Record<'_>) -> io::Result<()>,
) -> io::Result<()> {
    let mut scanner = Scanner::new(segments, range.start);
    while scanner.position() < range.end {
        match scanner.read()? {
            Found::Record(record) => visit(&record)?,
            Found::End => break,
            Found::Bad => {
                let from = scanner.position();
                let found = scanner.skip_to_record(range.end)?;
                let to = if found { scanner.position() } else { range.end };
                segments.note_damage(from);
                tracing::error!(from, to, "the log is damaged: what lies here is lost");
                if !found {
                    break;
                }
            }
        }
    }
    Ok(())
}

/// The start of the newest segment that has something.
fn newest_with_data(segments: &Segments) -> io::Result<u64> {
    for segment in segments.all().iter().rev() {
        let mut first = [0; 8];
        segment.read_at(&mut first, segment.start())?;
        if first != [0; 8] {
            return Ok(segment.start());
        }
    }
    Ok(segments.start())
}

/// Positions beyond their queue's end are brought back to it: the log may have lost its end.
fn clamp_positions(tables: &Tables, derived: &Derived) {
    tables.consumer_offsets.clamp(|topic, queue| derived.next_offset(topic, queue).0);
    tables.delay_offsets.clamp(|queue| {
        let queue = QueueId(queue);
        match derived.queues().range(system::SCHEDULE_TOPIC, queue, true) {
            Ok((first, next)) => (first.0, next.0),
            Err(_) => (0, derived.next_offset(system::SCHEDULE_TOPIC, queue).0),
        }
    });
}

fn into_io(error: KvError) -> io::Error {
    match error {
        KvError::Io(error) => error,
        other => io::Error::other(other),
    }
}

fn at(path: &Path) -> impl Fn(io::Error) -> OpenError {
    let path: PathBuf = path.to_owned();
    move |error| OpenError(format!("{}: {error}", path.display()))
}

impl From<SegmentsError> for OpenError {
    fn from(error: SegmentsError) -> Self {
        Self(error.to_string())
    }
}
