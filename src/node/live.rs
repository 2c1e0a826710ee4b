//! What a running node takes over from its settings when they are read again (SIGHUP), and where it tells what it runs with.
//!
//! Not which settings those are (`config::changes`). Invariants: all of a change is taken over or nothing; the file in
//! the runtime directory holds what the node runs with, so that `config check --running` can refuse before it is asked.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use tokio::sync::watch;

use super::logging::Threshold;
use super::{admin_door, certificates, options, ports};
use crate::admin::service::logins::Logins;
use crate::clock::Clock;
use crate::config::changes::changes;
use crate::config::{self, Config, ConfigError, Loaded, Overrides, Problem};
use crate::metrics::{BrokerFigures, Metrics};
use crate::store::SharedRetention;
use crate::transport::{Limits, Tls};

/// The file's name in the runtime directory.
const FILE: &str = "settings.toml";

/// What changes while the node runs.
#[derive(Debug)]
pub struct Live {
    running: ArcSwap<Loaded>,
    /// Held while settings are read again, so that each time compares with the one before.
    reloading: Mutex<()>,
    threshold: Threshold,
    /// The limits of all ports and roles.
    pub limits: Arc<Limits>,
    /// What all stores keep.
    pub retention: SharedRetention,
    /// What was changed while the node ran.
    pub overrides: Arc<Overrides>,
    /// What encrypts the connections of all roles.
    pub tls: Tls,
    /// Who may use the admin API over TCP.
    pub logins: Logins,
    /// What the brokers of the node reckoned last.
    pub figures: watch::Sender<Vec<Arc<BrokerFigures>>>,
    clock: Clock,
    runtime_dir: Option<PathBuf>,
    status: Mutex<String>,
}

impl Live {
    /// As `loaded` says, with what the files that it names hold; `runtime_dir` is systemd's, if there is one.
    pub fn new(
        loaded: &Loaded,
        threshold: Threshold,
        metrics: &Arc<Metrics>,
        files: (Tls, Logins),
        clock: Clock,
        runtime_dir: Option<PathBuf>,
    ) -> Self {
        let (tls, logins) = files;
        let numbers = loaded.config.limits.clone();
        Self {
            running: ArcSwap::from_pointee(loaded.clone()),
            reloading: Mutex::default(),
            threshold,
            limits: Arc::new(Limits::new(numbers, Arc::clone(metrics))),
            retention: SharedRetention::from(options::retention(&loaded.config.store)),
            overrides: Arc::new(Overrides::new(loaded)),
            tls,
            logins,
            figures: watch::Sender::default(),
            clock,
            runtime_dir,
            status: Mutex::new("starting".to_owned()),
        }
    }

    /// How the roles are, in a line.
    pub fn status(&self) -> String {
        self.status.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Says how the roles are.
    pub fn set_status(&self, text: &str) {
        text.clone_into(&mut self.status.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Something of the settings that it runs with.
    pub fn settings<T>(&self, read: impl FnOnce(&Config) -> T) -> T {
        read(&self.running.load().config)
    }

    /// The folder for what is there while the node runs, if it has one.
    pub fn runtime_dir(&self) -> Option<&Path> {
        self.runtime_dir.as_deref()
    }

    /// Tells what the node runs with.
    pub fn publish(&self) {
        let Some(dir) = &self.runtime_dir else { return };
        let listing = self.running.load().listing();
        if let Err(error) = write(&dir.join(FILE), &listing) {
            tracing::warn!(dir = %dir.display(), %error, "what the node runs with cannot be told");
        }
    }

    /// Reads all settings and the files of TLS and of logins again and takes over what has changed, which is returned.
    ///
    /// # Errors
    /// They are wrong, or something of them needs a restart; then nothing has changed.
    pub fn reload(&self) -> Result<Vec<String>, ConfigError> {
        let _reloading = self.reloading.lock().unwrap_or_else(PoisonError::into_inner);
        let running = self.running.load();
        let new = config::load(&running.sources)?;
        let mut changed = changes(&running, &new)?;
        let refuse = |key: &str, error: &dyn std::fmt::Display| {
            let at = new.origins.get(key).map(|found| found.origin.clone());
            ConfigError(vec![Problem { at, text: error.to_string() }])
        };
        let material = certificates::read(&new.config);
        let material = material.map_err(|error| refuse("tls.certificate_file", &error))?;
        let logins = admin_door::read_logins(&new.config);
        let logins = logins.map_err(|error| refuse("admin.logins_file", &error))?;
        if self.tls.set(material) {
            changed.push("TLS uses what its files hold now".to_owned());
            certificates::tell(&self.tls, &new.config, &self.clock);
        }
        if self.logins.set(logins) {
            changed.push("the admin API lets in whom its logins file names now".to_owned());
        }
        self.threshold.set(new.config.log.level);
        self.limits.set_numbers(new.config.limits.clone());
        self.retention.set(options::retention(&new.config.store));
        self.overrides.renew(&new);
        let connections_max = new.config.limits.connections_max;
        if connections_max > running.config.limits.connections_max {
            ports::raise_file_limit(connections_max);
        }
        self.running.store(Arc::new(new));
        self.publish();
        Ok(changed)
    }
}

/// All of the file or none of it.
fn write(file: &Path, text: &str) -> std::io::Result<()> {
    let new = file.with_extension("toml.tmp");
    fs::write(&new, text)?;
    fs::rename(&new, file)
}
