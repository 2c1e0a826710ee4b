//! Creating groups, changing their settings, and deleting them: 200 and 207 at masters, then 215 and 216 for their topics.
//!
//! Invariants: creating never touches a group that is there, and changing never makes one; everything that can be refused
//! is, before the first broker is changed; settings that were not named stay as each broker has them.

use crate::admin::{
    Admin, AdminError, Became, done, dry_run, failed, master_of, outcome, unchanged,
};
use crate::model::{GroupName, SubscriptionGroupConfig, TopicName};
use crate::proto::v1::{
    CreateGroupRequest, CreateGroupResponse, DeleteGroupRequest, DeleteGroupResponse,
    DeleteTopicRequest, Done, GroupSettings, UpdateGroupRequest, UpdateGroupResponse,
};
use crate::remoting::bodies::route::BrokerData;

/// Bytes of a name: 4.9.4's clients allow as many.
const NAME_BYTES_MAX: usize = 255;
/// Queues of a topic of retries: as many as a topic may have.
const QUEUES_MAX: i32 = 65_535;

impl GroupSettings {
    /// All settings of a group.
    #[must_use]
    pub fn of(config: &SubscriptionGroupConfig) -> Self {
        Self {
            consume_enabled: Some(config.consume_enable),
            broadcast_enabled: Some(config.consume_broadcast_enable),
            retry_queues: Some(config.retry_queue_nums),
            retry_max_times: Some(config.retry_max_times),
            broker_id: Some(config.broker_id),
            slow_broker_id: Some(config.which_broker_when_consume_slowly),
            notify_members: Some(config.notify_consumer_ids_changed_enable),
        }
    }

    /// A group with these settings, the others as they were.
    fn over(&self, before: &SubscriptionGroupConfig) -> SubscriptionGroupConfig {
        let before = before.clone();
        SubscriptionGroupConfig {
            consume_enable: self.consume_enabled.unwrap_or(before.consume_enable),
            consume_broadcast_enable: self
                .broadcast_enabled
                .unwrap_or(before.consume_broadcast_enable),
            retry_queue_nums: self.retry_queues.unwrap_or(before.retry_queue_nums),
            retry_max_times: self.retry_max_times.unwrap_or(before.retry_max_times),
            broker_id: self.broker_id.unwrap_or(before.broker_id),
            which_broker_when_consume_slowly: self
                .slow_broker_id
                .unwrap_or(before.which_broker_when_consume_slowly),
            notify_consumer_ids_changed_enable: self
                .notify_members
                .unwrap_or(before.notify_consumer_ids_changed_enable),
            ..before
        }
    }

    fn check(&self, group: &str) -> Result<(), AdminError> {
        let invalid =
            |reason: String| Err(AdminError::Invalid(format!("group \"{group}\": {reason}")));
        match (self.retry_queues, self.retry_max_times) {
            (Some(queues), _) if !(0..=QUEUES_MAX).contains(&queues) => {
                invalid(format!("{queues} queues for retries: write 0 to {QUEUES_MAX}"))
            }
            (_, Some(times)) if times < 0 => {
                invalid(format!("{times} retries: write 0 to {}", i32::MAX))
            }
            _ => Ok(()),
        }
    }
}

impl Admin {
    /// Creates a group on all masters that are asked for.
    ///
    /// # Errors
    /// Nothing was created: the name or a setting is illegal, nobody answers, there is no such cluster or broker, or a
    /// group of that name is there and is different.
    pub async fn create_group(
        &self,
        request: &CreateGroupRequest,
    ) -> Result<CreateGroupResponse, AdminError> {
        let (name, settings) = (&request.group, request.settings.unwrap_or_default());
        let is_allowed = |c: char| c.is_ascii_alphanumeric() || "%|-_".contains(c);
        if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.chars().all(is_allowed) {
            let text = format!(
                "group \"{name}\": a name has 1 to {NAME_BYTES_MAX} letters, digits, `-`, `_`, `%` and `|`"
            );
            return Err(AdminError::Invalid(text));
        }
        settings.check(name)?;
        let wanted = settings.over(&SubscriptionGroupConfig::new(GroupName::new(name)));
        let (cluster, broker) = (request.cluster.as_deref(), request.broker.as_deref());
        let brokers = self.groups_meant(cluster, broker).await?;
        let mut found = Vec::new();
        for group in &brokers {
            let there = self.config_on_master(group, name).await;
            if let Ok((_, Some(there))) = &there
                && *there != wanted
            {
                let text = format!(
                    "group \"{name}\" is on {} already, with other settings, which creating does not change: \
                     `rmq-node admin groups show {name}` shows them, and `groups update` changes them",
                    group.broker_name
                );
                return Err(AdminError::Conflict(text));
            }
            found.push((group, there));
        }
        let mut all = Vec::new();
        for (group, there) in found {
            let became = match there {
                Err(error) => failed(&error),
                Ok((_, Some(_))) => unchanged(),
                Ok((master, None)) => self.put_unless_dry(master, &wanted, request.dry_run).await,
            };
            all.push(done(&group.broker_name, group.master(), became));
        }
        Ok(CreateGroupResponse { done: all })
    }

    /// Changes settings of a group on all masters that have it.
    ///
    /// # Errors
    /// Nothing was changed: a setting is illegal or none is given, nobody answers, there is no such cluster or broker, or no
    /// master that answers has the group.
    pub async fn update_group(
        &self,
        request: &UpdateGroupRequest,
    ) -> Result<UpdateGroupResponse, AdminError> {
        let (name, settings) = (&request.group, request.settings.unwrap_or_default());
        settings.check(name)?;
        if settings == GroupSettings::default() {
            return Err(AdminError::Invalid(format!("group \"{name}\": no setting is given")));
        }
        let brokers = self.groups_of_cluster(&request.cluster, &request.broker).await?;
        let mut all = Vec::new();
        for group in &brokers {
            let became = match self.config_on_master(group, name).await {
                Ok((_, None)) => continue,
                Err(error) => failed(&error),
                Ok((master, Some(before))) => match settings.over(&before) {
                    after if after == before => unchanged(),
                    after => self.put_unless_dry(master, &after, request.dry_run).await,
                },
            };
            all.push(done(&group.broker_name, group.master(), became));
        }
        if all.is_empty() {
            return Err(self.no_group(name, &brokers).await);
        }
        Ok(UpdateGroupResponse { done: all })
    }

    /// Deletes a group with its positions, and its topics.
    ///
    /// # Errors
    /// Nothing was deleted: nobody answers, there is no such cluster or group, or members are connected, which would make it
    /// again.
    pub async fn delete_group(
        &self,
        request: &DeleteGroupRequest,
    ) -> Result<DeleteGroupResponse, AdminError> {
        let name = &request.group;
        let brokers = self.broker_groups(request.cluster.as_deref()).await?;
        let members = self.members_of(brokers.iter(), name).await?.connections.len();
        if members > 0 {
            let text = format!(
                "{members} members of \"{name}\" are connected, and would make it again: stop them first"
            );
            return Err(AdminError::Conflict(text));
        }
        let mut all = Vec::new();
        for group in &brokers {
            let became = match self.config_on_master(group, name).await {
                Ok((_, None)) => continue,
                Err(error) => failed(&error),
                Ok(_) if request.dry_run => dry_run(),
                Ok((master, _)) => outcome(self.delete_group_at(master, name, true).await),
            };
            all.push(done(&group.broker_name, group.master(), became));
        }
        if all.is_empty() {
            return Err(self.no_group(name, &brokers).await);
        }
        for topic in [TopicName::retry_of(name), TopicName::dead_letter_of(name)] {
            all.append(&mut self.delete_topic_of(topic.as_str(), request).await);
        }
        Ok(DeleteGroupResponse { done: all })
    }

    /// Deletes a topic of a group, if it has that.
    async fn delete_topic_of(&self, topic: &str, request: &DeleteGroupRequest) -> Vec<Done> {
        let deletion = DeleteTopicRequest {
            topic: topic.to_owned(),
            cluster: request.cluster.clone(),
            dry_run: request.dry_run,
        };
        match self.delete_topic(&deletion).await {
            Ok(answer) => {
                let of_topic = |one: Done| Done { at: format!("{topic} on {}", one.at), ..one };
                answer.done.into_iter().map(of_topic).collect()
            }
            Err(AdminError::NotFound(_)) => Vec::new(),
            Err(error) => vec![done(topic, None, failed(&error))],
        }
    }

    /// The broker groups of a cluster, or of all, or the one that is named.
    pub(in crate::admin) async fn groups_of_cluster(
        &self,
        cluster: &Option<String>,
        broker: &Option<String>,
    ) -> Result<Vec<BrokerData>, AdminError> {
        match broker {
            None => self.broker_groups(cluster.as_deref()).await,
            Some(broker) => self.groups_meant(cluster.as_deref(), Some(broker)).await,
        }
    }

    async fn put_unless_dry(
        &self,
        master: &str,
        config: &SubscriptionGroupConfig,
        is_dry: bool,
    ) -> Became {
        if is_dry { dry_run() } else { outcome(self.put_group(master, config).await) }
    }

    /// The master, with its settings of the group if it has some.
    async fn config_on_master<'a>(
        &self,
        group: &'a BrokerData,
        name: &str,
    ) -> Result<(&'a str, Option<SubscriptionGroupConfig>), AdminError> {
        let master = master_of(group)?;
        Ok((master, self.group_config(master, name).await?))
    }
}
