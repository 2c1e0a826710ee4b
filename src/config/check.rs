//! What the settings mean together: a [`Config`], or every reason why not.
//!
//! Nothing is asked of the host here: only what the settings alone decide is refused (exit code 78).

use std::collections::BTreeMap;

use super::check_addresses::{check_advertise, check_name_servers};
use super::check_console::check_console;
use super::layers::{DEFAULT, Origins};
use super::settings::{BrokerTable, ClientCertificates, Replication, Role, Settings, Tls, TlsMode};
use super::{Broker, Config, ConfigError, NameServer, Problem};

/// Names that a broker's folder in the data directory cannot have.
const RESERVED_GROUPS: [&str; 5] = ["nameserver", "node", "acl", "LOCK", "console-admin-password"];
const SEGMENT_BYTES_MIN: u64 = 1 << 20;
const MESSAGE_BYTES_MIN: usize = 1 << 10;
/// Slaves that a sender waits for, unless it is told.
const IN_SYNC_MIN: u32 = 1;

/// The problems found so far, each where its value was written.
pub(super) struct Findings<'a> {
    pub(super) origins: &'a Origins,
    problems: Vec<Problem>,
}

impl Findings<'_> {
    pub(super) fn add(&mut self, path: &str, text: String) {
        let at = self.origins.get(path).map(|found| found.origin.clone());
        self.problems.push(Problem { at: at.filter(|origin| !origin.starts_with(DEFAULT)), text });
    }

    /// The same of an entry of a list, which a file has a place for, and the environment not.
    pub(super) fn add_entry(&mut self, list: &str, at: usize, text: String) {
        let entry = format!("{list}[{at}]");
        let is_known = self.origins.contains_key(&entry);
        self.add(if is_known { &entry } else { list }, text);
    }
}

/// Checks everything, so that one run tells all that is wrong.
pub fn check(settings: Settings, origins: &Origins) -> Result<Config, ConfigError> {
    let mut findings = Findings { origins, problems: Vec::new() };
    check_names(&settings, &mut findings);
    check_brokers(&settings.broker, &mut findings);
    if settings.broker.is_empty() && settings.name_server.is_none() {
        findings.add("broker", "nothing to run: write [name_server] or a [[broker]]".to_owned());
    }
    check_ports(&settings, &mut findings);
    check_name_servers(&settings, &mut findings);
    check_store(&settings, &mut findings);
    check_transactions(&settings, &mut findings);
    check_limits(&settings, &mut findings);
    check_tls(&settings.tls, &mut findings);
    check_acl(&settings, &mut findings);
    check_admin(&settings, &mut findings);
    let console = check_console(&settings, &mut findings);
    check_metrics(&settings, &mut findings);
    check_alerts(&settings, &mut findings);
    let addresses = check_advertise(&settings, &mut findings);
    if settings.data_dir.as_os_str().is_empty() {
        findings.add(
            "data_dir",
            "no folder is named: write data_dir = \"/var/lib/rmq-node\"".to_owned(),
        );
    }
    let (Some(addresses), true) = (addresses, findings.problems.is_empty()) else {
        return Err(ConfigError(findings.problems));
    };
    let broker = |table: BrokerTable| Broker {
        id: id(&table),
        group: table.group,
        role: table.role,
        port: table.port,
        flush: table.flush,
        replication: table.replication,
        in_sync_min: table.in_sync_min.unwrap_or(IN_SYNC_MIN),
        start_without_slave_after_s: table.start_without_slave_after_s,
    };
    Ok(Config {
        cluster: settings.cluster,
        listen: addresses.listen,
        advertise: addresses.advertise,
        replication_advertise: addresses.replication_advertise,
        name_servers: settings.name_servers,
        data_dir: settings.data_dir,
        name_server: settings.name_server.map(|table| NameServer { port: table.port }),
        brokers: settings.broker.into_iter().map(broker).collect(),
        store: settings.store,
        auto_create: settings.auto_create,
        transactions: settings.transactions,
        limits: settings.limits,
        tls: settings.tls,
        acl: settings.acl,
        admin: settings.admin,
        console,
        metrics: settings.metrics,
        alerts: settings.alerts,
        log: settings.log,
    })
}

/// What a name that is refused should be.
pub(super) const NAME_RULE: &str = "write 1 to 127 letters, digits, - and _";

pub(super) fn is_name(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    !text.is_empty() && text.len() <= 127 && text.chars().all(allowed)
}

fn check_names(settings: &Settings, findings: &mut Findings<'_>) {
    if !is_name(&settings.cluster) {
        let text = format!("cluster \"{}\": {NAME_RULE}", settings.cluster);
        findings.add("cluster", text);
    }
    for (at, broker) in settings.broker.iter().enumerate() {
        let path = format!("broker[{at}].group");
        if !is_name(&broker.group) {
            findings.add(&path, format!("group \"{}\": {NAME_RULE}", broker.group));
        } else if RESERVED_GROUPS.contains(&broker.group.as_str()) {
            let text = format!(
                "group \"{}\": the data directory has something else of that name",
                broker.group
            );
            findings.add(&path, text);
        }
    }
}

fn check_alerts(settings: &Settings, findings: &mut Findings<'_>) {
    let alerts = &settings.alerts;
    if !(1..=3600).contains(&alerts.interval_s) {
        findings.add("alerts.interval_s", "write 1 to 3600".to_owned());
    }
    if alerts.mail_to.is_empty() {
        return;
    }
    let port = alerts.mail_server.rsplit_once(':').map(|(_, port)| port.parse::<u16>());
    if !matches!(port, Some(Ok(_))) {
        let text = "mail needs a server: write alerts.mail_server = \"smtp.example.com:587\"";
        findings.add("alerts.mail_server", text.to_owned());
    }
    if alerts.mail_from.is_empty() {
        let text = "mail needs a sender: write alerts.mail_from = \"rmq-node@example.com\"";
        findings.add("alerts.mail_from", text.to_owned());
    }
    if !alerts.mail_user.is_empty() && alerts.mail_password_file.as_os_str().is_empty() {
        let text = "a user has a password: write alerts.mail_password_file = \"/etc/rmq-node/mail-password\"";
        findings.add("alerts.mail_user", text.to_owned());
    }
}

fn check_metrics(settings: &Settings, findings: &mut Findings<'_>) {
    if !(1..=3600).contains(&settings.metrics.interval_s) {
        findings.add("metrics.interval_s", "write 1 to 3600".to_owned());
    }
}

/// Which files go together; what they hold is looked at when they are read.
fn check_tls(tls: &Tls, findings: &mut Findings<'_>) {
    let has = |file: &std::path::Path| !file.as_os_str().is_empty();
    let [certificate, key, ca] =
        [&tls.certificate_file, &tls.key_file, &tls.ca_file].map(|f| has(f));
    let mut refuse = |key: &str, text: &str| findings.add(&format!("tls.{key}"), text.to_owned());
    if certificate && !key {
        refuse(
            "certificate_file",
            "its private key is needed too: write tls.key_file = \"/etc/rmq-node/tls/node.key\"",
        );
    }
    for (given, name) in [(key, "key_file"), (ca, "ca_file")] {
        if given && !certificate {
            let text = "without a certificate there is no TLS: write tls.certificate_file = \
                        \"/etc/rmq-node/tls/node.crt\", or leave this line out";
            refuse(name, text);
        }
    }
    if tls.mode == TlsMode::Enforcing && !certificate {
        let text = "only encrypted connections are wanted, and there is no certificate: write \
                    tls.certificate_file = \"/etc/rmq-node/tls/node.crt\"";
        refuse("mode", text);
    } else if tls.mode == TlsMode::Enforcing && !ca {
        let text = "the certificates of other nodes and of name servers must be checked by a CA: write tls.ca_file = \
                    \"/etc/rmq-node/tls/ca.crt\"";
        refuse("mode", text);
    }
    if tls.client_certificates != ClientCertificates::None && !ca {
        let text = "certificates of clients are checked by a CA: write tls.ca_file = \"/etc/rmq-node/tls/ca.crt\"";
        refuse("client_certificates", text);
    }
}

fn check_acl(settings: &Settings, findings: &mut Findings<'_>) {
    let acl = &settings.acl;
    if acl.enabled && acl.node_account.is_empty() {
        let text = "with accounts on, the node needs one of its own: write acl.node_account = \"...\", the accessKey \
                    of an account with `admin: true`";
        findings.add("acl.enabled", text.to_owned());
    }
    if acl.enabled && acl.accounts_dir.as_os_str().is_empty() {
        let text = "no folder is named: write accounts_dir = \"/etc/rmq-node/acl\"";
        findings.add("acl.accounts_dir", text.to_owned());
    }
}

/// Beyond this host nobody is let in unseen, and tokens are told to nobody else.
fn check_admin(settings: &Settings, findings: &mut Findings<'_>) {
    let admin = &settings.admin;
    let has_logins = !admin.logins_file.as_os_str().is_empty();
    let Some(listen) = admin.listen else {
        if has_logins {
            let text = "nobody can log in where nothing listens: write admin.listen = \"127.0.0.1:9877\", or leave \
                        this line out";
            findings.add("admin.logins_file", text.to_owned());
        }
        return;
    };
    if listen.port() == 0 {
        let text = "port 0 cannot be dialled: write a number from 1, such as 9877";
        findings.add("admin.listen", text.to_owned());
    }
    if !has_logins {
        let text = "everybody who can connect could change everything: write admin.logins_file = \
                    \"/etc/rmq-node/logins.toml\"";
        findings.add("admin.listen", text.to_owned());
    }
    if !settings.tls.is_on() && !listen.ip().is_loopback() {
        let text = format!(
            "tokens would cross the network in plain: write tls.certificate_file = \"/etc/rmq-node/tls/node.crt\" (and not \
             mode = \"disabled\"), or admin.listen = \"127.0.0.1:{}\"",
            listen.port()
        );
        findings.add("admin.listen", text);
    }
}

fn id(broker: &BrokerTable) -> u32 {
    broker.id.unwrap_or(u32::from(broker.role == Role::Slave))
}

fn check_brokers(brokers: &[BrokerTable], findings: &mut Findings<'_>) {
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    for (at, broker) in brokers.iter().enumerate() {
        check_role(broker, at, findings);
        let Some(first) = seen.insert(&broker.group, at) else { continue };
        let text = same_group(broker, &brokers[first], &place(findings, first));
        findings.add(&format!("broker[{at}].group"), text);
    }
}

/// What its role allows in a `[[broker]]`.
fn check_role(broker: &BrokerTable, at: usize, findings: &mut Findings<'_>) {
    let mut refuse =
        |key: &str, text: &str| findings.add(&format!("broker[{at}].{key}"), text.to_owned());
    let is_sync = broker.replication == Replication::Sync;
    match (broker.role, id(broker)) {
        (Role::Master, 1..) => {
            refuse("id", "a master's id is 0: leave the line out, or write role = \"slave\"");
        }
        (Role::Slave, 0) => refuse(
            "id",
            "a slave's id is 1 or more, 0 is its master's: leave the line out, or write id = 1",
        ),
        _ => {}
    }
    if broker.role == Role::Slave && is_sync {
        refuse("replication", "whether senders wait is its master's to say: leave the line out");
    }
    match broker.in_sync_min {
        Some(0) => refuse("in_sync_min", "write at least 1, or replication = \"async\""),
        Some(2..) if broker.role == Role::Slave || !is_sync => refuse(
            "in_sync_min",
            "it counts at a master with replication = \"sync\" only: write that, or leave the line out",
        ),
        _ => {}
    }
}

/// Why a host cannot have both; a group has one folder in a data directory.
fn same_group(second: &BrokerTable, first: &BrokerTable, place: &str) -> String {
    let group = &second.group;
    if id(second) == id(first) {
        return format!(
            "group \"{group}\" has id {} twice, first at {place}: each broker of a group has an id and a host \
             of its own",
            id(second)
        );
    }
    let (what, lost) = match (first.role, second.role) {
        (Role::Slave, Role::Slave) => ("two slaves", "both copies are lost with it"),
        _ => ("its master and a slave", "the copy is lost with its original"),
    };
    format!(
        "group \"{group}\" has {what} on this host, first at {place}: {lost}; run the slave on another host"
    )
}

fn place(findings: &Findings<'_>, broker: usize) -> String {
    let path = format!("broker[{broker}].group");
    findings.origins.get(&path).map_or(path, |found| found.origin.clone())
}

/// Each broker takes its port, the VIP port two below and the HA port one above.
fn check_ports(settings: &Settings, findings: &mut Findings<'_>) {
    let mut taken: BTreeMap<u16, String> = BTreeMap::new();
    let mut take = |findings: &mut Findings<'_>, path: &str, port: u16, whose: String| {
        if let Some(other) = taken.insert(port, whose.clone()) {
            findings.add(
                path,
                format!(
                    "port {port} is both the {other} and the {whose}: choose ports further apart"
                ),
            );
        }
    };
    if let Some(server) = &settings.name_server {
        if server.port == 0 {
            findings.add(
                "name_server.port",
                "port 0 cannot be dialled: write a number from 1".to_owned(),
            );
        }
        take(findings, "name_server.port", server.port, "name server's port".to_owned());
    }
    if let Some(admin) = settings.admin.listen {
        take(findings, "admin.listen", admin.port(), "port of the admin API".to_owned());
    }
    for (at, broker) in settings.broker.iter().enumerate() {
        let (path, group) = (format!("broker[{at}].port"), &broker.group);
        let (Some(vip @ 1..), Some(ha)) = (broker.port.checked_sub(2), broker.port.checked_add(1))
        else {
            let text = format!(
                "port {}: port - 2 and port + 1 are used too, write 3 to 65534",
                broker.port
            );
            findings.add(&path, text);
            continue;
        };
        take(findings, &path, vip, format!("VIP port of {group} (port - 2)"));
        take(findings, &path, broker.port, format!("port of {group}"));
        take(findings, &path, ha, format!("HA port of {group} (port + 1)"));
    }
}

fn check_store(settings: &Settings, findings: &mut Findings<'_>) {
    let store = &settings.store;
    if store.segment_bytes < SEGMENT_BYTES_MIN {
        findings.add("store.segment_bytes", format!("write at least {SEGMENT_BYTES_MIN}"));
    }
    let message_bytes = u64::try_from(store.max_message_bytes).unwrap_or(u64::MAX);
    if store.max_message_bytes < MESSAGE_BYTES_MIN || message_bytes > store.segment_bytes / 2 {
        let text = format!(
            "write {MESSAGE_BYTES_MIN} to {} (half of segment_bytes)",
            store.segment_bytes / 2
        );
        findings.add("store.max_message_bytes", text);
    }
    if store.delete_hours.is_empty() || store.delete_hours.iter().any(|hour| *hour > 23) {
        findings.add("store.delete_hours", "write hours from 0 to 23, such as [4]".to_owned());
    }
    for (path, value) in [
        ("store.retention_hours", store.retention_hours),
        ("store.flush_interval_ms", store.flush_interval_ms),
        ("store.sync_flush_timeout_ms", store.sync_flush_timeout_ms),
        ("store.busy_after_ms", store.busy_after_ms),
    ] {
        if value == 0 {
            findings.add(path, "write at least 1".to_owned());
        }
    }
    let percents =
        [store.disk_expire_percent, store.disk_force_percent, store.disk_read_only_percent];
    if !percents.is_sorted() || percents[0] == 0 || percents[2] > 100 {
        let text = format!(
            "disk percents are {percents:?}: expire, force and read-only must rise, from 1 to 100"
        );
        findings.add("store.disk_expire_percent", text);
    }
}

fn check_transactions(settings: &Settings, findings: &mut Findings<'_>) {
    let transactions = &settings.transactions;
    for (path, value) in [
        ("transactions.timeout_ms", transactions.timeout_ms),
        ("transactions.checks_max", u64::from(transactions.checks_max)),
        ("transactions.check_interval_ms", transactions.check_interval_ms),
    ] {
        if value == 0 {
            findings.add(path, "write at least 1".to_owned());
        }
    }
}

fn check_limits(settings: &Settings, findings: &mut Findings<'_>) {
    let limits = &settings.limits;
    for (limit, value) in limits.counts() {
        if value == 0 {
            findings.add(&format!("limits.{}", limit.setting()), "write at least 1".to_owned());
        }
    }
    if limits.frame_bytes_max <= settings.store.max_message_bytes {
        let text = format!(
            "a frame must hold a message: write more than max_message_bytes, {}",
            settings.store.max_message_bytes
        );
        findings.add("limits.frame_bytes_max", text);
    }
}
