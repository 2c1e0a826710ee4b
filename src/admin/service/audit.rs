//! The service `Audit`; the log is `admin::audit`.

use std::sync::Arc;

use tonic::{Request, Status, async_trait};

use super::{Answered, Api, Parts, in_parts};
use crate::proto::v1::audit_server::Audit;
use crate::proto::v1::{ListAuditRequest, ListAuditResponse};
use crate::task;

/// Records that are listed if nothing is asked for.
const RECORDS: u32 = 100;

#[async_trait]
impl Audit for Api {
    type ListStream = Parts<ListAuditResponse>;

    async fn list(&self, request: Request<ListAuditRequest>) -> Answered<Self::ListStream> {
        let log = Arc::clone(&self.node()?.audit);
        let limit =
            usize::try_from(request.get_ref().limit.unwrap_or(RECORDS)).unwrap_or(usize::MAX);
        let reading = task::spawn_blocking("audit log", move || log.last(limit)).await;
        let records = match reading {
            Ok(Ok(records)) => records,
            Ok(Err(error)) => return Err(Status::internal(format!("the audit log: {error}"))),
            Err(error) => return Err(Status::internal(error.to_string())),
        };
        in_parts(Ok(ListAuditResponse { records }), |part| &mut part.records)
    }
}
