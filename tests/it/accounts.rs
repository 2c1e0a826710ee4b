//! Accounts on the built binary: what stops a start, who is let in, and what an operator is told.

use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use nix::sys::signal::Signal;

use crate::support::{Node, free_address, rmq_node};

const ACCOUNTS: &str = "\
accounts:
- {accessKey: node-account, secretKey: node-secret, admin: true}
- {accessKey: ordinary, secretKey: secret-1, defaultTopicPerm: PUB}
";

/// Settings with accounts on, and a file of accounts.
fn settings(dir: &Path, address: Ipv4Addr, accounts: &str) -> PathBuf {
    fs::create_dir(dir.join("acl")).unwrap();
    fs::write(dir.join("acl/plain_acl.yml"), accounts).unwrap();
    let text = format!(
        "listen = \"{address}\"\ndata_dir = {:?}\n[acl]\nenabled = true\naccounts_dir = {:?}\nnode_account = \"node-account\"\n",
        dir.join("data"),
        dir.join("acl"),
    );
    let file = dir.join("node.toml");
    fs::write(&file, text).unwrap();
    file
}

fn tools_file(dir: &Path, access_key: &str, secret: &str) -> String {
    let file = dir.join(format!("{access_key}.yml"));
    fs::write(&file, format!("accessKey: {access_key}\nsecretKey: {secret}\n")).unwrap();
    file.to_str().unwrap().to_owned()
}

/// Runs an action: exit code and standard error.
fn run(arguments: &[&str]) -> (Option<i32>, String) {
    let output = rmq_node(arguments).output().unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn a_node_with_accounts_registers_by_itself_and_lets_in_who_signs() {
    let (address, dir) = (free_address(), tempfile::tempdir().unwrap());
    let file = settings(dir.path(), address, ACCOUNTS);
    // It is up when its broker is registered, which it signed.
    let node = Node::spawn(&mut rmq_node(&["run", "--config", file.to_str().unwrap()]));
    let names = format!("{address}:9876");
    let create = ["admin", "topics", "create", "Hello", "-n", &names];
    let (code, error) = run(&create);
    assert_eq!(code, Some(1), "{error}");
    assert!(error.contains("No accessKey is configured"), "{error}");
    assert!(error.contains("--credentials"), "{error}");
    let ordinary = tools_file(dir.path(), "ordinary", "secret-1");
    let (code, error) = run(&[&create[..], &["--credentials", &ordinary]].concat());
    assert_eq!(code, Some(1), "{error}");
    assert!(error.contains("Need admin permission for request code=17"), "{error}");
    let admin = tools_file(dir.path(), "node-account", "node-secret");
    let (code, error) = run(&[&create[..], &["--credentials", &admin]].concat());
    assert_eq!(code, Some(0), "{error}");
    let bench = ["bench", "produce", "-t", "Hello", "-m", "9", "-n", &names];
    assert_eq!(run(&bench).0, Some(1), "without an account nothing is sent");
    let mut signed = rmq_node(&bench);
    let signed = signed.env("RMQ_ACCESS_KEY", "ordinary").env("RMQ_SECRET_KEY", "secret-1");
    assert_eq!(signed.output().unwrap().status.code(), Some(0));
    node.signal(Signal::SIGTERM);
    let log = node.wait().1;
    let told = log.lines().filter(|line| line.contains("refused; what follows from there"));
    assert_eq!(told.count(), 1, "all of these came from one address: {log}");
    assert!(!log.contains("secret"), "no secret in a log: {log}");
}

#[test]
fn accounts_are_made_and_taken_away_and_their_secrets_shown_to_nobody() {
    let (address, dir) = (free_address(), tempfile::tempdir().unwrap());
    let file = settings(dir.path(), address, ACCOUNTS);
    let _node = Node::spawn(&mut rmq_node(&["run", "--config", file.to_str().unwrap()]));
    // Over the socket, as the node itself.
    let acl = |arguments: &[&str]| {
        let mut command = rmq_node(&[&["admin", "acl"][..], arguments].concat());
        command.env("RUNTIME_DIRECTORY", "/nonexistent");
        let output = command.env("RMQ_NODE_DATA_DIR", dir.path().join("data")).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    let (code, printed, error) = acl(&[]);
    assert_eq!(code, Some(0), "{error}");
    let line = printed.lines().find(|line| line.starts_with("ordinary ")).unwrap();
    assert!(line.contains("PUB") && line.ends_with("all"), "{printed}");
    let secret = dir.path().join("secret");
    fs::write(&secret, "hidden-one\n").unwrap();
    let made =
        ["create", "new-account", "--secret-file", secret.to_str().unwrap(), "--topic", "T=SUB"];
    let (code, printed, error) = acl(&made);
    assert_eq!(
        (code, printed.as_str()),
        (Some(0), &*format!("account new-account created: broker-a 0 ({address}:10911)\n")),
        "{error}"
    );
    assert_eq!(acl(&made).0, Some(1));
    let (code, printed, error) = acl(&["show", "new-account", "-o", "json"]);
    assert_eq!(code, Some(0), "{error}");
    let shown: serde_json::Value = serde_json::from_str(&printed).unwrap();
    assert_eq!(shown[0]["settings"]["topic_permissions"]["items"][0], "T=SUB");
    // It is let in, with its secret.
    let signed = tools_file(dir.path(), "new-account", "hidden-one");
    let names = format!("{address}:9876");
    let (code, error) = run(&["admin", "groups", "-n", &names, "--credentials", &signed]);
    assert_eq!(code, Some(0), "{error}");
    let (code, _, error) = acl(&["update", "new-account", "--default-topic", "PUB"]);
    assert_eq!(code, Some(0), "{error}");
    let unchanged = acl(&["update", "new-account", "--default-topic", "PUB"]).1;
    assert!(unchanged.contains("unchanged"), "{unchanged}");
    let (code, _, error) = acl(&["update", "new-account", "--topic", ""]);
    assert_eq!(code, Some(0), "{error}");
    let shown = acl(&["show", "new-account", "-o", "json"]).1;
    assert!(shown.contains("new-account") && !shown.contains("T=SUB"), "{shown}");
    let (code, _, error) = acl(&["update", "new-account", "--topic", "T=sub"]);
    assert_eq!((code, error.contains("permission error for T=sub")), (Some(2), true), "{error}");
    // What the operator's file has is not for requests to change.
    let (code, _, error) = acl(&["delete", "ordinary", "--yes"]);
    assert_eq!(code, Some(1), "{error}");
    let (code, _, error) = acl(&["white-list", "10.9.9.9", "--yes"]);
    assert_eq!(code, Some(0), "{error}");
    assert!(acl(&[]).1.contains("10.9.9.9"));
    assert_eq!(acl(&["delete", "new-account", "--yes"]).0, Some(0));
    assert_eq!(acl(&["show", "new-account"]).0, Some(4));
    let mut audit = rmq_node(&["admin", "audit", "-o", "json"]);
    let audit = audit
        .env("RUNTIME_DIRECTORY", "/nonexistent")
        .env("RMQ_NODE_DATA_DIR", dir.path().join("data"));
    let audit = String::from_utf8(audit.output().unwrap().stdout).unwrap();
    assert!(audit.contains("Acl/Create") && audit.contains("***"), "{audit}");
    assert!(!audit.contains("hidden-one"), "{audit}");
}

#[test]
fn accounts_that_cannot_be_used_stop_a_start_and_a_check_with_their_line() {
    for (accounts, expected) in [
        ("accounts:\n- {accessKey: short, secretKey: a}\n", "plain_acl.yml:2: The accessKey=short"),
        ("accounts: []\n", "the node's own account node-account is in no account file"),
    ] {
        let (address, dir) = (free_address(), tempfile::tempdir().unwrap());
        let file = settings(dir.path(), address, accounts);
        for action in [&["run"][..], &["config", "check"]] {
            let (code, error) = run(&[action, &["--config", file.to_str().unwrap()]].concat());
            assert_eq!(code, Some(1), "{error}");
            assert!(error.contains(expected), "{error}");
        }
    }
}
