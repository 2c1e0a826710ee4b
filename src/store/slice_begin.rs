//! `slices/%020d.begin`: what held when a slice began. All topics with id and floor, and every queue.
//!
//! Two neighbours say which entries of a queue a slice holds. The file is too large to be kept in memory for
//! each slice: a queue is found in it by binary search. Invariants: written once, fsynced before anything
//! enters the slice; checked whole when it is opened.
//!
//! ```text
//! magic 8 | slice number 8 | start time 8 | topics 4 | queues 4 | bytes of names 8
//! queues:  topic id 4 | queue id 4 | state 40           sorted
//! topics:  topic id 4 | floor 8 | name length 2 | name
//! crc 4
//! ```

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;

use bytes::{Buf, BufMut};

use super::slice_rows::{QueueKey, QueueState};
use crate::files;
use crate::model::{PhysicalOffset, TopicName};

const MAGIC: &[u8; 8] = b"RMQNBEG1";
const HEAD_BYTES: usize = 8 + 8 + 8 + 4 + 4 + 8;
const QUEUE_BYTES: usize = 8 + 40;
const CRC_BYTES: usize = 4;

/// What a `begin` file says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BeginContent {
    /// The slice's number: its start in the log divided by the slices' size.
    pub slice: u64,
    /// Store time of the slice's first record, in milliseconds since 1970.
    pub start_time: i64,
    /// All topics with their ids and floors.
    pub topics: Vec<(TopicName, u32, PhysicalOffset)>,
    /// Every queue, sorted by key.
    pub queues: Vec<(QueueKey, QueueState)>,
}

/// An open `begin` file.
#[derive(Debug)]
pub struct Begin {
    file: File,
    start_time: i64,
    queues: u64,
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

impl BeginContent {
    /// Writes the file durably.
    ///
    /// # Errors
    /// What the system says.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        files::replace(path, self.encode())
    }

    fn encode(&self) -> Vec<u8> {
        let mut names = Vec::new();
        for (name, id, floor) in &self.topics {
            names.put_u32(*id);
            names.put_u64(floor.0);
            names.put_u16(u16::try_from(name.as_str().len()).unwrap_or(u16::MAX));
            names.put_slice(name.as_str().as_bytes());
        }
        let mut out =
            Vec::with_capacity(HEAD_BYTES + self.queues.len() * QUEUE_BYTES + names.len() + 4);
        let count = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
        out.put_slice(MAGIC);
        out.put_u64(self.slice);
        out.put_i64(self.start_time);
        out.put_u32(count(self.topics.len()));
        out.put_u32(count(self.queues.len()));
        out.put_u64(names.len() as u64);
        for (key, state) in &self.queues {
            out.put_slice(&key.bytes());
            state.put(&mut out);
        }
        out.put_slice(&names);
        out.put_u32(crc32fast::hash(&out));
        out
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (content, mut crc) = bytes.split_at_checked(bytes.len().checked_sub(CRC_BYTES)?)?;
        if crc.get_u32() != crc32fast::hash(content) || content.len() < HEAD_BYTES {
            return None;
        }
        let mut rest = content.strip_prefix(MAGIC)?;
        let (slice, start_time) = (rest.get_u64(), rest.get_i64());
        let (topic_count, queue_count) = (rest.get_u32(), rest.get_u32());
        rest.advance(8);
        let mut queues = Vec::new();
        for _ in 0..queue_count {
            let key = QueueKey::parse(rest.get(..8)?)?;
            rest.advance(8);
            queues.push((key, QueueState::get(&mut rest)?));
        }
        let mut topics = Vec::new();
        for _ in 0..topic_count {
            let id = rest.try_get_u32().ok()?;
            let floor = PhysicalOffset(rest.try_get_u64().ok()?);
            let length = usize::from(rest.try_get_u16().ok()?);
            let name = std::str::from_utf8(rest.get(..length)?).ok()?;
            topics.push((TopicName::new(name), id, floor));
            rest.advance(length);
        }
        rest.is_empty().then_some(Self { slice, start_time, topics, queues })
    }

    /// Reads the whole file.
    ///
    /// # Errors
    /// What the system says; a damaged file is `InvalidData`.
    pub fn read(path: &Path) -> io::Result<Self> {
        Self::decode(&fs::read(path)?).ok_or_else(|| invalid("the file is damaged"))
    }
}

impl Begin {
    /// Opens and checks the `begin` file of a slice.
    ///
    /// # Errors
    /// What the system says; a damaged file is `InvalidData`.
    pub fn open(path: &Path, slice: u64) -> io::Result<Self> {
        let mut file = File::open(path)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        let content = BeginContent::decode(&bytes).filter(|content| content.slice == slice);
        let content = content.ok_or_else(|| invalid("the file is damaged"))?;
        Ok(Self { file, start_time: content.start_time, queues: content.queues.len() as u64 })
    }

    /// Store time of the slice's first record.
    #[must_use]
    pub fn start_time(&self) -> i64 {
        self.start_time
    }

    /// How far a queue was; `None` if it was not there yet.
    ///
    /// # Errors
    /// What the system says.
    pub fn queue(&self, key: QueueKey) -> io::Result<Option<QueueState>> {
        let (mut low, mut high) = (0, self.queues);
        while low < high {
            let middle = low + (high - low) / 2;
            let mut row = [0; QUEUE_BYTES];
            let at = HEAD_BYTES as u64 + middle * QUEUE_BYTES as u64;
            self.file.read_exact_at(&mut row, at)?;
            let (found, mut state) = row.split_at(8);
            match QueueKey::parse(found).cmp(&Some(key)) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
                std::cmp::Ordering::Equal => return Ok(QueueState::get(&mut state)),
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::QueueId;
    use proptest::prelude::*;

    fn content(queues: &[(u32, u32, u64)]) -> BeginContent {
        let mut queues: Vec<_> = queues
            .iter()
            .map(|(topic_id, queue_id, next)| {
                let key = QueueKey { topic_id: *topic_id, queue_id: QueueId(*queue_id) };
                (key, QueueState { next: *next, ..QueueState::default() })
            })
            .collect();
        queues.sort_unstable_by_key(|(key, _)| *key);
        queues.dedup_by_key(|(key, _)| *key);
        let topics = vec![
            (TopicName::new("%RETRY%g"), 0, PhysicalOffset(7)),
            (TopicName::new("T"), 3, PhysicalOffset(0)),
        ];
        BeginContent { slice: 5, start_time: 99, topics, queues }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]
        #[test]
        fn every_queue_is_found_again(queues in prop::collection::vec((0u32..9, 0u32..9, any::<u64>()), 0..40)) {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("5.begin");
            let content = content(&queues);
            content.write(&path).unwrap();
            prop_assert_eq!(&BeginContent::read(&path).unwrap(), &content);
            let begin = Begin::open(&path, 5).unwrap();
            prop_assert_eq!(begin.start_time(), 99);
            for topic_id in 0..10 {
                for queue_id in 0..10 {
                    let key = QueueKey { topic_id, queue_id: QueueId(queue_id) };
                    let expected = content.queues.iter().find(|(k, _)| *k == key).map(|(_, state)| *state);
                    prop_assert_eq!(begin.queue(key).unwrap(), expected);
                }
            }
        }
    }

    #[test]
    fn a_damaged_or_foreign_file_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("5.begin");
        content(&[(1, 2, 3)]).write(&path).unwrap();
        assert!(Begin::open(&path, 6).is_err());
        let good = fs::read(&path).unwrap();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 0x10;
            fs::write(&path, &bad).unwrap();
            let error = Begin::open(&path, 5).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData, "byte {at}");
            fs::write(&path, &good[..at]).unwrap();
            assert!(Begin::open(&path, 5).is_err(), "cut at {at}");
        }
    }
}
