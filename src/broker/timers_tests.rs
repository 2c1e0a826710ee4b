//! Messages that wait for a time of their own, over a real store, with a clock that tests move.

use std::path::Path;

use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use super::super::tests_support::{
    TestBroker, eventually, open, options_of, properties as text, readable, store_options,
};
use super::*;
use crate::clock::Clock;
use crate::model::BrokerId;
use crate::remoting::request;
use crate::store::{Retention, StartTopics, Store, StoreOptions};

use crate::store::options::StoreRole;

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

fn bodies(broker: &TestBroker) -> Vec<String> {
    let records = broker.records("T", 0);
    let body = |bytes| String::from_utf8(Record::parse(bytes).unwrap().body().to_vec()).unwrap();
    records.iter().map(|bytes| body(bytes)).collect()
}

async fn send(broker: &TestBroker, wish: &str, body: &str) {
    let sent = broker.send("T", &text(&format!("{wish} UNIQ_KEY=id-{body}")), body).await;
    assert_eq!((sent.code, sent.remark), (0, None));
}

fn count_waiting(store: &Store) -> usize {
    store.timers().below(store.log_range().1, usize::MAX).unwrap().unwrap().len()
}

#[tokio::test]
async fn messages_are_delivered_at_their_time_in_its_order_and_not_before() {
    let broker = TestBroker::new();
    broker.start();
    let now_ms = broker.clock.now_ms();
    send(&broker, &format!("TIMER_DELIVER_MS={}", now_ms + 9_000_000), "at").await;
    send(&broker, "TIMER_DELAY_SEC=6000", "seconds").await;
    send(&broker, "TIMER_DELAY_MS=5900000 TIMER_DELIVER_MS=1", "milliseconds").await;
    send(&broker, &format!("TIMER_DELIVER_MS={now_ms}"), "the past").await;
    send(&broker, "TIMER_DELAY_MS=-1", "no delay").await;
    assert_eq!(bodies(&broker), ["the past", "no delay"], "5.x: at once");
    broker.clock.advance(Duration::from_secs(5800));
    assert_eq!(bodies(&broker).len(), 2);
    broker.clock.advance(Duration::from_secs(200));
    eventually("both", || bodies(&broker).len() == 4).await;
    broker.clock.advance(Duration::from_secs(3000));
    eventually("all", || bodies(&broker).len() == 5).await;
    assert_eq!(bodies(&broker)[2..], ["milliseconds", "seconds", "at"]);
    assert_eq!(count_waiting(&broker.broker.store), 0);
    let (waited, records) = (broker.records(system::TIMER_TOPIC, 0), broker.records("T", 0));
    let (waited, delivered) =
        (Record::parse(&waited[0]).unwrap(), Record::parse(&records[4]).unwrap());
    assert_eq!(delivered.properties(), waited.properties());
    let due_ms = now_ms + 9_000_000;
    let found = readable(delivered.properties());
    for expected in [format!("TIMER_OUT_MS={due_ms}"), "REAL_TOPIC=T".into(), "REAL_QID=0".into()] {
        assert!(found.split(' ').any(|property| property == expected), "{found}");
    }
    assert_eq!(delivered.born_timestamp(), waited.born_timestamp());
    assert!(delivered.store_timestamp() >= due_ms);
}

#[tokio::test]
async fn one_that_is_due_earlier_than_those_known_is_not_late() {
    let broker = TestBroker::new();
    broker.start();
    send(&broker, "TIMER_DELAY_MS=900000", "later").await;
    send(&broker, "TIMER_DELAY_MS=50", "earlier").await;
    eventually("the earlier one", || bodies(&broker) == ["earlier"]).await;
    let records = broker.records("T", 0);
    let record = Record::parse(&records[0]).unwrap();
    let due_ms = properties::find(record.properties(), "TIMER_OUT_MS").unwrap();
    assert!(record.store_timestamp() >= due_ms.parse().unwrap());
}

#[tokio::test]
async fn of_long_messages_few_are_held_at_once() {
    let broker = TestBroker::new();
    let long = "x".repeat(600 << 10);
    for id in ["1", "2", "3"] {
        let wish = text(&format!("TIMER_DELAY_SEC=1 UNIQ_KEY={id}"));
        assert_eq!(broker.send("T", &wish, &long).await.code, 0);
    }
    broker.clock.advance(Duration::from_secs(1));
    let mut moves = Moves::default();
    for expected in [2, 3] {
        assert!(matches!(look(&broker.broker, &mut moves), Ok(Next::GoOn)));
        assert_eq!(bodies(&broker).len(), expected);
    }
    assert!(matches!(look(&broker.broker, &mut moves), Ok(Next::Sleep)));
}

#[tokio::test]
async fn what_the_disk_does_not_give_now_is_delivered_later() {
    let broker = TestBroker::new();
    send(&broker, "TIMER_DELAY_SEC=1", "body").await;
    broker.clock.advance(Duration::from_secs(1));
    let log = broker.lose_first_segment();
    let mut moves = Moves::default();
    look(&broker.broker, &mut moves).unwrap_err();
    let timer = broker.broker.store.timers().due(broker.clock.now_ms(), 1).unwrap()[0];
    moved(&broker.broker, timer).unwrap_err();
    std::fs::write(broker.first_segment(), log).unwrap();
    assert_eq!(count_waiting(&broker.broker.store), 1, "nothing says that it is over");
    assert!(matches!(look(&broker.broker, &mut moves), Ok(Next::GoOn)));
    assert_eq!(bodies(&broker), ["body"]);
}

#[tokio::test]
async fn a_delay_level_counts_before_a_time_as_with_5x() {
    let broker = TestBroker::new();
    broker.start();
    send(&broker, "DELAY=1 TIMER_DELAY_SEC=abc", "level").await;
    send(&broker, "DELAY=0 TIMER_DELAY_SEC=500", "time").await;
    broker.clock.advance(Duration::from_secs(1));
    eventually("the one of the level", || bodies(&broker) == ["level"]).await;
    let records = broker.records("T", 0);
    assert!(!Record::parse(&records[0]).unwrap().properties().contains("TIMER_"));
    broker.clock.advance(Duration::from_secs(500));
    eventually("the one with a time", || bodies(&broker) == ["level", "time"]).await;
}

#[tokio::test]
async fn one_that_waited_already_does_not_wait_again() {
    let broker = TestBroker::new();
    send(&broker, "TIMER_OUT_MS=5 TIMER_DELAY_SEC=60", "given back").await;
    assert_eq!(bodies(&broker), ["given back"]);
}

#[tokio::test]
async fn wishes_that_cannot_be_met_are_refused_with_what_to_write() {
    let broker = TestBroker::new();
    let too_late = broker.clock.now_ms() + DELAY_MAX_MS + 60_000;
    for (wish, remark) in [
        (
            "TIMER_DELAY_SEC=1.5".to_owned(),
            "the property TIMER_DELAY_SEC is `1.5`: write a whole number",
        ),
        (
            "TIMER_DELAY_MS=soon".to_owned(),
            "the property TIMER_DELAY_MS is `soon`: write a whole number",
        ),
        (format!("TIMER_DELIVER_MS={too_late}"), "the message would wait for longer than 40 days"),
        (format!("TIMER_DELAY_SEC={}", i64::MAX), "the message would wait for longer than 40 days"),
        (
            "TRAN_MSG=true TIMER_DELAY_SEC=5x".to_owned(),
            "the property TIMER_DELAY_SEC is `5x`: write a whole number",
        ),
        ("TIMER_DELAY_SEC=5 TIMER_DEL_UNIQKEY=x".to_owned(), "use `rmq-node admin timers cancel`"),
    ] {
        let answer = broker.send("T", &text(&wish), "body").await;
        assert_eq!(answer.code, response::MESSAGE_ILLEGAL, "{wish}");
        let found = answer.remark.unwrap_or_default();
        assert!(found.contains(remark), "{found}");
    }
    send(&broker, "TIMER_DELAY_SEC=3456000", "forty days").await;
    assert_eq!(count_waiting(&broker.broker.store), 1);
    let answer = broker.send(system::TIMER_TOPIC, "", "body").await;
    assert_eq!(answer.code, response::NO_PERMISSION);
}

#[tokio::test]
async fn each_message_is_delivered_once_over_restarts() {
    let mut broker = TestBroker::new();
    let mut expected = Vec::new();
    for round in 0..3 {
        for number in 0..300 {
            let body = format!("{round}-{number:03}");
            send(&broker, &format!("TIMER_DELAY_MS={}", 600_000 + number), &body).await;
            expected.push(body);
        }
        broker.start();
        broker.clock.advance(HOUR);
        // The restart comes anywhere in the delivery.
        eventually("some", || bodies(&broker).len() > round * 300).await;
        broker = broker.restarted().await;
    }
    broker.start();
    eventually("all", || bodies(&broker).len() >= expected.len()).await;
    eventually("the end", || count_waiting(&broker.broker.store) == 0).await;
    let mut found = bodies(&broker);
    found.sort_unstable();
    assert_eq!(found, expected);
}

/// Copies a master's whole log, as replication does.
fn copy(master: &Store, slave: &Store) {
    let (start, end) = master.log_range();
    let replica = master.replica(start);
    let mut bytes = vec![0; usize::try_from(end.0 - start.0).unwrap()];
    replica.read(start.0, &mut bytes).unwrap();
    let from = usize::try_from(slave.log_range().1.0 - start.0).unwrap();
    slave.append_copied(slave.log_range().1, &bytes[from..]).unwrap();
    assert_eq!(slave.log_range().1, end);
}

fn slave_options(dir: &Path) -> StoreOptions {
    StoreOptions { role: StoreRole::Slave, ..store_options(dir) }
}

#[tokio::test]
async fn a_slave_that_becomes_the_master_delivers_what_its_master_had_not() {
    let master = TestBroker::new();
    let dir = tempfile::tempdir().unwrap();
    let options = slave_options(dir.path());
    let start_topics = StartTopics::new("C", "broker-a");
    let slave = Store::open(options, &start_topics, &master.clock, &|_, _| {}).unwrap();
    for (seconds, body) in [(600, "by the master"), (1200, "by the slave"), (1300, "cancelled")] {
        send(&master, &format!("TIMER_DELAY_SEC={seconds}"), body).await;
    }
    master.start();
    master.clock.advance(Duration::from_secs(601));
    eventually("the first", || bodies(&master) == ["by the master"]).await;
    assert_eq!(cancel(&master, "id-cancelled").await, (0, String::new()));
    copy(&master.broker.store, &slave);
    assert_eq!(count_waiting(&slave), 1);
    assert!(slave.stop());
    drop(slave);
    let options = store_options(dir.path());
    let taken_over = open(options, options_of("DefaultCluster"), &master.clock);
    let stop = CancellationToken::new();
    taken_over.start(&Handle::current(), &Handle::current(), &stop);
    master.clock.advance(Duration::from_secs(800));
    eventually("the delivery", || count_waiting(&taken_over.store) == 0).await;
    assert_eq!(taken_over.store.max_offset("T", QueueId(0)).0, 2);
    stop.cancel();
}

async fn cancel(broker: &TestBroker, id: &str) -> (i32, String) {
    cancel_as(broker, id, false).await
}

async fn cancel_as(broker: &TestBroker, id: &str, dry_run: bool) -> (i32, String) {
    let body = extension::to_bytes(&CancelTimer { id: id.to_owned(), dry_run });
    broker.refused(Command::request(request::EXTENSION_CANCEL_TIMER).with_body(body)).await
}

#[tokio::test]
async fn a_cancelled_message_is_not_delivered() {
    let broker = TestBroker::new();
    broker.start();
    send(&broker, "TIMER_DELAY_SEC=60", "wanted").await;
    send(&broker, "TIMER_DELAY_SEC=50", "unwanted").await;
    assert_eq!(cancel_as(&broker, "id-wanted", true).await, (0, String::new()));
    assert_eq!(cancel(&broker, "id-unwanted").await, (0, String::new()));
    let gone =
        (response::QUERY_NOT_FOUND, "no message of the id id-unwanted waits here for its time");
    assert_eq!(cancel(&broker, "id-unwanted").await, (gone.0, gone.1.to_owned()));
    let broker = broker.restarted().await;
    broker.start();
    broker.clock.advance(Duration::from_secs(60));
    eventually("the other one", || bodies(&broker) == ["wanted"]).await;
    let delivered = cancel(&broker, "id-wanted").await;
    assert_eq!(delivered.0, response::QUERY_NOT_FOUND);
    let slave = broker.restarted_as_slave().await;
    let refused = cancel(&slave, "id-wanted").await.1;
    assert_eq!(refused, "this is a slave: ask the master of its group");
}

#[tokio::test]
async fn a_message_that_waits_longer_than_the_log_is_kept_is_stored_again() {
    let broker = TestBroker::with(|options| {
        let delete_hours = (0..24).collect();
        options.retention = Retention { delete_hours, ..Retention::default() }.into();
        options.checkpoint_interval_ms = 20;
    });
    broker.start();
    send(&broker, "TIMER_DELAY_SEC=3456000", "after forty days").await;
    send(&broker, &format!("TIMER_DELAY_SEC={}", 9 * 24 * 3600), "cancelled").await;
    let store = &broker.broker.store;
    for round in 0..3 {
        // A segment full of others, which become too old.
        let before = store.log_range();
        for _ in 0..5 {
            broker.store("Other", &"x".repeat(300_000)).await;
        }
        broker.clock.advance(4 * DAY);
        broker.store("Other", "new").await;
        let begins_later = || {
            // Old files are looked for every ten seconds.
            broker.clock.advance(Duration::from_secs(1));
            store.log_range().0 > before.0
        };
        eventually("a later begin of the log", begins_later).await;
        assert_eq!(bodies(&broker), [""; 0]);
        if round == 0 {
            assert_eq!(cancel(&broker, "id-cancelled").await, (0, String::new()));
        }
    }
    assert_eq!(count_waiting(store), 1);
    broker.clock.advance(28 * DAY);
    eventually("the message", || bodies(&broker) == ["after forty days"]).await;
}

#[tokio::test]
async fn a_deleted_topic_does_not_come_back_with_what_waited_for_it_s46() {
    let broker = TestBroker::new();
    send(&broker, "TIMER_DELAY_SEC=60", "of the deleted topic").await;
    broker.broker.store.remove_topic("T");
    broker.start();
    broker.clock.advance(Duration::from_secs(60));
    eventually("the end", || count_waiting(&broker.broker.store) == 0).await;
    assert_eq!(broker.broker.store.tables().topics.get("T"), None);
}

#[tokio::test]
async fn what_can_never_be_delivered_does_not_stop_the_rest() {
    let broker = TestBroker::new();
    let topic = "t".repeat(200);
    for wish in ["TIMER_OUT_MS=1", "TIMER_OUT_MS=1 REAL_TOPIC=T REAL_QID=x"]
        .map(str::to_owned)
        .into_iter()
        .chain([format!("TIMER_OUT_MS=1 REAL_TOPIC={topic} REAL_QID=0")])
    {
        let timer = Timer { due_ms: 1, offset: PhysicalOffset(0) };
        let record = NewMessage {
            properties: text(&wish),
            prepared_transaction_offset: 0,
            ..end(&broker.broker, timer, "")
        };
        append(&broker.broker.store, record).unwrap();
    }
    assert_eq!(count_waiting(&broker.broker.store), 3);
    send(&broker, "TIMER_DELAY_MS=1000", "good").await;
    broker.start();
    broker.clock.advance(Duration::from_secs(1));
    eventually("the good one", || bodies(&broker) == ["good"]).await;
    eventually("the end", || count_waiting(&broker.broker.store) == 0).await;
}

#[tokio::test]
async fn a_batch_with_a_wish_is_refused() {
    for (of_all, own) in [("TIMER_DELAY_SEC=5", ""), ("", "TIMER_DELIVER_MS=5")] {
        assert_eq!(refuse_in_batch(&text(of_all)).is_err(), !of_all.is_empty());
        assert_eq!(refuse_in_batch(&text(own)).is_err(), !own.is_empty());
    }
    assert!(refuse_in_batch(&text("TIMER_DELAY=5 KEYS=TIMER_DELAY_SEC")).is_ok());
}

#[test]
fn a_slave_does_not_deliver() {
    let dir = tempfile::tempdir().unwrap();
    let options = BrokerId(1);
    let options = super::super::BrokerOptions { id: options, ..options_of("DefaultCluster") };
    let broker = open(slave_options(dir.path()), options, &Clock::system());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    broker.start_deliveries(runtime.handle(), &CancellationToken::new());
    assert_eq!(runtime.metrics().num_alive_tasks(), 0);
}

#[tokio::test]
async fn what_waits_is_listed_in_parts_in_the_order_of_its_times() {
    let broker = TestBroker::new();
    for (wish, body) in [(90, "c"), (30, "a"), (60, "b")] {
        send(&broker, &format!("TIMER_DELAY_SEC={wish}"), body).await;
    }
    let list = async |asked: ListTimers| {
        let request = Command::request(request::EXTENSION_LIST_TIMERS);
        let answer = broker.call(request.with_body(extension::to_bytes(&asked))).await;
        extension::parse::<TimersPart>(&answer.body).unwrap()
    };
    let first = list(ListTimers { count_max: 2, counts: true, ..ListTimers::default() }).await;
    let shown = |part: &TimersPart| {
        part.rows.iter().map(|row| format!("{}/{}", row.topic, row.id)).collect::<Vec<_>>()
    };
    assert_eq!((shown(&first), first.count), (vec!["T/id-a".into(), "T/id-b".into()], Some(3)));
    let (from_ms, from_offset) = first.next.unwrap();
    let rest = ListTimers { from_ms, from_offset, count_max: usize::MAX, counts: false };
    let rest = list(rest).await;
    assert_eq!((shown(&rest), rest.next, rest.count), (vec!["T/id-c".into()], None, None));
}

#[tokio::test]
async fn what_is_due_soon_and_how_late_it_is_can_be_asked() {
    let broker = TestBroker::new();
    let soon = || broker.broker.timers_due_soon().unwrap();
    send(&broker, "TIMER_DELAY_SEC=5", "soon").await;
    send(&broker, "TIMER_DELAY_SEC=500", "later").await;
    // Nobody delivers here: it is loaded, and stays.
    broker.broker.store.timers().due(broker.clock.now_ms(), 1).unwrap();
    assert_eq!(soon(), (1, Duration::ZERO));
    broker.clock.advance(Duration::from_secs(8));
    let (count, late) = soon();
    assert!(count == 1 && late >= Duration::from_secs(3), "{late:?}");
}
