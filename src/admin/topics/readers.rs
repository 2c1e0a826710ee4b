//! Who consumes a topic: 300 at its brokers, then 208 and 203 of each group.
//!
//! Invariant: what is not known of a group is unset, never a number.

use std::collections::BTreeSet;

use super::{Admin, all};
use crate::admin::groups::lag;
use crate::admin::{AT_ONCE, address_of, problem};
use crate::proto::v1::{Problem, TopicGroup, TopicStatus};
use crate::remoting::bodies::heartbeat::MessageModel;
use crate::remoting::bodies::route::BrokerData;

impl Admin {
    /// Adds the groups that consume a topic, or have positions in it. Who does not answer is told of in it.
    pub async fn add_groups(&self, topic: &mut TopicStatus) {
        let name = topic.topic.as_str();
        let brokers = match self.route(name).await {
            Ok(route) => route.brokers,
            Err(error) => {
                topic.problems.push(Problem {
                    at: topic.topic.clone(),
                    reason: format!("groups are missing: {error}"),
                    ..Problem::default()
                });
                return;
            }
        };
        let asked = brokers
            .iter()
            .map(async |broker| self.groups_of_topic(address_of(broker)?, name).await);
        let mut names = BTreeSet::new();
        for (broker, answer) in brokers.iter().zip(all(asked).await) {
            match answer {
                Ok(found) => names.extend(found),
                Err(error) => {
                    let reason = format!("groups of {} are missing: {error}", broker.broker_name);
                    topic.problems.push(problem(broker, reason));
                }
            }
        }
        let names: Vec<String> = names.into_iter().collect();
        for some in names.chunks(AT_ONCE) {
            let found = some.iter().map(|group| self.group_in_topic(group, name, &brokers));
            topic.groups.append(&mut all(found).await);
        }
    }

    async fn group_in_topic(&self, name: &str, topic: &str, brokers: &[BrokerData]) -> TopicGroup {
        let members = self.members_of(brokers.iter(), name).await.ok();
        let count = members.as_ref().map(|members| members.connections.len());
        let is_broadcast = members.is_some_and(|members| {
            !members.connections.is_empty()
                && members.mode.message_model == MessageModel::Broadcasting
        });
        let mut group = TopicGroup {
            group: name.to_owned(),
            lag: (!is_broadcast).then_some(0),
            members: count.and_then(|count| u32::try_from(count).ok()),
            ..TopicGroup::default()
        };
        let asked = brokers
            .iter()
            .map(async |broker| self.consume_stats(address_of(broker)?, name, Some(topic)).await);
        for stats in all(asked).await {
            match stats {
                Err(_) => group.lag = None,
                Ok(stats) => {
                    let behind = stats.queues.iter().map(lag).fold(0, i64::saturating_add);
                    group.lag = group.lag.map(|so_far| so_far.saturating_add(behind));
                    group.tps += stats.tps;
                }
            }
        }
        group
    }
}
