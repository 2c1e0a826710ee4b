//! `rmq-node admin brokers`: its verbs, and what they print. Their settings are `brokers_config`'s, waiting for a
//! drain `drain`'s.

use clap::{Args, Subcommand};

use super::brokers_config::{self, ConfigAction};
use super::door::Door;
use super::drain::{self, Drain};
use super::output::{Output, Report, Reported, what_was_done};
use super::sheet::{Sheet, nothing, numbers, or_nothing, words};
use crate::cli::table::{safe, utc};
use crate::model::{human_bytes, human_seconds};
use crate::proto::v1::brokers_client::BrokersClient;
use crate::proto::v1::{
    BrokerStatus, GetBrokerRequest, ListBrokersRequest, ListBrokersResponse, ResumeBrokerRequest,
};

/// The verbs.
#[derive(Clone, Debug, Subcommand)]
pub enum BrokersAction {
    /// List brokers with what clients may do, how they are, and how full their disks are.
    List,
    /// Show one broker, with the settings that were changed while it ran, and what a drain waits for.
    Show(Which),
    /// Take a master out of use, so that its host can be stopped: producers go to other masters, consumers read on. It stays
    /// so until `resume`. Waits until no producer sends there and its slaves have everything.
    Drain(Drain),
    /// Put a master to use again.
    Resume {
        /// Its group (`brokerName`) [default: the master of this host, else the only broker].
        group: Option<String>,
        /// Show what would be done, and do nothing.
        #[arg(long)]
        dry_run: bool,
    },
    /// Settings of a broker under 4.9.4's keys, and those that change while it runs: get (also without a verb), set, reset.
    Config {
        #[command(subcommand)]
        action: Option<ConfigAction>,
    },
}

/// A broker.
#[derive(Args, Clone, Debug)]
pub struct Which {
    /// Its group (`brokerName`) [default: the master of this host, else the only broker].
    group: Option<String>,
    /// Its number in the group (`brokerId`); 0 is the master.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(i64).range(0..))]
    id: i64,
}

impl BrokersAction {
    /// Whether it only looks.
    pub fn only_reads(&self) -> bool {
        match self {
            Self::List | Self::Show(_) => true,
            Self::Drain(_) | Self::Resume { .. } => false,
            Self::Config { action } => action.as_ref().is_none_or(ConfigAction::only_reads),
        }
    }
}

/// Does what the verb says; lists without one.
///
/// # Errors
/// As the service's.
pub async fn run(action: Option<BrokersAction>, door: Door, output: Output) -> Reported {
    let mut brokers = BrokersClient::new(door.clone());
    Ok(match action.unwrap_or(BrokersAction::List) {
        BrokersAction::List => {
            list(brokers.list(ListBrokersRequest {}).await?.into_inner(), output)
        }
        BrokersAction::Show(Which { group, id }) => {
            let request = GetBrokerRequest { broker: group, id: Some(id) };
            show(&brokers.get(request).await?.into_inner(), output)
        }
        BrokersAction::Drain(drain) => drain::run(drain, brokers, output).await?,
        BrokersAction::Resume { group, dry_run } => {
            let request = ResumeBrokerRequest { broker: group, dry_run };
            let answer = brokers.resume(request).await?.into_inner();
            let done = Vec::from_iter(answer.done);
            let mut report = what_was_done(&done, "broker", "resumed", output);
            report.problems.extend(answer.problems.into_iter().map(|problem| problem.reason));
            report
        }
        BrokersAction::Config { action } => brokers_config::run(action, door, output).await?,
    })
}

fn list(listing: ListBrokersResponse, output: Output) -> Report {
    let ListBrokersResponse { brokers, problems } = listing;
    let columns = vec![
        words("CLUSTER"),
        words("BROKER"),
        numbers("ID"),
        words("ROLE"),
        words("ADDRESS"),
        words("PERMISSION"),
        words("STATE"),
        numbers("IN/S"),
        numbers("DISK %"),
        numbers("PRODUCERS").wide(),
        words("STARTED (UTC)").wide(),
        words("VERSION").wide(),
    ];
    let rows = brokers.iter().map(row).collect();
    let waiting =
        |one: &&BrokerStatus| one.drain.as_ref().is_some_and(|it| !it.waits_for.is_empty());
    let notes = brokers.iter().filter(waiting).filter_map(|one| one.broker.as_ref());
    let notes = notes.map(|broker| {
        format!(
            "{0} is being drained: `rmq-node admin brokers show {0}` tells what is waited for.",
            broker.group
        )
    });
    let notes = output.notes(notes.collect());
    let sheet = Sheet { name: 1, ..Sheet::new(columns, rows) };
    Report { notes, ..Report::new(sheet.render(&brokers, output), problems) }
}

fn row(status: &BrokerStatus) -> Vec<String> {
    let broker = status.broker.clone().unwrap_or_default();
    let text = |number: Option<f64>| number.map_or_else(nothing, |number| format!("{number:.1}"));
    vec![
        broker.cluster.clone(),
        broker.group.clone(),
        broker.id.to_string(),
        broker.role().to_owned(),
        or_nothing(&broker.address),
        permission(status).unwrap_or_else(nothing),
        broker.state.clone(),
        text(broker.in_per_s),
        status.disk_used_percent.map_or_else(nothing, |percent| format!("{percent:.0}")),
        status.producers.map_or_else(nothing, |count| count.to_string()),
        status.started_ms.map_or_else(nothing, utc),
        or_nothing(&broker.version),
    ]
}

/// What clients may do there, and which name servers keep producers away all the same.
fn permission(status: &BrokerStatus) -> Option<String> {
    let by = status.broker.as_ref().map(|broker| broker.kept_away_by.join(", "));
    let by = by.filter(|by| !by.is_empty()).map(|by| format!(", wiped at {by}"));
    Some(format!("{}{}", status.permission.as_ref()?, by.unwrap_or_default()))
}

/// One broker, line by line.
pub fn show(status: &BrokerStatus, output: Output) -> Report {
    let broker = status.broker.clone().unwrap_or_default();
    let mut rows = Vec::new();
    let mut line = |name: &str, value: Option<String>| {
        rows.extend(value.map(|value| vec![name.to_owned(), value]));
    };
    line("group", Some(broker.group.clone()));
    line("cluster", Some(broker.cluster.clone()));
    line("role", Some(format!("{} ({})", broker.role(), broker.id)));
    line("address", broker.address.clone());
    line("version", broker.version.clone());
    line("started (UTC)", status.started_ms.map(utc));
    line("state", Some(broker.state.clone()));
    line("permission", permission(status));
    let rate = |rate: Option<f64>| rate.map(|rate| format!("{rate:.1} messages a second"));
    line("in", rate(broker.in_per_s));
    line("out", rate(broker.out_per_s));
    line("producers", status.producers.map(|count| format!("{count} connected")));
    let log = status.log_begin.zip(broker.log_end);
    line("log", log.map(|(begin, end)| human_bytes(end.saturating_sub(begin))));
    line("disk", status.disk_used_percent.map(|percent| format!("{percent:.0} % used")));
    line("behind", broker.behind_bytes.map(human_bytes));
    for one in &broker.warnings {
        line("wrong", Some(one.clone()));
    }
    for one in &status.overrides {
        let instead_of = one.instead_of.as_deref().unwrap_or_default();
        line("changed", Some(format!("{} = {} (settings: {instead_of})", one.key, one.value)));
    }
    if let Some(drain) = &status.drain {
        line("closed for", drain.closed_ms.map(|ms| human_seconds(ms / 1000)));
        line("last send", drain.last_send_ms.map(|ms| format!("{} ago", human_seconds(ms / 1000))));
        for one in &drain.waits_for {
            line("waits for", Some(one.clone()));
        }
        for one in &drain.notes {
            line("note", Some(one.clone()));
        }
    }
    let text = match output {
        Output::Name => safe(&broker.group) + "\n",
        _ => Sheet::new(vec![words("BROKER"), words("")], rows).render(status, output),
    };
    Report::new(text, Vec::new())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::v1::{Broker, BrokerSetting, DrainState, Problem};

    fn status(state: &str) -> BrokerStatus {
        let broker = Broker {
            cluster: "C".to_owned(),
            group: "broker-a".to_owned(),
            address: Some("h:1".to_owned()),
            state: state.to_owned(),
            in_per_s: Some(1.25),
            log_end: Some(4096),
            ..Broker::default()
        };
        BrokerStatus {
            broker: Some(broker),
            permission: Some("r".to_owned()),
            disk_used_percent: Some(41.6),
            log_begin: Some(1024),
            ..BrokerStatus::default()
        }
    }

    #[test]
    fn every_broker_has_a_line_and_a_drain_that_waits_is_told() {
        let drain = DrainState { waits_for: vec!["x".to_owned()], ..DrainState::default() };
        let draining = BrokerStatus { drain: Some(drain), ..status("draining") };
        let problems = vec![Problem { reason: "y".to_owned(), ..Problem::default() }];
        let brokers = vec![draining, status("drained")];
        let report = list(ListBrokersResponse { brokers, problems }, Output::Table);
        let expected = "\
CLUSTER  BROKER    ID  ROLE    ADDRESS  PERMISSION  STATE     IN/S  DISK %
C        broker-a   0  master  h:1      r           draining   1.2      42
C        broker-a   0  master  h:1      r           drained    1.2      42
";
        assert_eq!((report.text.as_str(), report.problems), (expected, vec!["y".to_owned()]));
        assert_eq!(report.notes.len(), 1, "{:?}", report.notes);
    }

    #[test]
    fn one_broker_is_shown_line_by_line() {
        let overrides = vec![BrokerSetting {
            key: "brokerPermission".to_owned(),
            value: "4".to_owned(),
            instead_of: Some("6".to_owned()),
        }];
        let drain = DrainState {
            waits_for: vec!["producers".to_owned()],
            notes: vec!["no slave".to_owned()],
            closed_ms: Some(3000),
            last_send_ms: None,
        };
        let status = BrokerStatus { overrides, drain: Some(drain), ..status("draining") };
        let expected = "\
BROKER
group       broker-a
cluster     C
role        master (0)
address     h:1
state       draining
permission  r
in          1.2 messages a second
log         3.0 KiB
disk        42 % used
changed     brokerPermission = 4 (settings: 6)
closed for  3 s
waits for   producers
note        no slave
";
        assert_eq!(show(&status, Output::Table).text, expected);
        assert_eq!(show(&status, Output::Name).text, "broker-a\n");
        let mut wiped = self::status("serving");
        let broker = wiped.broker.as_mut().unwrap();
        broker.kept_away_by = vec!["n:1".to_owned(), "n:2".to_owned()];
        broker.warnings = vec!["x".to_owned()];
        let text = show(&wiped, Output::Table).text;
        assert!(text.contains("permission  r, wiped at n:1, n:2\n"), "{text}");
        assert!(text.ends_with("wrong       x\n"), "{text}");
    }
}
