//! Texts as Java and 4.9.4's classes write them.

use std::net::{IpAddr, SocketAddr};

use crate::model::{
    MessageQueue, Permission, SubscriptionGroupConfig, TopicConfig, java_hash_code,
};

/// The first `size` characters (`UtilAll.frontStringAtLeast`).
pub(super) fn front(text: &str, size: usize) -> &str {
    text.char_indices().nth(size).map_or(text, |(at, _)| &text[..at])
}

/// What `%s` makes of a text that may be null.
pub(super) fn text_or_null(text: Option<&str>) -> &str {
    text.unwrap_or("null")
}

/// `HashMap.toString()` of texts, in the order in which a `HashMap` goes through them (S-25).
pub(super) fn hash_map<'a>(entries: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let entries: Vec<_> = entries.collect();
    let mut size = 16u32;
    while entries.len() > usize::try_from(size / 4 * 3).unwrap_or(usize::MAX) {
        size *= 2;
    }
    let bucket = |key: &str| {
        let hash = java_hash_code(key).cast_unsigned();
        (hash ^ (hash >> 16)) & (size - 1)
    };
    let mut ordered: Vec<_> =
        entries.into_iter().map(|(key, value)| (bucket(key), key, value)).collect();
    ordered.sort_by_key(|(bucket, ..)| *bucket);
    let shown: Vec<_> =
        ordered.into_iter().map(|(_, key, value)| format!("{key}={value}")).collect();
    format!("{{{}}}", shown.join(", "))
}

/// `Arrays.toString(byte[])`.
pub(super) fn byte_array(bytes: &[u8]) -> String {
    let shown: Vec<_> = bytes.iter().map(|byte| byte.cast_signed().to_string()).collect();
    format!("[{}]", shown.join(", "))
}

/// `InetSocketAddress.toString()` of an address without a name.
pub(super) fn socket(address: SocketAddr) -> String {
    match address.ip() {
        IpAddr::V4(ip) => format!("/{ip}:{}", address.port()),
        IpAddr::V6(ip) => {
            let parts: Vec<_> = ip.segments().iter().map(|part| format!("{part:x}")).collect();
            format!("/[{}]:{}", parts.join(":"), address.port())
        }
    }
}

/// `MessageQueue.toString()`.
pub(super) fn queue_text(queue: &MessageQueue) -> String {
    let MessageQueue { topic, broker_name, queue_id } = queue;
    format!("MessageQueue [topic={topic}, brokerName={broker_name}, queueId={queue_id}]")
}

/// `TopicConfig.toString()`.
pub(super) fn topic_config(topic: &TopicConfig) -> String {
    format!(
        "TopicConfig [topicName={}, readQueueNums={}, writeQueueNums={}, perm={}, topicFilterType={}, \
         topicSysFlag={}, order={}]",
        topic.name,
        topic.read_queues,
        topic.write_queues,
        permission(topic.permission),
        topic.filter_type.as_str(),
        topic.sys_flag,
        topic.order
    )
}

/// `PermName.perm2String`.
fn permission(permission: Permission) -> String {
    let bits = [(Permission::READ, 'R'), (Permission::WRITE, 'W'), (Permission::INHERIT, 'X')];
    bits.map(|(bit, letter)| if permission.contains(bit) { letter } else { '-' })
        .into_iter()
        .collect()
}

/// The fields of a group's configuration, in the order of 4.9.4's class.
pub(super) fn group_fields(group: &SubscriptionGroupConfig) -> [(&'static str, String); 9] {
    [
        ("groupName", group.name.to_string()),
        ("consumeEnable", group.consume_enable.to_string()),
        ("consumeFromMinEnable", group.consume_from_min_enable.to_string()),
        ("consumeBroadcastEnable", group.consume_broadcast_enable.to_string()),
        ("retryQueueNums", group.retry_queue_nums.to_string()),
        ("retryMaxTimes", group.retry_max_times.to_string()),
        ("brokerId", group.broker_id.to_string()),
        ("whichBrokerWhenConsumeSlowly", group.which_broker_when_consume_slowly.to_string()),
        ("notifyConsumerIdsChangedEnable", group.notify_consumer_ids_changed_enable.to_string()),
    ]
}

/// `SubscriptionGroupConfig.toString()`.
pub(super) fn group_config(group: &SubscriptionGroupConfig) -> String {
    let fields = group_fields(group).map(|(name, value)| format!("{name}={value}"));
    format!("SubscriptionGroupConfig [{}]", fields.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{GroupName, TopicName};

    #[test]
    fn configurations_are_javas() {
        let topic = TopicConfig {
            permission: Permission::READ,
            ..TopicConfig::new(TopicName::new("T"), 8)
        };
        assert_eq!(
            topic_config(&topic),
            "TopicConfig [topicName=T, readQueueNums=8, writeQueueNums=8, perm=R--, topicFilterType=SINGLE_TAG, \
             topicSysFlag=0, order=false]"
        );
        let text = group_config(&SubscriptionGroupConfig::new(GroupName::new("G")));
        assert!(
            text.starts_with("SubscriptionGroupConfig [groupName=G, consumeEnable=true, "),
            "{text}"
        );
        assert!(
            text.ends_with("whichBrokerWhenConsumeSlowly=1, notifyConsumerIdsChangedEnable=true]"),
            "{text}"
        );
    }

    #[test]
    fn maps_and_bytes_are_javas() {
        let map =
            [("KEYS", "k"), ("TAGS", "a"), ("UNIQ_KEY", "U"), ("WAIT", "true"), ("CLUSTER", "C")];
        // As Java 17 prints it.
        assert_eq!(hash_map(map.into_iter()), "{KEYS=k, UNIQ_KEY=U, CLUSTER=C, WAIT=true, TAGS=a}");
        assert_eq!(byte_array(b"a\xff"), "[97, -1]");
        assert_eq!(socket("127.0.0.1:7".parse().unwrap()), "/127.0.0.1:7");
    }

    #[test]
    fn fronts_are_cut_at_characters() {
        assert_eq!((front("订单服务", 2), front("ab", 2), front("", 3)), ("订单", "ab", ""));
    }
}
