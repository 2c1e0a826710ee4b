//! The start step, row by row.

use super::*;

fn epoch(promotions: u32, restarts: u32, start: u64) -> Epoch {
    let number = EpochNumber { promotions, restarts };
    Epoch { number, node: NodeId(1), start, nonce: 1, sync: false }
}

fn log(epochs: &[Epoch], start: u64, end: u64) -> Log {
    Log { history: History::new(epochs.to_vec()).unwrap(), start, end }
}

fn slave(log: Log) -> PeerView {
    PeerView { node: Some(NodeId(2)), role: PeerRole::Slave, segment_bytes: 64, log }
}

fn plain(end: u64) -> PeerView {
    PeerView { node: None, ..slave(log(&[], 0, end)) }
}

/// A master that knows one slave, was killed by a power cut, and waits 30 s.
fn start(log: Log) -> Start {
    let name = "192.168.1.162:10921".to_owned();
    let peer = KnownPeer { name, node: Some(NodeId(2)), was_connected: true };
    Start {
        log,
        segment_bytes: 64,
        node: NodeId(1),
        nonce: 9,
        before: Before::Master,
        is_whole: false,
        sync: false,
        start_without_slave_after: Some(Duration::from_secs(30)),
        peers: vec![peer],
    }
}

fn answered(view: PeerView) -> Event {
    Event::Answered { peer: 0, view }
}

fn fetched(end: u64, is_done: bool) -> Event {
    Event::Fetched { peer: 0, end, adopted: true, is_done }
}

fn waits(actions: &[Action]) -> Option<&Waiting> {
    actions.iter().find_map(|action| match action {
        Action::Wait { waiting } => Some(waiting),
        _ => None,
    })
}

/// The epoch of a start that is over, and where the history before it was taken from.
fn begun(actions: &[Action]) -> Epoch {
    match actions {
        [Action::Begin { history }] => *history.last().unwrap(),
        other => panic!("{other:?}"),
    }
}

fn down(actions: &[Action]) -> &StayDown {
    match actions {
        [Action::StayDown { reason }] => reason,
        other => panic!("{other:?}"),
    }
}

/// All that happens in the first second of a start.
fn after(start: Start, events: impl IntoIterator<Item = Event>) -> (StartStep, Vec<Action>) {
    let (mut step, mut actions) = StartStep::new(start);
    for event in events {
        actions = step.on(Duration::from_millis(10), event);
    }
    (step, actions)
}

#[test]
fn without_peers_it_begins_at_once() {
    let a = epoch(0, 3, 0);
    let cases = [
        (log(&[a], 0, 50), Before::Master, (0, 4)),
        (log(&[a], 0, 50), Before::Slave, (1, 0)),
        (log(&[], 0, 0), Before::Nothing, (0, 0)),
        (log(&[], 0, 0), Before::Slave, (1, 0)),
    ];
    for (log, before, (promotions, restarts)) in cases {
        let end = log.end;
        let (_, actions) = StartStep::new(Start { peers: Vec::new(), before, ..start(log) });
        let expected = Epoch { nonce: 9, ..epoch(promotions, restarts, end) };
        assert_eq!(begun(&actions), expected);
    }
}

#[test]
fn a_missing_tail_is_fetched_then_tables_then_it_begins() {
    let (a, b) = (epoch(0, 0, 0), epoch(0, 1, 80));
    let theirs = log(&[a, b], 0, 100);
    let (mut step, actions) = after(start(log(&[a], 0, 50)), [answered(slave(theirs.clone()))]);
    assert_eq!(actions, [Action::Fetch { peer: 0, to: 100, adopt: theirs.history.clone() }]);
    assert_eq!(step.on(Duration::from_secs(99), Event::Tick), [], "it takes what it takes");
    let all = fetched(100, true);
    assert_eq!(step.on(Duration::from_secs(99), all), [Action::TakeTables { peer: 0 }]);
    let actions = step.on(Duration::from_secs(99), Event::TablesTaken { peer: 0 });
    assert_eq!(begun(&actions), Epoch { nonce: 9, ..epoch(0, 2, 100) });
    assert_eq!(step.on(Duration::from_secs(99), Event::Tick), []);
}

#[test]
fn a_fetch_that_breaks_goes_on_where_it_is_and_its_progress_prolongs_the_wait() {
    let a = epoch(0, 0, 0);
    let theirs = log(&[a], 0, 100);
    let (mut step, _) = after(start(log(&[a], 0, 50)), [answered(slave(theirs.clone()))]);
    let broken = fetched(70, false);
    let actions = step.on(Duration::from_secs(60), broken);
    assert_eq!(waits(&actions).unwrap().left, Some(Duration::from_secs(30)));
    assert_eq!(step.on(Duration::from_secs(61), Event::Tick)[0], Action::Ask { peer: 0 });
    let actions = step.on(Duration::from_secs(61), answered(slave(theirs)));
    assert!(matches!(actions[..], [Action::Fetch { to: 100, .. }]));
    let actions = step.on(Duration::from_secs(62), fetched(70, false));
    assert_eq!(waits(&actions).unwrap().left, Some(Duration::from_secs(28)), "no progress");
    assert_eq!(begun(&step.on(Duration::from_secs(90), Event::Silent { peer: 0 })).start, 70);
}

#[test]
fn how_long_a_silent_slave_is_waited_for() {
    let a = log(&[epoch(0, 0, 0)], 0, 50);
    let lost = || start(a.clone());
    let (whole, never) = (
        Start { is_whole: true, start_without_slave_after: None, ..lost() },
        Start { start_without_slave_after: None, ..lost() },
    );
    let cases = [(lost(), Some(30)), (whole, Some(3)), (never, None)];
    for (start, limit) in cases {
        let (mut step, actions) = after(start, [Event::Silent { peer: 0 }]);
        let waiting = waits(&actions).unwrap();
        assert_eq!(waiting.forever, limit.is_none());
        let text = waiting.to_string();
        assert!(text.starts_with("waiting for its slave's tail: 192.168.1.162:10921"), "{text}");
        let end = Duration::from_secs(limit.unwrap_or(1_000_000));
        let before = step.on(end - Duration::from_millis(1), Event::Tick);
        assert_eq!(before[0], Action::Ask { peer: 0 });
        assert!(waits(&before).is_some());
        let actions = step.on(end, Event::Tick);
        assert_eq!(waits(&actions).is_none(), limit.is_some(), "{actions:?}");
        if limit.is_some() {
            assert_eq!(begun(&actions).start, 50);
        }
    }
}

#[test]
fn who_was_not_connected_is_asked_once_but_waited_for_if_it_has_more() {
    let a = epoch(0, 0, 0);
    let mut unlisted = start(log(&[a], 0, 50));
    unlisted.peers[0].was_connected = false;
    let (_, actions) = StartStep::new(unlisted.clone());
    assert!(!waits(&actions).unwrap().forever, "its first outcome comes");
    let (_, actions) = after(unlisted.clone(), [Event::Silent { peer: 0 }]);
    assert_eq!(begun(&actions).start, 50);
    let events = [
        answered(slave(log(&[a], 0, 60))),
        Event::Fetched { peer: 0, end: 50, adopted: false, is_done: false },
    ];
    let (_, actions) = after(Start { is_whole: true, ..unlisted }, events);
    assert_eq!(waits(&actions).unwrap().left, Some(Duration::from_millis(29_990)));
}

#[test]
fn a_listed_node_that_answers_from_another_address_is_no_longer_waited_for() {
    let a = log(&[epoch(0, 0, 0)], 0, 50);
    let (mut step, _) = after(start(a.clone()), [Event::Silent { peer: 0 }]);
    let moved = KnownPeer { name: "moved".to_owned(), node: None, was_connected: false };
    let actions = step.on(Duration::from_secs(1), Event::Found { peer: moved });
    assert_eq!(actions[0], Action::Ask { peer: 1 });
    let view = slave(a);
    let actions = step.on(Duration::from_secs(1), Event::Answered { peer: 1, view });
    assert_eq!(actions, [Action::TakeTables { peer: 1 }]);
    let actions = step.on(Duration::from_secs(1), Event::Silent { peer: 1 });
    assert!(waits(&actions).is_some(), "nobody has answered now");
}

#[test]
fn another_master_or_a_later_epoch_keeps_it_down() {
    let (a, later, earlier) = (epoch(0, 0, 0), epoch(1, 0, 40), epoch(0, 1, 40));
    let ours = log(&[a, epoch(0, 5, 45)], 0, 50);
    let master = PeerView { role: PeerRole::Master, ..slave(log(&[a, later], 0, 90)) };
    let (_, actions) = after(start(ours.clone()), [answered(master)]);
    let text = down(&actions).to_string();
    assert!(text.contains("(epoch 1.0 of node 0000000000000001 from offset 40)"), "{text}");
    assert!(text.contains("role = \"slave\""), "{text}");
    for theirs in [log(&[a, later], 0, 41), log(&[epoch(7, 0, 0)], 0, 90)] {
        let (_, actions) = after(start(ours.clone()), [answered(slave(theirs))]);
        assert!(matches!(down(&actions), StayDown::LaterElsewhere { end: 50, .. }));
    }
    // It is for a slave with something earlier to say that it does not fit.
    let (_, actions) = after(start(ours), [answered(slave(log(&[a, earlier], 0, 90)))]);
    assert_eq!(begun(&actions), Epoch { nonce: 9, ..epoch(0, 6, 50) });
}

#[test]
fn of_two_that_start_as_masters_the_last_one_goes_on() {
    let own = epoch(0, 0, 0);
    let others = Epoch { node: NodeId(2), ..epoch(1, 0, 40) };
    let starting = |log| PeerView { role: PeerRole::Starting, ..slave(log) };
    for ours in [log(&[own, others], 0, 50), log(&[own], 0, 40), log(&[], 0, 0)] {
        let (_, actions) = after(start(ours), [answered(starting(log(&[own, others], 0, 50)))]);
        assert!(matches!(down(&actions), StayDown::PlaceTaken { .. }));
    }
    for theirs in [log(&[own], 0, 40), log(&[others], 0, 0)] {
        let ours = log(&[own, Epoch { node: NodeId(1), ..epoch(1, 1, 40) }], 0, 50);
        let (_, actions) = after(start(ours), [answered(starting(theirs))]);
        assert!(!matches!(actions[0], Action::StayDown { .. }), "{actions:?}");
    }
}

#[test]
fn the_number_is_above_every_one_seen() {
    let (a, b) = (epoch(0, 0, 0), epoch(2, 7, 90));
    let theirs = log(&[a, b], 0, 40);
    let events = [answered(slave(theirs.clone())), Event::TablesTaken { peer: 0 }];
    let (_, actions) = after(start(log(&[a], 0, 50)), events.clone());
    assert_eq!(begun(&actions), Epoch { nonce: 9, ..epoch(2, 8, 50) });
    let promoted = Start { before: Before::Slave, ..start(log(&[a], 0, 50)) };
    let (_, actions) = after(promoted, events);
    assert_eq!(begun(&actions), Epoch { nonce: 9, ..epoch(3, 0, 50) });
}

#[test]
fn of_several_the_latest_epoch_then_the_longest_log_is_fetched() {
    let (a, b) = (epoch(0, 0, 0), epoch(1, 0, 60));
    let cases = [
        ([log(&[a], 0, 90), log(&[a, b], 0, 70)], 1),
        ([log(&[a], 0, 90), log(&[a], 0, 70)], 0),
        ([log(&[a], 0, 90), log(&[a, b], 0, 40)], 0),
    ];
    for (logs, expected) in cases {
        let mut start = start(log(&[a], 0, 50));
        let other = KnownPeer { name: "other".to_owned(), node: None, was_connected: false };
        start.peers.push(other);
        let events = logs.into_iter().enumerate();
        let events = events.map(|(peer, log)| Event::Answered { peer, view: slave(log) });
        let (_, actions) = after(start, events);
        assert!(
            matches!(actions[..], [Action::Fetch { peer, .. }] if peer == expected),
            "{actions:?}"
        );
    }
}

#[test]
fn what_cannot_be_fetched_keeps_it_down() {
    let a = epoch(0, 0, 0);
    let (_, actions) = after(start(log(&[a], 0, 50)), [answered(slave(log(&[a], 64, 99)))]);
    let text = down(&actions).to_string();
    assert!(text.contains("ends at offset 50, and 192.168.1.162:10921"), "{text}");
    let other = PeerView { segment_bytes: 128, ..slave(log(&[a], 0, 99)) };
    let (_, actions) = after(start(log(&[a], 0, 50)), [answered(other.clone())]);
    assert!(matches!(down(&actions), StayDown::WrongSegmentSize { own: 64, theirs: 128, .. }));
    let (_, actions) = after(start(log(&[a], 0, 99)), [answered(other)]);
    assert_eq!(actions, [Action::TakeTables { peer: 0 }], "nothing is needed from it");
}

#[test]
fn a_log_without_a_byte_that_begins_behind_the_peers_keeps_it_down_instead_of_fetching_for_ever() {
    let a = epoch(0, 3, 0);
    let (_, actions) = after(start(log(&[a], 32, 32)), [answered(slave(log(&[a], 0, 6)))]);
    assert!(matches!(down(&actions), StayDown::LaterElsewhere { end: 32, .. }), "{actions:?}");
}

#[test]
fn a_plain_slaves_tail_is_compared_and_comes_under_an_epoch_of_its_own() {
    let a = epoch(0, 0, 0);
    let (mut step, actions) = after(start(log(&[a], 0, 50)), [answered(plain(70))]);
    assert_eq!(actions[0], Action::Compare { peer: 0, below: 50 });
    let now = Duration::from_millis(20);
    let equal = || Event::Compared { peer: 0, compared: Compared::Equal };
    let actions = step.on(now, equal());
    let copied = Epoch { nonce: 9, ..epoch(0, 1, 50) };
    let adopt = log(&[a, copied], 0, 0).history;
    assert_eq!(actions, [Action::Fetch { peer: 0, to: 70, adopt }]);
    let actions = step.on(now, fetched(70, true));
    assert_eq!(actions, [Action::TakeTables { peer: 0 }]);
    let actions = step.on(now, Event::TablesTaken { peer: 0 });
    assert_eq!(begun(&actions), Epoch { nonce: 9, ..epoch(0, 2, 70) });
    // Another log of a plain slave is left alone.
    let different = Event::Compared { peer: 0, compared: Compared::Different };
    let (_, actions) = after(start(log(&[a], 0, 50)), [answered(plain(70)), different]);
    assert_eq!(begun(&actions).start, 50);
    // What cannot be compared now is neither the same nor another log, however long it takes.
    let whole = Start { is_whole: true, ..start(log(&[a], 0, 50)) };
    let (mut step, _) = after(whole, [answered(plain(70))]);
    for seconds in [50, 100] {
        let now = Duration::from_secs(seconds);
        let actions = step.on(now, Event::Unreadable { peer: 0 });
        assert_eq!(actions[0], Action::Ask { peer: 0 });
        assert!(waits(&actions).is_some());
        let actions = step.on(now, answered(plain(70)));
        assert_eq!(actions[0], Action::Compare { peer: 0, below: 50 });
    }
    let actions = step.on(Duration::from_secs(101), Event::Silent { peer: 0 });
    assert_eq!(waits(&actions).unwrap().left, Some(Duration::from_secs(2)), "3 s from then on");
    // An empty log is nobody's past, whatever it is told: all comes, with nobody's name on it.
    let (_, actions) = after(start(log(&[], 0, 0)), [answered(plain(70))]);
    assert_eq!(actions, [Action::Fetch { peer: 0, to: 70, adopt: History::default() }]);
}
