//! How the cluster is: the hosts as a picture, rates, and what is missing; every broker as a row, those that are gone too.
//!
//! Nothing is changed. Invariant: without any name server the page says so and shows this node.

use askama::Template;
use axum::extract::State;
use axum::response::Response;

use super::chart::Charts;
use super::drawing::{Drawing, behind, health, is_closed};
use super::visitor::{Fields, Page, Visitor, query_escaped};
use super::{Answer, Pages, alerts, format, html};
use crate::admin::AdminError;
use crate::proto::v1::{Broker, ClusterState, NodeStatus, Problem};

#[derive(Template)]
#[template(path = "overview.html")]
struct OverviewPage<'a> {
    page: &'a Page,
    node: NodeStatus,
    up: String,
    drawing: Drawing,
    /// Messages stored and given out a second, of all that tell.
    rates: (String, String),
    /// Brokers that are well, and all.
    well: (usize, usize),
    charts: Charts,
    /// What is wrong with which broker.
    warnings: Vec<String>,
    /// Alerts that fire; none if nobody looks for them.
    alerts: Option<usize>,
    problems: Vec<Problem>,
    /// Why nothing is known of the cluster.
    error: Option<String>,
}

/// The first page.
pub async fn show(State(pages): State<Pages>, visitor: Visitor, query: Fields) -> Response {
    let (state, error) = match pages.cluster().await {
        Ok(state) => (state, None),
        Err(error) => (ClusterState::default(), Some(error.to_string())),
    };
    let node = pages.of_node.control.status();
    let sum = |rate: fn(&Broker) -> Option<f64>| {
        format::rate(state.brokers.iter().filter_map(rate).sum())
    };
    let well = state.brokers.iter().filter(|broker| health(broker) == "good").count();
    let warnings = state.brokers.iter().flat_map(|broker| {
        let named = move |warning| format!("{} {}: {warning}", broker.group, broker.id);
        broker.warnings.iter().map(named)
    });
    html(&OverviewPage {
        warnings: warnings.collect(),
        page: &visitor.page,
        up: format::duration(pages.clock.now_ms().saturating_sub(node.started_ms)),
        node,
        drawing: Drawing::of(&state.brokers),
        rates: (sum(|broker| broker.in_per_s), sum(|broker| broker.out_per_s)),
        well: (well, state.brokers.len()),
        charts: Charts::of_brokers(&pages, &visitor.page, &query),
        alerts: alerts::firing(&pages),
        problems: state.problems,
        error,
    })
}

/// One broker of the table.
struct Row {
    broker: Broker,
    health: &'static str,
    behind: String,
    log_end: String,
    rates: (String, String),
    /// Its page, if it is anywhere, or was.
    path: Option<String>,
    /// Where and when it was, if it is gone.
    was: Option<(String, (String, String))>,
    is_closed: bool,
    disk: String,
    /// Messages stored and given out, of today and of yesterday.
    today: (String, String),
    yesterday: (String, String),
    started: Option<(String, String)>,
}

#[derive(Template)]
#[template(path = "cluster.html")]
struct ClusterPage<'a> {
    page: &'a Page,
    rows: Vec<Row>,
    problems: Vec<Problem>,
    error: Option<String>,
}

/// What a page shows that is not known.
const UNKNOWN: &str = "?";

/// Where and when a broker was that is gone.
pub fn was(broker: &Broker) -> Option<(String, (String, String))> {
    Some((broker.last_address.clone()?, format::moment(broker.last_seen_ms?)))
}

/// Every broker.
pub async fn cluster(State(pages): State<Pages>, visitor: Visitor) -> Answer {
    let (state, error) = match pages.cluster().await {
        Ok(state) => (state, None),
        Err(error @ AdminError::Invalid(_)) => return Err(visitor.failed(&error)),
        Err(error) => (ClusterState::default(), Some(error.to_string())),
    };
    let rate = |rate: Option<f64>| rate.map_or_else(|| UNKNOWN.to_owned(), format::rate);
    let count = |count: Option<u64>| count.map_or_else(|| UNKNOWN.to_owned(), format::number);
    let row = |broker: Broker| Row {
        path: broker
            .address
            .as_ref()
            .or(broker.last_address.as_ref())
            .map(|_| format!("/cluster/{}/{}", query_escaped(&broker.group), broker.id)),
        was: was(&broker),
        is_closed: is_closed(&broker),
        disk: broker
            .disk_ratio
            .map_or_else(|| UNKNOWN.to_owned(), |ratio| format!("{:.0} %", ratio * 100.0)),
        today: (count(broker.in_today), count(broker.out_today)),
        yesterday: (count(broker.in_yesterday), count(broker.out_yesterday)),
        started: broker.started_ms.map(format::moment),
        health: health(&broker),
        behind: behind(&broker),
        log_end: broker.log_end.map_or_else(|| UNKNOWN.to_owned(), format::number),
        rates: (rate(broker.in_per_s), rate(broker.out_per_s)),
        broker,
    };
    Ok(html(&ClusterPage {
        page: &visitor.page,
        rows: state.brokers.into_iter().map(row).collect(),
        problems: state.problems,
        error,
    }))
}
