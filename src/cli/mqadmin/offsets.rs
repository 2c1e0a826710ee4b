//! Positions of groups: M-056, M-090, M-091.

use super::groups::stats;
use super::java::front;
use super::run::{Done, Failure, Run};
use super::topics::by_queue;
use crate::admin::{AdminError, Reset};
use crate::model::MessageQueue;
use crate::remoting::response;

/// `cloneGroupOffset` (M-056): 4.9.4's tool copies all positions of the source group at brokers that have the topic.
pub(super) async fn clone(run: &mut Run) -> Done {
    let (from, to) = (run.given.must('s').to_owned(), run.given.must('d').to_owned());
    let topic = run.given.must('t').to_owned();
    let stats = stats(run, &from, None).await?;
    let route = run.admin.route(&topic).await?;
    for one in stats.queues {
        let broker =
            route.brokers.iter().find(|broker| broker.broker_name == one.queue.broker_name);
        let Some(address) = broker.and_then(|broker| broker.address()) else { continue };
        if one.consumer_offset >= 0 {
            run.admin.set_offset(address, &to, &one.queue, one.consumer_offset).await?;
        }
    }
    run.print(format_args!(
        "clone group offset success. srcGroup[{from}], destGroup=[{to}], topic[{topic}]"
    ))
}

/// `resetOffsetByTime` (M-090).
pub(super) async fn reset(run: &mut Run) -> Done {
    let text = run.given.must('s').to_owned();
    let timestamp = match text.as_str() {
        "now" => Some(-1),
        text => run.zone.parse(text),
    };
    let timestamp = timestamp.ok_or_else(|| {
        Failure::Usage(format!(
            "-s: \"{text}\" is none of now, milliseconds and yyyy-MM-dd#HH:mm:ss:SSS"
        ))
    })?;
    reset_to(run, timestamp, Some(&text)).await
}

/// `skipAccumulatedMessage` (M-091).
pub(super) async fn skip(run: &mut Run) -> Done {
    reset_to(run, -1, None).await
}

/// Tells the group's consumers where to go on; without any, sets the positions.
async fn reset_to(run: &mut Run, timestamp: i64, text: Option<&str>) -> Done {
    let (group, topic) = (run.given.must('g').to_owned(), run.given.must('t').to_owned());
    let is_forced = run.given.bool_or('f', true);
    let reset =
        Reset { topic: &topic, group: &group, timestamp, is_forced, is_cpp: run.given.has('c') };
    let head = |group_word: &str| {
        text.map(|text| {
            format!(
                "rollback consumer offset by specified {group_word}[{group}], topic[{topic}], force[{is_forced}], \
                 timestamp(string)[{text}], timestamp(long)[{timestamp}]\n"
            )
        })
    };
    let mut offsets = Vec::new();
    for broker in run.admin.route(&topic).await?.brokers {
        let Some(address) = broker.address() else { continue };
        match run.admin.reset_offsets(address, reset).await {
            Ok(found) => offsets.extend(found),
            Err(error) if error.is_refused(response::CONSUMER_NOT_ONLINE) => {
                let rows = set_positions(run, reset).await?;
                run.print(format_args!("{}", head("consumerGroup").unwrap_or_default()))?;
                return show_positions(run, &rows);
            }
            // In 4.9.4's own words (B-322).
            Err(AdminError::Refused { remark, .. })
                if remark == format!("THe consumer group <{group}> not exist") =>
            {
                let text =
                    format!("group \"{group}\" has no positions in topic \"{topic}\" at {address}");
                return Err(AdminError::NotFound(text).into());
            }
            Err(error) => return Err(error.into()),
        }
    }
    run.print(format_args!("{}", head("group").unwrap_or_default()))?;
    run.line(format_args!("{:<40}  {:<40}  {:<40}", "#brokerName", "#queueId", "#offset"))?;
    offsets.sort_unstable_by(|a, b| by_queue(&a.0).cmp(&by_queue(&b.0)));
    for (queue, offset) in offsets {
        let broker = front(&queue.broker_name, 32);
        run.line(format_args!("{broker:<40}  {:<40}  {offset:<40}", queue.queue_id))?;
    }
    Ok(())
}

/// What became of a group's position in a queue.
struct Position {
    queue: MessageQueue,
    broker_offset: i64,
    before: i64,
    wanted: i64,
    after: i64,
}

/// Sets the positions of a group that nobody of is connected; of a topic that it never consumed all queues count as
/// read from their first message.
async fn set_positions(run: &Run, reset: Reset<'_>) -> Result<Vec<Position>, AdminError> {
    let Reset { topic, group, timestamp, is_forced, .. } = reset;
    let mut rows = Vec::new();
    for broker in run.admin.route(topic).await?.brokers {
        let Some(address) = broker.address() else { continue };
        let stats = run.admin.consume_stats(address, group, None).await?;
        let own = stats.queues.into_iter().filter(|one| one.queue.topic == topic);
        let mut known: Vec<_> =
            own.map(|one| (one.queue, one.broker_offset, one.consumer_offset)).collect();
        if known.is_empty() {
            let offsets = run.admin.topic_offsets(address, topic).await?;
            known = offsets
                .into_iter()
                .map(|one| (one.queue, one.max_offset, one.min_offset))
                .collect();
        }
        for (queue, broker_offset, before) in known {
            let wanted = match timestamp {
                -1 => run.admin.max_offset(address, topic, queue.queue_id).await?,
                time => run.admin.search_offset(address, topic, queue.queue_id, time).await?,
            };
            let is_set = is_forced || wanted <= before;
            if is_set {
                run.admin.set_offset(address, group, &queue, wanted).await?;
            }
            rows.push(Position {
                queue,
                broker_offset,
                before,
                wanted,
                after: if is_set { wanted } else { before },
            });
        }
    }
    rows.sort_unstable_by(|a, b| by_queue(&a.queue).cmp(&by_queue(&b.queue)));
    Ok(rows)
}

fn show_positions(run: &mut Run, rows: &[Position]) -> Done {
    run.line(format_args!(
        "{:<20}  {:<20}  {:<20}  {:<20}  {:<20}  {:<20}",
        "#brokerName",
        "#queueId",
        "#brokerOffset",
        "#consumerOffset",
        "#timestampOffset",
        "#rollbackOffset"
    ))?;
    for Position { queue, broker_offset, before, wanted, after } in rows {
        let broker = front(&queue.broker_name, 32);
        run.line(format_args!(
            "{broker:<20}  {:<20}  {broker_offset:<20}  {before:<20}  {wanted:<20}  {after:<20}",
            queue.queue_id
        ))?;
    }
    Ok(())
}
