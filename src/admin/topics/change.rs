//! Creating and deleting topics: 17 and 215 at brokers, 216 at name servers.
//!
//! Not changing them (`update`): creating a topic never touches one that is there. Invariant: everything that can
//! be refused is, before the first broker is changed.

use super::{Admin, AdminError, permission_from_text, permission_text};
use crate::admin::{done, dry_run, failed, outcome, unchanged};
use crate::model::{Permission, TopicConfig, TopicName, validate_topic};
use crate::proto::v1::{
    CreateTopicRequest, CreateTopicResponse, DeleteTopicRequest, DeleteTopicResponse, Outcome,
    TopicOnBroker,
};
use crate::remoting::bodies::route::BrokerData;
use crate::remoting::{Command, request};

/// Read and write queues of a topic of which nothing else is said: `mqadmin`'s own.
pub(in crate::admin) const QUEUES: u32 = 8;
const QUEUES_MAX: u32 = 65_535;

impl Admin {
    /// Creates a topic on all masters that are asked for.
    ///
    /// # Errors
    /// Nothing was created: the name is illegal, nobody answers, there is no such cluster or broker, or a
    /// topic of that name is there and is different.
    pub async fn create_topic(
        &self,
        request: &CreateTopicRequest,
    ) -> Result<CreateTopicResponse, AdminError> {
        let (name, config) = (&request.topic, config_of(request)?);
        let (cluster, broker) = (request.cluster.as_deref(), request.broker.as_deref());
        let groups = self.groups_meant(cluster, broker).await?;
        let mut found = Vec::new();
        for group in &groups {
            let there = self.on_master(group, name).await;
            if let Ok((_, Some(there))) = &there
                && !is_equal(there, &config)
            {
                return Err(AdminError::Conflict(different(name, there)));
            }
            found.push((group, there));
        }
        let mut all = Vec::new();
        for (group, there) in found {
            let became = match there {
                Err(error) => failed(&error),
                Ok((_, Some(_))) => unchanged(),
                Ok(_) if request.dry_run => dry_run(),
                Ok((master, None)) => outcome(self.put_topic(master, &config).await),
            };
            all.push(done(&group.broker_name, group.master(), became));
        }
        Ok(CreateTopicResponse { done: all })
    }

    /// The master, with its configuration of the topic if it has one.
    async fn on_master<'a>(
        &self,
        group: &'a BrokerData,
        name: &str,
    ) -> Result<(&'a str, Option<TopicOnBroker>), AdminError> {
        let (master, config) = self.topic_on_master(group, name).await?;
        Ok((master, config.map(|config| TopicOnBroker::of(group, master, &config))))
    }

    /// Deletes a topic with its messages on all masters that have it, whose slaves follow, and then takes it
    /// from all name servers; not if a broker may still have it, which clients could then not find.
    ///
    /// # Errors
    /// Nothing was deleted: nobody answers, or there is no such cluster or topic.
    pub async fn delete_topic(
        &self,
        request: &DeleteTopicRequest,
    ) -> Result<DeleteTopicResponse, AdminError> {
        let (name, cluster) = (&request.topic, request.cluster.as_deref());
        let groups = self.broker_groups(cluster).await?;
        let mut all = Vec::new();
        for group in &groups {
            let became = match self.on_master(group, name).await {
                Ok((_, None)) => continue,
                Ok(_) if request.dry_run => dry_run(),
                Ok((master, _)) => outcome(self.delete_topic_at(master, name).await),
                Err(error) => failed(&error),
            };
            all.push(done(&group.broker_name, group.master(), became));
        }
        // A route may be left of a topic that no broker has any more (S-36).
        if all.is_empty() && self.route_if_any(name).await?.is_none() {
            return Err(self.no_topic(name).await);
        }
        if all.iter().any(|one| one.outcome() == Outcome::Failed) {
            return Ok(DeleteTopicResponse { done: all });
        }
        for address in &self.name_servers {
            let mut deletion =
                Command::request(request::DELETE_TOPIC_IN_NAMESRV).with_field("topic", name);
            if let Some(cluster) = cluster {
                deletion.set_field("clusterName", cluster);
            }
            let became = match request.dry_run {
                true => dry_run(),
                false => outcome(self.call(address, deletion).await),
            };
            all.push(done("name server", Some(address), became));
        }
        Ok(DeleteTopicResponse { done: all })
    }
}

/// What a topic to create is to be.
fn config_of(request: &CreateTopicRequest) -> Result<TopicConfig, AdminError> {
    let name = &request.topic;
    let invalid = |reason: String| AdminError::Invalid(format!("topic \"{name}\": {reason}"));
    validate_topic(name).map_err(|error| invalid(error.to_string()))?;
    let queues = request.queues.unwrap_or(QUEUES);
    check_queues(queues).map_err(invalid)?;
    let permission = match request.permission.as_deref() {
        None => Permission::READ_WRITE,
        Some(text) => checked_permission(text).map_err(invalid)?,
    };
    Ok(TopicConfig { permission, ..TopicConfig::new(TopicName::new(name), queues) })
}

/// Why a topic cannot have so many queues.
pub(super) fn check_queues(queues: u32) -> Result<(), String> {
    let is_legal = (1..=QUEUES_MAX).contains(&queues);
    if is_legal { Ok(()) } else { Err(format!("{queues} queues: write 1 to {QUEUES_MAX}")) }
}

/// A permission that clients may have, or why it is none.
pub(super) fn checked_permission(text: &str) -> Result<Permission, String> {
    permission_from_text(text).ok_or_else(|| format!("permission {text}: write rw, r or w"))
}

fn is_equal(there: &TopicOnBroker, wanted: &TopicConfig) -> bool {
    (there.read_queues, there.write_queues) == (wanted.read_queues, wanted.write_queues)
        && there.permission == permission_text(wanted.permission)
}

fn different(name: &str, there: &TopicOnBroker) -> String {
    let TopicOnBroker { broker, read_queues, write_queues, permission, .. } = there;
    format!(
        "topic \"{name}\" is on {broker} already, with {read_queues} read queues, {write_queues} write queues and \
         permission {permission}; creating does not change it: `rmq-node admin topics update` does, and the \
         topic's page in the console"
    )
}
