//! Topics at one broker or name server: 17, 21, 202, 215, 216, 300, 305.

use super::super::{Admin, AdminError};
use crate::model::{DataVersion, TopicConfig, system};
use crate::remoting::bodies::consume_stats::parse_group_list;
use crate::remoting::bodies::topic_stats::{TopicOffset, parse_topic_stats};
use crate::remoting::bodies::topics::{parse_topic_list, parse_topic_table};
use crate::remoting::headers::create_topic;
use crate::remoting::{Command, request};

impl Admin {
    /// Creates a topic at a master, or changes it (17).
    ///
    /// # Errors
    /// It does not answer, or refuses.
    pub async fn put_topic(&self, address: &str, topic: &TopicConfig) -> Result<(), AdminError> {
        self.call(address, create_topic(topic, system::AUTO_CREATE_TOPIC)).await.map(drop)
    }

    /// Deletes a topic with its messages at a master (215).
    ///
    /// # Errors
    /// It does not answer, or refuses.
    pub async fn delete_topic_at(&self, address: &str, topic: &str) -> Result<(), AdminError> {
        let request = Command::request(request::DELETE_TOPIC_IN_BROKER).with_field("topic", topic);
        self.call(address, request).await.map(drop)
    }

    /// Takes a topic of a cluster from what a name server knows (216).
    ///
    /// # Errors
    /// It does not answer, or refuses.
    pub async fn forget_topic(
        &self,
        name_server: &str,
        topic: &str,
        cluster: &str,
    ) -> Result<(), AdminError> {
        let request = Command::request(request::DELETE_TOPIC_IN_NAMESRV).with_field("topic", topic);
        self.at_name_server(name_server, request.with_field("clusterName", cluster)).await.map(drop)
    }

    /// How full the queues of a topic are at a broker (202).
    ///
    /// # Errors
    /// It does not answer, or does not have the topic.
    pub async fn topic_offsets(
        &self,
        address: &str,
        topic: &str,
    ) -> Result<Vec<TopicOffset>, AdminError> {
        let request = Command::request(request::GET_TOPIC_STATS_INFO).with_field("topic", topic);
        self.of(address, request, parse_topic_stats).await
    }

    /// The groups that consume a topic, or have positions in it, at a broker (300).
    ///
    /// # Errors
    /// It does not answer, or refuses.
    pub async fn groups_of_topic(
        &self,
        address: &str,
        topic: &str,
    ) -> Result<Vec<String>, AdminError> {
        let request =
            Command::request(request::QUERY_TOPIC_CONSUME_BY_WHO).with_field("topic", topic);
        self.of(address, request, parse_group_list).await
    }

    /// All topics of a broker (21).
    ///
    /// # Errors
    /// It does not answer, or refuses.
    pub async fn topic_configs(&self, address: &str) -> Result<Vec<TopicConfig>, AdminError> {
        Ok(self.topic_table(address).await?.1)
    }

    /// The same with the version of their table.
    ///
    /// # Errors
    /// It does not answer, or refuses.
    pub async fn topic_table(
        &self,
        address: &str,
    ) -> Result<(DataVersion, Vec<TopicConfig>), AdminError> {
        let request = Command::request(request::GET_ALL_TOPIC_CONFIG);
        self.of(address, request, parse_topic_table).await
    }

    /// The topics of the system at a broker (305).
    ///
    /// # Errors
    /// It does not answer, or refuses.
    pub async fn system_topics_at(&self, address: &str) -> Result<Vec<String>, AdminError> {
        self.of(
            address,
            Command::request(request::GET_SYSTEM_TOPIC_LIST_FROM_BROKER),
            parse_topic_list,
        )
        .await
    }
}
