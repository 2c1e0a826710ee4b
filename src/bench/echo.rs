//! Peers that answer every frame at once: what a broker costs above them is the broker's own.
//!
//! [`echo`] is bare TCP. It reads no header: requests must have binary ones (`--binary`), where the
//! opaque has a fixed place. [`echo_commands`] decodes and encodes, through our transport. Both
//! answers are as long as the answer to a send.

use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use crate::remoting::headers::SendResponse;
use crate::remoting::{self, Command, SerializeType};
use crate::task;
use crate::transport::{Limits, Responder, Server, Service};

/// Where the opaque lies in a frame with a binary header: after length, header length, code,
/// language and version.
const OPAQUE: std::ops::Range<usize> = 13..17;
const FRAME_BYTES_MAX: usize = 16 << 20;
const READ_BYTES: usize = 64 << 10;

/// Listens and answers until `stop`; says on stderr where.
///
/// # Errors
/// The address cannot be bound, or not told.
pub async fn echo(address: SocketAddr, stop: &CancellationToken) -> io::Result<()> {
    let listener = TcpListener::bind(address).await?;
    writeln!(io::stderr(), "echo on {}", listener.local_addr()?)?;
    loop {
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            accepted = listener.accept() => {
                let (stream, _) = accepted?;
                task::spawn(task::Kind::Ignore, "echo", async move {
                    // A peer that goes away ends its own echo only.
                    let _ = serve(stream).await;
                });
            }
        }
    }
}

/// The same through [`crate::transport`], for any request.
///
/// # Errors
/// The address cannot be bound, or not told.
pub async fn echo_commands(address: SocketAddr, stop: &CancellationToken) -> io::Result<()> {
    let server = Server::bind(address, Arc::<Limits>::default())?;
    writeln!(io::stderr(), "echo on {}", server.local_addr())?;
    server.serve(Arc::new(Echo), stop.clone()).await;
    Ok(())
}

/// Answers like a broker that stored the message.
struct Echo;

impl Service for Echo {
    fn on_request(&self, _request: Command, responder: Responder) {
        responder.send(answer());
    }
}

async fn serve(mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut template = BytesMut::new();
    let binary = Command { serialize_type: SerializeType::RocketMq, ..answer() };
    remoting::encode(&binary, &mut template);
    let (mut input, mut output) = (BytesMut::with_capacity(READ_BYTES), BytesMut::new());
    while stream.read_buf(&mut input).await? > 0 {
        while let Ok(Some(length)) = remoting::frame_length(&input, FRAME_BYTES_MAX)
            && input.len() >= length
            && length >= OPAQUE.end
        {
            let start = output.len();
            output.extend_from_slice(&template);
            output[start + OPAQUE.start..start + OPAQUE.end].copy_from_slice(&input[OPAQUE]);
            input.advance(length);
        }
        stream.write_all(&output).await?;
        output.clear();
        input.reserve(READ_BYTES);
    }
    Ok(())
}

fn answer() -> Command {
    let mut answer = Command::response(0);
    SendResponse {
        msg_id: "7F00000100002A9F0000000000000000".into(),
        queue_id: 0,
        queue_offset: 0,
    }
    .write(&mut answer);
    answer
}
