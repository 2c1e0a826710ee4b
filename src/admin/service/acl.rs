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
    async fn list(&self, request: Request<ListAccountsRequest>) -> Answered<ListAccountsResponse> {
        answer(self.admin(&request).list_accounts().await)
    }

    async fn create(
        &self,
        request: Request<CreateAccountRequest>,
    ) -> Answered<CreateAccountResponse> {
        let asked = request.get_ref();
        let shown = CreateAccountRequest { secret_key: HIDDEN.to_owned(), ..asked.clone() };
        let change = self.change_with("Acl/Create", &request, &shown);
        change.end(self.admin(&request).create_account(asked).await).await
    }

    async fn update(
        &self,
        request: Request<UpdateAccountRequest>,
    ) -> Answered<UpdateAccountResponse> {
        let asked = request.get_ref();
        let secret_key = asked.secret_key.as_ref().map(|_| HIDDEN.to_owned());
        let shown = UpdateAccountRequest { secret_key, ..asked.clone() };
        let change = self.change_with("Acl/Update", &request, &shown);
        change.end(self.admin(&request).update_account(asked).await).await
    }

    async fn delete(
        &self,
        request: Request<DeleteAccountRequest>,
    ) -> Answered<DeleteAccountResponse> {
        let change = self.change("Acl/Delete", &request);
        change.end(self.admin(&request).delete_account_everywhere(request.get_ref()).await).await
    }

    async fn put_white_addresses(
        &self,
        request: Request<PutWhiteAddressesRequest>,
    ) -> Answered<PutWhiteAddressesResponse> {
        let change = self.change("Acl/PutWhiteAddresses", &request);
        change.end(self.admin(&request).put_white_addresses(request.get_ref()).await).await
    }
}
