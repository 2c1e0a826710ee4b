//! The segment files of a commit log: `%020d`, all of one size, one after the other (ST-006).
//!
//! Not what is in them. Invariants: segments have no gap between them; each has its full size from
//! its creation on, sparse; readers see a consistent list without a lock.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, IoSliceMut};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use nix::errno::Errno;
use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
use nix::unistd::{Whence, lseek};
use rustix::io::{ReadWriteFlags, preadv2};

use crate::store::adopt::copy;
use crate::store::disk::{Disk, flush_or_end, zero};

/// The most damaged places that are counted.
const DAMAGED_MAX: usize = 100_000;

/// One segment file, open for reading and writing.
#[derive(Debug)]
pub struct Segment {
    /// The physical offset of its first byte.
    start: u64,
    bytes: u64,
    path: PathBuf,
    file: File,
    /// The same file without reading ahead, for what was written lately: read ahead of the log's end, the kernel would
    /// fill its memory with large pages of zeros, into which each small write costs several times as much.
    tail: File,
    /// Up to which physical offset disk space is reserved.
    allocated_to: AtomicU64,
}

impl Segment {
    fn new(start: u64, bytes: u64, path: PathBuf, file: File) -> io::Result<Self> {
        let tail = File::open(&path)?;
        posix_fadvise(&tail, 0, 0, PosixFadviseAdvice::POSIX_FADV_RANDOM)?;
        Ok(Self { start, bytes, path, file, tail, allocated_to: AtomicU64::new(start) })
    }

    /// The physical offset of its first byte.
    #[must_use]
    pub fn start(&self) -> u64 {
        self.start
    }

    /// The physical offset behind its last byte.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.start + self.bytes
    }

    /// Where the file is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file itself.
    #[must_use]
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Writes at a physical offset.
    ///
    /// # Errors
    /// What the system says; nothing, a part or all may have been written.
    pub fn write_at(&self, disk: &dyn Disk, bytes: &[u8], at: u64) -> io::Result<()> {
        debug_assert!(at >= self.start && at + bytes.len() as u64 <= self.end());
        disk.write(&self.file, &self.path, bytes, at - self.start)
    }

    /// Fills `into` from a physical offset.
    ///
    /// # Errors
    /// What the system says.
    pub fn read_at(&self, into: &mut [u8], at: u64) -> io::Result<()> {
        self.file.read_exact_at(into, at - self.start)
    }

    /// Fills `into` from a physical offset near the log's end.
    ///
    /// # Errors
    /// What the system says.
    pub fn read_tail_at(&self, into: &mut [u8], at: u64) -> io::Result<()> {
        self.tail.read_exact_at(into, at - self.start)
    }

    /// Lets the kernel forget what it has of the file from a physical offset on and what is on the disk already: pages that
    /// were read ahead would make it read ahead of them when they are read again, through `tail`, too.
    ///
    /// # Errors
    /// What the system says.
    pub fn forget_from(&self, at: u64) -> io::Result<()> {
        let from = i64::try_from(at - self.start).map_err(|_| io::ErrorKind::InvalidInput)?;
        Ok(posix_fadvise(&self.file, from, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED)?)
    }

    /// Fills `into` from a physical offset if the kernel has all of that in its memory; false, and anything may be in
    /// `into`, if it has not, or cannot tell on this file system. Never waits for the disk.
    pub fn read_cached_at(&self, into: &mut [u8], at: u64) -> bool {
        let bytes = into.len();
        let mut whole = [IoSliceMut::new(into)];
        let read = preadv2(&self.file, &mut whole, at - self.start, ReadWriteFlags::NOWAIT);
        read == Ok(bytes)
    }

    /// Has the kernel read what lies between two physical offsets of this segment; does not wait for that.
    ///
    /// # Errors
    /// What the system says.
    pub fn read_ahead(&self, from: u64, to: u64) -> io::Result<()> {
        let number = |bytes| i64::try_from(bytes).map_err(|_| io::ErrorKind::InvalidInput);
        let (at, bytes) = (number(from - self.start)?, number(to - from)?);
        Ok(posix_fadvise(&self.file, at, bytes, PosixFadviseAdvice::POSIX_FADV_WILLNEED)?)
    }

    /// Reserves disk space between two physical offsets, as far as they lie in this segment and it was not done before.
    ///
    /// # Errors
    /// What the system says.
    pub fn allocate_to(&self, disk: &dyn Disk, from: u64, to: u64) -> io::Result<()> {
        let from = self.allocated_to.load(Ordering::Relaxed).max(from);
        let to = to.min(self.end());
        if from >= to {
            return Ok(());
        }
        disk.allocate(&self.file, from - self.start, to - from)?;
        self.allocated_to.store(to, Ordering::Relaxed);
        Ok(())
    }

    /// The first physical offset from `at` on that may hold something else than zeros; `None` if there is none.
    ///
    /// # Errors
    /// What the system says.
    pub fn next_data(&self, at: u64) -> io::Result<Option<u64>> {
        let from = i64::try_from(at - self.start).map_err(|_| io::ErrorKind::InvalidInput)?;
        match lseek(&self.file, from, Whence::SeekData) {
            Ok(found) => Ok(Some(self.start + u64::try_from(found).unwrap_or(0))),
            // No data up to the end of the file.
            Err(Errno::ENXIO) => Ok(None),
            // A file system that does not know.
            Err(Errno::EINVAL | Errno::EOPNOTSUPP) => Ok(Some(at).filter(|at| *at < self.end())),
            Err(error) => Err(error.into()),
        }
    }

    /// Makes everything between two physical offsets zero; it is still to be flushed.
    ///
    /// # Errors
    /// What the system says.
    pub fn zero(&self, from: u64, to: u64) -> io::Result<()> {
        zero(&self.file, from - self.start, to - from)?;
        self.allocated_to.fetch_min(from, Ordering::Relaxed);
        Ok(())
    }
}

/// Why a folder's segments cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum SegmentsError {
    /// The system refused something.
    #[error("{}: {error}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// A segment has another length than the store's segments.
    #[error(
        "{}: {found} bytes, but this store's segments have {expected}; set the store's segment size back, or move the file away",
        path.display()
    )]
    Length {
        /// The segment.
        path: PathBuf,
        /// Its length in bytes.
        found: u64,
        /// The store's segment size in bytes.
        expected: u64,
    },
    /// A segment between two others is not there.
    #[error("{}: this segment is missing; put it back, or move all older ones away", path.display())]
    Missing {
        /// Where it should be.
        path: PathBuf,
    },
}

/// All segments of a log.
#[derive(Debug)]
pub struct Segments {
    dir: PathBuf,
    segment_bytes: u64,
    list: ArcSwap<Vec<Arc<Segment>>>,
    /// Held while the list changes.
    changing: Mutex<()>,
    /// Where something was found damaged.
    damaged: Mutex<BTreeSet<u64>>,
}

impl Segments {
    /// Opens the segments in `dir`, which is made if it is not there.
    ///
    /// # Errors
    /// [`SegmentsError`]; nothing was changed but for an interrupted creation that was completed.
    pub fn open(dir: &Path, segment_bytes: u64) -> Result<Self, SegmentsError> {
        let io_error = |path: &Path| {
            let path = path.to_owned();
            move |error| SegmentsError::Io { path, error }
        };
        fs::create_dir_all(dir).map_err(io_error(dir))?;
        let mut starts = Vec::new();
        for entry in fs::read_dir(dir).map_err(io_error(dir))? {
            let name = entry.map_err(io_error(dir))?.file_name();
            match name.to_str().and_then(start_of_name) {
                Some(start) => starts.push(start),
                None => {
                    tracing::warn!(file = ?name, dir = %dir.display(), "not a segment; left alone")
                }
            }
        }
        starts.sort_unstable();
        let mut list: Vec<Arc<Segment>> = Vec::with_capacity(starts.len());
        for (index, &start) in starts.iter().enumerate() {
            let path = dir.join(name_of(start));
            if let Some(before) = list.last().filter(|before| before.end() != start) {
                return Err(SegmentsError::Missing { path: dir.join(name_of(before.end())) });
            }
            let file =
                OpenOptions::new().read(true).write(true).open(&path).map_err(io_error(&path))?;
            let found = file.metadata().map_err(io_error(&path))?.len();
            // The newest segment may be empty: a crash came between its creation and its growth.
            if found == 0 && index + 1 == starts.len() {
                file.set_len(segment_bytes).map_err(io_error(&path))?;
            } else if found != segment_bytes {
                return Err(SegmentsError::Length { path, found, expected: segment_bytes });
            }
            let segment = Segment::new(start, segment_bytes, path.clone(), file);
            list.push(Arc::new(segment.map_err(io_error(&path))?));
        }
        Ok(Self {
            dir: dir.to_owned(),
            segment_bytes,
            list: ArcSwap::from_pointee(list),
            changing: Mutex::new(()),
            damaged: Mutex::default(),
        })
    }

    /// Size of a segment in bytes.
    #[must_use]
    pub fn segment_bytes(&self) -> u64 {
        self.segment_bytes
    }

    /// All segments, oldest first.
    #[must_use]
    pub fn all(&self) -> Arc<Vec<Arc<Segment>>> {
        self.list.load_full()
    }

    /// The segment that holds the physical offset `at`.
    #[must_use]
    pub fn holding(&self, at: u64) -> Option<Arc<Segment>> {
        let list = self.list.load();
        let from_first = at.checked_sub(list.first()?.start)?;
        list.get(usize::try_from(from_first / self.segment_bytes).ok()?).cloned()
    }

    /// The physical offset of the first byte there is; 0 for an empty log.
    #[must_use]
    pub fn start(&self) -> u64 {
        self.list.load().first().map_or(0, |segment| segment.start)
    }

    /// The segment at `start`, made if it is not there; it must follow the newest one.
    ///
    /// # Errors
    /// What the system says, above all that the disk is full.
    pub fn get_or_create(&self, disk: &dyn Disk, start: u64) -> io::Result<Arc<Segment>> {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(segment) = self.holding(start) {
            return Ok(segment);
        }
        // Whoever asks may not know yet that the log begins elsewhere now.
        if self.list.load().last().is_some_and(|newest| newest.end() != start) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let mut list = Vec::clone(&self.list.load());
        let segment = self.create(disk, start)?;
        list.push(Arc::clone(&segment));
        self.list.store(Arc::new(list));
        Ok(segment)
    }

    /// Lets a log that has nothing begin at `start`.
    ///
    /// # Errors
    /// What the system says; it can be tried again.
    pub fn begin_at(&self, disk: &dyn Disk, start: u64) -> io::Result<Arc<Segment>> {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        // From the newest on, so that a crash leaves no gap.
        while let Some((newest, older)) = self.list.load().split_last() {
            fs::remove_file(&newest.path)?;
            self.list.store(Arc::new(older.to_vec()));
        }
        disk.flush_dir(&self.dir)?;
        let segment = self.create(disk, start)?;
        self.list.store(Arc::new(vec![Arc::clone(&segment)]));
        Ok(segment)
    }

    /// A segment whose file is this store's alone, to be written to: one that is shared with an adopted store becomes a
    /// copy. To be called before anybody else has the segments.
    ///
    /// # Errors
    /// What the system says; the file is then still shared.
    pub fn own(&self, disk: &dyn Disk, segment: &Arc<Segment>) -> io::Result<Arc<Segment>> {
        if segment.file.metadata()?.nlink() < 2 {
            return Ok(Arc::clone(segment));
        }
        let Segment { start, bytes, path, .. } = &**segment;
        let new = path.with_extension("own");
        match fs::remove_file(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => copy(path, &new, *bytes, &|_| {})?,
        }
        fs::rename(&new, path)?;
        disk.flush_dir(&self.dir)?;
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        let own = Arc::new(Segment::new(*start, *bytes, path.clone(), file)?);
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let replaced = |other: &Arc<Segment>| {
            if other.start == own.start { Arc::clone(&own) } else { Arc::clone(other) }
        };
        self.list.store(Arc::new(self.list.load().iter().map(replaced).collect()));
        Ok(own)
    }

    /// Makes a segment's file.
    fn create(&self, disk: &dyn Disk, start: u64) -> io::Result<Arc<Segment>> {
        let path = self.dir.join(name_of(start));
        // A file of that name is the left-over of a creation that failed before it was listed.
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&path)?;
        file.set_len(self.segment_bytes)?;
        flush_or_end(disk, &file, &path)?;
        disk.flush_dir(&self.dir)?;
        Ok(Arc::new(Segment::new(start, self.segment_bytes, path, file)?))
    }

    /// Notes that what lies at an offset is damaged.
    pub fn note_damage(&self, at: u64) {
        let mut damaged = self.damaged.lock().unwrap_or_else(PoisonError::into_inner);
        if at >= self.start() && damaged.len() < DAMAGED_MAX {
            damaged.insert(at);
        }
    }

    /// How many places that are still there were found damaged.
    pub fn damaged_places(&self) -> usize {
        let damaged = self.damaged.lock().unwrap_or_else(PoisonError::into_inner);
        damaged.range(self.start()..).count()
    }

    /// Deletes the oldest segment, unless it is the only one.
    ///
    /// # Errors
    /// What the system says; a segment whose file is still there stays listed.
    pub fn remove_oldest(&self, disk: &dyn Disk) -> io::Result<()> {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut list = Vec::clone(&self.list.load());
        if list.len() < 2 {
            return Ok(());
        }
        let oldest = list.remove(0);
        // A file that stayed below one that is deleted later would leave a gap.
        fs::remove_file(&oldest.path)?;
        self.list.store(Arc::new(list));
        disk.flush_dir(&self.dir)
    }
}

/// The file name of the segment that begins at `start`.
pub(in crate::store) fn name_of(start: u64) -> String {
    format!("{start:020}")
}

/// The start that a segment's file name says.
pub(in crate::store) fn start_of_name(name: &str) -> Option<u64> {
    let is_name = name.len() == 20 && name.bytes().all(|b| b.is_ascii_digit());
    if is_name { name.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::disk::SystemDisk;

    #[test]
    fn segments_follow_one_another_and_come_back() {
        let dir = tempfile::tempdir().unwrap();
        let segments = Segments::open(dir.path(), 4096).unwrap();
        assert!(segments.holding(0).is_none());
        for start in [0, 4096, 8192] {
            segments.get_or_create(&SystemDisk, start).unwrap();
        }
        segments.holding(5000).unwrap().write_at(&SystemDisk, b"hello", 5000).unwrap();
        segments.remove_oldest(&SystemDisk).unwrap();
        let again = Segments::open(dir.path(), 4096).unwrap();
        assert_eq!((again.start(), again.all().len()), (4096, 2));
        assert!(again.holding(4095).is_none() && again.holding(12288).is_none());
        let mut five = [0; 5];
        again.holding(5000).unwrap().read_at(&mut five, 5000).unwrap();
        assert_eq!(&five, b"hello");
        again.remove_oldest(&SystemDisk).unwrap();
        assert_eq!(again.all().len(), 1);
        again.remove_oldest(&SystemDisk).unwrap();
        assert_eq!(again.all().len(), 1, "the last segment is never deleted");
    }

    #[test]
    fn wrong_lengths_and_gaps_are_refused_and_an_empty_newest_segment_is_completed_st006() {
        let dir = tempfile::tempdir().unwrap();
        for (start, length) in [(0u64, 4096u64), (4096, 4096), (8192, 0)] {
            File::create(dir.path().join(name_of(start))).unwrap().set_len(length).unwrap();
        }
        drop(Segments::open(dir.path(), 4096).unwrap());
        assert_eq!(fs::metadata(dir.path().join(name_of(8192))).unwrap().len(), 4096);
        assert!(matches!(Segments::open(dir.path(), 2048), Err(SegmentsError::Length { .. })));
        fs::remove_file(dir.path().join(name_of(4096))).unwrap();
        let error = Segments::open(dir.path(), 4096).unwrap_err();
        assert!(error.to_string().contains("00000000000000004096"), "{error}");
    }

    #[test]
    fn zeroing_keeps_what_is_before() {
        let dir = tempfile::tempdir().unwrap();
        let segments = Segments::open(dir.path(), 4096).unwrap();
        let segment = segments.get_or_create(&SystemDisk, 0).unwrap();
        segment.allocate_to(&SystemDisk, 0, 4096).unwrap();
        segment.write_at(&SystemDisk, &[7; 4096], 0).unwrap();
        segment.zero(1000, 4096).unwrap();
        let mut all = [1; 4096];
        segment.read_at(&mut all, 0).unwrap();
        assert!(all[..1000].iter().all(|b| *b == 7) && all[1000..].iter().all(|b| *b == 0));
    }
}
