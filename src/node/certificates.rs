//! The certificate and the CAs of a node: read at the start and at each reload, and watched until they end.
//!
//! Not what they are used for (`transport::tls`). Invariants: files that cannot be used keep a node from starting, and a
//! running one from changing anything; what only will not work, or not for long, is told and changes nothing.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::StartError;
use crate::clock::Clock;
use crate::config::Config;
use crate::metrics::{Gauge, Metrics};
use crate::transport::{Tls, TlsMaterial};

/// How often it is told that a certificate ends.
const PERIOD: Duration = Duration::from_secs(24 * 60 * 60);

/// Reads what the settings name. Blocks.
///
/// # Errors
/// It cannot be used: the file, and what to do.
pub fn read(config: &Config) -> Result<Option<TlsMaterial>, StartError> {
    TlsMaterial::load(&config.tls).map_err(|error| StartError(error.to_string()))
}

/// What will not work with these, or not for long.
pub fn findings(material: &TlsMaterial, config: &Config, clock: &Clock) -> Vec<String> {
    material.findings(clock.now_ms() / 1000, &addresses(config))
}

/// Where others dial this node.
fn addresses(config: &Config) -> Vec<IpAddr> {
    let mut addresses = vec![config.advertise, config.replication_advertise];
    addresses.dedup();
    addresses
}

/// Tells once a day what is not right with what counts then, for ever.
pub async fn watch(tls: Tls, config: Config, clock: Clock) {
    let mut pause = tokio::time::interval(PERIOD);
    loop {
        pause.tick().await;
        tell(&tls, &config, &clock);
    }
}

/// Tells what is not right with what counts now.
pub fn tell(tls: &Tls, config: &Config, clock: &Clock) {
    let Some(material) = tls.material() else { return };
    for finding in findings(&material, config, clock) {
        tracing::warn!("TLS: {finding}");
    }
}

/// Shows when the certificate ends; nothing while there is none.
pub fn show(tls: &Tls, metrics: &Arc<Metrics>) {
    let tls = tls.clone();
    metrics.gauge_if_any(Gauge::CertificateNotAfterSeconds, move || {
        usize::try_from(tls.material()?.not_after_s()?).ok()
    });
}
