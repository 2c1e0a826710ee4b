//! `rmq-node admin messages`: looking at messages, sending one, and handing one to a member; dead letters are in `dlq`.

mod dlq;

use std::io::{self, Write as _};

use clap::Subcommand;
use tonic::Streaming;

use self::dlq::DeadLetters;
use super::door::Door;
use super::output::{Output, Report, Reported, error_word};
use super::sheet::{Column, Sheet, fact, nothing, numbers, or_nothing, words, yes};
use super::whole;
use crate::cli::table::{safe, time_ms, utc};
use crate::cli::tell;
use crate::model::{hexdump, indented_json, version_text};
use crate::proto::v1::messages_client::MessagesClient;
use crate::proto::v1::{
    ConsumeDirectlyRequest, ConsumeDirectlyResponse, FindMessagesRequest, FindMessagesResponse,
    GetMessageRequest, GetMessageResponse, GroupMember, MessageTrack, SendMessageRequest,
    SendMessageResponse, StoredMessage, TailMessagesRequest, TailMessagesResponse, TraceKind,
    TraceStep, TrackState,
};

/// Bytes of a body that is no text which are shown.
const HEX_BYTES_MAX: usize = 512;
/// Characters of a body that are shown in a line.
const LINE_CHARS_MAX: usize = 80;

/// The verbs.
#[derive(Clone, Debug, Subcommand)]
pub enum MessagesAction {
    /// Show the message of an id with its body, and which groups have got it.
    Show {
        /// The client's `msgId` (with --topic), or `offsetMsgId`.
        id: String,
        /// Its topic.
        #[arg(short, long, value_name = "NAME")]
        topic: Option<String>,
        /// The topic that its clients write traces to [default: RMQ_SYS_TRACE_TOPIC].
        #[arg(long, value_name = "NAME")]
        trace_topic: Option<String>,
    },
    /// List messages of a topic that have a key, newest first.
    Find {
        /// The topic.
        topic: String,
        /// The key.
        key: String,
        /// At most so many of each broker.
        #[arg(short, long, default_value_t = 32, value_name = "COUNT")]
        limit: u32,
    },
    /// Send one message, as a client does, to look whether a topic works: groups that read it get it.
    Send {
        /// The topic, which has to be there.
        topic: String,
        /// The body.
        body: String,
        /// Its tag.
        #[arg(long, value_name = "TAG")]
        tag: Option<String>,
        /// Its keys, with spaces between them.
        #[arg(long, value_name = "KEYS")]
        key: Option<String>,
        /// A property of the application; may be given again.
        #[arg(long = "property", value_name = "NAME=VALUE", value_parser = property)]
        properties: Vec<(String, String)>,
        /// Deliver it after a delay: the number of a level in the broker's messageDelayLevel, 1 (1 s) to 18 (2 h) by default.
        #[arg(long, value_name = "LEVEL")]
        delay_level: Option<u32>,
        /// Show where it would go, and send nothing.
        #[arg(long)]
        dry_run: bool,
    },
    /// Hand a message to one connected member of a group, which consumes it once more, and show what the member made of it.
    /// No position moves.
    ConsumeDirectly {
        /// The client's `msgId` (with --topic), or `offsetMsgId`.
        id: String,
        /// Its topic.
        #[arg(short, long, value_name = "NAME")]
        topic: Option<String>,
        /// The group.
        #[arg(short, long, value_name = "NAME")]
        group: String,
        /// The member [default: the first that is connected].
        #[arg(long, value_name = "ID")]
        client_id: Option<String>,
        /// Only show which members could get it.
        #[arg(long)]
        dry_run: bool,
    },
    /// Show which groups have dead letters, messages that they did not get done, or those of one group on all brokers, newest
    /// first; `--resend` gives them to it again.
    Dlq(DeadLetters),
    /// Show messages of a topic as they are stored, until it is interrupted.
    Tail {
        /// The topic.
        topic: String,
        /// Only with one of these tags, `||` between them.
        #[arg(long, value_name = "TAGS")]
        tag: Option<String>,
        /// From those on that were stored at this time, `2026-11-25T01:26:19` in UTC or milliseconds since 1970.
        #[arg(long, value_name = "TIME", value_parser = time)]
        from: Option<i64>,
        /// End after so many.
        #[arg(short, long, value_name = "COUNT")]
        count: Option<usize>,
    },
}

impl MessagesAction {
    /// Whether it looks once, and changes nothing.
    pub fn only_reads(&self) -> bool {
        match self {
            Self::Show { .. } | Self::Find { .. } => true,
            Self::ConsumeDirectly { dry_run, .. } => *dry_run,
            Self::Send { .. } | Self::Tail { .. } => false,
            Self::Dlq(arguments) => !arguments.resend,
        }
    }
}

fn time(text: &str) -> Result<i64, String> {
    let time = text.parse().ok().or_else(|| time_ms(text));
    time.ok_or_else(|| "write a time as 2026-11-25T01:26:19 or in milliseconds".to_owned())
}

fn property(text: &str) -> Result<(String, String), String> {
    let pair = text.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
    pair.ok_or_else(|| "write a property as NAME=VALUE".to_owned())
}

/// Does what the verb says.
///
/// # Errors
/// As the service's.
pub async fn run(action: MessagesAction, door: Door, output: Output) -> Reported {
    let mut messages = MessagesClient::new(door).max_decoding_message_size(usize::MAX);
    match action {
        MessagesAction::Show { id, topic, trace_topic } => {
            let found = messages.get(GetMessageRequest { id, topic, trace_topic }).await?;
            Ok(show(&found.into_inner(), output))
        }
        MessagesAction::Find { topic, key, limit } => {
            let request = FindMessagesRequest { topic, key, limit: Some(limit) };
            let parts = messages.find(request).await?.into_inner();
            Ok(list(whole(parts, |part| &mut part.messages).await?, output))
        }
        MessagesAction::Send { topic, body, tag, key, properties, delay_level, dry_run } => {
            let request = SendMessageRequest {
                topic,
                tags: tag,
                keys: key,
                body,
                properties: properties.into_iter().collect(),
                delay_level,
                dry_run,
            };
            Ok(sent(&messages.send(request).await?.into_inner(), output))
        }
        MessagesAction::ConsumeDirectly { id, topic, group, client_id, dry_run } => {
            let request = ConsumeDirectlyRequest { id, topic, group, client_id, dry_run };
            let told = messages.consume_directly(request).await?.into_inner();
            Ok(if dry_run { could_get_it(&told, output) } else { made_of_it(&told, output) })
        }
        MessagesAction::Dlq(arguments) => dlq::run(arguments, messages, output).await,
        MessagesAction::Tail { topic, tag, from, count } => {
            let request = TailMessagesRequest { topic, tags: tag, from_ms: from };
            let parts = messages.tail(request).await?.into_inner();
            tail(parts, count.unwrap_or(usize::MAX), output).await
        }
    }
}

/// Prints messages as they come, and what is missing as soon as it is.
async fn tail(
    mut parts: Streaming<TailMessagesResponse>,
    mut left: usize,
    output: Output,
) -> Reported {
    let mut report = Report::default();
    while let Some(part) = parts.message().await? {
        report.is_partial |= !part.problems.is_empty();
        for problem in &part.problems {
            tell(&format!("{} {}\n", error_word(), safe(&problem.reason)));
        }
        for message in part.messages.iter().take(left) {
            // A reader that has seen enough ends it.
            if io::stdout().write_all(line(message, output).as_bytes()).is_err() {
                return Ok(report);
            }
        }
        left = left.saturating_sub(part.messages.len());
        if left == 0 {
            break;
        }
    }
    Ok(report)
}

fn sent(sent: &SendMessageResponse, output: Output) -> Report {
    // Who only asked where it would go is told no id.
    let is_dry = sent.id.is_empty();
    let known = |text: &dyn ToString| if is_dry { nothing() } else { text.to_string() };
    let columns = vec![
        words("ID"),
        words("BROKER"),
        numbers("QUEUE"),
        numbers("OFFSET"),
        words("STATUS"),
        words("OFFSET ID").wide(),
    ];
    let row = vec![
        known(&sent.id),
        sent.broker.clone(),
        sent.queue.to_string(),
        known(&sent.queue_offset),
        sent.status.clone(),
        known(&sent.offset_id),
    ];
    let note = is_dry.then(|| "Nothing was sent: this was a dry run.".to_owned());
    let notes = output.notes(Vec::from_iter(note));
    Report { notes, ..Report::new(Sheet::new(columns, vec![row]).render(sent, output), Vec::new()) }
}

fn could_get_it(told: &ConsumeDirectlyResponse, output: Output) -> Report {
    let columns = ["MEMBER", "ADDRESS", "LANGUAGE", "VERSION"].map(words).into();
    let row = |one: &GroupMember| {
        let version = version_text(one.version);
        vec![one.client_id.clone(), one.address.clone(), one.language.clone(), version]
    };
    let sheet = Sheet::new(columns, told.members.iter().map(row).collect());
    let notes = vec![format!("Nothing was done: {} would get it.", told.client_id)];
    let text = sheet.render(told, output);
    Report { notes: output.notes(notes), ..Report::new(text, Vec::new()) }
}

fn made_of_it(told: &ConsumeDirectlyResponse, output: Output) -> Report {
    let columns = vec![words("MEMBER"), words("RESULT"), numbers("MS")];
    let row = vec![told.client_id.clone(), or_nothing(&told.result), told.spent_ms.to_string()];
    let text = Sheet::new(columns, vec![row]).render(told, output);
    let has_failed = !told.is_success();
    let remark = || told.remark.clone().unwrap_or_else(|| "it says nothing more".to_owned());
    let why = has_failed.then(|| format!("{} was not content: {}", told.client_id, remark()));
    Report { problems: why.into_iter().collect(), has_failed, ..Report::new(text, Vec::new()) }
}

/// A message in a line.
fn line(message: &StoredMessage, output: Output) -> String {
    match output {
        Output::Json | Output::Yaml => {
            let json = serde_json::to_string(message).expect("messages have text for keys");
            json + "\n"
        }
        Output::Name => safe(&message.id) + "\n",
        Output::Table | Output::Wide | Output::Tsv => {
            let place = format!(
                "{} {}:{}",
                message.broker.as_deref().unwrap_or("-"),
                message.queue,
                message.queue_offset
            );
            let tags = message.tags.as_deref().unwrap_or("-");
            let text = [&utc(message.stored_ms), &place, &message.id, tags, &start(message)];
            text.map(safe).join("  ") + "\n"
        }
    }
}

/// The beginning of a body.
fn start(message: &StoredMessage) -> String {
    match &message.body_text {
        None => format!("{} bytes", message.body.len()),
        Some(text) if text.chars().count() > LINE_CHARS_MAX => {
            text.chars().take(LINE_CHARS_MAX).collect::<String>() + "..."
        }
        Some(text) => text.clone(),
    }
}

fn list(found: FindMessagesResponse, output: Output) -> Report {
    let columns = vec![
        words("ID"),
        words("STORED (UTC)"),
        words("BROKER"),
        numbers("QUEUE"),
        numbers("OFFSET"),
        words("TAGS"),
        words("BODY"),
        words("OFFSET ID").wide(),
        words("KEYS").wide(),
    ];
    let row = |one: &StoredMessage| {
        vec![
            one.id.clone(),
            utc(one.stored_ms),
            or_nothing(&one.broker),
            one.queue.to_string(),
            one.queue_offset.to_string(),
            or_nothing(&one.tags),
            start(one),
            one.offset_id.clone(),
            or_nothing(&one.keys),
        ]
    };
    let mut notes = Vec::new();
    if found.messages.is_empty() {
        notes.push("No message has that key.".to_owned());
    }
    let sheet = Sheet::new(columns, found.messages.iter().map(row).collect());
    let text = sheet.render(&found.messages, output);
    Report { notes: output.notes(notes), ..Report::new(text, found.problems) }
}

fn show(found: &GetMessageResponse, output: Output) -> Report {
    let above: Vec<_> = found.messages.iter().map(in_full).collect();
    let above = format!("{}{}", above.concat(), trace(&found.trace));
    let columns = ["GROUP", "STATE", "HAS GONE ON BEHIND IT", "CONNECTED"].map(words).into();
    let row = |track: &MessageTrack| {
        let state = state(track.state()).to_owned();
        vec![track.group.clone(), state, yes(track.is_consumed), yes(track.is_online)]
    };
    let rows = found.tracks.iter().map(row).collect();
    let sheet = Sheet { above, ..Sheet::new(columns, rows) };
    let mut report = Report::new(sheet.render(found, output), found.problems.clone());
    let unknown =
        found.tracks.iter().filter_map(|track| Some((&track.group, track.reason.as_ref()?)));
    let unknown = unknown.map(|(group, reason)| format!("what became of it in {group}: {reason}"));
    report.problems.extend(unknown);
    report
}

/// A state as in JSON.
fn state(state: TrackState) -> &'static str {
    match state {
        TrackState::Consumed => "consumed",
        TrackState::ConsumedButFiltered => "consumed-but-filtered",
        TrackState::Pull => "pull",
        TrackState::NotConsumeYet => "not-consume-yet",
        TrackState::NotOnline => "not-online",
        TrackState::Broadcasting => "broadcasting",
        TrackState::Unspecified | TrackState::Unknown => "unknown",
    }
}

/// What clients did with a message, a line each; nothing if none tells.
fn trace(steps: &[TraceStep]) -> String {
    if steps.is_empty() {
        return String::new();
    }
    let columns: Vec<Column> = vec![
        words("TRACE (UTC)"),
        words("BY"),
        words("GROUP"),
        words("HOST"),
        numbers("MS"),
        words("RESULT"),
    ];
    let row = |step: &TraceStep| {
        let by = if step.kind() == TraceKind::Sent { "producer" } else { "consumer" };
        let time = Some(step.time_ms).filter(|time| *time > 0).map_or_else(nothing, utc);
        let result = if step.is_success { "success" } else { "failed" };
        let [by, result] = [by, result].map(str::to_owned);
        vec![time, by, step.group.clone(), step.host.clone(), step.cost_ms.to_string(), result]
    };
    Sheet::new(columns, steps.iter().map(row).collect()).as_table() + "\n"
}

fn in_full(message: &StoredMessage) -> String {
    let place = format!("queue {}, offset {}", message.queue, message.queue_offset);
    let place = match &message.broker {
        Some(broker) => format!("{broker}, {place}"),
        None => place,
    };
    let mut text = String::new();
    let mut line = |name: &str, value: &str| text += &fact(name, 10, value);
    line("id", &message.id);
    line("offset id", &message.offset_id);
    line("topic", &message.topic);
    line("at", &place);
    line("born", &format!("{} at {}", utc(message.born_ms), message.born_host));
    line("stored", &format!("{} at {}", utc(message.stored_ms), message.store_host));
    line("retries", &message.reconsume_times.to_string());
    for (key, value) in &message.properties {
        line("property", &format!("{key} = {value}"));
    }
    line("body", &format!("{} bytes", message.body.len()));
    text + "\n" + &body(message) + "\n"
}

/// A body as JSON if it is, as text if it is, else as hex.
fn body(message: &StoredMessage) -> String {
    let Some(text) = &message.body_text else { return hex(&message.body) };
    let indented = indented_json(text);
    let shown = indented.as_ref().unwrap_or(text);
    shown.lines().map(|line| safe(line) + "\n").collect()
}

fn hex(bytes: &[u8]) -> String {
    let mut text = hexdump(&bytes[..bytes.len().min(HEX_BYTES_MAX)]);
    if bytes.len() > HEX_BYTES_MAX {
        text += "...\n";
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(body: &[u8]) -> StoredMessage {
        StoredMessage {
            id: "A1".to_owned(),
            offset_id: "B2".to_owned(),
            topic: "T".to_owned(),
            broker: Some("broker-a".to_owned()),
            queue: 3,
            queue_offset: 7,
            tags: Some("x".to_owned()),
            born_host: "h:1".to_owned(),
            store_host: "h:2".to_owned(),
            properties: [("TAGS".to_owned(), "x".to_owned())].into(),
            body: body.to_vec(),
            body_text: std::str::from_utf8(body).ok().map(str::to_owned),
            ..StoredMessage::default()
        }
    }

    #[test]
    fn a_message_is_shown_with_its_body_and_tracks() {
        let track = MessageTrack {
            group: "g".to_owned(),
            is_consumed: true,
            state: TrackState::NotOnline.into(),
            ..MessageTrack::default()
        };
        let unknown = MessageTrack {
            group: "h".to_owned(),
            state: TrackState::Unknown.into(),
            reason: Some("no answer".to_owned()),
            ..MessageTrack::default()
        };
        let sent = TraceStep {
            kind: TraceKind::Sent.into(),
            group: "p".to_owned(),
            host: "h".to_owned(),
            time_ms: 1000,
            cost_ms: 3,
            is_success: true,
        };
        let consumed = TraceStep { kind: TraceKind::Consumed.into(), time_ms: 0, ..sent.clone() };
        let found = GetMessageResponse {
            messages: vec![message(b"{\"a\":1}")],
            tracks: vec![track, unknown],
            trace: vec![sent, TraceStep { is_success: false, ..consumed }],
            problems: Vec::new(),
        };
        let expected = "\
id         A1
offset id  B2
topic      T
at         broker-a, queue 3, offset 7
born       1970-01-01 00:00:00 at h:1
stored     1970-01-01 00:00:00 at h:2
retries    0
property   TAGS = x
body       7 bytes

{
  \"a\": 1
}

TRACE (UTC)          BY        GROUP  HOST  MS  RESULT
1970-01-01 00:00:01  producer  p      h      3  success
-                    consumer  p      h      3  failed

GROUP  STATE       HAS GONE ON BEHIND IT  CONNECTED
g      not-online  yes                    no
h      unknown     no                     no
";
        let report = show(&found, Output::Table);
        assert_eq!(report.text, expected);
        assert_eq!(report.problems, ["what became of it in h: no answer"]);
    }

    #[test]
    fn what_is_sent_has_a_place_and_what_is_not_only_a_queue() {
        let message = SendMessageResponse {
            id: "A1".to_owned(),
            offset_id: "B2".to_owned(),
            broker: "broker-a".to_owned(),
            queue: 3,
            queue_offset: 7,
            status: "SEND_OK".to_owned(),
        };
        let expected = "\
ID  BROKER    QUEUE  OFFSET  STATUS   OFFSET ID
A1  broker-a      3       7  SEND_OK  B2
";
        assert_eq!(sent(&message, Output::Wide).text, expected);
        let dry = SendMessageResponse {
            id: String::new(),
            queue_offset: 0,
            status: "DRY_RUN".to_owned(),
            ..message
        };
        let expected = "\
ID  BROKER    QUEUE  OFFSET  STATUS
-   broker-a      3       -  DRY_RUN
";
        let report = sent(&dry, Output::Table);
        assert_eq!((report.text.as_str(), report.notes.len()), (expected, 1));
    }

    #[test]
    fn messages_of_a_key_have_a_line_each() {
        let found = |messages| FindMessagesResponse { messages, problems: Vec::new() };
        let expected = "\
ID  STORED (UTC)         BROKER    QUEUE  OFFSET  TAGS  BODY
A1  1970-01-01 00:00:00  broker-a      3       7  x     hi
";
        assert_eq!(list(found(vec![message(b"hi")]), Output::Table).text, expected);
        let none = list(found(Vec::new()), Output::Table);
        assert_eq!((none.text.as_str(), &*none.notes[0]), ("", "No message has that key."));
    }

    #[test]
    fn what_a_member_made_of_a_message_is_told_and_failed_if_it_was_not_content() {
        let told = |result: &str, remark: Option<&str>| ConsumeDirectlyResponse {
            client_id: "c".to_owned(),
            result: Some(result.to_owned()),
            remark: remark.map(str::to_owned),
            spent_ms: 12,
            members: Vec::new(),
        };
        let good = made_of_it(&told("CR_SUCCESS", None), Output::Table);
        assert_eq!(good.text, "MEMBER  RESULT      MS\nc       CR_SUCCESS  12\n");
        assert!(!good.has_failed && good.problems.is_empty());
        let bad = made_of_it(&told("CR_THROW_EXCEPTION", Some("no stock")), Output::Table);
        assert_eq!(bad.problems, ["c was not content: no stock"]);
        assert!(bad.has_failed);
        let member = GroupMember { client_id: "c".to_owned(), ..GroupMember::default() };
        let could = ConsumeDirectlyResponse { members: vec![member], ..told("", None) };
        let could = could_get_it(&could, Output::Table);
        assert_eq!(could.notes, ["Nothing was done: c would get it."]);
    }

    #[test]
    fn bodies_are_text_or_hex_and_no_cursor_moves() {
        assert_eq!(body(&message(b"a\x1b[2J\nb")), "a\\u{1b}[2J\nb\n");
        let expected = "00000000  ff 41                                            .A\n";
        assert_eq!(body(&message(&[0xff, 0x41])), expected);
        assert!(hex(&[0; 513]).ends_with("...\n"));
        let expected = "1970-01-01 00:00:00  broker-a 3:7  A1  x  hi\\n\n";
        assert_eq!(line(&message(b"hi\n"), Output::Table), expected);
        let json = line(&message(&[0xff]), Output::Json);
        assert!(
            json.contains("\"body\":\"/w==\"") && json.contains("\"body_text\":null"),
            "{json}"
        );
    }
}
