//! A simulated node: its disk, its process, its start step and its copying as a slave.
//!
//! Does what `decide` and `start_step` ask of those who act on them, and nothing else; what it says to others is in
//! `serving`. One byte of a log stands for one message of the only queue, so that queue offsets and log offsets are
//! the same.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::decide::*;
use super::super::history::*;
use super::super::start_step::*;
use super::{Asker, Message, World};
use crate::model::QueueId;
use crate::store::tables::{ConsumerOffsets, Position};

/// Bytes of a slice.
pub(super) const SLICE: u64 = 16;
/// Older bytes may be removed.
pub(super) const KEPT: u64 = 120;
pub(super) const SEGMENT_BYTES: u64 = 64;
pub(super) const ASK_TIMEOUT: u64 = 1_500;
pub(super) const SILENCE_MAX: u64 = 20_000;
pub(super) const BATCH_MAX: u64 = 30;
pub(super) const QUEUE: (&str, &str, QueueId) = ("T", "G", QueueId(0));

/// A byte of a log that says who wrote it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Byte {
    /// A place in the list of all epochs that ever wrote.
    pub(super) writer: usize,
    pub(super) message: u64,
}

/// What is left of a node when its process is gone.
#[derive(Clone, Debug)]
pub(super) struct Disk {
    pub(super) node: NodeId,
    pub(super) start: u64,
    pub(super) bytes: Vec<Byte>,
    pub(super) synced_to: u64,
    pub(super) history: History,
    pub(super) connected: Vec<(usize, NodeId)>,
    pub(super) before: Before,
    pub(super) was_whole: bool,
    pub(super) boot: u64,
    pub(super) is_clean: bool,
    pub(super) position: Option<Position>,
}

impl Disk {
    pub(super) fn new(node: NodeId) -> Self {
        Self {
            node,
            start: 0,
            bytes: Vec::new(),
            synced_to: 0,
            history: History::default(),
            connected: Vec::new(),
            before: Before::Nothing,
            was_whole: true,
            boot: 0,
            is_clean: true,
            position: None,
        }
    }

    pub(super) fn end(&self) -> u64 {
        self.start + self.bytes.len() as u64
    }

    pub(super) fn log(&self) -> Log {
        Log { history: self.history.clone(), start: self.start, end: self.end() }
    }

    pub(super) fn newest_slice_start(&self) -> u64 {
        self.end().saturating_sub(1) / SLICE * SLICE
    }

    pub(super) fn at(&self, offset: u64) -> Option<Byte> {
        let place = usize::try_from(offset.checked_sub(self.start)?).unwrap();
        self.bytes.get(place).copied()
    }

    pub(super) fn truncate(&mut self, end: u64) {
        self.bytes.truncate(usize::try_from(end.saturating_sub(self.start)).unwrap());
        self.synced_to = self.synced_to.min(self.end());
    }
}

/// One end of a connection to somebody's HA port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) connection: u64,
    pub(super) host: usize,
    pub(super) incarnation: u64,
}

#[derive(Debug)]
pub(super) struct Served {
    pub(super) link: Link,
    /// What is sent next; nothing before the first report.
    pub(super) next: Option<u64>,
    pub(super) acknowledged: u64,
    pub(super) heard: u64,
}

/// What an outstanding question is for.
#[derive(Clone, Debug)]
pub(super) enum Why {
    Start(usize),
    StartTables(usize),
    /// With the connection that it is for, as below.
    Fetch(u64),
    Handshake(u64),
    HandshakeCompare(u64, PeerView),
    Rival,
    Positions(u64),
}

#[derive(Debug)]
pub(super) struct Fetch {
    pub(super) peer: usize,
    pub(super) link: Link,
    pub(super) to: u64,
    pub(super) adopt: History,
    pub(super) expected: History,
    pub(super) adopted: bool,
    pub(super) heard: u64,
}

#[derive(Debug)]
pub(super) struct Starting {
    pub(super) step: StartStep,
    /// The host of each peer.
    pub(super) peers: Vec<usize>,
    /// What was answered last, by peers that were not silent since.
    pub(super) views: BTreeMap<usize, Log>,
    pub(super) fetch: Option<Fetch>,
    pub(super) waiting: Option<Waiting>,
    /// The greatest position that was taken.
    pub(super) taken: Option<Position>,
}

#[derive(Debug)]
pub(super) enum Stage {
    Idle,
    Opening(Link),
    Asking(Link),
    Streaming { link: Link, master_end: u64 },
    Stuck(Follow),
}

#[derive(Debug)]
pub(super) enum Role {
    Starting(Box<Starting>),
    Master { epoch: Epoch, writer: Option<usize>, since: u64 },
    Yielded,
    Down(StayDown),
    Slave { stage: Stage, at: u64 },
}

#[derive(Debug)]
pub(super) struct Process {
    pub(super) incarnation: u64,
    pub(super) started: u64,
    pub(super) offsets: ConsumerOffsets,
    pub(super) served: BTreeMap<u64, Served>,
    pub(super) role: Role,
    pub(super) asks: BTreeMap<u64, (Why, u64)>,
    pub(super) unacknowledged: Vec<(u64, Byte)>,
    pub(super) sync: bool,
    pub(super) beats: u64,
}

impl Process {
    pub(super) fn position(&self) -> Option<Position> {
        self.offsets.positions().first().map(|(_, position)| *position)
    }
}

/// One machine.
#[derive(Debug)]
pub(super) struct Host {
    pub(super) disk: Disk,
    pub(super) backup: Option<Disk>,
    pub(super) process: Option<Process>,
    pub(super) is_master: bool,
    pub(super) boot: u64,
    /// Thousandths of its clock's speed.
    pub(super) rate: u64,
    pub(super) is_gone: bool,
}

impl World {
    /// Starts the process of a host.
    pub(super) fn start(&mut self, host: usize) {
        if self.hosts[host].process.is_some() || self.hosts[host].is_gone {
            return;
        }
        let (incarnation, nonce) = (self.next_id(), self.rng.below(1 << 32));
        let this = &mut self.hosts[host];
        let disk = &mut this.disk;
        disk.was_whole &= disk.is_clean || disk.boot == this.boot;
        disk.is_clean = false;
        let offsets = ConsumerOffsets::default();
        if let Some(position) = disk.position {
            offsets.merge(QUEUE.0, QUEUE.1, QUEUE.2, position, usize::MAX);
        }
        offsets.clamp(|_, _| disk.end());
        let role = Role::Slave { stage: Stage::Idle, at: self.now };
        self.hosts[host].process = Some(Process {
            incarnation,
            started: self.now,
            offsets,
            served: BTreeMap::new(),
            role,
            asks: BTreeMap::new(),
            unacknowledged: Vec::new(),
            sync: self.sync,
            beats: 0,
        });
        self.tick_later(host);
        if self.hosts[host].is_master {
            self.start_as_master(host, u32::try_from(nonce).unwrap());
        }
    }

    pub(super) fn start_as_master(&mut self, host: usize, nonce: u32) {
        let disk = &self.hosts[host].disk;
        let hosts: Vec<usize> = (0..self.hosts.len()).filter(|peer| *peer != host).collect();
        let known = |peer: &usize| {
            let listed = disk.connected.iter().find(|(host, _)| host == peer);
            KnownPeer {
                name: format!("host {peer}"),
                node: listed.map(|(_, node)| *node),
                was_connected: listed.is_some(),
            }
        };
        let (step, actions) = StartStep::new(Start {
            log: disk.log(),
            segment_bytes: SEGMENT_BYTES,
            node: disk.node,
            nonce,
            before: disk.before,
            is_whole: disk.was_whole,
            sync: self.sync,
            start_without_slave_after: self.limit(),
            peers: hosts.iter().map(known).collect(),
        });
        let starting = Starting {
            step,
            peers: hosts,
            views: BTreeMap::new(),
            fetch: None,
            waiting: None,
            taken: None,
        };
        self.process(host).role = Role::Starting(Box::new(starting));
        self.act(host, actions);
    }

    /// Of a host that is known to run.
    pub(super) fn process(&mut self, host: usize) -> &mut Process {
        self.hosts[host].process.as_mut().unwrap()
    }

    pub(super) fn view(&self, host: usize) -> PeerView {
        let this = &self.hosts[host];
        let role = match this.process.as_ref().unwrap().role {
            Role::Starting(_) => PeerRole::Starting,
            Role::Master { .. } => PeerRole::Master,
            Role::Slave { .. } => PeerRole::Slave,
            Role::Yielded | Role::Down(_) => PeerRole::Down,
        };
        let (node, log) = (Some(this.disk.node), this.disk.log());
        PeerView { node, role, segment_bytes: SEGMENT_BYTES, log }
    }

    pub(super) fn ask(
        &mut self,
        host: usize,
        peer: usize,
        why: Why,
        question: impl FnOnce(u64) -> Message,
    ) {
        let ask = self.next_id();
        let deadline = self.now + ASK_TIMEOUT;
        self.process(host).asks.insert(ask, (why, deadline));
        self.send(host, peer, None, question(ask));
    }

    // The start step.

    pub(super) fn starting(&mut self, host: usize) -> Option<&mut Starting> {
        match &mut self.process(host).role {
            Role::Starting(starting) => Some(starting),
            _ => None,
        }
    }

    pub(super) fn on_step(&mut self, host: usize, event: Event) {
        let elapsed = (self.now - self.process(host).started) * self.hosts[host].rate / 1_000;
        let Some(starting) = self.starting(host) else { return };
        match &event {
            Event::Answered { peer, view } => {
                starting.views.insert(*peer, view.log.clone());
            }
            Event::Silent { peer } => {
                starting.views.remove(peer);
            }
            _ => {}
        }
        let actions = starting.step.on(Duration::from_millis(elapsed), event);
        self.act(host, actions);
    }

    pub(super) fn act(&mut self, host: usize, actions: Vec<Action>) {
        for action in actions {
            let Some(starting) = self.starting(host) else { return };
            let peers = starting.peers.clone();
            match action {
                Action::Ask { peer } => {
                    let by = Some((self.hosts[host].disk.node, Asker::Starting));
                    let question = |ask| Message::Ask { ask, by };
                    self.ask(host, peers[peer], Why::Start(peer), question);
                }
                Action::Compare { peer, below } => {
                    let byte = self.hosts[host].disk.at(below - 1);
                    let question = |ask| Message::Compare { ask, below, byte };
                    self.ask(host, peers[peer], Why::Start(peer), question);
                }
                Action::TakeTables { peer } => {
                    let question = |ask| Message::Tables { ask, push: None };
                    self.ask(host, peers[peer], Why::StartTables(peer), question);
                }
                Action::Fetch { peer, to, adopt } => {
                    self.count("fetches");
                    let link = self.open(host, peers[peer]);
                    let heard = self.now;
                    let starting = self.starting(host).unwrap();
                    let expected = starting.views[&peer].history.clone();
                    let adopted = false;
                    starting.fetch =
                        Some(Fetch { peer, link, to, adopt, expected, adopted, heard });
                }
                Action::Begin { history } => self.begin(host, history),
                Action::StayDown { reason } => {
                    self.count("stays down");
                    self.note(|| format!("host {host} stays down: {reason}"));
                    self.process(host).role = Role::Down(reason);
                }
                Action::Wait { waiting } => starting.waiting = Some(waiting),
            }
        }
    }

    pub(super) fn begin(&mut self, host: usize, history: History) {
        let epoch = *history.last().unwrap();
        self.note(|| format!("host {host} begins {epoch}"));
        self.count("epochs");
        let starting = self.starting(host).unwrap();
        let (taken, views) = (starting.taken, std::mem::take(&mut starting.views));
        self.check_history(host, &history, views.values());
        let disk = &mut self.hosts[host].disk;
        (disk.history, disk.before, disk.was_whole) = (history, Before::Master, true);
        self.process(host).role = Role::Master { epoch, writer: None, since: self.now };
        self.registered = Some(host);
        self.check_begun(host, taken);
    }

    pub(super) fn end_fetch(&mut self, host: usize) {
        let end = self.hosts[host].disk.end();
        let Some(fetch) = self.starting(host).and_then(|starting| starting.fetch.take()) else {
            return;
        };
        let (link, adopted) = (fetch.link, fetch.adopted);
        let is_done = end >= fetch.to;
        if !is_done {
            self.starting(host).unwrap().views.remove(&fetch.peer);
        }
        self.send(host, link.host, Some(link.incarnation), Message::Close(link.connection));
        self.on_step(host, Event::Fetched { peer: fetch.peer, end, adopted, is_done });
    }

    // A slave.

    pub(super) fn open(&mut self, host: usize, server: usize) -> Link {
        let connection = self.next_id();
        let incarnation = self.hosts[server].process.as_ref().map_or(0, |one| one.incarnation);
        self.send(host, server, Some(incarnation), Message::Open(connection));
        Link { connection, host: server, incarnation }
    }

    pub(super) fn enter(&mut self, host: usize, stage: Stage) {
        let at = self.now;
        self.process(host).role = Role::Slave { stage, at };
    }

    pub(super) fn leave(&mut self, host: usize, link: Link, stage: Stage) {
        self.send(host, link.host, Some(link.incarnation), Message::Close(link.connection));
        self.enter(host, stage);
    }

    pub(super) fn handshaken(
        &mut self,
        host: usize,
        connection: u64,
        view: PeerView,
        compared: Option<Compared>,
    ) {
        let link = match self.process(host).role {
            Role::Slave { stage: Stage::Asking(link), .. } if link.connection == connection => link,
            _ => return,
        };
        let disk = &self.hosts[host].disk;
        let own = OwnLog {
            log: disk.log(),
            segment_bytes: SEGMENT_BYTES,
            newest_slice_start: disk.newest_slice_start(),
        };
        let decision = follow(&own, &view, compared);
        let adopt = match decision {
            Follow::Stream { adopt } => adopt,
            Follow::Cut { to, adopt } => {
                self.count("cuts");
                self.check_cut(host, to, view.log.history.last().unwrap());
                self.cut(host, to);
                if self.rng.one_in(8) {
                    self.crash(host, true);
                    return;
                }
                adopt
            }
            Follow::CompareRecord { below } => {
                let byte = self.hosts[host].disk.at(below - 1);
                let question = |ask| Message::Compare { ask, below, byte };
                return self.ask(
                    host,
                    link.host,
                    Why::HandshakeCompare(connection, view),
                    question,
                );
            }
            Follow::NotAMaster => return self.leave(host, link, Stage::Idle),
            stuck => {
                self.count(kind(&stuck));
                self.note(|| format!("host {host} does not follow {}: {stuck:?}", link.host));
                return self.leave(host, link, Stage::Stuck(stuck));
            }
        };
        self.check_adopted(host, &adopt);
        self.adopt(host, adopt);
        let disk = &mut self.hosts[host].disk;
        disk.before = Before::Slave;
        disk.connected = vec![(link.host, view.node.unwrap())];
        self.enter(host, Stage::Streaming { link, master_end: view.log.end });
        self.caught_up(host);
        self.report(host, link);
    }

    pub(super) fn cut(&mut self, host: usize, to: u64) {
        self.note(|| format!("host {host} cuts to {to}"));
        self.hosts[host].disk.truncate(to);
        let to = i64::try_from(to).unwrap();
        let this = &mut self.hosts[host];
        let offsets = &this.process.as_ref().unwrap().offsets;
        if offsets.query(QUEUE.0, QUEUE.1, QUEUE.2).is_some_and(|offset| offset > to) {
            offsets.take(QUEUE.0, QUEUE.1, QUEUE.2, to);
            this.disk.position = this.process.as_ref().unwrap().position();
        }
        if let Some(Position { offset: Some(offset), .. }) = &mut this.disk.position {
            *offset = to.min(*offset);
        }
        self.drop_served(host);
        self.forget_positions(host);
    }

    pub(super) fn adopt(&mut self, host: usize, history: History) {
        if self.hosts[host].disk.history != history {
            self.note(|| format!("host {host} adopts {history:?}"));
            self.hosts[host].disk.history = history;
            self.drop_served(host);
        }
        self.check_log(host, 0);
    }

    pub(super) fn drop_served(&mut self, host: usize) {
        for served in std::mem::take(&mut self.process(host).served).into_values() {
            let link = served.link;
            self.send(host, link.host, Some(link.incarnation), Message::Close(link.connection));
        }
    }

    pub(super) fn report(&mut self, host: usize, link: Link) {
        let disk = &self.hosts[host].disk;
        let end = (disk.end() > 0).then(|| disk.end());
        let report = Message::Report { connection: link.connection, end };
        self.send(host, link.host, Some(link.incarnation), report);
    }

    /// Notes that nothing can be missing when the log is as far as the master's was.
    pub(super) fn caught_up(&mut self, host: usize) {
        let end = self.hosts[host].disk.end();
        if let Role::Slave { stage: Stage::Streaming { master_end, .. }, .. } =
            self.process(host).role
            && end >= master_end
        {
            self.hosts[host].disk.was_whole = true;
        }
    }

    /// Bytes of somebody's log arrive.
    pub(super) fn batch(&mut self, host: usize, connection: u64, at: u64, mut bytes: Vec<Byte>) {
        let now = self.now;
        let link = match &mut self.process(host).role {
            Role::Slave { stage: Stage::Streaming { link, .. }, at } => {
                *at = now;
                *link
            }
            Role::Starting(starting) => match &mut starting.fetch {
                Some(fetch) => {
                    fetch.heard = now;
                    let room = usize::try_from(fetch.to.saturating_sub(at)).unwrap();
                    bytes.truncate(room);
                    fetch.link
                }
                None => return,
            },
            _ => return,
        };
        if link.connection != connection {
            return;
        }
        let disk = &mut self.hosts[host].disk;
        if disk.end() == 0 && !bytes.is_empty() {
            (disk.start, disk.synced_to) = (at, at);
        }
        let end = disk.end();
        if at != end && !bytes.is_empty() {
            return self.closed(host, connection);
        }
        disk.bytes.extend(bytes);
        self.check_log(host, end);
        self.check_prefix(host, link, end);
        self.caught_up(host);
        let end = self.hosts[host].disk.end();
        let fetch = self.starting(host).and_then(|starting| starting.fetch.as_ref());
        if fetch.is_some_and(|fetch| end >= fetch.to) {
            self.end_fetch(host);
        } else {
            self.report(host, link);
        }
    }

    pub(super) fn closed(&mut self, host: usize, connection: u64) {
        self.process(host).served.remove(&connection);
        match &self.process(host).role {
            Role::Slave { stage, .. } => match stage {
                Stage::Opening(link) | Stage::Asking(link) | Stage::Streaming { link, .. }
                    if link.connection == connection =>
                {
                    let link = *link;
                    self.leave(host, link, Stage::Idle);
                }
                _ => {}
            },
            Role::Starting(starting) => {
                let is_it = |fetch: &Fetch| fetch.link.connection == connection;
                if starting.fetch.as_ref().is_some_and(is_it) {
                    self.end_fetch(host);
                }
            }
            _ => {}
        }
    }
}

/// Why a slave does not follow, for counting.
fn kind(stuck: &Follow) -> &'static str {
    match stuck {
        Follow::BehindMinimum { .. } => "behind minimum",
        Follow::Conflict { reason } => match reason {
            Conflict::Unrelated { .. } => "conflict: unrelated",
            Conflict::OtherRecord { .. } => "conflict: other record",
            Conflict::Longer { .. } => "conflict: longer",
            Conflict::StaleMaster { .. } => "conflict: stale master",
            Conflict::NotOlder { .. } => "conflict: not older",
            Conflict::Sync { .. } => "conflict: sync",
            Conflict::TooMuch { .. } => "conflict: too much",
        },
        _ => "other",
    }
}
