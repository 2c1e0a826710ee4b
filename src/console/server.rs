//! HTTP/1 connections: taken, bounded and ended.
//!
//! Not what is answered. Invariants: there are at most [`CONNECTIONS_MAX`] connections; who is slow to ask, or
//! reads nothing, is closed; a connection that should be encrypted and is not only hears where to go instead.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response, StatusCode, header};
use axum::response::IntoResponse;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use nix::sys::socket::{setsockopt, sockopt};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use crate::task::{self, Kind};

/// Connections at a time; more wait.
const CONNECTIONS_MAX: usize = 256;
/// How long a connection may take until it speaks, encrypts, or has sent the head of a request.
const HEAD_MAX: Duration = Duration::from_secs(15);
/// How long an answer may take until it begins.
const ANSWER_MAX: Duration = Duration::from_secs(60);
/// How long a page waits for the cluster: less, so that it still tells what is known by then and who did not answer.
pub const CLUSTER_MAX: Duration = Duration::from_secs(50);
/// How long what was sent may stay unread, in milliseconds.
const UNREAD_MAX_MS: u32 = 30_000;
/// How long answers that are on their way are waited for at the end.
const GRACE: Duration = Duration::from_secs(1);
/// What is read ahead of one connection.
const BUFFER_BYTES: usize = 64 << 10;
/// How long to wait when the system has no more files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Makes streams of accepted connections.
pub trait Door: Send + Sync + 'static {
    /// What is read and written.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// The connection when it is ready.
    ///
    /// # Errors
    /// It is lost, or cannot be encrypted.
    fn accept(
        &self,
        tcp: TcpStream,
    ) -> impl Future<Output = io::Result<Accepted<Self::Stream>>> + Send;
}

/// A connection that is ready.
#[derive(Debug)]
pub struct Accepted<S> {
    /// What is read and written.
    pub stream: S,
    /// Whether it is.
    pub is_encrypted: bool,
    /// Whether it should be: passwords would cross a network.
    pub must_be_encrypted: bool,
}

/// Who a request comes from.
#[derive(Clone, Copy, Debug)]
pub struct Peer {
    /// Where they are.
    pub address: SocketAddr,
    /// Whether the connection is encrypted.
    pub is_encrypted: bool,
}

/// Serves until `stop`; then answers what is on its way.
pub async fn serve<D: Door>(
    listener: TcpListener,
    door: D,
    router: Router,
    stop: CancellationToken,
) {
    let (door, places) = (Arc::new(door), Arc::new(Semaphore::new(CONNECTIONS_MAX)));
    loop {
        let accepted = async {
            let place = Arc::clone(&places).acquire_owned().await.expect("it is never closed");
            (place, listener.accept().await)
        };
        let (place, (tcp, peer)) = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            accepted = accepted => match accepted {
                (place, Ok(connection)) => (place, connection),
                (_, Err(error)) => {
                    tracing::warn!(%error, "the console cannot accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            },
        };
        // The kernel keeps to it also where the peer answers and has no room, which hyper would wait out.
        if let Err(error) = setsockopt(&tcp, sockopt::TcpUserTimeout, &UNREAD_MAX_MS) {
            tracing::warn!(%peer, %error, "a connection to the console may stay unread for long");
        }
        let (door, router, stop) = (Arc::clone(&door), router.clone(), stop.clone());
        task::spawn(Kind::Ignore, "console connection", async move {
            let _place = place;
            match tokio::time::timeout(HEAD_MAX, door.accept(tcp)).await {
                Ok(Ok(accepted)) => connection(accepted, peer, router, stop).await,
                Ok(Err(error)) => {
                    tracing::debug!(%peer, %error, "a connection to the console is refused")
                }
                Err(_) => tracing::debug!(%peer, "a connection to the console said nothing"),
            }
        });
    }
    drop(listener);
    // All places are free when the last connection has ended.
    let all = u32::try_from(CONNECTIONS_MAX).unwrap_or(u32::MAX);
    let _ = tokio::time::timeout(GRACE, places.acquire_many(all)).await;
}

async fn connection<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    accepted: Accepted<S>,
    address: SocketAddr,
    router: Router,
    stop: CancellationToken,
) {
    let Accepted { stream, is_encrypted, must_be_encrypted } = accepted;
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(Peer { address, is_encrypted });
        let router = router.clone();
        async move {
            if must_be_encrypted && !is_encrypted {
                return Ok::<_, Infallible>(elsewhere(&request));
            }
            match tokio::time::timeout(ANSWER_MAX, router.oneshot(request)).await {
                Ok(answered) => answered,
                Err(_) => Ok(StatusCode::GATEWAY_TIMEOUT.into_response()),
            }
        }
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEAD_MAX).max_buf_size(BUFFER_BYTES);
    let mut serving = std::pin::pin!(builder.serve_connection(TokioIo::new(stream), service));
    let ended = tokio::select! {
        ended = serving.as_mut() => ended,
        () = stop.cancelled() => {
            serving.as_mut().graceful_shutdown();
            match tokio::time::timeout(GRACE, serving).await {
                Ok(ended) => ended,
                Err(_) => return,
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!(peer = %address, %error, "a connection to the console is lost");
    }
}

/// The same page with HTTPS, for those who write addresses without it.
fn elsewhere(request: &Request<Incoming>) -> Response<Body> {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    let Some(host) = host else { return StatusCode::BAD_REQUEST.into_response() };
    let to = format!("https://{host}{}", request.uri());
    (StatusCode::PERMANENT_REDIRECT, [(header::LOCATION, to)]).into_response()
}

#[cfg(test)]
mod tests {
    use nix::sys::socket::getsockopt;
    use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

    use super::*;

    /// Tells how long each connection may leave something unread.
    struct Telling(UnboundedSender<u32>);

    impl Door for Telling {
        type Stream = TcpStream;

        async fn accept(&self, tcp: TcpStream) -> io::Result<Accepted<TcpStream>> {
            self.0.send(getsockopt(&tcp, sockopt::TcpUserTimeout).unwrap()).unwrap();
            Err(io::Error::other("that is all"))
        }
    }

    #[tokio::test]
    async fn who_reads_nothing_is_closed() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, mut told) = unbounded_channel();
        let stop = CancellationToken::new();
        let served = serve(listener, Telling(sender), Router::new(), stop.clone());
        task::spawn(Kind::Ignore, "console", served);
        let _peer = TcpStream::connect(address).await.unwrap();
        assert_eq!(told.recv().await, Some(UNREAD_MAX_MS));
        stop.cancel();
    }
}
