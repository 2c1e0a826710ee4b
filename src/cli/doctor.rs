//! `rmq-node doctor`: arguments, what is printed, and the exit code.
//!
//! Not the checks (`node::doctor`). Invariants: findings go to standard output, as text or as JSON; the exit code is
//! that of the worst one, as monitoring plugins have it, but 78 where the settings are wrong.

use std::io;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use serde::Serialize;

use super::table::safe;
use super::{EXIT_CONFIG, Settings, in_unit};
use crate::node::doctor::{Finding, Severity, Unit, examine};

const EXIT_WARNING: u8 = 1;
const EXIT_ERROR: u8 = 2;

/// Look for what is wrong with this host and its cluster, before and after the start.
///
/// Checks the settings, the systemd unit, addresses, ports, the data directory, limits, the kernel and the clock; then, as far as they answer,
/// the name servers, every broker that they show, whether peers reach this host's ports, replication and topics. It changes nothing, and
/// works beside a running node. Each finding says what is so, why it matters, and the line to write or the command to run.
///
/// Run it as the node's user or as root: others do not see who has a port.
///
/// Exit codes: 0 nothing worse than a note, 1 warnings, 2 errors (or wrong usage), 78 the settings are wrong.
///
/// With `-o json` it prints one object: `worst` (`ok`, `note`, `warning` or `error`), the numbers `errors`, `warnings`, `notes` and
/// `passed`, and `findings`, a list of objects with the texts `check` (the section), `severity` (as `worst`), `what`, `why` and `fix`; the last
/// two are empty where a check passed.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    #[command(flatten)]
    settings: Settings,
    /// How findings are printed.
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    Text,
    Json,
}

/// What `-o json` prints.
#[derive(Debug, Serialize)]
struct Report<'a> {
    worst: Severity,
    errors: usize,
    warnings: usize,
    notes: usize,
    passed: usize,
    findings: &'a [Finding],
}

impl<'a> Report<'a> {
    fn new(findings: &'a [Finding]) -> Self {
        let count = |severity| findings.iter().filter(|one| one.severity == severity).count();
        Self {
            worst: findings.iter().map(|one| one.severity).max().unwrap_or(Severity::Ok),
            errors: count(Severity::Error),
            warnings: count(Severity::Warning),
            notes: count(Severity::Note),
            passed: count(Severity::Ok),
            findings,
        }
    }

    /// A section for each check: a line for what passed, a paragraph for each finding.
    fn text(&self) -> String {
        let mut text = String::new();
        let mut section = "";
        for finding in self.findings {
            if finding.check != section {
                section = finding.check;
                text.push_str(&format!("{section}\n"));
            }
            let mark = match finding.severity {
                Severity::Ok => "ok",
                Severity::Note => "note",
                Severity::Warning => "WARNING",
                Severity::Error => "ERROR",
            };
            text.push_str(&format!("  {mark:<8} {}\n", safe(&finding.what)));
            for (label, line) in [("why", &finding.why), ("fix", &finding.fix)] {
                if !line.is_empty() {
                    text.push_str(&format!("           {label}: {}\n", safe(line)));
                }
            }
        }
        let numbers = [(self.errors, "error"), (self.warnings, "warning"), (self.notes, "note")];
        let [errors, warnings, notes] = numbers
            .map(|(number, word)| format!("{number} {word}{}", if number == 1 { "" } else { "s" }));
        format!("{text}\n{errors}, {warnings}, {notes}; {} passed\n", self.passed)
    }

    fn exit_code(&self, settings_are_right: bool) -> ExitCode {
        match self.worst {
            _ if !settings_are_right => ExitCode::from(EXIT_CONFIG),
            Severity::Error => ExitCode::from(EXIT_ERROR),
            Severity::Warning => ExitCode::from(EXIT_WARNING),
            Severity::Note | Severity::Ok => ExitCode::SUCCESS,
        }
    }
}

/// Looks at everything and prints what was found.
///
/// # Errors
/// It cannot be printed.
pub fn run(arguments: &DoctorArgs) -> anyhow::Result<ExitCode> {
    let (sources, unit) = in_unit::sources(&arguments.settings, Unit::find());
    let loaded = crate::config::load(&sources);
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let findings = runtime.block_on(examine(loaded.as_ref(), unit));
    // A name that is still being looked up is not waited for.
    runtime.shutdown_background();
    let report = Report::new(&findings);
    print(&report, arguments.output)?;
    Ok(report.exit_code(loaded.is_ok()))
}

fn print(report: &Report<'_>, output: Output) -> io::Result<()> {
    match output {
        Output::Text => super::print(&report.text()),
        Output::Json => super::print(&(serde_json::to_string_pretty(report)? + "\n")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(severity: Severity, check: &'static str, what: &str) -> Finding {
        let (why, fix) = match severity {
            Severity::Ok => (String::new(), String::new()),
            _ => ("it matters".to_owned(), "mend it".to_owned()),
        };
        Finding { check, severity, what: what.to_owned(), why, fix }
    }

    #[test]
    fn what_passed_is_a_line_and_what_did_not_a_paragraph() {
        let findings = [
            finding(Severity::Ok, "ports", "free"),
            finding(Severity::Error, "ports", "taken\u{1b}"),
            finding(Severity::Note, "kernel", "odd"),
        ];
        let expected = "ports\n  ok       free\n  ERROR    taken\\u{1b}\n           why: it matters\n           fix: mend it\n\
                        kernel\n  note     odd\n           why: it matters\n           fix: mend it\n\
                        \n1 error, 0 warnings, 1 note; 1 passed\n";
        assert_eq!(Report::new(&findings).text(), expected);
    }

    #[test]
    fn the_worst_finding_decides() {
        let code = |severity, right| {
            let findings = [finding(Severity::Ok, "a", "b"), finding(severity, "a", "b")];
            format!("{:?}", Report::new(&findings).exit_code(right))
        };
        let expected = |code: u8| format!("{:?}", ExitCode::from(code));
        let codes = [Severity::Ok, Severity::Note, Severity::Warning, Severity::Error]
            .map(|one| code(one, true));
        assert_eq!(codes, [0, 0, 1, 2].map(expected));
        assert_eq!(code(Severity::Error, false), expected(78));
    }
}
