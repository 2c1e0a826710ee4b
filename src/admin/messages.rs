//! Messages: of an id (33, or 12 with the topic), of a key (12), and as they are stored (11).
//!
//! Not what became of them (`tracks`). Nothing is changed: whoever looks on is no member of a group, and leaves no
//! position. Invariants: what a topic's brokers did not say is told; brokers find keys by their hash (S-25), and what only
//! shares it is left out; of what a look-up finds so many bytes are held at most.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::sync::mpsc;
use tonic::Status;

use super::calls::PULLED;
use super::{Admin, AdminError, Message, Pull, PullStatus, address_of, all, from_each_or_slave};
use crate::message::{MessageId, properties};
use crate::model::system;
use crate::proto::v1::{
    FindMessagesRequest, FindMessagesResponse, GetMessageRequest, GetMessageResponse, Problem,
    StoredMessage, TailMessagesRequest, TailMessagesResponse,
};
use crate::remoting::bodies::route::BrokerData;
use crate::remoting::response;

/// Messages of a key that are found if nothing is asked for.
const FOUND: u32 = 32;
/// Bytes of bodies that are told of a key or an id; the newest message is told in any case.
const FOUND_BYTES_MAX: usize = 8 << 20;
/// How long new messages are waited for.
const TAIL_PAUSE: Duration = Duration::from_millis(300);

impl StoredMessage {
    pub(super) fn of(message: Message, broker: Option<&str>) -> Self {
        let all: BTreeMap<_, _> = message
            .properties
            .iter()
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect();
        Self {
            id: message.id(),
            offset_id: message.offset_id(),
            broker: broker.map(str::to_owned),
            queue: message.queue_id,
            queue_offset: message.queue_offset,
            tags: all.get(properties::TAGS).cloned(),
            keys: all.get(properties::KEYS).cloned(),
            born_ms: message.born_timestamp,
            born_host: message.born_host.to_string(),
            stored_ms: message.store_timestamp,
            store_host: message.store_host.to_string(),
            store_bytes: u64::try_from(message.store_bytes).unwrap_or(u64::MAX),
            reconsume_times: message.reconsume_times,
            flag: message.flag,
            sys_flag: message.sys_flag,
            body_text: std::str::from_utf8(&message.body).ok().map(str::to_owned),
            body: message.body.to_vec(),
            topic: message.topic,
            properties: all,
        }
    }

    /// Keeps so many bytes of the body, and of its text, at most.
    pub(crate) fn shorten(&mut self, bytes: usize) {
        self.body.truncate(bytes);
        self.body.shrink_to_fit();
        if let Some(text) = &mut self.body_text {
            text.truncate(text.floor_char_boundary(bytes));
            text.shrink_to_fit();
        }
    }
}

impl Admin {
    /// The messages of an id, each broker of the topic asked, and what became of the first.
    ///
    /// # Errors
    /// As [`Self::messages_of_id`].
    pub async fn message(
        &self,
        request: &GetMessageRequest,
    ) -> Result<GetMessageResponse, AdminError> {
        let (messages, mut problems) = self.messages_of_id(request).await?;
        let first = &messages[0];
        let missing = |what: &str, error: AdminError| Problem {
            at: first.topic.clone(),
            reason: format!("{what} is missing: {error}"),
            ..Problem::default()
        };
        let tracks = self.tracks(first).await.unwrap_or_else(|error| {
            problems.push(missing("which groups have got it", error));
            Vec::new()
        });
        let (trace, untold) = self
            .trace(&first.id, request.trace_topic.as_deref())
            .await
            .unwrap_or_else(|error| (Vec::new(), vec![missing("its trace", error)]));
        problems.extend(untold);
        Ok(GetMessageResponse { messages, tracks, problems, trace })
    }

    /// The messages of an id, one at least, each broker of the topic asked, and which did not answer.
    ///
    /// # Errors
    /// It is no id, the topic is needed, there is none, or nobody answers.
    pub async fn messages_of_id(
        &self,
        request: &GetMessageRequest,
    ) -> Result<(Vec<StoredMessage>, Vec<Problem>), AdminError> {
        let (messages, problems) = match (&request.topic, request.id.parse::<MessageId>()) {
            (None, Err(_)) => {
                let text = format!(
                    "\"{}\" does not tell where it is stored: name its topic too",
                    request.id
                );
                return Err(AdminError::Invalid(text));
            }
            (None, Ok(id)) => {
                let (address, offset) = (id.store_host.to_string(), id.offset.to_wire());
                let found = self.message_at(&address, offset).await?;
                (vec![StoredMessage::of(found, None)], Vec::new())
            }
            (Some(topic), _) => self.by_key(topic, &request.id, true, FOUND).await?,
        };
        if messages.is_empty() {
            let text = format!("no broker that answers has a message \"{}\"", request.id);
            return Err(AdminError::NotFound(text));
        }
        Ok((messages, problems))
    }

    /// Messages of a topic that have a key, newest first; what is too much is a problem.
    ///
    /// # Errors
    /// No name server knows the topic, or nobody answers.
    pub async fn find_messages(
        &self,
        request: &FindMessagesRequest,
    ) -> Result<FindMessagesResponse, AdminError> {
        let limit = request.limit.unwrap_or(FOUND);
        let (messages, problems) = self.by_key(&request.topic, &request.key, false, limit).await?;
        Ok(FindMessagesResponse { messages, problems })
    }

    async fn by_key(
        &self,
        topic: &str,
        key: &str,
        is_unique: bool,
        limit: u32,
    ) -> Result<(Vec<StoredMessage>, Vec<Problem>), AdminError> {
        let brokers = self.route(topic).await?.brokers;
        let limit = i32::try_from(limit).unwrap_or(i32::MAX);
        let answers = all(brokers.iter().map(async |group| {
            self.by_key_at(address_of(group)?, topic, (key, is_unique), limit).await
        }));
        let (told, mut problems) = from_each_or_slave(&brokers, answers.await, "messages")?;
        let of = |(group, messages): (&BrokerData, Vec<Message>)| {
            let broker = group.broker_name.clone();
            messages.into_iter().map(move |one| (one, broker.clone()))
        };
        let mut found: Vec<_> = told.into_iter().flat_map(of).collect();
        found.sort_by_key(|(message, _)| std::cmp::Reverse(message.store_timestamp));
        let count = count_within(found.iter().map(|(message, _)| message.body.len()));
        if count < found.len() {
            let more = found.len() - count;
            let reason = format!(
                "{more} more are left out, the oldest: all that is told has up to {} MiB of bodies",
                FOUND_BYTES_MAX >> 20
            );
            problems.push(Problem { at: topic.to_owned(), reason, ..Problem::default() });
        }
        let told = found.into_iter().take(count);
        let told = told.map(|(message, broker)| StoredMessage::of(message, Some(&broker)));
        Ok((told.collect(), problems))
    }

    /// Messages of a topic at one broker that have a key, or an id that their producer gave.
    pub(super) async fn by_key_at(
        &self,
        address: &str,
        topic: &str,
        (key, is_unique): (&str, bool),
        limit: i32,
    ) -> Result<Vec<Message>, AdminError> {
        let limits = (limit, i64::MAX);
        let mut found = match self.messages_by_key(address, topic, key, is_unique, limits).await {
            Err(error) if error.is_refused(response::QUERY_NOT_FOUND) => Vec::new(),
            answered => answered?,
        };
        let has_key = |message: &Message| {
            let keys = message.properties.get(properties::KEYS).unwrap_or_default();
            keys.split(' ').any(|one| one == key)
        };
        found.retain(|message| {
            message.topic == topic && if is_unique { message.id() == key } else { has_key(message) }
        });
        Ok(found)
    }

    /// Sends messages of a topic to `out` as they are stored, until nobody takes them. A broker that does not answer at the
    /// beginning is told of, and left out.
    ///
    /// # Errors
    /// No name server knows the topic, or none of its brokers answers at the beginning.
    pub async fn tail(
        &self,
        request: &TailMessagesRequest,
        out: &mpsc::Sender<Result<TailMessagesResponse, Status>>,
    ) -> Result<(), AdminError> {
        let (mut queues, problems) = self.ends(request).await?;
        let begun = TailMessagesResponse { problems, ..TailMessagesResponse::default() };
        if !begun.problems.is_empty() && out.send(Ok(begun)).await.is_err() {
            return Ok(());
        }
        loop {
            let pulled = all(queues.iter().map(|queue| self.pull_from(request, queue))).await;
            let mut answer = TailMessagesResponse::default();
            for (queue, pulled) in queues.iter_mut().zip(pulled) {
                match pulled {
                    Ok((next_offset, messages)) => {
                        queue.has_failed = false;
                        queue.offset = next_offset;
                        let of = |one| StoredMessage::of(one, Some(&queue.broker));
                        answer.messages.extend(messages.into_iter().map(of));
                    }
                    // Told once.
                    Err(_) if queue.has_failed => {}
                    Err(error) => {
                        queue.has_failed = true;
                        answer.problems.push(Problem {
                            at: queue.broker.clone(),
                            address: Some(queue.address.clone()),
                            reason: format!("queue {} of {}: {error}", queue.number, queue.broker),
                        });
                    }
                }
            }
            let is_idle = answer.messages.is_empty();
            if !(is_idle && answer.problems.is_empty()) && out.send(Ok(answer)).await.is_err() {
                return Ok(());
            }
            if is_idle {
                tokio::select! {
                    () = tokio::time::sleep(TAIL_PAUSE) => {}
                    () = out.closed() => return Ok(()),
                }
            }
        }
    }

    /// Where each queue of the topic is looked at first, and which brokers do not say it.
    async fn ends(
        &self,
        request: &TailMessagesRequest,
    ) -> Result<(Vec<Queue>, Vec<Problem>), AdminError> {
        let brokers = self.route(&request.topic).await?.brokers;
        let ends = all(brokers.iter().map(|group| self.ends_at(group, request))).await;
        let (told, problems) = from_each_or_slave(&brokers, ends, "messages")?;
        Ok((told.into_iter().flat_map(|(_, queues)| queues).collect(), problems))
    }

    async fn ends_at(
        &self,
        group: &BrokerData,
        request: &TailMessagesRequest,
    ) -> Result<Vec<Queue>, AdminError> {
        let (address, topic, mut queues) = (address_of(group)?, &request.topic, Vec::new());
        for one in self.topic_offsets(address, topic).await? {
            let number = one.queue.queue_id;
            let offset = match request.from_ms {
                Some(time) => self.search_offset(address, topic, number, time).await?,
                None => one.max_offset,
            };
            let (broker, address) = (group.broker_name.clone(), address.to_owned());
            queues.push(Queue { broker, address, number, offset, has_failed: false });
        }
        Ok(queues)
    }

    async fn pull_from(
        &self,
        request: &TailMessagesRequest,
        queue: &Queue,
    ) -> Result<(i64, Vec<Message>), AdminError> {
        let pull = Pull {
            group: system::TOOLS_CONSUMER,
            topic: &request.topic,
            queue_id: queue.number,
            offset: queue.offset,
            count: PULLED,
            expression: request.tags.as_deref().unwrap_or("*"),
        };
        let pulled = self.pull(&queue.address, pull).await?;
        let next_offset = match pulled.status {
            PullStatus::Found | PullStatus::NoMatchedMsg | PullStatus::OffsetIllegal => {
                pulled.next_offset
            }
            PullStatus::NoNewMsg => queue.offset,
        };
        Ok((next_offset, pulled.messages))
    }
}

/// How many of the first bodies are within [`FOUND_BYTES_MAX`], one at least if there is any.
fn count_within(bodies: impl Iterator<Item = usize>) -> usize {
    let mut bytes = 0_usize;
    let ends = bodies.map(|body| {
        bytes = bytes.saturating_add(body);
        bytes
    });
    let is_within = |(index, end): &(usize, usize)| *index == 0 || *end <= FOUND_BYTES_MAX;
    ends.enumerate().take_while(is_within).count()
}

/// A queue that is looked at.
struct Queue {
    broker: String,
    address: String,
    number: i32,
    /// Of its next message.
    offset: i64,
    has_failed: bool,
}

#[cfg(test)]
mod tests {
    use super::super::tests::Running;
    use super::*;
    use crate::message::{NewMessage, encode, stamp};
    use crate::model::{PhysicalOffset, QueueOffset};
    use crate::remoting::{Command, request};

    /// A message with the key `k`, stored at this time.
    fn stored(time: u32, body_bytes: usize) -> Vec<u8> {
        let properties = "KEYS\u{1}k".to_owned();
        let plain = NewMessage::plain("T", 0, vec![b'x'; body_bytes]);
        let mut record = encode(&NewMessage { properties, ..plain }).unwrap();
        let at = u64::from(time);
        stamp(&mut record, QueueOffset(at), PhysicalOffset(at), i64::from(time));
        record
    }

    #[tokio::test]
    async fn of_a_key_the_newest_messages_are_told_up_to_so_many_bytes() {
        let peer = Running::start();
        peer.leads_to(&[("a", &peer.address)]);
        let find = async |sizes: &[usize]| {
            let records = (0..).zip(sizes).map(|(time, bytes)| stored(time, *bytes));
            let body = records.collect::<Vec<_>>().concat();
            peer.answer(request::QUERY_MESSAGE, Command::response(0).with_body(body));
            let (topic, key) = ("T".to_owned(), "k".to_owned());
            let request = FindMessagesRequest { topic, key, limit: None };
            let found = peer.admin().find_messages(&request).await.unwrap();
            let times: Vec<_> = found.messages.iter().map(|one| one.stored_ms).collect();
            let problems: Vec<_> = found.problems.into_iter().map(|one| one.reason).collect();
            (times, problems)
        };
        assert_eq!(find(&[10, 20, 30]).await, (vec![2, 1, 0], vec![]));
        let (times, problems) = find(&[3 << 20, 3 << 20, 3 << 20, 3 << 20]).await;
        assert_eq!(times, [3, 2]);
        assert!(problems[0].starts_with("2 more are left out"), "{problems:?}");
        let (times, problems) = find(&[1, 9 << 20]).await;
        assert_eq!((times, problems.len()), (vec![1], 1), "the newest one in any case");
    }
}
