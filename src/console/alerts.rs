//! Alerts: what is wrong, what was silenced, which rules there are, and a test of the receivers.
//!
//! Those of this node, which looks at all of its cluster. Not who is told, which is in the node's settings.

use askama::Template;
use axum::extract::State;
use tokio::time::Instant;

use super::change::{Confirm, change, result};
use super::server::CLUSTER_MAX;
use super::visitor::{Fields, Page, Posted, Visitor};
use super::{Answer, Pages, format, html, may_call, redirect};
use crate::admin::alerts::Rule;
use crate::proto::v1::{
    Alert, AlertSilence, AlertState, ListAlertsResponse, Problem, SilenceAlertsRequest,
    SilenceAlertsResponse, TestAlertsRequest, TestAlertsResponse,
};

const PATH: &str = "/alerts";
/// For how long something can be silenced, in hours.
const HOURS: [u64; 5] = [1, 4, 24, 72, 168];

/// Something that is wrong.
struct Row {
    state: &'static str,
    /// How bad it is, as a badge.
    health: &'static str,
    since: (String, String),
    lasts: String,
    alert: Alert,
}

/// A silence.
struct Silence {
    until: (String, String),
    left: String,
    silence: AlertSilence,
}

/// A rule, and how many alerts it has.
struct RuleRow {
    name: &'static str,
    severity: &'static str,
    fix: &'static str,
    alerts: usize,
}

#[derive(Template)]
#[template(path = "alerts.html")]
struct AlertsPage<'a> {
    page: &'a Page,
    rows: Vec<Row>,
    silences: Vec<Silence>,
    rules: Vec<RuleRow>,
    problems: Vec<Problem>,
    is_elsewhere: bool,
    /// When it was looked last; none before the first time.
    round: Option<(String, String)>,
    is_telling: bool,
    hours: [u64; 5],
    /// What the form to silence begins with.
    rule: &'a str,
    subject: &'a str,
    /// Why there are none.
    error: Option<String>,
}

impl Row {
    fn of(alert: Alert, now_ms: i64) -> Self {
        let state = match alert.state() {
            _ if alert.is_silenced => "silenced",
            AlertState::Firing => "firing",
            _ => "pending",
        };
        let health = match alert.severity.as_str() {
            "critical" => "bad",
            _ => "warn",
        };
        Self {
            state,
            health: if state == "firing" { health } else { "" },
            since: format::moment(alert.since_ms),
            lasts: format::duration(now_ms - alert.since_ms),
            alert,
        }
    }
}

/// How many fire and are not silenced; none if they are off, or of another cluster than the pages.
pub fn firing(pages: &Pages) -> Option<usize> {
    if pages.is_elsewhere {
        return None;
    }
    let listed = pages.of_node.alerts.list().ok()?;
    let fires = |alert: &&Alert| alert.state() == AlertState::Firing && !alert.is_silenced;
    Some(listed.alerts.iter().filter(fires).count())
}

/// Everything that is wrong.
pub async fn show(State(pages): State<Pages>, visitor: Visitor, query: Fields) -> Answer {
    let (listed, error) = match pages.of_node.alerts.list() {
        Ok(listed) => (listed, None),
        Err(error) => (ListAlertsResponse::default(), Some(error.to_string())),
    };
    let now_ms = pages.clock.now_ms();
    let of_rule = |rule: &Rule| RuleRow {
        name: rule.name(),
        severity: rule.severity(),
        fix: rule.fix(),
        alerts: listed.alerts.iter().filter(|alert| alert.rule == rule.name()).count(),
    };
    let rules = Rule::ALL.iter().map(of_rule).collect();
    let silence = |silence: AlertSilence| Silence {
        until: format::moment(silence.until_ms),
        left: format::duration(silence.until_ms - now_ms),
        silence,
    };
    let round = Some(listed.round_ms).filter(|ms| *ms > 0);
    Ok(html(&AlertsPage {
        page: &visitor.page,
        rows: listed.alerts.into_iter().map(|alert| Row::of(alert, now_ms)).collect(),
        silences: listed.silences.into_iter().map(silence).collect(),
        rules,
        problems: listed.problems,
        is_elsewhere: pages.is_elsewhere,
        round: round.map(format::moment),
        is_telling: listed.is_telling,
        hours: HOURS,
        rule: query.get("rule"),
        subject: query.get("subject"),
        error,
    }))
}

/// Asks, then silences, or ends a silence.
pub async fn silence(State(pages): State<Pages>, form: Posted) -> Answer {
    let Posted { visitor, fields } = form;
    may_call(&visitor, "Alerts/Silence")?;
    let Some(hours) = fields.number::<u64>("hours") else {
        return Err(visitor.invalid("This needs a whole number."));
    };
    let request = SilenceAlertsRequest {
        rule: fields.get("rule").to_owned(),
        subject: fields.filled("subject").unwrap_or_else(|| "*".to_owned()),
        duration_s: hours.saturating_mul(3600),
        comment: fields.get("comment").to_owned(),
    };
    if fields.get("sure") != "yes" {
        return Ok(ask(&visitor, &fields, &request).response());
    }
    let (alerts, asked) = (pages.of_node.alerts.clone(), request.clone());
    let work = async move {
        let silences = alerts.silence(&asked).await?;
        Ok(SilenceAlertsResponse { silences })
    };
    let done = change(&pages, &visitor, "Alerts/Silence", &request, work).await;
    done.map_err(|error| visitor.failed(&error))?;
    Ok(redirect(&visitor.page, PATH))
}

fn ask<'a>(visitor: &'a Visitor, fields: &Fields, asked: &SilenceAlertsRequest) -> Confirm<'a> {
    let page = &visitor.page;
    let what = format!("{} · {}", asked.rule, asked.subject);
    let (question, warning, label) = if asked.duration_s == 0 {
        (page.t1("Let this be told again: {}?", what), "", page.t("End"))
    } else {
        let length = page.t1("Nobody is told for {}:", format::duration(hours_ms(asked)));
        let warning = page.t("It stays on this page, and it is told when the silence is over.");
        (format!("{length} {what}"), warning, page.t("Silence"))
    };
    Confirm {
        page,
        question,
        warning,
        rows: Vec::new(),
        action: format!("{PATH}/silence"),
        fields: fields.kept(["rule", "subject", "hours", "comment"]),
        secret: None,
        typed: None,
        is_danger: false,
        label,
        back: PATH.to_owned(),
    }
}

fn hours_ms(asked: &SilenceAlertsRequest) -> i64 {
    i64::try_from(asked.duration_s.saturating_mul(1000)).unwrap_or(i64::MAX)
}

/// Asks, then tells every receiver that this is a test.
pub async fn test(State(pages): State<Pages>, form: Posted) -> Answer {
    let Posted { visitor, fields } = form;
    may_call(&visitor, "Alerts/Test")?;
    let page = &visitor.page;
    if fields.get("sure") != "yes" {
        let confirm = Confirm {
            page,
            question: page.t("Send a test message to every receiver?").to_owned(),
            warning: "",
            rows: Vec::new(),
            action: format!("{PATH}/test"),
            fields: Vec::new(),
            secret: None,
            typed: None,
            is_danger: false,
            label: page.t("Send"),
            back: PATH.to_owned(),
        };
        return Ok(confirm.response());
    }
    let alerts = pages.of_node.alerts.clone();
    let deadline = Instant::now() + CLUSTER_MAX;
    let work = async move { Ok(TestAlertsResponse { done: alerts.test(Some(deadline)).await? }) };
    let done = change(&pages, &visitor, "Alerts/Test", &TestAlertsRequest {}, work).await;
    let done = done.map_err(|error| visitor.failed(&error))?.done;
    Ok(result(page, page.t("Test of the receivers").to_owned(), &done, PATH.to_owned()))
}
