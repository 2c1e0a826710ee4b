//! Statistics and the monitor: M-110, M-055.

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::time::Duration;

use super::groups::{consumers, stats};
use super::java::front;
use super::run::{Done, Failure, Run};
use super::running;
use crate::admin::{AdminError, Statistics, statistics};
use crate::model::{DLQ_PREFIX, RETRY_PREFIX};
use crate::remoting::bodies::route::TopicRoute;
use crate::remoting::response;

/// When the monitor looks first, and how often then.
const FIRST_ROUND: Duration = Duration::from_secs(20);
const ROUND: Duration = Duration::from_secs(60);

/// `statsAll` (M-110).
pub(super) async fn all(run: &mut Run) -> Done {
    let only = run.given.get('t').filter(|topic| !topic.is_empty()).map(str::to_owned);
    let mut topics = run.admin.topic_names().await?;
    topics.sort();
    topics.retain(|topic| !topic.starts_with(RETRY_PREFIX) && !topic.starts_with(DLQ_PREFIX));
    topics.retain(|topic| only.as_ref().is_none_or(|only| only == topic));
    run.line(format_args!(
        "{:<64}  {:<64} {:>12} {:>11} {:>11} {:>14} {:>14}",
        "#Topic",
        "#Consumer Group",
        "#Accumulation",
        "#InTPS",
        "#OutTPS",
        "#InMsg24Hour",
        "#OutMsg24Hour"
    ))?;
    if let (Some(topic), true) = (&only, topics.is_empty()) {
        return Err(
            AdminError::NotFound(format!("no name server knows a topic \"{topic}\"")).into()
        );
    }
    for topic in topics {
        match show_topic(run, &topic).await {
            Ok(()) => run.did(),
            // One topic that cannot be read does not hide the others.
            Err(Failure::Admin(error)) => run.failed(&error)?,
            Err(other) => return Err(other),
        }
    }
    Ok(())
}

async fn show_topic(run: &mut Run, topic: &str) -> Done {
    let route = run.admin.route(topic).await?;
    let mut groups = match route.brokers.first().and_then(|broker| broker.address()) {
        Some(address) => run.admin.groups_of_topic(address, topic).await?,
        None => Vec::new(),
    };
    groups.sort();
    let is_active_only = run.given.has('a');
    let put = sum(run, &route, statistics::TOPIC_PUT_NUMS, topic).await?;
    let name = front(topic, 64);
    let (in_rate, in_day) = (put.tps, put.day());
    if groups.is_empty() && (!is_active_only || in_day > 0) {
        return run.line(format_args!(
            "{name:<64}  {:<64} {:>12} {in_rate:>11.2} {:>11} {in_day:>14} {:>14}",
            "", 0, "", "NO_CONSUMER"
        ));
    }
    for group in groups {
        let get = sum(run, &route, statistics::GROUP_GET_NUMS, &format!("{topic}@{group}")).await?;
        // A group without positions is not behind, as 4.9.4 has it.
        let behind = stats(run, &group, Some(topic)).await.map_or(0, |stats| stats.behind().max(0));
        let (out_rate, out_day) = (get.tps, get.day());
        if !is_active_only || in_day > 0 || out_day > 0 {
            let group = front(&group, 64);
            run.line(format_args!(
                "{name:<64}  {group:<64} {behind:>12} {in_rate:>11.2} {out_rate:>11.2} {in_day:>14} {out_day:>14}"
            ))?;
        }
    }
    Ok(())
}

/// What the masters of a topic count under a key, together; each one's day is its longest span that has one.
async fn sum(
    run: &mut Run,
    route: &TopicRoute,
    name: &str,
    key: &str,
) -> Result<Statistics, Failure> {
    let mut all = Statistics::default();
    for master in route.brokers.iter().filter_map(|broker| broker.master()) {
        match run.admin.statistics(master, name, key).await {
            Ok(own) => {
                all.tps += own.tps;
                all.sums[2] = all.sums[2].saturating_add(own.day());
            }
            // Nothing was counted yet.
            Err(error) if error.is_refused(response::SYSTEM_ERROR) => {}
            Err(error) => run.failed(&error)?,
        }
    }
    Ok(all)
}

/// `startMonitoring` (M-055): every minute how far groups are and what is odd of their consumers. 4.9.4 writes it to the
/// log of its tools and nothing to standard output; here it is standard error.
pub(super) async fn monitor(run: &mut Run) -> Done {
    run.wait(FIRST_ROUND).await?;
    loop {
        writeln!(io::stderr(), "[MONITOR] =========================================beginRound")?;
        let topics = match run.admin.topic_names().await {
            Ok(topics) => topics,
            Err(error) => {
                run.failed(&error)?;
                Vec::new()
            }
        };
        for group in topics.iter().filter_map(|topic| topic.strip_prefix(RETRY_PREFIX)) {
            report_group(run, group).await?;
        }
        writeln!(io::stderr(), "[MONITOR] =========================================endRound")?;
        run.wait(ROUND).await?;
    }
}

/// Tells of one group that is connected.
async fn report_group(run: &Run, group: &str) -> Done {
    let (Ok(stats), Ok(found)) = (stats(run, group, None).await, consumers(run, group).await)
    else {
        return Ok(());
    };
    let mut topics: BTreeMap<&str, (i64, i64)> = BTreeMap::new();
    for one in &stats.queues {
        let behind = one.broker_offset.saturating_sub(one.consumer_offset).max(0);
        let (total, most) = topics.entry(&one.queue.topic).or_default();
        *total = total.saturating_add(behind);
        *most = behind.max(*most);
    }
    for (topic, (total, most)) in topics {
        writeln!(
            io::stderr(),
            "[MONITOR] reportUndoneMsgs: UndoneMsgs [consumerGroup={group}, topic={topic}, undoneMsgsTotal={total}, \
             undoneMsgsSingleMQ={most}]"
        )?;
    }
    let mut infos = BTreeMap::new();
    for client in found.connections {
        if let Ok(info) = running::info(run, group, &client.client_id, false).await {
            infos.insert(client.client_id, info);
        }
    }
    let now_ms = run.clock.now_ms();
    if !running::is_same_subscription(&infos, now_ms) {
        writeln!(
            io::stderr(),
            "[MONITOR]  [NOTIFY] reportConsumerRunningInfo: ConsumerGroup: {group}, Subscription different"
        )?;
    }
    for (client, info) in &infos {
        for line in running::stuck_queues(client, info, now_ms) {
            writeln!(
                io::stderr(),
                "[MONITOR]  [NOTIFY] reportConsumerRunningInfo: ConsumerGroup: {group}, ClientId: {client}, {line}"
            )?;
        }
    }
    Ok(())
}
