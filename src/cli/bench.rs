//! `rmq-node bench`: arguments of the load generator and what it prints.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use tokio_util::sync::CancellationToken;

use super::credentials::Credentials;
use super::{Addresses, addresses, broker_address};
use crate::bench::{self, ConsumeOptions, Load, Mode, ProduceOptions, Summary};
use crate::clock::Clock;
use crate::remoting::SerializeType;
use crate::transport::Signer;

/// Measure a cluster, ours or Apache's: send or pull as fast as it answers.
#[derive(Debug, Args)]
pub struct BenchArgs {
    #[command(flatten)]
    credentials: Credentials,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Send messages.
    Produce(ProduceArgs),
    /// Pull all queues of a topic from their beginning.
    Consume(ConsumeArgs),
    /// A peer that only answers: the floor that brokers are compared with.
    #[command(hide = true)]
    Echo {
        /// Where to listen.
        #[arg(long, default_value = "127.0.0.1:0")]
        listen: SocketAddr,
        /// Decode and encode through the node's transport instead of bare TCP, which needs `--binary` requests.
        #[arg(long)]
        commands: bool,
    },
}

/// What producing and consuming have in common.
#[derive(Debug, Args)]
struct LoadArgs {
    /// Name servers as HOST:PORT, separated by `;` or `,`.
    #[arg(short, long, default_value = "127.0.0.1:9876", value_name = "ADDRESSES", value_parser = addresses)]
    name_server: Addresses,
    /// One broker as HOST:PORT, asked directly; its topic is taken to have four queues.
    #[arg(long, value_name = "ADDRESS", conflicts_with = "name_server", value_parser = broker_address)]
    broker: Option<String>,
    /// The topic; the first send creates it where brokers allow that.
    #[arg(short, long, default_value = "BenchmarkTest")]
    topic: String,
    /// Connections to each broker.
    #[arg(short, long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..))]
    connections: u16,
    /// Requests in flight on each connection.
    #[arg(short, long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    in_flight: u16,
    /// Seconds to run; `consume` starts over at the queues' ends.
    #[arg(short, long, value_name = "SECONDS")]
    duration: Option<u32>,
    /// Messages to move.
    #[arg(short, long, value_name = "COUNT")]
    messages: Option<u64>,
    /// Encode request headers in the binary form instead of JSON.
    #[arg(long)]
    binary: bool,
    /// How the summary is printed.
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Output {
    Text,
    Json,
}

#[derive(Debug, Args)]
struct ProduceArgs {
    #[command(flatten)]
    load: LoadArgs,
    /// Bytes of each body.
    #[arg(short, long, default_value_t = 1024, value_name = "BYTES", value_parser = clap::value_parser!(u32).range(..=4 << 20))]
    size: u32,
    /// Send without waiting for answers.
    #[arg(long)]
    oneway: bool,
    /// Make each message a transaction, and commit it.
    #[arg(long, conflicts_with_all = ["oneway", "batch"])]
    transactions: bool,
    /// Messages of one request.
    #[arg(short, long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    batch: u16,
    /// Give each message a key of its own.
    #[arg(long)]
    keys: bool,
    /// Give all messages this tag.
    #[arg(long, value_name = "TAG")]
    tags: Option<String>,
    /// Messages per second; without it, as many as possible.
    #[arg(short, long, value_name = "RATE", value_parser = clap::value_parser!(u32).range(1..))]
    rate: Option<u32>,
    /// Give each message the next of the first COUNT delay levels.
    #[arg(long, default_value_t = 0, value_name = "COUNT", conflicts_with = "transactions", value_parser = clap::value_parser!(u8).range(..=18))]
    delay_levels: u8,
}

#[derive(Debug, Args)]
struct ConsumeArgs {
    #[command(flatten)]
    load: LoadArgs,
    /// Messages of one pull.
    #[arg(short, long, default_value_t = 32, value_parser = clap::value_parser!(i32).range(1..))]
    batch: i32,
    /// Pull only what matches this SQL92 expression.
    #[arg(long, value_name = "EXPRESSION")]
    sql: Option<String>,
}

impl LoadArgs {
    fn load(&self, signer: Signer) -> Load {
        Load {
            signer,
            name_servers: self.name_server.0.clone(),
            broker: self.broker.clone(),
            topic: self.topic.clone(),
            connections: self.connections.into(),
            in_flight: self.in_flight.into(),
            duration: self.duration.map(|seconds| Duration::from_secs(seconds.into())),
            messages: self.messages,
            serialize_type: if self.binary { SerializeType::RocketMq } else { SerializeType::Json },
        }
    }

    fn print(&self, summary: &Summary) -> anyhow::Result<ExitCode> {
        match self.output {
            Output::Text => super::print(&format!("{summary}\n"))?,
            Output::Json => super::print(&format!("{}\n", serde_json::to_string(summary)?))?,
        }
        Ok(if summary.errors.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

impl ProduceArgs {
    fn options(&self, signer: Signer) -> anyhow::Result<ProduceOptions> {
        Ok(ProduceOptions {
            load: self.load.load(signer),
            body_bytes: usize::try_from(self.size)?,
            mode: match (self.oneway, self.transactions) {
                (true, _) => Mode::Oneway,
                (false, true) => Mode::Transactions,
                (false, false) => Mode::Answered,
            },
            batch: self.batch.into(),
            keys: self.keys,
            tags: self.tags.clone(),
            rate: self.rate,
            delay_levels: self.delay_levels.into(),
        })
    }
}

/// Runs the load until its end or an interrupt; exit code 1 if any request failed.
///
/// # Errors
/// The run could not begin.
pub fn run(arguments: &BenchArgs) -> anyhow::Result<ExitCode> {
    let signer = arguments.credentials.signer()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let stop = CancellationToken::new();
        let clock = Clock::system();
        let work = async {
            match &arguments.action {
                Action::Produce(produce) => {
                    let summary = bench::produce(&produce.options(signer)?, &clock, &stop).await?;
                    produce.load.print(&summary)
                }
                Action::Consume(consume) => {
                    let options = ConsumeOptions {
                        load: consume.load.load(signer),
                        batch: consume.batch,
                        sql: consume.sql.clone(),
                    };
                    consume.load.print(&bench::consume(&options, &clock, &stop).await?)
                }
                Action::Echo { listen, commands: false } => {
                    bench::echo(*listen, &stop).await?;
                    Ok(ExitCode::SUCCESS)
                }
                Action::Echo { listen, commands: true } => {
                    bench::echo_commands(*listen, &stop).await?;
                    Ok(ExitCode::SUCCESS)
                }
            }
        };
        tokio::pin!(work);
        loop {
            tokio::select! {
                result = &mut work => return result,
                // The first interrupt ends the load and prints the summary, the second one ends us.
                _ = tokio::signal::ctrl_c(), if !stop.is_cancelled() => stop.cancel(),
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Cli {
        #[command(flatten)]
        bench: BenchArgs,
    }

    #[test]
    fn arguments_become_options() {
        let line = "bench produce -n 127.0.0.1:1;127.0.0.1:2 -c 3 -i 4 -d 5 --oneway --binary";
        let cli = Cli::try_parse_from(line.split(' ')).unwrap();
        let Action::Produce(produce) = cli.bench.action else { panic!("it is produce") };
        let options = produce.options(Signer::default()).unwrap();
        assert_eq!(options.load.name_servers, ["127.0.0.1:1", "127.0.0.1:2"]);
        assert_eq!((options.load.connections, options.load.in_flight), (3, 4));
        assert_eq!(options.load.duration, Some(Duration::from_secs(5)));
        assert_eq!(options.load.serialize_type, SerializeType::RocketMq);
        assert_eq!((options.mode, options.body_bytes), (Mode::Oneway, 1024));
    }

    #[test]
    fn nonsense_is_refused() {
        for line in [
            "bench produce -c 0",
            "bench produce -s 5000000",
            "bench produce --transactions --oneway",
            "bench produce --transactions -b 2",
            "bench produce --delay-levels 19",
            "bench consume -b 0",
            "bench produce -n 127.0.0.1",
            "bench produce --broker 127.0.0.1",
        ] {
            assert!(Cli::try_parse_from(line.split(' ')).is_err(), "{line}");
        }
        let error = Cli::try_parse_from(["", "produce", "--broker", "h"]).unwrap_err();
        assert!(error.to_string().contains("write \"h:10911\""), "{error}");
    }
}
