//! The service `Cluster`; what it does is in `admin::cluster`, and what is gone from the cluster its node's alerts know.

use tonic::{Request, async_trait};

use super::{Answered, Api, answer};
use crate::proto::v1::cluster_server::Cluster;
use crate::proto::v1::{ClusterState, GetClusterRequest};

#[async_trait]
impl Cluster for Api {
    async fn get(&self, request: Request<GetClusterRequest>) -> Answered<ClusterState> {
        let mut state = self.admin(&request).cluster().await;
        if let (Ok(state), Some(node)) = (&mut state, &self.of_node) {
            node.alerts.add_gone(&mut state.brokers);
        }
        answer(state)
    }
}
