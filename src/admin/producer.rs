//! Sending messages as a client does (310): queues in turn, the next one where a broker does not answer, ids as 4.9.4's
//! clients give them.
//!
//! Invariant: a message that is tried again keeps no trace of the try before, but may be stored twice, as a client's.

use bytes::Bytes;
use tz::UtcDateTime;

use super::{Admin, AdminError, Sent};
use crate::clock::Clock;
use crate::message::{Properties, properties};
use crate::model::{MessageQueue, Permission, system};
use crate::proto::v1::{SendMessageRequest, SendMessageResponse};
use crate::remoting::bodies::route::TopicRoute;
use crate::remoting::headers::SendHeader;

/// Queues of a topic that a send makes, as 4.9.4's clients ask for.
const NEW_TOPIC_QUEUES: i32 = 4;
/// Queues that a topic can have.
const QUEUES_MAX: u32 = 65_535;
/// How often 4.9.4's clients try to send.
const ATTEMPTS: usize = 3;
const DAY_S: i64 = 86_400;
/// The producer group of what operators send.
const GROUP: &str = "rmq-node-admin";

/// A queue that can be written, with its master's address.
#[derive(Clone, Debug)]
pub struct WritableQueue {
    /// The queue.
    pub queue: MessageQueue,
    /// Its master, as `host:port`.
    pub address: String,
}

/// A producer: a group, and the queues of a topic in turn.
#[derive(Debug)]
pub struct Producer {
    admin: Admin,
    clock: Clock,
    group: String,
    /// One at least.
    queues: Vec<WritableQueue>,
    next: usize,
    /// Makes ids differ that are given in one millisecond.
    counter: u16,
}

impl Producer {
    /// A producer of one topic that sends along a route, to up to `queues_max` queues of each broker; `None` if none of them
    /// can be written.
    #[must_use]
    pub fn new(
        admin: &Admin,
        clock: &Clock,
        group: String,
        topic: &str,
        route: &TopicRoute,
        queues_max: u32,
    ) -> Option<Self> {
        let all = route.queues.iter();
        let mut data: Vec<_> =
            all.filter(|data| data.permission.contains(Permission::WRITE)).collect();
        data.sort_unstable_by(|a, b| a.broker_name.cmp(&b.broker_name));
        let mut queues = Vec::new();
        for data in data {
            let group = route.brokers.iter().find(|group| group.broker_name == data.broker_name);
            let Some(master) = group.and_then(|group| group.master()) else { continue };
            for queue_id in 0..data.write_queues.min(queues_max).min(QUEUES_MAX).cast_signed() {
                let queue = MessageQueue {
                    topic: topic.to_owned(),
                    broker_name: data.broker_name.clone(),
                    queue_id,
                };
                queues.push(WritableQueue { queue, address: master.to_owned() });
            }
        }
        let next = usize::try_from(clock.now_ms()).unwrap_or(0).checked_rem(queues.len())?;
        let (admin, clock) = (admin.clone(), clock.clone());
        Some(Self { admin, clock, group, queues, next, counter: 0 })
    }

    /// The queues that it sends to.
    #[must_use]
    pub fn queues(&self) -> &[WritableQueue] {
        &self.queues
    }

    /// Sends to the next queue; where nobody answers, to that after it. Returns the queue, and the message's id.
    ///
    /// # Errors
    /// A broker refuses it, or nobody answers.
    pub async fn send(
        &mut self,
        properties: Properties,
        body: Bytes,
    ) -> Result<(MessageQueue, Sent, String), AdminError> {
        let mut last = None;
        for _ in 0..ATTEMPTS {
            let queue = self.queues[self.next].clone();
            self.next = (self.next + 1) % self.queues.len();
            match self.send_to(&queue, properties.clone(), body.clone()).await {
                Ok((sent, id)) => return Ok((queue.queue, sent, id)),
                Err(error @ AdminError::Unreachable(_)) => last = Some(error),
                Err(error) => return Err(error),
            }
        }
        Err(last.unwrap_or_else(|| AdminError::Unreachable("nobody was asked".to_owned())))
    }

    /// Sends to a queue; returns the message's id too.
    ///
    /// # Errors
    /// The broker refuses it, or does not answer.
    pub async fn send_to(
        &mut self,
        queue: &WritableQueue,
        mut properties: Properties,
        body: Bytes,
    ) -> Result<(Sent, String), AdminError> {
        let now_ms = self.clock.now_ms();
        let id = self.id(now_ms);
        if properties.get(properties::UNIQ_KEY).is_none() {
            properties.set(properties::UNIQ_KEY, &id);
        }
        properties.set(properties::WAIT, "true");
        let text = properties.to_string();
        let header = SendHeader {
            producer_group: &self.group,
            topic: &queue.queue.topic,
            default_topic: system::AUTO_CREATE_TOPIC,
            default_topic_queue_nums: NEW_TOPIC_QUEUES,
            queue_id: queue.queue.queue_id,
            born_timestamp: now_ms,
            properties: &text,
            ..SendHeader::default()
        };
        let sent = self.admin.send(&queue.address, &header, body).await?;
        Ok((sent, properties.get(properties::UNIQ_KEY).unwrap_or(&id).to_owned()))
    }

    /// An id as 4.9.4's clients give it (ST-021): a host, a process, the time since the month began, a counter.
    fn id(&mut self, now_ms: i64) -> String {
        let seconds = now_ms.div_euclid(1000);
        let day = UtcDateTime::from_timespec(seconds, 0)
            .map_or(1, |moment| i64::from(moment.month_day()));
        let month_began_s = seconds.div_euclid(DAY_S) * DAY_S - (day - 1) * DAY_S;
        let since = now_ms - month_began_s * 1000;
        self.counter = self.counter.wrapping_add(1);
        let process = std::process::id();
        format!(
            "7F000001{:04X}{:08X}{since:08X}{:04X}",
            process & 0xffff,
            process ^ 0x726d_716e,
            self.counter
        )
    }
}

impl SendMessageRequest {
    /// The same for the audit log, whose lines are short: its body's length stands for it.
    #[must_use]
    pub fn without_body(&self) -> Self {
        Self { body: format!("{} bytes", self.body.len()), ..self.clone() }
    }

    /// Its properties, as 4.9.4's clients take them.
    ///
    /// # Errors
    /// One has a name of the system's, is blank, or has a control character, which would end it.
    pub fn to_properties(&self) -> Result<Properties, AdminError> {
        let mut all = Properties::default();
        for (name, value) in [(properties::TAGS, &self.tags), (properties::KEYS, &self.keys)] {
            if let Some(value) = value.as_ref().filter(|value| !value.is_empty()) {
                all.set(name, value);
            }
        }
        if let Some(level) = self.delay_level.filter(|level| *level > 0) {
            all.set(properties::DELAY, &level.to_string());
        }
        let refused =
            |name: &str, why| Err(AdminError::Invalid(format!("property {name:?}: {why}")));
        for (name, value) in &self.properties {
            if properties::OF_SYSTEM.contains(&name.as_str()) {
                return refused(name, "the name is the system's, choose another");
            }
            if name.trim().is_empty() || value.trim().is_empty() {
                return refused(name, "neither its name nor its value may be blank");
            }
            all.set(name, value);
        }
        if let Some((name, _)) = all
            .iter()
            .find(|(name, value)| [name, value].iter().any(|text| text.contains(char::is_control)))
        {
            return refused(name, "it has a control character");
        }
        Ok(all)
    }
}

impl Admin {
    /// Sends one message to a topic that is there.
    ///
    /// # Errors
    /// A tag, key or property cannot be one, no name server knows the topic, no master takes its messages, a broker refuses the
    /// message, or nobody answers.
    pub async fn send_message(
        &self,
        request: &SendMessageRequest,
    ) -> Result<SendMessageResponse, AdminError> {
        let SendMessageRequest { topic, body, dry_run, .. } = request;
        let properties = request.to_properties()?;
        let route = self.route(topic).await?;
        let clock = Clock::system();
        let producer = Producer::new(self, &clock, GROUP.to_owned(), topic, &route, QUEUES_MAX);
        let mut producer = producer.ok_or_else(|| {
            AdminError::Conflict(format!("no master takes messages of topic \"{topic}\""))
        })?;
        if *dry_run {
            let next = &producer.queues[producer.next].queue;
            return Ok(SendMessageResponse {
                broker: next.broker_name.clone(),
                queue: next.queue_id,
                status: "DRY_RUN".to_owned(),
                ..SendMessageResponse::default()
            });
        }
        let body = Bytes::copy_from_slice(body.as_bytes());
        let (queue, sent, id) = producer.send(properties, body).await?;
        Ok(SendMessageResponse {
            id,
            offset_id: sent.offset_id,
            broker: queue.broker_name,
            queue: sent.queue_id,
            queue_offset: sent.queue_offset,
            status: sent.status.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::tests::Running;
    use crate::remoting::Command;

    #[test]
    fn ids_are_as_long_as_4_9_4s_and_differ() {
        let mut producer = Producer {
            admin: Admin::new(Vec::new(), Default::default()),
            clock: Clock::system(),
            group: String::new(),
            queues: Vec::new(),
            next: 0,
            counter: 0,
        };
        let (one, other) = (producer.id(1_650_000_000_123), producer.id(1_650_000_000_123));
        assert_eq!((one.len(), other.len()), (32, 32));
        assert_ne!(one, other);
        // The 15th of April, 05:20:00.123.
        assert_eq!(
            &one[20..28],
            format!("{:08X}", (14 * 86_400 + 5 * 3600 + 20 * 60) * 1000 + 123)
        );
    }

    #[test]
    fn properties_are_taken_and_refused_as_4_9_4s_clients_do() {
        let with = |name: &str, value: &str| SendMessageRequest {
            tags: Some("paid".to_owned()),
            delay_level: Some(3),
            properties: [("a".to_owned(), "1".to_owned()), (name.to_owned(), value.to_owned())]
                .into(),
            ..SendMessageRequest::default()
        };
        let taken = with("color", "dark red").to_properties().unwrap();
        let expected = "TAGS\u{1}paid\u{2}DELAY\u{1}3\u{2}a\u{1}1\u{2}color\u{1}dark red";
        assert_eq!(taken.to_string(), expected);
        let now = SendMessageRequest { delay_level: Some(0), ..with("color", "red") };
        assert_eq!(now.to_properties().unwrap().get(properties::DELAY), None);
        // Light queues and 5.x's delays are for applications.
        for name in [properties::LIGHT_QUEUES, properties::TIMER_DELAY_SEC] {
            assert!(with(name, "5").to_properties().is_ok(), "{name}");
        }
        for (name, value, why) in [
            ("KEYS", "x", "property \"KEYS\": the name is the system's, choose another"),
            ("UNIQ_KEY", "x", "property \"UNIQ_KEY\": the name is the system's, choose another"),
            (" ", "x", "property \" \": neither its name nor its value may be blank"),
            ("b", " ", "property \"b\": neither its name nor its value may be blank"),
            ("b", "x\u{2}KEYS\u{1}y", "property \"b\": it has a control character"),
            ("b\u{1}", "x", "property \"b\\u{1}\": it has a control character"),
        ] {
            let error = with(name, value).to_properties().unwrap_err();
            assert_eq!(error, AdminError::Invalid(why.to_owned()));
        }
    }

    #[tokio::test]
    async fn a_message_is_sent_where_it_can_be_and_nowhere_else() {
        let peer = Running::start();
        let route = |perm: i32| {
            format!(
                r#"{{"brokerDatas":[{{"brokerAddrs":{{0:"{}"}},"brokerName":"a","cluster":"C"}}],
                "queueDatas":[{{"brokerName":"a","perm":{perm},"readQueueNums":1,"writeQueueNums":1,"topicSysFlag":0}}]}}"#,
                peer.address
            )
        };
        peer.answer_with(310, |request| {
            // The topic, the properties.
            let properties = request.field("i").unwrap_or_default();
            let is_whole = request.field("b") == Some("T")
                && properties.contains("TAGS\u{1}paid\u{2}")
                && !properties.contains("KEYS")
                && request.body[..] == *b"hello";
            let answer = Command::response(if is_whole { 0 } else { 1 });
            answer.with_field("msgId", "A1").with_field("queueId", 0).with_field("queueOffset", 7)
        });
        let admin = peer.admin();
        let asked = SendMessageRequest {
            topic: "T".to_owned(),
            tags: Some("paid".to_owned()),
            keys: Some(String::new()),
            body: "hello".to_owned(),
            ..SendMessageRequest::default()
        };
        assert_eq!(asked.without_body().body, "5 bytes");
        peer.answer_body(105, &route(4));
        let error = admin.send_message(&asked).await.unwrap_err();
        assert!(matches!(error, AdminError::Conflict(_)), "{error}");
        peer.answer_body(105, &route(6));
        let wrong = SendMessageRequest { keys: Some("a\u{1}b".to_owned()), ..asked.clone() };
        let error = admin.send_message(&wrong).await.unwrap_err();
        assert!(matches!(error, AdminError::Invalid(_)), "{error}");
        let dry = SendMessageRequest { dry_run: true, ..asked.clone() };
        let planned = admin.send_message(&dry).await.unwrap();
        assert_eq!((planned.broker.as_str(), planned.status.as_str()), ("a", "DRY_RUN"));
        assert!(planned.id.is_empty() && !peer.asked().contains(&310), "nothing is sent");
        let sent = admin.send_message(&asked).await.unwrap();
        assert_eq!((sent.broker.as_str(), sent.queue, sent.queue_offset), ("a", 0, 7));
        assert_eq!((sent.offset_id.as_str(), sent.status.as_str()), ("A1", "SEND_OK"));
        peer.answer(105, Command::response(17));
        let error = admin.send_message(&asked).await.unwrap_err();
        assert!(matches!(error, AdminError::NotFound(_)), "{error}");
    }
}
