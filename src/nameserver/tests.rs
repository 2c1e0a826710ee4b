//! The name server over real sockets.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::{NameServer, NameServerOptions, NameServerService};
use crate::clock::Clock;
use crate::model::{DataVersion, Permission, TopicConfig, TopicName};
use crate::remoting::bodies::registration::registration;
use crate::remoting::bodies::route::{ClusterInfo, TopicRoute};
use crate::remoting::bodies::topics::parse_topic_list;
use crate::remoting::headers::RegisterBroker;
use crate::remoting::{Command, request, response};
use crate::task::{self, Kind};
use crate::transport::{CallError, Client, Limits, Server};

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
        let server = Server::bind("127.0.0.1:0".parse().unwrap(), Arc::new(Limits::default()));
        let server = server.unwrap();
        let (address, stop) = (server.local_addr().to_string(), CancellationToken::new());
        let service = Arc::new(NameServerService(Arc::clone(&name_server)));
        task::spawn(Kind::Ignore, "name server", server.serve(service, stop.clone()));
        Self { dir, clock, name_server, address, client: Client::new(None), stop }
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
    let options = NameServerOptions { kv_config_file: dir.join("kvConfig.json"), port: 9876 };
    NameServer::open(options, clock).unwrap()
}

fn register(id: i64, address: &str, topics: &[TopicConfig]) -> Command {
    let body = registration(VERSION, topics);
    let header = RegisterBroker {
        broker_name: "broker-a".to_owned(),
        broker_addr: address.to_owned(),
        cluster_name: "C".to_owned(),
        ha_server_addr: format!("{address}9"),
        broker_id: id,
        compressed: false,
        body_crc32: i32::try_from(crc32fast::hash(&body) & 0x7FFF_FFFF).unwrap(),
    };
    header.to_request().with_body(body)
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
    assert!(matches!(lost, Err(CallError::Lost(_))));
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
    assert!(again.settings().order_message_enable);
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
    let world = World::new();
    let unknown =
        world.client.call(&world.address, Command::request(9999), Duration::from_millis(50));
    assert!(matches!(unknown.await, Err(CallError::Timeout(_))));
    assert!(world.route("T").await.is_none(), "the connection goes on");
}
