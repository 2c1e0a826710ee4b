//! The facade against peers that answer what the test says.

use std::sync::{Arc, Mutex};

use tokio_util::sync::CancellationToken;

use super::*;
use crate::message::{NewMessage, encode};
use crate::proto::v1::{
    CreateTopicRequest, DeleteTopicRequest, ListGroupsRequest, ListTimersRequest,
    RepairTopicsRequest, StoredMessage, TopicKind, TopicSettings, TopicStatus, TrackState,
    UpdateTopicRequest,
};
use crate::task::{self, Kind};
use crate::transport::{Limits, Responder, Server, Service};

/// What is answered to a request.
type Answer = Box<dyn Fn(&Command) -> Command + Send + Sync>;

/// A name server and broker in one: answers by code, and notes what it was asked.
struct Peer {
    answers: Mutex<Vec<(i32, Answer)>>,
    asked: Mutex<Vec<i32>>,
}

impl Service for Peer {
    fn on_request(&self, request: Command, responder: Responder) {
        self.asked.lock().unwrap().push(request.code);
        let answers = self.answers.lock().unwrap();
        let answer = answers.iter().find(|(code, _)| *code == request.code);
        responder.send(answer.map_or_else(|| Command::response(3), |(_, answer)| answer(&request)));
    }
}

/// A peer that is served until the test ends.
pub(super) struct Running {
    peer: Arc<Peer>,
    pub(super) address: String,
    stop: CancellationToken,
}

/// A route to these brokers, by name and address.
fn route_to(brokers: &[(&str, &str)]) -> String {
    let broker = |(name, address): &(&str, &str)| {
        format!(r#"{{"brokerAddrs":{{0:"{address}"}},"brokerName":"{name}","cluster":"C"}}"#)
    };
    let brokers: Vec<_> = brokers.iter().map(broker).collect();
    format!(r#"{{"brokerDatas":[{}],"queueDatas":[]}}"#, brokers.join(","))
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Running {
    pub(super) fn start() -> Self {
        let server =
            Server::bind("127.0.0.1:0".parse().unwrap(), Arc::<Limits>::default()).unwrap();
        let peer = Arc::new(Peer { answers: Mutex::default(), asked: Mutex::default() });
        let (address, stop) = (server.local_addr().to_string(), CancellationToken::new());
        task::spawn(Kind::Ignore, "peer", server.serve(peer.clone(), stop.clone()));
        Self { peer, address, stop }
    }

    /// Knows a route to these brokers, by name and address.
    pub(super) fn leads_to(&self, brokers: &[(&str, &str)]) {
        self.answer_body(105, &route_to(brokers));
    }

    pub(super) fn answer(&self, code: i32, answer: Command) {
        self.answer_with(code, move |_| answer.clone());
    }

    pub(super) fn answer_with(
        &self,
        code: i32,
        answer: impl Fn(&Command) -> Command + Send + Sync + 'static,
    ) {
        self.peer.answers.lock().unwrap().insert(0, (code, Box::new(answer)));
    }

    pub(super) fn answer_body(&self, code: i32, body: &str) {
        self.answer(code, Command::response(0).with_body(body.as_bytes().to_vec()));
    }

    /// Registers groups, given as name and address.
    pub(super) fn register(&self, groups: &[(&str, &str)]) {
        let group = |(name, address): &(&str, &str)| {
            format!(
                "\"{name}\":{{\"brokerAddrs\":{{0:\"{address}\"}},\"brokerName\":\"{name}\",\"cluster\":\"C\"}}"
            )
        };
        let groups: Vec<String> = groups.iter().map(group).collect();
        self.answer_body(106, &format!("{{\"brokerAddrTable\":{{{}}}}}", groups.join(",")));
    }

    pub(super) fn admin(&self) -> Admin {
        Admin::new(vec![self.address.clone()], Default::default())
    }

    pub(super) fn asked(&self) -> Vec<i32> {
        std::mem::take(&mut self.peer.asked.lock().unwrap())
    }
}

/// Nobody listens there.
pub(super) const NOBODY: &str = "127.0.0.1:1";

const TOPICS: &str = r#"{"dataVersion":{"counter":1,"timestamp":1},"topicConfigTable":{
    "T":{"order":false,"perm":6,"readQueueNums":8,"topicFilterType":"SINGLE_TAG","topicName":"T","topicSysFlag":0,"writeQueueNums":4},
    "C":{"perm":7,"readQueueNums":16,"writeQueueNums":16},"a":{"perm":7,"readQueueNums":1,"writeQueueNums":1},
    "C_REPLY_TOPIC":{},"TBW102":{},"rmq_sys_x":{},"%RETRY%g":{},"%DLQ%g":{}}}"#;

fn wanted(name: &str, queues: u32) -> CreateTopicRequest {
    CreateTopicRequest {
        topic: name.to_owned(),
        queues: Some(queues),
        ..CreateTopicRequest::default()
    }
}

fn unwanted(name: &str) -> DeleteTopicRequest {
    DeleteTopicRequest { topic: name.to_owned(), ..DeleteTopicRequest::default() }
}

/// What became of it at each place.
pub(super) fn outcomes(done: &[Done]) -> Vec<(&str, Outcome)> {
    done.iter().map(|one| (one.at.as_str(), one.outcome())).collect()
}

#[tokio::test]
async fn the_list_tells_kinds_and_who_did_not_answer() {
    let peer = Running::start();
    peer.register(&[("b", NOBODY), ("a", &peer.address)]);
    peer.answer_body(21, TOPICS);
    let listing = peer.admin().topics().await.unwrap();
    let kinds: Vec<_> = listing.topics.iter().map(|one| (one.topic.as_str(), one.kind())).collect();
    let expected = [
        ("%DLQ%g", TopicKind::DeadLetter),
        ("%RETRY%g", TopicKind::Retry),
        ("C", TopicKind::System),
        ("C_REPLY_TOPIC", TopicKind::System),
        ("T", TopicKind::Normal),
        ("TBW102", TopicKind::System),
        ("a", TopicKind::System),
        ("rmq_sys_x", TopicKind::System),
    ];
    assert_eq!(kinds, expected);
    let found = &listing.topics[4].brokers[0];
    assert_eq!((found.read_queues, found.write_queues, found.permission.as_str()), (8, 4, "rw"));
    assert_eq!(listing.topics[2].brokers[0].permission, "rwx");
    assert!(listing.problems[0].reason.starts_with("topics of b are missing: "), "{listing:?}");
    // One call a broker, whatever the number of topics.
    assert_eq!(peer.asked(), [106, 21]);
}

#[tokio::test]
async fn what_a_slave_tells_without_its_master_is_said_to_be_its() {
    let peer = Running::start();
    let of = |address: &str| {
        format!(r#"{{"brokerAddrs":{{{address}}},"brokerName":"b","cluster":"C"}}"#)
    };
    let slave = of(&format!("1:\"{}\"", peer.address));
    peer.answer_body(106, &format!(r#"{{"brokerAddrTable":{{"b":{slave}}}}}"#));
    let queues =
        r#"[{"brokerName":"b","perm":6,"readQueueNums":1,"topicSynFlag":0,"writeQueueNums":1}]"#;
    let route = |broker: &str| {
        format!(r#"{{"brokerDatas":[{broker}],"filterServerTable":{{}},"queueDatas":{queues}}}"#)
    };
    peer.answer_body(105, &route(&slave));
    peer.answer_body(21, TOPICS);
    let offsets = r#"{"offsetTable":{{"brokerName":"b","queueId":0,"topic":"T"}:{"lastUpdateTimestamp":5,"maxOffset":12,"minOffset":2}}}"#;
    peer.answer_body(202, offsets);
    let admin = peer.admin();
    let said = |what: &str| {
        let slave = &peer.address;
        format!(
            "{what} of b are as its slave at {slave} has them: the master of b is not registered"
        )
    };
    let reasons =
        |problems: Vec<Problem>| problems.into_iter().map(|one| one.reason).collect::<Vec<_>>();
    assert_eq!(reasons(admin.topics().await.unwrap().problems), [said("topics")]);
    let topic = admin.topic("T").await.unwrap();
    assert_eq!((topic.messages, reasons(topic.problems)), (10, vec![said("queues")]));
    // Traces of brokers that tell some are shown without the others.
    let both = format!("{slave},{}", of(&format!("0:\"{NOBODY}\"")).replace("\"b\"", "\"c\""));
    peer.answer_body(105, &route(&both));
    peer.answer(12, Command::response(22));
    let (steps, problems) = admin.trace("id", None).await.unwrap();
    let [first, second] = &reasons(problems)[..] else { panic!("there are two") };
    assert!(steps.is_empty() && first.starts_with("traces of c are missing: "), "{first}");
    assert_eq!(*second, said("traces"));
    let master = of(&format!("0:\"{}\"", peer.address));
    peer.answer_body(106, &format!(r#"{{"brokerAddrTable":{{"b":{master}}}}}"#));
    assert_eq!(reasons(admin.topics().await.unwrap().problems), [""; 0]);
}

#[tokio::test]
async fn the_next_name_server_is_asked_and_nobody_at_all_is_unreachable() {
    let peer = Running::start();
    let admin = Admin::new(vec![NOBODY.to_owned(), peer.address.clone()], Default::default());
    peer.register(&[]);
    assert!(matches!(admin.topics().await, Err(AdminError::NotFound(_))));
    let admin = Admin::new(vec![NOBODY.to_owned()], Default::default());
    assert!(matches!(admin.topics().await, Err(AdminError::Unreachable(_))));
}

#[tokio::test]
async fn a_topic_is_shown_by_202_or_queue_by_queue() {
    let peer = Running::start();
    let route = format!(
        "{{\"brokerDatas\":[{{\"brokerAddrs\":{{0:\"{}\"}},\"brokerName\":\"a\",\"cluster\":\"C\"}}],\
         \"queueDatas\":[{{\"brokerName\":\"a\",\"perm\":6,\"readQueueNums\":2,\"writeQueueNums\":2}}]}}",
        peer.address
    );
    peer.answer_body(105, &route);
    peer.answer(30, Command::response(0).with_field("offset", 9));
    peer.answer(31, Command::response(0).with_field("offset", 4));
    let shown = peer.admin().topic("T").await.unwrap();
    assert_eq!((shown.messages, shown.queues.len()), (10, 2));
    assert_eq!(shown.queues[1].last_stored_ms, None);
    peer.answer_body(202, r#"{"offsetTable":{{"brokerName":"a","queueId":1,"topic":"T"}:{"lastUpdateTimestamp":7,"maxOffset":5,"minOffset":2},
        {"brokerName":"a","queueId":0,"topic":"T"}:{"lastUpdateTimestamp":0,"maxOffset":0,"minOffset":0}}}"#);
    let shown = peer.admin().topic("T").await.unwrap();
    let queues: Vec<_> =
        shown.queues.iter().map(|one| (one.queue, one.messages(), one.last_stored_ms)).collect();
    assert_eq!((shown.messages, queues), (3, vec![(0, 0, None), (1, 3, Some(7))]));
}

#[tokio::test]
async fn a_topic_is_changed_where_it_is_and_no_more_than_was_said() {
    let peer = Running::start();
    peer.register(&[("a", &peer.address), ("b", NOBODY)]);
    peer.answer_body(21, TOPICS);
    let sent = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&sent);
    peer.answer_with(17, move |request| {
        let field = |name| request.field(name).unwrap_or_default().to_owned();
        noted.lock().unwrap().push(["readQueueNums", "writeQueueNums", "perm"].map(field));
        Command::response(0)
    });
    let admin = peer.admin();
    let asked = UpdateTopicRequest { topic: "T".to_owned(), ..UpdateTopicRequest::default() };
    let invalid = [
        asked.clone(),
        UpdateTopicRequest { read_queues: Some(0), ..asked.clone() },
        UpdateTopicRequest { permission: Some("x".to_owned()), ..asked.clone() },
        UpdateTopicRequest { topic: "TBW102".to_owned(), read_queues: Some(1), ..asked.clone() },
    ];
    for request in invalid {
        let error = admin.update_topic(&request).await.unwrap_err();
        assert!(matches!(error, AdminError::Invalid(_)), "{error}");
    }
    let dry = UpdateTopicRequest { write_queues: Some(8), dry_run: true, ..asked.clone() };
    let told = admin.update_topic(&dry).await.unwrap().changes;
    let found: Vec<_> = told.iter().map(|one| (one.broker.as_str(), one.outcome())).collect();
    assert_eq!(found, [("a", Outcome::DryRun), ("b", Outcome::Failed)]);
    let settings = |one: &Option<TopicSettings>| {
        let one = one.clone().unwrap();
        (one.read_queues, one.write_queues, one.permission)
    };
    assert_eq!(settings(&told[0].before), (8, 4, "rw".to_owned()));
    assert_eq!(settings(&told[0].after), (8, 8, "rw".to_owned()));
    assert!(sent.lock().unwrap().is_empty());
    let real = UpdateTopicRequest { dry_run: false, broker: Some("a".to_owned()), ..dry };
    let told = admin.update_topic(&real).await.unwrap().changes;
    assert_eq!((told.len(), told[0].outcome()), (1, Outcome::Done));
    assert_eq!(sent.lock().unwrap().concat(), ["8", "8", "6"]);
    let same = UpdateTopicRequest { write_queues: Some(4), ..real.clone() };
    let told = admin.update_topic(&same).await.unwrap().changes;
    assert_eq!(told[0].outcome(), Outcome::Unchanged);
    let other = UpdateTopicRequest { topic: "Nope".to_owned(), ..real };
    let error = admin.update_topic(&other).await.unwrap_err();
    assert!(matches!(error, AdminError::NotFound(_)), "{error}");
    assert_eq!(sent.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn what_a_broker_does_not_say_of_readers_is_unknown() {
    let peer = Running::start();
    let route = format!(
        r#"{{"brokerDatas":[{{"brokerAddrs":{{0:"{}"}},"brokerName":"a","cluster":"C"}},{{"brokerAddrs":{{0:"{NOBODY}"}},"brokerName":"b","cluster":"C"}}],
        "queueDatas":[{{"brokerName":"a","perm":6,"readQueueNums":1,"writeQueueNums":1,"topicSysFlag":0}}]}}"#,
        peer.address
    );
    peer.answer_body(105, &route);
    peer.answer_body(300, r#"{"groupList":["g"]}"#);
    let stats = format!("{{\"consumeTps\":1.5,\"offsetTable\":{{{}}}}}", progress("T", 0, 9, 4));
    peer.answer_body(208, &stats);
    peer.answer(203, Command::response(206));
    let mut topic = TopicStatus { topic: "T".to_owned(), ..TopicStatus::default() };
    let admin = peer.admin();
    admin.add_groups(&mut topic).await;
    let of =
        |topic: &TopicStatus| (topic.groups[0].lag, topic.groups[0].tps, topic.groups[0].members);
    assert_eq!(of(&topic), (None, 1.5, None), "{topic:?}");
    assert!(topic.problems[0].reason.starts_with("groups of b are missing: "), "{topic:?}");
    peer.answer_body(105, &route.replace(NOBODY, &peer.address));
    topic.groups.clear();
    admin.add_groups(&mut topic).await;
    assert_eq!(of(&topic), (Some(10), 3.0, Some(0)), "{topic:?}");
}

#[tokio::test]
async fn a_topic_without_route_is_not_found() {
    let peer = Running::start();
    peer.answer(105, Command::response(17).with_remark("No topic route info"));
    assert!(matches!(peer.admin().topic("T").await, Err(AdminError::NotFound(_))));
}

#[tokio::test]
async fn creating_changes_nothing_that_is_there() {
    let peer = Running::start();
    peer.register(&[("a", &peer.address)]);
    peer.answer_body(21, &TOPICS.replace("\"readQueueNums\":8", "\"readQueueNums\":4"));
    peer.answer(17, Command::response(0).with_remark("not set any response code"));
    let admin = peer.admin();
    let error = admin.create_topic(&wanted("T", 8)).await.unwrap_err();
    assert!(matches!(error, AdminError::Conflict(_)), "{error}");
    assert!(error.to_string().contains("`rmq-node admin topics update` does"), "{error}");
    assert!(matches!(admin.create_topic(&wanted("T!", 8)).await, Err(AdminError::Invalid(_))));
    let done = admin.create_topic(&wanted("T", 4)).await.unwrap();
    assert_eq!(outcomes(&done.done), [("a", Outcome::Unchanged)]);
    assert!(!peer.asked().contains(&17));
    let dry = CreateTopicRequest { dry_run: true, ..wanted("U", 8) };
    let done = admin.create_topic(&dry).await.unwrap();
    assert_eq!(outcomes(&done.done), [("a", Outcome::DryRun)]);
    assert!(!peer.asked().contains(&17));
    let done = admin.create_topic(&wanted("U", 8)).await.unwrap();
    assert_eq!(outcomes(&done.done), [("a", Outcome::Done)]);
    assert_eq!(peer.asked(), [106, 21, 17]);
    let wrong = [
        CreateTopicRequest { queues: Some(65_536), ..wanted("U", 8) },
        CreateTopicRequest { permission: Some("x".to_owned()), ..wanted("U", 8) },
    ];
    for wrong in wrong {
        assert!(matches!(admin.create_topic(&wrong).await, Err(AdminError::Invalid(_))));
    }
}

#[tokio::test]
async fn creating_goes_on_after_a_broker_has_failed() {
    let peer = Running::start();
    peer.register(&[("a", NOBODY), ("b", &peer.address)]);
    peer.answer_body(21, TOPICS);
    peer.answer(17, Command::response(0));
    let done = peer.admin().create_topic(&wanted("U", 8)).await.unwrap();
    assert_eq!(outcomes(&done.done), [("a", Outcome::Failed), ("b", Outcome::Done)]);
    let only = CreateTopicRequest { broker: Some("b".to_owned()), ..wanted("U", 8) };
    assert_eq!(peer.admin().create_topic(&only).await.unwrap().done.len(), 1);
    let unknown = CreateTopicRequest { broker: Some("c".to_owned()), ..wanted("U", 8) };
    let refused = peer.admin().create_topic(&unknown).await;
    assert!(matches!(refused, Err(AdminError::NotFound(_))));
}

#[tokio::test]
async fn routes_stay_while_a_broker_may_have_the_topic() {
    let peer = Running::start();
    peer.register(&[("a", &peer.address)]);
    peer.answer_body(21, TOPICS);
    peer.answer(216, Command::response(0));
    peer.answer(215, Command::response(1).with_remark("conflict with system topic"));
    let done = peer.admin().delete_topic(&unwanted("TBW102")).await.unwrap();
    assert_eq!(outcomes(&done.done), [("a", Outcome::Failed)]);
    assert!(!peer.asked().contains(&216));
    peer.answer(215, Command::response(0));
    let dry = DeleteTopicRequest { dry_run: true, ..unwanted("T") };
    let done = peer.admin().delete_topic(&dry).await.unwrap();
    assert_eq!(outcomes(&done.done), [("a", Outcome::DryRun), ("name server", Outcome::DryRun)]);
    assert_eq!(peer.asked(), [106, 21]);
    let done = peer.admin().delete_topic(&unwanted("T")).await.unwrap();
    assert_eq!(outcomes(&done.done), [("a", Outcome::Done), ("name server", Outcome::Done)]);
    assert_eq!(peer.asked(), [106, 21, 215, 216]);
}

#[tokio::test]
async fn a_route_without_brokers_can_be_deleted_and_what_is_nowhere_not() {
    let peer = Running::start();
    peer.register(&[("a", &peer.address)]);
    peer.answer_body(21, TOPICS);
    peer.answer(216, Command::response(0));
    peer.answer_body(105, "{}");
    assert_eq!(peer.admin().delete_topic(&unwanted("gone")).await.unwrap().done.len(), 1);
    peer.answer(105, Command::response(17));
    let refused = peer.admin().delete_topic(&unwanted("gone")).await;
    assert!(matches!(refused, Err(AdminError::NotFound(_))));
}

#[tokio::test]
async fn what_differs_is_listed_and_repaired_where_it_lacks() {
    let (full, poor) = (Running::start(), Running::start());
    full.register(&[("a", &full.address), ("b", &poor.address), ("down", NOBODY)]);
    full.answer_body(21, TOPICS);
    poor.answer_body(21, r#"{"topicConfigTable":{"T":{"perm":4,"readQueueNums":2,"writeQueueNums":16},"%RETRY%x":{}}}"#);
    for peer in [&full, &poor] {
        peer.answer(17, Command::response(0));
    }
    let admin = full.admin();
    let listing = admin.topics().await.unwrap();
    let drifted: Vec<_> = listing.topics.iter().filter(|topic| !topic.drift.is_empty()).collect();
    let [topic] = &drifted[..] else { panic!("{drifted:?}") };
    let settings = |write_queues, read_queues, permission: &str| TopicSettings {
        write_queues,
        read_queues,
        permission: permission.to_owned(),
    };
    let found = topic.drift.iter().map(|one| (one.broker.as_str(), one.before.clone().unwrap()));
    let expected = [("a", settings(4, 8, "rw")), ("b", settings(16, 2, "r"))];
    assert_eq!((topic.topic.as_str(), found.collect::<Vec<_>>()), ("T", expected.to_vec()));
    assert!(topic.drift.iter().all(|one| one.after == Some(settings(16, 8, "rw"))), "{topic:?}");
    let request = |topic: Option<&str>, dry_run| RepairTopicsRequest {
        topic: topic.map(str::to_owned),
        dry_run,
    };
    let planned = admin.repair_topics(&request(Some("T"), true)).await.unwrap();
    let problem = &planned.problems[0].reason;
    assert!(problem.starts_with("topics of down are missing"), "{problem}");
    let planned: Vec<_> = planned.repairs.iter().map(|one| one.outcome()).collect();
    assert_eq!(planned, [Outcome::DryRun, Outcome::DryRun]);
    assert!(![full.asked(), poor.asked()].concat().contains(&17));
    poor.answer(17, Command::response(1).with_remark("no"));
    let done = admin.repair_topics(&request(None, false)).await.unwrap();
    let done: Vec<_> = done.repairs.iter().map(|one| one.outcome()).collect();
    assert_eq!(done, [Outcome::Done, Outcome::Failed]);
    let refused = admin.repair_topics(&request(Some("nowhere"), false)).await;
    assert!(matches!(refused, Err(AdminError::NotFound(_))));
    let refused = admin.repair_topics(&request(Some("%RETRY%g"), false)).await;
    assert!(matches!(refused, Err(AdminError::Invalid(_))));
}

/// 28 of a broker whose log ends at `end`.
fn runtime_info(end: u64) -> String {
    format!(
        r#"{{"table":{{"commitLogMaxOffset":"{end}","putTps":"1.5 2.5 3.5","commitLogDiskRatio":"0.914","getTransferedTps":" ","brokerVersionDesc":"V4_9_4"}}}}"#
    )
}

#[tokio::test]
async fn every_member_is_shown_with_one_host_and_one_name_server_down() {
    let (peer, slave) = (Running::start(), Running::start());
    let table = format!(
        r#"{{"brokerAddrTable":{{
            "a":{{"brokerAddrs":{{0:"{}",1:"{}"}},"brokerName":"a","cluster":"C"}},
            "b":{{"brokerAddrs":{{1:"{NOBODY}"}},"brokerName":"b","cluster":"C"}}}}}}"#,
        peer.address, slave.address
    );
    peer.answer_body(106, &table);
    peer.answer_body(28, &runtime_info(100));
    slave.answer_body(28, &runtime_info(70));
    peer.answer_body(26, "brokerPermission=4\n");
    slave.answer_body(26, "brokerPermission=6\n");
    let hello = r#"{"group":"a","brokerId":1,"version":"9.9.9","accountsDifferFrom":["h:1"],"copy":{"phase":"connecting","behindS":5,"lastError":"refused"}}"#;
    slave.answer_body(9001, hello);
    let admin = Admin::new(vec![NOBODY.to_owned(), peer.address.clone()], Default::default());
    let state = admin.cluster().await.unwrap();
    let shown: Vec<_> =
        state.brokers.iter().map(|one| (one.group.as_str(), one.id, one.state.as_str())).collect();
    let expected = [
        ("a", 0, "serving"),
        ("a", 1, "connecting"),
        ("b", 0, "not registered"),
        ("b", 1, "does not answer"),
    ];
    assert_eq!(shown, expected);
    let [master, of_ours, ..] = state.brokers.as_slice() else { panic!("there are four") };
    assert_eq!((master.in_per_s, master.out_per_s), (Some(1.5), None));
    assert_eq!(master.version.as_deref(), Some("4.9.4"));
    assert_eq!(
        (&master.accounts_differ_from, &*of_ours.accounts_differ_from),
        (&vec![], &["h:1".to_owned()][..])
    );
    assert_eq!(of_ours.version.as_deref(), Some("rmq-node 9.9.9"));
    assert_eq!(state.problems.len(), 2, "{:?}", state.problems);
    assert!(state.problems[0].reason.starts_with("name server: cannot connect to"), "{state:?}");
    assert!(state.problems[1].reason.starts_with("b 1: cannot connect to"), "{state:?}");
    let copy = (of_ours.behind_bytes, of_ours.behind_s, of_ours.last_error.as_deref());
    assert_eq!(copy, (Some(30), Some(5), Some("refused")));
    assert_eq!(state.brokers[3].behind_bytes, None);
    let warnings: Vec<_> = state.brokers.iter().map(|one| one.warnings.join("; ")).collect();
    let expected = [
        "its disk is 91 % full; it is read-only: nothing can be sent to it",
        "its disk is 91 % full; it does not copy its master: connecting",
        "it is not registered: nothing can be sent to this group",
        "it is registered, and does not answer",
    ];
    assert_eq!(warnings, expected);
    // A plain slave's state is what the two ends say.
    slave.answer(9001, Command::response(3));
    assert_eq!(admin.cluster().await.unwrap().brokers[1].state, "behind");
    slave.answer_body(28, &runtime_info(101));
    let state = admin.cluster().await.unwrap();
    assert_eq!(
        (state.brokers[1].state.as_str(), state.brokers[1].behind_bytes),
        ("in sync", Some(0))
    );
}

#[tokio::test]
async fn name_servers_that_contradict_one_another_are_told_of() {
    let peers = [Running::start(), Running::start()];
    for (peer, master) in peers.iter().zip([&peers[0].address, &peers[1].address]) {
        peer.register(&[("a", master)]);
        peer.answer_body(28, &runtime_info(1));
        peer.answer_body(26, "brokerPermission=6\n");
    }
    let names = peers.each_ref().map(|peer| peer.address.clone());
    let state = Admin::new(names.to_vec(), Default::default()).cluster().await.unwrap();
    let expected = format!("a 0 is at {0} for {0}, but at {1} for {1}", names[0], names[1]);
    assert_eq!(state.problems[0].reason, expected);
    assert_eq!(state.problems.len(), 1);
    assert_eq!(state.brokers.len(), 1);
}

#[tokio::test]
async fn a_master_that_a_name_server_keeps_producers_from_is_told_of_n062() {
    let peer = Running::start();
    peer.register(&[("a", &peer.address)]);
    peer.answer_body(
        28,
        r#"{"table":{"bootTimestamp":"1000","msgPutTotalYesterdayMorning":"10","msgPutTotalTodayMorning":"30",
            "msgPutTotalTodayNow":"37","msgGetTotalTodayNow":"5"}}"#,
    );
    peer.answer_body(26, "brokerPermission=6\n");
    let route = |permission: u8| {
        format!(
            r#"{{"brokerDatas":[],"queueDatas":[{{"brokerName":"a","perm":{permission},"readQueueNums":1,"writeQueueNums":1}}]}}"#
        )
    };
    peer.answer_body(105, &route(6));
    let admin = peer.admin();
    let open = admin.cluster().await.unwrap().brokers.remove(0);
    assert_eq!((open.kept_away_by, open.warnings), (vec![], vec![]));
    let counted = (open.started_ms, open.in_today, open.in_yesterday, open.out_today);
    assert_eq!(counted, (Some(1000), Some(7), Some(20), None));
    peer.answer_body(105, &route(4));
    let wiped = admin.cluster().await.unwrap().brokers.remove(0);
    assert_eq!(wiped.kept_away_by, std::slice::from_ref(&peer.address));
    let warning =
        format!("name server {} keeps producers away from it (wipeWritePerm)", peer.address);
    assert_eq!((wiped.state.as_str(), wiped.warnings), ("serving", vec![warning]));
    // A broker that has no topic of its own name cannot be told from others.
    peer.answer(105, Command::response(17));
    assert_eq!(admin.cluster().await.unwrap().brokers[0].warnings, [""; 0]);
}

#[tokio::test]
async fn a_brokers_port_is_told_from_a_name_server() {
    let peer = Running::start();
    for refused in [peer.admin().topics().await.err(), peer.admin().cluster().await.err()] {
        let Some(AdminError::Invalid(text)) = refused else { panic!("{refused:?}") };
        let start = format!("{} is no name server, it may be a broker's port: ", peer.address);
        assert!(text.starts_with(&start), "{text}");
    }
}

#[tokio::test]
async fn a_slave_is_asked_to_begin_anew_and_a_plain_one_does_not_know_how() {
    let peer = Running::start();
    let refused = peer.admin().resync(&peer.address).await;
    assert!(matches!(refused, Err(AdminError::Conflict(_))), "{refused:?}");
    peer.answer(9005, Command::response(0));
    peer.admin().resync(&peer.address).await.unwrap();
    assert_eq!(peer.asked(), [9005, 9005]);
}

/// A row of 208 and 317.
pub(super) fn progress(
    topic: &str,
    queue: i32,
    broker_offset: i64,
    consumer_offset: i64,
) -> String {
    format!(
        r#"{{"brokerName":"a","queueId":{queue},"topic":"{topic}"}}:{{"brokerOffset":{broker_offset},"consumerOffset":{consumer_offset},"lastTimestamp":1000}}"#
    )
}

#[tokio::test]
async fn groups_are_listed_by_three_calls_a_master_whatever_their_number() {
    let peer = Running::start();
    peer.register(&[("a", &peer.address), ("down", NOBODY)]);
    peer.answer_body(
        201,
        r#"{"subscriptionGroupTable":{"idle":{"groupName":"idle"},"CID_RMQ_SYS_x":{"groupName":"CID_RMQ_SYS_x"}}}"#,
    );
    let row = |tps: &str, rows: &[String]| {
        format!(r#"{{"consumeTps":{tps},"offsetTable":{{{}}}}}"#, rows.join(","))
    };
    let first = row("0.0", &[progress("T", 0, 20, 5), progress("T", 1, 9, 9)]);
    let second = row("1.5", &[progress("%RETRY%busy", 0, 4, 1)]);
    let body = format!(r#"{{"consumeStatsList":[{{"busy":[{first},{second}]}}],"totalDiff":18}}"#);
    peer.answer_body(317, &body);
    let request = |with_members| ListGroupsRequest { with_members };
    let listing = peer.admin().groups(&request(false)).await.unwrap();
    let problem = &listing.problems[0].reason;
    assert!(problem.starts_with("groups of down are missing: "), "{problem}");
    let names: Vec<_> =
        listing.groups.iter().map(|one| (one.group.as_str(), one.is_system)).collect();
    assert_eq!(names, [("CID_RMQ_SYS_x", true), ("busy", false), ("idle", false)]);
    let busy = &listing.groups[1];
    assert_eq!((busy.lag, busy.tps, busy.stuck_queues, busy.topics), (18, 1.5, 1, 1));
    assert!(busy.behind_ms.is_some_and(|ms| ms > 0) && busy.members.is_none(), "{busy:?}");
    assert_eq!((listing.groups[2].lag, listing.groups[2].behind_ms), (0, None));
    assert_eq!(peer.asked(), [106, 201, 317, 9009]);
    peer.answer(203, Command::response(206));
    let listing = peer.admin().groups(&request(true)).await.unwrap();
    assert!(listing.groups.iter().all(|one| one.members == Some(0)), "{listing:?}");
}

#[tokio::test]
async fn a_group_that_got_nothing_is_as_old_as_what_waits_and_one_that_gets_nothing_is_marked() {
    let peer = Running::start();
    peer.register(&[("a", &peer.address)]);
    peer.answer_body(
        201,
        r#"{"subscriptionGroupTable":{"new":{"groupName":"new","consumeEnable":false},"idle":{"groupName":"idle"}}}"#,
    );
    let row = progress("T", 0, 5, 0).replace("1000", "0");
    let of_new = format!(r#"{{"new":[{{"consumeTps":0.0,"offsetTable":{{{row}}}}}]}}"#);
    peer.answer_body(317, &format!(r#"{{"consumeStatsList":[{of_new}],"totalDiff":5}}"#));
    let admin = peer.admin();
    let list = async || admin.groups(&ListGroupsRequest::default()).await.unwrap().groups;
    assert_eq!(list().await[1].behind_ms, None);
    peer.answer_body(
        9009,
        r#"{"readers":[{"group":"new","topic":"T","lag":5,"behindMs":7000},{"group":"new","topic":"U","lag":1},
            {"group":"idle","topic":"T","lag":0,"behindMs":9000},{"group":"gone","topic":"T","lag":1,"behindMs":9000}]}"#,
    );
    peer.answer_body(203, MEMBERS);
    let mut groups = list().await;
    let shown: Vec<_> =
        groups.iter().map(|one| (one.group.as_str(), one.behind_ms, one.closed_on.len())).collect();
    assert_eq!(shown, [("idle", None, 0), ("new", Some(7000), 1)]);
    assert_eq!((groups[1].members, &groups[1].closed_on[0]), (None, &"a".to_owned()));
    admin.count_members(&mut groups[1..]).await;
    let kind = (groups[1].consume_type.as_deref(), groups[1].message_model.as_deref());
    let push = (Some("CONSUME_PASSIVELY"), Some("CLUSTERING"));
    assert_eq!((groups[1].members, kind), (Some(1), push));
    assert_eq!(groups[0].members, None);
}

#[tokio::test]
async fn members_that_only_another_broker_knows_are_found_for_a_message() {
    let (peer, other) = (Running::start(), Running::start());
    peer.leads_to(&[("a", &peer.address), ("b", &other.address)]);
    peer.answer_body(300, r#"{"groupList":["g"]}"#);
    peer.answer(203, Command::response(206));
    let stats = format!(r#"{{"consumeTps":0.0,"offsetTable":{{{}}}}}"#, progress("T", 0, 8, 3));
    peer.answer_body(208, &stats);
    other.answer(203, Command::response(206));
    let message = StoredMessage {
        topic: "T".to_owned(),
        broker: Some("a".to_owned()),
        queue_offset: 5,
        ..StoredMessage::default()
    };
    let admin = peer.admin();
    let track = async || admin.tracks(&message).await.unwrap().remove(0);
    let nobody = track().await;
    assert_eq!((nobody.is_online, nobody.state()), (false, TrackState::NotOnline));
    other.answer_body(203, MEMBERS);
    let found = track().await;
    assert_eq!((found.is_online, found.state()), (true, TrackState::NotConsumeYet));
    peer.answer(208, Command::response(1).with_remark("busy"));
    let unknown = track().await;
    assert_eq!(unknown.state(), TrackState::Unknown);
    assert!(unknown.reason.is_some_and(|reason| reason.contains("busy")));
}

/// Who has a topic `T` with two queues, and a group `g` that read 3 of 8 in the first.
pub(super) fn with_group() -> Running {
    let peer = Running::start();
    let brokers =
        format!(r#"[{{"brokerAddrs":{{0:"{}"}},"brokerName":"a","cluster":"C"}}]"#, peer.address);
    let queues = r#"[{"brokerName":"a","perm":6,"readQueueNums":2,"writeQueueNums":2}]"#;
    peer.answer_body(105, &format!(r#"{{"brokerDatas":{brokers},"queueDatas":{queues}}}"#));
    peer.register(&[("a", &peer.address)]);
    let stats = format!(r#"{{"consumeTps":0.0,"offsetTable":{{{}}}}}"#, progress("T", 0, 8, 3));
    peer.answer_body(208, &stats);
    peer.answer_body(202, r#"{"offsetTable":{{"brokerName":"a","queueId":0,"topic":"T"}:{"lastUpdateTimestamp":7,"maxOffset":8,"minOffset":2},
        {"brokerName":"a","queueId":1,"topic":"T"}:{"lastUpdateTimestamp":0,"maxOffset":4,"minOffset":0}}}"#);
    peer.answer(203, Command::response(206));
    peer.answer(15, Command::response(0));
    peer
}

pub(super) const MEMBERS: &str = r#"{"connectionSet":[{"clientAddr":"h:1","clientId":"c","language":"JAVA","version":401}],
    "consumeType":"CONSUME_PASSIVELY","messageModel":"CLUSTERING","subscriptionTable":{"T":{"topic":"T","subString":"x"}}}"#;

#[tokio::test]
async fn a_group_is_shown_with_owners_and_an_unknown_one_is_not_found() {
    let peer = with_group();
    peer.answer_body(203, MEMBERS);
    peer.answer_body(307, r#"{"mqTable":{{"brokerName":"a","queueId":0,"topic":"T"}:{"locked":true,"lastPullTimestamp":9}}}"#);
    let shown = peer.admin().group("g").await.unwrap();
    assert_eq!((shown.lag, shown.members.len(), shown.subscriptions.len()), (5, 1, 1));
    let queue = &shown.queues[0];
    let owned = (queue.owner.as_deref(), queue.last_pull_ms, queue.is_locked);
    assert_eq!(owned, (Some("c"), Some(9), true));
    assert_eq!(shown.problems, []);
    peer.answer_body(208, r#"{"offsetTable":{}}"#);
    peer.answer(203, Command::response(206));
    peer.answer_body(201, r#"{"subscriptionGroupTable":{"idle":{"groupName":"idle"}}}"#);
    assert!(peer.admin().group("idle").await.unwrap().queues.is_empty());
    let refused = peer.admin().group("g").await;
    assert!(matches!(refused, Err(AdminError::NotFound(_))), "{refused:?}");
}

#[tokio::test]
async fn what_waits_is_asked_for_in_parts_and_of_ours_only() {
    let (names, plain) = (Running::start(), Running::start());
    names.register(&[("a", &names.address), ("b", &plain.address)]);
    let part = |body: &str| Command::response(0).with_body(body.to_owned());
    let row = r#"{"due_ms":7,"topic":"T","id":"i"}"#;
    names.answer(9008, part(&format!(r#"{{"rows":[{row},{row}],"next":[8,9],"count":5}}"#)));
    plain.answer(9008, Command::response(3));
    let request = ListTimersRequest { from_ms: 0, limit: Some(4) };
    let answer = names.admin().timers(&request).await.unwrap();
    assert_eq!(answer.problems, []);
    let [found] = answer.brokers.as_slice() else { panic!("{answer:?}") };
    assert_eq!((found.broker.as_str(), found.count, found.messages.len()), ("a", 5, 4));
    assert!(!found.has_more, "it says the same place again");
    let asked = names.asked().into_iter().filter(|code| *code == 9008).count();
    assert_eq!(asked, 2);
}

/// Somebody who accepts and never answers.
async fn silent() -> (tokio::net::TcpListener, String) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    (listener, address)
}

#[tokio::test(start_paused = true)]
async fn who_never_answers_is_missing_before_the_deadline() {
    let (peer, (_listener, silent)) = (Running::start(), silent().await);
    peer.register(&[("a", &peer.address), ("b", &silent)]);
    peer.answer_body(21, TOPICS);
    peer.answer_body(201, r#"{"dataVersion":{},"subscriptionGroupTable":{"g":{"groupName":"g"}}}"#);
    peer.answer_body(317, r#"{"brokerAddr":"x","consumeStatsList":[],"totalDiff":0}"#);
    peer.answer_body(28, r#"{"table":{"putTps":"1 1 1"}}"#);
    // The first name server does not answer either.
    let names = vec![silent.clone(), peer.address.clone()];
    let deadline = Instant::now() + Duration::from_secs(6);
    let admin = Admin::new(names, Default::default()).until(Some(deadline));
    let nobody = Admin::new(vec![silent], Default::default()).until(Some(deadline));
    let all_groups = ListGroupsRequest::default();
    let told = async {
        tokio::join!(admin.topics(), admin.groups(&all_groups), admin.cluster(), nobody.topics())
    };
    let told = tokio::time::timeout_at(deadline, told).await.expect("all is told in time");
    let (topics, groups, cluster) = (told.0.unwrap(), told.1.unwrap(), told.2.unwrap());
    assert_eq!((topics.topics.len(), groups.groups.len(), cluster.brokers.len()), (8, 1, 2));
    for problems in [&topics.problems, &groups.problems, &cluster.problems] {
        let is_missing = |one: &Problem| one.at == "b" && one.reason.contains("in time");
        assert!(problems.iter().any(is_missing), "{problems:?}");
    }
    assert!(cluster.problems.iter().any(|one| one.at == "name server"), "{:?}", cluster.problems);
    // Nobody at all is an error, in time too.
    let error = told.3.unwrap_err();
    assert!(matches!(&error, AdminError::Unreachable(why) if why.contains("in time")), "{error}");
}

#[tokio::test]
async fn traces_are_read_from_the_topic_that_is_named_m064() {
    let peer = Running::start();
    let route = route_to(&[("a", &peer.address)]);
    peer.answer_with(105, move |request| match request.field("topic") {
        Some("Traces") => Command::response(0).with_body(route.clone().into_bytes()),
        _ => Command::response(17),
    });
    let line = ["SubAfter", "r", "ID", "4", "true", "k", "0", "9", "C"].join("\u{1}");
    let properties = "KEYS\u{1}ID k".to_owned();
    let record = encode(&NewMessage { properties, ..NewMessage::plain("Traces", 0, line) });
    peer.answer(12, Command::response(0).with_body(record.unwrap()));
    let admin = peer.admin();
    let (steps, problems) = admin.trace("ID", Some("Traces")).await.unwrap();
    assert_eq!((steps[0].group.as_str(), steps.len(), problems.len()), ("C", 1, 0));
    // Nobody has written any yet; who names a topic means one that is there.
    assert_eq!(admin.trace("ID", None).await, Ok((Vec::new(), Vec::new())));
    let error = admin.trace("ID", Some("Trace")).await.unwrap_err();
    assert!(matches!(&error, AdminError::NotFound(text) if text.contains("\"Trace\"")), "{error}");
}
