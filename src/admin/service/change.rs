//! A change that is asked for, until it is answered: the audit log's line of it.
//!
//! Invariant: every change has a line, also one whose caller did not wait for its end.

use std::sync::Arc;

use serde::Serialize;
use tokio::task::JoinHandle;
use tonic::transport::server::UdsConnectInfo;
use tonic::{Code, Request, Response, Status};

use super::gate::TcpPeer;
use super::logins::Login;
use super::{Answered, Api};
use crate::admin::{AdminError, AuditLog};
use crate::clock::Clock;
use crate::proto::v1::AuditRecord;

/// A change that is not answered yet.
pub struct Change {
    log: Option<Arc<AuditLog>>,
    /// Without its end.
    record: AuditRecord,
}

impl Api {
    /// Notes who asks for what; `method` is as `Topics/Create`.
    pub(super) fn change<T: Serialize>(&self, method: &str, request: &Request<T>) -> Change {
        self.change_with(method, request, request.get_ref())
    }

    /// The same of a request that is too long for a line, or holds secrets: `arguments` stand for it.
    pub(super) fn change_with<T>(
        &self,
        method: &str,
        request: &Request<T>,
        arguments: &impl Serialize,
    ) -> Change {
        let record = AuditRecord {
            who: who(request),
            method: method.to_owned(),
            arguments: AuditLog::json(arguments),
            ..AuditRecord::default()
        };
        let log = self.of_node.as_ref().map(|node| Arc::clone(&node.audit));
        Change { log, record }
    }
}

impl Change {
    /// Answers, and writes down what became of it.
    ///
    /// # Errors
    /// Those of the change.
    pub(super) async fn end<T: Serialize>(self, result: Result<T, AdminError>) -> Answered<T> {
        match result {
            Ok(answer) => {
                self.written(Code::Ok, AuditLog::json(&answer)).await;
                Ok(Response::new(answer))
            }
            Err(error) => Err(self.fail(error).await),
        }
    }

    /// The same of a change that was not made: what is answered.
    pub(super) async fn fail(self, error: AdminError) -> Status {
        let status = Status::from(error);
        self.written(status.code(), status.message().to_owned()).await;
        status
    }

    async fn written(mut self, code: Code, text: String) {
        if let Some(writing) = self.write(code, text) {
            // It fails only if it panics, which is reported.
            let _ = writing.await;
        }
    }

    /// Writes the line, once.
    fn write(&mut self, code: Code, result: String) -> Option<JoinHandle<()>> {
        let log = self.log.take()?;
        let record = AuditRecord {
            time_ms: Clock::system().now_ms(),
            code: name(code),
            result,
            ..std::mem::take(&mut self.record)
        };
        Some(log.write(record))
    }
}

impl Drop for Change {
    fn drop(&mut self) {
        // Only of a change that was not answered.
        self.write(Code::Cancelled, "nobody waited for its end".to_owned());
    }
}

/// The login of who came over TCP, with the address; as the kernel says for a socket's peer.
fn who<T>(request: &Request<T>) -> String {
    let extensions = request.extensions();
    if let (Some(login), Some(peer)) = (extensions.get::<Login>(), extensions.get::<TcpPeer>()) {
        return format!("{}, {}", login.name, peer.address);
    }
    let peer = extensions.get::<UdsConnectInfo>().and_then(|info| info.peer_cred);
    let Some(peer) = peer else { return "somebody in this process".to_owned() };
    let user = nix::unistd::User::from_uid(peer.uid().into()).ok().flatten();
    let name = user.map(|user| format!(" ({})", user.name)).unwrap_or_default();
    let process = peer.pid().map(|pid| format!(", process {pid}")).unwrap_or_default();
    format!("uid {}{name}{process}", peer.uid())
}

/// As gRPC's documents spell it.
pub(super) fn name(code: Code) -> String {
    let mut name = String::new();
    for (at, c) in format!("{code:?}").chars().enumerate() {
        if c.is_ascii_uppercase() && at > 0 && code != Code::Ok {
            name.push('_');
        }
        name.push(c.to_ascii_uppercase());
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::alerts::{Alerts, AlertsHost};
    use crate::admin::{Admin, NodeControl, OfNode, Own};
    use crate::proto::v1::{CancelTimerRequest, CancelTimerResponse, NodeStatus};

    #[derive(Debug)]
    struct Nobody;

    impl NodeControl for Nobody {
        fn status(&self) -> NodeStatus {
            NodeStatus::default()
        }

        fn reload(&self) -> Result<Vec<String>, AdminError> {
            Ok(Vec::new())
        }

        fn own(&self) -> Own {
            Own::default()
        }

        fn stop(&self) {}

        fn slave_address(&self, group: &str) -> Result<String, AdminError> {
            Err(AdminError::NotFound(group.to_owned()))
        }
    }

    impl AlertsHost for Nobody {
        fn settings(&self) -> crate::config::Alerts {
            Default::default()
        }

        fn certificate_not_after_s(&self) -> Option<i64> {
            None
        }
    }

    #[test]
    fn codes_are_spelled_as_elsewhere() {
        assert_eq!(name(Code::Ok), "OK");
        assert_eq!(name(Code::FailedPrecondition), "FAILED_PRECONDITION");
    }

    #[tokio::test]
    async fn each_change_has_a_line_whatever_becomes_of_it() {
        let dir = tempfile::tempdir().unwrap();
        let log = Arc::new(AuditLog::new(dir.path()));
        let admin = Arc::new(Admin::new(Vec::new(), Default::default()));
        let alerts = Alerts::open(
            Admin::new(Vec::new(), Default::default()),
            Arc::new(Nobody),
            Default::default(),
            Default::default(),
            dir.path(),
        );
        let of_node = OfNode { audit: Arc::clone(&log), alerts, control: Arc::new(Nobody) };
        let api = Api { admin, of_node: Some(of_node) };
        let request = Request::new(CancelTimerRequest { id: "7".to_owned(), dry_run: false });
        let change = || api.change("Messages/CancelTimer", &request);
        change().end(Ok(CancelTimerResponse::default())).await.unwrap();
        let none = AdminError::NotFound("none".to_owned());
        change().end::<CancelTimerResponse>(Err(none)).await.unwrap_err();
        drop(change());
        let records = loop {
            let records = log.last(10).unwrap();
            if records.len() == 3 {
                break records;
            }
            tokio::task::yield_now().await;
        };
        let ends: Vec<_> =
            records.iter().map(|one| (one.code.as_str(), one.result.as_str())).collect();
        assert_eq!(ends[..2], [("OK", r#"{"done":[]}"#), ("NOT_FOUND", "none")]);
        assert_eq!(ends[2].0, "CANCELLED");
        assert_eq!(records[0].arguments, r#"{"dry_run":false,"id":"7"}"#);
        assert_eq!(records[0].method, "Messages/CancelTimer");
    }
}
