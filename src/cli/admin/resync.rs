//! `rmq-node admin replication resync`: lets a slave of this host begin anew.
//!
//! Not the doing, which is the slave's. Invariant: nothing is asked for before somebody has said yes, because the copy
//! that is set aside is not served any more.

use clap::Args;

use super::door::Door;
use super::output::{Confirmation, Output, Report, Reported, not_confirmed};
use super::sheet::{Sheet, words};
use crate::proto::v1::ResyncRequest;
use crate::proto::v1::node_client::NodeClient;

/// The arguments.
#[derive(Args, Clone, Debug)]
pub struct Resync {
    /// The group (`brokerName`) whose slave this host runs.
    group: String,
    /// Show whether there is such a slave, and do nothing.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    confirmation: Confirmation,
}

/// Asks the user, then the node.
///
/// # Errors
/// As the service's.
pub async fn run(resync: Resync, door: Door, output: Output) -> Reported {
    let Resync { group, dry_run, confirmation } = resync;
    let question = format!(
        "The slave of {group} on this host stops serving, its folder is set aside, and all that its master has is copied \
         again."
    );
    if !dry_run && !confirmation.is_given(&question) {
        return Ok(not_confirmed());
    }
    let request = ResyncRequest { group: group.clone(), dry_run };
    let answer = NodeClient::new(door).resync(request).await?.into_inner();
    let text = if output.is_for_people() && dry_run {
        format!("{group} would begin anew, and its folder be set aside\n")
    } else if output.is_for_people() {
        format!(
            "{group} begins anew: its folder is set aside; `rmq-node admin replication` shows how it copies\n"
        )
    } else {
        Sheet::new(vec![words("GROUP")], vec![vec![group]]).render(&answer, output)
    };
    Ok(Report::new(text, Vec::new()))
}
