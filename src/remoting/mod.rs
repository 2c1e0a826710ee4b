//! 4.9 remoting commands: bytes in, values out, no I/O. Contract sections 1.1 to 1.5, 1.9 and 1.10.

mod command;

pub use command::{
    Command, DecodeError, ExtFields, Language, SerializeType, VERSION_4_9_4, decode, encode,
    frame_length,
};
