//! A message exactly as it lies in the commit log and in a pull answer: codec, properties, ids.
//!
//! | file | what |
//! | --- | --- |
//! | `record` | one message in the log |
//! | `batch` | several messages in one send |
//! | `properties` | names and values behind the body |
//! | `sys_flag` | what the flag's bits mean |
//! | `id` | ids that hold an address and an offset |
//!
//! Not here: how messages travel in requests (`remoting`) and where they are kept (`store`).
//! Invariant: what [`Record::parse`] accepts has lengths that add up; bytes from outside never panic.
//!
//! ```text
//! total size 4 | magic 4 | body crc 4 | queue id 4 | flag 4 | queue offset 8 | physical offset 8
//! | sys flag 4 | born time 8 | born host 8/20 | store time 8 | store host 8/20 | reconsume times 4
//! | prepared transaction offset 8 | body length 4 + body | topic length 1 + topic
//! | properties length 2 + properties                                              (ST-001)
//! ```

mod batch;
mod id;
pub mod properties;
mod record;
pub mod sys_flag;

pub use batch::{BatchError, BatchItem, decode_batch};
pub use id::{IdError, MessageId};
pub use properties::Properties;
pub use record::{
    BLANK_HEADER_BYTES, BLANK_MAGIC, EncodeError, MESSAGE_MAGIC, NewMessage, RECORD_BYTES_MIN,
    RECORD_FRONT_BYTES, RECORD_HEAD_BYTES, Record, RecordError, after_body, body_crc, encode,
    encode_blank, may_begin, properties_after_body, replace_properties_end, stamp,
};
