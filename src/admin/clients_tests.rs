//! Clients of two brokers.

use super::tests::{MEMBERS, NOBODY, Running};
use super::*;
use crate::proto::v1::GetClientRequest;

/// A broker with a consumer `c` of group `g`, which produces too, and a producer `p`.
fn with_clients() -> Running {
    let peer = Running::start();
    peer.register(&[("a", &peer.address), ("down", NOBODY)]);
    let producer = |id: &str| {
        format!(
            r#"{{"clientId":"{id}","language":"GO","lastUpdateTimestamp":9,"remoteIP":"/h:2","version":401}}"#
        )
    };
    let body = format!(
        r#"{{"data":{{"CLIENT_INNER_PRODUCER":[{}],"P":[{}],"Q":[{}]}}}}"#,
        producer("c"),
        producer("p"),
        producer("p")
    );
    peer.answer_body(328, &body);
    peer.answer_body(
        201,
        r#"{"subscriptionGroupTable":{"g":{"groupName":"g"},"idle":{"groupName":"idle"}}}"#,
    );
    peer.answer_with(203, |request| match request.field("consumerGroup") {
        Some("g") => Command::response(0).with_body(MEMBERS.as_bytes().to_vec()),
        _ => Command::response(206),
    });
    peer
}

#[tokio::test]
async fn a_client_is_one_whatever_it_does_and_who_did_not_answer_is_told() {
    let peer = with_clients();
    let found = peer.admin().clients().await.unwrap();
    let problem = &found.problems[0].reason;
    assert!(problem.starts_with("clients of down are missing: "), "{problem}");
    let [c, p] = &found.clients[..] else { panic!("{found:?}") };
    assert_eq!((c.client_id.as_str(), &c.consumer_groups[..]), ("c", &["g".to_owned()][..]));
    assert_eq!((c.producer_groups.len(), c.last_heartbeat_ms), (0, Some(9)));
    let produces = ["P".to_owned(), "Q".to_owned()];
    assert_eq!((p.address.as_str(), &p.producer_groups[..]), ("h:2", &produces[..]));
    assert_eq!(p.brokers, ["a"]);
}

#[tokio::test]
async fn a_client_tells_of_itself_in_each_group() {
    let peer = with_clients();
    peer.answer_body(307, r#"{"properties":{"PROP_CONSUMER_START_TIMESTAMP":"7"},"subscriptionSet":[{"topic":"T","subString":"*"}],
        "mqTable":{{"brokerName":"a","queueId":0,"topic":"T"}:{"commitOffset":5,"cachedMsgCount":2,"locked":true,"lastPullTimestamp":9}},
        "statusTable":{"T":{"pullTPS":1.5,"consumeFailedMsgs":3}},"jstack":"threads"}"#);
    let request = |id: &str| GetClientRequest { client_id: id.to_owned(), with_stacks: true };
    let status = peer.admin().client(&request("c")).await.unwrap();
    let [consumer] = &status.consumers[..] else { panic!("{status:?}") };
    assert_eq!((consumer.group.as_str(), consumer.started_ms), ("g", Some(7)));
    let queue = &consumer.queues[0];
    assert_eq!((queue.commit_offset, queue.cached_messages, queue.is_locked), (5, 2, true));
    assert_eq!((queue.last_pull_ms, queue.last_consume_ms), (Some(9), None));
    let rates = &consumer.rates[0];
    assert_eq!((rates.pulled_per_s, rates.failed_in_hour), (1.5, 3));
    assert_eq!(consumer.stacks.as_deref(), Some("threads"));
    // One that does not answer is shown as brokers know it.
    peer.answer(307, Command::response(1).with_remark("no"));
    let status = peer.admin().client(&request("c")).await.unwrap();
    assert!(status.consumers.is_empty() && status.problems.len() == 2, "{status:?}");
    let unknown = peer.admin().client(&request("x")).await;
    assert!(matches!(unknown, Err(AdminError::NotFound(_))), "{unknown:?}");
}
