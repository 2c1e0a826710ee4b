//! The few lines that somebody at a terminal sees when the node serves; the journal gets one event.

use std::io::{self, Write};
use std::net::SocketAddr;

use super::data_dir::DataDir;
use super::logging;
use crate::config::{Config, Loaded};

/// Where commands look for a name server if they are not told.
const DEFAULT_NAME_SERVER: &str = "127.0.0.1:9876";

/// Tells what listens where, where the data is, and what to try next; `down` are groups whose brokers do not run.
pub fn show(loaded: &Loaded, data_dir: &DataDir, status: &str, down: &[(String, String)]) {
    let config = &loaded.config;
    if logging::is_journal() {
        let data = data_dir.path().display();
        tracing::info!(version = env!("CARGO_PKG_VERSION"), listen = %config.listen, %data, status, "serving");
        return;
    }
    let data = data_dir.path().display().to_string();
    let text = text(config, &called(), &data, status, down);
    // Nobody may be there to read it, and the node goes on all the same.
    let _ = io::stdout().write_all(text.as_bytes());
}

/// How this program was called, so that the commands can be copied: by its path, or found by its name.
fn called() -> String {
    let path = std::env::args().next().filter(|path| path.contains('/'));
    path.unwrap_or_else(|| "rmq-node".to_owned())
}

fn text(
    config: &Config,
    program: &str,
    data: &str,
    status: &str,
    down: &[(String, String)],
) -> String {
    let at = |port: u16| SocketAddr::new(config.listen, port);
    let mut lines = vec![format!("rmq-node {} is up: {status}", env!("CARGO_PKG_VERSION"))];
    if let Some(server) = &config.name_server {
        lines.push(format!("  name server  {}", at(server.port)));
    }
    for broker in &config.brokers {
        if down.iter().any(|(group, _)| *group == broker.group) {
            lines.push(format!("  {:<11}  does not run", broker.group));
            continue;
        }
        let (vip, ha) = (broker.port - 2, broker.port + 1);
        let (role, cluster) = (broker.role, &config.cluster);
        lines.push(format!(
            "  {:<11}  {}  {role} in {cluster}, VIP port {vip}, HA port {ha}",
            broker.group,
            at(broker.port)
        ));
    }
    lines.push(format!("  data         {data}"));
    lines.push("Try in another terminal:".to_owned());
    let name_server = name_server_argument(&config.name_servers);
    for command in
        ["admin topics create Hello", "bench produce -t Hello -m 1000", "admin topics show Hello"]
    {
        lines.push(format!("  {program} {command}{name_server}"));
    }
    lines.push("Ctrl-C stops it.".to_owned());
    lines.join("\n") + "\n"
}

/// What the commands above need to find this cluster; nothing where they look by themselves.
fn name_server_argument(name_servers: &[String]) -> String {
    match name_servers {
        [one] if one == DEFAULT_NAME_SERVER => String::new(),
        all => format!(" -n {}", all.join(",")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Sources, load};

    #[test]
    fn the_default_node_is_described() {
        // A folder without a file or conf.d, so that this host's own settings do not count.
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("empty.toml");
        std::fs::write(&file, "").unwrap();
        let sources = Sources { config_file: Some(file), ..Sources::default() };
        let config = load(&sources).unwrap().config;
        let version = env!("CARGO_PKG_VERSION");
        let expected = format!(
            "rmq-node {version} is up: serving
  name server  127.0.0.1:9876
  broker-a     127.0.0.1:10911  master in DefaultCluster, VIP port 10909, HA port 10912
  data         /data
Try in another terminal:
  bin/rmq-node admin topics create Hello
  bin/rmq-node bench produce -t Hello -m 1000
  bin/rmq-node admin topics show Hello
Ctrl-C stops it.
"
        );
        assert_eq!(text(&config, "bin/rmq-node", "/data", "serving", &[]), expected);
        let down = [("broker-a".to_owned(), "no log".to_owned())];
        let text = text(&config, "bin/rmq-node", "/data", "degraded", &down);
        assert!(text.contains("\n  broker-a     does not run\n"), "{text}");
    }

    #[test]
    fn commands_for_another_address_say_which() {
        let servers = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(name_server_argument(&servers("127.0.0.2:9876")), " -n 127.0.0.2:9876");
        assert_eq!(name_server_argument(&servers("a:1 b:1")), " -n a:1,b:1");
    }
}
