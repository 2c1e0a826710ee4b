//! What went in and out: totals, rates of the last seconds and minutes (B-360, B-361), and the same by topic and
//! group (B-370 to B-373, B-379, B-380), which 315 shows (B-336).
//!
//! Not the answers to 28 and 208, which read it too, nor the file that keeps it over restarts (`saved_statistics`).
//! Counting is a look-up under a shared lock and a few atomic additions; one task takes samples. Invariants: names are
//! only of topics that exist or existed since the start; a rate is not known before its window has passed.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::runtime::Handle;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::Broker;
use super::answers::{Answer, Refusal};
use super::saved_statistics::{self, Saved, SavedItem};
use crate::clock::Clock;
use crate::model::{GroupName, TopicName};
use crate::remoting::json::{Form, Value};
use crate::remoting::{Command, response};
use crate::task::{self, Kind};

/// How often totals are sampled.
const SAMPLE_INTERVAL: Duration = Duration::from_secs(1);
/// How often they are saved; a crash loses what was counted since.
const SAVE_INTERVAL: Duration = Duration::from_secs(600);
/// Samples of the totals that are kept: ten minutes and the one before.
const SAMPLES_MAX: usize = 601;
/// The windows of the rates that 28 shows, in samples.
const RATE_WINDOWS: [usize; 3] = [10, 60, 600];
/// Samples of the totals between two samples of the items (B-379).
const ITEM_SAMPLE_EVERY: u64 = 10;
/// The time between them.
const ITEM_SAMPLE_MS: i64 = 10_000;
const DAY_MS: i64 = 24 * 3600 * 1000;

/// How often and how much.
#[derive(Debug, Default)]
struct Counter {
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
    fn add(&self, messages: u64, bytes: u64) {
        self.times.fetch_add(1, Ordering::Relaxed);
        self.messages.fetch_add(messages, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    fn of(counted: Counted) -> Self {
        Self {
            times: AtomicU64::new(counted.times),
            messages: AtomicU64::new(counted.messages),
            bytes: AtomicU64::new(counted.bytes),
        }
    }

    fn read(&self) -> Counted {
        Counted {
            times: self.times.load(Ordering::Relaxed),
            messages: self.messages.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
        }
    }
}

/// All totals at a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Totals {
    /// What was stored.
    pub stored: Counted,
    /// Appends that failed (`putMessageFailedTimes`).
    pub failed: u64,
    /// What pulls found.
    pub found: Counted,
    /// Pulls that found nothing.
    pub missed: u64,
}

/// The totals when the day before, and this day, began (B-361).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Mornings {
    /// `msgPutTotalYesterdayMorning`, `msgGetTotalYesterdayMorning`
    pub yesterday: Totals,
    /// `msgPutTotalTodayMorning`, `msgGetTotalTodayMorning`
    pub today: Totals,
}

/// Rates over the last 10, 60 and 600 seconds; `None` where that is not known yet.
pub(super) type Rates = [Option<f64>; RATE_WINDOWS.len()];

/// What was counted in a span of time (B-379).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Span {
    /// How much.
    pub counted: Counted,
    /// Between the first and the last sample.
    pub seconds: f64,
}

impl Span {
    /// As 315 shows it: sum, per second, per call.
    fn value(&self, of: Part) -> Value<'static> {
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
type Part = fn(&Counted) -> u64;

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
struct Item {
    counter: Counter,
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
    fn restored(saved: SavedItem, now_ms: i64) -> Self {
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

    fn saved(&self) -> SavedItem {
        let [_, _, day] = &*lock(&self.samples);
        SavedItem { counted: self.counter.read(), day: day.taken.iter().copied().collect() }
    }

    fn sample(&self, round: u64, now_ms: i64) {
        let counted = self.counter.read();
        for samples in lock(&self.samples).iter_mut() {
            samples.take(round, now_ms, counted);
        }
    }

    fn spans(&self) -> Spans {
        let [minute, hour, day] = &*lock(&self.samples);
        [minute.span(), hour.span(), day.span()]
    }
}

/// Items by topic and group; what is of the whole topic is under the group `""`.
#[derive(Debug, Default)]
struct Items(RwLock<HashMap<TopicName, HashMap<GroupName, Item>>>);

impl Items {
    fn add(&self, topic: &str, group: &str, messages: u64, bytes: u64) {
        if let Some(item) = self.read().get(topic).and_then(|groups| groups.get(group)) {
            return item.counter.add(messages, bytes);
        }
        let mut topics = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let groups = topics.entry(TopicName::new(topic)).or_default();
        groups.entry(GroupName::new(group)).or_default().counter.add(messages, bytes);
    }

    fn spans(&self, topic: &str, group: &str) -> Option<Spans> {
        Some(self.read().get(topic)?.get(group)?.spans())
    }

    fn sample(&self, round: u64, now_ms: i64) {
        for item in self.read().values().flat_map(HashMap::values) {
            item.sample(round, now_ms);
        }
    }

    fn restored(saved: Vec<(String, String, SavedItem)>, now_ms: i64) -> Self {
        let mut topics: HashMap<TopicName, HashMap<GroupName, Item>> = HashMap::new();
        for (topic, group, item) in saved {
            let groups = topics.entry(TopicName::new(&topic)).or_default();
            groups.insert(GroupName::new(&group), Item::restored(item, now_ms));
        }
        Self(RwLock::new(topics))
    }

    fn saved(&self) -> Vec<(String, String, SavedItem)> {
        let topics = self.read();
        let of_topic = |(topic, groups): (&TopicName, &HashMap<GroupName, Item>)| {
            let row = |(group, item): (&GroupName, &Item)| {
                (topic.to_string(), group.to_string(), item.saved())
            };
            groups.iter().map(row).collect::<Vec<_>>()
        };
        topics.iter().flat_map(of_topic).collect()
    }

    fn forget_topic(&self, topic: &str) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).remove(topic);
    }

    fn read(&self) -> RwLockReadGuard<'_, HashMap<TopicName, HashMap<GroupName, Item>>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The samples of the totals.
#[derive(Debug, Default)]
struct History {
    samples: VecDeque<(i64, Totals)>,
    /// How often was sampled.
    rounds: u64,
    /// Of the newest sample, in days since 1970; `None` if nothing was ever sampled.
    day: Option<i64>,
    mornings: Mornings,
}

/// Everything that is counted.
#[derive(Debug)]
pub(super) struct Statistics {
    clock: Clock,
    stored: Item,
    failed: AtomicU64,
    found: Item,
    missed: AtomicU64,
    puts: Items,
    gets: Items,
    sent_back: Items,
    history: Mutex<History>,
}

impl Statistics {
    /// Nothing is counted yet.
    pub fn new(clock: &Clock) -> Self {
        Self {
            clock: clock.clone(),
            stored: Item::default(),
            failed: AtomicU64::new(0),
            found: Item::default(),
            missed: AtomicU64::new(0),
            puts: Items::default(),
            gets: Items::default(),
            sent_back: Items::default(),
            history: Mutex::default(),
        }
    }

    /// Goes on from what was saved.
    pub fn restored(clock: &Clock, saved: Saved) -> Self {
        let now_ms = clock.now_ms();
        let history = History { day: saved.day, mornings: saved.mornings, ..History::default() };
        Self {
            clock: clock.clone(),
            stored: Item::restored(saved.stored, now_ms),
            failed: AtomicU64::new(saved.failed),
            found: Item::restored(saved.found, now_ms),
            missed: AtomicU64::new(saved.missed),
            puts: Items::restored(saved.puts, now_ms),
            gets: Items::restored(saved.gets, now_ms),
            sent_back: Items::restored(saved.sent_back, now_ms),
            history: Mutex::new(history),
        }
    }

    /// What is to survive a restart.
    pub fn saved(&self) -> Saved {
        let (day, mornings) = {
            let history = lock(&self.history);
            (history.day, history.mornings)
        };
        Saved {
            day,
            mornings,
            stored: self.stored.saved(),
            failed: self.failed.load(Ordering::Relaxed),
            found: self.found.saved(),
            missed: self.missed.load(Ordering::Relaxed),
            puts: self.puts.saved(),
            gets: self.gets.saved(),
            sent_back: self.sent_back.saved(),
        }
    }

    /// Counts messages that are stored, by the topic that they are stored under (B-370).
    pub fn messages_in(&self, topic: &str, count: u64, bytes: u64) {
        self.stored.counter.add(count, bytes);
        self.puts.add(topic, "", count, bytes);
    }

    /// Counts an append that failed.
    pub fn append_failed(&self) {
        self.failed.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts messages in an answer to a pull (B-371).
    pub fn messages_out(&self, group: &str, topic: &str, count: u64, bytes: u64) {
        self.found.counter.add(count, bytes);
        self.gets.add(topic, group, count, bytes);
    }

    /// Counts a pull that found nothing.
    pub fn pull_missed(&self) {
        self.missed.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a message that a group gave back, by the topic that it came from first (B-372).
    pub fn sent_back(&self, group: &str, topic: &str) {
        self.sent_back.add(topic, group, 1, 0);
    }

    /// Forgets what was counted of a topic that is deleted.
    pub fn forget_topic(&self, topic: &str) {
        for items in [&self.puts, &self.gets, &self.sent_back] {
            items.forget_topic(topic);
        }
    }

    /// All totals.
    pub fn totals(&self) -> Totals {
        Totals {
            stored: self.stored.counter.read(),
            failed: self.failed.load(Ordering::Relaxed),
            found: self.found.counter.read(),
            missed: self.missed.load(Ordering::Relaxed),
        }
    }

    /// The totals of the last two mornings (UTC).
    pub fn mornings(&self) -> Mornings {
        lock(&self.history).mornings
    }

    /// Rates per second of something that totals say.
    pub fn rates(&self, of: impl Fn(&Totals) -> u64) -> Rates {
        let samples = &lock(&self.history).samples;
        RATE_WINDOWS.map(|window| {
            let (to, last) = samples.back()?;
            let (from, first) = samples.get(samples.len().checked_sub(window + 1)?)?;
            Some(per(of(last) - of(first), seconds_between(*from, *to)))
        })
    }

    /// Messages that a group got of a topic per second in the last minute (B-380).
    pub fn group_tps(&self, group: &str, topic: &str) -> f64 {
        let minute = self.gets.spans(topic, group).map(|[minute, ..]| minute);
        minute.map_or(0.0, |minute| per(minute.counted.messages, minute.seconds))
    }

    /// An item by the name and key that 4.9.4 gives it, and what of it is meant (B-370 to B-373).
    fn item(&self, cluster: &str, name: &str, key: &str) -> Option<(Spans, Part)> {
        let messages: Part = |counted| counted.messages;
        let bytes: Part = |counted| counted.bytes;
        let of_group = |items: &Items| {
            let (topic, group) = key.split_once('@')?;
            items.spans(topic, group)
        };
        Some(match name {
            "TOPIC_PUT_NUMS" => (self.puts.spans(key, "")?, messages),
            "TOPIC_PUT_SIZE" => (self.puts.spans(key, "")?, bytes),
            "GROUP_GET_NUMS" => (of_group(&self.gets)?, messages),
            "GROUP_GET_SIZE" => (of_group(&self.gets)?, bytes),
            "SNDBCK_PUT_NUMS" => (of_group(&self.sent_back)?, messages),
            "BROKER_PUT_NUMS" if key == cluster => (self.stored.spans(), messages),
            "BROKER_GET_NUMS" if key == cluster => (self.found.spans(), messages),
            _ => return None,
        })
    }

    /// Takes the samples that are due with each [`SAMPLE_INTERVAL`].
    fn sample(&self) {
        let (now_ms, totals) = (self.clock.now_ms(), self.totals());
        let mut history = lock(&self.history);
        history.samples.push_back((now_ms, totals));
        if history.samples.len() > SAMPLES_MAX {
            history.samples.pop_front();
        }
        let day = now_ms.div_euclid(DAY_MS);
        if let Some(before) = history.day.filter(|before| *before != day) {
            // Over more than a night the broker stood still.
            let is_next = day == before + 1;
            let yesterday = if is_next { history.mornings.today } else { totals };
            history.mornings = Mornings { yesterday, today: totals };
        }
        history.day = Some(day);
        let round = history.rounds;
        history.rounds += 1;
        drop(history);
        if round.is_multiple_of(ITEM_SAMPLE_EVERY) {
            for item in [&self.stored, &self.found] {
                item.sample(round / ITEM_SAMPLE_EVERY, now_ms);
            }
            for items in [&self.puts, &self.gets, &self.sent_back] {
                items.sample(round / ITEM_SAMPLE_EVERY, now_ms);
            }
        }
    }
}

/// Samples until `stop`.
pub(super) fn start(broker: &Arc<Broker>, handle: &Handle, stop: &CancellationToken) {
    let _entered = handle.enter();
    let (broker, stop) = (Arc::clone(broker), stop.clone());
    task::spawn(Kind::StopNode(stop.clone()), "statistics", async move {
        let mut seconds = tokio::time::interval(SAMPLE_INTERVAL);
        seconds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut save_at = tokio::time::Instant::now() + SAVE_INTERVAL;
        while stop.run_until_cancelled(seconds.tick()).await.is_some() {
            broker.statistics.sample();
            if tokio::time::Instant::now() >= save_at {
                save_at += SAVE_INTERVAL;
                let broker = Arc::clone(&broker);
                task::spawn_blocking("statistics", move || saved_statistics::save(&broker));
            }
        }
    });
}

/// 315: one item (B-336).
pub(super) fn view(broker: &Broker, request: &Command) -> Answer {
    let (name, key) = (request.required_str("statsName")?, request.required_str("statsKey")?);
    let item = broker.statistics.item(&broker.options.cluster, name, key);
    let ([minute, hour, day], of) = item.ok_or_else(|| {
        let remark = format!("The stats <{name}> <{key}> not exist");
        Refusal::new(response::SYSTEM_ERROR, remark)
    })?;
    let body = Value::object([
        ("statsDay", day.value(of)),
        ("statsHour", hour.value(of)),
        ("statsMinute", minute.value(of)),
    ]);
    Ok(Command::response(response::SUCCESS).with_body(body.to_bytes(Form::Dialect)))
}

fn per(count: u64, of: f64) -> f64 {
    if of > 0.0 { count as f64 / of } else { 0.0 }
}

fn seconds_between(from_ms: i64, to_ms: i64) -> f64 {
    to_ms.saturating_sub(from_ms).max(0) as f64 / 1000.0
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::super::tests_support::TestBroker;
    use super::*;
    use crate::remoting::{json, request};

    fn sample_for(statistics: &Statistics, seconds: u64, mut each: impl FnMut()) {
        for _ in 0..seconds {
            statistics.clock.advance(SAMPLE_INTERVAL);
            each();
            statistics.sample();
        }
    }

    impl Statistics {
        /// Takes a sample as if its second had passed.
        pub fn sample_now(&self) {
            self.sample();
        }
    }

    #[test]
    fn rates_are_known_when_their_window_has_passed_b360() {
        let statistics = Statistics::new(&Clock::system());
        let put = |totals: &Totals| totals.stored.messages;
        assert_eq!(statistics.rates(put), [None; 3]);
        sample_for(&statistics, 11, || statistics.messages_in("T", 100, 1000));
        let [ten, sixty, _] = statistics.rates(put);
        let ten = ten.unwrap();
        assert!((90.0..=100.0).contains(&ten), "{ten}");
        assert_eq!(sixty, None);
        sample_for(&statistics, 700, || {});
        assert_eq!(statistics.rates(put), [Some(0.0); 3]);
        let totals = statistics.totals();
        assert_eq!(totals.stored, Counted { times: 11, messages: 1100, bytes: 11_000 });
        assert_eq!(lock(&statistics.history).samples.len(), SAMPLES_MAX);
    }

    #[test]
    fn items_have_spans_of_a_minute_an_hour_and_a_day_b379() {
        let statistics = Statistics::new(&Clock::system());
        statistics.messages_out("G", "T", 1, 10);
        statistics.sent_back("G", "T");
        assert_eq!(statistics.gets.spans("T", "H"), None);
        assert_eq!(statistics.gets.spans("T", "G"), Some(Spans::default()), "no sample yet");
        statistics.sample();
        let [minute, hour, day] = statistics.gets.spans("T", "G").unwrap();
        let first = Counted { times: 1, messages: 1, bytes: 10 };
        assert_eq!([minute, hour, day].map(|span| span.counted), [first; 3]);
        assert_eq!([minute, hour, day].map(|span| span.seconds), [10.0, 600.0, 3600.0]);
        sample_for(&statistics, 7200, || statistics.messages_out("G", "T", 2, 20));
        let [minute, hour, day] = statistics.gets.spans("T", "G").unwrap();
        assert_eq!(minute.counted, Counted { times: 60, messages: 120, bytes: 1200 });
        assert!((60.0..61.0).contains(&minute.seconds), "{minute:?}");
        assert_eq!((hour.counted.messages, day.counted.messages), (7200, 14_401));
        statistics.forget_topic("T");
        assert_eq!(statistics.gets.spans("T", "G"), None);
    }

    #[tokio::test]
    async fn items_are_shown_by_494s_names_b336() {
        let broker = TestBroker::new();
        let statistics = &broker.broker.statistics;
        broker.send("T", "", "x").await;
        statistics.messages_out("G", "T", 3, 30);
        statistics.sent_back("G", "T");
        statistics.sample();
        let view = |name: &'static str, key: &'static str| {
            let request = Command::request(request::VIEW_BROKER_STATS_DATA);
            broker.call(request.with_field("statsName", name).with_field("statsKey", key))
        };
        let answer = view("GROUP_GET_SIZE", "T@G").await;
        let text = std::str::from_utf8(&answer.body).unwrap();
        assert!(text.starts_with(r#"{"statsDay":{"avgpt":30.0,"sum":30,"tps":0.008333"#), "{text}");
        assert!(text.ends_with(r#""statsMinute":{"avgpt":30.0,"sum":30,"tps":3.0}}"#), "{text}");
        for (name, key, sum) in [
            ("TOPIC_PUT_NUMS", "T", 1),
            ("TOPIC_PUT_SIZE", "T", 91 + 1 + 1 + 22),
            ("GROUP_GET_NUMS", "T@G", 3),
            ("SNDBCK_PUT_NUMS", "T@G", 1),
            ("BROKER_PUT_NUMS", "DefaultCluster", 1),
            ("BROKER_GET_NUMS", "DefaultCluster", 3),
        ] {
            let answer = view(name, key).await;
            let body = json::parse(&answer.body).unwrap();
            assert_eq!(body.get("statsMinute").number("sum"), Ok(Some(sum)), "{name}");
        }
        let answer = view("TOPIC_PUT_NUMS", "U").await;
        let remark = "The stats <TOPIC_PUT_NUMS> <U> not exist";
        assert_eq!((answer.code, answer.remark.as_deref()), (1, Some(remark)));
    }

    #[test]
    fn totals_are_noted_at_midnight_b361() {
        let statistics = Statistics::new(&Clock::system());
        statistics.messages_in("T", 1, 1);
        statistics.sample();
        assert_eq!(statistics.mornings(), Mornings::default());
        for messages in [2, 3] {
            statistics.messages_in("T", messages, 1);
            statistics.clock.advance(Duration::from_secs(24 * 3600));
            statistics.sample();
        }
        let mornings = statistics.mornings();
        let messages = (mornings.yesterday.stored.messages, mornings.today.stored.messages);
        assert_eq!(messages, (3, 6));
    }
}
