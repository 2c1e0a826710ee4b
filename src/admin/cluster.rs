//! Which brokers there are, as the name servers tell (106), how each of them says that it is (28, 26, 9001), and what is wrong
//! with it, as that name servers keep producers away from it (105 of its own topic; N-062).
//!
//! Nothing is changed. Invariants: everybody is asked at the same time, so that one who does not answer costs one
//! timeout; who does not answer, or is not registered, is in the result and says so.

use std::collections::BTreeMap;

use super::brokers::permission_of;
use super::{Admin, AdminError, all, no_name_server, permission_text};
use crate::model::Permission;
use crate::proto::v1::{Broker, ClusterState, Problem};
use crate::remoting::bodies::extension::{self, Hello};
use crate::remoting::bodies::route::{BrokerData, ClusterInfo};
use crate::remoting::{Command, request, response};

/// How a broker is of which only the slaves are registered.
pub(super) const NOT_REGISTERED: &str = "not registered";
const NO_ANSWER: &str = "does not answer";
/// Disk use above which the oldest messages are deleted whatever their age, if nothing else is set
/// (`diskSpaceCleanForciblyRatio`).
const DISK_RATIO_MAX: f64 = 0.85;
/// What [`Broker::accounts_differ_from`] means.
pub const ACCOUNTS_DIFFER: &str =
    "Two changes of accounts were made under one counter, and neither is overwritten";
/// What mends it.
pub const ACCOUNTS_DIFFER_FIX: &str = "make the right change once more on one of these brokers with a tool (mqadmin updateAclConfig and the like); \
                                       the others take it over";

/// Name servers that do not answer, and why.
pub(super) type Silent<'a> = Vec<(&'a str, AdminError)>;

impl Broker {
    /// `master` or `slave`.
    #[must_use]
    pub fn role(&self) -> &'static str {
        if self.id == 0 { "master" } else { "slave" }
    }
}

/// What a broker answered.
#[derive(Debug)]
pub(super) struct Told {
    /// The texts of 28 (B-360).
    pub(super) info: BTreeMap<String, String>,
    /// Those of 26, or why they are missing.
    pub(super) settings: Result<BTreeMap<String, String>, AdminError>,
    /// What only nodes of ours tell.
    hello: Option<Hello>,
}

/// What each broker said that answered, by its address.
pub(super) type ToldBy = BTreeMap<String, Told>;

/// Brokers, and who was asked for them.
pub(super) struct Members<'a> {
    /// How they are; it has no problem of name servers that do not answer.
    pub(super) state: ClusterState,
    /// What each said.
    pub(super) told: ToldBy,
    /// The name servers that do not answer.
    pub(super) silent: Silent<'a>,
}

impl Members<'_> {
    /// How they are, with the name servers that do not answer among the problems, and what each said.
    pub(super) fn with_silent(mut self) -> (ClusterState, ToldBy) {
        let silent = self.silent.into_iter().map(|(name_server, error)| {
            name_server_problem(name_server, format!("name server: {error}"))
        });
        self.state.problems.splice(0..0, silent);
        (self.state, self.told)
    }
}

impl Told {
    /// What clients may do there.
    fn permission(&self) -> Option<Permission> {
        permission_of(self.settings.as_ref().ok()?)
    }

    /// The first of three rates: that of the last ten seconds (B-361).
    fn rate(&self, key: &str) -> Option<f64> {
        self.info.get(key)?.split(' ').next()?.parse().ok()
    }

    fn number(&self, key: &str) -> Option<u64> {
        self.info.get(key)?.parse().ok()
    }

    /// Messages of today and of yesterday, of counters that are noted at midnight (B-360).
    fn days(&self, what: &str) -> Option<(u64, u64)> {
        let at = |when: &str| self.number(&format!("msg{what}Total{when}"));
        let (before, midnight, now) =
            (at("YesterdayMorning")?, at("TodayMorning")?, at("TodayNow")?);
        Some((now.saturating_sub(midnight), midnight.saturating_sub(before)))
    }

    fn version(&self) -> Option<String> {
        match &self.hello {
            Some(hello) => Some(format!("rmq-node {}", hello.version)),
            None => {
                Some(self.info.get("brokerVersionDesc")?.trim_start_matches('V').replace('_', "."))
            }
        }
    }
}

impl Admin {
    /// All broker groups by their names; `cluster` leaves out those of others.
    ///
    /// # Errors
    /// No name server answers, there is no such cluster, or nothing is registered.
    pub(super) async fn broker_groups(
        &self,
        cluster: Option<&str>,
    ) -> Result<Vec<BrokerData>, AdminError> {
        let request = Command::request(request::GET_BROKER_CLUSTER_INFO);
        let (address, answer) = self.call_name_server(&request).await?;
        let info = ClusterInfo::parse(&answer.body);
        let mut groups = info.map_err(|error| AdminError::unreadable(address, &error))?.brokers;
        groups.sort_unstable_by(|a, b| a.broker_name.cmp(&b.broker_name));
        if groups.is_empty() {
            return Err(nothing_registered(address));
        }
        let Some(cluster) = cluster else { return Ok(groups) };
        let mut clusters: Vec<String> = groups.iter().map(|one| one.cluster.clone()).collect();
        groups.retain(|group| group.cluster == cluster);
        if groups.is_empty() {
            clusters.sort();
            clusters.dedup();
            let known = clusters.join(", ");
            let text =
                format!("no cluster \"{cluster}\" is registered with {address}; there is: {known}");
            return Err(AdminError::NotFound(text));
        }
        Ok(groups)
    }

    /// The broker groups that are meant where something is created: all of the only cluster, of that which is named, or the
    /// one that is.
    ///
    /// # Errors
    /// Nobody answers, there is no such cluster or broker, or there are several clusters and none is named.
    pub(super) async fn groups_meant(
        &self,
        cluster: Option<&str>,
        broker: Option<&str>,
    ) -> Result<Vec<BrokerData>, AdminError> {
        let mut groups = self.broker_groups(cluster).await?;
        if let Some(broker) = broker {
            let known: Vec<String> = groups.iter().map(|group| group.broker_name.clone()).collect();
            groups.retain(|group| group.broker_name == broker);
            if groups.is_empty() {
                let known = known.join(", ");
                let text = format!("no broker \"{broker}\" is registered; there is: {known}");
                return Err(AdminError::NotFound(text));
            }
        }
        must_be_one_cluster(&groups)?;
        Ok(groups)
    }

    /// Every broker of every group, and how it is.
    ///
    /// # Errors
    /// No name server answers, or what answers is none.
    pub async fn cluster(&self) -> Result<ClusterState, AdminError> {
        Ok(self.members(None).await?.with_silent().0)
    }

    /// Says of each master that takes messages which name servers keep producers away from it (205), which it does not know.
    async fn add_kept_away(&self, brokers: &mut [Broker], silent: &Silent<'_>) {
        // Who did not answer is not waited for once more.
        let mut answering = self.clone();
        let is_silent = |one: &str| silent.iter().any(|(silent, _)| *silent == one);
        answering.name_servers.retain(|one| !is_silent(one));
        all(brokers.iter_mut().filter(|one| takes_messages(one)).map(async |broker| {
            for name_server in answering.keep_away_from(&broker.group).await {
                broker.warnings.push(format!(
                    "name server {name_server} keeps producers away from it (wipeWritePerm)"
                ));
                broker.kept_away_by.push(name_server.clone());
            }
        }))
        .await;
    }

    /// The brokers of every group, or of the one that is named.
    ///
    /// # Errors
    /// No name server answers, or what answers is none.
    pub(super) async fn members(&self, named: Option<&str>) -> Result<Members<'_>, AdminError> {
        let (mut state, mut told_by) = (ClusterState::default(), ToldBy::new());
        let (mut groups, silent) = self.all_groups(&mut state.problems).await?;
        let with_slaves: Vec<(String, String)> = groups
            .iter()
            .filter(|group| group.addresses.keys().any(|id| *id != 0))
            .map(|group| (group.cluster.clone(), group.broker_name.clone()))
            .collect();
        groups.retain(|group| named.is_none_or(|name| group.broker_name == name));
        let registered = groups.iter().flat_map(|group| {
            let member = move |(id, address): (&i64, &String)| (group, *id, address.clone());
            group.addresses.iter().map(member)
        });
        let asked = all(registered.map(async |(group, id, address)| {
            let told = self.tell(&address).await;
            (group, id, address, told)
        }));
        for (group, id, address, told) in asked.await {
            let member = || Broker {
                cluster: group.cluster.clone(),
                group: group.broker_name.clone(),
                id,
                address: Some(address.clone()),
                ..Broker::default()
            };
            state.brokers.push(match told {
                Ok(told) => {
                    let answered = answered(member(), &told);
                    told_by.insert(address, told);
                    answered
                }
                Err(error) => {
                    state.problems.push(Problem {
                        at: group.broker_name.clone(),
                        address: Some(address.clone()),
                        reason: format!("{} {id}: {error}", group.broker_name),
                    });
                    Broker { state: NO_ANSWER.to_owned(), ..member() }
                }
            });
        }
        for group in groups.iter().filter(|group| group.master().is_none()) {
            state.brokers.push(Broker {
                cluster: group.cluster.clone(),
                group: group.broker_name.clone(),
                state: NOT_REGISTERED.to_owned(),
                ..Broker::default()
            });
        }
        let place = |member: &Broker| (member.cluster.clone(), member.group.clone(), member.id);
        state.brokers.sort_unstable_by_key(place);
        compare_ends(&mut state.brokers);
        warn(&mut state.brokers, &with_slaves);
        self.add_kept_away(&mut state.brokers, &silent).await;
        Ok(Members { state, told: told_by, silent })
    }

    /// Lets a slave of ours set its folder aside and copy all that its master has; it is asked by its address on its own
    /// host, and obeys nobody else.
    ///
    /// # Errors
    /// It does not answer, is no slave, or no node of ours.
    pub async fn resync(&self, slave: &str) -> Result<(), AdminError> {
        match self.call(slave, Command::request(request::EXTENSION_RESYNC)).await {
            Ok(_) => Ok(()),
            Err(error) if error.is_refused(response::REQUEST_CODE_NOT_SUPPORTED) => {
                let text = format!("{slave} does not know how: it is no rmq-node, or an old one");
                Err(AdminError::Conflict(text))
            }
            Err(error) => Err(error),
        }
    }

    /// The groups that any name server knows, and those that do not answer. One that knows a member elsewhere than another
    /// does is a problem.
    async fn all_groups(
        &self,
        problems: &mut Vec<Problem>,
    ) -> Result<(Vec<BrokerData>, Silent<'_>), AdminError> {
        let request = || Command::request(request::GET_BROKER_CLUSTER_INFO);
        let asked = self.name_servers.iter().map(async |address| {
            let answer = self.call(address, request()).await?;
            ClusterInfo::parse(&answer.body)
                .map_err(|error| AdminError::unreadable(address, &error))
        });
        let answers = all(asked).await;
        let mut known: BTreeMap<String, BrokerData> = BTreeMap::new();
        let mut first: Option<&str> = None;
        let mut silent = Silent::new();
        for (name_server, answer) in self.name_servers.iter().zip(answers) {
            let groups = match answer {
                Ok(info) => info.brokers,
                Err(error) if error.is_refused(response::REQUEST_CODE_NOT_SUPPORTED) => {
                    return Err(no_name_server(name_server));
                }
                Err(error) => {
                    silent.push((name_server, error));
                    continue;
                }
            };
            for group in groups {
                let name = group.broker_name.clone();
                let Some(merged) = known.get_mut(&name) else {
                    known.insert(name, group);
                    continue;
                };
                for (id, address) in group.addresses {
                    let there = merged.addresses.entry(id).or_insert_with(|| address.clone());
                    if *there != address {
                        let first = first.unwrap_or_default();
                        let reason = format!(
                            "{name} {id} is at {there} for {first}, but at {address} for {name_server}"
                        );
                        problems.push(name_server_problem(name_server, reason));
                    }
                }
            }
            first.get_or_insert(name_server);
        }
        let Some(first) = first else {
            let reasons: Vec<_> = silent.iter().map(|(_, error)| error.to_string()).collect();
            let text = format!("no name server answers: {}", reasons.join("; "));
            return Err(AdminError::Unreachable(text));
        };
        if known.is_empty() {
            return Err(nothing_registered(first));
        }
        Ok((known.into_values().collect(), silent))
    }

    /// What a broker says of itself.
    async fn tell(&self, address: &str) -> Result<Told, AdminError> {
        let info = self.runtime_info(address).await?;
        let settings = self.broker_settings(address).await;
        // A plain broker does not know the question.
        let hello = self.call(address, Command::request(request::EXTENSION_HELLO)).await;
        let hello = hello.ok().and_then(|answer| extension::parse(&answer.body).ok());
        Ok(Told { info, settings, hello })
    }
}

/// Whether all are of one cluster, which changes are for.
///
/// # Errors
/// They are not.
pub(super) fn must_be_one_cluster(groups: &[BrokerData]) -> Result<(), AdminError> {
    let mut clusters: Vec<&str> = groups.iter().map(|group| group.cluster.as_str()).collect();
    clusters.sort_unstable();
    clusters.dedup();
    if clusters.len() < 2 {
        return Ok(());
    }
    let clusters = clusters.join(", ");
    let text = format!("there are several clusters ({clusters}): choose one with --cluster");
    Err(AdminError::Invalid(text))
}

pub(super) fn name_server_problem(address: &str, reason: String) -> Problem {
    Problem { at: "name server".to_owned(), address: Some(address.to_owned()), reason }
}

fn nothing_registered(name_server: &str) -> AdminError {
    AdminError::NotFound(format!(
        "no broker is registered with {name_server}: start one, or look whether its name_servers name this one"
    ))
}

/// A member that answered.
fn answered(member: Broker, told: &Told) -> Broker {
    let (in_today, in_yesterday) = told.days("Put").unzip();
    let (out_today, out_yesterday) = told.days("Get").unzip();
    let mut member = Broker {
        started_ms: told.info.get("bootTimestamp").and_then(|text| text.parse().ok()),
        in_today,
        in_yesterday,
        out_today,
        out_yesterday,
        version: told.version(),
        in_per_s: told.rate("putTps"),
        out_per_s: told.rate("getTransferedTps"),
        log_end: told.number("commitLogMaxOffset"),
        disk_ratio: told.info.get("commitLogDiskRatio").and_then(|text| text.parse().ok()),
        permission: told.permission().map(permission_text),
        ..member
    };
    if member.id == 0 {
        let waits_for = told.hello.as_ref().map_or("", |hello| hello.waits_for.as_str());
        let is_waiting = !waits_for.is_empty();
        member.state = if is_waiting { waits_for.to_owned() } else { "serving".to_owned() };
    }
    if let Some(copy) = told.hello.as_ref().and_then(|hello| hello.copy.as_ref()) {
        member.state.clone_from(&copy.phase);
        member.behind_s = copy.behind_s;
        member.last_error = Some(copy.last_error.clone()).filter(|error| !error.is_empty());
    }
    if let Some(hello) = &told.hello {
        member.accounts_differ_from.clone_from(&hello.accounts_differ_from);
    }
    member
}

/// Says of each slave how far its log is behind its master's, and how plain ones are.
fn compare_ends(members: &mut [Broker]) {
    let masters: Vec<Broker> = members.iter().filter(|one| one.id == 0).cloned().collect();
    for slave in members.iter_mut().filter(|one| one.id != 0) {
        let master = masters.iter().find(|master| master.group == slave.group);
        let master_end = master.and_then(|master| master.log_end);
        let Some(end) = slave.log_end else { continue };
        slave.behind_bytes = master_end.map(|master_end| master_end.saturating_sub(end));
        if slave.state.is_empty() {
            slave.state = match slave.behind_bytes {
                None => "no master",
                Some(0) => "in sync",
                Some(_) => "behind",
            }
            .to_owned();
        }
    }
}

/// Whether it is a master that takes messages, as far as it says.
pub(super) fn takes_messages(broker: &Broker) -> bool {
    broker.id == 0 && broker.permission.as_deref().is_some_and(|may| may.contains('w'))
}

/// Says of each broker what is wrong with it; of other groups it needs to know only which of them have slaves.
fn warn(brokers: &mut [Broker], with_slaves: &[(String, String)]) {
    for broker in brokers {
        let mut warnings = Vec::new();
        let is_there = broker.address.is_some() && broker.state != NO_ANSWER;
        if !is_there {
            let what = if broker.id == 0 { ": nothing can be sent to this group" } else { "" };
            warnings.push(format!("it is {}{what}", missing(broker)));
        }
        if let Some(ratio) = broker.disk_ratio.filter(|ratio| *ratio >= DISK_RATIO_MAX) {
            warnings.push(format!("its disk is {:.0} % full", ratio * 100.0));
        }
        match broker.permission.as_deref() {
            Some("r") => warnings.push("it is read-only: nothing can be sent to it".to_owned()),
            Some("w") => {
                warnings.push("it is write-only: nothing can be consumed from it".to_owned())
            }
            _ => {}
        }
        let has_slave = with_slaves.contains(&place_of(broker));
        if broker.id == 0
            && !has_slave
            && with_slaves.iter().any(|(cluster, _)| *cluster == broker.cluster)
        {
            warnings.push("no slave is registered, as other groups have one".to_owned());
        }
        if is_there
            && broker.id != 0
            && !["in sync", "behind", "copying"].contains(&broker.state.as_str())
        {
            warnings.push(format!("it does not copy its master: {}", broker.state));
        }
        broker.warnings = warnings;
    }
}

fn place_of(broker: &Broker) -> (String, String) {
    (broker.cluster.clone(), broker.group.clone())
}

fn missing(broker: &Broker) -> &'static str {
    if broker.address.is_some() { "registered, and does not answer" } else { NOT_REGISTERED }
}
