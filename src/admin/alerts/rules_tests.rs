//! Every rule, at its threshold and on both sides of it.

use super::super::history::KNOWN_FOR_MS;
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
fn brokers_that_are_gone_are_listed_as_they_were_by_the_same_memory() {
    let mut history = History::default();
    let at =
        |at_ms, brokers: &[Broker]| Look { at_ms, brokers: brokers.to_vec(), ..Look::default() };
    let all = [broker("a", 0), broker("a", 1), broker("b", 0), broker("b", 1)];
    history.add(&at(5, &all));
    let listed = |registered: &[Broker], history: &History| {
        let mut brokers = registered.to_vec();
        history.add_gone(&mut brokers);
        let told = |one: Broker| (one.group, one.id, one.state, one.last_address, one.last_seen_ms);
        brokers.into_iter().map(told).collect::<Vec<_>>()
    };
    let there = |group: &str, id| (group.to_owned(), id, "serving".to_owned(), None, None);
    let gone = |group: &str, id| {
        let address = Some(format!("h{id}:10911"));
        (group.to_owned(), id, "not registered".to_owned(), address, Some(5))
    };
    assert_eq!(
        listed(&all, &history),
        [there("a", 0), there("a", 1), there("b", 0), there("b", 1)]
    );
    // A slave, and a group as a whole.
    let expected = [there("a", 0), gone("a", 1), gone("b", 0), gone("b", 1)];
    assert_eq!(listed(&all[..1], &history), expected);
    // A master of which only the slave is registered is there already, and once.
    let state = "not registered".to_owned();
    let nameless = Broker { address: None, version: None, state, ..broker("a", 0) };
    let left = [nameless, broker("a", 1), broker("b", 0), broker("b", 1)];
    assert_eq!(
        listed(&left, &history),
        [gone("a", 0), there("a", 1), there("b", 0), there("b", 1)]
    );
    // Where it is now, or that it is registered and silent, is its own to tell.
    let silent = Broker { version: None, address: Some("h9:1".to_owned()), ..broker("a", 1) };
    let others = [broker("a", 0), silent, broker("b", 0), broker("b", 1)];
    assert_eq!(listed(&others, &history)[1], there("a", 1));
    history.add(&at(KNOWN_FOR_MS + 6, &all[..1]));
    assert_eq!(listed(&all[..1], &history), [there("a", 0)], "after a day it was removed");
}

#[test]
fn a_master_that_producers_are_kept_away_from_is_seen() {
    let master = |may: &str, by: &[&str]| {
        let kept_away_by = by.iter().map(|one| (*one).to_owned()).collect();
        let master = Broker { permission: Some(may.to_owned()), kept_away_by, ..broker("a", 0) };
        let look = Look { brokers: vec![master], ..Look::default() };
        let all = observe(&look, &History::default(), &settings());
        let found = all.into_iter().find(|one| one.rule == Rule::WritePermission);
        found.map(|one| (one.level, one.sentence.to_string()))
    };
    assert_eq!(master("rw", &[]).unwrap().0, 0.0);
    let told =
        "producers are kept away from a 0 (h0:10911) by name server n:1, n:2 (wipeWritePerm)";
    assert_eq!(master("rw", &["n:1", "n:2"]), Some((1.0, told.to_owned())));
    assert_eq!(master("r", &[]), None, "it is out of use on purpose");
}

#[test]
fn every_observation_reads_as_a_sentence() {
    let text = |look: &Look, rule| {
        let all = observe(look, &History::default(), &settings());
        all.into_iter().find(|one| one.rule == rule).unwrap().sentence.to_string()
    };
    let reading = reading(7, Some(61_000), 0);
    assert_eq!(text(&reading, Rule::Lag), "G has not got 7 messages of T");
    let expected = "the oldest message of T that G has not got is 1 min 1 s old";
    assert_eq!(text(&reading, Rule::LagAge), expected);
    let expected = "7 messages of T wait for G, of which nobody is connected";
    assert_eq!(text(&reading, Rule::NoConsumer), expected);
    let slave = Broker {
        state: "conflict".to_owned(),
        behind_bytes: Some(1536),
        last_error: Some("refused".to_owned()),
        ..broker("a", 1)
    };
    let unknown = Broker { behind_bytes: None, ..slave.clone() };
    let gone = Broker { version: None, state: "does not answer".to_owned(), ..broker("b", 0) };
    let of = |brokers| Look { brokers, ..Look::default() };
    let expected = "a 1 (h1:10911): conflict, 1.5 KiB behind (refused)";
    assert_eq!(text(&of(vec![slave]), Rule::Replication), expected);
    assert_eq!(text(&of(vec![unknown]), Rule::Replication), "a 1 (h1:10911): conflict (refused)");
    assert_eq!(text(&of(vec![gone]), Rule::BrokerGone), "b 0 (h0:10911): does not answer");
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
