//! What stands between a node and its work: the checks of `rmq-node doctor`, before and after its start.
//!
//! | file | what |
//! | --- | --- |
//! | here | findings, and the list of all checks |
//! | `host` | facts of this host: addresses, kernel, who listens, clock |
//! | `host_checks` | settings, addresses, ports, limits, kernel, clock |
//! | `disk` | the data directory: facts and checks |
//! | `admin_door` | the admin API over TCP: facts and checks |
//! | `console_door` | the console's port and first password: facts and checks |
//! | `tls` | the files of TLS: facts and checks |
//! | `unit` | the systemd unit: facts and checks |
//! | `cluster` | facts of the cluster: name servers, brokers, what peers say of us |
//! | `cluster_checks` | name servers, brokers, peers, versions, topics, accounts |
//! | `replication_checks` | masters, slaves and the way between them |
//!
//! Not how findings are printed (`cli`). Facts are gathered first, all timeouts together; a check is a function of
//! them that asks nobody. Invariants: nothing is changed, bound, locked or written, on this host or another; a
//! finding that is worse than a note says why it matters and what to write or run.

mod admin_door;
mod cluster;
mod cluster_checks;
#[cfg(test)]
mod cluster_tests;
mod console_door;
mod disk;
mod host;
mod host_checks;
#[cfg(test)]
mod host_tests;
mod replication_checks;
mod tls;
mod unit;

use serde::Serialize;

use crate::config::{Config, ConfigError, Loaded};

use cluster::Cluster;
use host::Host;
pub use unit::Unit;

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// All is well.
    Ok,
    /// Good to know.
    Note,
    /// It works, and will hurt some day.
    Warning,
    /// It does not work, or loses messages.
    Error,
}

/// What a check found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The check's name.
    pub check: &'static str,
    /// How much it matters.
    pub severity: Severity,
    /// What is so.
    pub what: String,
    /// Why that matters; empty if all is well.
    pub why: String,
    /// The line to write or the command to run; empty if all is well.
    pub fix: String,
}

impl Finding {
    fn ok(what: impl Into<String>) -> Self {
        Self::new(Severity::Ok, what, "", "")
    }

    fn note(what: impl Into<String>, why: impl Into<String>, fix: impl Into<String>) -> Self {
        Self::new(Severity::Note, what, why, fix)
    }

    fn warning(what: impl Into<String>, why: impl Into<String>, fix: impl Into<String>) -> Self {
        Self::new(Severity::Warning, what, why, fix)
    }

    fn error(what: impl Into<String>, why: impl Into<String>, fix: impl Into<String>) -> Self {
        Self::new(Severity::Error, what, why, fix)
    }

    fn new(
        severity: Severity,
        what: impl Into<String>,
        why: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        // The list of checks fills in the name.
        Self { check: "", severity, what: what.into(), why: why.into(), fix: fix.into() }
    }
}

/// All facts that checks look at.
#[derive(Debug)]
struct Context<'a> {
    /// The settings, or everything that is wrong with them.
    settings: Result<&'a Loaded, &'a ConfigError>,
    host: Host,
    /// The unit that starts this node, if there is one.
    unit: Option<Unit>,
    /// What TLS needs of files; nothing if it is off.
    tls: Option<Result<tls::Files, String>>,
    /// The admin API over TCP, if it is on.
    admin: Option<admin_door::AdminDoor>,
    /// The console, if it is on.
    console: Option<console_door::ConsoleDoor>,
    /// Nothing is known of it with wrong settings.
    cluster: Cluster,
}

impl Context<'_> {
    /// The settings, if they are right.
    fn config(&self) -> Option<&Config> {
        self.settings.ok().map(|loaded| &loaded.config)
    }
}

type Check = fn(&Context<'_>) -> Vec<Finding>;

/// All checks in the order of their findings, by the name of their section.
const CHECKS: [(&str, Check); 26] = [
    ("settings", host_checks::settings),
    ("certificates", tls::certificates),
    ("logins", admin_door::logins),
    ("console", console_door::password),
    ("unit", unit::sandbox),
    ("unit", unit::user),
    ("addresses", host_checks::addresses),
    ("ports", host_checks::ports),
    ("ports", admin_door::port),
    ("ports", console_door::port),
    ("ports", host_checks::local_port_range),
    ("data directory", disk::permissions),
    ("data directory", disk::space),
    ("data directory", disk::filesystem),
    ("limits", host_checks::open_files),
    ("kernel", host_checks::kernel),
    ("clock", host_checks::clock),
    ("clock", cluster_checks::clocks),
    ("name servers", cluster_checks::name_servers),
    ("name servers", cluster_checks::registration),
    ("brokers", cluster_checks::routes),
    ("brokers", cluster_checks::versions),
    ("peers", cluster_checks::peers),
    ("replication", replication_checks::replication),
    ("topics", cluster_checks::topics),
    ("accounts", cluster_checks::accounts),
];

/// Gathers all facts and says what every check makes of them.
pub async fn examine(settings: Result<&Loaded, &ConfigError>, unit: Option<Unit>) -> Vec<Finding> {
    let config = settings.ok().map(|loaded| &loaded.config);
    let host = Host::look(config, unit.as_ref());
    let cluster = match config {
        None => Cluster::default(),
        Some(config) => Cluster::look(config, &host).await,
    };
    let tls = config.and_then(tls::look);
    let admin = config.and_then(admin_door::look);
    let console = settings.ok().and_then(console_door::look);
    findings(&Context { settings, host, unit, tls, admin, console, cluster })
}

fn findings(context: &Context<'_>) -> Vec<Finding> {
    let mut all = Vec::new();
    for (check, look) in CHECKS {
        all.extend(look(context).into_iter().map(|finding| Finding { check, ..finding }));
    }
    all
}
