//! What the service manager is told (sd_notify(3)), and what it told us in the environment.
//!
//! Not a dependency on systemd: without `NOTIFY_SOCKET` everything here does nothing. A notification
//! that cannot be sent is not an error of the node.

use std::time::Duration;

use sd_notify::NotifyState;

/// The node serves.
pub fn ready(status: &str) {
    notify(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// One line on what the node is doing; shown by `systemctl status`.
pub fn status(text: &str) {
    notify(&[NotifyState::Status(text)]);
}

/// The node looks at its settings again, until [`reloaded`].
pub fn reloading() {
    // Without the time, systemd 253 and newer would wait for it.
    if let Ok(now) = NotifyState::monotonic_usec_now() {
        notify(&[NotifyState::Reloading, now]);
    }
}

/// It has done so, whatever came of it.
pub fn reloaded() {
    notify(&[NotifyState::Ready]);
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
