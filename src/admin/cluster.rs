//! Which brokers there are, as the name servers tell (106), and how each of them says that it is (28, 9001).
//!
//! Nothing is changed. Invariants: everybody is asked at the same time, so that one who does not answer costs one
//! timeout; who does not answer, or is not registered, is in the result and says so.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Admin, AdminError, all, no_name_server};
use crate::remoting::bodies::extension::{self, Hello};
use crate::remoting::bodies::route::{BrokerData, ClusterInfo};
use crate::remoting::{Command, json, request, response};

/// How a broker is of which only the slaves are registered.
const NOT_REGISTERED: &str = "not registered";
const NO_ANSWER: &str = "does not answer";
/// What [`Member::accounts_differ_from`] means.
pub const ACCOUNTS_DIFFER: &str =
    "Two changes of accounts were made under one counter, and neither is overwritten";
/// What mends it.
pub const ACCOUNTS_DIFFER_FIX: &str = "make the right change once more on one of these brokers with a tool (mqadmin updateAclConfig and the like); \
                                       the others take it over";

/// All brokers, and what could not be learned of them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ClusterState {
    /// By cluster, group and number.
    pub members: Vec<Member>,
    /// One sentence for each name server and broker that did not answer, and for what name servers contradict one
    /// another in.
    pub problems: Vec<String>,
}

/// One broker.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Member {
    /// Its cluster.
    pub cluster: String,
    /// Its group.
    pub group: String,
    /// Its number in the group; 0 is the master.
    pub id: i64,
    /// What its clients dial; `None` if it is not registered.
    pub address: Option<String>,
    /// `4.9.4`, or `rmq-node` and its version; `None` if it does not answer.
    pub version: Option<String>,
    /// Messages stored a second, over the last ten seconds.
    pub in_per_s: Option<f64>,
    /// Messages given out a second, over the last ten seconds.
    pub out_per_s: Option<f64>,
    /// The offset behind the last byte of its log.
    pub log_end: Option<u64>,
    /// A master: whether it serves; a slave: how its copying goes.
    pub state: String,
    /// Of a slave: bytes of the master's log that it does not have.
    pub behind_bytes: Option<u64>,
    /// Of a slave of ours: how much older its log is than its master's at most.
    pub behind_s: Option<u64>,
    /// Of a slave of ours: what went wrong last with its copying.
    pub last_error: Option<String>,
    /// Of a node of ours with accounts: peers whose accounts are others under the same counter.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub accounts_differ_from: Vec<String>,
}

impl Member {
    /// `master` or `slave`.
    #[must_use]
    pub fn role(&self) -> &'static str {
        if self.id == 0 { "master" } else { "slave" }
    }
}

/// A slave's copy of its master.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SlaveCopy {
    /// The cluster.
    pub cluster: String,
    /// The group.
    pub group: String,
    /// The master's address, if it is registered.
    pub master: Option<String>,
    /// The slave's address.
    pub slave: String,
    /// How it goes.
    pub state: String,
    /// See [`Member::behind_bytes`].
    pub behind_bytes: Option<u64>,
    /// See [`Member::behind_s`].
    pub behind_s: Option<u64>,
    /// See [`Member::last_error`].
    pub last_error: Option<String>,
}

impl ClusterState {
    /// One entry for each slave that is registered.
    #[must_use]
    pub fn copies(&self) -> Vec<SlaveCopy> {
        let master_of = |slave: &Member| {
            let is_its = |one: &&Member| one.group == slave.group && one.id == 0;
            self.members.iter().find(is_its).and_then(|master| master.address.clone())
        };
        let copy = |slave: &Member| {
            Some(SlaveCopy {
                cluster: slave.cluster.clone(),
                group: slave.group.clone(),
                master: master_of(slave),
                slave: slave.address.clone()?,
                state: slave.state.clone(),
                behind_bytes: slave.behind_bytes,
                behind_s: slave.behind_s,
                last_error: slave.last_error.clone(),
            })
        };
        self.members.iter().filter(|member| member.id != 0).filter_map(copy).collect()
    }
}

/// What a broker answered.
#[derive(Debug, Default)]
struct Told {
    /// The texts of 28 (B-360).
    info: BTreeMap<String, String>,
    /// What only nodes of ours tell.
    hello: Option<Hello>,
}

impl Told {
    /// The first of three rates: that of the last ten seconds (B-361).
    fn rate(&self, key: &str) -> Option<f64> {
        self.info.get(key)?.split(' ').next()?.parse().ok()
    }

    fn number(&self, key: &str) -> Option<u64> {
        self.info.get(key)?.parse().ok()
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
        groups.sort_by(|a, b| a.broker_name.cmp(&b.broker_name));
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

    /// Every broker of every group, and how it is.
    ///
    /// # Errors
    /// No name server answers, or what answers is none.
    pub async fn cluster(&self) -> Result<ClusterState, AdminError> {
        let mut state = ClusterState::default();
        let groups = self.all_groups(&mut state.problems).await?;
        let registered = groups.iter().flat_map(|group| {
            let member = move |(id, address): (&i64, &String)| (group, *id, address.clone());
            group.addresses.iter().map(member)
        });
        let asked = all(registered.map(async |(group, id, address)| {
            let told = self.tell(&address).await;
            (group, id, address, told)
        }));
        for (group, id, address, told) in asked.await {
            let named = || Member {
                cluster: group.cluster.clone(),
                group: group.broker_name.clone(),
                id,
                address: Some(address.clone()),
                ..Member::default()
            };
            state.members.push(match told {
                Ok(told) => answered(named(), &told),
                Err(error) => {
                    state.problems.push(format!("{} {id}: {error}", group.broker_name));
                    Member { state: NO_ANSWER.to_owned(), ..named() }
                }
            });
        }
        for group in groups.iter().filter(|group| group.master().is_none()) {
            state.members.push(Member {
                cluster: group.cluster.clone(),
                group: group.broker_name.clone(),
                state: NOT_REGISTERED.to_owned(),
                ..Member::default()
            });
        }
        let place = |member: &Member| (member.cluster.clone(), member.group.clone(), member.id);
        state.members.sort_by_key(place);
        compare_ends(&mut state.members);
        Ok(state)
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

    /// The groups that any name server knows. One that does not answer, or knows a member elsewhere than another does,
    /// is told of.
    async fn all_groups(&self, problems: &mut Vec<String>) -> Result<Vec<BrokerData>, AdminError> {
        let request = || Command::request(request::GET_BROKER_CLUSTER_INFO);
        let asked = self.name_servers.iter().map(async |address| {
            let answer = self.call(address, request()).await?;
            ClusterInfo::parse(&answer.body)
                .map_err(|error| AdminError::unreadable(address, &error))
        });
        let answers = all(asked).await;
        let mut known: BTreeMap<String, BrokerData> = BTreeMap::new();
        let mut first: Option<&str> = None;
        let mut failed = Vec::new();
        for (name_server, answer) in self.name_servers.iter().zip(answers) {
            let groups = match answer {
                Ok(info) => info.brokers,
                Err(error) if error.is_refused(response::REQUEST_CODE_NOT_SUPPORTED) => {
                    return Err(no_name_server(name_server));
                }
                Err(error) => {
                    failed.push((name_server, error));
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
                        problems.push(format!(
                            "{name} {id} is at {there} for {first}, but at {address} for {name_server}"
                        ));
                    }
                }
            }
            first.get_or_insert(name_server);
        }
        let Some(first) = first else {
            let reasons: Vec<_> = failed.iter().map(|(_, error)| error.to_string()).collect();
            let text = format!("no name server answers: {}", reasons.join("; "));
            return Err(AdminError::Unreachable(text));
        };
        problems.extend(failed.iter().map(|(_, error)| format!("name server: {error}")));
        if known.is_empty() {
            return Err(nothing_registered(first));
        }
        Ok(known.into_values().collect())
    }

    /// What a broker says of itself.
    async fn tell(&self, address: &str) -> Result<Told, AdminError> {
        let answer = self.call(address, Command::request(request::GET_BROKER_RUNTIME_INFO)).await?;
        let value = json::parse(&answer.body);
        let value = value.map_err(|error| AdminError::unreadable(address, &error))?;
        let text = |(key, value): &(json::Value<'_>, json::Value<'_>)| {
            Some((key.as_str()?.to_owned(), value.as_str()?.to_owned()))
        };
        let info = value.get("table").entries().iter().filter_map(text).collect();
        // A plain broker does not know the question.
        let hello = self.call(address, Command::request(request::EXTENSION_HELLO)).await;
        let hello = hello.ok().and_then(|answer| extension::parse(&answer.body).ok());
        Ok(Told { info, hello })
    }
}

fn nothing_registered(name_server: &str) -> AdminError {
    AdminError::NotFound(format!(
        "no broker is registered with {name_server}: start one, or look whether its name_servers name this one"
    ))
}

/// A member that answered.
fn answered(member: Member, told: &Told) -> Member {
    let mut member = Member {
        version: told.version(),
        in_per_s: told.rate("putTps"),
        out_per_s: told.rate("getTransferedTps"),
        log_end: told.number("commitLogMaxOffset"),
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
fn compare_ends(members: &mut [Member]) {
    let masters: Vec<Member> = members.iter().filter(|one| one.id == 0).cloned().collect();
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
