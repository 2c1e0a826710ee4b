//! A slave's decisions, row by row.

use super::super::history::EpochNumber;
use super::*;

fn epoch(promotions: u32, restarts: u32, start: u64) -> Epoch {
    let number = EpochNumber { promotions, restarts };
    Epoch { number, node: NodeId(1), start, nonce: 1, sync: false }
}

fn log(epochs: &[Epoch], start: u64, end: u64) -> Log {
    Log { history: History::new(epochs.to_vec()).unwrap(), start, end }
}

fn own(epochs: &[Epoch], start: u64, end: u64) -> OwnLog {
    OwnLog { log: log(epochs, start, end), segment_bytes: 64, newest_slice_start: 0 }
}

fn master(epochs: &[Epoch], start: u64, end: u64) -> PeerView {
    let log = log(epochs, start, end);
    PeerView { node: Some(NodeId(1)), role: PeerRole::Master, segment_bytes: 64, log }
}

fn conflict_of(decision: Follow) -> Conflict {
    match decision {
        Follow::Conflict { reason } => reason,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_log_that_is_the_beginning_of_the_masters_is_streamed_and_takes_its_history() {
    let (a, b) = (epoch(0, 0, 0), epoch(0, 1, 80));
    let master = master(&[a, b], 0, 100);
    let adopt = master.log.history.clone();
    for own in [own(&[a], 0, 80), own(&[a], 0, 10), own(&[a, b], 0, 100), own(&[], 0, 0)] {
        assert_eq!(follow(&own, &master, None), Follow::Stream { adopt: adopt.clone() });
    }
}

#[test]
fn a_node_that_does_not_serve_or_has_other_segments_is_not_followed() {
    let slave = own(&[], 0, 0);
    for role in [PeerRole::Starting, PeerRole::Slave, PeerRole::Down] {
        let peer = PeerView { role, ..master(&[], 0, 0) };
        assert_eq!(follow(&slave, &peer, None), Follow::NotAMaster);
    }
    let peer = PeerView { segment_bytes: 128, ..master(&[], 0, 0) };
    let expected = Follow::WrongSegmentSize { own: 64, master: 128 };
    assert_eq!(follow(&slave, &peer, None), expected);
}

#[test]
fn what_the_master_no_longer_has_is_behind_its_minimum() {
    let a = epoch(0, 0, 0);
    let decision = follow(&own(&[a], 0, 30), &master(&[a], 64, 100), None);
    assert_eq!(decision, Follow::BehindMinimum { end: 30, minimum: 64 });
    let empty = follow(&own(&[], 0, 0), &master(&[a], 64, 100), None);
    assert!(matches!(empty, Follow::Stream { .. }));
}

#[test]
fn an_asynchronous_tail_of_an_earlier_epoch_in_the_newest_slice_is_cut() {
    let (a, b) = (epoch(0, 0, 0), epoch(0, 1, 50));
    for master in [master(&[a, b], 0, 50), master(&[a, b], 0, 90)] {
        let adopt = master.log.history.clone();
        let mut slave = own(&[a], 0, 80);
        slave.newest_slice_start = 50;
        let cut = Follow::Cut { to: 50, adopt };
        assert_eq!(follow(&slave, &master, None), cut);
        slave.newest_slice_start = 51;
        let refused = conflict_of(follow(&slave, &master, None));
        assert_eq!(refused, Conflict::TooMuch { at: 50, end: 80, newest_slice_start: 51 });
        let text = refused.to_string();
        assert!(text.contains("part at offset 50: 30 bytes behind it would be cut"), "{text}");
    }
}

#[test]
fn what_was_written_under_sync_replication_is_never_cut() {
    let sync = Epoch { sync: true, ..epoch(0, 1, 50) };
    let (a, later) = (epoch(0, 0, 0), epoch(0, 2, 60));
    let slave = own(&[a, sync], 0, 80);
    let refused = follow(&slave, &master(&[a, sync, later], 0, 90), None);
    assert_eq!(conflict_of(refused), Conflict::Sync { at: 60, end: 80 });
    let refused = follow(&slave, &master(&[a, epoch(0, 2, 40)], 0, 90), None);
    assert_eq!(conflict_of(refused), Conflict::Sync { at: 40, end: 80 });
    // What both have of it stays, so that the rest may be cut.
    let more = own(&[a, sync, epoch(0, 2, 80)], 0, 95);
    let cut = follow(&more, &master(&[a, sync, epoch(0, 3, 80)], 0, 90), None);
    assert!(matches!(cut, Follow::Cut { to: 80, .. }), "{cut:?}");
    // An epoch with no byte of its own is no reason.
    let empty = own(&[a, sync, epoch(0, 2, 50)], 0, 95);
    let cut = follow(&empty, &master(&[a, epoch(0, 3, 50)], 0, 90), None);
    assert!(matches!(cut, Follow::Cut { to: 50, .. }), "{cut:?}");
}

#[test]
fn a_master_with_an_earlier_epoch_makes_nobody_cut_or_follow() {
    let (a, b) = (epoch(0, 0, 0), epoch(0, 5, 50));
    let refused = follow(&own(&[a, b], 0, 80), &master(&[a, epoch(0, 4, 40)], 0, 90), None);
    assert!(matches!(conflict_of(refused), Conflict::NotOlder { at: 40, end: 80, .. }));
    let promoted = own(&[a, epoch(1, 0, 50)], 0, 50);
    let refused = follow(&promoted, &master(&[a], 0, 60), None);
    assert!(matches!(conflict_of(refused), Conflict::StaleMaster { .. }));
}

#[test]
fn logs_without_a_common_epoch_are_never_cut() {
    let (a, b) = (epoch(0, 0, 0), epoch(0, 1, 0));
    let refused = conflict_of(follow(&own(&[a], 0, 80), &master(&[b], 0, 90), None));
    assert_eq!(
        refused.to_string(),
        "this log (0 to 80) and the master's (0 to 90) have no epoch in common"
    );
    let refused = conflict_of(follow(&own(&[a], 0, 80), &master(&[b], 0, 0), None));
    assert_eq!(refused, Conflict::Longer { end: 80, master_end: 0 });
    let refused = conflict_of(follow(&own(&[], 80, 80), &master(&[b], 0, 70), None));
    assert_eq!(refused, Conflict::Longer { end: 80, master_end: 70 });
}

#[test]
fn with_a_plain_master_the_last_whole_record_decides() {
    let plain = PeerView { node: None, ..master(&[], 0, 90) };
    let slave = own(&[epoch(0, 0, 0)], 0, 80);
    assert_eq!(follow(&slave, &plain, None), Follow::CompareRecord { below: 80 });
    let equal = follow(&slave, &plain, Some(Compared::Equal));
    assert_eq!(equal, Follow::Stream { adopt: History::default() });
    let other = conflict_of(follow(&slave, &plain, Some(Compared::Different)));
    assert_eq!(other, Conflict::OtherRecord { below: 80 });
    let longer = own(&[epoch(0, 0, 0)], 0, 100);
    assert_eq!(follow(&longer, &plain, None), Follow::CompareRecord { below: 90 });
    let refused = conflict_of(follow(&longer, &plain, Some(Compared::Equal)));
    assert_eq!(refused, Conflict::Longer { end: 100, master_end: 90 });
    assert!(refused.to_string().contains("the 10 bytes between"), "{refused}");
}

#[test]
fn of_two_masters_the_earlier_epoch_yields() {
    let (low, high) = (epoch(0, 9, 0), epoch(1, 0, 0));
    assert_eq!((rival(&low, &high), rival(&high, &low)), (Rival::Yield, Rival::Stay));
    let other = Epoch { node: NodeId(2), ..low };
    assert_eq!((rival(&low, &other), rival(&other, &low)), (Rival::Yield, Rival::Stay));
    assert_eq!(rival(&low, &low), Rival::Yield, "a copied folder");
}
