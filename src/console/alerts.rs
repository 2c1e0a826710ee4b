//! Alerts: what is wrong, what was silenced, which rules there are, and a test of the receivers.
//!
//! Those of this node, which looks at all of its cluster, said in the page's language, but for what others answered (reasons
//! of errors, as everywhere on these pages). Not when a rule fires (`crate::admin::alerts`), which is only told
//! here, nor who is told, which is in the node's settings.

use askama::Template;
use axum::extract::State;
use tokio::time::Instant;

use super::change::{Confirm, change, result};
use super::server::CLUSTER_MAX;
use super::visitor::{Fields, Page, Posted, Visitor, query_escaped};
use super::{Answer, Pages, Paging, format, html, may_call, redirect};
use crate::admin::alerts::{Rule, filled};
use crate::config::Alerts as Settings;
use crate::model::human_seconds;
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
    /// The page of what it is about, if it has one.
    path: Option<String>,
    /// What it is about, what is wrong, and what to do, in the page's language.
    subject: String,
    text: String,
    fix: String,
    alert: Alert,
}

/// A silence.
struct Silence {
    until: (String, String),
    left: String,
    silence: AlertSilence,
}

/// A rule, what it fires at as the settings are now, and how many alerts it has.
struct RuleRow {
    name: &'static str,
    severity: &'static str,
    /// Each of which is enough; none if it is switched off.
    fires_at: Vec<String>,
    /// How long it must be so.
    lasting: String,
    /// The settings of `[alerts]` that say it.
    keys: &'static [&'static str],
    fix: &'static str,
    alerts: usize,
}

#[derive(Template)]
#[template(path = "alerts.html")]
struct AlertsPage<'a> {
    page: &'a Page,
    rows: Vec<Row>,
    paging: Paging,
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
    fn of(page: &Page, alert: Alert, now_ms: i64) -> Self {
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
            path: path_of(&alert),
            subject: subject_of(page, &alert).to_owned(),
            text: filled(page.t(&alert.words), &alert.values, |word| page.t(word)),
            fix: page.t(&alert.fix).to_owned(),
            alert,
        }
    }

    /// Where it stands: what fires before what may, what is bad before what may become so, and what is silenced last.
    fn place(&self) -> (usize, bool) {
        let states = ["firing", "pending", "silenced"];
        let state = states.iter().position(|state| *state == self.state);
        (state.unwrap_or(states.len()), self.alert.severity != "critical")
    }
}

/// The page of the group that an alert is about, which may be as `group in topic`.
fn path_of(alert: &Alert) -> Option<String> {
    let group = query_escaped(alert.subject.split(" in ").next()?);
    match alert.rule.as_str() {
        "lag" | "lag-age" | "no-consumer" | "subscriptions" => Some(format!("/groups/{group}")),
        "dead-letters" => Some(format!("/dead-letters/{group}")),
        _ => None,
    }
}

/// What an alert is about; names of others are left as they are.
fn subject_of<'a>(page: &Page, alert: &'a Alert) -> &'a str {
    if alert.rule == Rule::Certificate.name() { page.t("this node") } else { &alert.subject }
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
    // Those of a node that does not look: all rules are off.
    let settings = pages.of_node.alerts.settings().unwrap_or_default();
    let of_rule = |rule: &Rule| RuleRow {
        name: rule.name(),
        severity: rule.severity(),
        fires_at: fires_at(&visitor.page, *rule, &settings),
        lasting: human_seconds(settings.pending_s.saturating_mul(rule.patience().unsigned_abs())),
        keys: keys(*rule),
        fix: visitor.page.t(rule.fix()),
        alerts: listed.alerts.iter().filter(|alert| alert.rule == rule.name()).count(),
    };
    let rules = Rule::ALL.iter().map(of_rule).collect();
    let silence = |silence: AlertSilence| Silence {
        until: format::moment(silence.until_ms),
        left: format::duration(silence.until_ms - now_ms),
        silence,
    };
    let round = Some(listed.round_ms).filter(|ms| *ms > 0);
    let row = |alert| Row::of(&visitor.page, alert, now_ms);
    let mut rows: Vec<_> = listed.alerts.into_iter().map(row).collect();
    rows.sort_by_key(Row::place);
    let (rows, paging) = Paging::of(rows, query.number("page"), String::new());
    Ok(html(&AlertsPage {
        page: &visitor.page,
        rows,
        paging,
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

/// The settings of `[alerts]` that a rule goes by, but for `enabled` and `pending_s`, which are of all.
fn keys(rule: Rule) -> &'static [&'static str] {
    match rule {
        Rule::Lag => &["lag_messages"],
        Rule::LagAge => &["lag_age_s"],
        Rule::NoConsumer => &["no_consumer"],
        Rule::BrokerGone | Rule::NameServerGone | Rule::WritePermission => &[],
        Rule::Replication => &["slave_behind_bytes", "slave_behind_s"],
        Rule::Disk => &["disk_percent"],
        Rule::DiskForecast => &["disk_forecast_hours"],
        Rule::Certificate => &["certificate_days"],
        Rule::DeadLetters => &["dead_letters_per_hour"],
        Rule::Subscriptions => &["subscriptions"],
        Rule::Clock => &["clock_difference_ms"],
    }
}

/// What a rule fires at: sentences of which one has to be true; none if it is switched off.
fn fires_at(page: &Page, rule: Rule, settings: &Settings) -> Vec<String> {
    if !settings.enabled {
        return Vec::new();
    }
    let from = |limit: u64, text: String| (limit > 0).then_some(text);
    let number = format::number;
    let one = match rule {
        Rule::Lag => {
            let limit = settings.lag_messages;
            from(limit, page.t1("a group has not got {} messages of a topic", number(limit)))
        }
        Rule::LagAge => {
            let limit = settings.lag_age_s;
            let age = human_seconds(limit);
            from(limit, page.t1("a group has not got a message that is {} old", age))
        }
        Rule::NoConsumer => {
            let text = page.t("messages wait for a group of which nobody is connected");
            settings.no_consumer.then(|| text.to_owned())
        }
        Rule::BrokerGone => {
            Some(page.t("a broker does not answer, or is not registered any more").to_owned())
        }
        Rule::NameServerGone => Some(page.t("a name server does not answer").to_owned()),
        Rule::WritePermission => Some(
            page.t("a name server keeps producers away from a master that takes messages")
                .to_owned(),
        ),
        Rule::Replication => return slave(page, settings),
        Rule::Disk => {
            let limit = settings.disk_percent;
            from(limit.into(), page.t1("a disk is {} % full", limit))
        }
        Rule::DiskForecast => {
            let limit = settings.disk_forecast_hours;
            let text = page.t1("as it fills, a disk has no room for messages in {} hours", limit);
            from(limit, text)
        }
        Rule::Certificate => {
            let limit = settings.certificate_days;
            from(limit, page.t1("the certificate of this node ends in {} days", limit))
        }
        Rule::DeadLetters => {
            let limit = settings.dead_letters_per_hour;
            from(limit, page.t1("{} new dead letters of a group within an hour", number(limit)))
        }
        Rule::Subscriptions => {
            let text = page.t("members of a group subscribe to different things");
            settings.subscriptions.then(|| text.to_owned())
        }
        Rule::Clock => {
            let limit = settings.clock_difference_ms;
            from(limit, page.t1("the clocks of two hosts differ by {} ms", number(limit)))
        }
    };
    one.into_iter().collect()
}

/// The same of replication.
fn slave(page: &Page, settings: &Settings) -> Vec<String> {
    let (bytes, seconds) = (settings.slave_behind_bytes, settings.slave_behind_s);
    let mut any = Vec::new();
    if bytes > 0 {
        any.push(page.t1("a slave lacks {} of its master's log", format::bytes(bytes)));
    }
    if seconds > 0 {
        any.push(page.t1("a slave's log is {} behind its master's", human_seconds(seconds)));
    }
    any.push(page.t("a slave cannot copy its master").to_owned());
    any
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
        question,
        warning,
        action: format!("{PATH}/silence"),
        fields: fields.kept(["rule", "subject", "hours", "comment"]),
        label,
        back: PATH.to_owned(),
        ..Confirm::on(page)
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
            question: page.t("Send a test message to every receiver?").to_owned(),
            action: format!("{PATH}/test"),
            label: page.t("Send"),
            back: PATH.to_owned(),
            ..Confirm::on(page)
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

#[cfg(test)]
mod tests {
    use super::super::text::Language;
    use super::*;

    #[test]
    fn what_fires_and_is_bad_stands_first() {
        let row = |severity: &str, state: AlertState, is_silenced| {
            let severity = severity.to_owned();
            let alert = Alert { severity, state: state.into(), is_silenced, ..Alert::default() };
            Row::of(&page(Language::English), alert, 0)
        };
        let mut rows = [
            row("critical", AlertState::Firing, true),
            row("warning", AlertState::Pending, false),
            row("warning", AlertState::Firing, false),
            row("critical", AlertState::Pending, false),
            row("critical", AlertState::Firing, false),
        ];
        rows.sort_by_key(Row::place);
        let shown = rows.map(|row| (row.state, row.alert.severity));
        let expected = [
            ("firing", "critical"),
            ("firing", "warning"),
            ("pending", "critical"),
            ("pending", "warning"),
            ("silenced", "critical"),
        ];
        assert_eq!(shown, expected.map(|(state, severity)| (state, severity.to_owned())));
    }

    #[test]
    fn alerts_about_groups_lead_to_them() {
        let path = |rule: Rule, subject: &str| {
            let (rule, subject) = (rule.name().to_owned(), subject.to_owned());
            path_of(&Alert { rule, subject, ..Alert::default() })
        };
        for rule in [Rule::Lag, Rule::LagAge, Rule::NoConsumer] {
            assert_eq!(path(rule, "a%b in T").as_deref(), Some("/groups/a%25b"));
        }
        assert_eq!(path(Rule::Subscriptions, "g").as_deref(), Some("/groups/g"));
        assert_eq!(path(Rule::DeadLetters, "g").as_deref(), Some("/dead-letters/g"));
        assert_eq!(path(Rule::Disk, "broker-a 0"), None);
    }

    #[test]
    fn an_alert_is_said_in_the_language_of_its_page() {
        let alert = Alert {
            rule: "replication".to_owned(),
            subject: "all 1 (h:1)".to_owned(),
            words: "{}: {word}, {} behind{}".to_owned(),
            values: ["all 1 (h:1)", "conflict", "64.0 MiB", ""].map(str::to_owned).into(),
            fix: Rule::Disk.fix().to_owned(),
            ..Alert::default()
        };
        let row = |language| Row::of(&page(language), alert.clone(), 0);
        let (english, chinese) = (row(Language::English), row(Language::Chinese));
        assert_eq!(english.text, "all 1 (h:1): conflict, 64.0 MiB behind");
        // Names of others stay what they are, also where they are words of ours.
        assert_eq!(
            (&*chinese.text, &*chinese.subject),
            ("all 1 (h:1)：冲突，落后 64.0 MiB", "all 1 (h:1)")
        );
        assert!(chinese.fix.starts_with("清理磁盘"), "{}", chinese.fix);
        let (rule, subject) = ("certificate".to_owned(), "this node".to_owned());
        let certificate = Alert { rule, subject, ..Alert::default() };
        assert_eq!(subject_of(&page(Language::Chinese), &certificate), "本节点");
    }

    fn page(language: Language) -> Page {
        Page::plain(language, PATH)
    }

    #[test]
    fn rules_say_what_the_settings_make_of_them() {
        let (english, chinese) = (page(Language::English), page(Language::Chinese));
        let off = Settings::default();
        let enabled = Settings { enabled: true, ..off.clone() };
        let on = Settings {
            lag_messages: 100_000,
            lag_age_s: 600,
            no_consumer: true,
            slave_behind_bytes: 64 << 20,
            slave_behind_s: 60,
            disk_percent: 85,
            disk_forecast_hours: 24,
            certificate_days: 14,
            dead_letters_per_hour: 1,
            subscriptions: true,
            clock_difference_ms: 1000,
            ..enabled.clone()
        };
        for rule in Rule::ALL {
            assert_eq!(fires_at(&english, rule, &off), [""; 0], "{rule:?}");
            // What has no threshold cannot be switched off by one.
            let rest = fires_at(&english, rule, &enabled).len();
            let told = fires_at(&english, rule, &on);
            let always = keys(rule).is_empty() || rule == Rule::Replication;
            assert_eq!(
                (rest, told.len()),
                (usize::from(always), rest + keys(rule).len()),
                "{rule:?}"
            );
            for (text, in_chinese) in told.iter().zip(fires_at(&chinese, rule, &on)) {
                assert!(!text.contains("{}") && *text != in_chinese, "{text}");
            }
        }
        let told = fires_at(&english, Rule::Replication, &on);
        assert_eq!(
            told[..2],
            [
                "a slave lacks 64.0 MiB of its master's log",
                "a slave's log is 1 min 0 s behind its master's"
            ]
        );
        let told = fires_at(&english, Rule::Lag, &on);
        assert_eq!(told, ["a group has not got 100\u{202f}000 messages of a topic"]);
    }
}
