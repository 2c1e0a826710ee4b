//! What the tests of this module share: a broker on a port, over a store in a temporary folder.

use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use super::{Broker, BrokerOptions, BrokerService, TransactionOptions};
use crate::acl::{Acl, AclOptions};
use crate::clock::Clock;
use crate::config::AutoCreate;
use crate::message::{NewMessage, Record};
use crate::metrics::{Limit, Metrics};
use crate::model::{BrokerId, QueueId};
use crate::remoting::headers::SendHeader;
use crate::remoting::{Command, json, request};
use crate::replication::{Member, Past};
use crate::store::{All, PullRequest, StartTopics, Store, StoreOptions};
use crate::transport::{Client, Credentials, LimitNumbers, Limits, Server, Signer};

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Options of a small store of `broker-a` in a folder.
pub(super) fn store_options(dir: &Path) -> StoreOptions {
    StoreOptions {
        segment_bytes: 1 << 20,
        allocate_ahead_bytes: 16 << 10,
        ..StoreOptions::new(dir.join("broker-a"))
    }
}

/// Options of `broker-a`, a master on the default ports.
pub(super) fn options_of(cluster: &str) -> BrokerOptions {
    BrokerOptions {
        cluster: cluster.into(),
        group: "broker-a".into(),
        id: BrokerId(0),
        address: "127.0.0.1:10911".parse().unwrap(),
        ha_address: "127.0.0.1:10912".parse().unwrap(),
        name_servers: Vec::new(),
        auto_create: AutoCreate::default(),
        reads_from_slaves: false,
        transactions: TransactionOptions::default(),
        acl: None,
        credentials: Credentials::default(),
        limits: Arc::default(),
        overrides: Arc::default(),
    }
}

/// The same options with accounts, of which `node-account` is the broker's own.
pub(super) fn with_accounts(
    dir: &Path,
    text: &str,
    clock: &Clock,
    options: BrokerOptions,
) -> BrokerOptions {
    let file = dir.join("acl/plain_acl.yml");
    std::fs::create_dir_all(dir.join("acl")).unwrap();
    std::fs::write(&file, text).unwrap();
    let folder = dir.join("etc");
    let acl_options = AclOptions { folder, file, node_account: "node-account".into() };
    let acl = Acl::open(&acl_options, clock, &Arc::default()).unwrap();
    let signing = Arc::clone(&acl);
    let signer = Signer::new(move |request| signing.sign(request));
    let credentials = Credentials { signer, ..Credentials::default() };
    BrokerOptions { acl: Some(acl), credentials, ..options }
}

/// A broker over its store; without ports, and with nothing running beside requests.
pub(super) fn open(store: StoreOptions, options: BrokerOptions, clock: &Clock) -> Arc<Broker> {
    let start_topics = StartTopics::new(&options.cluster, &options.group);
    let store = Store::open(store, &start_topics, clock, &|_, _| {}).unwrap();
    let past = Past::open(&store.options().dir, store.log_range().1.0).unwrap();
    let member = Member::new(Broker::member_options(&options), store, past);
    Broker::new(options, member, clock, Arc::new(Metrics::default()))
}

/// A broker that answers.
pub(super) struct TestBroker {
    pub clock: Clock,
    pub broker: Arc<Broker>,
    store_options: StoreOptions,
    options: BrokerOptions,
    pub address: String,
    client: Client,
    stop: CancellationToken,
    dir: tempfile::TempDir,
}

/// Sets limits of a broker that runs.
pub(super) fn limit(broker: &Broker, change: impl FnOnce(&mut LimitNumbers)) {
    let limits = broker.limits();
    let mut numbers = LimitNumbers::clone(&limits.numbers());
    change(&mut numbers);
    limits.set_numbers(numbers);
}

/// How often a broker's limits kept something from a peer.
pub(super) fn times_reached(broker: &Broker, limit: Limit) -> u64 {
    let reached = broker.limits().times_reached();
    reached.iter().find(|(one, _)| *one == limit).map_or(0, |(_, times)| *times)
}

impl TestBroker {
    /// A new one, with nothing running beside the requests.
    pub fn new() -> Self {
        Self::with(|_| {})
    }

    /// The same with other options of its store.
    pub fn with(change: impl FnOnce(&mut StoreOptions)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut options = store_options(dir.path());
        change(&mut options);
        Self::open(dir, options, options_of("DefaultCluster"), Clock::system())
    }

    /// A new master that registers with `name_servers`.
    pub fn master(name_servers: Vec<String>) -> Self {
        Self::named("broker-a", name_servers)
    }

    /// The same of another group.
    pub fn named(group: &str, name_servers: Vec<String>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store_options = store_options(dir.path());
        let group = group.to_owned();
        let options = BrokerOptions { name_servers, group, ..options_of("DefaultCluster") };
        Self::open(dir, store_options, options, Clock::system())
    }

    /// A new one that gives transactions up after so many checks.
    pub fn giving_up_after(checks_max: i32) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store_options = store_options(dir.path());
        let transactions = TransactionOptions { checks_max, ..TransactionOptions::default() };
        let options = BrokerOptions { transactions, ..options_of("DefaultCluster") };
        Self::open(dir, store_options, options, Clock::system())
    }

    /// A new master with accounts, as `plain_acl.yml` describes them.
    pub fn with_accounts(text: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store_options = store_options(dir.path());
        let clock = Clock::system();
        let options = with_accounts(dir.path(), text, &clock, options_of("DefaultCluster"));
        Self::open(dir, store_options, options, clock)
    }

    /// A new slave that registers with `name_servers`.
    pub fn slave(name_servers: Vec<String>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store_options = store_options(dir.path());
        let options = BrokerOptions { name_servers, ..slave_options() };
        Self::open(dir, store_options, options, Clock::system())
    }

    fn open(
        dir: tempfile::TempDir,
        store_options: StoreOptions,
        options: BrokerOptions,
        clock: Clock,
    ) -> Self {
        let broker = open(store_options.clone(), options.clone(), &clock);
        let server = Server::bind("127.0.0.1:0".parse().unwrap(), Arc::new(Limits::default()));
        let server = server.unwrap();
        let address = server.local_addr().to_string();
        let stop = CancellationToken::new();
        let service = Arc::new(BrokerService(Arc::clone(&broker)));
        let served = server.serve(service, stop.clone());
        crate::task::spawn(crate::task::Kind::Ignore, "broker", served);
        let client = Client::new(None);
        Self { clock, broker, store_options, options, address, client, stop, dir }
    }

    /// Starts what runs beside the requests.
    pub fn start(&self) {
        self.broker.start(&Handle::current(), &Handle::current(), &self.stop);
    }

    /// Stops and comes again over the same store.
    pub async fn restarted(self) -> Self {
        let options = self.options.clone();
        self.restarted_as(options).await
    }

    /// Stops and comes again as a slave.
    pub async fn restarted_as_slave(self) -> Self {
        self.restarted_as(slave_options()).await
    }

    async fn restarted_as(self, options: BrokerOptions) -> Self {
        self.stop.cancel();
        self.broker.finish();
        self.broker.store.stop();
        let Self { dir, store_options, clock, broker, .. } = self;
        let store = Arc::downgrade(&broker.store);
        drop(broker);
        eventually("the end of all tasks", || store.strong_count() == 0).await;
        Self::open(dir, store_options, options, clock)
    }

    /// Sends a request and waits for its answer.
    pub async fn call(&self, request: Command) -> Command {
        self.client.call(&self.address, request, PATIENCE).await.unwrap()
    }

    /// Sends a request and says the answer's code and remark.
    pub async fn refused(&self, request: Command) -> (i32, String) {
        let answer = self.call(request).await;
        (answer.code, answer.remark.unwrap_or_default())
    }

    /// Stores a message in queue 0 without asking the broker.
    pub async fn store(&self, topic: &str, body: &str) {
        self.store_with(topic, body, "").await;
    }

    /// The same with properties.
    pub async fn store_with(&self, topic: &str, body: &str, properties: &str) {
        let message = NewMessage {
            born_timestamp: 0,
            born_host: self.options.address,
            store_host: self.options.address,
            properties: properties.to_owned(),
            ..NewMessage::plain(topic, 0, body.to_owned())
        };
        self.broker.store.append(message, false).await.unwrap();
    }

    /// Sends one message to queue 0.
    pub async fn send(&self, topic: &str, properties: &str, body: &str) -> Command {
        let header = SendHeader { topic, properties, ..header() };
        let body = Bytes::copy_from_slice(body.as_bytes());
        self.call(header.to_request(request::SEND_MESSAGE_V2).with_body(body)).await
    }

    /// What 315 says was counted of an item in a span of time.
    pub async fn counted(&self, name: &'static str, key: &'static str, span: &str) -> i64 {
        let request = Command::request(request::VIEW_BROKER_STATS_DATA);
        let request = request.with_field("statsName", name).with_field("statsKey", key);
        let answer = self.call(request).await;
        assert_eq!(answer.code, 0, "{name} {key}");
        json::parse(&answer.body).unwrap().get(span).number("sum").unwrap().unwrap()
    }

    /// All records of a queue.
    pub fn records(&self, topic: &str, queue: u32) -> Vec<Bytes> {
        let (mut offset, mut all) = (0, Vec::new());
        loop {
            let queue_id = QueueId(queue);
            let request = PullRequest { topic, queue_id, offset, count_max: 32, filter: &All };
            let pulled = self.broker.store.pull(&request, true).unwrap();
            let mut rest = pulled.body.clone();
            for _ in 0..pulled.count {
                let bytes = Record::parse(&rest).unwrap().bytes().len();
                all.push(rest.split_to(bytes));
            }
            if pulled.next_offset.to_wire() <= offset {
                return all;
            }
            offset = pulled.next_offset.to_wire();
        }
    }

    /// Damages a stored record, where its magic is.
    pub fn damage(&self, record: &[u8]) {
        let at = Record::parse(record).unwrap().physical_offset().0;
        assert!(at < self.store_options.segment_bytes, "the first segment");
        let log = std::fs::OpenOptions::new().write(true).open(self.first_segment()).unwrap();
        log.write_all_at(&[!record[4]], at + 4).unwrap();
    }

    /// Lets whoever reads the log's first segment fail, until what is returned is written to its file.
    pub fn lose_first_segment(&self) -> Vec<u8> {
        let path = self.first_segment();
        let log = std::fs::read(&path).unwrap();
        // Reading fails at the end of a file that is too short.
        std::fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(0).unwrap();
        log
    }

    /// The file that the log begins with.
    pub fn first_segment(&self) -> std::path::PathBuf {
        self.store_options.dir.join("commitlog").join(format!("{:020}", 0))
    }

    /// The only record of a queue, its properties separated by blanks.
    pub fn only_properties(&self, topic: &str, queue: u32) -> String {
        let records = self.records(topic, queue);
        assert_eq!(records.len(), 1, "records of {topic}");
        readable(Record::parse(&records[0]).unwrap().properties())
    }
}

fn slave_options() -> BrokerOptions {
    BrokerOptions {
        id: BrokerId(1),
        address: "127.0.0.1:10921".parse().unwrap(),
        ha_address: "127.0.0.1:10922".parse().unwrap(),
        ..options_of("DefaultCluster")
    }
}

/// A properties text as tests can read it.
pub(super) fn readable(properties: &str) -> String {
    properties.replace('\u{1}', "=").replace('\u{2}', " ")
}

/// The opposite of [`readable`].
pub(super) fn properties(readable: &str) -> String {
    readable.replace('=', "\u{1}").replace(' ', "\u{2}")
}

/// A usual send, to topic `T`.
pub(super) fn header() -> SendHeader<'static> {
    SendHeader {
        producer_group: "P",
        topic: "T",
        default_topic: "TBW102",
        default_topic_queue_nums: 4,
        born_timestamp: 1_650_000_000_000,
        ..SendHeader::default()
    }
}

/// Waits until something is so.
pub(super) async fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let waiting = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, waiting).await.is_ok(), "{what}");
}
