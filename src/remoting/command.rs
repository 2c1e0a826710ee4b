//! One command: a request or an answer.

use bytes::{Bytes, BytesMut};

/// 4.9.4 as `version` says it.
pub const VERSION_4_9_4: i32 = 401;

/// How a header is encoded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SerializeType {
    /// JSON text.
    #[default]
    Json,
    /// The binary `ROCKETMQ` form.
    RocketMq,
}

/// The language of the peer; the number is Java's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Language(pub u8);

/// Named fields of a header; order is kept.
#[derive(Clone, Debug, Default)]
pub struct ExtFields;

/// A request or an answer.
#[derive(Clone, Debug, Default)]
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
    /// Free text, mostly of errors.
    pub remark: Option<String>,
    /// Named fields; `None` when the header has none.
    pub fields: Option<ExtFields>,
    /// The body; empty when absent.
    pub body: Bytes,
    /// How the header was, or is to be, encoded.
    pub serialize_type: SerializeType,
}

/// A frame that is not a command: its connection is closed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct DecodeError(pub String);

impl Command {
    /// A request; the transport gives it its opaque.
    #[must_use]
    pub fn request(_code: i32) -> Self {
        todo!()
    }
    /// An answer; the transport gives it opaque and serialize type of its request.
    #[must_use]
    pub fn response(_code: i32) -> Self {
        todo!()
    }
    /// The same with a remark.
    #[must_use]
    pub fn with_remark(self, _remark: impl Into<String>) -> Self {
        todo!()
    }
    /// The same with one more field; numbers and booleans as Java's `toString` writes them.
    #[must_use]
    pub fn with_field(self, _key: &str, _value: impl std::fmt::Display) -> Self {
        todo!()
    }
    /// The same with a body.
    #[must_use]
    pub fn with_body(self, _body: impl Into<Bytes>) -> Self {
        todo!()
    }
    /// A field's text.
    #[must_use]
    pub fn field(&self, _key: &str) -> Option<&str> {
        todo!()
    }
    /// Whether flag bit 0 is set.
    #[must_use]
    pub fn is_response(&self) -> bool {
        self.flag & 1 != 0
    }
    /// Whether flag bit 1 is set.
    #[must_use]
    pub fn is_oneway(&self) -> bool {
        self.flag & 2 != 0
    }
}

/// Bytes of the frame at the start of `buffer` with its length word, or `None` if more are needed to tell.
///
/// # Errors
/// The length is negative, too small, or over `frame_bytes_max`.
pub fn frame_length(_buffer: &[u8], _frame_bytes_max: usize) -> Result<Option<usize>, DecodeError> {
    todo!()
}

/// Decodes a frame, length word included; header texts and body share its memory.
///
/// # Errors
/// The header does not decode.
pub fn decode(_frame: Bytes) -> Result<Command, DecodeError> {
    todo!()
}

/// Appends the frame of a command, length word included.
pub fn encode(_command: &Command, _out: &mut BytesMut) {
    todo!()
}
