//! The data directory: made if need be, and locked for one process at a time.
//!
//! Not what lies in it. Invariant: nothing in the directory but `LOCK` is touched before the lock is
//! held, and the lock is held until [`DataDir`] is dropped, by `kill -9` too (flock(2)).

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use super::StartError;

/// Readable by the group, for backups; not by others.
const DIR_MODE: u32 = 0o750;

/// The locked data directory.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    /// Holds the lock while it is open.
    _lock: File,
}

impl DataDir {
    /// Makes and locks `path`.
    ///
    /// # Errors
    /// Another process has it, or it cannot be written to; the text says which or what to do.
    pub fn lock(path: &Path) -> Result<Self, StartError> {
        let refuse = |error: io::Error| StartError(describe(path, &error));
        DirBuilder::new().recursive(true).mode(DIR_MODE).create(path).map_err(refuse)?;
        let path = path.canonicalize().map_err(refuse)?;
        let file = path.join("LOCK");
        let mut options = OpenOptions::new();
        // Not truncated: until the lock is ours, the number in it is another's.
        let options = options.read(true).write(true).create(true).truncate(false);
        let mut lock = options.open(file).map_err(refuse)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut pid = String::new();
                lock.read_to_string(&mut pid).map_err(refuse)?;
                let holder = super::ports::process(pid.trim())
                    .unwrap_or_else(|| "another process".to_owned());
                return Err(StartError(format!(
                    "data directory {} is in use by {holder}: stop it, or choose another with --data-dir",
                    path.display()
                )));
            }
            Err(TryLockError::Error(error)) => return Err(refuse(error)),
        }
        lock.rewind().and_then(|()| lock.set_len(0)).map_err(refuse)?;
        writeln!(lock, "{}", std::process::id()).map_err(refuse)?;
        Ok(Self { path, _lock: lock })
    }

    /// The absolute path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

fn describe(path: &Path, error: &io::Error) -> String {
    let shown = path.display();
    if error.kind() != io::ErrorKind::PermissionDenied {
        return format!("data directory {shown}: {error}");
    }
    let uid = nix::unistd::geteuid();
    let owned = fs::metadata(path).map(|found| format!("it belongs to uid {}, ", found.uid()));
    format!(
        "data directory {shown} cannot be written to: {}this process runs as uid {uid}; \
         `chown -R {uid} {shown}` gives it away, and under systemd ReadWritePaths={shown} lets the unit see it",
        owned.unwrap_or_default()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_is_told_who_has_it_and_gets_it_afterwards() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/b");
        let first = DataDir::lock(&path).unwrap();
        let refused = DataDir::lock(&path).unwrap_err().to_string();
        assert!(
            refused.contains(&format!("in use by process {}", std::process::id())),
            "{refused}"
        );
        drop(first);
        DataDir::lock(&path).unwrap();
    }

    #[test]
    fn a_file_in_its_place_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        fs::write(&path, "").unwrap();
        let refused = DataDir::lock(&path).unwrap_err().to_string();
        assert!(refused.starts_with(&format!("data directory {}: ", path.display())), "{refused}");
    }
}
