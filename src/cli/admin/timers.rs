//! `rmq-node admin timers`: messages that wait for a time of their own.

use clap::Subcommand;

use super::door::Door;
use super::output::{Output, Reported, what_was_done};
use crate::proto::v1::CancelTimerRequest;
use crate::proto::v1::messages_client::MessagesClient;

/// The verbs.
#[derive(Clone, Debug, Subcommand)]
pub enum TimersAction {
    /// Do not deliver a message that still waits.
    Cancel {
        /// Its id, as its producer was told it (the client's `msgId`, not `offsetMsgId`).
        id: String,
    },
}

/// Does what the verb says.
///
/// # Errors
/// As the service's.
pub async fn run(action: TimersAction, door: Door, output: Output) -> Reported {
    let TimersAction::Cancel { id } = action;
    let what = format!("message {id}");
    let answer = MessagesClient::new(door).cancel_timer(CancelTimerRequest { id }).await?;
    Ok(what_was_done(&answer.into_inner().done, &what, "cancelled", output))
}
