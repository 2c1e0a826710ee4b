//! One command, a request or an answer, and its frame.
//!
//! ```text
//! length 4 | serialize type 1 | header length 3 | header | body        (R-001, R-002)
//! ```
//!
//! Not here: the two header encodings (`header_json`, `header_binary`), sockets. Invariants: a
//! decoded body shares the frame's memory; nothing in a frame panics or allocates more than a small
//! multiple of the frame's size.

use bytes::{BufMut, Bytes, BytesMut};

use super::fields::{ExtFields, FieldError, TEXT_BYTES_USUAL};
use super::{header_binary, header_json};

/// 4.9.4 as `version` says it (R-034).
pub const VERSION_4_9_4: i32 = 401;

/// The answer's bit of `flag` (R-030).
const FLAG_ANSWER: i32 = 1;
/// The oneway bit of `flag` (R-030).
const FLAG_ONEWAY: i32 = 2;
/// Bytes of the length word.
const LENGTH_WORD_BYTES: usize = 4;
/// Bytes before the header: length word, serialize type and header length.
const PREFIX_BYTES: usize = 8;
/// The longest header that 24 bits can tell.
const HEADER_BYTES_MAX: usize = 0xff_ffff;

/// How a header is encoded (R-002).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SerializeType {
    /// JSON text.
    #[default]
    Json,
    /// The binary `ROCKETMQ` form.
    RocketMq,
}

/// The language of the peer (R-033); the number is Java's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Language(pub u8);

impl Language {
    /// Java, which the server's own commands carry.
    pub const JAVA: Self = Self(0);
    /// C++, which gets 220 in its own form (B-323).
    pub const CPP: Self = Self(1);
    /// What an unknown name is read as.
    pub const OTHER: Self = Self(7);

    const NAMES: [&str; 13] = [
        "JAVA", "CPP", "DOTNET", "PYTHON", "DELPHI", "ERLANG", "RUBY", "OTHER", "HTTP", "GO",
        "PHP", "OMS", "RUST",
    ];

    /// The name as Java's enum spells it; `OTHER` for numbers that 4.9.4 does not know.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::NAMES.get(usize::from(self.0)).copied().unwrap_or("OTHER")
    }

    /// Reads a name or an ordinal, as fastjson does; unknown ones are [`Self::OTHER`].
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let known = Self::NAMES.iter().position(|name| *name == text);
        let number = known.or_else(|| text.parse().ok().filter(|n| *n < Self::NAMES.len()));
        number.and_then(|n| u8::try_from(n).ok()).map_or(Self::OTHER, Self)
    }
}

/// A request or an answer. The default is an empty header as R-015 reads it: code 0, version 0.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Command {
    /// Request code, or response code in an answer.
    pub code: i32,
    /// The sender's language.
    pub language: Language,
    /// The sender's version ordinal.
    pub version: i32,
    /// Matches an answer to its request.
    pub opaque: i32,
    /// Bit 0 answer, bit 1 oneway.
    pub flag: i32,
    /// Free text, mostly of errors; an empty one is read as `None`.
    pub remark: Option<String>,
    /// Named fields; `None` when the header has none (R-014).
    pub fields: Option<ExtFields>,
    /// The body; empty when absent (R-003).
    pub body: Bytes,
    /// How the header was, or is to be, encoded.
    pub serialize_type: SerializeType,
}

/// A frame that is not a command: its connection is closed (R-005). Also text that is not JSON.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct DecodeError(pub String);

impl Command {
    /// A request; the transport gives it its opaque.
    #[must_use]
    pub fn request(code: i32) -> Self {
        Self { code, version: VERSION_4_9_4, ..Self::default() }
    }

    /// An answer; the transport gives it opaque and serialize type of its request.
    #[must_use]
    pub fn response(code: i32) -> Self {
        Self { flag: FLAG_ANSWER, ..Self::request(code) }
    }

    /// The same with a remark.
    #[must_use]
    pub fn with_remark(mut self, remark: impl Into<String>) -> Self {
        self.remark = Some(remark.into());
        self
    }

    /// The same with one more field; numbers and booleans as Java's `toString` writes them.
    #[must_use]
    pub fn with_field(mut self, key: &str, value: impl std::fmt::Display) -> Self {
        self.fields_mut().push(key, value);
        self
    }

    /// The same with fields even if there are none: `"extFields":{}` (R-014).
    #[must_use]
    pub fn with_empty_fields(mut self) -> Self {
        self.fields_mut();
        self
    }

    /// The same with a body.
    #[must_use]
    pub fn with_body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    /// The same as a oneway request: nobody answers (R-045).
    #[must_use]
    pub fn oneway(mut self) -> Self {
        self.flag |= FLAG_ONEWAY;
        self
    }

    /// Sets a field, in place of an older value if there is one.
    pub fn set_field(&mut self, key: &str, value: impl std::fmt::Display) {
        self.fields_mut().set(key, value);
    }

    /// A field's text.
    #[must_use]
    pub fn field(&self, key: &str) -> Option<&str> {
        self.fields.as_ref().and_then(|fields| fields.get(key))
    }

    /// Whether flag bit 0 is set.
    #[must_use]
    pub fn is_response(&self) -> bool {
        self.flag & FLAG_ANSWER != 0
    }

    /// Whether flag bit 1 is set.
    #[must_use]
    pub fn is_oneway(&self) -> bool {
        self.flag & FLAG_ONEWAY != 0
    }

    /// The body, leaving an empty one.
    #[must_use]
    pub fn take_body(&mut self) -> Bytes {
        std::mem::take(&mut self.body)
    }

    /// The text of a mandatory field.
    ///
    /// # Errors
    /// It is missing (S-09: the answer is code 1 with this error as its remark).
    pub fn required_str(&self, key: &'static str) -> Result<&str, FieldError> {
        self.field(key).ok_or(FieldError::Missing(key))
    }

    /// A mandatory 32-bit field.
    ///
    /// # Errors
    /// It is missing or not a number of 32 bits.
    pub fn required_i32(&self, key: &'static str) -> Result<i32, FieldError> {
        self.optional_i32(key)?.ok_or(FieldError::Missing(key))
    }

    /// A mandatory 64-bit field.
    ///
    /// # Errors
    /// It is missing or not a number of 64 bits.
    pub fn required_i64(&self, key: &'static str) -> Result<i64, FieldError> {
        self.optional_i64(key)?.ok_or(FieldError::Missing(key))
    }

    /// A 32-bit field; an empty text counts as absent.
    ///
    /// # Errors
    /// It is there and not a number of 32 bits.
    pub fn optional_i32(&self, key: &'static str) -> Result<Option<i32>, FieldError> {
        FieldError::parse(key, self.field(key))
    }

    /// A 64-bit field; an empty text counts as absent.
    ///
    /// # Errors
    /// It is there and not a number of 64 bits.
    pub fn optional_i64(&self, key: &'static str) -> Result<Option<i64>, FieldError> {
        FieldError::parse(key, self.field(key))
    }

    /// Whether a field is `true` in any case of letters; everything else, absence too, is false (R-049).
    #[must_use]
    pub fn flag_bool(&self, key: &str) -> bool {
        self.field(key).is_some_and(is_true)
    }

    fn fields_mut(&mut self) -> &mut ExtFields {
        self.fields.get_or_insert_with(|| ExtFields::with_capacity(TEXT_BYTES_USUAL))
    }
}

/// Whether Java's `Boolean.parseBoolean` takes a text for true (R-049).
pub(super) fn is_true(text: &str) -> bool {
    text.eq_ignore_ascii_case("true")
}

/// Bytes of the frame at the start of `buffer` with its length word, or `None` if more are needed to tell.
///
/// # Errors
/// The length is negative, too small, or over `frame_bytes_max` (R-004).
pub fn frame_length(buffer: &[u8], frame_bytes_max: usize) -> Result<Option<usize>, DecodeError> {
    let Some(word) = buffer.first_chunk::<LENGTH_WORD_BYTES>() else {
        return Ok(None);
    };
    let length = i32::from_be_bytes(*word);
    match usize::try_from(length) {
        Ok(bytes) if bytes >= PREFIX_BYTES - LENGTH_WORD_BYTES => {
            let frame_bytes = bytes + LENGTH_WORD_BYTES;
            if frame_bytes > frame_bytes_max {
                return Err(DecodeError(format!(
                    "the frame has {frame_bytes} bytes, over the limit of {frame_bytes_max}"
                )));
            }
            Ok(Some(frame_bytes))
        }
        _ => Err(DecodeError(format!("the frame's length word is {length}, not a 4.x command"))),
    }
}

/// Decodes a frame, length word included; the body shares its memory.
///
/// # Errors
/// The header does not decode (R-005).
pub fn decode(frame: Bytes) -> Result<Command, DecodeError> {
    let Some(prefix) = frame.first_chunk::<PREFIX_BYTES>() else {
        return Err(DecodeError(format!("the frame has only {} bytes", frame.len())));
    };
    let [_, _, _, _, serialize_type, h2, h1, h0] = *prefix;
    let header_bytes = usize::try_from(u32::from_be_bytes([0, h2, h1, h0])).unwrap_or(usize::MAX);
    let end = PREFIX_BYTES.saturating_add(header_bytes);
    let Some(header) = frame.get(PREFIX_BYTES..end) else {
        return Err(DecodeError(format!(
            "the header has {header_bytes} bytes, the frame only {}",
            frame.len() - PREFIX_BYTES
        )));
    };
    let mut command = match serialize_type {
        0 => header_json::decode(header)?,
        1 => header_binary::decode(header)?,
        other => return Err(DecodeError(format!("the header's serialize type is {other}"))),
    };
    command.body = frame.slice(end..);
    Ok(command)
}

/// Appends the frame of a command, length word included. Whether it is that command: see [`encode_head`].
pub fn encode(command: &Command, out: &mut BytesMut) -> bool {
    let body_follows = encode_head(command, out);
    if body_follows {
        out.extend_from_slice(&command.body);
    }
    body_follows
}

/// Appends what precedes the body, for a transport that writes the body from where it lies; whether the body must
/// follow. It must not after a header longer than a frame can tell: in place of such an answer, the whole frame of
/// one that says so is appended, and in place of such a request nothing.
pub fn encode_head(command: &Command, out: &mut BytesMut) -> bool {
    let start = out.len();
    out.put_bytes(0, PREFIX_BYTES);
    match command.serialize_type {
        SerializeType::Json => header_json::encode(command, out),
        SerializeType::RocketMq => header_binary::encode(command, out),
    }
    let header_bytes = out.len() - start - PREFIX_BYTES;
    if header_bytes > HEADER_BYTES_MAX {
        // Escaping can make a header of control characters six times as long as it came in.
        out.truncate(start);
        if command.is_response() {
            let (flag, opaque, serialize_type) =
                (command.flag, command.opaque, command.serialize_type);
            let bare = Command { flag, opaque, serialize_type, ..Command::response(1) };
            encode_head(&bare.with_remark("the header is longer than a frame can tell"), out);
        }
        return false;
    }
    let length = LENGTH_WORD_BYTES + header_bytes + command.body.len();
    let length = i32::try_from(length).unwrap_or(i32::MAX);
    let header_word = u32::try_from(header_bytes).unwrap_or(u32::MAX);
    let [_, h2, h1, h0] = header_word.to_be_bytes();
    let serialize_type = u8::from(command.serialize_type == SerializeType::RocketMq);
    out[start..start + LENGTH_WORD_BYTES].copy_from_slice(&length.to_be_bytes());
    out[start + LENGTH_WORD_BYTES..start + PREFIX_BYTES].copy_from_slice(&[
        serialize_type,
        h2,
        h1,
        h0,
    ]);
    true
}

#[cfg(test)]
#[path = "command_tests.rs"]
mod tests;
