//! What alerts are judged by: a look at the whole cluster, by bulk requests (106, 28, 26, 105, 9001, 9009; 317 of plain masters).
//!
//! Not what is wrong with it (`rules`). Invariants: the number of requests depends on the brokers only; whoever does not
//! answer is a problem in the look, and what it would have told is missing.

use std::collections::BTreeMap;
use std::fmt::Display;

use super::super::cluster::Members;
use super::super::groups::{LIST_TIMEOUT, lag};
use super::super::upgrade::host_of;
use super::super::{Admin, AdminError, all};
use super::rules::name;
use crate::clock::Clock;
use crate::proto::v1::{Broker, Problem};
use crate::remoting::bodies::consume_stats::BrokerConsumeStats;
use crate::remoting::bodies::extension::Figures;

/// Of a broker that has just started.
const NOT_RECKONED: &str = "it has not reckoned them yet";

/// A cluster at a moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Look {
    /// When, in milliseconds since 1970.
    pub at_ms: i64,
    /// Every broker that is registered.
    pub brokers: Vec<Broker>,
    /// Who did not say what is missing here.
    pub problems: Vec<Problem>,
    /// The name servers, and why they do not answer.
    pub name_servers: BTreeMap<String, Option<String>>,
    /// By group and topic, all masters together.
    pub readers: BTreeMap<(String, String), Reader>,
    /// Connections of consumer groups; `None` if a master cannot tell.
    pub members: Option<BTreeMap<String, u64>>,
    /// Groups whose members subscribe to different things, and who.
    pub differ: BTreeMap<String, String>,
    /// Dead letters that there ever were, by broker and group.
    pub dead_letters: BTreeMap<String, BTreeMap<String, u64>>,
    /// The disks that brokers store on.
    pub disks: Vec<Disk>,
    /// The clocks of other hosts.
    pub clocks: Vec<HostClock>,
    /// When this node's certificate ends, in seconds since 1970.
    pub certificate_not_after_s: Option<i64>,
    /// Addresses of brokers whose nodes tell receivers.
    pub telling: Vec<String>,
}

/// A consumer group in a topic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reader {
    /// Messages that it has not got.
    pub lag: u64,
    /// How old the oldest of these is, in milliseconds, if that is known.
    pub behind_ms: Option<u64>,
}

/// A disk.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Disk {
    /// The broker that stores on it.
    pub broker: String,
    /// How full it is.
    pub used_percent: f64,
    /// What is free.
    pub free_bytes: u64,
    /// With so much free nothing is stored any more.
    pub reserve_bytes: u64,
}

/// A clock.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostClock {
    /// Its host.
    pub host: String,
    /// How far it is ahead of this host's.
    pub ahead_ms: i64,
    /// How wrong that may be.
    pub error_ms: u64,
}

impl Look {
    /// Whether everybody answered.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.problems.is_empty()
    }

    fn add_figures(&mut self, broker: &Broker, told: Figures) {
        let address = broker.address.as_deref().unwrap_or_default();
        if told.sends_alerts {
            self.telling.push(address.to_owned());
        }
        if told.disk_bytes > 0 {
            let (all, free) = (told.disk_bytes, told.disk_free_bytes);
            self.disks.push(Disk {
                broker: name(broker),
                used_percent: told.disk_used_ppm as f64 / 10_000.0,
                free_bytes: free,
                reserve_bytes: all / 100 * (100 - u64::from(told.disk_read_only_percent.min(100))),
            });
        }
        for row in told.readers {
            let reader = self.readers.entry((row.group, row.topic)).or_default();
            reader.lag += row.lag;
            reader.behind_ms = reader.behind_ms.max(row.behind_ms);
        }
        if let Some(members) = self.members.as_mut().filter(|_| broker.id == 0) {
            for (group, count) in told.members {
                let known = members.entry(group).or_default();
                *known = count.max(*known);
            }
        }
        self.differ.extend(told.differ);
        self.dead_letters.insert(name(broker), told.dead_letters.into_iter().collect());
    }

    /// What a plain master tells: how far its groups are; not who is connected, nor its dead letters.
    fn add_plain(&mut self, told: BrokerConsumeStats) {
        for (group, stats) in told.groups {
            for queue in stats.iter().flat_map(|stats| &stats.queues) {
                let topic = queue.queue.topic.clone();
                let reader = self.readers.entry((group.clone(), topic)).or_default();
                reader.lag += u64::try_from(lag(queue)).unwrap_or(0);
            }
        }
    }
}

/// What a broker told.
enum Told {
    /// One of ours.
    Figures(Figures, HostClock),
    /// A plain master.
    Plain(Result<BrokerConsumeStats, AdminError>),
    /// A plain slave.
    Nothing,
}

impl Admin {
    /// Looks at everything.
    ///
    /// # Errors
    /// No name server answers, or nothing is registered.
    pub(super) async fn look(&self, clock: &Clock) -> Result<Look, AdminError> {
        let Members { state, silent, .. } = self.members(None).await?;
        let mut look = Look {
            at_ms: clock.now_ms(),
            members: Some(BTreeMap::new()),
            name_servers: self.name_servers.iter().map(|one| (one.clone(), None)).collect(),
            problems: state.problems,
            ..Look::default()
        };
        for (address, error) in silent {
            look.name_servers.insert(address.to_owned(), Some(error.to_string()));
        }
        let there = state.brokers.iter().filter(|one| one.version.is_some());
        let asked = all(there.map(async |broker| (broker, self.look_at(broker, clock).await)));
        for (broker, told) in asked.await {
            match told {
                Ok(Told::Figures(figures, clock)) => {
                    look.clocks.push(clock);
                    if figures.at_ms > 0 {
                        look.add_figures(broker, figures);
                    } else {
                        look.problems.push(problem(broker, &NOT_RECKONED));
                    }
                }
                Ok(Told::Plain(told)) => {
                    look.members = None;
                    match told {
                        Ok(told) => look.add_plain(told),
                        Err(error) => look.problems.push(problem(broker, &error)),
                    }
                }
                Ok(Told::Nothing) => {}
                Err(error) => look.problems.push(problem(broker, &error)),
            }
        }
        let mut hosts = std::collections::BTreeSet::new();
        look.clocks.retain(|clock| hosts.insert(clock.host.clone()));
        look.brokers = state.brokers;
        Ok(look)
    }

    /// What a broker of ours reckoned, and how its clock goes; how far groups are at a plain master.
    async fn look_at(&self, broker: &Broker, clock: &Clock) -> Result<Told, AdminError> {
        let address = broker.address.as_deref().unwrap_or_default();
        let (begun, begun_ms) = (clock.monotonic(), clock.now_ms());
        let Some(figures) = self.broker_figures(address).await? else {
            if broker.id != 0 {
                return Ok(Told::Nothing);
            }
            return Ok(Told::Plain(self.broker_consume_stats(address, false, LIST_TIMEOUT).await));
        };
        let took = clock.monotonic().saturating_duration_since(begun).as_millis();
        let half_ms = u64::try_from(took / 2).unwrap_or(u64::MAX);
        let middle_ms = begun_ms.saturating_add_unsigned(half_ms);
        let ahead = HostClock {
            host: host_of(address).unwrap_or(address).to_owned(),
            ahead_ms: figures.now_ms.saturating_sub(middle_ms),
            error_ms: half_ms + 1,
        };
        Ok(Told::Figures(figures, ahead))
    }
}

fn problem(broker: &Broker, error: &impl Display) -> Problem {
    Problem {
        at: broker.group.clone(),
        address: broker.address.clone(),
        reason: format!("figures of {} {} are missing: {error}", broker.group, broker.id),
    }
}

#[cfg(test)]
#[path = "look_tests.rs"]
mod tests;
