//! Texts and numbers as fastjson 1.2.69 writes them: what headers and bodies share.
//!
//! Escaped are what must be, U+007F to U+009F, U+2028 and U+2029; `/` only in standard JSON.

use bytes::BytesMut;

const HEX_DIGITS: [u8; 16] = *b"0123456789ABCDEF";

/// Bytes that may start something to escape: all controls, quote, backslash, 0x7f, and the first
/// bytes of U+0080 to U+00BF and of U+2000 to U+2FFF.
const STOPS: [bool; 256] = {
    let mut stops = [false; 256];
    let mut byte = 0;
    while byte < 0x20 {
        stops[byte] = true;
        byte += 1;
    }
    stops[b'"' as usize] = true;
    stops[b'\\' as usize] = true;
    stops[0x7f] = true;
    stops[0xc2] = true;
    stops[0xe2] = true;
    stops
};

/// Appends a text in double quotes, non-ASCII characters raw.
pub(super) fn push_quoted(text: &str, out: &mut BytesMut) {
    out.extend_from_slice(b"\"");
    let mut rest = text;
    while let Some(at) = rest.bytes().position(|byte| STOPS[usize::from(byte)]) {
        out.extend_from_slice(&rest.as_bytes()[..at]);
        let mut chars = rest[at..].chars();
        let Some(stop) = chars.next() else { break };
        push_stop(stop, out);
        rest = chars.as_str();
    }
    out.extend_from_slice(rest.as_bytes());
    out.extend_from_slice(b"\"");
}

/// Appends a text in double quotes with every non-ASCII character as `\uXXXX` and `/` as `\/`:
/// fastjson's browser-compatible form.
pub(super) fn push_quoted_ascii(text: &str, out: &mut BytesMut) {
    out.extend_from_slice(b"\"");
    let mut units = [0; 2];
    for character in text.chars() {
        if character == '/' {
            out.extend_from_slice(b"\\/");
            continue;
        }
        if character.is_ascii() {
            push_stop(character, out);
            continue;
        }
        for unit in character.encode_utf16(&mut units) {
            push_unit(*unit, out);
        }
    }
    out.extend_from_slice(b"\"");
}

/// Appends a decimal number.
pub(super) fn push_number(number: i64, out: &mut BytesMut) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    let mut rest = number.unsigned_abs();
    loop {
        at -= 1;
        digits[at] = b'0' + u8::try_from(rest % 10).unwrap_or_default();
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if number < 0 {
        out.extend_from_slice(b"-");
    }
    out.extend_from_slice(&digits[at..]);
}

/// Appends one character, escaped if fastjson escapes it.
fn push_stop(character: char, out: &mut BytesMut) {
    let letter = match character {
        '"' | '\\' => character,
        '\u{8}' => 'b',
        '\t' => 't',
        '\n' => 'n',
        '\u{c}' => 'f',
        '\r' => 'r',
        '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' => {
            return push_unit(u16::try_from(u32::from(character)).unwrap_or_default(), out);
        }
        _ => {
            out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
            return;
        }
    };
    out.extend_from_slice(b"\\");
    out.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
}

/// Appends one UTF-16 unit as `\uXXXX`.
fn push_unit(unit: u16, out: &mut BytesMut) {
    let digit = |shift: u32| HEX_DIGITS[usize::from(unit >> shift & 15)];
    out.extend_from_slice(&[b'\\', b'u', digit(12), digit(8), digit(4), digit(0)]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(push: fn(&str, &mut BytesMut), text: &str) -> String {
        let mut out = BytesMut::new();
        push(text, &mut out);
        String::from_utf8(out.to_vec()).unwrap()
    }

    #[test]
    fn escapes_are_those_of_fastjson() {
        let text = "a\"b\\c/d\u{1}\u{2}\n\t\u{b}\u{7f}\u{85}\u{2028}\u{2030}é你\u{1f600}";
        assert_eq!(
            written(push_quoted, text),
            "\"a\\\"b\\\\c/d\\u0001\\u0002\\n\\t\\u000B\\u007F\\u0085\\u2028\u{2030}é你\u{1f600}\""
        );
        assert_eq!(written(push_quoted, ""), "\"\"");
    }

    #[test]
    fn standard_json_holds_ascii_only() {
        assert_eq!(
            written(push_quoted_ascii, "é\n/\u{1f600}z"),
            "\"\\u00E9\\n\\/\\uD83D\\uDE00z\""
        );
    }

    #[test]
    fn numbers_are_decimal() {
        for number in [0, 7, -1, 10, i64::MAX, i64::MIN] {
            let mut out = BytesMut::new();
            push_number(number, &mut out);
            assert_eq!(out, number.to_string());
        }
    }
}
