//! What senders are told when slaves are to have their messages (H-030 to H-034).

use std::sync::Arc;
use std::time::Duration;

use super::tests_support::*;
use crate::store::options::{FlushMode, StoreRole};
use crate::store::{Durability, StoreOptions};

fn sync_master(slaves: usize) -> TestStore {
    TestStore::new(StoreRole::Master, |options| options.in_sync_min = slaves)
}

/// A message whose sender waits.
fn sending(master: &TestStore) -> tokio::sync::oneshot::Receiver<Durability> {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let done = move |result: crate::store::AppendResult| sender.send(result.unwrap().1).unwrap();
    master.store().enqueue(&[message("x")], true, Box::new(done));
    master.store().write_enqueued();
    receiver
}

#[tokio::test]
async fn without_a_slave_the_answer_is_11_at_once_and_the_message_is_stored_h030() {
    let master = sync_master(1);
    assert_eq!(master.append("a").await.1, Durability::SlaveNotAvailable);
    assert_eq!(pulled(&master.store()), 1);
    // H-033.
    let (_, durability) = master.store().append(message("b"), false).await.unwrap();
    assert_eq!(durability, Durability::Reached);
}

#[tokio::test]
async fn a_sender_is_told_when_the_slave_has_it_and_not_before() {
    let master = sync_master(1);
    master.append("a").await;
    let slave = master.store().replica(offset(master.end()));
    let (mut first, second) = (sending(&master), sending(&master));
    let middle = master.end() - record(0, 0, "x").len() as u64;
    slave.acknowledge(middle - 1);
    assert!(first.try_recv().is_err());
    slave.acknowledge(middle);
    assert_eq!(first.await, Ok(Durability::Reached));
    slave.acknowledge(master.end());
    assert_eq!(second.await, Ok(Durability::Reached));
}

#[tokio::test]
async fn a_slave_that_is_late_is_answered_12_when_its_time_is_over_h031() {
    let master = sync_master(1);
    let slave = master.store().replica(offset(0));
    let waiting = sending(&master);
    master.clock.advance(Duration::from_millis(3000));
    assert_eq!(waiting.await, Ok(Durability::SlaveTimeout));
    // One that went away while it was waited for is late too.
    let waiting = sending(&master);
    drop(slave);
    master.clock.advance(Duration::from_millis(3000));
    assert_eq!(waiting.await, Ok(Durability::SlaveTimeout));
    assert_eq!(master.append("a").await.1, Durability::SlaveNotAvailable);
}

#[tokio::test]
async fn what_a_slave_says_first_is_where_it_is_but_acknowledges_nothing_h007() {
    let master = TestStore::new(StoreRole::Master, |options| {
        options.in_sync_min = 1;
        options.slave_behind_bytes_max = 1000;
    });
    master.grow(1, 3000).await;
    let far = master.store().replica(offset(0));
    assert_eq!(master.append("a").await.1, Durability::SlaveNotAvailable, "too far behind");
    drop(far);
    let near = master.store().replica(offset(u64::MAX));
    let mut waiting = sending(&master);
    assert!(waiting.try_recv().is_err());
    near.acknowledge(master.end());
    assert_eq!(waiting.await, Ok(Durability::Reached));
}

#[tokio::test]
async fn as_many_slaves_as_asked_for_must_have_it() {
    let master = sync_master(2);
    let one = master.store().replica(offset(0));
    assert_eq!(master.append("a").await.1, Durability::SlaveNotAvailable);
    let two = master.store().replica(offset(0));
    let mut waiting = sending(&master);
    one.acknowledge(master.end());
    assert!(waiting.try_recv().is_err());
    two.acknowledge(master.end());
    assert_eq!(waiting.await, Ok(Durability::Reached));
}

#[tokio::test]
async fn flush_and_slaves_are_waited_for_together_and_the_slaves_word_counts_h034() {
    let both = |options: &mut StoreOptions| {
        options.in_sync_min = 1;
        options.flush = FlushMode::Sync;
    };
    let master = TestStore::new(StoreRole::Master, both);
    assert_eq!(master.append("a").await.1, Durability::SlaveNotAvailable);
    assert_eq!(master.store().flushed_to().0, master.end(), "flushed all the same");
    let slave = master.store().replica(offset(master.end()));
    let waiting = sending(&master);
    slave.acknowledge(master.end());
    assert_eq!(waiting.await, Ok(Durability::Reached));
    assert_eq!(master.store().flushed_to().0, master.end());
    let waiting = sending(&master);
    // Its flush is over, its slave's time then too.
    let store = master.store();
    wait_until("flushed", || (store.flushed_to().0 == master.end()).then_some(())).await;
    master.clock.advance(Duration::from_millis(3000));
    assert_eq!(waiting.await, Ok(Durability::SlaveTimeout));
}

#[tokio::test]
async fn who_still_waits_when_the_store_stops_is_told() {
    let master = sync_master(1);
    let _slave = master.store().replica(offset(0));
    let waiting = sending(&master);
    let store = master.store();
    crate::task::spawn_blocking("stop", move || store.stop()).await.unwrap();
    assert_eq!(waiting.await, Ok(Durability::SlaveTimeout));
}

#[tokio::test]
async fn a_real_slave_lets_many_senders_go_on() {
    let (master, slave) = (sync_master(1), TestStore::slave());
    let port = Port::of(&master).await;
    let copying = Copying::of(&slave, &port);
    wait_until("connected", || (port.sender.slaves().len() == 1).then_some(())).await;
    let waiting: Vec<_> = (0..200).map(|_| sending(&master)).collect();
    for one in waiting {
        assert_eq!(one.await, Ok(Durability::Reached));
    }
    assert_eq!(slave.log(), master.log());
    copying.stop().await;
    drop(Arc::clone(&port.sender));
}
