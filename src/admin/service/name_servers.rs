//! The service `NameServers`; what it does is in `admin::name_servers`.

use tonic::{Request, async_trait};

use super::{Answered, Api, answer};
use crate::proto::v1::name_servers_server::NameServers;
use crate::proto::v1::{
    DeleteKvRequest, DeleteKvResponse, ListKvRequest, ListKvResponse,
    ListNameServerSettingsRequest, ListNameServerSettingsResponse, ListNameServersRequest,
    ListNameServersResponse, PutKvRequest, PutKvResponse, PutNameServerSettingRequest,
    PutNameServerSettingResponse, PutWritePermissionRequest, PutWritePermissionResponse,
};

#[async_trait]
impl NameServers for Api {
    async fn list(
        &self,
        request: Request<ListNameServersRequest>,
    ) -> Answered<ListNameServersResponse> {
        answer(self.admin.list_name_servers(request.get_ref()).await)
    }

    async fn list_kv(&self, request: Request<ListKvRequest>) -> Answered<ListKvResponse> {
        answer(self.admin.list_kv(request.get_ref()).await)
    }

    async fn put_kv(&self, request: Request<PutKvRequest>) -> Answered<PutKvResponse> {
        let change = self.change("NameServers/PutKv", &request);
        change.end(self.admin.put_kv_everywhere(request.get_ref()).await).await
    }

    async fn delete_kv(&self, request: Request<DeleteKvRequest>) -> Answered<DeleteKvResponse> {
        let change = self.change("NameServers/DeleteKv", &request);
        change.end(self.admin.delete_kv_everywhere(request.get_ref()).await).await
    }

    async fn list_settings(
        &self,
        _: Request<ListNameServerSettingsRequest>,
    ) -> Answered<ListNameServerSettingsResponse> {
        answer(self.admin.list_name_server_settings().await)
    }

    async fn put_setting(
        &self,
        request: Request<PutNameServerSettingRequest>,
    ) -> Answered<PutNameServerSettingResponse> {
        let change = self.change("NameServers/PutSetting", &request);
        change.end(Ok(self.admin.put_name_server_setting(request.get_ref()).await)).await
    }

    async fn put_write_permission(
        &self,
        request: Request<PutWritePermissionRequest>,
    ) -> Answered<PutWritePermissionResponse> {
        let change = self.change("NameServers/PutWritePermission", &request);
        change.end(self.admin.put_write_permission(request.get_ref()).await).await
    }
}
