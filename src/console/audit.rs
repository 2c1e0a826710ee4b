//! Who changed what through this node.

use askama::Template;
use axum::extract::State;
use axum::response::Response;

use super::visitor::{Fields, Page, Visitor, query_escaped};
use super::{Answer, Pages, Paging, html};
use crate::admin::AdminError;
use crate::proto::v1::AuditRecord;
use crate::task;

/// Records that are looked through.
const RECORDS_MAX: usize = 5000;

#[derive(Template)]
#[template(path = "audit.html")]
struct AuditPage<'a> {
    page: &'a Page,
    q: &'a str,
    records: Vec<AuditRecord>,
    paging: Paging,
}

/// The newest first.
pub async fn list(State(pages): State<Pages>, visitor: Visitor, query: Fields) -> Answer {
    let log = pages.of_node.audit.clone();
    let reading = task::spawn_blocking("audit log", move || log.last(RECORDS_MAX));
    let unreadable = |error: String| visitor.failed(&AdminError::Conflict(error));
    let read = reading.await.map_err(|error| unreadable(error.to_string()))?;
    let mut records = read.map_err(|error| unreadable(error.to_string()))?;
    records.reverse();
    let q = query.get("q").to_lowercase();
    records.retain(|record| {
        let text = format!("{} {} {} {}", record.who, record.method, record.arguments, record.code);
        text.to_lowercase().contains(&q)
    });
    let q = query.get("q");
    let (records, paging) =
        Paging::of(records, query.number("page"), format!("q={}&", query_escaped(q)));
    let page = &visitor.page;
    let shown: Response = html(&AuditPage { page, q, records, paging });
    Ok(shown)
}
