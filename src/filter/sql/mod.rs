//! SQL92 expressions over the properties of a message (contract 3.14): read once, evaluated for each message.
//!
//! The grammar and its oddities are 4.9.4's (B-291, B-292), so that a filter lets the same messages through on either;
//! only what is broken is refused as a whole (S-23). Not which subscription an expression is of. Invariants: reading
//! and evaluating take bounded time, memory and stack, whatever a client or a message says.

mod evaluate;
mod lexer;
mod parser;
mod value;

use std::collections::BTreeSet;

use self::evaluate::{Condition, Truth};
use crate::message::properties;

/// The longest expression, in bytes.
const EXPRESSION_BYTES_MAX: usize = 32 << 10;
/// Parentheses and signs within each other.
const DEPTH_MAX: usize = 50;
/// Comparisons, `AND`s, `OR`s, `NOT`s and minuses; entries of `IN` lists do not count.
const TERMS_MAX: usize = 1024;
/// Longer texts are no numbers, whatever they say: a message must not cost without bound.
const NUMBER_BYTES_MAX: usize = 512;

/// So many properties have their values on the stack.
const FEW_NAMES: usize = 8;

/// An expression that can be asked.
#[derive(Clone, Debug, PartialEq)]
pub struct Sql {
    condition: Condition,
    /// The properties that it names, in order, and where the evaluator looks for their values.
    names: Vec<(Box<str>, usize)>,
    /// Which lengths these names have, in order.
    lengths: Vec<usize>,
}

/// Why an expression cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("SQL92, character {character}: {what}")]
pub struct SqlError {
    /// Where, counted from 1.
    pub character: usize,
    /// What is wrong there.
    pub what: String,
}

impl SqlError {
    /// At a byte of an expression.
    fn at(expression: &str, byte: usize, what: impl Into<String>) -> Self {
        let before = expression.get(..byte).unwrap_or(expression);
        Self { character: before.chars().count() + 1, what: what.into() }
    }
}

impl Sql {
    /// Reads an expression.
    ///
    /// # Errors
    /// It is not of the grammar, or exceeds a limit.
    pub fn parse(expression: &str) -> Result<Self, SqlError> {
        if expression.len() > EXPRESSION_BYTES_MAX {
            let what = format!("the expression has more than {EXPRESSION_BYTES_MAX} bytes");
            return Err(SqlError::at("", 0, what));
        }
        let (condition, names) = parser::parse(expression)?;
        let lengths: BTreeSet<usize> = names.keys().map(|name| name.len()).collect();
        let lengths = lengths.into_iter().collect();
        Ok(Self { condition, names: names.into_iter().collect(), lengths })
    }

    /// Whether a message with this properties text is wanted.
    #[must_use]
    pub fn matches(&self, properties: &str) -> bool {
        self.evaluate(properties) == Ok(Some(true))
    }

    fn evaluate(&self, properties: &str) -> Truth {
        let mut few = [None; FEW_NAMES];
        let mut many = Vec::new();
        let values = match few.get_mut(..self.names.len()) {
            Some(values) => values,
            None => {
                many.resize(self.names.len(), None);
                &mut many
            }
        };
        for entry in properties::entries(properties) {
            let Some((name, value)) = self.named(entry) else { continue };
            if let Ok(at) = self.names.binary_search_by(|(known, _)| (**known).cmp(name)) {
                // The last one of a name counts.
                values[self.names[at].1] = Some(value);
            }
        }
        self.condition.evaluate(values)
    }

    /// An entry's name and value, if the expression may name it: most names have another length.
    fn named<'a>(&self, entry: &'a str) -> Option<(&'a str, &'a str)> {
        let bytes = entry.as_bytes();
        let mut lengths = self.lengths.iter().take_while(|length| **length < bytes.len());
        let length =
            lengths.find(|length| bytes[**length] == properties::KEY_VALUE_SEPARATOR as u8)?;
        let (name, value) = (&entry[..*length], &entry[length + 1..]);
        (!value.is_empty()).then_some((name, value))
    }
}

#[cfg(test)]
mod tests;
