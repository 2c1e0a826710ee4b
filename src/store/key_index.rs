//! The key index: which records carry a key (ST-040 to ST-044).
//!
//! Sorted runs of hashes in the slices, never a row per key; the newest keys are in memory, unsorted. Only
//! hashes are kept, so look-ups return collisions as 4.9.4 does (S-26). Invariants: taking a record never
//! touches the disk; a record is returned once, however often it was taken.

use std::collections::VecDeque;
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::consume_queue::ReadError;
use super::dispatch::Dispatch;
use super::schema::slices as schema;
use super::slice_rows::{
    KeyEntry, RunInfo, decode_chunk, decode_run_info, encode_chunks, encode_run_info,
    parse_run_key, run_info_key, run_key,
};
use super::slices::Slices;
use crate::kv::{Batch, Database, KvError};
use crate::model::PhysicalOffset;

/// Rows that a look into a run reads: its own and a chunk.
const ROWS_PER_RUN: usize = 2;

/// Keys of one slice in the order of the log, not yet written.
#[derive(Clone, Debug)]
struct OpenRun {
    slice: u64,
    first_store_time: i64,
    last_store_time: i64,
    entries: Vec<KeyEntry>,
}

#[derive(Debug, Default)]
struct State {
    /// Oldest first; all but the last are full or of an older slice.
    runs: VecDeque<Arc<OpenRun>>,
    /// Up to where records were taken.
    taken_to: u64,
    last: Option<(PhysicalOffset, i64)>,
}

/// A run to be written: its times and sorted entries.
#[derive(Debug)]
pub(super) struct UnwrittenRun {
    first_store_time: i64,
    last_store_time: i64,
    entries: Vec<KeyEntry>,
}

impl UnwrittenRun {
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }
}

/// The index of a group.
#[derive(Debug)]
pub struct KeyIndex {
    slices: Arc<Slices>,
    state: Mutex<State>,
}

impl KeyIndex {
    /// An index whose slices have the keys of all records below `checkpoint`.
    pub(super) fn new(
        slices: Arc<Slices>,
        checkpoint: u64,
        last: Option<(PhysicalOffset, i64)>,
    ) -> Self {
        let state = State { taken_to: checkpoint, last, ..State::default() };
        Self { slices, state: Mutex::new(state) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Offset and store time of the newest record that has keys (B-211).
    #[must_use]
    pub fn last(&self) -> Option<(PhysicalOffset, i64)> {
        self.lock().last
    }

    /// Takes a record's keys; a record that was taken before changes nothing. Never blocks.
    pub(super) fn dispatch(&self, dispatch: &Dispatch<'_>) {
        let physical_offset = dispatch.physical_offset.0;
        if dispatch.key_hashes.is_empty() {
            return;
        }
        let slice = self.slices.number_of(physical_offset);
        let mut state = self.lock();
        if physical_offset < state.taken_to {
            return;
        }
        state.taken_to = physical_offset + u64::from(dispatch.size);
        state.last = Some((dispatch.physical_offset, dispatch.store_timestamp));
        let time = dispatch.store_timestamp;
        let is_open = |run: &OpenRun| run.slice == slice && run.entries.len() < schema::RUN_ENTRIES;
        if !state.runs.back().is_some_and(|run| is_open(run)) {
            state.runs.push_back(Arc::new(OpenRun {
                slice,
                first_store_time: time,
                last_store_time: time,
                entries: Vec::new(),
            }));
        }
        if let Some(run) = state.runs.back_mut() {
            // Copied only while someone reads or writes the newest run.
            let run = Arc::make_mut(run);
            run.last_store_time = run.last_store_time.max(time);
            let entry = |hash: &u32| KeyEntry { hash: *hash, physical_offset };
            run.entries.extend(dispatch.key_hashes.iter().map(entry));
        }
    }

    /// Copies what is to be written: keys of records below `up_to`.
    pub(super) fn unwritten(&self, up_to: u64) -> Vec<UnwrittenRun> {
        let runs: Vec<Arc<OpenRun>> = self.lock().runs.iter().cloned().collect();
        let below = |entry: &KeyEntry| entry.physical_offset < up_to;
        let parts = runs.iter().map(|run| {
            let mut entries = run.entries[..run.entries.partition_point(below)].to_vec();
            entries.sort_unstable();
            entries.dedup();
            let OpenRun { first_store_time, last_store_time, .. } = **run;
            UnwrittenRun { first_store_time, last_store_time, entries }
        });
        parts.filter(|part| !part.entries.is_empty()).collect()
    }

    /// Forgets the keys of records below `up_to`: they are written.
    pub(super) fn written(&self, up_to: u64) {
        let mut state = self.lock();
        while let Some(run) = state.runs.front_mut() {
            let count = run.entries.partition_point(|entry| entry.physical_offset < up_to);
            if count < run.entries.len() {
                if count > 0 {
                    Arc::make_mut(run).entries.drain(..count);
                }
                break;
            }
            state.runs.pop_front();
        }
    }

    /// The newest `count_max` records of a key hash that were stored within `times` (whole seconds, as 4.9.4
    /// compares them), newest first. `store_time` tells a record's, where a run does not lie within `times`. Blocks.
    ///
    /// # Errors
    /// [`ReadError::Unavailable`] if a slice that may answer is being made again.
    pub fn query(
        &self,
        hash: u32,
        times: &RangeInclusive<i64>,
        count_max: usize,
        store_time: &dyn Fn(PhysicalOffset) -> Option<i64>,
    ) -> Result<Vec<PhysicalOffset>, ReadError> {
        let second = |time: i64| time.div_euclid(1000).saturating_mul(1000);
        let times = (second(*times.start()), second(*times.end()).saturating_add(999));
        let mut query = Query { hash, times, count_max, store_time, found: Vec::new() };
        let runs: Vec<Arc<OpenRun>> = self.lock().runs.iter().cloned().collect();
        for run in runs.iter().rev() {
            let same = run.entries.iter().rev().filter(|entry| entry.hash == hash);
            query.take(run.first_store_time, run.last_store_time, same.copied());
        }
        for number in self.slices.numbers().into_iter().rev() {
            if query.is_full() {
                break;
            }
            if self.slices.may_have_key(number, hash, times) {
                let database = match self.slices.database(number) {
                    Ok(database) => database,
                    // A slice that expired meanwhile.
                    Err(_) if !self.slices.numbers().contains(&number) => continue,
                    Err(error) => return Err(error),
                };
                let runs = query.search(&*database);
                let runs = runs.map_err(|error| self.slices.failed(number, &error))?;
                self.slices.used(number, ROWS_PER_RUN * runs);
            }
        }
        Ok(query.found.into_iter().map(PhysicalOffset).collect())
    }
}

struct Query<'a> {
    hash: u32,
    times: (i64, i64),
    count_max: usize,
    store_time: &'a dyn Fn(PhysicalOffset) -> Option<i64>,
    /// Newest first.
    found: Vec<u64>,
}

impl Query<'_> {
    fn is_full(&self) -> bool {
        self.found.len() >= self.count_max
    }

    /// Takes entries of a run, newest first.
    fn take(&mut self, first_time: i64, last_time: i64, entries: impl Iterator<Item = KeyEntry>) {
        let (begin, end) = self.times;
        if last_time < begin || first_time > end {
            return;
        }
        let is_within = begin <= first_time && last_time <= end;
        for KeyEntry { physical_offset, .. } in entries {
            if self.is_full() {
                return;
            }
            let in_time = || {
                let time = (self.store_time)(PhysicalOffset(physical_offset));
                time.is_some_and(|time| begin <= time && time <= end)
            };
            if !self.found.contains(&physical_offset) && (is_within || in_time()) {
                self.found.push(physical_offset);
            }
        }
    }

    /// Looks through the runs of a slice, newest first; returns how many it looked at.
    fn search(&mut self, database: &dyn Database) -> Result<usize, KvError> {
        let mut before = u64::MAX;
        let mut runs = 0;
        while let Some(info) = last_run(database, before)? {
            if self.is_full() {
                break;
            }
            runs += 1;
            if info.last_store_time >= self.times.0 && info.first_store_time <= self.times.1 {
                let entries = find(database, info.first, self.hash)?;
                let newest_first = entries.into_iter().rev();
                self.take(info.first_store_time, info.last_store_time, newest_first);
            }
            if info.first == 0 {
                break;
            }
            before = info.first - 1;
        }
        Ok(runs)
    }
}

/// The newest run whose first record is at most at `first`.
pub(super) fn last_run(database: &dyn Database, first: u64) -> Result<Option<RunInfo>, KvError> {
    let Some((key, value)) = database.last_up_to(schema::RUNS, &run_info_key(first))? else {
        return Ok(None);
    };
    decode_run_info(&key, &value).map(Some).ok_or_else(damaged)
}

fn damaged() -> KvError {
    KvError::Corrupt("a run of the key index is damaged".to_owned())
}

/// The entries of a hash in a run, oldest first.
fn find(database: &dyn Database, first: u64, hash: u32) -> Result<Vec<KeyEntry>, KvError> {
    let mut found = Vec::new();
    let mut up_to = run_key(first, KeyEntry { hash, physical_offset: u64::MAX });
    // Equal hashes may begin in earlier chunks: from the last one backwards.
    while let Some((key, value)) = database.last_up_to(schema::RUNS, &up_to)? {
        let Some((run, Some(first_entry))) = parse_run_key(&key).filter(|(run, _)| *run == first)
        else {
            break;
        };
        let chunk = decode_chunk(&key, &value).ok_or_else(damaged)?;
        let same = chunk.into_iter().rev().filter(|entry| entry.hash == hash);
        found.extend(same);
        if first_entry.hash < hash || first_entry.physical_offset == 0 {
            break;
        }
        up_to = run_key(run, KeyEntry { hash, physical_offset: first_entry.physical_offset - 1 });
    }
    found.reverse();
    Ok(found)
}

/// Writes a run; small runs before it are merged into it, so that few are left to be searched.
pub(super) fn write_run(database: &dyn Database, run: UnwrittenRun) -> Result<(), KvError> {
    let UnwrittenRun { first_store_time, last_store_time, mut entries, .. } = run;
    let offsets = |entries: &[KeyEntry]| {
        let offsets = entries.iter().map(|entry| entry.physical_offset);
        (offsets.clone().min().unwrap_or(0), offsets.max().unwrap_or(0))
    };
    let (first, last) = offsets(&entries);
    let mut info = RunInfo { first, last, first_store_time, last_store_time, count: 0 };
    let mut batch = Batch::default();
    let mut before = Some(info.first);
    while let Some(up_to) = before
        && let Some(older) = last_run(database, up_to)?
    {
        let count = older.count as usize;
        // Merged only with runs not much larger, so that an entry is written again few times.
        if count + entries.len() > schema::RUN_ENTRIES || count > 2 * entries.len() {
            break;
        }
        for (key, chunk) in chunks(database, older.first)? {
            entries.extend(chunk);
            batch.remove(key);
        }
        batch.remove(run_info_key(older.first));
        before = older.first.checked_sub(1);
        info.first = older.first;
        info.last = info.last.max(older.last);
        info.first_store_time = info.first_store_time.min(older.first_store_time);
        info.last_store_time = info.last_store_time.max(older.last_store_time);
    }
    entries.sort_unstable();
    entries.dedup();
    info.count = u32::try_from(entries.len()).unwrap_or(u32::MAX);
    for (key, value) in encode_chunks(info.first, &entries) {
        batch.insert(key, value);
    }
    batch.insert(run_info_key(info.first), encode_run_info(&info));
    database.apply(schema::RUNS, batch)
}

/// The key of a chunk, and its entries.
type Chunk = (Vec<u8>, Vec<KeyEntry>);

/// All chunks of a run.
fn chunks(database: &dyn Database, first: u64) -> Result<Vec<Chunk>, KvError> {
    let mut found = Vec::new();
    let mut is_damaged = false;
    let from = run_key(first, KeyEntry { hash: 0, physical_offset: 0 });
    database.scan(schema::RUNS, &from, &mut |key, value| {
        match parse_run_key(key) {
            Some((run, Some(_))) if run == first => match decode_chunk(key, value) {
                Some(chunk) => found.push((key.to_vec(), chunk)),
                None => is_damaged = true,
            },
            _ => return false,
        }
        !is_damaged
    })?;
    if is_damaged { Err(damaged()) } else { Ok(found) }
}

/// Removes the runs that begin at or above an offset: their records will be taken again.
pub(super) fn remove_runs_from(database: &dyn Database, from: u64) -> Result<(), KvError> {
    let mut batch = Batch::default();
    let start = run_key(from, KeyEntry { hash: 0, physical_offset: 0 });
    database.scan(schema::RUNS, &start, &mut |key, _| {
        batch.remove(key);
        true
    })?;
    if batch.is_empty() { Ok(()) } else { database.apply(schema::RUNS, batch) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kv::MemoryDatabase;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn unwritten(entries: &[(u32, u64)]) -> UnwrittenRun {
        let mut entries: Vec<_> = entries
            .iter()
            .map(|(hash, physical_offset)| KeyEntry {
                hash: *hash,
                physical_offset: *physical_offset,
            })
            .collect();
        entries.sort_unstable();
        UnwrittenRun { first_store_time: 0, last_store_time: 9, entries }
    }

    fn found(database: &dyn Database, hash: u32, count_max: usize) -> Vec<u64> {
        let store_time = |_| None;
        let mut query =
            Query { hash, times: (0, 9), count_max, store_time: &store_time, found: Vec::new() };
        query.search(database).unwrap();
        query.found
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]
        /// Against a plain set of (hash, offset), with runs of all sizes, merged or not.
        #[test]
        fn every_key_is_found_newest_first(
            runs in prop::collection::vec((1usize..900, 1u32..6), 1..12), count_max in 1usize..2000,
        ) {
            let database = MemoryDatabase::default();
            let mut model = BTreeSet::new();
            let mut offset = 5u64;
            for (size, hashes) in runs {
                let mut run = Vec::new();
                for index in 0..size {
                    let hash = u32::try_from(index).unwrap() % hashes;
                    run.push((hash, offset));
                    model.insert((hash, offset));
                    offset += u64::from(hash % 3 != 1) * 10;
                }
                offset += 10;
                write_run(&database, unwritten(&run)).unwrap();
            }
            for hash in 0..6 {
                let expected: Vec<u64> =
                    model.iter().rev().filter(|(h, _)| *h == hash).map(|(_, offset)| *offset).take(count_max).collect();
                prop_assert_eq!(found(&database, hash, count_max), expected);
            }
        }
    }

    #[test]
    fn small_runs_are_merged_and_large_ones_left_alone() {
        let database = MemoryDatabase::default();
        let runs = || {
            let (mut runs, mut before) = (Vec::new(), u64::MAX);
            while let Some(info) = last_run(&database, before).unwrap() {
                runs.push(info.count);
                before = info.first - 1;
            }
            runs
        };
        for offset in 1..=1000u64 {
            write_run(&database, unwritten(&[(7, offset)])).unwrap();
        }
        assert_eq!(runs().iter().sum::<u32>(), 1000);
        assert!(runs().len() <= 10, "{:?}", runs());
        let large: Vec<_> = (2000..2000 + schema::RUN_ENTRIES as u64).map(|o| (9, o)).collect();
        write_run(&database, unwritten(&large)).unwrap();
        assert_eq!(runs()[0] as usize, schema::RUN_ENTRIES);
        assert_eq!(found(&database, 7, 2000).len(), 1000);
        remove_runs_from(&database, 2000).unwrap();
        assert!(found(&database, 9, 9).is_empty());
        assert_eq!(found(&database, 7, 2000).len(), 1000);
    }

    #[test]
    fn a_flipped_byte_in_a_run_is_damage() {
        let database = MemoryDatabase::default();
        write_run(&database, unwritten(&[(7, 10), (8, 20)])).unwrap();
        let key = run_key(10, KeyEntry { hash: 7, physical_offset: 10 });
        let mut value = database.get(schema::RUNS, &key).unwrap().unwrap();
        value[9] ^= 1;
        let mut batch = Batch::default();
        batch.insert(key, value);
        database.apply(schema::RUNS, batch).unwrap();
        assert!(matches!(find(&database, 10, 7), Err(KvError::Corrupt(_))));
    }

    #[test]
    fn only_runs_across_the_bounds_ask_for_store_times() {
        let store_time = |offset: PhysicalOffset| i64::try_from(offset.0).ok();
        let entries =
            [1500, 1000, 500].map(|physical_offset| KeyEntry { hash: 1, physical_offset });
        let mut query = Query {
            hash: 1,
            times: (1000, 1999),
            count_max: 9,
            store_time: &store_time,
            found: Vec::new(),
        };
        query.take(500, 1500, entries.into_iter());
        query.take(2000, 2500, entries.into_iter());
        assert_eq!(query.found, [1500, 1000]);
        let never = |_| panic!("not asked");
        let mut query = Query { store_time: &never, found: Vec::new(), ..query };
        query.take(1000, 1500, entries.into_iter());
        assert_eq!(query.found, [1500, 1000, 500]);
    }
}
