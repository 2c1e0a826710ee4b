//! Sentences with their values apart, so that each is written once and can be said in other languages.
//!
//! Not the other languages (`crate::console`). Invariant: whatever words and values are, they make a text.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A sentence.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Sentence {
    /// In English: `{}` stands for the next value, `{word}` for one that is a word of ours, as `conflict`.
    pub words: String,
    /// In their order.
    pub values: Vec<String>,
}

impl Sentence {
    pub(super) fn of(words: &str, values: &[&dyn fmt::Display]) -> Self {
        let values = values.iter().map(ToString::to_string).collect();
        Self { words: words.to_owned(), values }
    }
}

/// In English.
impl fmt::Display for Sentence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&filled(&self.words, &self.values, |word| word))
    }
}

/// Words of a [`Sentence`], in whatever language, with the values in their places; `said` translates those that are words.
pub fn filled(words: &str, values: &[String], said: impl Fn(&str) -> &str) -> String {
    let (mut text, mut rest, mut values) = (String::new(), words, values.iter());
    while let Some((before, after)) = rest.split_once('{')
        && let Some((mark, after)) = after.split_once('}')
    {
        let value = values.next().map_or("", String::as_str);
        text.push_str(before);
        text.push_str(if mark.is_empty() { value } else { said(value) });
        rest = after;
    }
    text + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_stand_in_their_places_and_words_among_them_are_said() {
        let sentence = Sentence::of("{}: {word}{}", &[&"in {}", &"conflict", &7]);
        assert_eq!(sentence.to_string(), "in {}: conflict7");
        let said = filled("{}：{word}{}", &sentence.values, |word| {
            if word == "conflict" { "冲突" } else { "?" }
        });
        assert_eq!(said, "in {}：冲突7");
        for (words, text) in [("", ""), ("a {", "a {"), ("{} {} {} {}", "x   "), ("}{", "}{")] {
            assert_eq!(filled(words, &["x".to_owned()], |word| word), text);
        }
    }
}
