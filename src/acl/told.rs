//! Who was told of in the log: once a source and hour, so that a flood of refusals fills no log.
//!
//! Not what is told, nor how often it happened, which others count. Invariant: memory is bounded, whatever the number of
//! sources.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::clock::Clock;

/// How long a source is not told of again.
const TOLD_FOR: Duration = Duration::from_secs(3600);
/// Sources that are remembered; more are not told of.
const SOURCES_MAX: usize = 1024;

/// Sources that were told of.
#[derive(Debug)]
pub struct Told {
    clock: Clock,
    sources: Mutex<HashMap<IpAddr, Source>>,
}

#[derive(Debug)]
struct Source {
    at: Instant,
    /// What came from there since.
    more: u64,
}

impl Told {
    /// Nobody yet.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        Self { clock, sources: Mutex::default() }
    }

    /// How often something from there was not told since the last time that it was, if it is to be told now.
    pub fn is_news(&self, from: IpAddr) -> Option<u64> {
        let now = self.clock.monotonic();
        let mut sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        let is_known = |source: &Source| now.saturating_duration_since(source.at) < TOLD_FOR;
        if let Some(before) = sources.get_mut(&from) {
            if is_known(before) {
                before.more += 1;
                return None;
            }
            let Source { more, .. } = std::mem::replace(before, Source { at: now, more: 0 });
            return Some(more);
        }
        if sources.len() >= SOURCES_MAX {
            sources.retain(|_, before| is_known(before));
        }
        if sources.len() >= SOURCES_MAX {
            return None;
        }
        sources.insert(from, Source { at: now, more: 0 });
        Some(0)
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn each_source_is_told_once_an_hour_and_not_all_are_remembered() {
        let clock = Clock::system();
        let told = Told::new(clock.clone());
        let from = |number: u32| Ipv4Addr::from_bits(number).into();
        assert_eq!(told.is_news(from(0)), Some(0));
        assert_eq!(told.is_news(from(0)), None);
        assert_eq!(told.is_news(from(1)), Some(0));
        clock.advance(TOLD_FOR);
        assert_eq!(told.is_news(from(0)), Some(1));
        for number in 1..3000 {
            told.is_news(from(number));
        }
        assert_eq!(told.sources.lock().unwrap().len(), SOURCES_MAX);
    }
}
