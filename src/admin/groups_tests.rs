//! Changing groups at a peer that notes what it is told.

use std::sync::{Arc, Mutex};

use super::tests::{MEMBERS, NOBODY, Running, outcomes};
use super::*;
use crate::model::SubscriptionGroupConfig;
use crate::proto::v1::{CreateGroupRequest, DeleteGroupRequest, GroupSettings, UpdateGroupRequest};
use crate::remoting::bodies::groups::parse_group;

/// Who has a group `g` with 3 retries, and notes groups that it is given.
fn with_group() -> (Running, Arc<Mutex<Vec<SubscriptionGroupConfig>>>) {
    let peer = Running::start();
    peer.register(&[("a", &peer.address)]);
    peer.answer_body(
        201,
        r#"{"subscriptionGroupTable":{"g":{"groupName":"g","retryMaxTimes":3}}}"#,
    );
    peer.answer(203, Command::response(206));
    let given = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&given);
    peer.answer_with(200, move |request| {
        noted.lock().unwrap().push(parse_group(&request.body).unwrap().unwrap());
        Command::response(0)
    });
    (peer, given)
}

fn retries(times: i32) -> Option<GroupSettings> {
    Some(GroupSettings { retry_max_times: Some(times), ..GroupSettings::default() })
}

#[tokio::test]
async fn creating_a_group_changes_none_that_is_there() {
    let (peer, given) = with_group();
    let request = |group: &str, times| CreateGroupRequest {
        group: group.to_owned(),
        settings: retries(times),
        ..CreateGroupRequest::default()
    };
    let create = async |request| peer.admin().create_group(&request).await;
    let done = create(request("g", 3)).await.unwrap().done;
    assert_eq!(outcomes(&done), [("a", Outcome::Unchanged)]);
    let refused = create(request("g", 4)).await;
    assert!(matches!(refused, Err(AdminError::Conflict(_))), "{refused:?}");
    let dry = CreateGroupRequest { dry_run: true, ..request("h", 4) };
    assert_eq!(outcomes(&create(dry).await.unwrap().done), [("a", Outcome::DryRun)]);
    assert_eq!(given.lock().unwrap().len(), 0);
    let done = create(request("h", 4)).await.unwrap().done;
    assert_eq!(outcomes(&done), [("a", Outcome::Done)]);
    let given = given.lock().unwrap().clone();
    let made = (given[0].name.as_str(), given[0].retry_max_times, given[0].retry_queue_nums);
    assert_eq!((given.len(), made), (1, ("h", 4, 1)));
    for wrong in [request("a b", 1), request(&"g".repeat(256), 1), request("h", -1)] {
        let refused = create(wrong).await;
        assert!(matches!(refused, Err(AdminError::Invalid(_))), "{refused:?}");
    }
}

#[tokio::test]
async fn only_the_settings_that_are_given_change_and_only_where_the_group_is() {
    let (peer, given) = with_group();
    let other = Running::start();
    peer.register(&[("a", &peer.address), ("b", &other.address), ("c", NOBODY)]);
    other.answer_body(201, r#"{"subscriptionGroupTable":{}}"#);
    let request = |group: &str, settings| UpdateGroupRequest {
        group: group.to_owned(),
        settings: Some(settings),
        ..UpdateGroupRequest::default()
    };
    let off = GroupSettings { consume_enabled: Some(false), ..GroupSettings::default() };
    let done = peer.admin().update_group(&request("g", off)).await.unwrap().done;
    assert_eq!(outcomes(&done), [("a", Outcome::Done), ("c", Outcome::Failed)]);
    let now = given.lock().unwrap().pop().unwrap();
    assert_eq!((now.consume_enable, now.retry_max_times), (false, 3));
    assert!(!other.asked().contains(&200));
    let same = GroupSettings { consume_enabled: Some(true), ..GroupSettings::default() };
    let done = peer.admin().update_group(&request("g", same)).await.unwrap().done;
    assert_eq!(done[0].outcome(), Outcome::Unchanged);
    let nothing = peer.admin().update_group(&request("g", GroupSettings::default())).await;
    assert!(matches!(nothing, Err(AdminError::Invalid(_))), "{nothing:?}");
    peer.register(&[("a", &peer.address)]);
    let unknown = peer.admin().update_group(&request("h", off)).await;
    assert!(matches!(unknown, Err(AdminError::NotFound(_))), "{unknown:?}");
}

#[tokio::test]
async fn a_group_is_deleted_with_its_topics_and_never_under_its_members() {
    let (peer, _) = with_group();
    peer.answer_body(
        21,
        r#"{"topicConfigTable":{"%RETRY%g":{"perm":6,"readQueueNums":1,"writeQueueNums":1}}}"#,
    );
    peer.answer(105, Command::response(17));
    for code in [207, 215, 216] {
        peer.answer(code, Command::response(0));
    }
    let request = |dry_run| DeleteGroupRequest { group: "g".to_owned(), dry_run, cluster: None };
    let done = peer.admin().delete_group(&request(true)).await.unwrap().done;
    let places = ["a", "%RETRY%g on a", "%RETRY%g on name server"];
    assert_eq!(outcomes(&done), places.map(|place| (place, Outcome::DryRun)));
    assert!(!peer.asked().contains(&207));
    let done = peer.admin().delete_group(&request(false)).await.unwrap().done;
    assert_eq!(outcomes(&done), places.map(|place| (place, Outcome::Done)));
    assert_eq!(peer.asked(), [106, 203, 201, 207, 106, 21, 215, 216, 106, 21, 105, 206]);
    peer.answer_body(203, MEMBERS);
    let refused = peer.admin().delete_group(&request(false)).await;
    let Err(AdminError::Conflict(text)) = refused else { panic!("{refused:?}") };
    assert!(text.starts_with("1 members of \"g\" are connected"), "{text}");
}
