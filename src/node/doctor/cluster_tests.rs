//! Each check of a cluster: silent where all is well, and told where one thing is not.

use super::cluster::{Ahead, AskedBack, NameServer, Registered, Who};
use super::host_tests::{PAIR, context, loaded, only, told};
use super::*;
use crate::proto::v1::{
    Broker, ClusterState, ListTopicsResponse, Topic, TopicDrift, TopicKind, TopicSettings,
};
use crate::remoting::bodies::dial_back::{DialBack, PortState};
use crate::remoting::bodies::route::BrokerData;
use crate::transport::Dialled;

const A: &str = "192.168.1.161";
const B: &str = "192.168.1.162";

/// A broker of ours that answers as it is registered.
fn broker(group: &str, id: i64, host: &str, port: u16) -> Registered {
    let who = Who {
        group: group.to_owned(),
        id,
        node_version: Some("0.1.0".to_owned()),
        ha_address: format!("{host}:{}", port + 1),
        ahead: Some(Ahead { ms: 3, error_ms: 1 }),
    };
    Registered {
        cluster: "DefaultCluster".to_owned(),
        group: group.to_owned(),
        id,
        address: format!("{host}:{port}"),
        by: vec![format!("{A}:9876"), format!("{B}:9876")],
        dialled: Dialled::Reachable,
        vip: Some(Dialled::Reachable),
        ha: Some(Dialled::Reachable),
        who: Ok(who),
        version: Some("V4_9_4".to_owned()),
        log_end: Some(1000),
        log_end_later: None,
    }
}

/// A topic of an application, and one of a broker.
fn topics(name: &str, drift: Vec<TopicDrift>) -> ListTopicsResponse {
    let topic = |name: &str, kind: TopicKind, drift| Topic {
        topic: name.to_owned(),
        kind: kind.into(),
        brokers: Vec::new(),
        drift,
    };
    ListTopicsResponse {
        topics: vec![
            topic(name, TopicKind::Normal, drift),
            topic("broker-a", TopicKind::System, Vec::new()),
        ],
        problems: Vec::new(),
    }
}

/// A topic with so many queues on broker-b, and 8 where it is as it should be.
fn drift(cluster: &str, before: Option<u32>) -> TopicDrift {
    let settings = |queues| TopicSettings {
        read_queues: queues,
        write_queues: queues,
        permission: "rw".to_owned(),
    };
    TopicDrift {
        cluster: cluster.to_owned(),
        broker: "broker-b".to_owned(),
        address: format!("{B}:10911"),
        before: before.map(settings),
        after: Some(settings(8)),
    }
}

/// What both name servers show of the brokers.
fn shown(brokers: &[Registered]) -> Vec<BrokerData> {
    let groups: std::collections::BTreeSet<&String> =
        brokers.iter().map(|one| &one.group).collect();
    let data = |group: &String| {
        let its = brokers.iter().filter(|one| one.group == *group);
        BrokerData {
            addresses: its.map(|one| (one.id, one.address.clone())).collect(),
            broker_name: group.clone(),
            cluster: "DefaultCluster".to_owned(),
        }
    };
    groups.into_iter().map(data).collect()
}

/// The tutorial's pair with nothing wrong, seen from its first host, which runs.
fn pair(loaded: &Loaded) -> Context<'_> {
    let mut context = context(loaded);
    let cluster = &mut context.cluster;
    cluster.runs = true;
    cluster.brokers = vec![
        broker("broker-a", 0, A, 10911),
        broker("broker-a", 1, B, 10921),
        broker("broker-b", 0, B, 10911),
        broker("broker-b", 1, A, 10921),
    ];
    let groups = shown(&cluster.brokers);
    let server = |host| NameServer { address: format!("{host}:9876"), groups: Ok(groups.clone()) };
    cluster.name_servers = [A, B].map(server).into();
    cluster.topics = Some(topics("T", Vec::new()));
    cluster.asked_back = vec![AskedBack {
        peer: format!("broker-a (1) at {B}:10921"),
        answer: Some(Ok(DialBack {
            group: "broker-a".to_owned(),
            broker_id: 1,
            version: "0.1.0".to_owned(),
            ha_address: format!("{B}:10922"),
            time_ms: 0,
            seen_as: A.parse().unwrap(),
            ports: [9876, 10909, 10911, 10912].map(|port| (port, PortState::Reachable)).into(),
        })),
    }];
    context
}

/// What one check says of the pair with one thing changed.
fn with(check: Check, change: impl FnOnce(&mut Context<'_>)) -> Finding {
    let loaded = loaded(PAIR);
    let mut context = pair(&loaded);
    assert_eq!(told(&check(&context)), [""; 0], "nothing is wrong before");
    change(&mut context);
    only(check(&context))
}

#[test]
fn a_pair_with_nothing_wrong_is_told_as_that() {
    let loaded = loaded(PAIR);
    let context = pair(&loaded);
    let of_cluster = |check: &str| {
        let all = findings(&context).into_iter().filter(|one| one.check == check);
        all.map(|one| format!("{:?}: {}", one.severity, one.what)).collect::<Vec<_>>()
    };
    assert_eq!(
        of_cluster("name servers"),
        [
            format!("Ok: {A}:9876, {B}:9876 answer"),
            "Ok: they show the brokers of this host at their addresses".to_owned()
        ]
    );
    assert_eq!(
        of_cluster("peers"),
        [format!("Ok: broker-a (1) at {B}:10921 reaches 9876, 10909, 10911, 10912 here")]
    );
    let expected = ["broker-a (1)", "broker-b (1)"]
        .map(|who| format!("Ok: {who} has all that its master has"));
    assert_eq!(of_cluster("replication"), expected);
    assert_eq!(of_cluster("topics"), ["Ok: 1 the same on broker-a, broker-b"]);
    assert_eq!(of_cluster("clock")[1], format!("Ok: the same on {B} within 1 s"));
}

#[test]
fn the_tutorials_slave_that_announces_another_groups_master_is_told() {
    let address = format!("{A}:10911");
    let Finding { severity, what, why, fix, .. } = with(cluster_checks::routes, |context| {
        let slave = &mut context.cluster.brokers[3];
        slave.address.clone_from(&address);
        slave.who.as_mut().unwrap().group = "broker-a".to_owned();
        slave.who.as_mut().unwrap().id = 0;
    });
    assert_eq!(severity, Severity::Error);
    assert_eq!(
        what,
        format!("broker-a (0) and broker-b (1) are registered at one address, {address}")
    );
    assert!(why.contains("as behind a mapping such as 10623 -> 10911"), "{why}");
    assert_eq!(
        fix,
        "give each broker of a host a port of its own (port = 10921; listenPort=10921 of 4.9.4), map it to the same number \
         (-p 10919:10919 -p 10921:10921 -p 10922:10922), and restart it"
    );
    // The other is not registered at this moment: a name server that keeps one of an address forgot it.
    let finding = with(cluster_checks::routes, |context| {
        let slave = &mut context.cluster.brokers[3];
        slave.address = address;
        slave.who.as_mut().unwrap().group = "broker-a".to_owned();
        slave.who.as_mut().unwrap().id = 0;
        context.cluster.brokers.remove(0);
    });
    assert_eq!(finding.what, format!("broker-b (1) at {A}:10911: broker-a (0) answers there"));
    assert!(finding.why.contains("10623 -> 10911"), "{finding:?}");
}

#[test]
fn the_tutorials_ha_address_that_no_other_host_reaches_is_told() {
    let inner = |context: &mut Context<'_>| {
        context.cluster.brokers[2].who.as_mut().unwrap().ha_address = "172.17.0.2:10912".to_owned();
    };
    let Finding { severity, what, why, fix, .. } =
        with(replication_checks::replication, |context| {
            inner(context);
            context.cluster.brokers[2].ha = Some(Dialled::Timeout);
        });
    assert_eq!(severity, Severity::Error);
    assert_eq!(
        what,
        format!(
            "broker-b (0) at {B}:10911 announces 172.17.0.2:10912 (a container's address (Docker's default bridge)) to its \
             slaves: nothing comes back"
        )
    );
    assert_eq!(why, "the slave here copies nothing: what this master has is on one disk only");
    assert_eq!(
        fix,
        format!(
            "let it announce what slaves can dial, and restart it: replication_advertise = \"{B}\" (brokerIP2={B} of 4.9.4)"
        )
    );
    let finding = with(replication_checks::replication, inner);
    assert_eq!(finding.severity, Severity::Warning, "a bridge that this host has");
    let finding = with(replication_checks::replication, |context| {
        context.cluster.brokers[0].ha = Some(Dialled::Refused);
    });
    assert_eq!(finding.severity, Severity::Warning, "not followed here");
    assert!(
        finding.fix.starts_with("on its host: firewall-cmd --permanent --add-port=10912/tcp"),
        "{finding:?}"
    );
}

#[test]
fn name_servers_that_do_not_answer_are_told() {
    let finding = with(cluster_checks::name_servers, |context| {
        context.cluster.name_servers[1].groups = Err("nobody".to_owned());
    });
    assert_eq!(
        (finding.severity, finding.what),
        (Severity::Warning, format!("{B}:9876 does not answer: nobody"))
    );
    let loaded = loaded(PAIR);
    let mut context = pair(&loaded);
    for server in &mut context.cluster.name_servers {
        server.groups = Err("nobody".to_owned());
    }
    let texts = told(&cluster_checks::name_servers(&context));
    assert!(texts.len() == 2 && texts.iter().all(|text| text.starts_with("Error: ")), "{texts:?}");
    context.cluster.runs = false;
    let texts = told(&cluster_checks::name_servers(&context));
    assert_eq!(
        texts,
        [format!("Error: {B}:9876 does not answer: nobody")],
        "the own one does not run yet"
    );
}

#[test]
fn a_registration_that_is_missing_or_another_is_told() {
    let finding = with(cluster_checks::registration, |context| {
        let groups = context.cluster.name_servers[1].groups.as_mut().unwrap();
        groups[0].addresses.remove(&0);
    });
    assert_eq!(
        (finding.severity, finding.what),
        (Severity::Error, format!("{B}:9876 does not know broker-a (0)"))
    );
    let finding = with(cluster_checks::registration, |context| {
        let groups = context.cluster.name_servers[0].groups.as_mut().unwrap();
        groups[0].addresses.insert(0, "172.17.0.2:10911".to_owned());
    });
    assert_eq!(
        finding.what,
        format!(
            "{A}:9876 shows broker-a (0) at 172.17.0.2:10911 (a container's address (Docker's default bridge)), not at \
             {A}:10911"
        )
    );
    let finding = with(cluster_checks::registration, |context| {
        context.cluster.brokers[2].by.pop();
    });
    assert_eq!(
        (finding.severity, finding.what),
        (Severity::Warning, format!("broker-b (0) at {B}:10911 is registered with {A}:9876 only"))
    );
}

#[test]
fn somebody_who_is_this_hosts_broker_elsewhere_is_told_before_the_start() {
    let loaded = loaded(PAIR);
    let mut context = pair(&loaded);
    context.cluster.runs = false;
    for server in &mut context.cluster.name_servers {
        server.groups.as_mut().unwrap()[0].addresses.insert(0, "192.168.1.170:10911".to_owned());
    }
    assert!(
        told(&cluster_checks::registration(&context)).is_empty(),
        "one that does not answer is forgotten soon"
    );
    context.cluster.brokers[0].address = "192.168.1.170:10911".to_owned();
    let texts = told(&cluster_checks::registration(&context));
    assert_eq!(
        texts[0],
        format!("Error: {A}:9876 shows broker-a (0) at 192.168.1.170:10911, not at {A}:10911")
    );
}

#[test]
fn routes_that_nobody_answers_are_told() {
    let finding = with(cluster_checks::routes, |context| {
        context.cluster.brokers[2].dialled = Dialled::Refused;
    });
    assert_eq!(
        (finding.severity, finding.what),
        (Severity::Error, format!("broker-b (0) at {B}:10911: nobody listens there"))
    );
    assert!(finding.fix.contains("--add-port=10911/tcp"), "{}", finding.fix);
    let finding = with(cluster_checks::routes, |context| {
        context.cluster.brokers[2].address = "172.17.0.2:10911".to_owned();
        context.cluster.brokers[2].dialled = Dialled::Timeout;
    });
    assert!(finding.fix.contains("brokerIP1 of 4.9.4"), "{}", finding.fix);
    let finding = with(cluster_checks::routes, |context| {
        context.cluster.brokers[2].address = "172.17.0.2:10911".to_owned();
    });
    assert_eq!(finding.severity, Severity::Warning, "it answers on this host only");
    let finding = with(cluster_checks::routes, |context| {
        context.cluster.brokers[2].vip = Some(Dialled::Timeout);
    });
    assert_eq!(
        finding.what,
        format!("broker-b (0) at {B}:10911: its VIP port 10909 is not reached: nothing comes back")
    );
    let finding = with(cluster_checks::routes, |context| {
        context.cluster.brokers[2].who = Err("it answers nonsense".to_owned());
    });
    assert_eq!(finding.what, format!("broker-b (0) at {B}:10911: it answers nonsense"));
    let finding = with(cluster_checks::routes, |context| {
        context.cluster.runs = false;
        context.cluster.brokers[0].dialled = Dialled::Refused;
    });
    assert_eq!(finding.severity, Severity::Note, "the node was stopped");
}

#[test]
fn clocks_that_differ_are_told() {
    let finding = with(cluster_checks::clocks, |context| {
        context.cluster.brokers[1].who.as_mut().unwrap().ahead =
            Some(Ahead { ms: -2_350, error_ms: 20 });
    });
    assert_eq!(
        (finding.severity, finding.what),
        (Severity::Warning, format!("{B} is 2.3 s behind this host"))
    );
    let loaded = loaded(PAIR);
    let mut context = pair(&loaded);
    context.cluster.brokers[1].who.as_mut().unwrap().ahead =
        Some(Ahead { ms: 1_400, error_ms: 500 });
    assert!(told(&cluster_checks::clocks(&context)).is_empty(), "it may be less than a second");
}

#[test]
fn versions_that_differ_are_told() {
    let finding = with(cluster_checks::versions, |context| {
        context.cluster.brokers[2].who.as_mut().unwrap().node_version = Some("0.2.0".to_owned());
    });
    assert_eq!(
        finding.what,
        "versions differ: rmq-node 0.1.0: broker-a (0), broker-a (1), broker-b (1); rmq-node 0.2.0: broker-b (0)"
    );
}

#[test]
fn ports_that_a_peer_does_not_reach_are_told_with_the_firewalls_line() {
    let port = |state| {
        with(cluster_checks::peers, |context| {
            let answer = context.cluster.asked_back[0].answer.as_mut().unwrap();
            answer.as_mut().unwrap().ports[3].1 = state;
        })
    };
    let Finding { severity, what, fix, .. } = port(PortState::Timeout);
    assert_eq!(severity, Severity::Error);
    assert_eq!(
        what,
        format!(
            "broker-a (1) at {B}:10921 dials 10912, HA port of broker-a, and gets nothing back"
        )
    );
    assert_eq!(
        fix,
        "on this host: firewall-cmd --permanent --add-port=10912/tcp && firewall-cmd --reload (or ufw allow 10912/tcp)"
    );
    assert!(port(PortState::Refused).what.ends_with("and is refused"));
    assert!(port(PortState::Unreachable).what.ends_with("and finds no way"));
    assert_eq!(port(PortState::NotRegistered).severity, Severity::Note);
}

#[test]
fn what_cannot_be_asked_of_a_peer_is_a_note() {
    let finding =
        with(cluster_checks::peers, |context| context.cluster.asked_back[0].answer = None);
    assert_eq!(
        (finding.severity, finding.what),
        (
            Severity::Note,
            format!(
                "broker-a (1) at {B}:10921 is an Apache broker: whether it reaches this host cannot be checked from there"
            )
        )
    );
    assert_eq!(
        finding.fix,
        format!("on that host: for p in 9876 10909 10911 10912; do nc -vz -w 2 {A} $p; done")
    );
    let finding = with(cluster_checks::peers, |context| {
        context.cluster.asked_back[0].answer = Some(Err("asked too often".to_owned()));
    });
    assert_eq!(finding.severity, Severity::Note);
    let finding = with(cluster_checks::peers, |context| {
        let answer = context.cluster.asked_back[0].answer.as_mut().unwrap();
        answer.as_mut().unwrap().seen_as = "10.0.0.1".parse().unwrap();
    });
    assert_eq!(
        finding.what,
        format!("broker-a (1) at {B}:10921 sees this host as 10.0.0.1, not as {A}")
    );
}

#[test]
fn slaves_that_are_ahead_stand_or_lag_are_told() {
    let slave = |end, later| {
        let finding = with(replication_checks::replication, |context| {
            context.cluster.brokers[1].log_end = Some(end);
            context.cluster.brokers[1].log_end_later = later;
        });
        (finding.severity, finding.what)
    };
    let ahead = format!("broker-a (1) has 24 bytes more than its master {A}:10911");
    assert_eq!(slave(1024, None), (Severity::Error, ahead));
    let stands = "broker-a (1) is 900 bytes behind its master and does not move".to_owned();
    assert_eq!(slave(100, Some(100)), (Severity::Error, stands));
    let moves =
        "broker-a (1) is 100 bytes behind its master and moves 800 bytes a second".to_owned();
    assert_eq!(slave(100, Some(900)), (Severity::Note, moves));
    let loaded = loaded(PAIR);
    let mut context = pair(&loaded);
    context.cluster.brokers[1].log_end = Some(100);
    context.cluster.brokers[1].log_end_later = Some(2000);
    assert!(
        told(&replication_checks::replication(&context)).is_empty(),
        "it has all that was there"
    );
}

#[test]
fn groups_without_a_master_or_a_slave_are_told() {
    let finding = with(replication_checks::replication, |context| {
        context.cluster.brokers.remove(2);
    });
    assert_eq!(
        (finding.severity, finding.what),
        (
            Severity::Error,
            format!("broker-b has no master: only broker-b (1) at {A}:10921 is registered")
        )
    );
    let finding = with(replication_checks::replication, |context| {
        context.cluster.brokers.remove(1);
    });
    assert_eq!(
        (finding.severity, finding.what),
        (
            Severity::Warning,
            format!(
                "broker-a (0) at {A}:10911 has no slave, though other groups of DefaultCluster have"
            )
        )
    );
    let loaded = loaded(PAIR);
    let mut context = pair(&loaded);
    context.cluster.runs = false;
    context.cluster.brokers.retain(|one| one.host() != Some(A.parse().unwrap()));
    assert!(
        told(&replication_checks::replication(&context)).is_empty(),
        "both run once this host does"
    );
}

#[test]
fn senders_who_wait_for_a_slave_that_is_not_there_are_told() {
    let text = PAIR.replacen("replication = \"async\"", "replication = \"sync\"", 1);
    let loaded = loaded(&text);
    let mut context = pair(&loaded);
    assert!(told(&replication_checks::replication(&context)).is_empty());
    context.cluster.brokers[1].dialled = Dialled::Timeout;
    let finding = only(replication_checks::replication(&context));
    assert_eq!(
        finding.what,
        "senders to broker-a wait for in_sync_min = 1 of its slaves, and 0 are there"
    );
    assert!(finding.why.contains("answered with 11"), "{finding:?}");
}

#[test]
fn topics_that_drifted_are_told_with_the_command() {
    let told_of = |before| {
        with(cluster_checks::topics, |context| {
            context.cluster.topics = Some(topics("T", vec![drift("DefaultCluster", before)]));
        })
    };
    let finding = told_of(None);
    assert_eq!(
        (finding.severity, finding.what.as_str()),
        (Severity::Warning, "topic T is missing on broker-b")
    );
    assert_eq!(finding.fix, format!("rmq-node admin topics repair -n '{A}:9876;{B}:9876' T"));
    assert_eq!(
        told_of(Some(4)).what,
        "topic T has 4 read and 4 write queues, rw on broker-b, and 8 read and 8 write queues, rw with what the other \
         masters have"
    );
    let loaded = loaded(PAIR);
    let mut context = pair(&loaded);
    context.cluster.topics = Some(topics("T", vec![drift("Another", None)]));
    assert!(told(&cluster_checks::topics(&context)).is_empty(), "of another cluster");
    context.cluster.topics = Some(topics("T", vec![drift("DefaultCluster", None); 9]));
    let texts = told(&cluster_checks::topics(&context));
    assert_eq!((texts.len(), texts[5].as_str()), (6, "Warning: 4 more of this kind"));
    context.cluster.brokers[2].dialled = Dialled::Timeout;
    assert!(
        told(&cluster_checks::topics(&context)).is_empty(),
        "one master alone has nothing to compare"
    );
}

#[test]
fn accounts_that_differ_are_told_at_each_of_the_two() {
    let loaded = loaded(PAIR);
    let mut context = pair(&loaded);
    assert!(cluster_checks::accounts(&context).is_empty());
    let member = |id, others: &[&str]| Broker {
        group: "broker-a".to_owned(),
        id,
        address: Some(format!("{A}:10911")),
        accounts_differ_from: others.iter().map(|&other| other.to_owned()).collect(),
        ..Broker::default()
    };
    let brokers = vec![member(0, &[B, "h:1"]), member(1, &[])];
    context.cluster.members = Some(ClusterState { brokers, problems: Vec::new() });
    let finding = only(cluster_checks::accounts(&context));
    let what = format!(
        "broker-a (0) at {A}:10911 has other accounts than {B}, h:1, under the same counter"
    );
    assert_eq!((finding.what, finding.severity), (what, Severity::Error));
    assert!(finding.fix.contains("make the right change once more"), "{}", finding.fix);
}
