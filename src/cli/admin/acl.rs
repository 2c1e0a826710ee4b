//! `rmq-node admin acl`: its verbs, and what they print. Secrets come from a file or standard input, and are never shown.

use clap::{Args, Subcommand};
use tonic::Status;

use super::door::Door;
use super::output::{Confirmation, Output, Report, Reported, not_confirmed, what_was_done};
use super::read_text;
use super::sheet::{Sheet, fact, nothing, numbers, or_nothing, words, yes};
use crate::cli::table::utc;
use crate::proto::v1::acl_client::AclClient;
use crate::proto::v1::{
    AccountFile, AccountOnBrokers, AccountSettings, AccountsOfBroker, CreateAccountRequest,
    DeleteAccountRequest, ListAccountsRequest, ListAccountsResponse, PermissionList,
    PutWhiteAddressesRequest, UpdateAccountRequest,
};

const NO_ACCOUNTS: &str = "There is no account.";

/// The verbs.
#[derive(Clone, Debug, Subcommand)]
pub enum AclAction {
    /// List accounts with what they may do, and each broker with its files and white list.
    List,
    /// Show one account on each broker.
    Show {
        /// Its access key.
        key: String,
    },
    /// Create an account on every broker, slaves too; one that is there is not changed.
    Create {
        /// Its access key: more than 6 characters.
        key: String,
        /// File with its secret, `-` for standard input; the first line counts.
        #[arg(long, value_name = "FILE")]
        secret_file: String,
        #[command(flatten)]
        change: Change,
    },
    /// Change what is given of an account, on every broker that has it.
    Update {
        /// Its access key.
        key: String,
        /// File with its new secret, `-` for standard input; the first line counts.
        #[arg(long, value_name = "FILE")]
        secret_file: Option<String>,
        #[command(flatten)]
        change: Change,
    },
    /// Delete an account on every broker that has it.
    Delete {
        /// Its access key.
        key: String,
        #[command(flatten)]
        scope: Scope,
        #[command(flatten)]
        confirmation: Confirmation,
    },
    /// Replace the addresses from which everybody may do everything, on every broker.
    WhiteList {
        /// All of them, as `10.0.0.*`; none takes all away.
        addresses: Vec<String>,
        #[command(flatten)]
        scope: Scope,
        #[command(flatten)]
        confirmation: Confirmation,
    },
}

/// What an account may do.
#[derive(Args, Clone, Debug)]
pub struct Change {
    /// Whether it may do everything.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    admin: Option<bool>,
    /// What it may do with a topic, as `Orders=PUB|SUB`; may be given again. All that are given replace all
    /// that are there; an empty one takes all away.
    #[arg(long, value_name = "TOPIC=PERMISSION")]
    topic: Vec<String>,
    /// The same with a group, as `readers=SUB`.
    #[arg(long, value_name = "GROUP=PERMISSION")]
    group: Vec<String>,
    /// What it may do with topics that are not listed: `DENY`, `PUB`, `SUB` or `PUB|SUB` [new accounts: DENY].
    #[arg(long, value_name = "PERMISSION")]
    default_topic: Option<String>,
    /// The same with groups [new accounts: DENY].
    #[arg(long, value_name = "PERMISSION")]
    default_group: Option<String>,
    /// Addresses from which it needs no signature, as `10.0.0.*`.
    #[arg(long, value_name = "ADDRESSES")]
    white_address: Option<String>,
    #[command(flatten)]
    scope: Scope,
}

/// Where it is done.
#[derive(Args, Clone, Debug)]
pub struct Scope {
    /// Only in this cluster.
    #[arg(long, value_name = "NAME")]
    cluster: Option<String>,
    /// Show where it would be done, and do nothing.
    #[arg(long)]
    dry_run: bool,
}

impl AclAction {
    /// Whether it changes nothing.
    pub fn only_reads(&self) -> bool {
        matches!(self, Self::List | Self::Show { .. })
    }
}

impl Change {
    fn settings(&self) -> AccountSettings {
        let list = |given: &[String]| {
            let items = given.iter().filter(|item| !item.is_empty()).cloned().collect();
            (!given.is_empty()).then_some(PermissionList { items })
        };
        AccountSettings {
            is_admin: self.admin,
            default_topic_permission: self.default_topic.clone(),
            default_group_permission: self.default_group.clone(),
            white_address: self.white_address.clone(),
            topic_permissions: list(&self.topic),
            group_permissions: list(&self.group),
        }
    }
}

/// Does what the verb says; lists without one.
///
/// # Errors
/// As the service's, or the secret cannot be read.
pub async fn run(action: Option<AclAction>, door: Door, output: Output) -> Reported {
    let mut acl = AclClient::new(door).max_decoding_message_size(usize::MAX);
    let list = ListAccountsRequest {};
    Ok(match action.unwrap_or(AclAction::List) {
        AclAction::List => listed(&acl.list(list).await?.into_inner(), output),
        AclAction::Show { key } => shown(&key, acl.list(list).await?.into_inner(), output)?,
        AclAction::Create { key, secret_file, change } => {
            let (what, settings) = (format!("account {key}"), Some(change.settings()));
            let Scope { cluster, dry_run } = change.scope;
            let secret_key = secret(&secret_file)?;
            let request =
                CreateAccountRequest { access_key: key, secret_key, settings, cluster, dry_run };
            what_was_done(&acl.create(request).await?.into_inner().done, &what, "created", output)
        }
        AclAction::Update { key, secret_file, change } => {
            let (what, settings) = (format!("account {key}"), Some(change.settings()));
            let Scope { cluster, dry_run } = change.scope;
            let secret_key = secret_file.as_deref().map(secret).transpose()?;
            let request =
                UpdateAccountRequest { access_key: key, secret_key, settings, cluster, dry_run };
            what_was_done(&acl.update(request).await?.into_inner().done, &what, "changed", output)
        }
        AclAction::Delete { key, scope: Scope { cluster, dry_run }, confirmation } => {
            let what = format!("account {key}");
            let question = format!("{what} is deleted: whoever uses it is refused from then on.");
            if !dry_run && !confirmation.is_given(&question) {
                return Ok(not_confirmed());
            }
            let request = DeleteAccountRequest { access_key: key, cluster, dry_run };
            what_was_done(&acl.delete(request).await?.into_inner().done, &what, "deleted", output)
        }
        AclAction::WhiteList { addresses, scope: Scope { cluster, dry_run }, confirmation } => {
            let question = match addresses.is_empty() {
                true => "No address is let in without an account any more.".to_owned(),
                false => format!("Everybody may do everything from {}.", addresses.join(", ")),
            };
            if !dry_run && !confirmation.is_given(&question) {
                return Ok(not_confirmed());
            }
            let request = PutWhiteAddressesRequest { addresses, cluster, dry_run };
            let done = acl.put_white_addresses(request).await?.into_inner().done;
            what_was_done(&done, "white list", "changed", output)
        }
    })
}

/// The first line of a file.
fn secret(path: &str) -> Result<String, Status> {
    let text = read_text(path.as_ref())?;
    Ok(text.lines().next().unwrap_or_default().trim().to_owned())
}

fn listed(found: &ListAccountsResponse, output: Output) -> Report {
    let all = found.brokers.iter().filter(|broker| broker.error.is_none()).count();
    let sheet = accounts(&found.accounts, all);
    let mut text = sheet.render(found, output);
    if output.is_for_people() {
        let gap = if found.accounts.is_empty() { "" } else { "\n" };
        text += &format!("{gap}{}", brokers(&found.brokers).as_table());
    }
    let mut notes = Vec::new();
    if found.accounts.is_empty() {
        notes.push(NO_ACCOUNTS.to_owned());
    }
    if found.accounts.iter().any(|account| account.brokers.len() < all) {
        notes.push(
            "Not all brokers have the same accounts: making the change again with `acl update` makes them equal."
                .to_owned(),
        );
    }
    Report { notes: output.notes(notes), ..Report::new(text, found.problems.clone()) }
}

fn shown(key: &str, mut found: ListAccountsResponse, output: Output) -> Reported {
    let all = found.brokers.iter().filter(|broker| broker.error.is_none()).count();
    found.accounts.retain(|account| account.access_key == key);
    if found.accounts.is_empty() {
        let text = format!(
            "no broker that answers has an account \"{key}\": `rmq-node admin acl` shows what there is"
        );
        return Err(Status::not_found(text));
    }
    let sheet = accounts(&found.accounts, all);
    let text = if output.is_for_people() {
        found.accounts.iter().map(|one| in_full(one, all)).collect()
    } else {
        sheet.render(&found.accounts, output)
    };
    Ok(Report::new(text, found.problems))
}

fn accounts(accounts: &[AccountOnBrokers], all: usize) -> Sheet {
    let columns = vec![
        words("ACCOUNT"),
        words("ADMIN"),
        words("TOPICS"),
        words("GROUPS"),
        words("OTHER TOPICS"),
        words("OTHER GROUPS"),
        words("FROM"),
        words("BROKERS"),
    ];
    let row = |account: &AccountOnBrokers| {
        let settings = account.settings.clone().unwrap_or_default();
        vec![
            account.access_key.clone(),
            yes(settings.is_admin == Some(true)),
            items(&settings.topic_permissions),
            items(&settings.group_permissions),
            given(&settings.default_topic_permission),
            given(&settings.default_group_permission),
            given(&settings.white_address),
            places(account, all),
        ]
    };
    Sheet::new(columns, accounts.iter().map(row).collect())
}

fn items(list: &Option<PermissionList>) -> String {
    given(&list.as_ref().map(|list| list.items.join(",")))
}

/// Brokers send what is not set as an empty text, too.
fn given(text: &Option<String>) -> String {
    or_nothing(&text.clone().filter(|text| !text.is_empty()))
}

/// Which brokers have an account so.
fn places(account: &AccountOnBrokers, all: usize) -> String {
    let secret = match account.secret {
        0 => String::new(),
        number => format!(" (secret {number})"),
    };
    if account.brokers.len() == all && account.secret == 0 {
        return "all".to_owned();
    }
    format!("{}{secret}", account.brokers.join(","))
}

fn brokers(brokers: &[AccountsOfBroker]) -> Sheet {
    let columns = vec![
        words("BROKER"),
        words("ADDRESS"),
        numbers("ACCOUNTS"),
        words("FILE"),
        numbers("CHANGES"),
        words("LAST CHANGE (UTC)"),
        words("WHITE LIST"),
    ];
    let rows = brokers.iter().flat_map(|broker| {
        let white = given(&Some(broker.white_addresses.join(",")));
        let row = |cells: [String; 4], white: String| {
            let [accounts, file, counter, time] = cells;
            vec![broker.at.clone(), broker.address.clone(), accounts, file, counter, time, white]
        };
        let count = broker.accounts.to_string();
        match (&broker.error, &broker.files[..]) {
            (Some(_), _) => vec![row([nothing(), nothing(), nothing(), nothing()], nothing())],
            (None, []) => vec![row([count, nothing(), nothing(), nothing()], white)],
            (None, files) => {
                let of_file = |file: &AccountFile| {
                    let time = file.changed_ms.map_or_else(nothing, utc);
                    let counter = file.counter.to_string();
                    row([count.clone(), file.path.clone(), counter, time], white.clone())
                };
                files.iter().map(of_file).collect()
            }
        }
    });
    Sheet::new(columns, rows.collect())
}

fn in_full(account: &AccountOnBrokers, all: usize) -> String {
    let settings = account.settings.clone().unwrap_or_default();
    let mut text = String::new();
    let mut line = |name: &str, value: &str| text += &fact(name, 13, value);
    line("account", &account.access_key);
    line("brokers", &places(account, all));
    line("admin", &yes(settings.is_admin == Some(true)));
    for (name, list) in
        [("topic", &settings.topic_permissions), ("group", &settings.group_permissions)]
    {
        for item in list.iter().flat_map(|list| &list.items) {
            line(name, item);
        }
    }
    line("other topics", &given(&settings.default_topic_permission));
    line("other groups", &given(&settings.default_group_permission));
    line("from", &given(&settings.white_address));
    text
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn found() -> ListAccountsResponse {
        let account = |secret, broker: &str| AccountOnBrokers {
            access_key: "reader-key".to_owned(),
            settings: Some(AccountSettings {
                is_admin: Some(false),
                default_group_permission: Some("SUB".to_owned()),
                topic_permissions: Some(PermissionList { items: vec!["T=SUB".to_owned()] }),
                ..AccountSettings::default()
            }),
            secret,
            brokers: vec![broker.to_owned()],
        };
        let broker = |at: &str| AccountsOfBroker {
            at: at.to_owned(),
            address: "h:1".to_owned(),
            accounts: 1,
            files: vec![AccountFile {
                path: "/acl.yml".to_owned(),
                counter: 2,
                changed_ms: Some(0),
            }],
            ..AccountsOfBroker::default()
        };
        ListAccountsResponse {
            accounts: vec![account(1, "a 0"), account(2, "a 1")],
            brokers: vec![broker("a 0"), broker("a 1")],
            problems: Vec::new(),
        }
    }

    #[test]
    fn accounts_that_differ_have_a_line_each() {
        let report = listed(&found(), Output::Table);
        let expected = "\
ACCOUNT     ADMIN  TOPICS  GROUPS  OTHER TOPICS  OTHER GROUPS  FROM  BROKERS
reader-key  no     T=SUB   -       -             SUB           -     a 0 (secret 1)
reader-key  no     T=SUB   -       -             SUB           -     a 1 (secret 2)

BROKER  ADDRESS  ACCOUNTS  FILE      CHANGES  LAST CHANGE (UTC)    WHITE LIST
a 0     h:1             1  /acl.yml        2  1970-01-01 00:00:00  -
a 1     h:1             1  /acl.yml        2  1970-01-01 00:00:00  -
";
        assert_eq!((report.text.as_str(), report.notes.len()), (expected, 1));
        let mut same = found();
        same.accounts.truncate(1);
        same.accounts[0] = AccountOnBrokers {
            secret: 0,
            brokers: vec!["a 0".to_owned(), "a 1".to_owned()],
            ..same.accounts[0].clone()
        };
        let report = listed(&same, Output::Table);
        assert!(report.text.contains(" -     all\n") && report.notes.is_empty(), "{report:?}");
    }

    #[test]
    fn one_account_is_shown_line_by_line() {
        let mut found = found();
        found.accounts.truncate(1);
        let report = shown("reader-key", found.clone(), Output::Table).unwrap();
        let expected = "\
account       reader-key
brokers       a 0 (secret 1)
admin         no
topic         T=SUB
other topics  -
other groups  SUB
from          -
";
        assert_eq!(report.text, expected);
        let unknown = shown("x", found, Output::Table).unwrap_err();
        assert_eq!(unknown.code(), tonic::Code::NotFound);
    }

    #[test]
    fn a_secret_is_a_files_first_line() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "s3cret-one \nmore\n").unwrap();
        assert_eq!(secret(file.path().to_str().unwrap()).unwrap(), "s3cret-one");
        let error = secret("/nonexistent").unwrap_err();
        assert!(error.message().starts_with("/nonexistent: "), "{error:?}");
    }
}
