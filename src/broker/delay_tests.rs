//! Delayed delivery over a real store, with a clock that tests move.

use std::collections::HashSet;

use super::super::tests_support::{TestBroker, eventually, properties, readable};
use super::*;
use crate::message::Record;
use crate::model::DelayLevels;
use crate::replication::Standing;
use crate::store::Durability;

const SECOND: Duration = Duration::from_secs(1);

fn bodies(broker: &TestBroker, topic: &str) -> Vec<String> {
    let records = broker.records(topic, 0);
    let body = |bytes| String::from_utf8(Record::parse(bytes).unwrap().body().to_vec()).unwrap();
    records.iter().map(|bytes| body(bytes)).collect()
}

async fn send(broker: &TestBroker, level: u32, body: &str) {
    let text = properties(&format!("TAGS=TagA DELAY={level}"));
    assert_eq!(broker.send("T", &text, body).await.code, 0);
}

#[tokio::test]
async fn messages_are_delivered_when_due_and_not_before_b272_b273() {
    let broker = TestBroker::new();
    broker.start();
    for (level, body) in [(4, "thirty seconds"), (3, "ten seconds"), (1, "one second")] {
        send(&broker, level, body).await;
    }
    let all = ["one second", "ten seconds", "thirty seconds"];
    for (count, seconds) in [(1, 1), (2, 9), (3, 20)] {
        broker.clock.advance(seconds * SECOND);
        eventually(all[count - 1], || bodies(&broker, "T").len() == count).await;
        assert_eq!(bodies(&broker, "T"), all[..count], "nothing else is due");
    }
    let waited = broker.records("SCHEDULE_TOPIC_XXXX", 2);
    let (waited, records) = (Record::parse(&waited[0]).unwrap(), broker.records("T", 0));
    let delivered = Record::parse(&records[1]).unwrap();
    assert_eq!(delivered.properties(), waited.properties(), "S-13");
    assert_eq!(
        readable(delivered.properties()),
        "REAL_TOPIC=T CLUSTER=DefaultCluster DELAY=3 TAGS=TagA REAL_QID=0"
    );
    assert_eq!(delivered.born_timestamp(), waited.born_timestamp());
    assert_eq!(delivered.born_host(), waited.born_host());
    assert!(delivered.store_timestamp() >= waited.store_timestamp() + 10_000);
    // A position is set a moment after its message is there.
    let offsets = || broker.broker.store.tables().delay_offsets.snapshot();
    eventually("positions", || [1, 3, 4].iter().all(|level| offsets().get(level) == Some(&1)))
        .await;
}

#[tokio::test]
async fn levels_are_those_of_the_settings_b270() {
    let with = |levels: &str| {
        let levels = DelayLevels::parse(levels).unwrap();
        let broker = TestBroker::with(|options| options.delay_levels = levels);
        broker.start();
        broker
    };
    let broker = with("2s 1m");
    for (level, body) in [(99, "a minute"), (1, "two seconds")] {
        send(&broker, level, body).await;
    }
    assert!(broker.only_properties("SCHEDULE_TOPIC_XXXX", 1).contains("DELAY=2"));
    broker.clock.advance(2 * SECOND);
    eventually("the first", || bodies(&broker, "T") == ["two seconds"]).await;
    broker.clock.advance(58 * SECOND);
    eventually("the second", || bodies(&broker, "T") == ["two seconds", "a minute"]).await;
    // More than the topic has queues.
    let broker = with(&"1s ".repeat(20));
    send(&broker, 20, "twenty").await;
    assert!(broker.only_properties("SCHEDULE_TOPIC_XXXX", 19).contains("DELAY=20"));
    broker.clock.advance(SECOND);
    eventually("the one of level 20", || bodies(&broker, "T") == ["twenty"]).await;
}

#[tokio::test]
async fn each_message_is_delivered_once_in_order_over_restarts_b275() {
    let mut broker = TestBroker::new();
    let mut expected = Vec::new();
    for round in 0..3 {
        // More than two turns.
        for number in 0..600 {
            let body = format!("{round}-{number}");
            send(&broker, 3, &body).await;
            expected.push(body);
        }
        broker.start();
        broker.clock.advance(10 * SECOND);
        // The restart comes anywhere in the delivery.
        eventually("some", || bodies(&broker, "T").len() > round * 600).await;
        broker = broker.restarted().await;
    }
    broker.start();
    eventually("all", || bodies(&broker, "T").len() >= expected.len()).await;
    assert_eq!(bodies(&broker, "T"), expected);
    let ids: HashSet<_> = expected.iter().collect();
    assert_eq!(ids.len(), 1800);
}

#[tokio::test]
async fn what_can_never_be_delivered_does_not_stop_the_rest_b274() {
    let broker = TestBroker::new();
    let store = &broker.broker.store;
    for text in ["DELAY=1", "DELAY=1 REAL_TOPIC=T REAL_QID=x"] {
        put(&broker, text);
    }
    put(&broker, "DELAY=1 REAL_TOPIC=RMQ_SYS_TRANS_HALF_TOPIC REAL_QID=0");
    put(&broker, &format!("DELAY=1 REAL_TOPIC={} REAL_QID=0", "t".repeat(200)));
    send(&broker, 1, "good").await;
    broker.start();
    broker.clock.advance(SECOND);
    eventually("the good one", || bodies(&broker, "T").len() == 1).await;
    eventually("the position", || store.tables().delay_offsets.get(1) == Some(5)).await;
    assert!(broker.records("RMQ_SYS_TRANS_HALF_TOPIC", 0).is_empty());
}

#[tokio::test]
async fn a_deleted_topic_does_not_come_back_with_its_delayed_messages_s46() {
    let broker = TestBroker::new();
    let topics = &broker.broker.store.tables().topics;
    send(&broker, 1, "of the deleted topic").await;
    put(&broker, "DELAY=1 REAL_TOPIC=Lost REAL_QID=2");
    broker.broker.store.remove_topic("T");
    broker.start();
    broker.clock.advance(SECOND);
    let position = || broker.broker.store.tables().delay_offsets.get(1);
    eventually("the position", || position() == Some(2)).await;
    assert_eq!(topics.get("T"), None);
    assert!(topics.get("Lost").is_some(), "what was lost is made again");
    send(&broker, 1, "of the new topic").await;
    broker.clock.advance(SECOND);
    eventually("the new one", || bodies(&broker, "T") == ["of the new topic"]).await;
}

fn put(broker: &TestBroker, text: &str) {
    let message = NewMessage {
        properties: properties(text),
        ..NewMessage::plain(system::SCHEDULE_TOPIC, 0, "")
    };
    let results = append_all(&broker.broker.store, vec![message]);
    assert!(matches!(results[..], [Ok((_, Durability::Reached))]), "{results:?}");
}

#[tokio::test]
async fn positions_outside_their_queue_are_brought_back_b275() {
    let broker = TestBroker::new();
    send(&broker, 1, "passed").await;
    let offsets = &broker.broker.store.tables().delay_offsets;
    offsets.set(1, 77);
    offsets.set(99, 5);
    broker.start();
    eventually("the position", || offsets.get(1) == Some(1)).await;
    send(&broker, 1, "delivered").await;
    broker.clock.advance(SECOND);
    eventually("the message", || bodies(&broker, "T").len() == 1).await;
    assert_eq!((bodies(&broker, "T"), offsets.get(99)), (vec!["delivered".into()], Some(5)));
}

#[tokio::test]
async fn of_a_turn_only_what_is_damaged_is_lost() {
    let broker = TestBroker::new();
    for number in 0..5 {
        send(&broker, 1, &number.to_string()).await;
    }
    broker.damage(&broker.records("SCHEDULE_TOPIC_XXXX", 0)[1]);
    broker.clock.advance(SECOND);
    broker.start();
    let position = || broker.broker.store.tables().delay_offsets.get(1);
    eventually("the position", || position() == Some(5)).await;
    assert_eq!(bodies(&broker, "T"), ["0", "2", "3", "4"]);
}

#[tokio::test]
async fn of_a_turn_only_what_failed_is_stored_again_later() {
    let broker = TestBroker::new();
    for number in 0..5 {
        send(&broker, 1, &number.to_string()).await;
    }
    broker.clock.advance(SECOND);
    let mut level = Level::new(1, 1000);
    let now = broker.clock.now_ms();
    // The log refuses the second and the fourth, as it refuses what was queued for too long, and takes the others.
    let append = |store: &Store, messages: Vec<NewMessage>| -> Vec<AppendOutcome> {
        let odd = |at: &usize| at % 2 == 1;
        let taken = messages.iter().enumerate().filter(|(at, _)| !odd(at));
        let taken = taken.map(|(_, message)| message.clone()).collect();
        let mut stored = append_all(store, taken).into_iter();
        let refused = || Err(AppendError::DiskFull);
        (0..messages.len())
            .map(|at| if odd(&at) { refused() } else { stored.next().unwrap() })
            .collect()
    };
    let request = PullRequest {
        topic: system::SCHEDULE_TOPIC,
        queue_id: queue_of(1),
        offset: 0,
        count_max: 9,
        filter: &All,
    };
    let pulled = broker.broker.store.pull_own(&request).unwrap();
    let turn = level.turn(&broker.broker, &pulled, now);
    let again_at = level.deliver_turn(&broker.broker, turn, now, append);
    assert_eq!(again_at, now + FAILURE_PAUSE_MS);
    assert_eq!((bodies(&broker, "T"), level.position(&broker.broker)), (texts("024"), 1));
    // A shorter turn forgets nothing of what the longer one was done with.
    let pulled = broker.broker.store.pull_own(&PullRequest { offset: 1, count_max: 1, ..request });
    let turn = level.turn(&broker.broker, &pulled.unwrap(), now);
    level.deliver_turn(&broker.broker, turn, now, append_all);
    assert_eq!((bodies(&broker, "T"), level.position(&broker.broker)), (texts("0241"), 2));
    level.deliver(&broker.broker);
    assert_eq!((bodies(&broker, "T"), level.position(&broker.broker)), (texts("02413"), 5));
}

fn texts(digits: &str) -> Vec<String> {
    digits.chars().map(String::from).collect()
}

#[tokio::test]
async fn a_master_whose_place_is_taken_delivers_nothing() {
    let broker = TestBroker::new();
    send(&broker, 1, "due").await;
    let mut levels = Levels::of(&broker.broker);
    broker.clock.advance(SECOND);
    broker.broker.member.set_standing(Standing::Replaced("why".to_owned()));
    levels.look(&broker.broker);
    assert!(bodies(&broker, "T").is_empty());
    broker.broker.member.set_standing(Standing::Serving);
    broker.clock.advance(SECOND);
    levels.look(&broker.broker);
    assert_eq!(bodies(&broker, "T"), ["due"]);
}

#[tokio::test]
async fn a_clock_that_was_put_back_does_not_keep_levels_from_being_looked_at() {
    let broker = TestBroker::new();
    send(&broker, 3, "waits").await;
    let mut levels = Levels::of(&broker.broker);
    levels.look(&broker.broker);
    // As if it had been an hour later then.
    levels.levels.iter_mut().for_each(|level| level.look_at += 3_600_000);
    broker.clock.advance(10 * SECOND);
    levels.look(&broker.broker);
    assert_eq!(bodies(&broker, "T"), ["waits"]);
}

#[tokio::test]
async fn a_clock_that_was_put_back_does_not_hold_messages_for_ever_b272() {
    let broker = TestBroker::new();
    send(&broker, 3, "of the future").await;
    let mut level = Level::new(3, 10_000);
    let pulled = || {
        let request = PullRequest {
            topic: system::SCHEDULE_TOPIC,
            queue_id: queue_of(3),
            offset: 0,
            count_max: 1,
            filter: &All,
        };
        broker.broker.store.pull(&request, true).unwrap()
    };
    let stored_at = Record::parse(&pulled().body).unwrap().store_timestamp();
    let mut due = |now| level.turn(&broker.broker, &pulled(), now).due.len();
    assert_eq!((due(stored_at), due(stored_at + 9_999), due(stored_at + 10_000)), (0, 0, 1));
    assert_eq!(due(stored_at - 1), 1);
    let turn = level.turn(&broker.broker, &pulled(), stored_at);
    assert_eq!((turn.next, turn.wait_until), (QueueOffset(0), Some(stored_at + 10_000)));
}
