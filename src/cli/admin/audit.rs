//! `rmq-node admin audit`: what was changed through the node of this host, and by whom.

use clap::Args;

use super::door::Door;
use super::output::{Output, Report, Reported};
use super::sheet::{Sheet, words};
use super::whole;
use crate::cli::table::utc;
use crate::proto::v1::audit_client::AuditClient;
use crate::proto::v1::{AuditRecord, ListAuditRequest};

/// The arguments.
#[derive(Args, Clone, Debug)]
pub struct AuditArgs {
    /// The last so many changes.
    #[arg(short = 'l', long, default_value_t = 100, value_name = "COUNT")]
    limit: u32,
}

/// Lists the last changes, oldest first.
///
/// # Errors
/// As the service's.
pub async fn run(arguments: AuditArgs, door: Door, output: Output) -> Reported {
    let request = ListAuditRequest { limit: Some(arguments.limit) };
    let parts = AuditClient::new(door).list(request).await?.into_inner();
    Ok(shown(&whole(parts, |part| &mut part.records).await?.records, output))
}

fn shown(records: &[AuditRecord], output: Output) -> Report {
    let columns = vec![
        words("TIME (UTC)"),
        words("WHO"),
        words("METHOD"),
        words("CODE"),
        words("ARGUMENTS"),
        words("RESULT").wide(),
    ];
    let row = |one: &AuditRecord| {
        let text = [&one.who, &one.method, &one.code, &one.arguments, &one.result];
        std::iter::once(utc(one.time_ms)).chain(text.into_iter().cloned()).collect()
    };
    let mut notes = Vec::new();
    if records.is_empty() {
        notes.push("Nothing was changed through this node yet.".to_owned());
    }
    let sheet = Sheet::new(columns, records.iter().map(row).collect());
    let text = sheet.render(&records, output);
    Report { notes: output.notes(notes), ..Report::new(text, Vec::new()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_change_has_a_line() {
        let record = AuditRecord {
            time_ms: 0,
            who: "uid 0 (root), process 1".to_owned(),
            method: "Topics/Create".to_owned(),
            arguments: "{}".to_owned(),
            code: "OK".to_owned(),
            result: "[]".to_owned(),
        };
        let expected = "\
TIME (UTC)           WHO                      METHOD         CODE  ARGUMENTS
1970-01-01 00:00:00  uid 0 (root), process 1  Topics/Create  OK    {}
";
        assert_eq!(shown(&[record], Output::Table).text, expected);
        assert_eq!(shown(&[], Output::Table).notes.len(), 1);
    }
}
