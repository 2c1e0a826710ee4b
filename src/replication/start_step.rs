//! A master's start step: it looks for its own past before it serves.
//!
//! No I/O, no clock: events in, actions out. Whoever acts on it holds to this:
//!
//! - `Fetch` is done as `decide` says for slaves: open the HA connection, ask again, and go on only if the peer's
//!   history is still the one that was answered; note the history to adopt before the first byte.
//! - Peers that are connected are noted on the disk before their reports count, and stay noted until they are gone
//!   and everything up to their last report is on this disk.
//! - [`Start::is_whole`] stays false, over starts and clean stops too, from a start at which the tail may be lost
//!   until `Begin`, or until as a slave the log reaches the end that its master had at the handshake.
//! - Slaves let others copy their log; a node in its start step, or one that stays down, does not (`simulation` lets
//!   the latter).
//!
//! Invariants: nothing is begun while a peer that may have our tail can still be waited for; the log only ever grows;
//! a peer that has something else under a later epoch keeps this node down.

use std::time::Duration;

use super::decide::{Compared, PeerRole, PeerView};
use super::history::{Epoch, EpochNumber, History, HistoryError, Log, NodeId, Relation, relation};

/// How long peers are waited for that can have nothing that is missing here.
const WHOLE_WAIT: Duration = Duration::from_secs(3);

/// What this folder was before this start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Before {
    /// It was just made.
    Nothing,
    /// It has begun an epoch, and followed no master since.
    Master,
    /// It has followed a master since it last began an epoch, if ever.
    Slave,
}

/// A broker of the group that may have our past.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownPeer {
    /// For reasons: its address.
    pub name: String,
    /// Its node id, if it is known.
    pub node: Option<NodeId>,
    /// Noted as connected (as our slave, or as our master). The others are asked once.
    pub was_connected: bool,
}

/// Everything that is known at the start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Start {
    /// The own log.
    pub log: Log,
    /// Size of its segments.
    pub segment_bytes: u64,
    /// The own node id.
    pub node: NodeId,
    /// Drawn at random for the epoch that is begun.
    pub nonce: u32,
    /// What the folder was before.
    pub before: Before,
    /// Nothing that was written can be missing: a clean stop, or still the same boot id.
    pub is_whole: bool,
    /// Whether sends will wait for a slave.
    pub sync: bool,
    /// How long is waited if something may be missing; `None` is for ever.
    pub start_without_slave_after: Option<Duration>,
    /// Who is asked.
    pub peers: Vec<KnownPeer>,
}

/// What happened. `peer` is its place in [`Start::peers`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The answer to `Ask`; of a plain broker too.
    Answered {
        /// Who.
        peer: usize,
        /// What it says.
        view: PeerView,
    },
    /// The other outcome of `Ask`, of `Compare` and of `TakeTables`: no answer in time.
    Silent {
        /// Who.
        peer: usize,
    },
    /// The outcome of `Compare`.
    Compared {
        /// With whom.
        peer: usize,
        /// What was found.
        compared: Compared,
    },
    /// The other outcome of `Compare`: our own log cannot be read now.
    Unreadable {
        /// With whom it was to be compared.
        peer: usize,
    },
    /// The outcome of `Fetch`, whole or not.
    Fetched {
        /// From whom.
        peer: usize,
        /// Where the own log ends now.
        end: u64,
        /// Whether the history was adopted.
        adopted: bool,
        /// Whether all came: where our log ends below it then, a record is torn there.
        is_done: bool,
    },
    /// The outcome of `TakeTables`.
    TablesTaken {
        /// From whom.
        peer: usize,
    },
    /// A name server lists one more broker of the group.
    Found {
        /// Who.
        peer: KnownPeer,
    },
    /// Time passed; to be said every second.
    Tick,
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Ask a peer for its [`PeerView`]: `Answered` or `Silent`.
    Ask {
        /// Whom.
        peer: usize,
    },
    /// Compare the last whole record below an offset with a peer's (code 33): `Compared`, `Silent` or `Unreadable`.
    Compare {
        /// With whom.
        peer: usize,
        /// Below which offset.
        below: u64,
    },
    /// Copy a peer's log from our end up to `to` (if ours is empty, from its beginning): `Fetched`.
    Fetch {
        /// From whom.
        peer: usize,
        /// Up to which offset.
        to: u64,
        /// Our history from then on; to be on the disk before the first byte.
        adopt: History,
    },
    /// Take a peer's topics and groups where ours are lost, and merge its positions: `TablesTaken` or `Silent`.
    TakeTables {
        /// From whom.
        peer: usize,
    },
    /// Bring this history, whose last epoch is ours, to the disk, and serve. The last action.
    Begin {
        /// The whole history.
        history: History,
    },
    /// Do not serve. The last action.
    StayDown {
        /// Why.
        reason: StayDown,
    },
    /// For the status: what is waited for. It holds until the next actions.
    Wait {
        /// For what.
        waiting: Waiting,
    },
}

/// Why a master does not serve, until an operator changes something.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StayDown {
    /// Another master serves the group, or starts and was it last.
    #[error(
        "{peer} is the master of this group{}: if it shall stay so, this broker's file needs role = \"slave\"",
        epoch.map(|epoch| format!(" (epoch {epoch})")).unwrap_or_default()
    )]
    PlaceTaken {
        /// Who.
        peer: String,
        /// Its last epoch.
        epoch: Option<Epoch>,
    },
    /// A peer has a later epoch, and our log is not the beginning of its log.
    #[error(
        "{peer} has other messages than this log (to offset {end}) under the later epoch {theirs}: which of them are kept is an operator's choice"
    )]
    LaterElsewhere {
        /// Who.
        peer: String,
        /// Its last epoch.
        theirs: Epoch,
        /// Where our log ends.
        end: u64,
    },
    /// A peer's log goes on behind ours, but no longer has what comes next.
    #[error("this log ends at offset {end}, and {peer}, which has more, begins only at {minimum}")]
    BehindMinimum {
        /// Who.
        peer: String,
        /// Where our log ends.
        end: u64,
        /// Where the peer's begins.
        minimum: u64,
    },
    /// What is missing here is on a peer with segments of another size.
    #[error(
        "{peer} has the rest of this log, but its segments have {theirs} bytes, those here {own}"
    )]
    WrongSegmentSize {
        /// Who.
        peer: String,
        /// Ours.
        own: u64,
        /// The peer's.
        theirs: u64,
    },
    /// No number is left, or the history is broken.
    #[error("no epoch can be begun: {0}")]
    NoEpoch(String),
}

/// What a start step waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// Names of peers.
    pub peers: Vec<String>,
    /// When it goes on without them; `None`: never, or once all were asked.
    pub left: Option<Duration>,
    /// Whether nothing but these peers, or the operator, ends it.
    pub forever: bool,
}

impl std::fmt::Display for Waiting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "waiting for its slave's tail: {}", self.peers.join(", "))?;
        match self.left {
            Some(left) => write!(f, " (goes on without it in {} s)", left.as_secs()),
            None if self.forever => {
                f.write_str(" (for ever: start_without_slave_after_s is not set)")
            }
            None => Ok(()),
        }
    }
}

/// How a peer's log stands to ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// Ours has all of it.
    NothingMore,
    /// Ours is the beginning of it.
    More,
    /// It begins above our end.
    Beyond,
    /// It has something else.
    Other,
    /// A record must be compared first.
    Unknown { below: u64 },
}

#[derive(Debug)]
struct Peer {
    known: KnownPeer,
    /// Whether it has answered or been silent once.
    was_tried: bool,
    /// An outcome is still to come.
    is_pending: bool,
    /// Its last answer, if it has not been silent since.
    view: Option<PeerView>,
    /// What was found for that answer.
    compared: Option<Compared>,
    has_given_tables: bool,
}

impl Peer {
    fn new(known: KnownPeer) -> Self {
        Self {
            known,
            was_tried: false,
            is_pending: true,
            view: None,
            compared: None,
            has_given_tables: false,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Phase {
    Looking,
    Fetching { peer: usize, to: u64, adopt: History },
    Ended,
}

/// The start step of one master.
///
/// | what is known | what follows |
/// | --- | --- |
/// | a peer serves as master | stay down |
/// | a peer is in its start step too, and the last epoch of both logs is its own | stay down |
/// | a peer has something else, and its last epoch is not earlier than ours | stay down |
/// | a peer is plain, or shares no epoch | compare a record; other records of a plain peer are left to it |
/// | our own log cannot be read | ask that peer again, and wait |
/// | a peer was never tried | wait for its first outcome |
/// | a peer was connected last, or had more, and does not answer | wait: 3 s if nothing can be missing here, else `start_without_slave_after` |
/// | peers have more | fetch it from the one with the latest epoch, of these the longest |
/// | peers have no more, and their tables were not taken | take them |
/// | otherwise | begin, with a number above every one seen |
#[derive(Debug)]
pub struct StartStep {
    start: Start,
    peers: Vec<Peer>,
    phase: Phase,
    /// The greatest number in any history.
    seen: Option<EpochNumber>,
    /// Since when is waited: the start, the last bytes that were fetched, or when our own log could not be read last.
    waiting_since: Duration,
}

impl StartStep {
    /// Begins it.
    #[must_use]
    pub fn new(start: Start) -> (Self, Vec<Action>) {
        let peers: Vec<Peer> = start.peers.iter().cloned().map(Peer::new).collect();
        let seen = start.log.history.last().map(|epoch| epoch.number);
        let waiting_since = Duration::ZERO;
        let mut step = Self { start, peers, phase: Phase::Looking, seen, waiting_since };
        let mut actions = (0..step.peers.len()).map(|peer| Action::Ask { peer }).collect();
        step.go_on(Duration::ZERO, &mut actions);
        (step, actions)
    }

    /// Takes in what happened, `elapsed` after the beginning. Actions of peers are asked for once, until their outcome.
    #[must_use]
    pub fn on(&mut self, elapsed: Duration, event: Event) -> Vec<Action> {
        let mut actions = Vec::new();
        if self.phase == Phase::Ended {
            return actions;
        }
        match event {
            Event::Answered { peer, view } => self.answered(peer, view),
            Event::Silent { peer } => self.outcome(peer, |peer| peer.view = None),
            Event::Compared { peer, compared } => {
                self.outcome(peer, |peer| peer.compared = Some(compared));
            }
            Event::Unreadable { peer } => {
                self.waiting_since = elapsed;
                self.outcome(peer, |peer| peer.is_pending = true);
                actions.push(Action::Ask { peer });
            }
            Event::TablesTaken { peer } => self.outcome(peer, |peer| peer.has_given_tables = true),
            Event::Fetched { peer, end, adopted, .. } => self.fetched(elapsed, peer, end, adopted),
            Event::Found { peer } => {
                actions.push(Action::Ask { peer: self.peers.len() });
                self.peers.push(Peer::new(peer));
            }
            Event::Tick => self.ask_again(&mut actions),
        }
        self.go_on(elapsed, &mut actions);
        actions
    }

    fn outcome(&mut self, peer: usize, change: impl FnOnce(&mut Peer)) {
        if let Some(peer) = self.peers.get_mut(peer) {
            (peer.is_pending, peer.was_tried) = (false, true);
            change(peer);
        }
    }

    fn answered(&mut self, peer: usize, view: PeerView) {
        self.seen = self.seen.max(view.log.history.last().map(|epoch| epoch.number));
        self.outcome(peer, |peer| {
            if peer.view.as_ref() != Some(&view) {
                (peer.view, peer.compared) = (Some(view), None);
            }
        });
    }

    fn fetched(&mut self, elapsed: Duration, peer: usize, end: u64, adopted: bool) {
        let Phase::Fetching { peer: from, to, adopt } = &self.phase else { return };
        if *from != peer {
            return;
        }
        let (log, view) = (&mut self.start.log, &mut self.peers[peer].view);
        if adopted {
            log.history = adopt.clone();
        }
        if end > log.end {
            if let Some(view) = view.as_ref().filter(|_| log.is_empty()) {
                log.start = view.log.start;
            }
            log.end = end;
            self.waiting_since = elapsed;
        }
        if end < *to {
            *view = None;
        }
        self.phase = Phase::Looking;
        self.outcome(peer, |_| {});
    }

    /// Everybody, because what was answered may no longer hold.
    fn ask_again(&mut self, actions: &mut Vec<Action>) {
        if self.phase != Phase::Looking {
            return;
        }
        for (at, peer) in self.peers.iter_mut().enumerate().filter(|(_, peer)| !peer.is_pending) {
            peer.is_pending = true;
            actions.push(Action::Ask { peer: at });
        }
    }

    fn go_on(&mut self, elapsed: Duration, actions: &mut Vec<Action>) {
        if matches!(self.phase, Phase::Fetching { .. }) {
            return;
        }
        if let Some(reason) = self.reason_to_stay_down() {
            self.end(Action::StayDown { reason }, actions);
            return;
        }
        self.compare(actions);
        if let Some(waiting) = self.waiting(elapsed) {
            actions.push(Action::Wait { waiting });
        } else if let Some(peer) = self.best() {
            self.fetch(peer, actions);
        } else if !self.take_tables(actions) {
            let last = self.begin().map_or_else(
                |why| Action::StayDown { reason: StayDown::NoEpoch(why) },
                |history| Action::Begin { history },
            );
            self.end(last, actions);
        }
    }

    fn end(&mut self, last: Action, actions: &mut Vec<Action>) {
        self.phase = Phase::Ended;
        actions.retain(|action| !matches!(action, Action::Ask { .. }));
        actions.push(last);
    }

    fn answers(&self) -> impl Iterator<Item = (&Peer, &PeerView)> {
        self.peers.iter().filter_map(|peer| Some((peer, peer.view.as_ref()?)))
    }

    fn standing(&self, peer: &Peer, theirs: &Log) -> Standing {
        let ours = &self.start.log;
        match relation(ours, theirs) {
            Relation::Same | Relation::Ahead => Standing::NothingMore,
            Relation::Behind if ours.end != 0 && ours.end < theirs.start => Standing::Beyond,
            // A log without a byte that begins behind all of theirs: nothing can be fetched into it.
            Relation::Behind if ours.end > theirs.end => Standing::Other,
            Relation::Behind => Standing::More,
            Relation::Parted { .. } | Relation::Unrelated => Standing::Other,
            Relation::Unknown { .. } if ours.end <= theirs.start => Standing::Beyond,
            Relation::Unknown { below } if below <= ours.start => Standing::Other,
            Relation::Unknown { below } => match peer.compared {
                None => Standing::Unknown { below },
                Some(Compared::Different) => Standing::Other,
                Some(Compared::Equal) if theirs.end > ours.end => Standing::More,
                Some(Compared::Equal) => Standing::NothingMore,
            },
        }
    }

    fn reason_to_stay_down(&self) -> Option<StayDown> {
        let Log { history, end, .. } = &self.start.log;
        let (own, end) = (self.start.segment_bytes, *end);
        self.answers().find_map(|(peer, view)| {
            let (peer_name, theirs) = (peer.known.name.clone(), view.log.history.last().copied());
            // Of two that start as masters, the one that was it last goes on.
            let was_last = |theirs: Epoch| {
                Some(theirs.node) == view.node
                    && history.last().is_none_or(|ours| ours.rank() <= theirs.rank())
            };
            let starts = view.role == PeerRole::Starting && theirs.is_some_and(was_last);
            if view.role == PeerRole::Master || starts {
                return Some(StayDown::PlaceTaken { peer: peer_name, epoch: theirs });
            }
            match self.standing(peer, &view.log) {
                Standing::Other => {
                    let later = |theirs: &Epoch| {
                        history.last().is_none_or(|ours| ours.rank() <= theirs.rank())
                    };
                    let theirs = theirs.filter(later)?;
                    Some(StayDown::LaterElsewhere { peer: peer_name, theirs, end })
                }
                Standing::Beyond => {
                    let minimum = view.log.start;
                    Some(StayDown::BehindMinimum { peer: peer_name, end, minimum })
                }
                Standing::More if view.segment_bytes != own => {
                    let theirs = view.segment_bytes;
                    Some(StayDown::WrongSegmentSize { peer: peer_name, own, theirs })
                }
                _ => None,
            }
        })
    }

    fn compare(&mut self, actions: &mut Vec<Action>) {
        for at in 0..self.peers.len() {
            let peer = &self.peers[at];
            let Some(view) = peer.view.as_ref().filter(|_| !peer.is_pending) else { continue };
            if let Standing::Unknown { below } = self.standing(peer, &view.log) {
                actions.push(Action::Compare { peer: at, below });
                self.peers[at].is_pending = true;
            }
        }
    }

    /// Whom to wait for, if anybody.
    fn waiting(&mut self, elapsed: Duration) -> Option<Waiting> {
        for at in 0..self.peers.len() {
            let peer = &self.peers[at];
            let more = |view: &PeerView| self.standing(peer, &view.log) == Standing::More;
            if peer.view.as_ref().is_some_and(more) {
                // Whatever this start looks like, something is missing here, and this peer has it.
                self.peers[at].known.was_connected = true;
                self.start.is_whole = false;
            }
        }
        let answered = |node: Option<NodeId>| {
            node.is_some() && self.answers().any(|(_, view)| view.node == node)
        };
        let is_compared = |peer: &Peer, view: &PeerView| {
            !matches!(self.standing(peer, &view.log), Standing::Unknown { .. })
        };
        let (mut untried, mut missing) = (Vec::new(), Vec::new());
        for peer in &self.peers {
            let is_known = peer.view.as_ref().is_some_and(|view| is_compared(peer, view));
            if !peer.was_tried || (peer.view.is_some() && !is_known) {
                untried.push(peer.known.name.clone());
            } else if peer.known.was_connected && !is_known && !answered(peer.known.node) {
                missing.push(peer.known.name.clone());
            }
        }
        let limit = if self.start.is_whole {
            Some(WHOLE_WAIT)
        } else {
            self.start.start_without_slave_after
        };
        let left = limit.map(|limit| (self.waiting_since + limit).saturating_sub(elapsed));
        if untried.is_empty() && (missing.is_empty() || left == Some(Duration::ZERO)) {
            return None;
        }
        let left = left.filter(|_| !missing.is_empty());
        let forever = !missing.is_empty() && left.is_none();
        Some(Waiting { peers: [missing, untried].concat(), left, forever })
    }

    /// The peer to fetch from: of those that have more, the latest epoch counts, then the longest log.
    fn best(&self) -> Option<usize> {
        let rank = |view: &PeerView| (view.log.history.last().map(Epoch::rank), view.log.end);
        let has_more = |(at, peer): (usize, &Peer)| {
            let view = peer.view.as_ref()?;
            (self.standing(peer, &view.log) == Standing::More).then(|| (rank(view), at))
        };
        self.peers.iter().enumerate().filter_map(has_more).max().map(|(_, at)| at)
    }

    fn fetch(&mut self, peer: usize, actions: &mut Vec<Action>) {
        let Some(theirs) = self.peers[peer].view.as_ref().map(|view| view.log.clone()) else {
            return;
        };
        let adopt = if theirs.history.epochs().is_empty() && !self.start.log.is_empty() {
            // Nobody says who wrote these bytes: they are nobody's but this copy's, from our end on.
            match self.begin() {
                Ok(history) => history,
                Err(why) => {
                    let reason = StayDown::NoEpoch(why);
                    return self.end(Action::StayDown { reason }, actions);
                }
            }
        } else {
            theirs.history
        };
        self.seen = self.seen.max(adopt.last().map(|epoch| epoch.number));
        self.peers[peer].is_pending = true;
        actions.push(Action::Fetch { peer, to: theirs.end, adopt: adopt.clone() });
        self.phase = Phase::Fetching { peer, to: theirs.end, adopt };
    }

    /// Whether tables are still to come.
    fn take_tables(&mut self, actions: &mut Vec<Action>) -> bool {
        let mut is_pending = false;
        for at in 0..self.peers.len() {
            let peer = &self.peers[at];
            let fits = |view: &PeerView| {
                self.standing(peer, &view.log) == Standing::NothingMore && !view.log.is_empty()
            };
            if peer.has_given_tables || !peer.view.as_ref().is_some_and(fits) {
                continue;
            }
            is_pending = true;
            if !peer.is_pending {
                self.peers[at].is_pending = true;
                actions.push(Action::TakeTables { peer: at });
            }
        }
        is_pending
    }

    /// The history with an epoch of ours at the log's end.
    fn begin(&self) -> Result<History, String> {
        let number = match (self.seen, self.start.before) {
            (Some(seen), Before::Slave) => seen.after_promotion(),
            (Some(seen), _) => seen.after_restart(),
            (None, Before::Slave) => EpochNumber::default().after_promotion(),
            (None, _) => Some(EpochNumber::default()),
        };
        let Start { node, nonce, sync, log, .. } = &self.start;
        let number = number.ok_or("the numbers are used up")?;
        let epoch = Epoch { number, node: *node, start: log.end, nonce: *nonce, sync: *sync };
        log.history.begin(epoch).map_err(|error: HistoryError| error.to_string())
    }
}

#[cfg(test)]
#[path = "start_step_tests.rs"]
mod tests;
