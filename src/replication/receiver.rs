//! A slave's side: connects to the master's HA port, appends what comes, and says how far it is (H-011 to H-016).
//!
//! Not here: where the master is (the name server says that to `broker`). Invariants: only what the store took is
//! reported; of a record that has not come in full, the part that has come is held in memory; once the logs do not
//! fit, nothing more is copied from that master; what is no record twice, behind what was copied from the same
//! master, is a hole of its log, and is copied as one, loudly.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::state::{CopyState, Phase};
use super::wire::{self, Stream, StreamError};
use super::{HEARTBEAT, SILENCE_MAX};
use crate::model::PhysicalOffset;
use crate::store::{CopiedHole, CopyError, Store};

/// How long a connection may take to come about.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// The pause after a connection that brought nothing (H-014).
const RETRY_PAUSE: Duration = Duration::from_secs(5);
/// How much is read at once.
const READ_BYTES: usize = 256 << 10;

/// Copies a master's log into a store.
#[derive(Debug)]
pub struct Receiver {
    store: Arc<Store>,
    /// Where the master's HA port is, as the name server says.
    master: watch::Receiver<Option<String>>,
    known: Mutex<Known>,
}

#[derive(Debug)]
struct Known {
    phase: Phase,
    /// When the log was as the master's, if it was since the start.
    in_sync_at: Option<Instant>,
    last_error: Option<String>,
    hole_bytes: u64,
}

/// What was seen of one master's log.
#[derive(Clone, Copy, Debug)]
struct Followed {
    /// Where this log ended when that one was first followed: what is there may be another log's.
    from: u64,
    /// Where something came last that is no record.
    damaged_at: Option<u64>,
    /// Where a hole begins that is not over.
    hole_at: Option<u64>,
}

/// Why a connection is given up.
#[derive(Debug, thiserror::Error)]
enum End {
    #[error("the master closed the connection")]
    Closed,
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("the master does not answer")]
    Unreachable,
    #[error("the master said nothing for {} s", SILENCE_MAX.as_secs())]
    Silent,
    #[error("the master does not read what is said to it")]
    Deaf,
    #[error(transparent)]
    Stream(#[from] StreamError),
    #[error(transparent)]
    Copy(#[from] CopyError),
    #[error("{0}; nothing was copied from this master before it, so that it may be another log")]
    Strange(CopyError),
}

impl End {
    /// Whether the logs do not fit, so that trying again would change nothing, or join what does not belong together.
    fn is_conflict(&self) -> bool {
        matches!(
            self,
            Self::Stream(StreamError::Elsewhere { .. })
                | Self::Copy(CopyError::Elsewhere { .. } | CopyError::SegmentSize { .. })
        )
    }
}

impl Receiver {
    /// A receiver; `master` is where the master's HA port is, once that is known.
    #[must_use]
    pub fn new(store: Arc<Store>, master: watch::Receiver<Option<String>>) -> Arc<Self> {
        let known = Known {
            phase: Phase::WaitingForAddress,
            in_sync_at: None,
            last_error: None,
            hole_bytes: 0,
        };
        let known = Mutex::new(known);
        Arc::new(Self { store, master, known })
    }

    /// How the copy goes.
    #[must_use]
    pub fn state(&self) -> CopyState {
        let newest_ago = self.store.newest_stored_ago();
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let behind = match known.phase {
            Phase::InSync => Some(Duration::ZERO),
            _ => known.in_sync_at.map(|at| at.elapsed()).into_iter().chain(newest_ago).min(),
        };
        CopyState {
            phase: known.phase,
            master: self.master.borrow().clone(),
            copied_to: self.store.log_range().1.0,
            behind,
            last_error: known.last_error.clone(),
            hole_bytes: known.hole_bytes,
        }
    }

    fn enter(&self, phase: Phase) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if phase == Phase::InSync {
            known.in_sync_at = Some(Instant::now());
        }
        if std::mem::replace(&mut known.phase, phase) != phase {
            tracing::info!(phase = phase.name(), "copy of the master's log");
        }
    }

    fn failed(&self, end: &End, master: &str) {
        let text = end.to_string();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if end.is_conflict() {
            known.phase = Phase::Conflict;
            tracing::error!(
                master,
                "the logs do not fit, nothing is copied and nothing is changed: {text}"
            );
        } else {
            known.phase = Phase::Connecting;
            tracing::warn!(master, "the master's log is not copied now: {text}");
        }
        known.last_error = Some(text);
    }

    /// Copies until `stop`.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        let _ = stop.run_until_cancelled(self.keep_copying()).await;
        self.enter(Phase::Stopped);
    }

    async fn keep_copying(&self) {
        let mut addresses = self.master.clone();
        self.enter(Phase::WaitingForAddress);
        let mut master = named(&mut addresses, None).await;
        let mut followed = self.follow();
        loop {
            let mut heard = false;
            let end = tokio::select! {
                Err(end) = self.copy_from(&master, &mut followed, &mut heard) => end,
                moved = named(&mut addresses, Some(&master)) => {
                    (master, followed) = (moved, self.follow());
                    continue;
                }
            };
            self.failed(&end, &master);
            let pause = async {
                if end.is_conflict() {
                    std::future::pending().await
                } else if !heard || matches!(end, End::Copy(_) | End::Strange(_)) {
                    sleep(RETRY_PAUSE).await;
                }
            };
            tokio::select! {
                () = pause => {}
                moved = named(&mut addresses, Some(&master)) => {
                    (master, followed) = (moved, self.follow());
                }
            }
        }
    }

    fn follow(&self) -> Followed {
        Followed { from: self.store.log_range().1.0, damaged_at: None, hole_at: None }
    }

    /// Copies over one connection; does not return without an error. `heard` becomes true when something came.
    async fn copy_from(
        &self,
        master: &str,
        followed: &mut Followed,
        heard: &mut bool,
    ) -> Result<(), End> {
        self.enter(Phase::Connecting);
        // Where it goes on was not seen yet.
        followed.hole_at = None;
        let connecting = timeout(CONNECT_TIMEOUT, TcpStream::connect(master));
        let mut stream = connecting.await.map_err(|_| End::Unreachable)??;
        stream.set_nodelay(true)?;
        let mut end = self.store.log_range().1.0;
        let mut from_master = Stream::new(end);
        // What has come of a record that is not complete, and lies behind the log's end.
        let mut log = Vec::new();
        let mut bytes = vec![0; READ_BYTES];
        // S-29: at once.
        say(&mut stream, end).await?;
        let mut report_at = Instant::now() + HEARTBEAT;
        let mut silent_at = Instant::now() + SILENCE_MAX;
        self.enter(Phase::Copying);
        loop {
            let read = tokio::select! {
                read = stream.read(&mut bytes) => read?,
                () = sleep_until(report_at) => {
                    say(&mut stream, end).await?;
                    report_at = Instant::now() + HEARTBEAT;
                    continue;
                }
                () = sleep_until(silent_at) => return Err(End::Silent),
            };
            if read == 0 {
                return Err(End::Closed);
            }
            silent_at = Instant::now() + SILENCE_MAX;
            let came = from_master.take(&bytes[..read], &mut log);
            let at = from_master.next() - log.len() as u64;
            if !log.is_empty() {
                let taken = self.append(followed, at, &log)?;
                log.drain(..taken);
                if taken > 0 {
                    end = self.store.log_range().1.0;
                    say(&mut stream, end).await?;
                    report_at = Instant::now() + HEARTBEAT;
                }
            }
            came?;
            *heard = true;
            self.enter(if from_master.is_at_end() { Phase::InSync } else { Phase::Copying });
        }
    }

    /// Appends what is complete of the log's bytes at `at`; returns how many these are.
    fn append(&self, followed: &mut Followed, at: u64, bytes: &[u8]) -> Result<usize, End> {
        let mut taken = 0;
        loop {
            let here = at + taken as u64;
            if let Some(begun_at) = followed.hole_at {
                let begun = PhysicalOffset(begun_at);
                let hole = self.store.append_hole(begun, PhysicalOffset(here), &bytes[taken..])?;
                taken += hole.bytes;
                self.note_hole(begun_at, here + hole.bytes as u64, hole);
                if !hole.is_over {
                    return Ok(taken);
                }
                followed.hole_at = None;
                continue;
            }
            match self.store.append_copied(PhysicalOffset(here), &bytes[taken..]) {
                Ok(more) => return Ok(taken + more),
                Err(CopyError::Damaged { at: bad, .. }) if followed.damaged_at == Some(bad) => {
                    taken += usize::try_from(bad - here).unwrap_or(0);
                    (followed.hole_at, followed.damaged_at) = (Some(bad), None);
                }
                Err(error) => {
                    let CopyError::Damaged { at: bad, .. } = error else {
                        return Err(error.into());
                    };
                    if bad == followed.from && bad > self.store.log_range().0.0 {
                        return Err(End::Strange(error));
                    }
                    followed.damaged_at = Some(bad);
                    return Err(error.into());
                }
            }
        }
    }

    fn note_hole(&self, begun_at: u64, to: u64, hole: CopiedHole) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.hole_bytes += hole.bytes as u64;
        if hole.is_over {
            let text = format!("the master's log has no records from offset {begun_at} to {to}");
            tracing::error!("{text}: copied as a hole, the messages there are lost on both");
            known.last_error = Some(text);
        }
    }
}

/// Waits until the master is named, and is not (or no longer) at `known`. That nobody names it changes nothing: the
/// connection may well be alive.
async fn named(addresses: &mut watch::Receiver<Option<String>>, known: Option<&str>) -> String {
    let is_news = |now: &Option<String>| now.is_some() && now.as_deref() != known;
    match addresses.wait_for(is_news).await.map(|now| now.clone()) {
        Ok(Some(master)) => master,
        // Nobody is left who could name it.
        _ => std::future::pending().await,
    }
}

/// Tells the master where the log ends.
async fn say(stream: &mut TcpStream, end: u64) -> Result<(), End> {
    let report = wire::report(end);
    let said = timeout(SILENCE_MAX, stream.write_all(&report)).await;
    Ok(said.map_err(|_| End::Deaf)??)
}
