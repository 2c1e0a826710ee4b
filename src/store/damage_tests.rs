//! Damaged files, full disks and failed flushes, for the whole store.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use super::consume_queue::ReadError;
use super::fault_disk::{Fault, FaultDisk, Views};
use super::fault_tests::{
    Client, Expected, check, check_all_copies_of, messages, small, small_sync,
};
use super::recovery::slice_options;
use super::schema::slices as schema;
use super::slices::Slices;
use super::store_tests::{BODY_AT, World, deleting_at, message};
use super::{AppendError, PullStatus};
use crate::clock::Clock;
use crate::kv::{Batch, Database};
use crate::model::{PhysicalOffset, QueueId, QueueOffset, TopicConfig, TopicName};

/// Waits for something that another thread does.
fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let clock = Clock::system();
    let end = clock.monotonic() + Duration::from_secs(20);
    while !is_so() {
        assert!(clock.monotonic() < end, "{what}");
        thread::yield_now();
    }
}

/// Waits until all condemned slices are made again.
fn rebuilt(world: &World) {
    let store = world.store();
    wait_until("all slices are made again", || {
        if let Some(keeper) = store.keeper.thread.get() {
            keeper.unpark();
        }
        store.derived.slices.condemned().is_empty()
    });
}

/// Reads everything: some damage is only found then, and the reader is told to come again.
fn found_damage(world: &World) {
    for queue in [QueueId(0), QueueId(1)] {
        for offset in 0..world.store().max_offset("T", queue).0 {
            let queues = world.store().derived.queues();
            let _found = queues.entries("T", queue, QueueOffset(offset), 1, true);
        }
    }
    let _found = world.store().query("T", "key-none", 9, 0..=i64::MAX);
}

/// A store that had a life and was stopped.
fn stopped() -> Client {
    let mut client = Client::new(Views::None, small);
    client.live();
    assert!(client.world.store().stop());
    client.world.kill();
    client
}

/// Opens a store whose databases may make sled panic, which ends the process: systemd starts it again.
fn open_at_last(world: &mut World) {
    for _ in 0..4 {
        if let Ok(opened) = catch_unwind(AssertUnwindSafe(|| world.open())) {
            return opened.unwrap();
        }
    }
    panic!("it cannot be opened");
}

/// Damages a stopped store, and checks that all is there when it runs again.
fn survives(what: &str, damage: impl FnOnce(&Path)) {
    let mut client = stopped();
    damage(client.world.group_dir());
    open_at_last(&mut client.world);
    found_damage(&client.world);
    rebuilt(&client.world);
    let checked = catch_unwind(AssertUnwindSafe(|| {
        check(&client.world, &client.events, Expected::All);
        let positions = &client.world.store().tables().consumer_offsets;
        assert_eq!(positions.query("T", "G", QueueId(0)), Some(6));
        assert_eq!(client.world.append("T", 1, "more").queue_offset, QueueOffset(13));
    }));
    assert!(checked.is_ok(), "{what}");
}

fn slice_dirs(group: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(group.join("slices")).unwrap().map(|entry| entry.unwrap().path());
    let mut dirs: Vec<PathBuf> = entries.filter(|path| path.join("db").is_file()).collect();
    dirs.sort();
    assert!(dirs.len() >= 2, "{dirs:?}");
    dirs
}

fn oldest_slice(group: &Path) -> PathBuf {
    slice_dirs(group)[0].clone()
}

fn newest_slice(group: &Path) -> PathBuf {
    slice_dirs(group).pop().unwrap()
}

fn tables(group: &Path) -> PathBuf {
    group.join("tables")
}

const DATABASES: [fn(&Path) -> PathBuf; 3] = [oldest_slice, newest_slice, tables];

fn flip(path: &Path, at: u64) {
    let file = OpenOptions::new().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[!byte[0]], at).unwrap();
}

#[test]
fn databases_that_are_lost_or_half_lost_are_made_again() {
    for database in DATABASES {
        survives("a deleted database", |group| fs::remove_dir_all(database(group)).unwrap());
        survives("a half-deleted one", |group| {
            fs::remove_file(database(group).join("db")).unwrap()
        });
        survives("no configuration", |group| {
            fs::remove_file(database(group).join("conf")).unwrap()
        });
        survives("a torn snapshot", |group| {
            fs::write(database(group).join("snap.0000000000000FFF.generating"), "torn").unwrap();
        });
        survives("one that panics when opened", |group| {
            fs::write(database(group).join("opening"), "xx").unwrap();
        });
        survives("an empty file", |group| {
            let path = database(group).join("db");
            OpenOptions::new().write(true).open(path).unwrap().set_len(0).unwrap();
        });
    }
}

#[test]
fn lost_files_beside_the_databases_are_made_again() {
    survives("all of slices/", |group| fs::remove_dir_all(group.join("slices")).unwrap());
    survives("the checkpoint", |group| fs::remove_file(group.join("checkpoint")).unwrap());
    survives("the export", |group| fs::remove_dir_all(group.join("export")).unwrap());
    for slice in [oldest_slice, newest_slice] {
        survives("a begin file", |group| {
            fs::remove_file(slice(group).with_extension("begin")).unwrap();
        });
        survives("a damaged begin file", |group| flip(&slice(group).with_extension("begin"), 20));
    }
    survives("all begin files but the newest", |group| {
        let mut slices = slice_dirs(group);
        assert!(slices.len() > 2);
        let newest = slices.pop().unwrap();
        assert!(newest.with_extension("begin").exists());
        for slice in slices {
            flip(&slice.with_extension("begin"), 20);
        }
    });
    survives("slices and checkpoint", |group| {
        fs::remove_dir_all(group.join("slices")).unwrap();
        fs::remove_file(group.join("checkpoint")).unwrap();
    });
    survives("tables and slices", |group| {
        fs::remove_dir_all(group.join("slices")).unwrap();
        fs::remove_dir_all(tables(group)).unwrap();
    });
}

#[test]
fn a_flipped_byte_anywhere_in_a_database_costs_nothing() {
    for (index, database) in DATABASES.into_iter().enumerate() {
        for part in 0..6 {
            survives(&format!("a flipped byte in part {part} of database {index}"), |group| {
                let path = database(group).join("db");
                let bytes = fs::read(&path).unwrap();
                let used = bytes.iter().rposition(|byte| *byte != 0).unwrap();
                flip(&path, (used * part / 6 + part * 7) as u64);
            });
        }
    }
}

#[test]
fn damaged_rows_of_the_newest_slice_do_not_keep_the_store_from_opening() {
    for tree in [schema::TAILS, schema::RUNS, schema::PAGES] {
        let mut client = stopped();
        let slices =
            Slices::open(slice_options(&client.world.options), &client.world.clock).unwrap();
        let database = slices.database(*slices.numbers().last().unwrap()).unwrap();
        let mut damaged = Batch::default();
        database
            .scan(tree, &[], &mut |key, value| {
                damaged.insert(key, vec![!value[0]; value.len()]);
                true
            })
            .unwrap();
        assert!(!damaged.is_empty());
        database.apply(tree, damaged).unwrap();
        database.flush().unwrap();
        drop((database, slices));
        client.world.open().unwrap();
        found_damage(&client.world);
        rebuilt(&client.world);
        check(&client.world, &client.events, Expected::All);
    }
}

#[test]
fn a_log_that_lost_its_end_goes_on_there() {
    let mut client = Client::new(Views::None, small);
    client.live();
    client.commit("T", 1, 13);
    client.world.store().stop();
    client.world.kill();
    let log = client.world.group_dir().join("commitlog");
    let mut segments: Vec<_> = fs::read_dir(log).unwrap().map(|e| e.unwrap().path()).collect();
    segments.sort();
    for segment in &segments[segments.len() - 3..] {
        fs::remove_file(segment).unwrap();
    }
    client.world.open().unwrap();
    check(&client.world, &client.events, Expected::Prefix);
    let before = messages(&client.world, "T", 1);
    assert!(!before.is_empty());
    let next = client.world.append("T", 1, "next");
    assert_eq!(next.queue_offset, QueueOffset(before.len() as u64));
    client.world.reopen();
    assert_eq!(messages(&client.world, "T", 1).len(), before.len() + 1);
    let positions = &client.world.store().tables().consumer_offsets;
    let position = positions.query("T", "G", QueueId(1));
    assert_eq!(position, Some(next.queue_offset.to_wire()), "what is new is not jumped over");
}

#[test]
fn what_a_failed_write_left_does_not_come_back_to_life() {
    let mut client = Client::new(Views::None, small);
    assert!(client.send("T", 0, 1, 10));
    // The allocating thread is not to meet the fault.
    wait_until("allocated", || client.world.store().log.is_allocated());
    client.disk.set_fault(Some(Fault::Full(client.disk.steps() + 1)));
    assert!(!client.send("T", 0, 6, 700), "halfway the disk is full");
    client.disk.set_fault(None);
    wait_until("there is space again", || !client.world.store().is_read_only());
    for _ in 0..3 {
        assert!(client.send("T", 0, 1, 10));
    }
    client.world.reopen();
    check(&client.world, &client.events, Expected::All);
    assert_eq!(messages(&client.world, "T", 0).len(), 4);
}

#[test]
fn the_positions_of_a_deleted_topic_do_not_wait_for_its_successor() {
    let mut client = Client::new(Views::None, small);
    client.world.store().tables().topics.put(TopicConfig::new(TopicName::new("D"), 1));
    client.send("D", 0, 5, 10);
    client.commit("D", 0, 5);
    assert!(client.save());
    client.delete("D");
    client.send("D", 0, 9, 10);
    // As the saving thread does when it is told of the deletion.
    client.world.store().tables().save_configs().unwrap();
    client.world.reopen();
    let positions = &client.world.store().tables().consumer_offsets;
    assert_eq!(positions.query("D", "G", QueueId(0)), None, "5 is a place in the deleted topic");
    assert_eq!(messages(&client.world, "D", 0).len(), 9);
    client.world.kill();
    fs::remove_dir_all(tables(client.world.group_dir())).unwrap();
    client.world.open().unwrap();
    let positions = &client.world.store().tables().consumer_offsets;
    assert_eq!(positions.query("D", "G", QueueId(0)), None, "nor in the mirror");
}

#[test]
fn a_topics_floor_beyond_a_lost_tail_does_not_hide_its_successor() {
    let mut client = Client::new(Views::PowerCut, |options| {
        small(options);
        // Flushed only by saving.
        options.flush_interval_ms = 3_600_000;
    });
    client.world.store().tables().topics.put(TopicConfig::new(TopicName::new("D"), 1));
    client.send("D", 0, 3, 10);
    assert!(client.save());
    client.send("T", 0, 20, 100);
    let deleted_at = client.world.store().log_range().1;
    client.delete("D");
    client.send("D", 0, 1, 10);
    client.disk.take_copies();
    client.world.store().tables().save_configs().unwrap();
    let copy = client.disk.take_copies().pop().unwrap();
    let mut world = World::closed(small);
    world.options.dir = copy.dir;
    super::fault_tests::start_machine_again(&world);
    world.open().unwrap();
    assert!(world.store().log_range().1 < deleted_at, "the tail is lost");
    for round in 0..4 {
        let appended = world.append("D", 0, &format!("{round}"));
        assert_eq!(appended.queue_offset, QueueOffset(round));
        if round == 1 {
            world.store().saver.save().unwrap();
        }
        world.kill();
        if round == 2 {
            fs::remove_dir_all(world.group_dir().join("slices")).unwrap();
        }
        world.open().unwrap();
        let bodies = world.bodies("D", 0);
        assert_eq!(bodies, (0..=round).map(|round| round.to_string()).collect::<Vec<_>>());
    }
}

#[test]
fn a_disk_that_is_full_from_any_step_on_costs_nothing_and_is_got_over() {
    let steps = {
        let mut client = Client::new(Views::None, small);
        client.live();
        client.disk.steps()
    };
    assert!(steps > 80, "{steps}");
    for step in 1..steps {
        let checked = catch_unwind(|| full_from(step));
        assert!(checked.is_ok(), "full from step {step} of {steps}");
    }
}

fn full_from(step: usize) {
    let mut client = Client::closed(Views::None, small);
    client.disk.set_fault(Some(Fault::Full(step)));
    let opened = client.world.open();
    if opened.is_ok() {
        client.live();
    }
    client.disk.set_fault(None);
    if opened.is_err() {
        client.world.open().unwrap();
    }
    client.world.store().log.allocate_ahead();
    assert!(!client.world.store().is_read_only());
    check(&client.world, &client.events, Expected::All);
    assert!(client.send("T", 0, 1, 100));
    client.world.store().saver.save().unwrap();
    assert!(client.send("T", 1, 1, 100));
    client.world.reopen();
    check(&client.world, &client.events, Expected::All);
}

#[test]
fn nothing_is_acknowledged_or_saved_after_a_failed_flush() {
    let client = Client::new(Views::None, small_sync);
    client.world.append("T", 0, "before");
    client.disk.set_fault(Some(Fault::Flush(0)));
    let (sender, receiver) = mpsc::channel();
    let done = Box::new(move |result| sender.send(result).unwrap());
    client.world.store().enqueue(&[message("T", 0, "after")], true, done);
    client.world.store().write_enqueued();
    wait_until("the flush failed", || !client.disk.failed_flushes().is_empty());
    assert!(client.disk.failed_flushes()[0].to_string_lossy().contains("commitlog"));
    assert!(client.world.store().saver.save().is_err());
    assert!(receiver.try_recv().is_err(), "the sender is not told");
    assert!(!client.world.store().stop(), "whoever stops it is");
}

#[test]
fn a_failed_flush_of_the_checkpoint_ends_the_process_too() {
    let client = Client::new(Views::None, small);
    client.world.append("T", 0, "before");
    let end = client.world.store().log_range().1.0;
    assert!(client.world.store().log.flush_to(end));
    client.disk.set_fault(Some(Fault::Flush(0)));
    assert!(client.world.store().saver.save().is_err());
    assert!(client.disk.failed_flushes()[0].ends_with("checkpoint"));
}

/// A store whose checkpoint is older than its slices, and whose log has a torn record between the two.
fn ahead_of_its_log() -> Client {
    let mut client = Client::new(Views::None, small);
    client.live();
    let checkpoint = client.world.group_dir().join("checkpoint");
    assert!(client.save());
    let older = fs::read(&checkpoint).unwrap();
    for _ in 0..5 {
        client.send("T", 0, 1, 10);
        client.send("T", 1, 1, 10);
    }
    let torn = client.world.append("T", 1, "torn");
    for _ in 0..3 {
        client.send("T", 0, 1, 3000);
    }
    assert!(client.save());
    client.world.kill();
    fs::write(checkpoint, older).unwrap();
    client.world.flip(torn.physical_offset.0 + BODY_AT);
    client
}

#[test]
fn a_cut_may_be_broken_off_at_any_step() {
    for views in [Views::Killed, Views::PowerCut] {
        let mut client = ahead_of_its_log();
        super::fault_tests::start_machine_again(&client.world);
        let disk = FaultDisk::new(client.world.group_dir(), views);
        disk.mark(client.events.len());
        client.world.disk = Arc::clone(&disk) as Arc<_>;
        client.world.open().unwrap();
        check(&client.world, &client.events, Expected::Prefix);
        client.world.store().saver.save().unwrap();
        assert!(disk.steps() > 10);
        check_all_copies_of(&disk, &client.events, views, small, Expected::Prefix);
    }
}

#[test]
fn a_flipped_byte_above_what_was_flushed_cuts_async_and_is_stepped_over_in_sync_or_the_same_boot() {
    for (is_same_boot, change, is_cut) in [
        (false, small as fn(&mut super::StoreOptions), true),
        (true, small, false),
        (false, small_sync, false),
    ] {
        let mut client = ahead_of_its_log();
        change(&mut client.world.options);
        if !is_same_boot {
            super::fault_tests::start_machine_again(&client.world);
        }
        client.world.open().unwrap();
        if is_cut {
            check(&client.world, &client.events, Expected::Prefix);
        } else {
            let found = client.world.bodies("T", 1);
            assert_eq!(found.len(), 13 + 5);
            let found = client.world.bodies("T", 0);
            assert_eq!(found.len(), 9 + 5 + 3);
            assert_eq!(client.world.store().damaged_places(), 1, "it is told as a metric");
        }
    }
}

#[test]
fn a_slice_condemned_while_consumers_read_it_shows_them_nothing_wrong() {
    let mut client = Client::new(Views::None, small);
    client.live();
    let store = client.world.store();
    let expected = messages(&client.world, "T", 1);
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let readers: Vec<_> = (0..3)
            .map(|_| {
                scope.spawn(|| {
                    let mut rounds = 0;
                    while !stop.load(Ordering::Relaxed) {
                        let mut at = 0;
                        while at < expected.len() {
                            let queues = store.derived.queues();
                            let from = QueueOffset(at as u64);
                            match queues.entries("T", QueueId(1), from, 5, true) {
                                Ok(entries) => {
                                    for entry in &entries {
                                        assert!(!entry.is_hole(), "at {at}");
                                        let record = store.record_at(entry.physical_offset);
                                        let record = record.unwrap().unwrap();
                                        let record =
                                            crate::message::Record::parse(&record).unwrap();
                                        assert_eq!(record.body(), expected[at].1.as_bytes());
                                        at += 1;
                                    }
                                }
                                Err(ReadError::Unavailable) => thread::yield_now(),
                                Err(error) => panic!("{error}"),
                            }
                            let range = store.queue_range("T", QueueId(1), true);
                            if let Ok((min, max)) = range {
                                assert_eq!((min.0, max.0), (0, expected.len() as u64));
                            }
                        }
                        rounds += 1;
                    }
                    rounds
                })
            })
            .collect();
        for round in 0..6 {
            store.derived.slices.condemn(round % 2, "a test says so");
            rebuilt(&client.world);
        }
        stop.store(true, Ordering::Relaxed);
        for reader in readers {
            assert!(reader.join().unwrap() < u64::MAX);
        }
    });
    check(&client.world, &client.events, Expected::All);
}

#[test]
fn segments_that_are_deleted_while_consumers_read_them_are_stepped_over() {
    let mut client = Client::new(Views::None, |options| {
        small(options);
        options.retention = deleting_at(0..24);
    });
    for _ in 0..5 {
        client.live();
    }
    client.world.store().saver.save().unwrap();
    client.world.clock.advance(Duration::from_secs(73 * 3600));
    client.send("T", 1, 1, 10);
    let max = client.world.store().max_offset("T", QueueId(1)).to_wire();
    let world = &client.world;
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                for _ in 0..4 {
                    let mut offset = 0;
                    while offset < max {
                        // A slice that goes in this moment is not available: the consumer comes again.
                        let Ok(pulled) = world.try_pull("T", 1, offset) else { continue };
                        let is_moved = pulled.next_offset.to_wire() > offset;
                        assert!(is_moved && pulled.status != PullStatus::OffsetOverflowBadly);
                        offset = pulled.next_offset.to_wire();
                    }
                }
            });
        }
        for _ in 0..8 {
            client.world.store().keeper.clean().unwrap();
        }
    });
    assert!(client.world.store().log_range().0.0 > 0);
    let found = messages(&client.world, "T", 1);
    assert_eq!(found.last().unwrap().0 + 1, u64::try_from(max).unwrap());
    client.world.reopen();
    assert_eq!(messages(&client.world, "T", 1), found);
}

#[test]
fn an_operator_has_old_segments_deleted_at_any_hour_for_some_rounds_st093() {
    let mut client = Client::new(Views::None, |options| {
        small(options);
        options.retention = deleting_at(0..0);
    });
    client.live();
    assert!(client.save());
    // Its own rounds would be too many.
    client.world.store().keeper.stop();
    client.world.clock.advance(Duration::from_secs(73 * 3600));
    client.send("T", 0, 1, 10);
    let (store, keeper) = (client.world.store(), &client.world.store().keeper);
    keeper.clean().unwrap();
    assert_eq!(store.log_range().0.0, 0);
    store.delete_expired_now();
    keeper.clean().unwrap();
    assert!(store.log_range().0.0 > 0);
    for left in (0..19).rev() {
        keeper.clean().unwrap();
        assert_eq!(keeper.manual_rounds.load(Ordering::Relaxed), left);
    }
}

#[test]
fn a_damaged_record_does_not_keep_old_segments_from_being_deleted() {
    let mut client = Client::new(Views::None, |options| {
        small(options);
        options.retention = deleting_at(0..24);
    });
    client.live();
    client.live();
    assert!(client.save());
    client.world.store().keeper.stop();
    client.world.clock.advance(Duration::from_secs(73 * 3600));
    client.send("T", 0, 1, 10);
    client.world.flip(client.world.options.segment_bytes + 30);
    client.world.store().keeper.clean().unwrap();
    assert!(client.world.store().log_range().0.0 > client.world.options.segment_bytes);
}

#[test]
fn what_a_slave_still_copies_stays_until_the_disk_is_too_full() {
    let mut world = World::closed(|options| options.retention = deleting_at(0..24));
    let disk = FaultDisk::new(world.group_dir(), Views::None);
    world.disk = disk.clone();
    world.open().unwrap();
    let segment = world.options.segment_bytes;
    while world.store().log_range().1.0 < 4 * segment {
        world.append("T", 0, &"x".repeat(3000));
    }
    world.store().saver.save().unwrap();
    world.store().keeper.stop();
    world.clock.advance(Duration::from_secs(73 * 3600));
    world.append("T", 0, "new");
    let store = Arc::clone(world.store());
    let cleaned = || {
        store.keeper.clean().unwrap();
        store.log_range().0.0 / segment
    };
    let slave = store.replica(PhysicalOffset(segment + 10));
    let _faster = store.replica(store.log_range().1);
    assert_eq!(cleaned(), 1, "the first segment is behind it");
    slave.acknowledge(2 * segment);
    assert_eq!(cleaned(), 2);
    disk.set_used_percent(f64::from(world.options.retention.get().disk_expire_percent));
    assert_eq!(cleaned(), 2);
    disk.set_used_percent(f64::from(world.options.retention.get().disk_expire_percent) + 1.0);
    assert_eq!(cleaned(), 4);
}

#[test]
fn a_disk_that_is_too_full_refuses_appends_and_loses_its_oldest_segments_st095() {
    let mut client = Client::new(Views::None, small);
    client.live();
    assert!(client.save());
    let (store, disk) = (client.world.store(), &client.disk);
    let clean_at = |used_percent| {
        disk.set_used_percent(used_percent);
        store.keeper.clean().unwrap();
        (store.is_read_only(), store.log_range().0.0 > 0)
    };
    assert_eq!(clean_at(84.0), (false, false));
    assert_eq!(clean_at(86.0), (false, true));
    assert_eq!(clean_at(91.0), (true, true));
    let refused = client.world.try_append(&[message("T", 0, "no")]);
    assert!(matches!(refused, Err(AppendError::DiskFull)));
    assert_eq!(clean_at(50.0), (false, true));
    let max = store.max_offset("T", QueueId(0));
    assert_eq!(client.world.append("T", 0, "yes").queue_offset, max);
    client.world.reopen();
    assert_eq!(client.world.bodies("T", 0).pop().unwrap(), "yes");
}

#[test]
fn every_append_during_a_stop_is_either_there_or_refused() {
    for change in [small as fn(&mut super::StoreOptions), small_sync] {
        let mut world = World::with(change);
        let (told, refused) = thread::scope(|scope| {
            let senders: Vec<_> = (0..4u32)
                .map(|queue| {
                    let world = &world;
                    scope.spawn(move || {
                        let mut told = Vec::new();
                        loop {
                            let body = format!("{queue}-{}", told.len());
                            match world.try_append(&[message("T", queue, &body)]) {
                                Ok(_) => told.push(body),
                                Err(AppendError::Stopping) => return (told, body),
                                Err(error) => panic!("{error}"),
                            }
                        }
                    })
                })
                .collect();
            wait_until("some are there", || world.store().max_offset("T", QueueId(3)).0 > 20);
            world.store().stop();
            let ends = senders.into_iter().map(|sender| sender.join().unwrap());
            ends.unzip::<_, _, Vec<_>, Vec<_>>()
        });
        world.reopen();
        for (queue, told) in (0..).zip(told) {
            let found: Vec<String> =
                messages(&world, "T", queue).into_iter().map(|(_, body)| body).collect();
            assert_eq!(found, told);
            assert!(!found.contains(&refused[queue as usize]));
        }
    }
}
