//! Topics that a send made on this master are made on the other masters of its cluster too, so that producers still
//! have somewhere to send to when this one is gone.
//!
//! Not those that a tool makes (17): these stay where they were sent, and tools ask every master themselves. Nor
//! retry and dead-letter topics, which each broker makes when it needs them, nor the brokers' own. Other masters are
//! told by 17 as a tool tells them, so that 4.9.4's understand it too; a 17 is never passed on. Invariants: no send
//! waits for this; a topic that is there already is not touched; who could not be told is in the log, and
//! `admin topics` shows what lacks.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::{Broker, BrokerOptions, topics};
use crate::model::{DLQ_PREFIX, RETRY_PREFIX, TopicConfig, shown, system};
use crate::remoting::bodies::route::ClusterInfo;
use crate::remoting::headers::create_topic;
use crate::remoting::{Command, request, response};
use crate::task;
use crate::transport::{CallError, Client};

/// The most topics that wait to be told.
const WAITING_MAX: usize = 1024;
/// How long a name server or a master has for each answer.
const CALL_TIMEOUT: Duration = Duration::from_secs(3);
/// The pauses before those that failed are tried again.
const RETRY_AFTER: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(10)];

/// The topics that other masters are still to be told of.
pub(super) struct TopicSpread {
    waiting: mpsc::Sender<Arc<TopicConfig>>,
    /// Until it is started.
    taken: Mutex<Option<mpsc::Receiver<Arc<TopicConfig>>>>,
}

impl TopicSpread {
    pub(super) fn new() -> Self {
        let (waiting, taken) = mpsc::channel(WAITING_MAX);
        Self { waiting, taken: Mutex::new(Some(taken)) }
    }
}

/// A topic was made for a client. Does not wait.
pub(super) fn created(broker: &Broker, topic: &Arc<TopicConfig>) {
    let name = topic.name.as_str();
    let is_applications = !(name.starts_with(RETRY_PREFIX)
        || name.starts_with(DLQ_PREFIX)
        || topics::is_system_topic(broker, name));
    let has_others = !broker.options.name_servers.is_empty();
    if is_applications
        && has_others
        && broker.topic_spread.waiting.try_send(Arc::clone(topic)).is_err()
    {
        tracing::warn!(
            topic = shown(name),
            "other masters are not told of a new topic: too many wait. `rmq-node admin topics repair` makes it there"
        );
    }
}

/// Tells other masters until `stop`, if this is one.
pub(super) fn start(broker: &Arc<Broker>, handle: &Handle, stop: &CancellationToken) {
    let mut taken = broker.topic_spread.taken.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(mut topics) = taken.take().filter(|_| !broker.is_slave()) else { return };
    let _entered = handle.enter();
    let (options, stop) = (broker.options.clone(), stop.clone());
    task::spawn(task::Kind::StopNode(stop.clone()), "topic spread", async move {
        let _ = stop.run_until_cancelled(keep_telling(&options, &mut topics)).await;
    });
}

async fn keep_telling(options: &BrokerOptions, waiting: &mut mpsc::Receiver<Arc<TopicConfig>>) {
    let mut topics = Vec::new();
    // The sender lives as long as the broker.
    while waiting.recv_many(&mut topics, WAITING_MAX).await > 0 {
        // Its connections go with it: topics are rarely made.
        let client = options.client(None);
        let mut failed = tell(&client, options, &topics).await;
        for pause in RETRY_AFTER {
            if failed.is_empty() {
                break;
            }
            sleep(pause).await;
            failed = tell(&client, options, &topics).await;
        }
        for (master, reason) in failed {
            let names: Vec<_> = topics.iter().map(|topic| topic.name.as_str()).collect();
            tracing::warn!(
                master,
                topics = shown(&names.join(" ")),
                "new topics are not on another master: {reason}. `rmq-node admin topics repair` makes them there"
            );
        }
        topics.clear();
    }
}

/// Makes the topics where they are not yet; returns where that failed, and why.
async fn tell(
    client: &Client,
    options: &BrokerOptions,
    topics: &[Arc<TopicConfig>],
) -> BTreeMap<String, String> {
    let (masters, mut failed) = other_masters(client, options).await;
    for (group, address) in masters {
        for topic in topics {
            if let Err(reason) = make(client, &address, topic).await {
                // It will not go better with the next one.
                failed.insert(format!("{group} ({address})"), reason);
                break;
            }
        }
    }
    failed
}

/// The masters of the cluster's other groups, as all name servers together know them, by group; and which name
/// servers did not answer, if none did.
async fn other_masters(
    client: &Client,
    options: &BrokerOptions,
) -> (BTreeMap<String, String>, BTreeMap<String, String>) {
    let (mut masters, mut failed) = (BTreeMap::new(), BTreeMap::new());
    let mut has_answer = false;
    for address in &options.name_servers {
        let request = Command::request(request::GET_BROKER_CLUSTER_INFO);
        let answer = ask(client, address, request).await;
        let info = answer
            .and_then(|answer| ClusterInfo::parse(&answer.body).map_err(|error| error.to_string()));
        let info = match info {
            Ok(info) => info,
            Err(reason) => {
                failed.insert(format!("any: name server {address}"), reason);
                continue;
            }
        };
        has_answer = true;
        for group in info.brokers {
            let is_other = group.cluster == options.cluster && group.broker_name != options.group;
            if let Some(master) = group.master().filter(|_| is_other) {
                masters.insert(group.broker_name.clone(), master.to_owned());
            }
        }
    }
    if has_answer {
        failed.clear();
    }
    (masters, failed)
}

/// Makes a topic on a master that does not have it. 17 would replace one that is there, and 202 is the only question
/// about one topic that 4.9.4 answers.
async fn make(client: &Client, master: &str, topic: &TopicConfig) -> Result<(), String> {
    let request = Command::request(request::GET_TOPIC_STATS_INFO).with_field("topic", &topic.name);
    let answer = client.call(master, request, CALL_TIMEOUT).await.map_err(text)?;
    match answer.code {
        response::SUCCESS => return Ok(()),
        response::TOPIC_NOT_EXIST => {}
        _ => return Err(refusal(&answer)),
    }
    ask(client, master, create_topic(topic, system::AUTO_CREATE_TOPIC)).await?;
    tracing::info!(topic = shown(topic.name.as_str()), master, "topic made on another master");
    Ok(())
}

async fn ask(client: &Client, address: &str, request: Command) -> Result<Command, String> {
    let answer = client.call(address, request, CALL_TIMEOUT).await.map_err(text)?;
    if answer.code == response::SUCCESS { Ok(answer) } else { Err(refusal(&answer)) }
}

fn refusal(answer: &Command) -> String {
    let remark = answer.remark.as_deref().unwrap_or_default();
    format!("it answered {}: {}", answer.code, shown(remark))
}

fn text(error: CallError) -> String {
    error.to_string()
}

#[cfg(test)]
mod tests {
    use super::super::tests_support::{TestBroker, eventually};
    use super::*;
    use crate::model::TopicName;
    use crate::remoting::bodies::route::BrokerData;
    use crate::transport::{Limits, Responder, Server, Service};

    /// Nobody listens there.
    const NOBODY: &str = "127.0.0.1:1";

    /// A name server that knows the brokers that the test says, whoever registers.
    #[derive(Default)]
    struct Names {
        info: Mutex<ClusterInfo>,
        asked: Mutex<usize>,
    }

    impl Service for Names {
        fn on_request(&self, request: Command, responder: Responder) {
            let mut answer = Command::response(response::SUCCESS);
            if request.code == request::GET_BROKER_CLUSTER_INFO {
                answer = answer.with_body(self.info.lock().unwrap().to_bytes());
                *self.asked.lock().unwrap() += 1;
            }
            responder.send(answer);
        }
    }

    impl Names {
        /// One on a port, until `stop`.
        fn start(stop: &CancellationToken) -> (Arc<Self>, String) {
            let server = Server::bind("127.0.0.1:0".parse().unwrap(), Arc::<Limits>::default());
            let (server, names) = (server.unwrap(), Arc::<Self>::default());
            let address = server.local_addr().to_string();
            let served = server.serve(names.clone(), stop.clone());
            task::spawn(task::Kind::Ignore, "name server", served);
            (names, address)
        }

        /// Brokers by cluster, group and address.
        fn know(&self, brokers: &[(&str, &str, &str)]) {
            let data = |&(cluster, group, address): &(&str, &str, &str)| BrokerData {
                addresses: [(0, address.to_owned()), (1, NOBODY.to_owned())].into(),
                broker_name: group.to_owned(),
                cluster: cluster.to_owned(),
            };
            self.info.lock().unwrap().brokers = brokers.iter().map(data).collect();
        }
    }

    fn topic(broker: &TestBroker, name: &str) -> Option<TopicConfig> {
        broker.broker.store.tables().topics.get(name).map(|topic| (*topic).clone())
    }

    async fn has(broker: &TestBroker, name: &str) {
        eventually("the topic", || topic(broker, name).is_some()).await;
    }

    #[tokio::test]
    async fn a_topic_made_by_a_send_is_made_on_the_other_masters_of_the_cluster() {
        let stop = CancellationToken::new();
        let _stops = stop.clone().drop_guard();
        let (names, name_server) = Names::start(&stop);
        let (other, foreign) = (TestBroker::new(), TestBroker::new());
        names.know(&[
            ("DefaultCluster", "broker-a", NOBODY),
            ("DefaultCluster", "broker-b", &other.address),
            ("Another", "broker-c", &foreign.address),
        ]);
        let first = TestBroker::master(vec![NOBODY.to_owned(), name_server]);
        first.start();
        for name in ["%RETRY%G", "%DLQ%G", "T"] {
            first.send(name, "", "x").await;
            assert!(topic(&first, name).is_some());
        }
        has(&other, "T").await;
        assert_eq!(topic(&other, "T"), topic(&first, "T"));
        assert_eq!([topic(&other, "%RETRY%G"), topic(&other, "%DLQ%G")], [None, None]);
        assert_eq!(topic(&foreign, "T"), None);
    }

    #[tokio::test]
    async fn what_is_there_stays_as_it_is_and_what_is_told_by_17_is_not_passed_on() {
        let stop = CancellationToken::new();
        let _stops = stop.clone().drop_guard();
        let (names, name_server) = Names::start(&stop);
        let first = TestBroker::master(vec![name_server.clone()]);
        let other = TestBroker::named("broker-b", vec![name_server]);
        names.know(&[
            ("DefaultCluster", "broker-a", &first.address),
            ("DefaultCluster", "broker-b", &other.address),
        ]);
        first.start();
        other.start();
        let wide = TopicConfig::new(TopicName::new("Wide"), 16);
        other.call(create_topic(&wide, system::AUTO_CREATE_TOPIC)).await;
        other.send("Other", "", "x").await;
        // They are told in the order in which they were made.
        has(&first, "Other").await;
        assert_eq!(topic(&first, "Wide"), None);
        first.send("Wide", "", "x").await;
        first.send("First", "", "x").await;
        has(&other, "First").await;
        assert_eq!(topic(&first, "Wide").unwrap().write_queues, 4);
        assert_eq!(topic(&other, "Wide"), Some(wide));
    }

    #[tokio::test]
    async fn a_master_that_is_away_for_a_moment_is_told_when_it_is_back() {
        let stop = CancellationToken::new();
        let _stops = stop.clone().drop_guard();
        let (names, name_server) = Names::start(&stop);
        names.know(&[("DefaultCluster", "broker-b", NOBODY)]);
        let (first, other) = (TestBroker::master(vec![name_server]), TestBroker::new());
        first.start();
        first.send("T", "", "x").await;
        eventually("an attempt", || *names.asked.lock().unwrap() > 0).await;
        names.know(&[("DefaultCluster", "broker-b", &other.address)]);
        has(&other, "T").await;
    }

    #[tokio::test]
    async fn more_topics_than_can_wait_are_dropped_and_never_block_a_send() {
        let broker = TestBroker::master(vec![NOBODY.to_owned()]);
        for number in 0..=WAITING_MAX {
            let config = TopicConfig::new(TopicName::new(&format!("t{number}")), 1);
            created(&broker.broker, &Arc::new(config));
        }
        assert_eq!(broker.broker.topic_spread.waiting.capacity(), 0);
    }
}
