//! Dead letters: which groups have some, those of a group, giving them again, and taking them home as a file.
//!
//! Invariants: a dead letter stays where it is; each that is given again has a result of its own; a file is never held as a
//! whole; nothing in one of comma-separated values is a formula to whoever opens it.

use askama::Template;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::header;
use axum::response::IntoResponse;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::change::{Confirm, change, result, rows};
use super::visitor::{Fields, Page, Posted, Visitor, query_escaped};
use super::{Answer, Pages, format, html, may_call};
use crate::admin::AdminError;
use crate::proto::v1::{
    DeadLetter, DeadLetterPlace, Done, GroupDeadLetters, ListDeadLettersRequest,
    ListDeadLettersResponse, Outcome, Problem, ResendDeadLettersRequest, ResendTarget,
    ResentLetter, StoredMessage,
};
use crate::task::{self, Kind};

/// Dead letters of a page.
const SHOWN: u32 = 100;
/// Dead letters of a file, and of one resending of all.
const MANY: u32 = 1000;
/// The columns of a file of comma-separated values.
const COLUMNS: [&str; 16] = [
    "id",
    "offset_id",
    "original_topic",
    "broker",
    "queue",
    "queue_offset",
    "stored",
    "born",
    "born_host",
    "deliveries",
    "why",
    "tags",
    "keys",
    "properties",
    "body",
    "body_hex",
];

/// A group that has some.
struct GroupRow {
    group: GroupDeadLetters,
    path: String,
    count: String,
    last: Option<(String, String)>,
}

#[derive(Template)]
#[template(path = "dead_letters.html")]
struct GroupsPage<'a> {
    page: &'a Page,
    rows: Vec<GroupRow>,
    problems: Vec<Problem>,
}

/// The groups that have some; one that is asked for by name leads to its page.
pub async fn groups(State(pages): State<Pages>, visitor: Visitor, query: Fields) -> Answer {
    if let Some(group) = query.filled("group") {
        return Ok(super::redirect(
            &visitor.page,
            &format!("/dead-letters/{}", query_escaped(&group)),
        ));
    }
    let told = pages.asking().count_dead_letters().await;
    let told = told.map_err(|error| visitor.failed(&error))?;
    let row = |group: GroupDeadLetters| GroupRow {
        path: query_escaped(&group.group),
        count: format::number(group.count),
        last: group.last_stored_ms.map(format::moment),
        group,
    };
    let rows = told.groups.into_iter().map(row).collect();
    Ok(html(&GroupsPage { page: &visitor.page, rows, problems: told.problems }))
}

/// A dead letter of the list.
struct Row {
    /// As `broker-a.0.17`.
    place: String,
    path: String,
    stored: (String, String),
    message: StoredMessage,
    letter: DeadLetter,
}

impl Row {
    fn of(mut letter: DeadLetter) -> Self {
        let message = letter.message.take().unwrap_or_default();
        Self {
            place: place_text(&place_of(&message)),
            path: format!("{}/{}", query_escaped(&message.topic), query_escaped(&message.id)),
            stored: format::moment(message.stored_ms),
            message,
            letter,
        }
    }
}

fn place_of(message: &StoredMessage) -> DeadLetterPlace {
    DeadLetterPlace {
        broker: message.broker.clone().unwrap_or_default(),
        queue: message.queue,
        offset: message.queue_offset,
    }
}

fn place_text(place: &DeadLetterPlace) -> String {
    format!("{}.{}.{}", place.broker, place.queue, place.offset)
}

fn place(text: &str) -> Option<DeadLetterPlace> {
    let (rest, offset) = text.rsplit_once('.')?;
    let (broker, queue) = rest.rsplit_once('.')?;
    let (queue, offset) = (queue.parse().ok()?, offset.parse().ok()?);
    Some(DeadLetterPlace { broker: broker.to_owned(), queue, offset })
}

#[derive(Template)]
#[template(path = "dead_letters_of.html")]
struct OfGroupPage<'a> {
    page: &'a Page,
    group: &'a str,
    path: String,
    from: &'a str,
    until: &'a str,
    id: &'a str,
    /// The same as a query.
    query: String,
    rows: Vec<Row>,
    /// How many there are, and how many in the times.
    counts: (String, String),
    is_cut: bool,
    problems: Vec<Problem>,
}

/// What a form or a query asks for.
fn request(group: &str, fields: &Fields, limit: u32) -> ListDeadLettersRequest {
    ListDeadLettersRequest {
        group: group.to_owned(),
        from_ms: format::from_input(fields.get("from")),
        to_ms: format::from_input(fields.get("until")),
        limit: Some(limit),
        ids: fields.filled("id").into_iter().collect(),
    }
}

/// Those that are asked for, without what is long of their bodies.
async fn beginnings(
    pages: &Pages,
    request: &ListDeadLettersRequest,
) -> Result<ListDeadLettersResponse, AdminError> {
    let admin = pages.asking();
    Ok(admin.dead_letters(request).await?.beginnings(&admin).await)
}

/// Those of a group, newest first.
pub async fn show(
    State(pages): State<Pages>,
    visitor: Visitor,
    Path(group): Path<String>,
    query: Fields,
) -> Answer {
    let told = beginnings(&pages, &request(&group, &query, SHOWN)).await;
    let told = told.map_err(|error| visitor.failed(&error))?;
    let count = told.queues.iter().map(|queue| queue.count).sum::<i64>();
    let matching = told.queues.iter().map(|queue| queue.matching).sum::<i64>();
    let (from, until, id) = (query.get("from"), query.get("until"), query.get("id"));
    let shown = i64::try_from(told.letters.len()).unwrap_or(i64::MAX);
    Ok(html(&OfGroupPage {
        page: &visitor.page,
        group: &group,
        path: query_escaped(&group),
        query: format!(
            "from={}&until={}&id={}",
            query_escaped(from),
            query_escaped(until),
            query_escaped(id)
        ),
        from,
        until,
        id,
        rows: told.letters.into_iter().map(Row::of).collect(),
        counts: (format::number(count), format::number(matching)),
        is_cut: id.is_empty() && matching > shown,
        problems: told.problems,
    }))
}

/// Asks, then gives those that were chosen to the group again, or to their topic.
pub async fn resend(State(pages): State<Pages>, Path(group): Path<String>, form: Posted) -> Answer {
    let Posted { visitor, fields } = form;
    may_call(&visitor, "Messages/ResendDeadLetters")?;
    let (page, is_sure) = (&visitor.page, fields.get("sure") == "yes");
    let mut untold = Vec::new();
    let places: Vec<_> = match fields.filled("one") {
        Some(one) => place(&one).into_iter().collect(),
        None if fields.get("which") == "all" => {
            let told = beginnings(&pages, &request(&group, &fields, MANY)).await;
            let told = told.map_err(|error| visitor.failed(&error))?;
            untold = told.problems;
            told.letters.iter().filter_map(|one| one.message.as_ref()).map(place_of).collect()
        }
        None => fields.all("place").filter_map(place).collect(),
    };
    if places.is_empty() {
        return Err(visitor.invalid("Nothing is chosen."));
    }
    let to_topic = fields.get("target") == "topic";
    let target = if to_topic { ResendTarget::Topic } else { ResendTarget::Group };
    let request = ResendDeadLettersRequest {
        group: group.clone(),
        places,
        target: target.into(),
        dry_run: !is_sure,
    };
    let (admin, asked) = (pages.admin.clone(), request.clone());
    let back = format!("/dead-letters/{}", query_escaped(&group));
    if !is_sure {
        let told = pages.asking().resend_dead_letters(&request).await;
        let told = told.map_err(|error| visitor.failed(&error))?;
        let mut kept = vec![("target", fields.get("target").to_owned())];
        kept.extend(request.places.iter().map(|place| ("place", place_text(place))));
        let warning = if to_topic {
            page.t("All groups of the topic get them. They also stay here: done twice, they come twice.")
        } else {
            page.t("Only this group gets them. They also stay here: done twice, they come twice.")
        };
        let confirm = Confirm {
            question: page.t1("Deliver {} dead letters again?", request.places.len()),
            warning,
            rows: rows(
                &told
                    .letters
                    .iter()
                    .map(done)
                    .chain(untold.into_iter().map(missing))
                    .collect::<Vec<_>>(),
                page.t("Deliver again"),
            ),
            action: format!("{back}/resend"),
            fields: kept,
            label: page.t("Deliver again"),
            back,
            ..Confirm::on(page)
        };
        return Ok(confirm.response());
    }
    let work = async move { admin.resend_dead_letters(&asked).await };
    let told = change(&pages, &visitor, "Messages/ResendDeadLetters", &request, work).await;
    let told = told.map_err(|error| visitor.failed(&error))?;
    let done: Vec<_> = told.letters.iter().map(done).collect();
    Ok(result(page, page.t1("Dead letters of {}", &group), &done, back))
}

/// What is not among those that are chosen, as of other changes.
fn missing(problem: Problem) -> Done {
    Done {
        at: problem.at,
        address: problem.address,
        outcome: Outcome::Failed.into(),
        reason: Some(problem.reason),
    }
}

/// What became of one, as of other changes.
fn done(letter: &ResentLetter) -> Done {
    let place = letter.place.as_ref().map(place_text).unwrap_or_default();
    let id = letter.id.clone().unwrap_or_default();
    let status = letter.status.as_deref().filter(|status| *status != "SEND_OK");
    Done {
        at: format!("{id} ({place}) → {}", letter.topic),
        address: None,
        outcome: letter.outcome,
        reason: letter.reason.clone().or_else(|| status.map(str::to_owned)),
    }
}

/// Those of a group as a file, which is sent as they are read.
pub async fn export(
    State(pages): State<Pages>,
    visitor: Visitor,
    Path(group): Path<String>,
    query: Fields,
) -> Answer {
    let found = pages.asking().dead_letters(&request(&group, &query, MANY)).await;
    let mut found = found.map_err(|error| visitor.failed(&error))?;
    let is_json = query.get("as") == "json";
    let (kind, end) = if is_json {
        ("application/x-ndjson; charset=utf-8", "jsonl")
    } else {
        ("text/csv; charset=utf-8", "csv")
    };
    // Who saves it sees that it is not all there is.
    let lacks = if found.problems.is_empty() { "" } else { "-incomplete" };
    let disposition = format!("attachment; filename=\"dead-letters{lacks}.{end}\"");
    let known = found.problems.len();
    let (out, lines) = mpsc::channel(1);
    // It goes on for as long as somebody takes it.
    let admin = pages.admin.clone();
    task::spawn(Kind::Ignore, "export of dead letters", async move {
        let mut line = if is_json { Vec::new() } else { head() };
        // Who has gone takes no more.
        while out.send(Ok(line)).await.is_ok() {
            line = match found.next(&admin).await {
                Some(letter) if is_json => json_line(&letter),
                Some(letter) => row(&letter),
                None => break,
            };
        }
        // The browser says that the file is not whole.
        if let Some(problem) = found.problems.get(known) {
            tracing::warn!(group, reason = problem.reason, "a file of dead letters lacks some");
            let _ = out.send(Err(AdminError::Unreachable(problem.reason.clone()))).await;
        }
    });
    let kind = (header::CONTENT_TYPE, kind.to_owned());
    let lines = Body::from_stream(ReceiverStream::new(lines));
    Ok(([kind, (header::CONTENT_DISPOSITION, disposition)], lines).into_response())
}

fn json_line(letter: &DeadLetter) -> Vec<u8> {
    let mut line = serde_json::to_vec(letter).unwrap_or_default();
    line.push(b'\n');
    line
}

/// The first line of a table, with a mark by which spreadsheets know UTF-8.
fn head() -> Vec<u8> {
    [b"\xef\xbb\xbf".to_vec(), values(&COLUMNS)].concat()
}

/// A line of a table.
fn row(letter: &DeadLetter) -> Vec<u8> {
    let Some(message) = &letter.message else { return Vec::new() };
    let given = |text: &Option<String>| text.clone().unwrap_or_default();
    let hex = || message.body.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let cells: [String; COLUMNS.len()] = [
        message.id.clone(),
        message.offset_id.clone(),
        given(&letter.original_topic),
        given(&message.broker),
        message.queue.to_string(),
        message.queue_offset.to_string(),
        format::iso(message.stored_ms),
        format::iso(message.born_ms),
        message.born_host.clone(),
        letter.deliveries.to_string(),
        letter.why.clone(),
        given(&message.tags),
        given(&message.keys),
        serde_json::to_string(&message.properties).unwrap_or_default(),
        given(&message.body_text),
        if message.body_text.is_some() { String::new() } else { hex() },
    ];
    values(&cells.map(no_formula))
}

/// What a spreadsheet does not take for a formula.
fn no_formula(text: String) -> String {
    let is_formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    if is_formula { format!("'{text}") } else { text }
}

/// A line of comma-separated values.
fn values<T: AsRef<[u8]>>(cells: &[T]) -> Vec<u8> {
    let mut writer = csv::WriterBuilder::new()
        .quote_style(csv::QuoteStyle::Always)
        .terminator(csv::Terminator::CRLF)
        .from_writer(Vec::new());
    // Memory takes everything.
    let _ = writer.write_record(cells);
    writer.into_inner().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter(body: &[u8]) -> DeadLetter {
        let message = StoredMessage {
            id: "A1".to_owned(),
            broker: Some("b.c".to_owned()),
            queue: 1,
            queue_offset: 17,
            keys: Some("=1+1".to_owned()),
            body: body.to_vec(),
            body_text: std::str::from_utf8(body).ok().map(str::to_owned),
            ..StoredMessage::default()
        };
        DeadLetter { message: Some(message), deliveries: 3, ..DeadLetter::default() }
    }

    #[test]
    fn places_are_read_as_they_are_written() {
        let at = place_of(&letter(b"").message.unwrap());
        assert_eq!(place_text(&at), "b.c.1.17");
        assert_eq!(place(&place_text(&at)), Some(at));
        assert_eq!((place("1.2"), place("a.b.c")), (None, None));
    }

    #[test]
    fn files_hold_what_is_there_and_no_formula() {
        let letters = [letter("say \"小\",\nno".as_bytes()), letter(b"\xff\x00")];
        let text = [head(), row(&letters[0]), row(&letters[1])].concat();
        let text = String::from_utf8(text).unwrap();
        let (head, rest) = text.split_once("\r\n").unwrap();
        assert!(head.starts_with("\u{feff}\"id\",\"offset_id\","), "{head}");
        assert_eq!(head.matches(',').count(), COLUMNS.len() - 1);
        assert!(
            rest.starts_with("\"A1\",\"\",\"\",\"b.c\",\"1\",\"17\",\"1970-01-01T00:00:00.000Z\",")
        );
        assert!(rest.contains("\"'=1+1\",\"{}\",\"say \"\"小\"\",\nno\",\"\"\r\n"), "{rest}");
        assert!(rest.ends_with("\"{}\",\"\",\"ff00\"\r\n"), "{rest}");
        let line = String::from_utf8(json_line(&letter(b"x"))).unwrap();
        assert_eq!((line.lines().count(), line.ends_with('\n')), (1, true));
        let value: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(value["message"]["body_text"], "x");
    }
}
