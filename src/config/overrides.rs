//! What was changed while a node ran, and stays so: `overrides.toml` in its data directory, a layer over the settings' files.
//!
//! Not which keys can be changed (the broker knows), nor what a value means. Invariants: the operator's files are never
//! written; the file is replaced as a whole, and what it says is on the disk before it is in force; what says the same as
//! the settings is not kept.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::{fs, io};

use serde::{Deserialize, Serialize};

use super::read::Document;
use super::{Loaded, Problem, Store};
use crate::files;

/// The file's name in the data directory.
pub const FILE: &str = "overrides.toml";
const HEAD: &str = "# Written by rmq-node: what was changed while it ran. `rmq-node admin brokers config reset KEY` takes one back.\n";

/// What is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Kept {
    /// Of all brokers of the node.
    #[serde(skip_serializing_if = "KeptStore::is_empty")]
    pub store: KeptStore,
    /// Of each broker, by its group, under 4.9.4's keys.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub brokers: BTreeMap<String, BTreeMap<String, String>>,
}

/// Of `[store]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KeptStore {
    /// `fileReservedTime`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retention_hours: Option<u64>,
    /// `deleteWhen`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delete_hours: Option<Vec<u8>>,
    /// `diskMaxUsedSpaceRatio`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disk_expire_percent: Option<u8>,
}

impl KeptStore {
    /// Whether all is as the settings say.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl Kept {
    /// What a data directory has; nothing if there is no file, or this user may not look.
    pub(super) fn read(data_dir: &Path) -> Result<Self, Problem> {
        let file = data_dir.join(FILE);
        let refuse = |text: String| Problem { at: Some(file.display().to_string()), text };
        match fs::read_to_string(&file) {
            Ok(text) => toml::from_str(&text)
                .map_err(|error| refuse(format!("{}; remove what is wrong", error.message()))),
            // Whoever may not look into the directory is not the node.
            Err(_) if fs::symlink_metadata(&file).is_err() => Ok(Self::default()),
            Err(error) => Err(refuse(format!("cannot be read: {error}"))),
        }
    }

    /// The settings in it as a layer over those of `files`.
    pub(super) fn layer(&self, data_dir: &Path, files: &Store) -> Document {
        let mut store = self.store.clone();
        // Files may have been changed since: above this one nothing is different, and the check would refuse it.
        store.disk_expire_percent =
            store.disk_expire_percent.map(|percent| percent.min(files.disk_force_percent));
        let store = toml::Table::try_from(store).unwrap_or_default();
        let origin = data_dir.join(FILE).display().to_string();
        let position = |key: &String| (format!("store.{key}"), origin.clone());
        let positions = store.keys().map(position).collect();
        Document { table: toml::Table::from_iter([("store".to_owned(), store.into())]), positions }
    }

    /// What `config show` adds: nothing, or comments.
    pub(super) fn comments(&self) -> String {
        let mut text = String::new();
        for (group, kept) in &self.brokers {
            for (key, value) in kept {
                text.push_str(&format!("# {group}: {key} = {value}\n"));
            }
        }
        if text.is_empty() {
            return text;
        }
        format!(
            "\n# Of one broker each, under 4.9.4's names, changed while it ran ({FILE}; `rmq-node admin brokers` shows and resets them):\n{text}"
        )
    }
}

/// What is kept by a node that runs; one for all its brokers.
#[derive(Debug, Default)]
pub struct Overrides {
    /// None: it is kept as long as the process.
    file: Option<PathBuf>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    kept: Kept,
    /// What the settings say without it.
    settings: Store,
}

impl Overrides {
    /// What was read with the settings.
    #[must_use]
    pub fn new(loaded: &Loaded) -> Self {
        let file = Some(loaded.config.data_dir.join(FILE));
        let state = State { kept: loaded.kept.clone(), settings: loaded.files_store.clone() };
        Self { file, state: Mutex::new(state) }
    }

    /// The settings were read again.
    pub fn renew(&self, loaded: &Loaded) {
        self.lock().settings.clone_from(&loaded.files_store);
    }

    /// What is kept.
    #[must_use]
    pub fn kept(&self) -> Kept {
        self.lock().kept.clone()
    }

    /// What the settings say of stores without it.
    #[must_use]
    pub fn settings(&self) -> Store {
        self.lock().settings.clone()
    }

    /// Keeps something else from now on. Blocks.
    ///
    /// # Errors
    /// It cannot be written: all is as before.
    pub fn change(&self, change: impl FnOnce(&mut Kept, &Store)) -> io::Result<()> {
        let mut state = self.lock();
        let mut kept = state.kept.clone();
        change(&mut kept, &state.settings);
        kept.brokers.retain(|_, of_group| !of_group.is_empty());
        if kept == state.kept {
            return Ok(());
        }
        if let Some(file) = &self.file {
            let text = toml::to_string(&kept).map_err(io::Error::other)?;
            files::replace(file, format!("{HEAD}{text}"))?;
        }
        state.kept = kept;
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Sources, load};

    fn loaded(dir: &Path) -> Loaded {
        let sources = Sources { data_dir: Some(dir.display().to_string()), ..Sources::default() };
        load(&sources).unwrap()
    }

    #[test]
    fn what_was_changed_is_over_the_files_and_under_the_environment() {
        let dir = tempfile::tempdir().unwrap();
        let before = loaded(dir.path());
        assert_eq!((before.config.store.retention_hours, &before.kept), (72, &Kept::default()));
        let overrides = Overrides::new(&before);
        let change = |kept: &mut Kept, settings: &Store| {
            assert_eq!(settings.retention_hours, 72);
            kept.store.retention_hours = Some(48);
            kept.store.delete_hours = Some(vec![2, 16]);
            // Above the percentage from which files go in any case.
            kept.store.disk_expire_percent = Some(95);
            let of_group = kept.brokers.entry("broker-a".to_owned()).or_default();
            of_group.insert("brokerPermission".to_owned(), "4".to_owned());
            kept.brokers.entry("broker-b".to_owned()).or_default();
        };
        overrides.change(change).unwrap();
        let after = loaded(dir.path());
        let store = &after.config.store;
        assert_eq!((store.retention_hours, store.delete_hours.as_slice()), (48, &[2, 16][..]));
        assert_eq!(store.disk_expire_percent, store.disk_force_percent);
        assert_eq!((after.kept.brokers.len(), after.files_store.retention_hours), (1, 72));
        let listing = after.listing();
        assert!(listing.contains(&format!("# {}/overrides.toml\n", dir.path().display())));
        assert!(listing.ends_with("# broker-a: brokerPermission = 4\n"), "{listing}");
        let environment = vec![("RMQ_NODE_STORE__RETENTION_HOURS".to_owned(), "24".to_owned())];
        let loaded = load(&Sources { environment, ..after.sources.clone() }).unwrap();
        assert_eq!(loaded.config.store.retention_hours, 24);
        // Nothing is left of it.
        overrides.change(|kept, _| *kept = Kept::default()).unwrap();
        assert_eq!(fs::read_to_string(dir.path().join(FILE)).unwrap(), HEAD);
    }

    #[test]
    fn a_file_that_is_no_such_file_is_refused_and_one_that_cannot_be_written_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let overrides = Overrides::new(&loaded(dir.path()));
        fs::write(dir.path().join(FILE), "[store]\nsegment_bytes = 1\n").unwrap();
        let data_dir = Some(dir.path().display().to_string());
        let error = load(&Sources { data_dir, ..Sources::default() }).unwrap_err().to_string();
        assert!(error.contains("overrides.toml: unknown field `segment_bytes`"), "{error}");
        fs::create_dir(dir.path().join("overrides.toml.tmp")).unwrap();
        let change = |kept: &mut Kept, _: &Store| kept.store.retention_hours = Some(1);
        overrides.change(change).unwrap_err();
        assert_eq!(overrides.kept(), Kept::default());
    }
}
