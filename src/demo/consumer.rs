//! A consumer group with one member: pulls every queue, waits at its end, and commits how far it is.
//!
//! As 4.9's Java client does it (contract 8.3): from the broker that the last answer suggests, and from a slave
//! when the master is in no route. No rebalance: one member has all queues. Invariant: a queue's position
//! moves only with an answer of a broker, whose messages were counted before.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::cluster::{Cluster, PAUSE, QUEUES, TOPIC};
use super::producer;
use crate::message::Record;
use crate::remoting::bodies::heartbeat::{
    ConsumeFromWhere, ConsumeMode, ConsumerData, Heartbeat, SubscriptionData,
};
use crate::remoting::headers::{PullHeader, PullResponse, pull_flag};
use crate::remoting::{Command, request, response};
use crate::task;

/// The consumer's group.
pub const GROUP: &str = "demo-consumer";
/// The group that reads everything once more at the end.
const READER: &str = "demo-reader";

/// How long a pull may wait at a queue's end (`brokerSuspendMaxTimeMillis`).
const SUSPEND: Duration = Duration::from_secs(15);
/// How much longer its answer may take.
const ANSWER: Duration = Duration::from_secs(5);
/// How often positions are committed (`persistConsumerOffsetInterval`), and heartbeats sent.
const KEEP: Duration = Duration::from_secs(5);
/// Messages of one pull (`pullBatchSize`).
const BATCH: i32 = 32;
const ALL: &str = "*";

/// Consumes until `stop`; then commits once more.
pub async fn run(cluster: Arc<Cluster>, stop: CancellationToken) {
    let groups: Vec<String> = cluster.board().traffic.keys().cloned().collect();
    let mut readers = Vec::new();
    for group in groups {
        for id in 0..i32::try_from(QUEUES).unwrap_or(0) {
            let reader = Reader { cluster: Arc::clone(&cluster), group: group.clone(), id };
            let reading = stop.clone().run_until_cancelled_owned(reader.run());
            readers.push(task::spawn(task::Kind::Ignore, "demo reader", async move {
                reading.await;
            }));
        }
    }
    let mut committed = BTreeMap::new();
    loop {
        heartbeat(&cluster).await;
        tokio::select! {
            () = stop.cancelled() => break,
            () = tokio::time::sleep(KEEP) => {}
        }
        commit(&cluster, &mut committed).await;
    }
    for reader in readers {
        // A reader that panicked has ended too.
        let _ = reader.await;
    }
    commit(&cluster, &mut committed).await;
}

/// Reads one queue.
struct Reader {
    cluster: Arc<Cluster>,
    group: String,
    id: i32,
}

impl Reader {
    async fn run(self) {
        let (mut position, mut suggested) = (0, 0);
        loop {
            let Some((next, from)) = self.pull(position, suggested).await else {
                tokio::time::sleep(PAUSE).await;
                self.cluster.refresh().await;
                continue;
            };
            if next == position {
                // At the queue's end the broker has waited; a slave that is behind answers at once.
                tokio::time::sleep(PAUSE).await;
            }
            (position, suggested) = (next, from);
        }
    }

    /// Pulls once and counts what comes: where to go on, and at which broker of the group.
    async fn pull(&self, position: i64, suggested: i64) -> Option<(i64, i64)> {
        let Self { cluster, group, id } = self;
        let address = cluster.reader(group, suggested)?;
        let connection = cluster.client.connection(&address).await.ok()?;
        let at = cluster.passed();
        cluster.board().reads(at, group, *id, &address);
        let request = pull_request(GROUP, *id, position, SUSPEND);
        let answer = connection.call(request, SUSPEND + ANSWER).await.ok()?;
        let Ok(fields) = PullResponse::parse(&answer) else {
            let code = response::name(answer.code);
            cluster.note_once(&format!("consumer: {address} answers {code}"));
            return None;
        };
        let numbers =
            if answer.code == response::SUCCESS { numbers(&answer.body) } else { Vec::new() };
        let mut board = cluster.board();
        for number in numbers {
            if board.ledger.receive(number)
                && let Some(traffic) = board.traffic.get_mut(group)
            {
                traffic.received += 1;
            }
        }
        let queue = board.traffic.get_mut(group)?.queues.entry(*id).or_default();
        queue.position = fields.next_begin_offset;
        // A slave that is behind does not know the end.
        queue.end = queue.end.max(fields.max_offset);
        Some((fields.next_begin_offset, fields.suggest_which_broker_id))
    }
}

/// A pull that waits at the queue's end for so long.
fn pull_request(group: &str, queue_id: i32, position: i64, suspend: Duration) -> Command {
    let flag = if suspend.is_zero() { 0 } else { pull_flag::SUSPEND };
    let header = PullHeader {
        consumer_group: group,
        topic: TOPIC,
        queue_id,
        queue_offset: position,
        max_msg_nums: BATCH,
        sys_flag: flag | pull_flag::SUBSCRIPTION,
        suspend_timeout_ms: i64::try_from(suspend.as_millis()).unwrap_or(i64::MAX),
        subscription: Some(ALL),
        expression_type: Some(SubscriptionData::TAG),
        ..PullHeader::default()
    };
    header.to_request()
}

/// Reads a master's queue from its beginning to its end, and notes what is there; whether it could.
pub async fn look_through(cluster: &Cluster, master: &str, id: i32) -> bool {
    let mut position = 0;
    loop {
        let request = pull_request(READER, id, position, Duration::ZERO);
        let Ok(answer) = cluster.call(master, request).await else { return false };
        let Ok(fields) = PullResponse::parse(&answer) else { return false };
        match answer.code {
            response::SUCCESS => {
                let mut board = cluster.board();
                numbers(&answer.body).into_iter().for_each(|number| board.ledger.find(number));
            }
            response::PULL_NOT_FOUND => return true,
            _ if fields.next_begin_offset == position => return false,
            _ => {}
        }
        position = fields.next_begin_offset;
    }
}

/// The numbers in a pull's body; what is no record ends it.
fn numbers(mut body: &[u8]) -> Vec<u64> {
    let mut numbers = Vec::new();
    while let Ok(record) = Record::parse(body) {
        let text = std::str::from_utf8(record.body()).ok();
        numbers.extend(text.and_then(|text| text.parse::<u64>().ok()));
        body = &body[record.bytes().len()..];
    }
    numbers
}

/// Tells every broker who is here.
async fn heartbeat(cluster: &Cluster) {
    let subscription = SubscriptionData {
        topic: TOPIC.to_owned(),
        expression: ALL.to_owned(),
        expression_type: SubscriptionData::TAG.to_owned(),
        ..SubscriptionData::default()
    };
    let consumer = ConsumerData {
        group: GROUP.to_owned(),
        mode: ConsumeMode {
            consume_from_where: ConsumeFromWhere::FirstOffset,
            ..ConsumeMode::default()
        },
        subscriptions: vec![subscription],
        unit_mode: false,
    };
    let beat = Heartbeat {
        client_id: format!("demo@{}", std::process::id()),
        producers: vec![producer::GROUP.to_owned()],
        consumers: vec![consumer],
    };
    let body = beat.to_bytes();
    for address in cluster.brokers() {
        let request = Command::request(request::HEART_BEAT).with_body(body.clone());
        // Who is down is told again when it is up.
        let _ = cluster.call(&address, request).await;
    }
}

/// Tells each group's broker, the master if it is there, how far the queues are.
async fn commit(cluster: &Cluster, committed: &mut BTreeMap<(String, i32), i64>) {
    let positions: Vec<((String, i32), i64)> = {
        let board = cluster.board();
        let groups = board.traffic.iter();
        let each = groups.flat_map(|(group, traffic)| {
            traffic.queues.iter().map(|(id, queue)| ((group.clone(), *id), queue.position))
        });
        each.filter(|(queue, position)| committed.get(queue) != Some(position)).collect()
    };
    for (queue, position) in positions {
        let Some(address) = cluster.reader(&queue.0, 0) else { continue };
        let request = Command::request(request::UPDATE_CONSUMER_OFFSET)
            .with_field("consumerGroup", GROUP)
            .with_field("topic", TOPIC)
            .with_field("queueId", queue.1)
            .with_field("commitOffset", position);
        let answered = cluster.call(&address, request).await;
        if answered.is_ok_and(|answer| answer.code == response::SUCCESS) {
            committed.insert(queue, position);
        }
    }
}
