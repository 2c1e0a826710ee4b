//! The name server over real sockets.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use super::{NameServer, NameServerOptions, NameServerService};
use crate::acl::signature::Key;
use crate::acl::{Acl, AclOptions};
use crate::clock::Clock;
use crate::metrics::Limit;
use crate::model::{DataVersion, Permission, TopicConfig, TopicName};
use crate::remoting::bodies::registration::registration;
use crate::remoting::bodies::route::{ClusterInfo, TopicRoute};
use crate::remoting::bodies::topics::{parse_topic_list, topic_table};
use crate::remoting::headers::RegisterBroker;
use crate::remoting::{self, Command, request, response};
use crate::task::{self, Kind};
use crate::transport::{CallError, Client, LimitNumbers, Limits, Server};

const TIMEOUT: Duration = Duration::from_secs(10);
const VERSION: DataVersion = DataVersion { timestamp: 9, counter: 1 };

/// A name server on a port, and a client.
struct World {
    dir: tempfile::TempDir,
    clock: Clock,
    name_server: Arc<NameServer>,
    address: String,
    client: Client,
    stop: CancellationToken,
}

impl World {
    fn new() -> Self {
        let (dir, clock) = (tempfile::tempdir().unwrap(), Clock::system());
        let name_server = open(dir.path(), &clock);
        Self::of(dir, clock, name_server)
    }

    fn of(dir: tempfile::TempDir, clock: Clock, name_server: Arc<NameServer>) -> Self {
        let server = Server::bind("127.0.0.1:0".parse().unwrap(), Arc::new(Limits::default()));
        let server = server.unwrap();
        let (address, stop) = (server.local_addr().to_string(), CancellationToken::new());
        let service = Arc::new(NameServerService(Arc::clone(&name_server)));
        task::spawn(Kind::Ignore, "name server", server.serve(service, stop.clone()));
        Self { dir, clock, name_server, address, client: Client::new(None), stop }
    }

    /// One with accounts: the admin `node-account`, and `ordinary`.
    fn with_accounts() -> Self {
        let text = "accounts:\n- {accessKey: node-account, secretKey: node-secret, admin: true}\n- {accessKey: \
                    ordinary, secretKey: secret-1, defaultTopicPerm: PUB|SUB}\n";
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("plain_acl.yml");
        std::fs::write(&file, text).unwrap();
        let folder = dir.path().join("none");
        let options = AclOptions { folder, file, node_account: "node-account".into() };
        let acl = Acl::open(&options, &Clock::system(), &Arc::default()).unwrap();
        let kv_config_file = dir.path().join("kvConfig.json");
        let options = NameServerOptions {
            kv_config_file,
            port: 9876,
            acl: Some(acl),
            limits: Arc::default(),
        };
        let name_server = NameServer::open(options, &Clock::system()).unwrap();
        Self::of(dir, Clock::system(), name_server)
    }

    async fn call(&self, request: Command) -> Command {
        self.client.call(&self.address, request, TIMEOUT).await.unwrap()
    }

    /// Registers over a connection of its own, as each broker does.
    async fn register(&self, id: i64, address: &str, topics: &[TopicConfig]) -> (Client, Command) {
        let client = Client::new(None);
        let answer = client.call(&self.address, register(id, address, topics), TIMEOUT).await;
        (client, answer.unwrap())
    }

    async fn route(&self, topic: &str) -> Option<TopicRoute> {
        let request = Command::request(request::GET_ROUTEINFO_BY_TOPIC).with_field("topic", topic);
        let answer = self.call(request).await;
        (answer.code == 0).then(|| TopicRoute::parse(&answer.body).unwrap())
    }

    async fn topics(&self, code: i32) -> Vec<String> {
        let answer = self.call(Command::request(code)).await;
        assert_eq!((answer.code, answer.fields), (0, None));
        parse_topic_list(&answer.body).unwrap()
    }

    async fn wait_until_route_is_gone(&self, topic: &str) {
        let gone = async {
            while self.route(topic).await.is_some() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(TIMEOUT, gone).await.unwrap();
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn open(dir: &std::path::Path, clock: &Clock) -> Arc<NameServer> {
    let options = NameServerOptions {
        kv_config_file: dir.join("kvConfig.json"),
        port: 9876,
        acl: None,
        limits: Arc::default(),
    };
    NameServer::open(options, clock).unwrap()
}

fn header(id: i64, address: &str) -> RegisterBroker {
    RegisterBroker {
        broker_name: "broker-a".to_owned(),
        broker_addr: address.to_owned(),
        cluster_name: "C".to_owned(),
        ha_server_addr: format!("{address}9"),
        broker_id: id,
        ..RegisterBroker::default()
    }
}

fn crc(body: &[u8]) -> i32 {
    i32::try_from(crc32fast::hash(body) & 0x7FFF_FFFF).unwrap()
}

fn register(id: i64, address: &str, topics: &[TopicConfig]) -> Command {
    let body = registration(VERSION, topics);
    let header = RegisterBroker { body_crc32: crc(&body), ..header(id, address) };
    header.to_request().with_body(body)
}

/// A registration of the group `broker-b`.
fn register_other(address: &str, topics: &[TopicConfig]) -> Command {
    let header = RegisterBroker { broker_name: "broker-b".to_owned(), ..header(0, address) };
    header.to_request().with_body(registration(VERSION, topics))
}

fn topic(name: &str) -> TopicConfig {
    TopicConfig::new(TopicName::new(name), 4)
}

fn kv(code: i32, key: &str) -> Command {
    Command::request(code).with_field("namespace", "ORDER_TOPIC_CONFIG").with_field("key", key)
}

#[tokio::test]
async fn a_broker_has_routes_as_long_as_its_connection_lasts_n022() {
    let world = World::new();
    assert!(world.route("T").await.is_none());
    let (client, answer) = world.register(0, "127.0.0.1:1", &[topic("T")]).await;
    assert_eq!((answer.code, answer.field("masterAddr")), (0, None));
    let (slave, answer) = world.register(1, "127.0.0.1:2", &[]).await;
    assert_eq!(answer.field("masterAddr"), Some("127.0.0.1:1"));
    assert_eq!(answer.field("haServerAddr"), Some("127.0.0.1:19"));
    let route = world.route("T").await.unwrap();
    assert_eq!(route.brokers[0].addresses.len(), 2);
    assert_eq!((route.queues[0].write_queues, route.order_topic_conf), (4, None));
    let info = world.call(Command::request(request::GET_BROKER_CLUSTER_INFO)).await;
    assert_eq!(ClusterInfo::parse(&info.body).unwrap().brokers, route.brokers);
    drop(slave);
    drop(client);
    world.wait_until_route_is_gone("T").await;
    assert!(world.name_server.connections().is_empty());
}

#[tokio::test]
async fn a_silent_broker_is_removed_and_its_connection_closed_n020() {
    let world = World::new();
    let (client, _) = world.register(0, "127.0.0.1:1", &[topic("T")]).await;
    let connection = client.connection(&world.address).await.unwrap();
    world.clock.advance(Duration::from_secs(121));
    world.name_server.expire();
    assert!(world.route("T").await.is_none());
    let lost = connection.call(Command::request(request::GET_KV_CONFIG), TIMEOUT).await;
    assert!(matches!(lost, Err(CallError::Lost { .. })));
}

#[tokio::test]
async fn a_registration_with_a_wrong_crc_or_body_is_refused_n041() {
    let world = World::new();
    let mut request = register(0, "127.0.0.1:1", &[topic("T")]);
    request.set_field("bodyCrc32", 1);
    let answer = world.call(request).await;
    assert_eq!((answer.code, answer.remark.as_deref()), (1, Some("crc32 not match")));
    let mut request = register(0, "127.0.0.1:1", &[topic("T")]).with_body("{");
    request.set_field("bodyCrc32", 0);
    assert_eq!(world.call(request).await.code, 1);
    let answer = world.call(Command::request(request::REGISTER_BROKER)).await;
    assert_eq!(answer.remark.as_deref(), Some("the mandatory field `brokerName` is missing"));
    assert!(world.route("T").await.is_none());
}

#[tokio::test]
async fn unregistering_and_deleting_take_routes_away_n060_n066() {
    let world = World::new();
    let (_broker, _) = world.register(0, "127.0.0.1:1", &[topic("T"), topic("U")]).await;
    let delete = Command::request(request::DELETE_TOPIC_IN_NAMESRV).with_field("topic", "T");
    assert_eq!(world.call(delete).await.code, 0);
    let list = world.call(Command::request(request::GET_ALL_TOPIC_LIST_FROM_NAMESERVER)).await;
    assert_eq!(parse_topic_list(&list.body).unwrap(), ["U"]);
    let of =
        |cluster| Command::request(request::GET_TOPICS_BY_CLUSTER).with_field("cluster", cluster);
    assert_eq!(parse_topic_list(&world.call(of("C")).await.body).unwrap(), ["U"]);
    assert_eq!(world.call(of("unknown")).await.body, r#"{"topicList":[]}"#);
    let system = world.call(Command::request(request::GET_SYSTEM_TOPIC_LIST_FROM_NS)).await;
    assert_eq!(system.body, r#"{"brokerAddr":"127.0.0.1:1","topicList":["C","broker-a"]}"#);
    let mut goodbye = register(0, "127.0.0.1:1", &[]);
    goodbye.code = request::UNREGISTER_BROKER;
    assert_eq!(world.call(goodbye).await.code, 0);
    assert!(world.route("U").await.is_none());
}

#[tokio::test]
async fn writing_is_wiped_and_given_back_n062() {
    let world = World::new();
    let (_broker, _) = world.register(0, "127.0.0.1:1", &[topic("T")]).await;
    for (code, count, permission) in [
        (request::WIPE_WRITE_PERM_OF_BROKER, "wipeTopicCount", 4),
        (request::ADD_WRITE_PERM_OF_BROKER, "addTopicCount", 6),
    ] {
        let answer = world.call(Command::request(code).with_field("brokerName", "broker-a")).await;
        assert_eq!(answer.field(count), Some("1"));
        let route = world.route("T").await.unwrap();
        assert_eq!(route.queues[0].permission, Permission(permission));
    }
}

#[tokio::test]
async fn versions_are_compared_n072() {
    let world = World::new();
    let (_broker, _) = world.register(0, "127.0.0.1:1", &[]).await;
    for (address, body, changed, known) in [
        (
            "127.0.0.1:1",
            r#"{"counter":1,"timestamp":9}"#,
            "false",
            r#"{"counter":1,"timestamp":9}"#,
        ),
        ("127.0.0.1:1", r#"{"counter":2,"timestamp":9}"#, "true", r#"{"counter":1,"timestamp":9}"#),
        ("127.0.0.1:7", r#"{"counter":1,"timestamp":9}"#, "true", ""),
    ] {
        let mut query = register(0, address, &[]).with_body(body);
        query.code = request::QUERY_DATA_VERSION;
        let answer = world.call(query).await;
        assert_eq!(
            (answer.field("changed"), answer.body.as_ref()),
            (Some(changed), known.as_bytes())
        );
    }
}

#[tokio::test]
async fn kv_configuration_and_settings_survive_a_restart_n030_n054() {
    let world = World::new();
    let missing = world.call(kv(request::GET_KV_CONFIG, "T")).await;
    let remark = "No config item, Namespace: ORDER_TOPIC_CONFIG Key: T";
    assert_eq!(
        (missing.code, missing.remark.as_deref()),
        (response::QUERY_NOT_FOUND, Some(remark))
    );
    let put = kv(request::PUT_KV_CONFIG, "T").with_field("value", "broker-a:4");
    assert_eq!(world.call(put).await.code, 0);
    let refused = world.call(Command::request(request::PUT_KV_CONFIG)).await;
    assert_eq!(refused.remark.as_deref(), Some("namespace or key is null"));
    let (_broker, answer) = world.register(0, "127.0.0.1:1", &[topic("T")]).await;
    assert_eq!(answer.body, r#"{"table":{"T":"broker-a:4"}}"#);
    let update =
        |text: &str| Command::request(request::UPDATE_NAMESRV_CONFIG).with_body(text.to_owned());
    assert_eq!(world.call(update("listenPort=1")).await.code, 1);
    assert_eq!(world.call(update("orderMessageEnable=true")).await.code, 0);
    assert_eq!(world.route("T").await.unwrap().order_topic_conf.as_deref(), Some("broker-a:4"));
    let again = open(world.dir.path(), &world.clock);
    assert!(again.settings.live().order_message_enable);
    let kept = again.kv_config.get("ORDER_TOPIC_CONFIG", "T");
    assert_eq!(kept.as_deref(), Some("broker-a:4"));
    let text = world.call(Command::request(request::GET_NAMESRV_CONFIG)).await.body;
    assert!(text.ends_with(b"listenPort=9876\norderMessageEnable=true\n"));
    assert_eq!(world.call(kv(request::DELETE_KV_CONFIG, "T")).await.code, 0);
    let list = Command::request(request::GET_KVLIST_BY_NAMESPACE);
    let list = world.call(list.with_field("namespace", "ORDER_TOPIC_CONFIG")).await;
    assert_eq!(list.body, r#"{"table":{}}"#);
}

#[tokio::test]
async fn an_unknown_code_gets_no_answer_s05() {
    for world in [World::new(), World::with_accounts()] {
        only_the_known_code_is_answered(&world).await;
    }
}

async fn only_the_known_code_is_answered(world: &World) {
    let mut stream = TcpStream::connect(&world.address).await.unwrap();
    let mut frames = bytes::BytesMut::new();
    for (code, opaque) in [(request::SEND_MESSAGE, 1), (9999, 2), (106, 3)] {
        remoting::encode(&Command { opaque, ..Command::request(code) }, &mut frames);
    }
    stream.write_all(&frames).await.unwrap();
    let mut frame = vec![0; 4];
    stream.read_exact(&mut frame).await.unwrap();
    let length = remoting::frame_length(&frame, 1 << 20).unwrap().unwrap();
    frame.resize(length, 0);
    stream.read_exact(&mut frame[4..]).await.unwrap();
    // What is answered at once is answered in order: 1 and 2 would have come before.
    assert_eq!(remoting::decode(frame.into()).unwrap().opaque, 3);
}

#[tokio::test]
async fn the_slave_stays_when_the_masters_connection_ends_n023() {
    let world = World::new();
    let (master, _) = world.register(0, "127.0.0.1:1", &[topic("T")]).await;
    let (slave, _) = world.register(1, "127.0.0.1:2", &[]).await;
    drop(master);
    while world.route("T").await.unwrap().brokers[0].addresses.len() > 1 {
        tokio::task::yield_now().await;
    }
    assert_eq!(world.route("T").await.unwrap().brokers[0].address(), Some("127.0.0.1:2"));
    let answer = slave.call(&world.address, register(1, "127.0.0.1:2", &[]), TIMEOUT).await;
    assert_eq!(answer.unwrap().field("masterAddr"), None, "N-051: there is no live master");
}

#[tokio::test]
async fn a_broker_that_registered_over_a_new_connection_outlives_the_old_one() {
    let world = World::new();
    let (old, _) = world.register(0, "127.0.0.1:1", &[topic("T")]).await;
    // Goes with the old connection, and so tells when its end was noticed.
    let other = register_other("127.0.0.1:3", &[topic("other")]);
    old.call(&world.address, other, TIMEOUT).await.unwrap();
    let (_new, _) = world.register(0, "127.0.0.1:1", &[topic("T")]).await;
    drop(old);
    world.wait_until_route_is_gone("other").await;
    assert!(world.route("T").await.is_some());
}

#[tokio::test]
async fn the_brokers_beside_a_silent_one_go_with_their_connection() {
    let world = World::new();
    let (client, _) = world.register(0, "127.0.0.1:1", &[topic("T")]).await;
    world.clock.advance(Duration::from_secs(100));
    let other = register_other("127.0.0.1:3", &[topic("other")]);
    client.call(&world.address, other, TIMEOUT).await.unwrap();
    world.clock.advance(Duration::from_secs(21));
    world.name_server.expire();
    assert!(world.route("T").await.is_none());
    world.wait_until_route_is_gone("other").await;
}

#[tokio::test(start_paused = true)]
async fn silent_brokers_are_looked_for_every_10_s_n020() {
    let (dir, clock, stop) =
        (tempfile::tempdir().unwrap(), Clock::system(), CancellationToken::new());
    let name_server = open(dir.path(), &clock);
    name_server.start(&tokio::runtime::Handle::current(), &stop);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let registration = super::route_table::Registration {
        broker_name: "broker-a".to_owned(),
        address: "127.0.0.1:1".to_owned(),
        ..Default::default()
    };
    name_server.routes().register(registration, name_server.now_ms()).unwrap();
    clock.advance(Duration::from_secs(121));
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert!(name_server.routes().brokers().is_empty());
    stop.cancel();
}

#[tokio::test]
async fn a_version_that_is_known_is_a_sign_of_life_n072() {
    let world = World::new();
    let (_broker, _) = world.register(0, "127.0.0.1:1", &[topic("T")]).await;
    world.clock.advance(Duration::from_secs(100));
    let mut query = register(0, "127.0.0.1:1", &[]).with_body(r#"{"counter":1,"timestamp":9}"#);
    query.code = request::QUERY_DATA_VERSION;
    assert_eq!(world.call(query).await.field("changed"), Some("false"));
    world.clock.advance(Duration::from_secs(100));
    world.name_server.expire();
    assert!(world.route("T").await.is_some());
}

#[tokio::test]
async fn the_compressed_form_and_that_of_old_brokers_are_read_n042_n045() {
    let world = World::new();
    let version = br#"{"counter":1,"timestamp":9}"#;
    let mut plain = Vec::new();
    for (length, text) in
        [(27, version.as_slice()), (1, b""), (18, b"T 4 4 6 SINGLE_TAG"), (2, b"[]")]
    {
        plain.extend_from_slice(&u32::to_be_bytes(length));
        plain.extend_from_slice(text);
    }
    let mut packed = Vec::new();
    let mut packer = flate2::read::ZlibEncoder::new(plain.as_slice(), flate2::Compression::best());
    std::io::Read::read_to_end(&mut packer, &mut packed).unwrap();
    let mut header = header(0, "127.0.0.1:1");
    (header.compressed, header.body_crc32) = (true, crc(&packed));
    assert_eq!(world.call(header.to_request().with_body(packed)).await.code, 0);
    assert_eq!(world.route("T").await.unwrap().queues[0].read_queues, 4);
    header.body_crc32 = 0;
    assert_eq!(world.call(header.to_request()).await.code, 0, "N-044: no body, no topics");
    let old = register_other("127.0.0.1:3", &[]).with_body(topic_table(VERSION, &[topic("U")]));
    assert_eq!(world.call(Command { version: 36, ..old }).await.code, 0);
    assert!(world.route("U").await.is_some());
}

#[tokio::test]
async fn the_tables_have_limits_that_refusals_name_and_metrics_count() {
    let world = World::new();
    let limits = &world.name_server.limits;
    let (_broker, _) = world.register(0, "127.0.0.1:1", &[topic("T")]).await;
    limits.set_numbers(LimitNumbers {
        registered_brokers_max: 1,
        registered_topics_max: 1,
        kv_config_bytes_max: 1,
        ..LimitNumbers::default()
    });
    let put = Command::request(request::PUT_KV_CONFIG);
    let put = put.with_field("namespace", "n").with_field("key", "k").with_field("value", "v");
    for (refused, setting) in
        [(register(1, "127.0.0.1:2", &[]), "registered_brokers_max"), (put, "kv_config_bytes_max")]
    {
        let answer = world.call(refused).await;
        assert_eq!(answer.code, response::SYSTEM_ERROR);
        let remark = answer.remark.unwrap();
        assert!(remark.contains(&format!("limits.{setting} = 1 is reached")), "{remark}");
        let reached = limits.times_reached();
        assert!(reached.iter().any(|(limit, times)| limit.setting() == setting && *times == 1));
    }
    let again = world.call(register(0, "127.0.0.1:1", &[topic("T")])).await;
    assert_eq!(again.code, response::SUCCESS, "known ones go on");
}

#[tokio::test]
async fn a_broker_with_too_many_topics_stays_known_and_the_surplus_is_counted() {
    let world = World::new();
    let limits = &world.name_server.limits;
    limits.set_numbers(LimitNumbers { registered_topics_max: 1, ..LimitNumbers::default() });
    let (broker, _) = world.register(0, "127.0.0.1:1", &[topic("T")]).await;
    for _ in 0..3 {
        world.clock.advance(Duration::from_secs(100));
        let more = register(0, "127.0.0.1:1", &[topic("T"), topic("U")]);
        let answer = broker.call(&world.address, more, TIMEOUT).await.unwrap();
        assert_eq!(answer.code, response::SUCCESS);
        world.name_server.expire();
        assert!(world.route("T").await.is_some() && world.route("U").await.is_none());
    }
    assert_eq!(limits.times_reached(), [(Limit::RegisteredTopics, 3)]);
}

#[tokio::test]
async fn names_that_no_broker_has_are_refused_and_such_topics_left_out() {
    let world = World::new();
    let long = "x".repeat(5_000);
    let broker = RegisterBroker { cluster_name: long.clone(), ..header(0, "127.0.0.1:1") };
    let remark = world.call(broker.to_request()).await.remark.unwrap();
    assert_eq!(remark, "clusterName has 5000 bytes, over the limit of 255");
    let answer = world.call(register(0, "127.0.0.1:1", &[topic(&long), topic("T")])).await;
    assert_eq!(answer.code, response::SUCCESS, "one such topic is left out, not the broker");
    assert!(world.route("T").await.is_some() && world.route(&long).await.is_none());
}

#[tokio::test]
async fn a_lost_registration_is_made_up_for_by_the_next_s36() {
    let world = World::new();
    world.call(register(0, "127.0.0.1:1", &[topic("T")])).await;
    // The version is the same (N-081).
    world.call(register(0, "127.0.0.1:1", &[topic("lost")])).await;
    assert!(world.route("lost").await.is_some() && world.route("T").await.is_some());
}

#[tokio::test]
async fn routes_are_standard_json_for_new_clients_only_n052() {
    let world = World::new();
    world.call(register(0, "127.0.0.1:1", &[topic("T")])).await;
    let get = || Command::request(request::GET_ROUTEINFO_BY_TOPIC).with_field("topic", "T");
    let standard = r#"{"brokerDatas":[{"brokerAddrs":{"0":"127.0.0.1:1"},"brokerName":"broker-a","cluster":"C"}],"filterServerTable":{},"queueDatas":[{"brokerName":"broker-a","perm":6,"readQueueNums":4,"topicSysFlag":0,"writeQueueNums":4}]}"#;
    assert_eq!(world.call(get()).await.body, standard);
    let asks = Command { version: 400, ..get() }.with_field("acceptStandardJsonOnly", true);
    assert_eq!(world.call(asks).await.body, standard);
    let older = world.call(Command { version: 400, ..get() }).await;
    assert_eq!(older.body, standard.replace("\"0\":", "0:"));
    let mut missing = get();
    missing.set_field("topic", "U");
    let answer = world.call(missing).await;
    let remark = "No topic route info in name server for the topic: U\nSee http://rocketmq.apache.org/docs/faq/ for further details.";
    assert_eq!((answer.code, answer.remark.as_deref()), (17, Some(remark)));
}

#[tokio::test]
async fn unit_topics_are_listed_by_their_flags_n069() {
    let world = World::new();
    let flagged = |name, sys_flag| TopicConfig { sys_flag, ..topic(name) };
    let topics = [flagged("unit", 1), flagged("sub", 2), flagged("both", 3), flagged("none", 0)];
    world.call(register(0, "127.0.0.1:1", &topics)).await;
    assert_eq!(world.topics(request::GET_UNIT_TOPIC_LIST).await, ["both", "unit"]);
    assert_eq!(world.topics(request::GET_HAS_UNIT_SUB_TOPIC_LIST).await, ["both", "sub"]);
    let without_unit = request::GET_HAS_UNIT_SUB_UNUNIT_TOPIC_LIST;
    assert_eq!(world.topics(without_unit).await, ["sub"]);
}

#[tokio::test]
async fn another_address_cannot_be_unregistered_s39() {
    let world = World::new();
    world.call(register(0, "127.0.0.1:1", &[topic("T")])).await;
    let mut late = register(0, "127.0.0.1:2", &[]);
    late.code = request::UNREGISTER_BROKER;
    assert_eq!(world.call(late).await.code, 0);
    assert!(world.route("T").await.is_some());
}

#[tokio::test]
async fn nothing_that_names_a_port_or_a_path_can_be_changed_n070() {
    let world = World::new();
    for line in ["listenPort=1", "kvConfigPath=/tmp/x", "configStorePath=/tmp/x"] {
        let change = Command::request(request::UPDATE_NAMESRV_CONFIG).with_body(line);
        let remark = world.call(change).await.remark.unwrap();
        assert!(remark.ends_with("only orderMessageEnable can"), "{remark}");
    }
    assert_eq!(world.call(Command::request(request::UPDATE_NAMESRV_CONFIG)).await.code, 0);
}

#[test]
fn a_file_that_cannot_be_read_is_named_at_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let kv_config_file = dir.path().join("kvConfig.json");
    std::fs::write(&kv_config_file, "{").unwrap();
    let options =
        NameServerOptions { kv_config_file, port: 9876, acl: None, limits: Arc::default() };
    let error = NameServer::open(options, &Clock::system()).unwrap_err().to_string();
    assert!(error.contains("kvConfig.json: not a kvConfig.json"), "{error}");
}

/// A request of the only admin, `node-account`.
fn signed(mut request: Command) -> Command {
    Key::new("node-secret").sign("node-account", &mut request);
    request
}

#[tokio::test]
async fn with_accounts_routes_are_open_and_what_changes_them_needs_an_admin_s48() {
    let world = World::with_accounts();
    let exception = "org.apache.rocketmq.acl.common.AclException: ";
    let registration = register(0, "127.0.0.1:1", &[topic("T")]);
    for code in [100, 102, 103, 104, 205, 216, 318, 322, 327] {
        let request =
            if code == 103 { registration.clone() } else { kv(code, "K").with_field("value", "v") };
        let answer = world.call(request.clone()).await;
        let remark = format!("{exception}No accessKey is configured");
        assert_eq!((answer.code, answer.remark), (1, Some(remark)), "{code}");
        let mut ordinary = request;
        Key::new("secret-1").sign("ordinary", &mut ordinary);
        let need =
            format!("Need admin permission for request code={code}, but accessKey=ordinary is not");
        let answer = world.call(ordinary).await;
        assert_eq!((answer.code, answer.remark), (1, Some(format!("{exception}{need}"))));
    }
    let route = || Command::request(request::GET_ROUTEINFO_BY_TOPIC).with_field("topic", "T");
    assert_eq!(world.call(route()).await.code, 17, "open, and nothing is registered");
    assert_eq!(world.call(signed(registration)).await.code, 0);
    assert_eq!(world.call(route()).await.code, 0);
    assert_eq!(world.call(signed(kv(100, "K").with_field("value", "v"))).await.code, 0);
    assert_eq!(world.call(kv(101, "K")).await.field("value"), Some("v"));
}
