//! The service `Acl`; what it does is in `admin::accounts`. Invariant: what the audit log gets has no secret.

use tonic::{Request, async_trait};

use super::{Answered, Api, answer};
use crate::proto::v1::acl_server::Acl;
use crate::proto::v1::{
    CreateAccountRequest, CreateAccountResponse, DeleteAccountRequest, DeleteAccountResponse,
    ListAccountsRequest, ListAccountsResponse, PutWhiteAddressesRequest, PutWhiteAddressesResponse,
    UpdateAccountRequest, UpdateAccountResponse,
};

/// What the audit log gets for a secret.
const HIDDEN: &str = "***";

#[async_trait]
impl Acl for Api {
    async fn list(&self, _: Request<ListAccountsRequest>) -> Answered<ListAccountsResponse> {
        answer(self.admin.list_accounts().await)
    }

    async fn create(
        &self,
        mut request: Request<CreateAccountRequest>,
    ) -> Answered<CreateAccountResponse> {
        let asked = request.get_ref().clone();
        request.get_mut().secret_key = HIDDEN.to_owned();
        let change = self.change("Acl/Create", &request);
        change.end(self.admin.create_account(&asked).await).await
    }

    async fn update(
        &self,
        mut request: Request<UpdateAccountRequest>,
    ) -> Answered<UpdateAccountResponse> {
        let asked = request.get_ref().clone();
        if let Some(secret) = &mut request.get_mut().secret_key {
            *secret = HIDDEN.to_owned();
        }
        let change = self.change("Acl/Update", &request);
        change.end(self.admin.update_account(&asked).await).await
    }

    async fn delete(
        &self,
        request: Request<DeleteAccountRequest>,
    ) -> Answered<DeleteAccountResponse> {
        let change = self.change("Acl/Delete", &request);
        change.end(self.admin.delete_account_everywhere(request.get_ref()).await).await
    }

    async fn put_white_addresses(
        &self,
        request: Request<PutWhiteAddressesRequest>,
    ) -> Answered<PutWhiteAddressesResponse> {
        let change = self.change("Acl/PutWhiteAddresses", &request);
        change.end(self.admin.put_white_addresses(request.get_ref()).await).await
    }
}
