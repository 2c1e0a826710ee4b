//! Messages that wait for a time of their own, as 5.x's clients ask for it; 4.9.4 has nothing like it.
//!
//! | property | what |
//! | --- | --- |
//! | `TIMER_DELAY_SEC`, `TIMER_DELAY_MS` | deliver so much later |
//! | `TIMER_DELIVER_MS` | deliver at this time, in milliseconds since 1970 |
//! | `TIMER_OUT_MS` | what the broker made of these: when it is due |
//!
//! The first of them in this order counts, and a delay level before all of them, as with 5.x. A half message's time
//! counts from its commit: 5.x's end of transactions knows these times too, but its brokers let the half message
//! itself wait, so that its end does not find it (`HookUtils.handleScheduleMessage` looks at flags that
//! `parseHalfMessageInner` took away). Such a message waits in
//! `rmq_sys_wheel_timer` and is then stored in its own queue; `store::Timers` knows which ones wait. A 4.9.4 broker
//! keeps these records as those of any topic, and never delivers them: what waits goes on when a node of ours has the
//! log again. Invariants: a message stops waiting by the very record that delivers, moves or cancels it, so that it
//! is delivered once, over crashes and takeovers too, as long as its log survives; what is to be deleted with its
//! segment is stored again before.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::answers::{Answer, Refusal};
use super::copies::{append, append_all, bound_for, copy_of, own_message};
use super::java_properties::JavaProperties;
use super::{Broker, delay, send};
use crate::message::{NewMessage, Record, properties, sys_flag};
use crate::model::{PhysicalOffset, QueueId, TopicName, system};
use crate::remoting::bodies::extension::{self, CancelTimer, ListTimers, TimerRow, TimersPart};
use crate::remoting::{Command, response};
use crate::store::{AppendError, ReadError, Timer};
use crate::task;
use crate::transport::Connection;

/// The queue of the timer topic that everything waits in.
pub(super) const QUEUE: QueueId = QueueId(0);
/// The longest delay: 40 days.
const DELAY_MAX_MS: i64 = 40 * 24 * 3_600_000;
/// What a message asks for its time with, in the order in which they count, and milliseconds of their unit.
const WISHES: [(&str, i64); 3] = [
    (properties::TIMER_DELAY_SEC, 1000),
    (properties::TIMER_DELAY_MS, 1),
    (properties::TIMER_DELIVER_MS, 1),
];
/// Messages that are delivered or moved with one write, and their bytes, unless the last one has more.
const TURN_MESSAGES_MAX: usize = 256;
const TURN_BYTES_MAX: u64 = 1 << 20;
/// Messages whose records are to be deleted that are looked for at once: all that wait are read for it.
const MOVED_MAX: usize = 100_000;
/// The pause after something failed.
const FAILURE_PAUSE: Duration = Duration::from_millis(100);
/// The longest sleep: so late is noticed that the clock was set, or that something is to be moved.
const SLEEP_MAX: Duration = Duration::from_secs(1);
/// The most messages in one answer to 9008.
const LISTED_MAX: usize = 1000;
/// How many messages of one id are looked at when it is cancelled: a moved one is there more than once.
const SAME_ID_MAX: usize = 64;

/// Takes the wishes away from a message that has a delay level: that one counts, as with 5.x.
pub(super) fn ignore(fields: &mut JavaProperties<'_>) {
    for (name, _) in WISHES {
        fields.remove(name);
    }
}

/// When a message is due, in milliseconds since 1970; `None` if it asks for no time, or for one that is over. One that
/// waited already asks for none (5.x's rule): consumers give messages back with all their properties. Half messages are
/// held against this when they are sent, and wait from their commit on.
pub(super) fn due_of(
    fields: &JavaProperties<'_>,
    sys_flag: i32,
    now_ms: i64,
) -> Result<Option<i64>, Refusal> {
    let wish = WISHES.iter().find_map(|(name, unit)| Some((*name, *unit, fields.get(name)?)));
    let Some((name, unit_ms, text)) = wish else { return Ok(None) };
    if fields.get(properties::TIMER_OUT_MS).is_some() {
        return Ok(None);
    }
    if sys_flag & sys_flag::TRANSACTION_MASK != 0 {
        let remark = format!(
            "a message with the flags of a transaction that is no half message cannot wait: leave {name} out"
        );
        return Err(illegal(remark));
    }
    let number: i64 = text.parse().map_err(|_| {
        let text: String = text.chars().take(40).collect();
        illegal(format!("the property {name} is `{text}`: write a whole number"))
    })?;
    let is_delay = name != properties::TIMER_DELIVER_MS;
    let base_ms = if is_delay { now_ms } else { 0 };
    let due_ms = number.saturating_mul(unit_ms).saturating_add(base_ms);
    if due_ms <= now_ms {
        return Ok(None);
    }
    if due_ms - now_ms > DELAY_MAX_MS {
        let remark = format!(
            "the property {name} is {number}: the message would wait for longer than 40 days"
        );
        return Err(illegal(remark));
    }
    if fields.get(properties::TIMER_DEL_UNIQKEY).is_some() {
        let remark = "the property TIMER_DEL_UNIQKEY cancels nothing here: use `rmq-node admin timers cancel`";
        return Err(illegal(remark.to_owned()));
    }
    Ok(Some(due_ms))
}

/// Refuses a batch in whose properties, or in those of one of its messages, is a wish: it would be lost.
pub(super) fn refuse_in_batch(text: &str) -> Result<(), Refusal> {
    // One look at the text is all that usual batches pay.
    let is_asked = text.contains("TIMER_DEL")
        && WISHES.iter().any(|(name, _)| properties::find(text, name).is_some());
    if is_asked {
        let remark = "messages of a batch cannot wait for a time: send those with TIMER_ properties one by one";
        return Err(illegal(remark.to_owned()));
    }
    Ok(())
}

fn illegal(remark: String) -> Refusal {
    Refusal::new(response::MESSAGE_ILLEGAL, remark)
}

/// The properties text of a message that is to wait, and then to go to a queue of `topic`.
pub(super) fn waiting(
    fields: JavaProperties<'_>,
    due_ms: i64,
    topic: &TopicName,
    queue_id: QueueId,
) -> String {
    let due_ms = due_ms.to_string();
    let mut fields = fields;
    fields.set(properties::TIMER_OUT_MS, &due_ms);
    bound_for(fields, topic, queue_id)
}

/// Delivers until `stop`.
pub(super) async fn run(broker: Arc<Broker>, stop: CancellationToken) {
    let mut moves = Moves::default();
    while !stop.is_cancelled() {
        let (looking, stopping) = (Arc::clone(&broker), stop.clone());
        let looked = task::spawn_blocking("timers", move || {
            let _moving = looking.timer_moves.lock();
            if stopping.is_cancelled() {
                return (Ok(Next::Sleep), moves);
            }
            (look(&looking, &mut moves), moves)
        });
        let Ok((looked, rest)) = looked.await else { return };
        moves = rest;
        let timers = broker.store.timers();
        let pause = match looked {
            Ok(Next::GoOn) => continue,
            Ok(Next::Sleep) => {
                let pause_ms = timers.next_look_at().saturating_sub(broker.clock.now_ms());
                Duration::from_millis(u64::try_from(pause_ms).unwrap_or(0)).min(SLEEP_MAX)
            }
            Err(error) => {
                tracing::debug!(%error, "messages wait longer than they should");
                FAILURE_PAUSE
            }
        };
        let sleep = async {
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = timers.comes_earlier() => {}
            }
        };
        if stop.run_until_cancelled(sleep).await.is_none() {
            return;
        }
    }
}

impl Broker {
    /// How many messages with a time of their own are due within seconds, and how late the next one is; nothing of a
    /// slave, which delivers none.
    #[must_use]
    pub fn timers_due_soon(&self) -> Option<(usize, Duration)> {
        let (count, first_ms) = self.store.timers().loaded();
        let late_ms = first_ms.map_or(0, |first_ms| self.clock.now_ms().saturating_sub(first_ms));
        let late = Duration::from_millis(u64::try_from(late_ms).unwrap_or(0));
        (!self.is_slave()).then_some((count, late))
    }
}

/// What is next.
#[derive(Clone, Copy, Debug)]
enum Next {
    /// There may be more to do at once.
    GoOn,
    Sleep,
}

/// Delivers some of what is due and moves some of what is to be deleted. Blocks.
fn look(broker: &Broker, moves: &mut Moves) -> anyhow::Result<Next> {
    if !broker.member.is_serving() {
        anyhow::bail!("this master does not serve yet");
    }
    let timers = broker.store.timers();
    let due = timers.due(broker.clock.now_ms(), TURN_MESSAGES_MAX)?;
    let is_any_due = !due.is_empty();
    if is_any_due {
        deliver(broker, &due)?;
    }
    let is_moving = moves.step(broker)?;
    Ok(if is_any_due || is_moving { Next::GoOn } else { Next::Sleep })
}

/// Messages whose records are to be deleted, and are stored again before.
#[derive(Debug, Default)]
struct Moves {
    rest: Vec<Timer>,
    /// Nothing waits below.
    done_below: PhysicalOffset,
}

impl Moves {
    /// Moves some; returns whether there may be more.
    fn step(&mut self, broker: &Broker) -> anyhow::Result<bool> {
        let timers = broker.store.timers();
        let wanted_below = timers.wanted_below();
        if self.rest.is_empty() && wanted_below > self.done_below {
            let Some(found) = timers.below(wanted_below, MOVED_MAX)? else { return Ok(false) };
            if found.is_empty() {
                self.done_below = wanted_below;
            }
            self.rest = found;
        }
        let (mut turn, mut looked_at) = (Turn::default(), 0);
        // What fails is found again.
        while looked_at < TURN_MESSAGES_MAX
            && !turn.is_full()
            && let Some(timer) = self.rest.pop()
        {
            looked_at += 1;
            // It may have been delivered since.
            if timers.is_waiting(timer)? {
                turn.add(moved(broker, timer)?);
            }
        }
        for result in append_all(&broker.store, turn.messages) {
            result?;
        }
        Ok(!self.rest.is_empty() || wanted_below > self.done_below)
    }
}

/// What is written at once: of long messages few, whose bodies are all held until then.
#[derive(Default)]
struct Turn {
    messages: Vec<NewMessage>,
    bytes: u64,
}

impl Turn {
    fn add(&mut self, message: NewMessage) {
        self.bytes += send::record_bytes(&message);
        self.messages.push(message);
    }

    fn is_full(&self) -> bool {
        self.bytes >= TURN_BYTES_MAX
    }
}

/// What is stored for a message that is due, and whether it is dropped.
fn delivered(broker: &Broker, timer: Timer) -> Result<(bool, NewMessage), ReadError> {
    let bytes = broker.store.record_at(timer.offset)?;
    let message = bytes.and_then(|bytes| {
        let record = Record::parse(&bytes).ok()?;
        delay::delivered(broker, &bytes, &record)
    });
    Ok(message.map_or_else(
        || {
            tracing::error!(at = %timer.offset, due_ms = timer.due_ms, "a message whose time has come cannot be delivered: dropped");
            (true, end(broker, timer, ""))
        },
        |message| (false, after(timer, message)),
    ))
}

/// Stores messages that are due where they are for, the first ones of them; those that cannot be read now go on waiting.
fn deliver(broker: &Broker, due: &[Timer]) -> anyhow::Result<()> {
    let (mut turn, mut taken, mut read) = (Turn::default(), Vec::new(), Ok(()));
    for timer in due {
        if turn.is_full() {
            break;
        }
        match delivered(broker, *timer) {
            Ok((is_dropped, message)) => {
                taken.push((timer, is_dropped));
                turn.add(message);
            }
            Err(error) => read = Err(error),
        }
    }
    let messages = turn.messages;
    let counted: Vec<_> = messages
        .iter()
        .map(|message| (message.topic.clone(), send::record_bytes(message)))
        .collect();
    let results = append_all(&broker.store, messages);
    for (((timer, is_dropped), (topic, bytes)), result) in
        taken.into_iter().zip(counted).zip(results)
    {
        match result {
            Ok(_) if is_dropped => {}
            Ok(_) => broker.statistics.messages_in(topic.as_str(), 1, bytes),
            Err(error @ (AppendError::Illegal(_) | AppendError::TooLarge { .. })) => {
                tracing::error!(topic = topic.as_str(), %error, "a message whose time has come can never be delivered: dropped");
                append(&broker.store, end(broker, *timer, ""))?;
            }
            Err(error) => {
                broker.statistics.append_failed();
                return Err(error.into());
            }
        }
    }
    Ok(read?)
}

/// A message that waits, once more.
fn moved(broker: &Broker, timer: Timer) -> Result<NewMessage, ReadError> {
    let bytes = broker.store.record_at(timer.offset)?;
    let copy = bytes.as_ref().and_then(|bytes| {
        let record = Record::parse(bytes).ok()?;
        let body = bytes.slice_ref(record.body());
        let to = (system::TIMER_TOPIC, QUEUE);
        let copy = copy_of(&record, body, to, record.properties().to_owned());
        Some(after(timer, copy))
    });
    Ok(copy.unwrap_or_else(|| {
        tracing::error!(at = %timer.offset, "a message that waits cannot be read: dropped");
        end(broker, timer, "")
    }))
}

/// A message as the successor of a record that waited; see `store::dispatch::TimerChange`.
fn after(timer: Timer, message: NewMessage) -> NewMessage {
    let prepared_transaction_offset = timer.offset.to_wire().saturating_add(1);
    NewMessage { prepared_transaction_offset, ..message }
}

/// The record that says that a message does not wait any more.
fn end(broker: &Broker, timer: Timer, id: &str) -> NewMessage {
    let (due_ms, offset) = (timer.due_ms.to_string(), timer.offset.to_string());
    let mut fields = JavaProperties::parse("");
    fields.set(properties::TIMER_OUT_MS, &due_ms);
    fields.set(properties::TIMER_DEL_UNIQKEY, if id.is_empty() { &offset } else { id });
    let to = (system::TIMER_TOPIC, QUEUE);
    let text = fields.into_text();
    after(timer, own_message(broker, to, offset, text))
}

/// 9007: cancels the messages of an id that wait, or looks whether there are any. Blocks.
pub(super) fn cancel(broker: &Arc<Broker>, request: &Command, by: &Connection) -> Answer {
    let CancelTimer { id, dry_run } = extension::parse(&request.body)?;
    if broker.is_slave() {
        return Err(failed("this is a slave: ask the master of its group"));
    }
    if !broker.member.is_serving() {
        return Err(failed("this master does not serve yet"));
    }
    let _moving = broker.timer_moves.lock();
    let unreadable = |error: &dyn std::fmt::Display| failed(&format!("not now: {error}"));
    let found = broker
        .store
        .query(system::TIMER_TOPIC, &id, SAME_ID_MAX, 0..=i64::MAX)
        .map_err(|error| unreadable(&error))?;
    let mut cancelled = 0;
    for bytes in found.records {
        let Some(timer) = Record::parse(&bytes).ok().and_then(|record| timer_of(&record, &id))
        else {
            continue;
        };
        if broker.store.timers().is_waiting(timer).map_err(|error| unreadable(&error))? {
            if !dry_run {
                append(&broker.store, end(broker, timer, &id))
                    .map_err(|error| unreadable(&error))?;
            }
            cancelled += 1;
        }
    }
    if cancelled == 0 {
        let remark = format!("no message of the id {id} waits here for its time");
        return Err(Refusal::new(response::QUERY_NOT_FOUND, remark));
    }
    if !dry_run {
        tracing::info!(id, by = %by.remote(), "a message is not delivered at its time: it was cancelled");
    }
    Ok(Command::response(response::SUCCESS))
}

/// 9008: what waits, in parts; of a slave too, which knows it from the log. Blocks.
pub(super) fn list(broker: &Arc<Broker>, request: &Command, _: &Connection) -> Answer {
    let asked: ListTimers = extension::parse(&request.body)?;
    let unreadable = |error: &dyn std::fmt::Display| failed(&format!("not now: {error}"));
    let unknown = || failed("not now: what waits is being read from the log");
    let timers = broker.store.timers();
    let from = Timer { due_ms: asked.from_ms.max(0), offset: PhysicalOffset(asked.from_offset) };
    let part = timers.part(from, asked.count_max.min(LISTED_MAX));
    let part = part.map_err(|error| unreadable(&error))?.ok_or_else(unknown)?;
    let count = if asked.counts {
        let count = timers.count().map_err(|error| unreadable(&error))?.ok_or_else(unknown)?;
        Some(u64::try_from(count).unwrap_or(u64::MAX))
    } else {
        None
    };
    let row = |timer: &Timer| {
        // One that cannot be read now keeps nobody from seeing the others: it is told by its time alone.
        let bytes = broker.store.record_at(timer.offset).ok().flatten();
        let text = bytes.as_ref().and_then(|bytes| Some(Record::parse(bytes).ok()?.properties()));
        let property = |name| properties::find(text?, name).map(str::to_owned);
        TimerRow {
            due_ms: timer.due_ms,
            topic: property(properties::REAL_TOPIC).unwrap_or_default(),
            id: property(properties::UNIQ_KEY).unwrap_or_default(),
        }
    };
    let rows = part.timers.iter().map(row).collect();
    let next = part.next.map(|next| (next.due_ms, next.offset.0));
    let body = extension::to_bytes(&TimersPart { rows, next, count });
    Ok(Command::response(response::SUCCESS).with_body(body))
}

fn failed(remark: &str) -> Refusal {
    Refusal::new(response::SYSTEM_ERROR, remark)
}

/// What a record of the timer topic waits for, if its message has this id.
fn timer_of(record: &Record<'_>, id: &str) -> Option<Timer> {
    let text = record.properties();
    let is_it = record.topic() == system::TIMER_TOPIC
        && properties::find(text, properties::UNIQ_KEY) == Some(id);
    let due_ms = properties::find(text, properties::TIMER_OUT_MS)?.parse().ok()?;
    let offset: PhysicalOffset = record.physical_offset();
    is_it.then_some(Timer { due_ms, offset })
}

#[cfg(test)]
#[path = "timers_tests.rs"]
mod tests;
