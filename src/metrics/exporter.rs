//! What brokers say of themselves under the names of rocketmq-exporter, so that boards made for it go on working.
//!
//! Every family of its 89 is here with its labels, as a gauge whatever it counts: a counter would get another name.
//! `rocketmq_client_*` have no series, because only clients know them and nobody is asked at a scrape; three others have
//! none in the exporter either. Invariant: names and labels are those of `tests/golden/exporter-families.txt`.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;

use super::figures::{BrokerFigures, ConsumerFigures, ReaderFigures, TopicFigures, gauges};

const RETRY_PREFIX: &str = "%RETRY%";
const DLQ_PREFIX: &str = "%DLQ%";

/// How a number stands in a text of 28.
#[derive(Clone, Copy)]
enum Form {
    /// The so-many-th word.
    Part(usize),
    /// A number of bytes with its unit, from the so-many-th word on.
    Bytes(usize),
    /// Behind `[NAME]:`.
    Bucket(&'static str),
}
use Form::{Bucket, Bytes, Part};

/// Name, and where it comes from: a key of 28 and how the number stands in its text.
const RUNTIME: [(&str, &str, Form); 63] = [
    ("rocketmq_brokeruntime_pmdt_0ms", "putMessageDistributeTime", Bucket("<=0ms")),
    ("rocketmq_brokeruntime_pmdt_0to10ms", "putMessageDistributeTime", Bucket("0~10ms")),
    ("rocketmq_brokeruntime_pmdt_10to50ms", "putMessageDistributeTime", Bucket("10~50ms")),
    ("rocketmq_brokeruntime_pmdt_50to100ms", "putMessageDistributeTime", Bucket("50~100ms")),
    ("rocketmq_brokeruntime_pmdt_100to200ms", "putMessageDistributeTime", Bucket("100~200ms")),
    ("rocketmq_brokeruntime_pmdt_200to500ms", "putMessageDistributeTime", Bucket("200~500ms")),
    ("rocketmq_brokeruntime_pmdt_500to1s", "putMessageDistributeTime", Bucket("500ms~1s")),
    ("rocketmq_brokeruntime_pmdt_1to2s", "putMessageDistributeTime", Bucket("1~2s")),
    ("rocketmq_brokeruntime_pmdt_2to3s", "putMessageDistributeTime", Bucket("2~3s")),
    ("rocketmq_brokeruntime_pmdt_3to4s", "putMessageDistributeTime", Bucket("3~4s")),
    ("rocketmq_brokeruntime_pmdt_4to5s", "putMessageDistributeTime", Bucket("4~5s")),
    ("rocketmq_brokeruntime_pmdt_5to10s", "putMessageDistributeTime", Bucket("5~10s")),
    ("rocketmq_brokeruntime_pmdt_10stomore", "putMessageDistributeTime", Bucket("10s~")),
    ("rocketmq_brokeruntime_put_tps10", "putTps", Part(0)),
    ("rocketmq_brokeruntime_put_tps60", "putTps", Part(1)),
    ("rocketmq_brokeruntime_put_tps600", "putTps", Part(2)),
    ("rocketmq_brokeruntime_getfound_tps10", "getFoundTps", Part(0)),
    ("rocketmq_brokeruntime_getfound_tps60", "getFoundTps", Part(1)),
    ("rocketmq_brokeruntime_getfound_tps600", "getFoundTps", Part(2)),
    ("rocketmq_brokeruntime_getmiss_tps10", "getMissTps", Part(0)),
    ("rocketmq_brokeruntime_getmiss_tps60", "getMissTps", Part(1)),
    ("rocketmq_brokeruntime_getmiss_tps600", "getMissTps", Part(2)),
    ("rocketmq_brokeruntime_gettotal_tps10", "getTotalTps", Part(0)),
    ("rocketmq_brokeruntime_gettotal_tps60", "getTotalTps", Part(1)),
    ("rocketmq_brokeruntime_gettotal_tps600", "getTotalTps", Part(2)),
    ("rocketmq_brokeruntime_gettransfered_tps10", "getTransferedTps", Part(0)),
    ("rocketmq_brokeruntime_gettransfered_tps60", "getTransferedTps", Part(1)),
    ("rocketmq_brokeruntime_gettransfered_tps600", "getTransferedTps", Part(2)),
    ("rocketmq_brokeruntime_put_latency_99", "putLatency99", Part(0)),
    ("rocketmq_brokeruntime_put_latency_999", "putLatency999", Part(0)),
    ("rocketmq_brokeruntime_msg_put_total_today_now", "msgPutTotalTodayNow", Part(0)),
    ("rocketmq_brokeruntime_msg_gettotal_today_now", "msgGetTotalTodayNow", Part(0)),
    ("rocketmq_brokeruntime_msg_puttotal_todaymorning", "msgPutTotalTodayMorning", Part(0)),
    ("rocketmq_brokeruntime_msg_gettotal_todaymorning", "msgGetTotalTodayMorning", Part(0)),
    ("rocketmq_brokeruntime_msg_puttotal_yesterdaymorning", "msgPutTotalYesterdayMorning", Part(0)),
    ("rocketmq_brokeruntime_msg_gettotal_yesterdaymorning", "msgGetTotalYesterdayMorning", Part(0)),
    ("rocketmq_brokeruntime_put_message_size_total", "putMessageSizeTotal", Part(0)),
    ("rocketmq_brokeruntime_put_message_average_size", "putMessageAverageSize", Part(0)),
    ("rocketmq_brokeruntime_putmessage_times_total", "putMessageTimesTotal", Part(0)),
    ("rocketmq_brokeruntime_putmessage_entire_time_max", "putMessageEntireTimeMax", Part(0)),
    ("rocketmq_brokeruntime_getmessage_entire_time_max", "getMessageEntireTimeMax", Part(0)),
    ("rocketmq_brokeruntime_dispatch_behind_bytes", "dispatchBehindBytes", Part(0)),
    ("rocketmq_brokeruntime_dispatch_maxbuffer", "dispatchMaxBuffer", Part(0)),
    ("rocketmq_brokeruntime_pagecache_lock_time_mills", "pageCacheLockTimeMills", Part(0)),
    (
        "rocketmq_brokeruntime_remain_transientstore_buffer_numbs",
        "remainTransientStoreBufferNumbs",
        Part(0),
    ),
    ("rocketmq_brokeruntime_commitlog_minoffset", "commitLogMinOffset", Part(0)),
    ("rocketmq_brokeruntime_commitlog_maxoffset", "commitLogMaxOffset", Part(0)),
    ("rocketmq_brokeruntime_commitlog_disk_ratio", "commitLogDiskRatio", Part(0)),
    ("rocketmq_brokeruntime_consumequeue_disk_ratio", "consumeQueueDiskRatio", Part(0)),
    ("rocketmq_brokeruntime_earliest_message_timestamp", "earliestMessageTimeStamp", Part(0)),
    (
        "rocketmq_brokeruntime_start_accept_sendrequest_time",
        "startAcceptSendRequestTimeStamp",
        Part(0),
    ),
    ("rocketmq_brokeruntime_send_threadpool_queue_size", "sendThreadPoolQueueSize", Part(0)),
    ("rocketmq_brokeruntime_send_threadpoolqueue_capacity", "sendThreadPoolQueueCapacity", Part(0)),
    (
        "rocketmq_brokeruntime_send_threadpoolqueue_headwait_timemills",
        "sendThreadPoolQueueHeadWaitTimeMills",
        Part(0),
    ),
    ("rocketmq_brokeruntime_pull_threadpoolqueue_size", "pullThreadPoolQueueSize", Part(0)),
    ("rocketmq_brokeruntime_pull_threadpoolqueue_capacity", "pullThreadPoolQueueCapacity", Part(0)),
    (
        "rocketmq_brokeruntime_pull_threadpoolqueue_headwait_timemills",
        "pullThreadPoolQueueHeadWaitTimeMills",
        Part(0),
    ),
    ("rocketmq_brokeruntime_query_threadpoolqueue_size", "queryThreadPoolQueueSize", Part(0)),
    (
        "rocketmq_brokeruntime_query_threadpool_queue_capacity",
        "queryThreadPoolQueueCapacity",
        Part(0),
    ),
    (
        "rocketmq_brokeruntime_query_threadpoolqueue_headwait_timemills",
        "queryThreadPoolQueueHeadWaitTimeMills",
        Part(0),
    ),
    ("rocketmq_brokeruntime_remain_howmanydata_toflush", "remainHowManyDataToFlush", Bytes(0)),
    ("rocketmq_brokeruntime_commitlogdir_capacity_total", "commitLogDirCapacity", Bytes(2)),
    ("rocketmq_brokeruntime_commitlogdir_capacity_free", "commitLogDirCapacity", Bytes(6)),
];

const RUNTIME_LABELS: [&str; 6] =
    ["cluster", "brokerIP", "brokerHost", "des", "boottime", "broker_version"];

/// What has no series.
const EMPTY: [(&str, &[&str]); 9] = [
    ("rocketmq_client_consume_fail_msg_count", &CLIENT_LABELS),
    ("rocketmq_client_consume_fail_msg_tps", &CLIENT_LABELS),
    ("rocketmq_client_consume_ok_msg_tps", &CLIENT_LABELS),
    ("rocketmq_client_consume_rt", &CLIENT_LABELS),
    ("rocketmq_client_consumer_pull_rt", &CLIENT_LABELS),
    ("rocketmq_client_consumer_pull_tps", &CLIENT_LABELS),
    ("rocketmq_group_consume_tps", &["cluster", "broker", "topic", "group"]),
    ("rocketmq_group_consume_total_offset", &["cluster", "broker", "topic", "group"]),
    ("rocketmq_group_dlqdiff", &["group", "topic", "countOfOnlineConsumers", "msgModel"]),
];
const CLIENT_LABELS: [&str; 4] = ["clientAddr", "clientId", "group", "topic"];

/// The labels of a family that may have no series.
pub(super) fn labels_of_empty(name: &str) -> Option<&'static [&'static str]> {
    if RUNTIME.iter().any(|(one, ..)| *one == name) {
        return Some(&RUNTIME_LABELS);
    }
    EMPTY.iter().find(|(one, _)| *one == name).map(|(_, labels)| *labels)
}

/// Shows the brokers of the node, if there is anything to show.
pub(super) struct Shown<F>(pub F);

impl<F> fmt::Debug for Shown<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shown").finish_non_exhaustive()
    }
}

impl<F> Collector for Shown<F>
where
    F: Fn() -> Option<Vec<Arc<BrokerFigures>>> + Send + Sync + 'static,
{
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let Some(all) = (self.0)() else { return Ok(()) };
        let masters: Vec<&BrokerFigures> =
            all.iter().map(|of| &**of).filter(|of| !of.is_slave).collect();
        runtime(&mut encoder, &all)?;
        brokers(&mut encoder, &masters)?;
        topics(&mut encoder, &masters)?;
        readers(&mut encoder, &masters)?;
        groups(&mut encoder, &masters)?;
        for (name, _) in EMPTY {
            let help =
                "Without series: nobody is asked for it at a scrape, or the exporter has none";
            gauges(&mut encoder, (name, help), std::iter::empty::<([_; 0], f64)>())?;
        }
        Ok(())
    }
}

fn runtime(encoder: &mut DescriptorEncoder<'_>, all: &[Arc<BrokerFigures>]) -> fmt::Result {
    for (name, key, form) in RUNTIME {
        let help = format!("{key} of the broker");
        let row = |of: &'_ Arc<BrokerFigures>| read(of.runtime.get(key)?, form);
        let rows = all.iter().filter_map(|of| {
            let text = |key: &str| of.runtime.get(key).map_or("", String::as_str);
            let values = [
                &*of.cluster,
                &*of.address,
                "",
                text("brokerVersionDesc"),
                text("bootTimestamp"),
                text("brokerVersion"),
            ];
            let labels: [_; 6] = std::array::from_fn(|at| (RUNTIME_LABELS[at], values[at]));
            Some((labels, row(of)?))
        });
        gauges(encoder, (name, &help), rows)?;
    }
    Ok(())
}

/// A number of a text of 28.
fn read(text: &str, form: Form) -> Option<f64> {
    let mut words = text.split(' ');
    match form {
        Part(at) => words.nth(at)?.parse().ok(),
        Bytes(at) => {
            let number: f64 = words.nth(at)?.parse().ok()?;
            let unit = words.next()?.trim_matches(['.', ',']);
            let power = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
            let power = power.iter().position(|one| *one == unit)?;
            Some(number * 1024_f64.powi(i32::try_from(power).ok()?))
        }
        Bucket(name) => {
            let number = |word: &str| {
                word.strip_prefix('[')?.strip_prefix(name)?.strip_prefix("]:")?.parse().ok()
            };
            words.find_map(number)
        }
    }
}

fn brokers(encoder: &mut DescriptorEncoder<'_>, masters: &[&BrokerFigures]) -> fmt::Result {
    let rows = |value: fn(&BrokerFigures) -> f64| {
        masters.iter().map(move |of| {
            let labels =
                [("cluster", &*of.cluster), ("brokerIP", &*of.address), ("broker", &*of.group)];
            (labels, value(of))
        })
    };
    gauges(encoder, ("rocketmq_broker_tps", "Messages stored per second"), rows(|of| of.in_per_s))?;
    gauges(
        encoder,
        ("rocketmq_broker_qps", "Messages given out per second"),
        rows(|of| of.out_per_s),
    )?;
    let help = "Bytes of the log that a slave does not have; brokerIP is the slave's";
    let slaves = masters.iter().flat_map(|of| {
        of.slaves.iter().map(|(address, behind)| {
            let labels =
                [("cluster", &*of.cluster), ("brokerIP", &**address), ("broker", &*of.group)];
            (labels, *behind as f64)
        })
    });
    gauges(encoder, ("rocketmq_broker_commitlog_diff", help), slaves)
}

fn topics(encoder: &mut DescriptorEncoder<'_>, masters: &[&BrokerFigures]) -> fmt::Result {
    let all = || {
        masters.iter().flat_map(|of| {
            of.topics.iter().map(|one| {
                let labels =
                    [("cluster", &*of.cluster), ("broker", &*of.group), ("topic", &*one.topic)];
                (labels, one)
            })
        })
    };
    let is_retry = |one: &TopicFigures| one.topic.starts_with(RETRY_PREFIX);
    let is_dead = |one: &TopicFigures| one.topic.starts_with(DLQ_PREFIX);
    let sent = || all().filter(move |(_, one)| !is_retry(one) && !is_dead(one));
    let rows = sent().map(|(labels, one)| (labels, one.in_per_s));
    gauges(encoder, ("rocketmq_producer_tps", "Messages stored per second"), rows)?;
    let rows = sent().map(|(labels, one)| (labels, one.bytes_in_per_s));
    gauges(encoder, ("rocketmq_producer_message_size", "Bytes stored per second"), rows)?;
    let rows = sent().map(|(labels, one)| (labels, one.next_offsets as f64));
    gauges(encoder, ("rocketmq_producer_offset", "Next offsets of the topic's queues"), rows)?;
    let retried = all().filter(|(_, one)| is_retry(one));
    let rows = retried.map(|(labels, one)| (labels, one.next_offsets as f64));
    gauges(encoder, ("rocketmq_topic_retry_offset", "The same of retry topics"), rows)?;
    let rows = all().filter_map(|([cluster, broker, _], one)| {
        let group = one.topic.strip_prefix(DLQ_PREFIX)?;
        Some(([cluster, broker, ("group", group)], one.next_offsets as f64))
    });
    gauges(encoder, ("rocketmq_topic_dlq_offset", "The same of dead-letter topics"), rows)
}

fn readers(encoder: &mut DescriptorEncoder<'_>, masters: &[&BrokerFigures]) -> fmt::Result {
    let all = || {
        masters.iter().flat_map(|of| {
            of.readers.iter().map(|one| {
                let labels = [
                    ("cluster", &*of.cluster),
                    ("broker", &*of.group),
                    ("topic", &*one.topic),
                    ("group", &*one.group),
                ];
                (labels, one)
            })
        })
    };
    let first_hand = || all().filter(|(_, one)| !one.topic.starts_with(RETRY_PREFIX));
    let rows = first_hand().map(|(labels, one)| (labels, one.out_per_s));
    gauges(encoder, ("rocketmq_consumer_tps", "Messages given out per second"), rows)?;
    let rows = first_hand().map(|(labels, one)| (labels, one.bytes_out_per_s));
    gauges(encoder, ("rocketmq_consumer_message_size", "Bytes given out per second"), rows)?;
    let rows = first_hand().map(|(labels, one)| (labels, one.sent_back as f64));
    gauges(encoder, ("rocketmq_send_back_nums", "Messages given back in a minute"), rows)?;
    let rows = all().map(|(labels, one)| (labels, one.offsets as f64));
    gauges(encoder, ("rocketmq_consumer_offset", "Positions in the topic's queues"), rows)?;
    let rows = all().map(|(labels, one)| (labels, one.behind_ms.unwrap_or(0) as f64));
    let help = "Age of the oldest message that was not got, in milliseconds";
    gauges(encoder, ("rocketmq_group_get_latency_by_storetime", help), rows)
}

fn groups(encoder: &mut DescriptorEncoder<'_>, masters: &[&BrokerFigures]) -> fmt::Result {
    let mut online: HashMap<&str, &ConsumerFigures> = HashMap::new();
    for one in masters.iter().flat_map(|of| &of.consumers) {
        online.entry(&one.group).or_insert(one);
    }
    // The brokers of a node together: the exporter's labels name none.
    let mut lags: Vec<((&str, &str), u64)> = Vec::new();
    let mut readers: Vec<&ReaderFigures> = masters.iter().flat_map(|of| &of.readers).collect();
    readers.sort_unstable_by(|a, b| (&a.group, &a.topic).cmp(&(&b.group, &b.topic)));
    for one in readers {
        let key = (&*one.group, &*one.topic);
        match lags.last_mut().filter(|(last, _)| *last == key) {
            Some((_, lag)) => *lag += one.lag,
            None => lags.push((key, one.lag)),
        }
    }
    let counts: HashMap<&str, String> =
        online.iter().map(|(group, one)| (*group, one.members.to_string())).collect();
    let is_clustering = |group: &str| online.get(group).is_none_or(|one| !one.is_broadcasting);
    let diffs = |is_retry: bool| {
        let shown = lags.iter().filter(move |((group, topic), _)| {
            topic.starts_with(RETRY_PREFIX) == is_retry && is_clustering(group)
        });
        shown.map(|((group, topic), lag)| {
            let count = counts.get(group).map_or("0", String::as_str);
            // 1 is clustering.
            let labels = [
                ("group", *group),
                ("topic", *topic),
                ("countOfOnlineConsumers", count),
                ("msgModel", "1"),
            ];
            (labels, *lag as f64)
        })
    };
    gauges(encoder, ("rocketmq_group_diff", "Messages that were not got"), diffs(false))?;
    gauges(encoder, ("rocketmq_group_retrydiff", "The same of retry topics"), diffs(true))?;
    let mut names: Vec<&str> = lags.iter().map(|((group, _), _)| *group).collect();
    names.extend(online.keys());
    names.sort_unstable();
    names.dedup();
    let rows = names.iter().map(|group| {
        let (addresses, ids, members) = online
            .get(group)
            .map_or(("", "", 0), |one| (&*one.addresses, &*one.client_ids, one.members));
        ([("caddr", addresses), ("localaddr", ids), ("group", *group)], members as f64)
    });
    gauges(encoder, ("rocketmq_group_count", "Connections of a consumer group"), rows)?;
    let producers = masters.iter().flat_map(|of| {
        of.producers.iter().map(|(name, count)| {
            let labels = [("cluster", &*of.cluster), ("broker", &*of.group), ("group", &**name)];
            (labels, *count as f64)
        })
    });
    gauges(encoder, ("rocketmq_producer_count", "Connections of a producer group"), producers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_from_the_texts_of_28() {
        assert_eq!(read("1.5 2 3", Part(1)), Some(2.0));
        assert_eq!(read("", Part(0)), None);
        assert_eq!(read("12.5 KiB", Bytes(0)), Some(12_800.0));
        let capacity = "Total : 100.0 GiB, Free : 1.0 MiB.";
        assert_eq!(read(capacity, Bytes(2)), Some(100.0 * 1024_f64.powi(3)));
        assert_eq!(read(capacity, Bytes(6)), Some(1_048_576.0));
        let times = "[<=0ms]:7 [0~10ms]:8 [10s~]:9 ";
        assert_eq!(
            [Bucket("0~10ms"), Bucket("10s~")].map(|form| read(times, form)),
            [Some(8.0), Some(9.0)]
        );
    }

    #[test]
    fn names_and_labels_are_the_exporters() {
        let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/exporter-families.txt");
        let golden = std::fs::read_to_string(golden).unwrap();
        let list = super::super::list();
        let listed = list.lines().filter_map(|line| {
            let [name, kind, labels, _] =
                line.strip_prefix("| `rocketmq_")?.split(" | ").collect::<Vec<_>>()[..]
            else {
                panic!("{line}")
            };
            assert_eq!(kind, "gauge", "{line}");
            Some(format!("rocketmq_{} {}", name.trim_end_matches('`'), labels.replace(", ", ",")))
        });
        let mut listed: Vec<String> = listed.collect();
        listed.sort();
        assert_eq!(listed, golden.lines().collect::<Vec<_>>());
        assert_eq!(listed.len(), 89);
    }
}
