//! The service `Brokers`; what it does is in `admin::brokers`.

use tonic::{Request, async_trait};

use super::{Answered, Api, answer};
use crate::proto::v1::brokers_server::Brokers;
use crate::proto::v1::{
    BrokerConfig, BrokerStatus, DrainBrokerRequest, DrainBrokerResponse, GetBrokerConfigRequest,
    GetBrokerRequest, ListBrokersRequest, ListBrokersResponse, ResetBrokerConfigRequest,
    ResetBrokerConfigResponse, ResumeBrokerRequest, ResumeBrokerResponse, SetBrokerConfigRequest,
    SetBrokerConfigResponse,
};

impl Api {
    /// Where no broker is named, the node's own master is meant.
    fn named(&self, broker: &mut Option<String>) {
        if broker.is_some() {
            return;
        }
        let masters = self.of_node.as_ref().map(|node| node.control.masters()).unwrap_or_default();
        if let [only] = masters.as_slice() {
            *broker = Some(only.clone());
        }
    }
}

#[async_trait]
impl Brokers for Api {
    async fn list(&self, _: Request<ListBrokersRequest>) -> Answered<ListBrokersResponse> {
        answer(self.admin.brokers().await)
    }

    async fn get(&self, mut request: Request<GetBrokerRequest>) -> Answered<BrokerStatus> {
        self.named(&mut request.get_mut().broker);
        answer(self.admin.broker(request.get_ref()).await)
    }

    async fn drain(
        &self,
        mut request: Request<DrainBrokerRequest>,
    ) -> Answered<DrainBrokerResponse> {
        self.named(&mut request.get_mut().broker);
        let change = self.change("Brokers/Drain", &request);
        change.end(self.admin.drain(request.get_ref()).await).await
    }

    async fn resume(
        &self,
        mut request: Request<ResumeBrokerRequest>,
    ) -> Answered<ResumeBrokerResponse> {
        self.named(&mut request.get_mut().broker);
        let change = self.change("Brokers/Resume", &request);
        change.end(self.admin.resume(request.get_ref()).await).await
    }

    async fn get_config(
        &self,
        mut request: Request<GetBrokerConfigRequest>,
    ) -> Answered<BrokerConfig> {
        self.named(&mut request.get_mut().broker);
        answer(self.admin.broker_config(request.get_ref()).await)
    }

    async fn set_config(
        &self,
        mut request: Request<SetBrokerConfigRequest>,
    ) -> Answered<SetBrokerConfigResponse> {
        self.named(&mut request.get_mut().broker);
        let change = self.change("Brokers/SetConfig", &request);
        change.end(self.admin.set_broker_config(request.get_ref()).await).await
    }

    async fn reset_config(
        &self,
        mut request: Request<ResetBrokerConfigRequest>,
    ) -> Answered<ResetBrokerConfigResponse> {
        self.named(&mut request.get_mut().broker);
        let change = self.change("Brokers/ResetConfig", &request);
        change.end(self.admin.reset_broker_config(request.get_ref()).await).await
    }
}
