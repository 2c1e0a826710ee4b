//! Time behind a handle: wall clock and monotonic clock that tests can move.
//!
//! Not a scheduler: timers are tokio's. Invariant: no other file reads the system's clocks
//! (`clippy.toml` forbids it).

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A cheap, shared handle to the time.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    /// How far tests moved the clock from the system's, in milliseconds.
    shift_ms: Arc<AtomicI64>,
}

impl Clock {
    /// The system's clock.
    #[must_use]
    pub fn system() -> Self {
        Self::default()
    }

    /// Wall time in milliseconds since 1970, as RocketMQ writes it everywhere.
    #[must_use]
    pub fn now_ms(&self) -> i64 {
        #[expect(clippy::disallowed_methods, reason = "the one place that reads the wall clock")]
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        let ms = i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX);
        ms.saturating_add(self.shift_ms.load(Ordering::Relaxed))
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
}
