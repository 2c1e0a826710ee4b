//! The pull header (11) and the fields of its answer (B-160).

use crate::remoting::command::{Command, SerializeType};
use crate::remoting::fields::{ExtFields, FieldError};
use crate::remoting::request;

/// Bits of a pull's `sysFlag` (B-161).
pub mod pull_flag {
    /// `commitOffset` is to be stored.
    pub const COMMIT_OFFSET: i32 = 1;
    /// The pull may wait for messages.
    pub const SUSPEND: i32 = 2;
    /// The header holds the subscription.
    pub const SUBSCRIPTION: i32 = 4;
}

/// Keys in the order in which 4.9.4 writes them.
const KEYS: [&str; 11] = [
    "consumerGroup",
    "topic",
    "queueId",
    "queueOffset",
    "maxMsgNums",
    "sysFlag",
    "commitOffset",
    "suspendTimeoutMillis",
    "subscription",
    "subVersion",
    "expressionType",
];

/// What a consumer asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PullHeader<'a> {
    /// The consumer's group.
    pub consumer_group: &'a str,
    /// The topic.
    pub topic: &'a str,
    /// The queue.
    pub queue_id: i32,
    /// The first message wanted.
    pub queue_offset: i64,
    /// Messages wanted at most.
    pub max_msg_nums: i32,
    /// Bits of [`pull_flag`].
    pub sys_flag: i32,
    /// Progress to store if the flag says so.
    pub commit_offset: i64,
    /// How long to wait for messages, in milliseconds.
    pub suspend_timeout_ms: i64,
    /// The subscription's text if the flag says so.
    pub subscription: Option<&'a str>,
    /// The subscription's version.
    pub sub_version: i64,
    /// `TAG` or `SQL92`; absent and empty mean `TAG`.
    pub expression_type: Option<&'a str>,
}

impl<'a> PullHeader<'a> {
    /// Reads the header of a pull.
    ///
    /// # Errors
    /// A mandatory field is missing, or a number cannot be read.
    pub fn parse(command: &'a Command) -> Result<Self, FieldError> {
        let mut texts: [Option<&'a str>; 11] = [None; 11];
        for (key, value) in command.fields.iter().flat_map(ExtFields::iter) {
            if let Some(at) = KEYS.iter().position(|name| *name == key) {
                texts[at] = Some(value);
            }
        }
        let text = |at: usize| texts[at].ok_or(FieldError::Missing(KEYS[at]));
        let int = |at: usize| {
            FieldError::parse::<i32>(KEYS[at], texts[at])?.ok_or(FieldError::Missing(KEYS[at]))
        };
        let optional = |at: usize| FieldError::parse::<i64>(KEYS[at], texts[at]);
        Ok(Self {
            consumer_group: text(0)?,
            topic: text(1)?,
            queue_id: int(2)?,
            queue_offset: optional(3)?.ok_or(FieldError::Missing(KEYS[3]))?,
            max_msg_nums: int(4)?,
            sys_flag: int(5)?,
            // 4.9.4 looks at the next two only if the flags say so, at the version only without a subscription.
            commit_offset: optional(6)?.unwrap_or_default(),
            suspend_timeout_ms: optional(7)?.unwrap_or_default(),
            subscription: texts[8],
            sub_version: optional(9)?.unwrap_or_default(),
            expression_type: texts[10].filter(|text| !text.is_empty()),
        })
    }

    /// Whether a bit of [`pull_flag`] is set.
    #[must_use]
    pub fn has(&self, flag: i32) -> bool {
        self.sys_flag & flag != 0
    }

    /// A pull with this header.
    #[must_use]
    pub fn to_request(&self) -> Command {
        let mut command = Command::request(request::PULL_MESSAGE)
            .with_field(KEYS[0], self.consumer_group)
            .with_field(KEYS[1], self.topic)
            .with_field(KEYS[2], self.queue_id)
            .with_field(KEYS[3], self.queue_offset)
            .with_field(KEYS[4], self.max_msg_nums)
            .with_field(KEYS[5], self.sys_flag)
            .with_field(KEYS[6], self.commit_offset)
            .with_field(KEYS[7], self.suspend_timeout_ms);
        if let Some(subscription) = self.subscription {
            command = command.with_field(KEYS[8], subscription);
        }
        command = command.with_field(KEYS[9], self.sub_version);
        match self.expression_type {
            Some(kind) => command.with_field(KEYS[10], kind),
            None => command,
        }
    }
}

/// What every answer to a pull says, found or not (clients.md 3, rule 12).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PullResponse {
    /// Which broker of the group to pull from next.
    pub suggest_which_broker_id: i64,
    /// Where to go on.
    pub next_begin_offset: i64,
    /// The queue's first offset.
    pub min_offset: i64,
    /// The queue's end.
    pub max_offset: i64,
}

impl PullResponse {
    /// Adds the fields in the order in which 4.9.4's headers of that encoding have them.
    pub fn write(&self, answer: &mut Command, encoding: SerializeType) {
        answer.set_field("suggestWhichBrokerId", self.suggest_which_broker_id);
        answer.set_field("nextBeginOffset", self.next_begin_offset);
        let range = [("minOffset", self.min_offset), ("maxOffset", self.max_offset)];
        let [first, last] = match encoding {
            SerializeType::RocketMq => range,
            SerializeType::Json => [range[1], range[0]],
        };
        answer.set_field(first.0, first.1);
        answer.set_field(last.0, last.1);
    }

    /// Reads the fields of an answer.
    ///
    /// # Errors
    /// One is missing or cannot be read.
    pub fn parse(answer: &Command) -> Result<Self, FieldError> {
        Ok(Self {
            suggest_which_broker_id: answer.required_i64("suggestWhichBrokerId")?,
            next_begin_offset: answer.required_i64("nextBeginOffset")?,
            min_offset: answer.required_i64("minOffset")?,
            max_offset: answer.required_i64("maxOffset")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pulls_round_trip() {
        let header = PullHeader {
            consumer_group: "G",
            topic: "T",
            queue_id: 2,
            queue_offset: 1 << 40,
            max_msg_nums: 32,
            sys_flag: pull_flag::SUSPEND | pull_flag::SUBSCRIPTION,
            commit_offset: -1,
            suspend_timeout_ms: 15_000,
            subscription: Some("a || b"),
            sub_version: 1_650_000_000_000_123_456,
            expression_type: Some("SQL92"),
        };
        let request = header.to_request();
        assert_eq!(PullHeader::parse(&request), Ok(header));
        assert!(header.has(pull_flag::SUBSCRIPTION) && !header.has(pull_flag::COMMIT_OFFSET));
        let plain = PullHeader { subscription: None, expression_type: None, ..header };
        let mut request = plain.to_request();
        assert_eq!(PullHeader::parse(&request), Ok(plain));
        request.set_field("expressionType", "");
        assert_eq!(PullHeader::parse(&request), Ok(plain), "Go sends an empty type");
        let needed = ["consumerGroup", "topic", "queueId", "queueOffset", "maxMsgNums", "sysFlag"];
        let least = needed.map(|key| (key, plain.to_request().field(key).unwrap().to_owned()));
        let fewest = Command { fields: Some(least.into_iter().collect()), ..plain.to_request() };
        let nothing =
            PullHeader { commit_offset: 0, suspend_timeout_ms: 0, sub_version: 0, ..plain };
        assert_eq!(PullHeader::parse(&fewest), Ok(nothing), "4.9.4 needs no more");
        request.set_field("queueOffset", "");
        let error = PullHeader::parse(&request).unwrap_err();
        assert_eq!(error.to_string(), "the mandatory field `queueOffset` is missing");
    }

    #[test]
    fn answers_round_trip() {
        let response = PullResponse {
            suggest_which_broker_id: 1,
            next_begin_offset: 7,
            min_offset: 0,
            max_offset: 9,
        };
        for (encoding, order) in [
            (SerializeType::Json, [("maxOffset", "9"), ("minOffset", "0")]),
            (SerializeType::RocketMq, [("minOffset", "0"), ("maxOffset", "9")]),
        ] {
            let mut answer = Command::response(0);
            response.write(&mut answer, encoding);
            assert_eq!(PullResponse::parse(&answer), Ok(response));
            let keys: Vec<_> = answer.fields.iter().flat_map(ExtFields::iter).collect();
            assert_eq!(keys[..2], [("suggestWhichBrokerId", "1"), ("nextBeginOffset", "7")]);
            assert_eq!(keys[2..], order);
        }
    }
}
