//! 4.9 remoting commands: bytes in, values out, no I/O. Contract sections 1.1 to 1.5, 1.9 to 1.11.
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
