//! Reads one file strictly: what it says, and where it says it.
//!
//! Not the meaning of values across files. Invariant: whatever [`read`] accepts, the merged value of
//! all layers deserialises too; what it refuses is refused with line, column and what to write instead.

use std::collections::BTreeMap;

use toml::de::{DeTable, DeValue};

use super::Problem;
use super::reference::successors;
use super::settings::Settings;

/// A file that is right in itself.
#[derive(Clone, Debug)]
pub struct Document {
    /// What it says.
    pub table: toml::Table,
    /// `file:line:column` of each value, by its key's path (`broker[0].port`).
    pub positions: BTreeMap<String, String>,
}

/// Reads `text`; `name` is what its positions begin with.
///
/// # Errors
/// The first thing in it that is not TOML, not a setting, or not of the setting's type.
pub fn read(name: &str, text: &str) -> Result<Document, Problem> {
    let refuse = |error: toml::de::Error| mistake(name, text, &error);
    toml::from_str::<Settings>(text).map_err(refuse)?;
    let table = toml::from_str(text).map_err(refuse)?;
    let mut positions = BTreeMap::new();
    let spans = DeTable::parse(text).map_err(refuse)?;
    collect(spans.get_ref(), "", &mut |path, at| {
        positions.insert(path, position(name, text, at));
    });
    Ok(Document { table, positions })
}

/// What is wrong in the `text` of a file, with its place and in the words of somebody who writes it.
#[must_use]
pub fn mistake(name: &str, text: &str, error: &toml::de::Error) -> Problem {
    let at = error.span().map(|span| position(name, text, span.start));
    Problem { at, text: explain(error.message()) }
}

fn collect(table: &DeTable<'_>, prefix: &str, found: &mut dyn FnMut(String, usize)) {
    for (key, value) in table {
        let path = format!("{prefix}{}", key.get_ref());
        found(path.clone(), value.span().start);
        match value.get_ref() {
            DeValue::Table(table) => collect(table, &format!("{path}."), found),
            DeValue::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    found(format!("{path}[{index}]"), item.span().start);
                    if let DeValue::Table(table) = item.get_ref() {
                        collect(table, &format!("{path}[{index}]."), found);
                    }
                }
            }
            _ => {}
        }
    }
}

fn position(name: &str, text: &str, at: usize) -> String {
    let before = text.get(..at).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let line = before.matches('\n').count() + 1;
    format!("{name}:{line}:{}", before[line_start..].chars().count() + 1)
}

/// What serde says, in the words of somebody who writes a file.
pub(super) fn explain(message: &str) -> String {
    let quoted: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
    if let ("unknown field", [written, known @ ..]) = (first_words(message), quoted.as_slice()) {
        let instead = successors(written)
            .map_or_else(|| did_you_mean(written, known), |key| format!(": here it is {key}"));
        return format!("unknown key `{written}`{instead}");
    }
    if let ("unknown variant", [written, known @ ..]) = (first_words(message), quoted.as_slice()) {
        let known: Vec<String> = known.iter().map(|word| format!("\"{word}\"")).collect();
        return format!("\"{written}\" is not one of {}", known.join(", "));
    }
    let mut text = message.trim().replace('\n', ", ");
    for (theirs, ours) in [
        (
            "invalid type: map, expected a sequence",
            "a list is expected: write [[broker]] for tables, [1, 2] for values",
        ),
        ("missing field", "missing key"),
        ("expected u8", "expected a whole number from 0 to 255"),
        ("expected u16", "expected a whole number from 0 to 65535"),
        ("expected u32", "expected a whole number from 0 to 4294967295"),
        ("expected u64", "expected a whole number from 0"),
        ("expected usize", "expected a whole number from 0"),
        ("expected a string", "expected a text in quotes"),
        ("expected path string", "expected a text in quotes"),
        ("expected string or table", "expected a text in quotes"),
        ("expected a sequence", "expected a list in brackets"),
        ("expected socket address", "expected an address with a port in quotes"),
        (
            "invalid socket address syntax",
            "not an address with a port: write one such as \"127.0.0.1:9877\"",
        ),
        ("expected IP address", "expected an IP address in quotes"),
        ("invalid IP address syntax", "not an IP address: write one such as \"192.168.1.161\""),
    ] {
        text = text.replace(theirs, ours);
    }
    with_table(text)
}

/// Names a table as it is written, in the place of what holds it here: `NameServerTable` is `[name_server]`.
fn with_table(text: String) -> String {
    let Some((told, holder)) = text.split_once("expected struct ") else { return text };
    let (holder, rest) = holder.split_at(holder.find(' ').unwrap_or(holder.len()));
    let mut name = String::new();
    for c in holder.trim_end_matches("Table").chars() {
        if c.is_ascii_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(c.to_ascii_lowercase());
    }
    match name.as_str() {
        "broker" => format!("{told}expected tables: [[broker]]{rest}"),
        name => format!("{told}expected a table: [{name}]{rest}"),
    }
}

fn first_words(message: &str) -> &str {
    message.split_once(" `").map_or(message, |(words, _)| words)
}

/// The known word that is meant, or all of them.
#[must_use]
pub fn did_you_mean(written: &str, known: &[&str]) -> String {
    match nearest(written, known) {
        Some(word) => format!("; did you mean `{word}`?"),
        None => format!("; known here: {}", known.join(", ")),
    }
}

/// The known word that differs least, if it is near enough to be meant.
#[must_use]
pub fn nearest<'a>(written: &str, known: &[&'a str]) -> Option<&'a str> {
    // At least as many edits as they differ in length: those of a long text are not counted.
    let (edits_max, letters) = (1 + written.len() / 4, written.chars().count());
    let alike = known.iter().filter(|word| letters.abs_diff(word.chars().count()) <= edits_max);
    let (edits, word) = alike.map(|word| (distance(written, word), *word)).min()?;
    (edits <= edits_max).then_some(word)
}

/// How many characters must be put in, taken out, replaced or swapped with the next.
fn distance(from: &str, to: &str) -> usize {
    let (from, to): (Vec<char>, Vec<char>) = (from.chars().collect(), to.chars().collect());
    let mut rows = vec![(0..=to.len()).collect::<Vec<usize>>()];
    for i in 1..=from.len() {
        let mut row = vec![i];
        for j in 1..=to.len() {
            let replaced = rows[i - 1][j - 1] + usize::from(from[i - 1] != to[j - 1]);
            let mut least = replaced.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && from[i - 1] == to[j - 2] && from[i - 2] == to[j - 1] {
                least = least.min(rows[i - 2][j - 2] + 1);
            }
            row.push(least);
        }
        rows.push(row);
    }
    rows[from.len()][to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        read("a.toml", text).unwrap_err().to_string()
    }

    #[test]
    fn what_is_wrong_is_told_with_line_and_column() {
        let cases = [
            ("x", "a.toml:1:2: key with no value, expected `=`"),
            ("clustr = \"c\"", "a.toml:1:1: unknown key `clustr`; did you mean `cluster`?"),
            (
                "cluster = \"c\"\n[stroe]\nx = 1",
                "a.toml:2:2: unknown key `stroe`; did you mean `store`?",
            ),
            (
                "[store]\n  segment_byte = 1",
                "a.toml:2:3: unknown key `segment_byte`; did you mean `segment_bytes`?",
            ),
            (
                "[zoo]\n",
                "a.toml:1:2: unknown key `zoo`; known here: cluster, listen, advertise, \
                 replication_advertise, allow_internal_addresses, name_servers, data_dir, name_server, \
                 broker, store, auto_create, transactions, limits, tls, acl, admin, console, metrics, alerts, log",
            ),
            (
                "[[broker]]\ngroup = \"a\"\nport = 70000",
                "a.toml:3:8: invalid value: integer `70000`, expected a whole number from 0 to 65535",
            ),
            (
                "[store]\nretention_hours = \"72\"",
                "a.toml:2:19: invalid type: string \"72\", expected a whole number from 0",
            ),
            (
                "name_servers = \"a:9876\"",
                "a.toml:1:16: invalid type: string \"a:9876\", expected a list in brackets",
            ),
            (
                "listen = \"here\"",
                "a.toml:1:10: not an IP address: write one such as \"192.168.1.161\"",
            ),
            (
                "[[broker]]\ngroup = \"a\"\nflush = \"SYNC\"",
                "a.toml:3:9: \"SYNC\" is not one of \"async\", \"sync\"",
            ),
            (
                "[admin]\nlisten = \"127.0.0.1\"",
                "a.toml:2:10: not an address with a port: write one such as \"127.0.0.1:9877\"",
            ),
            (
                "[admin]\nlisten = 9877",
                "a.toml:2:10: invalid type: integer `9877`, expected an address with a port in quotes",
            ),
            ("[[broker]]\nport = 1", "a.toml:1:1: missing key `group`"),
            ("cluster = \"a\"\ncluster = \"b\"", "a.toml:2:1: duplicate key"),
        ];
        for (text, expected) in cases {
            assert_eq!(refused(text), expected, "{text}");
        }
    }

    #[test]
    fn positions_are_kept_for_each_value() {
        let text =
            "cluster = \"c\"\n\n[[broker]]\ngroup = \"a\"\n[[broker]]\ngroup = \"b\"\n  port = 1\n";
        let document = read("a.toml", text).unwrap();
        assert_eq!(document.positions["cluster"], "a.toml:1:11");
        assert_eq!(document.positions["broker[1].port"], "a.toml:7:10");
        assert_eq!(document.table["broker"][1]["port"].as_integer(), Some(1));
    }

    #[test]
    fn nearness_counts_edits() {
        assert_eq!(distance("store", "store"), 0);
        assert_eq!(distance("stroe", "store"), 1);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(did_you_mean("xyz", &["store", "log"]), "; known here: store, log");
        assert_eq!(nearest("störe", &["store", "log"]), Some("store"));
        // Edits of so many letters would not be counted in a day.
        assert_eq!(nearest(&"store".repeat(1 << 20), &["store", "log"]), None);
    }
}
