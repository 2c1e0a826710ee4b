//! The part of a page that renews itself, sent to browsers as it changes: server-sent events.
//!
//! Not what such a part holds (pages do, between `<div data-live` and [`END`]). Invariants: a stream has the rights of who
//! opened it as they are now, because each time the page itself is asked for, as by them, and ends with their session; it
//! ends with the node, when nobody reads it, and after [`STREAM_MAX`]; streams leave places for pages in what browsers
//! and the node have of connections.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderName, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use tokio::sync::mpsc::{self, Sender};
use tokio::time::{interval, sleep};
use tokio_stream::wrappers::ReceiverStream;

use super::visitor::{Fields, Page, Visitor, query_escaped};
use super::{Pages, page_for};
use crate::task::{self, Kind};

/// What a live part ends with. Texts of others cannot: their `<` is escaped.
const END: &str = "</div><!-- live -->";
/// How long after an answer the page is asked for again.
const EVERY: Duration = Duration::from_secs(5);
/// How often a browser hears that the stream goes on, whether or not something changes; the script waits three times as long.
const ALIVE: Duration = Duration::from_secs(10);
/// The longest stream; browsers open the next by themselves.
const STREAM_MAX: Duration = Duration::from_secs(10 * 60);
/// Streams at a time, of all connections (`server::CONNECTIONS_MAX`).
const STREAMS_MAX: usize = 64;
/// Streams of one session at a time: browsers open six connections to a host, and pages need some.
const OF_SESSION_MAX: usize = 4;
/// When one who found no place may come again, in seconds.
const RETRY_AFTER: &str = "60";

/// What streams are made of.
#[derive(Clone, Debug)]
pub struct Live {
    pages: Pages,
    /// All pages, and not the streams.
    router: Router,
    streams: Arc<Streams>,
}

/// How many streams each session has, by its token.
#[derive(Debug, Default)]
struct Streams(Mutex<BTreeMap<String, usize>>);

impl Streams {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for one more, if there is any.
    fn take(self: &Arc<Self>, session: &str) -> Option<Place> {
        let mut open = self.lock();
        let of_session = open.get(session).copied().unwrap_or(0);
        if of_session >= OF_SESSION_MAX || open.values().sum::<usize>() >= STREAMS_MAX {
            return None;
        }
        open.insert(session.to_owned(), of_session + 1);
        Some(Place { streams: Arc::clone(self), session: session.to_owned() })
    }
}

/// The place of a stream, until it is dropped.
#[derive(Debug)]
struct Place {
    streams: Arc<Streams>,
    session: String,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.streams.lock();
        match open.get_mut(&self.session) {
            Some(count) if *count > 1 => *count -= 1,
            _ => {
                open.remove(&self.session);
            }
        }
    }
}

impl Page {
    /// Where the stream of this page is.
    pub fn live(&self) -> String {
        format!("{}/live?page={}", self.base, query_escaped(&self.path))
    }
}

/// A page as a visitor sees it.
struct Seen {
    router: Router,
    parts: Parts,
    uri: Uri,
}

impl Seen {
    /// Its live part as it is now; `None` if it has none, or none for them any more.
    async fn part(&self) -> Option<String> {
        let page = page_for(&self.router, &self.parts, self.uri.clone(), None).await?;
        part(&page).map(str::to_owned)
    }

    /// Tells each change until there is nothing to be told, or nobody to tell it to.
    async fn tell(&self, mut told: String, events: &Sender<Result<String, Infallible>>) {
        if events.send(Ok(event(&told))).await.is_err() {
            return;
        }
        let mut alive = interval(ALIVE);
        loop {
            let mut looking = std::pin::pin!(async {
                sleep(EVERY).await;
                self.part().await
            });
            let part = loop {
                tokio::select! {
                    part = looking.as_mut() => break part,
                    _ = alive.tick() => {
                        if events.send(Ok("event: alive\ndata: .\n\n".to_owned())).await.is_err() {
                            return;
                        }
                    }
                }
            };
            let Some(part) = part else { return };
            if part != told {
                if events.send(Ok(event(&part))).await.is_err() {
                    return;
                }
                told = part;
            }
        }
    }
}

/// What stands between the marks.
fn part(page: &str) -> Option<&str> {
    let (_, rest) = page.split_once("<div data-live=")?;
    let (_, rest) = rest.split_once('>')?;
    Some(rest.split_once(END)?.0)
}

/// As an event: no line of it may seem to be another field.
fn event(part: &str) -> String {
    let mut event = String::with_capacity(part.len() + part.len() / 8);
    for line in part.split(['\n', '\r']).filter(|line| !line.is_empty()) {
        event.extend(["data: ", line, "\n"]);
    }
    event.push('\n');
    event
}

impl Live {
    /// Streams of these pages.
    pub fn of(pages: Pages, router: Router) -> Self {
        Self { pages, router, streams: Arc::default() }
    }
}

/// The stream of the page that `page` names.
///
/// 404 if it has no live part for this visitor, 503 if there is no place.
pub async fn show(State(live): State<Live>, request: Request) -> Response {
    let (mut parts, _) = request.into_parts();
    let visitor = match Visitor::from_request_parts(&mut parts, &live.pages).await {
        Ok(visitor) => visitor,
        Err(response) => return response,
    };
    let query = match Fields::from_request_parts(&mut parts, &()).await {
        Ok(query) => query,
        Err(response) => return response,
    };
    let page = query.get("page");
    let uri = page.parse::<Uri>().ok().filter(|uri| page.starts_with('/') && uri.host().is_none());
    let Some(uri) = uri else { return StatusCode::NOT_FOUND.into_response() };
    let Some(place) = live.streams.take(&visitor.token) else {
        return (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, RETRY_AFTER)])
            .into_response();
    };
    let seen = Seen { router: live.router, parts, uri };
    let Some(first) = seen.part().await else { return StatusCode::NOT_FOUND.into_response() };
    let (events, read) = mpsc::channel(1);
    let stop = live.pages.stop;
    task::spawn(Kind::Ignore, "console live page", async move {
        let _place = place;
        tokio::select! {
            () = seen.tell(first, &events) => {}
            () = events.closed() => {}
            () = stop.cancelled() => {}
            () = sleep(STREAM_MAX) => {}
        }
    });
    let said = [
        (header::CONTENT_TYPE, "text/event-stream"),
        // What proxies gather comes too late.
        (HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    (said, Body::from_stream(ReceiverStream::new(read))).into_response()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    #[test]
    fn a_session_and_all_have_their_places() {
        let streams = Arc::new(Streams::default());
        let mut mine: Vec<_> = (0..OF_SESSION_MAX).map(|_| streams.take("mine").unwrap()).collect();
        assert!(streams.take("mine").is_none());
        let others: Vec<_> =
            (0..STREAMS_MAX - OF_SESSION_MAX).map(|at| streams.take(&at.to_string())).collect();
        assert!(others.iter().all(Option::is_some));
        assert!(streams.take("one more").is_none());
        mine.pop();
        assert!(streams.take("one more").is_some());
        drop((mine, others));
        assert!(streams.lock().is_empty());
    }

    #[test]
    fn the_part_is_cut_out_and_sent_as_lines() {
        let page = "<main>\n<div data-live=\"/live?page=/\">\n<div>a</div>\r\ndata: b\n</div><!-- live -->\n<p>";
        let cut = part(page).unwrap();
        assert_eq!(cut, "\n<div>a</div>\r\ndata: b\n");
        assert_eq!(event(cut), "data: <div>a</div>\ndata: data: b\n\n");
        assert_eq!(part("<div data-live=\"\"><p></div>"), None);
    }

    #[test]
    fn every_part_has_its_stream_and_its_end() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/console/pages");
        let mut with_one = 0;
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let text = fs::read_to_string(&path).unwrap();
            if path.extension().is_some_and(|end| end == "html") && text.contains("data-live") {
                let begun = text.matches("<div data-live=\"{{ page.live() }}\">").count();
                assert_eq!((begun, text.matches(END).count()), (1, 1), "{}", path.display());
                with_one += 1;
            }
        }
        assert!(with_one > 0);
    }
}
