//! One commit-log record: encode, stamp with its place and time, parse, check (ST-001 to ST-005).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::Range;

use bytes::{Buf, Bytes};

use super::sys_flag;
use crate::model::{PhysicalOffset, QueueId, QueueOffset, TopicName};

/// Magic of a message record (ST-001).
pub const MESSAGE_MAGIC: u32 = 0xDAA3_20A7;
/// Magic of the record that fills a segment's end (ST-005).
pub const BLANK_MAGIC: u32 = 0xCBD4_3194;
/// Bytes of a blank record that have a meaning: its size and its magic.
pub const BLANK_HEADER_BYTES: usize = 8;

/// The smallest record: both hosts IPv4, no body, topic or properties (ST-002).
pub const RECORD_BYTES_MIN: usize = 91;
/// Bytes that an IPv6 host needs more than an IPv4 one.
const V6_EXTRA_BYTES: usize = 12;
/// Where the born host begins.
const BORN_HOST_AT: usize = 48;
/// Longest properties text, in bytes and in UTF-16 units (S-59).
const PROPERTIES_LENGTH_MAX: usize = 32_767;
/// Longest topic, in bytes (its length is a signed byte).
const TOPIC_BYTES_MAX: usize = 127;

/// A message before it has a place in the log.
#[derive(Clone, Debug)]
pub struct NewMessage {
    /// The topic that it is stored under.
    pub topic: TopicName,
    /// The queue of that topic.
    pub queue_id: QueueId,
    /// The user's flag.
    pub flag: i32,
    /// `sysFlag` without the address-family bits, which [`encode`] sets itself.
    pub sys_flag: i32,
    /// When the client made it, in milliseconds since 1970.
    pub born_timestamp: i64,
    /// The client's address.
    pub born_host: SocketAddr,
    /// The broker's advertised address.
    pub store_host: SocketAddr,
    /// Deliveries so far.
    pub reconsume_times: i32,
    /// Of a committed transactional message: where its half message lies.
    pub prepared_transaction_offset: i64,
    /// The body, compressed or not.
    pub body: Bytes,
    /// The properties text.
    pub properties: String,
}

#[cfg(test)]
impl NewMessage {
    /// A message of which nothing else matters to a test: of this machine, made at 1, without properties.
    pub fn plain(topic: &str, queue_id: u32, body: impl Into<Bytes>) -> Self {
        Self {
            topic: TopicName::new(topic),
            queue_id: QueueId(queue_id),
            flag: 0,
            sys_flag: 0,
            born_timestamp: 1,
            born_host: "127.0.0.1:1".parse().unwrap(),
            store_host: "127.0.0.1:2".parse().unwrap(),
            reconsume_times: 0,
            prepared_transaction_offset: 0,
            body: body.into(),
            properties: String::new(),
        }
    }
}

/// Why a message cannot become a record (B-117, S-59).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// The topic is longer than 127 bytes.
    #[error("topic of {0} bytes is longer than 127")]
    TopicTooLong(usize),
    /// The properties are longer than 32 767 bytes.
    #[error("properties of {0} bytes are longer than 32767")]
    PropertiesTooLong(usize),
    /// The body is longer than a record can say.
    #[error("body of {0} bytes does not fit a record")]
    BodyTooLong(usize),
}

/// CRC of a body as records carry it: 31 bits of CRC-32.
#[must_use]
pub fn body_crc(body: &[u8]) -> u32 {
    crc32fast::hash(body) & 0x7FFF_FFFF
}

/// Encodes a message with zeros where [`stamp`] writes its place and time.
///
/// # Errors
/// [`EncodeError`] if topic, properties or body are too long.
pub fn encode(message: &NewMessage) -> Result<Vec<u8>, EncodeError> {
    let (topic, properties) = (message.topic.as_str().as_bytes(), message.properties.as_bytes());
    let topic_length = u8::try_from(topic.len())
        .ok()
        .filter(|_| topic.len() <= TOPIC_BYTES_MAX)
        .ok_or(EncodeError::TopicTooLong(topic.len()))?;
    let properties_length = u16::try_from(properties.len())
        .ok()
        .filter(|_| properties.len() <= PROPERTIES_LENGTH_MAX)
        .ok_or(EncodeError::PropertiesTooLong(properties.len()))?;
    let mut flags = message.sys_flag & !(sys_flag::BORN_HOST_V6 | sys_flag::STORE_HOST_V6);
    let mut total = RECORD_BYTES_MIN + message.body.len() + topic.len() + properties.len();
    for (host, bit) in
        [(message.born_host, sys_flag::BORN_HOST_V6), (message.store_host, sys_flag::STORE_HOST_V6)]
    {
        if host.is_ipv6() {
            flags |= bit;
            total += V6_EXTRA_BYTES;
        }
    }
    let body_too_long = |_| EncodeError::BodyTooLong(message.body.len());
    let total_size = i32::try_from(total).map_err(body_too_long)?;
    let body_length = i32::try_from(message.body.len()).map_err(body_too_long)?;

    let mut out = Vec::with_capacity(total);
    out.extend_from_slice(&total_size.to_be_bytes());
    out.extend_from_slice(&MESSAGE_MAGIC.to_be_bytes());
    out.extend_from_slice(&body_crc(&message.body).to_be_bytes());
    out.extend_from_slice(&message.queue_id.0.to_be_bytes());
    out.extend_from_slice(&message.flag.to_be_bytes());
    out.extend_from_slice(&[0; 16]); // queue offset and physical offset
    out.extend_from_slice(&flags.to_be_bytes());
    out.extend_from_slice(&message.born_timestamp.to_be_bytes());
    put_host(&mut out, message.born_host);
    out.extend_from_slice(&[0; 8]); // store timestamp
    put_host(&mut out, message.store_host);
    out.extend_from_slice(&message.reconsume_times.to_be_bytes());
    out.extend_from_slice(&message.prepared_transaction_offset.to_be_bytes());
    out.extend_from_slice(&body_length.to_be_bytes());
    out.extend_from_slice(&message.body);
    out.push(topic_length);
    out.extend_from_slice(topic);
    out.extend_from_slice(&properties_length.to_be_bytes());
    out.extend_from_slice(properties);
    debug_assert_eq!(out.len(), total, "the size sum counts every field");
    Ok(out)
}

/// Writes a record's place and time into its encoded bytes.
pub fn stamp(
    record: &mut [u8],
    queue_offset: QueueOffset,
    physical_offset: PhysicalOffset,
    store_timestamp: i64,
) {
    record[20..28].copy_from_slice(&queue_offset.0.to_be_bytes());
    record[28..36].copy_from_slice(&physical_offset.0.to_be_bytes());
    let born_host_bytes = host_bytes(i32_at(record, 36), sys_flag::BORN_HOST_V6);
    let at = BORN_HOST_AT + born_host_bytes;
    record[at..at + 8].copy_from_slice(&store_timestamp.to_be_bytes());
}

/// Replaces the end of the encoded `record`'s properties, which begin at `properties_at`, by `end`: what is from `kept`
/// bytes of the record on.
///
/// # Errors
/// [`EncodeError`] if they become too long; the record is of no use then.
pub fn replace_properties_end(
    record: &mut Vec<u8>,
    properties_at: usize,
    kept: usize,
    end: &str,
) -> Result<(), EncodeError> {
    record.truncate(kept);
    record.extend_from_slice(end.as_bytes());
    let length = record.len().saturating_sub(properties_at);
    let too_long = || EncodeError::PropertiesTooLong(length);
    let field = u16::try_from(length).ok().filter(|_| length <= PROPERTIES_LENGTH_MAX);
    let field = field.ok_or_else(too_long)?;
    let total = i32::try_from(record.len()).map_err(|_| too_long())?;
    record[properties_at - 2..properties_at].copy_from_slice(&field.to_be_bytes());
    record[..4].copy_from_slice(&total.to_be_bytes());
    Ok(())
}

/// The 8 bytes that begin a segment's unused end of `remaining` bytes (ST-005).
#[must_use]
pub fn encode_blank(remaining: u32) -> [u8; BLANK_HEADER_BYTES] {
    let mut out = [0; BLANK_HEADER_BYTES];
    out[..4].copy_from_slice(&remaining.to_be_bytes());
    out[4..].copy_from_slice(&BLANK_MAGIC.to_be_bytes());
    out
}

/// How many bytes of a record [`may_begin`] needs at least.
pub const RECORD_HEAD_BYTES: usize = 40;

/// Whether `bytes` may be the beginning of a record that lies at `offset`: its magic and its own offset are there, and
/// its size is one that its body's length allows, if that is among them. With less than [`RECORD_HEAD_BYTES`] it may
/// not.
#[must_use]
pub fn may_begin(bytes: &[u8], offset: PhysicalOffset) -> bool {
    if bytes.len() < RECORD_HEAD_BYTES
        || bytes[4..8] != MESSAGE_MAGIC.to_be_bytes()
        || bytes[28..36] != offset.0.to_be_bytes()
    {
        return false;
    }
    let body_length_at = body_length_at(bytes);
    if bytes.len() < body_length_at + 4 {
        return true;
    }
    let body_bytes = i64::from(i32_at(bytes, body_length_at));
    // Topic and properties with their lengths.
    let rest = i64::from(i32_at(bytes, 0)) - (body_length_at + 4) as i64 - body_bytes;
    let rest_max = 1 + TOPIC_BYTES_MAX + 2 + PROPERTIES_LENGTH_MAX;
    body_bytes >= 0 && (3..=rest_max as i64).contains(&rest)
}

/// Where a record says how long its body is.
fn body_length_at(record: &[u8]) -> usize {
    let flags = i32_at(record, 36);
    let hosts = [sys_flag::BORN_HOST_V6, sys_flag::STORE_HOST_V6];
    let host_bytes: usize = hosts.iter().map(|bit| host_bytes(flags, *bit)).sum();
    BORN_HOST_AT + host_bytes + 8 + 12
}

/// How many bytes of a record [`after_body`] needs: all that may be before its body.
pub const RECORD_FRONT_BYTES: usize = BORN_HOST_AT + 2 * (8 + V6_EXTRA_BYTES) + 8 + 12 + 4;

/// Where in the record at `offset` that begins with `front` its topic and properties are, if it is one: for who wants
/// them without the body.
#[must_use]
pub fn after_body(
    front: &[u8; RECORD_FRONT_BYTES],
    offset: PhysicalOffset,
) -> Option<Range<usize>> {
    if !may_begin(front, offset) {
        return None;
    }
    let body_length_at = body_length_at(front);
    let body_bytes = usize::try_from(i32_at(front, body_length_at)).ok()?;
    Some(body_length_at + 4 + body_bytes..usize::try_from(i32_at(front, 0)).ok()?)
}

/// The properties text in what follows a record's body.
#[must_use]
pub fn properties_after_body(rest: &[u8]) -> Option<&str> {
    let (topic_bytes, rest) = rest.split_first()?;
    let (length, properties) = rest.get(usize::from(*topic_bytes)..)?.split_first_chunk()?;
    let fits = usize::from(u16::from_be_bytes(*length)) == properties.len();
    std::str::from_utf8(properties).ok().filter(|_| fits)
}

/// A record in place: a view of its bytes whose lengths were checked.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    bytes: &'a [u8],
    after_born_host: usize,
    after_store_host: usize,
    body_bytes: usize,
    topic_bytes: usize,
}

/// Why bytes are not a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// The buffer ends before the record does; the size is what the record says it needs.
    #[error("the record is cut off")]
    Truncated,
    /// A blank record: the rest of the segment is unused.
    #[error("blank record of {0} bytes")]
    Blank(u32),
    /// Neither magic is there.
    #[error("bad magic {0:#010x}")]
    BadMagic(u32),
    /// The lengths do not add up to the record's size (ST-052).
    #[error("the record's lengths do not add up")]
    BadLength,
    /// Topic or properties are not UTF-8.
    #[error("topic or properties are not UTF-8")]
    BadText,
}

impl<'a> Record<'a> {
    /// Reads the record that begins at the start of `bytes`; what follows it is ignored.
    ///
    /// # Errors
    /// [`RecordError`]; the body's CRC is not checked here ([`Record::crc_matches`]).
    pub fn parse(bytes: &'a [u8]) -> Result<Self, RecordError> {
        if bytes.len() < BLANK_HEADER_BYTES {
            return Err(RecordError::Truncated);
        }
        let total = u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        match u32::from_be_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]) {
            MESSAGE_MAGIC => {}
            BLANK_MAGIC => return Err(RecordError::Blank(total)),
            magic => return Err(RecordError::BadMagic(magic)),
        }
        let total = usize::try_from(total).map_err(|_| RecordError::BadLength)?;
        if total < RECORD_BYTES_MIN || i32::try_from(total).is_err() {
            return Err(RecordError::BadLength);
        }
        let bytes = bytes.get(..total).ok_or(RecordError::Truncated)?;
        let flags = i32_at(bytes, 36);
        let after_born_host = BORN_HOST_AT + host_bytes(flags, sys_flag::BORN_HOST_V6);
        let after_store_host = after_born_host + 8 + host_bytes(flags, sys_flag::STORE_HOST_V6);
        let mut view =
            Self { bytes, after_born_host, after_store_host, body_bytes: 0, topic_bytes: 0 };
        view.body_bytes = view.length_at(after_store_host + 12, 4)?;
        view.topic_bytes = view.length_at(view.body_range().end, 1)?;
        let properties_bytes = view.length_at(view.topic_range().end, 2)?;
        if view.topic_range().end + 2 + properties_bytes != total {
            return Err(RecordError::BadLength);
        }
        let texts_are_utf8 = std::str::from_utf8(&bytes[view.topic_range()]).is_ok()
            && std::str::from_utf8(&bytes[view.topic_range().end + 2..]).is_ok();
        if texts_are_utf8 { Ok(view) } else { Err(RecordError::BadText) }
    }

    /// Reads a signed length of `width` bytes at `at` and checks that so much follows it.
    fn length_at(&self, at: usize, width: usize) -> Result<usize, RecordError> {
        let field = self.bytes.get(at..at + width).ok_or(RecordError::BadLength)?;
        let length = match width {
            1 => usize::try_from(i8::from_be_bytes([field[0]])),
            2 => usize::try_from(i16::from_be_bytes([field[0], field[1]])),
            _ => usize::try_from(i32_at(self.bytes, at)),
        };
        let length = length.map_err(|_| RecordError::BadLength)?;
        if self.bytes.len() - (at + width) < length {
            return Err(RecordError::BadLength);
        }
        Ok(length)
    }

    fn body_range(&self) -> Range<usize> {
        let start = self.after_store_host + 16;
        start..start + self.body_bytes
    }

    fn topic_range(&self) -> Range<usize> {
        let start = self.body_range().end + 1;
        start..start + self.topic_bytes
    }

    /// The whole record.
    #[must_use]
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The body's CRC as the record says it.
    #[must_use]
    pub fn stored_crc(&self) -> u32 {
        i32_at(self.bytes, 8).cast_unsigned()
    }

    /// Whether the body is what was stored.
    #[must_use]
    pub fn crc_matches(&self) -> bool {
        self.stored_crc() == body_crc(self.body())
    }

    /// The queue within the topic.
    #[must_use]
    pub fn queue_id(&self) -> QueueId {
        QueueId(i32_at(self.bytes, 12).cast_unsigned())
    }

    /// The user's flag.
    #[must_use]
    pub fn flag(&self) -> i32 {
        i32_at(self.bytes, 16)
    }

    /// The message's position in its queue.
    #[must_use]
    pub fn queue_offset(&self) -> QueueOffset {
        QueueOffset(i64_at(self.bytes, 20).cast_unsigned())
    }

    /// Where the record says it lies.
    #[must_use]
    pub fn physical_offset(&self) -> PhysicalOffset {
        PhysicalOffset(i64_at(self.bytes, 28).cast_unsigned())
    }

    /// Bits of [`sys_flag`].
    #[must_use]
    pub fn sys_flag(&self) -> i32 {
        i32_at(self.bytes, 36)
    }

    /// When the client made it, in milliseconds since 1970.
    #[must_use]
    pub fn born_timestamp(&self) -> i64 {
        i64_at(self.bytes, 40)
    }

    /// The client's address.
    #[must_use]
    pub fn born_host(&self) -> SocketAddr {
        get_host(&self.bytes[BORN_HOST_AT..self.after_born_host])
    }

    /// When the broker stored it, in milliseconds since 1970.
    #[must_use]
    pub fn store_timestamp(&self) -> i64 {
        i64_at(self.bytes, self.after_born_host)
    }

    /// The address of the broker that stored it.
    #[must_use]
    pub fn store_host(&self) -> SocketAddr {
        get_host(&self.bytes[self.after_born_host + 8..self.after_store_host])
    }

    /// Deliveries so far.
    #[must_use]
    pub fn reconsume_times(&self) -> i32 {
        i32_at(self.bytes, self.after_store_host)
    }

    /// Of a committed transactional message: where its half message lies.
    #[must_use]
    pub fn prepared_transaction_offset(&self) -> i64 {
        i64_at(self.bytes, self.after_store_host + 4)
    }

    /// The body as stored, compressed or not.
    #[must_use]
    pub fn body(&self) -> &'a [u8] {
        &self.bytes[self.body_range()]
    }

    /// The topic that it is stored under.
    #[must_use]
    pub fn topic(&self) -> &'a str {
        std::str::from_utf8(&self.bytes[self.topic_range()]).unwrap_or_default()
    }

    /// The properties text.
    #[must_use]
    pub fn properties(&self) -> &'a str {
        std::str::from_utf8(&self.bytes[self.topic_range().end + 2..]).unwrap_or_default()
    }
}

fn host_bytes(flags: i32, v6_bit: i32) -> usize {
    if flags & v6_bit == 0 { 8 } else { 8 + V6_EXTRA_BYTES }
}

fn put_host(out: &mut Vec<u8>, host: SocketAddr) {
    match host.ip() {
        IpAddr::V4(ip) => out.extend_from_slice(&ip.octets()),
        IpAddr::V6(ip) => out.extend_from_slice(&ip.octets()),
    }
    out.extend_from_slice(&u32::from(host.port()).to_be_bytes());
}

/// Reads a host field of 8 or 20 bytes; a port beyond 65535 reads as 0.
fn get_host(mut field: &[u8]) -> SocketAddr {
    let ip = if field.len() == 8 {
        IpAddr::V4(Ipv4Addr::from(field.get_u32()))
    } else {
        IpAddr::V6(Ipv6Addr::from(field.get_u128()))
    };
    SocketAddr::new(ip, u16::try_from(field.get_u32()).unwrap_or(0))
}

fn i32_at(bytes: &[u8], at: usize) -> i32 {
    i32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn i64_at(bytes: &[u8], at: usize) -> i64 {
    (&bytes[at..at + 8]).get_i64()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn message(born: &str, store: &str, body: &[u8]) -> NewMessage {
        NewMessage {
            topic: TopicName::new("TopicTest"),
            queue_id: QueueId(3),
            flag: 7,
            sys_flag: sys_flag::COMPRESSED,
            born_timestamp: 1_650_000_000_123,
            born_host: born.parse().unwrap(),
            store_host: store.parse().unwrap(),
            reconsume_times: 2,
            prepared_transaction_offset: 99,
            body: Bytes::copy_from_slice(body),
            properties: "TAGS\u{1}TagA".to_owned(),
        }
    }

    #[test]
    fn fields_lie_where_st002_says() {
        let mut bytes = encode(&message("10.0.0.1:5000", "10.0.0.2:10911", b"hello")).unwrap();
        stamp(&mut bytes, QueueOffset(11), PhysicalOffset(22), 33);
        assert_eq!(bytes.len(), 91 + 5 + 9 + 9);
        assert_eq!(bytes[4..8], MESSAGE_MAGIC.to_be_bytes());
        assert_eq!(i64_at(&bytes, 20), 11);
        assert_eq!(i64_at(&bytes, 28), 22);
        assert_eq!(i64_at(&bytes, 40), 1_650_000_000_123);
        assert_eq!(i64_at(&bytes, 56), 33);
    }

    #[test]
    fn every_field_comes_back_for_every_mix_of_families() {
        for born in ["10.0.0.1:5000", "[fe80::1]:5000"] {
            for store in ["10.0.0.2:10911", "[::1]:10911"] {
                let new = message(born, store, b"hello");
                let mut bytes = encode(&new).unwrap();
                stamp(&mut bytes, QueueOffset(11), PhysicalOffset(22), 33);
                let record = Record::parse(&bytes).unwrap();
                let front = bytes[..].first_chunk().unwrap();
                let rest = after_body(front, PhysicalOffset(22)).unwrap();
                assert_eq!(properties_after_body(&bytes[rest]), Some(record.properties()));
                assert_eq!(after_body(front, PhysicalOffset(23)), None);
                assert_eq!(
                    (record.born_host(), record.store_host()),
                    (new.born_host, new.store_host)
                );
                assert_eq!((record.queue_offset().0, record.physical_offset().0), (11, 22));
                assert_eq!(record.store_timestamp(), 33);
                assert_eq!((record.topic(), record.properties()), ("TopicTest", "TAGS\u{1}TagA"));
                assert_eq!(
                    (record.queue_id().0, record.flag(), record.reconsume_times()),
                    (3, 7, 2)
                );
                assert_eq!(record.prepared_transaction_offset(), 99);
                assert!(record.crc_matches());
            }
        }
    }

    #[test]
    fn every_cut_is_truncated_and_a_changed_body_fails_its_crc() {
        let mut bytes = encode(&message("10.0.0.1:1", "10.0.0.2:2", b"hello")).unwrap();
        for end in 0..bytes.len() {
            assert_eq!(Record::parse(&bytes[..end]).unwrap_err(), RecordError::Truncated);
        }
        let at = bytes.len() - 9 - 2 - 9 - 1 - 1;
        bytes[at] ^= 1;
        assert!(!Record::parse(&bytes).unwrap().crc_matches());
    }

    #[test]
    fn blank_records_are_told_apart() {
        let blank = encode_blank(1000);
        assert_eq!(Record::parse(&blank).unwrap_err(), RecordError::Blank(1000));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..300), size in 0u32..400) {
            if bytes.len() >= 8 {
                bytes[..4].copy_from_slice(&size.to_be_bytes());
                bytes[4..8].copy_from_slice(&MESSAGE_MAGIC.to_be_bytes());
            }
            if let Ok(record) = Record::parse(&bytes) {
                let _ = (record.body(), record.topic(), record.properties(), record.born_host());
                let _ = (record.store_host(), record.prepared_transaction_offset(), record.crc_matches());
            }
        }
    }
}
