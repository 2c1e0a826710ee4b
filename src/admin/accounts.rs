//! Accounts on all brokers, slaves too: which there are and whether brokers have the same (54, 52), and changing them (50, 51,
//! 53).
//!
//! A broker of 4.9.4 has its own, and gives them to nobody; a node of ours has one set for all its brokers, and gives a
//! change to the others. Invariants: brokers are changed one after another, each asked right before what it has, so that
//! what another of ours has passed on is not changed twice; no secret is in an answer, a log or an error.

use std::collections::BTreeMap;

use super::calls::accounts_off;
use super::{
    Admin, AdminError, all, done, dry_run, failed, master_of, outcome, problem, unchanged,
};
use crate::acl::edit::check_permission;
use crate::acl::white_list::Pattern;
use crate::model::DataVersion;
use crate::proto::v1::{
    AccountFile, AccountOnBrokers, AccountSettings, AccountsOfBroker, CreateAccountRequest,
    CreateAccountResponse, DeleteAccountRequest, DeleteAccountResponse, Done, ListAccountsResponse,
    PermissionList, Problem, PutWhiteAddressesRequest, PutWhiteAddressesResponse,
    UpdateAccountRequest, UpdateAccountResponse,
};
use crate::remoting::bodies::accounts::{Account, Accounts};
use crate::remoting::bodies::route::BrokerData;

/// A key and a secret must be longer than this.
const CHARS_MIN: usize = 6;
/// What an account without a word of it may do.
pub const DENIED: &str = "DENY";
const NO_SECRET: &str = "it does not have the account, and cannot get it without a secret";
/// Brokers take no change without the secret.
pub(super) const UNTOLD_SECRET: &str = "it tells the account's secret only to an admin's account that signs, and takes no change without it: sign as one, or give the secret";

/// A broker that can have accounts.
struct Place {
    /// As `broker-a 0`.
    at: String,
    address: String,
}

impl AccountSettings {
    fn of(account: &Account) -> Self {
        let list = |items: &Option<Vec<String>>| {
            items.as_ref().map(|items| PermissionList { items: items.clone() })
        };
        Self {
            is_admin: Some(account.admin),
            default_topic_permission: account.default_topic_perm.clone(),
            default_group_permission: account.default_group_perm.clone(),
            white_address: account.white_remote_address.clone(),
            topic_permissions: list(&account.topic_perms),
            group_permissions: list(&account.group_perms),
        }
    }

    /// What every broker would refuse is refused before one is asked.
    fn check(&self) -> Result<(), AdminError> {
        let lists = [&self.topic_permissions, &self.group_permissions];
        let mut texts = lists.into_iter().flatten().flat_map(|list| &list.items);
        texts.try_for_each(|text| check_permission(text)).map_err(AdminError::Invalid)?;
        let white = self.white_address.as_deref().unwrap_or_default();
        Pattern::parse(white).map(drop).map_err(AdminError::Invalid)
    }

    /// What is given, over an account that is there; what means the same as before stays as it is written.
    fn over(&self, before: &Account, secret: Option<&str>) -> Account {
        let list = |given: &Option<PermissionList>, before: &Option<Vec<String>>| {
            let given = given.as_ref().map(|list| list.items.clone());
            given.filter(|given| !given.is_empty() || before.is_some()).or_else(|| before.clone())
        };
        let text = |given: &Option<String>, before: &Option<String>, usual: &str| {
            let given = given.clone();
            given.filter(|given| given != usual || before.is_some()).or_else(|| before.clone())
        };
        Account {
            access_key: before.access_key.clone(),
            secret_key: secret.map(str::to_owned).or_else(|| before.secret_key.clone()),
            white_remote_address: text(&self.white_address, &before.white_remote_address, ""),
            admin: self.is_admin.unwrap_or(before.admin),
            default_topic_perm: text(
                &self.default_topic_permission,
                &before.default_topic_perm,
                DENIED,
            ),
            default_group_perm: text(
                &self.default_group_permission,
                &before.default_group_perm,
                DENIED,
            ),
            topic_perms: list(&self.topic_permissions, &before.topic_perms),
            group_perms: list(&self.group_permissions, &before.group_perms),
        }
    }
}

impl Admin {
    /// Every account, with the brokers that have it so.
    ///
    /// # Errors
    /// No name server answers, or no broker has accounts: they are off, or none answers.
    pub async fn list_accounts(&self) -> Result<ListAccountsResponse, AdminError> {
        let groups = self.broker_groups(None).await?;
        let places = places_of(&groups);
        let told = all(places.iter().map(async |place| {
            let accounts = self.accounts_at(&place.address).await?;
            Ok((accounts, self.account_versions(&place.address).await?))
        }));
        let told: Vec<Result<_, AdminError>> = told.await;
        if let Some(Err(error)) = told.first()
            && told.iter().all(Result::is_err)
        {
            return Err(error.clone());
        }
        let mut answer = ListAccountsResponse::default();
        let unknown = |error: AdminError| format!("accounts are missing: {error}");
        let without = groups.iter().filter_map(|group| Some((group, master_of(group).err()?)));
        answer.problems.extend(without.map(|(group, error)| problem(group, unknown(error))));
        let mut known: BTreeMap<String, Vec<(Account, Vec<String>)>> = BTreeMap::new();
        for (place, told) in places.iter().zip(told) {
            let mut of_broker = AccountsOfBroker {
                at: place.at.clone(),
                address: place.address.clone(),
                ..AccountsOfBroker::default()
            };
            match told {
                Err(error) => {
                    of_broker.error = Some(error.to_string());
                    answer.problems.push(Problem {
                        at: place.at.clone(),
                        address: Some(place.address.clone()),
                        reason: format!("accounts of {} are missing: {error}", place.at),
                    });
                }
                Ok((accounts, versions)) => {
                    of_broker.accounts = u32::try_from(accounts.accounts.len()).unwrap_or(u32::MAX);
                    of_broker.white_addresses = accounts.global_white_addresses;
                    of_broker.files = versions.files.into_iter().map(file).collect();
                    for account in accounts.accounts {
                        let variants = known.entry(account.access_key.clone()).or_default();
                        match variants.iter_mut().find(|(one, _)| *one == account) {
                            Some((_, brokers)) => brokers.push(place.at.clone()),
                            None => variants.push((account, vec![place.at.clone()])),
                        }
                    }
                }
            }
            answer.brokers.push(of_broker);
        }
        answer.accounts = known.into_values().flat_map(on_brokers).collect();
        Ok(answer)
    }

    /// Creates an account on all brokers.
    ///
    /// # Errors
    /// Nothing was created: the key or secret is too short, a permission or address is none, nobody answers, there is no such cluster, or a broker has it.
    pub async fn create_account(
        &self,
        request: &CreateAccountRequest,
    ) -> Result<CreateAccountResponse, AdminError> {
        let CreateAccountRequest { access_key, secret_key, settings, cluster, dry_run } = request;
        check_length("access key", access_key)?;
        check_length("secret", secret_key)?;
        let settings = settings.clone().unwrap_or_default();
        settings.check()?;
        let places = self.places(cluster.as_deref()).await?;
        let (found, _) = self.who_has(&places, access_key).await?;
        if let Some(place) = found.first() {
            let text = format!(
                "account \"{access_key}\" is on {} already, which creating does not change: `rmq-node admin acl update` does",
                place.at
            );
            return Err(AdminError::Conflict(text));
        }
        let wanted = (access_key.as_str(), &settings, Some(secret_key.as_str()));
        Ok(CreateAccountResponse { done: self.put_on_each(&places, wanted, *dry_run).await })
    }

    /// Changes an account on all brokers.
    ///
    /// # Errors
    /// Nothing was changed: nothing is given, the secret is too short, a permission or address is none, nobody answers, there
    /// is no such cluster, or no broker has the account.
    pub async fn update_account(
        &self,
        request: &UpdateAccountRequest,
    ) -> Result<UpdateAccountResponse, AdminError> {
        let UpdateAccountRequest { access_key, secret_key, settings, cluster, dry_run } = request;
        let settings = settings.clone().unwrap_or_default();
        let secret = secret_key.as_deref();
        secret.map_or(Ok(()), |secret| check_length("secret", secret))?;
        if settings == AccountSettings::default() && secret.is_none() {
            return Err(AdminError::Invalid(format!("account \"{access_key}\": nothing is given")));
        }
        settings.check()?;
        let places = self.places(cluster.as_deref()).await?;
        let (found, silent) = self.who_has(&places, access_key).await?;
        if found.is_empty() {
            return Err(silent.unwrap_or_else(|| no_account(access_key)));
        }
        let wanted = (access_key.as_str(), &settings, secret);
        Ok(UpdateAccountResponse { done: self.put_on_each(&places, wanted, *dry_run).await })
    }

    /// Deletes an account on all brokers that have it.
    ///
    /// # Errors
    /// Nothing was deleted: nobody answers, or there is no such cluster or account.
    pub async fn delete_account_everywhere(
        &self,
        request: &DeleteAccountRequest,
    ) -> Result<DeleteAccountResponse, AdminError> {
        let DeleteAccountRequest { access_key, cluster, dry_run: is_dry } = request;
        let places = self.places(cluster.as_deref()).await?;
        let (found, silent) = self.who_has(&places, access_key).await?;
        if found.is_empty() {
            return Err(silent.unwrap_or_else(|| no_account(access_key)));
        }
        let mut all = Vec::new();
        for Place { at, address } in &places {
            let became = match self.accounts_at(address).await {
                Err(error) => failed(&error),
                Ok(accounts) if find(&accounts, access_key).is_none() => unchanged(),
                Ok(_) if *is_dry => dry_run(),
                Ok(_) => outcome(self.delete_account(address, access_key).await),
            };
            all.push(done(at, Some(address), became));
        }
        Ok(DeleteAccountResponse { done: all })
    }

    /// Replaces the addresses from which everybody may do everything.
    ///
    /// # Errors
    /// Nothing was changed: nobody answers, or there is no such cluster.
    pub async fn put_white_addresses(
        &self,
        request: &PutWhiteAddressesRequest,
    ) -> Result<PutWhiteAddressesResponse, AdminError> {
        let PutWhiteAddressesRequest { addresses, cluster, dry_run: is_dry } = request;
        let places = self.places(cluster.as_deref()).await?;
        let text = addresses.join(",");
        let mut all = Vec::new();
        for Place { at, address } in &places {
            let became = match self.accounts_at(address).await {
                Err(error) => failed(&error),
                Ok(accounts) if accounts.global_white_addresses == *addresses => unchanged(),
                Ok(_) if *is_dry => dry_run(),
                Ok(_) => outcome(self.set_white_addresses(address, &text, None).await),
            };
            all.push(done(at, Some(address), became));
        }
        Ok(PutWhiteAddressesResponse { done: all })
    }

    /// Every broker of a cluster, or of all.
    async fn places(&self, cluster: Option<&str>) -> Result<Vec<Place>, AdminError> {
        Ok(places_of(&self.broker_groups(cluster).await?))
    }

    /// A broker's accounts; one that has none is an error, and one of ours says itself how to have some.
    async fn accounts_at(&self, address: &str) -> Result<Accounts, AdminError> {
        if let Some(accounts) = self.accounts_if_on(address).await? {
            return Ok(accounts);
        }
        match self.broker_state(address).await? {
            Some(_) => self.accounts(address).await,
            None => Err(accounts_off(address)),
        }
    }

    /// The brokers that have an account; why one does not say it, if any does not.
    ///
    /// # Errors
    /// None says it.
    async fn who_has<'a>(
        &self,
        places: &'a [Place],
        access_key: &str,
    ) -> Result<(Vec<&'a Place>, Option<AdminError>), AdminError> {
        let told = all(places.iter().map(|place| self.accounts_at(&place.address))).await;
        let (mut found, mut answered, mut silent) = (Vec::new(), false, None);
        for (place, accounts) in places.iter().zip(told) {
            match accounts {
                Err(error) => silent = Some(error),
                Ok(accounts) => {
                    answered = true;
                    found.extend(find(&accounts, access_key).map(|_| place));
                }
            }
        }
        match silent {
            Some(error) if !answered => Err(error),
            silent => Ok((found, silent)),
        }
    }

    /// Gives an account these settings, and the secret if there is one, on each broker.
    async fn put_on_each(
        &self,
        places: &[Place],
        (access_key, settings, secret): (&str, &AccountSettings, Option<&str>),
        is_dry: bool,
    ) -> Vec<Done> {
        let new = Account { access_key: access_key.to_owned(), ..Account::default() };
        let mut all = Vec::new();
        for Place { at, address } in places {
            let became = match self.accounts_at(address).await {
                Err(error) => failed(&error),
                Ok(accounts) => match (find(&accounts, access_key), secret) {
                    (None, None) => failed(&NO_SECRET),
                    (there, secret) => {
                        let wanted = settings.over(there.unwrap_or(&new), secret);
                        if there == Some(&wanted) {
                            unchanged()
                        } else if wanted.secret_key.is_none() {
                            failed(&UNTOLD_SECRET)
                        } else if is_dry {
                            dry_run()
                        } else {
                            outcome(self.put_account(address, &wanted).await)
                        }
                    }
                },
            };
            all.push(done(at, Some(address), became));
        }
        all
    }
}

/// The brokers of these groups, slaves too.
fn places_of(groups: &[BrokerData]) -> Vec<Place> {
    let of_group = |group: &BrokerData| {
        let name = group.broker_name.clone();
        let place = |(id, address): (&i64, &String)| Place {
            at: format!("{name} {id}"),
            address: address.clone(),
        };
        group.addresses.iter().map(place).collect::<Vec<_>>()
    };
    groups.iter().flat_map(of_group).collect()
}

fn find<'a>(accounts: &'a Accounts, access_key: &str) -> Option<&'a Account> {
    accounts.accounts.iter().find(|account| account.access_key == access_key)
}

fn check_length(what: &str, text: &str) -> Result<(), AdminError> {
    if text.chars().count() > CHARS_MIN {
        return Ok(());
    }
    Err(AdminError::Invalid(format!(
        "the {what} is too short: it needs more than {CHARS_MIN} characters"
    )))
}

fn no_account(access_key: &str) -> AdminError {
    AdminError::NotFound(format!(
        "no broker has an account \"{access_key}\": `rmq-node admin acl` shows what there is"
    ))
}

fn file((path, version): (String, DataVersion)) -> AccountFile {
    let changed_ms = Some(version.timestamp).filter(|_| version.counter > 0);
    AccountFile { path, counter: version.counter, changed_ms }
}

/// What brokers have under one key, without the secrets, which are told apart by numbers.
fn on_brokers(variants: Vec<(Account, Vec<String>)>) -> Vec<AccountOnBrokers> {
    let mut secrets: Vec<Option<String>> = Vec::new();
    for (account, _) in &variants {
        if !secrets.contains(&account.secret_key) {
            secrets.push(account.secret_key.clone());
        }
    }
    let number = |account: &Account| match &account.secret_key {
        Some(_) if secrets.len() > 1 => {
            let at = secrets.iter().position(|secret| *secret == account.secret_key);
            at.and_then(|at| u32::try_from(at + 1).ok()).unwrap_or(0)
        }
        _ => 0,
    };
    let one = |(account, brokers): &(Account, Vec<String>)| AccountOnBrokers {
        access_key: account.access_key.clone(),
        settings: Some(AccountSettings::of(account)),
        secret: number(account),
        brokers: brokers.clone(),
    };
    variants.iter().map(one).collect()
}
