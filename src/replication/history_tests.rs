//! Histories and relations, row by row; and any two logs that real masters could have written.

use proptest::prelude::*;

use super::*;

/// An epoch with the number 0.`restarts`.
fn epoch(restarts: u32, start: u64) -> Epoch {
    let number = EpochNumber { promotions: 0, restarts };
    Epoch { number, node: NodeId(u64::from(restarts)), start, nonce: 7, sync: false }
}

/// A log with epochs of the given numbers and starts.
fn log(epochs: &[(u32, u64)], start: u64, end: u64) -> Log {
    let epochs = epochs.iter().map(|(restarts, start)| epoch(*restarts, *start)).collect();
    Log { history: History::new(epochs).unwrap(), start, end }
}

fn relations(ours: &Log, theirs: &Log) -> (Relation, Relation) {
    (relation(ours, theirs), relation(theirs, ours))
}

#[test]
fn numbers_are_ordered_by_promotions_then_restarts() {
    let number = |promotions, restarts| EpochNumber { promotions, restarts };
    assert!(number(1, 0) > number(0, 9));
    assert_eq!(number(1, 2).after_restart(), Some(number(1, 3)));
    assert_eq!(number(1, 2).after_promotion(), Some(number(2, 0)));
    assert_eq!(number(1, u32::MAX).after_restart(), Some(number(2, 0)));
    assert_eq!(number(u32::MAX, u32::MAX).after_restart(), None);
    let (mut low, mut high) = (epoch(3, 0), epoch(3, 0));
    (low.node, high.node) = (NodeId(1), NodeId(2));
    assert!(low.rank() < high.rank());
}

#[test]
fn json_is_checked_and_says_node_ids_in_hex() {
    let history = log(&[(1, 0), (2, 50)], 0, 0).history;
    let json = serde_json::to_string(&history).unwrap();
    assert!(json.contains("\"node\":\"0000000000000001\""), "{json}");
    assert_eq!(serde_json::from_str::<History>(&json).unwrap(), history);
    let swapped = serde_json::to_string(&[epoch(2, 0), epoch(1, 0)]).unwrap();
    let error = serde_json::from_str::<History>(&swapped).unwrap_err().to_string();
    assert!(error.contains("epoch 0.1 of node 0000000000000001 from offset 0 cannot"), "{error}");
    for bad in ["", "1", "+00000000000000a", "0000000000000001x", "gggggggggggggggg"] {
        assert!(bad.parse::<NodeId>().is_err(), "{bad}");
    }
}

#[test]
fn what_is_not_in_order_or_too_long_is_refused() {
    let order = |epochs: [Epoch; 2]| History::new(epochs.to_vec()).is_ok();
    assert!(order([epoch(1, 5), epoch(2, 5)]), "the first one is empty");
    assert!(!order([epoch(1, 5), epoch(2, 4)]));
    assert!(!order([epoch(1, 5), epoch(1, 6)]));
    let many: Vec<Epoch> = (0..1001).map(|at| epoch(at, 0)).collect();
    assert_eq!(History::new(many), Err(HistoryError::TooLong(1001)));
}

#[test]
fn beginning_an_epoch_forgets_empty_ones_and_then_the_oldest() {
    let history = log(&[(1, 0), (2, 50), (3, 90)], 0, 0).history;
    let begun = history.begin(epoch(4, 50)).unwrap();
    assert_eq!(begun, log(&[(1, 0), (4, 50)], 0, 0).history);
    assert!(history.begin(epoch(2, 100)).is_err(), "the number is not above the others");
    let mut long = History::default();
    for at in 0..1500 {
        long = long.begin(epoch(at, u64::from(at) * 10)).unwrap();
    }
    assert_eq!((long.epochs().len(), long.epochs()[0]), (1000, epoch(500, 5000)));
}

#[test]
fn a_byte_is_of_the_last_epoch_that_starts_at_or_below_it() {
    let history = log(&[(1, 10), (2, 50), (3, 50), (4, 90)], 0, 0).history;
    let at = |offset| history.at(offset).map(|epoch| epoch.number.restarts);
    assert_eq!([at(9), at(10), at(49), at(50), at(90)], [None, Some(1), Some(1), Some(3), Some(4)]);
}

#[test]
fn an_empty_log_is_the_beginning_of_every_other() {
    let (full, empty) = (log(&[(1, 0)], 0, 10), log(&[], 0, 0));
    let begun = log(&[(9, 40)], 40, 40);
    assert_eq!(relations(&empty, &full), (Relation::Behind, Relation::Ahead));
    assert_eq!(relations(&begun, &full), (Relation::Behind, Relation::Ahead));
    assert_eq!(relations(&begun, &empty), (Relation::Same, Relation::Same));
}

#[test]
fn within_a_shared_epoch_the_shorter_log_is_the_beginning() {
    let ours = log(&[(1, 0), (2, 50)], 0, 80);
    assert_eq!(relation(&ours, &ours), Relation::Same);
    let cases = [
        (log(&[(1, 0), (2, 50)], 60, 90), Relation::Behind),
        (log(&[(1, 0)], 0, 50), Relation::Ahead),
        (log(&[(1, 0)], 0, 40), Relation::Ahead),
        // It has epochs of which it has no byte.
        (log(&[(1, 0), (2, 50), (3, 80)], 0, 20), Relation::Ahead),
        // The latest shared epoch says that all below it is equal, whatever either forgot.
        (log(&[(2, 50), (3, 80)], 0, 99), Relation::Behind),
        (log(&[(2, 50)], 0, 30), Relation::Ahead),
        // An epoch of theirs that is empty is no difference.
        (log(&[(1, 0), (3, 30)], 0, 30), Relation::Ahead),
    ];
    for (theirs, expected) in cases {
        assert_eq!(relation(&ours, &theirs), expected, "{theirs:?}");
    }
}

#[test]
fn logs_part_where_the_shared_epoch_ends_in_either() {
    let parted = |at| (Relation::Parted { at }, Relation::Parted { at });
    let ours = log(&[(1, 0), (2, 50)], 0, 80);
    assert_eq!(relations(&ours, &log(&[(1, 0), (3, 60)], 0, 70)), parted(50));
    assert_eq!(relations(&ours, &log(&[(1, 0), (3, 30)], 0, 31)), parted(30));
    assert_eq!(relations(&ours, &log(&[(1, 0)], 0, 51)), parted(50));
    // Of one number, but another epoch.
    let mut again = epoch(2, 50);
    again.nonce += 1;
    let history = History::new(vec![epoch(1, 0), again]).unwrap();
    assert_eq!(relations(&ours, &Log { history, start: 0, end: 80 }), parted(50));
}

#[test]
fn without_a_shared_epoch_a_record_tells_unless_the_epochs_do() {
    let unknown = |below| (Relation::Unknown { below }, Relation::Unknown { below });
    let ours = log(&[(1, 50)], 0, 80);
    assert_eq!(relations(&ours, &log(&[], 0, 70)), unknown(70));
    assert_eq!(relations(&ours, &log(&[], 0, 90)), unknown(80));
    assert_eq!(relations(&ours, &log(&[(2, 70)], 0, 70)), unknown(70));
    assert_eq!(relations(&ours, &log(&[(2, 20)], 0, 50)), unknown(50));
    let unrelated = (Relation::Unrelated, Relation::Unrelated);
    assert_eq!(relations(&ours, &log(&[(2, 70)], 0, 71)), unrelated);
    assert_eq!(relations(&ours, &log(&[(2, 20)], 0, 51)), unrelated);
}

/// A log as bytes that say who wrote them, and its history.
#[derive(Clone, Debug, Default)]
struct Written {
    log: Log,
    bytes: Vec<u32>,
}

impl Written {
    /// Begins an epoch at the end, or below it as if a tail had been lost, and writes.
    fn write(&mut self, writer: u32, lost: usize, count: usize) {
        self.bytes.truncate(self.bytes.len().saturating_sub(lost));
        let begun = epoch(writer, self.bytes.len() as u64);
        self.log.history = self.log.history.begin(begun).unwrap();
        self.bytes.extend(std::iter::repeat_n(writer, count));
        self.log.end = self.bytes.len() as u64;
    }
}

proptest! {
    #[test]
    fn relations_of_logs_with_a_common_past_are_those_of_their_bytes(
        common in prop::collection::vec((0usize..5, 0usize..9), 1..4),
        alone in prop::collection::vec((any::<bool>(), 0usize..5, 0usize..9), 0..5),
        lost in (0usize..9, 0usize..9),
    ) {
        let mut ours = Written::default();
        ours.write(1, 0, 3);
        let mut writer = 1;
        let mut next = || { writer += 1; writer };
        for (lost, count) in common {
            ours.write(next(), lost, count);
        }
        let mut theirs = ours.clone();
        for (is_ours, lost, count) in alone {
            let log = if is_ours { &mut ours } else { &mut theirs };
            log.write(next(), lost, count);
        }
        for (log, lost) in [(&mut ours, lost.0), (&mut theirs, lost.1)] {
            log.bytes.truncate(log.bytes.len().saturating_sub(lost));
            log.log.end = log.bytes.len() as u64;
        }
        let equal = ours.bytes.iter().zip(&theirs.bytes).take_while(|(a, b)| a == b).count();
        let expected = match (ours.bytes.len() == equal, theirs.bytes.len() == equal) {
            (true, true) => Relation::Same,
            (true, false) => Relation::Behind,
            (false, true) => Relation::Ahead,
            (false, false) => Relation::Parted { at: equal as u64 },
        };
        let found = relation(&ours.log, &theirs.log);
        let is_unrelated = equal == 0 && found == Relation::Unrelated;
        prop_assert!(found == expected || is_unrelated, "{found:?}, not {expected:?}");
    }
}
