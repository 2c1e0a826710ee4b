//! Measures what queues and key index cost: dispatching, saving, disk, opening, reading, memory, retention.
//!
//! Not a test: it prints figures, which are noted in `store::derived`. Messages are 1 KiB with one key, in 400
//! queues of 100 topics. `slices [MILLIONS OF MESSAGES] [GIB OF LOG A SLICE] [FOLDER]`

mod process;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
use rmq_node::clock::Clock;
use rmq_node::model::{PhysicalOffset, QueueId, QueueOffset, TopicConfig, TopicName};
use rmq_node::store::derived::{Derived, LogExtent, SliceOptions};
use rmq_node::store::dispatch::{Dispatch, Follower, key_hash};
use rmq_node::store::tables::Tables;

use process::{cpu_seconds, memory_mb};

const TOPICS: u32 = 100;
const QUEUES: u32 = 4;
const RECORD_BYTES: u32 = 1200;
/// Saved as often as at 50 000 messages a second every 5 s.
const SAVED_EVERY: u64 = 250_000;
const READS: u64 = 20_000;
const QUERIES: u64 = 1000;

fn disk_bytes(path: &Path) -> anyhow::Result<u64> {
    if path.is_file() {
        return Ok(fs::metadata(path)?.len());
    }
    fs::read_dir(path)?.map(|entry| disk_bytes(&entry?.path())).sum()
}

/// Gives up what the page cache has of a folder's files, so that they are read from the disk.
fn make_cold(path: &Path) -> anyhow::Result<()> {
    if path.is_dir() {
        return fs::read_dir(path)?.try_for_each(|entry| make_cold(&entry?.path()));
    }
    let file = fs::File::open(path)?;
    file.sync_all()?;
    posix_fadvise(&file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED)?;
    Ok(())
}

/// Numbers that look random, the same at each run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

struct Bench {
    dir: PathBuf,
    slice_bytes: u64,
    clock: Clock,
    topics: Vec<String>,
    next: Vec<u64>,
}

impl Bench {
    fn open(&self, checkpoint: Option<u64>) -> anyhow::Result<Derived> {
        let (tables, source) = Tables::open(&self.dir, "bench", &self.clock, None)?;
        for topic in &self.topics {
            tables.topics.put_if_absent(TopicConfig::new(TopicName::new(topic), QUEUES));
        }
        let options = SliceOptions {
            dir: self.dir.join("slices"),
            slice_bytes: self.slice_bytes,
            identity: "bench".to_owned(),
        };
        let log =
            LogExtent { start: PhysicalOffset(0), checkpoint: checkpoint.map(PhysicalOffset) };
        Ok(Derived::open(options, Arc::new(tables), source, log, &self.clock)?.derived)
    }

    fn key(&self, message: u64) -> u32 {
        key_hash(self.topic(message), &format!("7F00000100002A9F{message:016X}"))
    }

    fn queue(message: u64) -> usize {
        usize::try_from(message % u64::from(TOPICS * QUEUES)).unwrap_or(0)
    }

    fn topic(&self, message: u64) -> &str {
        &self.topics[Self::queue(message) / QUEUES as usize]
    }

    fn queue_id(message: u64) -> QueueId {
        QueueId(u32::try_from(Self::queue(message)).unwrap_or(0) % QUEUES)
    }

    fn dispatch(&mut self, derived: &Derived, message: u64, key: u32) {
        let (topic, queue_id) = (self.topic(message), Self::queue_id(message));
        let queue_offset = derived.next_offset(topic, queue_id);
        derived.dispatch(&Dispatch {
            topic,
            queue_id,
            queue_offset,
            physical_offset: PhysicalOffset(message * u64::from(RECORD_BYTES)),
            size: RECORD_BYTES,
            tags_code: 2_598_919,
            store_timestamp: 1_700_000_000_000 + i64::try_from(message / 50).unwrap_or(0),
            in_queue: true,
            key_hashes: &[key],
            timer: None,
            light: &[],
        });
        self.next[Self::queue(message)] = queue_offset.0 + 1;
    }

    fn since(&self, start: std::time::Instant) -> Duration {
        self.clock.monotonic().duration_since(start)
    }
}

fn write(bench: &mut Bench, messages: u64) -> anyhow::Result<()> {
    let derived = bench.open(None)?;
    let (mut dispatching, mut saving, mut longest) = (0.0, 0.0, Duration::ZERO);
    let mut from = 0;
    while from < messages {
        let to = (from + SAVED_EVERY).min(messages);
        let keys: Vec<u32> = (from..to).map(|message| bench.key(message)).collect();
        let before = cpu_seconds()?;
        for (message, key) in (from..to).zip(keys) {
            bench.dispatch(&derived, message, key);
        }
        let between = cpu_seconds()?;
        let start = bench.clock.monotonic();
        derived.write_behind(PhysicalOffset(to * u64::from(RECORD_BYTES)))?;
        longest = longest.max(bench.since(start));
        dispatching += between - before;
        saving += cpu_seconds()? - between;
        from = to;
    }
    let micros = |seconds: f64| seconds * 1e6 / messages as f64;
    println!("dispatching: {:.2} us of CPU a message, next offset included", micros(dispatching));
    println!("saving: {:.2} us of CPU a message; longest saving {longest:.1?}", micros(saving));
    println!("memory while writing: {} MB", memory_mb()?);
    Ok(())
}

fn read(bench: &Bench, messages: u64) -> anyhow::Result<()> {
    let start = bench.clock.monotonic();
    let derived = bench.open(Some(messages * u64::from(RECORD_BYTES)))?;
    println!("opened in {:.0?}, memory {} MB", bench.since(start), memory_mb()?);
    let mut random = Random(1);
    let start = bench.clock.monotonic();
    let cpu = cpu_seconds()?;
    for _ in 0..READS {
        let message = random.below(messages);
        let offset = QueueOffset(random.below(bench.next[Bench::queue(message)].max(33) - 32));
        let (topic, queue_id) = (bench.topic(message), Bench::queue_id(message));
        let found = derived.queues().entries(topic, queue_id, offset, 32, true)?;
        anyhow::ensure!(found.len() == 32, "{} entries at {offset}", found.len());
    }
    let each = bench.since(start) / u32::try_from(READS)?;
    let cpu = (cpu_seconds()? - cpu) * 1e6 / READS as f64;
    println!(
        "{READS} random reads of 32 entries: {each:.1?}, {cpu:.1} us of CPU each; memory {} MB",
        memory_mb()?
    );
    let start = bench.clock.monotonic();
    for _ in 0..QUERIES {
        let message = random.below(messages);
        let hash = bench.key(message);
        let found = derived.index().query(hash, &(0..=i64::MAX), 64, &|_| None)?;
        let expected = PhysicalOffset(message * u64::from(RECORD_BYTES));
        anyhow::ensure!(found.contains(&expected), "message {message} is not found by its key");
    }
    let each = bench.since(start) / u32::try_from(QUERIES)?;
    println!("{QUERIES} queries by key: {each:.1?} each; memory {} MB", memory_mb()?);
    Ok(())
}

/// Lets the older half of the log go.
fn expire(bench: &Bench, messages: u64) -> anyhow::Result<()> {
    let end = messages * u64::from(RECORD_BYTES);
    let derived = bench.open(Some(end))?;
    let before = disk_bytes(&bench.dir)?;
    let (start, cpu) = (bench.clock.monotonic(), cpu_seconds()?);
    derived.expire_below(PhysicalOffset(end / 2));
    derived.tidy()?;
    let freed = before.saturating_sub(disk_bytes(&bench.dir)?);
    println!(
        "retention: half of the log gone in {:.1?}, {:.2} s of CPU; {} MB freed",
        bench.since(start),
        cpu_seconds()? - cpu,
        freed >> 20
    );
    Ok(())
}

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |index: usize, default: &str| {
        let text = arguments.get(index).map_or(default, String::as_str);
        text.parse::<u64>().with_context(|| format!("`{text}` is not a number"))
    };
    let (messages, slice_gib) = (number(0, "10")? * 1_000_000, number(1, "8")?);
    let dir = PathBuf::from(arguments.get(2).map_or("slices-bench", String::as_str));
    anyhow::ensure!(!dir.exists(), "{} exists: name a folder that does not", dir.display());
    let mut bench = Bench {
        dir,
        slice_bytes: slice_gib << 30,
        clock: Clock::system(),
        topics: (0..TOPICS).map(|topic| format!("Topic{topic:03}")).collect(),
        next: vec![0; (TOPICS * QUEUES) as usize],
    };
    println!("{messages} messages of {RECORD_BYTES} bytes, {slice_gib} GiB of log a slice");
    write(&mut bench, messages)?;
    let disk = disk_bytes(&bench.dir)?;
    println!("disk: {} MB, {:.1} bytes a message", disk >> 20, disk as f64 / messages as f64);
    for entry in fs::read_dir(bench.dir.join("slices"))? {
        let path = entry?.path();
        println!("  {}: {} KB", path.display(), disk_bytes(&path)? >> 10);
    }
    make_cold(&bench.dir)?;
    println!("first time (the newest slice without a snapshot, files not in the page cache):");
    read(&bench, messages)?;
    println!("second time (files in the page cache):");
    read(&bench, messages)?;
    expire(&bench, messages)?;
    fs::remove_dir_all(&bench.dir)?;
    Ok(())
}
