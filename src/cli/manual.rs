//! Man pages, made of the argument definitions and of the documented settings.
//!
//! One page for all of `rmq-node admin`, one for the old commands of mqadmin, one a command for the rest, and
//! rmq-node.toml(5). Invariants: no page has a date, so that the same definitions make the same pages; each example is a
//! command that is understood.

use std::io;
use std::path::{Path, PathBuf};

use clap::{Arg, Command, CommandFactory};
use clap_mangen::Man;
use clap_mangen::roff::{Inline, Roff, bold, italic, roman};

use super::{Cli, admin, mqadmin};
use crate::config::documented::{self, Documented};

/// What stands below every page.
const MANUAL: &str = "rmq-node";

/// Commands of `rmq-node admin`, and what they are for.
const EXAMPLES: [(&str, &str); 10] = [
    ("How every broker is, every two seconds:", "rmq-node admin cluster --watch 2"),
    (
        "The same of another cluster, ours or Apache's:",
        "rmq-node admin cluster -n 192.168.1.161:9876",
    ),
    ("A topic on every master:", "rmq-node admin topics create Orders --queues 16"),
    ("Which groups are behind, for a script:", "rmq-node admin groups -o json"),
    (
        "What a group would read again from a time on:",
        "rmq-node admin offsets reset readers --topic Orders --to 2026-11-25T01:26:19 --dry-run",
    ),
    ("A message with its body:", "rmq-node admin messages show C0A801A100002A9F0000000000000000"),
    ("New messages with a tag:", "rmq-node admin messages tail Orders --tag paid"),
    ("What the cluster is configured to be, for git:", "rmq-node admin export cluster.yml"),
    ("What another one lacks of it:", "rmq-node admin diff cluster.yml -n 192.168.2.161:9876"),
    ("Make it so:", "rmq-node admin apply cluster.yml -n 192.168.2.161:9876"),
];

/// Exit codes of `run`.
const EXIT_CODES: [(u8, &str); 4] = [
    (0, "Told to stop, and stopped in order."),
    (
        1,
        "Something failed that time or a hand can heal: a port or the data directory is taken, no role's data can be used, \
         or at the end not all could be saved. Of other commands, too.",
    ),
    (2, "Wrong usage."),
    (78, "The settings are wrong."),
];

const FILES: [(&str, &str); 5] = [
    ("/etc/rmq-node/rmq-node.toml, /etc/rmq-node/conf.d/*.toml", "The settings: rmq-node.toml(5)."),
    ("/var/lib/rmq-node", "Where the packaged unit keeps everything."),
    ("/run/rmq-node/admin.sock", "The node's socket, for root and the group rmq-node."),
    ("/run/rmq-node/settings.toml", "The settings that the node runs with."),
    ("/var/lib/rmq-node/audit.jsonl", "Who changed what through the node."),
];

/// Every page below `man`.
///
/// # Errors
/// Never in practice: the pages are made in memory.
pub fn pages() -> io::Result<Vec<(PathBuf, Vec<u8>)>> {
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    let mut pages = vec![("rmq-node.1".to_owned(), root_page(&command)?)];
    for below in command.get_subcommands().filter(|below| !below.is_hide_set()) {
        match below.get_name() {
            "admin" => pages.push((format!("{}.1", name(below)), admin_page(below)?)),
            _ => command_pages(below, &mut pages)?,
        }
    }
    // One page for all of them, not to be mistaken for that of 4.9.4's own tool.
    pages.push(("rmq-node-mqadmin.1".to_owned(), mqadmin_page()?));
    pages.push(("rmq-node.toml.5".to_owned(), settings_page()?));
    let man = Path::new("man");
    Ok(pages.into_iter().map(|(name, content)| (man.join(name), content)).collect())
}

fn name(command: &Command) -> &str {
    command.get_display_name().unwrap_or_else(|| command.get_name())
}

fn man(command: Command) -> Man {
    Man::new(command).date("").manual(MANUAL)
}

/// A page for `command`, which was built, and for each of its visible subcommands.
fn command_pages(command: &Command, pages: &mut Vec<(String, Vec<u8>)>) -> io::Result<()> {
    let mut content = Vec::new();
    man(command.clone()).render(&mut content)?;
    pages.push((format!("{}.1", name(command)), content));
    for below in command.get_subcommands().filter(|below| !below.is_hide_set()) {
        command_pages(below, pages)?;
    }
    Ok(())
}

fn root_page(command: &Command) -> io::Result<Vec<u8>> {
    let mut page = Vec::new();
    man(command.clone()).render(&mut page)?;
    let mut rest = Roff::new();
    exit_codes(&mut rest, &EXIT_CODES);
    terms(&mut rest, "FILES", &FILES);
    see_also(
        &mut rest,
        "rmq-node.toml(5), rmq-node-admin(1), rmq-node-mqadmin(1), rmq-node-doctor(1), systemctl(1)",
    );
    rest.to_writer(&mut page)?;
    Ok(page)
}

/// All nouns and verbs on one page.
fn admin_page(command: &Command) -> io::Result<Vec<u8>> {
    let (mut page, man) = (Vec::new(), man(command.clone()));
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    let mut rest = Roff::new();
    rest.control("SH", ["COMMANDS"]);
    for noun in command.get_subcommands().filter(|noun| !noun.is_hide_set()) {
        let verbs: Vec<_> = noun.get_subcommands().filter(|verb| !verb.is_hide_set()).collect();
        if verbs.is_empty() {
            one_command(&mut rest, noun);
            continue;
        }
        rest.control("SS", [noun.get_name()]);
        rest.text([roman(about(noun))]);
        for verb in verbs {
            one_command(&mut rest, verb);
        }
    }
    rest.control("SH", ["EXAMPLES"]);
    for (what, line) in EXAMPLES {
        rest.control("PP", []).text([roman(what)]);
        rest.control("PP", []).control("RS", ["4"]).text([bold(line)]).control("RE", []);
    }
    exit_codes(&mut rest, &admin::EXIT_CODES);
    terms(&mut rest, "FILES", &FILES);
    see_also(&mut rest, "rmq-node(1), rmq-node-mqadmin(1), rmq-node.toml(5)");
    rest.to_writer(&mut page)?;
    Ok(page)
}

fn about(command: &Command) -> String {
    let about = command.get_long_about().or_else(|| command.get_about());
    about.map(ToString::to_string).unwrap_or_default()
}

/// How a command is called, what it does, and its own arguments; then those below it.
fn one_command(page: &mut Roff, command: &Command) {
    let usage = command.clone().render_usage().to_string();
    let usage = usage.trim_start_matches("Usage: ").replace('\n', " ");
    page.control("SS", [usage.as_str()]).text([roman(about(command))]);
    let own = |argument: &&Arg| !argument.is_global_set() && !argument.is_hide_set();
    for argument in command.get_arguments().filter(own).filter(|one| one.get_id() != "help") {
        page.control("TP", []).text(tag(argument)).text([roman(help(argument))]);
    }
    for below in command.get_subcommands().filter(|below| !below.is_hide_set()) {
        one_command(page, below);
    }
}

fn tag(argument: &Arg) -> Vec<Inline> {
    let values = argument.get_value_names().unwrap_or_default();
    let values: Vec<_> = values.iter().map(|name| format!("<{name}>")).collect();
    let takes_values = argument.is_positional() || argument.get_action().takes_values();
    let values = if takes_values { values.join(" ") } else { String::new() };
    if argument.is_positional() {
        return vec![italic(values)];
    }
    let short = argument.get_short().map(|short| format!("-{short}"));
    let long = argument.get_long().map(|long| format!("--{long}"));
    let flags: Vec<_> = short.into_iter().chain(long).collect();
    let mut tag = vec![bold(flags.join(", "))];
    if !values.is_empty() {
        tag.extend([roman(" "), italic(values)]);
    }
    tag
}

fn help(argument: &Arg) -> String {
    let help = argument.get_long_help().or_else(|| argument.get_help());
    let mut text = help.map(ToString::to_string).unwrap_or_default();
    if argument.get_action().takes_values() {
        let possible = argument.get_possible_values();
        let possible: Vec<_> = possible.iter().map(|one| one.get_name()).collect();
        if !possible.is_empty() {
            text += &format!(" [possible values: {}]", possible.join(", "));
        }
        let default: Vec<_> =
            argument.get_default_values().iter().map(|one| one.to_string_lossy()).collect();
        if !default.is_empty() {
            text += &format!(" [default: {}]", default.join(" "));
        }
    }
    text
}

fn exit_codes(page: &mut Roff, codes: &[(u8, &str)]) {
    page.control("SH", ["EXIT STATUS"]);
    for (code, meaning) in codes {
        page.control("TP", []).text([bold(code.to_string())]).text([roman(*meaning)]);
    }
}

fn terms(page: &mut Roff, title: &str, terms: &[(&str, &str)]) {
    page.control("SH", [title]);
    for (term, meaning) in terms {
        page.control("TP", []).text([italic(*term)]).text([roman(*meaning)]);
    }
}

fn see_also(page: &mut Roff, pages: &str) {
    page.control("SH", ["SEE ALSO"]).text([roman(pages)]);
}

/// The page of the old commands: the help of each as it is printed.
fn mqadmin_page() -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    man(mqadmin::program()).render(&mut content)?;
    content.extend_from_slice(b".SH COMMANDS\n");
    for (name, help) in mqadmin::helps() {
        let help = help.replace('\\', "\\e").replace('-', "\\-").replace('\'', "\\(aq");
        content.extend_from_slice(format!(".SS {name}\n.nf\n{help}.fi\n").as_bytes());
    }
    Ok(content)
}

/// rmq-node.toml(5): every setting.
fn settings_page() -> io::Result<Vec<u8>> {
    let mut page = Roff::new();
    page.control("TH", ["rmq-node.toml", "5", "", "", MANUAL]);
    page.control("SH", ["NAME"]).text([roman("rmq-node.toml - the settings of rmq-node")]);
    page.control("SH", ["SYNOPSIS"]).text([
        italic("/etc/rmq-node/rmq-node.toml"),
        roman(", "),
        italic("/etc/rmq-node/conf.d/*.toml"),
        roman(", the environment as "),
        bold("RMQ_NODE_"),
        italic("TABLE"),
        bold("__"),
        italic("KEY"),
    ]);
    page.control("SH", ["DESCRIPTION"]);
    for paragraph in documented::introduction() {
        page.control("PP", []).text([roman(paragraph)]);
    }
    let settings = documented::settings();
    let mut table = None;
    for setting in &settings {
        if table != Some(setting.table) {
            table = Some(setting.table);
            let title = if setting.table.is_empty() { "ABOVE ALL TABLES" } else { setting.table };
            page.control("SH", [title]);
            let about = documented::about_table(setting.table);
            if !about.is_empty() {
                page.text([roman(about)]);
            }
        }
        one_setting(&mut page, setting);
    }
    see_also(
        &mut page,
        "rmq-node(1), rmq-node-config(1), rmq-node-config-check(1), rmq-node-config-show(1)",
    );
    let mut content = Vec::new();
    page.to_writer(&mut content)?;
    Ok(content)
}

fn one_setting(page: &mut Roff, setting: &Documented) {
    page.control("TP", []).text([bold(setting.key)]).text([roman(&setting.text)]);
    let mut facts = vec![format!("Type: {}", setting.kind())];
    if let Some(values) = setting.values() {
        facts.push(format!("values: {values}"));
    }
    let value = if setting.is_default { "default" } else { "example" };
    facts.push(format!("{value}: {}", setting.value));
    if let Some(theirs) = &setting.of_4_9_4 {
        facts.push(format!("in 4.9.4: {theirs}"));
    }
    page.control("IP", []).text([roman(facts.join("; ") + ".")]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_example_is_understood() {
        for (_, line) in EXAMPLES {
            let parsed = Cli::command().try_get_matches_from(line.split(' '));
            assert!(parsed.is_ok(), "{line}: {}", parsed.unwrap_err());
        }
    }

    /// The commands of this program in a line of a page: the line itself, and what stands in backticks, `admin` alone too.
    fn commands(line: &str) -> Vec<String> {
        let quoted = line.split('`').skip(1).step_by(2).filter(|text| !text.contains('['));
        let quoted = quoted.map(|text| match text.split_once(' ') {
            Some(("admin", _)) => format!("rmq-node {text}"),
            _ => text.to_owned(),
        });
        let whole = line.strip_prefix("  ").and_then(|line| line.split(['#', '>']).next());
        let all = quoted.chain(whole.map(|line| line.trim().to_owned()));
        all.filter(|text| text.starts_with("rmq-node ")).collect()
    }

    #[test]
    fn each_command_of_the_pages_is_understood() {
        use clap::error::ErrorKind::{
            DisplayHelpOnMissingArgumentOrSubcommand, MissingRequiredArgument, MissingSubcommand,
        };
        let mut understood = 0;
        for page in [
            "README.md",
            "CHANGELOG.md",
            "conf/README.md",
            "packaging/README.md",
            "packaging/deb/README.Debian",
            "packaging/prometheus/README.md",
            "proto/README.md",
        ] {
            let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(page);
            let text = std::fs::read_to_string(file).unwrap();
            for command in text.lines().flat_map(commands) {
                understood += 1;
                let words: Vec<_> = command.split_whitespace().collect();
                let is_old = |name: &&str| mqadmin::helps().any(|(old, _)| old == *name);
                if words.get(2).is_some_and(is_old) {
                    continue;
                }
                let Err(error) = Cli::command().try_get_matches_from(&words) else { continue };
                // A noun may be named without its verb.
                let is_named = [
                    DisplayHelpOnMissingArgumentOrSubcommand,
                    MissingRequiredArgument,
                    MissingSubcommand,
                ];
                assert!(is_named.contains(&error.kind()), "{page}: {command}: {error}");
            }
        }
        assert!(understood > 50, "{understood}");
    }

    #[test]
    fn the_page_of_admin_has_every_verb_and_the_page_of_settings_every_key() {
        let pages = pages().unwrap();
        let page = |name: &str| {
            let found = pages.iter().find(|(path, _)| path.ends_with(name));
            String::from_utf8(found.unwrap().1.clone()).unwrap().replace("\\-", "-")
        };
        let text = page("rmq-node-admin.1");
        let mut command = Cli::command().disable_help_subcommand(true);
        command.build();
        let admin = command.find_subcommand("admin").unwrap();
        for noun in admin.get_subcommands().filter(|noun| !noun.is_hide_set()) {
            for verb in noun.get_subcommands().filter(|verb| !verb.is_hide_set()) {
                let words = format!("rmq-node admin {} {} ", noun.get_name(), verb.get_name());
                assert!(text.contains(words.trim_end()), "{words}");
            }
        }
        let text = page("rmq-node.toml.5");
        for setting in documented::settings() {
            assert!(text.contains(&format!("\\fB{}\\fR", setting.key)), "{}", setting.key);
        }
    }
}
