//! `rmq-node demo`: arguments of the demo, and its closing count.
//!
//! Not the demo (`crate::demo`). Invariant: the exit code says whether anything that was acknowledged is missing.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};

use crate::config::init::Mode;
use crate::demo::script::{self, Script};
use crate::demo::{self, Options, is_interactive};

/// Run a pair of hosts on this machine, kill one after the other under load, and count what was lost.
///
/// Two processes of this program, each a name server, the master of one broker group and the slave of the
/// other's. A producer sends numbered messages and a consumer reads them while hosts are killed and started
/// again. At the end every host is started, all is read, and every acknowledged number must have come and still
/// be there. Nothing is left behind.
///
/// In a terminal it shows a live screen: 1 and 2 kill (kill -9) or start a host, s changes to stopping in order,
/// q or Ctrl-C ends with the count, a second one ends at once. Elsewhere, and with --script, it tells line by line.
///
/// Exit codes: 0 nothing is missing, 1 something is or it was not counted, 2 wrong usage.
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// What happens instead of keys, separated by `;`: `wait SECONDS`, `kill HOST` (kill -9), `stop HOST` (in
    /// order), `start HOST` (until clients can use it); hosts are 1 and 2 [default without a terminal: wait 3;
    /// kill 1; wait 5; start 1; wait 5; kill 2; wait 5; start 2; wait 3].
    #[arg(long, value_name = "STEPS")]
    script: Option<Script>,
    /// Both hosts' addresses: two of this machine's own, 127.x.y.z.
    #[arg(long, value_name = "ADDRESS,ADDRESS", default_value = "127.0.0.1,127.0.0.2", value_parser = hosts)]
    hosts: [Ipv4Addr; 2],
    /// Whether a sender waits for the slave's copy. Nothing is lost either way, as a killed host comes back with
    /// its disk.
    #[arg(long, default_value = "2m-2s-async", value_parser = mode_parser())]
    mode: Mode,
    /// Messages to send each second.
    #[arg(long, value_name = "COUNT", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    rate: u32,
    /// Keep all data in this new folder [default: a temporary one, which is removed].
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Do not remove the temporary folder.
    #[arg(long)]
    keep: bool,
}

fn mode_parser() -> impl TypedValueParser<Value = Mode> {
    let names = [Mode::TwoMastersTwoSlavesAsync, Mode::TwoMastersTwoSlavesSync].map(Mode::name);
    PossibleValuesParser::new(names).map(|name| Mode::named(&name).expect("it is one of all"))
}

fn hosts(text: &str) -> Result<[Ipv4Addr; 2], String> {
    let hosts: Option<Vec<Ipv4Addr>> =
        text.split(',').map(|host| host.trim().parse().ok()).collect();
    match hosts.as_deref() {
        Some([one, other]) if one != other && one.is_loopback() && other.is_loopback() => {
            Ok([*one, *other])
        }
        _ => {
            Err("write two different addresses of this machine, such as 127.0.1.1,127.0.1.2"
                .to_owned())
        }
    }
}

/// Plays, and prints the count.
///
/// # Errors
/// It did not come to its count.
pub fn run(arguments: DemoArgs) -> anyhow::Result<ExitCode> {
    let DemoArgs { script, hosts, mode, rate, data_dir, keep } = arguments;
    let default = || script::DEFAULT.parse().expect("a test reads it");
    let script = if is_interactive() { script } else { script.or_else(|| Some(default())) };
    let options = Options { hosts, mode, rate, data_dir, keep, script };
    let ended = demo::run(&options)?;
    super::print(&ended.to_string())?;
    Ok(if ended.count.is_whole() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_two_of_this_machine() {
        let expected = [Ipv4Addr::new(127, 0, 1, 1), Ipv4Addr::new(127, 0, 1, 2)];
        assert_eq!(hosts("127.0.1.1, 127.0.1.2"), Ok(expected));
        for text in
            ["127.0.0.1", "127.0.0.1,127.0.0.1", "127.0.0.1,10.0.0.1", "a,b", "::1,127.0.0.1", ""]
        {
            let error = hosts(text).unwrap_err();
            assert!(error.contains("such as 127.0.1.1,127.0.1.2"), "{text}: {error}");
        }
    }
}
