//! What a simulated node does for others, and when: its messages, what senders and slaves get, and its every second.
//!
//! Not what it decides about its own log, which is in `host`.

use super::super::decide::*;
use super::super::start_step::*;
use super::host::{
    BATCH_MAX, Byte, Disk, Fetch, Host, KEPT, Link, QUEUE, Role, SILENCE_MAX, SLICE, Served, Stage,
    Why,
};
use super::{Asker, Message, World};
use crate::store::tables::Position;

impl World {
    // A master, or whoever lets others copy.

    /// A sender's message.
    pub(super) fn append(&mut self, host: usize, wait_for_slave: bool) {
        let Role::Master { epoch, writer, since } = self.process(host).role else { return };
        let writer = writer.unwrap_or_else(|| self.new_writer(epoch));
        self.process(host).role = Role::Master { epoch, writer: Some(writer), since };
        let byte = Byte { writer, message: self.next_id() };
        let disk = &mut self.hosts[host].disk;
        let offset = disk.end();
        disk.bytes.push(byte);
        self.check_log(host, offset);
        if self.process(host).sync && wait_for_slave {
            self.process(host).unacknowledged.push((offset, byte));
        }
        self.push(host);
    }

    pub(super) fn push(&mut self, host: usize) {
        let Host { disk, process, .. } = &mut self.hosts[host];
        let mut batches = Vec::new();
        for served in process.as_mut().unwrap().served.values_mut() {
            let Some(next) = served.next.as_mut().filter(|next| **next >= disk.start) else {
                continue;
            };
            let to = disk.end().min(*next + BATCH_MAX);
            let bytes: Vec<Byte> = (*next..to).filter_map(|offset| disk.at(offset)).collect();
            if !bytes.is_empty() {
                let connection = served.link.connection;
                batches.push((served.link, Message::Batch { connection, at: *next, bytes }));
                *next = to;
            }
        }
        for (link, batch) in batches {
            self.send(host, link.host, Some(link.incarnation), batch);
        }
    }

    pub(super) fn reported(&mut self, host: usize, connection: u64, end: Option<u64>) {
        let now = self.now;
        let Host { disk, process, .. } = &mut self.hosts[host];
        let process = process.as_mut().unwrap();
        let Some(served) = process.served.get_mut(&connection) else { return };
        served.heard = now;
        let next = *served.next.get_or_insert(end.unwrap_or(disk.start));
        if next < disk.start || next > disk.end() {
            let link = served.link;
            process.served.remove(&connection);
            return self.send(host, link.host, Some(link.incarnation), Message::Close(connection));
        }
        served.acknowledged = served.acknowledged.max(end.unwrap_or(0).min(next));
        if matches!(process.role, Role::Master { .. }) {
            let to = process.served.values().map(|one| one.acknowledged).max().unwrap_or(0);
            let pending = std::mem::take(&mut process.unacknowledged);
            let (done, rest) = pending.into_iter().partition(|(offset, _)| *offset < to);
            process.unacknowledged = rest;
            self.acknowledge(done);
        }
        self.push(host);
    }

    // What comes over the network.

    pub(super) fn received(&mut self, host: usize, from: Link, message: Message) {
        let reply = |world: &mut Self, message| {
            world.send(host, from.host, Some(from.incarnation), message);
        };
        match message {
            Message::Ask { ask, by } => {
                let Host { disk: Disk { connected, .. }, process, .. } = &mut self.hosts[host];
                match (&process.as_ref().unwrap().role, by) {
                    (Role::Master { .. }, Some((node, Asker::Slave))) => {
                        connected.retain(|(peer, _)| *peer != from.host);
                        connected.push((from.host, node));
                    }
                    (
                        Role::Slave { stage: Stage::Streaming { link, .. }, .. },
                        Some((node, Asker::Starting)),
                    ) if connected.contains(&(link.host, node)) => {
                        let link = *link;
                        self.leave(host, link, Stage::Idle);
                    }
                    _ => {}
                }
                let view = self.view(host);
                reply(self, Message::Answer { ask, view });
            }
            Message::Compare { ask, below, byte } => {
                let is_equal = byte.is_some() && self.hosts[host].disk.at(below - 1) == byte;
                reply(self, Message::Compared { ask, is_equal });
            }
            Message::Tables { ask, push } => {
                if matches!(self.process(host).role, Role::Master { .. }) {
                    self.merge(host, push);
                }
                let (position, end) = (self.process(host).position(), self.hosts[host].disk.end());
                reply(self, Message::TablesAnswer { ask, position, end });
            }
            Message::Open(connection) => {
                let role = &self.process(host).role;
                if !matches!(role, Role::Starting(_) | Role::Yielded) {
                    let (link, heard) = (Link { connection, ..from }, self.now);
                    let served = Served { link, next: None, acknowledged: 0, heard };
                    self.process(host).served.insert(connection, served);
                    reply(self, Message::Opened(connection));
                } else {
                    reply(self, Message::Close(connection));
                }
            }
            Message::Opened(connection) => self.opened(host, connection),
            Message::Report { connection, end } => self.reported(host, connection, end),
            Message::Batch { connection, at, bytes } => self.batch(host, connection, at, bytes),
            Message::Close(connection) => self.closed(host, connection),
            Message::Answer { ask, .. }
            | Message::Compared { ask, .. }
            | Message::TablesAnswer { ask, .. } => {
                if let Some((why, _)) = self.process(host).asks.remove(&ask) {
                    self.answered(host, why, message);
                }
            }
        }
    }

    pub(super) fn opened(&mut self, host: usize, connection: u64) {
        match &self.process(host).role {
            Role::Slave { stage: Stage::Opening(link), .. } if link.connection == connection => {
                let (link, node) = (*link, self.hosts[host].disk.node);
                self.enter(host, Stage::Asking(link));
                let question = |ask| Message::Ask { ask, by: Some((node, Asker::Slave)) };
                self.ask(host, link.host, Why::Handshake(connection), question);
            }
            Role::Starting(starting) => {
                let Some(fetch) = &starting.fetch else { return };
                if fetch.link.connection == connection {
                    let peer = fetch.link.host;
                    self.ask(host, peer, Why::Fetch(connection), |ask| Message::Ask {
                        ask,
                        by: None,
                    });
                }
            }
            _ => {}
        }
    }

    pub(super) fn answered(&mut self, host: usize, why: Why, message: Message) {
        match (why, message) {
            (Why::Start(peer), Message::Answer { view, .. }) => {
                self.on_step(host, Event::Answered { peer, view });
            }
            (Why::Start(peer), Message::Compared { is_equal, .. }) => {
                let compared = if is_equal { Compared::Equal } else { Compared::Different };
                self.on_step(host, Event::Compared { peer, compared });
            }
            (Why::StartTables(peer), Message::TablesAnswer { position, .. }) => {
                if let Some(taken) = self.merge(host, position)
                    && let Some(starting) = self.starting(host)
                {
                    starting.taken = starting.taken.max(Some(taken));
                }
                self.on_step(host, Event::TablesTaken { peer });
            }
            (Why::Fetch(connection), Message::Answer { view, .. }) => {
                let fetch = self.starting(host).and_then(|one| one.fetch.as_mut());
                let Some(fetch) = fetch.filter(|fetch| fetch.link.connection == connection) else {
                    return;
                };
                if view.log.history == fetch.expected && view.log.end >= fetch.to {
                    let (link, adopt) = (fetch.link, fetch.adopt.clone());
                    fetch.adopted = true;
                    self.adopt(host, adopt);
                    self.report(host, link);
                } else {
                    self.end_fetch(host);
                }
            }
            (Why::Handshake(connection), Message::Answer { view, .. }) => {
                self.handshaken(host, connection, view, None);
            }
            (Why::HandshakeCompare(connection, view), Message::Compared { is_equal, .. }) => {
                let compared = if is_equal { Compared::Equal } else { Compared::Different };
                self.handshaken(host, connection, view, Some(compared));
            }
            (Why::Rival, Message::Answer { view, .. }) => self.met(host, &view),
            (Why::Positions(connection), Message::TablesAnswer { position, end, .. }) => {
                let has_all = self.hosts[host].disk.end() >= end;
                if let Role::Slave { stage: Stage::Streaming { link, .. }, .. } =
                    self.process(host).role
                    && link.connection == connection
                    && has_all
                {
                    self.merge(host, position);
                }
            }
            (why, message) => unreachable!("{why:?} is not answered by {message:?}"),
        }
    }

    pub(super) fn met(&mut self, host: usize, other: &PeerView) {
        let Role::Master { epoch, .. } = self.process(host).role else { return };
        let is_master = other.role == PeerRole::Master;
        let theirs = other.log.history.last().filter(|_| is_master);
        if theirs.is_some_and(|theirs| rival(&epoch, theirs) == Rival::Yield) {
            self.count("yields");
            self.note(|| format!("host {host} yields"));
            self.check_yield(host);
            self.process(host).role = Role::Yielded;
            self.process(host).unacknowledged.clear();
            self.drop_served(host);
        } else {
            self.registered = Some(host);
        }
    }

    /// Takes a position, unless it points to what is not here.
    pub(super) fn merge(&mut self, host: usize, theirs: Option<Position>) -> Option<Position> {
        let end = i64::try_from(self.hosts[host].disk.end()).unwrap();
        let theirs = theirs.filter(|theirs| theirs.offset.is_some_and(|offset| offset <= end))?;
        self.process(host).offsets.merge(QUEUE.0, QUEUE.1, QUEUE.2, theirs, usize::MAX);
        Some(theirs)
    }

    // Time.

    /// What a process does every second.
    pub(super) fn tick(&mut self, host: usize) {
        let now = self.now;
        let process = self.process(host);
        process.beats += 1;
        let beats = process.beats;
        let late: Vec<u64> = process
            .asks
            .iter()
            .filter(|(_, (_, deadline))| *deadline <= now)
            .map(|(ask, _)| *ask)
            .collect();
        for ask in late {
            let Some((why, _)) = self.process(host).asks.remove(&ask) else { continue };
            self.silent(host, why);
        }
        self.process(host).served.retain(|_, served| now - served.heard < SILENCE_MAX);
        if beats.is_multiple_of(5) {
            self.checkpoint(host);
        }
        match &self.process(host).role {
            Role::Starting(starting) => {
                let is_silent = |fetch: &Fetch| now - fetch.heard >= SILENCE_MAX;
                if starting.fetch.as_ref().is_some_and(is_silent) {
                    self.end_fetch(host);
                }
                self.on_step(host, Event::Tick);
            }
            Role::Master { .. } => self.tick_master(host, beats),
            Role::Slave { .. } => self.tick_slave(host, beats),
            Role::Yielded | Role::Down(_) => {}
        }
    }

    pub(super) fn tick_master(&mut self, host: usize, beats: u64) {
        if !beats.is_multiple_of(4) {
            return;
        }
        match self.registered {
            Some(other) if other != host => {
                self.ask(host, other, Why::Rival, |ask| Message::Ask { ask, by: None });
            }
            _ => self.registered = Some(host),
        }
        // H-004: nothing before the first report.
        let served = self.process(host).served.values().filter(|one| one.next.is_some());
        let links: Vec<Link> = served.map(|one| one.link).collect();
        let end = self.hosts[host].disk.end();
        for link in links {
            let connection = link.connection;
            let beat = Message::Batch { connection, at: end, bytes: Vec::new() };
            self.send(host, link.host, Some(link.incarnation), beat);
        }
    }

    pub(super) fn tick_slave(&mut self, host: usize, beats: u64) {
        let (now, registered, is_quiet) = (self.now, self.registered, self.is_quiet());
        let Role::Slave { stage, at } = &self.process(host).role else { return };
        let since = now - *at;
        match stage {
            Stage::Stuck(_) if since < 30_000 || is_quiet => {}
            Stage::Idle | Stage::Stuck(_) => {
                if let Some(master) = registered.filter(|master| *master != host) {
                    let link = self.open(host, master);
                    self.enter(host, Stage::Opening(link));
                }
            }
            Stage::Opening(link) | Stage::Asking(link) if since > 3_000 => {
                let link = *link;
                self.leave(host, link, Stage::Idle);
            }
            Stage::Streaming { link, .. } if since > SILENCE_MAX => {
                let link = *link;
                self.leave(host, link, Stage::Idle);
            }
            Stage::Streaming { link, .. } if beats.is_multiple_of(3) => {
                let link = *link;
                let push = self.process(host).position();
                let why = Why::Positions(link.connection);
                self.ask(host, link.host, why, |ask| Message::Tables { ask, push });
                self.report(host, link);
            }
            _ => {}
        }
    }

    pub(super) fn silent(&mut self, host: usize, why: Why) {
        match why {
            Why::Start(peer) | Why::StartTables(peer) => self.on_step(host, Event::Silent { peer }),
            Why::Fetch(connection) => self.closed(host, connection),
            Why::Rival => self.registered = Some(host),
            Why::Handshake(connection) | Why::HandshakeCompare(connection, _) => {
                self.closed(host, connection);
            }
            Why::Positions(_) => {}
        }
    }

    /// Brings everything to the disk, and forgets slaves that are gone: they can have nothing that is not on it.
    pub(super) fn checkpoint(&mut self, host: usize) {
        let keeps_more = self.rng.below(10) > 0;
        let Host { disk, process, boot, .. } = &mut self.hosts[host];
        let process = process.as_ref().unwrap();
        (disk.synced_to, disk.boot) = (disk.end(), *boot);
        disk.position = process.position();
        if matches!(process.role, Role::Master { .. }) {
            let is_served = |peer| process.served.values().any(|one| one.link.host == peer);
            disk.connected.retain(|(peer, _)| is_served(*peer));
        }
        if !keeps_more && disk.end() - disk.start > KEPT {
            let to = disk.start + SLICE - disk.start % SLICE;
            disk.bytes.drain(..usize::try_from(to - disk.start).unwrap());
            disk.start = to;
        }
    }
}
