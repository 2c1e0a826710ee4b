//! Does a message match a subscription: by its tag's hash, or by SQL92 over its properties (contract 3.14).
//!
//! Not who subscribed (that is the broker's). Invariant: only hashes of tags are compared, as 4.9.4 does (B-176).

mod sql;

use std::collections::HashSet;

pub use self::sql::{Sql, SqlError};
use crate::model::{TopicName, java_hash_code};

/// The expression that wants every message (B-290).
const ALL: &str = "*";
/// The expression type that an absent one means.
pub const TAG: &str = "TAG";
/// The expression type of [`Sql`].
pub const SQL92: &str = "SQL92";
/// Between two tags of an expression.
const TAG_SEPARATOR: &str = "||";
/// Tags of one expression at most: every entry of a queue may be held against each of them.
pub const TAGS_MAX: usize = 1024;

/// What a group wants of a topic (B-220).
#[derive(Clone, Debug, PartialEq)]
pub struct Subscription {
    /// The topic.
    pub topic: TopicName,
    /// The expression as the client wrote it; `*` for none.
    pub expression: String,
    /// `TAG` or `SQL92`.
    pub expression_type: String,
    /// The tags of a `TAG` expression, each once.
    pub tags: Vec<String>,
    /// Java's hashes of the tags.
    pub codes: Vec<i32>,
    /// The expression as it is asked, if its type is `SQL92` and it is not broken.
    pub sql: Option<Sql>,
    /// Whether a filter class is meant.
    pub class_filter_mode: bool,
    /// The greater one is the newer one (`subVersion`).
    pub version: i64,
}

/// Why an expression is not a subscription (answer 23).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubscriptionError {
    /// Nothing but separators (B-290).
    #[error("subString split error")]
    NoTags,
    /// More tags than one expression may have.
    #[error("an expression has at most {TAGS_MAX} tags")]
    TooManyTags,
    /// An expression that is not of tags must say something.
    #[error("Expression can't be null!")]
    Empty,
    /// The SQL92 expression is broken.
    #[error(transparent)]
    Sql(#[from] SqlError),
}

impl Subscription {
    /// Reads an expression as 4.9.4 does (B-290); an absent or empty type means tags.
    ///
    /// # Errors
    /// [`SubscriptionError`]
    pub fn parse(
        topic: &str,
        expression: &str,
        expression_type: Option<&str>,
        version: i64,
    ) -> Result<Self, SubscriptionError> {
        let mut parsed = Self {
            topic: TopicName::new(topic),
            expression: expression.to_owned(),
            expression_type: expression_type.filter(|kind| !kind.is_empty()).unwrap_or(TAG).into(),
            tags: Vec::new(),
            codes: Vec::new(),
            sql: None,
            class_filter_mode: false,
            version,
        };
        if !parsed.is_tag_type() {
            if expression.is_empty() {
                return Err(SubscriptionError::Empty);
            }
            if parsed.is_sql_type() {
                parsed.sql = Some(Sql::parse(expression)?);
            }
            return Ok(parsed);
        }
        if expression.is_empty() {
            ALL.clone_into(&mut parsed.expression);
        }
        if parsed.expression != ALL {
            parsed.add_tags(expression)?;
        }
        Ok(parsed)
    }

    fn add_tags(&mut self, expression: &str) -> Result<(), SubscriptionError> {
        // Java's `split` drops empty texts at the end, and then finds nothing at all here.
        if expression.split(TAG_SEPARATOR).all(str::is_empty) {
            return Err(SubscriptionError::NoTags);
        }
        // An expression may repeat the last of many tags a million times.
        let mut known = HashSet::new();
        for tag in expression.split(TAG_SEPARATOR) {
            // Java's `trim`: everything up to the blank.
            let tag = tag.trim_matches(|c| c <= ' ');
            if tag.is_empty() || !known.insert(tag) {
                continue;
            }
            if self.tags.len() == TAGS_MAX {
                return Err(SubscriptionError::TooManyTags);
            }
            let code = java_hash_code(tag);
            if !self.codes.contains(&code) {
                self.codes.push(code);
            }
            self.tags.push(tag.to_owned());
        }
        Ok(())
    }

    /// Whether the expression is of tags, and not SQL92.
    #[must_use]
    pub fn is_tag_type(&self) -> bool {
        self.expression_type.is_empty() || self.expression_type == TAG
    }

    /// Whether the expression is of properties.
    #[must_use]
    pub fn is_sql_type(&self) -> bool {
        self.expression_type == SQL92
    }

    /// Whether a queue's entry with this tags code is wanted. Hashes are compared, so a message with another
    /// tag may be wanted too: clients look at the tag itself (S-25).
    #[must_use]
    pub fn matches_tags_code(&self, tags_code: i64) -> bool {
        if self.class_filter_mode || !self.is_tag_type() || self.expression == ALL {
            return true;
        }
        // Java's `intValue`: the lower half.
        let [_, _, _, _, b3, b2, b1, b0] = tags_code.to_be_bytes();
        self.codes.contains(&i32::from_be_bytes([b3, b2, b1, b0]))
    }

    /// Whether a message must be looked at, because its tags code does not tell all.
    #[must_use]
    pub fn needs_properties(&self) -> bool {
        self.sql.is_some() && !self.class_filter_mode
    }

    /// Whether a message with this properties text is wanted, as far as its properties tell.
    #[must_use]
    pub fn matches_properties(&self, properties: &str) -> bool {
        self.class_filter_mode || self.sql.as_ref().is_none_or(|sql| sql.matches(properties))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(expression: &str) -> Subscription {
        Subscription::parse("T", expression, Some("TAG"), 7).unwrap()
    }

    #[test]
    fn a_star_or_nothing_wants_everything() {
        for expression in ["*", ""] {
            let all = parse(expression);
            assert_eq!((all.expression.as_str(), all.tags.len(), all.version), ("*", 0, 7));
            assert!(all.matches_tags_code(0) && all.matches_tags_code(-5));
        }
        assert_eq!(Subscription::parse("T", "", None, 7), Ok(parse("*")));
        assert_eq!(Subscription::parse("T", "", Some(""), 7), Ok(parse("*")));
    }

    #[test]
    fn tags_are_split_trimmed_and_hashed_as_b290_says() {
        let some = parse(" TagA||b || ||\ta||b");
        assert_eq!(some.expression, " TagA||b || ||\ta||b");
        assert_eq!(some.tags, ["TagA", "b", "a"]);
        assert_eq!(some.codes, [2_598_919, 98, 97]);
        assert!(some.matches_tags_code(2_598_919) && some.matches_tags_code(97));
        assert!(!some.matches_tags_code(0) && !some.matches_tags_code(99));
    }

    #[test]
    fn only_the_lower_half_of_a_tags_code_counts() {
        let one = parse("polygenelubricants");
        assert_eq!(one.codes, [i32::MIN]);
        assert!(one.matches_tags_code(i64::from(i32::MIN)));
        assert!(one.matches_tags_code(0x8000_0000));
        assert!(!one.matches_tags_code(0));
    }

    #[test]
    fn an_expression_without_a_tag_wants_nothing_or_is_refused() {
        assert!(!parse("  ").matches_tags_code(0), "one blank tag is no tag");
        let refused = Subscription::parse("T", "||||", None, 0).unwrap_err();
        assert_eq!(refused.to_string(), "subString split error");
        let many: Vec<String> = (0..1_100).map(|n| n.to_string()).collect();
        let refused = Subscription::parse("T", &many.join("||"), None, 0);
        assert_eq!(refused, Err(SubscriptionError::TooManyTags));
        assert_eq!(parse(&"a||".repeat(2_000)).tags, ["a"]);
        let most: Vec<String> = (0..TAGS_MAX).rev().map(|n| n.to_string()).collect();
        let repeated = parse(&(most.join("||") + &"||0".repeat(100_000)));
        assert_eq!(repeated.tags, most, "in their order, each once");
    }

    #[test]
    fn sql_asks_the_properties_and_other_types_are_only_kept() {
        let sql = Subscription::parse("T", "a > 1", Some("SQL92"), 0).unwrap();
        assert!(!sql.is_tag_type() && sql.tags.is_empty());
        assert!(sql.matches_tags_code(5) && sql.needs_properties());
        assert!(sql.matches_properties("a\u{1}2") && !sql.matches_properties("a\u{1}1"));
        let class = Subscription { class_filter_mode: true, ..sql };
        assert!(!class.needs_properties() && class.matches_properties(""));
        let broken = Subscription::parse("T", "a >", Some("SQL92"), 0).unwrap_err();
        assert!(matches!(broken, SubscriptionError::Sql(SqlError { character: 4, .. })));
        let other = Subscription::parse("T", "a >", Some("CLASS"), 0).unwrap();
        assert!(!other.is_sql_type() && !other.needs_properties());
        assert_eq!(Subscription::parse("T", "", Some("SQL92"), 0), Err(SubscriptionError::Empty));
    }
}
