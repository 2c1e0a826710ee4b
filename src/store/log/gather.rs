//! Groups that are written at once, as they get their places.
//!
//! Not the writing. Invariant: what a group gets follows on what the followers have and on the groups before it, so that all
//! of them are written and told to the followers in this order, or none.

use std::collections::HashMap;

use super::append::Group;
use crate::message::{EncodeError, NewMessage, replace_properties_end, stamp};
use crate::model::{PhysicalOffset, QueueId, QueueOffset, TopicName};
use crate::store::Appended;
use crate::store::dispatch::{Facts, Follower};
use crate::store::light::{self, LightPlace};

/// What a message that goes to light queues has besides.
#[derive(Debug)]
pub(super) struct Light {
    topics: Vec<TopicName>,
    /// Where its record's properties begin.
    properties_at: usize,
    /// How long its record is without its offsets there.
    kept: usize,
}

impl Light {
    /// Makes an encoded `record` as large as it can become; `None` if the message goes to no light queue.
    pub fn of(message: &NewMessage, record: &mut Vec<u8>) -> Result<Option<Self>, EncodeError> {
        let topics = light::of_message(message);
        if topics.is_empty() {
            return Ok(None);
        }
        let (kept, properties_bytes) = (record.len(), message.properties.len());
        let properties_at = kept - properties_bytes;
        let widest = light::widest_property(topics.len());
        replace_properties_end(record, properties_at, kept, &widest)?;
        Ok(Some(Self { topics, properties_at, kept }))
    }
}

/// What is written next.
pub(super) struct Gather<'a> {
    follower: &'a dyn Follower,
    store_timestamp: i64,
    position: u64,
    next_offsets: Vec<(TopicName, QueueId, QueueOffset)>,
    /// Apart, because one message may go to many.
    next_light_offsets: HashMap<TopicName, QueueOffset>,
    pub groups: Vec<Group>,
    /// Where their records are.
    pub placed: Vec<Vec<Appended>>,
    /// Bytes of all their records.
    pub bytes: usize,
}

impl<'a> Gather<'a> {
    pub fn new(follower: &'a dyn Follower, position: u64, store_timestamp: i64) -> Self {
        Self {
            follower,
            store_timestamp,
            position,
            next_offsets: Vec::new(),
            next_light_offsets: HashMap::new(),
            groups: Vec::new(),
            placed: Vec::new(),
            bytes: 0,
        }
    }

    fn next_offset(&self, topic: &TopicName, queue_id: QueueId) -> QueueOffset {
        let known = if queue_id == light::QUEUE && light::is_light(topic.as_str()) {
            self.next_light_offsets.get(topic).copied()
        } else {
            let same = |(t, q, _): &&(TopicName, QueueId, _)| *q == queue_id && t == topic;
            self.next_offsets.iter().find(same).map(|(.., next)| *next)
        };
        known.unwrap_or_else(|| self.follower.next_offset(topic.as_str(), queue_id))
    }

    fn set_next_offset(&mut self, topic: &TopicName, queue_id: QueueId, next: QueueOffset) {
        if queue_id == light::QUEUE && light::is_light(topic.as_str()) {
            self.next_light_offsets.insert(topic.clone(), next);
            return;
        }
        let same = |(t, q, _): &&mut (TopicName, QueueId, _)| *q == queue_id && t == topic;
        match self.next_offsets.iter_mut().find(same) {
            Some(known) => known.2 = next,
            None => self.next_offsets.push((topic.clone(), queue_id, next)),
        }
    }

    /// Lets the record of a message for light queues say where it will be there if it is added now.
    pub fn settle(&self, group: &mut Group) {
        let Some(Light { topics, properties_at, kept }) = &group.light else { return };
        let next = |topic| self.next_offset(topic, light::QUEUE);
        let offsets: Vec<QueueOffset> = topics.iter().map(next).collect();
        let end = light::offsets_property(properties_at == kept, &offsets);
        let settled = replace_properties_end(&mut group.bytes, *properties_at, *kept, &end);
        debug_assert!(settled.is_ok(), "the widest offsets did fit");
        let place = |(topic, queue_offset): (&TopicName, _)| LightPlace {
            topic: topic.clone(),
            queue_offset,
        };
        if let Some(facts) = group.facts.first_mut() {
            facts.set_light(topics.iter().zip(offsets).map(place).collect(), group.bytes.len());
        }
    }

    /// Gives every record of a group its place and time.
    pub fn add(&mut self, mut group: Group) {
        let mut next = self.next_offset(&group.topic, group.queue_id);
        let mut rest = group.bytes.as_mut_slice();
        let mut appended = Vec::with_capacity(group.facts.len());
        for fact in &group.facts {
            let (record, after) = rest.split_at_mut(fact.size() as usize);
            // ST-034: records without a queue entry say 0.
            let queue_offset = if fact.in_queue() { next } else { QueueOffset(0) };
            let physical_offset = PhysicalOffset(self.position);
            let store_timestamp = self.store_timestamp;
            stamp(record, queue_offset, physical_offset, store_timestamp);
            appended.push(Appended { physical_offset, queue_offset, store_timestamp });
            rest = after;
            self.position += u64::from(fact.size());
            next = next.plus(u64::from(fact.in_queue()));
        }
        self.set_next_offset(&group.topic, group.queue_id, next);
        for place in group.facts.iter().flat_map(Facts::light) {
            self.set_next_offset(&place.topic, light::QUEUE, place.queue_offset.plus(1));
        }
        self.bytes += group.bytes.len();
        self.placed.push(appended);
        self.groups.push(group);
    }
}
