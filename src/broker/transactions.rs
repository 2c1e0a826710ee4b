//! Transactions: half messages, their ends, and their way back to the checks (37, 323; B-250 to B-259, B-268).
//!
//! | topic, queue 0 | what |
//! | --- | --- |
//! | `RMQ_SYS_TRANS_HALF_TOPIC` | half messages, each with the topic and queue that it is for |
//! | `RMQ_SYS_TRANS_OP_HALF_TOPIC` | which of them are over: the body is the half message's offset in its queue |
//! | `TRANS_CHECK_MAX_TIME_TOPIC` | those that were given up |
//!
//! Not here: asking producers what became of a half message (`transaction_check`). The records are 4.9.4's, so that
//! its brokers can go on with ours and ours with theirs. Invariants: a half message is marked as over only when what it
//! ended with is stored; a second end of it is not noticed, and delivers it again (S-14).

use std::sync::Arc;

use bytes::Bytes;

use super::answers::{Answer, Refusal, send_answer};
use super::copies::{append, bound_for, copy_of, destination, own_message};
use super::java_properties::JavaProperties;
use super::{Broker, send, timers};
use crate::message::{MessageId, NewMessage, Record, properties, sys_flag};
use crate::model::{PhysicalOffset, QueueId, TopicName, system};
use crate::remoting::{Command, FieldError, response};
use crate::store::{AppendError, AppendResult};
use crate::task;
use crate::transport::{Connection, Responder};

/// The queue of the half topic that half messages are in; marks have the same (B-250, B-256).
pub(super) const QUEUE: QueueId = QueueId(0);
/// The tag of a mark.
pub(super) const OVER_TAG: &str = "d";
/// What 4.9.4 answers where it forgets to take this remark away (S-08).
const NO_CODE_SET: &str = "not set any response code";
const NOT_FOUND: &str = "Find prepared transaction message failed";

/// How transactions are checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransactionOptions {
    /// How old a half message is when it is checked first, unless it says so itself (`transactionTimeOut`).
    pub timeout_ms: i64,
    /// How often one is checked before it is given up (`transactionCheckMax`).
    pub checks_max: i32,
    /// How often half messages are looked at (`transactionCheckInterval`).
    pub check_interval_ms: i64,
    /// Whether half messages are refused, until 25 says otherwise (`rejectTransactionMessage`).
    pub reject: bool,
}

impl Default for TransactionOptions {
    fn default() -> Self {
        Self { timeout_ms: 6000, checks_max: 15, check_interval_ms: 60_000, reject: false }
    }
}

/// The properties text of a half message that is for a queue of `topic` (B-250). A delay is taken away, as the Java
/// client does: 4.9.4 would acknowledge the message, let it wait, and drop it (repairs S-66).
pub(super) fn prepared(fields: JavaProperties<'_>, topic: &TopicName, queue_id: QueueId) -> String {
    let mut fields = fields;
    fields.remove(properties::DELAY);
    bound_for(fields, topic, queue_id)
}

/// How a producer ended its transaction, or answered a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Commit,
    Rollback,
    /// It will know later.
    Unknown,
}

/// The header of 37 (B-252).
struct EndHeader<'a> {
    producer_group: &'a str,
    half_offset: i64,
    physical_offset: i64,
    end: End,
}

impl<'a> EndHeader<'a> {
    fn parse(request: &'a Command) -> Result<Self, FieldError> {
        const END: &str = "commitOrRollback";
        let end = match request.required_i32(END)? {
            0 => End::Unknown,
            sys_flag::TRANSACTION_COMMIT => End::Commit,
            sys_flag::TRANSACTION_ROLLBACK => End::Rollback,
            other => {
                let (expected, text) = ("0, 8 or 12", other.to_string());
                return Err(FieldError::Bad { field: END, expected, text });
            }
        };
        Ok(Self {
            producer_group: request.field("producerGroup").unwrap_or_default(),
            half_offset: request.required_i64("tranStateTableOffset")?,
            physical_offset: request.required_i64("commitLogOffset")?,
            end,
        })
    }
}

/// 37: ends a transaction (B-252 to B-259).
pub(super) fn end(broker: &Arc<Broker>, request: Command, mut responder: Responder) {
    let at = match half_at(broker, &request) {
        Ok(Some(at)) => at,
        Ok(None) => return,
        Err(refusal) => return send_answer(responder, Err(refusal)),
    };
    broker.writers.sent(broker.clock.monotonic());
    // Most end what was just sent: these are written together, as sends are.
    if PhysicalOffset::from_wire(at).is_some_and(|at| broker.store.reads_at_once(at)) {
        return end_known(broker, &request, responder);
    }
    let broker = Arc::clone(broker);
    responder.goes_to_thread();
    task::spawn_blocking("end of a transaction", move || {
        if !responder.is_moot() {
            end_known(&broker, &request, responder);
            broker.store.write_enqueued();
        }
    });
}

/// The same of a half message that was looked for and not found.
pub(super) fn end_unfound(broker: &Broker, request: &Command, responder: Responder) {
    match half_at(broker, request) {
        Ok(Some(_)) => send_answer(responder, Err(refusal(NOT_FOUND))),
        Ok(None) => {}
        Err(refusal) => send_answer(responder, Err(refusal)),
    }
}

/// Where the half message of a transaction lies that is to be ended; `None` if it gets no answer, because it is asked
/// for later (B-253).
fn half_at(broker: &Broker, request: &Command) -> Result<Option<i64>, Refusal> {
    if broker.is_slave() {
        // H-074.
        return Err(Refusal::new(response::SLAVE_NOT_AVAILABLE, NO_CODE_SET));
    }
    let header = EndHeader::parse(request)?;
    Ok(Some(header.physical_offset).filter(|_| header.end != End::Unknown))
}

/// Queues what a transaction ends with.
fn end_known(broker: &Arc<Broker>, request: &Command, responder: Responder) {
    let (message, ending) = match prepare_end(broker, request) {
        Ok((message, mark, answer)) => {
            (message, Ending { broker: Arc::clone(broker), responder, mark, answer })
        }
        Err(refusal) => return send_answer(responder, Err(refusal)),
    };
    let Some(message) = message else { return ending.mark_over() };
    let (topic, bytes) = (message.topic.clone(), send::record_bytes(&message));
    let done = move |result: AppendResult| match result {
        Ok(_) => {
            ending.broker.statistics.stored_under(topic.as_str(), 1, bytes);
            ending.mark_over();
        }
        Err(error) => send_answer(ending.responder, Err(refused(&ending.broker, &error))),
    };
    // H-033: nobody waits for the disk, because a commit that is lost is asked for again.
    broker.store.enqueue(&[message], false, Box::new(done));
}

/// What ends a transaction: the message to deliver, if any, the mark that it is over, and the answer.
fn prepare_end(
    broker: &Broker,
    request: &Command,
) -> Result<(Option<NewMessage>, NewMessage, Command), Refusal> {
    let header = EndHeader::parse(request)?;
    let at = PhysicalOffset::from_wire(header.physical_offset);
    let bytes = at.map(|at| broker.store.record_at(at)).transpose()?.flatten();
    let bytes = bytes.ok_or_else(|| refusal(NOT_FOUND))?;
    let half = Record::parse(&bytes).map_err(|_| refusal(NOT_FOUND))?;
    check(&half, &header)?;
    let (mark, answer) = (mark_of(broker, &half), Command::response(response::SUCCESS));
    if header.end == End::Rollback {
        broker.metrics.transactions_rolled_back.inc();
        return Ok((None, mark, answer.with_remark(NO_CODE_SET)));
    }
    let message = committed(broker, &half, &bytes)?;
    broker.metrics.transactions_committed.inc();
    Ok((message, mark, answer))
}

/// A transaction whose message, if there is one to deliver, is stored.
struct Ending {
    broker: Arc<Broker>,
    responder: Responder,
    mark: NewMessage,
    answer: Command,
}

impl Ending {
    /// Queues the mark. If that fails, the producer is asked once more, as with 4.9.4.
    fn mark_over(self) {
        let Self { broker, responder, mark, answer } = self;
        let telling = Arc::clone(&broker);
        let done = move |result: AppendResult| {
            if let Err(error) = result {
                telling.statistics.append_failed();
                tracing::warn!(%error, "that a transaction is over cannot be noted");
            }
            responder.send(answer);
        };
        broker.store.enqueue(&[mark], false, Box::new(done));
    }
}

fn refusal(remark: &str) -> Refusal {
    Refusal::new(response::SYSTEM_ERROR, remark)
}

/// Whether a record is the half message that a producer speaks of (B-254); that it lies where it says was checked when
/// it was read. 4.9.4 does not ask for its topic, so that anybody could let a message that only looks like a half
/// message be delivered anywhere (repairs B-259).
fn check(half: &Record<'_>, header: &EndHeader<'_>) -> Result<(), Refusal> {
    let group = properties::find(half.properties(), properties::PRODUCER_GROUP);
    if group != Some(header.producer_group) {
        return Err(refusal("The producer group wrong"));
    }
    if half.queue_offset().to_wire() != header.half_offset {
        return Err(refusal("The transaction state table offset wrong"));
    }
    if half.topic() == system::HALF_TOPIC { Ok(()) } else { Err(refusal(NOT_FOUND)) }
}

/// What is delivered of a half message (B-255); `None` if nobody can get it.
fn committed(
    broker: &Broker,
    half: &Record<'_>,
    bytes: &Bytes,
) -> Result<Option<NewMessage>, Refusal> {
    let to = destination(half).ok_or_else(|| refusal("the half message has no real queue"))?;
    if broker.store.tables().topics.is_deleted_since(to.0, half.physical_offset()) {
        // 4.9.4 stores it where nobody can read it; here a record would bring the topic back.
        tracing::warn!(topic = to.0, at = %half.physical_offset(), "a transaction of a deleted topic: dropped");
        return Ok(None);
    }
    let fields = JavaProperties::parse(half.properties());
    // Whoever sent it was told what cannot be met; a broker of 4.9.4 took anything.
    let due_ms = timers::due_of(&fields, 0, broker.clock.now_ms()).unwrap_or_else(|refusal| {
        tracing::warn!(topic = to.0, why = refusal.remark, "a committed message does not wait");
        None
    });
    if let Some(due_ms) = due_ms {
        // From here on it is one that waits like any other, without the flags of a transaction.
        let text = timers::waiting(fields, due_ms, &TopicName::new(to.0), to.1);
        let waits_in = (system::TIMER_TOPIC, timers::QUEUE);
        let message = copy_of(half, bytes.slice_ref(half.body()), waits_in, text);
        let sys_flag = half.sys_flag() & !sys_flag::TRANSACTION_MASK;
        return Ok(Some(NewMessage { sys_flag, ..message }));
    }
    let text = fields.into_text();
    Ok(Some(NewMessage {
        sys_flag: half.sys_flag() & !sys_flag::TRANSACTION_MASK | sys_flag::TRANSACTION_COMMIT,
        prepared_transaction_offset: half.physical_offset().to_wire(),
        ..copy_of(half, bytes.slice_ref(half.body()), to, text)
    }))
}

/// How 4.9.4 says that nothing was stored (B-255).
fn refused(broker: &Broker, error: &AppendError) -> Refusal {
    broker.statistics.append_failed();
    match error {
        AppendError::Illegal(_) | AppendError::TooLarge { .. } => {
            let remark = format!(
                "The message is illegal, maybe msg body or properties length not matched. msg body length limit {}B, \
                 msg properties length limit 32KB.",
                broker.store.options().max_message_bytes
            );
            Refusal::new(response::MESSAGE_ILLEGAL, remark)
        }
        AppendError::DiskFull | AppendError::IsSlave | AppendError::Stopping => {
            Refusal::new(response::SERVICE_NOT_AVAILABLE, "Service not available now.")
        }
        AppendError::Failed(_) => refusal("Create mapped file failed."),
        AppendError::Busy(_) => refusal("OS page cache busy, please try another machine"),
    }
}

/// The mark that a half message is over (B-256, B-257).
fn mark_of(broker: &Broker, half: &Record<'_>) -> NewMessage {
    let to = (system::OP_HALF_TOPIC, half.queue_id());
    own_message(broker, to, half.queue_offset().to_string(), over_properties())
}

fn over_properties() -> String {
    let mut fields = JavaProperties::parse("");
    fields.set(properties::TAGS, OVER_TAG);
    fields.set(properties::WAIT, "true");
    fields.into_text()
}

/// 323: gives a half message that was given up to the checks again, as if it was never checked (B-268). 4.9.4 takes any
/// record, and unpacks its body without saying so in its flags. Blocks.
pub(super) fn resume(broker: &Arc<Broker>, request: &Command, by: &Connection) -> Answer {
    const BACK: &str = "putting message back to RMQ_SYS_TRANS_HALF_TOPIC.";
    let exception = || refusal(&format!("Exception was thrown when {BACK}"));
    let id: MessageId =
        request.field("msgId").and_then(|id| id.parse().ok()).ok_or_else(exception)?;
    let bytes = broker.store.record_at(id.offset)?.ok_or_else(exception)?;
    let half = Record::parse(&bytes).map_err(|_| exception())?;
    let is_half = [system::HALF_TOPIC, system::CHECK_MAX_TIME_TOPIC].contains(&half.topic());
    let (topic, _) = destination(&half).filter(|_| is_half).ok_or_else(exception)?;
    let mut fields = JavaProperties::parse(half.properties());
    fields.set(properties::TRANSACTION_CHECK_TIMES, "0");
    let to = (system::HALF_TOPIC, QUEUE);
    let message = copy_of(&half, bytes.slice_ref(half.body()), to, fields.into_text());
    if let Err(error) = append(&broker.store, message) {
        tracing::warn!(%id, %error, "a half message is not put back");
        return Err(refusal("Put message back to RMQ_SYS_TRANS_HALF_TOPIC failed."));
    }
    tracing::info!(%id, topic, by = %by.remote(), "a half message is checked again");
    Ok(Command::response(response::SUCCESS))
}

#[cfg(test)]
#[path = "transactions_tests.rs"]
pub(super) mod tests;
