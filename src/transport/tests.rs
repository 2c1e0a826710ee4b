//! Server and client over real sockets of 127.0.0.1.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::metrics::Limit;
use crate::remoting::{self, SerializeType, response};

/// Long enough that only a failure reaches it.
const LONG: Duration = Duration::from_secs(30);
/// Answered at once with the request's body.
const ECHO: i32 = 1001;
/// Kept: the test gets the responder.
const KEEP: i32 = 1002;
/// Dropped without an answer.
const DROP: i32 = 1003;
/// Occupies the thread for a millisecond, and is dropped.
const SLOW: i32 = 1004;

/// Does what the request code says, and counts.
struct Fake {
    kept: UnboundedSender<Responder>,
    requests: AtomicUsize,
    batches: AtomicUsize,
    closed: Mutex<Vec<u64>>,
}

impl Service for Fake {
    fn on_request(&self, request: Command, responder: Responder) {
        self.requests.fetch_add(1, Ordering::SeqCst);
        match request.code {
            ECHO => responder.send(Command::response(0).with_body(request.body)),
            KEEP => self.kept.send(responder).unwrap(),
            SLOW => std::thread::sleep(Duration::from_millis(1)),
            _ => drop(responder),
        }
    }
    fn on_batch_end(&self) {
        self.batches.fetch_add(1, Ordering::SeqCst);
    }
    fn on_close(&self, connection: &Connection) {
        self.closed.lock().unwrap().push(connection.id());
    }
}

struct Fixture {
    address: SocketAddr,
    fake: Arc<Fake>,
    kept: UnboundedReceiver<Responder>,
    limits: Arc<Limits>,
    stop: CancellationToken,
    serving: JoinHandle<()>,
}

fn start(numbers: LimitNumbers) -> Fixture {
    let (sender, kept) = unbounded_channel();
    let fake = Arc::new(Fake {
        kept: sender,
        requests: AtomicUsize::new(0),
        batches: AtomicUsize::new(0),
        closed: Mutex::default(),
    });
    let limits = Arc::new(Limits::new(numbers, Arc::default()));
    let server = Server::bind("127.0.0.1:0".parse().unwrap(), Arc::clone(&limits)).unwrap();
    let address = server.local_addr();
    let stop = CancellationToken::new();
    let service: Arc<dyn Service> = fake.clone();
    let serving = crate::task::spawn(
        crate::task::Kind::Ignore,
        "server",
        server.serve(service, stop.clone()),
    );
    Fixture { address, fake, kept, limits, stop, serving }
}

fn frame(code: i32, opaque: i32, body: &[u8]) -> BytesMut {
    let request = Command { opaque, ..Command::request(code) }.with_body(body.to_vec());
    encoded(&request)
}

fn encoded(command: &Command) -> BytesMut {
    let mut out = BytesMut::new();
    remoting::encode(command, &mut out);
    out
}

/// A peer that speaks bytes.
struct Peer(TcpStream);

impl Peer {
    async fn connect(address: SocketAddr) -> Self {
        Self(TcpStream::connect(address).await.unwrap())
    }
    async fn write(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).await.unwrap();
    }
    async fn answer(&mut self) -> Command {
        let mut frame = vec![0; 4];
        self.0.read_exact(&mut frame).await.unwrap();
        let length = remoting::frame_length(&frame, 64 << 20).unwrap().unwrap();
        frame.resize(length, 0);
        self.0.read_exact(&mut frame[4..]).await.unwrap();
        remoting::decode(frame.into()).unwrap()
    }
    async fn echo(&mut self, opaque: i32, text: &str) {
        self.write(&frame(ECHO, opaque, text.as_bytes())).await;
        let answer = self.answer().await;
        assert_eq!((answer.opaque, answer.body.as_ref()), (opaque, text.as_bytes()));
    }
    /// Reads on until the server closes.
    async fn wait_until_closed(&mut self) {
        let mut bytes = vec![0; 1 << 16];
        while self.0.read(&mut bytes).await.is_ok_and(|count| count > 0) {}
    }
}

/// Waits for something another task does.
async fn until(condition: impl Fn() -> bool) {
    while !condition() {
        tokio::task::yield_now().await;
    }
}

// The clock stands still, so that a turn that is not scheduled for a while is not over.
#[tokio::test(start_paused = true)]
async fn requests_of_one_read_are_one_batch() {
    let server = start(LimitNumbers::default());
    let mut peer = Peer::connect(server.address).await;
    peer.write(&frame(ECHO, 1, b"").repeat(3)).await;
    for _ in 0..3 {
        peer.answer().await;
    }
    assert_eq!(server.fake.batches.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn answers_may_come_out_of_order() {
    let mut server = start(LimitNumbers::default());
    let mut peer = Peer::connect(server.address).await;
    peer.write(&[frame(KEEP, 1, b""), frame(ECHO, 2, b"two"), frame(KEEP, 3, b"")].concat()).await;
    let first = server.kept.recv().await.unwrap();
    let third = server.kept.recv().await.unwrap();
    assert_eq!(peer.answer().await.opaque, 2);
    let late = std::thread::spawn(move || {
        third.send(Command::response(0));
        first.send(Command::response(0));
    });
    assert_eq!((peer.answer().await.opaque, peer.answer().await.opaque), (3, 1));
    late.join().unwrap();
    until(|| server.limits.in_flight() == 0).await;
}

#[tokio::test]
async fn oneway_requests_get_no_answer_and_do_not_count() {
    let server = start(LimitNumbers::default());
    let mut peer = Peer::connect(server.address).await;
    peer.write(&encoded(&Command::request(ECHO).oneway().with_body("never"))).await;
    peer.echo(5, "first answer (R-045)").await;
    assert_eq!(server.fake.requests.load(Ordering::SeqCst), 2);
    assert_eq!(server.limits.in_flight(), 0);
}

#[tokio::test]
async fn what_a_peer_sent_before_it_left_counts_although_our_answer_is_not_read() {
    let mut server = start(LimitNumbers::default());
    let mut peer = Peer::connect(server.address).await;
    peer.write(&frame(KEEP, 1, b"")).await;
    let asked = server.kept.recv().await.unwrap();
    peer.write(&[frame(DROP, 2, b""), frame(DROP, 3, b"")].concat()).await;
    // It resets the connection, which its task sees with both: these requests, and an answer that cannot be written.
    peer.0.set_zero_linger().unwrap();
    drop(peer);
    asked.send(Command::response(0));
    until(|| !server.fake.closed.lock().unwrap().is_empty()).await;
    assert_eq!(server.fake.requests.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn frames_may_arrive_byte_by_byte() {
    let server = start(LimitNumbers::default());
    let mut peer = Peer::connect(server.address).await;
    peer.0.set_nodelay(true).unwrap();
    let bytes = [frame(ECHO, 1, b"one"), frame(ECHO, 2, b"two")].concat();
    for byte in bytes {
        peer.write(&[byte]).await;
        tokio::task::yield_now().await;
    }
    assert_eq!(peer.answer().await.body, "one");
    assert_eq!(peer.answer().await.body, "two");
    assert_eq!(server.limits.half_read_bytes(), 0);
}

#[tokio::test]
async fn frames_cut_anywhere_by_reads_are_put_together_again() {
    let server = start(LimitNumbers::default());
    let mut peer = Peer::connect(server.address).await;
    let body = vec![b'x'; 50_000];
    for opaque in 0..20 {
        peer.write(&frame(ECHO, opaque, &body)).await;
    }
    for opaque in 0..20 {
        let answer = peer.answer().await;
        assert_eq!((answer.opaque, answer.body.len()), (opaque, body.len()));
    }
}

#[tokio::test]
async fn a_bad_frame_closes_its_own_connection_only_and_earlier_answers_are_sent() {
    let server = start(LimitNumbers::default());
    let mut good = Peer::connect(server.address).await;
    good.echo(1, "before").await;
    let mut bad = Peer::connect(server.address).await;
    bad.write(&[frame(ECHO, 9, b"valid"), BytesMut::from(&b"GET / HTTP/1.1\r\n\r\n"[..])].concat())
        .await;
    assert_eq!(bad.answer().await.opaque, 9);
    bad.wait_until_closed().await;
    good.echo(2, "after (R-005)").await;
    assert_eq!(server.fake.closed.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_header_that_does_not_decode_closes_the_connection() {
    let server = start(LimitNumbers::default());
    let mut peer = Peer::connect(server.address).await;
    peer.write(b"\0\0\0\x08\0\0\0\x04{{{{").await;
    peer.wait_until_closed().await;
}

#[tokio::test]
async fn a_frame_over_the_limit_closes_the_connection_before_it_is_read() {
    let server = start(LimitNumbers { frame_bytes_max: 4096, ..LimitNumbers::default() });
    let mut peer = Peer::connect(server.address).await;
    peer.echo(1, &"x".repeat(3000)).await;
    peer.write(&5000_u32.to_be_bytes()).await;
    peer.wait_until_closed().await;
    assert_eq!(server.limits.times_reached(), [(Limit::FrameBytes, 1)]);
}

#[tokio::test]
async fn incomplete_frames_of_all_connections_are_bounded() {
    let server = start(LimitNumbers { half_read_bytes_max: 1500, ..LimitNumbers::default() });
    let long = frame(ECHO, 1, &[1; 4000]);
    let (mut one, mut two) =
        (Peer::connect(server.address).await, Peer::connect(server.address).await);
    one.write(&long[..1000]).await;
    until(|| server.limits.half_read_bytes() == 1000).await;
    two.write(&long[..1000]).await;
    two.wait_until_closed().await;
    until(|| server.limits.half_read_bytes() == 1000).await;
    assert_eq!(server.limits.times_reached(), [(Limit::HalfReadBytes, 1)]);
}

#[tokio::test]
async fn who_holds_most_of_the_incomplete_frames_is_dropped_not_who_came_last() {
    let server = start(LimitNumbers { half_read_bytes_max: 400_000, ..LimitNumbers::default() });
    let (mut greedy, mut honest) =
        (Peer::connect(server.address).await, Peer::connect(server.address).await);
    greedy.write(&frame(ECHO, 1, &[1; 500_000])[..300_000]).await;
    until(|| server.limits.half_read_bytes() == 300_000).await;
    let body = [1; 200_000];
    let whole = frame(ECHO, 2, &body);
    honest.write(&whole[..150_000]).await;
    greedy.wait_until_closed().await;
    honest.write(&whole[150_000..]).await;
    assert_eq!(honest.answer().await.body, body.as_slice());
    until(|| server.limits.half_read_bytes() == 0).await;
}

#[tokio::test]
async fn a_connection_has_few_requests_on_threads_and_is_not_read_from_meanwhile() {
    let mut server = start(LimitNumbers::default());
    let mut peer = Peer::connect(server.address).await;
    let mut on_threads = Vec::new();
    for opaque in 1..=8 {
        peer.write(&frame(KEEP, opaque, b"")).await;
        let mut responder = server.kept.recv().await.unwrap();
        responder.goes_to_thread();
        responder.goes_to_thread();
        on_threads.push(responder);
    }
    peer.write(&frame(ECHO, 9, b"")).await;
    let mut other = Peer::connect(server.address).await;
    other.echo(1, "others are read from").await;
    assert_eq!(server.fake.requests.load(Ordering::SeqCst), 9);
    on_threads.pop();
    assert_eq!(peer.answer().await.opaque, 9);
    drop(on_threads);
    until(|| server.limits.in_flight() == 0).await;
}

#[tokio::test]
async fn oneway_requests_and_those_of_a_gone_peer_count_until_they_are_done() {
    let mut server = start(LimitNumbers::default());
    let mut peer = Peer::connect(server.address).await;
    peer.write(&encoded(&Command::request(KEEP).oneway())).await;
    peer.write(&frame(KEEP, 2, b"")).await;
    let (oneway, asked) = (server.kept.recv().await.unwrap(), server.kept.recv().await.unwrap());
    assert!(!oneway.is_moot() && !asked.is_moot());
    assert_eq!(server.limits.in_flight(), 2);
    drop(peer);
    until(|| server.fake.closed.lock().unwrap().len() == 1).await;
    assert!(!oneway.is_moot() && asked.is_moot(), "nobody waits for an answer");
    assert_eq!(server.limits.in_flight(), 2);
    drop(oneway);
    asked.send(Command::response(0));
    assert_eq!(server.limits.in_flight(), 0);
}

#[tokio::test]
async fn answers_that_are_queued_faster_than_anything_is_written_count_as_unsent() {
    let numbers = LimitNumbers { connection_unsent_bytes_max: 4 << 20, ..LimitNumbers::default() };
    let mut server = start(numbers);
    let mut peer = Peer::connect(server.address).await;
    peer.write(&frame(KEEP, 1, b"")).await;
    let responder = server.kept.recv().await.unwrap();
    for _ in 0..2 {
        let notice = Command::request(40).with_body(vec![0; 1 << 20]);
        responder.connection().send_oneway(notice);
    }
    // The driver had no turn yet.
    assert!(server.limits.unsent_bytes() > 2 << 20);
}

#[tokio::test]
async fn requests_of_too_many_bytes_are_refused_and_small_ones_are_not() {
    let numbers = LimitNumbers { in_flight_bytes_max: 300_000, ..LimitNumbers::default() };
    let mut server = start(numbers);
    let mut peer = Peer::connect(server.address).await;
    peer.write(&frame(KEEP, 1, &[1; 250_000])).await;
    let kept = server.kept.recv().await.unwrap();
    peer.write(&frame(ECHO, 2, &[1; 100_000])).await;
    assert_eq!(peer.answer().await.code, response::SYSTEM_BUSY);
    assert_eq!(server.limits.times_reached(), [(Limit::InFlightBytes, 1)]);
    peer.echo(3, "small").await;
    drop(kept);
    peer.write(&frame(ECHO, 4, &[1; 100_000])).await;
    assert_eq!(peer.answer().await.code, 0);
}

#[tokio::test]
async fn requests_that_wait_are_not_in_flight() {
    let numbers = LimitNumbers { connection_in_flight_max: 1, ..LimitNumbers::default() };
    let mut server = start(numbers);
    let mut peer = Peer::connect(server.address).await;
    let mut waiting = Vec::new();
    for opaque in 1..=3 {
        peer.write(&frame(KEEP, opaque, b"")).await;
        let mut responder = server.kept.recv().await.unwrap();
        responder.wait();
        responder.wait();
        waiting.push(responder);
    }
    peer.echo(4, "read all the same").await;
    assert_eq!(server.limits.in_flight(), 0);
    waiting.pop().unwrap().send(Command::response(0));
    assert_eq!(peer.answer().await.opaque, 3);
    drop(waiting);
    peer.echo(5, "nothing is counted twice").await;
    until(|| server.limits.in_flight() == 0).await;
}

#[tokio::test]
async fn a_peer_that_never_reads_is_dropped() {
    let mut server =
        start(LimitNumbers { connection_unsent_bytes_max: 4 << 20, ..LimitNumbers::default() });
    let mut peer = Peer::connect(server.address).await;
    peer.write(&frame(KEEP, 1, b"")).await;
    let responder = server.kept.recv().await.unwrap();
    let connection = responder.connection().clone();
    let mut sent = 0;
    while connection.is_open() {
        connection.send_oneway(Command::request(40).with_body(vec![0; 1 << 20]));
        sent += 1;
        tokio::task::yield_now().await;
        assert!(sent < 1000, "the kernel's buffers are not that large");
    }
    assert_eq!(server.limits.times_reached(), [(Limit::ConnectionUnsentBytes, 1)]);
    until(|| server.limits.unsent_bytes() == 0).await;
    responder.send(Command::response(0));
    until(|| server.limits.in_flight() == 0).await;
    until(|| server.fake.closed.lock().unwrap().len() == 1).await;
}

#[tokio::test]
async fn unsent_bytes_of_all_connections_are_bounded() {
    let mut server = start(LimitNumbers { unsent_bytes_max: 1 << 20, ..LimitNumbers::default() });
    let mut peer = Peer::connect(server.address).await;
    peer.write(&frame(KEEP, 1, b"")).await;
    let responder = server.kept.recv().await.unwrap();
    let connection = responder.connection().clone();
    for _ in 0..60 {
        connection.send_oneway(Command::request(40).with_body(vec![0; 1 << 20]));
        tokio::task::yield_now().await;
    }
    assert!(!connection.is_open());
    assert_eq!(server.limits.times_reached(), [(Limit::UnsentBytes, 1)]);
    drop(responder);
    until(|| server.limits.in_flight() == 0).await;
}

#[tokio::test]
async fn a_slow_reader_gets_everything_in_the_end() {
    let server =
        start(LimitNumbers { connection_unsent_bytes_max: 8 << 20, ..LimitNumbers::default() });
    let mut peer = Peer::connect(server.address).await;
    let (mut reading, mut writing) = peer.0.split();
    let body = vec![1; 1 << 20];
    let send = async {
        for opaque in 0..40 {
            writing.write_all(&frame(ECHO, opaque, &body)).await.unwrap();
        }
    };
    let receive = async {
        let mut left = 40 * encoded(&Command::response(0).with_body(body.clone())).len();
        let mut bytes = vec![0; 1 << 16];
        while left > 40 * 64 {
            left = left.saturating_sub(reading.read(&mut bytes).await.unwrap());
        }
    };
    tokio::join!(send, receive);
    assert_eq!(server.fake.requests.load(Ordering::SeqCst), 40);
}

#[tokio::test]
async fn a_flood_over_one_connection_does_not_keep_another_waiting_for_all_of_it() {
    waits_for_less_than(50_000, ECHO).await;
}

#[tokio::test]
async fn a_flood_of_slow_requests_has_turns_of_few() {
    // With turns of dozens the runtime would not have looked at the other socket before it was over.
    waits_for_less_than(1_000, SLOW).await;
}

/// One connection sends so many requests of a code, another that asks meanwhile is answered before the last.
async fn waits_for_less_than(flood: usize, code: i32) {
    let server = start(LimitNumbers::default());
    let mut honest = Peer::connect(server.address).await;
    honest.echo(1, "is there").await;
    let mut peer = Peer::connect(server.address).await;
    let request = encoded(&Command::request(code).oneway()).repeat(flood);
    let flooding = crate::task::spawn(crate::task::Kind::Ignore, "flood", async move {
        peer.write(&request).await;
    });
    until(|| server.fake.requests.load(Ordering::SeqCst) > 1).await;
    honest.echo(2, "is answered").await;
    assert!(server.fake.requests.load(Ordering::SeqCst) < flood, "not behind the whole flood");
    flooding.await.unwrap();
}

#[tokio::test]
async fn reading_stops_at_the_in_flight_limit_and_resumes_with_answers_or_dropped_responders() {
    let mut server = start(LimitNumbers { connection_in_flight_max: 2, ..LimitNumbers::default() });
    let mut peer = Peer::connect(server.address).await;
    let burst: Vec<u8> = (1..=5).flat_map(|opaque| frame(KEEP, opaque, b"").to_vec()).collect();
    peer.write(&burst).await;
    let first = server.kept.recv().await.unwrap();
    let second = server.kept.recv().await.unwrap();
    // Another connection is served as ever.
    Peer::connect(server.address).await.echo(1, "other").await;
    assert_eq!(server.fake.requests.load(Ordering::SeqCst), 3);
    first.send(Command::response(0));
    assert_eq!(peer.answer().await.opaque, 1);
    let third = server.kept.recv().await.unwrap();
    drop(second);
    let fourth = server.kept.recv().await.unwrap();
    drop((third, fourth));
    drop(server.kept.recv().await.unwrap());
    peer.echo(6, "free again").await;
    assert_eq!(server.limits.times_reached()[0].0, Limit::ConnectionInFlight);
}

#[tokio::test]
async fn requests_over_the_limit_of_all_are_answered_busy_in_json() {
    let mut server = start(LimitNumbers { in_flight_max: 1, ..LimitNumbers::default() });
    let mut peer = Peer::connect(server.address).await;
    peer.write(&frame(KEEP, 1, b"")).await;
    let parked = server.kept.recv().await.unwrap();
    let binary =
        Command { serialize_type: SerializeType::RocketMq, opaque: 2, ..Command::request(ECHO) };
    peer.write(&encoded(&binary)).await;
    let answer = peer.answer().await;
    assert_eq!((answer.opaque, answer.code), (2, 2));
    assert_eq!(answer.serialize_type, SerializeType::Json);
    let remark = "[OVERLOAD]system busy, start flow control for a while: limits.in_flight_max = 1 is reached";
    assert_eq!(answer.remark.as_deref(), Some(remark), "R-042");
    assert_eq!(server.limits.times_reached(), [(Limit::InFlight, 1)]);
    drop(parked);
    peer.echo(3, "free again").await;
}

#[tokio::test]
async fn the_answer_is_encoded_as_the_request_was_unless_json_is_asked_for() {
    let mut server = start(LimitNumbers::default());
    let mut peer = Peer::connect(server.address).await;
    for (serialize_type, json) in [
        (SerializeType::Json, false),
        (SerializeType::RocketMq, false),
        (SerializeType::RocketMq, true),
    ] {
        peer.write(&encoded(&Command { serialize_type, ..Command::request(KEEP) })).await;
        let responder = server.kept.recv().await.unwrap();
        if json {
            responder.send_json(Command::response(0));
        } else {
            responder.send(Command::response(0));
        }
        let expected = if json { SerializeType::Json } else { serialize_type };
        assert_eq!(peer.answer().await.serialize_type, expected, "R-048");
    }
}

#[tokio::test]
async fn connections_over_the_limit_are_closed() {
    let server = start(LimitNumbers { connections_max: 1, ..LimitNumbers::default() });
    let mut first = Peer::connect(server.address).await;
    first.echo(1, "in").await;
    Peer::connect(server.address).await.wait_until_closed().await;
    assert_eq!(server.limits.times_reached(), [(Limit::Connections, 1)]);
    drop(first);
    until(|| server.limits.connections() == 0).await;
    Peer::connect(server.address).await.echo(2, "in again").await;
}

#[tokio::test]
async fn an_answer_after_the_connection_died_is_dropped_quietly() {
    let mut server = start(LimitNumbers::default());
    let mut peer = Peer::connect(server.address).await;
    peer.write(&frame(KEEP, 1, b"")).await;
    let responder = server.kept.recv().await.unwrap();
    let connection = responder.connection().clone();
    drop(peer);
    until(|| server.fake.closed.lock().unwrap().as_slice() == [connection.id()]).await;
    assert!(!connection.is_open());
    responder.send(Command::response(0));
    connection.send_oneway(Command::request(40));
    let lost = connection.call(Command::request(40), LONG).await;
    assert!(matches!(lost, Err(CallError::Lost { .. })));
    assert_eq!(server.limits.in_flight(), 0);
}

#[tokio::test]
async fn an_idle_connection_is_closed_and_a_busy_one_is_not() {
    let server = start(LimitNumbers::default());
    let mut idle = Peer::connect(server.address).await;
    idle.echo(1, "then silence (R-060)").await;
    tokio::time::pause();
    let start = tokio::time::Instant::now();
    idle.wait_until_closed().await;
    let silent = start.elapsed();
    assert!(silent >= Duration::from_secs(120) && silent <= Duration::from_secs(151), "{silent:?}");
}

#[tokio::test]
async fn a_connection_with_a_byte_now_and_then_stays_open() {
    let server = start(LimitNumbers::default());
    let mut peer = Peer::connect(server.address).await;
    peer.echo(1, "begin").await;
    for opaque in 0..4 {
        tokio::time::pause();
        for _ in 0..3 {
            tokio::time::advance(Duration::from_secs(31)).await;
            tokio::task::yield_now().await;
        }
        tokio::time::resume();
        peer.echo(opaque, "still here").await;
    }
    assert!(server.fake.closed.lock().unwrap().is_empty());
}

#[tokio::test]
async fn stopping_answers_what_is_in_flight_and_then_closes() {
    let mut server = start(LimitNumbers::default());
    let mut peer = Peer::connect(server.address).await;
    let mut idle = Peer::connect(server.address).await;
    idle.echo(1, "idle").await;
    peer.write(&frame(KEEP, 1, b"")).await;
    let responder = server.kept.recv().await.unwrap();
    server.stop.cancel();
    idle.wait_until_closed().await;
    assert!(TcpStream::connect(server.address).await.is_err(), "it no longer listens");
    responder.send(Command::response(0).with_body("late"));
    assert_eq!(peer.answer().await.body, "late");
    peer.wait_until_closed().await;
    server.serving.await.unwrap();
    assert_eq!(server.fake.closed.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn stopping_does_not_wait_for_ever() {
    let mut server = start(LimitNumbers::default());
    let mut peer = Peer::connect(server.address).await;
    peer.write(&frame(KEEP, 1, b"")).await;
    let responder = server.kept.recv().await.unwrap();
    tokio::time::pause();
    server.stop.cancel();
    server.serving.await.unwrap();
    responder.send(Command::response(0));
    assert_eq!(server.limits.connections(), 0);
}

#[tokio::test]
async fn the_server_can_call_the_client_back() {
    let mut server = start(LimitNumbers::default());
    let other = start(LimitNumbers::default());
    let client = Client::new(Some(other.fake.clone()));
    let address = server.address.to_string();
    client.send_oneway(&address, Command::request(DROP)).await.unwrap();
    let waiting = {
        let client = client.clone();
        async move { client.call(&address, Command::request(KEEP), LONG).await }
    };
    let answering = async {
        let responder = server.kept.recv().await.unwrap();
        let back = responder.connection().clone();
        let echo = back.call(Command::request(ECHO).with_body("back"), LONG).await.unwrap();
        responder.send(Command::response(7).with_body(echo.body));
    };
    let (answer, ()) = tokio::join!(waiting, answering);
    let answer = answer.unwrap();
    assert_eq!((answer.code, answer.body.as_ref()), (7, &b"back"[..]));
}

#[tokio::test]
async fn a_request_with_too_long_a_header_is_not_sent_and_says_so() {
    let server = start(LimitNumbers::default());
    let client = Client::new(None);
    let connection = client.connection(&server.address.to_string()).await.unwrap();
    let long = Command::request(ECHO).with_field("properties", "\u{1}".repeat(3 << 20));
    let long = long.with_body(frame(DROP, 9, b"").freeze());
    let refused = connection.call(long.clone(), LONG).await;
    assert!(matches!(refused, Err(CallError::TooLong(_))), "{refused:?}");
    connection.send_oneway(long);
    let answer = connection.call(Command::request(ECHO).with_body("next"), LONG).await.unwrap();
    assert_eq!(answer.body, "next");
    assert_eq!(server.fake.requests.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_client_without_service_answers_code_3() {
    let mut server = start(LimitNumbers::default());
    let client = Client::new(None);
    let connection = client.connection(&server.address.to_string()).await.unwrap();
    let pending = connection.call(Command::request(KEEP), LONG);
    let asking = async {
        let responder = server.kept.recv().await.unwrap();
        let answer = responder.connection().call(Command::request(40), LONG).await.unwrap();
        responder.send(Command::response(0));
        answer
    };
    let (_, answer) = tokio::join!(pending, asking);
    assert_eq!(answer.code, 3);
    assert_eq!(answer.remark.as_deref(), Some(" request type 40 not supported"), "R-040");
}

#[tokio::test]
async fn callers_share_a_connection_and_a_lost_one_is_made_anew() {
    let mut server = start(LimitNumbers::default());
    let client = Client::new(None);
    let address = server.address.to_string();
    let (one, two) = tokio::join!(client.connection(&address), client.connection(&address));
    let first = one.unwrap();
    assert_eq!(first, two.unwrap());
    let pending = client.call(&address, Command::request(KEEP), LONG);
    let breaking = async {
        server.kept.recv().await.unwrap().connection().close("test");
    };
    let (lost, ()) = tokio::join!(pending, breaking);
    assert!(matches!(lost, Err(CallError::Lost { .. })));
    let answer = client.call(&address, Command::request(ECHO).with_body("again"), LONG).await;
    assert_eq!(answer.unwrap().body, "again");
    let second = client.connection(&address).await.unwrap();
    assert_ne!(second, first);
    second.close("test");
    until(|| server.limits.connections() == 0).await;
}

#[tokio::test]
async fn a_call_without_answer_times_out_and_the_next_one_is_made_anew_r066() {
    let mut server = start(LimitNumbers::default());
    let client = Client::new(None);
    let address = server.address.to_string();
    let mut asked = Vec::new();
    for _ in 0..2 {
        let calling = client.call(&address, Command::request(KEEP), LONG);
        let passing = async {
            asked.push(server.kept.recv().await.unwrap());
            tokio::time::pause();
        };
        let (result, ()) = tokio::join!(calling, passing);
        assert!(matches!(result, Err(CallError::Timeout(_))));
        tokio::time::resume();
    }
    assert_ne!(asked[0].connection(), asked[1].connection());
    let answer = client.call(&address, Command::request(ECHO).with_body("next"), LONG).await;
    assert_eq!(answer.unwrap().body, "next");
}

#[tokio::test]
async fn who_does_not_answer_us_keeps_its_own_connection_and_a_late_answer_is_dropped() {
    let mut server = start(LimitNumbers::default());
    let mut peer = Peer::connect(server.address).await;
    peer.write(&frame(KEEP, 1, b"")).await;
    let back = server.kept.recv().await.unwrap();
    let asking = back.connection().call(Command::request(40), LONG);
    let passing = async {
        let asked = peer.answer().await;
        tokio::time::pause();
        asked
    };
    let (result, asked) = tokio::join!(asking, passing);
    assert!(matches!(result, Err(CallError::Timeout(_))));
    tokio::time::resume();
    peer.write(&encoded(&Command { opaque: asked.opaque, ..Command::response(0) })).await;
    peer.echo(2, "still here").await;
}

#[tokio::test]
async fn a_peer_that_does_not_listen_is_an_error_with_its_address() {
    let server = start(LimitNumbers::default());
    server.stop.cancel();
    server.serving.await.unwrap();
    let address = server.address.to_string();
    let error = Client::new(None).call(&address, Command::request(ECHO), LONG).await.unwrap_err();
    assert!(error.to_string().contains(&address), "{error}");
}

#[tokio::test]
async fn dropping_the_client_closes_its_connections() {
    let server = start(LimitNumbers::default());
    let client = Client::new(None);
    let address = server.address.to_string();
    client.call(&address, Command::request(ECHO), LONG).await.unwrap();
    drop(client);
    until(|| server.limits.connections() == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_connections_and_callers_get_their_own_answers() {
    let server = start(LimitNumbers::default());
    let mut tasks = Vec::new();
    for connection in 0..8 {
        let client = Client::new(None);
        for caller in 0..16 {
            let (client, address) = (client.clone(), server.address.to_string());
            tasks.push(async move {
                for call in 0..50 {
                    let text = format!("{connection} {caller} {call}");
                    let request = Command::request(ECHO).with_body(text.clone());
                    assert_eq!(client.call(&address, request, LONG).await.unwrap().body, text);
                }
            });
        }
    }
    let mut running = tokio::task::JoinSet::new();
    for task in tasks {
        running.spawn(task);
    }
    while let Some(ended) = running.join_next().await {
        ended.unwrap();
    }
    assert_eq!(server.fake.requests.load(Ordering::SeqCst), 8 * 16 * 50);
    until(|| server.limits.in_flight() == 0).await;
}
