//! Half messages and their ends over a real store; also what the tests of the checks share.

use super::super::clients::tests::Peer;
use super::super::tests_support::{TestBroker, eventually, header, properties, readable};
use std::time::Duration;

use super::*;
use crate::remoting::headers::SendHeader;
use crate::remoting::request;
use crate::store::ReadError;

pub(in crate::broker) const HALF: &str = system::HALF_TOPIC;
pub(in crate::broker) const OVER: &str = system::OP_HALF_TOPIC;

/// Sends a half message of group `P` to queue 1 of `T`; returns what ends it.
pub(in crate::broker) async fn send_half(broker: &TestBroker, more: &str, body: &str) -> Command {
    let text = properties(&format!("TRAN_MSG=true PGROUP=P UNIQ_KEY=U-{body} TAGS=A {more}"));
    let header = SendHeader {
        properties: &text,
        queue_id: 1,
        sys_flag: sys_flag::TRANSACTION_PREPARED,
        flag: 7,
        born_timestamp: broker.clock.now_ms(),
        ..header()
    };
    let body = Bytes::copy_from_slice(body.as_bytes());
    let sent = broker.call(header.to_request(request::SEND_MESSAGE).with_body(body)).await;
    assert_eq!((sent.code, sent.field("queueId")), (0, Some("1")));
    let id: MessageId = sent.field("msgId").unwrap().parse().unwrap();
    Command::request(request::END_TRANSACTION)
        .with_field("producerGroup", "P")
        .with_field("tranStateTableOffset", sent.field("queueOffset").unwrap())
        .with_field("commitLogOffset", id.offset)
        .with_field("fromTransactionCheck", false)
        .with_field("msgId", "U")
}

pub(in crate::broker) fn commit_of(end: Command) -> Command {
    end.with_field("commitOrRollback", sys_flag::TRANSACTION_COMMIT)
}

fn rollback_of(end: Command) -> Command {
    end.with_field("commitOrRollback", sys_flag::TRANSACTION_ROLLBACK)
}

/// The bodies in a queue.
pub(in crate::broker) fn bodies(broker: &TestBroker, topic: &str, queue: u32) -> Vec<String> {
    let records = broker.records(topic, queue);
    let body = |bytes| String::from_utf8(Record::parse(bytes).unwrap().body().to_vec()).unwrap();
    records.iter().map(|bytes| body(bytes)).collect()
}

#[tokio::test]
async fn a_half_message_waits_where_nobody_reads_it_b108_b250() {
    let broker = TestBroker::new();
    let end = send_half(&broker, "WAIT=false", "half").await;
    assert_eq!(end.field("tranStateTableOffset"), Some("0"));
    let records = broker.records(HALF, 0);
    let half = Record::parse(&records[0]).unwrap();
    assert_eq!((half.sys_flag(), half.queue_id(), half.flag()), (0, QUEUE, 7));
    let mut kept: Vec<_> = readable(half.properties()).split(' ').map(str::to_owned).collect();
    kept.sort();
    let expected = "CLUSTER=DefaultCluster PGROUP=P REAL_QID=1 REAL_TOPIC=T TAGS=A TRAN_MSG=true UNIQ_KEY=U-half WAIT=false";
    assert_eq!(kept.join(" "), expected, "S-12");
    assert!(broker.records("T", 1).is_empty() && broker.records(OVER, 0).is_empty());
    assert_eq!(broker.send("T", "TRAN_MSG\u{1}false", "whole").await.code, 0);
    assert_eq!(bodies(&broker, "T", 0), ["whole"]);
}

#[tokio::test]
async fn a_half_message_that_the_disk_does_not_give_now_is_ended_later() {
    let broker = TestBroker::new();
    let end = commit_of(send_half(&broker, "", "half").await);
    let log = broker.lose_first_segment();
    let unavailable = (1, ReadError::Unavailable.to_string());
    assert_eq!(broker.refused(end.clone()).await, unavailable);
    let resume = Command::request(request::RESUME_CHECK_HALF_MESSAGE);
    let resume = resume.with_field("msgId", "0".repeat(32));
    assert_eq!(broker.refused(resume).await, unavailable);
    std::fs::write(broker.first_segment(), log).unwrap();
    assert_eq!(broker.call(end).await.code, 0);
    assert_eq!(bodies(&broker, "T", 1), ["half"]);
}

#[tokio::test]
async fn a_half_message_is_not_delayed_s66() {
    let broker = TestBroker::new();
    let end = send_half(&broker, "DELAY=1", "half").await;
    assert_eq!(broker.call(commit_of(end)).await.code, 0);
    assert_eq!(bodies(&broker, "T", 1), ["half"]);
}

#[tokio::test]
async fn a_committed_message_waits_for_its_own_time_from_the_commit_on() {
    let broker = TestBroker::new();
    broker.start();
    let ends = [
        send_half(&broker, "TIMER_DELAY_SEC=60", "later").await,
        send_half(&broker, "TIMER_DELIVER_MS=1", "the past").await,
        send_half(&broker, "TIMER_DELAY_SEC=60", "rolled back").await,
    ];
    assert_eq!(bodies(&broker, HALF, 0).len(), 3, "none of them waits before its end");
    broker.clock.advance(Duration::from_secs(59));
    let [later, past, rolled_back] = ends;
    assert_eq!(broker.call(commit_of(later)).await.code, 0);
    assert_eq!(broker.call(commit_of(past)).await.code, 0);
    assert_eq!(broker.call(rollback_of(rolled_back)).await.code, 0);
    assert_eq!(bodies(&broker, OVER, 0), ["0", "1", "2"]);
    broker.clock.advance(Duration::from_secs(59));
    assert_eq!(bodies(&broker, "T", 1), ["the past"]);
    assert_eq!(bodies(&broker, system::TIMER_TOPIC, 0), ["later"]);
    broker.clock.advance(Duration::from_secs(2));
    eventually("the one that waited", || bodies(&broker, "T", 1) == ["the past", "later"]).await;
    let records = broker.records("T", 1);
    let record = Record::parse(&records[1]).unwrap();
    assert_eq!((record.sys_flag(), record.flag()), (0, 7));
    assert!(record.properties().contains("TAGS"), "{}", record.properties());
}

#[tokio::test]
async fn a_commit_delivers_b255_b256() {
    let broker = TestBroker::new();
    let end = send_half(&broker, "", "first").await;
    let answer = broker.call(commit_of(end.clone())).await;
    assert_eq!((answer.code, &answer.remark), (0, &None));
    let (halves, records) = (broker.records(HALF, 0), broker.records("T", 1));
    let (half, record) = (Record::parse(&halves[0]).unwrap(), Record::parse(&records[0]).unwrap());
    assert_eq!(record.properties(), half.properties(), "S-14");
    assert_eq!((record.sys_flag(), record.flag()), (sys_flag::TRANSACTION_COMMIT, 7));
    assert_eq!(record.prepared_transaction_offset(), half.physical_offset().to_wire());
    assert_eq!(record.born_timestamp(), half.born_timestamp());
    let marks = broker.records(OVER, 0);
    let mark = Record::parse(&marks[0]).unwrap();
    assert_eq!((mark.body(), mark.sys_flag(), mark.flag()), (&b"0"[..], 0, 0));
    assert_eq!(mark.born_host(), mark.store_host());
    assert_eq!(readable(mark.properties()), "WAIT=true TAGS=d");
    assert!(broker.broker.store.tables().topics.get(OVER).is_none(), "S-16");
    assert_eq!(broker.call(commit_of(end)).await.code, 0);
    assert_eq!(bodies(&broker, "T", 1), ["first", "first"], "B-258");
    assert_eq!(broker.broker.metrics.transactions_committed.get(), 2);
}

#[tokio::test]
async fn a_transaction_is_one_message_for_the_broker_and_one_for_its_topic_b370_b373() {
    let broker = TestBroker::new();
    let end = send_half(&broker, "", "first").await;
    assert_eq!(broker.call(commit_of(end)).await.code, 0);
    let statistics = &broker.broker.statistics;
    statistics.sample_now();
    for (name, key) in [("BROKER_PUT_NUMS", "DefaultCluster"), ("TOPIC_PUT_NUMS", "T")] {
        assert_eq!(broker.counted(name, key, "statsMinute").await, 1, "{name}");
    }
    assert_eq!(statistics.totals().stored.messages, 2, "what was appended");
}

#[tokio::test]
async fn a_rollback_only_marks_b257() {
    let broker = TestBroker::new();
    let _ = send_half(&broker, "", "first").await;
    let end = send_half(&broker, "", "second").await;
    let answer = broker.call(rollback_of(end)).await;
    assert_eq!((answer.code, answer.remark.as_deref()), (0, Some(NO_CODE_SET)));
    assert!(broker.records("T", 1).is_empty());
    assert_eq!(bodies(&broker, OVER, 0), ["1"]);
    assert_eq!(broker.broker.metrics.transactions_rolled_back.get(), 1);
}

#[tokio::test]
async fn what_is_not_known_yet_is_not_answered_b253() {
    let broker = TestBroker::new();
    let end = send_half(&broker, "", "half").await;
    let mut peer = Peer::connect(&broker.address).await;
    peer.send(&Command { opaque: 7, ..end.with_field("commitOrRollback", 0) }).await;
    let next = Command::request(request::GET_MAX_OFFSET).with_field("topic", "T");
    let next = Command { opaque: 8, ..next.with_field("queueId", 1) };
    assert_eq!(peer.answer(next).await.opaque, 8);
    assert!(broker.records(OVER, 0).is_empty());
}

#[tokio::test]
async fn what_does_not_fit_its_half_message_is_refused_b254_b259() {
    let broker = TestBroker::new();
    let end = commit_of(send_half(&broker, "", "half").await);
    let at = end.required_i64("commitLogOffset").unwrap();
    let ordinary = properties("PGROUP=P REAL_TOPIC=T REAL_QID=1");
    let sent = broker.send("T", &ordinary, "no half message").await;
    let id: MessageId = sent.field("msgId").unwrap().parse().unwrap();
    for (field, value, remark) in [
        ("producerGroup", "Q".to_owned(), "The producer group wrong"),
        ("tranStateTableOffset", "1".to_owned(), "The transaction state table offset wrong"),
        ("commitLogOffset", (at + 4).to_string(), NOT_FOUND),
        ("commitLogOffset", i64::MAX.to_string(), NOT_FOUND),
        ("commitLogOffset", "-1".to_owned(), NOT_FOUND),
        ("commitLogOffset", id.offset.to_string(), NOT_FOUND),
        ("commitOrRollback", "5".to_owned(), "the field `commitOrRollback` is not 0, 8 or 12: `5`"),
    ] {
        let mut wrong = end.clone();
        wrong.set_field(field, value);
        assert_eq!(broker.refused(wrong).await, (1, remark.to_owned()), "{field}");
    }
    let (code, remark) = broker.refused(Command::request(request::END_TRANSACTION)).await;
    assert_eq!((code, remark.as_str()), (1, "the mandatory field `commitOrRollback` is missing"));
    assert!(broker.records("T", 1).is_empty() && broker.records(OVER, 0).is_empty());
}

#[tokio::test]
async fn a_deleted_topic_does_not_come_back_with_its_transactions_s46() {
    let broker = TestBroker::new();
    let end = send_half(&broker, "", "of the deleted topic").await;
    broker.broker.store.remove_topic("T");
    assert_eq!(broker.call(commit_of(end)).await.code, 0);
    assert_eq!(broker.broker.store.tables().topics.get("T"), None);
    assert_eq!(bodies(&broker, OVER, 0), ["0"]);
}

#[tokio::test]
async fn what_cannot_be_stored_is_not_over() {
    let broker = TestBroker::new();
    let end = send_half(&broker, "", "half").await;
    broker.broker.store.refuse_appends();
    let refusal = (14, "Service not available now.".to_owned());
    assert_eq!(broker.refused(commit_of(end)).await, refusal);
    assert!(broker.records(OVER, 0).is_empty());
}

#[tokio::test]
async fn a_half_message_can_be_given_to_the_checks_again_b268() {
    let broker = TestBroker::new();
    let end = send_half(&broker, "TRANSACTION_CHECK_TIMES=15", "half").await;
    let resume =
        |id: &str| Command::request(request::RESUME_CHECK_HALF_MESSAGE).with_field("msgId", id);
    let offset =
        PhysicalOffset(u64::try_from(end.required_i64("commitLogOffset").unwrap()).unwrap());
    let id = MessageId { store_host: broker.broker.options.address, offset };
    let answer = broker.call(resume(&id.to_string())).await;
    assert_eq!((answer.code, &answer.remark), (0, &None));
    let records = broker.records(HALF, 0);
    let again = Record::parse(&records[1]).unwrap();
    let times = properties::find(again.properties(), properties::TRANSACTION_CHECK_TIMES);
    assert_eq!((times, again.body()), (Some("0"), &b"half"[..]));
    let exception =
        "Exception was thrown when putting message back to RMQ_SYS_TRANS_HALF_TOPIC.".to_owned();
    let sent = broker.send("T", "", "no half message").await;
    for id in ["", "x", sent.field("msgId").unwrap()] {
        assert_eq!(broker.refused(resume(id)).await, (1, exception.clone()), "{id}");
    }
    broker.broker.store.refuse_appends();
    let failed = "Put message back to RMQ_SYS_TRANS_HALF_TOPIC failed.".to_owned();
    assert_eq!(broker.refused(resume(&id.to_string())).await, (1, failed));
}

#[tokio::test]
async fn what_was_sent_before_a_restart_is_ended_after_it() {
    let mut broker = TestBroker::new();
    let ends = [send_half(&broker, "", "first").await, send_half(&broker, "", "second").await];
    broker = broker.restarted().await;
    let [first, second] = ends;
    assert_eq!(broker.call(commit_of(first)).await.code, 0);
    assert_eq!(broker.call(rollback_of(second)).await.code, 0);
    assert_eq!(bodies(&broker, "T", 1), ["first"]);
    assert_eq!(bodies(&broker, OVER, 0), ["0", "1"]);
}
