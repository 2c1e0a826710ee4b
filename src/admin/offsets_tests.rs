//! Letting a group go on elsewhere, following a topic, and names that are not there, against a peer that answers what the
//! test says.

use super::tests::{MEMBERS, NOBODY, progress, with_group};
use super::*;
use crate::proto::v1::{QueueReset, ResetOffsetsRequest, ResetTarget, TailMessagesRequest};

fn reset(target: ResetTarget, value: i64, dry_run: bool) -> ResetOffsetsRequest {
    let (group, topic) = ("g".to_owned(), "T".to_owned());
    ResetOffsetsRequest { group, topic, target: target.into(), value, dry_run }
}

#[tokio::test]
async fn positions_are_set_where_nobody_is_connected_and_stay_within_the_queue() {
    let peer = with_group();
    let after = async |target, value, dry_run| {
        let answer = peer.admin().reset_group(&reset(target, value, dry_run)).await.unwrap();
        assert!(!answer.members_told && answer.problems.is_empty(), "{answer:?}");
        let queue = |one: &QueueReset| (one.before, one.after, one.outcome());
        answer.queues.iter().map(queue).collect::<Vec<_>>()
    };
    let dry = after(ResetTarget::Earliest, 0, true).await;
    assert_eq!(dry, [(Some(3), 2, Outcome::DryRun), (None, 0, Outcome::DryRun)]);
    assert!(!peer.asked().contains(&15));
    let done = after(ResetTarget::Latest, 0, false).await;
    assert_eq!(done, [(Some(3), 8, Outcome::Done), (None, 4, Outcome::Done)]);
    assert_eq!(peer.asked(), [105, 203, 208, 202, 15, 15]);
    let done = after(ResetTarget::Shift, -5, false).await;
    assert_eq!(done, [(Some(3), 2, Outcome::Done), (None, 0, Outcome::Done)]);
    let done = after(ResetTarget::Offset, 3, false).await;
    assert_eq!(done, [(Some(3), 3, Outcome::Done), (None, 3, Outcome::Done)]);
    peer.answer(29, Command::response(0).with_field("offset", 5));
    let done = after(ResetTarget::Time, 1000, false).await;
    assert_eq!(done, [(Some(3), 5, Outcome::Done), (None, 4, Outcome::Done)]);
    peer.answer(15, Command::response(1).with_remark("no"));
    let failed = after(ResetTarget::Latest, 0, false).await;
    assert!(failed.iter().all(|(.., outcome)| *outcome == Outcome::Failed), "{failed:?}");
    let refused = peer.admin().reset_group(&reset(ResetTarget::Unspecified, 0, false)).await;
    assert!(matches!(refused, Err(AdminError::Invalid(_))), "{refused:?}");
}

#[tokio::test]
async fn a_group_that_nobody_knows_gets_no_positions() {
    let peer = with_group();
    let stats = format!(r#"{{"consumeTps":0.0,"offsetTable":{{{}}}}}"#, progress("T", 0, 8, 0));
    peer.answer_body(208, &stats);
    peer.answer_body(201, r#"{"subscriptionGroupTable":{"other":{"groupName":"other"}}}"#);
    let latest = reset(ResetTarget::Latest, 0, false);
    let refused = peer.admin().reset_group(&latest).await;
    assert!(matches!(refused, Err(AdminError::NotFound(_))), "{refused:?}");
    peer.answer(201, Command::response(1).with_remark("busy"));
    let unknown = peer.admin().reset_group(&latest).await;
    assert!(matches!(unknown, Err(AdminError::Refused { .. })), "{unknown:?}");
    assert!(!peer.asked().contains(&15));
    peer.answer_body(201, r#"{"subscriptionGroupTable":{"g":{"groupName":"g"}}}"#);
    peer.admin().reset_group(&latest).await.unwrap();
    assert!(peer.asked().contains(&15));
}

#[tokio::test]
async fn members_are_told_and_their_positions_never_set() {
    let peer = with_group();
    peer.answer_body(203, MEMBERS);
    peer.answer_body(222, r#"{"offsetTable":{{"brokerName":"a","queueId":0,"topic":"T"}:6,{"brokerName":"a","queueId":1,"topic":"T"}:4}}"#);
    let answer = peer.admin().reset_group(&reset(ResetTarget::Latest, 0, false)).await.unwrap();
    assert!(answer.members_told);
    let after: Vec<_> = answer.queues.iter().map(|one| (one.after, one.outcome())).collect();
    assert_eq!(after, [(6, Outcome::Done), (4, Outcome::Done)]);
    assert!(!peer.asked().contains(&15));
    let refused = peer.admin().reset_group(&reset(ResetTarget::Shift, 1, false)).await;
    let Err(AdminError::Conflict(text)) = refused else { panic!("{refused:?}") };
    assert!(text.starts_with("1 members of \"g\" are connected"), "{text}");
}

#[tokio::test]
async fn a_tail_goes_on_without_a_broker_that_does_not_answer() {
    let peer = with_group();
    peer.leads_to(&[("a", &peer.address), ("b", NOBODY)]);
    let request = TailMessagesRequest { topic: "T".to_owned(), ..Default::default() };
    let (out, mut parts) = tokio::sync::mpsc::channel(4);
    let admin = peer.admin();
    let part = tokio::select! {
        ended = admin.tail(&request, &out) => panic!("{ended:?}"),
        part = parts.recv() => part.unwrap().unwrap(),
    };
    let at: Vec<_> = part.problems.iter().map(|problem| problem.at.as_str()).collect();
    assert_eq!(at, ["b"]);
}

#[tokio::test]
async fn a_name_that_is_nearly_one_is_told_with_that() {
    let peer = with_group();
    peer.answer(105, Command::response(17));
    peer.answer_body(206, r#"{"topicList":["Orders","Ordered","Paid"]}"#);
    let told = peer.admin().topic("Order").await.unwrap_err().to_string();
    let expected = "there is no topic \"Order\", perhaps \"Orders\" is meant: `";
    assert!(told.starts_with(expected), "{told}");
    peer.answer_body(208, r#"{"offsetTable":{}}"#);
    peer.answer_body(201, r#"{"subscriptionGroupTable":{"other":{"groupName":"other"}}}"#);
    let told = peer.admin().group("othr").await.unwrap_err().to_string();
    assert!(told.contains("\"othr\", perhaps \"other\" is meant: `"), "{told}");
}
