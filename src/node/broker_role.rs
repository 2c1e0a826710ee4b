//! One broker of a node: its store, ports, replication and registration, from the opening to the end.
//!
//! Not the other roles: each runs by itself, and one whose own data cannot be used stays down alone, with its ports
//! closed, so that whoever dials them is refused and does not wait. Invariants: the HA port refuses until the role
//! serves; nothing is appended any more when a master's slaves get the rest; the store is stopped last.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpSocket;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::data_dir::DataDir;
use super::{Base, StartError, options, ports};
use crate::acl::Acl;
use crate::broker::{Broker, BrokerOptions, BrokerService};
use crate::config::{self, Config, Overrides, Role};
use crate::replication::{self, MasterAddresses, Member, Past, Receiver, Sender, Standing};
use crate::store::{OpenError, SharedRetention, StartTopics, Store, StoreOptions};
use crate::systemd;
use crate::task::{self, Kind};
use crate::transport::{Limits, Tls};

/// How long a start that reads its log may take until it tells its progress again.
const PROGRESS_TIMEOUT: Duration = Duration::from_secs(60);
/// How long a master that stops waits for slaves to get the rest of its log.
const SLAVES_GRACE: Duration = Duration::from_secs(5);
/// How often it looks whether they have it.
const SLAVES_LOOK: Duration = Duration::from_millis(20);

/// A broker's ports, bound; they let nobody in before its log is recovered, since a client that is refused turns to
/// another broker at once, and one that is kept waiting does not.
#[derive(Debug)]
pub struct BrokerPorts {
    pub main: TcpSocket,
    /// Two below.
    pub vip: TcpSocket,
    /// One above (H-001).
    pub ha: TcpSocket,
}

/// What a broker's ports are bound with, once more when its store is opened again.
#[derive(Clone, Debug)]
pub struct Binding {
    pub listen: IpAddr,
    pub limits: Arc<Limits>,
    pub tls: Tls,
}

impl Binding {
    /// Binds the ports of a broker on the runtime that is entered.
    pub fn bind(&self, settings: &config::Broker) -> Result<BrokerPorts, StartError> {
        let config::Broker { group, port, .. } = settings;
        let at = |port: u16| SocketAddr::new(self.listen, port);
        Ok(BrokerPorts {
            main: ports::reserve(&format!("port of {group}"), at(*port))?,
            vip: ports::reserve(&format!("VIP port of {group}"), at(port - 2))?,
            ha: ports::reserve(&format!("HA port of {group}"), at(port + 1))?,
        })
    }
}

/// How far a role is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Its log is being recovered.
    Opening,
    /// A master looks for its own past: it answers its peers and tools, and serves nobody yet.
    Starting(String),
    /// It answers, and no name server knows it yet.
    Registering,
    /// It answers and is found.
    Serving,
    /// Its data cannot be used, or it may not serve: why.
    Down(String),
    /// It has ended; whether all is on the disk.
    Stopped { all_saved: bool },
}

/// What there is of a role once its store is open.
#[derive(Debug)]
pub struct Running {
    pub member: Arc<Member>,
    pub store: Arc<Store>,
    pub broker: Arc<Broker>,
    pub sender: Arc<Sender>,
    /// Of a slave.
    pub receiver: Option<Arc<Receiver>>,
}

/// Tasks that end together: by [`Serving::close`], or because one of them has ended, and then the node cannot go on.
#[derive(Debug)]
pub struct Serving {
    pub close: CancellationToken,
    tasks: Vec<JoinHandle<()>>,
}

impl Serving {
    /// Nothing yet; `parts` ends them too.
    pub fn under(parts: &CancellationToken) -> Self {
        Self { close: parts.child_token(), tasks: Vec::new() }
    }

    /// Spawns on the runtime that is entered.
    pub fn spawn<F>(&mut self, name: &'static str, served: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.tasks.push(task::spawn(Kind::StopNode(self.close.clone()), name, served));
    }

    /// Whether nothing was spawned.
    pub fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }

    /// Returns when what is in flight is answered and every port is closed.
    pub async fn close(&mut self) {
        self.close.cancel();
        // That one panics does not keep the others from their end; one that is given up is cancelled.
        for done in self.tasks.drain(..) {
            if let Err(error) = done.await
                && error.is_panic()
            {
                tracing::error!(%error, "a port did not close in order");
            }
        }
    }
}

/// What a role has running.
#[derive(Debug)]
struct Tasks {
    /// Cancelled to end what it does beside its requests.
    parts: CancellationToken,
    ports: Serving,
    /// The HA port, and what copies the master's log.
    replication: Serving,
}

/// One broker.
#[derive(Debug)]
pub struct BrokerRole {
    pub settings: config::Broker,
    store_options: StoreOptions,
    broker_options: BrokerOptions,
    start_without_slave_after: Option<Duration>,
    binding: Binding,
    stage: watch::Sender<Stage>,
    /// Cancelled when nobody waits for its end any more.
    given_up: CancellationToken,
    running: watch::Sender<Option<Arc<Running>>>,
}

impl BrokerRole {
    pub fn new(
        config: &Config,
        settings: &config::Broker,
        data_dir: &DataDir,
        binding: &Binding,
        (retention, overrides): (&SharedRetention, &Arc<Overrides>),
        acl: Option<&Arc<Acl>>,
    ) -> Arc<Self> {
        Arc::new(Self {
            settings: settings.clone(),
            store_options: options::store(config, settings, data_dir.path(), retention),
            broker_options: options::broker(
                config,
                settings,
                acl,
                (&binding.limits, &binding.tls),
                overrides,
            ),
            start_without_slave_after: options::start_without_slave_after(settings),
            binding: binding.clone(),
            stage: watch::Sender::new(Stage::Opening),
            given_up: CancellationToken::new(),
            running: watch::Sender::new(None),
        })
    }

    /// How far it is.
    pub fn stage(&self) -> watch::Receiver<Stage> {
        self.stage.subscribe()
    }

    /// What there is of it, if its store is open or was.
    pub fn running(&self) -> Option<Arc<Running>> {
        self.running.borrow().clone()
    }

    /// Nobody waits any more: that the rest ends is in order.
    pub fn give_up(&self) {
        self.given_up.cancel();
    }

    fn enter(&self, stage: Stage) {
        self.stage.send_replace(stage);
    }

    /// Runs until the node stops, and returns when nothing of the role is left.
    pub async fn run(self: Arc<Self>, ports: BrokerPorts, data_dir: Arc<DataDir>, base: Base) {
        let mut ports = Some(ports);
        loop {
            let parts = self.given_up.child_token();
            let mut tasks = Tasks {
                parts: parts.clone(),
                ports: Serving::under(&parts),
                replication: Serving::under(&parts),
            };
            let (ports_ended, replication_ended) =
                (tasks.ports.close.clone(), tasks.replication.close.clone());
            let failed = tokio::select! {
                Err(reason) = self.start(ports.take(), &data_dir, &base, &mut tasks) => Some(reason),
                () = self.reopening() => {
                    tracing::info!(group = self.settings.group, "the store is closed and opened again");
                    self.stop(tasks).await;
                    self.running.send_replace(None);
                    self.enter(Stage::Opening);
                    continue;
                }
                () = base.stop.cancelled() => None,
                // What it cannot be without has ended: the node stops.
                () = parts.cancelled() => None,
                () = ports_ended.cancelled() => None,
                () = replication_ended.cancelled() => None,
            };
            if let Some(reason) = failed {
                tracing::error!("{} stays down: {reason}", self.settings.group);
                self.stop(tasks).await;
                self.enter(Stage::Down(reason));
                return base.stop.cancelled().await;
            }
            base.stop.cancel();
            let all_saved = self.stop(tasks).await;
            return self.enter(Stage::Stopped { all_saved });
        }
    }

    /// Returns when the store is to be closed and opened again: its log is to be cut, or its folder to be set aside.
    async fn reopening(&self) {
        let mut running = self.running.subscribe();
        // The sender lives as long as the role.
        let found = running.wait_for(Option::is_some).await.ok().and_then(|found| found.clone());
        match found {
            Some(found) => found.member.reopen().cancelled().await,
            None => std::future::pending().await,
        }
    }

    /// The order of a start; does not return when all is well.
    ///
    /// # Errors
    /// Why the role cannot run.
    async fn start(
        &self,
        ports: Option<BrokerPorts>,
        data_dir: &Arc<DataDir>,
        base: &Base,
        tasks: &mut Tasks,
    ) -> Result<(), String> {
        // 1. Its log is recovered.
        let (store, past) = self.open_store(data_dir, base).await?;
        let ports = match ports {
            Some(ports) => ports,
            None => {
                let _entered = base.data.enter();
                self.binding.bind(&self.settings).map_err(|error| error.to_string())?
            }
        };
        // 2. It answers its peers and tools, and a slave everybody.
        let running = self.serve((store, past), [ports.main, ports.vip], base, tasks)?;
        // 3. A master finds all that it ever wrote, and begins an epoch.
        if self.settings.role == Role::Master && !self.find_past(&running).await {
            return std::future::pending().await;
        }
        // 4. Slaves are let in, and a slave copies its master.
        self.start_replication(&running, ports.ha, base, tasks)?;
        // 5. It does what it does beside its requests, and is found.
        self.enter(Stage::Registering);
        running.broker.start(&base.control, &base.data, &tasks.parts);
        let mut standing = running.member.standing();
        tokio::select! {
            () = running.broker.registered() => self.enter(Stage::Serving),
            // The sender lives as long as the member.
            _ = standing.wait_for(|standing| *standing != Standing::Serving) => {}
        }
        if let Ok(standing) = standing.wait_for(|standing| *standing != Standing::Serving).await
            && let Standing::Replaced(why) = &*standing
        {
            self.enter(Stage::Down(why.clone()));
        }
        std::future::pending().await
    }

    /// Whether a master may serve; if not, it goes on answering its peers and tools.
    async fn find_past(&self, running: &Running) -> bool {
        let telling = async {
            let mut standing = running.member.standing();
            loop {
                // The first look takes a moment: who waits for the role waits for that too.
                if standing.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
                if let Standing::Starting(what) = &*standing.borrow_and_update() {
                    self.enter(Stage::Starting(what.clone()));
                }
            }
        };
        self.enter(Stage::Registering);
        let found = tokio::select! {
            found = running.broker.find_past(self.start_without_slave_after) => found,
            () = telling => return false,
        };
        if let Err(why) = &found {
            tracing::error!("{} does not serve: {why}", self.settings.group);
            self.enter(Stage::Down(why.clone()));
        }
        found.is_ok()
    }

    async fn open_store(
        &self,
        data_dir: &Arc<DataDir>,
        base: &Base,
    ) -> Result<(Arc<Store>, Past), String> {
        let times = base.metrics.log_times.clone();
        let options = StoreOptions { times, ..self.store_options.clone() };
        let clock = base.clock.clone();
        let (group, held) = (self.settings.group.clone(), Arc::clone(data_dir));
        let start_topics = StartTopics::new(&self.broker_options.cluster, &group);
        let opening = task::spawn_blocking("open store", move || {
            let progress = |read: u64, all: u64| tell_progress(&group, read, all);
            let dir = options.dir.clone();
            let described =
                |error: std::io::Error| OpenError(format!("{}: {error}", dir.display()));
            replication::past::set_aside_if_asked(&dir).map_err(described)?;
            let store = Store::open(options, &start_topics, &clock, &progress)?;
            let past = Past::open(&dir, store.log_range().1.0).map_err(described)?;
            // Goes with the store: a start that is given up half-way lets nobody in before the store is closed.
            Ok(((store, past), held))
        });
        // That it did not end is a bug.
        let opened = opening.await.map_err(|error| error.to_string())?;
        let explained = |OpenError(text)| data_dir.explain(&self.settings.group, &text);
        opened.map(|(opened, _)| opened).map_err(explained)
    }

    /// Lets the broker answer at both its ports.
    fn serve(
        &self,
        (store, past): (Arc<Store>, Past),
        ports: [TcpSocket; 2],
        base: &Base,
        tasks: &mut Tasks,
    ) -> Result<Arc<Running>, String> {
        let metrics = Arc::clone(&base.metrics);
        let options = self.broker_options.clone();
        let member = Member::new(Broker::member_options(&options), Arc::clone(&store), past);
        if self.settings.role == Role::Master {
            member.set_standing(Standing::Starting("looking for its own past".to_owned()));
        }
        let broker = Broker::new(options, Arc::clone(&member), &base.clock, metrics);
        let service = Arc::new(BrokerService(Arc::clone(&broker)));
        let _entered = base.data.enter();
        for port in ports {
            let server = ports::listen_for_commands(port, &self.binding.limits)
                .map_err(|error| format!("port: {error}"))?;
            let served = server
                .with_tls(&self.binding.tls)
                .serve(service.clone(), tasks.ports.close.clone());
            tasks.ports.spawn("broker", served);
        }
        let sender = Sender::new(Arc::clone(&member));
        let (address, addresses) = watch::channel(None);
        let receiver = (self.settings.role == Role::Slave).then(|| {
            let stop = tasks.replication.close.clone();
            let named = name_masters(Arc::clone(&broker), address);
            tasks.replication.spawn("master's address", async move {
                let _ = stop.run_until_cancelled(named).await;
            });
            Receiver::new(Arc::clone(&member), addresses)
        });
        let running = Arc::new(Running { member, store, broker, sender, receiver });
        self.running.send_replace(Some(Arc::clone(&running)));
        Ok(running)
    }

    /// Opens the HA port, and starts to copy the log of a slave's master, once a name server says where that is.
    fn start_replication(
        &self,
        running: &Running,
        ha: TcpSocket,
        base: &Base,
        tasks: &mut Tasks,
    ) -> Result<(), String> {
        let _entered = base.data.enter();
        let listener = ports::listen(ha).map_err(|error| format!("HA port: {error}"))?;
        let close = tasks.replication.close.clone();
        let sending = Arc::clone(&running.sender).serve(listener, close.clone());
        tasks.replication.spawn("HA port", sending);
        if let Some(receiver) = &running.receiver {
            tasks.replication.spawn("copy of a log", Arc::clone(receiver).run(close));
        }
        Ok(())
    }

    /// The order of a stop, of whatever was started; returns whether all is on the disk.
    async fn stop(&self, mut tasks: Tasks) -> bool {
        let Some(running) = self.running() else { return true };
        // 1. The name servers are told: clients turn to other brokers.
        running.broker.unregister().await;
        // 2. A master takes nothing more, and its slaves get the rest.
        if self.settings.role == Role::Master {
            running.store.refuse_appends();
            self.wait_for_slaves(&running.sender).await;
        }
        // 3. What is in flight is answered, and the ports are closed.
        tasks.ports.close().await;
        // 4. Nothing is copied any more; what was in flight may have waited for slaves.
        tasks.replication.close().await;
        // 5. Nothing goes on beside requests, and all that was stored is on the disk.
        tasks.parts.cancel();
        let member = Arc::clone(&running.member);
        let (broker, store) = (Arc::clone(&running.broker), Arc::clone(&running.store));
        let stopping = task::spawn_blocking("stop store", move || {
            broker.finish();
            let all_saved = store.stop();
            if all_saved && let Err(error) = member.past().note_stopped(store.log_range().1.0) {
                tracing::error!(%error, "that the log was closed in order cannot be noted");
            }
            all_saved
        });
        // That it did not end is a bug.
        stopping.await.unwrap_or(false)
    }

    async fn wait_for_slaves(&self, sender: &Sender) {
        let all_have_it = async {
            while sender.slaves().iter().any(|slave| slave.behind_bytes > 0) {
                tokio::time::sleep(SLAVES_LOOK).await;
            }
        };
        if tokio::time::timeout(SLAVES_GRACE, all_have_it).await.is_err() {
            for slave in sender.slaves() {
                let (group, peer) = (&self.settings.group, slave.peer);
                tracing::warn!(group, %peer, behind_bytes = slave.behind_bytes, "a slave is left behind");
            }
        }
    }
}

/// Tells a slave's receiver where the master is, for ever.
async fn name_masters(broker: Arc<Broker>, address: watch::Sender<Option<MasterAddresses>>) {
    let mut masters = broker.master_addresses();
    loop {
        address.send_replace(masters.borrow_and_update().clone());
        // The sender lives as long as the broker.
        if masters.changed().await.is_err() {
            return;
        }
    }
}

/// A long recovery is no reason to be given up.
fn tell_progress(group: &str, read: u64, all: u64) {
    const MIB: u64 = 1 << 20;
    let text = format!("{group}: reading its log, {} of {} MiB", read / MIB, all.div_ceil(MIB));
    tracing::info!("{text}");
    systemd::extend_start(PROGRESS_TIMEOUT, &text);
}
