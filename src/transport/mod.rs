//! Moves commands over TCP, both ways, with limits. Contract section 1.6.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::remoting::Command;

/// What answers requests on a listening port.
pub trait Service: Send + Sync + 'static {
    /// Handles one request without blocking; the answer goes through `responder`, now or later, or never.
    fn on_request(&self, request: Command, responder: Responder);
    /// All complete requests of one read were handed over; group work (appends) happens here.
    fn on_batch_end(&self) {}
    /// The connection is gone.
    fn on_close(&self, _connection: &Connection) {}
}

/// A cheap handle to one connection; equal handles mean the same connection.
#[derive(Clone, Debug)]
pub struct Connection;

impl Connection {
    /// Unique in this process, never used again.
    #[must_use]
    pub fn id(&self) -> u64 {
        todo!()
    }
    /// The peer's address.
    #[must_use]
    pub fn remote(&self) -> SocketAddr {
        todo!()
    }
    /// Whether it can still be written to.
    #[must_use]
    pub fn is_open(&self) -> bool {
        todo!()
    }
    /// Sends a request that has no answer.
    pub fn send_oneway(&self, _request: Command) {
        todo!()
    }
    /// Sends a request and waits for its answer.
    ///
    /// # Errors
    /// Connection lost or no answer within `timeout`.
    pub async fn call(&self, _request: Command, _timeout: Duration) -> Result<Command, CallError> {
        todo!()
    }
    /// Closes it; queued answers may be lost.
    pub fn close(&self, _reason: &str) {
        todo!()
    }
}

/// Sends the one answer of one request.
#[derive(Debug)]
pub struct Responder;

impl Responder {
    /// Where the request came from.
    #[must_use]
    pub fn connection(&self) -> &Connection {
        todo!()
    }
    /// Sends the answer (opaque and serialize type are the request's); nothing for oneway requests.
    pub fn send(self, _answer: Command) {
        todo!()
    }
    /// Sends the answer with a JSON header whatever the request had.
    pub fn send_json(self, _answer: Command) {
        todo!()
    }
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
    #[error("connection to {0} lost")]
    Lost(String),
    /// No answer in time.
    #[error("no answer from {0} in time")]
    Timeout(String),
}

/// A bound listening socket that is not served yet.
#[derive(Debug)]
pub struct Server;

impl Server {
    /// Binds with the socket options of R-062; must run inside a tokio runtime.
    ///
    /// # Errors
    /// The address is in use or not ours.
    pub fn bind(_address: SocketAddr, _limits: Arc<Limits>) -> std::io::Result<Self> {
        todo!()
    }
    /// The bound address.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        todo!()
    }
    /// Serves until `stop`; then stops accepting, answers what is in flight, closes.
    pub async fn serve(self, _service: Arc<dyn Service>, _stop: CancellationToken) {
        todo!()
    }
}

/// Numbers that bound what peers can make us hold (DESIGN 10).
#[derive(Clone, Debug)]
pub struct Limits;

/// Calls to other processes, one connection an address, made when first needed.
#[derive(Clone, Debug)]
pub struct Client;

impl Client {
    /// A client without connections; `service` answers what peers ask over them.
    #[must_use]
    pub fn new(_service: Option<Arc<dyn Service>>) -> Self {
        todo!()
    }
    /// Sends a request to `host:port` and waits for its answer.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn call(
        &self,
        _address: &str,
        _request: Command,
        _timeout: Duration,
    ) -> Result<Command, CallError> {
        todo!()
    }
    /// Sends a request that has no answer.
    ///
    /// # Errors
    /// No connection could be made.
    pub async fn send_oneway(&self, _address: &str, _request: Command) -> Result<(), CallError> {
        todo!()
    }
}
