//! `rmq-node admin export`, `diff` and `apply`: a cluster's metadata as a file.
//!
//! Not the file's form (`metadata_file`), nor the doing. Invariants: a file on the disk is replaced only by all that was
//! asked for; what destroys something is asked about, and on a terminal shown before. What is confirmed is the plan at that
//! moment: the service compares anew when it applies, so that what has changed meanwhile counts, unasked.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use clap::Args;
use tonic::Status;

use super::door::Door;
use super::metadata_file as file;
use super::output::{Confirmation, Output, Report, Reported, not_confirmed};
use super::sheet::{Sheet, words};
use super::{STANDARD, read_text, whole};
use crate::admin::service::metadata::MESSAGE_BYTES_MAX;
use crate::cli::progress::Steps;
use crate::cli::table::safe;
use crate::cli::tell;
use crate::proto::v1::metadata_client::MetadataClient;
use crate::proto::v1::{
    ApplyMetadataRequest, ApplyMetadataResponse, ClusterMetadata, ExportMetadataRequest,
    MetadataAction, MetadataKind, MetadataStep, Outcome, SettingChange,
};

/// What may hold secrets is for its owner.
const MODE_OF_SECRETS: u32 = 0o600;
const MODE: u32 = 0o644;

/// The arguments of `export`.
#[derive(Args, Clone, Debug)]
pub struct Export {
    /// The file [default: standard output].
    file: Option<PathBuf>,
    /// The cluster; needed if there are several.
    #[arg(long, value_name = "NAME")]
    cluster: Option<String>,
    /// Also how far groups are, which is of use where the same messages are.
    #[arg(long)]
    offsets: bool,
    /// Also the secrets of accounts; the file is then for its owner only.
    #[arg(long)]
    secrets: bool,
    /// Also this namespace of the name servers' values, beside ORDER_TOPIC_CONFIG; can be repeated.
    #[arg(long, value_name = "NAME")]
    namespace: Vec<String>,
}

/// The arguments of `diff`.
#[derive(Args, Clone, Debug)]
pub struct Diff {
    #[command(flatten)]
    wanted: Wanted,
}

/// The arguments of `apply`.
#[derive(Args, Clone, Debug)]
pub struct Apply {
    #[command(flatten)]
    wanted: Wanted,
    /// Show what would be changed, and change nothing.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    confirmation: Confirmation,
}

#[derive(Args, Clone, Debug)]
struct Wanted {
    /// The file, as `export` writes it; `-` is standard input.
    file: PathBuf,
    /// The cluster; needed if there are several.
    #[arg(long, value_name = "NAME")]
    cluster: Option<String>,
    /// Delete topics with their messages, groups, accounts and values that the file does not name, of the parts that it
    /// has; never the system's own.
    #[arg(long)]
    prune: bool,
}

impl Wanted {
    fn request(&self) -> Result<ApplyMetadataRequest, Status> {
        let metadata = Some(read(&self.file)?);
        Ok(ApplyMetadataRequest { metadata, cluster: self.cluster.clone(), prune: self.prune })
    }
}

fn client(door: Door) -> MetadataClient<Door> {
    MetadataClient::new(door).max_decoding_message_size(MESSAGE_BYTES_MAX)
}

fn read(path: &Path) -> Result<ClusterMetadata, Status> {
    let text = read_text(path)?;
    let wrong = |error| Status::invalid_argument(format!("{}:{error}", path.display()));
    file::parse(&text).map_err(wrong)
}

/// Writes what the cluster has.
///
/// # Errors
/// As the service's, or another output is asked for.
pub async fn export(export: Export, door: Door, output: Output) -> Reported {
    if !matches!(output, Output::Table | Output::Yaml) {
        return Err(Status::invalid_argument("what is exported is YAML: leave -o out"));
    }
    let request = ExportMetadataRequest {
        cluster: export.cluster,
        with_offsets: export.offsets,
        with_secrets: export.secrets,
        namespaces: export.namespace,
    };
    let answer = client(door).export(request).await?.into_inner();
    let metadata = answer.metadata.unwrap_or_default();
    let text = file::render(&metadata);
    let Some(path) = export.file.filter(|path| path.as_os_str() != STANDARD) else {
        return Ok(Report::new(text, answer.problems));
    };
    let name = path.display();
    let mut report = Report::new(String::new(), answer.problems);
    if !report.problems.is_empty() {
        report.has_failed = true;
        report.problems.push(format!("{name} is not written, because of what is missing"));
        return Ok(report);
    }
    let mode = if export.secrets { MODE_OF_SECRETS } else { MODE };
    replace(&path, &text, mode).map_err(|error| Status::unknown(format!("{name}: {error}")))?;
    report.notes.push(format!("{name}: {}", summary(&metadata)));
    Ok(report)
}

/// How much of what there is.
fn summary(metadata: &ClusterMetadata) -> String {
    let accounts = metadata.accounts.as_ref().map(|one| &one.accounts);
    let has_secrets =
        accounts.is_some_and(|all| all.values().any(|account| account.secret_key.is_some()));
    let accounts_are = if has_secrets { "accounts with secrets" } else { "accounts" };
    let counts = [
        (metadata.topics.as_ref().map(|one| one.topics.len()), "topics"),
        (metadata.groups.as_ref().map(|one| one.groups.len()), "groups"),
        (accounts.map(std::collections::BTreeMap::len), accounts_are),
        (
            metadata.kv.as_ref().map(|kv| kv.namespaces.values().map(|one| one.values.len()).sum()),
            "values of name servers",
        ),
        (metadata.offsets.as_ref().map(|one| one.groups.len()), "groups with offsets"),
    ];
    let there = counts.iter().filter_map(|(count, what)| Some(format!("{} {what}", (*count)?)));
    there.collect::<Vec<_>>().join(", ")
}

/// Puts a whole file in the place of one that may be there.
fn replace(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let new = path.with_file_name(format!(".{name}.{}.new", std::process::id()));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&new)?;
    let written = file.write_all(text.as_bytes()).and_then(|()| fs::rename(&new, path));
    if written.is_err() {
        // What was begun is of no use to anybody.
        let _ = fs::remove_file(&new);
    }
    written
}

/// Shows what `apply` would do.
///
/// # Errors
/// As the service's, or the file is wrong.
pub async fn diff(diff: Diff, door: Door, output: Output) -> Reported {
    let request = diff.wanted.request()?;
    Ok(shown(plan(door, request).await?, output))
}

async fn plan(door: Door, request: ApplyMetadataRequest) -> Result<ApplyMetadataResponse, Status> {
    let parts = client(door).plan(request).await?.into_inner();
    whole(parts, |part| &mut part.steps).await
}

/// Makes a cluster what the file says.
///
/// # Errors
/// As the service's, or the file is wrong.
pub async fn apply(apply: Apply, door: Door, output: Output) -> Reported {
    let Apply { wanted, dry_run, confirmation } = apply;
    let request = wanted.request()?;
    let plan = plan(door.clone(), request.clone()).await?;
    if dry_run {
        let report = shown(plan, output);
        return Ok(Report { differs: false, ..report });
    }
    if let Some(question) = question(&plan.steps) {
        for step in plan.steps.iter().filter(|_| confirmation.asks()) {
            tell(&format!("{}\n", safe(&line(step))));
        }
        if !confirmation.is_given(&question) {
            return Ok(not_confirmed());
        }
    }
    let mut parts = client(door).apply(request).await?.into_inner();
    let mut all = ApplyMetadataResponse::default();
    let progress = Steps::new(plan.steps.len());
    let is_told = output.is_for_people();
    while let Some(mut part) = parts.message().await? {
        for step in &part.steps {
            progress.done(|| {
                if is_told && step.outcome() == Outcome::Done {
                    // At once, for whoever interrupts it; that nobody reads it stops nothing.
                    let _ = writeln!(io::stdout(), "{}", safe(&line(step)));
                }
            });
        }
        all.steps.append(&mut part.steps);
        all.problems.append(&mut part.problems);
        all.left_alone += part.left_alone;
    }
    drop(progress);
    Ok(applied(all, output))
}

/// What is asked before something is destroyed.
fn question(steps: &[MetadataStep]) -> Option<String> {
    let deleted = steps.iter().filter(|step| step.action() == MetadataAction::Delete).count();
    let moved = steps.iter().filter(|step| step.kind() == MetadataKind::Offsets).count();
    let mut parts = Vec::new();
    if deleted > 0 {
        parts
            .push(format!("{deleted} of these steps delete something, topics with their messages"));
    }
    if moved > 0 {
        parts.push(format!(
            "{moved} let groups go on elsewhere: what they pass over they do not get, what they go back over they get again"
        ));
    }
    (!parts.is_empty()).then(|| format!("{}.", parts.join("; ")))
}

fn shown(plan: ApplyMetadataResponse, output: Output) -> Report {
    let differs = !plan.steps.is_empty();
    let text = rendered(&plan.steps, output);
    Report { differs, ..told(plan, text, output) }
}

/// What was done: people were told of each step at once.
fn applied(all: ApplyMetadataResponse, output: Output) -> Report {
    let failed = all.steps.iter().filter(|step| step.outcome() == Outcome::Failed).count();
    let has_failed = failed > 0 && failed == all.steps.len();
    let text = if output.is_for_people() { String::new() } else { rendered(&all.steps, output) };
    Report { has_failed, ..told(all, text, output) }
}

/// A text of steps, with what there is to know besides.
fn told(answer: ApplyMetadataResponse, text: String, output: Output) -> Report {
    let mut notes = Vec::new();
    if answer.steps.is_empty() {
        notes.push("Nothing differs.".to_owned());
    }
    notes.extend(left_alone(&answer));
    let mut report = Report::new(text, answer.problems);
    report.problems.extend(impossible(&answer.steps));
    Report { notes: output.notes(notes), ..report }
}

fn left_alone(plan: &ApplyMetadataResponse) -> Option<String> {
    let count = plan.left_alone;
    (count > 0).then(|| {
        format!("Not named by the file and left alone: {count}; with --prune they are deleted.")
    })
}

/// Steps that were not or cannot be done.
fn impossible(steps: &[MetadataStep]) -> Vec<String> {
    let failed = steps.iter().filter(|step| step.outcome() == Outcome::Failed);
    let sentence = |step: &MetadataStep| {
        format!("not done: {}: {}", line(step), step.reason.as_deref().unwrap_or_default())
    };
    failed.map(sentence).collect()
}

fn rendered(steps: &[MetadataStep], output: Output) -> String {
    if output.is_for_people() {
        return steps.iter().map(|step| safe(&line(step)) + "\n").collect();
    }
    let [kind, name, action] = ["KIND", "NAME", "ACTION"].map(words);
    let columns = vec![kind, name, action, words("AT"), words("ADDRESS"), words("OUTCOME")];
    let row = |step: &MetadataStep| {
        vec![
            step.kind().as_word().to_owned(),
            step.name.clone(),
            sign(step).to_owned(),
            step.at.clone(),
            step.address.clone(),
            step.outcome().as_word().to_owned(),
        ]
    };
    let rows = steps.iter().map(row).collect();
    Sheet { name: 1, ..Sheet::new(columns, rows) }.render(&steps, output)
}

fn sign(step: &MetadataStep) -> &'static str {
    match step.action() {
        MetadataAction::Unspecified => " ",
        MetadataAction::Create => "+",
        MetadataAction::Change => "~",
        MetadataAction::Delete => "-",
    }
}

/// As `~ topic T at broker-a (h:1): read_queues 8 -> 4`.
fn line(step: &MetadataStep) -> String {
    let changes: Vec<_> = step.changes.iter().map(change).collect();
    let changes =
        if changes.is_empty() { String::new() } else { format!(": {}", changes.join(", ")) };
    let (kind, name, at) = (step.kind().as_word(), &step.name, &step.at);
    format!("{} {kind} {name} at {at} ({}){changes}", sign(step), step.address)
}

fn change(change: &SettingChange) -> String {
    let after = change.after.as_deref().unwrap_or("-");
    match &change.before {
        Some(before) => format!("{} {before} -> {after}", change.setting),
        None => format!("{} {after}", change.setting),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(action: MetadataAction, outcome: Outcome) -> MetadataStep {
        MetadataStep {
            kind: MetadataKind::Topic.into(),
            name: "T".to_owned(),
            action: action.into(),
            at: "a".to_owned(),
            address: "h:1".to_owned(),
            changes: Vec::new(),
            outcome: outcome.into(),
            reason: (outcome == Outcome::Failed).then(|| "no".to_owned()),
        }
    }

    fn answer(steps: Vec<MetadataStep>) -> ApplyMetadataResponse {
        ApplyMetadataResponse { steps, left_alone: 2, ..ApplyMetadataResponse::default() }
    }

    #[test]
    fn a_difference_is_a_line_and_what_is_not_done_a_problem() {
        let changed = MetadataStep {
            changes: vec![
                SettingChange {
                    setting: "read_queues".to_owned(),
                    before: Some("8".to_owned()),
                    after: Some("4".to_owned()),
                },
                SettingChange {
                    setting: "permission".to_owned(),
                    before: None,
                    after: Some("r".to_owned()),
                },
            ],
            ..step(MetadataAction::Change, Outcome::DryRun)
        };
        let deleted = step(MetadataAction::Delete, Outcome::DryRun);
        let report = shown(answer(vec![changed, deleted.clone()]), Output::Table);
        let expected =
            "~ topic T at a (h:1): read_queues 8 -> 4, permission r\n- topic T at a (h:1)\n";
        assert_eq!((report.text.as_str(), report.differs), (expected, true));
        let left = "Not named by the file and left alone: 2; with --prune they are deleted.";
        assert_eq!(report.notes, [left]);
        let report = shown(answer(Vec::new()), Output::Table);
        assert_eq!((report.differs, report.notes[0].as_str()), (false, "Nothing differs."));
        assert_eq!(shown(answer(vec![deleted.clone()]), Output::Name).text, "T\n");

        let failed = step(MetadataAction::Create, Outcome::Failed);
        let report = applied(answer(vec![deleted, failed.clone()]), Output::Table);
        assert_eq!(report.problems, ["not done: + topic T at a (h:1): no"]);
        assert!(!report.has_failed && applied(answer(vec![failed]), Output::Table).has_failed);
    }

    #[test]
    fn only_what_destroys_is_asked_about() {
        let created = step(MetadataAction::Create, Outcome::DryRun);
        let moved = MetadataStep { kind: MetadataKind::Offsets.into(), ..created.clone() };
        let deleted = step(MetadataAction::Delete, Outcome::DryRun);
        assert_eq!(question(std::slice::from_ref(&created)), None);
        assert!(question(&[created, deleted]).unwrap().starts_with("1 of these steps delete"));
        assert!(question(&[moved]).unwrap().starts_with("1 let groups go on elsewhere"));
    }

    #[test]
    fn a_file_is_replaced_as_a_whole_and_secrets_are_for_the_owner() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("m.yml");
        fs::write(&path, "old").unwrap();
        replace(&path, "new", MODE_OF_SECRETS).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        assert!(replace(&dir.path().join("no/m.yml"), "", MODE).is_err());
    }
}
