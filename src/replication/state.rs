//! How a copy goes, for metrics, tools and logs. Plain values; nothing is decided by them.

use std::net::SocketAddr;
use std::time::Duration;

/// A slave as its master sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlaveState {
    /// Where it connects from.
    pub peer: SocketAddr,
    /// Its broker port, as `host:port`, if that is known.
    pub address: Option<String>,
    /// Whether it is one of 4.9.4.
    pub is_plain: bool,
    /// Up to where it was sent the log.
    pub sent_to: u64,
    /// Up to where it says that it has it.
    pub acknowledged_to: u64,
    /// What it does not have, in bytes.
    pub behind_bytes: u64,
    /// How long ago it said so.
    pub silent_for: Duration,
}

/// What a slave is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The name server has not said where the master is.
    WaitingForAddress,
    /// It connects, or waits to try again.
    Connecting,
    /// It is connected and behind.
    Copying,
    /// It has what the master had a moment ago.
    InSync,
    /// Its disk is full: it is not connected, and goes on by itself when there is room.
    DiskFull,
    /// The master's log begins behind this one's end: nothing is copied until an operator decides.
    BehindMinimum,
    /// The logs do not fit: nothing is copied until an operator decides, or the master has another log.
    Conflict,
    /// The node is stopping.
    Stopped,
}

impl Phase {
    /// A word for tools.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::WaitingForAddress => "waiting for the master's address",
            Self::Connecting => "connecting",
            Self::Copying => "copying",
            Self::InSync => "in sync",
            Self::BehindMinimum => "behind-minimum",
            Self::DiskFull => "the disk is full",
            Self::Conflict => "conflict",
            Self::Stopped => "stopped",
        }
    }
}

/// A slave's copy as it sees it itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopyState {
    /// What it is at.
    pub phase: Phase,
    /// The master's HA address.
    pub master: Option<String>,
    /// Up to where the log is here.
    pub copied_to: u64,
    /// How much older it is than the master's at most: the time since both were equal, or since the newest record here
    /// was stored, whichever is less. `None` if there is neither.
    pub behind: Option<Duration>,
    /// What went wrong last.
    pub last_error: Option<String>,
    /// Bytes that are no records in the master's log, and were copied as they are since the start.
    pub hole_bytes: u64,
}
