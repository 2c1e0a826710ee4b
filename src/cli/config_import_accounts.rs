//! The accounts of `config import`: 4.9.4's `plain_acl.yml` and others, checked, reported and copied.
//!
//! Not the property files (`config_import`). Invariants: secrets are in no report; nothing is copied unless a folder is
//! named, and no file in it is replaced.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use crate::acl::files;

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Accounts {
    /// A line for each white address and account, and what is doubtful.
    pub report: String,
    /// The first account that a node may have as its own.
    pub node_account: Option<String>,
}

/// Reads account files, and copies them to a folder if one is named.
///
/// # Errors
/// One cannot be used: with its line; or not be copied.
pub(super) fn import(paths: &[&PathBuf], to: Option<&Path>) -> anyhow::Result<Accounts> {
    let mut found = Accounts::default();
    for path in paths {
        let checked = files::read(path).map_err(anyhow::Error::msg)?;
        let name = path.display();
        let mut tell = |text: String| found.report.push_str(&format!("{name}{text}\n"));
        for warning in &checked.warnings {
            tell(format!(":{}: doubtful: {}", warning.line, warning.text));
        }
        for address in &checked.file.white_addresses {
            tell(format!(": taken: {address} needs no signature"));
        }
        for (account, line) in checked.accounts.iter().zip(&checked.lines) {
            let kind = if account.admin { "an admin" } else { "an account" };
            tell(format!(":{line}: taken: {} as {kind}", account.access_key));
        }
        let node = checked.accounts.iter().find(|account| account.is_unlimited());
        if found.node_account.is_none() {
            found.node_account = node.map(|account| account.access_key.clone());
        }
        let text = match to {
            Some(folder) => copy(path, folder)?,
            None => "not copied: name a folder with --accounts-to, /etc/rmq-node/acl if only you change it, acl of the \
                     data directory if tools do"
                .to_owned(),
        };
        let _ = writeln!(found.report, "{name}: {text}");
    }
    Ok(found)
}

fn copy(path: &Path, folder: &Path) -> anyhow::Result<String> {
    let name = path.file_name().context("it has no name")?;
    let target = folder.join(name);
    let shown = target.display().to_string();
    if target.exists() {
        bail!("{shown} is there already: nothing is replaced");
    }
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    files::write(&target, &text).with_context(|| shown.clone())?;
    Ok(format!(
        "copied to {shown}, which must belong to the user of the node: chown rmq-node {shown}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_are_told_line_by_line_without_secrets_and_copied_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("plain_acl.yml");
        let text = "globalWhiteRemoteAddresses: [10.1.1.1]\naccounts:\n- {accessKey: ordinary, secretKey: secret-1}\n- \
                    {accessKey: rocketmq2, secretKey: secret-2, admin: true}\n";
        std::fs::write(&path, text).unwrap();
        let to = dir.path().join("etc/acl");
        let found = import(&[&path], Some(&to)).unwrap();
        assert_eq!(found.node_account.as_deref(), Some("rocketmq2"));
        assert!(found.report.contains("plain_acl.yml:3: taken: ordinary as an account\n"));
        assert!(found.report.contains("plain_acl.yml:4: taken: rocketmq2 as an admin\n"));
        assert!(found.report.contains("plain_acl.yml: taken: 10.1.1.1 needs no signature\n"));
        assert!(!found.report.contains("secret-"), "{}", found.report);
        assert_eq!(std::fs::read_to_string(to.join("plain_acl.yml")).unwrap(), text);
        let again = import(&[&path], Some(&to)).unwrap_err().to_string();
        assert!(again.contains("nothing is replaced"), "{again}");
        assert!(import(&[&path], None).unwrap().report.contains("not copied"));
        std::fs::write(&path, "accounts: [").unwrap();
        assert!(import(&[&path], None).is_err());
    }
}
