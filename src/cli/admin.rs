//! `rmq-node admin`: arguments of the admin facade, what it prints, and its exit codes.
//!
//! Not the actions (`crate::admin`). Invariants: results go to standard output, as a table or as JSON,
//! and everything else to standard error; the exit code says what happened to scripts.

use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum};
use serde::Serialize;

use super::table::{Align, safe, table, utc};
use crate::admin::{
    Admin, AdminError, CreateTopic, Kind, Listing, Outcome, TopicStats, WhereDone,
    permission_from_text,
};
use crate::config::{self, Sources};
use crate::model::Permission;

/// Usage, as clap's own.
const EXIT_USAGE: u8 = 2;
const EXIT_UNREACHABLE: u8 = 3;
const EXIT_NOT_FOUND: u8 = 4;

/// Looks at and changes a cluster, ours or Apache's.
///
/// Exit codes: 0 done, 1 failed or done in part, 2 wrong usage, 3 nobody answers, 4 no such thing.
#[derive(Debug, Args)]
pub struct AdminArgs {
    /// Name servers as HOST:PORT, separated by `,` or `;` [default: those of this host's settings, else 127.0.0.1:9876].
    #[arg(short, long, global = true, value_name = "ADDRESSES")]
    name_server: Option<String>,
    /// How results are printed.
    #[arg(short, long, global = true, value_enum, default_value_t = Output::Table)]
    output: Output,
    #[command(subcommand)]
    noun: Noun,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    Table,
    Json,
}

#[derive(Debug, Subcommand)]
enum Noun {
    /// Topics: list (also without a verb), show, create, delete.
    Topics {
        #[command(subcommand)]
        action: Option<TopicsAction>,
    },
}

#[derive(Debug, Subcommand)]
enum TopicsAction {
    /// List topics with their queues and permissions on each broker.
    List {
        /// Also topics of the system, and those for retries and dead letters.
        #[arg(short, long)]
        all: bool,
    },
    /// Show one topic with the offsets of each queue.
    Show {
        /// Its name.
        name: String,
    },
    /// Create a topic on every master; one that is there is not changed.
    Create {
        /// Its name: letters, digits, `-`, `_`, `%` and `|`.
        name: String,
        /// Read and write queues on each broker.
        #[arg(long, default_value_t = 8, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=65535))]
        queues: u32,
        /// What clients may do: `rw`, `r` or `w`.
        #[arg(long, default_value = "rw", value_parser = permission)]
        permission: Permission,
        /// Only on the masters of this cluster.
        #[arg(long, value_name = "NAME")]
        cluster: Option<String>,
        /// Only on the broker of this name.
        #[arg(long, value_name = "NAME")]
        broker: Option<String>,
    },
    /// Delete a topic with its messages.
    Delete {
        /// Its name.
        name: String,
        /// Only in this cluster.
        #[arg(long, value_name = "NAME")]
        cluster: Option<String>,
    },
}

fn permission(text: &str) -> Result<Permission, String> {
    permission_from_text(text).ok_or_else(|| "write rw, r or w".to_owned())
}

/// Runs the action and prints what it tells.
///
/// # Errors
/// This host's settings are wrong and were needed, or the result cannot be printed.
pub fn run(arguments: AdminArgs) -> anyhow::Result<ExitCode> {
    let AdminArgs { name_server, output, noun: Noun::Topics { action } } = arguments;
    let name_servers = match &name_server {
        Some(text) => addresses(text),
        None => {
            config::load(&Sources { environment: super::environment(), ..Sources::default() })?
                .config
                .name_servers
        }
    };
    if name_servers.is_empty() {
        eprintln!("error: --name-server names nobody: write HOST:PORT");
        return Ok(ExitCode::from(EXIT_USAGE));
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let action = action.unwrap_or(TopicsAction::List { all: false });
    let done = runtime.block_on(topics(&Admin::new(name_servers), action, output));
    match done {
        Ok(printed) => printed,
        Err(error) => {
            eprintln!("error: {}", safe(&error.to_string()));
            if matches!(error, AdminError::Unreachable(_)) {
                eprintln!(
                    "Start a node with `rmq-node run`, or name the cluster's name server with -n HOST:9876."
                );
            }
            Ok(exit_code(&error))
        }
    }
}

fn addresses(text: &str) -> Vec<String> {
    let addresses = text.split([';', ',']).map(str::trim).filter(|text| !text.is_empty());
    addresses.map(str::to_owned).collect()
}

fn exit_code(error: &AdminError) -> ExitCode {
    match error {
        AdminError::Unreachable(_) => ExitCode::from(EXIT_UNREACHABLE),
        AdminError::NotFound(_) => ExitCode::from(EXIT_NOT_FOUND),
        AdminError::Invalid(_) => ExitCode::from(EXIT_USAGE),
        AdminError::Conflict(_) | AdminError::Refused { .. } | AdminError::Answer { .. } => {
            ExitCode::FAILURE
        }
    }
}

/// What was printed: the exit code, or why it could not be.
type Printed = anyhow::Result<ExitCode>;

async fn topics(
    admin: &Admin,
    action: TopicsAction,
    output: Output,
) -> Result<Printed, AdminError> {
    Ok(match action {
        TopicsAction::List { all } => print_list(admin.topics().await?, all, output),
        TopicsAction::Show { name } => print_topic(&admin.topic(&name).await?, output),
        TopicsAction::Create { name, queues, permission, cluster, broker } => {
            let topic = CreateTopic { name, queues, permission, cluster, broker };
            let done = admin.create_topic(&topic).await?;
            print_done(&done, &format!("topic {} created", topic.name), output)
        }
        TopicsAction::Delete { name, cluster } => {
            let done = admin.delete_topic(&name, cluster.as_deref()).await?;
            print_done(&done, &format!("topic {name} deleted"), output)
        }
    })
}

fn print_json(result: &impl Serialize) -> anyhow::Result<()> {
    println!("{}", serde_json::to_string_pretty(result)?);
    Ok(())
}

/// 1 if there were problems; they are told.
fn code_of(problems: &[String]) -> ExitCode {
    for problem in problems {
        eprintln!("error: {}", safe(problem));
    }
    if problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn print_list(listing: Listing, all: bool, output: Output) -> Printed {
    let Listing { mut topics, problems } = listing;
    let count = topics.len();
    topics.retain(|topic| all || topic.kind == Kind::Normal);
    if output == Output::Json {
        print_json(&topics)?;
        return Ok(code_of(&problems));
    }
    let mut rows = Vec::new();
    for topic in &topics {
        for one in &topic.brokers {
            rows.push(vec![
                topic.topic.clone(),
                one.broker.clone(),
                one.read_queues.to_string(),
                one.write_queues.to_string(),
                one.permission.clone(),
            ]);
        }
    }
    let columns = [
        ("TOPIC", Align::Left),
        ("BROKER", Align::Left),
        ("READ QUEUES", Align::Right),
        ("WRITE QUEUES", Align::Right),
        ("PERMISSION", Align::Left),
    ];
    if !rows.is_empty() {
        print!("{}", table(&columns, &rows));
    }
    if topics.is_empty() {
        eprintln!(
            "There is no topic of an application yet: `rmq-node admin topics create NAME` makes one, and so does the first send."
        );
    }
    if count > topics.len() {
        eprintln!(
            "Not shown: {} topics of the system, for retries and dead letters; `list --all` shows them.",
            count - topics.len()
        );
    }
    Ok(code_of(&problems))
}

fn print_topic(stats: &TopicStats, output: Output) -> Printed {
    if output == Output::Json {
        print_json(stats)?;
        return Ok(code_of(&stats.problems));
    }
    println!("topic     {}", safe(&stats.topic.topic));
    println!("messages  {}", stats.messages);
    for one in &stats.topic.brokers {
        println!(
            "on        {} of {} ({}): {} read queues, {} write queues, permission {}",
            safe(&one.broker),
            safe(&one.cluster),
            safe(&one.address),
            one.read_queues,
            one.write_queues,
            one.permission
        );
    }
    println!();
    let row = |queue: &crate::admin::QueueStats| {
        vec![
            queue.broker.clone(),
            queue.queue.to_string(),
            queue.min_offset.to_string(),
            queue.max_offset.to_string(),
            queue.messages().to_string(),
            queue.last_stored_ms.map_or_else(|| "-".to_owned(), utc),
        ]
    };
    let columns = [
        ("BROKER", Align::Left),
        ("QUEUE", Align::Right),
        ("MIN OFFSET", Align::Right),
        ("MAX OFFSET", Align::Right),
        ("MESSAGES", Align::Right),
        ("LAST STORED (UTC)", Align::Left),
    ];
    print!("{}", table(&columns, &stats.queues.iter().map(row).collect::<Vec<_>>()));
    Ok(code_of(&stats.problems))
}

fn print_done(done: &[WhereDone], what: &str, output: Output) -> Printed {
    if output == Output::Json {
        print_json(&done)?;
    }
    let mut problems = Vec::new();
    for one in done {
        let address = one.address.as_ref().map(|address| format!(" ({address})"));
        let place = safe(&format!("{}{}", one.at, address.unwrap_or_default()));
        let line = match &one.outcome {
            Outcome::Done => format!("{what}: {place}"),
            Outcome::Unchanged => format!("is there already: {place}"),
            Outcome::Failed(reason) => {
                problems.push(format!("not done: {place}: {reason}"));
                continue;
            }
        };
        if output == Output::Table {
            println!("{line}");
        }
    }
    Ok(code_of(&problems))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        admin: AdminArgs,
    }

    fn parse(line: &str) -> Result<AdminArgs, clap::Error> {
        Cli::try_parse_from(line.split(' ')).map(|cli| cli.admin)
    }

    #[test]
    fn a_noun_alone_lists() {
        let arguments = parse("admin topics -n a:1;b:2, -o json").unwrap();
        assert!(matches!(arguments.noun, Noun::Topics { action: None }));
        assert_eq!(addresses(&arguments.name_server.unwrap()), ["a:1", "b:2"]);
        assert_eq!(arguments.output, Output::Json);
    }

    #[test]
    fn create_has_4_9_4s_defaults() {
        let arguments = parse("admin topics create T --permission r").unwrap();
        let Noun::Topics { action: Some(TopicsAction::Create { queues, permission, .. }) } =
            arguments.noun
        else {
            panic!("it is create")
        };
        assert_eq!((queues, permission), (8, Permission::READ));
        for line in ["admin topics create T --permission x", "admin topics create T --queues 0"] {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}
