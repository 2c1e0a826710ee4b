//! All accounts together, and who a request comes from.
//!
//! Not what a request needs (`needs`), nor where the accounts come from (`files`). Invariants: of two accounts with one
//! name the first one counts; whoever is let in was on a white list or signed with a secret that is known here.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use super::account::{Account, Resource};
use super::needs::Needed;
use super::signature::ACCESS_KEY;
use super::white_list::Pattern;
use crate::model::system::TRACE_TOPIC;
use crate::remoting::Command;

/// Everything that the files say.
#[derive(Clone, Debug, Default)]
pub struct Accounts {
    white: Vec<Pattern>,
    accounts: HashMap<String, Arc<Account>>,
}

/// Who a request comes from.
#[derive(Clone, Debug)]
pub enum Caller {
    /// Somebody whose address is on a white list, of all or of the account that it names: may do everything (A-020,
    ///
    WhiteListed,
    /// Somebody who signed.
    Account(Arc<Account>),
}

/// Why a request is not done: 4.9.4's sentence.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// Nobody knows who asks.
    #[error("{0}")]
    Login(String),
    /// Who asks may not.
    #[error("{0}")]
    Permission(String),
}

impl Accounts {
    /// Adds what a file says, after those that were added before.
    pub fn add(&mut self, white: &[Pattern], accounts: &[Arc<Account>]) {
        self.white.extend_from_slice(white);
        for account in accounts {
            let entry = self.accounts.entry(account.access_key.clone());
            entry.or_insert_with(|| Arc::clone(account));
        }
    }

    /// The account of a name.
    #[must_use]
    pub fn get(&self, access_key: &str) -> Option<&Arc<Account>> {
        self.accounts.get(access_key)
    }

    /// Who a request comes from.
    ///
    /// # Errors
    /// [`Denied::Login`], in 4.9.4's order.
    pub fn caller(&self, request: &Command, from: IpAddr) -> Result<Caller, Denied> {
        let from = from.to_canonical();
        if self.white.iter().any(|pattern| pattern.matches(from)) {
            return Ok(Caller::WhiteListed);
        }
        let Some(access_key) = request.field(ACCESS_KEY) else {
            return Err(Denied::Login("No accessKey is configured".to_owned()));
        };
        let Some(account) = self.accounts.get(access_key) else {
            return Err(Denied::Login(format!("No acl config for {access_key}")));
        };
        if account.white.matches(from) {
            return Ok(Caller::WhiteListed);
        }
        if !account.key.has_signed(request) {
            return Err(Denied::Login(format!(
                "Check signature failed for accessKey={access_key}"
            )));
        }
        Ok(Caller::Account(Arc::clone(account)))
    }

    /// Whether an admin signed the request, wherever it comes from: white lists alone show no secrets (S-52).
    #[must_use]
    pub fn is_signed_by_admin(&self, request: &Command) -> bool {
        let account = request.field(ACCESS_KEY).and_then(|access_key| self.get(access_key));
        account.is_some_and(|account| account.admin && account.key.has_signed(request))
    }
}

impl Caller {
    /// Whether a request may be done.
    ///
    /// # Errors
    /// [`Denied::Permission`].
    pub fn may(&self, code: i32, needed: &Needed) -> Result<(), Denied> {
        let Self::Account(account) = self else { return Ok(()) };
        match needed {
            Needed::Account => Ok(()),
            Needed::Admin if account.admin => Ok(()),
            Needed::Admin => Err(Denied::Permission(format!(
                "Need admin permission for request code={code}, but accessKey={} is not",
                account.access_key
            ))),
            Needed::Resources(resources) => may_all(account, resources),
        }
    }
}

///
fn may_all(account: &Account, resources: &[Resource]) -> Result<(), Denied> {
    let is_trace = |one: &Resource| one.name() == TRACE_TOPIC && one.needed.publish;
    if resources.iter().any(is_trace) {
        return Ok(());
    }
    let Some(denied) = resources.iter().find(|resource| !account.may(resource)) else {
        return Ok(());
    };
    let what = match denied.as_group() {
        Some(group) => format!("group:{group}"),
        None => format!("topic:{}", denied.name()),
    };
    Err(Denied::Permission(format!("No default permission for {what}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::acl::account::Rights;
    use crate::acl::file;

    const FILE: &str = "\
globalWhiteRemoteAddresses: [10.1.1.*]
accounts:
- {accessKey: ordinary, secretKey: secret-1, topicPerms: [T=PUB, U=DENY], groupPerms: [G=SUB], whiteRemoteAddress: 10.2.2.2}
- {accessKey: the-admin, secretKey: secret-2, admin: true}
- {accessKey: bound-admin, secretKey: secret-3, admin: true, topicPerms: [T=SUB]}
";

    fn accounts() -> Accounts {
        let checked = file::parse(FILE).unwrap();
        let mut accounts = Accounts::default();
        accounts.add(&checked.white, &checked.accounts);
        accounts
    }

    fn signed(access_key: &str) -> Command {
        let mut request = Command::request(10).with_field("topic", "T").with_body("b");
        accounts().get(access_key).unwrap().key.sign(access_key, &mut request);
        request
    }

    fn login(request: &Command, from: &str) -> Result<String, String> {
        match accounts().caller(request, from.parse().unwrap()) {
            Ok(Caller::WhiteListed) => Ok(String::new()),
            Ok(Caller::Account(account)) => Ok(account.access_key.clone()),
            Err(denied) => Err(denied.to_string()),
        }
    }

    #[test]
    fn who_asks_is_found_in_the_order_of_4_9_4_a020_to_a024() {
        let nobody = Command::request(10);
        assert_eq!(login(&nobody, "10.1.1.9"), Ok(String::new()));
        assert_eq!(login(&nobody, "::ffff:10.1.1.9"), Ok(String::new()), "IPv4 in IPv6");
        assert_eq!(login(&nobody, "10.3.3.3"), Err("No accessKey is configured".into()));
        let stranger = nobody.clone().with_field(ACCESS_KEY, "stranger");
        assert_eq!(login(&stranger, "10.3.3.3"), Err("No acl config for stranger".into()));
        let unsigned = nobody.with_field(ACCESS_KEY, "ordinary");
        assert_eq!(login(&unsigned, "10.2.2.2"), Ok(String::new()));
        let failed = "Check signature failed for accessKey=ordinary";
        assert_eq!(login(&unsigned, "10.3.3.3"), Err(failed.into()));
        assert_eq!(login(&signed("ordinary"), "10.3.3.3"), Ok("ordinary".into()));
        let mut stolen = signed("the-admin");
        stolen.set_field(ACCESS_KEY, "ordinary");
        assert_eq!(login(&stolen, "10.3.3.3"), Err(failed.into()));
    }

    #[test]
    fn the_first_account_of_a_name_counts_a005() {
        let mut accounts = accounts();
        let later = FILE.replace("secret-2", "another");
        accounts.add(&[], &file::parse(&later).unwrap().accounts);
        let from = "10.3.3.3".parse().unwrap();
        assert!(accounts.caller(&signed("the-admin"), from).is_ok());
    }

    fn may(access_key: &str, needed: &Needed) -> Result<(), String> {
        let caller = Caller::Account(Arc::clone(accounts().get(access_key).unwrap()));
        caller.may(17, needed).map_err(|denied| denied.to_string())
    }

    #[test]
    fn what_a_caller_may_is_up_to_its_account_a025_to_a027() {
        let admin = "Need admin permission for request code=17, but accessKey=ordinary is not";
        assert_eq!(may("ordinary", &Needed::Admin), Err(admin.into()));
        assert_eq!(may("ordinary", &Needed::Account), Ok(()));
        assert_eq!(may("the-admin", &Needed::Admin), Ok(()));
        let of = |topics: &[&str], group: &str| {
            let topics = topics.iter().map(|topic| Resource::topic(topic, Rights::PUBLISH));
            Needed::Resources(topics.chain([Resource::group(group)]).collect())
        };
        assert_eq!(may("ordinary", &of(&["T"], "G")), Ok(()));
        let denied = |what: &str| Err(format!("No default permission for {what}"));
        assert_eq!(may("ordinary", &of(&["T", "U"], "G")), denied("topic:U"), "S-51");
        assert_eq!(may("ordinary", &of(&["T", "V"], "G")), denied("topic:V"));
        assert_eq!(may("ordinary", &of(&["T"], "H")), denied("group:H"));
        assert_eq!(may("the-admin", &of(&["T", "U", "V"], "H")), Ok(()));
        assert_eq!(may("bound-admin", &Needed::Admin), Ok(()));
        assert_eq!(may("bound-admin", &of(&["T"], "G")), denied("topic:T"));
        // whatever else is asked for.
        assert_eq!(may("ordinary", &of(&["V", TRACE_TOPIC], "H")), Ok(()));
        assert_eq!(Caller::WhiteListed.may(17, &Needed::Admin), Ok(()));
    }

    #[test]
    fn only_admins_that_signed_see_secrets_s52() {
        let sees = |request: &Command| accounts().is_signed_by_admin(request);
        assert!(sees(&signed("the-admin")));
        assert!(!sees(&signed("ordinary")));
        assert!(!sees(&Command::request(10)));
        assert!(!sees(&Command::request(10).with_field(ACCESS_KEY, "the-admin")));
    }
}
