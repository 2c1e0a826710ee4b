//! How the tables' rows lie in the database; the layouts are drawn in `schema`.

use std::collections::BTreeMap;

use bytes::{Buf, BufMut};

use super::{Position, PositionKey, TopicRow};
use crate::kv::{Database, KvError};
use crate::model::{
    DataVersion, GroupName, Permission, PhysicalOffset, QueueId, SubscriptionGroupConfig,
    TopicConfig, TopicFilterType, TopicName,
};
use crate::store::schema::tables as schema;

const HAS_CONFIG: u8 = 1;
const IS_ORDERED: u8 = 2;
const IS_GUESSED: u8 = 4;
const IS_MULTI_TAG: u8 = 8;

const CONSUME: u8 = 1;
const CONSUME_FROM_MIN: u8 = 2;
const CONSUME_BROADCAST: u8 = 4;
const NOTIFY: u8 = 8;

const IS_THERE: u8 = 1;

fn bit(is_set: bool, bit: u8) -> u8 {
    if is_set { bit } else { 0 }
}

fn damaged(what: &str) -> KvError {
    KvError::Corrupt(format!("a row of the {what} cannot be read"))
}

pub(super) fn topic_value(row: &TopicRow) -> Vec<u8> {
    let mut out = Vec::with_capacity(schema::TOPIC_VALUE_BYTES);
    out.put_u32(row.id);
    out.put_u64(row.floor.0);
    let none = TopicConfig::new(TopicName::new(""), 0);
    let config = row.config.as_deref().unwrap_or(&none);
    let is_multi_tag = config.filter_type == TopicFilterType::MultiTag;
    out.put_u8(
        bit(row.config.is_some(), HAS_CONFIG)
            | bit(config.order, IS_ORDERED)
            | bit(row.is_guessed, IS_GUESSED)
            | bit(is_multi_tag, IS_MULTI_TAG),
    );
    out.put_u32(config.read_queues);
    out.put_u32(config.write_queues);
    out.put_u32(config.permission.0);
    out.put_u32(config.sys_flag);
    out
}

fn parse_topic(name: &[u8], mut value: &[u8]) -> Option<(TopicName, TopicRow)> {
    let name = TopicName::new(std::str::from_utf8(name).ok()?);
    if value.len() != schema::TOPIC_VALUE_BYTES {
        return None;
    }
    let value = &mut value;
    let (id, floor) = (value.get_u32(), PhysicalOffset(value.get_u64()));
    let flags = value.get_u8();
    let is_set = |bit| flags & bit != 0;
    let config = TopicConfig {
        name: name.clone(),
        read_queues: value.get_u32(),
        write_queues: value.get_u32(),
        permission: Permission(value.get_u32()),
        sys_flag: value.get_u32(),
        filter_type: if is_set(IS_MULTI_TAG) {
            TopicFilterType::MultiTag
        } else {
            TopicFilterType::SingleTag
        },
        order: is_set(IS_ORDERED),
    };
    let config = is_set(HAS_CONFIG).then(|| config.into());
    Some((name, TopicRow { id, floor, config, is_guessed: is_set(IS_GUESSED) }))
}

pub(super) fn load_topics(database: &dyn Database) -> Result<Vec<(TopicName, TopicRow)>, KvError> {
    load(database, schema::TOPICS, parse_topic)
}

pub(super) fn group_value(config: &SubscriptionGroupConfig) -> Vec<u8> {
    let mut out = Vec::with_capacity(schema::GROUP_VALUE_BYTES);
    out.put_u8(
        bit(config.consume_enable, CONSUME)
            | bit(config.consume_from_min_enable, CONSUME_FROM_MIN)
            | bit(config.consume_broadcast_enable, CONSUME_BROADCAST)
            | bit(config.notify_consumer_ids_changed_enable, NOTIFY),
    );
    out.put_i32(config.retry_queue_nums);
    out.put_i32(config.retry_max_times);
    out.put_i64(config.broker_id);
    out.put_i64(config.which_broker_when_consume_slowly);
    out
}

fn parse_group(name: &[u8], mut value: &[u8]) -> Option<SubscriptionGroupConfig> {
    if value.len() != schema::GROUP_VALUE_BYTES {
        return None;
    }
    let value = &mut value;
    let flags = value.get_u8();
    let is_set = |bit| flags & bit != 0;
    Some(SubscriptionGroupConfig {
        name: GroupName::new(std::str::from_utf8(name).ok()?),
        consume_enable: is_set(CONSUME),
        consume_from_min_enable: is_set(CONSUME_FROM_MIN),
        consume_broadcast_enable: is_set(CONSUME_BROADCAST),
        notify_consumer_ids_changed_enable: is_set(NOTIFY),
        retry_queue_nums: value.get_i32(),
        retry_max_times: value.get_i32(),
        broker_id: value.get_i64(),
        which_broker_when_consume_slowly: value.get_i64(),
    })
}

pub(super) fn load_groups(
    database: &dyn Database,
) -> Result<Vec<SubscriptionGroupConfig>, KvError> {
    load(database, schema::GROUPS, parse_group)
}

pub(super) fn position_key(key: &PositionKey) -> Vec<u8> {
    let (topic, group) = (key.topic.as_str(), key.group.as_str());
    let mut out = Vec::with_capacity(topic.len() + group.len() + 8);
    out.put_u32(u32::try_from(topic.len()).unwrap_or(u32::MAX));
    out.put_slice(topic.as_bytes());
    out.put_slice(group.as_bytes());
    out.put_u32(key.queue_id.0);
    out
}

pub(super) fn position_value(position: Position) -> Vec<u8> {
    let mut out = Vec::with_capacity(schema::POSITION_VALUE_BYTES);
    out.put_u8(bit(position.offset.is_some(), IS_THERE));
    out.put_u64(position.generation);
    out.put_i64(position.offset.unwrap_or(0));
    out
}

fn parse_position(mut key: &[u8], mut value: &[u8]) -> Option<(PositionKey, Position)> {
    let topic_bytes = usize::try_from(key.try_get_u32().ok()?).ok()?;
    let (names, mut queue_id) = key.split_at_checked(key.len().checked_sub(4)?)?;
    let (topic, group) = names.split_at_checked(topic_bytes)?;
    if value.len() != schema::POSITION_VALUE_BYTES {
        return None;
    }
    let flags = value.get_u8();
    let generation = value.get_u64();
    let offset = value.get_i64();
    let key = PositionKey {
        topic: TopicName::new(std::str::from_utf8(topic).ok()?),
        group: GroupName::new(std::str::from_utf8(group).ok()?),
        queue_id: QueueId(queue_id.get_u32()),
    };
    Some((key, Position { generation, offset: (flags & IS_THERE != 0).then_some(offset) }))
}

pub(super) fn load_positions(
    database: &dyn Database,
) -> Result<Vec<(PositionKey, Position)>, KvError> {
    load(database, schema::CONSUMER_OFFSETS, parse_position)
}

pub(super) fn load_delay_offsets(database: &dyn Database) -> Result<BTreeMap<i32, i64>, KvError> {
    let parse = |mut level: &[u8], mut offset: &[u8]| {
        Some((level.try_get_i32().ok()?, offset.try_get_i64().ok()?))
    };
    Ok(load(database, schema::DELAY_OFFSETS, parse)?.into_iter().collect())
}

pub(super) fn version_value(version: DataVersion) -> Vec<u8> {
    let mut out = Vec::with_capacity(16);
    out.put_i64(version.timestamp);
    out.put_i64(version.counter);
    out
}

pub(super) fn load_version(database: &dyn Database, key: &[u8]) -> Result<DataVersion, KvError> {
    let Some(value) = database.get(schema::META, key)? else { return Ok(DataVersion::default()) };
    let mut value = &value[..];
    let timestamp = value.try_get_i64().map_err(|_| damaged("versions"))?;
    let counter = value.try_get_i64().map_err(|_| damaged("versions"))?;
    Ok(DataVersion { timestamp, counter })
}

pub(super) fn parse_u32(mut value: &[u8]) -> Result<u32, KvError> {
    value.try_get_u32().map_err(|_| damaged("numbers"))
}

/// All rows of a tree, as `parse` reads them.
fn load<T>(
    database: &dyn Database,
    tree: &'static str,
    parse: impl Fn(&[u8], &[u8]) -> Option<T>,
) -> Result<Vec<T>, KvError> {
    let mut found = Vec::new();
    let mut is_damaged = false;
    database.scan(tree, &[], &mut |key, value| {
        match parse(key, value) {
            Some(row) => found.push(row),
            None => is_damaged = true,
        }
        !is_damaged
    })?;
    if is_damaged { Err(damaged(tree)) } else { Ok(found) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn rows_are_read_as_they_were_written(
            (topic, group) in ("\\PC{0,9}", "\\PC{0,9}"), numbers in any::<[u32; 5]>(), generation in any::<u64>(),
            offset in any::<Option<i64>>(), flags in any::<[bool; 4]>(),
        ) {
            let name = TopicName::new(&topic);
            let config = TopicConfig {
                name: name.clone(), read_queues: numbers[0], write_queues: numbers[1],
                permission: Permission(numbers[2]), sys_flag: numbers[3], order: flags[0],
                filter_type: if flags[1] { TopicFilterType::MultiTag } else { TopicFilterType::SingleTag },
            };
            let config = flags[2].then(|| config.into());
            let row = TopicRow { id: numbers[4], floor: PhysicalOffset(generation), config, is_guessed: flags[3] };
            prop_assert_eq!(parse_topic(topic.as_bytes(), &topic_value(&row)), Some((name.clone(), row)));
            let group = GroupName::new(&group);
            let config = SubscriptionGroupConfig {
                consume_enable: flags[0], consume_from_min_enable: flags[1], consume_broadcast_enable: flags[2],
                notify_consumer_ids_changed_enable: flags[3], broker_id: offset.unwrap_or(7),
                ..SubscriptionGroupConfig::new(group.clone())
            };
            prop_assert_eq!(parse_group(group.as_str().as_bytes(), &group_value(&config)), Some(config));
            let key = PositionKey { topic: name, group, queue_id: QueueId(numbers[0]) };
            let position = Position { generation, offset };
            prop_assert_eq!(parse_position(&position_key(&key), &position_value(position)), Some((key, position)));
        }

        #[test]
        fn no_row_panics(key in prop::collection::vec(any::<u8>(), 0..20), value in prop::collection::vec(any::<u8>(), 0..40)) {
            let _any = (parse_topic(&key, &value), parse_group(&key, &value), parse_position(&key, &value));
        }
    }
}
