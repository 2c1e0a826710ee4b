//! The configuration of consumer groups: creation by clients, and the requests that change and list it (200, 201, 207;
//! B-070 to B-073); and the copying of one group's positions to another (314).
//!
//! Not the table itself (`store`), not who is connected (`clients`). Invariant: no group is created
//! beyond `limits.groups_max`, and none with a name longer than [`NAME_BYTES_MAX`].

use std::sync::Arc;

use super::answers::{Answer, Refusal};
use super::{Broker, light, topics};
use crate::metrics::Limit;
use crate::model::{SubscriptionGroupConfig, TopicName, shown, system};
use crate::remoting::bodies::groups::{all_groups, group, parse_group};
use crate::remoting::{Command, response};
use crate::transport::Connection;

/// The longest name of a group, in bytes; clients of 4.x take no longer one (C-014).
const NAME_BYTES_MAX: usize = 255;

/// A group's configuration, created if it is not there (B-072); `None` if the settings say that it is not, if there are
/// too many, or if its name is too long.
pub(super) fn find_or_create(broker: &Broker, group: &str) -> Option<Arc<SubscriptionGroupConfig>> {
    let groups = &broker.store.tables().groups;
    let existing = light::group(broker, group).or_else(|| groups.get(group));
    let creates = broker.live_config.creates_groups();
    let may_be_made = creates || group.starts_with(system::GROUP_PREFIX);
    if existing.is_some() || !may_be_made || group.len() > NAME_BYTES_MAX || is_full(broker) {
        return existing;
    }
    groups.get_or_create(group, creates)
}

fn has_too_many(broker: &Broker) -> bool {
    broker.store.tables().groups.count() >= broker.limits().numbers().groups_max
}

fn is_full(broker: &Broker) -> bool {
    let is_full = has_too_many(broker);
    if is_full {
        broker.limits().reached(Limit::Groups);
    }
    is_full
}

/// What a remark about a group says that is not there and was not created; nothing if there was room.
pub(super) fn why_not_created(broker: &Broker) -> String {
    let limit = has_too_many(broker).then(|| broker.limits().text(Limit::Groups));
    limit.map(|limit| format!("no more are created: {limit} ")).unwrap_or_default()
}

/// 200: creates or replaces a group's configuration (B-312). Blocks.
pub(super) fn update(broker: &Arc<Broker>, request: &Command, connection: &Connection) -> Answer {
    topics::refuse_if_slave(broker)?;
    let tables = broker.store.tables();
    let Some(config) = parse_group(&request.body)? else {
        return Ok(Command::response(response::SUCCESS));
    };
    if light::is_light(broker, config.name.as_str()) {
        return Ok(Command::response(response::SUCCESS));
    }
    if config.name.as_str().len() > NAME_BYTES_MAX {
        let remark = format!("the group's name is longer than {NAME_BYTES_MAX} bytes");
        return Err(Refusal::new(response::SYSTEM_ERROR, remark));
    }
    if tables.groups.get(config.name.as_str()).is_none() && is_full(broker) {
        return Err(Refusal::new(response::SYSTEM_ERROR, broker.limits().text(Limit::Groups)));
    }
    tracing::info!(?config, by = %connection.remote(), "group created or changed");
    tables.groups.put(config);
    topics::saved(tables, "groups")?;
    Ok(Command::response(response::SUCCESS))
}

/// 201: all configurations (B-313).
pub(super) fn list(broker: &Arc<Broker>, _: &Command, _: &Connection) -> Answer {
    let (version, groups) = broker.store.tables().groups.snapshot();
    Ok(Command::response(response::SUCCESS).with_body(all_groups(version, &groups)))
}

/// 352: one configuration, as brokers of 5.x tell it; what only these have is left out.
pub(super) fn show(broker: &Arc<Broker>, request: &Command, _: &Connection) -> Answer {
    let config = broker.store.tables().groups.get(request.required_str("group")?);
    let config = config.ok_or_else(|| {
        Refusal::new(response::SUBSCRIPTION_GROUP_NOT_EXIST, "No group in this broker")
    })?;
    Ok(Command::response(response::SUCCESS).with_body(group(&config)))
}

/// 207: deletes a group's configuration, and its positions if asked to (B-314). A slave takes it from its master soon
/// (S-45). Blocks.
pub(super) fn delete(broker: &Arc<Broker>, request: &Command, connection: &Connection) -> Answer {
    let group = request.required_str("groupName")?;
    let removes_offsets = request.flag_bool("removeOffset");
    if broker.is_slave() {
        return Ok(Command::response(response::SUCCESS));
    }
    let tables = broker.store.tables();
    let was_there = tables.groups.remove(group);
    if removes_offsets {
        tables.consumer_offsets.remove_group(group);
    }
    broker.statistics.forget_group(group);
    let group = shown(group);
    tracing::info!(group, was_there, removes_offsets, by = %connection.remote(), "group deleted");
    topics::saved(tables, "groups")?;
    Ok(Command::response(response::SUCCESS))
}

/// 314: sets a group's positions as another's are, in one topic or in all where that has any (B-335). Topics that the
/// other is connected for without reading them are left out, unless it is said to be offline.
pub(super) fn clone_positions(
    broker: &Arc<Broker>,
    request: &Command,
    connection: &Connection,
) -> Answer {
    let (from, to) = (request.required_str("srcGroup")?, request.required_str("destGroup")?);
    let is_offline = request.flag_bool("offline");
    let tables = broker.store.tables();
    let topics = match request.field("topic").filter(|topic| !topic.trim().is_empty()) {
        Some(topic) => vec![TopicName::new(topic)],
        None => tables.consumer_offsets.topics_of(from),
    };
    for topic in topics {
        let topic = topic.as_str();
        if tables.topics.get(topic).is_none()
            || (!is_offline && broker.clients.reads_others_only(from, topic))
        {
            continue;
        }
        tables.consumer_offsets.clone_group(from, to, topic);
        let (topic, from, to) = (shown(topic), shown(from), shown(to));
        tracing::info!(topic, from, to, by = %connection.remote(), "positions of a group copied");
    }
    Ok(Command::response(response::SUCCESS))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::clients::tests::World;
    use crate::broker::send::group_config;
    use crate::broker::tests_support;
    use crate::model::QueueId;

    fn update(body: &str) -> Command {
        Command::request(200).with_body(body.to_owned())
    }

    fn delete(group: &str, removes_offsets: bool) -> Command {
        let request = Command::request(207).with_field("groupName", group);
        request.with_field("removeOffset", removes_offsets)
    }

    #[tokio::test]
    async fn a_group_is_replaced_whole_and_listed_b312_b313() {
        let world = World::new();
        let mut tool = world.peer().await;
        let answer = tool.answer(update(r#"{"groupName":"G","retryMaxTimes":3}"#)).await;
        assert_eq!((answer.code, answer.remark, answer.fields), (0, None, None));
        let _ = tool.answer(update(r#"{"groupName":"G","retryQueueNums":2}"#)).await;
        let groups = &world.broker.store.tables().groups;
        let config = groups.get("G").unwrap();
        assert_eq!((config.retry_max_times, config.retry_queue_nums), (16, 2));
        let answer = tool.answer(Command::request(201)).await;
        let text = std::str::from_utf8(&answer.body).unwrap();
        assert!(text.starts_with(r#"{"dataVersion":{"counter":2,"timestamp":"#), "{text}");
        let row = r#""G":{"brokerId":0,"consumeBroadcastEnable":true,"consumeEnable":true,"consumeFromMinEnable":true,"groupName":"G","notifyConsumerIdsChangedEnable":true,"retryMaxTimes":16,"retryQueueNums":2,"whichBrokerWhenConsumeSlowly":1}"#;
        assert!(text.contains(row) && text.contains(system::TOOLS_CONSUMER), "{text}");
    }

    #[tokio::test]
    async fn one_group_is_told_as_5x_does() {
        let world = World::new();
        let mut tool = world.peer().await;
        let _ = tool.answer(update(r#"{"groupName":"G","retryMaxTimes":3}"#)).await;
        let asked = |group: &'static str| Command::request(352).with_field("group", group);
        let answer = tool.answer(asked("G")).await;
        let told = parse_group(&answer.body).unwrap().unwrap();
        assert_eq!((answer.code, told.name.as_str(), told.retry_max_times), (0, "G", 3));
        let missing = tool.answer(asked("H")).await;
        assert_eq!(
            (missing.code, missing.remark.as_deref()),
            (26, Some("No group in this broker"))
        );
        assert!(world.broker.store.tables().groups.get("H").is_none(), "asking creates nothing");
    }

    #[tokio::test]
    async fn what_was_counted_of_a_group_goes_with_it() {
        let world = World::new();
        let statistics = &world.broker.statistics;
        statistics.messages_out("G", "T", 1, 1);
        statistics.sent_back("G", "T");
        let mut tool = world.peer().await;
        assert_eq!(tool.answer(delete("G", false)).await.code, 0);
        let saved = statistics.saved();
        assert!(saved.gets.is_empty() && saved.sent_back.is_empty());
    }

    #[tokio::test]
    async fn positions_go_with_a_group_only_if_asked_b314() {
        let world = World::new();
        let mut tool = world.peer().await;
        let tables = world.broker.store.tables();
        for (removes_offsets, left) in [(false, Some(9)), (true, None)] {
            let _ = tool.answer(update(r#"{"groupName":"G"}"#)).await;
            tables.consumer_offsets.commit("T", "G", QueueId(0), 9);
            assert_eq!(tool.answer(delete("G", removes_offsets)).await.code, 0);
            assert!(tables.groups.get("G").is_none());
            assert_eq!(tables.consumer_offsets.query("T", "G", QueueId(0)), left);
        }
        assert_eq!(tool.answer(delete("G", true)).await.code, 0, "deleting twice is no error");
    }

    #[tokio::test]
    async fn positions_are_copied_from_group_to_group_b335() {
        let world = World::new();
        let mut tool = world.peer().await;
        let tables = world.broker.store.tables();
        for topic in ["T", "U"] {
            tables.topics.put(crate::model::TopicConfig::new(TopicName::new(topic), 1));
            tables.consumer_offsets.commit(topic, "G", QueueId(0), 9);
        }
        tables.consumer_offsets.commit("gone", "G", QueueId(0), 9);
        let position = |topic| tables.consumer_offsets.query(topic, "H", QueueId(0));
        let request =
            Command::request(314).with_field("srcGroup", "G").with_field("destGroup", "H");
        let one = request.clone().with_field("topic", "T").with_field("offline", true);
        assert_eq!(tool.answer(one).await.code, 0);
        assert_eq!(["T", "U", "gone"].map(position), [Some(9), None, None]);
        assert_eq!(tool.answer(request.with_field("topic", "")).await.code, 0);
        assert_eq!(["T", "U", "gone"].map(position), [Some(9), Some(9), None]);
        assert_eq!(tool.answer(Command::request(314)).await.code, 1);
    }

    #[tokio::test]
    async fn what_is_no_group_is_refused() {
        let world = World::new();
        let mut tool = world.peer().await;
        let long = format!(r#"{{"groupName":"{}"}}"#, "x".repeat(NAME_BYTES_MAX + 1));
        let nameless = Command::request(207);
        for request in [update(""), update("{}"), update("[1"), update(&long), nameless] {
            let answer = tool.answer(request).await;
            assert_eq!(answer.code, 1);
            assert!(answer.remark.is_some());
        }
        assert_eq!(tool.answer(update("null")).await.code, 0);
        assert_eq!(world.broker.store.tables().groups.version().counter, 0);
    }

    #[tokio::test]
    async fn there_are_no_more_groups_than_the_limit() {
        let world = World::new();
        let broker = &world.broker;
        let limit = broker.store.tables().groups.count() + 3;
        tests_support::limit(broker, |numbers| numbers.groups_max = limit);
        for number in 0..3 {
            assert!(find_or_create(broker, &format!("G{number}")).is_some());
        }
        assert!(find_or_create(broker, "one more").is_none());
        assert!(find_or_create(broker, "G0").is_some());
        let mut tool = world.peer().await;
        let text = format!("limits.groups_max = {limit} is reached");
        let refused = tool.answer(update(r#"{"groupName":"one more"}"#)).await;
        assert_eq!((refused.code, refused.remark.as_deref()), (1, Some(text.as_str())));
        assert_eq!(tests_support::times_reached(broker, Limit::Groups), 2);
        let refused = group_config(broker, "one more").unwrap_err();
        assert!(refused.remark.starts_with("subscription group not exist, one more "));
        assert!(refused.remark.contains(&text), "{}", refused.remark);
        assert_eq!(tool.answer(update(r#"{"groupName":"G0"}"#)).await.code, 0);
    }
}
