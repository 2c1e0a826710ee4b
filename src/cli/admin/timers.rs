//! `rmq-node admin timers`: messages that wait for a time of their own.

use std::collections::BTreeMap;

use clap::{Args, Subcommand};
use serde::Serialize;

use super::door::Door;
use super::output::{Confirmation, Output, Report, Reported, not_confirmed, what_was_done};
use super::sheet::{Sheet, numbers, words};
use super::whole;
use crate::cli::table::utc;
use crate::proto::v1::messages_client::MessagesClient;
use crate::proto::v1::{
    CancelTimerRequest, ListTimersRequest, ListTimersResponse, TimersOnBroker, WaitingMessage,
};

/// The verbs.
#[derive(Clone, Debug, Subcommand)]
pub enum TimersAction {
    /// List what waits, in the order of its times: when it is due, its topic and its id.
    List(TimersList),
    /// Never deliver a message that still waits.
    Cancel {
        /// Its id, as its producer was told it (the client's `msgId`, not `offsetMsgId`).
        id: String,
        /// Show where it would be cancelled, and cancel nothing.
        #[arg(long)]
        dry_run: bool,
        #[command(flatten)]
        confirmation: Confirmation,
    },
}

/// What `timers list` shows.
#[derive(Args, Clone, Debug)]
pub struct TimersList {
    /// Only those that are due from this time on, in milliseconds since 1970.
    #[arg(long, value_name = "MS", default_value_t = 0)]
    from_ms: i64,
    /// So many of each broker.
    #[arg(long, value_name = "COUNT", default_value_t = LISTED, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// How many wait for each topic, and when the next one is due; reads all that wait.
    #[arg(long, conflicts_with = "limit")]
    by_topic: bool,
}

/// Messages of each broker that are listed if nothing is asked for.
const LISTED: u32 = 100;

/// Does what the verb says; lists without one.
///
/// # Errors
/// As the service's.
pub async fn run(action: Option<TimersAction>, door: Door, output: Output) -> Reported {
    let mut messages = MessagesClient::new(door);
    let first = TimersList { from_ms: 0, limit: LISTED, by_topic: false };
    Ok(match action.unwrap_or(TimersAction::List(first)) {
        TimersAction::List(TimersList { from_ms, limit, by_topic }) => {
            let limit = Some(if by_topic { u32::MAX } else { limit });
            let parts = messages.list_timers(ListTimersRequest { from_ms, limit }).await?;
            list(whole(parts.into_inner(), |part| &mut part.brokers).await?, by_topic, output)
        }
        TimersAction::Cancel { id, dry_run, confirmation } => {
            let what = format!("message {id}");
            if !dry_run && !confirmation.is_given(&format!("{what} is never delivered.")) {
                return Ok(not_confirmed());
            }
            let answer = messages.cancel_timer(CancelTimerRequest { id, dry_run }).await?;
            what_was_done(&answer.into_inner().done, &what, "cancelled", output)
        }
    })
}

const NOTHING: &str = "Nothing waits for a time of its own.";

/// What waits for one topic on one broker.
#[derive(Debug, Serialize)]
struct OfTopic<'a> {
    broker: &'a str,
    topic: &'a str,
    count: usize,
    next_due_ms: i64,
}

/// What waits, a line each, or a line for each topic.
fn list(answer: ListTimersResponse, by_topic: bool, output: Output) -> Report {
    let ListTimersResponse { brokers, problems } = answer;
    let found = joined(brokers);
    let topics = of_topics(&found);
    let text = match by_topic {
        true => topics_sheet(&topics).render(&topics, output),
        false => messages_sheet(&found).render(&found, output),
    };
    let total: u64 = found.iter().map(|one| one.count).sum();
    let mut notes = Vec::new();
    if total == 0 {
        notes.push(NOTHING.to_owned());
    }
    for one in found.iter().filter(|one| one.count > 0) {
        let more = match one.messages.last().filter(|_| one.has_more) {
            Some(last) => format!("; the next ones: --from-ms {}", last.due_ms),
            None => String::new(),
        };
        notes.push(format!("{}: {} wait in all{more}", one.broker, one.count));
    }
    Report { notes: output.notes(notes), ..Report::new(text, problems) }
}

/// Each broker once, with the messages of all parts.
fn joined(parts: Vec<TimersOnBroker>) -> Vec<TimersOnBroker> {
    let mut all: Vec<TimersOnBroker> = Vec::new();
    for mut part in parts {
        match all.last_mut().filter(|last| last.broker == part.broker) {
            Some(last) => last.messages.append(&mut part.messages),
            None => all.push(part),
        }
    }
    all
}

fn of_topics(found: &[TimersOnBroker]) -> Vec<OfTopic<'_>> {
    let mut topics = BTreeMap::new();
    for one in found {
        for message in &one.messages {
            let key = (one.broker.as_str(), message.topic.as_str());
            // They come in the order of their times.
            topics.entry(key).or_insert((0, message.due_ms)).0 += 1;
        }
    }
    let row =
        |((broker, topic), (count, next_due_ms))| OfTopic { broker, topic, count, next_due_ms };
    topics.into_iter().map(row).collect()
}

fn topics_sheet(topics: &[OfTopic<'_>]) -> Sheet {
    let columns =
        vec![words("BROKER"), words("TOPIC"), numbers("MESSAGES"), words("NEXT DUE (UTC)")];
    let row = |one: &OfTopic<'_>| {
        let [broker, topic] = [one.broker, one.topic].map(str::to_owned);
        vec![broker, topic, one.count.to_string(), utc(one.next_due_ms)]
    };
    Sheet { name: 1, ..Sheet::new(columns, topics.iter().map(row).collect()) }
}

fn messages_sheet(found: &[TimersOnBroker]) -> Sheet {
    let columns = ["BROKER", "DUE (UTC)", "TOPIC", "ID"].map(words).into();
    let row = |broker: &str, message: &WaitingMessage| {
        let [topic, id] = [&message.topic, &message.id].map(String::clone);
        vec![broker.to_owned(), utc(message.due_ms), topic, id]
    };
    let rows =
        found.iter().flat_map(|one| one.messages.iter().map(|message| row(&one.broker, message)));
    Sheet { name: 3, ..Sheet::new(columns, rows.collect()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found() -> ListTimersResponse {
        let message = |due_ms, topic: &str, id: &str| WaitingMessage {
            due_ms,
            topic: topic.to_owned(),
            id: id.to_owned(),
        };
        let part = |messages| TimersOnBroker {
            broker: "broker-a".to_owned(),
            count: 5,
            messages,
            has_more: true,
        };
        let first = vec![message(1000, "T", "i"), message(2000, "U", "j")];
        let brokers = vec![part(first), part(vec![message(2000, "T", "k")])];
        ListTimersResponse { brokers, problems: Vec::new() }
    }

    #[test]
    fn each_message_has_a_line_and_the_next_part_is_said() {
        let report = list(found(), false, Output::Table);
        let first = "broker-a  1970-01-01 00:00:01  T      i\n";
        assert!(report.text.contains(first), "{}", report.text);
        assert_eq!(report.notes, ["broker-a: 5 wait in all; the next ones: --from-ms 2000"]);
        let report = list(found(), false, Output::Json);
        assert!(report.text.contains("\"due_ms\": 1000"), "{}", report.text);
        let report = list(ListTimersResponse::default(), false, Output::Table);
        assert_eq!((report.text.as_str(), &*report.notes), ("", &[NOTHING.to_owned()][..]));
    }

    #[test]
    fn topics_have_how_many_wait_and_the_next_time() {
        let report = list(found(), true, Output::Table);
        let expected = "\
BROKER    TOPIC  MESSAGES  NEXT DUE (UTC)
broker-a  T             2  1970-01-01 00:00:01
broker-a  U             1  1970-01-01 00:00:02
";
        assert_eq!(report.text, expected);
    }
}
