//! What a command has at hand: the cluster, its flags, standard output, and what became of its parts.
//!
//! Invariant: what is printed goes out before it waits, fails or ends, in its order.

use std::fmt::Arguments as Text;
use std::io::{self, BufWriter, IsTerminal, Stdout, Write};
use std::process::ExitCode;
use std::time::Duration;

use tonic::Status;

use super::arguments::Arguments;
use crate::admin::{Admin, AdminError};
use crate::cli::admin::{EXIT_PARTIAL, exit_code, print_error};
use crate::cli::table::safe;
use crate::clock::{Clock, Zone};

/// How a command ends.
pub(super) type Done = Result<(), Failure>;

/// Why a command ends early.
#[derive(Debug)]
pub(super) enum Failure {
    /// What was written cannot be meant.
    Usage(String),
    /// The cluster does not answer, or refuses.
    Admin(AdminError),
    /// Nobody reads the output any more, or it cannot be written.
    Output(io::Error),
    /// Anything else.
    Other(anyhow::Error),
}

impl From<AdminError> for Failure {
    fn from(error: AdminError) -> Self {
        Self::Admin(error)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Other(error)
    }
}

/// A flag's value that is no number.
impl From<String> for Failure {
    fn from(text: String) -> Self {
        Self::Usage(text)
    }
}

/// A command that runs.
#[derive(Debug)]
pub(super) struct Run {
    /// The cluster.
    pub admin: Admin,
    /// Its flags.
    pub given: Arguments,
    /// This host's time zone.
    pub zone: Zone,
    /// The time.
    pub clock: Clock,
    out: BufWriter<Stdout>,
    is_terminal: bool,
    /// Whether a terminal's line was begun and not ended: some texts of 4.9.4's tool have no end.
    is_line_open: bool,
    /// Whether a part of it was done.
    is_done: bool,
    /// The exit code of the first part that failed.
    failed: Option<u8>,
}

impl Run {
    /// A command that has done nothing yet.
    pub(super) fn new(admin: Admin, given: Arguments) -> Self {
        let stdout = io::stdout();
        Self {
            admin,
            given,
            zone: Zone::local(),
            clock: Clock::system(),
            is_terminal: stdout.is_terminal(),
            is_line_open: false,
            out: BufWriter::new(stdout),
            is_done: false,
            failed: None,
        }
    }

    /// Prints a text; a terminal gets no control characters of peers.
    pub(super) fn print(&mut self, text: Text<'_>) -> Done {
        if self.is_terminal {
            let shown = text.to_string();
            // Its own breaks and tabs stay.
            let kept = shown.split_inclusive(['\n', '\t']).map(|part| {
                let end = part.len() - usize::from(part.ends_with(['\n', '\t']));
                safe(&part[..end]) + &part[end..]
            });
            let shown: String = kept.collect();
            self.is_line_open = !shown.ends_with('\n');
            return Ok(self.out.write_all(shown.as_bytes())?);
        }
        Ok(self.out.write_fmt(text)?)
    }

    /// The same with a line's end.
    pub(super) fn line(&mut self, text: Text<'_>) -> Done {
        self.print(format_args!("{text}\n"))
    }

    /// Ends a terminal's line, so that what follows does not stand in it.
    pub(super) fn end_line(&mut self) -> Done {
        if std::mem::take(&mut self.is_line_open) {
            self.out.write_all(b"\n")?;
        }
        Ok(())
    }

    /// Sends out what was printed.
    pub(super) fn flush(&mut self) -> Done {
        Ok(self.out.flush()?)
    }

    /// Waits, with everything printed sent out.
    pub(super) async fn wait(&mut self, time: Duration) -> Done {
        self.flush()?;
        tokio::time::sleep(time).await;
        Ok(())
    }

    /// A part was done.
    pub(super) fn did(&mut self) {
        self.is_done = true;
    }

    /// Whether a part was done.
    pub(super) fn is_done(&self) -> bool {
        self.is_done
    }

    /// A part failed: the others go on.
    pub(super) fn failed(&mut self, error: &AdminError) -> Done {
        self.end_line()?;
        self.flush()?;
        let error = Status::from(error.clone());
        print_error(&error);
        self.failed.get_or_insert(exit_code(&error));
        Ok(())
    }

    /// A part that has nothing to print but this when it is done.
    pub(super) fn part(&mut self, done: Result<(), AdminError>, text: Text<'_>) -> Done {
        match done {
            Ok(()) => {
                self.did();
                self.line(text)
            }
            Err(error) => self.failed(&error),
        }
    }

    /// What became of all parts.
    pub(super) fn exit_code(&self) -> ExitCode {
        match self.failed {
            None => ExitCode::SUCCESS,
            Some(_) if self.is_done => ExitCode::from(EXIT_PARTIAL),
            Some(code) => ExitCode::from(code),
        }
    }

    /// The addresses of a cluster's masters, sorted (M-007); a cluster that is not there is a part that failed.
    pub(super) async fn masters(&mut self, cluster: &str) -> Result<Vec<String>, Failure> {
        self.addresses(cluster, |id| id == 0).await
    }

    /// The addresses of a cluster's brokers, sorted.
    pub(super) async fn brokers(&mut self, cluster: &str) -> Result<Vec<String>, Failure> {
        self.addresses(cluster, |_| true).await
    }

    async fn addresses(
        &mut self,
        cluster: &str,
        is_wanted: impl Fn(i64) -> bool,
    ) -> Result<Vec<String>, Failure> {
        let info = self.admin.cluster_info().await?;
        let Some(names) = info.clusters.get(cluster) else {
            self.no_cluster(cluster, info.clusters.keys())?;
            return Ok(Vec::new());
        };
        let groups = info.brokers.iter().filter(|group| names.contains(&group.broker_name));
        let all = groups.flat_map(|group| &group.addresses);
        let mut wanted: Vec<_> =
            all.filter(|(id, _)| is_wanted(**id)).map(|(_, address)| address.clone()).collect();
        wanted.sort();
        Ok(wanted)
    }

    /// Tells of a cluster that is not there, as 4.9.4 does on standard output.
    pub(super) fn no_cluster<'a>(
        &mut self,
        cluster: &str,
        known: impl Iterator<Item = &'a String>,
    ) -> Done {
        self.print(format_args!(
            "[error] Make sure the specified clusterName exists or the name server connected to is correct."
        ))?;
        let known: Vec<_> = known.map(String::as_str).collect();
        let text = format!("there is no cluster \"{cluster}\"; there is: {}", known.join(", "));
        self.failed(&AdminError::NotFound(text))
    }
}
