//! Feeds random bytes to whatever reads bytes of peers, and of files that are not ours: one program, so that it is built
//! and linked once; `RMQ_FUZZ_TARGET` says which reader. `run` starts it, and says how to search for hours.
//!
//! Invariants: every target is a function of its input alone; besides what a target claims, no input takes longer than
//! [`CPU_MAX_MS`] or more memory than [`memory_max`].

#![no_main]

mod accounts;
mod bodies;
mod frame;
mod ha;
mod java_store;
mod json;
mod properties;
mod record;
mod settings;
mod sql;

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use nix::time::{ClockId, clock_gettime};
use peak_alloc::PeakAlloc;

/// What is called for each input.
type Target = fn(&[u8]);

const TARGETS: [(&str, Target); 10] = [
    ("accounts", accounts::run),
    ("bodies", bodies::run),
    ("frame", frame::run),
    ("ha", ha::run),
    ("java_store", java_store::run),
    ("json", json::run),
    ("properties", properties::run),
    ("record", record::run),
    ("settings", settings::run),
    ("sql", sql::run),
];

/// Milliseconds of CPU that one input may take; `run` gives inputs of at most 4 KiB.
const CPU_MAX_MS: i64 = 1000;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

static TARGET: LazyLock<Target> = LazyLock::new(|| {
    let wanted = std::env::var("RMQ_FUZZ_TARGET").unwrap_or_default();
    let found = TARGETS.iter().find(|(name, _)| *name == wanted);
    let names = TARGETS.map(|(name, _)| name).join(", ");
    found.unwrap_or_else(|| panic!("RMQ_FUZZ_TARGET={wanted} is none of {names}")).1
});

fuzz_target!(|bytes: &[u8]| {
    let target = *TARGET;
    let before = MEMORY.current_usage();
    MEMORY.reset_peak_usage();
    let started_ms = cpu_ms();
    target(bytes);
    let took_ms = cpu_ms() - started_ms;
    assert!(took_ms <= CPU_MAX_MS, "{} bytes took {took_ms} ms of CPU", bytes.len());
    let took = MEMORY.peak_usage().saturating_sub(before);
    assert!(took <= memory_max(bytes.len()), "{} bytes took {took} bytes of memory", bytes.len());
});

/// Bytes of memory that an input of so many bytes may take: a small multiple, and what a target needs anyway.
fn memory_max(bytes: usize) -> usize {
    (4 << 20) + 256 * bytes
}

/// The CPU time of this thread.
fn cpu_ms() -> i64 {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID)
        .map_or(0, |time| time.tv_sec() * 1000 + time.tv_nsec() / 1_000_000)
}
