//! A log that a slave copies: records whose topics, queues, offsets, flags and properties are what their master says. Their
//! place and CRC are made right, or none would be taken. Whatever the bytes, no panic; what was taken is there, and is
//! there again when the store is opened anew.
//!
//! One store takes what comes, up to [`INPUTS_MAX`] inputs, so this is not a function of its input alone.

use std::sync::{Arc, Mutex, PoisonError};

use rmq_node::clock::Clock;
use rmq_node::message::{Record, body_crc};
use rmq_node::model::PhysicalOffset;
use rmq_node::store::options::StoreRole;
use rmq_node::store::{All, CopyError, PullRequest, StartTopics, Store, StoreOptions};
use tempfile::TempDir;

/// Inputs of one store.
const INPUTS_MAX: u32 = 2000;
/// After so many it is opened anew.
const OPEN_FOR: u32 = 100;

static COPY: Mutex<Option<Copy>> = Mutex::new(None);

struct Copy {
    store: Arc<Store>,
    inputs: u32,
    dir: TempDir,
}

pub fn run(bytes: &[u8]) {
    let mut held = COPY.lock().unwrap_or_else(PoisonError::into_inner);
    let copy = held.take().filter(|copy| copy.inputs < INPUTS_MAX).unwrap_or_else(Copy::new);
    let copy = if copy.inputs % OPEN_FOR == OPEN_FOR - 1 { copy.opened_anew() } else { copy };
    let copy = held.insert(copy);
    copy.inputs += 1;
    let store = &copy.store;
    let end = store.log_range().1;
    let log = made_right(bytes, end);
    let result = store.append_copied(end, &log);
    let taken = store.log_range().1.0 - end.0;
    match result {
        Ok(said) => assert_eq!(said as u64, taken),
        Err(CopyError::Damaged { at, .. } | CopyError::SegmentSize { at, .. }) => {
            assert_eq!(at, end.0 + taken);
        }
        Err(error) => panic!("{error}"),
    }
    let mut rest = &log[..usize::try_from(taken).expect("no more than was sent")];
    while let Ok(record) = Record::parse(rest) {
        rest = &rest[record.bytes().len()..];
        let stored = store.record_at(record.physical_offset()).expect("the disk is whole");
        assert_eq!(stored.as_deref(), Some(record.bytes()));
        for offset in [0, record.queue_offset().to_wire()] {
            let (topic, queue_id) = (record.topic(), record.queue_id());
            let request = PullRequest { topic, queue_id, offset, count_max: 32, filter: &All };
            store.pull(&request, true).expect("the disk is whole");
        }
    }
}

/// The records at the beginning of `bytes` as a master has them at `end`, and what follows as it is.
fn made_right(mut bytes: &[u8], end: PhysicalOffset) -> Vec<u8> {
    let mut log = Vec::with_capacity(bytes.len());
    while let Ok(record) = Record::parse(bytes) {
        let at = log.len();
        log.extend_from_slice(record.bytes());
        log[at + 8..at + 12].copy_from_slice(&body_crc(record.body()).to_be_bytes());
        log[at + 28..at + 36].copy_from_slice(&(end.0 + at as u64).to_be_bytes());
        bytes = &bytes[record.bytes().len()..];
    }
    log.extend_from_slice(bytes);
    log
}

impl Copy {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        Self { store: open(&dir), inputs: 0, dir }
    }

    fn opened_anew(self) -> Self {
        let range = self.store.log_range();
        assert!(self.store.stop(), "not all is saved");
        drop(self.store);
        let store = open(&self.dir);
        assert_eq!(store.log_range(), range);
        Self { store, ..self }
    }
}

fn open(dir: &TempDir) -> Arc<Store> {
    let options = StoreOptions {
        segment_bytes: 1 << 20,
        allocate_ahead_bytes: 64 << 10,
        role: StoreRole::Slave,
        ..StoreOptions::new(dir.path().join("broker-a"))
    };
    let start_topics = StartTopics::new("C", "broker-a");
    Store::open(options, &start_topics, &Clock::system(), &|_, _| {}).expect("a store")
}
