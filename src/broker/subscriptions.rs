//! What consumers want: which subscription a pull has, whether its broker can filter by it (46, B-163, B-164, B-233), and
//! what becomes of those that heartbeats tell (B-225, B-226).
//!
//! Not how expressions are read (`filter`) nor who subscribed (`clients`). Invariant: a broken expression is refused,
//! and says where it is broken, whichever way it comes (S-23).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Broker;
use super::answers::{Answer, FAQ, Refusal};
use super::clients::MessageModel;
use crate::filter::{SQL92, Sql, SqlError, Subscription, SubscriptionError, TAG};
use crate::model::{SubscriptionGroupConfig, TopicName, shown};
use crate::remoting::bodies::heartbeat::SubscriptionData;
use crate::remoting::headers::{PullHeader, pull_flag};
use crate::remoting::{Command, response};
use crate::store::EntryFilter;
use crate::transport::Connection;

/// What a subscription takes beside its texts.
const SUBSCRIPTION_BYTES: usize = 200;
/// What an SQL92 expression takes at most for each of its bytes, once it is read: `a or a or a` has the most terms.
const SQL_BYTES_PER_BYTE: usize = 32;
/// SQL92 expressions of pulls that are kept as they were read, and the longest of them: 8 MiB at most, whoever asks.
const CARRIED_MAX: usize = 64;
const CARRIED_BYTES_MAX: usize = 4 << 10;

impl EntryFilter for Subscription {
    fn matches_tags_code(&self, tags_code: i64) -> bool {
        Self::matches_tags_code(self, tags_code)
    }

    fn matches_properties(&self, properties: &str) -> bool {
        Self::matches_properties(self, properties)
    }

    fn needs_properties(&self) -> bool {
        Self::needs_properties(self)
    }
}

/// The subscription of the header, else the group's, in the order of B-163 and B-164.
pub(super) fn of_pull(
    broker: &Broker,
    header: &PullHeader<'_>,
    group: &SubscriptionGroupConfig,
) -> Result<Arc<Subscription>, Refusal> {
    let subscription = if header.has(pull_flag::SUBSCRIPTION) {
        broker.carried.read(header).map_err(|error| parse_failed(&error))?
    } else {
        of_group(broker, header, group)?
    };
    if !subscription.is_tag_type() && !subscription.is_sql_type() {
        return Err(no_such_type(&subscription.expression_type));
    }
    if subscription.is_sql_type() && subscription.sql.is_none() {
        return Err(broken_heartbeat(&subscription));
    }
    Ok(subscription)
}

/// The SQL92 subscriptions that pulls carried, the last one first. Consumers that pull by themselves say theirs with each pull,
/// and reading one takes as long as asking it about many messages.
#[derive(Debug, Default)]
pub(super) struct Carried(Mutex<Vec<Arc<Subscription>>>);

impl Carried {
    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Subscription>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a pull carries. The version of one that is known may be another pull's: nobody looks at it.
    fn read(&self, header: &PullHeader<'_>) -> Result<Arc<Subscription>, SubscriptionError> {
        let (topic, expression) = (header.topic, header.subscription.unwrap_or_default());
        let kind = header.expression_type;
        let is_kept = kind == Some(SQL92) && expression.len() <= CARRIED_BYTES_MAX;
        if is_kept {
            let mut kept = self.lock();
            let is_it = |one: &Arc<Subscription>| {
                one.expression == expression && one.topic.as_str() == topic
            };
            if let Some(at) = kept.iter().position(is_it) {
                kept[..=at].rotate_right(1);
                return Ok(Arc::clone(&kept[0]));
            }
        }
        let read = Arc::new(Subscription::parse(topic, expression, kind, header.sub_version)?);
        if is_kept {
            let mut kept = self.lock();
            kept.insert(0, Arc::clone(&read));
            kept.truncate(CARRIED_MAX);
        }
        Ok(read)
    }
}

/// 4.9.4 gives out every message where SQL92 is broken (S-23).
fn parse_failed(error: &SubscriptionError) -> Refusal {
    let mut remark = "parse the consumer's subscription failed".to_owned();
    if let SubscriptionError::Sql(error) = error {
        remark.push_str(&format!(": {error}"));
    }
    Refusal::new(response::SUBSCRIPTION_PARSE_FAILED, remark)
}

/// A heartbeat subscribed to what is no SQL92.
fn broken_heartbeat(subscription: &Subscription) -> Refusal {
    let error = Sql::parse(&subscription.expression).err();
    let why = error.as_ref().map(SqlError::to_string).unwrap_or_default();
    let remark = "The broker's consumer filter data is not exist!Your expression may be wrong!";
    Refusal::new(response::FILTER_DATA_NOT_EXIST, format!("{remark} {why}"))
}

fn no_such_type(kind: &str) -> Refusal {
    let remark = format!("The broker does not support consumer to filter message by {kind}");
    Refusal::new(response::SYSTEM_ERROR, remark)
}

/// What the group's members subscribed to with their heartbeats (B-163).
fn of_group(
    broker: &Broker,
    header: &PullHeader<'_>,
    group: &SubscriptionGroupConfig,
) -> Result<Arc<Subscription>, Refusal> {
    let name = header.consumer_group;
    let found = broker.clients.subscription(name, header.topic);
    // Only who has no subscription, or may not broadcast, needs a look at the group itself.
    if found.is_none() || !group.consume_broadcast_enable {
        let Some(online) = broker.clients.consumer_group(name) else {
            let remark = format!("the consumer's group info not exist{FAQ}");
            return Err(Refusal::new(response::SUBSCRIPTION_NOT_EXIST, remark));
        };
        if !group.consume_broadcast_enable && online.message_model == MessageModel::Broadcasting {
            let remark = format!("the consumer group[{name}] can not consume by broadcast way");
            return Err(Refusal::new(response::NO_PERMISSION, remark));
        }
    }
    let Some(found) = found else {
        let remark = format!("the consumer's subscription not exist{FAQ}");
        return Err(Refusal::new(response::SUBSCRIPTION_NOT_EXIST, remark));
    };
    if found.version < header.sub_version {
        let remark = "the consumer's subscription not latest";
        return Err(Refusal::new(response::SUBSCRIPTION_NOT_LATEST, remark));
    }
    Ok(found)
}

/// 46: whether a client may subscribe so (B-233).
pub(super) fn check(_: &Arc<Broker>, request: &Command, _: &Connection) -> Answer {
    let Some(data) = SubscriptionData::parse_check(&request.body)? else {
        return Ok(Command::response(response::SUCCESS));
    };
    match data.expression_type.as_str() {
        TAG => {}
        SQL92 => {
            Sql::parse(&data.expression).map_err(|error| {
                Refusal::new(response::SUBSCRIPTION_PARSE_FAILED, error.to_string())
            })?;
        }
        other => return Err(no_such_type(other)),
    }
    Ok(Command::response(response::SUCCESS))
}

/// The subscriptions after a heartbeat: its topics are all there are (B-226); of a known one the newer stays (B-225).
pub(super) fn merge(
    old: &BTreeMap<TopicName, Arc<Subscription>>,
    heard: Vec<SubscriptionData>,
) -> BTreeMap<TopicName, Arc<Subscription>> {
    let mut merged: BTreeMap<TopicName, Arc<Subscription>> = BTreeMap::new();
    for data in heard {
        let known = merged.get_key_value(data.topic.as_str());
        let known = known.or_else(|| old.get_key_value(data.topic.as_str()));
        let (topic, subscription) = match known {
            Some((topic, known)) if known.version >= data.version => {
                (topic.clone(), Arc::clone(known))
            }
            _ => (TopicName::new(&data.topic), Arc::new(subscription_of(data))),
        };
        merged.insert(topic, subscription);
    }
    merged
}

/// What another heartbeat told meanwhile stays, if it is not older.
pub(super) fn keep_newer(
    known: &BTreeMap<TopicName, Arc<Subscription>>,
    merged: &mut BTreeMap<TopicName, Arc<Subscription>>,
) {
    for (topic, subscription) in merged {
        if let Some(known) = known.get(topic).filter(|known| known.version >= subscription.version)
        {
            *subscription = Arc::clone(known);
        }
    }
}

/// What a client said it wants. C++ leaves out what follows from the expression: without it, a filter by tags would
/// filter everything away.
fn subscription_of(data: SubscriptionData) -> Subscription {
    let heard = Subscription {
        topic: TopicName::new(&data.topic),
        expression: data.expression,
        expression_type: data.expression_type,
        tags: data.tags,
        codes: data.codes,
        sql: None,
        class_filter_mode: data.class_filter_mode,
        version: data.version,
    };
    if heard.is_tag_type() && !heard.codes.is_empty() {
        return heard;
    }
    let expression_type = Some(&*heard.expression_type);
    match Subscription::parse(&data.topic, &heard.expression, expression_type, heard.version) {
        Ok(parsed) => Subscription { class_filter_mode: heard.class_filter_mode, ..parsed },
        Err(error) => {
            let topic = shown(heard.topic.as_str());
            tracing::warn!(topic, %error, "a consumer subscribes to what cannot be read: it will get nothing");
            heard
        }
    }
}

/// What a subscription takes.
pub(super) fn bytes_of(subscription: &Subscription) -> usize {
    let tags: usize = subscription.tags.iter().map(|tag| tag.capacity() + 24).sum();
    let compiled = if subscription.sql.is_some() { SQL_BYTES_PER_BYTE } else { 1 };
    SUBSCRIPTION_BYTES
        + subscription.topic.as_str().len()
        + subscription.expression.len() * compiled
        + subscription.expression_type.len()
        + tags
        + 4 * subscription.codes.len()
}

#[cfg(test)]
#[path = "subscriptions_tests.rs"]
mod tests;
