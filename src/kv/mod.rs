//! A small ordered key-value database behind one trait: sled on disk, and an in-memory twin.
//!
//! Not a place for messages or for anything that cannot be made again: what is kept here is derived
//! from the commit log or mirrored in files. Nothing else in the crate names sled (`=0.34.7`; the 1.0
//! alphas change the file format). Invariants: a value has at most [`VALUE_BYTES_MAX`] bytes; a batch
//! is applied whole or not at all; what was applied before a [`Database::flush`] that returned survives
//! a crash; any call may block, so none is made on a runtime worker.

#[cfg(test)]
mod conformance;
#[cfg(test)]
pub(crate) mod faults;
mod memory;
mod sled_database;

pub use memory::MemoryDatabase;
pub use sled_database::SledDatabase;

use std::fmt;
use std::fs;
use std::io;
use std::path::Path;

/// The largest value: larger ones leave sled's pages for files of their own, and memory grows with them.
pub const VALUE_BYTES_MAX: usize = 4096;

/// Why a database did not do what it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum KvError {
    /// What is on the disk is damaged: the database is to be made again.
    #[error("the database is damaged: {0}")]
    Corrupt(String),
    /// The system refused; the database itself may be good.
    #[error("the database cannot be read or written: {0}")]
    Io(#[from] io::Error),
    /// A value is larger than [`VALUE_BYTES_MAX`].
    #[error("a value of {0} bytes is larger than {VALUE_BYTES_MAX}")]
    TooLarge(usize),
}

/// Why a database could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// There is no database in the folder.
    #[error("there is no database")]
    Missing,
    /// The database is to be deleted and made again.
    #[error("the database is condemned: {0}")]
    Condemned(String),
    /// The system refused (a full disk, rights); another try may succeed.
    #[error("the database cannot be opened: {0}")]
    Io(#[from] io::Error),
}

impl From<OpenError> for io::Error {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Io(error) => error,
            other => Self::other(other.to_string()),
        }
    }
}

/// Keeps one copy of a database that was damaged, for whoever wants to know why.
///
/// # Errors
/// What the system says.
pub fn set_aside(dir: &Path) -> io::Result<()> {
    if dir.exists() {
        let aside = dir.with_extension("damaged");
        if aside.exists() {
            fs::remove_dir_all(&aside)?;
        }
        fs::rename(dir, &aside)?;
    }
    Ok(())
}

/// Changes to one tree that are made together.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// Key, and its new value or `None` to remove it; a later entry wins over an earlier one.
    changes: Vec<(Vec<u8>, Option<Vec<u8>>)>,
}

impl Batch {
    /// Sets a key's value.
    pub fn insert(&mut self, key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) {
        self.changes.push((key.into(), Some(value.into())));
    }

    /// Removes a key. Dear in sled (14 to 20 us): not for many keys.
    pub fn remove(&mut self, key: impl Into<Vec<u8>>) {
        self.changes.push((key.into(), None));
    }

    /// Whether there is nothing to change.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// How many changes there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.changes.len()
    }

    fn check(&self) -> Result<(), KvError> {
        let sizes = self.changes.iter().filter_map(|(_, value)| value.as_ref().map(Vec::len));
        match sizes.max() {
            Some(size) if size > VALUE_BYTES_MAX => Err(KvError::TooLarge(size)),
            _ => Ok(()),
        }
    }
}

/// A key and its value.
pub type Row = (Vec<u8>, Vec<u8>);

/// Trees of ordered keys. A tree exists from its first use on; its name is one of a fixed few.
pub trait Database: fmt::Debug + Send + Sync {
    /// The value of a key.
    ///
    /// # Errors
    /// [`KvError`]
    fn get(&self, tree: &'static str, key: &[u8]) -> Result<Option<Vec<u8>>, KvError>;

    /// The row with the greatest key that is at most `key`.
    ///
    /// # Errors
    /// [`KvError`]
    fn last_up_to(&self, tree: &'static str, key: &[u8]) -> Result<Option<Row>, KvError>;

    /// Shows rows in ascending order, from the first key that is at least `from`, until `visit` returns false.
    ///
    /// # Errors
    /// [`KvError`]
    fn scan(
        &self,
        tree: &'static str,
        from: &[u8],
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), KvError>;

    /// Makes a batch of changes.
    ///
    /// # Errors
    /// [`KvError`]; then none of them is made, and what was applied since the last flush may be lost too.
    fn apply(&self, tree: &'static str, batch: Batch) -> Result<(), KvError>;

    /// Makes a batch of changes and returns once it is on the disk: for whoever is not a database's only user. Between
    /// [`Self::apply`] and [`Self::flush`], an error that another user is told may take away what was applied.
    ///
    /// # Errors
    /// [`KvError`]; the changes may be made or not.
    fn apply_flushed(&self, tree: &'static str, batch: Batch) -> Result<(), KvError>;

    /// Returns once everything applied before is on the disk.
    ///
    /// # Errors
    /// [`KvError`]; what was applied since the flush before may be lost then.
    fn flush(&self) -> Result<(), KvError>;
}
