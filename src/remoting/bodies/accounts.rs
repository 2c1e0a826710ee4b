//! Accounts as tools send and read them (50, 54; B-340, B-344).
//!
//! Not what an account may do (`acl`). Invariant: a secret is never shown by `Debug`.

use crate::remoting::json::{self, Value};
use crate::remoting::{Command, DecodeError, request};

/// A `PlainAccessConfig`; what is `None` was not given.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Account {
    /// Its name.
    pub access_key: String,
    /// Its secret.
    pub secret_key: Option<String>,
    /// Addresses from which it needs no signature.
    pub white_remote_address: Option<String>,
    /// Whether it may do everything.
    pub admin: bool,
    /// What it may do with topics that are not listed.
    pub default_topic_perm: Option<String>,
    /// What it may do with groups that are not listed.
    pub default_group_perm: Option<String>,
    /// `TOPIC=PERMISSION`s.
    pub topic_perms: Option<Vec<String>>,
    /// `GROUP=PERMISSION`s.
    pub group_perms: Option<Vec<String>>,
}

impl std::fmt::Debug for Account {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Account").field("access_key", &self.access_key).finish_non_exhaustive()
    }
}

/// The answer to 54.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Accounts {
    /// Addresses from which everybody may do everything.
    pub global_white_addresses: Vec<String>,
    /// All accounts.
    pub accounts: Vec<Account>,
}

impl Account {
    /// The request that makes or changes it (50).
    #[must_use]
    pub fn to_request(&self) -> Command {
        let mut request = Command::request(request::UPDATE_AND_CREATE_ACL_CONFIG)
            .with_field("accessKey", &self.access_key)
            .with_field("admin", self.admin);
        let joined = |list: &Option<Vec<String>>| list.as_deref().map(list_text);
        for (key, value) in [
            ("secretKey", self.secret_key.clone()),
            ("whiteRemoteAddress", self.white_remote_address.clone()),
            ("defaultTopicPerm", self.default_topic_perm.clone()),
            ("defaultGroupPerm", self.default_group_perm.clone()),
            ("topicPerms", joined(&self.topic_perms)),
            ("groupPerms", joined(&self.group_perms)),
        ] {
            if let Some(value) = value {
                request.set_field(key, value);
            }
        }
        request
    }

    fn read(value: &Value<'_>) -> Self {
        let text = |key| value.text(key).map(str::to_owned);
        let list = |key: &str| matches!(value.get(key), Value::Array(_)).then(|| value.texts(key));
        Self {
            access_key: text("accessKey").unwrap_or_default(),
            secret_key: text("secretKey"),
            white_remote_address: text("whiteRemoteAddress"),
            admin: value.bool_or("admin", false),
            default_topic_perm: text("defaultTopicPerm"),
            default_group_perm: text("defaultGroupPerm"),
            topic_perms: list("topicPerms"),
            group_perms: list("groupPerms"),
        }
    }
}

/// A list as Java's `split` reads it again (B-340): nothing is a comma, because an empty text is one empty item.
fn list_text(list: &[String]) -> String {
    if list.is_empty() { ",".to_owned() } else { list.join(",") }
}

/// The items of such a text, as Java's `split` has them: it leaves out empty ones at the end.
#[must_use]
pub fn list_items(text: &str) -> Vec<String> {
    let kept = if text.is_empty() { text } else { text.trim_end_matches(',') };
    if kept.len() < text.len() && kept.is_empty() {
        return Vec::new();
    }
    kept.split(',').map(str::to_owned).collect()
}

impl Accounts {
    /// Reads the answer to 54.
    ///
    /// # Errors
    /// It is none.
    pub fn parse(body: &[u8]) -> Result<Self, DecodeError> {
        let value = json::parse(body)?;
        value.expect_object("the accounts")?;
        Ok(Self {
            global_white_addresses: value.texts("globalWhiteAddrs"),
            accounts: value.get("plainAccessConfigs").items().iter().map(Account::read).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_are_read_and_sent_without_what_is_not_there() {
        let body = br#"{"globalWhiteAddrs":["10.0.0.*"],"plainAccessConfigs":[{"accessKey":"a","admin":true,"secretKey":"s3cret","topicPerms":["T=PUB","U=DENY"]}]}"#;
        let read = Accounts::parse(body).unwrap();
        assert_eq!(read.global_white_addresses, ["10.0.0.*"]);
        let [account] = &read.accounts[..] else { panic!("{read:?}") };
        assert!(account.admin && account.group_perms.is_none());
        let request = account.to_request();
        assert_eq!(request.field("topicPerms"), Some("T=PUB,U=DENY"));
        assert_eq!((request.field("admin"), request.field("groupPerms")), (Some("true"), None));
        let none = Account { topic_perms: Some(Vec::new()), ..account.clone() };
        assert_eq!(none.to_request().field("topicPerms"), Some(","));
        assert!(!format!("{read:?}").contains("s3cret"));
        assert!(Accounts::parse(b"[]").is_err());
    }

    #[test]
    fn lists_are_read_as_java_splits_them_b340() {
        assert_eq!(list_items("T=PUB,U=DENY,"), ["T=PUB", "U=DENY"]);
        assert_eq!(list_items(","), [""; 0]);
        // What an empty text and one before a comma hold is no permission, and refused.
        assert_eq!(
            (list_items(""), list_items(",T=PUB")),
            (vec![String::new()], vec![String::new(), "T=PUB".to_owned()])
        );
    }
}
