//! The list of all request codes, `tests/golden/codes.txt`: who answers each, and what shows that the answers are 4.9.4's.
//!
//! Made of the exchanges captured from 4.9.4 and of the list of differences, which `tests/golden/compare` holds a node
//! against; what 4.9.4 has no answer to, or only with accounts, is named by hand. Invariants: no code is without
//! anything that shows how it is answered; the committed list is the one that is made here.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use rmq_node::remoting::{decode, request, response};

use crate::golden::{FIRST_OF_BROKER, captured, differences};

/// Codes beyond what was captured, each with a file that asks it.
const ELSEWHERE: [(i32, &str); 17] = [
    (50, "src/broker/accounts.rs"),
    (51, "src/broker/accounts.rs"),
    (52, "src/broker/accounts.rs"),
    (53, "src/broker/accounts.rs"),
    (54, "src/broker/accounts.rs"),
    (351, "src/broker/topics.rs"),
    (352, "src/broker/groups.rs"),
    (9001, "src/admin/tests.rs"),
    (9003, "src/broker/dial_back.rs"),
    (9004, "src/broker/positions.rs"),
    (9005, "src/admin/tests.rs"),
    (9006, "src/broker/accounts.rs"),
    (9007, "src/broker/timers_tests.rs"),
    (9008, "src/broker/timers_tests.rs"),
    (9009, "src/broker/figures.rs"),
    (9010, "src/broker/broker_config.rs"),
    (9011, "src/broker/broker_config.rs"),
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
    for (_, file) in ELSEWHERE.iter().filter(|(other, _)| *other == code) {
        writeln!(text, "  also: {file}").unwrap();
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

#[test]
fn files_that_ask_codes_name_them() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (code, file) in ELSEWHERE {
        let text = fs::read_to_string(root.join(file)).expect(file);
        let names = [code.to_string(), request::name(code).to_owned()];
        assert!(names.iter().any(|name| text.contains(name)), "{file} does not ask {code}");
    }
}
