//! Arguments, output and exit codes.
//!
//! | file | what |
//! | --- | --- |
//! | `config` | `rmq-node config check`, `show` |
//! | `config_init`, `config_import`, `config_import_accounts` | `rmq-node config init`, `import` |
//! | `admin/` | `rmq-node admin`: a file a noun |
//! | `credentials` | the account and the certificate that are shown to a cluster |
//! | `mqadmin/` | the commands of 4.9.4's `mqadmin`, under their old names |
//! | `store` | `rmq-node store adopt` |
//! | `doctor` | `rmq-node doctor`: what is wrong with this host and its cluster |
//! | `in_unit` | where the settings of the node that systemd runs come from |
//! | `table` | plain tables for a terminal |
//! | `bench` | `rmq-node bench produce`, `consume` |
//! | `demo` | `rmq-node demo` |
//! | `complete` | what the shells' completions ask |
//! | `manual` | man pages from these definitions |
//! | `progress` | how far long work is, on terminals |
//! | `generate` | every file that is made of these definitions |
//! | `hints` | what was probably meant by words that are none of these |
//!
//! Not here: what the commands do. Invariant: 78 means that the settings are wrong and will stay so,
//! 1 that something failed which time or a hand can heal; `admin`, `doctor` and `demo` have codes of their own. Nobody
//! has to read standard error: what is told there is told by `tell`.

#![deny(clippy::print_stderr)]

pub mod admin;
pub mod bench;
mod complete;
pub mod config;
mod config_import;
mod config_import_accounts;
mod config_init;
mod credentials;
mod demo;
pub mod doctor;
pub mod generate;
mod hints;
mod in_unit;
mod manual;
mod mqadmin;
mod progress;
mod store;
mod table;

use std::io::{self, Write};
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::unistd::getppid;

use crate::config::{ConfigError, Loaded, Sources};

/// `EX_CONFIG` of sysexits.h; systemd does not start the unit again after it.
const EXIT_CONFIG: u8 = 78;
const NAME_SERVER_PORT: u16 = 9876;
const BROKER_PORT: u16 = 10911;

/// RocketMQ 4.9 as one process: name server and broker.
#[derive(Debug, Parser)]
#[command(name = "rmq-node", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the node: without any settings, a name server and a broker on 127.0.0.1.
    Run {
        #[command(flatten)]
        settings: Settings,
        /// End at once when this process, which started us, ends.
        #[arg(long, value_name = "PID", hide = true)]
        ends_with: Option<i32>,
    },
    /// Check, show, make or import the settings.
    #[command(subcommand)]
    Config(config::ConfigAction),
    Bench(bench::BenchArgs),
    Admin(admin::AdminArgs),
    Doctor(doctor::DoctorArgs),
    /// Work on a store while the node is stopped: adopt one of 4.9.
    #[command(subcommand)]
    Store(store::StoreAction),
    Demo(demo::DemoArgs),
    /// Write man pages and completions below a folder.
    #[command(hide = true)]
    Generate {
        /// The folder; `packaging` holds the committed ones.
        folder: PathBuf,
    },
}

/// Where the settings come from; see `rmq-node config show --defaults` for what they are.
#[derive(Debug, Args)]
pub struct Settings {
    /// The file with the settings; conf.d/*.toml beside it follow [default: /etc/rmq-node/rmq-node.toml if there].
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where everything is kept [default: $STATE_DIRECTORY, else ./rmq-node-data].
    #[arg(long, value_name = "DIR")]
    data_dir: Option<String>,
    /// The address that all ports are bound on [default: 127.0.0.1 if no broker is configured].
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<IpAddr>,
}

impl Settings {
    /// Reads, merges and checks everything.
    ///
    /// # Errors
    /// Everything that is wrong.
    pub fn load(&self) -> Result<Loaded, ConfigError> {
        crate::config::load(&self.sources())
    }

    fn sources(&self) -> Sources {
        Sources {
            config_file: self.config.clone(),
            data_dir: self.data_dir.clone(),
            listen: self.listen,
            environment: environment(),
        }
    }
}

/// What is not text has no name that we know.
fn environment() -> Vec<(String, String)> {
    let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
        Some((name.into_string().ok()?, value.into_string().ok()?))
    };
    std::env::vars_os().filter_map(text).collect()
}

/// The version with what it was built from, for `--version`.
const LONG_VERSION: &str = concat!(
    env!("CARGO_PKG_VERSION"),
    " (commit ",
    env!("BUILD_COMMIT"),
    ", ",
    env!("BUILD_TARGET"),
    ")"
);

/// Runs the command line of this process.
#[must_use]
pub fn main() -> ExitCode {
    let result = complete::answer().and_then(|is_answered| match mqadmin::words() {
        _ if is_answered => Ok(ExitCode::SUCCESS),
        Some(words) => mqadmin::main(&words),
        None => command(),
    });
    result.unwrap_or_else(|error| {
        let (text, code) = match error.downcast_ref::<ConfigError>() {
            Some(wrong) => (wrong.to_string(), ExitCode::from(EXIT_CONFIG)),
            None => (format!("error: {error:#}"), ExitCode::FAILURE),
        };
        tell(&format!("{text}\n"));
        code
    })
}

/// Runs the command that clap reads.
fn command() -> anyhow::Result<ExitCode> {
    let matches = Cli::command().long_version(LONG_VERSION).try_get_matches();
    let matches = matches.unwrap_or_else(|error| wrong_usage(&error));
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    match cli.command {
        Command::Run { settings, ends_with } => run(&settings, ends_with),
        Command::Config(action) => config::run(&action),
        Command::Bench(arguments) => bench::run(&arguments),
        Command::Admin(arguments) => admin::run(arguments),
        Command::Doctor(arguments) => doctor::run(&arguments),
        Command::Store(action) => store::run(action),
        Command::Demo(arguments) => demo::run(arguments),
        Command::Generate { folder } => generate::write(&folder),
    }
}

/// Ends as clap does, with what was probably meant behind it.
fn wrong_usage(error: &clap::Error) -> ! {
    // The exit code counts, whether or not somebody can read why.
    let _ = error.print();
    if matches!(error.kind(), ErrorKind::InvalidSubcommand | ErrorKind::UnknownArgument) {
        let words: Vec<String> =
            std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
        if let Some(meant) = hints::meant(&words) {
            tell(&format!("Perhaps: {meant}\n"));
        }
    }
    std::process::exit(error.exit_code())
}

/// Writes a result to standard output.
///
/// # Errors
/// It cannot be written; that whoever reads it has seen enough is none.
fn print(text: &str) -> io::Result<()> {
    match io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

/// Writes to standard error. The exit code counts, whether or not somebody can read why.
fn tell(text: &str) {
    let _ = io::stderr().write_all(text.as_bytes());
}

/// Addresses of one argument.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Addresses(Vec<String>);

/// `HOST:PORT`s, separated by `,` or `;`.
fn addresses(text: &str) -> Result<Addresses, String> {
    let entries = text.split([';', ',']).map(str::trim).filter(|entry| !entry.is_empty());
    let all =
        Addresses(entries.map(|entry| address(entry, NAME_SERVER_PORT)).collect::<Result<_, _>>()?);
    if all.0.is_empty() { Err("it names nobody: write HOST:PORT".to_owned()) } else { Ok(all) }
}

/// One broker's `HOST:PORT`.
fn broker_address(text: &str) -> Result<String, String> {
    address(text, BROKER_PORT)
}

fn address(text: &str, usual_port: u16) -> Result<String, String> {
    crate::config::check_address(text, usual_port).map(|()| text.to_owned())
}

fn run(settings: &Settings, ends_with: Option<i32>) -> anyhow::Result<ExitCode> {
    if let Some(parent) = ends_with {
        // The kernel does it, however the parent ends, even if we hang; it does not if the parent has ended already.
        prctl::set_pdeathsig(Signal::SIGKILL)?;
        anyhow::ensure!(getppid().as_raw() == parent, "process {parent} is not there any more");
    }
    crate::node::run(&settings.load()?)?;
    Ok(ExitCode::SUCCESS)
}
