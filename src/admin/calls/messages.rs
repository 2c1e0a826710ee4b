//! Messages at one broker: 11, 12, 33, 309, 310, 321.

use std::io::Read;
use std::net::SocketAddr;
use std::ops::Range;
use std::time::Duration;

use bytes::Bytes;
use flate2::read::ZlibDecoder;

use super::super::{Admin, AdminError};
use crate::message::{MessageId, Properties, Record, properties, sys_flag};
use crate::model::system;
use crate::remoting::headers::{PullHeader, PullResponse, SendHeader, SendResponse, pull_flag};
use crate::remoting::json::Value;
use crate::remoting::{Command, DecodeError, json, request, response};

/// For what a broker looks up on its disk, or asks a client.
const LONG_TIMEOUT: Duration = Duration::from_secs(15);
/// Messages of one pull.
pub(in crate::admin) const PULLED: i32 = 32;
/// Bytes that the compressed bodies of one answer may have when they are not: a few of them can stand for gigabytes.
const INFLATED_BYTES_MAX: usize = 32 << 20;

/// A message as it is stored; times in milliseconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The topic.
    pub topic: String,
    /// The queue.
    pub queue_id: i32,
    /// Its place in the queue.
    pub queue_offset: i64,
    /// Its place in the broker's log.
    pub physical_offset: i64,
    /// Bytes of its record.
    pub store_bytes: usize,
    /// What the record says of itself (ST-010).
    pub sys_flag: i32,
    /// The application's flag.
    pub flag: i32,
    /// When it was made.
    pub born_timestamp: i64,
    /// Who made it.
    pub born_host: SocketAddr,
    /// When it was stored.
    pub store_timestamp: i64,
    /// Where it was stored.
    pub store_host: SocketAddr,
    /// The CRC of its body, as the record has it.
    pub body_crc: u32,
    /// Deliveries so far.
    pub reconsume_times: i32,
    /// Of an end of a transaction: where its half message is.
    pub prepared_transaction_offset: i64,
    /// Its properties.
    pub properties: Properties,
    /// Its body, not compressed; as it is stored if it cannot be, or would be too long.
    pub body: Bytes,
}

impl Message {
    /// `inflated_max`: see [`body`].
    fn of(record: &Record<'_>, inflated_max: &mut usize) -> Self {
        Self {
            topic: record.topic().to_owned(),
            queue_id: record.queue_id().to_wire(),
            queue_offset: record.queue_offset().to_wire(),
            physical_offset: record.physical_offset().to_wire(),
            store_bytes: record.bytes().len(),
            sys_flag: record.sys_flag(),
            flag: record.flag(),
            born_timestamp: record.born_timestamp(),
            born_host: record.born_host(),
            store_timestamp: record.store_timestamp(),
            store_host: record.store_host(),
            body_crc: record.stored_crc(),
            reconsume_times: record.reconsume_times(),
            prepared_transaction_offset: record.prepared_transaction_offset(),
            properties: Properties::parse(record.properties()),
            body: body(record, inflated_max),
        }
    }

    /// The id that tells where it is stored (ST-020).
    #[must_use]
    pub fn offset_id(&self) -> String {
        let offset = u64::try_from(self.physical_offset).unwrap_or(0);
        MessageId { store_host: self.store_host, offset: crate::model::PhysicalOffset(offset) }
            .to_string()
    }

    /// The id that its producer gave it; without one [`Self::offset_id`].
    #[must_use]
    pub fn id(&self) -> String {
        self.properties.get(properties::UNIQ_KEY).map_or_else(|| self.offset_id(), str::to_owned)
    }
}

/// A record's body, inflated if it has at most `inflated_max` bytes then, which become fewer by so many.
fn body(record: &Record<'_>, inflated_max: &mut usize) -> Bytes {
    let stored = record.body();
    if record.sys_flag() & sys_flag::COMPRESSED != 0 {
        let (mut plain, max) = (Vec::new(), *inflated_max);
        let one_more = u64::try_from(max).unwrap_or(u64::MAX).saturating_add(1);
        let read = ZlibDecoder::new(stored).take(one_more).read_to_end(&mut plain);
        if read.is_ok_and(|bytes| bytes <= max) {
            *inflated_max -= plain.len();
            return plain.into();
        }
    }
    Bytes::copy_from_slice(stored)
}

/// Reads records that follow one another; the last ones are inflated first.
fn read_records(mut bytes: &[u8]) -> Result<Vec<Message>, DecodeError> {
    let mut records = Vec::new();
    while !bytes.is_empty() {
        let record =
            Record::parse(bytes).map_err(|error| DecodeError(format!("a message: {error}")))?;
        records.push(record);
        bytes = &bytes[record.bytes().len()..];
    }
    let mut inflated_max = INFLATED_BYTES_MAX;
    let last_first = records.iter().rev().map(|record| Message::of(record, &mut inflated_max));
    let mut messages: Vec<_> = last_first.collect();
    messages.reverse();
    Ok(messages)
}

/// What a pull brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pulled {
    /// How it ended.
    pub status: PullStatus,
    /// Where to go on.
    pub next_offset: i64,
    /// The queue's first offset.
    pub min_offset: i64,
    /// The queue's next offset.
    pub max_offset: i64,
    /// The messages.
    pub messages: Vec<Message>,
}

/// How a pull ended, in the words of 4.9's clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PullStatus {
    /// There are messages.
    Found,
    /// There is none yet.
    NoNewMsg,
    /// None of those that were looked at matches.
    NoMatchedMsg,
    /// The queue has no such offset.
    OffsetIllegal,
}

impl PullStatus {
    /// The name of it in 4.9's clients.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Found => "FOUND",
            Self::NoNewMsg => "NO_NEW_MSG",
            Self::NoMatchedMsg => "NO_MATCHED_MSG",
            Self::OffsetIllegal => "OFFSET_ILLEGAL",
        }
    }
}

/// Which messages are pulled.
#[derive(Clone, Copy, Debug)]
pub struct Pull<'a> {
    /// As which group.
    pub group: &'a str,
    /// The topic.
    pub topic: &'a str,
    /// The queue.
    pub queue_id: i32,
    /// From which offset on.
    pub offset: i64,
    /// How many at most.
    pub count: i32,
    /// Tags, or `*`.
    pub expression: &'a str,
}

/// What became of a message that was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// `SEND_OK`, or what is missing of it.
    pub status: &'static str,
    /// Where it is stored, as an id.
    pub offset_id: String,
    /// The queue.
    pub queue_id: i32,
    /// Its place in the queue.
    pub queue_offset: i64,
}

/// What a consumer made of a message that it was given (309).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConsumedDirectly {
    /// Whether it consumes in order.
    pub order: bool,
    /// Whether it commits by itself.
    pub auto_commit: bool,
    /// `CR_SUCCESS` and the like.
    pub result: Option<String>,
    /// What went wrong.
    pub remark: Option<String>,
    /// How long it took, in milliseconds.
    pub spent_ms: i64,
}

impl Admin {
    /// The message at an offset of a broker's log (33).
    ///
    /// # Errors
    /// It does not answer, or there is none (code 1).
    pub async fn message_at(&self, address: &str, offset: i64) -> Result<Message, AdminError> {
        let request = Command::request(request::VIEW_MESSAGE_BY_ID).with_field("offset", offset);
        let mut found = self.of_within(address, request, LONG_TIMEOUT, read_records).await?;
        found
            .pop()
            .ok_or_else(|| AdminError::NotFound(format!("{address} has no message at {offset}")))
    }

    /// Messages of a topic that have a key, or were given an id by their producer (12), stored up to `end_ms`.
    ///
    /// # Errors
    /// It does not answer, or there is none (code 22).
    pub async fn messages_by_key(
        &self,
        address: &str,
        topic: &str,
        key: &str,
        is_unique: bool,
        (count, end_ms): (i32, i64),
    ) -> Result<Vec<Message>, AdminError> {
        let mut request = Command::request(request::QUERY_MESSAGE)
            .with_field("topic", topic)
            .with_field("key", key)
            .with_field("maxNum", count)
            .with_field("beginTimestamp", 0)
            .with_field("endTimestamp", end_ms);
        if is_unique {
            request.set_field("_UNIQUE_KEY_QUERY", true);
        }
        self.of_within(address, request, LONG_TIMEOUT, read_records).await
    }

    /// Messages of a queue (11), without waiting for new ones; tags are compared here too, as clients do.
    ///
    /// # Errors
    /// It does not answer, or refuses.
    pub async fn pull(&self, address: &str, pull: Pull<'_>) -> Result<Pulled, AdminError> {
        let header = PullHeader {
            consumer_group: pull.group,
            topic: pull.topic,
            queue_id: pull.queue_id,
            queue_offset: pull.offset,
            max_msg_nums: pull.count,
            sys_flag: pull_flag::SUBSCRIPTION,
            subscription: Some(pull.expression),
            expression_type: Some("TAG"),
            ..PullHeader::default()
        };
        let answer = self.ask(address, header.to_request(), LONG_TIMEOUT).await?;
        let status = match answer.code {
            response::SUCCESS => PullStatus::Found,
            response::PULL_NOT_FOUND => PullStatus::NoNewMsg,
            response::PULL_RETRY_IMMEDIATELY => PullStatus::NoMatchedMsg,
            response::PULL_OFFSET_MOVED => PullStatus::OffsetIllegal,
            _ => return Err(AdminError::refused(address, answer)),
        };
        let said = PullResponse::parse(&answer)
            .map_err(|error| AdminError::unreadable(address, &error))?;
        let messages = match status {
            PullStatus::Found => read_records(&answer.body),
            _ => Ok(Vec::new()),
        };
        let mut messages = messages.map_err(|error| AdminError::unreadable(address, &error))?;
        let tags: Vec<&str> = pull.expression.split("||").map(str::trim).collect();
        if !tags.iter().any(|tag| tag.is_empty() || *tag == "*") {
            messages.retain(|message| {
                message.properties.get(properties::TAGS).is_some_and(|tag| tags.contains(&tag))
            });
        }
        Ok(Pulled {
            status,
            next_offset: said.next_begin_offset,
            min_offset: said.min_offset,
            max_offset: said.max_offset,
            messages,
        })
    }

    /// Gives `take` the messages of a queue at these offsets, in their order, by as many pulls as that needs.
    ///
    /// # Errors
    /// It does not answer, or refuses.
    pub(in crate::admin) async fn pull_range(
        &self,
        address: &str,
        (topic, queue_id): (&str, i32),
        offsets: Range<i64>,
        mut take: impl FnMut(Message),
    ) -> Result<(), AdminError> {
        let mut offset = offsets.start;
        while offset < offsets.end {
            let count = i32::try_from(offsets.end - offset).unwrap_or(PULLED).min(PULLED);
            let group = system::TOOLS_CONSUMER;
            let pull = Pull { group, topic, queue_id, offset, count, expression: "*" };
            let pulled = self.pull(address, pull).await?;
            let is_asked = |message: &Message| offsets.contains(&message.queue_offset);
            pulled.messages.into_iter().filter(is_asked).for_each(&mut take);
            // Not further: the queue's beginning was deleted meanwhile, or it has an end before that.
            if pulled.status == PullStatus::NoNewMsg || pulled.next_offset <= offset {
                break;
            }
            offset = pulled.next_offset;
        }
        Ok(())
    }

    /// Sends a message (310).
    ///
    /// # Errors
    /// It does not answer, or refuses.
    pub async fn send(
        &self,
        address: &str,
        header: &SendHeader<'_>,
        body: Bytes,
    ) -> Result<Sent, AdminError> {
        let request = header.to_request(request::SEND_MESSAGE_V2).with_body(body);
        let answer = self.ask(address, request, LONG_TIMEOUT).await?;
        let status = match answer.code {
            response::SUCCESS => "SEND_OK",
            response::FLUSH_DISK_TIMEOUT => "FLUSH_DISK_TIMEOUT",
            response::FLUSH_SLAVE_TIMEOUT => "FLUSH_SLAVE_TIMEOUT",
            response::SLAVE_NOT_AVAILABLE => "SLAVE_NOT_AVAILABLE",
            _ => return Err(AdminError::refused(address, answer)),
        };
        let SendResponse { msg_id, queue_id, queue_offset } = SendResponse::parse(&answer)
            .map_err(|error| AdminError::unreadable(address, &error))?;
        Ok(Sent { status, offset_id: msg_id, queue_id, queue_offset })
    }

    /// Has a connected consumer consume a message at once (309).
    ///
    /// # Errors
    /// The broker or the client does not answer, or there is no such client or message.
    pub async fn consume_directly(
        &self,
        address: &str,
        group: &str,
        client: &str,
        offset_id: &str,
    ) -> Result<ConsumedDirectly, AdminError> {
        let request = Command::request(request::CONSUME_MESSAGE_DIRECTLY)
            .with_field("consumerGroup", group)
            .with_field("clientId", client)
            .with_field("msgId", offset_id);
        self.of_within(address, request, LONG_TIMEOUT, |body| {
            let value = json::parse(body)?;
            Ok(ConsumedDirectly {
                order: value.bool_or("order", false),
                auto_commit: value.bool_or("autoCommit", true),
                result: value.text("consumeResult").map(str::to_owned),
                remark: value.text("remark").map(str::to_owned),
                spent_ms: value.number_or("spentTimeMills", 0)?,
            })
        })
        .await
    }

    /// The entries of a queue from an index on (321), as the broker says it: `read` gets its value.
    ///
    /// # Errors
    /// It does not answer, or has no such queue or index.
    pub async fn queue_entries<T>(
        &self,
        address: &str,
        (topic, queue): (&str, i32),
        (index, count): (i64, i32),
        group: Option<&str>,
        read: impl FnOnce(&Value<'_>) -> T,
    ) -> Result<T, AdminError> {
        let mut request = Command::request(request::QUERY_CONSUME_QUEUE)
            .with_field("topic", topic)
            .with_field("queueId", queue)
            .with_field("index", index)
            .with_field("count", count);
        if let Some(group) = group {
            request.set_field("consumerGroup", group);
        }
        let answer = self.call(address, request).await?;
        if answer.body.is_empty() {
            let text =
                answer.remark.unwrap_or_else(|| format!("{address} says nothing of the queue"));
            return Err(AdminError::NotFound(text));
        }
        let value =
            json::parse(&answer.body).map_err(|error| AdminError::unreadable(address, &error))?;
        Ok(read(&value))
    }
}

#[cfg(test)]
mod tests {
    use flate2::Compression;
    use flate2::write::ZlibEncoder;
    use std::io::Write;

    use super::*;
    use crate::message::{NewMessage, encode};

    fn stored(body: &[u8], sys_flag: i32) -> Vec<u8> {
        let properties = "UNIQ_KEY\u{1}U".to_owned();
        let store_host = "127.0.0.1:10911".parse().unwrap();
        let plain = NewMessage::plain("T", 3, body.to_owned());
        encode(&NewMessage { sys_flag, properties, store_host, ..plain }).unwrap()
    }

    #[test]
    fn records_that_follow_one_another_are_read_and_bodies_inflated() {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(b"plain").unwrap();
        let compressed = stored(&encoder.finish().unwrap(), sys_flag::COMPRESSED);
        let bytes =
            [stored(b"one", 0), compressed, stored(b"no zlib", sys_flag::COMPRESSED)].concat();
        let messages = read_records(&bytes).unwrap();
        let bodies: Vec<_> = messages.iter().map(|message| &message.body[..]).collect();
        assert_eq!(bodies, [&b"one"[..], b"plain", b"no zlib"]);
        assert_eq!((messages[0].id().as_str(), messages[0].queue_id), ("U", 3));
        assert_eq!(messages[0].offset_id(), "7F00000100002A9F0000000000000000");
        assert!(read_records(&bytes[..bytes.len() - 1]).is_err());
        assert_eq!(read_records(b""), Ok(Vec::new()));
    }

    #[test]
    fn a_few_short_bodies_do_not_become_gigabytes() {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(&vec![0; INFLATED_BYTES_MAX / 2]).unwrap();
        let short = encoder.finish().unwrap();
        let bomb = stored(&short, sys_flag::COMPRESSED);
        let messages = read_records(&[&bomb[..], &bomb, &bomb].concat()).unwrap();
        let bytes: Vec<_> = messages.iter().map(|message| message.body.len()).collect();
        let half = INFLATED_BYTES_MAX / 2;
        assert_eq!(bytes, [short.len(), half, half], "whole, or as it is stored");
    }
}
