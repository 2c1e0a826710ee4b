//! Pulls a topic's queues from their beginning, as a consumer does, without a group's rebalance.

use std::sync::Arc;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::meter::Meter;
use super::route::{Purpose, Queue};
use super::{BenchError, Histogram, Load, RECONNECT_PAUSE, REQUEST_TIMEOUT, Summary};
use crate::clock::Clock;
use crate::remoting::headers::{PullHeader, PullResponse, pull_flag};
use crate::remoting::{Command, response};
use crate::transport::Client;

/// What to pull.
#[derive(Clone, Debug)]
pub struct ConsumeOptions {
    /// Where from and how much. With a duration the queues are read again and again, without one once.
    pub load: Load,
    /// Messages of one pull; brokers answer 32 at most unless told otherwise.
    pub batch: i32,
    /// Only messages that match this SQL92 expression; all without one.
    pub sql: Option<String>,
}

/// Runs until the queues' ends, messages, time or `stop` end it.
///
/// # Errors
/// The topic's queues cannot be found.
pub async fn consume(
    options: &ConsumeOptions,
    clock: &Clock,
    stop: &CancellationToken,
) -> Result<Summary, BenchError> {
    let load = &options.load;
    let queues: Arc<[Queue]> = load.queues(Purpose::Consume).await?.into();
    let meter = Arc::new(Meter::new(load, clock.clone()));
    let workers_max = load.connections * load.in_flight;
    // Read once, each queue has one reader; read again and again, there are as many as asked for.
    let count = if load.duration.is_some() { workers_max } else { workers_max.min(queues.len()) };
    let clients: Vec<Client> = (0..load.connections).map(|_| load.client()).collect();
    let mut workers = JoinSet::new();
    for number in 0..count {
        let worker = Worker {
            client: clients[number % clients.len()].clone(),
            meter: Arc::clone(&meter),
            options: options.clone(),
            latencies: Histogram::default(),
        };
        workers.spawn(worker.run(Arc::clone(&queues), number, count));
    }
    let all = async { while workers.join_next().await.is_some() {} };
    Ok(meter.watch("consume", load.duration, stop, all).await)
}

/// One pull in flight, again and again.
struct Worker {
    client: Client,
    meter: Arc<Meter>,
    options: ConsumeOptions,
    latencies: Histogram,
}

impl Worker {
    async fn run(mut self, queues: Arc<[Queue]>, number: usize, workers: usize) {
        loop {
            // More workers than queues: some queues have several readers.
            let mut at = number % queues.len();
            while at < queues.len() && !self.meter.is_over() {
                self.read(&queues[at]).await;
                at += workers;
            }
            if self.options.load.duration.is_none() || self.meter.is_over() {
                break;
            }
            tokio::task::yield_now().await;
        }
        self.meter.add_latencies(&self.latencies);
    }

    /// Reads one queue to its end.
    async fn read(&mut self, queue: &Queue) {
        let mut offset = 0;
        while !self.meter.is_over() {
            let request = self.request(queue, offset);
            let started = self.meter.clock.monotonic();
            let answer = match self.client.call(&queue.address, request, REQUEST_TIMEOUT).await {
                Ok(answer) => answer,
                Err(error) => {
                    self.meter.failed(&error);
                    tokio::time::sleep(RECONNECT_PAUSE).await;
                    continue;
                }
            };
            let next = PullResponse::parse(&answer).map(|fields| fields.next_begin_offset);
            match (answer.code, next) {
                (response::SUCCESS, Ok(next)) => {
                    self.latencies.record(self.meter.clock.monotonic() - started);
                    let messages = self.meter.claim(count_records(&answer.body));
                    self.meter.moved(messages, answer.body.len());
                    offset = next;
                }
                (response::PULL_RETRY_IMMEDIATELY | response::PULL_OFFSET_MOVED, Ok(next))
                    if next != offset =>
                {
                    offset = next;
                }
                (response::PULL_NOT_FOUND | response::PULL_OFFSET_MOVED, Ok(_)) => break,
                _ => {
                    self.meter.refused(&answer);
                    tokio::time::sleep(RECONNECT_PAUSE).await;
                    break;
                }
            }
        }
    }

    fn request(&self, queue: &Queue, offset: i64) -> Command {
        let header = PullHeader {
            consumer_group: "rmq-node-bench",
            topic: &self.options.load.topic,
            queue_id: queue.id,
            queue_offset: offset,
            max_msg_nums: self.options.batch,
            sys_flag: pull_flag::SUBSCRIPTION,
            subscription: Some(self.options.sql.as_deref().unwrap_or("*")),
            expression_type: Some(if self.options.sql.is_some() { "SQL92" } else { "TAG" }),
            ..PullHeader::default()
        };
        let mut request = header.to_request();
        request.serialize_type = self.options.load.serialize_type;
        request
    }
}

/// How many records a pull's body holds; each begins with its length.
fn count_records(mut body: &[u8]) -> u64 {
    let mut count = 0;
    while let Some((length, _)) = body.split_first_chunk::<4>() {
        let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
        if length == 0 || length > body.len() {
            break;
        }
        body = &body[length..];
        count += 1;
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_counted_by_their_lengths_and_garbage_ends_the_count() {
        let body = [&[0, 0, 0, 6, 1, 1][..], &[0, 0, 0, 4], &[0, 0, 0, 0, 9]].concat();
        assert_eq!(count_records(&body), 2);
        assert_eq!(count_records(&[0, 0, 0, 99]), 0);
        assert_eq!(count_records(b""), 0);
    }
}
