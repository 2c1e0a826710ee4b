//! Checks of replication: each group has its master, slaves follow it, and the way between them is open.
//!
//! Not how it works (`crate::replication`). Invariant: a slave that moves is not told as one that stands.

use std::collections::BTreeSet;

use super::cluster::Registered;
use super::cluster_checks::{kind, open_port, shown};
use super::{Context, Finding};
use crate::config::{Config, Replication, Role};
use crate::transport::Dialled;

/// Every group.
pub fn replication(context: &Context<'_>) -> Vec<Finding> {
    let Some(config) = context.config() else { return Vec::new() };
    let brokers = &context.cluster.brokers;
    let groups: BTreeSet<&str> = brokers.iter().map(|one| one.group.as_str()).collect();
    let mut found = Vec::new();
    for group in groups {
        let master = brokers.iter().find(|one| one.group == group && one.id == 0);
        let slaves: Vec<&Registered> =
            brokers.iter().filter(|one| one.group == group && one.id != 0).collect();
        // What runs here once the node runs is not missed before.
        let is_expected = |role: Role| {
            !context.cluster.runs
                && config.brokers.iter().any(|own| own.group == group && own.role == role)
        };
        let Some(master) = master else {
            if is_expected(Role::Master) {
                continue;
            }
            let known: Vec<String> = slaves.iter().map(|one| one.shown()).collect();
            found.push(Finding::error(
                format!("{group} has no master: only {} is registered", known.join(", ")),
                "nothing can be sent to it; what is there can still be read",
                "start its master, or see why it is not registered",
            ));
            continue;
        };
        if slaves.iter().any(|one| one.dialled == Dialled::Reachable) {
            found.extend(ha_address(master, config));
        }
        found.extend(slaves.iter().filter_map(|slave| follows(slave, master)));
        if slaves.is_empty()
            && others_have_slaves(context, config, master)
            && !is_expected(Role::Slave)
        {
            found.push(Finding::warning(
                format!(
                    "{} has no slave, though other groups of {} have",
                    master.shown(),
                    master.cluster
                ),
                "what it stores is on one disk only, and cannot be read while it is down",
                "start the host of its slave, or see there why it is not registered",
            ));
        }
    }
    found.extend(lacking(context, config));
    found
}

/// Whether the cluster is one with slaves: some are registered, or set here.
fn others_have_slaves(context: &Context<'_>, config: &Config, master: &Registered) -> bool {
    let is_alike = |one: &Registered| one.id != 0 && one.cluster == master.cluster;
    let set_here = config.brokers.iter().any(|own| own.role == Role::Slave);
    context.cluster.brokers.iter().any(is_alike) || (set_here && config.cluster == master.cluster)
}

/// Slaves reach what the master announces for its log.
fn ha_address(master: &Registered, config: &Config) -> Option<Finding> {
    let who = master.who.as_ref().ok()?;
    let dialled = master.ha.as_ref()?;
    let address = &who.ha_address;
    let kind = kind(address);
    let is_reached = *dialled == Dialled::Reachable;
    if is_reached && kind.is_empty() {
        return None;
    }
    let what = format!(
        "{} announces {address}{kind} to its slaves: {}",
        master.shown(),
        if is_reached { "it answers on this host".to_owned() } else { shown(dialled) }
    );
    let host = master.address.rsplit_once(':').map_or("", |(host, _)| host);
    let port = address.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
    let fix = if address.starts_with(&format!("{host}:")) {
        format!("on its host: {}", open_port(port.unwrap_or_default()))
    } else {
        format!(
            "let it announce what slaves can dial, and restart it: replication_advertise = \"{host}\" (brokerIP2={host} \
             of 4.9.4)"
        )
    };
    let is_followed_here =
        config.brokers.iter().any(|own| own.group == master.group && own.role == Role::Slave);
    Some(if is_reached {
        Finding::warning(what, "slaves on other hosts cannot dial it: they copy nothing", fix)
    } else if is_followed_here {
        Finding::error(
            what,
            "the slave here copies nothing: what this master has is on one disk only",
            fix,
        )
    } else {
        Finding::warning(
            what,
            "seen from this host, slaves cannot copy it; on a network of their own they may reach it",
            fix,
        )
    })
}

/// A slave has what its master has, or gets it.
fn follows(slave: &Registered, master: &Registered) -> Option<Finding> {
    let (Some(slave_end), Some(master_end)) = (slave.log_end, master.log_end) else { return None };
    let name = format!("{} ({})", slave.group, slave.id);
    if slave_end > master_end {
        return Some(Finding::error(
            format!(
                "{name} has {} bytes more than its master {}",
                slave_end - master_end,
                master.address
            ),
            "the master has lost messages or started over, and the slave cannot follow it: what is sent now is on one \
             disk only",
            format!(
                "keep both data directories; if the master's was replaced, stop it and bring the slave's back (copy {0} of \
                 {1} over); else move {0} away on the slave and restart it, to copy anew",
                slave.group, slave.address
            ),
        ));
    }
    let later = slave.log_end_later.unwrap_or(slave_end);
    if later >= master_end {
        return Some(Finding::ok(format!("{name} has all that its master has")));
    }
    let behind = master_end - later;
    Some(if later > slave_end {
        Finding::note(
            format!(
                "{name} is {behind} bytes behind its master and moves {} bytes a second",
                later - slave_end
            ),
            "until it is there, what it lacks is on one disk only",
            "wait, and look again",
        )
    } else {
        Finding::error(
            format!("{name} is {behind} bytes behind its master and does not move"),
            "what it lacks is on one disk only, and consumers do not find it when the master is down",
            "see why in the slave's log (`journalctl -u rmq-node` on its host); its way to the master's HA port is told \
             above if it is closed",
        )
    })
}

/// Senders to a master here wait for slaves that are not there.
fn lacking(context: &Context<'_>, config: &Config) -> Vec<Finding> {
    if !context.cluster.runs {
        return Vec::new();
    }
    let waits = config.brokers.iter().filter(|own| own.replication == Replication::Sync);
    let finding = |own: &crate::config::Broker| {
        let is_slave = |one: &&Registered| {
            one.group == own.group && one.id != 0 && one.dialled == Dialled::Reachable
        };
        let there = context.cluster.brokers.iter().filter(is_slave).count();
        (u64::try_from(there).unwrap_or(u64::MAX) < u64::from(own.in_sync_min)).then(|| {
            Finding::error(
                format!(
                    "senders to {} wait for in_sync_min = {} of its slaves, and {there} are there",
                    own.group, own.in_sync_min
                ),
                "every send is stored and yet answered with 11, SLAVE_NOT_AVAILABLE: producers send it again",
                "start its slaves, or write replication = \"async\" until they are there",
            )
        })
    };
    waits.filter_map(finding).collect()
}
