//! What clients say of themselves: that they are there, and that they leave (34, 35), and what the others of a group are
//! told of it (40; B-220 to B-229).
//!
//! Not the table of clients (`clients`). Invariants: no lock is held while members are told; names and subscriptions
//! that are longer than any client's are refused before anything is noted.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::answers::{Answer, Refusal};
use super::clients::{Full, Member};
use super::topics::UNIT_SUBSCRIPTION;
use super::{Broker, groups, topics};
use crate::filter::TAGS_MAX;
use crate::model::{Permission, TopicName};
use crate::remoting::bodies::heartbeat::Heartbeat;
use crate::remoting::{Command, request, response};
use crate::transport::Connection;

/// The longest name of a client or group, in bytes (clients of 4.x stop at 255 characters).
pub(super) const NAME_BYTES_MAX: usize = 1024;

/// 34: a client says that it is there, and what for (B-220 to B-227). Notices go out before the answer (S-41).
pub(super) fn heartbeat(
    broker: &Arc<Broker>,
    request: &Command,
    connection: &Connection,
) -> Answer {
    let heartbeat = Heartbeat::parse(&request.body)?;
    check_limits(&heartbeat)?;
    let member = Member {
        connection: connection.clone(),
        client_id: heartbeat.client_id.as_str().into(),
        language: request.language,
        version: request.version,
        seen: broker.clock.monotonic(),
        wants: 0,
    };
    // Once for each group, however often the heartbeat names it.
    let mut changed = BTreeMap::new();
    let taken = take_heartbeat(broker, heartbeat, &member, &mut changed);
    for (group, members) in changed {
        tell_changed(&group, &members);
    }
    taken.map_err(|full| full.refusal(broker.limits()))?;
    Ok(Command::response(response::SUCCESS))
}

/// Notes the members of groups that are to be told that their group changed.
fn take_heartbeat(
    broker: &Broker,
    heartbeat: Heartbeat,
    member: &Member,
    changed: &mut BTreeMap<String, Vec<Connection>>,
) -> Result<(), Full> {
    let limits = broker.limits().numbers();
    for data in heartbeat.consumers {
        let group = data.group.clone();
        let config = groups::find_or_create(broker, &group);
        if let Some(config) = &config {
            let queues = u32::try_from(config.retry_queue_nums).unwrap_or(0);
            let sys_flag = if data.unit_mode { UNIT_SUBSCRIPTION } else { 0 };
            let topic = TopicName::retry_of(&group);
            let usual = Permission::READ_WRITE;
            topics::create_in_send_back(broker, topic.as_str(), queues, usual, sys_flag);
        }
        let members = broker.clients.consumer_heartbeat(data, member, &limits)?;
        let tells = config.is_none_or(|config| config.notify_consumer_ids_changed_enable);
        if tells && !members.is_empty() {
            changed.insert(group, members);
        }
    }
    for group in &heartbeat.producers {
        broker.clients.producer_heartbeat(group, member, &limits)?;
    }
    Ok(())
}

fn check_limits(heartbeat: &Heartbeat) -> Result<(), Refusal> {
    let refusal = |remark| Err(Refusal::new(response::SYSTEM_ERROR, remark));
    let consumers = heartbeat.consumers.iter().map(|data| &data.group);
    let mut names = consumers.chain(&heartbeat.producers).chain([&heartbeat.client_id]);
    if names.any(|name| name.len() > NAME_BYTES_MAX) {
        return refusal(format!("a name in the heartbeat is longer than {NAME_BYTES_MAX} bytes"));
    }
    let mut subscriptions = heartbeat.consumers.iter().flat_map(|data| &data.subscriptions);
    if subscriptions.any(|one| one.codes.len().max(one.tags.len()) > TAGS_MAX) {
        return refusal(format!("a subscription has at most {TAGS_MAX} tags"));
    }
    Ok(())
}

/// 35: a client leaves its groups (B-229).
pub(super) fn unregister(
    broker: &Arc<Broker>,
    request: &Command,
    connection: &Connection,
) -> Answer {
    if let Some(group) = request.field("producerGroup") {
        broker.clients.leave_producers(group, connection);
    }
    if let Some(group) = request.field("consumerGroup") {
        let rest = broker.clients.leave_consumers(group, connection);
        let config = broker.store.tables().groups.get(group);
        if config.is_none_or(|config| config.notify_consumer_ids_changed_enable) {
            tell_changed(group, &rest);
        }
    }
    Ok(Command::response(response::SUCCESS).with_empty_fields())
}

/// Tells consumers to share the queues anew (40, B-224).
pub(super) fn tell_changed(group: &str, members: &[Connection]) {
    let notice =
        Command::request(request::NOTIFY_CONSUMER_IDS_CHANGED).with_field("consumerGroup", group);
    for member in members {
        member.send_oneway(notice.clone());
    }
}
