//! The load generator behind `rmq-node bench`: works against any 4.x cluster.
//!
//! | file | what |
//! | --- | --- |
//! | `produce` | sends: 310, batches as 320 |
//! | `consume` | pulls all queues of a topic from their beginning: 11 |
//! | `route` | which brokers and queues a topic has: 105 |
//! | `meter` | counts, the line each second, the summary |
//! | `histogram` | durations in fixed memory |
//! | `echo` | peers that only answer, the floor to compare brokers with |
//!
//! It measures brokers, not client libraries: no rebalance, no heartbeats, no retries; a failed
//! request is counted as what it was and the next one follows.

#![deny(clippy::print_stderr)]

mod consume;
mod echo;
mod histogram;
mod meter;
mod produce;
mod route;
#[cfg(test)]
mod tests;

use std::time::Duration;

pub use consume::{ConsumeOptions, consume};
pub use echo::{echo, echo_commands};
pub use histogram::Histogram;
pub use meter::{LatencyUs, Summary};
pub use produce::{Mode, ProduceOptions, produce};

use crate::remoting::SerializeType;
use crate::transport::{CallError, Client, Credentials};

/// How long one request may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// The pause after a lost or refused connection.
const RECONNECT_PAUSE: Duration = Duration::from_millis(100);

/// What producing and consuming have in common.
#[derive(Clone, Debug)]
pub struct Load {
    /// Name servers as `host:port`, asked in turn.
    pub name_servers: Vec<String>,
    /// What is shown to brokers and name servers.
    pub credentials: Credentials,
    /// A broker as `host:port`: no name server is asked, and the topic is taken to have four queues.
    pub broker: Option<String>,
    /// The topic; created by the first send where the brokers allow it.
    pub topic: String,
    /// Connections to each broker, at least 1.
    pub connections: usize,
    /// Requests in flight on each of them, at least 1.
    pub in_flight: usize,
    /// When to end; without it and `messages`, on a signal only.
    pub duration: Option<Duration>,
    /// How many messages to move.
    pub messages: Option<u64>,
    /// How request headers are encoded.
    pub serialize_type: SerializeType,
}

impl Load {
    fn client(&self) -> Client {
        Client::with(None, self.credentials.clone())
    }

    async fn queues(&self, purpose: route::Purpose) -> Result<Vec<route::Queue>, BenchError> {
        match &self.broker {
            Some(address) => Ok(route::of_broker(address)),
            None => {
                let client = self.client();
                route::find(&client, &self.name_servers, &self.topic, purpose).await
            }
        }
    }
}

/// Why a run could not begin.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// Neither a name server nor a broker was given.
    #[error("no name server given: use --name-server HOST:PORT or --broker HOST:PORT")]
    NoNameServer,
    /// No name server answered.
    #[error(transparent)]
    Call(#[from] CallError),
    /// A name server answered something else than a route.
    #[error("{address} answered {reason}")]
    Answer {
        /** Which name server. */
        address: String,
        /** What it said. */
        reason: String,
    },
    /// Nothing can be sent to or read from the topic.
    #[error(
        "topic \"{0}\" is not there, or has no queue for this: `rmq-node admin topics create {0}` makes one"
    )]
    NoQueues(String),
}
