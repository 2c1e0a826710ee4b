//! The name server: which brokers serve which topics (contract 2).
//!
//! | file | what |
//! | --- | --- |
//! | `requests` | what each request code is answered |
//! | `route_table` | brokers and topics |
//! | `kv_config` | the key-value configuration and its file |
//! | `settings`, `config_text` | the settings that tools may change, their file and their text |
//!
//! Not here: brokers and what they store; other name servers (N-008). Invariants: routes are in memory only and come
//! back with the registrations (N-007); a broker is gone when its connection is (N-024) or after 120 s of silence;
//! nothing that may wait for the disk runs on a connection's task; nothing is encoded or written under the routes'
//! lock.

mod config_text;
mod kv_config;
mod requests;
mod route_table;
mod settings;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use self::kv_config::KvConfig;
use self::route_table::{Removed, RouteTable};
use self::settings::Settings;
use crate::acl::{Acl, needs};
use crate::clock::Clock;
use crate::model::shown;
use crate::remoting::Command;
use crate::task::{self, Kind};
use crate::transport::{Connection, Limits, Responder, Service};

/// How often silent brokers are looked for (N-020).
const SCAN_PERIOD: Duration = Duration::from_secs(10);
/// The settings that tools changed, beside the key-value configuration.
const SETTINGS_FILE: &str = "namesrv.properties";

/// What a name server is told when it is opened.
#[derive(Clone, Debug)]
pub struct NameServerOptions {
    /// Where the key-value configuration is kept (N-006); its folder has the changed settings too.
    pub kv_config_file: PathBuf,
    /// Its port, to tell tools (N-071).
    pub port: u16,
    /// The accounts, where they are on.
    pub acl: Option<Arc<Acl>>,
    /// What peers can make it hold.
    pub limits: Arc<Limits>,
}

/// One name server.
#[derive(Debug)]
pub struct NameServer {
    clock: Clock,
    opened: Instant,
    port: u16,
    acl: Option<Arc<Acl>>,
    limits: Arc<Limits>,
    kv_config: KvConfig,
    settings: Settings,
    routes: Mutex<RouteTable>,
    /// The connections that brokers registered over, to close those of silent ones.
    connections: Mutex<HashMap<u64, Connection>>,
}

impl NameServer {
    /// A name server with the configuration that is in its files. Blocks.
    ///
    /// # Errors
    /// A file cannot be read; the text says which.
    pub fn open(options: NameServerOptions, clock: &Clock) -> io::Result<Arc<Self>> {
        let NameServerOptions { kv_config_file, port, acl, limits } = options;
        Ok(Arc::new(Self {
            clock: clock.clone(),
            opened: clock.monotonic(),
            port,
            acl,
            limits,
            kv_config: KvConfig::open(&kv_config_file).map_err(io::Error::other)?,
            settings: Settings::open(&kv_config_file.with_file_name(SETTINGS_FILE))?,
            routes: Mutex::default(),
            connections: Mutex::default(),
        }))
    }

    /// Starts looking for silent brokers, until `stop`.
    pub fn start(self: &Arc<Self>, handle: &Handle, stop: &CancellationToken) {
        let (name_server, stop) = (Arc::clone(self), stop.clone());
        let _entered = handle.enter();
        task::spawn(Kind::StopNode(stop.clone()), "broker expiry", async move {
            let mut period = tokio::time::interval(SCAN_PERIOD);
            loop {
                tokio::select! {
                    _ = period.tick() => name_server.expire(),
                    () = stop.cancelled() => return,
                }
            }
        });
    }

    fn routes(&self) -> MutexGuard<'_, RouteTable> {
        self.routes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn connections(&self) -> MutexGuard<'_, HashMap<u64, Connection>> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Milliseconds since it was opened: no broker expires because the wall clock jumps.
    fn now_ms(&self) -> i64 {
        let since = self.clock.monotonic().saturating_duration_since(self.opened);
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    }

    /// Removes the brokers that are silent for too long and closes their connections (N-020).
    fn expire(&self) {
        let removed = self.routes().expire(self.now_ms());
        for removed in removed {
            tell_removed(&removed, "it was silent for 120 s");
            // Not taken out: the brokers beside it go when the connection is closed.
            let connection = self.connections().get(&removed.connection).cloned();
            if let Some(connection) = connection {
                connection.close("the broker did not register for 120 s");
            }
        }
    }

    /// Removes the brokers of a connection that is gone (N-022).
    fn connection_closed(&self, connection: &Connection) {
        if self.connections().remove(&connection.id()).is_none() {
            return;
        }
        let removed = self.routes().connection_closed(connection.id());
        for removed in removed {
            tell_removed(&removed, "its connection is closed");
        }
    }
}

fn tell_removed(removed: &Removed, why: &str) {
    let Removed { address, broker_name, .. } = removed;
    let address = shown(address);
    match broker_name {
        Some(group) => tracing::info!(address, group = shown(group), why, "a broker group left"),
        None => tracing::info!(address, why, "a broker left"),
    }
}

/// A name server on a port.
#[derive(Debug)]
pub struct NameServerService(pub Arc<NameServer>);

impl Service for NameServerService {
    fn on_request(&self, request: Command, responder: Responder) {
        if let Some(acl) = &self.0.acl {
            // As without accounts, and so that none is answered whose needs were forgotten.
            let Some(need) = needs::at_name_server(request.code) else { return };
            let from = responder.connection().remote().ip();
            if let Err(denied) = acl.admit(&request, need, from) {
                return responder.send(acl.refusal(&denied, &request, from));
            }
        }
        requests::answer(&self.0, &request, responder);
    }

    fn on_close(&self, connection: &Connection) {
        self.0.connection_closed(connection);
    }
}
