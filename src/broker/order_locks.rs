//! Skeleton.

use crate::clock::Clock;

/// Skeleton.
#[derive(Debug)]
pub(super) struct OrderLocks;

impl OrderLocks {
    pub(super) fn new(_clock: &Clock) -> Self {
        Self
    }
}
