//! The list of all request codes, `tests/golden/codes.txt`: who answers each, and what shows that the answers are 4.9.4's.
//!
//! Made of the exchanges captured from 4.9.4 and of the list of differences, which `tests/golden/compare` holds a node
//! against; what 4.9.4 has no answer to, or was captured refusing only, is named by hand. Invariants: no code is without
//! anything that shows how it is answered; the committed list is the one that is made here.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use rmq_node::remoting::{decode, request, response};

use crate::golden::{FIRST_OF_BROKER, captured, differences};

/// A row of what asks a code: the code, the file of a test, and the function of the test with those through which it asks.
type Row = (i32, &'static str, &'static [&'static str]);

/// Codes beyond what was captured, or of which only refusals were, each with a test that asks it.
const ELSEWHERE: [Row; 13] = [
    (
        46,
        "src/broker/subscriptions_tests.rs",
        &["an_expression_is_checked_before_a_client_subscribes_b233", "checked"],
    ),
    (351, "src/broker/topics.rs", &["one_topic_is_told_as_5x_does"]),
    (352, "src/broker/groups.rs", &["one_group_is_told_as_5x_does"]),
    (9001, "src/broker/extension.rs", &["who_asks_is_told_who_is_there"]),
    (9003, "src/broker/dial_back.rs", &["only_registered_ports_of_the_asker_are_dialled", "ask"]),
    (
        9004,
        "src/broker/positions.rs",
        &["a_stale_copy_undoes_no_reset_no_deletion_and_no_re_creation", "told"],
    ),
    (9005, "src/broker/extension.rs", &["only_a_slave_begins_anew"]),
    (
        9006,
        "src/broker/accounts.rs",
        &["a_slave_and_its_master_come_to_have_the_same_accounts", "exchange_with", "ask"],
    ),
    (9007, "src/broker/timers_tests.rs", &["a_cancelled_message_is_not_delivered", "cancel_as"]),
    (
        9008,
        "src/broker/timers_tests.rs",
        &["what_waits_is_listed_in_parts_in_the_order_of_its_times"],
    ),
    (9009, "src/broker/figures.rs", &["what_a_group_has_not_got_is_told_with_its_age"]),
    (
        9010,
        "src/broker/broker_config.rs",
        &["what_was_changed_is_kept_over_a_restart_until_it_is_taken_back", "told"],
    ),
    (
        9011,
        "src/broker/broker_config.rs",
        &["what_was_changed_is_kept_over_a_restart_until_it_is_taken_back", "reset_key"],
    ),
];
/// How many exchanges of one code are named.
const NAMED: usize = 3;

/// What was captured of one code.
#[derive(Default)]
struct Seen {
    /// Names of exchanges that a name server, and a broker, answered.
    names: Vec<&'static str>,
    broker: Vec<&'static str>,
    /// Names of those in which a broker says that it has no such code.
    unknown: Vec<&'static str>,
    /// Names of those in which a broker asked a client.
    pushed: Vec<&'static str>,
    /// Names of those that nobody answers, and that we may.
    silent: Vec<&'static str>,
}

fn all_seen() -> BTreeMap<i32, Seen> {
    let mut all: BTreeMap<i32, Seen> = BTreeMap::new();
    let lines = captured();
    let first_of_broker = lines.iter().position(|line| line.name == FIRST_OF_BROKER).unwrap();
    let code_of = |line: usize| decode(lines[line].frame.clone()).expect(lines[line].name).code;
    let mut asked = 0;
    let mut names = BTreeSet::new();
    for (at, line) in lines.iter().enumerate() {
        match line.kind {
            "request" => {
                assert!(names.insert(line.name), "{} is there twice", line.name);
                asked = code_of(at);
            }
            "pushed" => all.entry(code_of(at)).or_default().pushed.push(line.name),
            "unanswered" => all.entry(code_of(at)).or_default().silent.push(line.name),
            _ => {
                let seen = all.entry(asked).or_default();
                let is_unknown = code_of(at) == response::REQUEST_CODE_NOT_SUPPORTED;
                let list = match (at < first_of_broker, is_unknown) {
                    (true, _) => &mut seen.names,
                    (false, true) => &mut seen.unknown,
                    (false, false) => &mut seen.broker,
                };
                list.push(line.name);
            }
        }
    }
    all
}

/// Some of the names, and how many there are.
fn some(names: &[&str]) -> String {
    let shown = names.iter().take(NAMED).copied().collect::<Vec<_>>().join(" ");
    let more = names.len().saturating_sub(NAMED);
    if more > 0 { format!("{shown} and {more} more") } else { shown }
}

fn describe(code: i32, seen: &Seen, differences: &BTreeMap<&str, &str>) -> String {
    let mut text = format!("{code} {}\n", request::name(code));
    let Seen { names, broker, unknown, pushed, silent } = seen;
    for (who, names) in [("name server", names), ("broker", broker), ("client", pushed)] {
        if !names.is_empty() {
            writeln!(text, "  {who}: {}", some(names)).unwrap();
        }
    }
    if names.is_empty() && broker.is_empty() && !unknown.is_empty() {
        writeln!(text, "  no broker: {}", some(unknown)).unwrap();
    }
    for (_, file, functions) in ELSEWHERE.iter().filter(|(other, ..)| *other == code) {
        writeln!(text, "  also: {file}: {}", functions[0]).unwrap();
    }
    for name in names.iter().chain(broker).chain(silent) {
        if let Some(reason) = differences.get(name) {
            writeln!(text, "  otherwise: {name}: {reason}").unwrap();
        }
    }
    assert!(text.lines().count() > 1, "nothing asks {}", request::name(code));
    text
}

#[test]
fn the_list_of_codes_is_made_of_the_exchanges() {
    let (mut seen, differences) = (all_seen(), differences());
    let known = (0..10_000).filter(|code| request::name(*code) != "UNKNOWN");
    let codes: BTreeSet<i32> = known.chain(seen.keys().copied()).collect();
    let mut made = String::from(
        "# Request codes and what shows how they are answered; made by tests/it/codes.rs, see README.md. A broker or a name server answers\n\
         # the named exchanges of captured.txt as 4.9.4 does, but for those that are listed as answered otherwise.\n",
    );
    for code in codes {
        made += &describe(code, &seen.remove(&code).unwrap_or_default(), &differences);
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let committed = fs::read_to_string(root.join("tests/golden/codes.txt")).unwrap_or_default();
    if committed != made {
        let new = Path::new(env!("CARGO_TARGET_TMPDIR")).join("codes.txt");
        fs::write(&new, made).unwrap();
        panic!("tests/golden/codes.txt is old: cp {} tests/golden/", new.display());
    }
}

#[test]
fn differences_are_of_captured_exchanges() {
    let names: BTreeSet<_> = captured().iter().map(|line| line.name).collect();
    for name in differences().into_keys() {
        assert!(names.contains(name), "{name} is no exchange");
    }
}

fn indent(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

/// The text of a function in a file of Rust, without comments and what stands before the next one.
fn text_of(file: &str, function: &str) -> String {
    let head = format!("fn {function}(");
    let code = file.lines().map(|line| line.split("//").next().unwrap_or_default());
    let mut lines = code.skip_while(|line| !line.contains(&head));
    let first = lines.next().unwrap_or_default();
    // A head of several lines ends as far out as it begins.
    let is_within = |line: &&str| {
        line.is_empty() || line.trim_start().starts_with(')') || indent(line) > indent(first)
    };
    let rest: Vec<&str> = lines.take_while(is_within).collect();
    format!("{first}\n{}", rest.join("\n"))
}

fn is_of_a_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// Whether a text calls the function of this very name.
fn calls(text: &str, function: &str) -> bool {
    let call = format!("{function}(");
    text.match_indices(&call).any(|(at, _)| !text[..at].ends_with(is_of_a_name))
}

/// Whether a text has a code as a number or by its name.
fn has_code(text: &str, code: i32) -> bool {
    let number = code.to_string();
    let names = [number.as_str(), request::name(code)];
    let mut words = text.split(|c| !is_of_a_name(c));
    words.any(|word| names.contains(&word))
}

/// What is wrong with a test that is said to ask a code: each of its functions calls the next one, and the last has the code.
fn broken(file: &str, code: i32, functions: &[&str]) -> Option<String> {
    functions.iter().enumerate().find_map(|(at, function)| {
        let text = text_of(file, function);
        let asks = match functions.get(at + 1) {
            Some(next) => calls(&text, next),
            None => has_code(&text, code),
        };
        (!asks).then(|| format!("{function} does not ask {code}, or is not there"))
    })
}

#[test]
fn tests_that_ask_codes_are_there_and_name_them() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (code, file, functions) in ELSEWHERE {
        let text = fs::read_to_string(root.join(file)).expect(file);
        assert_eq!(broken(&text, code, functions), None, "{file}");
    }
}

#[test]
fn a_test_that_is_gone_or_asks_no_more_is_told() {
    let file = "    async fn outer() {\n        asked(1).await; // ask(2)\n        task(3);\n    }\n\n    fn asked(\n        a: A,\n    ) -> B {\n        \
        request(9004) // 9005\n    }\n\n    // 9005\n    fn last() {\n        request::EXTENSION_ACCOUNTS_OF(90061)\n    }\n";
    assert_eq!(broken(file, 9004, &["outer", "asked"]), None);
    let rows: [(i32, &[&str]); 6] = [
        (9004, &["outer", "last"]),
        (9004, &["outer"]),
        (9004, &["gone"]),
        (9004, &["outer", "ask"]),
        (9005, &["asked"]),
        (9006, &["last"]),
    ];
    for (code, functions) in rows {
        let told = format!("{} does not ask {code}, or is not there", functions[0]);
        assert_eq!(broken(file, code, functions), Some(told), "{functions:?}");
    }
}
