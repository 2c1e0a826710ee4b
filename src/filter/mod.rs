//! Does a message match a subscription: the tag filter (contract 3.14).
//!
//! Not who subscribed (that is the broker's). Invariant: only hashes of tags are compared, as 4.9.4 does (B-176).

use crate::model::TopicName;

/// What a group wants of a topic (B-220).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    /// The topic.
    pub topic: TopicName,
    /// The expression as the client wrote it.
    pub expression: String,
    /// `TAG` or `SQL92`.
    pub expression_type: String,
    /// The tags of a `TAG` expression; none means all messages.
    pub tags: Vec<String>,
    /// Java's hashes of the tags.
    pub codes: Vec<i32>,
    /// Whether a filter class is meant.
    pub class_filter_mode: bool,
    /// The greater one is the newer one (`subVersion`).
    pub version: i64,
}
