//! Messages: of a topic by time, by key or by id, and one with its body.
//!
//! Nothing is changed, and nothing counts as consumed. Invariant: a body is shown as what it is: text, JSON or bytes.

use askama::Template;
use axum::extract::{Path, State};
use axum::http::header;
use axum::response::IntoResponse;

use super::trace::Timeline;
use super::visitor::{Fields, Page, Visitor, query_escaped};
use super::{Answer, Pages, format, html};
use crate::admin::{AdminError, Browse, Place};
use crate::model::{hexdump, indented_json};
use crate::proto::v1::{
    FindMessagesRequest, GetMessageRequest, MessageTrack, Problem, StoredMessage, TrackState,
};

/// Messages of a page.
const LIMIT: usize = 50;
/// Messages of a key.
const OF_KEY: u32 = 64;
/// What of a time that is looked at, if nobody says.
const WINDOW_MS: i64 = 3 * 60 * 60 * 1000;
/// Characters of a body in a list.
const PREVIEW_CHARS: usize = 80;
/// Bytes of a body that are shown; all can be downloaded.
const SHOWN_BYTES: usize = 64 << 10;

/// A message of a list.
struct Row {
    path: String,
    id: String,
    tags: String,
    keys: String,
    place: String,
    stored: (String, String),
    size: String,
    preview: String,
}

impl Row {
    fn of(message: &StoredMessage) -> Self {
        // Of an id that tells where it is stored no broker's name is asked for.
        let broker = message.broker.as_deref().unwrap_or(&message.store_host);
        let preview = match &message.body_text {
            Some(text) => text.chars().take(PREVIEW_CHARS).collect(),
            None => "…".to_owned(),
        };
        Self {
            path: format!("{}/{}", query_escaped(&message.topic), query_escaped(&message.id)),
            id: message.id.clone(),
            tags: message.tags.clone().unwrap_or_default(),
            keys: message.keys.clone().unwrap_or_default(),
            place: format!("{broker} {} @ {}", message.queue, message.queue_offset),
            stored: format::moment(message.stored_ms),
            size: format::bytes(message.store_bytes),
            preview,
        }
    }
}

#[derive(Template)]
#[template(path = "messages.html")]
struct MessagesPage<'a> {
    page: &'a Page,
    by: &'static str,
    topic: &'a str,
    from: String,
    until: String,
    key: &'a str,
    id: &'a str,
    /// None if nothing was asked for.
    rows: Option<Vec<Row>>,
    older: Option<String>,
    problems: Vec<Problem>,
    /// Why nothing was found.
    error: Option<String>,
}

/// Looks for messages, if something is asked for.
pub async fn list(State(pages): State<Pages>, visitor: Visitor, query: Fields) -> Answer {
    let by = match query.get("by") {
        "key" => "key",
        "id" => "id",
        _ => "time",
    };
    let now = pages.clock.now_ms();
    // A minute more: what has just been sent is there.
    let until_ms = format::from_input(query.get("until")).unwrap_or(now + 60_000);
    let from_ms = format::from_input(query.get("from")).unwrap_or(until_ms - WINDOW_MS);
    let mut shown = MessagesPage {
        page: &visitor.page,
        by,
        topic: query.get("topic"),
        from: format::input(from_ms),
        until: query.get("until").to_owned(),
        key: query.get("key"),
        id: query.get("id"),
        rows: None,
        older: None,
        problems: Vec::new(),
        error: None,
    };
    let found = match by {
        _ if shown.topic.is_empty() && (by != "id" || shown.id.is_empty()) => {
            return Ok(html(&shown));
        }
        "id" if shown.id.is_empty() => return Ok(html(&shown)),
        "key" if shown.key.is_empty() => return Ok(html(&shown)),
        "time" => {
            let before = places(query.get("before"));
            let topic = shown.topic.to_owned();
            let request = Browse { topic, from_ms, until_ms, before, limit: LIMIT };
            by_time(&pages, &request, &mut shown).await
        }
        "key" => {
            let (topic, key) = (shown.topic.to_owned(), shown.key.to_owned());
            let request = FindMessagesRequest { topic, key, limit: Some(OF_KEY) };
            let found = pages.asking().find_messages(&request).await;
            found.map(|found| (found.messages, found.problems))
        }
        _ => {
            let topic = Some(shown.topic.to_owned()).filter(|topic| !topic.is_empty());
            let id = shown.id.to_owned();
            let request = GetMessageRequest { id, topic, ..GetMessageRequest::default() };
            pages.asking().messages_of_id(&request).await
        }
    };
    match found {
        Ok((messages, problems)) => {
            shown.rows = Some(messages.iter().map(Row::of).collect());
            shown.problems = problems;
        }
        Err(error) => shown.error = Some(error.to_string()),
    }
    Ok(html(&shown))
}

async fn by_time(
    pages: &Pages,
    request: &Browse,
    shown: &mut MessagesPage<'_>,
) -> Result<(Vec<StoredMessage>, Vec<Problem>), AdminError> {
    let browsed = pages.asking().browse(request).await?;
    if !browsed.next.is_empty() {
        let until = format::input(request.until_ms);
        shown.older = Some(format!(
            "by=time&topic={}&from={}&until={}&before={}",
            query_escaped(&request.topic),
            query_escaped(&shown.from),
            query_escaped(&until),
            query_escaped(&places_text(&browsed.next)),
        ));
    }
    Ok((browsed.messages, browsed.problems))
}

/// As `broker-a.0.17~broker-a.1.4`: no broker has a name with `~`.
fn places_text(places: &[Place]) -> String {
    let text = |place: &Place| format!("{}.{}.{}", place.broker, place.queue, place.offset);
    places.iter().map(text).collect::<Vec<_>>().join("~")
}

fn places(text: &str) -> Vec<Place> {
    let place = |text: &str| {
        let (rest, offset) = text.rsplit_once('.')?;
        let (broker, queue) = rest.rsplit_once('.')?;
        let (queue, offset) = (queue.parse().ok()?, offset.parse().ok()?);
        Some(Place { broker: broker.to_owned(), queue, offset })
    };
    text.split('~').filter_map(place).collect()
}

/// What became of the message in a group.
struct Track {
    /// The group, whether a member is connected, and why nothing is known.
    track: MessageTrack,
    /// In 4.9.4's word.
    kind: &'static str,
    /// How it looks, what it says, and what there is to be known beside.
    class: &'static str,
    words: &'static str,
    more: &'static str,
}

impl Track {
    fn of(track: MessageTrack, page: &Page) -> Self {
        let state = track.state();
        let (class, words) = match state {
            TrackState::ConsumedButFiltered => ("warn", page.t("left out")),
            TrackState::Unknown | TrackState::Unspecified => ("", page.t("not known")),
            _ if track.is_consumed => ("good", page.t("got it")),
            // Who keeps its position elsewhere may have got it.
            TrackState::Pull | TrackState::Broadcasting => ("", page.t("not known")),
            _ => ("warn", page.t("not yet")),
        };
        let more = match state {
            TrackState::ConsumedButFiltered => page.t("its filter left it out"),
            TrackState::Pull => page.t("it pulls, and may keep its position elsewhere"),
            TrackState::Broadcasting => page.t("each member has a position of its own"),
            TrackState::NotOnline => page.t("nobody is connected"),
            _ => "",
        };
        Self { track, kind: state.track_type(), class, words, more }
    }
}

#[derive(Template)]
#[template(path = "message.html")]
struct MessagePage<'a> {
    page: &'a Page,
    message: StoredMessage,
    path: String,
    topic_path: String,
    size: String,
    born: (String, String),
    stored: (String, String),
    as_what: &'static str,
    /// What the body can be shown as.
    choices: Vec<&'static str>,
    body: String,
    is_cut: bool,
    tracks: Vec<Track>,
    others: usize,
    timeline: Timeline,
    problems: Vec<Problem>,
}

/// One message.
pub async fn show(
    State(pages): State<Pages>,
    visitor: Visitor,
    Path((topic, id)): Path<(String, String)>,
    query: Fields,
) -> Answer {
    let path = format!("{}/{}", query_escaped(&topic), query_escaped(&id));
    let topic_path = query_escaped(&topic);
    let request = GetMessageRequest { id, topic: Some(topic), ..GetMessageRequest::default() };
    let found = pages.asking().message(&request).await.map_err(|error| visitor.failed(&error))?;
    let others = found.messages.len().saturating_sub(1);
    let Some(message) = found.messages.into_iter().next() else {
        return Err(visitor.failed(&AdminError::NotFound("there is no such message".to_owned())));
    };
    let json = message.body_text.as_deref().and_then(indented_json);
    let mut choices = Vec::new();
    choices.extend(json.is_some().then_some("json"));
    choices.extend(message.body_text.is_some().then_some("text"));
    choices.push("hex");
    let asked = query.get("as");
    let as_what = choices.iter().find(|one| **one == asked).unwrap_or(&choices[0]);
    let (body, is_cut) = match *as_what {
        "json" => cut(json.unwrap_or_default()),
        "text" => cut(message.body_text.clone().unwrap_or_default()),
        _ => {
            let shown = &message.body[..message.body.len().min(SHOWN_BYTES)];
            (hexdump(shown), shown.len() < message.body.len())
        }
    };
    Ok(html(&MessagePage {
        page: &visitor.page,
        path,
        topic_path,
        size: format::bytes(u64::try_from(message.body.len()).unwrap_or(u64::MAX)),
        born: format::moment(message.born_ms),
        stored: format::moment(message.stored_ms),
        as_what,
        choices,
        body,
        is_cut,
        tracks: found.tracks.into_iter().map(|one| Track::of(one, &visitor.page)).collect(),
        others,
        timeline: Timeline::of(found.trace),
        problems: found.problems,
        message,
    }))
}

/// The body of a message as a file.
pub async fn body(
    State(pages): State<Pages>,
    visitor: Visitor,
    Path((topic, id)): Path<(String, String)>,
) -> Answer {
    let request = GetMessageRequest { id, topic: Some(topic), ..GetMessageRequest::default() };
    let found = pages.asking().messages_of_id(&request).await;
    let (messages, _) = found.map_err(|error| visitor.failed(&error))?;
    let body = messages.into_iter().next().map(|message| message.body).unwrap_or_default();
    let said = [
        (header::CONTENT_TYPE, "application/octet-stream"),
        (header::CONTENT_DISPOSITION, "attachment; filename=\"body.bin\""),
    ];
    Ok((said, body).into_response())
}

fn cut(mut text: String) -> (String, bool) {
    let end = text.floor_char_boundary(SHOWN_BYTES);
    let is_cut = end < text.len();
    text.truncate(end);
    (text, is_cut)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::text::Language;

    #[test]
    fn places_are_read_as_they_are_written() {
        let place =
            |broker: &str, queue, offset| Place { broker: broker.to_owned(), queue, offset };
        let all = [place("broker-a", 0, 17), place("b_1", 12, 0)];
        assert_eq!(places_text(&all), "broker-a.0.17~b_1.12.0");
        assert_eq!(places(&places_text(&all)), all);
        assert_eq!(places("a.b.c~~x"), []);
    }

    #[test]
    fn every_state_of_a_group_is_said_in_4_9_4s_word_and_in_ours() {
        let page = Page::plain(Language::English, "/");
        let said = |state: TrackState, is_consumed| {
            let track =
                MessageTrack { state: state.into(), is_consumed, ..MessageTrack::default() };
            let Track { kind, class, words, more, .. } = Track::of(track, &page);
            [kind, class, words, more]
        };
        let (alone, pulls) =
            ("nobody is connected", "it pulls, and may keep its position elsewhere");
        let broadcasts = "each member has a position of its own";
        for (state, is_consumed, expected) in [
            (TrackState::Consumed, true, ["CONSUMED", "good", "got it", ""]),
            (
                TrackState::ConsumedButFiltered,
                true,
                ["CONSUMED_BUT_FILTERED", "warn", "left out", "its filter left it out"],
            ),
            (TrackState::Pull, false, ["PULL", "", "not known", pulls]),
            (TrackState::Pull, true, ["PULL", "good", "got it", pulls]),
            (TrackState::NotConsumeYet, false, ["NOT_CONSUME_YET", "warn", "not yet", ""]),
            (TrackState::NotOnline, false, ["NOT_ONLINE", "warn", "not yet", alone]),
            (TrackState::NotOnline, true, ["NOT_ONLINE", "good", "got it", alone]),
            (
                TrackState::Broadcasting,
                false,
                ["CONSUME_BROADCASTING", "", "not known", broadcasts],
            ),
            (TrackState::Unknown, false, ["UNKNOWN", "", "not known", ""]),
            (TrackState::Unspecified, false, ["UNKNOWN", "", "not known", ""]),
        ] {
            assert_eq!(said(state, is_consumed), expected);
        }
    }

    #[test]
    fn long_texts_are_cut_between_letters() {
        let (text, is_cut) = cut("é".repeat(SHOWN_BYTES));
        assert_eq!((text.len(), is_cut), (SHOWN_BYTES, true));
        assert_eq!(cut("é".to_owned()), ("é".to_owned(), false));
    }
}
