//! Sends numbers round-robin over the queues of both masters; where one fails, the next attempt goes to another.
//!
//! As 4.9's Java client does it (three attempts, each away from the broker that failed; contract 8.3), except
//! that the route is asked for again at once instead of every 30 s. Invariant: a number is acknowledged only
//! after a broker said that it has it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::cluster::{Cluster, PAUSE, TOPIC, WriteQueue};
use crate::message::properties::{self, Properties};
use crate::remoting::headers::SendHeader;
use crate::remoting::{Command, request, response};

/// The producer's group.
pub const GROUP: &str = "demo-producer";

/// A client's `retryTimesWhenSendFailed` and the first time.
const ATTEMPTS: usize = 3;

/// One number after the other.
struct Producer {
    cluster: Arc<Cluster>,
    /// Queues used so far.
    turn: usize,
    /// Groups that take no messages now, and whether it was told where it goes on instead.
    out: BTreeMap<String, bool>,
    /// Groups whose master is without its slave, as it says itself.
    alone: BTreeSet<String>,
}

/// Sends `rate` messages a second until `stop`.
pub async fn run(cluster: Arc<Cluster>, rate: u32, stop: CancellationToken) {
    let pause = Duration::from_secs(1) / rate.max(1);
    let mut turns = tokio::time::interval(pause);
    turns.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    let mut producer = Producer { cluster, turn: 0, out: BTreeMap::new(), alone: BTreeSet::new() };
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            _ = turns.tick() => {}
        }
        producer.send_next().await;
    }
}

impl Producer {
    async fn send_next(&mut self) {
        let number = self.cluster.board().ledger.next();
        let mut failed: Option<WriteQueue> = None;
        for _ in 0..ATTEMPTS {
            let Some(queue) = self.queue(failed.as_ref().map(|queue| queue.group.as_str())) else {
                break;
            };
            let request = request(number, &queue, self.cluster.now_ms());
            let problem = match self.cluster.call(&queue.address, request).await {
                Ok(answer) if is_stored(answer.code) => {
                    self.stored(number, &queue, answer.code);
                    return;
                }
                Ok(answer) => format!("it answers {}", response::name(answer.code)),
                Err(error) => error.to_string(),
            };
            if !self.out.contains_key(&queue.group) {
                self.out.insert(queue.group.clone(), false);
                let text = format!("producer: {} takes no message: {problem}", queue.group);
                self.cluster.note(text);
            }
            self.cluster.refresh().await;
            failed = Some(queue);
        }
        if failed.is_none() {
            self.cluster.note_once("producer finds no master: it waits for one");
            self.cluster.refresh().await;
        }
        tokio::time::sleep(PAUSE).await;
    }

    /// The next queue in turn, of another group than the one that failed if there is one.
    fn queue(&mut self, failed: Option<&str>) -> Option<WriteQueue> {
        let queues = self.cluster.write_queues();
        let groups: Vec<String> = self.cluster.board().traffic.keys().cloned().collect();
        for group in groups {
            if !queues.iter().any(|queue| queue.group == group) {
                self.out.entry(group).or_insert(false);
            }
        }
        let in_turn = (0..queues.len()).map(|at| &queues[(self.turn + at) % queues.len()]);
        let mut others = in_turn.filter(|queue| Some(queue.group.as_str()) != failed);
        let queue = others.next().or(queues.first()).cloned();
        self.turn += 1;
        queue
    }

    /// Notes an acknowledged number, and what is different since the last one.
    fn stored(&mut self, number: u64, queue: &WriteQueue, code: i32) {
        let at = self.cluster.passed();
        let mut board = self.cluster.board();
        board.ledger.acknowledge(number);
        if let Some(traffic) = board.traffic.get_mut(&queue.group) {
            traffic.sent += 1;
        }
        if self.out.remove(&queue.group).is_some() {
            board.note(at, format!("producer sends to {} again", queue.group));
        }
        for (group, told) in self.out.iter_mut().filter(|(_, told)| !**told) {
            *told = true;
            board.note(at, format!("producer goes on at {}, without {group}", queue.group));
        }
        let is_alone = code != response::SUCCESS;
        let change = match is_alone {
            true if self.alone.insert(queue.group.clone()) => "without its slave",
            false if self.alone.remove(&queue.group) => "with its slave again",
            _ => return,
        };
        board.note(at, format!("{} stores {change} ({})", queue.group, response::name(code)));
    }
}

/// The master has it: for sure, or so far without its disk or its slave.
fn is_stored(code: i32) -> bool {
    matches!(
        code,
        response::SUCCESS
            | response::FLUSH_DISK_TIMEOUT
            | response::SLAVE_NOT_AVAILABLE
            | response::FLUSH_SLAVE_TIMEOUT
    )
}

fn request(number: u64, queue: &WriteQueue, now_ms: i64) -> Command {
    let mut text = Properties::default();
    text.set(properties::UNIQ_KEY, &format!("{:08X}{number:016X}", std::process::id()));
    text.set(properties::WAIT, "true");
    let text = text.to_string();
    let header = SendHeader {
        producer_group: GROUP,
        topic: TOPIC,
        default_topic: crate::model::system::AUTO_CREATE_TOPIC,
        default_topic_queue_nums: 4,
        queue_id: queue.id,
        born_timestamp: now_ms,
        properties: &text,
        ..SendHeader::default()
    };
    header.to_request(request::SEND_MESSAGE_V2).with_body(number.to_string())
}
