//! Those who wait until a log is somewhere up to an offset: on the disk ([`super::flush`]), with slaves
//! ([`super::replicas`]).
//!
//! Not what brings it there. Invariants: the list is ordered by the offset that is waited for; nobody is told before
//! it is reached, unless it is late; callbacks run without a lock held.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::CommitLog;
use super::append::Done;
use crate::store::{Appended, Durability};

/// How often waiters are looked through for those that waited too long, as a part of that time.
const EXPIRY_CHECKS: u32 = 10;

/// Who waits, and up to where the log is there.
#[derive(Debug)]
pub(super) struct Waiters {
    /// Never goes back.
    reached: AtomicU64,
    /// What those are told that waited too long.
    late: Durability,
    state: Mutex<State>,
    /// Wakes the expiring thread, when somebody waits, and to stop it.
    expiry: Condvar,
}

#[derive(Debug, Default)]
struct State {
    list: VecDeque<Waiter>,
    /// Whether the expiring thread sleeps until somebody waits.
    expiry_idle: bool,
    is_stopped: bool,
}

/// An append whose sender is told when the log is there up to `end`.
pub(super) struct Waiter {
    pub(super) end: u64,
    pub(super) deadline: Instant,
    pub(super) appended: Vec<Appended>,
    /// What is told then.
    pub(super) in_time: Durability,
    pub(super) done: Done,
}

impl Waiter {
    fn tell(self, durability: Durability) {
        (self.done)(Ok((self.appended, durability)));
    }
}

impl std::fmt::Debug for Waiter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Waiter").field("end", &self.end).finish_non_exhaustive()
    }
}

impl Waiters {
    pub(super) fn new(reached: u64, late: Durability) -> Self {
        let reached = AtomicU64::new(reached);
        Self { reached, late, state: Mutex::default(), expiry: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Up to where the log is there.
    pub(super) fn reached(&self) -> u64 {
        self.reached.load(Ordering::Acquire)
    }

    /// How many wait.
    pub(super) fn count(&self) -> usize {
        self.lock().list.len()
    }

    /// Lets an append wait, unless what it waits for is there, or will not come any more: then it is told now. Returns
    /// how many wait then.
    pub(super) fn park(&self, waiter: Waiter) -> usize {
        let mut state = self.lock();
        // Looked at with the list held: whoever reaches it after this finds the waiter.
        let is_there = self.reached() >= waiter.end;
        if is_there || state.is_stopped {
            let waiting = state.list.len();
            drop(state);
            let durability = if is_there { waiter.in_time } else { self.late };
            waiter.tell(durability);
            return waiting;
        }
        // They mostly come in the order of the log.
        let at = state.list.partition_point(|other| other.end <= waiter.end);
        state.list.insert(at, waiter);
        if std::mem::take(&mut state.expiry_idle) {
            self.expiry.notify_one();
        }
        state.list.len()
    }

    /// The log is there up to `to`: tells those who waited for that; returns how many.
    pub(super) fn serve(&self, to: u64) -> usize {
        if self.reached.fetch_max(to, Ordering::AcqRel) >= to {
            return 0;
        }
        let mut state = self.lock();
        let count = state.list.partition_point(|waiter| waiter.end <= to);
        let served: Vec<Waiter> = state.list.drain(..count).collect();
        drop(state);
        let count = served.len();
        for waiter in served {
            let in_time = waiter.in_time;
            waiter.tell(in_time);
        }
        count
    }

    /// The expiring thread: tells those whose time, of `timeout`, is over, and writes what they queue then; until
    /// [`Self::stop`].
    pub(super) fn run_expiry(&self, log: &CommitLog, timeout: Duration) {
        let mut state = self.lock();
        while !state.is_stopped {
            if state.list.is_empty() {
                state.expiry_idle = true;
                state = self.expiry.wait(state).unwrap_or_else(PoisonError::into_inner);
                state.expiry_idle = false;
                continue;
            }
            let (woken, _) = self
                .expiry
                .wait_timeout(state, timeout / EXPIRY_CHECKS)
                .unwrap_or_else(PoisonError::into_inner);
            state = woken;
            let now = log.clock().monotonic();
            // Who waits for more of the log was appended later.
            let count = state.list.partition_point(|waiter| waiter.deadline <= now);
            let late: Vec<Waiter> = state.list.drain(..count).collect();
            drop(state);
            if !late.is_empty() {
                late.into_iter().for_each(|waiter| waiter.tell(self.late));
                log.write_enqueued();
            }
            state = self.lock();
        }
    }

    /// Ends the expiring thread; who comes from now on does not wait.
    pub(super) fn stop(&self) {
        self.lock().is_stopped = true;
        self.expiry.notify_all();
    }

    /// Tells all who still wait that it is too late.
    pub(super) fn give_up(&self) {
        let left = std::mem::take(&mut self.lock().list);
        left.into_iter().for_each(|waiter| waiter.tell(self.late));
    }
}
