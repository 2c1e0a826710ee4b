//! A file of ours out of the property files that one host of a 4.9.4 cluster has, with a word on each line.
//!
//! Pure: texts in, text and report out. Not the table of keys (`import_keys`), nor what is written in the
//! end (`import_host`). Invariants: every line of every file is reported exactly once; a value that 4.9.4
//! swallowed in silence (K-003) is said to be one.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::check_addresses::{NAME_SERVER_PORT, with_port};
use super::import_host::{Broker, Host};
use super::import_keys::{self, BrokerKey, Fate, HostKey, Target};
use super::properties::{self, Entry};
use super::read::nearest;
use super::{ConfigError, Flush, Replication, Role};
use crate::model::DelayLevels;

/// What became of the files.
#[derive(Debug)]
pub struct Import {
    /// The names of the files.
    pub files: Vec<String>,
    /// One file for the host.
    pub toml: String,
    /// What became of each line, by file and line.
    pub lines: Vec<Line>,
    /// What was wrong in them, and what is written instead.
    pub mistakes: Vec<String>,
    /// What is still wrong with `toml`; positions begin with `rmq-node.toml`.
    pub result: Result<(), ConfigError>,
}

/// One line of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// `file:line: key=value`.
    pub entry: String,
    /// What became of it.
    pub outcome: Outcome,
    /// As what it was taken, or why not.
    pub text: String,
}

/// What became of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A setting says the same.
    Taken,
    /// Nothing changes without it.
    NotNeeded,
    /// Something is different without it.
    NotTaken,
    /// No key of 4.9.4.
    Unknown,
}

impl Outcome {
    /// All of them with their words in a report.
    pub const ALL: [(Self, &str); 4] = [
        (Self::Taken, "taken as"),
        (Self::NotNeeded, "not needed"),
        (Self::NotTaken, "NOT TAKEN"),
        (Self::Unknown, "UNKNOWN"),
    ];
}

type Fated = (Outcome, String);

/// One property file.
struct File<'a> {
    name: &'a str,
    entries: Vec<Entry>,
    is_broker: bool,
    /// It is no role's.
    is_tls: bool,
}

impl<'a> File<'a> {
    fn new(name: &'a str, text: &str) -> Self {
        let entries = properties::entries(text);
        let has = |is: fn(&str) -> bool| entries.iter().any(|entry| is(&entry.key));
        // With nothing but a port it is a name server's: a broker has at least a name.
        let is_name_server = has(|key| key == "listenPort") || has(import_keys::is_name_servers);
        let is_broker = has(import_keys::is_brokers) || !is_name_server;
        let is_tls = !has(import_keys::is_brokers) && !is_name_server && has(import_keys::is_tls);
        Self { name, entries, is_broker, is_tls }
    }

    /// The one that counts.
    fn last(&self, key: &str) -> Option<&str> {
        let entry = self.entries.iter().rfind(|entry| entry.key == key)?;
        Some(entry.value.trim())
    }
}

/// Reads the property files of one host, or of several by what they announce, each with its name. `node_account` is an
/// account of theirs that a node may have as its own, where accounts are on.
#[must_use]
pub fn import(files: &[(String, String)], node_account: Option<&str>) -> Vec<Import> {
    let files: Vec<File<'_>> = files.iter().map(|(name, text)| File::new(name, text)).collect();
    let mut hosts: BTreeMap<&str, Vec<&File<'_>>> = BTreeMap::new();
    for file in &files {
        hosts.entry(file.last("brokerIP1").unwrap_or_default()).or_default().push(file);
    }
    // What announces nothing is of the only host that is there.
    if hosts.len() == 2
        && let Some(unknown) = hosts.remove("")
    {
        hosts.values_mut().for_each(|files| files.extend(&unknown));
    }
    hosts.into_values().map(|files| import_host(&files, node_account)).collect()
}

fn import_host(files: &[&File<'_>], node_account: Option<&str>) -> Import {
    let mut importer = Importer::default();
    for file in files {
        importer.file(file);
    }
    let Importer { mut host, lines, mut mistakes, .. } = importer;
    if host.settings.contains_key("acl.enabled")
        && let Some(account) = node_account
    {
        host.settings.insert("acl.node_account", toml::Value::from(account).to_string());
    }
    let (toml, result) = host.finish(&mut mistakes);
    let files = files.iter().map(|file| file.name.to_owned()).collect();
    Import { files, toml, lines, mistakes, result }
}

#[derive(Default)]
struct Importer {
    host: Host,
    lines: Vec<Line>,
    mistakes: Vec<String>,
    /// Where each setting of the whole host was read.
    said_at: BTreeMap<&'static str, String>,
}

impl Importer {
    fn file(&mut self, file: &File<'_>) {
        let mut broker = Broker::new(file.name);
        // What an id means depends on it.
        if let Some((_, (role, replication))) = file.last("brokerRole").and_then(role) {
            (broker.role, broker.replication) = (role, replication);
        }
        for (at, entry) in file.entries.iter().enumerate() {
            let again = file.entries[at + 1..].iter().find(|later| later.key == entry.key);
            let (outcome, text) = match again {
                Some(later) => (Outcome::NotNeeded, format!("line {} says it again", later.line)),
                None => self.entry(file, entry, &mut broker),
            };
            let entry = format!("{}:{}: {}={}", file.name, entry.line, entry.key, entry.value);
            self.lines.push(Line { entry, outcome, text });
        }
        if file.is_tls {
            return;
        }
        if file.is_broker {
            self.host.brokers.push(broker);
        } else {
            self.mistakes.extend(self.host.add_name_server(file.name, broker.port));
        }
    }

    fn entry(&mut self, file: &File<'_>, entry: &Entry, broker: &mut Broker) -> Fated {
        let (at, value) = (format!("{}:{}", file.name, entry.line), entry.value.trim());
        match import_keys::fate(&entry.key) {
            None => unknown(&entry.key),
            Some(Fate::NotNeeded(why)) => (Outcome::NotNeeded, why.to_owned()),
            Some(Fate::Fixed(fixed, why)) if value.eq_ignore_ascii_case(fixed) => {
                (Outcome::NotNeeded, format!("it is so here: {why}"))
            }
            Some(Fate::Fixed(_, why)) => (Outcome::NotTaken, why.to_owned()),
            Some(Fate::Taken(target)) => {
                self.mistakes.extend(blank_at_end(&at, entry, target));
                match target {
                    Target::Port => {
                        broker.port = value.parse().ok();
                        let table = if file.is_broker { "[[broker]]" } else { "[name_server]" };
                        let text = broker.port.map(|port| format!("{table} port = {port}"));
                        text.map_or_else(|| bad("a port"), taken)
                    }
                    Target::Broker(key) => self.of_broker(&at, key, value, broker),
                    Target::Host(key) => self.of_host(file, &at, key, value),
                }
            }
        }
    }

    fn of_broker(&mut self, at: &str, key: BrokerKey, value: &str, broker: &mut Broker) -> Fated {
        match key {
            BrokerKey::Group => {
                broker.group = value.to_owned();
                taken(format!("group = \"{value}\""))
            }
            BrokerKey::Id => match value.parse::<u32>() {
                Err(_) => bad("an id"),
                Ok(_) if broker.role == Role::Master => (
                    Outcome::NotNeeded,
                    "a master's id is 0, in 4.9.4 too whatever its file says".to_owned(),
                ),
                Ok(0) => (Outcome::NotTaken, "a slave's id is 1 or more".to_owned()),
                Ok(id) => {
                    broker.id = Some(id);
                    taken(format!("id = {id}"))
                }
            },
            BrokerKey::Flush => {
                let flushes = [
                    ("ASYNC_FLUSH", (Flush::Async, "async")),
                    ("SYNC_FLUSH", (Flush::Sync, "sync")),
                ];
                let Some((exact, (flush, word))) = named(value, &flushes) else {
                    return bad("ASYNC_FLUSH or SYNC_FLUSH");
                };
                self.mistakes.extend(misspelt(at, value, exact, "ASYNC_FLUSH"));
                broker.flush = flush;
                taken(format!("flush = \"{word}\""))
            }
            BrokerKey::Role => {
                let Some((exact, (role, replication))) = role(value) else {
                    return bad("ASYNC_MASTER, SYNC_MASTER or SLAVE");
                };
                self.mistakes.extend(misspelt(at, value, exact, "ASYNC_MASTER"));
                taken(match (role, replication) {
                    (Role::Slave, _) => "role = \"slave\"".to_owned(),
                    (_, Replication::Sync) => {
                        "role = \"master\", replication = \"sync\"".to_owned()
                    }
                    _ => "role = \"master\", replication = \"async\"".to_owned(),
                })
            }
        }
    }

    fn of_host(&mut self, file: &File<'_>, at: &str, key: HostKey, value: &str) -> Fated {
        let is_true = |key: &&str| file.last(key).is_some_and(|v| v.eq_ignore_ascii_case("true"));
        match key {
            HostKey::NameServers => self.name_servers(at, value),
            HostKey::Cluster => {
                let value = toml::Value::from(value).to_string();
                self.shared(at, "cluster", value)
            }
            HostKey::Address(key) => match value.parse::<IpAddr>() {
                Ok(address) => self.shared(at, key, format!("\"{address}\"")),
                Err(_) => {
                    let why = "it is an IP address here, because message ids carry it";
                    (Outcome::NotTaken, why.to_owned())
                }
            },
            HostKey::DelayLevels => match DelayLevels::parse(value) {
                Ok(levels) => {
                    let text = toml::Value::from(levels.to_string()).to_string();
                    self.shared(at, "store.delay_levels", text)
                }
                Err(error) => (Outcome::NotTaken, error.to_string()),
            },
            HostKey::DeleteHours => {
                let hours = value.split(';').map(|hour| hour.trim().parse::<u8>());
                match hours.collect::<Result<Vec<u8>, _>>() {
                    Ok(hours) => self.shared(at, "store.delete_hours", format!("{hours:?}")),
                    Err(_) => bad("hours with ; between them"),
                }
            }
            HostKey::DiskExpirePercent => match value.parse::<u8>() {
                // 4.9.4 keeps it from 10 to 95 (K-S21), and deletes by force from 85.
                Ok(percent) => {
                    self.shared(at, "store.disk_expire_percent", percent.clamp(10, 85).to_string())
                }
                Err(_) => bad("a number of percent"),
            },
            HostKey::Feature(key, needs, _) if needs.iter().all(is_true) => {
                self.shared(at, key, "true".to_owned())
            }
            HostKey::Feature(.., off) => (Outcome::NotNeeded, format!("it is so here: {off}")),
            // K-003: whatever is not true is false.
            HostKey::Flag(key) => {
                self.shared(at, key, value.eq_ignore_ascii_case("true").to_string())
            }
            HostKey::File(key) => self.shared(at, key, toml::Value::from(value).to_string()),
            HostKey::Word(key, words) => match named(value, words) {
                Some((_, word)) => self.shared(at, key, format!("\"{word}\"")),
                None => {
                    let known: Vec<_> = words.iter().map(|(word, _)| *word).collect();
                    bad(&format!("one of {}", known.join(", ")))
                }
            },
            HostKey::Number(key) => match value.parse::<u64>() {
                Ok(number) => self.shared(at, key, number.to_string()),
                Err(_) => bad("a whole number"),
            },
        }
    }

    /// A setting that all files of the host must agree on.
    fn shared(&mut self, at: &str, key: &'static str, value: String) -> Fated {
        let first = self.said_at.entry(key).or_insert_with(|| at.to_owned());
        let kept = self.host.settings.entry(key).or_insert_with(|| value.clone());
        if *kept == value {
            return taken(format!("{key} = {value}"));
        }
        (
            Outcome::NotTaken,
            format!("{first} says {kept}, and a host has one {key} for all its brokers"),
        )
    }

    fn name_servers(&mut self, at: &str, value: &str) -> Fated {
        if value.contains(',') {
            self.mistakes.push(format!("{at}: name servers have ; between them in 4.9.4, which did not start with this; written as if it were ;"));
        }
        let mut written = Vec::new();
        for item in value.split([';', ',']).map(str::trim).filter(|item| !item.is_empty()) {
            let whole = with_port(item, NAME_SERVER_PORT);
            if whole != item {
                self.mistakes.push(format!("{at}: {item} has no port; written: {whole}"));
            }
            written.push(format!("\"{whole}\""));
            if !self.host.name_servers.contains(&whole) {
                self.host.name_servers.push(whole);
            }
        }
        taken(format!("name_servers = [{}]", written.join(", ")))
    }
}

fn taken(text: String) -> Fated {
    (Outcome::Taken, text)
}

/// A value that is none.
fn bad(what: &str) -> Fated {
    (Outcome::NotTaken, format!("it is not {what}; 4.9.4 ignored it and took its default"))
}

fn unknown(key: &str) -> Fated {
    let never = import_keys::NEVER_READ.iter().find(|(one, _)| *one == key);
    let rest = match never {
        Some((_, why)) => format!(": {why}"),
        None => {
            let known: Vec<&str> = import_keys::all().map(|(one, _)| *one).collect();
            let meant = nearest(key, &known);
            meant.map_or(String::new(), |meant| format!("; did you mean `{meant}`?"))
        }
    };
    (Outcome::Unknown, format!("4.9.4 ignored it{rest}"))
}

fn role(value: &str) -> Option<(&'static str, (Role, Replication))> {
    let roles = [
        ("ASYNC_MASTER", (Role::Master, Replication::Async)),
        ("SYNC_MASTER", (Role::Master, Replication::Sync)),
        ("SLAVE", (Role::Slave, Replication::Async)),
    ];
    named(value, &roles)
}

/// What is meant by a name, in whatever case, with the name that 4.9.4 knows.
fn named<T: Copy>(value: &str, names: &[(&'static str, T)]) -> Option<(&'static str, T)> {
    names.iter().find(|(name, _)| name.eq_ignore_ascii_case(value)).copied()
}

fn misspelt(at: &str, value: &str, exact: &str, default: &str) -> Option<String> {
    (value != exact).then(|| {
        format!("{at}: 4.9.4 knows no {value} and took {default} in silence; written as if it were {exact}")
    })
}

/// Java keeps blanks at the end of a value, and a number with them is none.
fn blank_at_end(at: &str, entry: &Entry, target: Target) -> Option<String> {
    // Blanks are between levels there, and 4.9.4 passes over those behind the last one.
    if matches!(target, Target::Host(HostKey::DelayLevels)) {
        return None;
    }
    let is_text = matches!(
        target,
        Target::Broker(BrokerKey::Group)
            | Target::Host(HostKey::Cluster | HostKey::NameServers | HostKey::Address(_))
    );
    let effect = if is_text { "took it as a part of it" } else { "ignored the line" };
    (entry.value.trim_end() != entry.value)
        .then(|| format!("{at}: a blank follows the value, and 4.9.4 {effect}; written without"))
}

#[cfg(test)]
#[path = "import_tests.rs"]
mod tests;
