//! Skeleton.

use crate::clock::Clock;

/// Skeleton.
#[derive(Debug)]
pub(super) struct Statistics;

impl Statistics {
    pub(super) fn new(_clock: &Clock) -> Self {
        Self
    }
}
