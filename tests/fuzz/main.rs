//! Feeds random bytes to whatever reads bytes of peers, and of files that are not ours: one program, so that it is built
//! and linked once; `RMQ_FUZZ_TARGET` says which reader. `run` starts it, and says how to search for hours.
//!
//! Invariants: every target is a function of its input alone, but where it says otherwise; besides what a target claims,
//! no input takes longer than [`CPU_MAX_MS`] or more memory than [`MEMORY_FACTOR`] allows.

#![no_main]

mod accounts;
mod bodies;
mod frame;
mod ha;
mod java_store;
mod json;
mod log;
mod properties;
mod record;
mod requests;
mod settings;
mod sql;

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike as _;
use peak_alloc::PeakAlloc;

/// What is called for each input.
type Target = fn(&[u8]);

/// Bytes of memory that a reader may take beside [`MEMORY_FACTOR`] bytes for each byte of its input.
const READER: usize = 4 << 20;
/// The same where stores and servers are opened for it.
const STORES: usize = 128 << 20;
const MEMORY_FACTOR: usize = 256;

const TARGETS: [(&str, Target, usize); 12] = [
    ("accounts", accounts::run, READER),
    ("bodies", bodies::run, READER),
    ("frame", frame::run, READER),
    ("ha", ha::run, READER),
    ("java_store", java_store::run, READER),
    ("json", json::run, READER),
    ("log", log::run, STORES),
    ("properties", properties::run, READER),
    ("record", record::run, READER),
    ("requests", requests::run, STORES),
    ("settings", settings::run, READER),
    ("sql", sql::run, READER),
];

/// Milliseconds of CPU that one input may take, not optimized and on a slow machine; `run` gives inputs of at most 4 KiB.
const CPU_MAX_MS: i64 = 3000;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

static TARGET: LazyLock<(Target, usize)> = LazyLock::new(|| {
    let wanted = std::env::var("RMQ_FUZZ_TARGET").unwrap_or_default();
    let found = TARGETS.iter().find(|(name, ..)| *name == wanted);
    let names = TARGETS.map(|(name, ..)| name).join(", ");
    let (_, target, memory_bytes) =
        found.unwrap_or_else(|| panic!("RMQ_FUZZ_TARGET={wanted} is none of {names}"));
    (*target, *memory_bytes)
});

fuzz_target!(|bytes: &[u8]| {
    let (target, memory_bytes) = *TARGET;
    let before = MEMORY.current_usage();
    MEMORY.reset_peak_usage();
    let started_ms = cpu_ms();
    target(bytes);
    let took_ms = cpu_ms() - started_ms;
    assert!(took_ms <= CPU_MAX_MS, "{} bytes took {took_ms} ms of CPU", bytes.len());
    let took = MEMORY.peak_usage().saturating_sub(before);
    let took_max = memory_bytes + MEMORY_FACTOR * bytes.len();
    assert!(took <= took_max, "{} bytes took {took} bytes of memory", bytes.len());
});

/// The CPU time of all threads.
fn cpu_ms() -> i64 {
    let usage = getrusage(UsageWho::RUSAGE_SELF).expect("the kernel tells it");
    (usage.user_time() + usage.system_time()).num_milliseconds()
}
