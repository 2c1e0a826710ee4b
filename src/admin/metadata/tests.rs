//! Export, plan and steps against peers that answer what the test says.

use std::collections::BTreeMap;

use super::*;
use crate::admin::accounts::UNTOLD_SECRET;
use crate::admin::tests::{NOBODY, Running};
use crate::proto::v1::{
    AccountMetadata, AccountsMetadata, GroupConfiguration, GroupMetadata, GroupsMetadata,
    KvMetadata, KvNamespace, OffsetsInTopic, OffsetsMetadata, OffsetsOfGroup, OffsetsOnBroker,
    TopicConfiguration, TopicMetadata, TopicsMetadata,
};
use crate::remoting::Command;

const TOPICS: &str = r#"{"topicConfigTable":{"T":{"perm":6,"readQueueNums":8,"writeQueueNums":8,"order":true},
    "Old":{"perm":4,"readQueueNums":2,"writeQueueNums":2},"TBW102":{},"%RETRY%g":{}}}"#;
const GROUPS: &str = r#"{"subscriptionGroupTable":{"g":{"groupName":"g","retryMaxTimes":3},"TOOLS_CONSUMER":{"groupName":"TOOLS_CONSUMER"}}}"#;
const OFFSETS: &str = r#"{"offsetTable":{"T@g":{0:5,1:7},"%RETRY%g@g":{0:1},"SCHEDULE_TOPIC_XXXX@x":{0:1},"T@TOOLS_CONSUMER":{0:1}}}"#;
const ACCOUNTS: &str = r#"{"globalWhiteAddrs":["10.0.0.1"],"plainAccessConfigs":[
    {"accessKey":"the-admin","admin":true,"secretKey":"12345678"},
    {"accessKey":"orders-app","secretKey":"87654321","defaultTopicPerm":"DENY","topicPerms":["T=PUB","S=SUB"]}]}"#;

/// Two masters in one peer, which is the name server too.
fn peer() -> Running {
    let peer = Running::start();
    peer.register(&[("a", &peer.address), ("b", &peer.address)]);
    peer.answer_body(21, TOPICS);
    peer.answer_body(201, GROUPS);
    peer.answer_body(43, OFFSETS);
    peer.answer_body(26, "aclEnable=true\n");
    peer.answer_body(54, ACCOUNTS);
    peer.answer_body(219, r#"{"table":{"T":"a:8;b:8"}}"#);
    for code in [17, 215, 216, 200, 207, 15, 50, 51, 53, 100, 102] {
        peer.answer(code, Command::response(0));
    }
    peer
}

fn one<T>(name: &str, value: T) -> BTreeMap<String, T> {
    BTreeMap::from([(name.to_owned(), value)])
}

async fn exported(peer: &Running) -> ClusterMetadata {
    let request = ExportMetadataRequest {
        with_offsets: true,
        with_secrets: true,
        ..ExportMetadataRequest::default()
    };
    let answer = peer.admin().export_metadata(&request).await.unwrap();
    assert_eq!(answer.problems, []);
    answer.metadata.unwrap()
}

async fn planned(peer: &Running, metadata: ClusterMetadata, prune: bool) -> ApplyMetadataResponse {
    let metadata = Some(metadata);
    let request = ApplyMetadataRequest { metadata, prune, cluster: None };
    peer.admin().plan_metadata(&request).await.unwrap().into_dry_run()
}

async fn refused(peer: &Running, metadata: ClusterMetadata, prune: bool) -> String {
    let metadata = Some(metadata);
    let request = ApplyMetadataRequest { metadata, prune, cluster: None };
    match peer.admin().plan_metadata(&request).await {
        Err(AdminError::Invalid(text)) => text,
        other => panic!("{other:?}"),
    }
}

fn lines(steps: &[MetadataStep]) -> Vec<String> {
    let line = |step: &MetadataStep| step.as_line().replace(": dry-run", "");
    steps.iter().map(line).collect()
}

/// Topics of which one is said everything, on all masters.
fn topics(name: &str, configuration: TopicConfiguration) -> ClusterMetadata {
    let topic = TopicMetadata { everywhere: Some(configuration), ..TopicMetadata::default() };
    ClusterMetadata {
        topics: Some(TopicsMetadata { topics: one(name, topic) }),
        ..ClusterMetadata::default()
    }
}

#[tokio::test]
async fn what_is_told_is_the_applications_and_planned_again_it_is_nothing() {
    let peer = peer();
    let metadata = exported(&peer).await;
    let names: Vec<_> = metadata.topics.as_ref().unwrap().topics.keys().collect();
    assert_eq!(names, ["Old", "T"]);
    assert!(metadata.topics.as_ref().unwrap().topics["T"].brokers.is_empty());
    let group = &metadata.groups.as_ref().unwrap().groups["g"];
    assert_eq!(group.everywhere.as_ref().unwrap().retry_max_times, Some(3));
    assert_eq!(metadata.groups.as_ref().unwrap().groups.len(), 1);
    let offsets = &metadata.offsets.as_ref().unwrap().groups;
    assert_eq!(offsets.keys().collect::<Vec<_>>(), ["g"]);
    assert_eq!(offsets["g"].topics["T"].brokers["b"].queues, BTreeMap::from([(0, 5), (1, 7)]));
    let accounts = metadata.accounts.as_ref().unwrap();
    assert_eq!(accounts.accounts["orders-app"].topic_perms, ["S=SUB", "T=PUB"]);
    let plan = planned(&peer, metadata, true).await;
    assert_eq!((plan.steps, plan.problems, plan.left_alone), (vec![], vec![], 0));
    // Secrets are told only to who asks for them, and accounts only where there are some.
    let answer = peer.admin().export_metadata(&ExportMetadataRequest::default()).await.unwrap();
    let metadata = answer.metadata.unwrap();
    assert!(metadata.offsets.is_none());
    assert_eq!(metadata.accounts.unwrap().accounts["the-admin"].secret_key, None);
    peer.answer_body(26, "aclEnable=false\n");
    peer.asked();
    let answer = peer.admin().export_metadata(&ExportMetadataRequest::default()).await.unwrap();
    assert!(answer.metadata.unwrap().accounts.is_none());
    assert!(!peer.asked().contains(&54));
}

#[tokio::test]
async fn what_differs_is_a_step_each_and_what_is_not_named_goes_only_if_it_is_to() {
    let peer = peer();
    let write_queues = Some(4);
    let wanted = topics("T", TopicConfiguration { write_queues, ..TopicConfiguration::default() });
    let plan = planned(&peer, wanted.clone(), false).await;
    assert_eq!(lines(&plan.steps), ["change topic T at a", "change topic T at b"]);
    assert_eq!(plan.steps[0].changes, [change("write_queues", Some("8"), Some("4"))]);
    assert_eq!((plan.steps_total, plan.left_alone), (2, 2));
    let plan = planned(&peer, wanted, true).await;
    let deleted =
        ["delete topic Old at a", "delete topic Old at b", "delete topic Old at name server"];
    assert_eq!(lines(&plan.steps)[2..], deleted);

    let here = TopicConfiguration { read_queues: Some(2), ..TopicConfiguration::default() };
    let new = TopicMetadata { everywhere: None, brokers: one("b", here) };
    let wanted = ClusterMetadata {
        topics: Some(TopicsMetadata { topics: one("New", new) }),
        groups: Some(GroupsMetadata {
            groups: one(
                "g",
                GroupMetadata {
                    everywhere: Some(GroupConfiguration::default()),
                    ..GroupMetadata::default()
                },
            ),
        }),
        kv: Some(KvMetadata {
            namespaces: one(
                "ORDER_TOPIC_CONFIG",
                KvNamespace { values: one("New", "b:8".to_owned()) },
            ),
        }),
        ..ClusterMetadata::default()
    };
    let plan = planned(&peer, wanted, false).await;
    let expected = [
        "create topic New at b",
        "change group g at a",
        "change group g at b",
        "create value ORDER_TOPIC_CONFIG/New at name server",
    ];
    assert_eq!(lines(&plan.steps), expected);
    assert_eq!(plan.steps[1].changes, [change("retry_max_times", Some("3"), Some("16"))]);
}

/// All steps, done.
async fn done(admin: &Admin, plan: &mut MetadataPlan) -> Vec<MetadataStep> {
    let mut all = Vec::new();
    loop {
        let mut steps = admin.do_next_steps(plan).await;
        if steps.is_empty() {
            return all;
        }
        all.append(&mut steps);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn steps_of_one_kind_are_done_side_by_side() {
    let (first, second) = (peer(), peer());
    first.register(&[("a", &first.address), ("b", &second.address)]);
    let (came, to_come) = std::sync::mpsc::channel();
    second.answer_with(17, move |_| {
        came.send(()).unwrap();
        Command::response(0)
    });
    let to_come = std::sync::Mutex::new(to_come);
    first.answer_with(17, move |_| {
        let other = || to_come.lock().unwrap().recv_timeout(std::time::Duration::from_secs(10));
        Command::response(i32::from(tokio::task::block_in_place(other).is_err()))
    });
    let metadata = Some(topics("New", TopicConfiguration::default()));
    let request = ApplyMetadataRequest { metadata, prune: false, cluster: None };
    let mut plan = first.admin().plan_metadata(&request).await.unwrap();
    let done = done(&first.admin(), &mut plan).await;
    assert_eq!(lines(&done), ["create topic New at a: done", "create topic New at b: done"]);
}

#[test]
fn what_may_not_be_done_side_by_side_waits() {
    let mut plan = MetadataPlan::default();
    let steps = [
        (40, Action::DeleteTopic),
        (2, Action::ForgetTopic { cluster: "C".to_owned() }),
        (2, Action::DeleteAccount),
    ];
    for (count, action) in steps {
        for _ in 0..count {
            plan.add(MetadataStep::default(), action.clone());
        }
    }
    let counts: Vec<_> = std::iter::repeat_with(|| plan.next_steps().len()).take(6).collect();
    assert_eq!(counts, [32, 8, 2, 1, 1, 0]);
}

#[tokio::test]
async fn steps_go_on_after_a_failed_one_and_no_name_server_forgets_what_a_broker_has() {
    let peer = peer();
    peer.answer(215, Command::response(1).with_remark("no"));
    let metadata = Some(topics("New", TopicConfiguration::default()));
    let request = ApplyMetadataRequest { metadata, prune: true, cluster: None };
    let admin = peer.admin();
    let mut plan = admin.plan_metadata(&request).await.unwrap();
    peer.asked();
    let mut ends = Vec::new();
    for step in done(&admin, &mut plan).await {
        ends.push((step.name.clone(), step.at.clone(), step.outcome()));
    }
    let end = |name: &str, at: &str, outcome| (name.to_owned(), at.to_owned(), outcome);
    let expected = [
        end("New", "a", Outcome::Done),
        end("New", "b", Outcome::Done),
        end("Old", "a", Outcome::Failed),
        end("T", "a", Outcome::Failed),
        end("Old", "b", Outcome::Failed),
        end("T", "b", Outcome::Failed),
        end("Old", "name server", Outcome::Failed),
        end("T", "name server", Outcome::Failed),
    ];
    assert_eq!(ends, expected);
    assert_eq!(peer.asked(), [17, 17, 215, 215, 215, 215]);
}

#[tokio::test]
async fn a_name_server_that_fails_keeps_no_other_from_forgetting() {
    let peer = peer();
    let admin = Admin::new(vec![NOBODY.to_owned(), peer.address.clone()], Default::default());
    let metadata = Some(topics("T", TopicConfiguration::default()));
    let request = ApplyMetadataRequest { metadata, prune: true, cluster: None };
    let mut plan = admin.plan_metadata(&request).await.unwrap();
    let mut ends = Vec::new();
    for step in done(&admin, &mut plan).await {
        ends.push((step.address.clone(), step.outcome()));
    }
    let expected = [
        (peer.address.clone(), Outcome::Done),
        (peer.address.clone(), Outcome::Done),
        (NOBODY.to_owned(), Outcome::Failed),
        (peer.address.clone(), Outcome::Done),
    ];
    assert_eq!(ends, expected);
}

#[tokio::test]
async fn who_does_not_answer_is_told_of_and_no_name_server_forgets_its_topics() {
    let peer = peer();
    peer.register(&[("a", &peer.address), ("down", NOBODY)]);
    let plan = planned(&peer, topics("T", TopicConfiguration::default()), true).await;
    assert_eq!(lines(&plan.steps), ["delete topic Old at a"]);
    assert!(plan.problems[0].reason.starts_with("topics of down are missing: "), "{plan:?}");
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_before_anything_is_changed() {
    let peer = peer();
    let usual = TopicConfiguration::default;
    let text = refused(&peer, topics("TBW102", usual()), false).await;
    assert_eq!(text, "topic \"TBW102\" is the brokers' own");
    let text = refused(&peer, topics("no good", usual()), false).await;
    assert!(text.starts_with("topic \"no good\": The specified topic contains illegal"), "{text}");
    let permission = Some("rq".to_owned());
    let text = refused(&peer, topics("T", TopicConfiguration { permission, ..usual() }), false);
    assert!(text.await.starts_with("topic \"T\": permission rq"));
    let brokers = one("x", usual());
    let topic = TopicMetadata { everywhere: None, brokers };
    let wanted = ClusterMetadata {
        topics: Some(TopicsMetadata { topics: one("T", topic) }),
        ..ClusterMetadata::default()
    };
    let text = refused(&peer, wanted, false).await;
    let expected = "topic \"T\": there is no broker \"x\" in this cluster; there is: a, b";
    assert_eq!(text, expected);
    let wanted = ClusterMetadata {
        accounts: Some(AccountsMetadata::default()),
        ..ClusterMetadata::default()
    };
    assert!(refused(&peer, wanted, true).await.starts_with("no account that is wanted is"));
}

#[tokio::test]
async fn accounts_are_changed_as_they_are_named_and_no_step_shows_a_secret() {
    let peer = peer();
    peer.register(&[("a", &peer.address)]);
    let account = |secret: Option<&str>| AccountMetadata {
        secret_key: secret.map(str::to_owned),
        topic_perms: vec!["T=PUB|SUB".to_owned()],
        ..AccountMetadata::default()
    };
    let admin = AccountMetadata { admin: true, ..AccountMetadata::default() };
    let wanted = |accounts: Vec<(&str, AccountMetadata)>, white: &[&str]| ClusterMetadata {
        accounts: Some(AccountsMetadata {
            white_addresses: white.iter().map(|one| (*one).to_owned()).collect(),
            accounts: accounts.into_iter().map(|(key, one)| (key.to_owned(), one)).collect(),
        }),
        ..ClusterMetadata::default()
    };
    let accounts = vec![
        ("the-admin", admin.clone()),
        ("orders-app", account(Some("other-secret"))),
        ("without-secret", account(None)),
    ];
    let plan = planned(&peer, wanted(accounts, &["10.0.0.2"]), false).await;
    let expected = [
        "change account orders-app at a".to_owned(),
        "create account without-secret at a: failed: a new account needs its secret_key, which is not said".to_owned(),
        "change white addresses of all at a".to_owned(),
    ];
    assert_eq!(lines(&plan.steps), expected);
    let changes = [
        change("secret_key", Some("***"), Some("***")),
        change("topic_perms", Some("S=SUB,T=PUB"), Some("T=PUB|SUB")),
    ];
    assert_eq!(plan.steps[0].changes, changes);
    let plan = planned(&peer, wanted(vec![("the-admin", admin)], &[]), true).await;
    assert_eq!(lines(&plan.steps), ["delete account orders-app at a"]);
    // Brokers take no change without a secret: where none is said, the one that is there is sent.
    let metadata = Some(wanted(vec![("orders-app", account(None))], &[]));
    let request = ApplyMetadataRequest { metadata, prune: false, cluster: None };
    let plan = peer.admin().plan_metadata(&request).await.unwrap();
    let Some((_, Action::PutAccount(put))) = plan.steps.front() else { panic!("{plan:?}") };
    assert_eq!(put.secret_key.as_deref(), Some("87654321"));
    // A broker that does not tell secrets leaves open whether they are the same.
    peer.answer_body(
        54,
        r#"{"plainAccessConfigs":[{"accessKey":"orders-app","topicPerms":["T=PUB|SUB"]}]}"#,
    );
    let accounts = vec![("orders-app", account(Some("other-secret")))];
    let plan = planned(&peer, wanted(accounts, &[]), false).await;
    assert_eq!((plan.steps.len(), plan.problems.len()), (0, 1), "{plan:?}");
    let other = AccountMetadata { topic_perms: vec!["S=SUB".to_owned()], ..account(None) };
    let plan = planned(&peer, wanted(vec![("orders-app", other)], &[]), false).await;
    let expected = format!("change account orders-app at a: failed: {UNTOLD_SECRET}");
    assert_eq!(lines(&plan.steps), [expected]);
}

#[tokio::test]
async fn groups_go_only_where_messages_are_and_while_nobody_is_connected() {
    let peer = peer();
    peer.register(&[("a", &peer.address)]);
    peer.answer_body(
        202,
        r#"{"offsetTable":{{"brokerName":"a","queueId":0,"topic":"T"}:{"lastUpdateTimestamp":7,"maxOffset":8,"minOffset":2}}}"#,
    );
    peer.answer(203, Command::response(206));
    let wanted = |queues: &[(i32, i64)]| ClusterMetadata {
        offsets: Some(OffsetsMetadata {
            groups: one(
                "g",
                OffsetsOfGroup {
                    topics: one(
                        "T",
                        OffsetsInTopic {
                            brokers: one(
                                "a",
                                OffsetsOnBroker { queues: queues.iter().copied().collect() },
                            ),
                        },
                    ),
                },
            ),
        }),
        ..ClusterMetadata::default()
    };
    let plan = planned(&peer, wanted(&[(0, 8), (1, 7)]), false).await;
    assert_eq!(lines(&plan.steps), ["change offsets of g in T at a"]);
    assert_eq!(plan.steps[0].changes, [change("0", Some("5"), Some("8"))]);
    let reason = async |queues: &[(i32, i64)]| {
        planned(&peer, wanted(queues), false).await.steps[0].reason.clone().unwrap()
    };
    assert_eq!(reason(&[(0, 9)]).await, "queue 0 ends at 8 there, before 9");
    // A topic is asked for once, whatever the number of its groups.
    let mut two = wanted(&[(0, 8)]);
    let groups = &mut two.offsets.as_mut().unwrap().groups;
    groups.insert("h".to_owned(), groups["g"].clone());
    peer.asked();
    assert_eq!(planned(&peer, two, false).await.steps.len(), 2);
    assert_eq!(peer.asked().into_iter().filter(|code| *code == 202).count(), 1);
    assert_eq!(reason(&[(3, 0)]).await, "the topic has no queue 3 there");
    peer.answer_body(
        203,
        r#"{"connectionSet":[{"clientAddr":"h:1","clientId":"c","language":"JAVA","version":401}]}"#,
    );
    assert!(reason(&[(0, 8)]).await.starts_with("1 members of the group are connected"));
    peer.answer(203, Command::response(1).with_remark("busy"));
    let unknown = reason(&[(0, 8)]).await;
    assert!(unknown.ends_with("refused: busy (code 1 SYSTEM_ERROR)"), "{unknown}");
    assert!(refused(&peer, wanted(&[(0, -1)]), false).await.ends_with("a number is below 0"));
}
