//! Headers that a server reads and another of our parts writes: registration (103), topics (17).

use crate::model::{Permission, TopicConfig, TopicFilterType, TopicName};
use crate::remoting::command::Command;
use crate::remoting::fields::FieldError;
use crate::remoting::request;

/// Who registers (N-040).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RegisterBroker {
    /// The broker group.
    pub broker_name: String,
    /// What clients dial.
    pub broker_addr: String,
    /// The cluster.
    pub cluster_name: String,
    /// What slaves dial for the log.
    pub ha_server_addr: String,
    /// Number within the group; 0 is the master.
    pub broker_id: i64,
    /// Whether the body is the zlib form (N-045).
    pub compressed: bool,
    /// CRC of the body without its highest bit; 0 is not checked (N-041).
    pub body_crc32: i32,
}

impl RegisterBroker {
    /// Reads the header of 103.
    ///
    /// # Errors
    /// A mandatory field is missing, or a number cannot be read.
    pub fn parse(command: &Command) -> Result<Self, FieldError> {
        Ok(Self {
            broker_name: command.required_str("brokerName")?.to_owned(),
            broker_addr: command.required_str("brokerAddr")?.to_owned(),
            cluster_name: command.required_str("clusterName")?.to_owned(),
            ha_server_addr: command.required_str("haServerAddr")?.to_owned(),
            broker_id: command.required_i64("brokerId")?,
            compressed: command.flag_bool("compressed"),
            body_crc32: command.optional_i32("bodyCrc32")?.unwrap_or_default(),
        })
    }

    /// A registration without its body.
    #[must_use]
    pub fn to_request(&self) -> Command {
        Command::request(request::REGISTER_BROKER)
            .with_field("brokerName", &self.broker_name)
            .with_field("brokerAddr", &self.broker_addr)
            .with_field("clusterName", &self.cluster_name)
            .with_field("haServerAddr", &self.ha_server_addr)
            .with_field("brokerId", self.broker_id)
            .with_field("compressed", self.compressed)
            .with_field("bodyCrc32", self.body_crc32)
    }
}

/// Reads the topic that 17 asks for (B-300); the caller checks its name.
///
/// # Errors
/// A mandatory field is missing or is nothing that a topic can have.
pub fn read_create_topic(command: &Command) -> Result<TopicConfig, FieldError> {
    let number = |key: &'static str| {
        let number = command.required_i32(key)?;
        u32::try_from(number).map_err(|_| FieldError::Bad {
            field: key,
            expected: "a number of zero or more",
            text: number.to_string(),
        })
    };
    let filter_type = match command.required_str("topicFilterType")? {
        "SINGLE_TAG" => TopicFilterType::SingleTag,
        "MULTI_TAG" => TopicFilterType::MultiTag,
        other => {
            return Err(FieldError::Bad {
                field: "topicFilterType",
                expected: "SINGLE_TAG or MULTI_TAG",
                text: other.chars().take(FieldError::SHOWN_MAX).collect(),
            });
        }
    };
    let sys_flag = match command.optional_i32("topicSysFlag")? {
        Some(_) => number("topicSysFlag")?,
        None => 0,
    };
    Ok(TopicConfig {
        name: TopicName::new(command.required_str("topic")?),
        read_queues: number("readQueueNums")?,
        write_queues: number("writeQueueNums")?,
        permission: Permission(number("perm")?),
        filter_type,
        sys_flag,
        order: command.flag_bool("order"),
    })
}

/// A request that creates or changes a topic (17).
#[must_use]
pub fn create_topic(config: &TopicConfig, default_topic: &str) -> Command {
    Command::request(request::UPDATE_AND_CREATE_TOPIC)
        .with_field("topic", &config.name)
        .with_field("defaultTopic", default_topic)
        .with_field("readQueueNums", config.read_queues)
        .with_field("writeQueueNums", config.write_queues)
        .with_field("perm", config.permission.0)
        .with_field("topicFilterType", config.filter_type.as_str())
        .with_field("topicSysFlag", config.sys_flag)
        .with_field("order", config.order)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registrations_round_trip() {
        let header = RegisterBroker {
            broker_name: "broker-a".into(),
            broker_addr: "127.0.0.1:10911".into(),
            cluster_name: "C".into(),
            ha_server_addr: "127.0.0.1:10912".into(),
            broker_id: 0,
            compressed: true,
            body_crc32: 5,
        };
        assert_eq!(RegisterBroker::parse(&header.to_request()), Ok(header));
        let error = RegisterBroker::parse(&Command::request(103)).unwrap_err();
        assert_eq!(error, FieldError::Missing("brokerName"));
    }

    #[test]
    fn topics_round_trip() {
        let topic = TopicConfig { order: true, ..TopicConfig::new(TopicName::new("T"), 8) };
        let mut request = create_topic(&topic, "TBW102");
        assert_eq!(read_create_topic(&request), Ok(topic));
        request.set_field("perm", -1);
        assert!(read_create_topic(&request).unwrap_err().to_string().contains("`perm`"));
        request.set_field("perm", 6);
        request.set_field("topicFilterType", "x");
        assert!(read_create_topic(&request).unwrap_err().to_string().contains("SINGLE_TAG"));
    }
}
