//! Brings written bytes to the disk and tells those who wait for it (ST-060, ST-061).
//!
//! One thread flushes; whatever was written while a flush ran goes with the next one. Senders who were told together send
//! again together: the next flush waits for as many as the last one served, for a part of the time that one took at most, so
//! that one sender alone never waits and many share a flush. Invariant: bytes become durable in the order of the log.

use std::io;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::waiters::{Waiter, Waiters};
use super::{CommitLog, Stop};
use crate::store::Durability;

/// How long senders are waited for, as a part of the time that the last flush took,
const GATHER_PART: u32 = 2;
/// and at most: who comes back is there by then, and after a flush that took seconds nobody may come back.
const GATHER_MAX: Duration = Duration::from_millis(2);

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
    /// How many must wait for a flush to wake the flushing thread; `None` if it does not sleep.
    wakes_at: Option<usize>,
    stop: Option<Stop>,
    /// The flushing thread is gone; nothing will be flushed any more.
    ended: bool,
}

impl Flush {
    pub(super) fn new(flushed_to: u64) -> Self {
        let state = State { requested_to: flushed_to, wakes_at: None, stop: None, ended: false };
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
        let mut waiting = 0;
        for mut waiter in waiters {
            let mut state = self.lock();
            state.requested_to = state.requested_to.max(waiter.end);
            // In the order of the log: one who only waits for the segment before is told with those before it.
            waiter.end = state.requested_to;
            drop(state);
            waiting = self.waiters.park(waiter);
        }
        let mut state = self.lock();
        if state.wakes_at.is_some_and(|wakes_at| waiting >= wakes_at) {
            self.wake(&mut state);
        }
    }

    fn wake(&self, state: &mut State) {
        if state.wakes_at.take().is_some() {
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
        state.wakes_at = None;
        self.work.notify_all();
        self.waiters.stop();
    }

    /// Whether the threads are to end.
    pub(super) fn is_stopped(&self) -> bool {
        self.lock().stop.is_some()
    }

    /// The flushing thread.
    pub(super) fn run(&self, log: &CommitLog, interval: Duration) {
        let (mut served, mut took) = (0, Duration::ZERO);
        loop {
            let stop = self.wait_for_work(log, interval);
            if stop == Some(Stop::Abandon) {
                break;
            }
            self.gather(served, GATHER_MAX.min(took / GATHER_PART));
            let to = log.end();
            took = match self.flush_up_to(log, to) {
                Ok(took) => took,
                Err((path, error)) => {
                    log.disk().flush_failed(&path, &error);
                    break;
                }
            };
            served = self.serve(to);
            if served > 0 {
                // What they have queued is written by nobody else.
                log.write_enqueued();
            }
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
            state.wakes_at = Some(1);
            let (woken, timeout) =
                self.work.wait_timeout(state, interval).unwrap_or_else(PoisonError::into_inner);
            state = woken;
            state.wakes_at = None;
            if timeout.timed_out() && log.end() > self.flushed_to() {
                break;
            }
        }
        state.stop
    }

    /// Sleeps until `served` wait, or somebody who cannot wait for others, or the end has come; for `timeout` at most.
    fn gather(&self, served: usize, timeout: Duration) {
        let mut state = self.lock();
        if state.stop.is_some() || self.waiters.count() >= served {
            return;
        }
        state.wakes_at = Some(served);
        let (mut state, _) = self
            .work
            .wait_timeout_while(state, timeout, |state| state.wakes_at.is_some())
            .unwrap_or_else(PoisonError::into_inner);
        state.wakes_at = None;
    }

    /// Brings the log to the disk up to `to`; returns how long that took.
    fn flush_up_to(
        &self,
        log: &CommitLog,
        to: u64,
    ) -> Result<Duration, (std::path::PathBuf, io::Error)> {
        let from = self.flushed_to();
        if to <= from {
            return Ok(Duration::ZERO);
        }
        let begun = log.clock().monotonic();
        for segment in log.segments().all().iter() {
            if segment.end() > from && segment.start() < to {
                let flushed = log.disk().flush(segment.file(), segment.path());
                flushed.map_err(|error| (segment.path().to_owned(), error))?;
            }
        }
        let took = log.clock().monotonic().saturating_duration_since(begun);
        log.times().fsync.observe(took);
        Ok(took)
    }

    /// Publishes that the log is flushed up to `to` and calls those who waited for it; returns how many.
    fn serve(&self, to: u64) -> usize {
        let served = self.waiters.serve(to);
        // Whoever saw the old state sleeps by now.
        drop(self.lock());
        self.flushed.notify_all();
        served
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

    #[test]
    fn the_next_flush_waits_for_as_many_as_were_told_together_or_for_somebody_who_waits_for_nobody()
    {
        let flush = Flush::new(0);
        let park = |end| {
            let deadline = crate::clock::Clock::system().monotonic();
            let (in_time, done): (_, Done) = (Durability::Reached, Box::new(|_| ()));
            flush.park([Waiter { end, deadline, appended: Vec::new(), in_time, done }]);
        };
        let gathers = |served| flush.gather(served, Duration::MAX);
        let begins = |served| {
            while flush.lock().wakes_at != Some(served) {
                std::thread::yield_now();
            }
        };
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| gathers(3));
            begins(3);
            park(100);
            park(200);
            assert!(!thread.is_finished());
            assert_eq!(flush.lock().wakes_at, Some(3));
            park(300);
            thread.join().unwrap();
            // They are there: nothing is waited for.
            gathers(3);
            let thread = scope.spawn(|| gathers(4));
            begins(4);
            let waits = scope.spawn(|| flush.wait_for(250));
            thread.join().unwrap();
            assert_eq!(flush.serve(300), 3);
            assert!(waits.join().unwrap());
        });
    }
}
