//! Who is let in: each call is judged before its service hears of it.
//!
//! Over the unix socket the kernel has judged already, by the socket's mode. Over TCP a call shows a token or its
//! connection a certificate (`logins`), whose role must be enough for the method (`roles`). A token counts before a
//! certificate: who sends one says as whom to act. Invariants: what comes another way is refused; a refusal is counted
//! each time and told once a source and hour; no token is in a text.

use std::net::SocketAddr;
use std::sync::Arc;

use tonic::Status;
use tonic::codegen::http::{self, HeaderMap, header};
use tonic::transport::server::UdsConnectInfo;
use tower::BoxError;
use tower::filter::Predicate;

use super::logins::{Login, Logins};
use super::roles::{Needed, needed};
use crate::acl::told::Told;
use crate::clock::Clock;
use crate::metrics::Metrics;
use crate::model::shown;

/// How a token is sent, in the header `authorization`.
const SCHEME: &str = "Bearer ";

/// Who has connected over TCP; each call of the connection has it.
#[derive(Clone, Debug)]
pub struct TcpPeer {
    /// From where.
    pub address: SocketAddr,
    /// Whose certificate it showed.
    pub subject: Option<String>,
}

/// Lets calls in, or not.
#[derive(Clone, Debug)]
pub struct Gate(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    logins: Logins,
    metrics: Arc<Metrics>,
    told: Told,
}

impl Gate {
    /// For these logins.
    #[must_use]
    pub fn new(logins: Logins, metrics: Arc<Metrics>, clock: Clock) -> Self {
        Self(Arc::new(Inner { logins, metrics, told: Told::new(clock) }))
    }

    /// Who calls; nobody where nobody has to be known.
    fn admit(
        &self,
        path: &str,
        headers: &HeaderMap,
        peer: &TcpPeer,
    ) -> Result<Option<Login>, Status> {
        let Needed::Role(needed) = needed(path) else { return Ok(None) };
        let login = match self.login(headers, peer) {
            Ok(login) => login,
            Err(reason) => {
                self.refuse(peer.address, &reason);
                return Err(Status::unauthenticated(reason));
            }
        };
        if login.role < needed {
            let method = path.trim_start_matches("/rmqnode.admin.v1.");
            let reason =
                format!("{method} needs the role {needed}, and {} is {}", login.name, login.role);
            self.0.metrics.admin_permissions_refused.inc();
            self.tell(peer.address, &reason);
            return Err(Status::permission_denied(reason));
        }
        Ok(Some(login))
    }

    fn login(&self, headers: &HeaderMap, peer: &TcpPeer) -> Result<Login, String> {
        if let Some(value) = headers.get(header::AUTHORIZATION) {
            let token = value.as_bytes().strip_prefix(SCHEME.as_bytes());
            let token = token.ok_or("the header authorization is not \"Bearer TOKEN\"")?;
            return self
                .0
                .logins
                .of_token(token)
                .ok_or_else(|| "this token is not known".to_owned());
        }
        let Some(subject) = &peer.subject else {
            return Err(
                "log in: send the header \"authorization: Bearer TOKEN\", or show a certificate"
                    .to_owned(),
            );
        };
        let login = self.0.logins.of_certificate(subject);
        login.ok_or_else(|| format!("the certificate {} is in no login", shown(subject)))
    }

    /// Counts and tells that somebody could not log in.
    pub fn refuse(&self, from: SocketAddr, reason: &str) {
        self.0.metrics.admin_logins_refused.inc();
        self.tell(from, reason);
    }

    fn tell(&self, from: SocketAddr, reason: &str) {
        if let Some(before) = self.0.told.is_news(from.ip()) {
            tracing::warn!(
                %from,
                before,
                "the admin API refused: {}; what follows from there is only counted",
                shown(reason)
            );
        }
    }
}

impl<B> Predicate<http::Request<B>> for Gate {
    type Request = http::Request<B>;

    fn check(&mut self, mut request: http::Request<B>) -> Result<Self::Request, BoxError> {
        if request.extensions().get::<UdsConnectInfo>().is_some() {
            return Ok(request);
        }
        let Some(peer) = request.extensions().get::<TcpPeer>() else {
            return Err(Status::unauthenticated("nobody knows where this comes from").into());
        };
        if let Some(login) = self.admit(request.uri().path(), request.headers(), peer)? {
            request.extensions_mut().insert(login);
        }
        Ok(request)
    }
}
