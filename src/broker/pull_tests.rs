//! Pulls and long polling over real sockets of 127.0.0.1; the broker that these and other tests ask.

use std::time::Duration;

use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::broker::{BrokerOptions, BrokerService, tests_support};
use crate::clock::Clock;
use crate::message::Record;
use crate::model::{BrokerId, GroupName, TopicConfig};
use crate::remoting::{ExtFields, SerializeType, request};
use crate::store::{Appended, StoreOptions};
use crate::transport::{Client, Limits, Server, Service};

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// A wait that no test sits out.
const LONG_MS: i64 = 3_600_000;
const TOPIC: &str = "T";

/// A broker on a port, with a topic `T` of two queues.
pub(in crate::broker) struct World {
    pub broker: Arc<Broker>,
    pub clock: Clock,
    pub stop: CancellationToken,
    address: String,
    client: Client,
    limits: Arc<Limits>,
    _dir: tempfile::TempDir,
}

impl World {
    pub fn new() -> Self {
        Self::with_options(|_| {})
    }

    pub fn with_options(change: impl FnOnce(&mut StoreOptions)) -> Self {
        let world = Self::with_id(0, change);
        world.start();
        world
    }

    /// Without what runs beside the requests.
    fn with_id(id: u32, change: impl FnOnce(&mut StoreOptions)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut options = tests_support::store_options(dir.path());
        change(&mut options);
        let clock = Clock::system();
        let broker_options = BrokerOptions { id: BrokerId(id), ..tests_support::options_of("C") };
        let broker = tests_support::open(options, broker_options, &clock);
        broker.store.tables().topics.put(TopicConfig::new(TopicName::new(TOPIC), 2));
        let service = Arc::new(BrokerService(Arc::clone(&broker)));
        let mut world = Self {
            broker,
            clock,
            stop: CancellationToken::new(),
            address: String::new(),
            client: Client::new(None),
            limits: Arc::new(Limits::default()),
            _dir: dir,
        };
        world.serve(service);
        world
    }

    /// Opens a port, which is asked from now on. It outlives the broker's own tasks, as in the node.
    fn serve(&mut self, service: Arc<dyn Service>) {
        let limits = Arc::clone(&self.limits);
        let server = Server::bind("127.0.0.1:0".parse().unwrap(), limits).unwrap();
        self.address = server.local_addr().to_string();
        let served = server.serve(service, CancellationToken::new());
        task::spawn(task::Kind::Ignore, "server", served);
    }

    fn start(&self) {
        self.broker.start(&Handle::current(), &Handle::current(), &self.stop);
    }

    /// Stores a message in queue 0 of `T`.
    pub async fn store(&self, tag: &str, keys: &str) -> Appended {
        let mut texts = Properties::default();
        texts.set(properties::TAGS, tag);
        texts.set(properties::KEYS, keys);
        let message = NewMessage {
            store_host: self.broker.options.address,
            properties: texts.to_string(),
            ..NewMessage::plain(TOPIC, 0, "hello")
        };
        self.broker.store.append(message, false).await.unwrap().0
    }

    pub async fn call(&self, request: Command) -> Command {
        self.client.call(&self.address, request, PATIENCE).await.unwrap()
    }

    /// Sends a pull, waits until it is parked, and returns what will be its answer.
    pub async fn wait(&self, header: PullHeader<'_>) -> impl Future<Output = Command> + use<> {
        self.wait_as(&self.client, header).await
    }

    /// The same as another client.
    pub async fn wait_as(
        &self,
        client: &Client,
        header: PullHeader<'_>,
    ) -> impl Future<Output = Command> + use<> {
        let connection = client.connection(&self.address).await.unwrap();
        let request = Command { serialize_type: SerializeType::RocketMq, ..header.to_request() };
        let before = self.broker.long_polling.count();
        let (sender, receiver) = tokio::sync::oneshot::channel();
        task::spawn(task::Kind::Ignore, "pull", async move {
            if let Ok(answer) = connection.call(request, PATIENCE).await {
                sender.send(answer).unwrap();
            }
        });
        self.parked(before + 1).await;
        async { receiver.await.unwrap() }
    }

    /// Waits until so many pulls wait.
    pub async fn parked(&self, count: usize) {
        let waiting = async {
            while self.broker.long_polling.count() != count {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, waiting).await.unwrap();
    }

    fn position(&self) -> Option<i64> {
        self.broker.store.tables().consumer_offsets.query(TOPIC, "G", QueueId(0))
    }

    /// The only record in the topic of moved offsets.
    fn moved(&self) -> Vec<u8> {
        let all = Subscription::parse(system::OFFSET_MOVED_TOPIC, "*", None, 0).unwrap();
        let request = PullRequest {
            topic: system::OFFSET_MOVED_TOPIC,
            queue_id: QueueId(0),
            offset: 0,
            count_max: 32,
            filter: &all,
        };
        let pulled = self.broker.store.pull(&request, true).unwrap();
        assert_eq!(pulled.count, 1);
        pulled.body.to_vec()
    }
}

/// A pull of everything in queue 0 of `T`.
pub(in crate::broker) fn pull() -> PullHeader<'static> {
    PullHeader {
        consumer_group: "G",
        topic: TOPIC,
        max_msg_nums: 32,
        sys_flag: pull_flag::SUBSCRIPTION,
        subscription: Some("*"),
        ..PullHeader::default()
    }
}

/// The same, which may wait.
pub(in crate::broker) fn waiting_pull() -> PullHeader<'static> {
    let sys_flag = pull_flag::SUBSCRIPTION | pull_flag::SUSPEND;
    PullHeader { sys_flag, suspend_timeout_ms: LONG_MS, ..pull() }
}

/// Code, remark, next, min and max offset, and suggested broker.
pub(in crate::broker) fn summary(answer: &Command) -> (i32, &str, [i64; 4]) {
    let fields = PullResponse::parse(answer).unwrap();
    let PullResponse { suggest_which_broker_id, next_begin_offset, min_offset, max_offset } =
        fields;
    let remark = answer.remark.as_deref().unwrap_or_default();
    (answer.code, remark, [next_begin_offset, min_offset, max_offset, suggest_which_broker_id])
}

#[tokio::test]
async fn messages_are_given_out_as_they_are_stored_b160() {
    let world = World::new();
    let first = world.store("a", "k").await;
    world.store("b", "k").await;
    let answer = world.call(pull().to_request()).await;
    assert_eq!(summary(&answer), (0, "FOUND", [2, 0, 2, 0]));
    let record = Record::parse(&answer.body).unwrap();
    assert_eq!(record.physical_offset(), first.physical_offset);
    let stored = world.broker.store.record_at(first.physical_offset).unwrap();
    assert_eq!(stored.as_deref(), Some(record.bytes()));
    assert_eq!(answer.body.len(), 2 * record.bytes().len());
    assert_eq!(world.broker.metrics.messages_out.get(), 2);
    let binary = Command { serialize_type: SerializeType::RocketMq, ..pull().to_request() };
    let answer = world.call(binary).await;
    let keys: Vec<_> = answer.fields.iter().flat_map(ExtFields::iter).map(|(key, _)| key).collect();
    assert_eq!(keys[2..], ["minOffset", "maxOffset"], "as 4.9.4 declares them");
    // At least one message is given out, whatever number is asked for (B-173).
    for max_msg_nums in [1, 0, -1] {
        let answer = world.call(PullHeader { max_msg_nums, ..pull() }.to_request()).await;
        assert_eq!(summary(&answer), (0, "FOUND", [1, 0, 2, 0]));
        assert_eq!(answer.body, record.bytes());
    }
}

#[tokio::test]
async fn each_end_of_a_read_has_its_code_b170() {
    let world = World::new();
    world.store("a", "k").await;
    let empty = PullHeader { queue_id: 1, ..pull() };
    let cases = [
        (PullHeader { queue_offset: 1, ..pull() }, (19, "OFFSET_OVERFLOW_ONE", [1, 0, 1, 0])),
        (empty, (19, "NO_MESSAGE_IN_QUEUE", [0, 0, 0, 0])),
        (
            PullHeader { subscription: Some("b||c"), ..pull() },
            (20, "NO_MATCHED_MESSAGE", [1, 0, 1, 0]),
        ),
        (PullHeader { queue_offset: 5, ..empty }, (21, "NO_MESSAGE_IN_QUEUE", [0, 0, 0, 0])),
        (PullHeader { queue_offset: 2, ..pull() }, (21, "OFFSET_OVERFLOW_BADLY", [1, 0, 1, 0])),
        (PullHeader { queue_offset: -1, ..pull() }, (21, "OFFSET_TOO_SMALL", [0, 0, 1, 0])),
    ];
    for (header, expected) in cases {
        let answer = world.call(header.to_request()).await;
        assert_eq!(summary(&answer), expected, "{header:?}");
        assert!(answer.body.is_empty());
    }
}

#[tokio::test]
async fn a_moved_offset_is_noted_b171() {
    let world = World::new();
    world.store("a", "k").await;
    world.call(PullHeader { queue_offset: 7, ..pull() }.to_request()).await;
    let bytes = world.moved();
    let record = Record::parse(&bytes).unwrap();
    assert_eq!(record.properties(), "KEYS\u{1}G\u{2}DELAY\u{1}0\u{2}TAGS\u{1}G");
    let body = r#"{"consumerGroup":"G","messageQueue":{"brokerName":"broker-a","queueId":0,"topic":"T"},"offsetNew":1,"offsetRequest":7}"#;
    assert_eq!(record.body(), body.as_bytes());
}

#[tokio::test]
async fn a_slave_leaves_offsets_as_they_are_b172() {
    let world = World::with_id(1, |_| {});
    world.store("a", "k").await;
    let sys_flag = pull_flag::SUBSCRIPTION | pull_flag::COMMIT_OFFSET;
    let header = PullHeader { queue_offset: 7, sys_flag, commit_offset: 1, ..pull() };
    let answer = world.call(header.to_request()).await;
    assert_eq!(summary(&answer), (20, "OFFSET_OVERFLOW_BADLY", [7, 0, 1, 0]));
    assert_eq!(world.position(), None, "only a master commits (B-180)");
    let answer = world.call(PullHeader { sys_flag, ..pull() }.to_request()).await;
    assert_eq!(summary(&answer), (0, "FOUND", [1, 0, 1, 0]), "B-191");
}

#[tokio::test]
async fn who_is_far_behind_is_sent_to_a_slave_where_slaves_are_read_from_b190() {
    for id in [0, 1] {
        let world = World::with_id(id, |options| options.in_memory_bytes = 1000);
        for _ in 0..40 {
            world.store("a", "k").await;
        }
        let suggested = async |header: PullHeader<'_>| {
            let answer = world.call(header.to_request()).await;
            (answer.code, summary(&answer).2[3])
        };
        let switch = async |text: &'static str| {
            let request = Command::request(request::UPDATE_BROKER_CONFIG).with_body(text);
            assert_eq!(world.call(request).await.code, 0);
        };
        let near = PullHeader { queue_offset: 39, ..pull() };
        // It looks at all of them, and so it is near again.
        let none = PullHeader { subscription: Some("b"), ..pull() };
        let end = PullHeader { queue_offset: 40, ..pull() };
        let asked = [pull(), near, none, end];
        assert_eq!(suggested(pull()).await, (0, 0), "off");
        switch("slaveReadEnable=true").await;
        for (header, expected) in asked.into_iter().zip([(0, 1), (0, 0), (20, 0), (19, 0)]) {
            assert_eq!(suggested(header).await, expected, "{header:?}");
        }
        world.broker.store.tables().groups.put(SubscriptionGroupConfig {
            broker_id: 2,
            which_broker_when_consume_slowly: 3,
            ..SubscriptionGroupConfig::new(GroupName::new("G"))
        });
        for (header, expected) in asked.into_iter().zip([(0, 3), (0, 2), (20, 2), (19, 2)]) {
            assert_eq!(suggested(header).await, expected, "{header:?}");
        }
        switch("slaveReadEnable=false").await;
        for header in asked {
            assert_eq!(suggested(header).await.1, 0, "off again: {header:?}");
        }
    }
}

#[tokio::test]
async fn checks_come_in_the_order_of_b162_and_b163() {
    const FAQ: &str = "\nSee http://rocketmq.apache.org/docs/faq/ for further details.";
    let world = World::new();
    let tables = world.broker.store.tables();
    let closed = TopicName::new("closed");
    let permission = Permission::WRITE;
    tables.topics.put(TopicConfig { permission, ..TopicConfig::new(closed, 1) });
    let disabled = GroupName::new("disabled");
    let config = SubscriptionGroupConfig::new(disabled);
    tables.groups.put(SubscriptionGroupConfig { consume_enable: false, ..config });
    let plain = PullHeader { sys_flag: 0, ..pull() };
    let cases = [
        (
            PullHeader { consumer_group: "disabled", topic: "none", ..pull() },
            16,
            "subscription group no permission, disabled".to_owned(),
        ),
        (
            PullHeader { topic: "none", queue_id: 9, ..pull() },
            17,
            format!("topic[none] not exist, apply first please! {FAQ}"),
        ),
        (
            PullHeader { topic: "closed", queue_id: 9, ..pull() },
            16,
            "the topic[closed] pulling message is forbidden".to_owned(),
        ),
        (
            PullHeader { subscription: Some("||"), ..pull() },
            23,
            "parse the consumer's subscription failed".to_owned(),
        ),
        (plain, 24, format!("the consumer's group info not exist{FAQ}")),
        (
            PullHeader { expression_type: Some("SQL92"), subscription: Some("a >"), ..pull() },
            23,
            "parse the consumer's subscription failed: SQL92, character 4: the end where a property, a value or a \
             condition should be"
                .to_owned(),
        ),
        (
            PullHeader { expression_type: Some("CLASS"), subscription: Some("a > 1"), ..pull() },
            1,
            "The broker does not support consumer to filter message by CLASS".to_owned(),
        ),
    ];
    for (header, code, remark) in cases {
        let answer = world.call(header.to_request()).await;
        assert_eq!((answer.code, answer.remark), (code, Some(remark)), "{header:?}");
        assert!(answer.fields.is_some_and(|fields| fields.is_empty()), "`extFields` is there");
    }
    for queue_id in [-1, 2] {
        let answer = world.call(PullHeader { queue_id, subscription: None, ..pull() }.to_request());
        let answer = answer.await;
        let remark = answer.remark.unwrap();
        let expected = format!(
            "queueId[{queue_id}] is illegal, topic:[T] topicConfig.readQueueNums:[2] consumer:[/127.0.0.1:"
        );
        assert!(answer.code == 1 && remark.starts_with(&expected), "{remark}");
    }
    assert_eq!(tables.groups.get("G").map(|group| group.retry_queue_nums), Some(1), "B-072");
    let mut request = pull().to_request();
    request.set_field("queueOffset", "x");
    let answer = world.call(request).await;
    assert_eq!((answer.code, answer.fields), (1, None), "S-09");
    assert!(answer.remark.unwrap().contains("queueOffset"));
}

#[tokio::test]
async fn a_position_is_committed_whatever_was_found_b180() {
    let world = World::new();
    world.store("a", "k").await;
    let sys_flag = pull_flag::SUBSCRIPTION | pull_flag::COMMIT_OFFSET;
    world.call(PullHeader { commit_offset: 5, ..pull() }.to_request()).await;
    assert_eq!(world.position(), None);
    let header = PullHeader { commit_offset: 5, sys_flag, queue_offset: 9, ..pull() };
    assert_eq!(world.call(header.to_request()).await.code, 21);
    assert_eq!(world.position(), Some(5));
    world.call(PullHeader { commit_offset: 2, sys_flag, ..pull() }.to_request()).await;
    assert_eq!(world.position(), Some(2), "backwards too");
    let illegal = PullHeader { commit_offset: 8, sys_flag, queue_id: 2, ..pull() };
    world.call(illegal.to_request()).await;
    assert_eq!(world.position(), Some(2));
}

#[tokio::test]
async fn a_waiting_pull_is_answered_in_json_when_a_message_arrives_b202() {
    let world = World::new();
    let sys_flag = waiting_pull().sys_flag | pull_flag::COMMIT_OFFSET;
    let answer = world.wait(PullHeader { sys_flag, commit_offset: 3, ..waiting_pull() }).await;
    assert_eq!(world.position(), Some(3), "committed before it waits");
    assert_eq!(world.limits.in_flight(), 0, "a waiting pull is not in flight");
    world.store("a", "k").await;
    let answer = answer.await;
    assert_eq!(summary(&answer), (0, "FOUND", [1, 0, 1, 0]));
    assert_eq!(answer.serialize_type, SerializeType::Json);
    world.parked(0).await;
    assert_eq!(world.limits.in_flight(), 0);
}

#[tokio::test]
async fn only_a_matching_message_of_the_queue_wakes_a_pull() {
    let world = World::new();
    let other = world.wait(PullHeader { queue_id: 1, ..waiting_pull() }).await;
    let answer = world.wait(PullHeader { subscription: Some("b"), ..waiting_pull() }).await;
    let any = world.wait(waiting_pull()).await;
    world.store("a", "k").await;
    assert_eq!(summary(&any.await), (0, "FOUND", [1, 0, 1, 0]));
    world.parked(2).await;
    world.store("b", "k").await;
    let answer = answer.await;
    assert_eq!(summary(&answer), (0, "FOUND", [2, 0, 2, 0]));
    let record = Record::parse(&answer.body).unwrap();
    assert_eq!(record.queue_offset(), QueueOffset(1));
    world.stop.cancel();
    assert_eq!(summary(&other.await).0, 19);
}

#[tokio::test]
async fn a_pull_that_matches_nothing_does_not_fall_behind_without_end() {
    let world = World::new();
    let answer = world.wait(PullHeader { subscription: Some("b"), ..waiting_pull() }).await;
    for _ in 0..=800 {
        world.store("a", "k").await;
    }
    assert_eq!(summary(&answer.await), (20, "NO_MATCHED_MESSAGE", [800, 0, 801, 0]));
}

#[tokio::test]
async fn a_pull_waits_no_longer_than_it_says_s21() {
    let world = World::new();
    world.store("a", "k").await;
    let long = world.wait(PullHeader { queue_offset: 1, ..waiting_pull() }).await;
    let short = PullHeader { queue_offset: 1, suspend_timeout_ms: 1, ..waiting_pull() };
    let request = Command { serialize_type: SerializeType::RocketMq, ..short.to_request() };
    let answer = world.call(request).await;
    assert_eq!(summary(&answer), (19, "OFFSET_OVERFLOW_ONE", [1, 0, 1, 0]));
    assert_eq!(answer.serialize_type, SerializeType::Json);
    let negative = PullHeader { suspend_timeout_ms: -1, ..short };
    assert_eq!(world.call(negative.to_request()).await.code, 19);
    world.parked(1).await;
    world.stop.cancel();
    assert_eq!(summary(&long.await), (19, "OFFSET_OVERFLOW_ONE", [1, 0, 1, 0]));
}

#[tokio::test]
async fn waiting_pulls_of_a_closed_connection_are_dropped() {
    let world = World::new();
    drop(world.wait(waiting_pull()).await);
    drop(world.wait(PullHeader { queue_id: 1, ..waiting_pull() }).await);
    world.client.connection(&world.address).await.unwrap().close("test");
    world.parked(0).await;
}

#[tokio::test]
async fn no_pull_waits_before_the_start_or_after_the_end() {
    let world = World::with_id(0, |_| {});
    let refused = (2, Some("no more pulls can wait now: the broker starts or stops"));
    let answer = world.call(waiting_pull().to_request()).await;
    assert_eq!((answer.code, answer.remark.as_deref()), refused);
    world.start();
    let waiting = world.wait(waiting_pull()).await;
    world.stop.cancel();
    assert_eq!(waiting.await.code, 19);
    let answer = world.call(waiting_pull().to_request()).await;
    assert_eq!((answer.code, answer.remark.as_deref()), refused);
}

/// Parks each pull as if the queue had been empty when it was read.
struct TooLate(Arc<Broker>);

impl Service for TooLate {
    fn on_request(&self, request: Command, responder: Responder) {
        let subscription = Arc::new(Subscription::parse(TOPIC, "*", None, 0).unwrap());
        let wish = Wish {
            topic: subscription.topic.clone(),
            queue_id: QueueId(0),
            offset: 0,
            wanted: Wanted::Own(subscription),
            timeout_ms: LONG_MS,
        };
        self.0.long_polling.park(&self.0, Pull { request, responder, pass: Pass::First }, wish);
    }
}

#[tokio::test]
async fn a_message_that_arrives_between_the_read_and_the_parking_is_seen() {
    let mut world = World::new();
    world.store("a", "k").await;
    world.serve(Arc::new(TooLate(Arc::clone(&world.broker))));
    let answer = world.call(waiting_pull().to_request()).await;
    assert_eq!(summary(&answer), (0, "FOUND", [1, 0, 1, 0]));
    world.parked(0).await;
}
