//! The node's own doors for operators: the admin services on its socket, and on a TCP port if the settings say so, asking
//! its cluster as the node, and the node's own operations.
//!
//! Not what they do (`crate::admin`). Invariants: they are open from when the accounts are known until everything else has
//! stopped; a node without its socket serves its clients all the same.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use nix::sys::signal::Signal;
use tokio::net::TcpSocket;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::data_dir::{DATA_FORMAT, DataDir};
use super::live::Live;
use super::{Base, StartError, options, ports, reload};
use crate::admin::alerts::{Alerts, AlertsHost};
use crate::admin::service::gate::Gate;
use crate::admin::service::logins::KnownLogins;
use crate::admin::service::port::AdminPort;
use crate::admin::service::routes;
use crate::admin::service::socket::AdminSocket;
use crate::admin::{Admin, AdminError, AuditLog, NodeControl, OfNode, Own};
use crate::config::{self, Config, Role};
use crate::proto::v1::NodeStatus;
use crate::task::{self, Kind};
use crate::transport::Credentials;

/// Who may use the admin API over TCP; nobody where it is not there. Blocks.
///
/// # Errors
/// The file of logins cannot be used.
pub fn read_logins(config: &Config) -> Result<KnownLogins, StartError> {
    if config.admin.listen.is_none() {
        return Ok(KnownLogins::default());
    }
    let has_ca = !config.tls.ca_file.as_os_str().is_empty();
    KnownLogins::read(&config.admin.logins_file, has_ca).map_err(StartError)
}

/// Keeps the port for operators, where there is one.
///
/// # Errors
/// As [`ports::reserve`].
pub fn bind(config: &Config, base: &Base) -> Result<Option<TcpSocket>, StartError> {
    let _entered = base.control.enter();
    let reserve = |address| ports::reserve("port of the admin API", address);
    config.admin.listen.map(reserve).transpose()
}

/// Opens the socket in the runtime directory, else in the data directory, and the port if there is one, and serves on both
/// until `stop`.
///
/// # Errors
/// The port does not listen.
pub fn open(
    admin: &Admin,
    of_node: &OfNode,
    port: Option<TcpSocket>,
    base: &Base,
    data_dir: &DataDir,
    stop: &CancellationToken,
) -> Result<Vec<JoinHandle<()>>, StartError> {
    let _entered = base.control.enter();
    let routes = routes(admin.clone(), Some(of_node.clone()));
    let live = &base.live;
    let gate = Gate::new(live.logins.clone(), Arc::clone(&base.metrics), base.clock.clone());
    let mut doors = Vec::new();
    if let Some(port) = port {
        let listener = ports::listen(port)?;
        let port =
            AdminPort::new(listener, live.tls.clone(), Arc::clone(&live.limits), gate.clone());
        let serving = port.serve(routes.clone(), stop.clone());
        doors.push(task::spawn(Kind::Ignore, "admin port", async move {
            if let Err(error) = serving.await {
                tracing::error!(%error, "the port of the admin API has ended");
            }
        }));
    }
    let folder = live.runtime_dir().unwrap_or(data_dir.path());
    let socket = match AdminSocket::bind(folder) {
        Ok(socket) => socket,
        Err(error) => {
            let folder = folder.display();
            tracing::warn!(%folder, %error, "no admin socket: `rmq-node admin` asks the name servers itself");
            return Ok(doors);
        }
    };
    let serving = socket.serve(routes, gate, stop.clone());
    doors.push(task::spawn(Kind::Ignore, "admin socket", async move {
        if let Err(error) = serving.await {
            tracing::error!(%error, "the admin socket has ended");
        }
    }));
    Ok(doors)
}

/// Asks these name servers and their cluster as the node.
pub fn admin(name_servers: Vec<String>, base: &Base) -> Admin {
    let signer = base.acl.as_ref().map(options::signer).unwrap_or_default();
    Admin::new(name_servers, Credentials { signer, tls: base.live.tls.clone() })
}

/// What only the node itself can tell and do; its alerts are looked after until `stop`.
pub fn of_node(
    admin: &Admin,
    config: &Config,
    base: &Base,
    data_dir: &DataDir,
    stop: &CancellationToken,
) -> OfNode {
    let alerts = alerts(admin.clone(), config, base, data_dir);
    let running = Arc::clone(&alerts).run();
    let ending = stop.clone();
    let _entered = base.control.enter();
    task::spawn(Kind::Ignore, "alerts", async move {
        let _ = ending.run_until_cancelled(running).await;
    });
    OfNode {
        alerts,
        audit: Arc::new(AuditLog::new(data_dir.path())),
        control: Arc::new(Control {
            live: Arc::clone(&base.live),
            config: config.clone(),
            started_ms: base.clock.now_ms(),
        }),
    }
}

/// The alerts of the node; what survived the last stop is read.
fn alerts(admin: Admin, config: &Config, base: &Base, data_dir: &DataDir) -> Arc<Alerts> {
    let own =
        config.brokers.iter().map(|one| SocketAddr::new(config.advertise, one.port).to_string());
    let of_node = (config.cluster.clone(), own.collect());
    let host = Arc::new(Host(Arc::clone(&base.live)));
    let measured = (base.clock.clone(), Arc::clone(&base.metrics));
    Alerts::open(admin, host, measured, of_node, data_dir.path())
}

/// What alerts ask of the node.
#[derive(Debug)]
struct Host(Arc<Live>);

impl AlertsHost for Host {
    fn settings(&self) -> config::Alerts {
        self.0.settings(|settings| settings.alerts.clone())
    }

    fn certificate_not_after_s(&self) -> Option<i64> {
        self.0.tls.material()?.not_after_s()
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

    fn own(&self) -> Own {
        let brokers = self.config.brokers.iter();
        Own {
            brokers: brokers.map(|broker| (broker.group.clone(), broker.id.into())).collect(),
            disk_read_only_percent: self.live.retention.get().disk_read_only_percent,
            data_format: DATA_FORMAT,
        }
    }

    fn stop(&self) {
        // What a service manager sends, so that there is one way to stop.
        if let Err(error) = nix::sys::signal::raise(Signal::SIGTERM) {
            tracing::error!(%error, "the node cannot be told to stop");
        }
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
    use crate::admin::service::logins::Logins;
    use crate::clock::Clock;
    use crate::config::Sources;
    use crate::node::logging::Threshold;
    use crate::transport::Tls;

    #[test]
    fn how_full_the_disk_may_be_is_told_as_it_is_now() {
        let loaded = config::check_text("a.toml", "").unwrap();
        let (files, clock) =
            ((Tls::default(), Logins::new(KnownLogins::default())), Clock::system());
        let live = Live::new(&loaded, Threshold::of_nobody(), &Arc::default(), files, clock, None);
        let control =
            Control { live: Arc::new(live), config: loaded.config.clone(), started_ms: 0 };
        assert_eq!(control.own().disk_read_only_percent, 90);
        let mut store = loaded.config.store;
        store.disk_read_only_percent = 95;
        control.live.retention.set(options::retention(&store));
        assert_eq!(control.own().disk_read_only_percent, 95);
    }

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
