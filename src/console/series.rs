//! Points of one thing over the time: of what kinds they are, and how long they are kept.
//!
//! Not which things there are, nor what survives a restart (`history`). A minute has its last rate, and its highest lag; an
//! hour has the mean of its minutes' rates, and their highest lag. Invariant: a time without a value is a gap, no zero.

/// A minute.
pub const MINUTE_MS: i64 = 60_000;
const HOUR_MINUTES: i64 = 60;

/// What a series is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Messages stored a second at a broker.
    BrokerIn,
    /// Messages given out a second at a broker.
    BrokerOut,
    /// Bytes of a broker's log that the last of its slaves does not have.
    BrokerBehind,
    /// Used part of a broker's disk, in percent.
    BrokerDisk,
    /// Messages stored a second in a topic.
    TopicIn,
    /// Messages that a group has not got, in all topics.
    GroupLag,
    /// Messages given out a second to a group, in all topics.
    GroupOut,
}

impl Kind {
    /// All, at the places of their numbers in the database.
    pub const ALL: [Self; 7] = [
        Self::BrokerIn,
        Self::BrokerOut,
        Self::BrokerBehind,
        Self::BrokerDisk,
        Self::TopicIn,
        Self::GroupLag,
        Self::GroupOut,
    ];

    /// Whether of several values the highest counts, and not their mean.
    fn is_highest(self) -> bool {
        matches!(self, Self::BrokerBehind | Self::BrokerDisk | Self::GroupLag)
    }

    fn sum_up(self, values: impl Iterator<Item = f32>) -> Option<f32> {
        let (mut count, mut sum, mut highest) = (0.0, 0.0, f32::NEG_INFINITY);
        for value in values {
            (count, sum, highest) = (count + 1.0, sum + value, highest.max(value));
        }
        let summed = if self.is_highest() { highest } else { sum / count };
        (count > 0.0).then_some(summed)
    }
}

/// How far back points are, and how close to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Span {
    /// Minutes of a day.
    Day,
    /// Hours of 30 days.
    Month,
}

impl Span {
    /// All.
    pub const ALL: [Self; 2] = [Self::Day, Self::Month];

    /// From one point to the next, in milliseconds.
    pub fn step_ms(self) -> i64 {
        match self {
            Self::Day => MINUTE_MS,
            Self::Month => HOUR_MINUTES * MINUTE_MS,
        }
    }

    /// How many points there are.
    pub fn points(self) -> i64 {
        match self {
            Self::Day => 1440,
            Self::Month => 720,
        }
    }

    /// Where they are in the database.
    pub fn tree(self) -> &'static str {
        match self {
            Self::Day => "history-minutes",
            Self::Month => "history-hours",
        }
    }

    /// How many are in a row of the database.
    pub fn row_points(self) -> i64 {
        match self {
            Self::Day => 60,
            Self::Month => 24,
        }
    }

    /// The points that are there at a time, by their numbers since 1970.
    pub fn range(self, now_ms: i64) -> std::ops::RangeInclusive<i64> {
        let newest = now_ms.div_euclid(self.step_ms());
        newest - self.points() + 1..=newest
    }
}

/// The newest points of a series; what was never put is a gap.
#[derive(Debug)]
pub struct Ring {
    /// The point of number `n` is at `n` modulo the length.
    points: Box<[f32]>,
    newest: i64,
}

impl Ring {
    fn new(span: Span) -> Self {
        let len = usize::try_from(span.points()).unwrap_or_default();
        Self { points: vec![f32::NAN; len].into(), newest: i64::MIN }
    }

    fn len(&self) -> i64 {
        i64::try_from(self.points.len()).unwrap_or(i64::MAX)
    }

    fn place(&self, at: i64) -> usize {
        usize::try_from(at.rem_euclid(self.len())).unwrap_or_default()
    }

    /// Adds a point, or changes it; those between it and the one before are gaps.
    pub fn put(&mut self, at: i64, value: f32) {
        // A clock that was put back by more than there is room for begins anew.
        if at <= self.newest.saturating_sub(self.len()) {
            self.points.fill(f32::NAN);
            self.newest = at;
        }
        for gap in self.newest.max(at - self.len()) + 1..at {
            self.points[self.place(gap)] = f32::NAN;
        }
        self.newest = self.newest.max(at);
        self.points[self.place(at)] = value;
    }

    /// A point, if it is there.
    pub fn get(&self, at: i64) -> Option<f32> {
        let is_there = at <= self.newest && at > self.newest.saturating_sub(self.len());
        Some(self.points[self.place(at)]).filter(|value| is_there && !value.is_nan())
    }
}

/// The points of both spans.
#[derive(Debug)]
pub struct Series {
    minutes: Ring,
    /// Each made of its minutes.
    pub hours: Ring,
}

impl Series {
    /// Without any point.
    pub fn new() -> Self {
        Self { minutes: Ring::new(Span::Day), hours: Ring::new(Span::Month) }
    }

    /// The points of a span.
    pub fn ring(&mut self, span: Span) -> &mut Ring {
        match span {
            Span::Day => &mut self.minutes,
            Span::Month => &mut self.hours,
        }
    }

    /// A value in a minute; that of a restart has the higher one of both runs.
    pub fn note(&mut self, kind: Kind, minute: i64, value: f32, is_restart: bool) {
        let before = self.minutes.get(minute).filter(|_| is_restart || kind.is_highest());
        self.minutes.put(minute, before.map_or(value, |before| before.max(value)));
        let hour = minute.div_euclid(HOUR_MINUTES);
        let minutes = hour * HOUR_MINUTES..(hour + 1) * HOUR_MINUTES;
        let minutes = &mut minutes.filter_map(|minute| self.minutes.get(minute));
        if let Some(summed) = kind.sum_up(minutes) {
            self.hours.put(hour, summed);
        }
    }

    /// The highest minute of the day.
    pub fn highest(&self, minute: i64) -> f32 {
        let day = minute - Span::Day.points() + 1..=minute;
        day.filter_map(|minute| self.minutes.get(minute)).fold(0.0, f32::max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ring_has_the_newest_points_and_gaps_between() {
        let mut ring = Ring::new(Span::Month);
        assert_eq!(ring.get(5), None);
        ring.put(5, 1.0);
        ring.put(8, 2.0);
        assert_eq!(
            [4, 5, 6, 7, 8, 9].map(|at| ring.get(at)),
            [None, Some(1.0), None, None, Some(2.0), None]
        );
        ring.put(6, 3.0);
        assert_eq!((ring.get(6), ring.get(8)), (Some(3.0), Some(2.0)));
        // What stands in the place of an old point is not the old one.
        ring.put(726, 4.0);
        assert_eq!([6, 8, 725, 726].map(|at| ring.get(at)), [None, Some(2.0), None, Some(4.0)]);
        ring.put(10_000, 5.0);
        assert_eq!([8, 726, 10_000 - 719].map(|at| ring.get(at)), [None; 3]);
        // The clock was put back by more than a ring: what follows is kept.
        ring.put(100, 6.0);
        assert_eq!((ring.get(100), ring.get(10_000)), (Some(6.0), None));
    }

    #[test]
    fn an_hour_is_the_mean_of_rates_and_the_highest_lag() {
        let (mut rate, mut lag) = (Series::new(), Series::new());
        // A minute has its last rate and its highest lag.
        for (minute, value) in [(60, 9.0), (60, 1.0), (90, 2.0), (119, 6.0), (120, 8.0)] {
            rate.note(Kind::TopicIn, minute, value, false);
            lag.note(Kind::GroupLag, minute, value, false);
        }
        rate.note(Kind::TopicIn, 120, 0.0, true);
        assert_eq!((rate.minutes.get(60), lag.minutes.get(60)), (Some(1.0), Some(9.0)));
        assert_eq!((rate.hours.get(1), rate.hours.get(2)), (Some(3.0), Some(8.0)));
        assert_eq!((lag.hours.get(1), lag.hours.get(2)), (Some(9.0), Some(8.0)));
        assert_eq!((rate.highest(120), rate.highest(120 + 1440)), (8.0, 0.0));
    }
}
