//! sled 0.34.7 with its seatbelts on.
//!
//! What each is for: a torn `snap.*.generating` makes every later open fail, so it is deleted first; a
//! missing folder would be opened as an empty database, so each has an identity row; some damage makes
//! sled panic, so a marker file that two openings left behind condemns the database; background flushing
//! is off, one thread writes and flushes; sled's own flush is `sync_file_range` on Linux, which brings neither
//! the file's size nor the disk's cache to the disk, so it is followed by one that does; sled refuses everything
//! after an I/O error, so it is opened again before the next use. Invariants: an I/O error never condemns; a flush
//! that returns has all changes since the one before, of one user that applies and flushes, others do both at once; a
//! failed flush of the file ends the process.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError, RwLock};
use std::thread;
use std::time::Duration;

use super::{Batch, Database, KvError, OpenError, Row};

/// Where the identity is: sled's own default tree, which no one else uses.
const IDENTITY_KEY: &[u8] = b"identity";
/// Where sled keeps everything but snapshots.
const DATA_FILE: &str = "db";
/// Counts the openings that neither succeeded nor failed.
const MARKER: &str = "opening";
/// How many such openings condemn.
const MARKS_MAX: usize = 2;
/// Memory that sled aims to cache pages in. It bounds little: a page is only evicted after some 16 000 others
/// were looked at, so whoever reads much closes the database now and then.
const CACHE_BYTES: u64 = 1 << 20;
/// A database that was just closed may hold its lock for a moment, until sled's threads let go.
const LOCK_TRIES: u32 = 200;
const LOCK_WAIT: Duration = Duration::from_millis(10);

/// An open database in a folder of its own.
pub struct SledDatabase {
    dir: PathBuf,
    identity: Vec<u8>,
    /// `None` while it cannot be opened again.
    open: RwLock<Option<Open>>,
    /// There was an I/O error: it is to be opened again.
    is_broken: AtomicBool,
    /// Something was applied since the last flush.
    is_unflushed: AtomicBool,
    /// What was applied since the last flush went with a database that was closed, and who applied it does not know.
    has_lost: AtomicBool,
}

/// What is open of a database.
pub(super) struct Open {
    database: sled::Db,
    /// sled's file, to flush it.
    file: fs::File,
    trees: Mutex<HashMap<&'static str, sled::Tree>>,
}

impl std::fmt::Debug for SledDatabase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SledDatabase").field("dir", &self.dir).finish_non_exhaustive()
    }
}

impl SledDatabase {
    /// Makes a new database in `dir`, which must not exist, with an identity that [`Self::open`] will ask for.
    ///
    /// # Errors
    /// [`OpenError`]; also if the folder exists.
    pub fn create(dir: &Path, identity: &[u8]) -> Result<Self, OpenError> {
        fs::create_dir(dir)?;
        let open = Self::start(dir)?;
        let written = open.database.insert(IDENTITY_KEY, identity);
        written.and_then(|_| open.database.flush()).map_err(condemned_or_io)?;
        for entry in fs::read_dir(dir)? {
            let path = entry?.path();
            if path.is_file() {
                fs::File::open(path)?.sync_all()?;
            }
        }
        fs::File::open(dir)?.sync_all()?;
        dir.parent().map_or(Ok(()), |parent| fs::File::open(parent)?.sync_all())?;
        #[cfg(test)]
        super::faults::ask(dir, super::faults::Moment::Flushed)?;
        Ok(Self::new(dir, identity, open))
    }

    fn new(dir: &Path, identity: &[u8], open: Open) -> Self {
        Self {
            dir: dir.to_owned(),
            identity: identity.to_owned(),
            open: RwLock::new(Some(open)),
            is_broken: AtomicBool::new(false),
            is_unflushed: AtomicBool::new(false),
            has_lost: AtomicBool::new(false),
        }
    }

    /// Opens the database in `dir`.
    ///
    /// # Errors
    /// [`OpenError`]: above all, that it is missing or to be made again.
    pub fn open(dir: &Path, identity: &[u8]) -> Result<Self, OpenError> {
        Self::open_by(dir, identity, Self::start).map(|open| Self::new(dir, identity, open))
    }

    /// [`Self::open`] with what starts sled, in whose place tests put a panic.
    pub(super) fn open_by(
        dir: &Path,
        identity: &[u8],
        start: impl FnOnce(&Path) -> Result<Open, OpenError>,
    ) -> Result<Open, OpenError> {
        if !dir.join(DATA_FILE).is_file() {
            return Err(OpenError::Missing);
        }
        remove_torn_snapshots(dir)?;
        let marker = dir.join(MARKER);
        let marks = fs::read(&marker).map_or(0, |marks| marks.len());
        if marks >= MARKS_MAX {
            return Err(OpenError::Condemned(format!("{marks} openings never ended")));
        }
        fs::write(&marker, vec![b'x'; marks + 1])?;
        fs::File::open(&marker)?.sync_all()?;
        let opened = start(dir);
        fs::remove_file(&marker)?;
        let opened = opened?;
        match opened.database.get(IDENTITY_KEY).map_err(condemned_or_io)? {
            Some(found) if *found == *identity => Ok(opened),
            Some(_) => Err(OpenError::Condemned("it belongs to another store".to_owned())),
            None => Err(OpenError::Condemned("it has lost its identity row".to_owned())),
        }
    }

    fn start(dir: &Path) -> Result<Open, OpenError> {
        let config = sled::Config::new()
            .path(dir)
            .cache_capacity(CACHE_BYTES)
            .flush_every_ms(None)
            .mode(sled::Mode::HighThroughput);
        let mut tries = 0;
        let database = loop {
            match config.open() {
                Err(sled::Error::Io(error)) if is_locked(&error) && tries < LOCK_TRIES => {
                    tries += 1;
                    thread::sleep(LOCK_WAIT);
                }
                opened => break opened.map_err(condemned_or_io)?,
            }
        };
        let file = fs::File::open(dir.join(DATA_FILE))?;
        Ok(Open { database, file, trees: Mutex::default() })
    }

    /// Does something with the database, which is opened again first if there was an I/O error.
    fn run<T>(&self, work: impl FnOnce(&Open) -> Result<T, sled::Error>) -> Result<T, KvError> {
        if self.is_broken.load(Ordering::Acquire) {
            self.open_again()?;
        }
        let open = self.open.read().unwrap_or_else(PoisonError::into_inner);
        let done = match &*open {
            Some(open) => work(open),
            None => Err(sled::Error::Io(io::Error::other("the database is closed"))),
        };
        if matches!(done, Err(sled::Error::Io(_))) {
            self.is_broken.store(true, Ordering::Release);
        }
        Ok(done?)
    }

    fn open_again(&self) -> Result<(), KvError> {
        let mut open = self.open.write().unwrap_or_else(PoisonError::into_inner);
        if !self.is_broken.load(Ordering::Acquire) {
            return Ok(());
        }
        *open = None;
        if self.is_unflushed.swap(false, Ordering::AcqRel) {
            self.has_lost.store(true, Ordering::Release);
        }
        let opened = Self::open_by(&self.dir, &self.identity, Self::start);
        *open = Some(opened.map_err(|error| match error {
            OpenError::Io(error) => KvError::Io(error),
            other => KvError::Corrupt(other.to_string()),
        })?);
        self.is_broken.store(false, Ordering::Release);
        tracing::info!(dir = %self.dir.display(), "a database was opened again after an error");
        Ok(())
    }

    /// As if a reader had met an I/O error.
    #[cfg(test)]
    pub(super) fn break_by_an_io_error(&self) {
        let failed = self.run(|_| Err::<(), _>(io::Error::other("the disk fails").into()));
        assert!(matches!(failed, Err(KvError::Io(_))));
    }

    fn apply_to(
        &self,
        open: &Open,
        tree: &'static str,
        changes: sled::Batch,
    ) -> Result<(), sled::Error> {
        #[cfg(test)]
        super::faults::ask(&self.dir, super::faults::Moment::Apply)?;
        open.tree(tree)?.apply_batch(changes)
    }

    fn flush_of(&self, open: &Open) -> Result<(), sled::Error> {
        let flushed = open.database.flush();
        self.flush_file(&open.file);
        flushed.map(|_| ())
    }

    /// Brings sled's file to the disk; a failure ends the process, because the kernel may have marked pages clean
    /// that it could not write.
    fn flush_file(&self, file: &fs::File) {
        let flushed = file.sync_data();
        #[cfg(test)]
        let flushed =
            flushed.and_then(|()| super::faults::ask(&self.dir, super::faults::Moment::Flushed));
        if let Err(error) = flushed {
            tracing::error!(dir = %self.dir.display(), %error, "flush failed; the process ends, because what was written may be lost");
            std::process::abort();
        }
    }
}

impl Open {
    fn tree(&self, name: &'static str) -> Result<sled::Tree, sled::Error> {
        let mut trees = self.trees.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(tree) = trees.get(name) {
            return Ok(tree.clone());
        }
        let tree = self.database.open_tree(name)?;
        trees.insert(name, tree.clone());
        Ok(tree)
    }
}

impl Database for SledDatabase {
    fn get(&self, tree: &'static str, key: &[u8]) -> Result<Option<Vec<u8>>, KvError> {
        self.run(|open| Ok(open.tree(tree)?.get(key)?.map(|value| value.to_vec())))
    }

    fn last_up_to(&self, tree: &'static str, key: &[u8]) -> Result<Option<Row>, KvError> {
        self.run(|open| {
            let row = open.tree(tree)?.range(..=key).next_back().transpose()?;
            Ok(row.map(|(key, value)| (key.to_vec(), value.to_vec())))
        })
    }

    fn scan(
        &self,
        tree: &'static str,
        from: &[u8],
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), KvError> {
        self.run(|open| {
            for row in open.tree(tree)?.range(from..) {
                let (key, value) = row?;
                if !visit(&key, &value) {
                    break;
                }
            }
            Ok(())
        })
    }

    fn apply(&self, tree: &'static str, batch: Batch) -> Result<(), KvError> {
        let changes = changes_of(batch)?;
        self.run(|open| {
            self.is_unflushed.store(true, Ordering::Release);
            self.apply_to(open, tree, changes)
        })
        .inspect_err(|_| self.is_unflushed.store(false, Ordering::Release))
    }

    /// While it runs nobody opens the database again: what is flushed is what was applied. Another user's changes are
    /// flushed with it, and stay noted as unflushed if that fails, so that he is told.
    fn apply_flushed(&self, tree: &'static str, batch: Batch) -> Result<(), KvError> {
        let changes = changes_of(batch)?;
        self.run(|open| {
            self.apply_to(open, tree, changes)?;
            self.flush_of(open)
        })
    }

    fn flush(&self) -> Result<(), KvError> {
        let flushed = self.run(|open| self.flush_of(open));
        self.is_unflushed.store(false, Ordering::Release);
        flushed?;
        if self.has_lost.swap(false, Ordering::AcqRel) {
            let lost = "what was applied since the last flush is lost: the database was closed by an error";
            return Err(KvError::Io(io::Error::other(lost)));
        }
        Ok(())
    }
}

fn changes_of(batch: Batch) -> Result<sled::Batch, KvError> {
    batch.check()?;
    let mut changes = sled::Batch::default();
    for (key, value) in batch.changes {
        match value {
            Some(value) => changes.insert(key, value),
            None => changes.remove(key),
        }
    }
    Ok(changes)
}

impl From<sled::Error> for KvError {
    fn from(error: sled::Error) -> Self {
        match error {
            sled::Error::Io(error) => Self::Io(error),
            other => Self::Corrupt(other.to_string()),
        }
    }
}

/// Only what sled calls corruption condemns.
fn condemned_or_io(error: sled::Error) -> OpenError {
    match error {
        sled::Error::Io(error) => OpenError::Io(error),
        other => OpenError::Condemned(other.to_string()),
    }
}

fn is_locked(error: &io::Error) -> bool {
    error.to_string().contains("could not acquire lock")
}

/// A snapshot is renamed when it is whole: one that still has this name never is.
fn remove_torn_snapshots(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
        if name.is_some_and(|name| name.starts_with("snap.") && name.ends_with(".generating")) {
            tracing::warn!(path = %path.display(), "deleting a torn snapshot");
            fs::remove_file(&path)?;
        }
    }
    Ok(())
}
