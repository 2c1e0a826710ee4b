//! What a slave does with its log before it copies from a master, and which of two masters yields.
//!
//! No I/O, no clock; a master's start is in `start_step`. Invariants: what is not clearly safe is a conflict, which leaves
//! the log as it is; a slave never cuts bytes that were written under sync replication, as they may be on no other
//! disk. Whoever acts on it keeps this order, or bytes get under another epoch than the one they were written in:
//!
//! 1. open the HA connection, and only then ask who the master is and say nothing before the answer (a master is
//!    silent until the first report, H-004): a master that starts again in between cannot be mistaken for the one
//!    that answered, as its connections end with it;
//! 2. the master notes on its disk that this slave is connected, before it answers;
//! 3. cut, if so decided, and bring that to the disk; then the history to adopt; then report where the log ends;
//! 4. whoever cuts its log or adopts another history closes the HA connections that others have to it;
//! 5. a slave that a master asks in its start step first ends its stream from that master (by node id): what is still
//!    on its way was written before, and would be behind the end that it answers with;
//! 6. positions that point beyond the own log's end are not taken over.
//!
//! `simulation` holds to them all, and shows that they are enough.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::history::{Epoch, History, Log, NodeId, Relation, relation};

/// What a node of a group is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PeerRole {
    /// A master that has begun its epoch.
    Master,
    /// A master in its start step.
    Starting,
    /// A slave, in conflict or not.
    Slave,
    /// It stays down for a reason that needs an operator.
    Down,
}

/// What a node says about itself. A plain 4.9.4 broker is one without a node id and with an empty history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerView {
    /// `None`: a plain 4.9.4 broker.
    pub node: Option<NodeId>,
    /// What it is at.
    pub role: PeerRole,
    /// Size of its segments; of a plain broker, ours.
    pub segment_bytes: u64,
    /// Its log.
    pub log: Log,
}

/// What a comparison of the last whole record below an offset found (code 33).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compared {
    /// Byte for byte.
    Equal,
    /// The other side has another record there, or none.
    Different,
}

/// A slave's own side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnLog {
    /// The log.
    pub log: Log,
    /// Size of its segments.
    pub segment_bytes: u64,
    /// Where the newest slice starts: nothing below it is ever cut.
    pub newest_slice_start: u64,
}

/// What a slave does at the handshake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Follow {
    /// Note this history, then report the log's end.
    Stream {
        /// The master's history.
        adopt: History,
    },
    /// Cut the log, then as `Stream`. Positions beyond the cut are set back to it in their generation: messages that
    /// others write there now have been consumed by nobody.
    Cut {
        /// The end of the log afterwards, at a record's boundary.
        to: u64,
        /// The master's history.
        adopt: History,
    },
    /// Compare the last whole record below this offset, and ask again with what was found.
    CompareRecord {
        /// The smaller of both ends.
        below: u64,
    },
    /// The master no longer has what comes next here.
    BehindMinimum {
        /// Where this log ends.
        end: u64,
        /// Where the master's begins.
        minimum: u64,
    },
    /// Nothing is copied and nothing changed until an operator decides.
    Conflict {
        /// Why, with figures.
        reason: Conflict,
    },
    /// Ask again later.
    NotAMaster,
    /// The logs cannot have the same files.
    WrongSegmentSize {
        /// Ours.
        own: u64,
        /// The master's.
        master: u64,
    },
}

/// Why a slave does not follow a master.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Conflict {
    /// They never had one log, as far as either remembers.
    #[error("this log ({own}) and the master's ({master}) have no epoch in common")]
    Unrelated {
        /// Ours.
        own: Range,
        /// The master's.
        master: Range,
    },
    /// By code 33.
    #[error(
        "the master has another record than this log below offset {below}, or none: they are different logs"
    )]
    OtherRecord {
        /// Below which offset was looked.
        below: u64,
    },
    /// There is more here than there, and nothing says who wrote it.
    #[error(
        "this log ends at {end}, the master's at {master_end}, and nothing says that the {} bytes between are not needed",
        end - master_end
    )]
    Longer {
        /// Our end.
        end: u64,
        /// The master's end.
        master_end: u64,
    },
    /// A later master was followed.
    #[error(
        "the master is at epoch {master}, but this log has followed epoch {own}, of a later promotion"
    )]
    StaleMaster {
        /// Our last epoch.
        own: Epoch,
        /// The master's last epoch.
        master: Epoch,
    },
    /// What would be cut is not older than the master.
    #[error(
        "the logs part at offset {at}, and the {} bytes behind it here are of epoch {own}, not older than the master's {master}",
        end - at
    )]
    NotOlder {
        /// Where they part.
        at: u64,
        /// Our end.
        end: u64,
        /// The epoch of our last byte.
        own: Epoch,
        /// The master's last epoch.
        master: Epoch,
    },
    /// What would be cut may be a message that its sender was told is on two disks.
    #[error(
        "the logs part at offset {at}, and the {} bytes behind it here were written under sync replication: they may be messages that no other broker has",
        end - at
    )]
    Sync {
        /// Where they part.
        at: u64,
        /// Our end.
        end: u64,
    },
    /// Too much would be cut.
    #[error(
        "the logs part at offset {at}: {} bytes behind it would be cut, but nothing below offset {newest_slice_start} ever is",
        end - at
    )]
    TooMuch {
        /// Where they part.
        at: u64,
        /// Our end.
        end: u64,
        /// The start of the newest slice.
        newest_slice_start: u64,
    },
}

/// Offsets of a log, as reasons show them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    start: u64,
    end: u64,
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to {}", self.start, self.end)
    }
}

impl From<&Log> for Range {
    fn from(log: &Log) -> Self {
        Self { start: log.start, end: log.end }
    }
}

/// A slave's decision. `compared` is what came of an earlier [`Follow::CompareRecord`] of the same handshake.
///
/// | the master | this log | decision |
/// | --- | --- | --- |
/// | does not serve as one | | not a master |
/// | has segments of another size | | wrong segment size |
/// | is of an earlier promotion than the last one followed | | conflict |
/// | begins above this log's end | is not wholly empty | behind minimum |
/// | has all of this log and perhaps more | | stream |
/// | parts from it, or ends before it | see [`cut`] | cut, or conflict |
/// | may have written it or not | | compare a record: stream if equal and not longer, else conflict |
#[must_use]
pub fn follow(own: &OwnLog, master: &PeerView, compared: Option<Compared>) -> Follow {
    let (ours, theirs) = (&own.log, &master.log);
    if master.role != PeerRole::Master {
        return Follow::NotAMaster;
    }
    if own.segment_bytes != master.segment_bytes {
        return Follow::WrongSegmentSize { own: own.segment_bytes, master: master.segment_bytes };
    }
    if let (Some(own), Some(master)) = (ours.history.last(), theirs.history.last())
        && own.number.promotions > master.number.promotions
    {
        return conflict(Conflict::StaleMaster { own: *own, master: *master });
    }
    if ours.end != 0 && ours.end < theirs.start {
        return Follow::BehindMinimum { end: ours.end, minimum: theirs.start };
    }
    let longer = Conflict::Longer { end: ours.end, master_end: theirs.end };
    match relation(ours, theirs) {
        Relation::Same | Relation::Behind if ours.end <= theirs.end => stream(theirs),
        // It has no byte, but begins beyond the master's end.
        Relation::Same | Relation::Behind => conflict(longer),
        Relation::Ahead => cut(own, theirs, theirs.end),
        Relation::Parted { at } => cut(own, theirs, at),
        Relation::Unknown { below } if below > ours.start.max(theirs.start) => match compared {
            None => Follow::CompareRecord { below },
            Some(Compared::Different) => conflict(Conflict::OtherRecord { below }),
            Some(Compared::Equal) if ours.end > theirs.end => conflict(longer),
            Some(Compared::Equal) => stream(theirs),
        },
        Relation::Unrelated | Relation::Unknown { .. } => {
            conflict(Conflict::Unrelated { own: ours.into(), master: theirs.into() })
        }
    }
}

fn stream(master: &Log) -> Follow {
    Follow::Stream { adopt: master.history.clone() }
}

fn conflict(reason: Conflict) -> Follow {
    Follow::Conflict { reason }
}

/// Whether this log is cut to what the master has too. All of these must hold:
///
/// | rule | otherwise |
/// | --- | --- |
/// | both have an epoch that starts at or below the cut | longer |
/// | no byte behind the cut was written under sync replication | sync |
/// | the master's last epoch is later than that of each byte behind the cut | not older |
/// | the cut is in the newest slice | too much |
fn cut(own: &OwnLog, master: &Log, to: u64) -> Follow {
    let Log { history, end, .. } = &own.log;
    let (at, end, newest_slice_start) = (to, *end, own.newest_slice_start);
    let last_byte = history.at(end.saturating_sub(1));
    let (Some(last_byte), Some(last)) = (last_byte, master.history.last()) else {
        return conflict(Conflict::Longer { end, master_end: master.end });
    };
    if !history.shares_below(&master.history, to) {
        return conflict(Conflict::Longer { end, master_end: master.end });
    }
    if history.between(to, end).any(|epoch| epoch.sync) {
        return conflict(Conflict::Sync { at, end });
    }
    if last_byte.rank() >= last.rank() {
        return conflict(Conflict::NotOlder { at, end, own: *last_byte, master: *last });
    }
    if to < newest_slice_start || to < master.start {
        return conflict(Conflict::TooMuch { at, end, newest_slice_start });
    }
    Follow::Cut { to, adopt: master.history.clone() }
}

/// Whether we, a master, stop writing because another node is master of the same group. The earlier epoch yields; if
/// they are the same one, the folder was copied, and both yield.
#[must_use]
pub fn rival(own: &Epoch, other: &Epoch) -> Rival {
    if own.rank() <= other.rank() { Rival::Yield } else { Rival::Stay }
}

/// What one of two masters does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rival {
    /// Take no more sends, and do not register.
    Yield,
    /// Go on: the other one yields.
    Stay,
}

#[cfg(test)]
#[path = "decide_tests.rs"]
mod tests;
