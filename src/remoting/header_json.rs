//! The JSON header (contract 1.2): read as leniently as fastjson, written byte for byte as 4.9.4.
//!
//! Not here: the frame around it. Invariant: one pass over the text, one allocation for all fields.

use bytes::BytesMut;

use super::command::{Command, DecodeError, Language, SerializeType};
use super::escape::{push_number, push_quoted};
use super::fields::{ExtFields, FIELDS_MAX};
use super::scan::{Scalar, Scanner};

/// Reads a header; every key has a default and unknown ones are passed over.
pub(super) fn decode(header: &[u8]) -> Result<Command, DecodeError> {
    let text = std::str::from_utf8(header)
        .map_err(|error| DecodeError(format!("the header is not UTF-8: {error}")))?;
    let mut scanner = Scanner::new(text);
    let mut command = Command::default();
    scanner.expect(b'{')?;
    while !scanner.closes(b'}') {
        let key = scanner.key()?;
        scanner.expect(b':')?;
        match key.as_ref() {
            "code" => command.code = int(&mut scanner)?.unwrap_or(command.code),
            "version" => command.version = int(&mut scanner)?.unwrap_or(command.version),
            "opaque" => command.opaque = int(&mut scanner)?.unwrap_or(command.opaque),
            "flag" => command.flag = int(&mut scanner)?.unwrap_or(command.flag),
            "language" => match scanner.scalar()? {
                Scalar::Null => {}
                Scalar::Text(text) => command.language = Language::parse(&text),
                Scalar::Word(text) => command.language = Language::parse(text),
            },
            "remark" => {
                let mut remark = String::new();
                scanner.text_into(&mut remark)?;
                command.remark = (!remark.is_empty()).then_some(remark);
            }
            "extFields" => command.fields = fields(&mut scanner, text.len())?,
            _ => {
                scanner.skip_value()?;
            }
        }
        scanner.separates(b'}')?;
    }
    if scanner.at_end() { Ok(command) } else { Err(scanner.error("text after the header")) }
}

/// An integer, also in quotes; `None` for `null`.
fn int(scanner: &mut Scanner<'_>) -> Result<Option<i32>, DecodeError> {
    let value = match scanner.scalar()? {
        Scalar::Null => return Ok(None),
        Scalar::Word(word) => word.parse().ok(),
        Scalar::Text(text) => text.trim().parse().ok(),
    };
    value.map(Some).ok_or_else(|| scanner.error("expected a 32-bit integer before this"))
}

/// The fields' object: values of any kind as text, `null` as absent (clients.md 3, rule 2).
fn fields(scanner: &mut Scanner<'_>, text_bytes: usize) -> Result<Option<ExtFields>, DecodeError> {
    if !scanner.take(b'{') {
        return match scanner.scalar()? {
            Scalar::Null => Ok(None),
            _ => Err(scanner.error("extFields is not an object")),
        };
    }
    let mut fields = ExtFields::with_capacity(text_bytes);
    while !scanner.closes(b'}') {
        if fields.len() == FIELDS_MAX {
            return Err(scanner.error("too many extFields"));
        }
        let arena = fields.text_mut();
        let key_start = arena.len();
        match scanner.peek() {
            Some(b'"' | b'\'') => scanner.string_into(arena)?,
            _ => arena.push_str(&scanner.key()?),
        }
        let value_start = arena.len();
        scanner.expect(b':')?;
        if scanner.text_into(arena)? {
            fields.finish(key_start, value_start);
        } else {
            arena.truncate(key_start);
        }
        scanner.separates(b'}')?;
    }
    Ok(Some(fields))
}

/// Writes a header: keys in alphabetical order, nulls left out, field values as texts.
pub(super) fn encode(command: &Command, out: &mut BytesMut) {
    debug_assert_eq!(command.serialize_type, SerializeType::Json);
    out.extend_from_slice(b"{\"code\":");
    push_number(command.code.into(), out);
    if let Some(fields) = &command.fields {
        out.extend_from_slice(b",\"extFields\":{");
        for (number, (key, value)) in fields.iter().enumerate() {
            if number > 0 {
                out.extend_from_slice(b",");
            }
            push_quoted(key, out);
            out.extend_from_slice(b":");
            push_quoted(value, out);
        }
        out.extend_from_slice(b"}");
    }
    out.extend_from_slice(b",\"flag\":");
    push_number(command.flag.into(), out);
    out.extend_from_slice(b",\"language\":\"");
    out.extend_from_slice(command.language.name().as_bytes());
    out.extend_from_slice(b"\",\"opaque\":");
    push_number(command.opaque.into(), out);
    if let Some(remark) = &command.remark {
        out.extend_from_slice(b",\"remark\":");
        push_quoted(remark, out);
    }
    out.extend_from_slice(b",\"serializeTypeCurrentRPC\":\"JSON\",\"version\":");
    push_number(command.version.into(), out);
    out.extend_from_slice(b"}");
}
