//! The services on a unix socket.
//!
//! Who may connect is the socket's mode: 0660, with the group of the process. Invariants: a socket that a process before
//! this one left is replaced in one step; it is there only while somebody answers.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tokio::net::UnixListener;
use tokio_stream::wrappers::UnixListenerStream;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;

use super::gate::Gate;
use super::server;

/// The socket's name in its folder.
pub const FILE: &str = "admin.sock";
/// Its owner and its group may connect.
const MODE: u32 = 0o660;

/// A socket that listens; it is removed with this value.
#[derive(Debug)]
pub struct AdminSocket {
    listener: Option<UnixListener>,
    path: PathBuf,
}

impl AdminSocket {
    /// Makes the socket in `folder`, in the place of any that is there, on the current runtime.
    ///
    /// # Errors
    /// What the system says; a path has 107 bytes at most.
    pub fn bind(folder: &Path) -> io::Result<Self> {
        let path = folder.join(FILE);
        let new = path.with_extension("new");
        match fs::remove_file(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        // Nobody connects before the mode is what it should be: nobody looks for this name.
        let listener = UnixListener::bind(&new)?;
        fs::set_permissions(&new, Permissions::from_mode(MODE))?;
        fs::rename(&new, &path)?;
        Ok(Self { listener: Some(listener), path })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Serves until `stop`.
    ///
    /// # Errors
    /// What ended it before.
    pub async fn serve(
        mut self,
        routes: Routes,
        gate: Gate,
        stop: CancellationToken,
    ) -> Result<(), tonic::transport::Error> {
        let Some(listener) = self.listener.take() else { return Ok(()) };
        server::serve(UnixListenerStream::new(listener), routes, gate, stop).await
    }
}

impl Drop for AdminSocket {
    fn drop(&mut self) {
        // Gone already is as good.
        let _ = fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tonic::transport::{Channel, Endpoint};
    use tonic_health::pb::HealthCheckRequest;
    use tonic_health::pb::health_client::HealthClient;
    use tonic_reflection::pb::v1::ServerReflectionRequest;
    use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
    use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
    use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

    use super::*;
    use crate::admin::service::logins::Logins;
    use crate::admin::{Admin, service::routes};
    use crate::clock::Clock;
    use crate::proto::v1::topics_client::TopicsClient;
    use crate::proto::v1::{GetTopicRequest, ListTopicsRequest};
    use crate::task::{self, Kind};

    async fn dial(socket: &Path) -> Channel {
        let address = format!("unix:{}", socket.display());
        Endpoint::from_shared(address).unwrap().connect().await.unwrap()
    }

    #[tokio::test]
    async fn clients_find_the_services_their_health_and_their_description() {
        let (dir, stop) = (tempfile::tempdir().unwrap(), CancellationToken::new());
        let socket = AdminSocket::bind(dir.path()).unwrap();
        let path = socket.path().to_owned();
        let gate = Gate::new(Logins::default(), Arc::default(), Clock::system());
        let routes = routes(Admin::new(vec!["127.0.0.1:1".to_owned()], Default::default()), None);
        let serving = socket.serve(routes, gate, stop.clone());
        let serving = task::spawn(Kind::Ignore, "test", async move { serving.await.unwrap() });
        let channel = dial(&path).await;
        let mut health = HealthClient::new(channel.clone());
        let all = HealthCheckRequest { service: String::new() };
        assert_eq!(health.check(all).await.unwrap().into_inner().status, 1);
        let question = ServerReflectionRequest {
            host: String::new(),
            message_request: Some(MessageRequest::ListServices(String::new())),
        };
        let mut reflection = ServerReflectionClient::new(channel.clone());
        let answers = reflection.server_reflection_info(tokio_stream::once(question)).await;
        let answer = answers.unwrap().into_inner().message().await.unwrap().unwrap();
        let Some(MessageResponse::ListServicesResponse(services)) = answer.message_response else {
            panic!("it lists services")
        };
        let names: Vec<_> = services.service.iter().map(|one| one.name.as_str()).collect();
        assert!(names.contains(&"rmqnode.admin.v1.Topics"), "{names:?}");
        // Nobody is there to be asked.
        let mut topics = TopicsClient::new(channel);
        let error = topics.list(ListTopicsRequest {}).await.unwrap_err();
        assert_eq!(error.code(), tonic::Code::Unavailable);
        assert!(error.message().starts_with("no name server answers: "), "{error}");
        let error = topics
            .get(GetTopicRequest { topic: "T".to_owned(), with_groups: false })
            .await
            .unwrap_err();
        assert_eq!(error.code(), tonic::Code::Unavailable);
        stop.cancel();
        serving.await.unwrap();
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn what_a_killed_process_left_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        drop(std::os::unix::net::UnixListener::bind(dir.path().join(FILE)).unwrap());
        drop(std::os::unix::net::UnixListener::bind(dir.path().join("admin.new")).unwrap());
        let socket = AdminSocket::bind(dir.path()).unwrap();
        let mode = fs::metadata(socket.path()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o660);
        std::os::unix::net::UnixStream::connect(socket.path()).unwrap();
    }
}
