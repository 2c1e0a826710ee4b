//! Who is connected: producers, consumers and what they subscribed to (B-220 to B-232).
//!
//! Not what clients say (`heartbeats`) nor how tools are told (`client_lists`), not the configuration of groups (`groups`),
//! not their positions. Invariants: a client is its connection (B-223), so the same id can be there twice; a consumer group is there as long as it has a member; every member is found by
//! its connection, so that a close costs only the groups it was in; no lock is held while members are told.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::Broker;
use super::answers::Refusal;
use super::heartbeats::tell_changed;
use super::subscriptions::{bytes_of, keep_newer, merge};
use crate::clock::Clock;
use crate::filter::Subscription;
use crate::metrics::{ConsumerFigures, Limit};
use crate::model::{GroupName, RETRY_PREFIX, TopicName, shown};
use crate::remoting::bodies::clients::{ClientConnection, Producer};
use crate::remoting::bodies::heartbeat::{ConsumeMode, ConsumerData, SubscriptionData};
use crate::remoting::{Language, response};
use crate::task;
use crate::transport::{Connection, LimitNumbers, Limits};

pub(super) use crate::remoting::bodies::heartbeat::MessageModel;

/// A client that is silent for longer is gone (B-231).
const EXPIRY: Duration = Duration::from_secs(120);
/// How often silent clients are looked for (B-036).
const SCAN_INTERVAL: Duration = Duration::from_secs(10);
/// Members of a group that are told by name.
const MEMBERS_NAMED_MAX: usize = 20;
/// A producer with more unsent bytes does not read what it is sent.
const READS_BYTES_MAX: usize = 64 << 10;

/// The connected clients of one broker.
#[derive(Debug)]
pub(super) struct Clients {
    clock: Clock,
    state: RwLock<State>,
    /// Whose turn it is to be asked.
    turn: AtomicUsize,
}

#[derive(Debug, Default)]
struct State {
    consumers: HashMap<GroupName, Consumers>,
    producers: HashMap<GroupName, Members>,
    /// The groups of each connection, by its number.
    joined: HashMap<u64, Joined>,
    /// The connection of each producer's client id; each is one that a member of a producer group has.
    producer_ids: HashMap<Arc<str>, Connection>,
    members: usize,
    subscription_bytes: usize,
}

/// By the connection's number, so in the order of connecting.
type Members = BTreeMap<u64, Member>;

#[derive(Debug, Default)]
struct Joined {
    consumers: BTreeSet<GroupName>,
    producers: BTreeSet<GroupName>,
}

/// One connection in one group.
#[derive(Clone, Debug)]
pub(super) struct Member {
    pub connection: Connection,
    pub client_id: Arc<str>,
    pub language: Language,
    pub version: i32,
    pub seen: Instant,
    /// Of what it subscribes to: the same as that of whoever subscribes to the same; 0 of producers.
    pub wants: u64,
}

/// A consumer group with its members.
#[derive(Debug, Default)]
struct Consumers {
    mode: ConsumeMode,
    subscriptions: BTreeMap<TopicName, Arc<Subscription>>,
    subscription_bytes: usize,
    members: Members,
}

/// A member of a consumer group as it is called.
#[derive(Clone, Debug)]
pub(super) struct Reached {
    pub connection: Connection,
    pub client_id: Arc<str>,
    pub version: i32,
}

/// A connected consumer group as others see it.
#[derive(Debug)]
pub(super) struct ConsumerGroup {
    pub mode: ConsumeMode,
    pub subscriptions: Vec<Arc<Subscription>>,
    pub members: Vec<ClientConnection>,
}

/// What no more is taken of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Full(&'static str, Limit);

impl Full {
    pub fn refusal(self, limits: &Limits) -> Refusal {
        let Self(what, limit) = self;
        let limit = limits.reached(limit);
        Refusal::new(response::SYSTEM_ERROR, format!("the broker takes no more {what}: {limit}"))
    }
}

impl Clients {
    /// Nobody is connected.
    pub fn new(clock: &Clock) -> Self {
        Self { clock: clock.clone(), state: RwLock::default(), turn: AtomicUsize::default() }
    }

    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// How a group consumes; `None` if nobody of it is connected.
    pub fn consumer_group(&self, group: &str) -> Option<ConsumeMode> {
        Some(self.read().consumers.get(group)?.mode)
    }

    /// What a group wants of a topic; `None` if it is not connected, or not subscribed.
    pub fn subscription(&self, group: &str, topic: &str) -> Option<Arc<Subscription>> {
        self.read().consumers.get(group)?.subscriptions.get(topic).cloned()
    }

    /// How a group consumes and what it reads, and its connections; `None` if nobody of it is connected.
    pub fn consumers(&self, group: &str) -> Option<ConsumerGroup> {
        let state = self.read();
        let group = state.consumers.get(group)?;
        Some(ConsumerGroup {
            mode: group.mode,
            subscriptions: group.subscriptions.values().cloned().collect(),
            members: group.members.values().map(Member::to_connection).collect(),
        })
    }

    /// The ids of a consumer group's members, one for each connection.
    pub fn consumer_ids(&self, group: &str) -> Vec<String> {
        let state = self.read();
        let members = state.consumers.get(group).map(|group| group.members.values());
        members.into_iter().flatten().map(|member| member.client_id.to_string()).collect()
    }

    /// The members of a consumer group, to be called.
    pub fn reach(&self, group: &str) -> Vec<Reached> {
        let state = self.read();
        let members = state.consumers.get(group).map(|group| group.members.values());
        let reached = |member: &Member| Reached {
            connection: member.connection.clone(),
            client_id: Arc::clone(&member.client_id),
            version: member.version,
        };
        members.into_iter().flatten().map(reached).collect()
    }

    /// The connection of a producer's client, the last one that told its id (B-232).
    pub fn producer(&self, client_id: &str) -> Option<Connection> {
        self.read().producer_ids.get(client_id).cloned()
    }

    /// How many producers' clients are connected.
    pub fn producer_count(&self) -> usize {
        self.read().producer_ids.len()
    }

    /// A producer group's connections; `None` if it is not known.
    pub fn producers(&self, group: &str) -> Option<Vec<ClientConnection>> {
        let state = self.read();
        let members = state.producers.get(group)?.values();
        Some(members.map(Member::to_connection).collect())
    }

    /// All producer groups with their connections; `None` if these are more than `max`.
    pub fn all_producers(&self, max: usize) -> Option<Vec<(GroupName, Vec<Producer>)>> {
        let (now, now_ms) = (self.clock.monotonic(), self.clock.now_ms());
        let state = self.read();
        if state.producers.values().map(Members::len).sum::<usize>() > max {
            return None;
        }
        let producer = |member: &Member| {
            let ago = now.saturating_duration_since(member.seen).as_millis();
            let ago = i64::try_from(ago).unwrap_or(i64::MAX);
            let last_update_timestamp = now_ms.saturating_sub(ago);
            Producer { connection: member.to_connection(), last_update_timestamp }
        };
        let groups = state.producers.iter().filter(|(_, members)| !members.is_empty());
        let groups = groups.map(|(group, of)| (group.clone(), of.values().map(producer).collect()));
        Some(groups.collect())
    }

    /// All consumer groups, and all producer groups with their numbers of connections.
    pub fn figures(&self) -> (Vec<ConsumerFigures>, Vec<(String, usize)>) {
        let state = self.read();
        let consumers = state.consumers.iter().map(|(name, group)| {
            let shown = || group.members.values().take(MEMBERS_NAMED_MAX);
            let addresses: Vec<_> =
                shown().map(|member| member.connection.remote().to_string()).collect();
            let ids: Vec<&str> = shown().map(|member| &*member.client_id).collect();
            ConsumerFigures {
                group: name.to_string(),
                members: group.members.len(),
                is_broadcasting: group.mode.message_model == MessageModel::Broadcasting,
                addresses: addresses.join(","),
                client_ids: ids.join(","),
                differ: group.differ(),
            }
        });
        let producers = state.producers.iter().filter(|(_, members)| !members.is_empty());
        let producers = producers.map(|(name, members)| (name.to_string(), members.len()));
        (consumers.collect(), producers.collect())
    }

    /// Whether a group is connected and reads other topics only.
    pub fn reads_others_only(&self, group: &str, topic: &str) -> bool {
        let state = self.read();
        let subscriptions = state.consumers.get(group).map(|group| &group.subscriptions);
        subscriptions.is_some_and(|topics| !topics.is_empty() && !topics.contains_key(topic))
    }

    /// The connected groups that read a topic.
    pub fn readers_of(&self, topic: &str) -> Vec<GroupName> {
        let state = self.read();
        let readers = state.consumers.iter().filter(|(_, of)| of.subscriptions.contains_key(topic));
        readers.map(|(group, _)| group.clone()).collect()
    }

    /// Takes a consumer's heartbeat; returns whom to tell that the group changed (B-224 to B-227).
    pub fn consumer_heartbeat(
        &self,
        data: ConsumerData,
        member: &Member,
        limits: &LimitNumbers,
    ) -> Result<Vec<Connection>, Full> {
        let name = GroupName::new(&data.group);
        let id = member.connection.id();
        let member = Member { wants: digest(&data.subscriptions), ..member.clone() };
        let known = self.read().consumers.get(&name).map(|group| group.subscriptions.clone());
        // Nobody waits for it: many expressions take a while.
        let mut subscriptions = merge(&known.unwrap_or_default(), data.subscriptions);
        let mut state = self.write();
        let state = &mut *state;
        let known = state.consumers.get(&name);
        if known.is_none() && state.consumers.len() >= limits.groups_max {
            return Err(Full("consumer groups", Limit::Groups));
        }
        let is_new = known.is_none_or(|group| !group.members.contains_key(&id));
        if is_new && state.members >= limits.client_memberships_max {
            return Err(Full("clients", Limit::ClientMemberships));
        }
        let empty = BTreeMap::new();
        let old = known.map_or(&empty, |group| &group.subscriptions);
        let old_bytes = known.map_or(0, |group| group.subscription_bytes);
        keep_newer(old, &mut subscriptions);
        let topics_changed = !old.keys().eq(subscriptions.keys());
        let bytes = subscriptions.values().map(|one| bytes_of(one)).sum();
        let all_bytes = state.subscription_bytes - old_bytes + bytes;
        if bytes > old_bytes && all_bytes > limits.subscription_bytes_max {
            return Err(Full("subscriptions", Limit::SubscriptionBytes));
        }
        state.subscription_bytes = all_bytes;
        state.members += usize::from(is_new);
        state.joined.entry(id).or_default().consumers.insert(name.clone());
        let group = state.consumers.entry(name).or_default();
        group.mode = data.mode;
        group.subscriptions = subscriptions;
        group.subscription_bytes = bytes;
        group.members.insert(id, member);
        Ok(if is_new || topics_changed { group.connections() } else { Vec::new() })
    }

    /// Takes a producer's heartbeat.
    pub fn producer_heartbeat(
        &self,
        group: &str,
        member: &Member,
        limits: &LimitNumbers,
    ) -> Result<(), Full> {
        let mut state = self.write();
        let id = member.connection.id();
        let known = state.producers.get(group);
        let is_new = known.is_none_or(|members| !members.contains_key(&id));
        if is_new && state.members >= limits.client_memberships_max {
            return Err(Full("clients", Limit::ClientMemberships));
        }
        if known.is_none() && state.producers.len() >= limits.groups_max {
            // Groups stay when their last member's connection closes (B-317).
            state.producers.retain(|_, members| !members.is_empty());
            if state.producers.len() >= limits.groups_max {
                return Err(Full("producer groups", Limit::Groups));
            }
        }
        // One name for all members of a group.
        let known = state.producers.get_key_value(group).map(|(name, _)| name.clone());
        let group = known.unwrap_or_else(|| GroupName::new(group));
        state.members += usize::from(is_new);
        state.joined.entry(id).or_default().producers.insert(group.clone());
        let old = state.producers.entry(group).or_default().insert(id, member.clone());
        if let Some(old) = old.filter(|old| old.client_id != member.client_id) {
            state.forget_producer_id(&old);
        }
        state.producer_ids.insert(Arc::clone(&member.client_id), member.connection.clone());
        Ok(())
    }

    /// A connected producer of a group that can be asked something, another one each time (B-267); one that reads what
    /// it is sent, if there is any.
    pub fn producer_to_ask(&self, group: &str) -> Option<Connection> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let state = self.read();
        let members = state.producers.get(group)?;
        let first = turn.checked_rem(members.len())?;
        let in_turn = members.values().skip(first).chain(members.values().take(first));
        let mut open =
            in_turn.map(|member| &member.connection).filter(|connection| connection.is_open());
        let reads = |connection: &&Connection| connection.unsent_bytes() < READS_BYTES_MAX;
        let other = open.clone().next();
        open.find(reads).or(other).cloned()
    }

    /// Takes a connection out of a producer group, which goes with its last member (B-229).
    pub fn leave_producers(&self, group: &str, connection: &Connection) {
        let mut state = self.write();
        if state.remove_producer(group, connection.id())
            && state.producers.get(group).is_some_and(Members::is_empty)
        {
            state.producers.remove(group);
        }
    }

    /// Takes a connection out of a consumer group; returns whom to tell.
    pub fn leave_consumers(&self, group: &str, connection: &Connection) -> Vec<Connection> {
        self.write().remove_consumer(group, connection.id())
    }

    /// The connection is gone: the other consumers of its groups are told, whatever their groups' settings (B-230).
    pub fn forget_connection(&self, connection: &Connection) {
        let mut changed = Vec::new();
        {
            let mut state = self.write();
            let Some(joined) = state.joined.remove(&connection.id()) else { return };
            for group in joined.producers {
                state.remove_producer(group.as_str(), connection.id());
            }
            for group in joined.consumers {
                let rest = state.remove_consumer(group.as_str(), connection.id());
                changed.push((group, rest));
            }
        }
        for (group, rest) in changed {
            tell_changed(group.as_str(), &rest);
        }
    }

    /// Takes silent clients out of their groups, without a word to the others, and closes their connections (B-231).
    fn expire(&self) {
        let now = self.clock.monotonic();
        let is_silent = |member: &Member| now.saturating_duration_since(member.seen) > EXPIRY;
        let mut silent = Vec::new();
        {
            let mut state = self.write();
            for (group, consumers) in &state.consumers {
                let members = consumers.members.values().filter(|member| is_silent(member));
                silent.extend(members.map(|member| (group.clone(), member.clone(), true)));
            }
            for (group, members) in &state.producers {
                let members = members.values().filter(|member| is_silent(member));
                silent.extend(members.map(|member| (group.clone(), member.clone(), false)));
            }
            for (group, member, is_consumer) in &silent {
                let id = member.connection.id();
                if *is_consumer {
                    state.remove_consumer(group.as_str(), id);
                } else {
                    state.remove_producer(group.as_str(), id);
                }
            }
        }
        for (group, member, _) in silent {
            tracing::warn!(group = shown(group.as_str()), client = shown(&member.client_id), address = %member.connection.remote(),
                "a client is silent: its connection is closed");
            member.connection.close("it sent no heartbeat for two minutes");
        }
    }
}

impl State {
    /// Takes a member out, and its group with the last one; returns the rest.
    fn remove_consumer(&mut self, group: &str, id: u64) -> Vec<Connection> {
        let Some(consumers) = self.consumers.get_mut(group) else { return Vec::new() };
        if consumers.members.remove(&id).is_none() {
            return Vec::new();
        }
        let rest = consumers.connections();
        if rest.is_empty() {
            self.subscription_bytes -= consumers.subscription_bytes;
            self.consumers.remove(group);
        }
        self.left(id, |joined| joined.consumers.remove(group));
        rest
    }

    /// Takes a member out; returns whether it was in.
    fn remove_producer(&mut self, group: &str, id: u64) -> bool {
        let removed = self.producers.get_mut(group).and_then(|members| members.remove(&id));
        let Some(removed) = removed else { return false };
        self.forget_producer_id(&removed);
        self.left(id, |joined| joined.producers.remove(group));
        true
    }

    /// A producer left a group, or has another id: its id leads nowhere until it is told again, as in 4.9.4 (B-232).
    fn forget_producer_id(&mut self, member: &Member) {
        let is_its = |known: &Connection| *known == member.connection;
        if self.producer_ids.get(&member.client_id).is_some_and(is_its) {
            self.producer_ids.remove(&member.client_id);
        }
    }

    fn left(&mut self, id: u64, forget: impl FnOnce(&mut Joined) -> bool) {
        self.members -= 1;
        if let Some(joined) = self.joined.get_mut(&id) {
            forget(joined);
            if joined.consumers.is_empty() && joined.producers.is_empty() {
                self.joined.remove(&id);
            }
        }
    }
}

/// Of a set of subscriptions, in whatever order they are told. Every member has the retry topic.
fn digest(subscriptions: &[SubscriptionData]) -> u64 {
    let others = subscriptions.iter().filter(|one| !one.topic.starts_with(RETRY_PREFIX));
    let digests = others.map(|one| {
        let mut hasher = DefaultHasher::new();
        (&one.topic, one.expression.trim(), &one.expression_type).hash(&mut hasher);
        hasher.finish()
    });
    digests.fold(0, u64::wrapping_add)
}

impl Consumers {
    /// Who subscribes to something else than most of the members; each time one of them tells what it wants, the broker takes
    /// that for the whole group (B-226), so that messages are lost to the others.
    fn differ(&self) -> Option<String> {
        let mut counts: BTreeMap<u64, usize> = BTreeMap::new();
        for member in self.members.values() {
            *counts.entry(member.wants).or_default() += 1;
        }
        let (most, _) = counts.iter().max_by_key(|(_, count)| **count)?;
        let others = || self.members.values().filter(|member| member.wants != *most);
        let named: Vec<String> = others().take(3).map(|member| shown(&member.client_id)).collect();
        let more = if others().count() > named.len() { ", ..." } else { "" };
        (!named.is_empty()).then(|| format!("{}{more}", named.join(", ")))
    }

    fn connections(&self) -> Vec<Connection> {
        self.members.values().map(|member| member.connection.clone()).collect()
    }
}

impl Member {
    fn to_connection(&self) -> ClientConnection {
        ClientConnection {
            client_id: self.client_id.to_string(),
            address: self.connection.remote().to_string(),
            language: self.language,
            version: self.version,
        }
    }
}

/// Looks for silent clients until `stop` (B-036).
pub(super) fn start(
    broker: &Arc<Broker>,
    handle: &tokio::runtime::Handle,
    stop: &CancellationToken,
) {
    let (broker, stop) = (Arc::clone(broker), stop.clone());
    let _runtime = handle.enter();
    task::spawn(task::Kind::StopNode(stop.clone()), "client expiry", async move {
        let scans = async {
            loop {
                tokio::time::sleep(SCAN_INTERVAL).await;
                broker.clients.expire();
            }
        };
        let _ = stop.run_until_cancelled(scans).await;
    });
}

#[cfg(test)]
#[path = "clients_tests.rs"]
pub(super) mod tests;
