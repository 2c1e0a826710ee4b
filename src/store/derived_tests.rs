//! Queues, index and slices, against a log that is a list of records.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use super::consume_queue::{Entry, ReadError};
use super::derived::{Derived, LogExtent, SliceOptions, WriteError};
use super::dispatch::{Dispatch, Follower, key_hash};
use super::schema::slices as schema;
use super::slice_rows::{QueueKey, page_key};
use super::slices::OPEN_MAX;
use super::tables::Tables;
use crate::clock::Clock;
use crate::kv::{Batch, Database, VALUE_BYTES_MAX};
use crate::model::{PhysicalOffset, QueueId, QueueOffset, TopicConfig, TopicName};

const RECORD_BYTES: u32 = 100;
/// 300 records a slice.
const SLICE_BYTES: u64 = 30_000;
const ALWAYS: std::ops::RangeInclusive<i64> = 0..=i64::MAX;

#[derive(Clone, Debug)]
struct TestRecord {
    topic: &'static str,
    queue: u32,
    queue_offset: u64,
    physical: u64,
    key: String,
}

/// A group's folder, its log, and what is derived from it.
struct World {
    dir: tempfile::TempDir,
    clock: Clock,
    log: Vec<TestRecord>,
    log_start: u64,
    checkpoint: Option<u64>,
    tables: Arc<Tables>,
    derived: Derived,
}

fn options(dir: &Path) -> SliceOptions {
    let dir = dir.join("slices");
    SliceOptions { dir, slice_bytes: SLICE_BYTES, identity: "broker-a".to_owned() }
}

fn time_of(physical: u64) -> i64 {
    i64::try_from(physical * 10).unwrap()
}

fn with_dispatch<T>(record: &TestRecord, take: impl FnOnce(&Dispatch<'_>) -> T) -> T {
    take(&Dispatch {
        topic: record.topic,
        queue_id: QueueId(record.queue),
        queue_offset: QueueOffset(record.queue_offset),
        physical_offset: PhysicalOffset(record.physical),
        size: RECORD_BYTES,
        tags_code: i64::from(record.queue),
        store_timestamp: time_of(record.physical),
        in_queue: true,
        key_hashes: &[key_hash(record.topic, &record.key)],
        timer: None,
        light: &[],
    })
}

impl World {
    fn new() -> Self {
        let (dir, clock) = (tempfile::tempdir().unwrap(), Clock::system());
        let (tables, derived, _) = Self::open(dir.path(), &clock, 0, None);
        let log = Vec::new();
        Self { dir, clock, log, log_start: 0, checkpoint: None, tables, derived }
    }

    fn open(
        dir: &Path,
        clock: &Clock,
        log_start: u64,
        checkpoint: Option<u64>,
    ) -> (Arc<Tables>, Derived, u64) {
        let (tables, source) = Tables::open(dir, "broker-a", clock, None).unwrap();
        let tables = Arc::new(tables);
        let log = LogExtent {
            start: PhysicalOffset(log_start),
            checkpoint: checkpoint.map(PhysicalOffset),
        };
        let opened = Derived::open(options(dir), Arc::clone(&tables), source, log, clock).unwrap();
        (tables, opened.derived, opened.read_from.0)
    }

    /// Closes everything without saving, lets `damage` do what it likes, and opens again; from where the log was read.
    fn reopen(self, damage: impl FnOnce(&Path)) -> (Self, u64) {
        let Self { dir, clock, log, log_start, checkpoint, tables, derived } = self;
        drop((tables, derived));
        damage(dir.path());
        let (tables, derived, read_from) = Self::open(dir.path(), &clock, log_start, checkpoint);
        for record in log.iter().filter(|record| record.physical >= read_from) {
            with_dispatch(record, |dispatch| derived.dispatch(dispatch));
        }
        let world = Self { dir, clock, log, log_start, checkpoint, tables, derived };
        (world, read_from)
    }

    fn end(&self) -> u64 {
        self.log.last().map_or(self.log_start, |last| last.physical + u64::from(RECORD_BYTES))
    }

    fn append(&mut self, topic: &'static str, queue: u32) -> u64 {
        let physical = self.end();
        let queue_offset = self.derived.next_offset(topic, QueueId(queue)).0;
        let key = format!("k{}", self.log.len() % 50);
        let record = TestRecord { topic, queue, queue_offset, physical, key };
        with_dispatch(&record, |dispatch| self.derived.dispatch(dispatch));
        self.log.push(record);
        physical
    }

    fn append_many(&mut self, topic: &'static str, queues: u32, count: u32) {
        for index in 0..count {
            self.append(topic, index % queues);
        }
    }

    /// As the store does it: write up to the log's end, then the checkpoint.
    fn save(&mut self) {
        self.derived.write_behind(PhysicalOffset(self.end())).unwrap();
        self.checkpoint = Some(self.end());
        self.derived.tidy().unwrap();
    }

    fn rebuild_all(&self) -> u32 {
        let mut rebuilt = 0;
        while let Some(mut rebuild) = self.derived.wanted_rebuild().unwrap() {
            let (from, to) = rebuild.range();
            for record in &self.log {
                let physical = PhysicalOffset(record.physical);
                if physical >= from.max(PhysicalOffset(self.log_start)) && physical < to {
                    with_dispatch(record, |dispatch| rebuild.dispatch(dispatch)).unwrap();
                }
            }
            rebuild.finish().unwrap();
            rebuilt += 1;
            assert!(rebuilt < 100);
        }
        rebuilt
    }

    /// What each queue has, by the log alone; deleted topics' records are not asked for.
    fn expected(&self) -> BTreeMap<(&'static str, u32), BTreeMap<u64, u64>> {
        let mut queues: BTreeMap<_, BTreeMap<u64, u64>> = BTreeMap::new();
        for record in &self.log {
            let queue = queues.entry((record.topic, record.queue)).or_default();
            if record.queue_offset == 0 {
                queue.clear();
            }
            queue.insert(record.queue_offset, record.physical);
        }
        queues
    }

    fn read(
        &self,
        topic: &str,
        queue: u32,
        from: u64,
        max: usize,
    ) -> Result<Vec<Entry>, ReadError> {
        self.derived.queues().entries(topic, QueueId(queue), QueueOffset(from), max, true)
    }

    /// Every queue and every key is as the log says.
    fn check(&self) {
        for ((topic, queue), mut entries) in self.expected() {
            let next = entries.keys().next_back().unwrap() + 1;
            assert_eq!(self.derived.next_offset(topic, QueueId(queue)).0, next, "{topic} {queue}");
            entries.retain(|_, physical| *physical >= self.log_start);
            let first = entries.keys().next().copied().unwrap_or(next);
            let range = self.derived.queues().range(topic, QueueId(queue), true).unwrap();
            assert_eq!((range.0.0, range.1.0), (first, next), "{topic} {queue}");
            let found = self.read(topic, queue, first, usize::MAX >> 1).unwrap();
            let found: Vec<u64> = found.iter().map(|entry| entry.physical_offset.0).collect();
            let expected: Vec<u64> = entries.into_values().collect();
            assert_eq!(found, expected, "{topic} {queue}");
        }
        for key in ["k0", "k7", "k49", "none"] {
            for topic in ["A", "B"] {
                let same = self.log.iter().rev().filter(|r| r.topic == topic && r.key == key);
                let here = same.filter(|record| record.physical >= self.log_start);
                let expected: Vec<u64> = here.map(|record| record.physical).collect();
                let mut found = self.query(topic, key, ALWAYS);
                found.retain(|offset| *offset >= self.log_start);
                assert_eq!(found, expected, "{topic} {key}");
            }
        }
    }

    fn query(&self, topic: &str, key: &str, times: std::ops::RangeInclusive<i64>) -> Vec<u64> {
        let store_time = |offset: PhysicalOffset| Some(time_of(offset.0));
        let hash = key_hash(topic, key);
        let found = self.derived.index().query(hash, &times, 10_000, &store_time).unwrap();
        found.iter().map(|offset| offset.0).collect()
    }

    fn slice_path(&self, number: u64, extension: &str) -> std::path::PathBuf {
        self.derived.slices.path(number, extension)
    }

    /// Three sealed slices and one that is written, of two topics; saved, and not open.
    fn with_four_slices() -> Self {
        let mut world = Self::new();
        world.tables.topics.put(TopicConfig::new(TopicName::new("A"), 3));
        world.tables.topics.put(TopicConfig::new(TopicName::new("B"), 2));
        world.append_many("idle", 1, 3);
        for _ in 0..5 {
            world.append_many("A", 3, 130);
            world.append_many("B", 2, 70);
            world.save();
        }
        assert_eq!(world.derived.slices.numbers(), [0, 1, 2, 3]);
        world
    }

    fn forget_memory(&self) {
        for _ in 0..3 {
            self.derived.write_behind(PhysicalOffset(self.end())).unwrap();
        }
        self.derived.queues().forget_kept_pages();
    }
}

#[test]
fn queues_and_keys_are_read_from_memory_and_from_all_slices() {
    let mut world = World::with_four_slices();
    world.check();
    world.forget_memory();
    let entries = |world: &World, may_block| {
        world.derived.queues().entries("A", QueueId(0), QueueOffset(0), 9, may_block)
    };
    assert_eq!(entries(&world, false), Err(ReadError::WouldBlock));
    let read = entries(&world, true).unwrap();
    // What was read is kept, as long as it is the same queue.
    assert_eq!(entries(&world, false).as_ref(), Ok(&read));
    world.check();
    world.append_many("A", 3, 9);
    let newest = world.derived.queues().range("A", QueueId(0), false).unwrap().1;
    let found =
        world.derived.queues().entries("A", QueueId(0), QueueOffset(newest.0 - 1), 9, false);
    assert_eq!(found.unwrap().len(), 1);
    world.check();
}

#[test]
fn nothing_changes_by_reopening_wherever_the_checkpoint_is() {
    let mut world = World::with_four_slices();
    world.append_many("B", 2, 33);
    let (world, read_from) = world.reopen(|_| {});
    assert_eq!(read_from, world.checkpoint.unwrap());
    world.check();
    // A checkpoint that was not written although slices were: in the newest slice, and before it.
    for back in [20, 150, 400] {
        let mut world = World::with_four_slices();
        world.checkpoint = Some(world.checkpoint.unwrap() - back * u64::from(RECORD_BYTES));
        let (mut world, read_from) = world.reopen(|_| {});
        assert!(read_from <= world.checkpoint.unwrap());
        assert!(!world.derived.is_ahead_of_log());
        world.check();
        world.append_many("A", 3, 500);
        world.save();
        world.forget_memory();
        assert_eq!(world.rebuild_all(), 0);
        world.check();
    }
    let mut world = World::with_four_slices();
    world.checkpoint = None;
    let (world, read_from) = world.reopen(|_| {});
    assert_eq!(read_from, 3 * SLICE_BYTES);
    world.check();
}

#[test]
fn lost_and_damaged_databases_are_made_again_from_the_log() {
    type Damage = fn(&Path);
    let damages: [Damage; 8] = [
        |dir| fs::remove_dir_all(dir.join("slices")).unwrap(),
        |dir| fs::remove_dir_all(dir.join("slices/00000000000000090000")).unwrap(),
        |dir| fs::remove_dir_all(dir.join("slices/00000000000000030000")).unwrap(),
        |dir| fs::remove_file(dir.join("slices/00000000000000030000.begin")).unwrap(),
        |dir| fs::remove_file(dir.join("slices/00000000000000090000.begin")).unwrap(),
        |dir| fs::write(dir.join("slices/00000000000000000000/db"), b"").unwrap(),
        |dir| fs::write(dir.join("slices/00000000000000090000/opening"), b"xx").unwrap(),
        |dir| fs::remove_dir_all(dir.join("tables")).unwrap(),
    ];
    for (index, damage) in damages.into_iter().enumerate() {
        let (mut world, _) = World::with_four_slices().reopen(damage);
        // What is open now is right; what is not is said to be, and right when it is rebuilt.
        world.append_many("A", 3, 50);
        world.save();
        world.forget_memory();
        let _any = world.read("A", 0, 0, 1);
        world.rebuild_all();
        world.check();
        let (world, _) = world.reopen(|_| {});
        assert_eq!(world.rebuild_all(), 0, "damage {index}");
        world.check();
        drop(world);
    }
}

/// Flips a byte of a page of queue 0 of topic A in a slice.
fn flip_page(world: &World, number: u64, page: u64) {
    let topic_id = world.tables.topics.rows().into_iter().find(|(name, _)| name.as_str() == "A");
    let queue = QueueKey { topic_id: topic_id.unwrap().1.id, queue_id: QueueId(0) };
    flip(world, number, schema::PAGES, &page_key(queue, page));
}

fn flip(world: &World, number: u64, tree: &'static str, key: &[u8]) {
    let database = world.derived.slices.database(number).unwrap();
    let mut value = database.get(tree, key).unwrap().unwrap();
    let last = value.len() - 1;
    value[last] ^= 1;
    let mut batch = Batch::default();
    batch.insert(key, value);
    database.apply(tree, batch).unwrap();
    database.flush().unwrap();
    world.derived.queues().forget_kept_pages();
}

#[test]
fn a_flipped_byte_in_a_page_condemns_its_slice_which_is_rebuilt_while_others_are_read() {
    for (number, page) in [(0, 0), (3, 1)] {
        let mut world = World::with_four_slices();
        world.forget_memory();
        flip_page(&world, number, page);
        let held = world.derived.slices.database(number).unwrap();
        let offset = page * 128 + 30;
        let newest = number == 3;
        let offset = if newest { world.expected()[&("A", 0)].len() as u64 - 1 } else { offset };
        assert_eq!(world.read("A", 0, offset, 1), Err(ReadError::Unavailable));
        assert_eq!(world.read("A", 0, offset, 1), Err(ReadError::Unavailable));
        // Another slice is read all the while, and the log goes on.
        assert_eq!(world.read("A", 0, 100, 1).unwrap().len(), 1);
        world.append_many("A", 3, 10);
        let saved = world.derived.write_behind(PhysicalOffset(world.end()));
        assert_eq!(matches!(saved, Err(WriteError::Condemned)), newest);
        assert_eq!(world.rebuild_all(), 1);
        drop(held);
        world.check();
        world.save();
        world.forget_memory();
        world.check();
        let (world, _) = world.reopen(|_| {});
        world.check();
    }
}

#[test]
fn a_flipped_byte_in_a_run_condemns_its_slice() {
    let world = World::with_four_slices();
    let database = world.derived.slices.database(1).unwrap();
    let mut keys = Vec::new();
    let mut note = |key: &[u8], _: &[u8]| {
        keys.push(key.to_vec());
        true
    };
    database.scan(schema::RUNS, &[], &mut note).unwrap();
    drop(database);
    for key in &keys {
        flip(&world, 1, schema::RUNS, key);
    }
    let store_time = |_: PhysicalOffset| None;
    let query = |key| world.derived.index().query(key_hash("A", key), &ALWAYS, 9999, &store_time);
    assert_eq!(query("k7"), Err(ReadError::Unavailable));
    assert_eq!(world.rebuild_all(), 1);
    world.check();
}

#[test]
fn a_topic_that_was_deleted_and_made_again_has_its_own_records_only() {
    let mut world = World::with_four_slices();
    // Pages of the old topic are kept.
    world.check();
    let end = PhysicalOffset(world.end());
    world.tables.consumer_offsets.commit("A", "G", QueueId(0), 99);
    assert!(world.derived.remove_topic("A", end));
    assert_eq!(world.tables.consumer_offsets.query("A", "G", QueueId(0)), None);
    assert_eq!(world.derived.next_offset("A", QueueId(0)), QueueOffset(0));
    world.tables.topics.put(TopicConfig::new(TopicName::new("A"), 1));
    world.append_many("A", 1, 400);
    let entries = world.expected()[&("A", 0)].clone();
    assert_eq!(entries.len(), 400);
    world.save();
    world.forget_memory();
    // The other queues of the old topic are gone, here and after every kind of rebuild.
    let check = |world: &World| {
        assert_eq!(world.derived.queues().queue_ids("A"), [QueueId(0)]);
        assert_eq!(world.derived.next_offset("A", QueueId(1)), QueueOffset(0));
        let found = world.read("A", 0, 0, 1000).unwrap();
        let found: Vec<u64> = found.iter().map(|entry| entry.physical_offset.0).collect();
        assert_eq!(found, entries.values().copied().collect::<Vec<_>>());
    };
    check(&world);
    flip_page(&world, 4, 2);
    let _any = world.read("A", 0, 300, 100);
    assert_eq!(world.rebuild_all(), 1);
    check(&world);
    let (world, _) = world.reopen(|dir| fs::remove_dir_all(dir.join("slices")).unwrap());
    check(&world);
}

#[test]
fn queue_offset_0_further_on_begins_a_queue_anew_even_if_the_deletion_is_not_known() {
    let mut world = World::with_four_slices();
    let mut physical = world.end();
    for queue_offset in 0..700 {
        let key = "x".to_owned();
        let record = TestRecord { topic: "A", queue: 1, queue_offset, physical, key };
        with_dispatch(&record, |dispatch| world.derived.dispatch(dispatch));
        world.log.push(record);
        physical += u64::from(RECORD_BYTES);
    }
    world.check();
    world.save();
    world.forget_memory();
    world.check();
    let (world, _) = world.reopen(|_| {});
    world.check();
    let (world, _) = world.reopen(|dir| fs::remove_dir_all(dir.join("slices")).unwrap());
    world.check();
}

#[test]
fn a_topic_whose_row_was_lost_is_made_again_from_its_records() {
    let (world, _) = World::with_four_slices().reopen(|dir| {
        fs::remove_dir_all(dir.join("tables")).unwrap();
        fs::remove_dir_all(dir.join("export")).unwrap();
        fs::remove_dir_all(dir.join("slices")).unwrap();
    });
    assert_eq!(world.tables.topics.get("A").unwrap().write_queues, 3);
    assert_eq!(world.tables.topics.get("B").unwrap().read_queues, 2);
    world.check();
}

#[test]
fn a_lost_tables_database_keeps_the_ids_of_the_begin_files() {
    let world = World::with_four_slices();
    let mut before: BTreeMap<_, _> = world.tables.topics.rows().into_iter().collect();
    let (world, read_from) = world.reopen(|dir| fs::remove_dir_all(dir.join("tables")).unwrap());
    assert_eq!(read_from, 3 * SLICE_BYTES);
    for (name, row) in world.tables.topics.rows() {
        assert_eq!(before.remove(&name).map(|row| row.id), Some(row.id), "{name}");
    }
    world.check();
}

#[test]
fn expired_slices_leave_when_their_last_reader_does_and_first_offsets_rise_st035() {
    let mut world = World::with_four_slices();
    world.forget_memory();
    let held = world.derived.slices.database(0).unwrap();
    // In the middle of slice 1.
    world.log_start = SLICE_BYTES + 10_000;
    world.derived.expire_below(PhysicalOffset(world.log_start));
    world.save();
    world.check();
    assert_eq!(world.derived.queues().range("idle", QueueId(0), true).unwrap().0.0, 3);
    assert!(world.slice_path(0, "").exists());
    drop(held);
    world.save();
    for extension in ["", "begin", "keys"] {
        assert!(!world.slice_path(0, extension).exists(), "{extension}");
    }
    // A slice whose beginning has expired is rebuilt without it.
    flip_page(&world, 1, world.expected()[&("A", 0)].len() as u64 / 128 / 2);
    let (mut world, _) = world.reopen(|dir| {
        fs::remove_dir_all(dir.join("slices/00000000000000030000")).unwrap();
    });
    let _any = world.read("A", 0, 0, 1);
    world.rebuild_all();
    world.check();
    // Everything but the newest record.
    world.log_start = world.end() - u64::from(RECORD_BYTES);
    world.derived.expire_below(PhysicalOffset(world.log_start));
    world.save();
    world.check();
}

#[test]
fn the_newest_slice_stays_when_the_log_begins_where_it_ends() {
    for is_restarted in [false, true] {
        let mut world = World::new();
        world.tables.topics.put(TopicConfig::new(TopicName::new("A"), 1));
        let count = u32::try_from(SLICE_BYTES).unwrap() / RECORD_BYTES;
        world.append_many("A", 1, count);
        world.save();
        world.log_start = world.end();
        assert_eq!(world.log_start, SLICE_BYTES);
        world.derived.expire_below(PhysicalOffset(world.log_start));
        if is_restarted {
            (world, _) = world.reopen(|_| {});
        }
        assert_eq!(world.derived.next_offset("A", QueueId(0)).0, u64::from(count));
        world.append("A", 0);
        world.save();
        world.check();
    }
}

#[test]
fn a_log_that_was_cut_is_derived_again_from_the_start_of_the_slice() {
    let world = World::with_four_slices();
    let cut = 2 * SLICE_BYTES + 5_000;
    let World { dir, clock, mut log, log_start, tables, derived, .. } = world;
    drop((tables, derived));
    let from = Derived::delete_from(&options(dir.path()), PhysicalOffset(cut), &clock).unwrap();
    assert_eq!(from.0, 2 * SLICE_BYTES);
    log.retain(|record| record.physical < cut);
    let checkpoint = Some(from.0);
    let (tables, derived, read_from) = World::open(dir.path(), &clock, log_start, checkpoint);
    assert_eq!(read_from, from.0);
    for record in log.iter().filter(|record| record.physical >= read_from) {
        with_dispatch(record, |dispatch| derived.dispatch(dispatch));
    }
    assert!(!derived.is_ahead_of_log());
    let mut world = World { dir, clock, log, log_start, checkpoint, tables, derived };
    world.check();
    world.append_many("B", 2, 400);
    world.save();
    world.check();
}

#[test]
fn a_log_that_lost_saved_records_is_noticed() {
    let mut world = World::with_four_slices();
    world.checkpoint = Some(world.end() - 20 * u64::from(RECORD_BYTES));
    let lost = world.log.len() - 10;
    world.log.truncate(lost);
    let (world, _) = world.reopen(|_| {});
    assert!(world.derived.is_ahead_of_log());
}

#[test]
fn few_sealed_slices_are_open_and_none_when_idle() {
    let mut world = World::with_four_slices();
    world.append_many("A", 3, 2400);
    world.save();
    world.forget_memory();
    world.check();
    assert!(world.derived.slices.numbers().len() > OPEN_MAX + 1);
    let open = |world: &World| {
        let numbers = world.derived.slices.numbers();
        numbers.iter().filter(|number| world.derived.slices.is_open(**number)).count()
    };
    // The newest one too.
    assert!(open(&world) <= OPEN_MAX + 1, "{} open", open(&world));
    world.clock.advance(Duration::from_secs(31));
    world.save();
    assert_eq!(open(&world), 1);
    world.check();
}

#[test]
fn no_value_exceeds_4_kib_and_the_begin_files_are_small() {
    let mut world = World::with_four_slices();
    world.append_many("A", 1, 290);
    world.save();
    for number in world.derived.slices.numbers() {
        let database = world.derived.slices.database(number).unwrap();
        for tree in [schema::PAGES, schema::RUNS, schema::TAILS, schema::META] {
            let mut check = |_: &[u8], value: &[u8]| {
                assert!(value.len() <= VALUE_BYTES_MAX);
                true
            };
            database.scan(tree, &[], &mut check).unwrap();
        }
        assert!(fs::metadata(world.slice_path(number, "begin")).unwrap().len() < 1000);
    }
}

#[test]
fn a_time_is_narrowed_to_few_entries_around_it_b306() {
    let mut world = World::new();
    world.tables.topics.put(TopicConfig::new(TopicName::new("A"), 2));
    world.append_many("A", 2, 2000);
    world.save();
    world.append_many("A", 2, 300);
    let check = |world: &World| {
        let entries: Vec<(u64, u64)> = world.expected()[&("A", 1)].clone().into_iter().collect();
        for step in 0..240 {
            let time =
                time_of(u64::from(RECORD_BYTES) * 10 * step) + i64::try_from(step % 3).unwrap() - 1;
            let range = world.derived.queues().range_around("A", QueueId(1), time, true).unwrap();
            let (from, to) = (range.0.0, range.1.0);
            assert!(to - from <= 2 * 128 + 2, "{from} to {to}");
            for (offset, physical) in &entries {
                let entry_time = time_of(*physical);
                if *offset < from {
                    assert!(entry_time < time, "{offset} is before {from}");
                } else if *offset >= to {
                    assert!(entry_time > time, "{offset} is behind {to}");
                }
            }
            // The neighbours on both sides are in the range.
            let older = entries.iter().rev().find(|(_, physical)| time_of(*physical) <= time);
            let newer = entries.iter().find(|(_, physical)| time_of(*physical) >= time);
            for (offset, _) in older.into_iter().chain(newer) {
                assert!((from..to).contains(offset), "{offset} not in {from} to {to}, time {time}");
            }
        }
    };
    check(&world);
    world.save();
    world.forget_memory();
    check(&world);
}

#[test]
fn queries_keep_to_their_times() {
    let world = World::with_four_slices();
    world.forget_memory();
    let all = world.query("A", "k3", ALWAYS);
    assert!(all.len() > 5);
    // Times are compared by the second: ten records each here.
    for middle in [all[2], all[all.len() / 2]] {
        let second = time_of(middle) / 1000;
        let found = world.query("A", "k3", second * 1000..=second * 1000);
        let expected: Vec<u64> =
            all.iter().copied().filter(|offset| time_of(*offset) / 1000 == second).collect();
        assert_eq!(found, expected);
    }
    let late = time_of(world.end()) + 2000;
    assert!(world.query("A", "k3", late..=late + 5000).is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]
    /// Appends, savings, crashes and expiry in any order.
    #[test]
    fn queues_and_keys_are_always_as_the_log_says(steps in prop::collection::vec((0u8..6, 1u32..200), 5..25)) {
        let mut world = World::new();
        world.tables.topics.put(TopicConfig::new(TopicName::new("A"), 3));
        world.tables.topics.put(TopicConfig::new(TopicName::new("B"), 3));
        for (step, size) in steps {
            match step {
                0 => world.append_many("A", size % 3 + 1, size),
                1 => world.append_many("B", size % 2 + 1, size),
                2 => world.save(),
                3 => {
                    // Saved, but the checkpoint is not written.
                    let end = PhysicalOffset(world.end());
                    world.derived.write_behind(end).unwrap();
                }
                4 => world = world.reopen(|_| {}).0,
                _ => {
                    // Never above what was saved.
                    let saved = world.checkpoint.unwrap_or(0);
                    let start = (world.log_start + u64::from(size * RECORD_BYTES)).min(saved);
                    world.log_start = start.max(world.log_start);
                    world.derived.expire_below(PhysicalOffset(world.log_start));
                }
            }
        }
        prop_assert_eq!(world.rebuild_all(), 0);
        world.check();
    }
}

#[test]
fn an_unknown_queue_is_empty_s20() {
    let world = World::new();
    let range = world.derived.queues().range("none", QueueId(0), false).unwrap();
    assert_eq!((range.0.0, range.1.0), (0, 0));
    assert!(world.read("none", 0, 0, 9).unwrap().is_empty());
    assert_eq!(world.tables.topics.get("none"), None);
}
