//! Who may ask: what stands before every request where accounts are on (contract 5).
//!
//! Not who has which account, nor what a request needs (`acl`). Invariants: nothing is answered before its sender is
//! let in; what depends on a stored message is looked up on a thread that may wait for the disk.

use std::sync::Arc;

use super::answers::send_answer;
use super::{Broker, requests};
use crate::acl::Acl;
use crate::acl::account::{Resource, Rights};
use crate::acl::accounts::{Caller, Denied};
use crate::acl::needs::{self, Need, Needed};
use crate::message::{MessageId, Record, properties};
use crate::model::{PhysicalOffset, system};
use crate::remoting::Command;
use crate::store::ReadError;
use crate::task;
use crate::transport::Responder;

/// Answers a request, if its sender may have that.
pub(super) fn answer(broker: &Arc<Broker>, request: Command, responder: Responder) {
    let Some(acl) = broker.options.acl.as_ref() else {
        return requests::answer(broker, request, responder);
    };
    let need = needs::at_broker(request.code);
    match (acl.admit(&request, need, responder.connection().remote().ip()), need) {
        (Err(denied), _) => refuse(acl, &denied, &request, responder),
        (Ok(Some(caller)), Need::TopicAt(_, field, rights)) => {
            after_look_up(broker, (caller, field, rights), request, responder);
        }
        (Ok(_), _) => requests::answer(broker, request, responder),
    }
}

fn refuse(acl: &Acl, denied: &Denied, request: &Command, responder: Responder) {
    let from = responder.connection().remote().ip();
    responder.send(acl.refusal(denied, request, from));
}

/// The same for a request about a stored message, once it is known of which topic that is.
fn after_look_up(
    broker: &Arc<Broker>,
    (caller, field, rights): (Caller, &'static str, Rights),
    request: Command,
    mut responder: Responder,
) {
    let broker = Arc::clone(broker);
    responder.goes_to_thread();
    task::spawn_blocking("permission", move || {
        if responder.is_moot() {
            return;
        }
        let topic = match place_of(&request, field).map(|at| topic_at(&broker, at)).transpose() {
            Ok(topic) => topic,
            Err(error) => return send_answer(responder, Err(error.into())),
        };
        let may = topic.as_ref().and_then(Option::as_ref).map_or(Ok(()), |topic| {
            caller.may(request.code, &Needed::Resources(vec![Resource::topic(topic, rights)]))
        });
        match (may, &broker.options.acl) {
            (Err(denied), Some(acl)) => refuse(acl, &denied, &request, responder),
            // It must not be found if it has arrived since.
            _ if topic == Some(None) => requests::answer_unfound(&broker, request, responder),
            // What tells no place is refused there.
            _ => requests::answer(&broker, request, responder),
        }
        // The connection's batch may have ended before.
        broker.store.write_enqueued();
    });
}

/// Where a message lies, read as whoever answers reads it: the digits of an id are also those of an offset elsewhere.
fn place_of(request: &Command, field: &'static str) -> Option<PhysicalOffset> {
    if field == needs::MESSAGE_ID {
        return Some(request.field(field)?.parse::<MessageId>().ok()?.offset);
    }
    PhysicalOffset::from_wire(request.required_i64(field).ok()?)
}

/// The topic of a message, or the one where it belongs if it waits in a system topic; `None` if there is no message.
fn topic_at(broker: &Broker, at: PhysicalOffset) -> Result<Option<String>, ReadError> {
    let bytes = broker.store.record_at(at)?;
    let record = bytes.as_ref().and_then(|bytes| Record::parse(bytes).ok());
    let Some(record) = record else { return Ok(None) };
    let waits = matches!(
        record.topic(),
        system::HALF_TOPIC
            | system::SCHEDULE_TOPIC
            | system::TIMER_TOPIC
            | system::CHECK_MAX_TIME_TOPIC
    );
    let real = properties::find(record.properties(), properties::REAL_TOPIC).filter(|_| waits);
    Ok(Some(real.unwrap_or(record.topic()).to_owned()))
}

#[cfg(test)]
#[path = "permissions_tests.rs"]
mod tests;
