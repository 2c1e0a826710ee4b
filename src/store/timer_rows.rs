//! How messages that wait lie in their database: rows of buckets; the layout is drawn in `schema`.
//!
//! Invariants: a row whose CRC or size is wrong is never believed; changing a bucket twice in the same way changes
//! nothing more.

use std::collections::BTreeSet;
use std::ops::Range;

use bytes::{Buf, BufMut};

use super::schema::timers as schema;
use crate::kv::{Batch, Database, KvError};
use crate::model::PhysicalOffset;

/// A message that waits: in the order of delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timer {
    /// When it is due, in milliseconds since 1970.
    pub due_ms: i64,
    /// Where its record begins.
    pub offset: PhysicalOffset,
}

impl Timer {
    pub(super) const FIRST: Self = Self::first_at(0);

    pub(super) const fn first_at(due_ms: i64) -> Self {
        Self { due_ms, offset: PhysicalOffset(0) }
    }

    pub(super) fn bucket(self) -> i64 {
        self.due_ms.div_euclid(schema::BUCKET_MS)
    }

    pub(super) fn key(self) -> [u8; schema::KEY_BYTES] {
        let mut key = [0; schema::KEY_BYTES];
        key[..8].copy_from_slice(&self.due_ms.to_be_bytes());
        key[8..].copy_from_slice(&self.offset.0.to_be_bytes());
        key
    }

    fn of_key(mut key: &[u8]) -> Option<Self> {
        let due_ms = key.try_get_i64().ok()?;
        Some(Self { due_ms, offset: PhysicalOffset(key.try_get_u64().ok()?) })
    }
}

/// Notes whether a message waits.
pub(super) fn set(waiting: &mut BTreeSet<Timer>, timer: Timer, waits: bool) {
    if waits {
        waiting.insert(timer);
    } else {
        waiting.remove(&timer);
    }
}

/// Adds the changes of one bucket to `batch`. Rows are only added, unless something is taken away or a row would
/// replace another one: then the bucket is written again as a whole.
pub(super) fn change_bucket(
    database: &dyn Database,
    batch: &mut Batch,
    changes: &[(Timer, bool)],
) -> Result<(), KvError> {
    let Some((first, _)) = changes.first() else { return Ok(()) };
    let mut waiting = BTreeSet::new();
    let added: Vec<_> =
        changes.iter().filter(|(_, waits)| *waits).map(|(timer, _)| *timer).collect();
    let mut is_whole = added.len() < changes.len();
    for row in added.chunks(schema::ROW_TIMERS) {
        is_whole |= database.get(schema::BUCKETS, &row[0].key())?.is_some();
    }
    if is_whole {
        let (timers, keys) = bucket_rows(database, first.bucket())?;
        keys.into_iter().for_each(|key| batch.remove(key));
        waiting.extend(timers);
    }
    changes.iter().for_each(|(timer, waits)| set(&mut waiting, *timer, *waits));
    let waiting: Vec<_> = waiting.into_iter().collect();
    for row in waiting.chunks(schema::ROW_TIMERS) {
        batch.insert(row[0].key(), encode(row));
    }
    Ok(())
}

fn encode(row: &[Timer]) -> Vec<u8> {
    let mut value = Vec::with_capacity(4 + row.len() * schema::TIMER_BYTES);
    value.put_u32(0);
    for timer in row {
        let within = timer.due_ms.rem_euclid(schema::BUCKET_MS);
        value.put_u16(u16::try_from(within).unwrap_or(u16::MAX));
        value.put_u64(timer.offset.0);
    }
    let crc = crc32fast::hash(&value[4..]);
    value[..4].copy_from_slice(&crc.to_be_bytes());
    value
}

fn decode(key: &[u8], value: &[u8]) -> Option<Vec<Timer>> {
    let start_ms = Timer::of_key(key)?.bucket() * schema::BUCKET_MS;
    let mut value = value;
    let crc = value.try_get_u32().ok()?;
    if crc != crc32fast::hash(value) || !value.len().is_multiple_of(schema::TIMER_BYTES) {
        return None;
    }
    let timers = value.chunks_exact(schema::TIMER_BYTES).map(|mut timer| {
        let due_ms = start_ms + i64::from(timer.get_u16());
        Timer { due_ms, offset: PhysicalOffset(timer.get_u64()) }
    });
    Some(timers.collect())
}

/// Shows the rows from a key on until `visit` returns false.
pub(super) fn scan(
    database: &dyn Database,
    from: Timer,
    mut visit: impl FnMut(&[u8], Vec<Timer>) -> bool,
) -> Result<(), KvError> {
    let mut is_damaged = false;
    database.scan(schema::BUCKETS, &from.key(), &mut |key, value| {
        let row = decode(key, value);
        is_damaged = row.is_none();
        row.is_some_and(|row| visit(key, row))
    })?;
    if is_damaged { Err(KvError::Corrupt("a row cannot be read".to_owned())) } else { Ok(()) }
}

/// What the database has of a bucket, and the keys of its rows.
pub(super) fn bucket_rows(
    database: &dyn Database,
    bucket: i64,
) -> Result<(Vec<Timer>, Vec<Vec<u8>>), KvError> {
    let (mut timers, mut keys) = (Vec::new(), Vec::new());
    scan(database, Timer::first_at(bucket * schema::BUCKET_MS), |key, row| {
        let is_of_it = row.first().is_some_and(|first| first.bucket() == bucket);
        if is_of_it {
            keys.push(key.to_vec());
            timers.extend(row);
        }
        is_of_it
    })?;
    Ok((timers, keys))
}

/// What the database has of whole buckets due in `range`; once there are too many, fewer buckets.
pub(super) fn buckets(
    database: &dyn Database,
    range: Range<i64>,
    count_max: usize,
) -> Result<(Vec<Timer>, i64), KvError> {
    let (mut found, mut to_ms) = (Vec::new(), range.end);
    scan(database, Timer::first_at(range.start), |_, row| {
        let Some(first) = row.first() else { return true };
        let is_new = found.last().is_some_and(|last: &Timer| last.bucket() < first.bucket());
        if is_new && found.len() >= count_max {
            to_ms = to_ms.min(first.bucket() * schema::BUCKET_MS);
        }
        let is_wanted = first.due_ms < to_ms;
        if is_wanted {
            found.extend(row);
        }
        is_wanted
    })?;
    Ok((found, to_ms))
}
