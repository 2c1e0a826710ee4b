//! Topics that are not the same on all masters of a cluster: what differs, and making it equal (17).
//!
//! Only what applications own is looked at: retry and dead-letter topics are each broker's, and so are the system's.
//! Invariant: a repair only adds: a topic where it is missing, queues, permissions. It never takes any away.

use super::{Admin, AdminError, Found, permission_text};
use crate::admin::{dry_run, outcome};
use crate::model::{Permission, TopicConfig};
use crate::proto::v1::{
    RepairTopicsRequest, RepairTopicsResponse, TopicDrift, TopicKind, TopicRepair, TopicSettings,
};
use crate::remoting::bodies::route::BrokerData;

impl TopicSettings {
    pub(super) fn of(config: &TopicConfig) -> Self {
        Self {
            read_queues: config.read_queues,
            write_queues: config.write_queues,
            permission: permission_text(config.permission),
        }
    }
}

/// What differs between the masters among `asked`, of a topic that is configured `there`, each with what makes it equal;
/// by cluster and group.
pub(super) fn drift(
    asked: &[&BrokerData],
    there: &[(&BrokerData, TopicConfig)],
) -> Vec<(TopicDrift, TopicConfig)> {
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
                let drift = TopicDrift {
                    cluster: cluster.to_owned(),
                    broker: group.broker_name.clone(),
                    address: master.to_owned(),
                    before: own.map(TopicSettings::of),
                    after: Some(TopicSettings::of(&config)),
                };
                all.push((drift, config));
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
    /// Makes one topic, or every application's, equal on all masters of its cluster.
    ///
    /// # Errors
    /// Nothing was changed: nobody answers, or there is no such topic of an application.
    pub async fn repair_topics(
        &self,
        request: &RepairTopicsRequest,
    ) -> Result<RepairTopicsResponse, AdminError> {
        let (mut topics, problems) = self.find_topics().await?;
        if let Some(name) = &request.topic {
            topics.retain(|found| found.topic.topic == *name);
            let [found] = &topics[..] else { return Err(self.no_topic(name).await) };
            if found.topic.kind() != TopicKind::Normal {
                let text =
                    format!("topic \"{name}\" is the brokers' own: each has it as it needs it");
                return Err(AdminError::Invalid(text));
            }
        }
        let mut repairs = Vec::new();
        for Found { topic, repairs: configs } in topics {
            for (drift, config) in topic.drift.into_iter().zip(configs) {
                let (outcome, reason) = match request.dry_run {
                    true => dry_run(),
                    false => outcome(self.put_topic(&drift.address, &config).await),
                };
                repairs.push(TopicRepair {
                    topic: topic.topic.clone(),
                    cluster: drift.cluster,
                    broker: drift.broker,
                    address: drift.address,
                    before: drift.before,
                    after: drift.after,
                    outcome,
                    reason,
                });
            }
        }
        Ok(RepairTopicsResponse { repairs, problems })
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
        let brokers: Vec<_> = found.iter().map(|(one, _)| one.broker.as_str()).collect();
        assert_eq!(brokers, ["a", "b", "c"]);
        let of = |read_queues, write_queues, permission: &str| TopicSettings {
            read_queues,
            write_queues,
            permission: permission.to_owned(),
        };
        assert_eq!(found[0].0.before, Some(of(8, 2, "r")));
        assert_eq!(found[1].0.before, Some(of(4, 4, "rw")));
        assert_eq!(found[2].0.before, None);
        assert!(found.iter().all(|(one, _)| one.after == Some(of(8, 4, "rw"))), "{found:?}");
        // Who has it keeps the rest of it; who does not gets it from the one with the most queues to write.
        assert_eq!(found[0].1, TopicConfig { write_queues: 4, permission: Permission(6), ..multi });
        assert_eq!(found[2].1, TopicConfig { read_queues: 8, ..topic(4, Permission(6)) });
        let equal = found.iter().map(|(_, config)| config.clone());
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
