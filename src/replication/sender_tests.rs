//! The sender against slaves that the tests speak for, and against our own.

use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::Instant;

use super::sender::{BATCH_BYTES_MAX, SLAVES_MAX};
use super::tests_support::*;
use super::{HEARTBEAT, Phase, SILENCE_MAX};
use crate::store::fault_disk::Fault;

#[tokio::test]
async fn a_slave_gets_every_byte_blank_tails_too_and_its_queues_follow_h015() {
    let (master, slave) = (TestStore::master(), TestStore::slave());
    master.grow(3, 3000).await;
    let port = Port::of(&master).await;
    let copying = Copying::of(&slave, &port);
    copying.until_at(master.end()).await;
    for body in ["a", "b"] {
        master.append(body).await;
    }
    copying.until_at(master.end()).await;
    assert_eq!(slave.log(), master.log());
    assert_eq!(pulled(&slave.store()), pulled(&master.store()));
    let state = copying.until("in sync", |state| state.phase == Phase::InSync).await;
    assert_eq!(state.last_error, None);
    let slaves = wait_until("acknowledged", || {
        Some(port.sender.slaves()).filter(|slaves| slaves[0].behind_bytes == 0)
    });
    assert_eq!(slaves.await[0].acknowledged_to, master.end());
}

#[tokio::test]
async fn batches_are_small_and_end_with_the_segment_h008() {
    let master = TestStore::master();
    master.grow(2, 3000).await;
    let port = Port::of(&master).await;
    for from in [1, 77, SEGMENT_BYTES - 1, SEGMENT_BYTES, SEGMENT_BYTES + 5] {
        // H-005: from anywhere, in the middle of a record too.
        let mut slave = port.dial().await;
        slave.report(i64::try_from(from).unwrap()).await;
        let mut at = from;
        let mut log = Vec::new();
        while at < master.end() {
            let (header, body) = slave.read_batch().await;
            assert_eq!(header, at);
            assert!(!body.is_empty() && body.len() <= BATCH_BYTES_MAX);
            at += body.len() as u64;
            assert_eq!((at - 1) / SEGMENT_BYTES, header / SEGMENT_BYTES, "of one segment");
            log.extend(body);
        }
        assert_eq!(log, master.log()[usize::try_from(from).unwrap()..]);
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_said_before_the_slave_has_said_where_it_is_h004() {
    let master = TestStore::master();
    master.append("a").await;
    let port = Port::of(&master).await;
    let mut slave = port.dial().await;
    slave.report(-1).await;
    let silent = tokio::time::timeout(Duration::from_secs(12), slave.read_batch()).await;
    assert!(silent.is_err(), "{silent:?}");
    assert_eq!(port.sender.slaves(), []);
    // H-006: only the last one counts, however they come.
    let end = master.end();
    slave.say(&[7u64.to_be_bytes(), end.to_be_bytes()].concat()).await;
    let appended = master.append("b").await.0;
    assert_eq!(slave.read_batch().await.0, appended.physical_offset.0);
}

#[tokio::test(start_paused = true)]
async fn a_heartbeat_is_sent_at_once_and_every_5_s_and_a_silent_slave_let_go_after_20_h009_h010() {
    let master = TestStore::master();
    master.append("a").await;
    let port = Port::of(&master).await;
    let mut slave = port.dial().await;
    let started = Instant::now();
    slave.report(i64::try_from(master.end()).unwrap()).await;
    for beat in 0..4 {
        assert_eq!(slave.read_batch().await, (master.end(), Vec::new()));
        assert!(started.elapsed() >= HEARTBEAT * beat, "{:?}", started.elapsed());
    }
    assert!(port.sender.slaves()[0].silent_for >= 2 * HEARTBEAT);
    // What is said keeps it.
    slave.report(i64::try_from(master.end()).unwrap()).await;
    let heard = Instant::now();
    let is_heard = || (port.sender.slaves()[0].silent_for < HEARTBEAT).then_some(());
    wait_until("heard", is_heard).await;
    while tokio::time::timeout(Duration::from_secs(1), slave.0.readable()).await.is_err()
        || !slave.skip_batch().await
    {}
    assert!(heard.elapsed() >= SILENCE_MAX, "{:?}", heard.elapsed());
    wait_until("forgotten", || port.sender.slaves().is_empty().then_some(())).await;
}

#[tokio::test]
async fn what_was_not_sent_cannot_be_acknowledged_h006_h007() {
    let master = TestStore::new(crate::store::options::StoreRole::Master, |options| {
        options.in_sync_min = 1;
    });
    master.append("a").await;
    let port = Port::of(&master).await;
    for lie in [i64::try_from(master.end() + 1).unwrap(), i64::MAX, -2] {
        let mut slave = port.dial().await;
        slave.report(0).await;
        slave.read_batch().await;
        slave.report(lie).await;
        assert!(slave.is_closed().await, "{lie}");
    }
}

#[tokio::test]
async fn a_slave_that_is_ahead_or_too_far_behind_learns_it_and_is_let_go_h018() {
    let master = TestStore::slave();
    master.store().append_copied(offset(SEGMENT_BYTES), &record(SEGMENT_BYTES, 0, "a")).unwrap();
    let (start, end) = (SEGMENT_BYTES, master.end());
    let port = Port::of(&master).await;
    for (says, learns) in [(end + 1, end), (u64::MAX - 1, end), (start - 1, start)] {
        let mut slave = port.dial().await;
        slave.report(says.cast_signed()).await;
        assert_eq!(slave.read_batch().await, (learns, Vec::new()), "{says}");
        assert!(slave.is_closed().await);
    }
    // An empty one gets everything there is.
    let mut slave = port.dial().await;
    slave.report(0).await;
    assert_eq!(slave.read_batch().await.0, start);
}

#[tokio::test]
async fn the_note_of_a_slave_that_has_greeted_again_stays() {
    let master = TestStore::master();
    master.append("a").await;
    let member = master.member();
    let noted = || !member.past().peers().is_empty();
    let (port, address) = (Port::of(&master).await, "127.0.0.1:7");
    let (first, second) = (port.dial_as(address).await, port.dial_as(address).await);
    assert!(noted());
    // The first one has ended, and the second one has not reported yet.
    member.lock_greeted().remove(&first.0.local_addr().unwrap());
    member.forget_peer(address);
    assert!(noted());
    drop(second);
    drop(first);
    wait_until("forgotten", || member.lock_greeted().is_empty().then_some(())).await;
    member.forget_peer(address);
    assert!(!noted());
}

#[tokio::test]
async fn a_history_is_announced_when_it_is_on_the_disk() {
    let slave = TestStore::slave();
    let member = slave.member();
    let histories = member.histories();
    let history = TestStore::master().member().past().history();
    let in_the_way = member.store().options().dir.join("epochs.json.tmp");
    std::fs::create_dir(&in_the_way).unwrap();
    member.follow_history(&history).unwrap_err();
    assert!(!histories.has_changed().unwrap());
    std::fs::remove_dir(&in_the_way).unwrap();
    member.follow_history(&history).unwrap();
    assert!(histories.has_changed().unwrap() && member.past().history() == history);
}

#[tokio::test]
async fn connections_that_say_nothing_keep_no_slave_out() {
    let master = TestStore::master();
    master.append("a").await;
    let port = Port::of(&master).await;
    let mut known = port.dial().await;
    known.report(0).await;
    known.read_batch().await;
    let mut idle = Vec::new();
    for _ in 1..SLAVES_MAX {
        idle.push(Peer(TcpStream::connect(&port.address).await.unwrap()));
    }
    let mut slave = port.dial().await;
    slave.report(0).await;
    assert_eq!(slave.read_batch().await.0, 0);
    assert!(idle[0].is_closed().await, "the oldest of them");
    assert_eq!(port.sender.slaves().len(), 2);
}

#[tokio::test]
async fn a_slave_that_does_not_read_delays_nobody() {
    let master = TestStore::master();
    let port = Port::of(&master).await;
    let mut stuck = port.dial().await;
    stuck.report(0).await;
    master.grow(120, 30_000).await;
    let slave = TestStore::slave();
    let copying = Copying::of(&slave, &port);
    copying.until_at(master.end()).await;
    let slaves = port.sender.slaves();
    assert!(slaves.iter().any(|slave| slave.sent_to < master.end()), "{slaves:?}");
}

#[tokio::test]
async fn slaves_and_masters_come_and_go_and_nothing_is_missing() {
    let (mut master, mut slave) = (TestStore::master(), TestStore::slave());
    let mut address = "127.0.0.1:0".to_owned();
    for _ in 0..3 {
        let port = Port::at(&master, &address).await;
        address.clone_from(&port.address);
        let copying = Copying::of(&slave, &port);
        master.grow(1, 2000).await;
        copying.until_at(master.end()).await;
        copying.stop().await;
        master.append("while it is away").await;
        slave.reopen();
        port.close().await;
        master.reopen();
    }
    let port = Port::at(&master, &address).await;
    let copying = Copying::of(&slave, &port);
    copying.until_at(master.end()).await;
    assert_eq!(slave.log(), master.log());
    assert_eq!(pulled(&slave.store()), pulled(&master.store()));
    copying.stop().await;
    port.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_hole_in_the_masters_log_costs_its_messages_only() {
    let (master, slave) = (TestStore::master(), TestStore::slave());
    master.grow(3, 3000).await;
    let messages = pulled(&master.store());
    // In a body, in a size, and in the blank record's way: from within a record to the next segment's beginning.
    let size = record(0, 0, &"x".repeat(3000)).len() as u64;
    master.damage(2 * size + 100, &[0]);
    master.damage(SEGMENT_BYTES + 5 * size, &[0x7F]);
    let last = 2 * SEGMENT_BYTES + 15 * size;
    master.damage(last, &vec![0; usize::try_from(3 * SEGMENT_BYTES - last).unwrap()]);
    let port = Port::of(&master).await;
    let copying = Copying::of(&slave, &port);
    copying.until_at(master.end()).await;
    assert_eq!(slave.log(), master.log());
    assert_eq!(pulled(&slave.store()), messages);
    let state = copying.receiver.state();
    assert_eq!(state.hole_bytes, 2 * size + (3 * SEGMENT_BYTES - last), "{state:?}");
    // Consumers are led over the holes, as over those that a recovery finds.
    let lost = 2 + (SEGMENT_BYTES / size - 15);
    assert_eq!(bodies(&slave.store()).len() as u64, messages - lost);
    master.append("after").await;
    copying.until_at(master.end()).await;
    assert_eq!(bodies(&slave.store()).last().unwrap(), "after");
}

#[tokio::test]
async fn a_slave_whose_disk_is_full_leaves_and_comes_again_when_there_is_room() {
    let (master, slave) = (TestStore::master(), TestStore::slave());
    master.append("before").await;
    let port = Port::of(&master).await;
    let copying = Copying::of(&slave, &port);
    copying.until_at(master.end()).await;
    slave.disk.set_fault(Some(Fault::Full(0)));
    let end = slave.end();
    master.append("during").await;
    let state = copying.until("full", |state| state.phase == Phase::DiskFull).await;
    assert_eq!((state.copied_to, state.last_error.as_deref()), (end, Some("the disk is full")));
    wait_until("it is gone", || port.sender.slaves().is_empty().then_some(())).await;
    // A master with other slaves goes on; this one costs it nothing.
    master.grow(2, 3000).await;
    assert_eq!(copying.receiver.state().phase, Phase::DiskFull);
    slave.disk.set_fault(None);
    copying.until_at(master.end()).await;
    copying.until("in sync", |state| state.phase == Phase::InSync).await;
    assert_eq!(slave.log(), master.log());
}
