//! A broker and name servers that do what the test says.

use std::collections::VecDeque;

use tokio::net::TcpListener;

use super::*;
use crate::broker::clients::tests::World;
use crate::broker::copies::own_message;
use crate::broker::tests_support::TestBroker;
use crate::clock::Clock;
use crate::model::{QueueId, TopicName};
use crate::nameserver::{NameServer, NameServerOptions, NameServerService};
use crate::remoting::FieldError;
use crate::remoting::headers::create_topic;
use crate::store::AppendError;
use crate::transport::{Limits, Responder, Server, Service};

/// Long enough that only a failure reaches it.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a fake name server does with a request.
enum Do {
    Answer(Command),
    Keep,
}

/// A request that came.
struct Came {
    request: Command,
    connection: Connection,
}

impl Came {
    /// The topics of a registration.
    fn topics(&self) -> Vec<String> {
        let body = json::parse(&self.request.body).unwrap();
        let table = body.get("topicConfigSerializeWrapper").get("topicConfigTable");
        table.entries().iter().map(|(name, _)| name.as_str().unwrap().to_owned()).collect()
    }

    fn counter(&self) -> i64 {
        let body = json::parse(&self.request.body).unwrap();
        let version = body.get("topicConfigSerializeWrapper").get("dataVersion");
        version.get("counter").as_i64().unwrap()
    }
}

/// Answers 0 unless told otherwise.
#[derive(Default)]
struct Fake {
    next: Mutex<VecDeque<Do>>,
    came: Mutex<Vec<Came>>,
    kept: Mutex<Vec<Responder>>,
    /// Who holds the broker's place, if anybody.
    holder: Option<String>,
}

impl Service for Fake {
    fn on_request(&self, request: Command, responder: Responder) {
        if request.code == request::GET_BROKER_CLUSTER_INFO {
            let table = self.holder.as_ref().map(|holder| {
                format!(
                    r#""broker-a":{{"brokerAddrs":{{0:"{holder}"}},"brokerName":"broker-a","cluster":"C"}}"#
                )
            });
            let body = format!(r#"{{"brokerAddrTable":{{{}}}}}"#, table.unwrap_or_default());
            return responder.send(Command::response(0).with_body(body));
        }
        let connection = responder.connection().clone();
        self.came.lock().unwrap().push(Came { request, connection });
        match self.next.lock().unwrap().pop_front() {
            Some(Do::Answer(answer)) => responder.send(answer),
            Some(Do::Keep) => self.kept.lock().unwrap().push(responder),
            None => responder.send(Command::response(0)),
        }
    }
}

impl Fake {
    fn start() -> (Arc<Self>, String) {
        let fake = Arc::new(Self::default());
        let address = serve(fake.clone());
        (fake, address)
    }

    fn will(&self, what: Do) {
        self.next.lock().unwrap().push_back(what);
    }

    /// What a look at the requests that came says, as soon as it says something.
    async fn eventually<T>(&self, what: &str, look: impl Fn(&[Came]) -> Option<T>) -> T {
        let waiting = async {
            loop {
                if let Some(seen) = look(&self.came.lock().unwrap()) {
                    return seen;
                }
                tokio::task::yield_now().await;
            }
        };
        timeout(PATIENCE, waiting).await.expect(what)
    }

    async fn came(&self, count: usize) {
        self.eventually(&format!("{count} requests"), |came| (came.len() >= count).then_some(()))
            .await;
    }

    fn topics(&self, index: usize) -> Vec<String> {
        self.came.lock().unwrap()[index].topics()
    }
}

/// A broker of 4.9.4, which does not know what our nodes ask.
struct Plain;

impl Service for Plain {
    fn on_request(&self, request: Command, responder: Responder) {
        not_supported(&request, responder);
    }
}

/// Puts a name server on a port; returns its address.
fn serve(service: Arc<dyn Service>) -> String {
    let limits = Arc::new(Limits::default());
    let server = Server::bind("127.0.0.1:0".parse().unwrap(), limits).unwrap();
    let address = server.local_addr().to_string();
    let served = server.serve(service, CancellationToken::new());
    task::spawn(task::Kind::Ignore, "name server", served);
    address
}

fn with_master(broker: &str) -> Do {
    let answer = Command::response(0).with_field("haServerAddr", "10.0.0.1:10912");
    Do::Answer(answer.with_field("masterAddr", broker))
}

/// Waits until a slave's master is at this address.
async fn master_is(slave: &TestBroker, expected: Option<&str>) {
    let mut master = slave.broker.master_addresses();
    let is_it = |master: &Option<MasterAddresses>| {
        master.as_ref().map(|master| master.broker.as_str()) == expected
    };
    let waiting = timeout(PATIENCE, master.wait_for(is_it)).await;
    assert!(waiting.is_ok(), "{expected:?} instead of {:?}", slave.broker.master_addresses());
}

/// A broker that registers with `name_servers`.
fn world(name_servers: &[&str]) -> World {
    let world = World::with_name_servers(name_servers.iter().map(|&one| one.to_owned()).collect());
    start(&world.broker, &Handle::current(), &world.stop);
    world
}

fn put(world: &World, topic: &str) {
    let config = TopicConfig::new(TopicName::new(topic), 4);
    world.broker.store.tables().topics.put(config);
    world.broker.registration.changed();
}

async fn soon(what: impl Future<Output = ()>) {
    timeout(PATIENCE, what).await.unwrap();
}

#[tokio::test]
async fn all_topics_are_registered_at_the_start_b020() {
    let (fake, address) = Fake::start();
    let world = world(&[&address]);
    soon(world.broker.registered()).await;
    let came = fake.came.lock().unwrap();
    let header: Result<_, FieldError> = RegisterBroker::parse(&came[0].request);
    let header = header.unwrap();
    let crc = i32::try_from(body_crc(&came[0].request.body)).unwrap();
    let expected = RegisterBroker {
        broker_name: "broker-a".into(),
        broker_addr: "127.0.0.1:10911".into(),
        cluster_name: "C".into(),
        ha_server_addr: "127.0.0.1:10912".into(),
        broker_id: 0,
        compressed: false,
        body_crc32: crc,
    };
    assert_eq!((came[0].request.code, header), (103, expected));
    let topics = &world.broker.store.tables().topics;
    assert_eq!(came[0].topics().len(), topics.count());
    assert_eq!(came[0].counter(), topics.version().counter);
}

#[tokio::test]
async fn a_master_whose_place_is_taken_stores_nothing_more() {
    let holder = Some(serve(Arc::new(Plain)));
    let world = world(&[&serve(Arc::new(Fake { holder, ..Fake::default() }))]);
    let mut standing = world.broker.member.standing();
    let replaced = standing.wait_for(|standing| matches!(standing, Standing::Replaced(_)));
    timeout(PATIENCE, replaced).await.unwrap().unwrap();
    let own = || own_message(&world.broker, ("T", QueueId(0)), String::new(), String::new());
    soon(async {
        let append = async || world.broker.store.append(own(), false).await;
        while !matches!(append().await, Err(AppendError::Stopping)) {}
    })
    .await;
}

#[tokio::test]
async fn without_name_servers_a_broker_runs_unregistered_b028() {
    let world = world(&[]);
    soon(world.broker.registered()).await;
    soon(world.broker.unregister()).await;
}

#[tokio::test]
async fn a_burst_of_new_topics_is_told_together_and_without_the_old_ones() {
    let (fake, address) = Fake::start();
    fake.will(Do::Answer(Command::response(0)));
    fake.will(Do::Keep);
    let world = world(&[&address]);
    soon(world.broker.registered()).await;
    put(&world, "first");
    fake.came(2).await;
    for number in 0..1000 {
        put(&world, &format!("T{number:03}"));
    }
    let responder = fake.kept.lock().unwrap().remove(0);
    responder.send(Command::response(0));
    soon(world.broker.registration.told()).await;
    let came = fake.came.lock().unwrap();
    assert_eq!(came.len(), 3);
    assert_eq!(came[1].topics(), ["first"]);
    assert_eq!(came[2].topics().len(), 1000);
    assert_eq!(came[2].counter(), world.broker.store.tables().topics.version().counter);
}

#[test]
fn what_is_new_or_replaced_has_changed() {
    let topics = |names: &[&str]| -> Vec<_> {
        names.iter().map(|name| Arc::new(TopicConfig::new(TopicName::new(name), 1))).collect()
    };
    let known = topics(&["b", "c", "d", "f", "h"]);
    let mut now = topics(&["a", "d", "e", "i"]);
    now.extend([0, 3, 4].map(|kept| Arc::clone(&known[kept])));
    now.sort_by(|one, other| one.name.cmp(&other.name));
    let changed = changed_topics(&known, &now);
    let names: Vec<_> = changed.iter().map(|topic| topic.name.as_str()).collect();
    assert_eq!(names, ["a", "d", "e", "i"], "`c` is gone");
    assert_eq!(changed_topics(&now, &now), []);
    assert_eq!(changed_topics(&[], &now), now);
}

#[tokio::test]
async fn who_creates_a_topic_finds_it_at_the_name_server_b024() {
    let (fake, address) = Fake::start();
    let world = world(&[&address]);
    soon(world.broker.registered()).await;
    let mut tool = world.peer().await;
    let topic = TopicConfig::new(TopicName::new("T"), 4);
    let answer = tool.answer(create_topic(&topic, "TBW102")).await;
    assert_eq!(answer.code, 0);
    assert_eq!(fake.topics(1), ["T"]);
}

#[tokio::test]
async fn a_name_server_that_is_away_holds_up_nobody_b022() {
    let (fake, address) = Fake::start();
    // Bound, so that nobody else answers there; not listening once it is dropped.
    let away = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().to_string();
    let world = world(&[&away, &address]);
    soon(world.broker.registered()).await;
    put(&world, "T");
    soon(world.broker.registration.told()).await;
    assert_eq!(fake.topics(1), ["T"]);
    soon(world.broker.unregister()).await;
}

#[tokio::test]
async fn a_name_server_that_lost_the_connection_is_told_everything_at_once() {
    let (fake, address) = Fake::start();
    let world = world(&[&address]);
    soon(world.broker.registered()).await;
    fake.came.lock().unwrap()[0].connection.close("the name server restarts");
    fake.came(2).await;
    let came = fake.came.lock().unwrap();
    assert_eq!(came[1].topics(), came[0].topics());
    assert_ne!(came[1].connection, came[0].connection);
}

#[tokio::test]
async fn a_refused_registration_is_tried_again() {
    let (fake, address) = Fake::start();
    fake.will(Do::Answer(Command::response(1).with_remark("crc32 not match")));
    let world = world(&[&address]);
    fake.came(1).await;
    assert!(!*world.broker.registration.registered.borrow());
    soon(world.broker.registered()).await;
    assert_eq!(fake.topics(1), fake.topics(0));
}

#[test]
fn a_name_server_that_stays_away_is_tried_every_few_seconds() {
    let pauses = std::iter::successors(Some(RETRY_AFTER), |pause| Some(longer(*pause)));
    let seconds: Vec<u64> = pauses.take(6).map(|pause| pause.as_secs()).collect();
    assert_eq!(seconds, [1, 2, 4, 5, 5, 5]);
}

#[tokio::test]
async fn after_the_end_nothing_is_registered_b012() {
    let (fake, address) = Fake::start();
    let world = world(&[&address]);
    soon(world.broker.registered()).await;
    fake.will(Do::Keep);
    put(&world, "T");
    fake.came(2).await;
    soon(world.broker.unregister()).await;
    put(&world, "U");
    let came = fake.came.lock().unwrap();
    let request = &came.last().unwrap().request;
    let fields = ["brokerName", "brokerAddr", "clusterName", "brokerId"];
    let fields = fields.map(|key| request.field(key).unwrap());
    assert_eq!((came.len(), request.code), (3, 104));
    assert_eq!(fields, ["broker-a", "127.0.0.1:10911", "C", "0"]);
    assert_eq!(came[0].connection, came[2].connection);
}

#[tokio::test]
async fn the_order_table_of_the_first_name_server_counts_b025() {
    let (fake, address) = Fake::start();
    let (other, other_address) = Fake::start();
    let table = |body: &'static str| Do::Answer(Command::response(0).with_body(body));
    fake.will(table(r#"{"table":{"T":"broker-a:4","unknown":"broker-a:4"}}"#));
    let world = World::with_name_servers(vec![address.clone(), other_address]);
    let topics = &world.broker.store.tables().topics;
    put(&world, "T");
    topics.put(TopicConfig { order: true, ..TopicConfig::new(TopicName::new("U"), 4) });
    let order = |topic: &str| topics.get(topic).unwrap().order;
    start(&world.broker, &Handle::current(), &world.stop);
    fake.eventually("the flags change", |_| (order("T") && !order("U")).then_some(())).await;
    other.came(1).await;
    other.will(table(r#"{"table":{}}"#));
    put(&world, "V");
    soon(world.broker.registration.told()).await;
    assert!(order("T"));
}

#[tokio::test]
async fn routes_of_our_name_server_come_and_go_with_the_broker_n080_b012() {
    let dir = tempfile::tempdir().unwrap();
    let options = NameServerOptions {
        kv_config_file: dir.path().join("kvConfig.json"),
        port: 0,
        acl: None,
        limits: Arc::default(),
    };
    let name_server = NameServer::open(options, &Clock::system()).unwrap();
    let address = serve(Arc::new(NameServerService(name_server)));
    let world = world(&[&address]);
    soon(world.broker.registered()).await;
    let mut tool = world.peer().await;
    let client = Client::new(None);
    for number in 0..20 {
        let topic = format!("T{number}");
        let config = TopicConfig::new(TopicName::new(&topic), 4);
        assert_eq!(tool.answer(create_topic(&config, "TBW102")).await.code, 0);
        assert_eq!(route_code(&client, &address, &topic).await, response::SUCCESS, "{topic}");
    }
    soon(world.broker.unregister()).await;
    assert_eq!(route_code(&client, &address, "T0").await, response::TOPIC_NOT_EXIST);
}

#[tokio::test]
async fn a_slave_registers_as_one_and_learns_where_its_master_is_n051_h060() {
    let (fake, address) = Fake::start();
    fake.will(with_master("10.0.0.1:10911"));
    let slave = TestBroker::slave(vec![address]);
    slave.start();
    master_is(&slave, Some("10.0.0.1:10911")).await;
    let known = slave.broker.master_addresses().borrow().clone();
    assert_eq!(known.unwrap().ha, "10.0.0.1:10912");
    assert_eq!(fake.came.lock().unwrap()[0].request.field("brokerId"), Some("1"));
    // Then without a master, and with itself as one.
    for answer in [Do::Answer(Command::response(0)), with_master("127.0.0.1:10921")] {
        fake.will(answer);
        slave.broker.store.tables().topics.put(TopicConfig::new(TopicName::new("T"), 4));
        slave.broker.registration.changed();
        soon(slave.broker.registration.told()).await;
        master_is(&slave, None).await;
    }
    soon(slave.broker.unregister()).await;
    let came = fake.came.lock().unwrap();
    let last = &came.last().unwrap().request;
    assert_eq!((last.code, last.field("brokerId")), (104, Some("1")));
}

#[tokio::test]
async fn a_slave_without_a_master_asks_more_often() {
    let (fake, address) = Fake::start();
    let slave = TestBroker::slave(vec![address]);
    slave.start();
    soon(slave.broker.registered()).await;
    fake.will(with_master("10.0.0.1:10911"));
    tokio::time::pause();
    tokio::time::advance(PERIOD_WITHOUT_MASTER).await;
    tokio::time::resume();
    master_is(&slave, Some("10.0.0.1:10911")).await;
}

#[tokio::test]
async fn the_master_of_the_first_name_server_that_knows_one_counts() {
    let (first, first_address) = Fake::start();
    let (second, second_address) = Fake::start();
    second.will(with_master("10.0.0.2:10911"));
    let slave = TestBroker::slave(vec![first_address, second_address]);
    slave.start();
    master_is(&slave, Some("10.0.0.2:10911")).await;
    first.came(1).await;
    first.will(with_master("10.0.0.1:10911"));
    slave.broker.store.tables().topics.put(TopicConfig::new(TopicName::new("T"), 4));
    slave.broker.registration.changed();
    master_is(&slave, Some("10.0.0.1:10911")).await;
    // What a name server said that is gone counts no more.
    second.will(with_master("10.0.0.2:10911"));
    first.will(Do::Answer(Command::response(1)));
    slave.broker.store.tables().topics.put(TopicConfig::new(TopicName::new("U"), 4));
    slave.broker.registration.changed();
    master_is(&slave, Some("10.0.0.2:10911")).await;
}

#[tokio::test]
async fn while_no_name_server_answers_the_master_stays_where_it_was() {
    let (fake, address) = Fake::start();
    fake.will(with_master("10.0.0.1:10911"));
    let slave = TestBroker::slave(vec![address]);
    slave.start();
    master_is(&slave, Some("10.0.0.1:10911")).await;
    fake.will(Do::Answer(Command::response(1)));
    fake.will(Do::Keep);
    slave.broker.store.tables().topics.put(TopicConfig::new(TopicName::new("T"), 4));
    slave.broker.registration.changed();
    let link = &slave.broker.registration.links[0];
    let mut told = link.told.subscribe();
    soon(async { drop(told.wait_for(|told| *told == Told::Unreachable).await) }).await;
    master_is(&slave, Some("10.0.0.1:10911")).await;
}

async fn route_code(client: &Client, name_server: &str, topic: &str) -> i32 {
    let request = Command::request(request::GET_ROUTEINFO_BY_TOPIC).with_field("topic", topic);
    client.call(name_server, request, PATIENCE).await.unwrap().code
}
