//! A listening port: accepts, and stops in an orderly way.
//!
//! Not here: what a connection does (`driver`). A connection is in `Open` from its acceptance to the
//! end of its task.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::driver::Driver;
use super::{Connection, Limits, Service, Stream, Tls};
use crate::task;

/// Connections the kernel keeps for us to accept.
const BACKLOG: u32 = 1024;
/// How long requests in flight may take once the server stops.
const STOP_GRACE: Duration = Duration::from_secs(3);
/// The pause after a failed accept; running out of descriptors does not pass at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A bound listening socket that is not served yet.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    limits: Arc<Limits>,
    tls: Tls,
}

impl Server {
    /// Binds with the socket options of R-062; must run inside a tokio runtime.
    ///
    /// # Errors
    /// The address is in use or not ours.
    pub fn bind(address: SocketAddr, limits: Arc<Limits>) -> io::Result<Self> {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        Self::listen(socket, limits)
    }

    /// Lets connections in at a socket that is bound; must run inside a tokio runtime.
    ///
    /// # Errors
    /// What the system says.
    pub fn listen(socket: TcpSocket, limits: Arc<Limits>) -> io::Result<Self> {
        let listener = socket.listen(BACKLOG)?;
        let address = listener.local_addr()?;
        Ok(Self { listener, address, limits, tls: Tls::default() })
    }

    /// The same that takes TLS too, or nothing else, as `tls` says at each moment.
    #[must_use]
    pub fn with_tls(self, tls: &Tls) -> Self {
        Self { tls: tls.clone(), ..self }
    }

    /// The bound address.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop`; then stops accepting, answers what is in flight, closes.
    pub async fn serve(self, service: Arc<dyn Service>, stop: CancellationToken) {
        let Self { listener, limits, tls, .. } = self;
        let open = Arc::new(Open::default());
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                accepted = listener.accept() => match accepted {
                    Ok((stream, remote)) => {
                        if let Err(error) = stream.set_nodelay(true) {
                            // The peer is gone already; the first read says so.
                            tracing::debug!(peer = %remote, %error, "cannot set TCP_NODELAY");
                        }
                        start(&open, &limits, &service, tls.accepted(stream), canonical(remote));
                    }
                    Err(error) => {
                        tracing::warn!(%error, "cannot accept a connection");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                },
            }
        }
        drop(listener);
        open.each(Connection::drain);
        if tokio::time::timeout(STOP_GRACE, open.wait_until_empty()).await.is_err() {
            open.each(|connection| connection.close("we stop"));
            open.wait_until_empty().await;
        }
    }
}

/// Starts the task of one accepted connection.
fn start(
    open: &Arc<Open>,
    limits: &Arc<Limits>,
    service: &Arc<dyn Service>,
    stream: Stream,
    remote: SocketAddr,
) {
    if !limits.open_connection() {
        tracing::debug!(peer = %remote, "a connection is refused");
        return;
    }
    let connection = Connection::accepted(remote, Arc::clone(limits));
    let entry = Entry { open: Arc::clone(open), connection: connection.clone() };
    open.lock().insert(connection.id(), connection.clone());
    let driver = Driver::new(connection, stream, Some(Arc::clone(service)));
    task::spawn(task::Kind::Ignore, "connection", async move {
        let _entry = entry;
        driver.run().await;
    });
}

/// The connections of one server.
#[derive(Default)]
struct Open {
    connections: Mutex<HashMap<u64, Connection>>,
    emptied: Notify,
}

impl Open {
    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Connection>> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn each(&self, action: impl Fn(&Connection)) {
        let connections: Vec<Connection> = self.lock().values().cloned().collect();
        connections.iter().for_each(action);
    }

    async fn wait_until_empty(&self) {
        loop {
            let emptied = self.emptied.notified();
            if self.lock().is_empty() {
                return;
            }
            emptied.await;
        }
    }
}

/// Takes a connection off the list when its task ends, however that happens.
struct Entry {
    open: Arc<Open>,
    connection: Connection,
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.connection.limits().close_connection();
        let is_empty = {
            let mut connections = self.open.lock();
            connections.remove(&self.connection.id());
            connections.is_empty()
        };
        if is_empty {
            self.open.emptied.notify_waiters();
        }
    }
}

/// Java, which all compare with, has no IPv4 addresses in IPv6 ones, of which `::` takes peers.
fn canonical(remote: SocketAddr) -> SocketAddr {
    SocketAddr::new(remote.ip().to_canonical(), remote.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv4_peer_of_an_ipv6_port_has_its_ipv4_address() {
        for (remote, shown) in [
            ("[::ffff:10.0.0.5]:7", "10.0.0.5:7"),
            ("[::1]:7", "[::1]:7"),
            ("10.0.0.5:7", "10.0.0.5:7"),
        ] {
            assert_eq!(canonical(remote.parse().unwrap()).to_string(), shown);
        }
    }
}
