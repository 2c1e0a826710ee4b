//! Text in fastjson's dialect: whatever it is, no panic; what was read is read the same from what we write of it.

use rmq_node::remoting::json::{Form, parse};

pub fn run(text: &[u8]) {
    let Ok(value) = parse(text) else { return };
    for form in [Form::Dialect, Form::Pretty, Form::Standard] {
        let written = value.to_bytes(form);
        match parse(&written) {
            Ok(again) => assert_eq!(again.to_bytes(form), written),
            Err(error) => panic!("our own text is not read: {error}: {written:?}"),
        }
    }
}
