//! `rmq-node admin`: its arguments, and which noun does what.
//!
//! | file | what |
//! | --- | --- |
//! | `door` | the way to the services: a socket, or this process |
//! | `output` | what is printed, and the exit code |
//! | `sheet` | results as tables, JSON, YAML, TSV and names |
//! | `names` | names of the cluster for completions |
//! | `acl`, `brokers` with `brokers_config` and `drain`, `cluster`, `topics`, `groups`, `clients`, `offsets`, `messages`, `timers`, `nameservers`, `resync`, `node` with `stop`, `audit`, `alerts` | the nouns |
//! | `metadata`, `metadata_file` | `export`, `diff` and `apply`, and their file |
//!
//! Not the actions (`crate::admin`), which are asked of the services only. Invariant: a noun alone lists.

mod acl;
mod alerts;
mod audit;
mod brokers;
mod brokers_config;
mod clients;
mod cluster;
mod door;
mod drain;
mod groups;
mod messages;
mod metadata;
mod metadata_file;
mod names;
mod nameservers;
mod node;
mod offsets;
mod output;
mod resync;
mod sheet;
mod stop;
mod timers;
mod topics;

use std::fs;
use std::io::{self, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand};
use tonic::{Code, Status, Streaming};

use super::credentials::CredentialsArgs;
use super::{Addresses, addresses};
use acl::AclAction;
use alerts::AlertsAction;
use audit::AuditArgs;
use brokers::BrokersAction;
use clients::ClientsAction;
use door::{Door, Way, within};
use groups::GroupsAction;
use messages::MessagesAction;
pub(super) use names::with_names;
use nameservers::NameServersAction;
use node::NodeAction;
use offsets::OffsetsAction;
pub(super) use output::{EXIT_CODES, EXIT_PARTIAL, EXIT_USAGE, exit_code, print_error};
use output::{Output, Reported};
use resync::Resync;
use timers::TimersAction;
use topics::TopicsAction;

/// Look at and change a cluster, ours or Apache's.
///
/// Without -n the node of this host is asked over its socket; where none runs, the name servers of this host's settings
/// are, else 127.0.0.1:9876.
///
/// Exit codes: 0 done, 1 failed, 2 wrong usage, 3 nobody answers, 4 no such thing, 5 denied, 6 done or told in part, 7
/// different (`diff`). The commands of RocketMQ's mqadmin work here too, under their names and with their flags.
#[derive(Debug, Args)]
// Below a verb's own options, not among them.
#[command(next_help_heading = "Cluster and output")]
pub struct AdminArgs {
    /// Name servers of the cluster as HOST:PORT, separated by `,` or `;`.
    #[arg(short, long, global = true, value_name = "ADDRESSES", value_parser = addresses)]
    name_server: Option<Addresses>,
    /// The socket of a node [default: /run/rmq-node/admin.sock, else that in the data directory].
    #[arg(long, global = true, value_name = "PATH", conflicts_with = "name_server")]
    socket: Option<PathBuf>,
    /// How results are printed.
    #[arg(short, long, global = true, value_enum, default_value_t = Output::Table)]
    output: Output,
    /// Ask again every so many seconds, until it is interrupted; not for what changes something.
    #[arg(long, global = true, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=86400))]
    watch: Option<u64>,
    /// How long an answer may take; what is not known by then is told to be missing [default: until all have answered, or
    /// are given up].
    #[arg(long, global = true, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=86400))]
    timeout: Option<u64>,
    #[command(flatten)]
    credentials: CredentialsArgs,
    #[command(subcommand)]
    noun: Noun,
}

#[derive(Clone, Debug, Subcommand)]
enum Noun {
    /// Show every broker group with its master and slaves: addresses, versions, messages a second, and how they are.
    Cluster,
    /// Brokers: list (also without a verb), show, drain, resume, config.
    Brokers {
        #[command(subcommand)]
        action: Option<BrokersAction>,
    },
    /// How slaves copy their masters: list (also without a verb), resync.
    Replication {
        #[command(subcommand)]
        action: Option<ReplicationAction>,
    },
    /// Messages that wait for a time of their own (`TIMER_DELIVER_MS` and the like): list (also without a verb), cancel.
    Timers {
        #[command(subcommand)]
        action: Option<TimersAction>,
    },
    /// Topics: list (also without a verb), show, create, update, repair, delete.
    Topics {
        #[command(subcommand)]
        action: Option<TopicsAction>,
    },
    /// Consumer groups: list (also without a verb), show, create, update, delete.
    Groups {
        #[command(subcommand)]
        action: Option<GroupsAction>,
    },
    /// Producers and consumers that are connected: list (also without a verb), show.
    Clients {
        #[command(subcommand)]
        action: Option<ClientsAction>,
    },
    /// Messages: show, find, send, consume-directly, dlq, tail.
    Messages {
        #[command(subcommand)]
        action: MessagesAction,
    },
    /// Positions of groups: reset.
    Offsets {
        #[command(subcommand)]
        action: OffsetsAction,
    },
    /// Name servers: list (also without a verb), kv, config, wipe-write, add-write.
    Nameservers {
        #[command(subcommand)]
        action: Option<NameServersAction>,
    },
    /// Accounts: list (also without a verb), show, create, update, delete, white-list.
    Acl {
        #[command(subcommand)]
        action: Option<AclAction>,
    },
    /// The node of this host: status (also without a verb), reload, upgrade-check, stop, restart.
    Node {
        #[command(subcommand)]
        action: Option<NodeAction>,
    },
    /// What the node of this host finds wrong with its cluster: list (also without a verb), silence, silences, test.
    Alerts {
        #[command(subcommand)]
        action: Option<AlertsAction>,
    },
    /// What was changed through the node of this host, and by whom.
    Audit(AuditArgs),
    /// Write what a cluster is configured to be as one YAML file: topics, groups, accounts, ordered topics.
    Export(metadata::Export),
    /// Show what `apply` would do; exit 0 if nothing differs, 7 if something does.
    Diff(metadata::Diff),
    /// Make a cluster, ours or Apache's, what a file says: change only what differs, tell each step, go on after a failed
    /// one.
    Apply(metadata::Apply),
}

impl Noun {
    /// Whether it only looks, as a noun alone and `list` and `show` do.
    fn only_reads(&self) -> bool {
        match self {
            Self::Cluster | Self::Audit(_) | Self::Clients { .. } | Self::Diff(_) => true,
            Self::Brokers { action } => action.as_ref().is_none_or(BrokersAction::only_reads),
            Self::Alerts { action } => {
                matches!(action, None | Some(AlertsAction::List | AlertsAction::Silences))
            }
            Self::Groups { action } => {
                matches!(action, None | Some(GroupsAction::List { .. } | GroupsAction::Show { .. }))
            }
            Self::Replication { action } => !matches!(action, Some(ReplicationAction::Resync(_))),
            Self::Topics { action } => {
                matches!(action, None | Some(TopicsAction::List { .. } | TopicsAction::Show { .. }))
            }
            Self::Node { action } => action.as_ref().is_none_or(NodeAction::only_reads),
            Self::Messages { action } => action.only_reads(),
            Self::Acl { action } => action.as_ref().is_none_or(AclAction::only_reads),
            Self::Nameservers { action } => {
                action.as_ref().is_none_or(NameServersAction::only_reads)
            }
            Self::Timers { action } => matches!(action, None | Some(TimersAction::List(_))),
            Self::Offsets { .. } | Self::Export(_) | Self::Apply(_) => false,
        }
    }
}

#[derive(Clone, Debug, Subcommand)]
enum ReplicationAction {
    /// List slaves, each with its master, how far it is behind, and what went wrong last.
    List,
    /// Let this host's slave of a group set its folder aside, beside the others, and copy all that its master has.
    Resync(Resync),
}

/// Runs the action and prints what it tells.
///
/// # Errors
/// This host's settings are wrong and were needed, or the result cannot be printed.
pub fn run(arguments: AdminArgs) -> anyhow::Result<ExitCode> {
    let AdminArgs { name_server, socket, output, watch, timeout, credentials, noun } = arguments;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    if watch.is_some() && !noun.only_reads() {
        return Ok(print_error(&Status::invalid_argument("--watch is for what only looks")));
    }
    let way = Way { name_servers: name_server, socket: socket.clone(), credentials };
    let (door, denied) = match runtime.block_on(way.open())? {
        Ok((door, denied)) => {
            let door = timeout.map_or_else(|| door.clone(), |seconds| within(&door, seconds));
            (door::with_spinner(door), denied)
        }
        Err(error) => return Ok(print_error(&error)),
    };
    let printed = match watch {
        None => {
            print(runtime.block_on(act(noun, socket.as_deref(), door, output)), denied.as_ref())
        }
        Some(seconds) => runtime.block_on(async {
            loop {
                let reported = act(noun.clone(), socket.as_deref(), door.clone(), output).await;
                if io::stdout().is_terminal() {
                    io::stdout().write_all(CLEAR)?;
                }
                print(reported, denied.as_ref())?;
                tokio::time::sleep(Duration::from_secs(seconds)).await;
            }
        }),
    };
    match printed {
        // Whoever reads it has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(ExitCode::SUCCESS),
        printed => Ok(printed?),
    }
}

/// Moves the cursor to the first line of a terminal and clears everything.
const CLEAR: &[u8] = b"\x1b[H\x1b[2J";

/// Prints it; `denied` is why this host's node was not asked, which counts where nobody else answers.
fn print(reported: Reported, denied: Option<&Status>) -> io::Result<ExitCode> {
    match (reported, denied) {
        (Ok(report), _) => report.print(),
        (Err(error), Some(denied)) if error.code() == Code::Unavailable => {
            let text = format!("{}; {}", error.message(), denied.message());
            Ok(print_error(&Status::permission_denied(text)))
        }
        (Err(error), _) => Ok(print_error(&error)),
    }
}

async fn act(noun: Noun, socket: Option<&Path>, door: Door, output: Output) -> Reported {
    match noun {
        Noun::Cluster => cluster::cluster(door, output).await,
        Noun::Brokers { action } => brokers::run(action, door, output).await,
        Noun::Replication { action: Some(ReplicationAction::Resync(resync)) } => {
            resync::run(resync, door, output).await
        }
        Noun::Replication { .. } => cluster::replication(door, output).await,
        Noun::Node { action } => node::run(action, socket, door, output).await,
        Noun::Timers { action } => timers::run(action, door, output).await,
        Noun::Topics { action } => topics::run(action, door, output).await,
        Noun::Groups { action } => groups::run(action, door, output).await,
        Noun::Clients { action } => clients::run(action, door, output).await,
        Noun::Messages { action } => messages::run(action, door, output).await,
        Noun::Acl { action } => acl::run(action, door, output).await,
        Noun::Nameservers { action } => nameservers::run(action, door, output).await,
        Noun::Offsets { action } => offsets::run(action, door, output).await,
        Noun::Alerts { action } => alerts::run(action, door, output).await,
        Noun::Audit(arguments) => audit::run(arguments, door, output).await,
        Noun::Export(arguments) => metadata::export(arguments, door, output).await,
        Noun::Diff(arguments) => metadata::diff(arguments, door, output).await,
        Noun::Apply(arguments) => metadata::apply(arguments, door, output).await,
    }
}

/// Stands for standard input or output.
const STANDARD: &str = "-";

/// What a file holds, or standard input.
fn read_text(path: &Path) -> Result<String, Status> {
    let (name, text) = if path.as_os_str() == STANDARD {
        let mut text = String::new();
        ("standard input".into(), io::stdin().read_to_string(&mut text).map(|_| text))
    } else {
        (path.to_string_lossy(), fs::read_to_string(path))
    };
    text.map_err(|error| Status::invalid_argument(format!("{name}: {error}")))
}

/// An answer that came in parts: the first, with the `items` of all.
async fn whole<T: Default, I>(
    mut parts: Streaming<T>,
    items: fn(&mut T) -> &mut Vec<I>,
) -> Result<T, Status> {
    let mut first = parts.message().await?.unwrap_or_default();
    while let Some(mut part) = parts.message().await? {
        items(&mut first).append(items(&mut part));
    }
    Ok(first)
}

#[cfg(test)]
mod tests {
    use clap::{Command, CommandFactory, Parser};

    use super::*;

    /// Commands that only look.
    const LOOKING: [&str; 26] = [
        "acl list",
        "acl show",
        "alerts list",
        "alerts silences",
        "audit",
        "brokers config get",
        "brokers list",
        "brokers show",
        "clients list",
        "clients show",
        "cluster",
        "diff",
        "export",
        "groups list",
        "groups show",
        "messages find",
        "messages show",
        "messages tail",
        "nameservers kv list",
        "nameservers list",
        "node status",
        "node upgrade-check",
        "replication list",
        "timers list",
        "topics list",
        "topics show",
    ];
    /// What changes something and is not tried before: what a reload would do is `config check --running`'s to tell, and
    /// nobody but receivers of alerts notices the others.
    const NOT_TRIED: [&str; 3] = ["alerts silence", "alerts test", "node reload"];
    /// What cannot be taken back, or whose taking back somebody would notice.
    const ASKING: [&str; 13] = [
        "acl delete",
        "acl white-list",
        "apply",
        "brokers drain",
        "groups delete",
        "messages dlq",
        "nameservers kv delete",
        "node restart",
        "node stop",
        "offsets reset",
        "replication resync",
        "timers cancel",
        "topics delete",
    ];

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        admin: AdminArgs,
    }

    fn parse(line: &str) -> Result<AdminArgs, clap::Error> {
        Cli::try_parse_from(line.split(' ')).map(|cli| cli.admin)
    }

    /// Every command with its words.
    fn leaves(command: &Command, words: &str, found: &mut Vec<(String, Command)>) {
        for below in command.get_subcommands() {
            let words = format!("{words} {}", below.get_name());
            if below.has_subcommands() {
                leaves(below, &words, found);
            } else {
                found.push((words.trim_start().to_owned(), below.clone()));
            }
        }
    }

    #[test]
    fn what_changes_something_can_be_tried_and_what_destroys_asks() {
        let mut found = Vec::new();
        leaves(&Cli::command(), "", &mut found);
        let has = |command: &Command, flag: &str| {
            command.get_arguments().any(|argument| argument.get_id() == flag)
        };
        let with = |flag: &str| -> Vec<_> {
            let with = found.iter().filter(|(_, command)| has(command, flag));
            with.map(|(words, _)| words.as_str()).collect()
        };
        let mut asking = with("yes");
        asking.sort_unstable();
        assert_eq!(asking, ASKING);
        let tried = with("dry_run");
        let others = found.iter().map(|(words, _)| words.as_str());
        let mut others: Vec<_> = others.filter(|words| !tried.contains(words)).collect();
        others.sort_unstable();
        let mut expected = [&LOOKING[..], &NOT_TRIED].concat();
        expected.sort_unstable();
        assert_eq!(others, expected);
    }

    #[test]
    fn every_noun_names_its_verbs() {
        for noun in Cli::command().get_subcommands() {
            let about = noun.get_about().unwrap().to_string();
            for verb in noun.get_subcommands().map(Command::get_name) {
                assert!(about.contains(verb), "{}: {verb}", noun.get_name());
            }
        }
    }

    #[test]
    fn a_noun_alone_lists() {
        let arguments = parse("admin topics -n a:1;b:2, -o json").unwrap();
        assert!(matches!(arguments.noun, Noun::Topics { action: None }));
        assert_eq!(arguments.name_server.unwrap().0, ["a:1", "b:2"]);
        assert_eq!(arguments.output, Output::Json);
        assert!(matches!(parse("admin cluster").unwrap().noun, Noun::Cluster));
        assert!(matches!(parse("admin timers").unwrap().noun, Noun::Timers { action: None }));
        assert!(parse("admin nameservers kv").unwrap().noun.only_reads());
        let arguments = parse("admin replication resync broker-b --yes").unwrap();
        let Noun::Replication { action: Some(ReplicationAction::Resync(_)) } = arguments.noun
        else {
            panic!("it is resync")
        };
    }

    #[test]
    fn create_has_4_9_4s_defaults() {
        let arguments = parse("admin topics create T --permission r").unwrap();
        let Noun::Topics { action: Some(TopicsAction::Create { queues, permission, .. }) } =
            arguments.noun
        else {
            panic!("it is create")
        };
        assert_eq!((queues, permission.as_str()), (8, "r"));
        for line in [
            "admin topics create T --permission x",
            "admin topics create T --queues 0",
            "admin topics -n a",
            "admin topics -n a:99999",
            "admin topics -n ,",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}
