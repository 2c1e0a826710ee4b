//! What became of a message: in each group (300, then 208 and 203), and as clients that write traces tell (12 on the
//! topic of traces).
//!
//! Invariants: a group's position tells that it has gone on behind a message, not that its listener was content; what a
//! group's brokers did not say is `UNKNOWN` of that group, and keeps back no other.

use super::{Admin, AdminError, Message, address_of, all, from_each_or_slave};
use crate::message::properties;
use crate::model::system;
use crate::proto::v1::{MessageTrack, Problem, StoredMessage, TraceKind, TraceStep, TrackState};
use crate::remoting::bodies::clients::ConsumerConnections;
use crate::remoting::bodies::heartbeat::{ConsumeType, MessageModel};
use crate::remoting::bodies::route::BrokerData;

/// Messages with traces that are looked at, of each broker: 4.9.4's tools look at as many.
const TRACES: i32 = 64;
/// Between the lines of a message with traces, and between the fields of a line.
const LINE: char = '\u{2}';
const FIELD: char = '\u{1}';

impl Admin {
    /// Which groups have got a message.
    pub(super) async fn tracks(
        &self,
        message: &StoredMessage,
    ) -> Result<Vec<MessageTrack>, AdminError> {
        let brokers = self.route(&message.topic).await?.brokers;
        let group = message.holder(&brokers)?;
        let mut names = self.groups_of_topic(address_of(group)?, &message.topic).await?;
        names.sort();
        let tracks = all(names.iter().map(async |name| {
            let track = MessageTrack { group: name.clone(), ..MessageTrack::default() };
            let told = self.track(message, group, &brokers, track.clone()).await;
            told.unwrap_or_else(|error| MessageTrack {
                state: TrackState::Unknown.into(),
                reason: Some(error.to_string()),
                ..track
            })
        }));
        Ok(tracks.await)
    }

    async fn track(
        &self,
        message: &StoredMessage,
        broker: &BrokerData,
        brokers: &[BrokerData],
        track: MessageTrack,
    ) -> Result<MessageTrack, AdminError> {
        let address = address_of(broker)?;
        // A slave that has just become the only one may not have met them yet.
        let others = brokers.iter().filter(|one| one.broker_name != broker.broker_name);
        let members = self.members_of(std::iter::once(broker).chain(others), &track.group).await?;
        let stats = self.consume_stats(address, &track.group, Some(&message.topic)).await?;
        let its = stats.queues.iter().find(|one| one.queue.queue_id == message.queue);
        let is_consumed = its.is_some_and(|one| one.consumer_offset > message.queue_offset);
        let is_online = !members.connections.is_empty();
        let state =
            if is_online { state(message, &members, is_consumed) } else { TrackState::NotOnline };
        Ok(MessageTrack { is_consumed, is_online, state: state.into(), ..track })
    }

    /// What clients that write traces did with the message of an id, oldest first, and which brokers did not answer;
    /// nothing where nobody writes any. Clients can be told to write into another topic than 4.9.4's own (M-064).
    ///
    /// # Errors
    /// No name server answers, or none of the brokers that have traces; there is no topic that was named.
    pub async fn trace(
        &self,
        id: &str,
        topic: Option<&str>,
    ) -> Result<(Vec<TraceStep>, Vec<Problem>), AdminError> {
        let topic = topic.unwrap_or(system::TRACE_TOPIC);
        let Some(route) = self.route_if_any(topic).await? else {
            // The first trace makes it.
            let is_own = topic != system::TRACE_TOPIC;
            return if is_own {
                Err(self.no_topic(topic).await)
            } else {
                Ok((Vec::new(), Vec::new()))
            };
        };
        let asked = all(route.brokers.iter().map(async |broker| {
            self.by_key_at(address_of(broker)?, topic, (id, false), TRACES).await
        }));
        let (told, problems) = from_each_or_slave(&route.brokers, asked.await, "traces")?;
        let found = told.iter().flat_map(|(_, found)| found);
        let mut steps: Vec<_> = found.flat_map(|message| TraceStep::of(message, id)).collect();
        steps.sort_by_key(|step| step.time_ms);
        Ok((steps, problems))
    }
}

impl StoredMessage {
    /// The group of the broker that has it.
    ///
    /// # Errors
    /// It is not registered for the topic.
    pub(super) fn holder<'a>(
        &self,
        brokers: &'a [BrokerData],
    ) -> Result<&'a BrokerData, AdminError> {
        let is_its = |group: &&BrokerData| {
            group.addresses.values().any(|address| *address == self.store_host)
                || self.broker.as_ref() == Some(&group.broker_name)
        };
        brokers.iter().find(is_its).ok_or_else(|| {
            let name = self.broker.as_ref().unwrap_or(&self.store_host);
            let text = format!("{name}, which has the message, is not registered for its topic");
            AdminError::Unreachable(text)
        })
    }
}

impl TrackState {
    /// As 4.9.4's `TrackType` has it, and 5.x's of those that broadcast.
    #[must_use]
    pub fn track_type(self) -> &'static str {
        match self {
            Self::Broadcasting => "CONSUME_BROADCASTING",
            Self::Unspecified => "UNKNOWN",
            other => other.as_str_name().trim_start_matches("TRACK_STATE_"),
        }
    }
}

/// 4.9.4's verdict (M-060), but that it takes members that broadcast for ones that share a position.
fn state(message: &StoredMessage, members: &ConsumerConnections, is_consumed: bool) -> TrackState {
    if members.mode.consume_type == ConsumeType::Actively {
        return TrackState::Pull;
    }
    if members.mode.message_model == MessageModel::Broadcasting {
        return TrackState::Broadcasting;
    }
    if !is_consumed {
        return TrackState::NotConsumeYet;
    }
    let own = message.properties.get(properties::TAGS).map_or("", String::as_str);
    let wants =
        |tags: &[String]| tags.is_empty() || tags.iter().any(|tag| tag == own || tag == "*");
    let mut its = members.subscriptions.iter().filter(|one| one.topic == message.topic);
    if its.any(|one| !wants(&one.tags)) {
        return TrackState::ConsumedButFiltered;
    }
    TrackState::Consumed
}

impl TraceStep {
    /// What a message of the topic of traces tells of the message of an id.
    #[must_use]
    pub fn of(trace: &Message, id: &str) -> Vec<Self> {
        let text = String::from_utf8_lossy(&trace.body);
        let host = trace.born_host.ip().to_string();
        text.split(LINE).filter_map(|line| Self::parse(line, id, &host)).collect()
    }

    /// Reads a line of it (4.9.4's `TraceDataEncoder`), if it is one of the message.
    fn parse(line: &str, id: &str, host: &str) -> Option<Self> {
        let parts: Vec<&str> = line.split(FIELD).collect();
        let number = |at: usize| parts.get(at).and_then(|text| text.parse().ok());
        let is_true =
            |at: usize| parts.get(at).is_some_and(|text| text.eq_ignore_ascii_case("true"));
        let step = |kind: TraceKind, group: &str, time_ms, cost_ms, success_at| Self {
            kind: kind.into(),
            group: group.to_owned(),
            host: host.to_owned(),
            time_ms,
            cost_ms,
            is_success: is_true(success_at),
        };
        let (id_at, step) = match *parts.first()? {
            "Pub" => {
                let success_at = if parts.len() == 13 { 12 } else { 13 };
                let (time_ms, cost_ms) = (number(1)?, number(10)?);
                (5, step(TraceKind::Sent, parts.get(3)?, time_ms, cost_ms, success_at))
            }
            "SubAfter" => {
                let group = parts.get(8).map_or("null", |group| group);
                let (time_ms, cost_ms) = (number(7).unwrap_or(0), number(3)?);
                (2, step(TraceKind::Consumed, group, time_ms, cost_ms, 4))
            }
            _ => return None,
        };
        (*parts.get(id_at)? == id).then_some(step)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::remoting::bodies::clients::Subscribed;

    #[test]
    fn trace_lines_are_those_of_the_message_m064() {
        let join = |parts: &[&str]| parts.join("\u{1}");
        let line = join(&[
            "Pub", "7", "R", "G", "T", "ID", "tag", "key", "h:1", "5", "3", "0", "OFF", "true", "c",
        ]);
        let step = TraceStep::parse(&line, "ID", "10.0.0.1").unwrap();
        let told = (step.kind(), step.time_ms, step.cost_ms, step.is_success);
        assert_eq!(told, (TraceKind::Sent, 7, 3, true));
        assert_eq!(TraceStep::parse(&line, "OTHER", "h"), None);
        let line = join(&["SubAfter", "req", "ID", "4", "false", "key", "6", "9", "C"]);
        let step = TraceStep::parse(&line, "ID", "h").unwrap();
        let told = (step.kind(), step.group.as_str(), step.time_ms, step.cost_ms, step.is_success);
        assert_eq!(told, (TraceKind::Consumed, "C", 9, 4, false));
        for bad in ["", "Pub", "SubBefore\u{1}1", "Pub\u{1}x\u{1}"] {
            assert_eq!(TraceStep::parse(bad, "ID", "h"), None, "{bad}");
        }
    }

    #[test]
    fn what_became_of_a_message_is_said_in_4_9_4s_words_m060() {
        let message = StoredMessage {
            topic: "T".to_owned(),
            properties: [(properties::TAGS.to_owned(), "red".to_owned())].into(),
            ..StoredMessage::default()
        };
        let members = |tags: &[&str]| {
            let tags = tags.iter().map(|tag| (*tag).to_owned()).collect();
            let one = Subscribed { topic: "T".to_owned(), tags, ..Subscribed::default() };
            ConsumerConnections { subscriptions: vec![one], ..ConsumerConnections::default() }
        };
        assert_eq!(state(&message, &members(&[]), false), TrackState::NotConsumeYet);
        for wanted in [&[][..], &["*"], &["blue", "red"]] {
            assert_eq!(state(&message, &members(wanted), true), TrackState::Consumed);
        }
        let filtered = state(&message, &members(&["blue"]), true);
        assert_eq!(filtered, TrackState::ConsumedButFiltered);
        let mut pulling = members(&[]);
        pulling.mode.consume_type = ConsumeType::Actively;
        assert_eq!(state(&message, &pulling, true), TrackState::Pull);
        let mut all = members(&[]);
        all.mode.message_model = MessageModel::Broadcasting;
        assert_eq!(state(&message, &all, true), TrackState::Broadcasting);
    }
}
