//! How far long work is, on terminals: a spinner while somebody else works, a bar while steps are counted.
//!
//! Nothing is drawn where standard error is no terminal, nor in the first moments, so that what is quick leaves no trace.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use indicatif::ProgressBar;

/// How long nothing is shown.
const PATIENCE: Duration = Duration::from_millis(500);
const TICK: Duration = Duration::from_millis(120);

/// Waits for work with a spinner that says what is done.
pub async fn during<T>(what: &'static str, work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    tokio::select! {
        biased;
        done = &mut work => return done,
        () = tokio::time::sleep(PATIENCE) => {}
    }
    let spinner = ProgressBar::new_spinner();
    spinner.set_message(what);
    spinner.enable_steady_tick(TICK);
    let done = work.await;
    spinner.finish_and_clear();
    done
}

/// Steps of a known number.
pub struct Steps(ProgressBar);

impl Steps {
    /// None is done yet.
    pub fn new(total: u32) -> Self {
        Self(ProgressBar::new(total.into()))
    }

    /// One more is done; `tell` prints what there is to say of it.
    pub fn done(&self, tell: impl FnOnce()) {
        self.0.suspend(tell);
        self.0.inc(1);
    }
}

impl Drop for Steps {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
