//! `rmq-node admin messages dlq`: a group's dead letters, and giving them to it again.
//!
//! Not where they are sent (`crate::admin`). Invariant: what is sent again is what was listed and confirmed, not what has
//! come meanwhile.

use std::io::{self, Write as _};

use clap::Args;
use tonic::{Status, Streaming};

use super::super::door::Door;
use super::super::output::{Confirmation, Output, Report, Reported, not_confirmed};
use super::super::sheet::{LongResult, Sheet, nothing, numbers, or_nothing, words};
use super::{start, time};
use crate::cli::table::utc;
use crate::proto::v1::messages_client::MessagesClient;
use crate::proto::v1::{
    CountDeadLettersRequest, CountDeadLettersResponse, DeadLetter, DeadLetterPlace,
    GroupDeadLetters, ListDeadLettersRequest, ListDeadLettersResponse, Outcome,
    ResendDeadLettersRequest, ResendDeadLettersResponse, ResendTarget, ResentLetter, StoredMessage,
};

/// Dead letters of one request: each is a line of the audit log.
const AT_ONCE: usize = 100;

/// The arguments.
#[derive(Args, Clone, Debug)]
pub struct DeadLetters {
    /// The group [default: all that have some, with how many].
    group: Option<String>,
    /// Only the one of this id, `msgId` or `offsetMsgId`; may be given again.
    #[arg(long = "id", value_name = "ID", requires = "group", conflicts_with_all = ["from", "to", "limit"])]
    ids: Vec<String>,
    /// Only those that became dead letters at this time or later, `2026-11-25T01:26:19` in UTC or milliseconds since 1970.
    #[arg(long, value_name = "TIME", value_parser = time, requires = "group")]
    from: Option<i64>,
    /// Only those that became dead letters before this time.
    #[arg(long, value_name = "TIME", value_parser = time, requires = "group")]
    to: Option<i64>,
    /// At most so many, the newest.
    #[arg(short, long, default_value_t = 100, value_name = "COUNT")]
    limit: u32,
    /// Give those that are listed to the group again, oldest first. Its members get them under the topic that they come
    /// from, and no other group does. They stay dead letters, so that doing it twice delivers them twice.
    #[arg(long, requires = "group")]
    pub(super) resend: bool,
    /// With --resend: send them to the topic that they come from, where every group gets them.
    #[arg(long, requires = "resend")]
    to_topic: bool,
    /// With --resend: show what would be sent where, and send nothing.
    #[arg(long, requires = "resend")]
    dry_run: bool,
    #[command(flatten)]
    confirmation: Confirmation,
}

/// Lists, and sends again if that is asked for.
///
/// # Errors
/// As the service's.
pub async fn run(
    arguments: DeadLetters,
    mut messages: MessagesClient<Door>,
    output: Output,
) -> Reported {
    let Some(group) = arguments.group.clone() else {
        let found = messages.count_dead_letters(CountDeadLettersRequest {}).await?;
        return Ok(groups(&found.into_inner(), output));
    };
    let request = ListDeadLettersRequest {
        group: group.clone(),
        from_ms: arguments.from,
        to_ms: arguments.to,
        limit: Some(arguments.limit),
        ids: arguments.ids.clone(),
    };
    let mut parts = messages.list_dead_letters(request).await?.into_inner();
    let mut found = Found::default();
    if !arguments.resend && !output.has_rows() {
        return print_all(found, parts, output).await;
    }
    while let Some(part) = parts.message().await? {
        found.add(part);
    }
    if !arguments.resend || found.places.is_empty() {
        return Ok(list(&group, found, arguments.ids.is_empty(), output));
    }
    found.places.reverse();
    let question = question(&group, &arguments, &found);
    if !arguments.dry_run && !arguments.confirmation.is_given(&question) {
        return Ok(not_confirmed());
    }
    let resent = resend((&group, &arguments), &found.places, &mut messages).await?;
    let mut report = resent_shown(&resent, output);
    report.problems.extend(found.rest.problems.into_iter().map(|problem| problem.reason));
    Ok(report)
}

/// What was found; of the dead letters, whose bodies are long, only what people are shown.
#[derive(Default)]
struct Found {
    rest: ListDeadLettersResponse,
    rows: Vec<Vec<String>>,
    places: Vec<DeadLetterPlace>,
}

impl Found {
    fn add(&mut self, mut part: ListDeadLettersResponse) {
        for letter in std::mem::take(&mut part.letters) {
            let Some(message) = &letter.message else { continue };
            self.rows.push(row(&letter, message));
            self.places.push(place(message));
        }
        self.rest.queues.append(&mut part.queues);
        self.rest.problems.append(&mut part.problems);
    }

    /// How many there are of those that are asked for, and how many of them are listed.
    fn matching_and_listed(&self) -> (i64, i64) {
        let matching = self.rest.queues.iter().map(|queue| queue.matching).sum();
        (matching, i64::try_from(self.places.len()).unwrap_or(i64::MAX))
    }
}

/// Prints for programs, each dead letter as it comes: together they may be too long to be held.
async fn print_all(
    mut found: Found,
    mut parts: Streaming<ListDeadLettersResponse>,
    output: Output,
) -> Reported {
    let mut first = parts.message().await?.unwrap_or_default();
    let mut letters = std::mem::take(&mut first.letters);
    let mut result = LongResult::new(&first, output);
    found.add(first);
    loop {
        for letter in letters {
            if let Some(printed) = print(&result.item(&letter)) {
                return printed;
            }
        }
        let Some(mut part) = parts.message().await? else { break };
        letters = std::mem::take(&mut part.letters);
        found.add(part);
    }
    Ok(Report::new(result.end(&found.rest), found.rest.problems))
}

/// How the command ends if standard output takes no more: well if whoever reads it has seen enough.
fn print(text: &str) -> Option<Reported> {
    match io::stdout().write_all(text.as_bytes()) {
        Ok(()) => None,
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Some(Ok(Report::default())),
        Err(error) => Some(Err(Status::internal(format!("standard output: {error}")))),
    }
}

/// What is asked before they are sent again.
fn question(group: &str, arguments: &DeadLetters, found: &Found) -> String {
    // Who names ids has all that are meant.
    let left_out = if arguments.ids.is_empty() { left_out(found) } else { None };
    format!(
        "{} dead letters go to {} again{}.",
        found.places.len(),
        if arguments.to_topic { "every group of their topics" } else { group },
        left_out.map(|more| format!(", and {more}")).unwrap_or_default()
    )
}

/// Sends them again, some at a time.
async fn resend(
    (group, arguments): (&str, &DeadLetters),
    places: &[DeadLetterPlace],
    messages: &mut MessagesClient<Door>,
) -> Result<ResendDeadLettersResponse, Status> {
    let target = if arguments.to_topic { ResendTarget::Topic } else { ResendTarget::Group };
    let mut resent = Vec::<ResentLetter>::new();
    for some in places.chunks(AT_ONCE) {
        let request = ResendDeadLettersRequest {
            group: group.to_owned(),
            places: some.to_vec(),
            target: target.into(),
            dry_run: arguments.dry_run,
        };
        match messages.resend_dead_letters(request).await {
            Ok(answer) => resent.append(&mut answer.into_inner().letters),
            Err(error) if resent.is_empty() => return Err(error),
            // What was sent before is told all the same.
            Err(error) => {
                let not_sent = |place: &DeadLetterPlace| ResentLetter {
                    place: Some(place.clone()),
                    outcome: Outcome::Failed.into(),
                    reason: Some(error.message().to_owned()),
                    ..ResentLetter::default()
                };
                resent.extend(some.iter().map(not_sent));
            }
        }
    }
    Ok(ResendDeadLettersResponse { letters: resent })
}

fn place(message: &StoredMessage) -> DeadLetterPlace {
    DeadLetterPlace {
        broker: message.broker.clone().unwrap_or_default(),
        queue: message.queue,
        offset: message.queue_offset,
    }
}

/// How many more there are than are listed.
fn left_out(found: &Found) -> Option<String> {
    let (matching, listed) = found.matching_and_listed();
    let more = matching.saturating_sub(listed);
    (more > 0).then(|| format!("{more} older ones do not (--limit)"))
}

/// The groups that have dead letters.
fn groups(found: &CountDeadLettersResponse, output: Output) -> Report {
    let columns =
        vec![words("GROUP"), numbers("DEAD LETTERS"), words("LAST (UTC)"), words("BROKERS")];
    let row = |one: &GroupDeadLetters| {
        let last = one.last_stored_ms.map_or_else(nothing, utc);
        vec![one.group.clone(), one.count.to_string(), last, one.brokers.join(",")]
    };
    let mut notes = Vec::new();
    if found.groups.is_empty() {
        notes.push("No group has dead letters.".to_owned());
    }
    let sheet = Sheet::new(columns, found.groups.iter().map(row).collect());
    let text = sheet.render(&found.groups, output);
    Report { notes: output.notes(notes), ..Report::new(text, found.problems.clone()) }
}

fn list(group: &str, found: Found, with_counts: bool, output: Output) -> Report {
    let columns = vec![
        words("ID"),
        words("DEAD SINCE (UTC)"),
        words("TOPIC"),
        numbers("DELIVERIES"),
        words("WHY"),
        words("TAGS"),
        words("BODY"),
        words("KEYS").wide(),
        words("BROKER").wide(),
        numbers("QUEUE").wide(),
        numbers("OFFSET").wide(),
        words("OFFSET ID").wide(),
        words("ORIGINAL OFFSET ID").wide(),
    ];
    let notes = if with_counts { counts(group, &found) } else { Vec::new() };
    let sheet = Sheet::new(columns, found.rows);
    let text = sheet.render(&found.rest, output);
    Report { notes: output.notes(notes), ..Report::new(text, found.rest.problems) }
}

/// How many there are, and how many of them are listed.
fn counts(group: &str, found: &Found) -> Vec<String> {
    let count: i64 = found.rest.queues.iter().map(|queue| queue.count).sum();
    let mut notes = Vec::new();
    if count == 0 && found.rest.problems.is_empty() {
        notes.push(format!("Group {group} has no dead letters."));
    }
    for queue in found.rest.queues.iter().filter(|queue| queue.count > 0) {
        let last = queue.last_stored_ms.map(|time| format!(", the last of {}", utc(time)));
        notes.push(format!(
            "{} has {} in all{}.",
            queue.broker,
            queue.count,
            last.unwrap_or_default()
        ));
    }
    let (matching, listed) = found.matching_and_listed();
    if matching > listed {
        notes.push(format!("Shown: {listed} of {matching}, the newest; --limit shows more."));
    }
    notes
}

fn row(letter: &DeadLetter, message: &StoredMessage) -> Vec<String> {
    vec![
        message.id.clone(),
        utc(message.stored_ms),
        or_nothing(&letter.original_topic),
        letter.deliveries.to_string(),
        letter.why.clone(),
        or_nothing(&message.tags),
        start(message),
        or_nothing(&message.keys),
        or_nothing(&message.broker),
        message.queue.to_string(),
        message.queue_offset.to_string(),
        message.offset_id.clone(),
        or_nothing(&letter.original_id),
    ]
}

fn resent_shown(resent: &ResendDeadLettersResponse, output: Output) -> Report {
    let letters = &resent.letters;
    let columns = vec![
        words("ID"),
        words("BROKER"),
        numbers("QUEUE"),
        numbers("OFFSET"),
        words("OUTCOME"),
        words("TO"),
        words("NEW OFFSET ID"),
    ];
    let row = |letter: &ResentLetter| {
        let place = letter.place.clone().unwrap_or_default();
        let status = letter.status.as_ref().filter(|status| *status != "SEND_OK");
        let outcome = letter.outcome().as_word();
        vec![
            or_nothing(&letter.id),
            place.broker,
            place.queue.to_string(),
            place.offset.to_string(),
            status.map_or_else(|| outcome.to_owned(), |status| format!("{outcome}, {status}")),
            letter.topic.clone(),
            or_nothing(&letter.offset_id),
        ]
    };
    let sheet = Sheet::new(columns, letters.iter().map(row).collect());
    let failed = letters.iter().filter(|letter| letter.outcome() == Outcome::Failed);
    let problem = |letter: &ResentLetter| {
        let place = letter.place.clone().unwrap_or_default();
        let reason = letter.reason.as_deref().unwrap_or("no reason given");
        format!("not sent: {} of queue {} of {}: {reason}", place.offset, place.queue, place.broker)
    };
    let problems: Vec<_> = failed.map(problem).collect();
    let has_failed = !letters.is_empty() && problems.len() == letters.len();
    let mut notes = Vec::new();
    if letters.iter().all(|letter| letter.outcome() == Outcome::DryRun) {
        notes.push("Nothing was sent: this was a dry run.".to_owned());
    }
    let text = sheet.render(resent, output);
    Report { text, notes: output.notes(notes), problems, has_failed, differs: false }
}

#[cfg(test)]
mod tests {
    use clap::FromArgMatches as _;

    use super::*;
    use crate::proto::v1::DeadLetterQueue;

    fn letter(offset: i64) -> DeadLetter {
        let message = StoredMessage {
            id: format!("A{offset}"),
            broker: Some("broker-a".to_owned()),
            queue_offset: offset,
            tags: Some("x".to_owned()),
            body_text: Some("hi".to_owned()),
            ..StoredMessage::default()
        };
        DeadLetter {
            message: Some(message),
            original_topic: Some("T".to_owned()),
            deliveries: 17,
            why: "16 retries failed".to_owned(),
            ..DeadLetter::default()
        }
    }

    #[test]
    fn dead_letters_are_listed_with_how_many_there_are() {
        let queue = DeadLetterQueue {
            broker: "broker-a".to_owned(),
            count: 5,
            matching: 3,
            last_stored_ms: Some(0),
            ..DeadLetterQueue::default()
        };
        let mut found = Found::default();
        found.add(ListDeadLettersResponse {
            letters: vec![letter(2), letter(1)],
            queues: vec![queue],
            problems: Vec::new(),
        });
        assert_eq!(left_out(&found).as_deref(), Some("1 older ones do not (--limit)"));
        let report = list("g", found, true, Output::Table);
        let expected = "\
ID  DEAD SINCE (UTC)     TOPIC  DELIVERIES  WHY                TAGS  BODY
A2  1970-01-01 00:00:00  T              17  16 retries failed  x     hi
A1  1970-01-01 00:00:00  T              17  16 retries failed  x     hi
";
        assert_eq!(report.text, expected);
        let notes = [
            "broker-a has 5 in all, the last of 1970-01-01 00:00:00.",
            "Shown: 2 of 3, the newest; --limit shows more.",
        ];
        assert_eq!(report.notes, notes);
        let none = list("g", Found::default(), true, Output::Table);
        assert_eq!((none.text.as_str(), &*none.notes[0]), ("", "Group g has no dead letters."));
    }

    #[test]
    fn what_is_left_out_is_asked_only_of_who_named_no_ids() {
        let asked = |words: &[&str]| {
            let command = DeadLetters::augment_args(clap::Command::new("dlq"));
            let matches = command.get_matches_from([&["dlq", "g", "--resend"], words].concat());
            let arguments = DeadLetters::from_arg_matches(&matches).unwrap();
            let queue = DeadLetterQueue { matching: 6, ..DeadLetterQueue::default() };
            let mut found = Found::default();
            found.add(ListDeadLettersResponse {
                letters: vec![letter(1)],
                queues: vec![queue],
                problems: Vec::new(),
            });
            question("g", &arguments, &found)
        };
        assert_eq!(asked(&["--id", "A1"]), "1 dead letters go to g again.");
        let expected = "1 dead letters go to g again, and 5 older ones do not (--limit).";
        assert_eq!(asked(&["--limit", "1"]), expected);
    }

    #[test]
    fn groups_are_listed_with_how_many_they_have() {
        let group = GroupDeadLetters {
            group: "g".to_owned(),
            count: 12,
            last_stored_ms: Some(0),
            brokers: vec!["a".to_owned(), "b".to_owned()],
        };
        let found = CountDeadLettersResponse { groups: vec![group], problems: Vec::new() };
        let expected = "\
GROUP  DEAD LETTERS  LAST (UTC)           BROKERS
g                12  1970-01-01 00:00:00  a,b
";
        assert_eq!(groups(&found, Output::Table).text, expected);
        let none = groups(&CountDeadLettersResponse::default(), Output::Table);
        assert_eq!(none.notes, ["No group has dead letters."]);
    }

    #[test]
    fn each_that_was_sent_again_has_a_line_and_each_that_was_not_a_problem() {
        let resent = |outcome: Outcome, status: Option<&str>| ResentLetter {
            place: Some(place(letter(1).message.as_ref().unwrap())),
            id: Some("A1".to_owned()),
            topic: "%RETRY%g".to_owned(),
            offset_id: status.map(|_| "B2".to_owned()),
            status: status.map(str::to_owned),
            outcome: outcome.into(),
            reason: (outcome == Outcome::Failed).then(|| "no".to_owned()),
        };
        let all =
            |letters: &[ResentLetter]| ResendDeadLettersResponse { letters: letters.to_vec() };
        let letters = [
            resent(Outcome::Done, Some("SEND_OK")),
            resent(Outcome::Done, Some("SLAVE_NOT_AVAILABLE")),
            resent(Outcome::Failed, None),
        ];
        let report = resent_shown(&all(&letters), Output::Table);
        let expected = "\
ID  BROKER    QUEUE  OFFSET  OUTCOME                    TO        NEW OFFSET ID
A1  broker-a      0       1  done                       %RETRY%g  B2
A1  broker-a      0       1  done, SLAVE_NOT_AVAILABLE  %RETRY%g  B2
A1  broker-a      0       1  failed                     %RETRY%g  -
";
        assert_eq!(report.text, expected);
        assert_eq!(report.problems, ["not sent: 1 of queue 0 of broker-a: no"]);
        assert!(!report.has_failed && resent_shown(&all(&letters[2..]), Output::Table).has_failed);
        let dry = resent_shown(&all(&[resent(Outcome::DryRun, None)]), Output::Table);
        assert_eq!(dry.notes, ["Nothing was sent: this was a dry run."]);
    }
}
