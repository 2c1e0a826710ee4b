//! What the facade asks of the node that it is part of; everything else it asks of the cluster.
//!
//! The node implements it (`crate::node`). Invariant: whatever blocks says so.

use std::fmt;
use std::sync::Arc;

use super::alerts::Alerts;
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

    /// What it runs with, as far as others depend on it.
    fn own(&self) -> Own;

    /// Begins to stop, in order.
    fn stop(&self);

    /// Where its slave of a group answers on this host, as `host:port`.
    ///
    /// # Errors
    /// It has none.
    fn slave_address(&self, group: &str) -> Result<String, AdminError>;
}

/// What a node runs with, as far as others depend on it.
#[derive(Clone, Debug, Default)]
pub struct Own {
    /// Its brokers: the group, and the number in it; 0 is the master.
    pub brokers: Vec<(String, i64)>,
    /// Disk use above which it stores nothing.
    pub disk_read_only_percent: u8,
    /// The format of its data directory.
    pub data_format: u32,
}

impl Own {
    /// The groups whose masters it runs.
    pub fn masters(&self) -> impl Iterator<Item = &String> {
        self.brokers.iter().filter(|(_, id)| *id == 0).map(|(group, _)| group)
    }
}

/// What the services of a node have, and those in another process have not.
#[derive(Clone, Debug)]
pub struct OfNode {
    /// Where changes are written down.
    pub audit: Arc<AuditLog>,
    /// What is wrong with the cluster.
    pub alerts: Arc<Alerts>,
    /// The node.
    pub control: Arc<dyn NodeControl>,
}
