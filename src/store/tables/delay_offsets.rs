//! How far the delivery of delayed messages is, a position for each level (B-275, B-276).

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

#[derive(Debug, Default)]
struct State {
    offsets: BTreeMap<i32, i64>,
    is_unsaved: bool,
}

/// The positions of the delay levels; its methods never block on the disk.
#[derive(Debug, Default)]
pub struct DelayOffsets {
    state: Mutex<State>,
}

impl DelayOffsets {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The position of a level, counted from 1.
    #[must_use]
    pub fn get(&self, level: i32) -> Option<i64> {
        self.lock().offsets.get(&level).copied()
    }

    /// Notes the position of a level.
    pub fn set(&self, level: i32, offset: i64) {
        let mut state = self.lock();
        let old = state.offsets.insert(level, offset);
        state.is_unsaved |= old != Some(offset);
    }

    /// All positions, by level.
    #[must_use]
    pub fn snapshot(&self) -> BTreeMap<i32, i64> {
        self.lock().offsets.clone()
    }

    /// Takes over another broker's positions.
    pub fn replace_all(&self, offsets: BTreeMap<i32, i64>) {
        let mut state = self.lock();
        state.is_unsaved |= state.offsets != offsets;
        state.offsets = offsets;
    }

    /// Brings each level's position into its queue's range; queue = level - 1 (B-275).
    pub fn clamp(&self, range: impl Fn(u32) -> (u64, u64)) {
        for (level, offset) in self.snapshot() {
            let Ok(queue) = u32::try_from(level.saturating_sub(1)) else { continue };
            let (min, next) = range(queue);
            let bound = |offset| i64::try_from(offset).unwrap_or(i64::MAX);
            self.set(level, offset.clamp(bound(min), bound(next.max(min))));
        }
    }

    /// Fills the table with what was saved.
    pub(super) fn load(&self, offsets: BTreeMap<i32, i64>) {
        *self.lock() = State { offsets, is_unsaved: false };
    }

    /// All positions if one changed since the last call.
    pub(super) fn take_unsaved(&self) -> Option<BTreeMap<i32, i64>> {
        let mut state = self.lock();
        std::mem::take(&mut state.is_unsaved).then(|| state.offsets.clone())
    }

    /// Puts back what could not be saved.
    pub(super) fn not_saved(&self) {
        self.lock().is_unsaved = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_brought_into_their_queues_range_b275() {
        let offsets = DelayOffsets::default();
        assert_eq!((offsets.get(1), offsets.take_unsaved()), (None, None));
        for (level, offset) in [(1, 1), (2, 50), (3, 7)] {
            offsets.set(level, offset);
        }
        offsets.clamp(|queue| if queue == 0 { (4, 9) } else { (0, 9) });
        let expected = BTreeMap::from([(1, 4), (2, 9), (3, 7)]);
        assert_eq!(offsets.take_unsaved(), Some(expected.clone()));
        offsets.set(3, 7);
        assert_eq!(offsets.take_unsaved(), None);
        offsets.not_saved();
        assert_eq!(offsets.take_unsaved(), Some(expected));
    }
}
