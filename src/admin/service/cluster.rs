//! The service `Cluster`; what it does is in `admin::cluster`.

use tonic::{Request, async_trait};

use super::{Answered, Api, answer};
use crate::proto::v1::cluster_server::Cluster;
use crate::proto::v1::{ClusterState, GetClusterRequest};

#[async_trait]
impl Cluster for Api {
    async fn get(&self, request: Request<GetClusterRequest>) -> Answered<ClusterState> {
        answer(self.admin(&request).cluster().await)
    }
}
