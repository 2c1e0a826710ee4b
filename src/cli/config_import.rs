//! `rmq-node config import`: one file of ours out of 4.9.4's property files.
//!
//! Not what becomes of them (`config::import`). Invariant: standard output is the file and nothing else;
//! the report is on standard error.

use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::Args;

use super::config_import_accounts;
use crate::config::import::{Import, Outcome, import};

/// Print the settings that replace 4.9.4's property files of one host, and tell what became of each line.
#[derive(Debug, Args)]
pub struct ImportArgs {
    /// All property files of the host: of each broker, and of its name server if that has one; and its plain_acl.yml.
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// Copy plain_acl.yml and other account files into this folder.
    #[arg(long, value_name = "FOLDER")]
    accounts_to: Option<PathBuf>,
}

/// Runs the action.
///
/// # Errors
/// A file cannot be read, the files are of several hosts, or what is printed needs a hand.
pub fn run(arguments: &ImportArgs) -> anyhow::Result<ExitCode> {
    let is_accounts = |path: &&PathBuf| {
        path.extension().is_some_and(|extension| extension == "yml" || extension == "yaml")
    };
    let (accounts, properties): (Vec<_>, Vec<_>) = arguments.files.iter().partition(is_accounts);
    let accounts = config_import_accounts::import(&accounts, arguments.accounts_to.as_deref())?;
    io::stderr().write_all(accounts.report.as_bytes())?;
    if properties.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    let mut files = Vec::new();
    for path in properties {
        let name = path.display().to_string();
        // Java reads them as ISO 8859-1; what is not ASCII is in comments.
        let bytes = fs::read(path).with_context(|| name.clone())?;
        files.push((name, String::from_utf8_lossy(&bytes).into_owned()));
    }
    let mut hosts = import(&files, accounts.node_account.as_deref());
    for imported in &hosts {
        io::stderr().write_all(report(imported).as_bytes())?;
    }
    match hosts.pop() {
        Some(imported) if hosts.is_empty() => {
            super::print(&imported.toml)?;
            imported.result?;
            Ok(ExitCode::SUCCESS)
        }
        last => {
            hosts.extend(last);
            let calls: Vec<String> =
                hosts.iter().map(|host| format!("\n  {}", host.files.join(" "))).collect();
            bail!(
                "these are the files of {} hosts, each of which gets a file: import by themselves{}",
                hosts.len(),
                calls.concat()
            )
        }
    }
}

fn report(imported: &Import) -> String {
    let mut text = String::new();
    let mut counts = Vec::new();
    for (outcome, words) in Outcome::ALL {
        let lines: Vec<_> = imported.lines.iter().filter(|line| line.outcome == outcome).collect();
        for line in &lines {
            let colon = if outcome == Outcome::Taken { "" } else { ":" };
            text.push_str(&format!("{}: {words}{colon} {}\n", line.entry, line.text));
        }
        counts.push(format!("{} {}", lines.len(), words.to_lowercase().trim_end_matches(" as")));
    }
    for mistake in &imported.mistakes {
        text.push_str(&format!("wrong: {mistake}\n"));
    }
    let mistakes = match imported.mistakes.len() {
        0 => "nothing was wrong".to_owned(),
        1 => "1 thing was wrong".to_owned(),
        many => format!("{many} things were wrong"),
    };
    text.push_str(&format!("{} lines: {}; {mistakes}\n", imported.lines.len(), counts.join(", ")));
    if imported.result.is_err() {
        text.push_str("not right yet, to be written by hand:\n");
    }
    text
}
