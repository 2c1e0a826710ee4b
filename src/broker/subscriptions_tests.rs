//! SQL92 subscriptions over real sockets: at pulls, while pulls wait, in heartbeats, and before (46).

use super::super::pull::tests::{World, pull, summary, waiting_pull};
use super::*;
use crate::message::{NewMessage, Record};
use crate::model::GroupName;
use crate::remoting::request;

/// A pull with an expression of its own.
fn asking<'a>(expression: &'a str, header: PullHeader<'a>) -> PullHeader<'a> {
    PullHeader { expression_type: Some(SQL92), subscription: Some(expression), ..header }
}

/// Keys of the messages in an answer.
fn keys(answer: &Command) -> Vec<String> {
    let (mut keys, mut rest) = (Vec::new(), &answer.body[..]);
    while !rest.is_empty() {
        let record = Record::parse(rest).unwrap();
        let found = crate::message::properties::find(record.properties(), "KEYS");
        keys.push(found.unwrap().to_owned());
        rest = &rest[record.bytes().len()..];
    }
    keys
}

/// A consumer's heartbeat of group `G`.
fn heartbeat(expression: &str, version: i64) -> Command {
    let body = format!(
        r#"{{"clientID":"C","consumerDataSet":[{{"groupName":"G","subscriptionDataSet":[{{"topic":"T",
        "expressionType":"SQL92","subString":"{expression}","subVersion":{version}}}]}}]}}"#
    );
    Command::request(request::HEART_BEAT).with_body(body.into_bytes())
}

async fn checked(world: &World, subscription: &str) -> (i32, Option<String>) {
    let body = format!(r#"{{"clientId":"C","group":"G","subscriptionData":{subscription}}}"#);
    let request = Command::request(request::CHECK_CLIENT_CONFIG).with_body(body.into_bytes());
    let answer = world.call(request).await;
    assert_eq!(answer.fields, None);
    (answer.code, answer.remark)
}

#[tokio::test]
async fn a_pull_gets_what_its_expression_wants() {
    let world = World::new();
    for number in 0..10 {
        world.store(if number % 2 == 0 { "even" } else { "odd" }, &number.to_string()).await;
    }
    let header = asking("TAGS = 'even' AND KEYS BETWEEN 3 AND 7", pull());
    let answer = world.call(header.to_request()).await;
    assert_eq!(summary(&answer), (0, "FOUND", [10, 0, 10, 0]));
    assert_eq!(keys(&answer), ["4", "6"]);
    let answer = world.call(asking("none IS NOT NULL", pull()).to_request()).await;
    assert_eq!(summary(&answer), (20, "NO_MATCHED_MESSAGE", [10, 0, 10, 0]));
}

#[tokio::test]
async fn an_expression_that_pulls_carry_is_read_once() {
    let world = World::new();
    let group = SubscriptionGroupConfig::new(GroupName::new("G"));
    let of = |topic: &str, expression: &str, sub_version: i64| {
        let header = PullHeader { topic, sub_version, ..asking(expression, pull()) };
        of_pull(&world.broker, &header, &group).unwrap()
    };
    let is_kept = |one: &Arc<Subscription>| {
        Arc::ptr_eq(one, &of(one.topic.as_str(), &one.expression, one.version + 1))
    };
    let first = of("T", "a > 5", 1);
    assert!(is_kept(&first), "4.9.4's clients say another version each time");
    assert_eq!(of("U", "a > 5", 1).topic.as_str(), "U");
    for number in 0..2 * CARRIED_MAX {
        let _ = of("T", &format!("a = {number}"), 1);
        assert!(is_kept(&first), "who goes on asking stays");
    }
    let long = of("T", &format!("a = '{}'", "x".repeat(CARRIED_BYTES_MAX)), 1);
    assert!(!is_kept(&long));
    for number in 0..CARRIED_MAX {
        let _ = of("T", &format!("b = {number}"), 1);
    }
    assert_eq!(world.broker.carried.lock().len(), CARRIED_MAX);
    assert!(!is_kept(&first));
}

#[tokio::test]
async fn properties_behind_a_long_body_are_read_without_it() {
    let world = World::new();
    for (number, length) in [(1, 100_000), (2, 9_000), (3, 5)] {
        let message = NewMessage {
            born_host: "[::1]:1".parse().unwrap(),
            properties: format!("KEYS\u{1}{number}"),
            ..NewMessage::plain("T", 0, vec![0; length])
        };
        world.broker.store.append(message, false).await.unwrap();
    }
    let answer = world.call(asking("KEYS <> 2", pull()).to_request()).await;
    assert_eq!(keys(&answer), ["1", "3"]);
}

#[tokio::test]
async fn a_waiting_pull_sleeps_until_a_message_is_wanted() {
    let world = World::new();
    let answer = world.wait(asking("KEYS > 5", waiting_pull())).await;
    let any = world.wait(waiting_pull()).await;
    world.store("a", "5").await;
    assert_eq!(summary(&any.await), (0, "FOUND", [1, 0, 1, 0]));
    world.parked(1).await;
    world.store("a", "6").await;
    let answer = answer.await;
    assert_eq!(summary(&answer), (0, "FOUND", [2, 0, 2, 0]));
    assert_eq!(keys(&answer), ["6"]);
}

#[tokio::test]
async fn a_pull_without_an_expression_goes_by_the_heartbeat_b163() {
    let world = World::new();
    world.store("a", "5").await;
    world.store("a", "6").await;
    let plain = |sub_version| PullHeader { sys_flag: 0, sub_version, ..pull() }.to_request();
    assert_eq!(world.call(heartbeat("KEYS > 5", 1)).await.code, 0);
    assert_eq!(keys(&world.call(plain(1)).await), ["6"]);
    let answer = world.call(plain(2)).await;
    let remark = "the consumer's subscription not latest";
    assert_eq!((answer.code, answer.remark.as_deref()), (25, Some(remark)));
    assert_eq!(world.call(heartbeat("KEYS >> 5", 2)).await.code, 0, "B-293");
    let answer = world.call(plain(2)).await;
    let remark = "The broker's consumer filter data is not exist!Your expression may be wrong! SQL92, character 7: `>` \
                  where a property, a value or a condition should be";
    assert_eq!((answer.code, answer.remark.as_deref()), (27, Some(remark)));
    assert_eq!(world.call(heartbeat("KEYS < 6", 3)).await.code, 0);
    assert_eq!(keys(&world.call(plain(2)).await), ["5"]);
}

#[tokio::test]
async fn an_expression_is_checked_before_a_client_subscribes_b233() {
    let world = World::new();
    let checked = |subscription| checked(&world, subscription);
    assert_eq!(checked("null").await, (0, None));
    let tags = r#"{"topic":"T","subString":"||","expressionType":"TAG"}"#;
    assert_eq!(checked(tags).await, (0, None), "tags are not looked at");
    let good = r#"{"topic":"T","subString":"a > 1","expressionType":"SQL92"}"#;
    assert_eq!(checked(good).await, (0, None));
    let broken = r#"{"topic":"T","subString":"a LIKE 'x'","expressionType":"SQL92"}"#;
    let remark = "SQL92, character 3: `LIKE` where AND, OR or the end should be".to_owned();
    assert_eq!(checked(broken).await, (23, Some(remark)));
    let other = r#"{"topic":"T","subString":"x","expressionType":"CLASS"}"#;
    let remark = "The broker does not support consumer to filter message by CLASS".to_owned();
    assert_eq!(checked(other).await, (1, Some(remark)));
    assert_eq!(world.call(Command::request(request::CHECK_CLIENT_CONFIG)).await.code, 1);
}

#[test]
fn what_was_told_while_expressions_were_read_stays_unless_it_is_older() {
    let told = |all: &[(&str, i64)]| -> BTreeMap<_, _> {
        let one = |(topic, version): &(&str, i64)| {
            let subscription = Subscription::parse(topic, "*", None, *version).unwrap();
            (TopicName::new(topic), Arc::new(subscription))
        };
        all.iter().map(one).collect()
    };
    let known = told(&[("newer", 3), ("same", 2), ("older", 1), ("gone", 9)]);
    let mut merged = told(&[("newer", 2), ("same", 2), ("older", 2), ("added", 2)]);
    keep_newer(&known, &mut merged);
    let versions: Vec<_> =
        merged.iter().map(|(topic, one)| (topic.as_str(), one.version)).collect();
    assert_eq!(versions, [("added", 2), ("newer", 3), ("older", 2), ("same", 2)]);
    let is_known = |topic: &str| Arc::ptr_eq(&merged[topic], &known[topic]);
    assert!(is_known("newer") && is_known("same") && !is_known("older"));
}
