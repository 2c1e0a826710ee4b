//! Clients that are connected: all that brokers know (201, then 203 of each group, and 328), and one from within (307).
//!
//! Nothing is changed. Brokers have no list of consumers, so that theirs costs a call for each group at each broker; who
//! does not answer once is not asked again. Invariant: one id is one client, whatever it does and wherever it is connected.

use std::collections::BTreeMap;

use super::{Admin, AdminError, address_of, all, from_each_or_slave, try_all};
use crate::model::MessageQueue;
use crate::proto::v1::{
    ClientStatus, ConnectedClient, ConsumerQueue, ConsumerRates, GetClientRequest,
    GroupSubscription, ListClientsResponse, Problem, RunningConsumer,
};
use crate::remoting::bodies::clients::{ClientConnection, Producer};
use crate::remoting::bodies::route::BrokerData;
use crate::remoting::bodies::running_info::{
    ConsumeStatus, ProcessQueue, RunningInfo, RunningSubscription,
};
use crate::remoting::response;

/// The group of the producer that each Java client has for itself.
const INNER_PRODUCER: &str = "CLIENT_INNER_PRODUCER";
/// What Java consumers name the time of their start.
const STARTED: &str = "PROP_CONSUMER_START_TIMESTAMP";

/// What one broker knows of its clients: by group.
struct OfBroker {
    producers: Vec<(String, Vec<Producer>)>,
    consumers: Vec<(String, Vec<ClientConnection>)>,
}

impl Admin {
    /// Every client that a broker knows. A broker that does not answer is told of in the listing.
    ///
    /// # Errors
    /// No name server answers, or no broker is registered, or none of them answers.
    pub async fn clients(&self) -> Result<ListClientsResponse, AdminError> {
        let brokers = self.broker_groups(None).await?;
        let answers = all(brokers.iter().map(|broker| self.clients_of(broker))).await;
        let (told, problems) = from_each_or_slave(&brokers, answers, "clients")?;
        let mut clients: BTreeMap<String, ConnectedClient> = BTreeMap::new();
        for (broker, of_broker) in told {
            let broker = &broker.broker_name;
            for (group, producers) in of_broker.producers {
                for producer in producers {
                    let client = known(&mut clients, &producer.connection, broker);
                    let heartbeat = Some(producer.last_update_timestamp).filter(|time| *time > 0);
                    client.last_heartbeat_ms = client.last_heartbeat_ms.max(heartbeat);
                    if group != INNER_PRODUCER {
                        add(&mut client.producer_groups, &group);
                    }
                }
            }
            for (group, members) in of_broker.consumers {
                for member in members {
                    add(&mut known(&mut clients, &member, broker).consumer_groups, &group);
                }
            }
        }
        Ok(ListClientsResponse { clients: clients.into_values().collect(), problems })
    }

    async fn clients_of(&self, broker: &BrokerData) -> Result<OfBroker, AdminError> {
        let address = address_of(broker)?;
        let producers = self.all_producers(address).await?;
        let configs = self.group_configs(address).await?;
        let consumers = try_all(&configs, async |config| {
            let group = config.name.as_str();
            match self.consumers(address, group).await {
                Ok(found) => Ok(Some((group.to_owned(), found.connections))),
                Err(error) if error.is_refused(response::CONSUMER_NOT_ONLINE) => Ok(None),
                Err(error) => Err(error),
            }
        });
        let consumers = consumers.await?.into_iter().flatten().collect();
        Ok(OfBroker { producers, consumers })
    }

    /// One client, and what it tells of itself in each group that it consumes in.
    ///
    /// # Errors
    /// Nobody answers, or no broker that answers knows the client.
    pub async fn client(&self, request: &GetClientRequest) -> Result<ClientStatus, AdminError> {
        let id = &request.client_id;
        let ListClientsResponse { clients, mut problems } = self.clients().await?;
        let Some(client) = clients.into_iter().find(|client| client.client_id == *id) else {
            let text = format!(
                "no broker that answers knows a client \"{id}\": `rmq-node admin clients` shows who is connected"
            );
            return Err(AdminError::NotFound(text));
        };
        let brokers = self.broker_groups(None).await?;
        let its = |broker: &&BrokerData| client.brokers.contains(&broker.broker_name);
        let over = brokers.iter().filter(its).find_map(BrokerData::address).unwrap_or_default();
        let told = all(client.consumer_groups.iter().map(async |group| {
            let told = self.running_info(over, group, id, request.with_stacks).await;
            (group, told)
        }));
        let mut consumers = Vec::new();
        for (group, told) in told.await {
            match told {
                Ok(info) => consumers.push(consumer_of(group, info)),
                Err(error) => problems.push(Problem {
                    at: group.clone(),
                    reason: format!(
                        "what {id} tells of itself in group {group} is missing: {error}"
                    ),
                    ..Problem::default()
                }),
            }
        }
        Ok(ClientStatus { client: Some(client), consumers, problems })
    }
}

/// The client of a connection at a broker.
fn known<'a>(
    clients: &'a mut BTreeMap<String, ConnectedClient>,
    connection: &ClientConnection,
    broker: &String,
) -> &'a mut ConnectedClient {
    let ClientConnection { client_id, address, language, version } = connection;
    let client = clients.entry(client_id.clone()).or_insert_with(|| ConnectedClient {
        client_id: client_id.clone(),
        address: address.clone(),
        language: language.name().to_owned(),
        version: *version,
        ..ConnectedClient::default()
    });
    add(&mut client.brokers, broker);
    client
}

/// Adds a name once, in order.
fn add(names: &mut Vec<String>, name: &String) {
    if let Err(at) = names.binary_search(name) {
        names.insert(at, name.clone());
    }
}

fn consumer_of(group: &str, info: RunningInfo) -> RunningConsumer {
    let subscription = |one: &RunningSubscription| GroupSubscription {
        topic: one.topic.clone(),
        expression: one.expression.clone(),
    };
    RunningConsumer {
        group: group.to_owned(),
        started_ms: info.properties.get(STARTED).and_then(|text| text.parse().ok()),
        subscriptions: info.subscriptions.iter().map(subscription).collect(),
        queues: info.queues.iter().map(|(queue, process)| queue_of(queue, process)).collect(),
        rates: info.statuses.iter().map(|(topic, status)| rates_of(topic, status)).collect(),
        properties: info.properties,
        stacks: info.stacks,
    }
}

fn queue_of(queue: &MessageQueue, process: &ProcessQueue) -> ConsumerQueue {
    let time = |time: i64| Some(time).filter(|time| *time > 0);
    ConsumerQueue {
        topic: queue.topic.clone(),
        broker: queue.broker_name.clone(),
        queue: queue.queue_id,
        commit_offset: process.commit_offset,
        cached_messages: process.cached_msg_count,
        cached_mib: process.cached_msg_size_in_mib,
        is_locked: process.locked,
        is_dropped: process.dropped,
        last_pull_ms: time(process.last_pull_timestamp),
        last_consume_ms: time(process.last_consume_timestamp),
    }
}

fn rates_of(topic: &str, status: &ConsumeStatus) -> ConsumerRates {
    ConsumerRates {
        topic: topic.to_owned(),
        pull_ms: status.pull_rt,
        pulled_per_s: status.pull_tps,
        consume_ms: status.consume_rt,
        consumed_per_s: status.consume_ok_tps,
        failed_per_s: status.consume_failed_tps,
        failed_in_hour: status.consume_failed_msgs,
    }
}
