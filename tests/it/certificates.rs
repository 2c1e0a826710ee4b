//! The certificate of a running node: when it ends is shown, and told at the start and at a reload.

use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;

use nix::sys::signal::Signal;
use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256};

use crate::admin::admin_beside;
use crate::console::{ask, at};
use crate::support::{Node, free_address, rmq_node};

/// Writes `node.crt` and `node.key`, which end when the year begins.
fn write_certificate(dir: &Path, address: Ipv4Addr, year: i32) {
    let mut params = CertificateParams::new(vec![address.to_string()]).unwrap();
    params.not_before = rcgen::date_time_ymd(2001, 1, 1);
    params.not_after = rcgen::date_time_ymd(year, 1, 1);
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
    let certificate = params.self_signed(&key).unwrap();
    fs::write(dir.join("node.crt"), certificate.pem()).unwrap();
    fs::write(dir.join("node.key"), key.serialize_pem()).unwrap();
}

/// When the certificate ends, as `/metrics` has it.
fn shown(address: Ipv4Addr) -> Option<String> {
    let text = ask(at(address), "GET /metrics", "").body;
    let mut lines = text.lines();
    let end = lines.find_map(|line| line.strip_prefix("rmq_certificate_not_after_seconds "));
    end.map(str::to_owned)
}

#[test]
fn the_end_of_a_certificate_is_shown_and_told_at_the_start_and_at_a_reload() {
    let (address, dir) = (free_address(), tempfile::tempdir().unwrap());
    let [settings, certificate, key, data_dir] =
        ["a.toml", "node.crt", "node.key", "data"].map(|name| dir.path().join(name));
    let text = format!(
        "listen = \"{address}\"\ndata_dir = {data_dir:?}\n[tls]\ncertificate_file = {certificate:?}\n\
         key_file = {key:?}\n"
    );
    fs::write(&settings, text).unwrap();
    write_certificate(dir.path(), address, 2020);
    let node = Node::spawn(rmq_node(&["run", "--config"]).arg(&settings));
    assert_eq!(shown(address).as_deref(), Some("1577836800"));
    for (year, end) in [(2021, "1609459200"), (2100, "4102444800")] {
        write_certificate(dir.path(), address, year);
        let (code, _, error) = admin_beside(&data_dir, &["node", "reload"]);
        assert_eq!(code, Some(0), "{error}");
        assert_eq!(shown(address).as_deref(), Some(end), "{year}");
    }
    node.signal(Signal::SIGTERM);
    let (status, log) = node.wait();
    assert!(status.success(), "{log}");
    let told = log.matches("node.crt has expired").count();
    assert_eq!(told, 2, "of the first at the start, of the second at its reload: {log}");
}
