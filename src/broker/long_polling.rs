//! Pulls that wait for a message (B-200 to B-204).
//!
//! 4.9.4 looks for new messages and for timeouts every 5 s besides; here each message wakes who waits for it,
//! and each pull ends at its own time (S-21), or 5 s after the first message that it did not want: as with 4.9.4, a
//! consumer that wants little goes on behind what others get, and is not shown as late for longer. Not here: what a woken pull answers (`pull`). Invariants: whoever
//! appends only looks up who waits, and never executes a pull; a message that arrives between a pull's read and
//! its parking is seen by one of the two; a parked pull is in all three indexes, an ended one in none.

use std::cell::LazyCell;
use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering, fence};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::Broker;
use super::answers::Refusal;
use super::pull::{Pass, Pull, Wish};
use crate::clock::Clock;
use crate::metrics::Limit;
use crate::model::{QueueId, TopicName};
use crate::remoting::response;
use crate::store::Arrival;
use crate::task;
use crate::transport::Connection;

/// A header with the subscription that it carries that counts once against `limits.waiting_pulls_max`; a longer one counts
/// once for each started so many.
const HEADER_BYTES: usize = 1024;
/// Once half of all places are used, who has more than one in so many of all gets no more: one connection that waits
/// everywhere must not leave the others none.
const CONNECTION_PART: usize = 10;
/// The longest wait, whatever the client says.
const TIMEOUT_MS_MAX: i64 = 3_600_000;
/// Messages that do not match after which a pull ends all the same, so that the next one begins behind them; a
/// pull does not look at more entries than these at once (B-174).
const UNMATCHED_MAX: u64 = 800;
/// How long a pull goes on waiting that a message was stored for which it did not want: 4.9.4's look (B-201).
const UNMATCHED_WAIT: Duration = Duration::from_secs(5);
/// Pulls that are taken out at once when their time is over: whoever appends may wait meanwhile.
const EXPIRED_MAX: usize = 1024;
/// Woken pulls that are executed before others get their turn.
const BURST: usize = 32;

/// The waiting pulls of one broker.
#[derive(Debug, Default)]
pub(super) struct LongPolling {
    /// How many wait; looked at for each new message before anything is locked.
    count: AtomicUsize,
    state: Mutex<State>,
    /// There is an earlier deadline than the one that the timer waits for.
    sooner: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// Where woken pulls are executed; `None` before the start and after the end.
    runtime: Option<Handle>,
    next_id: u64,
    parked: HashMap<u64, Parked>,
    weight: usize,
    /// What waits for a message of a queue, in the order of arrival.
    by_queue: HashMap<TopicName, HashMap<QueueId, BTreeSet<u64>>>,
    by_deadline: BTreeSet<(Instant, u64)>,
    by_connection: BTreeSet<(u64, u64)>,
    /// What the pulls of each connection weigh together.
    weights: HashMap<u64, usize>,
    /// When the timer looks next; `None` if it waits to be told.
    timer_at: Option<Instant>,
}

/// One waiting pull.
#[derive(Debug)]
struct Parked {
    pull: Pull,
    wish: Wish,
    deadline: Instant,
    /// A message was stored that it did not want.
    is_passed: bool,
    weight: usize,
}

/// What a new message means to those that wait in its queue.
#[derive(Debug, Default)]
struct Meant {
    woken: Vec<u64>,
    /// Those that it is the first one for which they do not want.
    passed: Vec<u64>,
}

impl State {
    /// Whether a connection may let a pull wait that weighs so much.
    fn has_room(&self, connection: &Connection, weight: usize, max: usize) -> bool {
        let own = self.weights.get(&connection.id()).copied().unwrap_or(0);
        let has_its_part = own > max / CONNECTION_PART && self.weight > max / 2;
        self.weight + weight <= max && !has_its_part
    }

    /// Puts a pull into all indexes.
    fn insert(&mut self, parked: Parked) -> u64 {
        let connection = parked.pull.responder.connection().id();
        self.weight += parked.weight;
        *self.weights.entry(connection).or_default() += parked.weight;
        let id = self.next_id;
        self.next_id += 1;
        let topic = &parked.wish.topic;
        let queue = match self.by_queue.get_mut(topic.as_str()) {
            Some(queues) => queues.entry(parked.wish.queue_id),
            None => self.by_queue.entry(topic.clone()).or_default().entry(parked.wish.queue_id),
        };
        queue.or_default().insert(id);
        self.by_deadline.insert((parked.deadline, id));
        self.by_connection.insert((connection, id));
        self.parked.insert(id, parked);
        id
    }

    /// Takes a pull out of all indexes.
    fn remove(&mut self, id: u64) -> Option<Pull> {
        let Parked { pull, wish, deadline, weight, .. } = self.parked.remove(&id)?;
        let connection = pull.responder.connection().id();
        self.weight -= weight;
        if let Some(own) = self.weights.get_mut(&connection) {
            *own -= weight;
            if *own == 0 {
                self.weights.remove(&connection);
            }
        }
        let topic = wish.topic.as_str();
        if let Some(queues) = self.by_queue.get_mut(topic) {
            if let Some(ids) = queues.get_mut(&wish.queue_id) {
                ids.remove(&id);
                if ids.is_empty() {
                    queues.remove(&wish.queue_id);
                }
            }
            if queues.is_empty() {
                self.by_queue.remove(topic);
            }
        }
        self.by_deadline.remove(&(deadline, id));
        self.by_connection.remove(&(connection, id));
        Some(pull)
    }

    /// Who is to be woken by a new message, and who lets it pass.
    fn meant(&self, arrival: &Arrival<'_>) -> Meant {
        let queues = self.by_queue.get(arrival.topic);
        let ids = queues.and_then(|queues| queues.get(&arrival.queue_id));
        let properties = LazyCell::new(|| arrival.properties());
        let mut meant = Meant::default();
        for id in ids.into_iter().flatten() {
            let Some(Parked { wish, is_passed, .. }) = self.parked.get(id) else { continue };
            let Some(behind) = arrival.queue_offset.0.checked_sub(wish.offset) else { continue };
            let matches = wish.wanted.subscription().is_none_or(|wanted| {
                wanted.matches_tags_code(arrival.tags_code)
                    && (!wanted.needs_properties() || wanted.matches_properties(*properties))
            });
            if matches || behind >= UNMATCHED_MAX {
                meant.woken.push(*id);
            } else if !is_passed {
                meant.passed.push(*id);
            }
        }
        meant
    }

    /// Lets a pull that a message passed end at `at`, if it would wait for longer.
    fn pass(&mut self, id: u64, at: Instant) {
        let Some(parked) = self.parked.get_mut(&id) else { return };
        parked.is_passed = true;
        if at < parked.deadline {
            self.by_deadline.remove(&(parked.deadline, id));
            parked.deadline = at;
            self.by_deadline.insert((at, id));
        }
    }
}

impl LongPolling {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many pulls wait.
    pub(super) fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// Takes pulls out and counts those that are left.
    fn take(&self, state: &mut State, ids: &[u64]) -> Vec<Pull> {
        let taken = ids.iter().filter_map(|id| state.remove(*id)).collect();
        self.count.store(state.parked.len(), Ordering::Relaxed);
        taken
    }

    /// Lets a pull wait until a message arrives or its time is over.
    pub(super) fn park(&self, broker: &Arc<Broker>, mut pull: Pull, wish: Wish) {
        pull.responder.wait();
        pull.request.remark = None;
        // Memory for the fields was taken for all that the header was, and a copy takes no more than they need.
        pull.request.fields = pull.request.fields.clone();
        let timeout_ms = wish.timeout_ms.clamp(0, TIMEOUT_MS_MAX).unsigned_abs();
        let deadline = broker.clock.monotonic() + Duration::from_millis(timeout_ms);
        let fields = pull.request.fields.iter().flat_map(|fields| fields.iter());
        let bytes: usize = fields.map(|(key, value)| key.len() + value.len()).sum();
        let connection = pull.responder.connection().clone();
        let (topic, queue_id, offset) = (wish.topic.clone(), wish.queue_id, wish.offset);
        let weight = 1 + (bytes + wish.wanted.bytes()) / HEADER_BYTES;
        let id = {
            let mut state = self.lock();
            if state.runtime.is_none() {
                drop(state);
                let remark = "no more pulls can wait now: the broker starts or stops";
                return pull.refuse(Refusal::new(response::SYSTEM_BUSY, remark));
            }
            let max = broker.limits().numbers().waiting_pulls_max;
            if !state.has_room(&connection, weight, max) {
                drop(state);
                let limit = broker.limits().reached(Limit::WaitingPulls);
                let remark =
                    format!("no more pulls can wait now, start flow control for a while: {limit}");
                return pull.refuse(Refusal::new(response::SYSTEM_BUSY, remark));
            }
            let id = state.insert(Parked { pull, wish, deadline, is_passed: false, weight });
            self.count.store(state.parked.len(), Ordering::Relaxed);
            self.look_by(&mut state, deadline);
            id
        };
        // Pairs with the fence in `arrived`: a message is seen here, or we are seen there.
        fence(Ordering::SeqCst);
        let is_late = broker.store.max_offset(topic.as_str(), queue_id).0 > offset;
        if is_late || !connection.is_open() {
            let taken = self.take(&mut self.lock(), &[id]);
            for pull in taken.into_iter().filter(|_| is_late) {
                execute(broker, pull);
            }
        }
    }

    /// Lets the timer look at a time, if it would not before.
    fn look_by(&self, state: &mut State, at: Instant) {
        if state.timer_at.is_none_or(|timer_at| at < timer_at) {
            state.timer_at = Some(at);
            self.sooner.notify_one();
        }
    }

    /// Takes out who is to be woken by a new message. Called by whoever appends.
    fn arrived(&self, arrival: &Arrival<'_>, clock: &Clock) -> Option<(Handle, Vec<Pull>)> {
        fence(Ordering::SeqCst);
        if self.count() == 0 {
            return None;
        }
        let mut state = self.lock();
        let Meant { woken, passed } = state.meant(arrival);
        if !passed.is_empty() {
            let at = clock.monotonic() + UNMATCHED_WAIT;
            passed.iter().for_each(|id| state.pass(*id, at));
            self.look_by(&mut state, at);
        }
        if woken.is_empty() {
            return None;
        }
        let woken = self.take(&mut state, &woken);
        Some((state.runtime.clone()?, woken))
    }

    /// Drops what a closed connection waits for (B-204): nobody is there to be answered.
    pub(super) fn forget_connection(&self, connection: &Connection) {
        if self.count() == 0 {
            return;
        }
        let mut state = self.lock();
        let range = (connection.id(), 0)..=(connection.id(), u64::MAX);
        let ids: Vec<u64> = state.by_connection.range(range).map(|(_, id)| *id).collect();
        let dropped = self.take(&mut state, &ids);
        drop(state);
        drop(dropped);
    }

    /// Takes out whose time is over, and says when to come again.
    fn expired(&self, now: Instant) -> (Vec<Pull>, Option<Instant>) {
        let mut state = self.lock();
        let ended = state.by_deadline.range(..=(now, u64::MAX)).take(EXPIRED_MAX);
        let ids: Vec<u64> = ended.map(|(_, id)| *id).collect();
        let expired = self.take(&mut state, &ids);
        state.timer_at = state.by_deadline.first().map(|(deadline, _)| *deadline);
        (expired, state.timer_at)
    }

    /// Takes everything out, and nothing in any more.
    fn close(&self) -> Vec<Pull> {
        let mut state = self.lock();
        state.runtime = None;
        let ids: Vec<u64> = state.parked.keys().copied().collect();
        self.take(&mut state, &ids)
    }
}

impl Broker {
    /// How many pulls wait for a message.
    #[must_use]
    pub fn waiting_pulls(&self) -> usize {
        self.long_polling.count()
    }
}

/// Makes the store wake the waiting pulls.
pub(super) fn listen(broker: &Arc<Broker>) {
    let long_polling = Arc::clone(&broker.long_polling);
    // The store is the broker's: it must not keep the broker in turn.
    let broker_handle: Weak<Broker> = Arc::downgrade(broker);
    let clock = broker.clock.clone();
    broker.store.set_listener(Arc::new(move |arrival| {
        let woken = long_polling.arrived(arrival, &clock);
        let Some((runtime, woken)) = woken else { return };
        let Some(broker) = broker_handle.upgrade() else { return };
        let _runtime = runtime.enter();
        task::spawn(task::Kind::Ignore, "woken pulls", execute_in_turn(broker, woken));
    }));
}

/// Lets pulls wait, until `stop`; then those that wait are answered.
pub(super) fn start(broker: &Arc<Broker>, handle: &Handle, stop: &CancellationToken) {
    broker.long_polling.lock().runtime = Some(handle.clone());
    let (broker, stop) = (Arc::clone(broker), stop.clone());
    let _runtime = handle.enter();
    let kind = task::Kind::StopNode(stop.clone());
    task::spawn(kind, "long polling", async move {
        while !stop.is_cancelled() {
            let (expired, next) = broker.long_polling.expired(broker.clock.monotonic());
            execute_in_turn(Arc::clone(&broker), expired).await;
            let timer = async {
                match next {
                    Some(next) => tokio::time::sleep_until(next.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = timer => {}
                () = broker.long_polling.sooner.notified() => {}
                () = stop.cancelled() => {}
            }
        }
        let rest = broker.long_polling.close();
        execute_in_turn(Arc::clone(&broker), rest).await;
    });
}

/// Executes pulls and lets others run in between.
async fn execute_in_turn(broker: Arc<Broker>, pulls: Vec<Pull>) {
    for (number, pull) in pulls.into_iter().enumerate() {
        if number % BURST == BURST - 1 {
            tokio::task::yield_now().await;
        }
        execute(&broker, pull);
    }
}

/// Executes a pull that waited.
fn execute(broker: &Arc<Broker>, pull: Pull) {
    Pull { pass: Pass::Woken, ..pull }.run(broker, false);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::pull::tests::{World, waiting_pull};
    use crate::broker::tests_support;
    use crate::filter::Subscription;
    use crate::remoting::headers::{PullHeader, pull_flag};
    use crate::remoting::{Command, request};
    use crate::transport::Client;

    #[tokio::test]
    async fn the_number_of_waiting_pulls_is_bounded_and_long_headers_count_more() {
        let world = World::new();
        let long_polling = &world.broker.long_polling;
        let first = world.wait(waiting_pull()).await;
        assert_eq!(long_polling.lock().weight, 1);
        let max = world.broker.limits().numbers().waiting_pulls_max;
        long_polling.lock().weight = max - 1;
        let expression = "a||".repeat(HEADER_BYTES / 3);
        let mut long = waiting_pull();
        long.subscription = Some(&expression);
        assert_eq!(world.call(long.to_request()).await.code, response::SYSTEM_BUSY);
        let second = world.wait(waiting_pull()).await;
        let refused = world.call(waiting_pull().to_request()).await;
        assert_eq!(refused.code, response::SYSTEM_BUSY);
        let remark = refused.remark.unwrap();
        assert!(remark.contains("limits.waiting_pulls_max = 100000 is reached"), "{remark}");
        assert_eq!(tests_support::times_reached(&world.broker, Limit::WaitingPulls), 2);
        world.store("a", "k").await;
        assert_eq!((first.await.code, second.await.code), (0, 0));
        assert_eq!(long_polling.lock().weight, max - 2);
    }

    #[tokio::test]
    async fn one_connection_does_not_take_all_places() {
        let world = World::new();
        tests_support::limit(&world.broker, |limits| limits.waiting_pulls_max = 20);
        let mut waiting = Vec::new();
        for _ in 0..11 {
            waiting.push(world.wait(waiting_pull()).await);
        }
        let refused = world.call(waiting_pull().to_request()).await;
        assert_eq!(refused.code, response::SYSTEM_BUSY, "it has its part, and half is used");
        let other = Client::new(None);
        let others = world.wait_as(&other, waiting_pull()).await;
        world.store("a", "k").await;
        assert_eq!(others.await.code, 0);
        for answer in waiting {
            assert_eq!(answer.await.code, 0);
        }
        assert!(world.broker.long_polling.lock().weights.is_empty());
    }

    #[tokio::test]
    async fn an_expression_that_a_waiting_pull_carries_counts_as_what_it_takes() {
        let world = World::new();
        let expression = "a or ".repeat(200) + "a";
        let kind = Some(crate::filter::SQL92);
        let pull = waiting_pull();
        let pull = PullHeader { subscription: Some(&expression), expression_type: kind, ..pull };
        let _answer = world.wait(pull).await;
        let weight = world.broker.long_polling.lock().weight;
        assert!(weight > 30, "{weight}: a kilobyte of text is 32 when it is read");
    }

    #[tokio::test]
    async fn a_waiting_pull_keeps_no_remark_of_its_request() {
        let world = World::new();
        let request = waiting_pull().to_request().with_remark("r".repeat(1 << 20));
        let ask = async {
            let answer = world.call(request).await;
            assert_eq!(answer.code, 0);
        };
        let look = async {
            world.parked(1).await;
            let remarks: Vec<_> = {
                let state = world.broker.long_polling.lock();
                state.parked.values().map(|one| one.pull.request.remark.clone()).collect()
            };
            assert_eq!(remarks, [None]);
            world.store("a", "k").await;
        };
        tokio::join!(ask, look);
    }

    /// A heartbeat of the only member of `G`, which reads `T`; what the group is known to want then.
    async fn heartbeat(world: &World, tag: &str, version: i64) -> Weak<Subscription> {
        let body = format!(
            r#"{{"clientID":"c","consumerDataSet":[{{"groupName":"G","subscriptionDataSet":[{{"subString":"{tag}","subVersion":{version},"topic":"T"}}]}}]}}"#
        );
        let request = Command::request(request::HEART_BEAT).with_body(body);
        assert_eq!(world.call(request).await.code, 0);
        Arc::downgrade(&world.broker.clients.subscription("G", "T").unwrap())
    }

    #[tokio::test]
    async fn a_waiting_pull_does_not_keep_what_its_group_wanted_before() {
        let world = World::new();
        let first = heartbeat(&world, "a", 1).await;
        let of_group =
            PullHeader { subscription: None, sys_flag: pull_flag::SUSPEND, ..waiting_pull() };
        let answer = world.wait(of_group).await;
        assert!(first.upgrade().is_some());
        heartbeat(&world, "b", 2).await;
        assert!(first.upgrade().is_none());
        world.store("b", "k").await;
        assert_eq!(answer.await.code, 0, "it is asked what the group wants now");
        let answer = world.wait(PullHeader { queue_offset: 1, ..of_group }).await;
        world.store("a", "k").await;
        world.parked(1).await;
        world.store("b", "k").await;
        assert_eq!((answer.await.code, world.broker.long_polling.count()), (0, 0));
    }

    #[tokio::test]
    async fn a_pull_that_a_message_passed_ends_in_five_seconds_and_not_at_its_own_time_b201() {
        let world = World::new();
        let sought = PullHeader { subscription: Some("b"), ..waiting_pull() };
        let short = PullHeader { suspend_timeout_ms: 3_000, ..sought };
        let answers = [world.wait(sought).await, world.wait(short).await];
        let deadlines = || {
            let state = world.broker.long_polling.lock();
            let mut all: Vec<_> =
                state.parked.iter().map(|(id, one)| (*id, one.deadline)).collect();
            all.sort_unstable();
            assert_eq!(state.by_deadline.len(), all.len());
            assert!(all.iter().all(|(id, at)| state.by_deadline.contains(&(*at, *id))));
            all
        };
        let before = deadlines();
        world.store("a", "k").await;
        let passed = deadlines();
        assert!(passed[0].1 < before[0].1, "it would wait for longer");
        assert_eq!(passed[1], before[1], "its own time comes first");
        assert_eq!(world.broker.long_polling.lock().timer_at, Some(passed[1].1));
        world.store("a", "k").await;
        assert_eq!(deadlines(), passed, "the first one counts");
        // What the timer does at that time.
        let (ended, _) = world.broker.long_polling.expired(passed[0].1);
        assert_eq!(ended.len(), 2);
        execute_in_turn(Arc::clone(&world.broker), ended).await;
        for answer in answers {
            let answer = answer.await;
            assert_eq!((answer.code, answer.field("nextBeginOffset")), (20, Some("2")));
        }
    }

    #[tokio::test]
    async fn an_ended_pull_is_in_no_index() {
        let world = World::new();
        let first = world.wait(waiting_pull()).await;
        let second = world.wait(waiting_pull()).await;
        world.store("a", "k").await;
        assert_eq!((first.await.code, second.await.code), (0, 0));
        let state = world.broker.long_polling.lock();
        assert!(state.parked.is_empty() && state.by_queue.is_empty() && state.weight == 0);
        assert!(state.by_deadline.is_empty() && state.by_connection.is_empty());
        assert!(state.weights.is_empty());
    }
}
