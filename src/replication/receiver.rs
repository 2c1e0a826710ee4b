//! A slave's side: connects to the master's HA port, appends what comes, and says how far it is (H-011 to H-016).
//!
//! Not here: where the master is (the name server says that to `broker`), nor what is decided (`decide`). Invariants:
//! nothing is reported before the logs were found to fit (a master is silent until then, H-004), nor what the store did
//! not take; of a record that has not come in full, the part that has come is held in memory; once the logs do not
//! fit, nothing more is copied from that master; what is no record twice, of one of ours or behind what was copied from
//! the same master, is a hole of its log, and is copied as one, loudly.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::decide::{Follow, OwnLog, PeerRole, PeerView, follow};
use super::history::History;
use super::member::Member;
use super::past::Neighbour;
use super::peers::{Peer, PeerError};
use super::state::{CopyState, Phase};
use super::wire::{self, Stream, StreamError};
use super::{HEARTBEAT, MasterAddresses, SILENCE_MAX};
use crate::model::PhysicalOffset;
use crate::store::{CopiedHole, CopyError};
use crate::{task, transport};

/// The pause after a connection that brought nothing; 4.9.4 waits for 5 s (H-014), and consumers with it.
const RETRY_PAUSE: Duration = Duration::from_secs(1);
/// How often a master is asked again whose log does not fit: it may have been given another one.
const CONFLICT_PAUSE: Duration = Duration::from_secs(30);
/// How often is looked whether a full disk has room again.
const ROOM_LOOK: Duration = Duration::from_secs(1);
/// How much is read at once.
const READ_BYTES: usize = 256 << 10;

/// Copies a master's log into a member's store.
#[derive(Debug)]
pub struct Receiver {
    member: Arc<Member>,
    /// Where the master is, as the name server says.
    master: watch::Receiver<Option<MasterAddresses>>,
}

/// What was seen of one master's log.
#[derive(Clone, Copy, Debug)]
pub(super) struct Followed {
    /// Where this log ended when that one was first followed: what is there may be another log's.
    from: u64,
    /// Where something came last that is no record.
    damaged_at: Option<u64>,
    /// Where a hole begins that is not over.
    hole_at: Option<u64>,
}

impl Followed {
    /// Nothing yet.
    pub(super) fn new(member: &Member) -> Self {
        Self { from: member.store.log_range().1.0, damaged_at: None, hole_at: None }
    }
}

/// Why a connection is given up.
#[derive(Debug, thiserror::Error)]
pub(super) enum End {
    #[error("the master closed the connection")]
    Closed,
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("the master does not answer")]
    Unreachable,
    #[error("the master starts again")]
    StartsAgain,
    #[error("the master said nothing for {} s", SILENCE_MAX.as_secs())]
    Silent,
    #[error("the log is copied over TLS only (tls.mode is \"enforcing\"), but {0}")]
    NotEncrypted(String),
    #[error("TLS is another matter here now: it is connected to again")]
    TlsChanged,
    #[error("the master does not read what is said to it")]
    Deaf,
    #[error(transparent)]
    Peer(#[from] PeerError),
    #[error("it does not serve as the master now: {0}")]
    NotServing(String),
    #[error(
        "this log ends at {end}, and the master's begins at {minimum}: what lies between is deleted there. \
         `rmq-node admin replication resync` sets this folder aside and copies all that the master has"
    )]
    BehindMinimum { end: u64, minimum: u64 },
    #[error("{0}")]
    Conflict(String),
    #[error(
        "this log is cut at offset {0}, where the master's goes another way; the role starts again"
    )]
    Cut(u64),
    #[error(transparent)]
    Stream(#[from] StreamError),
    #[error(transparent)]
    Copy(#[from] CopyError),
    #[error("{0}; nothing was copied from this master before it, so that it may be another log")]
    Strange(CopyError),
}

impl End {
    /// What the copying is at, after it.
    fn phase(&self) -> Phase {
        match self {
            Self::Conflict(_)
            | Self::Stream(StreamError::Elsewhere { .. })
            | Self::Copy(CopyError::Elsewhere { .. } | CopyError::SegmentSize { .. }) => {
                Phase::Conflict
            }
            Self::BehindMinimum { .. } => Phase::BehindMinimum,
            Self::Copy(CopyError::DiskFull) => Phase::DiskFull,
            _ => Phase::Connecting,
        }
    }
}

impl Receiver {
    /// A receiver; `master` is where the master is, once that is known.
    #[must_use]
    pub fn new(member: Arc<Member>, master: watch::Receiver<Option<MasterAddresses>>) -> Arc<Self> {
        Arc::new(Self { member, master })
    }

    /// How the copy goes.
    #[must_use]
    pub fn state(&self) -> CopyState {
        self.member.copy_state()
    }

    fn failed(&self, end: &End, master: &MasterAddresses) {
        let (text, phase) = (end.to_string(), end.phase());
        let known = self.member.copy_state();
        // What lasts is told once.
        let is_news = (known.phase, known.last_error.as_ref()) != (phase, Some(&text));
        let (group, master) = (&self.member.options.group, &master.ha);
        match phase {
            Phase::Conflict | Phase::BehindMinimum if is_news => tracing::error!(
                group,
                master,
                "the logs do not fit, nothing is copied and nothing is changed: {text}"
            ),
            Phase::Conflict | Phase::BehindMinimum => {}
            Phase::DiskFull => {
                tracing::error!(
                    group,
                    master,
                    "the disk is full: nothing is copied until there is room"
                );
            }
            _ if is_news => {
                tracing::warn!(group, master, "the master's log is not copied now: {text}");
            }
            _ => {}
        }
        self.member.copy_failed(phase, text);
    }

    /// Copies until `stop`.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        let _ = stop.run_until_cancelled(self.keep_copying()).await;
        self.member.enter(Phase::Stopped);
    }

    async fn keep_copying(&self) {
        let mut addresses = self.master.clone();
        self.member.enter(Phase::WaitingForAddress);
        let mut master = named(&mut addresses, None).await;
        let mut followed = Followed::new(&self.member);
        loop {
            let mut heard = false;
            self.member.copies_from(&master.ha);
            let end = tokio::select! {
                Err(end) = self.copy_from(&master, &mut followed, &mut heard) => end,
                moved = named(&mut addresses, Some(&master)) => {
                    (master, followed) = (moved, Followed::new(&self.member));
                    continue;
                }
            };
            self.member.set_fitting_master(None);
            self.failed(&end, &master);
            let pause = async {
                if matches!(end, End::Copy(CopyError::DiskFull)) {
                    self.room().await;
                } else if end.phase() != Phase::Connecting {
                    sleep(CONFLICT_PAUSE).await;
                } else if !heard || matches!(end, End::Copy(_) | End::Strange(_)) {
                    sleep(RETRY_PAUSE).await;
                }
            };
            tokio::select! {
                () = pause => {}
                moved = named(&mut addresses, Some(&master)) => {
                    (master, followed) = (moved, Followed::new(&self.member));
                }
            }
        }
    }

    /// Waits until a full disk has room. The master is left alone meanwhile: it counts this slave as gone.
    async fn room(&self) {
        sleep(ROOM_LOOK).await;
        while self.member.store.is_read_only() {
            sleep(ROOM_LOOK).await;
        }
    }

    /// Copies over one connection; does not return without an error. `heard` becomes true when something came.
    async fn copy_from(
        &self,
        master: &MasterAddresses,
        followed: &mut Followed,
        heard: &mut bool,
    ) -> Result<(), End> {
        let is_stopped = matches!(self.state().phase, Phase::Conflict | Phase::BehindMinimum);
        if !is_stopped {
            self.member.enter(Phase::Connecting);
        }
        let stream_number = {
            let mut incoming = self.member.lock_incoming();
            incoming.from = None;
            incoming.ended
        };
        let tls_changed = self.member.tls().changed();
        let mut stream = self.member.dial_ha(&master.broker, &master.ha).await?;
        let (view, peer) = self.fit(&master.broker, stream.local_addr()?.port()).await?;
        self.member.lock_incoming().from = view.node;
        let first = match &peer {
            Peer::Ours(_) => self.member.store.log_range().1.0,
            Peer::Plain => first_report(&self.member, &master.broker).await?,
        };
        let is_ours = matches!(peer, Peer::Ours(_));
        self.member.set_fitting_master(Some((&master.broker, is_ours)));
        self.member.enter(Phase::Copying);
        let whole_at = (!self.member.past.is_whole()).then_some(view.log.end);
        let member = &self.member;
        let is_plain = !stream.is_encrypted();
        let copying =
            Copying { member, stream_number, goal: None, whole_at, is_ours, followed, heard };
        tokio::select! {
            ended = copying.run(&mut stream, first) => ended,
            () = tls_changed, if is_plain => Err(End::TlsChanged),
        }
    }

    /// Finds out whether the master's log fits, and takes over its history; cuts what must be cut, at the next start.
    async fn fit(&self, master: &str, local_port: u16) -> Result<(PeerView, Peer), End> {
        let (view, peer) = self.member.view_of(master, local_port, PeerRole::Master).await?;
        let own = own_log(&self.member);
        let mut compared = None;
        let adopt = loop {
            match follow(&own, &view, compared) {
                Follow::Stream { adopt } => break adopt,
                Follow::CompareRecord { below } => {
                    compared = Some(self.member.compare(master, below).await?);
                }
                Follow::Cut { to, .. } => {
                    let member = Arc::clone(&self.member);
                    blocking(move || member.store.cut_at_next_open(PhysicalOffset(to))).await?;
                    self.member.reopen().cancel();
                    return Err(End::Cut(to));
                }
                Follow::BehindMinimum { end, minimum } => {
                    return Err(End::BehindMinimum { end, minimum });
                }
                Follow::Conflict { reason } => return Err(End::Conflict(reason.to_string())),
                Follow::NotAMaster => {
                    let why = match peer {
                        Peer::Ours(hello) => hello.waits_for,
                        Peer::Plain => String::new(),
                    };
                    return Err(End::NotServing(why));
                }
                Follow::WrongSegmentSize { own, master } => {
                    return Err(End::Conflict(format!(
                        "the files of this log have {own} bytes, the master's {master}: write segment_bytes = {master} \
                         in [store] of a new data directory"
                    )));
                }
            }
        };
        self.take_over(master, &view, adopt).await?;
        Ok((view, peer))
    }

    /// On the disk before the first byte of an epoch that is new here.
    async fn take_over(&self, master: &str, view: &PeerView, adopt: History) -> Result<(), End> {
        let member = Arc::clone(&self.member);
        let neighbour = Neighbour { address: master.to_owned(), id: 0, node: view.node };
        blocking(move || {
            member.past.note_peer(&neighbour)?;
            member.follow_history(&adopt)
        })
        .await
    }
}

/// What a member's log is, for deciding.
pub(super) fn own_log(member: &Member) -> OwnLog {
    let log = member.log();
    let options = member.store.options();
    let newest_slice_start = log.start.max(log.end - log.end % options.slice_bytes);
    OwnLog { log, segment_bytes: options.segment_bytes, newest_slice_start }
}

/// What waits for the disk.
pub(super) async fn blocking(
    work: impl FnOnce() -> io::Result<()> + Send + 'static,
) -> Result<(), End> {
    let done = task::spawn_blocking("replication", work).await;
    Ok(done.map_err(io::Error::other)??)
}

/// What is said first to a plain master: where the log ends; of an empty log where the master's begins, or behind its
/// first record, because to a log that ends at 0 it sends its newest segment only (H-005).
///
/// A queue whose messages all lie below the master's minimum begins at 0 here, as at a slave of 4.9.4: its consume queue
/// is made of the log, which has nothing of it (`DefaultMessageStore.recoverTopicQueueTable`).
pub(super) async fn first_report(member: &Arc<Member>, broker: &str) -> Result<u64, End> {
    let end = member.store.log_range().1.0;
    if end > 0 {
        return Ok(end);
    }
    let (minimum, maximum) = member.log_range_of(broker).await?;
    if minimum > 0 || maximum == 0 {
        return Ok(minimum);
    }
    let first = member.record_of(broker, PhysicalOffset(0)).await?;
    let gone = || End::Conflict("the master has no record at offset 0".to_owned());
    let first = first.ok_or_else(gone)?;
    let store = Arc::clone(&member.store);
    blocking(move || {
        let taken = store.append_copied(PhysicalOffset(0), &first);
        taken.map(|_| ()).map_err(io::Error::other)
    })
    .await?;
    Ok(member.store.log_range().1.0)
}

/// One connection over which a log comes.
pub(super) struct Copying<'a> {
    pub(super) member: &'a Arc<Member>,
    /// How often streams had been ended when this one began; it is ended when that is more.
    pub(super) stream_number: u64,
    /// Where it is done; `None`: never.
    pub(super) goal: Option<u64>,
    /// Once the log reaches this, nothing of it is missing.
    pub(super) whole_at: Option<u64>,
    /// Whether it comes from one of ours, whose history has shown that it is this log.
    pub(super) is_ours: bool,
    pub(super) followed: &'a mut Followed,
    /// Becomes true when something came.
    pub(super) heard: &'a mut bool,
}

impl Copying<'_> {
    /// Says `first` and appends what comes. Returns when all up to the goal has come; the last record may lack its end.
    pub(super) async fn run(
        mut self,
        stream: &mut transport::Stream,
        first: u64,
    ) -> Result<(), End> {
        let store = Arc::clone(&self.member.store);
        // Where it goes on was not seen yet.
        self.followed.hole_at = None;
        let mut end = store.log_range().1.0;
        let mut from_master = Stream::new(end);
        // What has come of a record that is not complete, and lies behind the log's end.
        let mut log = Vec::new();
        let mut bytes = vec![0; READ_BYTES];
        // S-29: at once.
        say(stream, first).await?;
        let mut report_at = Instant::now() + HEARTBEAT;
        let mut silent_at = Instant::now() + SILENCE_MAX;
        while self.goal.is_none_or(|goal| end < goal && from_master.next() < goal) {
            self.note_whole(end).await?;
            let read = tokio::select! {
                read = stream.read(&mut bytes) => read?,
                () = sleep_until(report_at) => {
                    say(stream, end).await?;
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
                let taken = self.append(at, &log)?;
                log.drain(..taken);
                if taken > 0 {
                    end = store.log_range().1.0;
                    say(stream, end).await?;
                    report_at = Instant::now() + HEARTBEAT;
                }
            }
            came?;
            *self.heard = true;
            if self.member.is_slave() {
                let is_at_end = from_master.is_at_end();
                self.member.enter(if is_at_end { Phase::InSync } else { Phase::Copying });
            }
        }
        Ok(())
    }

    async fn note_whole(&mut self, end: u64) -> Result<(), End> {
        if self.whole_at.take_if(|whole_at| *whole_at <= end).is_some() {
            let member = Arc::clone(self.member);
            blocking(move || member.past.set_whole()).await?;
        }
        Ok(())
    }

    /// Appends what is complete of the log's bytes at `at`; returns how many these are.
    fn append(&mut self, at: u64, bytes: &[u8]) -> Result<usize, End> {
        let store = Arc::clone(&self.member.store);
        let incoming = self.member.lock_incoming();
        if incoming.ended != self.stream_number {
            return Err(End::StartsAgain);
        }
        let followed = &mut *self.followed;
        let mut taken = 0;
        loop {
            let here = at + taken as u64;
            if let Some(begun_at) = followed.hole_at {
                let begun = PhysicalOffset(begun_at);
                let hole = store.append_hole(begun, PhysicalOffset(here), &bytes[taken..])?;
                taken += hole.bytes;
                note_hole(self.member, begun_at, here + hole.bytes as u64, hole);
                if !hole.is_over {
                    return Ok(taken);
                }
                followed.hole_at = None;
                continue;
            }
            match store.append_copied(PhysicalOffset(here), &bytes[taken..]) {
                Ok(more) => return Ok(taken + more),
                Err(CopyError::Damaged { at: bad, .. }) if followed.damaged_at == Some(bad) => {
                    taken += usize::try_from(bad - here).unwrap_or(0);
                    (followed.hole_at, followed.damaged_at) = (Some(bad), None);
                }
                Err(error) => {
                    let CopyError::Damaged { at: bad, .. } = error else {
                        return Err(error.into());
                    };
                    // Of one of ours it is known, and a hole may have been copied in part before the start.
                    if !self.is_ours && bad == followed.from && bad > store.log_range().0.0 {
                        return Err(End::Strange(error));
                    }
                    followed.damaged_at = Some(bad);
                    return Err(error.into());
                }
            }
        }
    }
}

/// Tells of a hole in the master's log.
fn note_hole(member: &Member, begun_at: u64, to: u64, hole: CopiedHole) {
    let over = hole.is_over.then(|| {
        let text = format!("the master's log has no records from offset {begun_at} to {to}");
        tracing::error!("{text}: copied as a hole, the messages there are lost on both");
        text
    });
    member.note_hole(hole.bytes as u64, over);
}

/// Waits until the master is named, and is not (or no longer) at `known`. That nobody names it changes nothing: the
/// connection may well be alive.
async fn named(
    addresses: &mut watch::Receiver<Option<MasterAddresses>>,
    known: Option<&MasterAddresses>,
) -> MasterAddresses {
    let is_news = |now: &Option<MasterAddresses>| now.is_some() && now.as_ref() != known;
    match addresses.wait_for(is_news).await.map(|now| now.clone()) {
        Ok(Some(master)) => master,
        // Nobody is left who could name it.
        _ => std::future::pending().await,
    }
}

/// Tells the master where the log ends.
async fn say(stream: &mut transport::Stream, end: u64) -> Result<(), End> {
    let report = wire::report(end);
    let saying = async {
        stream.write_all(&report).await?;
        stream.flush().await
    };
    let said = timeout(SILENCE_MAX, saying).await;
    Ok(said.map_err(|_| End::Deaf)??)
}
