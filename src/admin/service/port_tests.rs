//! The port with real clients of 127.0.0.1: whom it lets in, with and without TLS.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;

use hyper_util::rt::TokioIo;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use tempfile::TempDir;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};
use tokio_util::sync::CancellationToken;
use tonic::transport::{Channel, Endpoint, Uri};
use tonic::{Code, Request, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;

use super::super::logins::{KnownLogins, Logins};
use super::super::routes;
use super::*;
use crate::admin::Admin;
use crate::clock::Clock;
use crate::config::{ClientCertificates, Tls as Settings, TlsMode};
use crate::metrics::Metrics;
use crate::proto::v1::offsets_client::OffsetsClient;
use crate::proto::v1::topics_client::TopicsClient;
use crate::proto::v1::{DeleteTopicRequest, ListTopicsRequest, ResetOffsetsRequest};
use crate::transport::TlsMaterial;

/// A CA, its files, and a port.
struct World {
    dir: TempDir,
    issuer: CertifiedIssuer<'static, KeyPair>,
    address: SocketAddr,
    tls: Tls,
    logins: Logins,
    metrics: Arc<Metrics>,
    stop: CancellationToken,
}

impl Drop for World {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// The hashes of the tokens `read`, `operate` and `administer`.
const LOGINS: &str = r#"
[[token]]
name = "reader"
role = "reader"
sha256 = "READ"

[[token]]
name = "operator"
role = "operator"
sha256 = "OPERATE"

[[token]]
name = "admin"
role = "admin"
sha256 = "ADMINISTER"

[[certificate]]
subject = "CN=alice"
role = "operator"
"#;

fn known_logins(dir: &TempDir) -> KnownLogins {
    use sha2::{Digest, Sha256};
    let mut text = LOGINS.to_owned();
    for token in ["read", "operate", "administer"] {
        let hash: String = Sha256::digest(token).iter().map(|byte| format!("{byte:02x}")).collect();
        text = text.replace(&token.to_uppercase(), &hash);
    }
    let file = dir.path().join("logins.toml");
    fs::write(&file, text).unwrap();
    fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
    KnownLogins::read(&file, true).unwrap()
}

impl World {
    async fn new(with_tls: bool) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, "CA");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("ca.crt"), issuer.pem()).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (logins, metrics) = (Logins::new(known_logins(&dir)), Arc::<Metrics>::default());
        let (tls, stop) = (Tls::default(), CancellationToken::new());
        let world = Self { dir, issuer, address, tls, logins, metrics, stop };
        if with_tls {
            world.turn_tls_on();
        }
        let gate = Gate::new(world.logins.clone(), Arc::clone(&world.metrics), Clock::system());
        let port = AdminPort::new(listener, world.tls.clone(), Arc::default(), gate);
        let admin = Admin::new(vec!["127.0.0.1:1".to_owned()], Default::default());
        let serving = port.serve(routes(admin, None), world.stop.clone());
        task::spawn(Kind::Ignore, "test", async move { serving.await.unwrap() });
        world
    }

    fn turn_tls_on(&self) {
        let (certificate_file, key_file) = self.issue("node", "node");
        let settings = Settings {
            certificate_file,
            key_file,
            ca_file: self.dir.path().join("ca.crt"),
            client_certificates: ClientCertificates::None,
            mode: TlsMode::Permissive,
        };
        self.tls.set(TlsMaterial::load(&settings).unwrap());
    }

    /// A certificate of the CA with this name, good for 127.0.0.1 too, and its key.
    fn issue(&self, file: &str, name: &str) -> (PathBuf, PathBuf) {
        let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let [crt, pem] = ["crt", "key"].map(|end| self.dir.path().join(format!("{file}.{end}")));
        fs::write(&crt, certificate.pem()).unwrap();
        fs::write(&pem, key.serialize_pem()).unwrap();
        (crt, pem)
    }

    async fn plain(&self) -> Channel {
        let endpoint = Endpoint::from_shared(format!("http://{}", self.address)).unwrap();
        endpoint.connect().await.unwrap()
    }

    /// Over TLS, showing a certificate of this name.
    async fn encrypted(&self, name: Option<&str>) -> Channel {
        self.dial(name.map(|name| self.issue("client", name))).await.unwrap()
    }

    async fn dial(
        &self,
        own: Option<(PathBuf, PathBuf)>,
    ) -> Result<Channel, tonic::transport::Error> {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let mut config = match own {
            None => builder.with_no_client_auth(),
            Some((crt, key)) => {
                let chain = vec![CertificateDer::from_pem_file(crt).unwrap()];
                builder
                    .with_client_auth_cert(chain, PrivateKeyDer::from_pem_file(key).unwrap())
                    .unwrap()
            }
        };
        config.alpn_protocols = vec![b"h2".to_vec()];
        let (connector, address) = (TlsConnector::from(Arc::new(config)), self.address);
        let connect = tower::service_fn(move |_: Uri| {
            let connector = connector.clone();
            async move {
                let tcp = TcpStream::connect(address).await?;
                let name = ServerName::try_from("127.0.0.1").unwrap();
                Ok::<_, io::Error>(TokioIo::new(connector.connect(name, tcp).await?))
            }
        });
        Endpoint::from_static("http://node").connect_with_connector(connect).await
    }

    fn counted(&self) -> (u64, u64) {
        (self.metrics.admin_logins_refused.get(), self.metrics.admin_permissions_refused.get())
    }
}

fn with_token<T>(message: T, token: Option<&str>) -> Request<T> {
    let mut request = Request::new(message);
    if let Some(token) = token {
        request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    }
    request
}

async fn list(channel: &Channel, token: Option<&str>) -> Status {
    let request = with_token(ListTopicsRequest {}, token);
    TopicsClient::new(channel.clone()).list(request).await.unwrap_err()
}

async fn delete(channel: &Channel, token: Option<&str>) -> Status {
    let message = DeleteTopicRequest { topic: "T".to_owned(), ..DeleteTopicRequest::default() };
    TopicsClient::new(channel.clone()).delete(with_token(message, token)).await.unwrap_err()
}

async fn reset(channel: &Channel, token: Option<&str>) -> Status {
    let request = with_token(ResetOffsetsRequest::default(), token);
    OffsetsClient::new(channel.clone()).reset(request).await.unwrap_err()
}

/// What came through to a facade that reaches nobody.
fn is_let_in(status: &Status) -> bool {
    status.message().starts_with("no name server answers: ")
        || status.code() == Code::InvalidArgument
}

async fn reflection(channel: &Channel, token: Option<&str>) -> Result<(), Status> {
    let question = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let request = with_token(tokio_stream::once(question), token);
    let answers =
        ServerReflectionClient::new(channel.clone()).server_reflection_info(request).await;
    answers?.into_inner().message().await.map(|_| ())
}

#[tokio::test]
async fn a_token_may_what_its_role_may() {
    let world = World::new(false).await;
    let channel = world.plain().await;
    for (token, may_reset, may_delete) in
        [("read", false, false), ("operate", true, false), ("administer", true, true)]
    {
        let token = Some(token);
        assert!(is_let_in(&list(&channel, token).await), "{token:?}");
        assert_eq!(is_let_in(&reset(&channel, token).await), may_reset, "{token:?}");
        assert_eq!(is_let_in(&delete(&channel, token).await), may_delete, "{token:?}");
    }
    assert_eq!(world.counted(), (0, 3));
    let refused = delete(&channel, Some("operate")).await;
    assert_eq!(refused.code(), Code::PermissionDenied);
    assert_eq!(
        refused.message(),
        "Topics/Delete needs the role admin, and token operator is operator"
    );
}

#[tokio::test]
async fn without_a_login_nothing_but_the_health_is_told() {
    let world = World::new(false).await;
    let channel = world.plain().await;
    let all = HealthCheckRequest { service: String::new() };
    let health = HealthClient::new(channel.clone()).check(all).await.unwrap();
    assert_eq!(health.into_inner().status, 1);
    assert_eq!(world.counted(), (0, 0));
    let refused = list(&channel, None).await;
    assert_eq!(refused.code(), Code::Unauthenticated);
    let expected = "log in: send the header \"authorization: Bearer TOKEN\", or show a certificate";
    assert_eq!(refused.message(), expected);
    for unknown in ["", "READ", "read "] {
        let refused = list(&channel, Some(unknown)).await;
        assert_eq!(
            (refused.code(), refused.message()),
            (Code::Unauthenticated, "this token is not known")
        );
    }
    let mut request = Request::new(ListTopicsRequest {});
    request.metadata_mut().insert("authorization", "Basic cmVhZA==".parse().unwrap());
    let refused = TopicsClient::new(channel.clone()).list(request).await.unwrap_err();
    assert_eq!(refused.message(), "the header authorization is not \"Bearer TOKEN\"");
    assert_eq!(reflection(&channel, None).await.unwrap_err().code(), Code::Unauthenticated);
    assert_eq!(world.counted(), (6, 0));
    reflection(&channel, Some("read")).await.unwrap();
    // From now on other tokens count, on the same connection too.
    world.logins.set(KnownLogins::default());
    assert_eq!(list(&channel, Some("read")).await.code(), Code::Unauthenticated);
}

#[tokio::test]
async fn a_certificate_is_a_login_by_its_subject() {
    let world = World::new(true).await;
    let alice = world.encrypted(Some("alice")).await;
    assert!(is_let_in(&list(&alice, None).await));
    assert!(is_let_in(&reset(&alice, None).await));
    let refused = delete(&alice, None).await;
    let expected = "Topics/Delete needs the role admin, and certificate CN=alice is operator";
    assert_eq!((refused.code(), refused.message()), (Code::PermissionDenied, expected));
    // A token says as whom to act.
    assert!(is_let_in(&delete(&alice, Some("administer")).await));
    assert_eq!(list(&alice, Some("unknown")).await.code(), Code::Unauthenticated);
    let bob = world.encrypted(Some("bob")).await;
    let refused = list(&bob, None).await;
    let expected = "the certificate CN=bob is in no login";
    assert_eq!((refused.code(), refused.message()), (Code::Unauthenticated, expected));
    let nobody = world.encrypted(None).await;
    assert_eq!(list(&nobody, None).await.code(), Code::Unauthenticated);
    assert!(is_let_in(&list(&nobody, Some("read")).await));
}

#[tokio::test]
async fn where_tls_is_on_nothing_is_taken_in_plain_nor_of_another_ca() {
    let (world, other) = (World::new(true).await, World::new(true).await);
    let endpoint = Endpoint::from_shared(format!("http://{}", world.address)).unwrap();
    if let Ok(channel) = endpoint.connect().await {
        assert!(!is_let_in(&list(&channel, Some("read")).await));
    }
    while world.counted() != (1, 0) {
        tokio::task::yield_now().await;
    }
    // Alice of another CA; with TLS 1.3 she hears it with her first call.
    if let Ok(channel) = world.dial(Some(other.issue("client", "alice"))).await {
        assert!(!is_let_in(&list(&channel, Some("read")).await));
    }
    while world.counted() != (2, 0) {
        tokio::task::yield_now().await;
    }
    assert!(is_let_in(&list(&world.encrypted(None).await, Some("read")).await));
}

#[tokio::test]
async fn who_says_nothing_holds_back_nobody() {
    let world = World::new(true).await;
    let mut silent = Vec::new();
    for _ in 0..WAITING_MAX + 4 {
        silent.push(TcpStream::connect(world.address).await.unwrap());
    }
    assert!(is_let_in(&list(&world.encrypted(None).await, Some("read")).await));
    // The port goes with those who wait.
    world.stop.cancel();
    for mut one in silent {
        assert_eq!(one.read(&mut [0]).await.unwrap_or(0), 0);
    }
}
