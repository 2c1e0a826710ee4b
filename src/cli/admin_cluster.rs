//! `rmq-node admin cluster` and `admin replication`: what they print.
//!
//! Not the asking (`crate::admin`), nor the exit codes (`admin`).

use super::admin::{Output, Report, Reported, json};
use super::table::{Align, table};
use crate::admin::{ACCOUNTS_DIFFER, ACCOUNTS_DIFFER_FIX, ClusterState, Member, SlaveCopy};
use crate::model::{human_bytes, human_seconds};

const NO_SLAVES: &str = "No slave is registered.";

/// All brokers, a line each.
pub fn cluster(state: ClusterState, output: Output) -> Reported {
    let ClusterState { members, problems } = state;
    if output == Output::Json {
        return Ok(Report { text: json(&members)?, problems, ..Report::default() });
    }
    let columns = [
        ("CLUSTER", Align::Left),
        ("GROUP", Align::Left),
        ("ID", Align::Right),
        ("ROLE", Align::Left),
        ("ADDRESS", Align::Left),
        ("VERSION", Align::Left),
        ("IN/S", Align::Right),
        ("OUT/S", Align::Right),
        ("STATE", Align::Left),
        ("BEHIND", Align::Left),
    ];
    let rate = |rate: Option<f64>| rate.map_or_else(nothing, |rate| format!("{rate:.1}"));
    let row = |member: &Member| {
        vec![
            member.cluster.clone(),
            member.group.clone(),
            member.id.to_string(),
            member.role().to_owned(),
            member.address.clone().unwrap_or_else(nothing),
            member.version.clone().unwrap_or_else(nothing),
            rate(member.in_per_s),
            rate(member.out_per_s),
            state_of(member),
            behind(member.behind_bytes, member.behind_s),
        ]
    };
    let rows: Vec<_> = members.iter().map(row).collect();
    let differ = members.iter().any(|member| !member.accounts_differ_from.is_empty());
    let notes =
        differ.then(|| format!("{ACCOUNTS_DIFFER}: {ACCOUNTS_DIFFER_FIX}.")).into_iter().collect();
    Ok(Report { text: table(&columns, &rows), notes, problems })
}

/// All slaves, a line each.
pub fn replication(state: ClusterState, output: Output) -> Reported {
    let copies = state.copies();
    let problems = state.problems;
    if output == Output::Json {
        return Ok(Report { text: json(&copies)?, problems, ..Report::default() });
    }
    if copies.is_empty() {
        let notes = vec![NO_SLAVES.to_owned()];
        return Ok(Report { notes, problems, ..Report::default() });
    }
    let columns = ["CLUSTER", "GROUP", "MASTER", "SLAVE", "STATE", "BEHIND", "LAST ERROR"];
    let columns = columns.map(|head| (head, Align::Left));
    let row = |copy: &SlaveCopy| {
        vec![
            copy.cluster.clone(),
            copy.group.clone(),
            copy.master.clone().unwrap_or_else(|| "not registered".to_owned()),
            copy.slave.clone(),
            copy.state.clone(),
            behind(copy.behind_bytes, copy.behind_s),
            copy.last_error.clone().unwrap_or_else(nothing),
        ]
    };
    let rows: Vec<_> = copies.iter().map(row).collect();
    Ok(Report { text: table(&columns, &rows), problems, ..Report::default() })
}

fn state_of(member: &Member) -> String {
    let Member { state, accounts_differ_from, .. } = member;
    if accounts_differ_from.is_empty() {
        return state.clone();
    }
    format!("{state}; other accounts than {}", accounts_differ_from.join(", "))
}

fn nothing() -> String {
    "-".to_owned()
}

fn behind(bytes: Option<u64>, seconds: Option<u64>) -> String {
    let parts = [bytes.map(human_bytes), seconds.map(human_seconds)];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    if parts.is_empty() { nothing() } else { parts.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(id: i64, address: Option<&str>) -> Member {
        Member {
            cluster: "C".to_owned(),
            group: "broker-a".to_owned(),
            id,
            address: address.map(str::to_owned),
            ..Member::default()
        }
    }

    fn state() -> ClusterState {
        let master = Member { state: "not registered".to_owned(), ..member(0, None) };
        let slave = Member {
            version: Some("4.9.4".to_owned()),
            in_per_s: Some(0.0),
            out_per_s: Some(12.34),
            state: "connecting".to_owned(),
            behind_bytes: Some(1536),
            behind_s: Some(61),
            last_error: Some("refused".to_owned()),
            ..member(1, Some("h:1"))
        };
        ClusterState { members: vec![master, slave], problems: vec!["x".to_owned()] }
    }

    #[test]
    fn every_broker_has_a_line_whether_it_is_there_or_not() {
        let report = cluster(state(), Output::Table).unwrap();
        let expected = "\
CLUSTER  GROUP     ID  ROLE    ADDRESS  VERSION  IN/S  OUT/S  STATE           BEHIND
C        broker-a   0  master  -        -           -      -  not registered  -
C        broker-a   1  slave   h:1      4.9.4     0.0   12.3  connecting      1.5 KiB, 1 min 1 s
";
        assert_eq!((report.text.as_str(), report.problems), (expected, vec!["x".to_owned()]));
        let report = cluster(state(), Output::Json).unwrap();
        assert!(report.text.contains("\"behind_bytes\": 1536"), "{}", report.text);
    }

    #[test]
    fn accounts_that_differ_are_told_with_what_mends_them() {
        let accounts_differ_from = vec!["h:2".to_owned(), "h:3".to_owned()];
        let state = "serving".to_owned();
        let members = vec![Member { state, accounts_differ_from, ..member(0, Some("h:1")) }];
        let state = ClusterState { members, problems: Vec::new() };
        let report = cluster(state.clone(), Output::Table).unwrap();
        assert!(report.text.contains("serving; other accounts than h:2, h:3"), "{}", report.text);
        assert!(report.notes[0].ends_with("the others take it over."), "{report:?}");
        let report = cluster(state, Output::Json).unwrap();
        assert!(report.text.contains("\"accounts_differ_from\": [\n"), "{}", report.text);
    }

    #[test]
    fn every_slave_has_a_line_with_its_master() {
        let report = replication(state(), Output::Table).unwrap();
        let expected = "\
CLUSTER  GROUP     MASTER          SLAVE  STATE       BEHIND              LAST ERROR
C        broker-a  not registered  h:1    connecting  1.5 KiB, 1 min 1 s  refused
";
        assert_eq!(report.text, expected);
        let report = replication(ClusterState::default(), Output::Table).unwrap();
        assert_eq!((report.text.as_str(), report.notes), ("", vec![NO_SLAVES.to_owned()]));
        let report = replication(state(), Output::Json).unwrap();
        assert!(report.text.contains("\"slave\": \"h:1\""), "{}", report.text);
    }
}
