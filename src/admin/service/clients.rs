//! The service `Clients`; what it does is in `admin::clients`.

use tonic::{Request, async_trait};

use super::{Answered, Api, Parts, answer, in_parts};
use crate::proto::v1::clients_server::Clients;
use crate::proto::v1::{ClientStatus, GetClientRequest, ListClientsRequest, ListClientsResponse};

#[async_trait]
impl Clients for Api {
    type ListStream = Parts<ListClientsResponse>;

    async fn list(&self, _: Request<ListClientsRequest>) -> Answered<Self::ListStream> {
        in_parts(self.admin.clients().await, |part| &mut part.clients)
    }

    async fn get(&self, request: Request<GetClientRequest>) -> Answered<ClientStatus> {
        answer(self.admin.client(request.get_ref()).await)
    }
}
