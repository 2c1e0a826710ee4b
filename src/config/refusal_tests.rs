//! Refusals of what the settings decide together, each with its exact text.

use std::fs;

use super::*;

/// A host of its own, with a name server.
const HOST: &str = "listen = \"127.0.0.1\"\n[name_server]\n";

/// A `[[broker]]` of three lines.
fn broker(group: &str, port: u16, rest: &str) -> String {
    format!("[[broker]]\ngroup = \"{group}\"\nport = {port}\n{rest}")
}

fn read(main: &str) -> Result<Loaded, String> {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("a.toml");
    fs::write(&file, main).unwrap();
    let folder = format!("{}/", dir.path().display());
    let sources = Sources { config_file: Some(file), ..Sources::default() };
    load(&sources).map_err(|error| error.to_string().replace(&folder, ""))
}

fn refused(main: &str) -> String {
    read(main).unwrap_err()
}

#[test]
fn ports_that_meet_are_refused() {
    let two = |port| format!("{HOST}{}{}", broker("a", 10911, ""), broker("b", port, ""));
    for (port, text) in [
        (10912, "port 10912 is both the HA port of a (port + 1) and the port of b"),
        (10914, "port 10912 is both the HA port of a (port + 1) and the VIP port of b (port - 2)"),
        (10910, "port 10911 is both the port of a and the HA port of b (port + 1)"),
        (10908, "port 10909 is both the VIP port of a (port - 2) and the HA port of b (port + 1)"),
        (9876, "port 9876 is both the name server's port and the port of b"),
        (9875, "port 9876 is both the name server's port and the HA port of b (port + 1)"),
        (9878, "port 9876 is both the name server's port and the VIP port of b (port - 2)"),
    ] {
        let expected = format!("a.toml:8:8: {text}: choose ports further apart");
        assert_eq!(refused(&two(port)), expected);
    }
    for port in [10907, 10915] {
        assert!(read(&two(port)).is_ok(), "four apart is enough");
    }
    for port in [0, 1, 2, 65535] {
        let text = "port - 2 and port + 1 are used too, write 3 to 65534";
        assert_eq!(refused(&two(port)), format!("a.toml:8:8: port {port}: {text}"));
    }
}

#[test]
fn a_slave_that_would_announce_a_masters_address_is_refused() {
    // The tutorial's slave listens on 10911 in its container and announces that port of its host, where
    // the other group's master is.
    let main = format!(
        "{HOST}{}{}",
        broker("broker-a", 10911, ""),
        broker("broker-b", 10911, "role = \"slave\"\n")
    );
    let lines = refused(&main);
    assert_eq!(
        lines.lines().nth(1),
        Some(
            "a.toml:8:8: port 10911 is both the port of broker-a and the port of broker-b: choose ports further apart"
        )
    );
}

#[test]
fn a_replication_address_that_no_other_host_reaches_is_refused() {
    // In the tutorial it is the container's, because brokerIP2 is not set.
    let rest = "name_servers = [\"192.168.1.162:9876\"]\n[[broker]]\ngroup = \"a\"\n";
    let with = |lines: &str| format!("advertise = \"192.168.1.161\"\n{lines}\n{rest}");
    let why = "which other hosts cannot dial: write the address that they dial, or allow_internal_addresses = true \
               if they can";
    assert_eq!(
        refused(&with("replication_advertise = \"172.17.0.3\"")),
        format!(
            "a.toml:2:25: replication_advertise = \"172.17.0.3\" is a container's address (Docker's default bridge), {why}"
        )
    );
    assert_eq!(
        refused(&with("replication_advertise = \"127.0.0.1\"")),
        "a.toml:2:25: replication_advertise = \"127.0.0.1\" is this host only, but 192.168.1.162:9876 is elsewhere and \
         would send clients to itself: write replication_advertise = \"192.168.1.161\" with the address that others dial"
    );
    let config = read(&with("replication_advertise = \"10.0.0.1\"")).unwrap().config;
    assert_eq!(config.replication_advertise.to_string(), "10.0.0.1");
    assert_eq!(read(&with("")).unwrap().config.replication_advertise, config.advertise);
}

#[test]
fn a_list_of_name_servers_with_a_missing_port_is_refused() {
    // The tutorial's console has this list.
    assert_eq!(
        refused("name_servers = [\"192.168.1.161;192.168.1.162:9876\"]"),
        "a.toml:1:16: \"192.168.1.161;192.168.1.162:9876\" is more than one address, and 192.168.1.161 has no port: \
         write [\"192.168.1.161:9876\", \"192.168.1.162:9876\"]"
    );
}

#[test]
fn name_servers_are_one_address_each() {
    for (entry, text) in [
        ("a:1,b:2;", "\"a:1,b:2;\" is more than one address: write [\"a:1\", \"b:2\"]"),
        ("127.0.0.1", "\"127.0.0.1\" has no port: write \"127.0.0.1:9876\""),
        ("host:", "\"host:\" has no port: write \"host:9876\""),
        ("::1", "\"::1\" has no port: write \"[::1]:9876\""),
        ("[::1]", "\"[::1]\" has no port: write \"[::1]:9876\""),
        ("", "\"\" has no host: write HOST:PORT"),
        (":9876", "\":9876\" has no host: write HOST:PORT"),
        ("0.0.0.0:1", "\"0.0.0.0\" cannot be dialled: write HOST:PORT"),
        ("http://a:80", "\"http://a\" cannot be dialled: write HOST:PORT"),
        ("a b:80", "\"a b\" cannot be dialled: write HOST:PORT"),
        ("[::]:80", "\"[::]\" cannot be dialled: write HOST:PORT"),
        ("a:0", "\"0\" is no port: write \"a:9876\""),
        ("a:x", "\"x\" is no port: write \"a:9876\""),
        ("a:65536", "\"65536\" is no port: write \"a:9876\""),
    ] {
        let main = format!("name_servers = [\"{entry}\"]");
        assert_eq!(refused(&main), format!("a.toml:1:16: {text}"));
    }
    assert_eq!(
        refused("name_servers = [\"127.0.0.2:1\", \"127.0.0.2:1\"]"),
        "a.toml:1:16: \"127.0.0.2:1\" is there twice"
    );
    let main = "listen = \"127.0.0.1\"\n[[broker]]\ngroup = \"a\"\n";
    assert_eq!(
        refused(main),
        "nobody could find the brokers: write name_servers = [\"HOST:9876\"], or [name_server] to run one here"
    );
}

#[test]
fn the_list_has_the_name_server_of_this_host_at_its_port() {
    let main = "advertise = \"192.168.1.1\"\nname_servers = [\"192.168.1.1:1\"]\n[name_server]\nport = 2\n";
    let main = format!("{main}{}", broker("a", 10911, ""));
    assert_eq!(
        refused(&main),
        "a.toml:2:16: \"192.168.1.1:1\" is this host, whose name server has port 2: write \"192.168.1.1:2\""
    );
    let both = main.replace(":1\"]", ":1\", \"192.168.1.1:2\"]");
    assert!(read(&both).is_ok(), "another one on this host is no mistake");
}

#[test]
fn one_group_has_one_broker_on_a_host() {
    let two = |first: &str, second: &str| {
        refused(&format!("{HOST}{}{}", broker("a", 10911, first), broker("a", 10921, second)))
    };
    let own = "each broker of a group has an id and a host of its own";
    assert_eq!(
        two("", ""),
        format!("a.toml:7:9: group \"a\" has id 0 twice, first at a.toml:4:9: {own}")
    );
    let slave = "role = \"slave\"\n";
    assert_eq!(
        two(slave, slave),
        format!("a.toml:8:9: group \"a\" has id 1 twice, first at a.toml:4:9: {own}")
    );
    let expected = "group \"a\" has its master and a slave on this host, first at a.toml:4:9: the copy is lost with \
                    its original; run the slave on another host";
    assert_eq!(two("", slave), format!("a.toml:7:9: {expected}"));
    assert_eq!(two(slave, ""), format!("a.toml:8:9: {expected}"));
    assert_eq!(
        two(slave, "role = \"slave\"\nid = 2\n"),
        "a.toml:8:9: group \"a\" has two slaves on this host, first at a.toml:4:9: both copies are lost with it; run \
         the slave on another host"
    );
}

#[test]
fn checks_of_transactions_have_times() {
    for key in ["timeout_ms", "checks_max", "check_interval_ms"] {
        let column = key.len() + 4;
        let main = format!("{HOST}[transactions]\n{key} = 0\n");
        assert_eq!(refused(&main), format!("a.toml:4:{column}: write at least 1"));
    }
}

#[test]
fn ids_fit_roles() {
    let with = |rest: &str| refused(&format!("{HOST}{}", broker("a", 10911, rest)));
    assert_eq!(
        with("id = 1\n"),
        "a.toml:6:6: a master's id is 0: leave the line out, or write role = \"slave\""
    );
    assert_eq!(
        with("role = \"slave\"\nid = 0\n"),
        "a.toml:7:6: a slave's id is 1 or more, 0 is its master's: leave the line out, or write id = 1"
    );
    let slave = |rest: &str| {
        let main = format!("{HOST}{}", broker("a", 10911, &format!("role = \"slave\"\n{rest}")));
        let broker = read(&main).unwrap().config.brokers.remove(0);
        (broker.role, broker.id)
    };
    assert_eq!(slave(""), (Role::Slave, 1));
    assert_eq!(slave("id = 7\n"), (Role::Slave, 7));
}

#[test]
fn waiting_for_slaves_is_said_at_a_master() {
    let with = |rest: &str| read(&format!("{HOST}{}", broker("a", 10911, rest)));
    let broker =
        with("replication = \"sync\"\nin_sync_min = 2\n").unwrap().config.brokers.remove(0);
    assert_eq!((broker.replication, broker.in_sync_min), (Replication::Sync, 2));
    assert_eq!(broker.start_without_slave_after_s, None, "for ever");
    let set = with("replication = \"sync\"\nstart_without_slave_after_s = 5\n").unwrap();
    assert_eq!(set.config.brokers[0].start_without_slave_after_s, Some(5));
    assert_eq!(with("").unwrap().config.brokers[0].start_without_slave_after_s, Some(30));
    assert_eq!(
        with("role = \"slave\"\nreplication = \"sync\"\n").unwrap_err(),
        "a.toml:7:15: whether senders wait is its master's to say: leave the line out"
    );
    assert_eq!(
        with("replication = \"sync\"\nin_sync_min = 0\n").unwrap_err(),
        "a.toml:7:15: write at least 1, or replication = \"async\""
    );
    assert_eq!(
        with("in_sync_min = 2\n").unwrap_err(),
        "a.toml:6:15: it counts at a master with replication = \"sync\" only: write that, or leave the line out"
    );
}

#[test]
fn the_advertised_address_can_be_dialled() {
    let rest = "name_servers = [\"192.168.1.162:9876\"]\n[[broker]]\ngroup = \"a\"\n";
    let with = |address: &str| read(&format!("advertise = \"{address}\"\n{rest}"));
    let head = |address: &str| format!("a.toml:1:13: advertise = \"{address}\"");
    assert_eq!(
        with("127.0.0.1").unwrap_err(),
        format!(
            "{} is this host only, but 192.168.1.162:9876 is elsewhere and would send clients to itself: write \
             advertise = \"192.168.1.161\" with the address that others dial",
            head("127.0.0.1")
        )
    );
    for address in ["0.0.0.0", "::", "224.0.0.1"] {
        let text = "cannot be dialled: write this host's own address";
        assert_eq!(with(address).unwrap_err(), format!("{} {text}", head(address)));
    }
    let text = "which other hosts cannot dial: write the address that they dial, or allow_internal_addresses = true if \
                they can";
    for (address, kind) in [
        ("172.17.0.2", "a container's address (Docker's default bridge)"),
        ("169.254.1.1", "a link-local address"),
        ("fe80::1", "a link-local address"),
    ] {
        assert_eq!(with(address).unwrap_err(), format!("{} is {kind}, {text}", head(address)));
        let asked = format!("allow_internal_addresses = true\nadvertise = \"{address}\"\n{rest}");
        assert!(read(&asked).is_ok());
    }
    for address in ["192.168.1.161", "172.18.0.1", "2001:db8::1"] {
        assert!(with(address).is_ok());
    }
    assert_eq!(
        refused(rest),
        "advertise is missing: with listen = \"0.0.0.0\" nobody knows which address to dial; write advertise = \
         \"192.168.1.161\" with this host's own address"
    );
}

#[test]
fn names_that_would_be_folders_are_checked() {
    let with = |group: &str| refused(&format!("{HOST}{}", broker(group, 10911, "")));
    let long = "a".repeat(128);
    for group in ["", "a/b", "..", "a b", "a.b", "\u{e9}", &long] {
        let text = "write 1 to 127 letters, digits, - and _";
        assert_eq!(with(group), format!("a.toml:4:9: group \"{group}\": {text}"));
    }
    for group in ["nameserver", "node", "acl", "LOCK", "console-admin-password"] {
        let text = "the data directory has something else of that name";
        assert_eq!(with(group), format!("a.toml:4:9: group \"{group}\": {text}"));
    }
    assert_eq!(
        refused("cluster = \"\""),
        "a.toml:1:11: cluster \"\": write 1 to 127 letters, digits, - and _"
    );
}

#[test]
fn a_door_for_programs_has_a_lock_and_no_glass() {
    let admin = |listen: &str, more: &str, tls: &str| {
        format!("{HOST}[admin]\nlisten = \"{listen}\"\n{more}{tls}")
    };
    let logins = "logins_file = \"/etc/rmq-node/logins.toml\"\n";
    let tls = "[tls]\ncertificate_file = \"a\"\nkey_file = \"a\"\n";
    for (listen, tls) in [
        ("127.0.0.1:9877", ""),
        ("[::1]:9877", ""),
        ("0.0.0.0:9877", tls),
        ("192.168.1.161:9877", tls),
    ] {
        assert!(read(&admin(listen, logins, tls)).is_ok(), "{listen}");
    }
    let plain = "tokens would cross the network in plain: write tls.certificate_file = \"/etc/rmq-node/tls/node.crt\" (and \
                 not mode = \"disabled\"), or admin.listen = \"127.0.0.1:9877\"";
    for (listen, tls) in [
        ("192.168.1.161:9877", String::new()),
        ("[::]:9877", String::new()),
        ("0.0.0.0:9877", format!("{tls}mode = \"disabled\"\n")),
    ] {
        assert_eq!(refused(&admin(listen, logins, &tls)), format!("a.toml:4:10: {plain}"));
    }
    let open = "everybody who can connect could change everything: write admin.logins_file = \
                \"/etc/rmq-node/logins.toml\"";
    assert_eq!(refused(&admin("127.0.0.1:9877", "", "")), format!("a.toml:4:10: {open}"));
    let taken = "port 9876 is both the name server's port and the port of the admin API: choose ports further apart";
    assert_eq!(refused(&admin("127.0.0.1:9876", logins, "")), format!("a.toml:4:10: {taken}"));
    let none = "port 0 cannot be dialled: write a number from 1, such as 9877";
    assert_eq!(refused(&admin("127.0.0.1:0", logins, "")), format!("a.toml:4:10: {none}"));
    let nowhere = "nobody can log in where nothing listens: write admin.listen = \"127.0.0.1:9877\", or leave this line out";
    assert_eq!(refused(&format!("{HOST}[admin]\n{logins}")), format!("a.toml:4:15: {nowhere}"));
}
