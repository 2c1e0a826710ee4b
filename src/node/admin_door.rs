//! The node's own door for operators: the admin services on its socket, asking its cluster as the node, and the node's own
//! operations.
//!
//! Not what they do (`crate::admin`). Invariants: it is open from when the accounts are known until everything else has
//! stopped; a node without it serves its clients all the same.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::data_dir::DataDir;
use super::live::Live;
use super::{Base, options, reload};
use crate::admin::service::{routes, socket::AdminSocket};
use crate::admin::{Admin, AdminError, AuditLog, NodeControl, OfNode};
use crate::config::{Config, Role};
use crate::proto::v1::NodeStatus;
use crate::task::{self, Kind};
use crate::transport::Credentials;

/// Opens the socket in the runtime directory, else in the data directory, and serves on it until `stop`.
pub fn open(
    config: &Config,
    base: &Base,
    data_dir: &DataDir,
    of_node: &OfNode,
    stop: &CancellationToken,
) -> Option<JoinHandle<()>> {
    let folder = base.live.runtime_dir().unwrap_or(data_dir.path());
    let _entered = base.control.enter();
    let socket = match AdminSocket::bind(folder) {
        Ok(socket) => socket,
        Err(error) => {
            let folder = folder.display();
            tracing::warn!(%folder, %error, "no admin socket: `rmq-node admin` asks the name servers itself");
            return None;
        }
    };
    let admin = admin(config.name_servers.clone(), base);
    let routes = routes(admin, Some(of_node.clone()));
    let stop = stop.clone();
    Some(task::spawn(Kind::Ignore, "admin socket", async move {
        if let Err(error) = socket.serve(routes, stop).await {
            tracing::error!(%error, "the admin socket has ended");
        }
    }))
}

/// Asks these name servers and their cluster as the node.
pub fn admin(name_servers: Vec<String>, base: &Base) -> Admin {
    let signer = base.acl.as_ref().map(options::signer).unwrap_or_default();
    Admin::new(name_servers, Credentials { signer, tls: base.live.tls.clone() })
}

/// What only the node itself can tell and do.
pub fn of_node(config: &Config, base: &Base, data_dir: &DataDir) -> OfNode {
    OfNode {
        audit: Arc::new(AuditLog::new(data_dir.path())),
        control: Arc::new(Control {
            live: Arc::clone(&base.live),
            config: config.clone(),
            started_ms: base.clock.now_ms(),
        }),
    }
}

#[derive(Debug)]
struct Control {
    live: Arc<Live>,
    /// What it started with: nothing of what is told from it changes while the node runs.
    config: Config,
    started_ms: i64,
}

impl NodeControl for Control {
    fn status(&self) -> NodeStatus {
        NodeStatus {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            commit: env!("BUILD_COMMIT").to_owned(),
            pid: std::process::id(),
            started_ms: self.started_ms,
            status: self.live.status(),
            data_dir: self.config.data_dir.display().to_string(),
            name_servers: self.config.name_servers.clone(),
        }
    }

    fn reload(&self) -> Result<Vec<String>, AdminError> {
        reload(&self.live).map_err(|refused| AdminError::Conflict(refused.to_string()))
    }

    fn slave_address(&self, group: &str) -> Result<String, AdminError> {
        slave_address(group, &self.config)
    }
}

fn slave_address(group: &str, config: &Config) -> Result<String, AdminError> {
    let mut slaves = config.brokers.iter().filter(|broker| broker.role == Role::Slave);
    let Some(slave) = slaves.clone().find(|slave| slave.group == group) else {
        let known: Vec<_> = slaves.by_ref().map(|slave| slave.group.as_str()).collect();
        let known = if known.is_empty() { "none at all".to_owned() } else { known.join(", ") };
        let text = format!("this host's settings have no slave of \"{group}\"; there is: {known}");
        return Err(AdminError::NotFound(text));
    };
    let host = match config.listen {
        IpAddr::V4(all) if all.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(all) if all.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        one => one,
    };
    Ok(SocketAddr::new(host, slave.port).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{self, Sources};

    #[test]
    fn only_a_slave_of_this_host_begins_anew() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a.toml");
        let text = "advertise = \"192.168.1.1\"\nname_servers = [\"192.168.1.1:9876\"]\n\
                    [[broker]]\ngroup = \"a\"\n\
                    [[broker]]\ngroup = \"b\"\nrole = \"slave\"\nport = 10921\n";
        std::fs::write(&file, text).unwrap();
        let sources = Sources { config_file: Some(file), ..Sources::default() };
        let config = config::load(&sources).unwrap().config;
        assert_eq!(slave_address("b", &config).unwrap(), "127.0.0.1:10921");
        let refused = slave_address("a", &config).unwrap_err();
        let text = "this host's settings have no slave of \"a\"; there is: b";
        assert_eq!(refused, AdminError::NotFound(text.to_owned()));
    }
}
