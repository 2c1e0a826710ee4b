//! What consumers tell of themselves: M-051.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use super::groups;
use super::java::queue_text;
use super::run::{Done, Run};
use crate::admin::AdminError;
use crate::clock::Zone;
use crate::model::version_name as version;
use crate::remoting::bodies::running_info::{ProcessQueue, RunningInfo};

/// Consumers are compared when the first has run for so long.
const SETTLED_MS: i64 = 120_000;
/// A queue with messages is stuck when none was consumed for so long.
const STUCK_MS: i64 = 60_000;

/// What a consumer tells of itself, over the first broker of its group.
pub(super) async fn info(
    run: &Run,
    group: &str,
    client: &str,
    with_stacks: bool,
) -> Result<RunningInfo, AdminError> {
    let route = groups::route(run, group).await?;
    let address = route.brokers.iter().find_map(|broker| broker.address());
    let address =
        address.ok_or_else(|| AdminError::NotFound(format!("no broker has group \"{group}\"")))?;
    match run.admin.running_info(address, group, client, with_stacks).await {
        Err(AdminError::Refused { remark, .. }) if remark.ends_with("not online") => {
            Err(AdminError::NotFound(format!(
                "group \"{group}\" has no consumer \"{client}\": `consumerConnection -g {group}` lists them"
            )))
        }
        answered => answered,
    }
}

/// `consumerStatus` (M-051).
pub(super) async fn status(run: &mut Run) -> Done {
    let group = run.given.must('g').to_owned();
    let with_stacks = run.given.has('s');
    if let Some(client) = run.given.get('i').map(str::to_owned) {
        let info = info(run, &group, &client, with_stacks).await?;
        let text = info_text(&info, &run.zone);
        return run.print(format_args!("{text}"));
    }
    let found = match run.given.get('b') {
        Some(address) => run.admin.consumers(address, &group).await?,
        None => groups::consumers(run, &group).await?,
    };
    run.line(format_args!(
        "{:<10} {:<40} {:<20} {}",
        "#Index", "#ClientId", "#Version", "#ConsumerRunningInfoFile"
    ))?;
    let now_ms = run.clock.now_ms();
    let mut infos = BTreeMap::new();
    for client in found.connections {
        let id = client.client_id;
        match info(run, &group, &id, with_stacks).await {
            Ok(info) => {
                run.did();
                // As it is below the folder of the time; an id is what a client says it is.
                let path = format!("{now_ms}/{}", id.replace(['/', '\0'], "_"));
                write(&path, &info_text(&info, &run.zone))?;
                let (number, version) = (infos.len() + 1, version(client.version));
                run.line(format_args!("{number:<10} {id:<40} {version:<20} {path}"))?;
                infos.insert(id, info);
            }
            Err(error) => run.failed(&error)?,
        }
    }
    if infos.is_empty() {
        return Ok(());
    }
    if !is_same_subscription(&infos, now_ms) {
        return run.print(format_args!(
            "\n\nWARN: Different subscription in the same group of consumer!!!"
        ));
    }
    run.print(format_args!(
        "\n\nSame subscription in the same group of consumer\n\nRebalance OK\n"
    ))?;
    for (client, info) in &infos {
        for line in stuck_queues(client, info, now_ms) {
            run.line(format_args!("{line}"))?;
        }
    }
    Ok(())
}

fn write(path: &str, text: &str) -> anyhow::Result<()> {
    let folder = Path::new(path).parent().unwrap_or(Path::new("."));
    let written = std::fs::create_dir_all(folder).and_then(|()| std::fs::write(path, text));
    written.map_err(|error| anyhow::anyhow!("{path}: {error}"))
}

/// Whether all members subscribe the same; those that only just began are not asked.
pub(super) fn is_same_subscription(infos: &BTreeMap<String, RunningInfo>, now_ms: i64) -> bool {
    let Some(first) = infos.values().next() else { return true };
    let started =
        first.properties.get("PROP_CONSUMER_START_TIMESTAMP").and_then(|text| text.parse().ok());
    if !is_push(first) || now_ms.saturating_sub(started.unwrap_or(0)) <= SETTLED_MS {
        return true;
    }
    !first.subscriptions.is_empty()
        && infos.values().all(|info| info.subscriptions == first.subscriptions)
}

fn is_push(info: &RunningInfo) -> bool {
    info.properties.get("PROP_CONSUME_TYPE").is_some_and(|kind| kind == "CONSUME_PASSIVELY")
}

/// A sentence for each queue of a consumer that does not go on.
pub(super) fn stuck_queues(client: &str, info: &RunningInfo, now_ms: i64) -> Vec<String> {
    let is_orderly = info.properties.get("PROP_CONSUMEORDERLY").is_some_and(|text| text == "true");
    let sentence = |queue: &_, process: &ProcessQueue| {
        let name = queue_text(queue);
        let since = |time: i64| now_ms.saturating_sub(time);
        if is_orderly && !process.locked {
            return Some(format!(
                "{client} {name} can't lock for a while, {}ms",
                since(process.last_lock_timestamp)
            ));
        }
        if is_orderly {
            let times = process.try_unlock_times;
            return (process.dropped && times > 0)
                .then(|| format!("{client} {name} unlock {times} times, still failed"));
        }
        let idle = since(process.last_consume_timestamp);
        let is_stuck = idle > STUCK_MS && process.cached_msg_count > 0;
        is_stuck
            .then(|| format!("{client} {name} can't consume for a while, maybe blocked, {idle}ms"))
    };
    if !is_push(info) {
        return Vec::new();
    }
    info.queues.iter().filter_map(|(queue, process)| sentence(queue, process)).collect()
}

/// `ConsumerRunningInfo.formatString()`.
fn info_text(info: &RunningInfo, zone: &Zone) -> String {
    let mut text = "#Consumer Properties#\n".to_owned();
    for (key, value) in &info.properties {
        let _ = writeln!(text, "{key:<40}: {value}");
    }
    text += "\n\n#Consumer Subscription#\n";
    for (number, one) in (1..).zip(&info.subscriptions) {
        let (topic, mode) = (&one.topic, one.class_filter_mode.to_string());
        let _ = writeln!(
            text,
            "{number:03} Topic: {topic:<40} ClassFilter: {mode:<8} SubExpression: {}",
            one.expression
        );
    }
    let head = |last: &str| {
        format!("{:<64}  {:<32}  {:<4}  {last:<20}\n", "#Topic", "#Broker Name", "#QID")
    };
    text += "\n\n#Consumer Offset#\n";
    text += &head("#Consumer Offset");
    for (queue, process) in &info.queues {
        let (topic, broker, id) = (&queue.topic, &queue.broker_name, queue.queue_id);
        let _ = writeln!(text, "{topic:<32}  {broker:<32}  {id:<4}  {:<20}", process.commit_offset);
    }
    text += "\n\n#Consumer MQ Detail#\n";
    text += &head("#ProcessQueueInfo");
    for (queue, process) in &info.queues {
        let (topic, broker, id) = (&queue.topic, &queue.broker_name, queue.queue_id);
        let _ =
            writeln!(text, "{topic:<64}  {broker:<32}  {id:<4}  {}", process_text(process, zone));
    }
    text += "\n\n#Consumer RT&TPS#\n";
    let _ = writeln!(
        text,
        "{:<64}  {:>14} {:>14} {:>14} {:>14} {:>18} {:>25}",
        "#Topic",
        "#Pull RT",
        "#Pull TPS",
        "#Consume RT",
        "#ConsumeOK TPS",
        "#ConsumeFailed TPS",
        "#ConsumeFailedMsgsInHour"
    );
    for (topic, one) in &info.statuses {
        let _ = writeln!(
            text,
            "{topic:<32}  {:>14.2} {:>14.2} {:>14.2} {:>14.2} {:>18.2} {:>25}",
            one.pull_rt,
            one.pull_tps,
            one.consume_rt,
            one.consume_ok_tps,
            one.consume_failed_tps,
            one.consume_failed_msgs
        );
    }
    if let Some(stacks) = &info.stacks {
        text += "\n\n#Consumer jstack#\n";
        text += stacks;
    }
    text
}

/// `ProcessQueueInfo.toString()`.
fn process_text(process: &ProcessQueue, zone: &Zone) -> String {
    // `yyyyMMddHHmmssSSS`.
    let time = |ms| zone.millis(ms).chars().filter(char::is_ascii_digit).collect::<String>();
    format!(
        "ProcessQueueInfo [commitOffset={}, cachedMsgMinOffset={}, cachedMsgMaxOffset={}, cachedMsgCount={}, \
         cachedMsgSizeInMiB={}, transactionMsgMinOffset={}, transactionMsgMaxOffset={}, transactionMsgCount={}, \
         locked={}, tryUnlockTimes={}, lastLockTimestamp={}, droped={}, lastPullTimestamp={}, lastConsumeTimestamp={}]",
        process.commit_offset,
        process.cached_msg_min_offset,
        process.cached_msg_max_offset,
        process.cached_msg_count,
        process.cached_msg_size_in_mib,
        process.transaction_msg_min_offset,
        process.transaction_msg_max_offset,
        process.transaction_msg_count,
        process.locked,
        process.try_unlock_times,
        time(process.last_lock_timestamp),
        process.dropped,
        time(process.last_pull_timestamp),
        time(process.last_consume_timestamp)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::MessageQueue;
    use crate::remoting::bodies::running_info::RunningSubscription;

    fn consumer(topic: &str) -> RunningInfo {
        let properties =
            [("PROP_CONSUME_TYPE", "CONSUME_PASSIVELY"), ("PROP_CONSUMER_START_TIMESTAMP", "0")];
        let subscription =
            RunningSubscription { topic: topic.to_owned(), ..RunningSubscription::default() };
        RunningInfo {
            properties: properties.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
            subscriptions: vec![subscription],
            ..RunningInfo::default()
        }
    }

    #[test]
    fn consumers_that_have_settled_must_subscribe_the_same_m051() {
        let infos = |topics: [&str; 2]| {
            topics
                .into_iter()
                .zip(["a", "b"])
                .map(|(topic, id)| (id.to_owned(), consumer(topic)))
                .collect()
        };
        assert!(is_same_subscription(&infos(["T", "T"]), SETTLED_MS + 1));
        assert!(!is_same_subscription(&infos(["T", "U"]), SETTLED_MS + 1));
        assert!(is_same_subscription(&infos(["T", "U"]), SETTLED_MS));
    }

    #[test]
    fn a_queue_that_stands_still_is_named() {
        let queue = MessageQueue { topic: "T".into(), broker_name: "b".into(), queue_id: 0 };
        let process = ProcessQueue { cached_msg_count: 1, ..ProcessQueue::default() };
        let mut info = RunningInfo { queues: vec![(queue, process)], ..consumer("T") };
        assert_eq!(stuck_queues("c", &info, STUCK_MS), Vec::<String>::new());
        let lines = stuck_queues("c", &info, STUCK_MS + 1);
        let name = "MessageQueue [topic=T, brokerName=b, queueId=0]";
        assert_eq!(lines, [format!("c {name} can't consume for a while, maybe blocked, 60001ms")]);
        info.properties.insert("PROP_CONSUMEORDERLY".to_owned(), "true".to_owned());
        assert_eq!(stuck_queues("c", &info, 5), [format!("c {name} can't lock for a while, 5ms")]);
    }
}
