//! What of a topic and of a group is looked at: as messages, as the brokers' own, and by name.
//!
//! Not whether a topic is ordered (`order`): brokers ignore it in 17 (B-300) and take it from the name servers'
//! `ORDER_TOPIC_CONFIG`, which is looked at itself. Invariant: what a message leaves out has its default.

use super::{Action, AdminError, MetadataKind};
use crate::admin::permission_text;
use crate::admin::topics::QUEUES;
use crate::model::{
    GroupName, Permission, SubscriptionGroupConfig, TopicConfig, TopicFilterType, TopicName,
};
use crate::proto::v1::{GroupConfiguration, TopicConfiguration};

/// One setting and its value.
pub(super) struct Setting {
    pub name: &'static str,
    pub value: String,
    /// Whether it goes without saying.
    pub is_usual: bool,
}

/// What masters have tables of.
pub(super) trait Configured: Clone + Sized {
    const KIND: MetadataKind;
    /// As messages have it.
    type Message: Clone + PartialEq;

    /// What is looked at, always in the same order.
    fn settings(&self) -> Vec<Setting>;
    fn to_message(&self) -> Self::Message;
    fn from_message(name: &str, message: &Self::Message) -> Result<Self, AdminError>;
    fn put(self) -> Action;
}

/// Whether nothing differs of what is looked at.
pub(super) fn is_same<T: Configured>(one: &T, other: &T) -> bool {
    let values =
        |config: &T| config.settings().into_iter().map(|one| one.value).collect::<Vec<_>>();
    values(one) == values(other)
}

impl Configured for TopicConfig {
    const KIND: MetadataKind = MetadataKind::Topic;
    type Message = TopicConfiguration;

    fn settings(&self) -> Vec<Setting> {
        let filter_type = self.filter_type;
        vec![
            Setting { name: "read_queues", value: self.read_queues.to_string(), is_usual: false },
            Setting { name: "write_queues", value: self.write_queues.to_string(), is_usual: false },
            Setting {
                name: "permission",
                value: permission_text(self.permission),
                is_usual: false,
            },
            Setting {
                name: "filter_type",
                value: filter_type.as_str().to_owned(),
                is_usual: filter_type == TopicFilterType::default(),
            },
            Setting {
                name: "sys_flag",
                value: self.sys_flag.to_string(),
                is_usual: self.sys_flag == 0,
            },
        ]
    }

    fn to_message(&self) -> TopicConfiguration {
        let is_usual = self.filter_type == TopicFilterType::default();
        TopicConfiguration {
            read_queues: Some(self.read_queues),
            write_queues: Some(self.write_queues),
            permission: Some(permission_text(self.permission)),
            filter_type: (!is_usual).then(|| self.filter_type.as_str().to_owned()),
            sys_flag: (self.sys_flag > 0).then_some(self.sys_flag),
        }
    }

    fn from_message(name: &str, message: &TopicConfiguration) -> Result<Self, AdminError> {
        let permission = match message.permission.as_deref() {
            None => Permission::READ_WRITE,
            Some(text) => permission(text).ok_or_else(|| {
                invalid(name, &format!("permission {text}: write letters of rwx, or - for none"))
            })?,
        };
        let filter_types = [TopicFilterType::SingleTag, TopicFilterType::MultiTag];
        let filter_type = match message.filter_type.as_deref() {
            None => TopicFilterType::default(),
            Some(text) => {
                *filter_types.iter().find(|one| one.as_str() == text).ok_or_else(|| {
                    invalid(name, &format!("filter_type {text}: write SINGLE_TAG or MULTI_TAG"))
                })?
            }
        };
        Ok(Self {
            name: TopicName::new(name),
            read_queues: message.read_queues.unwrap_or(QUEUES),
            write_queues: message.write_queues.unwrap_or(QUEUES),
            permission,
            filter_type,
            sys_flag: message.sys_flag.unwrap_or(0),
            order: false,
        })
    }

    fn put(self) -> Action {
        Action::PutTopic(self)
    }
}

fn invalid(topic: &str, reason: &str) -> AdminError {
    AdminError::Invalid(format!("topic \"{topic}\": {reason}"))
}

/// The reverse of [`permission_text`], in any order.
fn permission(text: &str) -> Option<Permission> {
    if text == "-" {
        return Some(Permission(0));
    }
    let bit = |letter| match letter {
        'r' => Some(Permission::READ),
        'w' => Some(Permission::WRITE),
        'x' => Some(Permission::INHERIT),
        _ => None,
    };
    let bits: Option<Vec<_>> = text.chars().map(bit).collect();
    bits.filter(|bits| !bits.is_empty())
        .map(|bits| Permission(bits.into_iter().fold(0, |all, bit| all | bit.0)))
}

/// Gives a macro the names of what is looked at of a group, which are the same in both types.
macro_rules! settings_of_group {
    ($of_names:ident) => {
        $of_names![
            consume_enable,
            consume_from_min_enable,
            consume_broadcast_enable,
            retry_queue_nums,
            retry_max_times,
            broker_id,
            which_broker_when_consume_slowly,
            notify_consumer_ids_changed_enable
        ]
    };
}

impl Configured for SubscriptionGroupConfig {
    const KIND: MetadataKind = MetadataKind::Group;
    type Message = GroupConfiguration;

    fn settings(&self) -> Vec<Setting> {
        let usual = Self::new(self.name.clone());
        let setting = |name, value: String, usual: String| {
            let is_usual = value == usual;
            Setting { name, value, is_usual }
        };
        macro_rules! settings {
            ($($name:ident),*) => {
                vec![$(setting(stringify!($name), self.$name.to_string(), usual.$name.to_string())),*]
            };
        }
        settings_of_group!(settings)
    }

    fn to_message(&self) -> GroupConfiguration {
        let usual = Self::new(self.name.clone());
        macro_rules! unusual {
            ($($name:ident),*) => {
                GroupConfiguration { $($name: (self.$name != usual.$name).then_some(self.$name)),* }
            };
        }
        settings_of_group!(unusual)
    }

    fn from_message(name: &str, message: &GroupConfiguration) -> Result<Self, AdminError> {
        let usual = Self::new(GroupName::new(name));
        macro_rules! with_usual {
            ($($name:ident),*) => {
                Self { name: usual.name.clone(), $($name: message.$name.unwrap_or(usual.$name)),* }
            };
        }
        Ok(settings_of_group!(with_usual))
    }

    fn put(self) -> Action {
        Action::PutGroup(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_say_what_is_not_usual_and_read_the_rest_as_usual() {
        let topic = TopicConfig {
            permission: Permission(1),
            sys_flag: 2,
            filter_type: TopicFilterType::MultiTag,
            ..TopicConfig::new(TopicName::new("T"), 3)
        };
        let message = topic.to_message();
        assert_eq!(message.permission.as_deref(), Some("x"));
        assert_eq!(TopicConfig::from_message("T", &message), Ok(topic.clone()));
        let usual = TopicConfig::from_message("T", &TopicConfiguration::default()).unwrap();
        assert_eq!(usual, TopicConfig::new(TopicName::new("T"), 8));
        let texts = [("-", Some(0)), ("wr", Some(6)), ("rwx", Some(7)), ("", None), ("6", None)];
        for (text, expected) in texts {
            assert_eq!(permission(text), expected.map(Permission), "{text}");
        }
        // Whether it is ordered is not looked at.
        assert!(is_same(&topic, &TopicConfig { order: true, ..topic.clone() }));
        assert!(!is_same(&topic, &usual));

        let mut group = SubscriptionGroupConfig::new(GroupName::new("G"));
        assert_eq!(group.to_message(), GroupConfiguration::default());
        group.retry_max_times = -1;
        group.consume_enable = false;
        let message = group.to_message();
        let expected = GroupConfiguration {
            retry_max_times: Some(-1),
            consume_enable: Some(false),
            ..GroupConfiguration::default()
        };
        assert_eq!(message, expected);
        assert_eq!(SubscriptionGroupConfig::from_message("G", &message), Ok(group.clone()));
        assert_eq!(group.settings().iter().filter(|one| !one.is_usual).count(), 2);
    }
}
