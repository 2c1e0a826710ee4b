//! Delay levels: messages that wait in SCHEDULE_TOPIC_XXXX, a queue a level, until they are due (B-270 to B-276).
//!
//! Not which messages wait: senders ask [`level_of`] and store what [`scheduled`] says. One task serves all levels.
//! It sleeps until the next message is due; a level that is empty is looked at again after its own delay, because what
//! comes meanwhile is not due earlier. Invariants: a level's position passes a message only when that is stored again,
//! or can never be; a level with much to deliver does not hold up the others.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio_util::sync::CancellationToken;

use super::answers::Refusal;
use super::copies::{AppendOutcome, append_all, bound_for, copy_of, destination};
use super::java_properties::JavaProperties;
use super::{Broker, send};
use crate::message::{NewMessage, Record, properties, sys_flag};
use crate::model::{PhysicalOffset, QueueId, QueueOffset, TopicName, system};
use crate::remoting::response;
use crate::store::{All, AppendError, PullRequest, PullStatus, Pulled, Store};
use crate::task;

/// Messages of one level that are delivered, with one write, before the next level has its turn.
const TURN_MESSAGES_MAX: u32 = 256;
/// The pause after something failed (B-273).
const FAILURE_PAUSE_MS: i64 = 100;
/// The pause while a part of the queues cannot be read.
const UNAVAILABLE_PAUSE_MS: i64 = 1000;
/// The shortest and the longest time until a level is looked at again: so much gathers at most, and so late is noticed
/// that the clock was set.
const LOOK_AGAIN_MS: (i64, i64) = (10, 10_000);
/// The longest sleep.
const SLEEP_MAX: Duration = Duration::from_secs(1);

/// The level, counted from 1, that a message's properties ask for; `None` if it is not to wait (B-270).
pub(super) fn level_of(
    broker: &Broker,
    fields: &JavaProperties<'_>,
    sys_flag: i32,
) -> Result<Option<u32>, Refusal> {
    let transaction = sys_flag & sys_flag::TRANSACTION_MASK;
    if transaction != 0 && transaction != sys_flag::TRANSACTION_COMMIT {
        return Ok(None);
    }
    let Some(text) = fields.get(properties::DELAY) else { return Ok(None) };
    let asked: i32 = text.parse().map_err(|_| {
        let text: String = text.chars().take(40).collect();
        let remark = format!("the property DELAY is not a number: `{text}`");
        Refusal::new(response::SYSTEM_ERROR, remark)
    })?;
    let levels = broker.store.options().delay_levels.count();
    let level = u32::try_from(asked).unwrap_or(0).min(u32::try_from(levels).unwrap_or(u32::MAX));
    Ok(Some(level).filter(|level| *level > 0))
}

/// The queue in which a level's messages wait (B-271).
pub(super) fn queue_of(level: u32) -> QueueId {
    QueueId(level.saturating_sub(1))
}

/// The properties text of a message that is to wait, and then to go to a queue of `topic`.
pub(super) fn scheduled(
    fields: JavaProperties<'_>,
    level: u32,
    topic: &TopicName,
    queue_id: QueueId,
) -> String {
    let level = level.to_string();
    let mut fields = fields;
    fields.set(properties::DELAY, &level);
    bound_for(fields, topic, queue_id)
}

/// Held while messages are stored again and the positions do not say so yet; has what is remembered until the next time.
#[derive(Debug, Default)]
pub(super) struct Moving<T = ()>(Mutex<T>);

impl<T> Moving<T> {
    pub fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until nothing is being stored again; after `stop` nothing will be. Blocks.
    pub fn finish(&self) {
        drop(self.lock());
    }
}

/// Delivers until `stop`.
pub(super) async fn run(broker: Arc<Broker>, stop: CancellationToken) {
    let mut levels = Levels::of(&broker);
    while !stop.is_cancelled() {
        let (looking, stopping) = (Arc::clone(&broker), stop.clone());
        let looked = task::spawn_blocking("delay levels", move || {
            let _delivering = looking.delivery.lock();
            if !stopping.is_cancelled() {
                levels.look(&looking);
            }
            levels
        });
        let Ok(looked) = looked.await else { return };
        levels = looked;
        let pause_ms = levels.next_look_at().saturating_sub(broker.clock.now_ms());
        let pause = Duration::from_millis(u64::try_from(pause_ms).unwrap_or(0)).min(SLEEP_MAX);
        // Sleeping takes a millisecond or two, however short it is meant to be.
        if pause.is_zero() {
            continue;
        }
        if stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
            return;
        }
    }
}

/// Where a message that waits is, in its level's queue and in the log.
type At = (QueueOffset, PhysicalOffset);

/// One delay level.
#[derive(Debug)]
struct Level {
    /// Counted from 1.
    level: u32,
    delay_ms: i64,
    /// When it is looked at again, in milliseconds since 1970.
    look_at: i64,
    /// Those that are done with behind one that could not be stored again: the position does not pass them yet.
    ahead: BTreeSet<At>,
}

/// All delay levels.
#[derive(Debug)]
struct Levels {
    levels: Vec<Level>,
    /// Whether the positions were brought into their queues' ranges (B-275).
    is_clamped: bool,
}

impl Levels {
    fn of(broker: &Broker) -> Self {
        let delays = &broker.store.options().delay_levels;
        let levels = (1..=delays.count()).filter_map(|level| {
            let delay_ms = delays.level_ms(level)?;
            Some(Level::new(u32::try_from(level).ok()?, delay_ms))
        });
        Self { levels: levels.collect(), is_clamped: false }
    }

    /// Looks after all levels whose time has come. Blocks.
    fn look(&mut self, broker: &Broker) {
        self.is_clamped = self.is_clamped || clamp(&broker.store, &self.levels).is_some();
        // Another master may have taken this one's place: it delivers them.
        if !self.is_clamped || !broker.member.is_serving() {
            let again = broker.clock.now_ms().saturating_add(UNAVAILABLE_PAUSE_MS);
            return self.levels.iter_mut().for_each(|level| level.look_at = again);
        }
        let now = broker.clock.now_ms();
        for level in self.levels.iter_mut().filter(|level| level.is_looked_at(now)) {
            level.look_at = level.deliver(broker);
        }
    }

    fn next_look_at(&self) -> i64 {
        self.levels.iter().map(|level| level.look_at).min().unwrap_or(i64::MAX)
    }
}

/// `None` if a queue cannot be read now.
fn clamp(store: &Store, levels: &[Level]) -> Option<()> {
    let ranges = levels.iter().map(|level| {
        let range = store.queue_range(system::SCHEDULE_TOPIC, queue_of(level.level), true);
        range.ok().map(|(first, next)| (queue_of(level.level).0, (first.0, next.0)))
    });
    let ranges: Vec<_> = ranges.collect::<Option<_>>()?;
    store.tables().delay_offsets.clamp(|queue| {
        let range = ranges.iter().find(|(of, _)| *of == queue);
        // Positions of levels that are no longer configured stay (B-276).
        range.map_or((0, u64::MAX), |(_, range)| *range)
    });
    Some(())
}

/// What a level's next messages are.
struct Turn {
    /// What is due.
    due: Vec<(At, NewMessage)>,
    /// The position once all that is delivered.
    next: QueueOffset,
    /// When the message there is due; `None` if there may be more that is due already.
    wait_until: Option<i64>,
}

impl Level {
    fn new(level: u32, delay_ms: i64) -> Self {
        Self { level, delay_ms, look_at: 0, ahead: BTreeSet::new() }
    }

    /// Whether its time has come, or is further away than any is: then the clock was put back since.
    fn is_looked_at(&self, now: i64) -> bool {
        let (_, longest) = LOOK_AGAIN_MS;
        !(now + 1..=now.saturating_add(longest)).contains(&self.look_at)
    }

    /// Delivers some of what is due; returns when to look again.
    fn deliver(&mut self, broker: &Broker) -> i64 {
        let now = broker.clock.now_ms();
        let offset = self.position(broker);
        let request = PullRequest {
            topic: system::SCHEDULE_TOPIC,
            queue_id: queue_of(self.level),
            offset,
            count_max: TURN_MESSAGES_MAX,
            filter: &All,
        };
        let pulled = match broker.store.pull_own(&request) {
            Ok(pulled) => pulled,
            Err(error) => {
                tracing::debug!(level = self.level, %error, "delayed messages wait");
                return now.saturating_add(UNAVAILABLE_PAUSE_MS);
            }
        };
        match pulled.status {
            PullStatus::Found => {
                let turn = self.turn(broker, &pulled, now);
                self.deliver_turn(broker, turn, now, append_all)
            }
            PullStatus::NoMessageInQueue | PullStatus::OffsetOverflowOne => self.later(now),
            // Messages are missing, or the queue began anew.
            _ if pulled.next_offset.to_wire() != offset => {
                let next = pulled.next_offset;
                tracing::warn!(level = self.level, position = offset, %next, status = ?pulled.status, "a delay level goes on behind messages that are damaged, or went with their files: were these kept for less than the messages wait?");
                self.ahead = self.ahead.split_off(&(next, PhysicalOffset(0)));
                self.set_position(broker, next);
                now
            }
            _ => now.saturating_add(UNAVAILABLE_PAUSE_MS),
        }
    }

    /// When an empty level is looked at again.
    fn later(&self, now: i64) -> i64 {
        let (shortest, longest) = LOOK_AGAIN_MS;
        now.saturating_add(self.delay_ms.clamp(shortest, longest))
    }

    /// Sorts what was pulled.
    fn turn(&mut self, broker: &Broker, pulled: &Pulled, now: i64) -> Turn {
        let mut turn = Turn { due: Vec::new(), next: pulled.next_offset, wait_until: None };
        let mut rest = &pulled.body[..];
        while let Ok(record) = Record::parse(rest) {
            rest = &rest[record.bytes().len()..];
            let due_at = record.store_timestamp().saturating_add(self.delay_ms);
            // Due later than a whole delay from now: the clock was put back since (B-272).
            if (now + 1..=now.saturating_add(self.delay_ms)).contains(&due_at) {
                turn.next = record.queue_offset();
                turn.wait_until = Some(due_at);
                break;
            }
            let at = (record.queue_offset(), record.physical_offset());
            if self.ahead.contains(&at) {
                continue;
            }
            match delivered(broker, &pulled.body, &record) {
                Some(message) => turn.due.push((at, message)),
                None => {
                    self.ahead.insert(at);
                }
            }
        }
        turn
    }

    /// Stores again what is due, with `append`. What fails is tried again, and nothing with it that did not: the log
    /// may refuse what was queued first, and take what comes behind it.
    fn deliver_turn(
        &mut self,
        broker: &Broker,
        turn: Turn,
        now: i64,
        append: impl FnOnce(&Store, Vec<NewMessage>) -> Vec<AppendOutcome>,
    ) -> i64 {
        let (offsets, messages): (Vec<_>, Vec<_>) = turn.due.into_iter().unzip();
        let counted: Vec<_> = messages
            .iter()
            .map(|message| (message.topic.clone(), send::record_bytes(message)))
            .collect();
        let results = append(&broker.store, messages);
        let mut failed_at = None;
        for ((at, (topic, bytes)), result) in offsets.into_iter().zip(counted).zip(results) {
            match result {
                Ok(_) => {
                    broker.statistics.messages_in(topic.as_str(), 1, bytes);
                    broker.statistics.delivered(queue_of(self.level), bytes);
                }
                Err(error @ (AppendError::Illegal(_) | AppendError::TooLarge { .. })) => {
                    tracing::error!(topic = topic.as_str(), %error, "a delayed message can never be delivered: dropped");
                }
                Err(error) => {
                    broker.statistics.append_failed();
                    tracing::debug!(topic = topic.as_str(), %error, "a delayed message is delivered later");
                    failed_at.get_or_insert(at.0);
                    continue;
                }
            }
            if failed_at.is_some() {
                self.ahead.insert(at);
            }
        }
        let next = failed_at.unwrap_or(turn.next);
        self.ahead = self.ahead.split_off(&(next, PhysicalOffset(0)));
        self.set_position(broker, next);
        if failed_at.is_some() {
            return now.saturating_add(FAILURE_PAUSE_MS);
        }
        let (shortest, longest) = LOOK_AGAIN_MS;
        turn.wait_until.map_or(now, |at| at.clamp(now + shortest, now + longest))
    }

    fn position(&self, broker: &Broker) -> i64 {
        let offsets = &broker.store.tables().delay_offsets;
        i32::try_from(self.level).ok().and_then(|level| offsets.get(level)).unwrap_or(0)
    }

    fn set_position(&self, broker: &Broker, offset: QueueOffset) {
        if let Ok(level) = i32::try_from(self.level) {
            broker.store.tables().delay_offsets.set(level, offset.to_wire());
        }
    }
}

/// What is stored for a message that is due, a record in `bytes` (B-273); `None` if it cannot be delivered.
pub(super) fn delivered(broker: &Broker, bytes: &Bytes, record: &Record<'_>) -> Option<NewMessage> {
    let Some((topic, queue_id)) = destination(record) else {
        tracing::error!(at = %record.physical_offset(), "a delayed message without a real queue: dropped");
        return None;
    };
    if topic == system::HALF_TOPIC {
        // B-274: half messages cannot be delayed.
        tracing::error!(at = %record.physical_offset(), "a delayed half message: dropped");
        return None;
    }
    if broker.store.tables().topics.is_deleted_since(topic, record.physical_offset()) {
        // 4.9.4 stores it where nobody can read it; here a record would bring the topic back.
        tracing::warn!(topic, at = %record.physical_offset(), "a delayed message of a deleted topic: dropped");
        return None;
    }
    let (body, text) = (bytes.slice_ref(record.body()), record.properties().to_owned());
    Some(copy_of(record, body, (topic, queue_id), text))
}

#[cfg(test)]
#[path = "delay_tests.rs"]
mod tests;
