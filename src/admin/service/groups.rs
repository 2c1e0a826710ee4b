//! The service `Groups`; what it does is in `admin::groups`.

use tonic::{Request, async_trait};

use super::{Answered, Api, Parts, answer, in_parts};
use crate::proto::v1::groups_server::Groups;
use crate::proto::v1::{GetGroupRequest, GroupStatus, ListGroupsRequest, ListGroupsResponse};

#[async_trait]
impl Groups for Api {
    type ListStream = Parts<ListGroupsResponse>;

    async fn list(&self, request: Request<ListGroupsRequest>) -> Answered<Self::ListStream> {
        in_parts(self.admin(&request).groups(request.get_ref()).await, |part| &mut part.groups)
    }

    async fn get(&self, request: Request<GetGroupRequest>) -> Answered<GroupStatus> {
        answer(self.admin(&request).group(&request.get_ref().group).await)
    }
}
