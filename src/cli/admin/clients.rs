//! `rmq-node admin clients`: who is connected, and one client from within.

use clap::Subcommand;

use super::door::Door;
use super::output::{Output, Report, Reported};
use super::sheet::{Sheet, fact, nothing, numbers, words, yes};
use super::whole;
use crate::cli::table::{safe, utc};
use crate::model::version_text;
use crate::proto::v1::clients_client::ClientsClient;
use crate::proto::v1::{
    ClientStatus, ConnectedClient, ConsumerQueue, ConsumerRates, GetClientRequest,
    ListClientsRequest, ListClientsResponse, RunningConsumer,
};

const NOBODY: &str = "No client is connected.";

/// The verbs.
#[derive(Clone, Debug, Subcommand)]
pub enum ClientsAction {
    /// List producers and consumers that brokers know.
    List,
    /// Show one client, and as a consumer its queues, how fast it is, and its settings (`-o wide`).
    Show {
        /// Its id.
        id: String,
        /// Also what its threads do, which clients in Java tell.
        #[arg(long)]
        stacks: bool,
    },
}

/// Does what the verb says; lists without one.
///
/// # Errors
/// As the service's.
pub async fn run(action: Option<ClientsAction>, door: Door, output: Output) -> Reported {
    let mut clients = ClientsClient::new(door).max_decoding_message_size(usize::MAX);
    Ok(match action.unwrap_or(ClientsAction::List) {
        ClientsAction::List => {
            let parts = clients.list(ListClientsRequest {}).await?.into_inner();
            list(&whole(parts, |part| &mut part.clients).await?, output)
        }
        ClientsAction::Show { id, stacks } => {
            let request = GetClientRequest { client_id: id, with_stacks: stacks };
            show(&clients.get(request).await?.into_inner(), output)
        }
    })
}

fn list(found: &ListClientsResponse, output: Output) -> Report {
    let columns = vec![
        words("CLIENT"),
        words("ADDRESS"),
        words("LANGUAGE"),
        words("VERSION"),
        words("PRODUCES AS"),
        words("CONSUMES AS"),
        words("LAST HEARTBEAT (UTC)").wide(),
        words("BROKERS").wide(),
    ];
    let row = |client: &ConnectedClient| {
        vec![
            client.client_id.clone(),
            client.address.clone(),
            client.language.clone(),
            version_text(client.version),
            names(&client.producer_groups),
            names(&client.consumer_groups),
            client.last_heartbeat_ms.map_or_else(nothing, utc),
            names(&client.brokers),
        ]
    };
    let mut notes = Vec::new();
    if found.clients.is_empty() {
        notes.push(NOBODY.to_owned());
    }
    let sheet = Sheet::new(columns, found.clients.iter().map(row).collect());
    let text = sheet.render(&found.clients, output);
    Report { notes: output.notes(notes), ..Report::new(text, found.problems.clone()) }
}

fn names(names: &[String]) -> String {
    if names.is_empty() { nothing() } else { names.join(",") }
}

fn show(status: &ClientStatus, output: Output) -> Report {
    let client = status.client.clone().unwrap_or_default();
    let mut above = String::new();
    let mut line = |name: &str, value: &str| above += &fact(name, 10, value);
    line("client", &client.client_id);
    line("address", &client.address);
    line("library", &format!("{} {}", client.language, version_text(client.version)));
    line("produces", &names(&client.producer_groups));
    line("consumes", &names(&client.consumer_groups));
    line("brokers", &names(&client.brokers));
    if let Some(time) = client.last_heartbeat_ms {
        line("heartbeat", &utc(time));
    }
    for consumer in &status.consumers {
        above += &consumer_text(consumer, output);
    }
    let columns = vec![
        words("GROUP"),
        words("TOPIC"),
        words("BROKER"),
        numbers("QUEUE"),
        numbers("COMMITS"),
        numbers("HOLDS"),
        words("LAST PULL (UTC)"),
        words("LAST CONSUMED (UTC)"),
        words("LOCKED"),
        numbers("HOLDS MIB").wide(),
        words("GIVEN AWAY").wide(),
    ];
    let row = |group: &str, queue: &ConsumerQueue| {
        vec![
            group.to_owned(),
            queue.topic.clone(),
            queue.broker.clone(),
            queue.queue.to_string(),
            queue.commit_offset.to_string(),
            queue.cached_messages.to_string(),
            queue.last_pull_ms.map_or_else(nothing, utc),
            queue.last_consume_ms.map_or_else(nothing, utc),
            yes(queue.is_locked),
            queue.cached_mib.to_string(),
            yes(queue.is_dropped),
        ]
    };
    let of_consumer = |one: &RunningConsumer| {
        one.queues.iter().map(|queue| row(&one.group, queue)).collect::<Vec<_>>()
    };
    let rows: Vec<_> = status.consumers.iter().flat_map(of_consumer).collect();
    above.push_str(if rows.is_empty() { "" } else { "\n" });
    let sheet = Sheet { above, ..Sheet::new(columns, rows) };
    let mut report = Report::new(sheet.render(status, output), status.problems.clone());
    if output.is_for_people() {
        let stacks = status.consumers.iter().filter_map(|consumer| consumer.stacks.as_ref());
        for stack in stacks {
            let lines = stack.lines().map(|line| safe(&line.replace('\t', "    ")) + "\n");
            report.text += &format!("\n{}", lines.collect::<String>());
        }
    }
    report
}

/// A consumer without its queues.
fn consumer_text(consumer: &RunningConsumer, output: Output) -> String {
    let since =
        consumer.started_ms.map_or_else(String::new, |time| format!(", since {}", utc(time)));
    let mut text = "\n".to_owned();
    let mut line = |name: &str, value: &str| text += &fact(name, 10, value);
    line("group", &format!("{}{since}", consumer.group));
    for one in &consumer.subscriptions {
        line("reads", &format!("{}: {}", one.topic, one.expression));
    }
    if output == Output::Wide {
        for (key, value) in &consumer.properties {
            line("setting", &format!("{key} = {value}"));
        }
    }
    if consumer.rates.is_empty() {
        return text;
    }
    let columns = vec![
        words("TOPIC"),
        numbers("PULLED/S"),
        numbers("PULL MS"),
        numbers("CONSUMED/S"),
        numbers("CONSUME MS"),
        numbers("FAILED/S"),
        numbers("FAILED IN 1 H"),
    ];
    let row = |rates: &ConsumerRates| {
        let mut cells = vec![rates.topic.clone()];
        let numbers = [
            rates.pulled_per_s,
            rates.pull_ms,
            rates.consumed_per_s,
            rates.consume_ms,
            rates.failed_per_s,
        ];
        cells.extend(numbers.map(|number| format!("{number:.1}")));
        cells.push(rates.failed_in_hour.to_string());
        cells
    };
    let sheet = Sheet::new(columns, consumer.rates.iter().map(row).collect());
    format!("{text}\n{}", sheet.as_table())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::v1::GroupSubscription;

    fn client() -> ConnectedClient {
        ConnectedClient {
            client_id: "c@1".to_owned(),
            address: "h:1".to_owned(),
            language: "JAVA".to_owned(),
            version: 401,
            consumer_groups: vec!["g".to_owned(), "h".to_owned()],
            brokers: vec!["a".to_owned()],
            ..ConnectedClient::default()
        }
    }

    #[test]
    fn clients_are_listed_with_their_groups() {
        let found = ListClientsResponse { clients: vec![client()], problems: Vec::new() };
        let expected = "\
CLIENT  ADDRESS  LANGUAGE  VERSION  PRODUCES AS  CONSUMES AS
c@1     h:1      JAVA      4.9.4    -            g,h
";
        assert_eq!(list(&found, Output::Table).text, expected);
        let none = list(&ListClientsResponse::default(), Output::Table);
        assert_eq!(none.notes, [NOBODY]);
    }

    #[test]
    fn a_client_is_shown_with_its_queues_and_rates() {
        let queue = ConsumerQueue {
            topic: "T".to_owned(),
            broker: "a".to_owned(),
            queue: 3,
            commit_offset: 7,
            cached_messages: 2,
            is_locked: true,
            last_pull_ms: Some(0),
            ..ConsumerQueue::default()
        };
        let consumer = RunningConsumer {
            group: "g".to_owned(),
            started_ms: Some(1000),
            properties: [("PROP_X".to_owned(), "1".to_owned())].into(),
            subscriptions: vec![GroupSubscription {
                topic: "T".to_owned(),
                expression: "*".to_owned(),
            }],
            queues: vec![queue],
            rates: vec![ConsumerRates {
                topic: "T".to_owned(),
                pulled_per_s: 1.25,
                failed_in_hour: 4,
                ..ConsumerRates::default()
            }],
            stacks: Some("TID: 1\n\tat x\u{1b}[2J".to_owned()),
        };
        let status = ClientStatus {
            client: Some(client()),
            consumers: vec![consumer],
            problems: Vec::new(),
        };
        let expected = "\
client     c@1
address    h:1
library    JAVA 4.9.4
produces   -
consumes   g,h
brokers    a

group      g, since 1970-01-01 00:00:01
reads      T: *

TOPIC  PULLED/S  PULL MS  CONSUMED/S  CONSUME MS  FAILED/S  FAILED IN 1 H
T           1.2      0.0         0.0         0.0       0.0              4

GROUP  TOPIC  BROKER  QUEUE  COMMITS  HOLDS  LAST PULL (UTC)      LAST CONSUMED (UTC)  LOCKED
g      T      a           3        7      2  1970-01-01 00:00:00  -                    yes

TID: 1
    at x\\u{1b}[2J
";
        assert_eq!(show(&status, Output::Table).text, expected);
        let wide = show(&status, Output::Wide).text;
        assert!(wide.contains("setting    PROP_X = 1\n"), "{wide}");
        assert!(show(&status, Output::Json).text.contains("\"commit_offset\": 7"));
    }
}
