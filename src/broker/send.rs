//! Sends: checks and the append (10, 310, 320; B-100 to B-126).
//!
//! Not here: the ends of transactions (37), replies (`reply`). This is the hottest way through the broker: the
//! header is read once, the body is copied only into its record, nothing waits. Invariants: the answer comes when the
//! message is as durable as its sender asks, from whatever thread wrote it; every answer says
//! whether traces are on, and which region this is ([`switched`]).

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use super::answers::{FAQ, Refusal, tell_refused};
use super::java_properties::JavaProperties;
use super::{Broker, delay, flow_control, groups, light, timers, topics, transactions};
use crate::message::{
    BatchItem, MessageId, NewMessage, RECORD_BYTES_MIN, decode_batch, properties, sys_flag,
};
use crate::model::{
    DLQ_PREFIX, Permission, QueueId, RETRY_PREFIX, SubscriptionGroupConfig, TopicConfig,
    TopicFilterType, TopicName, system, validate_topic,
};
use crate::remoting::headers::SendHeader;
use crate::remoting::{Command, SerializeType, response};
use crate::store::{AppendError, AppendResult, Appended, Durability, Store};
use crate::transport::Responder;

/// 4.9.4's `regionId`.
const REGION: &str = "DefaultRegion";
/// The version from which on a client's own `maxReconsumeTimes` counts (S-58).
const OWN_MAX_TIMES_FROM: i32 = 121;
/// The longest properties text, in bytes (S-59).
const PROPERTIES_BYTES_MAX: usize = 32_767;
/// How many times the largest body the records of one batch may take: each gets the properties of the batch, so that
/// a small request could ask for gigabytes. 4.9.4 stops at once the largest body.
const BATCH_GROWTH_MAX: usize = 4;
/// Of 2^32.
const GOLDEN_RATIO: u32 = 0x9E37_79B9;

/// Messages that passed all checks, and what their answer needs.
struct Prepared<M> {
    messages: M,
    /// Whether the sender waits for the disk.
    wait: bool,
    /// The queue that the answer names (S-15).
    queue_id: QueueId,
}

/// Answers 10, 310 and 320 when the message is stored, or at once if it is refused.
pub(super) fn answer(broker: &Arc<Broker>, request: &Command, responder: Responder) {
    let Some((header, born_host, responder)) = begin(broker, request, responder) else { return };
    let is_json = request.serialize_type == SerializeType::Json;
    if header.batch {
        let prepared = prepare_batch(broker, request, &header, born_host);
        store(broker, prepared, responder, is_json);
    } else {
        store(broker, prepare(broker, request, &header, born_host), responder, is_json);
    }
}

/// What a request of the send family says, and where it comes from; answers one that cannot be read.
pub(super) fn begin<'a>(
    broker: &Broker,
    request: &'a Command,
    responder: Responder,
) -> Option<(SendHeader<'a>, SocketAddr, Responder)> {
    let born_host = responder.connection().remote();
    match SendHeader::parse(request) {
        Ok(header) => Some((header, born_host, responder)),
        Err(error) => {
            refuse(broker, responder, error.into());
            None
        }
    }
}

/// Answers that nothing is stored, and why.
pub(super) fn refuse(broker: &Broker, responder: Responder, refusal: Refusal) {
    let Refusal { code, remark } = refusal;
    broker.writers.sent(broker.clock.monotonic());
    tell_refused(&responder, code, &remark);
    responder.send(switched(broker, Command::response(code).with_remark(remark)));
}

fn store<M: AsRef<[NewMessage]>>(
    broker: &Arc<Broker>,
    prepared: Result<Prepared<M>, Refusal>,
    responder: Responder,
    is_json: bool,
) {
    let Prepared { messages, wait, queue_id } = match prepared {
        Ok(prepared) => prepared,
        Err(refusal) => return refuse(broker, responder, refusal),
    };
    let messages = messages.as_ref();
    let Some(first) = messages.first() else { return };
    let sent = Sent {
        broker: Arc::clone(broker),
        responder,
        is_json,
        topic: first.topic.clone(),
        stored_queue_id: first.queue_id,
        queue_id,
        begun: broker.clock.monotonic(),
        bytes: messages.iter().map(record_bytes).sum(),
    };
    broker.store.enqueue(messages, wait, Box::new(move |result| sent.answer(&result)));
}

/// The topic of a send: known, or created now; in 4.9.4's order of checks (B-102 to B-104).
pub(super) fn check(
    broker: &Broker,
    header: &SendHeader<'_>,
    born_host: SocketAddr,
) -> Result<Arc<TopicConfig>, Refusal> {
    let name = header.topic;
    refuse_if_forbidden(broker, name)?;
    validate_topic(name)
        .map_err(|error| Refusal::new(response::SYSTEM_ERROR, error.to_string()))?;
    if system::NOT_FOR_SENDING.contains(&name) {
        let remark = format!("Sending message to topic[{name}] is forbidden.");
        return Err(Refusal::new(response::NO_PERMISSION, remark));
    }
    let known = light::topic(broker, name);
    if known.is_none() && broker.is_slave() {
        return Err(unavailable(&broker.store));
    }
    let topic = known
        .or_else(|| topics::create_in_send(broker, header))
        .ok_or_else(|| topics::not_created(broker, name))?;
    let queues = topic.write_queues.max(topic.read_queues);
    if i64::from(header.queue_id) >= i64::from(queues) {
        let described = topics::described(&topic);
        let remark = format!(
            "request queueId[{}] is illegal, {described} Producer: {born_host}",
            header.queue_id
        );
        return Err(Refusal::new(response::SYSTEM_ERROR, remark));
    }
    // H-072; before anything is made for a message that is not stored.
    if broker.is_slave() {
        return Err(unavailable(&broker.store));
    }
    light::check_topic(broker, name)?;
    Ok(topic)
}

/// B-101: of a broker that may not be written to, ordered topics are refused; senders to others see it in the route.
fn refuse_if_forbidden(broker: &Broker, topic: &str) -> Result<(), Refusal> {
    let is_ordered = || broker.store.tables().topics.get(topic).is_some_and(|topic| topic.order);
    if broker.live_config.permission().contains(Permission::WRITE) || !is_ordered() {
        return Ok(());
    }
    Err(forbidden(broker, "message"))
}

/// What the settings let nobody send.
pub(super) fn forbidden(broker: &Broker, what: &str) -> Refusal {
    let address = broker.options.address.ip();
    let remark = format!("the broker[{address}] sending {what} is forbidden");
    Refusal::new(response::NO_PERMISSION, remark)
}

/// The queue that a message goes to: the one asked for, or any (B-105).
pub(super) fn choose_queue(
    header: &SendHeader<'_>,
    topic: &TopicConfig,
) -> Result<QueueId, Refusal> {
    if let Ok(queue_id) = u32::try_from(header.queue_id) {
        return Ok(QueueId(queue_id));
    }
    any_queue(topic.write_queues).ok_or_else(|| {
        let remark = format!("topic[{}] has no queue to write to", topic.name);
        Refusal::new(response::SYSTEM_ERROR, remark)
    })
}

/// One of so many queues; where 4.9.4 throws dice, all take turns. Steps of the golden ratio spread any regular part of
/// the turns as evenly as all of them, or two topics that are sent to in turn would use every second queue each.
pub(super) fn any_queue(queues: u32) -> Option<QueueId> {
    static TURN: AtomicU32 = AtomicU32::new(0);
    queue_of_turn(TURN.fetch_add(1, Ordering::Relaxed), queues)
}

fn queue_of_turn(turn: u32, queues: u32) -> Option<QueueId> {
    let mixed = u64::from(turn.wrapping_mul(GOLDEN_RATIO));
    let queue = u32::try_from((mixed * u64::from(queues)) >> u32::BITS).ok()?;
    (queue < queues).then_some(QueueId(queue))
}

/// One message (B-103 to B-113).
fn prepare(
    broker: &Broker,
    request: &Command,
    header: &SendHeader<'_>,
    born_host: SocketAddr,
) -> Result<Prepared<[NewMessage; 1]>, Refusal> {
    let mut topic = check(broker, header, born_host)?;
    let asked_queue_id = choose_queue(header, &topic)?;
    let mut queue_id = asked_queue_id;
    let dead_letters = dead_letters(broker, request, header)?;
    let mut fields = parse_properties(broker, header)?;
    if let Some(dead_letters) = dead_letters {
        // 4.9.4 takes the delay away here, and gives it back when it sets the properties: dead letters wait too.
        (topic, queue_id) = (dead_letters, QueueId(0));
    }
    let is_half = fields.get(properties::TRANSACTION_PREPARED).is_some_and(is_true);
    if is_half && broker.live_config.rejects_transactions() {
        return Err(forbidden(broker, "transaction message"));
    }
    check_body(broker, request.body.len())?;
    light::check(broker, topic.name.as_str(), &fields)?;
    let wait = fields.remove(properties::WAIT);
    let mut sys_flag = sys_flag_of(header, &topic);
    let level = if is_half { None } else { delay::level_of(broker, &fields, sys_flag)? };
    if level.is_some() {
        timers::ignore(&mut fields);
    }
    let flags = if is_half { 0 } else { sys_flag };
    let due_ms = timers::due_of(&fields, flags, broker.clock.now_ms())?;
    if let Some(wait) = wait.filter(|_| is_half || level.is_some() || due_ms.is_some()) {
        // S-12: the text of these is made again, from properties that `WAIT` is back in.
        fields.set(properties::WAIT, wait);
    }
    let (topic, queue_id, properties) = if is_half {
        // B-108, B-250.
        sys_flag &= !sys_flag::TRANSACTION_MASK;
        let properties = transactions::prepared(fields, &topic.name, queue_id);
        (TopicName::new(system::HALF_TOPIC), transactions::QUEUE, properties)
    } else if let Some(level) = level {
        let properties = delay::scheduled(fields, level, &topic.name, queue_id);
        (TopicName::new(system::SCHEDULE_TOPIC), delay::queue_of(level), properties)
    } else if let Some(due_ms) = due_ms {
        let properties = timers::waiting(fields, due_ms, &topic.name, queue_id);
        (TopicName::new(system::TIMER_TOPIC), timers::QUEUE, properties)
    } else {
        (topic.name.clone(), queue_id, fields.into_text())
    };
    let message = NewMessage {
        topic,
        queue_id,
        flag: header.flag,
        sys_flag,
        born_timestamp: header.born_timestamp,
        born_host,
        store_host: broker.options.address,
        reconsume_times: header.reconsume_times,
        prepared_transaction_offset: 0,
        body: request.body.clone(),
        properties,
    };
    let wait = wait.is_none_or(is_true);
    Ok(Prepared { messages: [message], wait, queue_id: asked_queue_id })
}

/// The messages of a batch (B-120 to B-125).
fn prepare_batch(
    broker: &Broker,
    request: &Command,
    header: &SendHeader<'_>,
    born_host: SocketAddr,
) -> Result<Prepared<Vec<NewMessage>>, Refusal> {
    let topic = check(broker, header, born_host)?;
    let queue_id = choose_queue(header, &topic)?;
    let fields = parse_properties(broker, header)?;
    check_body(broker, request.body.len())?;
    let sys_flag = sys_flag_of(header, &topic);
    let is_transactional = sys_flag & sys_flag::TRANSACTION_MASK != 0;
    if is_transactional || delay::level_of(broker, &fields, sys_flag)?.is_some() {
        return Err(illegal(&broker.store));
    }
    timers::refuse_in_batch(header.properties)?;
    light::refuse_in_batch(broker, header.properties)?;
    // 4.9.4 ends in an exception, and its clients would send the same bytes again (C-010).
    let bad = |text: String| Refusal::new(response::MESSAGE_ILLEGAL, text);
    let items = decode_batch(&request.body).map_err(|error| bad(error.to_string()))?;
    if items.is_empty() {
        return Err(bad("the batch is empty".to_owned()));
    }
    items.iter().try_for_each(|item| {
        timers::refuse_in_batch(&item.properties)?;
        light::refuse_in_batch(broker, &item.properties)
    })?;
    let wait = fields.get(properties::WAIT).is_none_or(is_true);
    let of_all = fields.into_text();
    let record = |item: &BatchItem| {
        RECORD_BYTES_MIN + item.body.len() + item.properties.len() + 1 + of_all.len()
    };
    let bytes: usize = items.iter().map(record).sum();
    if bytes > BATCH_GROWTH_MAX * broker.store.options().max_message_bytes {
        return Err(illegal(&broker.store));
    }
    let message = |BatchItem { flag, body, properties: own }: BatchItem| NewMessage {
        topic: topic.name.clone(),
        queue_id,
        flag,
        sys_flag,
        born_timestamp: header.born_timestamp,
        born_host,
        store_host: broker.options.address,
        reconsume_times: header.reconsume_times,
        prepared_transaction_offset: 0,
        body,
        properties: joined(own, &of_all),
    };
    Ok(Prepared { messages: items.into_iter().map(message).collect(), wait, queue_id })
}

/// A message's own properties followed by those of its batch (B-124).
fn joined(own: String, of_all: &str) -> String {
    let mut text = own;
    if !text.is_empty() && !text.ends_with(properties::PROPERTY_SEPARATOR) {
        text.push(properties::PROPERTY_SEPARATOR);
    }
    text.push_str(of_all);
    text
}

fn parse_properties<'a>(
    broker: &'a Broker,
    header: &SendHeader<'a>,
) -> Result<JavaProperties<'a>, Refusal> {
    // What is longer when it comes is longer when it is stored, because CLUSTER is added.
    if header.properties.len() > PROPERTIES_BYTES_MAX {
        return Err(illegal(&broker.store));
    }
    let mut fields = JavaProperties::parse(header.properties);
    fields.set(properties::CLUSTER, &broker.options.cluster);
    Ok(fields)
}

/// The dead-letter topic if a retried message was delivered often enough (B-106).
fn dead_letters(
    broker: &Broker,
    request: &Command,
    header: &SendHeader<'_>,
) -> Result<Option<Arc<TopicConfig>>, Refusal> {
    let Some(group) = header.topic.strip_prefix(RETRY_PREFIX) else { return Ok(None) };
    let config = group_config(broker, group)?;
    let own = header.max_reconsume_times;
    if header.reconsume_times < times_max(&config, request, own) {
        return Ok(None);
    }
    dead_letter_topic(broker, group).map(Some)
}

/// A consumer group's configuration, made if it has none (B-072).
pub(super) fn group_config(
    broker: &Broker,
    group: &str,
) -> Result<Arc<SubscriptionGroupConfig>, Refusal> {
    groups::find_or_create(broker, group).ok_or_else(|| {
        let why = groups::why_not_created(broker);
        let remark = format!("subscription group not exist, {group} {why}{FAQ}");
        Refusal::new(response::SUBSCRIPTION_GROUP_NOT_EXIST, remark)
    })
}

/// How often a message is delivered at most: as its group says, or as the client does (S-58).
pub(super) fn times_max(
    config: &SubscriptionGroupConfig,
    request: &Command,
    own: Option<i32>,
) -> i32 {
    own.filter(|_| request.version >= OWN_MAX_TIMES_FROM).unwrap_or(config.retry_max_times)
}

/// A group's dead-letter topic, created if need be (S-58).
pub(super) fn dead_letter_topic(broker: &Broker, group: &str) -> Result<Arc<TopicConfig>, Refusal> {
    let name = format!("{DLQ_PREFIX}{group}");
    topics::create_in_send_back(broker, &name, 1, Permission::READ_WRITE, 0)
        .ok_or_else(|| Refusal::new(response::SYSTEM_ERROR, format!("topic[{name}] not exist")))
}

/// The stored flags (B-107, B-112).
fn sys_flag_of(header: &SendHeader<'_>, topic: &TopicConfig) -> i32 {
    match topic.filter_type {
        TopicFilterType::SingleTag => header.sys_flag,
        TopicFilterType::MultiTag => header.sys_flag | sys_flag::MULTI_TAGS,
    }
}

fn check_body(broker: &Broker, bytes: usize) -> Result<(), Refusal> {
    let fits = bytes <= broker.store.options().max_message_bytes;
    if fits { Ok(()) } else { Err(illegal(&broker.store)) }
}

/// What a message that cannot be stored as it is gets (B-115, B-117).
fn illegal(store: &Store) -> Refusal {
    let remark = format!(
        "the message is illegal, maybe msg body or properties length not matched. msg body length limit {}B, \
         msg properties length limit 32KB.",
        store.options().max_message_bytes
    );
    Refusal::new(response::MESSAGE_ILLEGAL, remark)
}

/// Whether Java's `Boolean.parseBoolean` takes a text for true.
pub(super) fn is_true(text: &str) -> bool {
    text.eq_ignore_ascii_case("true")
}

/// Bytes that a message takes in the log, as statistics count them.
pub(super) fn record_bytes(message: &NewMessage) -> u64 {
    let texts = message.topic.as_str().len() + message.properties.len();
    let v6_hosts = [message.born_host, message.store_host].iter().filter(|h| h.is_ipv6()).count();
    let bytes = RECORD_BYTES_MIN + message.body.len() + texts + 12 * v6_hosts;
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

/// Adds what every answer of the send family has (`traceOn`, `regionId`), in 4.9.4's order.
pub(super) fn switched(broker: &Broker, answer: Command) -> Command {
    let is_traced = broker.live_config.is_traced();
    answer.with_field("TRACE_ON", is_traced).with_field("MSG_REGION", REGION)
}

/// A send whose message is being stored.
struct Sent {
    broker: Arc<Broker>,
    responder: Responder,
    /// How the answer's header will be encoded.
    is_json: bool,
    /// What the message is stored under.
    topic: TopicName,
    stored_queue_id: QueueId,
    /// The queue that the answer names.
    queue_id: QueueId,
    /// When it was handed to the store.
    begun: Instant,
    bytes: u64,
}

impl Sent {
    fn answer(self, result: &AppendResult) {
        let statistics = &self.broker.statistics;
        let now = self.broker.clock.monotonic();
        let took = now.saturating_duration_since(self.begun);
        self.broker.writers.sent(now);
        statistics.latencies.put_took(took);
        self.broker.metrics.send.observe(took);
        let answer = match result {
            Ok((appended, durability)) => {
                let count = u64::try_from(appended.len()).unwrap_or(u64::MAX);
                statistics.messages_in(self.topic.as_str(), count, self.bytes);
                if self.topic.as_str() == system::SCHEDULE_TOPIC {
                    statistics.delayed(self.stored_queue_id, count, self.bytes);
                }
                self.broker.metrics.messages_in.inc_by(count);
                self.stored(appended, *durability)
            }
            Err(error) => {
                statistics.append_failed();
                return refuse(&self.broker, self.responder, refusal_of(&self.broker, error));
            }
        };
        self.responder.send(answer);
    }

    /// B-115, B-116, B-123.
    fn stored(&self, appended: &[Appended], durability: Durability) -> Command {
        let answer = Command::response(match durability {
            Durability::Reached => response::SUCCESS,
            Durability::FlushTimeout => response::FLUSH_DISK_TIMEOUT,
            Durability::SlaveNotAvailable => response::SLAVE_NOT_AVAILABLE,
            Durability::SlaveTimeout => response::FLUSH_SLAVE_TIMEOUT,
        });
        let offset = appended.first().map_or(0, |first| first.queue_offset.to_wire());
        // 4.9.4 writes the fields of a JSON header in its hash map's order, those of a binary one as declared (V-08).
        if self.is_json {
            let answer = switched(&self.broker, answer.with_field("queueId", self.queue_id));
            self.with_ids(answer, appended).with_field("queueOffset", offset)
        } else {
            let answer = self.with_ids(answer, appended).with_field("queueId", self.queue_id);
            switched(&self.broker, answer.with_field("queueOffset", offset))
        }
    }

    fn with_ids(&self, answer: Command, appended: &[Appended]) -> Command {
        let store_host = self.broker.options.address;
        let id = |appended: &Appended| MessageId { store_host, offset: appended.physical_offset };
        if let [only] = appended {
            return answer.with_field("msgId", id(only));
        }
        let ids: Vec<_> = appended.iter().map(|one| id(one).to_string()).collect();
        answer.with_field("msgId", ids.join(","))
    }
}

/// How 4.9.4 says that nothing was stored (B-115).
fn refusal_of(broker: &Broker, error: &AppendError) -> Refusal {
    let store = &broker.store;
    match error {
        AppendError::Busy(busy) => flow_control::refusal(broker, *busy),
        AppendError::Illegal(_) | AppendError::TooLarge { .. } => illegal(store),
        AppendError::DiskFull | AppendError::IsSlave | AppendError::Stopping => unavailable(store),
        AppendError::Failed(_) => {
            let remark = "create mapped file failed, server is busy or broken.";
            Refusal::new(response::SYSTEM_ERROR, remark)
        }
    }
}

/// What a message gets that the store takes no more of, or none of: a slave's.
fn unavailable(store: &Store) -> Refusal {
    let used = store.disk_used_percent() / 100.0;
    let remark = format!(
        "service not available now. It may be caused by one of the following reasons: the broker's disk is full \
         [CL: {used:5.2} CQ: {used:5.2} INDEX: {used:5.2}], messages are put to the slave, message store has been \
         shut down, etc."
    );
    Refusal::new(response::SERVICE_NOT_AVAILABLE, remark)
}

#[cfg(test)]
#[path = "send_tests.rs"]
mod tests;
