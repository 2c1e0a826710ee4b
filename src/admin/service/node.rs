//! The service `Node`; the node does it (`admin::NodeControl`).

use std::sync::Arc;

use tonic::{Request, Response, Status, async_trait};

use super::{Answered, Api, answer};
use crate::admin::AdminError;
use crate::proto::v1::node_server::Node;
use crate::proto::v1::{
    NodeStatus, NodeStatusRequest, ReloadNodeRequest, ReloadNodeResponse, ResyncRequest,
    ResyncResponse, StopNodeRequest, StopNodeResponse, UpgradeCheckRequest, UpgradeCheckResponse,
};
use crate::task;

#[async_trait]
impl Node for Api {
    async fn status(&self, _: Request<NodeStatusRequest>) -> Answered<NodeStatus> {
        Ok(Response::new(self.node()?.control.status()))
    }

    async fn reload(&self, request: Request<ReloadNodeRequest>) -> Answered<ReloadNodeResponse> {
        let control = Arc::clone(&self.node()?.control);
        let change = self.change("Node/Reload", &request);
        let reloading = task::spawn_blocking("reload", move || control.reload()).await;
        // That it did not end is a bug.
        let changed = reloading.map_err(|error| Status::internal(error.to_string()))?;
        change.end(changed.map(|changed| ReloadNodeResponse { changed })).await
    }

    async fn resync(&self, request: Request<ResyncRequest>) -> Answered<ResyncResponse> {
        let slave = self.node()?.control.slave_address(&request.get_ref().group);
        let change = self.change("Node/Resync", &request);
        let resync = async || -> Result<ResyncResponse, AdminError> {
            let slave = slave?;
            if !request.get_ref().dry_run {
                self.admin(&request).resync(&slave).await?;
            }
            Ok(ResyncResponse {})
        };
        change.end(resync().await).await
    }

    async fn upgrade_check(
        &self,
        request: Request<UpgradeCheckRequest>,
    ) -> Answered<UpgradeCheckResponse> {
        let own = self.node()?.control.own();
        answer(self.admin(&request).upgrade_check(&own).await)
    }

    async fn stop(&self, request: Request<StopNodeRequest>) -> Answered<StopNodeResponse> {
        let control = Arc::clone(&self.node()?.control);
        let answer = self.change("Node/Stop", &request).end(Ok(StopNodeResponse {})).await;
        control.stop();
        answer
    }
}
