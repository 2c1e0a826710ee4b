//! What went in and out: totals, rates of the last seconds and minutes (B-360, B-361), and the same by topic, group and
//! queue (B-370 to B-375, B-379, B-380), which 315 shows (B-336). Of 4.9.4's other names its brokers have no items
//! either: nothing counts there what came from disks (B-377), hooks are the only ones to count for COMMERCIAL (B-378), and
//! what falls behind (B-376) is only logged. Unlike there a topic's items (B-370) count committed messages too: somebody
//! sent them to it. The broker's (B-373) does not, as there, because it counted them as half messages.
//!
//! Not the answers to 28 and 208, which read it too, nor the file that keeps it over restarts (`saved_statistics`), nor
//! items and samples (`statistics_items`). One task takes samples. Invariants: names are of topics and groups that there
//! are or were since the start, and there is an end of them; a rate is not known before its window has passed.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::runtime::Handle;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::Broker;
use super::answers::{Answer, Refusal};
use super::latencies::Latencies;
use super::saved_statistics::{self, Saved};
use super::statistics_items::{
    Counted, Counter, DAY_MS, Item, Items, Part, Span, Spans, lock, per, seconds_between,
};
use crate::clock::Clock;
use crate::model::{LIGHT_PREFIX, QueueId, system};
use crate::remoting::json::{Form, Value};
use crate::remoting::{Command, response};
use crate::store::light::is_light;
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
/// Samples of the totals in a minute.
const MINUTE: u64 = 60;
/// Topics of groups whose gets, and as many whose messages that came back, are counted; of some 1 500 bytes each.
const READERS_MAX: usize = 65_536;
/// Queues of groups whose latency is kept, of some 1 500 bytes each.
const LATENCIES_MAX: usize = 16_384;
/// Who takes messages out of the delay queues, as 4.9.4 calls it.
const DELAY_GROUP: &str = "SCHEDULE_CONSUMER";

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

/// The samples of the totals.
#[derive(Debug, Default)]
struct History {
    samples: VecDeque<(i64, Totals)>,
    /// How often was sampled.
    rounds: u64,
    /// Of the newest sample, in days since 1970 in the clock's zone; `None` if nothing was ever sampled.
    day: Option<i64>,
    mornings: Mornings,
}

/// Everything that is counted.
#[derive(Debug)]
pub(super) struct Statistics {
    clock: Clock,
    stored: Counter,
    failed: AtomicU64,
    found: Item,
    missed: AtomicU64,
    /// Of the whole broker; `stored` without what was only stored again.
    all_puts: Item,
    puts: Items,
    gets: Items,
    sent_back: Items,
    /// By queue, of the delay queues; not kept over restarts.
    queue_puts: Items,
    /// By queue and group, of the delay queues; not kept over restarts.
    queue_gets: Items,
    /// By queue and group, microseconds in place of messages; not kept over restarts.
    get_latencies: Items,
    /// How long appends and gets took.
    pub latencies: Latencies,
    history: Mutex<History>,
    /// Whether light queues are on.
    has_light_queues: bool,
}

impl Statistics {
    /// Nothing is counted yet.
    pub fn new(clock: &Clock) -> Self {
        Self {
            clock: clock.clone(),
            stored: Counter::default(),
            failed: AtomicU64::new(0),
            found: Item::default(),
            missed: AtomicU64::new(0),
            all_puts: Item::default(),
            puts: Items::default(),
            gets: Items::limited(READERS_MAX),
            sent_back: Items::limited(READERS_MAX),
            queue_puts: Items::default(),
            queue_gets: Items::default(),
            get_latencies: Items::limited(LATENCIES_MAX),
            latencies: Latencies::default(),
            history: Mutex::default(),
            has_light_queues: false,
        }
    }

    /// The same for a broker that has light queues, or none.
    pub fn with_light_queues(self, has_light_queues: bool) -> Self {
        Self { has_light_queues, ..self }
    }

    /// Goes on from what was saved.
    pub fn restored(clock: &Clock, saved: Saved) -> Self {
        let now_ms = clock.now_ms();
        let history = History { day: saved.day, mornings: saved.mornings, ..History::default() };
        let empty = Self::new(clock);
        Self {
            stored: Counter::of(saved.stored),
            failed: AtomicU64::new(saved.failed),
            found: Item::restored(saved.found, now_ms),
            missed: AtomicU64::new(saved.missed),
            all_puts: Item::restored(saved.all_puts, now_ms),
            puts: empty.puts.restored(saved.puts, now_ms),
            gets: empty.gets.restored(saved.gets, now_ms),
            sent_back: empty.sent_back.restored(saved.sent_back, now_ms),
            history: Mutex::new(history),
            ..empty
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
            stored: self.stored.read(),
            failed: self.failed.load(Ordering::Relaxed),
            found: self.found.saved(),
            missed: self.missed.load(Ordering::Relaxed),
            all_puts: self.all_puts.saved(),
            puts: self.puts.saved(),
            gets: self.gets.saved(),
            sent_back: self.sent_back.saved(),
        }
    }

    /// Counts messages that are stored (B-373), by the topic that they are stored under too (B-370).
    pub fn messages_in(&self, topic: &str, count: u64, bytes: u64) {
        self.all_puts.counter.add(count, bytes);
        self.stored_under(topic, count, bytes);
    }

    /// Counts messages only by the topic that they are stored under, because the broker was sent them before: committed
    /// ones, and those that came back.
    pub fn stored_under(&self, topic: &str, count: u64, bytes: u64) {
        self.stored.add(count, bytes);
        self.puts.add(self.counted_as(topic), "", count, bytes);
    }

    /// Counts messages that wait in a delay queue, besides what [`Self::messages_in`] counts (B-374).
    pub fn delayed(&self, queue_id: QueueId, count: u64, bytes: u64) {
        self.queue_puts.add(system::SCHEDULE_TOPIC, &queue_id.to_string(), count, bytes);
    }

    /// Counts a message that was taken out of a delay queue (B-371, B-374).
    pub fn delivered(&self, queue_id: QueueId, bytes: u64) {
        self.gets.add(system::SCHEDULE_TOPIC, DELAY_GROUP, 1, bytes);
        let part = format!("{queue_id}@{DELAY_GROUP}");
        self.queue_gets.add(system::SCHEDULE_TOPIC, &part, 1, bytes);
    }

    /// Counts an append that failed.
    pub fn append_failed(&self) {
        self.failed.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts messages in an answer to a pull (B-371), but for what tools read for an operator: 4.9.4 counts it, so that
    /// whoever searches for messages seems to consume them.
    pub fn messages_out(&self, group: &str, topic: &str, count: u64, bytes: u64) {
        if system::reads_for_operators(group) {
            return;
        }
        self.found.counter.add(count, bytes);
        self.gets.add(self.counted_as(topic), self.counted_as(group), count, bytes);
    }

    /// Notes how long it took to find messages of a queue for a group (B-375).
    pub fn get_took(&self, group: &str, topic: &str, queue_id: QueueId, took: Duration) {
        let microseconds = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let part = format!("{queue_id}@{}", self.counted_as(group));
        self.get_latencies.add(self.counted_as(topic), &part, microseconds, 0);
    }

    /// Counts a pull that found nothing.
    pub fn pull_missed(&self) {
        self.missed.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a message that a group gave back, by the topic that it came from first (B-372).
    pub fn sent_back(&self, group: &str, topic: &str) {
        self.sent_back.add(self.counted_as(topic), self.counted_as(group), 1, 0);
    }

    /// The name that a topic or a group is counted by. There is no end of light ones, which are counted together as in
    /// 4.9.4, those that are sent to by their own names too.
    fn counted_as<'a>(&self, name: &'a str) -> &'a str {
        if self.has_light_queues && is_light(name) { LIGHT_PREFIX } else { name }
    }

    /// Forgets what was counted of a topic that is deleted.
    pub fn forget_topic(&self, topic: &str) {
        for items in self.items() {
            items.forget_topic(topic);
        }
    }

    /// Forgets what was counted of a group that is deleted.
    pub fn forget_group(&self, group: &str) {
        for items in self.items() {
            items.forget_group(group);
        }
    }

    fn items(&self) -> [&Items; 6] {
        let Self { puts, gets, sent_back, queue_puts, queue_gets, get_latencies, .. } = self;
        [puts, gets, sent_back, queue_puts, queue_gets, get_latencies]
    }

    /// All totals.
    pub fn totals(&self) -> Totals {
        Totals {
            stored: self.stored.read(),
            failed: self.failed.load(Ordering::Relaxed),
            found: self.found.counter.read(),
            missed: self.missed.load(Ordering::Relaxed),
        }
    }

    /// The totals of the last two mornings, in the clock's zone.
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
        let spans = self.gets.spans(self.counted_as(topic), self.counted_as(group));
        let minute = spans.map(|[minute, ..]| minute);
        minute.map_or(0.0, |minute| per(minute.counted.messages, minute.seconds))
    }

    /// What was stored of a topic: ever, and in the last minute.
    pub fn of_topic(&self, topic: &str) -> (Counted, Span) {
        self.puts.all_and_minute(topic, "")
    }

    /// What a group got of a topic: ever, and in the last minute.
    pub fn of_reader(&self, group: &str, topic: &str) -> (Counted, Span) {
        self.gets.all_and_minute(topic, group)
    }

    /// Messages of a topic that a group gave back in the last minute.
    pub fn sent_back_in_minute(&self, group: &str, topic: &str) -> u64 {
        self.sent_back.all_and_minute(topic, group).1.counted.messages
    }

    /// Messages stored and given out per second in the last minute.
    pub fn broker_minute(&self) -> (f64, f64) {
        let per_s = |item: &Item| item.spans()[0].per_s(|counted| counted.messages);
        (per_s(&self.all_puts), per_s(&self.found))
    }

    /// An item by the name and key that 4.9.4 gives it, and what of it is meant (B-370 to B-373).
    fn item(&self, cluster: &str, name: &str, key: &str) -> Option<(Spans, Part)> {
        let messages: Part = |counted| counted.messages;
        let bytes: Part = |counted| counted.bytes;
        let milliseconds: Part = |counted| counted.messages / 1000;
        // A group, a queue, or both.
        let of_part = |items: &Items| {
            let (topic, part) = key.split_once('@')?;
            items.spans(topic, part)
        };
        Some(match name {
            "TOPIC_PUT_NUMS" => (self.puts.spans(key, "")?, messages),
            "TOPIC_PUT_SIZE" => (self.puts.spans(key, "")?, bytes),
            "GROUP_GET_NUMS" => (of_part(&self.gets)?, messages),
            "GROUP_GET_SIZE" => (of_part(&self.gets)?, bytes),
            "GROUP_GET_LATENCY" => {
                let (queue, topic_and_group) = key.split_once('@')?;
                let (topic, group) = topic_and_group.split_once('@')?;
                (self.get_latencies.spans(topic, &format!("{queue}@{group}"))?, milliseconds)
            }
            "QUEUE_PUT_NUMS" => (of_part(&self.queue_puts)?, messages),
            "QUEUE_PUT_SIZE" => (of_part(&self.queue_puts)?, bytes),
            "QUEUE_GET_NUMS" => (of_part(&self.queue_gets)?, messages),
            "QUEUE_GET_SIZE" => (of_part(&self.queue_gets)?, bytes),
            "SNDBCK_PUT_NUMS" => (of_part(&self.sent_back)?, messages),
            "BROKER_PUT_NUMS" if key == cluster => (self.all_puts.spans(), messages),
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
        let day = self.clock.local_ms().div_euclid(DAY_MS);
        // A day that comes again, in another zone or because the clock was put back, is no new one.
        if let Some(before) = history.day.filter(|before| *before < day) {
            // Over more than a night the broker stood still.
            let is_next = day == before + 1;
            let yesterday = if is_next { history.mornings.today } else { totals };
            history.mornings = Mornings { yesterday, today: totals };
        }
        history.day = Some(day);
        let round = history.rounds;
        history.rounds += 1;
        drop(history);
        if round.is_multiple_of(MINUTE) {
            self.latencies.begin_minute();
        }
        if round.is_multiple_of(ITEM_SAMPLE_EVERY) {
            for item in [&self.all_puts, &self.found] {
                item.sample(round / ITEM_SAMPLE_EVERY, now_ms);
            }
            for items in self.items() {
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

#[cfg(test)]
mod tests {
    use super::super::tests_support::TestBroker;
    use super::*;
    use crate::clock::Zone;
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
        statistics.messages_out("TOOLS_CONSUMER", "T", 9, 90);
        statistics.messages_out("CID_RMQ_SYS_x", "T", 9, 90);
        statistics.sent_back("G", "T");
        statistics.delayed(QueueId(2), 1, 40);
        statistics.delivered(QueueId(2), 40);
        for microseconds in [1600, 1400] {
            statistics.get_took("G", "T", QueueId(7), Duration::from_micros(microseconds));
        }
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
            ("QUEUE_PUT_NUMS", "SCHEDULE_TOPIC_XXXX@2", 1),
            ("QUEUE_GET_SIZE", "SCHEDULE_TOPIC_XXXX@2@SCHEDULE_CONSUMER", 40),
            ("GROUP_GET_NUMS", "SCHEDULE_TOPIC_XXXX@SCHEDULE_CONSUMER", 1),
            ("GROUP_GET_LATENCY", "7@T@G", 3),
            ("BROKER_PUT_NUMS", "DefaultCluster", 1),
            ("BROKER_GET_NUMS", "DefaultCluster", 3),
        ] {
            let answer = view(name, key).await;
            let body = json::parse(&answer.body).unwrap();
            assert_eq!(body.get("statsMinute").number("sum"), Ok(Some(sum)), "{name}");
        }
        for (name, key) in [
            ("TOPIC_PUT_NUMS", "U"),
            ("GROUP_GET_NUMS", "T@TOOLS_CONSUMER"),
            ("GROUP_GET_NUMS", "T@CID_RMQ_SYS_x"),
            ("GROUP_GET_LATENCY", "T@G"),
            ("GROUP_GET_FALL_SIZE", "7@T@G"),
        ] {
            let answer = view(name, key).await;
            let remark = format!("The stats <{name}> <{key}> not exist");
            assert_eq!((answer.code, answer.remark), (1, Some(remark)));
        }
    }

    #[test]
    fn light_topics_and_groups_are_counted_together_where_there_are_light_queues() {
        let names = |has_light_queues| {
            let statistics = Statistics::new(&Clock::system()).with_light_queues(has_light_queues);
            for name in ["%LMQ%a", "%LMQ%b"] {
                statistics.messages_in(name, 1, 1);
                statistics.messages_out(name, name, 1, 1);
                statistics.sent_back(name, "T");
                statistics.get_took(name, name, QueueId(0), Duration::ZERO);
            }
            let saved = statistics.saved();
            let latencies = statistics.get_latencies.saved();
            [saved.puts.len(), saved.gets.len(), saved.sent_back.len(), latencies.len()]
        };
        assert_eq!((names(true), names(false)), ([1; 4], [2; 4]));
    }

    #[test]
    fn what_groups_read_has_an_end_after_a_restart_too() {
        let row = |number: usize| ("T".to_owned(), number.to_string(), Default::default());
        let gets = (0..=READERS_MAX).map(row).collect();
        let statistics = Statistics::restored(&Clock::system(), Saved { gets, ..Saved::default() });
        statistics.messages_out("G", "T", 1, 1);
        assert_eq!(statistics.gets.saved().len(), READERS_MAX);
        statistics.forget_group("0");
        statistics.messages_out("G", "T", 1, 1);
        assert_eq!(statistics.of_reader("G", "T").0.messages, 1);
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

    #[test]
    fn midnight_is_that_of_the_clocks_zone_b361() {
        const HALF_HOUR_MS: i64 = 1_800_000;
        let clock = Clock::system().in_zone(Zone::named("XXX-5"));
        let statistics = Statistics::new(&clock);
        // To half an hour before it: UTC has the same day then and half an hour behind it.
        let step_ms = 2 * DAY_MS - HALF_HOUR_MS - clock.local_ms().rem_euclid(DAY_MS);
        clock.advance(Duration::from_millis(u64::try_from(step_ms).unwrap()));
        statistics.messages_in("T", 1, 1);
        statistics.sample();
        assert_eq!(statistics.mornings(), Mornings::default());
        clock.advance(Duration::from_secs(3600));
        statistics.messages_in("T", 2, 1);
        statistics.sample();
        assert_eq!(statistics.mornings().today.stored.messages, 3);
        // What ran in a zone where the next day has come already.
        let day = Some(clock.local_ms().div_euclid(DAY_MS) + 1);
        let statistics = Statistics::restored(&clock, Saved { day, ..statistics.saved() });
        statistics.messages_in("T", 4, 1);
        statistics.sample();
        assert_eq!(statistics.mornings().today.stored.messages, 3);
    }
}
