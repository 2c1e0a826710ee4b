//! The route table: what registrations, goodbyes and silence do to it.

use proptest::prelude::*;

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
    table.route(topic).unwrap().queues[0].permission.0
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
    assert_eq!(route.brokers[0].addresses, BTreeMap::from([(0, MASTER.into()), (1, SLAVE.into())]));
    assert_eq!(route.queues[0].broker_name, "broker-a");
    assert_eq!(route.queues[0].write_queues, 4);
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
fn unregistering_under_another_name_or_number_changes_nothing() {
    let mut table = RouteTable::default();
    table.register(master(&[topic("T", 6)]), 0).unwrap();
    assert_eq!(table.unregister("broker-b", 0, MASTER), None);
    assert_eq!(table.unregister("broker-a", 1, MASTER), None);
    assert_eq!(table.sizes(), (1, 1, 1));
}

#[test]
fn an_address_that_registers_under_another_name_leaves_its_group() {
    let mut table = RouteTable::default();
    table.register(master(&[topic("T", 6)]), 0).unwrap();
    let renamed = Registration { broker_name: "broker-b".into(), ..master(&[topic("U", 6)]) };
    table.register(renamed, 0).unwrap();
    assert!(table.route("T").is_none());
    assert_eq!(table.sizes(), (1, 1, 1));
    assert_eq!(table.clusters()["c"].len(), 1);
    table.connection_closed(1);
    assert_eq!(table.sizes(), (0, 0, 0));
}

#[test]
fn peers_cannot_name_clusters_without_end() {
    let mut table = RouteTable::default();
    table.bounds.brokers = 10;
    for number in 0..10 {
        let other = Registration { cluster: number.to_string(), ..master(&[]) };
        table.register(other, 0).unwrap();
    }
    let error = table.register(master(&[]), 0).unwrap_err();
    assert_eq!(error, TableFull);
    table.register(Registration { cluster: "7".into(), ..master(&[]) }, 0).unwrap();
}

#[test]
fn peers_cannot_put_groups_into_clusters_without_end() {
    let mut table = RouteTable::default();
    table.bounds.brokers = 3;
    let place = |cluster: &str, group: &str, address: &str| Registration {
        cluster: cluster.into(),
        broker_name: group.into(),
        address: address.into(),
        ..master(&[])
    };
    for taken in [place("c", "a", "a"), place("c", "b", "b"), place("d", "a", "a")] {
        table.register(taken, 0).unwrap();
    }
    assert_eq!(table.register(place("d", "b", "b"), 0), Err(TableFull), "both are known");
    table.register(place("d", "renamed", "b"), 0).unwrap();
    assert_eq!(table.clusters()["d"].len(), 2);
}

#[test]
fn all_groups_of_a_closed_connection_go_and_the_others_stay() {
    let mut table = RouteTable::default();
    for (number, connection) in [(1, 5), (2, 6), (3, 5), (4, 5)] {
        let registration = Registration {
            broker_name: format!("group-{number}"),
            address: format!("127.0.0.1:{number}"),
            connection,
            ..master(&[topic("of all", 6), topic(&format!("of {number}"), 6)])
        };
        table.register(registration, 0).unwrap();
    }
    assert_eq!(table.connection_closed(5).len(), 3);
    assert_eq!(table.sizes(), (2, 1, 1));
    assert_eq!(table.topic_names(), ["of 2", "of all"]);
    assert_eq!(table.queue_data_count, 2);
}

#[test]
fn a_known_broker_with_too_many_topics_stays_and_only_the_surplus_is_left_out() {
    let mut table = RouteTable::default();
    table.bounds.topics = 1;
    let long = "x".repeat(TOPIC_BYTES_MAX + 1);
    table.register(master(&[topic("T", 6)]), 0).unwrap();
    for round in 1..4 {
        let now_ms = round * (EXPIRY_MS + 1_000);
        let more = [topic("U", 6), topic(&long, 6), topic("T", 4), topic("V", 6)];
        let registered = table.register(master(&more), now_ms).unwrap();
        assert_eq!(registered.left_out, LeftOut { surplus: 2, too_long: 1 });
        assert_eq!(registered.is_more_left_out, round == 1, "told once");
        assert!(table.expire(now_ms + EXPIRY_MS).is_empty());
        assert_eq!((permission(&table, "T"), table.topic_names().len()), (4, 1));
    }
    let with_topics = Registration { topics: vec![topic("U", 6)], ..slave() };
    assert_eq!(table.register(with_topics, 0).unwrap().left_out, LeftOut::default());
    table.delete_topic("T", None);
    table.register(master(&[topic("U", 6)]), 0).unwrap();
    assert_eq!(table.topic_names(), ["U"], "as soon as there is room");
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
    assert_eq!(left.queues[0].broker_name, "broker-b");
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
    assert_eq!(table.system_topics(), (vec!["c".into(), "broker-a".into()], Some(MASTER.into())));
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

/// Something that happens to a table; names, numbers and addresses are few, so that they meet.
#[derive(Clone, Debug)]
enum Step {
    Register { cluster: u8, group: u8, id: i64, address: u8, topics: Vec<u8>, connection: u64 },
    Unregister { group: u8, id: i64, address: u8 },
    Close { connection: u64 },
    Pass { ms: i64 },
    Delete { topic: u8, cluster: Option<u8> },
}

fn step() -> impl Strategy<Value = Step> {
    let topics = prop::collection::vec(0..4u8, 0..3);
    let register = (0..2u8, 0..3u8, 0..3i64, 0..4u8, topics, 0..3u64).prop_map(
        |(cluster, group, id, address, topics, connection)| Step::Register {
            cluster,
            group,
            id,
            address,
            topics,
            connection,
        },
    );
    prop_oneof![
        4 => register,
        1 => (0..3u8, 0..3i64, 0..4u8)
            .prop_map(|(group, id, address)| Step::Unregister { group, id, address }),
        1 => (0..3u64).prop_map(|connection| Step::Close { connection }),
        1 => (0..150_000i64).prop_map(|ms| Step::Pass { ms }),
        1 => (0..4u8, prop::option::of(0..2u8))
            .prop_map(|(topic, cluster)| Step::Delete { topic, cluster }),
    ]
}

fn take(table: &mut RouteTable, now_ms: &mut i64, step: Step) {
    match step {
        Step::Register { cluster, group, id, address, topics, connection } => {
            let registration = Registration {
                cluster: cluster.to_string(),
                broker_name: group.to_string(),
                broker_id: id,
                address: address.to_string(),
                topics: topics.iter().map(|name| topic(&name.to_string(), 6)).collect(),
                connection,
                ..Registration::default()
            };
            table.register(registration, *now_ms).unwrap();
        }
        Step::Unregister { group, id, address } => {
            table.unregister(&group.to_string(), id, &address.to_string());
        }
        Step::Close { connection } => {
            table.connection_closed(connection);
        }
        Step::Pass { ms } => {
            *now_ms += ms;
            table.expire(*now_ms);
        }
        Step::Delete { topic, cluster } => {
            table.delete_topic(&topic.to_string(), cluster.map(|name| name.to_string()).as_deref());
        }
    }
}

/// What the header of the file promises.
fn check(table: &RouteTable) {
    let mut addresses = BTreeSet::new();
    for (name, group) in &table.groups {
        assert!(!group.addresses.is_empty(), "{name} is empty");
        for address in group.addresses.values() {
            assert!(addresses.insert(address), "{address} is in two places");
            assert_eq!(&table.live[address].broker_name, name);
        }
    }
    for names in table.clusters.values() {
        assert!(!names.is_empty() && names.iter().all(|name| table.groups.contains_key(name)));
    }
    for brokers in table.topics.values() {
        assert!(
            !brokers.0.is_empty() && brokers.names().all(|name| table.groups.contains_key(name))
        );
    }
    assert_eq!(
        table.queue_data_count,
        table.topics.values().map(|brokers| brokers.0.len()).sum::<usize>()
    );
}

proptest! {
    #[test]
    fn the_tables_agree_whatever_happens(steps in prop::collection::vec(step(), 1..60)) {
        let (mut table, mut now_ms) = (RouteTable::default(), 0);
        for step in steps {
            take(&mut table, &mut now_ms, step);
            check(&table);
        }
        table.expire(now_ms + EXPIRY_MS + 1);
        prop_assert_eq!(table.sizes(), (0, 0, 0));
        prop_assert!(table.filter_servers.is_empty() && table.clusters.is_empty());
    }
}
