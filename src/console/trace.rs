//! What clients that write traces did with a message, drawn along the time.
//!
//! Not what brokers know of it (`messages`). Invariant: what has no time is in the table, and not drawn.

use askama::Template;
use axum::extract::State;

use super::visitor::{Fields, Page, Visitor};
use super::{Answer, Pages, format, html};
use crate::model::system;
use crate::proto::v1::{FindMessagesRequest, Problem, StoredMessage, TraceKind, TraceStep};

/// Messages of a key that are looked for.
const OF_KEY: u32 = 32;
/// The drawing: how wide what is drawn is, where it begins, and how high a step is.
const WIDTH: i64 = 620;
const LEFT: i64 = 16;
const STEP: i64 = 42;
/// Where the first step begins, under the times.
const TOP: i64 = 30;
/// The shortest bar that can be seen.
const BAR_MIN: i64 = 4;
/// Lines that divide the time.
const TICKS: i64 = 4;

/// A step as a bar.
pub struct Bar {
    /// Its place.
    pub x: i64,
    /// Its place.
    pub y: i64,
    /// How long it is.
    pub width: i64,
    /// Whether it is a consumer's.
    pub is_consumed: bool,
    /// Whether it went well.
    pub is_success: bool,
    /// As whose member.
    pub group: String,
    /// How long it took.
    pub cost: String,
}

/// A step in the table.
pub struct Step {
    /// What was done.
    pub kind: &'static str,
    /// When it began.
    pub begun: Option<(String, String)>,
    /// How long it took.
    pub cost: String,
    /// The rest of it.
    pub step: TraceStep,
}

/// All steps, along the time.
pub struct Timeline {
    /// The steps that have a time.
    pub bars: Vec<Bar>,
    /// A line that divides the time: its place and what stands at it.
    pub ticks: Vec<(i64, String)>,
    /// How high it is.
    pub height: i64,
    /// How wide.
    pub width: i64,
    /// All steps.
    pub steps: Vec<Step>,
}

/// When a step began: a consumer writes when it ended.
fn begun_ms(step: &TraceStep) -> Option<i64> {
    let at = Some(step.time_ms).filter(|ms| *ms > 0)?;
    Some(if step.kind() == TraceKind::Consumed { at.saturating_sub(step.cost_ms) } else { at })
}

/// `value * by / of`, also of the times of clients that write anything.
fn scaled(value: i64, by: i64, of: i64) -> i64 {
    let scaled = i128::from(value) * i128::from(by) / i128::from(of);
    i64::try_from(scaled).unwrap_or(i64::MAX)
}

impl Timeline {
    /// Draws the steps.
    pub fn of(steps: Vec<TraceStep>) -> Self {
        let times: Vec<_> = steps.iter().filter_map(|step| Some((begun_ms(step)?, step))).collect();
        let first = times.iter().map(|(at, _)| *at).min().unwrap_or_default();
        let end = |(at, step): &(i64, &TraceStep)| at.saturating_add(step.cost_ms.max(0));
        let last = times.iter().map(end).max().unwrap_or_default();
        let length = last.saturating_sub(first).max(1);
        let x = |ms: i64| scaled(ms, WIDTH, length).clamp(0, WIDTH);
        let bar = |(row, (at, step)): (i64, &(i64, &TraceStep))| Bar {
            x: LEFT + x(at.saturating_sub(first)).min(WIDTH - BAR_MIN),
            y: TOP + row * STEP,
            width: x(step.cost_ms.max(0)).max(BAR_MIN),
            is_consumed: step.kind() == TraceKind::Consumed,
            is_success: step.is_success,
            group: step.group.clone(),
            cost: cost(step.cost_ms),
        };
        let bars: Vec<_> = (0..).zip(&times).map(bar).collect();
        let tick = |at: i64| (LEFT + at * WIDTH / TICKS, cost(scaled(at, length, TICKS)));
        let height = TOP + STEP * i64::try_from(bars.len()).unwrap_or(0);
        let ticks = (0..=TICKS).map(tick).collect();
        drop(times);
        let steps = steps.into_iter().map(Step::of).collect();
        Self { bars, ticks, height, width: LEFT + WIDTH + 90, steps }
    }
}

impl Step {
    fn of(step: TraceStep) -> Self {
        let kind = if step.kind() == TraceKind::Consumed { "consumed" } else { "sent" };
        let begun = begun_ms(&step).map(format::moment);
        Self { kind, begun, cost: cost(step.cost_ms), step }
    }
}

/// As `17 ms`, or longer ones as `2 min 3 s`.
fn cost(ms: i64) -> String {
    if ms < 10_000 { format!("{ms} ms") } else { format::duration(ms) }
}

/// A message that has the key.
struct Found {
    message: StoredMessage,
    stored: (String, String),
}

#[derive(Template)]
#[template(path = "trace.html")]
struct TracePage<'a> {
    page: &'a Page,
    by: &'static str,
    /// The topic that clients write traces to.
    traces: &'a str,
    id: &'a str,
    topic: &'a str,
    key: &'a str,
    /// None if nothing was asked for.
    timeline: Option<Timeline>,
    /// The same of messages of a key.
    found: Option<Vec<Found>>,
    problems: Vec<Problem>,
    error: Option<String>,
}

/// Of an id its trace; of a key the messages that have it.
pub async fn show(State(pages): State<Pages>, visitor: Visitor, query: Fields) -> Answer {
    let traces = match query.get("traces") {
        "" => system::TRACE_TOPIC,
        named => named,
    };
    let mut shown = TracePage {
        page: &visitor.page,
        traces,
        by: if query.get("by") == "key" { "key" } else { "id" },
        id: query.get("id"),
        topic: query.get("topic"),
        key: query.get("key"),
        timeline: None,
        found: None,
        problems: Vec::new(),
        error: None,
    };
    if shown.by == "id" && !shown.id.is_empty() {
        match pages.asking().trace(shown.id, Some(traces)).await {
            Ok((steps, problems)) => {
                (shown.timeline, shown.problems) = (Some(Timeline::of(steps)), problems);
            }
            Err(error) => shown.error = Some(error.to_string()),
        }
    } else if shown.by == "key" && !shown.key.is_empty() && !shown.topic.is_empty() {
        let (topic, key) = (shown.topic.to_owned(), shown.key.to_owned());
        let request = FindMessagesRequest { topic, key, limit: Some(OF_KEY) };
        let found =
            |message: StoredMessage| Found { stored: format::moment(message.stored_ms), message };
        match pages.asking().find_messages(&request).await {
            Ok(told) => {
                shown.found = Some(told.messages.into_iter().map(found).collect());
                shown.problems = told.problems;
            }
            Err(error) => shown.error = Some(error.to_string()),
        }
    }
    Ok(html(&shown))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_drawn_where_they_were() {
        let step = |kind: TraceKind, time_ms, cost_ms| TraceStep {
            kind: kind.into(),
            time_ms,
            cost_ms,
            is_success: true,
            ..TraceStep::default()
        };
        // The consumer was done at 1100, and began at 1050.
        let steps = vec![
            step(TraceKind::Sent, 1000, 20),
            step(TraceKind::Consumed, 1100, 50),
            step(TraceKind::Consumed, 0, 5),
        ];
        let drawn = Timeline::of(steps);
        let bars: Vec<_> = drawn.bars.iter().map(|bar| (bar.x - LEFT, bar.width)).collect();
        assert_eq!(bars, [(0, WIDTH / 5), (WIDTH / 2, WIDTH / 2)]);
        assert_eq!(drawn.ticks.last().unwrap(), &(LEFT + WIDTH, "100 ms".to_owned()));
        assert_eq!((drawn.steps.len(), drawn.steps[2].begun.is_none()), (3, true));
        let nothing = Timeline::of(Vec::new());
        assert_eq!((nothing.bars.len(), nothing.steps.len()), (0, 0));
        // Far apart, every bar is still there.
        let far =
            Timeline::of(vec![step(TraceKind::Sent, 1, 0), step(TraceKind::Sent, i64::MAX, 0)]);
        assert!(
            far.bars.iter().all(|bar| bar.width == BAR_MIN && bar.x + bar.width <= LEFT + WIDTH)
        );
    }
}
