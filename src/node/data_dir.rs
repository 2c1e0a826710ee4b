//! The data directory: made if need be, and locked for one process at a time.
//!
//! Not what roles keep in it. `node.json` says which format they keep it in. Invariant: nothing in the
//! directory but `LOCK` is touched before the lock is held, and the lock is held until [`DataDir`] is dropped, by `kill -9` too (flock(2)).

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::StartError;
use crate::files;

/// Readable by the group, for backups; not by others.
const DIR_MODE: u32 = 0o750;
/// How far below a role's folder its files are.
const FOREIGN_DEPTH: usize = 2;
/// The format that this version writes.
pub const DATA_FORMAT: u32 = 1;

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

    /// Checks that what lies here is in our format, or notes the format in an empty directory; to be
    /// called before anything here is opened.
    ///
    /// # Errors
    /// A newer rmq-node wrote here, or the segments have another size than configured.
    pub fn check_format(&self, segment_bytes: u64) -> Result<(), StartError> {
        let file = self.path.join("node.json");
        let refuse =
            |error: &dyn std::fmt::Display| StartError(format!("{}: {error}", file.display()));
        match fs::read_to_string(&file) {
            Ok(text) => {
                let format: Format = serde_json::from_str(&text).map_err(|error| refuse(&error))?;
                format.check(segment_bytes).map_err(|error| refuse(&error))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let format = Format { format: DATA_FORMAT, segment_bytes };
                let text = serde_json::to_string(&format).map_err(|error| refuse(&error))?;
                files::replace(&file, text + "\n").map_err(|error| refuse(&error))
            }
            Err(error) => Err(refuse(&error)),
        }
    }

    /// Makes a folder of a role.
    ///
    /// # Errors
    /// The system refuses it.
    pub fn make_folder(&self, name: &str) -> Result<(), StartError> {
        let path = self.path.join(name);
        let made = DirBuilder::new().recursive(true).mode(DIR_MODE).create(&path);
        made.map_err(|error| StartError(describe(&path, &error)))
    }

    /// Why what is in the folder of a role cannot be used, with the line to run if that is because of its owner.
    #[must_use]
    pub fn explain(&self, folder: &str, why: &str) -> String {
        let uid = nix::unistd::geteuid().as_raw();
        if !has_foreign(&self.path.join(folder), uid, FOREIGN_DEPTH) {
            return why.to_owned();
        }
        let path = self.path.display();
        format!(
            "{why}; not all that is there belongs to uid {uid}, which this process runs as: `chown -R {uid}: {path}` gives it over"
        )
    }

    /// The absolute path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// `node.json`.
#[derive(Debug, Serialize, Deserialize)]
struct Format {
    /// Raised when an older rmq-node could no longer read what is here.
    format: u32,
    /// Size of the log files of all stores here.
    segment_bytes: u64,
}

impl Format {
    fn check(&self, segment_bytes: u64) -> Result<(), String> {
        if self.format > DATA_FORMAT {
            return Err(format!(
                "written by a newer rmq-node (format {}, this one knows {DATA_FORMAT}): start that one",
                self.format
            ));
        }
        if self.segment_bytes != segment_bytes {
            return Err(format!(
                "the log files here have {0} bytes: write segment_bytes = {0} in [store]",
                self.segment_bytes
            ));
        }
        Ok(())
    }
}

/// Whether something there belongs to another user.
fn has_foreign(path: &Path, uid: u32, depth: usize) -> bool {
    let is_foreign = fs::symlink_metadata(path).is_ok_and(|found| found.uid() != uid);
    let mut below = fs::read_dir(path).into_iter().flatten().flatten();
    is_foreign || (depth > 0 && below.any(|entry| has_foreign(&entry.path(), uid, depth - 1)))
}

fn describe(path: &Path, error: &io::Error) -> String {
    let shown = path.display();
    match error.kind() {
        io::ErrorKind::PermissionDenied => {}
        io::ErrorKind::ReadOnlyFilesystem => {
            return format!(
                "data directory {shown} is on a read-only file system: choose another with --data-dir; \
                 under systemd StateDirectory=, or ReadWritePaths={shown}, lets the unit write there"
            );
        }
        io::ErrorKind::AlreadyExists | io::ErrorKind::NotADirectory => {
            return format!(
                "data directory {shown}: a file is in its place, choose another with --data-dir"
            );
        }
        _ => return format!("data directory {shown}: {error}"),
    }
    let uid = nix::unistd::geteuid();
    let owned = fs::metadata(path).map(|found| format!("it belongs to uid {}, ", found.uid()));
    format!(
        "data directory {shown} cannot be written to: {}this process runs as uid {uid}; \
         `chown -R {uid}: {shown}` gives it over; under systemd ReadWritePaths={shown}, below /home ProtectHome=no too, lets \
         the unit see it (`rmq-node doctor` says which)",
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
    fn another_format_or_segment_size_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let data = DataDir::lock(dir.path()).unwrap();
        data.check_format(1 << 20).unwrap();
        data.check_format(1 << 20).unwrap();
        let refused = data.check_format(1 << 30).unwrap_err().to_string();
        assert!(refused.ends_with("node.json: the log files here have 1048576 bytes: write segment_bytes = 1048576 in [store]"), "{refused}");
        let file = data.path().join("node.json");
        fs::write(&file, "{\"format\":2,\"segment_bytes\":1048576}").unwrap();
        assert!(
            data.check_format(1 << 20).unwrap_err().to_string().contains("by a newer rmq-node")
        );
        fs::write(&file, "{").unwrap();
        data.check_format(1 << 20).unwrap_err();
    }

    #[test]
    fn what_belongs_to_another_user_is_told_with_the_line_to_run() {
        let dir = tempfile::tempdir().unwrap();
        let data = DataDir::lock(dir.path()).unwrap();
        let file = data.path().join("broker-a/commitlog/0");
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, "").unwrap();
        assert_eq!(data.explain("broker-a", "no log"), "no log");
        let uid = nix::unistd::geteuid().as_raw();
        assert!(has_foreign(dir.path(), uid + 1, 0));
        assert!(!has_foreign(dir.path(), uid, FOREIGN_DEPTH + 1));
        // Only root can give a file away.
        if uid == 0 {
            std::os::unix::fs::chown(&file, Some(3000), None).unwrap();
            let path = data.path().display();
            let expected = format!(
                "no log; not all that is there belongs to uid 0, which this process runs as: `chown -R 0: {path}` gives it over"
            );
            assert_eq!(data.explain("broker-a", "no log"), expected);
        }
    }

    #[test]
    fn a_file_in_its_place_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        fs::write(&path, "").unwrap();
        let refused = DataDir::lock(&path).unwrap_err().to_string();
        let expected = format!("data directory {}: a file is in its place", path.display());
        assert!(refused.starts_with(&expected), "{refused}");
        let refused = DataDir::lock(&path.join("below")).unwrap_err().to_string();
        assert!(refused.contains("a file is in its place"), "{refused}");
    }

    #[test]
    fn a_read_only_file_system_is_told_with_what_units_need() {
        // What the service manager makes of everything that a unit may not write to.
        let told = describe(Path::new("/data"), &io::ErrorKind::ReadOnlyFilesystem.into());
        assert!(told.contains("ReadWritePaths=/data"), "{told}");
    }
}
