//! The way from a command to the services: over this host's socket, or to the same services in this process.
//!
//! Without an address, the node of this host is asked, which asks its cluster as itself. With one, with an account, or
//! without a node, this process asks the name servers: those that are named, else those of this host's settings.
//! Invariant: a socket that nobody answers on, or that is not for this user, stands in nobody's way unless it was named.

use std::convert::Infallible;
use std::io;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use tonic::Status;
use tonic::body::Body;
use tonic::codegen::{StdError, http};
use tonic::transport::Endpoint;
use tower::ServiceExt;
use tower::service_fn;
use tower::util::BoxCloneService;

use crate::admin::Admin;
use crate::admin::service::{routes, socket};
use crate::cli::Addresses;
use crate::cli::credentials::CredentialsArgs;
use crate::cli::progress::during;
use crate::config::{self, Config, ConfigError, Sources};
use crate::transport::Credentials;

/// Where the package's unit has its socket.
const RUNTIME_DIR: &str = "/run/rmq-node";

/// What generated clients call.
pub type Door = BoxCloneService<http::Request<Body>, http::Response<Body>, StdError>;

/// Where to look for the services.
pub struct Way {
    /// Name servers, if they are named.
    pub name_servers: Option<Addresses>,
    /// The socket, if it is named.
    pub socket: Option<PathBuf>,
    /// With what this process asks.
    pub credentials: CredentialsArgs,
}

impl Way {
    /// Opens the door; with it is why this host's node is not asked, if its socket is not for this user.
    ///
    /// # Errors
    /// This host's settings are needed, and wrong.
    pub async fn open(self) -> anyhow::Result<Result<(Door, Option<Status>), Status>> {
        if let Some(Addresses(name_servers)) = self.name_servers {
            let credentials = self.credentials.credentials(None, None);
            let door = credentials.map(|given| (in_process(name_servers, given), None));
            return Ok(door.map_err(unusable));
        }
        if let Some(path) = &self.socket {
            return Ok(match over_socket(path).await {
                Ok(door) => Ok((door, None)),
                Err(error) => Err(no_socket(path, &error)),
            });
        }
        let as_this_host = |config: Config, denied| {
            let credentials = self.credentials.credentials(Some(&config.tls), None);
            let door = credentials.map(|given| (in_process(config.name_servers, given), denied));
            Ok(door.map_err(unusable))
        };
        if self.credentials.are_given() {
            return as_this_host(settings()?, None);
        }
        let runtime_dir = std::env::var_os("RUNTIME_DIRECTORY").map(PathBuf::from);
        let runtime_dir = runtime_dir.unwrap_or_else(|| RUNTIME_DIR.into()).join(socket::FILE);
        let denied = match over_socket(&runtime_dir).await {
            Ok(door) => return Ok(Ok((door, None))),
            Err(error) => (error.kind() == io::ErrorKind::PermissionDenied)
                .then(|| no_socket(&runtime_dir, &error)),
        };
        let (config, denied) = match (settings(), denied) {
            (Ok(config), denied) => (config, denied),
            (Err(_), Some(denied)) => return Ok(Err(denied)),
            (Err(error), None) => return Err(error.into()),
        };
        // Where a node that no service manager started has it.
        if let Ok(door) = over_socket(&config.data_dir.join(socket::FILE)).await {
            return Ok(Ok((door, None)));
        }
        as_this_host(config, denied)
    }
}

/// The same door, with a spinner while somebody lets wait for an answer.
pub fn with_spinner(door: Door) -> Door {
    BoxCloneService::new(service_fn(move |request| {
        during("waiting for an answer", door.clone().oneshot(request))
    }))
}

/// The same door for calls that may take so many seconds each.
pub fn within(door: &Door, seconds: u64) -> Door {
    let value = http::HeaderValue::from_str(&format!("{seconds}S")).expect("digits and a letter");
    let limited = move |mut request: http::Request<Body>| {
        request.headers_mut().insert("grpc-timeout", value.clone());
        request
    };
    BoxCloneService::new(door.clone().map_request(limited))
}

fn settings() -> Result<Config, ConfigError> {
    let environment = crate::cli::environment();
    Ok(config::load(&Sources { environment, ..Sources::default() })?.config)
}

fn in_process(name_servers: Vec<String>, credentials: Credentials) -> Door {
    let routes = routes(Admin::new(name_servers, credentials), None);
    let infallible = |never: Infallible| match never {};
    BoxCloneService::new(ServiceExt::<http::Request<Body>>::map_err(routes, infallible))
}

async fn over_socket(path: &Path) -> io::Result<Door> {
    // Says in the system's words why not, which a channel does not.
    UnixStream::connect(path)?;
    let endpoint = Endpoint::from_shared(format!("unix:{}", path.display()));
    let channel = endpoint.map_err(io::Error::other)?.connect().await.map_err(io::Error::other)?;
    Ok(BoxCloneService::new(channel.map_err(Into::into)))
}

/// What is wrong with the files of an account or of TLS.
fn unusable(error: anyhow::Error) -> Status {
    Status::invalid_argument(format!("{error:#}"))
}

fn no_socket(path: &Path, error: &io::Error) -> Status {
    let text = format!("{}: {error}", path.display());
    match error.kind() {
        io::ErrorKind::PermissionDenied => Status::permission_denied(format!(
            "{text}. It is for root and the group rmq-node: use sudo, or `usermod -aG rmq-node USER` and log in anew"
        )),
        _ => Status::unavailable(text),
    }
}
