//! Who signed a command and what they may do (contract 5).
//!
//! | file | what |
//! | --- | --- |
//! | `guard` | the accounts of a running node: whom it lets in, as whom it signs |
//! | `needs` | what each request needs: the one table |
//! | `accounts` | all accounts together: who a request comes from, and whether it may be done |
//! | `account` | one account |
//! | `signature` | signing, and checking signatures |
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
pub mod white_list;
pub mod yaml;

pub use guard::{Acl, AclOptions};
