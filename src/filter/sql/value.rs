//! Values of an expression, and how 4.9.4 compares them (B-292).
//!
//! Not when they are compared (`evaluate`). Invariants: a text becomes a number by Java's rules and at no other
//! time than beside a number; what is compared has one order, as Java's has for doubles too.

use std::cmp::Ordering;

use super::NUMBER_BYTES_MAX;

/// What is compared. Where there is nothing, there is no value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Value<'a> {
    Boolean(bool),
    /// A whole number of 32 bits, as literals are when they fit.
    Integer(i32),
    /// A whole number of 64 bits.
    Long(i64),
    Double(f64),
    /// A text literal, and every property.
    Text(&'a str),
}

/// A comparison that 4.9.4 ends with an exception: the message does not match, whatever else the expression says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Incomparable;

impl Value<'_> {
    /// The order of two values for `=`. A text beside another kind becomes that kind; kinds that have nothing in
    /// common are not equal.
    pub(super) fn compare(self, other: Self) -> Result<Ordering, Incomparable> {
        use Value::{Boolean, Double, Integer, Long, Text};
        Ok(match (self, other) {
            (Boolean(left), Boolean(right)) => left.cmp(&right),
            (Text(left), Text(right)) => left.cmp(right),
            (Text(left), Boolean(right)) => left.eq_ignore_ascii_case("true").cmp(&right),
            // 4.9.4 takes the wrong one of the two for a text.
            (Boolean(_), Text(_)) => return Err(Incomparable),
            (Boolean(_), _) | (_, Boolean(_)) => Ordering::Less,
            (Text(left), Integer(right)) => whole::<i32>(left)?.cmp(&right),
            (Integer(left), Text(right)) => left.cmp(&whole(right)?),
            (Text(left), Long(right)) => whole::<i64>(left)?.cmp(&right),
            (Long(left), Text(right)) => left.cmp(&whole(right)?),
            (Text(left), Double(right)) => double_order(decimal(left)?, right),
            (Double(left), Text(right)) => double_order(left, decimal(right)?),
            (Integer(left), Integer(right)) => left.cmp(&right),
            (Integer(left), Long(right)) => i64::from(left).cmp(&right),
            (Long(left), Integer(right)) => left.cmp(&i64::from(right)),
            (Long(left), Long(right)) => left.cmp(&right),
            (Integer(left), Double(right)) => double_order(f64::from(left), right),
            (Double(left), Integer(right)) => double_order(left, f64::from(right)),
            // Java's `doubleValue` rounds too.
            (Long(left), Double(right)) => double_order(left as f64, right),
            (Double(left), Long(right)) => double_order(left, right as f64),
            (Double(left), Double(right)) => double_order(left, right),
        })
    }

    /// The order of two values for `<` and its like: two texts are compared as numbers.
    pub(super) fn compare_size(self, other: Self) -> Result<Ordering, Incomparable> {
        match (self, other) {
            (Value::Text(left), Value::Text(right)) => {
                Ok(double_order(decimal(left)?, decimal(right)?))
            }
            _ => self.compare(other),
        }
    }

    /// The value with a minus before it; only a number has one.
    pub(super) fn negated(self) -> Option<Self> {
        match self {
            Self::Integer(number) => Some(Self::Integer(number.wrapping_neg())),
            Self::Long(number) => Some(Self::Long(number.wrapping_neg())),
            Self::Double(number) => Some(Self::Double(-number)),
            Self::Boolean(_) | Self::Text(_) => None,
        }
    }
}

/// Java's `Double.compareTo`: minus zero is less than zero, NaN is greater than everything and equal to itself.
fn double_order(left: f64, right: f64) -> Ordering {
    match (left.is_nan(), right.is_nan()) {
        (false, false) => left.total_cmp(&right),
        (left, right) => left.cmp(&right),
    }
}

/// Java's `valueOf` of whole numbers: a sign, and digits that fit. Only ASCII digits, where Java takes any script's.
fn whole<T: std::str::FromStr>(text: &str) -> Result<T, Incomparable> {
    if text.len() > NUMBER_BYTES_MAX {
        return Err(Incomparable);
    }
    text.parse().map_err(|_| Incomparable)
}

/// Java's `Double.valueOf`: blanks around it, a sign, `NaN`, `Infinity`, or digits with a point and an exponent,
/// perhaps with the letter of a Java type behind them. Not its hexadecimal numbers.
fn decimal(text: &str) -> Result<f64, Incomparable> {
    let text = text.trim_matches(|c| c <= ' ');
    if text.len() > NUMBER_BYTES_MAX {
        return Err(Incomparable);
    }
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    if unsigned == "NaN" {
        return Ok(f64::NAN);
    }
    let number = match unsigned.strip_suffix(['d', 'D', 'f', 'F']) {
        Some(_) => &text[..text.len() - 1],
        None => text,
    };
    // Rust spells infinity in more ways, and would take an unsigned sign twice.
    let begins_right = unsigned.starts_with(|c: char| c == '.' || c.is_ascii_digit());
    if !begins_right && unsigned != "Infinity" {
        return Err(Incomparable);
    }
    number.parse().map_err(|_| Incomparable)
}
