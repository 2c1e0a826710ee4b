//! Bodies of messages as people read them. Not what is stored or sent, which nothing changes.
//!
//! Invariant: what is shown as JSON has every digit, member and order of the body; only the space between them differs.

use serde::de::IgnoredAny;

const HEX_BYTES: usize = 16;
/// Deep lists of short things would be shown as hundreds of times their size.
const INDENTED_TIMES_MAX: usize = 16;

/// A JSON object or list with a line for each member; `None` if `text` is neither, or its lines would be 16 times as long.
#[must_use]
pub fn indented_json(text: &str) -> Option<String> {
    let is_list = text.trim_start().starts_with(['{', '[']);
    is_list.then(|| serde_json::from_str::<IgnoredAny>(text).ok())??;
    let (mut shown, mut depth, mut before) = (String::new(), 0_usize, ' ');
    let (mut is_text, mut is_escaped) = (false, false);
    for letter in text.chars() {
        if is_text {
            shown.push(letter);
            is_text = is_escaped || letter != '"';
            is_escaped = !is_escaped && letter == '\\';
            continue;
        }
        if letter.is_ascii_whitespace() {
            continue;
        }
        let is_end = matches!(letter, '}' | ']');
        let is_first = matches!(before, '{' | '[');
        depth = depth.saturating_sub(usize::from(is_end));
        if is_first != is_end || before == ',' {
            shown.push('\n');
            shown.extend(std::iter::repeat_n("  ", depth));
        }
        shown.push(letter);
        if letter == ':' {
            shown.push(' ');
        }
        depth += usize::from(matches!(letter, '{' | '['));
        is_text = letter == '"';
        before = letter;
        if shown.len() > text.len().saturating_mul(INDENTED_TIMES_MAX) {
            return None;
        }
    }
    Some(shown)
}

/// Offset, digits and what of them is ASCII, a line for 16 bytes, as `hexdump -C`.
#[must_use]
pub fn hexdump(bytes: &[u8]) -> String {
    let mut text = String::new();
    for (line, bytes) in bytes.chunks(HEX_BYTES).enumerate() {
        let digits: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let is_shown = |byte: u8| byte.is_ascii_graphic() || byte == b' ';
        let letter = |byte: &u8| if is_shown(*byte) { char::from(*byte) } else { '.' };
        let letters: String = bytes.iter().map(letter).collect();
        text.push_str(&format!("{:08x}  {:<47}  {letters}\n", line * HEX_BYTES, digits.join(" ")));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_keeps_what_it_says() {
        let text = r#"{"id":12345678901234567890123,"amount":1.10,"b":1 , "a":{}, "a":["x\"],{", [ ] ,-1E5]}"#;
        let expected = r#"{
  "id": 12345678901234567890123,
  "amount": 1.10,
  "b": 1,
  "a": {},
  "a": [
    "x\"],{",
    [],
    -1E5
  ]
}"#;
        assert_eq!(indented_json(text).as_deref(), Some(expected));
        assert_eq!(indented_json(expected).as_deref(), Some(expected));
        assert_eq!(
            ["17", "\"a\"", "{", "{} x", "", "[1,]"].map(indented_json),
            [const { None }; 6]
        );
    }

    #[test]
    fn deep_lists_are_not_shown_as_lines() {
        let deep = format!("{}{}1{}", "[".repeat(60), "1,".repeat(1000), "]".repeat(60));
        assert_eq!(indented_json(&deep), None);
    }

    #[test]
    fn bytes_have_their_places() {
        let expected = "00000000  48 65 6c 6c 6f 2c 20 00 ff 20 77 6f 72 6c 64 20  Hello, .. world \n\
                        00000010  6f 66 20 31 36                                   of 16\n";
        assert_eq!(hexdump(b"Hello, \x00\xff world of 16"), expected);
    }
}
