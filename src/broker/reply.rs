//! Replies to requests that producers wait for (324, 325 → 326; B-280 to B-285).
//!
//! Not the requests, which are ordinary messages. Invariants: a reply is handed to the requester's connection to this
//! broker, and stored whatever comes of that (S-65); the replier is answered when both are done.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::answers::Refusal;
use super::java_properties::JavaProperties;
use super::send::{begin, check, choose_queue, is_true, record_bytes, refuse, switched};
use super::{Broker, light};
use crate::message::{MessageId, NewMessage, properties};
use crate::model::{TopicConfig, shown};
use crate::remoting::headers::{SendHeader, SendResponse};
use crate::remoting::{Command, request, response};
use crate::store::Appended;
use crate::task;
use crate::transport::{Connection, Responder};

/// How long the requester has to take the reply.
const PUSH_TIMEOUT: Duration = Duration::from_secs(10);

/// A reply that passed the checks.
struct Reply {
    /// Whom to hand it, and how; or why that cannot be.
    push: Result<Push, String>,
    message: NewMessage,
    /// Whether the replier waits for the disk.
    wait: bool,
}

/// A reply on its way to the requester.
struct Push {
    requester: Connection,
    client_id: String,
    request: Command,
}

/// Answers 324 and 325.
pub(super) fn answer(broker: &Arc<Broker>, request: &Command, responder: Responder) {
    let Some((header, born_host, responder)) = begin(broker, request, responder) else { return };
    let prepared = check(broker, &header, born_host)
        .and_then(|topic| prepare(broker, request, &header, &topic, born_host));
    match prepared {
        Ok(reply) => {
            let broker = Arc::clone(broker);
            task::spawn(task::Kind::Ignore, "reply", async move {
                responder.send(deliver(&broker, reply).await);
            });
        }
        Err(refusal) => refuse(broker, responder, refusal),
    }
}

fn prepare(
    broker: &Broker,
    request: &Command,
    header: &SendHeader<'_>,
    topic: &TopicConfig,
    born_host: SocketAddr,
) -> Result<Reply, Refusal> {
    let queue_id = choose_queue(header, topic)?;
    let fields = JavaProperties::parse(header.properties);
    light::check(broker, header.topic, &fields)?;
    let wait = fields.get(properties::WAIT);
    let message = NewMessage {
        topic: topic.name.clone(),
        queue_id,
        flag: header.flag,
        // 4.9.4 forgets the flags of what it stores; what it hands over has them.
        sys_flag: 0,
        born_timestamp: header.born_timestamp,
        born_host,
        store_host: broker.options.address,
        reconsume_times: header.reconsume_times,
        prepared_transaction_offset: 0,
        body: request.body.clone(),
        properties: header.properties.to_owned(),
    };
    let push = push_of(broker, header, &message);
    Ok(Reply { push, message, wait: wait.is_none_or(is_true) })
}

/// B-281, B-282.
fn push_of(broker: &Broker, header: &SendHeader<'_>, message: &NewMessage) -> Result<Push, String> {
    let now = broker.clock.now_ms().to_string();
    let mut fields = JavaProperties::parse(header.properties);
    let Some(client_id) = fields.get(properties::REPLY_TO_CLIENT) else {
        return Err("reply message properties[REPLY_TO_CLIENT] is null".to_owned());
    };
    let requester = broker.clients.producer(client_id);
    let requester = requester
        .ok_or_else(|| format!("push reply message fail, channel of <{client_id}> not found."))?;
    fields.set(properties::PUSH_REPLY_TIME, &now);
    let request = Command::request(request::PUSH_REPLY_MESSAGE_TO_CLIENT)
        .with_field("producerGroup", header.producer_group)
        .with_field("topic", header.topic)
        .with_field("defaultTopic", header.default_topic)
        .with_field("defaultTopicQueueNums", header.default_topic_queue_nums)
        .with_field("queueId", header.queue_id)
        .with_field("sysFlag", header.sys_flag)
        .with_field("bornTimestamp", header.born_timestamp)
        .with_field("flag", header.flag)
        .with_field("properties", fields.into_text())
        .with_field("reconsumeTimes", header.reconsume_times)
        .with_field("unitMode", header.unit_mode)
        .with_field("bornHost", message.born_host)
        .with_field("storeHost", message.store_host)
        .with_field("storeTimestamp", &now)
        .with_body(message.body.clone());
    Ok(Push { requester, client_id: client_id.to_owned(), request })
}

/// Hands the reply over and stores it; the answer to the replier (B-283, B-284).
async fn deliver(broker: &Broker, reply: Reply) -> Command {
    let Reply { push, message, wait } = reply;
    let pushed = match push {
        Ok(push) => push.send().await,
        Err(remark) => Err(remark),
    };
    let (topic, bytes) = (message.topic.clone(), record_bytes(&message));
    let (store_host, queue_id) = (message.store_host, message.queue_id);
    let mut told = SendResponse { queue_id: queue_id.to_wire(), ..SendResponse::default() };
    match broker.store.append(message, wait).await {
        Ok((Appended { physical_offset: offset, queue_offset, .. }, _)) => {
            broker.statistics.messages_in(topic.as_str(), 1, bytes);
            broker.metrics.messages_in.inc();
            told.msg_id = MessageId { store_host, offset }.to_string();
            told.queue_offset = queue_offset.to_wire();
        }
        Err(error) => {
            broker.statistics.append_failed();
            tracing::warn!(topic = shown(topic.as_str()), %error, "a reply is not stored");
            // Clients cannot read an answer without an id.
            "0".clone_into(&mut told.msg_id);
        }
    }
    let mut answer = match pushed {
        Ok(()) => Command::response(response::SUCCESS),
        Err(remark) => {
            tracing::info!(remark = shown(&remark), "a reply did not reach who waits for it");
            Command::response(response::SYSTEM_ERROR).with_remark(remark)
        }
    };
    told.write(&mut answer);
    switched(broker, answer)
}

impl Push {
    async fn send(self) -> Result<(), String> {
        let called = self.requester.call(self.request, PUSH_TIMEOUT).await;
        match called {
            Ok(answer) if answer.code == response::SUCCESS => Ok(()),
            _ => Err(format!("push reply message to {}fail.", self.client_id)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::clients::tests::{Peer, World};
    use super::*;
    use crate::model::QueueId;
    use crate::remoting::json;

    const TOPIC: &str = "C_REPLY_TOPIC";

    fn reply(code: i32, properties: &str) -> Command {
        let header = SendHeader {
            producer_group: "P",
            topic: TOPIC,
            properties,
            sys_flag: 1,
            ..SendHeader::default()
        };
        header.to_request(code).with_body("r")
    }

    async fn requester(world: &World) -> Peer {
        let mut peer = world.peer().await;
        let body = r#"{"clientID":"c","producerDataSet":[{"groupName":"P"},{"groupName":"Q"}]}"#;
        let answer = peer.answer(Command::request(request::HEART_BEAT).with_body(body)).await;
        assert_eq!(answer.code, 0);
        peer
    }

    fn stored(world: &World) -> i64 {
        world.broker.store.max_offset(TOPIC, QueueId(0)).to_wire()
    }

    const TO_C: &str = "REPLY_TO_CLIENT\u{1}c\u{2}CORRELATION_ID\u{1}q\u{2}";

    #[tokio::test]
    async fn a_reply_is_handed_over_and_stored_b281_b283() {
        let world = World::new();
        let (mut replier, mut requester) = (world.peer().await, requester(&world).await);
        for (code, taken, answered) in [(325, 0, 0), (324, 0, 0), (325, 1, 1)] {
            replier.send(&reply(code, TO_C)).await;
            let pushed = requester.next().await.unwrap();
            assert_eq!(
                (pushed.code, &pushed.body[..], pushed.is_oneway()),
                (326, &b"r"[..], false)
            );
            let texts = ["producerGroup", "topic", "sysFlag"].map(|key| pushed.field(key).unwrap());
            assert_eq!(texts, ["P", TOPIC, "1"]);
            let properties = pushed.field("properties").unwrap();
            let time = pushed.field("storeTimestamp").unwrap();
            let expected =
                format!("PUSH_REPLY_TIME\u{1}{time}\u{2}{}", TO_C.trim_end_matches('\u{2}'));
            assert_eq!(properties, expected);
            let before = stored(&world);
            requester.send(&Command { opaque: pushed.opaque, ..Command::response(taken) }).await;
            let answer = replier.next().await.unwrap();
            assert_eq!(answer.code, answered);
            let told = SendResponse::parse(&answer).unwrap();
            assert_eq!((told.queue_id, told.queue_offset, told.msg_id.len()), (0, before, 32));
            assert_eq!((stored(&world), answer.field("TRACE_ON")), (before + 1, Some("true")));
            let remark = (answered != 0).then_some("push reply message to cfail.");
            assert_eq!(answer.remark.as_deref(), remark);
        }
    }

    #[tokio::test]
    async fn a_reply_that_reaches_nobody_is_stored_all_the_same_b284() {
        let world = World::new();
        let mut replier = world.peer().await;
        let nobody = "push reply message fail, channel of <c> not found.";
        let unknown = "reply message properties[REPLY_TO_CLIENT] is null";
        for (properties, remark) in [(TO_C, nobody), ("", unknown)] {
            let before = stored(&world);
            let answer = replier.answer(reply(325, properties)).await;
            assert_eq!((answer.code, answer.remark.as_deref()), (1, Some(remark)));
            assert_eq!(stored(&world), before + 1);
        }
        let mut refused = reply(325, TO_C);
        refused.set_field("b", "bad topic!");
        let answer = replier.answer(refused).await;
        assert_eq!((answer.code, answer.field("MSG_REGION")), (1, Some("DefaultRegion")));
    }

    #[tokio::test]
    async fn a_client_is_found_by_the_id_that_it_told_last_b232() {
        let world = World::new();
        let clients = &world.broker.clients;
        let mut requester = requester(&world).await;
        let port = |id| clients.producer(id).map(|connection| connection.remote().port());
        let first = port("c").unwrap();
        let body = r#"{"clientID":"d","producerDataSet":[{"groupName":"P"}]}"#;
        requester.answer(Command::request(request::HEART_BEAT).with_body(body)).await;
        assert_eq!((port("c"), port("d")), (None, Some(first)));
        let leave = Command::request(request::UNREGISTER_CLIENT).with_field("clientID", "d");
        requester.answer(leave.with_field("producerGroup", "P")).await;
        assert_eq!(port("d"), None);
        let answer = requester.answer(Command::request(request::GET_ALL_PRODUCER_INFO)).await;
        let all = json::parse(&answer.body).unwrap();
        assert_eq!(all.get("data").get("Q").items().len(), 1, "it is still in its other group");
    }
}
