//! Sends messages as a producer does.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{BufMut, Bytes, BytesMut};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::meter::Meter;
use super::route::{Purpose, Queue};
use super::{BenchError, Histogram, Load, RECONNECT_PAUSE, REQUEST_TIMEOUT, Summary};
use crate::clock::Clock;
use crate::message::{MessageId, properties, sys_flag};
use crate::remoting::headers::SendHeader;
use crate::remoting::{Command, SerializeType, request, response};
use crate::transport::{CallError, Client};

/// Oneway messages wait while a connection holds more unsent bytes than this.
const ONEWAY_UNSENT_BYTES_MAX: usize = 1 << 20;
const ONEWAY_PAUSE: Duration = Duration::from_millis(1);
/// The group of all producers.
const GROUP: &str = "rmq-node-bench";

/// What a send waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// It does; as many wait as may be in flight.
    Answered,
    /// It does not, and nothing tells whether the message was stored.
    Oneway,
    /// Each message is a transaction, which is committed: two requests, both answered.
    Transactions,
}

/// What to send.
#[derive(Clone, Debug)]
pub struct ProduceOptions {
    /// Where to and how much.
    pub load: Load,
    /// Bytes of each body.
    pub body_bytes: usize,
    /// Whether to wait for answers.
    pub mode: Mode,
    /// Messages of one request; above 1 they are sent as a batch (320).
    pub batch: usize,
    /// Whether each message has a key of its own, besides its unique one.
    pub keys: bool,
    /// The tag of all messages.
    pub tags: Option<String>,
    /// Messages per second of the whole run.
    pub rate: Option<u32>,
    /// Each message has the next of so many delay levels; 0 for none.
    pub delay_levels: usize,
}

/// Runs until messages, time or `stop` end it.
///
/// # Errors
/// The topic's queues cannot be found.
pub async fn produce(
    options: &ProduceOptions,
    clock: &Clock,
    stop: &CancellationToken,
) -> Result<Summary, BenchError> {
    let queues: Arc<[Queue]> = options.load.queues(Purpose::Produce).await?.into();
    let meter = Arc::new(Meter::new(&options.load, clock.clone()));
    let pace = options.rate.map(|rate| Arc::new(Pace::new(rate, clock)));
    let mut workers = JoinSet::new();
    for connection in 0..options.load.connections {
        let client = options.load.client();
        for slot in 0..options.load.in_flight {
            let number = connection * options.load.in_flight + slot;
            let worker = Worker {
                number,
                client: client.clone(),
                queues: Arc::clone(&queues),
                meter: Arc::clone(&meter),
                pace: pace.clone(),
                body: Bytes::from(vec![b'a'; options.body_bytes]),
                options: options.clone(),
                sent: 0,
            };
            workers.spawn(worker.run());
        }
    }
    let all = async { while workers.join_next().await.is_some() {} };
    Ok(meter.watch("produce", options.load.duration, stop, all).await)
}

/// Spreads messages evenly over time.
#[derive(Debug)]
struct Pace {
    started: Instant,
    rate: u32,
    sent: std::sync::atomic::AtomicU64,
}

impl Pace {
    fn new(rate: u32, clock: &Clock) -> Self {
        Self { started: clock.monotonic(), rate: rate.max(1), sent: 0.into() }
    }

    /// Waits for the turn of the next `messages`.
    async fn wait(&self, messages: u64, clock: &Clock) {
        let before = self.sent.fetch_add(messages, std::sync::atomic::Ordering::Relaxed);
        let due_us = before.saturating_mul(1_000_000) / u64::from(self.rate);
        let passed = clock.monotonic() - self.started;
        let left = Duration::from_micros(due_us).saturating_sub(passed);
        if !left.is_zero() {
            tokio::time::sleep(left).await;
        }
    }
}

/// One request in flight, again and again.
struct Worker {
    number: usize,
    client: Client,
    queues: Arc<[Queue]>,
    meter: Arc<Meter>,
    pace: Option<Arc<Pace>>,
    body: Bytes,
    options: ProduceOptions,
    sent: usize,
}

impl Worker {
    async fn run(mut self) {
        let mut latencies = Histogram::default();
        let batch = u64::try_from(self.options.batch.max(1)).unwrap_or(1);
        loop {
            let messages = self.meter.claim(batch);
            if messages == 0 {
                break;
            }
            if let Some(pace) = &self.pace {
                pace.wait(messages, &self.meter.clock).await;
            }
            let queue = (self.number + self.sent) % self.queues.len();
            let queue = self.queues[queue].clone();
            self.sent += 1;
            let request = self.request(&queue, messages);
            let started = self.meter.clock.monotonic();
            let body_bytes = usize::try_from(messages).unwrap_or(1) * self.body.len();
            match self.send(&queue.address, request).await {
                Ok(None) => self.meter.moved(messages, body_bytes),
                Ok(Some(answer)) if answer.code == response::SUCCESS => {
                    latencies.record(self.meter.clock.monotonic() - started);
                    self.meter.moved(messages, body_bytes);
                }
                Ok(Some(answer)) => self.meter.refused(&answer),
                Err(error) => {
                    self.meter.failed(&error);
                    tokio::time::sleep(RECONNECT_PAUSE).await;
                }
            }
        }
        self.meter.add_latencies(&latencies);
        self.drain().await;
    }

    /// Oneway messages must leave before their connection is closed.
    async fn drain(&self) {
        for queue in self.queues.iter().filter(|_| self.options.mode == Mode::Oneway) {
            if let Ok(connection) = self.client.connection(&queue.address).await {
                while connection.is_open() && connection.unsent_bytes() > 0 {
                    tokio::time::sleep(ONEWAY_PAUSE).await;
                }
            }
        }
    }

    /// Sends and, unless oneway, waits.
    async fn send(&self, address: &str, request: Command) -> Result<Option<Command>, CallError> {
        let connection = self.client.connection(address).await?;
        match self.options.mode {
            Mode::Answered => connection.call(request, REQUEST_TIMEOUT).await.map(Some),
            Mode::Transactions => {
                let half = connection.call(request, REQUEST_TIMEOUT).await?;
                match commit_of(&half, self.options.load.serialize_type) {
                    Some(commit) => connection.call(commit, REQUEST_TIMEOUT).await.map(Some),
                    None => Ok(Some(half)),
                }
            }
            Mode::Oneway => {
                while connection.unsent_bytes() > ONEWAY_UNSENT_BYTES_MAX {
                    tokio::time::sleep(ONEWAY_PAUSE).await;
                }
                connection.send_oneway(request);
                Ok(None)
            }
        }
    }

    fn request(&self, queue: &Queue, messages: u64) -> Command {
        let is_batch = self.options.batch > 1;
        let properties = self.properties(0);
        let header = SendHeader {
            producer_group: GROUP,
            sys_flag: if self.is_transactional() { sys_flag::TRANSACTION_PREPARED } else { 0 },
            topic: &self.options.load.topic,
            default_topic: "TBW102",
            default_topic_queue_nums: 4,
            queue_id: queue.id,
            born_timestamp: self.meter.clock.now_ms(),
            properties: &properties,
            batch: is_batch,
            ..SendHeader::default()
        };
        let code = if is_batch { request::SEND_BATCH_MESSAGE } else { request::SEND_MESSAGE_V2 };
        let body = if is_batch { self.batch_body(messages) } else { self.body.clone() };
        let mut request = header.to_request(code).with_body(body);
        request.serialize_type = self.options.load.serialize_type;
        request
    }

    fn is_transactional(&self) -> bool {
        self.options.mode == Mode::Transactions
    }

    /// A batch's body (B-121).
    fn batch_body(&self, messages: u64) -> Bytes {
        let mut out = BytesMut::new();
        for message in 0..messages {
            let properties = self.properties(message);
            let length = |count: usize| i32::try_from(count).unwrap_or(i32::MAX);
            out.put_i32(length(22 + self.body.len() + properties.len()));
            out.put_bytes(0, 12); // magic, CRC and flag: the broker makes its own
            out.put_i32(length(self.body.len()));
            out.put_slice(&self.body);
            out.put_i16(i16::try_from(properties.len()).unwrap_or(i16::MAX));
            out.put_slice(properties.as_bytes());
        }
        out.freeze()
    }

    /// What every 4.x client sets (its unique key and `WAIT`), and what was asked for.
    fn properties(&self, message: u64) -> String {
        let (separator, end) = (properties::KEY_VALUE_SEPARATOR, properties::PROPERTY_SEPARATOR);
        let key = format!("{:08X}{:016X}{message:08X}", self.number, self.sent);
        let mut text = format!("{}{separator}{key}{end}", properties::UNIQ_KEY);
        let mut add = |name: &str, value: &str| {
            text.extend([name, separator.encode_utf8(&mut [0; 4]), value]);
            text.push(end);
        };
        add(properties::WAIT, "true");
        if self.is_transactional() {
            add(properties::TRANSACTION_PREPARED, "true");
            add(properties::PRODUCER_GROUP, GROUP);
        }
        if self.options.keys {
            add(properties::KEYS, &format!("key-{}-{}-{message}", self.number, self.sent));
        }
        if let Some(tags) = &self.options.tags {
            add(properties::TAGS, tags);
        }
        if let Some(turn) = (self.number + self.sent).checked_rem(self.options.delay_levels) {
            add(properties::DELAY, &(1 + turn).to_string());
        }
        text
    }
}

/// What commits a half message (B-252); `None` if it was not stored.
fn commit_of(half: &Command, serialize_type: SerializeType) -> Option<Command> {
    let id: MessageId =
        half.field("msgId").filter(|_| half.code == response::SUCCESS)?.parse().ok()?;
    let commit = Command::request(request::END_TRANSACTION)
        .with_field("producerGroup", GROUP)
        .with_field("tranStateTableOffset", half.field("queueOffset")?)
        .with_field("commitLogOffset", id.offset)
        .with_field("commitOrRollback", sys_flag::TRANSACTION_COMMIT)
        .with_field("msgId", id);
    Some(Command { serialize_type, ..commit })
}
