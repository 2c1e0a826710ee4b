//! Dead letters at a peer that has what the test says.

use std::sync::{Arc, Mutex};

use super::tests::{NOBODY, Running};
use super::*;
use crate::message::{NewMessage, Properties, encode, properties, stamp};
use crate::model::{PhysicalOffset, QueueOffset};
use crate::proto::v1::{
    DeadLetterPlace, ListDeadLettersRequest, ListDeadLettersResponse, ResendDeadLettersRequest,
    ResendTarget,
};
use crate::remoting::headers::SendHeader;

const DLQ: &str = "%DLQ%g";
/// Properties that a message must not be sent again with are among them.
const PROPERTIES: &str = "UNIQ_KEY\u{1}U0\u{2}KEYS\u{1}k\u{2}TAGS\u{1}a\u{2}RETRY_TOPIC\u{1}T\u{2}ORIGIN_MESSAGE_ID\u{1}O\u{2}\
                          WAIT\u{1}false\u{2}DELAY\u{1}0\u{2}REAL_TOPIC\u{1}%DLQ%g\u{2}REAL_QID\u{1}0\u{2}TRAN_MSG\u{1}true\u{2}TIMER_DELAY_MS\u{1}5";

/// A dead letter at an offset of queue 0, stored at ten times that; its id ends with the offset.
fn record(offset: i64, deliveries: i32) -> Vec<u8> {
    long_record(offset, deliveries, b"body")
}

/// The same with a body of its own.
fn long_record(offset: i64, deliveries: i32, body: &[u8]) -> Vec<u8> {
    let host = "127.0.0.1:10911".parse().unwrap();
    let mut record = encode(&NewMessage {
        flag: 7,
        born_timestamp: 5,
        born_host: host,
        store_host: host,
        reconsume_times: deliveries,
        properties: PROPERTIES.replace("U0", &format!("U{offset}")),
        ..NewMessage::plain(DLQ, 0, body.to_owned())
    })
    .unwrap();
    let at = u64::try_from(offset).unwrap();
    stamp(&mut record, QueueOffset(at), PhysicalOffset(at * 1000), offset * 10);
    record
}

/// Who has dead letters 2 to 7 of a group `g` that has 3 retries, and takes messages, which are noted.
fn with_dead_letters() -> (Running, Arc<Mutex<Vec<Command>>>) {
    let peer = Running::start();
    peer.register(&[("a", &peer.address)]);
    let brokers =
        format!(r#"[{{"brokerAddrs":{{0:"{}"}},"brokerName":"a","cluster":"C"}}]"#, peer.address);
    let queues = r#"[{"brokerName":"a","perm":6,"readQueueNums":1,"writeQueueNums":1}]"#;
    peer.answer_body(105, &format!(r#"{{"brokerDatas":{brokers},"queueDatas":{queues}}}"#));
    peer.answer_body(
        201,
        r#"{"subscriptionGroupTable":{"g":{"groupName":"g","retryMaxTimes":3}}}"#,
    );
    let offsets = r#"{"lastUpdateTimestamp":70,"maxOffset":8,"minOffset":2}"#;
    peer.answer_body(
        202,
        &format!(
            r#"{{"offsetTable":{{{{"brokerName":"a","queueId":0,"topic":"%DLQ%g"}}:{offsets}}}}}"#
        ),
    );
    peer.answer_with(11, |request| {
        let number = |key: &str| request.field(key).and_then(|text| text.parse::<i64>().ok());
        let first = number("queueOffset").unwrap().clamp(2, 8);
        let last = (first + number("maxMsgNums").unwrap()).min(8);
        let body: Vec<u8> = (first..last)
            .flat_map(|offset| record(offset, if offset == 3 { 1 } else { 4 }))
            .collect();
        Command::response(if body.is_empty() { 19 } else { 0 })
            .with_field("suggestWhichBrokerId", 0)
            .with_field("nextBeginOffset", last)
            .with_field("minOffset", 2)
            .with_field("maxOffset", 8)
            .with_body(body)
    });
    let sent = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&sent);
    peer.answer_with(310, move |request| {
        noted.lock().unwrap().push(request.clone());
        Command::response(0)
            .with_field("msgId", "NEW")
            .with_field("queueId", 0)
            .with_field("queueOffset", 1)
    });
    (peer, sent)
}

fn of_group(
    from_ms: Option<i64>,
    to_ms: Option<i64>,
    limit: Option<u32>,
) -> ListDeadLettersRequest {
    ListDeadLettersRequest { group: "g".to_owned(), from_ms, to_ms, limit, ids: Vec::new() }
}

async fn listed(
    peer: &Running,
    request: &ListDeadLettersRequest,
) -> Result<ListDeadLettersResponse, AdminError> {
    let admin = peer.admin();
    Ok(admin.dead_letters(request).await?.beginnings(&admin).await)
}

#[tokio::test]
async fn the_newest_are_listed_first_with_where_they_come_from_and_why() {
    let (peer, _) = with_dead_letters();
    let offsets = async |from_ms, to_ms, limit| {
        let request = of_group(from_ms, to_ms, limit);
        let found = listed(&peer, &request).await.unwrap();
        assert_eq!((found.problems.len(), found.queues[0].count), (0, 6), "{found:?}");
        let offsets = found.letters.iter().map(|one| one.message.as_ref().unwrap().queue_offset);
        (found.queues[0].matching, offsets.collect::<Vec<_>>())
    };
    assert_eq!(offsets(None, None, None).await, (6, vec![7, 6, 5, 4, 3, 2]));
    assert_eq!(offsets(None, None, Some(2)).await, (6, vec![7, 6]));
    // Stored at 20, 30, ... 70.
    assert_eq!(offsets(Some(30), Some(60), None).await, (3, vec![5, 4, 3]));
    assert_eq!(offsets(Some(31), Some(61), Some(1)).await, (3, vec![6]));
    assert_eq!(offsets(Some(71), None, None).await, (0, vec![]));
    assert_eq!(offsets(None, Some(20), None).await, (0, vec![]));
    let found = listed(&peer, &of_group(None, Some(40), None)).await.unwrap();
    let [given_up, failed] = &found.letters[..] else { panic!("{found:?}") };
    assert_eq!(failed.original_topic.as_deref(), Some("T"));
    assert_eq!((failed.original_id.as_deref(), failed.deliveries), (Some("O"), 4));
    assert_eq!(failed.why, "3 retries failed");
    assert_eq!(given_up.why, "given up before 3 retries");
}

#[tokio::test]
async fn groups_with_dead_letters_are_counted_and_others_left_out() {
    let (peer, _) = with_dead_letters();
    peer.register(&[("a", &peer.address), ("down", NOBODY)]);
    peer.answer_body(21, r#"{"topicConfigTable":{"%DLQ%g":{},"%DLQ%none":{},"T":{}}}"#);
    let some = r#"{{"brokerName":"a","queueId":0,"topic":"%DLQ%g"}:{"lastUpdateTimestamp":70,"maxOffset":8,"minOffset":2}}"#;
    peer.answer_with(202, move |request| {
        let table = if request.field("topic") == Some(DLQ) { some } else { "{}" };
        Command::response(0).with_body(format!(r#"{{"offsetTable":{table}}}"#))
    });
    let found = peer.admin().count_dead_letters().await.unwrap();
    let [group] = &found.groups[..] else { panic!("{found:?}") };
    assert_eq!((group.group.as_str(), group.count, group.last_stored_ms), ("g", 6, Some(70)));
    assert_eq!(group.brokers, ["a"]);
    assert!(found.problems[0].reason.starts_with("dead letters of down are missing"), "{found:?}");
}

#[tokio::test]
async fn ids_are_looked_up_and_what_only_shares_a_hash_is_left_out() {
    let (peer, _) = with_dead_letters();
    peer.answer_with(12, |_| Command::response(0).with_body([record(4, 4), record(5, 4)].concat()));
    let ids = vec!["U5".to_owned(), "unknown".to_owned()];
    let request = ListDeadLettersRequest { ids, ..of_group(None, None, None) };
    let found = listed(&peer, &request).await.unwrap();
    let [letter] = &found.letters[..] else { panic!("{found:?}") };
    assert_eq!(letter.message.as_ref().unwrap().queue_offset, 5);
    let [problem] = &found.problems[..] else { panic!("{found:?}") };
    assert_eq!(problem.reason, "no dead letter of \"g\" has the id \"unknown\"");
    let request = ListDeadLettersRequest { ids: vec!["unknown".to_owned()], ..request };
    let refused = listed(&peer, &request).await;
    assert!(matches!(refused, Err(AdminError::NotFound(_))), "{refused:?}");
}

#[tokio::test]
async fn a_group_without_dead_letters_is_told_from_one_that_is_not_there() {
    let (peer, _) = with_dead_letters();
    peer.answer(105, Command::response(17));
    let found = listed(&peer, &of_group(None, None, None)).await.unwrap();
    assert_eq!(found, Default::default());
    let request = ListDeadLettersRequest { group: "h".to_owned(), ..Default::default() };
    let refused = listed(&peer, &request).await;
    assert!(matches!(refused, Err(AdminError::NotFound(_))), "{refused:?}");
}

#[tokio::test]
async fn long_bodies_are_read_when_their_turn_comes_and_not_before() {
    let (peer, _) = with_dead_letters();
    let body = |offset: i64| "é".repeat(100_000) + &offset.to_string();
    // Offsets that were asked for alone.
    let (alone, gone) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(false)));
    let (noted, is_gone) = (Arc::clone(&alone), Arc::clone(&gone));
    peer.answer_with(11, move |request| {
        let number = |key: &str| request.field(key).unwrap().parse::<i64>().unwrap();
        let (first, count) = (number("queueOffset"), number("maxMsgNums"));
        if count == 1 {
            noted.lock().unwrap().push(first);
        }
        let last = if *is_gone.lock().unwrap() { first } else { (first + count).min(8) };
        let body = (first..last).flat_map(|offset| long_record(offset, 4, body(offset).as_bytes()));
        let body: Vec<u8> = body.collect();
        Command::response(if body.is_empty() { 19 } else { 0 })
            .with_field("suggestWhichBrokerId", 0)
            .with_field("nextBeginOffset", last)
            .with_field("minOffset", 2)
            .with_field("maxOffset", 8)
            .with_body(body)
    });
    let admin = peer.admin();
    let request = of_group(None, None, Some(5));
    let mut found = admin.dead_letters(&request).await.unwrap();
    let held = |found: &DeadLetters| format!("{found:?}").len();
    assert!(held(&found) < 200_000, "six bodies have 1.2 MB");
    assert_eq!(alone.lock().unwrap().len(), 0);
    for offset in [7, 6, 5] {
        let letter = found.next(&admin).await.unwrap();
        assert_eq!(letter.message.unwrap().body_text.unwrap(), body(offset));
        assert_eq!(alone.lock().unwrap().last(), Some(&offset));
    }
    assert_eq!(*alone.lock().unwrap(), [7, 6, 5]);
    // What is deleted meanwhile is left out.
    *gone.lock().unwrap() = true;
    assert_eq!(found.next(&admin).await, None);
    assert_eq!(*alone.lock().unwrap(), [7, 6, 5, 4, 3]);
    *gone.lock().unwrap() = false;
    let beginnings = listed(&peer, &request).await.unwrap().letters;
    assert_eq!(beginnings.len(), 5);
    for letter in beginnings {
        let message = letter.message.unwrap();
        assert!(message.body.len() < 5000 && body(0).starts_with(&message.body_text.unwrap()));
    }
}

/// Has 250 dead letters of `g` in each of these queues, and can read those from an offset on.
fn has_250(peer: &Running, queues: &[i32], readable: i64) {
    peer.answer_body(201, r#"{"subscriptionGroupTable":{}}"#);
    let queue = |queue: &i32| {
        format!(
            r#"{{"brokerName":"a","queueId":{queue},"topic":"%DLQ%g"}}:{{"lastUpdateTimestamp":70,"maxOffset":250,"minOffset":0}}"#
        )
    };
    let queues: Vec<_> = queues.iter().map(queue).collect();
    peer.answer_body(202, &format!(r#"{{"offsetTable":{{{}}}}}"#, queues.join(",")));
    peer.answer_with(11, move |request| {
        let number = |key: &str| request.field(key).unwrap().parse::<i64>().unwrap();
        let (first, queue) = (number("queueOffset"), number("queueId"));
        if first < readable {
            return Command::response(1).with_remark("a file is gone");
        }
        let last = (first + number("maxMsgNums")).min(250);
        let record = |offset| {
            let mut bytes = record(offset, 4);
            bytes[12..16].copy_from_slice(&i32::try_from(queue).unwrap().to_be_bytes());
            // Those of queue 1 are five milliseconds younger each.
            bytes[56..64].copy_from_slice(&(offset * 10 + queue * 5).to_be_bytes());
            bytes
        };
        Command::response(0)
            .with_field("suggestWhichBrokerId", 0)
            .with_field("nextBeginOffset", last)
            .with_field("minOffset", 0)
            .with_field("maxOffset", 250)
            .with_body((first..last).flat_map(record).collect::<Vec<u8>>())
    });
}

#[tokio::test]
async fn a_broker_that_fails_after_the_first_hundred_keeps_back_nothing_of_the_others() {
    let (peer, other) = (Running::start(), Running::start());
    peer.leads_to(&[("a", &peer.address), ("b", &other.address)]);
    has_250(&peer, &[0], 150);
    has_250(&other, &[1], 0);
    let request = of_group(None, None, Some(1000));
    let found = listed(&peer, &request).await.unwrap();
    let of = |broker: &str| {
        let its = found.letters.iter().filter_map(|one| one.message.as_ref()?.broker.as_ref());
        its.filter(|name| *name == broker).count()
    };
    assert_eq!((of("a"), of("b")), (100, 250));
    let reason = format!(
        "some dead letters of a are missing: {} refused: a file is gone (code 1 SYSTEM_ERROR)",
        peer.address
    );
    let problem = Problem { at: "a".to_owned(), address: Some(peer.address.clone()), reason };
    assert_eq!(found.problems, std::slice::from_ref(&problem));
    // One after another, and the broker is not asked again.
    peer.asked();
    let admin = peer.admin();
    let mut all = admin.dead_letters(&request).await.unwrap();
    assert_eq!(all.problems, []);
    let mut count = 0;
    while all.next(&admin).await.is_some() {
        count += 1;
    }
    assert_eq!((count, all.problems), (350, vec![problem]));
    assert_eq!(peer.asked().iter().filter(|code| **code == 11).count(), 5);
}

#[tokio::test]
async fn of_a_broker_that_fails_what_was_read_whole_stays() {
    let (peer, _) = with_dead_letters();
    let alone = Arc::new(Mutex::new(0));
    let noted = Arc::clone(&alone);
    peer.answer_with(11, move |request| {
        if request.field("maxMsgNums") == Some("1") {
            *noted.lock().unwrap() += 1;
            return Command::response(1);
        }
        // Those with an even offset are long.
        let body = |offset| vec![b'x'; if offset % 2 == 0 { 10_000 } else { 4 }];
        Command::response(0)
            .with_field("suggestWhichBrokerId", 0)
            .with_field("nextBeginOffset", 8)
            .with_field("minOffset", 2)
            .with_field("maxOffset", 8)
            .with_body((2..8).flat_map(|at| long_record(at, 4, &body(at))).collect::<Vec<u8>>())
    });
    let admin = peer.admin();
    let mut found = admin.dead_letters(&of_group(None, None, None)).await.unwrap();
    let mut offsets = Vec::new();
    while let Some(letter) = found.next(&admin).await {
        offsets.push(letter.message.unwrap().queue_offset);
    }
    assert_eq!((offsets, found.problems.len()), (vec![7, 5, 3], 1));
    assert_eq!(*alone.lock().unwrap(), 1);
}

#[tokio::test]
async fn more_than_are_read_ahead_come_in_the_order_of_their_times_from_all_queues() {
    let peer = Running::start();
    peer.leads_to(&[("a", &peer.address)]);
    has_250(&peer, &[0, 1], 0);
    let found = listed(&peer, &of_group(None, None, Some(1000))).await.unwrap();
    let times: Vec<_> =
        found.letters.iter().map(|one| one.message.as_ref().unwrap().stored_ms).collect();
    let expected: Vec<_> = (0..500).rev().map(|number| number * 5).collect();
    assert_eq!(times, expected);
    let some = listed(&peer, &of_group(None, None, Some(301))).await.unwrap().letters;
    assert_eq!(some[..], found.letters[..301]);
}

fn again(places: &[(&str, i64)], target: ResendTarget, dry_run: bool) -> ResendDeadLettersRequest {
    let place = |(broker, offset): &(&str, i64)| DeadLetterPlace {
        broker: (*broker).to_owned(),
        queue: 0,
        offset: *offset,
    };
    ResendDeadLettersRequest {
        group: "g".to_owned(),
        places: places.iter().map(place).collect(),
        target: target.into(),
        dry_run,
    }
}

#[tokio::test]
async fn each_goes_to_the_group_again_as_a_first_retry_and_what_is_not_there_keeps_none_back() {
    let (peer, sent) = with_dead_letters();
    let request = again(&[("a", 4), ("a", 9), ("b", 4), ("a", 5)], ResendTarget::Group, false);
    let dry = ResendDeadLettersRequest { dry_run: true, ..request.clone() };
    let answer = peer.admin().resend_dead_letters(&dry).await.unwrap();
    let outcomes = |letters: &[crate::proto::v1::ResentLetter]| {
        letters.iter().map(|one| one.outcome()).collect::<Vec<_>>()
    };
    let [not, failed] = [Outcome::DryRun, Outcome::Failed];
    assert_eq!(outcomes(&answer.letters), [not, failed, failed, not]);
    assert!(sent.lock().unwrap().is_empty());
    // Where the dead letters are, and where all go.
    assert_eq!(peer.asked().iter().filter(|code| **code == 105).count(), 2);
    let answer = peer.admin().resend_dead_letters(&request).await.unwrap();
    assert_eq!(outcomes(&answer.letters), [Outcome::Done, failed, failed, Outcome::Done]);
    let first = &answer.letters[0];
    let told = (first.id.as_deref(), first.topic.as_str(), first.offset_id.as_deref());
    assert_eq!(told, (Some("U4"), "%RETRY%g", Some("NEW")));
    assert_eq!(first.status.as_deref(), Some("SEND_OK"));
    let sent = sent.lock().unwrap();
    assert_eq!(sent.len(), 2);
    let header = SendHeader::parse(&sent[0]).unwrap();
    assert_eq!((header.topic, header.queue_id, header.reconsume_times), ("%RETRY%g", -1, 0));
    assert_eq!((header.flag, header.born_timestamp, &sent[0].body[..]), (7, 5, &b"body"[..]));
    let expected = "UNIQ_KEY\u{1}U4\u{2}KEYS\u{1}k\u{2}TAGS\u{1}a\u{2}RETRY_TOPIC\u{1}T\u{2}ORIGIN_MESSAGE_ID\u{1}O\u{2}WAIT\u{1}true";
    assert_eq!(header.properties, expected);
}

#[tokio::test]
async fn the_original_topic_gets_it_as_a_message_of_its_own() {
    let (peer, sent) = with_dead_letters();
    let request = again(&[("a", 4)], ResendTarget::Topic, false);
    let answer = peer.admin().resend_dead_letters(&request).await.unwrap();
    assert_eq!(answer.letters[0].topic, "T");
    let sent = sent.lock().unwrap().clone();
    let header = SendHeader::parse(&sent[0]).unwrap();
    assert_eq!(header.topic, "T");
    assert_eq!(Properties::parse(header.properties).get(properties::RETRY_TOPIC), None);
    let too_many = again(&[("a", 4); 1001], ResendTarget::Group, false);
    let refused = peer.admin().resend_dead_letters(&too_many).await;
    assert!(matches!(refused, Err(AdminError::Invalid(_))), "{refused:?}");
}

#[tokio::test]
async fn a_broker_that_refuses_is_said_of_that_letter() {
    let (peer, _) = with_dead_letters();
    peer.answer(310, Command::response(1).with_remark("no"));
    let request = again(&[("a", 4)], ResendTarget::Group, false);
    let answer = peer.admin().resend_dead_letters(&request).await.unwrap();
    let letter = &answer.letters[0];
    assert_eq!((letter.outcome(), letter.status.as_deref()), (Outcome::Failed, None));
    assert!(letter.reason.as_ref().unwrap().contains("refused: no"), "{letter:?}");
    // Where only a slave is left nothing can be sent.
    let brokers = format!(
        r#"[{{"brokerAddrs":{{1:"{}"}},"brokerName":"a","cluster":"C"}},{{"brokerAddrs":{{0:"{NOBODY}"}},"brokerName":"b","cluster":"C"}}]"#,
        peer.address
    );
    let queues = r#"[{"brokerName":"a","perm":6,"readQueueNums":1,"writeQueueNums":1}]"#;
    peer.answer_body(105, &format!(r#"{{"brokerDatas":{brokers},"queueDatas":{queues}}}"#));
    let answer = peer.admin().resend_dead_letters(&request).await.unwrap();
    let reason = answer.letters[0].reason.as_deref();
    assert_eq!(reason, Some("no master takes messages of topic \"%RETRY%g\""));
}
