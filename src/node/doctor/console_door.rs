//! The console: its port and the file of its first password, facts and checks.
//!
//! Not its users, who are in the node's database. Invariant: a password is in no finding, and not read.

use std::net::SocketAddr;

use super::admin_door::this_node;
use super::disk::{Owned, READ, may, owned};
use super::{Context, Finding, Severity};
use crate::config::Loaded;
use crate::console::Accounts;
use crate::node::ports;

/// What is known of it.
#[derive(Debug)]
pub struct ConsoleDoor {
    /// Where it listens.
    pub address: SocketAddr,
    /// Whether the node does not start without it.
    pub is_wanted: bool,
    /// Who listens there, if anybody does.
    pub holder: Option<String>,
    /// The file of the first password, if it is there, and pages that need it.
    pub password: Option<Owned>,
}

/// Looks at it; nothing if the settings have none.
pub fn look(loaded: &Loaded) -> Option<ConsoleDoor> {
    let config = &loaded.config;
    let address = config.console.address?;
    let password = || owned(&Accounts::password_file(&config.data_dir));
    Some(ConsoleDoor {
        address,
        is_wanted: loaded.wants_console(),
        holder: ports::holder(address),
        password: config.console.is_enabled.then(password).flatten(),
    })
}

/// Its port is this node's, or can be before its start.
pub fn port(context: &Context<'_>) -> Vec<Finding> {
    let Some(door) = &context.console else { return Vec::new() };
    let place = format!("port of the console, {}", door.address);
    let host = door.address.ip();
    let (why, severity) = match (door.is_wanted, context.cluster.runs) {
        (true, false) => {
            ("with [console] in its settings the node does not start", Severity::Error)
        }
        (true, true) => ("with [console] in its settings it will not start again", Severity::Error),
        (false, _) => ("the node runs without console and /metrics", Severity::Warning),
    };
    let wrong = |what: String, why: &str, fix: &str| Finding::new(severity, what, why, fix);
    vec![match (&door.holder, context.cluster.runs) {
        (Some(holder), true) if this_node(context) == Some(holder) => {
            Finding::ok(format!("{place}, is served by this node"))
        }
        (Some(holder), _) => wrong(
            format!("{place}: {holder} has it"),
            why,
            "stop that process and restart the node, or write another console.port (0: none)",
        ),
        (None, _) if !host.is_unspecified() && context.host.interface(host).is_none() => wrong(
            format!("{place}: this host has no such address"),
            why,
            "write console.listen with an address of this host; 127.0.0.1 is for this host only",
        ),
        (None, false) => Finding::ok(format!("{place}, is free")),
        (None, true) => wrong(
            format!("{place}: the node runs, but nobody listens there"),
            "it was started with other settings than these, or while somebody else had the port",
            "see why in its log (`journalctl -u rmq-node`), then `systemctl restart rmq-node`",
        ),
    }]
}

/// The node can read the first password, and nobody else.
pub fn password(context: &Context<'_>) -> Vec<Finding> {
    let file = context.console.as_ref().and_then(|door| door.password.as_ref());
    let runner = context.host.data.as_ref().map(|data| &data.runner);
    let (Some(file), Some(runner)) = (file, runner) else { return Vec::new() };
    let name = file.path.display();
    vec![if file.is_dir {
        let why = "the node reads a password there: it serves no pages";
        Finding::error(format!("{name} is a folder"), why, format!("rmdir {name}"))
    } else if !may(file, runner, READ) {
        Finding::error(
            format!("{name} cannot be read by {}, whom the node runs as", runner.name),
            "the node serves no pages",
            format!("chown {} {name}", runner.name),
        )
    } else if file.mode & 0o077 != 0 {
        Finding::warning(
            format!("{name} can be read by others (mode {:o})", file.mode & 0o7777),
            "until the first log-in it is the password of the console's admin",
            format!("chmod 600 {name}"),
        )
    } else {
        Finding::ok(format!("the password for the first log-in is in {name}"))
    }]
}
