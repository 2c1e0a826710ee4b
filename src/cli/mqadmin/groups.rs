//! Consumer groups: M-021, M-050, M-052 to M-054.

use std::collections::BTreeMap;
use std::time::Duration;

use super::java::{front, group_config, group_fields};
use super::run::{Done, Failure, Run};
use super::topics::{by_queue, delete_topic};
use crate::admin::AdminError;
use crate::model::version_name as version;
use crate::model::{GroupName, MessageQueue, RETRY_PREFIX, SubscriptionGroupConfig, TopicName};
use crate::remoting::bodies::clients::ConsumerConnections;
use crate::remoting::bodies::consume_stats::{ConsumeStats, QueueProgress};
use crate::remoting::bodies::heartbeat::ConsumeType;
use crate::remoting::bodies::route::TopicRoute;

/// `updateSubGroup` (M-053): what is not given has 4.9.4's default, but for two that its tool turns off.
pub(super) async fn update(run: &mut Run) -> Done {
    let given = &run.given;
    let usual = SubscriptionGroupConfig::new(GroupName::new(given.must('g')));
    let config = SubscriptionGroupConfig {
        consume_enable: given.bool_or('s', true),
        consume_from_min_enable: given.bool_or('m', false),
        consume_broadcast_enable: given.bool_or('d', false),
        retry_queue_nums: given.number_or('q', usual.retry_queue_nums)?,
        retry_max_times: given.number_or('r', usual.retry_max_times)?,
        broker_id: given.number_or('i', usual.broker_id)?,
        which_broker_when_consume_slowly: given
            .number_or('w', usual.which_broker_when_consume_slowly)?,
        notify_consumer_ids_changed_enable: given.bool_or('a', true),
        ..usual
    };
    if let Some(address) = given.get('b').map(str::to_owned) {
        run.admin.put_group(&address, &config).await?;
        run.line(format_args!("create subscription group to {address} success."))?;
    } else {
        let cluster = cluster_of(run)?;
        for address in run.masters(&cluster).await? {
            let done = run.admin.put_group(&address, &config).await;
            run.part(done, format_args!("create subscription group to {address} success."))?;
        }
    }
    run.print(format_args!("{}", group_config(&config)))
}

/// The cluster, where a broker was not given either.
pub(super) fn cluster_of(run: &Run) -> Result<String, Failure> {
    run.given
        .get('c')
        .map(str::to_owned)
        .ok_or_else(|| Failure::Usage("-b or -c is missing".to_owned()))
}

/// `deleteSubGroup` (M-054).
pub(super) async fn delete(run: &mut Run) -> Done {
    let group = run.given.must('g').to_owned();
    let with_offsets = run.given.bool_or('r', false);
    if let Some(address) = run.given.get('b').map(str::to_owned) {
        run.admin.delete_group_at(&address, &group, with_offsets).await?;
        return run.line(format_args!(
            "delete subscription group [{group}] from broker [{address}] success."
        ));
    }
    let cluster = cluster_of(run)?;
    let masters = run.masters(&cluster).await?;
    for address in &masters {
        let done = run.admin.delete_group_at(address, &group, with_offsets).await;
        run.part(
            done,
            format_args!("delete subscription group [{group}] from broker [{address}] in cluster [{cluster}] success."),
        )?;
    }
    if masters.is_empty() {
        return Ok(());
    }
    delete_topic(run, &cluster, TopicName::retry_of(&group).as_str()).await?;
    delete_topic(run, &cluster, TopicName::dead_letter_of(&group).as_str()).await
}

/// `getConsumerConfig` (M-052).
pub(super) async fn config(run: &mut Run) -> Done {
    let name = run.given.must('g').to_owned();
    let info = run.admin.cluster_info().await?;
    let mut is_found = false;
    for group in &info.brokers {
        let Some(address) = group.address() else { continue };
        let config = match run.admin.group_config(address, &name).await {
            Ok(config) => config,
            Err(error) => {
                run.failed(&error)?;
                continue;
            }
        };
        run.did();
        let Some(config) = config else { continue };
        is_found = true;
        let line = "=".repeat(29);
        run.line(format_args!("{line}{}:{}{line}", group.cluster, group.broker_name))?;
        for (field, value) in group_fields(&config) {
            run.line(format_args!("{field:<40}=  {value}"))?;
        }
    }
    // 4.9.4 says nothing.
    if is_found {
        Ok(())
    } else {
        Err(AdminError::NotFound(format!("no broker has a group \"{name}\"")).into())
    }
}

/// `consumerProgress` (M-050).
pub(super) async fn progress(run: &mut Run) -> Done {
    match run.given.get('g').map(str::to_owned) {
        Some(group) => progress_of(run, &group).await,
        None => progress_of_all(run).await,
    }
}

/// The brokers that know a group, which are those that have its retry topic.
pub(super) async fn route(run: &Run, group: &str) -> Result<TopicRoute, AdminError> {
    match run.admin.route(TopicName::retry_of(group).as_str()).await {
        Err(AdminError::NotFound(_)) => {
            let text = format!(
                "no broker knows a consumer group \"{group}\": `consumerProgress` lists those that there are"
            );
            Err(AdminError::NotFound(text))
        }
        answered => answered,
    }
}

/// How far a group is at all brokers that have its retry topic, and how fast; 4.9.4's tool asks the same ones.
pub(super) async fn stats(
    run: &Run,
    group: &str,
    topic: Option<&str>,
) -> Result<ConsumeStats, AdminError> {
    let mut all = ConsumeStats::default();
    for broker in route(run, group).await?.brokers {
        let Some(address) = broker.address() else { continue };
        let own = run.admin.consume_stats(address, group, topic).await?;
        all.tps += own.tps;
        all.queues.extend(own.queues);
    }
    if all.queues.is_empty() {
        return Err(AdminError::NotFound(format!(
            "group \"{group}\" has no positions: it has not consumed anything"
        )));
    }
    all.queues.sort_unstable_by(|a, b| by_queue(&a.queue).cmp(&by_queue(&b.queue)));
    Ok(all)
}

/// The consumers of a group that one of its brokers knows: they all tell all of them.
pub(super) async fn consumers(run: &Run, group: &str) -> Result<ConsumerConnections, AdminError> {
    let route = route(run, group).await?;
    let mut last = AdminError::NotFound(format!("no consumer of group \"{group}\" is connected"));
    for address in route.brokers.iter().filter_map(|broker| broker.address()) {
        match run.admin.consumers(address, group).await {
            Ok(found) if found.connections.is_empty() => {}
            Ok(found) => return Ok(found),
            Err(error) => last = error,
        }
    }
    Err(last)
}

async fn progress_of(run: &mut Run, group: &str) -> Done {
    let is_shown = run.given.bool_or('s', false);
    let stats = stats(run, group, None).await?;
    let owners = if is_shown { owners(run, group).await } else { BTreeMap::new() };
    let client = |client: &str| if is_shown { format!("{client:<20} ") } else { String::new() };
    run.line(format_args!(
        "{:<64}  {:<32}  {:<4}  {:<20}  {:<20}  {}{:<20}  {}",
        "#Topic",
        "#Broker Name",
        "#QID",
        "#Broker Offset",
        "#Consumer Offset",
        client("#Client IP"),
        "#Diff",
        "#LastTime"
    ))?;
    let mut total = 0i64;
    for QueueProgress { queue, broker_offset, consumer_offset, last_timestamp } in &stats.queues {
        let behind = broker_offset.saturating_sub(*consumer_offset);
        total = total.saturating_add(behind);
        let time =
            if *last_timestamp == 0 { "N/A".to_owned() } else { run.zone.seconds(*last_timestamp) };
        let owner = client(owners.get(&key(queue)).map_or("N/A", String::as_str));
        run.line(format_args!(
            "{:<64}  {:<32}  {:<4}  {broker_offset:<20}  {consumer_offset:<20}  {owner}{behind:<20}  {time}",
            front(&queue.topic, 64),
            front(&queue.broker_name, 32),
            queue.queue_id,
        ))?;
    }
    run.line(format_args!("\nConsume TPS: {:.2}\nDiff Total: {total}", stats.tps))
}

type QueueKey = (String, String, i32);

fn key(queue: &MessageQueue) -> QueueKey {
    (queue.topic.clone(), queue.broker_name.clone(), queue.queue_id)
}

/// Which client has each queue, as far as clients tell.
async fn owners(run: &Run, group: &str) -> BTreeMap<QueueKey, String> {
    let mut owners = BTreeMap::new();
    let Ok(found) = consumers(run, group).await else { return owners };
    for client in found.connections {
        let Ok(info) = super::running::info(run, group, &client.client_id, false).await else {
            continue;
        };
        let host = client.client_id.split('@').next().unwrap_or_default();
        owners.extend(info.queues.iter().map(|(queue, _)| (key(queue), host.to_owned())));
    }
    owners
}

async fn progress_of_all(run: &mut Run) -> Done {
    run.line(format_args!(
        "{:<64}  {:<6}  {:<24} {:<5}  {:<14}  {:<7}  {}",
        "#Group", "#Count", "#Version", "#Type", "#Model", "#TPS", "#Diff Total"
    ))?;
    let mut topics = run.admin.topic_names().await?;
    topics.sort();
    for group in topics.iter().filter_map(|topic| topic.strip_prefix(RETRY_PREFIX)) {
        // What cannot be learned is left out of the line, as 4.9.4 does.
        let stats = stats(run, group, None).await.unwrap_or_default();
        let found = consumers(run, group).await.unwrap_or_default();
        let count = found.connections.len();
        let oldest = found.connections.iter().map(|one| one.version).min();
        let is_push = found.mode.consume_type == ConsumeType::Passively;
        let kind = match count {
            0 => "",
            _ if is_push => "PUSH",
            _ => "PULL",
        };
        let model = if count > 0 && is_push { found.mode.message_model.as_str() } else { "" };
        let version = oldest.map_or_else(|| "OFFLINE".to_owned(), version);
        run.line(format_args!(
            "{:<64}  {count:<6}  {version:<24} {kind:<5}  {model:<14}  {:<7}  {}",
            front(group, 64),
            format!("{:.0}", stats.tps.trunc()),
            stats.behind()
        ))?;
    }
    Ok(())
}

/// `brokerConsumeStats` (M-021).
pub(super) async fn broker_stats(run: &mut Run) -> Done {
    let address = run.given.must('b').to_owned();
    let is_order = run.given.bool_or('o', false);
    let timeout = Duration::from_millis(run.given.number_or('t', 50_000)?);
    let least: i64 = run.given.number_or('l', 0)?;
    let mut stats = run.admin.broker_consume_stats(&address, is_order, timeout).await?;
    run.line(format_args!(
        "{:<64}  {:<64}  {:<32}  {:<4}  {:<20}  {:<20}  {:<20}  {}",
        "#Topic",
        "#Group",
        "#Broker Name",
        "#QID",
        "#Broker Offset",
        "#Consumer Offset",
        "#Diff",
        "#LastTime"
    ))?;
    stats.groups.sort_unstable_by(|a, b| a.0.cmp(&b.0));
    for (group, topics) in &mut stats.groups {
        for topic in topics {
            topic.queues.sort_unstable_by(|a, b| by_queue(&a.queue).cmp(&by_queue(&b.queue)));
            for QueueProgress { queue, broker_offset, consumer_offset, last_timestamp } in
                &topic.queues
            {
                let behind = broker_offset.saturating_sub(*consumer_offset);
                if behind < least || *last_timestamp <= 0 {
                    continue;
                }
                let time = run.zone.seconds(*last_timestamp);
                run.line(format_args!(
                    "{:<64}  {group:<64}  {:<32}  {:<4}  {broker_offset:<20}  {consumer_offset:<20}  {behind:<20}  {time}",
                    front(&queue.topic, 64),
                    front(&queue.broker_name, 32),
                    queue.queue_id,
                ))?;
            }
        }
    }
    run.line(format_args!("\nDiff Total: {}", stats.total_behind))
}
