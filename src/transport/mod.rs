//! Moves commands over TCP, both ways, with limits. Contract sections 1.5 and 1.6.
//!
//! | file | what |
//! | --- | --- |
//! | `server` | a listening port: accepting and stopping |
//! | `client` | calls to other processes, a connection per address |
//! | `dial` | whether somebody listens at an address |
//! | `connection` | handles: [`Connection`], [`Responder`], and what they share with the driver |
//! | `driver` | the task of one connection: reads, hands over, writes |
//! | `outgoing` | frames that wait to be written |
//! | `trimmed` | bytes taken from the front, without the memory of those that are gone |
//! | `limits` | what peers can make us hold |
//! | `tls/` | what encrypts connections |
//!
//! Not here: what requests mean. Invariants: a request costs no task, no channel and no timer; an
//! answer may come at any time from any thread; [`Service::on_close`] comes once per connection; a
//! bad frame ends its own connection only.

mod client;
mod connection;
mod dial;
mod driver;
mod limits;
mod outgoing;
mod server;
#[cfg(test)]
mod tests;
mod tls;
mod trimmed;

pub use client::Client;
pub use connection::{Connection, Responder};
pub use dial::{Dialled, dial, dial_all};
pub use limits::{Admitted, LimitNumbers, Limits};
pub use server::Server;
pub use tls::{Refused, Stream, Tls, TlsError, TlsMaterial};

use std::fmt;
use std::sync::Arc;

use crate::remoting::Command;

/// What happens to each request of ours just before it is sent: who has an account signs it. The default does nothing.
#[derive(Clone, Default)]
pub struct Signer(Option<Arc<Sign>>);

type Sign = dyn Fn(&mut Command) + Send + Sync;

impl Signer {
    /// One that signs.
    #[must_use]
    pub fn new(sign: impl Fn(&mut Command) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(sign)))
    }

    fn sign(&self, request: &mut Command) {
        if let Some(sign) = &self.0 {
            sign(request);
        }
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Signer").field(&self.0.is_some()).finish()
    }
}

/// What this process shows to those it calls: its account, and its certificate. The default has neither.
#[derive(Clone, Debug, Default)]
pub struct Credentials {
    /// What signs requests.
    pub signer: Signer,
    /// What encrypts connections.
    pub tls: Tls,
}

/// What answers requests on a listening port.
pub trait Service: Send + Sync + 'static {
    /// Handles one request without blocking; the answer goes through `responder`, now or later, or never.
    fn on_request(&self, request: Command, responder: Responder);
    /// All complete requests of one read were handed over; group work (appends) happens here.
    fn on_batch_end(&self) {}
    /// The connection is gone.
    fn on_close(&self, _connection: &Connection) {}
}

/// Why a call has no answer.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CallError {
    /// No connection could be made.
    #[error("cannot connect to {address}: {reason}")]
    Connect {
        /** Whom. */
        address: String,
        /** Why. */
        reason: String,
    },
    /// The connection ended first.
    #[error("connection to {address} lost: {reason}")]
    Lost {
        /** To whom. */
        address: String,
        /** Why. */
        reason: String,
    },
    /// No answer in time.
    #[error("no answer from {0} in time")]
    Timeout(String),
    /// Nothing was sent.
    #[error("the request to {0} is not sent: its header is longer than a frame can tell")]
    TooLong(String),
}
