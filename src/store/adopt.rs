//! Takes the store of a stopped 4.9.4 broker over into a new group's folder.
//!
//! Not the looking at it (`java_store`), nor where the folder is. The log's files keep names and bytes, so that offsets
//! and ids of messages stay what they are; tables come as the files that lost tables are made again of; queues and index
//! are read from the log, as after a crash. Invariants: the source is never written: its newest file, which goes on
//! growing, is always a copy, and a linked one becomes one before anything is written into it (`log::Segments::own`).

use std::fs::{self, File};
use std::io::{self, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sys::statvfs::statvfs;
use nix::unistd::{Whence, lseek};

use super::disk::{flush_dir, used_percent};
use super::java_store::{JavaSegment, JavaStore};
use super::slice_begin::BeginContent;
use super::slice_rows::{QueueKey, QueueState};
use super::{OpenError, StartTopics, Store, StoreOptions};
use crate::clock::Clock;
use crate::files;
use crate::model::{PhysicalOffset, TopicName};

/// How much is copied until the progress is told again.
const COPY_BYTES: u64 = 64 << 20;

/// What is taken, and how.
#[derive(Debug)]
pub struct Adoption<'a> {
    /// The stopped broker's store.
    pub source: &'a JavaStore,
    /// The store to be made; its folder is there and empty.
    pub options: &'a StoreOptions,
    /// Whose files the node can write to: a file of another user is copied and not linked.
    pub owner_uid: u32,
    /// Copy all files.
    pub copy: bool,
}

/// How far an adoption is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress<'a> {
    /// So many bytes of a file of the log are copied.
    Copied {
        /// The file.
        path: &'a Path,
        /// Bytes.
        bytes: u64,
    },
    /// So many bytes of the log are read, of so many.
    Read(u64, u64),
}

/// What was taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Adopted {
    /// Files of the log that both have now.
    pub linked: usize,
    /// Files of the log that were copied.
    pub copied: usize,
    /// Where the log begins and ends.
    pub log: (u64, u64),
    /// How many topics there are.
    pub topics: usize,
    /// How many groups there are.
    pub groups: usize,
    /// How many positions of groups in queues there are.
    pub positions: usize,
    /// Topics that had been deleted: what the log still has of them is not served.
    pub deleted_topics: Vec<String>,
    /// How many places of the log were damaged, and stepped over.
    pub damaged: usize,
    /// Whether something behind the log's end was cut off, and is kept in a file `cut-OFFSET` of the folder.
    pub is_cut: bool,
}

impl Adoption<'_> {
    /// How many bytes of the disk the copies need.
    ///
    /// # Errors
    /// A file cannot be looked at.
    pub fn copied_bytes(&self, beside: &Path) -> Result<u64, OpenError> {
        let mut bytes = 0;
        for segment in &self.source.segments {
            if !self.is_linked(segment, beside).map_err(at(&segment.path))? {
                bytes += fs::metadata(&segment.path).map_err(at(&segment.path))?.blocks() * 512;
            }
        }
        Ok(bytes)
    }

    /// Refuses what the disk that holds `beside` has no room for: above `disk_force_percent` the oldest messages would
    /// be deleted as soon as they are adopted.
    ///
    /// # Errors
    /// [`OpenError`], with how much it needs.
    pub fn check_room(&self, beside: &Path) -> Result<(), OpenError> {
        let needed = self.copied_bytes(beside)?;
        let disk = statvfs(beside).map_err(|error| at(beside)(error.into()))?;
        let used = disk.blocks().saturating_sub(disk.blocks_free()) * disk.fragment_size();
        let available = disk.blocks_available() * disk.fragment_size();
        let after = used_percent(used + needed, available.saturating_sub(needed));
        let allowed = self.options.retention.get().disk_force_percent;
        if needed < available && after <= f64::from(allowed) {
            return Ok(());
        }
        Err(OpenError(format!(
            "{}: the copies need {} MiB, {} MiB are free, and above {allowed} % (disk_force_percent) the oldest messages are \
             deleted: make room, or choose a --data-dir on the disk of the old store, where files are linked",
            beside.display(),
            needed >> 20,
            available >> 20,
        )))
    }

    /// Makes the store and reads its log. Blocks for as long as that takes; `tell` is told now and then how far it is.
    ///
    /// # Errors
    /// [`OpenError`]; the new folder may then have a part of it.
    pub fn run(
        &self,
        start_topics: &StartTopics,
        clock: &Clock,
        tell: &dyn Fn(Progress<'_>),
    ) -> Result<Adopted, OpenError> {
        let mut adopted = Adopted::default();
        self.take_files(&mut adopted, tell)?;
        self.take_tables()?;
        let progress = |read, all| tell(Progress::Read(read, all));
        let store = Store::open(self.options.clone(), start_topics, clock, &progress)?;
        if self.source.is_whole {
            adopted.deleted_topics = self.remove_deleted_topics(&store);
        }
        let (start, end) = store.log_range();
        adopted.log = (start.0, end.0);
        let tables = store.tables();
        adopted.topics = tables.topics.snapshot().1.len();
        adopted.groups = tables.groups.count();
        adopted.positions = tables.consumer_offsets.positions().len();
        adopted.damaged = store.damaged_places();
        let dir = &self.options.dir;
        let names = fs::read_dir(dir).and_then(|found| {
            found.map(|entry| entry.map(|entry| entry.file_name())).collect::<io::Result<Vec<_>>>()
        });
        let names = names.map_err(at(dir))?;
        adopted.is_cut = names.iter().any(|name| name.to_string_lossy().starts_with("cut-"));
        if store.stop() {
            Ok(adopted)
        } else {
            Err(OpenError(format!("{}: not all could be saved: see above", dir.display())))
        }
    }

    fn take_files(
        &self,
        adopted: &mut Adopted,
        tell: &dyn Fn(Progress<'_>),
    ) -> Result<(), OpenError> {
        let dir = self.options.dir.join("commitlog");
        fs::create_dir(&dir).map_err(at(&dir))?;
        for segment in &self.source.segments {
            let to = dir.join(super::log::name_of(segment.start));
            let path = &segment.path;
            let may_link = self.is_linked(segment, &dir).map_err(at(path))?;
            // The file behind a link of the source, and not that link; and the system may say no for reasons of its own.
            if may_link && path.canonicalize().and_then(|path| fs::hard_link(path, &to)).is_ok() {
                adopted.linked += 1;
            } else {
                copy(path, &to, self.options.segment_bytes, &|bytes| {
                    tell(Progress::Copied { path, bytes });
                })
                .map_err(at(&to))?;
                adopted.copied += 1;
            }
        }
        flush_dir(&dir).map_err(at(&dir))
    }

    /// Whether a file is to be shared with the source.
    fn is_linked(&self, segment: &JavaSegment, beside: &Path) -> io::Result<bool> {
        let file = fs::metadata(&segment.path)?;
        let is_newest = self.source.segments.last() == Some(segment);
        let is_near = file.dev() == fs::metadata(beside)?.dev();
        Ok(!self.copy && !is_newest && is_near && file.uid() == self.owner_uid)
    }

    /// The tables as files that are read when there is no database, and the queues that the log does not tell of.
    fn take_tables(&self) -> Result<(), OpenError> {
        let [export, slices] = ["export", "slices"].map(|name| self.options.dir.join(name));
        for folder in [&export, &slices] {
            fs::create_dir(folder).map_err(at(folder))?;
        }
        for (name, text) in &self.source.tables {
            let path = export.join(name);
            files::replace(&path, text).map_err(at(&path))?;
        }
        let Some(first) = self.source.segments.first() else { return Ok(()) };
        if self.source.idle_queues.is_empty() {
            return Ok(());
        }
        let slice = first.start / self.options.slice_bytes;
        let path = slices.join(format!("{:020}.begin", slice * self.options.slice_bytes));
        self.begin(slice).write(&path).map_err(at(&path))
    }

    /// What holds when the log begins: queues that have nothing in it go on where they were.
    fn begin(&self, slice: u64) -> BeginContent {
        let mut begin = BeginContent { slice, ..BeginContent::default() };
        for (id, topic) in (0..).zip(&self.source.topics) {
            begin.topics.push((TopicName::new(topic), id, PhysicalOffset(0)));
            let queues = self.source.idle_queues.iter().filter(|queue| queue.topic == *topic);
            begin.queues.extend(queues.map(|queue| {
                let key = QueueKey { topic_id: id, queue_id: queue.queue_id };
                let (next, last_end) = (queue.next, queue.last_end);
                let (first_offset, first_physical) = (next, last_end);
                (key, QueueState { next, last_end, floor: 0, first_offset, first_physical })
            }));
        }
        begin.queues.sort_unstable_by_key(|(key, _)| *key);
        begin
    }

    /// The log still has messages of topics that were deleted, and a configuration was guessed for them.
    fn remove_deleted_topics(&self, store: &Store) -> Vec<String> {
        let rows = store.tables().topics.rows().into_iter();
        let guessed = rows.filter(|(_, row)| row.is_guessed);
        let names = guessed.map(|(name, _)| name.as_str().to_owned());
        let deleted: Vec<String> =
            names.filter(|name| !self.source.topics.contains(name)).collect();
        for name in &deleted {
            store.remove_topic(name);
        }
        deleted
    }
}

/// Copies a file without its holes, sharing blocks where the file system can, and brings it to the disk.
pub(super) fn copy(from: &Path, to: &Path, bytes: u64, tell: &dyn Fn(u64)) -> io::Result<()> {
    let mut source = File::open(from)?;
    let mut copied = File::create_new(to)?;
    copied.set_len(bytes)?;
    let mut at = 0;
    while let Some((data, end)) = next_data(&source, at, bytes)? {
        at = data;
        while at < end {
            let part = COPY_BYTES.min(end - at);
            source.seek(SeekFrom::Start(at))?;
            copied.seek(SeekFrom::Start(at))?;
            if io::copy(&mut io::Read::take(&source, part), &mut copied)? != part {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            at += part;
            tell(at);
        }
    }
    copied.sync_all()
}

/// From where to where a file, from `at` on, has data; `None` if nothing but holes follows.
fn next_data(file: &File, at: u64, bytes: u64) -> io::Result<Option<(u64, u64)>> {
    if at >= bytes {
        return Ok(None);
    }
    let offset =
        |at: u64| i64::try_from(at).map_err(|_| io::Error::from(io::ErrorKind::FileTooLarge));
    let unsigned = |at: i64| u64::try_from(at).unwrap_or(0).min(bytes);
    let from = match lseek(file, offset(at)?, Whence::SeekData) {
        Ok(from) => from,
        Err(Errno::ENXIO) => return Ok(None),
        // A file system that does not know.
        Err(Errno::EINVAL | Errno::EOPNOTSUPP) => return Ok(Some((at, bytes))),
        Err(error) => return Err(error.into()),
    };
    let to = lseek(file, from, Whence::SeekHole)?;
    Ok(Some((unsigned(from), unsigned(to))).filter(|(from, to)| from < to))
}

fn at(path: &Path) -> impl Fn(io::Error) -> OpenError {
    let path: PathBuf = path.to_owned();
    move |error| OpenError(format!("{}: {error}", path.display()))
}
