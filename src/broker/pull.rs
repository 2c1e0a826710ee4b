//! Pulls (11): checks, the read, and what its end means to the consumer (B-160 to B-205).
//!
//! Not how messages are found (`store`) and not how pulls wait (`long_polling`). Invariants: nothing is done
//! per message here; a pull is executed twice at most for one answer, and only the first time may it wait,
//! commit a position, or keep the encoding of its request (B-180, B-202).

use std::sync::{Arc, Weak};

use super::answers::{FAQ, Refusal, send_answer, tell_refused};
use super::{Broker, flow_control, groups, light, offsets, subscriptions};
use crate::filter::Subscription;
use crate::message::{NewMessage, Properties, properties};
use crate::model::{Permission, QueueId, QueueOffset, SubscriptionGroupConfig};
use crate::model::{TopicName, system};
use crate::remoting::headers::{PullHeader, PullResponse, pull_flag};
use crate::remoting::json::{Form, Value};
use crate::remoting::{Command, SerializeType, response};
use crate::store::{AppendResult, PullRequest, PullStatus, Pulled, ReadError};
use crate::task;
use crate::transport::{Connection, Responder};

/// The most messages a pull may ask for; it gets fewer (B-173), but looks at as many entries (B-174).
const COUNT_MAX: u32 = 10_000;

/// Which time a pull is executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pass {
    /// As it came.
    First,
    /// After it waited (B-202).
    Woken,
}

/// A pull without an answer.
#[derive(Debug)]
pub(super) struct Pull {
    /// The request; its body is of no use.
    pub request: Command,
    /// Takes the answer.
    pub responder: Responder,
    /// Which time this is.
    pub pass: Pass,
}

/// How an execution ends.
enum Outcome {
    /// The answer, but for its fields.
    Answer(Command, PullResponse),
    Wait(Wish),
    /// Once more from a thread that may wait for the disk.
    WouldBlock,
}

/// What a pull waits for.
#[derive(Clone, Debug)]
pub(super) struct Wish {
    /// The queue, and where in it.
    pub topic: TopicName,
    pub queue_id: QueueId,
    /// The first message wanted; the queue's end when the pull began to wait.
    pub offset: u64,
    /// Which messages are wanted.
    pub wanted: Wanted,
    /// How long at most, as the client says it.
    pub timeout_ms: i64,
}

/// Which messages a waiting pull wants.
#[derive(Clone, Debug)]
pub(super) enum Wanted {
    /// What the pull carries.
    Own(Arc<Subscription>),
    /// What its group subscribed to. Heartbeats replace it, and those that wait must not keep each one that ever was.
    OfGroup(Weak<Subscription>),
}

impl Wanted {
    /// `None` if the group has another one by now, which the pull finds when it is executed again.
    pub fn subscription(&self) -> Option<Arc<Subscription>> {
        match self {
            Self::Own(subscription) => Some(Arc::clone(subscription)),
            Self::OfGroup(subscription) => subscription.upgrade(),
        }
    }

    /// Bytes that it takes while the pull waits.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Own(subscription) => subscriptions::bytes_of(subscription),
            Self::OfGroup(_) => 0,
        }
    }
}

/// Answers a pull, now or when there is something to answer.
pub(super) fn answer(broker: &Arc<Broker>, mut request: Command, responder: Responder) {
    // It would keep the whole frame alive while the pull waits.
    drop(request.take_body());
    Pull { request, responder, pass: Pass::First }.run(broker, false);
}

impl Pull {
    /// Executes the pull and answers it, or lets it wait. Never waits for the disk itself unless it `may_block`.
    pub(super) fn run(mut self, broker: &Arc<Broker>, may_block: bool) {
        if self.responder.is_moot() {
            return;
        }
        let header = match PullHeader::parse(&self.request) {
            Ok(header) => header,
            Err(error) => return send_answer(self.responder, Err(error.into())),
        };
        match execute(broker, &header, self.responder.connection(), self.pass, may_block) {
            Ok(Outcome::Answer(mut answer, fields)) => {
                fields.write(&mut answer, self.encoding());
                self.send(answer);
            }
            Ok(Outcome::Wait(wish)) => broker.long_polling.park(broker, self, wish),
            Ok(Outcome::WouldBlock) => {
                let broker = Arc::clone(broker);
                let queued_at = broker.clock.monotonic();
                self.responder.goes_to_thread();
                task::spawn_blocking("pull", move || {
                    match flow_control::refusal_of_late(&broker, queued_at) {
                        None => self.run(&broker, true),
                        Some(refusal) => self.refuse(refusal),
                    }
                });
            }
            Err(refusal) => self.refuse(refusal),
        }
    }

    /// Answers with a refusal, in the form that 4.9.4 has for pulls: with fields, of which there are none.
    pub(super) fn refuse(self, Refusal { code, remark }: Refusal) {
        tell_refused(&self.responder, code, &remark);
        self.send(Command::response(code).with_remark(remark).with_empty_fields());
    }

    /// How the answer's header will be written.
    fn encoding(&self) -> SerializeType {
        match self.pass {
            Pass::First => self.request.serialize_type,
            Pass::Woken => SerializeType::Json,
        }
    }

    fn send(self, answer: Command) {
        match self.pass {
            Pass::First => self.responder.send(answer),
            Pass::Woken => self.responder.send_json(answer),
        }
    }
}

fn execute(
    broker: &Arc<Broker>,
    header: &PullHeader<'_>,
    connection: &Connection,
    pass: Pass,
    may_block: bool,
) -> Result<Outcome, Refusal> {
    let (group, queue_id) = check_target(broker, header, connection)?;
    let subscription = subscriptions::of_pull(broker, header, &group)?;
    let request = PullRequest {
        topic: header.topic,
        queue_id,
        offset: header.queue_offset,
        count_max: u32::try_from(header.max_msg_nums).unwrap_or(0).clamp(1, COUNT_MAX),
        filter: &*subscription,
    };
    let begun = broker.clock.monotonic();
    let pulled = match broker.store.pull(&request, may_block) {
        Err(ReadError::WouldBlock) if !may_block => return Ok(Outcome::WouldBlock),
        other => other,
    };
    let took = broker.clock.monotonic().saturating_duration_since(begun);
    broker.statistics.latencies.get_took(took);
    broker.metrics.pull.observe(took);
    if pass == Pass::First && header.has(pull_flag::COMMIT_OFFSET) && !broker.is_slave() {
        let (group, topic) = (header.consumer_group, header.topic);
        offsets::commit(broker, group, topic, queue_id, header.commit_offset);
    }
    let pulled = pulled?;
    if pulled.status == PullStatus::Found {
        broker.statistics.get_took(header.consumer_group, header.topic, queue_id, took);
    } else {
        broker.statistics.pull_missed();
    }
    let code = code_of(pulled.status, header.queue_offset);
    if code == response::PULL_NOT_FOUND && pass == Pass::First && header.has(pull_flag::SUSPEND) {
        let topic = subscription.topic.clone();
        let wanted = if header.has(pull_flag::SUBSCRIPTION) {
            Wanted::Own(subscription)
        } else {
            Wanted::OfGroup(Arc::downgrade(&subscription))
        };
        return Ok(Outcome::Wait(Wish {
            topic,
            queue_id,
            offset: u64::try_from(header.queue_offset).unwrap_or(0),
            wanted,
            timeout_ms: header.suspend_timeout_ms,
        }));
    }
    let (answer, fields) = found(broker, header, &group, pulled, code);
    Ok(Outcome::Answer(answer, fields))
}

/// Group, topic and queue, in the order of B-162.
fn check_target(
    broker: &Broker,
    header: &PullHeader<'_>,
    connection: &Connection,
) -> Result<(Arc<SubscriptionGroupConfig>, QueueId), Refusal> {
    let (name, topic) = (header.consumer_group, header.topic);
    if !broker.live_config.permission().contains(Permission::READ) {
        let remark =
            format!("the broker[{}] pulling message is forbidden", broker.options.address.ip());
        return Err(Refusal::new(response::NO_PERMISSION, remark));
    }
    let Some(group) = groups::find_or_create(broker, name) else {
        let why = groups::why_not_created(broker);
        let remark = format!("subscription group [{name}] does not exist, {why}{FAQ}");
        return Err(Refusal::new(response::SUBSCRIPTION_GROUP_NOT_EXIST, remark));
    };
    if !group.consume_enable {
        let remark = format!("subscription group no permission, {name}");
        return Err(Refusal::new(response::NO_PERMISSION, remark));
    }
    let Some(config) = light::topic(broker, topic) else {
        let remark = format!("topic[{topic}] not exist, apply first please! {FAQ}");
        return Err(Refusal::new(response::TOPIC_NOT_EXIST, remark));
    };
    if !config.permission.contains(Permission::READ) {
        let remark = format!("the topic[{topic}] pulling message is forbidden");
        return Err(Refusal::new(response::NO_PERMISSION, remark));
    }
    match u32::try_from(header.queue_id) {
        Ok(queue_id) if queue_id < config.read_queues => Ok((group, QueueId(queue_id))),
        _ => Err(Refusal::new(
            response::SYSTEM_ERROR,
            format!(
                "queueId[{}] is illegal, topic:[{topic}] topicConfig.readQueueNums:[{}] consumer:[/{}]",
                header.queue_id,
                config.read_queues,
                connection.remote()
            ),
        )),
    }
}

/// The answer's code (B-170).
fn code_of(status: PullStatus, queue_offset: i64) -> i32 {
    match status {
        PullStatus::Found => response::SUCCESS,
        PullStatus::NoMatchedMessage | PullStatus::MessageWasRemoving => {
            response::PULL_RETRY_IMMEDIATELY
        }
        PullStatus::NoMessageInQueue if queue_offset != 0 => response::PULL_OFFSET_MOVED,
        PullStatus::NoMessageInQueue | PullStatus::OffsetOverflowOne => response::PULL_NOT_FOUND,
        PullStatus::OffsetTooSmall | PullStatus::OffsetOverflowBadly => response::PULL_OFFSET_MOVED,
    }
}

/// The name that 4.9.4 gives a status; the answer's remark (B-160).
fn name_of(status: PullStatus) -> &'static str {
    match status {
        PullStatus::Found => "FOUND",
        PullStatus::NoMatchedMessage => "NO_MATCHED_MESSAGE",
        PullStatus::MessageWasRemoving => "MESSAGE_WAS_REMOVING",
        PullStatus::NoMessageInQueue => "NO_MESSAGE_IN_QUEUE",
        PullStatus::OffsetTooSmall => "OFFSET_TOO_SMALL",
        PullStatus::OffsetOverflowOne => "OFFSET_OVERFLOW_ONE",
        PullStatus::OffsetOverflowBadly => "OFFSET_OVERFLOW_BADLY",
    }
}

/// The answer to a pull that was executed, and its fields (B-160, B-171, B-172, B-190).
fn found(
    broker: &Broker,
    header: &PullHeader<'_>,
    group: &SubscriptionGroupConfig,
    pulled: Pulled,
    mut code: i32,
) -> (Command, PullResponse) {
    let mut fields = PullResponse {
        suggest_which_broker_id: suggested(broker, group, pulled.is_far_behind),
        next_begin_offset: pulled.next_offset.to_wire(),
        min_offset: pulled.min_offset.to_wire(),
        max_offset: pulled.max_offset.to_wire(),
    };
    match code {
        response::SUCCESS => {
            let (count, bytes) = (u64::from(pulled.count), pulled.body.len());
            let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
            broker.statistics.messages_out(header.consumer_group, header.topic, count, bytes);
            broker.metrics.messages_out.inc_by(count);
        }
        response::PULL_RETRY_IMMEDIATELY => {}
        // A slave may only be behind: it leaves the offset as it is.
        _ if broker.is_slave() => {
            fields.next_begin_offset = header.queue_offset;
            if code == response::PULL_OFFSET_MOVED {
                code = response::PULL_RETRY_IMMEDIATELY;
                fields.suggest_which_broker_id = group.broker_id;
            }
        }
        response::PULL_OFFSET_MOVED => {
            note_offset_moved(broker, header, pulled.next_offset);
        }
        _ => {}
    }
    let answer = Command::response(code).with_remark(name_of(pulled.status));
    (answer.with_body(pulled.body), fields)
}

/// The broker of the group that the consumer is to ask next: the master, unless slaves are read from, too (B-190).
fn suggested(broker: &Broker, group: &SubscriptionGroupConfig, is_far_behind: bool) -> i64 {
    match (broker.live_config.reads_from_slaves(), is_far_behind) {
        (false, _) => 0,
        (true, true) => group.which_broker_when_consume_slowly,
        (true, false) => group.broker_id,
    }
}

/// Stores the note that a group asked for an offset that does not exist (B-171); nobody waits for it.
fn note_offset_moved(broker: &Broker, header: &PullHeader<'_>, new: QueueOffset) {
    let group = header.consumer_group;
    let queue = Value::object([
        ("brokerName", Value::from(broker.options.group.as_str())),
        ("queueId", Value::from(header.queue_id)),
        ("topic", Value::from(header.topic)),
    ]);
    let body = Value::object([
        ("consumerGroup", Value::from(group)),
        ("messageQueue", queue),
        ("offsetNew", Value::from(new.to_wire())),
        ("offsetRequest", Value::from(header.queue_offset)),
    ]);
    let mut texts = Properties::default();
    texts.set(properties::KEYS, group);
    texts.set(properties::DELAY, "0");
    texts.set(properties::TAGS, group);
    let message = NewMessage {
        topic: TopicName::new(system::OFFSET_MOVED_TOPIC),
        queue_id: QueueId(0),
        flag: 0,
        sys_flag: 0,
        born_timestamp: broker.clock.now_ms(),
        born_host: broker.options.address,
        store_host: broker.options.address,
        reconsume_times: 0,
        prepared_transaction_offset: 0,
        body: body.to_bytes(Form::Dialect),
        properties: texts.to_string(),
    };
    let done = |result: AppendResult| {
        if let Err(error) = result {
            tracing::warn!(%error, "a moved offset was not noted");
        }
    };
    broker.store.enqueue(&[message], false, Box::new(done));
    broker.store.write_enqueued();
}

#[cfg(test)]
#[path = "pull_tests.rs"]
pub(super) mod tests;
