//! Time behind a handle: wall clock and monotonic clock that tests can move, and the time zone of hours and days.
//!
//! Not a scheduler: timers are tokio's. Invariants: no other file reads the system's clocks (`clippy.toml` forbids it),
//! nor which time zone the host has; a zone that cannot be read is UTC.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tz::TimeZone;

/// A time zone.
#[derive(Debug)]
pub struct Zone(TimeZone);

impl Default for Zone {
    /// UTC.
    fn default() -> Self {
        Self(TimeZone::utc())
    }
}

impl Zone {
    /// This host's, as it is now: `TZ`, else /etc/localtime.
    #[must_use]
    pub fn local() -> Self {
        match std::env::var("TZ") {
            Ok(name) if !name.is_empty() => Self::named(&name),
            _ => TimeZone::local().map(Self).unwrap_or_default(),
        }
    }

    /// The one that a value of `TZ` names or describes.
    #[must_use]
    pub fn named(name: &str) -> Self {
        TimeZone::from_posix_tz(name).map(Self).unwrap_or_default()
    }

    /// How far its clocks are ahead of UTC at a moment in seconds since 1970, in seconds; less than 0 in the west.
    #[must_use]
    pub fn offset_s(&self, moment_s: i64) -> i64 {
        self.0.find_local_time_type(moment_s).map_or(0, |kind| i64::from(kind.ut_offset()))
    }
}

/// A cheap, shared handle to the time.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    /// How far tests moved the clock from the system's, in milliseconds.
    shift_ms: Arc<AtomicI64>,
    zone: Arc<Zone>,
}

impl Clock {
    /// The system's clock, with the hours and days of UTC.
    #[must_use]
    pub fn system() -> Self {
        Self::default()
    }

    /// The same clock with the hours and days of a zone.
    #[must_use]
    pub fn in_zone(self, zone: Zone) -> Self {
        Self { zone: Arc::new(zone), ..self }
    }

    /// Wall time in milliseconds since 1970, as RocketMQ writes it everywhere.
    #[must_use]
    pub fn now_ms(&self) -> i64 {
        #[expect(clippy::disallowed_methods, reason = "the one place that reads the wall clock")]
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        let ms = i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX);
        ms.saturating_add(self.shift_ms.load(Ordering::Relaxed))
    }

    /// Wall time as the zone's clocks show it, in milliseconds since they showed 1970: for the hour and the day that it is
    /// there, of which one can come twice, or not at all.
    #[must_use]
    pub fn local_ms(&self) -> i64 {
        let now_ms = self.now_ms();
        now_ms.saturating_add(self.zone.offset_s(now_ms.div_euclid(1000)) * 1000)
    }

    /// Monotonic time, for measuring durations; moved together with the wall time.
    #[must_use]
    pub fn monotonic(&self) -> Instant {
        #[expect(
            clippy::disallowed_methods,
            reason = "the one place that reads the monotonic clock"
        )]
        let now = Instant::now();
        let shift_ms = self.shift_ms.load(Ordering::Relaxed);
        now + Duration::from_millis(u64::try_from(shift_ms).unwrap_or(0))
    }

    /// Moves this clock and all its clones forward (tests only have a reason to).
    pub fn advance(&self, by: Duration) {
        let by_ms = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        self.shift_ms.fetch_add(by_ms, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_move_together() {
        let clock = Clock::system();
        let clone = clock.clone();
        let (wall, monotonic) = (clock.now_ms(), clock.monotonic());
        clone.advance(Duration::from_secs(3600));
        assert!(clock.now_ms() - wall >= 3_600_000);
        assert!(clock.monotonic() - monotonic >= Duration::from_secs(3600));
    }

    #[test]
    fn hours_are_those_of_the_zone_in_summer_and_in_winter() {
        let berlin = Zone::named("CET-1CEST,M3.5.0,M10.5.0/3");
        // Around 2022-03-27 01:00 UTC.
        let offsets = [1_648_342_799, 1_648_342_800].map(|moment_s| berlin.offset_s(moment_s));
        assert_eq!(offsets, [3600, 7200]);
        assert_eq!(Zone::named("no zone").offset_s(0), 0);
        let ahead_ms = |clock: &Clock| clock.local_ms() - clock.now_ms();
        let west = Clock::system().in_zone(Zone::named("XXX3:30"));
        // The time goes on between the two.
        let expected_ms = -12_600_000;
        assert!((expected_ms - 60_000..=expected_ms).contains(&ahead_ms(&west)));
        assert!((-60_000..=0).contains(&ahead_ms(&Clock::system())));
    }
}
