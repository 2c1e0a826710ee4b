//! Where events go: to standard error, one line each, or to the journal with their fields.
//!
//! Not what is told: modules do that with `tracing`. Invariant: no place in the code is heard more than
//! [`EVENTS_MAX`] times in [`WINDOW`], unless it is for debugging; what is left out is counted and told
//! by [`RateLimit::report`].

use std::collections::HashMap;
use std::io::{self, IsTerminal};
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tracing::callsite::Identifier;
use tracing::level_filters::LevelFilter;
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::reload::{self, Handle};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry};

use super::journal::{self, Journal};
use crate::clock::Clock;
use crate::config::Level;

/// How many events of one place are told in a window.
const EVENTS_MAX: u32 = 20;
/// How long a window lasts.
const WINDOW: Duration = Duration::from_secs(10);

/// Which events are told, to be changed while they are.
#[derive(Clone, Debug)]
pub struct Threshold(Handle<LevelFilter, Registry>);

impl Threshold {
    /// The least severe events that are told from now on.
    pub fn set(&self, level: Level) {
        // It only fails when nobody is told anything any more.
        let _ = self.0.reload(filter(level));
    }

    /// Of events that nobody is told.
    #[cfg(test)]
    pub fn of_nobody() -> Self {
        Self(reload::Layer::new(LevelFilter::OFF).1)
    }
}

/// Starts telling events; the first call in a process counts.
pub fn start(level: Level, clock: &Clock) -> (RateLimit, Threshold) {
    let limit = RateLimit::new(clock.clone());
    let (threshold, handle) = reload::Layer::new(filter(level));
    let registry = tracing_subscriber::registry().with(threshold).with(limit.clone());
    let journal = is_journal().then(|| Journal::new(Path::new(journal::SOCKET)));
    let started = match journal {
        Some(Ok(journal)) => registry.with(journal).try_init(),
        _ => {
            let lines = tracing_subscriber::fmt::layer().with_writer(io::stderr);
            let lines = lines.with_ansi(has_colours(&io::stderr()));
            registry.with(lines).try_init()
        }
    };
    if let Err(error) = started {
        tracing::debug!(%error, "events were already being told");
    }
    std::panic::set_hook(Box::new(|panic| {
        let text = panic.payload_as_str().unwrap_or("no text");
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let backtrace = std::backtrace::Backtrace::capture();
        tracing::error!(place, %backtrace, "a bug ends the node: {text}");
    }));
    (limit, Threshold(handle))
}

/// Whether what is written there is shown in colours: on a terminal that has them, unless `NO_COLOR` asks for none.
#[must_use]
pub fn has_colours(to: &impl IsTerminal) -> bool {
    let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let terminal = std::env::var_os("TERM");
    to.is_terminal() && !is_set("NO_COLOR") && terminal.is_some_and(|kind| kind != "dumb")
}

fn filter(level: Level) -> LevelFilter {
    match level {
        Level::Error => LevelFilter::ERROR,
        Level::Warn => LevelFilter::WARN,
        Level::Info => LevelFilter::INFO,
        Level::Debug => LevelFilter::DEBUG,
        Level::Trace => LevelFilter::TRACE,
    }
}

/// Whether standard error is the journal: systemd says which device and inode that would be.
pub fn is_journal() -> bool {
    let Ok(stream) = std::env::var("JOURNAL_STREAM") else { return false };
    let found = nix::sys::stat::fstat(io::stderr().as_fd());
    found.is_ok_and(|found| stream == format!("{}:{}", found.st_dev, found.st_ino))
}

/// Drops what one place in the code says too often.
#[derive(Clone, Debug)]
pub struct RateLimit {
    clock: Clock,
    places: Arc<Mutex<HashMap<Identifier, Place>>>,
}

#[derive(Debug)]
struct Place {
    name: &'static str,
    window_began: Instant,
    told: u32,
    left_out: u64,
}

impl RateLimit {
    fn new(clock: Clock) -> Self {
        Self { clock, places: Arc::default() }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Identifier, Place>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts one event of a place; false if it is one too many.
    fn admits(&self, metadata: &tracing::Metadata<'static>) -> bool {
        let now = self.clock.monotonic();
        let mut places = self.lock();
        let place = places.entry(metadata.callsite()).or_insert_with(|| Place {
            name: metadata.name(),
            window_began: now,
            told: 0,
            left_out: 0,
        });
        if now.duration_since(place.window_began) >= WINDOW {
            (place.window_began, place.told) = (now, 0);
        }
        let admitted = place.told < EVENTS_MAX;
        if admitted {
            place.told += 1;
        } else {
            place.left_out += 1;
        }
        admitted
    }

    /// Tells what was left out since the last call; says nothing if that is nothing.
    pub fn report(&self) {
        for (name, left_out) in self.take_left_out() {
            tracing::warn!(left_out, place = name, "more of the same was not told");
        }
    }

    fn take_left_out(&self) -> Vec<(&'static str, u64)> {
        let mut places = self.lock();
        let left_out = places.values_mut().filter(|place| place.left_out > 0);
        left_out.map(|place| (place.name, std::mem::take(&mut place.left_out))).collect()
    }
}

impl<S: Subscriber> Layer<S> for RateLimit {
    fn event_enabled(&self, event: &Event<'_>, _: Context<'_, S>) -> bool {
        // Who asks for debug events wants them all.
        *event.metadata().level() > tracing::Level::INFO || self.admits(event.metadata())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_heard_so_often_in_a_window_and_the_rest_is_counted() {
        let clock = Clock::system();
        let limit = RateLimit::new(clock.clone());
        let subscriber = tracing_subscriber::registry().with(limit.clone());
        tracing::subscriber::with_default(subscriber, || {
            let noise = || tracing::warn!("noise");
            for _ in 0..EVENTS_MAX + 3 {
                noise();
            }
            let left_out = limit.take_left_out();
            assert_eq!(left_out.len(), 1);
            assert_eq!(left_out[0].1, 3);
            assert!(left_out[0].0.contains("logging.rs"), "{left_out:?}");
            clock.advance(WINDOW);
            noise();
            for _ in 0..EVENTS_MAX + 3 {
                tracing::debug!("details");
            }
            assert!(limit.take_left_out().is_empty());
        });
    }
}
