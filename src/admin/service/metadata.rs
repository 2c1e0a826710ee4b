//! The service `Metadata`; what it does is in `admin::metadata`.
//!
//! Invariants: the audit log has a line for each step of an Apply, also when nobody waited for all of them: then no further
//! one is begun; it has no secrets, and not the whole request.

use serde::Serialize;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, async_trait};

use super::change::Change;
use super::{Answered, Api, Parts, answer, in_parts};
use crate::admin::{Admin, MetadataPlan};
use crate::proto::v1::metadata_server::Metadata;
use crate::proto::v1::{
    ApplyMetadataRequest, ApplyMetadataResponse, ExportMetadataRequest, ExportMetadataResponse,
    MetadataStep,
};
use crate::task::{self, Kind};

/// What a message of this service may hold: a million positions of groups.
pub const MESSAGE_BYTES_MAX: usize = 64 << 20;
/// Steps that wait for their caller to read them.
const PARTS_WAITING: usize = 16;

/// A request in the audit log: how much of each kind is wanted.
#[derive(Serialize)]
struct Arguments<'a> {
    cluster: Option<&'a str>,
    prune: bool,
    topics: Option<usize>,
    groups: Option<usize>,
    offsets_of_groups: Option<usize>,
    accounts: Option<usize>,
    kv_namespaces: Option<usize>,
}

fn arguments(request: &ApplyMetadataRequest) -> Arguments<'_> {
    let wanted = request.metadata.as_ref();
    Arguments {
        cluster: request.cluster.as_deref(),
        prune: request.prune,
        topics: wanted.and_then(|wanted| Some(wanted.topics.as_ref()?.topics.len())),
        groups: wanted.and_then(|wanted| Some(wanted.groups.as_ref()?.groups.len())),
        offsets_of_groups: wanted.and_then(|wanted| Some(wanted.offsets.as_ref()?.groups.len())),
        accounts: wanted.and_then(|wanted| Some(wanted.accounts.as_ref()?.accounts.len())),
        kv_namespaces: wanted.and_then(|wanted| Some(wanted.kv.as_ref()?.namespaces.len())),
    }
}

#[async_trait]
impl Metadata for Api {
    type PlanStream = Parts<ApplyMetadataResponse>;
    type ApplyStream = ReceiverStream<Result<ApplyMetadataResponse, Status>>;

    async fn export(
        &self,
        request: Request<ExportMetadataRequest>,
    ) -> Answered<ExportMetadataResponse> {
        answer(self.admin(&request).export_metadata(request.get_ref()).await)
    }

    async fn plan(&self, request: Request<ApplyMetadataRequest>) -> Answered<Self::PlanStream> {
        let plan = self.admin(&request).plan_metadata(request.get_ref()).await;
        in_parts(plan.map(MetadataPlan::into_dry_run), |part| &mut part.steps)
    }

    async fn apply(&self, request: Request<ApplyMetadataRequest>) -> Answered<Self::ApplyStream> {
        let change = self.change_with("Metadata/Apply", &request, &arguments(request.get_ref()));
        let plan = match self.admin(&request).plan_metadata(request.get_ref()).await {
            Ok(plan) => plan,
            Err(error) => return Err(change.fail(error).await),
        };
        let (out, parts) = mpsc::channel(PARTS_WAITING);
        let admin = self.admin(&request);
        task::spawn(Kind::Ignore, "apply metadata", apply(admin, plan, change, out));
        Ok(Response::new(ReceiverStream::new(parts)))
    }
}

async fn apply(
    admin: Admin,
    mut plan: MetadataPlan,
    change: Change,
    out: mpsc::Sender<Result<ApplyMetadataResponse, Status>>,
) {
    let mut lines = Vec::new();
    let mut is_heard = out.send(Ok(plan.head())).await.is_ok();
    while is_heard {
        let steps = admin.do_next_steps(&mut plan).await;
        if steps.is_empty() {
            break;
        }
        lines.extend(steps.iter().map(MetadataStep::as_line));
        let part = ApplyMetadataResponse { steps, ..ApplyMetadataResponse::default() };
        is_heard = out.send(Ok(part)).await.is_ok();
    }
    if !is_heard {
        lines.push("nobody waited for the rest".to_owned());
    }
    // The caller has its answer already.
    let _ = change.end(Ok(lines)).await;
}
