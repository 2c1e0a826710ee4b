//! Both directions against a small cluster in this process.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use tokio_util::sync::CancellationToken;

use super::*;
use crate::clock::Clock;
use crate::message::decode_batch;
use crate::message::properties;
use crate::remoting::headers::{PullHeader, PullResponse, SendHeader, SendResponse};
use crate::remoting::{Command, SerializeType, request, response};
use crate::task;
use crate::transport::{Limits, Responder, Server, Service};

/// Name server and broker on one port; knows `TBW102` only, and keeps what it is sent.
#[derive(Default)]
struct Cluster {
    address: Mutex<String>,
    stored: Mutex<Vec<(String, i32)>>,
    committed: Mutex<Vec<Command>>,
    requests: AtomicU64,
    refuse: bool,
}

impl Cluster {
    fn send(&self, request: &Command) -> Command {
        if self.refuse {
            return Command::response(response::SYSTEM_BUSY).with_remark("busy");
        }
        let header = SendHeader::parse(request).unwrap();
        let mut stored = self.stored.lock().unwrap();
        if header.batch {
            for item in decode_batch(&request.body).unwrap() {
                stored.push((item.properties, header.queue_id));
            }
        } else {
            stored.push((header.properties.to_owned(), header.queue_id));
        }
        let mut answer = Command::response(response::SUCCESS);
        let msg_id = "7F00000100002A9F0000000000001234".into();
        SendResponse { msg_id, queue_id: header.queue_id, queue_offset: 7 }.write(&mut answer);
        answer
    }

    /// Each queue has 70 records of 10 bytes.
    fn pull(request: &Command) -> Command {
        let header = PullHeader::parse(request).unwrap();
        let left = 70 - header.queue_offset;
        let count = left.min(header.max_msg_nums.into());
        let code = if count > 0 { response::SUCCESS } else { response::PULL_NOT_FOUND };
        let record = [0, 0, 0, 10, 1, 2, 3, 4, 5, 6];
        let body = record.repeat(usize::try_from(count).unwrap());
        let mut answer = Command::response(code).with_body(body);
        let next_begin_offset = header.queue_offset + count;
        PullResponse { next_begin_offset, ..PullResponse::default() }
            .write(&mut answer, SerializeType::Json);
        answer
    }
}

impl Service for Cluster {
    fn on_request(&self, request: Command, responder: Responder) {
        self.requests.fetch_add(1, Ordering::SeqCst);
        responder.send(match request.code {
            request::GET_ROUTEINFO_BY_TOPIC
                if request.field("topic").is_some_and(|topic| topic == "new") =>
            {
                Command::response(response::TOPIC_NOT_EXIST)
            }
            request::GET_ROUTEINFO_BY_TOPIC => {
                let address = self.address.lock().unwrap();
                Command::response(0).with_body(format!(
                    r#"{{"brokerDatas":[{{"brokerAddrs":{{0:"{address}"}},"brokerName":"a"}}],"queueDatas":[{{"brokerName":"a","perm":7,"readQueueNums":8,"writeQueueNums":8}}]}}"#
                ))
            }
            request::SEND_MESSAGE_V2 | request::SEND_BATCH_MESSAGE => self.send(&request),
            request::END_TRANSACTION => {
                self.committed.lock().unwrap().push(request);
                Command::response(response::SUCCESS)
            }
            _ => Self::pull(&request),
        });
    }
}

async fn start(refuse: bool) -> (Arc<Cluster>, Load) {
    let server = Server::bind("127.0.0.1:0".parse().unwrap(), Arc::<Limits>::default()).unwrap();
    let address = server.local_addr().to_string();
    let cluster = Arc::new(Cluster { refuse, ..Cluster::default() });
    cluster.address.lock().unwrap().clone_from(&address);
    let service: Arc<dyn Service> = cluster.clone();
    task::spawn(task::Kind::Ignore, "server", server.serve(service, CancellationToken::new()));
    let load = Load {
        signer: Default::default(),
        name_servers: vec![address],
        broker: None,
        topic: "new".into(),
        connections: 2,
        in_flight: 3,
        duration: None,
        messages: Some(100),
        serialize_type: SerializeType::Json,
    };
    (cluster, load)
}

fn produce_options(load: Load) -> ProduceOptions {
    ProduceOptions {
        load,
        body_bytes: 100,
        mode: Mode::Answered,
        batch: 1,
        keys: true,
        tags: Some("tag".into()),
        rate: None,
        delay_levels: 0,
    }
}

async fn produced(options: &ProduceOptions) -> Summary {
    produce(options, &Clock::system(), &CancellationToken::new()).await.unwrap()
}

#[tokio::test]
async fn a_topic_without_route_is_produced_to_as_the_template_says() {
    let (cluster, load) = start(false).await;
    let summary = produced(&produce_options(load)).await;
    assert_eq!((summary.messages, summary.bytes), (100, 10_000));
    assert!(summary.errors.is_empty() && summary.latency_us.max > 0);
    let stored = cluster.stored.lock().unwrap();
    let queues: std::collections::BTreeSet<i32> = stored.iter().map(|(_, queue)| *queue).collect();
    assert_eq!(queues.into_iter().collect::<Vec<_>>(), [0, 1, 2, 3]);
    let keys = [properties::UNIQ_KEY, properties::KEYS];
    for key in keys {
        let values: std::collections::HashSet<&str> =
            stored.iter().map(|(text, _)| properties::find(text, key).unwrap()).collect();
        assert_eq!(values.len(), 100, "{key} is different in each message");
    }
    assert!(stored.iter().all(|(text, _)| properties::find(text, properties::TAGS) == Some("tag")));
}

#[tokio::test]
async fn batches_carry_several_messages_and_the_last_one_the_rest() {
    let (cluster, load) = start(false).await;
    let summary = produced(&ProduceOptions { batch: 16, ..produce_options(load) }).await;
    assert_eq!(summary.messages, 100);
    assert_eq!(cluster.stored.lock().unwrap().len(), 100);
}

#[tokio::test]
async fn refusals_are_counted_by_kind() {
    let (_cluster, load) = start(true).await;
    let summary = produced(&produce_options(load)).await;
    assert_eq!(summary.messages, 0);
    assert_eq!(summary.errors.into_iter().collect::<Vec<_>>(), [("code 2 busy".to_owned(), 100)]);
}

#[tokio::test]
async fn oneway_messages_all_arrive() {
    let (cluster, load) = start(false).await;
    let options = ProduceOptions { mode: Mode::Oneway, ..produce_options(load) };
    // Their connections close with the run, so what arrived is what was written before.
    let summary = produced(&options).await;
    assert_eq!((summary.messages, summary.latency_us.max), (100, 0));
    while cluster.stored.lock().unwrap().len() < 100 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn each_transaction_is_committed() {
    let (cluster, load) = start(false).await;
    let summary =
        produced(&ProduceOptions { mode: Mode::Transactions, ..produce_options(load) }).await;
    assert!(summary.messages == 100 && summary.errors.is_empty(), "{summary}");
    let stored = cluster.stored.lock().unwrap();
    let is_half = |text: &str| {
        properties::find(text, properties::TRANSACTION_PREPARED) == Some("true")
            && properties::find(text, properties::PRODUCER_GROUP).is_some()
    };
    assert!(stored.iter().all(|(text, _)| is_half(text)));
    let committed = cluster.committed.lock().unwrap();
    assert_eq!(committed.len(), 100);
    for (field, value) in
        [("commitLogOffset", "4660"), ("tranStateTableOffset", "7"), ("commitOrRollback", "8")]
    {
        assert!(committed.iter().all(|commit| commit.field(field) == Some(value)), "{field}");
    }
}

#[tokio::test]
async fn delay_levels_take_turns() {
    let (cluster, load) = start(false).await;
    produced(&ProduceOptions { delay_levels: 3, ..produce_options(load) }).await;
    let stored = cluster.stored.lock().unwrap();
    let levels = stored.iter().map(|(text, _)| properties::find(text, properties::DELAY).unwrap());
    let levels: std::collections::BTreeSet<&str> = levels.collect();
    assert_eq!(levels.into_iter().collect::<Vec<_>>(), ["1", "2", "3"]);
}

#[tokio::test]
async fn a_rate_spreads_messages_over_time() {
    let (_cluster, load) = start(false).await;
    let load = Load { messages: Some(21), ..load };
    let summary = produced(&ProduceOptions { rate: Some(100), ..produce_options(load) }).await;
    assert!(summary.seconds >= 0.2, "{summary}");
}

#[tokio::test]
async fn queues_are_consumed_to_their_ends() {
    let (_cluster, load) = start(false).await;
    let load = Load { topic: "known".into(), messages: None, ..load };
    let options = ConsumeOptions { load, batch: 32, sql: None };
    let summary = consume(&options, &Clock::system(), &CancellationToken::new()).await.unwrap();
    assert_eq!((summary.messages, summary.bytes), (8 * 70, 8 * 700));
    assert!(summary.errors.is_empty());
}

#[tokio::test]
async fn a_topic_that_nobody_has_cannot_be_consumed() {
    let (_cluster, load) = start(false).await;
    let options = ConsumeOptions { load, batch: 32, sql: None };
    let error = consume(&options, &Clock::system(), &CancellationToken::new()).await.unwrap_err();
    assert!(matches!(error, BenchError::NoQueues(_)), "{error}");
}
