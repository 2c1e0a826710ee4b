//! `rmq-node admin groups`: its verbs, and what they print.

use clap::Subcommand;

use super::door::Door;
use super::output::{Output, Report, Reported};
use super::sheet::{Sheet, numbers, words};
use super::whole;
use crate::cli::table::{safe, utc};
use crate::model::human_seconds;
use crate::proto::v1::groups_client::GroupsClient;
use crate::proto::v1::{
    GetGroupRequest, Group, GroupQueue, GroupStatus, ListGroupsRequest, ListGroupsResponse,
};

const NO_GROUPS_HINT: &str =
    "There is no group of an application yet: the first consumer that connects makes its own.";

/// The verbs.
#[derive(Clone, Debug, Subcommand)]
pub enum GroupsAction {
    /// List groups with what they have not got yet; `-o wide` counts members too, with a call for each group.
    List {
        /// Also groups of brokers and tools.
        #[arg(short, long)]
        all: bool,
    },
    /// Show one group: its members, and each queue with its lag, its owner, and when that pulled last.
    Show {
        /// Its name.
        name: String,
    },
}

/// Does what the verb says; lists without one.
///
/// # Errors
/// As the service's.
pub async fn run(action: Option<GroupsAction>, door: Door, output: Output) -> Reported {
    let mut groups = GroupsClient::new(door);
    Ok(match action.unwrap_or(GroupsAction::List { all: false }) {
        GroupsAction::List { all } => {
            let with_members = matches!(output, Output::Wide | Output::Tsv);
            let parts = groups.list(ListGroupsRequest { with_members }).await?.into_inner();
            list(whole(parts, |part| &mut part.groups).await?, all, output)
        }
        GroupsAction::Show { name } => {
            show(groups.get(GetGroupRequest { group: name }).await?.into_inner(), output)
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
        numbers("MEMBERS").wide(),
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

fn nothing() -> String {
    "-".to_owned()
}

fn behind(ms: i64) -> String {
    human_seconds(u64::try_from(ms / 1000).unwrap_or(0))
}

fn show(group: GroupStatus, output: Output) -> Report {
    let mut above = format!("group    {}\nlag      {}\n", safe(&group.group), group.lag);
    above += &format!("out/s    {:.1}\n", group.tps);
    match (&group.consume_type, &group.message_model) {
        (Some(kind), Some(model)) => {
            above += &format!("members  {}, {kind}, {model}\n", group.members.len())
        }
        _ => above += "members  none is connected\n",
    }
    for member in &group.members {
        let text = format!("{} at {} ({})", member.client_id, member.address, member.language);
        above += &format!("member   {}\n", safe(&text));
    }
    for one in &group.subscriptions {
        above += &format!("reads    {}\n", safe(&format!("{}: {}", one.topic, one.expression)));
    }
    above.push('\n');
    let columns = vec![
        words("TOPIC"),
        words("BROKER"),
        numbers("QUEUE"),
        numbers("OFFSET"),
        numbers("MAX OFFSET"),
        numbers("LAG"),
        words("LAST GOT (UTC)"),
        words("OWNER"),
        words("LAST PULL (UTC)").wide(),
        words("LOCKED").wide(),
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
            queue.owner.clone().unwrap_or_else(nothing),
            queue.last_pull_ms.map_or_else(nothing, utc),
            if queue.is_locked { "yes" } else { "no" }.to_owned(),
        ]
    };
    let rows = group.queues.iter().map(row).collect();
    let sheet = Sheet { above, ..Sheet::new(columns, rows) };
    Report::new(sheet.render(&group, output), group.problems)
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
GROUP   TOPICS  LAG  OUT/S  BEHIND     STUCK QUEUES
orders       1   12    0.2  1 min 1 s             2
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
                version: 399,
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
member   c1 at h:1 (JAVA)
reads    T: *

TOPIC  BROKER  QUEUE  OFFSET  MAX OFFSET  LAG  LAST GOT (UTC)  OWNER
T      a           3       8          20   12  -               c1
";
        assert_eq!(show(group, Output::Table).text, expected);
    }
}
