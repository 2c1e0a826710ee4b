//! What our own nodes ask one another (codes from 9000 on; the bodies are in `remoting::bodies::extension`).
//!
//! Not positions (`positions`), nor what follows from it (`replication`). Invariant: whatever is asked, nothing that
//! clients see is changed by it.

use std::sync::Arc;

use super::Broker;
use super::answers::Answer;
use crate::remoting::bodies::extension::{self, Hello};
use crate::remoting::{Command, response};
use crate::transport::Connection;

/// 9001: who is there. May write a file.
pub(super) fn hello(broker: &Arc<Broker>, request: &Command, connection: &Connection) -> Answer {
    let theirs: Hello = extension::parse(&request.body)?;
    let answer = broker.member.answer_hello(&theirs, connection.remote());
    Ok(Command::response(response::SUCCESS).with_body(extension::to_bytes(&answer)))
}
