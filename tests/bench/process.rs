//! What the process of a benchmark has used so far, from `/proc`. Not a benchmark.

use std::fs;

use anyhow::Context;

/// Clock ticks a second in `/proc` (`getconf CLK_TCK`).
const TICKS: f64 = 100.0;

/// User and system time of this process, in seconds.
pub fn cpu_seconds() -> anyhow::Result<f64> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    let (_, fields) = stat.rsplit_once(')').context("no process name")?;
    let ticks = fields.split_whitespace().skip(11).take(2).map(str::parse::<f64>);
    Ok(ticks.sum::<Result<f64, _>>()? / TICKS)
}

/// Resident memory that is not of files, in MB.
pub fn memory_mb() -> anyhow::Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line =
        status.lines().find_map(|line| line.strip_prefix("RssAnon:")).context("no RssAnon")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? / 1024)
}
