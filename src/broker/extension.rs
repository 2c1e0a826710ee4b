//! What our own nodes ask one another (codes from 9000 on; the bodies are in `remoting::bodies::extension`).
//!
//! Not positions (`positions`), nor what follows from it (`replication`). Invariant: whatever is asked, nothing that
//! clients see is changed by it.

use std::net::IpAddr;
use std::sync::Arc;

use super::answers::{Answer, Refusal, blocking, not_supported};
use super::{Broker, accounts, broker_config, dial_back, figures, positions, timers};
use crate::remoting::bodies::extension::{self, Hello};
use crate::remoting::{Command, request, response};
use crate::replication::past;
use crate::transport::{Connection, Responder};

/// The codes of these requests.
pub(super) const CODES: std::ops::RangeInclusive<i32> =
    request::EXTENSION_HELLO..=request::EXTENSION_RESET_CONFIG;

/// Answers one of these requests.
pub(super) fn answer(broker: &Arc<Broker>, request: Command, responder: Responder) {
    match request.code {
        request::EXTENSION_HELLO => blocking(broker, request, responder, hello),
        request::EXTENSION_DIAL_BACK => dial_back::answer(broker, &request, responder),
        request::EXTENSION_POSITIONS => blocking(broker, request, responder, positions::answer),
        request::EXTENSION_RESYNC => blocking(broker, request, responder, resync),
        request::EXTENSION_ACCOUNTS => blocking(broker, request, responder, accounts::exchange),
        request::EXTENSION_CANCEL_TIMER => blocking(broker, request, responder, timers::cancel),
        request::EXTENSION_LIST_TIMERS => blocking(broker, request, responder, timers::list),
        request::EXTENSION_FIGURES => blocking(broker, request, responder, figures::answer),
        request::EXTENSION_BROKER_STATE => {
            blocking(broker, request, responder, broker_config::state);
        }
        request::EXTENSION_RESET_CONFIG => {
            blocking(broker, request, responder, broker_config::reset);
        }
        _ => not_supported(&request, responder),
    }
}

/// 9005: a slave sets its folder aside and copies all that the master has. Only from the same host, because whoever may
/// ask it could have this copy thrown away.
fn resync(broker: &Arc<Broker>, _: &Command, connection: &Connection) -> Answer {
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
fn hello(broker: &Arc<Broker>, request: &Command, connection: &Connection) -> Answer {
    let theirs: Hello = extension::parse(&request.body)?;
    let mut answer = broker.member.answer_hello(&theirs, connection.remote());
    if let Some(acl) = &broker.options.acl {
        answer.accounts_differ_from = acl.differs_from();
    }
    Ok(Command::response(response::SUCCESS).with_body(extension::to_bytes(&answer)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::tests_support::TestBroker;

    #[tokio::test]
    async fn who_asks_is_told_who_is_there() {
        for (broker, id) in [(TestBroker::new(), 0), (TestBroker::slave(Vec::new()), 1)] {
            let answer = broker.call(Command::request(request::EXTENSION_HELLO)).await;
            let told: Hello = extension::parse(&answer.body).unwrap();
            assert_eq!((told.group.as_str(), told.broker_id), ("broker-a", id));
            assert_eq!(told.copy.is_some(), id == 1, "only a slave copies");
        }
    }

    #[tokio::test]
    async fn only_a_slave_begins_anew() {
        let master = TestBroker::new();
        let refused = master.refused(Command::request(request::EXTENSION_RESYNC)).await;
        let remark = "this is a master: only a slave has somewhere to copy from".to_owned();
        assert_eq!(refused, (response::SYSTEM_ERROR, remark));
        assert!(!master.broker.member.reopen().is_cancelled());
        let slave = TestBroker::slave(Vec::new());
        let answer = slave.call(Command::request(request::EXTENSION_RESYNC)).await;
        assert_eq!(answer.code, response::SUCCESS);
        assert!(slave.broker.member.reopen().is_cancelled());
        let dir = &slave.broker.store.options().dir;
        past::set_aside_if_asked(dir).unwrap();
        assert!(!dir.exists(), "it is set aside when it is opened next");
    }
}
