//! Skeleton.

/// Skeleton.
#[derive(Debug, Default)]
pub(super) struct LongPolling;

/// Skeleton.
pub(super) fn listen(_broker: &std::sync::Arc<super::Broker>) {}
