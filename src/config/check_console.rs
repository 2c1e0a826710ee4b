//! Where the console listens, and whether it is safe there.
//!
//! Not the console. Invariant: pages, to which passwords are sent, are never served in plain beyond loopback.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::Console;
use super::check::Findings;
use super::check_addresses::{NAME_SERVER_PORT, check_address};
use super::layers::{DEFAULT, Origins};
use super::settings::Settings;

/// What whoever wants it on the network has to have.
const NEEDS_TLS: &str = "passwords would cross the network in plain: write tls.certificate_file = \
                         \"/etc/rmq-node/tls/node.crt\" and tls.key_file, or leave this line out and come through \
                         `ssh -L 8080:127.0.0.1:8080 HOST`";

/// Whether anything of the table is more than a default.
pub(super) fn is_written(origins: &Origins) -> bool {
    let mut table = origins.iter().filter(|(path, _)| path.starts_with("console."));
    table.any(|(_, found)| !found.origin.starts_with(DEFAULT))
}

/// Whether the console's paths can begin with this: nothing, or parts as `/rmq`.
#[must_use]
pub fn is_base_path(path: &str) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || "/-_.~".contains(c);
    path.is_empty() || path.starts_with('/') && !path.contains("//") && path.chars().all(is_part)
}

/// The console of these settings.
pub(super) fn check_console(settings: &Settings, findings: &mut Findings<'_>) -> Console {
    let table = &settings.console;
    let host = table.listen.unwrap_or(Ipv4Addr::LOCALHOST.into());
    let address = (table.port != 0).then(|| SocketAddr::new(host, table.port));
    if let (true, Some(address)) = (is_written(findings.origins), address) {
        check_port(address, settings, findings);
    }
    if table.enabled && address.is_some() && !host.is_loopback() && !settings.tls.is_on() {
        let text = format!("the console listens at {host}, and there is no TLS: {NEEDS_TLS}");
        findings.add("console.listen", text);
    }
    for (at, entry) in table.name_servers.iter().enumerate() {
        if let Err(text) = check_address(entry, NAME_SERVER_PORT) {
            findings.add_entry("console.name_servers", at, text);
        }
    }
    let base_path = table.base_path.trim_end_matches('/');
    if !is_base_path(base_path) {
        let text = format!("\"{}\" is no path: write one such as \"/rmq\"", table.base_path);
        findings.add("console.base_path", text);
    }
    Console {
        is_enabled: table.enabled,
        address,
        name_servers: table.name_servers.clone(),
        base_path: base_path.to_owned(),
    }
}

/// A port that a role here has as well.
fn check_port(console: SocketAddr, settings: &Settings, findings: &mut Findings<'_>) {
    let meets = |other: IpAddr| {
        other == console.ip() || other.is_unspecified() || console.ip().is_unspecified()
    };
    if settings.admin.listen.is_some_and(|one| one.port() == console.port() && meets(one.ip())) {
        let text = format!("port {} is that of admin.listen too: choose another", console.port());
        findings.add("console.port", text);
    }
    if !settings.listen.is_some_and(meets) {
        return;
    }
    let name_server =
        settings.name_server.iter().map(|one| (one.port, "the name server".to_owned()));
    let brokers = settings.broker.iter().flat_map(|one| {
        let ports = [one.port.wrapping_sub(2), one.port, one.port.wrapping_add(1)];
        ports.map(|port| (port, one.group.clone()))
    });
    if let Some((port, whose)) =
        name_server.chain(brokers).find(|(port, _)| *port == console.port())
    {
        findings.add("console.port", format!("port {port} is one of {whose} too: choose another"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::check_text;

    const PAIR: &str =
        "advertise = \"192.168.1.161\"\n[name_server]\n[[broker]]\ngroup = \"broker-a\"\n";

    fn console(text: &str) -> Console {
        check_text("a.toml", text).unwrap().config.console
    }

    fn refused(text: &str) -> String {
        check_text("a.toml", text).unwrap_err().to_string()
    }

    #[test]
    fn it_is_on_loopback_unless_told_otherwise() {
        let address = |text: &str| console(text).address.map(|address| address.to_string());
        assert_eq!(address("").as_deref(), Some("127.0.0.1:8080"));
        assert_eq!(address("listen = \"127.0.0.9\"").as_deref(), Some("127.0.0.9:8080"));
        assert_eq!(address("listen = \"192.168.1.161\"").as_deref(), Some("127.0.0.1:8080"));
        assert_eq!(address(PAIR).as_deref(), Some("127.0.0.1:8080"));
        assert_eq!(address("[console]\nport = 0"), None);
        let is_wanted = |text: &str| check_text("a.toml", text).unwrap().wants_console();
        assert!(!is_wanted("listen = \"127.0.0.9\"") && is_wanted("[console]\nport = 8080"));
    }

    #[test]
    fn pages_are_not_on_the_network_without_tls() {
        let told = refused("[console]\nlisten = \"0.0.0.0\"");
        assert!(
            told.starts_with("a.toml:2:10: the console listens at 0.0.0.0, and there is no TLS"),
            "{told}"
        );
        let tls = "[tls]\ncertificate_file = \"a\"\nkey_file = \"b\"\n";
        console(&format!("{tls}[console]\nlisten = \"0.0.0.0\""));
        refused(&format!("{tls}mode = \"disabled\"\n[console]\nlisten = \"0.0.0.0\""));
        // What only metrics are served at may be anywhere.
        console("[console]\nenabled = false\nlisten = \"0.0.0.0\"");
        console("[console]\nport = 0\nlisten = \"0.0.0.0\"");
    }

    #[test]
    fn what_it_looks_after_and_its_paths_are_checked() {
        let told = refused("[console]\nname_servers = [\"a\"]");
        assert_eq!(told, "a.toml:2:16: \"a\" has no port: write \"a:9876\"");
        assert_eq!(console("[console]\nbase_path = \"/a/b/\"").base_path, "/a/b");
        for wrong in ["a", "//a", "/a b", "https://a"] {
            refused(&format!("[console]\nbase_path = \"{wrong}\""));
        }
    }

    #[test]
    fn its_port_is_no_other_roles() {
        let told = refused("[console]\nport = 10909");
        assert_eq!(told, "a.toml:2:8: port 10909 is one of broker-a too: choose another");
        let told = refused("[console]\nport = 9876");
        assert_eq!(told, "a.toml:2:8: port 9876 is one of the name server too: choose another");
        console("listen = \"127.0.0.2\"\n[console]\nport = 9876\nlisten = \"127.0.0.3\"");
    }
}
