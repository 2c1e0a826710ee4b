//! What peers can make us hold, in numbers (DESIGN 10), and how much of it they hold now.
//!
//! One [`Limits`] is shared by all servers of a process. Counters are relaxed atomics: a limit may be
//! overrun by as many requests as there are threads, never by more. When bytes are too many, who holds most
//! of them goes, not who came last: nobody can use a limit up to keep others out.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::{ArcSwap, Guard};

use super::Connection;
use crate::remoting::request;

/// The bounds; see `[limits]` of the configuration.
#[derive(Clone, Debug)]
pub struct LimitNumbers {
    /// Open connections of all servers.
    pub connections_max: usize,
    /// Requests that are not done yet, of one connection, oneway ones too. It is not read from while
    /// it has as many.
    pub connection_in_flight_max: usize,
    /// The same of all connections; above it requests are answered with code 2. A tenth of
    /// it is kept for routes, heartbeats and registrations.
    pub in_flight_max: usize,
    /// One frame, length word included.
    pub frame_bytes_max: usize,
    /// Bytes of incomplete frames, of all connections; above it the connection with most of them is
    /// dropped. Requests in flight may have as many again.
    pub half_read_bytes_max: usize,
    /// Answers one connection does not read; above it the connection is dropped. A quarter of it
    /// makes us stop reading from that connection.
    pub connection_unsent_bytes_max: usize,
    /// The same of all connections; above it the connection with most of them is dropped.
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
    numbers: ArcSwap<LimitNumbers>,
    connections: AtomicUsize,
    in_flight: AtomicUsize,
    in_flight_bytes: AtomicUsize,
    half_read: Bytes,
    unsent: Bytes,
}

/// Requests below this size are not refused for their size: large ones that are under way must not keep them out.
const SMALL_REQUEST_BYTES: usize = 16 << 10;
/// A share below this is not worth dropping a connection for: one read has as much.
const SHARE_BYTES_MIN: usize = 64 << 10;

/// Bytes that connections make us hold.
#[derive(Debug, Default)]
struct Bytes {
    sum: AtomicUsize,
    /// Connections with large shares, by their number.
    large: Mutex<HashMap<u64, Share>>,
}

/// What one connection makes us hold.
#[derive(Debug)]
struct Share {
    connection: Connection,
    bytes: usize,
    /// It is being closed: its bytes are as good as gone.
    is_leaving: bool,
}

impl Bytes {
    /// Replaces one connection's share; returns whom to drop if all together are more than `max` now.
    fn replace(
        &self,
        connection: &Connection,
        before: usize,
        now: usize,
        max: usize,
    ) -> Option<Connection> {
        if before.max(now) >= SHARE_BYTES_MIN {
            let mut large = self.lock();
            if now >= SHARE_BYTES_MIN {
                let share = Share { connection: connection.clone(), bytes: 0, is_leaving: false };
                large.entry(connection.id()).or_insert(share).bytes = now;
            } else {
                large.remove(&connection.id());
            }
        }
        if now <= before {
            self.sum.fetch_sub(before - now, Ordering::Relaxed);
            return None;
        }
        let sum = self.sum.fetch_add(now - before, Ordering::Relaxed) + (now - before);
        if sum > max { self.whom_to_drop(connection, sum - max) } else { None }
    }

    /// The connection with the largest share, unless those that are leaving hold what is too much.
    fn whom_to_drop(&self, last: &Connection, too_much: usize) -> Option<Connection> {
        let mut large = self.lock();
        let leaving = large.values().filter(|share| share.is_leaving);
        if leaving.map(|share| share.bytes).sum::<usize>() >= too_much {
            return None;
        }
        let staying = large.values_mut().filter(|share| !share.is_leaving);
        let Some(largest) = staying.max_by_key(|share| share.bytes) else {
            return Some(last.clone());
        };
        largest.is_leaving = true;
        Some(largest.connection.clone())
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Share>> {
        self.large.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Limits {
    /// Counts from zero against `numbers`.
    #[must_use]
    pub fn new(numbers: LimitNumbers) -> Self {
        Self { numbers: ArcSwap::from_pointee(numbers), ..Self::default() }
    }

    /// The bounds.
    #[must_use]
    pub fn numbers(&self) -> Guard<Arc<LimitNumbers>> {
        self.numbers.load()
    }

    /// The bounds from now on; who holds more already goes on until it asks for more.
    pub fn set_numbers(&self, numbers: LimitNumbers) {
        self.numbers.store(Arc::new(numbers));
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
        self.half_read.sum.load(Ordering::Relaxed)
    }

    /// Bytes that peers have not read although they could, now.
    #[must_use]
    pub fn unsent_bytes(&self) -> usize {
        self.unsent.sum.load(Ordering::Relaxed)
    }

    /// Counts one connection more; false, and nothing counted, if there are too many.
    pub(super) fn open_connection(&self) -> bool {
        let fits =
            self.connections.fetch_add(1, Ordering::Relaxed) < self.numbers().connections_max;
        if !fits {
            self.close_connection();
        }
        fits
    }

    pub(super) fn close_connection(&self) {
        self.connections.fetch_sub(1, Ordering::Relaxed);
    }

    /// Counts one request of so many bytes more, whether it fits or not; false if it is to be refused.
    pub(super) fn begin_request(&self, code: i32, bytes: usize) -> bool {
        let before = self.in_flight.fetch_add(1, Ordering::Relaxed);
        let all_bytes = self.in_flight_bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        let numbers = self.numbers();
        let max = numbers.in_flight_max;
        (bytes < SMALL_REQUEST_BYTES || all_bytes <= numbers.half_read_bytes_max)
            && (before < max - max / 10 || (before < max && is_control(code)))
    }

    /// One request of so many bytes is done.
    pub(super) fn end_request(&self, bytes: usize) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
        self.in_flight_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Replaces one connection's share of half-read bytes; whom to drop if all together are too many.
    pub(super) fn count_half_read(
        &self,
        connection: &Connection,
        before: usize,
        now: usize,
    ) -> Option<Connection> {
        self.half_read.replace(connection, before, now, self.numbers().half_read_bytes_max)
    }

    /// Replaces one connection's share of unsent bytes; whom to drop if all together are too many.
    pub(super) fn count_unsent(
        &self,
        connection: &Connection,
        before: usize,
        now: usize,
    ) -> Option<Connection> {
        self.unsent.replace(connection, before, now, self.numbers().unsent_bytes_max)
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
            assert!(limits.begin_request(request::SEND_MESSAGE, 1));
        }
        assert!(!limits.begin_request(request::SEND_MESSAGE, 1));
        limits.end_request(1);
        assert!(limits.begin_request(request::HEART_BEAT, 1));
        assert!(!limits.begin_request(request::HEART_BEAT, 1));
        (0..11).for_each(|_| limits.end_request(1));
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
