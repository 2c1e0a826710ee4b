//! Which brokers there are, as the name servers tell (106).
//!
//! Not whether they answer.

use super::{Admin, AdminError};
use crate::remoting::bodies::route::{BrokerData, ClusterInfo};
use crate::remoting::{Command, request};

impl Admin {
    /// All broker groups by their names; `cluster` leaves out those of others.
    ///
    /// # Errors
    /// No name server answers, there is no such cluster, or nothing is registered.
    pub(super) async fn broker_groups(
        &self,
        cluster: Option<&str>,
    ) -> Result<Vec<BrokerData>, AdminError> {
        let request = Command::request(request::GET_BROKER_CLUSTER_INFO);
        let (address, answer) = self.call_name_server(&request).await?;
        let info = ClusterInfo::parse(&answer.body);
        let mut groups = info.map_err(|error| AdminError::unreadable(address, &error))?.brokers;
        groups.sort_by(|a, b| a.broker_name.cmp(&b.broker_name));
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
