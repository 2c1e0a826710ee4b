//! What the facade asks of the node that it is part of; everything else it asks of the cluster.
//!
//! The node implements it (`crate::node`). Invariant: whatever blocks says so.

use std::fmt;
use std::sync::Arc;

use super::{AdminError, AuditLog};
use crate::proto::v1::NodeStatus;

/// A node's own operations.
pub trait NodeControl: fmt::Debug + Send + Sync {
    /// How it is.
    fn status(&self) -> NodeStatus;

    /// Reads the settings again; returns what has changed. Blocks.
    ///
    /// # Errors
    /// They are wrong, or need a restart: nothing has changed.
    fn reload(&self) -> Result<Vec<String>, AdminError>;

    /// The groups whose masters it runs.
    fn masters(&self) -> Vec<String>;

    /// Where its slave of a group answers on this host, as `host:port`.
    ///
    /// # Errors
    /// It has none.
    fn slave_address(&self, group: &str) -> Result<String, AdminError>;
}

/// What the services of a node have, and those in another process have not.
#[derive(Clone, Debug)]
pub struct OfNode {
    /// Where changes are written down.
    pub audit: Arc<AuditLog>,
    /// The node.
    pub control: Arc<dyn NodeControl>,
}
