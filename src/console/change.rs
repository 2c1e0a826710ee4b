//! What a visitor changes: shown before it is done, done to its end, and written down.
//!
//! Not what is changed (`crate::admin`). Invariant: a change that began goes on to its end and has its line in the audit
//! log, also when the browser is gone.

use std::sync::Arc;

use askama::Template;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::visitor::{Page, Visitor};
use super::{Pages, html, with_form};
use crate::admin::{AdminError, AuditLog};
use crate::proto::v1::{AuditRecord, Done, Outcome};
use crate::task::{self, Kind};

/// What became of a change at one place.
pub struct Row {
    /// Where.
    pub at: String,
    /// `done`, `unchanged`, `failed` or `dry-run`.
    pub outcome: &'static str,
    /// Why not; of what was not done yet, what it would be.
    pub reason: String,
}

impl Row {
    fn of(done: &Done, planned: &str) -> Self {
        let is_planned = done.outcome() == Outcome::DryRun;
        let planned = || if is_planned { planned.to_owned() } else { String::new() };
        let address = done.address.as_deref().map(|address| format!(" ({address})"));
        Self {
            at: format!("{}{}", done.at, address.unwrap_or_default()),
            outcome: done.outcome().as_word(),
            reason: done.reason.clone().unwrap_or_else(planned),
        }
    }
}

/// What is shown before something is done.
#[derive(Template)]
#[template(path = "confirm.html")]
pub struct Confirm<'a> {
    /// The layout.
    pub page: &'a Page,
    /// As a sentence: what is going to be done.
    pub question: String,
    /// What it means for whoever uses it; empty if nothing.
    pub warning: &'a str,
    /// What a dry run told.
    pub rows: Vec<Row>,
    /// The path that the form is sent to.
    pub action: String,
    /// What the form holds beside.
    pub fields: Vec<(&'a str, String)>,
    /// Whether a secret can be typed here, and whether it has to be; its field is `secret`.
    pub secret: Option<bool>,
    /// What has to be typed, so that nobody does it by accident.
    pub typed: Option<&'a str>,
    /// Whether it takes away what may be missed, or opens what was closed.
    pub is_danger: bool,
    /// What the button says.
    pub label: &'a str,
    /// Where the way back leads.
    pub back: String,
}

impl<'a> Confirm<'a> {
    /// Asks nothing yet: the question, the path, the button and the way back have to be said.
    pub fn on(page: &'a Page) -> Self {
        Self {
            page,
            question: String::new(),
            warning: "",
            rows: Vec::new(),
            action: String::new(),
            fields: Vec::new(),
            secret: None,
            typed: None,
            is_danger: false,
            label: "",
            back: String::new(),
        }
    }

    /// The page.
    pub fn response(&self) -> Response {
        html(self)
    }
}

/// What is shown after something was done.
#[derive(Template)]
#[template(path = "result.html")]
struct ResultPage<'a> {
    page: &'a Page,
    heading: String,
    rows: Vec<Row>,
    is_whole: bool,
    back: String,
}

/// The rows of what a dry run told; `planned` says in words what would be done at each place.
pub fn rows(done: &[Done], planned: &str) -> Vec<Row> {
    done.iter().map(|one| Row::of(one, planned)).collect()
}

/// A page of what became of a change at each place; one that failed everywhere for the same reason is refused.
pub fn result(page: &Page, heading: String, done: &[Done], back: String) -> Response {
    let has_failed = |one: &Done| one.outcome() == Outcome::Failed;
    let is_whole = !done.iter().any(has_failed);
    let shown = html(&ResultPage { page, heading, rows: rows(done, ""), is_whole, back });
    match done.first().and_then(|one| one.reason.as_deref()) {
        Some(why)
            if done.iter().all(|one| has_failed(one) && one.reason.as_deref() == Some(why)) =>
        {
            with_form(page, (StatusCode::CONFLICT, shown).into_response(), why)
        }
        _ => shown,
    }
}

/// Does `work` to its end, and writes down who asked for it with which `arguments`; `method` is as `Topics/Create`.
///
/// # Errors
/// Those of the work.
pub async fn change<T: Serialize + Send + 'static>(
    pages: &Pages,
    visitor: &Visitor,
    method: &str,
    arguments: &impl Serialize,
    work: impl Future<Output = Result<T, AdminError>> + Send + 'static,
) -> Result<T, AdminError> {
    let mut record = AuditRecord {
        who: visitor.who(),
        method: method.to_owned(),
        arguments: AuditLog::json(arguments),
        ..AuditRecord::default()
    };
    let (log, clock) = (Arc::clone(&pages.of_node.audit), pages.clock.clone());
    let (told, answer) = tokio::sync::oneshot::channel();
    task::spawn(Kind::Ignore, "console change", async move {
        let done = work.await;
        (record.code, record.result) = match &done {
            Ok(answer) => ("OK".to_owned(), AuditLog::json(answer)),
            Err(error) => (error.code_name(), error.to_string()),
        };
        record.time_ms = clock.now_ms();
        // It fails only if it panics, which is reported.
        let _ = log.write(record).await;
        // Nobody may wait any more.
        let _ = told.send(done);
    });
    let gone = || AdminError::Conflict("it is not known what became of it: see the log".to_owned());
    answer.await.unwrap_or_else(|_| Err(gone()))
}
