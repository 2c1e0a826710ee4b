//! Asks every process how it is: name servers which brokers they know (106), brokers where their logs end (28).
//!
//! Not a client of the topic. Invariant: who does not answer is unknown, never what it was before.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::board::State;
use super::cluster::{Cluster, QUEUES, TOPIC};
use crate::remoting::bodies::route::{BrokerData, ClusterInfo};
use crate::remoting::bodies::topics::parse_topic_table;
use crate::remoting::{Command, json, request, response};

/// How often everybody is asked.
const PERIOD: Duration = Duration::from_millis(300);
/// How long an answer may take: who is slower shows as not answering.
const ANSWER: Duration = Duration::from_secs(1);

/// Watches until the demo ends.
pub async fn run(cluster: Arc<Cluster>) {
    loop {
        look(&cluster).await;
        if cluster.board().has_topic {
            cluster.refresh().await;
        }
        tokio::time::sleep(PERIOD).await;
    }
}

/// Asks everybody once.
async fn look(cluster: &Cluster) {
    for host in 0..2 {
        let (name_server, brokers) = {
            let host = &cluster.board().hosts[host];
            let addresses = host.brokers.iter().map(|broker| broker.address.clone());
            (host.name_server.clone(), addresses.collect::<Vec<_>>())
        };
        let view = view(cluster, &name_server).await;
        cluster.board().hosts[host].view = view;
        for (at, address) in brokers.iter().enumerate() {
            let end = log_end(cluster, address).await;
            cluster.board().hosts[host].brokers[at].log_end = end;
        }
        let is_starting = || cluster.board().hosts[host].state == State::Starting;
        if is_starting() && is_ready(cluster, host).await && is_starting() {
            cluster.board().hosts[host].state = State::Up;
            cluster.note(format!("host {} is up", host + 1));
        }
    }
}

async fn ask(cluster: &Cluster, address: &str, code: i32) -> Option<Command> {
    let answer = cluster.client.call(address, Command::request(code), ANSWER).await.ok()?;
    (answer.code == response::SUCCESS).then_some(answer)
}

async fn view(cluster: &Cluster, name_server: &str) -> Option<Vec<BrokerData>> {
    let answer = ask(cluster, name_server, request::GET_BROKER_CLUSTER_INFO).await?;
    let mut brokers = ClusterInfo::parse(&answer.body).ok()?.brokers;
    brokers.sort_unstable_by(|a, b| a.broker_name.cmp(&b.broker_name));
    Some(brokers)
}

async fn log_end(cluster: &Cluster, address: &str) -> Option<u64> {
    let answer = ask(cluster, address, request::GET_BROKER_RUNTIME_INFO).await?;
    let body = json::parse(&answer.body).ok()?;
    body.get("table").text("commitLogMaxOffset")?.parse().ok()
}

/// Whether clients can use all of a host: it is known, its brokers answer, and they know the topic, which a
/// slave learns from its master within seconds (H-050).
async fn is_ready(cluster: &Cluster, host: usize) -> bool {
    let addresses: Vec<String> = {
        let board = cluster.board();
        if !board.has_topic || !board.is_known(host) {
            return false;
        }
        board.hosts[host].brokers.iter().map(|broker| broker.address.clone()).collect()
    };
    for address in addresses {
        let Some(answer) = ask(cluster, &address, request::GET_ALL_TOPIC_CONFIG).await else {
            return false;
        };
        let topics = parse_topic_table(&answer.body).map(|(_, topics)| topics).unwrap_or_default();
        if !topics.iter().any(|topic| topic.name.as_str() == TOPIC) {
            return false;
        }
    }
    true
}

/// Where every queue of a group ends, as its master says.
pub async fn ends(cluster: &Cluster, master: &str) -> Option<BTreeMap<i32, i64>> {
    let mut ends = BTreeMap::new();
    for id in 0..i32::try_from(QUEUES).unwrap_or(0) {
        let request = Command::request(request::GET_MAX_OFFSET)
            .with_field("topic", TOPIC)
            .with_field("queueId", id);
        let answer = cluster.client.call(master, request, ANSWER).await.ok()?;
        ends.insert(id, answer.required_i64("offset").ok()?);
    }
    Some(ends)
}
