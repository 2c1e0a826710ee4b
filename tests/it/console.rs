//! The node over HTTP, as browsers and Prometheus meet it.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};

use nix::sys::signal::Signal;

use crate::support::{Node, free_address, rmq_node};

const PORT: u16 = 8080;

/// An answer: its head, status line first, and its body.
struct Answer {
    head: String,
    body: String,
}

impl Answer {
    fn status(&self) -> &str {
        self.head.split(' ').nth(1).unwrap()
    }
}

/// One request on a connection of its own; `more` are further header lines.
fn ask(address: impl Into<SocketAddr>, request: &str, more: &str) -> Answer {
    let address = address.into();
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "{request} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{more}\r\n")
        .unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    Answer { head: head.to_owned(), body: body.to_owned() }
}

fn at(address: Ipv4Addr) -> (Ipv4Addr, u16) {
    (address, PORT)
}

#[test]
fn metrics_and_health_are_served_with_and_without_pages() {
    for settings in ["", "[console]\nenabled = false\n"] {
        let (address, dir) = (free_address(), tempfile::tempdir().unwrap());
        let file = dir.path().join("a.toml");
        std::fs::write(&file, settings).unwrap();
        let mut command = rmq_node(&["run", "--listen", &address.to_string()]);
        command.args(["--config", file.to_str().unwrap()]);
        let node = Node::spawn(command.env("STATE_DIRECTORY", dir.path()));
        let health = ask(at(address), "GET /healthz", "");
        assert_eq!(
            (health.status(), health.body.as_str()),
            ("200", format!("{}\n", node.status_line()).as_str())
        );
        let text = ask(at(address), "GET /metrics", "");
        assert!(text.head.contains("content-type: text/plain; version=0.0.4"), "{}", text.head);
        assert!(
            text.body.contains("# TYPE rmq_messages_in_total counter\nrmq_messages_in_total 0\n")
        );
        let open = "Accept: application/openmetrics-text;version=1.0.0,text/plain;q=0.3\r\n";
        let open = ask(at(address), "GET /metrics", open);
        assert!(open.head.contains("content-type: application/openmetrics-text"), "{}", open.head);
        assert!(
            open.body.contains("# TYPE rmq_messages_in counter\n")
                && open.body.ends_with("# EOF\n")
        );
        // A connection that says nothing keeps no node from ending.
        let _idle = TcpStream::connect(at(address)).unwrap();
        node.signal(Signal::SIGTERM);
        let (status, log) = node.wait();
        assert_eq!(status.code(), Some(0), "{log}");
    }
}

#[test]
fn a_port_that_somebody_has_stops_only_a_node_that_was_told_to_have_it() {
    let (address, dir) = (free_address(), tempfile::tempdir().unwrap());
    let _holder = TcpListener::bind((address, PORT)).unwrap();
    let node = Node::start(address, dir.path());
    node.signal(Signal::SIGTERM);
    let (status, log) = node.wait();
    assert_eq!(status.code(), Some(0), "{log}");
    let told = format!("cannot bind {address}:{PORT}, port of the console: process ");
    assert!(log.contains(&told) && log.contains("without console and /metrics"), "{log}");
    let (listen, data) = (address.to_string(), dir.path().to_str().unwrap());
    let mut command = rmq_node(&["run", "--listen", &listen, "--data-dir", data]);
    let refused = command.env("RMQ_NODE_CONSOLE__PORT", "8080").output().unwrap();
    assert_eq!(refused.status.code(), Some(1));
    let error = String::from_utf8(refused.stderr).unwrap();
    assert!(error.starts_with(&format!("error: {told}")), "{error}");
}
