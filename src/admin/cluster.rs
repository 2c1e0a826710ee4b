//! Which brokers there are, as the name servers tell (106).
//!
//! Not whether they answer.

use std::collections::BTreeMap;

use super::{Admin, AdminError, body};
use crate::remoting::json::Value;
use crate::remoting::{Command, request};

/// The brokers of one name: a master, slaves, or both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerGroup {
    /// The cluster it belongs to.
    pub cluster: String,
    /// Its name (`brokerName`).
    pub name: String,
    /// Addresses by number; 0 is the master.
    pub addresses: BTreeMap<i64, String>,
}

impl BrokerGroup {
    /// Reads one `BrokerData`, as 105 and 106 have it.
    pub(super) fn read(data: &Value<'_>) -> Self {
        let text = |key| data.text(key).unwrap_or_default().to_owned();
        let addresses = data.get("brokerAddrs").entries().iter();
        let address = |(id, address): &(Value<'_>, Value<'_>)| {
            Some((id.as_i64()?, address.as_str()?.to_owned()))
        };
        Self {
            cluster: text("cluster"),
            name: text("brokerName"),
            addresses: addresses.filter_map(address).collect(),
        }
    }

    /// Who can be changed.
    #[must_use]
    pub fn master(&self) -> Option<&str> {
        self.addresses.get(&0).map(String::as_str)
    }

    /// Who can be asked: the master, or else a slave.
    #[must_use]
    pub fn readable(&self) -> Option<&str> {
        self.addresses.values().next().map(String::as_str)
    }
}

impl Admin {
    /// All broker groups by their names; `cluster` leaves out those of others.
    ///
    /// # Errors
    /// No name server answers, there is no such cluster, or nothing is registered.
    pub async fn broker_groups(
        &self,
        cluster: Option<&str>,
    ) -> Result<Vec<BrokerGroup>, AdminError> {
        let request = Command::request(request::GET_BROKER_CLUSTER_INFO);
        let (address, answer) = self.call_name_server(&request).await?;
        let body = body(address, &answer)?;
        let table = body.get("brokerAddrTable").entries().iter();
        let mut groups: Vec<BrokerGroup> = table.map(|(_, data)| BrokerGroup::read(data)).collect();
        groups.sort_by(|a, b| a.name.cmp(&b.name));
        if groups.is_empty() {
            let text = format!(
                "no broker is registered with {address}: start one, or look whether its name_servers name this one"
            );
            return Err(AdminError::NotFound(text));
        }
        let Some(cluster) = cluster else { return Ok(groups) };
        let mut clusters: Vec<String> = groups.iter().map(|one| one.cluster.clone()).collect();
        groups.retain(|group| group.cluster == cluster);
        if groups.is_empty() {
            clusters.sort();
            clusters.dedup();
            let known = clusters.join(", ");
            let text =
                format!("no cluster \"{cluster}\" is registered with {address}; there is: {known}");
            return Err(AdminError::NotFound(text));
        }
        Ok(groups)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::remoting::json;

    #[test]
    fn a_group_is_read_in_both_forms_n061() {
        for ids in
            ["0:\"127.0.0.1:1\",1:\"127.0.0.1:2\"", "\"1\":\"127.0.0.1:2\",\"0\":\"127.0.0.1:1\""]
        {
            let text =
                format!("{{\"brokerAddrs\":{{{ids}}},\"brokerName\":\"a\",\"cluster\":\"C\"}}");
            let group = BrokerGroup::read(&json::parse(text.as_bytes()).unwrap());
            assert_eq!((group.cluster.as_str(), group.name.as_str()), ("C", "a"));
            assert_eq!(
                (group.master(), group.readable()),
                (Some("127.0.0.1:1"), Some("127.0.0.1:1"))
            );
        }
    }

    #[test]
    fn a_group_without_master_can_be_asked_only() {
        let text = "{\"brokerAddrs\":{2:\"x:1\"},\"brokerName\":\"a\",\"cluster\":\"C\"}";
        let group = BrokerGroup::read(&json::parse(text.as_bytes()).unwrap());
        assert_eq!((group.master(), group.readable()), (None, Some("x:1")));
    }
}
