//! Records, batches and properties: whatever the bytes, no panic; what a record says lies within it.

#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use rmq_node::message::{MessageId, Properties, Record, decode_batch};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(record) = Record::parse(bytes) {
        assert!(record.bytes().len() <= bytes.len());
        assert!(record.body().len() + record.topic().len() + record.properties().len() < bytes.len());
        let properties = Properties::parse(record.properties());
        assert_eq!(Properties::parse(&properties.to_string()), properties);
        let _any = (record.crc_matches(), record.born_host(), record.store_host());
    }
    if let Ok(items) = decode_batch(&Bytes::copy_from_slice(bytes)) {
        let bodies: usize = items.iter().map(|item| item.body.len()).sum();
        assert!(bodies <= bytes.len());
    }
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Ok(id) = text.parse::<MessageId>()
    {
        assert_eq!(id.to_string(), text.to_ascii_uppercase());
    }
});
