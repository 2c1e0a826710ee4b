//! The name server and the brokers of a node: their ports, and each step of their start and stop together.
//!
//! Not the order of the steps, which is `super`'s, nor what a broker does (`broker_role`). Invariants: a role's port
//! is closed before what it uses is; a role that cannot run keeps no other from running.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::broker_role::{Binding, BrokerPorts, BrokerRole, Serving, Stage};
use super::data_dir::DataDir;
use super::status::{self, BrokerState};
use super::{Base, StartError, figures, options, ports};
use crate::config::{self, Config};
use crate::metrics::Gauge;
use crate::nameserver::{NameServer, NameServerService};
use crate::task::{self, Kind};
use crate::transport::{Limits, Server};

const NAME_SERVER: &str = "the name server";

/// All ports of the node, bound and not served.
#[derive(Debug)]
pub struct Ports {
    name_server: Option<Server>,
    brokers: Vec<BrokerPorts>,
    binding: Binding,
}

/// Binds every port of every role, each on the runtime that will serve it.
pub fn bind(config: &Config, base: &Base) -> Result<Ports, StartError> {
    let limits = Arc::clone(&base.live.limits);
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
    let binding = Binding { listen: config.listen, limits, tls: base.live.tls.clone() };
    let brokers = config.brokers.iter().map(|settings| binding.bind(settings));
    let brokers = brokers.collect::<Result<_, _>>()?;
    Ok(Ports { name_server, brokers, binding })
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

/// The name server of a node, if it runs one.
#[derive(Debug)]
struct NameServerRole {
    /// Cancelled to end what it does beside its requests.
    parts: CancellationToken,
    port: Serving,
    /// Why it stays down.
    down: Option<String>,
}

impl Default for NameServerRole {
    fn default() -> Self {
        let parts = CancellationToken::new();
        Self { port: Serving::under(&parts), parts, down: None }
    }
}

/// Everything that runs; what was not started yet is empty.
#[derive(Debug, Default)]
pub struct Roles {
    name_server: NameServerRole,
    brokers: Vec<Arc<BrokerRole>>,
    running: Vec<JoinHandle<()>>,
}

impl Roles {
    /// Returns when something that the name server cannot be without has ended; brokers say so themselves.
    pub fn part_ended(&self) -> impl Future<Output = ()> + Send + 'static {
        // The port ends with the other parts.
        let ended = self.name_server.port.close.clone();
        async move { ended.cancelled().await }
    }

    /// Nobody waits any more: that the rest ends is in order.
    pub fn give_up(&self) {
        self.name_server.parts.cancel();
        for broker in &self.brokers {
            broker.give_up();
        }
    }

    /// Lets the name server answer, if there is one. One that cannot is down, and its port is closed.
    pub async fn start_name_server(
        &mut self,
        ports: &mut Ports,
        config: &Config,
        data_dir: &DataDir,
        base: &Base,
    ) {
        let (Some(server), Some(settings)) = (ports.name_server.take(), &config.name_server) else {
            return;
        };
        match open_name_server(settings, data_dir, base).await {
            Ok(name_server) => {
                name_server.start(&base.control, &self.name_server.parts);
                let service = Arc::new(NameServerService(name_server));
                let server = server.with_tls(&base.live.tls);
                let served = server.serve(service, self.name_server.port.close.clone());
                let _entered = base.control.enter();
                self.name_server.port.spawn("name server", served);
            }
            Err(StartError(reason)) => {
                tracing::error!("{NAME_SERVER} stays down: {reason}");
                self.name_server.down = Some(reason);
            }
        }
    }

    /// Starts all brokers side by side.
    pub fn start_brokers(
        &mut self,
        ports: Ports,
        config: &Config,
        data_dir: &Arc<DataDir>,
        base: &Base,
    ) {
        let role = |settings| {
            let changed = (&base.live.retention, &base.live.overrides);
            BrokerRole::new(config, settings, data_dir, &ports.binding, changed, base.acl.as_ref())
        };
        self.brokers = config.brokers.iter().map(role).collect();
        let _entered = base.control.enter();
        for (role, ports) in self.brokers.iter().zip(ports.brokers) {
            let running = Arc::clone(role).run(ports, Arc::clone(data_dir), base.clone());
            // A role that is down ends with the node too.
            self.running.push(task::spawn(Kind::StopNode(base.stop.clone()), "broker", running));
        }
        status::show(&self.brokers, &base.metrics);
        figures::start(&self.brokers, base);
    }

    /// Returns when every broker is open or down.
    ///
    /// # Errors
    /// Nothing can run; the text says why.
    pub async fn opened(&self) -> Result<(), StartError> {
        self.all(|stage| *stage != Stage::Opening).await;
        let down = self.down();
        if !self.name_server.port.is_empty() || down.len() < self.brokers.len() {
            return Ok(());
        }
        let name_server = self.name_server.down.iter().map(|why| format!("{NAME_SERVER}: {why}"));
        let brokers = down.iter().map(|(group, why)| format!("{group}: {why}"));
        Err(StartError(name_server.chain(brokers).collect::<Vec<_>>().join("; ")))
    }

    /// Returns when every broker is found by clients, or down.
    pub async fn registered(&self) {
        self.all(|stage| !matches!(stage, Stage::Opening | Stage::Registering)).await;
    }

    async fn all(&self, is_so: fn(&Stage) -> bool) {
        for broker in &self.brokers {
            // The sender lives as long as the role.
            let _ = broker.stage().wait_for(is_so).await;
        }
    }

    /// One line on how they all are; `standalone` is the address of a node that no broker is configured for.
    pub fn status(&self, standalone: Option<IpAddr>) -> String {
        let brokers: Vec<_> = self.brokers.iter().map(|one| BrokerState::of(one)).collect();
        status::line(&brokers, self.name_server.down.as_deref(), standalone)
    }

    /// The brokers that cannot run, each with the reason.
    pub fn down(&self) -> Vec<(String, String)> {
        let down = |broker: &Arc<BrokerRole>| match &*broker.stage().borrow() {
            Stage::Down(reason) => Some((broker.settings.group.clone(), reason.clone())),
            _ => None,
        };
        self.brokers.iter().filter_map(down).collect()
    }

    /// Waits until every broker has stopped, which begins when [`Base::stop`] is cancelled.
    ///
    /// # Errors
    /// Not all that was stored is on the disk.
    pub async fn stop_brokers(&mut self) -> Result<(), StartError> {
        for done in self.running.drain(..) {
            if let Err(error) = done.await {
                tracing::error!(%error, "a broker did not stop in order");
            }
        }
        let is_unsaved = |broker: &&Arc<BrokerRole>| {
            *broker.stage().borrow() == Stage::Stopped { all_saved: false }
        };
        let unsaved: Vec<_> = self.brokers.iter().filter(is_unsaved).collect();
        if unsaved.is_empty() {
            return Ok(());
        }
        let groups: Vec<_> = unsaved.iter().map(|broker| broker.settings.group.as_str()).collect();
        let text = format!("not all of {} could be saved: see the log", groups.join(", "));
        Err(StartError(text))
    }

    /// Closes the name server's port once what is in flight is answered.
    pub async fn stop_name_server(&mut self) {
        self.name_server.parts.cancel();
        self.name_server.port.close().await;
    }
}

async fn open_name_server(
    settings: &config::NameServer,
    data_dir: &DataDir,
    base: &Base,
) -> Result<Arc<NameServer>, StartError> {
    data_dir.make_folder(options::NAME_SERVER_FOLDER)?;
    let (options, clock) = (
        options::name_server(settings, data_dir.path(), base.acl.as_ref(), &base.live.limits),
        base.clock.clone(),
    );
    let opening =
        task::spawn_blocking("open name server", move || NameServer::open(options, &clock));
    // That it did not end is a bug.
    let opened = opening.await.map_err(|error| StartError(error.to_string()))?;
    let folder = options::NAME_SERVER_FOLDER;
    opened.map_err(|error| StartError(data_dir.explain(folder, &error.to_string())))
}
