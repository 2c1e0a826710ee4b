//! Brokers one by one, against peers that answer what the test says.

use super::super::Own;
use super::super::tests::{NOBODY, Running};
use super::*;
use crate::proto::v1::{
    DrainBrokerRequest, GetBrokerConfigRequest, Outcome, ResetBrokerConfigRequest,
    ResumeBrokerRequest, SetBrokerConfigRequest,
};
use crate::remoting::Command;

const INFO: &str = r#"{"table":{"brokerVersionDesc":"V4_9_4","bootTimestamp":"7","commitLogDiskRatio":"0.42",
    "commitLogMinOffset":"0","commitLogMaxOffset":"100","putTps":"0.0 2.5 1.0","getTransferedTps":"0.0 0.0 0.0"}}"#;

/// Topics of which `T` takes messages, `R` only gives them out, and the others are nobody's.
const TOPICS: &str = r#"{"dataVersion":{"counter":1,"timestamp":1},"topicConfigTable":{
    "T":{"perm":6,"readQueueNums":8,"writeQueueNums":8},"R":{"perm":4,"readQueueNums":8,"writeQueueNums":8},
    "%RETRY%g":{"perm":6,"readQueueNums":1,"writeQueueNums":1},"TBW102":{"perm":7,"readQueueNums":8,"writeQueueNums":8}}}"#;

/// `a`'s topic of its own name, as producers are told of it.
fn route(permission: u32) -> String {
    format!(
        r#"{{"brokerDatas":[{{"brokerAddrs":{{0:"h:1"}},"brokerName":"a","cluster":"C"}}],"filterServerTable":{{}},
            "queueDatas":[{{"brokerName":"a","perm":{permission},"readQueueNums":1,"writeQueueNums":1,"topicSysFlag":0}}]}}"#
    )
}

/// One peer that is name server and the master `a`, whose permission is this.
fn master(permission: u32) -> Running {
    let peer = Running::start();
    peer.register(&[("a", &peer.address)]);
    peer.answer_body(21, TOPICS);
    peer.answer_body(26, &format!("brokerPermission={permission}\nfileReservedTime=48\n"));
    peer.answer_body(28, INFO);
    peer.answer_body(105, &route(permission));
    peer.answer(25, Command::response(0));
    peer
}

fn drain(accept_only_here: bool) -> DrainBrokerRequest {
    DrainBrokerRequest { broker: Some("a".to_owned()), accept_only_here, dry_run: false }
}

#[tokio::test]
async fn one_that_a_name_server_keeps_producers_from_is_shown_so_n062() {
    let peer = master(6);
    let show = async || peer.admin().broker(&GetBrokerRequest::default()).await.unwrap().broker;
    assert_eq!(show().await.unwrap().kept_away_by, [""; 0]);
    peer.answer_body(105, &route(4));
    let wiped = show().await.unwrap();
    assert_eq!(wiped.kept_away_by, std::slice::from_ref(&peer.address));
    assert!(wiped.warnings[0].ends_with("(wipeWritePerm)"), "{:?}", wiped.warnings);
    let listed = peer.admin().brokers().await.unwrap().brokers.remove(0).broker.unwrap();
    assert_eq!(listed.kept_away_by, wiped.kept_away_by);
}

#[tokio::test]
async fn topics_that_nobody_else_takes_are_not_closed_unasked() {
    let peer = master(6);
    let refused = peer.admin().drain(&drain(false)).await.unwrap_err().to_string();
    assert!(refused.contains("no other master of C takes messages for: T. "), "{refused}");
    let dry_run = DrainBrokerRequest { dry_run: true, ..drain(false) };
    let planned = peer.admin().drain(&dry_run).await.unwrap();
    assert_eq!((planned.only_here, planned.is_kept), (vec!["T".to_owned()], false));
    assert_eq!(planned.done.unwrap().outcome(), Outcome::DryRun);
    assert!(!peer.asked().contains(&25));
    let done = peer.admin().drain(&drain(true)).await.unwrap().done.unwrap();
    assert_eq!(done.outcome(), Outcome::Done);
    assert!(peer.asked().contains(&25));
    // Another master takes it too, unless it is drained as well.
    let other = master(6);
    peer.register(&[("a", &peer.address), ("b", &other.address)]);
    peer.admin().drain(&drain(false)).await.unwrap();
    other.answer_body(26, "brokerPermission=4\n");
    peer.admin().drain(&drain(false)).await.unwrap_err();
}

#[tokio::test]
async fn a_drain_that_fails_has_changed_nothing() {
    let peer = master(6);
    peer.answer(9010, Command::response(1));
    peer.admin().drain(&drain(true)).await.unwrap_err();
    assert!(!peer.asked().contains(&25));
}

#[tokio::test]
async fn what_is_so_already_is_not_changed() {
    let peer = master(4);
    let done = peer.admin().drain(&drain(false)).await.unwrap().done.unwrap();
    assert_eq!(done.outcome(), Outcome::Unchanged);
    assert!(!peer.asked().contains(&25));
    let resume = |dry_run| ResumeBrokerRequest { broker: None, dry_run };
    let done = peer.admin().resume(&resume(true)).await.unwrap().done.unwrap();
    assert_eq!((done.outcome(), done.at.as_str()), (Outcome::DryRun, "a"));
    // The peer that is the name server too says the same as before.
    let answer = peer.admin().resume(&resume(false)).await.unwrap();
    assert_eq!(answer.done.unwrap().outcome(), Outcome::Done);
    assert!(answer.problems[0].reason.contains("keeps producers away from a still"));
    assert!(peer.asked().contains(&25));
    // A name server that was told otherwise is told again.
    peer.answer_body(105, &route(6));
    let done = peer.admin().drain(&drain(true)).await.unwrap().done.unwrap();
    assert_eq!(done.outcome(), Outcome::Done);
    assert!(peer.asked().contains(&25));
}

#[tokio::test]
async fn a_broker_that_lets_clients_do_nothing_answers_all_the_same() {
    let peer = master(0);
    let status = peer.admin().broker(&GetBrokerRequest::default()).await.unwrap();
    assert_eq!((status.permission.as_deref(), status.started_ms), (Some("-"), Some(7)));
    assert!(status.drain.is_some());
    assert_eq!(status.broker.unwrap().permission.as_deref(), Some("-"));
}

#[tokio::test]
async fn each_broker_is_asked_once_and_for_one_no_other_group() {
    let (peer, other) = (master(6), master(6));
    let groups = format!(
        r#"{{"brokerAddrTable":{{"a":{{"brokerAddrs":{{0:"{}"}},"brokerName":"a","cluster":"C"}},
            "b":{{"brokerAddrs":{{0:"{1}",1:"{NOBODY}"}},"brokerName":"b","cluster":"C"}}}}}}"#,
        peer.address, other.address
    );
    peer.answer_body(106, &groups);
    let times = |asked: Vec<i32>| {
        [26, 28, 9001, 9010].map(|code| asked.iter().filter(|one| **one == code).count())
    };
    peer.admin().brokers().await.unwrap();
    assert_eq!([peer.asked(), other.asked()].map(times), [[1; 4]; 2]);
    let one = GetBrokerRequest { broker: Some("a".to_owned()), id: None };
    let status = peer.admin().broker(&one).await.unwrap();
    assert_eq!((times(peer.asked()), other.asked()), ([1; 4], vec![]));
    // What is said of it is the same.
    let warnings = status.broker.unwrap().warnings;
    assert_eq!(warnings, ["no slave is registered, as other groups have one"]);
}

/// What is waited for, and what there is to know beside.
async fn waits(peer: &Running) -> (Vec<String>, Vec<String>) {
    let status = peer.admin().broker(&GetBrokerRequest::default()).await.unwrap();
    let drain = status.drain.unwrap();
    (drain.waits_for, drain.notes)
}

#[tokio::test]
async fn a_plain_broker_is_judged_by_what_it_stores() {
    let peer = master(4);
    let (waits_for, notes) = waits(&peer).await;
    assert_eq!(waits_for, ["it stored 2.5 messages a second in the last minute"]);
    assert!(notes[0].starts_with("it is no rmq-node: "), "{notes:?}");
    assert!(notes[1].starts_with("it has no slave: "), "{notes:?}");
    // 4.9.4 tells no rate of a minute until it has counted for longer.
    for (minutes, is_known) in [(0, false), (1, false), (2, true)] {
        let runtime =
            format!(r#"{{"runtime":"[ 0 days, 0 hours, {minutes} minutes, 9 seconds ]","#);
        let info = INFO.replace("2.5", "0.0").replacen(
            r#"{"brokerVersionDesc"#,
            &format!(r#"{runtime}"brokerVersionDesc"#),
            1,
        );
        peer.answer_body(28, &info);
        let waits_for = waits(&peer).await.0;
        let unknown = "it runs for less than two minutes, and does not tell yet what it stored in the last one";
        assert_eq!(waits_for, if is_known { vec![] } else { vec![unknown] });
    }
    peer.answer_body(28, &INFO.replace("2.5", "0.0"));
    assert_eq!(waits(&peer).await.0, [""; 0]);
    // Somebody has given the permission back at the name server.
    peer.answer_body(105, &route(6));
    let still = format!("name server {} sends producers there still", peer.address);
    assert_eq!(waits(&peer).await.0, [still]);
}

#[tokio::test]
async fn one_of_ours_tells_when_a_producer_sent_last() {
    let peer = master(4);
    peer.answer_body(9010, r#"{"closedMs":5000,"lastSendMs":2500,"producers":3}"#);
    let (waits_for, notes) = waits(&peer).await;
    let expected = [
        "producers look for other routes every 30 s: 30 s more, 3 connected",
        "a producer sent 2 s ago",
    ];
    assert_eq!(waits_for, expected);
    assert_eq!(notes.len(), 1, "{notes:?}");
    peer.answer_body(9010, r#"{"closedMs":35000,"lastSendMs":5000}"#);
    assert_eq!(waits(&peer).await.0, [""; 0]);
    let listed = peer.admin().brokers().await.unwrap().brokers;
    assert_eq!(listed[0].broker.as_ref().unwrap().state, "drained");
    assert_eq!(listed[0].permission.as_deref(), Some("r"));
    assert_eq!(listed[0].disk_used_percent, Some(42.0));
}

#[tokio::test]
async fn slaves_are_waited_for() {
    let (peer, slave) = (master(4), master(6));
    let groups = format!(
        r#"{{"brokerAddrTable":{{"a":{{"brokerAddrs":{{0:"{}",1:"{}",2:"{NOBODY}"}},"brokerName":"a","cluster":"C"}}}}}}"#,
        peer.address, slave.address
    );
    peer.answer_body(106, &groups);
    peer.answer_body(9010, r#"{"closedMs":35000}"#);
    slave.answer_body(28, &INFO.replace("\"100\"", "\"60\""));
    let (waits_for, notes) = waits(&peer).await;
    assert_eq!(waits_for[0], format!("slave 1 ({}) lacks 40 B", slave.address));
    assert!(
        waits_for[1].ends_with("does not tell how far it is: does not answer"),
        "{waits_for:?}"
    );
    assert_eq!((waits_for.len(), notes.len()), (2, 0));
    // It is in the list all the same.
    let listed = peer.admin().brokers().await.unwrap();
    assert_eq!((listed.brokers.len(), listed.problems.len()), (3, 1));
}

#[tokio::test]
async fn a_setting_that_nobody_takes_is_told() {
    let peer = master(6);
    let set = |key: &str, value: &str| SetBrokerConfigRequest {
        key: key.to_owned(),
        value: value.to_owned(),
        ..SetBrokerConfigRequest::default()
    };
    let admin = peer.admin();
    let same = admin.set_broker_config(&set("fileReservedTime", "48")).await.unwrap();
    assert_eq!(same.done.unwrap().outcome(), Outcome::Unchanged);
    let error = admin.set_broker_config(&set("noSuchKey", "1")).await.unwrap_err().to_string();
    assert!(error.contains("took no notice"), "{error}");
    let error = admin.set_broker_config(&set("a=b", "1")).await.unwrap_err();
    assert!(matches!(error, AdminError::Invalid(_)), "{error}");
    let reset = ResetBrokerConfigRequest {
        key: "fileReservedTime".to_owned(),
        ..ResetBrokerConfigRequest::default()
    };
    let error = admin.reset_broker_config(&reset).await.unwrap_err().to_string();
    assert!(error.contains("is no rmq-node"), "{error}");
    let row = r#"{"overrides":[{"key":"fileReservedTime","value":"48","insteadOf":"72"}]}"#;
    peer.answer_body(9010, row);
    peer.answer(9011, Command::response(0));
    let answer = admin.reset_broker_config(&reset).await.unwrap();
    assert_eq!((answer.before.as_deref(), answer.after.as_deref()), (Some("48"), Some("72")));
    let get =
        GetBrokerConfigRequest { key: Some("fileReservedTime".to_owned()), ..Default::default() };
    let setting = admin.broker_config(&get).await.unwrap().settings.remove(0);
    assert_eq!(setting.instead_of.as_deref(), Some("72"));
    let get = GetBrokerConfigRequest { key: Some("x".to_owned()), ..Default::default() };
    assert!(matches!(admin.broker_config(&get).await, Err(AdminError::NotFound(_))));
}

#[tokio::test]
async fn a_broker_is_named_unless_there_is_one() {
    let peer = master(6);
    let named = |name: &str| GetBrokerRequest { broker: Some(name.to_owned()), id: None };
    let error = peer.admin().broker(&named("z")).await.unwrap_err();
    assert_eq!(error.to_string(), "no broker \"z\" is registered; there is: a");
    let slave = GetBrokerRequest { broker: None, id: Some(3) };
    let error = peer.admin().broker(&slave).await.unwrap_err().to_string();
    assert!(error.starts_with("a is not registered under 3"), "{error}");
    peer.register(&[("a", &peer.address), ("b", NOBODY)]);
    let error = peer.admin().broker(&GetBrokerRequest::default()).await.unwrap_err();
    assert_eq!(error, AdminError::Invalid("there are several brokers, name one: a, b".to_owned()));
    let error = peer.admin().broker(&named("b")).await.unwrap_err();
    assert!(matches!(error, AdminError::Unreachable(_)), "{error}");
}

#[tokio::test]
async fn a_host_is_stopped_only_if_others_do_its_work() {
    let own = |brokers: &[(&str, i64)]| Own {
        brokers: brokers.iter().map(|(group, id)| ((*group).to_owned(), *id)).collect(),
        disk_read_only_percent: 90,
        data_format: 1,
    };
    // Alone, with nobody beside it.
    let peer = master(6);
    let check = peer.admin().upgrade_check(&own(&[("a", 0), ("z", 1)])).await.unwrap();
    assert_eq!(check.not_drained, ["a"]);
    let expected = [
        "a has no slave",
        "no other master of C takes messages",
        "no other master takes messages for these topics: T",
        "z 1 of this host is not registered",
        "no name server of another host answers",
    ];
    assert_eq!(check.obstacles.len(), expected.len(), "{:?}", check.obstacles);
    for (obstacle, expected) in check.obstacles.iter().zip(expected) {
        assert!(obstacle.starts_with(expected), "{obstacle}");
    }
    // A pair: the other host's master and slave, and its name server, are on another address.
    let (a, b) = (master(4), master(6));
    let other_host = |peer: &Running| peer.address.replace("127.0.0.1", "localhost");
    let groups = format!(
        r#"{{"brokerAddrTable":{{"a":{{"brokerAddrs":{{0:"{}",1:"{1}"}},"brokerName":"a","cluster":"C"}},
            "b":{{"brokerAddrs":{{0:"{1}",1:"{0}"}},"brokerName":"b","cluster":"C"}}}}}}"#,
        a.address,
        other_host(&b)
    );
    for peer in [&a, &b] {
        peer.answer_body(106, &groups);
    }
    a.answer_body(9010, r#"{"closedMs":35000}"#);
    let admin = Admin::new(vec![a.address.clone(), other_host(&b)], Default::default());
    // What the name server of the other host says of `a`.
    b.answer_body(105, &route(4));
    let pair = own(&[("a", 0), ("b", 1)]);
    let check = admin.upgrade_check(&pair).await.unwrap();
    assert_eq!((&check.obstacles, &check.not_drained), (&Vec::new(), &Vec::new()));
    assert_eq!(check.fine.len(), 5, "{:?}", check.fine);
    // A name server that knows a broker elsewhere answers all the same.
    b.answer_body(106, &groups.replace(&a.address, &other_host(&a)));
    let check = admin.upgrade_check(&pair).await.unwrap();
    assert_eq!((&check.obstacles, &check.not_drained), (&Vec::new(), &Vec::new()));
    b.answer_body(106, &groups);
    // The disk is full, and the other host's master was drained too.
    a.answer_body(28, &INFO.replace("0.42", "0.95"));
    b.answer_body(26, "brokerPermission=4\n");
    b.answer_body(9010, r#"{"closedMs":35000}"#);
    let obstacles = admin.upgrade_check(&pair).await.unwrap().obstacles.join("; ");
    for expected in
        ["the disk of a is 95 % full", "no other master of C takes messages", "topics: T"]
    {
        assert!(obstacles.contains(expected), "{obstacles}");
    }
}
