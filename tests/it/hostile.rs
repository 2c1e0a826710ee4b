//! Peers that mean harm, against the built binary: whatever they send, the node lives, others are served, and the log
//! stays short.
//!
//! Not load and not time: limits have their tests where they are kept. Invariant: after each attack an honest client is
//! answered.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpStream};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use nix::sys::signal::Signal;
use rmq_node::remoting::{Command, decode, encode, frame_length, request, response};

use crate::support::{Node, free_address};

const NAME_SERVER: u16 = 9876;
const BROKER: u16 = 10911;

/// Every code that a port answers, with the fields that it reads, each with a value that it takes.
const OF_BROKERS: &[(i32, &str)] = &[
    (request::SEND_MESSAGE, SEND),
    (request::SEND_MESSAGE_V2, SEND_V2),
    (request::SEND_BATCH_MESSAGE, SEND_V2),
    (
        request::PULL_MESSAGE,
        "consumerGroup=G topic=T queueId=0 queueOffset=0 maxMsgNums=32 sysFlag=7 commitOffset=0 \
         suspendTimeoutMillis=1 subscription=* subVersion=0 expressionType=TAG",
    ),
    (
        request::QUERY_MESSAGE,
        "topic=T key=k maxNum=32 beginTimestamp=0 endTimestamp=9999999999999 _UNIQUE_KEY_QUERY=true",
    ),
    (request::QUERY_CONSUMER_OFFSET, "consumerGroup=G topic=T queueId=0"),
    (request::UPDATE_CONSUMER_OFFSET, "consumerGroup=G topic=T queueId=0 commitOffset=1"),
    (
        request::UPDATE_AND_CREATE_TOPIC,
        "topic=U defaultTopic=TBW102 readQueueNums=4 writeQueueNums=4 perm=6 topicFilterType=SINGLE_TAG \
         topicSysFlag=0 order=false",
    ),
    (request::GET_ALL_TOPIC_CONFIG, ""),
    (request::GET_BROKER_RUNTIME_INFO, ""),
    (request::SEARCH_OFFSET_BY_TIMESTAMP, "topic=T queueId=0 timestamp=0"),
    (request::GET_MAX_OFFSET, "topic=T queueId=0"),
    (request::GET_MIN_OFFSET, "topic=T queueId=0"),
    (request::GET_EARLIEST_MSG_STORETIME, "topic=T queueId=0"),
    (request::VIEW_MESSAGE_BY_ID, "offset=0"),
    (request::HEART_BEAT, ""),
    (request::UNREGISTER_CLIENT, "clientID=c producerGroup=P consumerGroup=G"),
    (
        request::CONSUMER_SEND_MSG_BACK,
        "offset=0 group=G delayLevel=0 originMsgId=x originTopic=T unitMode=false maxReconsumeTimes=3",
    ),
    (request::GET_CONSUMER_LIST_BY_GROUP, "consumerGroup=G"),
    (request::LOCK_BATCH_MQ, ""),
    (request::UNLOCK_BATCH_MQ, ""),
    (request::UPDATE_AND_CREATE_SUBSCRIPTIONGROUP, ""),
    (request::GET_ALL_SUBSCRIPTIONGROUP_CONFIG, ""),
    (request::GET_TOPIC_STATS_INFO, "topic=T"),
    (request::GET_CONSUMER_CONNECTION_LIST, "consumerGroup=G"),
    (request::GET_PRODUCER_CONNECTION_LIST, "producerGroup=P"),
    (request::DELETE_SUBSCRIPTIONGROUP, "groupName=H removeOffset=true"),
    (request::DELETE_TOPIC_IN_BROKER, "topic=V"),
    (request::VIEW_BROKER_STATS_DATA, "statsName=TOPIC_PUT_NUMS statsKey=T"),
    (request::EXTENSION_DIAL_BACK, ""),
];
const SEND: &str = "producerGroup=P topic=T defaultTopic=TBW102 defaultTopicQueueNums=4 queueId=0 sysFlag=0 \
                    bornTimestamp=1 flag=0 properties=a reconsumeTimes=0 unitMode=false maxReconsumeTimes=3 batch=false";
const SEND_V2: &str = "a=P b=T c=TBW102 d=4 e=0 f=0 g=1 h=0 i=a j=0 k=false l=3 m=false";
const OF_NAME_SERVERS: &[(i32, &str)] = &[
    (request::PUT_KV_CONFIG, "namespace=n key=k value=v"),
    (request::GET_KV_CONFIG, "namespace=n key=k"),
    (request::DELETE_KV_CONFIG, "namespace=n key=k"),
    (
        request::REGISTER_BROKER,
        "brokerName=b brokerAddr=192.0.2.1:1 clusterName=C haServerAddr=192.0.2.1:2 brokerId=0 compressed=true \
         bodyCrc32=0",
    ),
    (request::UNREGISTER_BROKER, "brokerName=b brokerAddr=192.0.2.1:1 clusterName=C brokerId=0"),
    (request::GET_ROUTEINFO_BY_TOPIC, "topic=T acceptStandardJsonOnly=true"),
    (request::GET_BROKER_CLUSTER_INFO, ""),
    (request::WIPE_WRITE_PERM_OF_BROKER, "brokerName=b"),
    (request::ADD_WRITE_PERM_OF_BROKER, "brokerName=b"),
    (request::GET_ALL_TOPIC_LIST_FROM_NAMESERVER, ""),
    (request::DELETE_TOPIC_IN_NAMESRV, "topic=T clusterName=C"),
    (request::GET_KVLIST_BY_NAMESPACE, "namespace=n"),
    (request::GET_TOPICS_BY_CLUSTER, "cluster=C"),
    (request::GET_SYSTEM_TOPIC_LIST_FROM_NS, ""),
    (request::UPDATE_NAMESRV_CONFIG, ""),
    (request::GET_NAMESRV_CONFIG, ""),
    (request::QUERY_DATA_VERSION, "brokerName=b brokerAddr=192.0.2.1:1 clusterName=C brokerId=0"),
];
/// What is put in the place of each value in turn.
const VALUES: &[&str] = &[
    "",
    "-1",
    "-9223372036854775808",
    "9223372036854775807",
    "2147483647",
    "-2147483648",
    "99999999999999999999",
    "garbage",
    "a\nb\u{1}c\u{2}\u{0}",
];
const BODIES: &[&[u8]] =
    &[b"", b"\0", b"{}", b"[null]", b"{\"a\":[[[[", b"\xff\xff\xff\xff\xff\xff\xff\xff", b"-"];

/// Somebody who speaks bytes.
struct Peer(TcpStream);

impl Peer {
    fn connect(address: Ipv4Addr, port: u16) -> Self {
        let stream = TcpStream::connect((address, port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        Self(stream)
    }

    fn send(&mut self, command: &Command) {
        let mut frame = BytesMut::new();
        encode(command, &mut frame);
        self.0.write_all(&frame).unwrap();
    }

    fn read(&mut self) -> Command {
        let mut frame = vec![0; 4];
        self.0.read_exact(&mut frame).unwrap();
        frame.resize(frame_length(&frame, 64 << 20).unwrap().unwrap(), 0);
        self.0.read_exact(&mut frame[4..]).unwrap();
        decode(Bytes::from(frame)).unwrap()
    }

    fn call(&mut self, command: &Command) -> Command {
        self.send(command);
        let silent = self.0.peek(&mut [0]).is_err();
        assert!(!silent, "no answer to {:.1000}", format!("{command:?}"));
        self.read()
    }
}

/// A request with fields as the tables have them, but for one.
fn asked(code: i32, fields: &str, but: Option<(&str, Option<&str>)>) -> Command {
    fields.split_ascii_whitespace().fold(Command::request(code), |command, field| {
        let (key, value) = field.split_once('=').unwrap();
        match but {
            Some((name, None)) if name == key => command,
            Some((name, Some(value))) if name == key => command.with_field(key, value),
            _ => command.with_field(key, value),
        }
    })
}

/// All requests of a table, each with one thing wrong.
fn wrong(table: &[(i32, &'static str)]) -> Vec<Command> {
    let long = "A".repeat(1 << 17);
    let mut all = Vec::new();
    for (code, fields) in table {
        all.push(Command::request(*code));
        all.extend(BODIES.iter().map(|body| asked(*code, fields, None).with_body(*body)));
        for field in fields.split_ascii_whitespace() {
            let key = field.split_once('=').unwrap().0;
            all.push(asked(*code, fields, Some((key, None))));
            let values = VALUES.iter().copied().chain([long.as_str()]);
            all.extend(values.map(|value| asked(*code, fields, Some((key, Some(value))))));
        }
    }
    all
}

/// An honest client is answered: the route, a send, and a pull of what was sent.
fn assert_serves(address: Ipv4Addr) {
    let mut name_server = Peer::connect(address, NAME_SERVER);
    let route = asked(request::GET_ROUTEINFO_BY_TOPIC, "topic=TBW102", None);
    assert_eq!(name_server.call(&route).code, response::SUCCESS);
    let mut broker = Peer::connect(address, BROKER);
    let sent =
        broker.call(&asked(request::SEND_MESSAGE_V2, &SEND_V2.replace("b=T", "b=Honest"), None));
    assert_eq!(sent.code, response::SUCCESS, "{:?}", sent.remark);
    let offset = sent.field("queueOffset").unwrap();
    let pull = OF_BROKERS.iter().find(|(code, _)| *code == request::PULL_MESSAGE).unwrap().1;
    let pull = asked(request::PULL_MESSAGE, &pull.replace("topic=T", "topic=Honest"), None);
    let pulled = broker.call(&pull.with_field("queueOffset", offset));
    assert_eq!(pulled.code, response::SUCCESS, "{:?}", pulled.remark);
}

/// Stops a node in order and returns its log, in which nothing was a bug.
fn stopped(node: Node) -> String {
    node.signal(Signal::SIGTERM);
    let (status, log) = node.wait();
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(!log.contains("a bug ends the node"), "{log}");
    log
}

#[test]
fn no_value_of_any_field_of_any_request_harms_a_node() {
    let (address, dir) = (free_address(), tempfile::tempdir().unwrap());
    let node = Node::start(address, dir.path());
    assert_serves(address);
    for (port, table) in [(BROKER, OF_BROKERS), (NAME_SERVER, OF_NAME_SERVERS)] {
        let requests = wrong(table);
        let mut peer = Peer::connect(address, port);
        for request in &requests {
            let mut request = request.clone();
            if request.code == request::PULL_MESSAGE && request.field("sysFlag") == Some("7") {
                // May not wait: the answer could come in an hour.
                request.set_field("sysFlag", 5);
            }
            assert!(peer.call(&request).is_response(), "{request:?}");
        }
        // All again without anybody to be answered, on the other port too.
        for port in [BROKER, NAME_SERVER] {
            let mut peer = Peer::connect(address, port);
            requests.iter().for_each(|request| peer.send(&request.clone().oneway()));
            peer.0.shutdown(Shutdown::Write).unwrap();
            // Unlike `read`, this goes on after a signal.
            let mut answers = Vec::new();
            peer.0.read_to_end(&mut answers).unwrap();
            assert!(answers.is_empty(), "oneway requests have no answers");
        }
        assert_serves(address);
    }
    let log = stopped(node);
    let refused = log.lines().find(|line| line.contains("request refused")).unwrap();
    assert!(refused.contains("peer=127.") && refused.contains("request_code=10 "), "{refused}");
    let count = log.lines().count();
    assert!(count < 1000, "{count} lines for thousands of requests");
    let is_event = |line: &str| line.starts_with(|first: char| first.is_ascii_digit());
    assert!(log.lines().all(is_event), "a peer's line break begins no line: {log}");
}

#[test]
fn malformed_frames_end_their_own_connection_only() {
    let (address, dir) = (free_address(), tempfile::tempdir().unwrap());
    let node = Node::start(address, dir.path());
    let json = |header: &[u8]| {
        let length = u32::try_from(header.len()).unwrap();
        [&(length + 4).to_be_bytes()[..], &length.to_be_bytes(), header].concat()
    };
    let binary = |header: &[u8]| {
        let mut frame = json(header);
        frame[4] = 1;
        frame
    };
    let binary_head = [0, 10, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0];
    let deep = [&b"{\"a\":"[..], &b"[".repeat(1 << 20)].concat();
    let frames = [
        vec![0; 4],
        vec![0xff; 8],
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        vec![0, 0, 0, 4, 0, 0, 0, 100],
        vec![0, 0, 0, 4, 9, 0, 0, 0],
        json(b""),
        json(b"{"),
        json(b"null"),
        json(b"\xff\xfe"),
        json(b"{\"code\":1e999}"),
        json(&deep),
        binary(&[]),
        binary(&[&binary_head[..], &[0xff; 8]].concat()),
        binary(&[&binary_head[..], &[0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0]].concat()),
        binary(&[&binary_head[..], &[0, 0, 0, 0, 0, 0, 0, 4, 0x7f, 0xff, 0, 0]].concat()),
    ];
    for port in [NAME_SERVER, BROKER, BROKER - 2] {
        for frame in &frames {
            let mut peer = Peer::connect(address, port);
            peer.0.write_all(frame).unwrap();
            // What the node had not read any more makes it a reset.
            assert!(peer.0.read(&mut [0]).map_or(true, |read| read == 0), "{port}");
        }
        // An answer that nobody asked for is no reason to close.
        let mut peer = Peer::connect(address, port);
        peer.send(&Command { flag: 1, opaque: 77, ..Command::response(0) });
        assert!(peer.call(&asked(request::GET_ROUTEINFO_BY_TOPIC, "topic=T", None)).is_response());
    }
    assert_serves(address);
    assert!(stopped(node).lines().count() < 60);
}
