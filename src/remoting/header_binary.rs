//! The binary `ROCKETMQ` header (contract 1.3).
//!
//! ```text
//! code 2 | language 1 | version 2 | opaque 4 | flag 4 | remark length 4 + remark
//! | fields length 4 + fields, each: key length 2 + key, value length 4 + value      (R-020, R-021)
//! ```
//!
//! Invariant: no length is believed before it is compared with what is there.

use bytes::{BufMut, BytesMut};

use super::command::{Command, DecodeError, Language, SerializeType};
use super::fields::{ExtFields, FIELDS_MAX};

/// Reads a header; bytes after the fields are passed over, as 4.9.4 does.
pub(super) fn decode(header: &[u8]) -> Result<Command, DecodeError> {
    let mut rest = header;
    let code = i16::from_be_bytes(take(&mut rest)?);
    let [language] = take(&mut rest)?;
    let version = i16::from_be_bytes(take(&mut rest)?);
    let opaque = i32::from_be_bytes(take(&mut rest)?);
    let flag = i32::from_be_bytes(take(&mut rest)?);
    let remark_bytes = i32::from_be_bytes(take(&mut rest)?);
    let remark = take_text(&mut rest, remark_bytes)?;
    let fields_bytes = i32::from_be_bytes(take(&mut rest)?);
    Ok(Command {
        code: code.into(),
        language: Language(language),
        version: version.into(),
        opaque,
        flag,
        remark: (!remark.is_empty()).then(|| remark.to_owned()),
        fields: fields(take_bytes(&mut rest, fields_bytes.max(0))?)?,
        serialize_type: SerializeType::RocketMq,
        ..Command::default()
    })
}

/// The fields; an empty value is read as absent (R-022).
fn fields(mut rest: &[u8]) -> Result<Option<ExtFields>, DecodeError> {
    if rest.is_empty() {
        return Ok(None);
    }
    let mut fields = ExtFields::with_capacity(rest.len());
    while !rest.is_empty() {
        if fields.len() == FIELDS_MAX {
            return Err(DecodeError("the header has too many fields".into()));
        }
        let key_bytes = i16::from_be_bytes(take(&mut rest)?);
        let key = take_text(&mut rest, key_bytes.into())?;
        let value_bytes = i32::from_be_bytes(take(&mut rest)?);
        let value = take_text(&mut rest, value_bytes)?;
        if !key.is_empty() && !value.is_empty() {
            let text = fields.text_mut();
            let key_start = text.len();
            text.push_str(key);
            let value_start = text.len();
            text.push_str(value);
            fields.finish(key_start, value_start);
        }
    }
    Ok(Some(fields))
}

fn take<const BYTES: usize>(rest: &mut &[u8]) -> Result<[u8; BYTES], DecodeError> {
    let (taken, after) = rest
        .split_first_chunk::<BYTES>()
        .ok_or_else(|| DecodeError("the binary header ends too early".into()))?;
    *rest = after;
    Ok(*taken)
}

fn take_bytes<'a>(rest: &mut &'a [u8], length: i32) -> Result<&'a [u8], DecodeError> {
    let taken = usize::try_from(length).ok().and_then(|length| rest.split_at_checked(length));
    let (taken, after) = taken.ok_or_else(|| {
        DecodeError(format!("the binary header tells {length} bytes where {} are left", rest.len()))
    })?;
    *rest = after;
    Ok(taken)
}

fn take_text<'a>(rest: &mut &'a [u8], length: i32) -> Result<&'a str, DecodeError> {
    std::str::from_utf8(take_bytes(rest, length)?)
        .map_err(|error| DecodeError(format!("the header is not UTF-8: {error}")))
}

/// Writes a header. Code and version keep their low 16 bits, as in Java (R-026).
pub(super) fn encode(command: &Command, out: &mut BytesMut) {
    let low_16 = |number: i32| {
        let [_, _, high, low] = number.to_be_bytes();
        [high, low]
    };
    out.extend_from_slice(&low_16(command.code));
    out.put_u8(command.language.0);
    out.extend_from_slice(&low_16(command.version));
    out.put_i32(command.opaque);
    out.put_i32(command.flag);
    put_text(command.remark.as_deref().unwrap_or_default(), out);
    let length_at = out.len();
    out.put_i32(0);
    for (key, value) in command.fields.iter().flat_map(ExtFields::iter) {
        // A key over 32 767 bytes cannot be told and means nothing to any peer.
        if let Ok(key_bytes) = i16::try_from(key.len()) {
            out.put_i16(key_bytes);
            out.extend_from_slice(key.as_bytes());
            put_text(value, out);
        }
    }
    let fields_bytes = i32::try_from(out.len() - length_at - 4).unwrap_or(i32::MAX);
    out[length_at..length_at + 4].copy_from_slice(&fields_bytes.to_be_bytes());
}

fn put_text(text: &str, out: &mut BytesMut) {
    out.put_i32(i32::try_from(text.len()).unwrap_or(i32::MAX));
    out.extend_from_slice(text.as_bytes());
}
