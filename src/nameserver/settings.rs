//! The settings that tools may change over the network (318), and the file that keeps them.
//!
//! Not their text (`config_text`). Invariants: an answered change is in the file and fsynced; a change that
//! cannot be written is not in memory either; readers never wait for the disk, [`Settings::update`] does.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;

use super::config_text::LiveSettings;
use super::kv_config::write_file;

/// The settings and their file.
#[derive(Debug)]
pub(super) struct Settings {
    path: PathBuf,
    live: ArcSwap<LiveSettings>,
    /// Held while the file is written.
    writing: Mutex<()>,
}

impl Settings {
    /// Reads the file; a missing one means the defaults.
    ///
    /// # Errors
    /// The file cannot be read, or has a line that cannot be.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let named = |reason: String| io::Error::other(format!("{}: {reason}", path.display()));
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(named(error.to_string())),
        };
        let live = LiveSettings::default().changed_by(&text).map_err(named)?;
        Ok(Self {
            path: path.to_owned(),
            live: ArcSwap::from_pointee(live),
            writing: Mutex::default(),
        })
    }

    /// The settings as they are now.
    pub(super) fn live(&self) -> LiveSettings {
        **self.live.load()
    }

    /// Changes what the text names (N-070).
    ///
    /// # Errors
    /// The text names what cannot be changed, or the file could not be written; nothing was changed.
    pub(super) fn update(&self, text: &str) -> Result<(), String> {
        // The file's last state is the one in memory: changes come one after another.
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let known = self.live();
        let changed = known.changed_by(text)?;
        if changed != known {
            write_file(&self.path, changed.to_text().as_bytes())
                .map_err(|error| format!("{}: {error}", self.path.display()))?;
            self.live.store(Arc::new(changed));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("namesrv.properties");
        let settings = Settings::open(&path).unwrap();
        assert!(!settings.live().order_message_enable);
        settings.update("orderMessageEnable=true").unwrap();
        assert!(Settings::open(&path).unwrap().live().order_message_enable);
        assert!(settings.update("listenPort=1").unwrap_err().contains("listenPort"));
    }

    #[test]
    fn what_cannot_be_written_is_not_in_memory() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("namesrv.properties");
        let settings = Settings::open(&path).unwrap();
        fs::create_dir(folder.path().join("namesrv.properties.tmp")).unwrap();
        assert!(settings.update("orderMessageEnable=true").unwrap_err().contains(".properties: "));
        assert!(!settings.live().order_message_enable);
    }

    #[test]
    fn a_file_that_cannot_be_read_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("namesrv.properties");
        fs::write(&path, "orderMessageEnable=perhaps").unwrap();
        let error = Settings::open(&path).unwrap_err().to_string();
        assert!(error.contains("namesrv.properties: orderMessageEnable=perhaps"), "{error}");
    }
}
