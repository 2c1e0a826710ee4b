//! The service `Groups`; what it does is in `admin::groups`.

use tonic::{Request, async_trait};

use super::{Answered, Api, Parts, answer, in_parts};
use crate::proto::v1::groups_server::Groups;
use crate::proto::v1::{
    CreateGroupRequest, CreateGroupResponse, DeleteGroupRequest, DeleteGroupResponse,
    GetGroupRequest, GroupStatus, ListGroupsRequest, ListGroupsResponse, UpdateGroupRequest,
    UpdateGroupResponse,
};

#[async_trait]
impl Groups for Api {
    type ListStream = Parts<ListGroupsResponse>;

    async fn list(&self, request: Request<ListGroupsRequest>) -> Answered<Self::ListStream> {
        in_parts(self.admin.groups(request.get_ref()).await, |part| &mut part.groups)
    }

    async fn get(&self, request: Request<GetGroupRequest>) -> Answered<GroupStatus> {
        answer(self.admin.group(&request.get_ref().group).await)
    }

    async fn create(&self, request: Request<CreateGroupRequest>) -> Answered<CreateGroupResponse> {
        let change = self.change("Groups/Create", &request);
        change.end(self.admin.create_group(request.get_ref()).await).await
    }

    async fn update(&self, request: Request<UpdateGroupRequest>) -> Answered<UpdateGroupResponse> {
        let change = self.change("Groups/Update", &request);
        change.end(self.admin.update_group(request.get_ref()).await).await
    }

    async fn delete(&self, request: Request<DeleteGroupRequest>) -> Answered<DeleteGroupResponse> {
        let change = self.change("Groups/Delete", &request);
        change.end(self.admin.delete_group(request.get_ref()).await).await
    }
}
