//! The messages and services of the admin plane, generated from `proto/admin/v1`: the words that the facade, the gRPC
//! service and the command line speak.
//!
//! No behaviour here. In JSON a message is an object with its fields' names: what is unset is `null`, numbers are numbers,
//! enums are their names as `dead-letter`, bytes are base64. Invariant: what was released is not removed, renumbered or given another type
//! (`tests/it/protocol.rs`).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Serialize, Serializer};

/// The package `rmqnode.admin.v1`.
pub mod v1 {
    #![expect(
        unused_qualifications,
        clippy::allow_attributes_without_reason,
        clippy::too_many_lines,
        reason = "generated"
    )]

    tonic::include_proto!("rmqnode.admin.v1");
}

/// The same as descriptors, which reflection answers with.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/admin.binpb"));

/// An enum by its name; a number that a newer peer sent and that has none here stays one.
fn enum_name<E, S>(number: &i32, serializer: S) -> Result<S::Ok, S::Error>
where
    E: TryFrom<i32> + Serialize,
    S: Serializer,
{
    match E::try_from(*number) {
        Ok(value) => value.serialize(serializer),
        Err(_) => serializer.serialize_i32(*number),
    }
}

fn base64<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&STANDARD.encode(bytes))
}
