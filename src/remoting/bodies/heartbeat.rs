//! Heartbeats (34): what a client says it produces and consumes (B-220, B-221).
//!
//! Not who is connected (that is the broker's). Invariants: everything a 4.x client of any language leaves out has a
//! default, except names; enums are read by name or by ordinal, as fastjson does; a body without an object in it is
//! an error.

use bytes::Bytes;

use crate::remoting::DecodeError;
use crate::remoting::json::{self, Form, Value};

/// What a client says about itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Heartbeat {
    /// Its id, as it chose it.
    pub client_id: String,
    /// The groups it sends for.
    pub producers: Vec<String>,
    /// The groups it consumes for.
    pub consumers: Vec<ConsumerData>,
}

/// A group that a client consumes for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConsumerData {
    /// The group.
    pub group: String,
    /// How it consumes.
    pub mode: ConsumeMode,
    /// What it wants.
    pub subscriptions: Vec<SubscriptionData>,
    /// Whether its topics are unit topics.
    pub unit_mode: bool,
}

/// How a group consumes: what the last heartbeat of any member said (B-227).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConsumeMode {
    /// Pull or push.
    pub consume_type: ConsumeType,
    /// Shared among the members, or everything for each.
    pub message_model: MessageModel,
    /// Where a group without positions begins.
    pub consume_from_where: ConsumeFromWhere,
}

impl ConsumeMode {
    /// Reads it from the object that has it; what is missing has its default.
    pub(super) fn read(value: &Value<'_>) -> Self {
        Self {
            consume_type: ConsumeType::parse(value.get("consumeType")),
            message_model: MessageModel::parse(value.get("messageModel")),
            consume_from_where: ConsumeFromWhere::parse(value.get("consumeFromWhere")),
        }
    }
}

/// What a group wants of a topic.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SubscriptionData {
    /// The topic.
    pub topic: String,
    /// The expression (`subString`).
    pub expression: String,
    /// `TAG` or `SQL92`.
    pub expression_type: String,
    /// The tags of a `TAG` expression.
    pub tags: Vec<String>,
    /// Their hashes.
    pub codes: Vec<i32>,
    /// Whether a filter class is meant.
    pub class_filter_mode: bool,
    /// The greater one is the newer one (`subVersion`).
    pub version: i64,
}

/// Declares an enum of Java's with its names in the order of their ordinals.
macro_rules! java_enum {
    ($(#[$doc:meta])* $name:ident { $($(#[$attribute:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub enum $name {
            $($(#[$attribute])* #[doc = concat!("`", $text, "`")] $variant,)*
        }

        impl $name {
            const ALL: &[Self] = &[$(Self::$variant),*];
            const NAMES: &[&str] = &[$($text),*];

            /// The name as Java's enum spells it.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                }
            }

            /// By name or ordinal; the default if it is neither.
            fn parse(value: &Value<'_>) -> Self {
                let ordinal = value.as_enum(Self::NAMES);
                ordinal.and_then(|ordinal| Self::ALL.get(ordinal)).copied().unwrap_or_default()
            }
        }
    };
}

java_enum! {
    /// Who decides when messages are fetched (B-221).
    ConsumeType {
        Actively = "CONSUME_ACTIVELY",
        #[default]
        Passively = "CONSUME_PASSIVELY",
    }
}

java_enum! {
    /// Who of a group gets a message (B-221).
    MessageModel {
        Broadcasting = "BROADCASTING",
        #[default]
        Clustering = "CLUSTERING",
    }
}

java_enum! {
    /// Where a group without positions begins (B-221).
    ConsumeFromWhere {
        #[default]
        LastOffset = "CONSUME_FROM_LAST_OFFSET",
        LastOffsetAndFromMinWhenBootFirst = "CONSUME_FROM_LAST_OFFSET_AND_FROM_MIN_WHEN_BOOT_FIRST",
        MinOffset = "CONSUME_FROM_MIN_OFFSET",
        MaxOffset = "CONSUME_FROM_MAX_OFFSET",
        FirstOffset = "CONSUME_FROM_FIRST_OFFSET",
        Timestamp = "CONSUME_FROM_TIMESTAMP",
    }
}

impl Heartbeat {
    /// Reads the body of 34.
    ///
    /// # Errors
    /// It is no object, or it, a group or a topic has no name.
    pub fn parse(body: &[u8]) -> Result<Self, DecodeError> {
        let value = json::parse_bounded(body, json::REQUEST_VALUES_MAX)?;
        value.expect_object("the heartbeat")?;
        let producers = value.get("producerDataSet").items().iter();
        let consumers = value.get("consumerDataSet").items().iter();
        Ok(Self {
            client_id: name(&value, "clientID")?,
            producers: producers.map(|data| name(data, "groupName")).collect::<Result<_, _>>()?,
            consumers: consumers.map(ConsumerData::read).collect::<Result<_, _>>()?,
        })
    }
}

impl Heartbeat {
    /// The body, as a client sends it.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        let named = |name: &'static str, text| Value::object([(name, Value::from(text))]);
        let producers = self.producers.iter().map(|group| named("groupName", group.as_str()));
        Value::object([
            ("clientID", self.client_id.as_str().into()),
            ("consumerDataSet", Value::array(self.consumers.iter().map(ConsumerData::to_value))),
            ("producerDataSet", Value::array(producers)),
        ])
        .to_bytes(Form::Dialect)
    }
}

impl ConsumerData {
    fn to_value(&self) -> Value<'_> {
        let subscriptions = self.subscriptions.iter().map(SubscriptionData::to_value);
        Value::object([
            ("consumeFromWhere", self.mode.consume_from_where.as_str().into()),
            ("consumeType", self.mode.consume_type.as_str().into()),
            ("groupName", self.group.as_str().into()),
            ("messageModel", self.mode.message_model.as_str().into()),
            ("subscriptionDataSet", Value::array(subscriptions)),
            ("unitMode", self.unit_mode.into()),
        ])
    }

    fn read(value: &Value<'_>) -> Result<Self, DecodeError> {
        let subscriptions = value.get("subscriptionDataSet").items().iter();
        Ok(Self {
            group: name(value, "groupName")?,
            mode: ConsumeMode::read(value),
            subscriptions: subscriptions.map(SubscriptionData::read).collect::<Result<_, _>>()?,
            unit_mode: value.bool_or("unitMode", false),
        })
    }
}

impl SubscriptionData {
    /// The expression type that is meant where there is none.
    pub const TAG: &str = "TAG";

    /// Reads the body of 46: what a client is about to subscribe to (B-233); `None` if it says nothing of that.
    ///
    /// # Errors
    /// It is no object, or the subscription has no topic.
    pub fn parse_check(body: &[u8]) -> Result<Option<Self>, DecodeError> {
        let value = json::parse_bounded(body, json::REQUEST_VALUES_MAX)?;
        value.expect_object("the check")?;
        match value.get("subscriptionData") {
            Value::Null => Ok(None),
            data => Self::read(data).map(Some),
        }
    }

    fn to_value(&self) -> Value<'_> {
        Value::object([
            ("classFilterMode", self.class_filter_mode.into()),
            ("codeSet", Value::array(self.codes.iter().copied())),
            ("expressionType", self.expression_type.as_str().into()),
            ("subString", self.expression.as_str().into()),
            ("subVersion", self.version.into()),
            ("tagsSet", Value::array(self.tags.iter().map(String::as_str))),
            ("topic", self.topic.as_str().into()),
        ])
    }

    fn read(value: &Value<'_>) -> Result<Self, DecodeError> {
        let expression_type = value.text("expressionType").filter(|text| !text.is_empty());
        let codes = value.get("codeSet").items().iter();
        Ok(Self {
            topic: name(value, "topic")?,
            expression: value.text("subString").unwrap_or_default().to_owned(),
            expression_type: expression_type.unwrap_or(Self::TAG).to_owned(),
            tags: value.texts("tagsSet"),
            codes: codes.map(code).collect::<Result<_, _>>()?,
            class_filter_mode: value.bool_or("classFilterMode", false),
            version: value.number_or("subVersion", 0)?,
        })
    }
}

fn code(value: &Value<'_>) -> Result<i32, DecodeError> {
    let code = value.as_i64().and_then(|code| i32::try_from(code).ok());
    code.ok_or_else(|| DecodeError("JSON: an item of `codeSet` is no 32-bit number".to_owned()))
}

fn name(value: &Value<'_>, key: &str) -> Result<String, DecodeError> {
    let text = value.text(key).filter(|text| !text.is_empty());
    text.map(str::to_owned).ok_or_else(|| DecodeError(format!("JSON: `{key}` is missing")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_java_heartbeat_is_read_whole_b220() {
        let body = r#"{"clientID":"10.0.0.1@7#1","consumerDataSet":[{"consumeFromWhere":"CONSUME_FROM_TIMESTAMP","consumeType":"CONSUME_ACTIVELY","groupName":"G","messageModel":"BROADCASTING","subscriptionDataSet":[{"classFilterMode":false,"codeSet":[97,98],"expressionType":"TAG","subString":"a||b","subVersion":1650000000000,"tagsSet":["a","b"],"topic":"T"}],"unitMode":true}],"producerDataSet":[{"groupName":"PG"}]}"#;
        let subscription = SubscriptionData {
            topic: "T".into(),
            expression: "a||b".into(),
            expression_type: "TAG".into(),
            tags: vec!["a".into(), "b".into()],
            codes: vec![97, 98],
            class_filter_mode: false,
            version: 1_650_000_000_000,
        };
        let consumer = ConsumerData {
            group: "G".into(),
            mode: ConsumeMode {
                consume_type: ConsumeType::Actively,
                message_model: MessageModel::Broadcasting,
                consume_from_where: ConsumeFromWhere::Timestamp,
            },
            subscriptions: vec![subscription],
            unit_mode: true,
        };
        let expected = Heartbeat {
            client_id: "10.0.0.1@7#1".into(),
            producers: vec!["PG".into()],
            consumers: vec![consumer],
        };
        assert_eq!(expected.to_bytes(), body.as_bytes(), "and written as Java does");
        assert_eq!(Heartbeat::parse(body.as_bytes()), Ok(expected));
    }

    #[test]
    fn what_other_clients_leave_out_or_write_otherwise_is_read() {
        // C++: ordinals, a text for a long, no sets; Go: codes as texts, null for no subscriptions; no producers.
        let body = r#"{"clientID":"c","consumerDataSet":[{"consumeFromWhere":0,"consumeType":1,"groupName":"cpp","messageModel":1,"subscriptionDataSet":[{"subString":"*","subVersion":"1650000000000","topic":"T"}]},{"groupName":"go","subscriptionDataSet":null,"consumeType":0},{"groupName":"go2","subscriptionDataSet":[{"codeSet":["97","-5"],"expressionType":"","topic":"T","x":1}]}]}"#;
        let heartbeat = Heartbeat::parse(body.as_bytes()).unwrap();
        assert!(heartbeat.producers.is_empty());
        let [cpp, go, go2] = &heartbeat.consumers[..] else { panic!("{heartbeat:?}") };
        assert_eq!(cpp.mode, ConsumeMode::default());
        assert_eq!(cpp.subscriptions[0].version, 1_650_000_000_000);
        assert_eq!(cpp.subscriptions[0].expression_type, "TAG");
        assert!(go.subscriptions.is_empty());
        assert_eq!(go.mode.consume_type, ConsumeType::Actively);
        assert_eq!(go2.subscriptions[0].codes, [97, -5]);
        assert_eq!(go2.subscriptions[0].expression_type, "TAG");
    }

    #[test]
    fn bodies_without_a_client_or_a_group_are_refused() {
        for body in [
            "",
            "null",
            "[]",
            r#"{"bad":1}"#,
            r#"{"clientID":null}"#,
            r#"{"clientID":"c","producerDataSet":[{}]}"#,
            r#"{"clientID":"c","consumerDataSet":[7]}"#,
            r#"{"clientID":"c","consumerDataSet":[{"groupName":"G","subscriptionDataSet":[{}]}]}"#,
            r#"{"clientID":"c","consumerDataSet":[{"groupName":"G","subscriptionDataSet":[{"topic":"T","codeSet":[9999999999]}]}]}"#,
        ] {
            assert!(Heartbeat::parse(body.as_bytes()).is_err(), "{body}");
        }
        assert!(Heartbeat::parse(br#"{"clientID":"c"}"#).is_ok());
    }

    #[test]
    fn names_and_ordinals_of_enums_agree_with_java_b221() {
        assert_eq!(MessageModel::parse(&0i32.into()), MessageModel::Broadcasting);
        assert_eq!(ConsumeFromWhere::parse(&"4".into()), ConsumeFromWhere::FirstOffset);
        assert_eq!(ConsumeFromWhere::parse(&9i32.into()), ConsumeFromWhere::LastOffset);
        assert_eq!(ConsumeType::parse(&"CONSUME_ACTIVELY".into()).as_str(), "CONSUME_ACTIVELY");
    }
}
