//! `rmq-node admin topics`: its verbs, and what they print.

use clap::Subcommand;

use super::door::Door;
use super::output::{Confirmation, Output, Report, Reported, not_confirmed, what_was_done};
use super::sheet::{Sheet, fact, nothing, numbers, words};
use super::whole;
use crate::admin::permission_from_text;
use crate::cli::table::utc;
use crate::proto::v1::topics_client::TopicsClient;
use crate::proto::v1::{
    CreateTopicRequest, DeleteTopicRequest, GetTopicRequest, ListTopicsRequest, ListTopicsResponse,
    Outcome, Problem, QueueStatus, RepairTopicsRequest, RepairTopicsResponse, Topic, TopicKind,
    TopicRepair, TopicSettings, TopicStatus, UpdateTopicRequest,
};

const NO_TOPICS_HINT: &str = "There is no topic of an application yet: `rmq-node admin topics create NAME` makes one, \
                              and so does the first send.";

/// The verbs.
#[derive(Clone, Debug, Subcommand)]
pub enum TopicsAction {
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
        permission: String,
        /// Only on the masters of this cluster.
        #[arg(long, value_name = "NAME")]
        cluster: Option<String>,
        /// Only on the broker of this name.
        #[arg(long, value_name = "NAME")]
        broker: Option<String>,
        /// Show where it would be created, and create nothing.
        #[arg(long)]
        dry_run: bool,
    },
    /// Change queues or the permission of a topic that is there; what is not named stays as each master has it.
    Update {
        /// Its name.
        name: String,
        /// Queues that consumers read, on each broker.
        #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=65535))]
        read_queues: Option<u32>,
        /// Queues that producers write, on each broker.
        #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=65535))]
        write_queues: Option<u32>,
        /// What clients may do: `rw`, `r` or `w`.
        #[arg(long, value_parser = permission)]
        permission: Option<String>,
        /// Only on the masters of this cluster.
        #[arg(long, value_name = "NAME")]
        cluster: Option<String>,
        /// Only on the broker of this name.
        #[arg(long, value_name = "NAME")]
        broker: Option<String>,
        /// Show the change, and make none.
        #[arg(long)]
        dry_run: bool,
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
        /// Show where it would be deleted, and delete nothing.
        #[arg(long)]
        dry_run: bool,
        #[command(flatten)]
        confirmation: Confirmation,
    },
}

fn permission(text: &str) -> Result<String, String> {
    permission_from_text(text).map(|_| text.to_owned()).ok_or_else(|| "write rw, r or w".to_owned())
}

/// Does what the verb says; lists without one.
///
/// # Errors
/// As the service's.
pub async fn run(action: Option<TopicsAction>, door: Door, output: Output) -> Reported {
    let mut topics = TopicsClient::new(door);
    Ok(match action.unwrap_or(TopicsAction::List { all: false }) {
        TopicsAction::List { all } => {
            let parts = topics.list(ListTopicsRequest {}).await?.into_inner();
            list(whole(parts, |part| &mut part.topics).await?, all, output)
        }
        TopicsAction::Show { name } => {
            let found = topics.get(GetTopicRequest { topic: name, with_groups: true }).await?;
            show(found.into_inner(), output)
        }
        TopicsAction::Create { name, queues, permission, cluster, broker, dry_run } => {
            let what = format!("topic {name}");
            let topic = CreateTopicRequest {
                topic: name,
                queues: Some(queues),
                permission: Some(permission),
                cluster,
                broker,
                dry_run,
            };
            what_was_done(&topics.create(topic).await?.into_inner().done, &what, "created", output)
        }
        TopicsAction::Update {
            name,
            read_queues,
            write_queues,
            permission,
            cluster,
            broker,
            dry_run,
        } => {
            let request = UpdateTopicRequest {
                topic: name,
                read_queues,
                write_queues,
                permission,
                cluster,
                broker,
                dry_run,
            };
            changed(&topics.update(request).await?.into_inner().changes, Vec::new(), output)
        }
        TopicsAction::Repair { name, dry_run } => {
            let request = RepairTopicsRequest { topic: name, dry_run };
            repaired(topics.repair(request).await?.into_inner(), output)
        }
        TopicsAction::Delete { name, cluster, dry_run, confirmation } => {
            let what = format!("topic {name}");
            let question = format!("Topic {name} is deleted with all its messages.");
            if !dry_run && !confirmation.is_given(&question) {
                return Ok(not_confirmed());
            }
            let request = DeleteTopicRequest { topic: name, cluster, dry_run };
            what_was_done(
                &topics.delete(request).await?.into_inner().done,
                &what,
                "deleted",
                output,
            )
        }
    })
}

fn list(listing: ListTopicsResponse, all: bool, output: Output) -> Report {
    let ListTopicsResponse { mut topics, problems } = listing;
    let count = topics.len();
    topics.retain(|topic| all || topic.kind() == TopicKind::Normal);
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
    let drift = words("DRIFT");
    let columns = vec![
        words("TOPIC"),
        words("BROKER"),
        numbers("READ QUEUES"),
        numbers("WRITE QUEUES"),
        words("PERMISSION"),
        if drifted > 0 { drift } else { drift.wide() },
        words("ADDRESS").wide(),
    ];
    let sheet = Sheet::new(columns, topics.iter().flat_map(rows_of).collect());
    Report { notes: output.notes(notes), ..Report::new(sheet.render(&topics, output), problems) }
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
                format!("should have {}", settings(drift.after.as_ref()))
            }),
            one.address.clone(),
        ]
    });
    let missing = topic.drift.iter().filter(|drift| drift.before.is_none()).map(|drift| {
        let [topic, broker, address] =
            [&topic.topic, &drift.broker, &drift.address].map(String::clone);
        vec![topic, broker, nothing(), nothing(), nothing(), "missing".to_owned(), address]
    });
    let mut rows: Vec<_> = there.chain(missing).collect();
    rows.sort_by(|one, other| one[1].cmp(&other[1]));
    rows
}

fn settings(settings: Option<&TopicSettings>) -> String {
    settings.map_or_else(
        || "missing".to_owned(),
        |TopicSettings { read_queues, write_queues, permission }| {
            format!("{read_queues} read, {write_queues} write, {permission}")
        },
    )
}

fn repaired(answer: RepairTopicsResponse, output: Output) -> Report {
    let is_equal = answer.repairs.is_empty();
    let mut report = changed(&answer.repairs, answer.problems, output);
    if is_equal {
        let note = "Topics are the same on all masters that answered.".to_owned();
        report.notes.extend(output.notes(vec![note]));
    }
    report
}

/// Changes of topics, each with what was before it.
fn changed(repairs: &[TopicRepair], problems: Vec<Problem>, output: Output) -> Report {
    let mut report = Report::new(String::new(), problems);
    let mut rows = Vec::new();
    for repair in repairs {
        if repair.outcome() == Outcome::Failed {
            let reason = repair.reason.as_deref().unwrap_or_default();
            let place = format!("{} ({})", repair.broker, repair.address);
            report.problems.push(format!("not done: {} on {place}: {reason}", repair.topic));
            continue;
        }
        let [before, after] = [&repair.before, &repair.after].map(|one| settings(one.as_ref()));
        let outcome = repair.outcome().as_word().to_owned();
        rows.push(vec![repair.topic.clone(), repair.broker.clone(), before, after, outcome]);
    }
    report.has_failed = rows.is_empty() && !repairs.is_empty();
    let is_dry = |repair: &TopicRepair| repair.outcome() == Outcome::DryRun;
    if !repairs.is_empty() && repairs.iter().all(is_dry) {
        report.notes.push("Nothing was changed: this was a dry run.".to_owned());
    }
    let [topic, broker, before, after] = ["TOPIC", "BROKER", "BEFORE", "AFTER"].map(words);
    let columns = vec![topic, broker, before, after, words("OUTCOME").wide()];
    report.text = Sheet::new(columns, rows).render(&repairs, output);
    report.notes = output.notes(report.notes);
    report
}

fn show(topic: TopicStatus, output: Output) -> Report {
    let mut above = String::new();
    let mut line = |name: &str, value: &str| above += &fact(name, 9, value);
    line("topic", &topic.topic);
    line("messages", &topic.messages.to_string());
    for one in &topic.brokers {
        let place = format!("{} of {} ({})", one.broker, one.cluster, one.address);
        let queues = format!("{} read queues, {} write queues", one.read_queues, one.write_queues);
        line("on", &format!("{place}: {queues}, permission {}", one.permission));
    }
    for one in &topic.groups {
        let lag = one.lag.map_or_else(|| "unknown".to_owned(), |lag| lag.to_string());
        let members = one.members.map_or_else(|| "unknown".to_owned(), |count| count.to_string());
        line("group", &format!("{}: lag {lag}, members {members}", one.group));
    }
    above.push('\n');
    let row = |queue: &QueueStatus| {
        vec![
            queue.broker.clone(),
            queue.queue.to_string(),
            queue.min_offset.to_string(),
            queue.max_offset.to_string(),
            queue.messages().to_string(),
            queue.last_stored_ms.map_or_else(nothing, utc),
        ]
    };
    let columns = [
        words("BROKER"),
        numbers("QUEUE"),
        numbers("MIN OFFSET"),
        numbers("MAX OFFSET"),
        numbers("MESSAGES"),
        words("LAST STORED (UTC)"),
    ];
    let rows = topic.queues.iter().map(row).collect();
    let sheet = Sheet { above, ..Sheet::new(columns.into(), rows) };
    Report::new(sheet.render(&topic, output), topic.problems)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::v1::{TopicDrift, TopicGroup, TopicOnBroker};

    fn settings_of(queues: u32) -> Option<TopicSettings> {
        let permission = "rw".to_owned();
        Some(TopicSettings { read_queues: queues, write_queues: queues, permission })
    }

    fn on_broker(broker: &str) -> TopicOnBroker {
        TopicOnBroker {
            cluster: "C".to_owned(),
            broker: broker.to_owned(),
            address: format!("{broker}:1"),
            read_queues: 8,
            write_queues: 4,
            permission: "rw".to_owned(),
        }
    }

    #[test]
    fn what_differs_or_is_missing_is_in_the_list() {
        let drift = |broker: &str, before| TopicDrift {
            broker: broker.to_owned(),
            address: format!("{broker}:1"),
            before,
            after: settings_of(8),
            ..TopicDrift::default()
        };
        let topic = Topic {
            topic: "T".to_owned(),
            kind: TopicKind::Normal.into(),
            brokers: vec![on_broker("a")],
            drift: vec![drift("a", settings_of(4)), drift("b", None)],
        };
        let listing = ListTopicsResponse { topics: vec![topic], problems: Vec::new() };
        let report = list(listing, false, Output::Wide);
        let expected = "\
TOPIC  BROKER  READ QUEUES  WRITE QUEUES  PERMISSION  DRIFT                            ADDRESS
T      a                 8             4  rw          should have 8 read, 8 write, rw  a:1
T      b                 -             -  -           missing                          b:1
";
        assert_eq!(report.text, expected);
        assert!(report.notes[0].starts_with("Not the same on all masters"), "{report:?}");
    }

    #[test]
    fn a_topic_is_shown_with_its_groups_and_queues() {
        let queue = |queue, last_stored_ms| QueueStatus {
            broker: "a".to_owned(),
            queue,
            min_offset: 2,
            max_offset: 9,
            last_stored_ms,
        };
        let group = |name: &str, lag| TopicGroup {
            group: name.to_owned(),
            lag,
            members: lag.map(|_| 2),
            ..TopicGroup::default()
        };
        let topic = TopicStatus {
            topic: "T".to_owned(),
            kind: TopicKind::Normal.into(),
            brokers: vec![on_broker("a")],
            messages: 14,
            queues: vec![queue(0, Some(0)), queue(1, None)],
            groups: vec![group("g", Some(3)), group("h", None)],
            problems: Vec::new(),
        };
        let expected = "\
topic     T
messages  14
on        a of C (a:1): 8 read queues, 4 write queues, permission rw
group     g: lag 3, members 2
group     h: lag unknown, members unknown

BROKER  QUEUE  MIN OFFSET  MAX OFFSET  MESSAGES  LAST STORED (UTC)
a           0           2           9         7  1970-01-01 00:00:00
a           1           2           9         7  -
";
        assert_eq!(show(topic, Output::Table).text, expected);
    }

    #[test]
    fn a_change_has_what_was_before_and_what_failed_is_a_problem() {
        let repair = |outcome: Outcome, before| TopicRepair {
            topic: "T".to_owned(),
            broker: "a".to_owned(),
            address: "a:1".to_owned(),
            before,
            after: settings_of(8),
            outcome: outcome.into(),
            reason: (outcome == Outcome::Failed).then(|| "no".to_owned()),
            ..TopicRepair::default()
        };
        let repairs = [
            repair(Outcome::Done, settings_of(4)),
            repair(Outcome::DryRun, None),
            repair(Outcome::Failed, None),
        ];
        let report = changed(&repairs, Vec::new(), Output::Table);
        let expected = "\
TOPIC  BROKER  BEFORE               AFTER
T      a       4 read, 4 write, rw  8 read, 8 write, rw
T      a       missing              8 read, 8 write, rw
";
        assert_eq!(report.text, expected);
        assert_eq!(report.problems, ["not done: T on a (a:1): no"]);
        assert!(!report.has_failed && changed(&repairs[2..], Vec::new(), Output::Table).has_failed);
        let dry = changed(&repairs[1..2], Vec::new(), Output::Table);
        assert_eq!(dry.notes, ["Nothing was changed: this was a dry run."]);
    }

    fn listing(kinds: &[TopicKind]) -> ListTopicsResponse {
        let topic = |kind: &TopicKind| Topic {
            topic: "T".to_owned(),
            kind: (*kind).into(),
            ..Topic::default()
        };
        let problem = Problem { reason: "b is down".to_owned(), ..Problem::default() };
        ListTopicsResponse { topics: kinds.iter().map(topic).collect(), problems: vec![problem] }
    }

    #[test]
    fn the_list_says_what_it_leaves_out() {
        let kinds = [TopicKind::Normal, TopicKind::System];
        let report = list(listing(&kinds), false, Output::Table);
        assert!(report.notes[0].starts_with("Not shown: 1 topics"), "{report:?}");
        assert_eq!(report.problems, ["b is down"]);
        let report = list(listing(&[TopicKind::System]), false, Output::Table);
        assert_eq!((report.text.as_str(), report.notes[0].as_str()), ("", NO_TOPICS_HINT));
        let report = list(listing(&[TopicKind::DeadLetter]), true, Output::Json);
        assert!(report.text.contains("\"kind\": \"dead-letter\""), "{report:?}");
        assert!(report.notes.is_empty());
    }
}
