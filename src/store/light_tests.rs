//! Light queues are as the log says, however they came to be: appended, recovered, rebuilt or copied.

use std::fs;

use proptest::prelude::*;

use super::options::StoreRole;
use super::store_tests::{World, deleting_at, message};
use super::{Appended, Store};
use crate::message::{NewMessage, Record, properties, sys_flag};
use crate::model::{PhysicalOffset, QueueId, QueueOffset, TopicName, system};

fn world() -> World {
    World::with(|options| options.light_queues = true)
}

fn lit(topic: &str, body: &str, queues: &str) -> NewMessage {
    let mut message = message(topic, 0, body);
    message.properties.push_str(&format!("\u{2}INNER_MULTI_DISPATCH\u{1}{queues}"));
    message
}

impl World {
    fn append_lit(&self, body: &str, queues: &str) -> Appended {
        self.try_append(&[lit("T", body, queues)]).unwrap().0[0]
    }

    /// The bodies of a light queue.
    fn light(&self, name: &str) -> Vec<String> {
        self.bodies(&format!("%LMQ%{name}"), 0)
    }

    /// What the message at an offset of the log says of its offsets in light queues.
    fn offsets_at(&self, place: Appended) -> Option<String> {
        let bytes = self.store().record_at(place.physical_offset).unwrap().unwrap();
        let text = Record::parse(&bytes).unwrap().properties().to_owned();
        properties::find(&text, properties::LIGHT_OFFSETS).map(str::to_owned)
    }
}

#[test]
fn a_message_is_in_its_topic_and_in_each_light_queue_st110() {
    let world = world();
    let first = world.append_lit("1", "%LMQ%a,%LMQ%b");
    let second = world.append_lit("2", "%LMQ%b,%LMQ%a,%LMQ%b,");
    world.append("T", 0, "3");
    let fourth = world.append_lit("4", "%LMQ%b");
    assert_eq!(world.bodies("T", 0), ["1", "2", "3", "4"]);
    assert_eq!((world.light("a"), world.light("b")), (texts("1 2"), texts("1 2 4")));
    let said = [first, second, fourth].map(|place| world.offsets_at(place).unwrap());
    assert_eq!(said, ["0,0", "1,1,1", "2"]);
    assert_eq!(world.store().light_queues(), 2);
    let configs = world.store().tables().topics.snapshot().1;
    assert!(configs.iter().all(|config| !config.name.as_str().starts_with("%LMQ%")));
}

fn texts(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

#[test]
fn what_is_written_at_once_follows_on_in_light_queues_too() {
    let world = world();
    let (sender, receiver) = std::sync::mpsc::channel();
    let enqueue = |message| {
        let sender = sender.clone();
        let done = Box::new(move |result| sender.send(result).unwrap());
        world.store().enqueue(&[message], true, done);
    };
    for number in 0..300 {
        let light = format!("%LMQ%{},%LMQ%all", number % 3);
        enqueue(lit("T", &number.to_string(), &light));
        // To a light queue's topic itself.
        if number % 100 == 0 {
            enqueue(message("%LMQ%all", 0, "direct"));
        }
    }
    world.store().write_enqueued();
    let appended: Vec<Appended> =
        (0..303).flat_map(|_| receiver.recv().unwrap().unwrap().0).collect();
    assert_eq!(world.light("all").len(), 303);
    assert_eq!(world.light("1"), (0..100).map(|n| (3 * n + 1).to_string()).collect::<Vec<_>>());
    let last = *appended.iter().max_by_key(|place| place.physical_offset).unwrap();
    assert_eq!(world.offsets_at(last).unwrap(), "99,302");
}

#[test]
fn only_who_appends_says_offsets_and_what_waits_is_in_no_light_queue() {
    let world = world();
    let mut stale = lit("T", "stale", "%LMQ%a");
    stale.properties.push_str("\u{2}INNER_MULTI_QUEUE_OFFSET\u{1}77");
    let place = world.try_append(&[stale.clone()]).unwrap().0[0];
    assert_eq!(world.offsets_at(place).unwrap(), "0");
    for topic in
        [system::HALF_TOPIC, system::SCHEDULE_TOPIC, system::TIMER_TOPIC, "%RETRY%g", "%DLQ%g"]
    {
        let waiting = NewMessage { topic: TopicName::new(topic), ..stale.clone() };
        let place = world.try_append(&[waiting]).unwrap().0[0];
        assert_eq!(world.offsets_at(place), None, "{topic}");
    }
    let prepared = NewMessage { sys_flag: sys_flag::TRANSACTION_PREPARED, ..stale.clone() };
    let place = world.try_append(&[prepared]).unwrap().0[0];
    assert_eq!(world.offsets_at(place), None);
    let places = world.try_append(&[stale.clone(), stale.clone()]).unwrap().0;
    assert!(places.into_iter().all(|place| world.offsets_at(place).is_none()), "a batch");
    let other = lit("T", "x", "%LMQ%a,T2");
    let place = world.try_append(&[other]).unwrap().0[0];
    assert_eq!((world.offsets_at(place), world.light("a")), (None, texts("stale")));
    let off = World::new();
    let place = off.try_append(&[stale]).unwrap().0[0];
    assert_eq!((off.offsets_at(place), off.light("a")), (None, Vec::new()));
}

#[test]
fn offsets_that_do_not_fit_the_properties_are_refused() {
    let world = world();
    let many = (0..2_000).map(|n| format!("%LMQ%{n}")).collect::<Vec<_>>().join(",");
    let error = world.try_append(&[lit("T", "x", &many)]).unwrap_err();
    assert!(error.to_string().contains("longer than 32767"), "{error}");
    let many = (0..1_000).map(|n| format!("%LMQ%{n}")).collect::<Vec<_>>().join(",");
    world.append_lit("y", &many);
    assert_eq!((world.store().light_queues(), world.light("999")), (1_000, texts("y")));
}

/// Copies a log as a slave does.
fn copied(master: &World) -> World {
    let slave = World::with(|options| {
        options.light_queues = true;
        options.role = StoreRole::Slave;
    });
    let (mut at, end) = master.store().log_range();
    while at < end {
        let Some(bytes) = master.store().record_at(at).unwrap() else { break };
        let taken = slave.store().append_copied(at, &bytes).unwrap();
        at = PhysicalOffset(at.0 + taken as u64);
    }
    slave
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    /// Whatever is appended: after a kill, after all that is derived was lost, and on a slave, queues are the same.
    #[test]
    fn light_queues_are_the_same_however_they_come_to_be(
        sent in prop::collection::vec((prop::collection::btree_set(0..6_u8, 0..4), any::<bool>()), 1..120)
    ) {
        let mut world = world();
        for (number, (queues, saved)) in sent.iter().enumerate() {
            let names: Vec<String> = queues.iter().map(|queue| format!("%LMQ%{queue}")).collect();
            world.append_lit(&number.to_string(), &names.join(","));
            if *saved && number % 10 == 0 {
                world.store().saver.save().unwrap();
            }
        }
        let all = |world: &World| (0..6).map(|n| world.light(&n.to_string())).collect::<Vec<_>>();
        let wanted: Vec<Vec<String>> = (0..6_u8)
            .map(|queue| {
                let has = |(_, (queues, _)): &(usize, &(std::collections::BTreeSet<u8>, bool))| queues.contains(&queue);
                sent.iter().enumerate().filter(has).map(|(number, _)| number.to_string()).collect()
            })
            .collect();
        prop_assert_eq!(&all(&world), &wanted);
        prop_assert_eq!(&all(&copied(&world)), &wanted, "on a slave");
        world.reopen();
        prop_assert_eq!(&all(&world), &wanted, "after a kill");
        world.kill();
        for lost in ["slices", "tables", "export"] {
            let _was_there = fs::remove_dir_all(world.group_dir().join(lost));
        }
        let _was_there = fs::remove_file(world.group_dir().join("checkpoint"));
        world.open().unwrap();
        prop_assert_eq!(&all(&world), &wanted, "after all was lost");
        world.append_lit("next", "%LMQ%0");
        prop_assert_eq!(world.light("0").len(), wanted[0].len() + 1);
    }
}

#[test]
fn thousands_of_light_queues_survive_a_restart_and_go_with_their_messages() {
    let mut world = World::with(|options| {
        options.light_queues = true;
        options.retention = deleting_at(0..24);
    });
    for number in 0..3_000 {
        world.append_lit("x", &format!("%LMQ%{number}"));
    }
    assert!(world.store().stop());
    world.reopen();
    assert_eq!((world.store().light_queues(), world.light("2999")), (3_000, texts("x")));
    world.append_lit("y", "%LMQ%7");
    assert_eq!(world.light("7"), texts("x y"));
    let range =
        |world: &World, name: &str| world.store().queue_range(name, QueueId(0), true).unwrap();
    world.store().saver.save().unwrap();
    let (_, end) = world.store().log_range();
    world.store().derived.expire_below(PhysicalOffset(end.0 - 1));
    assert_eq!(world.store().light_queues(), 1, "only the one of the last message");
    assert_eq!(range(&world, "%LMQ%8"), Default::default());
    assert_eq!(range(&world, "%LMQ%7").1.0, 2);
    let place = world.append_lit("again", "%LMQ%8");
    assert_eq!((world.offsets_at(place).as_deref(), world.light("8")), (Some("0"), texts("again")));
}

#[test]
fn a_forgotten_light_queue_that_is_used_again_has_all_its_messages() {
    let world = world();
    let bodies = ["0", "1", "2", "3", "4"];
    let save_all = || {
        for _ in 0..2 {
            world.append("T", 0, "x");
            world.store().saver.save().unwrap();
        }
    };
    for body in &bodies[..3] {
        world.append_lit(&format!("old {body}"), "%LMQ%a");
    }
    save_all();
    // From its page, which is kept then.
    assert_eq!(world.light("a"), ["old 0", "old 1", "old 2"]);
    let slice_bytes = world.options.slice_bytes;
    while world.append("T", 0, &"x".repeat(8000)).physical_offset.0 < slice_bytes {}
    save_all();
    let (_, end) = world.store().log_range();
    world.store().derived.expire_below(end);
    assert_eq!(world.store().light_queues(), 0);
    let again = bodies.map(|body| world.append_lit(body, "%LMQ%a").physical_offset);
    save_all();
    // Each look keeps the page that it has read.
    let found = || {
        let queues = world.store().derived.queues();
        let found = queues.entries("%LMQ%a", QueueId(0), QueueOffset(0), 9, true).unwrap();
        found.iter().map(|entry| entry.physical_offset).collect::<Vec<_>>()
    };
    assert_eq!(found(), again, "not those of the page that was kept");
    world.store().derived.queues().forget_kept_pages();
    assert_eq!(found(), again, "nor is where the old one was when the slice began the end");
    assert_eq!(world.light("a"), bodies);
}

#[test]
fn a_removed_light_queue_begins_at_0_again() {
    let world = world();
    world.append_lit("old", "%LMQ%a");
    Store::remove_topic(world.store(), "%LMQ%a");
    assert_eq!((world.store().light_queues(), world.light("a")), (0, Vec::new()));
    let place = world.append_lit("new", "%LMQ%a");
    assert_eq!((world.offsets_at(place).as_deref(), world.light("a")), (Some("0"), texts("new")));
}
