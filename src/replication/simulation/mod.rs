//! Replication's decisions under seeded faults: a group of two or three nodes, a network, disks, and what must hold.
//!
//! Real: `history`, `decide`, `start_step`, and how positions merge. Simulated: everything around them (`host`,
//! `serving`); one thread, no clock, so that a seed decides everything. `RMQ_SIMULATION_SEED=n` runs one seed and prints
//! what happens, `RMQ_SIMULATION_SEEDS=count` runs so many, from `RMQ_SIMULATION_FIRST=n` on. What must hold (`checks`):
//!
//! - no cut takes away a message that its sender was told is on a slave, nor what is not older than the master, nor
//!   anything below the newest slice; a slave goes back to no master of an earlier promotion;
//! - a master that begins has every such message that is still on any disk, as long as nobody replaced or restored a
//!   disk, told it not to wait, or promoted one of two slaves; its number is above, and its history goes on from,
//!   all that was answered to it;
//! - every byte is of the epoch that its log's history says, no two masters write under one epoch, and what a slave
//!   appends its master has at the same offset;
//! - a position goes back, or its generation up, only by a reset; it is never beyond its log;
//! - once everything is healed, no two masters serve for long, and in the end all serve, copy, or say why not; and if
//!   no disk was replaced or restored and no role was changed, nobody says why not.

mod checks;
mod host;
mod serving;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use self::host::{Byte, Disk, Host, Link, Process, QUEUE, Role, Stage};
use super::decide::PeerView;
use super::history::{Epoch, NodeId};
use super::start_step::Before;
use crate::store::tables::Position;

const DEFAULT_SEEDS: u64 = 300;
/// How long everything is healed before the end.
const HEALED: u64 = 240_000;
/// When no two may be masters any more after that.
const RIVALS: u64 = 20_000;
/// How long nothing more is sent before the end.
const QUIET: u64 = 40_000;

/// SplitMix64.
#[derive(Debug)]
struct Rng(u64);

impl Rng {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit.max(1)
    }

    fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high - low + 1)
    }

    fn one_in(&mut self, count: u64) -> bool {
        self.below(count) == 0
    }
}

/// What a node asks as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asker {
    Slave,
    Starting,
}

#[derive(Clone, Debug)]
enum Message {
    /// `Some`: a slave asks whether to follow, or a master in its start step.
    Ask {
        ask: u64,
        by: Option<(NodeId, Asker)>,
    },
    Answer {
        ask: u64,
        view: PeerView,
    },
    Compare {
        ask: u64,
        below: u64,
        byte: Option<Byte>,
    },
    Compared {
        ask: u64,
        is_equal: bool,
    },
    Tables {
        ask: u64,
        push: Option<Position>,
    },
    TablesAnswer {
        ask: u64,
        position: Option<Position>,
        end: u64,
    },
    Open(u64),
    Opened(u64),
    Report {
        connection: u64,
        end: Option<u64>,
    },
    Batch {
        connection: u64,
        at: u64,
        bytes: Vec<Byte>,
    },
    Close(u64),
}

impl Message {
    /// The connection to an HA port, on which messages keep their order, and none is lost without the rest.
    fn connection(&self) -> Option<u64> {
        match self {
            Self::Open(connection)
            | Self::Opened(connection)
            | Self::Report { connection, .. }
            | Self::Batch { connection, .. }
            | Self::Close(connection) => Some(*connection),
            _ => None,
        }
    }
}

#[derive(Debug)]
struct Envelope {
    from: Link,
    to: usize,
    incarnation: u64,
    message: Message,
}

#[derive(Debug)]
enum Happening {
    Deliver(Envelope),
    Tick { host: usize, incarnation: u64 },
    Start(usize),
    Mend { from: usize, to: usize },
    Send,
    Consume,
    Fault,
    SetRight,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fault {
    Kill,
    Stop,
    PowerCut,
    PowerCutOfAll,
    Partition,
    ReplaceDisk,
    Backup,
    Restore,
    Promote,
    LoseHost,
    Resync,
    ChangeMode,
}

const FAULTS: [Fault; 12] = [
    Fault::Kill,
    Fault::Stop,
    Fault::PowerCut,
    Fault::PowerCutOfAll,
    Fault::Partition,
    Fault::ReplaceDisk,
    Fault::Backup,
    Fault::Restore,
    Fault::Promote,
    Fault::LoseHost,
    Fault::Resync,
    Fault::ChangeMode,
];

/// One run.
#[derive(Debug)]
struct World {
    rng: Rng,
    now: u64,
    hosts: Vec<Host>,
    /// Who the name server says is the master.
    registered: Option<usize>,
    /// How the next master starts.
    sync: bool,
    sync_limit: Option<u64>,
    faults: Vec<Fault>,
    /// Every so many milliseconds.
    fault_pause: u64,
    /// How long machines are down and links cut, in milliseconds.
    outage_max: u64,
    asynchronous_limit: u64,
    loss_per_mille: u64,
    delay_max: u64,
    happenings: BTreeMap<(u64, u64), Happening>,
    ids: u64,
    down: BTreeSet<(usize, usize)>,
    broken: BTreeSet<u64>,
    last_delivery: BTreeMap<(u64, usize), u64>,
    is_healed: bool,
    ends_at: u64,
    /// What holds.
    writers: Vec<Epoch>,
    acknowledged: Vec<(u64, Byte)>,
    positions: Vec<Option<Position>>,
    resets: u64,
    promotions: u64,
    promoted: Option<usize>,
    happened: BTreeSet<Fault>,
    violation: Option<String>,
    counts: BTreeMap<&'static str, u64>,
    is_verbose: bool,
}

impl World {
    fn new(seed: u64, is_verbose: bool) -> Self {
        let mut rng = Rng(seed);
        let chaos = rng.between(30_000, 240_000);
        let count = usize::try_from(rng.between(2, 3)).unwrap();
        let share = rng.between(2, 5);
        let mut faults: Vec<Fault> = FAULTS.into_iter().filter(|_| rng.one_in(share)).collect();
        if faults.contains(&Fault::Restore) {
            faults.push(Fault::Backup);
        }
        let hosts = (0..count).map(|host| Host {
            disk: Disk::new(NodeId(rng.next())),
            backup: None,
            process: None,
            is_master: host == 0,
            boot: 1,
            rate: [1_000, 500, 1_900][usize::try_from(rng.below(3)).unwrap()],
            is_gone: false,
        });
        let hosts: Vec<Host> = hosts.collect();
        let mut world = Self {
            now: 0,
            positions: vec![None; hosts.len()],
            hosts,
            registered: None,
            sync: rng.one_in(2),
            sync_limit: rng.one_in(6).then(|| rng.between(5, 60)),
            faults,
            fault_pause: rng.between(1_000, 15_000),
            outage_max: [1_000, 10_000, 60_000][usize::try_from(rng.below(3)).unwrap()],
            asynchronous_limit: rng.between(1, 10),
            loss_per_mille: if rng.one_in(2) { 0 } else { rng.between(1, 30) },
            delay_max: [2, 50, 900][usize::try_from(rng.below(3)).unwrap()],
            rng,
            happenings: BTreeMap::new(),
            ids: 0,
            down: BTreeSet::new(),
            broken: BTreeSet::new(),
            last_delivery: BTreeMap::new(),
            is_healed: false,
            ends_at: chaos + HEALED,
            writers: Vec::new(),
            acknowledged: Vec::new(),
            resets: 0,
            promotions: 0,
            promoted: None,
            happened: BTreeSet::new(),
            violation: None,
            counts: BTreeMap::new(),
            is_verbose,
        };
        for host in 0..count {
            let after = world.rng.below(3_000);
            world.later(after, Happening::Start(host));
        }
        for happening in [Happening::Send, Happening::Consume, Happening::Fault] {
            world.later(5_000, happening);
        }
        world
    }

    // What nodes use.

    fn next_id(&mut self) -> u64 {
        self.ids += 1;
        self.ids
    }

    fn count(&mut self, what: &'static str) {
        *self.counts.entry(what).or_default() += 1;
    }

    fn note(&self, text: impl FnOnce() -> String) {
        if self.is_verbose {
            println!("{:>7} {}", self.now, text());
        }
    }

    fn limit(&self) -> Option<std::time::Duration> {
        let limit = if self.sync { self.sync_limit } else { Some(self.asynchronous_limit) };
        limit.map(std::time::Duration::from_secs)
    }

    fn later(&mut self, after: u64, happening: Happening) {
        let id = self.next_id();
        self.happenings.insert((self.now + after, id), happening);
    }

    fn tick_later(&mut self, host: usize) {
        let incarnation = self.process(host).incarnation;
        self.later(1_000, Happening::Tick { host, incarnation });
    }

    /// Sends to a process, or to whatever process the host has now.
    fn send(&mut self, host: usize, to: usize, process: Option<u64>, message: Message) {
        let now = self.hosts[to].process.as_ref().map(|process| process.incarnation);
        let incarnation = process.or(now).unwrap_or(0);
        let from = Link { connection: 0, host, incarnation: self.process(host).incarnation };
        let is_lost = self.down.contains(&(host, to))
            || (!self.is_healed && self.rng.below(1_000) < self.loss_per_mille);
        if let Some(connection) = message.connection() {
            if is_lost {
                self.broken.insert(connection);
            }
        } else if is_lost {
            return;
        }
        let mut at = self.now + 1 + self.rng.below(self.delay_max);
        if let Some(connection) = message.connection() {
            let last = self.last_delivery.entry((connection, to)).or_default();
            at = at.max(*last + 1);
            *last = at;
        }
        self.later(at - self.now, Happening::Deliver(Envelope { from, to, incarnation, message }));
    }

    fn deliver(&mut self, envelope: Envelope) {
        let Envelope { from, to, incarnation, message } = envelope;
        let connection = message.connection();
        if self.down.contains(&(from.host, to)) {
            self.broken.extend(connection);
            return;
        }
        if connection.is_some_and(|connection| self.broken.contains(&connection)) {
            return;
        }
        let runs = |host: usize, incarnation| {
            let process = self.hosts[host].process.as_ref();
            process.is_some_and(|process| process.incarnation == incarnation)
        };
        if runs(to, incarnation) {
            self.received(to, from, message);
        } else if let Some(connection) = connection
            && runs(from.host, from.incarnation)
            && self.hosts[to].process.is_some()
        {
            // Whoever listens there now knows nothing of that connection.
            let by = Link { connection, host: to, incarnation: 0 };
            self.received(from.host, by, Message::Close(connection));
        }
    }

    /// Who writes under an epoch from now on.
    fn new_writer(&mut self, epoch: Epoch) -> usize {
        if self.writers.contains(&epoch) {
            self.violate(format!("two masters write under epoch {epoch}"));
        }
        self.writers.push(epoch);
        self.writers.len() - 1
    }

    /// Senders are told that their messages are on a slave.
    fn acknowledge(&mut self, done: Vec<(u64, Byte)>) {
        for (offset, byte) in done {
            self.count("acknowledged");
            self.acknowledged.push((offset, byte));
        }
    }

    // What happens.

    /// Whether everything is left alone until the end.
    fn is_quiet(&self) -> bool {
        self.now + QUIET > self.ends_at
    }

    fn run(&mut self) -> Result<(), String> {
        let healed_at = self.ends_at - HEALED;
        while let Some(((at, _), happening)) = self.happenings.pop_first() {
            self.now = at;
            if at >= healed_at && !self.is_healed {
                self.heal();
            }
            if at >= self.ends_at || self.violation.is_some() {
                break;
            }
            self.happen(happening);
            self.check_positions();
        }
        if self.violation.is_none() {
            self.check_end();
        }
        self.violation.take().map_or(Ok(()), Err)
    }

    fn happen(&mut self, happening: Happening) {
        let is_quiet = self.is_quiet();
        match happening {
            Happening::Deliver(envelope) => self.deliver(envelope),
            Happening::Tick { host, incarnation } => {
                let process = self.hosts[host].process.as_ref();
                if process.is_some_and(|process| process.incarnation == incarnation) {
                    self.tick_later(host);
                    self.tick(host);
                }
            }
            Happening::Start(host) => self.start(host),
            Happening::Mend { from, to } => {
                self.down.remove(&(from, to));
            }
            Happening::Send => {
                for host in (0..self.hosts.len()).filter(|_| !is_quiet) {
                    for _ in 0..self.rng.below(4) {
                        let waits = !self.rng.one_in(5);
                        if self.hosts[host].process.is_some() {
                            self.append(host, waits);
                        }
                    }
                }
                let after = self.rng.between(50, 1_500);
                self.later(after, Happening::Send);
            }
            Happening::Consume => {
                if !is_quiet {
                    self.consume();
                }
                let after = self.rng.between(100, 2_000);
                self.later(after, Happening::Consume);
            }
            Happening::SetRight => self.set_right(),
            Happening::Fault if self.is_healed || self.faults.is_empty() => {}
            Happening::Fault => {
                let at = usize::try_from(self.rng.below(self.faults.len() as u64)).unwrap();
                self.fault(self.faults[at]);
                let after = self.rng.between(1, 2 * self.fault_pause);
                self.later(after, Happening::Fault);
            }
        }
    }

    /// A consumer commits at a master, or at a slave if none serves; an operator resets sometimes.
    fn consume(&mut self) {
        let rank = |host: &usize| {
            self.hosts[*host].process.as_ref().map(|one| matches!(one.role, Role::Master { .. }))
        };
        let host = (0..self.hosts.len()).filter(|host| rank(host).is_some()).max_by_key(rank);
        let Some(host) = host else { return };
        let (topic, group, queue) = QUEUE;
        let disk = &self.hosts[host].disk;
        let (start, end) = (disk.start, disk.end());
        let offsets = &self.hosts[host].process.as_ref().unwrap().offsets;
        let here = offsets.query(topic, group, queue);
        let here = here.map_or(start, |offset| u64::try_from(offset).unwrap());
        if self.rng.one_in(30) {
            let to = i64::try_from(self.rng.below(here + 1)).unwrap();
            self.resets += 1;
            offsets.reset(topic, group, queue, to);
        } else {
            let to = here + self.rng.below(end.saturating_sub(here) + 1);
            offsets.commit(topic, group, queue, i64::try_from(to).unwrap());
        }
    }

    /// Nothing fails any more, and everything that can run runs.
    fn heal(&mut self) {
        self.note(|| "healed".to_owned());
        self.is_healed = true;
        self.down.clear();
        for host in 0..self.hosts.len() {
            self.later(1_000, Happening::Start(host));
        }
        // Once more for those who saw the rest of what was before.
        for after in [RIVALS, 2 * RIVALS] {
            self.later(after, Happening::SetRight);
        }
    }

    /// The operator leaves one master in the files, and starts again what stayed down.
    fn set_right(&mut self) {
        self.check_rivals();
        let rank = |host: &usize| {
            let host: &Host = &self.hosts[*host];
            let last = host.disk.history.last().map(Epoch::rank);
            (!host.is_gone, host.is_master, last)
        };
        let master = (0..self.hosts.len()).max_by_key(rank).unwrap();
        for host in 0..self.hosts.len() {
            let this = &mut self.hosts[host];
            let is_other = this.is_master != (host == master);
            this.is_master = host == master;
            let role = this.process.as_ref().map(|process| &process.role);
            let restarts = is_other || matches!(role, Some(Role::Down(_) | Role::Yielded));
            if restarts && role.is_some() {
                self.crash(host, false);
            }
        }
    }

    /// Ends a process; with the power, what was not flushed may go.
    fn crash(&mut self, host: usize, is_power_cut: bool) {
        self.hosts[host].process = None;
        self.forget_positions(host);
        if is_power_cut {
            let disk = &self.hosts[host].disk;
            let (low, high) = (disk.synced_to, disk.end());
            let end = [low, high, self.rng.between(low, high)]
                [usize::try_from(self.rng.below(3)).unwrap()];
            self.note(|| format!("the power cut leaves host {host} {end} of {high}"));
            self.hosts[host].disk.truncate(end);
            self.hosts[host].boot += 1;
            self.happened.insert(Fault::PowerCut);
        }
        let after = if self.is_healed { 500 } else { self.rng.between(200, self.outage_max) };
        self.later(after, Happening::Start(host));
    }

    fn fault(&mut self, fault: Fault) {
        let count = self.hosts.len() as u64;
        let any = usize::try_from(self.rng.below(count)).unwrap();
        // The master is the one for whom it matters most.
        let host = self.registered.filter(|_| self.rng.one_in(3)).unwrap_or(any);
        let other =
            (host + 1 + usize::try_from(self.rng.below(count - 1)).unwrap()) % self.hosts.len();
        let this = &self.hosts[host];
        let is_stuck =
            |process: &Process| matches!(process.role, Role::Slave { stage: Stage::Stuck(_), .. });
        let has_effect = match fault {
            Fault::Kill | Fault::Stop => this.process.is_some(),
            Fault::Restore => this.backup.is_some(),
            Fault::Promote => !this.is_master && !this.is_gone,
            Fault::LoseHost => self.hosts.iter().all(|host| !host.is_gone) && self.rng.one_in(9),
            Fault::Resync => this.process.as_ref().is_some_and(is_stuck),
            _ => true,
        };
        if !has_effect {
            return;
        }
        self.note(|| format!("{fault:?}, host {host}"));
        self.happened.insert(fault);
        let loses_its_past = [Fault::PowerCut, Fault::ReplaceDisk, Fault::Restore].contains(&fault);
        if loses_its_past && self.rng.one_in(2) {
            self.part(host, other, true);
        }
        match fault {
            Fault::Kill => self.crash(host, false),
            Fault::Stop => self.stop(host),
            Fault::PowerCut => self.crash(host, true),
            Fault::PowerCutOfAll => {
                for host in 0..self.hosts.len() {
                    self.crash(host, true);
                }
            }
            Fault::Partition => {
                let is_two_way = self.rng.one_in(2);
                self.part(host, other, is_two_way);
            }
            Fault::ReplaceDisk => {
                self.crash(host, true);
                self.hosts[host].disk = Disk::new(NodeId(self.rng.next()));
            }
            Fault::Backup => self.hosts[host].backup = Some(self.hosts[host].disk.clone()),
            Fault::Restore => {
                self.crash(host, false);
                let backup = self.hosts[host].backup.clone();
                self.hosts[host].disk = backup.unwrap();
                self.hosts[host].disk.is_clean |= self.rng.one_in(2);
            }
            Fault::Promote => self.promote(host),
            Fault::LoseHost => {
                self.crash(host, true);
                self.hosts[host].is_gone = true;
            }
            Fault::Resync => {
                self.crash(host, false);
                self.hosts[host].disk = Disk::new(NodeId(self.rng.next()));
            }
            Fault::ChangeMode => self.sync = !self.sync,
        }
    }

    fn stop(&mut self, host: usize) {
        self.checkpoint(host);
        self.hosts[host].disk.is_clean = true;
        self.crash(host, false);
    }

    fn part(&mut self, host: usize, other: usize, is_two_way: bool) {
        let after = self.rng.between(500, self.outage_max);
        for (from, to) in
            [(host, other), (other, host)].into_iter().take(1 + usize::from(is_two_way))
        {
            self.down.insert((from, to));
            self.later(after, Happening::Mend { from, to });
        }
    }

    /// An operator makes a slave the master by its file, and the old master a slave; perhaps with a mistake.
    fn promote(&mut self, host: usize) {
        self.promotions += 1;
        self.promoted = (self.hosts[host].disk.before == Before::Slave).then_some(host);
        for other in (0..self.hosts.len()).filter(|other| *other != host) {
            if self.rng.one_in(3) {
                self.part(host, other, true);
            }
            if self.hosts[other].is_master && !self.rng.one_in(4) {
                self.hosts[other].is_master = false;
                if self.hosts[other].process.is_some() && !self.rng.one_in(4) {
                    self.crash(other, false);
                }
            }
        }
        self.hosts[host].is_master = true;
        if self.hosts[host].process.is_some() && self.rng.one_in(2) {
            self.stop(host);
        } else if self.hosts[host].process.is_some() {
            self.crash(host, false);
        }
    }
}

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

#[test]
fn nothing_is_lost_and_nothing_joined_whatever_happens() {
    if let Some(seed) = number("RMQ_SIMULATION_SEED") {
        let mut world = World::new(seed, true);
        println!("{world:?}");
        let run = world.run();
        println!("{:?}", world.counts);
        run.unwrap_or_else(|violation| panic!("seed {seed}: {violation}"));
        return;
    }
    let seeds = number("RMQ_SIMULATION_SEEDS").unwrap_or(DEFAULT_SEEDS);
    let first = number("RMQ_SIMULATION_FIRST").unwrap_or(0);
    let mut counts: BTreeMap<&'static str, u64> = BTreeMap::new();
    let (mut violations, mut text) = (0, String::new());
    for seed in first..first + seeds {
        let mut world = World::new(seed, false);
        if let Err(violation) = world.run() {
            violations += 1;
            if violations <= 10 {
                writeln!(text, "seed {seed}: {violation}").unwrap();
            }
        }
        for (what, count) in world.counts {
            *counts.entry(what).or_default() += count;
        }
    }
    println!("{seeds} seeds: {counts:?}");
    assert_eq!(violations, 0, "of {seeds} seeds; RMQ_SIMULATION_SEED=n shows one:\n{text}");
}
