//! Names of topics and groups, and the names that 4.9.4 reserves (B-050 to B-054).

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

/// Prefix of a group's retry topic.
pub const RETRY_PREFIX: &str = "%RETRY%";
/// Prefix of a group's dead-letter topic.
pub const DLQ_PREFIX: &str = "%DLQ%";
/// Prefix of a light queue's name, and of groups that read such (ST-110).
pub const LIGHT_PREFIX: &str = "%LMQ%";

/// The longest topic name, in UTF-16 units as Java counts them (B-054).
const TOPIC_LENGTH_MAX: usize = 127;

/// Characters of a peer's text that the log shows.
const SHOWN_MAX: usize = 200;

/// Topics and groups that 4.9.4 creates or reserves (B-050, B-052, B-071).
pub mod system {
    /// The template topic of auto-creation.
    pub const AUTO_CREATE_TOPIC: &str = "TBW102";
    /// Delayed messages wait here, one queue a level.
    pub const SCHEDULE_TOPIC: &str = "SCHEDULE_TOPIC_XXXX";
    /// Half messages of transactions.
    pub const HALF_TOPIC: &str = "RMQ_SYS_TRANS_HALF_TOPIC";
    /// Messages wait here for a time of their own; 5.x's name.
    pub const TIMER_TOPIC: &str = "rmq_sys_wheel_timer";
    /// Marks of finished half messages.
    pub const OP_HALF_TOPIC: &str = "RMQ_SYS_TRANS_OP_HALF_TOPIC";
    /// Half messages that were checked too often.
    pub const CHECK_MAX_TIME_TOPIC: &str = "TRANS_CHECK_MAX_TIME_TOPIC";
    /// Notes of pulls at offsets that do not exist (B-171).
    pub const OFFSET_MOVED_TOPIC: &str = "OFFSET_MOVED_EVENT";
    /// The brokers' self test.
    pub const SELF_TEST_TOPIC: &str = "SELF_TEST_TOPIC";
    /// The topic of Apache's benchmark programs.
    pub const BENCHMARK_TOPIC: &str = "BenchmarkTest";
    /// Message traces.
    pub const TRACE_TOPIC: &str = "RMQ_SYS_TRACE_TOPIC";
    /// 4.9.4's own topics, whatever the cluster is called (B-052).
    pub const TOPICS: [&str; 9] = [
        AUTO_CREATE_TOPIC,
        SCHEDULE_TOPIC,
        BENCHMARK_TOPIC,
        HALF_TOPIC,
        OP_HALF_TOPIC,
        CHECK_MAX_TIME_TOPIC,
        OFFSET_MOVED_TOPIC,
        SELF_TEST_TOPIC,
        TRACE_TOPIC,
    ];
    /// Where name servers keep which topics are ordered (N-031).
    pub const ORDER_NAMESPACE: &str = "ORDER_TOPIC_CONFIG";
    /// Every topic with this prefix is a system topic.
    pub const TOPIC_PREFIX: &str = "rmq_sys_";
    /// Groups with this prefix are created even where auto-creation is off (B-072).
    pub const GROUP_PREFIX: &str = "CID_RMQ_SYS_";
    /// The group whose positions tell how far half messages were looked at (B-260).
    pub const TRANSACTION_GROUP: &str = "CID_RMQ_SYS_TRANS";
    /// The group that admin tools consume as.
    pub const TOOLS_CONSUMER: &str = "TOOLS_CONSUMER";
    /// Groups present on every broker from the start (B-071).
    pub const GROUPS: [&str; 7] = [
        TOOLS_CONSUMER,
        "FILTERSRV_CONSUMER",
        "SELF_TEST_C_GROUP",
        "CID_ONS-HTTP-PROXY",
        "CID_ONSAPI_PULL",
        "CID_ONSAPI_PERMISSION",
        "CID_ONSAPI_OWNER",
    ];

    /// Whether a group reads for operators, so that its reads are nobody's consumption.
    pub fn reads_for_operators(group: &str) -> bool {
        group == TOOLS_CONSUMER || group.starts_with(GROUP_PREFIX)
    }

    /// Topics that clients must not send to (B-053).
    pub const NOT_FOR_SENDING: [&str; 7] = [
        TIMER_TOPIC,
        SCHEDULE_TOPIC,
        HALF_TOPIC,
        OP_HALF_TOPIC,
        CHECK_MAX_TIME_TOPIC,
        SELF_TEST_TOPIC,
        OFFSET_MOVED_TOPIC,
    ];
}

/// Why a topic's name was refused; the text is 4.9.4's (B-054).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Empty or white space only.
    #[error("The specified topic is blank.")]
    Blank,
    /// A character that 4.9.4 does not allow.
    #[error("The specified topic contains illegal characters, allowing only ^[%|a-zA-Z0-9_-]+$")]
    IllegalCharacters,
    /// More than 127 characters.
    #[error("The specified topic is longer than topic max length.")]
    TooLong,
}

/// The start of a text that a peer sent, for the log, which writes it as a string without line breaks.
#[must_use]
pub fn shown(text: &str) -> String {
    text.chars().take(SHOWN_MAX).collect()
}

/// Checks a topic's name in 4.9.4's order: blank, characters, length (B-054).
///
/// # Errors
/// The first rule that the name breaks.
pub fn validate_topic(name: &str) -> Result<(), NameError> {
    if name.trim().is_empty() {
        return Err(NameError::Blank);
    }
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '%' | '|' | '_' | '-');
    if !name.chars().all(allowed) {
        return Err(NameError::IllegalCharacters);
    }
    if name.len() > TOPIC_LENGTH_MAX {
        return Err(NameError::TooLong);
    }
    Ok(())
}

/// Java's `String.hashCode`: over UTF-16 units, wrapping (S-25).
#[must_use]
pub fn java_hash_code(text: &str) -> i32 {
    text.encode_utf16().fold(0i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)))
}

macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Takes the text as it is; sends and admin calls check it first.
            #[must_use]
            pub fn new(text: &str) -> Self {
                Self(Arc::from(text))
            }

            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&*self.0, f)
            }
        }
    };
}

name_type! {
    /// A topic's name, cheap to clone.
    TopicName
}
name_type! {
    /// A producer or consumer group's name, cheap to clone.
    GroupName
}

impl TopicName {
    /// `%RETRY%<group>`.
    #[must_use]
    pub fn retry_of(group: &str) -> Self {
        Self::new(&format!("{RETRY_PREFIX}{group}"))
    }

    /// `%DLQ%<group>`.
    #[must_use]
    pub fn dead_letter_of(group: &str) -> Self {
        Self::new(&format!("{DLQ_PREFIX}{group}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topic_names_are_checked_in_the_order_of_b054() {
        assert_eq!(validate_topic(""), Err(NameError::Blank));
        assert_eq!(validate_topic("  "), Err(NameError::Blank));
        assert_eq!(validate_topic("a b"), Err(NameError::IllegalCharacters));
        assert_eq!(validate_topic(&"x".repeat(128)), Err(NameError::TooLong));
        assert_eq!(validate_topic(&"x".repeat(127)), Ok(()));
        assert_eq!(validate_topic("%RETRY%g-1_|A"), Ok(()));
    }

    #[test]
    fn hash_is_javas() {
        assert_eq!(java_hash_code(""), 0);
        assert_eq!(java_hash_code("TagA"), 2_598_919);
        assert_eq!(java_hash_code("polygenelubricants"), i32::MIN);
    }
}
