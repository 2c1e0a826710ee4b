//! TLS on the ports and towards peers (contract 1.7, S-56).
//!
//! | file | what |
//! | --- | --- |
//! | `material` | the operator's certificate, key and CAs, read and judged |
//! | `stream` | a connection, plain or encrypted, and how it comes to be one |
//!
//! Not here: what goes over a connection. Invariants: which certificate counts can change at any time, and no open
//! connection ends by that; in mode enforcing no byte of a command or of a log is sent or taken in plain; whoever is
//! dialled is believed only with a certificate of the CAs that names the address that was dialled.

mod material;
mod stream;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwapOption;
use tokio::net::TcpStream;
use tokio::sync::watch;

pub use material::{TlsError, TlsMaterial};
pub use stream::{Refused, Stream};

/// What encrypts connections, for all who share it: nothing, or what was made of files last.
#[derive(Clone, Debug, Default)]
pub struct Tls(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    material: ArcSwapOption<TlsMaterial>,
    /// How often TLS was turned on or off, the mode changed, or whether others are dialled with it.
    changes: watch::Sender<u64>,
    /// Who is dialled in plain though TLS is on, and why.
    plain: Mutex<HashMap<String, String>>,
}

impl Tls {
    /// With these; without any, connections are plain.
    #[must_use]
    pub fn new(material: Option<TlsMaterial>) -> Self {
        let tls = Self::default();
        tls.set(material);
        tls
    }

    /// Connections that begin from now on use these. Whether they are others than before.
    pub fn set(&self, material: Option<TlsMaterial>) -> bool {
        let old = self.0.material.load_full();
        if old.as_deref() == material.as_ref() {
            return false;
        }
        let way = |material: &TlsMaterial| (material.mode(), material.dials());
        let is_other_way = old.as_deref().map(way) != material.as_ref().map(way);
        self.0.material.store(material.map(Arc::new));
        if is_other_way {
            self.0.changes.send_modify(|count| *count += 1);
        }
        true
    }

    /// What counts now.
    #[must_use]
    pub fn material(&self) -> Option<Arc<TlsMaterial>> {
        self.0.material.load_full()
    }

    /// Whether TLS is taken from those who connect.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.0.material.load().is_some()
    }

    /// Whether nothing but TLS is taken and made.
    #[must_use]
    pub fn is_enforced(&self) -> bool {
        self.0.material.load().as_ref().is_some_and(|material| material.is_enforced())
    }

    /// Returns when TLS is turned on or off, its mode changes, or whether others are dialled with it, from now on: for
    /// those whose connection is plain.
    pub fn changed(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut changes = self.changes();
        async move {
            if changes.changed().await.is_err() {
                // Nobody is left who could change it.
                std::future::pending().await
            }
        }
    }

    /// Changes when TLS is turned on or off, its mode changes, or whether others are dialled with it; not when a
    /// certificate is renewed.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.0.changes.subscribe()
    }

    /// What somebody else has accepted; its first byte decides what it is.
    #[must_use]
    pub fn accepted(&self, tcp: TcpStream) -> Stream {
        Stream::accepted(self.clone(), tcp)
    }

    /// What somebody has connected who wants the admin API: encrypted where TLS is on, whatever its mode, else plain;
    /// with whose certificate it showed, if it did, as RFC 4514 writes names (`CN=alice,O=Example`).
    ///
    /// # Errors
    /// Its handshake failed, or took too long.
    pub async fn accept_http2(&self, tcp: TcpStream) -> io::Result<(Stream, Option<String>)> {
        match self.material() {
            Some(material) => stream::accept_http2(self.clone(), &material, tcp).await,
            None => Ok((self.plain(tcp), None)),
        }
    }

    /// A plain connection to somebody.
    #[must_use]
    pub fn plain(&self, tcp: TcpStream) -> Stream {
        Stream::plain(self.clone(), tcp)
    }

    /// Whether those who are dialled are dialled with TLS.
    #[must_use]
    pub fn dials(&self) -> bool {
        self.0.material.load().as_ref().is_some_and(|material| material.dials())
    }

    /// Encrypts a connection that was made to `host:port`.
    ///
    /// # Errors
    /// Why not, in a sentence about the peer.
    pub async fn secure(&self, tcp: TcpStream, address: &str) -> Result<Stream, String> {
        let material = self.material().ok_or_else(|| "TLS is off here".to_owned())?;
        stream::connect(self.clone(), &material, tcp, address).await
    }

    /// Notes that `host:port` is dialled in plain although TLS is on, and tells it when it is news.
    pub fn note_plain(&self, address: &str, reason: &str) {
        let mut plain = self.0.plain.lock().unwrap_or_else(PoisonError::into_inner);
        let known = plain.insert(address.to_owned(), reason.to_owned());
        if known.as_deref() != Some(reason) {
            tracing::warn!(address, "this peer is dialled without TLS: {reason}");
        }
    }

    /// Notes that TLS goes on with a peer.
    pub fn note_encrypted(&self, address: &str) {
        self.0.plain.lock().unwrap_or_else(PoisonError::into_inner).remove(address);
    }
}

/// The host of `host:port`, or of an address in brackets.
fn host(address: &str) -> &str {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    host.trim_start_matches('[').trim_end_matches(']')
}
