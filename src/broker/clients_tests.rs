//! Clients over real sockets of 127.0.0.1, byte by byte: what comes, and in which order. Also the broker that the
//! tests of groups, registration and runtime info ask.

use std::net::SocketAddr;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;
use crate::broker::heartbeats::NAME_BYTES_MAX;
use crate::broker::{BrokerOptions, BrokerService, tests_support};
use crate::filter::TAGS_MAX;
use crate::remoting::{self, Command};
use crate::transport::{Limits, Server};

/// Long enough that only a failure reaches it.
const PATIENCE: Duration = Duration::from_secs(30);

/// A broker on a port; nothing runs beside its requests.
pub(in crate::broker) struct World {
    pub broker: Arc<Broker>,
    pub clock: Clock,
    pub stop: CancellationToken,
    address: SocketAddr,
    _dir: tempfile::TempDir,
}

impl World {
    pub fn new() -> Self {
        Self::with_name_servers(Vec::new())
    }

    pub fn with_name_servers(name_servers: Vec<String>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let clock = Clock::system();
        let options = BrokerOptions { name_servers, ..tests_support::options_of("C") };
        let broker = tests_support::open(tests_support::store_options(dir.path()), options, &clock);
        let server = Server::bind("127.0.0.1:0".parse().unwrap(), Arc::new(Limits::default()));
        let server = server.unwrap();
        let address = server.local_addr();
        let stop = CancellationToken::new();
        let served = server.serve(Arc::new(BrokerService(Arc::clone(&broker))), stop.clone());
        task::spawn(task::Kind::Ignore, "server", served);
        Self { broker, clock, stop, address, _dir: dir }
    }

    pub async fn peer(&self) -> Peer {
        Peer::connect(&self.address.to_string()).await
    }

    /// A consumer of group `G` that is a member already.
    async fn member(&self) -> Peer {
        let mut peer = self.peer().await;
        let (notices, answer) = peer.call(heartbeat(&consumer("G", "[]"))).await;
        assert_eq!((notices, answer.code), (vec!["G".to_owned()], 0));
        peer
    }

    /// Waits until something is so.
    async fn eventually(&self, what: &str, is_so: impl Fn(&Clients) -> bool) {
        let waiting = async {
            while !is_so(&self.broker.clients) {
                tokio::task::yield_now().await;
            }
        };
        assert!(tokio::time::timeout(PATIENCE, waiting).await.is_ok(), "{what}");
    }

    fn subscription(&self, topic: &str) -> Option<Arc<Subscription>> {
        self.broker.clients.subscription("G", topic)
    }
}

/// A client that speaks frames.
pub(in crate::broker) struct Peer {
    stream: TcpStream,
    read: BytesMut,
}

impl Peer {
    pub async fn connect(address: &str) -> Self {
        Self { stream: TcpStream::connect(address).await.unwrap(), read: BytesMut::new() }
    }

    /// A producer of these groups.
    pub async fn producer(address: &str, groups: &[&str]) -> Self {
        let mut peer = Self::connect(address).await;
        assert_eq!(peer.answer(heartbeat(&producer(groups))).await.code, 0);
        peer
    }

    pub async fn send(&mut self, request: &Command) {
        let mut out = BytesMut::new();
        remoting::encode(request, &mut out);
        self.stream.write_all(&out).await.unwrap();
    }

    /// The next command; `None` when the broker closed the connection.
    pub async fn next(&mut self) -> Option<Command> {
        let reading = async {
            loop {
                if let Some(bytes) = remoting::frame_length(&self.read, 1 << 24).unwrap()
                    && self.read.len() >= bytes
                {
                    return Some(remoting::decode(self.read.split_to(bytes).freeze()).unwrap());
                }
                if self.stream.read_buf(&mut self.read).await.unwrap() == 0 {
                    return None;
                }
            }
        };
        tokio::time::timeout(PATIENCE, reading).await.expect("something comes")
    }

    /// Sends a request; returns the groups whose change was told before the answer, and the answer.
    pub async fn call(&mut self, request: Command) -> (Vec<String>, Command) {
        self.send(&request).await;
        let mut notices = Vec::new();
        loop {
            let command = self.next().await.expect("the connection stays");
            if command.is_response() {
                return (notices, command);
            }
            notices.push(group_of(&command));
        }
    }

    /// The answer to a request, before which nothing else comes.
    pub async fn answer(&mut self, request: Command) -> Command {
        let (notices, answer) = self.call(request).await;
        assert_eq!(notices, [""; 0]);
        answer
    }

    /// The group whose change is told next.
    async fn notice(&mut self) -> String {
        group_of(&self.next().await.expect("the connection stays"))
    }
}

fn group_of(notice: &Command) -> String {
    assert_eq!((notice.code, notice.is_oneway()), (40, true));
    notice.field("consumerGroup").unwrap().to_owned()
}

fn heartbeat(body: &str) -> Command {
    Command::request(34).with_body(Bytes::copy_from_slice(body.as_bytes()))
}

fn consumer(group: &str, subscriptions: &str) -> String {
    format!(
        r#"{{"clientID":"c","consumerDataSet":[{{"groupName":"{group}","subscriptionDataSet":{subscriptions}}}]}}"#
    )
}

fn producer(groups: &[&str]) -> String {
    let groups: Vec<_> = groups.iter().map(|g| format!(r#"{{"groupName":"{g}"}}"#)).collect();
    format!(r#"{{"clientID":"p","producerDataSet":[{}]}}"#, groups.join(","))
}

fn of_group(code: i32, group: &str) -> Command {
    Command::request(code).with_field("consumerGroup", group).with_field("producerGroup", group)
}

#[tokio::test]
async fn a_newcomer_and_the_others_are_told_before_its_answer_b224() {
    let world = World::new();
    let mut first = world.member().await;
    let answer = first.answer(heartbeat(&consumer("G", "[]"))).await;
    assert_eq!((answer.code, answer.version, &answer.remark), (0, 401, &None));
    assert!(answer.body.is_empty() && answer.fields.is_none());
    let _second = world.member().await;
    assert_eq!(first.notice().await, "G");
}

#[tokio::test]
async fn a_group_is_told_once_however_often_a_heartbeat_names_it() {
    let world = World::new();
    let mut peer = world.peer().await;
    let (with, without) =
        (r#"{"groupName":"G","subscriptionDataSet":[{"topic":"T"}]}"#, r#"{"groupName":"G"}"#);
    let body = format!(r#"{{"clientID":"c","consumerDataSet":[{with},{without},{with}]}}"#);
    let (notices, answer) = peer.call(heartbeat(&body)).await;
    assert_eq!((notices, answer.code), (vec!["G".to_owned()], 0));
}

#[tokio::test]
async fn new_and_lacking_topics_are_told_newer_versions_are_not_b225_b226() {
    let world = World::new();
    let mut peer = world.member().await;
    let told = |subscriptions: &str| heartbeat(&consumer("G", subscriptions));
    let of = |topic: &str, tags: &str, version: i64| {
        format!(r#"{{"topic":"{topic}","subString":"{tags}","subVersion":{version}}}"#)
    };
    let (notices, _) = peer.call(told(&format!("[{}]", of("T", "a", 5)))).await;
    assert_eq!(notices, ["G"]);
    let _ = peer.answer(told(&format!("[{}]", of("T", "b", 5)))).await;
    assert_eq!(world.subscription("T").unwrap().expression, "a");
    let _ = peer.answer(told(&format!("[{}]", of("T", "c", 6)))).await;
    assert_eq!(world.subscription("T").unwrap().expression, "c");
    let (notices, _) = peer.call(told(&format!("[{}]", of("U", "*", 1)))).await;
    assert_eq!(notices, ["G"]);
    assert!(world.subscription("T").is_none() && world.subscription("U").is_some());
}

#[tokio::test]
async fn a_filter_by_tags_without_hashes_gets_them() {
    let world = World::new();
    let subscriptions = r#"[{"topic":"T","subString":"TagA || b"},{"topic":"U","subString":"*"}]"#;
    let _ = world.peer().await.call(heartbeat(&consumer("G", subscriptions))).await;
    let subscription = world.subscription("T").unwrap();
    assert_eq!(
        (&subscription.codes[..], &subscription.tags[..]),
        (&[2_598_919, 98][..], &["TagA".to_owned(), "b".to_owned()][..])
    );
    assert!(world.subscription("U").unwrap().codes.is_empty());
}

#[tokio::test]
async fn a_group_that_is_not_to_be_told_is_told_of_closed_connections_only_b230() {
    let world = World::new();
    let body = r#"{"groupName":"G","notifyConsumerIdsChangedEnable":false}"#;
    let mut first = world.peer().await;
    let answer = first.answer(Command::request(200).with_body(body)).await;
    assert_eq!((answer.code, answer.remark), (0, None));
    let _ = first.answer(heartbeat(&consumer("G", "[]"))).await;
    let mut second = world.peer().await;
    let _ = second.answer(heartbeat(&consumer("G", "[]"))).await;
    let _ = second.answer(of_group(35, "G")).await;
    let _ = second.answer(heartbeat(&consumer("G", "[]"))).await;
    drop(second);
    assert_eq!(first.notice().await, "G");
}

#[tokio::test]
async fn who_leaves_is_taken_out_and_the_last_one_takes_the_group_along_b229() {
    let world = World::new();
    let (mut first, mut second) = (world.member().await, world.member().await);
    assert_eq!(first.notice().await, "G");
    let answer = second.answer(of_group(35, "G")).await;
    assert_eq!((answer.code, answer.fields.map(|fields| fields.len())), (0, Some(0)));
    assert_eq!(first.notice().await, "G");
    let answer = first.answer(of_group(38, "G")).await;
    assert_eq!(&answer.body[..], br#"{"consumerIdList":["c"]}"#);
    assert!(world.broker.clients.consumer_group("G").is_some());
    let _ = first.answer(of_group(35, "G")).await;
    assert!(world.broker.clients.consumer_group("G").is_none());
    let answer = first.answer(of_group(38, "G")).await;
    assert_eq!((answer.code, answer.remark.as_deref()), (1, Some("no consumer for this group, G")));
    let answer = first.answer(of_group(203, "G")).await;
    let remark = Some("the consumer group[G] not online");
    assert_eq!((answer.code, answer.remark.as_deref()), (206, remark));
}

#[tokio::test]
async fn a_producer_group_outlives_closed_connections_but_not_its_last_leaver_b317() {
    let world = World::new();
    let mut tool = world.peer().await;
    let answer = tool.answer(of_group(204, "P")).await;
    let remark = Some("the producer group[P] not exist");
    assert_eq!((answer.code, answer.remark.as_deref()), (1, remark));
    let mut peer = world.peer().await;
    let _ = peer.answer(heartbeat(&producer(&["P", "Q"]))).await;
    let address = peer.stream.local_addr().unwrap();
    let answer = tool.answer(of_group(204, "P")).await;
    let expected = format!(
        r#"{{"connectionSet":[{{"clientAddr":"{address}","clientId":"p","language":"JAVA","version":401}}]}}"#
    );
    assert_eq!((answer.code, std::str::from_utf8(&answer.body).unwrap()), (0, &*expected));
    let _ = peer.answer(of_group(35, "Q")).await;
    assert_eq!(tool.answer(of_group(204, "Q")).await.code, 1);
    drop(peer);
    world
        .eventually("the connection is forgotten", |clients| clients.read().joined.is_empty())
        .await;
    let answer = tool.answer(of_group(204, "P")).await;
    assert_eq!((answer.code, &answer.body[..]), (0, &br#"{"connectionSet":[]}"#[..]));
}

#[tokio::test]
async fn tools_see_a_group_as_its_last_heartbeat_says_b227_b316() {
    let world = World::new();
    let mut peer = world.peer().await;
    let body = r#"{"clientID":"10.0.0.1@7","consumerDataSet":[{"consumeFromWhere":"CONSUME_FROM_FIRST_OFFSET","consumeType":"CONSUME_ACTIVELY","groupName":"G","messageModel":"BROADCASTING","subscriptionDataSet":[{"classFilterMode":false,"codeSet":[97],"expressionType":"TAG","subString":"a","subVersion":3,"tagsSet":["a"],"topic":"T"}],"unitMode":false}],"producerDataSet":[]}"#;
    let mut request = heartbeat(body);
    request.language = Language::CPP;
    request.version = 317;
    let _ = peer.call(request).await;
    let group = world.broker.clients.consumer_group("G").unwrap();
    assert_eq!(group.message_model, MessageModel::Broadcasting);
    let address = peer.stream.local_addr().unwrap();
    let answer = peer.answer(of_group(203, "G")).await;
    let expected = format!(
        r#"{{"connectionSet":[{{"clientAddr":"{address}","clientId":"10.0.0.1@7","language":"CPP","version":317}}],"consumeFromWhere":"CONSUME_FROM_FIRST_OFFSET","consumeType":"CONSUME_ACTIVELY","messageModel":"BROADCASTING","subscriptionTable":{{"T":{{"classFilterMode":false,"codeSet":[97],"expressionType":"TAG","subString":"a","subVersion":3,"tagsSet":["a"],"topic":"T"}}}}}}"#
    );
    assert_eq!(std::str::from_utf8(&answer.body).unwrap(), expected);
    assert!(answer.fields.is_none());
}

#[tokio::test]
async fn the_silent_are_cut_off_without_a_word_to_the_others_b231() {
    let world = World::new();
    let (mut silent, mut other) = (world.member().await, world.member().await);
    assert_eq!(silent.notice().await, "G");
    let _ = silent.answer(heartbeat(&producer(&["P"]))).await;
    world.clock.advance(Duration::from_secs(60));
    let _ = other.answer(heartbeat(&consumer("G", "[]"))).await;
    world.broker.clients.expire();
    let _ = silent.answer(of_group(38, "G")).await;
    world.clock.advance(Duration::from_secs(61));
    world.broker.clients.expire();
    assert_eq!(silent.next().await, None);
    let answer = other.answer(of_group(38, "G")).await;
    assert_eq!(&answer.body[..], br#"{"consumerIdList":["c"]}"#);
    world.eventually("all of it is gone", |clients| clients.read().members == 1).await;
}

#[tokio::test]
async fn a_heartbeat_creates_group_and_retry_topic_b222() {
    let world = World::new();
    let mut peer = world.peer().await;
    let body = r#"{"clientID":"c","consumerDataSet":[{"groupName":"G","unitMode":true}]}"#;
    let _ = peer.call(heartbeat(body)).await;
    let tables = world.broker.store.tables();
    assert_eq!(tables.groups.get("G").unwrap().retry_queue_nums, 1);
    let topic = tables.topics.get("%RETRY%G").unwrap();
    assert_eq!((topic.write_queues, topic.permission.0, topic.sys_flag), (1, 6, 2));
}

#[tokio::test]
async fn a_body_that_is_no_heartbeat_changes_nothing_and_the_connection_stays() {
    let world = World::new();
    let mut peer = world.peer().await;
    let half = r#"{"clientID":"c","producerDataSet":[{"groupName":"P"}],"consumerDataSet":[{}]}"#;
    let long = producer(&["x".repeat(NAME_BYTES_MAX + 1).as_str()]);
    let codes = vec!["7"; TAGS_MAX + 1].join(",");
    let tags = consumer("G", &format!(r#"[{{"topic":"T","codeSet":[{codes}]}}]"#));
    for body in ["", r#"{"bad":1}"#, "not JSON", half, &long, &tags] {
        let answer = peer.answer(heartbeat(body)).await;
        assert_eq!(answer.code, 1, "{body}");
        assert!(answer.remark.is_some());
    }
    assert!(world.broker.clients.read().joined.is_empty());
}

#[tokio::test]
async fn the_tables_have_limits_and_everything_is_counted_off_again() {
    let world = World::new();
    let mut peer = world.peer().await;
    tests_support::limit(&world.broker, |numbers| numbers.groups_max = 50);
    let names: Vec<String> = (0..=50).map(|number| format!("P{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let answer = peer.answer(heartbeat(&producer(&names))).await;
    let remark = "the broker takes no more producer groups: limits.groups_max = 50 is reached";
    assert_eq!((answer.code, answer.remark.as_deref()), (1, Some(remark)));
    assert_eq!(world.broker.clients.read().members, 50);
    let reached = |limit| tests_support::times_reached(&world.broker, limit);
    assert_eq!(reached(Limit::Groups), 1);
    tests_support::limit(&world.broker, |numbers| numbers.client_memberships_max = 50);
    let mut other = world.peer().await;
    let answer = other.answer(heartbeat(&producer(&["P1"]))).await;
    let remark = "the broker takes no more clients: limits.client_memberships_max = 50 is reached";
    assert_eq!((answer.code, answer.remark.as_deref()), (1, Some(remark)));
    assert_eq!(reached(Limit::ClientMemberships), 1);
    tests_support::limit(&world.broker, |numbers| numbers.client_memberships_max = 100);
    let tags = "x".repeat(14 << 20);
    let mut codes = Vec::new();
    for group in 0..5 {
        let subscriptions =
            format!(r#"[{{"topic":"T","subString":"{tags}","expressionType":"SQL92"}}]"#);
        codes.push(
            peer.call(heartbeat(&consumer(&format!("G{group}"), &subscriptions))).await.1.code,
        );
    }
    assert_eq!(codes, [0, 0, 0, 0, 1]);
    assert_eq!(reached(Limit::SubscriptionBytes), 1);
    drop(peer);
    world
        .eventually("all is counted off", |clients| {
            let state = clients.read();
            (state.members, state.subscription_bytes, state.consumers.len()) == (0, 0, 0)
        })
        .await;
    let mut peer = world.peer().await;
    let _ = peer.answer(heartbeat(&producer(&["new"]))).await;
    assert_eq!(world.broker.clients.read().producers.len(), 1);
}
