//! `plain_acl.yml`: whatever stands in it, no panic, what is wrong has its line, and what is read is written as the same.

#![no_main]

use libfuzzer_sys::fuzz_target;
use rmq_node::acl::file::{parse, render};

fuzz_target!(|text: &str| {
    match parse(text) {
        Ok(read) => {
            let again = parse(&render(&read.file)).expect("what was read is right");
            assert_eq!(again.file, read.file);
        }
        Err(error) => assert!(error.line > 0 && !error.text.is_empty()),
    }
});
