//! Flow control: what senders are told when the log cannot take more for now (R-041, R-042, B-150 to B-152).
//!
//! | the log | answer: 2, and a remark that begins with |
//! | --- | --- |
//! | a write to it has lasted longer than `store.busy_after_ms` | `[REJECTREQUEST]system busy, start flow control for a while` |
//! | the message was queued behind such a write | `[PCBUSY_CLEAN_QUEUE]broker busy, start flow control for a while, period in queue: ...` |
//! | it was queued for longer than that, behind several writes | `[TIMEOUT_CLEAN_QUEUE]broker busy, ...` |
//! | more bytes are queued for it than may be | `[OVERLOAD]system busy, ...` |
//!
//! A pull or another request that waits longer for a thread to read from the disk with than 4.9.4 lets pulls wait gets
//! `[TIMEOUT_CLEAN_QUEUE]` too: its client has given up, and the threads are for those that have not.
//!
//! As in 4.9.4 what is refused was not stored; behind its words stands what is slow, for how long, and the setting.
//! 4.9.4 gives up what was queued for 200 ms, which any hiccup of a disk takes; here one limit, a second, is for all.
//! Not here: limits of requests (`transport`), pulls that wait (`long_polling`). Invariant: nothing here waits.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use super::Broker;
use super::answers::Refusal;
use crate::remoting::response;
use crate::store::Busy;
use crate::task;

/// How often is looked for what was queued for too long (4.9.4: every 10 ms).
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// How long a request may wait for a thread (`waitTimeMillsInPullQueue`).
const THREAD_WAIT_MAX: Duration = Duration::from_secs(5);

/// What a request gets that waited too long for a thread since `queued_at`.
pub(super) fn refusal_of_late(broker: &Broker, queued_at: Instant) -> Option<Refusal> {
    let waited = broker.clock.monotonic().saturating_duration_since(queued_at);
    if waited <= THREAD_WAIT_MAX {
        return None;
    }
    let waited_ms = u64::try_from(waited.as_millis()).unwrap_or(u64::MAX);
    let begins = cleaned("TIMEOUT_CLEAN_QUEUE", waited_ms, broker.limits().in_flight());
    let group = &broker.options.group;
    let max = THREAD_WAIT_MAX.as_secs();
    let remark =
        format!("{begins}; all threads that read the disk of {group} were busy for {max} s");
    Some(Refusal::new(response::SYSTEM_BUSY, remark))
}

/// What a sender is told.
pub(super) fn refusal(broker: &Broker, busy: Busy) -> Refusal {
    let begins = match busy {
        Busy::Stalled { .. } => {
            "[REJECTREQUEST]system busy, start flow control for a while".to_owned()
        }
        Busy::QueuedBehind { waited_ms, queued, .. } => {
            cleaned("PCBUSY_CLEAN_QUEUE", waited_ms, queued)
        }
        Busy::QueuedTooLong { waited_ms, queued } => {
            cleaned("TIMEOUT_CLEAN_QUEUE", waited_ms, queued)
        }
        Busy::QueueFull { .. } => {
            "[OVERLOAD]system busy, start flow control for a while".to_owned()
        }
    };
    let (group, max) = (&broker.options.group, broker.store.options().busy_after_ms);
    let remark = format!("{begins}; disk of {group}: {busy} (store.busy_after_ms = {max})");
    Refusal::new(response::SYSTEM_BUSY, remark)
}

fn cleaned(what: &str, waited_ms: u64, queued: usize) -> String {
    format!(
        "[{what}]broker busy, start flow control for a while, period in queue: {waited_ms}ms, size of queue: {queued}"
    )
}

/// Looks for messages that were queued for too long, until `stop`.
pub(super) fn start(broker: &Arc<Broker>, handle: &Handle, stop: &CancellationToken) {
    let (broker, stop) = (Arc::clone(broker), stop.clone());
    let _entered = handle.enter();
    task::spawn(task::Kind::StopNode(stop.clone()), "flow control", async move {
        let looking = async {
            loop {
                tokio::time::sleep(LOOK_INTERVAL).await;
                broker.store.refuse_long_queued();
            }
        };
        let _ = stop.run_until_cancelled(looking).await;
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::tests_support::TestBroker;

    #[tokio::test]
    async fn remarks_begin_as_in_4_9_4_and_name_resource_and_setting_b150_to_b152() {
        let broker = TestBroker::new();
        for (busy, begins) in [
            (
                Busy::Stalled { write_ms: 1200 },
                "[REJECTREQUEST]system busy, start flow control for a while",
            ),
            (
                Busy::QueuedBehind { write_ms: 1200, waited_ms: 70, queued: 9 },
                "[PCBUSY_CLEAN_QUEUE]broker busy, start flow control for a while, period in queue: 70ms, size of queue: 9",
            ),
            (
                Busy::QueuedTooLong { waited_ms: 1300, queued: 9 },
                "[TIMEOUT_CLEAN_QUEUE]broker busy, start flow control for a while, period in queue: 1300ms, size of queue: 9",
            ),
            (
                Busy::QueueFull { bytes: 1 << 27 },
                "[OVERLOAD]system busy, start flow control for a while",
            ),
        ] {
            let Refusal { code, remark } = refusal(&broker.broker, busy);
            assert_eq!(code, response::SYSTEM_BUSY);
            assert!(remark.starts_with(begins), "{remark}");
            let ends = format!("; disk of broker-a: {busy} (store.busy_after_ms = 1000)");
            assert!(remark.ends_with(&ends), "{remark}");
        }
    }

    #[tokio::test]
    async fn who_waited_too_long_for_a_thread_is_refused_b152() {
        let broker = TestBroker::new();
        let queued_at = broker.clock.monotonic();
        broker.clock.advance(Duration::from_millis(4000));
        assert_eq!(refusal_of_late(&broker.broker, queued_at), None);
        broker.clock.advance(Duration::from_millis(1500));
        let Refusal { code, remark } = refusal_of_late(&broker.broker, queued_at).unwrap();
        assert_eq!(code, response::SYSTEM_BUSY);
        let begins =
            "[TIMEOUT_CLEAN_QUEUE]broker busy, start flow control for a while, period in queue: 5";
        assert!(remark.starts_with(begins) && remark.contains("threads"), "{remark}");
    }
}
