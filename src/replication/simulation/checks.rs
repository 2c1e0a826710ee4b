//! What must hold in a simulated group, after each step and in the end.
//!
//! Changes nothing; the first violation ends the run.

use super::super::decide::Follow;
use super::super::history::{Epoch, History, Log};
use super::host::{Byte, Host, Link, Role, Stage};
use super::{Fault, RIVALS, World};
use crate::store::tables::Position;

impl World {
    pub(super) fn violate(&mut self, text: String) {
        self.note(|| format!("VIOLATION: {text}"));

        self.violation.get_or_insert(text);
    }

    /// Before a slave cuts in favour of a master with that last epoch.
    pub(super) fn check_cut(&mut self, host: usize, to: u64, master: &Epoch) {
        let disk = &self.hosts[host].disk;
        let written = (to..disk.end()).map(|offset| self.writers[disk.at(offset).unwrap().writer]);
        let last = written.map(|epoch| epoch.rank()).max();
        if last >= Some(master.rank()) {
            self.violate(format!("host {host} cuts what is not older than {master}"));
        }
        if to < self.hosts[host].disk.newest_slice_start() {
            self.violate(format!("host {host} cuts to {to}, below its newest slice"));
        }
        let disk = &self.hosts[host].disk;
        let is_cut =
            |(offset, byte): &&(u64, Byte)| *offset >= to && disk.at(*offset) == Some(*byte);
        if let Some((offset, _)) = self.acknowledged.iter().find(is_cut).copied() {
            self.violate(format!(
                "host {host} cuts to {to}: an acknowledged message at {offset} goes"
            ));
        }
    }

    /// Before a slave takes over a history.
    pub(super) fn check_adopted(&mut self, host: usize, history: &History) {
        let promotions = |history: &History| history.last().map(|epoch| epoch.number.promotions);
        let disk = &self.hosts[host].disk;
        if disk.end() > 0 && promotions(history) < promotions(&disk.history) {
            self.violate(format!("host {host} goes back to the master of {history:?}"));
        }
    }

    /// Before a master begins: later messages that it was told of are in its log, and its number is a new one.
    pub(super) fn check_history<'a>(
        &mut self,
        host: usize,
        history: &History,
        answers: impl Iterator<Item = &'a Log>,
    ) {
        let (begun, kept) = history.epochs().split_last().unwrap();
        let own = self.hosts[host].disk.history.last().map(Epoch::rank);
        for log in answers {
            let number = log.history.last().map(|epoch| epoch.number);
            if number >= Some(begun.number) {
                self.violate(format!("host {host} begins {begun}, but was told of {number:?}"));
            }
            let has_bytes =
                |epoch: &&Epoch| log.history.at(log.end.saturating_sub(1)) == Some(epoch);
            let last = log.history.epochs().iter().find(has_bytes);
            if let Some(last) = last.filter(|last| !log.is_empty() && Some(last.rank()) > own)
                && !kept.contains(last)
            {
                self.violate(format!("host {host} begins beside the messages of {last}"));
            }
        }
    }

    /// Long after everything was healed.
    pub(super) fn check_rivals(&mut self) {
        let serves = |host: &&Host| {
            let role = host.process.as_ref().map(|process| &process.role);
            matches!(role, Some(Role::Master { since, .. }) if self.now - since > RIVALS / 2)
        };
        if self.hosts.iter().filter(serves).count() > 1 {
            self.violate("two masters serve".to_owned());
        }
    }

    pub(super) fn check_begun(&mut self, host: usize, taken: Option<Position>) {
        let has_excuse = self.sync_limit.is_some()
            || self.has_happened(&[Fault::ReplaceDisk, Fault::Restore, Fault::Resync])
            || self.has_happened(&[Fault::LoseHost, Fault::ChangeMode])
            || (self.hosts.len() > 2 && self.has_happened(&[Fault::Promote]));
        let disk = &self.hosts[host].disk;
        let is_missing = |(offset, byte): &&(u64, Byte)| {
            let lives = |other: &Host| other.disk.at(*offset) == Some(*byte);
            *offset >= disk.start && disk.at(*offset) != Some(*byte) && self.hosts.iter().any(lives)
        };
        let missing = self.acknowledged.iter().find(is_missing).copied();
        if let Some((offset, _)) = missing.filter(|_| !has_excuse) {
            self.violate(format!("host {host} begins without an acknowledged message at {offset}"));
        }
        let position = self.process(host).position();
        if position < taken {
            self.violate(format!("host {host} begins at {position:?}, but took {taken:?}"));
        }
        self.check_log(host, 0);
    }

    pub(super) fn check_log(&mut self, host: usize, from: u64) {
        let disk = &self.hosts[host].disk;
        let claims = |offset: &u64| {
            let byte = disk.at(*offset).unwrap();
            disk.history.at(*offset) == Some(&self.writers[byte.writer])
        };
        if let Some(offset) = (from.max(disk.start)..disk.end()).find(|offset| !claims(offset)) {
            let (claimed, byte) = (disk.history.at(offset).copied(), disk.at(offset).unwrap());
            let written = self.writers[byte.writer];
            self.violate(format!(
                "host {host}: the byte at {offset} is said to be of {claimed:?}, but is of {written}"
            ));
        }
    }

    pub(super) fn check_prefix(&mut self, host: usize, link: Link, from: u64) {
        let (ours, theirs) = (&self.hosts[host].disk, &self.hosts[link.host]);
        let runs = theirs.process.as_ref().is_some_and(|one| one.incarnation == link.incarnation);
        let differs = |offset: &u64| {
            *offset >= theirs.disk.start && ours.at(*offset) != theirs.disk.at(*offset)
        };
        let found = (from..ours.end()).find(differs);
        if let Some(offset) = found.filter(|_| runs) {
            self.violate(format!(
                "host {host} has another byte at {offset} than host {}",
                link.host
            ));
        }
    }

    pub(super) fn check_yield(&mut self, host: usize) {
        let is_copy = self.has_happened(&[Fault::ReplaceDisk, Fault::Restore, Fault::Resync]);
        if self.promotions == 1 && self.promoted == Some(host) && !is_copy {
            self.violate(format!("host {host} was promoted, but yields"));
        }
    }

    /// What a crash or a cut did to positions is not held against what follows.
    pub(super) fn forget_positions(&mut self, host: usize) {
        self.positions[host] = None;
    }

    pub(super) fn check_positions(&mut self) {
        for host in 0..self.hosts.len() {
            let Some(process) = &self.hosts[host].process else { continue };
            let Some(now) = process.position() else { continue };
            let end = i64::try_from(self.hosts[host].disk.end()).unwrap();
            if self.positions[host].is_some_and(|before| now < before) {
                self.violate(format!(
                    "host {host}: position {now:?} after {:?}",
                    self.positions[host]
                ));
            }
            if now.offset.is_some_and(|offset| offset > end) {
                self.violate(format!(
                    "host {host}: position {now:?} is beyond the log's end {end}"
                ));
            }
            if now.generation > self.resets {
                self.violate(format!("host {host}: {now:?} after {} resets", self.resets));
            }
            self.positions[host] = Some(now);
        }
    }

    pub(super) fn check_end(&mut self) {
        let is_master = |host: &Host| {
            host.process.as_ref().is_some_and(|one| matches!(one.role, Role::Master { .. }))
        };
        let master = self.hosts.iter().position(is_master);
        let is_lost = self.hosts.iter().any(|host| host.is_gone);
        let mut named = Vec::new();
        for host in 0..self.hosts.len() {
            let Some(process) = &self.hosts[host].process else { continue };
            let unwell = match &process.role {
                Role::Master { .. } => None,
                Role::Yielded => Some("has yielded".to_owned()),
                Role::Down(reason) => {
                    named.push(reason.to_string());
                    None
                }
                Role::Starting(starting) => {
                    let waiting = starting.waiting.as_ref();
                    named.push(waiting.map(ToString::to_string).unwrap_or_default());
                    let told = is_lost && waiting.is_some_and(|waiting| waiting.forever);
                    (!told).then(|| format!("still starts: {waiting:?}"))
                }
                Role::Slave { stage: Stage::Stuck(Follow::BehindMinimum { .. }), .. } => None,
                Role::Slave { stage: Stage::Stuck(reason), .. } => {
                    named.push(format!("{reason:?}"));
                    None
                }
                Role::Slave { stage: Stage::Streaming { link, .. }, .. }
                    if Some(link.host) == master =>
                {
                    let theirs = &self.hosts[link.host];
                    let is_equal = theirs.disk.end() == self.hosts[host].disk.end()
                        && theirs.process.as_ref().unwrap().position() == process.position();
                    (!is_equal).then(|| "is not in sync".to_owned())
                }
                Role::Slave { stage, .. } => master.map(|_| format!("is at {stage:?}")),
            };
            if let Some(unwell) = unwell {
                return self.violate(format!("in the end host {host} {unwell}"));
            }
        }
        self.count(if named.is_empty() { "runs that ended well" } else { "runs that ended named" });
        let harmless = [Fault::Kill, Fault::Stop, Fault::Partition, Fault::Backup];
        let power = [Fault::PowerCut, Fault::PowerCutOfAll];
        let waits_for_all = self.sync && self.sync_limit.is_none();
        let is_harmless = self
            .happened
            .iter()
            .all(|fault| harmless.contains(fault) || (waits_for_all && power.contains(fault)));
        if is_harmless && !named.is_empty() {
            self.violate(format!("nothing but harmless faults, but: {named:?}"));
        }
    }

    pub(super) fn has_happened(&self, faults: &[Fault]) -> bool {
        faults.iter().any(|fault| self.happened.contains(fault))
    }
}
