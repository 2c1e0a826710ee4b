//! What our own nodes ask one another on broker ports: codes from 9000 on, JSON bodies.
//!
//! | code | body of the request | body of the answer |
//! | --- | --- | --- |
//! | 9001 `EXTENSION_HELLO` | [`Hello`] of the one who asks, or nothing (a tool) | [`Hello`] of the one who answers |
//! | 9004 `EXTENSION_POSITIONS` | [`Positions`] of the one who asks | [`Positions`] of the one who answers |
//! | 9005 `EXTENSION_RESYNC` | nothing | nothing |
//! | 9006 `EXTENSION_ACCOUNTS` | [`AccountsOffer`] of the one who asks | [`AccountsOffer`] of the one who answers |
//! | 9007 `EXTENSION_CANCEL_TIMER` | [`CancelTimer`] | nothing |
//! | 9008 `EXTENSION_LIST_TIMERS` | [`ListTimers`] | [`TimersPart`] |
//! | 9009 `EXTENSION_FIGURES` | nothing | [`Figures`] |
//! | 9010 `EXTENSION_BROKER_STATE` | nothing | [`BrokerState`] |
//! | 9011 `EXTENSION_RESET_CONFIG` | [`ResetConfig`] | nothing |
//!
//! Plain JSON, not fastjson's dialect: no process of 4.9.4 reads it, it answers code 3 to these codes. Unlike 4.9.4's
//! bodies they may grow: readers step over keys that they do not know, and a key that is not there has its default.
//! Invariant: what is read may be anything; nothing here is believed by being well-formed.

use std::fmt;
use std::marker::PhantomData;

use bytes::Bytes;
use serde::de::{DeserializeOwned, Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use crate::remoting::DecodeError;

/// Rows of a list in a request, at most: some times those of a part of positions. An empty one takes three bytes as text,
/// and thirty times as much when it is read.
const ROWS_MAX: usize = 100_000;

/// What a member of a group says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Hello {
    /// Its cluster (`brokerClusterName`).
    pub cluster: String,
    /// Its group (`brokerName`).
    pub group: String,
    /// Its number in the group; 0 is a master.
    pub broker_id: u32,
    /// `master` or `slave`.
    pub role: String,
    /// Which copy of the group's data it is: 16 hexadecimal digits, random, as old as its folder.
    pub node: String,
    /// The version of rmq-node.
    pub version: String,
    /// What its clients dial, as `host:port`.
    pub address: String,
    /// What its slaves dial, as `host:port`.
    pub ha_address: String,
    /// The epochs of its log, oldest first.
    #[serde(deserialize_with = "rows")]
    pub history: Vec<EpochRow>,
    /// The offset of the first byte of its log.
    pub min_offset: u64,
    /// The offset behind the last byte of its log.
    pub max_offset: u64,
    /// Size of a segment of its log, in bytes.
    pub segment_bytes: u64,
    /// Whether it serves clients: a slave always, a master when its start step is done and no other master has its place.
    pub is_serving: bool,
    /// Of a slave that is about to copy: the local port of its connection to the HA port. 0 from anybody else.
    pub ha_local_port: u16,
    /// Whether it takes TLS on its HA port.
    pub tls: bool,
    /// The slaves that copy from it; only in answers.
    #[serde(deserialize_with = "rows", skip_serializing_if = "Vec::is_empty")]
    pub slaves: Vec<SlaveRow>,
    /// How its own copying goes; only in answers of slaves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub copy: Option<CopyRow>,
    /// What a master waits for before it serves, or why it does not; empty if it serves. Only in answers of masters.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub waits_for: String,
    /// Peers whose nodes have other accounts than this node under the same counter; only in answers.
    #[serde(deserialize_with = "rows", skip_serializing_if = "Vec::is_empty")]
    pub accounts_differ_from: Vec<String>,
}

/// One epoch: who wrote the log from where on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct EpochRow {
    /// How often a slave had become the master.
    pub promotions: u32,
    /// How often a master had been started since.
    pub restarts: u32,
    /// The node that wrote it.
    pub node: String,
    /// The offset of its first byte.
    pub start: u64,
    /// Drawn at random when it began.
    pub nonce: u32,
    /// Whether senders were told of success after a slave had the message.
    pub sync: bool,
}

/// A slave as its master sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SlaveRow {
    /// Where its connection comes from, as `ip:port`.
    pub peer: String,
    /// Whether it is a plain 4.9.4 slave.
    pub is_plain: bool,
    /// What its clients dial, as far as that is known.
    pub address: String,
    /// Up to where it was sent the log.
    pub sent_to: u64,
    /// Up to where it says that it has it.
    pub acknowledged_to: u64,
    /// What it does not have, in bytes.
    pub behind_bytes: u64,
}

/// A slave's copying as it sees it itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CopyRow {
    /// What it is at: one of the names of `replication::Phase`.
    pub phase: String,
    /// The master's HA address, if it is known.
    pub master: String,
    /// Up to where the log is here.
    pub copied_to: u64,
    /// How much older it is than the master's at most, in seconds, if that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub behind_s: Option<u64>,
    /// What went wrong last; empty if nothing did.
    pub last_error: String,
}

/// What a node has in the account file that tools change.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AccountsOffer {
    /// How often tools changed it.
    pub counter: i64,
    /// Of all that it says but its version: 40 hexadecimal digits.
    pub digest: String,
    /// The file, secrets and all, for a peer that has an older one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

impl fmt::Debug for AccountsOffer {
    /// Without the text, which has secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccountsOffer").field("counter", &self.counter).finish_non_exhaustive()
    }
}

/// A message that is not to be delivered: it waits for a time of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CancelTimer {
    /// The id that its producer was told (`UNIQ_KEY`).
    pub id: String,
    /// Whether it is only looked for.
    pub dry_run: bool,
}

/// Which messages that wait for a time of their own are asked for: a part, in the order of their times.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ListTimers {
    /// Those that are due from this time on, in milliseconds since 1970.
    pub from_ms: i64,
    /// Of those due at just that time: from this offset of the log on.
    pub from_offset: u64,
    /// At most so many.
    pub count_max: usize,
    /// Whether all that wait are to be counted, which reads them all.
    pub counts: bool,
}

/// Some messages that wait for a time of their own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TimersPart {
    /// In the order of their times.
    pub rows: Vec<TimerRow>,
    /// Where the next part begins; none if there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<(i64, u64)>,
    /// How many wait in all, if that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
}

/// One message that waits.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TimerRow {
    /// When it is due, in milliseconds since 1970.
    pub due_ms: i64,
    /// The topic that it is for; empty if its record cannot be read.
    pub topic: String,
    /// The id that its producer was told (`UNIQ_KEY`); empty if it has none.
    pub id: String,
}

/// What a broker reckoned last of its consumer groups; a slave says when it is only.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Figures {
    /// What its clock shows, in milliseconds since 1970.
    pub now_ms: i64,
    /// When it reckoned, by the same clock; 0 if it never did.
    pub at_ms: i64,
    /// Who reads, the furthest behind first; not all if there are very many.
    pub readers: Vec<ReaderRow>,
    /// The consumer groups that are connected, and how many connections each has.
    pub members: Vec<(String, u64)>,
    /// Those whose members subscribe to different things, and who does.
    pub differ: Vec<(String, String)>,
    /// Groups with dead letters, and how many there were ever.
    pub dead_letters: Vec<(String, u64)>,
    /// Size of the disk that it stores on; 0 if that is not known.
    pub disk_bytes: u64,
    /// Room on it.
    pub disk_free_bytes: u64,
    /// Its used part, in millionths.
    pub disk_used_ppm: u64,
    /// How full it may be; beyond that nothing is stored.
    pub disk_read_only_percent: u8,
    /// Whether its node looks for what is wrong, and has somebody to tell.
    pub sends_alerts: bool,
}

/// A consumer group in a topic.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ReaderRow {
    /// The group.
    pub group: String,
    /// The topic.
    pub topic: String,
    /// Messages that it has not got.
    pub lag: u64,
    /// How old the oldest of these is, in milliseconds, if that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub behind_ms: Option<u64>,
}

/// What an operator who wants to take a broker out of use has to know.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct BrokerState {
    /// What is not as the node's settings say, because it was changed while it ran.
    pub overrides: Vec<OverrideRow>,
    /// For how long producers have been kept away, in milliseconds, if they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub closed_ms: Option<u64>,
    /// How long ago a producer sent last, in milliseconds; none if none has since the broker started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_send_ms: Option<u64>,
    /// Producers that are connected.
    pub producers: usize,
}

/// A setting that was changed while the node ran.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct OverrideRow {
    /// 4.9.4's key.
    pub key: String,
    /// What it was changed to.
    pub value: String,
    /// What the settings say.
    pub instead_of: String,
}

/// A setting that is to be as the node's settings say.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ResetConfig {
    /// 4.9.4's key.
    pub key: String,
}

/// Positions of consumer groups with their generations, a part of all that there are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Positions {
    /// The group (`brokerName`) whose they are.
    pub group: String,
    /// Where the log ended when they were read: they point to nothing beyond it.
    pub log_end: u64,
    /// The positions.
    #[serde(deserialize_with = "rows")]
    pub rows: Vec<PositionRow>,
    /// Of a request: the number of the part that is asked for. Of an answer: the number of the next part; 0 if there is none.
    pub part: usize,
}

/// One position.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PositionRow {
    /// Topic.
    pub t: String,
    /// Consumer group.
    pub g: String,
    /// Queue.
    pub q: u32,
    /// Generation: raised whenever the position goes back or away.
    pub n: u64,
    /// The next message's offset; none if the position was deleted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub o: Option<i64>,
}

/// Writes a body.
///
/// # Panics
/// Never: these bodies have neither maps nor floats.
#[must_use]
pub fn to_bytes<T: Serialize>(body: &T) -> Bytes {
    serde_json::to_vec(body).expect("a struct of texts and numbers is JSON").into()
}

/// Reads a body; an empty one has nothing but defaults.
///
/// # Errors
/// It is no such body.
pub fn parse<T: DeserializeOwned + Default>(body: &[u8]) -> Result<T, DecodeError> {
    if body.is_empty() {
        return Ok(T::default());
    }
    serde_json::from_slice(body).map_err(|error| DecodeError(format!("JSON: {error}")))
}

/// Reads a list of [`ROWS_MAX`] rows at most.
fn rows<'de, D: Deserializer<'de>, T: Deserialize<'de>>(from: D) -> Result<Vec<T>, D::Error> {
    struct Rows<T>(PhantomData<T>);

    impl<'de, T: Deserialize<'de>> Visitor<'de> for Rows<T> {
        type Value = Vec<T>;

        fn expecting(&self, text: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(text, "a list of {ROWS_MAX} rows at most")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<T>, A::Error> {
            let mut rows = Vec::new();
            while let Some(row) = list.next_element()? {
                if rows.len() == ROWS_MAX {
                    return Err(A::Error::invalid_length(ROWS_MAX + 1, &self));
                }
                rows.push(row);
            }
            Ok(rows)
        }
    }

    from.deserialize_seq(Rows(PhantomData))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hello_is_read_as_it_was_written_and_unknown_keys_are_stepped_over() {
        let epoch = EpochRow { promotions: 1, restarts: 2, start: 3, ..EpochRow::default() };
        let hello = Hello {
            group: "broker-a".into(),
            broker_id: 1,
            history: vec![epoch],
            max_offset: u64::MAX,
            copy: Some(CopyRow { phase: "in sync".into(), ..CopyRow::default() }),
            slaves: vec![SlaveRow { peer: "127.0.0.1:1".into(), ..SlaveRow::default() }],
            ..Hello::default()
        };
        assert_eq!(parse::<Hello>(&to_bytes(&hello)).unwrap(), hello);
        let text = br#"{"group":"g","later":[{}],"history":[{"start":7,"x":1}]}"#;
        let read: Hello = parse(text).unwrap();
        assert_eq!((read.group.as_str(), read.history[0].start, read.broker_id), ("g", 7, 0));
        assert_eq!(parse::<Hello>(b"").unwrap(), Hello::default());
        for bad in [&b"7"[..], b"{\"history\":1}", b"{\"maxOffset\":-1}", b"\xff"] {
            assert!(parse::<Hello>(bad).is_err());
        }
    }

    #[test]
    fn a_deleted_position_has_no_offset() {
        let row = PositionRow { t: "T".into(), g: "G".into(), q: 1, n: 2, o: None };
        let positions = Positions { rows: vec![row], ..Positions::default() };
        let bytes = to_bytes(&positions);
        assert!(!String::from_utf8_lossy(&bytes).contains("\"o\""));
        assert_eq!(parse::<Positions>(&bytes).unwrap(), positions);
    }
    #[test]
    fn a_short_text_does_not_become_a_long_list() {
        let positions = |rows| format!("{{\"rows\":[{}{{}}]}}", "{},".repeat(rows - 1));
        let read = parse::<Positions>(positions(ROWS_MAX).as_bytes()).unwrap();
        assert_eq!(read.rows.len(), ROWS_MAX);
        let error = parse::<Positions>(positions(ROWS_MAX + 1).as_bytes()).unwrap_err();
        assert!(error.0.contains("100000 rows at most"), "{error:?}");
        let hello = positions(ROWS_MAX + 1).replace("rows", "history");
        assert!(parse::<Hello>(hello.as_bytes()).is_err());
    }
}
