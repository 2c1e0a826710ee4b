//! What differs between the settings that a node runs with and new ones, and whether it can take them over.
//!
//! Not the taking over (`node::live`). Invariant: one setting that cannot change in a running node refuses the others
//! with it, so that a node never runs with half of a file.

use super::layers::DEFAULT;
use super::{ConfigError, Loaded, Problem};

/// What a running node takes over: settings, and tables as a whole.
const LIVE: [&str; 12] = [
    "admin.logins_file",
    "alerts.",
    "allow_internal_addresses",
    "limits.",
    "log.",
    "metrics.",
    "store.delete_hours",
    "store.disk_expire_percent",
    "store.disk_force_percent",
    "store.disk_read_only_percent",
    "store.retention_hours",
    "tls.",
];

/// What a node that runs with `running` has to change to run with `new`, one `KEY = NEW, was OLD` each.
///
/// # Errors
/// All that needs a restart.
pub fn changes(running: &Loaded, new: &Loaded) -> Result<Vec<String>, ConfigError> {
    let mut changes = Vec::new();
    let mut problems = Vec::new();
    let mut paths: Vec<&String> = running.origins.keys().chain(new.origins.keys()).collect();
    paths.sort();
    paths.dedup();
    for path in paths {
        let [before, after] = [running, new].map(|loaded| loaded.origins.get(path));
        let [old, value] = [before, after].map(|found| found.map(|found| found.value.as_str()));
        if old == value {
            continue;
        }
        let now = value.map_or_else(|| format!("no {path}"), |value| format!("{path} = {value}"));
        if LIVE.iter().any(|live| path == live || (live.ends_with('.') && path.starts_with(live))) {
            changes.push(format!("{now}, was {}", old.unwrap_or("nothing")));
            continue;
        }
        let at = after.map(|found| found.origin.clone());
        problems.push(Problem {
            at: at.filter(|origin| !origin.starts_with(DEFAULT)),
            text: format!(
                "{now}: the node runs with {}, restart to apply it",
                old.unwrap_or("nothing there")
            ),
        });
    }
    if problems.is_empty() { Ok(changes) } else { Err(ConfigError(problems)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::check_text;

    fn loaded(text: &str) -> Loaded {
        check_text("a.toml", text).unwrap()
    }

    #[test]
    fn what_can_change_is_told_with_old_and_new() {
        let running = loaded("");
        assert_eq!(changes(&running, &loaded("cluster = \"DefaultCluster\"")), Ok(Vec::new()));
        let new = loaded(
            "[limits]\nconnections_max = 7\n[log]\nlevel = \"debug\"\n[store]\ndelete_hours = [1, 2]",
        );
        let expected = [
            "limits.connections_max = 7, was 20000",
            "log.level = \"debug\", was \"info\"",
            "store.delete_hours = [1, 2], was [4]",
        ];
        assert_eq!(changes(&running, &new).unwrap(), expected);
    }

    #[test]
    fn one_that_needs_a_restart_refuses_all_and_is_told_with_its_place() {
        let refused = |running: &str, new: &str| {
            changes(&loaded(running), &loaded(new)).unwrap_err().to_string()
        };
        let told = refused("", "cluster = \"C\"\n[log]\nlevel = \"warn\"");
        let expected = "a.toml:1:11: cluster = \"C\": the node runs with \"DefaultCluster\", restart to apply it";
        assert_eq!(told, expected);
        // From a default to nothing, and back: places are told where there are any.
        let two = "listen = \"127.0.0.1\"\n[name_server]\n[[broker]]\ngroup = \"broker-a\"\n[[broker]]\ngroup = \"b\"\nport = 20000";
        let one = "listen = \"127.0.0.1\"\n[name_server]\n[[broker]]\ngroup = \"broker-a\"";
        let told = refused(one, two);
        let expected = "a.toml:6:9: broker[1].group = \"b\": the node runs with nothing there, restart to apply it";
        assert!(told.lines().any(|line| line == expected), "{told}");
        let told = refused(two, one);
        let expected = "no broker[1].group: the node runs with \"b\", restart to apply it";
        assert!(told.lines().any(|line| line == expected), "{told}");
    }

    #[test]
    fn what_is_listed_and_read_again_is_no_change() {
        let running = loaded("data_dir = \"/data\"\n[log]\nlevel = \"warn\"");
        let listed = check_text("settings.toml", &running.listing()).unwrap();
        assert_eq!(changes(&listed, &running), Ok(Vec::new()));
    }

    #[test]
    fn brokers_that_are_listed_keep_their_order() {
        let broker =
            |at: usize| format!("[[broker]]\ngroup = \"b{at}\"\nport = {}\n", 20_000 + at * 10);
        let brokers: String = (0..12).map(broker).collect();
        let running = loaded(&format!("listen = \"127.0.0.1\"\n[name_server]\n{brokers}"));
        let listed = check_text("settings.toml", &running.listing()).unwrap();
        assert_eq!(changes(&listed, &running), Ok(Vec::new()));
    }
}
