//! `plain_acl.yml` and the patterns of white lists: whatever stands there, no panic, what is wrong has its line, and what
//! is read is written as the same. The first byte says whether it is a pattern.

use std::net::IpAddr;

use rmq_node::acl::file::{credentials, parse, render, render_content};
use rmq_node::acl::white_list::Pattern;

pub fn run(bytes: &[u8]) {
    let Some((which, text)) = bytes.split_first() else { return };
    let Ok(text) = std::str::from_utf8(text) else { return };
    if which % 2 == 0 { file(text) } else { pattern(text) }
}

fn file(text: &str) {
    match parse(text) {
        Ok(read) => {
            assert_eq!(read.lines.len(), read.file.accounts.len());
            let again = parse(&render(&read.file)).expect("what was read is right");
            assert_eq!(again.file, read.file);
            assert!(render(&read.file).contains(&render_content(&read.file)));
        }
        Err(error) => assert!(error.line > 0 && !error.text.is_empty()),
    }
    if let Err(error) = credentials(text) {
        assert!(error.line > 0 && !error.text.is_empty());
    }
}

/// Behind the first line's end is an address.
fn pattern(text: &str) {
    let (pattern, address) = text.split_once('\n').unwrap_or((text, "10.1.2.3"));
    let Ok(address) = address.parse::<IpAddr>() else { return };
    match Pattern::parse(pattern) {
        Ok(pattern @ (Pattern::Nobody | Pattern::Everybody)) => {
            assert_eq!(pattern.matches(address), pattern == Pattern::Everybody);
        }
        Ok(Pattern::Addresses(all)) => {
            assert_eq!(Pattern::Addresses(all.clone()).matches(address), all.contains(&address));
        }
        Ok(range @ Pattern::Range { is_v6, .. }) => {
            assert!(!range.matches(address) || address.is_ipv6() == is_v6);
            // A range never has all addresses of both kinds.
            let everything = ["0.0.0.0", "255.255.255.255", "::", "ffff::ffff"];
            assert!(!everything.iter().all(|one| one.parse().is_ok_and(|one| range.matches(one))));
        }
        Err(why) => assert!(!why.is_empty()),
    }
}
