//! What operators do to a cluster, as plain functions: the admin facade (DESIGN 3).
//!
//! | file | what |
//! | --- | --- |
//! | `cluster` | which brokers there are, and how they are: 106, then 28 and 9001 of each |
//! | `topics` | topics: list, show, create, delete, repair |
//! | `calls` | one request each, at one address: what the others and the old commands of mqadmin are made of |
//! | `timers` | messages that wait for a time of their own: cancel |
//!
//! It is a client of the cluster over remoting codes, never of this process, so that it works on Apache's
//! and mixed clusters too. Not here: how results are printed. Invariants: lists are read by bulk codes,
//! never by a call an item; an action on several brokers goes on after one has failed and tells of each.

mod calls;
mod cluster;
#[cfg(test)]
mod tests;
mod timers;
mod topics;

use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use crate::remoting::{Command, DecodeError, response};
use crate::transport::{CallError, Client, Signer};

pub use calls::{
    AccountVersions, ConsumedDirectly, Message, Pull, PullStatus, Pulled, Reset, Sent, Statistics,
    statistics,
};
pub use cluster::{ClusterState, Member, SlaveCopy};
pub use topics::{
    CreateTopic, Drift, Kind, Listing, Outcome, QueueStats, Repair, Settings, Topic, TopicOnBroker,
    TopicStats, WhereDone, permission_from_text, permission_text,
};

/// How long one call may take (`mqadmin`'s own).
const CALL_TIMEOUT: Duration = Duration::from_secs(5);
/// Of an answer without a remark.
const NO_REASON: &str = "no reason given";

/// Why an action was not done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AdminError {
    /// Nobody answers there.
    #[error("{0}")]
    Unreachable(String),
    /// There is no such thing.
    #[error("{0}")]
    NotFound(String),
    /// What was asked for makes no sense; nothing was called.
    #[error("{0}")]
    Invalid(String),
    /// The cluster is in a state in which it cannot be done.
    #[error("{0}")]
    Conflict(String),
    /// A name server or broker said no.
    #[error("{address} refused: {remark} (code {code} {})", response::name(*code))]
    Refused {
        /// Who.
        address: String,
        /// Its response code.
        code: i32,
        /// Its own words.
        remark: String,
    },
    /// A name server or broker answered something that 4.9 does not.
    #[error("{address} answered what cannot be read: {reason}")]
    Answer {
        /// Who.
        address: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl AdminError {
    fn unreadable(address: &str, error: &DecodeError) -> Self {
        Self::Answer { address: address.to_owned(), reason: error.to_string() }
    }

    fn refused(address: &str, answer: Command) -> Self {
        let remark = answer.remark.unwrap_or_else(|| NO_REASON.to_owned());
        Self::Refused { address: address.to_owned(), code: answer.code, remark }
    }

    /// Whether it was refused with this code.
    #[must_use]
    pub fn is_refused(&self, refused: i32) -> bool {
        matches!(self, Self::Refused { code, .. } if *code == refused)
    }
}

impl From<CallError> for AdminError {
    fn from(error: CallError) -> Self {
        Self::Unreachable(error.to_string())
    }
}

/// One cluster, or several that share name servers.
#[derive(Debug)]
pub struct Admin {
    client: Client,
    /// Each as `host:port`.
    name_servers: Vec<String>,
}

impl Admin {
    /// Connects to nobody yet; `signer` signs what it asks, where accounts are on.
    #[must_use]
    pub fn new(name_servers: Vec<String>, signer: Signer) -> Self {
        Self { client: Client::signing(None, signer), name_servers }
    }

    /// A successful answer, or why there is none.
    async fn call(&self, address: &str, request: Command) -> Result<Command, AdminError> {
        self.call_within(address, request, CALL_TIMEOUT).await
    }

    /// The same, waiting for `timeout` at most.
    async fn call_within(
        &self,
        address: &str,
        request: Command,
        timeout: Duration,
    ) -> Result<Command, AdminError> {
        let answer = self.client.call(address, request, timeout).await?;
        if answer.code == response::SUCCESS {
            return Ok(answer);
        }
        Err(AdminError::refused(address, answer))
    }

    /// The same of the first name server that can be reached, with its address: they all know the same.
    async fn call_name_server(&self, request: &Command) -> Result<(&str, Command), AdminError> {
        let mut reasons = Vec::new();
        for address in &self.name_servers {
            match self.call(address, request.clone()).await {
                Err(AdminError::Unreachable(reason)) => reasons.push(reason),
                Err(error) if error.is_refused(response::REQUEST_CODE_NOT_SUPPORTED) => {
                    return Err(no_name_server(address));
                }
                answered => return answered.map(|answer| (address.as_str(), answer)),
            }
        }
        Err(AdminError::Unreachable(format!("no name server answers: {}", reasons.join("; "))))
    }
}

/// Who does not know what every name server of 4.9 answers is something else.
fn no_name_server(address: &str) -> AdminError {
    let text = format!(
        "{address} is no name server, it may be a broker's port: name a name server with -n, whose port is usually 9876"
    );
    AdminError::Invalid(text)
}

/// Runs futures side by side; the values come in their order.
async fn all<F: Future>(futures: impl IntoIterator<Item = F>) -> Vec<F::Output> {
    let mut running: Vec<_> = futures.into_iter().map(|future| (Box::pin(future), None)).collect();
    poll_fn(|context| {
        for (future, value) in &mut running {
            if value.is_none()
                && let Poll::Ready(done) = future.as_mut().poll(context)
            {
                *value = Some(done);
            }
        }
        if running.iter().all(|(_, value)| value.is_some()) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
    running.into_iter().filter_map(|(_, value)| value).collect()
}
