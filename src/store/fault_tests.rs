//! What the store holds to under faults, as a whole: whatever happens, what was acknowledged is there once, at the
//! offset that its sender was told, in a queue without gaps, and found by its key; positions are within their queues.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use proptest::prelude::*;

use super::StoreOptions;
use super::checkpoint::{Checkpoint, CheckpointFile};
use super::disk::SystemDisk;
use super::fault_disk::{FaultDisk, Views, copy_all};
use super::options::FlushMode;
use super::recovery::slice_options;
use super::schema::slices as schema;
use super::slices::Slices;
use super::store_tests::{World, message};
use crate::kv::Database;
use crate::message::Record;
use crate::model::{QueueId, TopicConfig, TopicName};

/// Small enough that few messages fill them.
pub(super) fn small(options: &mut StoreOptions) {
    options.segment_bytes = 8 << 10;
    options.slice_bytes = 24 << 10;
    options.allocate_ahead_bytes = 2 << 10;
    options.max_message_bytes = 4 << 10;
}

pub(super) fn small_sync(options: &mut StoreOptions) {
    small(options);
    options.flush = FlushMode::Sync;
}

/// What a client knows.
#[derive(Clone, Debug)]
pub(super) enum Event {
    Acknowledged { topic: &'static str, queue: u32, offset: u64, physical: u64, body: String },
    Deleted(&'static str),
}

/// A client of a store on a disk with faults.
pub(super) struct Client {
    pub(super) world: World,
    pub(super) disk: Arc<FaultDisk>,
    pub(super) events: Vec<Event>,
    sent: usize,
}

impl Client {
    pub(super) fn new(views: Views, change: fn(&mut StoreOptions)) -> Self {
        let mut client = Self::closed(views, change);
        client.world.open().unwrap();
        client
    }

    /// The store is not opened yet.
    pub(super) fn closed(views: Views, change: fn(&mut StoreOptions)) -> Self {
        let mut world = World::closed(change);
        std::fs::create_dir_all(world.group_dir()).unwrap();
        let disk = FaultDisk::new(world.group_dir(), views);
        world.disk = Arc::clone(&disk) as Arc<_>;
        Self { world, disk, events: Vec::new(), sent: 0 }
    }

    /// Sends messages to a queue, as one batch; whether they were acknowledged.
    pub(super) fn send(
        &mut self,
        topic: &'static str,
        queue: u32,
        count: usize,
        bytes: usize,
    ) -> bool {
        let bodies: Vec<String> = (0..count)
            .map(|index| format!("{:05}{}", self.sent + index, "x".repeat(bytes)))
            .collect();
        self.sent += count;
        let messages: Vec<_> = bodies.iter().map(|body| message(topic, queue, body)).collect();
        let Ok((appended, _)) = self.world.try_append(&messages) else { return false };
        for (place, body) in appended.iter().zip(bodies) {
            let (offset, physical) = (place.queue_offset.0, place.physical_offset.0);
            self.events.push(Event::Acknowledged { topic, queue, offset, physical, body });
        }
        self.disk.mark(self.events.len());
        true
    }

    pub(super) fn delete(&mut self, topic: &'static str) {
        // Known from now on, done or not.
        self.events.push(Event::Deleted(topic));
        self.disk.mark(self.events.len());
        self.world.store().remove_topic(topic);
    }

    /// Commits an offset, or the queue's end if that is before.
    pub(super) fn commit(&self, topic: &str, queue: u32, offset: i64) {
        let end = self.world.store().max_offset(topic, QueueId(queue)).to_wire();
        let offset = offset.min(end);
        self.world.store().tables().consumer_offsets.commit(topic, "G", QueueId(queue), offset);
    }

    pub(super) fn save(&self) -> bool {
        self.world.store().saver.save().is_ok()
    }

    /// A life with everything: several queues, batches, a topic deleted and made again, segments and slices that end.
    pub(super) fn live(&mut self) {
        for queue in [0, 1, 0] {
            self.send("T", queue, 1, 100);
        }
        self.send("T", 1, 3, 50);
        self.commit("T", 1, 2);
        self.save();
        self.world.store().tables().topics.put(TopicConfig::new(TopicName::new("D"), 1));
        self.send("D", 0, 2, 100);
        self.commit("D", 0, 2);
        self.save();
        self.send("T", 0, 1, 10);
        self.delete("D");
        self.send("D", 0, 1, 100);
        self.send("T", 1, 1, 10);
        self.save();
        for _ in 0..4 {
            self.send("T", 0, 1, 3000);
        }
        self.commit("T", 0, 6);
        self.save();
        for _ in 0..8 {
            self.send("T", 1, 1, 3000);
        }
        self.send("T", 0, 1, 10);
        self.save();
        self.send("T", 0, 1, 10);
    }
}

/// All messages of a queue with their offsets; fails if there is a gap.
pub(super) fn messages(world: &World, topic: &str, queue: u32) -> Vec<(u64, String)> {
    let max = world.store().max_offset(topic, QueueId(queue)).0;
    let mut found = Vec::new();
    let mut offset = world.pull(topic, queue, 0).min_offset.to_wire();
    loop {
        let pulled = world.pull(topic, queue, offset);
        let mut rest = pulled.body.as_ref();
        for _ in 0..pulled.count {
            let record = Record::parse(rest).unwrap();
            assert_eq!(record.topic(), topic);
            found.push((
                record.queue_offset().0,
                String::from_utf8(record.body().to_vec()).unwrap(),
            ));
            rest = &rest[record.bytes().len()..];
        }
        if pulled.next_offset.to_wire() <= offset {
            break;
        }
        offset = pulled.next_offset.to_wire();
    }
    let first = found.first().map_or(max, |(offset, _)| *offset);
    let offsets: Vec<u64> = found.iter().map(|(offset, _)| *offset).collect();
    assert_eq!(offsets, (first..max).collect::<Vec<_>>(), "{topic}-{queue} has no gap");
    let bodies: BTreeSet<&String> = found.iter().map(|(_, body)| body).collect();
    assert_eq!(bodies.len(), found.len(), "{topic}-{queue} has nothing twice");
    found
}

/// What a queue should have, for each life of its topic.
type Lives = Vec<Vec<(u64, String)>>;

fn lives(events: &[Event]) -> BTreeMap<(&'static str, u32), Lives> {
    let mut all: BTreeMap<(&'static str, u32), Lives> = BTreeMap::new();
    for event in events {
        match event {
            Event::Acknowledged { topic, queue, offset, body, .. } => {
                let lives = all.entry((topic, *queue)).or_insert_with(|| vec![Vec::new()]);
                let went_on = |life: &Vec<(u64, String)>| {
                    life.last().is_some_and(|(last, _)| last + 1 == *offset)
                };
                // A process that is killed a moment after deletions may come back with the topic, which then goes on.
                if let Some(newest) = lives.iter().rposition(|life| !life.is_empty())
                    && went_on(&lives[newest])
                {
                    lives.truncate(newest + 1);
                }
                lives.last_mut().unwrap().push((*offset, body.clone()));
            }
            Event::Deleted(topic) => {
                for (_, lives) in all.iter_mut().filter(|((of, _), _)| of == topic) {
                    lives.push(Vec::new());
                }
            }
        }
    }
    all
}

/// How much must be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expected {
    /// All that was acknowledged.
    All,
    /// All up to some place in the log.
    Prefix,
}

/// Checks all that a client may rely on; what was on its way when the fault came may be there behind the rest.
pub(super) fn check(world: &World, events: &[Event], expected: Expected) {
    for ((topic, queue), lives) in lives(events) {
        let found = messages(world, topic, queue);
        let begins_with = |life: &[(u64, String)]| found.get(..life.len()) == Some(life);
        let is_of = |life: &Vec<(u64, String)>| match expected {
            Expected::All => begins_with(life),
            Expected::Prefix => begins_with(&life[..life.len().min(found.len())]),
        };
        let newest = lives.iter().rposition(|life| !life.is_empty()).unwrap();
        let is_good = match expected {
            // A deletion is saved a moment after it was asked for.
            Expected::All => lives[newest..].iter().any(is_of),
            Expected::Prefix => lives.iter().any(is_of),
        };
        assert!(is_good, "{topic}-{queue} has {found:?}, should have {lives:?}");
        for (_, body) in &found {
            let key = format!("key-{}", &body[..body.len().min(20)]);
            let records = world.store().query(topic, &key, 99, 0..=i64::MAX).unwrap().records;
            let same = records
                .iter()
                .filter(|record| Record::parse(record).unwrap().body() == body.as_bytes());
            assert_eq!(same.count(), 1, "{topic}-{queue} {key}");
        }
    }
    if expected == Expected::Prefix {
        check_prefix(world, events);
    }
    for ((topic, _), offsets) in world.store().tables().consumer_offsets.snapshot() {
        for (queue, offset) in offsets {
            let max = world.store().max_offset(topic.as_str(), queue).to_wire();
            assert!(offset <= max, "{topic}-{queue}: {offset} is beyond {max}");
        }
    }
}

/// Nothing is there behind something in the log that is not.
fn check_prefix(world: &World, events: &[Event]) {
    let end = world.store().log_range().1;
    for event in events {
        if let Event::Acknowledged { physical, body, .. } = event {
            let record = world.store().record_at(crate::model::PhysicalOffset(*physical)).unwrap();
            let is_there = record
                .is_some_and(|record| Record::parse(&record).unwrap().body() == body.as_bytes());
            assert_eq!(is_there, *physical < end.0, "{physical} of {end}");
        }
    }
}

/// As if the machine had been started since the checkpoint was written.
pub(super) fn start_machine_again(world: &World) {
    let path = world.group_dir().join("checkpoint");
    let (mut file, checkpoint) = CheckpointFile::open(&path).unwrap();
    file.write(&SystemDisk, &Checkpoint { boot_id: 1, ..checkpoint.unwrap() }).unwrap();
}

/// Before anything repairs it: the checkpoint is not above what the slices and the log have. The machine is started
/// again after a power cut.
fn check_checkpoint(world: &World, views: Views) -> u64 {
    let path = world.group_dir().join("checkpoint");
    if !path.exists() {
        return 0;
    }
    let Some(checkpoint) = CheckpointFile::open(&path).unwrap().1 else { return 0 };
    if views != Views::Killed {
        start_machine_again(world);
    }
    let slices = Slices::open(slice_options(&world.options), &world.clock).unwrap();
    let newest = slices.numbers().into_iter().rev().find(|number| {
        slices.start_of(*number) <= checkpoint.offset && slices.begin(*number).is_ok()
    });
    if let Some(number) = newest {
        let database = slices.database(number).unwrap();
        // Without a mark it is being made again.
        let Some(mark) = database.get(schema::META, schema::WRITTEN_TO).unwrap() else {
            return checkpoint.flushed_to;
        };
        let written_to = u64::from_be_bytes(mark.try_into().unwrap());
        assert!(written_to >= checkpoint.offset, "{written_to} {checkpoint:?}");
    }
    checkpoint.flushed_to
}

/// Opens a copy of a store as it was at some step, checks it, goes on with it, and checks it again.
fn check_copy(
    dir: &Path,
    views: Views,
    change: fn(&mut StoreOptions),
    events: &[Event],
    expected: Expected,
) {
    let mut world = World::closed(change);
    world.options.dir = dir.to_owned();
    world.disk = Arc::new(SystemDisk);
    let flushed_to = check_checkpoint(&world, views);
    world.open().unwrap();
    assert!(world.store().log_range().1.0 >= flushed_to, "below {flushed_to}");
    check(&world, events, expected);
    let mut queues: BTreeSet<_> = lives(events).into_keys().collect();
    queues.insert(("new", 0));
    let before: Vec<_> =
        queues.iter().map(|(topic, queue)| messages(&world, topic, *queue)).collect();
    for round in 0..2 {
        for ((topic, queue), before) in queues.iter().zip(&before) {
            let next = world.store().max_offset(topic, QueueId(*queue));
            let appended = world.append(topic, *queue, &format!("after-{round}"));
            assert_eq!(appended.queue_offset, next);
            let now = messages(&world, topic, *queue);
            assert_eq!(now[..before.len()], before[..], "{topic}-{queue}");
            assert_eq!(now.len(), before.len() + round + 1);
        }
        if round == 0 {
            world.store().saver.save().unwrap();
            world.reopen();
        }
    }
}

/// Lives a life and checks the store as it was at each step.
fn check_all_copies(views: Views, change: fn(&mut StoreOptions), expected: Expected) {
    let mut client = Client::new(views, change);
    client.live();
    assert!(client.disk.steps() > 80, "{}", client.disk.steps());
    check_all_copies_of(&client.disk, &client.events, views, change, expected);
}

/// Checks the store as it was at each step.
pub(super) fn check_all_copies_of(
    disk: &FaultDisk,
    events: &[Event],
    views: Views,
    change: fn(&mut StoreOptions),
    expected: Expected,
) {
    let copies = disk.take_copies();
    assert!(copies.len() > 5, "{}", copies.len());
    for copy in copies {
        let checked = std::panic::catch_unwind(|| {
            check_copy(&copy.dir, views, change, &events[..copy.mark], expected);
        });
        assert!(checked.is_ok(), "{}", copy.step);
        std::fs::remove_dir_all(&copy.dir).unwrap();
    }
}

#[test]
fn a_process_killed_at_any_step_loses_nothing() {
    check_all_copies(Views::Killed, small, Expected::All);
}

#[test]
fn a_power_cut_at_any_step_takes_nothing_that_was_acknowledged_with_sync_flush() {
    check_all_copies(Views::PowerCut, small_sync, Expected::All);
}

#[test]
fn a_power_cut_at_any_step_leaves_a_prefix_of_the_log_with_async_flush() {
    check_all_copies(Views::PowerCut, small, Expected::Prefix);
}

#[test]
fn a_power_cut_that_leaves_a_hole_in_the_log_leaves_a_prefix_too() {
    check_all_copies(Views::Scrambled, small, Expected::Prefix);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, ..ProptestConfig::default() })]
    /// Any life, broken off at any of its steps.
    #[test]
    fn any_life_may_be_broken_off_anywhere(
        steps in prop::collection::vec((0u8..10, 0u32..3, 1usize..4, 1usize..2000), 4..20),
        picked in prop::collection::vec(any::<prop::sample::Index>(), 3),
        view in 0usize..4,
    ) {
        let (views, change, expected) = [
            (Views::Killed, small as fn(&mut StoreOptions), Expected::All),
            (Views::PowerCut, small_sync, Expected::All),
            (Views::PowerCut, small, Expected::Prefix),
            (Views::Scrambled, small, Expected::Prefix),
        ][view];
        let mut client = Client::new(views, change);
        for (step, queue, count, bytes) in &steps {
            match step {
                0 => client.delete("D"),
                1 => {
                    client.save();
                }
                2 => client.commit("T", *queue, 3),
                3 => client.world.reopen(),
                4 | 5 => {
                    client.send("D", 0, *count, *bytes / 4);
                }
                _ => {
                    client.send("T", *queue, *count, *bytes);
                }
            }
        }
        client.save();
        let copies = client.disk.take_copies();
        for index in picked {
            let copy = index.get(&copies);
            let again = copy.dir.with_file_name(format!("again-{}", client.sent));
            let _none = std::fs::remove_dir_all(&again);
            copy_all(&copy.dir, &again.join("broker-a"));
            client.sent += 1;
            let events = &client.events[..copy.mark];
            check_copy(&again.join("broker-a"), views, change, events, expected);
        }
    }
}
