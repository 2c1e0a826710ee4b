//! Has the brokers of the node reckon their figures now and then, shows them as metrics, and tells who keeps them.
//!
//! Not the reckoning (`broker::figures`), nor the names (`metrics`). Invariants: a scrape reads what was reckoned last and
//! waits for nothing; the rounds never overlap.

use std::sync::Arc;
use std::time::Duration;

use super::Base;
use super::broker_role::{BrokerRole, Stage};
use crate::metrics::BrokerFigures;
use crate::task::{self, Kind};

/// Reckons until the node stops, and shows what was reckoned last. Within the runtime that does it.
pub fn start(brokers: &[Arc<BrokerRole>], base: &Base) {
    let read = {
        let brokers = brokers.to_vec();
        move || -> Vec<Arc<BrokerFigures>> {
            brokers.iter().filter_map(|one| one.running()?.broker.figures()).collect()
        }
    };
    base.metrics.figures(read.clone());
    let live = Arc::clone(&base.live);
    let is_wanted = move || live.settings(|settings| settings.metrics.exporter_names);
    let of_exporter = read.clone();
    base.metrics.exporter(move || is_wanted().then(&of_exporter));
    let (brokers, base) = (brokers.to_vec(), base.clone());
    task::spawn(Kind::Ignore, "figures", async move {
        let rounds = async {
            // The first round finds all that there are.
            for broker in &brokers {
                // The sender lives as long as the role.
                let _ = broker.stage().wait_for(|stage| *stage != Stage::Opening).await;
            }
            loop {
                let (interval_s, with_queues, sends_alerts) = base.live.settings(|settings| {
                    let (metrics, alerts) = (&settings.metrics, &settings.alerts);
                    let sends_alerts = alerts.enabled && alerts.has_receivers();
                    (metrics.interval_s, metrics.queue_lag, sends_alerts)
                });
                reckon(&brokers, with_queues, sends_alerts).await;
                base.live.figures.send_replace(read());
                tokio::time::sleep(Duration::from_secs(interval_s)).await;
            }
        };
        let _ = base.stop.run_until_cancelled(rounds).await;
    });
}

async fn reckon(brokers: &[Arc<BrokerRole>], with_queues: bool, sends_alerts: bool) {
    let open: Vec<_> = brokers.iter().filter_map(|one| one.running()).collect();
    let reckoning = task::spawn_blocking("figures", move || {
        open.iter().for_each(|one| one.broker.reckon(with_queues, sends_alerts));
    });
    // It fails only if it panics, which is reported.
    let _ = reckoning.await;
}
