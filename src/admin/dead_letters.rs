//! Dead letters: which groups have some (21, 202), what lies in a group's topic, `%DLQ%` and its name (105, 202, 11, 201), and
//! giving them to it again (310). How they are read is in `letters`.
//!
//! 4.9.4's tools send such a message to `%DLQ%` once more (`queryMsgById -s`), and its dashboard hands it to one member that
//! happens to be connected (309). Here it goes by the group's topic of retries: any member gets it under the topic that it
//! came from, with all deliveries before it, and no other group does; or to the original topic, if that is asked for.
//! Nothing is taken away: a dead letter stays where it is. Invariants: what is sent again has the id, keys and properties
//! that it had, but for those that would delay it, or make it a half message or another light queue's.

use std::collections::BTreeMap;
use std::ops::Range;

use super::letters::{Ahead, DeadLetters, Place};
use super::{
    Admin, AdminError, Message, address_of, all, dry_run, from_each_or_slave, outcome, try_all,
};
use crate::message::{Properties, properties};
use crate::model::{DLQ_PREFIX, Permission, TopicName, system};
use crate::proto::v1::{
    CountDeadLettersResponse, DeadLetterPlace, DeadLetterQueue, GroupDeadLetters,
    ListDeadLettersRequest, Problem, ResendDeadLettersRequest, ResendDeadLettersResponse,
    ResendTarget, ResentLetter,
};
use crate::remoting::bodies::route::{BrokerData, TopicRoute};
use crate::remoting::bodies::topic_stats::TopicOffset;
use crate::remoting::headers::SendHeader;

/// Dead letters that are listed if nothing is asked for.
const LISTED: u32 = 100;
/// Messages of one id that are looked at.
const OF_AN_ID: i32 = 32;
/// Dead letters of one request to give them again.
const RESENT_MAX: usize = 1000;
/// The broker chooses the queue (B-105).
const ANY_QUEUE: i32 = -1;
/// What a message that is sent again must not have: it would wait, be a half message (B-108), or be somewhere else too.
const NOT_AGAIN: [&str; 9] = [
    properties::DELAY,
    properties::TIMER_DELIVER_MS,
    properties::TIMER_DELAY_SEC,
    properties::TIMER_DELAY_MS,
    properties::TRANSACTION_PREPARED,
    properties::REAL_TOPIC,
    properties::REAL_QUEUE_ID,
    properties::LIGHT_QUEUES,
    properties::LIGHT_OFFSETS,
];

impl Admin {
    /// The groups that have dead letters, by name.
    ///
    /// # Errors
    /// No name server answers, no broker is registered, or none of them answers.
    pub async fn count_dead_letters(&self) -> Result<CountDeadLettersResponse, AdminError> {
        let brokers = self.broker_groups(None).await?;
        let answers = all(brokers.iter().map(|broker| self.dead_letter_topics(broker))).await;
        let (told, problems) = from_each_or_slave(&brokers, answers, "dead letters")?;
        let mut groups: BTreeMap<String, GroupDeadLetters> = BTreeMap::new();
        for (broker, topics) in told {
            for (name, queues) in topics {
                let count =
                    |one: &TopicOffset| one.max_offset.saturating_sub(one.min_offset).max(0);
                let count: i64 = queues.iter().map(count).sum();
                if count == 0 {
                    continue;
                }
                let group = groups.entry(name.clone()).or_insert_with(|| GroupDeadLetters {
                    group: name,
                    ..GroupDeadLetters::default()
                });
                let last = queues.iter().map(|one| one.last_update_timestamp).max();
                group.count = group.count.saturating_add(count);
                group.last_stored_ms = group.last_stored_ms.max(last.filter(|time| *time > 0));
                group.brokers.push(broker.broker_name.clone());
            }
        }
        Ok(CountDeadLettersResponse { groups: groups.into_values().collect(), problems })
    }

    /// The groups that have a topic of dead letters at a broker, and its queues.
    async fn dead_letter_topics(
        &self,
        broker: &BrokerData,
    ) -> Result<Vec<(String, Vec<TopicOffset>)>, AdminError> {
        let address = address_of(broker)?;
        let topics = self.topic_configs(address).await?;
        let names = topics.iter().filter_map(|topic| topic.name.as_str().strip_prefix(DLQ_PREFIX));
        let names: Vec<&str> = names.collect();
        let asked = try_all(&names, async |group| {
            let topic = TopicName::dead_letter_of(group);
            let queues = self.topic_offsets(address, topic.as_str()).await?;
            Ok(((*group).to_owned(), queues))
        });
        asked.await
    }

    /// A group's dead letters, newest first, to be read one after another.
    ///
    /// # Errors
    /// No name server answers, no broker knows the group, or none of those that have dead letters answers.
    pub async fn dead_letters(
        &self,
        request: &ListDeadLettersRequest,
    ) -> Result<DeadLetters, AdminError> {
        let group = &request.group;
        let topic = TopicName::dead_letter_of(group);
        let Some(route) = self.route_if_any(topic.as_str()).await? else {
            // The first dead letter makes the topic.
            self.must_be_known(group, &self.broker_groups(None).await?).await?;
            return Ok(DeadLetters::default());
        };
        let asked = route.brokers.iter().map(|broker| self.dead_letters_at(broker, request));
        let (told, problems) =
            from_each_or_slave(&route.brokers, all(asked).await, "dead letters")?;
        let mut found = DeadLetters { problems, left: limit(request), ..DeadLetters::default() };
        for (_, mut of_broker) in told {
            found.queues.append(&mut of_broker.queues);
            found.places.append(&mut of_broker.places);
        }
        if request.ids.is_empty() {
            return Ok(found);
        }
        found.left = usize::MAX;
        let missing: Vec<_> = request.ids.iter().filter(|id| !found.has_id(id)).collect();
        let text = |id: &String| format!("no dead letter of \"{group}\" has the id \"{id}\"");
        if missing.len() == request.ids.len() && found.problems.is_empty() {
            return Err(AdminError::NotFound(text(missing[0])));
        }
        found.problems.extend(missing.into_iter().map(|id| Problem {
            at: id.clone(),
            reason: text(id),
            ..Problem::default()
        }));
        Ok(found)
    }

    async fn dead_letters_at(
        &self,
        broker: &BrokerData,
        request: &ListDeadLettersRequest,
    ) -> Result<DeadLetters, AdminError> {
        let address = address_of(broker)?;
        let topic = TopicName::dead_letter_of(&request.group);
        let config = self.group_config(address, &request.group).await?;
        let retries_max = config.map(|config| config.retry_max_times);
        let place = |queue, unread| Place {
            broker: broker.broker_name.clone(),
            address: address.to_owned(),
            retries_max,
            topic: topic.as_str().to_owned(),
            queue,
            unread,
            read: Vec::new(),
            has_failed: false,
        };
        let mut found = DeadLetters::default();
        let mut offsets = self.topic_offsets(address, topic.as_str()).await?;
        offsets.sort_unstable_by_key(|one| one.queue.queue_id);
        for offsets in offsets {
            let (first, last) = self.matching(address, &offsets, request).await?;
            found.queues.push(DeadLetterQueue {
                broker: broker.broker_name.clone(),
                queue: offsets.queue.queue_id,
                count: offsets.max_offset.saturating_sub(offsets.min_offset),
                matching: last.saturating_sub(first),
                last_stored_ms: Some(offsets.last_update_timestamp).filter(|time| *time > 0),
            });
            if request.ids.is_empty() {
                let count = i64::try_from(limit(request)).unwrap_or(i64::MAX);
                let first = first.max(last.saturating_sub(count));
                let mut queue = place(offsets.queue.queue_id, first..last);
                queue.read_ahead(self).await?;
                found.places.push(queue);
            }
        }
        let mut of_ids = place(ANY_QUEUE, 0..0);
        for id in &request.ids {
            for message in self.of_id(address, topic.as_str(), id).await? {
                of_ids.read.push(of_ids.ahead(message));
            }
        }
        of_ids.read.sort_by_key(Ahead::stored_ms);
        found.places.push(of_ids);
        Ok(found)
    }

    /// The offsets of a queue that are in the times of the request.
    async fn matching(
        &self,
        address: &str,
        queue: &TopicOffset,
        request: &ListDeadLettersRequest,
    ) -> Result<(i64, i64), AdminError> {
        let (mut first, mut last) = (queue.min_offset, queue.max_offset.max(queue.min_offset));
        if let Some(time) = request.from_ms {
            first = self.first_from(address, queue, time).await?;
        }
        if let Some(time) = request.to_ms {
            last = self.first_from(address, queue, time).await?;
        }
        Ok((first, last.max(first)))
    }

    /// The offset of the first message that was stored at a time or later. A broker's own answer (29) is one near it
    /// (B-306), and how many there are is to be exact.
    async fn first_from(
        &self,
        address: &str,
        queue: &TopicOffset,
        time_ms: i64,
    ) -> Result<i64, AdminError> {
        let (mut low, mut high) = (queue.min_offset, queue.max_offset.max(queue.min_offset));
        while low < high {
            let middle = low + (high - low) / 2;
            let found = self.read(address, place(queue), middle..middle + 1).await?;
            match found.first() {
                Some(message) if message.store_timestamp >= time_ms => high = middle,
                // One that is gone was stored before the others.
                _ => low = middle + 1,
            }
        }
        Ok(low)
    }

    /// The messages of a queue at these offsets.
    pub(super) async fn read(
        &self,
        address: &str,
        queue: (&str, i32),
        offsets: Range<i64>,
    ) -> Result<Vec<Message>, AdminError> {
        let mut messages = Vec::new();
        self.pull_range(address, queue, offsets, |message| messages.push(message)).await?;
        Ok(messages)
    }

    /// The dead letters of an id, of either kind, at one broker.
    async fn of_id(
        &self,
        address: &str,
        topic: &str,
        id: &str,
    ) -> Result<Vec<Message>, AdminError> {
        let mut found = self.by_key_at(address, topic, (id, true), OF_AN_ID).await?;
        if let Ok(place) = id.parse::<crate::message::MessageId>()
            && place.store_host.to_string() == address
        {
            match self.message_at(address, place.offset.to_wire()).await {
                Ok(message) => found.push(message),
                // Code 1: there is none.
                Err(AdminError::Refused { .. } | AdminError::NotFound(_)) => {}
                Err(error) => return Err(error),
            }
        }
        found.retain(|message| message.topic == topic);
        found.sort_unstable_by_key(|message| message.physical_offset);
        found.dedup_by_key(|message| message.physical_offset);
        Ok(found)
    }

    /// Gives dead letters to their group again, one after another; what cannot be sent does not keep back the others.
    ///
    /// # Errors
    /// Nothing was sent: the request makes no sense, no name server answers, or the group has no dead letters.
    pub async fn resend_dead_letters(
        &self,
        request: &ResendDeadLettersRequest,
    ) -> Result<ResendDeadLettersResponse, AdminError> {
        let count = request.places.len();
        if count > RESENT_MAX {
            let text = format!("{count} dead letters: at most {RESENT_MAX} in a request");
            return Err(AdminError::Invalid(text));
        }
        let route = self.route(TopicName::dead_letter_of(&request.group).as_str()).await?;
        let (mut answer, mut routes) = (ResendDeadLettersResponse::default(), BTreeMap::new());
        for place in &request.places {
            let mut letter = ResentLetter { place: Some(place.clone()), ..Default::default() };
            let resent = self.resend(request, &route, place, &mut letter, &mut routes).await;
            let became = match resent {
                Ok(()) if request.dry_run => dry_run(),
                resent => outcome(resent),
            };
            (letter.outcome, letter.reason) = became;
            answer.letters.push(letter);
        }
        Ok(answer)
    }

    /// Sends one again, and notes in `letter` what is known of it; `routes` has those that were asked for before.
    async fn resend(
        &self,
        request: &ResendDeadLettersRequest,
        route: &TopicRoute,
        place: &DeadLetterPlace,
        letter: &mut ResentLetter,
        routes: &mut BTreeMap<String, TopicRoute>,
    ) -> Result<(), AdminError> {
        let message = self.at_place(&request.group, route, place).await?;
        letter.id = Some(message.id());
        let original = message.properties.get(properties::RETRY_TOPIC).map(str::to_owned);
        letter.topic = match (request.target(), original) {
            (ResendTarget::Group, _) => TopicName::retry_of(&request.group).as_str().to_owned(),
            (ResendTarget::Topic, Some(original)) => original,
            (ResendTarget::Topic, None) => {
                let text = format!("{} does not tell which topic it came from", message.id());
                return Err(AdminError::NotFound(text));
            }
        };
        if !routes.contains_key(&letter.topic) {
            let to = self.route_if_any(&letter.topic).await?;
            let to = to.ok_or_else(|| nowhere(&letter.topic, request.target()))?;
            routes.insert(letter.topic.clone(), to);
        }
        let to = &routes[&letter.topic];
        let master = writable(to, &place.broker).ok_or_else(|| {
            AdminError::Conflict(format!("no master takes messages of topic \"{}\"", letter.topic))
        })?;
        if request.dry_run {
            return Ok(());
        }
        let properties = again(message.properties, request.target());
        let header = SendHeader {
            // Who may consume as the group may send to its retries.
            producer_group: &request.group,
            topic: &letter.topic,
            default_topic: system::AUTO_CREATE_TOPIC,
            default_topic_queue_nums: 1,
            queue_id: ANY_QUEUE,
            flag: message.flag,
            born_timestamp: message.born_timestamp,
            properties: &properties,
            ..SendHeader::default()
        };
        let sent = self.send(master, &header, message.body).await?;
        (letter.offset_id, letter.status) = (Some(sent.offset_id), Some(sent.status.to_owned()));
        Ok(())
    }

    async fn at_place(
        &self,
        group: &str,
        route: &TopicRoute,
        place: &DeadLetterPlace,
    ) -> Result<Message, AdminError> {
        let DeadLetterPlace { broker, queue, offset } = place;
        let its = route.brokers.iter().find(|one| one.broker_name == *broker);
        let none = || {
            let text =
                format!("queue {queue} of {broker} has no dead letter {offset} of \"{group}\"");
            AdminError::NotFound(text)
        };
        let address = its.and_then(BrokerData::address).ok_or_else(none)?;
        let topic = TopicName::dead_letter_of(group);
        let its = *offset..offset.saturating_add(1);
        let found = self.read(address, (topic.as_str(), *queue), its).await?;
        found.into_iter().next().ok_or_else(none)
    }
}

/// Why a letter cannot be sent to a topic that is not there.
fn nowhere(topic: &str, target: ResendTarget) -> AdminError {
    AdminError::NotFound(match target {
        ResendTarget::Group => format!(
            "the group has no topic \"{topic}\" yet: its first consumer that connects makes it"
        ),
        ResendTarget::Topic => format!("topic \"{topic}\" is not there any more"),
    })
}

/// The topic and the queue of these offsets.
fn place(offsets: &TopicOffset) -> (&str, i32) {
    (&offsets.queue.topic, offsets.queue.queue_id)
}

fn limit(request: &ListDeadLettersRequest) -> usize {
    usize::try_from(request.limit.unwrap_or(LISTED)).unwrap_or(usize::MAX)
}

/// The properties of a message that is sent again.
fn again(mut all: Properties, target: ResendTarget) -> String {
    for key in NOT_AGAIN {
        all.remove(key);
    }
    if target == ResendTarget::Topic {
        all.remove(properties::RETRY_TOPIC);
    }
    all.set(properties::WAIT, "true");
    all.to_string()
}

/// The master of the broker group, else any other, that takes messages of a topic.
fn writable<'a>(route: &'a TopicRoute, broker: &str) -> Option<&'a str> {
    let may_write = |group: &&BrokerData| {
        let mut its = route.queues.iter().filter(|data| data.broker_name == group.broker_name);
        its.any(|data| data.permission.contains(Permission::WRITE) && data.write_queues > 0)
    };
    let mut masters: Vec<&BrokerData> = route.brokers.iter().filter(may_write).collect();
    masters.sort_by_key(|group| group.broker_name != broker);
    masters.into_iter().find_map(BrokerData::master)
}
