//! A master's start step, carried out: peers are asked, what is missing is copied from them, then an epoch begins;
//! and what a master that does not serve answers.
//!
//! Not what is decided (`replication::start_step`). Invariant: nothing is served before the epoch is on the disk.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use super::answers::Refusal;
use super::{Broker, positions};
use crate::remoting::{request, response};
use crate::replication::Standing;
use crate::replication::decide::{PeerRole, PeerView};
use crate::replication::history::History;
use crate::replication::past::{self, Role};
use crate::replication::peers::{CALL_TIMEOUT, Peer, PeerError};
use crate::replication::start_step::{Action, Before, Event, KnownPeer, Start, StartStep};
use crate::task::{self, Kind};

/// How often peers are asked again.
const TICK: Duration = Duration::from_secs(1);
/// How long a name server that is silent is waited for by a master that has all it ever wrote and no slave: what it may
/// still say is that another master was made meanwhile, which is asked for again before each registration.
const NAME_SERVERS_WAIT: Duration = Duration::from_millis(500);
/// What a master waits for that can compare its log with no other one.
const UNREADABLE: &str = "waiting until its own log can be read";
/// How many outcomes may wait; there are a few peers.
const OUTCOMES_MAX: usize = 256;

/// Why a request of a client is not done, if this is a master that does not serve.
pub(super) fn refusal(broker: &Broker, code: i32) -> Option<Refusal> {
    if broker.member.is_serving() {
        return None;
    }
    let is_write = matches!(
        code,
        request::SEND_MESSAGE
            | request::SEND_MESSAGE_V2
            | request::SEND_BATCH_MESSAGE
            | request::SEND_REPLY_MESSAGE
            | request::SEND_REPLY_MESSAGE_V2
            | request::CONSUMER_SEND_MSG_BACK
            | request::END_TRANSACTION
            | request::RESUME_CHECK_HALF_MESSAGE
    );
    let is_read = matches!(
        code,
        request::PULL_MESSAGE
            | request::QUERY_CONSUMER_OFFSET
            | request::UPDATE_CONSUMER_OFFSET
            | request::SEARCH_OFFSET_BY_TIMESTAMP
            | request::GET_MAX_OFFSET
            | request::GET_MIN_OFFSET
            | request::GET_EARLIEST_MSG_STORETIME
            | request::LOCK_BATCH_MQ
    );
    let (why, reads) = match &*broker.member.standing().borrow() {
        Standing::Serving => return None,
        Standing::Starting(what) => (format!("this master does not serve yet: {what}"), false),
        Standing::Down(why) => (format!("this master does not serve: {why}"), false),
        Standing::Replaced(why) => (format!("this master takes nothing more: {why}"), true),
    };
    match (is_write, is_read) {
        (true, _) => Some(Refusal::new(response::SERVICE_NOT_AVAILABLE, why)),
        (_, true) if !reads => Some(Refusal::new(response::SYSTEM_ERROR, why)),
        _ => None,
    }
}

/// What is known of a peer besides what the decisions need.
#[derive(Clone, Debug)]
struct Asked {
    address: String,
    /// What it is taken for if it is one of 4.9.4.
    plain_role: PeerRole,
    view: Option<(PeerView, bool)>,
}

/// The start step, being carried out.
struct Driver {
    broker: Arc<Broker>,
    peers: Vec<Asked>,
    outcomes: mpsc::Sender<Event>,
    /// Where copies of 4.9.4's logs end in the middle of a record: that is not counted.
    torn: HashMap<u64, u64>,
    /// The log was empty: tables that a peer has are the group's.
    is_lost: bool,
}

impl Broker {
    /// Finds all that this master ever wrote, begins an epoch, and serves.
    ///
    /// # Errors
    /// Why it must not serve.
    pub async fn find_past(
        self: &Arc<Self>,
        start_without_slave_after: Option<Duration>,
    ) -> Result<(), String> {
        let (outcomes, mut came) = mpsc::channel(OUTCOMES_MAX);
        let member = &self.member;
        let log = member.log();
        let nonce = past::new_nonce().map_err(|error| error.to_string())?;
        let is_lost = log.is_empty();
        let mut driver = Driver {
            broker: Arc::clone(self),
            peers: Vec::new(),
            outcomes,
            torn: HashMap::new(),
            is_lost,
        };
        let mut peers = Vec::new();
        for peer in member.past().peers() {
            peers.extend(driver.meet(i64::from(peer.id), &peer.address, peer.node, true));
        }
        for (id, address) in member.members(self.patience_with_name_servers()).await {
            peers.extend(driver.meet(id, &address, None, false));
        }
        let (mut step, mut actions) = StartStep::new(Start {
            log,
            segment_bytes: self.store.options().segment_bytes,
            node: member.past().node(),
            nonce,
            before: match member.past().role() {
                None => Before::Nothing,
                Some(Role::Master) => Before::Master,
                Some(Role::Slave) => Before::Slave,
            },
            is_whole: member.past().is_whole(),
            sync: self.store.options().in_sync_min > 0,
            start_without_slave_after,
            peers,
        });
        let begun = Instant::now();
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (looks, mut looked) = mpsc::channel(1);
        loop {
            if let Some(ended) = driver.act(actions).await {
                return ended;
            }
            let events = tokio::select! {
                // The driver holds a sender.
                Some(event) = came.recv() => vec![driver.note(event)],
                Some(members) = looked.recv() => driver.found(members),
                _ = tick.tick() => {
                    driver.look_for_members(&looks);
                    vec![Event::Tick]
                }
            };
            let on = |event| step.on(begun.elapsed(), event);
            actions = events.into_iter().flat_map(on).collect();
        }
    }

    fn patience_with_name_servers(&self) -> Duration {
        let past = self.member.past();
        let lacks_nothing =
            past.is_whole() && past.peers().is_empty() && past.role() == Some(Role::Master);
        if lacks_nothing { NAME_SERVERS_WAIT } else { CALL_TIMEOUT }
    }
}

impl Driver {
    /// A broker to ask, unless it is this one or known already.
    fn meet(
        &mut self,
        id: i64,
        address: &str,
        node: Option<crate::replication::history::NodeId>,
        was_connected: bool,
    ) -> Option<KnownPeer> {
        let is_own = address == self.broker.options.address.to_string();
        if is_own || self.peers.iter().any(|known| known.address == address) {
            return None;
        }
        let plain_role = if id == 0 { PeerRole::Master } else { PeerRole::Slave };
        self.peers.push(Asked { address: address.to_owned(), plain_role, view: None });
        Some(KnownPeer { name: address.to_owned(), node, was_connected })
    }

    /// Lets name servers be asked once more, unless they still are: one that is silent holds up nothing.
    fn look_for_members(&self, looks: &mpsc::Sender<BTreeMap<i64, String>>) {
        if let Ok(look) = looks.clone().try_reserve_owned() {
            let member = Arc::clone(&self.broker.member);
            task::spawn(Kind::Ignore, "members", async move {
                look.send(member.members(CALL_TIMEOUT).await);
            });
        }
    }

    /// Members that were not known.
    fn found(&mut self, members: BTreeMap<i64, String>) -> Vec<Event> {
        let met = members.into_iter().filter_map(|(id, at)| self.meet(id, &at, None, false));
        met.map(|peer| Event::Found { peer }).collect()
    }

    /// Takes what the decisions are told from what came.
    fn note(&mut self, event: Event) -> Event {
        match event {
            Event::Answered { peer, mut view } => {
                let is_plain = view.node.is_none();
                if is_plain && let Some(end) = self.torn.get(&view.log.end) {
                    view.log.end = *end;
                }
                self.peers[peer].view = Some((view.clone(), is_plain));
                Event::Answered { peer, view }
            }
            Event::Unreadable { .. } => {
                let what = UNREADABLE.to_owned();
                self.broker.member.set_standing(Standing::Starting(what));
                event
            }
            // One that broke off says nothing of where the copy ends.
            Event::Fetched { peer, end, is_done: true, .. } => {
                let (own, seen) = (end, self.peers[peer].view.as_ref());
                if let Some((view, true)) = seen.filter(|(view, _)| view.log.end > own) {
                    self.torn.insert(view.log.end, own);
                }
                event
            }
            event => event,
        }
    }

    /// Does what is to be done; what takes its time says its outcome later. Returns how it ended, if it has.
    async fn act(&mut self, actions: Vec<Action>) -> Option<Result<(), String>> {
        for action in actions {
            match action {
                Action::Ask { peer } => self.ask(peer),
                Action::Compare { peer, below } => self.compare(peer, below),
                Action::Fetch { peer, to, adopt } => self.fetch(peer, to, adopt),
                Action::TakeTables { peer } => self.take_tables(peer),
                // Whoever was not asked before answers at once, or is silent soon.
                Action::Wait { waiting } if waiting.left.is_none() && !waiting.forever => {}
                Action::Wait { waiting } => {
                    self.broker.member.set_standing(Standing::Starting(waiting.to_string()));
                }
                Action::Begin { history } => return Some(self.begin(history).await),
                Action::StayDown { reason } => {
                    let reason = reason.to_string();
                    self.broker.member.set_standing(Standing::Down(reason.clone()));
                    return Some(Err(reason));
                }
            }
        }
        None
    }

    fn spawn(&self, outcome: impl Future<Output = Event> + Send + 'static) {
        let outcomes = self.outcomes.clone();
        task::spawn(Kind::Ignore, "start step", async move {
            // Nobody waits for it when the step has ended.
            let _ = outcomes.send(outcome.await).await;
        });
    }

    fn ask(&self, peer: usize) {
        let (member, asked) = (Arc::clone(&self.broker.member), self.peers[peer].clone());
        self.spawn(async move {
            match member.view_of(&asked.address, 0, asked.plain_role).await {
                Ok((view, _)) => Event::Answered { peer, view },
                Err(error @ PeerError::Call(_)) => {
                    tracing::debug!(peer = asked.address, %error, "asked in vain");
                    Event::Silent { peer }
                }
                Err(error) => {
                    tracing::warn!(peer = asked.address, %error, "asked in vain");
                    Event::Silent { peer }
                }
            }
        });
    }

    fn compare(&self, peer: usize, below: u64) {
        let (member, asked) = (Arc::clone(&self.broker.member), self.peers[peer].clone());
        self.spawn(async move {
            match member.compare(&asked.address, below).await {
                Ok(compared) => Event::Compared { peer, compared },
                Err(PeerError::Own(_)) => {
                    sleep(TICK).await;
                    Event::Unreadable { peer }
                }
                Err(error) => {
                    tracing::warn!(peer = asked.address, %error, "compared in vain");
                    Event::Silent { peer }
                }
            }
        });
    }

    fn fetch(&self, peer: usize, to: u64, adopt: History) {
        let (member, asked) = (Arc::clone(&self.broker.member), self.peers[peer].clone());
        let what = format!("copying what it lacks from {}, up to offset {to}", asked.address);
        self.broker.member.set_standing(Standing::Starting(what));
        self.spawn(async move {
            // Only who answered is fetched from.
            let Some((view, _)) = asked.view else { return Event::Silent { peer } };
            let fetched = member.fetch(&asked.address, &view, to, &adopt).await;
            let (end, adopted, is_done) = (fetched.end, fetched.adopted, fetched.is_done);
            Event::Fetched { peer, end, adopted, is_done }
        });
    }

    fn take_tables(&self, peer: usize) {
        let (broker, asked, is_lost) =
            (Arc::clone(&self.broker), self.peers[peer].clone(), self.is_lost);
        self.spawn(async move {
            match positions::take_from_slave(&broker, &asked.address, is_lost).await {
                Ok(()) => Event::TablesTaken { peer },
                Err(error) => {
                    tracing::warn!(peer = asked.address, %error, "its tables cannot be taken now");
                    Event::Silent { peer }
                }
            }
        });
    }

    async fn begin(&self, history: History) -> Result<(), String> {
        let member = Arc::clone(&self.broker.member);
        let last = history.last().copied();
        let noting = task::spawn_blocking("begin an epoch", move || {
            member.past().set_history(&history, Role::Master)
        });
        let noted = noting.await.map_err(|error| error.to_string())?;
        noted.map_err(|error| format!("the epoch cannot be noted: {error}"))?;
        let group = &self.broker.options.group;
        if let Some(epoch) = last {
            tracing::info!(group, %epoch, "an epoch begins");
        }
        self.broker.member.set_standing(Standing::Serving);
        Ok(())
    }
}

/// Whether a peer is one of ours.
pub(super) async fn is_ours(broker: &Broker, address: &str) -> Result<bool, PeerError> {
    Ok(matches!(broker.member.greet(address, 0).await?, Peer::Ours(_)))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use tokio::net::TcpListener;
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::broker::tests_support::{TestBroker, header};
    use crate::model::PhysicalOffset;
    use crate::remoting::Command;
    use crate::remoting::headers::SendHeader;
    use crate::replication::past::Neighbour;
    use crate::transport::{Limits, Responder, Server, Service};

    /// How long a master that starts asks a name server that takes connections and says nothing.
    async fn asks_for(broker: &TestBroker) -> Duration {
        // Time passes when nothing else happens.
        tokio::time::pause();
        let begun = Instant::now();
        broker.broker.find_past(None).await.unwrap();
        tokio::time::resume();
        begun.elapsed()
    }

    #[tokio::test]
    async fn a_master_that_lacks_nothing_does_not_wait_for_a_silent_name_server() {
        let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let broker = TestBroker::master(vec![silent.local_addr().unwrap().to_string()]);
        assert!(asks_for(&broker).await >= CALL_TIMEOUT, "it may be a new folder of an old group");
        let again = asks_for(&broker).await;
        assert!((NAME_SERVERS_WAIT..CALL_TIMEOUT).contains(&again), "{again:?}");
    }

    #[tokio::test]
    async fn a_silent_name_server_does_not_hold_up_what_peers_say() {
        let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let slave = TestBroker::slave(Vec::new());
        let broker = TestBroker::master(vec![silent.local_addr().unwrap().to_string()]);
        let (address, node) = (slave.address.clone(), None);
        let peer = Neighbour { address, id: 1, node };
        broker.broker.member.past().note_peer(&peer).unwrap();
        // The first look is waited for, and no other one.
        assert!(asks_for(&broker).await < 2 * CALL_TIMEOUT);
    }

    /// A slave of 4.9.4 that has 7000 bytes, this record wherever it is asked for one, and nobody at its HA port.
    struct Plain(Bytes);

    impl Service for Plain {
        fn on_request(&self, request: Command, responder: Responder) {
            let table = br#"{"table":{"commitLogMinOffset":"0","commitLogMaxOffset":"7000"}}"#;
            responder.send(match request.code {
                request::GET_BROKER_RUNTIME_INFO => {
                    Command::response(response::SUCCESS).with_body(&table[..])
                }
                request::VIEW_MESSAGE_BY_ID => {
                    Command::response(response::SUCCESS).with_body(self.0.clone())
                }
                _ => Command::response(response::REQUEST_CODE_NOT_SUPPORTED),
            });
        }
    }

    /// Lets a master have such a slave.
    fn note_plain_slave(broker: &TestBroker, record: Bytes) {
        let limits = Arc::new(Limits::default());
        let server = Server::bind("127.0.0.1:0".parse().unwrap(), limits).unwrap();
        let (address, stop) = (server.local_addr().to_string(), CancellationToken::new());
        task::spawn(Kind::Ignore, "plain slave", server.serve(Arc::new(Plain(record)), stop));
        let past = broker.broker.member.past();
        past.note_peer(&Neighbour { address, id: 1, node: None }).unwrap();
    }

    #[tokio::test]
    async fn a_master_that_cannot_read_its_log_now_does_not_begin_without_what_a_slave_has() {
        let broker = TestBroker::master(Vec::new());
        broker.store("T", "body").await;
        let record = broker.broker.store.record_at(PhysicalOffset(0)).unwrap().unwrap();
        note_plain_slave(&broker, record);
        let log = broker.lose_first_segment();
        let mut standing = broker.broker.member.standing();
        let is_unread = |standing: &Standing| matches!(standing, Standing::Starting(what) if what == UNREADABLE);
        let seen = async {
            standing.wait_for(is_unread).await.unwrap();
            std::fs::write(broker.first_segment(), log).unwrap();
            standing.wait_for(|standing| !is_unread(standing)).await.unwrap().clone()
        };
        tokio::select! {
            ended = broker.broker.find_past(None) => panic!("{ended:?}"),
            next = seen => assert!(matches!(next, Standing::Starting(_)), "{next:?}"),
        }
    }

    #[tokio::test]
    async fn what_cannot_be_copied_from_a_plain_slave_is_waited_for() {
        let broker = TestBroker::master(Vec::new());
        note_plain_slave(&broker, Bytes::new());
        let member = &broker.broker.member;
        tokio::time::pause();
        let starting = broker.broker.find_past(None);
        let begun = tokio::time::timeout(Duration::from_secs(60), starting).await;
        assert!(begun.is_err(), "{begun:?}");
        let standing = member.standing().borrow().clone();
        assert!(matches!(&standing, Standing::Starting(_)), "{standing:?}");
    }

    #[tokio::test]
    async fn a_master_that_does_not_serve_stores_no_reply() {
        let broker = TestBroker::new();
        let send = header();
        let reply = SendHeader { topic: "DefaultCluster_REPLY_TOPIC", ..send }
            .to_request(request::SEND_REPLY_MESSAGE_V2)
            .with_body("r");
        let member = &broker.broker.member;
        for standing in [Standing::Starting, Standing::Replaced] {
            member.set_standing(standing("why".to_owned()));
            let (code, remark) = broker.refused(reply.clone()).await;
            assert_eq!((code, remark.ends_with(": why")), (14, true), "{remark}");
        }
        assert_eq!(broker.broker.store.log_range().1.0, 0);
        member.set_standing(Standing::Serving);
        let _ = broker.call(reply).await;
        assert!(broker.broker.store.log_range().1.0 > 0);
    }
}
