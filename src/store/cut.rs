//! A slave's log that is to be cut at an offset: noted in a file, done when the store is opened next.
//!
//! Not why: that is `replication`'s. Cutting a log that runs would pull queues, index and positions from under their
//! readers; opening a store after a torn tail does the same work already, and is safe against a crash at any moment.
//! Invariant: while the note is there the log is cut, however often that is interrupted; it is gone before anything
//! is appended.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::disk::{Disk, flush_or_end};

/// What is noted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cut {
    /// Where the log will end.
    pub(super) at: u64,
    /// When that was noted, in milliseconds since 1970: it names the files that what is cut off is kept in.
    pub(super) noted_ms: i64,
}

fn path(dir: &Path) -> PathBuf {
    dir.join("cut")
}

impl Cut {
    /// Notes it durably.
    pub(super) fn note(self, disk: &dyn Disk, dir: &Path) -> io::Result<()> {
        let new = dir.join("cut-tmp");
        let mut options = OpenOptions::new();
        let mut file = options.read(true).write(true).create(true).truncate(true).open(&new)?;
        writeln!(file, "{} {}", self.at, self.noted_ms)?;
        flush_or_end(disk, &file, &new)?;
        fs::rename(&new, path(dir))?;
        disk.flush_dir(dir)
    }

    /// What is noted, if anything is.
    pub(super) fn noted(dir: &Path) -> io::Result<Option<Self>> {
        let text = match fs::read_to_string(path(dir)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            text => text?,
        };
        let parsed = text.trim().split_once(' ').and_then(|(at, noted_ms)| {
            Some(Self { at: at.parse().ok()?, noted_ms: noted_ms.parse().ok()? })
        });
        let damaged = || io::Error::new(io::ErrorKind::InvalidData, "the file `cut` is damaged");
        parsed.map(Some).ok_or_else(damaged)
    }

    /// It is done.
    pub(super) fn forget(disk: &dyn Disk, dir: &Path) -> io::Result<()> {
        fs::remove_file(path(dir))?;
        disk.flush_dir(dir)
    }
}
