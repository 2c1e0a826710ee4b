//! How the roles of a node are: one line for the service manager and the terminal, and metrics of each broker.
//!
//! Nothing is decided here. Invariants: a node whose every part does its work is `serving`, and every other one is
//! not; the line is one line.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::broker_role::{BrokerRole, Stage};
use crate::config::Role;
use crate::metrics::{GroupGauge, Metrics};
use crate::model::{human_bytes, human_seconds};
use crate::replication::{CopyState, Phase, SlaveState};

/// What is told when every part does its work.
const SERVING: &str = "serving";
/// What is told first when one does not.
const DEGRADED: &str = "degraded";

/// How a broker is.
#[derive(Clone, Debug)]
pub struct BrokerState {
    group: String,
    role: Role,
    stage: Stage,
    is_read_only: bool,
    /// How many slaves a sender waits for.
    in_sync_min: usize,
    /// Of a master.
    slaves: Vec<SlaveState>,
    /// Of a slave.
    copy: Option<CopyState>,
}

impl BrokerState {
    /// How a broker is now.
    pub fn of(broker: &BrokerRole) -> Self {
        let running = broker.running();
        let running = running.as_ref();
        Self {
            group: broker.settings.group.clone(),
            role: broker.settings.role,
            stage: broker.stage().borrow().clone(),
            is_read_only: running.as_ref().is_some_and(|running| running.store.is_read_only()),
            in_sync_min: running.as_ref().map_or(0, |running| running.store.options().in_sync_min),
            slaves: running.as_ref().map(|running| running.sender.slaves()).unwrap_or_default(),
            copy: running.and_then(|running| Some(running.receiver.as_ref()?.state())),
        }
    }

    /// What is wrong with it, if anything is.
    fn trouble(&self) -> Option<String> {
        match &self.stage {
            Stage::Down(reason) => return Some(format!("down: {reason}")),
            Stage::Starting(what) => return Some(what.clone()),
            Stage::Opening => return Some("its store is being opened".to_owned()),
            Stage::Registering | Stage::Serving | Stage::Stopped { .. } => {}
        }
        if self.is_read_only {
            return Some("read-only: the disk is full".to_owned());
        }
        if self.stage == Stage::Registering {
            return Some("no name server answers: clients do not find it".to_owned());
        }
        if self.slaves.len() < self.in_sync_min {
            let (there, wanted) = (self.slaves.len(), self.in_sync_min);
            return Some(format!("sync replication, but {there} of {wanted} slaves connected"));
        }
        let is_stopped = |phase| matches!(phase, Phase::Conflict | Phase::BehindMinimum);
        self.copy.as_ref().filter(|copy| is_stopped(copy.phase)).map(describe_copy)
    }

    /// What it does.
    fn work(&self) -> String {
        match &self.copy {
            Some(copy) => describe_copy(copy),
            None => describe_slaves(&self.slaves),
        }
    }

    fn named(&self, text: &str) -> String {
        format!("{} ({}): {text}", self.group, self.role)
    }
}

fn describe_slaves(slaves: &[SlaveState]) -> String {
    let count = match slaves.len() {
        0 => return "no slave".to_owned(),
        1 => "1 slave".to_owned(),
        count => format!("{count} slaves"),
    };
    let behind = slaves.iter().map(|slave| slave.behind_bytes).max().unwrap_or(0);
    let behind =
        if behind == 0 { String::new() } else { format!(", {} behind", human_bytes(behind)) };
    // Longer than slaves of 4.9 are silent that live (H-012).
    let silent = slaves.iter().map(|slave| slave.silent_for).max().unwrap_or_default();
    let silent = if silent <= SILENCE_TOLD {
        String::new()
    } else {
        format!(", silent for {}", human_seconds(silent.as_secs()))
    };
    count + &behind + &silent
}

/// Slaves that live say something every 5 s.
const SILENCE_TOLD: Duration = Duration::from_secs(10);

fn describe_copy(copy: &CopyState) -> String {
    let mut text = copy.phase.name().to_owned();
    if copy.phase == Phase::InSync {
        return text;
    }
    if let Some(behind) = copy.behind {
        text += &format!(", at most {} behind", human_seconds(behind.as_secs()));
    }
    if let Some(error) = &copy.last_error {
        text += &format!(" ({error})");
    }
    text
}

/// The line on all roles; `name_server_down` is why the name server is not there, `standalone` the address of a node that
/// no broker is configured for.
pub fn line(
    brokers: &[BrokerState],
    name_server_down: Option<&str>,
    standalone: Option<IpAddr>,
) -> String {
    let mut parts = Vec::new();
    if let Some(reason) = name_server_down {
        parts.push(format!("name server: down: {reason}"));
    }
    let troubles = |broker: &BrokerState| Some(broker.named(&broker.trouble()?));
    parts.extend(brokers.iter().filter_map(troubles));
    let head = if parts.is_empty() { SERVING } else { DEGRADED };
    let well = brokers.iter().filter(|broker| broker.trouble().is_none());
    parts.extend(well.map(|broker| broker.named(&broker.work())));
    parts.extend(standalone.map(|address| format!("standalone on {address}")));
    parts.insert(0, head.to_owned());
    let shown = |c: char| if c.is_control() { ' ' } else { c };
    parts.join("; ").chars().map(shown).collect()
}

/// Whether a line tells that every part does its work.
pub fn is_well(line: &str) -> bool {
    line.starts_with(SERVING)
}

/// Shows what brokers say of themselves as metrics.
pub fn show(brokers: &[Arc<BrokerRole>], metrics: &Metrics) {
    let show = |gauge: GroupGauge, read: fn(&BrokerRole) -> Option<u64>| {
        let brokers = brokers.to_vec();
        metrics.group_gauge(gauge, move || {
            let value = |one: &Arc<BrokerRole>| Some((one.settings.group.clone(), read(one)?));
            brokers.iter().filter_map(value).collect()
        });
    };
    show(GroupGauge::Down, |one| Some(matches!(*one.stage().borrow(), Stage::Down(_)).into()));
    show(GroupGauge::ReadOnly, |one| Some(one.running()?.store.is_read_only().into()));
    show(GroupGauge::DamagedPlaces, |one| {
        u64::try_from(one.running()?.store.damaged_places()).ok()
    });
    show(GroupGauge::Slaves, |one| u64::try_from(slaves(one)?.len()).ok());
    show(GroupGauge::SlaveBehindBytes, |one| {
        Some(slaves(one)?.iter().map(|slave| slave.behind_bytes).max().unwrap_or(0))
    });
    show(GroupGauge::SlaveSilentSeconds, |one| {
        Some(slaves(one)?.iter().map(|slave| slave.silent_for.as_secs()).max().unwrap_or(0))
    });
    show(GroupGauge::InSync, |one| Some((copy(one)?.phase == Phase::InSync).into()));
    show(GroupGauge::BehindSeconds, |one| Some(copy(one)?.behind?.as_secs()));
    show(GroupGauge::CopiedHoleBytes, |one| Some(copy(one)?.hole_bytes));
    show(GroupGauge::TimersDueSoon, |one| {
        u64::try_from(one.running()?.broker.timers_due_soon()?.0).ok()
    });
    show(GroupGauge::WaitingPulls, |one| u64::try_from(one.running()?.broker.waiting_pulls()).ok());
    show(GroupGauge::TimersLateSeconds, |one| {
        Some(one.running()?.broker.timers_due_soon()?.1.as_secs())
    });
}

/// The slaves of a master that is open.
fn slaves(broker: &BrokerRole) -> Option<Vec<SlaveState>> {
    let running = broker.running().filter(|_| broker.settings.role == Role::Master)?;
    Some(running.sender.slaves())
}

/// How a slave that is open copies.
fn copy(broker: &BrokerRole) -> Option<CopyState> {
    Some(broker.running()?.receiver.as_ref()?.state())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn broker(group: &str, role: Role) -> BrokerState {
        BrokerState {
            group: group.to_owned(),
            role,
            stage: Stage::Serving,
            is_read_only: false,
            in_sync_min: 0,
            slaves: Vec::new(),
            copy: None,
        }
    }

    fn slave(behind_bytes: u64, silent_s: u64) -> SlaveState {
        SlaveState {
            peer: "127.0.0.1:1".parse().unwrap(),
            address: None,
            is_plain: false,
            sent_to: 0,
            acknowledged_to: 0,
            behind_bytes,
            silent_for: Duration::from_secs(silent_s),
        }
    }

    fn copy(phase: Phase) -> CopyState {
        CopyState {
            phase,
            master: None,
            copied_to: 0,
            behind: Some(Duration::from_secs(65)),
            last_error: Some("the master\nis gone".to_owned()),
            hole_bytes: 0,
        }
    }

    #[test]
    fn a_pair_that_is_well_is_told_with_how_far_behind_its_slaves_are() {
        let mut master = broker("broker-a", Role::Master);
        let mut slave_here = broker("broker-b", Role::Slave);
        slave_here.copy = Some(copy(Phase::InSync));
        let text = line(&[master.clone(), slave_here.clone()], None, None);
        assert_eq!(text, "serving; broker-a (master): no slave; broker-b (slave): in sync");
        master.slaves = vec![slave(0, 1), slave(2048, 15)];
        slave_here.copy = Some(copy(Phase::Connecting));
        let text = line(&[master, slave_here], None, None);
        let expected = "serving; broker-a (master): 2 slaves, 2.0 KiB behind, silent for 15 s; \
                        broker-b (slave): connecting, at most 1 min 5 s behind (the master is gone)";
        assert_eq!(text, expected);
        assert!(is_well(&text));
        let alone = line(&[broker("broker-a", Role::Master)], None, Some([127, 0, 0, 1].into()));
        assert_eq!(alone, "serving; broker-a (master): no slave; standalone on 127.0.0.1");
    }

    #[test]
    fn what_does_not_do_its_work_comes_first_and_is_not_serving() {
        let well = broker("broker-a", Role::Master);
        let changed = |change: fn(&mut BrokerState)| {
            let mut broken = broker("broker-b", Role::Master);
            change(&mut broken);
            let text = line(&[well.clone(), broken], None, None);
            assert!(!is_well(&text) && !text.contains(SERVING), "{text}");
            let rest = text.strip_prefix("degraded; broker-b (master): ").unwrap().to_owned();
            rest.strip_suffix("; broker-a (master): no slave").unwrap().to_owned()
        };
        let down = changed(|broker| broker.stage = Stage::Down("no\nlog".to_owned()));
        assert_eq!(down, "down: no log");
        let full = changed(|broker| broker.is_read_only = true);
        assert_eq!(full, "read-only: the disk is full");
        let unknown = changed(|broker| broker.stage = Stage::Registering);
        assert_eq!(unknown, "no name server answers: clients do not find it");
        let alone = changed(|broker| broker.in_sync_min = 1);
        assert_eq!(alone, "sync replication, but 0 of 1 slaves connected");
        let conflict = changed(|broker| broker.copy = Some(copy(Phase::Conflict)));
        assert!(conflict.starts_with("conflict, "), "{conflict}");
        assert_eq!(line(&[], Some("no file"), None), "degraded; name server: down: no file");
    }
}
