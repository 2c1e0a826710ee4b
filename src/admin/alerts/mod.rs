//! Alerts: the cluster is looked at every now and then, and who is to be told is told what is wrong.
//!
//! | file | what |
//! | --- | --- |
//! | `look` | what is judged: a look at the whole cluster |
//! | `history` | what was before, brokers that are gone among it |
//! | `rules` | what is wrong with it |
//! | `sentence` | what is said of that, in any language |
//! | `states` | what of that is told, when, and what is silenced |
//! | `receivers`, `http`, `mail` | who is told, and how |
//! | here | the rounds, what survives a restart, and what operators ask |
//!
//! Every node of a cluster looks at all of it, so that none is missed that could tell; of those that have receivers the first
//! by address tells, so that nobody is told twice. When it is gone, the next one tells. Invariants: nothing but the rounds
//! changes what is wrong; what is silenced, told and known survives a restart; a slow receiver keeps no round waiting.

mod history;
mod http;
mod look;
mod mail;
mod receivers;
mod rules;
mod sentence;
mod states;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::{Admin, AdminError};
use crate::clock::Clock;
use crate::config::Alerts as Settings;
use crate::files;
use crate::metrics::Metrics;
use crate::proto::v1::{
    Alert as Told, AlertSilence, AlertState, Broker, Done, ListAlertsResponse, Outcome, Problem,
    SilenceAlertsRequest,
};
use crate::task::{self, Kind};
use history::{History, Seen};
use look::Look;
use receivers::Message;
pub use rules::Rule;
use rules::observe;
pub use sentence::filled;
use states::{Alert, News, Patience, Silence, States};

/// What survives a restart, in the data directory.
const FILE: &str = "alerts.json";
/// How exactly it is kept when brokers were seen.
const SEEN_STEP_MS: i64 = 600_000;
/// The longest comment, and the longest subject, of a silence.
const TEXT_CHARS_MAX: usize = 1000;

/// What the alerts ask of the node that they are part of.
pub trait AlertsHost: std::fmt::Debug + Send + Sync {
    /// The settings that hold now.
    fn settings(&self) -> Settings;
    /// When its certificate ends, in seconds since 1970, if it has one.
    fn certificate_not_after_s(&self) -> Option<i64>;
}

/// The alerts of a node.
#[derive(Debug)]
pub struct Alerts {
    admin: Admin,
    host: Arc<dyn AlertsHost>,
    clock: Clock,
    metrics: Arc<Metrics>,
    cluster: String,
    /// What clients of the brokers of this node dial.
    own: Vec<String>,
    file: PathBuf,
    state: Mutex<State>,
    /// The file as it was written last; held while it is written.
    written: Mutex<String>,
}

#[derive(Debug, Default)]
struct State {
    history: History,
    states: States,
    problems: Vec<Problem>,
    round_ms: i64,
    is_telling: bool,
}

/// What is in the file.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Book {
    states: States,
    seen: Vec<Seen>,
}

impl Alerts {
    /// Those of a node of `cluster` whose brokers are at `own`; reads what survived the last stop. Blocks.
    #[must_use]
    pub fn open(
        admin: Admin,
        host: Arc<dyn AlertsHost>,
        (clock, metrics): (Clock, Arc<Metrics>),
        (cluster, own): (String, Vec<String>),
        data_dir: &Path,
    ) -> Arc<Self> {
        let file = data_dir.join(FILE);
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        let book: Book = serde_json::from_str(&text).unwrap_or_default();
        let history = History::of(book.seen);
        let state = Mutex::new(State { history, states: book.states, ..State::default() });
        let written = Mutex::new(text);
        let alerts = Self { admin, host, clock, metrics, cluster, own, file, state, written };
        let alerts = Arc::new(alerts);
        let shown = Arc::downgrade(&alerts);
        alerts
            .metrics
            .alerts(move || shown.upgrade().map(|alerts| alerts.counts()).unwrap_or_default());
        alerts
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many alerts fire, by rule; none while nobody looks.
    fn counts(&self) -> Vec<(&'static str, u64)> {
        let is_on = self.host.settings().enabled;
        let state = self.lock();
        let fires = |rule: Rule| {
            let of_rule = |alert: &&Alert| is_on && alert.rule == rule && alert.told_ms.is_some();
            state.states.alerts().iter().filter(of_rule).count()
        };
        Rule::ALL.iter().map(|rule| (rule.name(), fires(*rule) as u64)).collect()
    }

    /// Looks, judges and tells, for ever.
    pub async fn run(self: Arc<Self>) {
        loop {
            let settings = self.host.settings();
            tokio::time::sleep(Duration::from_secs(settings.interval_s)).await;
            if !settings.enabled {
                continue;
            }
            match self.admin.look(&self.clock).await {
                Ok(look) => self.round(look, &settings),
                Err(error) => self.blind(&error, &settings),
            }
            self.save().await;
        }
    }

    /// Nobody answers: this host's own way to the cluster, or all of it, is gone; or what answers knows no broker.
    fn blind(self: &Arc<Self>, error: &AdminError, settings: &Settings) {
        let reason = error.to_string();
        let problem =
            Problem { at: "cluster".to_owned(), reason: reason.clone(), ..Problem::default() };
        let is_silent = matches!(error, AdminError::Unreachable(_));
        let servers = self.admin.name_servers.iter().filter(|_| is_silent);
        let servers = servers.map(|one| (one.clone(), Some(reason.clone())));
        self.round(
            Look {
                at_ms: self.clock.now_ms(),
                name_servers: servers.collect(),
                problems: vec![problem],
                telling: self.own.clone(),
                ..Look::default()
            },
            settings,
        );
    }

    fn round(self: &Arc<Self>, mut look: Look, settings: &Settings) {
        look.certificate_not_after_s = self.host.certificate_not_after_s();
        let (news, is_telling) = {
            let mut state = self.lock();
            let state = &mut *state;
            state.history.add(&look);
            // A look that found nobody says nothing of those who were there.
            let nobody = History::default();
            let history = if look.brokers.is_empty() { &nobody } else { &state.history };
            let observed = observe(&look, history, settings);
            let ms = |seconds: u64| i64::try_from(seconds.saturating_mul(1000)).unwrap_or(i64::MAX);
            let patience = Patience {
                pending_ms: ms(settings.pending_s),
                repeat_ms: ms(settings.repeat_hours.saturating_mul(3600)),
            };
            let news = state.states.step(look.at_ms, &observed, look.is_complete(), patience);
            state.problems = look.problems;
            state.round_ms = look.at_ms;
            let first = look.telling.iter().min_by(|a, b| in_order(a).cmp(&in_order(b)));
            state.is_telling = first.is_none_or(|first| self.own.contains(first));
            (news, state.is_telling && settings.has_receivers())
        };
        for (what, alert) in &news {
            let (rule, subject, text) = (alert.rule.name(), &alert.subject, &alert.sentence);
            match what {
                News::IsOver => tracing::info!(rule, subject, "alert is over: {text}"),
                _ => tracing::warn!(rule, subject, "alert: {text}"),
            }
        }
        if !news.is_empty() && is_telling {
            let (alerts, settings) = (Arc::clone(self), settings.clone());
            task::spawn(Kind::Ignore, "alerts", async move { alerts.tell(&settings, news).await });
        }
    }

    async fn tell(&self, settings: &Settings, news: Vec<(News, Alert)>) {
        let done = receivers::load(settings).await.tell(&self.message(news), None).await;
        for one in done {
            if one.outcome == i32::from(Outcome::Done) {
                self.metrics.alerts_told.inc();
                continue;
            }
            self.metrics.alerts_not_told.inc();
            let (receiver, reason) = (one.at, one.reason.unwrap_or_default());
            tracing::error!(
                receiver,
                reason,
                "alerts cannot be told: `rmq-node admin alerts test` tries it"
            );
        }
    }

    fn message(&self, news: Vec<(News, Alert)>) -> Message {
        let node = self.own.first().cloned().unwrap_or_else(|| "a node".to_owned());
        Message { cluster: self.cluster.clone(), node, at_ms: self.clock.now_ms(), news }
    }

    /// Writes what is to survive a restart, if it has changed.
    async fn save(self: &Arc<Self>) {
        let alerts = Arc::clone(self);
        // It fails only if it panics, which is reported.
        let _ = task::spawn_blocking("alerts", move || alerts.write()).await;
    }

    /// The same. Blocks.
    fn write(&self) {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        let text = serde_json::to_string(&self.book()).unwrap_or_default();
        if text == *written {
            return;
        }
        match files::replace(&self.file, &text) {
            Ok(()) => *written = text,
            Err(error) => {
                let file = self.file.display();
                tracing::error!(%file, %error, "alerts and silences will not survive a restart");
            }
        }
    }

    fn book(&self) -> Book {
        let state = self.lock();
        // As rough as it may be: not to be written each time.
        let mut seen = state.history.seen.clone();
        seen.iter_mut().for_each(|one| one.at_ms -= one.at_ms % SEEN_STEP_MS);
        Book { states: state.states.clone(), seen }
    }

    /// Adds the brokers that are registered nowhere and were within a day, if it looks.
    pub fn add_gone(&self, brokers: &mut Vec<Broker>) {
        if self.host.settings().enabled {
            self.lock().history.add_gone(brokers);
        }
    }

    /// Everything that is wrong, and what is silenced.
    ///
    /// # Errors
    /// Alerts are off.
    pub fn list(&self) -> Result<ListAlertsResponse, AdminError> {
        let settings = self.settings()?;
        let state = self.lock();
        let alert = |alert: &Alert| Told {
            rule: alert.rule.name().to_owned(),
            subject: alert.subject.clone(),
            state: match alert.told_ms {
                Some(_) => AlertState::Firing,
                None => AlertState::Pending,
            }
            .into(),
            severity: alert.rule.severity().to_owned(),
            since_ms: alert.since_ms,
            text: alert.sentence.to_string(),
            words: alert.sentence.words.clone(),
            values: alert.sentence.values.clone(),
            fix: alert.rule.fix().to_owned(),
            is_silenced: state.states.is_silenced(alert),
        };
        Ok(ListAlertsResponse {
            alerts: state.states.alerts().iter().map(alert).collect(),
            silences: self.silences(&state),
            problems: state.problems.clone(),
            round_ms: state.round_ms,
            is_telling: state.is_telling && settings.has_receivers(),
        })
    }

    /// The settings that it goes by now.
    ///
    /// # Errors
    /// [`AdminError::Conflict`]: it does not look.
    pub fn settings(&self) -> Result<Settings, AdminError> {
        let settings = self.host.settings();
        if settings.enabled {
            return Ok(settings);
        }
        let text =
            "this node does not look for what is wrong: alerts.enabled is off in its settings";
        Err(AdminError::Conflict(text.to_owned()))
    }

    fn silences(&self, state: &State) -> Vec<AlertSilence> {
        let silence = |one: &Silence| AlertSilence {
            rule: one.rule.clone(),
            subject: one.subject.clone(),
            until_ms: one.until_ms,
            comment: one.comment.clone(),
        };
        state.states.silences(self.clock.now_ms()).map(silence).collect()
    }

    /// Silences, or lifts a silence; returns those that hold.
    ///
    /// # Errors
    /// There is no such rule, or there are too many silences.
    pub async fn silence(
        self: &Arc<Self>,
        request: &SilenceAlertsRequest,
    ) -> Result<Vec<AlertSilence>, AdminError> {
        self.settings()?;
        let SilenceAlertsRequest { rule, subject, duration_s, comment } = request;
        if rule != "*" && !Rule::ALL.iter().any(|one| one.name() == rule) {
            let rules: Vec<_> = Rule::ALL.iter().map(|rule| rule.name()).collect();
            let text = format!("there is no rule \"{rule}\"; there is: *, {}", rules.join(", "));
            return Err(AdminError::Invalid(text));
        }
        if [subject, comment].iter().any(|text| text.chars().count() > TEXT_CHARS_MAX) {
            let text = format!("subject and comment have at most {TEXT_CHARS_MAX} characters");
            return Err(AdminError::Invalid(text));
        }
        let now_ms = self.clock.now_ms();
        let for_ms = i64::try_from(duration_s.saturating_mul(1000)).unwrap_or(i64::MAX);
        let silence = Silence {
            rule: rule.clone(),
            subject: if subject.is_empty() { "*".to_owned() } else { subject.clone() },
            until_ms: now_ms.saturating_add(for_ms),
            comment: comment.clone(),
        };
        let silences = {
            let mut state = self.lock();
            state.states.silence(silence, now_ms).map_err(AdminError::Conflict)?;
            self.silences(&state)
        };
        self.save().await;
        Ok(silences)
    }

    /// Tells every receiver that this is a test, for who waits until `deadline`.
    ///
    /// # Errors
    /// There is none.
    pub async fn test(&self, deadline: Option<Instant>) -> Result<Vec<Done>, AdminError> {
        let settings = self.host.settings();
        if !settings.has_receivers() {
            let text = "the settings have no receiver of alerts: write alerts.webhook_file, alerts.mail_to or the like";
            return Err(AdminError::Conflict(text.to_owned()));
        }
        let receivers = receivers::load(&settings).await;
        // A tenth of what is left is for telling who was not told.
        let left = deadline.map(|end| end.saturating_duration_since(Instant::now()));
        let within = left.map(|left| left - left / 10);
        Ok(receivers.tell(&self.message(Vec::new()), within).await)
    }
}

/// Addresses by number where they are some.
fn in_order(address: &str) -> (Option<std::net::SocketAddr>, &str) {
    (address.parse().ok(), address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Here;

    impl AlertsHost for Here {
        fn settings(&self) -> Settings {
            Settings { enabled: true, pending_s: 60, ..Settings::default() }
        }

        fn certificate_not_after_s(&self) -> Option<i64> {
            None
        }
    }

    /// Where alerts are off.
    #[derive(Debug)]
    struct Off;

    impl AlertsHost for Off {
        fn settings(&self) -> Settings {
            Settings::default()
        }

        fn certificate_not_after_s(&self) -> Option<i64> {
            None
        }
    }

    fn alerts(dir: &Path, clock: &Clock) -> Arc<Alerts> {
        alerts_of(Arc::new(Here), dir, clock)
    }

    fn alerts_of(host: Arc<dyn AlertsHost>, dir: &Path, clock: &Clock) -> Arc<Alerts> {
        let admin = Admin::new(vec!["n:9876".to_owned()], Default::default());
        let own = vec!["127.0.0.1:10911".to_owned()];
        Alerts::open(admin, host, (clock.clone(), Arc::default()), ("C".to_owned(), own), dir)
    }

    fn silence_of_brokers() -> SilenceAlertsRequest {
        SilenceAlertsRequest {
            rule: "broker-gone".to_owned(),
            subject: "a *".to_owned(),
            duration_s: 3600,
            comment: "upgrade".to_owned(),
        }
    }

    fn look(clock: &Clock, is_there: bool) -> Look {
        let broker = Broker {
            group: "a".to_owned(),
            address: Some("127.0.0.1:10911".to_owned()),
            version: is_there.then(|| "rmq-node".to_owned()),
            ..Broker::default()
        };
        Look { at_ms: clock.now_ms(), brokers: vec![broker], ..Look::default() }
    }

    fn states(alerts: &Alerts) -> Vec<(String, AlertState, bool)> {
        let listed = alerts.list().unwrap().alerts;
        listed.iter().map(|one| (one.rule.clone(), one.state(), one.is_silenced)).collect()
    }

    #[tokio::test]
    async fn what_fires_and_what_is_silenced_survives_a_restart() {
        let (dir, clock) = (tempfile::tempdir().unwrap(), Clock::system());
        let before = alerts(dir.path(), &clock);
        let first = look(&clock, true);
        let seen_ms = first.at_ms;
        before.round(first, &Here.settings());
        assert_eq!(states(&before), []);
        before.round(look(&clock, false), &Here.settings());
        let gone = "broker-gone".to_owned();
        assert_eq!(states(&before), [(gone.clone(), AlertState::Pending, false)]);
        clock.advance(Duration::from_secs(60));
        before.round(look(&clock, false), &Here.settings());
        assert_eq!(states(&before), [(gone.clone(), AlertState::Firing, false)]);
        assert!(before.counts().contains(&("broker-gone", 1)));
        let silences = before.silence(&silence_of_brokers()).await.unwrap();
        assert_eq!(silences[0].comment, "upgrade");
        let off = alerts_of(Arc::new(Off), dir.path(), &clock);
        assert!(off.counts().contains(&("broker-gone", 0)), "nobody looks any more");
        let after = alerts(dir.path(), &clock);
        assert_eq!(states(&after), [(gone.clone(), AlertState::Firing, true)]);
        // It is known without having been seen since, when roughly.
        let gone_of = |alerts: &Alerts| {
            let mut brokers = Vec::new();
            alerts.add_gone(&mut brokers);
            brokers
        };
        let [known] = &gone_of(&after)[..] else { panic!("one was there") };
        assert_eq!(known.last_address.as_deref(), Some("127.0.0.1:10911"));
        assert_eq!(known.last_seen_ms, Some(seen_ms - seen_ms % SEEN_STEP_MS));
        assert_eq!(gone_of(&off), [], "nobody looks");
        let nobody = Look { brokers: vec![Broker::default()], ..look(&clock, true) };
        after.round(nobody, &Here.settings());
        assert!(states(&after).contains(&(gone, AlertState::Firing, true)));
    }

    #[tokio::test]
    async fn what_could_not_be_written_is_written_the_next_time() {
        let (dir, clock) = (tempfile::tempdir().unwrap(), Clock::system());
        let before = alerts(dir.path(), &clock);
        let in_the_way = dir.path().join("alerts.json.tmp");
        std::fs::create_dir(&in_the_way).unwrap();
        before.silence(&silence_of_brokers()).await.unwrap();
        std::fs::remove_dir(&in_the_way).unwrap();
        before.save().await;
        assert_eq!(alerts(dir.path(), &clock).list().unwrap().silences[0].comment, "upgrade");
    }

    #[tokio::test]
    async fn name_servers_that_know_nobody_are_not_gone() {
        let (dir, clock) = (tempfile::tempdir().unwrap(), Clock::system());
        let alerts = alerts(dir.path(), &clock);
        alerts.blind(&AdminError::NotFound("nothing".to_owned()), &Here.settings());
        assert_eq!(states(&alerts), []);
        assert_eq!(alerts.list().unwrap().problems[0].reason, "nothing");
    }

    #[tokio::test]
    async fn a_look_that_finds_nobody_tells_of_name_servers_and_forgets_nothing() {
        let (dir, clock) = (tempfile::tempdir().unwrap(), Clock::system());
        let alerts = alerts(dir.path(), &clock);
        alerts.round(look(&clock, true), &Here.settings());
        alerts.blind(&AdminError::Unreachable("no answer".to_owned()), &Here.settings());
        let listed = alerts.list().unwrap();
        let told: Vec<_> = listed.alerts.iter().map(|one| (&*one.rule, &*one.subject)).collect();
        assert_eq!(told, [("name-server-gone", "n:9876")]);
        assert_eq!(listed.problems[0].reason, "no answer");
        assert!(!listed.is_telling, "there is nobody to tell");
    }

    #[tokio::test]
    async fn what_cannot_be_silenced_or_tested_is_said() {
        let (dir, clock) = (tempfile::tempdir().unwrap(), Clock::system());
        let alerts = alerts(dir.path(), &clock);
        let request = SilenceAlertsRequest { rule: "lags".to_owned(), ..Default::default() };
        let refused = alerts.silence(&request).await.unwrap_err().to_string();
        assert!(refused.starts_with("there is no rule \"lags\"; there is: *, lag, "), "{refused}");
        let refused = alerts.test(None).await.unwrap_err().to_string();
        assert!(refused.starts_with("the settings have no receiver of alerts"), "{refused}");
    }

    #[test]
    fn the_first_host_tells_whatever_the_length_of_its_address() {
        let mut hosts = ["10.0.0.12:10911", "10.0.0.2:10921", "10.0.0.2:10911"];
        hosts.sort_by(|a, b| in_order(a).cmp(&in_order(b)));
        assert_eq!(hosts, ["10.0.0.2:10911", "10.0.0.2:10921", "10.0.0.12:10911"]);
    }
}
