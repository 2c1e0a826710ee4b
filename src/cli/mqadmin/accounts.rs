//! Accounts: M-100 to M-104.

use super::run::{Done, Run};
use crate::admin::Admin;
use crate::remoting::bodies::accounts::Account;

/// `updateAclConfig` (M-100).
pub(super) async fn update(run: &mut Run) -> Done {
    let text = |letter| run.given.get(letter).map(str::to_owned);
    let list =
        |letter| run.given.get(letter).map(|list| list.split(',').map(str::to_owned).collect());
    let account = Account {
        access_key: run.given.must('a').to_owned(),
        secret_key: text('s'),
        white_remote_address: text('w'),
        admin: run.given.bool_or('m', false),
        default_topic_perm: text('i'),
        default_group_perm: text('u'),
        topic_perms: list('t'),
        group_perms: list('g'),
    };
    for address in addresses(run).await? {
        let done = run.admin.put_account(&address, &account).await;
        run.part(done, format_args!("create or update plain access config to {address} success."))?;
    }
    if !run.is_done() {
        return Ok(());
    }
    // 4.9.4 prints where the object lies in its memory.
    run.print(format_args!(
        "PlainAccessConfig [accessKey={}, admin={}]",
        account.access_key, account.admin
    ))
}

/// The broker, or all brokers of the cluster: 4.9.4's slaves do not get accounts from their masters.
async fn addresses(run: &mut Run) -> Result<Vec<String>, super::run::Failure> {
    match run.given.get('b').map(str::to_owned) {
        Some(address) => Ok(vec![address]),
        None => {
            let cluster = run.given.must('c').to_owned();
            run.brokers(&cluster).await
        }
    }
}

/// `deleteAclConfig` (M-101).
pub(super) async fn delete(run: &mut Run) -> Done {
    let key = run.given.must('a').to_owned();
    for address in addresses(run).await? {
        let done = run.admin.delete_account(&address, &key).await;
        run.part(done, format_args!("delete plain access config account from {address} success."))?;
    }
    if !run.is_done() {
        return Ok(());
    }
    run.print(format_args!("account's accesskey is:{key}"))
}

/// `updateGlobalWhiteAddr` (M-103).
pub(super) async fn set_white_addresses(run: &mut Run) -> Done {
    let (list, path) = (run.given.must('g').to_owned(), run.given.get('p').map(str::to_owned));
    for address in addresses(run).await? {
        let done = run.admin.set_white_addresses(&address, &list, path.as_deref()).await;
        run.part(done, format_args!("update global white remote addresses to {address} success."))?;
    }
    Ok(())
}

/// `clusterAclConfigVersion` (M-102).
pub(super) async fn versions(run: &mut Run) -> Done {
    if let Some(address) = run.given.get('b').map(str::to_owned) {
        show_versions(run, &address).await?;
        return run.line(format_args!("get broker's plain access config version success."));
    }
    let cluster = run.given.must('c').to_owned();
    let masters = run.masters(&cluster).await?;
    run.line(format_args!(
        "{:<16}  {:<22}  {:<22}  {:<20}  {:<22}  {:<22}",
        "#Cluster Name",
        "#Broker Name",
        "#Broker Addr",
        "#AclFilePath",
        "#AclConfigVersionNum",
        "#AclLastUpdateTime"
    ))?;
    for address in masters {
        show_versions(run, &address).await?;
    }
    run.line(format_args!("get cluster's plain access config version success."))
}

async fn show_versions(run: &mut Run, address: &str) -> Done {
    let versions = run.admin.account_versions(address).await?;
    for (path, version) in &versions.files {
        let time = run.zone.seconds(version.timestamp);
        run.line(format_args!(
            "{:<16}  {:<22}  {:<22}  {path:<20}  {:<22}  {time:<22}",
            versions.cluster, versions.broker, versions.address, version.counter
        ))?;
    }
    Ok(())
}

/// `getAclConfig` (M-104).
pub(super) async fn list(run: &mut Run) -> Done {
    let addresses = match run.given.get('b').map(str::to_owned) {
        Some(address) => vec![address],
        None => {
            let cluster = run.given.must('c').to_owned();
            run.masters(&cluster).await?
        }
    };
    for address in addresses {
        let accounts = Admin::accounts(&run.admin, &address).await?;
        let white = accounts.global_white_addresses.join(", ");
        run.line(format_args!("\n{:<20}: [{white}]\n\naccounts:", "globalWhiteRemoteAddresses"))?;
        for account in accounts.accounts {
            show_account(run, &account)?;
        }
    }
    Ok(())
}

/// The fields in the order of 4.9.4's class.
fn show_account(run: &mut Run, account: &Account) -> Done {
    let list =
        |list: &Option<Vec<String>>| list.as_ref().map(|list| format!("[{}]", list.join(", ")));
    for (name, value) in [
        ("accessKey", Some(account.access_key.clone())),
        ("secretKey", account.secret_key.clone()),
        ("whiteRemoteAddress", account.white_remote_address.clone()),
        ("admin", Some(account.admin.to_string())),
        ("defaultTopicPerm", account.default_topic_perm.clone()),
        ("defaultGroupPerm", account.default_group_perm.clone()),
        ("topicPerms", list(&account.topic_perms)),
        ("groupPerms", list(&account.group_perms)),
    ] {
        run.line(format_args!("  {name:<18}: {}", value.unwrap_or_default()))?;
    }
    run.line(format_args!(""))
}
