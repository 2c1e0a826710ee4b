//! Checks over a real store, with producers on real sockets and a clock that tests move.

use super::super::clients::tests::Peer;
use super::super::tests_support::{TestBroker, eventually};
use super::super::transactions::tests::{HALF, OVER, bodies, commit_of, send_half};
use super::*;

const SECOND: Duration = Duration::from_secs(1);
const GIVEN_UP: &str = system::CHECK_MAX_TIME_TOPIC;

/// One run, as if it was time for it.
fn run(broker: &TestBroker) {
    assert!(!check(&broker.broker, &CancellationToken::new()));
}

/// How far half messages and marks were gone through.
fn positions(broker: &TestBroker) -> (u64, u64) {
    (position(&broker.broker, HALF).unwrap(), position(&broker.broker, OVER).unwrap())
}

async fn producer(broker: &TestBroker) -> Peer {
    Peer::producer(&broker.address, &["P"]).await
}

/// What ends the half message of the next question.
async fn next_question(producer: &mut Peer) -> Command {
    let question = producer.next().await.expect("the connection stays");
    assert_eq!((question.code, question.is_oneway()), (39, true));
    let end = Command::request(request::END_TRANSACTION).with_field("producerGroup", "P");
    let end = end.with_field("fromTransactionCheck", true).with_field("msgId", "U");
    ["tranStateTableOffset", "commitLogOffset"]
        .iter()
        .fold(end, |end, field| end.with_field(field, question.field(field).unwrap()))
}

fn property(bytes: &[u8], key: &str) -> Option<String> {
    properties::find(Record::parse(bytes).unwrap().properties(), key).map(str::to_owned)
}

#[tokio::test]
async fn a_producer_is_asked_once_a_half_message_is_old_enough_b264_b266_b267() {
    let broker = TestBroker::new();
    let mut producer = producer(&broker).await;
    let _ = send_half(&broker, "WAIT=true", "half").await;
    broker.clock.advance(SECOND);
    run(&broker);
    assert_eq!((positions(&broker), broker.records(HALF, 0).len()), ((0, 0), 1));
    assert_eq!(broker.broker.store.tables().topics.get(HALF).unwrap().read_queues, 1, "B-051");
    broker.clock.advance(5 * SECOND);
    run(&broker);
    let question = producer.next().await.unwrap();
    let records = broker.records(HALF, 0);
    let (half, copy) = (Record::parse(&records[0]).unwrap(), Record::parse(&records[1]).unwrap());
    assert_eq!((positions(&broker), records.len()), ((1, 0), 2));
    assert_eq!(property(&records[1], properties::TRANSACTION_CHECK_TIMES).as_deref(), Some("1"));
    assert_eq!(property(&records[1], properties::WAIT).as_deref(), Some("true"));
    assert_eq!((copy.flag(), copy.born_timestamp()), (half.flag(), half.born_timestamp()));
    let id = MessageId { store_host: half.store_host(), offset: copy.physical_offset() };
    for (field, value) in [
        ("tranStateTableOffset", "1".to_owned()),
        ("commitLogOffset", copy.physical_offset().to_string()),
        ("msgId", "U-half".to_owned()),
        ("transactionId", "U-half".to_owned()),
        ("offsetMsgId", id.to_string()),
    ] {
        assert_eq!(question.field(field), Some(&*value), "{field}");
    }
    let shown = Record::parse(&question.body).unwrap();
    assert_eq!((shown.topic(), shown.queue_id().0), ("T", 1), "S-18");
    assert_eq!(
        (shown.queue_offset(), shown.physical_offset()),
        (copy.queue_offset(), copy.physical_offset())
    );
    assert_eq!((shown.body(), shown.store_timestamp()), (half.body(), half.store_timestamp()));
    assert!(shown.crc_matches());
}

#[tokio::test]
async fn the_answer_to_a_check_ends_the_newest_copy_s17() {
    let broker = TestBroker::new();
    let mut producer = producer(&broker).await;
    let _ = send_half(&broker, "", "half").await;
    for times in 1..=3 {
        broker.clock.advance(60 * SECOND);
        run(&broker);
        let end = next_question(&mut producer).await;
        assert_eq!(end.required_i64("tranStateTableOffset"), Ok(times));
        if times == 3 {
            assert_eq!(producer.answer(commit_of(end)).await.code, 0);
        }
    }
    assert_eq!(bodies(&broker, "T", 1), ["half"]);
    assert_eq!(positions(&broker), (3, 0));
    broker.clock.advance(60 * SECOND);
    run(&broker);
    assert_eq!((positions(&broker), broker.records(HALF, 0).len()), ((4, 1), 4), "it is over");
    assert_eq!(broker.broker.metrics.transaction_checks.get(), 3);
}

#[tokio::test]
async fn what_is_over_is_stepped_over_however_much_it_is() {
    let broker = TestBroker::new();
    let mut producer = producer(&broker).await;
    let mut ends = Vec::new();
    for number in 0..100 {
        ends.push(send_half(&broker, "", &number.to_string()).await);
    }
    // Nobody ends the half messages 40 and 99; the rest ends from the last to the first.
    for number in (0..99).rev().filter(|number| *number != 40) {
        assert_eq!(broker.call(commit_of(ends[number].clone())).await.code, 0);
    }
    broker.clock.advance(6 * SECOND);
    run(&broker);
    for (at, offset) in [(100, 40), (101, 99)] {
        let end = next_question(&mut producer).await;
        assert_eq!(end.required_i64("tranStateTableOffset"), Ok(at));
        let records = broker.records(HALF, 0);
        let copied = Record::parse(&records[usize::try_from(at).unwrap()]).unwrap();
        assert_eq!(copied.body(), offset.to_string().as_bytes());
    }
    assert_eq!(positions(&broker), (100, 98));
    assert_eq!(bodies(&broker, "T", 1).len(), 98);
}

#[tokio::test]
async fn marks_of_what_is_too_young_are_read_again() {
    let broker = TestBroker::new();
    let _producer = producer(&broker).await;
    let old = send_half(&broker, "", "old").await;
    broker.clock.advance(6 * SECOND);
    let _ = send_half(&broker, "", "young").await;
    let over = send_half(&broker, "", "over").await;
    for end in [over, old] {
        assert_eq!(broker.call(commit_of(end)).await.code, 0);
    }
    // Nothing is known of the old one until a mark is asked for.
    run(&broker);
    assert_eq!(positions(&broker), (1, 0), "the first mark is of the third half message");
    broker.clock.advance(6 * SECOND);
    run(&broker);
    assert_eq!(positions(&broker), (3, 2));
    assert_eq!(bodies(&broker, HALF, 0), ["old", "young", "over", "young"]);
}

#[tokio::test]
async fn after_so_many_checks_it_is_given_up_b262() {
    let broker = TestBroker::giving_up_after(3);
    let mut producer = producer(&broker).await;
    let _ = send_half(&broker, "", "half").await;
    for _ in 0..3 {
        broker.clock.advance(60 * SECOND);
        run(&broker);
        let _ = next_question(&mut producer).await;
        assert!(broker.records(GIVEN_UP, 0).is_empty(), "the last check can still be answered");
    }
    broker.clock.advance(60 * SECOND);
    run(&broker);
    assert_eq!((positions(&broker), bodies(&broker, GIVEN_UP, 0)), ((4, 0), vec!["half".into()]));
    let given_up = broker.records(GIVEN_UP, 0);
    assert_eq!(property(&given_up[0], properties::TRANSACTION_CHECK_TIMES).as_deref(), Some("3"));
    assert_eq!(property(&given_up[0], properties::REAL_TOPIC).as_deref(), Some("T"));
    assert_eq!(broker.broker.metrics.transactions_discarded.get(), 1);
    broker.clock.advance(60 * SECOND);
    run(&broker);
    assert_eq!(broker.records(HALF, 0).len(), 4, "nothing is left to check");
}

#[tokio::test]
async fn what_is_older_than_anything_kept_is_given_up_unasked_b262() {
    let broker = TestBroker::new();
    let _ = send_half(&broker, "CHECK_IMMUNITY_TIME_IN_SECONDS=9999999", "half").await;
    broker.clock.advance(72 * 3600 * SECOND + SECOND);
    run(&broker);
    assert_eq!(bodies(&broker, GIVEN_UP, 0), ["half"]);
    assert_eq!(broker.records(HALF, 0).len(), 1);
}

#[tokio::test]
async fn who_asks_not_to_be_checked_yet_is_not_b264() {
    let broker = TestBroker::new();
    let mut producer = producer(&broker).await;
    let immune = "CHECK_IMMUNITY_TIME_IN_SECONDS=100";
    let over = send_half(&broker, immune, "over").await;
    let _ = send_half(&broker, immune, "open").await;
    let _ = send_half(&broker, "CHECK_IMMUNITY_TIME_IN_SECONDS=1", "hasty").await;
    broker.clock.advance(2 * SECOND);
    run(&broker);
    assert_eq!(next_question(&mut producer).await.required_i64("tranStateTableOffset"), Ok(5));
    assert_eq!(bodies(&broker, HALF, 0), ["over", "open", "hasty", "over", "open", "hasty"]);
    let records = broker.records(HALF, 0);
    assert_eq!(property(&records[4], properties::PREPARED_QUEUE_OFFSET).as_deref(), Some("1"));
    assert_eq!(property(&records[4], properties::WAIT).as_deref(), Some("false"));
    assert_eq!(property(&records[4], properties::TRANSACTION_CHECK_TIMES), None);
    // Its producer knows only where it was first.
    assert_eq!(broker.call(commit_of(over)).await.code, 0);
    broker.clock.advance(60 * SECOND);
    run(&broker);
    let _ = next_question(&mut producer).await;
    assert_eq!(
        bodies(&broker, HALF, 0)[6..],
        ["open", "hasty"],
        "what is over does not come again"
    );
    let records = broker.records(HALF, 0);
    assert_eq!(property(&records[6], properties::PREPARED_QUEUE_OFFSET).as_deref(), Some("1"));
    broker.clock.advance(60 * SECOND);
    run(&broker);
    for at in [8, 9] {
        let end = next_question(&mut producer).await;
        assert_eq!(end.required_i64("tranStateTableOffset"), Ok(at), "now both are asked for");
    }
}

#[tokio::test]
async fn who_asks_for_nothing_that_can_be_read_holds_nobody_up_b264() {
    let broker = TestBroker::new();
    let mut producer = producer(&broker).await;
    for (immunity, body) in [("soon", "word"), ("-1", "minus"), ("1", "hasty")] {
        let immunity = format!("CHECK_IMMUNITY_TIME_IN_SECONDS={immunity}");
        let _ = send_half(&broker, &immunity, body).await;
    }
    broker.clock.advance(2 * SECOND);
    run(&broker);
    assert_eq!(next_question(&mut producer).await.required_i64("tranStateTableOffset"), Ok(5));
    assert_eq!(bodies(&broker, HALF, 0), ["word", "minus", "hasty", "word", "minus", "hasty"]);
    let records = broker.records(HALF, 0);
    for (at, before) in [(3, "0"), (4, "1")] {
        let found = property(&records[at], properties::PREPARED_QUEUE_OFFSET);
        assert_eq!(found.as_deref(), Some(before));
    }
    // The timeout is over.
    broker.clock.advance(5 * SECOND);
    run(&broker);
    for at in [6, 7, 8] {
        let end = next_question(&mut producer).await;
        assert_eq!(end.required_i64("tranStateTableOffset"), Ok(at));
    }
}

#[tokio::test]
async fn a_mark_is_not_passed_before_what_was_put_back_is_come_to() {
    let broker = TestBroker::new();
    let mut producer = producer(&broker).await;
    let over = send_half(&broker, "CHECK_IMMUNITY_TIME_IN_SECONDS=100", "over").await;
    let _ = send_half(&broker, "", "first").await;
    broker.clock.advance(4 * SECOND);
    let _ = send_half(&broker, "", "second").await;
    broker.clock.advance(SECOND);
    run(&broker);
    assert_eq!(bodies(&broker, HALF, 0), ["over", "first", "second", "over"]);
    assert_eq!(broker.call(commit_of(over)).await.code, 0);
    broker.clock.advance(2 * SECOND);
    run(&broker);
    assert_eq!(positions(&broker), (2, 0), "the copy is ahead, and its mark is read already");
    broker.clock.advance(10 * SECOND);
    run(&broker);
    assert_eq!(bodies(&broker, HALF, 0)[4..], ["first", "second", "first"], "it is over");
    assert_eq!(positions(&broker), (5, 1));
    for at in [4, 5, 6] {
        let end = next_question(&mut producer).await;
        assert_eq!(end.required_i64("tranStateTableOffset"), Ok(at));
    }
}

#[tokio::test]
async fn of_marks_that_are_read_together_only_the_damaged_one_is_lost() {
    let broker = TestBroker::new();
    let _producer = producer(&broker).await;
    for number in 0..5 {
        let end = send_half(&broker, "", &number.to_string()).await;
        assert_eq!(broker.call(commit_of(end)).await.code, 0);
    }
    broker.damage(&broker.records(OVER, 0)[1]);
    broker.clock.advance(6 * SECOND);
    run(&broker);
    assert_eq!(bodies(&broker, HALF, 0)[5..], ["1"], "nobody is asked about the others again");
    assert_eq!(positions(&broker), (5, 5));
}

#[tokio::test]
async fn any_producer_of_the_group_is_asked_in_turn_b267() {
    let broker = TestBroker::new();
    let _stranger = Peer::producer(&broker.address, &["Q"]).await;
    let _ = send_half(&broker, "", "half").await;
    broker.clock.advance(60 * SECOND);
    run(&broker);
    assert_eq!(broker.records(HALF, 0).len(), 2, "nobody is there to be asked");
    let (mut first, mut second) = (producer(&broker).await, producer(&broker).await);
    for _ in 0..2 {
        broker.clock.advance(60 * SECOND);
        run(&broker);
    }
    let _ = next_question(&mut first).await;
    let end = next_question(&mut second).await;
    assert_eq!(second.answer(commit_of(end)).await.code, 0);
    assert_eq!(broker.broker.metrics.transaction_checks.get(), 2);
}

#[tokio::test]
async fn checks_go_on_after_a_restart() {
    let mut broker = TestBroker::new();
    let over = send_half(&broker, "", "over").await;
    let _ = send_half(&broker, "", "open").await;
    assert_eq!(broker.call(commit_of(over)).await.code, 0);
    broker.clock.advance(60 * SECOND);
    run(&broker);
    assert_eq!(positions(&broker), (2, 1));
    broker = broker.restarted().await;
    assert_eq!(positions(&broker), (2, 1));
    let mut producer = producer(&broker).await;
    broker.start();
    broker.clock.advance(59 * SECOND);
    assert_eq!(broker.records(HALF, 0).len(), 3);
    broker.clock.advance(SECOND);
    let end = next_question(&mut producer).await;
    assert_eq!(producer.answer(commit_of(end)).await.code, 0);
    assert_eq!(bodies(&broker, "T", 1), ["over", "open"]);
    broker.clock.advance(60 * SECOND);
    eventually("the position", || positions(&broker) == (4, 2)).await;
    assert_eq!(broker.records(HALF, 0).len(), 4);
}

#[tokio::test]
async fn what_cannot_be_stored_again_is_not_passed() {
    let broker = TestBroker::new();
    let _ = send_half(&broker, "", "half").await;
    broker.broker.store.refuse_appends();
    broker.clock.advance(60 * SECOND);
    run(&broker);
    assert_eq!(positions(&broker), (0, 0));
}
