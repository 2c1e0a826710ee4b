//! The registry and every metric's name; names, units and help stand nowhere else.
//!
//! | file | what |
//! | --- | --- |
//! | `names` | limits, and what is read of the node and of each broker |
//! | `figures` | what is reckoned now and then: topics, consumer groups, disks |
//! | `exporter` | the same under the names of rocketmq-exporter |
//! | `histogram` | how long something takes |
//! | `list` | all families, as a table for people |
//!
//! Not an endpoint: who serves the text asks [`Metrics::encode`]. What others count anyway (open
//! connections, bytes of log) is not counted again here but read when asked, by [`Metrics::gauge`].
//! Invariants: counting is one or two atomic additions, without a lock; a handle is an `Arc<Metrics>` that is
//! passed down, never a global.

mod exporter;
mod figures;
mod histogram;
mod list;
mod names;

use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

pub use figures::{BrokerFigures, ConsumerFigures, READERS_MAX, ReaderFigures, TopicFigures};
pub use histogram::Histogram;
pub use list::list;
pub use names::{Figure, Gauge, GroupGauge, Limit};

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
    /// `rmq_send_seconds`: from when a message has passed all checks until its sender can be told.
    pub send: Histogram,
    /// `rmq_pull_seconds`: how long it takes to look for messages in a queue.
    pub pull: Histogram,
    /// What the stores and those who copy them measure.
    pub log_times: LogTimes,
    /// `rmq_limit_reached_total`, by `limit`.
    limits_reached: Family<LimitLabel, Counter>,
    registry: Mutex<Registry>,
    /// Names that do not begin with `rmq_`.
    foreign: Mutex<Registry>,
}

/// How long the parts of a log take; clones count together.
#[derive(Clone, Debug, Default)]
pub struct LogTimes {
    /// `rmq_append_seconds`: a write to the log, of all that was gathered for it.
    pub append: Histogram,
    /// `rmq_fsync_seconds`: bringing what was written to the disk.
    pub fsync: Histogram,
    /// `rmq_replication_seconds`: from when a slave was sent something until it said that it has it; one in flight at a time
    /// is measured.
    pub replication: Histogram,
}

type LimitLabel = [(&'static str, &'static str); 1];

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("rmq");
        let mut counter = |name: &str, help: &str| {
            let counter = Counter::default();
            registry.register(name, help, counter.clone());
            counter
        };
        let metrics = Self {
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
            send: Histogram::default(),
            pull: Histogram::default(),
            log_times: LogTimes::default(),
            limits_reached: limits_reached(&mut registry),
            registry: Mutex::default(),
            foreign: Mutex::default(),
        };
        let LogTimes { append, fsync, replication } = &metrics.log_times;
        for (name, help, histogram) in [
            ("send_seconds", "From a message's checks until its sender can be told", &metrics.send),
            ("pull_seconds", "How long it takes to look for messages in a queue", &metrics.pull),
            ("append_seconds", "How long a write to the log takes", append),
            ("fsync_seconds", "How long it takes to bring the log to the disk", fsync),
            (
                "replication_seconds",
                "From what a slave is sent until it says it has it",
                replication,
            ),
        ] {
            registry.register(name, help, histogram.clone());
        }
        let build = [("version", env!("CARGO_PKG_VERSION")), ("commit", env!("BUILD_COMMIT"))];
        let built =
            Family::<[(&str, &str); 2], prometheus_client::metrics::gauge::Gauge>::default();
        built.get_or_create(&build).set(1);
        registry.register("build_info", "1, with what the node was built from", built);
        Self { registry: Mutex::new(registry), ..metrics }
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

    /// Shows what the brokers of the node say of themselves, their topics and groups; `read` is as for [`Self::gauge`].
    pub fn figures(&self, read: impl Fn() -> Vec<Arc<BrokerFigures>> + Send + Sync + 'static) {
        let mut registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        registry.register_collector(Box::new(figures::Shown(read)));
    }

    /// Shows the same under the names of rocketmq-exporter; nothing while `read` gives nothing.
    pub fn exporter(
        &self,
        read: impl Fn() -> Option<Vec<Arc<BrokerFigures>>> + Send + Sync + 'static,
    ) {
        let mut registry = self.foreign.lock().unwrap_or_else(PoisonError::into_inner);
        registry.register_collector(Box::new(exporter::Shown(read)));
    }

    /// All metrics as OpenMetrics text.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut text = String::new();
        for registry in [&self.registry, &self.foreign] {
            let registry = registry.lock().unwrap_or_else(PoisonError::into_inner);
            encode_registry(&mut text, &registry).expect("a String takes any text");
        }
        encode_eof(&mut text).expect("a String takes any text");
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
        assert!(text.contains("\nrmq_build_info{version=\""), "{text}");
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
