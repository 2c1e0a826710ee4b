//! Slaves that copy our own master and masters that answer what the test says; what a slave refuses.

use std::collections::HashMap;
use std::sync::Mutex;

use super::super::BrokerService;
use super::super::tests_support::{TestBroker, eventually, header};
use super::*;
use crate::model::{DataVersion, QueueId, TopicConfig, TopicName};
use crate::remoting::headers::{SendHeader, create_topic};
use crate::transport::{Limits, Responder, Server, Service};

/// A master that answers what the test says, and is silent by closing the connection.
#[derive(Default)]
struct Script {
    answers: Mutex<HashMap<i32, Command>>,
    came: Mutex<Vec<(&'static str, Command)>>,
}

/// One of its ports.
struct Port {
    name: &'static str,
    script: Arc<Script>,
}

impl Service for Port {
    fn on_request(&self, request: Command, responder: Responder) {
        let answer = self.script.answers.lock().unwrap().get(&request.code).cloned();
        self.script.came.lock().unwrap().push((self.name, request));
        match answer {
            Some(answer) => responder.send(answer),
            None => responder.connection().close("the script has no answer"),
        }
    }
}

impl Script {
    /// A master with empty tables and an empty log.
    fn new() -> Arc<Self> {
        let script = Self::default();
        script.will(21, r#"{"dataVersion":{"counter":1,"timestamp":1},"topicConfigTable":{}}"#);
        script.will(43, r#"{"offsetTable":{}}"#);
        script.will(45, r#"{"offsetTable":{}}"#);
        script.will(201, r#"{"dataVersion":{},"subscriptionGroupTable":{}}"#);
        script.will(28, r#"{"table":{"commitLogMaxOffset":"0"}}"#);
        Arc::new(script)
    }

    fn will(&self, code: i32, body: &'static str) {
        let answer = Command::response(response::SUCCESS).with_body(body);
        self.answers.lock().unwrap().insert(code, answer);
    }

    fn will_not(&self, code: i32) {
        self.answers.lock().unwrap().remove(&code);
    }

    /// Which port got which codes since the last look.
    fn came(&self) -> Vec<(&'static str, i32)> {
        let came = std::mem::take(&mut *self.came.lock().unwrap());
        came.into_iter().map(|(port, request)| (port, request.code)).collect()
    }

    fn serve(self: &Arc<Self>) -> String {
        let port = |name| Arc::new(Port { name, script: Arc::clone(self) });
        serve(port("main"), port("VIP"))
    }
}

/// Puts a master on two ports, two apart; returns the address of the upper one.
fn serve(main: Arc<dyn Service>, vip: Arc<dyn Service>) -> String {
    let bind = |port: u16| {
        let address = std::net::SocketAddr::from(([127, 0, 0, 1], port));
        Server::bind(address, Arc::new(Limits::default()))
    };
    let pair = || {
        let upper = bind(0).unwrap();
        Some((bind(upper.local_addr().port().checked_sub(2)?).ok()?, upper))
    };
    let (lower, upper) = std::iter::repeat_with(pair).flatten().next().unwrap();
    let address = upper.local_addr().to_string();
    for (server, service) in [(lower, vip), (upper, main)] {
        let served = server.serve(service, CancellationToken::new());
        task::spawn(task::Kind::Ignore, "master", served);
    }
    address
}

fn serve_broker(master: &TestBroker) -> String {
    let service = Arc::new(BrokerService(Arc::clone(&master.broker)));
    serve(service.clone(), service)
}

/// One round that does not wait for the log.
async fn round(sync: &mut MetadataSync, master: &str) -> String {
    sync.broker.member.set_fitting_master(Some((master, false)));
    sync.round(master, Instant::now()).await;
    sync.trouble.clone()
}

fn put_topic(broker: &TestBroker, name: &str, queues: u32) {
    let config = TopicConfig::new(TopicName::new(name), queues);
    broker.broker.store.tables().topics.put(config);
}

fn committed(group: &str, offset: i64) -> Command {
    Command::request(request::UPDATE_CONSUMER_OFFSET)
        .with_field("consumerGroup", group)
        .with_field("topic", "T")
        .with_field("queueId", 1)
        .with_field("commitOffset", offset)
}

fn position(broker: &TestBroker, group: &str) -> Option<i64> {
    broker.broker.store.tables().consumer_offsets.query("T", group, QueueId(1))
}

#[tokio::test]
async fn a_slave_has_the_tables_of_our_master_h053_to_h056() {
    let master = TestBroker::new();
    let slave = TestBroker::slave(Vec::new());
    let mut sync = MetadataSync::new(&slave.broker);
    let address = serve_broker(&master);
    let tables = master.broker.store.tables();
    let own = slave.broker.store.tables();
    put_topic(&master, "T", 3);
    put_topic(&slave, "%RETRY%mine", 1);
    let _ = tables.groups.get_or_create("G", true);
    let _ = own.groups.get_or_create("mine", true);
    master.call(committed("G", 7)).await;
    slave.call(committed("G", 9)).await;
    slave.call(committed("mine", 2)).await;
    tables.delay_offsets.set(3, 5);
    assert_eq!(round(&mut sync, &address).await, "");
    assert_eq!(own.topics.snapshot(), tables.topics.snapshot());
    assert_eq!(own.groups.snapshot(), tables.groups.snapshot());
    assert_eq!(position(&slave, "G"), Some(7), "overwritten");
    assert_eq!(position(&slave, "mine"), Some(2), "what the master has not stays");
    assert_eq!(own.delay_offsets.get(3), Some(5));
    let answer = slave.call(Command::request(request::GET_ALL_DELAY_OFFSET)).await;
    assert_eq!(answer.body, r#"{"offsetTable":{3:5}}"#, "S-34");
    // A reset goes on, too.
    master.call(committed("G", 1)).await;
    assert!(master.broker.store.remove_topic("T"));
    assert_eq!(round(&mut sync, &address).await, "");
    assert!(own.topics.get("T").is_none());
    assert_eq!(own.topics.version(), tables.topics.version());
    drop(sync);
    let slave = slave.restarted().await;
    assert_eq!(slave.broker.store.tables().topics.version(), tables.topics.version());
    assert_eq!(slave.broker.store.tables().topics.get("T"), None);
}

#[tokio::test]
async fn a_master_tells_its_positions_b320_b321() {
    let master = TestBroker::new();
    for (code, body) in [(43, r#"{"offsetTable":{}}"#), (45, r#"{"offsetTable":{}}"#)] {
        let answer = master.call(Command::request(code)).await;
        assert_eq!((answer.code, answer.remark, answer.fields), (0, None, None));
        assert_eq!(answer.body, body);
    }
    master.call(committed("G", 7)).await;
    master.broker.store.tables().delay_offsets.set(2, 4);
    let answer = master.call(Command::request(43)).await;
    assert_eq!(answer.body, r#"{"offsetTable":{"T@G":{1:7}}}"#);
    assert_eq!(master.call(Command::request(45)).await.body, r#"{"offsetTable":{2:4}}"#);
}

#[tokio::test]
async fn the_calls_come_in_the_order_and_on_the_ports_of_h050_to_h052() {
    let script = Script::new();
    let address = script.serve();
    let slave = TestBroker::slave(Vec::new());
    let mut sync = MetadataSync::new(&slave.broker);
    assert_eq!(round(&mut sync, &address).await, "");
    for (_, request) in &*script.came.lock().unwrap() {
        assert!(request.fields.as_ref().is_none_or(|fields| fields.is_empty()), "H-051");
        assert!(request.body.is_empty());
    }
    let rest = [("main", 43), ("main", 45), ("main", 201), ("main", 28)];
    let mut expected = vec![("VIP", 21)];
    expected.extend(rest);
    assert_eq!(script.came(), expected);
    // Without a VIP port the usual one is asked; here neither answers.
    script.will_not(21);
    let trouble = round(&mut sync, &address).await;
    assert!(trouble.starts_with("topics: "), "{trouble}");
    expected.insert(1, ("main", 21));
    assert_eq!(script.came(), expected);
}

#[tokio::test]
async fn each_answer_may_lack_alone_h050() {
    const TOPICS: &str =
        r#"{"dataVersion":{"counter":9,"timestamp":9},"topicConfigTable":{"T":{"topicName":"T"}}}"#;
    const GROUPS: &str = r#"{"dataVersion":{"counter":9,"timestamp":9},"subscriptionGroupTable":{"G":{"groupName":"G"}}}"#;
    let wrongs =
        [(21, "topics: "), (43, "consumer offsets: "), (45, "delay offsets: "), (201, "groups: ")];
    for (wrong, told) in wrongs {
        let script = Script::new();
        script.will(21, TOPICS);
        script.will(43, r#"{"offsetTable":{"T@G":{1:7}}}"#);
        script.will(45, r#"{"offsetTable":{3:5}}"#);
        script.will(201, GROUPS);
        let refused = Command::response(1).with_remark("no");
        script.answers.lock().unwrap().insert(wrong, refused);
        let address = script.serve();
        let slave = TestBroker::slave(Vec::new());
        let mut sync = MetadataSync::new(&slave.broker);
        let trouble = round(&mut sync, &address).await;
        assert_eq!(trouble, format!("{told}the master answered 1: no; "));
        let tables = slave.broker.store.tables();
        assert_eq!(tables.topics.get("T").is_some(), wrong != 21);
        assert_eq!(position(&slave, "G").is_some(), wrong != 43);
        assert_eq!(tables.delay_offsets.get(3).is_some(), wrong != 45);
        assert_eq!(tables.groups.get("G").is_some(), wrong != 201);
        script.will(wrong, "{");
        assert!(round(&mut sync, &address).await.starts_with(&format!("{told}JSON")));
    }
}

#[tokio::test]
async fn tables_are_replaced_only_if_their_version_differs_h053() {
    let script = Script::new();
    let address = script.serve();
    let slave = TestBroker::slave(Vec::new());
    let mut sync = MetadataSync::new(&slave.broker);
    let topics = &slave.broker.store.tables().topics;
    let version = DataVersion { counter: 0, timestamp: 0 };
    assert_eq!(topics.version(), version);
    let of_version = |counter: u32, topic: &str| {
        let text = format!(
            r#"{{"dataVersion":{{"counter":{counter},"timestamp":0}},"topicConfigTable":{{"{topic}":{{}}}}}}"#
        );
        &*text.leak()
    };
    for (counter, topic, taken) in
        [(0, "first", true), (0, "same", false), (1, "newer", true), (0, "older", true)]
    {
        script.will(21, of_version(counter, topic));
        assert_eq!(round(&mut sync, &address).await, "");
        assert_eq!(topics.get(topic).is_some(), taken, "{topic}");
    }
    assert_eq!(topics.count(), 1);
}

#[tokio::test]
async fn positions_wait_until_the_log_has_what_they_point_to() {
    let script = Script::new();
    script.will(21, r#"{"dataVersion":{"counter":9},"topicConfigTable":{"T":{}}}"#);
    script.will(43, r#"{"offsetTable":{"T@G":{1:7}}}"#);
    script.will(45, r#"{"offsetTable":{3:5}}"#);
    script.will(28, r#"{"table":{"commitLogMaxOffset":"100"}}"#);
    let address = script.serve();
    let slave = TestBroker::slave(Vec::new());
    let mut sync = MetadataSync::new(&slave.broker);
    assert_eq!(round(&mut sync, &address).await, "");
    let tables = slave.broker.store.tables();
    assert!(tables.topics.get("T").is_some());
    assert_eq!((position(&slave, "G"), tables.delay_offsets.get(3)), (None, None));
    // The master goes on, and its slave is behind for ever; then it has what it was told first.
    script.will(21, r#"{"dataVersion":{"counter":10},"topicConfigTable":{"U":{}}}"#);
    script.will(43, r#"{"offsetTable":{"T@G":{1:8}}}"#);
    script.will(28, r#"{"table":{"commitLogMaxOffset":"1000000"}}"#);
    assert_eq!(round(&mut sync, &address).await, "");
    assert!(tables.topics.get("U").is_some());
    assert_eq!(position(&slave, "G"), None);
    slave.store("T", &"x".repeat(100)).await;
    assert_eq!(round(&mut sync, &address).await, "");
    assert_eq!((position(&slave, "G"), tables.delay_offsets.get(3)), (Some(7), Some(5)));
    assert_eq!(round(&mut sync, &address).await, "");
    assert_eq!(position(&slave, "G"), Some(7), "the next ones wait again");
    assert_eq!(sync.pending.as_ref().map(|positions| positions.log_end.0), Some(1_000_000));
}

#[tokio::test]
async fn a_round_lasts_until_the_log_has_what_positions_point_to() {
    let script = Script::new();
    script.will(43, r#"{"offsetTable":{"T@G":{1:7}}}"#);
    script.will(28, r#"{"table":{"commitLogMaxOffset":"100"}}"#);
    let address = script.serve();
    let slave = TestBroker::slave(Vec::new());
    let mut sync = MetadataSync::new(&slave.broker);
    slave.broker.member.set_fitting_master(Some((&address, false)));
    let deadline = Instant::now() + Duration::from_secs(30);
    let storing = async {
        eventually("the last call", || script.came.lock().unwrap().len() == 5).await;
        slave.store("T", &"x".repeat(100)).await;
    };
    tokio::join!(sync.round(&address, deadline), storing);
    assert_eq!(position(&slave, "G"), Some(7));
}

#[tokio::test]
async fn nothing_is_taken_from_a_master_that_has_less_or_does_not_say() {
    let broker = TestBroker::new();
    assert_eq!(broker.send("T", "", "x").await.code, 0);
    let slave = broker.restarted_as_slave().await;
    let mut sync = MetadataSync::new(&slave.broker);
    let script = Script::new();
    let address = script.serve();
    slave.call(committed("G", 3)).await;
    script.will(43, r#"{"offsetTable":{"T@G":{1:7}}}"#);
    let before = slave.broker.store.tables().topics.snapshot();
    let end = slave.broker.store.log_range().1;
    let told = [
        (
            r#"{"table":{"commitLogMaxOffset":"0"}}"#,
            format!("its log ends at 0, and this one at {end}: it has lost messages"),
        ),
        (r#"{"table":{}}"#, "the end of its log: JSON: `commitLogMaxOffset` is missing".to_owned()),
        (
            r#"{"table":{"commitLogMaxOffset":"-1"}}"#,
            "the end of its log: JSON: `commitLogMaxOffset` is not a number in its range"
                .to_owned(),
        ),
    ];
    for (body, told) in told {
        script.will(28, body);
        assert_eq!(round(&mut sync, &address).await, told);
        assert_eq!(slave.broker.store.tables().topics.snapshot(), before);
        assert_eq!(position(&slave, "G"), Some(3));
    }
}

/// Name servers that name a master.
struct NameServer {
    master: String,
}

impl Service for NameServer {
    fn on_request(&self, _: Command, responder: Responder) {
        let answer = Command::response(response::SUCCESS).with_field("masterAddr", &self.master);
        responder.send(answer.with_field("haServerAddr", "127.0.0.1:10912"));
    }
}

#[tokio::test]
async fn a_started_slave_copies_the_master_that_its_name_server_names_h050() {
    let script = Script::new();
    script.will(43, r#"{"offsetTable":{"T@G":{1:7}}}"#);
    let name_server = Arc::new(NameServer { master: script.serve() });
    let slave = TestBroker::slave(vec![serve(name_server.clone(), name_server.clone())]);
    slave.broker.member.set_fitting_master(Some((&name_server.master, false)));
    slave.start();
    slave.broker.registered().await;
    let found = slave.broker.master_addresses().borrow().clone().unwrap();
    assert_eq!((found.broker, found.ha.as_str()), (name_server.master.clone(), "127.0.0.1:10912"));
    // Instead of waiting for the first and for the second round.
    for after in [FIRST_AFTER, PERIOD] {
        script.came();
        tokio::time::pause();
        tokio::time::advance(after).await;
        tokio::time::resume();
        eventually("a round", || script.came.lock().unwrap().len() == 5).await;
        eventually("the position", || position(&slave, "G") == Some(7)).await;
    }
}

#[tokio::test]
async fn a_slave_stores_nothing_and_makes_nothing_for_it_h072_h073_h074() {
    let master = TestBroker::new();
    put_topic(&master, "T", 4);
    let stored = master.send("T", "", "x").await;
    assert_eq!(stored.code, 0);
    let slave = master.restarted_as_slave().await;
    let tables = slave.broker.store.tables();
    let before = (tables.topics.snapshot(), tables.groups.snapshot());
    let end = slave.broker.store.log_range().1;
    for topic in ["T", "unknown", "%RETRY%G", "%DLQ%G"] {
        for code in [10, 310, 320] {
            let header = SendHeader { topic, batch: code == 320, ..header() };
            let (code, remark) = slave.refused(header.to_request(code)).await;
            let text = "service not available now. It may be caused by one of the following reasons: the broker's disk is full [CL: ";
            assert_eq!((code, remark.starts_with(text)), (14, true), "{topic}: {remark}");
            let text = "], messages are put to the slave, message store has been shut down, etc.";
            assert!(remark.ends_with(text), "{remark}");
        }
    }
    assert_eq!(before, (tables.topics.snapshot(), tables.groups.snapshot()));
    let given_back = |offset: i64| {
        let request = Command::request(request::CONSUMER_SEND_MSG_BACK).with_field("group", "G");
        request.with_field("offset", offset).with_field("delayLevel", 0)
    };
    let remark = "SERVICE_NOT_AVAILABLE".to_owned();
    assert_eq!(slave.refused(given_back(0)).await, (1, remark));
    let remark = "look message by offset failed, 5".to_owned();
    assert_eq!(slave.refused(given_back(5)).await, (1, remark));
    assert_eq!(tables.topics.snapshot(), before.0);
    let remark = "not set any response code".to_owned();
    assert_eq!(slave.refused(Command::request(request::END_TRANSACTION)).await, (11, remark));
    assert_eq!(slave.broker.store.log_range().1, end);
}

#[tokio::test]
async fn a_slave_changes_no_configuration_itself_h079_s45() {
    let slave = TestBroker::slave(Vec::new());
    put_topic(&slave, "T", 4);
    let tables = slave.broker.store.tables();
    let _ = tables.groups.get_or_create("G", true);
    slave.call(committed("G", 7)).await;
    let remark = "Can't modify topic or subscription group from slave broker, please execute it from master broker.";
    let topic = TopicConfig::new(TopicName::new("U"), 4);
    let group = Command::request(200).with_body(r#"{"groupName":"H"}"#);
    for request in
        [create_topic(&topic, "TBW102"), Command::request(17), group, Command::request(200)]
    {
        assert_eq!(slave.refused(request).await, (1, remark.to_owned()));
    }
    let deleted = Command::request(215).with_field("topic", "T");
    let removed = Command::request(207).with_field("groupName", "G");
    for request in [deleted, removed.with_field("removeOffset", true)] {
        assert_eq!(slave.refused(request).await, (0, String::new()), "S-45");
    }
    let remark = "The topic[TBW102] is conflict with system topic.".to_owned();
    let deleted = Command::request(215).with_field("topic", "TBW102");
    assert_eq!(slave.refused(deleted).await, (1, remark));
    assert!(tables.topics.get("T").is_some() && tables.groups.get("G").is_some());
    assert!(tables.topics.get("U").is_none() && tables.groups.get("H").is_none());
    assert_eq!(position(&slave, "G"), Some(7), "H-076");
}

#[tokio::test]
async fn clients_of_a_slave_are_served_h075_h076_h078() {
    let slave = TestBroker::slave(Vec::new());
    let body = r#"{"clientID":"c","consumerDataSet":[{"groupName":"G","consumeType":"CONSUME_PASSIVELY","messageModel":"CLUSTERING","subscriptionDataSet":[]}]}"#;
    assert_eq!(slave.call(Command::request(request::HEART_BEAT).with_body(body)).await.code, 0);
    let tables = slave.broker.store.tables();
    assert!(tables.groups.get("G").is_some() && tables.topics.get("%RETRY%G").is_some());
    let query = Command::request(request::QUERY_CONSUMER_OFFSET)
        .with_field("consumerGroup", "G")
        .with_field("topic", "T")
        .with_field("queueId", 1);
    assert_eq!(slave.call(committed("G", 7)).await.code, 0);
    assert_eq!(slave.call(query).await.field("offset"), Some("7"));
    let members = Command::request(38).with_field("consumerGroup", "G");
    assert_eq!(slave.call(members).await.body, r#"{"consumerIdList":["c"]}"#);
    let body = r#"{"clientId":"c","consumerGroup":"G","mqSet":[{"brokerName":"broker-a","queueId":0,"topic":"T"}]}"#;
    let answer = slave.call(Command::request(request::LOCK_BATCH_MQ).with_body(body)).await;
    assert_eq!(
        answer.body,
        r#"{"lockOKMQSet":[{"brokerName":"broker-a","queueId":0,"topic":"T"}]}"#
    );
}

#[tokio::test]
async fn a_slave_delivers_no_delayed_messages() {
    let master = TestBroker::new();
    assert_eq!(master.send("T", "DELAY\u{1}1\u{2}", "x").await.code, 0);
    let slave = master.restarted_as_slave().await;
    let stop = CancellationToken::new();
    // It spawns nothing, so that there is nothing that could deliver later.
    let tasks = Handle::current().metrics().num_alive_tasks();
    slave.broker.start_deliveries(&Handle::current(), &stop);
    assert_eq!(Handle::current().metrics().num_alive_tasks(), tasks);
}
