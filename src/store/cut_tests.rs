//! A log that is cut: what is left is whole, what was cut off is kept, and a crash at any step changes neither.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use super::disk::SystemDisk;
use super::fault_disk::Views;
use super::fault_tests::{Client, Event, Expected, check, small, start_machine_again};
use super::store_tests::World;
use crate::model::PhysicalOffset;

/// The whole log, as its segments have it.
fn log(dir: &Path) -> Vec<u8> {
    let mut names: Vec<_> =
        fs::read_dir(dir.join("commitlog")).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.sort();
    names.into_iter().flat_map(|name| fs::read(name).unwrap()).collect()
}

/// What is in the files of what was cut off, put where it was.
fn put_back(dir: &Path, mut log: Vec<u8>) -> Vec<u8> {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if let Some((at, _)) = name.strip_prefix("cut-").and_then(|rest| rest.split_once('-')) {
            let at: usize = at.parse().unwrap();
            let bytes = fs::read(path).unwrap();
            log[at..at + bytes.len()].copy_from_slice(&bytes);
        }
    }
    log
}

/// A life over two slices, and where in the second one it is cut.
fn life(client: &mut Client) -> u64 {
    client.send("T", 0, 1, 100);
    for _ in 0..8 {
        client.send("T", 0, 1, 3000);
    }
    client.save();
    let at = client.world.store().log_range().1.0;
    client.commit("T", 0, 9);
    for _ in 0..4 {
        client.send("T", 0, 1, 3000);
    }
    client.send("T", 1, 2, 100);
    client.commit("T", 0, 12);
    client.save();
    client.send("T", 1, 1, 100);
    client.save();
    at
}

fn is_below(event: &Event, at: u64) -> bool {
    matches!(event, Event::Acknowledged { physical, .. } if *physical < at)
}

#[test]
fn a_crash_at_any_step_of_a_cut_leaves_the_same_log_and_all_that_was_cut_off() {
    for views in [Views::Killed, Views::PowerCut] {
        let mut client = Client::new(views, small);
        let at = life(&mut client);
        let before = log(client.world.group_dir());
        client.world.store().cut_at_next_open(PhysicalOffset(at)).unwrap();
        client.world.kill();
        client.disk.take_copies();
        client.world.open().unwrap();
        let left: Vec<Event> =
            client.events.iter().filter(|event| is_below(event, at)).cloned().collect();
        let copies = client.disk.take_copies();
        assert!(copies.len() > 5, "{}", copies.len());
        let check_one = |world: &World, step: &str| {
            assert_eq!(world.store().log_range().1.0, at, "{step}");
            check(world, &left, Expected::All);
            assert!(world.bodies("T", 1).is_empty(), "{step}");
            assert!(world.store().tables().consumer_offsets.snapshot().len() == 1);
            let (now, dir) = (log(world.group_dir()), world.group_dir());
            let end = usize::try_from(at).unwrap();
            assert!(now[..end] == before[..end], "{step}");
            assert!(now[end..].iter().all(|byte| *byte == 0), "{step}");
            let back = put_back(dir, now);
            assert!(back[..before.len()] == before, "{views:?} {step}");
            assert!(!dir.join("cut").exists());
        };
        check_one(&client.world, "without a crash");
        for copy in copies {
            let mut world = World::closed(small);
            world.options.dir = copy.dir.clone();
            world.disk = Arc::new(SystemDisk);
            if views == Views::PowerCut {
                start_machine_again(&world);
            }
            world.open().unwrap();
            check_one(&world, &copy.step);
            // What is appended then stays.
            let appended = world.append("T", 0, "after");
            assert_eq!(appended.physical_offset.0, at, "{}", copy.step);
            world.reopen();
            assert_eq!(world.bodies("T", 0).last().map(String::as_str), Some("after"));
        }
    }
}

#[test]
fn only_the_newest_slice_can_be_cut() {
    let mut client = Client::new(Views::None, small);
    let at = life(&mut client);
    let store = client.world.store();
    let end = store.log_range().1.0;
    assert!(store.can_cut(PhysicalOffset(at)) && store.can_cut(PhysicalOffset(end)));
    for wrong in [0, 24 * 1024 - 1, end + 1] {
        assert!(!store.can_cut(PhysicalOffset(wrong)), "{wrong}");
        assert!(store.cut_at_next_open(PhysicalOffset(wrong)).is_err());
    }
    client.world.reopen();
    assert_eq!(client.world.store().log_range().1.0, end);
}

#[test]
fn the_last_record_below_an_end_is_found_in_the_middle_of_one_and_behind_a_blank_too() {
    let mut client = Client::new(Views::None, small);
    life(&mut client);
    let store = client.world.store();
    let mut places: Vec<u64> = client
        .events
        .iter()
        .filter_map(|event| match event {
            Event::Acknowledged { physical, .. } => Some(*physical),
            Event::Deleted(_) => None,
        })
        .collect();
    assert_eq!(store.last_record_below(PhysicalOffset(0)), Ok(None));
    assert_eq!(store.last_record_below(PhysicalOffset(places[1] - 1)), Ok(None));
    places.push(store.log_range().1.0);
    for pair in places.windows(2) {
        let record = store.record_at(PhysicalOffset(pair[0])).unwrap().unwrap();
        let end = pair[0] + record.len() as u64;
        for below in [end, pair[1]] {
            let found = store.last_record_below(PhysicalOffset(below)).unwrap();
            assert_eq!(found, Some((PhysicalOffset(pair[0]), record.clone())), "{below}");
        }
    }
}
