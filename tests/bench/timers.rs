//! Measures messages that wait for a time of their own: memory with many of them, and how late they come.
//!
//! Not a test: it prints figures, which are noted in `store::timers`. Messages have 100 bytes; those that only wait are
//! due in an hour to 40 days, the others over the measured time, and then all in one moment.
//! `timers [THOUSANDS THAT WAIT] [DUE A SECOND] [SECONDS] [FOLDER]`

mod process;

use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use rmq_node::broker::{Broker, BrokerOptions, TransactionOptions};
use rmq_node::clock::Clock;
use rmq_node::config::AutoCreate;
use rmq_node::message::{NewMessage, Record, properties};
use rmq_node::metrics::Metrics;
use rmq_node::model::{BrokerId, QueueId, TopicConfig, TopicName, system};
use rmq_node::replication::{Member, Past};
use rmq_node::store::{All, PullRequest, StartTopics, Store, StoreOptions};
use rmq_node::transport::Credentials;
use tokio_util::sync::CancellationToken;

use process::{cpu_seconds, memory_mb};

const TOPIC: &str = "Timed";
const AT_ONCE: usize = 500;
const HOUR_MS: i64 = 3_600_000;
const AHEAD_MS: i64 = 15_000;
/// Due in one moment.
const BURST: usize = 50_000;
/// Set in the process that appends what only waits.
const FILLING: &str = "TIMERS_BENCH_FILLING";

fn options() -> anyhow::Result<BrokerOptions> {
    Ok(BrokerOptions {
        cluster: "C".into(),
        group: "broker-a".into(),
        id: BrokerId(0),
        address: "127.0.0.1:10911".parse()?,
        ha_address: "127.0.0.1:10912".parse()?,
        name_servers: Vec::new(),
        auto_create: AutoCreate::default(),
        reads_from_slaves: false,
        transactions: TransactionOptions::default(),
        acl: None,
        credentials: Credentials::default(),
        limits: Arc::default(),
        overrides: Arc::default(),
    })
}

/// A record as a send makes it.
fn waiting(options: &BrokerOptions, number: usize, due_ms: i64) -> NewMessage {
    NewMessage {
        topic: TopicName::new(system::TIMER_TOPIC),
        queue_id: QueueId(0),
        flag: 0,
        sys_flag: 0,
        born_timestamp: 1,
        born_host: options.address,
        store_host: options.address,
        reconsume_times: 0,
        prepared_transaction_offset: 0,
        body: Bytes::from(vec![b'x'; 100]),
        properties: format!(
            "UNIQ_KEY\u{1}id-{number}\u{2}TIMER_OUT_MS\u{1}{due_ms}\u{2}REAL_TOPIC\u{1}{TOPIC}\u{2}REAL_QID\u{1}0"
        ),
    }
}

/// Appends what is due at these times.
fn append(store: &Store, due: impl Iterator<Item = i64>) -> anyhow::Result<()> {
    let options = options()?;
    let mut messages = due.enumerate().map(|(number, due_ms)| waiting(&options, number, due_ms));
    loop {
        let group: Vec<_> = messages.by_ref().take(AT_ONCE).collect();
        if group.is_empty() {
            return Ok(());
        }
        let (sender, receiver) = mpsc::channel();
        let done = Box::new(move |result| drop(sender.send(result)));
        store.enqueue(&group, false, done);
        store.write_enqueued();
        receiver.recv()??;
    }
}

/// How late the messages from a queue offset on were stored, in order, in milliseconds.
fn lateness(store: &Store, from: i64) -> anyhow::Result<Vec<i64>> {
    let (mut offset, mut late) = (from, Vec::new());
    loop {
        let queue_id = QueueId(0);
        let request = PullRequest { topic: TOPIC, queue_id, offset, count_max: 32, filter: &All };
        let pulled = store.pull(&request, true)?;
        let mut rest = &pulled.body[..];
        while let Ok(record) = Record::parse(rest) {
            rest = &rest[record.bytes().len()..];
            let due = properties::find(record.properties(), properties::TIMER_OUT_MS);
            let due_ms: i64 = due.context("a message without its time")?.parse()?;
            late.push(record.store_timestamp() - due_ms);
        }
        if pulled.count == 0 {
            late.sort_unstable();
            return Ok(late);
        }
        offset = pulled.next_offset.to_wire();
    }
}

/// Waits until so many messages are delivered.
fn wait(store: &Store, count: usize) {
    while store.max_offset(TOPIC, QueueId(0)).0 < count as u64 {
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Appends what only waits, and saves it.
fn fill(store: &Store, pending: usize, clock: &Clock) -> anyhow::Result<()> {
    let before_mb = memory_mb()?;
    let (start, cpu, now_ms) = (clock.monotonic(), cpu_seconds()?, clock.now_ms());
    // Far apart, and in no order.
    let spread = |number: usize| (number as i64 * 7_919_333) % (40 * 24 * HOUR_MS - HOUR_MS);
    append(store, (0..pending).map(|number| now_ms + HOUR_MS + spread(number)))?;
    let appended = clock.monotonic() - start;
    let most_mb = memory_mb()?;
    anyhow::ensure!(store.stop(), "not all could be saved");
    println!(
        "{pending} messages appended in {appended:.1?}, with their saving {:.1} us of CPU each; memory {before_mb} MB \
         before, {most_mb} MB then, {} MB when saved",
        (cpu_seconds()? - cpu) * 1e6 / pending as f64,
        memory_mb()?
    );
    Ok(())
}

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |index: usize, default: &str| {
        let text = arguments.get(index).map_or(default, String::as_str);
        text.parse::<usize>().with_context(|| format!("`{text}` is not a number"))
    };
    let (pending, rate, seconds) =
        (number(0, "1000")? * 1000, number(1, "1000")?, number(2, "60")?);
    let dir = PathBuf::from(arguments.get(3).map_or("timers-bench", String::as_str));
    let is_filling = std::env::var_os(FILLING).is_some();
    anyhow::ensure!(
        is_filling || !dir.exists(),
        "{} exists: name a folder that does not",
        dir.display()
    );
    let clock = Clock::system();
    let open = || {
        let store_options = StoreOptions::new(dir.join("broker-a"));
        Store::open(store_options, &StartTopics::new("C", "broker-a"), &clock, &|_, _| {})
    };
    if is_filling {
        let store = open()?;
        return fill(&store, pending, &clock);
    }
    fs::create_dir(&dir)?;
    // In a process of its own: what allocators keep is not what the messages need.
    let mut filling = std::process::Command::new(std::env::current_exe()?);
    anyhow::ensure!(filling.args(&arguments).env(FILLING, "").status()?.success(), "not filled");
    let start = clock.monotonic();
    let store = open()?;
    println!("opened again in {:.0?}; memory {} MB", clock.monotonic() - start, memory_mb()?);

    store.tables().topics.put(TopicConfig::new(TopicName::new(TOPIC), 1));
    let past = Past::open(&store.options().dir, store.log_range().1.0)?;
    let member = Member::new(Broker::member_options(&options()?), Arc::clone(&store), past);
    let broker = Broker::new(options()?, member, &clock, Arc::new(Metrics::default()));
    let (runtime, stop) = (tokio::runtime::Runtime::new()?, CancellationToken::new());
    broker.start(runtime.handle(), runtime.handle(), &stop);
    let (now_ms, cpu, count) = (clock.now_ms() + AHEAD_MS, cpu_seconds()?, rate * seconds);
    let at = |number: usize| now_ms + (number * 1000 / rate) as i64;
    append(&store, (0..count).map(at))?;
    wait(&store, count);
    let late = lateness(&store, 0)?;
    println!(
        "{rate} due a second for {seconds} s: late by {} ms (half), {} ms (99 %), {} ms (all); {:.1} us of CPU each; memory {} MB",
        late[count / 2],
        late[count * 99 / 100],
        late[count - 1],
        (cpu_seconds()? - cpu) * 1e6 / count as f64,
        memory_mb()?
    );
    append(&store, (0..BURST).map(|_| clock.now_ms() + AHEAD_MS).map(|ms| ms - ms % 1000))?;
    wait(&store, count + BURST);
    let late = lateness(&store, count as i64)?;
    println!(
        "{BURST} due in the same second: the last one late by {} ms; memory {} MB",
        late[BURST - 1],
        memory_mb()?
    );
    stop.cancel();
    broker.finish();
    anyhow::ensure!(store.stop(), "not all could be saved");
    fs::remove_dir_all(&dir)?;
    Ok(())
}
