//! Bytes that are taken from the front and do not keep the memory of those that are gone.
//!
//! `BytesMut::advance` gives nothing back, and its `capacity` does not count what is gone: of a large frame and the
//! first byte of the next one, one byte would be left that holds the memory of all.

use std::ops::Deref;

use bytes::{Buf, Bytes, BytesMut};

/// Such bytes.
#[derive(Debug, Default)]
pub(super) struct Trimmed {
    bytes: BytesMut,
    /// Bytes that are gone and whose memory may still be held.
    gone: usize,
}

impl Trimmed {
    /// Where bytes are appended.
    pub(super) fn end(&mut self) -> &mut BytesMut {
        &mut self.bytes
    }

    /// Drops `count` bytes from the front. What is left is copied when it is less than what is gone, so that
    /// copying costs no more than filling; `kept_bytes_max` of memory are always kept.
    pub(super) fn advance(&mut self, count: usize, kept_bytes_max: usize) {
        self.bytes.advance(count);
        self.gone += count;
        if self.bytes.len() < self.gone && self.gone + self.bytes.capacity() > kept_bytes_max {
            *self = Self { bytes: BytesMut::from(&self.bytes[..]), gone: 0 };
        } else if self.bytes.is_empty() {
            self.bytes.clear();
            self.gone = 0;
        }
    }

    /// Takes all of them, to be shared.
    pub(super) fn split(&mut self) -> Bytes {
        self.gone += self.bytes.len();
        self.bytes.split().freeze()
    }
}

impl Deref for Trimmed {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LARGE: usize = 1 << 20;

    /// Of `bytes` bytes, all but `left` are gone, in parts.
    fn trimmed(bytes: usize, left: usize, kept_bytes_max: usize) -> Trimmed {
        let mut trimmed = Trimmed::default();
        trimmed.end().resize(bytes, 7);
        trimmed.advance(left, kept_bytes_max);
        trimmed.advance(bytes - 2 * left, kept_bytes_max);
        trimmed
    }

    /// Whether its memory has room for what is gone.
    fn holds(trimmed: &mut Trimmed, bytes: usize) -> bool {
        trimmed.end().try_reclaim(bytes)
    }

    #[test]
    fn few_bytes_do_not_hold_the_memory_of_many() {
        let mut few = trimmed(LARGE, 1, 0);
        assert_eq!(*few, [7]);
        assert!(!holds(&mut few, 1000));
        few.advance(1, 0);
        assert!(few.is_empty() && !holds(&mut few, 1));
        assert!(!holds(&mut trimmed(LARGE, 0, LARGE / 2), 1000));
    }

    #[test]
    fn a_small_memory_is_kept_and_many_bytes_are_not_copied() {
        assert!(holds(&mut trimmed(1000, 0, LARGE), 1000));
        let mut many = Trimmed::default();
        many.end().resize(LARGE, 7);
        many.advance(LARGE / 3, 0);
        let place = many.as_ptr();
        many.advance(10, 0);
        assert_eq!(many.as_ptr(), place.wrapping_add(10));
    }

    #[test]
    fn what_was_split_off_counts_as_gone() {
        let mut rest = Trimmed::default();
        rest.end().reserve(LARGE);
        rest.end().resize(LARGE - 10, 7);
        assert_eq!(rest.split().len(), LARGE - 10);
        rest.end().extend_from_slice(&[7; 2]);
        rest.advance(1, 1000);
        assert_eq!(*rest, [7]);
        assert!(!holds(&mut rest, 1000));
    }
}
