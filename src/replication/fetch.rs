//! Copying what a master lacks from a member that has it, before it serves.
//!
//! Not whether and what: `start_step` decides. Invariants: the history under which bytes come is on the disk before
//! them; bytes come only from the member that was asked, in the state in which it answered.

use std::sync::Arc;

use super::decide::{PeerRole, PeerView};
use super::history::History;
use super::member::Member;
use super::peers::{Peer, PeerError};
use super::receiver::{Copying, End, Followed, blocking, first_report};

/// What came of it, whole or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// Where the own log ends now.
    pub end: u64,
    /// Whether the history was taken over.
    pub adopted: bool,
    /// Whether all came: what the own log lacks of it then is the part of a record.
    pub is_done: bool,
}

impl Member {
    /// Copies the log of the member at `broker` up to `to`; `seen` is what it said when that was decided.
    pub async fn fetch(
        self: &Arc<Self>,
        broker: &str,
        seen: &PeerView,
        to: u64,
        adopt: &History,
    ) -> Fetched {
        let mut adopted = false;
        let tried = self.try_fetch(broker, seen, to, adopt, &mut adopted).await;
        if let Err(error) = &tried {
            let group = &self.options().group;
            tracing::warn!(
                group,
                broker,
                to,
                "not all of what is missing here was copied: {error}"
            );
        }
        Fetched { end: self.store().log_range().1.0, adopted, is_done: tried.is_ok() }
    }

    async fn try_fetch(
        self: &Arc<Self>,
        broker: &str,
        seen: &PeerView,
        to: u64,
        adopt: &History,
        adopted: &mut bool,
    ) -> Result<(), End> {
        let ha = self.ha_address_of(broker).await?;
        let mut stream = self.dial_ha(broker, &ha).await?;
        let local_port = stream.local_addr()?.port();
        let (now, peer) = self.view_of(broker, local_port, PeerRole::Slave).await?;
        if (now.node, &now.log.history) != (seen.node, &seen.log.history) || now.log.end < to {
            return Err(End::NotServing("it has another log than a moment ago".to_owned()));
        }
        let (member, history) = (Arc::clone(self), adopt.clone());
        blocking(move || member.past().adopt(&history)).await?;
        *adopted = true;
        let first = match peer {
            Peer::Ours(_) => self.store().log_range().1.0,
            Peer::Plain => first_report(self, broker).await?,
        };
        tracing::info!(
            group = self.options().group,
            broker,
            from = first,
            to,
            "what is missing here is copied"
        );
        let (mut heard, mut followed) = (false, Followed::new(self));
        let copying = Copying {
            member: self,
            stream_number: self.lock_incoming().ended,
            goal: Some(to),
            whole_at: None,
            is_ours: matches!(peer, Peer::Ours(_)),
            followed: &mut followed,
            heard: &mut heard,
        };
        copying.run(&mut stream, first).await
    }

    /// Where a member's HA port is; one of 4.9.4 has it one above its broker port (H-001), unless it was told otherwise.
    async fn ha_address_of(self: &Arc<Self>, broker: &str) -> Result<String, PeerError> {
        if let Peer::Ours(hello) = self.greet(broker, 0).await? {
            return Ok(hello.ha_address);
        }
        let above = broker.rsplit_once(':').and_then(|(host, port)| {
            let port = port.parse::<u16>().ok()?.checked_add(1)?;
            Some(format!("{host}:{port}"))
        });
        Ok(above.unwrap_or_else(|| broker.to_owned()))
    }
}
