//! Tells the service manager that both runtimes make progress, and nothing when one does not.
//!
//! Not a monitor of requests: a slow disk is no reason to be killed, but workers of the data runtime wait for the disk,
//! so that one that stalls for the whole timeout is. Invariant: each notification follows an answer of the data runtime
//! that was asked for after the notification before.

use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::oneshot;

use crate::systemd;
use crate::task::{self, Kind};

/// Runs on the control runtime until it is dropped; does nothing if the node is not watched.
pub async fn run(data: Handle) {
    let Some(timeout) = systemd::watchdog_timeout() else { return };
    // Three in a timeout, so that one late answer is not the end.
    let pause = timeout / 3;
    loop {
        if answers(&data, timeout).await {
            systemd::watchdog();
        } else {
            tracing::error!("the data runtime does not answer");
        }
        tokio::time::sleep(pause).await;
    }
}

async fn answers(data: &Handle, timeout: Duration) -> bool {
    let (answer, answered) = oneshot::channel();
    {
        let _entered = data.enter();
        task::spawn(Kind::Ignore, "watchdog answer", async move {
            // Nobody waits any more when it was too late.
            let _ = answer.send(());
        });
    }
    tokio::time::timeout(timeout, answered).await.is_ok_and(|answer| answer.is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_runtime_that_is_stuck_does_not_answer() {
        let control = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let data = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (handle, timeout) = (data.handle().clone(), Duration::from_millis(20));
        // Nothing drives the data runtime.
        assert!(!control.block_on(answers(&handle, timeout)));
        let stop = tokio_util::sync::CancellationToken::new();
        let stopped = stop.clone();
        let thread = task::spawn_thread("data", move || data.block_on(stopped.cancelled_owned()));
        assert!(control.block_on(answers(&handle, Duration::from_secs(60))));
        stop.cancel();
        thread.unwrap().join().unwrap();
    }
}
