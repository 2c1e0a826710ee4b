//! `rmq-node admin node stop`, `restart` and `upgrade-check`: whether this host can be stopped now, and stopping it.
//!
//! Not the drain (`drain`), nor what is looked at (`crate::admin`). Invariants: only a unit of systemd whose main process
//! is the node that answers is stopped or restarted; with `--drain` nothing is stopped that somebody would notice, unless
//! that is confirmed; only what was drained here is put to use again.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use clap::Args;
use serde::Serialize;
use tokio::time::{Instant, sleep};
use tonic::Status;

use super::door::Door;
use super::drain;
use super::output::{Confirmation, Output, Report, Reported, not_confirmed};
use super::sheet::{Sheet, words};
use crate::node::DATA_FORMAT;
use crate::proto::v1::brokers_client::BrokersClient;
use crate::proto::v1::node_client::NodeClient;
use crate::proto::v1::{
    Broker, BrokerStatus, DrainBrokerRequest, ListBrokersRequest, NodeStatusRequest,
    ResumeBrokerRequest, StopNodeRequest, UpgradeCheckRequest, UpgradeCheckResponse,
};

/// How often it is looked whether a node is back.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The arguments.
#[derive(Args, Clone, Debug)]
pub struct Stop {
    /// First look whether anybody would notice, and drain the masters of this host; `restart` resumes them.
    #[arg(long)]
    drain: bool,
    /// How long to wait for a drain, and for the slaves after a restart.
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    timeout_s: u64,
    /// Show what would be done, and do nothing.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    confirmation: Confirmation,
}

/// A step that was taken, or would be.
#[derive(Debug, Serialize)]
struct Step {
    what: String,
    at: String,
}

/// `admin node upgrade-check`.
///
/// # Errors
/// As the service's.
pub async fn check(mut node: NodeClient<Door>, output: Output) -> Reported {
    Ok(checked(&asked(&mut node).await?, output))
}

async fn asked(node: &mut NodeClient<Door>) -> Result<UpgradeCheckResponse, Status> {
    Ok(with_this_program(node.upgrade_check(UpgradeCheckRequest {}).await?.into_inner()))
}

/// The check, with what an upgrade would meet besides.
fn with_this_program(mut check: UpgradeCheckResponse) -> UpgradeCheckResponse {
    if check.data_format > DATA_FORMAT {
        check.obstacles.push(format!(
            "this program knows format {DATA_FORMAT} of the data directory, the node has written {}: install a newer one",
            check.data_format
        ));
    }
    check
}

fn checked(check: &UpgradeCheckResponse, output: Output) -> Report {
    let drain = check.not_drained.iter().map(|group| {
        format!(
            "{group} takes messages: `rmq-node admin brokers drain {group}` takes it out of use"
        )
    });
    let rows: Vec<_> =
        [("ok", check.fine.clone()), ("no", check.obstacles.clone()), ("no", drain.collect())]
            .into_iter()
            .flat_map(|(result, texts)| {
                texts.into_iter().map(move |text| vec![result.to_owned(), text])
            })
            .collect();
    let has_failed = rows.iter().any(|row| row[0] == "no");
    let note = match (check.obstacles.is_empty(), has_failed) {
        (true, false) => "This host can be stopped now, and nobody notices.",
        (true, true) => "`rmq-node admin node restart --drain` drains, restarts and resumes.",
        _ => "Not now: somebody would notice.",
    };
    let text = Sheet::new(vec![words(""), words("CHECK")], rows).render(check, output);
    let notes = output.notes(vec![note.to_owned()]);
    Report { notes, has_failed, ..Report::new(text, Vec::new()) }
}

/// `admin node stop` and `admin node restart`, the `verb`.
///
/// # Errors
/// As the services'; no unit of systemd runs the node, or the user may not.
pub async fn run(
    stop: Stop,
    verb: &str,
    socket: Option<&Path>,
    door: Door,
    output: Output,
) -> Reported {
    let Stop { drain, timeout_s, dry_run, confirmation } = stop;
    let is_restart = verb == "restart";
    let timeout = Duration::from_secs(timeout_s);
    let (mut node, mut brokers) = (NodeClient::new(door.clone()), BrokersClient::new(door));
    let pid = node.status(NodeStatusRequest {}).await?.into_inner().pid;
    let unit = may(verb, pid, unit_of(pid), || as_root(verb, drain, socket))?;
    let at = unit.clone().unwrap_or_else(|| format!("process {pid}"));
    let (mut groups, mut notes) = (Vec::new(), Vec::new());
    if drain {
        let check = asked(&mut node).await?;
        let question = format!("Somebody would notice: {}.", check.obstacles.join("; "));
        let is_noticed = !check.obstacles.is_empty();
        if is_noticed && dry_run {
            notes.push(question);
        } else if is_noticed && !confirmation.is_given(&question) {
            let refused = not_confirmed();
            let problems = [check.obstacles, refused.problems].concat();
            return Ok(Report { problems, ..refused });
        }
        groups = check.not_drained;
    }
    if dry_run {
        let text = steps("WHAT", &would_be(is_restart, &groups, &at), output);
        return Ok(Report { notes: output.notes(notes), ..Report::new(text, Vec::new()) });
    }
    let mut drained = Vec::new();
    let mut obstacles = drain_all(groups, timeout, &mut brokers, &mut drained).await;
    if obstacles.as_ref().is_ok_and(Vec::is_empty) {
        obstacles = stop_now(verb, unit.as_deref(), &mut node).await.map(|()| Vec::new());
    }
    match obstacles {
        Ok(none) if none.is_empty() => {}
        Ok(obstacles) => return Ok(not_done(obstacles, &drained)),
        Err(error) if drained.is_empty() => return Err(error),
        Err(error) => return Ok(not_done(vec![error.message().to_owned()], &drained)),
    }
    let mut done: Vec<_> = drained.iter().map(|group| step("drained", group)).collect();
    done.push(step(stopped(is_restart), &at));
    let mut problems = Vec::new();
    for group in drained.iter().filter(|_| is_restart) {
        match resume(group, timeout, &mut brokers).await {
            Ok(told) => {
                problems.extend(told);
                done.push(step("resumed", group));
            }
            Err(why) => problems.push(format!(
                "{group} is back, or not, and drained: {why}; `rmq-node admin brokers resume {group}` puts it to use"
            )),
        }
    }
    Ok(Report { problems, ..Report::new(steps("DONE", &done, output), Vec::new()) })
}

fn step(what: &str, at: &str) -> Step {
    Step { what: what.to_owned(), at: at.to_owned() }
}

fn stopped(is_restart: bool) -> &'static str {
    if is_restart { "restarted" } else { "stopped" }
}

/// Every step, in their order.
fn would_be(is_restart: bool, groups: &[String], at: &str) -> Vec<Step> {
    let would_be = |what: &str, at: &str| step(&format!("would be {what}"), at);
    let mut all: Vec<_> = groups.iter().map(|group| would_be("drained", group)).collect();
    all.push(would_be(stopped(is_restart), at));
    all.extend(groups.iter().filter(|_| is_restart).map(|group| would_be("resumed", group)));
    all
}

fn steps(head: &'static str, steps: &[Step], output: Output) -> String {
    let rows = steps.iter().map(|step| vec![step.what.clone(), step.at.clone()]).collect();
    Sheet::new(vec![words(head), words("AT")], rows).render(&steps, output)
}

/// Drains one after another until one does not get where it can be stopped; returns what that waits for. In `drained` is
/// each that was taken out of use, also that one, and also if this fails.
async fn drain_all(
    groups: Vec<String>,
    timeout: Duration,
    brokers: &mut BrokersClient<Door>,
    drained: &mut Vec<String>,
) -> Result<Vec<String>, Status> {
    for group in groups {
        let request = DrainBrokerRequest {
            broker: Some(group.clone()),
            accept_only_here: true,
            dry_run: false,
        };
        brokers.drain(request).await?;
        drained.push(group.clone());
        let (_, problems) = drain::wait(&Some(group), timeout, brokers).await?;
        if !problems.is_empty() {
            return Ok(problems);
        }
    }
    Ok(Vec::new())
}

async fn stop_now(
    verb: &str,
    unit: Option<&str>,
    node: &mut NodeClient<Door>,
) -> Result<(), Status> {
    match unit {
        Some(unit) => systemctl(verb, unit),
        None => node.stop(StopNodeRequest {}).await.map(drop),
    }
}

/// Why it was not done, and what is out of use all the same.
fn not_done(mut problems: Vec<String>, drained: &[String]) -> Report {
    problems.extend(drained.iter().map(|group| {
        format!(
            "not done; {group} stays drained, `rmq-node admin brokers resume {group}` puts it to use again"
        )
    }));
    Report { problems, has_failed: true, ..Report::default() }
}

/// Puts a master that was drained here to use again, when it is back and its slaves have what it has.
///
/// # Errors
/// What is not so when the time is up.
async fn resume(
    group: &str,
    timeout: Duration,
    brokers: &mut BrokersClient<Door>,
) -> Result<Vec<String>, String> {
    let deadline = Instant::now() + timeout;
    loop {
        let missing = match brokers.list(ListBrokersRequest {}).await {
            Err(error) => error.message().to_owned(),
            Ok(listing) => {
                let all = listing.into_inner().brokers;
                let members = all.iter().filter_map(|one| one.broker.as_ref().map(|it| (one, it)));
                let members = members.filter(|(_, broker)| broker.group == group);
                let members: Vec<_> = members.collect();
                match members.iter().find(|one| !is_back(**one)) {
                    None if !members.is_empty() => break,
                    None => format!("{group} is not registered"),
                    Some((_, broker)) => format!("{group} {}: {}", broker.id, broker.state),
                }
            }
        };
        if Instant::now() >= deadline {
            return Err(missing);
        }
        sleep(LOOK_EVERY).await;
    }
    let request = ResumeBrokerRequest { broker: Some(group.to_owned()), dry_run: false };
    let answer = brokers.resume(request).await.map_err(|error| error.message().to_owned())?;
    Ok(answer.into_inner().problems.into_iter().map(|problem| problem.reason).collect())
}

/// A master that answers, or a slave that has all.
fn is_back((status, broker): (&BrokerStatus, &Broker)) -> bool {
    status.permission.is_some() && (broker.id == 0 || broker.state == "in sync")
}

/// The unit whose main process this is.
fn unit_of(pid: u32) -> Option<String> {
    let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
    let unit = unit_in(&groups)?;
    // systemd before 246 knows no -P.
    let words = ["show", "--property=MainPID", "--value", unit];
    let shown = Command::new("systemctl").args(words).output().ok()?;
    (String::from_utf8_lossy(&shown.stdout).trim() == pid.to_string()).then(|| unit.to_owned())
}

/// The service that `/proc/PID/cgroup` names.
fn unit_in(groups: &str) -> Option<&str> {
    groups
        .lines()
        .filter_map(|line| line.rsplit('/').next())
        .find(|name| name.ends_with(".service"))
}

/// The same command, for who may do it.
fn as_root(verb: &str, drain: bool, socket: Option<&Path>) -> String {
    let drain = if drain { " --drain" } else { "" };
    let socket = socket.map(|path| format!(" --socket {}", path.display())).unwrap_or_default();
    format!("sudo rmq-node admin node {verb}{drain}{socket}")
}

/// Whether this user can do it, and by which unit.
fn may(
    verb: &str,
    pid: u32,
    unit: Option<String>,
    as_root: impl FnOnce() -> String,
) -> Result<Option<String>, Status> {
    match unit {
        Some(unit) if !nix::unistd::geteuid().is_root() => Err(Status::permission_denied(format!(
            "systemd runs the node as {unit}: {}",
            as_root()
        ))),
        None if verb == "restart" => Err(Status::failed_precondition(format!(
            "no unit of systemd runs process {pid}: stop it with `rmq-node admin node stop`, and start it as it was started"
        ))),
        unit => Ok(unit),
    }
}

fn systemctl(verb: &str, unit: &str) -> Result<(), Status> {
    let ended = Command::new("systemctl").args([verb, unit]).status();
    match ended {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(Status::internal(format!(
            "systemctl {verb} {unit} ended with {status}: `systemctl status {unit}` says more"
        ))),
        Err(error) => Err(Status::internal(format!("systemctl: {error}"))),
    }
}

#[cfg(test)]
mod tests {
    use std::future::ready;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use bytes::Bytes;
    use http_body_util::{BodyExt, Full};
    use prost::Message;
    use tonic::body::Body;
    use tonic::codegen::{StdError, http};
    use tower::service_fn;
    use tower::util::BoxCloneService;

    use super::*;

    #[test]
    fn what_would_be_noticed_is_a_failure_and_what_is_only_not_drained_too() {
        let texts = |text: &str| vec![text.to_owned()];
        let fine = UpgradeCheckResponse { fine: texts("x"), ..Default::default() };
        let report = checked(&fine, Output::Table);
        assert_eq!((report.text.as_str(), report.has_failed), ("    CHECK\nok  x\n", false));
        let not_drained = UpgradeCheckResponse { not_drained: texts("a"), ..fine.clone() };
        let report = checked(&not_drained, Output::Table);
        assert!(report.text.ends_with(
            "no  a takes messages: `rmq-node admin brokers drain a` takes it out of use\n"
        ));
        assert!(report.has_failed && report.notes[0].contains("restart --drain"), "{report:?}");
        let newer = UpgradeCheckResponse { data_format: DATA_FORMAT + 1, ..fine };
        let report = checked(&with_this_program(newer), Output::Table);
        assert!(report.text.contains("no  this program knows format"), "{}", report.text);
        assert!(report.has_failed && report.notes[0].starts_with("Not now"), "{report:?}");
    }

    /// A door behind which `drain` is asked, with how often it was asked before, and all else is as it should be.
    fn door(drain: fn(usize) -> Result<(), Status>) -> Door {
        let asked = Arc::new(AtomicUsize::new(0));
        BoxCloneService::new(service_fn(move |request: http::Request<Body>| {
            let path = request.uri().path().to_owned();
            let method = path.rsplit('/').next().unwrap_or_default();
            let groups = vec!["a".to_owned(), "b".to_owned()];
            let check = UpgradeCheckResponse { not_drained: groups, ..Default::default() };
            let drained = BrokerStatus { drain: Some(Default::default()), ..Default::default() };
            let answer = match method {
                "Drain" => drain(asked.fetch_add(1, Ordering::Relaxed)).map(|()| Vec::new()),
                "UpgradeCheck" => Ok(check.encode_to_vec()),
                "Get" => Ok(drained.encode_to_vec()),
                "Stop" => Err(Status::internal("it does not stop")),
                _ => Ok(Vec::new()),
            };
            ready(Ok::<_, StdError>(answer.map_or_else(Status::into_http, |message| {
                let length = u32::try_from(message.len()).unwrap().to_be_bytes();
                let frame = [&[0], &length[..], &message].concat();
                let response = http::Response::builder().header("content-type", "application/grpc");
                let ok = http::HeaderMap::from_iter([(
                    http::HeaderName::from_static("grpc-status"),
                    0.into(),
                )]);
                let body = Full::new(Bytes::from(frame)).with_trailers(ready(Some(Ok(ok))));
                response.body(Body::new(body)).unwrap()
            })))
        }))
    }

    async fn stopped(drain: fn(usize) -> Result<(), Status>) -> Reported {
        let confirmation = Confirmation::default();
        let stop = Stop { drain: true, timeout_s: 0, dry_run: false, confirmation };
        run(stop, "stop", None, door(drain), Output::Table).await
    }

    #[tokio::test]
    async fn every_master_that_stays_drained_is_told_of_whatever_fails() {
        let stays = |group: &str| {
            format!(
                "not done; {group} stays drained, `rmq-node admin brokers resume {group}` puts it to use again"
            )
        };
        let no_second = |before| match before {
            0 => Ok(()),
            _ => Err(Status::unavailable("b is gone")),
        };
        let report = stopped(no_second).await.unwrap();
        assert_eq!(report.problems, ["b is gone".to_owned(), stays("a")]);
        assert!(report.has_failed);
        let report = stopped(|_| Ok(())).await.unwrap();
        assert_eq!(report.problems, ["it does not stop".to_owned(), stays("a"), stays("b")]);
        assert!(report.has_failed);
        let nothing_done = stopped(|_| Err(Status::unavailable("a is gone"))).await.unwrap_err();
        assert_eq!(nothing_done.code(), tonic::Code::Unavailable);
    }

    #[test]
    fn what_would_be_done_is_told_step_by_step() {
        let groups = ["a".to_owned(), "b".to_owned()];
        let expected = "\
WHAT                AT
would be drained    a
would be drained    b
would be restarted  rmq-node.service
would be resumed    a
would be resumed    b
";
        let planned = would_be(true, &groups, "rmq-node.service");
        assert_eq!(steps("WHAT", &planned, Output::Table), expected);
        let planned = would_be(false, &groups[..1], "process 7");
        assert_eq!(steps("WHAT", &planned, Output::Name), "would be drained\nwould be stopped\n");
    }

    #[test]
    fn units_are_read_of_control_groups() {
        assert_eq!(unit_in("0::/system.slice/rmq-node.service\n"), Some("rmq-node.service"));
        let instance = "0::/system.slice/system-rmq\\x2dnode.slice/rmq-node@b.service\n";
        assert_eq!(unit_in(instance), Some("rmq-node@b.service"));
        assert_eq!(unit_in("0::/user.slice/user-0.slice/session-1.scope\n"), None);
        // Nobody is this process's unit by being above it.
        assert_eq!(unit_of(std::process::id()), None);
        let refused = may("restart", 7, None, String::new).unwrap_err();
        assert_eq!(refused.code(), tonic::Code::FailedPrecondition);
        assert_eq!(may("stop", 7, None, String::new).unwrap(), None);
    }

    #[test]
    fn who_may_not_is_told_the_command_as_it_was_given() {
        let socket = Path::new("/run/rmq-node/b/admin.sock");
        let told = as_root("restart", true, Some(socket));
        let expected =
            "sudo rmq-node admin node restart --drain --socket /run/rmq-node/b/admin.sock";
        assert_eq!(told, expected);
        assert_eq!(as_root("stop", false, None), "sudo rmq-node admin node stop");
    }
}
