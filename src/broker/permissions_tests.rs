//! Requests of known and unknown senders, over a connection; and whether every code that is answered has its line.

use std::collections::BTreeSet;

use super::*;
use crate::acl::signature::Key;
use crate::broker::send_back;
use crate::broker::tests_support::{TestBroker, header, properties as text};
use crate::remoting::{Command, request};

const ACCOUNTS: &str = "\
accounts:
- {accessKey: node-account, secretKey: node-secret, admin: true}
- {accessKey: producer, secretKey: secret-1, topicPerms: [T=PUB], groupPerms: [G=SUB]}
- {accessKey: consumer, secretKey: secret-2, topicPerms: [T=SUB], groupPerms: [G=SUB]}
";

fn broker() -> TestBroker {
    TestBroker::with_accounts(ACCOUNTS)
}

fn signed(access_key: &str, mut request: Command) -> Command {
    let secret = match access_key {
        "producer" => "secret-1",
        "consumer" => "secret-2",
        "node-account" => "node-secret",
        _ => "secret-0",
    };
    Key::new(secret).sign(access_key, &mut request);
    request
}

fn send(code: i32) -> Command {
    header().to_request(code).with_body("body")
}

const EXCEPTION: &str = "org.apache.rocketmq.acl.common.AclException: ";

async fn refused(broker: &TestBroker, request: Command) -> String {
    let (code, remark) = broker.refused(request).await;
    assert_eq!(code, 1, "{remark}");
    remark.strip_prefix(EXCEPTION).unwrap_or_else(|| panic!("{remark}")).to_owned()
}

#[tokio::test]
async fn nothing_is_answered_before_its_sender_is_let_in_a021_a022_a024() {
    let broker = broker();
    let no_key = "No accessKey is configured";
    for code in [request::SEND_MESSAGE_V2, request::EXTENSION_HELLO, 999] {
        assert_eq!(refused(&broker, Command::request(code)).await, no_key);
    }
    let stranger = signed("stranger", send(request::SEND_MESSAGE_V2));
    assert_eq!(refused(&broker, stranger).await, "No acl config for stranger");
    let mut changed = signed("producer", send(request::SEND_MESSAGE_V2));
    changed.body = "another".into();
    let failed = "Check signature failed for accessKey=producer";
    assert_eq!(refused(&broker, changed).await, failed);
    let sent = broker.call(signed("producer", send(request::SEND_MESSAGE_V2))).await;
    assert_eq!((sent.code, broker.records("T", 0).len()), (0, 1));
}

#[tokio::test]
async fn sends_in_a_batch_need_what_single_ones_need_s48() {
    let broker = broker();
    for code in [request::SEND_MESSAGE_V2, request::SEND_BATCH_MESSAGE] {
        let denied = refused(&broker, signed("consumer", send(code))).await;
        assert_eq!(denied, "No default permission for topic:T", "{code}");
    }
    assert!(broker.records("T", 0).is_empty());
}

#[tokio::test]
async fn a_stored_message_is_read_by_who_may_read_its_topic() {
    let broker = broker();
    let sent = broker.call(signed("producer", send(request::SEND_MESSAGE_V2))).await;
    assert_eq!(sent.code, 0);
    let view = |at: usize| Command::request(request::VIEW_MESSAGE_BY_ID).with_field("offset", at);
    let found = broker.call(signed("consumer", view(0))).await;
    assert_eq!(found.code, 0);
    let denied = refused(&broker, signed("producer", view(0))).await;
    assert_eq!(denied, "No default permission for topic:T");
    // What is not there is answered as ever.
    let (code, remark) = broker.refused(signed("producer", view(7))).await;
    assert_eq!((code, remark.as_str()), (1, "can not find message by the offset, 7"));
}

#[tokio::test]
async fn a_transaction_is_ended_by_who_may_send_to_its_topic_s48() {
    let broker = broker();
    let half = text("REAL_TOPIC=T TRAN_MSG=true");
    broker.store_with(system::HALF_TOPIC, "half", &half).await;
    assert_eq!(topic_at(&broker.broker, PhysicalOffset(0)).unwrap().as_deref(), Some("T"));
    let end = || Command::request(request::END_TRANSACTION).with_field("commitLogOffset", 0);
    let denied = refused(&broker, signed("consumer", end())).await;
    assert_eq!(denied, "No default permission for topic:T");
    let (_, remark) = broker.refused(signed("producer", end())).await;
    assert!(!remark.starts_with(EXCEPTION), "{remark}");
}

#[tokio::test]
async fn a_message_is_given_back_or_consumed_only_by_who_may_read_its_topic() {
    let broker = broker();
    broker.store("Secret", "body").await;
    let sent = broker.call(signed("producer", send(request::SEND_MESSAGE_V2))).await;
    let offset_of = |id: &str| id.parse::<MessageId>().unwrap().offset;
    let own = sent.field("msgId").unwrap();
    let secret = MessageId { offset: PhysicalOffset(0), ..own.parse().unwrap() }.to_string();
    let give_back = |id: &str| {
        let request = Command::request(request::CONSUMER_SEND_MSG_BACK);
        let request = request.with_field("group", "G").with_field("delayLevel", 0);
        signed("consumer", request.with_field("offset", offset_of(id)))
    };
    let consume = |id: &str| {
        let request = Command::request(request::CONSUME_MESSAGE_DIRECTLY);
        let request = request.with_field("consumerGroup", "G").with_field("clientId", "c");
        signed("consumer", request.with_field("msgId", id))
    };
    for request in [give_back(&secret), consume(&secret)] {
        assert_eq!(refused(&broker, request).await, "No default permission for topic:Secret");
    }
    let stranger = Command::request(request::CONSUMER_SEND_MSG_BACK).with_field("group", "H");
    let stranger = signed("consumer", stranger.with_field("offset", 0));
    assert_eq!(refused(&broker, stranger).await, "No default permission for group:H");
    assert_eq!(broker.call(give_back(own)).await.code, 0);
    let (_, remark) = broker.refused(consume(own)).await;
    assert_eq!(remark, "The Consumer <G> <c> not online");
}

#[tokio::test]
async fn a_place_is_read_as_whoever_answers_reads_it() {
    let broker = broker();
    broker.store("T", "body").await;
    // An id as long as this, and of no other digits, is also a decimal number.
    let at = loop {
        let at = broker.broker.store.log_range().1;
        broker.store("Secret", "body").await;
        if !format!("{:x}", at.0).contains(|c: char| c.is_ascii_alphabetic()) {
            break at;
        }
    };
    let id = format!("{:032x}", at.0);
    let request = Command::request(request::CONSUME_MESSAGE_DIRECTLY).with_field("msgId", id);
    let request = request.with_field("consumerGroup", "G").with_field("clientId", "c");
    let denied = refused(&broker, signed("consumer", request)).await;
    assert_eq!(denied, "No default permission for topic:Secret");
}

/// A request about the message at a place, with all else that it needs.
fn about(code: i32, field: &str, place: &str) -> Command {
    let request = Command::request(code).with_field(field, place);
    match code {
        request::CONSUMER_SEND_MSG_BACK => {
            request.with_field("group", "G").with_field("delayLevel", 0)
        }
        request::END_TRANSACTION => {
            request.with_field("commitOrRollback", 8).with_field("tranStateTableOffset", 0)
        }
        request::CONSUME_MESSAGE_DIRECTLY => {
            request.with_field("consumerGroup", "G").with_field("clientId", "c")
        }
        _ => request,
    }
}

#[tokio::test]
async fn what_is_not_there_is_refused_as_without_accounts_b131_b214_b254() {
    let broker = broker();
    let end = broker.broker.store.log_range().1.0;
    for (code, field) in needs::BROKER.iter().filter_map(|(code, need)| match need {
        Need::TopicAt(_, field, _) => Some((*code, *field)),
        _ => None,
    }) {
        let place = if field == "msgId" { format!("{end:032x}") } else { end.to_string() };
        let expected = match code {
            request::CONSUMER_SEND_MSG_BACK => format!("look message by offset failed, {place}"),
            request::END_TRANSACTION => "Find prepared transaction message failed".to_owned(),
            request::CONSUME_MESSAGE_DIRECTLY => format!("there is no message {place}"),
            request::VIEW_MESSAGE_BY_ID => format!("can not find message by the offset, {place}"),
            _ => panic!("{code} has no expectation"),
        };
        let request = about(code, field, &place);
        assert_eq!(broker.refused(signed("consumer", request)).await, (1, expected), "{code}");
    }
    // A field that is missing is told first.
    let no_level = Command::request(request::CONSUMER_SEND_MSG_BACK).with_field("group", "G");
    let (_, remark) = broker.refused(signed("consumer", no_level.with_field("offset", end))).await;
    assert!(remark.contains("`delayLevel`"), "{remark}");
}

#[tokio::test]
async fn what_the_disk_does_not_give_now_is_not_taken_for_what_is_not_there() {
    for (broker, has_accounts) in [(broker(), true), (TestBroker::new(), false)] {
        broker.store("T", "body").await;
        broker.lose_first_segment();
        let unavailable = (1, ReadError::Unavailable.to_string());
        for (code, field) in needs::BROKER.iter().filter_map(|(code, need)| match need {
            Need::TopicAt(_, field, _) => Some((*code, *field)),
            _ => None,
        }) {
            let place = if field == "msgId" { "0".repeat(32) } else { "0".to_owned() };
            let request = about(code, field, &place);
            let request = if has_accounts { signed("consumer", request) } else { request };
            assert_eq!(broker.refused(request).await, unavailable, "{code}");
        }
    }
}

#[tokio::test]
async fn what_arrives_after_it_was_looked_for_is_not_given_back() {
    let broker = broker();
    broker.store("T", "body").await;
    let request = about(request::CONSUMER_SEND_MSG_BACK, "offset", "0");
    let refusal = send_back::answer_with(&broker.broker, &request, |_| Ok(None)).unwrap_err();
    assert_eq!(refusal.remark, "look message by offset failed, 0");
    assert!(broker.records(system::SCHEDULE_TOPIC, 2).is_empty());
}

#[tokio::test]
async fn positions_in_all_topics_are_copied_by_admins_only() {
    let broker = broker();
    let copy = || {
        let request = Command::request(request::CLONE_GROUP_OFFSET);
        request.with_field("srcGroup", "G").with_field("destGroup", "G")
    };
    let own = signed("consumer", copy().with_field("topic", "T"));
    assert_eq!(broker.call(own).await.code, 0);
    let other = signed("consumer", copy().with_field("topic", "Secret"));
    assert_eq!(refused(&broker, other).await, "No default permission for topic:Secret");
    for all in [copy(), copy().with_field("topic", " ")] {
        let denied = refused(&broker, signed("consumer", all.clone())).await;
        assert!(denied.starts_with("Need admin permission for request code=314"), "{denied}");
        assert_eq!(broker.call(signed("node-account", all)).await.code, 0);
    }
}

#[tokio::test]
async fn what_waits_is_of_the_topic_that_it_is_for() {
    let broker = broker();
    for topic in [system::TIMER_TOPIC, system::CHECK_MAX_TIME_TOPIC] {
        let at = broker.broker.store.log_range().1;
        broker.store_with(topic, "body", &text("REAL_TOPIC=T")).await;
        assert_eq!(topic_at(&broker.broker, at).unwrap().as_deref(), Some("T"));
    }
}

#[tokio::test]
async fn only_admins_change_what_others_see_a025_s48() {
    let broker = broker();
    for code in [17, 25, 200, 207, 215, 50, 51, 52, 53, 54, 306, 9001, 9005, 999] {
        let need =
            format!("Need admin permission for request code={code}, but accessKey=producer is not");
        assert_eq!(refused(&broker, signed("producer", Command::request(code))).await, need);
    }
    let (code, remark) = broker.refused(signed("node-account", Command::request(999))).await;
    assert_eq!((code, remark.as_str()), (3, " request type 999 not supported"));
}

#[tokio::test]
async fn without_accounts_everybody_may_everything() {
    let broker = TestBroker::new();
    assert_eq!(broker.call(send(request::SEND_MESSAGE_V2)).await.code, 0);
}

/// The names after `request::` in a source file, but for those of its tests.
fn codes_in(source: &str) -> BTreeSet<&str> {
    let source = source.split("#[cfg(test)]").next().unwrap_or_default();
    let is_name = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    let names = source.split("request::").skip(1);
    let names = names.map(|rest| &rest[..rest.find(|c| !is_name(c)).unwrap_or(rest.len())]);
    names.filter(|name| !name.is_empty()).collect()
}

#[test]
fn every_code_that_is_answered_has_its_line_in_the_table() {
    let answered = [
        (needs::BROKER, include_str!("requests.rs")),
        (needs::BROKER, include_str!("extension.rs")),
        (needs::NAME_SERVER, include_str!("../nameserver/requests.rs")),
    ];
    for (table, source) in answered {
        let known: BTreeSet<_> = table.iter().map(|(code, _)| request::name(*code)).collect();
        let codes = codes_in(source);
        assert!(codes.len() > 3, "the sources are written otherwise now: {codes:?}");
        let missing: Vec<_> = codes.difference(&known).collect();
        assert!(missing.is_empty(), "add a line to src/acl/needs.rs for {missing:?}");
    }
}
