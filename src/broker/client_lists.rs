//! Who is connected, as tools and clients ask (38, 203, 204, 328; B-240, B-316 to B-318).
//!
//! Not the table behind it (`clients`). Invariant: asking changes nothing.

use std::sync::Arc;

use super::Broker;
use super::answers::{Answer, Refusal};
use crate::filter::Subscription;
use crate::remoting::bodies::clients::{
    all_producers, consumer_connections, consumer_ids, producer_connections,
};
use crate::remoting::bodies::heartbeat::SubscriptionData;
use crate::remoting::{Command, response};
use crate::transport::Connection;

/// Producers in one answer at most: it must fit a frame.
const PRODUCERS_MAX: usize = 65_536;

/// 38: the ids of a group's members (B-240).
pub(super) fn consumers_ids(broker: &Arc<Broker>, request: &Command, _: &Connection) -> Answer {
    let group = request.required_str("consumerGroup")?;
    let ids = broker.clients.consumer_ids(group);
    if ids.is_empty() {
        let remark = format!("no consumer for this group, {group}");
        let answer = Command::response(response::SYSTEM_ERROR).with_remark(remark);
        return Ok(answer.with_empty_fields());
    }
    Ok(Command::response(response::SUCCESS).with_empty_fields().with_body(consumer_ids(&ids)))
}

/// 203: a group's connections and subscriptions (B-316).
pub(super) fn consumers(broker: &Arc<Broker>, request: &Command, _: &Connection) -> Answer {
    let name = request.required_str("consumerGroup")?;
    let Some(group) = broker.clients.consumers(name) else {
        let remark = format!("the consumer group[{name}] not online");
        return Err(Refusal::new(response::CONSUMER_NOT_ONLINE, remark));
    };
    let subscriptions: Vec<_> = group.subscriptions.iter().map(|one| data_of(one)).collect();
    let body = consumer_connections(&group.members, group.mode, &subscriptions);
    Ok(Command::response(response::SUCCESS).with_body(body))
}

/// A subscription as its client said it.
pub(super) fn data_of(subscription: &Subscription) -> SubscriptionData {
    SubscriptionData {
        topic: subscription.topic.to_string(),
        expression: subscription.expression.clone(),
        expression_type: subscription.expression_type.clone(),
        tags: subscription.tags.clone(),
        codes: subscription.codes.clone(),
        class_filter_mode: subscription.class_filter_mode,
        version: subscription.version,
    }
}

/// 204: a producer group's connections (B-317).
pub(super) fn producers(broker: &Arc<Broker>, request: &Command, _: &Connection) -> Answer {
    let name = request.required_str("producerGroup")?;
    let Some(connections) = broker.clients.producers(name) else {
        let remark = format!("the producer group[{name}] not exist");
        return Err(Refusal::new(response::SYSTEM_ERROR, remark));
    };
    Ok(Command::response(response::SUCCESS).with_body(producer_connections(&connections)))
}

/// 328: the connections of all producer groups (B-318). May take a while, so it blocks.
pub(super) fn every_producer(broker: &Arc<Broker>, _: &Command, _: &Connection) -> Answer {
    let groups = broker.clients.all_producers(PRODUCERS_MAX).ok_or_else(|| {
        let remark =
            format!("there are more than {PRODUCERS_MAX} producers: ask for one group (204)");
        Refusal::new(response::SYSTEM_ERROR, remark)
    })?;
    Ok(Command::response(response::SUCCESS).with_body(all_producers(&groups)))
}
