//! What is not as it should be: every rule as a function of what was looked at and of what was before.
//!
//! Not how long it must last to be told (`states`). No I/O and no clock here. Invariants: a level of 1 or more is wrong,
//! whatever it is a part of; what could not be looked at is no observation; a threshold of 0 switches its rule off.

use std::collections::BTreeMap;
use std::fmt::Display;

use serde::{Deserialize, Serialize};

use super::super::cluster::takes_messages;
use super::super::groups::is_system;
use super::history::{History, Samples};
use super::look::Look;
use super::sentence::Sentence;
use crate::config::Alerts as Settings;
use crate::model::{human_bytes, human_seconds};
use crate::proto::v1::Broker;

/// How long they must reach back for a forecast.
const FORECAST_FROM_MS: i64 = 30 * 60 * 1000;
const DAY_S: f64 = 86_400.0;

/// What can be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "`fix` says what they are about")]
pub enum Rule {
    Lag,
    LagAge,
    NoConsumer,
    BrokerGone,
    NameServerGone,
    WritePermission,
    Replication,
    Disk,
    DiskForecast,
    Certificate,
    DeadLetters,
    Subscriptions,
    Clock,
}

impl Rule {
    /// All there are.
    pub const ALL: [Self; 13] = [
        Self::Lag,
        Self::LagAge,
        Self::NoConsumer,
        Self::BrokerGone,
        Self::NameServerGone,
        Self::WritePermission,
        Self::Replication,
        Self::Disk,
        Self::DiskForecast,
        Self::Certificate,
        Self::DeadLetters,
        Self::Subscriptions,
        Self::Clock,
    ];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Lag => "lag",
            Self::LagAge => "lag-age",
            Self::NoConsumer => "no-consumer",
            Self::BrokerGone => "broker-gone",
            Self::NameServerGone => "name-server-gone",
            Self::WritePermission => "write-permission",
            Self::Replication => "replication",
            Self::Disk => "disk",
            Self::DiskForecast => "disk-forecast",
            Self::Certificate => "certificate",
            Self::DeadLetters => "dead-letters",
            Self::Subscriptions => "subscriptions",
            Self::Clock => "clock",
        }
    }

    /// `critical` if messages are not taken, not given out or not safe, else `warning`.
    #[must_use]
    pub fn severity(self) -> &'static str {
        match self {
            Self::BrokerGone
            | Self::NameServerGone
            | Self::WritePermission
            | Self::Replication
            | Self::Disk => "critical",
            _ => "warning",
        }
    }

    /// How many times longer than others it must be wrong to be told: members come and go one after the other.
    #[must_use]
    pub fn patience(self) -> i64 {
        match self {
            Self::NoConsumer | Self::Subscriptions => 5,
            _ => 1,
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn fix(self) -> &'static str {
        match self {
            Self::Lag | Self::LagAge => {
                "`rmq-node admin groups show GROUP` shows its members and queues: start more, or find what keeps them"
            }
            Self::NoConsumer => "start the consumer; if it is gone for good, delete the group",
            Self::BrokerGone => {
                "start it; on its host `journalctl -u rmq-node` and `rmq-node doctor` tell why it is gone"
            }
            Self::NameServerGone => {
                "start it, or open its port; if it is gone for good, take it out of name_servers"
            }
            Self::WritePermission => {
                "`rmq-node admin nameservers add-write BROKER` gives it back; to take a broker out of use, `rmq-node admin brokers drain`"
            }
            Self::Replication => {
                "`rmq-node admin replication` shows what goes wrong; `rmq-node doctor` on the slave's host"
            }
            Self::Disk | Self::DiskForecast => {
                "make room, or lower store.retention_hours and reload"
            }
            Self::Certificate => {
                "renew it, write it to tls.certificate_file and `systemctl reload rmq-node`"
            }
            Self::DeadLetters => {
                "`rmq-node admin messages tail %DLQ%GROUP` shows what its consumers failed at"
            }
            Self::Subscriptions => {
                "give all members of the group the same topics and tags, or the others groups of their own: messages are lost to some"
            }
            Self::Clock => {
                "on both hosts: apt install chrony, then `chronyc tracking` shows the difference"
            }
        }
    }
}

/// Something that a rule looked at.
#[derive(Clone, Debug, PartialEq)]
pub struct Observation {
    /// By which rule.
    pub rule: Rule,
    /// What it is about.
    pub subject: String,
    /// How much of what is allowed: 1 or more is wrong.
    pub level: f64,
    /// What is so.
    pub sentence: Sentence,
}

/// A broker as alerts call it: `broker-a 1 (192.168.1.162:10921)`.
pub(super) fn name(broker: &Broker) -> String {
    let address = broker.address.as_deref().unwrap_or("no address");
    name_of(&broker.group, broker.id, address)
}

/// The same of its parts.
fn name_of(group: &str, id: i64, address: &str) -> String {
    format!("{group} {id} ({address})")
}

/// Whether it answers.
pub(super) fn is_there(broker: &Broker) -> bool {
    broker.version.is_some()
}

/// Everything that the rules look at.
#[must_use]
pub fn observe(look: &Look, history: &History, settings: &Settings) -> Vec<Observation> {
    let mut found = Vec::new();
    readers(look, settings, &mut found);
    brokers(look, history, &mut found);
    replication(look, settings, &mut found);
    disks(look, history, settings, &mut found);
    let mut add = |rule, subject: &str, level: f64, sentence| {
        found.push(Observation { rule, subject: subject.to_owned(), level, sentence });
    };
    if let Some(not_after_s) =
        look.certificate_not_after_s.filter(|_| settings.certificate_days > 0)
    {
        let days = (not_after_s - look.at_ms / 1000) as f64 / DAY_S;
        let sentence = if days > 0.0 {
            Sentence::of("the certificate of this node ends in {} days", &[&days.round()])
        } else {
            Sentence::of("the certificate of this node has ended", &[])
        };
        let level = part(settings.certificate_days as f64, days);
        add(Rule::Certificate, "this node", level, sentence);
    }
    let new_dead = new_dead(history);
    for (group, new) in new_dead.into_iter().filter(|_| settings.dead_letters_per_hour > 0) {
        let level = new as f64 / settings.dead_letters_per_hour as f64;
        add(
            Rule::DeadLetters,
            group,
            level,
            Sentence::of("{} messages of {} became dead letters within an hour", &[&new, &group]),
        );
    }
    for (group, who) in look.differ.iter().filter(|_| settings.subscriptions) {
        add(
            Rule::Subscriptions,
            group,
            1.0,
            Sentence::of("members of {} subscribe otherwise than the others: {}", &[group, who]),
        );
    }
    for clock in look.clocks.iter().filter(|_| settings.clock_difference_ms > 0) {
        // As far as it is known.
        let differs = clock.ahead_ms.unsigned_abs().saturating_sub(clock.error_ms);
        let values: [&dyn Display; 2] = [&clock.host, &differs];
        let sentence = if clock.ahead_ms > 0 {
            Sentence::of("the clock of {} is {} ms ahead of that of this host", &values)
        } else {
            Sentence::of("the clock of {} is {} ms behind that of this host", &values)
        };
        let level = differs as f64 / settings.clock_difference_ms as f64;
        add(Rule::Clock, &clock.host, level, sentence);
    }
    found
}

/// How many dead letters each group got within the window.
fn new_dead(history: &History) -> BTreeMap<&str, u64> {
    let mut new = BTreeMap::new();
    for (group, samples) in history.dead.values().flat_map(|dead| &dead.groups) {
        let (Some((_, first)), Some((_, last))) = (samples.front(), samples.back()) else {
            continue;
        };
        *new.entry(group.as_str()).or_default() += last.saturating_sub(*first);
    }
    new
}

/// How much `limit` is of `left`, of which less is worse.
fn part(limit: f64, left: f64) -> f64 {
    if left > 0.0 { limit / left } else { f64::INFINITY }
}

fn readers(look: &Look, settings: &Settings, found: &mut Vec<Observation>) {
    for ((group, topic), reader) in &look.readers {
        if is_system(group) {
            continue;
        }
        let subject = format!("{group} in {topic}");
        let mut add = |rule, level: f64, sentence| {
            found.push(Observation { rule, subject: subject.clone(), level, sentence });
        };
        let lag = reader.lag;
        if settings.lag_messages > 0 {
            let level = lag as f64 / settings.lag_messages as f64;
            let values: [&dyn Display; 3] = [group, &lag, topic];
            add(Rule::Lag, level, Sentence::of("{} has not got {} messages of {}", &values));
        }
        if let Some(behind_ms) = reader.behind_ms.filter(|_| settings.lag_age_s > 0) {
            let age = human_seconds(behind_ms / 1000);
            let level = behind_ms as f64 / 1000.0 / settings.lag_age_s as f64;
            let values: [&dyn Display; 3] = [topic, group, &age];
            let words =
                Sentence::of("the oldest message of {} that {} has not got is {} old", &values);
            add(Rule::LagAge, level, words);
        }
        if let Some(members) = look.members.as_ref().filter(|_| settings.no_consumer) {
            let nobody = members.get(group).copied().unwrap_or(0) == 0;
            let level = if nobody && lag > 0 { 1.0 } else { 0.0 };
            let values: [&dyn Display; 3] = [&lag, topic, group];
            let words = Sentence::of(
                "{} messages of {} wait for {}, of which nobody is connected",
                &values,
            );
            add(Rule::NoConsumer, level, words);
        }
    }
}

fn brokers(look: &Look, history: &History, found: &mut Vec<Observation>) {
    let mut add = |rule, subject: String, level: f64, sentence| {
        found.push(Observation { rule, subject, level, sentence });
    };
    for broker in &look.brokers {
        let (subject, is_gone) = (name(broker), !is_there(broker));
        // One that has no address is told by the address that it had.
        let is_told_below =
            broker.address.is_none() && history.seen.iter().any(|seen| seen.is(broker));
        if !is_told_below {
            let values: [&dyn Display; 2] = [&subject, &broker.state];
            let sentence = Sentence::of("{}: {word}", &values);
            add(Rule::BrokerGone, subject.clone(), f64::from(is_gone), sentence);
        }
        if takes_messages(broker) {
            let by = &broker.kept_away_by;
            let sentence = Sentence::of(
                "producers are kept away from {} by name server {} (wipeWritePerm)",
                &[&subject, &by.join(", ")],
            );
            add(Rule::WritePermission, subject, f64::from(!by.is_empty()), sentence);
        }
    }
    for seen in history.gone(&look.brokers) {
        let subject = name_of(&seen.group, seen.id, &seen.address);
        let sentence = Sentence::of("{} is not registered any more", &[&subject]);
        add(Rule::BrokerGone, subject, 1.0, sentence);
    }
    for (address, reason) in &look.name_servers {
        let why = reason.as_deref().unwrap_or_default();
        let sentence = Sentence::of("name server {} does not answer: {}", &[address, &why]);
        add(Rule::NameServerGone, address.clone(), f64::from(reason.is_some()), sentence);
    }
}

fn replication(look: &Look, settings: &Settings, found: &mut Vec<Observation>) {
    for slave in look.brokers.iter().filter(|one| one.id != 0 && is_there(one)) {
        let bytes = slave.behind_bytes.filter(|_| settings.slave_behind_bytes > 0);
        let bytes = bytes.map_or(0.0, |behind| behind as f64 / settings.slave_behind_bytes as f64);
        let seconds = slave.behind_s.filter(|_| settings.slave_behind_s > 0);
        let seconds = seconds.map_or(0.0, |behind| behind as f64 / settings.slave_behind_s as f64);
        let is_stuck = matches!(&*slave.state, "conflict" | "behind-minimum" | "the disk is full");
        let stuck = if is_stuck { 1.0 } else { 0.0 };
        let error = slave.last_error.as_ref().map(|error| format!(" ({error})"));
        let (subject, error) = (name(slave), error.unwrap_or_default());
        let sentence = match slave.behind_bytes.map(human_bytes) {
            Some(behind) => {
                Sentence::of("{}: {word}, {} behind{}", &[&subject, &slave.state, &behind, &error])
            }
            None => Sentence::of("{}: {word}{}", &[&subject, &slave.state, &error]),
        };
        let level = bytes.max(seconds).max(stuck);
        found.push(Observation { rule: Rule::Replication, subject, level, sentence });
    }
}

fn disks(look: &Look, history: &History, settings: &Settings, found: &mut Vec<Observation>) {
    for disk in &look.disks {
        let subject = disk.broker.clone();
        if settings.disk_percent > 0 {
            let level = disk.used_percent / f64::from(settings.disk_percent);
            let used = disk.used_percent.round();
            let sentence = Sentence::of("the disk of {} is {} % full", &[&subject, &used]);
            found.push(Observation { rule: Rule::Disk, subject: subject.clone(), level, sentence });
        }
        let samples = history.disks.get(&subject).filter(|_| settings.disk_forecast_hours > 0);
        let hours = samples.and_then(|samples| hours_left(samples, disk.reserve_bytes));
        if let Some(hours) = hours {
            let level = part(settings.disk_forecast_hours as f64, hours);
            let sentence = Sentence::of(
                "as it fills now, the disk of {} will be too full to store messages in {} hours",
                &[&subject, &hours.round()],
            );
            found.push(Observation { rule: Rule::DiskForecast, subject, level, sentence });
        }
    }
}

/// In how many hours only `reserve` bytes are free, by the line through the samples; `None` if that is not known, and
/// much if it does not get fuller.
fn hours_left(samples: &Samples, reserve: u64) -> Option<f64> {
    let (first, last) = (samples.front()?, samples.back()?);
    if last.0 - first.0 < FORECAST_FROM_MS {
        return None;
    }
    let count = samples.len() as f64;
    let points =
        || samples.iter().map(|(at, free)| ((at - first.0) as f64 / 3_600_000.0, *free as f64));
    let (sum_x, sum_y) = points().fold((0.0, 0.0), |(x, y), point| (x + point.0, y + point.1));
    let (mean_x, mean_y) = (sum_x / count, sum_y / count);
    let (above, below) = points().fold((0.0, 0.0), |(above, below), (x, y)| {
        (above + (x - mean_x) * (y - mean_y), below + (x - mean_x) * (x - mean_x))
    });
    let lost_per_hour = -above / below;
    let left = last.1.saturating_sub(reserve) as f64;
    Some(if lost_per_hour > 0.0 { left / lost_per_hour } else { f64::MAX })
}

#[cfg(test)]
#[path = "rules_tests.rs"]
mod tests;
