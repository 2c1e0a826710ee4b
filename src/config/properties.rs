//! Java properties text, as 4.9.4 keeps its settings and as requests 25, 318 and 319 carry them (K-004).
//!
//! Not what a key means. Invariants: read as Java reads it: comments, `=`, `:` or blanks between key and
//! value, escapes, continued lines, and blanks at the end of a value stay; no text is an error, not even what Java refuses.

use std::collections::BTreeMap;

/// One key with its value, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The line, from 1, on which it begins.
    pub line: usize,
    /// The key.
    pub key: String,
    /// The value, with the blanks at its end.
    pub value: String,
}

/// All values by their keys; of a key that is there twice the last one.
#[must_use]
pub fn parse(text: &str) -> BTreeMap<String, String> {
    entries(text).into_iter().map(|entry| (entry.key, entry.value)).collect()
}

/// All entries in their order.
#[must_use]
pub fn entries(text: &str) -> Vec<Entry> {
    let entry = |(line, text): (usize, String)| {
        let (key, value) = split(&text);
        Entry { line, key, value }
    };
    logical_lines(text).into_iter().map(entry).collect()
}

/// Whether Java refuses to read a text at all: a `\u` without four hexadecimal digits behind it.
#[must_use]
pub fn has_broken_escape(text: &str) -> bool {
    let is_broken = |line: &str| {
        let mut characters = line.chars();
        while let Some(character) = characters.next() {
            if character == '\\' && characters.next() == Some('u') {
                let digits = characters.by_ref().take(4);
                if digits.filter(char::is_ascii_hexdigit).count() < 4 {
                    return true;
                }
            }
        }
        false
    };
    logical_lines(text).iter().any(|(_, line)| is_broken(line))
}

/// Lines without comments and blank ones, with their numbers; one that ends in an odd number of
/// backslashes goes on.
fn logical_lines(text: &str) -> Vec<(usize, String)> {
    let mut lines: Vec<(usize, String)> = Vec::new();
    let mut continues = false;
    for (at, line) in text.replace("\r\n", "\n").split(['\n', '\r']).enumerate() {
        let line = line.trim_start_matches([' ', '\t', '\x0c']);
        if !continues && (line.is_empty() || line.starts_with(['#', '!'])) {
            continue;
        }
        let backslashes = line.bytes().rev().take_while(|byte| *byte == b'\\').count();
        let goes_on = backslashes % 2 == 1;
        let part = if goes_on { &line[..line.len() - 1] } else { line };
        match lines.last_mut() {
            Some((_, last)) if continues => last.push_str(part),
            _ => lines.push((at + 1, part.to_owned())),
        }
        continues = goes_on;
    }
    lines
}

/// Key and value of one logical line, unescaped.
fn split(line: &str) -> (String, String) {
    let mut key = String::new();
    let mut characters = line.chars().peekable();
    while let Some(&character) = characters.peek() {
        if matches!(character, '=' | ':' | ' ' | '\t' | '\x0c') {
            break;
        }
        characters.next();
        key.extend(unescape(character, &mut characters));
    }
    let mut separators = 0;
    while let Some(&character) = characters.peek() {
        match character {
            ' ' | '\t' | '\x0c' => {}
            '=' | ':' if separators == 0 => separators = 1,
            _ => break,
        }
        characters.next();
    }
    let mut value = String::new();
    while let Some(character) = characters.next() {
        value.extend(unescape(character, &mut characters));
    }
    (key, value)
}

/// The character meant by `character` and, after a backslash, what follows it.
fn unescape(character: char, rest: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<char> {
    if character != '\\' {
        return Some(character);
    }
    match rest.next()? {
        't' => Some('\t'),
        'n' => Some('\n'),
        'r' => Some('\r'),
        'f' => Some('\x0c'),
        'u' => {
            let digits: String = rest.by_ref().take(4).collect();
            u32::from_str_radix(&digits, 16).ok().and_then(char::from_u32)
        }
        other => Some(other),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn properties_text_is_read_as_java_reads_it() {
        let text =
            "# comment\n! also\n\n a = 1 \nb:2\r\nc 3\nd\ne=x\\\r\n   y\rf\\:g=\\u0041\\tz\n";
        let expected = [
            (4, "a", "1 "),
            (5, "b", "2"),
            (6, "c", "3"),
            (7, "d", ""),
            (8, "e", "xy"),
            (10, "f:g", "A\tz"),
        ];
        let read = entries(text);
        let read: Vec<_> = read.iter().map(|one| (one.line, &*one.key, &*one.value)).collect();
        assert_eq!(read, expected);
    }

    #[test]
    fn what_java_cannot_read_is_known() {
        let broken = |text| has_broken_escape(text);
        assert!(["\\u12", "a=\\u12g4", "a=1\nb\\u=", "a=\\\\\\u1"].into_iter().all(broken));
        assert!(!["\\u1234", "# \\u12", "a=\\\\u12", "a=u12", ""].into_iter().any(broken));
    }

    #[test]
    fn the_last_of_two_equal_keys_counts() {
        assert_eq!(
            parse("a=1\nb=2\na=3"),
            [("a", "3"), ("b", "2")].map(|(k, v)| (k.into(), v.into())).into()
        );
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "[\\\\ =:#!a-u0-9\n\r\t]{0,60}") {
            let _ = entries(&text);
        }
    }
}
