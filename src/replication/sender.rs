//! The HA port: whoever connects says where its log ends and is sent what follows (H-001 to H-010, H-017).
//!
//! One task a slave; it reads reports and writes batches side by side, so that a slave that reads slowly is still
//! heard. Not here: who waits for slaves (`store`). One of ours has compared the logs before it reports, and said so on
//! the broker port; of all others the last record below their end is compared here. Invariants: nothing is sent to a
//! slave whose log was not found to fit; a report counts only within what was sent (H-007 repaired); a slave holds up
//! nobody; whoever says nothing keeps no slave out; at most [`CHUNK_BYTES`] of the log are held for a slave.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::decide::Compared;
use super::member::Member;
use super::past::Neighbour;
use super::peers::CALL_TIMEOUT;
use super::state::SlaveState;
use super::wire::{self, Reports};
use super::{HEARTBEAT, SILENCE_MAX};
use crate::metrics::Histogram;
use crate::model::PhysicalOffset;
use crate::store::Replica;
use crate::task::{self, Kind};
use crate::transport::{Refused, Stream};

/// The most that one header announces (`haTransferBatchSize`, H-008).
pub(super) const BATCH_BYTES_MAX: usize = 32_768;
/// How much of the log is read at once.
const CHUNK_BYTES: usize = 32 * BATCH_BYTES_MAX;
/// What is nearer to the log's end is in the kernel's memory: reading it does not wait for the disk.
const HOT_BYTES: u64 = 4 << 20;
/// The most slaves at once; there are a few, everybody else is a mistake.
pub(super) const SLAVES_MAX: usize = 64;
/// How often is looked whether what a slave had is on the disk here.
const FLUSH_LOOK: Duration = Duration::from_millis(500);
/// How long a small batch waits for a slave to have what was sent before: under load much goes together then, and a slave
/// far away is not waited for.
const GATHER_MAX: Duration = Duration::from_millis(1);
/// The pause after a failed accept; running out of descriptors does not pass at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The HA port of one broker.
#[derive(Debug)]
pub struct Sender {
    member: Arc<Member>,
}

/// A connected slave.
#[derive(Debug)]
pub(super) struct Progress {
    pub(super) peer: SocketAddr,
    pub(super) sent_to: AtomicU64,
    pub(super) acknowledged_to: watch::Sender<u64>,
    /// When it said anything last.
    heard_at: Mutex<Instant>,
    /// Up to where it was sent something that it has not acknowledged, and when; one thing at a time is watched.
    watched: Mutex<Option<(u64, Instant)>>,
    /// What it said first.
    pub(super) started: watch::Sender<Option<i64>>,
    /// Who it is, from when its log was found to fit.
    pub(super) known: OnceLock<Known>,
}

/// Who a slave is.
#[derive(Debug)]
pub(super) struct Known {
    /// Its broker port, as `host:port`; of one of 4.9.4, if a name server knows it.
    pub(super) address: Option<String>,
    pub(super) is_plain: bool,
}

impl Progress {
    fn new(peer: SocketAddr) -> Self {
        Self {
            peer,
            sent_to: AtomicU64::new(0),
            acknowledged_to: watch::Sender::new(0),
            heard_at: Mutex::new(Instant::now()),
            watched: Mutex::default(),
            started: watch::Sender::new(None),
            known: OnceLock::new(),
        }
    }

    /// It is about to be sent the log up to `to`.
    fn watch(&self, to: u64) {
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        watched.get_or_insert_with(|| (to, Instant::now()));
    }

    /// It has the log up to `to`.
    fn has(&self, to: u64, took: &Histogram) {
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, sent_at)) = watched.take_if(|(watched, _)| *watched <= to) {
            took.observe(sent_at.elapsed());
        }
    }

    pub(super) fn lock_heard_at(&self) -> MutexGuard<'_, Instant> {
        self.heard_at.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection, being served.
struct Connection {
    progress: Arc<Progress>,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

/// Why a slave's connection is closed.
#[derive(Debug, thiserror::Error)]
enum End {
    #[error("it closed the connection")]
    Closed,
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("it said nothing for {} s", SILENCE_MAX.as_secs())]
    Silent,
    #[error("it says that it has the log up to {0}, but was sent {1}")]
    BeyondSent(i64, u64),
    #[error(
        "its log ends at {at}, this one is from {start} to {end}: it is not a copy of it, or too far behind"
    )]
    Elsewhere { at: i64, start: u64, end: u64 },
    #[error("the log is not there any more at {0}: it was too far behind")]
    Removed(u64),
    #[error("who it is cannot be told yet: {0}; it will come again")]
    Unknown(String),
    #[error(
        "it has another record than this log below its end {end}, or none: it is a copy of another log, and is sent \
         nothing. Stop it, remove its store directory, and start it again"
    )]
    Conflict { end: u64 },
    #[error("{0}")]
    Refused(io::Error),
    #[error("{0}: a slave of 4.9.4 never does, and cannot copy from here in this mode")]
    NotEncrypted(io::Error),
    #[error("TLS is another matter here now: it will come again")]
    TlsChanged,
    #[error("this log follows another history now")]
    OtherHistory,
}

impl Sender {
    /// A sender of a member's log.
    #[must_use]
    pub fn new(member: Arc<Member>) -> Arc<Self> {
        Arc::new(Self { member })
    }

    /// The slaves that are connected.
    #[must_use]
    pub fn slaves(&self) -> Vec<SlaveState> {
        self.member.slaves()
    }

    /// Serves the port until `stop`; returns when all connections are closed.
    pub async fn serve(self: Arc<Self>, listener: TcpListener, stop: CancellationToken) {
        let mut connections = Vec::new();
        let mut next_id = 0;
        loop {
            let accepted = tokio::select! {
                () = stop.cancelled() => break,
                accepted = listener.accept() => accepted,
            };
            connections.retain(|one: &Connection| !one.task.is_finished());
            match accepted {
                Ok((stream, peer)) => {
                    if !self.has_room(&mut connections).await {
                        tracing::warn!(%peer, "refused: too many connections to the HA port");
                        continue;
                    }
                    next_id += 1;
                    let (sender, id, stop) = (Arc::clone(&self), next_id, stop.child_token());
                    let progress = Arc::new(Progress::new(peer));
                    let (one, stopped) = (Arc::clone(&progress), stop.clone());
                    let task = task::spawn(Kind::Ignore, "slave", async move {
                        sender.serve_one(id, stream, one, stopped).await;
                    });
                    connections.push(Connection { progress, stop, task });
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection to the HA port");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        for one in connections {
            // A panic in it was reported.
            let _ = one.task.await;
        }
    }

    /// Whether one more is let in: where there are too many, the oldest that nothing is known of makes room.
    async fn has_room(&self, connections: &mut Vec<Connection>) -> bool {
        if connections.len() < SLAVES_MAX {
            return true;
        }
        let is_unknown = |one: &Connection| {
            let progress = &one.progress;
            progress.started.borrow().is_none()
                && !self.member.lock_greeted().contains_key(&progress.peer)
        };
        let Some(at) = connections.iter().position(is_unknown) else { return false };
        let Connection { progress, stop, task } = connections.remove(at);
        tracing::warn!(peer = %progress.peer, "disconnected: it said nothing, and another one came to a full HA port");
        stop.cancel();
        // A panic in it was reported.
        let _ = task.await;
        true
    }

    async fn serve_one(
        &self,
        id: u64,
        tcp: TcpStream,
        progress: Arc<Progress>,
        stop: CancellationToken,
    ) {
        let peer = progress.peer;
        if let Err(error) = tcp.set_nodelay(true) {
            // The peer is gone already; the first read says so.
            tracing::debug!(%peer, %error, "cannot set TCP_NODELAY");
        }
        self.member.lock_slaves().insert(id, Arc::clone(&progress));
        let replica = Mutex::new(None);
        let ended = tokio::select! {
            () = stop.cancelled() => None,
            Err(end) = self.copy_to(tcp, &progress, &replica) => Some(end),
        };
        self.member.lock_slaves().remove(&id);
        self.member.lock_greeted().remove(&peer);
        let has_started = progress.started.borrow().is_some();
        match &ended {
            None => {}
            // Whoever only looks whether the port is open is no slave.
            Some(End::Closed | End::Io(_)) if !has_started => {}
            Some(end) => tracing::warn!(%peer, "slave disconnected: {end}"),
        }
        drop(replica);
        if ended.is_some() {
            let _ = stop.run_until_cancelled(self.forget(&progress)).await;
        }
    }

    /// Serves one connection; does not return without an error.
    async fn copy_to(
        &self,
        tcp: TcpStream,
        progress: &Progress,
        replica: &Registered,
    ) -> Result<(), End> {
        let tls = self.member.tls();
        let mut histories = self.member.histories();
        let tls_changed = tls.changed();
        let mut stream = tls.accepted(tcp);
        // a slave speaks first (H-004).
        let begun = timeout(SILENCE_MAX, stream.begin()).await.map_err(|_| End::Silent)?;
        begun.map_err(|error| match Refused::find(&error) {
            None => End::Io(error),
            Some(refused) if refused.is_plain => End::NotEncrypted(error),
            Some(_) => End::Refused(error),
        })?;
        let is_plain = !stream.is_encrypted();
        let (reader, writer) = tokio::io::split(stream);
        let took = &self.member.store().options().times.replication;
        tokio::select! {
            ended = read_reports(reader, progress, replica, took) => ended,
            ended = write_log(&self.member, writer, progress, replica) => ended,
            // The sender lives as long as the member.
            Ok(()) = histories.changed() => Err(End::OtherHistory),
            () = tls_changed, if is_plain => Err(End::TlsChanged),
        }
    }

    /// Forgets a slave that is gone, once it has nothing that is not on the disk here.
    async fn forget(&self, progress: &Progress) {
        let Some(address) = progress.known.get().and_then(|known| known.address.as_deref()) else {
            return;
        };
        let sent_to = progress.sent_to.load(Ordering::Acquire);
        while self.member.store.flushed_to().0 < sent_to {
            tokio::time::sleep(FLUSH_LOOK).await;
        }
        if !self.member.is_slave() {
            let (member, address) = (Arc::clone(&self.member), address.to_owned());
            let forgetting =
                task::spawn_blocking("forget a slave", move || member.forget_peer(&address));
            // It fails only if it panics, which is reported.
            let _ = forgetting.await;
        }
    }
}

/// The slave in the store's books, from its first report on.
type Registered = Mutex<Option<Arc<Replica>>>;

fn registered(replica: &Registered) -> Option<Arc<Replica>> {
    replica.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

/// Reads what the slave says; does not return without an error.
async fn read_reports(
    mut reader: ReadHalf<Stream>,
    progress: &Progress,
    replica: &Registered,
    took: &Histogram,
) -> Result<(), End> {
    let mut reports = Reports::default();
    let mut bytes = [0; 1024];
    loop {
        let read =
            timeout(SILENCE_MAX, reader.read(&mut bytes)).await.map_err(|_| End::Silent)??;
        if read == 0 {
            return Err(End::Closed);
        }
        // H-005: -1 says nothing.
        let Some(report) = reports.take(&bytes[..read]).filter(|report| *report != -1) else {
            continue;
        };
        *progress.lock_heard_at() = Instant::now();
        let is_first = progress.started.send_if_modified(|started| {
            let is_first = started.is_none();
            started.get_or_insert(report);
            is_first
        });
        // Until it is registered, what it says only repeats where it begins.
        let Some(replica) = registered(replica).filter(|_| !is_first) else { continue };
        let sent_to = progress.sent_to.load(Ordering::Acquire);
        let end = u64::try_from(report).ok().filter(|end| *end <= sent_to);
        let end = end.ok_or(End::BeyondSent(report, sent_to))?;
        progress.acknowledged_to.send_if_modified(|to| end > std::mem::replace(to, end.max(*to)));
        progress.has(end, took);
        replica.acknowledge(end);
    }
}

/// Sends the log from where the slave's ends; does not return without an error.
async fn write_log(
    member: &Arc<Member>,
    mut writer: WriteHalf<Stream>,
    progress: &Progress,
    registered: &Registered,
) -> Result<(), End> {
    let mut started = progress.started.subscribe();
    // H-004: silent until the slave has said where it is. The sender lives as long as this.
    let first = started.wait_for(Option::is_some).await.map_or(None, |first| *first);
    let first = first.ok_or(End::Closed)?;
    let store = &member.store;
    let known = recognize(member, progress.peer, first).await?;
    progress.known.get_or_init(|| known);
    let (start, end) = store.log_range();
    let from = match u64::try_from(first) {
        // An empty slave gets all there is, not the last segment only (H-005).
        Ok(0) => start.0,
        Ok(at) if (start.0..=end.0).contains(&at) => at,
        _ => {
            // A heartbeat from elsewhere: the slave sees that its log does not fit (H-011, H-018).
            let near = if u64::try_from(first).is_ok_and(|at| at < start.0) { start } else { end };
            writer.write_all(&wire::header(near.0, 0)).await?;
            writer.flush().await?;
            return Err(End::Elsewhere { at: first, start: start.0, end: end.0 });
        }
    };
    tracing::info!(peer = %progress.peer, from, "a slave is sent the log");
    progress.sent_to.store(from, Ordering::Release);
    progress.acknowledged_to.send_replace(from);
    let replica = Arc::new(store.replica(PhysicalOffset(from)));
    *registered.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&replica));
    let mut out = Vec::new();
    let mut sent_to = from;
    // At once: a slave that has all learns it.
    let mut heartbeat_at = Instant::now();
    loop {
        tokio::select! {
            biased;
            () = is_due(&replica, progress, sent_to) => {
                (out, sent_to) = next_batches(&replica, out, sent_to).await?;
                progress.watch(sent_to);
                // It may be there before the write returns.
                progress.sent_to.store(sent_to, Ordering::Release);
            }
            () = sleep_until(heartbeat_at) => {
                out.clear();
                out.extend_from_slice(&wire::header(sent_to, 0));
            }
        }
        writer.write_all(&out).await?;
        writer.flush().await?;
        heartbeat_at = Instant::now() + HEARTBEAT;
    }
}

/// Waits until the log has grown beyond `sent_to` and its slave has that, or much is there, or [`GATHER_MAX`] has passed.
async fn is_due(replica: &Replica, progress: &Progress, sent_to: u64) {
    replica.grown(sent_to).await;
    if replica.log_range().end - sent_to < BATCH_BYTES_MAX as u64 {
        let mut acknowledged = progress.acknowledged_to.subscribe();
        // It is late; the sender lives as long as this.
        let _ = timeout(GATHER_MAX, acknowledged.wait_for(|to| *to >= sent_to)).await;
    }
}

/// Finds out who a slave is, and that its log, which ends at `end`, fits.
async fn recognize(member: &Arc<Member>, peer: SocketAddr, end: i64) -> Result<Known, End> {
    // Left there: until it is known, that is all that says that it is back.
    let greeted = member.lock_greeted().get(&peer).cloned();
    if let Some(address) = greeted {
        return Ok(Known { address: Some(address), is_plain: false });
    }
    let members = member.members(CALL_TIMEOUT).await;
    let address = slave_at(&members, peer);
    let known = |address| Known { address, is_plain: true };
    let end = match u64::try_from(end) {
        // It has nothing, or says nothing that could be compared: it is refused by its offset then.
        Ok(end)
            if end > 0
                && (member.store.log_range().0.0..=member.store.log_range().1.0).contains(&end) =>
        {
            end
        }
        _ => return Ok(known(address)),
    };
    let unknown = || End::Unknown(format!("no name server knows a slave at {}", peer.ip()));
    let address = address.ok_or_else(unknown)?;
    let compared = member.compare(&address, end).await;
    match compared.map_err(|error| End::Unknown(error.to_string()))? {
        Compared::Equal => {}
        Compared::Different => return Err(End::Conflict { end }),
    }
    let (noting, id) = (Arc::clone(member), slave_id(&members, &address));
    let neighbour = Neighbour { address: address.clone(), id, node: None };
    let noted = task::spawn_blocking("note a slave", move || noting.note_peer(&neighbour));
    // It fails only if it panics, which is reported.
    let _ = noted.await;
    Ok(known(Some(address)))
}

/// The member that a connection is likely to come from: a slave at the same address, else the only slave there is.
fn slave_at(members: &BTreeMap<i64, String>, peer: SocketAddr) -> Option<String> {
    let slaves: Vec<&String> =
        members.iter().filter(|(id, _)| **id != 0).map(|(_, at)| at).collect();
    let is_there = |at: &&&String| at.parse().is_ok_and(|at: SocketAddr| at.ip() == peer.ip());
    let found = slaves.iter().find(is_there).or(match slaves.as_slice() {
        [_] => slaves.first(),
        _ => None,
    });
    found.map(|address| (*address).clone())
}

fn slave_id(members: &BTreeMap<i64, String>, address: &str) -> u32 {
    let id = members.iter().find(|(_, at)| *at == address).map_or(1, |(id, _)| *id);
    u32::try_from(id).unwrap_or(1)
}

/// Reads what follows `from`, cut into batches with their headers.
async fn next_batches(
    replica: &Arc<Replica>,
    mut out: Vec<u8>,
    from: u64,
) -> Result<(Vec<u8>, u64), End> {
    let is_hot = replica.log_range().end.saturating_sub(from) <= HOT_BYTES;
    let read = if is_hot {
        let read = fill(replica, &mut out, from);
        read.map(|to| (out, to))
    } else {
        let replica = Arc::clone(replica);
        let reading = task::spawn_blocking("read for a slave", move || {
            let read = fill(&replica, &mut out, from);
            read.map(|to| (out, to))
        });
        reading.await.map_err(io::Error::other)?
    };
    read.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => End::Removed(from),
        _ => End::Io(error),
    })
}

/// Fills `out` with batches; returns where they end. None crosses the end of a segment (H-008).
fn fill(replica: &Replica, out: &mut Vec<u8>, from: u64) -> io::Result<u64> {
    out.clear();
    let segment_end = replica.segment_end(from).ok_or(io::ErrorKind::NotFound)?;
    let end = replica.log_range().end.min(segment_end);
    let mut at = from;
    while at < end && at - from < CHUNK_BYTES as u64 {
        let size = usize::try_from(end - at).unwrap_or(usize::MAX).min(BATCH_BYTES_MAX);
        out.extend_from_slice(&wire::header(at, u32::try_from(size).unwrap_or(u32::MAX)));
        let body = out.len();
        out.resize(body + size, 0);
        replica.read(at, &mut out[body..])?;
        at += size as u64;
    }
    Ok(at)
}
