//! A message's properties in the order in which Java's `HashMap` walks them (B-111).
//!
//! 4.9.4 reads the properties text into a `HashMap`, changes it and writes it again, so that what is stored has
//! the map's order; what clients and tools see of a message must not depend on which broker stored it. Not
//! modelled: Java's trees and early growth at nine keys of one bucket. Invariant: as many different keys as a
//! text can hold cost no more than its length.

use std::collections::HashMap;

use crate::message::properties::{KEY_VALUE_SEPARATOR, PROPERTY_SEPARATOR, iterate};
use crate::model::java_hash_code;

/// Java's initial number of buckets.
const BUCKETS: usize = 16;
/// From so many keys on they are looked up by hash.
const INDEXED_FROM: usize = 32;

#[derive(Clone, Copy, Debug)]
struct Entry<'a> {
    key: &'a str,
    value: &'a str,
    /// Java's hash, spread as `HashMap` does.
    hash: u32,
}

/// Properties of one message; keys and values lie elsewhere.
#[derive(Debug)]
pub struct JavaProperties<'a> {
    /// In the order of their insertion.
    entries: Vec<Entry<'a>>,
    /// Grows with the entries and never shrinks.
    buckets: usize,
    /// Where the keys are; only once there are many.
    index: HashMap<&'a str, usize>,
}

impl<'a> JavaProperties<'a> {
    /// Reads a properties text (ST-004).
    pub fn parse(text: &'a str) -> Self {
        let entries = Vec::with_capacity(BUCKETS);
        let mut properties = Self { entries, buckets: BUCKETS, index: HashMap::new() };
        for (key, value) in iterate(text) {
            properties.set(key, value);
        }
        properties
    }

    /// The value of `key`.
    pub fn get(&self, key: &str) -> Option<&'a str> {
        self.position(key).map(|at| self.entries[at].value)
    }

    /// Sets `key`, in place if it is there.
    pub fn set(&mut self, key: &'a str, value: &'a str) {
        if let Some(at) = self.position(key) {
            self.entries[at].value = value;
            return;
        }
        let hash = java_hash_code(key).cast_unsigned();
        self.entries.push(Entry { key, value, hash: hash ^ (hash >> 16) });
        let count = self.entries.len();
        if count > INDEXED_FROM {
            self.index.insert(key, count - 1);
        } else if count == INDEXED_FROM {
            self.index_all();
        }
        if count > self.buckets / 4 * 3 {
            self.buckets *= 2;
        }
    }

    /// Removes `key` and returns its value.
    pub fn remove(&mut self, key: &str) -> Option<&'a str> {
        let at = self.position(key)?;
        let removed = self.entries.remove(at);
        if !self.index.is_empty() {
            self.index_all();
        }
        Some(removed.value)
    }

    /// The text, without a trailing separator; nothing can be looked up afterwards.
    pub fn into_text(mut self) -> String {
        let mask = u32::try_from(self.buckets - 1).unwrap_or(u32::MAX);
        // Stable: within a bucket Java keeps the order of insertion, also when the table grows.
        self.entries.sort_by_key(|entry| entry.hash & mask);
        let bytes = self.entries.iter().map(|entry| entry.key.len() + entry.value.len() + 2).sum();
        let mut text = String::with_capacity(bytes);
        for Entry { key, value, .. } in &self.entries {
            if !text.is_empty() {
                text.push(PROPERTY_SEPARATOR);
            }
            text.push_str(key);
            text.push(KEY_VALUE_SEPARATOR);
            text.push_str(value);
        }
        text
    }

    fn position(&self, key: &str) -> Option<usize> {
        if self.index.is_empty() {
            return self.entries.iter().position(|entry| entry.key == key);
        }
        self.index.get(key).copied()
    }

    fn index_all(&mut self) {
        self.index = self.entries.iter().enumerate().map(|(at, entry)| (entry.key, at)).collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_is_that_of_the_captured_record_v10() {
        let sent =
            "TAGS\u{1}a\u{2}KEYS\u{1}k1 k2\u{2}UNIQ_KEY\u{1}U1\u{2}WAIT\u{1}true\u{2}x\u{1}y";
        let mut properties = JavaProperties::parse(sent);
        properties.set("CLUSTER", "DefaultCluster");
        assert_eq!(properties.remove("WAIT"), Some("true"));
        assert_eq!(
            properties.into_text(),
            "KEYS\u{1}k1 k2\u{2}x\u{1}y\u{2}UNIQ_KEY\u{1}U1\u{2}CLUSTER\u{1}DefaultCluster\u{2}TAGS\u{1}a"
        );
    }

    #[test]
    fn the_order_of_captured_answers_is_a_hash_maps_too() {
        let mut fields = JavaProperties::parse("");
        for key in ["MSG_REGION", "TRACE_ON", "msgId", "queueId", "queueOffset"] {
            fields.set(key, "");
        }
        let text = fields.into_text();
        let keys: Vec<_> =
            text.split(PROPERTY_SEPARATOR).map(|e| e.trim_end_matches('\u{1}')).collect();
        assert_eq!(keys, ["queueId", "TRACE_ON", "MSG_REGION", "msgId", "queueOffset"]);
    }

    #[test]
    fn the_thirteenth_key_doubles_the_table_and_removing_does_not_shrink_it() {
        // Hashes of one-letter keys are their codes: `a` is 97, bucket 1 of 16 and 1 of 32; `q` is 113, 1 and 17.
        let keys = ["q", "a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k"];
        let mut properties = JavaProperties::parse("");
        for key in keys {
            properties.set(key, "1");
        }
        properties.set("q", "2");
        assert_eq!(properties.get("q"), Some("2"));
        properties.set("l", "1");
        properties.remove("l");
        let text = properties.into_text();
        assert!(text.starts_with("a\u{1}1") && text.ends_with("q\u{1}2"), "{text}");
        let mut properties = JavaProperties::parse("");
        for key in keys {
            properties.set(key, "1");
        }
        assert!(properties.into_text().starts_with("q\u{1}1\u{2}a\u{1}1"), "no growth at twelve");
    }

    #[test]
    fn many_keys_are_found_and_removed() {
        let names: Vec<String> = (0..1000).map(|number| format!("k{number}")).collect();
        let mut properties = JavaProperties::parse("");
        for name in &names {
            properties.set(name, name);
        }
        properties.set("k31", "other");
        assert_eq!((properties.remove("k0"), properties.remove("k0")), (Some("k0"), None));
        assert_eq!((properties.get("k31"), properties.get("k999")), (Some("other"), Some("k999")));
        assert_eq!(iterate(&properties.into_text()).count(), 999);
    }
}
