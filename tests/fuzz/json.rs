//! Bodies in fastjson's dialect: whatever the text, no panic; what was read is read the same from what we write of it.

#![no_main]

use libfuzzer_sys::fuzz_target;
use rmq_node::remoting::json::{Form, parse};

fuzz_target!(|text: &[u8]| {
    let Ok(value) = parse(text) else { return };
    for form in [Form::Dialect, Form::Pretty] {
        let written = value.to_bytes(form);
        match parse(&written) {
            Ok(again) => assert_eq!(again.to_bytes(form), written),
            Err(error) => panic!("our own text is not read: {error}: {written:?}"),
        }
    }
});
