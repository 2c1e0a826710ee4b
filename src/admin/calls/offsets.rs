//! Positions at one broker: 15, 29 to 31, 43, 222.

use super::super::{Admin, AdminError};
use crate::model::MessageQueue;
use crate::remoting::bodies::client_calls::parse_offset_table;
use crate::remoting::bodies::offsets::{ConsumerOffsetTable, parse_consumer_offsets};
use crate::remoting::{Command, Language, request};

/// Where the consumers of a group are to go on.
#[derive(Clone, Copy, Debug)]
pub struct Reset<'a> {
    /// The topic.
    pub topic: &'a str,
    /// The group.
    pub group: &'a str,
    /// At messages of this time in milliseconds since 1970; -1 is behind the last one.
    pub timestamp: i64,
    /// Also where that is further on than the group is.
    pub is_forced: bool,
    /// For consumers in C++, which read another form (B-323).
    pub is_cpp: bool,
}

impl Admin {
    /// Has a broker tell the connected consumers of a group where to go on (222); returns where that is.
    ///
    /// # Errors
    /// It does not answer, or no consumer is connected (code 206).
    pub async fn reset_offsets(
        &self,
        address: &str,
        reset: Reset<'_>,
    ) -> Result<Vec<(MessageQueue, i64)>, AdminError> {
        let mut request = Command::request(request::INVOKE_BROKER_TO_RESET_OFFSET)
            .with_field("topic", reset.topic)
            .with_field("group", reset.group)
            .with_field("timestamp", reset.timestamp)
            .with_field("isForce", reset.is_forced);
        if reset.is_cpp {
            request.language = Language::CPP;
        }
        self.of(address, request, parse_offset_table).await
    }

    /// The positions of all groups at a broker (43).
    ///
    /// # Errors
    /// It does not answer, or refuses.
    pub async fn consumer_offsets(&self, address: &str) -> Result<ConsumerOffsetTable, AdminError> {
        let request = Command::request(request::GET_ALL_CONSUMER_OFFSET);
        self.of(address, request, parse_consumer_offsets).await
    }

    /// Sets a group's position in a queue at a broker (15).
    ///
    /// # Errors
    /// It does not answer, or refuses.
    pub async fn set_offset(
        &self,
        address: &str,
        group: &str,
        queue: &MessageQueue,
        offset: i64,
    ) -> Result<(), AdminError> {
        let request = about(request::UPDATE_CONSUMER_OFFSET, &queue.topic, queue.queue_id)
            .with_field("consumerGroup", group)
            .with_field("commitOffset", offset);
        self.call(address, request).await.map(drop)
    }

    /// The offset of a queue's first message (31).
    ///
    /// # Errors
    /// It does not answer, or refuses.
    pub async fn min_offset(
        &self,
        address: &str,
        topic: &str,
        queue: i32,
    ) -> Result<i64, AdminError> {
        self.offset(address, about(request::GET_MIN_OFFSET, topic, queue)).await
    }

    /// The offset of a queue's next message (30).
    ///
    /// # Errors
    /// It does not answer, or refuses.
    pub async fn max_offset(
        &self,
        address: &str,
        topic: &str,
        queue: i32,
    ) -> Result<i64, AdminError> {
        self.offset(address, about(request::GET_MAX_OFFSET, topic, queue)).await
    }

    /// The offset of a queue's message of a time in milliseconds since 1970, or near it (29, B-306).
    ///
    /// # Errors
    /// It does not answer, or refuses.
    pub async fn search_offset(
        &self,
        address: &str,
        topic: &str,
        queue: i32,
        timestamp: i64,
    ) -> Result<i64, AdminError> {
        let request = about(request::SEARCH_OFFSET_BY_TIMESTAMP, topic, queue);
        self.offset(address, request.with_field("timestamp", timestamp)).await
    }

    async fn offset(&self, address: &str, request: Command) -> Result<i64, AdminError> {
        let answer = self.call(address, request).await?;
        answer.required_i64("offset").map_err(|error| AdminError::unreadable(address, &error))
    }
}

fn about(code: i32, topic: &str, queue: i32) -> Command {
    Command::request(code).with_field("topic", topic).with_field("queueId", queue)
}
