//! The systemd unit that starts the node: what its files say, and whether it lets the node work.
//!
//! Only the files' text: neither systemd nor a unit is needed. Drop-ins come after their unit, in the order of their
//! names; where several folders have a file of one name the first one counts (systemd.unit(5)). Invariant: what a
//! file says that is not known here is left out.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use nix::unistd::User;

use super::{Context, Finding};

/// The unit's name.
const NAME: &str = "rmq-node.service";
/// Where units lie, the most important first.
const FOLDERS: [&str; 4] = [
    "/etc/systemd/system",
    "/run/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
];
/// Where the state directories of units are.
const STATE: &str = "/var/lib";
/// What `ProtectHome=` hides.
const HOMES: [&str; 3] = ["/home", "/root", "/run/user"];
/// What `ProtectSystem=full` leaves read-only; `yes` spares `/etc`.
const SYSTEM: [&str; 4] = ["/usr", "/boot", "/efi", "/etc"];

/// What a unit says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unit {
    /// Its file.
    pub path: PathBuf,
    /// `User=`.
    pub user: Option<String>,
    /// `StateDirectory=`, as the path that it means.
    pub state_directory: Option<PathBuf>,
    /// The file behind `--config` in `ExecStart=`.
    pub config_file: Option<PathBuf>,
    /// `LimitNOFILE=`, its hard limit.
    pub files_max: Option<u64>,
    /// `ReadWritePaths=`.
    pub writable: Vec<PathBuf>,
    /// `ProtectSystem=`, as written.
    pub protect_system: String,
    /// `ProtectHome=`, as written.
    pub protect_home: String,
    /// `DynamicUser=`: systemd makes the user.
    pub dynamic_user: bool,
}

impl Unit {
    /// The unit of this host, if it has one.
    #[must_use]
    pub fn find() -> Option<Self> {
        Self::find_in(&FOLDERS.map(Path::new))
    }

    pub(super) fn find_in(folders: &[&Path]) -> Option<Self> {
        let path = folders.iter().map(|folder| folder.join(NAME)).find(|path| path.exists())?;
        let mut text = fs::read_to_string(&path).ok()?;
        let mut drop_ins: BTreeMap<String, PathBuf> = BTreeMap::new();
        for folder in folders {
            let Ok(entries) = fs::read_dir(folder.join(format!("{NAME}.d"))) else { continue };
            for entry in entries.flatten() {
                let name = entry.file_name().to_string_lossy().into_owned();
                if name.ends_with(".conf") {
                    drop_ins.entry(name).or_insert_with(|| entry.path());
                }
            }
        }
        for path in drop_ins.values() {
            text.push('\n');
            text.push_str(&fs::read_to_string(path).unwrap_or_default());
        }
        Some(Self { path, ..Self::parse(&text) })
    }

    fn parse(text: &str) -> Self {
        let mut unit = Self::default();
        let joined = text.replace("\\\n", " ");
        let mut section = "";
        for line in joined.lines().map(str::trim) {
            if line.starts_with('[') {
                section = line;
            }
            let Some((key, value)) = line.split_once('=') else { continue };
            if section == "[Service]" && !line.starts_with(['#', ';']) {
                unit.set(key.trim(), value.trim());
            }
        }
        unit
    }

    fn set(&mut self, key: &str, value: &str) {
        let text = (!value.is_empty()).then(|| value.to_owned());
        match key {
            "User" => self.user = text,
            "DynamicUser" => self.dynamic_user = is_yes(value),
            "StateDirectory" => {
                let first = value.split_whitespace().next();
                // `NAME:LINK` has a link beside it.
                let name = first.and_then(|first| first.split(':').next());
                self.state_directory = name.map(|name| Path::new(STATE).join(name));
            }
            "ExecStart" => self.config_file = config_argument(value),
            "LimitNOFILE" => {
                let hard = value.rsplit(':').next().unwrap_or_default();
                self.files_max =
                    if hard == "infinity" { Some(u64::MAX) } else { hard.parse().ok() };
            }
            "ReadWritePaths" if value.is_empty() => self.writable.clear(),
            "ReadWritePaths" => {
                let path = |word: &str| PathBuf::from(word.trim_start_matches(['-', '+']));
                self.writable.extend(value.split_whitespace().map(path));
            }
            "ProtectSystem" => self.protect_system = value.to_owned(),
            "ProtectHome" => self.protect_home = value.to_owned(),
            _ => {}
        }
    }

    /// Whether it lets the node write below `path`.
    fn may_write(&self, path: &Path) -> bool {
        let is_below = |folder: &Path| path.starts_with(folder);
        if self.state_directory.as_deref().is_some_and(is_below)
            || self.writable.iter().any(|folder| is_below(folder))
        {
            return true;
        }
        let spared = if self.protect_system == "full" { SYSTEM.len() } else { SYSTEM.len() - 1 };
        match self.protect_system.as_str() {
            "strict" => false,
            system if system == "full" || is_yes(system) => {
                !SYSTEM.iter().take(spared).any(|folder| is_below(Path::new(folder)))
            }
            _ => true,
        }
    }

    fn hides(&self, path: &Path) -> bool {
        let is_home = HOMES.iter().any(|home| path.starts_with(home));
        is_home && !matches!(self.protect_home.as_str(), "" | "no" | "false" | "off" | "0")
    }
}

fn is_yes(value: &str) -> bool {
    matches!(value, "yes" | "true" | "on" | "1")
}

fn config_argument(command: &str) -> Option<PathBuf> {
    let mut words = command.split_whitespace();
    while let Some(word) = words.next() {
        match word {
            "--config" | "-c" => return words.next().map(PathBuf::from),
            _ => {
                if let Some(path) = word.strip_prefix("--config=") {
                    return Some(path.into());
                }
            }
        }
    }
    None
}

/// The unit lets the node write where it keeps everything.
pub fn sandbox(context: &Context<'_>) -> Vec<Finding> {
    let (Some(unit), Some(config)) = (&context.unit, context.config()) else { return Vec::new() };
    let Some(data) = &context.host.data else { return Vec::new() };
    let path = data.path.display();
    let file = unit.path.display();
    if data.path.is_relative() {
        return vec![Finding::error(
            format!(
                "data_dir = \"{}\" is relative, and {file} has no StateDirectory=",
                config.data_dir.display()
            ),
            "a unit starts in /, where it may not write",
            "write data_dir = \"/var/lib/rmq-node\"",
        )];
    }
    if unit.hides(&data.path) {
        return vec![Finding::error(
            format!("{path} is hidden from the unit: ProtectHome={} in {file}", unit.protect_home),
            "the node finds an empty folder there and cannot start",
            "move the data to /var/lib/rmq-node (the default of the unit), or write ProtectHome=no in [Service] \
             (`systemctl edit rmq-node`)",
        )];
    }
    if !unit.may_write(&data.path) {
        return vec![Finding::error(
            format!(
                "{path} is read-only for the unit: ProtectSystem={} in {file}",
                unit.protect_system
            ),
            "the node cannot lock or write its data directory and does not start",
            format!(
                "`systemctl edit rmq-node`: RequiresMountsFor={path} in [Unit], ReadWritePaths={path} in [Service]"
            ),
        )];
    }
    vec![Finding::ok(format!("{file} lets the node write to {path}"))]
}

/// The user that it runs as exists.
pub fn user(context: &Context<'_>) -> Vec<Finding> {
    let Some(unit) = &context.unit else { return Vec::new() };
    let Some(name) = unit.user.as_deref().filter(|_| !unit.dynamic_user) else { return Vec::new() };
    match User::from_name(name) {
        Ok(None) => vec![Finding::error(
            format!("there is no user {name}, which {} runs the node as", unit.path.display()),
            "systemd does not start the unit (status 217/USER)",
            format!(
                "useradd --system --home-dir /var/lib/rmq-node --shell /usr/sbin/nologin {name}"
            ),
        )],
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNIT: &str = "[Unit]\nUser=nobody\n[Service]\nUser=rmq-node\nExecStart=/usr/bin/rmq-node run \\\n --config /etc/rmq-node/rmq-node.toml\n\
        StateDirectory=rmq-node\nLimitNOFILE=1024:4096\nProtectSystem=strict\nProtectHome=yes\n# ProtectHome=no\n";

    #[test]
    fn a_unit_with_drop_ins_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let [etc, usr] = ["etc", "usr"].map(|name| dir.path().join(name));
        for folder in [&etc, &usr] {
            fs::create_dir_all(folder.join(format!("{NAME}.d"))).unwrap();
        }
        let folders = [etc.as_path(), usr.as_path()];
        assert_eq!(Unit::find_in(&folders), None);
        fs::write(usr.join(NAME), UNIT).unwrap();
        let unit = Unit::find_in(&folders).unwrap();
        assert_eq!(unit.path, usr.join(NAME));
        assert_eq!((unit.user.as_deref(), unit.files_max), (Some("rmq-node"), Some(4096)));
        assert_eq!(unit.state_directory.as_deref(), Some(Path::new("/var/lib/rmq-node")));
        assert_eq!(unit.config_file.as_deref(), Some(Path::new("/etc/rmq-node/rmq-node.toml")));
        assert!(unit.hides(Path::new("/home/x")) && !unit.hides(Path::new("/homes")));
        let drop_in = |folder: &Path, name: &str, text: &str| {
            let path = folder.join(format!("{NAME}.d")).join(name);
            fs::write(path, format!("[Service]\n{text}\n")).unwrap();
        };
        drop_in(&etc, "b.conf", "LimitNOFILE=infinity\nReadWritePaths=-/data /srv");
        drop_in(&usr, "b.conf", "LimitNOFILE=7");
        drop_in(&usr, "a.conf", "LimitNOFILE=8\nProtectHome=no");
        let unit = Unit::find_in(&folders).unwrap();
        assert_eq!(unit.files_max, Some(u64::MAX));
        assert!(unit.may_write(Path::new("/data/rmq")) && unit.may_write(Path::new("/srv")));
        assert!(!unit.may_write(Path::new("/opt")) && !unit.hides(Path::new("/home/x")));
    }

    #[test]
    fn what_a_sandbox_lets_be_written() {
        let unit = |text: &str| Unit::parse(&format!("[Service]\n{text}\n"));
        let may = |text: &str, path: &str| unit(text).may_write(Path::new(path));
        assert!(may("", "/usr/x"));
        assert!(may("ProtectSystem=yes", "/etc/x") && !may("ProtectSystem=yes", "/usr/x"));
        assert!(!may("ProtectSystem=full", "/etc/x") && may("ProtectSystem=full", "/data"));
        assert!(!may("ProtectSystem=strict", "/data"));
        assert!(may("ProtectSystem=strict\nStateDirectory=a:b c", "/var/lib/a/x"));
        assert!(!may("ProtectSystem=strict\nReadWritePaths=/data\nReadWritePaths=", "/data"));
        let command = unit("ExecStart=/x run --config=/a.toml").config_file;
        assert_eq!(command.as_deref(), Some(Path::new("/a.toml")));
    }
}
