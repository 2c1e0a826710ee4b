//! What is not as it should be: every rule as a function of what was looked at and of what was before.
//!
//! Not how long it must last to be told (`states`). No I/O and no clock here. Invariants: a level of 1 or more is wrong,
//! whatever it is a part of; what could not be looked at is no observation; a threshold of 0 switches its rule off.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use super::super::groups::is_system;
use super::look::Look;
use crate::config::Alerts as Settings;
use crate::model::{human_bytes, human_seconds};
use crate::proto::v1::Broker;

/// For how long samples of disks are kept.
const DISK_WINDOW_MS: i64 = 6 * 3600 * 1000;
/// How long they must reach back for a forecast.
const FORECAST_FROM_MS: i64 = 30 * 60 * 1000;
/// For how long numbers of dead letters are kept.
const DEAD_WINDOW_MS: i64 = 3600 * 1000;
/// A broker that is gone for longer is taken for removed on purpose.
const KNOWN_FOR_MS: i64 = 24 * 3600 * 1000;
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
    pub const ALL: [Self; 12] = [
        Self::Lag,
        Self::LagAge,
        Self::NoConsumer,
        Self::BrokerGone,
        Self::NameServerGone,
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
            Self::BrokerGone | Self::NameServerGone | Self::Replication | Self::Disk => "critical",
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
    /// What is so, in a sentence.
    pub text: String,
}

/// What was seen, and when in milliseconds since 1970, the oldest first.
type Samples = VecDeque<(i64, u64)>;

/// What was before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// Free bytes of disks, by broker.
    disks: BTreeMap<String, Samples>,
    /// Dead letters, by broker: what one told that was away is no news.
    dead: BTreeMap<String, Dead>,
    /// When brokers were seen last; kept over restarts.
    pub known: BTreeMap<String, i64>,
}

impl History {
    /// Only when brokers were seen is known.
    #[must_use]
    pub fn of(known: BTreeMap<String, i64>) -> Self {
        Self { known, ..Self::default() }
    }

    /// Takes what was looked at.
    pub fn add(&mut self, look: &Look) {
        for broker in look.brokers.iter().filter(|one| is_there(one)) {
            self.known.insert(name(broker), look.at_ms);
        }
        // One that is somewhere else now is not gone.
        let is_elsewhere = |known: &str| {
            let same = |one: &&Broker| is_there(one) && is_of(known, one);
            look.brokers.iter().find(same).is_some_and(|one| name(one) != known)
        };
        let at_ms = look.at_ms;
        self.known.retain(|known, seen| at_ms - *seen <= KNOWN_FOR_MS && !is_elsewhere(known));
        for disk in &look.disks {
            let samples = self.disks.entry(disk.broker.clone()).or_default();
            sample(samples, at_ms, disk.free_bytes, DISK_WINDOW_MS);
        }
        for (broker, groups) in &look.dead_letters {
            self.dead.entry(broker.clone()).or_default().add(at_ms, groups);
        }
        self.dead.retain(|_, dead| at_ms - dead.told_ms.unwrap_or(at_ms) <= DEAD_WINDOW_MS);
        if look.is_complete() {
            self.dead.retain(|broker, _| look.dead_letters.contains_key(broker));
            self.disks.retain(|broker, _| look.disks.iter().any(|disk| disk.broker == *broker));
        }
    }
}

/// Dead letters at a broker.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Dead {
    /// When it told them last.
    told_ms: Option<i64>,
    /// How many there were ever, by group.
    groups: BTreeMap<String, Samples>,
}

impl Dead {
    fn add(&mut self, at_ms: i64, told: &BTreeMap<String, u64>) {
        let before_ms = self.told_ms.replace(at_ms);
        self.groups.retain(|group, _| told.contains_key(group));
        for (group, count) in told {
            // A group that it did not name the last time had none.
            let none = || before_ms.map(|before_ms| (before_ms, 0)).into_iter().collect();
            let samples = self.groups.entry(group.clone()).or_insert_with(none);
            sample(samples, at_ms, *count, DEAD_WINDOW_MS);
        }
    }
}

fn sample(samples: &mut Samples, at_ms: i64, value: u64, window_ms: i64) {
    samples.push_back((at_ms, value));
    while samples.front().is_some_and(|(from, _)| at_ms - from > window_ms) {
        samples.pop_front();
    }
}

/// A broker as alerts call it: `broker-a 1 (192.168.1.162:10921)`.
pub(super) fn name(broker: &Broker) -> String {
    format!("{} ({})", place(broker), broker.address.as_deref().unwrap_or("no address"))
}

fn place(broker: &Broker) -> String {
    format!("{} {}", broker.group, broker.id)
}

fn is_there(broker: &Broker) -> bool {
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
    let mut add = |rule, subject: &str, level: f64, text: String| {
        found.push(Observation { rule, subject: subject.to_owned(), level, text });
    };
    if let Some(not_after_s) =
        look.certificate_not_after_s.filter(|_| settings.certificate_days > 0)
    {
        let days = (not_after_s - look.at_ms / 1000) as f64 / DAY_S;
        let text = if days > 0.0 {
            format!("the certificate of this node ends in {days:.0} days")
        } else {
            "the certificate of this node has ended".to_owned()
        };
        add(Rule::Certificate, "this node", part(settings.certificate_days as f64, days), text);
    }
    let new_dead = new_dead(history);
    for (group, new) in new_dead.into_iter().filter(|_| settings.dead_letters_per_hour > 0) {
        let level = new as f64 / settings.dead_letters_per_hour as f64;
        add(
            Rule::DeadLetters,
            group,
            level,
            format!("{new} messages of {group} became dead letters within an hour"),
        );
    }
    for (group, who) in look.differ.iter().filter(|_| settings.subscriptions) {
        add(
            Rule::Subscriptions,
            group,
            1.0,
            format!("members of {group} subscribe to different things: {who}"),
        );
    }
    for clock in look.clocks.iter().filter(|_| settings.clock_difference_ms > 0) {
        // As far as it is known.
        let differs = clock.ahead_ms.unsigned_abs().saturating_sub(clock.error_ms);
        let side = if clock.ahead_ms > 0 { "ahead of" } else { "behind" };
        let level = differs as f64 / settings.clock_difference_ms as f64;
        add(
            Rule::Clock,
            &clock.host,
            level,
            format!("the clock of {} is {differs} ms {side} that of this host", clock.host),
        );
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
        let mut add = |rule, level: f64, text: String| {
            found.push(Observation { rule, subject: subject.clone(), level, text });
        };
        let lag = reader.lag;
        if settings.lag_messages > 0 {
            let level = lag as f64 / settings.lag_messages as f64;
            add(Rule::Lag, level, format!("{group} has not got {lag} messages of {topic}"));
        }
        if let Some(behind_ms) = reader.behind_ms.filter(|_| settings.lag_age_s > 0) {
            let age = human_seconds(behind_ms / 1000);
            let level = behind_ms as f64 / 1000.0 / settings.lag_age_s as f64;
            add(
                Rule::LagAge,
                level,
                format!("the oldest message of {topic} that {group} has not got is {age} old"),
            );
        }
        if let Some(members) = look.members.as_ref().filter(|_| settings.no_consumer) {
            let nobody = members.get(group).copied().unwrap_or(0) == 0;
            let level = if nobody && lag > 0 { 1.0 } else { 0.0 };
            add(
                Rule::NoConsumer,
                level,
                format!("{lag} messages of {topic} wait for {group}, of which nobody is connected"),
            );
        }
    }
}

fn brokers(look: &Look, history: &History, found: &mut Vec<Observation>) {
    let mut add = |rule, subject: String, level: f64, text: String| {
        found.push(Observation { rule, subject, level, text });
    };
    for broker in &look.brokers {
        let subject = name(broker);
        let level = if is_there(broker) { 0.0 } else { 1.0 };
        // One that has no address is told by the address that it had.
        let is_told_below =
            broker.address.is_none() && history.known.keys().any(|known| is_of(known, broker));
        if !is_told_below {
            let text = format!("{subject}: {}", broker.state);
            add(Rule::BrokerGone, subject, level, text);
        }
    }
    for known in history.known.keys() {
        if !look.brokers.iter().any(|broker| name(broker) == *known) {
            let text = format!("{known} is not registered any more");
            add(Rule::BrokerGone, known.clone(), 1.0, text);
        }
    }
    for (address, reason) in &look.name_servers {
        let level = if reason.is_some() { 1.0 } else { 0.0 };
        let why = reason.as_deref().unwrap_or("answers");
        add(Rule::NameServerGone, address.clone(), level, format!("name server {address}: {why}"));
    }
}

/// Whether that is, or was, this member of its group.
fn is_of(known: &str, broker: &Broker) -> bool {
    known.starts_with(&format!("{} (", place(broker)))
}

fn replication(look: &Look, settings: &Settings, found: &mut Vec<Observation>) {
    for slave in look.brokers.iter().filter(|one| one.id != 0 && is_there(one)) {
        let bytes = slave.behind_bytes.filter(|_| settings.slave_behind_bytes > 0);
        let bytes = bytes.map_or(0.0, |behind| behind as f64 / settings.slave_behind_bytes as f64);
        let seconds = slave.behind_s.filter(|_| settings.slave_behind_s > 0);
        let seconds = seconds.map_or(0.0, |behind| behind as f64 / settings.slave_behind_s as f64);
        let is_stuck = matches!(&*slave.state, "conflict" | "behind-minimum" | "the disk is full");
        let stuck = if is_stuck { 1.0 } else { 0.0 };
        let behind = slave.behind_bytes.map(|bytes| format!(", {} behind", human_bytes(bytes)));
        let error = slave.last_error.as_ref().map(|error| format!(" ({error})"));
        let text = format!(
            "{}: {}{}{}",
            name(slave),
            slave.state,
            behind.unwrap_or_default(),
            error.unwrap_or_default()
        );
        let level = bytes.max(seconds).max(stuck);
        found.push(Observation { rule: Rule::Replication, subject: name(slave), level, text });
    }
}

fn disks(look: &Look, history: &History, settings: &Settings, found: &mut Vec<Observation>) {
    for disk in &look.disks {
        let subject = disk.broker.clone();
        if settings.disk_percent > 0 {
            let level = disk.used_percent / f64::from(settings.disk_percent);
            let text = format!("the disk of {subject} is {:.0} % full", disk.used_percent);
            found.push(Observation { rule: Rule::Disk, subject: subject.clone(), level, text });
        }
        let samples = history.disks.get(&subject).filter(|_| settings.disk_forecast_hours > 0);
        let hours = samples.and_then(|samples| hours_left(samples, disk.reserve_bytes));
        if let Some(hours) = hours {
            let level = part(settings.disk_forecast_hours as f64, hours);
            let text = format!(
                "as it fills now, the disk of {subject} will be too full to store messages in {hours:.0} hours"
            );
            found.push(Observation { rule: Rule::DiskForecast, subject, level, text });
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
