//! Accounts and white lists, which every broker has: 4.9.4's slaves do not get them from their masters.
//!
//! Invariants: a secret is in what is told only if it was asked for, and never in a step; where accounts are off nobody is
//! asked for them, because 4.9.4 does not answer then (B-344).

use std::collections::BTreeSet;

use super::{
    Action, Admin, AdminError, MetadataAction, MetadataKind, MetadataPlan, Place, SettingChange,
    change, step,
};
use crate::admin::accounts::UNTOLD_SECRET;
use crate::admin::all;
use crate::proto::v1::{AccountMetadata, AccountsMetadata, Problem};
use crate::remoting::bodies::accounts::{Account, Accounts};
use crate::remoting::bodies::route::BrokerData;

/// A secret in a step.
const HIDDEN: &str = "***";

/// What one broker has.
struct There<'a> {
    place: Place<'a>,
    accounts: Accounts,
}

impl Admin {
    /// What each broker has that has accounts.
    async fn accounts_there<'a>(
        &self,
        groups: &'a [BrokerData],
        problems: &mut Vec<Problem>,
    ) -> Vec<There<'a>> {
        let mut members = Vec::new();
        for group in groups {
            let addresses = group.addresses.values();
            members.extend(addresses.map(|address| Place { at: &group.broker_name, address }));
        }
        let asked = members.iter().map(|place| self.accounts_if_on(place.address));
        let answers = all(asked).await;
        let mut there = Vec::new();
        for (place, answer) in members.into_iter().zip(answers) {
            match answer {
                Ok(Some(accounts)) => there.push(There { place, accounts }),
                Ok(None) => {}
                Err(error) => {
                    let reason = format!("accounts of {} are missing: {error}", place.at);
                    problems.push(problem(place, reason));
                }
            }
        }
        there
    }

    pub(super) async fn export_accounts(
        &self,
        groups: &[BrokerData],
        with_secrets: bool,
        problems: &mut Vec<Problem>,
    ) -> Option<AccountsMetadata> {
        let there = self.accounts_there(groups, problems).await;
        let mut told = there.iter().map(|one| (one, metadata(&one.accounts, with_secrets)));
        let (first, metadata) = told.next()?;
        for (other, its) in told.filter(|(_, its)| *its != metadata) {
            let reason = format!(
                "accounts at {} are not as at {}: {}; those of the latter are told",
                other.place.address,
                first.place.address,
                different(&its, &metadata).join(", ")
            );
            problems.push(problem(other.place, reason));
        }
        let without = metadata.accounts.values().any(|account| account.secret_key.is_none());
        if with_secrets && without {
            let reason = format!(
                "secrets are missing: {} tells them only to an admin's account that signs",
                first.place.address
            );
            problems.push(problem(first.place, reason));
        }
        Some(metadata)
    }

    pub(super) async fn plan_accounts(
        &self,
        plan: &mut MetadataPlan,
        groups: &[BrokerData],
        wanted: &AccountsMetadata,
        prune: bool,
    ) -> Result<(), AdminError> {
        if prune && !wanted.accounts.values().any(|account| account.admin) {
            return Err(AdminError::Invalid(
                "no account that is wanted is an admin's: pruning would leave nobody who may change anything".to_owned(),
            ));
        }
        let there = self.accounts_there(groups, &mut plan.problems).await;
        if there.is_empty() && plan.problems.is_empty() {
            let reason = "accounts are off on all brokers: those that are wanted are left out";
            plan.problems.push(Problem {
                at: "accounts".to_owned(),
                address: None,
                reason: reason.to_owned(),
            });
        }
        for one in &there {
            plan_at(plan, one, wanted, prune);
        }
        Ok(())
    }
}

fn problem(place: Place<'_>, reason: String) -> Problem {
    Problem { at: place.at.to_owned(), address: Some(place.address.to_owned()), reason }
}

fn plan_at(plan: &mut MetadataPlan, there: &There<'_>, wanted: &AccountsMetadata, prune: bool) {
    let place = there.place;
    let mut unknown_secrets = 0;
    for (key, account) in &wanted.accounts {
        let before = there.accounts.accounts.iter().find(|one| one.access_key == *key);
        if before.is_some_and(|one| one.secret_key.is_none()) && account.secret_key.is_some() {
            unknown_secrets += 1;
        }
        let changes = changes(before, account);
        if before.is_some() && changes.is_empty() {
            continue;
        }
        let action = if before.is_some() { MetadataAction::Change } else { MetadataAction::Create };
        let step = step(MetadataKind::Account, key, action, place, changes);
        let put = to_put(key, account, before);
        if put.secret_key.is_some() {
            plan.add(step, Action::PutAccount(put));
        } else {
            let new = "a new account needs its secret_key, which is not said";
            let reason = if before.is_none() { new } else { UNTOLD_SECRET };
            plan.add(step, Action::Impossible(reason.to_owned()));
        }
    }
    if unknown_secrets > 0 {
        let reason = format!(
            "secrets of {unknown_secrets} accounts are not compared: {} tells them only to an admin's account that signs",
            place.address
        );
        plan.problems.push(problem(place, reason));
    }
    let white = sorted(&there.accounts.global_white_addresses);
    if !wanted.white_addresses.is_empty() && sorted(&wanted.white_addresses) != white {
        let list = wanted.white_addresses.join(",");
        let before = Some(white.join(",")).filter(|list| !list.is_empty());
        let changes = vec![change("white_addresses", before.as_deref(), Some(&list))];
        let action = MetadataAction::Change;
        let step = step(MetadataKind::WhiteAddresses, "of all", action, place, changes);
        plan.add(step, Action::SetWhiteAddresses(list));
    }
    for account in &there.accounts.accounts {
        let key = &account.access_key;
        if !wanted.accounts.contains_key(key) {
            let action = MetadataAction::Delete;
            let step = step(MetadataKind::Account, key, action, place, Vec::new());
            plan.add_unwanted(prune, step, Action::DeleteAccount);
        }
    }
}

fn sorted(list: &[String]) -> Vec<String> {
    let set: BTreeSet<_> = list.iter().map(|one| one.trim().to_owned()).collect();
    set.into_iter().collect()
}

fn metadata(accounts: &Accounts, with_secrets: bool) -> AccountsMetadata {
    let text = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let list = |list: &Option<Vec<String>>| sorted(list.as_deref().unwrap_or_default());
    let account = |one: &Account| AccountMetadata {
        secret_key: one.secret_key.clone().filter(|_| with_secrets),
        white_remote_address: text(&one.white_remote_address),
        admin: one.admin,
        default_topic_perm: text(&one.default_topic_perm),
        default_group_perm: text(&one.default_group_perm),
        topic_perms: list(&one.topic_perms),
        group_perms: list(&one.group_perms),
    };
    // One name may stand there twice, then the first counts.
    let all = accounts.accounts.iter().rev();
    AccountsMetadata {
        white_addresses: sorted(&accounts.global_white_addresses),
        accounts: all.map(|one| (one.access_key.clone(), account(one))).collect(),
    }
}

/// The names of what is not the same.
fn different(one: &AccountsMetadata, other: &AccountsMetadata) -> Vec<String> {
    let keys: BTreeSet<_> = one.accounts.keys().chain(other.accounts.keys()).collect();
    let differs = |key: &&&String| one.accounts.get(**key) != other.accounts.get(**key);
    let mut names: Vec<_> = keys.iter().filter(differs).map(|key| (**key).clone()).collect();
    if one.white_addresses != other.white_addresses {
        names.push("the white addresses".to_owned());
    }
    names
}

/// What of an account gets another value; what is not said stays.
fn changes(before: Option<&Account>, wanted: &AccountMetadata) -> Vec<SettingChange> {
    let mut changes = Vec::new();
    let secret_before = before.and_then(|one| one.secret_key.as_deref());
    if let Some(secret) = wanted.secret_key.as_deref() {
        let is_unknown = before.is_some() && secret_before.is_none();
        if !is_unknown && secret_before != Some(secret) {
            let hidden = secret_before.map(|_| HIDDEN);
            changes.push(change("secret_key", hidden, Some(HIDDEN)));
        }
    }
    let admin_before = before.map(|one| one.admin.to_string());
    let list = |list: &[String]| Some(sorted(list).join(",")).filter(|list| !list.is_empty());
    let given = |list: &Option<Vec<String>>| list.as_deref().unwrap_or_default().to_vec();
    let texts = [
        ("admin", admin_before, Some(wanted.admin.to_string())),
        (
            "white_remote_address",
            before.and_then(|one| one.white_remote_address.clone()),
            wanted.white_remote_address.clone(),
        ),
        (
            "default_topic_perm",
            before.and_then(|one| one.default_topic_perm.clone()),
            wanted.default_topic_perm.clone(),
        ),
        (
            "default_group_perm",
            before.and_then(|one| one.default_group_perm.clone()),
            wanted.default_group_perm.clone(),
        ),
        (
            "topic_perms",
            before.and_then(|one| list(&given(&one.topic_perms))),
            list(&wanted.topic_perms),
        ),
        (
            "group_perms",
            before.and_then(|one| list(&given(&one.group_perms))),
            list(&wanted.group_perms),
        ),
    ];
    let changed = texts.iter().filter(|(_, before, after)| after.is_some() && before != after);
    changes.extend(
        changed.map(|(name, before, after)| change(name, before.as_deref(), after.as_deref())),
    );
    changes
}

/// What is not said stays by itself, but for the secret: brokers take no change without one.
fn to_put(key: &str, wanted: &AccountMetadata, before: Option<&Account>) -> Account {
    let secret_before = before.and_then(|one| one.secret_key.as_ref());
    let list = |list: &[String]| Some(sorted(list)).filter(|list| !list.is_empty());
    Account {
        access_key: key.to_owned(),
        secret_key: wanted.secret_key.as_ref().or(secret_before).cloned(),
        white_remote_address: wanted.white_remote_address.clone(),
        admin: wanted.admin,
        default_topic_perm: wanted.default_topic_perm.clone(),
        default_group_perm: wanted.default_group_perm.clone(),
        topic_perms: list(&wanted.topic_perms),
        group_perms: list(&wanted.group_perms),
    }
}
