//! Bodies of requests and answers, in fastjson's dialect; one file per family.
//!
//! Not headers. Invariants: reading is as lenient as fastjson, writing is what 4.9.4 writes byte for byte.

pub mod accounts;
pub mod client_calls;
pub mod clients;
pub mod consume_stats;
pub mod dial_back;
pub mod extension;
pub mod groups;
pub mod heartbeat;
pub mod offsets;
pub mod order_locks;
pub mod queue_entries;
mod queues;
pub mod registration;
pub mod route;
pub mod running_info;
pub mod topic_stats;
pub mod topics;
