//! Bodies as text: JSON as fastjson 1.2.69 reads and writes it (contract 1.9).
//!
//! fastjson writes maps with number keys as `{0:"a"}` and maps with object keys as `{{"a":1}:2}`,
//! and reads both (S-01). Not here: which keys a body has (`bodies`). Invariants: numbers keep their
//! source text; nesting and the number of values have limits, so that no body can exhaust stack or
//! memory; [`Value::write`] and [`parse`] are each other's inverse.

use std::borrow::Cow;

use bytes::{Bytes, BytesMut};

use super::DecodeError;
use super::escape::{push_quoted, push_quoted_ascii};
use super::scan::{Scalar, Scanner};

/// Objects and arrays inside one another, at most.
const DEPTH_MAX: usize = 64;
/// Values in one text, at most: about 20 000 topics with 8 queues and a dozen groups each. One takes some 64 bytes.
const VALUES_MAX: usize = 2_000_000;
/// Values in a request that anybody may send, at most: some 25 000 subscriptions, or queues to lock.
pub const REQUEST_VALUES_MAX: usize = 200_000;

/// A JSON value. An object's keys are values too: texts, numbers (`{0:1}`) or objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// `null`, and what is not there.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number, as it stands in the source.
    Number(Cow<'a, str>),
    /// A text.
    Text(Cow<'a, str>),
    /// An array.
    Array(Vec<Value<'a>>),
    /// An object; of two entries with one key the later one counts.
    Object(Vec<(Value<'a>, Value<'a>)>),
}

/// How a value is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// fastjson's own: number and object keys bare, non-ASCII raw (R-101, R-102).
    Dialect,
    /// Keys in quotes, `/` and non-ASCII escaped: route answers to new clients only (R-105).
    Standard,
    /// The dialect with line breaks and tabs, as in files on disk (R-106).
    Pretty,
}

/// Reads a text that we asked for, all of it.
///
/// # Errors
/// It is not UTF-8, not JSON even as fastjson takes it, or over the limits.
pub fn parse(text: &[u8]) -> Result<Value<'_>, DecodeError> {
    parse_bounded(text, VALUES_MAX)
}

/// The same for a text that anybody may send: of so many values at most, an entry of an object being one, which
/// bounds the memory that it takes beyond its own.
///
/// # Errors
/// As [`parse`].
pub fn parse_bounded(text: &[u8], values_max: usize) -> Result<Value<'_>, DecodeError> {
    let text = std::str::from_utf8(text)
        .map_err(|error| DecodeError(format!("JSON: the text is not UTF-8: {error}")))?;
    let mut scanner = Scanner::new(text.trim_start_matches('\u{feff}'));
    let mut values_left = values_max;
    let value = read(&mut scanner, DEPTH_MAX, &mut values_left)?;
    if scanner.at_end() { Ok(value) } else { Err(scanner.error("text after the end")) }
}

fn read<'a>(
    scanner: &mut Scanner<'a>,
    depth_left: usize,
    values_left: &mut usize,
) -> Result<Value<'a>, DecodeError> {
    let opened = scanner.peek();
    let is_nested = matches!(opened, Some(b'{' | b'['));
    *values_left = values_left.checked_sub(1).ok_or_else(|| scanner.error("too many values"))?;
    if is_nested && depth_left == 0 {
        return Err(scanner.error("too deep"));
    }
    if scanner.take(b'[') {
        let mut items = Vec::new();
        while !scanner.closes(b']') {
            items.push(read(scanner, depth_left - 1, values_left)?);
            scanner.separates(b']')?;
        }
        return Ok(Value::Array(items));
    }
    if scanner.take(b'{') {
        let mut entries = Vec::new();
        while !scanner.closes(b'}') {
            let key = match scanner.peek() {
                Some(b'{' | b'[') => read(scanner, depth_left - 1, values_left)?,
                Some(b'"' | b'\'') => Value::Text(scanner.string()?),
                _ => bare_key(scanner.key()?),
            };
            scanner.expect(b':')?;
            entries.push((key, read(scanner, depth_left - 1, values_left)?));
            scanner.separates(b'}')?;
        }
        return Ok(Value::Object(entries));
    }
    Ok(match scanner.scalar()? {
        Scalar::Null => Value::Null,
        Scalar::Text(text) => Value::Text(text),
        Scalar::Word("true") => Value::Bool(true),
        Scalar::Word("false") => Value::Bool(false),
        Scalar::Word(number) => Value::Number(Cow::Borrowed(number)),
    })
}

/// A key without quotes: a number if it looks like one.
fn bare_key(word: Cow<'_, str>) -> Value<'_> {
    let digits = word.strip_prefix('-').unwrap_or(&word);
    if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Value::Number(word);
    }
    Value::Text(word)
}

impl<'a> Value<'a> {
    /// An object whose keys are texts; `Null` values are left out, as fastjson does (R-100).
    #[must_use]
    pub fn object(entries: impl IntoIterator<Item = (&'a str, Self)>) -> Self {
        Self::map(entries.into_iter().filter(|(_, value)| *value != Value::Null))
    }

    /// A map with keys of any kind, in the order given.
    #[must_use]
    pub fn map<K: Into<Self>>(entries: impl IntoIterator<Item = (K, Self)>) -> Self {
        Self::Object(entries.into_iter().map(|(key, value)| (key.into(), value)).collect())
    }

    /// An array.
    #[must_use]
    pub fn array<V: Into<Self>>(items: impl IntoIterator<Item = V>) -> Self {
        Self::Array(items.into_iter().map(Into::into).collect())
    }

    /// A floating-point number as Java's `Double.toString` writes it; `null` if it is not finite.
    #[must_use]
    pub fn double(number: f64) -> Self {
        if !number.is_finite() {
            return Self::Null;
        }
        let size = number.abs();
        let text = if size == 0.0 || (1e-3..1e7).contains(&size) {
            format!("{number:?}")
        } else {
            let text = format!("{number:E}");
            if text.contains('.') { text } else { text.replace('E', ".0E") }
        };
        Self::Number(text.into())
    }

    /// The value under a key of this object; `Null` if there is none.
    #[must_use]
    pub fn get(&self, key: &str) -> &Self {
        let named = |entry: &&(Value<'_>, Value<'_>)| matches!(&entry.0, Value::Text(text) | Value::Number(text) if text == key);
        self.entries().iter().rev().find(named).map_or(&Value::Null, |(_, value)| value)
    }

    /// The entries of an object; none of anything else.
    #[must_use]
    pub fn entries(&self) -> &[(Self, Self)] {
        if let Self::Object(entries) = self { entries } else { &[] }
    }

    /// The items of an array; none of anything else, so that missing and `null` arrays are empty.
    #[must_use]
    pub fn items(&self) -> &[Self] {
        if let Self::Array(items) = self { items } else { &[] }
    }

    /// A text, or the source of a number or boolean.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::Text(text) | Self::Number(text) => Some(text),
            Self::Bool(true) => Some("true"),
            Self::Bool(false) => Some("false"),
            Self::Null | Self::Array(_) | Self::Object(_) => None,
        }
    }

    /// A whole number, also in quotes, with Java's `L`, or with a fraction, which is cut off.
    #[must_use]
    pub fn as_i64(&self) -> Option<i64> {
        let (Self::Text(text) | Self::Number(text)) = self else { return None };
        let text = text.trim().trim_end_matches(['L', 'l']);
        text.parse().ok().or_else(|| text.split_once('.')?.0.parse().ok())
    }

    /// A floating-point number, also in quotes.
    #[must_use]
    pub fn as_f64(&self) -> Option<f64> {
        let (Self::Text(text) | Self::Number(text)) = self else { return None };
        text.trim().parse().ok()
    }

    /// A boolean, also as text or number: `true`, `"true"` and 1 are true.
    #[must_use]
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(value) => Some(*value),
            Self::Text(text) if text.is_empty() => None,
            Self::Text(text) | Self::Number(text) => {
                Some(text.eq_ignore_ascii_case("true") || text == "1")
            }
            Self::Null | Self::Array(_) | Self::Object(_) => None,
        }
    }

    /// Which of an enum's names this is, by name or by ordinal.
    #[must_use]
    pub fn as_enum(&self, names: &[&str]) -> Option<usize> {
        let text = self.as_str()?;
        let by_name = names.iter().position(|name| *name == text);
        by_name.or_else(|| text.parse().ok().filter(|ordinal| *ordinal < names.len()))
    }

    /// A text under a key.
    #[must_use]
    pub fn text(&self, key: &str) -> Option<&str> {
        self.get(key).as_str()
    }

    /// A number under a key, of the type that is asked for.
    ///
    /// # Errors
    /// It is there and no such number.
    pub fn number<N: TryFrom<i64>>(&self, key: &str) -> Result<Option<N>, DecodeError> {
        let value = self.get(key);
        if matches!(value, Value::Null) || matches!(value, Value::Text(text) if text.is_empty()) {
            return Ok(None);
        }
        let number = value.as_i64().and_then(|number| N::try_from(number).ok());
        let bad = || DecodeError(format!("JSON: `{key}` is not a number in its range"));
        number.map(Some).ok_or_else(bad)
    }

    /// The same, with a default for a missing one.
    ///
    /// # Errors
    /// It is there and no such number.
    pub fn number_or<N: TryFrom<i64>>(&self, key: &str, default: N) -> Result<N, DecodeError> {
        Ok(self.number(key)?.unwrap_or(default))
    }

    /// A boolean under a key, with a default for a missing one.
    #[must_use]
    pub fn bool_or(&self, key: &str, default: bool) -> bool {
        self.get(key).as_bool().unwrap_or(default)
    }

    /// The texts of an array under a key; items that are none are passed over.
    #[must_use]
    pub fn texts(&self, key: &str) -> Vec<String> {
        self.get(key).items().iter().filter_map(Value::as_str).map(str::to_owned).collect()
    }

    /// Appends the value as text.
    pub fn write(&self, form: Form, out: &mut BytesMut) {
        self.write_at(form, 0, out);
    }

    /// The value as text.
    #[must_use]
    pub fn to_bytes(&self, form: Form) -> Bytes {
        let mut out = BytesMut::new();
        self.write(form, &mut out);
        out.freeze()
    }

    /// Whether this is an object, and not some other value or nothing.
    ///
    /// # Errors
    /// It is not: the text says what it should have been.
    pub fn expect_object(&self, what: &str) -> Result<(), DecodeError> {
        if matches!(self, Self::Object(_)) {
            return Ok(());
        }
        Err(DecodeError(format!("JSON: {what} is not an object")))
    }

    fn write_at(&self, form: Form, depth: usize, out: &mut BytesMut) {
        match self {
            Self::Null => out.extend_from_slice(b"null"),
            Self::Bool(value) => {
                out.extend_from_slice(if *value { b"true" } else { b"false" });
            }
            Self::Number(text) => out.extend_from_slice(text.as_bytes()),
            Self::Text(text) if form == Form::Standard => push_quoted_ascii(text, out),
            Self::Text(text) => push_quoted(text, out),
            Self::Array(items) => {
                out.extend_from_slice(b"[");
                for (number, item) in items.iter().enumerate() {
                    separate(number, form == Form::Pretty, depth + 1, out);
                    item.write_at(form, depth + 1, out);
                }
                close(form == Form::Pretty && !items.is_empty(), depth, b"]", out);
            }
            Self::Object(entries) => {
                out.extend_from_slice(b"{");
                for (number, (key, value)) in entries.iter().enumerate() {
                    // fastjson breaks lines before keys that are texts only (R-106).
                    let breaks = form == Form::Pretty && matches!(key, Self::Text(_));
                    separate(number, breaks, depth + 1, out);
                    key.write_key(form, depth + 1, out);
                    out.extend_from_slice(b":");
                    value.write_at(form, depth + 1, out);
                }
                close(form == Form::Pretty && !entries.is_empty(), depth, b"}", out);
            }
        }
    }

    fn write_key(&self, form: Form, depth: usize, out: &mut BytesMut) {
        if form != Form::Standard || matches!(self, Self::Text(_)) {
            return self.write_at(form, depth, out);
        }
        let text = self.to_bytes(Form::Dialect);
        push_quoted_ascii(&String::from_utf8_lossy(&text), out);
    }
}

/// Writes what precedes an item: a comma but for the first, and a line break if wanted.
fn separate(number: usize, breaks: bool, depth: usize, out: &mut BytesMut) {
    if number > 0 {
        out.extend_from_slice(b",");
    }
    if breaks {
        break_line(depth, out);
    }
}

/// Writes a closing bracket.
fn close(breaks: bool, depth: usize, bracket: &[u8], out: &mut BytesMut) {
    if breaks {
        break_line(depth, out);
    }
    out.extend_from_slice(bracket);
}

fn break_line(depth: usize, out: &mut BytesMut) {
    out.extend_from_slice(b"\n");
    for _ in 0..depth {
        out.extend_from_slice(b"\t");
    }
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }
}

impl<'a> From<&'a String> for Value<'a> {
    fn from(text: &'a String) -> Self {
        Self::Text(Cow::Borrowed(text))
    }
}

impl From<String> for Value<'_> {
    fn from(text: String) -> Self {
        Self::Text(Cow::Owned(text))
    }
}

impl From<bool> for Value<'_> {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

macro_rules! from_number {
    ($($type:ty),*) => {$(
        impl From<$type> for Value<'_> {
            fn from(number: $type) -> Self {
                Self::Number(Cow::Owned(number.to_string()))
            }
        }
    )*};
}
from_number!(i32, u32, i64, u64, usize);

impl<'a, V: Into<Value<'a>>> From<Option<V>> for Value<'a> {
    fn from(value: Option<V>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(value: &Value<'_>, form: Form) -> String {
        String::from_utf8(value.to_bytes(form).to_vec()).unwrap()
    }

    #[test]
    fn bare_number_and_object_keys_are_read_and_written() {
        let text = r#"{"offsetTable":{{"brokerName":"b","queueId":0,"topic":"T"}:{0:-7,-1:"x"}}}"#;
        let value = parse(text.as_bytes()).unwrap();
        assert_eq!(written(&value, Form::Dialect), text);
        let (queue, offsets) = &value.get("offsetTable").entries()[0];
        assert_eq!((queue.text("brokerName"), queue.number("queueId")), (Some("b"), Ok(Some(0))));
        assert_eq!(offsets.get("0").as_i64(), Some(-7));
        assert_eq!(
            written(&value, Form::Standard),
            concat!(
                r#"{"offsetTable":{"{\"brokerName\":\"b\",\"queueId\":0,\"topic\":\"T\"}":"#,
                r#"{"0":-7,"-1":"x"}}}"#
            )
        );
    }

    #[test]
    fn reading_is_as_lenient_as_fastjson() {
        let value = parse(b" \xef\xbb\xbf").unwrap_err();
        assert!(value.0.contains("at byte"), "{value}");
        let value =
            parse("\u{feff}{a:1,,'b':\"2\",c:null,d:[,1,],'e':12L , f:1.5, g:\"\",}\n".as_bytes());
        let value = value.unwrap();
        assert_eq!((value.number("a"), value.number("b")), (Ok(Some(1)), Ok(Some(2))));
        assert_eq!((value.number::<i64>("c"), value.number::<i64>("z")), (Ok(None), Ok(None)));
        assert_eq!((value.number("e"), value.number_or("f", 0)), (Ok(Some(12)), Ok(1)));
        assert_eq!(value.number::<i32>("g"), Ok(None));
        assert_eq!(value.get("d").items().len(), 1);
        assert!(value.get("c").items().is_empty());
        let error = parse(b"{n:\"x\"}").unwrap().number::<i32>("n").unwrap_err();
        assert_eq!(error.0, "JSON: `n` is not a number in its range");
    }

    #[test]
    fn what_is_no_json_is_refused() {
        for bad in [
            "",
            "{",
            "}",
            "[1",
            "{\"a\"}",
            "{a:}",
            "[1 2]",
            "{a:1 b:2}",
            "{a:1}}",
            "nul",
            "[}",
            "{\"a:1}",
            "{{}}",
            "hello",
        ] {
            assert!(parse(bad.as_bytes()).is_err(), "{bad}");
        }
        assert!(parse("[".repeat(65).as_bytes()).unwrap_err().0.contains("deep"));
        let deep = format!("{}{}", "[".repeat(64), "]".repeat(64));
        assert!(parse(deep.as_bytes()).is_ok());
        let keys = "{".repeat(100_000);
        assert!(parse(keys.as_bytes()).unwrap_err().0.contains("deep"));
        let many = format!("[{}]", "1,".repeat(VALUES_MAX));
        assert!(parse(many.as_bytes()).unwrap_err().0.contains("too many"));
    }

    #[test]
    fn enums_are_read_by_name_or_ordinal() {
        let names = ["BROADCASTING", "CLUSTERING"];
        for text in ["\"CLUSTERING\"", "1", "\"1\""] {
            assert_eq!(parse(text.as_bytes()).unwrap().as_enum(&names), Some(1), "{text}");
        }
        for text in ["\"X\"", "2", "null", "-1"] {
            assert_eq!(parse(text.as_bytes()).unwrap().as_enum(&names), None, "{text}");
        }
    }

    #[test]
    fn booleans_are_read_as_fastjson_casts_them() {
        for (text, expected) in [
            ("true", Some(true)),
            ("\"TRUE\"", Some(true)),
            ("1", Some(true)),
            ("0", Some(false)),
            ("\"no\"", Some(false)),
            ("null", None),
            ("[]", None),
        ] {
            assert_eq!(parse(text.as_bytes()).unwrap().as_bool(), expected, "{text}");
        }
    }

    #[test]
    fn files_are_written_with_tabs_and_number_keys_inline() {
        let table = Value::map([("T@G", Value::map([(0, Value::from(2)), (1, 3.into())]))]);
        let value = Value::object([
            ("offsetTable", table),
            ("absent", Value::Null),
            ("list", Value::array(["a", "b"])),
            ("none", Value::array::<&str>([])),
        ]);
        assert_eq!(
            written(&value, Form::Pretty),
            "{\n\t\"offsetTable\":{\n\t\t\"T@G\":{0:2,1:3\n\t\t}\n\t},\n\t\"list\":[\n\t\t\"a\",\n\t\t\"b\"\n\t],\n\t\"none\":[]\n}"
        );
    }

    #[test]
    fn doubles_are_written_as_java_does() {
        for (number, text) in
            [(0.0, "0.0"), (12.5, "12.5"), (1e7, "1.0E7"), (1.25e9, "1.25E9"), (1e-4, "1.0E-4")]
        {
            assert_eq!(Value::double(number), Value::Number(text.into()));
        }
        assert_eq!(Value::double(f64::NAN), Value::Null);
    }

    fn any_value() -> impl Strategy<Value = Value<'static>> {
        let text = || "[a-z]{0,3}|\\PC{0,6}|[\\x00-\\x7f]{0,6}".prop_map(Value::from);
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            text(),
        ];
        leaf.prop_recursive(4, 32, 6, move |inner| {
            let array = proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::Array);
            let key = prop_oneof![
                text(),
                any::<i64>().prop_map(Value::from),
                (text(), inner.clone()).prop_map(|(k, v)| Value::Object(vec![(k, v)])),
            ];
            let object = proptest::collection::vec((key, inner), 0..6).prop_map(Value::Object);
            prop_oneof![array, object]
        })
    }

    proptest! {
        #[test]
        fn values_round_trip(value in any_value()) {
            for form in [Form::Dialect, Form::Pretty] {
                let text = value.to_bytes(form);
                let back = parse(&text).unwrap();
                prop_assert_eq!(&back, &value);
                prop_assert_eq!(back.to_bytes(form), text.clone());
            }
            let standard = value.to_bytes(Form::Standard);
            prop_assert!(standard.is_ascii());
            prop_assert!(serde_json::from_slice::<serde_json::Value>(&standard).is_ok());
        }

        #[test]
        fn arbitrary_text_never_panics(
            text in "[{}\\[\\]:,\"'\\\\a-u0-9 é\u{2028}.-]{0,60}",
            bytes in proptest::collection::vec(any::<u8>(), 0..60),
        ) {
            let _ = parse(&bytes);
            if let Ok(value) = parse(text.as_bytes()) {
                let written = value.to_bytes(Form::Dialect);
                prop_assert_eq!(parse(&written).unwrap(), value);
            }
        }
    }
}
