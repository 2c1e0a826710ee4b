//! One consume queue as it is in memory: where it ends, and its newest pages (ST-030 to ST-035).
//!
//! No I/O. Invariants: the pages in memory have no gap between them and end at the queue's next offset; a
//! page has entries of one slice only; physical offsets never go down from one entry to the next.

use std::collections::VecDeque;

use super::dispatch::Dispatch;
use super::schema::slices::PAGE_ENTRIES;
use super::slice_rows::{Entry, Page, QueueState};
use crate::message::RECORD_BYTES_MIN;

/// The longest gap in a queue's offsets that is filled with holes; beyond it the queue begins anew. So it does, too, where
/// the log never had room for the records of the gap ([`QueueTail::holes_max`]).
const HOLES_MAX: u64 = 1 << 20;

/// A page in memory.
#[derive(Debug)]
struct MemoryPage {
    slice: u64,
    page: Page,
    /// How many of its entries are in the slice's database.
    written: usize,
}

/// A page, or the beginning of one, to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unwritten {
    pub(super) slice: u64,
    pub(super) page: Page,
    /// Which life of the queue it is of, for [`QueueTail::written`].
    life: u32,
}

/// What became of an entry that a queue was offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pushed {
    /// It is the queue's newest entry now.
    Added,
    /// The queue has it, or it is not the queue's.
    Skipped,
}

/// The end of a queue.
#[derive(Debug, Default)]
pub(super) struct QueueTail {
    state: QueueState,
    pages: VecDeque<MemoryPage>,
    /// Records below it are taken again although the queue was further before: the log is being read again.
    again_below: u64,
    /// Counts when entries were taken back, so that what was going on meanwhile notices.
    life: u32,
}

impl QueueTail {
    /// A queue as it was saved; `checkpoint` is from where the log will be read again.
    pub(super) fn restored(state: QueueState, checkpoint: u64) -> Self {
        let mut tail = Self { state, ..Self::default() };
        if state.last_end > checkpoint {
            tail.again_below = state.last_end;
            tail.state.last_end = checkpoint;
        }
        tail
    }

    /// How far the queue is.
    pub(super) fn state(&self) -> QueueState {
        self.state
    }

    pub(super) fn life(&self) -> u32 {
        self.life
    }

    /// Whether the queue was saved with records that the log did not give again.
    pub(super) fn lacks_records(&self) -> bool {
        self.state.last_end < self.again_below
    }

    /// Where the entries in memory begin.
    pub(super) fn memory_from(&self) -> u64 {
        self.pages.front().map_or(self.state.next, |first| first.page.start())
    }

    /// Takes a record, of a slice. What the queue has is left as it is (ST-032); an offset beyond the next one
    /// leaves holes; one before it says that the queue began anew.
    pub(super) fn push(&mut self, dispatch: &Dispatch<'_>, slice: u64) -> Pushed {
        let (at, physical) = (dispatch.queue_offset.0, dispatch.physical_offset.0);
        let end = physical + u64::from(dispatch.size);
        if end <= self.state.last_end || physical < self.state.floor {
            return Pushed::Skipped;
        }
        let is_new = self.state.last_end == 0 && self.state.next == 0;
        if at < self.state.next {
            if physical < self.again_below {
                self.take_back(at);
            } else {
                self.begin_anew(dispatch);
            }
        } else if is_new {
            self.begin(at, physical);
        } else if at - self.state.next > self.holes_max(physical) {
            self.begin_anew(dispatch);
        }
        while self.state.next < at {
            self.add(Entry::hole(dispatch.physical_offset), slice, dispatch.store_timestamp);
        }
        let Dispatch { physical_offset, size, tags_code, store_timestamp, .. } = *dispatch;
        self.add(Entry { physical_offset, size, tags_code }, slice, store_timestamp);
        self.state.last_end = end;
        Pushed::Added
    }

    /// How many records the queue may lack before the one at `physical`: as many as the log between has room for, or a
    /// page of them. A record whose offset is made up would else cost the memory and the disk of 1 Mi entries.
    fn holes_max(&self, physical: u64) -> u64 {
        let room = physical.saturating_sub(self.state.last_end) / RECORD_BYTES_MIN as u64;
        room.clamp(u64::from(PAGE_ENTRIES), HOLES_MAX)
    }

    fn begin(&mut self, at: u64, physical: u64) {
        self.state.next = at;
        (self.state.first_offset, self.state.first_physical) = (at, physical);
    }

    fn begin_anew(&mut self, dispatch: &Dispatch<'_>) {
        let (at, physical) = (dispatch.queue_offset.0, dispatch.physical_offset.0);
        tracing::warn!(
            topic = dispatch.topic,
            queue = %dispatch.queue_id,
            next = self.state.next,
            offset = at,
            physical_offset = physical,
            "a queue begins anew"
        );
        self.pages.clear();
        self.life += 1;
        self.state.floor = physical;
        self.begin(at, physical);
    }

    /// Forgets the entries from `at` on.
    fn take_back(&mut self, at: u64) {
        while let Some(last) = self.pages.back_mut() {
            let kept = usize::try_from(at.saturating_sub(last.page.start())).unwrap_or(usize::MAX);
            last.page.entries.truncate(kept);
            last.written = last.written.min(kept);
            if kept > 0 {
                break;
            }
            self.pages.pop_back();
        }
        self.life += 1;
        self.state.next = at;
    }

    fn add(&mut self, entry: Entry, slice: u64, store_time: i64) {
        let (number, slot) = Page::place(self.state.next);
        match self.pages.back_mut() {
            Some(last) if last.slice == slice && last.page.number == number => {
                last.page.entries.push(entry);
            }
            _ => self.pages.push_back(MemoryPage {
                slice,
                page: Page {
                    number,
                    first_slot: slot,
                    first_store_time: store_time,
                    entries: vec![entry],
                },
                written: 0,
            }),
        }
        self.state.next += 1;
    }

    /// Entries from `from` on, at most `count_max`; `None` if `from` is not in memory.
    pub(super) fn read(&self, from: u64, count_max: usize) -> Option<Vec<Entry>> {
        if from < self.memory_from() {
            return None;
        }
        let mut found = Vec::new();
        // The newest pages are asked for most, and there are few.
        let behind = self.pages.iter().rev().take_while(|held| held.page.end() > from).count();
        for held in self.pages.iter().skip(self.pages.len() - behind) {
            let start = from.max(held.page.start());
            let entries = held.page.from(start).unwrap_or_default();
            let left = count_max - found.len();
            found.extend_from_slice(&entries[..entries.len().min(left)]);
            if found.len() == count_max {
                break;
            }
        }
        Some(found)
    }

    /// Queue offset and store time of the first entry of each page in memory, oldest first.
    pub(super) fn page_times(&self) -> Vec<(u64, i64)> {
        self.pages.iter().map(|held| (held.page.start(), held.page.first_store_time)).collect()
    }

    /// Copies what is to be written: pages with entries of records that begin below `up_to`. Pages that were
    /// written whole before are forgotten.
    pub(super) fn unwritten(&mut self, up_to: u64) -> Vec<Unwritten> {
        while self.pages.len() > 1 {
            match self.pages.front() {
                Some(first) if first.written == first.page.entries.len() => self.pages.pop_front(),
                _ => break,
            };
        }
        let mut found = Vec::new();
        for held in &self.pages {
            let below = |entry: &Entry| entry.physical_offset.0 < up_to;
            let count = held.page.entries.partition_point(below);
            if count > held.written {
                let entries = held.page.entries[..count].to_vec();
                let page = Page { entries, ..held.page.clone_head() };
                found.push(Unwritten { slice: held.slice, page, life: self.life });
            }
        }
        found
    }

    /// Notes that a page is in its slice's database.
    pub(super) fn written(&mut self, unwritten: &Unwritten) {
        if unwritten.life != self.life {
            return;
        }
        let same = |held: &&mut MemoryPage| {
            held.slice == unwritten.slice
                && held.page.number == unwritten.page.number
                && held.page.first_slot == unwritten.page.first_slot
        };
        if let Some(held) = self.pages.iter_mut().find(same) {
            held.written = held.written.max(unwritten.page.entries.len());
        }
    }

    /// Forgets all pages in memory if all of them are written.
    pub(super) fn forget_written(&mut self) {
        if self.pages.iter().all(|held| held.written == held.page.entries.len()) {
            self.pages = VecDeque::new();
        }
    }

    /// Whether there is an entry that is not written.
    pub(super) fn has_unwritten(&self) -> bool {
        self.pages.iter().any(|held| held.written < held.page.entries.len())
    }

    /// Raises the first offset that is known to be there.
    pub(super) fn set_first(&mut self, life: u32, offset: u64, physical: u64) {
        if life == self.life && offset >= self.state.first_offset {
            (self.state.first_offset, self.state.first_physical) = (offset, physical);
        }
    }
}

impl Page {
    /// The page without its entries.
    fn clone_head(&self) -> Self {
        Self {
            number: self.number,
            first_slot: self.first_slot,
            first_store_time: self.first_store_time,
            entries: Vec::new(),
        }
    }
}

const _: () = assert!(PAGE_ENTRIES == 128, "128 entries a page, as the documents say");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{PhysicalOffset, QueueId, QueueOffset};
    use proptest::prelude::*;

    /// The slices of these tests hold 1000 bytes of log.
    const SLICE_BYTES: u64 = 1000;

    fn push(tail: &mut QueueTail, offset: u64, physical: u64) -> Pushed {
        let dispatch = Dispatch {
            topic: "T",
            queue_id: QueueId(0),
            queue_offset: QueueOffset(offset),
            physical_offset: PhysicalOffset(physical),
            size: 10,
            tags_code: 5,
            store_timestamp: i64::try_from(physical).unwrap(),
            in_queue: true,
            key_hashes: &[],
            timer: None,
            light: &[],
        };
        tail.push(&dispatch, physical / SLICE_BYTES)
    }

    fn physicals(tail: &QueueTail, from: u64) -> Vec<u64> {
        let entries = tail.read(from, usize::MAX).unwrap();
        entries.iter().map(|entry| entry.physical_offset.0).collect()
    }

    #[test]
    fn known_records_are_skipped_and_lost_ones_leave_holes_st032() {
        let mut tail = QueueTail::default();
        for (offset, physical) in [(0, 10), (1, 20), (0, 10), (1, 20), (4, 50)] {
            push(&mut tail, offset, physical);
        }
        let entries = tail.read(0, 9).unwrap();
        let holes: Vec<bool> = entries.iter().map(Entry::is_hole).collect();
        assert_eq!(holes, [false, false, true, true, false]);
        assert_eq!(physicals(&tail, 1), [20, 50, 50, 50]);
        assert_eq!(tail.read(1, 2).unwrap().len(), 2);
        assert!(tail.read(5, 2).unwrap().is_empty());
    }

    #[test]
    fn no_more_holes_than_the_log_had_room_for() {
        // The first record ends at 20.
        let gaps = [(128, 20, true), (129, 20, false), (1000, 91_020, true), (1001, 91_020, false)];
        for (gap, physical, is_filled) in gaps {
            let mut tail = QueueTail::default();
            push(&mut tail, 0, 10);
            push(&mut tail, 1 + gap, physical);
            let first_offset = if is_filled { 0 } else { 1 + gap };
            assert_eq!(tail.state().first_offset, first_offset, "{gap} before {physical}");
        }
    }

    #[test]
    fn a_queue_may_begin_late_st033() {
        let mut tail = QueueTail::default();
        push(&mut tail, 1_000_000_000, 500);
        let state = tail.state();
        assert_eq!((state.first_offset, state.first_physical), (1_000_000_000, 500));
        assert_eq!(state.next, 1_000_000_001);
        assert_eq!(tail.read(999_999_999, 1), None);
    }

    #[test]
    fn offset_0_further_on_in_the_log_raises_the_floor() {
        let mut tail = QueueTail::default();
        for offset in 0..5 {
            push(&mut tail, offset, 10 + offset * 10);
        }
        push(&mut tail, 0, 100);
        assert_eq!(tail.state().floor, 100);
        assert_eq!(physicals(&tail, 0), [100]);
        assert_eq!(push(&mut tail, 5, 60), Pushed::Skipped);
        push(&mut tail, 10_000_000, 110);
        assert_eq!((tail.state().first_offset, tail.state().floor), (10_000_000, 110));
    }

    #[test]
    fn records_that_were_saved_after_the_checkpoint_are_taken_again() {
        let saved =
            QueueState { next: 200, last_end: 2010, floor: 0, first_offset: 0, first_physical: 10 };
        let mut tail = QueueTail::restored(saved, 1510);
        assert!(tail.lacks_records());
        assert_eq!(push(&mut tail, 149, 1500), Pushed::Skipped);
        for offset in 150..203 {
            assert_eq!(push(&mut tail, offset, 10 + offset * 10), Pushed::Added);
        }
        assert!(!tail.lacks_records());
        assert_eq!((tail.state().next, tail.state().floor, tail.memory_from()), (203, 0, 150));
        let cut_off = QueueTail::restored(saved, 1510);
        assert!(cut_off.lacks_records());
    }

    #[test]
    fn a_page_ends_with_its_slice_and_with_what_is_on_the_disk() {
        let mut tail = QueueTail::default();
        for offset in 0..130 {
            push(&mut tail, offset, offset * 10 + 10);
        }
        let first: Vec<_> = tail
            .unwritten(1150)
            .iter()
            .map(|u| (u.slice, u.page.number, u.page.first_slot, u.page.entries.len()))
            .collect();
        assert_eq!(first, [(0, 0, 0, 99), (1, 0, 99, 15)]);
        for unwritten in tail.unwritten(1150) {
            tail.written(&unwritten);
        }
        assert!(tail.has_unwritten());
        let second: Vec<_> = tail
            .unwritten(9999)
            .iter()
            .map(|u| (u.slice, u.page.number, u.page.start(), u.page.end()))
            .collect();
        assert_eq!(second, [(1, 0, 99, 128), (1, 1, 128, 130)]);
        assert_eq!(tail.memory_from(), 99);
        for unwritten in tail.unwritten(9999) {
            tail.written(&unwritten);
        }
        tail.forget_written();
        assert_eq!((tail.memory_from(), tail.state().next), (130, 130));
        push(&mut tail, 130, 1310);
        assert_eq!(tail.unwritten(9999)[0].page.first_slot, 2);
    }

    #[test]
    fn what_was_written_of_a_former_life_counts_for_nothing() {
        let mut tail = QueueTail::default();
        push(&mut tail, 0, 10);
        let unwritten = tail.unwritten(99);
        push(&mut tail, 0, 200);
        tail.written(&unwritten[0]);
        assert!(tail.has_unwritten());
    }

    proptest! {
        /// Against a plain map from queue offset to physical offset.
        #[test]
        fn reads_agree_with_a_naive_queue(
            start in 0u64..300, steps in prop::collection::vec((0u64..3, 0u64..4), 1..400), saves in prop::collection::vec(0usize..400, 0..6),
        ) {
            let mut tail = QueueTail::default();
            let mut model: Vec<Option<u64>> = Vec::new();
            let mut disk = std::collections::BTreeMap::new();
            let (mut offset, mut physical) = (start, 10);
            for (index, (skip, gap)) in steps.iter().enumerate() {
                let holes = if index == 0 { 0 } else { *skip };
                offset += holes;
                model.extend((0..holes).map(|_| None));
                physical += 10 * gap;
                push(&mut tail, offset, physical);
                push(&mut tail, offset, physical);
                model.push(Some(physical));
                if saves.contains(&index) {
                    for unwritten in tail.unwritten(physical) {
                        tail.written(&unwritten);
                        let mut page = unwritten.page;
                        if let Some(older) = disk.get(&(unwritten.slice, page.number)) {
                            page.continue_from(older);
                        }
                        disk.insert((unwritten.slice, page.number), page);
                    }
                    tail.forget_written();
                }
                offset += 1;
                physical += 10;
            }
            prop_assert_eq!(tail.state().next, start + model.len() as u64);
            for (index, expected) in model.iter().enumerate() {
                let at = start + index as u64;
                let entry = match tail.read(at, 1) {
                    Some(entries) => entries[0],
                    None => disk.values().find_map(|page: &Page| page.from(at)).expect("on disk")[0],
                };
                prop_assert_eq!((!entry.is_hole()).then_some(entry.physical_offset.0), *expected);
            }
        }
    }
}
