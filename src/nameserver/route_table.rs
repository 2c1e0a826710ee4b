//! Which brokers are there, and which topics they serve: the name server's state (N-020 to N-025, N-046 to N-069).
//!
//! Pure: no I/O, no wire format, no clock of its own (the time is passed in), no lock. Connections are
//! only numbers here. Invariants: a broker group without an address is in no map; a topic without a
//! broker is in no map; the master's word about its own topics is merged, never subtracted (S-36).
//!
//! Beyond 4.9.4 (DESIGN 9): an equal data version does not hide differences (S-36); a wiped write
//! permission stays wiped until it is given back or the master registers anew, and giving it back
//! restores what the broker registered, inherit bit included (S-37); unregistering compares the
//! address (S-39); every broker of a closed connection is removed, not only the first (N-024); a
//! closed connection that registered nothing removes nothing (N-022 compares its address text).

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::model::{DataVersion, Permission, TopicConfig, TopicName};

/// A broker is gone when it was silent for longer than this (N-020).
pub(super) const EXPIRY_MS: i64 = 120_000;

/// The master's number within its group (B-004).
const MASTER_ID: i64 = 0;

/// Bit 0 of a topic's flags: unit (N-082).
const SYS_FLAG_UNIT: u32 = 1;
/// Bit 1 of a topic's flags: unit subscription (N-082).
const SYS_FLAG_UNIT_SUB: u32 = 2;

/// Addresses that may be registered at once: bounds what a peer can make us hold.
const ADDRESSES_MAX: usize = 10_000;
/// Pairs of topic and broker group that may be registered at once.
const QUEUE_DATAS_MAX: usize = 1_000_000;

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
}

/// A registration that would make the tables larger than they may become.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the name server's limit of {limit} {what} is reached; unregister brokers or delete topics that are not used"
)]
pub(super) struct TableFull {
    limit: usize,
    what: &'static str,
}

/// One topic's queues on one broker group (N-048).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct QueueData {
    /// Queues that consumers read.
    pub read_queues: u32,
    /// Queues that producers write.
    pub write_queues: u32,
    /// What clients may do.
    pub permission: Permission,
    /// Unit flags (N-082).
    pub sys_flag: u32,
}

/// One broker group in an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct BrokerData {
    /// The group.
    pub broker_name: String,
    /// The cluster it was first registered in.
    pub cluster: String,
    /// Id to address.
    pub addresses: BTreeMap<i64, String>,
}

/// Where a topic is (N-053).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Route {
    /// Broker groups with at least one address.
    pub brokers: Vec<BrokerData>,
    /// Queues by group.
    pub queues: Vec<(String, QueueData)>,
    /// Filter servers by broker address (N-056).
    pub filter_servers: BTreeMap<String, Vec<String>>,
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

/// What is known of one address.
#[derive(Debug)]
struct Live {
    last_update_ms: i64,
    version: DataVersion,
    connection: u64,
    ha_address: Option<String>,
}

/// The name server's tables.
#[derive(Debug, Default)]
pub(super) struct RouteTable {
    topics: HashMap<TopicName, BTreeMap<String, QueueData>>,
    groups: BTreeMap<String, Group>,
    clusters: BTreeMap<String, BTreeSet<String>>,
    live: HashMap<String, Live>,
    filter_servers: HashMap<String, Vec<String>>,
    queue_data_count: usize,
}

impl RouteTable {
    /// Takes one broker's registration (N-046 to N-051).
    ///
    /// # Errors
    /// The tables are full; nothing was changed.
    pub(super) fn register(
        &mut self,
        registration: Registration,
        now_ms: i64,
    ) -> Result<Registered, TableFull> {
        self.check_room(&registration)?;
        let Registration { cluster, broker_name, broker_id, address, .. } = registration;
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
            result.topics_changed = self.merge_topics(&broker_name, registration.topics);
        } else {
            result.master = self.live_master(&broker_name);
        }
        let live = Live {
            last_update_ms: now_ms,
            version: registration.version,
            connection: registration.connection,
            ha_address: registration.ha_address,
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
        if self.live.len() >= ADDRESSES_MAX && !self.live.contains_key(&registration.address) {
            return Err(TableFull { limit: ADDRESSES_MAX, what: "broker addresses" });
        }
        let is_new = |topic: &&TopicConfig| {
            !self
                .topics
                .get(&topic.name)
                .is_some_and(|brokers| brokers.contains_key(&registration.broker_name))
        };
        // Counting is only worth its time near the limit.
        if self.queue_data_count + registration.topics.len() > QUEUE_DATAS_MAX
            && self.queue_data_count + registration.topics.iter().filter(is_new).count()
                > QUEUE_DATAS_MAX
        {
            return Err(TableFull { limit: QUEUE_DATAS_MAX, what: "topics of broker groups" });
        }
        Ok(())
    }

    /// Adds or replaces the queues of the topics present; topics that lack stay (N-047, S-36).
    fn merge_topics(&mut self, broker_name: &str, topics: Vec<TopicConfig>) -> usize {
        let mut changed = 0;
        for topic in topics {
            let data = QueueData {
                read_queues: topic.read_queues,
                write_queues: topic.write_queues,
                permission: topic.permission,
                sys_flag: topic.sys_flag,
            };
            let brokers = self.topics.entry(topic.name).or_default();
            match brokers.get_mut(broker_name) {
                Some(known) if *known == data => {}
                Some(known) => {
                    *known = data;
                    changed += 1;
                }
                None => {
                    brokers.insert(broker_name.to_owned(), data);
                    self.queue_data_count += 1;
                    changed += 1;
                }
            }
        }
        changed
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

    /// A broker says goodbye (N-060); an id that another address has taken since stays (S-39).
    pub(super) fn unregister(
        &mut self,
        broker_name: &str,
        broker_id: i64,
        address: &str,
    ) -> Option<Removed> {
        let live = self.live.remove(address);
        self.filter_servers.remove(address);
        let mut emptied = false;
        if let Some(group) = self.groups.get_mut(broker_name)
            && group.addresses.get(&broker_id).is_some_and(|known| known == address)
        {
            group.addresses.remove(&broker_id);
            emptied = group.addresses.is_empty();
        }
        if emptied {
            self.remove_group(broker_name);
        }
        live.map(|live| Removed {
            address: address.to_owned(),
            connection: live.connection,
            broker_name: emptied.then(|| broker_name.to_owned()),
        })
    }

    /// Removes what was registered over a connection that is gone (N-022, N-023).
    pub(super) fn connection_closed(&mut self, connection: u64) -> Vec<Removed> {
        let is_of = |(address, live): (&String, &Live)| {
            (live.connection == connection).then(|| address.clone())
        };
        let addresses: Vec<String> = self.live.iter().filter_map(is_of).collect();
        addresses.into_iter().filter_map(|address| self.remove_address(&address)).collect()
    }

    /// Removes brokers that were silent for more than [`EXPIRY_MS`]; the caller closes their connections (N-020).
    pub(super) fn expire(&mut self, now_ms: i64) -> Vec<Removed> {
        let is_expired = |(address, live): (&String, &Live)| {
            (live.last_update_ms.saturating_add(EXPIRY_MS) < now_ms).then(|| address.clone())
        };
        let addresses: Vec<String> = self.live.iter().filter_map(is_expired).collect();
        addresses.into_iter().filter_map(|address| self.remove_address(&address)).collect()
    }

    fn remove_address(&mut self, address: &str) -> Option<Removed> {
        let live = self.live.remove(address)?;
        self.filter_servers.remove(address);
        let mut emptied = None;
        for (name, group) in &mut self.groups {
            let before = group.addresses.len();
            group.addresses.retain(|_, known| known != address);
            if group.addresses.len() < before && group.addresses.is_empty() {
                emptied = Some(name.clone());
            }
        }
        if let Some(name) = &emptied {
            self.remove_group(name);
        }
        Some(Removed {
            address: address.to_owned(),
            connection: live.connection,
            broker_name: emptied,
        })
    }

    fn remove_group(&mut self, broker_name: &str) {
        self.groups.remove(broker_name);
        self.clusters.retain(|_, names| {
            names.remove(broker_name);
            !names.is_empty()
        });
        let mut removed = 0;
        self.topics.retain(|_, brokers| {
            removed += usize::from(brokers.remove(broker_name).is_some());
            !brokers.is_empty()
        });
        self.queue_data_count -= removed;
    }

    /// Tells clients not to write to a group (N-062), or takes that back (N-063); the number of its topics.
    pub(super) fn set_wiped(&mut self, broker_name: &str, wiped: bool) -> usize {
        if let Some(group) = self.groups.get_mut(broker_name) {
            group.wiped = wiped;
        }
        self.topics.values().filter(|brokers| brokers.contains_key(broker_name)).count()
    }

    /// Forgets a topic, on one cluster's brokers or on all (N-066).
    pub(super) fn delete_topic(&mut self, topic: &str, cluster: Option<&str>) {
        let Some(brokers) = self.topics.get_mut(topic) else { return };
        let before = brokers.len();
        match cluster {
            None => brokers.clear(),
            Some(cluster) => {
                let names = self.clusters.get(cluster);
                brokers.retain(|name, _| !names.is_some_and(|names| names.contains(name)));
            }
        }
        self.queue_data_count -= before - brokers.len();
        if brokers.is_empty() {
            self.topics.remove(topic);
        }
    }

    /// Where a topic is; `None` without queues or without brokers (N-053, N-055).
    pub(super) fn route(&self, topic: &str) -> Option<Route> {
        let queues = self.topics.get(topic)?;
        let mut route =
            Route { brokers: Vec::new(), queues: Vec::new(), filter_servers: BTreeMap::new() };
        for (broker_name, data) in queues {
            route.queues.push((broker_name.clone(), self.visible(broker_name, *data)));
            let Some(group) = self.groups.get(broker_name) else { continue };
            route.brokers.push(broker_data(broker_name, group));
            for address in group.addresses.values() {
                if let Some(servers) = self.filter_servers.get(address) {
                    route.filter_servers.insert(address.clone(), servers.clone());
                }
            }
        }
        (!route.brokers.is_empty()).then_some(route)
    }

    /// What clients are shown: the broker's registered permission, less writing while wiped.
    fn visible(&self, broker_name: &str, data: QueueData) -> QueueData {
        let wiped = self.groups.get(broker_name).is_some_and(|group| group.wiped);
        if !wiped {
            return data;
        }
        QueueData { permission: data.permission.without(Permission::WRITE), ..data }
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
        self.topics_where(|brokers| brokers.keys().any(|name| names.contains(name)))
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

    fn topics_where(&self, wanted: impl Fn(&BTreeMap<String, QueueData>) -> bool) -> Vec<String> {
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

    /// Topics, groups and addresses known now, for metrics.
    pub(super) fn sizes(&self) -> (usize, usize, usize) {
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
fn first_sys_flag(brokers: &BTreeMap<String, QueueData>) -> u32 {
    brokers.values().next().map_or(0, |data| data.sys_flag)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MASTER: &str = "127.0.0.1:10911";
    const SLAVE: &str = "127.0.0.1:11911";

    fn topic(name: &str, permission: u32) -> TopicConfig {
        let mut topic = TopicConfig::new(TopicName::new(name), 4);
        topic.permission = Permission(permission);
        topic
    }

    fn master(topics: &[TopicConfig]) -> Registration {
        Registration {
            cluster: "c".into(),
            broker_name: "broker-a".into(),
            broker_id: 0,
            address: MASTER.into(),
            ha_address: Some("127.0.0.1:10912".into()),
            version: DataVersion { timestamp: 1, counter: 1 },
            topics: topics.to_vec(),
            filter_servers: None,
            connection: 1,
        }
    }

    fn slave() -> Registration {
        Registration {
            broker_id: 1,
            address: SLAVE.into(),
            ha_address: Some("127.0.0.1:11912".into()),
            connection: 2,
            ..master(&[])
        }
    }

    fn permission(table: &RouteTable, topic: &str) -> u32 {
        table.route(topic).unwrap().queues[0].1.permission.0
    }

    #[test]
    fn a_registered_topic_has_a_route_with_all_addresses() {
        let mut table = RouteTable::default();
        let first = table.register(master(&[topic("T", 6)]), 0).unwrap();
        assert!(first.is_new);
        assert_eq!((first.master, first.topics_changed), (None, 1));
        table.register(slave(), 0).unwrap();
        let route = table.route("T").unwrap();
        assert_eq!(route.brokers[0].cluster, "c");
        assert_eq!(
            route.brokers[0].addresses,
            BTreeMap::from([(0, MASTER.into()), (1, SLAVE.into())])
        );
        assert_eq!(route.queues[0].0, "broker-a");
        assert_eq!(route.queues[0].1.write_queues, 4);
        assert!(table.route("U").is_none());
    }

    #[test]
    fn a_slave_learns_the_live_master_and_brings_no_topics_n051() {
        let mut table = RouteTable::default();
        let alone = table.register(slave(), 0).unwrap();
        assert_eq!(alone.master, None);
        table.register(master(&[]), 0).unwrap();
        let mut with_topics = slave();
        with_topics.topics = vec![topic("T", 6)];
        let known = table.register(with_topics, 0).unwrap();
        assert_eq!(known.master, Some((MASTER.into(), Some("127.0.0.1:10912".into()))));
        assert!(table.route("T").is_none());
    }

    #[test]
    fn registrations_merge_and_never_remove_s36() {
        let mut table = RouteTable::default();
        table.register(master(&[topic("T", 6), topic("U", 6)]), 0).unwrap();
        let only_v = table.register(master(&[topic("V", 6)]), 0).unwrap();
        assert_eq!(only_v.topics_changed, 1);
        assert_eq!(table.topic_names(), ["T", "U", "V"]);
    }

    #[test]
    fn differences_count_even_when_the_version_is_equal_s36() {
        let mut table = RouteTable::default();
        table.register(master(&[topic("T", 6)]), 0).unwrap();
        let again = table.register(master(&[topic("T", 4), topic("lost", 6)]), 0).unwrap();
        assert_eq!(again.topics_changed, 2);
        assert_eq!(permission(&table, "T"), 4);
        assert!(table.route("lost").is_some());
    }

    #[test]
    fn the_same_address_has_one_id_n046() {
        let mut table = RouteTable::default();
        table.register(slave(), 0).unwrap();
        let mut promoted = slave();
        promoted.broker_id = 0;
        table.register(promoted, 0).unwrap();
        assert_eq!(table.brokers()[0].addresses, BTreeMap::from([(0, SLAVE.into())]));
    }

    #[test]
    fn wiped_write_permission_survives_registrations_until_added_s37() {
        let mut table = RouteTable::default();
        table.register(master(&[topic("T", 6), topic("TBW102", 7), topic("R", 4)]), 0).unwrap();
        assert_eq!(table.set_wiped("broker-a", true), 3);
        assert_eq!([permission(&table, "T"), permission(&table, "TBW102")], [4, 5]);
        let mut changed = master(&[topic("T", 6), topic("new", 6)]);
        changed.version.counter = 2;
        table.register(changed, 0).unwrap();
        assert_eq!([permission(&table, "T"), permission(&table, "new")], [4, 4]);
        assert_eq!(table.set_wiped("broker-a", false), 4);
        assert_eq!([permission(&table, "T"), permission(&table, "TBW102")], [6, 7]);
        assert_eq!(permission(&table, "R"), 4);
        assert_eq!(table.set_wiped("unknown", true), 0);
    }

    #[test]
    fn a_master_that_registers_anew_is_writable_again() {
        let mut table = RouteTable::default();
        table.register(master(&[topic("T", 6)]), 0).unwrap();
        table.register(slave(), 0).unwrap();
        table.set_wiped("broker-a", true);
        table.unregister("broker-a", 0, MASTER);
        assert_eq!(permission(&table, "T"), 4);
        table.register(master(&[topic("T", 6)]), 0).unwrap();
        assert_eq!(permission(&table, "T"), 6);
    }

    #[test]
    fn queues_stay_with_the_slave_and_go_with_the_last_address_n023() {
        let mut table = RouteTable::default();
        table.register(master(&[topic("T", 6)]), 0).unwrap();
        table.register(slave(), 0).unwrap();
        let gone = table.connection_closed(1);
        assert_eq!((gone[0].address.as_str(), &gone[0].broker_name), (MASTER, &None));
        let route = table.route("T").unwrap();
        assert_eq!(route.brokers[0].addresses, BTreeMap::from([(1, SLAVE.into())]));
        let gone = table.connection_closed(2);
        assert_eq!(gone[0].broker_name.as_deref(), Some("broker-a"));
        assert!(table.route("T").is_none());
        assert!(table.topic_names().is_empty());
        assert!(table.clusters().is_empty());
        assert_eq!(table.queue_data_count, 0);
    }

    #[test]
    fn the_close_of_an_older_connection_removes_nothing() {
        let mut table = RouteTable::default();
        table.register(master(&[topic("T", 6)]), 0).unwrap();
        let mut again = master(&[]);
        again.connection = 9;
        table.register(again, 0).unwrap();
        assert!(table.connection_closed(1).is_empty());
        assert!(table.route("T").is_some());
    }

    #[test]
    fn every_broker_of_a_closed_connection_goes_n024() {
        let mut table = RouteTable::default();
        table.register(master(&[]), 0).unwrap();
        let mut other = slave();
        other.connection = 1;
        table.register(other, 0).unwrap();
        assert_eq!(table.connection_closed(1).len(), 2);
        assert_eq!(table.sizes(), (0, 0, 0));
    }

    #[test]
    fn silence_for_more_than_120_s_expires_n020() {
        let mut table = RouteTable::default();
        table.register(master(&[topic("T", 6)]), 1_000).unwrap();
        assert!(table.expire(121_000).is_empty());
        let gone = table.expire(121_001);
        assert_eq!((gone[0].connection, gone[0].address.as_str()), (1, MASTER));
        assert!(table.route("T").is_none());
    }

    #[test]
    fn an_unchanged_version_query_is_a_sign_of_life_n072() {
        let mut table = RouteTable::default();
        let version = Some(DataVersion { timestamp: 1, counter: 1 });
        assert!(table.check_version(MASTER, version, 0));
        table.register(master(&[]), 0).unwrap();
        assert!(!table.check_version(MASTER, version, 100_000));
        assert!(table.check_version(MASTER, None, 200_000));
        assert!(table.expire(220_000).is_empty());
        assert_eq!(table.version_of(MASTER), version);
        assert_eq!(table.expire(220_001).len(), 1);
    }

    #[test]
    fn a_late_unregister_of_an_old_address_leaves_the_new_one_s39() {
        let mut table = RouteTable::default();
        table.register(master(&[topic("T", 6)]), 0).unwrap();
        let mut moved = master(&[]);
        moved.address = "127.0.0.2:10911".into();
        let result = table.register(moved, 0).unwrap();
        assert_eq!(result.replaced.as_deref(), Some(MASTER));
        assert!(table.unregister("broker-a", 0, MASTER).is_some());
        assert_eq!(table.brokers()[0].addresses[&0], "127.0.0.2:10911");
        table.unregister("broker-a", 0, "127.0.0.2:10911");
        assert_eq!(table.sizes(), (0, 0, 0));
    }

    #[test]
    fn a_topic_is_deleted_on_one_cluster_or_on_all_n066() {
        let mut table = RouteTable::default();
        table.register(master(&[topic("T", 6)]), 0).unwrap();
        let mut other = master(&[topic("T", 6)]);
        other.cluster = "d".into();
        other.broker_name = "broker-b".into();
        other.address = SLAVE.into();
        table.register(other, 0).unwrap();
        table.delete_topic("T", Some("unknown"));
        table.delete_topic("T", Some("c"));
        let left = table.route("T").unwrap();
        assert_eq!(left.queues.len(), 1);
        assert_eq!(left.queues[0].0, "broker-b");
        assert_eq!(table.topics_of_cluster("c"), Vec::<String>::new());
        assert_eq!(table.topics_of_cluster("d"), ["T"]);
        table.delete_topic("T", None);
        assert!(table.route("T").is_none());
        assert_eq!(table.queue_data_count, 0);
    }

    #[test]
    fn unit_lists_follow_the_flags_n069() {
        let mut table = RouteTable::default();
        let mut topics = vec![topic("none", 6), topic("unit", 6), topic("sub", 6), topic("all", 6)];
        for (topic, flag) in topics.iter_mut().zip([0, 1, 2, 3]) {
            topic.sys_flag = flag;
        }
        table.register(master(&topics), 0).unwrap();
        assert_eq!(table.unit_topics(), ["all", "unit"]);
        assert_eq!(table.unit_sub_topics(), ["all", "sub"]);
        assert_eq!(table.unit_sub_topics_without_unit(), ["sub"]);
    }

    #[test]
    fn system_topics_are_clusters_and_groups_n068() {
        let mut table = RouteTable::default();
        assert_eq!(table.system_topics(), (vec![], None));
        table.register(master(&[]), 0).unwrap();
        assert_eq!(
            table.system_topics(),
            (vec!["c".into(), "broker-a".into()], Some(MASTER.into()))
        );
    }

    #[test]
    fn filter_servers_are_replaced_kept_or_removed_n050() {
        let mut table = RouteTable::default();
        let mut with = master(&[topic("T", 6)]);
        with.filter_servers = Some(vec!["f:1".into()]);
        table.register(with.clone(), 0).unwrap();
        table.register(master(&[]), 0).unwrap();
        assert_eq!(table.route("T").unwrap().filter_servers[MASTER], ["f:1"]);
        with.filter_servers = Some(Vec::new());
        table.register(with, 0).unwrap();
        assert!(table.route("T").unwrap().filter_servers.is_empty());
    }
}
