//! Whether somebody listens at an address: connects, and closes again without a word.
//!
//! Not a call (`client`). Invariant: an address takes no longer than its time, whatever it does.

use std::io;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::task;

/// What became of an attempt to connect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Dialled {
    /// Somebody listens.
    Reachable,
    /// The host is there, and nobody listens; or a firewall says so.
    Refused,
    /// Nothing came back.
    Timeout,
    /// There is no way there, in the system's words.
    Failed(String),
}

/// Connects to `host:port` within `limit`.
pub async fn dial(address: &str, limit: Duration) -> Dialled {
    match timeout(limit, TcpStream::connect(address)).await {
        Err(_) => Dialled::Timeout,
        Ok(Ok(_)) => Dialled::Reachable,
        Ok(Err(error)) => match error.kind() {
            io::ErrorKind::ConnectionRefused => Dialled::Refused,
            io::ErrorKind::TimedOut => Dialled::Timeout,
            _ => Dialled::Failed(error.to_string()),
        },
    }
}

/// The same of all addresses at once; what became of each, in their order.
pub async fn dial_all(addresses: &[String], limit: Duration) -> Vec<Dialled> {
    let (sender, mut receiver) = mpsc::unbounded_channel();
    for (at, address) in addresses.iter().cloned().enumerate() {
        let sender = sender.clone();
        task::spawn(task::Kind::Ignore, "dial", async move {
            // Whoever asked may have gone.
            let _ = sender.send((at, dial(&address, limit).await));
        });
    }
    drop(sender);
    let mut all = vec![Dialled::Timeout; addresses.len()];
    while let Some((at, dialled)) = receiver.recv().await {
        all[at] = dialled;
    }
    all
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn each_address_gets_its_own_verdict() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let open = listener.local_addr().unwrap().to_string();
        let gone = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let closed = gone.local_addr().unwrap().to_string();
        drop(gone);
        let addresses = [closed, "no port".to_owned(), open];
        let all = dial_all(&addresses, Duration::from_secs(30)).await;
        assert_eq!((&all[0], &all[2]), (&Dialled::Refused, &Dialled::Reachable));
        assert!(matches!(&all[1], Dialled::Failed(_)), "{all:?}");
    }

    #[tokio::test]
    async fn what_says_nothing_is_given_up() {
        // The kernel answers nobody any more whose place in the queue is never taken.
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(1).unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let mut waiting = Vec::new();
        loop {
            let connecting = timeout(Duration::from_millis(100), TcpStream::connect(&address));
            let Ok(connected) = connecting.await else { break };
            waiting.push(connected.unwrap());
            assert!(waiting.len() < 100);
        }
        assert_eq!(dial(&address, Duration::from_millis(100)).await, Dialled::Timeout);
    }
}
