//! Creating and deleting topics: 17 and 215 at brokers, 216 at name servers.
//!
//! Not changing them: creating a topic never touches one that is there. Invariant: everything that can
//! be refused is, before the first broker is changed.

use serde::Serialize;

use super::{Admin, AdminError, TopicOnBroker, no_topic, permission_text};
use crate::model::{Permission, TopicConfig, TopicName, system, validate_topic};
use crate::remoting::bodies::route::BrokerData;
use crate::remoting::headers::create_topic;
use crate::remoting::{Command, request, response};

/// A topic to create.
#[derive(Clone, Debug)]
pub struct CreateTopic {
    /// Its name.
    pub name: String,
    /// Read and write queues on each broker.
    pub queues: u32,
    /// What clients may do.
    pub permission: Permission,
    /// Only on the masters of this cluster.
    pub cluster: Option<String>,
    /// Only on this broker group.
    pub broker: Option<String>,
}

/// What became of an action at one place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WhereDone {
    /// A broker group's or a name server's name.
    pub at: String,
    /// Its address; `None` for a group without master.
    pub address: Option<String>,
    /// What became of it.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// See [`WhereDone`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "outcome", content = "reason")]
pub enum Outcome {
    /// It was done now.
    Done,
    /// It was so already.
    Unchanged,
    /// It was not done; why.
    Failed(String),
}

impl Admin {
    /// Creates a topic on all masters that are asked for.
    ///
    /// # Errors
    /// Nothing was created: the name is illegal, nobody answers, there is no such cluster or broker, or a
    /// topic of that name is there and is different.
    pub async fn create_topic(&self, topic: &CreateTopic) -> Result<Vec<WhereDone>, AdminError> {
        let name = &topic.name;
        validate_topic(name)
            .map_err(|error| AdminError::Invalid(format!("topic \"{name}\": {error}")))?;
        let groups = self.groups_to_create_on(topic).await?;
        let config = TopicConfig {
            permission: topic.permission,
            ..TopicConfig::new(TopicName::new(name), topic.queues)
        };
        let mut found = Vec::new();
        for group in &groups {
            let there = self.on_master(group, name).await;
            if let Ok(Some(there)) = &there
                && !is_equal(there, &config)
            {
                return Err(AdminError::Conflict(different(name, there)));
            }
            found.push((group, there));
        }
        let mut done = Vec::new();
        for (group, there) in found {
            let request = || create_topic(&config, system::AUTO_CREATE_TOPIC);
            done.push(match there {
                Err(error) => at_group(group, Outcome::Failed(error.to_string())),
                Ok(Some(_)) => at_group(group, Outcome::Unchanged),
                Ok(None) => at_group(group, self.change(group, request()).await),
            });
        }
        Ok(done)
    }

    async fn groups_to_create_on(
        &self,
        topic: &CreateTopic,
    ) -> Result<Vec<BrokerData>, AdminError> {
        let mut groups = self.broker_groups(topic.cluster.as_deref()).await?;
        if let Some(broker) = &topic.broker {
            let known: Vec<String> = groups.iter().map(|group| group.broker_name.clone()).collect();
            groups.retain(|group| group.broker_name == *broker);
            if groups.is_empty() {
                let known = known.join(", ");
                let text = format!("no broker \"{broker}\" is registered; there is: {known}");
                return Err(AdminError::NotFound(text));
            }
        }
        let mut clusters: Vec<&str> = groups.iter().map(|group| group.cluster.as_str()).collect();
        clusters.sort_unstable();
        clusters.dedup();
        if clusters.len() > 1 {
            let clusters = clusters.join(", ");
            let text =
                format!("there are several clusters ({clusters}): choose one with --cluster");
            return Err(AdminError::Invalid(text));
        }
        Ok(groups)
    }

    /// The master's configuration of the topic, if it has one.
    async fn on_master(
        &self,
        group: &BrokerData,
        name: &str,
    ) -> Result<Option<TopicOnBroker>, AdminError> {
        let Some(master) = group.master() else {
            let text = format!("the master of {} is not registered", group.broker_name);
            return Err(AdminError::Unreachable(text));
        };
        let config = self.configs_of(group).await?.remove(name);
        Ok(config.map(|config| TopicOnBroker::of(group, master, &config)))
    }

    /// Asks the master for a change.
    async fn change(&self, group: &BrokerData, request: Command) -> Outcome {
        // Looked for before: on_master() fails without one.
        let Some(master) = group.master() else { return Outcome::Unchanged };
        outcome(self.call(master, request).await)
    }

    /// Deletes a topic with its messages on all masters that have it, whose slaves follow, and then takes it
    /// from all name servers; not if a broker may still have it, which clients could then not find.
    ///
    /// # Errors
    /// Nothing was deleted: nobody answers, or there is no such cluster or topic.
    pub async fn delete_topic(
        &self,
        name: &str,
        cluster: Option<&str>,
    ) -> Result<Vec<WhereDone>, AdminError> {
        let groups = self.broker_groups(cluster).await?;
        let mut done = Vec::new();
        for group in &groups {
            let request =
                || Command::request(request::DELETE_TOPIC_IN_BROKER).with_field("topic", name);
            done.push(match self.on_master(group, name).await {
                Ok(None) => continue,
                Ok(Some(_)) => at_group(group, self.change(group, request()).await),
                Err(error) => at_group(group, Outcome::Failed(error.to_string())),
            });
        }
        if done.is_empty() && !self.has_route(name).await? {
            return Err(no_topic(name));
        }
        if done.iter().any(|one| matches!(one.outcome, Outcome::Failed(_))) {
            return Ok(done);
        }
        for address in &self.name_servers {
            let mut request =
                Command::request(request::DELETE_TOPIC_IN_NAMESRV).with_field("topic", name);
            if let Some(cluster) = cluster {
                request.set_field("clusterName", cluster);
            }
            done.push(WhereDone {
                at: "name server".to_owned(),
                address: Some(address.clone()),
                outcome: outcome(self.call(address, request).await),
            });
        }
        Ok(done)
    }

    /// A route may be left of a topic that no broker has any more (S-36).
    async fn has_route(&self, name: &str) -> Result<bool, AdminError> {
        let request = Command::request(request::GET_ROUTEINFO_BY_TOPIC).with_field("topic", name);
        match self.call_name_server(&request).await {
            Ok(_) => Ok(true),
            Err(error) if error.is_refused(response::TOPIC_NOT_EXIST) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

fn at_group(group: &BrokerData, outcome: Outcome) -> WhereDone {
    let address = group.master().map(str::to_owned);
    WhereDone { at: group.broker_name.clone(), address, outcome }
}

pub(in crate::admin) fn outcome(called: Result<Command, AdminError>) -> Outcome {
    match called {
        Ok(_) => Outcome::Done,
        Err(error) => Outcome::Failed(error.to_string()),
    }
}

fn is_equal(there: &TopicOnBroker, wanted: &TopicConfig) -> bool {
    (there.read_queues, there.write_queues) == (wanted.read_queues, wanted.write_queues)
        && there.permission == permission_text(wanted.permission)
}

fn different(name: &str, there: &TopicOnBroker) -> String {
    let TopicOnBroker { broker, read_queues, write_queues, permission, .. } = there;
    format!(
        "topic \"{name}\" is on {broker} already, with {read_queues} read queues, {write_queues} write queues and \
         permission {permission}; creating does not change it"
    )
}
