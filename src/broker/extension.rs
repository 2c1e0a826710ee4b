//! What our own nodes ask one another (codes from 9000 on; the bodies are in `remoting::bodies::extension`).
//!
//! Not positions (`positions`), nor what follows from it (`replication`). Invariant: whatever is asked, nothing that
//! clients see is changed by it.

use std::net::IpAddr;
use std::sync::Arc;

use super::Broker;
use super::answers::{Answer, Refusal};
use crate::remoting::bodies::extension::{self, Hello};
use crate::remoting::{Command, response};
use crate::replication::past;
use crate::transport::Connection;

/// 9005: a slave sets its folder aside and copies all that the master has. Only from the same host, because whoever may
/// ask it could have this copy thrown away.
pub(super) fn resync(broker: &Arc<Broker>, _: &Command, connection: &Connection) -> Answer {
    if !broker.is_slave() {
        let remark = "this is a master: only a slave has somewhere to copy from";
        return Err(Refusal::new(response::SYSTEM_ERROR, remark));
    }
    if !is_local(connection.remote().ip(), broker.options.address.ip()) {
        let remark = "ask on the host of this slave itself";
        return Err(Refusal::new(response::NO_PERMISSION, remark));
    }
    let dir = &broker.store.options().dir;
    past::ask_to_set_aside(dir).map_err(|error| {
        Refusal::new(response::SYSTEM_ERROR, format!("{}: {error}", dir.display()))
    })?;
    tracing::warn!(folder = %dir.display(), "the operator lets this copy begin anew");
    broker.member.reopen().cancel();
    Ok(Command::response(response::SUCCESS))
}

/// Whether a connection comes from this host.
fn is_local(peer: IpAddr, own: IpAddr) -> bool {
    peer.is_loopback() || peer == own
}

/// 9001: who is there. May write a file.
pub(super) fn hello(broker: &Arc<Broker>, request: &Command, connection: &Connection) -> Answer {
    let theirs: Hello = extension::parse(&request.body)?;
    let answer = broker.member.answer_hello(&theirs, connection.remote());
    Ok(Command::response(response::SUCCESS).with_body(extension::to_bytes(&answer)))
}
