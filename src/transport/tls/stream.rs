//! A connection, plain or encrypted, and how it comes to be one.
//!
//! Not who is trusted (`material`). An accepted connection is neither until its first byte is there, which costs
//! it one look, once. Invariants: a connection that says nothing is held back by nobody, and costs nothing more; one
//! that begins a handshake ends it within [`HANDSHAKE_MAX`] or is closed; what is plain moves as if there were no TLS.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep, timeout};
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{AlertDescription, CertificateError, Error};
use tokio_rustls::{Accept, TlsAcceptor, TlsConnector, TlsStream};
use x509_cert::Certificate;
use x509_cert::der::Decode;

use super::{Tls, TlsMaterial, host};

/// The first byte of a client that speaks TLS; of a frame, it would be one of 369 MB.
const HANDSHAKE_BYTE: u8 = 0x16;
/// How long a handshake may take.
const HANDSHAKE_MAX: Duration = Duration::from_secs(10);
/// The same when this node begins it: who is dialled is given no more to connect either.
const DIALLED_HANDSHAKE_MAX: Duration = Duration::from_secs(3);

/// Why a connection is not gone on with, in a sentence about the peer that an operator should see.
#[derive(Debug, thiserror::Error)]
#[error("{reason}")]
pub struct Refused {
    reason: String,
    /// Whether it is plain, where only TLS is taken.
    pub is_plain: bool,
}

impl Refused {
    /// Whether that is why a connection has ended.
    #[must_use]
    pub fn find(error: &io::Error) -> Option<&Self> {
        error.get_ref()?.downcast_ref()
    }
}

fn refused(reason: impl Into<String>) -> io::Error {
    io::Error::other(Refused { reason: reason.into(), is_plain: false })
}

/// A connection.
#[derive(Debug)]
pub struct Stream {
    tls: Tls,
    state: State,
}

#[derive(Debug)]
enum State {
    /// Nothing has come yet.
    Unknown(TcpStream),
    Handshake(Box<Handshake>),
    Plain(TcpStream),
    Encrypted(Box<TlsStream<TcpStream>>),
    /// It was refused.
    Ended,
}

struct Handshake {
    accept: Accept<TcpStream>,
    limit: Pin<Box<Sleep>>,
}

impl std::fmt::Debug for Handshake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Handshake").finish_non_exhaustive()
    }
}

impl Stream {
    pub(super) fn accepted(tls: Tls, tcp: TcpStream) -> Self {
        Self { tls, state: State::Unknown(tcp) }
    }

    pub(super) fn plain(tls: Tls, tcp: TcpStream) -> Self {
        Self { tls, state: State::Plain(tcp) }
    }

    /// Whether it is plain although nothing may be by now.
    #[must_use]
    pub fn is_forbidden(&self) -> bool {
        matches!(self.state, State::Plain(_)) && self.tls.is_enforced()
    }

    /// Whether it is encrypted, which is so from the first byte that is read.
    #[must_use]
    pub fn is_encrypted(&self) -> bool {
        matches!(self.state, State::Encrypted(_))
    }

    /// Waits until an accepted connection is plain or encrypted.
    ///
    /// # Errors
    /// It cannot be either, or is lost.
    pub async fn begin(&mut self) -> io::Result<()> {
        std::future::poll_fn(|context| self.poll_begin(context)).await
    }

    fn poll_begin(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            match &mut self.state {
                State::Plain(_) | State::Encrypted(_) => return Poll::Ready(Ok(())),
                State::Ended => return Poll::Ready(Err(refused("it was refused"))),
                State::Unknown(tcp) => {
                    let mut byte = [0];
                    let mut buffer = ReadBuf::new(&mut byte);
                    ready!(tcp.poll_peek(context, &mut buffer))?;
                    let first = buffer.filled().first().copied();
                    self.decide(first)?;
                }
                State::Handshake(handshake) => {
                    let Poll::Ready(shaken) = Pin::new(&mut handshake.accept).poll(context) else {
                        ready!(handshake.limit.as_mut().poll(context));
                        return Poll::Ready(Err(refused(too_slow())));
                    };
                    let stream =
                        shaken.map_err(|error| explained(error, "its TLS handshake failed"))?;
                    self.state = State::Encrypted(Box::new(TlsStream::Server(stream)));
                }
            }
        }
    }

    /// What a connection is by its first byte; none if it has ended.
    fn decide(&mut self, first: Option<u8>) -> io::Result<()> {
        let State::Unknown(tcp) = std::mem::replace(&mut self.state, State::Ended) else {
            return Ok(());
        };
        let material = self.tls.material();
        let server = material.as_ref().and_then(|material| material.server.clone());
        self.state = match (first, server) {
            (Some(HANDSHAKE_BYTE), None) => {
                return Err(refused(
                    "it speaks TLS, and this node has none: see [tls] in its settings",
                ));
            }
            (Some(HANDSHAKE_BYTE), Some(server)) => State::Handshake(Box::new(Handshake {
                accept: TlsAcceptor::from(server).accept(tcp),
                limit: Box::pin(sleep(HANDSHAKE_MAX)),
            })),
            (Some(_), _) if self.tls.is_enforced() => {
                let reason = "it does not speak TLS, and tls.mode is \"enforcing\"".to_owned();
                return Err(io::Error::other(Refused { reason, is_plain: true }));
            }
            _ => State::Plain(tcp),
        };
        Ok(())
    }

    /// The address of this end.
    ///
    /// # Errors
    /// The connection is gone, or in its handshake.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        match &self.state {
            State::Unknown(tcp) | State::Plain(tcp) => tcp.local_addr(),
            State::Encrypted(stream) => stream.get_ref().0.local_addr(),
            State::Handshake(_) | State::Ended => Err(io::ErrorKind::NotConnected.into()),
        }
    }
}

/// Shakes hands with somebody who has connected to the admin API.
pub(super) async fn accept_http2(
    tls: Tls,
    material: &TlsMaterial,
    tcp: TcpStream,
) -> io::Result<(Stream, Option<String>)> {
    let server = material.http2.as_ref().ok_or_else(|| refused("this process takes no TLS"))?;
    let accepting = timeout(HANDSHAKE_MAX, TlsAcceptor::from(Arc::clone(server)).accept(tcp));
    let shaken = accepting.await.map_err(|_| refused(too_slow()))?;
    let stream = shaken.map_err(|error| explained(error, "its TLS handshake failed"))?;
    let shown = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
    let subject = shown.map(|certificate| subject(certificate)).transpose()?;
    Ok((Stream { tls, state: State::Encrypted(Box::new(TlsStream::Server(stream))) }, subject))
}

/// Whose certificate it is, as RFC 4514 writes names.
fn subject(certificate: &CertificateDer<'_>) -> io::Result<String> {
    let certificate = Certificate::from_der(certificate)
        .map_err(|error| refused(format!("its certificate cannot be read: {error}")))?;
    Ok(certificate.tbs_certificate().subject().to_string())
}

fn too_slow() -> String {
    format!("its TLS handshake did not end within {} s", HANDSHAKE_MAX.as_secs())
}

/// Encrypts a connection that was made to `host:port`.
pub(super) async fn connect(
    tls: Tls,
    material: &TlsMaterial,
    tcp: TcpStream,
    address: &str,
) -> Result<Stream, String> {
    let client =
        material.client.as_ref().ok_or("its certificate cannot be checked: set tls.ca_file")?;
    let name = ServerName::try_from(host(address).to_owned())
        .map_err(|_| "a certificate cannot name such an address".to_owned())?;
    let connecting = TlsConnector::from(Arc::clone(client)).connect(name, tcp);
    let connected = timeout(DIALLED_HANDSHAKE_MAX, connecting).await.map_err(|_| {
        format!("its TLS handshake did not end within {} s", DIALLED_HANDSHAKE_MAX.as_secs())
    })?;
    let stream = connected.map_err(|error| {
        let no_tls = "it takes no TLS, or ended the handshake";
        explained(error, no_tls).to_string()
    })?;
    Ok(Stream { tls, state: State::Encrypted(Box::new(TlsStream::Client(stream))) })
}

/// An error of a connection in words for whoever runs it; `ended` is what a peer's going away means.
fn explained(error: io::Error, ended: &str) -> io::Error {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
        Some(cause) => refused(explain(cause)),
        None => refused(format!("{ended}: {error}")),
    }
}

/// What TLS says of a peer, in words for whoever runs it.
pub(super) fn explain(error: &Error) -> String {
    use AlertDescription as Alert;
    use CertificateError as Bad;
    match error {
        Error::InvalidCertificate(bad) => match bad {
            // The latter of another CA that has the same name.
            Bad::UnknownIssuer | Bad::BadSignature => {
                "its certificate is of none of the CAs in tls.ca_file".to_owned()
            }
            Bad::NotValidForName | Bad::NotValidForNameContext { .. } => {
                format!("its certificate does not name the address that is dialled: {bad}")
            }
            Bad::Expired | Bad::ExpiredContext { .. } => {
                format!("its certificate has expired: {bad}")
            }
            bad => format!("its certificate is not accepted: {bad}"),
        },
        Error::NoCertificatesPresented => {
            "it shows no certificate, and tls.client_certificates is \"required\"".to_owned()
        }
        Error::AlertReceived(alert) => match alert {
            Alert::UnknownCA
            | Alert::CertificateUnknown
            | Alert::BadCertificate
            | Alert::UnsupportedCertificate
            | Alert::CertificateExpired
            | Alert::DecryptError => {
                format!(
                    "it does not accept the certificate that it is shown ({alert:?}): does it trust the same CA?"
                )
            }
            Alert::CertificateRequired => {
                "it lets nobody in without a certificate (CertificateRequired)".to_owned()
            }
            alert => format!("it refuses TLS ({alert:?})"),
        },
        error => format!("its TLS cannot be understood: {error}"),
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let State::Plain(tcp) = &mut self.state {
            return Pin::new(tcp).poll_read(context, buffer);
        }
        ready!(self.poll_begin(context))?;
        match &mut self.state {
            State::Plain(tcp) => Pin::new(tcp).poll_read(context, buffer),
            State::Encrypted(stream) => match ready!(Pin::new(stream).poll_read(context, buffer)) {
                // Frames say themselves where they end: that a peer goes without a word is as on a plain connection.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Poll::Ready(Ok(())),
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                    Poll::Ready(Err(explained(error, "")))
                }
                read => Poll::Ready(read),
            },
            _ => Poll::Pending,
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if !matches!(self.state, State::Plain(_)) {
            ready!(self.poll_begin(context))?;
        }
        match &mut self.state {
            State::Plain(tcp) => Pin::new(tcp).poll_write(context, bytes),
            State::Encrypted(stream) => Pin::new(stream).poll_write(context, bytes),
            _ => Poll::Pending,
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if !matches!(self.state, State::Plain(_)) {
            ready!(self.poll_begin(context))?;
        }
        match &mut self.state {
            State::Plain(tcp) => Pin::new(tcp).poll_write_vectored(context, slices),
            State::Encrypted(stream) => Pin::new(stream).poll_write_vectored(context, slices),
            _ => Poll::Pending,
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.state {
            State::Encrypted(stream) => Pin::new(stream).poll_flush(context),
            // The kernel has it, or there is nothing.
            _ => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.state {
            State::Unknown(tcp) | State::Plain(tcp) => Pin::new(tcp).poll_shutdown(context),
            State::Encrypted(stream) => Pin::new(stream).poll_shutdown(context),
            State::Handshake(_) | State::Ended => Poll::Ready(Ok(())),
        }
    }
}
