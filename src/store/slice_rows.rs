//! How pages, tails, runs and their keys are coded in a slice's database; the layouts are drawn in `schema`.
//!
//! No I/O. Invariant: a row whose CRC or sizes are wrong is never believed.

use bytes::{Buf, BufMut};

use super::schema::slices::{
    CHUNK_ENTRIES, ENTRY_BYTES, KEY_ENTRY_BYTES, PAGE_ENTRIES, PAGE_HEAD_BYTES, PAGE_KEY_BYTES,
    RUN_KEY_BYTES, TAIL_BYTES,
};
use crate::model::{PhysicalOffset, QueueId};

/// The size of an entry that stands for a lost record (4.9.4 fills files with it: ST-033).
const HOLE_SIZE: u32 = 0x7FFF_FFFF;
/// No key has this hash: hashes are positive (ST-042).
const RUN_HASH: u32 = u32::MAX;

/// One entry of a consume queue (ST-030).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Where the record begins; of a hole, where the next record of the queue does.
    pub physical_offset: PhysicalOffset,
    /// Bytes of the record.
    pub size: u32,
    /// The tags' hash, or the delivery time of a delayed message.
    pub tags_code: i64,
}

impl Entry {
    /// Stands for a record that was lost; pulls step over it.
    #[must_use]
    pub fn hole(physical_offset: PhysicalOffset) -> Self {
        Self { physical_offset, size: HOLE_SIZE, tags_code: 0 }
    }

    /// Whether the entry stands for a record that was lost.
    #[must_use]
    pub fn is_hole(&self) -> bool {
        self.size == HOLE_SIZE
    }
}

/// What a queue's pages are filed under.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QueueKey {
    /// The topic's id.
    pub topic_id: u32,
    /// The queue within the topic.
    pub queue_id: QueueId,
}

impl QueueKey {
    pub(super) fn bytes(self) -> [u8; 8] {
        let mut key = [0; 8];
        key[..4].copy_from_slice(&self.topic_id.to_be_bytes());
        key[4..].copy_from_slice(&self.queue_id.0.to_be_bytes());
        key
    }

    pub(super) fn parse(mut bytes: &[u8]) -> Option<Self> {
        let topic_id = bytes.try_get_u32().ok()?;
        let queue_id = QueueId(bytes.try_get_u32().ok()?);
        Some(Self { topic_id, queue_id })
    }
}

/// A part of 128 entries of a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The queue offset of its first slot, divided by 128.
    pub number: u64,
    /// Where its entries begin.
    pub first_slot: u8,
    /// Store time of its first entry, in milliseconds since 1970.
    pub first_store_time: i64,
    /// Its entries: at least one.
    pub entries: Vec<Entry>,
}

impl Page {
    /// The page that holds a queue offset, and its slot there.
    #[must_use]
    pub fn place(offset: u64) -> (u64, u8) {
        let slot = offset % u64::from(PAGE_ENTRIES);
        (offset / u64::from(PAGE_ENTRIES), u8::try_from(slot).unwrap_or(u8::MAX))
    }

    /// The queue offset of the first entry.
    #[must_use]
    pub fn start(&self) -> u64 {
        self.number * u64::from(PAGE_ENTRIES) + u64::from(self.first_slot)
    }

    /// The queue offset behind the last entry.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.start() + self.entries.len() as u64
    }

    /// The entries from a queue offset on; `None` if it is not in this page.
    #[must_use]
    pub fn from(&self, offset: u64) -> Option<&[Entry]> {
        if offset >= self.end() {
            return None;
        }
        self.entries.get(usize::try_from(offset.checked_sub(self.start())?).ok()?..)
    }

    /// Puts the entries of an older part of the same page before these.
    pub(super) fn continue_from(&mut self, older: &Self) {
        let kept = usize::from(self.first_slot.saturating_sub(older.first_slot));
        if older.first_slot < self.first_slot && older.entries.len() >= kept {
            let mut entries = older.entries[..kept].to_vec();
            entries.append(&mut self.entries);
            self.entries = entries;
            self.first_slot = older.first_slot;
            self.first_store_time = older.first_store_time;
        }
    }
}

pub(super) fn page_key(queue: QueueKey, number: u64) -> [u8; PAGE_KEY_BYTES] {
    let mut key = [0; PAGE_KEY_BYTES];
    key[..8].copy_from_slice(&queue.bytes());
    key[8..].copy_from_slice(&number.to_be_bytes());
    key
}

pub(super) fn encode_page(key: &[u8], page: &Page) -> Vec<u8> {
    let mut out = Vec::with_capacity(PAGE_HEAD_BYTES + page.entries.len() * ENTRY_BYTES);
    out.put_i64(page.first_store_time);
    out.put_u8(page.first_slot);
    out.put_u8(u8::try_from(page.entries.len()).unwrap_or(u8::MAX));
    out.put_u32(0);
    for entry in &page.entries {
        out.put_u64(entry.physical_offset.0);
        out.put_u32(entry.size);
        out.put_i64(entry.tags_code);
    }
    let crc = page_crc(key, &out);
    out[PAGE_HEAD_BYTES - 4..PAGE_HEAD_BYTES].copy_from_slice(&crc.to_be_bytes());
    out
}

fn page_crc(key: &[u8], value: &[u8]) -> u32 {
    let (head, entries) = value.split_at(PAGE_HEAD_BYTES);
    crc_of(&[key, &head[..PAGE_HEAD_BYTES - 4], entries])
}

fn crc_of(parts: &[&[u8]]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize()
}

pub(super) fn decode_page(key: &[u8], value: &[u8]) -> Option<Page> {
    let number = key.get(8..PAGE_KEY_BYTES)?.try_into().map(u64::from_be_bytes).ok()?;
    if value.len() < PAGE_HEAD_BYTES {
        return None;
    }
    let expected_crc = page_crc(key, value);
    let mut rest = value;
    let first_store_time = rest.get_i64();
    let (first_slot, count) = (rest.get_u8(), usize::from(rest.get_u8()));
    let fits = first_slot < PAGE_ENTRIES && usize::from(first_slot) + count <= PAGE_ENTRIES.into();
    if rest.get_u32() != expected_crc || rest.len() != count * ENTRY_BYTES || count == 0 || !fits {
        return None;
    }
    let mut entries = Vec::with_capacity(count);
    for _ in 0..count {
        let physical_offset = PhysicalOffset(rest.get_u64());
        entries.push(Entry { physical_offset, size: rest.get_u32(), tags_code: rest.get_i64() });
    }
    Some(Page { number, first_slot, first_store_time, entries })
}

/// How far a queue is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueState {
    /// The offset of the next record.
    pub next: u64,
    /// Where the queue's last record ends in the log; 0 if it never had one.
    pub last_end: u64,
    /// Records below it are not the queue's: it began anew there.
    pub floor: u64,
    /// The first offset that was known to be there.
    pub first_offset: u64,
    /// Where the record of that offset begins.
    pub first_physical: u64,
}

impl QueueState {
    pub(super) fn put(&self, out: &mut impl BufMut) {
        for field in [self.next, self.last_end, self.floor, self.first_offset, self.first_physical]
        {
            out.put_u64(field);
        }
    }

    pub(super) fn get(bytes: &mut &[u8]) -> Option<Self> {
        Some(Self {
            next: bytes.try_get_u64().ok()?,
            last_end: bytes.try_get_u64().ok()?,
            floor: bytes.try_get_u64().ok()?,
            first_offset: bytes.try_get_u64().ok()?,
            first_physical: bytes.try_get_u64().ok()?,
        })
    }

    pub(super) fn encode(&self, key: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(TAIL_BYTES);
        self.put(&mut out);
        out.put_u32(crc_of(&[key, &out]));
        out
    }

    pub(super) fn decode(key: &[u8], value: &[u8]) -> Option<Self> {
        if value.len() != TAIL_BYTES {
            return None;
        }
        let (mut fields, mut crc) = value.split_at(TAIL_BYTES - 4);
        let is_good = crc.get_u32() == crc_of(&[key, fields]);
        is_good.then(|| Self::get(&mut fields)).flatten()
    }
}

/// One key of a record, as runs have it; sorted by hash, then by offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeyEntry {
    /// The key's hash (ST-042).
    pub hash: u32,
    /// Where the record begins.
    pub physical_offset: u64,
}

/// What is known of a run without its entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunInfo {
    /// The offset of its first record: its name.
    pub first: u64,
    /// The offset of its last record.
    pub last: u64,
    /// Store time of its first record, in milliseconds since 1970.
    pub first_store_time: i64,
    /// Store time of its last record.
    pub last_store_time: i64,
    /// How many entries it has.
    pub count: u32,
}

pub(super) fn run_key(first: u64, entry: KeyEntry) -> [u8; RUN_KEY_BYTES] {
    let mut key = [0; RUN_KEY_BYTES];
    key[..8].copy_from_slice(&first.to_be_bytes());
    key[8..12].copy_from_slice(&entry.hash.to_be_bytes());
    key[12..].copy_from_slice(&entry.physical_offset.to_be_bytes());
    key
}

/// The key of the row of the run itself: behind all its chunks.
pub(super) fn run_info_key(first: u64) -> [u8; RUN_KEY_BYTES] {
    run_key(first, KeyEntry { hash: RUN_HASH, physical_offset: u64::MAX })
}

/// The run and first entry that a key names; `None` in place of the entry for the run's own row.
pub(super) fn parse_run_key(mut key: &[u8]) -> Option<(u64, Option<KeyEntry>)> {
    if key.len() != RUN_KEY_BYTES {
        return None;
    }
    let first = key.get_u64();
    let entry = KeyEntry { hash: key.get_u32(), physical_offset: key.get_u64() };
    Some((first, (entry.hash != RUN_HASH).then_some(entry)))
}

pub(super) fn encode_run_info(info: &RunInfo) -> Vec<u8> {
    let mut out = vec![0; 4];
    out.put_u64(info.last);
    out.put_i64(info.first_store_time);
    out.put_i64(info.last_store_time);
    out.put_u32(info.count);
    seal(&run_info_key(info.first), out)
}

pub(super) fn decode_run_info(key: &[u8], value: &[u8]) -> Option<RunInfo> {
    let (first, None) = parse_run_key(key)? else { return None };
    let mut fields = unseal(key, value)?;
    if fields.len() != 8 + 8 + 8 + 4 {
        return None;
    }
    Some(RunInfo {
        first,
        last: fields.get_u64(),
        first_store_time: fields.get_i64(),
        last_store_time: fields.get_i64(),
        count: fields.get_u32(),
    })
}

/// Writes the CRC into the first four bytes of a value.
fn seal(key: &[u8], mut value: Vec<u8>) -> Vec<u8> {
    let crc = crc_of(&[key, &value[4..]]);
    value[..4].copy_from_slice(&crc.to_be_bytes());
    value
}

fn unseal<'a>(key: &[u8], mut value: &'a [u8]) -> Option<&'a [u8]> {
    let crc = value.try_get_u32().ok()?;
    (crc == crc_of(&[key, value])).then_some(value)
}

/// The rows of a run: its entries, which are sorted, in chunks.
pub(super) fn encode_chunks(
    first: u64,
    entries: &[KeyEntry],
) -> impl Iterator<Item = ([u8; RUN_KEY_BYTES], Vec<u8>)> {
    entries.chunks(CHUNK_ENTRIES).filter_map(move |chunk| {
        let key = run_key(first, *chunk.first()?);
        let mut out = Vec::with_capacity(4 + chunk.len() * KEY_ENTRY_BYTES);
        out.put_u32(0);
        for entry in chunk {
            out.put_u32(entry.hash);
            out.put_u64(entry.physical_offset);
        }
        Some((key, seal(&key, out)))
    })
}

pub(super) fn decode_chunk(key: &[u8], value: &[u8]) -> Option<Vec<KeyEntry>> {
    let mut rest = unseal(key, value)?;
    if rest.is_empty() || !rest.len().is_multiple_of(KEY_ENTRY_BYTES) {
        return None;
    }
    let mut entries = Vec::with_capacity(rest.len() / KEY_ENTRY_BYTES);
    while rest.has_remaining() {
        entries.push(KeyEntry { hash: rest.get_u32(), physical_offset: rest.get_u64() });
    }
    Some(entries)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kv::VALUE_BYTES_MAX;
    use proptest::prelude::*;

    fn entry() -> impl Strategy<Value = Entry> {
        (any::<u64>(), any::<u32>(), any::<i64>()).prop_map(|(offset, size, tags_code)| Entry {
            physical_offset: PhysicalOffset(offset),
            size,
            tags_code,
        })
    }

    fn page() -> impl Strategy<Value = Page> {
        (0u8..128)
            .prop_flat_map(|first_slot| {
                let entries = prop::collection::vec(entry(), 1..=128 - usize::from(first_slot));
                (any::<u32>(), Just(first_slot), any::<i64>(), entries)
            })
            .prop_map(|(number, first_slot, first_store_time, entries)| Page {
                number: number.into(),
                first_slot,
                first_store_time,
                entries,
            })
    }

    proptest! {
        #[test]
        fn pages_are_read_as_written_and_no_flipped_bit_is_believed(
            page in page(), topic_id in any::<u32>(), queue in any::<u32>(), at in any::<prop::sample::Index>(), bit in 0u8..8,
        ) {
            let key = page_key(QueueKey { topic_id, queue_id: QueueId(queue) }, page.number);
            let mut value = encode_page(&key, &page);
            prop_assert!(value.len() <= VALUE_BYTES_MAX);
            prop_assert_eq!(decode_page(&key, &value), Some(page.clone()));
            let other = page_key(QueueKey { topic_id, queue_id: QueueId(queue) }, page.number + 1);
            prop_assert_eq!(decode_page(&other, &value), None);
            let at = at.index(value.len());
            value[at] ^= 1 << bit;
            prop_assert_eq!(decode_page(&key, &value), None);
        }

        #[test]
        fn a_page_is_continued_from_its_older_part(page in page(), split in any::<prop::sample::Index>()) {
            let cut = split.index(page.entries.len());
            let newer = Page {
                first_slot: page.first_slot + u8::try_from(cut).unwrap(),
                entries: page.entries[cut..].to_vec(), first_store_time: 1, ..page.clone()
            };
            // The older part may reach into the newer one: what comes later wins.
            let older = Page { entries: page.entries[..page.entries.len().min(cut + 3)].to_vec(), ..page.clone() };
            let mut whole = newer.clone();
            whole.continue_from(&older);
            prop_assert_eq!(&whole.entries, &page.entries);
            prop_assert_eq!(whole.first_slot, page.first_slot);
            for offset in page.start()..page.end() {
                prop_assert_eq!(page.from(offset).unwrap().len() as u64, page.end() - offset);
            }
            prop_assert!(page.from(page.end()).is_none());
        }

        #[test]
        fn runs_are_read_as_written_and_no_flipped_bit_is_believed(
            mut entries in prop::collection::vec((0u32..50, 0u64..1000), 1..1500), bit in 0u8..8, at in any::<prop::sample::Index>(),
        ) {
            entries.sort_unstable();
            let entries: Vec<_> = entries.into_iter().map(|(hash, physical_offset)| KeyEntry { hash, physical_offset }).collect();
            let mut read = Vec::new();
            for (key, mut value) in encode_chunks(7, &entries) {
                prop_assert!(value.len() <= VALUE_BYTES_MAX);
                let chunk = decode_chunk(&key, &value).unwrap();
                prop_assert_eq!(parse_run_key(&key), Some((7, Some(chunk[0]))));
                prop_assert!(key < run_info_key(7));
                read.extend(chunk);
                let at = at.index(value.len());
                value[at] ^= 1 << bit;
                prop_assert_eq!(decode_chunk(&key, &value), None);
            }
            prop_assert_eq!(read, entries);
        }

        #[test]
        fn tails_and_run_rows_are_read_as_written(fields in any::<[u64; 5]>(), count in any::<u32>(), times in any::<[i64; 2]>()) {
            let [next, last_end, floor, first_offset, first_physical] = fields;
            let state = QueueState { next, last_end, floor, first_offset, first_physical };
            let value = state.encode(b"key");
            prop_assert_eq!(value.len(), TAIL_BYTES);
            prop_assert_eq!(QueueState::decode(b"key", &value), Some(state));
            prop_assert_eq!(QueueState::decode(b"kez", &value), None);
            let info = RunInfo { first: next, last: floor, first_store_time: times[0], last_store_time: times[1], count };
            let key = run_info_key(next);
            prop_assert_eq!(decode_run_info(&key, &encode_run_info(&info)), Some(info));
            prop_assert_eq!(parse_run_key(&key), Some((next, None)));
        }

        #[test]
        fn no_row_panics(key in prop::collection::vec(any::<u8>(), 0..24), value in prop::collection::vec(any::<u8>(), 0..60)) {
            let _any = (decode_page(&key, &value), decode_chunk(&key, &value), decode_run_info(&key, &value), QueueState::decode(&key, &value));
        }
    }
}
