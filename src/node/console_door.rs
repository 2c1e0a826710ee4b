//! Where operators with a browser, Prometheus and load balancers come in.
//!
//! Not what they get (`crate::console`). Invariants: a console that nobody asked for keeps no node from starting; where
//! others than this host can connect, its pages are served over TLS only.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::data_dir::DataDir;
use super::live::Live;
use super::{Base, StartError, admin_door, database, ports, status};
use crate::admin::{Admin, OfNode};
use crate::config::{Config, Loaded};
use crate::console::{self, Accepted, Accounts, Console, Health, History, Pages};
use crate::task::{self, Kind};
use crate::transport::{Stream, Tls};

const ROLE: &str = "port of the console";

/// Binds its port.
///
/// # Errors
/// The operator asked for it, and somebody else has the port.
pub fn bind(loaded: &Loaded, base: &Base) -> Result<Option<TcpListener>, StartError> {
    let Some(address) = loaded.config.console.address else { return Ok(None) };
    let _entered = base.control.enter();
    let bound = ports::reserve(ROLE, address).and_then(|socket| Ok(ports::listen(socket)?));
    match bound {
        Ok(listener) => Ok(Some(listener)),
        Err(error) if loaded.wants_console() => Err(error),
        Err(error) => {
            tracing::warn!(
                "{error}; the node runs without console and /metrics, console.port moves them"
            );
            Ok(None)
        }
    }
}

/// Serves until `stop`, from when its users are read: the roles need not wait for that.
pub fn open(
    listener: TcpListener,
    config: &Config,
    base: &Base,
    data_dir: &DataDir,
    (admin, of_node): (&Admin, OfNode),
    stop: &CancellationToken,
) -> JoinHandle<()> {
    let is_wide = config.console.address.is_some_and(|address| !address.ip().is_loopback());
    let door = Door { tls: base.live.tls.clone(), is_wide, has_pages: config.console.is_enabled };
    let console = Console {
        metrics: Arc::clone(&base.metrics),
        health: Arc::clone(&base.live) as Arc<dyn Health>,
    };
    let others = &config.console.name_servers;
    let is_elsewhere = !others.is_empty();
    let admin = if is_elsewhere { admin_door::admin(others.clone(), base) } else { admin.clone() };
    let (config, base) = (config.console.clone(), base.clone());
    let (data_dir, stop) = (data_dir.path().to_owned(), stop.clone());
    let control = base.control.clone();
    let _entered = control.enter();
    task::spawn(Kind::Ignore, "console", async move {
        let kept = if config.is_enabled { kept(&base, data_dir).await } else { None };
        let (accounts, history) = kept.unzip();
        let history = history.filter(|_| !is_elsewhere).map(Arc::new);
        let keeping = history.clone().map(|history| {
            let keeping = history.keep(base.live.figures.subscribe(), stop.clone());
            task::spawn(Kind::Ignore, "history", keeping)
        });
        let pages = accounts.map(|accounts| Pages {
            admin: Arc::new(admin),
            is_elsewhere,
            of_node,
            accounts: Arc::new(accounts),
            history,
            base_path: config.base_path,
            clock: base.clock.clone(),
            stop: stop.clone(),
        });
        console::serve(listener, door, console::router(console, pages), stop).await;
        if let Some(keeping) = keeping {
            // It fails only if it panics, which is reported.
            let _ = keeping.await;
        }
    })
}

/// The console's users, and what was. A node that cannot read its users serves no pages, and says so.
async fn kept(base: &Base, data_dir: PathBuf) -> Option<(Accounts, History)> {
    let clock = base.clock.clone();
    let opening = task::spawn_blocking("open console", move || {
        let database = database::open(&data_dir)?;
        let history = History::open(Arc::clone(&database), clock.now_ms());
        Ok::<_, io::Error>((Accounts::open(database, &data_dir, clock)?, history))
    });
    match opening.await {
        Ok(Ok(kept)) => Some(kept),
        Ok(Err(error)) => {
            tracing::error!(%error, "the console's users cannot be read: there are no pages");
            None
        }
        Err(error) => {
            tracing::error!(%error, "the console's users were not read");
            None
        }
    }
}

impl Health for Live {
    fn health(&self) -> (String, bool) {
        let line = self.status();
        let is_well = status::is_well(&line);
        (line, is_well)
    }
}

struct Door {
    tls: Tls,
    /// Whether others than this host can connect.
    is_wide: bool,
    has_pages: bool,
}

impl console::Door for Door {
    type Stream = Stream;

    async fn accept(&self, tcp: TcpStream) -> io::Result<Accepted<Stream>> {
        let mut stream = if self.is_wide { self.tls.accepted(tcp) } else { self.tls.plain(tcp) };
        stream.begin().await?;
        let is_encrypted = stream.is_encrypted();
        Ok(Accepted { stream, is_encrypted, must_be_encrypted: self.is_wide && self.has_pages })
    }
}
