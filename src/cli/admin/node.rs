//! `rmq-node admin node`: how the node of this host is, and having it read its settings again; `stop` stops it.

use std::path::Path;

use clap::Subcommand;

use super::door::Door;
use super::output::{Output, Report, Reported};
use super::sheet::{Sheet, words};
use super::stop::{self, Stop};
use crate::cli::table::utc;
use crate::proto::v1::node_client::NodeClient;
use crate::proto::v1::{NodeStatus, NodeStatusRequest, ReloadNodeRequest, ReloadNodeResponse};

/// The verbs.
#[derive(Clone, Debug, Subcommand)]
pub enum NodeAction {
    /// Show the node's version, process, and how its roles are.
    Status,
    /// Have the node read its settings again; nothing changes if they are wrong or need a restart.
    Reload,
    /// Tell whether this host can be stopped now without anybody noticing (exit code 0), or why not (1).
    UpgradeCheck,
    /// Stop the node; where a unit of systemd runs it, as root through systemctl.
    Stop(Stop),
    /// Restart the node through systemctl, as root.
    Restart(Stop),
}

impl NodeAction {
    /// Whether it only looks.
    pub fn only_reads(&self) -> bool {
        matches!(self, Self::Status | Self::UpgradeCheck)
    }
}

/// Does what the verb says; shows the status without one. `socket` is that of the node, if it was named.
///
/// # Errors
/// As the service's.
pub async fn run(
    action: Option<NodeAction>,
    socket: Option<&Path>,
    door: Door,
    output: Output,
) -> Reported {
    let mut node = NodeClient::new(door.clone());
    Ok(match action.unwrap_or(NodeAction::Status) {
        NodeAction::Status => {
            status(&node.status(NodeStatusRequest {}).await?.into_inner(), output)
        }
        NodeAction::UpgradeCheck => stop::check(node, output).await?,
        NodeAction::Stop(arguments) => stop::run(arguments, "stop", socket, door, output).await?,
        NodeAction::Restart(arguments) => {
            stop::run(arguments, "restart", socket, door, output).await?
        }
        NodeAction::Reload => {
            reloaded(&node.reload(ReloadNodeRequest {}).await?.into_inner(), output)
        }
    })
}

fn status(status: &NodeStatus, output: Output) -> Report {
    let line = |name: &str, value: String| vec![name.to_owned(), value];
    let rows = vec![
        line("version", format!("{} (commit {})", status.version, status.commit)),
        line("process", status.pid.to_string()),
        line("started (UTC)", utc(status.started_ms)),
        line("status", status.status.clone()),
        line("data directory", status.data_dir.clone()),
        line("name servers", status.name_servers.join(", ")),
    ];
    let sheet = Sheet::new(vec![words("NODE"), words("")], rows);
    Report::new(sheet.render(status, output), Vec::new())
}

fn reloaded(answer: &ReloadNodeResponse, output: Output) -> Report {
    let rows = answer.changed.iter().map(|one| vec![one.clone()]).collect();
    let mut notes = Vec::new();
    if answer.changed.is_empty() {
        notes.push("The settings were read again; nothing has changed.".to_owned());
    }
    let text = Sheet::new(vec![words("CHANGED")], rows).render(answer, output);
    Report { notes: output.notes(notes), ..Report::new(text, Vec::new()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_node_is_shown_line_by_line() {
        let node = NodeStatus {
            version: "0.1.0".to_owned(),
            commit: "abc".to_owned(),
            pid: 7,
            started_ms: 0,
            status: "serving".to_owned(),
            data_dir: "/d".to_owned(),
            name_servers: vec!["a:1".to_owned(), "b:1".to_owned()],
        };
        let expected = "\
NODE
version         0.1.0 (commit abc)
process         7
started (UTC)   1970-01-01 00:00:00
status          serving
data directory  /d
name servers    a:1, b:1
";
        assert_eq!(status(&node, Output::Table).text, expected);
        let report = reloaded(&ReloadNodeResponse::default(), Output::Table);
        assert_eq!((report.text.as_str(), report.notes.len()), ("", 1));
    }
}
