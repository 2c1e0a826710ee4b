//! Whether a node's host can be stopped now without anybody noticing.
//!
//! Not draining, which is `brokers::drain`'s. Invariants: nothing is changed; what is not known is an obstacle.

use super::cluster::Members;
use super::{Admin, AdminError, Own};
use crate::proto::v1::{Broker, BrokerStatus, UpgradeCheckResponse};

/// How slaves are that follow their masters: all that is on its way arrives before a master ends.
const FOLLOWING: [&str; 2] = ["in sync", "behind"];
/// How masters are that answer everybody.
const SERVING: [&str; 3] = ["serving", "draining", "drained"];

/// What is known when the host is judged.
struct Judge<'a> {
    brokers: &'a [BrokerStatus],
    verdict: UpgradeCheckResponse,
}

impl Admin {
    /// What somebody would notice if the node that runs `own` was stopped.
    ///
    /// # Errors
    /// No name server answers.
    pub async fn upgrade_check(&self, own: &Own) -> Result<UpgradeCheckResponse, AdminError> {
        let Members { state, told, silent } = self.members(None).await?;
        let brokers = self.statuses(state, &told).await.brokers;
        let verdict = UpgradeCheckResponse {
            data_format: own.data_format,
            ..UpgradeCheckResponse::default()
        };
        let mut judge = Judge { brokers: &brokers, verdict };
        // All topics are asked for once, if a master is looked at.
        let (mut hosts, mut topics) = (Vec::new(), None);
        for (group, id) in &own.brokers {
            let Some(status) = judge.find(group, *id) else {
                judge
                    .no(format!("{group} {id} of this host is not registered, or does not answer"));
                continue;
            };
            hosts.extend(address_of(status).and_then(host_of).map(str::to_owned));
            judge.disk(status, own.disk_read_only_percent);
            match id {
                0 => {
                    judge.master(status);
                    if topics.is_none() {
                        topics = Some(self.topics().await?.topics);
                    }
                    let known = topics.as_deref().unwrap_or_default();
                    let cluster = status.broker.as_ref().map_or("", |one| one.cluster.as_str());
                    let only_here = self.only_at(cluster, group, known).await?;
                    if !only_here.is_empty() {
                        let topics = only_here.join(", ");
                        judge.no(format!(
                            "no other master takes messages for these topics: {topics}"
                        ));
                    }
                }
                _ => judge.slave(status),
            }
        }
        let silent: Vec<_> = silent.iter().map(|(name_server, _)| *name_server).collect();
        judge.name_servers(&self.name_servers, &hosts, &silent);
        Ok(judge.verdict)
    }
}

impl<'a> Judge<'a> {
    fn no(&mut self, text: String) {
        self.verdict.obstacles.push(text);
    }

    fn yes(&mut self, text: String) {
        self.verdict.fine.push(text);
    }

    /// A broker that is registered and answers.
    fn find(&self, group: &str, id: i64) -> Option<&'a BrokerStatus> {
        self.brokers.iter().find(|one| {
            let is_it = |broker: &Broker| broker.group == group && broker.id == id;
            one.permission.is_some() && one.broker.as_ref().is_some_and(is_it)
        })
    }

    /// A master of this host: it is drained, its slaves have what it has, and others take what is sent.
    fn master(&mut self, status: &BrokerStatus) {
        let Some(master) = &status.broker else { return };
        let group = &master.group;
        if !SERVING.contains(&master.state.as_str()) {
            self.no(format!("the master of {group} does not serve: {}", master.state));
        }
        match &status.drain {
            None => self.verdict.not_drained.push(group.clone()),
            Some(drain) if drain.waits_for.is_empty() => self.yes(format!("{group} is drained")),
            Some(drain) => {
                let waits_for = drain.waits_for.iter().map(|one| format!("{group}: {one}"));
                self.verdict.obstacles.extend(waits_for);
            }
        }
        let brokers = self.brokers.iter().filter_map(|one| one.broker.as_ref());
        let slaves: Vec<_> = brokers.filter(|one| one.group == *group && one.id != 0).collect();
        if slaves.is_empty() {
            self.no(format!(
                "{group} has no slave: what is not consumed yet waits until this host is back"
            ));
        }
        for slave in slaves {
            let name = format!("slave {} of {group}", slave.id);
            match FOLLOWING.contains(&slave.state.as_str()) {
                true => self.yes(format!("{name} follows")),
                false => self.no(format!("{name} does not follow: {}", slave.state)),
            }
        }
        let takes = |one: &&BrokerStatus| {
            let is_other = |other: &Broker| {
                other.id == 0 && other.cluster == master.cluster && other.group != *group
            };
            one.broker.as_ref().is_some_and(is_other)
                && one.permission.as_ref().is_some_and(|permission| permission.contains('w'))
        };
        let cluster = &master.cluster;
        match self.brokers.iter().find(takes).and_then(|one| one.broker.as_ref()) {
            Some(other) => self.yes(format!("{} takes what producers send", other.group)),
            None => self.no(format!("no other master of {cluster} takes messages")),
        }
    }

    /// A slave of this host: nobody needs it while its master is there.
    fn slave(&mut self, status: &BrokerStatus) {
        let Some(slave) = &status.broker else { return };
        let group = &slave.group;
        let master = self.find(group, 0).and_then(|one| one.broker.as_ref());
        match master.filter(|master| SERVING.contains(&master.state.as_str())) {
            Some(_) => self.yes(format!("the master of {group} serves")),
            None => self.no(format!(
                "the master of {group} is away, or does not serve: consumers read from this host's slave"
            )),
        }
    }

    fn disk(&mut self, status: &BrokerStatus, read_only_percent: u8) {
        let Some(broker) = &status.broker else { return };
        match status.disk_used_percent {
            Some(used) if used < f64::from(read_only_percent) => {}
            Some(used) => self.no(format!(
                "the disk of {} is {used:.0} % full: nothing is stored there, and a start may lack room",
                broker.group
            )),
            None => self.no(format!("{} does not tell how full its disk is", broker.group)),
        }
    }

    /// Clients need one on another host.
    fn name_servers(&mut self, all: &[String], hosts: &[String], silent: &[&str]) {
        let is_elsewhere = |one: &&String| {
            let host = host_of(one);
            !silent.contains(&one.as_str()) && !hosts.iter().any(|own| Some(own.as_str()) == host)
        };
        match all.iter().find(is_elsewhere) {
            Some(other) => self.yes(format!("name server {other} answers")),
            None => self.no("no name server of another host answers".to_owned()),
        }
    }
}

fn address_of(status: &BrokerStatus) -> Option<&str> {
    status.broker.as_ref()?.address.as_deref()
}

/// Of `host:port`.
pub(super) fn host_of(address: &str) -> Option<&str> {
    address.rsplit_once(':').map(|(host, _)| host)
}
