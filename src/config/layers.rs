//! The layers of the configuration: defaults, files, environment, flags; merged by the `config` crate.
//!
//! Not the strict reading of a file (`read`) nor the meaning of values (`check`). Invariant: every
//! merged value keeps where it came from.

use std::collections::BTreeMap;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use config::{ConfigError as MergeError, Map, Source, Value, ValueKind};

use super::read::{Document, explain, read};
use super::reference::REFERENCE;
use super::settings::Settings;
use super::{Problem, Sources};

/// What all variables of the environment begin with.
const PREFIX: &str = "RMQ_NODE_";
/// The id of a slave that is not told its own.
const FIRST_SLAVE_ID: i64 = 1;
/// What the origins of all built-in values begin with.
pub const DEFAULT: &str = "default";

/// A merged value and where it came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The value as TOML.
    pub value: String,
    /// `file:line:column`, `environment NAME`, `flag --name` or `default`.
    pub origin: String,
}

/// All merged values by their keys' paths.
pub type Origins = BTreeMap<String, Origin>;

impl Source for Document {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, MergeError> {
        let pairs = self.table.iter();
        Ok(pairs.map(|(key, value)| (key.clone(), self.value(key, value))).collect())
    }
}

impl Document {
    fn value(&self, path: &str, value: &toml::Value) -> Value {
        let kind = match value {
            toml::Value::String(text) => ValueKind::String(text.clone()),
            toml::Value::Integer(number) => ValueKind::I64(*number),
            toml::Value::Float(number) => ValueKind::Float(*number),
            toml::Value::Boolean(truth) => ValueKind::Boolean(*truth),
            toml::Value::Datetime(time) => ValueKind::String(time.to_string()),
            toml::Value::Array(items) => {
                let items = items.iter().enumerate();
                let value = |(at, item)| self.value(&format!("{path}[{at}]"), item);
                ValueKind::Array(items.map(value).collect())
            }
            toml::Value::Table(table) => {
                let below = |key: &String| format!("{path}.{key}");
                let pair = |(key, value)| (String::clone(key), self.value(&below(key), value));
                ValueKind::Table(table.iter().map(pair).collect())
            }
        };
        let origin = self.positions.get(path).map_or(DEFAULT, String::as_str);
        Value::new(Some(&origin.to_owned()), kind)
    }
}

/// The defaults in the shipped file, with the name server and the broker of a host without any settings.
///
/// # Panics
/// The shipped file is wrong, which a test excludes.
pub fn defaults() -> Document {
    let setting = |line: &&str| {
        let mut first = line.chars();
        first.next().is_none_or(|c| c != '#')
            || first.next().is_some_and(|c| c == '[' || c.is_ascii_lowercase())
    };
    let lines = REFERENCE.lines().filter(setting);
    let text: Vec<&str> = lines.map(|line| line.strip_prefix('#').unwrap_or(line)).collect();
    let table: toml::Table = toml::from_str(&text.join("\n")).expect("a test reads it");
    Document { table, positions: BTreeMap::new() }
}

/// Fits `defaults` to what the other layers hold: every table that is there gets its defaults, as values
/// that can be shown; a host with brokers of its own runs a name server only if told to.
pub fn fit_defaults(defaults: &mut Document, layers: &mut [Document]) {
    let has = |key| layers.iter().any(|layer| layer.table.contains_key(key));
    if !has("broker") {
        return;
    }
    if !has("name_server") {
        defaults.table.remove("name_server");
    }
    defaults.table.insert("listen".to_owned(), "0.0.0.0".into());
    // A later list of brokers replaces this one as a whole, so each list is completed by itself.
    let Some(built_in) = defaults.table.remove("broker").as_ref().and_then(first_table).cloned()
    else {
        return;
    };
    for layer in layers {
        let brokers = layer.table.get_mut("broker").and_then(toml::Value::as_array_mut);
        for broker in brokers.into_iter().flatten().filter_map(toml::Value::as_table_mut) {
            if broker.get("role").and_then(toml::Value::as_str) == Some("slave") {
                // The built-in one, 0, is a master's.
                broker.entry("id").or_insert_with(|| FIRST_SLAVE_ID.into());
            }
            // With sync replication the missing end may be on the slave alone: only an operator can do without it.
            let waits_for_ever =
                broker.get("replication").and_then(toml::Value::as_str) == Some("sync");
            let has_default = |(key, _): &(&String, _)| {
                !(waits_for_ever && key.as_str() == "start_without_slave_after_s")
            };
            for (key, value) in built_in.iter().filter(has_default) {
                broker.entry(key).or_insert_with(|| value.clone());
            }
        }
    }
}

fn first_table(list: &toml::Value) -> Option<&toml::Table> {
    list.as_array()?.first()?.as_table()
}

/// The main file, if it is there or was asked for, then `conf.d/*.toml` beside it by name.
pub fn files(sources: &Sources) -> Result<Vec<Document>, Vec<Problem>> {
    let main = sources.config_file.as_deref().unwrap_or(Path::new(super::DEFAULT_FILE));
    let mut paths = Vec::new();
    if sources.config_file.is_some() || main.exists() {
        paths.push(main.to_owned());
    }
    if let Some(folder) = main.parent() {
        paths.extend(parts(&folder.join("conf.d")).map_err(|problem| vec![problem])?);
    }
    let (mut documents, mut problems) = (Vec::new(), Vec::new());
    for path in paths {
        let name = path.display().to_string();
        let text = fs::read_to_string(&path).map_err(|error| Problem {
            at: Some(name.clone()),
            text: format!("cannot be read: {error}"),
        });
        match text.and_then(|text| read(&name, &text)) {
            Ok(document) => documents.push(document),
            Err(problem) => problems.push(problem),
        }
    }
    if problems.is_empty() { Ok(documents) } else { Err(problems) }
}

fn parts(folder: &Path) -> Result<Vec<PathBuf>, Problem> {
    let refuse = |error: std::io::Error| Problem {
        at: Some(folder.display().to_string()),
        text: format!("cannot be read: {error}"),
    };
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(refuse)?,
    };
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry.map_err(refuse)?.path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

/// `RMQ_NODE_STORE__SEGMENT_BYTES` is `store.segment_bytes`; values are TOML, texts without quotes too,
/// lists also as texts separated by `,` or `;`.
pub fn environment(variables: &[(String, String)]) -> Result<Document, Vec<Problem>> {
    let mut all = Document { table: toml::Table::new(), positions: BTreeMap::new() };
    let mut problems = Vec::new();
    for (name, text) in variables {
        let Some(key) = name.strip_prefix(PREFIX) else { continue };
        let path = key.to_ascii_lowercase().replace("__", ".");
        let at = format!("environment {name}");
        if path.split('.').next() == Some("broker") {
            let text = "brokers are set in a file only".to_owned();
            problems.push(Problem { at: Some(at), text });
            continue;
        }
        match variable(&path, text) {
            Ok(value) => {
                put(&mut all.table, &path, value);
                all.positions.insert(path, at);
            }
            Err(text) => problems.push(Problem { at: Some(at), text: with_two_lines(&path, text) }),
        }
    }
    if problems.is_empty() { Ok(all) } else { Err(problems) }
}

/// One `_` is part of a key's name, so that `STORE_SEGMENT_BYTES` is no setting.
fn with_two_lines(path: &str, text: String) -> String {
    let defaults = defaults().table;
    let mut tables = defaults.iter().filter(|(_, value)| value.is_table()).map(|(name, _)| name);
    let split =
        tables.find_map(|table| Some((table, path.strip_prefix(table)?.strip_prefix('_')?)));
    match split {
        Some((table, key)) if !path.contains('.') => {
            let name = format!("{PREFIX}{table}__{key}").to_ascii_uppercase();
            format!("unknown key `{path}`: write two `_` after a table's name, {name}")
        }
        _ => text,
    }
}

/// The first reading of `text` that is of the setting's type.
fn variable(path: &str, text: &str) -> Result<toml::Value, String> {
    let as_list = || text.split([',', ';']).map(str::trim).filter(|item| !item.is_empty());
    let readings = [
        text.parse::<toml::Value>().ok(),
        Some(toml::Value::String(text.to_owned())),
        Some(as_list().map(toml::Value::from).collect::<Vec<_>>().into()),
    ];
    let mut refused = None;
    for value in readings.into_iter().flatten() {
        let mut table = toml::Table::new();
        put(&mut table, path, value.clone());
        // As text: what reads files reads this, too, and is in the binary once.
        match toml::from_str::<Settings>(&table.to_string()) {
            Ok(_) => return Ok(value),
            Err(error) => refused = refused.or_else(|| Some(explain(error.message()))),
        }
    }
    Err(refused.unwrap_or_default())
}

fn put(table: &mut toml::Table, path: &str, value: toml::Value) {
    match path.split_once('.') {
        None => {
            table.insert(path.to_owned(), value);
        }
        Some((key, rest)) => {
            let below = table.entry(key).or_insert_with(|| toml::Table::new().into());
            if let toml::Value::Table(below) = below {
                put(below, rest, value);
            }
        }
    }
}

/// What the command line says.
pub fn flags(sources: &Sources) -> Document {
    let mut flags = Document { table: toml::Table::new(), positions: BTreeMap::new() };
    let mut set = |key: &str, flag: &str, value: String| {
        flags.table.insert(key.to_owned(), value.into());
        flags.positions.insert(key.to_owned(), format!("flag {flag}"));
    };
    if let Some(dir) = &sources.data_dir {
        set("data_dir", "--data-dir", dir.clone());
    }
    if let Some(address) = sources.listen {
        set("listen", "--listen", address.to_string());
    }
    flags
}

/// Defaults that follow from other settings: the lowest layer of all.
pub fn derived(settings: &Settings, sources: &Sources) -> Document {
    let mut table = toml::Table::new();
    let mut positions = BTreeMap::new();
    let mut set = |key: &str, origin: &str, value: toml::Value| {
        put(&mut table, key, value);
        positions.insert(key.to_owned(), origin.to_owned());
    };
    let listen = settings.listen.filter(|address| !address.is_unspecified());
    if let Some(address) = listen {
        set("advertise", "default: as listen", address.to_string().into());
    }
    if let Some(address) = settings.advertise.or(listen) {
        set("replication_advertise", "default: as advertise", address.to_string().into());
    }
    if let (Some(server), Some(address)) = (&settings.name_server, settings.advertise.or(listen)) {
        let own = SocketAddr::new(address, server.port).to_string();
        set("name_servers", "default: the name server here", vec![own].into());
    }
    let loopback =
        settings.listen.filter(IpAddr::is_loopback).unwrap_or(Ipv4Addr::LOCALHOST.into());
    set("console.listen", "default: loopback", loopback.to_string().into());
    let is_state = |(name, _): &&(String, String)| name == "STATE_DIRECTORY";
    match sources.environment.iter().find(is_state) {
        // systemd separates several by colons; ours has one.
        Some((_, dirs)) => {
            let first = dirs.split(':').next().unwrap_or_default();
            set("data_dir", "environment STATE_DIRECTORY", first.into());
        }
        None => set("data_dir", DEFAULT, "./rmq-node-data".into()),
    }
    Document { table, positions }
}

/// All layers as one, a later one winning, and where each value came from.
pub fn merge(layers: &[Document]) -> Result<(Settings, Origins), MergeError> {
    let mut builder = config::Config::builder();
    for layer in layers {
        builder = builder.add_source(layer.clone());
    }
    let merged = builder.build()?;
    let mut origins = Origins::new();
    flatten(&merged.cache, "", &mut origins);
    Ok((merged.try_deserialize()?, origins))
}

fn flatten(value: &Value, path: &str, origins: &mut Origins) {
    match &value.kind {
        ValueKind::Table(table) => {
            for (key, value) in table {
                let dot = if path.is_empty() { "" } else { "." };
                flatten(value, &format!("{path}{dot}{key}"), origins);
            }
        }
        ValueKind::Array(items)
            if items.iter().any(|item| matches!(item.kind, ValueKind::Table(_))) =>
        {
            for (at, item) in items.iter().enumerate() {
                flatten(item, &format!("{path}[{at}]"), origins);
            }
        }
        _ => {
            let origin = value.origin().unwrap_or(DEFAULT).to_owned();
            origins.insert(path.to_owned(), Origin { value: as_toml(value), origin });
        }
    }
}

fn as_toml(value: &Value) -> String {
    match &value.kind {
        ValueKind::String(text) => toml::Value::String(text.clone()).to_string(),
        ValueKind::Array(items) => {
            format!("[{}]", items.iter().map(as_toml).collect::<Vec<_>>().join(", "))
        }
        other => other.to_string(),
    }
}
