//! One POST of JSON to a web hook, over HTTP/1, encrypted or not.
//!
//! Not what is sent (`receivers`). No proxies and no redirects: a hook that answers with one says so in its error.
//! Invariants: it ends in time, whatever the other side does; no more of an answer is read than an error needs; an address,
//! which may hold a secret, is in no text but its host.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::{Request, Uri, header};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::task::{self, Kind};

/// How long all of it may take.
const TIMEOUT: Duration = Duration::from_secs(15);
/// What is read of an answer.
const ANSWER_BYTES_MAX: usize = 64 << 10;
/// What is shown of it.
const WORDS_CHARS_MAX: usize = 200;
/// Where systems have the CAs that they trust, the first that is there: Debian, Red Hat, SUSE, Alpine.
const SYSTEM_CAS: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// The CAs of a file, or those that the system trusts. Blocks.
///
/// # Errors
/// There is no such file, or nothing in it.
pub fn trusted(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let system = SYSTEM_CAS.iter().map(Path::new).find(|file| file.exists());
    let file = if file.as_os_str().is_empty() { system } else { Some(file) };
    let file = file.ok_or(
        "this system has no CAs (apt install ca-certificates), and alerts.ca_file names none",
    )?;
    let told = |error: &dyn std::fmt::Display| format!("{}: {error}", file.display());
    let found = CertificateDer::pem_file_iter(file).map_err(|error| told(&error))?;
    let found: Vec<_> = found.filter_map(Result::ok).collect();
    if found.is_empty() { Err(told(&"there is no certificate in it")) } else { Ok(found) }
}

/// What encrypts for servers with a certificate of these CAs.
///
/// # Errors
/// TLS cannot be had.
pub fn connector(trusted: &[CertificateDer<'static>]) -> Result<TlsConnector, String> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(trusted.iter().cloned());
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

/// An address that can be sent to.
///
/// # Errors
/// It is none; the text does not repeat it.
pub fn address(text: &str) -> Result<Uri, String> {
    let uri: Uri = text.parse().map_err(|_| "an address is no URL".to_owned())?;
    match (uri.scheme_str(), uri.host()) {
        (Some("http" | "https"), Some(_)) => Ok(uri),
        _ => Err("an address does not begin with https:// or http:// and a host".to_owned()),
    }
}

/// Sends a JSON text, encrypted by `tls` if the address says so; returns what was answered.
///
/// # Errors
/// Nobody answered in time, or not with a success.
pub async fn post(uri: &Uri, json: String, tls: Option<&TlsConnector>) -> Result<Vec<u8>, String> {
    let sending = async {
        let host = uri.host().unwrap_or_default();
        let is_encrypted = uri.scheme_str() == Some("https");
        let port = uri.port_u16().unwrap_or(if is_encrypted { 443 } else { 80 });
        // An IPv6 address stands in brackets.
        let name = host.trim_matches(['[', ']']);
        let tcp = TcpStream::connect((name, port)).await.map_err(|error| error.to_string())?;
        if !is_encrypted {
            return exchange(tcp, uri, json).await;
        }
        let tls = tls.ok_or("there is no CA that its certificate could be from")?;
        let name = ServerName::try_from(name.to_owned()).map_err(|error| error.to_string())?;
        let stream = tls.connect(name, tcp).await.map_err(|error| told(&error))?;
        exchange(stream, uri, json).await
    };
    let late = || format!("no answer within {} s", TIMEOUT.as_secs());
    tokio::time::timeout(TIMEOUT, sending).await.unwrap_or_else(|_| Err(late()))
}

async fn exchange<S>(stream: S, uri: &Uri, json: String) -> Result<Vec<u8>, String>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let told = |error: hyper::Error| error.to_string();
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(told)?;
    // What becomes of it is what becomes of the request.
    task::spawn(Kind::Ignore, "web hook", async move { drop(connection.await) });
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    let host = authority.rsplit('@').next().unwrap_or_default();
    let request = Request::post(path)
        .header(header::HOST, host)
        .header(header::CONTENT_TYPE, "application/json; charset=utf-8")
        .header(header::USER_AGENT, concat!("rmq-node/", env!("CARGO_PKG_VERSION")))
        .header(header::CONNECTION, "close")
        .body(Full::new(Bytes::from(json)))
        .map_err(|error| error.to_string())?;
    let answer = sender.send_request(request).await.map_err(told)?;
    let status = answer.status();
    let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await;
    let body = body.map(|body| body.to_bytes().to_vec()).unwrap_or_default();
    if status.is_success() {
        return Ok(body);
    }
    Err(format!("it answers {status} {}", readable(&String::from_utf8_lossy(&body))))
}

/// An error with what is behind it, in words for whoever writes the settings.
pub fn told(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let words = error.to_string();
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        source = error.source();
    }
    // By rustls' words, which both ways have among theirs.
    let means = [
        (
            "UnknownIssuer",
            "its certificate is of no CA that is trusted: alerts.ca_file names those that are",
        ),
        // Of another CA that has the same name.
        (
            "BadSignature",
            "its certificate is of another CA than that of the same name in alerts.ca_file",
        ),
        (
            "CaUsedAsEndEntity",
            "it shows a CA's own certificate, as self-signed ones are: it needs one that a CA has signed",
        ),
        ("InvalidContentType", "it takes no TLS on this port"),
    ];
    match means.iter().find(|(words, _)| text.contains(words)) {
        Some((_, meaning)) => format!("{meaning} ({text})"),
        None => text,
    }
}

/// So much of somebody's words as an error shows.
pub fn readable(words: &str) -> String {
    words.chars().filter(|c| !c.is_control()).take(WORDS_CHARS_MAX).collect()
}
