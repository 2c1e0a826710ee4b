//! `rmq-node admin`: arguments of the admin facade, what it prints, and its exit codes.
//!
//! Not the actions (`crate::admin`). Invariants: results go to standard output, as a table or as JSON,
//! and everything else to standard error; the exit code says what happened to scripts.

use std::io;
use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum};
use serde::Serialize;

use super::admin_resync::Resync;
use super::credentials::Credentials;
use super::table::{Align, safe, table, utc};
use super::{Addresses, addresses, admin_cluster};
use crate::admin::{
    Admin, AdminError, CreateTopic, Kind, Listing, Outcome, QueueStats, Repair, Settings, Topic,
    TopicStats, WhereDone, permission_from_text,
};
use crate::config::{self, Sources};
use crate::model::Permission;
use crate::remoting::response;

/// Usage, as clap's own.
pub(super) const EXIT_USAGE: u8 = 2;
const EXIT_UNREACHABLE: u8 = 3;
const EXIT_NOT_FOUND: u8 = 4;
const EXIT_DENIED: u8 = 5;
/// Some was done, and some was not.
pub(super) const EXIT_PARTIAL: u8 = 6;
const UNREACHABLE_HINT: &str =
    "Start a node with `rmq-node run`, or name the cluster's name server with -n HOST:9876.";
/// What brokers and name servers with accounts say to who does not sign, or not as who may.
const NO_ACCOUNT: &str = "AclException";
/// Answers that tell of something that is not there.
const NOT_THERE: [i32; 4] = [
    response::TOPIC_NOT_EXIST,
    response::QUERY_NOT_FOUND,
    response::SUBSCRIPTION_GROUP_NOT_EXIST,
    response::CONSUMER_NOT_ONLINE,
];
const ACCOUNT_HINT: &str = "This cluster has accounts: name a file with an admin's accessKey and secretKey by --credentials, or set \
                            RMQ_ACCESS_KEY and RMQ_SECRET_KEY.";
const NO_TOPICS_HINT: &str = "There is no topic of an application yet: `rmq-node admin topics create NAME` makes one, \
                              and so does the first send.";

/// Look at and change a cluster, ours or Apache's.
///
/// Exit codes: 0 done, 1 failed or done in part, 2 wrong usage, 3 nobody answers, 4 no such thing, 5 not allowed. The
/// commands of RocketMQ's mqadmin work here too, under their names and with their flags; they end with 6 when done in part.
#[derive(Debug, Args)]
pub struct AdminArgs {
    /// Name servers as HOST:PORT, separated by `,` or `;` [default: those of this host's settings, else 127.0.0.1:9876].
    #[arg(short, long, global = true, value_name = "ADDRESSES", value_parser = addresses)]
    name_server: Option<Addresses>,
    /// How results are printed.
    #[arg(short, long, global = true, value_enum, default_value_t = Output::Table)]
    output: Output,
    #[command(flatten)]
    credentials: Credentials,
    #[command(subcommand)]
    noun: Noun,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Output {
    Table,
    Json,
}

#[derive(Debug, Subcommand)]
enum Noun {
    /// Show every broker group with its master and slaves: addresses, versions, messages a second, and how they are.
    Cluster,
    /// How slaves copy their masters: list (also without a verb), resync.
    Replication {
        #[command(subcommand)]
        action: Option<ReplicationAction>,
    },
    /// Messages that wait for a time of their own (`TIMER_DELIVER_MS` and the like): cancel.
    Timers {
        #[command(subcommand)]
        action: TimersAction,
    },
    /// Topics: list (also without a verb), show, create, delete, repair.
    Topics {
        #[command(subcommand)]
        action: Option<TopicsAction>,
    },
}

#[derive(Debug, Subcommand)]
enum ReplicationAction {
    /// List slaves, each with its master, how far it is behind, and what went wrong last.
    List,
    /// Let this host's slave of a group set its folder aside, beside the others, and copy all that its master has.
    Resync(Resync),
}

#[derive(Debug, Subcommand)]
enum TimersAction {
    /// Do not deliver a message that still waits.
    Cancel {
        /// Its id, as its producer was told it (the client's `msgId`, not `offsetMsgId`).
        id: String,
    },
}

#[derive(Debug, Subcommand)]
enum TopicsAction {
    /// List topics with their queues and permissions on each broker, and where they differ.
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
        /// Its name: up to 127 letters, digits, `-`, `_`, `%` and `|`.
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
    /// Make topics equal on all masters of their cluster: where one is missing it is created, and every master gets the
    /// most queues and all permissions that one of them has. Nothing is taken away.
    Repair {
        /// Only this topic [default: all of applications].
        name: Option<String>,
        /// Show the changes, and make none.
        #[arg(long)]
        dry_run: bool,
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
    let AdminArgs { name_server, output, credentials, noun } = arguments;
    let signer = credentials.signer()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let result = match noun {
        Noun::Replication { action: Some(ReplicationAction::Resync(resync)) } => {
            // Only this host is asked, whatever name servers know.
            let config = resync.config()?;
            runtime.block_on(resync.run(&config, signer))
        }
        noun => {
            let name_servers = match name_server {
                Some(Addresses(named)) => named,
                None => {
                    let environment = super::environment();
                    config::load(&Sources { environment, ..Sources::default() })?
                        .config
                        .name_servers
                }
            };
            runtime.block_on(act(&Admin::new(name_servers, signer), noun, output))
        }
    };
    match result {
        Ok(report) => Ok(report?.print()?),
        Err(error) => {
            eprintln!("error: {}{}", safe(&error.to_string()), hint(&error));
            Ok(ExitCode::from(exit_code(&error)))
        }
    }
}

/// What failed, for scripts.
pub(super) fn exit_code(error: &AdminError) -> u8 {
    match error {
        AdminError::Unreachable(_) => EXIT_UNREACHABLE,
        AdminError::NotFound(_) => EXIT_NOT_FOUND,
        AdminError::Invalid(_) => EXIT_USAGE,
        AdminError::Refused { code, .. } if NOT_THERE.contains(code) => EXIT_NOT_FOUND,
        AdminError::Refused { .. } if is_denied(error) => EXIT_DENIED,
        AdminError::Conflict(_) | AdminError::Refused { .. } | AdminError::Answer { .. } => 1,
    }
}

/// What to do next, behind what an error says; nothing where that says it.
pub(super) fn hint(error: &AdminError) -> String {
    let hint = match error {
        AdminError::Unreachable(_) => UNREACHABLE_HINT,
        AdminError::Refused { .. } if is_denied(error) => ACCOUNT_HINT,
        _ => return String::new(),
    };
    format!(". {hint}")
}

fn is_denied(error: &AdminError) -> bool {
    let AdminError::Refused { code, remark, .. } = error else { return false };
    *code == response::NO_PERMISSION || remark.contains(NO_ACCOUNT)
}

/// What an action tells.
#[derive(Debug, Default)]
pub(super) struct Report {
    /// The result.
    pub text: String,
    /// What else there is to know.
    pub notes: Vec<String>,
    /// What was not done.
    pub problems: Vec<String>,
}

impl Report {
    fn print(&self) -> io::Result<ExitCode> {
        super::print(&self.text)?;
        for note in &self.notes {
            eprintln!("{note}");
        }
        for problem in &self.problems {
            eprintln!("error: {}", safe(problem));
        }
        if self.problems.iter().any(|problem| problem.contains(NO_ACCOUNT)) {
            eprintln!("{ACCOUNT_HINT}");
        }
        Ok(if self.problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

/// An answer of the cluster as a report, which can only fail if JSON cannot be written.
pub(super) type Reported = serde_json::Result<Report>;

async fn act(admin: &Admin, noun: Noun, output: Output) -> Result<Reported, AdminError> {
    match noun {
        Noun::Cluster => Ok(admin_cluster::cluster(admin.cluster().await?, output)),
        Noun::Replication { .. } => Ok(admin_cluster::replication(admin.cluster().await?, output)),
        Noun::Timers { action: TimersAction::Cancel { id } } => {
            let done = admin.cancel_timer(&id).await?;
            Ok(what_was_done(&done, &format!("message {id} cancelled"), output))
        }
        Noun::Topics { action } => {
            let action = action.unwrap_or(TopicsAction::List { all: false });
            topics(admin, action, output).await
        }
    }
}

async fn topics(
    admin: &Admin,
    action: TopicsAction,
    output: Output,
) -> Result<Reported, AdminError> {
    Ok(match action {
        TopicsAction::List { all } => list(admin.topics().await?, all, output),
        TopicsAction::Show { name } => show(&admin.topic(&name).await?, output),
        TopicsAction::Create { name, queues, permission, cluster, broker } => {
            let topic = CreateTopic { name, queues, permission, cluster, broker };
            let done = admin.create_topic(&topic).await?;
            what_was_done(&done, &format!("topic {} created", topic.name), output)
        }
        TopicsAction::Repair { name, dry_run } => {
            let (repairs, problems) = admin.repair_topics(name.as_deref(), dry_run).await?;
            repaired(&repairs, problems, output)
        }
        TopicsAction::Delete { name, cluster } => {
            let done = admin.delete_topic(&name, cluster.as_deref()).await?;
            what_was_done(&done, &format!("topic {name} deleted"), output)
        }
    })
}

pub(super) fn json(result: &impl Serialize) -> serde_json::Result<String> {
    Ok(serde_json::to_string_pretty(result)? + "\n")
}

fn list(listing: Listing, all: bool, output: Output) -> Reported {
    let Listing { mut topics, problems } = listing;
    let count = topics.len();
    topics.retain(|topic| all || topic.kind == Kind::Normal);
    if output == Output::Json {
        return Ok(Report { text: json(&topics)?, problems, ..Report::default() });
    }
    let mut notes = Vec::new();
    if topics.is_empty() {
        notes.push(NO_TOPICS_HINT.to_owned());
    }
    if count > topics.len() {
        notes.push(format!(
            "Not shown: {} topics of the system, for retries and dead letters; `list --all` shows them.",
            count - topics.len()
        ));
    }
    let drifted = topics.iter().filter(|topic| !topic.drift.is_empty()).count();
    if drifted > 0 {
        notes.push(format!(
            "Not the same on all masters of their cluster: {drifted} of these topics; \
             `rmq-node admin topics repair --dry-run` shows what makes them so."
        ));
    }
    let mut columns = vec![
        ("TOPIC", Align::Left),
        ("BROKER", Align::Left),
        ("READ QUEUES", Align::Right),
        ("WRITE QUEUES", Align::Right),
        ("PERMISSION", Align::Left),
    ];
    columns.extend((drifted > 0).then_some(("DRIFT", Align::Left)));
    let rows: Vec<_> = topics.iter().flat_map(rows_of).collect();
    let text = if rows.is_empty() { String::new() } else { table(&columns, &rows) };
    Ok(Report { text, notes, problems })
}

/// A topic's line for each broker, those where it is missing among them.
fn rows_of(topic: &Topic) -> Vec<Vec<String>> {
    let drift_of = |broker: &str| topic.drift.iter().find(|drift| drift.broker == broker);
    let there = topic.brokers.iter().map(|one| {
        vec![
            topic.topic.clone(),
            one.broker.clone(),
            one.read_queues.to_string(),
            one.write_queues.to_string(),
            one.permission.clone(),
            drift_of(&one.broker).map_or_else(String::new, |drift| {
                format!("should have {}", settings(&drift.after))
            }),
        ]
    });
    let missing = topic.drift.iter().filter(|drift| drift.before.is_none()).map(|drift| {
        let cell = |text: &str| text.to_owned();
        let [topic, broker] = [&topic.topic, &drift.broker].map(String::clone);
        vec![topic, broker, cell("-"), cell("-"), cell("-"), cell("missing")]
    });
    let mut rows: Vec<_> = there.chain(missing).collect();
    rows.sort_by(|one, other| one[1].cmp(&other[1]));
    rows
}

fn settings(settings: &Settings) -> String {
    let Settings { read_queues, write_queues, permission } = settings;
    format!("{read_queues} read, {write_queues} write, {permission}")
}

fn repaired(repairs: &[Repair], problems: Vec<String>, output: Output) -> Reported {
    let mut report = Report { problems, ..Report::default() };
    let mut rows = Vec::new();
    for Repair { topic, drift, outcome } in repairs {
        if let Some(Outcome::Failed(reason)) = outcome {
            let place = format!("{} ({})", drift.broker, drift.address);
            report.problems.push(format!("not done: {topic} on {place}: {reason}"));
            continue;
        }
        let before = drift.before.as_ref().map_or_else(|| "missing".to_owned(), settings);
        rows.push(vec![topic.clone(), drift.broker.clone(), before, settings(&drift.after)]);
    }
    if repairs.is_empty() {
        report.notes.push("Topics are the same on all masters that answered.".to_owned());
    } else if repairs.iter().all(|repair| repair.outcome.is_none()) {
        report.notes.push("Nothing was changed: this was a dry run.".to_owned());
    }
    if output == Output::Json {
        report.text = json(&repairs)?;
    } else if !rows.is_empty() {
        let columns = ["TOPIC", "BROKER", "BEFORE", "AFTER"].map(|head| (head, Align::Left));
        report.text = table(&columns, &rows);
    }
    Ok(report)
}

fn show(stats: &TopicStats, output: Output) -> Reported {
    let problems = stats.problems.clone();
    if output == Output::Json {
        return Ok(Report { text: json(stats)?, problems, ..Report::default() });
    }
    let mut lines = vec![
        format!("topic     {}", safe(&stats.topic.topic)),
        format!("messages  {}", stats.messages),
    ];
    for one in &stats.topic.brokers {
        let place = safe(&format!("{} of {} ({})", one.broker, one.cluster, one.address));
        lines.push(format!(
            "on        {place}: {} read queues, {} write queues, permission {}",
            one.read_queues, one.write_queues, one.permission
        ));
    }
    let row = |queue: &QueueStats| {
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
    let queues: Vec<_> = stats.queues.iter().map(row).collect();
    let text = format!("{}\n\n{}", lines.join("\n"), table(&columns, &queues));
    Ok(Report { text, problems, ..Report::default() })
}

fn what_was_done(done: &[WhereDone], what: &str, output: Output) -> Reported {
    let mut report = Report::default();
    for one in done {
        let address = one.address.as_ref().map(|address| format!(" ({address})"));
        let place = format!("{}{}", one.at, address.unwrap_or_default());
        match &one.outcome {
            Outcome::Done => report.text += &safe(&format!("{what}: {place}")),
            Outcome::Unchanged => report.text += &safe(&format!("is there already: {place}")),
            Outcome::Failed(reason) => {
                report.problems.push(format!("not done: {place}: {reason}"));
                continue;
            }
        }
        report.text.push('\n');
    }
    if output == Output::Json {
        report.text = json(&done)?;
    }
    Ok(report)
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
        assert_eq!(arguments.name_server.unwrap().0, ["a:1", "b:2"]);
        assert_eq!(arguments.output, Output::Json);
        assert!(matches!(parse("admin cluster").unwrap().noun, Noun::Cluster));
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
        assert_eq!((queues, permission), (8, Permission::READ));
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

    fn listing(kinds: &[Kind]) -> Listing {
        let topic = |kind: &Kind| Topic {
            topic: "T".to_owned(),
            kind: *kind,
            brokers: Vec::new(),
            drift: Vec::new(),
        };
        Listing {
            topics: kinds.iter().map(topic).collect(),
            problems: vec!["b is down".to_owned()],
        }
    }

    #[test]
    fn the_list_says_what_it_leaves_out() {
        let report = list(listing(&[Kind::Normal, Kind::System]), false, Output::Table).unwrap();
        assert!(report.notes[0].starts_with("Not shown: 1 topics"), "{report:?}");
        assert_eq!(report.problems, ["b is down"]);
        let report = list(listing(&[Kind::System]), false, Output::Table).unwrap();
        assert_eq!((report.text.as_str(), report.notes[0].as_str()), ("", NO_TOPICS_HINT));
        let report = list(listing(&[Kind::System]), true, Output::Json).unwrap();
        assert!(report.text.contains("\"kind\": \"system\""), "{report:?}");
        assert!(report.notes.is_empty());
    }

    #[test]
    fn what_was_not_done_is_a_problem() {
        let at =
            |outcome| WhereDone { at: "a".to_owned(), address: Some("h:1".to_owned()), outcome };
        let done =
            [at(Outcome::Done), at(Outcome::Unchanged), at(Outcome::Failed("no".to_owned()))];
        let report = what_was_done(&done, "topic T created", Output::Table).unwrap();
        assert_eq!(report.text, "topic T created: a (h:1)\nis there already: a (h:1)\n");
        assert_eq!(report.problems, ["not done: a (h:1): no"]);
        let report = what_was_done(&done, "topic T created", Output::Json).unwrap();
        assert!(
            report.text.contains("\"outcome\": \"failed\",\n    \"reason\": \"no\""),
            "{report:?}"
        );
    }
}
