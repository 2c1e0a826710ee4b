//! What the service manager is told (sd_notify(3)), and what it told us in the environment.
//!
//! Not a dependency on systemd: without `NOTIFY_SOCKET` everything here does nothing. A notification
//! that cannot be sent is not an error of the node.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sd_notify::NotifyState;

/// Whether it was told that the node serves: the end of a reload says so too, and must not say it first.
static IS_READY: AtomicBool = AtomicBool::new(false);

/// The node serves.
pub fn ready(status: &str) {
    // Before it is told, as a reload may be asked for at once then.
    IS_READY.store(true, Ordering::Release);
    notify(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// One line on what the node is doing; shown by `systemctl status`.
pub fn status(text: &str) {
    notify(&[NotifyState::Status(text)]);
}

/// The node looks at its settings again, until [`reloaded`]; of a node that starts nothing is told.
pub fn reloading() {
    // Without the time, systemd 253 and newer would wait for it.
    if IS_READY.load(Ordering::Acquire)
        && let Ok(now) = NotifyState::monotonic_usec_now()
    {
        notify(&[NotifyState::Reloading, now]);
    }
}

/// It has done so, whatever came of it.
pub fn reloaded() {
    if IS_READY.load(Ordering::Acquire) {
        notify(&[NotifyState::Ready]);
    }
}

/// The node is on its way down.
pub fn stopping() {
    notify(&[NotifyState::Stopping, NotifyState::Status("stopping")]);
}

/// The node makes progress.
pub fn watchdog() {
    notify(&[NotifyState::Watchdog]);
}

/// The start is not over, but goes on: not to be given up within `by`.
pub fn extend_start(by: Duration, text: &str) {
    let usec = u32::try_from(by.as_micros()).unwrap_or(u32::MAX);
    notify(&[NotifyState::ExtendTimeoutUsec(usec), NotifyState::Status(text)]);
}

/// How long the node may go without [`watchdog`], if it is watched.
#[must_use]
pub fn watchdog_timeout() -> Option<Duration> {
    sd_notify::watchdog_enabled()
}

fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "the service manager was not told");
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixDatagram;
    use std::process::Command;

    use super::*;

    #[test]
    fn a_reload_during_the_start_does_not_say_that_the_node_serves() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        let mut command = Command::new(std::env::current_exe().unwrap());
        let child = ["--exact", "systemd::tests::child_that_reloads_and_is_ready", "--ignored"];
        let output = command.args(child).env("NOTIFY_SOCKET", &path).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let told = || {
            let mut bytes = [0; 256];
            let size = socket.recv(&mut bytes).unwrap();
            String::from_utf8_lossy(&bytes[..size]).into_owned()
        };
        assert_eq!(told(), "READY=1\nSTATUS=serving\n");
        assert!(told().starts_with("RELOADING=1\n"));
        assert_eq!(told(), "READY=1\n");
    }

    #[test]
    #[ignore = "a child of the test above"]
    fn child_that_reloads_and_is_ready() {
        for _ in 0..2 {
            reloading();
            reloaded();
            if !IS_READY.load(Ordering::Acquire) {
                ready("serving");
            }
        }
    }
}
