//! Who wrote which bytes of a group's log: epochs, and how two logs relate by them.
//!
//! No I/O, no clock. A master begins an epoch at every start, and only it writes in it; slaves copy. So the bytes of an
//! epoch that two logs share are equal as far as both have them, and so is all below its start, because an epoch
//! is taken over only after the logs were compared. A byte belongs to the last epoch whose start is not above it; bytes
//! before the first epoch are nobody's (an adopted store, a 4.9.4 master, a history that became too long).
//! Invariants of a [`History`]: starts never decrease, numbers increase, at most [`EPOCHS_MAX`] epochs.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// How many epochs are kept. The oldest are forgotten beyond it: their bytes become nobody's, which costs a comparison
/// of records with a peer that has not been seen since, and is never less safe.
pub const EPOCHS_MAX: usize = 1000;

/// A node's folder of one group: drawn at random when the folder is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NodeId(pub u64);

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl FromStr for NodeId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_hex = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let number = is_hex.then(|| u64::from_str_radix(text, 16).ok()).flatten();
        number.map(Self).ok_or_else(|| "a node id has 16 hex digits".to_owned())
    }
}

impl TryFrom<String> for NodeId {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<NodeId> for String {
    fn from(id: NodeId) -> Self {
        id.to_string()
    }
}

/// Which epoch is the later one.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct EpochNumber {
    /// How often a slave became master.
    pub promotions: u32,
    /// How often the master started since.
    pub restarts: u32,
}

impl fmt::Display for EpochNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.promotions, self.restarts)
    }
}

impl EpochNumber {
    /// The next one of a master that starts again; `None` if the numbers are used up.
    #[must_use]
    pub fn after_restart(self) -> Option<Self> {
        match self.restarts.checked_add(1) {
            Some(restarts) => Some(Self { restarts, ..self }),
            None => self.after_promotion(),
        }
    }

    /// The next one of a slave that becomes master; `None` if the numbers are used up.
    #[must_use]
    pub fn after_promotion(self) -> Option<Self> {
        Some(Self { promotions: self.promotions.checked_add(1)?, restarts: 0 })
    }
}

/// What one master wrote between two starts. Two epochs are the same one if all fields are equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Epoch {
    /// Which is later.
    pub number: EpochNumber,
    /// Who wrote.
    pub node: NodeId,
    /// The offset of its first byte.
    pub start: u64,
    /// Drawn at random when it begins: a node that was restored from a backup may begin the same number at the same
    /// offset once more, and what it writes then is something else.
    pub nonce: u32,
    /// Senders were told of success after a slave had the message (`replication = "sync"`): what was written then is
    /// never cut.
    pub sync: bool,
}

impl Epoch {
    /// What is later is greater; of one number, the greater node id.
    #[must_use]
    pub fn rank(&self) -> (EpochNumber, NodeId) {
        (self.number, self.node)
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of node {} from offset {}", self.number, self.node, self.start)
    }
}

/// Why some epochs are no history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HistoryError {
    /// Too long.
    #[error("a history of {0} epochs, more than {EPOCHS_MAX}")]
    TooLong(usize),
    /// Not in order.
    #[error("epoch {later} cannot follow epoch {earlier}")]
    Order {
        /// The one before.
        earlier: Epoch,
        /// The one that does not fit behind it.
        later: Epoch,
    },
}

/// The epochs of a log, oldest first. It may name epochs from which the log has no byte yet.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<Epoch>", into = "Vec<Epoch>")]
pub struct History(Vec<Epoch>);

impl TryFrom<Vec<Epoch>> for History {
    type Error = HistoryError;

    fn try_from(epochs: Vec<Epoch>) -> Result<Self, HistoryError> {
        Self::new(epochs)
    }
}

impl From<History> for Vec<Epoch> {
    fn from(history: History) -> Self {
        history.0
    }
}

impl History {
    /// Checks what a file or a peer says. Two epochs may have one start; the earlier one is empty then.
    ///
    /// # Errors
    /// [`HistoryError`].
    pub fn new(epochs: Vec<Epoch>) -> Result<Self, HistoryError> {
        if epochs.len() > EPOCHS_MAX {
            return Err(HistoryError::TooLong(epochs.len()));
        }
        for pair in epochs.windows(2) {
            if pair[0].number >= pair[1].number || pair[0].start > pair[1].start {
                return Err(HistoryError::Order { earlier: pair[0], later: pair[1] });
            }
        }
        Ok(Self(epochs))
    }

    /// Oldest first.
    #[must_use]
    pub fn epochs(&self) -> &[Epoch] {
        &self.0
    }

    /// The latest.
    #[must_use]
    pub fn last(&self) -> Option<&Epoch> {
        self.0.last()
    }

    /// Whose a byte is; `None` if it is nobody's.
    #[must_use]
    pub fn at(&self, offset: u64) -> Option<&Epoch> {
        self.0[..self.0.partition_point(|epoch| epoch.start <= offset)].last()
    }

    /// This history with an epoch begun at the log's end. Epochs that have no byte below it wrote nothing that is left
    /// and are forgotten; so is the oldest one when there are too many.
    ///
    /// # Errors
    /// [`HistoryError::Order`] if its number is not above those that are left.
    pub fn begin(&self, epoch: Epoch) -> Result<Self, HistoryError> {
        let mut epochs = self.0.clone();
        epochs.retain(|old| old.start < epoch.start);
        let too_many = (epochs.len() + 1).saturating_sub(EPOCHS_MAX);
        epochs.drain(..too_many);
        epochs.push(epoch);
        Self::new(epochs)
    }

    /// The last epoch that both have.
    fn last_shared(&self, other: &Self) -> Option<&Epoch> {
        self.0.iter().rev().find(|epoch| other.has(epoch))
    }

    fn has(&self, epoch: &Epoch) -> bool {
        let found = self.0.binary_search_by_key(&epoch.number, |one| one.number);
        found.is_ok_and(|at| self.0[at] == *epoch)
    }

    /// Where an epoch ends by what came after it.
    fn end_of(&self, epoch: &Epoch) -> u64 {
        let after = self.0.partition_point(|one| one.number <= epoch.number);
        self.0.get(after).map_or(u64::MAX, |next| next.start)
    }

    /// Whether an epoch that starts at or below an offset is in both: then the bytes there were compared once.
    #[must_use]
    pub fn shares_below(&self, other: &Self, offset: u64) -> bool {
        self.0.iter().any(|epoch| epoch.start <= offset && other.has(epoch))
    }

    /// The epochs that have bytes from one offset up to another.
    pub(super) fn between(&self, from: u64, to: u64) -> impl Iterator<Item = &Epoch> {
        let has_bytes =
            move |epoch: &&Epoch| epoch.start < to && self.end_of(epoch) > from.max(epoch.start);
        self.0.iter().filter(has_bytes)
    }

    fn first_start(&self) -> u64 {
        self.0.first().map_or(u64::MAX, |epoch| epoch.start)
    }
}

/// A log as its node describes it.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Log {
    /// Who wrote it.
    pub history: History,
    /// Its first byte's offset.
    pub start: u64,
    /// The offset behind its last byte.
    pub end: u64,
}

impl Log {
    /// Whether it has no byte.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.start >= self.end
    }
}

/// How our log relates to another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relation {
    /// Equal.
    Same,
    /// Ours is the beginning of theirs.
    Behind,
    /// Theirs is the beginning of ours.
    Ahead,
    /// They have a common epoch, and differ from `at` on; both go on behind it.
    Parted {
        /// The first offset that is not common.
        at: u64,
    },
    /// They have no common epoch, and bytes of different epochs at the same offset.
    Unrelated,
    /// Only a comparison of the last whole record below an offset tells: equal, and the shorter one is the
    /// beginning of the longer one; otherwise they are unrelated. There is nothing to compare if it is not above
    /// both starts.
    Unknown {
        /// The smaller end.
        below: u64,
    },
}

/// How our log relates to theirs. An empty log is the beginning of every other.
///
/// | last shared epoch | ends | relation |
/// | --- | --- | --- |
/// | any | one is empty | same, behind or ahead |
/// | there is one | up to the smaller end of it, the logs are equal | by which of them ends there; parted if none |
/// | none | the smaller end is not above both first epochs | unknown |
/// | none | it is | unrelated |
#[must_use]
pub fn relation(ours: &Log, theirs: &Log) -> Relation {
    match (ours.is_empty(), theirs.is_empty()) {
        (true, true) => return Relation::Same,
        (true, false) => return Relation::Behind,
        (false, true) => return Relation::Ahead,
        (false, false) => {}
    }
    let smaller_end = ours.end.min(theirs.end);
    let Some(shared) = ours.history.last_shared(&theirs.history) else {
        let both_known = ours.history.first_start().max(theirs.history.first_start());
        return if smaller_end <= both_known {
            Relation::Unknown { below: smaller_end }
        } else {
            Relation::Unrelated
        };
    };
    let at = smaller_end.min(ours.history.end_of(shared)).min(theirs.history.end_of(shared));
    match (ours.end == at, theirs.end == at) {
        (true, true) => Relation::Same,
        (true, false) => Relation::Behind,
        (false, true) => Relation::Ahead,
        (false, false) => Relation::Parted { at },
    }
}

#[cfg(test)]
#[path = "history_tests.rs"]
mod tests;
