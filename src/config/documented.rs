//! Every setting as the shipped file documents it, for the page rmq-node.toml(5).
//!
//! Not how a file is read (`read`), nor checked (`check`); a test holds the values that are told here against that.

use super::REFERENCE;

/// A setting as the shipped file documents it.
#[derive(Debug)]
pub struct Documented {
    /// `[store]`, `[[broker]]`; empty above all tables.
    pub table: &'static str,
    /// Its key.
    pub key: &'static str,
    /// What it means.
    pub text: String,
    /// The key of 4.9.4 that it replaces, or how 4.9.4 does without one.
    pub of_4_9_4: Option<String>,
    /// Its default, or an example, as it is written.
    pub value: &'static str,
    /// Whether `value` is the default.
    pub is_default: bool,
}

impl Documented {
    /// What it is written as.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self.value.as_bytes() {
            [b'"', ..] => "text",
            b"true" | b"false" => "true or false",
            [b'[', b'"', ..] => "list of texts",
            [b'[', ..] => "list of whole numbers",
            _ => "whole number",
        }
    }

    /// Which values it can have, if it is a number or one of some words.
    #[must_use]
    pub fn values(&self) -> Option<String> {
        let text = match (self.table, self.key) {
            ("[[broker]]", "port") => "3 to 65534",
            ("[console]", "port") => "0 to 65535",
            ("[metrics]" | "[alerts]", "interval_s") => "1 to 3600",
            (_, "port") => "1 to 65535",
            ("[[broker]]", "id") => "0 for a master, 1 or more for a slave",
            ("[[broker]]", "role") => "master, slave",
            ("[[broker]]", "flush" | "replication") => "async, sync",
            ("[store]", "segment_bytes") => "1048576 or more",
            ("[store]", "max_message_bytes") => "1024 to half of segment_bytes",
            ("[store]", "delete_hours") => "0 to 23 each, one at least",
            (
                "[store]",
                "disk_expire_percent" | "disk_force_percent" | "disk_read_only_percent",
            ) => "1 to 100, no less than the one before",
            ("[[broker]]", "start_without_slave_after_s") => "0 or more",
            ("[limits]", "frame_bytes_max") => "more than max_message_bytes",
            ("[tls]", "client_certificates") => "none, optional, required",
            ("[tls]", "mode") => "disabled, permissive, enforcing",
            ("[log]", "level") => "error, warn, info, debug, trace",
            ("[alerts]", "mail_tls") => "starttls, tls, none",
            ("[alerts]", _) if self.kind() == "whole number" => "0 or more",
            _ if self.kind() == "whole number" => "1 or more",
            _ => return None,
        };
        Some(text.to_owned())
    }
}

/// What a line of the shipped file is.
enum Line {
    Table(&'static str),
    Setting(&'static str, &'static str, bool),
    Text(&'static str),
    Blank,
}

fn line(text: &'static str, next: Option<&'static str>) -> Line {
    let bare = text.trim_start_matches('#');
    if text.is_empty() {
        return Line::Blank;
    }
    if bare.starts_with('[') {
        return Line::Table(bare);
    }
    let Some(comment) = bare.strip_prefix(' ') else {
        // `#key = value` is a default; `#` alone parts paragraphs.
        return match bare.split_once(" = ") {
            Some((key, value)) => Line::Setting(key, value, true),
            None => Line::Blank,
        };
    };
    let is_key = |key: &str| key.chars().all(|c| c.is_ascii_lowercase() || c == '_');
    // An example within a sentence is part of its text.
    let goes_on = |next: &str| {
        next.strip_prefix("# ").is_some_and(|next| next.starts_with(|c: char| c.is_lowercase()))
    };
    let is_last = !next.is_some_and(goes_on);
    match comment.split_once(" = ") {
        Some((key, value)) if is_last && is_key(key) => Line::Setting(key, value, false),
        _ => Line::Text(comment),
    }
}

/// The lines of the shipped file, each with the comments that stand right above it.
fn lines() -> Vec<(Vec<&'static str>, Line)> {
    let all: Vec<_> = REFERENCE.lines().collect();
    let (mut found, mut above) = (Vec::new(), Vec::new());
    for (at, text) in all.iter().enumerate() {
        match line(text, all.get(at + 1).copied()) {
            Line::Text(text) => above.push(text),
            other => found.push((std::mem::take(&mut above), other)),
        }
    }
    found
}

/// The head of the file, by paragraphs.
#[must_use]
pub fn introduction() -> Vec<String> {
    let head = lines().into_iter().take_while(|(_, line)| matches!(line, Line::Blank));
    head.filter(|(text, _)| !text.is_empty()).map(|(text, _)| text.join(" ")).collect()
}

/// What stands above a table.
#[must_use]
pub fn about_table(table: &str) -> String {
    let of_table = |line: &Line| matches!(line, Line::Table(name) if *name == table);
    let found = lines().into_iter().find(|(_, line)| of_table(line));
    found.map(|(text, _)| text.join(" ")).unwrap_or_default()
}

/// Every setting, in the order of the file.
#[must_use]
pub fn settings() -> Vec<Documented> {
    let (mut table, mut settings) = ("", Vec::new());
    for (above, line) in lines() {
        match line {
            Line::Table(name) => table = name,
            Line::Setting(key, value, is_default) => {
                let (text, of_4_9_4) = without_theirs(&above.join(" "));
                settings.push(Documented { table, key, text, of_4_9_4, value, is_default });
            }
            Line::Text(_) | Line::Blank => {}
        }
    }
    settings
}

/// A text, and what its last brackets say of 4.9.4.
fn without_theirs(text: &str) -> (String, Option<String>) {
    let ends = text.strip_suffix(')').and_then(|text| text.rsplit_once('('));
    match ends {
        Some((text, theirs)) => {
            let theirs = theirs.strip_prefix("4.9.4 ").unwrap_or(theirs);
            (text.trim_end().to_owned(), Some(theirs.to_owned()))
        }
        None => (text.to_owned(), None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Sources, load};

    #[test]
    fn all_settings_are_found_with_what_stands_above_them() {
        let settings = settings();
        let find = |table: &str, key: &str| {
            settings.iter().find(|one| one.table == table && one.key == key).unwrap()
        };
        let cluster = find("", "cluster");
        assert_eq!(cluster.text, "The cluster that the brokers here belong to.");
        assert_eq!(cluster.of_4_9_4.as_deref(), Some("brokerClusterName"));
        assert_eq!((cluster.value, cluster.is_default), ("\"DefaultCluster\"", true));
        assert_eq!(find("", "listen").of_4_9_4.as_deref(), Some("binds all"));
        assert!(!find("", "advertise").is_default);
        assert_eq!(find("[name_server]", "port").text, "");
        assert_eq!(find("[[broker]]", "role").kind(), "text");
        assert_eq!(find("[store]", "delete_hours").kind(), "list of whole numbers");
        assert!(about_table("[name_server]").contains("broker = [] above all tables"));
        assert_eq!(introduction().len(), 3, "{:#?}", introduction());
        assert!(settings.iter().all(|one| !one.table.is_empty() || one.key != "broker"));
    }

    /// One line more than a file that is right.
    fn is_taken(setting: &Documented, value: &str) -> bool {
        let broker = "listen = \"127.0.0.1\"\nname_servers = [\"127.0.0.1:9876\"]\n[[broker]]\ngroup = \"broker-a\"\n";
        let (head, body) = match setting.table {
            "[[broker]]" => (broker, ""),
            table => ("", table),
        };
        let extra = match (setting.table, setting.key) {
            ("[[broker]]", "in_sync_min") => "replication = \"sync\"\n",
            ("[store]", "segment_bytes") => "max_message_bytes = 1024\n",
            _ => "",
        };
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("node.toml");
        std::fs::write(&file, format!("{head}{body}\n{extra}{} = {value}\n", setting.key)).unwrap();
        load(&Sources { config_file: Some(file), ..Sources::default() }).is_ok()
    }

    #[test]
    fn the_least_value_that_is_told_is_taken_and_what_is_beyond_is_not() {
        let mut checked = 0;
        for setting in settings() {
            let Some(values) = setting.values() else { continue };
            let Some(least) = values.split(' ').next().and_then(|word| word.parse::<u64>().ok())
            else {
                // What else a slave and TLS need is not here.
                let is_alone = setting.kind() == "text" && setting.table != "[tls]";
                for word in values.split(", ").filter(|word| is_alone && *word != "slave") {
                    assert!(is_taken(&setting, &format!("\"{word}\"")), "{word}");
                    checked += 1;
                }
                continue;
            };
            let written = |number: u64| match setting.kind() {
                "list of whole numbers" => format!("[{number}]"),
                _ => number.to_string(),
            };
            let name = (setting.table, setting.key);
            // They must rise, and the others have their defaults.
            let is_one_of_some =
                setting.key.starts_with("disk_f") || setting.key.starts_with("disk_r");
            assert!(is_one_of_some || is_taken(&setting, &written(least)), "{name:?} = {least}");
            if least > 0 {
                assert!(!is_taken(&setting, &written(least - 1)), "{name:?} = {}", least - 1);
            }
            let greatest = values.split(' ').nth(2).filter(|_| values.contains(" to "));
            if let Some(greatest) = greatest.and_then(|word| word.parse::<u64>().ok()) {
                let name = (setting.table, setting.key);
                assert!(!is_taken(&setting, &written(greatest + 1)), "{name:?} > {greatest}");
            }
            checked += 1;
        }
        assert!(checked > 30, "{checked}");
    }
}
