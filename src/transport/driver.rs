//! The one task of a connection: it reads, hands over, and writes.
//!
//! A turn is: write what is queued, read once, hand over every complete frame, and again until the
//! socket has nothing; so a batch of requests costs one `read` and its answers one `write`. Nothing
//! here waits for an answer. It is a hand-written `poll` because a turn must look at queue, socket
//! and timer together without registering anew with each of them per message.
//!
//! Memory: bytes are read into one buffer per thread; a connection owns only the incomplete frame at
//! the end of a read, or what a limit left unread of it, in memory that is at most some times as large
//! (`trimmed`), and every command owns a copy of exactly its frame. A parked request or an idle
//! connection therefore pins nothing else.

use std::cell::Cell;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Interval, MissedTickBehavior};

use super::connection::{Closing, Phase, State};
use super::outgoing::Outgoing;
use super::trimmed::Trimmed;
use super::{Connection, Refused, Responder, Service, Stream};
use crate::metrics::Limit;
use crate::remoting::{self, Command, DecodeError, response};

/// A connection without read and write for this long is closed, up to one tick later.
const IDLE_TICKS: u32 = 4;
const TICK: Duration = Duration::from_secs(30);
/// A turn of the task begins nothing after so long: a read may have hundreds of requests, and who sends one at a time
/// waits for the turns of all floods. In time, because a request may take a microsecond or make a topic.
const TURN: Duration = Duration::from_micros(200);
/// Requests of one connection that occupy a thread for blocking work, or wait for one.
const ON_THREADS_MAX: usize = 8;
/// What a frame has at least behind its length word.
const SERIALIZE_WORD_BYTES: usize = 4;
/// Bytes of one read.
const READ_BYTES_MAX: usize = 64 << 10;

thread_local! {
    /// Where this thread reads into; taken while in use.
    static READ_BUFFER: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// What the task owns.
pub(super) struct Driver {
    connection: Connection,
    stream: Stream,
    service: Option<Arc<dyn Service>>,
    /// What is being written; the next frames gather in the shared state meanwhile.
    writing: Outgoing,
    /// The peer has left, so that nothing is written any more; what it sent before is still read.
    has_left: bool,
    /// Bytes after the last frame that was handed over.
    rest: Trimmed,
    /// Our share of `Limits::half_read_bytes`.
    counted_rest: usize,
    /// `rest` was left by a limit and may begin with complete frames.
    rest_is_ready: bool,
    turn_began: Instant,
    /// Something was read or written since the last tick.
    active: bool,
    quiet_ticks: u32,
    ticks: Interval,
}

impl Driver {
    /// For a connected stream; must run inside a tokio runtime.
    pub(super) fn new(
        connection: Connection,
        stream: Stream,
        service: Option<Arc<dyn Service>>,
    ) -> Self {
        let mut ticks = tokio::time::interval_at(Instant::now() + TICK, TICK);
        // After a stall of the machine the peer gets its whole time again.
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            connection,
            stream,
            service,
            writing: Outgoing::default(),
            has_left: false,
            rest: Trimmed::default(),
            counted_rest: 0,
            rest_is_ready: false,
            turn_began: Instant::now(),
            active: false,
            quiet_ticks: 0,
            ticks,
        }
    }

    /// Serves the connection to its end.
    pub(super) async fn run(mut self) {
        let closing = std::future::poll_fn(|context| self.poll(context)).await;
        // Answers to what came before a bad frame still get their chance.
        let mut context = Context::from_waker(std::task::Waker::noop());
        if self.poll_write(&mut context).is_ready() && self.stream.is_encrypted() {
            // It is told that nothing was cut off.
            let _ = Pin::new(&mut self.stream).poll_shutdown(&mut context);
        }
        let (peer, reason) = (self.connection.remote(), closing.reason.as_str());
        if closing.is_fault {
            tracing::warn!(%peer, reason, "connection closed");
        } else {
            tracing::debug!(%peer, reason, "connection closed");
        }
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Closing> {
        match self.poll_to_end(context) {
            Poll::Ready(Err(closing)) => {
                let mut state = self.connection.lock();
                state.waker = None;
                if let Phase::Closed(earlier) = &state.phase {
                    return Poll::Ready(earlier.clone());
                }
                state.phase = Phase::Closed(closing.clone());
                Poll::Ready(closing)
            }
            Poll::Ready(Ok(never)) => match never {},
            Poll::Pending => Poll::Pending,
        }
    }

    fn poll_to_end(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Result<std::convert::Infallible, Closing>> {
        self.turn_began = Instant::now();
        let mut has_read = false;
        loop {
            let may_read = {
                let mut state = self.connection.lock();
                state.waker = None;
                if let Phase::Closed(closing) = &state.phase {
                    return Poll::Ready(Err(closing.clone()));
                }
                self.may_read(&state)
            };
            let is_stuck = self.poll_write(context)?.is_pending();
            if may_read && has_read && self.is_turn_over() {
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            if may_read && self.poll_input(context)?.is_ready() {
                has_read = true;
                continue;
            }
            while self.ticks.poll_tick(context).is_ready() {
                self.tick()?;
            }
            let mut state = self.connection.lock();
            state.stuck_bytes = self.writing.len();
            if let Some(dropped) = self.connection.count_unsent(&mut state) {
                // Not under our lock: the other one may be dropping us.
                drop(state);
                dropped.drop_slow_reader();
                state = self.connection.lock();
            }
            let has_more_to_write = !is_stuck && !state.out.is_empty();
            let may_read_now = self.may_read(&state);
            match &state.phase {
                Phase::Closed(closing) => return Poll::Ready(Err(closing.clone())),
                Phase::Draining
                    if !is_stuck && self.is_drained(state.in_flight, state.out.len()) =>
                {
                    return Poll::Ready(Err(Closing::ordinary("we stop")));
                }
                _ if has_more_to_write || (may_read_now && !may_read) => {}
                _ => {
                    state.waker = Some(context.waker().clone());
                    return Poll::Pending;
                }
            }
        }
    }

    /// Whether others are to have their turn before more is handed over.
    fn is_turn_over(&self) -> bool {
        self.turn_began.elapsed() >= TURN
    }

    /// Whether the limits let us take more requests from this peer.
    fn may_read(&self, state: &State) -> bool {
        let numbers = self.connection.limits().numbers();
        state.phase == Phase::Open
            && state.in_flight < numbers.connection_in_flight_max
            && state.on_threads < ON_THREADS_MAX
            && self.writing.len() + state.out.len() <= numbers.connection_unsent_bytes_max / 4
    }

    fn is_drained(&self, in_flight: usize, queued_bytes: usize) -> bool {
        in_flight == 0 && queued_bytes == 0 && self.writing.is_empty()
    }

    /// Writes until nothing is queued; pending when the peer takes no more.
    fn poll_write(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Closing>> {
        loop {
            if self.has_left {
                self.writing = Outgoing::default();
                self.connection.lock().out = Outgoing::default();
                return Poll::Ready(Ok(()));
            }
            if self.writing.is_empty() {
                let mut state = self.connection.lock();
                if state.out.is_empty() {
                    drop(state);
                    // What is encrypted may still be here.
                    return Pin::new(&mut self.stream).poll_flush(context).map_err(lost);
                }
                std::mem::swap(&mut self.writing, &mut state.out);
            }
            let stream = Pin::new(&mut self.stream);
            match ready!(self.writing.poll_write(stream, context)) {
                Ok(0) => return Poll::Ready(Err(Closing::ordinary("the peer takes no bytes"))),
                Ok(_) => self.active = true,
                // A consumer tells how far it came and closes, whatever it has not read. Reads end behind that.
                Err(_) if !self.stream.is_encrypted() => self.has_left = true,
                Err(error) => return Poll::Ready(Err(lost(error))),
            }
        }
    }

    /// Hands over what is at hand; ready if there was something.
    fn poll_input(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Closing>> {
        if self.rest_is_ready {
            return Poll::Ready(self.take_in(&[]));
        }
        let mut memory = READ_BUFFER.take();
        memory.resize(READ_BYTES_MAX, 0);
        let mut buffer = ReadBuf::new(&mut memory);
        let polled = Pin::new(&mut self.stream).poll_read(context, &mut buffer);
        let result = match polled {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Err(error)) => Poll::Ready(Err(lost(error))),
            Poll::Ready(Ok(())) if buffer.filled().is_empty() => {
                Poll::Ready(Err(Closing::ordinary("the peer closed it")))
            }
            Poll::Ready(Ok(())) => Poll::Ready(self.take_in(buffer.filled())),
        };
        READ_BUFFER.set(memory);
        result
    }

    /// Hands over every complete frame of `rest` and `read`, and keeps what is left.
    fn take_in(&mut self, read: &[u8]) -> Result<(), Closing> {
        self.active = true;
        if self.rest.is_empty() {
            let used = self.hand_over(read)?;
            self.rest.end().extend_from_slice(&read[used..]);
        } else {
            let mut rest = std::mem::take(&mut self.rest);
            rest.end().extend_from_slice(read);
            let used = self.hand_over(&rest)?;
            rest.advance(used, 0);
            self.rest = rest;
        }
        let (before, now) = (self.counted_rest, self.rest.len());
        self.counted_rest = now;
        let dropped = self.connection.limits().count_half_read(&self.connection, before, now);
        if let Some(dropped) = dropped {
            let limit = dropped.limits().reached(Limit::HalfReadBytes);
            let reason = format!("it has most bytes of incomplete frames: {limit}");
            dropped.end(Closing::fault(reason));
        }
        Ok(())
    }

    /// Hands over the complete frames at the start of `bytes`; returns how many bytes they are.
    fn hand_over(&mut self, bytes: &[u8]) -> Result<usize, Closing> {
        let frame_bytes_max = self.connection.limits().numbers().frame_bytes_max;
        let mut used = 0;
        let mut requests = 0_u32;
        self.rest_is_ready = false;
        let result = loop {
            let frame = match remoting::frame_length(&bytes[used..], frame_bytes_max) {
                Ok(Some(length)) if length <= bytes.len() - used => &bytes[used..used + length],
                Ok(_) => break Ok(used),
                Err(error) => break Err(self.bad_length(&bytes[used..], &error)),
            };
            used += frame.len();
            let command = match remoting::decode(Bytes::copy_from_slice(frame)) {
                Ok(command) => command,
                Err(error) => break Err(Closing::fault(error.to_string())),
            };
            if command.is_response() {
                self.connection.complete_call(command);
                continue;
            }
            requests += 1;
            self.request(command, frame.len());
            let state = self.connection.lock();
            if !self.may_read(&state) {
                self.rest_is_ready = true;
                let limits = self.connection.limits();
                if state.in_flight >= limits.numbers().connection_in_flight_max {
                    limits.reached(Limit::ConnectionInFlight);
                }
                break Ok(used);
            }
            if self.is_turn_over() {
                self.rest_is_ready = true;
                break Ok(used);
            }
        };
        if requests > 0
            && let Some(service) = &self.service
        {
            service.on_batch_end();
        }
        result
    }

    /// Why a connection ends whose next frame cannot be one.
    fn bad_length(&self, bytes: &[u8], error: &DecodeError) -> Closing {
        let length = bytes.first_chunk().map_or(0, |word| i32::from_be_bytes(*word));
        // Of lengths, only small and negative ones are wrong for another reason.
        if usize::try_from(length).is_ok_and(|length| length > SERIALIZE_WORD_BYTES) {
            let limit = self.connection.limits().reached(Limit::FrameBytes);
            return Closing::fault(format!("{error}: {limit}"));
        }
        Closing::fault(error.to_string())
    }

    /// Hands one request to the service, or refuses it.
    fn request(&self, request: Command, bytes: usize) {
        let limit = self.connection.begin_request(request.code, bytes);
        let responder = Responder::new(self.connection.clone(), &request, bytes);
        match &self.service {
            Some(service) if limit.is_none() => service.on_request(request, responder),
            Some(_) => {
                let limit = limit.map(|limit| self.connection.limits().reached(limit));
                let limit = limit.unwrap_or_default();
                let remark =
                    format!("[OVERLOAD]system busy, start flow control for a while: {limit}");
                let busy = Command::response(response::SYSTEM_BUSY).with_remark(remark);
                responder.send_json(busy);
            }
            None => {
                let remark = format!(" request type {} not supported", request.code);
                let code = response::REQUEST_CODE_NOT_SUPPORTED;
                responder.send_json(Command::response(code).with_remark(remark));
            }
        }
    }

    /// Closes the connection after [`IDLE_TICKS`] without a byte, or if it may not be plain any more, and gives memory back before.
    fn tick(&mut self) -> Result<(), Closing> {
        if self.stream.is_forbidden() {
            return Err(Closing::fault("it is not encrypted, and tls.mode is \"enforcing\" now"));
        }
        if std::mem::take(&mut self.active) {
            self.quiet_ticks = 0;
            return Ok(());
        }
        self.quiet_ticks += 1;
        if self.quiet_ticks >= IDLE_TICKS {
            return Err(Closing::ordinary("idle for 120 s"));
        }
        self.writing.trim();
        self.connection.lock().out.trim();
        Ok(())
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.connection.limits().count_half_read(&self.connection, self.counted_rest, 0);
        self.connection.ended();
        if let Some(service) = &self.service {
            service.on_close(&self.connection);
        }
    }
}

/// What a socket's error says about a connection; resets are ordinary.
#[expect(clippy::needless_pass_by_value, reason = "used with map_err")]
fn lost(error: std::io::Error) -> Closing {
    if Refused::find(&error).is_some() {
        Closing::fault(error.to_string())
    } else {
        Closing::ordinary(error.to_string())
    }
}
