//! Web hooks and mail servers behind TLS, with certificates that are trusted and such that are not; mail without it, too.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::JoinHandle;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use tempfile::TempDir;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::PrivatePkcs8KeyDer;
use tokio_rustls::rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::tests::{OK, answer_one, message, tell};
use super::*;
use crate::config::MailTls;

/// A CA, whose certificate is in a file.
struct Authority {
    dir: TempDir,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("ca.crt"), issuer.pem()).unwrap();
        Self { dir, issuer }
    }

    /// What a server encrypts with that has a certificate for a name.
    fn server(&self, name: &str) -> Arc<ServerConfig> {
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
            );
        Arc::new(config.unwrap())
    }

    /// Settings that trust its certificates.
    fn trusted(&self) -> Settings {
        Settings { ca_file: self.dir.path().join("ca.crt"), ..Settings::default() }
    }
}

type Encrypted = StreamOwned<ServerConnection, TcpStream>;

fn encrypted(config: &Arc<ServerConfig>, tcp: TcpStream) -> Encrypted {
    StreamOwned::new(ServerConnection::new(Arc::clone(config)).unwrap(), tcp)
}

/// A web hook behind TLS, for one connection: its address, and what it is sent.
fn hook(config: Arc<ServerConfig>) -> (String, JoinHandle<std::io::Result<(String, String)>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("https://{}/robot?key=geheim", listener.local_addr().unwrap());
    let serving = std::thread::spawn(move || {
        let mut stream = encrypted(&config, listener.accept().unwrap().0);
        let asked = answer_one(&mut stream, OK);
        stream.conn.send_close_notify();
        let _ = stream.flush();
        asked
    });
    (address, serving)
}

/// What the test of the receivers sends, which is tried once.
fn test() -> Message {
    Message { news: Vec::new(), ..message(0) }
}

/// Why a hook was not told.
async fn told(settings: Settings, address: &str) -> Option<String> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), address).unwrap();
    let settings = Settings { webhook_file: file.path().to_owned(), ..settings };
    let [(who, reason)] = &tell(&settings, &test()).await[..] else { panic!("it is one") };
    assert_eq!(who, "webhook 127.0.0.1");
    reason.clone()
}

#[tokio::test]
async fn a_hook_is_told_if_its_certificate_is_of_a_ca_that_is_trusted() {
    let authority = Authority::new("CA");
    let (address, serving) = hook(authority.server("127.0.0.1"));
    assert_eq!(told(authority.trusted(), &address).await, None);
    let (head, body) = serving.join().unwrap().unwrap();
    assert!(head.starts_with("POST /robot?key=geheim HTTP/1.1\r\n"), "{head}");
    assert!(body.contains("\"is_test\":true"), "{body}");
}

#[tokio::test]
async fn a_hook_with_a_wrong_certificate_is_told_nothing_and_its_reason_is_clear() {
    let authority = Authority::new("CA");
    let of_none =
        "its certificate is of no CA that is trusted: alerts.ca_file names those that are";
    for (trust, name, expected) in [
        (Authority::new("Other").trusted(), "127.0.0.1", of_none),
        (
            Authority::new("CA").trusted(),
            "127.0.0.1",
            "its certificate is of another CA than that of the same name",
        ),
        (authority.trusted(), "hooks.example.org", "certificate not valid for name \"127.0.0.1\""),
    ] {
        let (address, serving) = hook(authority.server(name));
        let reason = told(trust, &address).await.unwrap();
        assert!(reason.contains(expected) && !reason.contains("geheim"), "{reason}");
        assert!(serving.join().unwrap().is_err(), "it was sent something");
    }
    // By the system's CAs, if there are any.
    let (address, _serving) = hook(authority.server("127.0.0.1"));
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), address).unwrap();
    let settings = Settings { webhook_file: file.path().to_owned(), ..Settings::default() };
    let told = tell(&settings, &test()).await;
    let reasons: Vec<_> = told.into_iter().filter_map(|(_, reason)| reason).collect();
    let has = |words: &str| reasons.iter().any(|reason| reason.contains(words));
    assert!(
        has(of_none) || has("this system has no CAs (apt install ca-certificates)"),
        "{reasons:?}"
    );
}

#[tokio::test]
async fn a_self_signed_certificate_and_a_port_without_tls_are_named() {
    let authority = Authority::new("CA");
    let key = authority.issuer.key().serialize_der();
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![authority.issuer.der().clone()],
            PrivatePkcs8KeyDer::from(key).into(),
        );
    let (address, _serving) = hook(Arc::new(config.unwrap()));
    let reason = told(authority.trusted(), &address).await.unwrap();
    assert!(reason.starts_with("it shows a CA's own certificate"), "{reason}");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("https://{}/", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let mut stream = listener.accept().unwrap().0;
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
        let _ = stream.read(&mut [0; 4096]);
    });
    let reason = told(authority.trusted(), &address).await.unwrap();
    assert!(reason.starts_with("it takes no TLS on this port"), "{reason}");
}

const USER: &str = "node";
const PASSWORD: &str = "geheim";

/// Speaks as a mail server does with one that offers `offers`; adds to `said` what it hears, until STARTTLS or the end.
fn talk<S: Read + Write>(
    stream: &mut BufReader<S>,
    offers: &str,
    said: &mut String,
) -> std::io::Result<()> {
    let right = STANDARD.encode(format!("\0{USER}\0{PASSWORD}"));
    let mut is_data = false;
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line)? == 0 || line.starts_with("QUIT") {
            return Ok(());
        }
        said.push_str(&line);
        let answer = match line.trim_end() {
            "STARTTLS" => {
                stream.get_mut().write_all(b"220 go on\r\n")?;
                return Ok(());
            }
            "DATA" => {
                is_data = true;
                "354 go on\r\n".to_owned()
            }
            "." => {
                is_data = false;
                "250 taken\r\n".to_owned()
            }
            _ if is_data => continue,
            line if line.starts_with("EHLO") => format!("250-h\r\n250 {offers}\r\n"),
            line if line.starts_with("AUTH") => {
                let is_right = line == format!("AUTH PLAIN {right}");
                if is_right { "235 come in\r\n" } else { "535 5.7.8 wrong password\r\n" }.to_owned()
            }
            _ => "250 h\r\n".to_owned(),
        };
        stream.get_mut().write_all(answer.as_bytes())?;
        stream.get_mut().flush()?;
    }
}

/// A mail server for one connection, and what it hears.
fn mail_server(tls: MailTls, config: Option<Arc<ServerConfig>>) -> (String, JoinHandle<String>) {
    const LOGIN: &str = "AUTH PLAIN LOGIN";
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let serving = std::thread::spawn(move || {
        let (mut tcp, mut said) = (listener.accept().unwrap().0, String::new());
        // Who does not trust it goes away: that is the test's to see.
        let _ = match (tls, config) {
            (MailTls::Tls, Some(config)) => {
                let mut stream = encrypted(&config, tcp);
                let greeted = stream.write_all(b"220 h\r\n");
                greeted.and_then(|()| talk(&mut BufReader::new(stream), LOGIN, &mut said))
            }
            (MailTls::Starttls, Some(config)) => {
                tcp.write_all(b"220 h\r\n").unwrap();
                let mut stream = BufReader::new(tcp);
                talk(&mut stream, "STARTTLS", &mut said).and_then(|()| {
                    let stream = encrypted(&config, stream.into_inner());
                    talk(&mut BufReader::new(stream), LOGIN, &mut said)
                })
            }
            _ => {
                tcp.write_all(b"220 h\r\n").unwrap();
                talk(&mut BufReader::new(tcp), "8BITMIME", &mut said)
            }
        };
        said
    });
    (address, serving)
}

/// Why a mail was not sent.
async fn mailed(settings: Settings, tls: MailTls, address: &str, password: &str) -> Option<String> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), format!("{password}\n")).unwrap();
    let settings = Settings {
        mail_server: address.to_owned(),
        mail_tls: tls,
        mail_user: if password.is_empty() { "" } else { USER }.to_owned(),
        mail_password_file: file.path().to_owned(),
        mail_from: "rmq-node <node@example.org>".to_owned(),
        mail_to: vec!["a@example.org".to_owned(), "b@example.org".to_owned()],
        ..settings
    };
    let [(who, reason)] = &tell(&settings, &message(0)).await[..] else { panic!("it is one") };
    assert_eq!(*who, format!("mail {address}"));
    reason.clone()
}

#[tokio::test]
async fn mail_is_sent_without_tls_and_with_both_kinds_of_it_and_a_login() {
    let authority = Authority::new("CA");
    for (tls, password) in
        [(MailTls::None, ""), (MailTls::Starttls, PASSWORD), (MailTls::Tls, PASSWORD)]
    {
        let (address, serving) = mail_server(tls, Some(authority.server("127.0.0.1")));
        assert_eq!(mailed(authority.trusted(), tls, &address, password).await, None, "{tls:?}");
        let said = serving.join().unwrap();
        for line in [
            "RCPT TO:<a@example.org>",
            "RCPT TO:<b@example.org>",
            "Subject: [C] critical: the disk is 90 % full",
        ] {
            assert!(said.lines().any(|one| one.starts_with(line)), "{line}\n{said}");
        }
        assert!(said.contains("What to do: make room"), "{said}");
        // Nothing is said before it is encrypted, but who speaks.
        if tls == MailTls::Starttls {
            let (plain, _) = said.split_once("STARTTLS\r\n").unwrap();
            assert!(plain.starts_with("EHLO ") && plain.lines().count() == 1, "{plain}");
        }
    }
}

#[tokio::test]
async fn mail_servers_that_are_not_trusted_or_refuse_are_told_nothing_and_why() {
    let (authority, other) = (Authority::new("CA"), Authority::new("Other"));
    let of_none =
        "its certificate is of no CA that is trusted: alerts.ca_file names those that are";
    for tls in [MailTls::Starttls, MailTls::Tls] {
        for (trust, name, password, expected) in [
            (other.trusted(), "127.0.0.1", PASSWORD, of_none),
            (authority.trusted(), "mail.example.org", PASSWORD, "certificate not valid for name"),
            (authority.trusted(), "127.0.0.1", "not it", "535): 5.7.8 wrong password"),
        ] {
            let (address, serving) = mail_server(tls, Some(authority.server(name)));
            let reason = mailed(trust, tls, &address, password).await.unwrap();
            assert!(reason.contains(expected) && !reason.contains(password), "{reason}");
            let said = serving.join().unwrap();
            assert!(!said.contains("MAIL FROM"), "{said}");
        }
    }
    for (tls, expected) in [
        (MailTls::Starttls, "STARTTLS is not supported on this server"),
        (MailTls::Tls, "it takes no TLS on this port"),
    ] {
        let (address, serving) = mail_server(MailTls::None, None);
        let reason = mailed(authority.trusted(), tls, &address, PASSWORD).await.unwrap();
        assert!(reason.contains(expected), "{reason}");
        assert!(!serving.join().unwrap().contains("AUTH"));
    }
}
