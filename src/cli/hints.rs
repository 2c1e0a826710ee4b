//! What was probably meant by words that clap does not take: noun and verb in another order, or by other names, as other
//! tools have them (`get topics`, `describe topic X`, `apply -f FILE`), and mqadmin's commands at the wrong place.
//!
//! Not a second way to say things: nothing is done but told. Invariant: what is proposed is taken by clap, flags and all.

use clap::{Command, CommandFactory};

use super::complete::quoted;
use super::table::safe;
use super::{Cli, mqadmin};

/// What others call our nouns.
const NOUNS: [(&str, &str); 9] = [
    ("all", "cluster"),
    ("nodes", "brokers"),
    ("consumer", "groups"),
    ("consumers", "groups"),
    ("producers", "clients"),
    ("account", "acl"),
    ("accounts", "acl"),
    ("users", "acl"),
    ("namesrv", "nameservers"),
];

/// What others call our verbs: those that may be meant, the empty one for a noun alone.
const VERBS: [(&str, &[&str]); 19] = [
    ("get", &["list", "show", ""]),
    ("ls", &["list", "show", ""]),
    ("list", &["list", "show", ""]),
    ("describe", &["show", "list", ""]),
    ("show", &["show", "list", ""]),
    ("info", &["show", "list", ""]),
    ("status", &["status", "show", "list", ""]),
    ("rm", &["delete"]),
    ("remove", &["delete"]),
    ("add", &["create"]),
    ("new", &["create"]),
    ("edit", &["update"]),
    ("set", &["update"]),
    ("alter", &["update"]),
    ("patch", &["update"]),
    ("scale", &["update"]),
    ("cordon", &["drain"]),
    ("uncordon", &["resume"]),
    ("logs", &["tail"]),
];

/// The command that was probably meant by these words, which stand behind the program's name.
pub(super) fn meant(words: &[String]) -> Option<String> {
    // What has a secret is not repeated.
    if words.iter().any(|word| word.starts_with("--secret-key")) {
        return None;
    }
    let found = of_admin(words).or_else(|| of_mqadmin(words))?;
    let shown: Vec<_> = found.iter().map(|word| quoted(&safe(word), None)).collect();
    Some(format!("rmq-node {}", shown.join(" ")))
}

/// `rmq-node admin NOUN VERB` and the other words.
fn of_admin(words: &[String]) -> Option<Vec<String>> {
    let cli = Cli::command();
    let admin = cli.find_subcommand("admin")?;
    let is_other = |word: &String| word != "admin" && cli.find_subcommand(word).is_some();
    if words.first().is_some_and(is_other) {
        return None;
    }
    let noun_at = words.iter().position(|word| noun(admin, word).is_some());
    let is_its = |(at, word): (usize, &String)| Some(at) != noun_at && is_verb(admin, word);
    let verb_at = words.iter().enumerate().position(is_its);
    let verb = verb_at.map(|at| words[at].to_lowercase());
    let noun = match noun_at {
        Some(at) => noun(admin, &words[at])?,
        None => only_noun_of(admin, verb.as_deref()?)?,
    };
    let others = words.iter().enumerate().filter(|(at, word)| {
        ![noun_at, verb_at].contains(&Some(*at)) && (*at, word.as_str()) != (0, "admin")
    });
    let others = as_ours(others.map(|(_, word)| word.as_str()), &noun);
    let known = VERBS.iter().find(|(name, _)| Some(*name) == verb.as_deref());
    let verbs = match (&verb, known) {
        (_, Some((_, verbs))) => verbs.to_vec(),
        (Some(verb), None) => vec![verb.as_str()],
        (None, None) => vec!["", "show"],
    };
    verbs.into_iter().find_map(|verb| {
        let verb = Some(verb).filter(|verb| !verb.is_empty());
        let own = ["admin", noun.as_str()].into_iter().chain(verb).map(str::to_owned);
        let all: Vec<String> = own.chain(others.clone()).collect();
        let program = std::iter::once("rmq-node");
        let read = cli.clone().try_get_matches_from(program.chain(all.iter().map(String::as_str)));
        // Help is none.
        read.map_or_else(|error| !error.use_stderr(), |_| true).then_some(all)
    })
}

/// Our name of a noun.
fn noun(admin: &Command, word: &str) -> Option<String> {
    let word = word.to_lowercase();
    let plural = format!("{word}s");
    let other = NOUNS.iter().find(|(other, _)| *other == word).map(|(_, name)| *name);
    let mut own = admin.get_subcommands().map(Command::get_name);
    other.or_else(|| own.find(|name| *name == word || *name == plural)).map(str::to_owned)
}

fn is_verb(admin: &Command, word: &str) -> bool {
    let word = word.to_lowercase();
    let is_ours = |noun: &Command| noun.find_subcommand(&word).is_some();
    VERBS.iter().any(|(name, _)| *name == word) || admin.get_subcommands().any(is_ours)
}

/// The one noun that has a verb.
fn only_noun_of(admin: &Command, verb: &str) -> Option<String> {
    let verb = VERBS.iter().find(|(name, _)| *name == verb).map_or(verb, |(_, verbs)| verbs[0]);
    let mut nouns = admin.get_subcommands().filter(|noun| noun.find_subcommand(verb).is_some());
    nouns.next().filter(|_| nouns.next().is_none()).map(|noun| noun.get_name().to_owned())
}

/// Words with what others' flags are here.
fn as_ours<'a>(words: impl Iterator<Item = &'a str>, noun: &str) -> Vec<String> {
    let takes_file = ["apply", "diff", "export"].contains(&noun);
    let ours = |word: &'a str| match word {
        "-f" | "--filename" if takes_file => vec![],
        "-w" => vec!["--watch", "2"],
        "-A" | "--all-namespaces" => vec![],
        "--force" => vec!["--yes"],
        word => vec![word],
    };
    words.flat_map(ours).map(str::to_owned).collect()
}

/// An old command, or what is nearly one, right behind `admin`, where it belongs.
fn of_mqadmin(words: &[String]) -> Option<Vec<String>> {
    let meant = words.iter().enumerate().find_map(|(at, word)| Some((at, mqadmin::similar(word)?)));
    let (at, name) = meant?;
    let others = words.iter().enumerate();
    let others =
        others.filter(|(other, word)| *other != at && (*other, word.as_str()) != (0, "admin"));
    let own = ["admin", name].map(str::to_owned);
    Some(own.into_iter().chain(others.map(|(_, word)| word.clone())).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_other_tools_call_it_is_told_by_its_name_here() {
        let meant = |line: &str| {
            let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
            meant(&words).unwrap_or_default().replacen("rmq-node admin ", "", 1)
        };
        for (given, expected) in [
            ("admin get topics", "topics list"),
            ("get topics -o yaml", "topics list -o yaml"),
            ("admin -n h:1 get topic Orders", "topics show -n h:1 Orders"),
            ("admin describe topic Orders", "topics show Orders"),
            ("admin topic", "topics"),
            ("topics", "topics"),
            ("admin topic Orders", "topics show Orders"),
            ("admin topics list Orders", "topics show Orders"),
            ("admin topics rm Orders --yes", "topics delete Orders --yes"),
            ("delete group readers", "groups delete readers"),
            ("admin create topic Orders", "topics create Orders"),
            ("admin get nodes -w", "brokers list --watch 2"),
            ("admin get cluster", "cluster"),
            ("admin get topics --help", "topics list --help"),
            ("admin get all -A", "cluster"),
            ("admin cordon broker-a", "brokers drain broker-a"),
            ("admin uncordon broker-a", "brokers resume broker-a"),
            ("admin logs Orders", "messages tail Orders"),
            ("admin apply -f my\u{1b} file", ""),
            ("apply -f cluster.yml --dry-run", "apply cluster.yml --dry-run"),
            ("admin get accounts", "acl list"),
            ("admin node status now", ""),
            ("config get topics", ""),
            ("admin get", ""),
            ("admin create Orders", ""),
            ("admin delete -f cluster.yml", ""),
            ("admin topics delete Orders --secret-key s", ""),
            ("admin topcis", ""),
            ("updateTopic -n h:1 -t T", "updateTopic -n h:1 -t T"),
            ("admin -n h:1 updatetopic -t T", "updateTopic -n h:1 -t T"),
            ("admin topicLst -n h:1", "topicList -n h:1"),
            ("admin topics delete Orders --force", "topics delete Orders --yes"),
        ] {
            assert_eq!(meant(given), expected, "{given}");
        }
        let odd = ["get", "topic", "a b\u{1b}"].map(str::to_owned);
        assert_eq!(super::meant(&odd).unwrap(), "rmq-node admin topics show a\\ b\\\\u\\{1b\\}");
    }
}
