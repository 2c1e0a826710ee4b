//! What peers can make us hold, in numbers (DESIGN 10), and how much of it they hold now.
//!
//! One [`Limits`] is shared by all servers of a process. Counters are relaxed atomics: a limit may be
//! overrun by as many requests as there are threads, never by more.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::remoting::request;

/// The bounds; see `[limits]` of the configuration.
#[derive(Clone, Debug)]
pub struct LimitNumbers {
    /// Open connections of all servers.
    pub connections_max: usize,
    /// Requests without an answer yet, of one connection; oneway requests do not count. It is not
    /// read from while it has as many.
    pub connection_in_flight_max: usize,
    /// The same of all connections; above it requests are answered with code 2. A tenth of
    /// it is kept for routes, heartbeats and registrations.
    pub in_flight_max: usize,
    /// One frame, length word included.
    pub frame_bytes_max: usize,
    /// Bytes of incomplete frames, of all connections.
    pub half_read_bytes_max: usize,
    /// Answers one connection does not read; above it the connection is dropped. A quarter of it
    /// makes us stop reading from that connection.
    pub connection_unsent_bytes_max: usize,
    /// The same of all connections; the connection that crosses it is dropped.
    pub unsent_bytes_max: usize,
}

impl Default for LimitNumbers {
    fn default() -> Self {
        Self {
            connections_max: 20_000,
            connection_in_flight_max: 1_024,
            in_flight_max: 65_536,
            frame_bytes_max: 16 << 20,
            half_read_bytes_max: 256 << 20,
            connection_unsent_bytes_max: 64 << 20,
            unsent_bytes_max: 256 << 20,
        }
    }
}

/// The bounds and the present counts.
#[derive(Debug, Default)]
pub struct Limits {
    numbers: LimitNumbers,
    connections: AtomicUsize,
    in_flight: AtomicUsize,
    half_read_bytes: AtomicUsize,
    unsent_bytes: AtomicUsize,
}

impl Limits {
    /// Counts from zero against `numbers`.
    #[must_use]
    pub fn new(numbers: LimitNumbers) -> Self {
        Self { numbers, ..Self::default() }
    }

    /// The bounds.
    #[must_use]
    pub fn numbers(&self) -> &LimitNumbers {
        &self.numbers
    }

    /// Connections open now.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// Requests without an answer now.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Bytes of incomplete frames now.
    #[must_use]
    pub fn half_read_bytes(&self) -> usize {
        self.half_read_bytes.load(Ordering::Relaxed)
    }

    /// Bytes that peers have not read although they could, now.
    #[must_use]
    pub fn unsent_bytes(&self) -> usize {
        self.unsent_bytes.load(Ordering::Relaxed)
    }

    /// Counts one connection more; false, and nothing counted, if there are too many.
    pub(super) fn open_connection(&self) -> bool {
        let fits = self.connections.fetch_add(1, Ordering::Relaxed) < self.numbers.connections_max;
        if !fits {
            self.close_connection();
        }
        fits
    }

    pub(super) fn close_connection(&self) {
        self.connections.fetch_sub(1, Ordering::Relaxed);
    }

    /// Counts one request more, whether it fits or not; false if it is to be refused.
    pub(super) fn begin_request(&self, code: i32) -> bool {
        let before = self.in_flight.fetch_add(1, Ordering::Relaxed);
        let max = self.numbers.in_flight_max;
        before < max - max / 10 || (before < max && is_control(code))
    }

    pub(super) fn end_requests(&self, count: usize) {
        self.in_flight.fetch_sub(count, Ordering::Relaxed);
    }

    /// Replaces one connection's share of half-read bytes; false if all together are too many.
    pub(super) fn count_half_read(&self, before: usize, now: usize) -> bool {
        count(&self.half_read_bytes, before, now) <= self.numbers.half_read_bytes_max
    }

    /// Replaces one connection's share of unsent bytes; false if all together are too many.
    pub(super) fn count_unsent(&self, before: usize, now: usize) -> bool {
        count(&self.unsent_bytes, before, now) <= self.numbers.unsent_bytes_max
    }
}

/// Moves a sum from one share's old value to its new one and returns the sum.
fn count(sum: &AtomicUsize, before: usize, now: usize) -> usize {
    if now >= before {
        sum.fetch_add(now - before, Ordering::Relaxed) + (now - before)
    } else {
        sum.fetch_sub(before - now, Ordering::Relaxed) - (before - now)
    }
}

/// Requests that keep clients and brokers known; data must not push them out.
fn is_control(code: i32) -> bool {
    [
        request::GET_ROUTEINFO_BY_TOPIC,
        request::HEART_BEAT,
        request::UNREGISTER_CLIENT,
        request::REGISTER_BROKER,
        request::UNREGISTER_BROKER,
    ]
    .contains(&code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenth_is_kept_for_control_requests() {
        let limits = Limits::new(LimitNumbers { in_flight_max: 10, ..LimitNumbers::default() });
        for _ in 0..9 {
            assert!(limits.begin_request(request::SEND_MESSAGE));
        }
        assert!(!limits.begin_request(request::SEND_MESSAGE));
        limits.end_requests(1);
        assert!(limits.begin_request(request::HEART_BEAT));
        assert!(!limits.begin_request(request::HEART_BEAT));
        limits.end_requests(11);
        assert_eq!(limits.in_flight(), 0);
    }

    #[test]
    fn a_connection_too_many_is_not_counted() {
        let limits = Limits::new(LimitNumbers { connections_max: 1, ..LimitNumbers::default() });
        assert!(limits.open_connection());
        assert!(!limits.open_connection());
        limits.close_connection();
        assert!(limits.open_connection());
    }
}
