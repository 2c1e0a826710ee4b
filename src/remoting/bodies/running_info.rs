//! What a consumer tells of itself (307, B-354), as tools read it.
//!
//! Not how it is asked. Invariant: what it leaves out has Java's default.

use std::collections::BTreeMap;

use super::queues::parse_queue;
use crate::model::MessageQueue;
use crate::remoting::DecodeError;
use crate::remoting::json::{self, Value};

/// A consumer from within.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RunningInfo {
    /// Its settings and those of its process, `PROP_` ones of the client library among them.
    pub properties: BTreeMap<String, String>,
    /// What it subscribes, sorted.
    pub subscriptions: Vec<RunningSubscription>,
    /// The queues that it has, sorted, and how far it is in each.
    pub queues: Vec<(MessageQueue, ProcessQueue)>,
    /// How fast it is, by topic.
    pub statuses: BTreeMap<String, ConsumeStatus>,
    /// What its threads do, if that was asked for.
    pub stacks: Option<String>,
}

/// A subscription of a consumer.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct RunningSubscription {
    /// The topic.
    pub topic: String,
    /// The expression.
    pub expression: String,
    /// The tags of it.
    pub tags: Vec<String>,
    /// Whether a filter class is meant.
    pub class_filter_mode: bool,
}

/// A queue that a consumer has (`ProcessQueueInfo`); times in milliseconds since 1970.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProcessQueue {
    /// The position that it commits next.
    pub commit_offset: i64,
    /// The lowest offset that it holds.
    pub cached_msg_min_offset: i64,
    /// The highest one.
    pub cached_msg_max_offset: i64,
    /// How many messages it holds.
    pub cached_msg_count: i64,
    /// Their size in MiB.
    pub cached_msg_size_in_mib: i64,
    /// The lowest offset of those that it consumes in order now.
    pub transaction_msg_min_offset: i64,
    /// The highest one.
    pub transaction_msg_max_offset: i64,
    /// How many they are.
    pub transaction_msg_count: i64,
    /// Whether it has the queue's lock.
    pub locked: bool,
    /// How often it tried to give the lock back.
    pub try_unlock_times: i64,
    /// When it locked the queue last.
    pub last_lock_timestamp: i64,
    /// Whether it gave the queue away.
    pub dropped: bool,
    /// When it pulled last.
    pub last_pull_timestamp: i64,
    /// When it consumed last.
    pub last_consume_timestamp: i64,
}

/// How fast a consumer is in a topic: times in milliseconds, rates a second.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ConsumeStatus {
    /// How long a pull takes.
    pub pull_rt: f64,
    /// Messages pulled.
    pub pull_tps: f64,
    /// How long a message takes.
    pub consume_rt: f64,
    /// Messages consumed.
    pub consume_ok_tps: f64,
    /// Messages that failed.
    pub consume_failed_tps: f64,
    /// Messages that failed in the last hour.
    pub consume_failed_msgs: i64,
}

impl RunningInfo {
    /// Reads the answer to 307.
    ///
    /// # Errors
    /// It is none.
    pub fn parse(body: &[u8]) -> Result<Self, DecodeError> {
        let value = json::parse(body)?;
        value.expect_object("what a consumer tells of itself")?;
        let property = |(key, value): &(Value<'_>, Value<'_>)| {
            Some((key.as_str()?.to_owned(), value.as_str()?.to_owned()))
        };
        let mut info = Self {
            properties: value.get("properties").entries().iter().filter_map(property).collect(),
            subscriptions: value
                .get("subscriptionSet")
                .items()
                .iter()
                .map(RunningSubscription::read)
                .collect(),
            stacks: value.text("jstack").map(str::to_owned),
            ..Self::default()
        };
        info.subscriptions.sort();
        for (queue, process) in value.get("mqTable").entries() {
            info.queues.push((parse_queue(queue)?, ProcessQueue::read(process)?));
        }
        info.queues.sort_unstable_by(|(a, _), (b, _)| {
            (&a.topic, &a.broker_name, a.queue_id).cmp(&(&b.topic, &b.broker_name, b.queue_id))
        });
        for (topic, status) in value.get("statusTable").entries() {
            let topic = topic.as_str().unwrap_or_default().to_owned();
            info.statuses.insert(topic, ConsumeStatus::read(status)?);
        }
        Ok(info)
    }
}

impl RunningSubscription {
    fn read(value: &Value<'_>) -> Self {
        Self {
            topic: value.text("topic").unwrap_or_default().to_owned(),
            expression: value.text("subString").unwrap_or_default().to_owned(),
            tags: value.texts("tagsSet"),
            class_filter_mode: value.bool_or("classFilterMode", false),
        }
    }
}

impl ProcessQueue {
    fn read(value: &Value<'_>) -> Result<Self, DecodeError> {
        let number = |key| value.number_or::<i64>(key, 0);
        Ok(Self {
            commit_offset: number("commitOffset")?,
            cached_msg_min_offset: number("cachedMsgMinOffset")?,
            cached_msg_max_offset: number("cachedMsgMaxOffset")?,
            cached_msg_count: number("cachedMsgCount")?,
            cached_msg_size_in_mib: number("cachedMsgSizeInMiB")?,
            transaction_msg_min_offset: number("transactionMsgMinOffset")?,
            transaction_msg_max_offset: number("transactionMsgMaxOffset")?,
            transaction_msg_count: number("transactionMsgCount")?,
            locked: value.bool_or("locked", false),
            try_unlock_times: number("tryUnlockTimes")?,
            last_lock_timestamp: number("lastLockTimestamp")?,
            dropped: value.bool_or("droped", false),
            last_pull_timestamp: number("lastPullTimestamp")?,
            last_consume_timestamp: number("lastConsumeTimestamp")?,
        })
    }
}

impl ConsumeStatus {
    fn read(value: &Value<'_>) -> Result<Self, DecodeError> {
        let rate = |key| value.get(key).as_f64().unwrap_or(0.0);
        Ok(Self {
            pull_rt: rate("pullRT"),
            pull_tps: rate("pullTPS"),
            consume_rt: rate("consumeRT"),
            consume_ok_tps: rate("consumeOKTPS"),
            consume_failed_tps: rate("consumeFailedTPS"),
            consume_failed_msgs: value.number_or("consumeFailedMsgs", 0)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_javas_answer_is_read_b354() {
        let body = br#"{"mqTable":{{"brokerName":"b","queueId":1,"topic":"T"}:{"cachedMsgCount":2,"commitOffset":7,"droped":true,"lastPullTimestamp":9,"locked":false},{"brokerName":"b","queueId":0,"topic":"T"}:{}},"properties":{"PROP_CONSUME_TYPE":"CONSUME_PASSIVELY","PROP_THREADPOOL_CORE_SIZE":"20"},"statusTable":{"T":{"consumeFailedMsgs":1,"consumeRT":0.5}},"subscriptionSet":[{"classFilterMode":false,"subString":"*","tagsSet":[],"topic":"T"}]}"#;
        let info = RunningInfo::parse(body).unwrap();
        assert_eq!(info.properties["PROP_THREADPOOL_CORE_SIZE"], "20");
        let ids: Vec<_> = info.queues.iter().map(|(queue, _)| queue.queue_id).collect();
        assert_eq!(ids, [0, 1]);
        let process = ProcessQueue {
            commit_offset: 7,
            cached_msg_count: 2,
            dropped: true,
            last_pull_timestamp: 9,
            ..ProcessQueue::default()
        };
        assert_eq!(info.queues[1].1, process);
        assert_eq!(info.statuses["T"].consume_failed_msgs, 1);
        assert_eq!(info.subscriptions[0].expression, "*");
        for bad in ["", "[]", r#"{"mqTable":{"x":{}}}"#] {
            assert!(RunningInfo::parse(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
