//! Dead letters of a group, read one after another, newest first (11).
//!
//! Not which there are (`dead_letters`). Invariants: however many and long they are, what is held are the beginnings of those
//! that are read ahead and one whole letter; a broker that fails meanwhile keeps back nothing of the others.

use std::ops::Range;

use super::{Admin, AdminError, Message};
use crate::message::properties;
use crate::proto::v1::{
    DeadLetter, DeadLetterQueue, ListDeadLettersResponse, Problem, StoredMessage,
};

/// Dead letters of a queue that are read ahead, to put them among those of other queues.
const READ_AHEAD: i64 = 100;
/// What is held of their bodies; a longer one is read again when it is taken.
const BODY_KEPT_BYTES: usize = 4 << 10;

/// A group's dead letters.
#[derive(Debug, Default)]
pub struct DeadLetters {
    /// How many lie where.
    pub queues: Vec<DeadLetterQueue>,
    /// Brokers that did not answer, or do not any more, and ids that are not there.
    pub problems: Vec<Problem>,
    /// How many may still be taken.
    pub(super) left: usize,
    pub(super) places: Vec<Place>,
}

/// A queue, or a broker that was asked for ids.
#[derive(Debug)]
pub(super) struct Place {
    pub broker: String,
    pub address: String,
    pub retries_max: Option<i32>,
    pub topic: String,
    pub queue: i32,
    /// Offsets of those that are still to be read.
    pub unread: Range<i64>,
    /// Those that were read, oldest first.
    pub read: Vec<Ahead>,
    /// Whether its broker failed meanwhile.
    pub has_failed: bool,
}

/// A dead letter that was read ahead.
#[derive(Debug)]
pub(super) struct Ahead {
    message: StoredMessage,
    is_cut: bool,
}

impl DeadLetters {
    /// Takes the next one, whole.
    pub async fn next(&mut self, admin: &Admin) -> Option<DeadLetter> {
        while let Some((at, ahead)) = self.take(admin).await {
            let place = &self.places[at];
            if !ahead.is_cut {
                return Some(place.letter(ahead.message));
            }
            if place.has_failed {
                continue;
            }
            let (queue, offset) = (ahead.message.queue, ahead.message.queue_offset);
            let queue = (place.topic.as_str(), queue);
            match admin.read(&place.address, queue, offset..offset.saturating_add(1)).await {
                Ok(again) => {
                    // Without it, it was deleted meanwhile, as old ones are.
                    if let Some(message) = again.into_iter().next() {
                        let message = StoredMessage::of(message, Some(&place.broker));
                        return Some(place.letter(message));
                    }
                }
                Err(error) => self.fails(at, &error),
            }
        }
        None
    }

    /// All that are left, bodies only in their beginnings.
    pub async fn beginnings(mut self, admin: &Admin) -> ListDeadLettersResponse {
        let mut letters = Vec::new();
        while let Some((at, ahead)) = self.take(admin).await {
            letters.push(self.places[at].letter(ahead.message));
        }
        ListDeadLettersResponse { letters, queues: self.queues, problems: self.problems }
    }

    /// The newest that is left, and which place has it.
    async fn take(&mut self, admin: &Admin) -> Option<(usize, Ahead)> {
        self.left = self.left.checked_sub(1)?;
        for at in 0..self.places.len() {
            if let Err(error) = self.places[at].read_ahead(admin).await {
                self.fails(at, &error);
            }
        }
        let newest = |at: &usize| self.places[*at].read.last().map(Ahead::stored_ms);
        let at = (0..self.places.len()).max_by_key(newest)?;
        Some((at, self.places[at].read.pop()?))
    }

    /// Notes that the broker of a place answers no more: it is not asked again, and what was read of it stays.
    fn fails(&mut self, at: usize, error: &AdminError) {
        let (broker, address) = (self.places[at].broker.clone(), self.places[at].address.clone());
        for place in self.places.iter_mut().filter(|place| place.broker == broker) {
            place.unread = 0..0;
            place.has_failed = true;
        }
        let reason = format!("some dead letters of {broker} are missing: {error}");
        self.problems.push(Problem { at: broker, address: Some(address), reason });
    }

    /// Whether one of those that were read ahead has the id, of either kind.
    pub(super) fn has_id(&self, id: &str) -> bool {
        let mut read = self.places.iter().flat_map(|place| &place.read);
        read.any(|ahead| ahead.message.id == id || ahead.message.offset_id == id)
    }
}

impl Place {
    /// Reads the next ones if all that were read are taken.
    pub async fn read_ahead(&mut self, admin: &Admin) -> Result<(), AdminError> {
        while self.read.is_empty() && !self.unread.is_empty() {
            let first = self.unread.start.max(self.unread.end.saturating_sub(READ_AHEAD));
            let mut read = Vec::new();
            let queue = (self.topic.as_str(), self.queue);
            let take = |message| read.push(self.ahead(message));
            admin.pull_range(&self.address, queue, first..self.unread.end, take).await?;
            (self.read, self.unread.end) = (read, first);
        }
        Ok(())
    }

    /// What is held of a message until it is taken.
    pub fn ahead(&self, message: Message) -> Ahead {
        let is_cut = message.body.len() > BODY_KEPT_BYTES;
        let mut message = StoredMessage::of(message, Some(&self.broker));
        message.shorten(BODY_KEPT_BYTES);
        Ahead { message, is_cut }
    }

    fn letter(&self, message: StoredMessage) -> DeadLetter {
        let property = |key| message.properties.get(key).cloned();
        // Each delivery that failed has added one, the last one too (B-133).
        let deliveries = message.reconsume_times;
        DeadLetter {
            original_topic: property(properties::RETRY_TOPIC),
            original_id: property(properties::ORIGIN_MESSAGE_ID),
            deliveries,
            why: why(deliveries, self.retries_max),
            message: Some(message),
        }
    }
}

impl Ahead {
    /// When it became a dead letter, milliseconds since 1970.
    pub fn stored_ms(&self) -> i64 {
        self.message.stored_ms
    }
}

/// Nobody writes down what a listener threw; how often it did tells what ended it (B-106, B-132). Who gives up earlier is a
/// consumer that says so, or that allows fewer.
fn why(deliveries: i32, retries_max: Option<i32>) -> String {
    match retries_max {
        Some(max) if deliveries < max => {
            format!("given up before {max} retries")
        }
        Some(max) => format!("{max} retries failed"),
        None => "the group has no settings any more".to_owned(),
    }
}
