//! Skeleton.

use crate::clock::Clock;

/// Skeleton.
#[derive(Debug)]
pub(super) struct Statistics;

impl Statistics {
    pub(super) fn new(_clock: &Clock) -> Self {
        Self
    }

    /// Counts messages of a producer that are stored.
    pub(super) fn messages_in(&self, _topic: &str, _count: u64, _bytes: u64) {}

    /// Counts messages in an answer to a pull.
    pub(super) fn messages_out(&self, _group: &str, _topic: &str, _count: u64, _bytes: u64) {}

    /// Counts a pull that found nothing.
    pub(super) fn pull_missed(&self) {}
}
