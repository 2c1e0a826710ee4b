//! The dial-back (9003), an extension of ours: a broker says who it is, and whether it reaches ports of the asker.
//!
//! Not the dialling (the broker's). Invariants: a request names ports and never an address; it has at most
//! [`PORTS_MAX`] of them.

use std::net::IpAddr;

use bytes::Bytes;

use crate::remoting::DecodeError;
use crate::remoting::json::{self, Form, Value};

/// Ports that one request may name: a name server and two brokers have 7.
pub const PORTS_MAX: usize = 8;

/// What became of a port of the asker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PortState {
    /// Somebody listens there.
    Reachable,
    /// Nobody does, or a firewall says so.
    Refused,
    /// Nothing came back.
    Timeout,
    /// There is no way to that host.
    Unreachable,
    /// No broker or name server is known to have it: it was not dialled.
    NotRegistered,
}

impl PortState {
    const NAMES: [(&str, Self); 5] = [
        ("reachable", Self::Reachable),
        ("refused", Self::Refused),
        ("timeout", Self::Timeout),
        ("unreachable", Self::Unreachable),
        ("notRegistered", Self::NotRegistered),
    ];

    fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(_, state)| *state == self).map_or("", |(name, _)| name)
    }
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DialBack {
    /// The group of the broker that answers.
    pub group: String,
    /// Its number in the group.
    pub broker_id: i64,
    /// Its version: a release of rmq-node.
    pub version: String,
    /// What its slaves are told to dial, `host:port`.
    pub ha_address: String,
    /// Its wall time, in milliseconds since 1970.
    pub time_ms: i64,
    /// Where the asker comes from, as the broker sees it.
    pub seen_as: IpAddr,
    /// What became of each port that was named, in their order.
    pub ports: Vec<(u16, PortState)>,
}

/// The body of a request.
#[must_use]
pub fn dial_back_request(ports: &[u16]) -> Bytes {
    let ports = Value::array(ports.iter().map(|port| i64::from(*port)));
    Value::object([("ports", ports)]).to_bytes(Form::Dialect)
}

/// Reads the ports that a request names; without a body there are none.
///
/// # Errors
/// It is no such body, names what is no port, or more than [`PORTS_MAX`].
pub fn parse_dial_back_request(body: &[u8]) -> Result<Vec<u16>, DecodeError> {
    if body.is_empty() {
        return Ok(Vec::new());
    }
    let value = json::parse_bounded(body, json::REQUEST_VALUES_MAX)?;
    value.expect_object("the request")?;
    let ports = value.get("ports").items();
    if ports.len() > PORTS_MAX {
        return Err(DecodeError(format!(
            "{} ports are named, at most {PORTS_MAX} may",
            ports.len()
        )));
    }
    let port = |value: &Value<'_>| value.as_i64().and_then(|number| u16::try_from(number).ok());
    let port = |value| port(value).filter(|port| *port != 0);
    let read = |value| port(value).ok_or_else(|| DecodeError("ports: not a port".to_owned()));
    ports.iter().map(read).collect()
}

impl DialBack {
    /// The body.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        let seen_as = self.seen_as.to_string();
        let ports = self.ports.iter().map(|(port, state)| {
            let state = state.name().into();
            Value::object([("port", i64::from(*port).into()), ("state", state)])
        });
        Value::object([
            ("group", self.group.as_str().into()),
            ("brokerId", self.broker_id.into()),
            ("version", self.version.as_str().into()),
            ("haAddress", self.ha_address.as_str().into()),
            ("timeMs", self.time_ms.into()),
            ("seenAs", seen_as.as_str().into()),
            ("ports", Value::array(ports)),
        ])
        .to_bytes(Form::Dialect)
    }

    /// Reads a body; a state of a newer version counts as no way there.
    ///
    /// # Errors
    /// It is no such answer.
    pub fn parse(body: &[u8]) -> Result<Self, DecodeError> {
        let value = json::parse(body)?;
        value.expect_object("the answer")?;
        let text = |key| value.text(key).unwrap_or_default().to_owned();
        let missing = |key: &str| DecodeError(format!("{key} is missing"));
        let port = |value: &Value<'_>| {
            let port = value.number("port")?.ok_or_else(|| missing("port"))?;
            let name = value.text("state").unwrap_or_default();
            let known = PortState::NAMES.iter().find(|(one, _)| *one == name);
            Ok((port, known.map_or(PortState::Unreachable, |(_, state)| *state)))
        };
        let seen_as = text("seenAs").parse();
        Ok(Self {
            group: text("group"),
            broker_id: value.number("brokerId")?.ok_or_else(|| missing("brokerId"))?,
            version: text("version"),
            ha_address: text("haAddress"),
            time_ms: value.number("timeMs")?.ok_or_else(|| missing("timeMs"))?,
            seen_as: seen_as.map_err(|_| missing("seenAs"))?,
            ports: value.get("ports").items().iter().map(port).collect::<Result<_, _>>()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let answer = DialBack {
            group: "broker-b".to_owned(),
            broker_id: 1,
            version: "0.1.0".to_owned(),
            ha_address: "192.168.1.162:10922".to_owned(),
            time_ms: 1_650_000_000_000,
            seen_as: "192.168.1.161".parse().unwrap(),
            ports: PortState::NAMES
                .iter()
                .zip(1..)
                .map(|((_, state), port)| (port, *state))
                .collect(),
        };
        assert_eq!(DialBack::parse(&answer.to_bytes()).unwrap(), answer);
        let text = String::from_utf8(answer.to_bytes().to_vec()).unwrap();
        let newer = text.replace("refused", "parked");
        assert_eq!(
            DialBack::parse(newer.as_bytes()).unwrap().ports[1],
            (2, PortState::Unreachable)
        );
        for wrong in ["[]", "{}", &text.replace("192.168.1.161", "x")] {
            assert!(DialBack::parse(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_request_names_a_few_ports_and_nothing_else() {
        let ports = [9876, 10_909, 10_911, 10_912, 10_919, 10_921, 10_922, 65_535];
        assert_eq!(parse_dial_back_request(&dial_back_request(&ports)).unwrap(), ports);
        assert!(parse_dial_back_request(b"").unwrap().is_empty());
        assert!(parse_dial_back_request(b"{}").unwrap().is_empty());
        let many = dial_back_request(&[1; PORTS_MAX + 1]);
        let refused = parse_dial_back_request(&many).unwrap_err().to_string();
        assert!(refused.contains("9 ports are named, at most 8 may"), "{refused}");
        for wrong in [
            "[]",
            "{\"ports\":[0]}",
            "{\"ports\":[65536]}",
            "{\"ports\":[-1]}",
            "{\"ports\":[\"a\"]}",
        ] {
            assert!(parse_dial_back_request(wrong.as_bytes()).is_err(), "{wrong}");
        }
        let long = format!("{{\"x\":[{}1]}}", "1,".repeat(json::REQUEST_VALUES_MAX));
        assert!(parse_dial_back_request(long.as_bytes()).is_err(), "more than it can need");
    }
}
