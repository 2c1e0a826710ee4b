//! The admin API over TCP: a program with a token against a running node, and settings that are refused.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use nix::sys::signal::Signal;
use rmq_node::proto::v1::CreateTopicRequest;
use rmq_node::proto::v1::topics_client::TopicsClient;

use crate::admin::admin_beside;
use crate::support::{Node, free_address, rmq_node};

/// A channel that is dialled now, and the call of a method over it with a token.
async fn create_topic(address: &str, token: &str) -> Result<(), tonic::Status> {
    let endpoint = tonic::transport::Endpoint::from_shared(format!("http://{address}")).unwrap();
    let mut topics = TopicsClient::new(endpoint.connect().await.unwrap());
    let message = CreateTopicRequest { topic: "Hello".to_owned(), ..CreateTopicRequest::default() };
    let mut request = tonic::Request::new(message);
    request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    topics.create(request).await.map(|_| ())
}

#[test]
fn programs_log_in_over_tcp_and_are_named_in_the_audit_log() {
    let (address, dir) = (free_address(), tempfile::tempdir().unwrap());
    let [file, logins] = ["a.toml", "logins.toml"].map(|name| dir.path().join(name));
    let data_dir = dir.path().join("data");
    let settings = format!(
        "listen = \"{address}\"\ndata_dir = {data_dir:?}\n[admin]\nlisten = \"{address}:9877\"\n\
         logins_file = {logins:?}\n"
    );
    fs::write(&file, &settings).unwrap();
    // Of the tokens `secret` and `abc`.
    let login = |name: &str, role: &str, hash: &str| {
        format!("[[token]]\nname = \"{name}\"\nrole = \"{role}\"\nsha256 = \"{hash}\"\n")
    };
    let looking = login(
        "looking",
        "reader",
        "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b",
    );
    let changing = login(
        "changing",
        "admin",
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
    );
    fs::write(&logins, &looking).unwrap();
    let check = ["config", "check", "--config", file.to_str().unwrap()];
    let output = rmq_node(&check).output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    let is_told = error.contains("logins.toml cannot be used for logins: its mode 644 lets others");
    assert_eq!((output.status.code(), is_told), (Some(1), true), "{error}");
    fs::set_permissions(&logins, fs::Permissions::from_mode(0o600)).unwrap();
    let output = rmq_node(&check).output().unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(printed.contains(&format!("admin API on {address}:9877; dialled at")), "{printed}");
    let node = Node::spawn(&mut rmq_node(&["run", "--config", file.to_str().unwrap()]));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let port = format!("{address}:9877");
    let create = |token: &str| runtime.block_on(create_topic(&port, token));
    let denied = create("secret").unwrap_err();
    let expected = "Topics/Create needs the role admin, and token looking is reader";
    assert_eq!((denied.code(), denied.message()), (tonic::Code::PermissionDenied, expected));
    assert_eq!(create("abc").unwrap_err().code(), tonic::Code::Unauthenticated);
    // A reload takes over whom the file names.
    fs::write(&logins, looking + &changing).unwrap();
    let (code, printed, error) = admin_beside(&data_dir, &["node", "reload"]);
    assert_eq!(code, Some(0), "{error}");
    assert!(printed.contains("the admin API lets in whom its logins file names now"), "{printed}");
    create("abc").unwrap();
    let printed = admin_beside(&data_dir, &["audit", "-o", "json"]).1;
    let records: serde_json::Value = serde_json::from_str(&printed).unwrap();
    let who = records[1]["who"].as_str().unwrap();
    assert!(who.starts_with("token changing, 127."), "{printed}");
    assert_eq!(records[1]["method"], "Topics/Create");
    // One that is wrong changes nothing.
    fs::write(&logins, "").unwrap();
    let (code, _, error) = admin_beside(&data_dir, &["node", "reload"]);
    assert_eq!((code, error.contains("there is no [[token]]")), (Some(1), true), "{error}");
    assert_eq!(create("secret").unwrap_err().code(), tonic::Code::PermissionDenied);
    node.signal(Signal::SIGTERM);
    let (status, log) = node.wait();
    assert!(status.success(), "{log}");
    // The same source, so it was told of once.
    assert_eq!(log.matches("the admin API refused: ").count(), 1, "{log}");
    assert!(!log.contains("secret"), "{log}");
}

#[test]
fn a_port_for_programs_without_a_lock_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("a.toml");
    fs::write(&file, "listen = \"127.0.0.1\"\n[admin]\nlisten = \"0.0.0.0:9877\"\n").unwrap();
    let output =
        rmq_node(&["config", "check", "--config", file.to_str().unwrap()]).output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(78), "{error}");
    for line in ["write admin.logins_file = ", "write tls.certificate_file = "] {
        assert!(error.contains(line), "{error}");
    }
}
