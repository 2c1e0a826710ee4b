//! Calls to other processes.
//!
//! One connection per address, made when first needed, shared by all callers, made anew by the next
//! call after it was lost. A caller that must know its connection (a broker is known to a name
//! server by it, N-024) asks for it with [`Client::connection`] and uses it directly.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::net::{TcpSocket, TcpStream, lookup_host};

use super::driver::Driver;
use super::{CallError, Connection, Limits, Service, Signer};
use crate::remoting::Command;
use crate::task;

///
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// Calls to other processes, one connection an address, made when first needed. Dropping the last
/// clone closes the connections.
#[derive(Clone)]
pub struct Client(Arc<Inner>);

/// The connection to one address; locked while it is being made, so that it is made once.
type Slot = Arc<tokio::sync::Mutex<Option<Connection>>>;

struct Inner {
    service: Option<Arc<dyn Service>>,
    /// The address of this host that connections come from; the system's choice without one.
    from: Option<IpAddr>,
    signer: Signer,
    limits: Arc<Limits>,
    slots: Mutex<HashMap<String, Slot>>,
}

impl Client {
    /// A client without connections; `service` answers what peers ask over them, without one they
    /// get code 3.
    #[must_use]
    pub fn new(service: Option<Arc<dyn Service>>) -> Self {
        Self::with(service, None, Signer::default())
    }

    /// The same whose requests are signed.
    #[must_use]
    pub fn signing(service: Option<Arc<dyn Service>>, signer: Signer) -> Self {
        Self::with(service, None, signer)
    }

    /// A client whose connections come from `from`, one of this host's addresses; peers that ask get code 3.
    #[must_use]
    pub fn from_address(from: IpAddr, signer: Signer) -> Self {
        Self::with(None, Some(from), signer)
    }

    fn with(service: Option<Arc<dyn Service>>, from: Option<IpAddr>, signer: Signer) -> Self {
        let (limits, slots) = (Arc::default(), Mutex::default());
        Self(Arc::new(Inner { service, from, signer, limits, slots }))
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
        let slot = {
            let mut slots = self.0.slots.lock().unwrap_or_else(PoisonError::into_inner);
            match slots.get(address) {
                Some(slot) => Arc::clone(slot),
                None => Arc::clone(slots.entry(address.to_owned()).or_default()),
            }
        };
        let mut held = slot.lock().await;
        if let Some(connection) = held.as_ref().filter(|connection| connection.is_open()) {
            return Ok(connection.clone());
        }
        let connection = self.connect(address).await?;
        *held = Some(connection.clone());
        Ok(connection)
    }

    /// Closes the connection to `host:port`, if there is one.
    pub async fn close(&self, address: &str, reason: &str) {
        let slot = self.0.slots.lock().unwrap_or_else(PoisonError::into_inner).remove(address);
        if let Some(slot) = slot
            && let Some(connection) = slot.lock().await.take()
        {
            connection.close(reason);
        }
    }

    async fn connect(&self, address: &str) -> Result<Connection, CallError> {
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
        let (stream, remote) = tokio::time::timeout(CONNECT_TIMEOUT, connecting)
            .await
            .map_err(|_| failed(format!("no answer in {} s", CONNECT_TIMEOUT.as_secs())))?
            .map_err(|error| failed(error.to_string()))?;
        let connection = Connection::new(remote, Arc::clone(&self.0.limits), self.0.signer.clone());
        let driver = Driver::new(connection.clone(), stream, self.0.service.clone());
        task::spawn(task::Kind::Ignore, "connection", driver.run());
        Ok(connection)
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
                && let Some(connection) = held.take()
            {
                connection.close("its client is gone");
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
}
