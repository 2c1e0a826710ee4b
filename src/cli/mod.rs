//! Arguments and output.

pub mod bench;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// RocketMQ 4.9 as one process.
#[derive(Debug, Parser)]
#[command(name = "rmq-node", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Bench(bench::BenchArgs),
}

/// Runs the command line of this process.
#[must_use]
pub fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Bench(arguments) => bench::run(&arguments),
    };
    result.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}
