//! How long appends and gets take, as 28 shows it (B-360): the distribution over the last whole minute, two percentiles
//! of it, and the longest since the start.
//!
//! Not the rates (`statistics`). An append costs two atomic additions, whatever the number of its messages. Invariant:
//! like 4.9.4's, times are whole milliseconds, rounded down.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// The buckets that are shown: the first number of milliseconds that is too long for it, and its name.
const SHOWN: [(u64, &str); 13] = [
    (1, "<=0ms"),
    (10, "0~10ms"),
    (50, "10~50ms"),
    (100, "50~100ms"),
    (200, "100~200ms"),
    (500, "200~500ms"),
    (1000, "500ms~1s"),
    (2000, "1~2s"),
    (3000, "2~3s"),
    (4000, "3~4s"),
    (5000, "4~5s"),
    (10_000, "5~10s"),
    (u64::MAX, "10s~"),
];

/// The widths of the buckets that percentiles are taken from, in milliseconds, and how many there are of each.
const WIDTHS: [(u64, usize); 7] =
    [(1, 20), (2, 15), (5, 10), (10, 10), (50, 6), (100, 5), (1000, 9)];
/// All of them, and one for what is longer.
const FINE: usize = 20 + 15 + 10 + 10 + 6 + 5 + 9 + 1;

/// The longest time that each bucket is for, in milliseconds.
const FINE_ENDS: [u64; FINE] = {
    let mut ends = [u64::MAX; FINE];
    let (mut at, mut end, mut kind) = (0, 0, 0);
    while kind < WIDTHS.len() {
        let (width, count) = WIDTHS[kind];
        let mut number = 0;
        while number < count {
            end += width;
            ends[at] = end;
            at += 1;
            number += 1;
        }
        kind += 1;
    }
    ends
};

/// How often a time fell into each bucket.
#[derive(Clone, Copy, Debug)]
struct Minute {
    shown: [u64; SHOWN.len()],
    fine: [u64; FINE],
}

/// What is measured.
#[derive(Debug)]
pub(super) struct Latencies {
    shown: [AtomicU64; SHOWN.len()],
    fine: [AtomicU64; FINE],
    last_minute: Mutex<Minute>,
    longest_put_ms: AtomicU64,
    longest_get_ms: AtomicU64,
}

impl Default for Latencies {
    fn default() -> Self {
        Self {
            shown: std::array::from_fn(|_| AtomicU64::new(0)),
            fine: std::array::from_fn(|_| AtomicU64::new(0)),
            last_minute: Mutex::new(Minute { shown: [0; SHOWN.len()], fine: [0; FINE] }),
            longest_put_ms: AtomicU64::new(0),
            longest_get_ms: AtomicU64::new(0),
        }
    }
}

impl Latencies {
    /// An append ended, well or not: of one message, or of a batch.
    pub fn put_took(&self, took: Duration) {
        let ms = whole_ms(took);
        let shown = SHOWN.partition_point(|(end, _)| *end <= ms).min(SHOWN.len() - 1);
        let fine = FINE_ENDS.partition_point(|end| *end < ms).min(FINE - 1);
        self.shown[shown].fetch_add(1, Ordering::Relaxed);
        self.fine[fine].fetch_add(1, Ordering::Relaxed);
        raise(&self.longest_put_ms, ms);
    }

    /// A queue was looked into.
    pub fn get_took(&self, took: Duration) {
        raise(&self.longest_get_ms, whole_ms(took));
    }

    /// A minute is over.
    pub fn begin_minute(&self) {
        let mut last = self.last_minute.lock().unwrap_or_else(PoisonError::into_inner);
        *last = Minute {
            shown: std::array::from_fn(|at| self.shown[at].swap(0, Ordering::Relaxed)),
            fine: std::array::from_fn(|at| self.fine[at].swap(0, Ordering::Relaxed)),
        };
    }

    /// `putMessageEntireTimeMax`, in milliseconds.
    pub fn longest_put_ms(&self) -> u64 {
        self.longest_put_ms.load(Ordering::Relaxed)
    }

    /// `getMessageEntireTimeMax`, in milliseconds.
    pub fn longest_get_ms(&self) -> u64 {
        self.longest_get_ms.load(Ordering::Relaxed)
    }

    /// `putMessageDistributeTime`. 4.9.4 has the text `null` until its first minute is over.
    pub fn distribution(&self) -> String {
        let counts = self.last().shown;
        SHOWN.iter().zip(counts).map(|((_, name), count)| format!("[{name}]:{count} ")).collect()
    }

    /// `putLatency99` and `putLatency999`, in milliseconds: what so many thousandths of the appends took at most, as
    /// 4.9.4 reckons it within a bucket.
    pub fn percentile(&self, thousandths: u64) -> f64 {
        let counts = self.last().fine;
        let wanted = counts.iter().sum::<u64>() * thousandths / 1000;
        let (mut passed, mut begin) = (0, 0);
        for (count, end) in counts.into_iter().zip(FINE_ENDS) {
            if wanted <= passed + count {
                let part = if count == 0 { 0.0 } else { (wanted - passed) as f64 / count as f64 };
                return begin as f64 + (end - begin) as f64 * part;
            }
            passed += count;
            begin = end;
        }
        0.0
    }

    fn last(&self) -> Minute {
        *self.last_minute.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn whole_ms(took: Duration) -> u64 {
    u64::try_from(took.as_millis()).unwrap_or(u64::MAX)
}

/// Mostly it is no longer one: a plain load is cheaper than to write each time.
fn raise(longest: &AtomicU64, ms: u64) {
    if ms > longest.load(Ordering::Relaxed) {
        longest.fetch_max(ms, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(times_ms: &[u64]) -> Latencies {
        let latencies = Latencies::default();
        for ms in times_ms {
            latencies.put_took(Duration::from_millis(*ms) + Duration::from_micros(900));
        }
        latencies.begin_minute();
        latencies
    }

    #[test]
    fn the_last_minute_is_shown_by_494s_buckets_b360() {
        let latencies = of(&[0, 0, 1, 9, 10, 49, 50, 500, 999, 1000, 9999, 10_000, 1_000_000]);
        let text = "[<=0ms]:2 [0~10ms]:2 [10~50ms]:2 [50~100ms]:1 [100~200ms]:0 [200~500ms]:0 [500ms~1s]:2 [1~2s]:1 \
            [2~3s]:0 [3~4s]:0 [4~5s]:0 [5~10s]:1 [10s~]:2 ";
        assert_eq!(
            (latencies.distribution().as_str(), latencies.longest_put_ms()),
            (text, 1_000_000)
        );
        latencies.begin_minute();
        assert!(latencies.distribution().starts_with("[<=0ms]:0 [0~10ms]:0 "));
        assert_eq!(latencies.longest_put_ms(), 1_000_000, "since the start");
    }

    #[test]
    fn percentiles_are_reckoned_as_494_does() {
        assert_eq!(FINE_ENDS[..2], [1, 2]);
        assert_eq!(FINE_ENDS[19..21], [20, 22]);
        assert_eq!(FINE_ENDS[FINE - 2..], [10_000, u64::MAX]);
        let shown =
            |times: &[u64], thousandths| format!("{:.2}", of(times).percentile(thousandths));
        assert_eq!(shown(&[], 990), "0.00");
        assert_eq!(shown(&[0; 100], 990), "0.99");
        let mut times = [1; 200].to_vec();
        times.extend([21, 22]);
        assert_eq!((shown(&times, 500), shown(&times, 999)), ("0.51".into(), "21.00".into()));
    }

    #[test]
    fn the_longest_get_is_kept() {
        let latencies = Latencies::default();
        for ms in [1, 7, 3] {
            latencies.get_took(Duration::from_millis(ms));
        }
        assert_eq!(latencies.longest_get_ms(), 7);
    }
}
