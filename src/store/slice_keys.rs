//! `slices/%020d.keys`: which keys a sealed slice may have, so that a query opens only slices that can answer.
//!
//! A Bloom filter in blocks of 64 bytes, ten bits a key: one read of one block says no to 98 of 100 keys that
//! are not there. Invariants: it never says no to a key that is there; a damaged block or file says maybe.
//!
//! ```text
//! magic 8 | first store time 8 | last store time 8 | blocks 4 | crc 4 | padding to 64
//! blocks:  bits 60 | crc 4
//! ```

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use bytes::{Buf, BufMut};

use crate::files;

const MAGIC: &[u8; 8] = b"RMQNKEY1";
const BLOCK_BYTES: usize = 64;
const BITS_BYTES: usize = 60;
const HEAD_BYTES: usize = 8 + 8 + 8 + 4;
const BITS_PER_KEY: u64 = 10;
const BITS_PER_HASH: u32 = 6;

/// A filter that is being filled.
#[derive(Debug)]
pub(super) struct KeyFilter {
    blocks: Vec<[u8; BITS_BYTES]>,
    first_store_time: i64,
    last_store_time: i64,
}

/// Spreads a hash over 64 bits: Java's are not evenly spread.
fn spread(hash: u32) -> u64 {
    let mixed = u64::from(hash).wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (mixed ^ (mixed >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9)
}

/// The block of a hash, and its bits there.
fn place(hash: u32, blocks: u64) -> (u64, impl Iterator<Item = (usize, u8)>) {
    let mixed = spread(hash);
    let block = ((mixed >> 32) * blocks) >> 32;
    let (start, step) = (mixed & 0xFFFF, (mixed >> 16) & 0xFFFF | 1);
    let bits = (0..u64::from(BITS_PER_HASH)).map(move |index| {
        let bit = (start + index * step) % (BITS_BYTES as u64 * 8);
        (usize::try_from(bit / 8).unwrap_or(0), 1 << (bit % 8))
    });
    (block, bits)
}

impl KeyFilter {
    /// A filter for about `keys` keys of records stored in a span of time.
    pub(super) fn new(keys: u64, first_store_time: i64, last_store_time: i64) -> Self {
        let blocks = (keys * BITS_PER_KEY).div_ceil(BITS_BYTES as u64 * 8).max(1);
        let blocks = vec![[0; BITS_BYTES]; usize::try_from(blocks).unwrap_or(usize::MAX)];
        Self { blocks, first_store_time, last_store_time }
    }

    pub(super) fn add(&mut self, hash: u32) {
        let (block, bits) = place(hash, self.blocks.len() as u64);
        let block = &mut self.blocks[usize::try_from(block).unwrap_or(0)];
        for (byte, bit) in bits {
            block[byte] |= bit;
        }
    }

    /// Writes the file durably.
    pub(super) fn write(&self, path: &Path) -> io::Result<()> {
        let mut out = Vec::with_capacity((self.blocks.len() + 1) * BLOCK_BYTES);
        out.put_slice(MAGIC);
        out.put_i64(self.first_store_time);
        out.put_i64(self.last_store_time);
        out.put_u32(u32::try_from(self.blocks.len()).unwrap_or(u32::MAX));
        out.put_u32(crc32fast::hash(&out));
        out.resize(BLOCK_BYTES, 0);
        for block in &self.blocks {
            out.put_slice(block);
            out.put_u32(crc32fast::hash(block));
        }
        files::replace(path, out)
    }
}

/// Whether the slice may have records with a key of this hash, stored within a span of time (inclusive, in milliseconds).
pub(super) fn may_have(path: &Path, hash: u32, times: (i64, i64)) -> bool {
    look(path, hash, times).unwrap_or(true)
}

fn look(path: &Path, hash: u32, (begin, end): (i64, i64)) -> Option<bool> {
    let file = File::open(path).ok()?;
    let mut head = [0; HEAD_BYTES + 4];
    file.read_exact_at(&mut head, 0).ok()?;
    let (content, mut crc) = head.split_at(HEAD_BYTES);
    let mut fields = content.strip_prefix(MAGIC)?;
    if crc.get_u32() != crc32fast::hash(content) {
        return None;
    }
    let (first_time, last_time) = (fields.get_i64(), fields.get_i64());
    if last_time < begin || first_time > end {
        return Some(false);
    }
    let (block, mut bits) = place(hash, fields.get_u32().into());
    let mut bytes = [0; BLOCK_BYTES];
    file.read_exact_at(&mut bytes, (block + 1) * BLOCK_BYTES as u64).ok()?;
    let (block, mut crc) = bytes.split_at(BITS_BYTES);
    if crc.get_u32() != crc32fast::hash(block) {
        return None;
    }
    Some(bits.all(|(byte, bit)| block[byte] & bit != 0))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const ANY_TIME: (i64, i64) = (0, i64::MAX);

    /// Keys as hashes of texts that differ little, as unique ids do.
    fn hash(index: u32) -> u32 {
        crate::store::dispatch::key_hash("Topic", &format!("7F00000100002A9F0000{index:012}"))
    }

    #[test]
    fn no_key_is_missed_and_few_others_are_let_through() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("0.keys");
        let mut filter = KeyFilter::new(20_000, 100, 200);
        (0..20_000).for_each(|index| filter.add(hash(index)));
        filter.write(&path).unwrap();
        assert!((0..20_000).all(|index| may_have(&path, hash(index), ANY_TIME)));
        let let_through = (20_000..40_000).filter(|i| may_have(&path, hash(*i), ANY_TIME)).count();
        assert!(let_through < 800, "{let_through} of 20000");
        assert!(may_have(&path, hash(1), (200, 300)) && may_have(&path, hash(1), (0, 100)));
        assert!(!may_have(&path, hash(1), (201, 300)) && !may_have(&path, hash(1), (0, 99)));
    }

    #[test]
    fn a_damaged_or_missing_file_says_maybe() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("0.keys");
        assert!(may_have(&path, 1, ANY_TIME));
        KeyFilter::new(10, 0, 9).write(&path).unwrap();
        assert!(!may_have(&path, 1, ANY_TIME));
        let good = fs::read(&path).unwrap();
        for at in (0..HEAD_BYTES + 4).chain(BLOCK_BYTES..good.len()) {
            let mut bad = good.clone();
            bad[at] ^= 4;
            fs::write(&path, &bad).unwrap();
            assert!(may_have(&path, 1, ANY_TIME), "byte {at}");
        }
    }
}
