//! Spawning: every task says what its end means to the node, and everything spawned has a name.
//!
//! Not a supervisor: a panic ends the process of a release build at once (`panic = "abort"`), and
//! nothing is started again within a process. What runs stops by a [`CancellationToken`] that its
//! owner passes to it. Invariant: no other file calls `tokio::spawn` or tokio's `spawn_blocking`
//! (`clippy.toml` forbids both).

use std::future::Future;
use std::io;
use std::pin::Pin;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// What the end of a task means.
#[derive(Clone, Debug)]
pub enum Kind {
    /// Nothing: it had its share of work (a connection, one request), or goes when its runtime goes.
    Ignore,
    /// The node cannot go on without it: its end, by a panic too, cancels this token.
    StopNode(CancellationToken),
}

/// Spawns a task on the current runtime; `name` is what the log calls it.
///
/// # Panics
/// There is no current runtime.
pub fn spawn<F>(kind: Kind, name: &'static str, future: F) -> JoinHandle<()>
where
    F: Future<Output = ()> + Send + 'static,
{
    spawn_boxed(kind, name, Box::pin(future))
}

/// Not generic: what tokio has for a task is in the binary once, not once for each future and kind.
#[expect(clippy::disallowed_methods, reason = "the one place that spawns")]
fn spawn_boxed(
    kind: Kind,
    name: &'static str,
    future: Pin<Box<dyn Future<Output = ()> + Send>>,
) -> JoinHandle<()> {
    match kind {
        Kind::Ignore => tokio::spawn(future),
        Kind::StopNode(stop) => tokio::spawn(async move {
            let _vital = Vital { name, stop };
            future.await;
        }),
    }
}

/// Runs `work` on a thread for blocking work, where it may wait for the disk; events inside carry `name`.
///
/// # Panics
/// There is no current runtime.
#[expect(clippy::disallowed_methods, reason = "the one place that spawns")]
pub fn spawn_blocking<F, T>(name: &'static str, work: F) -> JoinHandle<T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    // Boxed, as futures are.
    let work: Box<dyn FnOnce() -> T + Send> = Box::new(work);
    tokio::task::spawn_blocking(move || tracing::debug_span!("blocking", name).in_scope(work))
}

/// Starts a named thread for work that lasts (the kernel shows the first 15 bytes of `name`).
///
/// # Errors
/// The system has no thread left.
pub fn spawn_thread<F, T>(name: &str, work: F) -> io::Result<std::thread::JoinHandle<T>>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    std::thread::Builder::new().name(name.to_owned()).spawn(work)
}

/// Lives as long as a task of [`Kind::StopNode`].
struct Vital {
    name: &'static str,
    stop: CancellationToken,
}

impl Drop for Vital {
    fn drop(&mut self) {
        if !self.stop.is_cancelled() {
            tracing::error!(task = self.name, "task ended, stopping the node");
            self.stop.cancel();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_end_of_a_vital_task_stops_the_node() {
        let stop = CancellationToken::new();
        spawn(Kind::Ignore, "ordinary", async {}).await.unwrap();
        assert!(!stop.is_cancelled());
        spawn(Kind::StopNode(stop.clone()), "vital", async {}).await.unwrap();
        assert!(stop.is_cancelled());
    }

    #[tokio::test]
    async fn so_does_its_panic() {
        let stop = CancellationToken::new();
        let vital = Kind::StopNode(stop.clone());
        spawn(vital, "vital", async { panic!("on purpose") }).await.unwrap_err();
        assert!(stop.is_cancelled());
    }

    #[tokio::test]
    async fn blocking_work_returns_its_value_and_threads_have_names() {
        assert_eq!(spawn_blocking("sum", || 1 + 1).await.unwrap(), 2);
        let name = || std::thread::current().name().map(str::to_owned);
        assert_eq!(spawn_thread("flush", name).unwrap().join().unwrap().as_deref(), Some("flush"));
    }
}
