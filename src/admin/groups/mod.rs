//! Consumer groups: the list (106, then 201, 317 and 9009 of each master), and one group (208 and 201 of each master, 203,
//! and 307 of each member).
//!
//! Changing them is in `change`. Invariants: the list costs three calls a master, and one a group only if members are asked
//! for; the calls of operators leave no trace in what is shown.

mod change;

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use super::{Admin, AdminError, address_of, all, from_each_or_slave, perhaps};
use crate::clock::Clock;
use crate::model::{MessageQueue, RETRY_PREFIX, system};
use crate::proto::v1::{
    Group, GroupMember, GroupOnBroker, GroupQueue, GroupSettings, GroupStatus, GroupSubscription,
    ListGroupsRequest, ListGroupsResponse, Problem,
};
use crate::remoting::bodies::clients::{ClientConnection, ConsumerConnections};
use crate::remoting::bodies::consume_stats::{ConsumeStats, QueueProgress};
use crate::remoting::bodies::route::BrokerData;
use crate::remoting::response;

/// For what a broker computes from all queues of all groups.
pub(super) const LIST_TIMEOUT: Duration = Duration::from_secs(15);
/// Groups whose members are asked for at the same time.
const GROUPS_AT_ONCE: usize = 64;

/// What one master says of its groups.
struct OfMaster {
    /// Each with whether it gets messages there.
    names: Vec<(String, bool)>,
    progress: Vec<(String, Vec<ConsumeStats>)>,
    /// How old the oldest message is that a group has not got; of nodes of ours.
    ages: Vec<(String, u64)>,
}

impl GroupMember {
    /// Those that are connected, by id.
    pub(super) fn all(members: &ConsumerConnections) -> Vec<Self> {
        let member = |one: &ClientConnection| Self {
            client_id: one.client_id.clone(),
            address: one.address.clone(),
            language: one.language.name().to_owned(),
            version: one.version,
        };
        let mut all: Vec<_> = members.connections.iter().map(member).collect();
        all.sort_unstable_by(|a, b| a.client_id.cmp(&b.client_id));
        all
    }
}

impl Admin {
    /// Every group. A broker that does not answer is told of in the listing.
    ///
    /// # Errors
    /// No name server answers, or no broker is registered, or none of them answers.
    pub async fn groups(
        &self,
        request: &ListGroupsRequest,
    ) -> Result<ListGroupsResponse, AdminError> {
        let brokers = self.broker_groups(None).await?;
        let answers = all(brokers.iter().map(|group| self.groups_of(group))).await;
        let (told, problems) = from_each_or_slave(&brokers, answers, "groups")?;
        let mut groups = merged(&told, Clock::system().now_ms());
        if request.with_members {
            self.count_members(&mut groups).await;
        }
        Ok(ListGroupsResponse { groups, problems })
    }

    async fn groups_of(&self, group: &BrokerData) -> Result<OfMaster, AdminError> {
        let address = address_of(group)?;
        let names = self.group_configs(address).await?;
        let progress = self.broker_consume_stats(address, false, LIST_TIMEOUT).await?;
        // What they add is not worth an error.
        let figures = self.broker_figures(address).await.ok().flatten().unwrap_or_default();
        let ages = figures.readers.into_iter().filter_map(|one| Some((one.group, one.behind_ms?)));
        let names = names.into_iter().map(|one| (one.name.as_str().to_owned(), one.consume_enable));
        let (names, ages) = (names.collect(), ages.collect());
        Ok(OfMaster { names, progress: progress.groups, ages })
    }

    /// Counts the members of these groups, and tells how they consume: of a page of a list, as each takes a call (203). A
    /// consumer is connected to every broker, so that one which answers is enough; what nobody tells stays unset.
    pub async fn count_members(&self, groups: &mut [Group]) {
        let Ok(brokers) = self.broker_groups(None).await else { return };
        for some in groups.chunks_mut(GROUPS_AT_ONCE) {
            let counts = all(some.iter().map(async |group| {
                let its = brokers.iter().filter(|one| group.brokers.contains(&one.broker_name));
                self.members_of(its, &group.group).await.ok()
            }));
            let counts = counts.await;
            for (group, members) in some.iter_mut().zip(counts) {
                let Some(members) = members else { continue };
                group.members = u32::try_from(members.connections.len()).ok();
                (group.consume_type, group.message_model) = kind(&members).unzip();
            }
        }
    }

    /// Who is connected, as the first broker that answers says (203).
    pub(super) async fn members_of<'a>(
        &self,
        brokers: impl Iterator<Item = &'a BrokerData>,
        group: &str,
    ) -> Result<ConsumerConnections, AdminError> {
        let mut last = Ok(ConsumerConnections::default());
        for address in brokers.filter_map(BrokerData::address) {
            match self.consumers(address, group).await {
                Ok(members) => return Ok(members),
                Err(error) if error.is_refused(response::CONSUMER_NOT_ONLINE) => {
                    last = Ok(ConsumerConnections::default());
                }
                Err(error) => last = Err(error),
            }
        }
        last
    }

    /// One group, queue by queue. Brokers and members that do not answer are told of in the result.
    ///
    /// # Errors
    /// No name server answers, no broker knows the group, or none of them answers.
    pub async fn group(&self, name: &str) -> Result<GroupStatus, AdminError> {
        let brokers = self.broker_groups(None).await?;
        let answers = all(brokers
            .iter()
            .map(async |group| self.consume_stats(address_of(group)?, name, None).await));
        let (told, problems) = from_each_or_slave(&brokers, answers.await, "queues")?;
        let mut status = GroupStatus { group: name.to_owned(), problems, ..GroupStatus::default() };
        for (_, stats) in told {
            status.tps += stats.tps;
            status.queues.extend(stats.queues.iter().map(queue_of));
        }
        match self.members_of(brokers.iter(), name).await {
            Ok(members) => self.add_members(&mut status, &members, &brokers).await,
            Err(error) => status.problems.push(Problem {
                at: name.to_owned(),
                reason: format!("members are missing: {error}"),
                ..Problem::default()
            }),
        }
        status.settings = self.settings_of(name, &brokers).await;
        if status.queues.is_empty() && status.members.is_empty() && status.settings.is_empty() {
            return Err(self.no_group(name, &brokers).await);
        }
        status.lag = status.queues.iter().map(|queue| queue.lag).fold(0, i64::saturating_add);
        status.queues.sort_unstable_by(|a, b| place(a).cmp(&place(b)));
        Ok(status)
    }

    /// Whether any broker has it.
    ///
    /// # Errors
    /// None has, or it is not known of all.
    pub(super) async fn must_be_known(
        &self,
        name: &str,
        brokers: &[BrokerData],
    ) -> Result<(), AdminError> {
        let config = async |group| self.group_config(address_of(group)?, name).await;
        let told = all(brokers.iter().map(config)).await;
        if told.iter().any(|config| matches!(config, Ok(Some(_)))) {
            return Ok(());
        }
        match told.into_iter().find_map(Result::err) {
            Some(error) => Err(error),
            None => Err(self.no_group(name, brokers).await),
        }
    }

    /// That these brokers have no group of a name, and which was probably meant.
    async fn no_group(&self, name: &str, brokers: &[BrokerData]) -> AdminError {
        let configs = async |group| self.group_configs(address_of(group)?).await;
        let known: Vec<_> = all(brokers.iter().map(configs)).await.into_iter().flatten().collect();
        let known = known.iter().flatten().map(|config| config.name.as_str());
        AdminError::NotFound(format!(
            "there is no group \"{name}\"{}: `rmq-node admin groups list --all` shows what there is",
            perhaps(name, known)
        ))
    }

    /// Its settings on each broker that answers and has some.
    async fn settings_of(&self, name: &str, brokers: &[BrokerData]) -> Vec<GroupOnBroker> {
        let asked = all(brokers.iter().map(async |group| {
            let address = group.address()?;
            let config = self.group_config(address, name).await.ok()??;
            Some(GroupOnBroker {
                broker: group.broker_name.clone(),
                address: address.to_owned(),
                settings: Some(GroupSettings::of(&config)),
            })
        }));
        asked.await.into_iter().flatten().collect()
    }

    /// Who is connected, and which queues each has.
    async fn add_members(
        &self,
        status: &mut GroupStatus,
        members: &ConsumerConnections,
        brokers: &[BrokerData],
    ) {
        if members.connections.is_empty() {
            return;
        }
        (status.consume_type, status.message_model) = kind(members).unzip();
        status.consume_from_where = Some(members.mode.consume_from_where.as_str().to_owned());
        let subscription = |one: &crate::remoting::bodies::clients::Subscribed| GroupSubscription {
            topic: one.topic.clone(),
            expression: one.expression.clone(),
        };
        status.subscriptions = members.subscriptions.iter().map(subscription).collect();
        status.subscriptions.sort_unstable_by(|a, b| a.topic.cmp(&b.topic));
        status.members = GroupMember::all(members);
        let Some(over) = brokers.iter().find_map(BrokerData::address) else { return };
        let group = status.group.clone();
        let told = all(status.members.iter().map(async |member| {
            let told = self.running_info(over, &group, &member.client_id, false).await;
            (member.client_id.clone(), told)
        }));
        let mut owners = HashMap::new();
        for (client_id, told) in told.await {
            match told {
                Ok(info) => {
                    for (queue, process) in info.queues {
                        owners.insert(queue, (client_id.clone(), process));
                    }
                }
                Err(error) => status.problems.push(Problem {
                    at: client_id.clone(),
                    reason: format!("the queues of {client_id} are missing: {error}"),
                    ..Problem::default()
                }),
            }
        }
        for queue in &mut status.queues {
            let key = MessageQueue {
                topic: queue.topic.clone(),
                broker_name: queue.broker.clone(),
                queue_id: queue.queue,
            };
            if let Some((owner, process)) = owners.remove(&key) {
                queue.owner = Some(owner);
                queue.last_pull_ms = Some(process.last_pull_timestamp).filter(|time| *time > 0);
                queue.is_locked = process.locked;
            }
        }
    }
}

/// Whether they push or pull, and whether they share the messages; `None` without members.
fn kind(members: &ConsumerConnections) -> Option<(String, String)> {
    let mode = &members.mode;
    let kind = (mode.consume_type.as_str().to_owned(), mode.message_model.as_str().to_owned());
    (!members.connections.is_empty()).then_some(kind)
}

fn place(queue: &GroupQueue) -> (&str, &str, i32) {
    (&queue.topic, &queue.broker, queue.queue)
}

fn queue_of(progress: &QueueProgress) -> GroupQueue {
    GroupQueue {
        topic: progress.queue.topic.clone(),
        broker: progress.queue.broker_name.clone(),
        queue: progress.queue.queue_id,
        broker_offset: progress.broker_offset,
        consumer_offset: progress.consumer_offset,
        lag: lag(progress),
        last_stored_ms: Some(progress.last_timestamp).filter(|time| *time > 0),
        ..GroupQueue::default()
    }
}

/// Messages of a queue that a group has not got.
pub(super) fn lag(progress: &QueueProgress) -> i64 {
    progress.broker_offset.saturating_sub(progress.consumer_offset).max(0)
}

/// Each group with what all masters say of it together.
fn merged(told: &[(&BrokerData, OfMaster)], now_ms: i64) -> Vec<Group> {
    let mut groups: BTreeMap<&str, Group> = BTreeMap::new();
    for (master, of_master) in told {
        let broker = &master.broker_name;
        let with_progress = of_master.progress.iter().map(|(name, stats)| (name, true, &stats[..]));
        let named = of_master.names.iter().map(|(name, is_open)| (name, *is_open, &[][..]));
        for (name, is_open, stats) in named.chain(with_progress) {
            let group = groups.entry(name).or_insert_with(|| Group {
                group: name.clone(),
                is_system: is_system(name),
                ..Group::default()
            });
            if group.brokers.last() != Some(broker) && !group.brokers.contains(broker) {
                group.brokers.push(broker.clone());
            }
            if !is_open {
                group.closed_on.push(broker.clone());
            }
            for stats in stats {
                add(group, stats, now_ms);
            }
        }
    }
    // 317 tells of the last message that a group got: nothing of one that has got none.
    for (name, age_ms) in told.iter().flat_map(|(_, of_master)| &of_master.ages) {
        if let Some(group) = groups.get_mut(name.as_str()).filter(|group| group.lag > 0) {
            group.behind_ms = group.behind_ms.max(i64::try_from(*age_ms).ok());
        }
    }
    let mut topics: HashMap<&str, std::collections::HashSet<&str>> = HashMap::new();
    for (name, stats) in told.iter().flat_map(|(_, of_master)| &of_master.progress) {
        let queues = stats.iter().flat_map(|stats| &stats.queues);
        let names = queues.map(|one| one.queue.topic.as_str());
        topics.entry(name).or_default().extend(names.filter(|one| !one.starts_with(RETRY_PREFIX)));
    }
    for (name, group) in &mut groups {
        let count = topics.get(name).map_or(0, |topics| topics.len());
        group.topics = u32::try_from(count).unwrap_or(u32::MAX);
    }
    groups.into_values().collect()
}

pub(super) fn is_system(group: &str) -> bool {
    group.starts_with(system::GROUP_PREFIX) || system::GROUPS.contains(&group)
}

/// Adds how far a group is in a topic.
fn add(group: &mut Group, stats: &ConsumeStats, now_ms: i64) {
    group.tps += stats.tps;
    for queue in stats.queues.iter().filter(|queue| lag(queue) > 0) {
        group.lag = group.lag.saturating_add(lag(queue));
        if stats.tps == 0.0 {
            group.stuck_queues += 1;
        }
        if queue.last_timestamp > 0 {
            let behind = now_ms.saturating_sub(queue.last_timestamp).max(0);
            group.behind_ms = group.behind_ms.max(Some(behind));
        }
    }
}
