//! Masters taken out of use while producers send, and put to use again: what producers, consumers and name servers see.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use nix::sys::signal::Signal;
use rmq_node::admin::{Admin, AdminError, Pull, PullStatus};
use rmq_node::model::Permission;
use rmq_node::remoting::headers::SendHeader;
use serde_json::Value;
use tokio::runtime::{Builder, Runtime};

use crate::admin::{admin, admin_beside};
use crate::pair::{start, wait_until_equal};
use crate::support::{Node, free_address, rmq_node};

const TOPIC: &str = "Orders";
const QUEUES: u32 = 4;
/// Attempts of a client for one message (contract 8.3).
const ATTEMPTS: usize = 3;
/// A client asks for its routes every 30 s; this one so many messages apart, so that a test need not take minutes.
const ROUTE_EVERY: usize = 200;
const PAUSE: Duration = Duration::from_millis(10);

/// What a producer did.
#[derive(Debug, Default)]
struct Produced {
    acknowledged: BTreeSet<String>,
    /// By broker group.
    by_group: BTreeMap<String, usize>,
    /// Attempts that failed, and were made again elsewhere.
    repeated: Vec<String>,
    /// Messages that no attempt was successful for.
    failed: Vec<String>,
}

/// A producer that sends until it is told to stop.
struct Producer {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Produced>,
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

fn client(hosts: &[Ipv4Addr]) -> Admin {
    let name_servers = hosts.iter().map(|host| format!("{host}:9876")).collect();
    Admin::new(name_servers, Default::default())
}

/// The masters that take the topic, as a client's name server says; none if it has just started and knows no topic yet.
async fn masters(client: &Admin) -> Option<Vec<(String, String)>> {
    let route = match client.route(TOPIC).await {
        Err(AdminError::NotFound(_)) => return None,
        answered => answered.unwrap(),
    };
    let open = route.queues.iter().filter(|one| one.permission.contains(Permission::WRITE));
    let master = |name: &String| {
        let group = route.brokers.iter().find(|group| group.broker_name == *name)?;
        Some((name.clone(), group.addresses.get(&0)?.clone()))
    };
    Some(open.filter_map(|one| master(&one.broker_name)).collect())
}

async fn produce(client: Admin, stop: &AtomicBool) -> Produced {
    let (mut produced, mut known) = (Produced::default(), Vec::new());
    let mut turn = 0;
    while !stop.load(Ordering::Relaxed) {
        if turn % ROUTE_EVERY == 0 {
            // Clients keep the routes that they have, too.
            known = masters(&client).await.unwrap_or(known);
        }
        turn += 1;
        let body = format!("message {turn}");
        let mut errors = Vec::new();
        for attempt in 0..ATTEMPTS {
            let (group, address) = &known[(turn + attempt) % known.len()];
            let queue_id = i32::try_from(turn % 4).unwrap();
            let header =
                SendHeader { producer_group: "P", topic: TOPIC, queue_id, ..SendHeader::default() };
            match client.send(address, &header, body.clone().into()).await {
                Ok(_) => {
                    produced.acknowledged.insert(body.clone());
                    *produced.by_group.entry(group.clone()).or_default() += 1;
                    break;
                }
                Err(error) => errors.push(format!("{body} to {group}: {error}")),
            }
        }
        if errors.len() == ATTEMPTS {
            produced.failed.append(&mut errors);
        }
        produced.repeated.append(&mut errors);
        tokio::time::sleep(PAUSE).await;
    }
    produced
}

impl Producer {
    fn start(hosts: &[Ipv4Addr]) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (client, is_over) = (client(hosts), Arc::clone(&stop));
        let thread = std::thread::spawn(move || runtime().block_on(produce(client, &is_over)));
        Self { stop, thread }
    }

    fn stop(self) -> Produced {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}

/// All that the masters hold, once for each time that it is there.
fn stored(hosts: &[Ipv4Addr]) -> Vec<String> {
    let client = client(hosts);
    runtime().block_on(async {
        let mut bodies = Vec::new();
        for (_, address) in masters(&client).await.unwrap() {
            for queue_id in 0..i32::try_from(QUEUES).unwrap() {
                let mut offset = 0;
                loop {
                    let pull = Pull {
                        group: "C",
                        topic: TOPIC,
                        queue_id,
                        offset,
                        count: 32,
                        expression: "*",
                    };
                    let pulled = client.pull(&address, pull).await.unwrap();
                    if pulled.status != PullStatus::Found {
                        break;
                    }
                    offset = pulled.next_offset;
                    let text = |body: &[u8]| String::from_utf8(body.to_vec()).unwrap();
                    bodies.extend(pulled.messages.iter().map(|one| text(&one.body)));
                }
            }
        }
        bodies
    })
}

/// How a broker is, as JSON.
fn show(data_dir: &Path, group: &str) -> Value {
    let (code, printed, error) = admin_beside(data_dir, &["brokers", "show", group, "-o", "json"]);
    assert_eq!(code, Some(0), "{error}");
    serde_json::from_str(&printed).unwrap()
}

fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let mut looks = 0;
    while !is_so() {
        looks += 1;
        assert!(looks < 1200, "{what}: not so");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Whether a host's name server sends producers to a group.
fn is_sent_to(host: Ipv4Addr, group: &str) -> bool {
    let masters = runtime().block_on(masters(&client(&[host]))).unwrap_or_default();
    masters.iter().any(|(name, _)| name == group)
}

fn done(data_dir: &Path, arguments: &[&str]) -> String {
    let (code, printed, error) = admin_beside(data_dir, arguments);
    assert_eq!(code, Some(0), "{arguments:?}: {printed}{error}");
    printed
}

fn stop(node: Node) {
    node.signal(Signal::SIGTERM);
    let (status, log) = node.wait();
    assert!(status.success(), "{log}");
}

#[test]
fn both_hosts_are_stopped_one_after_the_other_and_no_producer_notices() {
    let dir = tempfile::tempdir().unwrap();
    let hosts = [free_address(), free_address()];
    let data_dirs = hosts.map(|host| dir.path().join(host.to_string()));
    let mut nodes = [0, 1].map(|this| Some(start("2m-2s-async", &hosts, this, dir.path())));
    wait_until("both masters are there", || {
        admin(hosts[0], &["brokers", "-o", "tsv"]).1.matches("\tserving\t").count() == 2
    });
    done(&data_dirs[0], &["topics", "create", TOPIC, "--queues", "4"]);
    let producer = Producer::start(&hosts);
    for (this, group) in ["broker-a", "broker-b"].into_iter().enumerate() {
        let data_dir = &data_dirs[this];
        let (code, printed, error) = admin_beside(data_dir, &["node", "upgrade-check"]);
        let not_yet = format!("no  {group} takes messages: ");
        assert_eq!((code, printed.matches("no  ").count()), (Some(1), 1), "{printed}{error}");
        assert!(printed.contains(&not_yet), "{printed}");
        // The master of this host is meant.
        let printed = done(data_dir, &["brokers", "drain", "-o", "json"]);
        let status: Value = serde_json::from_str(&printed).unwrap();
        assert_eq!(status["broker"]["group"], group);
        assert_eq!(
            (&status["broker"]["state"], &status["permission"]),
            (&"drained".into(), &"r".into())
        );
        assert!(!hosts.iter().any(|host| is_sent_to(*host, group)));
        done(data_dir, &["node", "upgrade-check"]);
        stop(nodes[this].take().unwrap());
        nodes[this] = Some(start("2m-2s-async", &hosts, this, dir.path()));
        // It has not forgotten.
        wait_until("it is registered", || {
            admin_beside(data_dir, &["brokers", "show"]).0 == Some(0)
        });
        let status = show(data_dir, group);
        assert_eq!(
            (&status["permission"], &status["overrides"][0]["value"]),
            (&"r".into(), &"4".into())
        );
        assert!(!hosts.iter().any(|host| is_sent_to(*host, group)));
        wait_until("its slaves are there", || {
            let (_, printed, _) = admin_beside(data_dir, &["replication", "-o", "tsv"]);
            printed.matches("\tin sync\t").count() == 2
        });
        assert_eq!(done(data_dir, &["brokers", "resume"]).lines().count(), 1);
        assert!(hosts.iter().all(|host| is_sent_to(*host, group)));
    }
    let produced = producer.stop();
    assert_eq!((&produced.failed, &produced.repeated), (&Vec::new(), &Vec::new()));
    assert!(produced.by_group.len() == 2, "{:?}", produced.by_group);
    let stored = stored(&hosts);
    let unique: BTreeSet<_> = stored.iter().cloned().collect();
    assert_eq!(unique, produced.acknowledged);
    assert_eq!(stored.len(), unique.len(), "some are there twice");
    wait_until_equal(dir.path(), &hosts);
    // Both changes of each host are written down.
    let audit = done(&data_dirs[0], &["audit", "-o", "json"]);
    let records: Value = serde_json::from_str(&audit).unwrap();
    let methods: Vec<_> = records.as_array().unwrap().iter().map(|one| &one["method"]).collect();
    assert!(methods.contains(&&"Brokers/Drain".into()), "{audit}");
    assert!(methods.contains(&&"Brokers/Resume".into()), "{audit}");
}

#[test]
fn topics_of_one_master_stand_in_the_way_and_what_name_servers_are_told_by_others_does_not() {
    let dir = tempfile::tempdir().unwrap();
    let hosts = [free_address(), free_address()];
    let data_dir = dir.path().join(hosts[0].to_string());
    let _nodes = [0, 1].map(|this| start("2m-noslave", &hosts, this, dir.path()));
    wait_until("both masters are there", || {
        admin(hosts[0], &["brokers", "-o", "tsv"]).1.matches("\tserving\t").count() == 2
    });
    // Only here.
    done(&data_dir, &["topics", "create", TOPIC, "--broker", "broker-a"]);
    let (code, _, error) = admin_beside(&data_dir, &["brokers", "drain", "broker-a"]);
    assert_eq!((code, error.contains("for these topics, ")), (Some(1), true), "{error}");
    assert_eq!(show(&data_dir, "broker-a")["permission"], "rw");
    done(&data_dir, &["topics", "create", TOPIC, "--broker", "broker-b"]);
    // The first host may have been up before the other's name server was.
    wait_until("both name servers know it", || {
        hosts.iter().all(|host| is_sent_to(*host, "broker-a"))
    });
    let planned = done(&data_dir, &["brokers", "drain", "broker-a", "--dry-run"]);
    assert!(planned.starts_with("broker would be drained: broker-a"), "{planned}");
    assert_eq!(show(&data_dir, "broker-a")["permission"], "rw");
    // Who does not wait is told what there is to wait for.
    let not_waited = ["brokers", "drain", "broker-a", "--timeout-s", "0"];
    let (code, printed, error) = admin_beside(&data_dir, &not_waited);
    assert_eq!(
        (code, error.contains("producers look for other routes")),
        (Some(6), true),
        "{error}"
    );
    assert!(printed.contains("it has no slave: "), "{printed}");
    assert!(!is_sent_to(hosts[1], "broker-a"));
    let file = dir.path().join(format!("{}.toml", hosts[0]));
    let shown = rmq_node(&["config", "show", "--config", file.to_str().unwrap(), "--data-dir"])
        .arg(&data_dir)
        .output()
        .unwrap();
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert!(shown.ends_with("# broker-a: brokerPermission = 4\n"), "{shown}");
    // What others tell name servers does not open it, and putting it to use does not close it again.
    let (code, _, error) = admin(hosts[1], &["addWritePerm", "-b", "broker-a"]);
    assert_eq!(code, Some(0), "{error}");
    assert!(!is_sent_to(hosts[1], "broker-a"));
    assert_eq!(admin(hosts[1], &["wipeWritePerm", "-b", "broker-a"]).0, Some(0));
    let (code, printed, error) = admin_beside(&data_dir, &["brokers", "resume", "broker-a"]);
    assert!(printed.starts_with("broker resumed: broker-a"), "{printed}");
    let why = format!("name server {}:9876 keeps producers away from broker-a still", hosts[1]);
    assert_eq!((code, error.contains(&why)), (Some(6), true), "{error}");
    assert!(is_sent_to(hosts[0], "broker-a"));
    assert_eq!(admin(hosts[1], &["addWritePerm", "-b", "broker-a"]).0, Some(0));
    assert!(is_sent_to(hosts[1], "broker-a"));
    assert!(done(&data_dir, &["brokers", "resume", "broker-a"]).starts_with("broker unchanged: "));
}

#[test]
fn settings_change_while_a_broker_runs_and_are_what_they_were_when_that_is_taken_back() {
    let (address, dir) = (free_address(), tempfile::tempdir().unwrap());
    let config = |rest: &[&str]| done(dir.path(), &[&["brokers", "config"], rest].concat());
    let node = Node::start(address, dir.path());
    let set = ["set", "fileReservedTime", "48"];
    let would = config(&[&set[..], &["--dry-run"]].concat());
    let place = format!("broker-a ({address}:10911)");
    let expected = format!("fileReservedTime would be changed from 72 to 48: {place}\n");
    assert_eq!(would, expected);
    assert!(config(&set).starts_with("fileReservedTime changed from 72 to 48: "));
    config(&["set", "traceOn", "false"]);
    stop(node);
    let node = Node::start(address, dir.path());
    let shown = config(&["get", "fileReservedTime"]);
    assert_eq!(shown, "KEY               VALUE  SETTINGS SAY\nfileReservedTime  48     72\n");
    // Reading the settings again changes nothing of it.
    done(dir.path(), &["node", "reload"]);
    assert!(config(&["get", "fileReservedTime"]).contains("48"));
    assert!(
        config(&["reset", "fileReservedTime"])
            .starts_with("fileReservedTime changed from 48 to 72: ")
    );
    assert!(config(&["reset", "traceOn"]).starts_with("traceOn changed from false to true: "));
    assert!(config(&["reset", "traceOn"]).starts_with("traceOn unchanged: "));
    let left = fs::read_to_string(dir.path().join("overrides.toml")).unwrap();
    assert!(left.lines().all(|line| line.starts_with('#')), "{left}");
    for (arguments, code) in [
        (&["get", "noSuchKey"][..], 4),
        (&["set", "maxMessageSize", "1"], 1),
        (&["set", "brokerPermission", "7"], 1),
        (&["get", "--broker", "z"], 4),
    ] {
        let arguments = [&["brokers", "config"], arguments].concat();
        let (found, _, error) = admin_beside(dir.path(), &arguments);
        assert_eq!(found, Some(code), "{arguments:?}: {error}");
    }
    stop(node);
}

#[test]
fn a_node_without_a_service_manager_stops_and_does_not_restart() {
    let (address, dir) = (free_address(), tempfile::tempdir().unwrap());
    let node = Node::start(address, dir.path());
    let (code, _, error) = admin_beside(dir.path(), &["node", "restart"]);
    let why = format!("no unit of systemd runs process {}: ", node.pid());
    assert_eq!((code, error.contains(&why)), (Some(1), true), "{error}");
    // Nobody else does its work, and nobody is there to say yes.
    let (code, _, error) = admin_beside(dir.path(), &["node", "stop", "--drain"]);
    assert_eq!((code, error.contains("no other master of ")), (Some(1), true), "{error}");
    let (code, _, error) = admin(address, &["node", "stop"]);
    assert_eq!((code, error.contains("only a node itself can")), (Some(1), true), "{error}");
    let printed = done(dir.path(), &["node", "stop"]);
    assert_eq!(printed, format!("DONE     AT\nstopped  process {}\n", node.pid()));
    let (status, log) = node.wait();
    assert!(status.success(), "{log}");
}
