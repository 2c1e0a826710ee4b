//! What was: rates, lag and disk use of this node's own masters, a point a minute for a day and a point an hour for 30 days.
//!
//! Not the reckoning (`broker::figures`), nor how it looks (`chart`). Invariants: a time without figures is a gap, no zero;
//! of a kind there are at most [`SERIES_MAX`] series, those with the highest minute of the day, so that all of it is below
//! 10 MB; a stop in order loses nothing, a kill at most [`SAVE_MINUTES`].

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::series::{Kind, MINUTE_MS, Series, Span};
use crate::kv::{Batch, Database, KvError};
use crate::metrics::{BrokerFigures, Figure};
use crate::task;

/// Series of a kind; one has 8.6 KB of points.
pub const SERIES_MAX: usize = 300;
/// How often it is written down.
const SAVE_MINUTES: i64 = 10;

/// What is kept of which kind, by name.
#[derive(Debug, Default)]
struct State {
    series: BTreeMap<Kind, BTreeMap<String, Series>>,
    /// The minute of the start, the newest with figures, and up to which one all is written down.
    begun: i64,
    newest: i64,
    saved_to: i64,
}

/// The history of a node.
#[derive(Debug)]
pub struct History {
    database: Arc<dyn Database>,
    state: Mutex<State>,
}

impl History {
    /// With what was written down; what cannot be read is left out, and told. Blocks.
    #[must_use]
    pub fn open(database: Arc<dyn Database>, now_ms: i64) -> Self {
        let newest = now_ms.div_euclid(MINUTE_MS);
        let mut state = State { begun: newest, newest, saved_to: newest, ..State::default() };
        if let Err(error) = state.read(&*database, now_ms) {
            tracing::warn!(%error, "the history of the console's charts cannot be read");
        }
        Self { database, state: Mutex::new(state) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps what brokers reckon until `stop`, and what there is then.
    pub async fn keep(
        self: Arc<Self>,
        mut figures: watch::Receiver<Vec<Arc<BrokerFigures>>>,
        stop: CancellationToken,
    ) {
        while let Some(Ok(())) = stop.run_until_cancelled(figures.changed()).await {
            let (history, figures) = (Arc::clone(&self), figures.borrow_and_update().clone());
            // It fails only if it panics, which is reported.
            let _ = task::spawn_blocking("history", move || {
                history.note(&figures);
                let is_due = {
                    let state = history.lock();
                    state.newest - state.saved_to >= SAVE_MINUTES
                };
                if is_due {
                    history.save();
                }
            })
            .await;
        }
        let _ = task::spawn_blocking("history", move || self.save()).await;
    }

    /// Adds what the masters among these say.
    fn note(&self, brokers: &[Arc<BrokerFigures>]) {
        let masters = brokers.iter().filter(|one| !one.is_slave);
        let Some(at_ms) = masters.clone().map(|one| one.at_ms).max() else { return };
        let minute = at_ms.div_euclid(MINUTE_MS);
        let mut of_kind: BTreeMap<Kind, Vec<(&str, f32)>> = BTreeMap::new();
        for ((kind, name), value) in values(masters) {
            of_kind.entry(kind).or_default().push((name, narrow(value)));
        }
        let mut state = self.lock();
        let is_restart = minute == state.begun;
        for (kind, values) in of_kind {
            note(state.series.entry(kind).or_default(), kind, (minute, is_restart), values);
        }
        // Behind it where the clock was put back: it is written again.
        (state.newest, state.saved_to) = (minute, state.saved_to.min(minute));
    }

    /// The points of a series, the oldest first, up to now; nothing if it has none.
    pub fn points(&self, kind: Kind, name: &str, span: Span, now_ms: i64) -> Vec<Option<f32>> {
        let mut state = self.lock();
        let series = state.series.get_mut(&kind).and_then(|of_kind| of_kind.get_mut(name));
        let Some(ring) = series.map(|series| &*series.ring(span)) else { return Vec::new() };
        let points: Vec<_> = span.range(now_ms).map(|at| ring.get(at)).collect();
        if points.iter().any(Option::is_some) { points } else { Vec::new() }
    }

    /// Of whom there are points.
    pub fn names(&self, kind: Kind) -> Vec<String> {
        self.lock().series.get(&kind).into_iter().flat_map(BTreeMap::keys).cloned().collect()
    }

    /// Writes down what came since the last time; what fails is tried again the next time. Blocks.
    fn save(&self) {
        if let Err(error) = self.write() {
            tracing::warn!(%error, "the history of the console's charts cannot be written down");
        }
    }

    fn write(&self) -> Result<(), KvError> {
        let (batches, newest) = {
            let mut state = self.lock();
            state.forget();
            (Span::ALL.map(|span| (span, state.rows(span))), state.newest)
        };
        for (span, batch) in batches {
            self.database.apply(span.tree(), batch)?;
            let oldest = span.range(newest * MINUTE_MS).start().div_euclid(span.row_points());
            let (mut old, end) = (Batch::default(), row_key(oldest));
            self.database.scan(span.tree(), &[], &mut |key, _| {
                let is_old = *key < end[..];
                if is_old {
                    old.remove(key);
                }
                is_old
            })?;
            self.database.apply(span.tree(), old)?;
        }
        self.database.flush()?;
        self.lock().saved_to = newest;
        Ok(())
    }
}

impl State {
    /// Those that were there last have room first.
    fn read(&mut self, database: &dyn Database, now_ms: i64) -> Result<(), KvError> {
        for span in Span::ALL {
            let (range, row_points) = (span.range(now_ms), span.row_points());
            let rows = range.start().div_euclid(row_points)..=range.end().div_euclid(row_points);
            for row in rows.rev() {
                let begin = row_key(row);
                database.scan(span.tree(), &begin, &mut |key, value| {
                    let Some(rest) = key.strip_prefix(&begin[..]) else { return false };
                    let Some((kind, name)) = series_of(rest) else { return true };
                    let points = (row * row_points..(row + 1) * row_points).zip(floats(value));
                    let points = points.filter(|(at, value)| range.contains(at) && !value.is_nan());
                    self.put(span, kind, name, points);
                    true
                })?;
            }
        }
        Ok(())
    }

    fn put(
        &mut self,
        span: Span,
        kind: Kind,
        name: &str,
        points: impl Iterator<Item = (i64, f32)>,
    ) {
        let known = self.series.entry(kind).or_default();
        if !known.contains_key(name) && known.len() < SERIES_MAX {
            known.insert(name.to_owned(), Series::new());
        }
        let Some(series) = known.get_mut(name) else { return };
        points.for_each(|(at, value)| series.ring(span).put(at, value));
    }

    /// Drops what has no point any more.
    fn forget(&mut self) {
        let hours = Span::Month.range(self.newest * MINUTE_MS);
        for of_kind in self.series.values_mut() {
            of_kind.retain(|_, series| hours.clone().any(|hour| series.hours.get(hour).is_some()));
        }
    }

    /// The rows that have changed since they were written.
    fn rows(&mut self, span: Span) -> Batch {
        let row_points = span.row_points();
        let row = |minute: i64| (minute * MINUTE_MS).div_euclid(span.step_ms() * row_points);
        let oldest = span.range(self.newest * MINUTE_MS).start().div_euclid(row_points);
        let (first, last) = (row(self.saved_to).max(oldest), row(self.newest));
        let mut batch = Batch::default();
        for (kind, of_kind) in &mut self.series {
            for (name, series) in of_kind {
                let ring = series.ring(span);
                for row in first..=last {
                    let points = (row * row_points..(row + 1) * row_points).map(|at| ring.get(at));
                    let points: Vec<_> = points.collect();
                    if points.iter().any(Option::is_some) {
                        let key = [&row_key(row)[..], &[*kind as u8], name.as_bytes()].concat();
                        let bytes =
                            points.iter().flat_map(|one| one.unwrap_or(f32::NAN).to_le_bytes());
                        batch.insert(key, bytes.collect::<Vec<_>>());
                    }
                }
            }
        }
        batch
    }
}

/// What the masters say, by what it is of: of topics and groups the sum of all brokers.
fn values<'a>(
    masters: impl Iterator<Item = &'a Arc<BrokerFigures>>,
) -> HashMap<(Kind, &'a str), f64> {
    let mut values = HashMap::new();
    let mut add = |kind, name: &'a str, value| *values.entry((kind, name)).or_default() += value;
    for broker in masters {
        let name = broker.group.as_str();
        add(Kind::BrokerIn, name, broker.in_per_s);
        add(Kind::BrokerOut, name, broker.out_per_s);
        if let Some(behind) = broker.slaves.iter().map(|(_, behind)| *behind).max() {
            add(Kind::BrokerBehind, name, behind as f64);
        }
        let disk = broker.values.iter().find(|(figure, _)| *figure == Figure::DiskUsedRatio);
        if let Some((_, used)) = disk {
            add(Kind::BrokerDisk, name, used * 100.0);
        }
        for topic in &broker.topics {
            add(Kind::TopicIn, &topic.topic, topic.in_per_s);
        }
        for reader in &broker.readers {
            add(Kind::GroupLag, &reader.group, reader.lag as f64);
            add(Kind::GroupOut, &reader.group, reader.out_per_s);
        }
    }
    values
}

/// Adds a minute's values; where there is no room, those that are higher than others were all day take their places.
fn note(
    known: &mut BTreeMap<String, Series>,
    kind: Kind,
    (minute, is_restart): (i64, bool),
    values: Vec<(&str, f32)>,
) {
    let mut others = Vec::new();
    for (name, value) in values {
        match known.get_mut(name) {
            Some(series) => series.note(kind, minute, value, is_restart),
            None => others.push((name, value)),
        }
    }
    others.sort_by(|a, b| b.1.total_cmp(&a.1));
    let room = SERIES_MAX.saturating_sub(known.len()).min(others.len());
    let without_room = others.split_off(room);
    if without_room.first().is_some_and(|(_, value)| *value > 0.0) {
        let mut weakest: Vec<_> =
            known.iter().map(|(name, series)| (series.highest(minute), name.clone())).collect();
        weakest.sort_by(|a, b| a.0.total_cmp(&b.0));
        for (other, (highest, name)) in without_room.into_iter().zip(weakest) {
            if other.1 > highest {
                known.remove(&name);
                others.push(other);
            }
        }
    }
    for (name, value) in others {
        let mut series = Series::new();
        series.note(kind, minute, value, is_restart);
        known.insert(name.to_owned(), series);
    }
}

/// Where the rows of this number begin; older ones are before it.
fn row_key(row: i64) -> [u8; 4] {
    u32::try_from(row).unwrap_or_default().to_be_bytes()
}

/// The rest of a row's key.
fn series_of(key: &[u8]) -> Option<(Kind, &str)> {
    let (number, name) = key.split_first()?;
    let kind = Kind::ALL.into_iter().find(|kind| *kind as u8 == *number)?;
    Some((kind, str::from_utf8(name).ok()?))
}

fn floats(bytes: &[u8]) -> impl Iterator<Item = f32> {
    bytes.as_chunks().0.iter().map(|four| f32::from_le_bytes(*four))
}

#[expect(clippy::cast_possible_truncation, reason = "seven digits are more than a chart shows")]
fn narrow(value: f64) -> f32 {
    value as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kv::MemoryDatabase;
    use crate::metrics::{ReaderFigures, TopicFigures};

    /// The beginning of an hour, and of a day.
    const BEGIN_MS: i64 = 20_000 * 24 * 60 * MINUTE_MS;

    fn broker(minute: i64, in_per_s: f64, lag: u64) -> BrokerFigures {
        let reader = |topic: &str| ReaderFigures {
            group: "G".to_owned(),
            topic: topic.to_owned(),
            out_per_s: 2.0,
            lag,
            ..ReaderFigures::default()
        };
        BrokerFigures {
            group: "broker-a".to_owned(),
            at_ms: BEGIN_MS + minute * MINUTE_MS,
            in_per_s,
            values: vec![(Figure::DiskUsedRatio, 0.5)],
            topics: vec![topic("T", in_per_s)],
            readers: vec![reader("T"), reader("%RETRY%G")],
            ..BrokerFigures::default()
        }
    }

    fn topic(name: &str, in_per_s: f64) -> TopicFigures {
        TopicFigures { topic: name.to_owned(), in_per_s, ..TopicFigures::default() }
    }

    fn open(database: &Arc<MemoryDatabase>, minute: i64) -> History {
        History::open(Arc::clone(database) as _, BEGIN_MS + minute * MINUTE_MS)
    }

    /// The points from the first to the last that there is.
    fn points(
        history: &History,
        kind: Kind,
        name: &str,
        span: Span,
        minute: i64,
    ) -> Vec<Option<f32>> {
        let points = history.points(kind, name, span, BEGIN_MS + minute * MINUTE_MS);
        let is_there = |point: &Option<f32>| point.is_some();
        let Some(first) = points.iter().position(is_there) else { return Vec::new() };
        let last = points.iter().rposition(is_there).unwrap();
        points[first..=last].to_vec()
    }

    #[test]
    fn masters_are_kept_and_what_is_of_several_topics_is_summed_up() {
        let history = open(&Arc::default(), 0);
        let slaves = vec![("s:1".to_owned(), 7), ("s:2".to_owned(), 9)];
        let slave = BrokerFigures { is_slave: true, group: "b".to_owned(), ..broker(1, 8.0, 0) };
        history.note(&[Arc::new(BrokerFigures { slaves, ..broker(0, 3.0, 4) }), Arc::new(slave)]);
        let now = |kind, name: &str| points(&history, kind, name, Span::Day, 0);
        assert_eq!(history.names(Kind::BrokerIn), ["broker-a"]);
        assert_eq!(now(Kind::BrokerIn, "broker-a"), [Some(3.0)]);
        assert_eq!(now(Kind::BrokerOut, "broker-a"), [Some(0.0)]);
        assert_eq!(now(Kind::BrokerBehind, "broker-a"), [Some(9.0)]);
        assert_eq!(now(Kind::BrokerDisk, "broker-a"), [Some(50.0)]);
        assert_eq!(now(Kind::TopicIn, "T"), [Some(3.0)]);
        assert_eq!(now(Kind::GroupLag, "G"), [Some(8.0)]);
        assert_eq!(now(Kind::GroupOut, "G"), [Some(4.0)]);
        assert_eq!(now(Kind::TopicIn, "U"), []);
    }

    #[test]
    fn a_restart_loses_nothing_but_the_time_that_it_takes() {
        let database = Arc::default();
        let before = open(&database, 0);
        // An hour and a half, a stop of half an hour, another hour.
        (0..90).for_each(|minute| before.note(&[Arc::new(broker(minute, 1.0, 1))]));
        before.save();
        let after = open(&database, 120);
        (120..180).for_each(|minute| after.note(&[Arc::new(broker(minute, 3.0, 5))]));
        let minutes = points(&after, Kind::TopicIn, "T", Span::Day, 180);
        let is = |value, count| vec![value; count];
        assert_eq!(minutes, [is(Some(1.0), 90), is(None, 30), is(Some(3.0), 60)].concat());
        let lag = points(&after, Kind::GroupLag, "G", Span::Month, 180);
        assert_eq!(lag, [Some(2.0), Some(2.0), Some(10.0)]);
        after.save();
        // The part of an hour before a stop counts with the part behind it.
        let again = open(&database, 185);
        again.note(&[Arc::new(broker(185, 9.0, 0))]);
        again.save();
        // As does the one of the minute in which it is: its rate is not the one of who has just begun.
        let same = open(&database, 185);
        same.note(&[Arc::new(broker(185, 0.0, 0))]);
        same.save();
        let last = open(&database, 190);
        last.note(&[Arc::new(broker(190, 3.0, 0))]);
        let hours = points(&last, Kind::TopicIn, "T", Span::Month, 190);
        assert_eq!(hours, [Some(1.0), Some(1.0), Some(3.0), Some(6.0)]);
    }

    #[test]
    fn what_is_too_old_is_gone_from_memory_and_from_the_database() {
        let database: Arc<MemoryDatabase> = Arc::default();
        let history = open(&database, 0);
        history.note(&[Arc::new(broker(0, 1.0, 1))]);
        history.save();
        let month = 31 * 24 * 60;
        let other = BrokerFigures { topics: vec![topic("U", 1.0)], ..broker(month, 1.0, 1) };
        history.note(&[Arc::new(other)]);
        history.save();
        assert_eq!(history.names(Kind::TopicIn), ["U"]);
        for span in Span::ALL {
            let mut rows = 0;
            database
                .scan(span.tree(), &[], &mut |_, _| {
                    rows += 1;
                    true
                })
                .unwrap();
            assert_eq!(rows, 6, "{span:?}: a row for each series that there is now");
        }
    }

    #[test]
    fn the_busiest_topics_have_room_and_a_restart_keeps_those() {
        let database = Arc::default();
        let history = open(&database, 0);
        let all = |rate: &dyn Fn(usize) -> f64| {
            (0..SERIES_MAX + 10)
                .map(|number| topic(&format!("T{number:03}"), rate(number)))
                .collect()
        };
        let note = |minute, topics| {
            history.note(&[Arc::new(BrokerFigures { topics, ..broker(minute, 0.0, 0) })]);
        };
        note(0, all(&|number| if number < 5 { 0.0 } else { 5.0 }));
        let names = history.names(Kind::TopicIn);
        assert_eq!(names.len(), SERIES_MAX);
        assert!(!names.contains(&"T000".to_owned()));
        history.save();
        // As busy as others were is not busier.
        note(1, all(&|number| if number == 0 { 6.0 } else { 5.0 }));
        let kept = history.names(Kind::TopicIn);
        assert_eq!(kept.len(), SERIES_MAX);
        assert!(kept.contains(&"T000".to_owned()));
        assert_eq!(kept.iter().filter(|name| !names.contains(name)).count(), 1);
        history.save();
        let again = open(&database, 60);
        assert_eq!(again.names(Kind::TopicIn).len(), SERIES_MAX);
    }

    #[test]
    fn a_clock_that_was_wrong_keeps_nobody_waiting() {
        let history = open(&Arc::default(), -BEGIN_MS / MINUTE_MS);
        let years = 20 * 365 * 24 * 60;
        for minute in [0, years, 1] {
            history.note(&[Arc::new(broker(minute, 2.0, 0))]);
            history.save();
        }
        assert_eq!(points(&history, Kind::TopicIn, "T", Span::Day, 1), [Some(2.0)]);
    }

    #[test]
    fn rows_of_somebody_else_are_left_out() {
        let database: Arc<MemoryDatabase> = Arc::default();
        let mut batch = Batch::default();
        let begin = row_key(BEGIN_MS / MINUTE_MS / 60);
        for rest in [&b""[..], b"\xffT", b"\x04\xff"] {
            batch.insert([&begin[..], rest].concat(), [0; 8]);
        }
        batch.insert([&begin[..], b"\x04T"].concat(), [0; 7]);
        database.apply(Span::Day.tree(), batch).unwrap();
        let history = open(&database, 5);
        assert_eq!(points(&history, Kind::TopicIn, "T", Span::Day, 5), [Some(0.0)]);
    }

    #[tokio::test]
    async fn what_is_told_is_kept_and_an_orderly_stop_writes_it_down() {
        let database = Arc::default();
        let (sender, figures) = watch::channel(Vec::new());
        let stop = CancellationToken::new();
        let history = Arc::new(open(&database, 0));
        let keeping = Arc::clone(&history).keep(figures, stop.clone());
        let keeping = task::spawn(task::Kind::Ignore, "history", keeping);
        sender.send_replace(vec![Arc::new(broker(0, 1.0, 1))]);
        while history.names(Kind::TopicIn).is_empty() {
            tokio::task::yield_now().await;
        }
        stop.cancel();
        keeping.await.unwrap();
        assert_eq!(points(&open(&database, 1), Kind::TopicIn, "T", Span::Day, 1), [Some(1.0)]);
    }
}
