//! The receiver against masters that the tests speak for.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::time::Instant;

use super::peers::PeerError;
use super::tests_support::*;
use super::wire::header;
use super::{HEARTBEAT, Phase, SILENCE_MAX};
use crate::remoting::bodies::extension::Hello;
use crate::remoting::{Command, response};
use crate::store::StoreOptions;
use crate::store::options::StoreRole;
use crate::transport::{Responder, Service};

/// A master's HA port that the test speaks for.
struct Master {
    listener: TcpListener,
    address: String,
}

impl Master {
    async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        Self { listener, address }
    }

    /// The next connection over which something is said: paused time may let a slave give up before.
    async fn accept(&self) -> Peer {
        loop {
            let (stream, _) = self.listener.accept().await.unwrap();
            if stream.peek(&mut [0]).await.is_ok_and(|said| said > 0) {
                return Peer(stream);
            }
        }
    }
}

/// A broker port that answers everything with this remark.
struct Refusing(String);

impl Service for Refusing {
    fn on_request(&self, _request: Command, responder: Responder) {
        responder.send(Command::response(response::SYSTEM_ERROR).with_remark(self.0.clone()));
    }
}

#[tokio::test]
async fn a_master_that_cannot_read_its_log_now_is_not_taken_for_one_without_the_record_b214() {
    let slave = TestStore::slave();
    let refusals = [
        ("can not find message by the offset, 7", true),
        ("java.lang.IllegalArgumentException: null", true),
        // Peers of other versions say the same.
        ("a part of the log or of its queues is not available now", false),
    ];
    for (remark, is_none) in refusals {
        let (address, _stop) = serve(Arc::new(Refusing(remark.to_owned())));
        let found = slave.member().record_of(&address, offset(7)).await;
        assert_eq!(found.is_ok_and(|found| found.is_none()), is_none, "{remark}");
    }
}

#[tokio::test]
async fn a_log_that_cannot_be_read_now_is_not_taken_for_another_one() {
    let master = TestStore::master();
    master.append("a").await;
    let end = master.end();
    let segment = master.store().options().dir.join("commitlog").join(format!("{:020}", 0));
    // Reading fails at the end of a file that is too short.
    std::fs::OpenOptions::new().write(true).open(segment).unwrap().set_len(0).unwrap();
    let compared = master.member().compare("127.0.0.1:1", end).await;
    assert!(matches!(compared, Err(PeerError::Own(_))), "{compared:?}");
}

fn batch(at: u64, body: &[u8]) -> Vec<u8> {
    [&header(at, u32::try_from(body.len()).unwrap())[..], body].concat()
}

#[tokio::test]
async fn it_says_where_it_is_at_once_and_after_each_record_however_records_are_cut_s29_h012() {
    let (master, slave) = (Master::new().await, TestStore::slave());
    let listened = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&listened);
    slave.store().set_listener(Arc::new(move |arrival| {
        assert_eq!((arrival.topic, arrival.queue_id.0), ("T", 1));
        counted.fetch_add(1, Ordering::Relaxed);
    }));
    let copying = Copying::into(&slave, &master.address);
    let mut peer = master.accept().await;
    assert_eq!(peer.read_report().await, 0);
    copying.until("behind is not known", |state| state.behind.is_none()).await;
    let first = record(0, 0, "first");
    let both = [first.clone(), record(first.len() as u64, 1, "second")].concat();
    let cut = first.len() + 10;
    // One and a part of the next; the rest of it byte by byte.
    peer.say(&batch(0, &both[..cut])).await;
    assert_eq!(peer.read_report().await, first.len() as u64);
    for at in cut..both.len() {
        peer.say(&batch(at as u64, &both[at..=at])).await;
    }
    assert_eq!(peer.read_report().await, both.len() as u64);
    assert_eq!((slave.log(), pulled(&slave.store())), (both, 2));
    assert_eq!(listened.load(Ordering::Relaxed), 2, "who waits for messages is woken");
    let in_sync = copying.until("in sync", |state| state.phase == Phase::InSync).await;
    assert_eq!(in_sync.behind, Some(Duration::ZERO));
    drop((peer, master));
    let alone = copying.until("alone", |state| state.phase == Phase::Connecting).await;
    assert!(alone.behind.is_some_and(|behind| behind > Duration::ZERO), "{alone:?}");
}

#[tokio::test(start_paused = true)]
async fn a_master_that_is_elsewhere_is_followed_no_further_h011() {
    let cases: [(u64, &[u8]); 3] = [(0, b""), (0, b"x"), (1 << 40, b"")];
    for (at, body) in cases {
        let (master, slave) = (Master::new().await, TestStore::slave());
        let own = record(0, 0, "own");
        slave.store().append_copied(offset(0), &own).unwrap();
        let copying = Copying::into(&slave, &master.address);
        let mut peer = master.accept().await;
        assert_eq!(peer.read_report().await, own.len() as u64);
        peer.say(&batch(at, body)).await;
        let state = copying.until("conflict", |state| state.phase == Phase::Conflict).await;
        let why = state.last_error.unwrap();
        assert!(why.contains(&format!("the master goes on at offset {at}")), "{why}");
        assert_eq!(slave.log(), own);
        let seen = Instant::now();
        assert_eq!(master.accept().await.read_report().await, own.len() as u64);
        assert!(seen.elapsed() >= SILENCE_MAX, "it is not tried again at once");
        // Until there is another master.
        let other = Master::new().await;
        copying.moved(&other.address);
        assert_eq!(other.accept().await.read_report().await, own.len() as u64);
    }
}

/// A record, and what a master may send for the next one, which it is not.
fn no_records(good: &[u8]) -> Vec<Vec<u8>> {
    let next = good.len() as u64;
    let mut flipped = record(next, 1, "bad body");
    let last = flipped.len() - 20;
    flipped[last] ^= 1;
    let mut huge = record(next, 1, "huge");
    huge[..4].copy_from_slice(&0x7FFF_FFFFu32.to_be_bytes());
    // Small enough to be waited for, were it not for the length of its body.
    let mut large = record(next, 1, "large");
    large[1] ^= 1;
    let mut no_queue = record(next, 1, "x");
    no_queue[20] = 0x80;
    let elsewhere = record(next + 1, 1, "of another place");
    vec![flipped, huge, large, no_queue, elsewhere, vec![0; 64]]
}

#[tokio::test(start_paused = true)]
async fn what_is_no_record_is_not_written_and_asked_for_again_later() {
    let good = record(0, 0, "good");
    let next = good.len() as u64;
    for bad in no_records(&good) {
        let (master, slave) = (Master::new().await, TestStore::slave());
        let copying = Copying::into(&slave, &master.address);
        let mut peer = master.accept().await;
        assert_eq!(peer.read_report().await, 0);
        peer.say(&batch(0, &[&good[..], &bad].concat())).await;
        copying.until("refused", |state| state.last_error.is_some()).await;
        assert_eq!(slave.log(), good);
        let mut peer = master.accept().await;
        assert_eq!(peer.read_report().await, next);
        peer.say(&batch(next, &record(next, 1, "good again"))).await;
        peer.read_report().await;
        assert_eq!((pulled(&slave.store()), copying.receiver.state().hole_bytes), (2, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_no_record_twice_is_a_hole_up_to_the_next_record_however_it_is_cut() {
    let good = record(0, 0, "good");
    let next = good.len() as u64;
    for bad in no_records(&good) {
        let (master, slave) = (Master::new().await, TestStore::slave());
        let copying = Copying::into(&slave, &master.address);
        let end = next + bad.len() as u64;
        let sent = [good.clone(), bad.clone(), record(end, 2, "behind")].concat();
        let mut peer = master.accept().await;
        peer.say(&batch(0, &sent)).await;
        copying.until("refused", |state| state.last_error.is_some()).await;
        let mut peer = master.accept().await;
        assert_eq!(peer.read_report().await, next);
        for (at, byte) in sent.iter().enumerate().skip(good.len()) {
            peer.say(&batch(at as u64, &[*byte])).await;
        }
        let state = copying.until("all", |state| state.copied_to == sent.len() as u64).await;
        assert_eq!((slave.log(), pulled(&slave.store())), (sent, 3));
        assert_eq!(state.hole_bytes, bad.len() as u64);
        let told = format!("no records from offset {next} to {end}");
        assert!(state.last_error.clone().unwrap().contains(&told), "{state:?}");
    }
}

/// Says twice, over two connections, what `sent` has from the slave's end up to `to`; returns both.
async fn say_twice(master: &Master, sent: &[u8], to: usize) -> [Peer; 2] {
    let mut first = master.accept().await;
    let at = first.read_report().await;
    let said = batch(at, &sent[usize::try_from(at).unwrap()..to]);
    first.say(&said).await;
    let mut second = master.accept().await;
    let at = second.read_report().await;
    second.say(&batch(at, &sent[usize::try_from(at).unwrap()..to])).await;
    [first, second]
}

#[tokio::test(start_paused = true)]
async fn a_slave_that_starts_again_within_a_hole_goes_on() {
    let (master, mut slave) = (Master::new().await, TestStore::slave());
    let (good, hole) = (record(0, 0, "good"), vec![7; 4000]);
    let behind = (good.len() + hole.len()) as u64;
    let sent = [good.clone(), hole, record(behind, 2, "behind")].concat();
    let copying = Copying::into(&slave, &master.address);
    let peers = say_twice(&master, &sent, good.len() + 2000).await;
    copying.until("half of it", |state| state.hole_bytes > 1000).await;
    copying.stop().await;
    drop(peers);
    slave.reopen();
    let copying = Copying::into(&slave, &master.address);
    let _peers = say_twice(&master, &sent, sent.len()).await;
    copying.until_at(sent.len() as u64).await;
    assert_eq!((slave.log(), pulled(&slave.store())), (sent, 3));
}

#[tokio::test(start_paused = true)]
async fn another_log_is_not_taken_for_one_with_a_hole() {
    let (master, slave) = (Master::new().await, TestStore::slave());
    let own = record(0, 0, "own");
    slave.store().append_copied(offset(0), &own).unwrap();
    let copying = Copying::into_plain(&slave, &master.address, &own);
    let end = own.len() as u64;
    // The end of a longer record, and then one that fits.
    let sent = [vec![7; 50], record(end + 50, 1, "x")].concat();
    for _ in 0..3 {
        let mut peer = master.accept().await;
        assert_eq!(peer.read_report().await, end);
        peer.say(&batch(end, &sent)).await;
        assert!(peer.is_closed().await);
        assert_eq!(slave.log(), own);
    }
    let why = copying.receiver.state().last_error.unwrap();
    assert!(why.contains("it may be another log"), "{why}");
}

#[tokio::test(start_paused = true)]
async fn it_speaks_every_5_s_and_leaves_a_master_that_is_silent_for_20_h012() {
    let (master, slave) = (Master::new().await, TestStore::slave());
    let _copying = Copying::into(&slave, &master.address);
    let started = Instant::now();
    let mut peer = master.accept().await;
    for beat in 0..4 {
        assert_eq!(peer.read_report().await, 0);
        assert!(started.elapsed() >= HEARTBEAT * beat);
    }
    while !peer.is_closed().await {}
    assert!(started.elapsed() >= SILENCE_MAX);
    assert_eq!(master.accept().await.read_report().await, 0, "and comes again");
}

#[tokio::test]
async fn an_empty_log_begins_where_the_masters_does_and_stays_there_h011() {
    let (master, mut slave) = (Master::new().await, TestStore::slave());
    let start = 3 * SEGMENT_BYTES;
    let copying = Copying::into(&slave, &master.address);
    let mut peer = master.accept().await;
    assert_eq!(peer.read_report().await, 0);
    let first = record(start, 700, "first");
    peer.say(&batch(start, &first)).await;
    let end = start + first.len() as u64;
    assert_eq!(peer.read_report().await, end);
    assert_eq!((slave.log(), pulled(&slave.store())), (first.clone(), 701));
    copying.stop().await;
    slave.reopen();
    assert_eq!(slave.store().log_range(), (offset(start), offset(end)));
    assert_eq!((slave.log(), pulled(&slave.store())), (first, 701));
    slave.store().append_copied(offset(end), &record(end, 701, "second")).unwrap();
    assert_eq!(pulled(&slave.store()), 702);
}

#[tokio::test]
async fn segments_of_another_size_are_a_conflict() {
    let larger = |options: &mut StoreOptions| options.segment_bytes *= 2;
    for (owner, copier) in [(TestStore::master(), TestStore::new(StoreRole::Slave, larger)), {
        (TestStore::new(StoreRole::Master, larger), TestStore::slave())
    }] {
        owner.grow(4, 3000).await;
        let port = Port::of(&owner).await;
        let copying = Copying::of(&copier, &port);
        let state = copying.until("conflict", |state| state.phase == Phase::Conflict).await;
        assert!(state.last_error.unwrap().contains("segment_bytes"));
    }
}

#[tokio::test(start_paused = true)]
async fn that_nobody_names_the_master_any_more_changes_nothing() {
    let (master, slave) = (Master::new().await, TestStore::slave());
    let copying = Copying::into(&slave, &master.address);
    let mut peer = master.accept().await;
    peer.read_report().await;
    let named = copying.master.send_replace(None);
    copying.master.send_replace(named);
    let first = record(0, 0, "a");
    peer.say(&batch(0, &first)).await;
    assert_eq!(peer.read_report().await, first.len() as u64);
}

#[tokio::test]
async fn a_slaves_store_takes_nothing_of_its_own() {
    let slave = TestStore::slave();
    let refused = slave.store().append(message("a"), true).await;
    assert_eq!(refused, Err(crate::store::AppendError::IsSlave));
}

/// What a node of the group says in its start step.
fn starting(node: &str) -> Hello {
    let (group, role) = ("broker-a".to_owned(), "starting".to_owned());
    Hello { group, role, node: node.to_owned(), ..Hello::default() }
}

#[tokio::test(start_paused = true)]
async fn that_another_node_starts_does_not_end_the_masters_stream() {
    let (master, slave) = (Master::new().await, TestStore::slave());
    let _copying = Copying::into(&slave, &master.address);
    let mut peer = master.accept().await;
    assert_eq!(peer.read_report().await, 0);
    let other = starting("00000000000000fe");
    let _ = slave.member().answer_hello(&other, "127.0.0.1:9".parse().unwrap());
    let first = record(0, 0, "first");
    peer.say(&batch(0, &first)).await;
    assert_eq!(peer.read_report().await, first.len() as u64);
}

#[tokio::test(start_paused = true)]
async fn what_is_still_on_its_way_from_a_master_that_starts_again_is_not_taken() {
    let (master, slave) = (Master::new().await, TestStore::slave());
    let _copying = Copying::into(&slave, &master.address);
    let mut peer = master.accept().await;
    let first = record(0, 0, "first");
    let end = first.len() as u64;
    peer.say(&batch(0, &first)).await;
    assert_eq!((peer.read_report().await, peer.read_report().await), (0, end));
    let starting = starting("00000000000000ff");
    let answer = slave.member().answer_hello(&starting, "127.0.0.1:9".parse().unwrap());
    assert_eq!(answer.max_offset, end);
    peer.say(&batch(end, &record(end, 1, "late"))).await;
    assert!(peer.is_closed().await);
    assert_eq!(slave.log(), first);
    assert_eq!(master.accept().await.read_report().await, end, "and comes again");
}
