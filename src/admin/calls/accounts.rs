//! Accounts of one broker: 50 to 54.

use super::super::{Admin, AdminError};
use crate::model::DataVersion;
use crate::remoting::bodies::accounts::{Account, Accounts};
use crate::remoting::bodies::topics::parse_version;
use crate::remoting::json::{self, Value};
use crate::remoting::{Command, DecodeError, request, response};

/// As a broker's settings spell it (K-B76).
const IS_ON: &str = "aclEnable";

/// Which account files a broker has (52).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccountVersions {
    /// The cluster that it says it is in.
    pub cluster: String,
    /// Its group.
    pub broker: String,
    /// Its address.
    pub address: String,
    /// Each file with its version.
    pub files: Vec<(String, DataVersion)>,
}

impl Admin {
    /// Makes or changes an account (50); what is not given stays, but for the secret, which brokers want each time.
    ///
    /// # Errors
    /// It does not answer, refuses, or has no accounts.
    pub async fn put_account(&self, address: &str, account: &Account) -> Result<(), AdminError> {
        accounts_on(address, self.call(address, account.to_request()).await)
    }

    /// Deletes an account (51).
    ///
    /// # Errors
    /// It does not answer, refuses, or has no accounts.
    pub async fn delete_account(&self, address: &str, access_key: &str) -> Result<(), AdminError> {
        let request =
            Command::request(request::DELETE_ACL_CONFIG).with_field("accessKey", access_key);
        accounts_on(address, self.call(address, request).await)
    }

    /// Sets the addresses from which everybody may do everything (53), in the file of `path` if one is given.
    ///
    /// # Errors
    /// It does not answer, refuses, or has no accounts.
    pub async fn set_white_addresses(
        &self,
        address: &str,
        addresses: &str,
        path: Option<&str>,
    ) -> Result<(), AdminError> {
        let mut request = Command::request(request::UPDATE_GLOBAL_WHITE_ADDRS_CONFIG)
            .with_field("globalWhiteAddrs", addresses);
        if let Some(path) = path {
            request.set_field("aclFileFullPath", path);
        }
        accounts_on(address, self.call(address, request).await)
    }

    /// Which account files a broker has (52).
    ///
    /// # Errors
    /// It does not answer, which 4.9.4 does not either where accounts are off.
    pub async fn account_versions(&self, address: &str) -> Result<AccountVersions, AdminError> {
        let request = Command::request(request::GET_BROKER_CLUSTER_ACL_INFO);
        let answer = self.call(address, request).await.map_err(|error| silent(error, address))?;
        let text = |key: &str| answer.field(key).unwrap_or_default().to_owned();
        let files = parse_files(answer.field("allAclFileVersion").unwrap_or("{}"));
        Ok(AccountVersions {
            cluster: text("clusterName"),
            broker: text("brokerName"),
            address: text("brokerAddr"),
            files: files.map_err(|error| AdminError::unreadable(address, &error))?,
        })
    }

    /// A broker's accounts (54).
    ///
    /// # Errors
    /// It does not answer, which 4.9.4 does not either where accounts are off.
    pub async fn accounts(&self, address: &str) -> Result<Accounts, AdminError> {
        let request = Command::request(request::GET_BROKER_CLUSTER_ACL_CONFIG);
        self.of(address, request, Accounts::parse).await.map_err(|error| silent(error, address))
    }

    /// The same, of a broker whose settings (26) say that it has accounts; others are not asked, because 4.9.4 does not
    /// answer then (B-344).
    ///
    /// # Errors
    /// It does not answer, or refuses.
    pub(in crate::admin) async fn accounts_if_on(
        &self,
        address: &str,
    ) -> Result<Option<Accounts>, AdminError> {
        let settings = self.broker_settings(address).await?;
        if settings.get(IS_ON).is_some_and(|value| value == "true") {
            return self.accounts(address).await.map(Some);
        }
        Ok(None)
    }
}

fn parse_files(text: &str) -> Result<Vec<(String, DataVersion)>, DecodeError> {
    let value = json::parse(text.as_bytes())?;
    let file = |(path, version): &(Value<'_>, Value<'_>)| {
        let text = version.to_bytes(json::Form::Dialect);
        let version = parse_version(&text)?.unwrap_or_default();
        Ok((path.as_str().unwrap_or_default().to_owned(), version))
    };
    value.entries().iter().map(file).collect()
}

/// 4.9.4 refuses changes without a reason where accounts are off (B-340).
fn accounts_on(address: &str, answer: Result<Command, AdminError>) -> Result<(), AdminError> {
    const REFUSALS: [i32; 3] = [
        response::UPDATE_AND_CREATE_ACL_CONFIG_FAILED,
        response::DELETE_ACL_CONFIG_FAILED,
        response::UPDATE_GLOBAL_WHITE_ADDRS_CONFIG_FAILED,
    ];
    match answer {
        Err(AdminError::Refused { code, remark, .. })
            if REFUSALS.contains(&code) && remark == super::super::NO_REASON =>
        {
            Err(accounts_off(address))
        }
        answered => answered.map(drop),
    }
}

/// Why a broker of 4.9.4 has none.
pub(in crate::admin) fn accounts_off(address: &str) -> AdminError {
    AdminError::Conflict(format!("accounts are off at {address}: {IS_ON} turns them on"))
}

/// What no answer may mean.
fn silent(error: AdminError, address: &str) -> AdminError {
    match error {
        AdminError::Unreachable(text) => AdminError::Unreachable(format!(
            "{text} (4.9.4 does not answer this where accounts are off, as may be at {address})"
        )),
        other => other,
    }
}
