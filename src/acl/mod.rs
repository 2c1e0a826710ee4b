//! Who signed a command and what they may do (contract 5).
//!
//! | file | what |
//! | --- | --- |
//! | `guard` | the accounts of a running node: whom it lets in, as whom it signs |
//! | `needs` | what each request needs: the one table |
//! | `accounts` | all accounts together: who a request comes from, and whether it may be done |
//! | `account` | one account |
//! | `signature` | signing, and checking signatures |
//! | `told` | who was told of in the log, for the admin plane too |
//! | `white_list` | addresses that need no signature |
//! | `edit` | what tools change, and what nodes tell one another of it |
//! | `files` | the account files: read, looked at again, written |
//! | `file`, `yaml` | one `plain_acl.yml` |
//!
//! Not who answers a request once it is let in. Invariants: nothing here depends on which role asks; secrets are in no
//! log and no `Debug` text.

pub mod account;
pub mod accounts;
pub mod edit;
pub mod file;
pub mod files;
pub mod guard;
pub mod needs;
pub mod signature;
pub mod told;
pub mod white_list;
pub mod yaml;

pub use guard::{Acl, AclOptions};

/// What 4.9.4 and we begin a refusal's remark with.
const EXCEPTION: &str = "org.apache.rocketmq.acl.common.AclException: ";

/// Whether an answer's remark is what brokers and name servers with accounts, ours and 4.9.4's, say to who does not sign, or
/// not as who may.
#[must_use]
pub fn is_refusal(remark: &str) -> bool {
    remark.contains("AclException")
}

/// The words that somebody answered to a call of the node's own; where they are about its account, with what to write.
#[must_use]
pub fn advised(remark: String) -> String {
    if !remark.contains(EXCEPTION) {
        return remark;
    }
    remark
        + " [it has accounts: its plain_acl.yml needs the account that acl.node_account names here (with acl.enabled = true), \
           with the same secretKey and `admin: true`, or this host's address in globalWhiteRemoteAddresses]"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_words_about_accounts_come_with_advice() {
        assert_eq!(advised("no such topic".to_owned()), "no such topic");
        let told = advised(format!("{EXCEPTION}No acl config for node-account"));
        assert!(told.contains("node-account [it has accounts: its plain_acl.yml needs"), "{told}");
    }
}
