//! The service `Alerts`; what is wrong is found by `admin::alerts`.

use std::sync::Arc;

use tonic::{Request, Status, async_trait};

use super::deadline::deadline;
use super::{Answered, Api, answer};
use crate::admin::alerts;
use crate::proto::v1::alerts_server::Alerts;
use crate::proto::v1::{
    ListAlertsRequest, ListAlertsResponse, SilenceAlertsRequest, SilenceAlertsResponse,
    TestAlertsRequest, TestAlertsResponse,
};

impl Api {
    fn alerts(&self) -> Result<&Arc<alerts::Alerts>, Status> {
        Ok(&self.node()?.alerts)
    }
}

#[async_trait]
impl Alerts for Api {
    async fn list(&self, _: Request<ListAlertsRequest>) -> Answered<ListAlertsResponse> {
        answer(self.alerts()?.list())
    }

    async fn silence(
        &self,
        request: Request<SilenceAlertsRequest>,
    ) -> Answered<SilenceAlertsResponse> {
        let change = self.change("Alerts/Silence", &request);
        let silences = self.alerts()?.silence(request.get_ref()).await;
        change.end(silences.map(|silences| SilenceAlertsResponse { silences })).await
    }

    async fn test(&self, request: Request<TestAlertsRequest>) -> Answered<TestAlertsResponse> {
        let change = self.change("Alerts/Test", &request);
        let done = self.alerts()?.test(deadline(&request)).await;
        change.end(done.map(|done| TestAlertsResponse { done })).await
    }
}
