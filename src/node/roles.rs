//! The name server and the brokers of a node: their ports, stores and services, and each step of their
//! start and stop.
//!
//! Not the order of the steps, which is `super`'s, nor what a role does. Invariant: a role's port is closed before what it uses is.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::data_dir::DataDir;
use super::{Base, StartError, options, ports};
use crate::broker::{Broker, BrokerService};
use crate::config::{self, Config, Role};
use crate::metrics::Gauge;
use crate::nameserver::{NameServer, NameServerService};
use crate::replication::{Phase, Receiver, Sender};
use crate::store::{OpenError, StartTopics, Store};
use crate::systemd;
use crate::task::{self, Kind};
use crate::transport::{Limits, Server};

/// How long a start that reads its log may take until it tells its progress again.
const PROGRESS_TIMEOUT: Duration = Duration::from_secs(60);

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
    let limits = Arc::new(Limits::new(options::limits(&config.limits)));
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

fn show_replication(senders: Vec<Arc<Sender>>, receivers: Vec<Arc<Receiver>>, base: &Base) {
    let senders: Arc<[Arc<Sender>]> = senders.into();
    let counted = Arc::clone(&senders);
    base.metrics.gauge(Gauge::Slaves, move || counted.iter().map(|one| one.slaves().len()).sum());
    base.metrics.gauge(Gauge::SlaveBehindBytes, move || {
        let behind = senders.iter().flat_map(|one| one.slaves()).map(|slave| slave.behind_bytes);
        usize::try_from(behind.max().unwrap_or(0)).unwrap_or(usize::MAX)
    });
    base.metrics.gauge(Gauge::CopiesNotInSync, move || {
        receivers.iter().filter(|one| one.state().phase != Phase::InSync).count()
    });
}

/// Tasks that end together.
#[derive(Debug, Default)]
struct Serving {
    close: CancellationToken,
    tasks: Vec<JoinHandle<()>>,
}

impl Serving {
    /// Spawns on the runtime that is entered; the node cannot go on without any of them.
    fn spawn<F>(&mut self, base: &Base, name: &'static str, served: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.tasks.push(task::spawn(Kind::StopNode(base.stop.clone()), name, served));
    }

    /// Returns when what is in flight is answered and every port is closed.
    async fn close(&mut self) {
        self.close.cancel();
        all_done("a port", std::mem::take(&mut self.tasks)).await;
    }
}

/// Everything that runs; what was not started yet is empty.
#[derive(Debug, Default)]
pub struct Roles {
    /// Cancelled to end what brokers do beside their requests.
    stop_brokers: CancellationToken,
    /// Cancelled to end what the name server does beside its requests.
    stop_name_server: CancellationToken,
    stores: Vec<Arc<Store>>,
    brokers: Vec<Arc<Broker>>,
    broker_ports: Serving,
    /// HA ports, and what copies masters' logs.
    replication: Serving,
    name_server_port: Serving,
}

impl Roles {
    /// Returns when something that a role cannot be without has ended beside its requests.
    pub fn part_ended(&self) -> impl Future<Output = ()> + Send + 'static {
        let (brokers, name_server) = (self.stop_brokers.clone(), self.stop_name_server.clone());
        async move {
            tokio::select! {
                () = brokers.cancelled() => {}
                () = name_server.cancelled() => {}
            }
        }
    }

    /// Nobody waits any more: that the rest ends is in order.
    pub fn give_up(&self) {
        self.stop_brokers.cancel();
        self.stop_name_server.cancel();
    }

    /// Lets the name server answer, if there is one.
    pub async fn start_name_server(
        &mut self,
        ports: &mut Ports,
        config: &Config,
        data_dir: &DataDir,
        base: &Base,
    ) -> Result<(), StartError> {
        let (Some(server), Some(settings)) = (ports.name_server.take(), &config.name_server) else {
            return Ok(());
        };
        data_dir.make_folder(options::NAME_SERVER_FOLDER)?;
        let (options, clock) =
            (options::name_server(settings, data_dir.path()), base.clock.clone());
        let opening =
            task::spawn_blocking("open name server", move || NameServer::open(options, &clock));
        let opened = joined(opening.await)?;
        let name_server = opened.map_err(|error| StartError(format!("name server: {error}")))?;
        name_server.start(&base.control, &self.stop_name_server);
        let service = Arc::new(NameServerService(name_server));
        let served = server.serve(service, self.name_server_port.close.clone());
        let _entered = base.control.enter();
        self.name_server_port.spawn(base, "name server", served);
        Ok(())
    }

    /// Opens all stores side by side. If one cannot be opened the others are all the same: they are
    /// [stopped](Self::stop_stores) afterwards.
    pub async fn open_stores(
        &mut self,
        config: &Config,
        data_dir: &Arc<DataDir>,
        base: &Base,
    ) -> Result<(), StartError> {
        let open = |broker: &config::Broker| {
            let group = broker.group.clone();
            let options = options::store(config, broker, data_dir.path());
            let start_topics = StartTopics::new(&config.cluster, &group);
            // Goes with the store: a start that is given up half-way lets nobody in before the store is closed.
            let (data_dir, clock) = (Arc::clone(data_dir), base.clock.clone());
            task::spawn_blocking("open store", move || {
                let progress = |read: u64, all: u64| tell_progress(&group, read, all);
                let opened = Store::open(options, &start_topics, &clock, &progress);
                let opened = opened.map(|store| (store, data_dir));
                opened.map_err(|OpenError(text)| StartError(format!("{group}: {text}")))
            })
        };
        let opening: Vec<_> = config.brokers.iter().map(open).collect();
        let mut result = Ok(());
        for opened in opening {
            match joined(opened.await).and_then(|opened| opened) {
                Ok((store, _)) => self.stores.push(store),
                Err(error) => result = result.and(Err(error)),
            }
        }
        result
    }

    /// Lets the brokers answer.
    pub fn serve_brokers(&mut self, ports: Ports, config: &Config, base: &Base) {
        let _entered = base.data.enter();
        let close = self.broker_ports.close.clone();
        let stores = self.stores.clone();
        let (mut senders, mut receivers) = (Vec::new(), Vec::new());
        for ((ports, settings), store) in
            ports.brokers.into_iter().zip(&config.brokers).zip(&stores)
        {
            let options = options::broker(config, settings);
            let metrics = Arc::clone(&base.metrics);
            let broker = Broker::new(options, Arc::clone(store), &base.clock, metrics);
            let service = Arc::new(BrokerService(Arc::clone(&broker)));
            for server in [ports.main, ports.vip] {
                let served = server.serve(service.clone(), close.clone());
                self.broker_ports.spawn(base, "broker", served);
            }
            let sender = Sender::new(Arc::clone(store));
            let stop = self.replication.close.clone();
            self.replication.spawn(base, "HA port", Arc::clone(&sender).serve(ports.ha, stop));
            senders.push(sender);
            if settings.role == Role::Slave {
                receivers.push(self.start_receiver(&broker, store, base));
            }
            self.brokers.push(broker);
        }
        show_replication(senders, receivers, base);
    }

    /// Starts to copy the log of a slave's master, once a name server says where that is.
    fn start_receiver(
        &mut self,
        broker: &Arc<Broker>,
        store: &Arc<Store>,
        base: &Base,
    ) -> Arc<Receiver> {
        let mut masters = broker.master_addresses();
        let (address, addresses) = watch::channel(None);
        let stop = self.replication.close.clone();
        let named = async move {
            loop {
                address.send_replace(masters.borrow_and_update().as_ref().map(|at| at.ha.clone()));
                if masters.changed().await.is_err() {
                    return;
                }
            }
        };
        let receiver = Receiver::new(Arc::clone(store), addresses);
        let copying = Arc::clone(&receiver).run(stop.clone());
        self.replication.spawn(base, "copy of a log", async move {
            tokio::join!(copying, stop.run_until_cancelled(named));
        });
        receiver
    }

    /// Starts what brokers do beside their requests; they register with the name servers.
    pub fn start_brokers(&self, base: &Base) {
        for broker in &self.brokers {
            broker.start(&base.control, &base.data, &self.stop_brokers);
        }
    }

    /// Waits until every broker is registered with one name server.
    pub fn registered(&self) -> impl Future<Output = ()> + Send + 'static {
        let brokers = self.brokers.clone();
        async move {
            for broker in brokers {
                broker.registered().await;
            }
        }
    }

    /// Tells the name servers that the brokers are gone.
    pub async fn unregister_brokers(&self) {
        for broker in &self.brokers {
            broker.unregister().await;
        }
    }

    /// Closes the brokers' ports once what is in flight is answered, and ends what brokers do beside their requests.
    pub async fn stop_brokers(&mut self) {
        self.broker_ports.close().await;
        // What was in flight may have waited for slaves.
        self.replication.close().await;
        self.stop_brokers.cancel();
        let finish = |broker: Arc<Broker>| task::spawn_blocking("end", move || broker.finish());
        all_done("a broker", self.brokers.drain(..).map(finish).collect()).await;
    }

    /// Brings all that is stored to the disk.
    pub async fn stop_stores(&mut self) {
        let stop = |store: Arc<Store>| task::spawn_blocking("stop store", move || store.stop());
        all_done("a store", self.stores.drain(..).map(stop).collect()).await;
    }

    /// Closes the name server's port once what is in flight is answered.
    pub async fn stop_name_server(&mut self) {
        self.stop_name_server.cancel();
        self.name_server_port.close().await;
    }
}

/// Waits for all; that one panics does not keep the others from their end.
async fn all_done(what: &str, tasks: Vec<JoinHandle<()>>) {
    for done in tasks {
        if let Err(error) = done.await {
            tracing::error!(%error, "{what} did not stop in order");
        }
    }
}

/// What a blocking step ended with; that it did not end is a bug.
fn joined<T>(result: Result<T, tokio::task::JoinError>) -> Result<T, StartError> {
    result.map_err(|error| StartError::from(io::Error::other(error)))
}

/// A long recovery is no reason to be given up.
fn tell_progress(group: &str, read: u64, all: u64) {
    const MIB: u64 = 1 << 20;
    let text = format!("{group}: reading its log, {} of {} MiB", read / MIB, all.div_ceil(MIB));
    tracing::info!("{text}");
    systemd::extend_start(PROGRESS_TIMEOUT, &text);
}
