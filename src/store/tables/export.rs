//! The four tables as 4.9.4's JSON files, written as a mirror and read when the database is lost (ST-100 to ST-103).
//!
//! The dialect is fastjson's as far as these files need it: integer keys stand without quotes
//! (`{0:12}`). Unknown fields are ignored, missing ones have 4.9.4's defaults. Not the writing to the disk.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::model::{
    DataVersion, GroupName, Permission, QueueId, SubscriptionGroupConfig, TopicConfig,
    TopicFilterType, TopicName,
};

/// `topics.json` (ST-100).
pub const TOPICS_FILE: &str = "topics.json";
/// `subscriptionGroup.json` (ST-101).
pub const GROUPS_FILE: &str = "subscriptionGroup.json";
/// `consumerOffset.json` (ST-102).
pub const CONSUMER_OFFSETS_FILE: &str = "consumerOffset.json";
/// What a broker of 4.9.4 with light queues has in place of it.
pub const LIGHT_CONSUMER_OFFSETS_FILE: &str = "lmqConsumerOffset.json";
/// `delayOffset.json` (ST-103).
pub const DELAY_OFFSETS_FILE: &str = "delayOffset.json";

/// Between topic and group in the keys of `consumerOffset.json`.
const SEPARATOR: char = '@';

/// The positions of all groups, as `consumerOffset.json` has them.
pub type ConsumerOffsetTable = BTreeMap<(TopicName, GroupName), BTreeMap<QueueId, i64>>;

/// The text of `topics.json`.
#[must_use]
pub fn topics_text(version: DataVersion, topics: &[Arc<TopicConfig>]) -> String {
    let rows = topics.iter().map(|topic| {
        let row = json!({
            "order": topic.order,
            "perm": topic.permission.0,
            "readQueueNums": topic.read_queues,
            "topicFilterType": topic.filter_type.as_str(),
            "topicName": topic.name.as_str(),
            "topicSysFlag": topic.sys_flag,
            "writeQueueNums": topic.write_queues,
        });
        (topic.name.as_str(), row)
    });
    versioned_text(version, "topicConfigTable", rows)
}

/// The text of `subscriptionGroup.json`.
#[must_use]
pub fn groups_text(version: DataVersion, groups: &[Arc<SubscriptionGroupConfig>]) -> String {
    let rows = groups.iter().map(|group| {
        let row = json!({
            "brokerId": group.broker_id,
            "consumeBroadcastEnable": group.consume_broadcast_enable,
            "consumeEnable": group.consume_enable,
            "consumeFromMinEnable": group.consume_from_min_enable,
            "groupName": group.name.as_str(),
            "notifyConsumerIdsChangedEnable": group.notify_consumer_ids_changed_enable,
            "retryMaxTimes": group.retry_max_times,
            "retryQueueNums": group.retry_queue_nums,
            "whichBrokerWhenConsumeSlowly": group.which_broker_when_consume_slowly,
        });
        (group.name.as_str(), row)
    });
    versioned_text(version, "subscriptionGroupTable", rows)
}

fn versioned_text<'a>(
    version: DataVersion,
    table: &str,
    rows: impl Iterator<Item = (&'a str, Value)>,
) -> String {
    let DataVersion { counter, timestamp } = version;
    let mut text = format!(
        "{{\n\t\"dataVersion\":{{\"counter\":{counter},\"timestamp\":{timestamp}}},\n\t\"{table}\":{{"
    );
    let rows = rows.map(|(name, row)| format!("{}:{row}", Value::from(name)));
    push_lines(&mut text, rows);
    text.push_str("}\n}\n");
    text
}

/// The text of `consumerOffset.json`.
#[must_use]
pub fn consumer_offsets_text(table: &ConsumerOffsetTable) -> String {
    let mut text = "{\n\t\"offsetTable\":{".to_owned();
    let rows = table.iter().map(|((topic, group), queues)| {
        let key = format!("{topic}{SEPARATOR}{group}");
        let queues = queues.iter().map(|(queue_id, offset)| (queue_id.0, *offset));
        format!("{}:{{{}}}", Value::from(key), integer_pairs(queues))
    });
    push_lines(&mut text, rows);
    text.push_str("}\n}\n");
    text
}

/// The text of `delayOffset.json`.
#[must_use]
pub fn delay_offsets_text(offsets: &BTreeMap<i32, i64>) -> String {
    let pairs = integer_pairs(offsets.iter().map(|(level, offset)| (*level, *offset)));
    format!("{{\n\t\"offsetTable\":{{{pairs}}}\n}}\n")
}

fn integer_pairs<K: std::fmt::Display>(pairs: impl Iterator<Item = (K, i64)>) -> String {
    let mut text = String::new();
    for (key, value) in pairs {
        let comma = if text.is_empty() { "" } else { "," };
        let _cannot_fail = write!(text, "{comma}{key}:{value}");
    }
    text
}

/// One row a line, so that the files can be compared.
fn push_lines(text: &mut String, rows: impl Iterator<Item = String>) {
    for (index, row) in rows.enumerate() {
        text.push_str(if index == 0 { "\n\t\t" } else { ",\n\t\t" });
        text.push_str(&row);
    }
}

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// It cannot be read.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// It is no JSON object of the expected shape.
    #[error("not a table as 4.9.4 writes it: {0}")]
    Shape(String),
}

fn shape(what: &str) -> ImportError {
    ImportError::Shape(what.to_owned())
}

/// Reads `topics.json`, ours or 4.9.4's.
///
/// # Errors
/// [`ImportError::Shape`]
pub fn parse_topics(text: &str) -> Result<(DataVersion, Vec<TopicConfig>), ImportError> {
    let root = parse(text)?;
    let topics = table(&root, "topicConfigTable")?.map(|(name, row)| {
        let queues = |key| u32::try_from(row[key].as_i64().unwrap_or(16)).unwrap_or(0);
        TopicConfig {
            name: TopicName::new(name),
            read_queues: queues("readQueueNums"),
            write_queues: queues("writeQueueNums"),
            permission: number(&row["perm"]).map_or(Permission::READ_WRITE, Permission),
            filter_type: match row["topicFilterType"].as_str() {
                Some("MULTI_TAG") => TopicFilterType::MultiTag,
                _ => TopicFilterType::SingleTag,
            },
            sys_flag: number(&row["topicSysFlag"]).unwrap_or(0),
            order: row["order"].as_bool().unwrap_or(false),
        }
    });
    Ok((version(&root), topics.collect()))
}

/// Reads `subscriptionGroup.json`, ours or 4.9.4's.
///
/// # Errors
/// [`ImportError::Shape`]
pub fn parse_groups(
    text: &str,
) -> Result<(DataVersion, Vec<SubscriptionGroupConfig>), ImportError> {
    let root = parse(text)?;
    let groups = table(&root, "subscriptionGroupTable")?.map(|(name, row)| {
        let default = SubscriptionGroupConfig::new(GroupName::new(name));
        let flag = |key, default| row[key].as_bool().unwrap_or(default);
        let number = |key, default| number(&row[key]).unwrap_or(default);
        SubscriptionGroupConfig {
            consume_enable: flag("consumeEnable", default.consume_enable),
            consume_from_min_enable: flag("consumeFromMinEnable", default.consume_from_min_enable),
            consume_broadcast_enable: flag(
                "consumeBroadcastEnable",
                default.consume_broadcast_enable,
            ),
            notify_consumer_ids_changed_enable: flag(
                "notifyConsumerIdsChangedEnable",
                default.notify_consumer_ids_changed_enable,
            ),
            retry_queue_nums: number("retryQueueNums", default.retry_queue_nums),
            retry_max_times: number("retryMaxTimes", default.retry_max_times),
            broker_id: row["brokerId"].as_i64().unwrap_or(default.broker_id),
            which_broker_when_consume_slowly: row["whichBrokerWhenConsumeSlowly"]
                .as_i64()
                .unwrap_or(default.which_broker_when_consume_slowly),
            name: default.name,
        }
    });
    Ok((version(&root), groups.collect()))
}

/// Reads `consumerOffset.json`, ours or 4.9.4's, or `lmqConsumerOffset.json`, which has those of light groups beside, without
/// a queue. Keys without topic and group are left out.
///
/// # Errors
/// [`ImportError::Shape`]
pub fn parse_consumer_offsets(text: &str) -> Result<ConsumerOffsetTable, ImportError> {
    let root = parse(text)?;
    let rows = table(&root, "offsetTable")?.filter_map(|(key, row)| {
        let (topic, group) = key.split_once(SEPARATOR)?;
        let pairs = row.as_object()?.iter();
        let queues = pairs
            .filter_map(|(queue, offset)| Some((QueueId(queue.parse().ok()?), offset.as_i64()?)));
        Some(((TopicName::new(topic), GroupName::new(group)), queues.collect()))
    });
    let light =
        root["lmqOffsetTable"].as_object().into_iter().flatten().filter_map(|(key, row)| {
            let (topic, group) = key.split_once(SEPARATOR)?;
            let position = BTreeMap::from([(QueueId(0), row.as_i64()?)]);
            Some(((TopicName::new(topic), GroupName::new(group)), position))
        });
    Ok(rows.chain(light).collect())
}

/// Reads `delayOffset.json`, ours or 4.9.4's.
///
/// # Errors
/// [`ImportError::Shape`]
pub fn parse_delay_offsets(text: &str) -> Result<BTreeMap<i32, i64>, ImportError> {
    let root = parse(text)?;
    let rows = table(&root, "offsetTable")?;
    Ok(rows.filter_map(|(level, offset)| Some((level.parse().ok()?, offset.as_i64()?))).collect())
}

fn parse(text: &str) -> Result<Value, ImportError> {
    let root: Value = serde_json::from_str(&quote_integer_keys(text))
        .map_err(|error| ImportError::Shape(error.to_string()))?;
    if root.is_object() { Ok(root) } else { Err(shape("no object")) }
}

fn table<'a>(
    root: &'a Value,
    key: &str,
) -> Result<impl Iterator<Item = (&'a str, &'a Value)>, ImportError> {
    let rows = root[key].as_object().ok_or_else(|| shape(&format!("`{key}` is missing")))?;
    Ok(rows.iter().map(|(name, row)| (name.as_str(), row)))
}

fn version(root: &Value) -> DataVersion {
    let field = |key| root["dataVersion"][key].as_i64().unwrap_or(0);
    DataVersion { timestamp: field("timestamp"), counter: field("counter") }
}

fn number<N: TryFrom<i64>>(value: &Value) -> Option<N> {
    N::try_from(value.as_i64()?).ok()
}

/// Puts quotes around the keys that are integers.
fn quote_integer_keys(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + text.len() / 8);
    let mut characters = text.chars().peekable();
    let (mut in_string, mut may_be_key) = (false, false);
    while let Some(character) = characters.next() {
        if may_be_key && !in_string && (character.is_ascii_digit() || character == '-') {
            let mut digits = character.to_string();
            while let Some(digit) = characters.next_if(char::is_ascii_digit) {
                digits.push(digit);
            }
            while characters.next_if(|next| next.is_ascii_whitespace()).is_some() {}
            let is_key = characters.peek() == Some(&':');
            let quote = if is_key { "\"" } else { "" };
            let _cannot_fail = write!(out, "{quote}{digits}{quote}");
            may_be_key = false;
            continue;
        }
        out.push(character);
        match character {
            '\\' if in_string => out.extend(characters.next()),
            '"' => in_string = !in_string,
            _ => {}
        }
        if !in_string && !character.is_ascii_whitespace() {
            may_be_key = matches!(character, '{' | ',');
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn files_of_4_9_4_are_read_st100() {
        let text = r#"{"dataVersion":{"counter":11,"timestamp":1700000000000},"topicConfigTable":{
            "T":{"order":true,"perm":7,"readQueueNums":4,"topicFilterType":"MULTI_TAG","topicName":"T","topicSysFlag":1,"writeQueueNums":8},
            "U":{"topicName":"U","later":{"x":[1,{"y":2}]}}}}"#;
        let (version, topics) = parse_topics(text).unwrap();
        assert_eq!(version, DataVersion { counter: 11, timestamp: 1_700_000_000_000 });
        assert_eq!((topics[0].read_queues, topics[0].write_queues), (4, 8));
        assert!(topics[0].order && topics[0].filter_type == TopicFilterType::MultiTag);
        assert_eq!(topics[1], TopicConfig::new(TopicName::new("U"), 16));
        let text =
            "{\n\t\"offsetTable\":{\"T@G\":{0:12,1:9\n\t\t},\"T@%x@y\":{ 10 : -1},\"odd\":{0:1}}}";
        let offsets = parse_consumer_offsets(text).unwrap();
        let row = &offsets[&(TopicName::new("T"), GroupName::new("G"))];
        assert_eq!(*row, BTreeMap::from([(QueueId(0), 12), (QueueId(1), 9)]));
        assert_eq!(offsets[&(TopicName::new("T"), GroupName::new("%x@y"))][&QueueId(10)], -1);
        assert_eq!(offsets.len(), 2);
        assert_eq!(parse_delay_offsets("{\"offsetTable\":{3:2,18:7}}").unwrap()[&18], 7);
        for bad in ["", "[]", "{}", "{\"offsetTable\":3}", "{\"offsetTable\":{0:}}"] {
            assert!(parse_delay_offsets(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_texts_are_in_4_9_4s_shapes() {
        let topic = Arc::new(TopicConfig::new(TopicName::new("T"), 4));
        let text = topics_text(DataVersion { counter: 1, timestamp: 2 }, &[topic]);
        let squeezed: String = text.split_whitespace().collect();
        assert_eq!(
            squeezed,
            r#"{"dataVersion":{"counter":1,"timestamp":2},"topicConfigTable":{"T":{"order":false,"perm":6,"readQueueNums":4,"topicFilterType":"SINGLE_TAG","topicName":"T","topicSysFlag":0,"writeQueueNums":4}}}"#
        );
        let group = Arc::new(SubscriptionGroupConfig::new(GroupName::new("G")));
        let text = groups_text(DataVersion::default(), &[group]);
        let squeezed: String = text.split_whitespace().collect();
        assert_eq!(
            squeezed,
            r#"{"dataVersion":{"counter":0,"timestamp":0},"subscriptionGroupTable":{"G":{"brokerId":0,"consumeBroadcastEnable":true,"consumeEnable":true,"consumeFromMinEnable":true,"groupName":"G","notifyConsumerIdsChangedEnable":true,"retryMaxTimes":16,"retryQueueNums":1,"whichBrokerWhenConsumeSlowly":1}}}"#
        );
        let squeezed: String =
            delay_offsets_text(&BTreeMap::from([(3, 2), (4, 9)])).split_whitespace().collect();
        assert_eq!(squeezed, "{\"offsetTable\":{3:2,4:9}}");
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(
            names in prop::collection::btree_map("[^@]{1,6}", ("\\PC{0,6}", 0u32..9, any::<i64>()), 0..6),
            counter in any::<i64>(),
        ) {
            let version = DataVersion { counter, timestamp: -counter.saturating_abs() };
            let topics: Vec<_> = names.iter().map(|(name, (_, queues, _))| TopicConfig {
                write_queues: 3, sys_flag: *queues, ..TopicConfig::new(TopicName::new(name), *queues)
            }).collect();
            let shared: Vec<_> = topics.iter().cloned().map(Arc::new).collect();
            prop_assert_eq!(parse_topics(&topics_text(version, &shared)).unwrap(), (version, topics));
            let groups: Vec<_> = names.iter().map(|(name, (_, queues, slow))| SubscriptionGroupConfig {
                retry_queue_nums: i32::try_from(*queues).unwrap(), broker_id: *slow,
                consume_enable: false, ..SubscriptionGroupConfig::new(GroupName::new(name))
            }).collect();
            let shared: Vec<_> = groups.iter().cloned().map(Arc::new).collect();
            prop_assert_eq!(parse_groups(&groups_text(version, &shared)).unwrap(), (version, groups));
            let offsets: ConsumerOffsetTable = names.iter().map(|(topic, (group, queue, offset))| {
                ((TopicName::new(topic), GroupName::new(group)), BTreeMap::from([(QueueId(*queue), *offset)]))
            }).collect();
            prop_assert_eq!(parse_consumer_offsets(&consumer_offsets_text(&offsets)).unwrap(), offsets);
            let delays = names.values().map(|(_, level, offset)| (i32::try_from(*level).unwrap(), *offset)).collect();
            prop_assert_eq!(parse_delay_offsets(&delay_offsets_text(&delays)).unwrap(), delays);
        }

        #[test]
        fn no_text_panics(text in "\\PC*", digits in "[-{}:,\"\\\\0-9 ]{0,40}") {
            let _any = (parse_topics(&text), parse_consumer_offsets(&digits), parse_delay_offsets(&digits));
        }
    }
}
