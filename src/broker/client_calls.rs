//! What tools ask of clients through the broker (222, 223, 307, 309; B-322 to B-324, B-332, B-333).
//!
//! Not what clients make of it. Invariants: the broker's own positions stay as they are (S-44); a client has a limited
//! time to answer, and a few clients are asked for one request; no client sees the signature of who asked.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::answers::{Answer, Refusal, send_answer};
use super::clients::Reached;
use super::{Broker, light};
use crate::acl::signature;
use crate::message::MessageId;
use crate::model::{MessageQueue, PhysicalOffset, QueueId, shown};
use crate::remoting::bodies::client_calls::{
    ConsumerStatus, consumer_statuses, offset_list, offset_table,
};
use crate::remoting::{Command, Language, request, response};
use crate::store::ReadError;
use crate::task;
use crate::transport::{CallError, Connection, Responder};

/// How long a client has to tell of itself, or to consume a message.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// How long clients have that are asked side by side: tools wait 5 s for all of them (M-006).
const STATUS_TIMEOUT: Duration = Duration::from_secs(4);
/// Clients that are asked for one request, at most.
const ASKED_MAX: usize = 256;
/// Queues of a topic whose offsets are reset at once, at most (B-300).
const QUEUES_MAX: u32 = 65_536;
/// `V3_0_7_SNAPSHOT`: clients before it know nothing of 220 and 221.
const RESET_FROM: i32 = 28;
/// `V3_1_8_SNAPSHOT`: clients before it know nothing of 307 and 309.
const CALLS_FROM: i32 = 62;
/// What 4.9.4 leaves in answers that it gives no remark (S-08).
const NO_REMARK: &str = "not set any response code";

/// 222: tells all members of a group where to go on reading a topic (B-322). Blocks.
pub(super) fn reset_offsets(
    broker: &Arc<Broker>,
    request: &Command,
    connection: &Connection,
) -> Answer {
    let (topic, group) = (request.required_str("topic")?, request.required_str("group")?);
    let timestamp = request.required_i64("timestamp")?;
    let offsets = targets(broker, topic, group, timestamp, request.flag_bool("isForce"))?;
    let body = offset_table(&offsets);
    let is_cpp = request.language == Language::CPP;
    let notice = Command::request(request::RESET_CONSUMER_CLIENT_OFFSET)
        .with_field("topic", topic)
        .with_field("group", group)
        .with_field("timestamp", timestamp)
        .with_field("isForce", false)
        .with_body(if is_cpp { offset_list(&offsets) } else { body.clone() });
    let members = broker.clients.reach(group);
    if members.is_empty() {
        let remark = format!(
            "Consumer not online, so can not reset offset, Group: {group} Topic: {topic} Timestamp: {timestamp}"
        );
        return Err(Refusal::new(response::CONSUMER_NOT_ONLINE, remark));
    }
    for member in members {
        refuse_older(&member, RESET_FROM)?;
        member.connection.send_oneway(notice.clone());
    }
    let (topic, group) = (shown(topic), shown(group));
    tracing::info!(topic, group, timestamp, by = %connection.remote(), "consumers reset offsets");
    Ok(Command::response(response::SUCCESS).with_body(body).with_remark(NO_REMARK))
}

fn refuse_older(member: &Reached, from: i32) -> Result<(), Refusal> {
    if member.version >= from {
        return Ok(());
    }
    let version = member.version;
    let remark = format!("the client does not support this feature. version={version}");
    Err(Refusal::new(response::SYSTEM_ERROR, remark))
}

/// Where a group is to go on in each write queue: at the time, but forward only if that is forced (B-322).
fn targets(
    broker: &Broker,
    topic: &str,
    group: &str,
    timestamp: i64,
    is_forced: bool,
) -> Result<Vec<(MessageQueue, i64)>, Refusal> {
    let refusal = |remark: String| Refusal::new(response::SYSTEM_ERROR, remark);
    let tables = broker.store.tables();
    let config = light::topic(broker, topic).ok_or_else(|| {
        refusal(format!(
            "[reset-offset] reset offset failed, no topic in this broker. topic={topic}"
        ))
    })?;
    if config.write_queues > QUEUES_MAX {
        return Err(refusal(format!("topic[{topic}] has more than {QUEUES_MAX} queues")));
    }
    let positions = tables.consumer_offsets.of_group(topic, group);
    let target = |id| {
        let queue_id = QueueId(id);
        let position = positions.get(&queue_id).copied().filter(|position| *position != -1);
        let position =
            position.ok_or_else(|| refusal(format!("THe consumer group <{group}> not exist")))?;
        let wanted = match timestamp {
            -1 => broker.store.max_offset(topic, queue_id),
            _ => broker.store.offset_by_time(topic, queue_id, timestamp)?,
        };
        let wanted = wanted.to_wire();
        let queue = MessageQueue {
            topic: topic.to_owned(),
            broker_name: broker.options.group.clone(),
            queue_id: queue_id.to_wire(),
        };
        Ok((queue, if is_forced { wanted } else { wanted.min(position) }))
    };
    (0..config.write_queues).map(target).collect()
}

/// 223: where members of a group are in a topic, all of them or those with one id (B-324).
pub(super) fn statuses(broker: &Arc<Broker>, request: &Command, responder: Responder) {
    let (members, ask) = match asked_members(broker, request) {
        Ok(asked) => asked,
        Err(refusal) => return send_answer(responder, Err(refusal)),
    };
    task::spawn(task::Kind::Ignore, "consumer status", async move {
        let statuses = ask_all(members, &ask).await;
        let body = consumer_statuses(&statuses);
        let answer = Command::response(response::SUCCESS).with_body(body);
        responder.send(answer.with_remark(NO_REMARK));
    });
}

fn asked_members(broker: &Broker, request: &Command) -> Result<(Vec<Reached>, Command), Refusal> {
    let (topic, group) = (request.required_str("topic")?, request.required_str("group")?);
    let client = request.field("clientAddr").filter(|client| !client.trim().is_empty());
    let mut members = broker.clients.reach(group);
    if members.is_empty() {
        // 4.9.4 means to say so, and fails with an exception.
        let remark = format!("No Any Consumer online in the consumer group: [{group}]");
        return Err(Refusal::new(response::SYSTEM_ERROR, remark));
    }
    for member in &members {
        refuse_older(member, RESET_FROM)?;
    }
    if let Some(client) = client {
        members.retain(|member| &*member.client_id == client);
    }
    if members.len() > ASKED_MAX {
        let remark = format!("the group has more than {ASKED_MAX} clients: name one (clientAddr)");
        return Err(Refusal::new(response::SYSTEM_ERROR, remark));
    }
    let ask = Command::request(request::GET_CONSUMER_STATUS_FROM_CLIENT)
        .with_field("topic", topic)
        .with_field("group", group);
    Ok((members, ask))
}

/// What each client said, side by side; those that said nothing are left out.
async fn ask_all(members: Vec<Reached>, ask: &Command) -> Vec<ConsumerStatus> {
    let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
    for member in members {
        let (sender, ask) = (sender.clone(), ask.clone());
        task::spawn(task::Kind::Ignore, "consumer status", async move {
            let called = member.connection.call(ask, STATUS_TIMEOUT).await;
            let client = shown(&member.client_id);
            match called {
                Ok(answer) if answer.code == response::SUCCESS && !answer.body.is_empty() => {
                    let client_id = member.client_id.to_string();
                    // Whoever asked may have gone.
                    let _ = sender.send(ConsumerStatus { client_id, body: answer.body });
                }
                Ok(answer) => tracing::info!(client, code = answer.code, "no consumer status"),
                Err(error) => tracing::info!(client, %error, "no consumer status"),
            }
        });
    }
    drop(sender);
    let mut all = Vec::new();
    while let Some(status) = receiver.recv().await {
        all.push(status);
    }
    all.sort_unstable_by(|one: &ConsumerStatus, other| one.client_id.cmp(&other.client_id));
    all
}

/// 309: has a consumer take a message in, whatever its position (B-333).
pub(super) fn consume_directly(broker: &Arc<Broker>, request: Command, mut responder: Responder) {
    let broker = Arc::clone(broker);
    responder.goes_to_thread();
    let handle = tokio::runtime::Handle::current();
    task::spawn_blocking("consume directly", move || {
        match with_message(&broker, request, |at| broker.store.record_at(at)) {
            Ok(request) => {
                let _runtime = handle.enter();
                call(&broker, request, responder);
            }
            Err(refusal) => send_answer(responder, Err(refusal)),
        }
    });
}

/// The request with the message in its body, if `look_up` is what finds it.
pub(super) fn with_message(
    broker: &Broker,
    mut request: Command,
    look_up: impl Fn(PhysicalOffset) -> Result<Option<Bytes>, ReadError>,
) -> Result<Command, Refusal> {
    request.required_str("consumerGroup")?;
    let id = request.required_str("msgId")?;
    let refusal = |remark: String| Refusal::new(response::SYSTEM_ERROR, remark);
    let parsed: MessageId = id.parse().map_err(|error| refusal(format!("msgId {id}: {error}")))?;
    let record =
        look_up(parsed.offset)?.ok_or_else(|| refusal(format!("there is no message {id}")))?;
    request.set_field("brokerName", &broker.options.group);
    Ok(request.with_body(record))
}

/// 307, and what follows of 309: hands a request to the client that it names, and the client's answer back (B-332).
pub(super) fn call(broker: &Broker, mut request: Command, mut responder: Responder) {
    // While the client takes its time no thread does, and the asker may be the client: it must be read from.
    responder.leaves_thread();
    signature::remove(&mut request);
    let code = request.code;
    let (group, client) = match named(&request) {
        Ok((group, client)) => (group.to_owned(), client.to_owned()),
        Err(refusal) => return send_answer(responder, Err(refusal)),
    };
    let connection = match find(broker, &group, &client) {
        Ok(connection) => connection,
        Err(refusal) => return send_answer(responder, Err(refusal)),
    };
    let asked = Command { fields: request.fields, body: request.body, ..Command::request(code) };
    task::spawn(task::Kind::Ignore, "client call", async move {
        let answer = connection.call(asked, CALL_TIMEOUT).await.map_err(|error| match error {
            CallError::Timeout(_) => {
                let remark = format!("consumer <{group}> <{client}> Timeout: {error}");
                Refusal::new(response::CONSUME_MSG_TIMEOUT, remark)
            }
            _ => {
                let remark = format!("invoke consumer <{group}> <{client}> Exception: {error}");
                Refusal::new(response::SYSTEM_ERROR, remark)
            }
        });
        send_answer(responder, answer);
    });
}

/// The group and the client that are meant; 4.9.4 takes no name for one that nobody has.
fn named(request: &Command) -> Result<(&str, &str), Refusal> {
    let group = request.required_str("consumerGroup")?;
    Ok((group, request.field("clientId").unwrap_or("null")))
}

fn find(broker: &Broker, group: &str, client: &str) -> Result<Connection, Refusal> {
    let refusal = |remark: String| Refusal::new(response::SYSTEM_ERROR, remark);
    let mut members = broker.clients.reach(group).into_iter();
    let member = members
        .find(|member| &*member.client_id == client)
        .ok_or_else(|| refusal(format!("The Consumer <{group}> <{client}> not online")))?;
    if member.version < CALLS_FROM {
        return Err(refusal(format!(
            "The Consumer <{client}> Version <{}> too low to finish, please upgrade it to V3_1_8_SNAPSHOT",
            member.version
        )));
    }
    Ok(member.connection)
}

#[cfg(test)]
mod tests {
    use super::super::clients::tests::{Peer, World};
    use super::*;
    use crate::acl::signature::Key;
    use crate::message::NewMessage;
    use crate::model::{TopicConfig, TopicName};
    use crate::remoting::json;

    const QUEUES: &str = r#"{"brokerName":"broker-a","queueId":0,"topic":"T"}"#;

    /// A broker with one message in the only queue of `T`, of which `G` has had none.
    async fn world() -> World {
        let world = World::new();
        let tables = world.broker.store.tables();
        tables.topics.put(TopicConfig::new(TopicName::new("T"), 1));
        world.broker.store.append(NewMessage::plain("T", 0, "x"), false).await.unwrap();
        tables.consumer_offsets.commit("T", "G", QueueId(0), 0);
        world
    }

    /// A member of `G` with a version.
    async fn member(world: &World, version: i32) -> Peer {
        let mut peer = world.peer().await;
        let body = r#"{"clientID":"c","consumerDataSet":[{"groupName":"G","subscriptionDataSet":[{"subString":"*","topic":"T"}]}]}"#;
        let request = Command::request(request::HEART_BEAT).with_body(body);
        let (_, answer) = peer.call(Command { version, ..request }).await;
        assert_eq!(answer.code, 0);
        peer
    }

    /// What the client is asked, which it answers.
    async fn asked(peer: &mut Peer, code: i32, body: &'static str) -> Command {
        let asked = peer.next().await.unwrap();
        let answer = Command::response(code).with_body(body);
        peer.send(&Command { opaque: asked.opaque, ..answer }).await;
        asked
    }

    fn about(code: i32) -> Command {
        Command::request(code).with_field("topic", "T").with_field("group", "G")
    }

    fn reset(timestamp: i64, is_forced: bool) -> Command {
        let request = about(request::INVOKE_BROKER_TO_RESET_OFFSET);
        request.with_field("timestamp", timestamp).with_field("isForce", is_forced)
    }

    fn of_client(code: i32) -> Command {
        Command::request(code).with_field("consumerGroup", "G").with_field("clientId", "c")
    }

    #[tokio::test]
    async fn members_are_told_where_to_go_on_b322_b323() {
        let world = world().await;
        let mut tool = world.peer().await;
        let offline = tool.answer(reset(-1, true)).await;
        let remark =
            "Consumer not online, so can not reset offset, Group: G Topic: T Timestamp: -1";
        assert_eq!((offline.code, offline.remark.as_deref()), (206, Some(remark)));
        let mut peer = member(&world, 401).await;
        for (timestamp, is_forced, offset) in [(-1, true, 1), (-1, false, 0), (0, true, 0)] {
            let answer = tool.answer(reset(timestamp, is_forced)).await;
            let body = format!(r#"{{"offsetTable":{{{QUEUES}:{offset}}}}}"#);
            assert_eq!((answer.code, &answer.body[..]), (0, body.as_bytes()));
            let told = peer.next().await.unwrap();
            assert_eq!((told.code, told.is_oneway(), &told.body[..]), (220, true, body.as_bytes()));
            assert_eq!((told.field("topic"), told.field("group")), (Some("T"), Some("G")));
        }
        let cpp = Command { language: Language::CPP, ..reset(-1, true) };
        tool.answer(cpp).await;
        let list =
            r#"{"offsetTable":[{"brokerName":"broker-a","offset":1,"queueId":0,"topic":"T"}]}"#;
        assert_eq!(peer.next().await.unwrap().body, list);
        let position = world.broker.store.tables().consumer_offsets.query("T", "G", QueueId(0));
        assert_eq!(position, Some(0), "S-44: the client commits");
    }

    #[tokio::test]
    async fn a_reset_needs_a_topic_a_position_and_new_clients_b322() {
        let world = world().await;
        let mut tool = world.peer().await;
        let _old = member(&world, 27).await;
        let mut refused = async |key: &'static str, value: &'static str| {
            let mut request = reset(0, true);
            request.set_field(key, value);
            let answer = tool.answer(request).await;
            (answer.code, answer.remark.unwrap_or_default())
        };
        let remark = "[reset-offset] reset offset failed, no topic in this broker. topic=never";
        assert_eq!(refused("topic", "never").await, (1, remark.to_owned()));
        let remark = "THe consumer group <H> not exist";
        assert_eq!(refused("group", "H").await, (1, remark.to_owned()));
        let (code, remark) = refused("isForce", "false").await;
        assert_eq!((code, remark.contains("does not support this feature")), (1, true));
        assert_eq!(refused("timestamp", "").await.0, 1);
    }

    #[tokio::test]
    async fn clients_tell_where_they_are_b324() {
        let world = world().await;
        let mut tool = world.peer().await;
        let ask = about(request::INVOKE_BROKER_TO_GET_CONSUMER_STATUS);
        assert_eq!(tool.answer(ask.clone()).await.code, 1, "nobody is there");
        let mut peer = member(&world, 401).await;
        tool.send(&ask).await;
        let body = r#"{"messageQueueTable":{{"brokerName":"broker-a","queueId":0,"topic":"T"}:7}}"#;
        let told = asked(&mut peer, 0, body).await;
        assert_eq!((told.code, told.field("topic"), told.is_oneway()), (221, Some("T"), false));
        let table =
            format!(r#"{{"consumerTable":{{"c":{{{QUEUES}:7}}}},"messageQueueTable":{{}}}}"#);
        assert_eq!(tool.next().await.unwrap().body, table);
        let other = tool.answer(ask.with_field("clientAddr", "other")).await;
        assert_eq!(other.body, r#"{"consumerTable":{},"messageQueueTable":{}}"#);
    }

    #[tokio::test]
    async fn a_client_tells_of_itself_b332() {
        let world = world().await;
        let mut tool = world.peer().await;
        let mut peer = member(&world, 401).await;
        let request =
            of_client(request::GET_CONSUMER_RUNNING_INFO).with_field("jstackEnable", true);
        tool.send(&request).await;
        let told = asked(&mut peer, 5, r#"{"jstack":"x"}"#).await;
        assert_eq!((told.code, told.field("jstackEnable")), (307, Some("true")));
        let answer = tool.next().await.unwrap();
        assert_eq!((answer.code, &answer.body[..]), (5, &br#"{"jstack":"x"}"#[..]));
        tool.send(&request).await;
        peer.next().await.unwrap();
        drop(peer);
        let lost = tool.next().await.unwrap();
        let remark = lost.remark.unwrap();
        assert_eq!(
            (lost.code, remark.starts_with("invoke consumer <G> <c> Exception: ")),
            (1, true)
        );
        let gone = tool.answer(of_client(request::GET_CONSUMER_RUNNING_INFO)).await;
        assert_eq!(gone.remark.as_deref(), Some("The Consumer <G> <c> not online"));
        let _old = member(&world, 61).await;
        let old = tool.answer(of_client(request::GET_CONSUMER_RUNNING_INFO)).await;
        assert!(old.remark.unwrap().ends_with("please upgrade it to V3_1_8_SNAPSHOT"));
    }

    #[tokio::test]
    async fn a_client_consumes_a_message_that_is_handed_to_it_b333() {
        let world = world().await;
        let mut tool = world.peer().await;
        let mut peer = member(&world, 401).await;
        let id = "7F00000100002A9F0000000000000000";
        let request = of_client(request::CONSUME_MESSAGE_DIRECTLY).with_field("brokerName", "x");
        tool.send(&request.clone().with_field("msgId", id)).await;
        let told = asked(&mut peer, 0, r#"{"consumeResult":"CR_SUCCESS"}"#).await;
        let record = crate::message::Record::parse(&told.body).unwrap();
        assert_eq!(
            (told.code, told.field("brokerName"), record.topic()),
            (309, Some("broker-a"), "T")
        );
        let answer = tool.next().await.unwrap();
        let body = json::parse(&answer.body).unwrap();
        assert_eq!((answer.code, body.text("consumeResult")), (0, Some("CR_SUCCESS")));
        for id in ["x", "7F00000100002A9F00000000FFFFFFFF"] {
            let answer = tool.answer(request.clone().with_field("msgId", id)).await;
            assert!(answer.code == 1 && answer.remark.unwrap().contains(id));
        }
    }

    #[tokio::test]
    async fn consumers_that_are_slow_to_consume_do_not_keep_the_asker_from_being_heard() {
        let world = world().await;
        let mut tool = world.peer().await;
        let mut silent = member(&world, 401).await;
        let request = of_client(request::CONSUME_MESSAGE_DIRECTLY)
            .with_field("msgId", "7F00000100002A9F0000000000000000");
        for _ in 0..8 {
            tool.send(&request).await;
            assert_eq!(silent.next().await.unwrap().code, 309);
        }
        let heard = Command::request(request::HEART_BEAT).with_body(r#"{"clientID":"tool"}"#);
        tool.send(&Command { opaque: 77, ..heard }).await;
        assert_eq!(tool.next().await.unwrap().opaque, 77);
    }

    #[tokio::test]
    async fn a_client_sees_no_signature_of_who_asked() {
        let world = world().await;
        let mut tool = world.peer().await;
        let mut peer = member(&world, 401).await;
        for code in [request::GET_CONSUMER_RUNNING_INFO, request::CONSUME_MESSAGE_DIRECTLY] {
            let request = of_client(code).with_field("SecurityToken", "token");
            let mut request = request.with_field("msgId", "7F00000100002A9F0000000000000000");
            Key::new("secret").sign("the-admin", &mut request);
            tool.send(&request).await;
            let told = asked(&mut peer, 0, "{}").await;
            let names = ["clientId", "AccessKey", "Signature", "SecurityToken"];
            assert_eq!(names.map(|name| told.field(name)), [Some("c"), None, None, None], "{code}");
            assert_eq!(tool.next().await.unwrap().code, 0);
        }
    }
}
