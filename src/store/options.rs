//! What a store is told when it is opened. Not the configuration file: `config` maps that onto this.

use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};
use nix::sys::sysinfo::sysinfo;

use crate::metrics::LogTimes;
use crate::model::DelayLevels;

/// When an append is acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlushMode {
    /// When it is in the kernel's page cache; the disk follows every `flush_interval_ms` (ST-060).
    Async,
    /// When it is on the disk (ST-061).
    Sync,
}

/// Where a store's records come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreRole {
    /// From senders.
    Master,
    /// From the master's log; nothing else is appended.
    Slave,
}

/// What is kept, and how full the disk may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Age of a segment's last message after which the segment is deleted (ST-091, S-62).
    pub hours: u64,
    /// Hours of the day, in the zone of the store's clock, in which expired segments are deleted (ST-090).
    pub delete_hours: Vec<u8>,
    /// Disk use in percent above which expired segments are deleted at any hour (ST-090).
    pub disk_expire_percent: u8,
    /// Disk use in percent above which the oldest segments are deleted, expired or not (ST-091).
    pub disk_force_percent: u8,
    /// Disk use in percent above which nothing more is appended (ST-095).
    pub disk_read_only_percent: u8,
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            hours: 72,
            delete_hours: vec![4],
            disk_expire_percent: 75,
            disk_force_percent: 85,
            disk_read_only_percent: 90,
        }
    }
}

/// A [`Retention`] that whoever shares it can replace while stores are open; they heed it within 10 s.
#[derive(Clone, Debug, Default)]
pub struct SharedRetention(Arc<ArcSwap<Retention>>);

impl SharedRetention {
    /// What holds now.
    pub fn get(&self) -> Guard<Arc<Retention>> {
        self.0.load()
    }

    /// What holds from now on.
    pub fn set(&self, retention: Retention) {
        self.0.store(Arc::new(retention));
    }
}

impl From<Retention> for SharedRetention {
    fn from(retention: Retention) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(retention)))
    }
}

/// Options of one group's store; [`StoreOptions::new`] has 4.9.4's defaults.
#[derive(Clone, Debug)]
pub struct StoreOptions {
    /// The group's folder.
    pub dir: PathBuf,
    /// Size of a commit-log segment; must be that of the segments already there.
    pub segment_bytes: u64,
    /// Bytes of log that one database of queues and index covers.
    pub slice_bytes: u64,
    /// How far ahead of the log's end disk space is allocated.
    pub allocate_ahead_bytes: u64,
    /// Where its records come from.
    pub role: StoreRole,
    /// When an append is acknowledged.
    pub flush: FlushMode,
    /// Longest time that written bytes stay unflushed in [`FlushMode::Async`].
    pub flush_interval_ms: u64,
    /// How long a sender waits for the disk in [`FlushMode::Sync`].
    pub sync_flush_timeout_ms: u64,
    /// Appends are refused while a write to the log lasts longer, and those that were queued for longer.
    pub busy_after_ms: u64,
    /// How many slaves must have an append before its sender is told; 0: none.
    pub in_sync_min: usize,
    /// How long a sender waits for them (`slaveTimeout`).
    pub slave_timeout_ms: u64,
    /// A slave further behind is not waited for (`haSlaveFallbehindMax`).
    pub slave_behind_bytes_max: u64,
    /// Largest body of a message (S-60).
    pub max_message_bytes: usize,
    /// How far behind the log's end a record still counts as in memory (B-173, B-242).
    pub in_memory_bytes: u64,
    /// How often queues, index, tables and checkpoint are saved.
    pub checkpoint_interval_ms: u64,
    /// After how many bytes of log they are saved earlier.
    pub checkpoint_bytes: u64,
    /// What is kept; all stores of a node share it.
    pub retention: SharedRetention,
    /// The delays of the delay levels (B-270).
    pub delay_levels: DelayLevels,
    /// Whether there are light queues (ST-110).
    pub light_queues: bool,
    /// Where it counts how long its log takes.
    pub times: LogTimes,
}

/// What 4.9.4 takes for in memory: 40 % of the machine's (`accessMessageInMemoryMaxRatio`, K-S37).
fn in_memory_bytes() -> u64 {
    // The call has no way to fail; without an answer a machine of 4 GiB is assumed.
    sysinfo().map_or(4 << 30, |machine| machine.ram_total()) / 100 * 40
}

impl StoreOptions {
    /// The defaults for a store in `dir`.
    #[must_use]
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            segment_bytes: 1 << 30,
            slice_bytes: 8 << 30,
            allocate_ahead_bytes: 64 << 20,
            role: StoreRole::Master,
            flush: FlushMode::Async,
            flush_interval_ms: 500,
            sync_flush_timeout_ms: 5000,
            busy_after_ms: 1000,
            in_sync_min: 0,
            slave_timeout_ms: 3000,
            slave_behind_bytes_max: 256 << 20,
            max_message_bytes: 4 << 20,
            in_memory_bytes: in_memory_bytes(),
            checkpoint_interval_ms: 5000,
            checkpoint_bytes: 256 << 20,
            retention: SharedRetention::default(),
            delay_levels: DelayLevels::default(),
            light_queues: false,
            times: LogTimes::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_counts_as_in_memory_is_two_fifths_of_the_machines_b173() {
        let told = std::fs::read_to_string("/proc/meminfo").unwrap();
        let total = told.lines().find_map(|line| line.strip_prefix("MemTotal:")).unwrap();
        let kilobytes: u64 = total.trim().trim_end_matches(" kB").parse().unwrap();
        let expected = kilobytes * 1024 / 100 * 40;
        assert_eq!(StoreOptions::new("broker-a").in_memory_bytes, expected);
    }
}
