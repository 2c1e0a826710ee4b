//! Skeleton.

use crate::clock::Clock;

/// Skeleton.
#[derive(Debug)]
pub(super) struct Clients;

impl Clients {
    pub(super) fn new(_clock: &Clock) -> Self {
        Self
    }
}

impl Clients {
    pub(super) fn forget_connection(&self, _connection: &crate::transport::Connection) {}
}
