//! The node over HTTP: `/metrics` and `/healthz`.
//!
//! | file | what |
//! | --- | --- |
//! | `server` | connections, with limits |
//! | `exposition` | `/metrics` in the format that is asked for |
//!
//! Not here: where it listens and what encrypts it (`node`), and what metrics there are (`crate::metrics`). Invariant: a
//! request holds up nothing but itself.

mod exposition;
mod server;

use std::fmt;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use crate::metrics::Metrics;
use crate::task;

pub use server::{Door, serve};

/// What is served, and of which node.
#[derive(Clone, Debug)]
pub struct Console {
    /// What `/metrics` tells.
    pub metrics: Arc<Metrics>,
    /// How the node is.
    pub health: Arc<dyn Health>,
}

/// How a node is, for `/healthz`.
pub trait Health: fmt::Debug + Send + Sync {
    /// In a line, and whether it does all of its work.
    fn health(&self) -> (String, bool);
}

impl Console {
    /// Everything that is served.
    pub fn router(self) -> Router {
        Router::new()
            .route("/healthz", get(healthz))
            .route("/metrics", get(metrics))
            .with_state(self)
    }
}

/// 200 if every role does its work, else 503; both with the line that systemd is told.
async fn healthz(State(console): State<Console>) -> Response {
    let (line, is_well) = console.health.health();
    let status = if is_well { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, [(header::CACHE_CONTROL, "no-store")], line + "\n").into_response()
}

async fn metrics(State(console): State<Console>, headers: HeaderMap) -> Response {
    let format = exposition::Format::asked_for(&headers);
    // Thousands of topics take a while.
    let encoding = task::spawn_blocking("metrics", move || format.encode(&console.metrics));
    match encoding.await {
        Ok(text) => ([(header::CONTENT_TYPE, format.content_type())], text).into_response(),
        // A bug, which the log has.
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
