//! One broker as a member of its group: what it says of itself, who greeted it, and whether it serves.
//!
//! Not the copying (`sender`, `receiver`), nor what is decided (`history`, `decide`). Invariants: a connection to the
//! HA port counts as checked only if its slave said so on the broker port while it was open; what a peer says of
//! itself is believed only as far as bytes and epochs show it.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::history::{History, Log, NodeId};
use super::past::{Neighbour, Past, Role, rows_of};
use super::sender::Progress;
use super::state::{CopyState, Phase, SlaveState};
use crate::model::BrokerId;
use crate::remoting::bodies::extension::{CopyRow, Hello, SlaveRow};
use crate::store::Store;
use crate::transport::{Client, Credentials, Tls};

/// How many greetings are kept whose connections nobody closed.
const GREETED_MAX: usize = 1024;

/// What a master in its start step says of its role.
const STARTING: &str = "starting";

/// What a member is told when it is made.
#[derive(Clone, Debug)]
pub struct MemberOptions {
    /// Its cluster.
    pub cluster: String,
    /// Its group.
    pub group: String,
    /// Its number in the group; 0 is a master.
    pub id: BrokerId,
    /// What clients dial.
    pub address: SocketAddr,
    /// What slaves dial.
    pub ha_address: SocketAddr,
    /// Where the members of its group are known, each as `host:port`.
    pub name_servers: Vec<String>,
    /// What it shows to those it asks.
    pub credentials: Credentials,
}

/// Whether a master serves its clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It does; a slave always does.
    Serving,
    /// It looks for its own past, and waits for this.
    Starting(String),
    /// It must not, for this reason.
    Down(String),
    /// Another master has its place: this is what is wrong, and what to do. It takes nothing more.
    Replaced(String),
}

/// How the copying goes.
#[derive(Debug)]
struct Copying {
    phase: Phase,
    /// The master's HA address.
    master: Option<String>,
    /// When the log was as the master's, if it was since the start.
    in_sync_at: Option<Instant>,
    last_error: Option<String>,
    hole_bytes: u64,
    /// The broker port of the master whose history fits, as `host:port`, and whether it is one of ours.
    fitting: Option<(String, bool)>,
}

/// The stream into a log.
#[derive(Debug, Default)]
pub(super) struct Incoming {
    /// How often one was ended.
    pub(super) ended: u64,
    /// Which copy this one comes from; `None` until that is known, and of a master of 4.9.4.
    pub(super) from: Option<NodeId>,
}

/// A member of a group.
#[derive(Debug)]
pub struct Member {
    pub(super) options: MemberOptions,
    pub(super) store: Arc<Store>,
    pub(super) past: Past,
    pub(super) client: Client,
    standing: watch::Sender<Standing>,
    /// Whether that is [`Standing::Serving`]; every request asks.
    is_serving: AtomicBool,
    /// See [`Self::lock_greeted`].
    greeted: Mutex<HashMap<SocketAddr, String>>,
    slaves: Mutex<BTreeMap<u64, Arc<Progress>>>,
    copying: Mutex<Copying>,
    /// The stream into this log; held while something of it is appended.
    incoming: Mutex<Incoming>,
    /// Cancelled when the store is to be opened again: it is to be cut, or its folder was set aside.
    reopen: CancellationToken,
    /// How often the history was replaced by another one: connections to the HA port end with it.
    histories: watch::Sender<u64>,
}

impl Member {
    /// A member that serves, over an open store.
    #[must_use]
    pub fn new(options: MemberOptions, store: Arc<Store>, past: Past) -> Arc<Self> {
        let phase = Phase::WaitingForAddress;
        let copying = Copying {
            phase,
            master: None,
            in_sync_at: None,
            last_error: None,
            hole_bytes: 0,
            fitting: None,
        };
        Arc::new(Self {
            client: Client::with(None, options.credentials.clone()),
            options,
            store,
            past,
            standing: watch::Sender::new(Standing::Serving),
            is_serving: AtomicBool::new(true),
            greeted: Mutex::default(),
            slaves: Mutex::default(),
            copying: Mutex::new(copying),
            incoming: Mutex::default(),
            reopen: CancellationToken::new(),
            histories: watch::Sender::new(0),
        })
    }

    /// The log and what is derived from it.
    #[must_use]
    pub fn store(&self) -> &Arc<Store> {
        &self.store
    }

    /// What it knows of its past.
    #[must_use]
    pub fn past(&self) -> &Past {
        &self.past
    }

    /// What it was told.
    #[must_use]
    pub fn options(&self) -> &MemberOptions {
        &self.options
    }

    /// What encrypts its connections.
    pub(super) fn tls(&self) -> &Tls {
        &self.options.credentials.tls
    }

    /// Whether it copies a master.
    #[must_use]
    pub fn is_slave(&self) -> bool {
        self.options.id != BrokerId(0)
    }

    /// Whether it serves, now and whenever that changes.
    #[must_use]
    pub fn standing(&self) -> watch::Receiver<Standing> {
        self.standing.subscribe()
    }

    /// Whether it serves.
    #[must_use]
    pub fn is_serving(&self) -> bool {
        self.is_serving.load(Ordering::Acquire)
    }

    /// Sets whether it serves.
    pub fn set_standing(&self, standing: Standing) {
        self.is_serving.store(standing == Standing::Serving, Ordering::Release);
        self.standing.send_if_modified(|known| {
            let is_news = *known != standing;
            if is_news {
                *known = standing;
            }
            is_news
        });
    }

    /// Cancelled when the store is to be closed and opened again.
    #[must_use]
    pub fn reopen(&self) -> &CancellationToken {
        &self.reopen
    }

    /// Takes over a master's history before any byte of it: those who copy from here must compare again. Blocks.
    ///
    /// # Errors
    /// What the system says; nothing is changed then.
    pub(super) fn follow_history(&self, history: &History) -> std::io::Result<()> {
        let is_another = self.past.history() != *history;
        self.past.set_history(history, Role::Slave)?;
        if is_another {
            // After it, so that whoever connects meanwhile does not keep what it compared with the one before.
            self.histories.send_modify(|count| *count += 1);
        }
        Ok(())
    }

    /// Changes when the history is replaced.
    pub(super) fn histories(&self) -> watch::Receiver<u64> {
        self.histories.subscribe()
    }

    /// Its log and its history, as of now.
    #[must_use]
    pub fn log(&self) -> Log {
        let history = self.past.history();
        let (start, end) = self.store.log_range();
        Log { history, start: start.0, end: end.0 }
    }

    /// What it says of itself to whoever it asks; `ha_local_port` is that of its connection to a HA port, or 0.
    #[must_use]
    pub fn hello(&self, ha_local_port: u16) -> Hello {
        let Log { history, start, end } = self.log();
        let MemberOptions { cluster, group, id, address, ha_address, .. } = &self.options;
        let (role, waits_for) = match &*self.standing.borrow() {
            Standing::Serving if self.is_slave() => ("slave", String::new()),
            Standing::Serving => ("master", String::new()),
            Standing::Starting(what) => (STARTING, what.clone()),
            Standing::Down(why) | Standing::Replaced(why) => ("down", why.clone()),
        };
        Hello {
            cluster: cluster.clone(),
            group: group.clone(),
            broker_id: id.0,
            role: role.to_owned(),
            node: self.past.node().to_string(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            address: address.to_string(),
            ha_address: ha_address.to_string(),
            history: rows_of(&history),
            min_offset: start,
            max_offset: end,
            segment_bytes: self.store.options().segment_bytes,
            is_serving: waits_for.is_empty(),
            ha_local_port,
            tls: self.tls().is_on(),
            slaves: Vec::new(),
            copy: None,
            waits_for,
            accounts_differ_from: Vec::new(),
        }
    }

    /// Answers who greets from `peer`: the same with how replication goes. Writes a file when it meets one of ours for
    /// the first time, and blocks then.
    #[must_use]
    pub fn answer_hello(&self, theirs: &Hello, peer: SocketAddr) -> Hello {
        let is_member = theirs.group == self.options.group && !theirs.node.is_empty();
        if is_member {
            // What is still on its way was written before it started, and would be behind the end that is answered.
            if theirs.role == STARTING && self.is_slave() {
                self.end_stream_from(&theirs.node);
            }
            // From elsewhere it may be said by anybody about anybody.
            if theirs.address.parse().is_ok_and(|at: SocketAddr| at.ip() == peer.ip()) {
                self.note_ours(&theirs.address);
            }
            if theirs.ha_local_port != 0 {
                self.note_greeted(SocketAddr::new(peer.ip(), theirs.ha_local_port), theirs);
            }
        }
        let slave = |slave: SlaveState| SlaveRow {
            peer: slave.peer.to_string(),
            is_plain: slave.is_plain,
            address: slave.address.unwrap_or_default(),
            sent_to: slave.sent_to,
            acknowledged_to: slave.acknowledged_to,
            behind_bytes: slave.behind_bytes,
        };
        let copy = self.is_slave().then(|| {
            let CopyState { phase, master, copied_to, behind, last_error, .. } = self.copy_state();
            CopyRow {
                phase: phase.name().to_owned(),
                master: master.unwrap_or_default(),
                copied_to,
                behind_s: behind.map(|behind| behind.as_secs()),
                last_error: last_error.unwrap_or_default(),
            }
        });
        let slaves = self.slaves().into_iter().map(slave).collect();
        Hello { slaves, copy, ..self.hello(0) }
    }

    /// Remembers for ever that a peer is one of ours.
    pub(super) fn note_ours(&self, address: &str) {
        if let Err(error) = self.past.note_ours(address) {
            tracing::error!(%error, address, "that this peer is an rmq-node cannot be noted");
        }
    }

    /// Notes on the disk a broker that copies from here or is copied.
    pub(super) fn note_peer(&self, peer: &Neighbour) {
        if let Err(error) = self.past.note_peer(peer) {
            tracing::error!(%error, peer = peer.address, "that this peer copies cannot be noted");
        }
    }

    /// Notes on the disk, before it is answered, that one of ours may have more than is on the disk here from now on.
    fn note_greeted(&self, connection: SocketAddr, theirs: &Hello) {
        let (address, id) = (theirs.address.clone(), theirs.broker_id);
        {
            let mut greeted = self.lock_greeted();
            if greeted.len() >= GREETED_MAX {
                greeted.clear();
            }
            // Before the note, which is not taken back then because an earlier connection ended.
            greeted.insert(connection, address.clone());
        }
        if theirs.role == "slave" {
            self.note_peer(&Neighbour { address, id, node: theirs.node.parse().ok() });
        }
    }

    /// Who said which connection to the HA port is his, by his broker port; until it ends.
    pub(super) fn lock_greeted(&self) -> MutexGuard<'_, HashMap<SocketAddr, String>> {
        self.greeted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes back that a slave may have more than is on the disk here, unless it has come again. Writes a file.
    pub(super) fn forget_peer(&self, address: &str) {
        // Held, so that who greets now is noted after this.
        let greeted = self.lock_greeted();
        let is_known = self.lock_slaves().values().any(|slave| {
            slave.known.get().is_some_and(|known| known.address.as_deref() == Some(address))
        });
        if !is_known
            && !greeted.values().any(|greeted| greeted == address)
            && let Err(error) = self.past.forget_peer(address)
        {
            tracing::error!(%error, address, "that a slave is gone cannot be noted");
        }
    }

    pub(super) fn lock_slaves(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<Progress>>> {
        self.slaves.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The slaves that are connected.
    #[must_use]
    pub fn slaves(&self) -> Vec<SlaveState> {
        let end = self.store.log_range().1.0;
        let state = |slave: &Arc<Progress>| {
            let acknowledged_to = *slave.acknowledged_to.borrow();
            let known = slave.known.get();
            SlaveState {
                peer: slave.peer,
                address: known.and_then(|known| known.address.clone()),
                is_plain: known.is_none_or(|known| known.is_plain),
                sent_to: slave.sent_to.load(Ordering::Relaxed),
                acknowledged_to,
                behind_bytes: end.saturating_sub(acknowledged_to),
                silent_for: slave.lock_heard_at().elapsed(),
            }
        };
        let started = |slave: &&Arc<Progress>| slave.started.borrow().is_some();
        self.lock_slaves().values().filter(started).map(state).collect()
    }

    /// The stream into this log. Nothing of it is appended while this is held.
    pub(super) fn lock_incoming(&self) -> MutexGuard<'_, Incoming> {
        self.incoming.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the stream into this log if it comes from this node, or nobody knows yet from whom.
    fn end_stream_from(&self, node: &str) {
        let mut incoming = self.lock_incoming();
        if incoming.from.is_none_or(|from| node.parse::<NodeId>() == Ok(from)) {
            incoming.ended += 1;
        }
    }

    fn lock_copying(&self) -> MutexGuard<'_, Copying> {
        self.copying.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How the copying of a slave goes.
    #[must_use]
    pub fn copy_state(&self) -> CopyState {
        let newest_ago = self.store.newest_stored_ago();
        let copying = self.lock_copying();
        let behind = match copying.phase {
            Phase::InSync => Some(Duration::ZERO),
            _ => copying.in_sync_at.map(|at| at.elapsed()).into_iter().chain(newest_ago).min(),
        };
        CopyState {
            phase: copying.phase,
            master: copying.master.clone(),
            copied_to: self.store.log_range().1.0,
            behind,
            last_error: copying.last_error.clone(),
            hole_bytes: copying.hole_bytes,
        }
    }

    pub(super) fn enter(&self, phase: Phase) {
        let mut copying = self.lock_copying();
        if phase == Phase::InSync {
            copying.in_sync_at = Some(Instant::now());
        }
        if std::mem::replace(&mut copying.phase, phase) != phase {
            tracing::info!(
                group = self.options.group,
                phase = phase.name(),
                "copy of the master's log"
            );
        }
    }

    /// Notes bytes of a hole in the master's log, and what is told of it when it is over.
    pub(super) fn note_hole(&self, bytes: u64, over: Option<String>) {
        let mut copying = self.lock_copying();
        copying.hole_bytes += bytes;
        copying.last_error = over.or(copying.last_error.take());
    }

    pub(super) fn copies_from(&self, master: &str) {
        self.lock_copying().master = Some(master.to_owned());
    }

    pub(super) fn copy_failed(&self, phase: Phase, why: String) {
        let mut copying = self.lock_copying();
        copying.phase = phase;
        copying.last_error = Some(why);
    }

    /// Notes the master whose history fits this log's, by its broker port, and whether it is one of ours; `None` until
    /// that is known of the next one.
    pub fn set_fitting_master(&self, master: Option<(&str, bool)>) {
        self.lock_copying().fitting =
            master.map(|(address, is_ours)| (address.to_owned(), is_ours));
    }

    /// Whether the master at this broker port is one of ours, if its history fits: only then its tables are taken.
    #[must_use]
    pub fn fitting_master(&self, address: &str) -> Option<bool> {
        let copying = self.lock_copying();
        copying.fitting.as_ref().filter(|(fitting, _)| fitting == address).map(|(_, ours)| *ours)
    }

    /// What it writes down as its role.
    #[must_use]
    pub fn role(&self) -> Role {
        if self.is_slave() { Role::Slave } else { Role::Master }
    }
}
