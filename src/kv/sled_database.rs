//! sled 0.34.7 with its seatbelts on (DESIGN 6).
//!
//! What each is for: a torn `snap.*.generating` makes every later open fail, so it is deleted first; a
//! missing folder would be opened as an empty database, so each has an identity row; some damage makes
//! sled panic, so a marker file that two openings left behind condemns the database; background flushing
//! is off, one thread writes and flushes; sled's own flush is `sync_file_range` on Linux, which brings neither
//! the file's size nor the disk's cache to the disk, so it is followed by one that does. Invariant: an I/O
//! error never condemns.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
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
        let created = Self::start(dir)?;
        let written = created.database.insert(IDENTITY_KEY, identity);
        written.and_then(|_| created.database.flush()).map_err(condemned_or_io)?;
        for entry in fs::read_dir(dir)? {
            let path = entry?.path();
            if path.is_file() {
                fs::File::open(path)?.sync_all()?;
            }
        }
        fs::File::open(dir)?.sync_all()?;
        dir.parent().map_or(Ok(()), |parent| fs::File::open(parent)?.sync_all())?;
        Ok(created)
    }

    /// Opens the database in `dir`.
    ///
    /// # Errors
    /// [`OpenError`]: above all, that it is missing or to be made again.
    pub fn open(dir: &Path, identity: &[u8]) -> Result<Self, OpenError> {
        Self::open_by(dir, identity, Self::start)
    }

    /// [`Self::open`] with what starts sled, in whose place tests put a panic.
    pub(super) fn open_by(
        dir: &Path,
        identity: &[u8],
        start: impl FnOnce(&Path) -> Result<Self, OpenError>,
    ) -> Result<Self, OpenError> {
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

    fn start(dir: &Path) -> Result<Self, OpenError> {
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
        Ok(Self { dir: dir.to_owned(), database, file, trees: Mutex::default() })
    }

    fn tree(&self, name: &'static str) -> Result<sled::Tree, KvError> {
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
        Ok(self.tree(tree)?.get(key)?.map(|value| value.to_vec()))
    }

    fn last_up_to(&self, tree: &'static str, key: &[u8]) -> Result<Option<Row>, KvError> {
        let row = self.tree(tree)?.range(..=key).next_back().transpose()?;
        Ok(row.map(|(key, value)| (key.to_vec(), value.to_vec())))
    }

    fn scan(
        &self,
        tree: &'static str,
        from: &[u8],
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), KvError> {
        for row in self.tree(tree)?.range(from..) {
            let (key, value) = row?;
            if !visit(&key, &value) {
                break;
            }
        }
        Ok(())
    }

    fn apply(&self, tree: &'static str, batch: Batch) -> Result<(), KvError> {
        batch.check()?;
        let mut changes = sled::Batch::default();
        for (key, value) in batch.changes {
            match value {
                Some(value) => changes.insert(key, value),
                None => changes.remove(key),
            }
        }
        Ok(self.tree(tree)?.apply_batch(changes)?)
    }

    fn flush(&self) -> Result<(), KvError> {
        self.database.flush()?;
        Ok(self.file.sync_data()?)
    }
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
