//! The node's own door for operators: the admin services on its socket, asking its cluster as the node.
//!
//! Not what they do (`crate::admin`). Invariants: it is open from when the accounts are known until everything else has
//! stopped; a node without it serves its clients all the same.

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::data_dir::DataDir;
use super::{Base, options};
use crate::admin::Admin;
use crate::admin::service::{routes, socket::AdminSocket};
use crate::config::Config;
use crate::task::{self, Kind};

/// Opens the socket in the runtime directory, else in the data directory, and serves on it until `stop`.
pub fn open(
    config: &Config,
    base: &Base,
    data_dir: &DataDir,
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
    let signer = base.acl.as_ref().map(options::signer).unwrap_or_default();
    let routes = routes(Admin::new(config.name_servers.clone(), signer));
    let stop = stop.clone();
    Some(task::spawn(Kind::Ignore, "admin socket", async move {
        if let Err(error) = socket.serve(routes, stop).await {
            tracing::error!(%error, "the admin socket has ended");
        }
    }))
}
