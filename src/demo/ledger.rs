//! Which numbers were sent, acknowledged, received and found again: what the closing count is made of.
//!
//! Invariant: only numbers that were given out count, so whatever else comes takes no memory.

/// What became of one number.
#[derive(Clone, Copy, Debug, Default)]
struct Fate {
    acknowledged: bool,
    received: u16,
    stored: bool,
}

/// The fates of all numbers, from 0.
#[derive(Debug, Default)]
pub struct Ledger {
    fates: Vec<Fate>,
    count: Count,
}

/// The sums.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Numbers that a broker acknowledged.
    pub acknowledged: u64,
    /// Of these, those that the consumer got at least once.
    pub received: u64,
    /// Deliveries of a number after its first one.
    pub duplicates: u64,
    /// Of the acknowledged ones, those that a master still has at the end: what came before a kill may be lost in it.
    pub stored: u64,
    /// Numbers that came although no broker had acknowledged them: its answer was lost.
    pub unacknowledged: u64,
}

impl Count {
    /// Acknowledged numbers that did not come.
    #[must_use]
    pub fn missing(&self) -> u64 {
        self.acknowledged - self.received
    }

    /// Whether everything that was acknowledged came, and is still there.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.received == self.acknowledged && self.stored == self.acknowledged
    }
}

impl Ledger {
    /// A number to send.
    pub fn next(&mut self) -> u64 {
        self.fates.push(Fate::default());
        u64::try_from(self.fates.len() - 1).unwrap_or(u64::MAX)
    }

    /// A broker said that it has the number.
    pub fn acknowledge(&mut self, number: u64) {
        let Some(fate) = at(&mut self.fates, number).filter(|fate| !fate.acknowledged) else {
            return;
        };
        fate.acknowledged = true;
        self.count.acknowledged += 1;
        if fate.received > 0 {
            // The consumer was faster than the answer.
            self.count.received += 1;
            self.count.unacknowledged -= 1;
        }
    }

    /// The consumer got the number; whether that was one of ours.
    pub fn receive(&mut self, number: u64) -> bool {
        let Some(fate) = at(&mut self.fates, number) else { return false };
        match fate {
            Fate { received: 0, acknowledged: true, .. } => self.count.received += 1,
            Fate { received: 0, acknowledged: false, .. } => self.count.unacknowledged += 1,
            _ => self.count.duplicates += 1,
        }
        fate.received = fate.received.saturating_add(1);
        true
    }

    /// A master has the number, after all messages were sent.
    pub fn find(&mut self, number: u64) {
        if let Some(fate) = at(&mut self.fates, number).filter(|fate| !fate.stored) {
            fate.stored = true;
            self.count.stored += u64::from(fate.acknowledged);
        }
    }

    /// The sums so far.
    #[must_use]
    pub fn count(&self) -> Count {
        self.count
    }

    /// Some of the acknowledged numbers that did not come or are not there any more, the first ones.
    #[must_use]
    pub fn missing(&self, most: usize) -> Vec<usize> {
        let is_missing = |fate: &Fate| fate.acknowledged && (fate.received == 0 || !fate.stored);
        let all = self.fates.iter().enumerate().filter(|(_, fate)| is_missing(fate));
        all.map(|(number, _)| number).take(most).collect()
    }
}

fn at(fates: &mut [Fate], number: u64) -> Option<&mut Fate> {
    fates.get_mut(usize::try_from(number).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_acknowledged_and_did_not_come_is_missing() {
        let mut ledger = Ledger::default();
        let numbers: Vec<u64> = (0..4).map(|_| ledger.next()).collect();
        assert_eq!(numbers, [0, 1, 2, 3]);
        for number in [0, 1, 3] {
            ledger.acknowledge(number);
            ledger.find(number);
        }
        assert!(ledger.receive(0));
        let count = ledger.count();
        assert_eq!((count.acknowledged, count.received, count.missing()), (3, 1, 2));
        assert!(!count.is_whole());
        assert_eq!(ledger.missing(1), [1]);
        assert_eq!(ledger.missing(9), [1, 3]);
        ledger.receive(1);
        ledger.receive(3);
        assert!(ledger.count().is_whole());
    }

    #[test]
    fn what_came_and_is_not_there_any_more_is_missing_too() {
        let mut ledger = Ledger::default();
        for number in [ledger.next(), ledger.next()] {
            ledger.acknowledge(number);
            ledger.receive(number);
        }
        for _ in 0..2 {
            ledger.find(1);
        }
        let count = ledger.count();
        assert_eq!((count.missing(), count.stored, count.is_whole()), (0, 1, false));
        assert_eq!(ledger.missing(9), [0]);
    }

    #[test]
    fn a_number_counts_once_and_its_repetitions_are_duplicates() {
        let mut ledger = Ledger::default();
        ledger.next();
        // It comes before its answer, and again.
        ledger.receive(0);
        assert_eq!(ledger.count().unacknowledged, 1);
        for _ in 0..2 {
            ledger.acknowledge(0);
            ledger.receive(0);
        }
        let expected = Count { acknowledged: 1, received: 1, duplicates: 2, ..Count::default() };
        assert_eq!(ledger.count(), expected);
    }

    #[test]
    fn an_answer_that_was_lost_is_told_apart_from_a_lost_message() {
        let mut ledger = Ledger::default();
        ledger.next();
        ledger.receive(0);
        ledger.find(0);
        let expected = Count { unacknowledged: 1, ..Count::default() };
        assert_eq!((ledger.count(), ledger.missing(9).len()), (expected, 0));
    }

    #[test]
    fn numbers_that_were_never_given_out_do_not_count() {
        let mut ledger = Ledger::default();
        assert!(!ledger.receive(u64::MAX));
        ledger.acknowledge(7);
        assert_eq!(ledger.count(), Count::default());
    }
}
