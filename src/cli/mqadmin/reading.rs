//! Reading queues: M-065, M-066, M-068, M-070.

use std::collections::BTreeMap;

use super::java::{byte_array, hash_map, queue_text, socket, text_or_null};
use super::messages::address_of;
use super::run::{Done, Failure, Run};
use crate::admin::{AdminError, Message, Pull, PullStatus, Pulled};
use crate::message::properties;
use crate::model::{MessageQueue, Permission, system};
use crate::remoting::json::{Form, Value};

/// As whom tools pull.
pub(super) const GROUP: &str = system::TOOLS_CONSUMER;
/// Messages of a pull.
const PULL_COUNT: i32 = 32;
/// Messages of `consumeMessage` that are not counted.
const CONSUME_COUNT: i64 = 128;

/// A queue with its broker's address.
struct Queue {
    queue: MessageQueue,
    address: String,
}

/// How many queues a name server says that there are, within what 4.9.4's own tools create.
pub(super) fn queue_count(told: u32) -> i32 {
    const QUEUES_MAX: u32 = 65_535;
    told.min(QUEUES_MAX).cast_signed()
}

/// The queues of a topic that consumers read, sorted.
async fn queues_of(run: &Run, topic: &str) -> Result<Vec<Queue>, AdminError> {
    let mut route = run.admin.route(topic).await?;
    route.queues.sort_unstable_by(|a, b| a.broker_name.cmp(&b.broker_name));
    let mut queues = Vec::new();
    for data in route.queues.iter().filter(|data| data.permission.contains(Permission::READ)) {
        let group = route.brokers.iter().find(|group| group.broker_name == data.broker_name);
        let Some(address) = group.and_then(|group| group.address()) else { continue };
        for queue_id in 0..queue_count(data.read_queues) {
            let queue = MessageQueue {
                topic: topic.to_owned(),
                broker_name: data.broker_name.clone(),
                queue_id,
            };
            queues.push(Queue { queue, address: address.to_owned() });
        }
    }
    Ok(queues)
}

impl Queue {
    /// The offsets between which is read: those of the queue, or of times in milliseconds since 1970.
    async fn range(
        &self,
        run: &Run,
        times: (Option<i64>, Option<i64>),
    ) -> Result<(i64, i64), AdminError> {
        let (topic, id) = (&self.queue.topic, self.queue.queue_id);
        let first = match times.0 {
            None => run.admin.min_offset(&self.address, topic, id).await?,
            Some(time) => run.admin.search_offset(&self.address, topic, id, time).await?,
        };
        let last = match times.1 {
            None => run.admin.max_offset(&self.address, topic, id).await?,
            Some(time) => run.admin.search_offset(&self.address, topic, id, time).await?,
        };
        Ok((first, last))
    }

    async fn pull(
        &self,
        run: &Run,
        group: &str,
        offset: i64,
        count: i32,
        expression: &str,
    ) -> Result<Pulled, AdminError> {
        let (topic, queue_id) = (&self.queue.topic, self.queue.queue_id);
        let pull = Pull { group, topic, queue_id, offset, count, expression };
        let mut pulled = run.admin.pull(&self.address, pull).await?;
        mark(&mut pulled);
        Ok(pulled)
    }
}

/// Notes in each message what a client's pull does.
pub(super) fn mark(pulled: &mut Pulled) {
    for message in &mut pulled.messages {
        message.properties.set("MIN_OFFSET", &pulled.min_offset.to_string());
        message.properties.set("MAX_OFFSET", &pulled.max_offset.to_string());
    }
}

/// A time of a flag.
fn time_of(run: &Run, flag: char) -> Result<Option<i64>, Failure> {
    let Some(text) = run.given.get(flag) else { return Ok(None) };
    let time = run.zone.parse(text);
    let error = || {
        Failure::Usage(format!(
            "-{flag}: \"{text}\" is none of milliseconds and yyyy-MM-dd#HH:mm:ss:SSS"
        ))
    };
    time.map(Some).ok_or_else(error)
}

/// Only what bodies are in nearly all; 4.9.4 knows all of Java's.
fn check_charset(run: &Run) -> Done {
    let name = run.given.get('c').unwrap_or("UTF-8").to_ascii_uppercase();
    if ["UTF-8", "UTF8", "US-ASCII", "ASCII", "ISO-8859-1", "LATIN1"].contains(&name.as_str()) {
        return Ok(());
    }
    Err(Failure::Usage(format!(
        "-c: charset {name} is not known here: only UTF-8, US-ASCII and ISO-8859-1 are"
    )))
}

/// A body as text.
fn body_text(run: &Run, message: &Message) -> String {
    let name = run.given.get('c').unwrap_or("UTF-8").to_ascii_uppercase();
    if ["ISO-8859-1", "LATIN1"].contains(&name.as_str()) {
        return message.body.iter().copied().map(char::from).collect();
    }
    String::from_utf8_lossy(&message.body).into_owned()
}

/// `printMsg` (M-065).
pub(super) async fn print(run: &mut Run) -> Done {
    check_charset(run)?;
    let topic = run.given.must('t').to_owned();
    let expression = run.given.get('s').unwrap_or("*").to_owned();
    let is_body_shown = run.given.bool_or('d', true);
    let times = (time_of(run, 'b')?, time_of(run, 'e')?);
    for queue in queues_of(run, &topic).await? {
        let (first, last) = queue.range(run, times).await?;
        let name = queue_text(&queue.queue);
        run.line(format_args!("minOffset={first}, maxOffset={last}, {name}"))?;
        let mut offset = first;
        while offset < last {
            let pulled = queue.pull(run, GROUP, offset, PULL_COUNT, &expression).await?;
            let before = offset;
            offset = pulled.next_offset;
            let status = pulled.status.name();
            match pulled.status {
                PullStatus::Found => show(run, &queue.queue, &pulled.messages, is_body_shown)?,
                PullStatus::NoMatchedMsg => {
                    run.line(format_args!(
                        "{name} no matched msg. status={status}, offset={offset}"
                    ))?;
                }
                PullStatus::NoNewMsg | PullStatus::OffsetIllegal => {
                    run.line(format_args!(
                        "{name} print msg finished. status={status}, offset={offset}"
                    ))?;
                    break;
                }
            }
            if offset <= before {
                break;
            }
        }
        run.line(format_args!("{}", "-".repeat(56)))?;
    }
    Ok(())
}

/// Messages, a line each.
fn show(run: &mut Run, queue: &MessageQueue, messages: &[Message], is_body_shown: bool) -> Done {
    for message in messages {
        let body =
            if is_body_shown { body_text(run, message) } else { "NOT PRINT BODY".to_owned() };
        run.line(format_args!(
            "MSGID: {} {} BODY: {body}",
            message.id(),
            message_text(queue, message)
        ))?;
    }
    Ok(())
}

/// `MessageExt.toString()`.
fn message_text(queue: &MessageQueue, message: &Message) -> String {
    let is_half =
        message.properties.get(properties::TRANSACTION_PREPARED).is_some_and(|text| text == "true");
    let transaction = is_half.then(|| message.properties.get(properties::UNIQ_KEY)).flatten();
    format!(
        "MessageExt [brokerName={}, queueId={}, storeSize={}, queueOffset={}, sysFlag={}, bornTimestamp={}, bornHost={}, \
         storeTimestamp={}, storeHost={}, msgId={}, commitLogOffset={}, bodyCRC={}, reconsumeTimes={}, \
         preparedTransactionOffset={}, toString()=Message{{topic='{}', flag={}, properties={}, body={}, \
         transactionId='{}'}}]",
        queue.broker_name,
        message.queue_id,
        message.store_bytes,
        message.queue_offset,
        message.sys_flag,
        message.born_timestamp,
        socket(message.born_host),
        message.store_timestamp,
        socket(message.store_host),
        message.offset_id(),
        message.physical_offset,
        message.body_crc,
        message.reconsume_times,
        message.prepared_transaction_offset,
        message.topic,
        message.flag,
        hash_map(message.properties.iter()),
        byte_array(&message.body),
        text_or_null(transaction)
    )
}

/// `printMsgByQueue` (M-066).
pub(super) async fn print_queue(run: &mut Run) -> Done {
    check_charset(run)?;
    let topic = run.given.must('t').to_owned();
    let broker = run.given.must('a').to_owned();
    let queue_id = run.given.number_or('i', 0)?;
    let expression = run.given.get('s').unwrap_or("*").to_owned();
    let [is_shown, is_body_shown, is_counted] =
        ['p', 'd', 'f'].map(|flag| run.given.bool_or(flag, false));
    let address = address_of(run, &topic, &broker).await?;
    let queue = Queue { queue: MessageQueue { topic, broker_name: broker, queue_id }, address };
    let (first, last) = queue.range(run, (time_of(run, 'b')?, time_of(run, 'e')?)).await?;
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    let mut offset = first;
    while offset < last {
        let pulled = queue.pull(run, GROUP, offset, PULL_COUNT, &expression).await?;
        if pulled.status != PullStatus::Found || pulled.next_offset <= offset {
            break;
        }
        offset = pulled.next_offset;
        let tags =
            pulled.messages.iter().filter_map(|message| message.properties.get(properties::TAGS));
        for tag in tags.filter(|tag| !tag.trim().is_empty()) {
            *counts.entry(tag.to_owned()).or_default() += 1;
        }
        if is_shown {
            show(run, &queue.queue, &pulled.messages, is_body_shown)?;
        }
    }
    if !is_counted {
        return Ok(());
    }
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    for (tag, count) in counts {
        run.line(format_args!("Tag: {tag:<30} Count: {count}"))?;
    }
    Ok(())
}

/// `consumeMessage` (M-068).
pub(super) async fn consume(run: &mut Run) -> Done {
    let refuse = |text: &str| Err(Failure::Usage(text.to_owned()));
    let mut count: i64 = run.given.number_or('c', CONSUME_COUNT)?;
    if count <= 0 {
        return refuse("-c: please input a positive messageNumber");
    }
    if run.given.has('i') && !run.given.has('b') {
        return refuse("please set the brokerName (-b) before queueId");
    }
    if run.given.has('o') && !run.given.has('i') {
        return refuse("please set queueId (-i) before offset");
    }
    let (begin, end) = (time_of(run, 's')?, time_of(run, 'e')?);
    let now_ms = run.clock.now_ms();
    if begin.is_some_and(|time| time > now_ms) || end.is_some_and(|time| time > now_ms) {
        return refuse("please set times (-s, -e) before now");
    }
    if end.is_some_and(|end| begin.unwrap_or(0) > end) {
        return refuse(
            "please make sure that the beginTimestamp (-s) is less than or equal to the endTimestamp (-e)",
        );
    }
    // 0 is none for 4.9.4.
    let times = (begin.filter(|time| *time > 0), end.filter(|time| *time > 0));
    let topic = run.given.must('t').to_owned();
    let group = run.given.get('g').unwrap_or(GROUP).to_owned();
    if run.given.has('i') {
        return consume_queue(run, (&topic, &group), times, count).await;
    }
    for queue in queues_of(run, &topic).await? {
        if count == 0 {
            return Ok(());
        }
        let (first, mut last) = queue.range(run, times).await?;
        if last.saturating_sub(first) > count {
            let id = queue.queue.queue_id;
            run.line(format_args!("The older {count} message of the {id} queue will be provided"))?;
            last = first.saturating_add(count - 1);
            count = 0;
        } else {
            count = count.saturating_sub(last.saturating_sub(first)).saturating_sub(1);
        }
        read(run, &queue, &group, (first, last)).await?;
    }
    Ok(())
}

/// Consumes one queue, from `-o` on.
async fn consume_queue(
    run: &mut Run,
    (topic, group): (&str, &str),
    times: (Option<i64>, Option<i64>),
    count: i64,
) -> Done {
    let broker = run.given.must('b').to_owned();
    let (queue_id, offset) = (run.given.number_or('i', 0)?, run.given.number_or('o', 0i64)?);
    let address = address_of(run, topic, &broker).await?;
    let queue = MessageQueue { topic: topic.to_owned(), broker_name: broker, queue_id };
    let queue = Queue { queue, address };
    let (first, mut last) = queue.range(run, times).await?;
    if offset > last {
        return run
            .line(format_args!("{} no matched msg, offset={offset}", queue_text(&queue.queue)));
    }
    let first = first.max(offset);
    if last.saturating_sub(first) > count {
        run.line(format_args!("The oldler {count} message will be provided"))?;
        last = first.saturating_add(count - 1);
    }
    read(run, &queue, group, (first, last)).await
}

/// Reads a queue from one offset to another.
async fn read(run: &mut Run, queue: &Queue, group: &str, (first, last): (i64, i64)) -> Done {
    let mut offset = first;
    while offset <= last {
        let count =
            i32::try_from(last.saturating_sub(offset).saturating_add(1)).unwrap_or(i32::MAX);
        let pulled = queue.pull(run, group, offset, count, "*").await?;
        let before = offset;
        offset = pulled.next_offset;
        let (name, status) = (queue_text(&queue.queue), pulled.status.name());
        match pulled.status {
            PullStatus::Found => {
                run.line(format_args!("Consume ok"))?;
                show(run, &queue.queue, &pulled.messages, true)?;
            }
            PullStatus::NoMatchedMsg => {
                run.line(format_args!("{name} no matched msg. status={status}, offset={offset}"))?;
            }
            PullStatus::NoNewMsg | PullStatus::OffsetIllegal => {
                return run.line(format_args!(
                    "{name} print msg finished. status={status}, offset={offset}"
                ));
            }
        }
        if offset <= before {
            return Ok(());
        }
    }
    Ok(())
}

/// `queryCq` (M-070).
pub(super) async fn entries(run: &mut Run) -> Done {
    let topic = run.given.must('t').to_owned();
    let queue = run.given.number_or('q', 0)?;
    let (index, count) = (run.given.number_or('i', 0i64)?, run.given.number_or('c', 10)?);
    let address = match run.given.get('b').filter(|address| !address.is_empty()) {
        Some(address) => address.to_owned(),
        None => {
            let route = run.admin.route(&topic).await?;
            let master = route.brokers.first().and_then(|broker| broker.master());
            master
                .map(str::to_owned)
                .ok_or_else(|| AdminError::NotFound(format!("topic \"{topic}\" has no master")))?
        }
    };
    let group = run.given.get('g').map(str::to_owned);
    let text = run.admin.queue_entries(
        &address,
        (&topic, queue),
        (index, count),
        group.as_deref(),
        |value| entries_text(value, index),
    );
    let text = text.await?;
    run.print(format_args!("{text}"))
}

fn entries_text(value: &Value<'_>, index: i64) -> String {
    let line = format!("{}\n", "=".repeat(38));
    let mut text = String::new();
    let subscription = value.get("subscriptionData");
    if *subscription != Value::Null {
        let shown = subscription.to_bytes(Form::Pretty);
        text += &format!("Subscription data: \n{}\n{line}", String::from_utf8_lossy(&shown));
    }
    if let Some(filter) = value.text("filterData") {
        text += &format!("Filter data: \n{filter}\n{line}");
    }
    let number = |value: &Value<'_>, key: &str| value.get(key).as_i64().unwrap_or(0);
    let (max, min) = (number(value, "maxQueueIndex"), number(value, "minQueueIndex"));
    text += &format!("Queue data: \nmax: {max}, min: {min}\n{line}");
    for (at, entry) in (index..).zip(value.get("queueData").items()) {
        let field = |key: &str| text_or_null(entry.text(key)).to_owned();
        text += &format!(
            "idx: {at}\nConsumeQueueData{{physicOffset={}, physicSize={}, tagsCode={}, extendDataJson='{}', bitMap='{}', \
             eval={}, msg='{}'}}\n{line}",
            number(entry, "physicOffset"),
            number(entry, "physicSize"),
            number(entry, "tagsCode"),
            field("extendDataJson"),
            field("bitMap"),
            entry.bool_or("eval", false),
            field("msg")
        );
    }
    text
}
