//! TLS of a node: what its files hold, and whether others will take it.
//!
//! Invariant: the key is read as the node reads it, and is in no finding.

use super::{Context, Finding};
use crate::clock::Clock;
use crate::config::Config;
use crate::node::{StartError, certificates};

const DAY_S: i64 = 24 * 60 * 60;

/// What was found in the files of a node with TLS.
#[derive(Debug)]
pub struct Files {
    /// How long its certificate is good, in days; less than 0 if it has ended.
    pub days_left: i64,
    /// What peers or clients will not take, or not for long.
    pub findings: Vec<String>,
}

/// Reads them; nothing if TLS is off.
pub fn look(config: &Config) -> Option<Result<Files, String>> {
    let clock = Clock::system();
    match certificates::read(config) {
        Err(StartError(wrong)) => Some(Err(wrong)),
        Ok(material) => material.map(|material| {
            let left_s = material.not_after_s().unwrap_or(0) - clock.now_ms() / 1000;
            let findings = certificates::findings(&material, config, &clock);
            Ok(Files { days_left: left_s.div_euclid(DAY_S), findings })
        }),
    }
}

/// What is wrong with them.
pub fn certificates(context: &Context<'_>) -> Vec<Finding> {
    let (Some(config), Some(files)) = (context.config(), &context.tls) else { return Vec::new() };
    let files = match files {
        Ok(files) => files,
        Err(wrong) if wrong.contains("Permission denied") => {
            let why = "the node may be able to read it: what it holds was not looked at";
            let fix = "run `rmq-node doctor` as root or as the node's user";
            return vec![Finding::note(wrong, why, fix)];
        }
        Err(wrong) => {
            let why = "with these files `rmq-node run` does not start; a node that runs keeps what it has";
            return vec![Finding::error(wrong, why, "change that, then `rmq-node config check`")];
        }
    };
    let finding = |what: &String| {
        let mut why = if config.tls.mode == crate::config::TlsMode::Enforcing {
            "in mode enforcing whoever does not take the certificate cannot talk to this node at all"
        } else {
            "clients with TLS are refused, and peers turn to plain connections"
        }
        .to_owned();
        if config.admin.listen.is_some() {
            why += "; programs do not use the admin API then";
        }
        let fix = "write a new pair to tls.certificate_file and tls.key_file, then `systemctl reload rmq-node`";
        if files.days_left < 0 {
            Finding::error(what, why, fix)
        } else {
            Finding::warning(what, why, fix)
        }
    };
    if files.findings.is_empty() {
        let text = format!("TLS is on, and its certificate is good for {} days", files.days_left);
        return vec![Finding::ok(text)];
    }
    files.findings.iter().map(finding).collect()
}
