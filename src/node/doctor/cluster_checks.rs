//! Checks of the cluster: name servers, brokers at their addresses, peers, clocks, versions, topics.
//!
//! Not replication. Invariant: what is expected while the node does not run is no finding.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use super::cluster::{Registered, Who};
use super::{Context, Finding};
use crate::acl;
use crate::admin::ACCOUNTS_DIFFER_FIX;
use crate::config::{Config, internal_address};
use crate::proto::v1::{Broker, Topic, TopicDrift, TopicKind, TopicSettings};
use crate::remoting::bodies::dial_back::PortState;
use crate::transport::Dialled;

/// Beyond it, times in two hosts' logs cannot be compared any more.
const CLOCK_DIFFERENCE_MAX_MS: i64 = 1000;
/// Topics that are told one by one.
const TOPICS_SHOWN_MAX: usize = 5;

/// What mends an address that only one host knows.
const ANNOUNCE: &str = "write the address that other hosts dial in its settings (advertise; brokerIP1 of 4.9.4), and restart it";
/// What mends an announced port that is another broker's.
const OWN_PORT: &str = "give each broker of a host a port of its own (port = 10921; listenPort=10921 of 4.9.4), map it to the \
                        same number (-p 10919:10919 -p 10921:10921 -p 10922:10922), and restart it";

/// What became of an attempt to connect, for a text.
pub fn shown(dialled: &Dialled) -> String {
    match dialled {
        Dialled::Reachable => "somebody answers".to_owned(),
        Dialled::Refused => "nobody listens there".to_owned(),
        Dialled::Timeout => "nothing comes back".to_owned(),
        Dialled::Failed(reason) => reason.clone(),
    }
}

/// How a port is opened.
pub fn open_port(port: u16) -> String {
    format!(
        "firewall-cmd --permanent --add-port={port}/tcp && firewall-cmd --reload (or ufw allow {port}/tcp)"
    )
}

/// `a container's address` and the like, in brackets, if no other host knows the address.
pub fn kind(address: &str) -> String {
    let parsed = address.parse::<SocketAddr>().ok();
    let kind = parsed.and_then(|at| internal_address(at.ip()));
    kind.map(|kind| format!(" ({kind})")).unwrap_or_default()
}

fn own_address(config: &Config, port: u16) -> String {
    SocketAddr::new(config.advertise, port).to_string()
}

/// Whether the settings have this broker.
pub fn is_own(config: &Config, broker: &Registered) -> bool {
    let is_it = |own: &crate::config::Broker| {
        own.group == broker.group
            && i64::from(own.id) == broker.id
            && own_address(config, own.port) == broker.address
    };
    config.brokers.iter().any(is_it)
}

/// Whether it would run here if the node ran.
fn is_own_name_server(config: &Config, address: &str) -> bool {
    config.name_server.as_ref().is_some_and(|own| own_address(config, own.port) == address)
}

/// Every name server answers.
pub fn name_servers(context: &Context<'_>) -> Vec<Finding> {
    let Some(config) = context.config() else { return Vec::new() };
    let cluster = &context.cluster;
    let is_expected = |address: &str| !cluster.runs && is_own_name_server(config, address);
    let asked: Vec<_> =
        cluster.name_servers.iter().filter(|one| !is_expected(&one.address)).collect();
    let answering = asked.iter().filter(|one| one.groups.is_ok()).count();
    let mut found = Vec::new();
    for server in &asked {
        let Err(reason) = &server.groups else { continue };
        let port = server.address.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
        let what = format!("{} does not answer: {reason}", server.address);
        let fix = format!(
            "start it, or on its host: {}; if it is gone for good, take it out of name_servers",
            open_port(port.unwrap_or_default())
        );
        found.push(if answering == 0 {
            Finding::error(what, "no client finds a broker, and slaves do not find their masters", fix)
        } else {
            Finding::warning(
                what,
                "clients that know this one only find no broker, and there is one less when another fails",
                fix,
            )
        });
    }
    if found.is_empty() && answering > 0 {
        let all: Vec<&str> = asked.iter().map(|one| one.address.as_str()).collect();
        found.push(Finding::ok(format!("{} answer", all.join(", "))));
    }
    found
}

/// Name servers show each broker of this host where it is, and all show the same.
pub fn registration(context: &Context<'_>) -> Vec<Finding> {
    let Some(config) = context.config() else { return Vec::new() };
    let mut found = Vec::new();
    for broker in &config.brokers {
        let who = format!("{} ({})", broker.group, broker.id);
        let own = own_address(config, broker.port);
        for server in &context.cluster.name_servers {
            let Ok(groups) = &server.groups else { continue };
            let group = groups.iter().find(|one| one.broker_name == broker.group);
            let shown = group.and_then(|one| one.addresses.get(&i64::from(broker.id)));
            match shown {
                Some(shown) if *shown == own => {}
                Some(shown) => found.extend(taken(context, &who, &own, shown, &server.address)),
                None if context.cluster.runs => found.push(Finding::error(
                    format!("{} does not know {who}", server.address),
                    "its clients do not find the broker",
                    "see why in the log (`journalctl -u rmq-node`): it registers anew every 30 s",
                )),
                None => {}
            }
        }
    }
    let answering = context.cluster.name_servers.iter().filter(|one| one.groups.is_ok()).count();
    for broker in context.cluster.brokers.iter().filter(|one| !is_own(config, one)) {
        if broker.by.len() < answering && broker.dialled == Dialled::Reachable {
            found.push(Finding::warning(
                format!("{} is registered with {} only", broker.shown(), broker.by.join(", ")),
                "clients of the other name servers do not find it",
                "write all name servers in the settings of that broker (name_servers; namesrvAddr of 4.9.4), and restart it",
            ));
        }
    }
    if context.cluster.runs && found.is_empty() && answering > 0 {
        found.push(Finding::ok("they show the brokers of this host at their addresses"));
    }
    found
}

/// Somebody else is registered as a broker of this host.
fn taken(
    context: &Context<'_>,
    who: &str,
    own: &str,
    shown: &str,
    server: &str,
) -> Option<Finding> {
    let at = context.cluster.brokers.iter().find(|one| one.address == shown);
    let lives = at.is_some_and(|one| one.dialled == Dialled::Reachable);
    // One that is gone is forgotten by name servers, and is told as a route that nobody answers.
    (lives || context.cluster.runs).then(|| {
        Finding::error(
            format!("{server} shows {who} at {shown}{}, not at {own}", kind(shown)),
            "two brokers under one name: clients reach one or the other, messages are split between them, and a slave \
             copies whichever registered last",
            "stop one of the two; or give one another group, or role = \"slave\" with an id of its own",
        )
    })
}

/// At every address that name servers show, the broker answers that they show there.
pub fn routes(context: &Context<'_>) -> Vec<Finding> {
    let Some(config) = context.config() else { return Vec::new() };
    let brokers = &context.cluster.brokers;
    let mut found = shared_addresses(brokers);
    for broker in brokers {
        let is_down_here = !context.cluster.runs && is_own(config, broker);
        if broker.dialled != Dialled::Reachable {
            found.push(unanswered(broker, is_down_here));
            continue;
        }
        if !kind(&broker.address).is_empty() {
            found.push(Finding::warning(
                format!("{}{} answers here", broker.shown(), kind(&broker.address)),
                "clients and slaves on other hosts cannot dial it",
                ANNOUNCE,
            ));
        }
        // Of two at one address one is wrong anyhow, which is told above.
        let is_shared = brokers.iter().any(|one| one != broker && one.address == broker.address);
        if !is_shared {
            found.extend(wrong_identity(broker, &broker.who));
        }
        if let Some(vip) = broker.vip.as_ref().filter(|vip| **vip != Dialled::Reachable) {
            let at = broker.address.parse::<SocketAddr>().ok();
            let port = at.map_or(0, |at| at.port().saturating_sub(2));
            found.push(Finding::warning(
                format!("{}: its VIP port {port} is not reached: {}", broker.shown(), shown(vip)),
                "producers with the VIP channel cannot send, and slaves of 4.9.4 do not get its topics",
                format!("on its host: {}; behind port mapping: -p {port}:{port}", open_port(port)),
            ));
        }
    }
    if found.is_empty() && !brokers.is_empty() {
        let all: Vec<String> = brokers.iter().map(Registered::shown).collect();
        found.push(Finding::ok(format!("{} answer", all.join(", "))));
    }
    found
}

/// The tutorial's slave: it announces what its container listens on, which is another broker's on the host.
fn shared_addresses(brokers: &[Registered]) -> Vec<Finding> {
    let mut by_address: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for broker in brokers {
        let who = format!("{} ({})", broker.group, broker.id);
        by_address.entry(&broker.address).or_default().push(who);
    }
    let shared = by_address.into_iter().filter(|(_, who)| who.len() > 1);
    let finding = |(address, who): (&str, Vec<String>)| {
        Finding::error(
            format!("{} are registered at one address, {address}", who.join(" and ")),
            "one of them announces a port that is the other's, as behind a mapping such as 10623 -> 10911: whoever reads \
             from it reaches the other, and its messages are not found",
            OWN_PORT,
        )
    };
    shared.map(finding).collect()
}

fn unanswered(broker: &Registered, is_down_here: bool) -> Finding {
    let what = format!("{}{}: {}", broker.shown(), kind(&broker.address), shown(&broker.dialled));
    if is_down_here {
        return Finding::note(
            format!("{} is still registered, and the node does not run", broker.shown()),
            "clients try it until name servers forget it, which takes two minutes",
            "systemctl start rmq-node",
        );
    }
    let why = "name servers show an address that nobody answers: clients that are sent there wait and fail";
    let fix = if kind(&broker.address).is_empty() {
        let port = broker.address.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
        format!("start it, or on its host: {}", open_port(port.unwrap_or_default()))
    } else {
        ANNOUNCE.to_owned()
    };
    Finding::error(what, why, fix)
}

fn wrong_identity(broker: &Registered, who: &Result<Who, String>) -> Option<Finding> {
    let (answers, why) = match who {
        Ok(who) if who.group == broker.group && who.id == broker.id => return None,
        Ok(who) => (
            format!("{} ({}) answers there", who.group, who.id),
            "it announces a port that is another broker's on that host, as behind a mapping such as 10623 -> 10911: whoever \
             reads from it reaches the other, and its messages are not found",
        ),
        // Who refuses this host's account is a broker; what is wrong with the account is told elsewhere.
        Err(reason) if acl::is_refusal(reason) => {
            return Some(Finding::warning(
                format!("{}: {reason}", broker.shown()),
                "it does not take the account of this host (acl.node_account), and nothing more is known of it",
                "write the same account, with `admin: true`, in plain_acl.yml on both hosts",
            ));
        }
        Err(reason) => (reason.clone(), "clients are sent to something that is no broker"),
    };
    Some(Finding::error(format!("{}: {answers}", broker.shown()), why, OWN_PORT))
}

/// All clocks show the same time.
pub fn clocks(context: &Context<'_>) -> Vec<Finding> {
    let Some(config) = context.config() else { return Vec::new() };
    let own = config.advertise.to_string();
    let mut found = Vec::new();
    let mut hosts = BTreeSet::from([own.as_str()]);
    let mut compared = Vec::new();
    for broker in &context.cluster.brokers {
        let Some(ahead) = broker.who.as_ref().ok().and_then(|who| who.ahead) else { continue };
        let host =
            broker.address.rsplit_once(':').map_or(broker.address.as_str(), |(host, _)| host);
        if !hosts.insert(host) {
            continue;
        }
        if ahead.ms.abs() - ahead.error_ms > CLOCK_DIFFERENCE_MAX_MS {
            let side = if ahead.ms > 0 { "ahead of" } else { "behind" };
            found.push(Finding::warning(
                format!("{host} is {}.{} s {side} this host", ahead.ms.abs() / 1000, ahead.ms.abs() % 1000 / 100),
                "delayed messages come at other times after a fail-over, messages are deleted too soon or too late, and \
                 searches by time miss",
                "on both hosts: apt install chrony, then `chronyc tracking` shows the difference",
            ));
        } else {
            compared.push(host);
        }
    }
    if found.is_empty() && !compared.is_empty() {
        found.push(Finding::ok(format!("the same on {} within 1 s", compared.join(", "))));
    }
    found
}

/// Nodes of ours are of one version.
pub fn versions(context: &Context<'_>) -> Vec<Finding> {
    let mut versions: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for broker in &context.cluster.brokers {
        let Ok(who) = &broker.who else { continue };
        let version = match (&who.node_version, &broker.version) {
            (Some(version), _) => format!("rmq-node {version}"),
            (None, Some(version)) => format!("Apache {version}"),
            (None, None) => continue,
        };
        let name = format!("{} ({})", broker.group, broker.id);
        versions.entry(version).or_default().push(name);
    }
    let nodes = versions.keys().filter(|version| version.starts_with("rmq-node")).count();
    let texts: Vec<String> = versions
        .into_iter()
        .map(|(version, names)| format!("{version}: {}", names.join(", ")))
        .collect();
    let text = texts.join("; ");
    match (nodes, text.is_empty()) {
        (_, true) => Vec::new(),
        (0 | 1, _) => vec![Finding::ok(text)],
        _ => vec![Finding::note(
            format!("versions differ: {text}"),
            "what only one of them knows is not used between them",
            "upgrade the older ones, one host after the other",
        )],
    }
}

/// Peers reach every port of this host.
pub fn peers(context: &Context<'_>) -> Vec<Finding> {
    let Some(config) = context.config() else { return Vec::new() };
    let mut found = Vec::new();
    for asked in &context.cluster.asked_back {
        let peer = &asked.peer;
        let answer = match &asked.answer {
            None => {
                found.push(Finding::note(
                    format!("{peer} is an Apache broker: whether it reaches this host cannot be checked from there"),
                    "only a peer sees what a firewall on the way drops",
                    probe(context, config),
                ));
                continue;
            }
            Some(Err(reason)) => {
                found.push(Finding::note(
                    format!("{peer} did not dial this host: {reason}"),
                    "only a peer sees what a firewall on the way drops",
                    "try again in a minute",
                ));
                continue;
            }
            Some(Ok(answer)) => answer,
        };
        if answer.seen_as != config.advertise {
            found.push(Finding::note(
                format!("{peer} sees this host as {}, not as {}", answer.seen_as, config.advertise),
                "it could only dial the address that it sees: whether the announced one is reached is not known",
                probe(context, config),
            ));
            continue;
        }
        let before = found.len();
        for (port, state) in &answer.ports {
            found.extend(dialled_back(context, peer, *port, *state));
        }
        if found.len() == before {
            let ports: Vec<String> =
                answer.ports.iter().map(|(port, _)| port.to_string()).collect();
            found.push(Finding::ok(format!("{peer} reaches {} here", ports.join(", "))));
        }
    }
    found
}

/// What tries all ports by hand.
fn probe(context: &Context<'_>, config: &Config) -> String {
    let all: Vec<String> = context.host.ports.iter().map(|port| port.number.to_string()).collect();
    format!(
        "on that host: for p in {}; do nc -vz -w 2 {} $p; done",
        all.join(" "),
        config.advertise
    )
}

fn dialled_back(context: &Context<'_>, peer: &str, port: u16, state: PortState) -> Option<Finding> {
    let of_port = context.host.ports.iter().find(|one| one.number == port);
    let role = of_port.map_or("a port", |one| one.role.as_str());
    let (verdict, fix) = match state {
        PortState::Reachable => return None,
        PortState::NotRegistered => {
            return Some(Finding::note(
                format!("{peer} did not dial {port}, {role}: its name servers do not know it"),
                "a peer dials only what is registered",
                "write the same name_servers on all hosts",
            ));
        }
        PortState::Refused => ("is refused", open_port(port)),
        PortState::Timeout => ("gets nothing back", open_port(port)),
        PortState::Unreachable => {
            ("finds no way", "look at the routes of both hosts (`ip route get`)".to_owned())
        }
    };
    Some(Finding::error(
        format!("{peer} dials {port}, {role}, and {verdict}"),
        "a firewall or address translation is in between: clients or slaves on that side cannot work with this host",
        format!("on this host: {fix}"),
    ))
}

/// All masters of the cluster have the same topics.
pub fn topics(context: &Context<'_>) -> Vec<Finding> {
    let (Some(config), Some(listing)) = (context.config(), &context.cluster.topics) else {
        return Vec::new();
    };
    let is_master = |one: &&Registered| {
        one.id == 0 && one.cluster == config.cluster && one.dialled == Dialled::Reachable
    };
    let masters: BTreeSet<&str> =
        context.cluster.brokers.iter().filter(is_master).map(|one| one.group.as_str()).collect();
    if masters.len() < 2 {
        return Vec::new();
    }
    let normal = || listing.topics.iter().filter(|topic| topic.kind() == TopicKind::Normal);
    let repair = format!("rmq-node admin topics repair -n '{}'", config.name_servers.join(";"));
    let of_topic = |topic: &Topic| {
        let its = topic.drift.iter().filter(|drift| drift.cluster == config.cluster);
        its.map(|drift| drifted(&topic.topic, drift, &repair)).collect::<Vec<_>>()
    };
    let mut found: Vec<Finding> = normal().flat_map(of_topic).collect();
    if found.len() > TOPICS_SHOWN_MAX {
        let more = found.len() - TOPICS_SHOWN_MAX;
        found.truncate(TOPICS_SHOWN_MAX);
        found.push(Finding::warning(
            format!("{more} more of this kind"),
            "as above",
            format!("{repair} --dry-run shows all, without it all are repaired"),
        ));
    }
    if found.is_empty() {
        let all: Vec<&str> = masters.into_iter().collect();
        let what = match normal().count() {
            0 => "no topic of an application yet".to_owned(),
            count => format!("{count} the same on {}", all.join(", ")),
        };
        found.push(Finding::ok(what));
    }
    found
}

/// Nodes have the same accounts.
pub fn accounts(context: &Context<'_>) -> Vec<Finding> {
    let members = context.cluster.members.iter().flat_map(|state| &state.brokers);
    let differing = members.filter(|one| !one.accounts_differ_from.is_empty());
    let finding = |one: &Broker| {
        let (group, id, address) = (&one.group, one.id, one.address.as_deref().unwrap_or("?"));
        let others = one.accounts_differ_from.join(", ");
        Finding::error(
            format!(
                "{group} ({id}) at {address} has other accounts than {others}, under the same counter"
            ),
            "who is let in depends on which broker is asked: two changes were made at once, or a file by hand, and \
             neither is overwritten",
            ACCOUNTS_DIFFER_FIX,
        )
    };
    differing.map(finding).collect()
}

fn drifted(name: &str, drift: &TopicDrift, repair: &str) -> Finding {
    let text = |one: &TopicSettings| {
        format!(
            "{} read and {} write queues, {}",
            one.read_queues, one.write_queues, one.permission
        )
    };
    let (what, why) = match &drift.before {
        None => (
            format!("topic {name} is missing on {}", drift.broker),
            "when the masters that have it are down, nothing can be sent to it, though another master lives",
        ),
        Some(before) => (
            format!(
                "topic {name} has {} on {}, and {} with what the other masters have",
                text(before),
                drift.broker,
                drift.after.as_ref().map_or_else(String::new, text)
            ),
            "load is not even, and ordered consumers meet other queues after a fail-over",
        ),
    };
    Finding::warning(what, why, format!("{repair} {name}"))
}
