//! What is counted by name: items with their samples of the last minute, hour and day (B-379).
//!
//! Not which items there are, nor what they are called (`statistics`). Counting is a look-up under a shared lock and
//! three atomic additions. Invariants: there are no more items than [`Items::limited`] says; samples are in the order
//! in which they were taken.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};

use serde::{Deserialize, Serialize};

use super::saved_statistics::SavedItem;
use crate::model::TopicName;
use crate::remoting::json::Value;

/// The time between two samples of the items (B-379).
const ITEM_SAMPLE_MS: i64 = 10_000;
pub(super) const DAY_MS: i64 = 24 * 3600 * 1000;

/// How often and how much.
#[derive(Debug, Default)]
pub(super) struct Counter {
    times: AtomicU64,
    messages: AtomicU64,
    bytes: AtomicU64,
}

/// The state of a [`Counter`] at a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Counted {
    /// Calls: sends, batches, pulls.
    pub times: u64,
    /// Messages.
    pub messages: u64,
    /// Bytes of their records.
    pub bytes: u64,
}

impl Counter {
    pub fn add(&self, messages: u64, bytes: u64) {
        self.times.fetch_add(1, Ordering::Relaxed);
        self.messages.fetch_add(messages, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub fn of(counted: Counted) -> Self {
        Self {
            times: AtomicU64::new(counted.times),
            messages: AtomicU64::new(counted.messages),
            bytes: AtomicU64::new(counted.bytes),
        }
    }

    pub fn read(&self) -> Counted {
        Counted {
            times: self.times.load(Ordering::Relaxed),
            messages: self.messages.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
        }
    }
}

/// What was counted in a span of time (B-379).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Span {
    /// How much.
    pub counted: Counted,
    /// Between the first and the last sample.
    pub seconds: f64,
}

impl Span {
    /// Per second.
    pub fn per_s(&self, of: Part) -> f64 {
        per(of(&self.counted), self.seconds)
    }

    /// As 315 shows it: sum, per second, per call.
    pub fn value(&self, of: Part) -> Value<'static> {
        let sum = of(&self.counted);
        let per_call =
            if self.counted.times > 0 { per(sum, self.counted.times as f64) } else { 0.0 };
        Value::object([
            ("avgpt", Value::double(per_call)),
            ("sum", sum.into()),
            ("tps", Value::double(per(sum, self.seconds))),
        ])
    }
}

/// Which part of a count is meant.
pub(super) type Part = fn(&Counted) -> u64;

/// The last minute, hour and day of an item.
pub(super) type Spans = [Span; 3];

/// Samples of one item at one distance.
#[derive(Debug)]
struct Samples {
    /// In rounds of [`ITEM_SAMPLE_EVERY`].
    every: u32,
    keep: usize,
    taken: VecDeque<(i64, Counted)>,
}

impl Samples {
    fn new(every: u32, keep: usize) -> Self {
        Self { every, keep, taken: VecDeque::new() }
    }

    fn take(&mut self, round: u64, now_ms: i64, counted: Counted) {
        if !round.is_multiple_of(u64::from(self.every)) {
            return;
        }
        if self.taken.is_empty() {
            // 4.9.4 takes it that nothing was counted one distance ago.
            let distance_ms = i64::from(self.every) * ITEM_SAMPLE_MS;
            self.taken.push_back((now_ms.saturating_sub(distance_ms), Counted::default()));
        }
        self.taken.push_back((now_ms, counted));
        if self.taken.len() > self.keep {
            self.taken.pop_front();
        }
    }

    fn span(&self) -> Span {
        let (Some((from, first)), Some((to, last))) = (self.taken.front(), self.taken.back())
        else {
            return Span::default();
        };
        let counted = Counted {
            times: last.times - first.times,
            messages: last.messages - first.messages,
            bytes: last.bytes - first.bytes,
        };
        Span { counted, seconds: seconds_between(*from, *to) }
    }
}

/// Something counted by name.
#[derive(Debug)]
pub(super) struct Item {
    pub counter: Counter,
    /// Of the minute, the hour and the day, in rounds of ten seconds (B-379).
    samples: Mutex<[Samples; 3]>,
}

impl Default for Item {
    fn default() -> Self {
        let samples = [Samples::new(1, 7), Samples::new(60, 7), Samples::new(360, 25)];
        Self { counter: Counter::default(), samples: Mutex::new(samples) }
    }
}

impl Item {
    /// One that was counted before: what it had counts as seen, and of the day's samples those that are no older.
    pub fn restored(saved: SavedItem, now_ms: i64) -> Self {
        let item = Self { counter: Counter::of(saved.counted), ..Self::default() };
        {
            let [minute, hour, day] = &mut *lock(&item.samples);
            for samples in [minute, hour] {
                samples.taken.push_back((now_ms, saved.counted));
            }
            let is_young = |(at_ms, _): &(i64, Counted)| (now_ms - DAY_MS..=now_ms).contains(at_ms);
            day.taken.extend(saved.day.into_iter().filter(is_young));
            if day.taken.is_empty() {
                day.taken.push_back((now_ms, saved.counted));
            }
        }
        item
    }

    pub fn saved(&self) -> SavedItem {
        let [_, _, day] = &*lock(&self.samples);
        SavedItem { counted: self.counter.read(), day: day.taken.iter().copied().collect() }
    }

    pub fn sample(&self, round: u64, now_ms: i64) {
        let counted = self.counter.read();
        for samples in lock(&self.samples).iter_mut() {
            samples.take(round, now_ms, counted);
        }
    }

    pub fn spans(&self) -> Spans {
        let [minute, hour, day] = &*lock(&self.samples);
        [minute.span(), hour.span(), day.span()]
    }
}

/// Items by topic, and by what of it: a group, a queue, a queue of a group; `""` is the whole topic.
#[derive(Debug)]
pub(super) struct Items {
    topics: RwLock<HashMap<TopicName, HashMap<Box<str>, Item>>>,
    /// How many items there are, and may be.
    count: AtomicUsize,
    max: usize,
}

impl Default for Items {
    /// As many as there are topics, which have a limit of their own.
    fn default() -> Self {
        Self::limited(usize::MAX)
    }
}

impl Items {
    /// No more items than `max`; what comes later is not counted.
    pub fn limited(max: usize) -> Self {
        Self { topics: RwLock::default(), count: AtomicUsize::new(0), max }
    }

    /// Counts one call.
    pub fn add(&self, topic: &str, part: &str, messages: u64, bytes: u64) {
        if let Some(item) = self.read().get(topic).and_then(|parts| parts.get(part)) {
            return item.counter.add(messages, bytes);
        }
        if self.count.load(Ordering::Relaxed) >= self.max {
            return;
        }
        let mut topics = self.topics.write().unwrap_or_else(PoisonError::into_inner);
        let parts = topics.entry(TopicName::new(topic)).or_default();
        let before = parts.len();
        parts.entry(part.into()).or_default().counter.add(messages, bytes);
        self.count.fetch_add(parts.len() - before, Ordering::Relaxed);
    }

    pub fn spans(&self, topic: &str, part: &str) -> Option<Spans> {
        Some(self.read().get(topic)?.get(part)?.spans())
    }

    /// What an item ever counted, and in the last minute.
    pub fn all_and_minute(&self, topic: &str, part: &str) -> (Counted, Span) {
        let topics = self.read();
        let item = topics.get(topic).and_then(|parts| parts.get(part));
        item.map_or_else(Default::default, |item| (item.counter.read(), item.spans()[0]))
    }

    pub fn sample(&self, round: u64, now_ms: i64) {
        for item in self.read().values().flat_map(HashMap::values) {
            item.sample(round, now_ms);
        }
    }

    /// Fills an empty one with what was saved, as far as there is room.
    pub fn restored(self, mut saved: Vec<(String, String, SavedItem)>, now_ms: i64) -> Self {
        saved.truncate(self.max);
        let count = AtomicUsize::new(saved.len());
        let mut topics: HashMap<TopicName, HashMap<Box<str>, Item>> = HashMap::new();
        for (topic, part, item) in saved {
            let parts = topics.entry(TopicName::new(&topic)).or_default();
            parts.insert(part.into(), Item::restored(item, now_ms));
        }
        Self { topics: RwLock::new(topics), count, max: self.max }
    }

    pub fn saved(&self) -> Vec<(String, String, SavedItem)> {
        let mut rows = Vec::new();
        for (topic, parts) in self.read().iter() {
            let row = |(part, item): (_, &Item)| (topic.to_string(), part, item.saved());
            rows.extend(parts.iter().map(|(part, item)| row((part.to_string(), item))));
        }
        rows
    }

    pub fn forget_topic(&self, topic: &str) {
        let mut topics = self.topics.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(parts) = topics.remove(topic) {
            self.count.fetch_sub(parts.len(), Ordering::Relaxed);
        }
    }

    /// Forgets what is a group's, or one of its queues'.
    pub fn forget_group(&self, group: &str) {
        let is_others = |part: &str| {
            let of_queue = part.split_once('@').map(|(_, of_queue)| of_queue);
            part != group && of_queue != Some(group)
        };
        let mut topics = self.topics.write().unwrap_or_else(PoisonError::into_inner);
        topics.retain(|_, parts| {
            let before = parts.len();
            parts.retain(|part, _| is_others(part));
            self.count.fetch_sub(before - parts.len(), Ordering::Relaxed);
            !parts.is_empty()
        });
    }

    fn read(&self) -> RwLockReadGuard<'_, HashMap<TopicName, HashMap<Box<str>, Item>>> {
        self.topics.read().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) fn per(count: u64, of: f64) -> f64 {
    if of > 0.0 { count as f64 / of } else { 0.0 }
}

pub(super) fn seconds_between(from_ms: i64, to_ms: i64) -> f64 {
    to_ms.saturating_sub(from_ms).max(0) as f64 / 1000.0
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_no_more_items_than_allowed() {
        let items = Items::limited(2);
        for (topic, part) in [("T", "1"), ("T", "2"), ("T", "2"), ("U", "1")] {
            items.add(topic, part, 1, 1);
        }
        assert_eq!((items.spans("T", "2"), items.spans("U", "1")), (Some(Spans::default()), None));
        let saved = items.saved();
        assert_eq!(Items::limited(1).restored(saved, 0).saved().len(), 1);
        items.forget_topic("T");
        items.add("U", "1", 1, 1);
        assert_eq!(items.spans("U", "1"), Some(Spans::default()));
    }

    #[test]
    fn a_forgotten_group_is_forgotten_in_all_topics_and_makes_room() {
        let items = Items::limited(3);
        for (topic, part) in [("T", "G"), ("T", "7@G"), ("U", "GG"), ("U", "G")] {
            items.add(topic, part, 1, 1);
        }
        items.forget_group("G");
        let left = |items: &Items| {
            let mut left: Vec<_> = items.saved().into_iter().map(|(_, part, _)| part).collect();
            left.sort_unstable();
            left
        };
        assert_eq!(left(&items), ["GG"]);
        items.add("T", "H", 1, 1);
        items.add("T", "I", 1, 1);
        assert_eq!(left(&items), ["GG", "H", "I"]);
    }
}
