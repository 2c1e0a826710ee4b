//! How far groups are, queue by queue.
//!
//! Invariants: positions are moved only while no member of the group is connected, who would write its own over them, and
//! only to where the queue has or had messages; positions of which nothing is said are left alone, with `prune` too.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use super::{
    Action, Admin, AdminError, MetadataAction, MetadataKind, MetadataPlan, Place, change,
    must_be_known, step,
};
use crate::admin::groups::is_system;
use crate::admin::topics::kind;
use crate::admin::{address_of, all, from_each};
use crate::model::{GroupName, MessageQueue, QueueId, TopicName};
use crate::proto::v1::{OffsetsMetadata, Problem, TopicKind};
use crate::remoting::bodies::offsets::ConsumerOffsetTable;
use crate::remoting::bodies::route::BrokerData;
use crate::remoting::bodies::topic_stats::TopicOffset;

/// Positions that one broker is to have of a group in a topic.
struct Wanted<'a> {
    group: &'a str,
    topic: &'a str,
    queues: &'a BTreeMap<i32, i64>,
}

/// What was asked for the plan already: many groups read the same topics.
struct Asked<'a> {
    groups: &'a [BrokerData],
    /// How many members of each group are connected.
    members: BTreeMap<&'a str, Result<usize, AdminError>>,
    /// The queues of each topic, by the address of the broker.
    queues: BTreeMap<(&'a str, &'a str), Result<Vec<TopicOffset>, AdminError>>,
}

impl Admin {
    async fn position_tables<'a>(
        &self,
        groups: &'a [BrokerData],
        problems: &mut Vec<Problem>,
    ) -> Result<Vec<(&'a BrokerData, ConsumerOffsetTable)>, AdminError> {
        let answers =
            all(groups.iter().map(async |group| self.consumer_offsets(address_of(group)?).await));
        let (tables, mut missing) = from_each(groups, answers.await, "offsets")?;
        problems.append(&mut missing);
        Ok(tables)
    }

    pub(super) async fn export_offsets(
        &self,
        groups: &[BrokerData],
        problems: &mut Vec<Problem>,
    ) -> Result<OffsetsMetadata, AdminError> {
        let mut offsets = OffsetsMetadata::default();
        for (broker, table) in self.position_tables(groups, problems).await? {
            for ((topic, group), queues) in table {
                let (topic, group) = (topic.as_str(), group.as_str());
                let is_own = |kind| matches!(kind, TopicKind::Normal | TopicKind::Retry);
                if is_system(group) || !is_own(kind(topic, groups)) {
                    continue;
                }
                let topics = &mut offsets.groups.entry(group.to_owned()).or_default().topics;
                let brokers = &mut topics.entry(topic.to_owned()).or_default().brokers;
                let there = brokers.entry(broker.broker_name.clone()).or_default();
                let number = |queue: QueueId| i32::try_from(queue.0).ok();
                there.queues = queues
                    .into_iter()
                    .filter_map(|(queue, offset)| Some((number(queue)?, offset)))
                    .collect();
            }
        }
        Ok(offsets)
    }

    pub(super) async fn plan_offsets(
        &self,
        plan: &mut MetadataPlan,
        groups: &[BrokerData],
        offsets: &OffsetsMetadata,
    ) -> Result<(), AdminError> {
        for (group, of_group) in &offsets.groups {
            for (topic, in_topic) in &of_group.topics {
                let of = format!("offsets of group \"{group}\" in topic \"{topic}\"");
                must_be_known(in_topic.brokers.keys(), groups, &of)?;
                let queues = in_topic.brokers.values().flat_map(|one| &one.queues);
                if queues.into_iter().any(|(queue, offset)| *queue < 0 || *offset < 0) {
                    return Err(AdminError::Invalid(format!("{of}: a number is below 0")));
                }
            }
        }
        let tables = self.position_tables(groups, &mut plan.problems).await?;
        let mut asked = Asked { groups, members: BTreeMap::new(), queues: BTreeMap::new() };
        for (group, of_group) in &offsets.groups {
            for (topic, in_topic) in &of_group.topics {
                for (broker, table) in &tables {
                    let Some(there) = in_topic.brokers.get(&broker.broker_name) else { continue };
                    let wanted = Wanted { group, topic, queues: &there.queues };
                    let moved = moved(&wanted, table);
                    let Some(address) = broker.master().filter(|_| !moved.is_empty()) else {
                        continue;
                    };
                    let place = Place { at: &broker.broker_name, address };
                    self.plan_moves(plan, &mut asked, &wanted, place, moved).await;
                }
            }
        }
        Ok(())
    }

    async fn plan_moves<'a>(
        &self,
        plan: &mut MetadataPlan,
        asked: &mut Asked<'a>,
        wanted: &Wanted<'a>,
        place: Place<'a>,
        moved: Vec<(i32, Option<i64>, i64)>,
    ) {
        let changes = moved.iter().map(|(queue, before, after)| {
            let before = before.map(|before| before.to_string());
            change(&queue.to_string(), before.as_deref(), Some(&after.to_string()))
        });
        let is_new = moved.iter().all(|(_, before, _)| before.is_none());
        let action = if is_new { MetadataAction::Create } else { MetadataAction::Change };
        let name = format!("{} in {}", wanted.group, wanted.topic);
        let step = step(MetadataKind::Offsets, &name, action, place, changes.collect());
        let action = match self.why_not(asked, wanted, place, &moved).await {
            Some(reason) => Action::Impossible(reason),
            None => {
                let queue = |queue_id| MessageQueue {
                    topic: wanted.topic.to_owned(),
                    broker_name: place.at.to_owned(),
                    queue_id,
                };
                let offsets = moved.iter().map(|(at, _, offset)| (queue(*at), *offset));
                Action::SetOffsets { group: wanted.group.to_owned(), offsets: offsets.collect() }
            }
        };
        plan.add(step, action);
    }

    /// Why the group cannot go there.
    async fn why_not<'a>(
        &self,
        asked: &mut Asked<'a>,
        wanted: &Wanted<'a>,
        place: Place<'a>,
        moved: &[(i32, Option<i64>, i64)],
    ) -> Option<String> {
        let members = match asked.members.entry(wanted.group) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => {
                let members = self.members_of(asked.groups.iter(), wanted.group).await;
                new.insert(members.map(|members| members.connections.len()))
            }
        };
        match members {
            Ok(0) => {}
            Ok(members) => {
                return Some(format!(
                    "{members} members of the group are connected, and would write their own positions over it: stop them first"
                ));
            }
            Err(error) => return Some(error.to_string()),
        }
        let there = match asked.queues.entry((place.address, wanted.topic)) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => new.insert(self.topic_offsets(place.address, wanted.topic).await),
        };
        let there = match there {
            Ok(there) => there,
            Err(error) => return Some(error.to_string()),
        };
        moved.iter().find_map(|(queue, _, offset)| {
            let Some(found) = there.iter().find(|one| one.queue.queue_id == *queue) else {
                return Some(format!("the topic has no queue {queue} there"));
            };
            (*offset > found.max_offset).then(|| {
                format!("queue {queue} ends at {} there, before {offset}", found.max_offset)
            })
        })
    }
}

/// Queues whose position is not the wanted one: the number, before and after.
fn moved(wanted: &Wanted<'_>, table: &ConsumerOffsetTable) -> Vec<(i32, Option<i64>, i64)> {
    let key = (TopicName::new(wanted.topic), GroupName::new(wanted.group));
    let there = table.get(&key);
    let position = |queue: i32| {
        let queue = QueueId(u32::try_from(queue).ok()?);
        there.and_then(|there| there.get(&queue)).copied()
    };
    let queues = wanted.queues.iter().map(|(queue, offset)| (*queue, position(*queue), *offset));
    queues.filter(|(_, before, after)| *before != Some(*after)).collect()
}
