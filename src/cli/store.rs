//! `rmq-node store adopt`: its arguments, its progress, and what it tells at the end.
//!
//! Not the doing (`node::adopt`). Invariant: standard output is the result; progress and notes are on standard error.

use std::cell::Cell;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand};

use super::Settings;
use crate::clock::Clock;
use crate::node::adopt::{Adopted, Prepared, Progress, Request};

/// How often the progress is told.
const TOLD_EVERY: Duration = Duration::from_secs(1);

/// Work on a store while the node is stopped.
#[derive(Debug, Subcommand)]
pub enum StoreAction {
    Adopt(AdoptArgs),
}

/// Take the store of a stopped 4.9 broker over: its log, topics, groups and positions.
///
/// Messages keep their offsets and ids, and groups go on where they were; pending delayed messages come when they are
/// due. The old store is never written to. Its full log files are linked where the file system allows it, and cost no
/// room then; the newest one is copied. Queues and the index of keys are made of the log, which is read once.
///
/// The settings must have a [[broker]] of the group: `rmq-node config import` makes it of the old property file. The old
/// broker must be stopped, and this node too. Run as root, the files are given to the owner of the data directory.
///
/// Exit codes: 0 done, or nothing is in the way; 1 refused or failed, and the group has no store; 2 wrong usage; 78 the
/// settings are wrong.
#[derive(Debug, Args)]
pub struct AdoptArgs {
    /// The old broker's storePathRootDir, which has the folders commitlog and config.
    #[arg(value_name = "DIR")]
    from: PathBuf,
    /// The group (`brokerName`) that it was a broker of.
    #[arg(long)]
    group: String,
    /// Copy every file, so that nothing is shared with the old store.
    #[arg(long)]
    copy: bool,
    /// Only look whether it can be done.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    settings: Settings,
}

/// Runs the action.
///
/// # Errors
/// The settings are wrong, or why it cannot be done.
pub fn run(action: StoreAction) -> anyhow::Result<ExitCode> {
    let StoreAction::Adopt(arguments) = action;
    let config = arguments.settings.load()?.config;
    let AdoptArgs { from, group, copy, dry_run, .. } = arguments;
    let request = Request { from, group, copy };
    let prepared = Prepared::new(&config, &request)?;
    if !prepared.source.is_whole {
        note("the old broker did not stop in order: what it had not yet written is not there")?;
    }
    if dry_run {
        super::print(&format!(
            "{}: {} files of the log and {} topics can be adopted into {}; nothing was done\n",
            request.from.display(),
            prepared.source.segments.len(),
            prepared.source.topics.len(),
            prepared.target().display()
        ))?;
        return Ok(ExitCode::SUCCESS);
    }
    let clock = Clock::system();
    let told_at = Cell::new(clock.monotonic());
    let adopted = prepared.run(&|progress| {
        let now = clock.monotonic();
        if now.duration_since(told_at.get()) >= TOLD_EVERY {
            told_at.set(now);
            // That nobody reads it does not matter.
            let _ = writeln!(io::stderr(), "{}", shown(progress));
        }
    })?;
    for text in notes(&adopted) {
        note(&text)?;
    }
    super::print(&result(&adopted, &request.group, &prepared.target().display().to_string()))?;
    Ok(ExitCode::SUCCESS)
}

fn note(text: &str) -> io::Result<()> {
    writeln!(io::stderr(), "note: {text}")
}

fn shown(progress: Progress<'_>) -> String {
    match progress {
        Progress::Copied { path, bytes } => {
            format!("copying {}: {} MiB", path.display(), bytes >> 20)
        }
        Progress::Read(read, all) => {
            format!("reading the log: {} of {} MiB", read >> 20, all >> 20)
        }
    }
}

fn notes(adopted: &Adopted) -> Vec<String> {
    let mut notes = Vec::new();
    if !adopted.deleted_topics.is_empty() {
        let names = adopted.deleted_topics.join(", ");
        notes.push(format!("the log has messages of deleted topics, which stay deleted: {names}"));
    }
    if adopted.damaged > 0 {
        let places = adopted.damaged;
        notes.push(format!(
            "the log was damaged in {places} places: what lay there is stepped over"
        ));
    }
    if adopted.is_cut {
        notes.push(
            "behind the log's last whole message lay a part of one: it is kept in a file cut-* of the folder"
                .to_owned(),
        );
    }
    notes
}

fn result(adopted: &Adopted, group: &str, target: &str) -> String {
    let (start, end) = adopted.log;
    format!(
        "{group} is in {target}\n\
         log:    offsets {start} to {end}, {} files linked, {} copied\n\
         tables: {} topics, {} groups, {} positions\n\
         next:   start the node; the old store is as it was, and its broker must not be started again\n",
        adopted.linked, adopted.copied, adopted.topics, adopted.groups, adopted.positions
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_as_expected_is_told_and_nothing_else() {
        assert!(notes(&Adopted::default()).is_empty());
        let adopted = Adopted {
            deleted_topics: vec!["A".to_owned(), "B".to_owned()],
            damaged: 2,
            is_cut: true,
            ..Adopted::default()
        };
        let notes = notes(&adopted);
        assert!(notes[0].ends_with("stay deleted: A, B"), "{notes:?}");
        assert!(notes[1].contains("in 2 places") && notes[2].contains("cut-*"), "{notes:?}");
    }
}
