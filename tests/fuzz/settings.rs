//! Settings: whatever stands in the environment, no panic, and what is wrong is said.

#![no_main]

use libfuzzer_sys::fuzz_target;
use rmq_node::config::{Sources, load};

fuzz_target!(|text: &str| {
    let settings = text.lines().filter_map(|line| line.split_once('='));
    let environment = settings.map(|(name, value)| (format!("RMQ_NODE_{name}"), value.to_owned()));
    let sources = Sources { environment: environment.collect(), ..Sources::default() };
    if let Err(error) = load(&sources) {
        assert!(!error.to_string().is_empty());
    }
});
