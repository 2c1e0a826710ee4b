//! Topics of a cluster: which there are, and how full their queues are.
//!
//! | file | what |
//! | --- | --- |
//! | here | the list (106, then 21 of each broker), one topic (105, then 202) |
//! | `change` | creating and deleting |
//! | `update` | changing queues and permissions |
//! | `drift` | what is not the same on all masters, and its repair |
//! | `readers` | who consumes a topic (300, then 208 and 203) |
//!
//! The list has no numbers of messages: no bulk code of 4.9 tells them.

mod change;
mod drift;
mod readers;
mod update;

use std::collections::BTreeMap;

pub(super) use change::QUEUES;

use super::{Admin, AdminError, all, from_each_or_slave, of_slave};
use crate::model::{DLQ_PREFIX, Permission, RETRY_PREFIX, TopicConfig, system};
use crate::proto::v1::{
    ListTopicsResponse, Problem, QueueStatus, Topic, TopicKind, TopicOnBroker, TopicStatus,
};
use crate::remoting::bodies::route::{BrokerData, QueueData, TopicRoute};
use crate::remoting::bodies::topic_stats::TopicOffset;
use crate::remoting::response;

impl TopicOnBroker {
    fn of(group: &BrokerData, address: &str, config: &TopicConfig) -> Self {
        Self::new(group, address, (config.read_queues, config.write_queues), config.permission)
    }

    fn new(group: &BrokerData, address: &str, queues: (u32, u32), permission: Permission) -> Self {
        Self {
            cluster: group.cluster.clone(),
            broker: group.broker_name.clone(),
            address: address.to_owned(),
            read_queues: queues.0,
            write_queues: queues.1,
            permission: permission_text(permission),
        }
    }
}

impl QueueStatus {
    /// How many messages it has.
    #[must_use]
    pub fn messages(&self) -> i64 {
        self.max_offset.saturating_sub(self.min_offset).max(0)
    }
}

/// What a listing is made of, before it is told.
struct Found {
    /// With `drift` in it.
    topic: Topic,
    /// What repairs each drift, in its order.
    repairs: Vec<TopicConfig>,
}

/// `rw`, `r`, `w` or `-`, and `x` for a template (B-059).
#[must_use]
pub fn permission_text(permission: Permission) -> String {
    let bits = [(Permission::READ, 'r'), (Permission::WRITE, 'w'), (Permission::INHERIT, 'x')];
    let text: String = bits
        .iter()
        .filter(|(bit, _)| permission.contains(*bit))
        .map(|(_, letter)| *letter)
        .collect();
    if text.is_empty() { "-".to_owned() } else { text }
}

/// Reads `rw`, `r` or `w`, and 4.9.4's numbers 6, 4 and 2.
#[must_use]
pub fn permission_from_text(text: &str) -> Option<Permission> {
    match text {
        "rw" | "6" => Some(Permission::READ_WRITE),
        "r" | "4" => Some(Permission::READ),
        "w" | "2" => Some(Permission::WRITE),
        _ => None,
    }
}

pub(super) fn kind(name: &str, groups: &[BrokerData]) -> TopicKind {
    let cluster_part = name.strip_suffix("_REPLY_TOPIC").unwrap_or(name);
    let is_groups = |group: &BrokerData| group.cluster == cluster_part || group.broker_name == name;
    if name.starts_with(RETRY_PREFIX) {
        TopicKind::Retry
    } else if name.starts_with(DLQ_PREFIX) {
        TopicKind::DeadLetter
    } else if system::TOPICS.contains(&name)
        || name.starts_with(system::TOPIC_PREFIX)
        || groups.iter().any(is_groups)
    {
        TopicKind::System
    } else {
        TopicKind::Normal
    }
}

impl Admin {
    /// Every topic that a broker has. A broker that does not answer is told of in the listing.
    ///
    /// # Errors
    /// No name server answers, or no broker is registered, or none of them answers.
    pub async fn topics(&self) -> Result<ListTopicsResponse, AdminError> {
        let (found, problems) = self.find_topics().await?;
        Ok(ListTopicsResponse {
            topics: found.into_iter().map(|found| found.topic).collect(),
            problems,
        })
    }

    async fn find_topics(&self) -> Result<(Vec<Found>, Vec<Problem>), AdminError> {
        let groups = self.broker_groups(None).await?;
        let answers = all(groups.iter().map(|group| self.configs_of(group))).await;
        let (told, problems) = from_each_or_slave(&groups, answers, "topics")?;
        let asked: Vec<_> = told.iter().map(|(group, _)| *group).collect();
        let mut topics: BTreeMap<String, Vec<(&BrokerData, TopicConfig)>> = BTreeMap::new();
        for (group, found) in told {
            for (name, config) in found {
                topics.entry(name).or_default().push((group, config));
            }
        }
        let found = topics.iter().map(|(name, there)| found(name, there, &asked, &groups));
        Ok((found.collect(), problems))
    }

    /// All topics of one broker group by their names.
    pub(super) async fn configs_of(
        &self,
        group: &BrokerData,
    ) -> Result<BTreeMap<String, TopicConfig>, AdminError> {
        let Some(address) = group.address() else { return Ok(BTreeMap::new()) };
        let topics = self.topic_configs(address).await?;
        Ok(topics.into_iter().map(|topic| (topic.name.as_str().to_owned(), topic)).collect())
    }

    /// One topic, with the offsets of its queues. A broker that does not answer is told of in the result.
    ///
    /// # Errors
    /// No name server answers, there is no such topic, or none of its brokers answers.
    pub async fn topic(&self, name: &str) -> Result<TopicStatus, AdminError> {
        let route = self.route(name).await?;
        let brokers = on_brokers(&route);
        let (mut queues, mut problems, mut last_error) = (Vec::new(), Vec::new(), None);
        let answers = all(brokers.iter().map(|one| self.queues_of(name, one))).await;
        for (one, answer) in brokers.iter().zip(answers) {
            match answer {
                Ok(found) => queues.extend(found),
                Err(error) => {
                    problems.push(Problem {
                        at: one.broker.clone(),
                        address: Some(one.address.clone()),
                        reason: format!("queues of {} are missing: {error}", one.broker),
                    });
                    last_error = Some(error);
                }
            }
        }
        if let Some(error) = last_error
            && problems.len() == brokers.len()
        {
            return Err(error);
        }
        let is_told =
            |group: &&BrokerData| queues.iter().any(|one| one.broker == group.broker_name);
        let told = route.brokers.iter().filter(is_told);
        problems.extend(told.filter_map(|group| of_slave(group, "queues")));
        queues.sort_unstable_by(|a, b| (&a.broker, a.queue).cmp(&(&b.broker, b.queue)));
        Ok(TopicStatus {
            topic: name.to_owned(),
            kind: kind(name, &route.brokers).into(),
            brokers,
            messages: queues.iter().map(QueueStatus::messages).fold(0, i64::saturating_add),
            queues,
            problems,
            groups: Vec::new(),
        })
    }

    /// By 202 (B-315), or by two calls a queue of a broker that does not know it.
    async fn queues_of(
        &self,
        topic: &str,
        broker: &TopicOnBroker,
    ) -> Result<Vec<QueueStatus>, AdminError> {
        let offsets = match self.topic_offsets(&broker.address, topic).await {
            Err(error) if error.is_refused(response::REQUEST_CODE_NOT_SUPPORTED) => {
                return self.queues_one_by_one(topic, broker).await;
            }
            answered => answered?,
        };
        let stats = |one: TopicOffset| QueueStatus {
            broker: broker.broker.clone(),
            queue: one.queue.queue_id,
            min_offset: one.min_offset,
            max_offset: one.max_offset,
            last_stored_ms: Some(one.last_update_timestamp).filter(|time| *time > 0),
        };
        Ok(offsets.into_iter().map(stats).collect())
    }

    async fn queues_one_by_one(
        &self,
        topic: &str,
        broker: &TopicOnBroker,
    ) -> Result<Vec<QueueStatus>, AdminError> {
        let (address, mut queues) = (&broker.address, Vec::new());
        for queue in 0..i32::try_from(broker.write_queues).unwrap_or(i32::MAX) {
            queues.push(QueueStatus {
                broker: broker.broker.clone(),
                queue,
                min_offset: self.min_offset(address, topic, queue).await?,
                max_offset: self.max_offset(address, topic, queue).await?,
                last_stored_ms: None,
            });
        }
        Ok(queues)
    }
}

fn found(
    name: &str,
    there: &[(&BrokerData, TopicConfig)],
    asked: &[&BrokerData],
    groups: &[BrokerData],
) -> Found {
    let kind = kind(name, groups);
    let drift = match kind {
        TopicKind::Normal => drift::drift(asked, there),
        _ => Vec::new(),
    };
    let (drift, repairs) = drift.into_iter().unzip();
    let on_broker = |(group, config): &(&BrokerData, TopicConfig)| {
        Some(TopicOnBroker::of(group, group.address()?, config))
    };
    let topic = Topic {
        topic: name.to_owned(),
        kind: kind.into(),
        brokers: there.iter().filter_map(on_broker).collect(),
        drift,
    };
    Found { topic, repairs }
}

/// The topic on each broker group of its route.
fn on_brokers(route: &TopicRoute) -> Vec<TopicOnBroker> {
    let on_broker = |data: &QueueData| {
        let group = route.brokers.iter().find(|group| group.broker_name == data.broker_name)?;
        let queues = (data.read_queues, data.write_queues);
        Some(TopicOnBroker::new(group, group.address()?, queues, data.permission))
    };
    let mut brokers: Vec<_> = route.queues.iter().filter_map(on_broker).collect();
    brokers.sort_unstable_by(|a, b| a.broker.cmp(&b.broker));
    brokers
}
