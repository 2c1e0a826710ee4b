//! The service `Messages`; what it does is in `admin::timers`.

use tonic::{Request, async_trait};

use super::{Answered, Api};
use crate::proto::v1::messages_server::Messages;
use crate::proto::v1::{CancelTimerRequest, CancelTimerResponse};

#[async_trait]
impl Messages for Api {
    async fn cancel_timer(
        &self,
        request: Request<CancelTimerRequest>,
    ) -> Answered<CancelTimerResponse> {
        let change = self.change("Messages/CancelTimer", &request);
        change.end(self.admin.cancel_timer(&request.get_ref().id).await).await
    }
}
