//! Topic tables (21, 103), data versions (322) and lists of topics (206, 224, 304, 311 to 313).
//!
//! Not routes. Invariants: what lacks in a topic's configuration has 4.9.4's default (N-043, B-050); a negative number,
//! which 4.9.4 takes and nothing can use, is read as 0: one odd topic does not make a broker unknown.

use std::borrow::Borrow;

use bytes::Bytes;

use crate::model::{DataVersion, Permission, TopicConfig, TopicFilterType, TopicName};
use crate::remoting::DecodeError;
use crate::remoting::json::{self, Form, Value};

/// Queues of a topic whose configuration does not say how many (B-050).
const DEFAULT_QUEUES: u32 = 16;

/// A data version (B-060).
#[must_use]
pub fn version_value(version: DataVersion) -> Value<'static> {
    Value::object([("counter", version.counter.into()), ("timestamp", version.timestamp.into())])
}

/// Reads a data version; what lacks is 0 (N-044).
///
/// # Errors
/// A number is no number.
pub fn read_version(value: &Value<'_>) -> Result<DataVersion, DecodeError> {
    Ok(DataVersion {
        counter: value.number_or("counter", 0)?,
        timestamp: value.number_or("timestamp", 0)?,
    })
}

/// Reads the body of 322; an empty one says nothing.
///
/// # Errors
/// It is no data version.
pub fn parse_version(body: &[u8]) -> Result<Option<DataVersion>, DecodeError> {
    if body.is_empty() {
        return Ok(None);
    }
    let value = json::parse_bounded(body, json::REQUEST_VALUES_MAX)?;
    value.expect_object("the data version")?;
    read_version(&value).map(Some)
}

/// A topic's configuration (N-043).
#[must_use]
pub fn topic_value(topic: &TopicConfig) -> Value<'_> {
    Value::object([
        ("order", topic.order.into()),
        ("perm", topic.permission.0.into()),
        ("readQueueNums", topic.read_queues.into()),
        ("topicFilterType", topic.filter_type.as_str().into()),
        ("topicName", topic.name.as_str().into()),
        ("topicSysFlag", topic.sys_flag.into()),
        ("writeQueueNums", topic.write_queues.into()),
    ])
}

/// Reads a topic's configuration; `name` is its key in the table and wins over the name inside.
///
/// # Errors
/// A number is no number of ours.
pub fn read_topic(name: &str, value: &Value<'_>) -> Result<TopicConfig, DecodeError> {
    let filter_types = [TopicFilterType::SingleTag, TopicFilterType::MultiTag];
    let names = filter_types.map(TopicFilterType::as_str);
    let filter_type = value.get("topicFilterType").as_enum(&names).unwrap_or(0);
    let number = |key: &str, default: u32| -> Result<u32, DecodeError> {
        let number: i32 = value.number(key)?.unwrap_or_else(|| default.cast_signed());
        Ok(u32::try_from(number).unwrap_or(0))
    };
    Ok(TopicConfig {
        name: TopicName::new(name),
        read_queues: number("readQueueNums", DEFAULT_QUEUES)?,
        write_queues: number("writeQueueNums", DEFAULT_QUEUES)?,
        permission: Permission(number("perm", Permission::READ_WRITE.0)?),
        filter_type: filter_types[filter_type],
        sys_flag: number("topicSysFlag", 0)?,
        order: value.bool_or("order", false),
    })
}

/// Every topic of a broker with their version: the answer to 21, and the heart of a registration.
#[must_use]
pub fn topic_table_value<T: Borrow<TopicConfig>>(version: DataVersion, topics: &[T]) -> Value<'_> {
    let rows = topics.iter().map(|topic| {
        let topic = topic.borrow();
        (topic.name.as_str(), topic_value(topic))
    });
    Value::object([("dataVersion", version_value(version)), ("topicConfigTable", Value::map(rows))])
}

/// The answer to 21 (B-302).
#[must_use]
pub fn topic_table<T: Borrow<TopicConfig>>(version: DataVersion, topics: &[T]) -> Bytes {
    topic_table_value(version, topics).to_bytes(Form::Dialect)
}

/// Reads a topic table.
///
/// # Errors
/// It is none.
pub fn read_topic_table(value: &Value<'_>) -> Result<(DataVersion, Vec<TopicConfig>), DecodeError> {
    let mut topics = Vec::new();
    for (key, topic) in value.get("topicConfigTable").entries() {
        let name = key.as_str().or_else(|| topic.text("topicName")).unwrap_or_default();
        topics.push(read_topic(name, topic)?);
    }
    Ok((read_version(value.get("dataVersion"))?, topics))
}

/// Reads the answer to 21.
///
/// # Errors
/// It is no topic table.
pub fn parse_topic_table(body: &[u8]) -> Result<(DataVersion, Vec<TopicConfig>), DecodeError> {
    let value = json::parse(body)?;
    value.expect_object("the topic table")?;
    read_topic_table(&value)
}

/// A list of topics, with the address of a broker that knows more (304) or without (N-065, N-068).
#[must_use]
pub fn topic_list(broker_address: Option<&str>, topics: &[String]) -> Bytes {
    let list = Value::array(topics.iter().map(String::as_str));
    let address = broker_address.map(|address| ("brokerAddr", address.into()));
    let entries = address.into_iter().chain([("topicList", list)]);
    Value::object(entries).to_bytes(Form::Dialect)
}

/// Reads a list of topics.
///
/// # Errors
/// It is no object.
pub fn parse_topic_list(body: &[u8]) -> Result<Vec<String>, DecodeError> {
    let value = json::parse(body)?;
    value.expect_object("the topic list")?;
    Ok(value.texts("topicList"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_table_is_written_as_n043_says_and_read_again() {
        let version = DataVersion { timestamp: 5, counter: 2 };
        let topics = [TopicConfig { order: true, ..TopicConfig::new(TopicName::new("T"), 4) }];
        let body = topic_table(version, &topics);
        let expected = r#"{"dataVersion":{"counter":2,"timestamp":5},"topicConfigTable":{"T":{"order":true,"perm":6,"readQueueNums":4,"topicFilterType":"SINGLE_TAG","topicName":"T","topicSysFlag":0,"writeQueueNums":4}}}"#;
        assert_eq!(body, expected);
        assert_eq!(parse_topic_table(&body).unwrap(), (version, topics.to_vec()));
    }

    #[test]
    fn what_lacks_has_its_default_and_what_is_wrong_is_refused() {
        let (version, topics) =
            parse_topic_table(br#"{"topicConfigTable":{"T":{"topicFilterType":1}}}"#).unwrap();
        assert_eq!(version, DataVersion::default());
        let defaults = TopicConfig::new(TopicName::new("T"), 16);
        assert_eq!(topics, [TopicConfig { filter_type: TopicFilterType::MultiTag, ..defaults }]);
        for bad in ["[]", "x", r#"{"topicConfigTable":{"T":{"perm":"x"}}}"#] {
            assert!(parse_topic_table(bad.as_bytes()).is_err(), "{bad}");
        }
        let long = format!("{{\"x\":[{}1]}}", "1,".repeat(json::REQUEST_VALUES_MAX));
        assert!(parse_version(long.as_bytes()).is_err(), "more than it can need");
    }

    #[test]
    fn negative_numbers_are_read_as_0_because_4_9_4_takes_them() {
        let odd = r#"{"perm":-1,"readQueueNums":-8,"topicSysFlag":-3,"writeQueueNums":-1}"#;
        let table = format!(r#"{{"topicConfigTable":{{"T":{odd},"U":{{"readQueueNums":2}}}}}}"#);
        let (_, topics) = parse_topic_table(table.as_bytes()).unwrap();
        let zero =
            TopicConfig { permission: Permission(0), ..TopicConfig::new(TopicName::new("T"), 0) };
        let other = TopicConfig { read_queues: 2, ..TopicConfig::new(TopicName::new("U"), 16) };
        assert_eq!(topics, [zero, other]);
    }

    #[test]
    fn lists_have_an_address_only_where_one_is_known_n068() {
        let topics = ["C".to_owned(), "b".to_owned()];
        assert_eq!(topic_list(None, &topics), r#"{"topicList":["C","b"]}"#);
        let body = topic_list(Some("127.0.0.1:1"), &topics);
        assert_eq!(body, r#"{"brokerAddr":"127.0.0.1:1","topicList":["C","b"]}"#);
        assert_eq!(parse_topic_list(&body).unwrap(), topics);
    }
}
