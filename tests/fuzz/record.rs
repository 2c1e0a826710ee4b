//! Records of logs, and batches: whatever the bytes, no panic; what a record says lies within it, and it is the same
//! bytes when it is made anew of what was read.

use bytes::{BufMut, Bytes};
use rmq_node::message::{
    BatchItem, MessageId, NewMessage, RECORD_FRONT_BYTES, Record, after_body, body_crc,
    decode_batch, encode, may_begin, properties_after_body, stamp,
};
use rmq_node::model::TopicName;

pub fn run(bytes: &[u8]) {
    if let Ok(record) = Record::parse(bytes) {
        of_record(&record);
        assert!(record.bytes().len() <= bytes.len());
    }
    let body = Bytes::copy_from_slice(bytes);
    if let Ok(items) = decode_batch(&body) {
        let bodies: usize = items.iter().map(|item| item.body.len()).sum();
        assert!(bodies <= bytes.len());
        assert_eq!(decode_batch(&batch(&items)).as_ref(), Ok(&items));
    }
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Ok(id) = text.parse::<MessageId>()
    {
        assert_eq!(id.to_string(), text.to_ascii_uppercase());
    }
    let _any = properties_after_body(bytes);
}

fn of_record(record: &Record<'_>) {
    let bytes = record.bytes();
    assert!(record.body().len() + record.topic().len() + record.properties().len() < bytes.len());
    let _any = (record.stored_crc(), record.crc_matches());
    assert!(may_begin(bytes, record.physical_offset()));
    if let Some(front) = bytes.first_chunk::<RECORD_FRONT_BYTES>()
        && let Some(range) = after_body(front, record.physical_offset())
    {
        assert_eq!(properties_after_body(&bytes[range]), Some(record.properties()));
    }
    let message = NewMessage {
        topic: TopicName::new(record.topic()),
        queue_id: record.queue_id(),
        flag: record.flag(),
        sys_flag: record.sys_flag(),
        born_timestamp: record.born_timestamp(),
        born_host: record.born_host(),
        store_host: record.store_host(),
        reconsume_times: record.reconsume_times(),
        prepared_transaction_offset: record.prepared_transaction_offset(),
        body: Bytes::copy_from_slice(record.body()),
        properties: record.properties().to_owned(),
    };
    let mut again = encode(&message).expect("it was a record");
    stamp(&mut again, record.queue_offset(), record.physical_offset(), record.store_timestamp());
    // Of a port only 16 of 32 bits count, and the CRC is that of the body that is there.
    let same = Record::parse(&again).expect("our own record is read");
    assert_eq!(again.len(), bytes.len());
    assert_eq!(same.stored_crc(), body_crc(record.body()));
    assert_eq!((same.born_host(), same.store_host()), (record.born_host(), record.store_host()));
    assert_eq!((same.topic(), same.body()), (record.topic(), record.body()));
    assert_eq!(same.properties(), record.properties());
    assert_eq!(again[12..48], bytes[12..48]);
}

/// A batch body of these messages.
fn batch(items: &[BatchItem]) -> Bytes {
    let mut out = Vec::new();
    for item in items {
        let length = |bytes: usize| i32::try_from(bytes).expect("it was read as one");
        out.put_i32(length(22 + item.body.len() + item.properties.len()));
        out.put_i64(0);
        out.put_i32(item.flag);
        out.put_i32(length(item.body.len()));
        out.put_slice(&item.body);
        out.put_i16(i16::try_from(item.properties.len()).expect("it was read as one"));
        out.put_slice(item.properties.as_bytes());
    }
    out.into()
}
