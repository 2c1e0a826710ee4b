//! What each request needs (A-030 to A-040, S-48, S-49): the one table, with every code that a broker or a name server
//! answers.
//!
//! Not who asks (`accounts`). Where 4.9.4 is content with any signature for something that changes what others see, the
//! table asks for the permission that belongs to it; the comment of the line says so. Invariants: at a broker, a code that
//! has no line needs an admin; a name server answers none that has no line.

use super::account::{Resource, Rights};
use crate::remoting::bodies::heartbeat::Heartbeat;
use crate::remoting::bodies::order_locks::LockBatchBody;
use crate::remoting::{Command, DecodeError, request};

/// What a kind of request needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Nothing, not even a signature.
    Nothing,
    /// An account, whatever it may do.
    Account,
    /// An admin's account.
    Admin,
    /// Permissions for what the request names.
    Parts(&'static [Part]),
    /// Permissions for what the request names; an admin's account if this field is left out, as then everything is meant.
    PartsOrAll(&'static [Part], &'static str),
    /// Permissions for what the request names, and for the topic of the message that lies where this field says: an offset,
    /// or in [`MESSAGE_ID`] an id that tells it.
    TopicAt(&'static [Part], &'static str, Rights),
}

/// Where a request names a topic or a group; a field that is not there needs nothing, and is refused when it is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The topic in this field is sent to.
    SendTo(&'static str),
    /// The topic in this field is read.
    Read(&'static str),
    /// The group in this field is consumed for.
    Group(&'static str),
    /// Groups and topics of a heartbeat's consumers; its producers need nothing (A-035).
    Heartbeat,
    /// The group in the body that locks queues.
    LockingGroup,
}

use Need::{Account, Admin, Nothing, Parts, PartsOrAll, TopicAt};
use Part::{Group, Heartbeat as HeartbeatBody, LockingGroup, Read, SendTo};

/// The only field with a message's id, not its offset.
pub const MESSAGE_ID: &str = "msgId";

/// What brokers answer.
pub const BROKER: &[(i32, Need)] = &[
    // Sends. S-49: a send to a retry topic needs the group that it belongs to, whoever says to be the sender.
    (request::SEND_MESSAGE, Parts(&[SendTo("topic")])),
    (request::SEND_MESSAGE_V2, Parts(&[SendTo("b")])),
    // 4.9.4 asks for the group only: who gives back what is not his gets it delivered.
    (request::CONSUMER_SEND_MSG_BACK, TopicAt(&[Group("group")], "offset", Rights::SUBSCRIBE)),
    // S-48: 4.9.4 asks for nothing.
    (request::SEND_BATCH_MESSAGE, Parts(&[SendTo("b")])),
    (request::SEND_REPLY_MESSAGE, Parts(&[SendTo("topic")])),
    (request::SEND_REPLY_MESSAGE_V2, Parts(&[SendTo("b")])),
    (request::END_TRANSACTION, TopicAt(&[], "commitLogOffset", Rights::PUBLISH)),
    // Reads. 33 needs nothing in 4.9.4, so that every account reads every message.
    (request::PULL_MESSAGE, Parts(&[Read("topic"), Group("consumerGroup")])),
    (request::QUERY_MESSAGE, Parts(&[Read("topic")])),
    (request::VIEW_MESSAGE_BY_ID, TopicAt(&[], "offset", Rights::SUBSCRIBE)),
    // Clients and positions.
    (request::HEART_BEAT, Parts(&[HeartbeatBody])),
    (request::UNREGISTER_CLIENT, Parts(&[Group("consumerGroup")])),
    (request::GET_CONSUMER_LIST_BY_GROUP, Parts(&[Group("consumerGroup")])),
    (request::UPDATE_CONSUMER_OFFSET, Parts(&[Read("topic"), Group("consumerGroup")])),
    (request::QUERY_CONSUMER_OFFSET, Account),
    (request::CHECK_CLIENT_CONFIG, Account),
    (request::SEARCH_OFFSET_BY_TIMESTAMP, Account),
    (request::GET_MAX_OFFSET, Account),
    (request::GET_MIN_OFFSET, Account),
    (request::GET_EARLIEST_MSG_STORETIME, Account),
    // Nothing in 4.9.4: one group could lock another's queues, or set its positions back.
    (request::LOCK_BATCH_MQ, Parts(&[LockingGroup])),
    (request::UNLOCK_BATCH_MQ, Parts(&[LockingGroup])),
    (request::INVOKE_BROKER_TO_RESET_OFFSET, Parts(&[Read("topic"), Group("group")])),
    (
        request::CLONE_GROUP_OFFSET,
        PartsOrAll(&[Read("topic"), Group("srcGroup"), Group("destGroup")], "topic"),
    ),
    // So does this, of any message.
    (
        request::CONSUME_MESSAGE_DIRECTLY,
        TopicAt(&[Group("consumerGroup")], MESSAGE_ID, Rights::SUBSCRIBE),
    ),
    // What A-025 keeps for admins.
    (request::UPDATE_AND_CREATE_TOPIC, Admin),
    (request::UPDATE_BROKER_CONFIG, Admin),
    (request::DELETE_TOPIC_IN_BROKER, Admin),
    (request::UPDATE_AND_CREATE_SUBSCRIPTIONGROUP, Admin),
    (request::DELETE_SUBSCRIPTIONGROUP, Admin),
    // S-48, S-52: the accounts themselves.
    (request::UPDATE_AND_CREATE_ACL_CONFIG, Admin),
    (request::DELETE_ACL_CONFIG, Admin),
    (request::GET_BROKER_CLUSTER_ACL_INFO, Admin),
    (request::UPDATE_GLOBAL_WHITE_ADDRS_CONFIG, Admin),
    (request::GET_BROKER_CLUSTER_ACL_CONFIG, Admin),
    // Nothing in 4.9.4, and they delete files or set transactions going.
    (request::CLEAN_EXPIRED_CONSUMEQUEUE, Admin),
    (request::CLEAN_UNUSED_TOPIC, Admin),
    (request::DELETE_EXPIRED_COMMITLOG, Admin),
    (request::RESUME_CHECK_HALF_MESSAGE, Admin),
    (request::REGISTER_FILTER_SERVER, Admin),
    // What tools and slaves read.
    (request::GET_ALL_TOPIC_CONFIG, Account),
    (request::GET_BROKER_CONFIG, Account),
    (request::GET_BROKER_RUNTIME_INFO, Account),
    (request::GET_ALL_CONSUMER_OFFSET, Account),
    (request::GET_ALL_DELAY_OFFSET, Account),
    (request::GET_ALL_SUBSCRIPTIONGROUP_CONFIG, Account),
    (request::GET_TOPIC_CONFIG, Account),
    (request::GET_SUBSCRIPTIONGROUP_CONFIG, Account),
    (request::GET_TOPIC_STATS_INFO, Account),
    (request::GET_CONSUMER_CONNECTION_LIST, Account),
    (request::GET_PRODUCER_CONNECTION_LIST, Account),
    (request::GET_ALL_PRODUCER_INFO, Account),
    (request::GET_CONSUME_STATS, Account),
    (request::GET_BROKER_CONSUME_STATS, Account),
    (request::INVOKE_BROKER_TO_GET_CONSUMER_STATUS, Account),
    (request::QUERY_TOPIC_CONSUME_BY_WHO, Account),
    (request::QUERY_CONSUME_TIME_SPAN, Account),
    (request::GET_SYSTEM_TOPIC_LIST_FROM_BROKER, Account),
    (request::GET_CONSUMER_RUNNING_INFO, Account),
    (request::QUERY_CORRECTION_OFFSET, Account),
    (request::VIEW_BROKER_STATS_DATA, Account),
    (request::QUERY_CONSUME_QUEUE, Account),
    // What our own nodes ask one another.
    (request::EXTENSION_HELLO, Admin),
    (request::EXTENSION_DIAL_BACK, Admin),
    (request::EXTENSION_POSITIONS, Admin),
    (request::EXTENSION_RESYNC, Admin),
    (request::EXTENSION_ACCOUNTS, Admin),
    (request::EXTENSION_CANCEL_TIMER, Admin),
    // Topics and ids, no bodies: what any account is told of queues (317, 321).
    (request::EXTENSION_LIST_TIMERS, Account),
    (request::EXTENSION_FIGURES, Account),
    // What any account is told by 26 and 203.
    (request::EXTENSION_BROKER_STATE, Account),
    (request::EXTENSION_RESET_CONFIG, Admin),
];

/// What name servers answer. Routes are open as in 4.9.4; what changes them is not (S-48): whoever may register a broker
/// can take over what others send.
pub const NAME_SERVER: &[(i32, Need)] = &[
    (request::GET_ROUTEINFO_BY_TOPIC, Nothing),
    (request::GET_BROKER_CLUSTER_INFO, Nothing),
    (request::GET_ALL_TOPIC_LIST_FROM_NAMESERVER, Nothing),
    (request::GET_TOPICS_BY_CLUSTER, Nothing),
    (request::GET_SYSTEM_TOPIC_LIST_FROM_NS, Nothing),
    (request::GET_UNIT_TOPIC_LIST, Nothing),
    (request::GET_HAS_UNIT_SUB_TOPIC_LIST, Nothing),
    (request::GET_HAS_UNIT_SUB_UNUNIT_TOPIC_LIST, Nothing),
    (request::GET_KV_CONFIG, Nothing),
    (request::GET_KVLIST_BY_NAMESPACE, Nothing),
    (request::GET_NAMESRV_CONFIG, Nothing),
    (request::REGISTER_BROKER, Admin),
    (request::UNREGISTER_BROKER, Admin),
    // It keeps a broker from being taken for dead.
    (request::QUERY_DATA_VERSION, Admin),
    (request::PUT_KV_CONFIG, Admin),
    (request::DELETE_KV_CONFIG, Admin),
    (request::WIPE_WRITE_PERM_OF_BROKER, Admin),
    (request::ADD_WRITE_PERM_OF_BROKER, Admin),
    (request::DELETE_TOPIC_IN_NAMESRV, Admin),
    (request::UPDATE_NAMESRV_CONFIG, Admin),
];

/// What a request needs in itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Needed {
    /// An account.
    Account,
    /// An admin's account.
    Admin,
    /// Permissions for all of these.
    Resources(Vec<Resource>),
}

/// What a code needs at a broker.
#[must_use]
pub fn at_broker(code: i32) -> Need {
    find(BROKER, code).unwrap_or(Admin)
}

/// What a code needs at a name server; `None` of one that it does not know, which gets no answer, whoever asks (N-010).
#[must_use]
pub fn at_name_server(code: i32) -> Option<Need> {
    find(NAME_SERVER, code)
}

fn find(table: &[(i32, Need)], code: i32) -> Option<Need> {
    table.iter().find(|(known, _)| *known == code).map(|(_, need)| *need)
}

/// What the parts of a request are.
///
/// # Errors
/// A body cannot be read.
pub fn resources(parts: &[Part], request: &Command) -> Result<Vec<Resource>, DecodeError> {
    let mut found = Vec::new();
    for part in parts {
        match *part {
            SendTo(field) => {
                let topic = request.field(field);
                found.extend(topic.map(sent_to));
            }
            Read(field) => {
                let topic = request.field(field);
                found.extend(topic.map(|topic| Resource::topic(topic, Rights::SUBSCRIBE)));
            }
            Group(field) => found.extend(request.field(field).map(Resource::group)),
            HeartbeatBody => {
                for consumer in Heartbeat::parse(&request.body)?.consumers {
                    found.push(Resource::group(&consumer.group));
                    let topics = consumer.subscriptions.iter();
                    found.extend(topics.map(|one| Resource::topic(&one.topic, Rights::SUBSCRIBE)));
                }
            }
            LockingGroup => {
                found.push(Resource::group(&LockBatchBody::parse(&request.body)?.group))
            }
        }
    }
    Ok(found)
}

/// A topic to be sent to; who sends to a retry topic must be able to consume for its group (A-030, S-49).
fn sent_to(topic: &str) -> Resource {
    let resource = Resource::topic(topic, Rights::PUBLISH);
    let group = resource.as_group().map(Resource::group);
    group.unwrap_or(resource)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn needed(request: &Command) -> Vec<(String, bool)> {
        let need = at_broker(request.code);
        let (Parts(parts) | TopicAt(parts, ..)) = need else { panic!("{}", request.code) };
        let all = resources(parts, request).unwrap();
        all.iter().map(|one| (one.name().to_owned(), one.needed.publish)).collect()
    }

    fn of(names: &[(&str, bool)]) -> Vec<(String, bool)> {
        names.iter().map(|(name, publish)| ((*name).to_owned(), *publish)).collect()
    }

    #[test]
    fn no_code_has_two_lines_and_one_without_a_line_needs_an_admin_at_brokers_only() {
        for table in [BROKER, NAME_SERVER] {
            let codes: BTreeSet<_> = table.iter().map(|(code, _)| code).collect();
            assert_eq!(codes.len(), table.len());
        }
        assert_eq!((at_broker(999), at_broker(-1), at_name_server(999)), (Admin, Admin, None));
    }

    #[test]
    fn sends_need_their_topic_and_retry_topics_their_group_a030_a031_s48_s49() {
        for (code, topic) in [(10, "topic"), (310, "b"), (320, "b"), (324, "topic"), (325, "b")] {
            let request = Command::request(code).with_field("a", "P").with_field("group", "P");
            let request = request.with_field("producerGroup", "P");
            assert_eq!(needed(&request), []);
            assert_eq!(
                needed(&request.clone().with_field(topic, "T")),
                of(&[("T", true)]),
                "{code}"
            );
            let retry = request.with_field(topic, "%RETRY%G");
            assert_eq!(needed(&retry), of(&[("%RETRY%G", false)]), "{code}");
        }
        let end = TopicAt(&[], "commitLogOffset", Rights::PUBLISH);
        assert_eq!(at_broker(request::END_TRANSACTION), end);
    }

    #[test]
    fn reads_need_topic_and_group_a032_to_a038() {
        let request = |code| {
            let request = Command::request(code).with_field("topic", "T").with_field("group", "G");
            request.with_field("consumerGroup", "C")
        };
        assert_eq!(needed(&request(36)), of(&[("%RETRY%G", false)]));
        assert_eq!(needed(&request(11)), of(&[("T", false), ("%RETRY%C", false)]));
        assert_eq!(needed(&request(12)), of(&[("T", false)]));
        assert_eq!(needed(&request(35)), of(&[("%RETRY%C", false)]));
        assert_eq!(needed(&request(38)), of(&[("%RETRY%C", false)]));
        assert_eq!(needed(&request(15)), of(&[("T", false), ("%RETRY%C", false)]));
    }

    #[test]
    fn heartbeats_need_what_their_consumers_read_a035() {
        let body = r#"{"clientID":"c","producerDataSet":[{"groupName":"P"}],"consumerDataSet":[{"groupName":"G",
            "subscriptionDataSet":[{"topic":"T"},{"topic":"%RETRY%G"}]}]}"#;
        let request = Command::request(34).with_body(body);
        let expected = of(&[("%RETRY%G", false), ("T", false), ("%RETRY%G", false)]);
        assert_eq!(needed(&request), expected);
        let locks = Command::request(41).with_body(r#"{"clientId":"c","consumerGroup":"G"}"#);
        assert_eq!(needed(&locks), of(&[("%RETRY%G", false)]));
        for code in [34, 41] {
            let Parts(parts) = at_broker(code) else { panic!() };
            assert!(resources(parts, &Command::request(code).with_body("[")).is_err());
        }
    }

    #[test]
    fn what_4_9_4_keeps_for_admins_and_the_accounts_themselves_need_one_a025_s48() {
        for code in [17, 25, 215, 200, 207, 50, 51, 52, 53, 54] {
            assert_eq!(at_broker(code), Admin, "{code}");
        }
        for code in [100, 102, 103, 104, 205, 216, 318, 327] {
            assert_eq!(at_name_server(code), Some(Admin), "{code}");
        }
        for code in [101, 105, 106, 206, 219, 224, 304, 319] {
            assert_eq!(at_name_server(code), Some(Nothing), "{code}");
        }
    }
}
