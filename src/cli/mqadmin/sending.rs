//! Sending messages: M-027, M-031, M-067, M-069.

use std::time::Duration;

use bytes::Bytes;

use super::java::queue_text;
use super::run::{Done, Failure, Run};
use crate::admin::{AdminError, Message, Producer, Sent, WritableQueue};
use crate::message::{Properties, properties};
use crate::model::{MessageQueue, system};

/// Queues of a topic that a send makes, as 4.9.4's clients ask for.
const NEW_TOPIC_QUEUES: u32 = 4;
/// 4.9.4 shows China's time in the lines for other programs.
const CHINA_S: i64 = 8 * 3600;

/// A producer of one topic; one that nobody knows goes where topics are made.
async fn producer(run: &Run, group: String, topic: &str) -> Result<Producer, AdminError> {
    let (route, most) = match run.admin.route(topic).await {
        Err(AdminError::NotFound(_)) => {
            let template = run.admin.route(system::AUTO_CREATE_TOPIC).await;
            let text = || {
                AdminError::NotFound(format!(
                    "no name server knows a topic \"{topic}\", and no broker makes topics: `updateTopic -c CLUSTER -t {topic}` makes it"
                ))
            };
            (template.map_err(|_| text())?, NEW_TOPIC_QUEUES)
        }
        answered => (answered?, u32::MAX),
    };
    Producer::new(&run.admin, &run.clock, group, topic, &route, most).ok_or_else(|| {
        AdminError::NotFound(format!(
            "topic \"{topic}\" has no queue that can be written: `topicRoute -t {topic}` shows why"
        ))
    })
}

/// `SendResult.toString()`.
fn result_text(queue: &MessageQueue, sent: &Sent, id: &str) -> String {
    let queue = queue_text(&MessageQueue { queue_id: sent.queue_id, ..queue.clone() });
    format!(
        "SendResult [sendStatus={}, msgId={id}, offsetMsgId={}, messageQueue={queue}, queueOffset={}]",
        sent.status, sent.offset_id, sent.queue_offset
    )
}

/// A group of its own, as 4.9.4's tools take one.
fn own_group(run: &Run) -> String {
    run.clock.now_ms().to_string()
}

/// `sendMessage` (M-067).
pub(super) async fn send(run: &mut Run) -> Done {
    let topic = run.given.must('t').to_owned();
    let body = Bytes::from(run.given.must('p').to_owned());
    let mut properties = Properties::default();
    for (flag, key) in [('k', properties::KEYS), ('c', properties::TAGS)] {
        if let Some(text) = run.given.get(flag) {
            properties.set(key, text);
        }
    }
    if run.given.has('i') && !run.given.has('b') {
        return Err(Failure::Usage(
            "Broker name must be set (-b) if the queue is chosen".to_owned(),
        ));
    }
    if run.given.bool_or('m', false) {
        return Err(Failure::Usage("-m: traces are not written here: leave it out".to_owned()));
    }
    let group = own_group(run);
    let mut producer = producer(run, group, &topic).await?;
    let (queue, sent, id) = match run.given.has('i') {
        false => producer.send(properties, body).await?,
        true => {
            let (broker, queue_id) = (run.given.must('b').to_owned(), run.given.number_or('i', 0)?);
            let there = producer.queues().iter().find(|queue| queue.queue.broker_name == broker);
            let there = there.ok_or_else(|| {
                AdminError::NotFound(format!("no broker \"{broker}\" has topic \"{topic}\""))
            })?;
            let queue = MessageQueue { topic: topic.clone(), broker_name: broker, queue_id };
            let queue = WritableQueue { queue, address: there.address.clone() };
            let (sent, id) = producer.send_to(&queue, properties, body).await?;
            (queue.queue, sent, id)
        }
    };
    sent_line(run, "#Broker Name", "#QID", "#Send Result", "#MsgId")?;
    sent_line(run, &queue.broker_name, &sent.queue_id.to_string(), sent.status, &id)
}

fn sent_line(run: &mut Run, broker: &str, queue: &str, result: &str, last: &str) -> Done {
    run.line(format_args!("{broker:<32}  {queue:<4}  {result:<20}    {last}"))
}

/// `queryMsgById -s`: sends a message again, under the id that it has (M-060).
pub(super) async fn again(run: &mut Run, id: &str, message: &Message) -> Done {
    run.print(format_args!("prepare resend msg. originalMsgId={id}"))?;
    let mut producer = producer(run, "ReSendMsgById".to_owned(), &message.topic).await?;
    let (queue, sent, id) = producer.send(message.properties.clone(), message.body.clone()).await?;
    run.print(format_args!("{}", result_text(&queue, &sent, &id)))
}

/// `sendMsgStatus` (M-027).
pub(super) async fn status(run: &mut Run) -> Done {
    let topic = run.given.must('b').to_owned();
    let (size, count): (usize, u32) =
        (run.given.number_or('s', 128)?, run.given.number_or('c', 50)?);
    let text = |size: usize| Bytes::from("hello jodie".repeat(size.div_ceil("hello jodie".len())));
    let mut producer = producer(run, "PID_SMSC".to_owned(), &topic).await?;
    producer.send(Properties::default(), text(16)).await?;
    for _ in 0..count {
        let start = run.clock.monotonic();
        let (queue, sent, id) = producer.send(Properties::default(), text(size)).await?;
        let took = run.clock.monotonic().duration_since(start).as_millis();
        run.line(format_args!("rt={took}ms, SendResult={}", result_text(&queue, &sent, &id)))?;
    }
    Ok(())
}

/// `checkMsgSendRT` (M-069).
pub(super) async fn check_time(run: &mut Run) -> Done {
    let topic = run.given.must('t').to_owned();
    let (amount, size): (u32, usize) =
        (run.given.number_or('a', 100)?, run.given.number_or('s', 128)?);
    let body = Bytes::from("a".repeat(size));
    let group = own_group(run);
    let mut producer = producer(run, group, &topic).await?;
    sent_line(run, "#Broker Name", "#QID", "#Send Result", "#RT")?;
    let mut total_ms = 0;
    for number in 0..amount {
        let queue = producer.queues()
            [usize::try_from(number).unwrap_or(0) % producer.queues().len()]
        .clone();
        let start = run.clock.monotonic();
        let sent = producer.send_to(&queue, Properties::default(), body.clone()).await;
        let took_ms = run.clock.monotonic().duration_since(start).as_millis();
        if number > 0 {
            total_ms += took_ms;
        }
        let (broker, id) = (queue.queue.broker_name.clone(), queue.queue.queue_id.to_string());
        sent_line(run, &broker, &id, &sent.is_ok().to_string(), &took_ms.to_string())?;
        match sent {
            Ok(_) => run.did(),
            Err(error) => run.failed(&error)?,
        }
    }
    run.line(format_args!("Avg RT: {}", average(total_ms, amount)))
}

/// A time, but for the first message; Java's `NaN` where there was no other.
fn average(total_ms: u128, amount: u32) -> String {
    if amount < 2 {
        return "NaN".to_owned();
    }
    #[expect(clippy::cast_precision_loss, reason = "milliseconds with two digits")]
    let average = total_ms as f64 / f64::from(amount - 1);
    format!("{average:.2}")
}

/// `clusterRT` (M-031): sends to every broker, again and again.
pub(super) async fn cluster_times(run: &mut Run) -> Done {
    let (amount, size): (u32, usize) =
        (run.given.number_or('a', 100)?, run.given.number_or('s', 128)?);
    let interval = Duration::from_secs(run.given.number_or('i', 10)?);
    let is_log = run.given.bool_or('p', false);
    let room = run.given.get('m').unwrap_or("noname").to_owned();
    let info = run.admin.cluster_info().await?;
    let clusters: Vec<String> = match run.given.get('c') {
        Some(cluster) => vec![cluster.to_owned()],
        None => info.clusters.keys().cloned().collect(),
    };
    if let Some(missing) = clusters.iter().find(|cluster| !info.clusters.contains_key(*cluster)) {
        run.print(format_args!("cluster [{missing}] not exist"))?;
        return Err(AdminError::NotFound(format!("there is no cluster \"{missing}\"")).into());
    }
    if !is_log {
        run.line(format_args!(
            "{:<24}  {:<24}  {:<4}  {:<8}  {:<8}",
            "#Cluster Name", "#Broker Name", "#RT", "#successCount", "#failCount"
        ))?;
    }
    let body = Bytes::from("a".repeat(size));
    loop {
        for cluster in &clusters {
            for broker in info.clusters.get(cluster).into_iter().flatten() {
                let (total_ms, failed) = round(run, broker, amount, &body).await?;
                let average = average(total_ms, amount);
                if is_log {
                    let time = china_time(run.clock.now_ms());
                    let rounded = average.parse::<f64>().unwrap_or(0.0).round();
                    run.line(format_args!("{time}|{room}|{cluster}|{broker}|{rounded:.0}"))?;
                } else {
                    let done = amount - failed;
                    run.line(format_args!(
                        "{cluster:<24}  {broker:<24}  {average:<8}  {done:<16}  {failed:<16}"
                    ))?;
                }
            }
        }
        run.wait(interval).await?;
    }
}

/// Sends `amount` messages to a broker's own topic; returns how long they took, and how many failed.
async fn round(
    run: &mut Run,
    broker: &str,
    amount: u32,
    body: &Bytes,
) -> Result<(u128, u32), Failure> {
    let group = own_group(run);
    let mut producer = match producer(run, group, broker).await {
        Ok(producer) => producer,
        Err(error) => {
            run.failed(&error)?;
            return Ok((0, amount));
        }
    };
    let (mut total_ms, mut failed) = (0, 0);
    for number in 0..amount {
        let start = run.clock.monotonic();
        let sent = producer.send(Properties::default(), body.clone()).await;
        if number > 0 {
            total_ms += run.clock.monotonic().duration_since(start).as_millis();
        }
        failed += u32::from(sent.is_err());
    }
    Ok((total_ms, failed))
}

fn china_time(now_ms: i64) -> String {
    crate::cli::table::utc(now_ms + CHINA_S * 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn averages_leave_the_first_out_m031() {
        assert_eq!((average(7, 1), average(3, 3)), ("NaN".to_owned(), "1.50".to_owned()));
        assert_eq!(china_time(0), "1970-01-01 08:00:00");
    }
}
