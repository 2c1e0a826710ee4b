//! Brings written bytes to the disk and tells those who wait for it (ST-060, ST-061).
//!
//! One thread flushes; whatever was written while a flush ran goes with the next one, so that many
//! senders share a flush without a timer. Invariant: bytes become durable in the order of the log.

use std::io;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::waiters::{Waiter, Waiters};
use super::{CommitLog, Stop};
use crate::store::Durability;

/// How far the log is flushed and who waits for it.
#[derive(Debug)]
pub(super) struct Flush {
    /// Those who are told when it is flushed, or that it is late (ST-061).
    pub(super) waiters: Waiters,
    state: Mutex<State>,
    /// Wakes the flushing thread.
    work: Condvar,
    /// Wakes those in [`Flush::wait_for`].
    flushed: Condvar,
}

#[derive(Debug)]
struct State {
    /// Up to which offset somebody asked to be flushed at once.
    requested_to: u64,
    /// Whether the flushing thread sleeps and must be woken.
    idle: bool,
    stop: Option<Stop>,
    /// The flushing thread is gone; nothing will be flushed any more.
    ended: bool,
}

impl Flush {
    pub(super) fn new(flushed_to: u64) -> Self {
        let state = State { requested_to: flushed_to, idle: false, stop: None, ended: false };
        Self {
            waiters: Waiters::new(flushed_to, Durability::FlushTimeout),
            state: Mutex::new(state),
            work: Condvar::new(),
            flushed: Condvar::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Up to which offset the log is on the disk.
    pub(super) fn flushed_to(&self) -> u64 {
        self.waiters.reached()
    }

    /// Adds waiters and wakes the flushing thread.
    pub(super) fn park(&self, waiters: impl IntoIterator<Item = Waiter>) {
        for mut waiter in waiters {
            let mut state = self.lock();
            state.requested_to = state.requested_to.max(waiter.end);
            // In the order of the log: one who only waits for the segment before is told with those before it.
            waiter.end = state.requested_to;
            self.wake(&mut state);
            drop(state);
            self.waiters.park(waiter);
        }
    }

    fn wake(&self, state: &mut State) {
        if std::mem::take(&mut state.idle) {
            self.work.notify_one();
        }
    }

    /// Waits until the log is flushed up to `end`; false if that will not happen any more.
    pub(super) fn wait_for(&self, end: u64) -> bool {
        let mut state = self.lock();
        state.requested_to = state.requested_to.max(end);
        self.wake(&mut state);
        while self.flushed_to() < end && !state.ended {
            state = self.flushed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        self.flushed_to() >= end
    }

    /// Asks both threads to end; with [`Stop::Finish`] after everything written is flushed.
    pub(super) fn stop(&self, stop: Stop) {
        let mut state = self.lock();
        state.stop.get_or_insert(stop);
        state.idle = false;
        self.work.notify_all();
        self.waiters.stop();
    }

    /// Whether the threads are to end.
    pub(super) fn is_stopped(&self) -> bool {
        self.lock().stop.is_some()
    }

    /// The flushing thread.
    pub(super) fn run(&self, log: &CommitLog, interval: Duration) {
        loop {
            let stop = self.wait_for_work(log, interval);
            if stop == Some(Stop::Abandon) {
                break;
            }
            let to = log.end();
            if let Err((path, error)) = self.flush_up_to(log, to) {
                log.disk().flush_failed(&path, &error);
                break;
            }
            self.serve(to);
            if stop.is_some() && log.end() == to {
                break;
            }
        }
        let mut state = self.lock();
        state.ended = true;
        self.flushed.notify_all();
    }

    /// Sleeps until somebody waits, the interval is over with something to flush, or the end has come.
    fn wait_for_work(&self, log: &CommitLog, interval: Duration) -> Option<Stop> {
        let mut state = self.lock();
        while state.stop.is_none() && state.requested_to <= self.flushed_to() {
            state.idle = true;
            let (woken, timeout) =
                self.work.wait_timeout(state, interval).unwrap_or_else(PoisonError::into_inner);
            state = woken;
            state.idle = false;
            if timeout.timed_out() && log.end() > self.flushed_to() {
                break;
            }
        }
        state.stop
    }

    fn flush_up_to(&self, log: &CommitLog, to: u64) -> Result<(), (std::path::PathBuf, io::Error)> {
        let from = self.flushed_to();
        if to <= from {
            return Ok(());
        }
        let begun = log.clock().monotonic();
        for segment in log.segments().all().iter() {
            if segment.end() > from && segment.start() < to {
                let flushed = log.disk().flush(segment.file(), segment.path());
                flushed.map_err(|error| (segment.path().to_owned(), error))?;
            }
        }
        log.times().fsync.observe(log.clock().monotonic().saturating_duration_since(begun));
        Ok(())
    }

    /// Publishes that the log is flushed up to `to` and calls those who waited for it.
    fn serve(&self, to: u64) {
        self.waiters.serve(to);
        // Whoever saw the old state sleeps by now.
        drop(self.lock());
        self.flushed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::store::log::append::Done;

    #[test]
    fn nobody_is_told_before_their_bytes_are_on_the_disk_however_waiters_are_mixed() {
        let flush = Flush::new(0);
        let told = Arc::new(Mutex::new(Vec::new()));
        let waiter = |end| {
            let told = Arc::clone(&told);
            let done: Done = Box::new(move |_| {
                told.lock().unwrap_or_else(PoisonError::into_inner).push(end);
            });
            let deadline = crate::clock::Clock::system().monotonic();
            Waiter { end, deadline, appended: Vec::new(), in_time: Durability::Reached, done }
        };
        // The second one does not wait for its own bytes, only for the segment before.
        flush.park([waiter(300), waiter(200), waiter(200), waiter(200)]);
        flush.serve(200);
        assert_eq!(*told.lock().unwrap(), [] as [u64; 0]);
        flush.serve(300);
        assert_eq!(*told.lock().unwrap(), [300, 200, 200, 200]);
        // One whose flush was over before it was parked.
        flush.park([waiter(300)]);
        assert_eq!(told.lock().unwrap().len(), 5);
    }
}
