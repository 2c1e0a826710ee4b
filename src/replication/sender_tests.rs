//! The sender against slaves that the tests speak for, and against our own.

use super::Phase;
use super::tests_support::*;
use super::wire;

#[tokio::test]
async fn a_slave_gets_every_byte_blank_tails_too_and_its_queues_follow_h015() {
    let (master, slave) = (TestStore::master(), TestStore::slave());
    master.grow(3, 3000).await;
    let port = Port::of(&master).await;
    let copying = Copying::into(&slave, &port.address);
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
