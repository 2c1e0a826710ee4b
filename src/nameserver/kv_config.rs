//! The name server's key-value configuration: namespaces of keys, kept in one file (N-006, N-030 to N-034).
//!
//! Not a database: a few hundred entries, written whole at each change. The file has 4.9.4's shape and
//! name (`kvConfig.json`), so that either server can take over the other's. Invariants: an answered
//! change is in the file and fsynced; a change that cannot be written is not in memory either; readers
//! never wait for the disk. [`KvConfig::put`] and [`KvConfig::delete`] do: run them off the async threads.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use serde::{Deserialize, Serialize};

/// What a key, and a namespace, take in memory beside their texts, about: the smallest ones must not be for nothing.
const KEY_BYTES: usize = 100;
const NAMESPACE_BYTES: usize = 700;

type Namespaces = BTreeMap<String, BTreeMap<String, String>>;

/// Why the table could not be read or changed.
#[derive(Debug, thiserror::Error)]
pub(super) enum KvError {
    /// The file could not be read or written.
    #[error("{path}: {source}", path = path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is there but is not what 4.9.4 or this program writes.
    #[error(
        "{path}: not a kvConfig.json ({reason}); restore it from {path}.bak or remove it",
        path = path.display()
    )]
    Malformed {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it, and where.
        reason: String,
    },
    /// The table would become too large.
    #[error("the key-value configuration is full; delete entries that are not used")]
    Full,
}

/// The file's shape, standard JSON on one line (N-006).
#[derive(Default, Deserialize, Serialize)]
struct KvFile {
    #[serde(rename = "configTable", default)]
    config_table: BTreeMap<String, BTreeMap<String, Option<String>>>,
}

/// The table and its file.
#[derive(Debug)]
pub(super) struct KvConfig {
    path: PathBuf,
    namespaces: ArcSwap<Namespaces>,
    /// Held while the file is written.
    writing: Mutex<()>,
}

impl KvConfig {
    /// Reads the file; a missing one is an empty table.
    ///
    /// # Errors
    /// The file cannot be read, or is malformed.
    pub(super) fn open(path: &Path) -> Result<Self, KvError> {
        let text = match fs::read(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(source) => return Err(KvError::File { path: path.to_owned(), source }),
        };
        let file: KvFile = if text.is_empty() {
            KvFile::default()
        } else {
            serde_json::from_slice(&text).map_err(|error| KvError::Malformed {
                path: path.to_owned(),
                reason: error.to_string(),
            })?
        };
        let without_nulls = |table: BTreeMap<String, Option<String>>| {
            table.into_iter().filter_map(|(key, value)| Some((key, value?))).collect()
        };
        let namespaces = file
            .config_table
            .into_iter()
            .map(|(namespace, table)| (namespace, without_nulls(table)))
            .collect();
        Ok(Self {
            path: path.to_owned(),
            namespaces: ArcSwap::from_pointee(namespaces),
            writing: Mutex::default(),
        })
    }

    /// Sets a key, if the table takes no more than `bytes_max` then; no value leaves the namespace without the key, as
    /// 4.9.4's null does (N-030).
    ///
    /// # Errors
    /// The table is full, or could not be written; nothing was changed.
    pub(super) fn put(
        &self,
        namespace: &str,
        key: &str,
        value: Option<&str>,
        bytes_max: usize,
    ) -> Result<(), KvError> {
        let fits = |known: &Namespaces| {
            let grown = grown(known, namespace, key, value);
            grown == 0 || size(known).saturating_add(grown) <= bytes_max
        };
        self.change(fits, |namespaces| {
            let table = namespaces.entry(namespace.to_owned()).or_default();
            match value {
                Some(value) => table.insert(key.to_owned(), value.to_owned()),
                None => table.remove(key),
            };
        })
    }

    /// Removes a key; its namespace stays, even when empty (N-033).
    ///
    /// # Errors
    /// The table could not be written; nothing was changed.
    pub(super) fn delete(&self, namespace: &str, key: &str) -> Result<(), KvError> {
        let fits = |_: &Namespaces| true;
        self.change(fits, |namespaces| {
            if let Some(table) = namespaces.get_mut(namespace) {
                table.remove(key);
            }
        })
    }

    /// A key's value (N-032).
    pub(super) fn get(&self, namespace: &str, key: &str) -> Option<String> {
        self.namespaces.load().get(namespace)?.get(key).cloned()
    }

    /// A namespace's keys and values (N-034).
    pub(super) fn namespace(&self, namespace: &str) -> Option<BTreeMap<String, String>> {
        self.namespaces.load().get(namespace).cloned()
    }

    fn change(
        &self,
        fits: impl FnOnce(&Namespaces) -> bool,
        change: impl FnOnce(&mut Namespaces),
    ) -> Result<(), KvError> {
        // The file's last state is the table's: changes come one after another.
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let known = self.namespaces.load_full();
        // Before anything is copied: who fills the table goes on asking.
        if !fits(&known) {
            return Err(KvError::Full);
        }
        let mut changed = Namespaces::clone(&known);
        change(&mut changed);
        if changed == *known {
            return Ok(());
        }
        self.write(&changed)?;
        self.namespaces.store(Arc::new(changed));
        Ok(())
    }

    fn write(&self, namespaces: &Namespaces) -> Result<(), KvError> {
        let with_options = |table: &BTreeMap<String, String>| {
            table.iter().map(|(key, value)| (key.clone(), Some(value.clone()))).collect()
        };
        let file = KvFile {
            config_table: namespaces
                .iter()
                .map(|(namespace, table)| (namespace.clone(), with_options(table)))
                .collect(),
        };
        let text = serde_json::to_vec(&file).expect("maps of strings are always JSON");
        write_file(&self.path, &text)
            .map_err(|source| KvError::File { path: self.path.clone(), source })
    }
}

/// By how many bytes a new value makes the table larger.
fn grown(known: &Namespaces, namespace: &str, key: &str, value: Option<&str>) -> usize {
    let table = known.get(namespace);
    let of_namespace = if table.is_none() { NAMESPACE_BYTES + namespace.len() } else { 0 };
    let of_key = match (value, table.and_then(|table| table.get(key))) {
        (None, _) => 0,
        (Some(new), None) => KEY_BYTES + key.len() + new.len(),
        (Some(new), Some(old)) => new.len().saturating_sub(old.len()),
    };
    of_namespace + of_key
}

fn size(namespaces: &Namespaces) -> usize {
    let table_size = |table: &BTreeMap<String, String>| -> usize {
        table.iter().map(|(key, value)| KEY_BYTES + key.len() + value.len()).sum()
    };
    namespaces.iter().map(|(name, table)| NAMESPACE_BYTES + name.len() + table_size(table)).sum()
}

/// Replaces a file through `<file>.tmp`, keeping the old content as `<file>.bak` (N-006); durable when it returns.
pub(super) fn write_file(path: &Path, content: &[u8]) -> io::Result<()> {
    let directory = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(directory)?;
    let temporary = with_suffix(path, ".tmp");
    let mut file = File::create(&temporary)?;
    file.write_all(content)?;
    file.sync_all()?;
    match fs::copy(path, with_suffix(path, ".bak")) {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    fs::rename(&temporary, path)?;
    File::open(directory)?.sync_all()
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::system;

    fn folder() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("nameserver/kvConfig.json");
        (folder, path)
    }

    #[test]
    fn the_file_is_compact_and_read_again_n006() {
        let (_folder, path) = folder();
        let kv = KvConfig::open(&path).unwrap();
        kv.put(system::ORDER_NAMESPACE, "T", Some("broker-a:8"), usize::MAX).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text, r#"{"configTable":{"ORDER_TOPIC_CONFIG":{"T":"broker-a:8"}}}"#);
        let again = KvConfig::open(&path).unwrap();
        assert_eq!(again.get(system::ORDER_NAMESPACE, "T").as_deref(), Some("broker-a:8"));
        assert_eq!(again.get(system::ORDER_NAMESPACE, "U"), None);
        assert_eq!(again.get("other", "T"), None);
    }

    #[test]
    fn the_copy_before_is_kept_as_bak() {
        let (_folder, path) = folder();
        let kv = KvConfig::open(&path).unwrap();
        kv.put("n", "k", Some("1"), usize::MAX).unwrap();
        kv.put("n", "k", Some("2"), usize::MAX).unwrap();
        let before = fs::read_to_string(with_suffix(&path, ".bak")).unwrap();
        assert_eq!(before, r#"{"configTable":{"n":{"k":"1"}}}"#);
        assert!(!with_suffix(&path, ".tmp").exists());
    }

    #[test]
    fn an_emptied_namespace_stays_n033() {
        let (_folder, path) = folder();
        let kv = KvConfig::open(&path).unwrap();
        kv.put("n", "k", Some("v"), usize::MAX).unwrap();
        kv.delete("n", "k").unwrap();
        kv.delete("unknown", "k").unwrap();
        assert_eq!(kv.namespace("n"), Some(BTreeMap::new()));
        assert_eq!(kv.namespace("unknown"), None);
        let again = KvConfig::open(&path).unwrap();
        assert_eq!(again.namespace("n"), Some(BTreeMap::new()));
    }

    #[test]
    fn no_value_makes_the_namespace_only_n030() {
        let (_folder, path) = folder();
        let kv = KvConfig::open(&path).unwrap();
        kv.put("n", "k", None, usize::MAX).unwrap();
        assert_eq!(kv.namespace("n"), Some(BTreeMap::new()));
        fs::write(&path, r#"{"configTable":{"n":{"k":null,"l":"v"}}}"#).unwrap();
        let again = KvConfig::open(&path).unwrap();
        assert_eq!(again.namespace("n").unwrap().len(), 1);
    }

    #[test]
    fn a_malformed_file_is_named() {
        let (_folder, path) = folder();
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, "{\"configTable\":{").unwrap();
        let error = KvConfig::open(&path).unwrap_err().to_string();
        assert!(error.contains("kvConfig.json: not a kvConfig.json"), "{error}");
        assert!(error.contains("kvConfig.json.bak"), "{error}");
    }

    #[test]
    fn what_cannot_be_written_is_not_in_memory() {
        let (_folder, path) = folder();
        let kv = KvConfig::open(&path).unwrap();
        kv.put("n", "k", Some("1"), usize::MAX).unwrap();
        fs::create_dir(with_suffix(&path, ".tmp")).unwrap();
        assert!(matches!(kv.put("n", "k", Some("2"), usize::MAX), Err(KvError::File { .. })));
        assert_eq!(kv.get("n", "k").as_deref(), Some("1"));
    }

    #[test]
    fn the_table_has_a_limit_but_can_shrink() {
        let (_folder, path) = folder();
        let kv = KvConfig::open(&path).unwrap();
        let max = NAMESPACE_BYTES + KEY_BYTES + 1 + 1 + 5;
        assert!(matches!(kv.put("n", "k", Some("longer"), max), Err(KvError::Full)));
        assert_eq!(kv.get("n", "k"), None);
        kv.put("n", "k", Some("v"), max).unwrap();
        assert!(
            matches!(kv.put("m", "", Some(""), max), Err(KvError::Full)),
            "small ones cost too"
        );
        kv.delete("n", "k").unwrap();
    }
}
