//! How a request is answered: at once, or from a thread that may wait for the disk; with a result or a refusal.
//!
//! Not which file answers what (`requests`). Invariant: a request that may wait for the disk goes through
//! [`blocking`].

use std::sync::Arc;

use super::{Broker, flow_control};
use crate::model::shown;
use crate::remoting::{Command, DecodeError, FieldError, request, response};
use crate::store::ReadError;
use crate::task;
use crate::transport::{Connection, Responder};

/// What remarks about unknown topics and groups end with (contract 1.10).
pub(super) const FAQ: &str = "\nSee http://rocketmq.apache.org/docs/faq/ for further details.";

/// Why a request is not done; the answer's code and remark.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    /// A response code.
    pub code: i32,
    /// What the client logs.
    pub remark: String,
}

impl Refusal {
    /// A refusal.
    pub fn new(code: i32, remark: impl Into<String>) -> Self {
        Self { code, remark: remark.into() }
    }
}

impl From<FieldError> for Refusal {
    /// S-09: 4.9.4's remark does not name the field.
    fn from(error: FieldError) -> Self {
        Self::new(response::SYSTEM_ERROR, error.to_string())
    }
}

impl From<DecodeError> for Refusal {
    /// A body that cannot be read; the connection stays.
    fn from(error: DecodeError) -> Self {
        Self::new(response::SYSTEM_ERROR, error.to_string())
    }
}

impl From<ReadError> for Refusal {
    /// Clients retry code 1; offsets computed now would make consumers jump over their backlog.
    fn from(error: ReadError) -> Self {
        Self::new(response::SYSTEM_ERROR, error.to_string())
    }
}

/// What most requests end with.
pub(super) type Answer = Result<Command, Refusal>;

/// Sends an answer or a refusal.
pub(super) fn send_answer(responder: Responder, answer: Answer) {
    match answer {
        Ok(answer) => responder.send(answer),
        Err(Refusal { code, remark }) => {
            tell_refused(&responder, code, &remark);
            responder.send(Command::response(code).with_remark(remark));
        }
    }
}

/// Tells an operator what was refused to whom. The log says so much of one place and no more: a flood cannot fill it.
pub(super) fn tell_refused(responder: &Responder, code: i32, remark: &str) {
    let peer = responder.connection().remote();
    let request = request::name(responder.code());
    let remark = shown(remark);
    tracing::info!(%peer, request, request_code = responder.code(), code, remark, "request refused");
}

/// Answers from the connection's task: nothing in `work` waits.
pub(super) fn at_once(
    broker: &Arc<Broker>,
    request: &Command,
    responder: Responder,
    work: fn(&Arc<Broker>, &Command, &Connection) -> Answer,
) {
    let answer = work(broker, request, responder.connection());
    send_answer(responder, answer);
}

/// Answers from a thread that may wait for the disk.
pub(super) fn blocking(
    broker: &Arc<Broker>,
    request: Command,
    responder: Responder,
    work: fn(&Arc<Broker>, &Command, &Connection) -> Answer,
) {
    blocking_then(broker, request, responder, work, send_answer);
}

/// The same; `send` sends what comes of it.
pub(super) fn blocking_then(
    broker: &Arc<Broker>,
    request: Command,
    mut responder: Responder,
    work: fn(&Arc<Broker>, &Command, &Connection) -> Answer,
    send: fn(Responder, Answer),
) {
    let broker = Arc::clone(broker);
    let queued_at = broker.clock.monotonic();
    responder.goes_to_thread();
    task::spawn_blocking("request", move || {
        if responder.is_moot() {
            return;
        }
        let answer = match flow_control::refusal_of_late(&broker, queued_at) {
            None => work(&broker, &request, responder.connection()),
            Some(refusal) => Err(refusal),
        };
        send(responder, answer);
    });
}

///
pub(super) fn not_supported(request: &Command, responder: Responder) {
    let remark = format!(" request type {} not supported", request.code);
    responder.send(Command::response(response::REQUEST_CODE_NOT_SUPPORTED).with_remark(remark));
}
