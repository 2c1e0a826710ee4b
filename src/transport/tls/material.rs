//! The operator's certificate, key and CAs: read, checked against one another, and ready for connections.
//!
//! Not the connections (`stream`). Invariants: what cannot be used is refused with the file's name and what to do; what
//! can be used but will not be accepted by somebody is a finding; a key is in no text.

use std::fmt;
use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio_rustls::rustls::client::WebPkiServerVerifier;
use tokio_rustls::rustls::client::danger::ServerCertVerifier;
use tokio_rustls::rustls::crypto::CryptoProvider;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::server::danger::ClientCertVerifier;
use tokio_rustls::rustls::sign::{CertifiedKey, SingleCertAndKey};
use tokio_rustls::rustls::{
    CertificateError, ClientConfig, Error, InconsistentKeys, RootCertStore, ServerConfig,
};
use x509_cert::Certificate;
use x509_cert::der::Decode;

use super::stream::explain;
use crate::config::{ClientCertificates, Tls as Settings, TlsMode};

/// So many days before its end a certificate begins to be a finding.
const EXPIRY_WARNING_DAYS: i64 = 30;
const DAY_S: i64 = 24 * 60 * 60;

/// Files that cannot be used: what is wrong, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TlsError(pub String);

/// A certificate, its key and the CAs of others, ready for connections.
pub struct TlsMaterial {
    mode: TlsMode,
    client_certificates: ClientCertificates,
    own: Option<Own>,
    trusted: Option<Trusted>,
    /// For those who connect; none at a tool.
    pub(super) server: Option<Arc<ServerConfig>>,
    /// For those who connect to the admin API, which asks for certificates whenever there is a CA; none at a tool.
    pub(super) http2: Option<Arc<ServerConfig>>,
    /// For those who are dialled; none without a CA.
    pub(super) client: Option<Arc<ClientConfig>>,
}

/// What the node shows.
struct Own {
    file: PathBuf,
    key: Arc<SingleCertAndKey>,
    chain: Vec<CertificateDer<'static>>,
    /// When the first certificate of the chain ends, in seconds since 1970.
    not_after_s: i64,
}

/// What others are judged by.
struct Trusted {
    file: PathBuf,
    certificates: Vec<CertificateDer<'static>>,
    roots: Arc<RootCertStore>,
    servers: Arc<WebPkiServerVerifier>,
    clients: Arc<dyn ClientCertVerifier>,
    /// When the first of the CAs ends, in seconds since 1970.
    not_after_s: i64,
}

impl TlsMaterial {
    /// What the settings say; nothing if there is no certificate, or TLS is disabled. Blocks.
    ///
    /// # Errors
    /// A file cannot be read, or the key is not the certificate's.
    pub fn load(settings: &Settings) -> Result<Option<Self>, TlsError> {
        if !settings.is_on() {
            return Ok(None);
        }
        let own = Own::read(&settings.certificate_file, &settings.key_file)?;
        let ca = Some(&settings.ca_file).filter(|file| !file.as_os_str().is_empty());
        let trusted = ca.map(|file| Trusted::read(file)).transpose()?;
        let client_certificates = settings.client_certificates;
        let server = Some(server_config(&own, trusted.as_ref(), client_certificates)?);
        let asked_for = match client_certificates {
            ClientCertificates::None => ClientCertificates::Optional,
            asked_for => asked_for,
        };
        let mut http2 = (*server_config(&own, trusted.as_ref(), asked_for)?).clone();
        http2.alpn_protocols = vec![b"h2".to_vec()];
        let http2 = Some(Arc::new(http2));
        let client =
            trusted.as_ref().map(|trusted| client_config(trusted, Some(&own))).transpose()?;
        let mode = settings.mode;
        Ok(Some(Self { mode, client_certificates, own: Some(own), trusted, server, http2, client }))
    }

    /// For a tool: it only dials, always with TLS, and shows its certificate if it has one, a file and that of its key.
    /// Blocks.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn for_tool(ca: &Path, own: Option<(&Path, &Path)>) -> Result<Self, TlsError> {
        let own = own.map(|(file, key_file)| Own::read(file, key_file)).transpose()?;
        let trusted = Trusted::read(ca)?;
        let client = Some(client_config(&trusted, own.as_ref())?);
        Ok(Self {
            mode: TlsMode::Enforcing,
            client_certificates: ClientCertificates::None,
            own,
            trusted: Some(trusted),
            server: None,
            http2: None,
            client,
        })
    }

    pub(super) fn mode(&self) -> TlsMode {
        self.mode
    }

    pub(super) fn is_enforced(&self) -> bool {
        self.mode == TlsMode::Enforcing
    }

    pub(super) fn dials(&self) -> bool {
        self.client.is_some() || self.is_enforced()
    }

    /// When the first of the certificates that the node shows ends, in seconds since 1970.
    #[must_use]
    pub fn not_after_s(&self) -> Option<i64> {
        self.own.as_ref().map(|own| own.not_after_s)
    }

    /// What will not work, or not for long, at `now_s` (seconds since 1970) for a node that is dialled at `addresses`.
    #[must_use]
    pub fn findings(&self, now_s: i64, addresses: &[IpAddr]) -> Vec<String> {
        let own = self.own.as_ref().map(|own| ("the certificate", &own.file, own.not_after_s));
        let ca = self.trusted.as_ref().map(|ca| ("a CA's certificate", &ca.file, ca.not_after_s));
        let ends = own.into_iter().chain(ca);
        let found =
            ends.filter_map(|(what, file, not_after_s)| ending(what, file, not_after_s - now_s));
        found.chain(self.not_accepted(now_s, addresses)).collect()
    }

    /// Why peers that trust the same CAs will not take the node's own certificate.
    fn not_accepted(&self, now_s: i64, addresses: &[IpAddr]) -> Option<String> {
        let (own, trusted) = (self.own.as_ref()?, self.trusted.as_ref()?);
        let (leaf, others) = own.chain.split_first()?;
        // That it has ended is told anyway.
        let now_s = now_s.min(own.not_after_s).min(trusted.not_after_s);
        let now =
            UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(now_s).unwrap_or(0)));
        let as_server = addresses.iter().find_map(|address| {
            let name = ServerName::IpAddress((*address).into());
            let error = trusted.servers.verify_server_cert(leaf, others, &name, &[], now).err()?;
            Some(if is_another_name(&error) {
                format!(
                    "it does not name {address}, where this node is dialled: make it anew with IP:{address} among its \
                     subject alternative names"
                )
            } else {
                explain(&error)
            })
        });
        let reason = as_server.or_else(|| {
            let error = trusted.clients.verify_client_cert(leaf, others, now).err()?;
            Some(format!("when this node dials them: {}", explain(&error)))
        })?;
        Some(format!("peers will not take the certificate in {}: {reason}", own.file.display()))
    }
}

impl PartialEq for TlsMaterial {
    /// Whether connections are the same with both: another key is in another certificate.
    fn eq(&self, other: &Self) -> bool {
        let own = |of: &Self| of.own.as_ref().map(|own| own.chain.clone());
        let trusted = |of: &Self| of.trusted.as_ref().map(|trusted| trusted.certificates.clone());
        let asked_for = |of: &Self| (of.mode, of.client_certificates);
        (asked_for(self), own(self), trusted(self))
            == (asked_for(other), own(other), trusted(other))
    }
}

impl fmt::Debug for TlsMaterial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsMaterial").field("mode", &self.mode).finish_non_exhaustive()
    }
}

impl Own {
    fn read(file: &Path, key_file: &Path) -> Result<Self, TlsError> {
        let (chain, not_after_s) = certificates(file)?;
        let certified = CertifiedKey::from_der(chain.clone(), private_key(key_file)?, &provider());
        let certified = certified.map_err(|error| match error {
            Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => TlsError(format!(
                "the key in {} is not that of the certificate in {}, which must be the first there: write the files of \
                 one pair",
                key_file.display(),
                file.display()
            )),
            error => unusable(key_file, &error),
        })?;
        let key = Arc::new(SingleCertAndKey::from(certified));
        Ok(Self { file: file.to_owned(), key, chain, not_after_s })
    }
}

impl Trusted {
    fn read(file: &Path) -> Result<Self, TlsError> {
        let (certificates, not_after_s) = certificates(file)?;
        let mut roots = RootCertStore::empty();
        for certificate in &certificates {
            roots.add(certificate.clone()).map_err(|error| unusable(file, &error))?;
        }
        let roots = Arc::new(roots);
        let servers = WebPkiServerVerifier::builder_with_provider(Arc::clone(&roots), provider());
        let clients = WebPkiClientVerifier::builder_with_provider(Arc::clone(&roots), provider());
        Ok(Self {
            file: file.to_owned(),
            servers: servers.build().map_err(|error| unusable(file, &error))?,
            clients: clients.build().map_err(|error| unusable(file, &error))?,
            roots,
            certificates,
            not_after_s,
        })
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(default_provider())
}

fn server_config(
    own: &Own,
    trusted: Option<&Trusted>,
    asked_for: ClientCertificates,
) -> Result<Arc<ServerConfig>, TlsError> {
    let builder = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| unusable(&own.file, &error))?;
    let builder = match (trusted, asked_for) {
        (Some(trusted), ClientCertificates::Required) => {
            builder.with_client_cert_verifier(Arc::clone(&trusted.clients))
        }
        (Some(trusted), ClientCertificates::Optional) => {
            let roots = Arc::clone(&trusted.roots);
            let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider());
            let verifier = verifier.allow_unauthenticated().build();
            builder.with_client_cert_verifier(
                verifier.map_err(|error| unusable(&trusted.file, &error))?,
            )
        }
        _ => builder.with_no_client_auth(),
    };
    Ok(Arc::new(builder.with_cert_resolver(Arc::clone(&own.key) as _)))
}

fn client_config(trusted: &Trusted, own: Option<&Own>) -> Result<Arc<ClientConfig>, TlsError> {
    let builder = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| unusable(&trusted.file, &error))?
        .with_webpki_verifier(Arc::clone(&trusted.servers));
    Ok(Arc::new(match own {
        Some(own) => builder.with_client_cert_resolver(Arc::clone(&own.key) as _),
        None => builder.with_no_client_auth(),
    }))
}

/// The certificates of a PEM file, and when the first of them ends, in seconds since 1970.
fn certificates(file: &Path) -> Result<(Vec<CertificateDer<'static>>, i64), TlsError> {
    let pem = read(file)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let found = found.map_err(|error| unusable(file, &error))?;
    let ends: Result<Vec<i64>, TlsError> = found.iter().map(|der| not_after_s(file, der)).collect();
    let Some(first) = ends?.into_iter().min() else {
        return Err(unusable(
            file,
            &"there is no certificate in it, which begins with -----BEGIN CERTIFICATE-----",
        ));
    };
    Ok((found, first))
}

fn not_after_s(file: &Path, der: &CertificateDer<'_>) -> Result<i64, TlsError> {
    let certificate = Certificate::from_der(der).map_err(|error| unusable(file, &error))?;
    let end = certificate.tbs_certificate().validity().not_after.to_unix_duration();
    Ok(i64::try_from(end.as_secs()).unwrap_or(i64::MAX))
}

fn private_key(file: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let pem = read(file)?;
    PrivateKeyDer::from_pem_slice(&pem).map_err(|error| {
        let is_locked = pem.windows(9).any(|word| word == b"ENCRYPTED");
        if is_locked {
            let command = "openssl pkey -in OLD -out NEW";
            return unusable(
                file,
                &format!("it is locked by a password: write it without, with `{command}`"),
            );
        }
        unusable(file, &format!("no private key of PKCS#1, PKCS#8 or SEC1 in it: {error}"))
    })
}

fn read(file: &Path) -> Result<Vec<u8>, TlsError> {
    fs::read(file).map_err(|error| unusable(file, &error))
}

fn unusable(file: &Path, error: &dyn fmt::Display) -> TlsError {
    TlsError(format!("{} cannot be used for TLS: {error}", file.display()))
}

fn ending(what: &str, file: &Path, left_s: i64) -> Option<String> {
    let file = file.display();
    if left_s <= 0 {
        return Some(format!("{what} in {file} has expired: put a new one there, and reload"));
    }
    let days = left_s / DAY_S;
    let is_near = days < EXPIRY_WARNING_DAYS;
    is_near.then(|| {
        format!("{what} in {file} expires in {days} days: put a new one there, and reload")
    })
}

fn is_another_name(error: &Error) -> bool {
    use CertificateError::{NotValidForName, NotValidForNameContext};
    let Error::InvalidCertificate(error) = error else { return false };
    matches!(error, NotValidForName | NotValidForNameContext { .. })
}
