//! The service `Topics`; what it does is in `admin::topics`.

use tonic::{Request, Response, async_trait};

use super::{Answered, Api, Parts, in_parts};
use crate::proto::v1::topics_server::Topics;
use crate::proto::v1::{
    CreateTopicRequest, CreateTopicResponse, DeleteTopicRequest, DeleteTopicResponse,
    GetTopicRequest, ListTopicsRequest, ListTopicsResponse, RepairTopicsRequest,
    RepairTopicsResponse, TopicStatus, UpdateTopicRequest, UpdateTopicResponse,
};

#[async_trait]
impl Topics for Api {
    type ListStream = Parts<ListTopicsResponse>;

    async fn list(&self, request: Request<ListTopicsRequest>) -> Answered<Self::ListStream> {
        in_parts(self.admin(&request).topics().await, |part| &mut part.topics)
    }

    async fn get(&self, request: Request<GetTopicRequest>) -> Answered<TopicStatus> {
        let (admin, asked) = (self.admin(&request), request.get_ref());
        let mut topic = admin.topic(&asked.topic).await?;
        if asked.with_groups {
            admin.add_groups(&mut topic).await;
        }
        Ok(Response::new(topic))
    }

    async fn create(&self, request: Request<CreateTopicRequest>) -> Answered<CreateTopicResponse> {
        let change = self.change("Topics/Create", &request);
        change.end(self.admin(&request).create_topic(request.get_ref()).await).await
    }

    async fn update(&self, request: Request<UpdateTopicRequest>) -> Answered<UpdateTopicResponse> {
        let change = self.change("Topics/Update", &request);
        change.end(self.admin(&request).update_topic(request.get_ref()).await).await
    }

    async fn repair(
        &self,
        request: Request<RepairTopicsRequest>,
    ) -> Answered<RepairTopicsResponse> {
        let change = self.change("Topics/Repair", &request);
        change.end(self.admin(&request).repair_topics(request.get_ref()).await).await
    }

    async fn delete(&self, request: Request<DeleteTopicRequest>) -> Answered<DeleteTopicResponse> {
        let change = self.change("Topics/Delete", &request);
        change.end(self.admin(&request).delete_topic(request.get_ref()).await).await
    }
}
