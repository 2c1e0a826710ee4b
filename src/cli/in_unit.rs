//! Where the settings of the node that systemd runs come from, for commands that an operator types.
//!
//! Not the reading of the unit (`node::doctor`). Invariant: what the operator or the environment says counts before
//! what the unit would say.

use std::path::{Path, PathBuf};

use super::Settings;
use crate::config::{ConfigError, DEFAULT_FILE, Loaded, Sources};
use crate::node::doctor::Unit;

/// What systemd tells a unit in the environment.
const STATE_DIRECTORY: &str = "STATE_DIRECTORY";

/// As [`Settings::load`], in a shell of the node's host as in its unit.
///
/// # Errors
/// Everything that is wrong.
pub(super) fn load(settings: &Settings) -> Result<Loaded, ConfigError> {
    crate::config::load(&sources(settings, Unit::find()).0)
}

/// Where these settings come from, and the host's `unit` if it starts the node that has them.
pub(super) fn sources(settings: &Settings, unit: Option<Unit>) -> (Sources, Option<Unit>) {
    let mut sources = settings.sources();
    let unit = unit.filter(|unit| starts_these(unit, &sources));
    if let Some(unit) = &unit {
        as_in_the_unit(unit, &mut sources);
    }
    (sources, unit)
}

/// Whether the unit runs the node that is asked about, and not another one with other settings.
fn starts_these(unit: &Unit, sources: &Sources) -> bool {
    let of_unit = unit.config_file.as_deref().unwrap_or(Path::new(DEFAULT_FILE));
    let same = |file: &PathBuf| file.canonicalize().ok() == of_unit.canonicalize().ok();
    match &sources.config_file {
        Some(file) => same(file),
        None => sources.listen.is_none() && sources.data_dir.is_none() && of_unit.exists(),
    }
}

/// What the unit tells the node, this process is not told.
fn as_in_the_unit(unit: &Unit, sources: &mut Sources) {
    let is_told = sources.environment.iter().any(|(name, _)| name == STATE_DIRECTORY);
    if let (Some(folder), false) = (&unit.state_directory, is_told) {
        sources.environment.push((STATE_DIRECTORY.to_owned(), folder.display().to_string()));
    }
    if sources.config_file.is_none() {
        sources.config_file.clone_from(&unit.config_file);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder with the settings of a unit, and the unit.
    fn unit() -> (tempfile::TempDir, Unit) {
        let dir = tempfile::tempdir().unwrap();
        for file in ["its.toml", "other.toml"] {
            std::fs::write(dir.path().join(file), "").unwrap();
        }
        let unit = Unit {
            config_file: Some(dir.path().join("its.toml")),
            state_directory: Some("/var/lib/rmq-node".into()),
            ..Unit::default()
        };
        (dir, unit)
    }

    #[test]
    fn a_unit_counts_for_its_own_settings_only() {
        let (dir, unit) = unit();
        let [its, other] = ["its.toml", "other.toml"].map(|name| dir.path().join(name));
        let named =
            |file: &PathBuf| Sources { config_file: Some(file.clone()), ..Sources::default() };
        assert!(starts_these(&unit, &named(&its)) && starts_these(&unit, &Sources::default()));
        assert!(!starts_these(&unit, &named(&other)));
        let by_hand = Sources { data_dir: Some("x".to_owned()), ..Sources::default() };
        assert!(!starts_these(&unit, &by_hand));
        let mut sources = Sources::default();
        as_in_the_unit(&unit, &mut sources);
        assert_eq!(sources.config_file, Some(its));
        let told = ("STATE_DIRECTORY".to_owned(), "/var/lib/rmq-node".to_owned());
        assert_eq!(sources.environment, [told]);
    }

    #[test]
    fn data_are_where_the_unit_has_them_unless_somebody_says_otherwise() {
        let (dir, unit) = unit();
        let data_dir = |config: &str, data_dir: Option<&str>| {
            let (config, data_dir) = (dir.path().join(config), data_dir.map(str::to_owned));
            let settings = Settings { config: Some(config), data_dir, listen: None };
            let (sources, _) = sources(&settings, Some(unit.clone()));
            crate::config::load(&sources).unwrap().config.data_dir
        };
        assert_eq!(data_dir("its.toml", None), Path::new("/var/lib/rmq-node"));
        assert_eq!(data_dir("its.toml", Some("mine")), Path::new("mine"));
        assert_eq!(data_dir("other.toml", None), Path::new("./rmq-node-data"));
    }
}
