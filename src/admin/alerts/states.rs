//! Which alerts there are: what was observed, with patience and hysteresis, and what is silenced.
//!
//! Not what is wrong (`rules`), nor how it is told (`receivers`). No I/O and no clock here. Invariants: what is wrong for a
//! moment only is not told; what is told is told once, again after `repeat`, and that it is over; what could not be looked
//! at stays as it was.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::rules::{Observation, Rule};
use super::sentence::Sentence;

/// What fires goes on while its level is at least this: a value around its threshold is no news each time.
const KEEP_LEVEL: f64 = 0.8;
/// Alerts that are kept at most; a cluster where more is wrong needs no longer list.
const ALERTS_MAX: usize = 1000;
/// Silences that are kept at most.
const SILENCES_MAX: usize = 1000;

/// A rule and what it is about.
type Key = (Rule, String);

/// An alert.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alert {
    /// By which rule.
    pub rule: Rule,
    /// What it is about.
    pub subject: String,
    /// Since when it is so, in milliseconds since 1970.
    pub since_ms: i64,
    /// When it was told last; `None` if it has not lasted for long enough.
    pub told_ms: Option<i64>,
    /// Since when it is well again.
    well_since_ms: Option<i64>,
    /// What is wrong.
    #[serde(default)]
    pub sentence: Sentence,
}

/// What is not told for a while.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Silence {
    /// A rule's name, or `*`.
    pub rule: String,
    /// A subject; `*` at its end stands for whatever follows.
    pub subject: String,
    /// Until when, in milliseconds since 1970.
    pub until_ms: i64,
    /// Why.
    pub comment: String,
}

impl Silence {
    fn covers(&self, alert: &Alert) -> bool {
        let is_subject = match self.subject.strip_suffix('*') {
            Some(start) => alert.subject.starts_with(start),
            None => alert.subject == self.subject,
        };
        (self.rule == "*" || self.rule == alert.rule.name()) && is_subject
    }
}

/// What is to be told of an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// It is wrong.
    Fires,
    /// It is still wrong.
    Repeats,
    /// It is well again.
    IsOver,
}

/// How patient the alerts are, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// How long something must be wrong, and well again, to be told.
    pub pending_ms: i64,
    /// After what time it is told again; 0: never.
    pub repeat_ms: i64,
}

/// All alerts and silences. Kept over restarts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct States {
    alerts: Vec<Alert>,
    silences: Vec<Silence>,
}

impl States {
    /// Takes what was observed, each subject once by a rule; returns what is to be told. What is not observed is well, if
    /// everything was looked at.
    pub fn step(
        &mut self,
        now_ms: i64,
        observed: &[Observation],
        is_complete: bool,
        patience: Patience,
    ) -> Vec<(News, Alert)> {
        self.silences.retain(|silence| silence.until_ms > now_ms);
        let mut before: BTreeMap<Key, Alert> = self
            .alerts
            .drain(..)
            .map(|alert| ((alert.rule, alert.subject.clone()), alert))
            .collect();
        let mut news = Vec::new();
        for one in observed {
            let key = (one.rule, one.subject.clone());
            let known = before.remove(&key);
            let is_firing = known.as_ref().is_some_and(|alert| alert.told_ms.is_some());
            if one.level >= 1.0 || (is_firing && one.level >= KEEP_LEVEL) {
                let mut alert = known.unwrap_or_else(|| Alert {
                    rule: one.rule,
                    subject: one.subject.clone(),
                    since_ms: now_ms,
                    told_ms: None,
                    well_since_ms: None,
                    sentence: Sentence::default(),
                });
                alert.sentence.clone_from(&one.sentence);
                alert.well_since_ms = None;
                self.go_on(alert, now_ms, patience, &mut news);
            } else if let Some(alert) = known {
                self.is_well(alert, now_ms, patience, &mut news);
            }
        }
        for alert in before.into_values() {
            match is_complete {
                true => self.is_well(alert, now_ms, patience, &mut news),
                false => self.alerts.push(alert),
            }
        }
        self.alerts.truncate(ALERTS_MAX);
        self.alerts.sort_unstable_by(|a, b| (a.rule, &a.subject).cmp(&(b.rule, &b.subject)));
        news.retain(|(_, alert)| !self.is_silenced(alert));
        news
    }

    /// It is wrong.
    fn go_on(
        &mut self,
        mut alert: Alert,
        now_ms: i64,
        patience: Patience,
        news: &mut Vec<(News, Alert)>,
    ) {
        let is_due = match alert.told_ms {
            None => {
                let pending_ms = patience.pending_ms.saturating_mul(alert.rule.patience());
                (now_ms - alert.since_ms >= pending_ms).then_some(News::Fires)
            }
            Some(told_ms) => {
                let is_late = patience.repeat_ms > 0 && now_ms - told_ms >= patience.repeat_ms;
                is_late.then_some(News::Repeats)
            }
        };
        // What is silenced is told when that is over, if it is still wrong.
        let is_silenced = self.is_silenced(&alert);
        if let Some(what) = is_due.filter(|what| !is_silenced || *what == News::Repeats) {
            alert.told_ms = Some(now_ms);
            news.push((what, alert.clone()));
        }
        self.alerts.push(alert);
    }

    /// It is well, or was not observed.
    fn is_well(
        &mut self,
        mut alert: Alert,
        now_ms: i64,
        patience: Patience,
        news: &mut Vec<(News, Alert)>,
    ) {
        if alert.told_ms.is_none() {
            return;
        }
        let since = *alert.well_since_ms.get_or_insert(now_ms);
        if now_ms - since >= patience.pending_ms {
            news.push((News::IsOver, alert));
        } else {
            self.alerts.push(alert);
        }
    }

    /// All alerts, by rule and subject.
    #[must_use]
    pub fn alerts(&self) -> &[Alert] {
        &self.alerts
    }

    /// The silences that hold.
    pub fn silences(&self, now_ms: i64) -> impl Iterator<Item = &Silence> {
        self.silences.iter().filter(move |silence| silence.until_ms > now_ms)
    }

    /// Whether an alert is not to be told.
    #[must_use]
    pub fn is_silenced(&self, alert: &Alert) -> bool {
        self.silences.iter().any(|silence| silence.covers(alert))
    }

    /// Silences from now on, or, with a time that is over, not any more.
    ///
    /// # Errors
    /// There are too many.
    pub fn silence(&mut self, silence: Silence, now_ms: i64) -> Result<(), String> {
        let is_same = |one: &Silence| one.rule == silence.rule && one.subject == silence.subject;
        self.silences.retain(|one| one.until_ms > now_ms && !is_same(one));
        if silence.until_ms <= now_ms {
            return Ok(());
        }
        if self.silences.len() >= SILENCES_MAX {
            return Err(format!(
                "there are {SILENCES_MAX} silences, lift some: their subjects may end with *"
            ));
        }
        self.silences.push(silence);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Patience = Patience { pending_ms: 60, repeat_ms: 1000 };

    fn lag(level: f64) -> Vec<Observation> {
        let (subject, sentence) = ("G in T".to_owned(), Sentence::of("level {}", &[&level]));
        vec![Observation { rule: Rule::Lag, subject, level, sentence }]
    }

    /// What is told when levels are seen one after the other, 30 ms apart.
    fn told(states: &mut States, from_ms: i64, levels: &[f64]) -> Vec<(i64, News)> {
        let mut told = Vec::new();
        for (at, level) in (0..).zip(levels) {
            let now_ms = from_ms + at * 30;
            let news = states.step(now_ms, &lag(*level), true, PATIENCE);
            told.extend(news.into_iter().map(|(what, _)| (now_ms, what)));
        }
        told
    }

    #[test]
    fn only_what_lasts_is_told_and_once() {
        let mut states = States::default();
        assert_eq!(told(&mut states, 0, &[1.0, 0.9, 1.0, 1.0, 0.0]), []);
        assert_eq!(states.alerts(), [], "it was never told");
        assert_eq!(told(&mut states, 1000, &[1.0, 1.5, 1.2, 2.0, 2.0]), [(1060, News::Fires)]);
        assert_eq!(states.alerts()[0].since_ms, 1000);
        // Around its threshold it goes on.
        assert_eq!(told(&mut states, 1150, &[0.99, 1.01, 0.8, 0.85, 0.81, 0.9]), []);
        // Well, but not for long enough.
        assert_eq!(told(&mut states, 1330, &[0.1, 0.1, 1.0]), []);
        assert_eq!(told(&mut states, 1420, &[0.1, 0.1, 0.1, 0.1]), [(1480, News::IsOver)]);
        assert_eq!(states.alerts(), []);
    }

    #[test]
    fn what_goes_on_is_told_again() {
        let mut states = States::default();
        assert_eq!(told(&mut states, 0, &[1.0; 40]), [(60, News::Fires), (1080, News::Repeats)]);
    }

    #[test]
    fn what_could_not_be_looked_at_stays_as_it_was() {
        let mut states = States::default();
        told(&mut states, 0, &[1.0; 3]);
        for now_ms in [1, 2, 3].map(|at| at * 100) {
            assert_eq!(states.step(now_ms, &[], false, PATIENCE), []);
            assert_eq!(states.alerts().len(), 1);
        }
        assert_eq!(states.step(400, &[], true, PATIENCE), []);
        let news = states.step(460, &[], true, PATIENCE);
        assert_eq!(news.iter().map(|(what, _)| *what).collect::<Vec<_>>(), [News::IsOver]);
    }

    #[test]
    fn what_is_silenced_is_told_when_that_is_over() {
        for (rule, subject) in [("lag", "G in *"), ("*", "*"), ("lag", "G in T")] {
            let mut states = States::default();
            let silence = |until_ms| Silence {
                rule: rule.to_owned(),
                subject: subject.to_owned(),
                until_ms,
                comment: String::new(),
            };
            states.silence(silence(200), 0).unwrap();
            assert_eq!(told(&mut states, 0, &[1.0; 6]), [], "{rule} {subject}");
            assert!(states.is_silenced(&states.alerts()[0]));
            assert_eq!(states.silences(0).count(), 1);
            assert_eq!(told(&mut states, 200, &[1.0]), [(200, News::Fires)]);
            assert_eq!(states.silences(200).count(), 0);
            states.silence(silence(900), 300).unwrap();
            states.silence(silence(0), 300).unwrap();
            assert_eq!(states.silences(300).count(), 0, "it was lifted");
        }
        let mut states = States::default();
        let other = Silence {
            rule: "disk".to_owned(),
            subject: "*".to_owned(),
            until_ms: 900,
            comment: String::new(),
        };
        states.silence(other, 0).unwrap();
        assert_eq!(told(&mut states, 0, &[1.0; 3]), [(60, News::Fires)]);
    }

    #[test]
    fn alerts_are_read_as_they_were_written() {
        let mut states = States::default();
        told(&mut states, 0, &[1.0; 3]);
        let text = serde_json::to_string(&states).unwrap();
        assert_eq!(serde_json::from_str::<States>(&text).unwrap(), states);
    }
}
