//! `rmq-node admin nameservers`: its verbs, and what they print.

use clap::{Args, Subcommand};

use super::door::Door;
use super::output::{Confirmation, Output, Report, Reported, not_confirmed, what_was_done};
use super::sheet::{Sheet, nothing, numbers, or_nothing, words};
use crate::proto::v1::name_servers_client::NameServersClient;
use crate::proto::v1::{
    DeleteKvRequest, ListKvRequest, ListNameServerSettingsRequest, ListNameServersRequest,
    ListNameServersResponse, NameServer, NameServerEntry, Problem, PutKvRequest,
    PutNameServerSettingRequest, PutWritePermissionRequest,
};

const EQUAL: &str = "They know the same brokers and topics.";

/// The verbs.
#[derive(Clone, Debug, Subcommand)]
pub enum NameServersAction {
    /// List name servers: what each is, what it knows, and where they differ.
    List(List),
    /// Their key-value settings: list (also without a verb), put, delete.
    Kv {
        #[command(subcommand)]
        action: Option<KvAction>,
    },
    /// Their own settings, which are shown without a verb; set changes one.
    Config {
        #[command(subcommand)]
        action: Option<ConfigAction>,
    },
    /// Have them tell producers not to write to a broker, until it registers with something changed: a restart undoes it,
    /// and so does a new topic.
    WipeWrite(WritePermission),
    /// Have them tell producers that they may write to a broker again.
    AddWrite(WritePermission),
}

/// How to list.
#[derive(Args, Clone, Debug, Default)]
pub struct List {
    /// Also compare the routes of all topics, with a call for each at each name server.
    #[arg(long)]
    routes: bool,
}

/// The verbs of key-value settings.
#[derive(Clone, Debug, Subcommand)]
pub enum KvAction {
    /// List the values of a namespace.
    List {
        #[command(flatten)]
        namespace: Namespace,
    },
    /// Set a value at each name server.
    Put {
        /// Its key: in the namespace of ordered topics the topic.
        key: String,
        /// The value: of an ordered topic its queues on each broker, as `broker-a:4;broker-b:4`.
        value: String,
        #[command(flatten)]
        namespace: Namespace,
        /// Show where it would be set, and set nothing.
        #[arg(long)]
        dry_run: bool,
    },
    /// Take a value away from each name server.
    Delete {
        /// Its key.
        key: String,
        #[command(flatten)]
        namespace: Namespace,
        /// Show where it would be taken away, and take nothing.
        #[arg(long)]
        dry_run: bool,
        #[command(flatten)]
        confirmation: Confirmation,
    },
}

/// The namespace of ordered topics.
const ORDERED: &str = "ORDER_TOPIC_CONFIG";

/// Of key-value settings.
#[derive(Args, Clone, Debug)]
pub struct Namespace {
    /// Their namespace; that of ordered topics if it is not given.
    #[arg(long, value_name = "NAME", default_value = ORDERED)]
    namespace: String,
}

/// The verbs of settings.
#[derive(Clone, Debug, Subcommand)]
pub enum ConfigAction {
    /// Change a setting at each name server; 4.9.4's keep it in their file, ours let only `orderMessageEnable` be changed.
    Set {
        /// As 4.9.4 names it.
        key: String,
        /// What it is to be.
        value: String,
        /// Show where it would be changed, and change nothing.
        #[arg(long)]
        dry_run: bool,
    },
}

/// Which broker.
#[derive(Args, Clone, Debug)]
pub struct WritePermission {
    /// The broker's name.
    broker: String,
    /// Show where it would be done, and do nothing.
    #[arg(long)]
    dry_run: bool,
}

impl NameServersAction {
    /// Whether it changes nothing.
    pub fn only_reads(&self) -> bool {
        matches!(
            self,
            Self::List(_)
                | Self::Config { action: None }
                | Self::Kv { action: None | Some(KvAction::List { .. }) }
        )
    }
}

/// Does what the verb says; lists without one.
///
/// # Errors
/// As the service's.
pub async fn run(action: Option<NameServersAction>, door: Door, output: Output) -> Reported {
    let mut client = NameServersClient::new(door).max_decoding_message_size(usize::MAX);
    Ok(match action.unwrap_or_else(|| NameServersAction::List(List::default())) {
        NameServersAction::List(List { routes }) => {
            let request = ListNameServersRequest { with_routes: routes };
            list(&client.list(request).await?.into_inner(), routes, output)
        }
        NameServersAction::Kv { action } => return kv(action, client, output).await,
        NameServersAction::Config { action: None } => {
            let found = client.list_settings(ListNameServerSettingsRequest {}).await?.into_inner();
            entries("SETTING", &found.entries, found.problems, output)
        }
        NameServersAction::Config { action: Some(ConfigAction::Set { key, value, dry_run }) } => {
            let what = format!("setting {key}");
            let request = PutNameServerSettingRequest { key, value, dry_run };
            let done = client.put_setting(request).await?.into_inner().done;
            what_was_done(&done, &what, "changed", output)
        }
        NameServersAction::WipeWrite(arguments) => {
            return permission(arguments, false, client, output).await;
        }
        NameServersAction::AddWrite(arguments) => {
            return permission(arguments, true, client, output).await;
        }
    })
}

async fn permission(
    WritePermission { broker, dry_run }: WritePermission,
    may_write: bool,
    mut client: NameServersClient<Door>,
    output: Output,
) -> Reported {
    let what = format!("write permission of {broker}");
    let request = PutWritePermissionRequest { broker, may_write, dry_run };
    let done = client.put_write_permission(request).await?.into_inner().done;
    Ok(what_was_done(&done, &what, if may_write { "added" } else { "wiped" }, output))
}

async fn kv(
    action: Option<KvAction>,
    mut client: NameServersClient<Door>,
    output: Output,
) -> Reported {
    let first = Namespace { namespace: ORDERED.to_owned() };
    Ok(match action.unwrap_or(KvAction::List { namespace: first }) {
        KvAction::List { namespace: Namespace { namespace } } => {
            let found = client.list_kv(ListKvRequest { namespace: namespace.clone() }).await?;
            let found = found.into_inner();
            let mut notes = Vec::new();
            if found.entries.is_empty() {
                notes.push(format!("No name server has a value in the namespace {namespace}."));
            }
            let report = entries("KEY", &found.entries, found.problems, output);
            Report { notes: output.notes(notes), ..report }
        }
        KvAction::Put { key, value, namespace: Namespace { namespace }, dry_run } => {
            let what = format!("{key} in {namespace}");
            let request = PutKvRequest { namespace, key, value, dry_run };
            let done = client.put_kv(request).await?.into_inner().done;
            what_was_done(&done, &what, "set", output)
        }
        KvAction::Delete { key, namespace: Namespace { namespace }, dry_run, confirmation } => {
            let what = format!("{key} in {namespace}");
            if !dry_run && !confirmation.is_given(&format!("{what} is deleted.")) {
                return Ok(not_confirmed());
            }
            let request = DeleteKvRequest { namespace, key, dry_run };
            let done = client.delete_kv(request).await?.into_inner().done;
            what_was_done(&done, &what, "deleted", output)
        }
    })
}

fn list(found: &ListNameServersResponse, with_routes: bool, output: Output) -> Report {
    let columns = vec![
        words("NAME SERVER"),
        words("VERSION"),
        numbers("BROKERS"),
        numbers("TOPICS"),
        words("STATE"),
        words("ASKED"),
    ];
    let row = |one: &NameServer| {
        let state = if one.error.is_some() { "does not answer" } else { "answers" };
        let known = |count: u32| one.version.as_ref().map_or_else(nothing, |_| count.to_string());
        let asked = if one.is_asked { "yes" } else { "no, only brokers name it" };
        vec![
            one.address.clone(),
            or_nothing(&one.version),
            known(one.brokers),
            known(one.topics),
            state.to_owned(),
            asked.to_owned(),
        ]
    };
    let mut notes = Vec::new();
    let answering = found.name_servers.iter().filter(|one| one.error.is_none()).count();
    if found.differences.is_empty() && answering > 1 {
        notes.push(if with_routes {
            "They know the same brokers, topics and routes.".to_owned()
        } else {
            EQUAL.to_owned()
        });
    }
    if found.name_servers.iter().any(|one| !one.is_asked) {
        notes.push("Changes go to those that are asked: name the others with -n too.".to_owned());
    }
    let sheet = Sheet::new(columns, found.name_servers.iter().map(row).collect());
    let mut text = sheet.render(found, output);
    if output.is_for_people() && !found.differences.is_empty() {
        text += &format!("\n{}", entries_sheet("DIFFERENCE", &found.differences).as_table());
    }
    let mut report = Report::new(text, found.problems.clone());
    let silent = found.name_servers.iter().filter_map(|one| one.error.clone());
    report.problems.extend(silent);
    Report { notes: output.notes(notes), ..report }
}

/// Keys with their values: one where all name servers have the same.
fn entries_sheet(head: &'static str, entries: &[NameServerEntry]) -> Sheet {
    let columns = vec![words(head), words("VALUE"), words("NAME SERVER")];
    let rows = entries.iter().flat_map(|entry| {
        let is_same = entry.values.iter().all(|one| one.value == entry.values[0].value);
        let row = |shown: String, at: &str| vec![entry.key.clone(), shown, at.to_owned()];
        match entry.values.first() {
            Some(first) if is_same && entry.values.len() > 1 => {
                vec![row(or_nothing(&first.value), "all")]
            }
            _ => entry
                .values
                .iter()
                .map(|one| row(or_nothing(&one.value), &one.name_server))
                .collect(),
        }
    });
    Sheet::new(columns, rows.collect())
}

fn entries(
    head: &'static str,
    entries: &[NameServerEntry],
    problems: Vec<Problem>,
    output: Output,
) -> Report {
    Report::new(entries_sheet(head, entries).render(&entries, output), problems)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::v1::NameServerValue;

    fn entry(key: &str, values: [Option<&str>; 2]) -> NameServerEntry {
        let value = |(at, value): (&str, Option<&str>)| NameServerValue {
            name_server: at.to_owned(),
            value: value.map(str::to_owned),
        };
        NameServerEntry {
            key: key.to_owned(),
            values: ["h:1", "h:2"].into_iter().zip(values).map(value).collect(),
        }
    }

    #[test]
    fn name_servers_are_listed_with_what_they_differ_in() {
        let one = |address: &str, error: Option<&str>| NameServer {
            address: address.to_owned(),
            version: error.is_none().then(|| "4.9.4".to_owned()),
            brokers: 2,
            topics: 9,
            error: error.map(str::to_owned),
            is_asked: error.is_none(),
        };
        let mut found = ListNameServersResponse {
            name_servers: vec![one("h:1", None), one("h:2", None), one("h:3", Some("no"))],
            differences: vec![entry("topic T", [Some("known"), None])],
            problems: Vec::new(),
        };
        let report = list(&found, false, Output::Table);
        let expected = "\
NAME SERVER  VERSION  BROKERS  TOPICS  STATE            ASKED
h:1          4.9.4          2       9  answers          yes
h:2          4.9.4          2       9  answers          yes
h:3          -              -       -  does not answer  no, only brokers name it

DIFFERENCE  VALUE  NAME SERVER
topic T     known  h:1
topic T     -      h:2
";
        assert_eq!(report.text, expected);
        assert_eq!((report.problems, report.notes.len()), (vec!["no".to_owned()], 1));
        found.differences.clear();
        assert_eq!(list(&found, false, Output::Table).notes[0], EQUAL);
    }

    #[test]
    fn a_value_that_all_have_is_shown_once() {
        let found = [entry("a", [Some("1"), Some("1")]), entry("b", [Some("1"), Some("2")])];
        let report = entries("KEY", &found, Vec::new(), Output::Table);
        let expected = "\
KEY  VALUE  NAME SERVER
a    1      all
b    1      h:1
b    2      h:2
";
        assert_eq!(report.text, expected);
    }
}
