//! All families as a table for people: `packaging/prometheus/metrics.md` is this text.
//!
//! Made of what a registry with everything in it writes, so that no family can be forgotten.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::exporter::labels_of_empty;
use super::{
    BrokerFigures, ConsumerFigures, Figure, Gauge, GroupGauge, Metrics, ReaderFigures, TopicFigures,
};

const HEAD: &str = "# Metrics of rmq-node

What `/metrics` shows. `rmq-node generate packaging` writes this file.

`group` is a broker group (4.x `brokerName`). Families by topic and consumer group are of masters only: with each host of a
cluster scraped, sums over all hosts count everything once. Their figures are reckoned every `metrics.interval_s` (15) seconds; a scrape only
writes them down.

What bounds the number of series of a broker: `limits.topics_max` (20 000) for families by topic; `limits.groups_max`
(20 000) for connected consumer groups, and as many producer groups; 20 000 pairs of topic and consumer group, those furthest behind first,
`rmq_consumers_left_out` says how many more there are. `rmq_queue_lag_messages` has a series for each queue that is behind, and is off unless
`metrics.queue_lag` is on. No label holds what clients choose freely, but for those of rocketmq-exporter's `rocketmq_group_count`.

With `metrics.exporter_names` the families of rocketmq-exporter are shown too, under its names and labels and as gauges all,
so that boards made for it go on working. They are reckoned in the node, by nobody's requests: `rocketmq_client_*`, for which the exporter asks
every client, and the three that it declares and never fills have no series. What it shows wrong is right here: every node shows its own
brokers under their own cluster, slaves too (`rocketmq_brokeruntime_*`), and
`remain_howmanydata_toflush` is in bytes.
";

/// The table, as Markdown.
#[must_use]
pub fn list() -> String {
    let text = example().encode();
    let mut labels: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        if let Some((name, rest)) = line.split_once('{') {
            let names = rest.split("\",").filter_map(|label| Some(label.split_once('=')?.0));
            labels.insert(name, names.filter(|name| *name != "le").collect());
        }
    }
    let mut table = format!("{HEAD}\n| name | type | labels | what |\n| --- | --- | --- | --- |\n");
    let mut help = "";
    for line in text.lines() {
        if let Some((_, words)) = line.strip_prefix("# HELP ").and_then(|line| line.split_once(' '))
        {
            help = words.trim_end_matches('.');
        }
        if let Some((name, kind)) =
            line.strip_prefix("# TYPE ").and_then(|line| line.split_once(' '))
        {
            let name = if kind == "counter" { format!("{name}_total") } else { name.to_owned() };
            let with_labels =
                if kind == "histogram" { format!("{name}_bucket") } else { name.clone() };
            let labels = labels.get(&*with_labels).map(Vec::as_slice).or(labels_of_empty(&name));
            let labels = labels.map(|names| names.join(", ")).unwrap_or_default();
            table.push_str(&format!("| `{name}` | {kind} | {labels} | {help} |\n"));
        }
    }
    table
}

/// A node that shows everything.
fn example() -> Metrics {
    let metrics = Metrics::default();
    for gauge in Gauge::ALL {
        metrics.gauge(gauge, || 0);
    }
    for gauge in GroupGauge::ALL {
        metrics.group_gauge(gauge, || vec![(String::new(), 0)]);
    }
    let reader = |topic: &str| ReaderFigures {
        topic: topic.to_owned(),
        queues: vec![(0, 0)],
        ..ReaderFigures::default()
    };
    let topic = |topic: &str| TopicFigures { topic: topic.to_owned(), ..TopicFigures::default() };
    let figures = Arc::new(BrokerFigures {
        values: Figure::ALL.map(|figure| (figure, 0.0)).to_vec(),
        topics: ["T", "%RETRY%G", "%DLQ%G"].map(topic).to_vec(),
        readers: ["T", "%RETRY%G"].map(reader).to_vec(),
        consumers: vec![ConsumerFigures::default()],
        producers: vec![(String::new(), 0)],
        slaves: vec![(String::new(), 0)],
        ..BrokerFigures::default()
    });
    let all = Arc::clone(&figures);
    metrics.figures(move || vec![Arc::clone(&all)]);
    metrics.exporter(move || Some(vec![Arc::clone(&figures)]));
    metrics
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_family_has_a_line_with_its_labels() {
        let list = list();
        for line in [
            "| `rmq_messages_in_total` | counter |  | Messages stored for producers |",
            "| `rmq_limit_reached_total` | counter | limit | How often a limit kept something from a peer |",
            "| `rmq_send_seconds` | histogram |  | From a message's checks until its sender can be told |",
            "| `rmq_queue_lag_messages` | gauge | group, topic, consumer_group, queue | Messages of a queue that a consumer \
             group has not got; with metrics.queue_lag |",
        ] {
            assert!(list.lines().any(|one| one == line), "{line}\n{list}");
        }
    }
}
