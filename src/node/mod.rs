//! One node: every role built and started in a listed order, and taken down in another.
//!
//! | file | what |
//! | --- | --- |
//! | `data_dir` | the data directory and its lock |
//! | `database` | the node's own database, of what belongs to no role |
//! | `ports` | binding, and who has a port |
//! | `roles` | the name server and the brokers: each step of their start and stop together |
//! | `broker_role` | one broker, from its opening to its end |
//! | `admin_door`, `console_door` | where operators come in: the socket, the port for programs, and HTTP |
//! | `status` | how the roles are: one line, and metrics |
//! | `figures` | what brokers reckon now and then, as metrics |
//! | `options` | what each role is told, made of the settings |
//! | `logging`, `journal` | where events go; to systemd's journal with their fields |
//! | `certificates` | what TLS needs of files, and when it ends |
//! | `live` | what changes while the node runs |
//! | `watchdog` | both runtimes make progress |
//! | `banner` | what a terminal is told at the start |
//! | `adopt` | taking a stopped 4.9.4 broker's store over |
//! | `doctor/` | what stands between a node and its work |
//!
//! Not here: what a role does. Invariants: nothing in the data directory is touched before it is locked
//! and every port is bound; a port is closed before the store behind it; what the settings decide stops the node before
//! anything starts, a role whose own data cannot be used stays down alone, and whatever fails later stops the node as
//! a whole. Two runtimes: `control` (name server, registration, signals, watchdog) goes on when the disk
//! behind `data` (broker ports) is slow; while a disk stalls, the status line waits for a slave's log,
//! and signals wait with it.

mod admin_door;
pub mod adopt;
mod banner;
mod broker_role;
mod certificates;
mod console_door;
mod data_dir;
mod database;
pub mod doctor;
mod figures;
mod journal;
mod live;
mod logging;
mod options;
mod ports;
mod roles;
mod status;
mod watchdog;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::{Builder, Handle, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::acl::Acl;
use crate::admin::service::logins::Logins;
use crate::clock::{Clock, Zone};
use crate::config::{Config, ConfigError, Loaded};
use crate::metrics::Metrics;
use crate::systemd;
use crate::task::{self, Kind};
use crate::transport::Tls;

pub use data_dir::DATA_FORMAT;
use data_dir::DataDir;
use live::Live;
use logging::RateLimit;
pub use logging::has_colours;
pub use ports::holder as port_holder;
use roles::{Ports, Roles};

const CONTROL_THREADS: usize = 2;
const DATA_THREADS_MIN: usize = 2;
/// Threads for blocking work of one runtime: enough to keep a disk busy, too few to keep the others from the processor.
const BLOCKING_THREADS_MAX: usize = 32;
/// After so many turns of tasks sockets are looked at, even when there is always a task with work: tokio's own number,
/// 61, lets floods over a few connections keep all others waiting for tens of milliseconds.
const EVENT_INTERVAL: u32 = 8;
/// How long blocking work that outlives everything else is waited for.
const RUNTIME_GRACE: Duration = Duration::from_secs(5);
/// How long a start waits for name servers.
const REGISTRATION_TIMEOUT: Duration = Duration::from_secs(10);
/// How often it is looked whether the status has changed.
const STATUS_PERIOD: Duration = Duration::from_secs(1);
const PART_ENDED: &str = "a part that the node needs has ended: see the log";

/// Why a node did not start, or did not stop in order; in the words of whoever can heal it.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct StartError(pub String);

impl StartError {
    fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

impl From<io::Error> for StartError {
    fn from(error: io::Error) -> Self {
        Self(error.to_string())
    }
}

/// What all roles are built from.
#[derive(Clone, Debug)]
struct Base {
    clock: Clock,
    metrics: Arc<Metrics>,
    live: Arc<Live>,
    control: Handle,
    data: Handle,
    /// The accounts, where they are on.
    acl: Option<Arc<Acl>>,
    /// Cancelled when the node is on its way down, also by the end of a part it cannot be without.
    stop: CancellationToken,
}

/// Starts a node, runs it until a signal or a failure, and stops it.
///
/// # Errors
/// It could not start, or something that it cannot be without ended.
pub fn run(loaded: &Loaded) -> Result<(), StartError> {
    let clock = Clock::system().in_zone(Zone::local());
    let (rate_limit, threshold) = logging::start(loaded.config.log.level, &clock);
    let tls = Tls::new(certificates::read(&loaded.config)?);
    let logins = Logins::new(admin_door::read_logins(&loaded.config)?);
    let runtime_dir = std::env::var_os("RUNTIME_DIRECTORY").map(Into::into);
    let cores = std::thread::available_parallelism().map_or(DATA_THREADS_MIN, usize::from);
    let control = runtime("control", CONTROL_THREADS)?;
    let data = runtime("data", cores.max(DATA_THREADS_MIN))?;
    let metrics = Arc::default();
    let live = Live::new(loaded, threshold, &metrics, (tls, logins), clock.clone(), runtime_dir);
    let base = Base {
        clock,
        metrics,
        live: Arc::new(live),
        control: control.handle().clone(),
        data: data.handle().clone(),
        acl: None,
        stop: CancellationToken::new(),
    };
    let result = control.block_on(start_and_stop(loaded, base, rate_limit));
    // What failed, or must end at once, is as safe as after a `kill -9`.
    let grace = if result.is_ok() { RUNTIME_GRACE } else { Duration::ZERO };
    data.shutdown_timeout(grace);
    control.shutdown_timeout(grace);
    result
}

fn runtime(name: &str, threads: usize) -> io::Result<Runtime> {
    Builder::new_multi_thread()
        .worker_threads(threads)
        .max_blocking_threads(BLOCKING_THREADS_MAX)
        .event_interval(EVENT_INTERVAL)
        .thread_name(name)
        .enable_all()
        .build()
}

/// The order of a start.
async fn start_and_stop(
    loaded: &Loaded,
    mut base: Base,
    rate_limit: RateLimit,
) -> Result<(), StartError> {
    let config = &loaded.config;
    // 1. Signals: from here on the node can be told to stop.
    let mut signals = Signals::new()?;
    // 2. The data directory is ours, until the last who uses it is gone.
    let data_dir = Arc::new(DataDir::lock(&config.data_dir)?);
    // 3. Every port is bound, and connections to it find room.
    let ports = roles::bind(config, &base)?;
    let admin_port = admin_door::bind(config, &base)?;
    let console_port = console_door::bind(loaded, &base)?;
    ports::raise_file_limit(config.limits.connections_max);
    // 4. What lies in the directory is in our format.
    data_dir.check_format(config.store.segment_bytes)?;
    // 5. Who may ask is known before somebody can.
    base.acl = open_accounts(config, &data_dir, &base).await?;
    let tls = base.live.tls.clone();
    certificates::show(&tls, &base.metrics);
    let watched = certificates::watch(tls, config.clone(), base.clock.clone());
    task::spawn(Kind::Ignore, "certificates", watched);
    // 6. Operators can ask, whatever becomes of the roles.
    let admin_stop = CancellationToken::new();
    let _admin_ends = admin_stop.clone().drop_guard();
    let admin = admin_door::admin(config.name_servers.clone(), &base);
    let of_node = admin_door::of_node(&admin, config, &base, &data_dir, &admin_stop);
    let admin_door = admin_door::open(&admin, &of_node, admin_port, &base, &data_dir, &admin_stop)?;
    let console = console_port.map(|port| {
        console_door::open(port, config, &base, &data_dir, (&admin, of_node), &admin_stop)
    });
    // 7. The roles start, and run until somebody or something ends them.
    task::spawn(Kind::Ignore, "log report", report(rate_limit));
    task::spawn(Kind::Ignore, "watchdog", watchdog::run(base.data.clone()));
    let mut roles = Roles::default();
    let part_ended = roles.part_ended();
    let ended = tokio::select! {
        Err(error) = start(loaded, &base, &data_dir, ports, &mut roles) => Err(error),
        () = run_until_stopped(&mut signals, &base.live) => Ok(()),
        () = base.stop.cancelled() => Err(StartError::new(PART_ENDED)),
        () = part_ended => Err(StartError::new(PART_ENDED)),
    };
    tracing::info!("stopping");
    systemd::stopping();
    base.stop.cancel();
    let stopped = tokio::select! {
        stopped = stop(&mut roles) => stopped,
        () = signals.stop() => {
            roles.give_up();
            return Err(StartError::new("told twice to stop: not all was answered or flushed"));
        }
    };
    // 3. The doors for operators are closed.
    admin_stop.cancel();
    for door in admin_door.into_iter().chain(console) {
        // It fails only if it panics, which is reported.
        let _ = door.await;
    }
    tracing::info!("stopped");
    ended.and(stopped)
}

/// Whether the accounts of these settings can be used, where they are on. Blocks.
///
/// # Errors
/// They cannot: each file with its line.
pub fn check_accounts(config: &Config) -> Result<(), StartError> {
    let Some(options) = options::acl(config, &config.data_dir) else { return Ok(()) };
    Acl::node_key(&options).map(|_| ()).map_err(StartError)
}

/// Whether the files of these settings' TLS can be used, where it is on; what will not work, or not for long. Blocks.
///
/// # Errors
/// They cannot: the file, and what to do.
pub fn check_tls(config: &Config) -> Result<Vec<String>, StartError> {
    let material = certificates::read(config)?;
    let findings = |material| certificates::findings(&material, config, &Clock::system());
    Ok(material.map(findings).unwrap_or_default())
}

/// Whether the logins of these settings' admin API can be used, where it is on TCP. Blocks.
///
/// # Errors
/// They cannot: the file, and what to do.
pub fn check_logins(config: &Config) -> Result<(), StartError> {
    admin_door::read_logins(config).map(|_| ())
}

/// The accounts, read and watched from now on; `None` if they are off.
async fn open_accounts(
    config: &Config,
    data_dir: &DataDir,
    base: &Base,
) -> Result<Option<Arc<Acl>>, StartError> {
    let Some(options) = options::acl(config, data_dir.path()) else { return Ok(None) };
    let (clock, metrics) = (base.clock.clone(), Arc::clone(&base.metrics));
    let opening =
        task::spawn_blocking("open accounts", move || Acl::open(&options, &clock, &metrics));
    // That it did not end is a bug.
    let opened = opening.await.map_err(|error| StartError(error.to_string()))?;
    let acl = opened.map_err(StartError)?;
    acl.start(&base.control, &base.stop);
    Ok(Some(acl))
}

/// The order in which the roles start; does not return when all is well.
async fn start(
    loaded: &Loaded,
    base: &Base,
    data_dir: &Arc<DataDir>,
    mut ports: Ports,
    roles: &mut Roles,
) -> Result<(), StartError> {
    let config = &loaded.config;
    // 1. The name server answers: brokers of other hosts need not wait for our log.
    roles.start_name_server(&mut ports, config, data_dir, base).await;
    // 2. The brokers recover their logs, answer, then register, each by itself.
    roles.start_brokers(ports, config, data_dir, base);
    roles.opened().await?;
    is_in_time(roles.registered()).await;
    // 3. Whoever waits for us is told, and from then on whenever that changes.
    base.live.publish();
    let standalone = loaded.standalone.then_some(config.listen);
    let mut told = roles.status(standalone);
    base.live.set_status(&told);
    banner::show(loaded, data_dir, &told, &roles.down());
    systemd::ready(&told);
    let mut pause = tokio::time::interval(STATUS_PERIOD);
    loop {
        pause.tick().await;
        let now = roles.status(standalone);
        match (status::is_well(&told), status::is_well(&now)) {
            _ if now == told => continue,
            (true, false) => tracing::warn!("{now}"),
            (false, true) => tracing::info!("{now}"),
            _ => {}
        }
        systemd::status(&now);
        base.live.set_status(&now);
        told = now;
    }
}

/// Whether the brokers are registered before everybody has waited for long enough.
async fn is_in_time(registered: impl Future<Output = ()>) -> bool {
    tokio::time::timeout(REGISTRATION_TIMEOUT, registered).await.is_ok()
}

/// The order of a stop, of whatever was started.
async fn stop(roles: &mut Roles) -> Result<(), StartError> {
    // 1. The brokers, side by side: name servers are told, masters take nothing more and their slaves get the rest,
    //    what is in flight is answered, ports are closed, and all that was stored is on the disk.
    let stopped = roles.stop_brokers().await;
    // 2. The name server's port is closed.
    roles.stop_name_server().await;
    stopped
}

/// What was said too often is summed up now and then.
async fn report(rate_limit: RateLimit) {
    let mut pause = tokio::time::interval(Duration::from_secs(10));
    loop {
        pause.tick().await;
        rate_limit.report();
    }
}

/// The signals that a node knows.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Returns when the node is told something.
    async fn next(&mut self) -> Told {
        tokio::select! {
            _ = self.terminate.recv() => Told::Stop,
            _ = self.interrupt.recv() => Told::Stop,
            _ = self.hangup.recv() => Told::Reload,
        }
    }

    /// Returns when the node is told to stop.
    async fn stop(&mut self) {
        while self.next().await != Told::Stop {}
    }
}

/// What a signal means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    Stop,
    Reload,
}

/// Reads the settings again whenever that is asked for; returns when the node is told to stop.
async fn run_until_stopped(signals: &mut Signals, live: &Arc<Live>) {
    while signals.next().await == Told::Reload {
        let live = Arc::clone(live);
        // What came of it is in the log.
        let reloading = task::spawn_blocking("reload", move || reload(&live).is_ok());
        if let Err(error) = reloading.await {
            // A bug.
            tracing::error!(%error, "settings could not be read again");
            systemd::reloaded();
        }
    }
}

/// Reads the settings again, and tells systemd and the log. Blocks.
///
/// # Errors
/// They are wrong, or something of them needs a restart; then nothing has changed.
fn reload(live: &Live) -> Result<Vec<String>, ConfigError> {
    systemd::reloading();
    let reloaded = live.reload();
    match &reloaded {
        Ok(changed) if changed.is_empty() => {
            tracing::info!("settings read again, nothing has changed");
        }
        Ok(changed) => tracing::info!("settings changed: {}", changed.join("; ")),
        Err(refused) => {
            let reasons = refused.to_string().replace('\n', "; ");
            tracing::error!("settings not changed, none of them: {reasons}");
        }
    }
    systemd::reloaded();
    reloaded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_start_waits_for_name_servers_but_not_for_ever() {
        assert!(is_in_time(std::future::ready(())).await);
        assert!(!is_in_time(std::future::pending()).await);
    }
}
