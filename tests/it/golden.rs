//! The frames captured from 4.9.4 (`tests/golden/captured.txt`) against our codec: each is read, and written again byte for byte.
//! The requests to the name server are made to ours, whose answers must be the captured ones; what a broker
//! answers is the interop suite's part.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use rmq_node::clock::Clock;
use rmq_node::config::properties;
use rmq_node::nameserver::{NameServer, NameServerOptions, NameServerService};
use rmq_node::remoting::bodies::route::ClusterInfo;
use rmq_node::remoting::bodies::topics::parse_topic_list;
use rmq_node::remoting::headers::RegisterBroker;
use rmq_node::remoting::{SerializeType, decode, encode, frame_length, request};
use rmq_node::transport::{Limits, Server};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

const CAPTURED: &str = include_str!("../golden/captured.txt");
const DIFFERENCES: &str = include_str!("../golden/differences.txt");

/// One line of the file.
pub struct Captured {
    pub name: &'static str,
    pub kind: &'static str,
    pub frame: Bytes,
}

/// What we answer otherwise on purpose: an exchange's name and the reason.
pub fn differences() -> BTreeMap<&'static str, &'static str> {
    let lines = DIFFERENCES.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| line.split_once(": ").expect("a name and a reason")).collect()
}

/// All lines, in the order in which they were captured.
pub fn captured() -> Vec<Captured> {
    let lines = CAPTURED.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let mut words = line.split(' ');
            let mut word = || words.next().expect("name, kind, frame");
            let (name, kind, digits) = (word(), word(), word());
            Captured { name, kind, frame: bytes_of(digits) }
        })
        .collect()
}

fn bytes_of(digits: &str) -> Bytes {
    let byte = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).expect("hexadecimal digits");
    (0..digits.len()).step_by(2).map(byte).collect()
}

#[test]
fn every_frame_4_9_4_sent_is_written_again_byte_for_byte() {
    let mut compared = 0;
    for line in captured().iter().filter(|line| line.kind != "request") {
        let command =
            decode(line.frame.clone()).unwrap_or_else(|error| panic!("{}: {error}", line.name));
        let mut again = BytesMut::new();
        encode(&command, &mut again);
        assert_eq!(
            String::from_utf8_lossy(&again),
            String::from_utf8_lossy(&line.frame),
            "{} {}",
            line.name,
            line.kind
        );
        assert_eq!(again, line.frame, "{} {}", line.name, line.kind);
        compared += 1;
    }
    assert!(compared >= 60, "only {compared} captured answers were found");
}

#[test]
fn answers_keep_the_opaque_and_encoding_of_their_request() {
    let lines = captured();
    // S-04: these two have JSON headers always.
    let json = ["view-binary", "key-binary"];
    for request in lines.iter().filter(|line| line.kind == "request") {
        let asked = decode(request.frame.clone()).expect(request.name);
        let answer = lines.iter().find(|line| line.name == request.name && line.kind == "answer");
        let answered = decode(answer.expect(request.name).frame.clone()).expect(request.name);
        assert!(answered.is_response() && !asked.is_response(), "{}", request.name);
        assert_eq!(answered.opaque, asked.opaque, "{}", request.name);
        assert_eq!(answered.version, 401, "{}", request.name);
        if request.name.ends_with("-binary") && !json.contains(&request.name) {
            assert_eq!(answered.serialize_type, SerializeType::RocketMq, "{}", request.name);
        }
    }
}

/// The first captured exchange with a name server that has a broker, and the first with the broker.
const FIRST_OF_NAMES: &str = "register-master";
pub const FIRST_OF_BROKER: &str = "create-topic";
/// What depends on the topics of the real broker; `compare` holds these against a node with one.
const OF_REAL_BROKER: [&str; 4] =
    ["names-topics", "names-topics-of-cluster", "names-bare-206", "names-odd-json-only"];

/// Whether an answer has the text of a Java exception; ours say what is wrong (S-09).
fn is_exception(answer: &Bytes) -> bool {
    let remark = decode(answer.clone()).unwrap().remark;
    let packages = ["java.", "com.", "org."];
    remark.is_some_and(|remark| packages.iter().any(|package| remark.starts_with(package)))
}

/// Sends a frame and reads one.
async fn exchange(stream: &mut TcpStream, request: &[u8]) -> Bytes {
    stream.write_all(request).await.unwrap();
    let mut frame = vec![0; 4];
    stream.read_exact(&mut frame).await.unwrap();
    let length = frame_length(&frame, 1 << 20).unwrap().unwrap();
    frame.resize(length, 0);
    stream.read_exact(&mut frame[4..]).await.unwrap();
    frame.into()
}

/// The broker that was registered while the frames were captured.
fn captured_broker() -> BytesMut {
    let header = RegisterBroker {
        broker_name: "broker-a".into(),
        broker_addr: "127.0.0.1:10911".into(),
        cluster_name: "DefaultCluster".into(),
        ..RegisterBroker::default()
    };
    let mut frame = BytesMut::new();
    encode(&header.to_request(), &mut frame);
    frame
}

/// Compares two answers; the order of a map may differ, which the cluster info and lists of topics show here.
fn assert_same(name: &str, code: i32, ours: &Bytes, theirs: &Bytes) {
    let apart = |frame: &Bytes| {
        let mut answer = decode(frame.clone()).unwrap();
        let body = answer.take_body();
        (answer, body)
    };
    let ((ours, our_body), (theirs, their_body)) = (apart(ours), apart(theirs));
    assert_eq!(ours, theirs, "{name}");
    let info = |body: &Bytes| ClusterInfo::parse(body).unwrap();
    let topics =
        |body: &Bytes| parse_topic_list(body).unwrap().into_iter().collect::<BTreeSet<_>>();
    let keys = |body: &Bytes| {
        let text = std::str::from_utf8(body).unwrap();
        properties::parse(text).into_keys().collect::<Vec<_>>()
    };
    match code {
        request::GET_BROKER_CLUSTER_INFO => assert_eq!(info(&our_body), info(&their_body)),
        304 | 311..=313 => assert_eq!(topics(&our_body), topics(&their_body), "{name}"),
        // The values are paths and ports.
        request::GET_NAMESRV_CONFIG => assert_eq!(keys(&our_body), keys(&their_body), "{name}"),
        _ => assert_eq!(our_body, their_body, "{name}"),
    }
}

/// Asks a name server of ours what a part of the file asks; returns how many answers were as captured.
async fn replay(lines: &[Captured], broker: Option<BytesMut>) -> usize {
    let folder = tempfile::tempdir().unwrap();
    let kv_config_file = folder.path().join("kvConfig.json");
    let options =
        NameServerOptions { kv_config_file, port: 9876, acl: None, limits: Arc::default() };
    let server = NameServer::open(options, &Clock::system()).unwrap();
    let port = Server::bind("127.0.0.1:0".parse().unwrap(), Arc::new(Limits::default())).unwrap();
    let mut stream = TcpStream::connect(port.local_addr()).await.unwrap();
    let stop = CancellationToken::new();
    let serving = port.serve(Arc::new(NameServerService(server)), stop.clone());
    let differences = differences();
    let compare = async {
        if let Some(broker) = broker {
            exchange(&mut stream, &broker).await;
        }
        let answered: Vec<_> = lines.iter().filter(|line| line.kind != "unanswered").collect();
        let mut same = 0;
        for pair in answered.chunks(2) {
            let [request, expected] = pair else { panic!("a request without an answer") };
            assert_eq!((request.kind, expected.kind), ("request", "answer"), "{}", request.name);
            let answer = exchange(&mut stream, &request.frame).await;
            let code = |frame: &Bytes| decode(frame.clone()).unwrap().code;
            if differences.contains_key(request.name) || OF_REAL_BROKER.contains(&request.name) {
                continue;
            }
            if is_exception(&expected.frame) {
                assert_eq!(code(&answer), code(&expected.frame), "{}", request.name);
            } else {
                assert_same(request.name, code(&request.frame), &answer, &expected.frame);
            }
            same += 1;
        }
        stop.cancel();
        same
    };
    tokio::join!(serving, compare).1
}

#[tokio::test]
async fn our_name_server_answers_the_captured_requests_as_4_9_4_did() {
    let lines = captured();
    let at = |name| lines.iter().position(|line| line.name == name).unwrap();
    let (names, broker) = (at(FIRST_OF_NAMES), at(FIRST_OF_BROKER));
    assert_eq!(replay(&lines[..names], None).await, 13);
    assert_eq!(replay(&lines[names..broker], Some(captured_broker())).await, 120);
}
