//! What was counted, over restarts: a file in the group's folder, written from time to time and at the end.
//!
//! Not the counting (`statistics`). Invariants: the file is replaced as a whole; a broker starts without it, and with
//! one that cannot be read, and says so. Nothing but figures depends on it.

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::Broker;
use super::statistics::{Mornings, Statistics};
use super::statistics_items::Counted;
use crate::clock::Clock;
use crate::files;

/// What is kept.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Saved {
    /// Of the newest sample, in days since 1970 in the time zone that the host had.
    pub day: Option<i64>,
    pub mornings: Mornings,
    pub stored: Counted,
    pub failed: u64,
    pub found: SavedItem,
    pub missed: u64,
    pub all_puts: SavedItem,
    /// By topic and group.
    pub puts: Vec<(String, String, SavedItem)>,
    pub gets: Vec<(String, String, SavedItem)>,
    pub sent_back: Vec<(String, String, SavedItem)>,
}

/// One item: what it counted, and the samples of the day.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SavedItem {
    pub counted: Counted,
    pub day: Vec<(i64, Counted)>,
}

fn path(dir: &Path) -> PathBuf {
    dir.join("statistics.json")
}

/// What a broker counted before, or nothing. Blocks.
pub(super) fn load(dir: &Path, clock: &Clock) -> Statistics {
    let path = path(dir);
    let read = std::fs::read(&path);
    let saved = match read {
        Ok(bytes) => serde_json::from_slice(&bytes).map_err(io::Error::from),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Statistics::new(clock),
        Err(error) => Err(error),
    };
    match saved {
        Ok(saved) => Statistics::restored(clock, saved),
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "statistics begin anew: what was saved cannot be read");
            Statistics::new(clock)
        }
    }
}

/// Writes down what was counted. Blocks.
pub(super) fn save(broker: &Broker) {
    let path = path(&broker.store.options().dir);
    let text = serde_json::to_string(&broker.statistics.saved()).map_err(io::Error::from);
    if let Err(error) = text.and_then(|text| files::replace(&path, text)) {
        tracing::warn!(path = %path.display(), %error, "statistics cannot be saved now");
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::tests_support::TestBroker;
    use super::*;

    #[tokio::test]
    async fn what_was_counted_survives_a_restart() {
        let broker = TestBroker::new();
        for body in ["1", "2", "3"] {
            broker.send("T", "", body).await;
        }
        let statistics = &broker.broker.statistics;
        statistics.messages_out("G", "T", 2, 20);
        statistics.sample_now();
        let before = statistics.saved();
        let broker = broker.restarted().await;
        let statistics = &broker.broker.statistics;
        assert_eq!(statistics.saved(), before);
        let totals = statistics.totals();
        assert_eq!((totals.stored.messages, totals.found.messages), (3, 2));
        broker.send("T", "", "4").await;
        for _ in 0..11 {
            broker.clock.advance(Duration::from_secs(1));
            statistics.sample_now();
        }
        assert_eq!(
            broker.counted("TOPIC_PUT_NUMS", "T", "statsMinute").await,
            1,
            "since the start"
        );
        assert_eq!(broker.counted("GROUP_GET_NUMS", "T@G", "statsDay").await, 2);
    }

    #[tokio::test]
    async fn a_night_in_which_the_broker_stood_still_is_a_morning_b361() {
        let broker = TestBroker::new();
        broker.send("T", "", "x").await;
        broker.broker.statistics.sample_now();
        let clock = broker.clock.clone();
        let broker = broker.restarted().await;
        clock.advance(Duration::from_secs(24 * 3600));
        broker.send("T", "", "y").await;
        broker.broker.statistics.sample_now();
        let mornings = broker.broker.statistics.mornings();
        assert_eq!((mornings.yesterday.stored.messages, mornings.today.stored.messages), (0, 2));
    }

    #[tokio::test]
    async fn a_file_that_cannot_be_read_is_no_obstacle() {
        let broker = TestBroker::new();
        let file = path(&broker.broker.store.options().dir);
        broker.broker.statistics.pull_missed();
        let broker = broker.restarted().await;
        assert_eq!(broker.broker.statistics.totals().missed, 1);
        std::fs::write(&file, "[]").unwrap();
        assert_eq!(load(file.parent().unwrap(), &broker.clock).totals().missed, 0);
    }
}
