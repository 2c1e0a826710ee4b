//! A connection to a member's HA port, encrypted if both have TLS.
//!
//! Not what is said over it. 4.9.4's is never encrypted: the extension request tells before whether the member
//! is one of ours that takes TLS. Invariant: in mode enforcing there is no plain one.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::timeout;

use super::member::Member;
use super::peers::Peer;
use super::receiver::End;
use crate::transport::Stream;

/// How long a connection may take to come about.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

impl Member {
    /// Connects to the HA port of the member whose broker port is at `broker`.
    pub(super) async fn dial_ha(self: &Arc<Self>, broker: &str, ha: &str) -> Result<Stream, End> {
        let tls = self.tls();
        if !tls.dials() {
            return Ok(tls.plain(connect(ha).await?));
        }
        let why = if matches!(self.greet(broker, 0).await?, Peer::Ours(hello) if hello.tls) {
            match tls.secure(connect(ha).await?, ha).await {
                Ok(stream) => {
                    tls.note_encrypted(ha);
                    return Ok(stream);
                }
                Err(why) => why,
            }
        } else {
            "its HA port takes no TLS".to_owned()
        };
        if tls.is_enforced() {
            return Err(End::NotEncrypted(why));
        }
        tls.note_plain(ha, &why);
        Ok(tls.plain(connect(ha).await?))
    }
}

async fn connect(ha: &str) -> Result<TcpStream, End> {
    let connecting = timeout(CONNECT_TIMEOUT, TcpStream::connect(ha));
    let stream = connecting.await.map_err(|_| End::Unreachable)??;
    stream.set_nodelay(true)?;
    Ok(stream)
}
