//! The store as a whole: what was appended is there, in its queue and under its key, after whatever happened.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, Weak, mpsc};
use std::time::Duration;

use super::disk::{Disk, SystemDisk};
use super::options::{FlushMode, Retention, SharedRetention, StoreRole};
use super::{
    All, AppendResult, EntryFilter, OpenError, PullRequest, PullStatus, Pulled, ReadError,
    StartTopics, Store, StoreOptions,
};
use crate::clock::{Clock, Zone};
use crate::message::{BLANK_HEADER_BYTES, NewMessage, Record};
use crate::model::{PhysicalOffset, QueueId, QueueOffset, TopicConfig, TopicName};

/// 4.9.4's retention, but for the hours in which old segments go.
pub(super) fn deleting_at(hours: std::ops::Range<u8>) -> SharedRetention {
    Retention { delete_hours: hours.collect(), ..Retention::default() }.into()
}

/// Where a record's body begins (ST-001); its CRC covers nothing else.
pub(super) const BODY_AT: u64 = 88;

/// A store in a folder, with a segment of 64 KiB and a slice of four.
pub(super) struct World {
    /// Holds the folder.
    _dir: tempfile::TempDir,
    pub(super) clock: Clock,
    pub(super) options: StoreOptions,
    pub(super) disk: Arc<dyn Disk>,
    pub(super) store: Option<Arc<Store>>,
}

impl World {
    pub(super) fn new() -> Self {
        Self::with(|_| {})
    }

    pub(super) fn with(change: impl FnOnce(&mut StoreOptions)) -> Self {
        let mut world = Self::closed(change);
        world.open().unwrap();
        world
    }

    /// A store that is not opened yet.
    pub(super) fn closed(change: impl FnOnce(&mut StoreOptions)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut options = StoreOptions {
            segment_bytes: 64 << 10,
            slice_bytes: 256 << 10,
            allocate_ahead_bytes: 16 << 10,
            // Saved when a test says so.
            checkpoint_interval_ms: 3_600_000,
            ..StoreOptions::new(dir.path().join("broker-a"))
        };
        change(&mut options);
        Self { _dir: dir, clock: Clock::system(), options, disk: Arc::new(SystemDisk), store: None }
    }

    pub(super) fn open(&mut self) -> Result<(), OpenError> {
        let start = StartTopics::new("C", "broker-a");
        let (disk, options) = (Arc::clone(&self.disk), self.options.clone());
        self.store = Some(Store::open_on(disk, options, &start, &self.clock, &|_, _| {})?);
        Ok(())
    }

    pub(super) fn store(&self) -> &Arc<Store> {
        self.store.as_ref().unwrap()
    }

    /// As if the process had been killed.
    pub(super) fn kill(&mut self) {
        self.store = None;
    }

    pub(super) fn reopen(&mut self) {
        self.kill();
        self.open().unwrap();
    }

    pub(super) fn group_dir(&self) -> &Path {
        &self.options.dir
    }

    pub(super) fn append(&self, topic: &str, queue: u32, body: &str) -> super::Appended {
        let result = self.try_append(&[message(topic, queue, body)]);
        result.unwrap().0[0]
    }

    pub(super) fn try_append(&self, messages: &[NewMessage]) -> AppendResult {
        let (sender, receiver) = mpsc::channel();
        let done = Box::new(move |result| sender.send(result).unwrap());
        self.store().enqueue(messages, true, done);
        self.store().write_enqueued();
        receiver.recv_timeout(Duration::from_secs(20)).unwrap()
    }

    pub(super) fn try_pull(
        &self,
        topic: &str,
        queue: u32,
        offset: i64,
    ) -> Result<Pulled, ReadError> {
        let queue_id = QueueId(queue);
        let request = PullRequest { topic, queue_id, offset, count_max: 32, filter: &All };
        self.store().pull(&request, true)
    }

    pub(super) fn pull(&self, topic: &str, queue: u32, offset: i64) -> Pulled {
        self.try_pull(topic, queue, offset).unwrap()
    }

    /// The bodies of all messages of a queue, from its first one on.
    pub(super) fn bodies(&self, topic: &str, queue: u32) -> Vec<String> {
        let (mut offset, mut all) = (self.pull(topic, queue, 0).min_offset.to_wire(), Vec::new());
        loop {
            let pulled = self.pull(topic, queue, offset);
            let mut rest = pulled.body.as_ref();
            for _ in 0..pulled.count {
                let record = Record::parse(rest).unwrap();
                all.push(String::from_utf8(record.body().to_vec()).unwrap());
                rest = &rest[record.bytes().len()..];
            }
            assert!(rest.is_empty(), "records are whole");
            if pulled.next_offset.to_wire() <= offset {
                return all;
            }
            offset = pulled.next_offset.to_wire();
        }
    }

    /// The file of the segment that holds a physical offset, and where it is in there.
    pub(super) fn file_of(&self, physical: u64) -> (PathBuf, u64) {
        let start = physical - physical % self.options.segment_bytes;
        (self.group_dir().join("commitlog").join(format!("{start:020}")), physical - start)
    }

    /// Turns a byte of the log over.
    pub(super) fn flip(&self, physical: u64) {
        let (path, at) = self.file_of(physical);
        let file = OpenOptions::new().read(true).write(true).open(path).unwrap();
        let mut byte = [0];
        file.read_exact_at(&mut byte, at).unwrap();
        file.write_all_at(&[!byte[0]], at).unwrap();
    }
}

pub(super) fn message(topic: &str, queue: u32, body: &str) -> NewMessage {
    let properties = format!("KEYS\u{1}key-{}", body.get(..20).unwrap_or(body));
    NewMessage { properties, ..NewMessage::plain(topic, queue, body.to_owned()) }
}

fn names(count: usize) -> Vec<String> {
    (0..count).map(|index| format!("m{index}")).collect()
}

#[test]
fn messages_are_pulled_in_order_and_found_by_key_time_and_place() {
    let world = World::new();
    let mut appended = Vec::new();
    for body in names(40) {
        world.clock.advance(Duration::from_millis(1000));
        appended.push(world.append("T", 0, &body));
    }
    assert_eq!(appended[7].queue_offset, QueueOffset(7));
    assert_eq!(world.bodies("T", 0), names(40));
    let store = world.store();
    let found = store.query("T", "key-m9", 10, 0..=i64::MAX).unwrap();
    assert_eq!(Record::parse(&found.records[0]).unwrap().body(), b"m9");
    assert_eq!(found.index_last.unwrap().0, appended[39].physical_offset);
    let record = store.record_at(appended[3].physical_offset).unwrap().unwrap();
    assert_eq!(Record::parse(&record).unwrap().body(), b"m3");
    assert_eq!(store.record_at(PhysicalOffset(appended[3].physical_offset.0 + 1)), Ok(None));
    let at = appended[20].store_timestamp;
    for (time, offset) in [(at, 20), (at + 100, 20), (at + 900, 21), (0, 0), (i64::MAX, 39)] {
        assert_eq!(store.offset_by_time("T", QueueId(0), time).unwrap(), QueueOffset(offset));
    }
    assert_eq!(store.earliest_store_time(), Some(appended[0].store_timestamp));
}

#[test]
fn what_is_queued_by_who_waited_for_the_segment_before_is_written() {
    // Nothing is flushed before somebody waits for it.
    let world = World::with(|options| options.flush_interval_ms = 3_600_000);
    let body = "x".repeat(1000);
    let first = world.append("T", 0, &body).physical_offset.0;
    let mut last = world.append("T", 0, &body).physical_offset.0;
    let bytes = last - first;
    let segment_bytes = world.options.segment_bytes;
    while last + 2 * bytes + BLANK_HEADER_BYTES as u64 <= segment_bytes {
        last = world.append("T", 0, &body).physical_offset.0;
    }
    let (sender, receiver) = mpsc::channel();
    let store = Arc::clone(world.store());
    let queue_next = Box::new(move |result: AppendResult| {
        assert_eq!(result.unwrap().0[0].physical_offset, PhysicalOffset(segment_bytes));
        let done = Box::new(move |result| sender.send(result).unwrap());
        store.enqueue(&[message("T", 0, "next")], false, done);
    });
    world.store().enqueue(&[message("T", 0, &body)], false, queue_next);
    world.store().write_enqueued();
    receiver.recv_timeout(Duration::from_secs(20)).unwrap().unwrap();
    assert_eq!(world.bodies("T", 0).last().unwrap(), "next");
}

#[test]
fn pulls_outside_a_queue_say_where_to_go_on_b170() {
    let world = World::new();
    for body in names(3) {
        world.append("T", 0, &body);
    }
    for (topic, offset, status, next) in [
        ("T", 3, PullStatus::OffsetOverflowOne, 3),
        ("T", 9, PullStatus::OffsetOverflowBadly, 3),
        ("T", -1, PullStatus::OffsetTooSmall, 0),
        ("unknown", 0, PullStatus::NoMessageInQueue, 0),
        ("unknown", 5, PullStatus::NoMessageInQueue, 0),
    ] {
        let pulled = world.pull(topic, 0, offset);
        assert_eq!(
            (pulled.status, pulled.next_offset),
            (status, QueueOffset(next)),
            "{topic} {offset}"
        );
    }
}

#[test]
fn what_the_disk_does_not_give_now_is_not_taken_for_gone() {
    let mut world = World::new();
    let first = world.append("T", 0, "m");
    let at = first.physical_offset;
    world.clock.advance(Duration::from_secs(5));
    world.append("T", 0, "n");
    let (path, _) = world.file_of(at.0);
    // Hot, and as after a start.
    for _ in 0..2 {
        let log = fs::read(&path).unwrap();
        // Reading fails at the end of a file that is too short.
        OpenOptions::new().write(true).open(&path).unwrap().set_len(0).unwrap();
        assert_eq!(world.try_pull("T", 0, 0).unwrap_err(), ReadError::Unavailable);
        let store = world.store();
        let unavailable = ReadError::Unavailable;
        assert_eq!(store.record_at(at), Err(unavailable));
        assert_eq!(store.last_record_below(store.log_range().1), Err(unavailable));
        let time = first.store_timestamp;
        assert_eq!(store.offset_by_time("T", QueueId(0), time), Err(unavailable));
        assert_eq!(store.store_time_of("T", QueueId(0), QueueOffset(1)), Err(unavailable));
        // The run of keys lies within these times, or its records' own times are asked for.
        for times in [0..=i64::MAX, time..=time] {
            assert_eq!(store.query("T", "key-m", 9, times).unwrap_err(), unavailable);
        }
        fs::write(&path, log).unwrap();
        assert_eq!(world.bodies("T", 0), ["m", "n"]);
        assert!(world.store().record_at(at).unwrap().is_some());
        assert_eq!(world.store().query("T", "key-m", 9, time..=time).unwrap().records.len(), 1);
        assert_eq!(world.store().damaged_places(), 0);
        world.reopen();
    }
}

/// A disk that looks at what readers are given when bytes of the log are in their file, and the store does not know yet.
#[derive(Debug, Default)]
struct LookingDisk {
    store: OnceLock<Weak<Store>>,
    looks: AtomicUsize,
}

impl LookingDisk {
    /// A store on such a disk.
    fn world(role: StoreRole) -> (Arc<Self>, World) {
        let disk = Arc::new(Self::default());
        let mut world = World::closed(|options| options.role = role);
        world.disk = Arc::<Self>::clone(&disk);
        world.open().unwrap();
        disk.store.set(Arc::downgrade(world.store())).unwrap();
        (disk, world)
    }

    fn look(&self, written_at: u64) {
        let Some(store) = self.store.get().and_then(Weak::upgrade) else { return };
        let (queue_id, end) = (QueueId(0), store.log_range().1);
        assert_eq!(end.0, written_at, "the log ends before what is being written");
        assert_eq!(store.record_at(end), Ok(None));
        let next = store.max_offset("T", queue_id);
        let entries = store.entries("T", queue_id, QueueOffset(0), 1000).unwrap();
        assert_eq!(entries.len() as u64, next.0);
        let ends = entries.iter().map(|entry| entry.physical_offset.0 + u64::from(entry.size));
        assert!(ends.max().unwrap_or(0) <= end.0, "no entry is ahead of the log");
        let offset = next.to_wire();
        let request = PullRequest { topic: "T", queue_id, offset, count_max: 32, filter: &All };
        assert_eq!(store.pull(&request, true).unwrap().count, 0);
        self.looks.fetch_add(1, Ordering::Relaxed);
    }
}

impl Disk for LookingDisk {
    fn write(&self, file: &File, path: &Path, bytes: &[u8], at: u64) -> io::Result<()> {
        SystemDisk.write(file, path, bytes, at)?;
        let name = path.file_name().and_then(|name| name.to_str());
        if let Some(start) = name.and_then(|name| name.parse::<u64>().ok()) {
            self.look(start + at);
        }
        Ok(())
    }
    fn flush(&self, file: &File, path: &Path) -> io::Result<()> {
        SystemDisk.flush(file, path)
    }
    fn flush_dir(&self, dir: &Path) -> io::Result<()> {
        SystemDisk.flush_dir(dir)
    }
    fn allocate(&self, file: &File, at: u64, bytes: u64) -> io::Result<()> {
        SystemDisk.allocate(file, at, bytes)
    }
    fn used_percent(&self, _: &Path) -> io::Result<f64> {
        Ok(0.0)
    }
    fn flush_failed(&self, _: &Path, _: &io::Error) {}
}

#[test]
fn nobody_is_given_what_lies_behind_the_logs_end() {
    let (disk, master) = LookingDisk::world(StoreRole::Master);
    let long = "x".repeat(3000);
    for _ in 0..30 {
        master.append("T", 0, &long);
        let batch: Vec<_> = names(3).iter().map(|body| message("T", 0, body)).collect();
        master.try_append(&batch).unwrap();
    }
    let (mut at, end) = (0, master.store().log_range().1.0);
    assert!(end > master.options.segment_bytes, "a segment ended, too");
    assert!(disk.looks.load(Ordering::Relaxed) > 60);
    let (disk, slave) = LookingDisk::world(StoreRole::Slave);
    while at < end {
        let (path, within) = master.file_of(at);
        let mut bytes = fs::read(path).unwrap().split_off(usize::try_from(within).unwrap());
        bytes.truncate(usize::try_from(end - at).unwrap());
        at += slave.store().append_copied(PhysicalOffset(at), &bytes).unwrap() as u64;
    }
    assert!(disk.looks.load(Ordering::Relaxed) > 1);
    assert_eq!(slave.bodies("T", 0), master.bodies("T", 0));
}

#[test]
fn an_answer_has_at_most_32_messages_and_256_kib_b173() {
    let world = World::with(|options| options.segment_bytes = 4 << 20);
    for body in names(50) {
        world.append("small", 0, &body);
    }
    assert_eq!(world.pull("small", 0, 0).count, 32);
    for _ in 0..5 {
        world.append("large", 0, &"x".repeat(100 << 10));
    }
    assert_eq!(world.pull("large", 0, 0).count, 2);
}

#[test]
fn who_must_not_block_reads_of_old_messages_what_the_kernel_has_in_its_memory() {
    let mut world = World::new();
    for body in names(300) {
        world.append("T", 0, &body);
    }
    world.store().stop();
    world.reopen();
    let pull = |offset, may_block| {
        let queue_id = QueueId(0);
        let request = PullRequest { topic: "T", queue_id, offset, count_max: 32, filter: &All };
        let pulled = world.store().pull(&request, may_block)?;
        Ok((pulled.count, pulled.next_offset, pulled.body))
    };
    assert_eq!(pull(0, false), Err(ReadError::WouldBlock), "where they are is on the disk");
    let read = pull(32, true).unwrap();
    assert_eq!((read.0, read.1), (32, QueueOffset(64)));
    let mut byte = [0];
    if world.store().log.read_cached_into(0..1, &mut byte) {
        assert_eq!(pull(32, false), Ok(read));
    } else {
        assert_eq!(pull(32, false), Err(ReadError::WouldBlock), "this file system cannot tell");
    }
    // What is damaged, in its magic, is told by who may block.
    world.flip(world.store().log.start() + 4);
    assert_eq!(pull(0, false), Err(ReadError::WouldBlock));
    assert_eq!(pull(0, true).unwrap().0, 31);
}

#[test]
fn the_broker_itself_gets_as_many_as_it_asks_for_up_to_1_mib() {
    let world = World::with(|options| {
        options.segment_bytes = 4 << 20;
        options.in_memory_bytes = 1 << 10;
    });
    let appended: Vec<_> = names(300).iter().map(|body| world.append("small", 0, body)).collect();
    for _ in 0..12 {
        world.append("large", 0, &"x".repeat(100 << 10));
    }
    let pull_own = |topic, offset| {
        let queue_id = QueueId(0);
        let request = PullRequest { topic, queue_id, offset, count_max: 256, filter: &All };
        let pulled = world.store().pull_own(&request).unwrap();
        (pulled.count, pulled.next_offset)
    };
    assert_eq!(pull_own("small", 0), (256, QueueOffset(256)));
    assert_eq!(pull_own("small", 256), (44, QueueOffset(300)));
    assert_eq!(pull_own("large", 0), (10, QueueOffset(10)));
    // The magic of two of them.
    for at in [20, 21] {
        world.flip(appended[at].physical_offset.0 + 4);
    }
    assert_eq!(pull_own("small", 0), (254, QueueOffset(256)), "only these two are missing");
    assert_eq!(world.store().damaged_places(), 2);
}

#[test]
fn a_query_has_the_newest_records_as_many_as_one_answer_takes() {
    let world = World::with(|options| options.segment_bytes = 8 << 20);
    let body = "x".repeat(4_000_000);
    let appended: Vec<_> = (0..5).map(|_| world.append("T", 0, &body)).collect();
    let found = world.store().query("T", &format!("key-{}", &body[..20]), 64, 0..=i64::MAX);
    let offset = |bytes| Record::parse(bytes).unwrap().physical_offset();
    let found: Vec<_> = found.unwrap().records.iter().map(|bytes| offset(bytes)).collect();
    let expected: Vec<_> = appended[2..].iter().map(|one| one.physical_offset).collect();
    assert_eq!(found, expected, "in the order of the log");
}

/// Wants messages by a part of their properties.
struct Having(&'static str);

impl EntryFilter for Having {
    fn matches_tags_code(&self, _: i64) -> bool {
        true
    }
    fn matches_properties(&self, properties: &str) -> bool {
        properties.contains(self.0)
    }
    fn needs_properties(&self) -> bool {
        true
    }
}

#[test]
fn who_asks_for_properties_gets_the_same_records_but_those_damaged() {
    let world = World::new();
    let bodies = ["even-0", "odd-1", "even-2", &format!("even-3{}", "x".repeat(9 << 10)), "even-4"];
    let appended = bodies.map(|body| world.append("T", 0, body));
    let pull = |wanted, offset| {
        let (queue_id, filter) = (QueueId(0), &Having(wanted));
        let request = PullRequest { topic: "T", queue_id, offset, count_max: 32, filter };
        world.store().pull(&request, true).unwrap()
    };
    let all = pull("key-", 0);
    assert_eq!((all.count, &all.body), (5, &world.pull("T", 0, 0).body));
    let odd = pull("odd", 0);
    assert_eq!((odd.count, &odd.body), (1, &world.pull("T", 0, 1).body.slice(..odd.body.len())));
    assert_eq!((odd.status, odd.next_offset), (PullStatus::Found, QueueOffset(5)));
    assert_eq!(pull("none", 0).status, PullStatus::NoMatchedMessage);
    // Their magic.
    world.flip(appended[2].physical_offset.0 + 4);
    world.flip(appended[3].physical_offset.0 + 4);
    let even = pull("even", 0);
    assert_eq!((even.count, even.next_offset), (2, QueueOffset(5)));
    assert!(even.body.ends_with(b"KEYS\x01key-even-4"));
    assert_eq!(world.store().damaged_places(), 2);
    assert_eq!(pull("odd", 2).status, PullStatus::MessageWasRemoving);
}

#[test]
fn everything_is_there_after_a_stop_and_after_a_kill() {
    let mut world = World::new();
    for (round, is_stopped) in [true, false, false, true].into_iter().enumerate() {
        for body in &names(300)[..] {
            world.append("T", 0, &format!("{round}-{body}"));
        }
        world.store().tables().consumer_offsets.commit("T", "G", QueueId(0), 7);
        if is_stopped {
            world.store().stop();
        }
        world.reopen();
        let bodies = world.bodies("T", 0);
        assert_eq!(bodies.len(), 300 * (round + 1));
        assert_eq!(bodies[300 * round + 5], format!("{round}-m5"));
        let found = world.store().query("T", &format!("key-{round}-m77"), 10, 0..=i64::MAX);
        assert_eq!(found.unwrap().records.len(), 1);
        let committed = world.store().tables().consumer_offsets.query("T", "G", QueueId(0));
        assert_eq!(committed, Some(7), "saved by the first stop");
    }
    assert!(world.store().log_range().1.0 > 2 * world.options.segment_bytes);
}

#[test]
fn a_torn_tail_is_cut_and_nothing_stale_comes_back() {
    let mut world = World::new();
    for body in names(20) {
        world.append("T", 0, &body);
    }
    world.store().stop();
    let torn = world.append_after_reopen("torn");
    world.kill();
    world.flip(torn.physical_offset.0 + BODY_AT);
    world.open().unwrap();
    assert_eq!(world.bodies("T", 0), names(20));
    assert_eq!(world.store().log_range().1, torn.physical_offset);
    let next = world.append("T", 0, "next");
    assert_eq!(next.physical_offset, torn.physical_offset);
    world.reopen();
    assert_eq!(world.bodies("T", 0).last().unwrap(), "next");
    let aside = world.group_dir().join(format!("cut-{:020}", torn.physical_offset.0));
    assert!(fs::metadata(aside).unwrap().len() > 0);
}

impl World {
    fn append_after_reopen(&mut self, body: &str) -> super::Appended {
        self.reopen();
        self.append("T", 0, body)
    }
}

#[test]
fn a_flipped_byte_below_what_was_flushed_costs_one_message_only() {
    let mut world = World::new();
    let appended: Vec<_> = names(50).iter().map(|body| world.append("T", 0, body)).collect();
    world.store().stop();
    world.kill();
    world.flip(appended[10].physical_offset.0 + BODY_AT);
    // Read again from the start: the slices are lost.
    fs::remove_dir_all(world.group_dir().join("slices")).unwrap();
    world.open().unwrap();
    let bodies = world.bodies("T", 0);
    assert_eq!(bodies.len(), 49);
    assert!(!bodies.contains(&"m10".to_owned()));
    assert_eq!(world.append("T", 0, "next").queue_offset, QueueOffset(50));
}

#[test]
fn a_topic_made_again_begins_at_0_and_keeps_to_its_own_messages_b062() {
    let mut world = World::new();
    for body in names(10) {
        world.append("T", 0, &body);
    }
    world.store().tables().topics.put(TopicConfig::new(TopicName::new("T"), 1));
    world.store().tables().consumer_offsets.commit("T", "G", QueueId(0), 5);
    assert!(world.store().remove_topic("T"));
    assert_eq!(world.store().max_offset("T", QueueId(0)), QueueOffset(0));
    assert_eq!(world.store().tables().consumer_offsets.query("T", "G", QueueId(0)), None);
    world.store().tables().topics.put(TopicConfig::new(TopicName::new("T"), 1));
    assert_eq!(world.append("T", 0, "again").queue_offset, QueueOffset(0));
    assert_eq!(world.bodies("T", 0), ["again"]);
    world.store().stop();
    fs::remove_dir_all(world.group_dir().join("slices")).unwrap();
    fs::remove_file(world.group_dir().join("checkpoint")).unwrap();
    world.reopen();
    assert_eq!(world.bodies("T", 0), ["again"], "after a rebuild too");
}

#[test]
fn sync_flush_answers_when_the_disk_has_it_st061() {
    let world = World::with(|options| options.flush = FlushMode::Sync);
    let appended = world.append("T", 0, "x");
    assert!(world.store().flushed_to() > appended.physical_offset);
}

#[test]
fn a_retention_that_is_changed_holds_for_an_open_store() {
    let world = World::with(|options| options.retention = deleting_at(0..24));
    for body in names(2000) {
        world.append("T", 0, &body);
    }
    world.store().saver.save().unwrap();
    world.clock.advance(Duration::from_secs(3 * 3600));
    world.append("T", 0, "new");
    world.store().keeper.clean().unwrap();
    assert_eq!(world.store().log_range().0, PhysicalOffset(0));
    let retention = &world.options.retention;
    retention.set(Retention { hours: 2, ..Retention::clone(&retention.get()) });
    world.store().keeper.clean().unwrap();
    assert!(world.store().log_range().0 > PhysicalOffset(0));
}

#[test]
fn the_hour_is_that_of_the_clocks_zone_st090() {
    const HOUR_MS: i64 = 3_600_000;
    let mut world = World::closed(|options| options.retention = deleting_at(0..0));
    world.clock = Clock::system().in_zone(Zone::named("XXX-5:30"));
    world.open().unwrap();
    for body in names(2000) {
        world.append("T", 0, &body);
    }
    world.store().saver.save().unwrap();
    world.store().keeper.stop();
    // To a quarter past an hour of UTC, which is a quarter to one there.
    let past_ms = world.clock.now_ms().rem_euclid(HOUR_MS);
    let step_ms = u64::try_from(74 * HOUR_MS + HOUR_MS / 4 - past_ms).unwrap();
    world.clock.advance(Duration::from_millis(step_ms));
    world.append("T", 0, "new");
    let utc = u8::try_from(world.clock.now_ms().div_euclid(HOUR_MS).rem_euclid(24)).unwrap();
    let is_deleted_at = |hour: u8| {
        let delete_hours = vec![hour % 24];
        world.options.retention.set(Retention { delete_hours, ..Retention::default() });
        world.store().keeper.clean().unwrap();
        world.store().log_range().0 > PhysicalOffset(0)
    };
    assert!(!is_deleted_at(utc));
    assert!(is_deleted_at(utc + 5));
}

#[test]
fn too_old_segments_are_deleted_and_queues_begin_later_st090() {
    let world = World::with(|options| options.retention = deleting_at(0..24));
    for body in names(2000) {
        world.append("T", 0, &body);
    }
    world.store().saver.save().unwrap();
    let end = world.store().log_range().1;
    world.store().keeper.clean().unwrap();
    assert_eq!(world.store().log_range().0, PhysicalOffset(0), "nothing is too old yet");
    world.clock.advance(Duration::from_secs(73 * 3600));
    world.append("T", 0, "new");
    world.store().keeper.clean().unwrap();
    let start = world.store().log_range().0;
    assert_eq!(start.0, end.0 - end.0 % world.options.segment_bytes);
    let bodies = world.bodies("T", 0);
    assert_eq!(bodies.last().unwrap(), "new");
    assert!(bodies.len() < 1000);
    let pulled = world.pull("T", 0, 0);
    assert_eq!(pulled.status, PullStatus::OffsetTooSmall);
    assert_eq!(pulled.next_offset, pulled.min_offset);
}
