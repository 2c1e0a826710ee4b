//! Copies a master's log to its slaves by 4.9.4's protocol (contract 4: H-001 to H-019).
//!
//! | file | what |
//! | --- | --- |
//! | `wire` | headers and reports, as bytes |
//! | `sender` | the HA port: the log goes to whoever connects |
//! | `receiver` | a slave's side: connects to the master's HA port and appends |
//! | `state` | how far slaves are, for whoever asks |
//! | `history` | who wrote which bytes, and how two logs relate by that |
//! | `decide` | what a slave does with its log then, and which of two masters yields |
//! | `start_step` | what a master does before it serves |
//! | `past` | the history and what else outlives a start, on the disk |
//! | `member` | one broker as a member of its group: what it says of itself, who greeted it |
//! | `peers` | what is asked of other members |
//! | `fetch` | what a master lacks is copied from a member that has it |
//!
//! Not here: tables (`broker` asks for them by requests), what is done with the bytes (`store`). A slave connects and
//! says how far its log is; the master sends from there on, and the slave says how far it is whenever it has more.
//! Invariants: nobody but those who asked for it waits for a slave; memory does not grow with how far one is behind;
//! a log that does not fit the master's is left as it is.

pub mod decide;
mod fetch;
pub mod history;
pub mod member;
pub mod past;
pub mod peers;
pub mod receiver;
pub mod sender;
pub mod start_step;
pub mod state;
pub mod wire;

#[cfg(test)]
mod receiver_tests;
#[cfg(test)]
mod sender_tests;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod sync_tests;
#[cfg(test)]
mod tests_support;

use std::time::Duration;

pub use member::{Member, MemberOptions, Standing};
pub use past::Past;
pub use receiver::Receiver;
pub use sender::Sender;
pub use state::{CopyState, Phase, SlaveState};

/// Where the living master of a group is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MasterAddresses {
    /// What its clients dial (`masterAddr`), as `host:port`.
    pub broker: String,
    /// What its slaves dial for the log (`haServerAddr`), as `host:port`.
    pub ha: String,
}

/// After so long without a word, one is said (`haSendHeartbeatInterval`, H-009, H-012).
const HEARTBEAT: Duration = Duration::from_secs(5);
/// A peer that says nothing for so long is gone (`haHousekeepingInterval`, H-010).
const SILENCE_MAX: Duration = Duration::from_secs(20);
