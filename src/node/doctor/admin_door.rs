//! The admin API over TCP: its port and its logins file, facts and checks.
//!
//! Not its certificate, which is the node's (`tls`). Invariant: who may log in is in no finding.

use std::net::SocketAddr;

use super::cluster::Answers;
use super::disk::{Owned, READ, may, owned};
use super::{Context, Finding};
use crate::config::Config;
use crate::node::{StartError, admin_door, ports};

/// What is known of it.
#[derive(Debug)]
pub struct AdminDoor {
    /// Where it listens.
    pub address: SocketAddr,
    /// Who listens there, if anybody does.
    pub holder: Option<String>,
    /// What is wrong with its logins file.
    pub logins: Result<(), String>,
    /// Whose that file is, if it is there.
    pub file: Option<Owned>,
}

/// Looks at it; nothing if the settings have none.
pub fn look(config: &Config) -> Option<AdminDoor> {
    let address = config.admin.listen?;
    Some(AdminDoor {
        address,
        holder: ports::holder(address),
        logins: admin_door::read_logins(config).map(drop).map_err(|StartError(wrong)| wrong),
        file: owned(&config.admin.logins_file),
    })
}

/// Its port is this node's, or free before its start.
pub fn port(context: &Context<'_>) -> Vec<Finding> {
    let Some(door) = &context.admin else { return Vec::new() };
    let place = format!("port of the admin API, {}", door.address);
    vec![match (&door.holder, context.cluster.runs) {
        (None, false) => Finding::ok(format!("{place}, is free")),
        (Some(holder), true) if this_node(context) == Some(holder) => {
            Finding::ok(format!("{place}, is served by this node"))
        }
        (None, true) => Finding::error(
            format!("{place}: the node runs, but nobody listens there"),
            "it was started with other settings than these, and programs find nobody",
            "see why in its log (`journalctl -u rmq-node`), then `systemctl restart rmq-node`",
        ),
        (Some(holder), _) => Finding::error(
            format!("{place}: {holder} has it"),
            "the node binds all its ports or does not start",
            "stop that process, or write another port in admin.listen",
        ),
    }]
}

/// The process that has the ports where this node answers.
pub fn this_node<'a>(context: &'a Context<'_>) -> Option<&'a String> {
    let own = &context.cluster.own;
    let is_ours = |port: u16| own.get(&port) == Some(&Answers::Ours);
    let ports = &context.host.ports;
    ports.iter().find(|port| is_ours(port.number)).and_then(|port| port.holder.as_ref())
}

/// The node can read who may log in.
pub fn logins(context: &Context<'_>) -> Vec<Finding> {
    let Some(door) = &context.admin else { return Vec::new() };
    let why =
        "with this file `rmq-node run` does not start; a node that runs keeps those that it has";
    match &door.logins {
        Err(wrong) if wrong.contains("Permission denied") => {
            let fix = "run `rmq-node doctor` as root or as the node's user";
            return vec![Finding::note(wrong, why, fix)];
        }
        Err(wrong) => {
            let fix = "change the file as it says, then `rmq-node config check`";
            return vec![Finding::error(wrong, why, fix)];
        }
        Ok(()) => {}
    }
    let runner = context.host.data.as_ref().map(|data| &data.runner);
    match (&door.file, runner) {
        (Some(file), Some(runner)) if !may(file, runner, READ) => {
            let name = file.path.display();
            vec![Finding::error(
                format!("{name} cannot be read by {}, whom the node runs as", runner.name),
                why,
                format!("chown {} {name}", runner.name),
            )]
        }
        _ => vec![Finding::ok("who may use the admin API over TCP can be read")],
    }
}
