//! `rmq-node admin timers list`: what it prints.
//!
//! Not the asking (`crate::admin`), nor the exit codes (`admin`).

use std::collections::BTreeMap;

use serde::Serialize;

use super::admin::{Output, Report, Reported, json};
use super::table::{Align, table, utc};
use crate::admin::WaitingOnBroker;

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
pub fn list(
    found: &[WaitingOnBroker],
    problems: Vec<String>,
    by_topic: bool,
    output: Output,
) -> Reported {
    let topics = of_topics(found);
    let text = match (output, by_topic) {
        (Output::Json, true) => json(&topics)?,
        (Output::Json, false) => json(&found)?,
        (Output::Table, true) => topics_table(&topics),
        (Output::Table, false) => messages_table(found),
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
    Ok(Report { text, notes, problems })
}

fn of_topics(found: &[WaitingOnBroker]) -> Vec<OfTopic<'_>> {
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

fn topics_table(topics: &[OfTopic<'_>]) -> String {
    let columns = [
        ("BROKER", Align::Left),
        ("TOPIC", Align::Left),
        ("MESSAGES", Align::Right),
        ("NEXT DUE (UTC)", Align::Left),
    ];
    let row = |one: &OfTopic<'_>| {
        let [broker, topic] = [one.broker, one.topic].map(str::to_owned);
        vec![broker, topic, one.count.to_string(), utc(one.next_due_ms)]
    };
    let rows: Vec<_> = topics.iter().map(row).collect();
    if rows.is_empty() { String::new() } else { table(&columns, &rows) }
}

fn messages_table(found: &[WaitingOnBroker]) -> String {
    let columns = ["BROKER", "DUE (UTC)", "TOPIC", "ID"].map(|head| (head, Align::Left));
    let rows: Vec<_> = found
        .iter()
        .flat_map(|one| {
            one.messages.iter().map(|message| {
                let [broker, topic, id] =
                    [&one.broker, &message.topic, &message.id].map(String::clone);
                vec![broker, utc(message.due_ms), topic, id]
            })
        })
        .collect();
    if rows.is_empty() { String::new() } else { table(&columns, &rows) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::Waiting;

    fn found() -> Vec<WaitingOnBroker> {
        let message = |due_ms, topic: &str, id: &str| Waiting {
            due_ms,
            topic: topic.to_owned(),
            id: id.to_owned(),
        };
        vec![WaitingOnBroker {
            broker: "broker-a".to_owned(),
            count: 5,
            messages: vec![
                message(1000, "T", "i"),
                message(2000, "U", "j"),
                message(2000, "T", "k"),
            ],
            has_more: true,
        }]
    }

    #[test]
    fn each_message_has_a_line_and_the_next_part_is_said() {
        let report = list(&found(), Vec::new(), false, Output::Table).unwrap();
        let first = "broker-a  1970-01-01 00:00:01  T      i\n";
        assert!(report.text.contains(first), "{}", report.text);
        assert_eq!(report.notes, ["broker-a: 5 wait in all; the next ones: --from-ms 2000"]);
        let report = list(&found(), Vec::new(), false, Output::Json).unwrap();
        assert!(report.text.contains("\"due_ms\": 1000"), "{}", report.text);
        let report = list(&[], Vec::new(), false, Output::Table).unwrap();
        assert_eq!((report.text.as_str(), &*report.notes), ("", &[NOTHING.to_owned()][..]));
    }

    #[test]
    fn topics_have_how_many_wait_and_the_next_time() {
        let report = list(&found(), Vec::new(), true, Output::Table).unwrap();
        let expected = "\
BROKER    TOPIC  MESSAGES  NEXT DUE (UTC)
broker-a  T             2  1970-01-01 00:00:01
broker-a  U             1  1970-01-01 00:00:02
";
        assert_eq!(report.text, expected);
    }
}
