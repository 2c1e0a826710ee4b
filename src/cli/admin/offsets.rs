//! `rmq-node admin offsets`: letting a group go on elsewhere.

use clap::{Args, Subcommand};

use super::door::Door;
use super::output::{Confirmation, Output, Report, Reported, not_confirmed};
use super::sheet::{Sheet, nothing, numbers, words};
use crate::cli::table::time_ms;
use crate::proto::v1::offsets_client::OffsetsClient;
use crate::proto::v1::{
    Outcome, QueueReset, ResetOffsetsRequest, ResetOffsetsResponse, ResetTarget,
};

/// The verbs.
#[derive(Clone, Debug, Subcommand)]
pub enum OffsetsAction {
    /// Let a group go on elsewhere in a topic. Connected members are told, which is possible for `earliest`, `latest` and
    /// a time; without members any target is.
    Reset(Reset),
}

/// The arguments.
#[derive(Args, Clone, Debug)]
pub struct Reset {
    /// The group.
    group: String,
    /// The topic.
    #[arg(short, long, value_name = "NAME")]
    topic: String,
    /// Where to: `earliest`, `latest`, a time as `2026-11-25T01:26:19` in UTC or milliseconds since 1970, so many messages
    /// further on or back as `+10` or `-10`, or an offset as `@10`.
    #[arg(long, value_name = "TARGET", value_parser = target, allow_hyphen_values = true)]
    to: (ResetTarget, i64),
    /// Show each queue before and after, and change nothing.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    confirmation: Confirmation,
}

fn target(text: &str) -> Result<(ResetTarget, i64), String> {
    let number = |text: &str| text.parse::<i64>().ok();
    let target = match text {
        "earliest" => Some((ResetTarget::Earliest, 0)),
        "latest" => Some((ResetTarget::Latest, 0)),
        _ if text.starts_with(['+', '-']) => number(text).map(|by| (ResetTarget::Shift, by)),
        _ if text.starts_with('@') => {
            number(&text[1..]).filter(|at| *at >= 0).map(|at| (ResetTarget::Offset, at))
        }
        _ => number(text).or_else(|| time_ms(text)).map(|time| (ResetTarget::Time, time)),
    };
    target.ok_or_else(|| {
        "write earliest, latest, a time as 2026-11-25T01:26:19 or in milliseconds, +n, -n or @offset".to_owned()
    })
}

/// Does what the verb says.
///
/// # Errors
/// As the service's.
pub async fn run(action: OffsetsAction, door: Door, output: Output) -> Reported {
    let OffsetsAction::Reset(reset) = action;
    let mut offsets = OffsetsClient::new(door);
    let question = format!(
        "Group {} goes on elsewhere in topic {}: what it passes over it does not get, what it goes back over it gets again.",
        reset.group, reset.topic
    );
    if !reset.dry_run && !reset.confirmation.is_given(&question) {
        return Ok(not_confirmed());
    }
    let (target, value) = reset.to;
    let request = ResetOffsetsRequest {
        group: reset.group,
        topic: reset.topic,
        target: target.into(),
        value,
        dry_run: reset.dry_run,
    };
    Ok(shown(offsets.reset(request).await?.into_inner(), output))
}

fn shown(answer: ResetOffsetsResponse, output: Output) -> Report {
    let columns = vec![
        words("BROKER"),
        numbers("QUEUE"),
        numbers("MIN OFFSET"),
        numbers("MAX OFFSET"),
        numbers("BEFORE"),
        numbers("AFTER"),
        words("OUTCOME"),
    ];
    let row = |queue: &QueueReset| {
        vec![
            queue.broker.clone(),
            queue.queue.to_string(),
            queue.min_offset.to_string(),
            queue.max_offset.to_string(),
            queue.before.map_or_else(nothing, |before| before.to_string()),
            queue.after.to_string(),
            queue.outcome().as_word().to_owned(),
        ]
    };
    let failed: Vec<_> =
        answer.queues.iter().filter(|queue| queue.outcome() == Outcome::Failed).collect();
    let has_failed = !failed.is_empty() && failed.len() == answer.queues.len();
    let not_done = failed.iter().map(|queue| {
        let reason = queue.reason.as_deref().unwrap_or_default();
        format!("not done: queue {} of {}: {reason}", queue.queue, queue.broker)
    });
    let not_done: Vec<_> = not_done.collect();
    let mut notes = Vec::new();
    if answer.members_told {
        notes.push(
            "Members of the group are connected: they are told, and go there by themselves."
                .to_owned(),
        );
    }
    if answer.queues.iter().all(|queue| queue.outcome() == Outcome::DryRun) {
        notes.push("Nothing was changed: this was a dry run.".to_owned());
    }
    let sheet = Sheet::new(columns, answer.queues.iter().map(row).collect());
    let mut report = Report::new(sheet.render(&answer, output), answer.problems.clone());
    report.problems.extend(not_done);
    Report { notes: output.notes(notes), has_failed, ..report }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_read() {
        let expected = [
            ("earliest", (ResetTarget::Earliest, 0)),
            ("latest", (ResetTarget::Latest, 0)),
            ("+5", (ResetTarget::Shift, 5)),
            ("-5", (ResetTarget::Shift, -5)),
            ("@7", (ResetTarget::Offset, 7)),
            ("1764035179000", (ResetTarget::Time, 1_764_035_179_000)),
            ("2025-11-25T01:46:19", (ResetTarget::Time, 1_764_035_179_000)),
        ];
        for (text, wanted) in expected {
            assert_eq!(target(text), Ok(wanted), "{text}");
        }
        for text in ["", "now", "@-1", "@", "+", "2025-13-01T00:00:00", "2025-02-30T00:00:00"] {
            assert!(target(text).is_err(), "{text}");
        }
    }

    #[test]
    fn each_queue_is_shown_before_and_after() {
        let queue = |queue, before, outcome: Outcome| QueueReset {
            broker: "a".to_owned(),
            queue,
            before,
            after: 5,
            min_offset: 0,
            max_offset: 10,
            outcome: outcome.into(),
            reason: (outcome == Outcome::Failed).then(|| "no".to_owned()),
        };
        let answer = |outcome| ResetOffsetsResponse {
            queues: vec![queue(0, Some(7), outcome), queue(1, None, Outcome::Failed)],
            ..ResetOffsetsResponse::default()
        };
        let report = shown(answer(Outcome::Done), Output::Table);
        let expected = "\
BROKER  QUEUE  MIN OFFSET  MAX OFFSET  BEFORE  AFTER  OUTCOME
a           0           0          10       7      5  done
a           1           0          10       -      5  failed
";
        assert_eq!(report.text, expected);
        assert_eq!(report.problems, ["not done: queue 1 of a: no"]);
        assert!(!report.has_failed && shown(answer(Outcome::Failed), Output::Table).has_failed);
    }
}
