//! Skeleton.

/// Skeleton.
#[derive(Debug, Default)]
pub(super) struct Registration;

impl Registration {
    pub(super) async fn registered(&self) {}
    /// Registers again soon: a topic changed.
    pub(super) fn changed(&self) {}
}
