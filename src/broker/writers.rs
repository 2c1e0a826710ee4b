//! What an operator who takes the broker out of use must know of its producers: since when they are kept away, and when
//! one sent last.
//!
//! Not whether they are kept away (`broker_config`). Invariant: a send costs one relaxed store.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use crate::clock::Clock;

/// No producer has sent since the start.
const NEVER: u64 = u64::MAX;

#[derive(Debug)]
pub(super) struct Writers {
    clock: Clock,
    started: Instant,
    /// When one sent last, in milliseconds after `started`.
    sent_after_ms: AtomicU64,
    closed: Mutex<Option<Instant>>,
}

impl Writers {
    /// Nobody has sent yet.
    pub fn new(clock: &Clock) -> Self {
        Self {
            clock: clock.clone(),
            started: clock.monotonic(),
            sent_after_ms: AtomicU64::new(NEVER),
            closed: Mutex::default(),
        }
    }

    /// A producer has sent something, whether it was taken or not.
    pub fn sent(&self, at: Instant) {
        self.sent_after_ms.store(millis(self.started, at), Ordering::Relaxed);
    }

    /// How long ago one sent last, in milliseconds.
    pub fn last_send_ms(&self) -> Option<u64> {
        let after_ms = self.sent_after_ms.load(Ordering::Relaxed);
        let now_ms = millis(self.started, self.clock.monotonic());
        (after_ms != NEVER).then(|| now_ms.saturating_sub(after_ms))
    }

    /// From now on they are kept away, or not.
    pub fn close(&self, is_closed: bool) {
        let mut closed = self.closed.lock().unwrap_or_else(PoisonError::into_inner);
        *closed = is_closed.then(|| closed.unwrap_or_else(|| self.clock.monotonic()));
    }

    /// For how long they have been kept away, in milliseconds.
    pub fn closed_ms(&self) -> Option<u64> {
        let closed = *self.closed.lock().unwrap_or_else(PoisonError::into_inner);
        closed.map(|since| millis(since, self.clock.monotonic()))
    }
}

fn millis(from: Instant, to: Instant) -> u64 {
    u64::try_from(to.saturating_duration_since(from).as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_is_told_grows_with_time() {
        let clock = Clock::system();
        let writers = Writers::new(&clock);
        assert_eq!((writers.last_send_ms(), writers.closed_ms()), (None, None));
        writers.sent(clock.monotonic());
        writers.close(true);
        clock.advance(Duration::from_secs(7));
        writers.close(true);
        assert!(writers.last_send_ms().unwrap() >= 7000);
        assert!(writers.closed_ms().unwrap() >= 7000);
        writers.close(false);
        assert_eq!(writers.closed_ms(), None);
    }
}
