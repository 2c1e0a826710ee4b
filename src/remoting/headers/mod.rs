//! Headers that several places read or write; others use the getters of [`super::Command`].
//!
//! Invariant: reading borrows every text from the command; a mandatory field that is missing or
//! cannot be read is an error with its name (S-09).

mod admin;
mod pull;
mod send;

pub use admin::{RegisterBroker, create_topic, read_create_topic};
pub use pull::{PullHeader, PullResponse, pull_flag};
pub use send::{SendHeader, SendResponse};
