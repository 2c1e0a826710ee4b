//! What an operator wants cleaned at once (306, 316, 329; B-329 to B-331).
//!
//! Not what the store cleans by itself. Invariant: nothing is deleted that would not be deleted later.

use std::sync::Arc;

use super::Broker;
use super::answers::Answer;
use crate::remoting::{Command, response};
use crate::transport::Connection;

/// 329: the files of the log that are too old are deleted now, not only at the hours for it (ST-093).
pub(super) fn delete_expired_log(
    broker: &Arc<Broker>,
    _: &Command,
    connection: &Connection,
) -> Answer {
    tracing::info!(by = %connection.remote(), "the log's old files are to be deleted now");
    broker.store.delete_expired_now();
    Ok(Command::response(response::SUCCESS))
}

/// 306 and 316: queues without records and queues without a topic. Neither is ever left here: queues follow the
/// log's beginning, and go with their topic.
pub(super) fn nothing_left(_: &Arc<Broker>, _: &Command, _: &Connection) -> Answer {
    Ok(Command::response(response::SUCCESS))
}
