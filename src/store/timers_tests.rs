//! Which messages wait, over anything that can happen to the database, against a plain list of them.

use super::super::store_tests::{World, message};
use super::*;
use crate::message::NewMessage;
use crate::model::system;
use proptest::prelude::*;

fn waiting(due_ms: i64) -> NewMessage {
    let properties = format!("TIMER_OUT_MS\u{1}{due_ms}");
    NewMessage { properties, ..message(system::TIMER_TOPIC, 0, "body") }
}

/// A record of `topic` that ends the waiting of another one, and waits itself if it is of the timer topic.
fn successor(topic: &str, timer: Timer) -> NewMessage {
    let prepared_transaction_offset = timer.offset.to_wire() + 1;
    let NewMessage { properties, .. } = waiting(timer.due_ms);
    NewMessage { prepared_transaction_offset, properties, ..message(topic, 0, "body") }
}

fn append(world: &World, message: NewMessage) -> PhysicalOffset {
    world.try_append(&[message]).unwrap().0[0].physical_offset
}

fn wait(world: &World, due_ms: i64) -> Timer {
    Timer { due_ms, offset: append(world, waiting(due_ms)) }
}

fn all(world: &World) -> Vec<Timer> {
    world.store().keeper.rebuild_timers().unwrap();
    let end = world.store().log_range().1;
    let timers = world.store().timers();
    let mut found = timers.below(end, usize::MAX).unwrap().unwrap();
    found.sort_unstable();
    assert_eq!(timers.count().unwrap(), Some(found.len()));
    assert_eq!(in_parts(timers), found);
    found
}

/// All that wait, asked for three at a time.
fn in_parts(timers: &Timers) -> Vec<Timer> {
    let (mut all, mut from) = (Vec::new(), Some(Timer::FIRST));
    while let Some(at) = from {
        let Part { timers, next } = timers.part(at, 3).unwrap().unwrap();
        assert!(timers.len() <= 3 && next.is_none_or(|next| next > at), "{timers:?} {next:?}");
        all.extend(timers);
        from = next;
    }
    all
}

#[derive(Clone, Debug)]
enum Step {
    Wait(i64),
    Deliver(usize),
    Move(usize),
    Save,
    Kill,
    /// Killed, and the database is gone.
    Lose,
    /// The database is damaged while it is in use.
    Condemn,
    /// Killed, and what is derived from the newest part of the log is gone too.
    LoseSlices,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0i64..5000).prop_map(Step::Wait),
        3 => any::<usize>().prop_map(Step::Deliver),
        1 => any::<usize>().prop_map(Step::Move),
        3 => Just(Step::Save),
        1 => Just(Step::Kill),
        1 => Just(Step::Lose),
        1 => Just(Step::Condemn),
        1 => Just(Step::LoseSlices),
    ]
}

fn run(steps: Vec<Step>) {
    let mut world = World::new();
    let mut model = BTreeSet::new();
    let pick = |model: &mut BTreeSet<Timer>, at: usize| {
        let picked = model.iter().nth(at % model.len().max(1)).copied();
        picked.inspect(|timer| assert!(model.remove(timer)))
    };
    for step in steps {
        match step {
            Step::Wait(due_ms) => assert!(model.insert(wait(&world, due_ms))),
            Step::Deliver(at) => {
                if let Some(timer) = pick(&mut model, at) {
                    append(&world, successor("T", timer));
                    assert!(!world.store().timers().is_waiting(timer).unwrap_or(false));
                }
            }
            Step::Move(at) => {
                if let Some(timer) = pick(&mut model, at) {
                    let offset = append(&world, successor(system::TIMER_TOPIC, timer));
                    model.insert(Timer { offset, ..timer });
                }
            }
            Step::Save => world.store().saver.save().unwrap(),
            Step::Kill => world.reopen(),
            Step::Lose | Step::LoseSlices => {
                world.kill();
                remove(&world.group_dir().join("timers")).unwrap();
                if matches!(step, Step::LoseSlices) {
                    remove(&world.group_dir().join("slices")).unwrap();
                    drop(fs::remove_file(world.group_dir().join("checkpoint")));
                }
                world.open().unwrap();
            }
            Step::Condemn => world.store().timers().saved().condemn("by a test"),
        }
        assert_eq!(all(&world), model.iter().copied().collect::<Vec<_>>());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    #[test]
    fn what_waits_is_known_whatever_happens_to_the_database(
        steps in prop::collection::vec(step(), 1..40),
    ) {
        run(steps);
    }
}

#[test]
fn a_row_written_again_after_a_crash_does_not_take_others_with_it() {
    let mut world = World::with(|options| options.checkpoint_bytes = 1000);
    let (old, ended) = (wait(&world, 500), wait(&world, 900));
    world.store().saver.save().unwrap();
    let checkpoint = fs::read(world.group_dir().join("checkpoint")).unwrap();
    let new = wait(&world, 100);
    // The recovery saves before it comes to the end of the other one.
    world.append("T", 0, &"x".repeat(5000));
    append(&world, successor("T", ended));
    world.store().saver.save().unwrap();
    assert_eq!(all(&world), [new, old], "a row that begins with the new one, and has the old one");
    world.kill();
    fs::write(world.group_dir().join("checkpoint"), checkpoint).unwrap();
    world.open().unwrap();
    world.store().saver.save().unwrap();
    assert_eq!(all(&world), [new, old]);
}

#[test]
fn nothing_is_said_not_to_wait_while_the_database_is_made_again() {
    let world = World::new();
    let timer = wait(&world, 500);
    world.store().saver.save().unwrap();
    let timers = world.store().timers();
    timers.saved().condemn("by a test");
    // It may have been made again by now.
    assert!(timers.is_waiting(timer).unwrap_or(true));
    world.store().keeper.rebuild_timers().unwrap();
    assert!(timers.is_waiting(timer).unwrap());
}

#[test]
fn what_is_due_comes_in_order_and_nothing_before_its_time() {
    let mut world = World::new();
    let now_ms = 1_000_000;
    let later = wait(&world, now_ms + 3_600_000);
    let mut expected: Vec<_> = [7, 3, 3, 999, 2500].map(|ms| wait(&world, now_ms + ms)).into();
    world.store().saver.save().unwrap();
    world.reopen();
    expected.extend([5, 4000].map(|ms| wait(&world, now_ms + ms)));
    expected.sort_unstable();
    let timers = world.store().timers();
    assert_eq!(timers.due(now_ms, 10).unwrap(), []);
    assert_eq!(timers.next_look_at(), now_ms + 3);
    assert_eq!(timers.due(now_ms + 7, 10).unwrap(), expected[..4]);
    assert_eq!(timers.due(now_ms + 9000, 6).unwrap(), expected[..6], "no more than asked for");
    assert_eq!(timers.due(now_ms + 9000, 10).unwrap(), expected);
    for timer in expected {
        append(&world, successor("T", timer));
    }
    assert_eq!(timers.due(now_ms + 9000, 10).unwrap(), []);
    assert_eq!(timers.due(now_ms + 3_600_000, 10).unwrap(), [later]);
}

#[tokio::test]
async fn who_delivers_is_told_of_what_is_due_earlier() {
    let world = World::new();
    let timers = world.store().timers();
    assert_eq!(timers.due(1_000_000, 10).unwrap(), []);
    wait(&world, 1_004_000);
    assert_eq!(timers.next_look_at(), 1_004_000);
    wait(&world, 1_002_000);
    timers.comes_earlier().await;
    assert_eq!(timers.next_look_at(), 1_002_000);
}

#[test]
fn only_some_buckets_are_loaded_if_they_are_full() {
    let database = crate::kv::MemoryDatabase::default();
    let timer = |bucket: i64, number: usize| Timer {
        due_ms: bucket * schema::BUCKET_MS,
        offset: PhysicalOffset(number as u64),
    };
    let mut batch = Batch::default();
    let per_bucket = LOADED_MAX / 2;
    for bucket in 1..=3 {
        let timers: Vec<_> = (0..per_bucket).map(|number| (timer(bucket, number), true)).collect();
        change_bucket(&database, &mut batch, &timers).unwrap();
    }
    database.apply(schema::BUCKETS, batch).unwrap();
    let (found, to_ms) = buckets(&database, 0..10_000, LOADED_MAX).unwrap();
    assert_eq!((found.len(), to_ms), (LOADED_MAX, 3 * schema::BUCKET_MS));
    let (found, to_ms) = buckets(&database, to_ms..10_000, LOADED_MAX).unwrap();
    assert_eq!((found.len(), to_ms), (per_bucket, 10_000));
}

#[test]
fn records_that_only_look_like_the_end_of_a_timer_end_nothing() {
    let world = World::new();
    let timer = wait(&world, 500);
    let NewMessage { properties, .. } = waiting(500);
    // A client may set any property, but not the offset; a transaction's end has the offset of its half message.
    append(&world, NewMessage { properties, ..message("T", 0, "body") });
    let commit = crate::message::sys_flag::TRANSACTION_COMMIT;
    append(&world, NewMessage { sys_flag: commit, ..successor("T", timer) });
    assert_eq!(all(&world), [timer]);
}
