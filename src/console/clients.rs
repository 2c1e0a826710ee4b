//! Clients that are connected: producers and consumers, and one with what it tells of itself.
//!
//! Nothing is changed. Invariant: a consumer that does not answer is told of, and keeps back nothing else of its client.

use askama::Template;
use axum::extract::{Path, State};

use super::visitor::{Fields, Page, Visitor, query_escaped};
use super::{Answer, Pages, Paging, format, html};
use crate::model::version_text;
use crate::proto::v1::{
    ConnectedClient, ConsumerQueue, ConsumerRates, GetClientRequest, Problem, RunningConsumer,
};

/// A client of the list.
struct Row {
    client: ConnectedClient,
    path: String,
    version: String,
    heartbeat: Option<(String, String)>,
}

impl Row {
    fn of(client: ConnectedClient) -> Self {
        Self {
            path: query_escaped(&client.client_id),
            version: version_text(client.version),
            heartbeat: client.last_heartbeat_ms.map(format::moment),
            client,
        }
    }
}

/// What clients do, as the tabs of the list.
const KINDS: [&str; 3] = ["all", "producers", "consumers"];

fn is_of(kind: &str, client: &ConnectedClient) -> bool {
    match kind {
        "producers" => !client.producer_groups.is_empty(),
        "consumers" => !client.consumer_groups.is_empty(),
        _ => true,
    }
}

fn is_wanted(client: &ConnectedClient, wanted: &str) -> bool {
    let groups = client.producer_groups.iter().chain(&client.consumer_groups);
    let mut texts = groups.chain([&client.client_id, &client.address]);
    texts.any(|text| text.to_lowercase().contains(wanted))
}

#[derive(Template)]
#[template(path = "clients.html")]
struct ClientsPage<'a> {
    page: &'a Page,
    q: &'a str,
    kind: &'static str,
    /// Each kind with how many clients there are of it.
    kinds: Vec<(&'static str, usize)>,
    rows: Vec<Row>,
    paging: Paging,
    problems: Vec<Problem>,
}

/// A page of those of a kind that have a text in their id, address or groups.
pub async fn list(State(pages): State<Pages>, visitor: Visitor, query: Fields) -> Answer {
    let listed = pages.asking().clients().await.map_err(|error| visitor.failed(&error))?;
    let q = query.get("q");
    let (asked, wanted) = (query.get("kind"), q.to_lowercase());
    let kind = KINDS.into_iter().find(|name| *name == asked).unwrap_or(KINDS[0]);
    let mut clients = listed.clients;
    clients.retain(|client| is_wanted(client, &wanted));
    let count = |kind| clients.iter().filter(|client| is_of(kind, client)).count();
    let kinds = KINDS.map(|kind| (kind, count(kind))).to_vec();
    clients.retain(|client| is_of(kind, client));
    let path = format!("kind={kind}&q={}&", query_escaped(q));
    let (clients, paging) = Paging::of(clients, query.number("page"), path);
    let rows = clients.into_iter().map(Row::of).collect();
    let (page, problems) = (&visitor.page, listed.problems);
    Ok(html(&ClientsPage { page, q, kind, kinds, rows, paging, problems }))
}

/// A queue that a consumer has.
struct Queue {
    queue: ConsumerQueue,
    pulled: Option<(String, String)>,
    consumed: Option<(String, String)>,
}

/// How fast a consumer is in a topic.
struct Rates {
    rates: ConsumerRates,
    pulled: String,
    consumed: String,
    failed: String,
}

/// The client in one group.
struct Consumer {
    consumer: RunningConsumer,
    path: String,
    started: Option<(String, String)>,
    queues: Vec<Queue>,
    rates: Vec<Rates>,
}

impl Consumer {
    fn of(mut consumer: RunningConsumer) -> Self {
        let queue = |queue: ConsumerQueue| Queue {
            pulled: queue.last_pull_ms.map(format::moment),
            consumed: queue.last_consume_ms.map(format::moment),
            queue,
        };
        let rates = |rates: ConsumerRates| Rates {
            pulled: format::rate(rates.pulled_per_s),
            consumed: format::rate(rates.consumed_per_s),
            failed: format::rate(rates.failed_per_s),
            rates,
        };
        Self {
            path: query_escaped(&consumer.group),
            started: consumer.started_ms.map(format::moment),
            queues: std::mem::take(&mut consumer.queues).into_iter().map(queue).collect(),
            rates: std::mem::take(&mut consumer.rates).into_iter().map(rates).collect(),
            consumer,
        }
    }
}

#[derive(Template)]
#[template(path = "client.html")]
struct ClientPage<'a> {
    page: &'a Page,
    row: Row,
    consumers: Vec<Consumer>,
    with_stacks: bool,
    problems: Vec<Problem>,
}

/// One client.
pub async fn show(
    State(pages): State<Pages>,
    visitor: Visitor,
    Path(client_id): Path<String>,
    query: Fields,
) -> Answer {
    let with_stacks = query.get("stacks") == "yes";
    let request = GetClientRequest { client_id, with_stacks };
    let found = pages.asking().client(&request).await.map_err(|error| visitor.failed(&error))?;
    Ok(html(&ClientPage {
        page: &visitor.page,
        row: Row::of(found.client.unwrap_or_default()),
        consumers: found.consumers.into_iter().map(Consumer::of).collect(),
        with_stacks,
        problems: found.problems,
    }))
}
