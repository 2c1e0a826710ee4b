//! Stores, messages and peers for the tests of this folder.

use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{CopyState, Receiver, Sender};
use crate::clock::Clock;
use crate::message::{NewMessage, Record, encode, stamp};
use crate::model::{PhysicalOffset, QueueId, QueueOffset, TopicName};
use crate::store::options::StoreRole;
use crate::store::{All, Appended, Durability, PullRequest, StartTopics, Store, StoreOptions};
use crate::task::{self, Kind};

pub(super) const SEGMENT_BYTES: u64 = 64 << 10;

/// A store in a folder of its own.
pub(super) struct TestStore {
    dir: tempfile::TempDir,
    options: StoreOptions,
    pub(super) clock: Clock,
    store: Option<Arc<Store>>,
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
        let mut store = Self { dir, options, clock: Clock::system(), store: None };
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
        let opened = Store::open(self.options.clone(), &start, &self.clock, &|_, _| {});
        self.store = Some(opened.unwrap());
    }

    /// As if the process had been killed and started again; nobody else may hold the store.
    pub(super) fn reopen(&mut self) {
        self.store = None;
        self.open();
    }

    pub(super) fn store(&self) -> Arc<Store> {
        Arc::clone(self.store.as_ref().unwrap())
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

pub(super) fn message(body: &str) -> NewMessage {
    NewMessage {
        topic: TopicName::new("T"),
        queue_id: QueueId(1),
        flag: 0,
        sys_flag: 0,
        born_timestamp: 1,
        born_host: "127.0.0.1:1".parse().unwrap(),
        store_host: "127.0.0.1:2".parse().unwrap(),
        reconsume_times: 0,
        prepared_transaction_offset: 0,
        body: Bytes::copy_from_slice(body.as_bytes()),
        properties: "KEYS\u{1}k".to_owned(),
    }
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
        let (sender, stop) = (Sender::new(store.store()), CancellationToken::new());
        let served = Arc::clone(&sender).serve(listener, stop.clone());
        let served = Some(task::spawn(Kind::Ignore, "HA port", served));
        Self { sender, address, stop, served }
    }

    /// Returns when every connection is closed.
    pub(super) async fn close(mut self) {
        self.stop.cancel();
        self.served.take().unwrap().await.unwrap();
    }

    pub(super) async fn dial(&self) -> Peer {
        Peer(TcpStream::connect(&self.address).await.unwrap())
    }
}

/// A running receiver.
pub(super) struct Copying {
    pub(super) receiver: Arc<Receiver>,
    pub(super) master: watch::Sender<Option<String>>,
    stop: CancellationToken,
    running: Option<tokio::task::JoinHandle<()>>,
}

impl Copying {
    pub(super) fn into(store: &TestStore, address: &str) -> Self {
        let master = watch::Sender::new(Some(address.to_owned()));
        let receiver = Receiver::new(store.store(), master.subscribe());
        let stop = CancellationToken::new();
        let running = Arc::clone(&receiver).run(stop.clone());
        let running = Some(task::spawn(Kind::Ignore, "receiver", running));
        Self { receiver, master, stop, running }
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
