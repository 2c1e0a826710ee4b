//! Handles to a connection, and the state they share with the task that drives it (`driver`).
//!
//! One mutex per connection holds everything both sides touch. It is taken for a few instructions at
//! a time and never while a service runs. Invariant: whoever gives the driver something to do takes
//! the waker out of the state and wakes it, so that no wake-up is lost.

use std::collections::HashMap;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Duration;

use tokio::sync::oneshot;

use super::outgoing::Outgoing;
use super::{CallError, Limits, Signer};
use crate::metrics::Limit;
use crate::remoting::{Command, SerializeType};

/// The number of the last connection made.
static LAST_ID: AtomicU64 = AtomicU64::new(0);
/// The opaque of the next request of ours (R-032: one counter a process).
static NEXT_OPAQUE: AtomicI32 = AtomicI32::new(0);

/// A cheap handle to one connection; equal handles mean the same connection.
#[derive(Clone)]
pub struct Connection(Arc<Shared>);

/// What handles and driver share.
struct Shared {
    id: u64,
    remote: SocketAddr,
    /// Whether we dialled it.
    is_dialled: bool,
    limits: Arc<Limits>,
    /// For requests of ours; answers are not signed.
    signer: Signer,
    state: Mutex<State>,
}

/// The part of a connection that changes.
#[derive(Default)]
pub(super) struct State {
    /// Frames that the driver has not taken yet.
    pub(super) out: Outgoing,
    /// Bytes the driver took and could not write yet.
    pub(super) stuck_bytes: usize,
    /// Our share of `Limits::unsent_bytes`.
    counted_bytes: usize,
    /// Requests of the peer that are not done, oneway ones too.
    pub(super) in_flight: usize,
    /// Those of them that occupy a thread for blocking work, or wait for one.
    pub(super) on_threads: usize,
    /// Our requests without an answer, by opaque.
    calls: HashMap<i32, oneshot::Sender<Command>>,
    /// Set while the driver sleeps.
    pub(super) waker: Option<Waker>,
    pub(super) phase: Phase,
}

/// How far a connection is in its life.
#[derive(Default, PartialEq, Eq)]
pub(super) enum Phase {
    #[default]
    Open,
    /// Nothing more is read; ends when everything is answered and written.
    Draining,
    /// To be ended by the driver, or ended.
    Closed(Closing),
}

/// Why a connection ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Closing {
    pub(super) reason: String,
    /// Whether the peer did something an operator should see.
    pub(super) is_fault: bool,
}

impl Closing {
    pub(super) fn ordinary(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), is_fault: false }
    }

    pub(super) fn fault(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), is_fault: true }
    }
}

impl Connection {
    /// One that a peer made.
    pub(super) fn accepted(remote: SocketAddr, limits: Arc<Limits>) -> Self {
        Self::new(remote, false, limits, Signer::default())
    }

    /// One that we made, whose requests are signed.
    pub(super) fn dialled(remote: SocketAddr, limits: Arc<Limits>, signer: Signer) -> Self {
        Self::new(remote, true, limits, signer)
    }

    fn new(remote: SocketAddr, is_dialled: bool, limits: Arc<Limits>, signer: Signer) -> Self {
        let id = LAST_ID.fetch_add(1, Ordering::Relaxed) + 1;
        let state = Mutex::default();
        Self(Arc::new(Shared { id, remote, is_dialled, limits, signer, state }))
    }

    /// Unique in this process, never used again.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.0.id
    }

    /// The peer's address.
    #[must_use]
    pub fn remote(&self) -> SocketAddr {
        self.0.remote
    }

    /// Whether it can still be written to.
    #[must_use]
    pub fn is_open(&self) -> bool {
        !matches!(self.lock().phase, Phase::Closed(_))
    }

    /// Bytes queued or not taken by the peer yet, for callers who can wait instead of queueing more.
    #[must_use]
    pub fn unsent_bytes(&self) -> usize {
        let state = self.lock();
        state.out.len() + state.stuck_bytes
    }

    /// Sends a request that has no answer; not if its header is longer than a frame can tell.
    pub fn send_oneway(&self, mut request: Command) {
        self.0.signer.sign(&mut request);
        request.opaque = NEXT_OPAQUE.fetch_add(1, Ordering::Relaxed);
        let request = request.oneway();
        if !self.push(&request) {
            let (peer, code) = (self.remote(), request.code);
            tracing::warn!(%peer, code, "a request is not sent: its header is too long");
        }
    }

    /// Sends a request and waits for its answer. A connection that we dialled is closed when there is none in time
    /// our own writes would keep one to a vanished host open for ever.
    ///
    /// # Errors
    /// Connection lost, no answer within `timeout`, or the header is longer than a frame can tell.
    pub async fn call(
        &self,
        mut request: Command,
        timeout: Duration,
    ) -> Result<Command, CallError> {
        self.0.signer.sign(&mut request);
        request.opaque = NEXT_OPAQUE.fetch_add(1, Ordering::Relaxed);
        let (sender, receiver) = oneshot::channel();
        {
            let mut state = self.lock();
            if let Phase::Closed(closing) = &state.phase {
                return Err(self.lost(closing));
            }
            state.calls.insert(request.opaque, sender);
        }
        let _forget = ForgetCall { connection: self, opaque: request.opaque };
        if !self.push(&request) {
            return Err(CallError::TooLong(self.remote().to_string()));
        }
        match tokio::time::timeout(timeout, receiver).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(_)) => Err(match &self.lock().phase {
                Phase::Closed(closing) => self.lost(closing),
                // The driver closes before it gives up its calls.
                Phase::Open | Phase::Draining => self.lost(&Closing::ordinary("we stop")),
            }),
            Err(_) => {
                if self.0.is_dialled {
                    self.close("a call had no answer in time");
                }
                Err(CallError::Timeout(self.remote().to_string()))
            }
        }
    }

    fn lost(&self, closing: &Closing) -> CallError {
        let (address, reason) = (self.remote().to_string(), closing.reason.clone());
        CallError::Lost { address, reason }
    }

    /// Closes it; queued answers may be lost.
    pub fn close(&self, reason: &str) {
        self.end(Closing::ordinary(reason));
    }

    pub(super) fn limits(&self) -> &Arc<Limits> {
        &self.0.limits
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts one request of the peer; the limit for which it must be refused.
    pub(super) fn begin_request(&self, code: i32, bytes: usize) -> Option<Limit> {
        self.lock().in_flight += 1;
        self.limits().begin_request(code, bytes)
    }

    /// Hands an answer to the call that waits for it; a late one finds none and is dropped.
    pub(super) fn complete_call(&self, answer: Command) {
        let call = self.lock().calls.remove(&answer.opaque);
        if let Some(call) = call {
            // The caller may have given up in this instant.
            let _ = call.send(answer);
        }
    }

    /// Nothing more is read; the driver ends when everything is answered and written.
    pub(super) fn drain(&self) {
        let mut state = self.lock();
        if state.phase == Phase::Open {
            state.phase = Phase::Draining;
        }
        wake(state);
    }

    /// The driver is gone: nobody waits any more. What is under way still counts until it is done.
    pub(super) fn ended(&self) {
        let _calls = {
            let mut state = self.lock();
            if !matches!(state.phase, Phase::Closed(_)) {
                state.phase = Phase::Closed(Closing::ordinary("its task was dropped"));
            }
            state.out = Outgoing::default();
            state.stuck_bytes = 0;
            // Nobody is dropped for less bytes.
            self.count_unsent(&mut state);
            state.waker = None;
            std::mem::take(&mut state.calls)
        };
    }

    /// Brings our share of the unsent bytes up to date, and closes this connection if it has too many; returns
    /// another one that is to be closed, by [`Self::drop_slow_reader`] without our lock.
    pub(super) fn count_unsent(&self, state: &mut State) -> Option<Self> {
        let limits = self.limits();
        let max = limits.numbers().connection_unsent_bytes_max;
        let unsent = state.stuck_bytes + state.out.len();
        // Bytes count as unsent from the first write that the peer did not take, or when nothing was written for so
        // long that they are many.
        let counted = if state.stuck_bytes > 0 || unsent > max / 4 { unsent } else { 0 };
        let before = std::mem::replace(&mut state.counted_bytes, counted);
        let mut dropped = limits.count_unsent(self, before, counted);
        let limit = if unsent > max {
            Some(Limit::ConnectionUnsentBytes)
        } else {
            (dropped.as_ref() == Some(self)).then_some(Limit::UnsentBytes)
        };
        if let Some(limit) = limit
            && !matches!(state.phase, Phase::Closed(_))
        {
            state.phase = Phase::Closed(slow_reader(limits, limit));
        }
        dropped.take_if(|dropped| dropped != self)
    }

    /// Closes a connection that has more unsent bytes than any other.
    pub(super) fn drop_slow_reader(&self) {
        self.end(slow_reader(self.limits(), Limit::UnsentBytes));
    }

    /// Queues a frame; whether it is that of the command, whose header may be too long for one.
    fn push(&self, command: &Command) -> bool {
        let mut state = self.lock();
        if matches!(state.phase, Phase::Closed(_)) {
            return true;
        }
        let is_whole = state.out.push(command);
        let dropped = self.count_unsent(&mut state);
        wake(state);
        if let Some(dropped) = dropped {
            dropped.drop_slow_reader();
        }
        is_whole
    }

    pub(super) fn end(&self, closing: Closing) {
        let mut state = self.lock();
        if !matches!(state.phase, Phase::Closed(_)) {
            state.phase = Phase::Closed(closing);
        }
        wake(state);
    }
}

/// Why a connection with too many unsent bytes is closed.
fn slow_reader(limits: &Limits, limit: Limit) -> Closing {
    Closing::fault(format!("it does not read what it is sent: {}", limits.reached(limit)))
}

/// Wakes the driver if it sleeps, after the lock is gone.
fn wake(mut state: MutexGuard<'_, State>) {
    let waker = state.waker.take();
    drop(state);
    if let Some(waker) = waker {
        waker.wake();
    }
}

impl PartialEq for Connection {
    fn eq(&self, other: &Self) -> bool {
        self.id() == other.id()
    }
}

impl Eq for Connection {}

impl Hash for Connection {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.id().hash(state);
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Connection({}, {})", self.id(), self.remote())
    }
}

/// Takes a call off the list when its caller got the answer or gave up.
struct ForgetCall<'a> {
    connection: &'a Connection,
    opaque: i32,
}

impl Drop for ForgetCall<'_> {
    fn drop(&mut self) {
        self.connection.lock().calls.remove(&self.opaque);
    }
}

/// Sends the one answer of one request. Dropped without an answer, the peer never gets one.
#[derive(Debug)]
pub struct Responder {
    connection: Connection,
    opaque: i32,
    code: i32,
    serialize_type: SerializeType,
    /// Whether an answer is still owed; never for oneway requests.
    owed: bool,
    /// Whether the request counts as in flight, and with how many bytes.
    counted_bytes: Option<usize>,
    /// Whether it counts as occupying a thread.
    on_thread: bool,
}

impl Responder {
    /// Of a request that [`Connection::begin_request`] counted with `bytes`.
    pub(super) fn new(connection: Connection, request: &Command, bytes: usize) -> Self {
        Self {
            connection,
            opaque: request.opaque,
            code: request.code,
            serialize_type: request.serialize_type,
            owed: !request.is_oneway(),
            counted_bytes: Some(bytes),
            on_thread: false,
        }
    }

    /// The answer comes when something happens, perhaps never: until then the request does not count as in flight,
    /// so that waiting requests neither keep their connection from being read, nor from ending.
    pub fn wait(&mut self) {
        let Some(bytes) = self.counted_bytes.take() else { return };
        let mut state = self.connection.lock();
        state.in_flight -= 1;
        if std::mem::take(&mut self.on_thread) {
            state.on_threads -= 1;
        }
        self.connection.limits().end_request(bytes);
        wake(state);
    }

    /// The request goes to a thread for blocking work. Few of one connection may: it is not read from until they are
    /// done, so that the threads are shared fairly.
    pub fn goes_to_thread(&mut self) {
        if self.counted_bytes.is_some() && !std::mem::replace(&mut self.on_thread, true) {
            self.connection.lock().on_threads += 1;
        }
    }

    /// The thread is done with the request, which goes on without one.
    pub fn leaves_thread(&mut self) {
        if std::mem::take(&mut self.on_thread) {
            let mut state = self.connection.lock();
            state.on_threads -= 1;
            wake(state);
        }
    }

    /// Whether nobody is there any more who wants the answer.
    #[must_use]
    pub fn is_moot(&self) -> bool {
        self.owed && !self.connection.is_open()
    }

    /// Where the request came from.
    #[must_use]
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// The request's code.
    #[must_use]
    pub fn code(&self) -> i32 {
        self.code
    }

    /// Sends the answer (opaque and serialize type are the request's); nothing for oneway requests.
    pub fn send(self, answer: Command) {
        let serialize_type = self.serialize_type;
        self.send_as(answer, serialize_type);
    }

    /// Sends the answer with a JSON header whatever the request had.
    pub fn send_json(self, answer: Command) {
        self.send_as(answer, SerializeType::Json);
    }

    fn send_as(mut self, mut answer: Command, serialize_type: SerializeType) {
        if std::mem::take(&mut self.owed) {
            answer.opaque = self.opaque;
            answer.flag = 1;
            answer.serialize_type = serialize_type;
            // Counted until the answer is queued: a connection that drains must not end between the two.
            self.connection.push(&answer);
        }
    }
}

impl Drop for Responder {
    fn drop(&mut self) {
        self.wait();
    }
}
