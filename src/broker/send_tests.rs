//! Sends over a connection, and what is stored for them.

use std::collections::BTreeSet;

use bytes::{BufMut, Bytes, BytesMut};

use super::super::tests_support::{TestBroker, header, properties, readable};
use super::*;
use crate::message::Record;
use crate::model::GroupName;
use crate::remoting::{decode, request};

fn fields(answer: &Command) -> Vec<(String, String)> {
    let fields = answer.fields.iter().flat_map(crate::remoting::ExtFields::iter);
    fields.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

fn bytes_of(hex: &str) -> Bytes {
    let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    (0..hex.len()).step_by(2).map(byte).collect()
}

/// What 4.9.4 was asked and answered, in its order.
const CAPTURED: &str = include_str!("../../tests/golden/captured.txt");
/// The exchanges of it that need nothing but each other; `tests/golden/compare` makes all.
const SENDS: [&str; 13] = [
    "create-topic",
    "create-topic-reserved",
    "send-v2",
    "send-v2-binary",
    "send-v1",
    "send-batch",
    "send-illegal-queue",
    "send-illegal-topic",
    "send-system-topic",
    "send-retry-without-group",
    "send-back",
    "send-back-without-group",
    "delete-topic",
];

#[tokio::test]
async fn captured_exchanges_end_as_with_494() {
    let broker = TestBroker::new();
    let mut asked = None;
    let mut compared = 0;
    for line in CAPTURED.lines().filter(|line| !line.starts_with('#')) {
        let [name, kind, frame] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
        if !SENDS.contains(&name) {
            continue;
        }
        let command = decode(bytes_of(frame)).unwrap();
        if kind == "request" {
            asked = Some(command);
            continue;
        }
        // The connection's port differs.
        let remark = |answer: &Command| {
            let remark = answer.remark.clone().unwrap_or_default();
            remark.split(" Producer: ").next().unwrap_or_default().to_owned()
        };
        let answer = broker.call(asked.take().unwrap()).await;
        assert_eq!((answer.code, remark(&answer)), (command.code, remark(&command)), "{name}");
        assert_eq!(answer.fields, command.fields, "{name}");
        assert_eq!((answer.body, answer.serialize_type), (command.body, command.serialize_type));
        compared += 1;
    }
    assert_eq!(compared, SENDS.len());
}

fn send(header: &SendHeader<'_>) -> Command {
    header.to_request(request::SEND_MESSAGE).with_body("hello")
}

#[tokio::test]
async fn the_captured_send_is_stored_and_answered_as_494_did_v07_to_v10() {
    let broker = TestBroker::new();
    let frame = bytes_of(concat!(
        "000000c7010000be01360001910000000b0000000000000000000000a900016100000002504700016200000006476f6c64656e00",
        "0163000000065442573130320001640000000134000165000000013000016600000001300001670000000d313635303030303030",
        "303030300001680000000133000169",
        "0000002b544147530161024b455953016b31206b3202554e49515f4b4559015531025741495401747275650278017900016a0000",
        "00013000016b0000000566616c736500016d0000000566616c736568656c6c6f",
    ));
    let answer = broker.call(decode(frame).unwrap()).await;
    assert_eq!((answer.code, answer.remark.as_deref()), (0, None));
    let id = "7F00000100002A9F0000000000000000";
    let expected = [
        ("msgId", id),
        ("queueId", "0"),
        ("queueOffset", "0"),
        ("TRACE_ON", "true"),
        ("MSG_REGION", "DefaultRegion"),
    ];
    assert_eq!(fields(&answer), expected.map(|(k, v)| (k.to_owned(), v.to_owned())));
    let records = broker.records("Golden", 0);
    let record = Record::parse(&records[0]).unwrap();
    assert_eq!(records[0].len(), 158);
    assert_eq!((record.body(), record.flag(), record.sys_flag()), (&b"hello"[..], 3, 0));
    assert_eq!(record.stored_crc(), 0x3610_A686);
    assert_eq!((record.born_timestamp(), record.reconsume_times()), (1_650_000_000_000, 0));
    assert_eq!(record.store_host().to_string(), "127.0.0.1:10911");
    assert_eq!(
        readable(record.properties()),
        "KEYS=k1 k2 x=y UNIQ_KEY=U1 CLUSTER=DefaultCluster TAGS=a",
        "B-111"
    );
    let size = u64::try_from(records[0].len()).unwrap();
    assert_eq!(broker.broker.statistics.totals().stored.bytes, size);
    assert_eq!(broker.broker.metrics.messages_in.get(), 1);
}

#[tokio::test]
async fn checks_come_in_494s_order_b102_to_b105() {
    let broker = TestBroker::new();
    let refused = |header: SendHeader<'static>| broker.refused(send(&header));
    let usual = header();
    let bad = SendHeader { topic: "a b", ..usual };
    let remark =
        "The specified topic contains illegal characters, allowing only ^[%|a-zA-Z0-9_-]+$";
    assert_eq!(refused(bad).await, (1, remark.into()));
    let forbidden = SendHeader { topic: "SCHEDULE_TOPIC_XXXX", queue_id: 99, ..usual };
    let remark = "Sending message to topic[SCHEDULE_TOPIC_XXXX] is forbidden.";
    assert_eq!(refused(forbidden).await, (16, remark.into()));
    let unknown = SendHeader { default_topic: "none", ..usual };
    let remark = "topic[T] not exist, apply first please!\nSee http://rocketmq.apache.org/docs/faq/ for further details.";
    assert_eq!(refused(unknown).await, (17, remark.into()));
    let beyond = SendHeader { queue_id: 4, ..usual };
    let (code, remark) = refused(beyond).await;
    let start = "request queueId[4] is illegal, TopicConfig [topicName=T, readQueueNums=4, writeQueueNums=4, perm=RW-, topicFilterType=SINGLE_TAG, topicSysFlag=0, order=false] Producer: 127.0.0.1:";
    assert_eq!((code, remark.starts_with(start)), (1, true), "{remark}");
    let answer = broker.call(send(&beyond)).await;
    assert_eq!(answer.field("MSG_REGION"), Some("DefaultRegion"), "errors carry it too");
    let none = SendHeader { topic: "U", default_topic_queue_nums: -3, queue_id: -1, ..usual };
    assert_eq!(refused(none).await, (1, "topic[U] has no queue to write to".into()), "B-105");
    let answer = broker.call(Command::request(310)).await;
    assert_eq!((answer.code, answer.field("TRACE_ON")), (1, Some("true")), "S-09");
    assert!(broker.records("T", 0).is_empty());
}

#[tokio::test]
async fn topics_are_created_as_their_template_says_b055_b057() {
    let broker = TestBroker::new();
    let topics = || &broker.broker.store.tables().topics;
    let usual = header();
    let created = async |header: SendHeader<'static>| {
        assert_eq!(broker.call(send(&header)).await.code, 0);
        topics().get(header.topic).unwrap()
    };
    let topic =
        created(SendHeader { default_topic_queue_nums: 99, unit_mode: true, ..usual }).await;
    assert_eq!((topic.write_queues, topic.read_queues, topic.sys_flag), (8, 8, 1));
    assert_eq!((topic.permission, topic.order), (Permission::READ_WRITE, false));
    let topic = created(SendHeader { topic: "U", queue_id: -100, ..usual }).await;
    assert_eq!(topic.write_queues, 4, "B-056");
    let by_cluster = SendHeader { topic: "V", default_topic: "DefaultCluster", ..usual };
    assert_eq!(
        created(SendHeader { default_topic_queue_nums: 99, ..by_cluster }).await.write_queues,
        16
    );
    let retry = SendHeader { topic: "%RETRY%G", default_topic: "T", unit_mode: true, ..usual };
    let topic = created(retry).await;
    assert_eq!((topic.write_queues, topic.sys_flag), (1, 2));
}

#[tokio::test]
async fn any_queue_takes_turns_and_is_named_in_the_answer_b105() {
    let broker = TestBroker::new();
    let mut queues = Vec::new();
    for _ in 0..4 {
        let answer = broker.call(send(&SendHeader { queue_id: -1, ..header() })).await;
        queues.push(answer.required_i32("queueId").unwrap());
    }
    queues.iter().for_each(|queue| {
        assert!(!broker.records("T", u32::try_from(*queue).unwrap()).is_empty(), "{queues:?}");
    });
}

#[test]
fn topics_that_are_sent_to_in_turn_use_all_queues_each_b105() {
    for (topics, queues) in [(1, 4), (2, 4), (2, 16), (3, 9), (4, 1024)] {
        for topic in 0..topics {
            let turns = (0..queues * 4).map(|round| round * topics + topic);
            let used: BTreeSet<_> = turns.map(|turn| queue_of_turn(turn, queues)).collect();
            assert_eq!(used.len(), usize::try_from(queues).unwrap(), "{topic} of {topics}");
        }
    }
    assert_eq!(queue_of_turn(7, 0), None);
}

#[tokio::test]
async fn delayed_messages_wait_in_their_levels_queue_b270_b271_s15() {
    let broker = TestBroker::new();
    let text = properties("WAIT=true DELAY=3 TAGS=a");
    let answer = broker.send("T", &text, "later").await;
    assert_eq!((answer.code, answer.field("queueId")), (0, Some("0")));
    assert_eq!(
        broker.only_properties("SCHEDULE_TOPIC_XXXX", 2),
        "REAL_TOPIC=T CLUSTER=DefaultCluster DELAY=3 WAIT=true TAGS=a REAL_QID=0"
    );
    broker.send("T", &properties("DELAY=99"), "much later").await;
    let stored = broker.only_properties("SCHEDULE_TOPIC_XXXX", 17);
    assert!(stored.contains("DELAY=18"), "{stored}");
    for text in ["DELAY=0", "DELAY=-1"] {
        broker.send("T", &properties(text), "now").await;
    }
    assert_eq!(broker.records("T", 0).len(), 2);
    let (code, remark) =
        broker.refused(send(&SendHeader { properties: "DELAY\u{1}soon", ..header() })).await;
    assert_eq!((code, remark.as_str()), (1, "the property DELAY is not a number: `soon`"));
}

#[tokio::test]
async fn a_message_retried_often_enough_goes_to_the_dead_letters_b106() {
    let broker = TestBroker::new();
    let mut group = SubscriptionGroupConfig::new(GroupName::new("G"));
    group.retry_max_times = 3;
    broker.broker.store.tables().groups.put(group);
    let retry = SendHeader { topic: "%RETRY%G", properties: "DELAY\u{1}3", ..header() };
    let send_after = |times, own, version| {
        let header = SendHeader { reconsume_times: times, max_reconsume_times: own, ..retry };
        Command { version, ..send(&header) }
    };
    assert_eq!(
        broker.call(send_after(2, Some(1), 120)).await.code,
        0,
        "own limit of an old client"
    );
    assert_eq!(broker.records("SCHEDULE_TOPIC_XXXX", 2).len(), 1);
    assert_eq!(broker.call(send_after(3, Some(4), 121)).await.code, 0);
    assert_eq!(broker.records("SCHEDULE_TOPIC_XXXX", 2).len(), 2);
    assert_eq!(broker.call(send_after(3, None, 401)).await.code, 0);
    let waiting = broker.records("SCHEDULE_TOPIC_XXXX", 2);
    let dead = Record::parse(&waiting[2]).unwrap();
    let real = "REAL_TOPIC=%DLQ%G CLUSTER=DefaultCluster DELAY=3 REAL_QID=0";
    assert_eq!(readable(dead.properties()), real, "4.9.4 keeps the delay");
    let at_once = SendHeader { reconsume_times: 3, properties: "", ..retry };
    assert_eq!(broker.call(send(&at_once)).await.code, 0);
    assert_eq!(broker.only_properties("%DLQ%G", 0), "CLUSTER=DefaultCluster");
    let topic = broker.broker.store.tables().topics.get("%DLQ%G").unwrap();
    assert_eq!((topic.write_queues, topic.permission), (1, Permission::READ_WRITE));
}

fn batch(items: &[(&str, &str)]) -> Bytes {
    let mut out = BytesMut::new();
    for (body, properties) in items {
        out.put_i32(i32::try_from(22 + body.len() + properties.len()).unwrap());
        out.put_slice(&[0; 8]);
        out.put_i32(7);
        out.put_i32(i32::try_from(body.len()).unwrap());
        out.put_slice(body.as_bytes());
        out.put_i16(i16::try_from(properties.len()).unwrap());
        out.put_slice(properties.as_bytes());
    }
    out.freeze()
}

#[tokio::test]
async fn a_batch_becomes_neighbours_in_one_queue_b120_to_b124() {
    let broker = TestBroker::new();
    let of_all = SendHeader { batch: true, queue_id: 1, properties: "WAIT\u{1}true", ..header() };
    let items = [("one", "KEYS\u{1}k"), ("two", ""), ("three", "A\u{1}b\u{2}")];
    let request = of_all.to_request(request::SEND_BATCH_MESSAGE).with_body(batch(&items));
    let answer = broker.call(request).await;
    assert_eq!((answer.code, answer.field("queueOffset")), (0, Some("0")));
    let records = broker.records("T", 1);
    let parsed: Vec<_> = records.iter().map(|bytes| Record::parse(bytes).unwrap()).collect();
    let texts: Vec<_> = parsed.iter().map(|record| readable(record.properties())).collect();
    let added = "CLUSTER=DefaultCluster WAIT=true";
    assert_eq!(texts, [format!("KEYS=k {added}"), added.into(), format!("A=b {added}")]);
    assert_eq!((parsed[2].flag(), parsed[2].body()), (7, &b"three"[..]));
    let store_host = "127.0.0.1:10911".parse().unwrap();
    let id = |record: &Record<'_>| {
        MessageId { store_host, offset: record.physical_offset() }.to_string()
    };
    let ids: Vec<_> = parsed.iter().map(id).collect();
    assert_eq!(answer.field("msgId"), Some(ids.join(",").as_str()), "B-123");
    let stored = broker.broker.statistics.totals().stored;
    assert_eq!((stored.times, stored.messages), (1, 3));
}

#[tokio::test]
async fn batches_that_cannot_be_stored_are_refused_with_13_b125() {
    let broker = TestBroker::new();
    let usual = SendHeader { batch: true, ..header() };
    let of_each = format!("K\u{1}{}", "v".repeat(32_000));
    let cases = [
        // It would be stored as 32 MB.
        (SendHeader { properties: &of_each, ..usual }, batch(&[("", ""); 1000])),
        (SendHeader { properties: "DELAY\u{1}1", ..usual }, batch(&[("a", "")])),
        (SendHeader { sys_flag: sys_flag::TRANSACTION_PREPARED, ..usual }, batch(&[("a", "")])),
        (usual, Bytes::new()),
        (usual, batch(&[("a", "")]).slice(..10)),
        (usual, Bytes::from(vec![0; (4 << 20) + 1])),
    ];
    for (number, (header, body)) in cases.into_iter().enumerate() {
        let answer = broker.call(header.to_request(request::SEND_MESSAGE).with_body(body)).await;
        assert_eq!((answer.code, answer.field("TRACE_ON")), (13, Some("true")), "case {number}");
    }
    assert!(broker.records("T", 0).is_empty());
}

#[tokio::test]
async fn what_is_too_long_is_illegal_b117() {
    let broker = TestBroker::new();
    let remark = "the message is illegal, maybe msg body or properties length not matched. msg body length limit 4194304B, msg properties length limit 32KB.";
    let long = format!("K\u{1}{}", "v".repeat(32_767 - 2 - 23));
    for (text, code) in
        [(format!("{long}v"), 13), (long, 0), (format!("K\u{1}{}", "v".repeat(40_000)), 13)]
    {
        let answer = broker.send("T", &text, "x").await;
        assert_eq!(answer.code, code, "{}", text.len());
        assert_eq!(answer.remark.as_deref(), (code != 0).then_some(remark));
    }
    let body = Bytes::from(vec![0; (4 << 20) + 1]);
    assert_eq!(broker.refused(send(&header()).with_body(body)).await, (13, remark.into()));
}

#[tokio::test]
async fn the_limit_is_the_bodys_alone_s60() {
    let broker = TestBroker::with(|options| options.segment_bytes = 16 << 20);
    let body = Bytes::from(vec![7; 4 << 20]);
    for properties in ["", "DELAY\u{1}1"] {
        let header = SendHeader { properties, ..header() };
        assert_eq!(broker.call(send(&header).with_body(body.clone())).await.code, 0);
    }
    assert_eq!(broker.records("T", 0).len(), 1);
}

#[tokio::test]
async fn multi_tag_topics_set_their_bit_b107() {
    let broker = TestBroker::new();
    let topic = TopicConfig {
        filter_type: TopicFilterType::MultiTag,
        ..TopicConfig::new(TopicName::new("T"), 1)
    };
    broker.broker.store.tables().topics.put(topic);
    broker.send("T", "", "x").await;
    let records = broker.records("T", 0);
    assert_eq!(Record::parse(&records[0]).unwrap().sys_flag(), sys_flag::MULTI_TAGS);
}

#[tokio::test]
async fn a_stopping_store_answers_14_b115() {
    let broker = TestBroker::new();
    assert_eq!(broker.send("T", "", "x").await.code, 0);
    broker.broker.store.stop();
    let answer = broker.send("T", "", "x").await;
    assert_eq!((answer.code, answer.field("TRACE_ON")), (14, Some("true")));
    let remark = answer.remark.unwrap();
    assert!(
        remark.contains("the broker's disk is full [CL:  0.")
            && remark.ends_with(" shut down, etc."),
        "{remark}"
    );
    assert_eq!(broker.broker.statistics.totals().failed, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_senders_get_each_offset_once_and_keep_their_order() {
    const SENDERS: usize = 8;
    const EACH: usize = 200;
    let broker = TestBroker::new();
    broker.send("T", "", "0 0").await;
    let mut sending = tokio::task::JoinSet::new();
    for sender in 1..=SENDERS {
        let address = broker.address.clone();
        sending.spawn(async move {
            let client = crate::transport::Client::new(None);
            let connection = client.connection(&address).await.unwrap();
            let patience = std::time::Duration::from_secs(30);
            let calls = (0..EACH).map(|number| {
                let request = send(&header()).with_body(format!("{sender} {number}"));
                connection.call(request, patience)
            });
            // All at once: polled in order, they are written in order.
            let mut calls: Vec<_> = calls.map(Box::pin).collect();
            let mut answers = vec![None; EACH];
            std::future::poll_fn(|context| {
                for (call, answer) in
                    calls.iter_mut().zip(&mut answers).filter(|(_, a)| a.is_none())
                {
                    if let std::task::Poll::Ready(done) = call.as_mut().poll(context) {
                        *answer = Some(done.unwrap());
                    }
                }
                let all = answers.iter().all(Option::is_some);
                if all { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
            })
            .await;
            let offset =
                |answer: Option<Command>| answer.unwrap().required_i64("queueOffset").unwrap();
            answers.into_iter().map(offset).collect::<Vec<_>>()
        });
    }
    let mut all = vec![0];
    for offsets in sending.join_all().await {
        assert!(offsets.is_sorted(), "the order of one connection: {offsets:?}");
        all.extend(offsets);
    }
    all.sort_unstable();
    let expected: Vec<_> = (0..).take(SENDERS * EACH + 1).collect();
    assert_eq!(all, expected);
    assert_eq!(broker.records("T", 0).len(), expected.len());
}
