//! One account: as it is written, and as requests are held against it.
//!
//! Not which file it stands in. Invariants: an [`Account`] only comes out of a description that was checked; secrets
//! are not in `Debug` texts.

use std::collections::HashMap;
use std::fmt;

use super::signature::Key;
use super::white_list::Pattern;
use crate::model::RETRY_PREFIX;

/// What access keys and secrets must be longer than.
const KEY_LENGTH_MIN: usize = 6;

/// A secret as it is written; never shown.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// An account as a file or a request describes it; `None` is what it leaves out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Description {
    /// Its name.
    pub access_key: String,
    /// What it signs with.
    pub secret_key: Secret,
    /// From where it needs no signature.
    pub white_remote_address: Option<String>,
    /// Whether it may do what only admins may.
    pub admin: bool,
    /// What it may do with topics that are not in its list.
    pub default_topic_perm: Option<String>,
    /// What it may do with groups that are not in its list.
    pub default_group_perm: Option<String>,
    /// `T=PUB|SUB` each.
    pub topic_perms: Option<Vec<String>>,
    /// `G=SUB` each.
    pub group_perms: Option<Vec<String>>,
}

/// What is wrong with a description, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// The key as files have it.
    pub field: &'static str,
    /// Which item of its list.
    pub item: Option<usize>,
    /// The sentence.
    pub text: String,
}

/// What may be done with a topic or a group. Neither is `DENY`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rights {
    /// `PUB`.
    pub publish: bool,
    /// `SUB`.
    pub subscribe: bool,
}

impl Rights {
    /// `PUB`.
    pub const PUBLISH: Self = Self { publish: true, subscribe: false };
    /// `SUB`.
    pub const SUBSCRIBE: Self = Self { publish: false, subscribe: true };

    /// Reads `DENY`, `PUB`, `SUB`, `PUB|SUB` or `SUB|PUB`; `None` is what is none of them.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text.trim() {
            "DENY" => Some(Self::default()),
            "PUB" => Some(Self::PUBLISH),
            "SUB" => Some(Self::SUBSCRIBE),
            "PUB|SUB" | "SUB|PUB" => Some(Self { publish: true, subscribe: true }),
            _ => None,
        }
    }

    /// Whether this is enough for what is needed.
    #[must_use]
    pub fn allows(self, needed: Self) -> bool {
        (self.publish && needed.publish) || (self.subscribe && needed.subscribe)
    }
}

/// A topic or a group: a group is named by its retry topic, as in 4.9.4.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    name: String,
    /// What is to be done with it.
    pub needed: Rights,
}

impl Resource {
    /// A topic; a retry topic is its group.
    #[must_use]
    pub fn topic(name: &str, needed: Rights) -> Self {
        Self { name: name.to_owned(), needed }
    }

    /// A group that is to be consumed for.
    #[must_use]
    pub fn group(name: &str) -> Self {
        Self { name: retry_topic(name), needed: Rights::SUBSCRIBE }
    }

    /// The topic, or a group's retry topic.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The group that it is, if it is one.
    #[must_use]
    pub fn as_group(&self) -> Option<&str> {
        self.name.strip_prefix(RETRY_PREFIX)
    }
}

/// The retry topic of a group; of a retry topic itself.
fn retry_topic(group: &str) -> String {
    if group.starts_with(RETRY_PREFIX) {
        group.to_owned()
    } else {
        format!("{RETRY_PREFIX}{group}")
    }
}

/// An account to hold requests against.
#[derive(Clone, Debug)]
pub struct Account {
    /// Its name.
    pub access_key: String,
    /// What it signs with.
    pub key: Key,
    /// From where it needs no signature.
    pub white: Pattern,
    /// Whether it may do what only admins may.
    pub admin: bool,
    default_topic: Rights,
    default_group: Rights,
    /// By topic or by the group's retry topic.
    permissions: HashMap<String, Rights>,
}

impl Account {
    /// Checks a description. What 4.9.4 takes for `DENY` without a word is told to `warn`.
    ///
    /// # Errors
    /// The first mistake.
    pub fn new(of: &Description, warn: &mut dyn FnMut(Mistake)) -> Result<Self, Mistake> {
        check_keys(of)?;
        let white = of.white_remote_address.as_deref().unwrap_or_default();
        let white = Pattern::parse(white).map_err(|text| Mistake {
            field: "whiteRemoteAddress",
            item: None,
            text,
        })?;
        let mut default = |field, text: &Option<String>| {
            let Some(text) = text else { return Rights::default() };
            Rights::parse(text).unwrap_or_else(|| {
                warn(Mistake { field, item: None, text: unknown_permission(text) });
                Rights::default()
            })
        };
        let default_topic = default("defaultTopicPerm", &of.default_topic_perm);
        let default_group = default("defaultGroupPerm", &of.default_group_perm);
        let mut permissions = HashMap::new();
        for (field, list) in [("groupPerms", &of.group_perms), ("topicPerms", &of.topic_perms)] {
            for (item, text) in list.iter().flatten().enumerate() {
                let (name, permission) = split(text).ok_or_else(|| Mistake {
                    field,
                    item: Some(item),
                    text: format!("`{text}` is not of the form `name=PUB|SUB`"),
                })?;
                let name = if field == "groupPerms" { retry_topic(name) } else { name.to_owned() };
                let known = Rights::parse(permission);
                if known.is_none() {
                    warn(Mistake { field, item: Some(item), text: unknown_permission(permission) });
                }
                permissions.insert(name, known.unwrap_or_default());
            }
        }
        Ok(Self {
            access_key: of.access_key.clone(),
            key: Key::new(&of.secret_key.0),
            white,
            admin: of.admin,
            default_topic,
            default_group,
            permissions,
        })
    }

    /// Whether the account may do something with a topic or a group. An admin without lists may do
    /// everything; one with lists is held against them (A-027a).
    #[must_use]
    pub fn may(&self, resource: &Resource) -> bool {
        if self.admin && self.permissions.is_empty() {
            return true;
        }
        let is_group = resource.as_group().is_some();
        let default = if is_group { self.default_group } else { self.default_topic };
        let owned = self.permissions.get(resource.name()).copied().unwrap_or(default);
        owned.allows(resource.needed)
    }

    /// Whether it may do everything.
    #[must_use]
    pub fn is_unlimited(&self) -> bool {
        self.admin && self.permissions.is_empty()
    }
}

/// A-004, without the secret in the text.
pub(super) fn check_keys(of: &Description) -> Result<(), Mistake> {
    let is_short = |text: &str| text.encode_utf16().count() <= KEY_LENGTH_MIN;
    let field = match (is_short(&of.access_key), is_short(&of.secret_key.0)) {
        (true, _) => "accessKey",
        (_, true) => "secretKey",
        _ => return Ok(()),
    };
    // As 4.9.4 shows one that is not given.
    let secret = if of.secret_key.0.is_empty() { "null" } else { "***" };
    let text = format!(
        "The accessKey={} and secretKey={secret} cannot be null and length should longer than 6",
        of.access_key
    );
    Err(Mistake { field, item: None, text })
}

/// The halves of `name=perm`.
pub(super) fn split(text: &str) -> Option<(&str, &str)> {
    // As Java splits: several `=` in a row are one, and one at an end is none.
    let mut parts = text.split('=').filter(|part| !part.is_empty());
    let pair = (parts.next()?.trim(), parts.next()?.trim());
    parts.next().is_none().then_some(pair)
}

fn unknown_permission(text: &str) -> String {
    format!("`{text}` is taken for DENY: known are DENY, PUB, SUB and PUB|SUB")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn description() -> Description {
        Description {
            access_key: "RocketMQ".into(),
            secret_key: Secret("12345678".into()),
            ..Description::default()
        }
    }

    fn account(change: impl FnOnce(&mut Description)) -> Account {
        let mut description = description();
        change(&mut description);
        Account::new(&description, &mut |warning| panic!("{warning:?}")).unwrap()
    }

    fn list(items: &[&str]) -> Option<Vec<String>> {
        Some(items.iter().map(|&item| item.to_owned()).collect())
    }

    fn may(account: &Account, topic: &str) -> (bool, bool) {
        let may = |needed| account.may(&Resource::topic(topic, needed));
        (may(Rights::PUBLISH), may(Rights::SUBSCRIBE))
    }

    #[test]
    fn what_is_not_in_a_list_is_up_to_the_default_and_that_is_deny_a027() {
        let none = account(|_| {});
        assert_eq!(may(&none, "T"), (false, false));
        assert!(!none.may(&Resource::group("G")));
        let some = account(|of| {
            of.default_topic_perm = Some("SUB".into());
            of.default_group_perm = Some(" PUB|SUB ".into());
            of.topic_perms =
                list(&["A=DENY", "B = PUB|SUB", "C=SUB|PUB", "D=PUB", "%RETRY%H=DENY"]);
            of.group_perms = list(&["G=DENY", "%RETRY%I=DENY"]);
        });
        assert_eq!(may(&some, "other"), (false, true));
        assert_eq!(may(&some, "A"), (false, false));
        assert_eq!(may(&some, "B"), (true, true));
        assert_eq!(may(&some, "C"), (true, true));
        assert_eq!(may(&some, "D"), (true, false));
        for (group, expected) in [("other", true), ("G", false), ("H", false), ("I", false)] {
            assert_eq!(some.may(&Resource::group(group)), expected, "{group}");
            // A retry topic is its group.
            assert_eq!(may(&some, &format!("%RETRY%{group}")).1, expected, "{group}");
        }
    }

    #[test]
    fn admins_may_everything_unless_they_have_lists_a027a() {
        let free = account(|of| of.admin = true);
        assert_eq!((may(&free, "T"), free.is_unlimited()), ((true, true), true));
        let bound = account(|of| {
            of.admin = true;
            of.topic_perms = list(&["T=SUB"]);
        });
        assert_eq!((may(&bound, "T"), may(&bound, "U")), ((false, true), (false, false)));
        assert!(!bound.is_unlimited());
    }

    #[test]
    fn mistakes_name_their_place_a004_a041_a051() {
        let mistake = |change: fn(&mut Description)| {
            let mut description = description();
            change(&mut description);
            let mistake = Account::new(&description, &mut |_| {}).unwrap_err();
            (mistake.field, mistake.item, mistake.text)
        };
        let keys = "The accessKey=RocketMQ and secretKey=*** cannot be null and length should longer than 6";
        assert_eq!(
            mistake(|of| of.secret_key = Secret("123456".into())),
            ("secretKey", None, keys.to_owned())
        );
        assert_eq!(mistake(|of| of.access_key = "short6".into()).0, "accessKey");
        assert_eq!(
            mistake(|of| of.white_remote_address = Some("here".into())),
            ("whiteRemoteAddress", None, "`here` is not an IP address".to_owned())
        );
        for text in ["T", "T=", "=PUB", "T=PUB=SUB", ""] {
            let mut description = description();
            description.topic_perms = list(&["U=PUB", text]);
            let mistake = Account::new(&description, &mut |_| {}).unwrap_err();
            assert_eq!((mistake.field, mistake.item), ("topicPerms", Some(1)), "{text}");
        }
    }

    #[test]
    fn unknown_permissions_are_deny_and_told_a041() {
        let mut description = description();
        description.default_topic_perm = Some("pub".into());
        description.group_perms = list(&["G=ANY"]);
        let mut told = Vec::new();
        let account = Account::new(&description, &mut |mistake| told.push(mistake)).unwrap();
        assert_eq!(may(&account, "T"), (false, false));
        assert!(!account.may(&Resource::group("G")));
        let fields: Vec<_> = told.iter().map(|mistake| (mistake.field, mistake.item)).collect();
        assert_eq!(fields, [("defaultTopicPerm", None), ("groupPerms", Some(0))]);
    }

    #[test]
    fn no_secret_is_in_a_debug_text() {
        let description = description();
        let account = Account::new(&description, &mut |_| {}).unwrap();
        let text = format!("{description:?} {account:?}");
        assert!(!text.contains("12345678"), "{text}");
    }
}
