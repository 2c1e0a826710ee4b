//! The name server and the brokers of a node: their ports, stores and services.
//!
//! Not built yet: the services themselves. Until they are, the ports are bound and every request gets
//! code 3. Invariant: a role's port is closed before what it uses is.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{Base, StartError, ports};
use crate::config::{self, Config};
use crate::metrics::Gauge;
use crate::remoting::{Command, response};
use crate::task::{self, Kind};
use crate::transport::{LimitNumbers, Limits, Responder, Server, Service};

/// The pause after a failed accept; running out of descriptors does not pass at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// All ports of the node, bound and not served.
#[derive(Debug)]
pub struct Ports {
    name_server: Option<Server>,
    brokers: Vec<BrokerPorts>,
}

#[derive(Debug)]
struct BrokerPorts {
    main: Server,
    /// Two below.
    vip: Server,
    /// One above (H-001).
    ha: TcpListener,
}

/// Binds every port of every role, each on the runtime that will serve it.
pub fn bind(config: &Config, base: &Base) -> Result<Ports, StartError> {
    let limits = Arc::new(Limits::new(limit_numbers(&config.limits)));
    show_limits(&limits, base);
    let at = |port: u16| SocketAddr::new(config.listen, port);
    let name_server = match &config.name_server {
        None => None,
        Some(server) => {
            let _entered = base.control.enter();
            Some(ports::bind("port of the name server", at(server.port), &limits)?)
        }
    };
    let _entered = base.data.enter();
    let mut brokers = Vec::new();
    for config::Broker { group, port, .. } in &config.brokers {
        brokers.push(BrokerPorts {
            main: ports::bind(&format!("port of {group}"), at(*port), &limits)?,
            vip: ports::bind(&format!("VIP port of {group}"), at(port - 2), &limits)?,
            ha: ports::listen(&format!("HA port of {group}"), at(port + 1))?,
        });
    }
    Ok(Ports { name_server, brokers })
}

fn limit_numbers(limits: &config::Limits) -> LimitNumbers {
    LimitNumbers {
        connections_max: limits.connections_max,
        connection_in_flight_max: limits.connection_in_flight_max,
        in_flight_max: limits.in_flight_max,
        frame_bytes_max: limits.frame_bytes_max,
        half_read_bytes_max: limits.half_read_bytes_max,
        connection_unsent_bytes_max: limits.connection_unsent_bytes_max,
        unsent_bytes_max: limits.unsent_bytes_max,
    }
}

fn show_limits(limits: &Arc<Limits>, base: &Base) {
    let show = |gauge: Gauge, read: fn(&Limits) -> usize| {
        let limits = Arc::clone(limits);
        base.metrics.gauge(gauge, move || read(&limits));
    };
    show(Gauge::Connections, Limits::connections);
    show(Gauge::RequestsInFlight, Limits::in_flight);
    show(Gauge::HalfReadBytes, Limits::half_read_bytes);
    show(Gauge::UnsentBytes, Limits::unsent_bytes);
}

/// Everything that serves.
#[derive(Debug)]
pub struct Roles {
    /// Cancelled to close the ports.
    close: CancellationToken,
    serving: Vec<JoinHandle<()>>,
}

impl Roles {
    /// Lets all ports answer.
    pub fn serve(ports: Ports, base: &Base) -> Self {
        let close = CancellationToken::new();
        let vital = || Kind::StopNode(base.stop.clone());
        let mut serving = Vec::new();
        if let Some(server) = ports.name_server {
            let _entered = base.control.enter();
            let served = server.serve(Arc::new(NotBuilt), close.clone());
            serving.push(task::spawn(vital(), "name server", served));
        }
        let _entered = base.data.enter();
        for broker in ports.brokers {
            for server in [broker.main, broker.vip] {
                let served = server.serve(Arc::new(NotBuilt), close.clone());
                serving.push(task::spawn(vital(), "broker", served));
            }
            let served = close_ha_connections(broker.ha, close.clone());
            serving.push(task::spawn(vital(), "HA port", served));
        }
        Self { close, serving }
    }

    /// Closes all ports once what is in flight is answered.
    pub async fn close_ports(&mut self) {
        self.close.cancel();
        for served in self.serving.drain(..) {
            if let Err(error) = served.await {
                tracing::error!(%error, "a port did not close in order");
            }
        }
    }
}

/// Slaves are not built yet: whoever dials the HA port is let go at once.
async fn close_ha_connections(listener: TcpListener, close: CancellationToken) {
    loop {
        tokio::select! {
            () = close.cancelled() => return,
            accepted = listener.accept() => match accepted {
                Ok((_, peer)) => tracing::debug!(%peer, "no replication yet: HA connection closed"),
                Err(error) => {
                    tracing::warn!(%error, "cannot accept an HA connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
}

/// Answers that there is no service yet.
struct NotBuilt;

impl Service for NotBuilt {
    fn on_request(&self, request: Command, responder: Responder) {
        let remark = format!("request code {} is not built yet", request.code);
        let answer = Command::response(response::REQUEST_CODE_NOT_SUPPORTED);
        responder.send(answer.with_remark(remark));
    }
}
