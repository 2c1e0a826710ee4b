//! The words of an expression, one at a time (B-291).
//!
//! Not what they mean together (`parser`). Invariants: the longest word that fits is taken, and a keyword before a
//! name, as 4.9.4's generated lexer does; nothing is copied.

use super::SqlError;

/// One word. Texts are as they stand in the expression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token<'a> {
    And,
    Between,
    False,
    In,
    Is,
    Not,
    Null,
    Or,
    True,
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Open,
    Close,
    Comma,
    Plus,
    Minus,
    /// Digits, perhaps with an `L` behind them.
    Whole(&'a str),
    /// A number with a point or an exponent.
    Decimal(&'a str),
    /// What is between the quotes, where each quote is still written twice.
    Text(&'a str),
    /// A property.
    Name(&'a str),
    /// Nothing is left.
    End,
}

const KEYWORDS: [(&str, Token<'static>); 9] = [
    ("AND", Token::And),
    ("BETWEEN", Token::Between),
    ("FALSE", Token::False),
    ("IN", Token::In),
    ("IS", Token::Is),
    ("NOT", Token::Not),
    ("NULL", Token::Null),
    ("OR", Token::Or),
    ("TRUE", Token::True),
];

/// Longer ones first.
const SIGNS: [(&str, Token<'static>); 11] = [
    ("<>", Token::NotEqual),
    ("<=", Token::LessOrEqual),
    (">=", Token::GreaterOrEqual),
    ("<", Token::Less),
    (">", Token::Greater),
    ("=", Token::Equal),
    ("(", Token::Open),
    (")", Token::Close),
    (",", Token::Comma),
    ("+", Token::Plus),
    ("-", Token::Minus),
];

/// Reads an expression from its beginning to its end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lexer<'a> {
    text: &'a str,
    /// Up to which byte it is read.
    at: usize,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// Up to which byte the expression is read.
    pub(super) fn position(&self) -> usize {
        self.at
    }

    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    /// The next word and the byte it begins at.
    pub(super) fn next(&mut self) -> Result<(usize, Token<'a>), SqlError> {
        self.skip_blanks();
        let (at, rest) = (self.at, self.rest());
        let (length, token) = match rest.as_bytes().first() {
            None => (0, Token::End),
            Some(b'\'') => {
                text(rest).ok_or_else(|| self.error("this text has no `'` at its end"))?
            }
            Some(b'0'..=b'9' | b'.') => {
                number(rest).ok_or_else(|| self.error("a point alone says nothing"))?
            }
            Some(first) if begins_name(*first) => word(rest),
            Some(_) => {
                let sign = SIGNS.iter().find(|(sign, _)| rest.starts_with(sign));
                let (sign, token) = sign.ok_or_else(|| self.unknown())?;
                (sign.len(), *token)
            }
        };
        self.at += length;
        Ok((at, token))
    }

    fn error(&self, what: impl Into<String>) -> SqlError {
        SqlError::at(self.text, self.at, what)
    }

    fn unknown(&self) -> SqlError {
        let sign = self.rest().chars().next().unwrap_or_default();
        let sign = if sign.is_control() { sign.escape_debug().to_string() } else { sign.into() };
        self.error(format!("`{sign}` is of no use in an expression"))
    }

    /// Goes past blanks and comments. What looks like a comment that never ends is none.
    fn skip_blanks(&mut self) {
        loop {
            let rest = self.rest();
            let skipped = match rest.as_bytes() {
                [b' ' | b'\t' | b'\n' | b'\r' | 0x0c, ..] => Some(1),
                [b'-', b'-', ..] => rest.find(['\n', '\r']).map(|end| end + 1),
                [b'/', b'*', inner @ ..] => {
                    inner.windows(2).position(|two| two == b"*/").map(|end| end + 4)
                }
                _ => None,
            };
            match skipped {
                Some(skipped) => self.at += skipped,
                None => return,
            }
        }
    }
}

fn begins_name(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || matches!(byte, b'_' | b'$')
}

/// A keyword or a name.
fn word(rest: &str) -> (usize, Token<'_>) {
    let in_name = |byte: &u8| begins_name(*byte) || byte.is_ascii_digit();
    let length = rest.bytes().take_while(in_name).count();
    let word = &rest[..length];
    let keyword = KEYWORDS.iter().find(|(keyword, _)| keyword.eq_ignore_ascii_case(word));
    (length, keyword.map_or(Token::Name(word), |(_, token)| *token))
}

/// A text up to the first quote that is not written twice.
fn text(rest: &str) -> Option<(usize, Token<'_>)> {
    let inner = &rest[1..];
    let mut end = inner.find('\'')?;
    while inner[end + 1..].starts_with('\'') {
        end = end + 2 + inner[end + 2..].find('\'')?;
    }
    Some((end + 2, Token::Text(&inner[..end])))
}

fn digits(bytes: &[u8]) -> usize {
    bytes.iter().take_while(|byte| byte.is_ascii_digit()).count()
}

/// The length of an exponent, 0 if there is none.
fn exponent(bytes: &[u8]) -> usize {
    let [b'e' | b'E', rest @ ..] = bytes else { return 0 };
    let sign = usize::from(matches!(rest, [b'+' | b'-', ..]));
    match digits(&rest[sign..]) {
        0 => 0,
        digits => 1 + sign + digits,
    }
}

/// A number; `None` for a point without digits.
fn number(rest: &str) -> Option<(usize, Token<'_>)> {
    let bytes = rest.as_bytes();
    let whole = digits(bytes);
    let fraction = match &bytes[whole..] {
        [b'.', after @ ..] => 1 + digits(after),
        _ => 0,
    };
    if whole == 0 && fraction == 1 {
        return None;
    }
    let power = exponent(&bytes[whole + fraction..]);
    if fraction + power > 0 {
        let length = whole + fraction + power;
        return Some((length, Token::Decimal(&rest[..length])));
    }
    // A zero stands alone: `007` is three numbers.
    let length = match bytes {
        [b'0', ..] => 1,
        _ => whole + usize::from(matches!(bytes.get(whole), Some(b'l' | b'L'))),
    };
    Some((length, Token::Whole(&rest[..length])))
}
