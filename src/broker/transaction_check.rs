//! Asks producers what became of half messages that nobody ended (39; B-260 to B-267).
//!
//! Not their answers (`transactions`). A run goes through the half queue from where the last one stopped. What is over
//! is stepped over; of the rest, what is old enough is stored again at the queue's end, so that the position can pass
//! it, and a producer of its group is asked; what was asked for too often is given up. Records and positions are
//! 4.9.4's, which are those of a consumer group. Only a master checks.
//!
//! Better than 4.9.4: all marks of the op queue are read before anybody is asked; the answer to the last check is
//! waited for; a half message that is not to be checked yet is not counted as checked, and one that was ended where it
//! was before it was put back is found, as long as the broker runs; what cannot be stored again is not passed. Invariants:
//! the position passes a half message only when it is over or stored again, and a mark only when nothing ahead is known
//! that it is of.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio_util::sync::CancellationToken;

use super::copies::{append, copy_of, destination};
use super::java_properties::JavaProperties;
use super::transactions::{OVER_TAG, QUEUE, TransactionOptions};
use super::{Broker, topics};
use crate::message::{self, MessageId, Record, properties};
use crate::model::{Permission, system};
use crate::remoting::{Command, request};
use crate::store::{All, AppendError, Appended, PullRequest, PullStatus, Pulled};
use crate::task;

/// After so long a run ends, and the next one goes on (B-260).
const RUN_MAX_MS: i64 = 60_000;
/// Half messages that one run goes through at most: it remembers which of them are over.
const RUN_MESSAGES_MAX: u64 = 1 << 18;
/// Marks that are read together (B-261).
const MARKS_AT_ONCE: u32 = 32;
/// The longest sleep between two looks at the clock.
const SLEEP_MAX: Duration = Duration::from_secs(1);

/// Checks until `stop`, an interval after `last` for the first time (B-013).
pub(super) async fn keep_checking(broker: Arc<Broker>, mut last: Instant, stop: CancellationToken) {
    let interval_ms = broker.options.transactions.check_interval_ms;
    let interval = Duration::from_millis(u64::try_from(interval_ms).unwrap_or(0));
    loop {
        let waited = broker.clock.monotonic().saturating_duration_since(last);
        if let Some(rest) = interval.checked_sub(waited).filter(|rest| !rest.is_zero()) {
            let pause = tokio::time::sleep(rest.min(SLEEP_MAX));
            if stop.run_until_cancelled(pause).await.is_none() {
                return;
            }
            continue;
        }
        // From beginning to beginning: 4.9.4 waits for the whole interval after each run.
        last = broker.clock.monotonic();
        let mut has_more = true;
        while has_more {
            let (checking, stopping) = (Arc::clone(&broker), stop.clone());
            let run =
                task::spawn_blocking("transaction checks", move || check(&checking, &stopping));
            let Ok(more) = run.await else { return };
            has_more = more;
        }
    }
}

/// One run; returns whether there is more to go through at once. Blocks.
fn check(broker: &Broker, stop: &CancellationToken) -> bool {
    let mut put_back = broker.checks.lock();
    if !broker.member.is_serving() {
        return false;
    }
    // B-051; the op topic never has a configuration (S-16).
    topics::create_in_send_back(broker, system::HALF_TOPIC, 1, Permission::READ_WRITE, 0);
    let Some(mut run) = Run::new(broker, &mut put_back) else { return false };
    let ended = loop {
        if stop.is_cancelled() {
            break Ended::Stopped;
        }
        match run.step() {
            Step::On => {}
            Step::End(ended) => break ended,
        }
    };
    run.note_positions();
    ended == Ended::InTheMiddle
}

/// Why a run is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    /// All that there is to do was done, or something failed: the rest is for the next time.
    Done,
    /// There is more than one run does.
    InTheMiddle,
    Stopped,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    On,
    End(Ended),
}

/// One way through the half queue.
struct Run<'a> {
    broker: &'a Broker,
    options: TransactionOptions,
    started_at: i64,
    /// The half message that is looked at next, and where the run began.
    next: u64,
    first: u64,
    /// The mark that is read next, and where the run began.
    next_mark: u64,
    first_mark: u64,
    /// The marks read whose half messages were not come to yet: offset of the half message, and of the mark.
    over: HashMap<u64, u64>,
    /// The first mark of a half message that this run does not get to.
    first_mark_beyond: Option<u64>,
    /// Where half messages were first that are ahead now: their producers may only know them there.
    put_back: &'a mut HashSet<u64>,
}

impl<'a> Run<'a> {
    /// `None` if a queue cannot be read now.
    fn new(broker: &'a Broker, put_back: &'a mut HashSet<u64>) -> Option<Self> {
        let (first, first_mark) =
            (position(broker, system::HALF_TOPIC)?, position(broker, system::OP_HALF_TOPIC)?);
        Some(Self {
            broker,
            options: broker.options.transactions,
            started_at: broker.clock.now_ms(),
            next: first,
            first,
            next_mark: first_mark,
            first_mark,
            over: HashMap::new(),
            first_mark_beyond: None,
            put_back,
        })
    }

    /// Looks at the next half message.
    fn step(&mut self) -> Step {
        let now = self.broker.clock.now_ms();
        if self.next >= self.end() || now.saturating_sub(self.started_at) > RUN_MAX_MS {
            return Step::End(Ended::InTheMiddle);
        }
        if self.over.remove(&self.next).is_some() {
            self.next += 1;
            return Step::On;
        }
        let Some(pulled) = self.pull(system::HALF_TOPIC, self.next, 1) else {
            return Step::End(Ended::Done);
        };
        let Ok(half) = Record::parse(&pulled.body) else {
            return self.nothing_there(&pulled);
        };
        self.next = half.queue_offset().0;
        // B-263: what this run stored again is for the next one.
        if half.store_timestamp() >= self.started_at {
            return Step::End(Ended::Done);
        }
        let age_ms = now.saturating_sub(half.born_timestamp());
        let immunity_ms = immunity_ms(&half, self.options.timeout_ms);
        // B-264; a negative age is a clock that goes wrong.
        if immunity_ms.is_none() && (0..self.options.timeout_ms).contains(&age_ms) {
            return Step::End(Ended::Done);
        }
        if !self.read_marks() {
            return Step::End(Ended::Done);
        }
        if self.is_over(&half) {
            self.next += 1;
            return Step::On;
        }
        let result = if self.is_given_up(&half, age_ms) {
            self.give_up(&half, &pulled.body)
        } else if immunity_ms.is_some_and(|immunity_ms| age_ms < immunity_ms) {
            self.put_back_unchecked(&half, &pulled.body)
        } else {
            self.ask(&half, &pulled.body)
        };
        match result {
            Ok(()) => {
                self.next += 1;
                Step::On
            }
            Err(error) => {
                self.broker.statistics.append_failed();
                tracing::warn!(offset = self.next, %error, "half messages are checked later");
                Step::End(Ended::Done)
            }
        }
    }

    /// Where the run ends at the latest.
    fn end(&self) -> u64 {
        self.first.saturating_add(RUN_MESSAGES_MAX)
    }

    /// Steps over what is gone.
    fn nothing_there(&mut self, pulled: &Pulled) -> Step {
        let is_end =
            matches!(pulled.status, PullStatus::NoMessageInQueue | PullStatus::OffsetOverflowOne);
        if is_end || pulled.next_offset.0 == self.next {
            return Step::End(Ended::Done);
        }
        self.next = pulled.next_offset.0;
        Step::On
    }

    fn pull(&self, topic: &str, offset: u64, count_max: u32) -> Option<Pulled> {
        let offset = i64::try_from(offset).unwrap_or(i64::MAX);
        let request = PullRequest { topic, queue_id: QUEUE, offset, count_max, filter: &All };
        let pulled = self.broker.store.pull_own(&request);
        pulled.inspect_err(|error| tracing::debug!(topic, %error, "half messages wait")).ok()
    }

    /// Reads all marks there are by now; false if that fails.
    fn read_marks(&mut self) -> bool {
        loop {
            let Some(pulled) = self.pull(system::OP_HALF_TOPIC, self.next_mark, MARKS_AT_ONCE)
            else {
                return false;
            };
            let mut rest = &pulled.body[..];
            while let Ok(mark) = Record::parse(rest) {
                rest = &rest[mark.bytes().len()..];
                self.read_mark(&mark);
            }
            let is_end = matches!(
                pulled.status,
                PullStatus::NoMessageInQueue | PullStatus::OffsetOverflowOne
            );
            if is_end || pulled.next_offset.0 == self.next_mark {
                return true;
            }
            self.next_mark = pulled.next_offset.0;
        }
    }

    fn read_mark(&mut self, mark: &Record<'_>) {
        let half = std::str::from_utf8(mark.body()).ok().and_then(|text| text.parse().ok());
        let is_mark = properties::find(mark.properties(), properties::TAGS) == Some(OVER_TAG);
        let Some(half) = half.filter(|_| is_mark) else {
            tracing::error!(at = %mark.physical_offset(), "a mark that is none is in the op queue: ignored");
            return;
        };
        let mark = mark.queue_offset().0;
        if half >= self.end() {
            self.first_mark_beyond.get_or_insert(mark);
        } else if half >= self.next
            || self.over.len() < usize::try_from(RUN_MESSAGES_MAX).unwrap_or(usize::MAX)
        {
            // The marks of what is behind already are for those of them that were put back.
            self.over.insert(half, mark);
        }
    }

    /// Whether a half message, or the one that it was before it was put back, was ended.
    fn is_over(&mut self, half: &Record<'_>) -> bool {
        let before = was_at(half);
        let is_over = self.over.remove(&half.queue_offset().0).is_some()
            || before.is_some_and(|before| self.over.remove(&before).is_some());
        if is_over {
            self.forget(half);
        }
        is_over
    }

    /// A half message that was put back is not ahead any more.
    fn forget(&mut self, half: &Record<'_>) {
        if let Some(before) = was_at(half) {
            self.put_back.remove(&before);
        }
    }

    /// Stores a half message again that asks not to be checked yet (B-264).
    fn put_back_unchecked(&mut self, half: &Record<'_>, bytes: &Bytes) -> Result<(), AppendError> {
        let before = was_at(half).unwrap_or(half.queue_offset().0);
        let text = before.to_string();
        let mut fields = JavaProperties::parse(half.properties());
        fields.set(properties::PREPARED_QUEUE_OFFSET, &text);
        fields.set(properties::WAIT, "false");
        self.put_back(half, bytes, fields.into_text())?;
        if self.put_back.len() < usize::try_from(RUN_MESSAGES_MAX).unwrap_or(usize::MAX) {
            self.put_back.insert(before);
        }
        Ok(())
    }

    fn put_back(
        &self,
        half: &Record<'_>,
        bytes: &Bytes,
        properties: String,
    ) -> Result<Appended, AppendError> {
        let (to, body) = ((system::HALF_TOPIC, half.queue_id()), bytes.slice_ref(half.body()));
        let copy = copy_of(half, body, to, properties);
        append(&self.broker.store, copy)
    }

    /// Whether it was checked often enough, or is older than anything that is kept (B-262).
    fn is_given_up(&self, half: &Record<'_>, age_ms: i64) -> bool {
        const HOUR_MS: i64 = 3_600_000;
        let retention_hours = self.broker.store.options().retention.get().hours;
        let kept_ms = i64::try_from(retention_hours).unwrap_or(i64::MAX).saturating_mul(HOUR_MS);
        times_checked(half) >= self.options.checks_max || age_ms > kept_ms
    }

    /// Moves a half message where an operator finds it.
    fn give_up(&mut self, half: &Record<'_>, bytes: &Bytes) -> Result<(), AppendError> {
        let topic = system::CHECK_MAX_TIME_TOPIC;
        topics::create_in_send_back(self.broker, topic, 1, Permission::READ_WRITE, 0);
        let text = JavaProperties::parse(half.properties()).into_text();
        let body = bytes.slice_ref(half.body());
        let copy = copy_of(half, body, (topic, QUEUE), text);
        append(&self.broker.store, copy)?;
        let real_topic = properties::find(half.properties(), properties::REAL_TOPIC);
        let id = properties::find(half.properties(), properties::UNIQ_KEY);
        let checks = times_checked(half);
        tracing::error!(
            real_topic,
            id,
            checks,
            "a transaction is given up: its half message is in {topic} now"
        );
        self.broker.metrics.transactions_discarded.inc();
        self.forget(half);
        Ok(())
    }

    /// Stores a half message again and asks a producer of its group (B-266).
    fn ask(&self, half: &Record<'_>, bytes: &Bytes) -> Result<(), AppendError> {
        let times = times_checked(half).saturating_add(1).to_string();
        let mut fields = JavaProperties::parse(half.properties());
        fields.set(properties::TRANSACTION_CHECK_TIMES, &times);
        let copied = self.put_back(half, bytes, fields.into_text())?;
        let group = properties::find(half.properties(), properties::PRODUCER_GROUP);
        let producer = group.and_then(|group| self.broker.clients.producer_to_ask(group));
        let question = question(half, bytes, copied, &times);
        match (producer, question) {
            (Some(producer), Some(question)) => {
                producer.send_oneway(question);
                self.broker.metrics.transaction_checks.inc();
            }
            (None, _) => {
                tracing::warn!(group, "a transaction waits: no producer of its group is connected")
            }
            (_, None) => {
                tracing::error!(at = %half.physical_offset(), "a half message that cannot be asked for: given up in the end")
            }
        }
        Ok(())
    }

    /// Notes how far the run came.
    fn note_positions(&self) {
        let is_ahead = |half: &u64| *half >= self.next || self.put_back.contains(half);
        let waiting = self.over.iter().filter(|(half, _)| is_ahead(half));
        let first_waiting = waiting.map(|(_, mark)| *mark).chain(self.first_mark_beyond).min();
        let offsets = &self.broker.store.tables().consumer_offsets;
        for (topic, before, now) in [
            (system::HALF_TOPIC, self.first, self.next),
            (system::OP_HALF_TOPIC, self.first_mark, first_waiting.unwrap_or(self.next_mark)),
        ] {
            if before != now {
                let now = i64::try_from(now).unwrap_or(i64::MAX);
                offsets.commit(topic, system::TRANSACTION_GROUP, QUEUE, now);
            }
        }
    }
}

/// How far the group that checks is in a queue (B-260); `None` if the queue cannot be read now.
fn position(broker: &Broker, topic: &str) -> Option<u64> {
    let known =
        broker.store.tables().consumer_offsets.query(topic, system::TRANSACTION_GROUP, QUEUE);
    match known.and_then(|offset| u64::try_from(offset).ok()) {
        Some(offset) => Some(offset),
        None => broker.store.queue_range(topic, QUEUE, true).ok().map(|(first, _)| first.0),
    }
}

/// How often it was checked (B-262).
fn times_checked(half: &Record<'_>) -> i32 {
    let times = properties::find(half.properties(), properties::TRANSACTION_CHECK_TIMES);
    times.and_then(|times| times.parse().ok()).unwrap_or(0)
}

/// Where a half message was in its queue before it was put back unchecked.
fn was_at(half: &Record<'_>) -> Option<u64> {
    properties::find(half.properties(), properties::PREPARED_QUEUE_OFFSET)?.parse().ok()
}

/// For how long it asks not to be checked (B-264): `timeout_ms` if that cannot be read, `None` if it does not ask.
fn immunity_ms(half: &Record<'_>, timeout_ms: i64) -> Option<i64> {
    let seconds = properties::find(half.properties(), properties::CHECK_IMMUNITY_S)?;
    // 4.9.4 reads -1 as what is no number.
    let seconds = seconds.parse::<i64>().ok().filter(|seconds| *seconds != -1);
    Some(seconds.map_or(timeout_ms, |seconds| seconds.saturating_mul(1000)))
}

/// The request 39 about a half message that is stored again as `copied` (B-267).
fn question(half: &Record<'_>, bytes: &Bytes, copied: Appended, times: &str) -> Option<Command> {
    let (topic, queue_id) = destination(half)?;
    let mut fields = JavaProperties::parse(half.properties());
    fields.set(properties::TRANSACTION_CHECK_TIMES, times);
    fields.set(properties::WAIT, "false");
    let body = bytes.slice_ref(half.body());
    let shown = copy_of(half, body, (topic, queue_id), fields.into_text());
    let mut record = message::encode(&shown).ok()?;
    message::stamp(
        &mut record,
        copied.queue_offset,
        copied.physical_offset,
        half.store_timestamp(),
    );
    let id = MessageId { store_host: half.store_host(), offset: copied.physical_offset };
    let unique = properties::find(half.properties(), properties::UNIQ_KEY);
    let mut question = Command::request(request::CHECK_TRANSACTION_STATE);
    // In the order of 4.9.4's hash map.
    question.set_field("commitLogOffset", copied.physical_offset);
    if let Some(unique) = unique {
        question.set_field("msgId", unique);
    }
    question.set_field("tranStateTableOffset", copied.queue_offset);
    question.set_field("offsetMsgId", id);
    if let Some(unique) = unique {
        question.set_field("transactionId", unique);
    }
    Some(question.with_body(Bytes::from(record)))
}

#[cfg(test)]
#[path = "transaction_check_tests.rs"]
mod tests;
