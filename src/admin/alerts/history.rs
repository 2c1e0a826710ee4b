//! What was before: how full disks were, how many dead letters there were, and which brokers.
//!
//! Not what follows from it (`rules`). No I/O and no clock here. Invariants: what is older than its window is forgotten;
//! which brokers are gone that were there is remembered here only, for pages and lists too.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use super::super::cluster::NOT_REGISTERED;
use super::look::Look;
use super::rules::is_there;
use crate::proto::v1::Broker;

/// For how long samples of disks are kept.
const DISK_WINDOW_MS: i64 = 6 * 3600 * 1000;
/// For how long numbers of dead letters are kept.
const DEAD_WINDOW_MS: i64 = 3600 * 1000;
/// A broker that is gone for longer is taken for removed on purpose.
pub(super) const KNOWN_FOR_MS: i64 = 24 * 3600 * 1000;

/// What was seen, and when in milliseconds since 1970, the oldest first.
pub(super) type Samples = VecDeque<(i64, u64)>;

/// What was before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// Free bytes of disks, by broker.
    pub(super) disks: BTreeMap<String, Samples>,
    /// Dead letters, by broker: what one told that was away is no news.
    pub(super) dead: BTreeMap<String, Dead>,
    /// Brokers that were seen; kept over restarts.
    pub seen: Vec<Seen>,
}

/// A broker that answered, and when and where it did last.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    cluster: String,
    pub(super) group: String,
    pub(super) id: i64,
    pub(super) address: String,
    /// In milliseconds since 1970.
    pub at_ms: i64,
}

impl Seen {
    pub(super) fn is(&self, broker: &Broker) -> bool {
        self.group == broker.group && self.id == broker.id
    }

    /// It, as one that is registered nowhere.
    fn gone(&self) -> Broker {
        let what = if self.id == 0 { ": nothing can be sent to this group" } else { "" };
        Broker {
            cluster: self.cluster.clone(),
            group: self.group.clone(),
            id: self.id,
            state: NOT_REGISTERED.to_owned(),
            warnings: vec![format!("it is {NOT_REGISTERED} any more{what}")],
            ..Broker::default()
        }
    }
}

impl History {
    /// Only which brokers were seen is known.
    #[must_use]
    pub fn of(seen: Vec<Seen>) -> Self {
        Self { seen, ..Self::default() }
    }

    /// Those that were seen and are registered nowhere.
    pub(super) fn gone(&self, registered: &[Broker]) -> Vec<&Seen> {
        let is_there = |seen: &&Seen| {
            registered.iter().any(|broker| broker.address.is_some() && seen.is(broker))
        };
        self.seen.iter().filter(|seen| !is_there(seen)).collect()
    }

    /// Adds those to the brokers that are registered, and where they were to those of which only slaves are.
    pub fn add_gone(&self, brokers: &mut Vec<Broker>) {
        for seen in self.gone(brokers) {
            let at = brokers.iter().position(|one| seen.is(one)).unwrap_or_else(|| {
                brokers.push(seen.gone());
                brokers.len() - 1
            });
            brokers[at].last_address = Some(seen.address.clone());
            brokers[at].last_seen_ms = Some(seen.at_ms);
        }
        brokers.sort_unstable_by(|a, b| {
            (&a.cluster, &a.group, a.id).cmp(&(&b.cluster, &b.group, b.id))
        });
    }

    /// Takes what was looked at.
    pub fn add(&mut self, look: &Look) {
        let at_ms = look.at_ms;
        for broker in look.brokers.iter().filter(|one| is_there(one)) {
            self.seen.retain(|seen| !seen.is(broker));
            self.seen.push(Seen {
                cluster: broker.cluster.clone(),
                group: broker.group.clone(),
                id: broker.id,
                address: broker.address.clone().unwrap_or_default(),
                at_ms,
            });
        }
        self.seen.retain(|seen| at_ms - seen.at_ms <= KNOWN_FOR_MS);
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
pub(super) struct Dead {
    /// When it told them last.
    told_ms: Option<i64>,
    /// How many there were ever, by group.
    pub(super) groups: BTreeMap<String, Samples>,
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
