//! What peers can make us hold, in numbers, and how much of it they hold now.
//!
//! | `[limits]` | what happens at it | who counts |
//! | --- | --- | --- |
//! | `connections_max` | a new connection is closed at once | here |
//! | `connection_in_flight_max` | the connection is not read from until answers go out | here |
//! | `in_flight_max` | requests are answered 2, `[OVERLOAD]`; a tenth is kept for routes, heartbeats, registrations | here |
//! | `in_flight_bytes_max` | the same, for requests of 16 KiB and more | here |
//! | `frame_bytes_max` | the connection is closed | here |
//! | `half_read_bytes_max` | the connection with most of them is closed | here |
//! | `connection_unsent_bytes_max` | the connection is closed; at a quarter of it, it is not read from | here |
//! | `unsent_bytes_max` | the connection with most of them is closed | here |
//! | `topics_max` | no topic is made: 17 to senders, 1 to tools | `broker/topics` |
//! | `groups_max` | no group is made: 26 to consumers, 1 to tools; heartbeats of more groups: 1 | `broker/groups`, `broker/clients` |
//! | `waiting_pulls_max` | a pull that would wait is answered 2 | `broker/long_polling` |
//! | `client_memberships_max`, `subscription_bytes_max` | a heartbeat is answered 1 | `broker/clients` |
//! | `positions_max` | a new position is not kept; known ones go on | `broker/offsets` |
//! | `order_locks_max` | a queue is not locked | `broker/order_locks` |
//! | `registered_brokers_max` | an unknown broker, or one new in its cluster, is answered 1 | `nameserver/route_table` |
//! | `registered_topics_max` | new topics of a registration are left out | `nameserver/route_table` |
//! | `kv_config_bytes_max` | a change of the key-value configuration is answered 1 | `nameserver/kv_config` |
//! | `light_queues_max` | a message that names a new light queue is answered 1 | `broker/light` |
//!
//! Each time, [`Limits::reached`] counts it (`rmq_limit_reached_total`, by `limit`), tells it, and makes the text that
//! names the setting: what an answer's remark, or the log's reason of a closed connection, says.
//!
//! One [`Limits`] is shared by all servers and roles of a process. Counters are relaxed atomics: a limit may be
//! overrun by as many requests as there are threads, never by more. When bytes are too many, who holds most
//! of them goes, not who came last: nobody can use a limit up to keep others out.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::{ArcSwap, Guard};

use super::Connection;
pub use crate::config::Limits as LimitNumbers;
use crate::metrics::{Limit, Metrics};
use crate::remoting::request;

/// The bounds and the present counts.
#[derive(Debug, Default)]
pub struct Limits {
    numbers: ArcSwap<LimitNumbers>,
    metrics: Arc<Metrics>,
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
    /// Counts from zero against `numbers`, and counts in `metrics` when one of them is reached.
    #[must_use]
    pub fn new(numbers: LimitNumbers, metrics: Arc<Metrics>) -> Self {
        Self { numbers: ArcSwap::from_pointee(numbers), metrics, ..Self::default() }
    }

    /// Counts and tells that a limit kept something from a peer; the text says which setting it is.
    pub fn reached(&self, limit: Limit) -> String {
        self.count(limit);
        let text = self.text(limit);
        tell(limit, &text);
        text
    }

    /// Counts that a limit kept something from a peer, where that has been told.
    pub fn count(&self, limit: Limit) {
        self.metrics.limit_reached(limit).inc();
    }

    /// What is said of a limit that is reached.
    #[must_use]
    pub fn text(&self, limit: Limit) -> String {
        let numbers = self.numbers();
        let counted = numbers.counts().into_iter().find(|(one, _)| *one == limit);
        let number = counted.map_or(numbers.frame_bytes_max, |(_, number)| number);
        format!("limits.{} = {number} is reached", limit.setting())
    }

    /// How often a limit kept something from a peer, of those where it ever did.
    #[must_use]
    pub fn times_reached(&self) -> Vec<(Limit, u64)> {
        let times = Limit::ALL.map(|limit| (limit, self.metrics.limit_reached(limit).get()));
        times.into_iter().filter(|(_, times)| *times > 0).collect()
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

    /// Counts one connection more; false, and nothing open, if there are too many.
    pub(super) fn open_connection(&self) -> bool {
        let fits =
            self.connections.fetch_add(1, Ordering::Relaxed) < self.numbers().connections_max;
        if !fits {
            self.close_connection();
            self.reached(Limit::Connections);
        }
        fits
    }

    /// Counts one connection more, until the value is dropped; nothing if there are too many.
    #[must_use]
    pub fn admit(self: &Arc<Self>) -> Option<Admitted> {
        self.open_connection().then(|| Admitted(Arc::clone(self)))
    }

    pub(super) fn close_connection(&self) {
        self.connections.fetch_sub(1, Ordering::Relaxed);
    }

    /// Counts one request of so many bytes more, whether it fits or not; the limit for which it is to be refused.
    pub(super) fn begin_request(&self, code: i32, bytes: usize) -> Option<Limit> {
        let before = self.in_flight.fetch_add(1, Ordering::Relaxed);
        let all_bytes = self.in_flight_bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        let numbers = self.numbers();
        let max = numbers.in_flight_max;
        if bytes >= SMALL_REQUEST_BYTES && all_bytes > numbers.in_flight_bytes_max {
            return Some(Limit::InFlightBytes);
        }
        let fits = before < max - max / 10 || (before < max && is_control(code));
        (!fits).then_some(Limit::InFlight)
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

/// An open connection, as the limits count it.
#[derive(Debug)]
pub struct Admitted(Arc<Limits>);

impl Drop for Admitted {
    fn drop(&mut self) {
        self.0.close_connection();
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

/// Each limit is a place of its own in the log: a flood at one cannot hide another.
fn tell(limit: Limit, text: &str) {
    macro_rules! tell {
        ($($name:ident)*) => {
            match limit {
                $(Limit::$name => tracing::warn!(limit = limit.setting(), "{text}"),)*
                // Ordinary: who pipelines much is made to wait.
                Limit::ConnectionInFlight => tracing::debug!(limit = limit.setting(), "{text}"),
            }
        };
    }
    tell!(Connections InFlight InFlightBytes FrameBytes HalfReadBytes ConnectionUnsentBytes UnsentBytes Topics Groups
        WaitingPulls ClientMemberships SubscriptionBytes Positions OrderLocks RegisteredBrokers RegisteredTopics
        KvConfigBytes LightQueues);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(numbers: LimitNumbers) -> Limits {
        Limits::new(numbers, Arc::default())
    }

    #[test]
    fn a_tenth_is_kept_for_control_requests() {
        let limits = limits(LimitNumbers { in_flight_max: 10, ..LimitNumbers::default() });
        for _ in 0..9 {
            assert_eq!(limits.begin_request(request::SEND_MESSAGE, 1), None);
        }
        assert_eq!(limits.begin_request(request::SEND_MESSAGE, 1), Some(Limit::InFlight));
        limits.end_request(1);
        assert_eq!(limits.begin_request(request::HEART_BEAT, 1), None);
        assert_eq!(limits.begin_request(request::HEART_BEAT, 1), Some(Limit::InFlight));
        (0..11).for_each(|_| limits.end_request(1));
        assert_eq!(limits.in_flight(), 0);
    }

    #[test]
    fn a_connection_too_many_is_counted_as_refused_only() {
        let limits = limits(LimitNumbers { connections_max: 1, ..LimitNumbers::default() });
        assert!(limits.open_connection());
        assert!(!limits.open_connection());
        assert_eq!(limits.times_reached(), [(Limit::Connections, 1)]);
        limits.close_connection();
        assert!(limits.open_connection());
    }

    #[test]
    fn every_limit_says_its_setting_and_number_and_is_counted() {
        let limits = limits(LimitNumbers { topics_max: 7, ..LimitNumbers::default() });
        assert_eq!(limits.reached(Limit::Topics), "limits.topics_max = 7 is reached");
        for limit in Limit::ALL {
            let text = limits.reached(limit);
            assert!(text.starts_with(&format!("limits.{} = ", limit.setting())), "{text}");
        }
        assert_eq!(limits.times_reached().len(), Limit::ALL.len());
        assert_eq!(limits.times_reached().iter().map(|(_, times)| times).sum::<u64>(), 20);
    }
}
