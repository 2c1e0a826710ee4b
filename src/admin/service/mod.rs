//! The facade as the gRPC services of `proto/admin/v1`: thin, a line a method.
//!
//! | file | what |
//! | --- | --- |
//! | `acl`, `brokers`, `topics`, `groups`, `clients`, `offsets`, `cluster`, `messages`, `metadata`, `name_servers`, `node`, `audit`, `alerts` | one service each |
//! | `change` | a change until it is answered, for the audit log |
//! | `deadline` | until when a caller waits |
//! | `socket`, `port` | the unix socket and the TCP port that they are served on |
//! | `server` | serving them, with health and reflection |
//! | `gate`, `logins`, `roles` | who is let in, who they are, and what each method needs over TCP |
//!
//! The command line speaks through the generated clients, over the socket or to [`routes`] in its own process: one way
//! to ask, one way to fail. Not here: what is done (`crate::admin`). Invariant: what a service cannot tell is a problem in
//! its answer, and an error only if nothing could be told or done.

mod acl;
mod alerts;
mod audit;
mod brokers;
mod change;
mod clients;
mod cluster;
mod deadline;
pub mod gate;
mod groups;
pub mod logins;
mod messages;
pub mod metadata;
mod name_servers;
mod node;
mod offsets;
pub mod port;
pub mod roles;
mod server;
pub mod socket;
mod topics;

use std::sync::Arc;

use tonic::service::Routes;
use tonic::{Request, Response, Status};

use deadline::deadline;

use super::{Admin, AdminError, OfNode};
use crate::acl::is_refusal;
use crate::proto::v1::acl_server::AclServer;
use crate::proto::v1::alerts_server::AlertsServer;
use crate::proto::v1::audit_server::AuditServer;
use crate::proto::v1::brokers_server::BrokersServer;
use crate::proto::v1::clients_server::ClientsServer;
use crate::proto::v1::cluster_server::ClusterServer;
use crate::proto::v1::groups_server::GroupsServer;
use crate::proto::v1::messages_server::MessagesServer;
use crate::proto::v1::metadata_server::MetadataServer;
use crate::proto::v1::name_servers_server::NameServersServer;
use crate::proto::v1::node_server::NodeServer;
use crate::proto::v1::offsets_server::OffsetsServer;
use crate::proto::v1::topics_server::TopicsServer;
use crate::remoting::response;

/// Items of one part of an answer that comes in parts, and their bytes, unless one item has more; far below what a gRPC
/// message may hold (4 MiB).
const ITEMS_OF_A_PART: usize = 500;
const BYTES_OF_A_PART: usize = 1 << 20;

/// Answers that tell of something that is not there.
const NOT_THERE: [i32; 4] = [
    response::TOPIC_NOT_EXIST,
    response::QUERY_NOT_FOUND,
    response::SUBSCRIPTION_GROUP_NOT_EXIST,
    response::CONSUMER_NOT_ONLINE,
];

/// What all services are made of.
#[derive(Clone, Debug)]
struct Api {
    admin: Arc<Admin>,
    /// Without it, this is no node.
    of_node: Option<OfNode>,
}

impl Api {
    /// The facade, for as long as the caller of this request waits.
    fn admin<T>(&self, request: &Request<T>) -> Admin {
        self.admin.until(deadline(request))
    }

    /// What only a node has.
    fn node(&self) -> Result<&OfNode, Status> {
        self.of_node.as_ref().ok_or_else(|| {
            Status::failed_precondition(
                "only a node itself can, while it runs: ask on its host, over its socket, without -n",
            )
        })
    }
}

/// All services of the facade; those of a node can do more.
#[must_use]
pub fn routes(admin: Admin, of_node: Option<OfNode>) -> Routes {
    let api = Api { admin: Arc::new(admin), of_node };
    Routes::new(AclServer::new(api.clone()))
        .add_service(AlertsServer::new(api.clone()))
        .add_service(AuditServer::new(api.clone()))
        .add_service(BrokersServer::new(api.clone()))
        .add_service(ClientsServer::new(api.clone()))
        .add_service(ClusterServer::new(api.clone()))
        .add_service(GroupsServer::new(api.clone()))
        .add_service(MessagesServer::new(api.clone()))
        .add_service(
            MetadataServer::new(api.clone()).max_decoding_message_size(metadata::MESSAGE_BYTES_MAX),
        )
        .add_service(NameServersServer::new(api.clone()))
        .add_service(NodeServer::new(api.clone()))
        .add_service(OffsetsServer::new(api.clone()))
        .add_service(TopicsServer::new(api))
}

impl From<AdminError> for Status {
    fn from(error: AdminError) -> Self {
        let text = error.to_string();
        match error {
            AdminError::Unreachable(_) => Self::unavailable(text),
            AdminError::NotFound(_) => Self::not_found(text),
            AdminError::Invalid(_) => Self::invalid_argument(text),
            AdminError::Conflict(_) => Self::failed_precondition(text),
            AdminError::Refused { code, .. } if NOT_THERE.contains(&code) => Self::not_found(text),
            AdminError::Refused { code, remark, .. }
                if code == response::NO_PERMISSION || is_refusal(&remark) =>
            {
                Self::permission_denied(text)
            }
            AdminError::Refused { .. } => Self::failed_precondition(text),
            AdminError::Answer { .. } => Self::internal(text),
        }
    }
}

impl AdminError {
    /// What a service answers in its place, as `NOT_FOUND`.
    #[must_use]
    pub fn code_name(&self) -> String {
        change::name(Status::from(self.clone()).code())
    }
}

/// A method's answer.
type Answered<T> = Result<Response<T>, Status>;

fn answer<T>(result: Result<T, AdminError>) -> Answered<T> {
    Ok(Response::new(result?))
}

/// An answer that comes in parts.
type Parts<T> = tokio_stream::Iter<std::vec::IntoIter<Result<T, Status>>>;

/// How much is in the part that is being filled.
#[derive(Default)]
struct Filled {
    items: usize,
    bytes: usize,
}

impl Filled {
    /// Counts an item, which begins the next part if this says so.
    fn is_too_full_for(&mut self, item: &impl prost::Message) -> bool {
        let bytes = item.encoded_len();
        let is_full = self.items == ITEMS_OF_A_PART
            || (self.items > 0 && self.bytes + bytes > BYTES_OF_A_PART);
        if is_full {
            *self = Self::default();
        }
        self.items += 1;
        self.bytes += bytes;
        is_full
    }
}

/// Cuts the `items` of an answer; what else it has is in the first part.
fn in_parts<T: Default, I: prost::Message>(
    result: Result<T, AdminError>,
    items: fn(&mut T) -> &mut Vec<I>,
) -> Answered<Parts<T>> {
    let mut first = result?;
    let all = std::mem::take(items(&mut first));
    let mut parts = vec![Ok(first)];
    let mut filled = Filled::default();
    for item in all {
        if filled.is_too_full_for(&item) {
            parts.push(Ok(T::default()));
        }
        if let Some(Ok(part)) = parts.last_mut() {
            items(part).push(item);
        }
    }
    Ok(Response::new(tokio_stream::iter(parts)))
}

#[cfg(test)]
mod tests {
    use tokio_stream::StreamExt;

    use super::*;
    use crate::proto::v1::{
        FindMessagesResponse, ListTopicsResponse, Problem, StoredMessage, Topic,
    };

    #[tokio::test]
    async fn long_answers_come_in_parts_and_problems_once() {
        let answer = |count: usize| ListTopicsResponse {
            topics: (0..count)
                .map(|number| Topic { topic: number.to_string(), ..Topic::default() })
                .collect(),
            problems: vec![Problem::default()],
        };
        for (count, expected) in [(0, vec![0]), (500, vec![500]), (1001, vec![500, 500, 1])] {
            let parts = in_parts(Ok(answer(count)), |part| &mut part.topics).unwrap();
            let parts: Vec<_> = parts.into_inner().map(Result::unwrap).collect().await;
            let sizes: Vec<_> = parts.iter().map(|part| part.topics.len()).collect();
            assert_eq!(sizes, expected);
            let problems: usize = parts.iter().map(|part| part.problems.len()).sum();
            assert_eq!(problems, 1);
            let topics = parts.into_iter().flat_map(|part| part.topics).collect::<Vec<_>>();
            assert_eq!(topics, answer(count).topics);
        }
    }

    #[tokio::test]
    async fn parts_stay_below_what_clients_take() {
        let message = |bytes| StoredMessage { body: vec![0; bytes], ..StoredMessage::default() };
        let messages = [700_000, 200_000, 200_000, 3_000_000, 1].map(message).to_vec();
        let answer = FindMessagesResponse { messages, problems: Vec::new() };
        let parts = in_parts(Ok(answer), |part| &mut part.messages).unwrap();
        let parts: Vec<_> = parts.into_inner().map(Result::unwrap).collect().await;
        let sizes: Vec<_> = parts.iter().map(|part| part.messages.len()).collect();
        assert_eq!(sizes, [2, 1, 1, 1]);
    }

    #[test]
    fn who_has_no_account_is_denied() {
        let refused = |code, remark: &str| {
            let (address, remark) = ("a:1".to_owned(), remark.to_owned());
            Status::from(AdminError::Refused { address, code, remark }).code()
        };
        let acl = "org.apache.rocketmq.acl.common.AclException: No accessKey is configured";
        assert_eq!(refused(1, acl), tonic::Code::PermissionDenied);
        assert_eq!(refused(response::NO_PERMISSION, "no"), tonic::Code::PermissionDenied);
        assert_eq!(refused(1, "a system topic"), tonic::Code::FailedPrecondition);
        assert_eq!(refused(response::TOPIC_NOT_EXIST, "none"), tonic::Code::NotFound);
    }
}
