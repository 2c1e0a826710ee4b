//! Every rule, at its threshold and on both sides of it.

use super::super::look::{Disk, HostClock, Reader};
use super::*;

const MINUTE_MS: i64 = 60_000;

fn settings() -> Settings {
    crate::config::load(&crate::config::Sources {
        config_file: Some(concat!(env!("CARGO_MANIFEST_DIR"), "/conf/rmq-node.toml").into()),
        ..Default::default()
    })
    .unwrap()
    .config
    .alerts
}

fn broker(group: &str, id: i64) -> Broker {
    Broker {
        group: group.to_owned(),
        id,
        address: Some(format!("h{id}:10911")),
        version: Some("rmq-node".to_owned()),
        state: "serving".to_owned(),
        ..Broker::default()
    }
}

/// The level of the only observation by a rule, if there is one.
fn level(look: &Look, history: &History, rule: Rule) -> Option<f64> {
    let all = observe(look, history, &settings());
    let found: Vec<_> = all.into_iter().filter(|one| one.rule == rule).collect();
    assert!(found.len() <= 1, "{found:?}");
    found.first().map(|one| one.level)
}

fn reading(lag: u64, behind_ms: Option<u64>, members: u64) -> Look {
    let key = ("G".to_owned(), "T".to_owned());
    Look {
        readers: BTreeMap::from([(key, Reader { lag, behind_ms })]),
        members: Some(BTreeMap::from([("G".to_owned(), members)])),
        ..Look::default()
    }
}

#[test]
fn groups_that_are_behind_are_seen() {
    let none = History::default();
    assert_eq!(level(&reading(100_000, None, 1), &none, Rule::Lag), Some(1.0));
    assert_eq!(level(&reading(50_000, None, 1), &none, Rule::Lag), Some(0.5));
    assert_eq!(level(&reading(1, Some(600_000), 1), &none, Rule::LagAge), Some(1.0));
    assert_eq!(level(&reading(1, None, 1), &none, Rule::LagAge), None, "it is not known");
    assert_eq!(level(&reading(1, None, 0), &none, Rule::NoConsumer), Some(1.0));
    assert_eq!(level(&reading(0, None, 0), &none, Rule::NoConsumer), Some(0.0), "nothing waits");
    assert_eq!(level(&reading(1, None, 1), &none, Rule::NoConsumer), Some(0.0));
    let plain = Look { members: None, ..reading(1, None, 0) };
    assert_eq!(level(&plain, &none, Rule::NoConsumer), None, "who is connected is not known");
    let mut system = reading(1_000_000, None, 0);
    let reader = system.readers.pop_first().unwrap().1;
    system.readers.insert(("CID_RMQ_SYS_TRANS".to_owned(), "T".to_owned()), reader);
    assert_eq!(level(&system, &none, Rule::Lag), None);
}

#[test]
fn brokers_that_are_gone_are_seen_whether_they_are_registered_or_not() {
    let mut history = History::default();
    let look = |at_ms, brokers| Look { at_ms, brokers, ..Look::default() };
    let all = look(0, vec![broker("a", 0), broker("a", 1)]);
    history.add(&all);
    let gone = |look: &Look, history: &History| {
        let all = observe(look, history, &settings());
        let gone = all.into_iter().filter(|one| one.rule == Rule::BrokerGone && one.level >= 1.0);
        gone.map(|one| one.subject).collect::<Vec<_>>()
    };
    assert_eq!(gone(&all, &history), [""; 0]);
    let silent = Broker { version: None, ..broker("a", 1) };
    assert_eq!(gone(&look(1, vec![broker("a", 0), silent]), &history), ["a 1 (h1:10911)"]);
    let unregistered = look(1, vec![broker("a", 0)]);
    assert_eq!(gone(&unregistered, &history), ["a 1 (h1:10911)"]);
    // Its slave is all that is registered of a group: the master is told once.
    let nameless = Broker { address: None, version: None, ..broker("a", 0) };
    let slave_only = look(1, vec![nameless, broker("a", 1)]);
    assert_eq!(gone(&slave_only, &history), ["a 0 (h0:10911)"]);
    assert_eq!(gone(&slave_only, &History::default()), ["a 0 (no address)"]);
    // Elsewhere it is not gone, and after a day it is taken for removed.
    let moved = Broker { address: Some("h9:10911".to_owned()), ..broker("a", 1) };
    let mut later = history.clone();
    let moved = look(2, vec![broker("a", 0), moved]);
    later.add(&moved);
    assert_eq!(gone(&moved, &later), [""; 0]);
    let next_day = look(KNOWN_FOR_MS + 1, vec![broker("a", 0)]);
    history.add(&next_day);
    assert_eq!(gone(&next_day, &history), [""; 0]);
    let servers = BTreeMap::from([("n:9876".to_owned(), Some("refused".to_owned()))]);
    let look = Look { name_servers: servers, ..Look::default() };
    assert_eq!(level(&look, &History::default(), Rule::NameServerGone), Some(1.0));
}

#[test]
fn slaves_that_are_behind_or_stuck_are_seen() {
    let slave = |change: fn(&mut Broker)| {
        let mut slave = broker("a", 1);
        change(&mut slave);
        let look = Look { brokers: vec![slave], ..Look::default() };
        level(&look, &History::default(), Rule::Replication)
    };
    assert_eq!(slave(|_| {}), Some(0.0));
    assert_eq!(slave(|one| one.behind_bytes = Some(64 << 20)), Some(1.0));
    assert_eq!(slave(|one| one.behind_s = Some(30)), Some(0.5));
    assert_eq!(slave(|one| one.state = "conflict".to_owned()), Some(1.0));
    assert_eq!(slave(|one| one.version = None), None, "that it is gone is told already");
}

#[test]
fn a_disk_is_seen_when_it_is_full_and_before() {
    const GIB: u64 = 1 << 30;
    let look = |at_ms, free_bytes| Look {
        at_ms,
        disks: vec![Disk {
            broker: "a".to_owned(),
            used_percent: 42.5,
            free_bytes,
            reserve_bytes: 10 * GIB,
        }],
        ..Look::default()
    };
    let mut history = History::default();
    assert_eq!(level(&look(0, 0), &history, Rule::Disk), Some(0.5));
    // It loses 4 GiB an hour, and has 40 until nothing is stored: ten hours.
    for minute in 0..=60 {
        history.add(&look(
            minute * MINUTE_MS,
            54 * GIB - u64::try_from(minute).unwrap() * 4 * GIB / 60,
        ));
        if minute == 20 {
            assert_eq!(level(&look(0, 0), &history, Rule::DiskForecast), None, "too early");
        }
    }
    let now = look(60 * MINUTE_MS, 50 * GIB);
    let forecast = level(&now, &history, Rule::DiskForecast).unwrap();
    assert!((forecast - 2.4).abs() < 0.01, "24 of 10 hours: {forecast}");
    let mut steady = History::default();
    (0..=60).for_each(|minute| steady.add(&look(minute * MINUTE_MS, GIB)));
    assert!(level(&now, &steady, Rule::DiskForecast).unwrap() < 0.001);
}

#[test]
fn certificates_dead_letters_subscriptions_and_clocks_are_seen() {
    let none = History::default();
    let ends = |days: i64| Look { certificate_not_after_s: Some(days * 86_400), ..Look::default() };
    assert_eq!(level(&ends(14), &none, Rule::Certificate), Some(1.0));
    assert_eq!(level(&ends(28), &none, Rule::Certificate), Some(0.5));
    assert_eq!(level(&ends(-1), &none, Rule::Certificate), Some(f64::INFINITY));
    let dead = |at_ms, count| Look {
        at_ms,
        dead_letters: BTreeMap::from([(
            "a 0".to_owned(),
            BTreeMap::from([("G".to_owned(), count)]),
        )]),
        ..Look::default()
    };
    let mut history = History::default();
    history.add(&dead(0, 7));
    assert_eq!(level(&dead(0, 7), &history, Rule::DeadLetters), Some(0.0), "old ones are no news");
    history.add(&dead(MINUTE_MS, 9));
    assert_eq!(level(&dead(0, 9), &history, Rule::DeadLetters), Some(2.0));
    history.add(&dead(70 * MINUTE_MS, 9));
    assert_eq!(level(&dead(0, 9), &history, Rule::DeadLetters), Some(0.0), "an hour ago");
    let differ = BTreeMap::from([("G".to_owned(), "c".to_owned())]);
    let look = Look { differ, ..Look::default() };
    assert_eq!(level(&look, &none, Rule::Subscriptions), Some(1.0));
    let clock = |ahead_ms, error_ms| Look {
        clocks: vec![HostClock { host: "h".to_owned(), ahead_ms, error_ms }],
        ..Look::default()
    };
    assert_eq!(level(&clock(-1500, 500), &none, Rule::Clock), Some(1.0));
    assert_eq!(level(&clock(1500, 1500), &none, Rule::Clock), Some(0.0), "as far as it is known");
}
