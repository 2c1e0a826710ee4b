//! Configurations of consumer groups (200, 201; B-070, B-312, B-313).
//!
//! Not the table itself (`store`). Invariant: what a body leaves out has 4.9.4's default.

use std::sync::Arc;

use bytes::Bytes;

use super::topics::{read_version, version_value};
use crate::model::{DataVersion, GroupName, SubscriptionGroupConfig};
use crate::remoting::DecodeError;
use crate::remoting::json::{self, Form, Value};

/// Reads the body of 200; `None` is a `null`, which 4.9.4 takes and ignores.
///
/// # Errors
/// It is no object, it has no name, or a number that is none.
pub fn parse_group(body: &[u8]) -> Result<Option<SubscriptionGroupConfig>, DecodeError> {
    let value = json::parse_bounded(body, json::REQUEST_VALUES_MAX)?;
    if value == Value::Null {
        return Ok(None);
    }
    value.expect_object("the group")?;
    let name = value.text("groupName").filter(|name| !name.is_empty());
    let name = name.ok_or_else(|| DecodeError("JSON: `groupName` is missing".to_owned()))?;
    read_group(name, &value).map(Some)
}

fn read_group(name: &str, value: &Value<'_>) -> Result<SubscriptionGroupConfig, DecodeError> {
    let usual = SubscriptionGroupConfig::new(GroupName::new(name));
    Ok(SubscriptionGroupConfig {
        consume_enable: value.bool_or("consumeEnable", usual.consume_enable),
        consume_from_min_enable: value
            .bool_or("consumeFromMinEnable", usual.consume_from_min_enable),
        consume_broadcast_enable: value
            .bool_or("consumeBroadcastEnable", usual.consume_broadcast_enable),
        retry_queue_nums: value.number_or("retryQueueNums", usual.retry_queue_nums)?,
        retry_max_times: value.number_or("retryMaxTimes", usual.retry_max_times)?,
        broker_id: value.number_or("brokerId", usual.broker_id)?,
        which_broker_when_consume_slowly: value
            .number_or("whichBrokerWhenConsumeSlowly", usual.which_broker_when_consume_slowly)?,
        notify_consumer_ids_changed_enable: value
            .bool_or("notifyConsumerIdsChangedEnable", usual.notify_consumer_ids_changed_enable),
        name: usual.name,
    })
}

/// Reads the answer to 201; a group's key in the table wins over the name inside.
///
/// # Errors
/// It is no group table.
pub fn parse_all_groups(
    body: &[u8],
) -> Result<(DataVersion, Vec<SubscriptionGroupConfig>), DecodeError> {
    let value = json::parse(body)?;
    value.expect_object("the group table")?;
    let mut groups = Vec::new();
    for (key, group) in value.get("subscriptionGroupTable").entries() {
        groups.push(read_group(key.as_str().unwrap_or_default(), group)?);
    }
    Ok((read_version(value.get("dataVersion"))?, groups))
}

/// The body of 200, as 4.9.4's tools write it.
#[must_use]
pub fn group(config: &SubscriptionGroupConfig) -> Bytes {
    group_value(config).to_bytes(Form::Dialect)
}

/// The answer to 201.
#[must_use]
pub fn all_groups(version: DataVersion, groups: &[Arc<SubscriptionGroupConfig>]) -> Bytes {
    let table = groups.iter().map(|config| (config.name.as_str(), group_value(config)));
    let body = Value::object([
        ("dataVersion", version_value(version)),
        ("subscriptionGroupTable", Value::map(table)),
    ]);
    body.to_bytes(Form::Dialect)
}

/// A group's configuration.
#[must_use]
pub fn group_value(config: &SubscriptionGroupConfig) -> Value<'_> {
    Value::object([
        ("brokerId", config.broker_id.into()),
        ("consumeBroadcastEnable", config.consume_broadcast_enable.into()),
        ("consumeEnable", config.consume_enable.into()),
        ("consumeFromMinEnable", config.consume_from_min_enable.into()),
        ("groupName", config.name.as_str().into()),
        ("notifyConsumerIdsChangedEnable", config.notify_consumer_ids_changed_enable.into()),
        ("retryMaxTimes", config.retry_max_times.into()),
        ("retryQueueNums", config.retry_queue_nums.into()),
        ("whichBrokerWhenConsumeSlowly", config.which_broker_when_consume_slowly.into()),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_494s_byte_for_byte_b313() {
        let group = Arc::new(SubscriptionGroupConfig::new(GroupName::new("G")));
        let version = DataVersion { timestamp: 9, counter: 2 };
        let body = all_groups(version, &[Arc::clone(&group)]);
        assert_eq!(
            std::str::from_utf8(&body).unwrap(),
            r#"{"dataVersion":{"counter":2,"timestamp":9},"subscriptionGroupTable":{"G":{"brokerId":0,"consumeBroadcastEnable":true,"consumeEnable":true,"consumeFromMinEnable":true,"groupName":"G","notifyConsumerIdsChangedEnable":true,"retryMaxTimes":16,"retryQueueNums":1,"whichBrokerWhenConsumeSlowly":1}}}"#
        );
        assert_eq!(parse_all_groups(&body), Ok((version, vec![(*group).clone()])));
        for body in ["", "[]", r#"{"subscriptionGroupTable":{"G":{"brokerId":"x"}}}"#] {
            assert!(parse_all_groups(body.as_bytes()).is_err(), "{body}");
        }
    }

    #[test]
    fn a_group_is_read_back_and_what_is_missing_has_its_default_b070() {
        let mut config = SubscriptionGroupConfig::new(GroupName::new("G"));
        assert_eq!(parse_group(br#"{"groupName":"G"}"#), Ok(Some(config.clone())));
        config.consume_enable = false;
        config.retry_max_times = -1;
        config.which_broker_when_consume_slowly = 7;
        assert_eq!(parse_group(&group(&config)), Ok(Some(config)));
    }

    #[test]
    fn groups_without_a_name_are_refused() {
        assert_eq!(parse_group(b"null"), Ok(None));
        for body in ["", "{}", "7", r#"{"groupName":"G","retryQueueNums":"x"}"#] {
            assert!(parse_group(body.as_bytes()).is_err(), "{body}");
        }
    }
}
