//! Taking a master out of use, how far that is, and putting it to use again: `brokerPermission` 4 and 6 (25; B-023, B-101).
//!
//! A broker that may only be read tells name servers so of all its topics, and its producers look there every 30 s; what
//! they send until then is taken. A wipe at name servers (205) is not it: 4.9.4's forget it with the broker's next change
//! (N-064). Invariants: nothing is called gone that can come back by itself; what is waited for is said; topics that
//! nobody else takes are not closed unasked.

use std::collections::{BTreeMap, BTreeSet};

use super::super::cluster::name_server_problem;
use super::super::{Admin, AdminError, all, done, dry_run, outcome, unchanged};
use super::{PERMISSION, member, permission_of};
use crate::model::{Permission, human_bytes};
use crate::proto::v1::{
    Broker, DrainBrokerRequest, DrainBrokerResponse, DrainState, Problem, ResumeBrokerRequest,
    ResumeBrokerResponse, Topic, TopicKind,
};
use crate::remoting::bodies::extension::BrokerState;
use crate::remoting::bodies::route::BrokerData;

/// How long producers may not know yet that they are kept away: they ask for routes every 30 s
/// (`pollNameServerInterval`), and a request may take its time.
const ROUTES_FOLLOW_MS: u64 = 35_000;
/// Without a send for so long, nobody sends.
const QUIET_MS: u64 = 5_000;

impl Admin {
    /// Takes a master out of use. It does not wait for anything.
    ///
    /// # Errors
    /// The master is not registered, does not answer, or refuses; or nobody else takes some of its topics.
    pub async fn drain(
        &self,
        request: &DrainBrokerRequest,
    ) -> Result<DrainBrokerResponse, AdminError> {
        let group = self.group_named(request.broker.as_deref()).await?;
        let (_, address) = member(&group, None)?;
        let permission = permission_of(&self.broker_settings(&address).await?);
        let topics = self.topics().await?.topics;
        let only_here = self.only_at(&group.cluster, &group.broker_name, &topics).await?;
        // Before the change: who is told that it failed is to find the master as it was.
        let is_kept = self.broker_state(&address).await?.is_some();
        // One that somebody has told otherwise listens to the broker's next change (N-064).
        let is_so = permission == Some(Permission::READ)
            && self.named(&group.broker_name).await.iter().all(|(_, told)| !is_open(told));
        let became = if is_so {
            unchanged()
        } else if request.dry_run {
            dry_run()
        } else if !only_here.is_empty() && !request.accept_only_here {
            return Err(AdminError::Conflict(only_here_text(&group, &only_here)));
        } else {
            let only_read = Permission::READ.0.to_string();
            outcome(Ok(self.set_broker_setting(&address, PERMISSION, &only_read).await?))
        };
        let done = Some(done(&group.broker_name, Some(&address), became));
        Ok(DrainBrokerResponse { done, only_here, is_kept })
    }

    /// Puts a master to use again.
    ///
    /// # Errors
    /// It is not registered, does not answer, or refuses.
    pub async fn resume(
        &self,
        request: &ResumeBrokerRequest,
    ) -> Result<ResumeBrokerResponse, AdminError> {
        let group = self.group_named(request.broker.as_deref()).await?;
        let (_, address) = member(&group, None)?;
        let permission = permission_of(&self.broker_settings(&address).await?);
        let became = if permission == Some(Permission::READ_WRITE) {
            unchanged()
        } else if request.dry_run {
            dry_run()
        } else {
            let all = Permission::READ_WRITE.0.to_string();
            outcome(Ok(self.set_broker_setting(&address, PERMISSION, &all).await?))
        };
        let name = &group.broker_name;
        let wiped = if request.dry_run { Vec::new() } else { self.keep_away_from(name).await };
        let problems = wiped.iter().map(|name_server| still_wiped(name_server, name)).collect();
        let done = Some(done(&group.broker_name, Some(&address), became));
        Ok(ResumeBrokerResponse { done, problems })
    }

    /// Those of all topics that are applications', and take messages on the master of this group, and on no other one of
    /// its cluster.
    pub(in crate::admin) async fn only_at(
        &self,
        cluster: &str,
        group: &str,
        topics: &[Topic],
    ) -> Result<Vec<String>, AdminError> {
        let mut others = self.broker_groups(Some(cluster)).await?;
        others.retain(|one| one.broker_name != group);
        let open = all(others.iter().map(async |other| {
            let settings = self.broker_settings(other.master()?).await.ok()?;
            let is_open = permission_of(&settings)?.contains(Permission::WRITE);
            is_open.then(|| other.broker_name.clone())
        }));
        let open: BTreeSet<String> = open.await.into_iter().flatten().collect();
        let takes = |topic: &Topic, is_asked: &dyn Fn(&str) -> bool| {
            topic.brokers.iter().any(|one| is_asked(&one.broker) && one.permission.contains('w'))
        };
        let is_only_here = |topic: &&Topic| {
            topic.kind() == TopicKind::Normal
                && takes(topic, &|broker| broker == group)
                && !takes(topic, &|broker| open.contains(broker))
        };
        Ok(topics.iter().filter(is_only_here).map(|topic| topic.topic.clone()).collect())
    }

    /// How far a master is that producers are kept away from; `info` is what it answers to 28, `own` what only ours tells.
    pub(super) async fn drain_state(
        &self,
        master: &Broker,
        members: &[Broker],
        info: &BTreeMap<String, String>,
        own: Option<&BrokerState>,
    ) -> DrainState {
        let (mut waits_for, mut notes) = self.still_named(&master.group).await;
        match own {
            Some(own) => waits_for.extend(producers(own)),
            None => {
                waits_for.extend(stores_still(info));
                notes.push(
                    "it is no rmq-node: it stays drained over a restart only if it was started with a file (-c), which it \
                     has written this to"
                        .to_owned(),
                );
            }
        }
        let slaves = members.iter().filter(|one| one.group == master.group && one.id != 0);
        let mut slaves = slaves.filter(|slave| slave.address.is_some()).peekable();
        if slaves.peek().is_none() {
            let note = "it has no slave: what is not consumed yet waits until it is back";
            notes.push(note.to_owned());
        }
        waits_for.extend(slaves.filter_map(lacks));
        DrainState {
            waits_for,
            notes,
            closed_ms: own.and_then(|own| own.closed_ms),
            last_send_ms: own.and_then(|own| own.last_send_ms),
        }
    }

    /// Name servers that tell producers of this group still, and those that do not answer.
    async fn still_named(&self, group: &str) -> (Vec<String>, Vec<String>) {
        let (mut still, mut silent) = (Vec::new(), Vec::new());
        for (name_server, told) in self.named(group).await {
            if is_open(&told) {
                still.push(format!("name server {name_server} sends producers there still"));
            } else if let Err(AdminError::Unreachable(why)) = told {
                silent.push(format!("name server {name_server} does not answer: {why}"));
            }
        }
        (still, silent)
    }

    /// Name servers that somebody has told to keep producers away from this group (205).
    pub(in crate::admin) async fn keep_away_from(&self, group: &str) -> Vec<&String> {
        let told = self.named(group).await.into_iter();
        let wiped = told.filter(|(_, told)| matches!(told, Ok(Some(_))) && !is_open(told));
        wiped.map(|(name_server, _)| name_server).collect()
    }

    /// What each name server says that clients may do with a group's own topic: every broker has one of its name.
    async fn named(&self, group: &str) -> Vec<(&String, Told)> {
        let asked = self.name_servers.iter().map(async |name_server| {
            let route = self.route_at(name_server, group).await;
            let told = route.map(|route| {
                let route = route?;
                let its = route.queues.iter().find(|queues| queues.broker_name == group)?;
                Some(its.permission)
            });
            (name_server, told)
        });
        all(asked).await
    }
}

/// A permission that a name server tells, if it knows the topic.
type Told = Result<Option<Permission>, AdminError>;

fn is_open(told: &Told) -> bool {
    matches!(told, Ok(Some(permission)) if permission.contains(Permission::WRITE))
}

fn still_wiped(name_server: &str, group: &str) -> Problem {
    let reason = format!(
        "name server {name_server} keeps producers away from {group} still, as somebody has told it (wipeWritePerm): \
         `rmq-node admin addWritePerm -b {group} -n {name_server}` gives it back"
    );
    name_server_problem(name_server, reason)
}

/// Why a master is not drained that some topics are alone on.
fn only_here_text(group: &BrokerData, topics: &[String]) -> String {
    let BrokerData { broker_name, cluster, .. } = group;
    format!(
        "nobody could send to these topics then, which no other master of {cluster} takes messages for: {}. `rmq-node \
         admin topics repair` makes topics equal on all masters; --yes drains {broker_name} all the same",
        topics.join(", ")
    )
}

/// What is waited for until no producer of a broker of ours is left.
fn producers(own: &BrokerState) -> Vec<String> {
    let mut waits_for = Vec::new();
    let closed_ms = own.closed_ms.unwrap_or(0);
    if closed_ms < ROUTES_FOLLOW_MS {
        let left_s = (ROUTES_FOLLOW_MS - closed_ms).div_ceil(1000);
        waits_for.push(format!(
            "producers look for other routes every 30 s: {left_s} s more, {} connected",
            own.producers
        ));
    }
    if let Some(ago_ms) = own.last_send_ms.filter(|ago_ms| *ago_ms < QUIET_MS) {
        waits_for.push(format!("a producer sent {} s ago", ago_ms / 1000));
    }
    waits_for
}

/// What is waited for of a plain broker, which does not tell producers from what it stores itself.
fn stores_still(info: &BTreeMap<String, String>) -> Option<String> {
    // 4.9.4 tells 0 until it has counted for longer than the time that a rate is of.
    let is_younger = |text: &String| {
        ["0 minutes", "1 minutes"]
            .iter()
            .any(|age| text.starts_with(&format!("[ 0 days, 0 hours, {age}, ")))
    };
    if info.get("runtime").is_some_and(is_younger) {
        let why = "it runs for less than two minutes, and does not tell yet what it stored in the last one";
        return Some(why.to_owned());
    }
    // Of the last 10, 60 and 600 s (B-361): within 60 s every producer has looked for another route.
    let rate: f64 = info.get("putTps")?.split(' ').nth(1)?.parse().ok()?;
    (rate > 0.0).then(|| format!("it stored {rate:.1} messages a second in the last minute"))
}

/// What a slave does not have.
fn lacks(slave: &Broker) -> Option<String> {
    let name = format!("slave {} ({})", slave.id, slave.address.as_deref().unwrap_or_default());
    match slave.behind_bytes {
        Some(0) => None,
        Some(bytes) => Some(format!("{name} lacks {}", human_bytes(bytes))),
        None => Some(format!("{name} does not tell how far it is: {}", slave.state)),
    }
}
