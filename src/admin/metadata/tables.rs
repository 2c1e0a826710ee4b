//! Topics and groups, which each master has in a table of its own.
//!
//! Invariants: topics for retries and dead letters are each broker's own, so that they are not told and not deleted, and
//! changed only if they are named; a topic goes from name servers only when no broker may still have it.

use std::collections::{BTreeMap, BTreeSet};

use super::settings::{Configured, is_same};
use super::{
    Action, Admin, AdminError, MetadataAction, MetadataPlan, Place, SettingChange, change,
    must_be_known, step,
};
use crate::admin::groups::is_system;
use crate::admin::topics::kind;
use crate::admin::{all, from_each};
use crate::model::{SubscriptionGroupConfig, TopicConfig, validate_topic};
use crate::proto::v1::{
    GroupMetadata, GroupsMetadata, MetadataKind, Problem, TopicKind, TopicMetadata, TopicsMetadata,
};
use crate::remoting::bodies::route::BrokerData;

/// What each broker group that answered has, by name.
type Tables<'a, T> = Vec<(&'a BrokerData, BTreeMap<String, T>)>;

/// How something is on all masters, and on single ones, which count first.
struct Spread<T> {
    everywhere: Option<T>,
    brokers: BTreeMap<String, T>,
}

impl<T> Spread<T> {
    fn at(&self, broker: &str) -> Option<&T> {
        self.brokers.get(broker).or(self.everywhere.as_ref())
    }
}

/// How something is that the tables have.
fn spread<T: Configured>(tables: &Tables<'_, T>, name: &str) -> Spread<T::Message> {
    let there = tables.iter().filter_map(|(group, table)| {
        Some((group.broker_name.clone(), table.get(name)?.to_message()))
    });
    let mut brokers: BTreeMap<_, _> = there.collect();
    let first = brokers.values().next().cloned();
    let is_equal = brokers.values().all(|one| Some(one) == first.as_ref());
    if is_equal && brokers.len() == tables.len() {
        brokers.clear();
        return Spread { everywhere: first, brokers };
    }
    Spread { everywhere: None, brokers }
}

/// All names that the tables have.
fn names<T>(tables: &Tables<'_, T>) -> BTreeSet<String> {
    tables.iter().flat_map(|(_, table)| table.keys().cloned()).collect()
}

/// What messages want, as brokers have it.
fn read<T: Configured>(
    name: &str,
    everywhere: Option<&T::Message>,
    brokers: &BTreeMap<String, T::Message>,
) -> Result<Spread<T>, AdminError> {
    let read = |message| T::from_message(name, message);
    let brokers = brokers.iter().map(|(broker, message)| Ok((broker.clone(), read(message)?)));
    Ok(Spread {
        everywhere: everywhere.map(read).transpose()?,
        brokers: brokers.collect::<Result<_, AdminError>>()?,
    })
}

/// Each setting that gets another value; of something new, each that does not go without saying.
fn changes<T: Configured>(before: Option<&T>, after: &T) -> Vec<SettingChange> {
    let Some(before) = before else {
        let unusual = after.settings().into_iter().filter(|one| !one.is_usual);
        return unusual.map(|one| change(one.name, None, Some(&one.value))).collect();
    };
    let pairs = before.settings().into_iter().zip(after.settings());
    let changed = pairs.filter(|(before, after)| before.value != after.value);
    changed
        .map(|(before, after)| change(after.name, Some(&before.value), Some(&after.value)))
        .collect()
}

/// Adds a step for each master where something is not as it is wanted, and tells where it is and is not wanted. All masters
/// have turns, because their steps are done side by side.
fn compare<'a, T: Configured>(
    plan: &mut MetadataPlan,
    tables: &'a Tables<'a, T>,
    wanted: &BTreeMap<String, Spread<T>>,
) -> Vec<(&'a str, Place<'a>)> {
    let mut places = Vec::new();
    for (group, table) in tables {
        let Some(address) = group.master() else {
            let reason = format!("the master of {} is not registered", group.broker_name);
            let at = group.broker_name.clone();
            let is_told = plan.problems.iter().any(|one| one.at == at && one.reason == reason);
            if !is_told {
                plan.problems.push(Problem { at, address: None, reason });
            }
            continue;
        };
        places.push((Place { at: &group.broker_name, address }, table));
    }
    for (name, spread) in wanted {
        for (place, table) in &places {
            let (Some(wanted), there) = (spread.at(place.at), table.get(name)) else { continue };
            if there.is_some_and(|there| is_same(there, wanted)) {
                continue;
            }
            let action = match there {
                Some(_) => MetadataAction::Change,
                None => MetadataAction::Create,
            };
            let step = step(T::KIND, name, action, *place, changes(there, wanted));
            plan.add(step, wanted.clone().put());
        }
    }
    let mut unwanted = Vec::new();
    for (place, table) in places {
        let is_wanted = |name: &str| wanted.get(name).is_some_and(|one| one.at(place.at).is_some());
        let rest = table.keys().filter(|name| !is_wanted(name));
        unwanted.extend(rest.map(|name| (name.as_str(), place)));
    }
    unwanted
}

impl Admin {
    async fn topic_tables<'a>(
        &self,
        groups: &'a [BrokerData],
        problems: &mut Vec<Problem>,
    ) -> Result<Tables<'a, TopicConfig>, AdminError> {
        let answers = all(groups.iter().map(|group| self.configs_of(group))).await;
        let (tables, mut missing) = from_each(groups, answers, "topics")?;
        problems.append(&mut missing);
        Ok(tables)
    }

    async fn group_tables<'a>(
        &self,
        groups: &'a [BrokerData],
        problems: &mut Vec<Problem>,
    ) -> Result<Tables<'a, SubscriptionGroupConfig>, AdminError> {
        let answers = all(groups.iter().map(async |group| {
            let Some(address) = group.address() else { return Ok(BTreeMap::new()) };
            let configs = self.group_configs(address).await?;
            Ok(configs.into_iter().map(|one| (one.name.as_str().to_owned(), one)).collect())
        }));
        let (tables, mut missing) = from_each(groups, answers.await, "groups")?;
        problems.append(&mut missing);
        Ok(tables)
    }

    pub(super) async fn export_topics(
        &self,
        groups: &[BrokerData],
        problems: &mut Vec<Problem>,
    ) -> Result<TopicsMetadata, AdminError> {
        let tables = self.topic_tables(groups, problems).await?;
        let mut names = names(&tables);
        names.retain(|name| kind(name, groups) == TopicKind::Normal);
        let topics = names.into_iter().map(|name| {
            let Spread { everywhere, brokers } = spread(&tables, &name);
            (name, TopicMetadata { everywhere, brokers })
        });
        Ok(TopicsMetadata { topics: topics.collect() })
    }

    pub(super) async fn export_groups(
        &self,
        groups: &[BrokerData],
        problems: &mut Vec<Problem>,
    ) -> Result<GroupsMetadata, AdminError> {
        let tables = self.group_tables(groups, problems).await?;
        let mut names = names(&tables);
        names.retain(|name| !is_system(name));
        let groups = names.into_iter().map(|name| {
            let Spread { everywhere, brokers } = spread(&tables, &name);
            (name, GroupMetadata { everywhere, brokers })
        });
        Ok(GroupsMetadata { groups: groups.collect() })
    }

    pub(super) async fn plan_topics(
        &self,
        plan: &mut MetadataPlan,
        groups: &[BrokerData],
        topics: &TopicsMetadata,
        prune: bool,
    ) -> Result<(), AdminError> {
        let mut wanted = BTreeMap::new();
        for (name, topic) in &topics.topics {
            let of = format!("topic \"{name}\"");
            validate_topic(name).map_err(|error| AdminError::Invalid(format!("{of}: {error}")))?;
            if kind(name, groups) == TopicKind::System {
                return Err(AdminError::Invalid(format!("{of} is the brokers' own")));
            }
            must_be_known(topic.brokers.keys(), groups, &of)?;
            wanted.insert(name.clone(), read(name, topic.everywhere.as_ref(), &topic.brokers)?);
        }
        let problems = plan.problems.len();
        let tables = self.topic_tables(groups, &mut plan.problems).await?;
        let mut unwanted = compare(plan, &tables, &wanted);
        unwanted.retain(|(name, _)| kind(name, groups) == TopicKind::Normal);
        for (name, place) in &unwanted {
            let step = step(MetadataKind::Topic, name, MetadataAction::Delete, *place, Vec::new());
            plan.add_unwanted(prune, step, Action::DeleteTopic);
        }
        // Who did not answer may have any topic.
        if prune && plan.problems.len() == problems {
            let gone: BTreeSet<_> = unwanted.iter().map(|(name, _)| *name).collect();
            for name in gone.into_iter().filter(|name| !wanted.contains_key(*name)) {
                self.plan_forgetting(plan, name, groups);
            }
        }
        Ok(())
    }

    /// Adds the steps that take a topic from the name servers.
    fn plan_forgetting(&self, plan: &mut MetadataPlan, name: &str, groups: &[BrokerData]) {
        let cluster = groups.first().map(|group| group.cluster.clone()).unwrap_or_default();
        for address in &self.name_servers {
            let place = Place { at: "name server", address };
            let step = step(MetadataKind::Topic, name, MetadataAction::Delete, place, Vec::new());
            plan.deletions.push((step, Action::ForgetTopic { cluster: cluster.clone() }));
        }
    }

    pub(super) async fn plan_groups(
        &self,
        plan: &mut MetadataPlan,
        groups: &[BrokerData],
        consumers: &GroupsMetadata,
        prune: bool,
    ) -> Result<(), AdminError> {
        let mut wanted = BTreeMap::new();
        for (name, group) in &consumers.groups {
            let of = format!("group \"{name}\"");
            if name.is_empty() {
                return Err(AdminError::Invalid("a group has no name".to_owned()));
            }
            must_be_known(group.brokers.keys(), groups, &of)?;
            wanted.insert(name.clone(), read(name, group.everywhere.as_ref(), &group.brokers)?);
        }
        let tables = self.group_tables(groups, &mut plan.problems).await?;
        let unwanted = compare(plan, &tables, &wanted);
        for (name, place) in unwanted.iter().filter(|(name, _)| !is_system(name)) {
            let step = step(MetadataKind::Group, name, MetadataAction::Delete, *place, Vec::new());
            plan.add_unwanted(prune, step, Action::DeleteGroup);
        }
        Ok(())
    }
}
