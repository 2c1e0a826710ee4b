//! The send header in its long (10, 324) and short form (310, 320, 325), and the answer's fields.

use crate::remoting::command::{Command, is_true};
use crate::remoting::fields::{ExtFields, FieldError};
use crate::remoting::request;

/// Keys of the long form in the order of the short form's letters `a` to `m`.
const LONG: [&str; 13] = [
    "producerGroup",
    "topic",
    "defaultTopic",
    "defaultTopicQueueNums",
    "queueId",
    "sysFlag",
    "bornTimestamp",
    "flag",
    "properties",
    "reconsumeTimes",
    "unitMode",
    // The long form's class declares the next two the other way round; the letters follow this order.
    "maxReconsumeTimes",
    "batch",
];

/// The same as errors name them for the short form.
const SHORT: [&str; 13] = [
    "a (producerGroup)",
    "b (topic)",
    "c (defaultTopic)",
    "d (defaultTopicQueueNums)",
    "e (queueId)",
    "f (sysFlag)",
    "g (bornTimestamp)",
    "h (flag)",
    "i (properties)",
    "j (reconsumeTimes)",
    "k (unitMode)",
    "l (maxReconsumeTimes)",
    "m (batch)",
];

/// What a producer says about a message (contract 3.6).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SendHeader<'a> {
    /// The producer's group.
    pub producer_group: &'a str,
    /// Where the message goes.
    pub topic: &'a str,
    /// The template if the topic must be created (B-055).
    pub default_topic: &'a str,
    /// Queues of a created topic, at most.
    pub default_topic_queue_nums: i32,
    /// The queue; negative leaves the choice to the broker (B-105).
    pub queue_id: i32,
    /// The message's system flag.
    pub sys_flag: i32,
    /// When the message was made, in milliseconds since 1970.
    pub born_timestamp: i64,
    /// The application's flag.
    pub flag: i32,
    /// The property block; empty when absent.
    pub properties: &'a str,
    /// Deliveries so far.
    pub reconsume_times: i32,
    /// Whether the producer is in unit mode.
    pub unit_mode: bool,
    /// Deliveries before the dead-letter topic; `None` leaves it to the group (B-106).
    pub max_reconsume_times: Option<i32>,
    /// Whether the body holds a batch.
    pub batch: bool,
}

/// Whether a code's send header has one-letter keys.
fn is_short(code: i32) -> bool {
    matches!(
        code,
        request::SEND_MESSAGE_V2 | request::SEND_BATCH_MESSAGE | request::SEND_REPLY_MESSAGE_V2
    )
}

impl<'a> SendHeader<'a> {
    /// Reads the header of any request of the send family; the code tells the form.
    ///
    /// # Errors
    /// A mandatory field is missing, or a number cannot be read.
    pub fn parse(command: &'a Command) -> Result<Self, FieldError> {
        let short = is_short(command.code);
        let mut texts: [Option<&'a str>; 13] = [None; 13];
        // One pass over the fields: thirteen searches cost more than everything else in here.
        for (key, value) in command.fields.iter().flat_map(ExtFields::iter) {
            let at = match key.as_bytes() {
                [letter @ b'a'..=b'm'] if short => usize::from(letter - b'a'),
                _ if short => continue,
                _ => match LONG.iter().position(|name| *name == key) {
                    Some(at) => at,
                    None => continue,
                },
            };
            texts[at] = Some(value);
        }
        let names = if short { &SHORT } else { &LONG };
        let text = |at: usize| texts[at].ok_or(FieldError::Missing(names[at]));
        let optional = |at: usize| FieldError::parse::<i32>(names[at], texts[at]);
        let number = |at: usize| optional(at)?.ok_or(FieldError::Missing(names[at]));
        let flag = |at: usize| texts[at].is_some_and(is_true);
        Ok(Self {
            // 4.9.4 needs the group for nothing that is stored, and the template only for topics it does not know.
            producer_group: texts[0].unwrap_or_default(),
            topic: text(1)?,
            default_topic: texts[2].unwrap_or_default(),
            default_topic_queue_nums: number(3)?,
            queue_id: number(4)?,
            sys_flag: number(5)?,
            born_timestamp: FieldError::parse(names[6], texts[6])?
                .ok_or(FieldError::Missing(names[6]))?,
            flag: number(7)?,
            properties: texts[8].unwrap_or_default(),
            reconsume_times: optional(9)?.unwrap_or_default(),
            unit_mode: flag(10),
            max_reconsume_times: optional(11)?,
            batch: flag(12),
        })
    }

    /// A request of the send family with this header, in the form of its code.
    #[must_use]
    pub fn to_request(&self, code: i32) -> Command {
        let short = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m"];
        let keys = if is_short(code) { &short } else { &LONG };
        let command = Command::request(code)
            .with_field(keys[0], self.producer_group)
            .with_field(keys[1], self.topic)
            .with_field(keys[2], self.default_topic)
            .with_field(keys[3], self.default_topic_queue_nums)
            .with_field(keys[4], self.queue_id)
            .with_field(keys[5], self.sys_flag)
            .with_field(keys[6], self.born_timestamp)
            .with_field(keys[7], self.flag)
            .with_field(keys[8], self.properties)
            .with_field(keys[9], self.reconsume_times)
            .with_field(keys[10], self.unit_mode);
        let command = match self.max_reconsume_times {
            Some(times) => command.with_field(keys[11], times),
            None => command,
        };
        command.with_field(keys[12], self.batch)
    }
}

/// What an answer to a send says beside its code.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SendResponse {
    /// The offset id (ST-020 ff.), of a batch one after another with commas.
    pub msg_id: String,
    /// The queue it went to.
    pub queue_id: i32,
    /// Its offset there; of a batch that of the first.
    pub queue_offset: i64,
}

impl SendResponse {
    /// Adds the fields in the order of V-08; the caller adds `TRACE_ON` and `MSG_REGION` after them.
    pub fn write(&self, answer: &mut Command) {
        answer.set_field("msgId", &self.msg_id);
        answer.set_field("queueId", self.queue_id);
        answer.set_field("queueOffset", self.queue_offset);
    }

    /// Reads the fields of an answer.
    ///
    /// # Errors
    /// One is missing or cannot be read.
    pub fn parse(answer: &Command) -> Result<Self, FieldError> {
        Ok(Self {
            msg_id: answer.required_str("msgId")?.to_owned(),
            queue_id: answer.required_i32("queueId")?,
            queue_offset: answer.required_i64("queueOffset")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: SendHeader<'static> = SendHeader {
        producer_group: "P",
        topic: "T",
        default_topic: "TBW102",
        default_topic_queue_nums: 4,
        queue_id: -1,
        sys_flag: 1,
        born_timestamp: 1_650_000_000_000,
        flag: 3,
        properties: "TAGS\u{1}a",
        reconsume_times: 2,
        unit_mode: true,
        max_reconsume_times: Some(16),
        batch: false,
    };

    #[test]
    fn both_forms_carry_the_same() {
        for code in [10, 310, 320, 324, 325] {
            let request = HEADER.to_request(code);
            assert_eq!(SendHeader::parse(&request), Ok(HEADER), "code {code}");
            let short = matches!(code, 310 | 320 | 325);
            assert_eq!(request.field(if short { "l" } else { "maxReconsumeTimes" }), Some("16"));
            assert_eq!(request.field(if short { "m" } else { "batch" }), Some("false"));
        }
    }

    #[test]
    fn optional_fields_may_be_missing() {
        let mut request = Command::request(310);
        for (key, value) in [("b", "T"), ("d", "4"), ("e", "0"), ("f", "0"), ("h", "0")] {
            request.set_field(key, value);
        }
        let error = SendHeader::parse(&request).unwrap_err();
        assert_eq!(error.to_string(), "the mandatory field `g (bornTimestamp)` is missing");
        request.set_field("g", 5);
        request.set_field("topic", "not this one");
        let header = SendHeader::parse(&request).unwrap();
        assert_eq!((header.topic, header.properties, header.max_reconsume_times), ("T", "", None));
        assert_eq!((header.producer_group, header.default_topic), ("", ""), "4.9.4 takes that");
        request.set_field("e", "x");
        assert!(SendHeader::parse(&request).unwrap_err().to_string().contains("e (queueId)"));
    }

    #[test]
    fn answers_carry_id_queue_and_offset() {
        let response = SendResponse { msg_id: "7F".into(), queue_id: 3, queue_offset: 1 << 40 };
        let mut answer = Command::response(0);
        response.write(&mut answer);
        assert_eq!(SendResponse::parse(&answer), Ok(response));
    }
}
