//! Which addresses may stand where: name servers, and what this host announces.
//!
//! Nothing is resolved or dialled. Invariant: what is refused could not work on any host, or is known to
//! reach nobody (loopback, a container's bridge, link-local).

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::check::Findings;
use super::layers::DEFAULT;
use super::settings::Settings;

/// What a name server's address usually ends with.
pub(super) const NAME_SERVER_PORT: u16 = 9876;

/// What this host binds and announces.
pub(super) struct Addresses {
    pub(super) listen: IpAddr,
    pub(super) advertise: IpAddr,
    pub(super) replication_advertise: IpAddr,
}

/// Each entry of `name_servers` is one address with its port, and none is there twice.
pub(super) fn check_name_servers(settings: &Settings, findings: &mut Findings<'_>) {
    let found = findings.origins.get("name_servers");
    // What follows from other settings is as right as they are.
    if found.is_some_and(|found| found.origin.starts_with(DEFAULT)) {
        return;
    }
    let mut seen = BTreeSet::new();
    for (at, entry) in settings.name_servers.iter().enumerate() {
        let refused = refuse_entry(entry)
            .or_else(|| refuse_own(entry, settings))
            .or_else(|| (!seen.insert(entry)).then(|| format!("\"{entry}\" is there twice")));
        if let Some(text) = refused {
            findings.add_entry("name_servers", at, text);
        }
    }
    // With a name server here, only the address that it is dialled at is missing, which is told below.
    let is_told = settings.name_server.is_some() && settings.advertise.is_none();
    if settings.name_servers.is_empty() && !is_told {
        let text = "nobody could find the brokers: write name_servers = [\"HOST:9876\"], or [name_server] to run one here";
        findings.add("name_servers", text.to_owned());
    }
}

fn refuse_entry(entry: &str) -> Option<String> {
    if !entry.contains([',', ';']) {
        return check_address(entry, NAME_SERVER_PORT).err();
    }
    let parts = entry.split([',', ';']).map(str::trim).filter(|part| !part.is_empty());
    let parts: Vec<(&str, String)> =
        parts.map(|part| (part, with_port(part, NAME_SERVER_PORT))).collect();
    let lacks = parts.iter().find(|(part, whole)| part != whole);
    let lacks = lacks.map_or(String::new(), |(part, _)| format!(", and {part} has no port"));
    let list: Vec<String> = parts.iter().map(|(_, whole)| format!("\"{whole}\"")).collect();
    Some(format!("\"{entry}\" is more than one address{lacks}: write [{}]", list.join(", ")))
}

/// Whether `entry` is `HOST:PORT`; `usual` is the port that is proposed if not.
///
/// # Errors
/// What to write instead.
pub fn check_address(entry: &str, usual: u16) -> Result<(), String> {
    let whole = with_port(entry, usual);
    if whole != entry {
        return Err(format!("\"{entry}\" has no port: write \"{whole}\""));
    }
    let (host, port) = entry.rsplit_once(':').unwrap_or_default();
    if host.is_empty() {
        return Err(format!("\"{entry}\" has no host: write HOST:PORT"));
    }
    let is_part = |c: char| c.is_ascii_alphanumeric() || ".-_".contains(c);
    let is_host = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(address) => address.parse::<Ipv6Addr>().is_ok_and(|v6| !v6.is_unspecified()),
        None => host.chars().all(is_part) && host.parse() != Ok(Ipv4Addr::UNSPECIFIED),
    };
    if !is_host {
        return Err(format!("\"{host}\" cannot be dialled: write HOST:PORT"));
    }
    if port.parse::<u16>().unwrap_or_default() == 0 {
        return Err(format!("\"{port}\" is no port: write \"{host}:{usual}\""));
    }
    Ok(())
}

/// `entry` with the port that it lacks, as a socket address is written.
pub(super) fn with_port(entry: &str, usual: u16) -> String {
    let bare = entry.trim_end_matches(':');
    match bare.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() {
        Ok(address) => SocketAddr::new(address, usual).to_string(),
        Err(_) if bare.is_empty() || bare.contains(':') => entry.to_owned(),
        Err(_) => format!("{bare}:{usual}"),
    }
}

/// An entry for this host with another port than its name server has, which is in no entry.
fn refuse_own(entry: &str, settings: &Settings) -> Option<String> {
    let server = settings.name_server.as_ref()?;
    let own = SocketAddr::new(settings.advertise?, server.port);
    let address: SocketAddr = entry.parse().ok()?;
    let is_listed = settings.name_servers.iter().any(|one| one.parse() == Ok(own));
    (address.ip() == own.ip() && !is_listed).then(|| {
        format!(
            "\"{entry}\" is this host, whose name server has port {}: write \"{own}\"",
            server.port
        )
    })
}

/// What clients and slaves are told to dial is something that they can dial.
pub(super) fn check_advertise(
    settings: &Settings,
    findings: &mut Findings<'_>,
) -> Option<Addresses> {
    let listen = settings.listen?;
    let Some(advertise) = settings.advertise else {
        let text = format!(
            "advertise is missing: with listen = \"{listen}\" nobody knows which address to dial; write \
             advertise = \"192.168.1.161\" with this host's own address"
        );
        findings.add("listen", text);
        return None;
    };
    let replication_advertise = settings.replication_advertise.unwrap_or(advertise);
    check_announced("advertise", advertise, settings, findings);
    if replication_advertise != advertise {
        check_announced("replication_advertise", replication_advertise, settings, findings);
    }
    Some(Addresses { listen, advertise, replication_advertise })
}

fn check_announced(key: &str, address: IpAddr, settings: &Settings, findings: &mut Findings<'_>) {
    let written = format!("{key} = \"{address}\"");
    if address.is_unspecified() || address.is_multicast() {
        let text = format!("{written} cannot be dialled: write this host's own address");
        findings.add(key, text);
    }
    let elsewhere = settings.name_servers.iter().find(|entry| !is_on_this_host(entry));
    if let (true, Some(peer)) = (address.is_loopback(), elsewhere) {
        let text = format!(
            "{written} is this host only, but {peer} is elsewhere and would send clients to itself: write {key} = \
             \"192.168.1.161\" with the address that others dial"
        );
        findings.add(key, text);
    }
    if let (Some(kind), false) = (internal_address(address), settings.allow_internal_addresses) {
        let text = format!(
            "{written} is {kind}, which other hosts cannot dial: write the address that they dial, or \
             allow_internal_addresses = true if they can"
        );
        findings.add(key, text);
    }
}

/// What kind of address that no other host knows it is, if it is one.
#[must_use]
pub fn internal_address(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(v4) if v4.is_link_local() => Some("a link-local address"),
        IpAddr::V4(v4) if v4.octets().starts_with(&[172, 17]) => {
            Some("a container's address (Docker's default bridge)")
        }
        IpAddr::V6(v6) if v6.is_unicast_link_local() => Some("a link-local address"),
        _ => None,
    }
}

/// Also true of what is refused by itself, which is another finding.
fn is_on_this_host(address: &str) -> bool {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    let host = host.trim_start_matches('[').trim_end_matches(']');
    refuse_entry(address).is_some()
        || host == "localhost"
        || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}
