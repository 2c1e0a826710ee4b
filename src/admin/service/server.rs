//! Serving the services, with those for health (`grpc.health.v1`) and reflection, on whatever connections come.
//!
//! Not where they come from (`socket`, `port`), nor who is let in (`gate`). Invariant: a call that goes on for ever keeps
//! no node from stopping.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio_stream::Stream;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic::transport::Server;
use tonic::transport::server::Connected;
use tonic_health::server::health_reporter;
use tonic_reflection::server::Builder as Reflection;
use tower::filter::FilterLayer;

use super::gate::Gate;
use crate::proto::DESCRIPTORS;

/// How long answers that are on their way are waited for at the end.
const GRACE: Duration = Duration::from_secs(1);
/// Calls at a time of one connection; more wait.
const CALLS_MAX: u32 = 100;
/// How often a connection is asked whether somebody is still there, and how long that may take.
const KEEPALIVE_PERIOD: Duration = Duration::from_secs(60);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(20);

/// Serves until `stop`.
///
/// # Errors
/// What ended it before.
pub(super) async fn serve<I, C>(
    connections: I,
    routes: Routes,
    gate: Gate,
    stop: CancellationToken,
) -> Result<(), tonic::transport::Error>
where
    I: Stream<Item = io::Result<C>>,
    C: AsyncRead + AsyncWrite + Connected + Unpin + Send + 'static,
{
    let (health, health_service) = health_reporter();
    health.set_service_status("", tonic_health::ServingStatus::Serving).await;
    let reflection = || {
        Reflection::configure()
            .register_encoded_file_descriptor_set(DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let v1 = reflection().build_v1().expect("the descriptors are the compiler's");
    let v1alpha = reflection().build_v1alpha().expect("the descriptors are the compiler's");
    let routes = routes.add_service(health_service).add_service(v1).add_service(v1alpha);
    let ended = stop.clone();
    let serving = Server::builder()
        .max_concurrent_streams(CALLS_MAX)
        .http2_keepalive_interval(Some(KEEPALIVE_PERIOD))
        .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
        .layer(FilterLayer::new(gate))
        .add_routes(routes)
        .serve_with_incoming_shutdown(connections, stop.cancelled_owned());
    tokio::select! {
        served = serving => served,
        // Streams that go on until their client has seen enough would keep it.
        () = async { ended.cancelled().await; tokio::time::sleep(GRACE).await } => Ok(()),
    }
}
