//! Messages of a topic by their times, newest first, in pages (202, 29, then 11).
//!
//! Nothing is changed, and no group gets a position. Invariants: a page goes on exactly where the one before ended, in
//! each queue, so that no message is there twice; what a topic's brokers did not say is told; a body is not kept longer than
//! its page needs.

use std::cmp::Reverse;

use super::{Admin, AdminError, address_of, all, from_each_or_slave};
use crate::proto::v1::{Problem, StoredMessage};
use crate::remoting::bodies::route::BrokerData;

/// What is kept of a body.
const BODY_KEPT_BYTES: usize = 256;

/// Which messages.
#[derive(Clone, Debug, Default)]
pub struct Browse {
    /// The topic.
    pub topic: String,
    /// Stored at this time or later, milliseconds since 1970.
    pub from_ms: i64,
    /// Stored before this time.
    pub until_ms: i64,
    /// Where the page before ended; empty for the first page.
    pub before: Vec<Place>,
    /// Messages of a page, 1 at least.
    pub limit: usize,
}

/// A place in a queue: its messages before `offset` are still to come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The broker group (`brokerName`).
    pub broker: String,
    /// The queue's number, from 0.
    pub queue: i32,
    /// See above.
    pub offset: i64,
}

/// A page of messages.
#[derive(Clone, Debug, Default)]
pub struct Browsed {
    /// Newest first; bodies only in their beginnings.
    pub messages: Vec<StoredMessage>,
    /// Where the next page goes on; empty if there is none.
    pub next: Vec<Place>,
    /// Brokers that did not answer.
    pub problems: Vec<Problem>,
}

/// The messages of one queue that may be on the page.
struct OfQueue {
    place: Place,
    /// The first offset that may be on a page at all.
    first: i64,
    /// Newest first, until they are put among those of the other queues.
    messages: Vec<StoredMessage>,
    /// Whether there were any.
    has_any: bool,
}

impl Admin {
    /// A page of the messages of a topic.
    ///
    /// # Errors
    /// No name server knows the topic, or none of its brokers answers.
    pub async fn browse(&self, request: &Browse) -> Result<Browsed, AdminError> {
        let brokers = self.route(&request.topic).await?.brokers;
        let answers = all(brokers.iter().map(|group| self.queues_in_time(group, request)));
        let (told, problems) = from_each_or_slave(&brokers, answers.await, "messages")?;
        let mut queues: Vec<OfQueue> = told.into_iter().flat_map(|(_, queues)| queues).collect();
        let mut messages = Vec::new();
        for queue in &mut queues {
            messages.append(&mut queue.messages);
        }
        messages.sort_by_key(|one| (Reverse(one.stored_ms), Reverse(one.queue_offset)));
        messages.truncate(request.limit);
        let next: Vec<_> = queues.into_iter().map(|queue| queue.after(&messages)).collect();
        let is_more = next.iter().any(|(_, is_more)| *is_more);
        let next =
            if is_more { next.into_iter().map(|(place, _)| place).collect() } else { Vec::new() };
        Ok(Browsed { messages, next, problems })
    }

    async fn queues_in_time(
        &self,
        group: &BrokerData,
        request: &Browse,
    ) -> Result<Vec<OfQueue>, AdminError> {
        let address = address_of(group)?;
        let (topic, mut queues) = (&request.topic, Vec::new());
        for one in self.topic_offsets(address, topic).await? {
            let queue = one.queue.queue_id;
            let its = |place: &&Place| place.broker == group.broker_name && place.queue == queue;
            let end = match request.before.iter().find(its) {
                Some(place) => place.offset,
                // A queue that came later, or whose broker did not answer then, has no place on later pages.
                None if !request.before.is_empty() => continue,
                // What is stored at the very time may be before or behind its offset.
                None => {
                    let at = self.search_offset(address, topic, queue, request.until_ms).await?;
                    at.saturating_add(1)
                }
            };
            // Where several are of one time it may be any of them: it is looked just before it.
            let from_ms = request.from_ms.saturating_sub(1);
            let first = self.search_offset(address, topic, queue, from_ms).await?;
            queues.push(OfQueue {
                place: Place {
                    broker: group.broker_name.clone(),
                    queue,
                    offset: end.min(one.max_offset),
                },
                first: first.max(one.min_offset),
                messages: Vec::new(),
                has_any: false,
            });
        }
        let filled = all(queues.iter_mut().map(|queue| self.fill(address, request, queue))).await;
        filled.into_iter().collect::<Result<(), _>>()?;
        Ok(queues)
    }

    /// The newest messages of a queue, as many as a page has.
    async fn fill(
        &self,
        address: &str,
        request: &Browse,
        queue: &mut OfQueue,
    ) -> Result<(), AdminError> {
        let limit = i64::try_from(request.limit).unwrap_or(i64::MAX);
        let first = queue.first.max(queue.place.offset.saturating_sub(limit));
        let its = (request.topic.as_str(), queue.place.queue);
        let take = |message| {
            let mut message = StoredMessage::of(message, Some(&queue.place.broker));
            if (request.from_ms..request.until_ms).contains(&message.stored_ms) {
                message.shorten(BODY_KEPT_BYTES);
                queue.messages.push(message);
            }
        };
        self.pull_range(address, its, first..queue.place.offset, take).await?;
        queue.has_any = !queue.messages.is_empty();
        queue.messages.reverse();
        Ok(())
    }
}

impl OfQueue {
    /// Where the queue goes on after a page, and whether there may be more of it.
    fn after(self, page: &[StoredMessage]) -> (Place, bool) {
        let its = |one: &&StoredMessage| {
            one.queue == self.place.queue && one.broker.as_ref() == Some(&self.place.broker)
        };
        let shown = page.iter().filter(its).map(|one| one.queue_offset).min();
        let offset = match shown {
            Some(shown) => shown,
            None if self.has_any => self.place.offset,
            // All that was looked at is too new or too old.
            None => self.first,
        };
        let is_more = offset > self.first;
        (Place { offset, ..self.place }, is_more)
    }
}
