//! Which brokers and queues a topic has: asked of the name servers like any client does.

use std::time::Duration;

use super::BenchError;
use crate::model::Permission;
use crate::remoting::bodies::route::{BrokerData, TopicRoute};
use crate::remoting::{Command, request, response};
use crate::transport::Client;

const TIMEOUT: Duration = Duration::from_secs(5);
/// The topic whose brokers create others (B-055).
const TEMPLATE_TOPIC: &str = "TBW102";
/// Queues a client asks for when a topic is created, and what is assumed of a broker given directly.
const DEFAULT_QUEUES: i32 = 4;

/// One queue of one broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Queue {
    pub(super) address: String,
    pub(super) id: i32,
}

/// What the queues are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    Produce,
    Consume,
}

/// The queues of a broker that was given by address: nobody is asked.
pub(super) fn of_broker(address: &str) -> Vec<Queue> {
    (0..DEFAULT_QUEUES).map(|id| Queue { address: address.to_owned(), id }).collect()
}

/// Asks the name servers in turn.
pub(super) async fn find(
    client: &Client,
    name_servers: &[String],
    topic: &str,
    purpose: Purpose,
) -> Result<Vec<Queue>, BenchError> {
    let mut queues = ask(client, name_servers, topic, purpose).await?;
    if queues.is_empty() && purpose == Purpose::Produce {
        queues = ask(client, name_servers, TEMPLATE_TOPIC, purpose).await?;
        queues.retain(|queue| queue.id < DEFAULT_QUEUES);
    }
    if queues.is_empty() {
        return Err(BenchError::NoQueues(topic.to_owned()));
    }
    Ok(queues)
}

async fn ask(
    client: &Client,
    name_servers: &[String],
    topic: &str,
    purpose: Purpose,
) -> Result<Vec<Queue>, BenchError> {
    let mut last_error = BenchError::NoNameServer;
    for address in name_servers {
        let request = Command::request(request::GET_ROUTEINFO_BY_TOPIC).with_field("topic", topic);
        match client.call(address, request, TIMEOUT).await {
            Ok(answer) if answer.code == response::TOPIC_NOT_EXIST => return Ok(Vec::new()),
            Ok(answer) if answer.code == response::SUCCESS => {
                let route = TopicRoute::parse(&answer.body).map_err(|error| {
                    BenchError::Answer { address: address.clone(), reason: error.to_string() }
                })?;
                return Ok(queues_of(&route, purpose));
            }
            Ok(answer) => {
                let reason = format!("code {} {}", answer.code, answer.remark.unwrap_or_default());
                last_error = BenchError::Answer { address: address.clone(), reason };
            }
            Err(error) => last_error = BenchError::Call(error),
        }
    }
    Err(last_error)
}

/// The queues of a route; brokers that cannot serve the purpose are left out.
fn queues_of(route: &TopicRoute, purpose: Purpose) -> Vec<Queue> {
    let mut queues = Vec::new();
    for data in &route.queues {
        let (permission, count) = match purpose {
            Purpose::Produce => (Permission::WRITE, data.write_queues),
            Purpose::Consume => (Permission::READ, data.read_queues),
        };
        if !data.permission.contains(permission) {
            continue;
        }
        let named = |broker: &&BrokerData| broker.broker_name == data.broker_name;
        let Some(broker) = route.brokers.iter().find(named) else { continue };
        let Some(address) = address_of(broker, purpose) else { continue };
        let queues_max = i32::try_from(count).unwrap_or(0);
        queues.extend((0..queues_max).map(|id| Queue { address: address.to_owned(), id }));
    }
    queues
}

/// The master; to read from, a slave will do.
fn address_of(broker: &BrokerData, purpose: Purpose) -> Option<&str> {
    let (id, address) = broker.addresses.first_key_value()?;
    (*id == 0 || purpose == Purpose::Consume).then_some(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROUTE: &str = r#"{"brokerDatas":[
        {"brokerAddrs":{1:"127.0.0.1:3",0:"127.0.0.1:1"},"brokerName":"a","cluster":"c"},
        {"brokerAddrs":{1:"127.0.0.1:2"},"brokerName":"b","cluster":"c"}],
        "filterServerTable":{},"queueDatas":[
        {"brokerName":"a","perm":6,"readQueueNums":3,"topicSynFlag":0,"writeQueueNums":2},
        {"brokerName":"b","perm":6,"readQueueNums":1,"topicSynFlag":0,"writeQueueNums":2},
        {"brokerName":"gone","perm":6,"readQueueNums":1,"topicSynFlag":0,"writeQueueNums":2}]}"#;

    fn queues(route: &str, purpose: Purpose) -> Vec<String> {
        let route = TopicRoute::parse(route.as_bytes()).unwrap();
        let queues = queues_of(&route, purpose);
        queues.iter().map(|queue| format!("{} {}", queue.address, queue.id)).collect()
    }

    #[test]
    fn messages_go_to_masters_only() {
        assert_eq!(queues(ROUTE, Purpose::Produce), ["127.0.0.1:1 0", "127.0.0.1:1 1"]);
    }

    #[test]
    fn messages_come_from_a_slave_if_the_master_is_down() {
        let expected = ["127.0.0.1:1 0", "127.0.0.1:1 1", "127.0.0.1:1 2", "127.0.0.1:2 0"];
        assert_eq!(queues(ROUTE, Purpose::Consume), expected);
    }

    #[test]
    fn a_queue_without_the_permission_is_left_out() {
        let read_only = ROUTE.replace("\"perm\":6", "\"perm\":4");
        assert!(queues(&read_only, Purpose::Produce).is_empty());
        assert!(queues("{}", Purpose::Produce).is_empty());
    }
}
