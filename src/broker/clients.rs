//! Skeleton.

use std::sync::Arc;

use crate::clock::Clock;
use crate::filter::Subscription;

/// Skeleton.
#[derive(Debug)]
pub(super) struct Clients;

/// Skeleton.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MessageModel {
    /// Skeleton.
    Broadcasting,
    /// Skeleton.
    Clustering,
}

/// Skeleton.
pub(super) struct ConsumerGroup {
    pub message_model: MessageModel,
}

impl Clients {
    pub(super) fn new(_clock: &Clock) -> Self {
        Self
    }
}

impl Clients {
    pub(super) fn forget_connection(&self, _connection: &crate::transport::Connection) {}
    pub(super) fn consumer_group(&self, _group: &str) -> Option<ConsumerGroup> {
        None
    }
    pub(super) fn subscription(&self, _group: &str, _topic: &str) -> Option<Arc<Subscription>> {
        None
    }
}
