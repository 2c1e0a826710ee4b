//! One request each, at one address, with its answer read: what larger actions are made of.
//!
//! | file | what |
//! | --- | --- |
//! | here | routes, clusters, lists of topics (105, 106, 206) |
//! | `topics` | topics: 17, 21, 202, 215, 216, 300, 305 |
//! | `groups` | consumer groups and clients: 200, 201, 203, 204, 207, 208, 307, 317, 328 |
//! | `brokers` | a broker's state, settings and cleaning: 25, 26, 28, 306, 316, 329, 9010, 9011 |
//! | `offsets` | positions: 15, 29 to 31, 43, 222 |
//! | `messages` | messages: 11, 12, 33, 309, 310, 321 |
//! | `statistics` | what brokers count: 315 |
//! | `accounts` | accounts: 50 to 54 |
//! | `name_servers` | key-value settings, permissions and settings of name servers: 100 to 102, 205, 219, 318, 319, 327 |
//!
//! Not what is done with several brokers. Invariant: what a name server or broker refuses comes back as it said it.

mod accounts;
mod brokers;
mod groups;
mod messages;
mod name_servers;
mod offsets;
pub mod statistics;
mod topics;

use std::time::Duration;

use super::{Admin, AdminError, CALL_TIMEOUT, no_name_server, perhaps};
use crate::remoting::bodies::route::{ClusterInfo, TopicRoute};
use crate::remoting::bodies::topics::parse_topic_list;
use crate::remoting::{Command, DecodeError, request, response};

pub use accounts::AccountVersions;
pub(super) use accounts::accounts_off;
pub(super) use brokers::parse_properties;
pub(super) use messages::PULLED;
pub use messages::{ConsumedDirectly, Message, Pull, PullStatus, Pulled, Sent};
pub use offsets::Reset;
pub use statistics::Statistics;

impl Admin {
    /// The name servers that are asked, each as `host:port`.
    #[must_use]
    pub fn name_servers(&self) -> &[String] {
        &self.name_servers
    }

    /// Where a topic is (105).
    ///
    /// # Errors
    /// No name server answers, or none knows the topic.
    pub async fn route(&self, topic: &str) -> Result<TopicRoute, AdminError> {
        match self.route_if_any(topic).await? {
            Some(route) => Ok(route),
            None => Err(self.no_topic(topic).await),
        }
    }

    /// That there is no topic of a name, and which was probably meant.
    pub(super) async fn no_topic(&self, name: &str) -> AdminError {
        let known = self.topic_names().await.unwrap_or_default();
        AdminError::NotFound(format!(
            "there is no topic \"{name}\"{}: `rmq-node admin topics list --all` shows what there is",
            perhaps(name, known.iter().map(String::as_str))
        ))
    }

    /// The same; `None` if no name server knows the topic.
    pub(super) async fn route_if_any(&self, topic: &str) -> Result<Option<TopicRoute>, AdminError> {
        let request = Command::request(request::GET_ROUTEINFO_BY_TOPIC).with_field("topic", topic);
        if_known(self.of_name_server(&request, TopicRoute::parse).await)
    }

    /// Where a topic is, as one name server says (105); `None` if it does not know the topic.
    ///
    /// # Errors
    /// It does not answer, or refuses.
    pub async fn route_at(
        &self,
        name_server: &str,
        topic: &str,
    ) -> Result<Option<TopicRoute>, AdminError> {
        let request = Command::request(request::GET_ROUTEINFO_BY_TOPIC).with_field("topic", topic);
        if_known(self.of(name_server, request, TopicRoute::parse).await)
    }

    /// All clusters with their brokers (106).
    ///
    /// # Errors
    /// No name server answers.
    pub async fn cluster_info(&self) -> Result<ClusterInfo, AdminError> {
        let request = Command::request(request::GET_BROKER_CLUSTER_INFO);
        self.of_name_server(&request, ClusterInfo::parse).await
    }

    /// All topics that name servers know (206).
    ///
    /// # Errors
    /// No name server answers.
    pub async fn topic_names(&self) -> Result<Vec<String>, AdminError> {
        let request = Command::request(request::GET_ALL_TOPIC_LIST_FROM_NAMESERVER);
        self.of_name_server(&request, parse_topic_list).await
    }

    /// What the first name server that can be reached answers, read.
    async fn of_name_server<T>(
        &self,
        request: &Command,
        read: impl FnOnce(&[u8]) -> Result<T, DecodeError>,
    ) -> Result<T, AdminError> {
        let (address, answer) = self.call_name_server(request).await?;
        read(&answer.body).map_err(|error| AdminError::unreadable(address, &error))
    }

    /// What `address` answers, read.
    async fn of<T>(
        &self,
        address: &str,
        request: Command,
        read: impl FnOnce(&[u8]) -> Result<T, DecodeError>,
    ) -> Result<T, AdminError> {
        self.of_within(address, request, CALL_TIMEOUT, read).await
    }

    /// The same with a time limit of its own.
    async fn of_within<T>(
        &self,
        address: &str,
        request: Command,
        timeout: Duration,
        read: impl FnOnce(&[u8]) -> Result<T, DecodeError>,
    ) -> Result<T, AdminError> {
        let answer = self.call_within(address, request, timeout).await?;
        read(&answer.body).map_err(|error| AdminError::unreadable(address, &error))
    }

    /// Asks one name server; who does not know what all of 4.9 know is none.
    pub(super) async fn at_name_server(
        &self,
        address: &str,
        request: Command,
    ) -> Result<Command, AdminError> {
        match self.call(address, request).await {
            Err(error) if error.is_refused(response::REQUEST_CODE_NOT_SUPPORTED) => {
                Err(no_name_server(address))
            }
            answered => answered,
        }
    }
}

/// A route; `None` of a topic that is not known.
fn if_known(answered: Result<TopicRoute, AdminError>) -> Result<Option<TopicRoute>, AdminError> {
    match answered {
        Err(error) if error.is_refused(response::TOPIC_NOT_EXIST) => Ok(None),
        answered => answered.map(Some),
    }
}
