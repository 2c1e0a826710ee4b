//! The service `Offsets`; what it does is in `admin::offsets`.

use tonic::{Request, async_trait};

use super::{Answered, Api};
use crate::proto::v1::offsets_server::Offsets;
use crate::proto::v1::{ResetOffsetsRequest, ResetOffsetsResponse};

#[async_trait]
impl Offsets for Api {
    async fn reset(&self, request: Request<ResetOffsetsRequest>) -> Answered<ResetOffsetsResponse> {
        let change = self.change("Offsets/Reset", &request);
        change.end(self.admin(&request).reset_group(request.get_ref()).await).await
    }
}
