//! Counts what the workers do, prints a line each second, and sums up.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Write as _};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::{Histogram, Load};
use crate::clock::Clock;
use crate::remoting::Command;
use crate::transport::CallError;

/// Different errors that are told apart; the rest counts as `other`.
const ERROR_KINDS_MAX: usize = 50;
/// How much of a remark tells failures apart.
const REMARK_CHARS_MAX: usize = 160;

/// What all workers of a run share.
#[derive(Debug)]
pub(super) struct Meter {
    pub(super) clock: Clock,
    /// Before anything is sent, or waits for its turn.
    started: Instant,
    /// Messages that may still be claimed.
    left: AtomicU64,
    ended: AtomicBool,
    messages: AtomicU64,
    bytes: AtomicU64,
    errors: Mutex<BTreeMap<String, u64>>,
    latencies: Mutex<Histogram>,
}

impl Meter {
    pub(super) fn new(load: &Load, clock: Clock) -> Self {
        Self {
            started: clock.monotonic(),
            clock,
            left: AtomicU64::new(load.messages.unwrap_or(u64::MAX)),
            ended: AtomicBool::new(false),
            messages: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            errors: Mutex::default(),
            latencies: Mutex::default(),
        }
    }

    /// Takes up to `wanted` messages of what is to be moved; 0 when the run is over.
    pub(super) fn claim(&self, wanted: u64) -> u64 {
        if self.ended.load(Ordering::Relaxed) {
            return 0;
        }
        let take = |left: u64| Some(left.saturating_sub(wanted));
        let before = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take);
        before.unwrap_or_else(|left| left).min(wanted)
    }

    pub(super) fn is_over(&self) -> bool {
        self.ended.load(Ordering::Relaxed) || self.left.load(Ordering::Relaxed) == 0
    }

    pub(super) fn moved(&self, messages: u64, bytes: usize) {
        self.messages.fetch_add(messages, Ordering::Relaxed);
        self.bytes.fetch_add(u64::try_from(bytes).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Counts an answer that is not the wanted one.
    pub(super) fn refused(&self, answer: &Command) {
        let remark = answer.remark.as_deref().unwrap_or_default();
        let mut short: String = remark.chars().take(REMARK_CHARS_MAX).collect();
        if short.len() < remark.len() {
            short.push_str("...");
        }
        self.count_error(format!("code {} {short}", answer.code));
    }

    /// Counts a request without answer.
    pub(super) fn failed(&self, error: &CallError) {
        self.count_error(error.to_string());
    }

    fn count_error(&self, kind: String) {
        let mut errors = self.errors.lock().unwrap_or_else(PoisonError::into_inner);
        let is_new = !errors.contains_key(&kind);
        let kind =
            if is_new && errors.len() >= ERROR_KINDS_MAX { "other".to_owned() } else { kind };
        *errors.entry(kind).or_default() += 1;
    }

    /// Adds what one worker measured.
    pub(super) fn add_latencies(&self, latencies: &Histogram) {
        self.latencies.lock().unwrap_or_else(PoisonError::into_inner).merge(latencies);
    }

    /// Prints a line each second until `workers` is done, ends the run on time or on `stop`, and sums up.
    pub(super) async fn watch(
        &self,
        action: &'static str,
        duration: Option<Duration>,
        stop: &CancellationToken,
        workers: impl Future<Output = ()>,
    ) -> Summary {
        let deadline = tokio::time::sleep(duration.unwrap_or(Duration::from_secs(u32::MAX.into())));
        let mut seconds = tokio::time::interval(Duration::from_secs(1));
        seconds.tick().await;
        let (mut line_at, mut messages_then, mut bytes_then) = (self.started, 0, 0);
        tokio::pin!(deadline, workers);
        loop {
            tokio::select! {
                () = &mut workers => break,
                () = &mut deadline, if !self.is_over() => self.ended.store(true, Ordering::Relaxed),
                () = stop.cancelled(), if !self.is_over() => self.ended.store(true, Ordering::Relaxed),
                _ = seconds.tick() => {
                    let now = self.clock.monotonic();
                    let (messages, bytes) = self.moved_so_far();
                    let rate = Rate::of(messages - messages_then, bytes - bytes_then, now - line_at);
                    let errors = self.error_count();
                    let line = format!("{action}: {messages} messages, {rate}, {errors} errors");
                    // The run goes on, whether or not somebody reads how it goes.
                    let _ = writeln!(io::stderr(), "{line}");
                    (line_at, messages_then, bytes_then) = (now, messages, bytes);
                }
            }
        }
        self.sum_up(action, self.clock.monotonic() - self.started)
    }

    fn moved_so_far(&self) -> (u64, u64) {
        (self.messages.load(Ordering::Relaxed), self.bytes.load(Ordering::Relaxed))
    }

    fn error_count(&self) -> u64 {
        self.errors.lock().unwrap_or_else(PoisonError::into_inner).values().sum()
    }

    fn sum_up(&self, action: &'static str, took: Duration) -> Summary {
        let (messages, bytes) = self.moved_so_far();
        let latencies = self.latencies.lock().unwrap_or_else(PoisonError::into_inner);
        let us = |duration: Duration| u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        let rate = Rate::of(messages, bytes, took);
        Summary {
            action,
            seconds: took.as_secs_f64(),
            messages,
            bytes,
            messages_per_second: rate.messages.round(),
            megabytes_per_second: (rate.megabytes * 100.0).round() / 100.0,
            latency_us: LatencyUs {
                p50: us(latencies.percentile(50)),
                p95: us(latencies.percentile(95)),
                p99: us(latencies.percentile(99)),
                max: us(latencies.max()),
            },
            errors: self.errors.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }
}

/// What was moved in a second.
struct Rate {
    messages: f64,
    megabytes: f64,
}

impl Rate {
    #[expect(clippy::cast_precision_loss, reason = "a rate needs three digits")]
    fn of(messages: u64, bytes: u64, took: Duration) -> Self {
        let seconds = took.as_secs_f64().max(1e-9);
        Self { messages: messages as f64 / seconds, megabytes: bytes as f64 / 1e6 / seconds }
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.0} messages/s, {:.1} MB/s", self.messages, self.megabytes)
    }
}

/// How a run went.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// `produce` or `consume`.
    pub action: &'static str,
    /// Length of the run.
    pub seconds: f64,
    /// Messages moved.
    pub messages: u64,
    /// Bytes of their bodies; of whole records when consuming.
    pub bytes: u64,
    /// Messages moved in a second.
    pub messages_per_second: f64,
    /// Millions of bytes moved in a second.
    pub megabytes_per_second: f64,
    /// From request to answer; zeros for oneway sends.
    pub latency_us: LatencyUs,
    /// Failed requests by kind.
    pub errors: BTreeMap<String, u64>,
}

/// Quantiles in microseconds.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct LatencyUs {
    /// Half of all requests took no longer.
    pub p50: u64,
    /// 95 % took no longer.
    pub p95: u64,
    /// 99 % took no longer.
    pub p99: u64,
    /// The longest.
    pub max: u64,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {} messages in {:.1} s", self.action, self.messages, self.seconds)?;
        let (messages, megabytes) = (self.messages_per_second, self.megabytes_per_second);
        writeln!(f, "rate: {messages:.0} messages/s, {megabytes:.1} MB/s")?;
        let LatencyUs { p50, p95, p99, max } = self.latency_us;
        writeln!(f, "latency: p50 {p50} us, p95 {p95} us, p99 {p99} us, max {max} us")?;
        if self.errors.is_empty() {
            return write!(f, "errors: none");
        }
        write!(f, "errors:")?;
        self.errors.iter().try_for_each(|(kind, count)| write!(f, "\n  {count} x {kind}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::remoting::SerializeType;

    fn load(messages: Option<u64>) -> Load {
        Load {
            credentials: Default::default(),
            name_servers: Vec::new(),
            broker: None,
            topic: "T".into(),
            connections: 1,
            in_flight: 1,
            duration: None,
            messages,
            serialize_type: SerializeType::Json,
        }
    }

    #[test]
    fn no_more_messages_are_claimed_than_there_are() {
        let meter = Meter::new(&load(Some(5)), Clock::system());
        assert_eq!((meter.claim(3), meter.claim(3), meter.claim(3)), (3, 2, 0));
        assert!(meter.is_over());
    }

    #[tokio::test(start_paused = true)]
    async fn the_run_ends_on_time_and_tells_its_errors() {
        let meter = Meter::new(&load(None), Clock::system());
        let workers = async {
            while meter.claim(1) == 1 {
                meter.moved(1, 100);
                meter.failed(&CallError::Timeout("127.0.0.1:1".into()));
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        let stop = CancellationToken::new();
        let summary = meter.watch("produce", Some(Duration::from_secs(2)), &stop, workers).await;
        assert!((19..=21).contains(&summary.messages), "{summary}");
        assert_eq!(summary.bytes, summary.messages * 100);
        let text = summary.to_string();
        assert!(text.contains("x no answer from 127.0.0.1:1 in time"), "{text}");
    }
}
