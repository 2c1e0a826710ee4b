//! What 4.9.4 prints of its commands: the list of all, and one's usage as commons-cli's `HelpFormatter` lays it out.
//!
//! Invariant: byte for byte what its tool prints (`tests/golden/mqadmin_help.txt`).

use std::fmt::Write as _;

use super::table::{COMMANDS, Flag, Kind, OldCommand};

/// Columns of a help text (M-003).
const WIDTH: usize = 110;
/// `usage: `, below which a long usage goes on.
const USAGE_INDENT: usize = 7;
/// Blanks between a flag and its text.
const GAP: usize = 3;

/// All commands (M-001).
pub(super) fn list() -> String {
    let mut text = "The most commonly used mqadmin commands are:\n".to_owned();
    for OldCommand { name, about, .. } in COMMANDS {
        let _ = writeln!(text, "   {name:<20} {about}");
    }
    text + "\nSee 'mqadmin help <command>' for more information on a specific command.\n"
}

/// One command with its flags.
pub(super) fn usage(command: &OldCommand) -> String {
    let mut flags: Vec<&Flag> = command.all_flags().collect();
    flags.sort_by_key(|flag| flag.short.to_ascii_lowercase());
    let mut line = format!("usage: mqadmin {}", command.name);
    let either: Vec<_> =
        flags.iter().filter(|flag| flag.kind == Kind::Either).map(|flag| short(flag)).collect();
    let mut is_either_written = false;
    for flag in &flags {
        line.push(' ');
        match flag.kind {
            Kind::Must => line += &short(flag),
            Kind::May | Kind::Switch => {
                let _ = write!(line, "[{}]", short(flag));
            }
            // They stand where the first of them does, with a blank more.
            Kind::Either if is_either_written => _ = line.pop(),
            Kind::Either => {
                is_either_written = true;
                line += &(either.join(" | ") + " ");
            }
        }
    }
    let mut text = wrapped(&line, USAGE_INDENT);
    let heads: Vec<String> = flags.iter().map(|flag| head(flag)).collect();
    let indent = heads.iter().map(|head| head.chars().count()).max().unwrap_or(0) + GAP;
    for (flag, head) in flags.iter().zip(heads) {
        text += &wrapped(&format!("{head:<indent$}{}", flag.about), indent);
    }
    text
}

fn short(flag: &Flag) -> String {
    let value = if flag.has_value() { " <arg>" } else { "" };
    format!("-{}{value}", flag.short)
}

fn head(flag: &Flag) -> String {
    let value = if flag.has_value() { " <arg>" } else { "" };
    format!(" -{},--{}{value}", flag.short, flag.long)
}

/// A line, broken before [`WIDTH`]; what follows the first is indented.
fn wrapped(line: &str, indent: usize) -> String {
    let padding = " ".repeat(indent);
    let (mut text, mut rest) = (String::new(), line.to_owned());
    while rest.len() > WIDTH {
        let Some(at) =
            rest.get(..=WIDTH).and_then(|start| start.rfind(' ')).filter(|at| *at >= indent)
        else {
            break;
        };
        let _ = writeln!(text, "{}", rest[..at].trim_end());
        rest = format!("{padding}{}", rest[at..].trim());
    }
    text + rest.trim_end() + "\n"
}
