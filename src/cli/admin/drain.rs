//! `rmq-node admin brokers drain`: takes a master out of use, and waits until its host can be stopped.
//!
//! Not what is waited for (`crate::admin`). Invariants: topics that nobody else takes are asked about first; the broker
//! stays drained whatever becomes of the waiting, and what is not there yet at its end is a problem (exit code 6).

use std::time::Duration;

use clap::Args;
use tokio::time::Instant;
use tonic::{Code, Status};

use super::brokers;
use super::door::Door;
use super::output::{Confirmation, Output, Report, Reported, not_confirmed, what_was_done};
use crate::cli::progress::News;
use crate::proto::v1::brokers_client::BrokersClient;
use crate::proto::v1::{
    BrokerStatus, DrainBrokerRequest, DrainBrokerResponse, GetBrokerRequest, Outcome,
};

/// How often it is looked how far it is.
const LOOK_EVERY: Duration = Duration::from_secs(1);
const NOT_KEPT: &str =
    "It is no rmq-node: it stays drained over a restart only if it was started with a file (-c).";

/// The arguments.
#[derive(Args, Clone, Debug)]
pub struct Drain {
    /// Its group (`brokerName`) [default: the master of this host, else the only broker].
    group: Option<String>,
    /// How long to wait at most; the broker stays drained all the same. 0: not at all.
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    timeout_s: u64,
    /// Show what would be done, and do nothing.
    #[arg(long)]
    dry_run: bool,
    /// Whether topics that no other master takes are an obstacle.
    #[command(flatten)]
    confirmation: Confirmation,
}

/// Drains and waits.
///
/// # Errors
/// As the service's.
pub async fn run(drain: Drain, mut brokers: BrokersClient<Door>, output: Output) -> Reported {
    let Drain { group, timeout_s, dry_run, confirmation } = drain;
    let request =
        |dry_run| DrainBrokerRequest { broker: group.clone(), accept_only_here: true, dry_run };
    let planned = brokers.drain(request(true)).await?.into_inner();
    if dry_run {
        return Ok(would_be(&planned, output));
    }
    let is_new = planned.done.as_ref().is_some_and(|done| done.outcome() == Outcome::DryRun);
    if is_new && !planned.only_here.is_empty() && !confirmation.is_given(&question(&planned)) {
        let refused = not_confirmed();
        let problems = [vec![only_here(&planned)], refused.problems].concat();
        return Ok(Report { problems, ..refused });
    }
    brokers.drain(request(false)).await?;
    let (status, problems) = wait(&group, Duration::from_secs(timeout_s), &mut brokers).await?;
    let mut report = brokers::show(&status, output);
    report.problems = problems;
    if !planned.is_kept {
        report.notes = output.notes(vec![NOT_KEPT.to_owned()]);
    }
    Ok(report)
}

fn would_be(planned: &DrainBrokerResponse, output: Output) -> Report {
    let done = Vec::from_iter(planned.done.clone());
    let mut report = what_was_done(&done, "broker", "drained", output);
    let mut notes = Vec::new();
    if !planned.only_here.is_empty() {
        notes.push(only_here(planned));
    }
    if !planned.is_kept {
        notes.push(NOT_KEPT.to_owned());
    }
    report.notes = output.notes(notes);
    report
}

fn only_here(planned: &DrainBrokerResponse) -> String {
    format!(
        "no other master takes messages for these topics, `rmq-node admin topics repair` makes topics equal on all \
         masters: {}",
        planned.only_here.join(", ")
    )
}

fn question(planned: &DrainBrokerResponse) -> String {
    format!(
        "Nobody can send to these topics then, because no other master takes them: {}.",
        planned.only_here.join(", ")
    )
}

/// Waits until nothing is waited for any more; returns how the broker is then, and what is not there yet.
///
/// # Errors
/// Nobody told how it is until the time was up.
pub async fn wait(
    group: &Option<String>,
    timeout: Duration,
    brokers: &mut BrokersClient<Door>,
) -> Result<(BrokerStatus, Vec<String>), Status> {
    let deadline = Instant::now() + timeout;
    let mut news = News::default();
    loop {
        let request = GetBrokerRequest { broker: group.clone(), id: None };
        let told = brokers.get(request).await.map(tonic::Response::into_inner);
        let waits_for = match &told {
            Ok(BrokerStatus { drain: Some(drain), .. }) => drain.waits_for.clone(),
            Ok(_) => {
                return Err(Status::failed_precondition("somebody has resumed it meanwhile"));
            }
            Err(error) if error.code() == Code::Unavailable => vec![error.message().to_owned()],
            Err(error) => return Err(error.clone()),
        };
        let is_late = Instant::now() >= deadline;
        if waits_for.is_empty() || is_late {
            let still = |one| format!("not waited for any longer: {one}");
            let problems = waits_for.into_iter().map(still).collect();
            return told.map(|status| (status, problems));
        }
        news.tell(&waits_for);
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::v1::Done;

    #[test]
    fn a_dry_run_tells_what_stands_in_the_way() {
        let done =
            Done { at: "broker-a".to_owned(), outcome: Outcome::DryRun.into(), ..Done::default() };
        let only_here = vec!["T".to_owned(), "U".to_owned()];
        let planned = DrainBrokerResponse { done: Some(done), only_here, is_kept: false };
        let report = would_be(&planned, Output::Table);
        assert_eq!(report.text, "broker would be drained: broker-a\n");
        assert!(report.notes[0].ends_with("masters: T, U"), "{report:?}");
        assert_eq!(report.notes[1], NOT_KEPT);
        assert!(question(&planned).ends_with("T, U."));
    }
}
