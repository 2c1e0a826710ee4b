//! Who tried wrong passwords, and how long they wait.
//!
//! Invariant: memory for [`ADDRESSES_MAX`] addresses; who came first is forgotten first.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::clock::Clock;

/// Wrong passwords that cost nothing.
const FREE: u32 = 5;
/// What the next one costs; each further one twice as much as the one before.
const WAIT_MS: i64 = 10_000;
const WAIT_MAX_MS: i64 = 15 * 60 * 1000;
/// After so long without a try all is forgotten.
const FORGET_MS: i64 = 60 * 60 * 1000;
const ADDRESSES_MAX: usize = 4096;

#[derive(Clone, Copy, Debug)]
struct Tries {
    count: u32,
    last_ms: i64,
}

/// All addresses that tried.
#[derive(Debug)]
pub struct Guesses {
    clock: Clock,
    tries: Mutex<HashMap<IpAddr, Tries>>,
}

impl Guesses {
    /// Nobody.
    pub fn new(clock: Clock) -> Self {
        Self { clock, tries: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, Tries>> {
        self.tries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How long this address has to wait, if it has to.
    pub fn wait_s(&self, from: IpAddr) -> Option<u64> {
        let tries = *self.lock().get(&place(from))?;
        let over = tries.count.checked_sub(FREE)?;
        let wait_ms = WAIT_MS.checked_shl(over.min(10)).unwrap_or(WAIT_MAX_MS).min(WAIT_MAX_MS);
        let left_ms = tries.last_ms + wait_ms - self.clock.now_ms();
        u64::try_from(left_ms).ok().filter(|left| *left > 0).map(|left| left.div_ceil(1000))
    }

    /// Notes a try.
    pub fn tried(&self, from: IpAddr, is_right: bool) {
        let (from, now) = (place(from), self.clock.now_ms());
        let mut tries = self.lock();
        tries.retain(|_, one| now - one.last_ms < FORGET_MS);
        if is_right {
            tries.remove(&from);
            return;
        }
        if tries.len() >= ADDRESSES_MAX
            && let Some(first) = tries.iter().min_by_key(|(_, one)| one.last_ms).map(|(ip, _)| *ip)
        {
            tries.remove(&first);
        }
        let one = tries.entry(from).or_insert(Tries { count: 0, last_ms: now });
        *one = Tries { count: one.count.saturating_add(1), last_ms: now };
    }
}

/// Whose tries count together: who has an address of IPv6 has all of its /64.
fn place(from: IpAddr) -> IpAddr {
    match from.to_canonical() {
        IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() & !u128::from(u64::MAX)).into(),
        ip => ip,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_does_not_go_on_from_another_of_its_addresses() {
        let guesses = Guesses::new(Clock::system());
        let at = |text: &str| text.parse().unwrap();
        for last in 0..=FREE {
            guesses.tried(at(&format!("2001:db8:0:1::{last}")), false);
            guesses.tried(at(&format!("192.0.2.{last}")), false);
        }
        assert!(guesses.wait_s(at("2001:db8:0:1:ffff::1")).is_some());
        for other in ["2001:db8:0:2::1", "192.0.2.1", "::ffff:192.0.2.1"] {
            assert_eq!(guesses.wait_s(at(other)), None, "{other}");
        }
    }
}
