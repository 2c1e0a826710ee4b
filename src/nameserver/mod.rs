//! The name server: which brokers serve which topics (contract 2).
//!
//! | file | what |
//! | --- | --- |
//! | `requests` | what each request code is answered |
//! | `route_table` | brokers and topics |
//! | `kv_config` | the key-value configuration and its file |
//! | `config_text` | the settings that tools may read and change |
//!
//! Not here: brokers and what they store; other name servers (N-008). Invariants: routes are in memory only and come
//! back with the registrations (N-007); a broker is gone when its connection is (N-024) or after 120 s of silence;
//! nothing that may wait for the disk runs on a connection's task.

mod config_text;
mod kv_config;
mod requests;
mod route_table;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use self::config_text::LiveSettings;
use self::kv_config::KvConfig;
use self::route_table::{Removed, RouteTable};
use crate::clock::Clock;
use crate::remoting::Command;
use crate::task::{self, Kind};
use crate::transport::{Connection, Responder, Service};

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
}

/// One name server.
#[derive(Debug)]
pub struct NameServer {
    clock: Clock,
    port: u16,
    settings_file: PathBuf,
    kv_config: KvConfig,
    settings: Mutex<LiveSettings>,
    routes: Mutex<RouteTable>,
    /// The connections that brokers registered over, to close those of silent ones.
    connections: Mutex<HashMap<u64, Connection>>,
}

impl NameServer {
    /// A name server with the configuration that is in its files. Blocks.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn open(options: NameServerOptions, clock: &Clock) -> io::Result<Arc<Self>> {
        let NameServerOptions { kv_config_file, port } = options;
        let settings_file = kv_config_file.with_file_name(SETTINGS_FILE);
        let settings = match fs::read_to_string(&settings_file) {
            Ok(text) => LiveSettings::default().changed_by(&text).map_err(io::Error::other)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => LiveSettings::default(),
            Err(error) => return Err(error),
        };
        let kv_config = KvConfig::open(&kv_config_file).map_err(io::Error::other)?;
        Ok(Arc::new(Self {
            clock: clock.clone(),
            port,
            settings_file,
            kv_config,
            settings: Mutex::new(settings),
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

    fn settings(&self) -> LiveSettings {
        *self.settings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Removes the brokers that are silent for too long and closes their connections (N-020).
    fn expire(&self) {
        let removed = self.routes().expire(self.clock.now_ms());
        for removed in removed {
            tell_removed(&removed, "it was silent for 120 s");
            let connection = self.connections().remove(&removed.connection);
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
    match broker_name {
        Some(group) => tracing::info!(%address, %group, why, "a broker group left"),
        None => tracing::info!(%address, why, "a broker left"),
    }
}

/// A name server on a port.
#[derive(Debug)]
pub struct NameServerService(pub Arc<NameServer>);

impl Service for NameServerService {
    fn on_request(&self, request: Command, responder: Responder) {
        requests::answer(&self.0, &request, responder);
    }

    fn on_close(&self, connection: &Connection) {
        self.0.connection_closed(connection);
    }
}
