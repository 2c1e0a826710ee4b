//! The languages of pages. A text is written in English where it is shown, and looked up here.
//!
//! The Chinese texts are in `text_zh`, those of alerts too, whose words are the facade's (`crate::admin::alerts`). Invariant:
//! every text that is shown has its row there, and every row is shown (a test reads the sources).

use super::text_zh::{TEXTS, WORDS};

/// A language.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// `en`
    English,
    /// `zh`
    Chinese,
}

impl Language {
    /// The language of that code.
    pub fn named(code: &str) -> Option<Self> {
        match code {
            "en" => Some(Self::English),
            "zh" => Some(Self::Chinese),
            _ => None,
        }
    }

    /// The first of an `Accept-Language` that there is; browsers write the most wanted first.
    pub fn accepted(header: &str) -> Self {
        let codes = header.split(',').map(|one| one.trim().get(..2).unwrap_or_default());
        codes.filter_map(Self::named).next().unwrap_or(Self::English)
    }

    /// For `lang` of a page.
    pub fn code(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::Chinese => "zh",
        }
    }
}

/// A text in a language; as it is if there is none.
pub fn translated(language: Language, text: &str) -> &str {
    match language {
        Language::English => text,
        Language::Chinese => {
            let found = TEXTS.iter().chain(WORDS).find(|(english, _)| *english == text);
            found.map_or(text, |(_, chinese)| chinese)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    use super::*;
    use crate::admin::alerts::Rule;

    #[test]
    fn browsers_get_a_language_they_want() {
        assert_eq!(Language::accepted("zh-CN,zh;q=0.9,en;q=0.8"), Language::Chinese);
        assert_eq!(Language::accepted("de,en-US;q=0.7,zh;q=0.1"), Language::English);
        assert_eq!(Language::accepted("é"), Language::English);
    }

    /// The texts in the sources: what stands in quotes behind `.t(`, `.t1(`, `.invalid(` and `Refusal::Invalid(`; what alerts
    /// say, and what to do.
    fn shown() -> BTreeSet<String> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/console");
        let mut shown = BTreeSet::new();
        for folder in [folder.join("pages"), folder] {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if !path.is_file() || path.ends_with("text.rs") {
                    continue;
                }
                let source = fs::read_to_string(&path).unwrap();
                for mark in [".t(\"", ".t1(\"", ".invalid(\"", "Refusal::Invalid(\""] {
                    for (at, _) in source.match_indices(mark) {
                        let rest = &source[at + mark.len()..];
                        shown.insert(rest[..rest.find('"').unwrap()].to_owned());
                    }
                }
            }
        }
        let rules = concat!(env!("CARGO_MANIFEST_DIR"), "/src/admin/alerts/rules.rs");
        let rules = fs::read_to_string(rules).unwrap();
        let sentences = rules.split("Sentence::of(").skip(1).map(|rest| rest.split('"').nth(1));
        shown.extend(sentences.map(|words| words.unwrap().to_owned()));
        shown.extend(Rule::ALL.map(|rule| rule.fix().to_owned()));
        shown
    }

    #[test]
    fn every_text_has_its_chinese_and_none_is_left_over() {
        let shown = shown();
        let known: BTreeSet<String> = TEXTS.iter().map(|(text, _)| (*text).to_owned()).collect();
        assert_eq!(known.len(), TEXTS.len(), "a text is there twice");
        let missing: Vec<_> = shown.difference(&known).collect();
        let unused: Vec<_> = known.difference(&shown).collect();
        assert!(
            missing.is_empty() && unused.is_empty(),
            "missing {missing:#?}, unused {unused:#?}"
        );
        for (english, chinese) in TEXTS {
            for mark in ["{}", "{word}"] {
                let count = |text: &str| text.matches(mark).count();
                assert_eq!(count(english), count(chinese), "{english}");
            }
        }
    }
}
