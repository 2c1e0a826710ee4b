//! A cursor over JSON text, as lenient as fastjson: what the header reader and [`super::json`] share.
//!
//! Not here: what the tokens mean. Invariants: every step moves forward, so that hostile text costs
//! time linear in its length; nothing recurses; `at` always stands on a character's boundary.

use std::borrow::Cow;

use super::DecodeError;

/// Where reading stands in a text.
pub(super) struct Scanner<'a> {
    text: &'a str,
    at: usize,
}

/// A value that is neither an object nor an array.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Scalar<'a> {
    /// `null`.
    Null,
    /// A quoted text, unescaped.
    Text(Cow<'a, str>),
    /// A number, `true` or `false`, as it stands in the source.
    Word(&'a str),
}

impl<'a> Scanner<'a> {
    /// Stands before the first character.
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// An error that says where reading stands.
    pub(super) fn error(&self, what: &str) -> DecodeError {
        DecodeError(format!("JSON: {what} at byte {}", self.at))
    }

    /// The next byte that is not white space, left in place.
    pub(super) fn peek(&mut self) -> Option<u8> {
        let bytes = self.text.as_bytes();
        while let Some(byte) = bytes.get(self.at) {
            if !matches!(byte, b' ' | b'\n' | b'\r' | b'\t' | 0x08 | 0x0c) {
                return Some(*byte);
            }
            self.at += 1;
        }
        None
    }

    /// Steps over the next byte that is not white space if it is this one.
    pub(super) fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        if found {
            self.at += 1;
        }
        found
    }

    /// Steps over a byte that must come next.
    pub(super) fn expect(&mut self, byte: u8) -> Result<(), DecodeError> {
        if self.take(byte) {
            return Ok(());
        }
        Err(self.error(&format!("expected `{}`", char::from(byte))))
    }

    /// Whether only white space is left.
    pub(super) fn at_end(&mut self) -> bool {
        self.peek().is_none()
    }

    /// Steps over commas (fastjson takes any number of them) and then over `close` if it is next.
    pub(super) fn closes(&mut self, close: u8) -> bool {
        while self.take(b',') {}
        self.take(close)
    }

    /// Checks that a comma or the closing bracket is next.
    pub(super) fn separates(&mut self, close: u8) -> Result<(), DecodeError> {
        match self.peek() {
            Some(byte) if byte == b',' || byte == close => Ok(()),
            _ => Err(self.error(&format!("expected `,` or `{}`", char::from(close)))),
        }
    }

    /// A text in single or double quotes; borrowed when it holds no escape.
    pub(super) fn string(&mut self) -> Result<Cow<'a, str>, DecodeError> {
        let quote = self.open_quote()?;
        let run = self.run(quote)?;
        if self.text.as_bytes()[self.at] == quote {
            self.at += 1;
            return Ok(Cow::Borrowed(run));
        }
        let mut out = String::from(run);
        self.rest_of_string(quote, &mut out)?;
        Ok(Cow::Owned(out))
    }

    /// The same, appended to `out`.
    pub(super) fn string_into(&mut self, out: &mut String) -> Result<(), DecodeError> {
        let quote = self.open_quote()?;
        self.rest_of_string(quote, out)
    }

    /// A key: a quoted text or a bare word such as `0` or `name`.
    pub(super) fn key(&mut self) -> Result<Cow<'a, str>, DecodeError> {
        match self.peek() {
            Some(b'"' | b'\'') => self.string(),
            _ => self.word().map(Cow::Borrowed),
        }
    }

    /// A value that is neither an object nor an array.
    pub(super) fn scalar(&mut self) -> Result<Scalar<'a>, DecodeError> {
        match self.peek() {
            Some(b'"' | b'\'') => self.string().map(Scalar::Text),
            _ => self.word_value().map(|word| word.map_or(Scalar::Null, Scalar::Word)),
        }
    }

    /// Any value as text appended to `out`: a quoted text unescaped, everything else as it stands in
    /// the source. `false` for `null`.
    pub(super) fn text_into(&mut self, out: &mut String) -> Result<bool, DecodeError> {
        match self.peek() {
            Some(b'"' | b'\'') => self.string_into(out)?,
            Some(b'{' | b'[') => out.push_str(self.skip_value()?),
            _ => match self.word_value()? {
                Some(word) => out.push_str(word),
                None => return Ok(false),
            },
        }
        Ok(true)
    }

    /// Steps over a value of any kind and returns its source. Brackets are counted, not matched.
    pub(super) fn skip_value(&mut self) -> Result<&'a str, DecodeError> {
        let mut depth = 0usize;
        self.peek();
        let start = self.at;
        loop {
            match self.peek() {
                None => return Err(self.error("the text ends inside a value")),
                Some(b'{' | b'[') => {
                    depth += 1;
                    self.at += 1;
                }
                Some(b'}' | b']') if depth > 0 => {
                    depth -= 1;
                    self.at += 1;
                }
                Some(b',' | b':') if depth > 0 => self.at += 1,
                Some(quote @ (b'"' | b'\'')) => self.skip_string(quote)?,
                Some(_) => {
                    self.word()?;
                }
            }
            if depth == 0 {
                return Ok(&self.text[start..self.at]);
            }
        }
    }

    /// A bare word as a value; `None` for `null` and `undefined`.
    fn word_value(&mut self) -> Result<Option<&'a str>, DecodeError> {
        let start = self.at;
        let word = self.word()?;
        match word {
            "null" | "undefined" => Ok(None),
            "true" | "false" => Ok(Some(word)),
            _ if is_number(word) => Ok(Some(word)),
            _ => {
                self.at = start;
                Err(self.error("expected a value"))
            }
        }
    }

    /// The bare word that stands next.
    fn word(&mut self) -> Result<&'a str, DecodeError> {
        self.peek();
        let rest = &self.text[self.at..];
        let stops = |c: char| {
            c.is_ascii() && !c.is_ascii_alphanumeric() && !matches!(c, '_' | '$' | '-' | '+' | '.')
        };
        let word = &rest[..rest.find(stops).unwrap_or(rest.len())];
        if word.is_empty() {
            return Err(self.error("expected a value or a key"));
        }
        self.at += word.len();
        Ok(word)
    }

    fn open_quote(&mut self) -> Result<u8, DecodeError> {
        match self.peek() {
            Some(quote @ (b'"' | b'\'')) => {
                self.at += 1;
                Ok(quote)
            }
            _ => Err(self.error("expected a text in quotes")),
        }
    }

    /// Characters up to the quote or backslash that comes next, which is left in place.
    fn run(&mut self, quote: u8) -> Result<&'a str, DecodeError> {
        let start = self.at;
        let rest = &self.text.as_bytes()[start..];
        let Some(length) = rest.iter().position(|byte| *byte == quote || *byte == b'\\') else {
            return Err(self.error("a text has no closing quote"));
        };
        self.at = start + length;
        Ok(&self.text[start..self.at])
    }

    fn rest_of_string(&mut self, quote: u8, out: &mut String) -> Result<(), DecodeError> {
        loop {
            out.push_str(self.run(quote)?);
            let stop = self.text.as_bytes()[self.at];
            self.at += 1;
            if stop == quote {
                return Ok(());
            }
            let unescaped = self.escape()?;
            out.push(unescaped);
        }
    }

    fn skip_string(&mut self, quote: u8) -> Result<(), DecodeError> {
        self.at += 1;
        loop {
            self.run(quote)?;
            let stop = self.text.as_bytes()[self.at];
            self.at += 1;
            if stop == quote {
                return Ok(());
            }
            self.escape()?;
        }
    }

    /// The character that an escape stands for; its backslash has been read.
    fn escape(&mut self) -> Result<char, DecodeError> {
        let Some(letter) = self.text[self.at..].chars().next() else {
            return Err(self.error("a text ends in a backslash"));
        };
        self.at += letter.len_utf8();
        Ok(match letter {
            '"' | '\'' | '\\' | '/' => letter,
            'b' => '\u{8}',
            't' => '\t',
            'n' => '\n',
            'v' => '\u{b}',
            'f' | 'F' => '\u{c}',
            'r' => '\r',
            '0'..='7' => char::from(u8::try_from(letter).unwrap_or_default() - b'0'),
            'x' => self.hex(2).and_then(char::from_u32).unwrap_or(char::REPLACEMENT_CHARACTER),
            'u' => self.unicode_escape()?,
            _ => return Err(self.error(&format!("`\\{letter}` is not an escape"))),
        })
    }

    /// The rest of `\uXXXX`, or of two that make one character; half a pair becomes U+FFFD.
    fn unicode_escape(&mut self) -> Result<char, DecodeError> {
        let Some(first) = self.hex(4) else {
            return Err(self.error("`\\u` needs four hexadecimal digits"));
        };
        if !(0xd800..0xdc00).contains(&first) || !self.text[self.at..].starts_with("\\u") {
            return Ok(char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER));
        }
        let after_first = self.at;
        self.at += 2;
        if let Some(second @ 0xdc00..0xe000) = self.hex(4) {
            let joined = 0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00);
            return Ok(char::from_u32(joined).unwrap_or(char::REPLACEMENT_CHARACTER));
        }
        self.at = after_first;
        Ok(char::REPLACEMENT_CHARACTER)
    }

    fn hex(&mut self, digits: usize) -> Option<u32> {
        let text = self.text.get(self.at..self.at + digits)?;
        if !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        self.at += digits;
        u32::from_str_radix(text, 16).ok()
    }
}

/// Whether a bare word is a number, perhaps with one of Java's type letters as fastjson takes them.
fn is_number(word: &str) -> bool {
    let number = word.strip_suffix(['L', 'S', 'B', 'F', 'D']).unwrap_or(word);
    let digits = number.strip_prefix(['-', '+']).unwrap_or(number);
    if digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return !digits.is_empty();
    }
    digits.starts_with(|c: char| c.is_ascii_digit() || c == '.') && digits.parse::<f64>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_those_of_fastjson() {
        let read = |text: &str| Scanner::new(text).string().map(Cow::into_owned);
        assert_eq!(read(r#""plain""#).unwrap(), "plain");
        assert_eq!(read(r"'it\'s'").unwrap(), "it's");
        assert_eq!(read(r#""\u0001\1\v\x41\/""#).unwrap(), "\u{1}\u{1}\u{b}A/");
        assert_eq!(read(r#""\ud83d\ude00!""#).unwrap(), "\u{1f600}!");
        assert_eq!(
            read(r#""\ud83dx \ude00 \ud83d\u0041""#).unwrap(),
            "\u{fffd}x \u{fffd} \u{fffd}A"
        );
        for bad in [r#""open"#, r#""\"#, r#""\u12"#, r#""\q""#, "bare", r#""\u00é0""#] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn values_of_unknown_keys_are_stepped_over() {
        let mut scanner = Scanner::new(r#" {a:[1,{"]":'}'}],} , 7"#);
        assert_eq!(scanner.skip_value().unwrap(), r#"{a:[1,{"]":'}'}],}"#);
        assert!(scanner.take(b','));
        assert_eq!(scanner.scalar().unwrap(), Scalar::Word("7"));
        assert!(scanner.at_end());
        assert!(Scanner::new("[[[").skip_value().is_err());
        assert!(Scanner::new(",").skip_value().is_err());
    }
}
