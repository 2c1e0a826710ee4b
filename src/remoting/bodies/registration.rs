//! What a broker tells a name server about itself: the body of 103 (N-042 to N-045).
//!
//! Not its header. Invariant: a body from the network never makes us hold more than a small multiple of its size,
//! and an inflated one at most `INFLATED_BYTES_MAX`.

use std::borrow::Borrow;
use std::io::Read as _;

use bytes::{Buf, Bytes};
use flate2::read::ZlibDecoder;

use super::topics::{read_topic_table, read_version, topic_table_value};
use crate::model::{DataVersion, Permission, TopicConfig, TopicFilterType, TopicName};
use crate::remoting::DecodeError;
use crate::remoting::json::{self, Form, Value};

/// The largest inflated body; 60 000 topics are about 6 MB.
const INFLATED_BYTES_MAX: u64 = 16 << 20;
/// Topics in one registration, at most. A small body that unpacks to much must not take much more than that.
const TOPICS_MAX: usize = 60_000;
/// Values in a body that is not packed: nine for each topic.
const VALUES_MAX: usize = 9 * TOPICS_MAX + 1000;
/// The first version whose body has filter servers (N-042): V3_0_11.
const VERSION_WITH_FILTER_SERVERS: i32 = 37;

/// The body of 103.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RegisterBody {
    /// The version of the broker's topic table.
    pub version: DataVersion,
    /// Its topics.
    pub topics: Vec<TopicConfig>,
    /// Its filter servers; `None` if the body does not say (N-050).
    pub filter_servers: Option<Vec<String>>,
}

/// The body of a broker that has no filter servers.
#[must_use]
pub fn registration<T: Borrow<TopicConfig>>(version: DataVersion, topics: &[T]) -> Bytes {
    let body = Value::object([
        ("filterServerList", Value::Array(Vec::new())),
        ("topicConfigSerializeWrapper", topic_table_value(version, topics)),
    ]);
    body.to_bytes(Form::Dialect)
}

impl RegisterBody {
    /// Reads a body; the sender's version says what it holds. An empty one has no topics (N-044).
    ///
    /// # Errors
    /// It is no registration.
    pub fn parse(body: &[u8], sender_version: i32) -> Result<Self, DecodeError> {
        if body.is_empty() {
            return Ok(Self::default());
        }
        let value = json::parse_bounded(body, VALUES_MAX)?;
        value.expect_object("the registration")?;
        if sender_version < VERSION_WITH_FILTER_SERVERS {
            let (version, topics) = read_topic_table(&value)?;
            return Ok(Self { version, topics, filter_servers: None });
        }
        let (version, topics) = read_topic_table(value.get("topicConfigSerializeWrapper"))?;
        let filter_servers = match value.get("filterServerList") {
            Value::Null => None,
            _ => Some(value.texts("filterServerList")),
        };
        Ok(Self { version, topics, filter_servers })
    }

    /// Reads the compressed form (N-045). An empty body has no topics in this form too (N-044).
    ///
    /// # Errors
    /// It is not, or is larger than `INFLATED_BYTES_MAX`.
    pub fn parse_compressed(body: &[u8]) -> Result<Self, DecodeError> {
        if body.is_empty() {
            return Ok(Self::default());
        }
        let mut bytes = Vec::new();
        let mut inflated = ZlibDecoder::new(body).take(INFLATED_BYTES_MAX + 1);
        let read = inflated.read_to_end(&mut bytes);
        read.map_err(|error| DecodeError(format!("the registration is not zlib: {error}")))?;
        if bytes.len() as u64 > INFLATED_BYTES_MAX {
            return Err(DecodeError(format!(
                "the registration has more than {INFLATED_BYTES_MAX} bytes"
            )));
        }
        let mut rest = bytes.as_slice();
        let version = read_version(&json::parse(part(&mut rest)?)?)?;
        let count = rest.try_get_i32().map_err(|_| cut_off())?;
        let mut topics = Vec::new();
        for _ in 0..count {
            if topics.len() == TOPICS_MAX {
                return Err(DecodeError(format!(
                    "the registration has more than {TOPICS_MAX} topics"
                )));
            }
            topics.push(read_line(part(&mut rest)?)?);
        }
        let servers = json::parse(part(&mut rest)?)?;
        let servers = servers.items().iter().filter_map(|server| Some(server.as_str()?.to_owned()));
        Ok(Self { version, topics, filter_servers: Some(servers.collect()) })
    }
}

fn cut_off() -> DecodeError {
    DecodeError("the compressed registration is cut off".to_owned())
}

/// The next part: a length and as many bytes.
fn part<'a>(rest: &mut &'a [u8]) -> Result<&'a [u8], DecodeError> {
    let length = rest.try_get_i32().ok().and_then(|length| usize::try_from(length).ok());
    let bytes = length.and_then(|length| rest.get(..length)).ok_or_else(cut_off)?;
    rest.advance(bytes.len());
    Ok(bytes)
}

/// Reads `name readQueueNums writeQueueNums perm topicFilterType`; flags and order are not in it.
fn read_line(line: &[u8]) -> Result<TopicConfig, DecodeError> {
    let text = String::from_utf8_lossy(line);
    let wrong = || DecodeError(format!("`{text}` is not a topic's line"));
    let mut words = text.split(' ');
    let name = words.next().filter(|name| !name.is_empty()).ok_or_else(wrong)?;
    let mut number = || words.next().and_then(|word| word.parse::<u32>().ok()).ok_or_else(wrong);
    let (read_queues, write_queues) = (number()?, number()?);
    let permission = Permission(number()?);
    let filter_type = match words.next() {
        Some("MULTI_TAG") => TopicFilterType::MultiTag,
        _ => TopicFilterType::SingleTag,
    };
    let topic = TopicConfig::new(TopicName::new(name), write_queues);
    Ok(TopicConfig { read_queues, permission, filter_type, ..topic })
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::ZlibEncoder;
    use proptest::prelude::*;

    use super::*;

    const VERSION: DataVersion = DataVersion { timestamp: 7, counter: 3 };

    fn topics() -> Vec<TopicConfig> {
        vec![
            TopicConfig::new(TopicName::new("A"), 4),
            TopicConfig { read_queues: 1, ..TopicConfig::new(TopicName::new("B"), 2) },
        ]
    }

    fn compressed(parts: &[&[u8]], count: i32) -> Vec<u8> {
        let mut plain = Vec::new();
        for (at, part) in parts.iter().enumerate() {
            if at == 1 {
                plain.extend_from_slice(&count.to_be_bytes());
            }
            plain.extend_from_slice(&i32::try_from(part.len()).unwrap().to_be_bytes());
            plain.extend_from_slice(part);
        }
        let mut zlib = ZlibEncoder::new(Vec::new(), Compression::fast());
        zlib.write_all(&plain).unwrap();
        zlib.finish().unwrap()
    }

    #[test]
    fn ours_is_read_again_and_old_senders_send_the_table_alone_n042() {
        let body = registration(VERSION, &topics());
        let expected =
            RegisterBody { version: VERSION, topics: topics(), filter_servers: Some(Vec::new()) };
        assert_eq!(RegisterBody::parse(&body, 401).unwrap(), expected);
        let table = super::super::topics::topic_table(VERSION, &topics());
        let old = RegisterBody { filter_servers: None, ..expected };
        assert_eq!(RegisterBody::parse(&table, 36).unwrap(), old);
        assert_eq!(RegisterBody::parse(b"", 401).unwrap(), RegisterBody::default());
        assert!(RegisterBody::parse(b"[]", 401).is_err());
    }

    #[test]
    fn the_compressed_form_is_read_n045() {
        let parts: [&[u8]; 4] = [
            br#"{"counter":3,"timestamp":7}"#,
            b"A 4 4 6 SINGLE_TAG",
            b"B 1 2 6 SINGLE_TAG",
            br#"["127.0.0.1:30000"]"#,
        ];
        let body = RegisterBody::parse_compressed(&compressed(&parts, 2)).unwrap();
        assert_eq!((body.version, body.topics), (VERSION, topics()));
        assert_eq!(body.filter_servers.unwrap(), ["127.0.0.1:30000"]);
        assert_eq!(RegisterBody::parse_compressed(b"").unwrap(), RegisterBody::default());
    }

    #[test]
    fn bad_compressed_forms_are_refused() {
        let version: &[u8] = br#"{"counter":3,"timestamp":7}"#;
        for (parts, count) in [
            (vec![version, b"A 4 4 6 SINGLE_TAG"], 2),
            (vec![version, b"A 4 x 6 SINGLE_TAG", b"[]"], 1),
            (vec![version, b"[]"], i32::MAX),
            (vec![b"no json".as_slice(), b"[]"], 0),
        ] {
            assert!(RegisterBody::parse_compressed(&compressed(&parts, count)).is_err());
        }
        assert!(RegisterBody::parse_compressed(b"not zlib").is_err());
        let bomb = compressed(&[&vec![0; 70 << 20]], 0);
        let error = RegisterBody::parse_compressed(&bomb).unwrap_err();
        assert!(error.to_string().contains("more than"), "{error}");
    }

    proptest! {
        #[test]
        fn no_bytes_panic(parts in prop::collection::vec(any::<Vec<u8>>(), 0..5), count: i32) {
            let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
            let _ = RegisterBody::parse_compressed(&compressed(&parts, count));
            for part in parts {
                let _ = RegisterBody::parse(part, 401);
                let _ = RegisterBody::parse_compressed(part);
            }
        }
    }
}
