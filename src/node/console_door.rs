//! Where operators with a browser, Prometheus and load balancers come in.
//!
//! Not what they get (`crate::console`). Invariants: a console that nobody asked for keeps no node from starting; where
//! others than this host can connect, its pages are served over TLS only.

use std::io;
use std::sync::Arc;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::live::Live;
use super::{Base, StartError, ports, status};
use crate::config::{Config, Loaded};
use crate::console::{self, Console, Health};
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

/// Serves until `stop`.
pub fn open(
    listener: TcpListener,
    config: &Config,
    base: &Base,
    stop: &CancellationToken,
) -> JoinHandle<()> {
    let is_wide = config.console.address.is_some_and(|address| !address.ip().is_loopback());
    let door = Door { tls: base.live.tls.clone(), is_wide, has_pages: config.console.is_enabled };
    let console = Console {
        metrics: Arc::clone(&base.metrics),
        health: Arc::clone(&base.live) as Arc<dyn Health>,
    };
    let _entered = base.control.enter();
    let served = console::serve(listener, door, console.router(), stop.clone());
    task::spawn(Kind::Ignore, "console", served)
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

    async fn accept(&self, tcp: TcpStream) -> io::Result<(Stream, bool)> {
        if !self.is_wide {
            return Ok((self.tls.plain(tcp), true));
        }
        let mut stream = self.tls.accepted(tcp);
        stream.begin().await?;
        let may_be_served = stream.is_encrypted() || !self.has_pages;
        Ok((stream, may_be_served))
    }
}
