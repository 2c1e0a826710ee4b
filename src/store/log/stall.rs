//! A disk that keeps the log waiting: who sends is told at once, and so is who waits (B-150 to B-152).
//!
//! Not a slow flush, for which only senders wait that want it (`flush`). A write goes to the page cache and takes
//! microseconds, unless the kernel makes it wait for the disk. Invariants: what is refused was not stored; nobody
//! waits for the log's end on a thread that serves connections.

use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::CommitLog;
use super::append::Group;
use crate::clock::Clock;
use crate::store::AppendError;

/// Why a log takes no messages for now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Busy {
    /// A write has lasted too long (B-150).
    #[error("a write to the log has lasted {write_ms} ms")]
    Stalled {
        /// How long it has lasted.
        write_ms: u64,
    },
    /// The message was queued behind such a write (B-151).
    #[error("a write to the log has lasted {write_ms} ms, and {queued} wait for it")]
    QueuedBehind {
        /// How long the write has lasted.
        write_ms: u64,
        /// How long the message was queued.
        waited_ms: u64,
        /// How many were.
        queued: usize,
    },
    /// The message was queued for too long behind several writes (B-152).
    #[error("queued for {waited_ms} ms to be written to the log, with {queued} others")]
    QueuedTooLong {
        /// How long the message was queued.
        waited_ms: u64,
        /// How many were.
        queued: usize,
    },
    /// Too much is queued.
    #[error("{bytes} bytes are queued to be written to the log")]
    QueueFull {
        /// How much.
        bytes: usize,
    },
}

/// Since when the write lasts that is under way.
#[derive(Debug)]
pub(super) struct Stall {
    opened: Instant,
    /// In milliseconds since `opened`, one more than that; 0 between writes.
    since: AtomicU64,
}

impl Stall {
    pub(super) fn new(clock: &Clock) -> Self {
        Self { opened: clock.monotonic(), since: AtomicU64::new(0) }
    }

    /// Returns when that is.
    pub(super) fn write_begins(&self, clock: &Clock) -> Instant {
        let now = clock.monotonic();
        self.since.store(millis(now.saturating_duration_since(self.opened)) + 1, Ordering::Relaxed);
        now
    }

    pub(super) fn write_ends(&self) {
        self.since.store(0, Ordering::Relaxed);
    }

    /// For how long the write lasts that is under way, in milliseconds.
    pub(super) fn lasts_ms(&self, now: Instant) -> u64 {
        let now = millis(now.saturating_duration_since(self.opened));
        match self.since.load(Ordering::Relaxed) {
            0 => 0,
            since => (now + 1).saturating_sub(since),
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl CommitLog {
    /// Whether the write under way lasts too long.
    pub(super) fn refuse_if_stalled(&self, now: Instant) -> Result<(), AppendError> {
        let write_ms = self.stall.lasts_ms(now);
        let is_stalled = write_ms > self.options.busy_after_ms;
        if is_stalled { Err(AppendError::Busy(Busy::Stalled { write_ms })) } else { Ok(()) }
    }

    /// Refuses what was queued for too long, or waits for a write that lasts too long. To be called now and then, from
    /// a thread that may not wait: it does not.
    pub fn refuse_long_queued(&self) {
        let max = self.options.busy_after_ms;
        let now = self.clock.monotonic();
        let write_ms = self.stall.lasts_ms(now);
        let waited = |group: &Group| millis(now.saturating_duration_since(group.queued_at));
        let (queued, refused) = {
            let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
            let queued = pending.len();
            // The oldest ones are in front.
            let count = if write_ms > max {
                queued
            } else {
                pending.iter().take_while(|group| waited(group) > max).count()
            };
            let refused: Vec<Group> = pending.drain(..count).collect();
            let bytes = refused.iter().map(|group| group.bytes.len()).sum();
            self.pending_bytes.fetch_sub(bytes, Ordering::Relaxed);
            (queued, refused)
        };
        for group in refused {
            let waited_ms = waited(&group);
            let busy = if write_ms > max {
                Busy::QueuedBehind { write_ms, waited_ms, queued }
            } else {
                Busy::QueuedTooLong { waited_ms, queued }
            };
            if let Some(done) = group.done {
                done(Err(AppendError::Busy(busy)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io;
    use std::path::Path;
    use std::sync::{Arc, Condvar, Mutex, mpsc};

    use super::*;
    use crate::store::disk::{Disk, SystemDisk};
    use crate::store::store_tests::{World, message};
    use crate::store::{AppendResult, Store};

    /// A disk whose writes to files wait as long as it is stuck.
    #[derive(Debug, Default)]
    struct StuckDisk {
        is_stuck: Mutex<bool>,
        changed: Condvar,
    }

    impl StuckDisk {
        fn set(&self, is_stuck: bool) {
            *self.is_stuck.lock().unwrap() = is_stuck;
            self.changed.notify_all();
        }
    }

    impl Disk for StuckDisk {
        fn write(&self, file: &File, path: &Path, bytes: &[u8], at: u64) -> io::Result<()> {
            let stuck = self.is_stuck.lock().unwrap();
            drop(self.changed.wait_while(stuck, |stuck| *stuck).unwrap());
            SystemDisk.write(file, path, bytes, at)
        }
        fn flush(&self, file: &File, path: &Path) -> io::Result<()> {
            SystemDisk.flush(file, path)
        }
        fn flush_dir(&self, dir: &Path) -> io::Result<()> {
            SystemDisk.flush_dir(dir)
        }
        fn allocate(&self, file: &File, at: u64, bytes: u64) -> io::Result<()> {
            SystemDisk.allocate(file, at, bytes)
        }
        fn used_percent(&self, _: &Path) -> io::Result<f64> {
            Ok(0.0)
        }
        fn flush_failed(&self, _: &Path, _: &io::Error) {}
    }

    fn send(store: &Arc<Store>, body: &str) -> mpsc::Receiver<AppendResult> {
        let (sender, receiver) = mpsc::channel();
        let done = Box::new(move |result| sender.send(result).unwrap());
        store.enqueue(&[message("T", 0, body)], false, done);
        receiver
    }

    fn busy(told: &mpsc::Receiver<AppendResult>) -> Busy {
        match told.recv_timeout(Duration::from_secs(20)).unwrap() {
            Err(AppendError::Busy(busy)) => busy,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn while_a_write_is_stuck_who_sends_and_who_waits_is_refused_and_not_stored() {
        let disk = Arc::new(StuckDisk::default());
        let mut world = World::closed(|options| options.busy_after_ms = 60_000);
        world.disk = Arc::<StuckDisk>::clone(&disk);
        world.open().unwrap();
        let store = Arc::clone(world.store());
        disk.set(true);
        let first = send(&store, "is being written");
        let writing = Arc::clone(&store);
        let writer = std::thread::spawn(move || writing.write_enqueued());
        while store.log.stall.since.load(Ordering::Relaxed) == 0 {
            std::thread::yield_now();
        }
        let second = send(&store, "waits");
        // Returns although the log is held: no thread that serves connections waits for the disk.
        store.write_enqueued();
        store.refuse_long_queued();
        assert!(second.try_recv().is_err(), "not yet too long");
        world.clock.advance(Duration::from_secs(90));
        assert!(matches!(busy(&send(&store, "at once")), Busy::Stalled { write_ms: 90_000.. }));
        store.refuse_long_queued();
        let expected = |busy| {
            matches!(
                busy,
                Busy::QueuedBehind { write_ms: 90_000.., waited_ms: 90_000.., queued: 1 }
            )
        };
        assert!(expected(busy(&second)));
        disk.set(false);
        writer.join().unwrap();
        assert!(first.recv_timeout(Duration::from_secs(20)).unwrap().is_ok());
        world.append("T", 0, "as ever");
        assert_eq!(world.bodies("T", 0), ["is being written", "as ever"]);
        assert_eq!(store.log.pending_bytes.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn what_was_queued_too_long_without_such_a_write_is_refused_and_the_rest_is_not() {
        let world = World::with(|options| options.busy_after_ms = 60_000);
        let store = world.store();
        let old = send(store, "old");
        world.clock.advance(Duration::from_secs(72));
        let young = send(store, "young");
        store.refuse_long_queued();
        assert!(matches!(busy(&old), Busy::QueuedTooLong { waited_ms: 72_000.., queued: 2 }));
        store.write_enqueued();
        assert!(young.recv_timeout(Duration::from_secs(20)).unwrap().is_ok());
        assert_eq!(world.bodies("T", 0), ["young"]);
    }

    #[test]
    fn more_than_may_be_queued_is_refused() {
        let world = World::new();
        let store = world.store();
        store.log.pending_bytes.fetch_add(1 << 30, Ordering::Relaxed);
        assert!(matches!(busy(&send(store, "x")), Busy::QueueFull { .. }));
    }
}
