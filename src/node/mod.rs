//! One node: every role built and started in a listed order, and taken down in another.
//!
//! | file | what |
//! | --- | --- |
//! | `data_dir` | the data directory and its lock |
//! | `ports` | binding, and who has a port |
//! | `roles` | the name server and the brokers, with what they need |
//! | `logging` | where events go |
//! | `watchdog` | both runtimes make progress |
//! | `banner` | what a terminal is told at the start |
//!
//! Not here: what a role does. Not built yet: the roles, so that every request gets code 3. Invariants: nothing in the data directory is touched before it is locked
//! and every port is bound; a port is closed before the store behind it; whatever fails, the node stops as
//! a whole. Two runtimes: `control` (name server, registration, signals, watchdog) goes on when the disk
//! behind `data` (broker ports) is slow.

mod banner;
mod data_dir;
mod logging;
mod ports;
mod roles;
mod watchdog;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::{Builder, Handle, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::config::Loaded;
use crate::metrics::Metrics;
use crate::systemd;
use crate::task::{self, Kind};

use data_dir::DataDir;
use logging::RateLimit;
use roles::Roles;

const CONTROL_THREADS: usize = 2;
const DATA_THREADS_MIN: usize = 2;
/// How long blocking work that outlives everything else is waited for.
const RUNTIME_GRACE: Duration = Duration::from_secs(5);

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
#[derive(Debug)]
struct Base {
    metrics: Arc<Metrics>,
    control: Handle,
    data: Handle,
    /// Cancelled when the node is on its way down, also by the end of a part it cannot be without.
    stop: CancellationToken,
}

/// Starts a node, runs it until a signal or a failure, and stops it.
///
/// # Errors
/// It could not start, or something that it cannot be without ended.
pub fn run(loaded: &Loaded) -> Result<(), StartError> {
    let rate_limit = logging::start(loaded.config.log.level, &Clock::system());
    let cores = std::thread::available_parallelism().map_or(DATA_THREADS_MIN, usize::from);
    let control = runtime("control", CONTROL_THREADS)?;
    let data = runtime("data", cores.max(DATA_THREADS_MIN))?;
    let base = Base {
        metrics: Arc::default(),
        control: control.handle().clone(),
        data: data.handle().clone(),
        stop: CancellationToken::new(),
    };
    let result = control.block_on(start_and_stop(loaded, base, rate_limit));
    data.shutdown_timeout(RUNTIME_GRACE);
    control.shutdown_timeout(RUNTIME_GRACE);
    result
}

fn runtime(name: &str, threads: usize) -> io::Result<Runtime> {
    Builder::new_multi_thread().worker_threads(threads).thread_name(name).enable_all().build()
}

/// The order of a start, and of a stop.
async fn start_and_stop(
    loaded: &Loaded,
    base: Base,
    rate_limit: RateLimit,
) -> Result<(), StartError> {
    let config = &loaded.config;
    // 1. Signals: from here on the node can be told to stop.
    let mut signals = Signals::new()?;
    // 2. The data directory is ours.
    let data_dir = DataDir::lock(&config.data_dir)?;
    // 3. Every port is bound.
    let ports = roles::bind(config, &base)?;
    // 4. What lies in the directory is in our format.
    data_dir.check_format(config.store.segment_bytes)?;
    // 5. The name server, then the brokers: they answer.
    let mut roles = Roles::serve(ports, &base);
    let status = "ports are bound, but nothing answers on them yet";
    // 6. Whoever waits for us is told.
    task::spawn(Kind::Ignore, "watchdog", watchdog::run(base.data.clone()));
    task::spawn(Kind::Ignore, "log report", report(rate_limit));
    banner::show(loaded, &data_dir, status);
    systemd::ready(status);

    let told = tokio::select! {
        () = signals.stop() => true,
        () = base.stop.cancelled() => false,
    };
    base.stop.cancel();
    tracing::info!("stopping");
    systemd::stopping();
    tokio::select! {
        // 1. Ports are closed; what is in flight is answered.
        () = roles.close_ports() => {}
        () = signals.stop() => return Err(StartError::new("told twice to stop: not all was answered")),
    }
    // 2. The data directory is anybody's.
    drop(data_dir);
    tracing::info!("stopped");
    if told {
        Ok(())
    } else {
        Err(StartError::new("a part that the node needs has ended: see the log"))
    }
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

    /// Returns when the node is told to stop.
    async fn stop(&mut self) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return,
                _ = self.interrupt.recv() => return,
                _ = self.hangup.recv() => {
                    tracing::warn!("settings are read at the start only: restart to change them");
                }
            }
        }
    }
}
