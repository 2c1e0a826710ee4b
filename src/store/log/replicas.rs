//! The slaves that copy a log: how far each is, and the appends that wait for them (H-030 to H-034).
//!
//! Not how bytes get there: that is `replication`'s. Invariants: what a slave was never sent does not count as being
//! there (H-007 repaired); callbacks run without a lock held; without slaves and with nobody who waits for them,
//! appending costs one load.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::Notify;

use super::append::Done;
use super::waiters::{Waiter, Waiters};
use super::{CommitLog, Stop};
use crate::store::{AppendResult, Durability};

/// The slaves of one log.
#[derive(Debug)]
pub(super) struct Replicas {
    /// How many slaves must have an append before its sender is told; 0: nobody waits.
    in_sync_min: usize,
    /// A slave further behind is no slave (H-030).
    behind_bytes_max: u64,
    /// Slaves whose position is known.
    connected: AtomicUsize,
    /// Where the last one of `in_sync_min` slaves is; 0 with fewer of them.
    position: AtomicU64,
    /// Those who are told when `in_sync_min` slaves have the log, or that they are late (H-031).
    pub(super) waiters: Waiters,
    /// Wakes slaves' senders when the log has grown.
    grown: Notify,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    next_id: u64,
    slaves: BTreeMap<u64, Position>,
}

/// Where a slave is.
#[derive(Clone, Copy, Debug)]
struct Position {
    /// What it said first, or acknowledged since.
    at: u64,
    /// What it acknowledged.
    acknowledged: u64,
}

impl Replicas {
    pub(super) fn new(in_sync_min: usize, behind_bytes_max: u64) -> Arc<Self> {
        Arc::new(Self {
            in_sync_min,
            behind_bytes_max,
            connected: AtomicUsize::new(0),
            position: AtomicU64::new(0),
            waiters: Waiters::new(0, Durability::SlaveTimeout),
            grown: Notify::new(),
            state: Mutex::default(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether appends wait for slaves.
    pub(super) fn is_waited_for(&self) -> bool {
        self.in_sync_min > 0
    }

    /// Wakes the senders; called after the log's end was moved, without the log held.
    pub(super) fn log_grew(&self) {
        if self.connected.load(Ordering::Relaxed) > 0 {
            self.grown.notify_waiters();
        }
    }

    /// What is to be called when an append that ends at `end` is as far as the flush takes it: who is to be told
    /// waits for the slaves then, unless there are none now (H-030).
    pub(super) fn then_wait(self: &Arc<Self>, end: u64, deadline: Instant, done: Done) -> Done {
        let is_there = self.connected.load(Ordering::Acquire) >= self.in_sync_min
            && end.saturating_sub(self.position.load(Ordering::Acquire)) < self.behind_bytes_max;
        let replicas = Arc::clone(self);
        Box::new(move |result: AppendResult| match result {
            Err(error) => done(Err(error)),
            Ok((appended, _)) if !is_there => {
                done(Ok((appended, Durability::SlaveNotAvailable)));
            }
            // H-034: if the slaves' part goes well, how the flush ended is told.
            Ok((appended, in_time)) => {
                replicas.waiters.park(Waiter { end, deadline, appended, in_time, done });
            }
        })
    }

    /// Up to where every connected slave has the log; `None` without slaves.
    pub(super) fn copied_to(&self) -> Option<u64> {
        self.lock().slaves.values().map(|slave| slave.at).min()
    }

    /// Works out how far the slaves are, and tells who waited for that.
    fn moved(&self, state: MutexGuard<'_, State>) {
        self.connected.store(state.slaves.len(), Ordering::Release);
        if !self.is_waited_for() {
            return;
        }
        let nth = |of: fn(&Position) -> u64| {
            let mut all: Vec<u64> = state.slaves.values().map(of).collect();
            all.sort_unstable_by(|a, b| b.cmp(a));
            all.get(self.in_sync_min - 1).copied().unwrap_or(0)
        };
        self.position.store(nth(|slave| slave.at), Ordering::Release);
        let to = nth(|slave| slave.acknowledged);
        drop(state);
        self.waiters.serve(to);
    }

    /// With [`Stop::Finish`], who still waits is told that no slave came.
    pub(super) fn stop(&self, stop: Stop) {
        self.waiters.stop();
        if stop == Stop::Finish {
            self.waiters.give_up();
        }
    }
}

/// A slave that is connected, as its sender sees the log; it is forgotten when this is dropped.
#[derive(Debug)]
pub struct Replica {
    log: Arc<CommitLog>,
    id: u64,
}

impl Replica {
    /// A slave that says that it has the log up to `at`; that it does counts only when it acknowledges it.
    pub(in crate::store) fn new(log: Arc<CommitLog>, at: u64) -> Self {
        let replicas = &log.replicas;
        let mut state = replicas.lock();
        let id = state.next_id;
        state.next_id += 1;
        state.slaves.insert(id, Position { at, acknowledged: 0 });
        replicas.moved(state);
        // Whoever appends from now on sees that there is a slave: they hold the log after us.
        log.while_held(|_, _| ());
        Self { log, id }
    }

    /// Where the log begins, and where it ends now.
    #[must_use]
    pub fn log_range(&self) -> Range<u64> {
        self.log.start()..self.log.end()
    }

    /// Waits until the log's end is beyond `from`.
    pub async fn grown(&self, from: u64) {
        loop {
            let grown = self.log.replicas.grown.notified();
            tokio::pin!(grown);
            grown.as_mut().enable();
            if self.log.end() > from {
                return;
            }
            grown.await;
        }
    }

    /// Fills `into` with the log from `from` on; it must lie in one segment. May block on the disk.
    ///
    /// # Errors
    /// `NotFound` if the range is no longer or not yet there, else what the system says.
    pub fn read(&self, from: u64, into: &mut [u8]) -> std::io::Result<()> {
        self.log.read_into(from..from + into.len() as u64, into)
    }

    /// Where the segment that holds `at` ends; `None` if it is no longer or not yet there.
    #[must_use]
    pub fn segment_end(&self, at: u64) -> Option<u64> {
        self.log.segments().holding(at).map(|segment| segment.end())
    }

    /// The slave has the log up to `to`, which it was sent.
    pub fn acknowledge(&self, to: u64) {
        let replicas = &self.log.replicas;
        let mut state = replicas.lock();
        if let Some(slave) = state.slaves.get_mut(&self.id) {
            slave.at = slave.at.max(to);
            slave.acknowledged = slave.acknowledged.max(to);
        }
        replicas.moved(state);
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        let replicas = &self.log.replicas;
        let mut state = replicas.lock();
        state.slaves.remove(&self.id);
        replicas.moved(state);
    }
}
