//! `rmq-node admin groups`: its verbs, and what they print.

use clap::{Args, Subcommand};

use super::door::Door;
use super::output::{Confirmation, Output, Report, Reported, not_confirmed, what_was_done};
use super::sheet::{Sheet, fact, nothing, numbers, or_nothing, words, yes};
use super::whole;
use crate::cli::table::utc;
use crate::model::{human_seconds, version_text};
use crate::proto::v1::groups_client::GroupsClient;
use crate::proto::v1::{
    CreateGroupRequest, DeleteGroupRequest, GetGroupRequest, Group, GroupOnBroker, GroupQueue,
    GroupSettings, GroupStatus, ListGroupsRequest, ListGroupsResponse, UpdateGroupRequest,
};

const NO_GROUPS_HINT: &str =
    "There is no group of an application yet: the first consumer that connects makes its own.";

/// The verbs.
#[derive(Clone, Debug, Subcommand)]
pub enum GroupsAction {
    /// List groups with what they have not got yet, and how many members are connected.
    List {
        /// Also groups of brokers and tools.
        #[arg(short, long)]
        all: bool,
    },
    /// Show one group: its settings and members, and each queue with its lag, its owner, and when that pulled last.
    Show {
        /// Its name.
        name: String,
    },
    /// Create a group on every master; one that is there is not changed. Consumers make theirs by themselves, unless
    /// brokers do not let them (`autoCreateSubscriptionGroup`).
    Create {
        /// Its name.
        name: String,
        #[command(flatten)]
        change: Change,
    },
    /// Change the settings that are given, on every master that has the group; the others stay as they are.
    Update {
        /// Its name.
        name: String,
        #[command(flatten)]
        change: Change,
    },
    /// Delete a group with its positions, what waits for its retries, and its dead letters. Its members must be stopped:
    /// they would make it again.
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

/// Settings, and where they are made.
#[derive(Args, Clone, Debug)]
pub struct Change {
    /// How often a message that failed is delivered again before it is a dead letter [new groups: 16].
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(i32).range(0..))]
    retry_max_times: Option<i32>,
    /// Queues of the topic of retries [new groups: 1]. With 0, what fails is not delivered again.
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(i32).range(0..=65535))]
    retry_queues: Option<i32>,
    /// Whether members get messages [new groups: true].
    #[arg(long, value_name = "BOOL")]
    consume: Option<bool>,
    /// Whether members may consume in broadcasting mode [new groups: true].
    #[arg(long, value_name = "BOOL")]
    broadcast: Option<bool>,
    /// Whether members are told that others came or went [new groups: true].
    #[arg(long, value_name = "BOOL")]
    notify_members: Option<bool>,
    /// Number of the broker in each group of brokers that members pull from [new groups: 0, the master].
    #[arg(long, value_name = "ID")]
    broker_id: Option<i64>,
    /// The same for members that are far behind [new groups: 1].
    #[arg(long, value_name = "ID")]
    slow_broker_id: Option<i64>,
    /// Only on the masters of this cluster.
    #[arg(long, value_name = "NAME")]
    cluster: Option<String>,
    /// Only on the broker of this name.
    #[arg(long, value_name = "NAME")]
    broker: Option<String>,
    /// Show where it would be done, and do nothing.
    #[arg(long)]
    dry_run: bool,
}

impl Change {
    fn settings(&self) -> GroupSettings {
        GroupSettings {
            consume_enabled: self.consume,
            broadcast_enabled: self.broadcast,
            retry_queues: self.retry_queues,
            retry_max_times: self.retry_max_times,
            broker_id: self.broker_id,
            slow_broker_id: self.slow_broker_id,
            notify_members: self.notify_members,
        }
    }
}

/// Does what the verb says; lists without one.
///
/// # Errors
/// As the service's.
pub async fn run(action: Option<GroupsAction>, door: Door, output: Output) -> Reported {
    let mut groups = GroupsClient::new(door);
    Ok(match action.unwrap_or(GroupsAction::List { all: false }) {
        GroupsAction::List { all } => {
            // Members cost a call for each group.
            let with_members = output != Output::Name;
            let parts = groups.list(ListGroupsRequest { with_members }).await?.into_inner();
            list(whole(parts, |part| &mut part.groups).await?, all, output)
        }
        GroupsAction::Show { name } => {
            show(groups.get(GetGroupRequest { group: name }).await?.into_inner(), output)
        }
        GroupsAction::Create { name, change } => {
            let what = format!("group {name}");
            let settings = Some(change.settings());
            let Change { cluster, broker, dry_run, .. } = change;
            let group = CreateGroupRequest { group: name, settings, cluster, broker, dry_run };
            what_was_done(&groups.create(group).await?.into_inner().done, &what, "created", output)
        }
        GroupsAction::Update { name, change } => {
            let what = format!("group {name}");
            let settings = Some(change.settings());
            let Change { cluster, broker, dry_run, .. } = change;
            let group = UpdateGroupRequest { group: name, settings, cluster, broker, dry_run };
            what_was_done(&groups.update(group).await?.into_inner().done, &what, "changed", output)
        }
        GroupsAction::Delete { name, cluster, dry_run, confirmation } => {
            let what = format!("group {name}");
            let question = format!(
                "Group {name} is deleted: its positions, what waits for its retries, and its dead letters."
            );
            if !dry_run && !confirmation.is_given(&question) {
                return Ok(not_confirmed());
            }
            let group = DeleteGroupRequest { group: name, cluster, dry_run };
            what_was_done(&groups.delete(group).await?.into_inner().done, &what, "deleted", output)
        }
    })
}

fn list(listing: ListGroupsResponse, all: bool, output: Output) -> Report {
    let ListGroupsResponse { mut groups, problems } = listing;
    let count = groups.len();
    groups.retain(|group| all || !group.is_system);
    let mut notes = Vec::new();
    if groups.is_empty() {
        notes.push(NO_GROUPS_HINT.to_owned());
    }
    if count > groups.len() {
        let more = count - groups.len();
        notes.push(format!(
            "Not shown: {more} groups of brokers and tools; `list --all` shows them."
        ));
    }
    let columns = vec![
        words("GROUP"),
        numbers("TOPICS"),
        numbers("LAG"),
        numbers("OUT/S"),
        words("BEHIND"),
        numbers("STUCK QUEUES"),
        numbers("MEMBERS"),
        words("BROKERS").wide(),
    ];
    let row = |group: &Group| {
        vec![
            group.group.clone(),
            group.topics.to_string(),
            group.lag.to_string(),
            format!("{:.1}", group.tps),
            group.behind_ms.map_or_else(nothing, behind),
            group.stuck_queues.to_string(),
            group.members.map_or_else(nothing, |count| count.to_string()),
            group.brokers.join(","),
        ]
    };
    let sheet = Sheet::new(columns, groups.iter().map(row).collect());
    Report { notes: output.notes(notes), ..Report::new(sheet.render(&groups, output), problems) }
}

fn behind(ms: i64) -> String {
    human_seconds(u64::try_from(ms / 1000).unwrap_or(0))
}

fn show(group: GroupStatus, output: Output) -> Report {
    let mut above = String::new();
    let mut line = |name: &str, value: &str| above += &fact(name, 8, value);
    line("group", &group.group);
    line("lag", &group.lag.to_string());
    line("out/s", &format!("{:.1}", group.tps));
    match (&group.consume_type, &group.message_model) {
        (Some(kind), Some(model)) => {
            line("members", &format!("{}, {kind}, {model}", group.members.len()));
        }
        _ => line("members", "none is connected"),
    }
    for member in &group.members {
        let library = format!("{} {}", member.language, version_text(member.version));
        line("member", &format!("{} at {} ({library})", member.client_id, member.address));
    }
    for one in &group.subscriptions {
        line("reads", &format!("{}: {}", one.topic, one.expression));
    }
    for one in &group.settings {
        line("settings", &settings(one));
    }
    if !group.queues.is_empty() {
        above.push('\n');
    }
    let columns = vec![
        words("TOPIC"),
        words("BROKER"),
        numbers("QUEUE"),
        numbers("OFFSET"),
        numbers("MAX OFFSET"),
        numbers("LAG"),
        words("LAST GOT (UTC)"),
        words("OWNER"),
        words("LAST PULL (UTC)"),
        words("LOCKED"),
    ];
    let row = |queue: &GroupQueue| {
        vec![
            queue.topic.clone(),
            queue.broker.clone(),
            queue.queue.to_string(),
            queue.consumer_offset.to_string(),
            queue.broker_offset.to_string(),
            queue.lag.to_string(),
            queue.last_stored_ms.map_or_else(nothing, utc),
            or_nothing(&queue.owner),
            queue.last_pull_ms.map_or_else(nothing, utc),
            yes(queue.is_locked),
        ]
    };
    let rows = group.queues.iter().map(row).collect();
    let sheet = Sheet { above, ..Sheet::new(columns, rows) };
    Report::new(sheet.render(&group, output), group.problems)
}

/// The settings of a group on a broker that say something: those of all, and those that are not as usual.
fn settings(on_broker: &GroupOnBroker) -> String {
    let GroupOnBroker { broker, settings, .. } = on_broker;
    let settings = settings.unwrap_or_default();
    let number = |number: Option<i32>| number.map_or_else(nothing, |number| number.to_string());
    let mut text = format!(
        "{broker}: {} retries over {} queues",
        number(settings.retry_max_times),
        number(settings.retry_queues)
    );
    let unusual = [
        (
            settings.consume_enabled == Some(false),
            "NOTHING IS CONSUMED (consume = false)".to_owned(),
        ),
        (settings.broadcast_enabled == Some(false), "no broadcasting".to_owned()),
        (settings.notify_members == Some(false), "members are not told of others".to_owned()),
    ];
    let ids =
        [("broker id", settings.broker_id, 0), ("slow broker id", settings.slow_broker_id, 1)];
    let ids = ids.map(|(name, id, usual)| {
        (id.is_some_and(|id| id != usual), format!("{name} {}", id.unwrap_or(usual)))
    });
    for (is_so, what) in unusual.into_iter().chain(ids) {
        if is_so {
            text += &format!(", {what}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::v1::{GroupMember, GroupSubscription};

    fn group(name: &str, is_system: bool) -> Group {
        Group {
            group: name.to_owned(),
            is_system,
            brokers: vec!["a".to_owned(), "b".to_owned()],
            topics: 1,
            lag: 12,
            tps: 0.25,
            behind_ms: Some(61_999),
            stuck_queues: 2,
            members: Some(3),
            ..Group::default()
        }
    }

    #[test]
    fn groups_are_listed_with_what_is_left_out() {
        let listing = || ListGroupsResponse {
            groups: vec![group("CID_RMQ_SYS_x", true), group("orders", false)],
            problems: Vec::new(),
        };
        let report = list(listing(), false, Output::Table);
        let expected = "\
GROUP   TOPICS  LAG  OUT/S  BEHIND     STUCK QUEUES  MEMBERS
orders       1   12    0.2  1 min 1 s             2        3
";
        assert_eq!(report.text, expected);
        assert!(report.notes[0].starts_with("Not shown: 1 groups"), "{report:?}");
        let wide = list(listing(), true, Output::Wide).text;
        assert!(wide.ends_with("            2        3  a,b\n"), "{wide}");
        assert_eq!(list(listing(), true, Output::Name).text, "CID_RMQ_SYS_x\norders\n");
        let none = list(ListGroupsResponse::default(), false, Output::Json);
        assert_eq!((none.text.as_str(), none.notes.len()), ("[]\n", 0));
    }

    #[test]
    fn a_group_is_shown_queue_by_queue() {
        let queue = GroupQueue {
            topic: "T".to_owned(),
            broker: "a".to_owned(),
            queue: 3,
            broker_offset: 20,
            consumer_offset: 8,
            lag: 12,
            owner: Some("c1".to_owned()),
            is_locked: true,
            ..GroupQueue::default()
        };
        let group = GroupStatus {
            group: "g".to_owned(),
            consume_type: Some("CONSUME_PASSIVELY".to_owned()),
            message_model: Some("CLUSTERING".to_owned()),
            lag: 12,
            members: vec![GroupMember {
                client_id: "c1".to_owned(),
                address: "h:1".to_owned(),
                language: "JAVA".to_owned(),
                version: 401,
            }],
            settings: vec![GroupOnBroker {
                broker: "a".to_owned(),
                address: "h:2".to_owned(),
                settings: Some(GroupSettings {
                    consume_enabled: Some(false),
                    retry_queues: Some(1),
                    retry_max_times: Some(16),
                    broker_id: Some(0),
                    slow_broker_id: Some(2),
                    ..GroupSettings::default()
                }),
            }],
            subscriptions: vec![GroupSubscription {
                topic: "T".to_owned(),
                expression: "*".to_owned(),
            }],
            queues: vec![queue],
            ..GroupStatus::default()
        };
        let expected = "\
group    g
lag      12
out/s    0.0
members  1, CONSUME_PASSIVELY, CLUSTERING
member   c1 at h:1 (JAVA 4.9.4)
reads    T: *
settings a: 16 retries over 1 queues, NOTHING IS CONSUMED (consume = false), slow broker id 2

TOPIC  BROKER  QUEUE  OFFSET  MAX OFFSET  LAG  LAST GOT (UTC)  OWNER  LAST PULL (UTC)  LOCKED
T      a           3       8          20   12  -               c1     -                yes
";
        assert_eq!(show(group, Output::Table).text, expected);
    }
}
