//! Topics that are not the same on all masters of a cluster: what differs, and making it equal (17).
//!
//! Only what applications own is looked at: retry and dead-letter topics are each broker's, and so are the system's.
//! Invariant: a repair only adds: a topic where it is missing, queues, permissions. It never takes any away.

use serde::Serialize;

use super::change::outcome;
use super::{Admin, AdminError, Kind, Outcome, no_topic, permission_text};
use crate::model::{Permission, TopicConfig, system};
use crate::remoting::bodies::route::BrokerData;
use crate::remoting::headers::create_topic;

/// A master whose topic is not as on the others of its cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Drift {
    /// The cluster.
    pub cluster: String,
    /// The broker group.
    pub broker: String,
    /// Its master.
    pub address: String,
    /// How the topic is there; `None`: it is missing.
    pub before: Option<Settings>,
    /// How it is when it has all that the others have: the most queues, and every permission.
    pub after: Settings,
    /// What makes it so.
    #[serde(skip)]
    pub(crate) config: TopicConfig,
}

/// What can differ.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Settings {
    /// Queues that consumers read.
    pub read_queues: u32,
    /// Queues that producers write.
    pub write_queues: u32,
    /// `r`, `w`, and `x` for a template of other topics.
    pub permission: String,
}

impl Settings {
    fn of(config: &TopicConfig) -> Self {
        Self {
            read_queues: config.read_queues,
            write_queues: config.write_queues,
            permission: permission_text(config.permission),
        }
    }
}

/// A change that repairs a topic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Repair {
    /// The topic.
    pub topic: String,
    /// Where, and what changes.
    #[serde(flatten)]
    pub drift: Drift,
    /// What became of it; `None`: it was only looked at.
    #[serde(flatten)]
    pub outcome: Option<Outcome>,
}

/// What differs between the masters among `asked`, of a topic that is configured `there`; by cluster and group.
pub(super) fn drift(asked: &[&BrokerData], there: &[(&BrokerData, TopicConfig)]) -> Vec<Drift> {
    let mut clusters: Vec<&str> = there.iter().map(|(group, _)| group.cluster.as_str()).collect();
    clusters.sort_unstable();
    clusters.dedup();
    let mut all = Vec::new();
    for cluster in clusters {
        let on_masters =
            there.iter().filter(|(group, _)| group.cluster == cluster && group.master().is_some());
        let Some(wanted) = joined(on_masters.clone().map(|(_, config)| config)) else { continue };
        for group in asked.iter().filter(|group| group.cluster == cluster) {
            let Some(master) = group.master() else { continue };
            let own = on_masters.clone().find(|(at, _)| at.broker_name == group.broker_name);
            let own = own.map(|(_, config)| config);
            let config = own.map_or_else(|| wanted.clone(), |own| with_settings_of(own, &wanted));
            if own != Some(&config) {
                all.push(Drift {
                    cluster: cluster.to_owned(),
                    broker: group.broker_name.clone(),
                    address: master.to_owned(),
                    before: own.map(Settings::of),
                    after: Settings::of(&config),
                    config,
                });
            }
        }
    }
    all
}

/// What has all that the others have, and the rest of the one with the most queues.
fn joined<'a>(configs: impl Iterator<Item = &'a TopicConfig>) -> Option<TopicConfig> {
    configs.cloned().reduce(|one, other| {
        let base = if other.write_queues > one.write_queues { &other } else { &one };
        TopicConfig {
            read_queues: one.read_queues.max(other.read_queues),
            write_queues: one.write_queues.max(other.write_queues),
            permission: Permission(one.permission.0 | other.permission.0),
            ..base.clone()
        }
    })
}

fn with_settings_of(own: &TopicConfig, wanted: &TopicConfig) -> TopicConfig {
    let TopicConfig { read_queues, write_queues, permission, .. } = *wanted;
    TopicConfig { read_queues, write_queues, permission, ..own.clone() }
}

impl Admin {
    /// Makes the topic `name`, or every application's, equal on all masters of its cluster; only says what it would do
    /// if it `is_dry_run`. With the changes comes one sentence for each broker that did not answer.
    ///
    /// # Errors
    /// Nothing was changed: nobody answers, or there is no such topic of an application.
    pub async fn repair_topics(
        &self,
        name: Option<&str>,
        is_dry_run: bool,
    ) -> Result<(Vec<Repair>, Vec<String>), AdminError> {
        let mut listing = self.topics().await?;
        if let Some(name) = name {
            listing.topics.retain(|topic| topic.topic == name);
            let [topic] = &listing.topics[..] else { return Err(no_topic(name)) };
            if topic.kind != Kind::Normal {
                let text =
                    format!("topic \"{name}\" is the brokers' own: each has it as it needs it");
                return Err(AdminError::Invalid(text));
            }
        }
        let mut repairs = Vec::new();
        for topic in listing.topics {
            for drift in topic.drift {
                let request = || create_topic(&drift.config, system::AUTO_CREATE_TOPIC);
                let outcome = match is_dry_run {
                    true => None,
                    false => Some(outcome(self.call(&drift.address, request()).await)),
                };
                repairs.push(Repair { topic: topic.topic.clone(), drift, outcome });
            }
        }
        Ok((repairs, listing.problems))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{TopicFilterType, TopicName};

    fn group(cluster: &str, name: &str, id: i64) -> BrokerData {
        BrokerData {
            addresses: [(id, format!("{name}:1"))].into(),
            broker_name: name.to_owned(),
            cluster: cluster.to_owned(),
        }
    }

    fn topic(queues: u32, permission: Permission) -> TopicConfig {
        TopicConfig { permission, ..TopicConfig::new(TopicName::new("T"), queues) }
    }

    #[test]
    fn what_one_has_all_are_to_have_and_nothing_else_changes() {
        let (a, b, c) = (group("C", "a", 0), group("C", "b", 0), group("C", "c", 0));
        let multi = TopicConfig {
            filter_type: TopicFilterType::MultiTag,
            sys_flag: 1,
            write_queues: 2,
            ..topic(8, Permission::READ)
        };
        let found = drift(&[&a, &b, &c], &[(&a, multi.clone()), (&b, topic(4, Permission(6)))]);
        let brokers: Vec<_> = found.iter().map(|one| one.broker.as_str()).collect();
        assert_eq!(brokers, ["a", "b", "c"]);
        let of = |read_queues, write_queues, permission: &str| Settings {
            read_queues,
            write_queues,
            permission: permission.to_owned(),
        };
        assert_eq!(found[0].before, Some(of(8, 2, "r")));
        assert_eq!(found[1].before, Some(of(4, 4, "rw")));
        assert_eq!(found[2].before, None);
        assert!(found.iter().all(|one| one.after == of(8, 4, "rw")), "{found:?}");
        // Who has it keeps the rest of it; who does not gets it from the one with the most queues to write.
        assert_eq!(
            found[0].config,
            TopicConfig { write_queues: 4, permission: Permission(6), ..multi }
        );
        assert_eq!(found[2].config, TopicConfig { read_queues: 8, ..topic(4, Permission(6)) });
        let equal = found.iter().map(|one| one.config.clone());
        let equal: Vec<_> = [&a, &b, &c].into_iter().zip(equal).collect();
        assert_eq!(drift(&[&a, &b, &c], &equal), []);
    }

    #[test]
    fn other_clusters_groups_without_master_and_who_was_not_asked_do_not_count() {
        let (a, other) = (group("C", "a", 0), group("D", "d", 0));
        let (slave, silent) = (group("C", "s", 1), group("C", "x", 0));
        let usual = topic(4, Permission(6));
        let wide = topic(8, Permission(6));
        assert_eq!(
            drift(&[&a, &other, &slave], &[(&a, usual.clone()), (&slave, wide.clone())]),
            []
        );
        assert_eq!(drift(&[&a, &other], &[(&a, usual.clone()), (&other, wide)]), []);
        assert_eq!(drift(&[&slave], &[(&slave, usual.clone())]), []);
        assert_eq!(drift(&[&a, &silent], &[(&a, usual)]).len(), 1);
    }
}
