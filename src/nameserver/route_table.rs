//! Which brokers are there, and which topics they serve: the name server's state (N-020 to N-025, N-046 to N-069).
//!
//! Pure: no I/O, no wire format, no clock of its own (the time is passed in), no lock. Connections are
//! only numbers here. Invariants: a broker group without an address is in no map; a topic without a
//! broker is in no map; an address is in one group, under one number, or in none when another took its
//! place; the master's word about its own topics is merged, never subtracted (S-36); a known broker stays known
//! however many topics it has: what is too much of them is left out; no topic's name is longer than
//! [`TOPIC_BYTES_MAX`].
//!
//! Beyond 4.9.4: an equal data version does not hide differences (S-36); a wiped write
//! permission stays wiped until it is given back or the master registers anew, and giving it back
//! restores what the broker registered, inherit bit included (S-37); unregistering compares the
//! address (S-39); every broker of a closed connection is removed, not only the first (N-024); a
//! closed connection that registered nothing removes nothing (N-022 compares its address text); an
//! address that registers under another group's name leaves the group it was in.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use crate::model::{DataVersion, Permission, TopicConfig, TopicName};
use crate::remoting::bodies::route::{BrokerData, QueueData, TopicRoute};

/// A broker is gone when it was silent for longer than this (N-020).
pub(super) const EXPIRY_MS: i64 = 120_000;

/// Bytes of a topic's name: those of groups, the longest, have 255 besides what they begin with (C-014).
pub(super) const TOPIC_BYTES_MAX: usize = 320;

/// The master's number within its group (B-004).
const MASTER_ID: i64 = 0;

/// Bit 0 of a topic's flags: unit (N-082).
const SYS_FLAG_UNIT: u32 = 1;
/// Bit 1 of a topic's flags: unit subscription (N-082).
const SYS_FLAG_UNIT_SUB: u32 = 2;

/// What one broker says about itself (N-040 to N-045).
#[derive(Clone, Debug, Default)]
pub(super) struct Registration {
    /// The cluster it belongs to.
    pub cluster: String,
    /// Its group.
    pub broker_name: String,
    /// Its number in the group; 0 is the master.
    pub broker_id: i64,
    /// Where clients reach it, `host:port`.
    pub address: String,
    /// Where slaves reach it.
    pub ha_address: Option<String>,
    /// The version of its topic table.
    pub version: DataVersion,
    /// Its topics, or only the changed ones (N-081).
    pub topics: Vec<TopicConfig>,
    /// Its filter servers; `None` leaves them as they are (N-050).
    pub filter_servers: Option<Vec<String>>,
    /// The connection the registration came over.
    pub connection: u64,
}

/// What a registration led to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Registered {
    /// Address and replication address of the live master; told to slaves only (N-051).
    pub master: Option<(String, Option<String>)>,
    /// Whether the address was not known before.
    pub is_new: bool,
    /// The address that had this id before, when it was another.
    pub replaced: Option<String>,
    /// Topics that are new or differ from what was known.
    pub topics_changed: usize,
    /// Topics that are not in the tables.
    pub left_out: LeftOut,
    /// Whether more are left out than ever before since the address is known.
    pub is_more_left_out: bool,
}

/// How many topics of a broker are left out, and why.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct LeftOut {
    /// New ones, beyond [`Bounds::topics`].
    pub surplus: usize,
    /// Those with a name longer than [`TOPIC_BYTES_MAX`].
    pub too_long: usize,
}

impl LeftOut {
    /// The larger number of each.
    fn max(self, other: Self) -> Self {
        Self {
            surplus: self.surplus.max(other.surplus),
            too_long: self.too_long.max(other.too_long),
        }
    }
}

/// The broker is unknown, or new in its cluster, and the tables know as many as they may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TableFull;

/// How large the tables may become: bounds what a peer can make us hold. The default is no bound.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// Addresses; and pairs of cluster and broker group, as a group can be in several (N-046).
    pub brokers: usize,
    /// Pairs of topic and broker group.
    pub topics: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { brokers: usize::MAX, topics: usize::MAX }
    }
}

/// One topic's queues on one broker group (N-048).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Queues {
    read: u32,
    write: u32,
    permission: Permission,
    sys_flag: u32,
}

/// One topic's queues on each broker group, by the groups' names. Most topics are on few, and there are many topics:
/// a list takes a tenth of what a map does, and the names are shared.
#[derive(Debug, Default)]
struct Brokers(Vec<(Arc<str>, Queues)>);

impl Brokers {
    fn place(&self, group: &str) -> Result<usize, usize> {
        self.0.binary_search_by(|(name, _)| (**name).cmp(group))
    }

    fn contains(&self, group: &str) -> bool {
        self.place(group).is_ok()
    }

    fn get_mut(&mut self, group: &str) -> Option<&mut Queues> {
        let place = self.place(group).ok()?;
        Some(&mut self.0[place].1)
    }

    fn insert(&mut self, group: Arc<str>, queues: Queues) {
        let (Ok(place) | Err(place)) = self.place(&group);
        self.0.reserve_exact(1);
        self.0.insert(place, (group, queues));
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| &**name)
    }
}

/// A broker address that was removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Removed {
    /// The address.
    pub address: String,
    /// The connection it was registered over.
    pub connection: u64,
    /// The group that went with it, when it was the group's last address.
    pub broker_name: Option<String>,
}

/// A broker group.
#[derive(Debug)]
struct Group {
    cluster: String,
    addresses: BTreeMap<i64, String>,
    /// Clients are told not to write to it (N-062).
    wiped: bool,
}

impl Group {
    /// What clients are shown: the registered permission, less writing while wiped.
    fn visible(&self, permission: Permission) -> Permission {
        if self.wiped { permission.without(Permission::WRITE) } else { permission }
    }

    /// The number that an address has here.
    fn number_of(&self, address: &str) -> Option<i64> {
        let (number, _) = self.addresses.iter().find(|(_, known)| *known == address)?;
        Some(*number)
    }
}

/// What is known of one address.
#[derive(Debug)]
struct Live {
    broker_name: String,
    last_update_ms: i64,
    version: DataVersion,
    connection: u64,
    ha_address: Option<String>,
    /// The most of its topics that were left out at once.
    left_out: LeftOut,
}

/// The name server's tables.
#[derive(Debug, Default)]
pub(super) struct RouteTable {
    topics: HashMap<TopicName, Brokers>,
    groups: BTreeMap<String, Group>,
    clusters: BTreeMap<String, BTreeSet<String>>,
    live: HashMap<String, Live>,
    filter_servers: HashMap<String, Vec<String>>,
    queue_data_count: usize,
    /// How large they may become from now on.
    pub(super) bounds: Bounds,
}

impl RouteTable {
    /// Takes one broker's registration (N-046 to N-051).
    ///
    /// # Errors
    /// [`TableFull`]; nothing was changed.
    pub(super) fn register(
        &mut self,
        registration: Registration,
        now_ms: i64,
    ) -> Result<Registered, TableFull> {
        self.check_room(&registration)?;
        let Registration { cluster, broker_name, broker_id, address, .. } = registration;
        if self.live.get(&address).is_some_and(|live| live.broker_name != broker_name) {
            let ended = self.leave_group(&address);
            self.forget_groups(&ended.iter().map(String::as_str).collect());
        }
        self.clusters.entry(cluster.clone()).or_default().insert(broker_name.clone());
        let group = self.groups.entry(broker_name.clone()).or_insert_with(|| Group {
            cluster,
            addresses: BTreeMap::new(),
            wiped: false,
        });
        // One address has one id: a slave that became master leaves its old id.
        group.addresses.retain(|id, known| *id == broker_id || *known != address);
        let previous = group.addresses.insert(broker_id, address.clone());
        let mut result = Registered::default();
        if broker_id == MASTER_ID {
            if previous.as_deref() != Some(address.as_str()) {
                group.wiped = false;
            }
            (result.topics_changed, result.left_out) =
                self.merge_topics(&broker_name, registration.topics);
        } else {
            result.master = self.live_master(&broker_name);
        }
        let before = self.live.get(&address).map(|live| live.left_out).unwrap_or_default();
        let left_out = before.max(result.left_out);
        result.is_more_left_out = left_out != before;
        let live = Live {
            broker_name,
            last_update_ms: now_ms,
            version: registration.version,
            connection: registration.connection,
            ha_address: registration.ha_address,
            left_out,
        };
        result.is_new = self.live.insert(address.clone(), live).is_none();
        result.replaced = previous.filter(|previous| *previous != address);
        match registration.filter_servers {
            None => {}
            Some(servers) if servers.is_empty() => {
                self.filter_servers.remove(&address);
            }
            Some(servers) => {
                self.filter_servers.insert(address, servers);
            }
        }
        Ok(result)
    }

    fn check_room(&self, registration: &Registration) -> Result<(), TableFull> {
        let bounds = self.bounds;
        let is_known = self.live.contains_key(&registration.address);
        let of_cluster = self.clusters.get(&registration.cluster);
        let is_member = of_cluster.is_some_and(|names| names.contains(&registration.broker_name));
        if (!is_known && self.live.len() >= bounds.brokers)
            || (!is_member
                && self.pairs_without(self.group_ended_by(registration)) >= bounds.brokers)
        {
            return Err(TableFull);
        }
        Ok(())
    }

    /// The group that ends when a broker registers under another's name.
    fn group_ended_by(&self, registration: &Registration) -> Option<&str> {
        let name = self.live.get(&registration.address)?.broker_name.as_str();
        let is_last = self.groups.get(name).is_some_and(|group| group.addresses.len() == 1);
        (is_last && name != registration.broker_name).then_some(name)
    }

    /// Pairs of cluster and group, but for one group's.
    fn pairs_without(&self, group: Option<&str>) -> usize {
        let has = |names: &BTreeSet<String>| group.is_some_and(|group| names.contains(group));
        self.clusters.values().map(|names| names.len() - usize::from(has(names))).sum()
    }

    /// Adds or replaces the queues of the topics present; topics that lack stay (N-047, S-36). How many are new or
    /// changed, and which there is no place for.
    fn merge_topics(&mut self, broker_name: &str, topics: Vec<TopicConfig>) -> (usize, LeftOut) {
        let (mut changed, mut left_out) = (0, LeftOut::default());
        let shared_name: Arc<str> = broker_name.into();
        for topic in topics {
            if topic.name.as_str().len() > TOPIC_BYTES_MAX {
                left_out.too_long += 1;
                continue;
            }
            let data = Queues {
                read: topic.read_queues,
                write: topic.write_queues,
                permission: topic.permission,
                sys_flag: topic.sys_flag,
            };
            let brokers = self.topics.get_mut(&topic.name);
            if let Some(known) = brokers.and_then(|brokers| brokers.get_mut(broker_name)) {
                changed += usize::from(*known != data);
                *known = data;
            } else if self.queue_data_count < self.bounds.topics {
                let brokers = self.topics.entry(topic.name).or_default();
                brokers.insert(Arc::clone(&shared_name), data);
                self.queue_data_count += 1;
                changed += 1;
            } else {
                left_out.surplus += 1;
            }
        }
        (changed, left_out)
    }

    fn live_master(&self, broker_name: &str) -> Option<(String, Option<String>)> {
        let address = self.groups.get(broker_name)?.addresses.get(&MASTER_ID)?;
        let live = self.live.get(address)?;
        Some((address.clone(), live.ha_address.clone()))
    }

    /// The version last registered from an address (N-072).
    pub(super) fn version_of(&self, address: &str) -> Option<DataVersion> {
        self.live.get(address).map(|live| live.version)
    }

    /// Whether `version` differs from the one registered; if not, it counts as a sign of life (N-072).
    pub(super) fn check_version(
        &mut self,
        address: &str,
        version: Option<DataVersion>,
        now_ms: i64,
    ) -> bool {
        match self.live.get_mut(address) {
            Some(live) if Some(live.version) == version => {
                live.last_update_ms = now_ms;
                false
            }
            _ => true,
        }
    }

    /// A broker says goodbye (N-060); nothing happens if its address is known under another name or number, nor
    /// to the address that has taken its number since (S-39).
    pub(super) fn unregister(
        &mut self,
        broker_name: &str,
        broker_id: i64,
        address: &str,
    ) -> Option<Removed> {
        let live = self.live.get(address)?;
        let number = self.groups.get(&live.broker_name).and_then(|group| group.number_of(address));
        match number {
            Some(number) if number != broker_id || live.broker_name != broker_name => None,
            _ => self.remove_addresses(vec![address.to_owned()]).pop(),
        }
    }

    /// Removes what was registered over a connection that is gone (N-022, N-023).
    pub(super) fn connection_closed(&mut self, connection: u64) -> Vec<Removed> {
        let is_of = |(address, live): (&String, &Live)| {
            (live.connection == connection).then(|| address.clone())
        };
        let addresses = self.live.iter().filter_map(is_of).collect();
        self.remove_addresses(addresses)
    }

    /// Removes brokers that were silent for more than [`EXPIRY_MS`]; the caller closes their connections (N-020).
    pub(super) fn expire(&mut self, now_ms: i64) -> Vec<Removed> {
        let is_expired = |(address, live): (&String, &Live)| {
            (live.last_update_ms.saturating_add(EXPIRY_MS) < now_ms).then(|| address.clone())
        };
        let addresses = self.live.iter().filter_map(is_expired).collect();
        self.remove_addresses(addresses)
    }

    /// Removes known addresses, and all groups that end by that in one pass: a connection may have registered many.
    fn remove_addresses(&mut self, addresses: Vec<String>) -> Vec<Removed> {
        let remove = |address: String| {
            let broker_name = self.leave_group(&address);
            self.filter_servers.remove(&address);
            let connection = self.live.remove(&address)?.connection;
            Some(Removed { address, connection, broker_name })
        };
        let removed: Vec<Removed> = addresses.into_iter().filter_map(remove).collect();
        let ended = removed.iter().filter_map(|removed| removed.broker_name.as_deref());
        self.forget_groups(&ended.collect());
        removed
    }

    /// Takes an address out of its group; the group's name if that was its last (N-023): the caller forgets it.
    fn leave_group(&mut self, address: &str) -> Option<String> {
        let name = self.live.get(address)?.broker_name.clone();
        let group = self.groups.get_mut(&name)?;
        let number = group.number_of(address)?;
        group.addresses.remove(&number);
        if !group.addresses.is_empty() {
            return None;
        }
        self.groups.remove(&name);
        Some(name)
    }

    /// Takes groups that have ended out of clusters and topics.
    fn forget_groups(&mut self, ended: &HashSet<&str>) {
        if ended.is_empty() {
            return;
        }
        self.clusters.retain(|_, names| {
            names.retain(|name| !ended.contains(name.as_str()));
            !names.is_empty()
        });
        let mut removed = 0;
        self.topics.retain(|_, brokers| {
            let before = brokers.0.len();
            brokers.0.retain(|(name, _)| !ended.contains(&**name));
            removed += before - brokers.0.len();
            !brokers.0.is_empty()
        });
        self.queue_data_count -= removed;
    }

    /// Tells clients not to write to a group (N-062), or takes that back (N-063); the number of its topics.
    pub(super) fn set_wiped(&mut self, broker_name: &str, wiped: bool) -> usize {
        if let Some(group) = self.groups.get_mut(broker_name) {
            group.wiped = wiped;
        }
        self.topics.values().filter(|brokers| brokers.contains(broker_name)).count()
    }

    /// Forgets a topic, on one cluster's brokers or on all (N-066).
    pub(super) fn delete_topic(&mut self, topic: &str, cluster: Option<&str>) {
        let Some(brokers) = self.topics.get_mut(topic) else { return };
        let before = brokers.0.len();
        match cluster {
            None => brokers.0.clear(),
            Some(cluster) => {
                let names = self.clusters.get(cluster);
                brokers.0.retain(|(name, _)| !names.is_some_and(|names| names.contains(&**name)));
            }
        }
        self.queue_data_count -= before - brokers.0.len();
        if brokers.0.is_empty() {
            self.topics.remove(topic);
        }
    }

    /// Where a topic is; `None` without queues or without brokers (N-053, N-055).
    pub(super) fn route(&self, topic: &str) -> Option<TopicRoute> {
        let mut route = TopicRoute::default();
        for (broker_name, queues) in &self.topics.get(topic)?.0 {
            let Some(group) = self.groups.get(&**broker_name) else { continue };
            route.queues.push(QueueData {
                broker_name: broker_name.to_string(),
                read_queues: queues.read,
                write_queues: queues.write,
                permission: group.visible(queues.permission),
                sys_flag: queues.sys_flag,
            });
            route.brokers.push(broker_data(broker_name, group));
            for address in group.addresses.values() {
                if let Some(servers) = self.filter_servers.get(address) {
                    route.filter_servers.insert(address.clone(), servers.clone());
                }
            }
        }
        (!route.brokers.is_empty()).then_some(route)
    }

    /// All groups with their addresses (N-061).
    pub(super) fn brokers(&self) -> Vec<BrokerData> {
        self.groups.iter().map(|(name, group)| broker_data(name, group)).collect()
    }

    /// Cluster to group names (N-061).
    pub(super) fn clusters(&self) -> &BTreeMap<String, BTreeSet<String>> {
        &self.clusters
    }

    /// Every topic (N-065).
    pub(super) fn topic_names(&self) -> Vec<String> {
        self.topics_where(|_| true)
    }

    /// The topics of one cluster; none when it is unknown (N-067).
    pub(super) fn topics_of_cluster(&self, cluster: &str) -> Vec<String> {
        let Some(names) = self.clusters.get(cluster) else { return Vec::new() };
        self.topics_where(|brokers| brokers.names().any(|name| names.contains(name)))
    }

    /// Topics with the unit flag (N-069).
    pub(super) fn unit_topics(&self) -> Vec<String> {
        self.topics_where(|brokers| first_sys_flag(brokers) & SYS_FLAG_UNIT != 0)
    }

    /// Topics with the unit subscription flag (N-069).
    pub(super) fn unit_sub_topics(&self) -> Vec<String> {
        self.topics_where(|brokers| first_sys_flag(brokers) & SYS_FLAG_UNIT_SUB != 0)
    }

    /// Topics with the unit subscription flag and without the unit flag (N-069).
    pub(super) fn unit_sub_topics_without_unit(&self) -> Vec<String> {
        let both = SYS_FLAG_UNIT | SYS_FLAG_UNIT_SUB;
        self.topics_where(|brokers| first_sys_flag(brokers) & both == SYS_FLAG_UNIT_SUB)
    }

    fn topics_where(&self, wanted: impl Fn(&Brokers) -> bool) -> Vec<String> {
        let mut names: Vec<String> = self
            .topics
            .iter()
            .filter(|(_, brokers)| wanted(brokers))
            .map(|(name, _)| name.as_str().to_owned())
            .collect();
        names.sort_unstable();
        names
    }

    /// Names of clusters and groups, and one address of one broker to ask for more (N-068).
    pub(super) fn system_topics(&self) -> (Vec<String>, Option<String>) {
        let mut names = Vec::new();
        for (cluster, groups) in &self.clusters {
            names.push(cluster.clone());
            names.extend(groups.iter().cloned());
        }
        let address = self.groups.values().find_map(|group| group.addresses.values().next());
        (names, address.cloned())
    }

    /// Topics, groups and addresses known now.
    #[cfg(test)]
    fn sizes(&self) -> (usize, usize, usize) {
        (self.topics.len(), self.groups.len(), self.live.len())
    }
}

fn broker_data(name: &str, group: &Group) -> BrokerData {
    BrokerData {
        broker_name: name.to_owned(),
        cluster: group.cluster.clone(),
        addresses: group.addresses.clone(),
    }
}

/// 4.9.4 looks at one group of a topic only (N-069).
fn first_sys_flag(brokers: &Brokers) -> u32 {
    brokers.0.first().map_or(0, |(_, data)| data.sys_flag)
}

#[cfg(test)]
#[path = "route_table_tests.rs"]
mod tests;
