//! The registry and every metric's name; names, units and help stand nowhere else.
//!
//! Not an endpoint: who serves the text asks [`Metrics::encode`]. What others count anyway (open
//! connections, bytes of log) is not counted again here but read when asked, by [`Metrics::gauge`].
//! Invariants: counting is one atomic addition, without a lock; a handle is an `Arc<Metrics>` that is
//! passed down, never a global.

use std::sync::{Mutex, PoisonError};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

/// Everything this process counts.
#[derive(Debug)]
pub struct Metrics {
    /// `rmq_messages_in_total`: messages that producers were told are stored.
    pub messages_in: Counter,
    /// `rmq_messages_out_total`: messages in answers to pulls.
    pub messages_out: Counter,
    /// `rmq_transactions_committed_total`.
    pub transactions_committed: Counter,
    /// `rmq_transactions_rolled_back_total`.
    pub transactions_rolled_back: Counter,
    /// `rmq_transactions_discarded_total`: half messages that were checked too often, or are too old.
    pub transactions_discarded: Counter,
    /// `rmq_transaction_checks_total`: questions to producers.
    pub transaction_checks: Counter,
    /// `rmq_acl_logins_refused_total`: requests whose sender is not known, or did not sign as who it says to be.
    pub logins_refused: Counter,
    /// `rmq_acl_permissions_refused_total`: requests whose sender may not.
    pub permissions_refused: Counter,
    /// `rmq_admin_logins_refused_total`: connections and calls of the admin API without a login that is known.
    pub admin_logins_refused: Counter,
    /// `rmq_admin_permissions_refused_total`: calls of the admin API whose login has too small a role.
    pub admin_permissions_refused: Counter,
    /// `rmq_limit_reached_total`, by `limit`.
    limits_reached: Family<LimitLabel, Counter>,
    registry: Mutex<Registry>,
}

type LimitLabel = [(&'static str, &'static str); 1];

/// A bound on what peers can make the node hold; `transport::Limits` has the table of what happens at each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the settings say what they are")]
pub enum Limit {
    Connections,
    ConnectionInFlight,
    InFlight,
    InFlightBytes,
    FrameBytes,
    HalfReadBytes,
    ConnectionUnsentBytes,
    UnsentBytes,
    Topics,
    Groups,
    WaitingPulls,
    ClientMemberships,
    SubscriptionBytes,
    Positions,
    OrderLocks,
    RegisteredBrokers,
    RegisteredTopics,
    KvConfigBytes,
}

impl Limit {
    /// All there are.
    pub const ALL: [Self; 18] = [
        Self::Connections,
        Self::ConnectionInFlight,
        Self::InFlight,
        Self::InFlightBytes,
        Self::FrameBytes,
        Self::HalfReadBytes,
        Self::ConnectionUnsentBytes,
        Self::UnsentBytes,
        Self::Topics,
        Self::Groups,
        Self::WaitingPulls,
        Self::ClientMemberships,
        Self::SubscriptionBytes,
        Self::Positions,
        Self::OrderLocks,
        Self::RegisteredBrokers,
        Self::RegisteredTopics,
        Self::KvConfigBytes,
    ];

    /// Its key in `[limits]`, which is the metric's label too.
    #[must_use]
    pub fn setting(self) -> &'static str {
        match self {
            Self::Connections => "connections_max",
            Self::ConnectionInFlight => "connection_in_flight_max",
            Self::InFlight => "in_flight_max",
            Self::InFlightBytes => "in_flight_bytes_max",
            Self::FrameBytes => "frame_bytes_max",
            Self::HalfReadBytes => "half_read_bytes_max",
            Self::ConnectionUnsentBytes => "connection_unsent_bytes_max",
            Self::UnsentBytes => "unsent_bytes_max",
            Self::Topics => "topics_max",
            Self::Groups => "groups_max",
            Self::WaitingPulls => "waiting_pulls_max",
            Self::ClientMemberships => "client_memberships_max",
            Self::SubscriptionBytes => "subscription_bytes_max",
            Self::Positions => "positions_max",
            Self::OrderLocks => "order_locks_max",
            Self::RegisteredBrokers => "registered_brokers_max",
            Self::RegisteredTopics => "registered_topics_max",
            Self::KvConfigBytes => "kv_config_bytes_max",
        }
    }
}

/// What is read when somebody asks; the names are `rmq_` and this.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gauge {
    /// Open connections of all ports.
    Connections,
    /// Requests without an answer yet.
    RequestsInFlight,
    /// Bytes of frames that have not arrived in full.
    HalfReadBytes,
    /// Bytes of answers that peers have not read.
    UnsentBytes,
    /// Pulls that wait for a message.
    WaitingPulls,
    /// Account files that are wrong, so that what they said before counts.
    BrokenAccountFiles,
    /// When the node's certificate ends, in seconds since 1970.
    CertificateNotAfterSeconds,
    /// Peers that have other accounts under the same counter.
    DifferentAccounts,
}

/// What is read of each broker of the node when somebody asks; the names are `rmq_` and this, the label is `group`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupGauge {
    /// 1 if its data cannot be used, else 0.
    Down,
    /// 1 if it stores nothing because the disk is full, else 0.
    ReadOnly,
    /// Places of its log that were found damaged since the start, and are stepped over.
    DamagedPlaces,
    /// Slaves that copy its log.
    Slaves,
    /// What the slave furthest behind has not acknowledged.
    SlaveBehindBytes,
    /// For how long the most silent slave has acknowledged nothing.
    SlaveSilentSeconds,
    /// Of a slave: 1 if it has what its master had a moment ago, else 0.
    InSync,
    /// Of a slave: how much older its log is than its master's at most, as far as that is known.
    BehindSeconds,
    /// Of a slave: bytes that are no records in its master's log, and were copied as they are.
    CopiedHoleBytes,
    /// Of a master: messages with a time of their own that are due within seconds, and those that are late.
    TimersDueSoon,
    /// Of a master: how late the next of these is, in seconds; 0 if it is not.
    TimersLateSeconds,
}

impl GroupGauge {
    fn name_and_help(self) -> (&'static str, &'static str) {
        match self {
            Self::Down => ("broker_down", "1 if the broker's data cannot be used: see the log"),
            Self::ReadOnly => ("store_read_only", "1 if the disk is too full to store messages"),
            Self::DamagedPlaces => (
                "log_damaged_places",
                "Places of the log found damaged since the start: what lay there is lost here",
            ),
            Self::Slaves => ("slaves", "Slaves that copy the log"),
            Self::SlaveBehindBytes => (
                "slave_behind_bytes",
                "Bytes of log that the slave furthest behind has not acknowledged",
            ),
            Self::SlaveSilentSeconds => (
                "slave_silent_seconds",
                "For how long the most silent connected slave has acknowledged nothing",
            ),
            Self::InSync => ("copy_in_sync", "1 if this slave's log is as its master's"),
            Self::BehindSeconds => (
                "copy_behind_seconds",
                "How much older this slave's log is than its master's at most",
            ),
            Self::CopiedHoleBytes => (
                "copied_hole_bytes",
                "Bytes that are no records in the master's log, copied as holes since the start",
            ),
            Self::TimersDueSoon => (
                "timers_due_soon",
                "Messages with a time of their own that are due within seconds or late",
            ),
            Self::TimersLateSeconds => (
                "timers_late_seconds",
                "How late the next message with a time of its own is; 0 if it is not",
            ),
        }
    }
}

impl Gauge {
    fn name_and_help(self) -> (&'static str, &'static str) {
        match self {
            Self::Connections => ("connections", "Open connections of all ports"),
            Self::RequestsInFlight => ("requests_in_flight", "Requests without an answer yet"),
            Self::HalfReadBytes => ("half_read_bytes", "Bytes of frames not arrived in full"),
            Self::UnsentBytes => ("unsent_bytes", "Bytes of answers that peers have not read"),
            Self::WaitingPulls => ("waiting_pulls", "Pulls that wait for a message"),
            Self::CertificateNotAfterSeconds => (
                "certificate_not_after_seconds",
                "When the node's certificate ends, in seconds since 1970",
            ),
            Self::DifferentAccounts => (
                "acl_drift",
                "Peers with other accounts under the same counter: make the right change once more",
            ),
            Self::BrokenAccountFiles => {
                ("acl_broken_files", "Account files that are wrong: what they said before counts")
            }
        }
    }
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("rmq");
        let mut counter = |name: &str, help: &str| {
            let counter = Counter::default();
            registry.register(name, help, counter.clone());
            counter
        };
        Self {
            messages_in: counter("messages_in", "Messages stored for producers"),
            messages_out: counter("messages_out", "Messages in answers to pulls"),
            transactions_committed: counter(
                "transactions_committed",
                "Transactions that producers committed",
            ),
            transactions_rolled_back: counter(
                "transactions_rolled_back",
                "Transactions that producers rolled back",
            ),
            transactions_discarded: counter(
                "transactions_discarded",
                "Transactions given up: checked too often, or too old",
            ),
            transaction_checks: counter(
                "transaction_checks",
                "Questions to producers what became of a transaction",
            ),
            logins_refused: counter(
                "acl_logins_refused",
                "Requests of unknown or wrongly signing senders",
            ),
            permissions_refused: counter(
                "acl_permissions_refused",
                "Requests of senders that may not",
            ),
            admin_logins_refused: counter(
                "admin_logins_refused",
                "Connections and calls of the admin API without a known login",
            ),
            admin_permissions_refused: counter(
                "admin_permissions_refused",
                "Calls of the admin API whose login has too small a role",
            ),
            limits_reached: limits_reached(&mut registry),
            registry: Mutex::new(registry),
        }
    }
}

/// One counter for each limit, from the start: that nothing was refused is to be seen too.
fn limits_reached(registry: &mut Registry) -> Family<LimitLabel, Counter> {
    let family = Family::<LimitLabel, Counter>::default();
    for limit in Limit::ALL {
        drop(family.get_or_create(&[("limit", limit.setting())]));
    }
    let help = "How often a limit kept something from a peer";
    registry.register("limit_reached", help, family.clone());
    family
}

impl Metrics {
    /// Counts how often a limit kept something from a peer.
    #[must_use]
    pub fn limit_reached(&self, limit: Limit) -> Counter {
        self.limits_reached.get_or_create_owned(&[("limit", limit.setting())])
    }

    /// Shows what somebody else counts; `read` is called for each scrape and must not wait.
    pub fn gauge(&self, gauge: Gauge, read: impl Fn() -> usize + Send + Sync + 'static) {
        self.gauge_if_any(gauge, move || Some(read()));
    }

    /// The same of what there is not always.
    pub fn gauge_if_any(
        &self,
        gauge: Gauge,
        read: impl Fn() -> Option<usize> + Send + Sync + 'static,
    ) {
        let reading = Reading { gauge, read };
        let mut registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        registry.register_collector(Box::new(reading));
    }

    /// Shows what each broker of the node says of itself, as its group and the value; brokers that have no such value
    /// are left out. `read` is as for [`Self::gauge`].
    pub fn group_gauge(
        &self,
        gauge: GroupGauge,
        read: impl Fn() -> Vec<(String, u64)> + Send + Sync + 'static,
    ) {
        let mut registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        registry.register_collector(Box::new(GroupReading { gauge, read }));
    }

    /// All metrics as OpenMetrics text.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut text = String::new();
        let registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        encode(&mut text, &registry).expect("a String takes any text");
        text
    }
}

struct Reading<F> {
    gauge: Gauge,
    read: F,
}

impl<F> std::fmt::Debug for Reading<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.gauge.fmt(f)
    }
}

impl<F: Fn() -> Option<usize> + Send + Sync + 'static> Collector for Reading<F> {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let (name, help) = self.gauge.name_and_help();
        let Some(value) = (self.read)() else { return Ok(()) };
        let value = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
        let encoder = encoder.encode_descriptor(name, help, None, value.metric_type())?;
        value.encode(encoder)
    }
}

struct GroupReading<F> {
    gauge: GroupGauge,
    read: F,
}

impl<F> std::fmt::Debug for GroupReading<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.gauge.fmt(f)
    }
}

impl<F: Fn() -> Vec<(String, u64)> + Send + Sync + 'static> Collector for GroupReading<F> {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let (name, help) = self.gauge.name_and_help();
        let mut encoder = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (group, value) in (self.read)() {
            let value = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
            value.encode(encoder.encode_family(&[("group", group)])?)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn counters_and_readings_are_in_the_text() {
        let metrics = Metrics::default();
        metrics.messages_in.inc_by(3);
        let open = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&open);
        metrics.gauge(Gauge::Connections, move || counted.load(Ordering::Relaxed));
        metrics.gauge_if_any(Gauge::CertificateNotAfterSeconds, || None);
        open.store(7, Ordering::Relaxed);
        metrics.limit_reached(Limit::Topics).inc();
        let text = metrics.encode();
        for line in ["{limit=\"topics_max\"} 1\n", "{limit=\"groups_max\"} 0\n"] {
            assert!(text.contains(&format!("rmq_limit_reached_total{line}")), "{text}");
        }
        assert!(text.contains("rmq_messages_in_total 3\n"), "{text}");
        assert!(text.contains("rmq_messages_out_total 0\n"), "{text}");
        assert!(!text.contains("certificate"), "{text}");
        assert!(text.contains("# TYPE rmq_connections gauge\nrmq_connections 7\n"), "{text}");
    }

    #[test]
    fn what_brokers_say_has_their_group_as_label() {
        let metrics = Metrics::default();
        let read = || vec![("broker-a".to_owned(), 1), ("a\"b".to_owned(), u64::MAX)];
        metrics.group_gauge(GroupGauge::Slaves, read);
        metrics.group_gauge(GroupGauge::InSync, Vec::new);
        let text = metrics.encode();
        let expected = "# TYPE rmq_slaves gauge\nrmq_slaves{group=\"broker-a\"} 1\nrmq_slaves{group=\"a\\\"b\"} 9223372036854775807\n";
        assert!(text.contains(expected), "{text}");
    }
}
