//! Which consumer may read a queue in order (41, 42; B-310, B-311).
//!
//! Not whether queue or group exist: 4.9.4 does not ask (S-43). Invariants: at most one client of a group holds a
//! queue; a lock that was not renewed for 60 s may be taken over; the number of locks is bounded, as anyone may ask
//! for any name.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::Broker;
use super::answers::{Answer, Refusal};
use crate::clock::Clock;
use crate::metrics::Limit;
use crate::model::{MessageQueue, shown};
use crate::remoting::bodies::order_locks::{LockBatchBody, encode_locked};
use crate::remoting::{Command, DecodeError, response};

/// How long a lock lives without being renewed.
const LIFE: Duration = Duration::from_secs(60);
/// The longest names that are kept: of group, client, topic and broker together.
const NAMES_BYTES_MAX: usize = 1024;

/// Who holds a queue, and since when.
#[derive(Debug)]
struct Lock {
    client_id: Arc<str>,
    renewed: Instant,
}

#[derive(Debug, Default)]
struct State {
    groups: HashMap<String, HashMap<MessageQueue, Lock>>,
    count: usize,
}

/// The locks of one broker.
#[derive(Debug)]
pub(super) struct OrderLocks {
    clock: Clock,
    state: Mutex<State>,
}

impl State {
    /// Drops what nobody renewed.
    fn drop_expired(&mut self, now: Instant) {
        self.groups.retain(|_, locks| {
            locks.retain(|_, lock| !lock.is_expired(now));
            !locks.is_empty()
        });
        self.count = self.groups.values().map(HashMap::len).sum();
    }
}

impl Lock {
    fn is_expired(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.renewed) > LIFE
    }
}

impl OrderLocks {
    pub(super) fn new(clock: &Clock) -> Self {
        Self { clock: clock.clone(), state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Locks queues for a client, or renews its locks; returns those that it holds now, and whether `max` locks of all
    /// groups kept it from more.
    fn lock(&self, body: LockBatchBody, max: usize) -> (Vec<MessageQueue>, bool) {
        let LockBatchBody { group, client_id, queues } = body;
        let now = self.clock.monotonic();
        let mut state = self.state();
        if state.count + queues.len() > max {
            state.drop_expired(now);
        }
        let State { groups, count } = &mut *state;
        let client_id: Arc<str> = client_id.into();
        let names_bytes = group.len() + client_id.len();
        let mut locks = groups.remove(&group).unwrap_or_default();
        let mut held = Vec::with_capacity(queues.len());
        let mut is_full = false;
        for queue in queues {
            let fresh = Lock { client_id: Arc::clone(&client_id), renewed: now };
            match locks.get_mut(&queue) {
                Some(lock) if *lock.client_id == *client_id || lock.is_expired(now) => {
                    *lock = fresh
                }
                Some(_) => continue,
                None => {
                    let bytes = names_bytes + queue.topic.len() + queue.broker_name.len();
                    if bytes > NAMES_BYTES_MAX {
                        let topic = shown(&queue.topic);
                        tracing::warn!(topic, "a queue is not locked: too long names");
                        continue;
                    }
                    if *count >= max {
                        is_full = true;
                        continue;
                    }
                    *count += 1;
                    locks.insert(queue.clone(), fresh);
                }
            }
            held.push(queue);
        }
        if !locks.is_empty() {
            groups.insert(group, locks);
        }
        (held, is_full)
    }

    /// Gives back those of the queues that the client holds.
    fn unlock(&self, body: &LockBatchBody) {
        let mut state = self.state();
        let State { groups, count } = &mut *state;
        let Some(locks) = groups.get_mut(&body.group) else { return };
        for queue in &body.queues {
            if locks.get(queue).is_some_and(|lock| *lock.client_id == *body.client_id) {
                locks.remove(queue);
                *count -= 1;
            }
        }
        if locks.is_empty() {
            groups.remove(&body.group);
        }
    }
}

fn body_of(request: &Command) -> Result<LockBatchBody, Refusal> {
    LockBatchBody::parse(&request.body)
        .map_err(|DecodeError(remark)| Refusal::new(response::SYSTEM_ERROR, remark))
}

/// Locks queues (41).
pub(super) fn lock(broker: &Broker, request: &Command) -> Answer {
    let max = broker.limits().numbers().order_locks_max;
    let (held, is_full) = broker.order_locks.lock(body_of(request)?, max);
    if is_full {
        broker.limits().reached(Limit::OrderLocks);
    }
    Ok(Command::response(response::SUCCESS).with_body(encode_locked(&held)))
}

/// Unlocks queues (42).
pub(super) fn unlock(broker: &Broker, request: &Command) -> Answer {
    broker.order_locks.unlock(&body_of(request)?);
    Ok(Command::response(response::SUCCESS))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::pull::tests::World;
    use crate::broker::tests_support;
    use crate::remoting::request;

    const LOCKS_MAX: usize = 4;

    fn queue(queue_id: i32) -> MessageQueue {
        MessageQueue { topic: "T".into(), broker_name: "broker-a".into(), queue_id }
    }

    fn body(client: &str, queues: impl IntoIterator<Item = i32>) -> LockBatchBody {
        let queues = queues.into_iter().map(queue).collect();
        LockBatchBody { group: "G".into(), client_id: client.into(), queues }
    }

    fn held(locks: &OrderLocks, client: &str, queues: impl IntoIterator<Item = i32>) -> Vec<i32> {
        locks.lock(body(client, queues), LOCKS_MAX).0.iter().map(|queue| queue.queue_id).collect()
    }

    #[test]
    fn one_client_of_a_group_holds_a_queue_b310() {
        let locks = OrderLocks::new(&Clock::system());
        assert_eq!(held(&locks, "a", [0, 1]), [0, 1]);
        assert_eq!(held(&locks, "b", [1, 2]), [2]);
        assert_eq!(held(&locks, "a", [0, 1, 2]), [0, 1]);
        let other = LockBatchBody { group: "H".into(), ..body("b", [0]) };
        assert_eq!(locks.lock(other, 9).0, [queue(0)], "groups do not see each other");
        locks.unlock(&body("b", [1, 2]));
        assert_eq!(held(&locks, "c", [1, 2]), [2], "only one's own locks are given back");
    }

    #[test]
    fn a_lock_lives_for_60_s_after_it_was_renewed() {
        let clock = Clock::system();
        let locks = OrderLocks::new(&clock);
        assert_eq!(held(&locks, "a", [0, 1]), [0, 1]);
        clock.advance(Duration::from_secs(50));
        assert_eq!(held(&locks, "a", [0]), [0]);
        clock.advance(Duration::from_secs(15));
        assert_eq!(held(&locks, "b", [0, 1]), [1]);
        assert_eq!(held(&locks, "a", [0, 1]), [0]);
    }

    #[test]
    fn locks_are_bounded_and_expired_ones_make_room() {
        let clock = Clock::system();
        let locks = OrderLocks::new(&clock);
        assert_eq!(held(&locks, "a", 0..5), [0, 1, 2, 3]);
        locks.unlock(&body("a", [2, 3]));
        assert_eq!(held(&locks, "a", [0, 4, 5, 6]), [0, 4, 5]);
        clock.advance(Duration::from_secs(61));
        assert_eq!(held(&locks, "b", 6..9), [6, 7, 8]);
        locks.unlock(&body("b", 6..9));
        assert!(held(&locks, &"c".repeat(NAMES_BYTES_MAX), [0]).is_empty());
        let state = locks.state();
        assert!(state.groups.is_empty() && state.count == 0);
    }

    #[tokio::test]
    async fn what_is_not_locked_because_of_the_limit_is_counted() {
        let world = World::new();
        tests_support::limit(&world.broker, |numbers| numbers.order_locks_max = 1);
        let text = r#"{"clientId":"c","consumerGroup":"G","mqSet":[{"brokerName":"broker-a","queueId":7,"topic":"a"},{"brokerName":"broker-a","queueId":8,"topic":"a"}]}"#;
        let lock = Command::request(request::LOCK_BATCH_MQ).with_body(text);
        let answer = world.call(lock).await;
        assert_eq!(answer.code, 0);
        assert!(!String::from_utf8_lossy(&answer.body).contains("8"));
        assert_eq!(tests_support::times_reached(&world.broker, Limit::OrderLocks), 1);
    }

    #[tokio::test]
    async fn queues_are_locked_and_unlocked_over_the_wire_b310_b311() {
        let world = World::new();
        let text = r#"{"clientId":"c","consumerGroup":"G","mqSet":[{"brokerName":"broker-a","queueId":7,"topic":"none"}]}"#;
        let lock = Command::request(request::LOCK_BATCH_MQ).with_body(text);
        let answer = world.call(lock.clone()).await;
        let known = r#"{"lockOKMQSet":[{"brokerName":"broker-a","queueId":7,"topic":"none"}]}"#;
        assert_eq!((answer.code, answer.fields, answer.body), (0, None, known.into()));
        let other = text.replace(r#""c""#, r#""d""#);
        let answer = world.call(lock.clone().with_body(other.clone())).await;
        assert_eq!(answer.body, r#"{"lockOKMQSet":[]}"#);
        let unlock = Command::request(request::UNLOCK_BATCH_MQ).with_body(text);
        let answer = world.call(unlock).await;
        assert_eq!((answer.code, answer.fields, answer.body.len()), (0, None, 0));
        assert_eq!(world.call(lock.clone().with_body(other)).await.body.len(), known.len());
        assert_eq!(world.call(lock.with_body("x")).await.code, 1);
    }
}
