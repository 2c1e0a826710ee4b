//! A cluster's metadata as a file: YAML that people keep in git, in a stable order, one line a topic and a group.
//!
//! ```yaml
//! version: 1
//! topics:
//!   Odd:
//!     brokers:
//!       broker-a: {read_queues: 4, write_queues: 4, permission: r}
//!   Orders: {read_queues: 8, write_queues: 8, permission: rw}
//! groups:
//!   readers: {retry_max_times: 3}
//! accounts:
//!   white_addresses: [10.0.0.*]
//!   accounts:
//!     orders-app: {default_topic_perm: DENY, topic_perms: ["Orders=PUB|SUB"]}
//! kv:
//!   ORDER_TOPIC_CONFIG:
//!     Orders: "broker-a:8;broker-b:8"
//! offsets:
//!   readers:
//!     Orders:
//!       broker-a: {0: 17, 1: 20}
//! ```
//!
//! Settings beside `brokers`, or none at all, are those on every master; what is left out has its default, of accounts: stays
//! as it is. A part that is left out is not looked at. Invariants: what [`render`] writes is read by [`parse`] as the same;
//! what is not known is refused with its line.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::acl::yaml::{self, Node, Value, YamlError};
use crate::config::did_you_mean;
use crate::proto::v1::{
    AccountMetadata, AccountsMetadata, ClusterMetadata, GroupConfiguration, GroupMetadata,
    GroupsMetadata, KvMetadata, KvNamespace, OffsetsInTopic, OffsetsMetadata, OffsetsOfGroup,
    OffsetsOnBroker, TopicConfiguration, TopicMetadata, TopicsMetadata,
};

/// The version of the form; another one is for another rmq-node.
const VERSION: u32 = 1;
const PARTS: [&str; 6] = ["version", "topics", "groups", "accounts", "kv", "offsets"];
const BROKERS: &str = "brokers";
const TOPIC: [&str; 5] = ["read_queues", "write_queues", "permission", "filter_type", "sys_flag"];
const GROUP: [&str; 8] = [
    "consume_enable",
    "consume_from_min_enable",
    "consume_broadcast_enable",
    "retry_queue_nums",
    "retry_max_times",
    "broker_id",
    "which_broker_when_consume_slowly",
    "notify_consumer_ids_changed_enable",
];
const ACCOUNT: [&str; 7] = [
    "secret_key",
    "white_remote_address",
    "admin",
    "default_topic_perm",
    "default_group_perm",
    "topic_perms",
    "group_perms",
];

const HEAD: &str = "\
# What a RocketMQ cluster is configured to be, as `rmq-node admin export` writes it.
# `rmq-node admin diff` compares a cluster with it, `rmq-node admin apply` makes one so.
";

type Read<T> = Result<T, YamlError>;

/// Reads a file.
///
/// # Errors
/// The first thing in it that is wrong, with its line.
pub fn parse(text: &str) -> Read<ClusterMetadata> {
    let root = yaml::parse(text)?;
    keys(&root, &PARTS)?;
    let Some(version) = root.get("version") else {
        let text = format!("`version` is missing: write `version: {VERSION}`");
        return Err(YamlError::new(1, text));
    };
    if number::<u32>(version)? != VERSION {
        let text = format!("this rmq-node reads version {VERSION} only");
        return Err(YamlError::new(version.line, text));
    }
    let topics = |node: &Node| Ok(TopicsMetadata { topics: map(node, topic)? });
    let groups = |node: &Node| Ok(GroupsMetadata { groups: map(node, group)? });
    let offsets = |node: &Node| Ok(OffsetsMetadata { groups: map(node, offsets)? });
    let kv = |node: &Node| Ok(KvMetadata { namespaces: map(node, namespace)? });
    Ok(ClusterMetadata {
        topics: of(&root, "topics", topics)?,
        groups: of(&root, "groups", groups)?,
        offsets: of(&root, "offsets", offsets)?,
        accounts: of(&root, "accounts", accounts)?,
        kv: of(&root, "kv", kv)?,
    })
}

fn entries(node: &Node) -> Read<&[(yaml::Key, Node)]> {
    match &node.value {
        Value::Map(entries) => Ok(entries),
        Value::Null => Ok(&[]),
        _ => Err(YamlError::new(node.line, "here must be names, each with a value: `name: ...`")),
    }
}

/// Refuses keys that are not known.
fn keys(node: &Node, known: &[&str]) -> Read<()> {
    for (key, _) in entries(node)? {
        if !known.contains(&key.name.as_str()) {
            let meant = did_you_mean(&key.name, known);
            return Err(YamlError::new(key.line, format!("unknown key `{}`{meant}", key.name)));
        }
    }
    Ok(())
}

fn map<T>(node: &Node, read: impl Fn(&Node) -> Read<T>) -> Read<BTreeMap<String, T>> {
    entries(node)?.iter().map(|(key, node)| Ok((key.name.clone(), read(node)?))).collect()
}

fn text(node: &Node) -> Read<String> {
    match &node.value {
        Value::Text(text) => Ok(text.clone()),
        _ => Err(YamlError::new(node.line, "here must be a text")),
    }
}

fn texts(node: &Node) -> Read<Vec<String>> {
    match &node.value {
        Value::List(items) => items.iter().map(text).collect(),
        _ => Err(YamlError::new(node.line, "here must be a list: `[a, b]`")),
    }
}

fn number<N: std::str::FromStr>(node: &Node) -> Read<N> {
    let text = text(node)?;
    text.parse().map_err(|_| YamlError::new(node.line, format!("`{text}` is no number for this")))
}

fn flag(node: &Node) -> Read<bool> {
    match text(node)?.as_str() {
        "true" => Ok(true),
        "false" => Ok(false),
        other => Err(YamlError::new(node.line, format!("`{other}` is neither true nor false"))),
    }
}

fn of<T>(node: &Node, key: &str, read: impl Fn(&Node) -> Read<T>) -> Read<Option<T>> {
    node.get(key).map(read).transpose()
}

/// What is said of every master, and of single ones.
fn spread<T>(
    node: &Node,
    known: &[&str],
    read: impl Fn(&Node) -> Read<T>,
) -> Read<(Option<T>, BTreeMap<String, T>)> {
    let with_brokers: Vec<_> = known.iter().copied().chain([BROKERS]).collect();
    keys(node, &with_brokers)?;
    let brokers = of(node, BROKERS, |node| {
        map(node, |node| {
            keys(node, known)?;
            read(node)
        })
    })?;
    let says_more = entries(node)?.iter().any(|(key, _)| key.name != BROKERS);
    let everywhere = (says_more || brokers.is_none()).then(|| read(node)).transpose()?;
    Ok((everywhere, brokers.unwrap_or_default()))
}

fn topic(node: &Node) -> Read<TopicMetadata> {
    let (everywhere, brokers) = spread(node, &TOPIC, |node| {
        Ok(TopicConfiguration {
            read_queues: of(node, "read_queues", number)?,
            write_queues: of(node, "write_queues", number)?,
            permission: of(node, "permission", text)?,
            filter_type: of(node, "filter_type", text)?,
            sys_flag: of(node, "sys_flag", number)?,
        })
    })?;
    Ok(TopicMetadata { everywhere, brokers })
}

fn group(node: &Node) -> Read<GroupMetadata> {
    let (everywhere, brokers) = spread(node, &GROUP, |node| {
        Ok(GroupConfiguration {
            consume_enable: of(node, "consume_enable", flag)?,
            consume_from_min_enable: of(node, "consume_from_min_enable", flag)?,
            consume_broadcast_enable: of(node, "consume_broadcast_enable", flag)?,
            retry_queue_nums: of(node, "retry_queue_nums", number)?,
            retry_max_times: of(node, "retry_max_times", number)?,
            broker_id: of(node, "broker_id", number)?,
            which_broker_when_consume_slowly: of(node, "which_broker_when_consume_slowly", number)?,
            notify_consumer_ids_changed_enable: of(
                node,
                "notify_consumer_ids_changed_enable",
                flag,
            )?,
        })
    })?;
    Ok(GroupMetadata { everywhere, brokers })
}

fn accounts(node: &Node) -> Read<AccountsMetadata> {
    keys(node, &["white_addresses", "accounts"])?;
    Ok(AccountsMetadata {
        white_addresses: of(node, "white_addresses", texts)?.unwrap_or_default(),
        accounts: of(node, "accounts", |node| map(node, account))?.unwrap_or_default(),
    })
}

fn account(node: &Node) -> Read<AccountMetadata> {
    keys(node, &ACCOUNT)?;
    Ok(AccountMetadata {
        secret_key: of(node, "secret_key", text)?,
        white_remote_address: of(node, "white_remote_address", text)?,
        admin: of(node, "admin", flag)?.unwrap_or(false),
        default_topic_perm: of(node, "default_topic_perm", text)?,
        default_group_perm: of(node, "default_group_perm", text)?,
        topic_perms: of(node, "topic_perms", texts)?.unwrap_or_default(),
        group_perms: of(node, "group_perms", texts)?.unwrap_or_default(),
    })
}

fn namespace(node: &Node) -> Read<KvNamespace> {
    Ok(KvNamespace { values: map(node, text)? })
}

fn offsets(node: &Node) -> Read<OffsetsOfGroup> {
    let on_broker = |node: &Node| {
        let queues = entries(node)?.iter().map(|(key, node)| {
            let text = format!("`{}` is no number of a queue", key.name);
            let queue = key.name.parse().map_err(|_| YamlError::new(key.line, text))?;
            Ok((queue, number(node)?))
        });
        Ok(OffsetsOnBroker { queues: queues.collect::<Read<_>>()? })
    };
    let in_topic = |node: &Node| Ok(OffsetsInTopic { brokers: map(node, on_broker)? });
    Ok(OffsetsOfGroup { topics: map(node, in_topic)? })
}

/// A file with all that is set.
#[must_use]
pub fn render(metadata: &ClusterMetadata) -> String {
    let mut out = format!("{HEAD}version: {VERSION}\n");
    if let Some(TopicsMetadata { topics }) = &metadata.topics {
        put_map(&mut out, 0, "topics", topics, |out, topic| {
            put_spread(out, topic.everywhere.as_ref(), &topic.brokers, topic_fields);
        });
    }
    if let Some(GroupsMetadata { groups }) = &metadata.groups {
        put_map(&mut out, 0, "groups", groups, |out, group| {
            put_spread(out, group.everywhere.as_ref(), &group.brokers, group_fields);
        });
    }
    if let Some(AccountsMetadata { white_addresses, accounts }) = &metadata.accounts {
        out += "accounts:\n";
        if !white_addresses.is_empty() {
            let _ = writeln!(out, "  white_addresses: {}", list(white_addresses));
        }
        put_map(&mut out, 1, "accounts", accounts, |out, account| {
            let _ = writeln!(out, " {}", flow(&account_fields(account)));
        });
    }
    if let Some(KvMetadata { namespaces }) = &metadata.kv {
        put_map(&mut out, 0, "kv", namespaces, |out, KvNamespace { values }| {
            put_below(out, 2, values, |out, value| {
                let _ = writeln!(out, " {}", scalar(value));
            });
        });
    }
    if let Some(OffsetsMetadata { groups }) = &metadata.offsets {
        put_map(&mut out, 0, "offsets", groups, |out, OffsetsOfGroup { topics }| {
            put_below(out, 2, topics, |out, OffsetsInTopic { brokers }| {
                put_below(out, 3, brokers, |out, OffsetsOnBroker { queues }| {
                    let fields: Vec<_> = queues
                        .iter()
                        .map(|(queue, offset)| (queue.to_string(), offset.to_string()))
                        .collect();
                    let _ = writeln!(out, " {}", flow(&fields));
                });
            });
        });
    }
    out
}

/// Writes a key with entries below it; `put` writes what follows the key of one, with the end of its line.
fn put_map<T>(
    out: &mut String,
    depth: usize,
    name: &str,
    entries: &BTreeMap<String, T>,
    put: impl Fn(&mut String, &T),
) {
    let _ = write!(out, "{}{}:", "  ".repeat(depth), scalar(name));
    put_below(out, depth + 1, entries, put);
}

/// Writes entries below a key that stands there already.
fn put_below<T>(
    out: &mut String,
    depth: usize,
    entries: &BTreeMap<String, T>,
    put: impl Fn(&mut String, &T),
) {
    if entries.is_empty() {
        out.push_str(" {}\n");
        return;
    }
    out.push('\n');
    for (key, value) in entries {
        let _ = write!(out, "{}{}:", "  ".repeat(depth), scalar(key));
        put(out, value);
    }
}

type Fields = Vec<(String, String)>;

fn put_spread<T>(
    out: &mut String,
    everywhere: Option<&T>,
    brokers: &BTreeMap<String, T>,
    fields: fn(&T) -> Fields,
) {
    if brokers.is_empty()
        && let Some(everywhere) = everywhere
    {
        let _ = writeln!(out, " {}", flow(&fields(everywhere)));
        return;
    }
    out.push('\n');
    for (key, value) in everywhere.map(fields).unwrap_or_default() {
        let _ = writeln!(out, "    {key}: {value}");
    }
    put_map(out, 2, BROKERS, brokers, |out, one| {
        let _ = writeln!(out, " {}", flow(&fields(one)));
    });
}

fn flow(fields: &[(String, String)]) -> String {
    let fields: Vec<_> = fields.iter().map(|(key, value)| format!("{key}: {value}")).collect();
    format!("{{{}}}", fields.join(", "))
}

fn list(items: &[String]) -> String {
    let items: Vec<_> = items.iter().map(|item| scalar(item)).collect();
    format!("[{}]", items.join(", "))
}

/// A text as it is, if nobody takes it for anything else, or in quotes.
fn scalar(text: &str) -> String {
    let is_plain = text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'));
    // What other readers take for something else.
    let is_word = !["true", "false", "yes", "no", "on", "off", "null", "y", "n"]
        .contains(&text.to_ascii_lowercase().as_str());
    if is_plain && is_word {
        text.to_owned()
    } else {
        serde_json::to_string(text).unwrap_or_default()
    }
}

/// The fields that are set.
fn set<const N: usize>(names: [&str; N], values: [Option<String>; N]) -> Fields {
    let pairs = names.into_iter().zip(values);
    pairs.filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
}

fn topic_fields(topic: &TopicConfiguration) -> Fields {
    let number = |number: Option<u32>| number.map(|number| number.to_string());
    let text = |text: &Option<String>| text.as_deref().map(scalar);
    set(
        TOPIC,
        [
            number(topic.read_queues),
            number(topic.write_queues),
            text(&topic.permission),
            text(&topic.filter_type),
            number(topic.sys_flag),
        ],
    )
}

fn group_fields(group: &GroupConfiguration) -> Fields {
    set(
        GROUP,
        [
            group.consume_enable.map(|value| value.to_string()),
            group.consume_from_min_enable.map(|value| value.to_string()),
            group.consume_broadcast_enable.map(|value| value.to_string()),
            group.retry_queue_nums.map(|value| value.to_string()),
            group.retry_max_times.map(|value| value.to_string()),
            group.broker_id.map(|value| value.to_string()),
            group.which_broker_when_consume_slowly.map(|value| value.to_string()),
            group.notify_consumer_ids_changed_enable.map(|value| value.to_string()),
        ],
    )
}

fn account_fields(account: &AccountMetadata) -> Fields {
    let text = |text: &Option<String>| text.as_deref().map(scalar);
    let some = |items: &[String]| (!items.is_empty()).then(|| list(items));
    set(
        ACCOUNT,
        [
            text(&account.secret_key),
            text(&account.white_remote_address),
            account.admin.then(|| "true".to_owned()),
            text(&account.default_topic_perm),
            text(&account.default_group_perm),
            some(&account.topic_perms),
            some(&account.group_perms),
        ],
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The example at the head of this file.
    fn example() -> String {
        let text = include_str!("metadata_file.rs");
        let lines = text.lines().map(|line| line.trim_start_matches("//!"));
        let within = lines.skip_while(|line| *line != " ```yaml").skip(1);
        let lines: Vec<_> =
            within.take_while(|line| *line != " ```").map(|line| &line[1..]).collect();
        lines.join("\n") + "\n"
    }

    #[test]
    fn the_documented_example_is_read_and_written_as_it_stands() {
        let read = parse(&example()).unwrap();
        let topics = &read.topics.as_ref().unwrap().topics;
        assert_eq!(topics["Orders"].everywhere.as_ref().unwrap().read_queues, Some(8));
        assert!(topics["Odd"].everywhere.is_none());
        assert_eq!(topics["Odd"].brokers["broker-a"].permission.as_deref(), Some("r"));
        assert_eq!(read.groups.as_ref().unwrap().groups["readers"].brokers.len(), 0);
        let accounts = read.accounts.as_ref().unwrap();
        assert_eq!(accounts.accounts["orders-app"].topic_perms, ["Orders=PUB|SUB"]);
        let order = &read.kv.as_ref().unwrap().namespaces["ORDER_TOPIC_CONFIG"].values;
        assert_eq!(order["Orders"], "broker-a:8;broker-b:8");
        let offsets = &read.offsets.as_ref().unwrap().groups["readers"].topics["Orders"];
        assert_eq!(offsets.brokers["broker-a"].queues, BTreeMap::from([(0, 17), (1, 20)]));
        let quoted = example().replace("[10.0.0.*]", "[\"10.0.0.*\"]");
        assert_eq!(render(&read), format!("{HEAD}{quoted}"));
    }

    #[test]
    fn what_is_left_out_is_unset_and_what_is_beside_brokers_is_everywhere() {
        let read = parse("version: 1\ntopics:\n  A:\n  B: {permission: r, brokers: {b: {}}}\n");
        let metadata = read.unwrap();
        assert!(metadata.groups.is_none() && metadata.accounts.is_none());
        let topics = metadata.topics.unwrap().topics;
        assert_eq!(topics["A"].everywhere, Some(TopicConfiguration::default()));
        let b = &topics["B"];
        assert_eq!(b.everywhere.as_ref().unwrap().permission.as_deref(), Some("r"));
        assert_eq!(b.brokers["b"], TopicConfiguration::default());
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        for (text, expected) in [
            ("topics: {}\n", "1: `version` is missing: write `version: 1`"),
            ("version: 2\n", "1: this rmq-node reads version 1 only"),
            ("version: 1\ntopic: {}\n", "2: unknown key `topic`; did you mean `topics`?"),
            (
                "version: 1\ntopics:\n  T: {perm: rw}\n",
                "3: unknown key `perm`; known here: read_queues, write_queues, permission, filter_type, sys_flag, brokers",
            ),
            (
                "version: 1\ngroups:\n  G:\n    brokers:\n      a: {retry_max_time: 1}\n",
                "5: unknown key `retry_max_time`; did you mean `retry_max_times`?",
            ),
            (
                "version: 1\ntopics:\n  T: {brokers: {a: {brokers: {}}}}\n",
                "3: unknown key `brokers`; known here: read_queues, write_queues, permission, filter_type, sys_flag",
            ),
            ("version: 1\ntopics: {T: {read_queues: -1}}\n", "2: `-1` is no number for this"),
            ("version: 1\ntopics: [T]\n", "2: here must be names, each with a value: `name: ...`"),
            ("version: 1\ntopics: {T: {}, T: {}}\n", "2: `T` stands here again after line 2"),
            (
                "version: 1\naccounts: {accounts: {a: {admin: yes}}}\n",
                "2: `yes` is neither true nor false",
            ),
            (
                "version: 1\naccounts: {accounts: {a: {topic_perms: T}}}\n",
                "2: here must be a list: `[a, b]`",
            ),
            ("version: 1\nkv: {N: {k: [v]}}\n", "2: here must be a text"),
            ("version: 1\noffsets: {G: {T: {b: {x: 1}}}}\n", "2: `x` is no number of a queue"),
        ] {
            assert_eq!(parse(text).unwrap_err().to_string(), expected, "{text}");
        }
    }

    fn name() -> impl Strategy<Value = String> {
        prop_oneof![
            "[a-z%|_-]{1,8}",
            "[ -~]{1,6}",
            any::<String>().prop_filter("", |t| !t.is_empty())
        ]
    }

    fn one<T>(name: &str, value: T) -> BTreeMap<String, T> {
        BTreeMap::from([(name.to_owned(), value)])
    }

    prop_compose! {
        fn topic()(
            read_queues: Option<u32>,
            sys_flag: Option<u32>,
            permission in proptest::option::of(name()),
        ) -> TopicConfiguration {
            TopicConfiguration { read_queues, sys_flag, permission, ..Default::default() }
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_as_the_same(
            everywhere in proptest::collection::btree_map(name(), topic(), 0..3),
            brokers in proptest::collection::btree_map(
                name(), proptest::collection::btree_map(name(), topic(), 1..3), 0..3),
            groups in proptest::collection::btree_map(name(), any::<(Option<bool>, Option<i64>)>(), 0..3),
            secret in proptest::option::of(name()),
            list in proptest::collection::vec(name(), 0..3),
            values in proptest::collection::btree_map(name(), any::<String>(), 0..3),
            queues in proptest::collection::btree_map(0..9, any::<i64>(), 0..3),
        ) {
            let on_all = everywhere.into_iter().map(|(name, topic)| {
                (name, TopicMetadata { everywhere: Some(topic), ..Default::default() })
            });
            let on_some = brokers.into_iter().map(|(name, brokers)| {
                (name, TopicMetadata { everywhere: None, brokers })
            });
            let group = |(consume_enable, broker_id)| GroupMetadata {
                everywhere: Some(GroupConfiguration { consume_enable, broker_id, ..Default::default() }),
                ..Default::default()
            };
            let account = AccountMetadata {
                secret_key: secret,
                admin: true,
                group_perms: list.clone(),
                ..Default::default()
            };
            let brokers = one("b", OffsetsOnBroker { queues });
            let topics = one("T", OffsetsInTopic { brokers });
            let metadata = ClusterMetadata {
                topics: Some(TopicsMetadata { topics: on_all.chain(on_some).collect() }),
                groups: Some(GroupsMetadata {
                    groups: groups.into_iter().map(|(name, values)| (name, group(values))).collect(),
                }),
                accounts: Some(AccountsMetadata {
                    white_addresses: list,
                    accounts: BTreeMap::from([("key".to_owned(), account)]),
                }),
                kv: Some(KvMetadata { namespaces: one("N", KvNamespace { values }) }),
                offsets: Some(OffsetsMetadata { groups: one("G", OffsetsOfGroup { topics }) }),
            };
            prop_assert_eq!(parse(&render(&metadata)).map_err(|e| e.to_string()), Ok(metadata));
        }

        #[test]
        fn no_text_panics(text in any::<String>()) {
            let _ = parse(&text);
        }
    }
}
