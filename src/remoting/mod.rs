//! 4.9 remoting commands: bytes in, values out, no I/O. Contract sections 1.1 to 1.5, 1.9 to 1.11.
//!
//! | file | what |
//! | --- | --- |
//! | `codes` | request and response codes |
//! | `command` | one command and its frame |
//! | `header_json`, `header_binary` | the two encodings of a header |
//! | `fields` | the named fields of a header |
//! | `headers/`, `bodies/` | those that several places read or write |
//! | `json`, `scan`, `escape` | fastjson's dialect: bodies, reading, writing |
//!
//! Lenient in, exact out: what any 4.x client sends is read as fastjson reads it (missing keys,
//! numbers for texts, ordinals for names), what we send is what 4.9.4 sends byte for byte.
//! Invariant: bytes from the network never panic and never take more than a small multiple of their
//! own size in memory.

pub mod bodies;
mod codes;
mod command;
mod escape;
mod fields;
mod header_binary;
mod header_json;
pub mod headers;
pub mod json;
mod scan;

pub use codes::{request, response};
pub use command::{
    Command, DecodeError, Language, SerializeType, VERSION_4_9_4, decode, encode, encode_head,
    frame_length,
};
pub use fields::{ExtFields, FieldError};
