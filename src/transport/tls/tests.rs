//! Certificates made here, and real connections of 127.0.0.1 over them.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair,
    PKCS_ECDSA_P256_SHA256,
};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::config::{ClientCertificates, Tls as Settings, TlsMode};
use crate::remoting::Command;
use crate::transport::{
    CallError, Client, Connection, Credentials, Limits, Responder, Server, Service,
};

/// Long enough that only a failure reaches it.
const LONG: Duration = Duration::from_secs(30);
/// 2020-01-01 and 2100-01-01 in seconds since 1970.
const IN_2020: i64 = 1_577_836_800;
const IN_2100: i64 = 4_102_444_800;

/// A folder with a CA, and certificates of it.
struct Authority {
    dir: TempDir,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        Self::named("CA")
    }

    fn named(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.not_before = rcgen::date_time_ymd(2000, 1, 1);
        params.not_after = rcgen::date_time_ymd(2200, 1, 1);
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        let issuer = CertifiedIssuer::self_signed(params, key).unwrap();
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("ca.crt"), issuer.pem()).unwrap();
        Self { dir, issuer }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes `NAME.crt` and `NAME.key` for an address, good from 2001 to 2100.
    fn issue(&self, name: &str, address: &str) {
        let mut params = CertificateParams::new(vec![address.to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(2001, 1, 1);
        params.not_after = rcgen::date_time_ymd(2100, 1, 1);
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        fs::write(self.file(&format!("{name}.crt")), certificate.pem()).unwrap();
        fs::write(self.file(&format!("{name}.key")), key.serialize_pem()).unwrap();
    }

    fn settings(&self, name: &str, mode: TlsMode) -> Settings {
        Settings {
            certificate_file: self.file(&format!("{name}.crt")),
            key_file: self.file(&format!("{name}.key")),
            ca_file: self.file("ca.crt"),
            client_certificates: ClientCertificates::None,
            mode,
        }
    }

    /// A node at 127.0.0.1.
    fn node(&self, mode: TlsMode) -> Tls {
        self.issue("node", "127.0.0.1");
        Tls::new(TlsMaterial::load(&self.settings("node", mode)).unwrap())
    }
}

/// Answers with the body of the request.
struct Echo;

impl Service for Echo {
    fn on_request(&self, request: Command, responder: Responder) {
        responder.send(Command::response(0).with_body(request.body));
    }
}

struct Port {
    address: String,
    limits: Arc<Limits>,
    stop: CancellationToken,
}

fn serve(tls: &Tls) -> Port {
    let limits = Arc::<Limits>::default();
    let server = Server::bind("127.0.0.1:0".parse().unwrap(), Arc::clone(&limits)).unwrap();
    let address = server.local_addr().to_string();
    let stop = CancellationToken::new();
    let serving = server.with_tls(tls).serve(Arc::new(Echo), stop.clone());
    crate::task::spawn(crate::task::Kind::Ignore, "server", serving);
    Port { address, limits, stop }
}

fn client(tls: &Tls) -> Client {
    Client::with(None, Credentials { tls: tls.clone(), ..Credentials::default() })
}

async fn echo(client: &Client, port: &Port, body: Bytes) -> Result<Bytes, CallError> {
    let request = Command::request(1001).with_body(body);
    Ok(client.call(&port.address, request, LONG).await?.body)
}

/// Waits for something another task does.
async fn until(condition: impl Fn() -> bool) {
    while !condition() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn large_and_small_bodies_pass_encrypted_both_ways() {
    let tls = Authority::new().node(TlsMode::Enforcing);
    let (port, client) = (serve(&tls), client(&tls));
    for size in [0, 1, 8 << 10, 3 << 20] {
        let body = Bytes::from(vec![7_u8; size]);
        assert_eq!(echo(&client, &port, body.clone()).await.unwrap(), body);
    }
    // Many at once, so that writes are cut short by the peer's window.
    let calls = (0..20_u8).map(|at| {
        let (client, address) = (client.clone(), port.address.clone());
        async move {
            let body = Bytes::from(vec![at; 700_000]);
            let request = Command::request(1001).with_body(body.clone());
            assert_eq!(client.call(&address, request, LONG).await.unwrap().body, body);
        }
    });
    let mut running = tokio::task::JoinSet::new();
    calls.for_each(|call| {
        running.spawn(call);
    });
    assert_eq!(running.join_all().await.len(), 20);
    port.stop.cancel();
}

#[tokio::test]
async fn each_mode_takes_what_it_says() {
    let authority = Authority::new();
    let speaking = authority.node(TlsMode::Enforcing);
    let plain = Tls::default();
    let tried = async |server: &Tls, of_client: &Tls| {
        let port = serve(server);
        echo(&client(of_client), &port, Bytes::from_static(b"hello")).await
    };
    let permissive = authority.node(TlsMode::Permissive);
    assert_eq!(tried(&permissive, &plain).await.unwrap(), "hello");
    assert_eq!(tried(&permissive, &speaking).await.unwrap(), "hello");
    assert!(matches!(tried(&speaking, &plain).await, Err(CallError::Lost { .. })));
    let refused = tried(&plain, &speaking).await.unwrap_err().to_string();
    assert!(refused.contains("it takes no TLS"), "{refused}");
    // One that dials in mode permissive takes both, and both take it.
    assert_eq!(tried(&plain, &permissive).await.unwrap(), "hello");
    assert_eq!(tried(&speaking, &permissive).await.unwrap(), "hello");
    authority.issue("node", "127.0.0.1");
    let off = TlsMaterial::load(&authority.settings("node", TlsMode::Disabled)).unwrap();
    assert!(off.is_none());
}

#[tokio::test]
async fn who_is_dialled_is_believed_by_ca_and_address_only() {
    let (authority, other) = (Authority::new(), Authority::named("another"));
    let (server, stranger) = (authority.node(TlsMode::Permissive), other.node(TlsMode::Enforcing));
    let refused = echo(&client(&stranger), &serve(&server), Bytes::new()).await.unwrap_err();
    assert!(refused.to_string().contains("none of the CAs in tls.ca_file"), "{refused}");
    let namesake = Authority::new().node(TlsMode::Enforcing);
    let refused = echo(&client(&namesake), &serve(&server), Bytes::new()).await.unwrap_err();
    assert!(refused.to_string().contains("none of the CAs in tls.ca_file"), "{refused}");
    authority.issue("elsewhere", "192.0.2.1");
    let settings = authority.settings("elsewhere", TlsMode::Permissive);
    let elsewhere = Tls::new(TlsMaterial::load(&settings).unwrap());
    let speaking = authority.node(TlsMode::Enforcing);
    let refused = echo(&client(&speaking), &serve(&elsewhere), Bytes::new()).await.unwrap_err();
    assert!(refused.to_string().contains("does not name the address"), "{refused}");
    // Whoever is permissive goes on in plain with both.
    let permissive = authority.node(TlsMode::Permissive);
    assert_eq!(echo(&client(&permissive), &serve(&elsewhere), Bytes::new()).await.unwrap(), "");
}

#[tokio::test]
async fn certificates_of_clients_are_asked_for_as_set() {
    let (authority, other) = (Authority::new(), Authority::new());
    let known = authority.node(TlsMode::Enforcing);
    let ca = authority.file("ca.crt");
    let nameless = Tls::new(Some(TlsMaterial::for_tool(&ca, None).unwrap()));
    other.issue("tool", "127.0.0.1");
    let files = (other.file("tool.crt"), other.file("tool.key"));
    let own = Some((files.0.as_path(), files.1.as_path()));
    let stranger = Tls::new(Some(TlsMaterial::for_tool(&ca, own).unwrap()));
    let asking = |client_certificates| {
        let settings =
            Settings { client_certificates, ..authority.settings("node", TlsMode::Enforcing) };
        serve(&Tls::new(TlsMaterial::load(&settings).unwrap()))
    };
    let (required, optional) =
        (asking(ClientCertificates::Required), asking(ClientCertificates::Optional));
    for port in [&required, &optional] {
        assert_eq!(echo(&client(&known), port, Bytes::new()).await.unwrap(), "");
        let refused = echo(&client(&stranger), port, Bytes::new()).await.unwrap_err().to_string();
        assert!(refused.contains("does it trust the same CA?"), "{refused}");
    }
    assert_eq!(echo(&client(&nameless), &optional, Bytes::new()).await.unwrap(), "");
    let refused = echo(&client(&nameless), &required, Bytes::new()).await.unwrap_err().to_string();
    assert!(refused.contains("without a certificate"), "{refused}");
    assert_eq!(
        echo(&client(&nameless), &asking(ClientCertificates::None), Bytes::new()).await.unwrap(),
        ""
    );
}

#[tokio::test]
async fn a_new_certificate_counts_for_new_connections_and_ends_none() {
    let authority = Authority::new();
    let tls = authority.node(TlsMode::Enforcing);
    let (port, first) = (serve(&tls), client(&tls));
    let connection: Connection = first.connection(&port.address).await.unwrap();
    let before = tls.changes();
    let settings = authority.settings("node", TlsMode::Enforcing);
    let read = || TlsMaterial::load(&settings).unwrap();
    assert!(!tls.set(read()), "the files have not changed");
    authority.issue("node", "127.0.0.1");
    assert!(tls.set(read()));
    assert!(!before.has_changed().unwrap());
    assert_eq!(echo(&first, &port, Bytes::from_static(b"a")).await.unwrap(), "a");
    assert!(connection.is_open());
    assert_eq!(echo(&client(&tls), &port, Bytes::from_static(b"b")).await.unwrap(), "b");
}

#[tokio::test(start_paused = true)]
async fn a_plain_connection_ends_when_only_tls_is_taken_and_made_from_then_on() {
    let authority = Authority::new();
    let tls = Tls::default();
    let (port, client) = (serve(&tls), client(&tls));
    let plain = client.connection(&port.address).await.unwrap();
    assert_eq!(echo(&client, &port, Bytes::from_static(b"a")).await.unwrap(), "a");
    authority.issue("node", "127.0.0.1");
    tls.set(TlsMaterial::load(&authority.settings("node", TlsMode::Enforcing)).unwrap());
    until(|| !plain.is_open()).await;
    assert_eq!(echo(&client, &port, Bytes::from_static(b"b")).await.unwrap(), "b");
}

#[tokio::test]
async fn cas_that_are_named_later_make_the_next_call_dial_with_tls() {
    let authority = Authority::new();
    let port = serve(&authority.node(TlsMode::Permissive));
    let settings = authority.settings("node", TlsMode::Permissive);
    let without = Settings { ca_file: PathBuf::new(), ..settings.clone() };
    let tls = Tls::new(TlsMaterial::load(&without).unwrap());
    let client = client(&tls);
    let plain = client.connection(&port.address).await.unwrap();
    assert_eq!(client.connection(&port.address).await.unwrap(), plain);
    assert!(tls.set(TlsMaterial::load(&settings).unwrap()));
    assert_ne!(client.connection(&port.address).await.unwrap(), plain);
}

#[tokio::test(start_paused = true)]
async fn half_a_handshake_has_a_limit_and_counts_as_a_connection() {
    let tls = Authority::new().node(TlsMode::Permissive);
    let port = serve(&tls);
    let mut peer = TcpStream::connect(&port.address).await.unwrap();
    peer.write_all(&[0x16, 3, 1, 2]).await.unwrap();
    until(|| port.limits.connections() == 1).await;
    let began = tokio::time::Instant::now();
    let mut byte = [0];
    // The clock stands still until nobody has anything to do but to wait.
    assert!(!peer.read(&mut byte).await.is_ok_and(|count| count > 0));
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    until(|| port.limits.connections() == 0).await;
    // One that says nothing at all has the time of every idle one.
    let began = tokio::time::Instant::now();
    let mut silent = TcpStream::connect(&port.address).await.unwrap();
    assert!(!silent.read(&mut byte).await.is_ok_and(|count| count > 0));
    assert!(began.elapsed() > Duration::from_secs(90), "{:?}", began.elapsed());
}

#[tokio::test]
async fn garbage_instead_of_a_handshake_ends_its_own_connection_only() {
    let tls = Authority::new().node(TlsMode::Permissive);
    let (port, good) = (serve(&tls), client(&tls));
    for garbage in [&[0x16; 300][..], &[0x16, 3, 1, 0, 5, 1, 0, 0, 1, 0xff]] {
        let mut peer = TcpStream::connect(&port.address).await.unwrap();
        peer.write_all(garbage).await.unwrap();
        let mut rest = Vec::new();
        // An alert comes back, or nothing.
        let _ = peer.read_to_end(&mut rest).await;
        assert!(rest.len() < 100);
    }
    assert_eq!(echo(&good, &port, Bytes::new()).await.unwrap(), "");
}

#[test]
fn files_that_cannot_be_used_are_refused_with_what_to_do() {
    let authority = Authority::new();
    authority.issue("node", "127.0.0.1");
    authority.issue("other", "127.0.0.1");
    let settings = authority.settings("node", TlsMode::Permissive);
    let refused = |change: &dyn Fn(&mut Settings)| {
        let mut settings = settings.clone();
        change(&mut settings);
        TlsMaterial::load(&settings).unwrap_err().to_string()
    };
    let missing = refused(&|one| one.certificate_file = authority.file("none.crt"));
    assert!(missing.contains("none.crt cannot be used for TLS: No such file"), "{missing}");
    let mixed = refused(&|one| one.key_file = authority.file("other.key"));
    assert!(mixed.contains("is not that of the certificate in"), "{mixed}");
    let swapped = refused(&|one| one.key_file = authority.file("node.crt"));
    assert!(swapped.contains("no private key of PKCS#1, PKCS#8 or SEC1"), "{swapped}");
    let empty = refused(&|one| one.ca_file = authority.file("node.key"));
    assert!(empty.contains("there is no certificate in it"), "{empty}");
    fs::write(
        authority.file("locked.key"),
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
    )
    .unwrap();
    let locked = refused(&|one| one.key_file = authority.file("locked.key"));
    assert!(locked.contains("openssl pkey -in"), "{locked}");
    fs::write(
        authority.file("torn.crt"),
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    )
    .unwrap();
    assert!(refused(&|one| one.certificate_file = authority.file("torn.crt")).contains("torn.crt"));
}

#[test]
fn what_peers_will_not_take_and_what_ends_soon_is_found() {
    let authority = Authority::new();
    authority.issue("node", "127.0.0.1");
    let read = |authority: &Authority, ca: &Path| {
        let settings =
            Settings { ca_file: ca.to_owned(), ..authority.settings("node", TlsMode::Permissive) };
        TlsMaterial::load(&settings).unwrap().unwrap()
    };
    let good = read(&authority, &authority.file("ca.crt"));
    let (here, elsewhere) = ("127.0.0.1".parse().unwrap(), "192.0.2.1".parse().unwrap());
    let found = |of: &TlsMaterial, now_s, addresses: &[_]| of.findings(now_s, addresses).join("; ");
    assert_eq!(found(&good, IN_2020, &[here]), "");
    assert_eq!(good.not_after_s(), Some(IN_2100));
    let soon = found(&good, IN_2100 - 29 * 86_400 - 10, &[here]);
    assert!(soon.contains("node.crt expires in 29 days"), "{soon}");
    assert_eq!(found(&good, IN_2100 - 30 * 86_400, &[here]), "");
    let ended = found(&good, IN_2100 + 1, &[here]);
    assert!(ended.contains("has expired") && !ended.contains("peers"), "{ended}");
    let unnamed = found(&good, IN_2020, &[here, elsewhere]);
    assert!(unnamed.contains("with IP:192.0.2.1 among its"), "{unnamed}");
    let unknown = found(&read(&authority, &Authority::new().file("ca.crt")), IN_2020, &[here]);
    assert!(unknown.contains("none of the CAs"), "{unknown}");
}
