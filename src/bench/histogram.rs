//! Counts durations in buckets of 1/32 of their size: fixed memory, one addition per value.
//!
//! A value is told back as the upper end of its bucket, so quantiles are never too good and at most
//! 3.2 % too bad; the maximum is exact.

use std::time::Duration;

/// Buckets per power of two.
const STEPS: usize = 32;
const STEP_BITS: u32 = STEPS.trailing_zeros();
/// Values from 0 to `u64::MAX`.
const BUCKETS: usize = (64 - STEP_BITS as usize + 1) * STEPS;

/// Durations in nanoseconds, counted.
#[derive(Clone, Debug)]
pub struct Histogram {
    counts: Box<[u64]>,
    max: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: vec![0; BUCKETS].into_boxed_slice(), max: 0 }
    }
}

impl Histogram {
    /// Counts one duration.
    pub fn record(&mut self, duration: Duration) {
        let ns = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.counts[bucket(ns)] += 1;
        self.max = self.max.max(ns);
    }

    /// Adds what another one counted.
    pub fn merge(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count += more;
        }
        self.max = self.max.max(other.max);
    }

    /// The longest duration.
    #[must_use]
    pub fn max(&self) -> Duration {
        Duration::from_nanos(self.max)
    }

    /// The duration that `percent` (0 to 100) of all do not exceed; zero when nothing was counted.
    #[must_use]
    pub fn percentile(&self, percent: u64) -> Duration {
        let total: u64 = self.counts.iter().sum();
        let wanted = (total * percent).div_ceil(100).max(1);
        let mut seen = 0;
        for (at, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= wanted {
                return Duration::from_nanos(upper_end(at).min(self.max));
            }
        }
        Duration::ZERO
    }
}

/// Values below `STEPS` have a bucket each; above, a bucket is a power of two's 32nd part.
fn bucket(value: u64) -> usize {
    let shift = (u64::BITS - value.leading_zeros()).saturating_sub(STEP_BITS + 1);
    let step = usize::try_from(value >> shift).unwrap_or(usize::MAX);
    usize::try_from(shift).unwrap_or_default() * STEPS + step
}

/// The largest value of a bucket.
fn upper_end(bucket: usize) -> u64 {
    let shift = (bucket / STEPS).saturating_sub(1);
    let step = u128::try_from(bucket - shift * STEPS).unwrap_or_default();
    u64::try_from(((step + 1) << shift) - 1).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn quantiles_of_a_thousand() {
        let mut histogram = Histogram::default();
        assert_eq!(histogram.percentile(99), Duration::ZERO);
        for us in 1..=1000 {
            histogram.record(Duration::from_micros(us));
        }
        let p50 = histogram.percentile(50).as_nanos();
        assert!((500_000..=516_000).contains(&p50), "{p50}");
        let p99 = histogram.percentile(99).as_nanos();
        assert!((990_000..=1_000_000).contains(&p99), "{p99}");
        assert_eq!(histogram.percentile(100), Duration::from_millis(1));
        let mut other = Histogram::default();
        other.record(Duration::from_secs(9));
        histogram.merge(&other);
        assert_eq!(histogram.max(), Duration::from_secs(9));
    }

    proptest! {
        #[test]
        fn a_value_lies_in_its_bucket(value: u64) {
            let at = bucket(value);
            prop_assert!(at < BUCKETS);
            prop_assert!(upper_end(at) >= value);
            prop_assert!(at == 0 || upper_end(at - 1) < value);
            prop_assert!(upper_end(at) - value <= value / 32);
        }
    }
}
