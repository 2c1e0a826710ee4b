//! Calls to other processes.
//!
//! One connection per address, made when first needed, shared by all callers, made anew by the next
//! call after it was lost, or after a call over it had no answer in time. A caller that must know its
//! connection (a broker is known to a name server by it, N-024) asks for it with
//! [`Client::connection`] and uses it directly.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::{TcpSocket, TcpStream, lookup_host};

use super::driver::Driver;
use super::{CallError, Connection, Credentials, Limits, Service, Stream};
use crate::remoting::Command;
use crate::task;

///
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// Calls to other processes, one connection an address, made when first needed. Dropping the last
/// clone closes the connections.
#[derive(Clone)]
pub struct Client(Arc<Inner>);

/// The connection to one address; locked while it is being made, so that it is made once.
type Slot = Arc<tokio::sync::Mutex<Option<Made>>>;

/// Somebody's use of a slot: when it ends without a connection, and nobody else waits for one, the slot goes.
struct Use<'a> {
    client: &'a Inner,
    address: &'a str,
    slot: Slot,
}

impl Drop for Use<'_> {
    fn drop(&mut self) {
        if self.slot.try_lock().is_ok_and(|held| held.is_some()) {
            return;
        }
        let mut slots = self.client.lock_slots();
        // Got and given back under the lock, so that of several who leave at once the last one sees that it is.
        let slot = std::mem::take(&mut self.slot);
        let is_known = slots.get(self.address).is_some_and(|known| Arc::ptr_eq(known, &slot));
        let is_empty = slot.try_lock().is_ok_and(|held| held.is_none());
        if is_known && is_empty && Arc::strong_count(&slot) == 2 {
            slots.remove(self.address);
        }
    }
}

/// A connection that was made.
struct Made {
    connection: Connection,
    /// How often it had changed before whether TLS is dialled ([`Tls::changes`](super::Tls::changes)).
    tls_changes: u64,
}

struct Inner {
    service: Option<Arc<dyn Service>>,
    /// The address of this host that connections come from; the system's choice without one.
    from: Option<IpAddr>,
    credentials: Credentials,
    limits: Arc<Limits>,
    slots: Mutex<HashMap<String, Slot>>,
}

impl Inner {
    fn lock_slots(&self) -> MutexGuard<'_, HashMap<String, Slot>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The slot of an address, made now if there is none.
    fn slot<'a>(&'a self, address: &'a str) -> Use<'a> {
        let mut slots = self.lock_slots();
        let slot = match slots.get(address) {
            Some(slot) => Arc::clone(slot),
            None => Arc::clone(slots.entry(address.to_owned()).or_default()),
        };
        Use { client: self, address, slot }
    }
}

impl Client {
    /// A client without connections; `service` answers what peers ask over them, without one they
    /// get code 3.
    #[must_use]
    pub fn new(service: Option<Arc<dyn Service>>) -> Self {
        Self::made(service, None, Credentials::default())
    }

    /// The same that shows who it is.
    #[must_use]
    pub fn with(service: Option<Arc<dyn Service>>, credentials: Credentials) -> Self {
        Self::made(service, None, credentials)
    }

    /// A client whose connections come from `from`, one of this host's addresses; peers that ask get code 3.
    #[must_use]
    pub fn from_address(from: IpAddr, credentials: Credentials) -> Self {
        Self::made(None, Some(from), credentials)
    }

    fn made(
        service: Option<Arc<dyn Service>>,
        from: Option<IpAddr>,
        credentials: Credentials,
    ) -> Self {
        let (limits, slots) = (Arc::default(), Mutex::default());
        Self(Arc::new(Inner { service, from, credentials, limits, slots }))
    }

    /// Sends a request to `host:port` and waits for its answer, for `timeout` after the connection
    /// was made and for as long before.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn call(
        &self,
        address: &str,
        request: Command,
        timeout: Duration,
    ) -> Result<Command, CallError> {
        let connection = tokio::time::timeout(timeout, self.connection(address));
        let connection = connection.await.map_err(|_| CallError::Timeout(address.to_owned()))??;
        connection.call(request, timeout).await
    }

    /// Sends a request that has no answer.
    ///
    /// # Errors
    /// No connection could be made.
    pub async fn send_oneway(&self, address: &str, request: Command) -> Result<(), CallError> {
        self.connection(address).await?.send_oneway(request);
        Ok(())
    }

    /// The connection to `host:port`, made now if there is none.
    ///
    /// # Errors
    /// No connection could be made within 3 s.
    pub async fn connection(&self, address: &str) -> Result<Connection, CallError> {
        let used = self.0.slot(address);
        let mut held = used.slot.lock().await;
        let tls_changes = *self.0.credentials.tls.changes().borrow();
        // One from before such a change is left to whoever uses it; without use it ends by itself.
        let is_good = |made: &&Made| made.connection.is_open() && made.tls_changes == tls_changes;
        if let Some(made) = held.as_ref().filter(is_good) {
            return Ok(made.connection.clone());
        }
        *held = None;
        let connection = self.connect(address).await?;
        *held = Some(Made { connection: connection.clone(), tls_changes });
        Ok(connection)
    }

    /// With TLS if it is on; in mode permissive without, if the peer does not take it or cannot be believed.
    async fn connect(&self, address: &str) -> Result<Connection, CallError> {
        let tls = &self.0.credentials.tls;
        let failed = |reason| CallError::Connect { address: address.to_owned(), reason };
        let (tcp, remote) = self.dial(address).await?;
        if !tls.dials() {
            return Ok(self.start(tls.plain(tcp), remote));
        }
        match tls.secure(tcp, address).await {
            Ok(stream) => {
                tls.note_encrypted(address);
                Ok(self.start(stream, remote))
            }
            Err(reason) if tls.is_enforced() => Err(failed(reason)),
            Err(reason) => {
                let (tcp, remote) = self.dial(address).await?;
                tls.note_plain(address, &reason);
                Ok(self.start(tls.plain(tcp), remote))
            }
        }
    }

    async fn dial(&self, address: &str) -> Result<(TcpStream, SocketAddr), CallError> {
        let failed = |reason: String| CallError::Connect { address: address.to_owned(), reason };
        let connecting = async {
            let stream = match self.0.from {
                None => TcpStream::connect(address).await?,
                Some(from) => connect_from(from, address).await?,
            };
            stream.set_nodelay(true)?;
            let remote = stream.peer_addr()?;
            Ok::<_, io::Error>((stream, remote))
        };
        tokio::time::timeout(CONNECT_TIMEOUT, connecting)
            .await
            .map_err(|_| failed(format!("no answer in {} s", CONNECT_TIMEOUT.as_secs())))?
            .map_err(|error| failed(error.to_string()))
    }

    fn start(&self, stream: Stream, remote: SocketAddr) -> Connection {
        let (limits, signer) = (Arc::clone(&self.0.limits), self.0.credentials.signer.clone());
        let connection = Connection::dialled(remote, limits, signer);
        let driver = Driver::new(connection.clone(), stream, self.0.service.clone());
        task::spawn(task::Kind::Ignore, "connection", driver.run());
        connection
    }
}

/// Connects to `host:port` from an address of this host.
async fn connect_from(from: IpAddr, address: &str) -> io::Result<TcpStream> {
    let is_alike = |to: &SocketAddr| to.is_ipv4() == from.is_ipv4();
    let to = lookup_host(address).await?.find(is_alike).ok_or(io::ErrorKind::AddrNotAvailable)?;
    let socket = if from.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.bind(SocketAddr::new(from, 0))?;
    socket.connect(to).await
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        let slots = self.slots.get_mut().unwrap_or_else(PoisonError::into_inner);
        for slot in slots.values() {
            // Nobody can hold it: whoever does has a clone of the client.
            if let Ok(mut held) = slot.try_lock()
                && let Some(made) = held.take()
            {
                made.connection.close("its client is gone");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_call_does_not_wait_longer_than_its_time_for_a_connection() {
        let client = Client::new(None);
        let address = "127.0.0.1:1";
        let slot = Slot::default();
        client.0.slots.lock().unwrap().insert(address.to_owned(), Arc::clone(&slot));
        // Somebody else is connecting for ever.
        let _held = slot.lock().await;
        let result = client.call(address, Command::request(34), Duration::from_secs(1)).await;
        assert!(matches!(result, Err(CallError::Timeout(_))));
    }

    #[tokio::test]
    async fn addresses_that_nobody_listens_at_are_not_remembered() {
        let client = Client::new(None);
        // Not a port: nothing is looked up or dialled.
        for number in 0..1000 {
            let address = format!("127.0.0.1:{}", 70_000 + number);
            let (one, two) = tokio::join!(client.connection(&address), client.connection(&address));
            assert!(one.is_err() && two.is_err());
        }
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        client.connection(&address).await.unwrap().close("test");
        assert_eq!(client.0.lock_slots().len(), 1, "of the one that was there");
        drop(listener);
        client.connection(&address).await.unwrap_err();
        assert!(client.0.lock_slots().is_empty());
    }
}
