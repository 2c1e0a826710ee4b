//! Changing queues and permission of a topic that is there: 17 at masters.
//!
//! Invariants: no topic is made; everything that can be refused is, before the first broker is changed; what was not named
//! stays as each broker has it.

use super::change::{check_queues, checked_permission};
use super::{Admin, AdminError, kind};
use crate::admin::{dry_run, failed, master_of, outcome, unchanged};
use crate::model::{Permission, TopicConfig};
use crate::proto::v1::{
    TopicKind, TopicRepair, TopicSettings, UpdateTopicRequest, UpdateTopicResponse,
};
use crate::remoting::bodies::route::BrokerData;

impl Admin {
    /// Changes a topic on all masters that are meant and have it.
    ///
    /// # Errors
    /// Nothing was changed: nothing is named or it is illegal, nobody answers, there is no such cluster or broker, the topic
    /// is the brokers' own, or no master that answers has it.
    pub async fn update_topic(
        &self,
        request: &UpdateTopicRequest,
    ) -> Result<UpdateTopicResponse, AdminError> {
        let name = &request.topic;
        let invalid = |reason: &str| AdminError::Invalid(format!("topic \"{name}\": {reason}"));
        for queues in [request.read_queues, request.write_queues].into_iter().flatten() {
            check_queues(queues).map_err(|reason| invalid(&reason))?;
        }
        let permission = request.permission.as_deref().map(checked_permission).transpose();
        let permission = permission.map_err(|reason| invalid(&reason))?;
        if request.read_queues.is_none() && request.write_queues.is_none() && permission.is_none() {
            return Err(invalid(
                "nothing is said that is to change: read queues, write queues or the permission",
            ));
        }
        if kind(name, &self.broker_groups(None).await?) == TopicKind::System {
            return Err(invalid("it is the brokers' own: each has it as it needs it"));
        }
        let groups = self.groups_of_cluster(&request.cluster, &request.broker).await?;
        let mut changes = Vec::new();
        for group in &groups {
            let mut change = TopicRepair {
                topic: name.clone(),
                cluster: group.cluster.clone(),
                broker: group.broker_name.clone(),
                address: group.master().unwrap_or_default().to_owned(),
                ..TopicRepair::default()
            };
            (change.outcome, change.reason) = match self.topic_on_master(group, name).await {
                Ok((_, None)) => continue,
                Err(error) => failed(&error),
                Ok((master, Some(before))) => {
                    let after = changed(&before, request, permission);
                    change.before = Some(TopicSettings::of(&before));
                    change.after = Some(TopicSettings::of(&after));
                    match request.dry_run {
                        _ if after == before => unchanged(),
                        true => dry_run(),
                        false => outcome(self.put_topic(master, &after).await),
                    }
                }
            };
            changes.push(change);
        }
        if changes.is_empty() {
            return Err(self.no_topic(name).await);
        }
        Ok(UpdateTopicResponse { changes })
    }

    /// The master, with its configuration of the topic if it has one.
    pub(super) async fn topic_on_master<'a>(
        &self,
        group: &'a BrokerData,
        name: &str,
    ) -> Result<(&'a str, Option<TopicConfig>), AdminError> {
        let master = master_of(group)?;
        Ok((master, self.configs_of(group).await?.remove(name)))
    }
}

/// The topic as it is to be.
fn changed(
    before: &TopicConfig,
    request: &UpdateTopicRequest,
    permission: Option<Permission>,
) -> TopicConfig {
    TopicConfig {
        read_queues: request.read_queues.unwrap_or(before.read_queues),
        write_queues: request.write_queues.unwrap_or(before.write_queues),
        permission: permission.unwrap_or(before.permission),
        ..before.clone()
    }
}
