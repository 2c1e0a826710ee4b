//! Files, environment and flags into one checked, immutable [`Config`].
//!
//! | file | what |
//! | --- | --- |
//! | `settings` | every key with its type |
//! | `read` | one file, strictly, with positions |
//! | `reference` | the shipped file, and which setting replaces a key of 4.9.4 |
//! | `documented` | every setting as the shipped file documents it |
//! | `layers` | all sources, merged, with origins |
//! | `import`, `import_keys`, `import_host` | a file of ours out of 4.9.4's property files |
//! | `init` | the files of a new cluster |
//! | `properties` | Java properties text |
//! | `check`, `check_addresses`, `check_console` | what they mean together |
//! | `listing` | every value with its origin, as a file |
//! | `changes` | what a running node can take over |
//! | `runtime_keys` | the keys of 4.9.4 that tools change in a running broker |
//! | `overrides` | what was changed while it ran, and is kept |
//!
//! `conf/rmq-node.toml` documents every setting, with its default and the 4.9.4 key that it replaces;
//! the defaults are read from it. Not here: what the rest makes of the numbers (`node` maps them).
//! Invariant: a [`Config`] only comes out of [`load`], and nothing is touched before.

pub mod changes;
mod check;
mod check_addresses;
mod check_console;
pub mod documented;
pub mod import;
mod import_host;
mod import_keys;
pub mod init;
mod layers;
mod listing;
mod overrides;
pub mod properties;
mod read;
mod reference;
#[cfg(test)]
mod refusal_tests;
mod runtime_keys;
mod settings;
#[cfg(test)]
mod tests;

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

pub use check_addresses::{check_address, internal_address};
pub use check_console::is_base_path;
pub use layers::Origin;
use layers::Origins;
pub use overrides::{Kept, KeptStore, Overrides};
pub use read::{did_you_mean, mistake, nearest};
pub use reference::REFERENCE;
pub use runtime_keys::{fixed_properties, why_not_now};
pub use settings::{
    Acl, Admin, Alerts, AutoCreate, ClientCertificates, Flush, Level, Limits, Log, MailTls,
    Metrics, Replication, Role, Store, Tls, TlsMode, Transactions,
};

/// Read when no file is named, if it is there.
pub const DEFAULT_FILE: &str = "/etc/rmq-node/rmq-node.toml";

/// Where the settings come from.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// `--config`: must be there; without it, [`DEFAULT_FILE`] may be.
    pub config_file: Option<PathBuf>,
    /// `--data-dir`.
    pub data_dir: Option<String>,
    /// `--listen`.
    pub listen: Option<IpAddr>,
    /// The environment: `RMQ_NODE_*`, and `STATE_DIRECTORY` that systemd sets.
    pub environment: Vec<(String, String)>,
}

/// The checked configuration of one node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The cluster of the brokers here (`brokerClusterName`).
    pub cluster: String,
    /// What all ports are bound on.
    pub listen: IpAddr,
    /// What clients and peers dial (`brokerIP1`).
    pub advertise: IpAddr,
    /// What slaves dial to copy the masters here (`brokerIP2`).
    pub replication_advertise: IpAddr,
    /// Where the brokers register, each as `host:port` (`namesrvAddr`); at least one.
    pub name_servers: Vec<String>,
    /// Where everything is kept (`storePathRootDir`).
    pub data_dir: PathBuf,
    /// The name server of this host, if it runs one.
    pub name_server: Option<NameServer>,
    /// The brokers of this host; none if the file says `broker = []` and it runs a name server.
    pub brokers: Vec<Broker>,
    /// Their stores.
    pub store: Store,
    /// What clients make there.
    pub auto_create: AutoCreate,
    /// How they check transactions.
    pub transactions: Transactions,
    /// What peers can make us hold.
    pub limits: Limits,
    /// What is encrypted.
    pub tls: Tls,
    /// Who may do what.
    pub acl: Acl,
    /// The admin API over TCP.
    pub admin: Admin,
    /// Where operators and Prometheus find the node.
    pub console: Console,
    /// What is shown to Prometheus.
    pub metrics: Metrics,
    /// What is told of when it is wrong, and to whom.
    pub alerts: Alerts,
    /// What is logged.
    pub log: Log,
}

/// A name server to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameServer {
    /// Its port (`listenPort`).
    pub port: u16,
}

/// The web console, and what is served beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Console {
    /// Whether there are pages; `/metrics` is served without them, too.
    pub is_enabled: bool,
    /// Where it listens; `None`: nowhere (`server.port`).
    pub address: Option<SocketAddr>,
    /// The cluster that it looks after, if it is another than the node's own, each as `host:port`.
    pub name_servers: Vec<String>,
    /// What its paths begin with; empty, or as `/rmq`.
    pub base_path: String,
}

/// A broker to run; no two here are of one group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broker {
    /// The group's name, which is its folder's name too (`brokerName`).
    pub group: String,
    /// Whether it takes messages or copies them (`brokerRole`).
    pub role: Role,
    /// 0 for a master, more for a slave (`brokerId`).
    pub id: u32,
    /// Its port; port - 2 and port + 1 are within 1 to 65535 (`listenPort`).
    pub port: u16,
    /// When a message counts as stored (`flushDiskType`).
    pub flush: Flush,
    /// Whether senders wait for slaves; never at a slave (`brokerRole`).
    pub replication: Replication,
    /// How many slaves they wait for then; at least 1.
    pub in_sync_min: u32,
    /// How long a master that starts and may lack its log's end waits for slaves that may have it, in seconds; `None`:
    /// for ever.
    pub start_without_slave_after_s: Option<u64>,
}

/// The checked configuration, and where each value came from.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// What to run.
    pub config: Config,
    /// Every value by its key's path (`store.segment_bytes`, `broker[0].port`).
    pub origins: Origins,
    /// Whether no broker is configured, so that the built-in one runs.
    pub standalone: bool,
    /// What it was made of; [`load`] reads them again.
    pub sources: Sources,
    /// What was changed while the node ran.
    pub kept: Kept,
    /// `[store]` without that.
    pub files_store: Store,
}

impl Loaded {
    /// Whether the operator wrote a console down, so that the node does not start without it.
    #[must_use]
    pub fn wants_console(&self) -> bool {
        check_console::is_written(&self.origins)
    }
}

/// Something that is wrong, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// `file:line:column`, `environment NAME` or `flag --name`.
    pub at: Option<String>,
    /// The sentence.
    pub text: String,
}

/// Everything that is wrong with a configuration; one line each.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct ConfigError(pub Vec<Problem>);

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.at {
            Some(at) => write!(f, "{at}: {}", self.text),
            None => f.write_str(&self.text),
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&lines.join("\n"))
    }
}

/// Reads, merges and checks all sources.
///
/// # Errors
/// Everything that is wrong with the first source that is wrong in itself, or with all of them together.
pub fn load(sources: &Sources) -> Result<Loaded, ConfigError> {
    let files = layers::files(sources).map_err(ConfigError)?;
    let plain = load_files(files.clone(), sources, None)?;
    let data_dir = &plain.config.data_dir;
    let kept = Kept::read(data_dir).map_err(|problem| ConfigError(vec![problem]))?;
    if kept.store.is_empty() {
        return Ok(Loaded { kept, ..plain });
    }
    let layer = kept.layer(data_dir, &plain.config.store);
    let loaded = load_files(files, sources, Some(layer))?;
    Ok(Loaded { kept, files_store: plain.config.store, ..loaded })
}

/// As [`load`] of one file that is here as text, alone.
///
/// # Errors
/// As [`load`]; positions begin with `name`.
pub fn check_text(name: &str, text: &str) -> Result<Loaded, ConfigError> {
    let file = read::read(name, text).map_err(|problem| ConfigError(vec![problem]))?;
    load_files(vec![file], &Sources::default(), None)
}

fn load_files(
    mut layers: Vec<read::Document>,
    sources: &Sources,
    kept: Option<read::Document>,
) -> Result<Loaded, ConfigError> {
    layers.extend(kept);
    layers.push(layers::environment(&sources.environment).map_err(ConfigError)?);
    layers.push(layers::flags(sources));
    let standalone = !layers.iter().any(|layer| layer.table.contains_key("broker"));
    let mut defaults = layers::defaults();
    layers::fit_defaults(&mut defaults, &mut layers);
    layers.insert(0, defaults);
    let (settings, _) = merge(&layers)?;
    let derived = layers::derived(&settings, sources);
    layers.insert(0, derived);
    let (settings, origins) = merge(&layers)?;
    let config = check::check(settings, &origins)?;
    let files_store = config.store.clone();
    let (sources, kept) = (sources.clone(), Kept::default());
    Ok(Loaded { config, origins, standalone, sources, kept, files_store })
}

fn merge(layers: &[read::Document]) -> Result<(settings::Settings, Origins), ConfigError> {
    // Each layer is right in itself, so this only tells of a rule that strict reading does not know.
    let refuse = |error: config::ConfigError| Problem { at: None, text: error.to_string() };
    layers::merge(layers).map_err(|error| ConfigError(vec![refuse(error)]))
}
