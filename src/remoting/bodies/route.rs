//! Where a topic is (105), and which brokers a cluster has (106).
//!
//! Not where that is known from. Invariants: 106 is always in the dialect (N-061); 105 is standard JSON for who can
//! only read that (N-052), and both are read either way.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use crate::model::Permission;
use crate::remoting::DecodeError;
use crate::remoting::json::{self, Form, Value};

/// One topic's queues on one broker group (N-048).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueData {
    /// The group.
    pub broker_name: String,
    /// What clients may do.
    pub permission: Permission,
    /// Queues that consumers read.
    pub read_queues: u32,
    /// Unit flags (N-082).
    pub sys_flag: u32,
    /// Queues that producers write.
    pub write_queues: u32,
}

/// One broker group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerData {
    /// Number in the group to `host:port`; 0 is the master.
    pub addresses: BTreeMap<i64, String>,
    /// The group.
    pub broker_name: String,
    /// The cluster.
    pub cluster: String,
}

/// The answer to 105 (N-053).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TopicRoute {
    /// The groups that have the topic.
    pub brokers: Vec<BrokerData>,
    /// Filter servers by broker address (N-056).
    pub filter_servers: BTreeMap<String, Vec<String>>,
    /// The order of ordered topics (N-054).
    pub order_topic_conf: Option<String>,
    /// Its queues by group.
    pub queues: Vec<QueueData>,
}

/// The answer to 106 (N-061).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClusterInfo {
    /// All groups.
    pub brokers: Vec<BrokerData>,
    /// Cluster to groups.
    pub clusters: BTreeMap<String, BTreeSet<String>>,
}

impl BrokerData {
    fn to_value(&self) -> Value<'_> {
        let addresses = self.addresses.iter().map(|(id, address)| (*id, address.as_str().into()));
        Value::object([
            ("brokerAddrs", Value::map(addresses)),
            ("brokerName", self.broker_name.as_str().into()),
            ("cluster", self.cluster.as_str().into()),
        ])
    }

    fn read(value: &Value<'_>) -> Self {
        let addresses = value.get("brokerAddrs").entries().iter();
        let addresses = addresses
            .filter_map(|(id, address)| Some((id.as_i64()?, address.as_str()?.to_owned())));
        Self {
            addresses: addresses.collect(),
            broker_name: text(value, "brokerName"),
            cluster: text(value, "cluster"),
        }
    }

    /// The master's address; without one, that of the slave with the lowest number (reads go there).
    #[must_use]
    pub fn address(&self) -> Option<&str> {
        self.addresses.values().next().map(String::as_str)
    }

    /// The master's address.
    #[must_use]
    pub fn master(&self) -> Option<&str> {
        self.addresses.get(&0).map(String::as_str)
    }
}

impl QueueData {
    fn to_value(&self) -> Value<'_> {
        Value::object([
            ("brokerName", self.broker_name.as_str().into()),
            ("perm", self.permission.0.into()),
            ("readQueueNums", self.read_queues.into()),
            ("topicSysFlag", self.sys_flag.into()),
            ("writeQueueNums", self.write_queues.into()),
        ])
    }

    fn read(value: &Value<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            broker_name: text(value, "brokerName"),
            permission: Permission(value.number_or("perm", 0)?),
            read_queues: value.number_or("readQueueNums", 0)?,
            // Servers before 4.9 spell it with an n.
            sys_flag: value
                .number("topicSysFlag")?
                .map_or_else(|| value.number_or("topicSynFlag", 0), Ok)?,
            write_queues: value.number_or("writeQueueNums", 0)?,
        })
    }
}

impl TopicRoute {
    /// The body, in standard JSON or in the dialect.
    #[must_use]
    pub fn to_bytes(&self, form: Form) -> Bytes {
        let servers = self.filter_servers.iter().map(|(address, servers)| {
            (address.as_str(), Value::array(servers.iter().map(String::as_str)))
        });
        let order = self.order_topic_conf.as_deref();
        let mut entries =
            vec![("brokerDatas", Value::array(self.brokers.iter().map(BrokerData::to_value)))];
        entries.push(("filterServerTable", Value::map(servers)));
        entries.extend(order.map(|order| ("orderTopicConf", order.into())));
        entries.push(("queueDatas", Value::array(self.queues.iter().map(QueueData::to_value))));
        Value::object(entries).to_bytes(form)
    }

    /// Reads a body.
    ///
    /// # Errors
    /// It is no route.
    pub fn parse(body: &[u8]) -> Result<Self, DecodeError> {
        let value = json::parse(body)?;
        value.expect_object("the route")?;
        let servers =
            value.get("filterServerTable").entries().iter().filter_map(|(address, list)| {
                let list =
                    list.items().iter().filter_map(|server| Some(server.as_str()?.to_owned()));
                Some((address.as_str()?.to_owned(), list.collect()))
            });
        Ok(Self {
            brokers: value.get("brokerDatas").items().iter().map(BrokerData::read).collect(),
            filter_servers: servers.collect(),
            order_topic_conf: value.text("orderTopicConf").map(str::to_owned),
            queues: value
                .get("queueDatas")
                .items()
                .iter()
                .map(QueueData::read)
                .collect::<Result<_, _>>()?,
        })
    }
}

impl ClusterInfo {
    /// The body.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        let brokers =
            self.brokers.iter().map(|broker| (broker.broker_name.as_str(), broker.to_value()));
        let clusters = self.clusters.iter().map(|(cluster, names)| {
            (cluster.as_str(), Value::array(names.iter().map(String::as_str)))
        });
        Value::object([
            ("brokerAddrTable", Value::map(brokers)),
            ("clusterAddrTable", Value::map(clusters)),
        ])
        .to_bytes(Form::Dialect)
    }

    /// Reads a body.
    ///
    /// # Errors
    /// It is no cluster information.
    pub fn parse(body: &[u8]) -> Result<Self, DecodeError> {
        let value = json::parse(body)?;
        value.expect_object("the cluster information")?;
        let brokers = value.get("brokerAddrTable").entries().iter();
        let clusters = value.get("clusterAddrTable").entries().iter().filter_map(|(name, list)| {
            let list = list.items().iter().filter_map(|broker| Some(broker.as_str()?.to_owned()));
            Some((name.as_str()?.to_owned(), list.collect()))
        });
        Ok(Self {
            brokers: brokers.map(|(_, broker)| BrokerData::read(broker)).collect(),
            clusters: clusters.collect(),
        })
    }
}

fn text(value: &Value<'_>, key: &str) -> String {
    value.text(key).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn broker() -> BrokerData {
        let addresses = [(0, "127.0.0.1:10911".to_owned()), (1, "127.0.0.1:11911".to_owned())];
        BrokerData {
            addresses: addresses.into(),
            broker_name: "broker-a".to_owned(),
            cluster: "DefaultCluster".to_owned(),
        }
    }

    #[test]
    fn routes_are_written_as_n053_says_and_read_in_both_forms() {
        let mut route = TopicRoute {
            brokers: vec![broker()],
            queues: vec![QueueData {
                broker_name: "broker-a".to_owned(),
                permission: Permission(7),
                read_queues: 8,
                sys_flag: 0,
                write_queues: 8,
            }],
            ..TopicRoute::default()
        };
        let queues = r#""queueDatas":[{"brokerName":"broker-a","perm":7,"readQueueNums":8,"topicSysFlag":0,"writeQueueNums":8}]}"#;
        let dialect = format!(
            r#"{{"brokerDatas":[{{"brokerAddrs":{{0:"127.0.0.1:10911",1:"127.0.0.1:11911"}},"brokerName":"broker-a","cluster":"DefaultCluster"}}],"filterServerTable":{{}},{queues}"#
        );
        assert_eq!(route.to_bytes(Form::Dialect), dialect);
        let standard = dialect.replace("{0:", "{\"0\":").replace(",1:", ",\"1\":");
        assert_eq!(route.to_bytes(Form::Standard), standard);
        route.order_topic_conf = Some("broker-a:8".to_owned());
        route.filter_servers.insert("127.0.0.1:10911".to_owned(), vec!["f:1".to_owned()]);
        for form in [Form::Dialect, Form::Standard] {
            assert_eq!(TopicRoute::parse(&route.to_bytes(form)).unwrap(), route);
        }
        assert!(TopicRoute::parse(b"[]").is_err());
    }

    #[test]
    fn cluster_information_is_written_as_n061_says_and_read_again() {
        let names = BTreeSet::from(["broker-a".to_owned()]);
        let info = ClusterInfo {
            brokers: vec![broker()],
            clusters: [("DefaultCluster".to_owned(), names)].into(),
        };
        let expected = r#"{"brokerAddrTable":{"broker-a":{"brokerAddrs":{0:"127.0.0.1:10911",1:"127.0.0.1:11911"},"brokerName":"broker-a","cluster":"DefaultCluster"}},"clusterAddrTable":{"DefaultCluster":["broker-a"]}}"#;
        assert_eq!(info.to_bytes(), expected);
        assert_eq!(ClusterInfo::parse(expected.as_bytes()).unwrap(), info);
        assert_eq!(info.brokers[0].master(), Some("127.0.0.1:10911"));
    }
}
