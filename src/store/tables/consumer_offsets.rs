//! How far consumer groups are in each queue (B-241 to B-244), with a generation each.
//!
//! Not whether topic, group or queue exist: 4.9.4 does not ask, so neither does this. Invariants: a
//! generation is raised by each backward commit, reset or deletion, so that of two brokers' positions the
//! greater (generation, offset) is the newer one; a deleted position leaves its generation behind.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::model::{GroupName, QueueId, TopicName, shown};

/// One position in so many may be the first of a group in a topic, which costs about a kilobyte.
const GROUP_POSITIONS: usize = 10;
/// The longest names of a topic and a group together; clients stop at 127 and 255 characters.
const NAMES_BYTES_MAX: usize = 1024;

/// One queue as one group consumes it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PositionKey {
    /// The topic.
    pub topic: TopicName,
    /// The group.
    pub group: GroupName,
    /// The queue.
    pub queue_id: QueueId,
}

/// How far a group is in a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// Raised whenever the position goes back or away.
    pub generation: u64,
    /// The next message's offset as the client gave it; `None` if the position was deleted.
    pub offset: Option<i64>,
}

#[derive(Debug, Default)]
struct State {
    topics: BTreeMap<TopicName, BTreeMap<GroupName, BTreeMap<QueueId, Position>>>,
    count: usize,
    /// Groups of all topics.
    groups: usize,
    /// Positions that were not noted for saving since they changed.
    unsaved: HashSet<PositionKey>,
}

impl State {
    fn position(&self, topic: &str, group: &str, queue_id: QueueId) -> Option<&Position> {
        self.topics.get(topic)?.get(group)?.get(&queue_id)
    }

    /// Whether there may be one position more, where there are `max` of all.
    fn has_room(&self, topic: &str, group: &str, max: usize) -> bool {
        let is_known = || self.topics.get(topic).is_some_and(|groups| groups.contains_key(group));
        self.count < max && (self.groups < max / GROUP_POSITIONS || is_known())
    }

    fn set(&mut self, key: PositionKey, position: Position) {
        let groups = self.topics.entry(key.topic.clone()).or_default();
        let queues = groups.entry(key.group.clone()).or_default();
        self.groups += usize::from(queues.is_empty());
        if queues.insert(key.queue_id, position).is_none() {
            self.count += 1;
        }
        self.unsaved.insert(key);
    }

    /// The keys of the positions that are there and that `wanted` picks.
    fn keys(&self, wanted: impl Fn(&str, &str) -> bool) -> Vec<PositionKey> {
        let mut keys = Vec::new();
        for (topic, groups) in &self.topics {
            for (group, queues) in groups {
                if wanted(topic.as_str(), group.as_str()) {
                    let there = queues.iter().filter(|(_, position)| position.offset.is_some());
                    keys.extend(there.map(|(queue_id, _)| PositionKey {
                        topic: topic.clone(),
                        group: group.clone(),
                        queue_id: *queue_id,
                    }));
                }
            }
        }
        keys
    }

    fn delete(&mut self, keys: Vec<PositionKey>) {
        for key in keys {
            let old = self.position(key.topic.as_str(), key.group.as_str(), key.queue_id);
            let generation = next_generation(old.copied());
            self.set(key, Position { generation, offset: None });
        }
    }
}

/// A greater one, unless a peer has said the greatest there is.
fn next_generation(old: Option<Position>) -> u64 {
    old.map_or(0, |position| position.generation).saturating_add(1)
}

/// The positions of all groups; its methods never block on the disk.
#[derive(Debug, Default)]
pub struct ConsumerOffsets {
    state: Mutex<State>,
}

impl ConsumerOffsets {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes how far a group is. Going back is allowed (B-241) and raises the generation.
    pub fn commit(&self, topic: &str, group: &str, queue_id: QueueId, offset: i64) {
        let _has_room = self.commit_if_room(topic, group, queue_id, offset, usize::MAX);
    }

    /// The same, but a new position is only kept while there are less than `max`, as anyone may commit for any name;
    /// false if there are too many. Deleted ones count.
    pub fn commit_if_room(
        &self,
        topic: &str,
        group: &str,
        queue_id: QueueId,
        offset: i64,
        max: usize,
    ) -> bool {
        self.change(topic, group, queue_id, max, |old| match old {
            Some(Position { generation, offset: Some(old) }) if offset < old => {
                Position { generation: generation.saturating_add(1), offset: Some(offset) }
            }
            Some(Position { generation, .. }) => Position { generation, offset: Some(offset) },
            None => Position { generation: 0, offset: Some(offset) },
        })
    }

    /// Sets a group's position by the operator's will: it wins over what other brokers know.
    pub fn reset(&self, topic: &str, group: &str, queue_id: QueueId, offset: i64) {
        self.change(topic, group, queue_id, usize::MAX, |old| Position {
            generation: next_generation(old),
            offset: Some(offset),
        });
    }

    /// Sets a group's position to what the master says, whatever was committed here (H-054). That the master's may be
    /// the smaller one is nobody's wish to go back: the generation stays.
    pub fn take(&self, topic: &str, group: &str, queue_id: QueueId, offset: i64) {
        self.change(topic, group, queue_id, usize::MAX, |old| Position {
            generation: old.map_or(0, |position| position.generation),
            offset: Some(offset),
        });
    }

    /// Takes another broker's position if it is the newer one; a new one only while there are less than `max`. False if
    /// there are too many.
    pub fn merge(
        &self,
        topic: &str,
        group: &str,
        queue_id: QueueId,
        theirs: Position,
        max: usize,
    ) -> bool {
        let newer = |old: Option<Position>| old.map_or(theirs, |ours| ours.max(theirs));
        self.change(topic, group, queue_id, max, newer)
    }

    fn change(
        &self,
        topic: &str,
        group: &str,
        queue_id: QueueId,
        max: usize,
        new: impl FnOnce(Option<Position>) -> Position,
    ) -> bool {
        let mut state = self.lock();
        let old = state.position(topic, group, queue_id).copied();
        if old.is_none() && topic.len() + group.len() > NAMES_BYTES_MAX {
            let (topic, group) = (shown(topic), shown(group));
            tracing::warn!(topic, group, "a consumer offset is not kept: the names are too long");
            return true;
        }
        if old.is_none() && !state.has_room(topic, group, max) {
            return false;
        }
        let new = new(old);
        if old != Some(new) {
            let key = PositionKey {
                topic: TopicName::new(topic),
                group: GroupName::new(group),
                queue_id,
            };
            state.set(key, new);
        }
        true
    }

    /// How far a group is in a queue (B-242).
    #[must_use]
    pub fn query(&self, topic: &str, group: &str, queue_id: QueueId) -> Option<i64> {
        self.lock().position(topic, group, queue_id)?.offset
    }

    /// How far a group is in each queue of a topic where it has a position.
    #[must_use]
    pub fn of_group(&self, topic: &str, group: &str) -> BTreeMap<QueueId, i64> {
        let state = self.lock();
        let queues = state.topics.get(topic).and_then(|groups| groups.get(group));
        let there = queues.into_iter().flatten();
        there.filter_map(|(queue_id, position)| Some((*queue_id, position.offset?))).collect()
    }

    /// The topics in which a group has a position.
    #[must_use]
    pub fn topics_of(&self, group: &str) -> Vec<TopicName> {
        let state = self.lock();
        let of_group = state.topics.iter().filter(|(_, groups)| {
            groups.get(group).is_some_and(|queues| queues.values().any(|p| p.offset.is_some()))
        });
        of_group.map(|(topic, _)| topic.clone()).collect()
    }

    /// The groups that have a position in a topic.
    #[must_use]
    pub fn groups_of(&self, topic: &str) -> Vec<GroupName> {
        let state = self.lock();
        let groups = state.topics.get(topic).into_iter().flatten();
        groups
            .filter(|(_, queues)| queues.values().any(|p| p.offset.is_some()))
            .map(|(group, _)| group.clone())
            .collect()
    }

    /// Sets one group's positions in a topic as another's are.
    pub fn clone_group(&self, from_group: &str, to_group: &str, topic: &str) {
        for (queue_id, offset) in self.of_group(topic, from_group) {
            self.reset(topic, to_group, queue_id, offset);
        }
    }

    /// Deletes a group's positions in all topics.
    pub fn remove_group(&self, group: &str) {
        let mut state = self.lock();
        let keys = state.keys(|_, of_group| of_group == group);
        state.delete(keys);
    }

    /// Deletes all groups' positions in a topic (S-46).
    pub fn remove_topic(&self, topic: &str) {
        let mut state = self.lock();
        let keys = state.keys(|of_topic, _| of_topic == topic);
        state.delete(keys);
    }

    /// All positions that are there, by topic, group and queue (ST-102).
    #[must_use]
    pub fn snapshot(&self) -> BTreeMap<(TopicName, GroupName), BTreeMap<QueueId, i64>> {
        let state = self.lock();
        let mut all = BTreeMap::new();
        for (topic, groups) in &state.topics {
            for (group, queues) in groups {
                let there: BTreeMap<_, _> =
                    queues.iter().filter_map(|(id, p)| Some((*id, p.offset?))).collect();
                if !there.is_empty() {
                    all.insert((topic.clone(), group.clone()), there);
                }
            }
        }
        all
    }

    /// All positions with their generations, deleted ones included.
    #[must_use]
    pub fn positions(&self) -> Vec<(PositionKey, Position)> {
        let state = self.lock();
        let mut all = Vec::with_capacity(state.count);
        for (topic, groups) in &state.topics {
            for (group, queues) in groups {
                all.extend(queues.iter().map(|(queue_id, position)| {
                    let (topic, group) = (topic.clone(), group.clone());
                    (PositionKey { topic, group, queue_id: *queue_id }, *position)
                }));
            }
        }
        all
    }

    /// Brings positions beyond their queue's end back to it, as the log may have lost its end. That is nobody's wish to go
    /// back: the generation stays, or groups that went on at another broker would be set back there too.
    pub fn clamp(&self, next_offset: impl Fn(&str, QueueId) -> u64) {
        for (key, position) in self.positions() {
            let end = next_offset(key.topic.as_str(), key.queue_id);
            let end = i64::try_from(end).unwrap_or(i64::MAX);
            if position.offset.is_some_and(|offset| offset > end) {
                tracing::warn!(topic = shown(key.topic.as_str()), group = shown(key.group.as_str()), queue = %key.queue_id, offset = position.offset, end, "a consumer offset beyond its queue's end is set back to it");
                self.take(key.topic.as_str(), key.group.as_str(), key.queue_id, end);
            }
        }
    }

    /// Fills the table with what was saved.
    pub(super) fn load(&self, positions: Vec<(PositionKey, Position)>) {
        let mut state = State::default();
        for (key, position) in positions {
            state.set(key, position);
        }
        state.unsaved.clear();
        *self.lock() = state;
    }

    /// What changed since the last call.
    pub(super) fn take_unsaved(&self) -> Vec<(PositionKey, Position)> {
        self.take_unsaved_if(|_| true)
    }

    /// Whether a position that was noted is of the generation that it is of now: not, if it was deleted meanwhile,
    /// which may be saved already.
    pub(super) fn is_current(&self, (key, noted): &(PositionKey, Position)) -> bool {
        let state = self.lock();
        let now = state.position(key.topic.as_str(), key.group.as_str(), key.queue_id);
        now.is_some_and(|now| now.generation == noted.generation)
    }

    /// The deletions among what changed: they point to nothing, so that they may be saved at any time.
    pub(super) fn take_unsaved_deletions(&self) -> Vec<(PositionKey, Position)> {
        self.take_unsaved_if(|position| position.offset.is_none())
    }

    fn take_unsaved_if(&self, wanted: impl Fn(&Position) -> bool) -> Vec<(PositionKey, Position)> {
        let mut state = self.lock();
        let mut taken = Vec::new();
        for key in std::mem::take(&mut state.unsaved) {
            let found = state.position(key.topic.as_str(), key.group.as_str(), key.queue_id);
            match found.copied() {
                Some(position) if wanted(&position) => taken.push((key, position)),
                Some(_) => drop(state.unsaved.insert(key)),
                None => {}
            }
        }
        taken
    }

    /// Puts back what could not be saved.
    pub(super) fn not_saved(&self, positions: &[(PositionKey, Position)]) {
        self.lock().unsaved.extend(positions.iter().map(|(key, _)| key.clone()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const Q: QueueId = QueueId(3);

    fn only(offsets: &ConsumerOffsets) -> Position {
        let all = offsets.positions();
        assert_eq!(all.len(), 1);
        all[0].1
    }

    #[test]
    fn only_going_back_resetting_and_deleting_raise_the_generation() {
        let offsets = ConsumerOffsets::default();
        assert_eq!(offsets.query("T", "G", Q), None);
        for (offset, generation) in [(5, 0), (9, 0), (9, 0), (4, 1), (10, 1)] {
            offsets.commit("T", "G", Q, offset);
            assert_eq!(only(&offsets), Position { generation, offset: Some(offset) });
            assert_eq!(offsets.query("T", "G", Q), Some(offset));
        }
        offsets.take("T", "G", Q, 3);
        assert_eq!(only(&offsets), Position { generation: 1, offset: Some(3) });
        offsets.reset("T", "G", Q, 20);
        assert_eq!(only(&offsets).generation, 2);
        offsets.remove_topic("T");
        assert_eq!(only(&offsets), Position { generation: 3, offset: None });
        assert_eq!((offsets.query("T", "G", Q), offsets.snapshot().len()), (None, 0));
        offsets.commit("T", "G", Q, 1);
        assert_eq!(only(&offsets), Position { generation: 3, offset: Some(1) });
    }

    #[test]
    fn of_two_brokers_positions_the_newer_generation_wins_then_the_greater_offset() {
        let offsets = ConsumerOffsets::default();
        let at = |generation, offset| Position { generation, offset };
        for (theirs, expected) in [
            (at(1, Some(5)), at(1, Some(5))),
            (at(0, Some(99)), at(1, Some(5))),
            (at(1, Some(7)), at(1, Some(7))),
            (at(1, None), at(1, Some(7))),
            (at(2, None), at(2, None)),
            (at(2, Some(0)), at(2, Some(0))),
        ] {
            assert!(offsets.merge("T", "G", Q, theirs, usize::MAX));
            assert_eq!(only(&offsets), expected);
        }
    }

    #[test]
    fn too_long_names_and_groups_too_many_are_not_kept() {
        let offsets = ConsumerOffsets::default();
        let (q, long) = (QueueId(0), "t".repeat(NAMES_BYTES_MAX));
        offsets.commit(&long, "g", q, 1);
        assert_eq!(offsets.query(&long, "g", q), None);
        offsets.commit("t", "g", q, 1);
        offsets.commit("t", "g", QueueId(1), 1);
        assert_eq!(offsets.lock().groups, 1);
        assert!(!offsets.commit_if_room("t", "h", q, 1, GROUP_POSITIONS));
        assert!(offsets.commit_if_room("t", "g", QueueId(2), 3, GROUP_POSITIONS));
        assert_eq!(offsets.query("t", "h", q), None);
        assert_eq!(offsets.query("t", "g", QueueId(2)), Some(3), "a known group's new queue");
        assert!(!offsets.commit_if_room("t", "g", QueueId(3), 3, 3));
        assert!(offsets.commit_if_room("t", "g", QueueId(2), 4, 3), "a known position");
    }

    #[test]
    fn groups_and_topics_are_removed_alone_s46() {
        let offsets = ConsumerOffsets::default();
        for (topic, group) in [("A", "g"), ("A", "h"), ("B", "g"), ("%RETRY%g", "g")] {
            offsets.commit(topic, group, QueueId(0), 1);
        }
        offsets.clone_group("h", "i", "A");
        let groups: Vec<_> = offsets.groups_of("A").iter().map(GroupName::to_string).collect();
        assert_eq!(groups, ["g", "h", "i"]);
        offsets.remove_group("g");
        assert!(offsets.topics_of("g").is_empty());
        assert_eq!(offsets.snapshot().len(), 2);
        offsets.remove_topic("A");
        assert!(offsets.groups_of("A").is_empty());
    }

    #[test]
    fn only_what_changed_is_saved_and_nothing_that_failed_is_forgotten() {
        let offsets = ConsumerOffsets::default();
        offsets.commit("T", "G", Q, 1);
        let noted = offsets.take_unsaved();
        assert_eq!(noted.len(), 1);
        offsets.commit("T", "G", Q, 1);
        assert!(offsets.take_unsaved().is_empty());
        offsets.not_saved(&noted);
        assert_eq!(offsets.take_unsaved().len(), 1);
    }

    #[test]
    fn positions_beyond_the_queues_end_are_set_back_to_it() {
        let offsets = ConsumerOffsets::default();
        offsets.commit("T", "G", Q, 10);
        offsets.commit("T", "H", Q, 3);
        offsets.clamp(|_, _| 5);
        assert_eq!(offsets.query("T", "G", Q), Some(5));
        assert_eq!(offsets.query("T", "H", Q), Some(3));
        // Of the broker that was promoted meanwhile.
        let went_on = Position { generation: 0, offset: Some(15) };
        assert!(offsets.merge("T", "G", Q, went_on, usize::MAX));
        assert_eq!(offsets.query("T", "G", Q), Some(15));
    }
}
