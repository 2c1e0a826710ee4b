//! Properties of messages: whatever the text, no panic; what was read is read the same from what we write of it, and
//! both ways of reading find the same.

use rmq_node::broker::java_properties::JavaProperties;
use rmq_node::message::Properties;
use rmq_node::message::properties::{find, iterate};

pub fn run(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let text = text.as_ref();
    let read = Properties::parse(text);
    assert_eq!(Properties::parse(&read.to_string()), read);
    let mut java = JavaProperties::parse(text);
    for (key, value) in read.iter() {
        assert_eq!((java.get(key), find(text, key)), (Some(value), Some(value)));
    }
    let removed = read.iter().next().map(|(key, _)| key);
    let expected = iterate(text).filter(|(key, _)| Some(*key) == removed).last();
    assert_eq!(removed.and_then(|key| java.remove(key)), expected.map(|(_, value)| value));
    java.set("KEYS", "k");
    let written = java.into_text();
    let again = Properties::parse(&written);
    assert_eq!(again.get("KEYS"), Some("k"));
    for (key, value) in read.iter().filter(|(key, _)| Some(*key) != removed && *key != "KEYS") {
        assert_eq!(again.get(key), Some(value));
    }
    // Nothing was removed: the order stays when it is written once more.
    let written = JavaProperties::parse(text).into_text();
    assert_eq!(JavaProperties::parse(&written).into_text(), written);
}
