//! `rmq-node config check`, `show`: what the settings are, and whether they are right. Binds and locks nothing.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Subcommand;

use super::Settings;
use super::config_import::{self, ImportArgs};
use super::config_init::{self, InitArgs};
use super::in_unit;
use crate::config::changes::changes;
use crate::config::{Loaded, REFERENCE, check_text};
use crate::node;

/// Reads and makes settings without starting anything.
#[derive(Debug, Subcommand)]
pub enum ConfigAction {
    /// Look for mistakes in the settings (exit code 78), and in the files of accounts, of logins and of TLS (1).
    Check {
        /// Where they come from.
        #[command(flatten)]
        settings: Settings,
        /// Refuse also what the node that wrote FILE, such as /run/rmq-node/settings.toml, cannot take over by a reload.
        #[arg(long, value_name = "FILE")]
        running: Option<PathBuf>,
    },
    /// Print every setting with where it comes from.
    Show {
        /// Where they come from.
        #[command(flatten)]
        settings: Settings,
        /// Print the documented defaults instead, as a file to start from.
        #[arg(long)]
        defaults: bool,
    },
    /// Print the file of this host in a new cluster, or write those of all hosts.
    Init(InitArgs),
    /// Print the settings that replace 4.9.4's property files of one host, and tell what became of each line.
    Import(ImportArgs),
}

/// Runs the action.
///
/// # Errors
/// Everything that is wrong with the settings, or they cannot be printed; what the other actions fail with.
pub fn run(action: &ConfigAction) -> anyhow::Result<ExitCode> {
    match action {
        ConfigAction::Check { settings, running } => {
            let loaded = in_unit::load(settings)?;
            node::check_accounts(&loaded.config)?;
            node::check_logins(&loaded.config)?;
            let warnings = node::check_tls(&loaded.config)?;
            let mut lines = vec![summary(&loaded)];
            lines.extend(warnings.iter().map(|warning| format!("warning: {warning}")));
            if let Some(file) = running {
                let name = file.display().to_string();
                let text = fs::read_to_string(file).with_context(|| name.clone())?;
                let changed = changes(&check_text(&name, &text)?, &loaded)?;
                lines.extend(changed.iter().map(|change| format!("a reload takes over {change}")));
            }
            super::print(&(lines.join("\n") + "\n"))?;
        }
        ConfigAction::Show { defaults: true, .. } => super::print(REFERENCE)?,
        ConfigAction::Show { settings, .. } => super::print(&in_unit::load(settings)?.listing())?,
        ConfigAction::Init(arguments) => return config_init::run(arguments),
        ConfigAction::Import(arguments) => return config_import::run(arguments),
    }
    Ok(ExitCode::SUCCESS)
}

fn summary(loaded: &Loaded) -> String {
    let config = &loaded.config;
    let mut roles: Vec<String> = Vec::new();
    roles.extend(
        config.name_server.as_ref().map(|server| format!("name server on {}", server.port)),
    );
    roles.extend(
        config.brokers.iter().map(|one| format!("{} of {} on {}", one.role, one.group, one.port)),
    );
    roles.extend(config.admin.listen.map(|listen| format!("admin API on {listen}")));
    let kind = if loaded.standalone { ", standalone" } else { "" };
    format!(
        "the configuration is right{kind}: {}; dialled at {}",
        roles.join(", "),
        config.advertise
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Sources, load};

    fn loaded(text: &str) -> Loaded {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a.toml");
        fs::write(&file, text).unwrap();
        load(&Sources { config_file: Some(file), ..Sources::default() }).unwrap()
    }

    const TWO: &str = "listen = \"127.0.0.1\"\n[name_server]\n[[broker]]\ngroup = \"a\"\n[[broker]]\ngroup = \"b\"\nport = 10921\n";

    #[test]
    fn what_is_shown_can_be_read_again() {
        let before = loaded(TWO);
        let shown = before.listing();
        let lines: Vec<&str> = shown.lines().collect();
        assert!(lines[0].starts_with("advertise = \"127.0.0.1\" "), "{shown}");
        assert!(lines[0].ends_with(" # default: as listen"), "{shown}");
        assert!(shown.contains("a.toml:7:8\n"), "{shown}");
        assert_eq!(loaded(&shown).config, before.config);
        // Tables that are there with nothing in them have their defaults, with that origin.
        for line in ["[name_server]\nport = 9876 ", "flush = \"async\" ", "id = 0 "] {
            let rest = shown.split_once(line).expect(&shown).1.lines().next();
            assert_eq!(rest.unwrap().trim_start(), "# default", "{shown}");
        }
    }

    proptest::proptest! {
        #[test]
        fn whatever_is_shown_can_be_read_again(
            server in proptest::option::of(9876_u16..9878),
            ports in proptest::collection::vec(proptest::option::of(0_u16..3), 0..3),
            roles in proptest::array::uniform3(proptest::sample::select(&[
                "",
                "role = \"slave\"\n",
                "role = \"slave\"\nid = 2\n",
                "replication = \"sync\"\n",
                "replication = \"sync\"\nin_sync_min = 2\n",
                "replication = \"sync\"\nstart_without_slave_after_s = 5\n",
            ])),
            hours in proptest::collection::vec(0_u8..24, 1..4),
            cluster in "[a-zA-Z0-9_-]{1,9}",
        ) {
            let mut text = format!("cluster = \"{cluster}\"\nlisten = \"127.0.0.2\"\nname_servers = [\"[::1]:9\"]\n");
            text.push_str(&format!("[store]\ndelete_hours = {hours:?}\n[log]\n"));
            match server {
                Some(9876) => text.push_str("[name_server]\n"),
                Some(port) => text.push_str(&format!("[name_server]\nport = {port}\n")),
                None => {}
            }
            for (at, port) in ports.iter().enumerate() {
                text.push_str(&format!("[[broker]]\ngroup = \"g{at}\"\nflush = \"sync\"\n{}", roles[at]));
                let number = 20_000 + at * 100 + usize::from(port.unwrap_or_default());
                // Only one may have the default port.
                if port.is_some() || at > 0 {
                    text.push_str(&format!("port = {number}\n"));
                }
            }
            let before = loaded(&text);
            let after = loaded(&before.listing());
            proptest::prop_assert_eq!(after.config, before.config);
        }
    }

    #[test]
    fn the_summary_names_roles_and_ports() {
        let expected = "the configuration is right: name server on 9876, master of a on 10911, master of b on 10921; \
                        dialled at 127.0.0.1";
        assert_eq!(summary(&loaded(TWO)), expected);
        assert!(summary(&loaded("")).starts_with("the configuration is right, standalone: "));
    }
}
