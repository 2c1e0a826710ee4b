//! The checkpoint: up to where everything derived from the log is saved, and up to where the log is on the disk.
//!
//! Not 4.9.4's file of that name (ST-050): that one holds times. A plain file with two copies that are written in
//! turn, each with a number and a CRC, so that one is whole whenever the power goes. Invariants: both offsets are
//! record boundaries; `offset <= flushed_to`; a copy that cannot be read counts as not there.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use bytes::{Buf, BufMut};

use super::disk::{Disk, flush_or_end};

/// `number u64 | offset u64 | flushed to u64 | newest store time i64 | boot id u128 | crc u32`
const COPY_BYTES: usize = 8 + 8 + 8 + 8 + 16 + 4;
/// Each copy in a disk block of its own.
const COPY_AT: [u64; 2] = [0, 4096];

/// What is noted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Checkpoint {
    /// Queues, index and tables have everything below it.
    pub(super) offset: u64,
    /// The log is on the disk up to here.
    pub(super) flushed_to: u64,
    /// The newest store time below `offset`, in milliseconds since 1970.
    pub(super) newest_store_time: i64,
    /// Of which start of the machine this was; 0 if unknown. While it lasts, the kernel has all that was written.
    pub(super) boot_id: u128,
}

/// The file.
#[derive(Debug)]
pub(super) struct CheckpointFile {
    file: File,
    path: PathBuf,
    /// The number of the newest copy.
    number: u64,
}

impl CheckpointFile {
    /// Opens the file, which is made if it is not there, and reads the newest copy. Its folder is still to be flushed.
    pub(super) fn open(path: &Path) -> io::Result<(Self, Option<Checkpoint>)> {
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        let mut newest: Option<(u64, Checkpoint)> = None;
        for at in COPY_AT {
            let mut copy = [0; COPY_BYTES];
            match file.read_exact_at(&mut copy, at) {
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => continue,
                read => read?,
            }
            let Some(found) = decode(&copy) else { continue };
            if newest.is_none_or(|(number, _)| number < found.0) {
                newest = Some(found);
            }
        }
        let number = newest.map_or(0, |(number, _)| number);
        Ok((Self { file, path: path.to_owned(), number }, newest.map(|(_, checkpoint)| checkpoint)))
    }

    /// Writes a checkpoint over the older copy, and brings it to the disk; a failed flush ends the process.
    ///
    /// # Errors
    /// What the system says; the newest copy is untouched then.
    pub(super) fn write(&mut self, disk: &dyn Disk, checkpoint: &Checkpoint) -> io::Result<()> {
        let number = self.number + 1;
        let at = COPY_AT[usize::from(number % 2 == 1)];
        disk.write(&self.file, &self.path, &encode(number, checkpoint), at)?;
        flush_or_end(disk, &self.file, &self.path)?;
        self.number = number;
        Ok(())
    }
}

/// Which start of the machine this is; 0 if the kernel does not say.
pub(super) fn boot_id() -> u128 {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    u128::from_str_radix(&text.trim().replace('-', ""), 16).unwrap_or(0)
}

fn encode(number: u64, checkpoint: &Checkpoint) -> Vec<u8> {
    let mut out = Vec::with_capacity(COPY_BYTES);
    out.put_u64(number);
    out.put_u64(checkpoint.offset);
    out.put_u64(checkpoint.flushed_to);
    out.put_i64(checkpoint.newest_store_time);
    out.put_u128(checkpoint.boot_id);
    out.put_u32(crc32fast::hash(&out));
    out
}

fn decode(mut copy: &[u8]) -> Option<(u64, Checkpoint)> {
    let expected_crc = crc32fast::hash(copy.get(..COPY_BYTES - 4)?);
    let number = copy.get_u64();
    let (offset, flushed_to) = (copy.get_u64(), copy.get_u64());
    let newest_store_time = copy.get_i64();
    let boot_id = copy.get_u128();
    let is_whole = copy.get_u32() == expected_crc && number > 0 && offset <= flushed_to;
    is_whole.then_some((number, Checkpoint { offset, flushed_to, newest_store_time, boot_id }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::disk::SystemDisk;

    fn checkpoint(offset: u64) -> Checkpoint {
        Checkpoint { offset, flushed_to: offset + 5, newest_store_time: 9, boot_id: 7 }
    }

    #[test]
    fn the_newest_whole_copy_counts() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("checkpoint");
        let (mut file, found) = CheckpointFile::open(&path).unwrap();
        assert_eq!(found, None);
        for offset in [10, 20, 15] {
            file.write(&SystemDisk, &checkpoint(offset)).unwrap();
            let (_, found) = CheckpointFile::open(&path).unwrap();
            assert_eq!(found, Some(checkpoint(offset)), "the last one written, not the greatest");
        }
        // The third write went over the first copy; torn, the second counts again.
        for (torn, expected) in [(COPY_AT[1], Some(checkpoint(20))), (COPY_AT[0], None)] {
            OpenOptions::new()
                .write(true)
                .open(&path)
                .unwrap()
                .write_all_at(b"torn", torn + 9)
                .unwrap();
            let (mut file, found) = CheckpointFile::open(&path).unwrap();
            assert_eq!(found, expected);
            if expected.is_none() {
                file.write(&SystemDisk, &checkpoint(3)).unwrap();
                assert_eq!(CheckpointFile::open(&path).unwrap().1, Some(checkpoint(3)));
            }
        }
    }

    #[test]
    fn the_machine_says_which_boot_it_is() {
        assert_eq!(boot_id(), boot_id());
    }
}
