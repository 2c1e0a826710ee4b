//! What a broker tells a name server about itself: the body of 103 (N-042 to N-045).
//!
//! Not its header. Invariant: a body from the network never makes us hold more than a small multiple of its size; of
//! one that is inflated on the way, no more than its topics, which are bounded by `INFLATED_BYTES_MAX` and `TOPICS_MAX`.

use std::borrow::Borrow;
use std::io::{self, Read};

use bytes::Bytes;
use flate2::read::ZlibDecoder;

use super::topics::{read_topic_table, read_version, topic_table_value};
use crate::model::{DataVersion, Permission, TopicConfig, TopicFilterType, TopicName};
use crate::remoting::DecodeError;
use crate::remoting::json::{self, Form, Value};

/// How much of an inflated body is read; 60 000 topics are about 6 MB.
const INFLATED_BYTES_MAX: u64 = 16 << 20;
/// Topics in one registration, at most. A small body that unpacks to much must not take much more than that.
const TOPICS_MAX: usize = 60_000;
/// Values in a body that is not packed: nine for each topic.
const VALUES_MAX: usize = 9 * TOPICS_MAX + 1000;
/// The largest part of an inflated body; a topic's line has less than 200 bytes.
const PART_BYTES_MAX: usize = 64 << 10;
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
    /// It is not, or goes beyond the bounds.
    pub fn parse_compressed(body: &[u8]) -> Result<Self, DecodeError> {
        if body.is_empty() {
            return Ok(Self::default());
        }
        let mut inflated = ZlibDecoder::new(body).take(INFLATED_BYTES_MAX);
        let version = read_version(&json::parse(&part(&mut inflated)?)?)?;
        let count = number(&mut inflated)?;
        if usize::try_from(count).is_ok_and(|count| count > TOPICS_MAX) {
            return Err(DecodeError(format!("the registration has more than {TOPICS_MAX} topics")));
        }
        let mut topics = Vec::new();
        for _ in 0..count {
            topics.push(read_line(&part(&mut inflated)?)?);
        }
        let servers = part(&mut inflated)?;
        let servers = json::parse(&servers)?;
        let servers = servers.items().iter().filter_map(|server| Some(server.as_str()?.to_owned()));
        Ok(Self { version, topics, filter_servers: Some(servers.collect()) })
    }
}

fn number(inflated: &mut impl Read) -> Result<i32, DecodeError> {
    let mut bytes = [0; 4];
    fill(inflated, &mut bytes)?;
    Ok(i32::from_be_bytes(bytes))
}

/// The next part: a length and as many bytes.
fn part(inflated: &mut impl Read) -> Result<Vec<u8>, DecodeError> {
    let length = usize::try_from(number(inflated)?).unwrap_or(usize::MAX);
    if length > PART_BYTES_MAX {
        let text = format!("a part of the registration has more than {PART_BYTES_MAX} bytes");
        return Err(DecodeError(text));
    }
    let mut bytes = vec![0; length];
    fill(inflated, &mut bytes)?;
    Ok(bytes)
}

fn fill(inflated: &mut impl Read, bytes: &mut [u8]) -> Result<(), DecodeError> {
    inflated.read_exact(bytes).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => {
            let text =
                format!("the registration is cut off, or has more than {INFLATED_BYTES_MAX} bytes");
            DecodeError(text)
        }
        _ => DecodeError(format!("the registration is not zlib: {error}")),
    })
}

/// Reads `name readQueueNums writeQueueNums perm topicFilterType`; flags and order are not in it.
fn read_line(line: &[u8]) -> Result<TopicConfig, DecodeError> {
    let text = String::from_utf8_lossy(line);
    let wrong = || DecodeError(format!("`{text}` is not a topic's line"));
    let mut words = text.split(' ');
    let name = words.next().filter(|name| !name.is_empty()).ok_or_else(wrong)?;
    // A negative one is 0, as in the other form.
    let mut number = || {
        let number = words.next().and_then(|word| word.parse::<i32>().ok()).ok_or_else(wrong)?;
        Ok::<_, DecodeError>(u32::try_from(number).unwrap_or(0))
    };
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
    fn negative_numbers_are_read_as_0_in_both_forms() {
        let parts: [&[u8]; 3] =
            [br#"{"counter":3,"timestamp":7}"#, b"A -1 -8 -3 SINGLE_TAG", b"[]"];
        let compressed = RegisterBody::parse_compressed(&compressed(&parts, 1)).unwrap();
        let table = r#"{"A":{"perm":-3,"readQueueNums":-1,"writeQueueNums":-8}}"#;
        let plain = format!(r#"{{"topicConfigSerializeWrapper":{{"topicConfigTable":{table}}}}}"#);
        let plain = RegisterBody::parse(plain.as_bytes(), 401).unwrap();
        assert_eq!(compressed.topics, plain.topics);
        assert_eq!(compressed.topics[0].permission, Permission(0));
    }

    #[test]
    fn bad_compressed_forms_are_refused() {
        let version: &[u8] = br#"{"counter":3,"timestamp":7}"#;
        for (parts, count) in [
            (vec![version, b"A 4 4 6 SINGLE_TAG"], 2),
            (vec![version, b"A 4 x 6 SINGLE_TAG", b"[]"], 1),
            (vec![version, b"A 4 4 4294967295 SINGLE_TAG", b"[]"], 1),
            (vec![version, b"[]"], i32::MAX),
            (vec![b"no json".as_slice(), b"[]"], 0),
        ] {
            assert!(RegisterBody::parse_compressed(&compressed(&parts, count)).is_err());
        }
        assert!(RegisterBody::parse_compressed(b"not zlib").is_err());
    }

    #[test]
    fn little_that_inflates_to_much_is_refused() {
        let version: &[u8] = br#"{"counter":3,"timestamp":7}"#;
        let topics = |count: usize, line: &str| {
            let mut parts = vec![version];
            parts.extend(vec![line.as_bytes(); count]);
            parts.push(b"[]");
            let count = i32::try_from(count).unwrap();
            RegisterBody::parse_compressed(&compressed(&parts, count))
        };
        let error = |body: Result<RegisterBody, DecodeError>| body.unwrap_err().to_string();
        assert_eq!(topics(TOPICS_MAX, "T 1 1 6 S").unwrap().topics.len(), TOPICS_MAX);
        let too_many = error(topics(TOPICS_MAX + 1, "T 1 1 6 S"));
        assert_eq!(too_many, "the registration has more than 60000 topics");
        let too_much = error(topics(1000, &format!("{} 1 1 6 S", "t".repeat(60_000))));
        assert!(too_much.ends_with("has more than 16777216 bytes"), "{too_much}");
        let servers = compressed(&[version, format!("[{}]", "0,".repeat(1 << 20)).as_bytes()], 0);
        let too_large = error(RegisterBody::parse_compressed(&servers));
        assert_eq!(too_large, "a part of the registration has more than 65536 bytes");
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
