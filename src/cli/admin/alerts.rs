//! `rmq-node admin alerts`: what is not as it should be, what is silenced, and whether receivers are reached.

use clap::{Args, Subcommand};

use super::door::Door;
use super::output::{Output, Report, Reported, what_was_done};
use super::sheet::{Sheet, words};
use crate::cli::table::utc;
use crate::proto::v1::alerts_client::AlertsClient;
use crate::proto::v1::{
    Alert, AlertSilence, AlertState, ListAlertsRequest, ListAlertsResponse, SilenceAlertsRequest,
    TestAlertsRequest,
};

/// The verbs.
#[derive(Clone, Debug, Subcommand)]
pub enum AlertsAction {
    /// List what is wrong, by rule: what it is about, since when, and what to do.
    List,
    /// Do not tell receivers of alerts for a while, or tell them again.
    Silence(SilenceArgs),
    /// List what is silenced, until when and why.
    Silences,
    /// Send a message to every receiver of the settings.
    Test,
}

/// What is silenced.
#[derive(Args, Clone, Debug)]
pub struct SilenceArgs {
    /// A rule as `alerts list` shows it, or `*`.
    rule: String,
    /// What it is about, as `alerts list` shows it; a `*` at its end stands for whatever follows.
    #[arg(default_value = "*")]
    subject: String,
    /// For how many minutes.
    #[arg(short, long, default_value_t = 120, value_name = "MINUTES", value_parser = clap::value_parser!(u64).range(1..=525_600))]
    minutes: u64,
    /// Why, for others who look.
    #[arg(short, long, default_value = "", value_name = "TEXT")]
    comment: String,
    /// Tell receivers again.
    #[arg(long, conflicts_with = "minutes")]
    lift: bool,
}

/// Does what the verb says; lists without one.
///
/// # Errors
/// As the service's.
pub async fn run(action: Option<AlertsAction>, door: Door, output: Output) -> Reported {
    let mut alerts = AlertsClient::new(door);
    Ok(match action.unwrap_or(AlertsAction::List) {
        AlertsAction::List => list(alerts.list(ListAlertsRequest {}).await?.into_inner(), output),
        AlertsAction::Silences => {
            let found = alerts.list(ListAlertsRequest {}).await?.into_inner();
            silences(&found.silences, output)
        }
        AlertsAction::Silence(SilenceArgs { rule, subject, minutes, comment, lift }) => {
            let duration_s = if lift { 0 } else { minutes * 60 };
            let request = SilenceAlertsRequest { rule, subject, duration_s, comment };
            silences(&alerts.silence(request).await?.into_inner().silences, output)
        }
        AlertsAction::Test => {
            let done = alerts.test(TestAlertsRequest {}).await?.into_inner().done;
            what_was_done(&done, "a test", "sent", output)
        }
    })
}

/// What fires in short, for people who look at something else; nothing where alerts cannot be asked for.
pub async fn notes(door: Door) -> Vec<String> {
    let Ok(found) = AlertsClient::new(door).list(ListAlertsRequest {}).await else {
        return Vec::new();
    };
    let fires = |one: &&Alert| one.state() == AlertState::Firing;
    let found = found.into_inner().alerts;
    found.iter().filter(fires).map(|one| format!("{}: {}", one.severity, one.text)).collect()
}

fn state(alert: &Alert) -> String {
    let state = match alert.state() {
        AlertState::Firing => "firing",
        AlertState::Pending => "pending",
        AlertState::Unspecified => "-",
    };
    if alert.is_silenced { format!("{state}, silenced") } else { state.to_owned() }
}

fn list(found: ListAlertsResponse, output: Output) -> Report {
    let columns = vec![
        words("SEVERITY"),
        words("RULE"),
        words("STATE"),
        words("SINCE (UTC)"),
        words("ABOUT").wide(),
        words("WHAT"),
        words("WHAT TO DO").wide(),
    ];
    let row = |one: &Alert| {
        vec![
            one.severity.clone(),
            one.rule.clone(),
            state(one),
            utc(one.since_ms),
            one.subject.clone(),
            one.text.clone(),
            one.fix.clone(),
        ]
    };
    let rows = found.alerts.iter().map(row).collect();
    let text = Sheet::new(columns, rows).render(&found.alerts, output);
    let mut notes = Vec::new();
    match (found.round_ms, found.alerts.is_empty()) {
        (0, _) => notes.push("The node has not looked yet: it just started.".to_owned()),
        (_, true) => notes.push("Nothing is wrong.".to_owned()),
        (_, false) => notes.push("-o wide shows what to do.".to_owned()),
    }
    if !found.silences.is_empty() {
        let count = found.silences.len();
        notes.push(format!("Silenced: {count}, see `rmq-node admin alerts silences`."));
    }
    Report { notes: output.notes(notes), ..Report::new(text, found.problems) }
}

fn silences(silences: &[AlertSilence], output: Output) -> Report {
    let columns = ["RULE", "ABOUT", "UNTIL (UTC)", "COMMENT"].map(words).into();
    let row = |one: &AlertSilence| {
        vec![one.rule.clone(), one.subject.clone(), utc(one.until_ms), one.comment.clone()]
    };
    let mut notes = Vec::new();
    if silences.is_empty() {
        notes.push("Nothing is silenced.".to_owned());
    }
    let sheet = Sheet::new(columns, silences.iter().map(row).collect());
    let text = sheet.render(&silences, output);
    Report { notes: output.notes(notes), ..Report::new(text, Vec::new()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alert() -> Alert {
        Alert {
            rule: "lag".to_owned(),
            subject: "G in T".to_owned(),
            state: AlertState::Firing.into(),
            severity: "warning".to_owned(),
            since_ms: 0,
            text: "G has not got 7 messages of T".to_owned(),
            fix: "start more".to_owned(),
            is_silenced: true,
            ..Alert::default()
        }
    }

    #[test]
    fn each_alert_has_a_line() {
        let found = ListAlertsResponse { alerts: vec![alert()], round_ms: 1, ..Default::default() };
        let report = list(found, Output::Table);
        let expected = "\
SEVERITY  RULE  STATE             SINCE (UTC)          WHAT
warning   lag   firing, silenced  1970-01-01 00:00:00  G has not got 7 messages of T
";
        assert_eq!((report.text.as_str(), report.notes.len()), (expected, 1));
        let nothing = list(ListAlertsResponse { round_ms: 1, ..Default::default() }, Output::Table);
        assert_eq!(nothing.notes, ["Nothing is wrong."]);
    }

    #[test]
    fn each_silence_has_a_line() {
        let silence = AlertSilence {
            rule: "*".to_owned(),
            subject: "broker-a*".to_owned(),
            until_ms: 60_000,
            comment: "upgrade".to_owned(),
        };
        let expected = "\
RULE  ABOUT      UNTIL (UTC)          COMMENT
*     broker-a*  1970-01-01 00:01:00  upgrade
";
        assert_eq!(silences(&[silence], Output::Table).text, expected);
    }
}
