//! `rmq-node admin cluster` and `admin replication`: what they print.
//!
//! Not the asking (`crate::admin`), nor the exit codes (`admin`).

use serde::Serialize;

use super::alerts;
use super::door::Door;
use super::output::{Output, Report, Reported};
use super::sheet::{Sheet, nothing, numbers, or_nothing, words};
use crate::admin::{ACCOUNTS_DIFFER, ACCOUNTS_DIFFER_FIX};
use crate::model::{human_bytes, human_seconds};
use crate::proto::v1::cluster_client::ClusterClient;
use crate::proto::v1::{Broker, ClusterState, GetClusterRequest};

const NO_SLAVES: &str = "No slave is registered.";

/// A slave's copy of its master.
#[derive(Serialize)]
struct Copy<'a> {
    cluster: &'a str,
    group: &'a str,
    master: Option<&'a str>,
    slave: &'a str,
    state: &'a str,
    behind_bytes: Option<u64>,
    behind_s: Option<u64>,
    last_error: Option<&'a str>,
}

/// `admin cluster`.
///
/// # Errors
/// As the service's.
pub async fn cluster(door: Door, output: Output) -> Reported {
    let mut report = shown(state(door.clone()).await?, output);
    if output.is_for_people() {
        report.notes.extend(alerts::notes(door).await);
    }
    Ok(report)
}

/// `admin replication`.
///
/// # Errors
/// As the service's.
pub async fn replication(door: Door, output: Output) -> Reported {
    Ok(copies_shown(state(door).await?, output))
}

async fn state(door: Door) -> Result<ClusterState, tonic::Status> {
    Ok(ClusterClient::new(door).get(GetClusterRequest {}).await?.into_inner())
}

/// One for each slave that is registered.
fn copies(state: &ClusterState) -> Vec<Copy<'_>> {
    let master_of = |slave: &Broker| {
        let is_its = |one: &&Broker| one.group == slave.group && one.id == 0;
        state.brokers.iter().find(is_its).and_then(|master| master.address.as_deref())
    };
    let slaves = state.brokers.iter().filter(|broker| broker.id != 0);
    slaves
        .filter_map(|slave| {
            Some(Copy {
                cluster: &slave.cluster,
                group: &slave.group,
                master: master_of(slave),
                slave: slave.address.as_deref()?,
                state: &slave.state,
                behind_bytes: slave.behind_bytes,
                behind_s: slave.behind_s,
                last_error: slave.last_error.as_deref(),
            })
        })
        .collect()
}

/// All brokers, a line each.
fn shown(state: ClusterState, output: Output) -> Report {
    let ClusterState { brokers, problems } = state;
    let columns = vec![
        words("CLUSTER"),
        words("GROUP"),
        numbers("ID"),
        words("ROLE"),
        words("ADDRESS"),
        words("VERSION"),
        numbers("IN/S"),
        numbers("OUT/S"),
        words("DISK"),
        words("STATE"),
        words("BEHIND"),
        words("PERMISSION").wide(),
        numbers("LOG END").wide(),
        words("LAST ERROR").wide(),
    ];
    let rate = |rate: Option<f64>| rate.map_or_else(nothing, |rate| format!("{rate:.1}"));
    let row = |broker: &Broker| {
        vec![
            broker.cluster.clone(),
            broker.group.clone(),
            broker.id.to_string(),
            broker.role().to_owned(),
            address_of(broker),
            or_nothing(&broker.version),
            rate(broker.in_per_s),
            rate(broker.out_per_s),
            broker.disk_ratio.map_or_else(nothing, |ratio| format!("{:.0} %", ratio * 100.0)),
            state_of(broker),
            behind(broker.behind_bytes, broker.behind_s),
            or_nothing(&broker.permission),
            broker.log_end.map_or_else(nothing, |end| end.to_string()),
            or_nothing(&broker.last_error),
        ]
    };
    let rows = brokers.iter().map(row).collect();
    let differ = brokers.iter().any(|broker| !broker.accounts_differ_from.is_empty());
    let note = differ.then(|| format!("{ACCOUNTS_DIFFER}: {ACCOUNTS_DIFFER_FIX}."));
    let notes = output.notes(note.into_iter().collect());
    let sheet = Sheet { name: 1, ..Sheet::new(columns, rows) };
    let mut text = sheet.render(&brokers, output);
    if output.is_for_people() {
        text += &warnings(&brokers);
    }
    Report { notes, ..Report::new(text, problems) }
}

/// What is wrong, a line each; nothing where all is well.
fn warnings(brokers: &[Broker]) -> String {
    let line = |broker: &Broker, warning: &String| {
        vec![format!("{} {}", broker.group, broker.id), warning.clone()]
    };
    let rows = brokers.iter().flat_map(|one| one.warnings.iter().map(move |text| line(one, text)));
    let rows: Vec<_> = rows.collect();
    if rows.is_empty() {
        return String::new();
    }
    format!("\n{}", Sheet::new(vec![words("BROKER"), words("WHAT IS WRONG")], rows).as_table())
}

/// All slaves, a line each.
fn copies_shown(state: ClusterState, output: Output) -> Report {
    let copies = copies(&state);
    let problems = state.problems.clone();
    let notes = if copies.is_empty() { vec![NO_SLAVES.to_owned()] } else { Vec::new() };
    let columns = ["CLUSTER", "GROUP", "MASTER", "SLAVE", "STATE", "BEHIND", "LAST ERROR"];
    let columns = columns.map(words).into();
    let row = |copy: &Copy<'_>| {
        let behind = behind(copy.behind_bytes, copy.behind_s);
        let master = copy.master.unwrap_or("not registered");
        let error = copy.last_error.unwrap_or("-");
        let cells = [copy.cluster, copy.group, master, copy.slave, copy.state, &behind, error];
        cells.map(str::to_owned).to_vec()
    };
    let sheet = Sheet { name: 3, ..Sheet::new(columns, copies.iter().map(row).collect()) };
    Report { notes: output.notes(notes), ..Report::new(sheet.render(&copies, output), problems) }
}

/// Where it is, or was.
fn address_of(broker: &Broker) -> String {
    let was = broker.last_address.as_ref().map(|address| format!("was {address}"));
    broker.address.clone().or(was).unwrap_or_else(nothing)
}

fn state_of(broker: &Broker) -> String {
    let Broker { state, accounts_differ_from, .. } = broker;
    if accounts_differ_from.is_empty() {
        return state.clone();
    }
    format!("{state}; other accounts than {}", accounts_differ_from.join(", "))
}

fn behind(bytes: Option<u64>, seconds: Option<u64>) -> String {
    let parts = [bytes.map(human_bytes), seconds.map(human_seconds)];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    if parts.is_empty() { nothing() } else { parts.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::v1::Problem;

    fn broker(id: i64, address: Option<&str>) -> Broker {
        Broker {
            cluster: "C".to_owned(),
            group: "broker-a".to_owned(),
            id,
            address: address.map(str::to_owned),
            ..Broker::default()
        }
    }

    fn state() -> ClusterState {
        let master = Broker { state: "not registered".to_owned(), ..broker(0, None) };
        let slave = Broker {
            version: Some("4.9.4".to_owned()),
            in_per_s: Some(0.0),
            out_per_s: Some(12.34),
            state: "connecting".to_owned(),
            behind_bytes: Some(1536),
            behind_s: Some(61),
            last_error: Some("refused".to_owned()),
            disk_ratio: Some(0.424),
            warnings: vec!["it does not copy its master: connecting".to_owned()],
            ..broker(1, Some("h:1"))
        };
        let problem = Problem { reason: "x".to_owned(), ..Problem::default() };
        ClusterState { brokers: vec![master, slave], problems: vec![problem] }
    }

    #[test]
    fn every_broker_has_a_line_whether_it_is_there_or_not() {
        let report = shown(state(), Output::Table);
        let expected = "\
CLUSTER  GROUP     ID  ROLE    ADDRESS  VERSION  IN/S  OUT/S  DISK  STATE           BEHIND
C        broker-a   0  master  -        -           -      -  -     not registered  -
C        broker-a   1  slave   h:1      4.9.4     0.0   12.3  42 %  connecting      1.5 KiB, 1 min 1 s

BROKER      WHAT IS WRONG
broker-a 1  it does not copy its master: connecting
";
        assert_eq!((report.text.as_str(), report.problems), (expected, vec!["x".to_owned()]));
        let report = shown(state(), Output::Json);
        assert!(report.text.contains("\"behind_bytes\": 1536"), "{}", report.text);
    }

    #[test]
    fn a_broker_that_is_gone_has_a_line_with_where_it_was() {
        let (last_address, state) = (Some("h:2".to_owned()), "not registered".to_owned());
        let gone = Broker { last_address, state, ..broker(2, None) };
        let report =
            shown(ClusterState { brokers: vec![gone], problems: Vec::new() }, Output::Table);
        let line = "C        broker-a   2  slave  was h:2  -           -      -  -     not registered  -\n";
        assert!(report.text.ends_with(line), "{}", report.text);
    }

    #[test]
    fn accounts_that_differ_are_told_with_what_mends_them() {
        let accounts_differ_from = vec!["h:2".to_owned(), "h:3".to_owned()];
        let state = "serving".to_owned();
        let brokers = vec![Broker { state, accounts_differ_from, ..broker(0, Some("h:1")) }];
        let state = ClusterState { brokers, problems: Vec::new() };
        let report = shown(state.clone(), Output::Table);
        assert!(report.text.contains("serving; other accounts than h:2, h:3"), "{}", report.text);
        assert!(report.notes[0].ends_with("the others take it over."), "{report:?}");
        let report = shown(state, Output::Json);
        assert!(report.text.contains("\"accounts_differ_from\": [\n"), "{}", report.text);
    }

    #[test]
    fn every_slave_has_a_line_with_its_master() {
        let report = copies_shown(state(), Output::Table);
        let expected = "\
CLUSTER  GROUP     MASTER          SLAVE  STATE       BEHIND              LAST ERROR
C        broker-a  not registered  h:1    connecting  1.5 KiB, 1 min 1 s  refused
";
        assert_eq!(report.text, expected);
        let report = copies_shown(ClusterState::default(), Output::Table);
        assert_eq!((report.text.as_str(), report.notes), ("", vec![NO_SLAVES.to_owned()]));
        let report = copies_shown(state(), Output::Json);
        assert!(report.text.contains("\"slave\": \"h:1\""), "{}", report.text);
    }
}
