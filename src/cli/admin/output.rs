//! What a command tells, in the format that was asked for, and what its exit code is.
//!
//! Not what is in it. Invariants: results go to standard output, everything else to standard error; the exit code says
//! what happened to scripts.

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use tonic::{Code, Status};

use super::sheet::{Sheet, or_nothing, words};
use crate::acl;
use crate::cli::table::safe;
use crate::cli::tell;
use crate::node::has_colours;
use crate::proto::v1::{Done, Outcome, Problem};

const EXIT_FAILED: u8 = 1;
/// As clap's own.
pub const EXIT_USAGE: u8 = 2;
const EXIT_UNREACHABLE: u8 = 3;
const EXIT_NOT_FOUND: u8 = 4;
const EXIT_DENIED: u8 = 5;
/// Some was done, and some was not.
pub const EXIT_PARTIAL: u8 = 6;
/// What was compared is not the same: a code of its own, because 1 is a failure here.
const EXIT_DIFFERENT: u8 = 7;

/// What each of them means, and of others that `rmq-node admin` ends with.
pub const EXIT_CODES: [(u8, &str); 9] = [
    (0, "Done."),
    (EXIT_FAILED, "Failed."),
    (EXIT_USAGE, "Wrong usage, or a file that is wrong."),
    (EXIT_UNREACHABLE, "Nobody answers."),
    (EXIT_NOT_FOUND, "There is no such thing."),
    (EXIT_DENIED, "Denied: the socket is not for this user, or the cluster has accounts."),
    (EXIT_PARTIAL, "Done or told in part: standard error says what is missing."),
    (EXIT_DIFFERENT, "Of diff: something differs."),
    (78, "There is no -n, and the settings of this host are wrong."),
];

const UNREACHABLE_HINT: &str =
    "Start a node with `rmq-node run`, or name the cluster's name server with -n HOST:9876.";
const ACCOUNT_HINT: &str = "A cluster with accounts is asked with an admin's: name a file with its accessKey and secretKey by --credentials, \
                            or set RMQ_ACCESS_KEY and RMQ_SECRET_KEY.";

/// How results are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// Columns for people.
    Table,
    /// The same with more columns.
    Wide,
    /// Everything that is known, for programs.
    Json,
    /// The same as YAML.
    Yaml,
    /// The wide columns, with tabs between them.
    Tsv,
    /// Only names, one a line.
    Name,
}

impl Output {
    /// What people are told beside a result, and programs are not.
    pub fn notes(self, notes: Vec<String>) -> Vec<String> {
        if self.is_for_people() { notes } else { Vec::new() }
    }

    /// Whether it is rows, and not all that is known.
    pub fn has_rows(self) -> bool {
        !matches!(self, Self::Json | Self::Yaml)
    }

    /// Whether people read it, and not programs.
    pub fn is_for_people(self) -> bool {
        matches!(self, Self::Table | Self::Wide)
    }
}

/// Whether what cannot be taken back is wanted.
#[derive(Args, Clone, Copy, Debug, Default)]
pub struct Confirmation {
    /// Do not ask.
    #[arg(short, long)]
    yes: bool,
}

impl Confirmation {
    /// Whether somebody will be asked.
    pub fn asks(self) -> bool {
        !self.yes && io::stdin().is_terminal()
    }

    /// Asks on a terminal, unless `--yes` was given; who cannot be asked has not said yes.
    pub fn is_given(self, question: &str) -> bool {
        if self.yes {
            return true;
        }
        if !io::stdin().is_terminal() {
            return false;
        }
        tell(&format!("{} Go on? [y/N] ", safe(question)));
        let mut answer = String::new();
        let asked = io::stderr().flush().and_then(|()| io::stdin().read_line(&mut answer));
        asked.is_ok() && matches!(answer.trim(), "y" | "Y" | "yes")
    }
}

const NOT_CONFIRMED: &str = "not done: it was not confirmed; --yes does that beforehand";

/// What is told without it.
pub fn not_confirmed() -> Report {
    Report { problems: vec![NOT_CONFIRMED.to_owned()], has_failed: true, ..Report::default() }
}

/// What an action tells.
#[derive(Debug, Default)]
pub struct Report {
    /// The result.
    pub text: String,
    /// What else there is to know.
    pub notes: Vec<String>,
    /// What was not told or done, a sentence each.
    pub problems: Vec<String>,
    /// Something is missing that was said to be while the result was printed.
    pub is_partial: bool,
    /// Nothing at all was done.
    pub has_failed: bool,
    /// What was compared is not the same.
    pub differs: bool,
}

/// An answer as a report, or why there is none.
pub type Reported = Result<Report, Status>;

impl Report {
    /// A report with what is missing from it.
    pub fn new(text: String, problems: Vec<Problem>) -> Self {
        let problems = problems.into_iter().map(|problem| problem.reason).collect();
        Self { text, problems, ..Self::default() }
    }

    /// What standard error gets: peers' texts are among it.
    fn beside(&self, error: &str) -> String {
        let mut text = String::new();
        for note in &self.notes {
            text += &format!("{}\n", safe(note));
        }
        for problem in &self.problems {
            text += &format!("{error} {}\n", safe(problem));
        }
        if self.problems.iter().any(|problem| acl::is_refusal(problem)) {
            text += &format!("{ACCOUNT_HINT}\n");
        }
        text
    }

    /// Prints all of it.
    ///
    /// # Errors
    /// Standard output cannot be written, also because nobody reads it any more.
    pub fn print(&self) -> io::Result<ExitCode> {
        io::stdout().write_all(self.text.as_bytes())?;
        tell(&self.beside(error_word()));
        Ok(match (self.has_failed, self.problems.is_empty() && !self.is_partial) {
            (true, _) => ExitCode::FAILURE,
            (false, true) if self.differs => ExitCode::from(EXIT_DIFFERENT),
            (false, true) => ExitCode::SUCCESS,
            (false, false) => ExitCode::from(EXIT_PARTIAL),
        })
    }
}

/// Prints why nothing was done.
pub fn print_error(error: &Status) -> ExitCode {
    tell(&format!("{} {}{}\n", error_word(), safe(error.message()), hint(error)));
    ExitCode::from(exit_code(error))
}

/// What stands before what went wrong, as clap has it: in red where a terminal shows it.
pub fn error_word() -> &'static str {
    if has_colours(&io::stderr()) { "\x1b[1m\x1b[31merror:\x1b[0m" } else { "error:" }
}

/// What failed, for scripts.
pub fn exit_code(error: &Status) -> u8 {
    match error.code() {
        Code::InvalidArgument => EXIT_USAGE,
        Code::Unavailable | Code::DeadlineExceeded => EXIT_UNREACHABLE,
        Code::NotFound => EXIT_NOT_FOUND,
        Code::PermissionDenied | Code::Unauthenticated => EXIT_DENIED,
        _ => EXIT_FAILED,
    }
}

/// What to do next, behind what an error says; nothing where that says it.
pub fn hint(error: &Status) -> String {
    match error.code() {
        Code::Unavailable => format!(". {UNREACHABLE_HINT}"),
        Code::DeadlineExceeded => ". --timeout SECONDS gives it longer.".to_owned(),
        _ if acl::is_refusal(error.message()) => format!(". {ACCOUNT_HINT}"),
        _ => String::new(),
    }
}

/// What became of a change at each place: `what` is `changed`, or would be.
pub fn what_was_done(done: &[Done], what: &str, changed: &str, output: Output) -> Report {
    let mut report = Report::default();
    let (mut lines, mut rows) = (String::new(), Vec::new());
    for one in done {
        let address = one.address.as_ref().map(|address| format!(" ({address})"));
        let place = format!("{}{}", one.at, address.unwrap_or_default());
        let address = or_nothing(&one.address);
        rows.push(vec![one.at.clone(), address, one.outcome().as_word().to_owned()]);
        let line = match one.outcome() {
            Outcome::Done => format!("{what} {changed}: {place}"),
            Outcome::Unchanged => format!("{what} unchanged: {place}"),
            Outcome::DryRun => format!("{what} would be {changed}: {place}"),
            Outcome::Failed | Outcome::Unspecified => {
                let reason = one.reason.as_deref().unwrap_or("no reason given");
                report.problems.push(format!("not done: {place}: {reason}"));
                continue;
            }
        };
        lines += &(safe(&line) + "\n");
    }
    report.has_failed = !done.is_empty() && report.problems.len() == done.len();
    report.text = if output.is_for_people() {
        lines
    } else {
        let columns = vec![words("AT"), words("ADDRESS"), words("OUTCOME")];
        Sheet::new(columns, rows).render(&done, output)
    };
    report
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_is_told_moves_the_cursor() {
        let texts = || vec!["a\u{1b}[2J".to_owned()];
        let report = Report { notes: texts(), problems: texts(), ..Report::default() };
        assert_eq!(report.beside("error:"), "a\\u{1b}[2J\nerror: a\\u{1b}[2J\n");
    }

    #[test]
    fn only_who_has_no_account_is_told_of_accounts() {
        let told = |text: &str| hint(&Status::permission_denied(text));
        assert_eq!(told("a:1 refused: AclException: no accessKey"), format!(". {ACCOUNT_HINT}"));
        assert_eq!(told("systemd runs the node: sudo rmq-node admin node stop"), "");
        assert_eq!(hint(&Status::unavailable("x")), format!(". {UNREACHABLE_HINT}"));
    }

    #[test]
    fn what_was_not_done_is_a_problem() {
        let at = |outcome: Outcome, reason: Option<&str>| Done {
            at: "a".to_owned(),
            address: Some("h:1".to_owned()),
            outcome: outcome.into(),
            reason: reason.map(str::to_owned),
        };
        let done = [
            at(Outcome::Done, None),
            at(Outcome::Unchanged, None),
            at(Outcome::DryRun, None),
            at(Outcome::Failed, Some("no")),
        ];
        let report = what_was_done(&done, "topic T", "created", Output::Table);
        let expected = "topic T created: a (h:1)\ntopic T unchanged: a (h:1)\n\
                        topic T would be created: a (h:1)\n";
        assert_eq!(report.text, expected);
        assert_eq!(report.problems, ["not done: a (h:1): no"]);
        assert!(!report.has_failed && what_was_done(&done[3..], "", "", Output::Table).has_failed);
        let report = what_was_done(&done, "topic T", "created", Output::Json);
        let last = "\"outcome\": \"failed\",\n    \"reason\": \"no\"";
        assert!(report.text.contains(last), "{report:?}");
        assert!(report.text.contains("\"outcome\": \"dry-run\""), "{report:?}");
    }
}
