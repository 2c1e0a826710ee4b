//! `rmq-node demo`: a cross-paired pair on this machine, whose hosts are killed under load, and a count of what was lost.
//!
//! | file | what |
//! | --- | --- |
//! | `script` | the language of `--script` |
//! | `pair` | both hosts' files and processes |
//! | `cluster` | the route of the topic, and what all tasks share |
//! | `producer`, `consumer` | clients that go on elsewhere |
//! | `stage` | the loop: what happens when, until the count |
//! | `watch` | asks every process how it is |
//! | `board` | what is known of the pair |
//! | `ledger` | what was acknowledged and received |
//! | `screen`, `terminal` | the live screen and its keys |
//!
//! A client of its own children over remoting, never of their insides. Invariants: the loop here alone starts and
//! ends processes, on the main thread, and never waits for a call; whatever fails, the pair goes with it.

mod board;
mod cluster;
mod consumer;
mod ledger;
mod pair;
mod producer;
mod screen;
pub mod script;
mod stage;
mod terminal;
mod watch;

use std::fmt;
use std::io;
use std::net::Ipv4Addr;
use std::path::PathBuf;

use crate::config::init::Mode;
use script::Script;

pub use ledger::Count;
pub use terminal::is_interactive;

/// Why the demo did not come to its count.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct DemoError(pub String);

impl From<io::Error> for DemoError {
    fn from(error: io::Error) -> Self {
        Self(error.to_string())
    }
}

/// What to play.
#[derive(Debug)]
pub struct Options {
    /// The addresses of both hosts.
    pub hosts: [Ipv4Addr; 2],
    /// How their brokers stand to one another; one of those with two masters and two slaves.
    pub mode: Mode,
    /// Messages a second.
    pub rate: u32,
    /// Where everything is kept, and stays; without it, a temporary folder.
    pub data_dir: Option<PathBuf>,
    /// Whether the temporary folder stays too.
    pub keep: bool,
    /// What happens, told line by line; without it, keys and a live screen.
    pub script: Option<Script>,
}

/// How it ended.
#[derive(Debug)]
pub struct Ended {
    /// What was lost, if anything.
    pub count: Count,
    /// Some of the missing numbers.
    missing: Vec<usize>,
    /// Where the data is, and how each host is started there, if it stays.
    kept: Option<(PathBuf, [String; 2])>,
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Count { acknowledged, received, duplicates, stored, unacknowledged } = self.count;
        let missing = self.count.missing();
        writeln!(f, "\nacknowledged  {acknowledged:>9}\nreceived      {received:>9}")?;
        writeln!(f, "missing       {missing:>9}\nduplicates    {duplicates:>9}")?;
        writeln!(f, "still stored  {stored:>9}")?;
        if unacknowledged > 0 {
            writeln!(
                f,
                "{unacknowledged} more came whose acknowledgement was lost with its broker."
            )?;
        }
        if !self.count.is_whole() {
            let first = &self.missing;
            writeln!(f, "Not received or not stored any more, the first numbers: {first:?}")?;
        }
        let Some((folder, commands)) = &self.kept else { return Ok(()) };
        writeln!(f, "All data is in {}. Each host is started there by:", folder.display())?;
        commands.iter().try_for_each(|command| writeln!(f, "  {command}"))
    }
}

/// Plays until the end.
///
/// # Errors
/// The pair cannot be started, or it ended before the count.
pub fn run(options: &Options) -> Result<Ended, DemoError> {
    // One thread: the hosts' processes are children of it, and it lasts as long as they.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async { stage::Stage::new(options)?.play().await })
}
