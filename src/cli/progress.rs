//! How far long work is, on terminals: a spinner while somebody else works, a bar while steps are counted.
//!
//! Nothing is drawn where standard error is no terminal, nor in the first moments, so that what is quick leaves no trace.
//! Invariant: what is drawn at the same time is on lines of its own, and gone at its end.

use std::future::Future;
use std::pin::pin;
use std::sync::LazyLock;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar};

use super::table::safe;
use super::tell;

/// How long nothing is shown.
const PATIENCE: Duration = Duration::from_millis(500);
const TICK: Duration = Duration::from_millis(120);

/// All that is drawn.
static DRAWN: LazyLock<MultiProgress> = LazyLock::new(MultiProgress::new);

/// Waits for work with a spinner that says what is done.
pub async fn during<T>(what: &'static str, work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    tokio::select! {
        biased;
        done = &mut work => return done,
        () = tokio::time::sleep(PATIENCE) => {}
    }
    let spinner = DRAWN.add(ProgressBar::new_spinner());
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
    pub fn new(total: usize) -> Self {
        Self(DRAWN.add(ProgressBar::new(count(total))))
    }

    /// So many more are done.
    pub fn did(&self, more: usize) {
        self.0.inc(count(more));
    }

    /// One more is done; `tell` prints what there is to say of it.
    pub fn done(&self, tell: impl FnOnce()) {
        self.0.suspend(tell);
        self.did(1);
    }
}

fn count(steps: usize) -> u64 {
    u64::try_from(steps).unwrap_or(u64::MAX)
}

impl Drop for Steps {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// What is waited for: one line that changes on a terminal, else a line for each kind of news.
pub struct News {
    line: ProgressBar,
    told: Vec<String>,
}

impl Default for News {
    fn default() -> Self {
        Self { line: DRAWN.add(ProgressBar::new_spinner()), told: Vec::new() }
    }
}

impl News {
    /// This is waited for now.
    pub fn tell(&mut self, waits_for: &[String]) {
        if !self.line.is_hidden() {
            self.line.set_message(format!("waiting: {}", safe(&waits_for.join("; "))));
            self.line.tick();
            return;
        }
        // Numbers change all the time.
        let kinds: Vec<String> = waits_for.iter().map(|one| without_digits(one)).collect();
        for (one, kind) in waits_for.iter().zip(&kinds) {
            if !self.told.contains(kind) {
                tell(&format!("waiting: {}\n", safe(one)));
            }
        }
        self.told = kinds;
    }
}

impl Drop for News {
    fn drop(&mut self) {
        self.line.finish_and_clear();
    }
}

fn without_digits(text: &str) -> String {
    text.chars().filter(|c| !c.is_ascii_digit()).collect()
}
