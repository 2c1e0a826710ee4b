//! What an expression says about one message: yes, no, or that it cannot be known (B-292).
//!
//! Not how it was written (`parser`) nor how two values compare (`value`). Invariants: nothing is evaluated that
//! 4.9.4 would not evaluate, for it may be [`Incomparable`]; the parser builds no deep trees, so recursion is harmless.

use std::cmp::Ordering;

use super::value::{Incomparable, Value};

/// Something that is true, false or unknown.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Condition {
    /// `TRUE`, `FALSE`, and `NULL` that is unknown.
    Constant(Option<bool>),
    /// A property where a condition is wanted: its value is a text, and so never true.
    Property(usize),
    Not(Box<Condition>),
    All(Vec<Condition>),
    Any(Vec<Condition>),
    Equal(Operand, Operand),
    IsNull(Operand),
    Ordered(Operand, Comparison, Operand),
    Between {
        value: Operand,
        low: Operand,
        high: Operand,
    },
    NotBetween {
        value: Operand,
        low: Operand,
        high: Operand,
    },
    /// Whether a property has one of these values, which are sorted.
    OneOf {
        property: usize,
        texts: Vec<Box<str>>,
    },
}

/// Something that has a value, or none.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Operand {
    Property(usize),
    Text(Box<str>),
    /// Never a text.
    Number(Value<'static>),
    Negated(Box<Operand>),
    Condition(Box<Condition>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// `None`: unknown.
pub(super) type Truth = Result<Option<bool>, Incomparable>;

impl Comparison {
    fn holds(self, order: Ordering) -> bool {
        match self {
            Self::Less => order.is_lt(),
            Self::LessOrEqual => order.is_le(),
            Self::Greater => order.is_gt(),
            Self::GreaterOrEqual => order.is_ge(),
        }
    }
}

impl Condition {
    /// Whether it holds of a message with these values of the properties that the expression names.
    pub(super) fn evaluate(&self, properties: &[Option<&str>]) -> Truth {
        match self {
            Self::Constant(truth) => Ok(*truth),
            Self::Property(property) => Ok(properties[*property].map(|_| false)),
            Self::Not(inner) => Ok(inner.evaluate(properties)?.map(|truth| !truth)),
            Self::All(inner) => all(inner.iter().map(|one| one.evaluate(properties))),
            Self::Any(inner) => any(inner.iter().map(|one| one.evaluate(properties))),
            Self::Equal(left, right) => equal(left.value(properties)?, right.value(properties)?),
            Self::IsNull(operand) => Ok(Some(operand.value(properties)?.is_none())),
            Self::Ordered(left, comparison, right) => {
                ordered(left.value(properties)?, *comparison, right, properties)
            }
            Self::Between { value, low, high } => {
                let value = value.value(properties)?;
                let limits = [(Comparison::GreaterOrEqual, low), (Comparison::LessOrEqual, high)];
                all(limits.into_iter().map(|(is, limit)| ordered(value, is, limit, properties)))
            }
            Self::NotBetween { value, low, high } => {
                let value = value.value(properties)?;
                let limits = [(Comparison::Less, low), (Comparison::Greater, high)];
                any(limits.into_iter().map(|(is, limit)| ordered(value, is, limit, properties)))
            }
            Self::OneOf { property, texts } => Ok(properties[*property]
                .map(|value| texts.binary_search_by(|text| (**text).cmp(value)).is_ok())),
        }
    }
}

impl Operand {
    fn value<'a>(
        &'a self,
        properties: &[Option<&'a str>],
    ) -> Result<Option<Value<'a>>, Incomparable> {
        Ok(match self {
            Self::Property(property) => properties[*property].map(Value::Text),
            Self::Text(text) => Some(Value::Text(text)),
            Self::Number(number) => Some(*number),
            Self::Negated(operand) => operand.value(properties)?.and_then(Value::negated),
            Self::Condition(condition) => condition.evaluate(properties)?.map(Value::Boolean),
        })
    }
}

/// No if one says no, else unknown if one is unknown. What comes behind a no is not asked.
fn all(truths: impl Iterator<Item = Truth>) -> Truth {
    let mut all = Some(true);
    for truth in truths {
        match truth? {
            Some(true) => {}
            Some(false) => return Ok(Some(false)),
            None => all = None,
        }
    }
    Ok(all)
}

/// Yes if one says yes, else unknown if one is unknown. What comes behind a yes is not asked.
fn any(truths: impl Iterator<Item = Truth>) -> Truth {
    Ok(all(truths.map(|truth| Ok(truth?.map(|truth| !truth))))?.map(|truth| !truth))
}

/// Not SQL's: two that are missing are equal, and something is not equal to what is missing on the right.
fn equal(left: Option<Value<'_>>, right: Option<Value<'_>>) -> Truth {
    match (left, right) {
        (None, None) => Ok(Some(true)),
        (None, Some(_)) => Ok(None),
        (Some(_), None) => Ok(Some(false)),
        (Some(left), Some(right)) => Ok(Some(left.compare(right)?.is_eq())),
    }
}

fn ordered<'a>(
    left: Option<Value<'a>>,
    comparison: Comparison,
    right: &'a Operand,
    properties: &[Option<&'a str>],
) -> Truth {
    let Some(left) = left else { return Ok(None) };
    let Some(right) = right.value(properties)? else { return Ok(None) };
    Ok(Some(comparison.holds(left.compare_size(right)?)))
}
