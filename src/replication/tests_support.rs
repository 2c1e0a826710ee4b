//! Stores, messages and peers for the tests of this folder.

use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::history::{Epoch, EpochNumber};
use super::past::Role;
use super::{CopyState, MasterAddresses, Member, MemberOptions, Past, Receiver, Sender};
use crate::clock::Clock;
use crate::message::{NewMessage, Record, encode, stamp};
use crate::model::{BrokerId, PhysicalOffset, QueueId, QueueOffset};
use crate::remoting::bodies::extension::{self, Hello};
use crate::remoting::{Command, request, response};
use crate::store::fault_disk::{FaultDisk, Views};
use crate::store::options::StoreRole;
use crate::store::{All, Appended, Durability, PullRequest, StartTopics, Store, StoreOptions};
use crate::task::{self, Kind};
use crate::transport::{Limits, Responder, Server, Service};

pub(super) const SEGMENT_BYTES: u64 = 64 << 10;

/// A store in a folder of its own.
pub(super) struct TestStore {
    dir: tempfile::TempDir,
    options: StoreOptions,
    pub(super) clock: Clock,
    pub(super) disk: Arc<FaultDisk>,
    store: Option<Arc<Member>>,
}

impl TestStore {
    pub(super) fn new(role: StoreRole, change: impl FnOnce(&mut StoreOptions)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut options = StoreOptions {
            segment_bytes: SEGMENT_BYTES,
            slice_bytes: 4 * SEGMENT_BYTES,
            allocate_ahead_bytes: 16 << 10,
            checkpoint_interval_ms: 3_600_000,
            role,
            ..StoreOptions::new(dir.path().join("broker-a"))
        };
        change(&mut options);
        let disk = FaultDisk::new(&options.dir, Views::None);
        let mut store = Self { dir, options, clock: Clock::system(), disk, store: None };
        store.open();
        store
    }

    pub(super) fn master() -> Self {
        Self::new(StoreRole::Master, |_| {})
    }

    pub(super) fn slave() -> Self {
        Self::new(StoreRole::Slave, |_| {})
    }

    fn open(&mut self) {
        let start = StartTopics::new("C", "broker-a");
        let (disk, options) = (Arc::clone(&self.disk), self.options.clone());
        let opened = Store::open_on(disk, options, &start, &self.clock, &|_, _| {});
        let store = opened.unwrap();
        let past = Past::open(&self.options.dir, store.log_range().1.0).unwrap();
        let id = match self.options.role {
            StoreRole::Master => 0,
            StoreRole::Slave => 1,
        };
        let options = MemberOptions {
            cluster: "C".into(),
            group: "broker-a".into(),
            id: BrokerId(id),
            address: "127.0.0.1:1".parse().unwrap(),
            ha_address: "127.0.0.1:2".parse().unwrap(),
            name_servers: Vec::new(),
            credentials: Default::default(),
        };
        if id == 0 {
            begin_epoch(&past, store.log_range().1.0);
        }
        self.store = Some(Member::new(options, store, past));
    }

    /// As if the process had been killed and started again; nobody else may hold the store.
    pub(super) fn reopen(&mut self) {
        self.store = None;
        self.open();
    }

    pub(super) fn member(&self) -> Arc<Member> {
        Arc::clone(self.store.as_ref().unwrap())
    }

    pub(super) fn store(&self) -> Arc<Store> {
        Arc::clone(self.member().store())
    }

    pub(super) fn end(&self) -> u64 {
        self.store().log_range().1.0
    }

    pub(super) async fn append(&self, body: &str) -> (Appended, Durability) {
        self.store().append(message(body), true).await.unwrap()
    }

    /// Appends messages of `bytes` bytes until the log is `segments` segments further.
    pub(super) async fn grow(&self, segments: u64, bytes: usize) {
        let goal = self.end() + segments * SEGMENT_BYTES;
        while self.end() < goal {
            self.append(&"x".repeat(bytes)).await;
        }
    }

    /// Overwrites what the log has at an offset.
    pub(super) fn damage(&self, at: u64, bytes: &[u8]) {
        let dir = self.dir.path().join("broker-a/commitlog");
        let start = at - at % self.options.segment_bytes;
        let file = std::fs::OpenOptions::new().write(true).open(dir.join(format!("{start:020}")));
        file.unwrap().write_all_at(bytes, at - start).unwrap();
    }

    /// All that the log has between two offsets of one segment, or of several.
    pub(super) fn log(&self) -> Vec<u8> {
        let dir = self.dir.path().join("broker-a/commitlog");
        let (start, end) = self.store().log_range();
        let mut all = Vec::new();
        let mut at = start.0;
        while at < end.0 {
            all.extend(std::fs::read(dir.join(format!("{at:020}"))).unwrap());
            at += self.options.segment_bytes;
        }
        all.truncate(usize::try_from(end.0 - start.0).unwrap());
        all
    }
}

/// As a start step ends that found nothing to do.
fn begin_epoch(past: &Past, start: u64) {
    let history = past.history();
    let number = history.last().map_or(EpochNumber::default(), |last| last.number);
    let number = number.after_restart().unwrap();
    let epoch = Epoch { number, node: past.node(), start, nonce: 0, sync: false };
    past.set_history(&history.begin(epoch).unwrap(), Role::Master).unwrap();
}

pub(super) fn message(body: &str) -> NewMessage {
    let properties = "KEYS\u{1}k".to_owned();
    NewMessage { properties, ..NewMessage::plain("T", 1, body.to_owned()) }
}

/// A record as a master has it.
pub(super) fn record(at: u64, queue_offset: u64, body: &str) -> Vec<u8> {
    let mut bytes = encode(&message(body)).unwrap();
    stamp(&mut bytes, QueueOffset(queue_offset), PhysicalOffset(at), 1_600_000_000_000);
    bytes
}

/// A served HA port.
pub(super) struct Port {
    pub(super) sender: Arc<Sender>,
    pub(super) address: String,
    member: Arc<Member>,
    stop: CancellationToken,
    served: Option<tokio::task::JoinHandle<()>>,
}

impl Port {
    pub(super) async fn of(store: &TestStore) -> Self {
        Self::at(store, "127.0.0.1:0").await
    }

    pub(super) async fn at(store: &TestStore, address: &str) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let member = store.member();
        let (sender, stop) = (Sender::new(Arc::clone(&member)), CancellationToken::new());
        let served = Arc::clone(&sender).serve(listener, stop.clone());
        let served = Some(task::spawn(Kind::Ignore, "HA port", served));
        Self { sender, address, member, stop, served }
    }

    /// Returns when every connection is closed.
    pub(super) async fn close(mut self) {
        self.stop.cancel();
        self.served.take().unwrap().await.unwrap();
    }

    /// A connection of one of ours.
    pub(super) async fn dial(&self) -> Peer {
        self.greeted_by(Hello::default()).await
    }

    /// A connection of a slave of ours with this broker port.
    pub(super) async fn dial_as(&self, address: &str) -> Peer {
        let (role, address) = ("slave".into(), address.into());
        self.greeted_by(Hello { role, address, ..Hello::default() }).await
    }

    async fn greeted_by(&self, hello: Hello) -> Peer {
        let stream = TcpStream::connect(&self.address).await.unwrap();
        let local = stream.local_addr().unwrap();
        let (ha_local_port, node) = (local.port(), "00000000000000ff".to_owned());
        let hello = Hello { group: "broker-a".into(), ha_local_port, node, ..hello };
        let _ = self.member.answer_hello(&hello, local);
        Peer(stream)
    }
}

/// A running receiver.
pub(super) struct Copying {
    pub(super) receiver: Arc<Receiver>,
    pub(super) master: watch::Sender<Option<MasterAddresses>>,
    stop_broker: CancellationToken,
    stop: CancellationToken,
    running: Option<tokio::task::JoinHandle<()>>,
}

impl Copying {
    /// From a master at this HA port that has the epochs of the slave, among them one that wrote all of its log, and has
    /// more.
    pub(super) fn into(store: &TestStore, address: &str) -> Self {
        begin_epoch(store.member().past(), 0);
        let (broker, stop_broker) = broker_port(|asked: &Hello| Hello {
            role: "master".into(),
            node: "00000000000000ff".into(),
            max_offset: u64::MAX / 4,
            min_offset: 0,
            ..asked.clone()
        });
        Self::from(store, &broker, address, stop_broker)
    }

    /// From a master of 4.9.4 at this HA port that has this record, the only one here, and more.
    pub(super) fn into_plain(store: &TestStore, address: &str, record: &[u8]) -> Self {
        let plain = Plain { record: record.to_vec() };
        let (broker, stop_broker) = serve(Arc::new(plain));
        Self::from(store, &broker, address, stop_broker)
    }

    pub(super) fn of(store: &TestStore, port: &Port) -> Self {
        let member = Arc::clone(&port.member);
        let (broker, stop_broker) =
            broker_port(move |asked| member.answer_hello(asked, "127.0.0.1:9".parse().unwrap()));
        Self::from(store, &broker, &port.address, stop_broker)
    }

    fn from(store: &TestStore, broker: &str, ha: &str, stop_broker: CancellationToken) -> Self {
        let addresses = MasterAddresses { broker: broker.to_owned(), ha: ha.to_owned() };
        let master = watch::Sender::new(Some(addresses));
        let receiver = Receiver::new(store.member(), master.subscribe());
        let stop = CancellationToken::new();
        let running = Arc::clone(&receiver).run(stop.clone());
        let running = Some(task::spawn(Kind::Ignore, "receiver", running));
        Self { receiver, master, stop_broker, stop, running }
    }

    /// The same master's broker, at another HA port.
    pub(super) fn moved(&self, ha: &str) {
        self.master.send_modify(|master| master.as_mut().unwrap().ha = ha.to_owned());
    }

    pub(super) async fn until(&self, what: &str, holds: impl Fn(&CopyState) -> bool) -> CopyState {
        wait_until(what, || Some(self.receiver.state()).filter(&holds)).await
    }

    pub(super) async fn until_at(&self, end: u64) {
        self.until("the log is here", |state| state.copied_to == end).await;
    }

    /// Returns when the store is no longer used.
    pub(super) async fn stop(mut self) {
        self.stop.cancel();
        self.running.take().unwrap().await.unwrap();
        self.stop_broker.cancel();
    }
}

/// A broker port that answers greetings as the test says, and nothing else.
fn broker_port(
    answer: impl Fn(&Hello) -> Hello + Send + Sync + 'static,
) -> (String, CancellationToken) {
    serve(Arc::new(Greeter(Box::new(answer))))
}

pub(super) fn serve(service: Arc<impl Service>) -> (String, CancellationToken) {
    let server = Server::bind("127.0.0.1:0".parse().unwrap(), Arc::new(Limits::default())).unwrap();
    let (address, stop) = (server.local_addr().to_string(), CancellationToken::new());
    task::spawn(Kind::Ignore, "broker port", server.serve(service, stop.clone()));
    (address, stop)
}

struct Greeter(Box<dyn Fn(&Hello) -> Hello + Send + Sync>);

impl Service for Greeter {
    fn on_request(&self, request: Command, responder: Responder) {
        if request.code != request::EXTENSION_HELLO {
            return responder.send(Command::response(response::REQUEST_CODE_NOT_SUPPORTED));
        }
        let answer = self.0(&extension::parse(&request.body).unwrap());
        let answer = extension::to_bytes(&answer);
        responder.send(Command::response(response::SUCCESS).with_body(answer));
    }
}

/// The broker port of a master of 4.9.4, as far as its slave asks.
struct Plain {
    record: Vec<u8>,
}

impl Service for Plain {
    fn on_request(&self, request: Command, responder: Responder) {
        let range = br#"{"table":{"commitLogMinOffset":"0","commitLogMaxOffset":"1000000"}}"#;
        let answer = Command::response(response::SUCCESS);
        responder.send(match request.code {
            request::GET_BROKER_RUNTIME_INFO => answer.with_body(&range[..]),
            request::VIEW_MESSAGE_BY_ID => answer.with_body(self.record.clone()),
            _ => Command::response(response::REQUEST_CODE_NOT_SUPPORTED),
        });
    }
}

/// One end of a connection that a test speaks for.
pub(super) struct Peer(pub(super) TcpStream);

impl Peer {
    pub(super) async fn say(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).await.unwrap();
    }

    pub(super) async fn report(&mut self, at: i64) {
        self.say(&at.to_be_bytes()).await;
    }

    pub(super) async fn read_report(&mut self) -> u64 {
        self.0.read_u64().await.unwrap()
    }

    /// A header with its body.
    pub(super) async fn read_batch(&mut self) -> (u64, Vec<u8>) {
        let at = self.0.read_u64().await.unwrap();
        let size = self.0.read_u32().await.unwrap();
        let mut body = vec![0; usize::try_from(size).unwrap()];
        self.0.read_exact(&mut body).await.unwrap();
        (at, body)
    }

    /// Reads what can be read; true when the peer has closed.
    pub(super) async fn skip_batch(&mut self) -> bool {
        matches!(self.0.read(&mut [0; 12]).await, Ok(0) | Err(_))
    }

    /// Whether the peer closes, before it says anything else.
    pub(super) async fn is_closed(&mut self) -> bool {
        matches!(self.0.read(&mut [0; 1]).await, Ok(0) | Err(_))
    }
}

/// Looks until there is something.
pub(super) async fn wait_until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    for _ in 0..6000 {
        if let Some(found) = look() {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("did not come: {what}");
}

/// The bodies of the test queue, as consumers get them.
pub(super) fn bodies(store: &Store) -> Vec<String> {
    let (mut offset, mut all) = (0, Vec::new());
    while offset < store.max_offset("T", QueueId(1)).to_wire() {
        let (topic, queue_id, filter) = ("T", QueueId(1), &All);
        let request = PullRequest { topic, queue_id, offset, count_max: 32, filter };
        let pulled = store.pull(&request, true).unwrap();
        let mut rest = &pulled.body[..];
        while let Ok(record) = Record::parse(rest) {
            all.push(String::from_utf8(record.body().to_vec()).unwrap());
            rest = &rest[record.bytes().len()..];
        }
        assert!(pulled.next_offset.to_wire() > offset, "{pulled:?}");
        offset = pulled.next_offset.to_wire();
    }
    all
}

/// How far the test queue goes.
pub(super) fn pulled(store: &Store) -> u64 {
    store.max_offset("T", QueueId(1)).0
}

pub(super) fn offset(at: u64) -> PhysicalOffset {
    PhysicalOffset(at)
}
