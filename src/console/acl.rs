//! Accounts of clients on all brokers, and the addresses that need none.
//!
//! Not the console's own users (`accounts`). Invariants: no secret is on a page, in a path or in the audit log: it is typed
//! on the page that asks, right before it is used; a broker that does not answer is a row that says so.

use askama::Template;
use axum::extract::{Path, State};

use super::change::{Confirm, change, result, rows};
use super::visitor::{Fields, Page, Posted, Visitor, query_escaped};
use super::{Answer, Pages, format, html, may_call};
use crate::admin::{AdminError, DENIED};
use crate::proto::v1::{
    AccountOnBrokers, AccountSettings, AccountsOfBroker, CreateAccountRequest,
    DeleteAccountRequest, Done, ListAccountsResponse, PermissionList, Problem,
    PutWhiteAddressesRequest, UpdateAccountRequest,
};

const PATH: &str = "/acl";
/// What the audit log gets for a secret.
const HIDDEN: &str = "***";
/// Stands for a secret while nothing is done yet.
const NOT_ASKED: &str = "not asked yet";
/// What a form of an account holds.
const FIELDS: [&str; 7] =
    ["key", "admin", "topic_default", "group_default", "white", "topics", "groups"];

/// An account of the list.
struct Account {
    path: String,
    key: String,
    is_admin: bool,
    topic_default: String,
    group_default: String,
    white: String,
    topics: Vec<String>,
    groups: Vec<String>,
    brokers: String,
    /// Which secret it has, where brokers have several.
    secret: u32,
    /// Whether brokers have something else under this key.
    differs: bool,
}

impl Account {
    fn of(account: AccountOnBrokers, differs: bool) -> Self {
        let settings = account.settings.unwrap_or_default();
        let items = |list: Option<PermissionList>| list.map(|list| list.items).unwrap_or_default();
        let is_admin = settings.is_admin.unwrap_or_default();
        // As the form has it; without a word of it only admins may do something.
        let word = |text: Option<String>| match text.unwrap_or_default() {
            text if text.trim() == "SUB|PUB" => "PUB|SUB".to_owned(),
            text if text.is_empty() && !is_admin => DENIED.to_owned(),
            text => text,
        };
        Self {
            path: query_escaped(&account.access_key),
            key: account.access_key,
            is_admin,
            topic_default: word(settings.default_topic_permission),
            group_default: word(settings.default_group_permission),
            white: settings.white_address.unwrap_or_default(),
            topics: items(settings.topic_permissions),
            groups: items(settings.group_permissions),
            brokers: account.brokers.join(", "),
            secret: account.secret,
            differs,
        }
    }

    fn all(accounts: Vec<AccountOnBrokers>) -> Vec<Self> {
        let keys: Vec<_> = accounts.iter().map(|account| account.access_key.clone()).collect();
        let is_many = |key: &str| keys.iter().filter(|one| *one == key).count() > 1;
        let account = |account: AccountOnBrokers| {
            let differs = is_many(&account.access_key);
            Self::of(account, differs)
        };
        accounts.into_iter().map(account).collect()
    }
}

/// A broker, and when its files were changed.
struct Broker {
    broker: AccountsOfBroker,
    changed: Option<(String, String)>,
}

impl Broker {
    fn of(broker: AccountsOfBroker) -> Self {
        let last = broker.files.iter().filter_map(|file| file.changed_ms).max();
        Self { changed: last.map(format::moment), broker }
    }
}

#[derive(Template)]
#[template(path = "acl.html")]
struct AclPage<'a> {
    page: &'a Page,
    q: &'a str,
    accounts: Vec<Account>,
    brokers: Vec<Broker>,
    /// The addresses of the first broker that tells.
    white: String,
    problems: Vec<Problem>,
    /// Why nothing is known.
    error: Option<String>,
    /// What a form for a new account begins with.
    new: Account,
}

/// Every account, and what brokers have.
pub async fn show(State(pages): State<Pages>, visitor: Visitor, query: Fields) -> Answer {
    let (listed, error) = match pages.asking().list_accounts().await {
        Ok(listed) => (listed, None),
        Err(error) => (ListAccountsResponse::default(), Some(error.to_string())),
    };
    let q = query.get("q");
    let wanted = q.to_lowercase();
    let mut accounts = Account::all(listed.accounts);
    accounts.retain(|account| account.key.to_lowercase().contains(&wanted));
    let first = listed.brokers.iter().find(|broker| broker.error.is_none());
    Ok(html(&AclPage {
        page: &visitor.page,
        q,
        accounts,
        white: first.map(|broker| broker.white_addresses.join("\n")).unwrap_or_default(),
        brokers: listed.brokers.into_iter().map(Broker::of).collect(),
        problems: listed.problems,
        error,
        new: Account::of(AccountOnBrokers::default(), false),
    }))
}

#[derive(Template)]
#[template(path = "acl_account.html")]
struct AccountPage<'a> {
    page: &'a Page,
    account: Account,
    problems: Vec<Problem>,
}

/// One account, to change it.
pub async fn account(
    State(pages): State<Pages>,
    visitor: Visitor,
    Path(key): Path<String>,
) -> Answer {
    let listed = pages.asking().list_accounts().await.map_err(|error| visitor.failed(&error))?;
    let mut accounts = Account::all(listed.accounts);
    accounts.retain(|account| account.key == key);
    if accounts.is_empty() {
        let text = format!("no broker has an account \"{key}\"");
        return Err(visitor.failed(&AdminError::NotFound(text)));
    }
    let (page, account) = (&visitor.page, accounts.remove(0));
    Ok(html(&AccountPage { page, account, problems: listed.problems }))
}

fn listed(text: &str) -> Vec<String> {
    let parts = text.split([' ', ',', '\n', '\r', '\t']).filter(|part| !part.is_empty());
    parts.map(str::to_owned).collect()
}

/// All of them: the account has what stands in the form, and nothing else.
fn settings(fields: &Fields) -> AccountSettings {
    AccountSettings {
        is_admin: Some(fields.get("admin") == "yes"),
        default_topic_permission: fields.filled("topic_default"),
        default_group_permission: fields.filled("group_default"),
        white_address: Some(fields.get("white").to_owned()),
        topic_permissions: Some(PermissionList { items: listed(fields.get("topics")) }),
        group_permissions: Some(PermissionList { items: listed(fields.get("groups")) }),
    }
}

/// Asks, and for a secret, then creates an account.
pub async fn create(State(pages): State<Pages>, form: Posted) -> Answer {
    let Posted { visitor, fields } = form;
    may_call(&visitor, "Acl/Create")?;
    let (page, is_sure) = (&visitor.page, fields.get("sure") == "yes");
    let request = CreateAccountRequest {
        access_key: fields.get("key").to_owned(),
        secret_key: if is_sure { fields.raw("secret") } else { NOT_ASKED }.to_owned(),
        settings: Some(settings(&fields)),
        cluster: None,
        dry_run: !is_sure,
    };
    let (admin, asked) = (pages.admin.clone(), request.clone());
    if !is_sure {
        let told = pages.asking().create_account(&request).await;
        let told = told.map_err(|error| visitor.failed(&error))?;
        let question = page.t1("Create the account {}?", &request.access_key);
        let action = format!("{PATH}/accounts");
        return Ok(confirm(&visitor, &fields, question, &told.done, action, Some(true)));
    }
    let shown = CreateAccountRequest { secret_key: HIDDEN.to_owned(), ..request.clone() };
    let work = async move { admin.create_account(&asked).await };
    let done = change(&pages, &visitor, "Acl/Create", &shown, work).await;
    let done = done.map_err(|error| visitor.failed(&error))?.done;
    Ok(result(
        page,
        page.t1("Creating the account {}", &request.access_key),
        &done,
        PATH.to_owned(),
    ))
}

/// Asks, then changes an account.
pub async fn update(State(pages): State<Pages>, Path(key): Path<String>, form: Posted) -> Answer {
    let Posted { visitor, fields } = form;
    may_call(&visitor, "Acl/Update")?;
    let (page, is_sure) = (&visitor.page, fields.get("sure") == "yes");
    let secret = Some(fields.raw("secret").to_owned()).filter(|secret| !secret.is_empty());
    let request = UpdateAccountRequest {
        access_key: key.clone(),
        secret_key: secret.filter(|_| is_sure),
        settings: Some(settings(&fields)),
        cluster: None,
        dry_run: !is_sure,
    };
    let (admin, asked) = (pages.admin.clone(), request.clone());
    if !is_sure {
        let told = pages.asking().update_account(&request).await;
        let told = told.map_err(|error| visitor.failed(&error))?;
        let question = page.t1("Change the account {}?", &key);
        let action = format!("{PATH}/accounts/{}", query_escaped(&key));
        return Ok(confirm(&visitor, &fields, question, &told.done, action, Some(false)));
    }
    let hidden = request.secret_key.as_ref().map(|_| HIDDEN.to_owned());
    let shown = UpdateAccountRequest { secret_key: hidden, ..request };
    let work = async move { admin.update_account(&asked).await };
    let done = change(&pages, &visitor, "Acl/Update", &shown, work).await;
    let done = done.map_err(|error| visitor.failed(&error))?.done;
    Ok(result(page, page.t1("Changing the account {}", &key), &done, PATH.to_owned()))
}

fn confirm(
    visitor: &Visitor,
    fields: &Fields,
    question: String,
    done: &[Done],
    action: String,
    secret: Option<bool>,
) -> axum::response::Response {
    let page = &visitor.page;
    let label = if secret == Some(true) { page.t("Create") } else { page.t("Change") };
    let confirm = Confirm {
        question,
        rows: rows(done, label),
        action,
        fields: fields.kept(FIELDS),
        secret,
        label,
        back: PATH.to_owned(),
        ..Confirm::on(page)
    };
    confirm.response()
}

/// Asks for the account's key, then deletes it.
pub async fn delete(State(pages): State<Pages>, Path(key): Path<String>, form: Posted) -> Answer {
    let Posted { visitor, fields } = form;
    may_call(&visitor, "Acl/Delete")?;
    let (page, is_sure) = (&visitor.page, fields.get("sure") == "yes");
    if is_sure && fields.get("typed") != key {
        return Err(visitor.invalid("What was typed is not the name: nothing was done."));
    }
    let request =
        DeleteAccountRequest { access_key: key.clone(), cluster: None, dry_run: !is_sure };
    let (admin, asked) = (pages.admin.clone(), request.clone());
    if !is_sure {
        let told = pages.asking().delete_account_everywhere(&request).await;
        let told = told.map_err(|error| visitor.failed(&error))?;
        let confirm = Confirm {
            question: page.t1("Delete the account {}?", &key),
            warning: page.t("Clients that use it are refused from then on."),
            rows: rows(&told.done, page.t("Delete")),
            action: format!("{PATH}/accounts/{}/delete", query_escaped(&key)),
            typed: Some(&key),
            is_danger: true,
            label: page.t("Delete"),
            back: PATH.to_owned(),
            ..Confirm::on(page)
        };
        return Ok(confirm.response());
    }
    let work = async move { admin.delete_account_everywhere(&asked).await };
    let done = change(&pages, &visitor, "Acl/Delete", &request, work).await;
    let done = done.map_err(|error| visitor.failed(&error))?.done;
    Ok(result(page, page.t1("Deleting the account {}", &key), &done, PATH.to_owned()))
}

/// Asks, then replaces the addresses that need no account.
pub async fn set_white(State(pages): State<Pages>, form: Posted) -> Answer {
    let Posted { visitor, fields } = form;
    may_call(&visitor, "Acl/PutWhiteAddresses")?;
    let (page, is_sure) = (&visitor.page, fields.get("sure") == "yes");
    let addresses = listed(fields.get("addresses"));
    let request = PutWhiteAddressesRequest { addresses, cluster: None, dry_run: !is_sure };
    let (admin, asked) = (pages.admin.clone(), request.clone());
    if !is_sure {
        let told = pages.asking().put_white_addresses(&request).await;
        let told = told.map_err(|error| visitor.failed(&error))?;
        let all = request.addresses.join(" ");
        let none = page.t("none");
        let shown = if all.is_empty() { none } else { all.as_str() };
        let confirm = Confirm {
            question: page.t1("Let everybody at these addresses do everything: {}?", shown),
            warning: page.t("Who comes from there needs no account."),
            rows: rows(&told.done, &page.t1("set to: {}", shown)),
            action: format!("{PATH}/white"),
            fields: vec![("addresses", all.clone())],
            is_danger: true,
            label: page.t("Set"),
            back: PATH.to_owned(),
            ..Confirm::on(page)
        };
        return Ok(confirm.response());
    }
    let work = async move { admin.put_white_addresses(&asked).await };
    let done = change(&pages, &visitor, "Acl/PutWhiteAddresses", &request, work).await;
    let done = done.map_err(|error| visitor.failed(&error))?.done;
    Ok(result(page, page.t("White addresses").to_owned(), &done, PATH.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_however_they_are_written() {
        assert_eq!(listed("A=PUB|SUB\r\nB=DENY, C=SUB"), ["A=PUB|SUB", "B=DENY", "C=SUB"]);
        assert_eq!(listed(" \r\n"), [""; 0]);
    }

    #[test]
    fn what_is_not_the_same_everywhere_is_marked() {
        let account = |key: &str, brokers: &[&str]| AccountOnBrokers {
            access_key: key.to_owned(),
            brokers: brokers.iter().map(|one| (*one).to_owned()).collect(),
            ..AccountOnBrokers::default()
        };
        let all =
            Account::all(vec![account("a", &["x 0"]), account("a", &["y 0"]), account("b", &[])]);
        assert_eq!(all.iter().map(|one| one.differs).collect::<Vec<_>>(), [true, true, false]);
    }
}
