//! The node over HTTP: the web console, `/metrics` and `/healthz`.
//!
//! | file | what |
//! | --- | --- |
//! | `server` | connections, with limits |
//! | `exposition` | `/metrics` in the format that is asked for |
//! | `accounts`, `user_store`, `passwords`, `guesses` | who is let in: users, passwords, sessions; who tries too often |
//! | `visitor`, `refused` | who asks for a page, and what a form sends; a form that is refused, once more |
//! | `login` | the log-in, passwords, language and theme |
//! | `change` | what is changed: asked for, done, written down |
//! | `overview`, `brokers`, `topics`, `groups`, `group_change`, `messages`, `dead_letters`, `clients`, `acl`, `name_servers`, `alerts`, `audit`, `settings` | pages |
//! | `consume` | handing a message to one member of a group |
//! | `topic_change` | changing a topic that is there, sending it a message |
//! | `trace` | what became of a message in the words of clients, drawn |
//! | `drawing` | the hosts of a cluster as a picture |
//! | `live` | parts of pages that renew themselves |
//! | `history`, `series`, `chart` | rates and lag of the past: kept, and drawn |
//! | `text`, `text_zh`, `format` | the words of pages, numbers and times |
//! | `pages/` | templates, the style sheet and the script |
//!
//! Pages are made here and work without JavaScript; everything is in the binary, and nothing is fetched from elsewhere.
//! Not here: where it listens and what encrypts it (`node`), what metrics there are (`crate::metrics`), what is done to a
//! cluster (`crate::admin`, whose words the pages show: texts of errors, and what is wrong with a broker, are English on
//! Chinese pages too; states, outcomes and alerts are said in the page's language). Invariants: a request holds up nothing but itself; who does not
//! answer is named on the page, which shows the rest; everything that changes something asks first, and is in the audit
//! log.

mod accounts;
mod acl;
mod alerts;
mod audit;
mod brokers;
mod change;
mod chart;
mod clients;
mod consume;
mod dead_letters;
mod drawing;
mod exposition;
mod format;
mod group_change;
mod groups;
mod guesses;
mod history;
mod live;
mod login;
mod messages;
mod name_servers;
mod overview;
mod passwords;
mod refused;
mod series;
mod server;
mod settings;
mod text;
mod text_zh;
mod topic_change;
mod topics;
mod trace;
mod user_store;
mod visitor;

use std::fmt;
use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use crate::admin::service::roles::{self, Needed};
use crate::admin::{Admin, AdminError, OfNode};
use crate::clock::Clock;
use crate::metrics::Metrics;
use crate::proto::v1::{Broker, ClusterState};
use crate::task;

pub use accounts::Accounts;
pub use history::History;
use refused::Refused;
pub use server::{Accepted, Door, serve};
use visitor::{Fields, Guest, Page, Visitor};

/// The largest form.
const FORM_BYTES_MAX: usize = 1 << 20;
/// The largest form of somebody who is not logged in: a user, a password and where to go on.
const LOGIN_BYTES_MAX: usize = 8 << 10;
/// What pages may load and do: nothing but what is here.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; \
                      form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
/// The largest page that is looked at again.
const PAGE_BYTES_MAX: usize = 8 << 20;
/// Rows of one page of a list.
const ROWS: usize = 50;

/// What is served without a log-in, of which node.
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

/// What pages are made of.
#[derive(Clone, Debug)]
pub struct Pages {
    /// The cluster that is looked after, for changes, which go on to their ends; a page uses `asking`.
    pub admin: Arc<Admin>,
    /// Whether that is another cluster than this node's own, which its alerts are of.
    pub is_elsewhere: bool,
    /// This node.
    pub of_node: OfNode,
    /// Who may.
    pub accounts: Arc<Accounts>,
    /// What was, unless another cluster is looked after.
    pub history: Option<Arc<History>>,
    /// What paths begin with where no proxy says it; empty, or as `/rmq`.
    pub base_path: String,
    /// The time.
    pub clock: Clock,
    /// When everything ends.
    pub stop: CancellationToken,
}

impl Pages {
    /// The same for a page that somebody waits for.
    fn asking(&self) -> Admin {
        self.admin.until(Some(Instant::now() + server::CLUSTER_MAX))
    }

    /// How the cluster is, with the brokers that are gone from it.
    async fn cluster(&self) -> Result<ClusterState, AdminError> {
        let mut state = self.asking().cluster().await?;
        self.add_gone(&mut state.brokers);
        Ok(state)
    }

    /// Adds the brokers that were registered within a day and are nowhere now.
    fn add_gone(&self, brokers: &mut Vec<Broker>) {
        if !self.is_elsewhere {
            self.of_node.alerts.add_gone(brokers);
        }
    }
}

/// A page, or one that says why not.
type Answer = Result<Response, Failed>;

/// A page that says why not.
#[derive(Debug)]
struct Failed(Box<Response>);

impl From<Response> for Failed {
    fn from(response: Response) -> Self {
        Self(Box::new(response))
    }
}

impl IntoResponse for Failed {
    fn into_response(self) -> Response {
        *self.0
    }
}

/// Everything that is served; without `pages`, only what needs no log-in.
pub fn router(console: Console, pages: Option<Pages>) -> Router {
    let open = Router::new()
        .route("/healthz", get(healthz))
        .route("/metrics", get(metrics))
        .with_state(console);
    let Some(pages) = pages else { return open };
    let base_path = pages.base_path.clone();
    let all = open.merge(page_routes(pages));
    if base_path.is_empty() {
        return all;
    }
    // As a service: a router that is nested is not asked for its first page, which ends with `/`.
    Router::new().nest_service(&base_path, all.clone()).merge(all)
}

/// Pages, the streams of their live parts, and what they load.
fn page_routes(pages: Pages) -> Router {
    let all = all_pages(pages.clone());
    let live = live::Live::of(pages, all.clone());
    let streams = Router::new().route("/live", get(live::show)).layer(from_fn(safe));
    let again = from_fn_with_state(all.clone(), refused::again);
    all.layer(again)
        .merge(streams.with_state(live))
        .route("/assets/console.css", get(|| asset("text/css", include_str!("pages/console.css"))))
        .route(
            "/assets/console.js",
            get(|| asset("text/javascript", include_str!("pages/console.js"))),
        )
        .route("/assets/icon.svg", get(|| asset("image/svg+xml", include_str!("pages/icon.svg"))))
}

fn all_pages(pages: Pages) -> Router {
    Router::new()
        .route("/", get(overview::show))
        .route(
            "/login",
            get(login::show).post(login::log_in).layer(DefaultBodyLimit::max(LOGIN_BYTES_MAX)),
        )
        .route("/logout", post(login::log_out))
        .route("/password", get(login::show_password).post(login::change_password))
        .route("/choose", get(login::choose))
        .route("/topics", get(topics::list).post(topics::create))
        .route("/topics/{topic}", get(topics::show))
        .route("/topics/{topic}/delete", post(topics::delete))
        .route("/topics/{topic}/update", post(topic_change::update))
        .route("/topics/{topic}/send", post(topic_change::send))
        .route("/groups", get(groups::list).post(group_change::create))
        .route("/groups/{group}", get(groups::show))
        .route("/groups/{group}/settings", post(group_change::update))
        .route("/groups/{group}/delete", post(group_change::delete))
        .route("/groups/{group}/reset", get(groups::show_reset).post(groups::reset))
        .route("/messages", get(messages::list))
        .route("/messages/{topic}/{id}", get(messages::show))
        .route("/messages/{topic}/{id}/body", get(messages::body))
        .route("/messages/{topic}/{id}/consume", get(consume::ask).post(consume::consume))
        .route("/cluster", get(overview::cluster))
        .route("/cluster/{broker}/{id}", get(brokers::show))
        .route("/cluster/{broker}/{id}/config", post(brokers::set))
        .route("/cluster/{broker}/{id}/drain", post(brokers::drain))
        .route("/cluster/{broker}/{id}/resume", post(brokers::resume))
        .route("/dead-letters", get(dead_letters::groups))
        .route("/dead-letters/{group}", get(dead_letters::show))
        .route("/dead-letters/{group}/resend", post(dead_letters::resend))
        .route("/dead-letters/{group}/export", get(dead_letters::export))
        .route("/trace", get(trace::show))
        .route("/clients", get(clients::list))
        .route("/clients/{client}", get(clients::show))
        .route("/acl", get(acl::show))
        .route("/acl/accounts", post(acl::create))
        .route("/acl/accounts/{key}", get(acl::account).post(acl::update))
        .route("/acl/accounts/{key}/delete", post(acl::delete))
        .route("/acl/white", post(acl::set_white))
        .route("/alerts", get(alerts::show))
        .route("/alerts/silence", post(alerts::silence))
        .route("/alerts/test", post(alerts::test))
        .route("/name-servers", get(name_servers::show))
        .route("/name-servers/values", post(name_servers::set_value))
        .route("/name-servers/settings", post(name_servers::set_setting))
        .route("/name-servers/writing", post(name_servers::set_writing))
        .route("/audit", get(audit::list))
        .route("/settings", get(settings::show))
        .route("/settings/users", post(settings::set_user))
        .route("/settings/reload", post(settings::reload))
        .fallback(login::not_found)
        .method_not_allowed_fallback(above)
        .layer(DefaultBodyLimit::max(FORM_BYTES_MAX))
        .layer(from_fn(safe))
        .with_state(pages)
}

/// Where a form was sent to there may be no page: whoever looks there, as after another choice of language, gets the one above.
async fn above(guest: Guest, method: Method, uri: Uri) -> Response {
    match uri.path().rsplit_once('/') {
        Some(("", _)) if method == Method::GET => redirect(&guest.page, "/"),
        Some((above, _)) if method == Method::GET => redirect(&guest.page, above),
        _ => StatusCode::METHOD_NOT_ALLOWED.into_response(),
    }
}

/// Said with every page.
async fn safe(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let said = [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "same-origin"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    for (name, value) in said {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

/// A file of the binary; pages name it with the version, so that an upgrade brings a new one.
async fn asset(kind: &'static str, text: &'static str) -> Response {
    let said = [
        (header::CONTENT_TYPE, kind),
        (header::CACHE_CONTROL, "public, max-age=86400"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (said, text).into_response()
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

fn html(template: &impl Template) -> Response {
    match template.render() {
        Ok(text) => Html(text).into_response(),
        Err(error) => {
            tracing::error!(%error, "a page of the console cannot be made");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// Goes on if the visitor's role may call this method of the admin API, as `Acl/Create`: both doors have one table.
///
/// # Errors
/// A page that says so.
fn may_call(visitor: &Visitor, method: &str) -> Result<(), Failed> {
    match roles::needed(&format!("/rmqnode.admin.v1.{method}")) {
        Needed::Nothing => Ok(()),
        Needed::Role(role) => visitor.needs(role),
    }
}

/// To another page of the console.
fn redirect(page: &Page, path: &str) -> Response {
    let to = format!("{}{path}", page.base);
    (StatusCode::SEE_OTHER, [(header::LOCATION, to)]).into_response()
}

/// A page as who sent `parts` gets it, at another place; with a form, what that shows. `None` if it is not shown.
async fn page_for(
    router: &Router,
    parts: &Parts,
    uri: Uri,
    form: Option<Fields>,
) -> Option<String> {
    let mut request = Request::new(Body::empty());
    if let Some(form) = form {
        *request.method_mut() = Method::POST;
        request.extensions_mut().insert(form);
    }
    *request.uri_mut() = uri;
    request.headers_mut().clone_from(&parts.headers);
    if let Some(peer) = parts.extensions.get::<server::Peer>() {
        request.extensions_mut().insert(*peer);
    }
    let Ok(response) = router.clone().oneshot(request).await;
    if response.status() != StatusCode::OK {
        return None;
    }
    let page = to_bytes(response.into_body(), PAGE_BYTES_MAX).await.ok()?;
    String::from_utf8(page.into()).ok()
}

#[derive(Template)]
#[template(path = "problem.html")]
struct ProblemPage<'a> {
    page: &'a Page,
    text: &'a str,
    /// Whether the same may be done the next time.
    may_pass: bool,
}

/// A page that says what went wrong.
fn problem(page: &Page, status: StatusCode, text: &str) -> Response {
    let may_pass = status.is_server_error();
    with_form(page, (status, html(&ProblemPage { page, text, may_pass })).into_response(), text)
}

/// The same response, in whose place the form is shown again if there is one.
fn with_form(page: &Page, mut response: Response, text: &str) -> Response {
    response.extensions_mut().insert(Refused {
        text: text.to_owned(),
        title: page.t("It did not work").to_owned(),
        action: page.here(),
        sent: page.sent.clone(),
    });
    response
}

/// One page of a list, and where the others are.
#[derive(Clone, Debug)]
struct Paging {
    /// From 1.
    number: usize,
    /// How many pages there are, at least 1.
    count: usize,
    /// How many rows there are in all.
    rows: usize,
    /// The query of the list without the page's number, as `q=a&`.
    query: String,
}

impl Paging {
    /// The rows of the page of this number, and the paging around them.
    fn of<T>(mut all: Vec<T>, number: Option<usize>, query: String) -> (Vec<T>, Self) {
        let rows = all.len();
        let count = rows.div_ceil(ROWS).max(1);
        let number = number.unwrap_or(1).clamp(1, count);
        let shown = all.drain((number - 1) * ROWS..(number * ROWS).min(rows)).collect();
        (shown, Self { number, count, rows, query })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_table_can_be_pushed_in_its_box_by_keys_too() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/console/pages");
        let mut tables = 0;
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let text = std::fs::read_to_string(&path).unwrap();
            let boxed = text.match_indices("<table>").filter(|(at, _)| {
                let line = text[..*at].trim_end().lines().next_back().unwrap_or_default();
                line.starts_with("<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=")
            });
            let boxed = boxed.count();
            assert_eq!(boxed, text.matches("<table").count(), "{}", path.display());
            tables += boxed;
        }
        assert!(tables > 30, "{tables}");
    }

    #[test]
    fn lists_have_pages_and_no_number_is_wrong() {
        let of = |rows: usize, number| {
            let (shown, paging) = Paging::of((0..rows).collect::<Vec<_>>(), number, String::new());
            (shown.first().copied(), shown.len(), paging.number, paging.count)
        };
        assert_eq!(of(0, None), (None, 0, 1, 1));
        assert_eq!(of(50, Some(1)), (Some(0), 50, 1, 1));
        assert_eq!(of(120, Some(3)), (Some(100), 20, 3, 3));
        assert_eq!(of(120, Some(9)), (Some(100), 20, 3, 3));
        assert_eq!(of(120, Some(0)), (Some(0), 50, 1, 3));
    }
}
