//! What a broker says of itself, its topics and its groups, and the families that show it.
//!
//! Not the reckoning (`broker::figures`). A scrape only writes down what was reckoned last. Invariants: no label holds what
//! clients choose but names of topics and groups, which have limits of their own; of readers there are no more than
//! [`READERS_MAX`] a broker, those furthest behind first.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

use super::Figure;

/// A label's name and value.
type Label<'a> = (&'static str, &'a str);

/// Groups in topics that are shown of one broker.
pub const READERS_MAX: usize = 20_000;

/// One broker at a moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BrokerFigures {
    /// Its cluster.
    pub cluster: String,
    /// Its group (`brokerName`).
    pub group: String,
    /// What its clients dial, as `host:port`.
    pub address: String,
    /// Whether it is a slave: it has values and `runtime`, and the rest is its master's to tell.
    pub is_slave: bool,
    /// When this was reckoned, in milliseconds since 1970.
    pub at_ms: i64,
    /// What there is one of.
    pub values: Vec<(Figure, f64)>,
    /// Messages stored per second in the last minute.
    pub in_per_s: f64,
    /// Messages given out per second in the last minute.
    pub out_per_s: f64,
    /// Its slaves that are connected, as `host:port` as far as that is known, and what of its log each does not have, in bytes.
    pub slaves: Vec<(String, u64)>,
    /// What it tells tools of itself (28), by 4.9.4's names.
    pub runtime: BTreeMap<String, String>,
    /// Its topics.
    pub topics: Vec<TopicFigures>,
    /// Who reads them, or has read them: the furthest behind first.
    pub readers: Vec<ReaderFigures>,
    /// Readers that were left out.
    pub readers_left_out: usize,
    /// The consumer groups that are connected.
    pub consumers: Vec<ConsumerFigures>,
    /// The producer groups that are connected, and how many connections each has.
    pub producers: Vec<(String, usize)>,
}

/// One topic.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TopicFigures {
    /// Its name.
    pub topic: String,
    /// Messages stored since the topic was made.
    pub messages_in: u64,
    /// Bytes of their records.
    pub bytes_in: u64,
    /// Messages stored per second in the last minute.
    pub in_per_s: f64,
    /// Bytes of their records per second.
    pub bytes_in_per_s: f64,
    /// The next offsets of its queues, summed up.
    pub next_offsets: u64,
}

/// One consumer group in one topic.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ReaderFigures {
    /// The consumer group.
    pub group: String,
    /// The topic.
    pub topic: String,
    /// Messages given out since the group began.
    pub messages_out: u64,
    /// Bytes of their records.
    pub bytes_out: u64,
    /// Messages given out per second in the last minute.
    pub out_per_s: f64,
    /// Bytes of their records per second.
    pub bytes_out_per_s: f64,
    /// Messages given back in the last minute.
    pub sent_back: u64,
    /// Its positions in all queues, summed up.
    pub offsets: u64,
    /// Messages that it has not got.
    pub lag: u64,
    /// How old the oldest of these is, in milliseconds; `None` if there is none, or it was not looked up.
    pub behind_ms: Option<u64>,
    /// Queues with messages that it has not got, and how many; empty unless they are asked for.
    pub queues: Vec<(u32, u64)>,
}

/// One consumer group that is connected.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ConsumerFigures {
    /// Its name.
    pub group: String,
    /// Its connections.
    pub members: usize,
    /// Whether each member gets every message.
    pub is_broadcasting: bool,
    /// Where they come from, as `ip:port` with commas between.
    pub addresses: String,
    /// What they call themselves, with commas between.
    pub client_ids: String,
    /// Which of its members subscribe otherwise than most; `None` if all subscribe to the same.
    pub differ: Option<String>,
}

/// Shows how many alerts fire, by rule.
pub(super) struct Alerts<F>(pub F);

impl<F> fmt::Debug for Alerts<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Alerts").finish_non_exhaustive()
    }
}

impl<F> Collector for Alerts<F>
where
    F: Fn() -> Vec<(&'static str, u64)> + Send + Sync + 'static,
{
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let counts = (self.0)();
        let rows = counts.iter().map(|(rule, count)| ([("rule", *rule)], *count as f64));
        gauges(
            &mut encoder,
            ("alerts_firing", "Alerts that this node finds, silenced ones too"),
            rows,
        )
    }
}

/// Shows the figures of all brokers of the node.
pub(super) struct Shown<F>(pub F);

impl<F> fmt::Debug for Shown<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shown").finish_non_exhaustive()
    }
}

impl<F> Collector for Shown<F>
where
    F: Fn() -> Vec<Arc<BrokerFigures>> + Send + Sync + 'static,
{
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let brokers = (self.0)();
        for figure in Figure::ALL {
            let value = |of: &BrokerFigures| {
                of.values.iter().find(|(one, _)| *one == figure).map(|(_, value)| *value)
            };
            let rows = brokers.iter().filter_map(|of| Some(([("group", &*of.group)], value(of)?)));
            gauges(&mut encoder, figure.name_and_help(), rows)?;
        }
        topics(&mut encoder, &brokers)?;
        readers(&mut encoder, &brokers)?;
        members(&mut encoder, &brokers)
    }
}

fn topics(encoder: &mut DescriptorEncoder<'_>, brokers: &[Arc<BrokerFigures>]) -> fmt::Result {
    let all = || {
        brokers.iter().flat_map(|of| {
            of.topics.iter().map(|one| ([("group", &*of.group), ("topic", &*one.topic)], one))
        })
    };
    let messages = all().map(|(labels, one)| (labels, one.messages_in));
    counters(encoder, ("topic_messages_in", "Messages stored of a topic"), messages)?;
    let bytes = all().map(|(labels, one)| (labels, one.bytes_in));
    counters(encoder, ("topic_in_bytes", "Bytes of records stored of a topic"), bytes)
}

fn reader_labels<'a>(of: &'a BrokerFigures, one: &'a ReaderFigures) -> [Label<'a>; 3] {
    [("group", &of.group), ("topic", &one.topic), ("consumer_group", &one.group)]
}

fn readers(encoder: &mut DescriptorEncoder<'_>, brokers: &[Arc<BrokerFigures>]) -> fmt::Result {
    let all = || {
        brokers
            .iter()
            .flat_map(|of| of.readers.iter().map(move |one| (reader_labels(of, one), one)))
    };
    let name = ("consumer_messages_out", "Messages given out of a topic to a consumer group");
    counters(encoder, name, all().map(|(labels, one)| (labels, one.messages_out)))?;
    let name = ("consumer_out_bytes", "Bytes of records given out of a topic to a consumer group");
    counters(encoder, name, all().map(|(labels, one)| (labels, one.bytes_out)))?;
    let name = ("consumer_lag_messages", "Messages of a topic that a consumer group has not got");
    gauges(encoder, name, all().map(|(labels, one)| (labels, one.lag as f64)))?;
    let help = "How old the oldest message of a topic is that a consumer group has not got";
    let behind = all().filter_map(|(labels, one)| {
        let behind_ms = if one.lag == 0 { 0 } else { one.behind_ms? };
        Some((labels, behind_ms as f64 / 1000.0))
    });
    gauges(encoder, ("consumer_behind_seconds", help), behind)?;
    let help = "Messages of a queue that a consumer group has not got; with metrics.queue_lag";
    let mut family = family(encoder, ("queue_lag_messages", help), MetricType::Gauge)?;
    for ([group, topic, consumer_group], one) in all() {
        for (queue, lag) in &one.queues {
            let queue = queue.to_string();
            let labels = [group, topic, consumer_group, ("queue", &*queue)];
            ConstGauge::new(*lag as f64).encode(family.encode_family(&labels)?)?;
        }
    }
    Ok(())
}

fn members(encoder: &mut DescriptorEncoder<'_>, brokers: &[Arc<BrokerFigures>]) -> fmt::Result {
    let all = || {
        brokers.iter().flat_map(|of| {
            of.consumers
                .iter()
                .map(|one| ([("group", &*of.group), ("consumer_group", &*one.group)], one))
        })
    };
    let connections = all().map(|(labels, one)| (labels, one.members as f64));
    gauges(encoder, ("consumer_members", "Connections of a consumer group"), connections)?;
    let help = "1 if members of a consumer group subscribe to something else than the others";
    let differ = all().map(|(labels, one)| (labels, f64::from(u8::from(one.differ.is_some()))));
    gauges(encoder, ("consumer_subscriptions_differ", help), differ)?;
    let producers = brokers.iter().flat_map(|of| {
        of.producers.iter().map(|(name, connections)| {
            ([("group", &*of.group), ("producer_group", &**name)], *connections as f64)
        })
    });
    gauges(encoder, ("producer_members", "Connections of a producer group"), producers)?;
    let help = "Consumer groups in topics that are not shown, because there are too many";
    let left_out = brokers.iter().map(|of| ([("group", &*of.group)], of.readers_left_out as f64));
    gauges(encoder, ("consumers_left_out", help), left_out)
}

fn family<'a>(
    encoder: &'a mut DescriptorEncoder<'_>,
    (name, help): (&'a str, &str),
    kind: MetricType,
) -> Result<MetricEncoder<'a>, fmt::Error> {
    encoder.encode_descriptor(name, help, None, kind)
}

pub(super) fn gauges<'a, const N: usize>(
    encoder: &mut DescriptorEncoder<'_>,
    name: (&str, &str),
    rows: impl Iterator<Item = ([Label<'a>; N], f64)>,
) -> fmt::Result {
    let mut family = family(encoder, name, MetricType::Gauge)?;
    for (labels, value) in rows {
        ConstGauge::new(value).encode(family.encode_family(&labels)?)?;
    }
    Ok(())
}

fn counters<'a, const N: usize>(
    encoder: &mut DescriptorEncoder<'_>,
    name: (&str, &str),
    rows: impl Iterator<Item = ([Label<'a>; N], u64)>,
) -> fmt::Result {
    let mut family = family(encoder, name, MetricType::Counter)?;
    for (labels, value) in rows {
        ConstCounter::new(value).encode(family.encode_family(&labels)?)?;
    }
    Ok(())
}
