//! The services on a TCP port: accepting, TLS, and who has connected.
//!
//! Not who is let in (`gate`). Invariants: a handshake holds back nobody else; where TLS is on nothing is taken in plain,
//! and where it is off nothing from another host.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic::transport::server::Connected;

use super::gate::{Gate, TcpPeer};
use super::server;
use crate::task::{self, Kind};
use crate::transport::{Admitted, Limits, Stream, Tls};

/// The pause after a failed accept; running out of descriptors does not pass at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Connections that wait to be served.
const WAITING_MAX: usize = 16;

/// A port that listens.
#[derive(Debug)]
pub struct AdminPort {
    listener: TcpListener,
    door: Door,
}

/// What a connection goes through before it is served.
#[derive(Clone, Debug)]
struct Door {
    tls: Tls,
    limits: Arc<Limits>,
    gate: Gate,
}

impl AdminPort {
    /// Takes connections at `listener`, as many as the limits allow, for those whom `gate` lets in.
    #[must_use]
    pub fn new(listener: TcpListener, tls: Tls, limits: Arc<Limits>, gate: Gate) -> Self {
        Self { listener, door: Door { tls, limits, gate } }
    }

    /// Serves until `stop`.
    ///
    /// # Errors
    /// What ended it before.
    pub async fn serve(
        self,
        routes: Routes,
        stop: CancellationToken,
    ) -> Result<(), tonic::transport::Error> {
        let gate = self.door.gate.clone();
        let (out, connections) = mpsc::channel(WAITING_MAX);
        let accepting = self.accept(out, stop.clone());
        task::spawn(Kind::Ignore, "admin port", accepting);
        server::serve(ReceiverStream::new(connections), routes, gate, stop).await
    }

    async fn accept(self, out: mpsc::Sender<io::Result<Connection>>, stop: CancellationToken) {
        loop {
            let accepted = tokio::select! {
                () = stop.cancelled() => return,
                accepted = self.listener.accept() => accepted,
            };
            match accepted {
                Ok((tcp, address)) => {
                    let (door, out, stop) = (self.door.clone(), out.clone(), stop.clone());
                    let entering = async move {
                        if let Some(connection) = door.enter(tcp, address).await {
                            // Nobody serves any more: it is closed.
                            let _ = out.send(Ok(connection)).await;
                        }
                    };
                    task::spawn(Kind::Ignore, "admin connection", async move {
                        tokio::select! {
                            () = entering => {}
                            () = stop.cancelled() => {}
                        }
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection to the admin API");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

impl Door {
    /// A connection that can be served, once its handshake is done.
    async fn enter(&self, tcp: TcpStream, address: SocketAddr) -> Option<Connection> {
        let admitted = self.limits.admit()?;
        if let Err(error) = tcp.set_nodelay(true) {
            // The peer is gone already; the first read says so.
            tracing::debug!(peer = %address, %error, "cannot set TCP_NODELAY");
        }
        if !self.tls.is_on() && !address.ip().to_canonical().is_loopback() {
            self.gate.refuse(address, "TLS is off, and it comes from another host");
            return None;
        }
        match self.tls.accept_http2(tcp).await {
            Ok((stream, subject)) => {
                Some(Connection { stream, peer: TcpPeer { address, subject }, _admitted: admitted })
            }
            Err(error) => {
                self.gate.refuse(address, &error.to_string());
                None
            }
        }
    }
}

/// A connection that is served.
#[derive(Debug)]
struct Connection {
    stream: Stream,
    peer: TcpPeer,
    _admitted: Admitted,
}

impl Connected for Connection {
    type ConnectInfo = TcpPeer;

    fn connect_info(&self) -> TcpPeer {
        self.peer.clone()
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
#[path = "port_tests.rs"]
mod tests;
