//! The HA stream, both ways: what a slave reads of a master, and a master of a slave. Whatever the bytes and however they
//! are cut, no panic, nothing is held that has not arrived, and where they are cut changes nothing.
//!
//! The first byte says which side it is, the second how the bytes are cut, eight more where the slave's log ends.

use rmq_node::replication::wire::{HEADER_BYTES, REPORT_BYTES, Reports, Stream};

pub fn run(bytes: &[u8]) {
    let [which, part, rest @ ..] = bytes else { return };
    let part = usize::from(*part).max(1);
    if which % 2 == 0 { slave(part, rest) } else { master(part, rest) }
}

/// What a slave reads.
fn slave(part: usize, bytes: &[u8]) {
    let Some((end, bytes)) = bytes.split_first_chunk() else { return };
    let end = u64::from_be_bytes(*end);
    let (mut whole, mut log) = (Stream::new(end), Vec::new());
    let result = whole.take(bytes, &mut log);
    assert!(log.len() <= bytes.len().saturating_sub(HEADER_BYTES));
    let (mut cut, mut cut_log) = (Stream::new(end), Vec::new());
    let mut cut_result = Ok(());
    for part in bytes.chunks(part) {
        cut_result = cut.take(part, &mut cut_log);
        if cut_result.is_err() {
            break;
        }
    }
    assert_eq!((cut_result, &cut_log), (result.clone(), &log));
    if result.is_ok() {
        assert_eq!((cut.next(), cut.is_at_end()), (whole.next(), whole.is_at_end()));
        // An empty log may begin anywhere, any other goes on where it was.
        assert!(end == 0 || whole.next() - end == log.len() as u64);
    }
}

/// What a master reads.
fn master(part: usize, bytes: &[u8]) {
    let last = Reports::default().take(bytes);
    assert_eq!(last.is_some(), bytes.len() >= REPORT_BYTES);
    let mut reports = Reports::default();
    let cut = bytes.chunks(part).filter_map(|part| reports.take(part)).last();
    assert_eq!(cut, last);
}
