//! Consumer groups and clients at one broker: 200, 201, 203, 204, 207, 208, 307, 317, 328.

use std::time::Duration;

use super::super::{Admin, AdminError, CALL_TIMEOUT};
use crate::model::{DataVersion, SubscriptionGroupConfig};
use crate::remoting::bodies::clients::{
    ClientConnection, ConsumerConnections, Producer, parse_all_producers,
    parse_consumer_connections, parse_producer_connections,
};
use crate::remoting::bodies::consume_stats::{
    BrokerConsumeStats, ConsumeStats, parse_broker_consume_stats,
};
use crate::remoting::bodies::groups::{group, parse_all_groups};
use crate::remoting::bodies::running_info::RunningInfo;
use crate::remoting::{Command, request};

/// For what a broker computes from all of a group's queues, or asks a client.
const LONG_TIMEOUT: Duration = Duration::from_secs(15);

impl Admin {
    /// Creates a group at a master, or changes it (200).
    ///
    /// # Errors
    /// It does not answer, or refuses.
    pub async fn put_group(
        &self,
        address: &str,
        config: &SubscriptionGroupConfig,
    ) -> Result<(), AdminError> {
        let request =
            Command::request(request::UPDATE_AND_CREATE_SUBSCRIPTIONGROUP).with_body(group(config));
        self.call(address, request).await.map(drop)
    }

    /// All groups of a broker (201).
    ///
    /// # Errors
    /// It does not answer, or refuses.
    pub async fn group_configs(
        &self,
        address: &str,
    ) -> Result<Vec<SubscriptionGroupConfig>, AdminError> {
        Ok(self.group_table(address).await?.1)
    }

    /// The same with the version of their table.
    ///
    /// # Errors
    /// It does not answer, or refuses.
    pub async fn group_table(
        &self,
        address: &str,
    ) -> Result<(DataVersion, Vec<SubscriptionGroupConfig>), AdminError> {
        let request = Command::request(request::GET_ALL_SUBSCRIPTIONGROUP_CONFIG);
        self.of(address, request, parse_all_groups).await
    }

    /// A broker's settings of one group, of which only all are told (201); `None` if it has none.
    ///
    /// # Errors
    /// It does not answer, or refuses.
    pub async fn group_config(
        &self,
        address: &str,
        name: &str,
    ) -> Result<Option<SubscriptionGroupConfig>, AdminError> {
        let configs = self.group_configs(address).await?;
        Ok(configs.into_iter().find(|config| config.name.as_str() == name))
    }

    /// Deletes a group at a master, with its positions if they are to go too (207).
    ///
    /// # Errors
    /// It does not answer, or refuses.
    pub async fn delete_group_at(
        &self,
        address: &str,
        name: &str,
        with_offsets: bool,
    ) -> Result<(), AdminError> {
        let request =
            Command::request(request::DELETE_SUBSCRIPTIONGROUP).with_field("groupName", name);
        self.call(address, request.with_field("removeOffset", with_offsets)).await.map(drop)
    }

    /// The consumers of a group that are connected to a broker, and what they subscribe (203).
    ///
    /// # Errors
    /// It does not answer, or no consumer of the group is connected.
    pub async fn consumers(
        &self,
        address: &str,
        group: &str,
    ) -> Result<ConsumerConnections, AdminError> {
        let request = Command::request(request::GET_CONSUMER_CONNECTION_LIST)
            .with_field("consumerGroup", group);
        self.of(address, request, parse_consumer_connections).await
    }

    /// The producers of a group that are connected to a broker (204).
    ///
    /// # Errors
    /// It does not answer, or does not know the group.
    pub async fn producers(
        &self,
        address: &str,
        group: &str,
    ) -> Result<Vec<ClientConnection>, AdminError> {
        let request = Command::request(request::GET_PRODUCER_CONNECTION_LIST)
            .with_field("producerGroup", group);
        self.of(address, request, parse_producer_connections).await
    }

    /// All producers that are connected to a broker, by their groups (328).
    ///
    /// # Errors
    /// It does not answer, or refuses.
    pub async fn all_producers(
        &self,
        address: &str,
    ) -> Result<Vec<(String, Vec<Producer>)>, AdminError> {
        self.of(address, Command::request(request::GET_ALL_PRODUCER_INFO), parse_all_producers)
            .await
    }

    /// How far a group is at a broker, in one topic or in all of its topics (208).
    ///
    /// # Errors
    /// It does not answer, or refuses.
    pub async fn consume_stats(
        &self,
        address: &str,
        group: &str,
        topic: Option<&str>,
    ) -> Result<ConsumeStats, AdminError> {
        let mut request =
            Command::request(request::GET_CONSUME_STATS).with_field("consumerGroup", group);
        if let Some(topic) = topic {
            request.set_field("topic", topic);
        }
        self.of_within(address, request, LONG_TIMEOUT, ConsumeStats::parse).await
    }

    /// How far all groups are at a broker, those of ordered topics or all (317).
    ///
    /// # Errors
    /// It does not answer, or refuses.
    pub async fn broker_consume_stats(
        &self,
        address: &str,
        is_order: bool,
        timeout: Duration,
    ) -> Result<BrokerConsumeStats, AdminError> {
        let request =
            Command::request(request::GET_BROKER_CONSUME_STATS).with_field("isOrder", is_order);
        self.of_within(address, request, timeout.max(CALL_TIMEOUT), parse_broker_consume_stats)
            .await
    }

    /// What a consumer tells of itself, over a broker that it is connected to (307).
    ///
    /// # Errors
    /// The broker or the client does not answer, or there is no such client.
    pub async fn running_info(
        &self,
        address: &str,
        group: &str,
        client: &str,
        with_stacks: bool,
    ) -> Result<RunningInfo, AdminError> {
        let request = Command::request(request::GET_CONSUMER_RUNNING_INFO)
            .with_field("consumerGroup", group)
            .with_field("clientId", client)
            .with_field("jstackEnable", with_stacks);
        self.of_within(address, request, LONG_TIMEOUT, RunningInfo::parse).await
    }
}
