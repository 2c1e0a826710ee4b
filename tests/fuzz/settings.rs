//! Settings: our file, the environment, and 4.9.4's `.properties` files with what `config import` makes of them. Whatever
//! stands there, no panic, and what is wrong is said. The first byte says which of them it is.

use rmq_node::config::import::import;
use rmq_node::config::{Sources, check_text, load, properties};

pub fn run(bytes: &[u8]) {
    let Some((which, text)) = bytes.split_first() else { return };
    let Ok(text) = std::str::from_utf8(text) else { return };
    match which % 3 {
        0 => our_file(text),
        1 => environment(text),
        _ => java_files(text),
    }
}

fn our_file(text: &str) {
    if let Err(error) = check_text("rmq-node.toml", text) {
        assert!(!error.to_string().is_empty());
    }
}

fn environment(text: &str) {
    let settings = text.lines().filter_map(|line| line.split_once('='));
    let environment = settings.map(|(name, value)| (format!("RMQ_NODE_{name}"), value.to_owned()));
    let sources = Sources { environment: environment.collect(), ..Sources::default() };
    if let Err(error) = load(&sources) {
        assert!(!error.to_string().is_empty());
    }
}

/// A line of `---` is between two files.
fn java_files(text: &str) {
    let lines = text.lines().count();
    for entry in properties::entries(text) {
        assert!((1..=lines.max(1) + text.matches('\r').count()).contains(&entry.line));
    }
    let files = text.split("\n---\n").take(3).enumerate();
    let files: Vec<_> =
        files.map(|(at, text)| (format!("{at}.properties"), text.to_owned())).collect();
    for host in import(&files, Some("node")) {
        // What comes out is a configuration, or it is said what is still wrong with it.
        let checked = check_text("rmq-node.toml", &host.toml);
        assert_eq!(checked.map(drop), host.result, "{}", host.toml);
        assert!(host.lines.iter().all(|line| !line.text.is_empty()));
    }
}
