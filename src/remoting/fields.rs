//! The named fields of a header.
//!
//! Not here: which fields a request has (`headers`). Invariants: all texts lie one after another in
//! one string, key before value; a later field of the same name wins, as in Java's map.

use std::fmt::{Display, Write as _};
use std::str::FromStr;

/// Fields a header may have at most; no 4.x command has more than about 25.
pub(super) const FIELDS_MAX: usize = 1024;
/// Fields for which memory is taken at once: a send has 13.
const FIELDS_USUAL: usize = 16;
/// Bytes of text for which memory is taken at once where nobody knows better: a send's answer has about 110.
pub(super) const TEXT_BYTES_USUAL: usize = 128;

/// Named fields of a header; order is kept.
#[derive(Clone, Default)]
pub struct ExtFields {
    text: String,
    entries: Vec<Entry>,
}

/// Where a field's key and value lie in the text.
#[derive(Clone, Copy)]
struct Entry {
    key_start: usize,
    value_start: usize,
    value_end: usize,
}

impl ExtFields {
    /// Memory for fields that take about `text_bytes` together.
    pub(super) fn with_capacity(text_bytes: usize) -> Self {
        Self { text: String::with_capacity(text_bytes), entries: Vec::with_capacity(FIELDS_USUAL) }
    }

    /// A field's text.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        // Lengths differ nearly always, and comparing them first spares the slice of the key.
        self.entries
            .iter()
            .rev()
            .find(|entry| {
                entry.value_start - entry.key_start == key.len() && self.key_of(entry) == key
            })
            .map(|entry| self.value_of(entry))
    }

    /// All fields in order; of two with one name the later one counts.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.entries.iter().map(|entry| (self.key_of(entry), self.value_of(entry)))
    }

    /// Number of fields.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Appends a field.
    pub fn push(&mut self, key: &str, value: impl Display) {
        let key_start = self.text.len();
        self.text.push_str(key);
        self.push_value(key_start, value);
    }

    /// Sets a field, in place of an older value if there is one.
    pub fn set(&mut self, key: &str, value: impl Display) {
        let Some(at) = self.entries.iter().rposition(|entry| self.key_of(entry) == key) else {
            return self.push(key, value);
        };
        self.push(key, value);
        self.entries.swap_remove(at);
    }

    /// Drops the fields whose names are not kept.
    pub fn retain(&mut self, keeps: impl Fn(&str) -> bool) {
        let text = &self.text;
        self.entries.retain(|entry| keeps(&text[entry.key_start..entry.value_start]));
    }

    /// Where the next key is to be written; see [`Self::finish`].
    pub(super) fn text_mut(&mut self) -> &mut String {
        &mut self.text
    }

    /// Notes a field whose key and value the caller has appended to the text.
    pub(super) fn finish(&mut self, key_start: usize, value_start: usize) {
        self.entries.push(Entry { key_start, value_start, value_end: self.text.len() });
    }

    fn push_value(&mut self, key_start: usize, value: impl Display) {
        let value_start = self.text.len();
        // Writing to a string fails only if `value` itself reports an error; what it wrote counts.
        let _ = write!(self.text, "{value}");
        self.finish(key_start, value_start);
    }

    fn key_of(&self, entry: &Entry) -> &str {
        &self.text[entry.key_start..entry.value_start]
    }

    fn value_of(&self, entry: &Entry) -> &str {
        &self.text[entry.value_start..entry.value_end]
    }
}

impl std::fmt::Debug for ExtFields {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl PartialEq for ExtFields {
    /// Same fields in the same order.
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl<K: AsRef<str>, V: Display> FromIterator<(K, V)> for ExtFields {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(pairs: I) -> Self {
        let mut fields = Self::default();
        for (key, value) in pairs {
            fields.push(key.as_ref(), value);
        }
        fields
    }
}

/// A field that a request must have and has not, or not in a form that can be read (S-09).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FieldError {
    /// The field is not there.
    #[error("the mandatory field `{0}` is missing")]
    Missing(&'static str),
    /// The field is there and is not what it must be.
    #[error("the field `{field}` is not {expected}: `{text}`")]
    Bad {
        /// Its name.
        field: &'static str,
        /// What it must be.
        expected: &'static str,
        /// The start of what it was.
        text: String,
    },
}

impl FieldError {
    /// Characters of a bad value that an error shows.
    pub(super) const SHOWN_MAX: usize = 40;

    /// Reads a number; an absent or empty text is `None`.
    pub(super) fn parse<T: FromStr + Number>(
        field: &'static str,
        text: Option<&str>,
    ) -> Result<Option<T>, Self> {
        match text {
            None | Some("") => Ok(None),
            Some(text) => text.trim().parse().map(Some).map_err(|_| Self::Bad {
                field,
                expected: T::EXPECTED,
                text: text.chars().take(Self::SHOWN_MAX).collect(),
            }),
        }
    }
}

/// How an error names a kind of number.
pub(super) trait Number {
    const EXPECTED: &'static str;
}

impl Number for i32 {
    const EXPECTED: &'static str = "a 32-bit integer";
}

impl Number for i64 {
    const EXPECTED: &'static str = "a 64-bit integer";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_field_of_the_same_name_wins() {
        let mut fields: ExtFields = [("a", 1), ("b", 2), ("a", 3)].into_iter().collect();
        assert_eq!(fields.get("a"), Some("3"));
        assert_eq!(fields.get("c"), None);
        fields.set("b", true);
        fields.set("c", "");
        assert_eq!((fields.get("b"), fields.get("c"), fields.len()), (Some("true"), Some(""), 4));
    }

    #[test]
    fn errors_name_the_field() {
        let error = FieldError::parse::<i32>("queueId", Some("x")).unwrap_err();
        assert_eq!(error.to_string(), "the field `queueId` is not a 32-bit integer: `x`");
        assert_eq!(FieldError::parse::<i32>("queueId", Some("")), Ok(None));
        assert_eq!(FieldError::parse::<i64>("queueId", Some("-7")), Ok(Some(-7)));
        assert!(FieldError::parse::<i32>("queueId", Some("2147483648")).is_err());
    }
}
