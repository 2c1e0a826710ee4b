//! Name servers that know the same, and that do not.

use super::tests::{NOBODY, Running, outcomes};
use super::*;
use crate::proto::v1::{
    DeleteKvRequest, ListKvRequest, ListNameServersRequest, PutKvRequest,
    PutNameServerSettingRequest, PutWritePermissionRequest,
};

/// Two name servers, the first of which is a broker too, and names a third.
fn two() -> ([Running; 2], Admin) {
    let peers = [Running::start(), Running::start()];
    for peer in &peers {
        peer.register(&[("a", &peers[0].address)]);
        peer.answer_body(206, r#"{"topicList":["T"]}"#);
        peer.answer_body(319, "configStorePath=/x\norderMessageEnable=false\n");
        peer.answer_body(219, r#"{"table":{"T":"a:4"}}"#);
        for code in [100, 102, 318] {
            peer.answer(code, Command::response(0));
        }
        peer.answer(205, Command::response(0).with_field("wipeTopicCount", 3));
        peer.answer(327, Command::response(0).with_field("addTopicCount", 0));
    }
    let named = format!("namesrvAddr={};{NOBODY}\n", peers[1].address);
    peers[0].answer_body(26, &named);
    let addresses = peers.each_ref().map(|peer| peer.address.clone()).to_vec();
    (peers, Admin::new(addresses, Default::default()))
}

#[tokio::test]
async fn name_servers_are_listed_with_those_that_only_brokers_name() {
    let (peers, admin) = two();
    let request = ListNameServersRequest::default();
    let found = admin.list_name_servers(&request).await.unwrap();
    assert_eq!((found.differences.len(), found.problems.len()), (0, 0), "{found:?}");
    let [first, _, third] = &found.name_servers[..] else { panic!("{found:?}") };
    let told = (first.version.as_deref(), first.brokers, first.topics, first.is_asked);
    assert_eq!(told, (Some("4.9.4"), 1, 1, true));
    assert_eq!((third.address.as_str(), third.is_asked), (NOBODY, false));
    assert!(third.error.as_ref().unwrap().contains("cannot connect"), "{third:?}");
    peers[1].answer_body(319, "configStorePath=\n");
    peers[1].answer_body(206, r#"{"topicList":["T","U"]}"#);
    peers[1].register(&[("a", NOBODY)]);
    let found = admin.list_name_servers(&request).await.unwrap();
    assert_eq!(found.name_servers[1].version.as_deref(), Some("rmq-node"));
    let keys: Vec<_> = found.differences.iter().map(|one| one.key.as_str()).collect();
    assert_eq!(keys, ["broker a 0", "topic U"]);
    let values: Vec<_> = found.differences[1].values.iter().map(|one| one.value.clone()).collect();
    assert_eq!(values, [None, Some("known".to_owned())]);
    let nobody = Admin::new(vec![NOBODY.to_owned()], Default::default());
    let refused = nobody.list_name_servers(&request).await;
    assert!(matches!(refused, Err(AdminError::Unreachable(_))), "{refused:?}");
}

#[tokio::test]
async fn routes_are_compared_if_that_is_asked_for() {
    let (peers, admin) = two();
    let route = |queues| {
        format!(
            r#"{{"queueDatas":[{{"brokerName":"a","perm":6,"readQueueNums":{queues},"writeQueueNums":4}}]}}"#
        )
    };
    peers[0].answer_body(105, &route(4));
    peers[1].answer_body(105, &route(8));
    let request = ListNameServersRequest { with_routes: true };
    let found = admin.list_name_servers(&request).await.unwrap();
    let [difference] = &found.differences[..] else { panic!("{found:?}") };
    assert_eq!(difference.key, "route T of a");
    assert_eq!(difference.values[1].value.as_deref(), Some("8 read, 4 write, rw"));
    peers[0].answer(105, Command::response(17));
    let found = admin.list_name_servers(&request).await.unwrap();
    assert_eq!(found.differences[0].values[0].value, None);
}

#[tokio::test]
async fn values_are_set_where_they_are_not_and_taken_where_they_are() {
    let (peers, admin) = two();
    peers[1].answer(219, Command::response(22));
    let found = admin.list_kv(&ListKvRequest::default()).await.unwrap();
    let values: Vec<_> = found.entries[0].values.iter().map(|one| one.value.clone()).collect();
    assert_eq!((found.entries.len(), values), (1, vec![Some("a:4".to_owned()), None]));
    let put = |value: &str, dry_run| PutKvRequest {
        key: "T".to_owned(),
        value: value.to_owned(),
        dry_run,
        ..PutKvRequest::default()
    };
    let at = |first, second| vec![("name server", first), ("name server", second)];
    let done = admin.put_kv_everywhere(&put("a:4", true)).await.unwrap().done;
    assert_eq!(outcomes(&done), at(Outcome::Unchanged, Outcome::DryRun));
    assert!(!peers[1].asked().contains(&100));
    let done = admin.put_kv_everywhere(&put("a:4", false)).await.unwrap().done;
    assert_eq!(outcomes(&done), at(Outcome::Unchanged, Outcome::Done));
    let delete = |key: &str| DeleteKvRequest { key: key.to_owned(), ..DeleteKvRequest::default() };
    let done = admin.delete_kv_everywhere(&delete("T")).await.unwrap().done;
    assert_eq!(outcomes(&done), at(Outcome::Done, Outcome::Unchanged));
    let unknown = admin.delete_kv_everywhere(&delete("U")).await;
    assert!(matches!(unknown, Err(AdminError::NotFound(_))), "{unknown:?}");
}

#[tokio::test]
async fn a_setting_that_one_does_not_have_is_not_said_to_be_changed() {
    let (peers, admin) = two();
    peers[1].answer_body(319, "configStorePath=\n");
    let request = |key: &str, value: &str| PutNameServerSettingRequest {
        key: key.to_owned(),
        value: value.to_owned(),
        dry_run: false,
    };
    let answer = admin.put_name_server_setting(&request("orderMessageEnable", "true")).await;
    let expected = [("name server", Outcome::Done), ("name server", Outcome::Failed)];
    assert_eq!(outcomes(&answer.done), expected);
    let answer = admin.put_name_server_setting(&request("configStorePath", "/x")).await;
    assert_eq!(answer.done[0].outcome(), Outcome::Unchanged);
    let found = admin.list_name_server_settings().await.unwrap();
    assert_eq!(found.entries.len(), 2);
}

#[tokio::test]
async fn write_permission_is_wiped_and_a_broker_without_topics_is_told() {
    let (_peers, admin) = two();
    let request = |broker: &str, may_write| PutWritePermissionRequest {
        broker: broker.to_owned(),
        may_write,
        dry_run: false,
    };
    let done = admin.put_write_permission(&request("a", false)).await.unwrap().done;
    assert!(done.iter().all(|one| one.outcome() == Outcome::Done), "{done:?}");
    let done = admin.put_write_permission(&request("a", true)).await.unwrap().done;
    assert_eq!(done[0].reason.as_deref(), Some("it knows no topic of a"));
    let unknown = admin.put_write_permission(&request("b", true)).await;
    assert!(matches!(unknown, Err(AdminError::NotFound(_))), "{unknown:?}");
}
