//! What the store asks of the disk beside reading files. Tests put faults behind it.
//!
//! Invariant: after a failed flush the process ends, because the kernel may have marked the pages
//! clean that it could not write, so that a second flush would succeed without them.

use std::fmt;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, fallocate};
use nix::sys::statvfs::statvfs;

/// Writing, flushing, allocating, and how full the disk is.
pub trait Disk: fmt::Debug + Send + Sync {
    /// Writes all bytes at a place of a file.
    ///
    /// # Errors
    /// What the system says; nothing, a part or all may have been written.
    fn write(&self, file: &File, path: &Path, bytes: &[u8], at: u64) -> io::Result<()>;

    /// Brings a file's bytes to the disk.
    ///
    /// # Errors
    /// What the system says; the caller then calls [`Disk::flush_failed`].
    fn flush(&self, file: &File, path: &Path) -> io::Result<()>;

    /// Brings a directory's entries to the disk.
    ///
    /// # Errors
    /// What the system says.
    fn flush_dir(&self, dir: &Path) -> io::Result<()>;

    /// Reserves space for `bytes` bytes of a file from `at` on.
    ///
    /// # Errors
    /// What the system says, above all that the disk is full.
    fn allocate(&self, file: &File, at: u64, bytes: u64) -> io::Result<()>;

    /// How full the disk that holds `path` is, in percent.
    ///
    /// # Errors
    /// What the system says.
    fn used_percent(&self, path: &Path) -> io::Result<f64>;

    /// Ends the process after a failed flush; in tests it returns, and nothing is flushed any more.
    fn flush_failed(&self, path: &Path, error: &io::Error);
}

/// How full a disk is, as `df` says it: what is kept for root is neither used nor there to be used. 4.9.4 takes the
/// part of the whole (ST-096), by which a disk with much kept for root is never full, or always.
pub(crate) fn used_percent(used: u64, available: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a ratio needs no more than 52 bits")]
    let ratio = used as f64 / used.saturating_add(available).max(1) as f64;
    ratio * 100.0
}

/// The real disk.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemDisk;

impl Disk for SystemDisk {
    fn write(&self, file: &File, _path: &Path, bytes: &[u8], at: u64) -> io::Result<()> {
        file.write_all_at(bytes, at)
    }

    fn flush(&self, file: &File, _path: &Path) -> io::Result<()> {
        file.sync_data()
    }

    fn flush_dir(&self, dir: &Path) -> io::Result<()> {
        flush_dir(dir)
    }

    fn allocate(&self, file: &File, at: u64, bytes: u64) -> io::Result<()> {
        let too_large = |_| io::Error::from(io::ErrorKind::FileTooLarge);
        let (at, bytes) =
            (i64::try_from(at).map_err(too_large)?, i64::try_from(bytes).map_err(too_large)?);
        match fallocate(file, FallocateFlags::FALLOC_FL_KEEP_SIZE, at, bytes) {
            // A file system that cannot reserve tells of a full disk when it is written to.
            Ok(()) | Err(Errno::EOPNOTSUPP | Errno::ENOSYS) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn used_percent(&self, path: &Path) -> io::Result<f64> {
        let disk = statvfs(path)?;
        let used = disk.blocks().saturating_sub(disk.blocks_free());
        Ok(used_percent(used, disk.blocks_available()))
    }

    fn flush_failed(&self, path: &Path, error: &io::Error) {
        tracing::error!(path = %path.display(), %error, "flush failed; the process ends, because what was written may be lost");
        std::process::abort();
    }
}

/// [`Disk::flush`]; a failed one ends the process.
///
/// # Errors
/// What the system says, in tests.
pub fn flush_or_end(disk: &dyn Disk, file: &File, path: &Path) -> io::Result<()> {
    disk.flush(file, path).inspect_err(|error| disk.flush_failed(path, error))
}

/// Makes a directory's entries durable.
///
/// # Errors
/// What the system says.
pub fn flush_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// Makes `bytes` bytes of a file from `at` on zero, and gives their space back where the file system can.
///
/// # Errors
/// What the system says.
pub fn zero(file: &File, at: u64, bytes: u64) -> io::Result<()> {
    let too_large = |_| io::Error::from(io::ErrorKind::FileTooLarge);
    let flags = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
    let (start, length) =
        (i64::try_from(at).map_err(too_large)?, i64::try_from(bytes).map_err(too_large)?);
    if length == 0 || fallocate(file, flags, start, length).is_ok() {
        return Ok(());
    }
    let zeros = vec![0; 1 << 20];
    let (mut at, end) = (at, at + bytes);
    while at < end {
        let part = usize::try_from(end - at).unwrap_or(usize::MAX).min(zeros.len());
        file.write_all_at(&zeros[..part], at)?;
        at += part as u64;
    }
    Ok(())
}

/// Whether an error says that there is no more space.
#[must_use]
pub fn is_disk_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

#[cfg(test)]
mod tests {
    use super::used_percent;

    #[test]
    fn what_is_kept_for_root_makes_a_disk_neither_full_nor_empty() {
        assert_eq!([used_percent(0, 0), used_percent(0, 5), used_percent(5, 0)], [0.0, 0.0, 100.0]);
        assert_eq!(used_percent(60, 40), 60.0);
    }
}
