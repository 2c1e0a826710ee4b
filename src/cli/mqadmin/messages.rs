//! Looking messages up: M-060 to M-064.

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::fcntl::OFlag;

use super::groups;
use super::java::{hash_map, text_or_null};
use super::run::{Done, Failure, Run};
use super::sending;
use crate::admin::{AdminError, ConsumedDirectly, Message, Pull};
use crate::message::{MessageId, properties};
use crate::model::{MessageQueue, PhysicalOffset};
use crate::proto::v1::{TraceKind, TraceStep};
use crate::remoting::bodies::clients::ConsumerConnections;
use crate::remoting::bodies::heartbeat::ConsumeType;
use crate::remoting::bodies::route::ClusterInfo;
use crate::remoting::response;

/// Where 4.9.4's tool writes bodies to.
const BODIES: &str = "/tmp/rocketmq/msgbodys";
/// Messages of one key that are asked for, and those of one id.
const KEY_COUNT: i32 = 64;
const UNIQUE_COUNT: i32 = 32;

/// `queryMsgById` (M-060).
pub(super) async fn by_id(run: &mut Run) -> Done {
    let ids = run.given.must('i').to_owned();
    let ids = ids.split(',').map(str::trim).filter(|id| !id.is_empty());
    let consumer = consumer_of(run);
    for id in ids {
        let message = match message_of(run, id).await {
            Ok(message) => message,
            Err(error) => {
                run.failed(&error)?;
                continue;
            }
        };
        let done = match &consumer {
            Some(consumer) => consume(run, &message, consumer).await,
            None if !run.given.has('s') => show(run, &message, Some(&message.offset_id()), 0).await,
            None if run.given.bool_or('s', false) => sending::again(run, id, &message).await,
            None => Ok(()),
        };
        match done {
            Ok(()) => run.did(),
            // One that fails does not keep the others.
            Err(Failure::Admin(error)) => run.failed(&error)?,
            Err(other) => return Err(other),
        }
    }
    Ok(())
}

/// Has a member of a group consume a message, and shows what it made of it.
async fn consume(run: &mut Run, message: &Message, (group, client): &(String, String)) -> Done {
    let address = message.store_host.to_string();
    let id = message.offset_id();
    let result = run.admin.consume_directly(&address, group, client, &id).await?;
    run.print(format_args!("{}", consumed_text(&result)))
}

/// The group and the member of `-g` and `-d`.
fn consumer_of(run: &Run) -> Option<(String, String)> {
    let (group, client) = run.given.get('g').zip(run.given.get('d'))?;
    Some((group.to_owned(), client.to_owned()))
}

/// The message of an offset id, at the broker that the id names.
async fn message_of(run: &Run, id: &str) -> Result<Message, AdminError> {
    let Ok(MessageId { store_host, offset: PhysicalOffset(offset) }) = id.parse() else {
        let text = format!(
            "\"{id}\" is no offset id: `queryMsgByUniqueKey -t TOPIC -i ID` finds a message by the id that its producer gave it"
        );
        return Err(AdminError::Invalid(text));
    };
    let address = store_host.to_string();
    match run.admin.message_at(&address, i64::try_from(offset).unwrap_or(i64::MAX)).await {
        Err(AdminError::Refused { remark, .. }) if remark.starts_with("can not find message") => {
            Err(AdminError::NotFound(format!("{address} has no message {id}")))
        }
        answered => answered,
    }
}

/// `queryMsgByKey` (M-061).
pub(super) async fn by_key(run: &mut Run) -> Done {
    let (topic, key) = (run.given.must('t').to_owned(), run.given.must('k').to_owned());
    let found = query(run, &topic, &key, false, (KEY_COUNT, i64::MAX)).await?;
    run.line(format_args!("{:<50} {:>4} {:>40}", "#Message ID", "#QID", "#Offset"))?;
    for message in found {
        run.line(format_args!(
            "{:<50} {:>4} {:>40}",
            message.id(),
            message.queue_id,
            message.queue_offset
        ))?;
    }
    Ok(())
}

/// Messages of a key at all brokers of a topic, without those that only share its hash (S-25).
pub(super) async fn query(
    run: &mut Run,
    topic: &str,
    key: &str,
    is_unique: bool,
    limits: (i32, i64),
) -> Result<Vec<Message>, Failure> {
    let mut all = Vec::new();
    for broker in run.admin.route(topic).await?.brokers {
        let Some(address) = broker.address() else { continue };
        match run.admin.messages_by_key(address, topic, key, is_unique, limits).await {
            Ok(found) => {
                run.did();
                all.extend(found);
            }
            Err(error) if error.is_refused(response::QUERY_NOT_FOUND) => run.did(),
            Err(error) => run.failed(&error)?,
        }
    }
    let has_key = |message: &Message| {
        let keys = message.properties.get(properties::KEYS).unwrap_or_default();
        message.topic == topic && keys.split(' ').any(|one| one == key)
    };
    all.retain(|message| if is_unique { message.id() == key } else { has_key(message) });
    if all.is_empty() {
        let text = format!(
            "no message of topic \"{topic}\" has the {} \"{key}\"",
            if is_unique { "id" } else { "key" }
        );
        return Err(AdminError::NotFound(text).into());
    }
    if is_unique {
        // Of several with one id 4.9.4's client keeps the oldest.
        all.sort_by_key(|message| message.store_timestamp);
        all.truncate(1);
    }
    Ok(all)
}

/// `queryMsgByUniqueKey` (M-062).
pub(super) async fn by_unique_key(run: &mut Run) -> Done {
    let (topic, id) = (run.given.must('t').to_owned(), run.given.must('i').to_owned());
    let consumer = consumer_of(run);
    let found = match query(run, &topic, &id, true, (UNIQUE_COUNT, i64::MAX)).await {
        // For a consumer 4.9.4 takes offset ids, too; it looks there first, and dials what other ids spell.
        Err(Failure::Admin(AdminError::NotFound(text))) if consumer.is_some() => {
            vec![message_of(run, &id).await.map_err(|_| AdminError::NotFound(text))?]
        }
        found => found?,
    };
    for (index, message) in found.iter().enumerate() {
        match &consumer {
            Some(consumer) => consume(run, message, consumer).await?,
            None => show(run, message, None, index).await?,
        }
    }
    Ok(())
}

/// `queryMsgByOffset` (M-063).
pub(super) async fn by_offset(run: &mut Run) -> Done {
    let (topic, broker) = (run.given.must('t').to_owned(), run.given.must('b').to_owned());
    let (queue_id, offset) = (run.given.number_or('i', 0)?, run.given.number_or('o', 0i64)?);
    let address = address_of(run, &topic, &broker).await?;
    let pull = Pull {
        group: super::reading::GROUP,
        topic: &topic,
        queue_id,
        offset,
        count: 1,
        expression: "*",
    };
    let mut pulled = run.admin.pull(&address, pull).await?;
    super::reading::mark(&mut pulled);
    let Some(message) = pulled.messages.first() else {
        // 4.9.4 says nothing.
        let text = format!(
            "queue {queue_id} of {broker} has no message {offset}: it has {} to {}",
            pulled.min_offset, pulled.max_offset
        );
        return Err(AdminError::NotFound(text).into());
    };
    show(run, message, Some(&message.offset_id()), 0).await
}

/// The address of a broker group that has a topic.
pub(super) async fn address_of(run: &Run, topic: &str, broker: &str) -> Result<String, AdminError> {
    let route = run.admin.route(topic).await?;
    let group = route.brokers.iter().find(|group| group.broker_name == broker);
    let address = group.and_then(|group| group.address());
    address.map(str::to_owned).ok_or_else(|| {
        AdminError::NotFound(format!("no broker \"{broker}\" has topic \"{topic}\": `topicRoute -t {topic}` shows which have it"))
    })
}

/// A message, its body in a file, and what became of it.
async fn show(run: &mut Run, message: &Message, offset_id: Option<&str>, index: usize) -> Done {
    let path = save_body(message, index)?;
    let text = |key| text_or_null(message.properties.get(key));
    let offset_id = offset_id.map(|id| ("OffsetID:", id.to_owned()));
    let fields = [
        ("Topic:", message.topic.clone()),
        ("Tags:", format!("[{}]", text(properties::TAGS))),
        ("Keys:", format!("[{}]", text(properties::KEYS))),
        ("Queue ID:", message.queue_id.to_string()),
        ("Queue Offset:", message.queue_offset.to_string()),
        ("CommitLog Offset:", message.physical_offset.to_string()),
        ("Reconsume Times:", message.reconsume_times.to_string()),
        ("Born Timestamp:", run.zone.millis(message.born_timestamp)),
        ("Store Timestamp:", run.zone.millis(message.store_timestamp)),
        ("Born Host:", message.born_host.to_string()),
        ("Store Host:", message.store_host.to_string()),
        ("System Flag:", message.sys_flag.to_string()),
        ("Properties:", hash_map(message.properties.iter())),
        ("Message Body Path:", path),
    ];
    for (name, value) in offset_id.into_iter().chain(fields) {
        run.line(format_args!("{name:<20} {value}"))?;
    }
    let tracks = tracks(run, message).await?;
    if tracks.is_empty() {
        return run.print(format_args!("\n\nWARN: No Consumer"));
    }
    run.print(format_args!("\n\n{}", tracks.concat()))
}

/// Writes the body where 4.9.4's tool does, through no link that somebody put there.
fn save_body(message: &Message, index: usize) -> Result<String, Failure> {
    fs::create_dir_all(BODIES).map_err(|error| anyhow::anyhow!("{BODIES}: {error}"))?;
    // An id is what its producer says it is.
    let mut name: String = message.id().replace(['/', '\0'], "_");
    if index > 0 {
        name = format!("{name}_{index}");
    }
    let path = format!("{BODIES}/{name}");
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).custom_flags(OFlag::O_NOFOLLOW.bits());
    let written = options.open(Path::new(&path)).and_then(|mut file| file.write_all(&message.body));
    written.map_err(|error| anyhow::anyhow!("the body cannot be written to {path}: {error}"))?;
    Ok(path)
}

/// `ConsumeMessageDirectlyResult.toString()`.
fn consumed_text(result: &ConsumedDirectly) -> String {
    format!(
        "ConsumeMessageDirectlyResult [order={}, autoCommit={}, consumeResult={}, remark={}, spentTimeMills={}]",
        result.order,
        result.auto_commit,
        text_or_null(result.result.as_deref()),
        text_or_null(result.remark.as_deref()),
        result.spent_ms
    )
}

/// `MessageTrack`s: what became of a message in each group that consumes its topic.
async fn tracks(run: &Run, message: &Message) -> Result<Vec<String>, AdminError> {
    let route = run.admin.route(&message.topic).await?;
    let Some(address) = route.brokers.first().and_then(|broker| broker.address()) else {
        return Ok(Vec::new());
    };
    let mut groups = run.admin.groups_of_topic(address, &message.topic).await?;
    groups.sort();
    let clusters = run.admin.cluster_info().await;
    let mut tracks = Vec::new();
    for group in groups {
        let (kind, why) = match track(run, message, &group, &clusters).await {
            Ok(kind) => (kind, None),
            Err(AdminError::Refused { code, remark, .. }) => {
                let is_offline = code == response::CONSUMER_NOT_ONLINE;
                let kind = if is_offline { "NOT_ONLINE" } else { "UNKNOWN" };
                (kind, Some(format!("CODE:{code} DESC:{remark}")))
            }
            Err(error) => ("UNKNOWN", Some(error.to_string())),
        };
        let why = text_or_null(why.as_deref()).to_owned();
        tracks.push(format!(
            "MessageTrack [consumerGroup={group}, trackType={kind}, exceptionDesc={why}]"
        ));
    }
    Ok(tracks)
}

async fn track(
    run: &Run,
    message: &Message,
    group: &str,
    clusters: &Result<ClusterInfo, AdminError>,
) -> Result<&'static str, AdminError> {
    let found: ConsumerConnections = groups::consumers(run, group).await?;
    if found.mode.consume_type == ConsumeType::Actively {
        return Ok("PULL");
    }
    if !is_consumed(run, message, group, clusters).await? {
        return Ok("NOT_CONSUME_YET");
    }
    let wants = |tags: &[String]| {
        let own = message.properties.get(properties::TAGS).unwrap_or_default();
        tags.is_empty() || tags.iter().any(|tag| tag == own || tag == "*")
    };
    let is_filtered =
        found.subscriptions.iter().any(|one| one.topic == message.topic && !wants(&one.tags));
    Ok(if is_filtered { "CONSUMED_BUT_FILTERED" } else { "CONSUMED" })
}

/// Whether the group's position at the broker that has the message is behind it.
async fn is_consumed(
    run: &Run,
    message: &Message,
    group: &str,
    clusters: &Result<ClusterInfo, AdminError>,
) -> Result<bool, AdminError> {
    let stats = groups::stats(run, group, None).await?;
    let info = clusters.as_ref().map_err(Clone::clone)?;
    let host = message.store_host.to_string();
    let is_there = |queue: &MessageQueue| {
        let broker = info.brokers.iter().find(|broker| broker.broker_name == queue.broker_name);
        queue.topic == message.topic
            && queue.queue_id == message.queue_id
            && broker.and_then(|broker| broker.master()) == Some(&host)
    };
    Ok(stats
        .queues
        .iter()
        .any(|one| is_there(&one.queue) && one.consumer_offset > message.queue_offset))
}

/// `queryMsgTraceById` (M-064).
pub(super) async fn trace(run: &mut Run) -> Done {
    let id = run.given.must('i').to_owned();
    let topic = run.given.get('t').unwrap_or(crate::model::system::TRACE_TOPIC).to_owned();
    let now_ms = run.clock.now_ms();
    let found = query(run, &topic, &id, false, (KEY_COUNT, now_ms)).await?;
    let steps: Vec<_> = found.iter().flat_map(|message| TraceStep::of(message, &id)).collect();
    let is_sent = |step: &&TraceStep| step.kind() == TraceKind::Sent;
    for step in steps.iter().filter(is_sent) {
        trace_line(
            run,
            ["#Type", "#ProducerGroup", "#ClientHost", "#SendTime", "#CostTimes", "#Status"]
                .map(str::to_owned),
        )?;
        show_step(run, step, "Pub")?;
        run.line(format_args!(""))?;
    }
    let mut groups: Vec<&str> =
        steps.iter().filter(|step| !is_sent(step)).map(|step| step.group.as_str()).collect();
    groups.sort_unstable();
    groups.dedup();
    for group in groups {
        trace_line(
            run,
            ["#Type", "#ConsumerGroup", "#ClientHost", "#ConsumerTime", "#CostTimes", "#Status"]
                .map(str::to_owned),
        )?;
        for step in steps.iter().filter(|step| !is_sent(step) && step.group == group) {
            show_step(run, step, "Sub")?;
        }
        run.line(format_args!(""))?;
    }
    Ok(())
}

fn show_step(run: &mut Run, step: &TraceStep, kind: &str) -> Done {
    let time = run.zone.seconds(step.time_ms);
    let status = if step.is_success { "success" } else { "failed" };
    let cost = format!("{}ms", step.cost_ms);
    let (group, host) = (step.group.clone(), step.host.clone());
    trace_line(run, [kind.to_owned(), group, host, time, cost, status.to_owned()])
}

fn trace_line(run: &mut Run, cells: [String; 6]) -> Done {
    let [kind, group, host, time, cost, status] = cells;
    run.line(format_args!("{kind:<10} {group:<20} {host:<20} {time:<20} {cost:<10} {status:<10}"))
}
