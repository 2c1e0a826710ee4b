//! Spawning: every task says what its end means to the node.
//!
//! Not a supervisor. A panic ends the process anyway (`panic = "abort"`), so a kind is about tasks
//! that return. Invariant: no other file calls `tokio::spawn` (`clippy.toml` forbids it).

use std::future::Future;
use std::sync::OnceLock;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// What the end of a task means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Ordinary: it had its share of work (a connection, a timer of one request).
    Ignore,
    /// The node cannot go on without it: its end asks the whole node to stop.
    StopNode,
}

/// Spawns a task on the current runtime; `name` is what the log calls it.
#[expect(clippy::disallowed_methods, reason = "the one place that spawns")]
pub fn spawn<F>(kind: Kind, name: &'static str, future: F) -> JoinHandle<()>
where
    F: Future<Output = ()> + Send + 'static,
{
    match kind {
        Kind::Ignore => tokio::spawn(future),
        Kind::StopNode => tokio::spawn(async move {
            future.await;
            if !stop_requested().is_cancelled() {
                tracing::error!(task = name, "task ended, stopping the node");
                stop_requested().cancel();
            }
        }),
    }
}

/// Cancelled when the node is to stop: by a signal, or by the end of a [`Kind::StopNode`] task.
pub fn stop_requested() -> &'static CancellationToken {
    static STOP: OnceLock<CancellationToken> = OnceLock::new();
    STOP.get_or_init(CancellationToken::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_end_of_a_vital_task_stops_the_node() {
        spawn(Kind::Ignore, "ordinary", async {}).await.unwrap();
        assert!(!stop_requested().is_cancelled());
        spawn(Kind::StopNode, "vital", async {}).await.unwrap();
        assert!(stop_requested().is_cancelled());
    }
}
