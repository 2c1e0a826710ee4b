//! What a slave copies of its master besides the log: topics, groups and positions (H-050 to H-056); and what a master
//! answers to that (43, 45; 21 and 201 are in `topics` and `groups`).
//!
//! Not the log (`replication`). Between our own nodes positions go both ways, by their generations (`positions`); what
//! follows is about a master of 4.9.4, and about topics and groups. As 4.9.4 does: configurations are replaced when
//! the version differs, so that what clients made on the slave itself is gone with the next round; positions are
//! overwritten by the master's, those that it does not have stay. That repeats messages at worst, while keeping the
//! greater one would undo a reset; what groups committed here meanwhile is told to the master, where that has not gone
//! back (best effort: it knows no generations). Unlike 4.9.4: the delay positions count at once and not only after a restart
//! (S-34). Invariants: nothing is taken from a master whose log was not found to fit, or ends below the slave's; positions are taken only once the slave's log has what they point to.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::runtime::Handle;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};
use tokio_util::sync::CancellationToken;

use super::answers::Answer;
use super::{Broker, MasterAddresses, accounts, positions};
use crate::acl;
use crate::model::{PhysicalOffset, shown};
use crate::remoting::bodies::extension::PositionRow;
use crate::remoting::bodies::groups::parse_all_groups;
use crate::remoting::bodies::offsets;
use crate::remoting::bodies::topics::parse_topic_table;
use crate::remoting::{Command, DecodeError, json, request, response};
use crate::replication::peers::PeerError;
use crate::store::tables::PositionKey;
use crate::task;
use crate::transport::{CallError, Client, Connection};

/// After the start (H-050).
const FIRST_AFTER: Duration = Duration::from_secs(3);
/// From one round's beginning to the next one's.
const PERIOD: Duration = Duration::from_secs(10);
/// How long the master has for each answer (H-051).
const CALL_TIMEOUT: Duration = Duration::from_secs(3);
/// How often is looked whether the log has reached the master's end.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// 43: the positions of all groups (B-320). Blocks, because there may be many.
pub(super) fn consumer_offsets(broker: &Arc<Broker>, _: &Command, _: &Connection) -> Answer {
    let table = broker.store.tables().consumer_offsets.snapshot();
    Ok(Command::response(response::SUCCESS).with_body(offsets::consumer_offsets(&table)))
}

/// 45: the positions of the delay levels (B-321).
pub(super) fn delay_offsets(broker: &Arc<Broker>, _: &Command, _: &Connection) -> Answer {
    let table = broker.store.tables().delay_offsets.snapshot();
    Ok(Command::response(response::SUCCESS).with_body(offsets::delay_offsets(&table)))
}

/// Why something was not taken.
#[derive(Debug, thiserror::Error)]
enum SyncError {
    #[error(transparent)]
    Call(#[from] CallError),
    #[error("the master answered {code}: {remark}")]
    Refused { code: i32, remark: String },
    #[error(transparent)]
    Decode(#[from] DecodeError),
    #[error(transparent)]
    Peer(#[from] PeerError),
}

/// What the master answered.
struct Fetched {
    topics: Result<Bytes, SyncError>,
    groups: Result<Bytes, SyncError>,
    positions: Positions,
}

/// What the master answered about positions.
struct Positions {
    consumer_offsets: Result<ConsumerPositions, SyncError>,
    delay_offsets: Result<Bytes, SyncError>,
    /// Where its log ended afterwards: they point to nothing beyond it.
    log_end: PhysicalOffset,
}

/// What a master knows of positions of groups.
enum ConsumerPositions {
    /// One of 4.9.4: the body of its answer to 43.
    Plain(Bytes),
    /// One of ours: with generations.
    Ours(Vec<PositionRow>),
}

/// The copying.
struct MetadataSync {
    broker: Arc<Broker>,
    client: Client,
    /// Whether this master's topics and groups were never taken: equal versions say nothing then, because those of
    /// new brokers are equal.
    is_first: bool,
    /// Positions that wait for the log. There are no newer ones until they are taken, so that a slave which is always
    /// behind takes some.
    pending: Option<Positions>,
    /// The positions of groups as a master of 4.9.4 had them when they were taken last.
    synced: HashMap<PositionKey, i64>,
    /// What is wrong, as it was told; empty if nothing is.
    trouble: String,
}

/// Copies until `stop`, if this is a slave.
pub(super) fn start(broker: &Arc<Broker>, handle: &Handle, stop: &CancellationToken) {
    if !broker.is_slave() {
        return;
    }
    let _entered = handle.enter();
    let mut sync = MetadataSync::new(broker);
    let vital = task::Kind::StopNode(stop.clone());
    let stop = stop.clone();
    task::spawn(vital, "metadata sync", async move {
        let _ = stop.run_until_cancelled(sync.run()).await;
    });
}

impl MetadataSync {
    fn new(broker: &Arc<Broker>) -> Self {
        Self {
            broker: Arc::clone(broker),
            client: broker.options.client(None),
            is_first: true,
            pending: None,
            synced: HashMap::new(),
            trouble: String::new(),
        }
    }

    /// Copies, for ever.
    async fn run(&mut self) {
        let mut masters = self.broker.master_addresses();
        let mut last: Option<MasterAddresses> = None;
        sleep(FIRST_AFTER).await;
        loop {
            let found = masters.wait_for(Option::is_some).await;
            // The sender lives as long as the broker.
            let Some(master) = found.ok().and_then(|master| master.clone()) else { return };
            if last.as_ref() != Some(&master) {
                self.client = self.broker.options.client(None);
                (self.is_first, self.pending) = (true, None);
                self.synced.clear();
                last = Some(master.clone());
            }
            let next = Instant::now() + PERIOD;
            self.round(&master.broker, next).await;
            sleep_until(next).await;
        }
    }

    /// Copies once; waits for the log until `deadline`.
    async fn round(&mut self, master: &str, deadline: Instant) {
        let Some(is_ours) = self.broker.member.fitting_master(master) else {
            // Why is told where the log is copied.
            self.pending = None;
            return;
        };
        // Before the master is asked: its end, asked later, is not below this one unless it lost something.
        let own_end = self.log_end();
        let fetched = match self.fetch(master, is_ours).await {
            Ok(fetched) => fetched,
            Err(error) => return self.tell(&format!("the end of its log: {error}")),
        };
        let Fetched { topics, groups, positions } = fetched;
        let log_end = positions.log_end;
        if log_end < own_end {
            return self.tell(&format!(
                "its log ends at {log_end}, and this one at {own_end}: it has lost messages"
            ));
        }
        let mut trouble = self.take_configs(topics, groups).await;
        if is_ours {
            let exchanged = accounts::exchange_with(&self.broker, master).await;
            trouble += &troubles([("accounts", exchanged.map_err(SyncError::from))]);
        }
        let positions = self.pending.take().unwrap_or(positions);
        let reached = async {
            while self.log_end() < positions.log_end {
                sleep(LOOK_AGAIN).await;
            }
        };
        match timeout_at(deadline, reached).await {
            Ok(()) => trouble += &self.take_positions(master, positions).await,
            Err(_) => self.pending = Some(positions),
        }
        self.tell(&trouble);
    }

    /// Asks the master, in 4.9.4's order and then for its log's end; each answer but that may lack alone.
    async fn fetch(&self, master: &str, is_ours: bool) -> Result<Fetched, SyncError> {
        let topics = self.topics(master).await;
        let consumer_offsets = if is_ours {
            let rows = positions::positions_of(&self.broker, master).await;
            rows.map(ConsumerPositions::Ours).map_err(SyncError::from)
        } else {
            let body = self.ask(master, request::GET_ALL_CONSUMER_OFFSET).await;
            body.map(ConsumerPositions::Plain)
        };
        let delay_offsets = self.ask(master, request::GET_ALL_DELAY_OFFSET).await;
        let groups = self.ask(master, request::GET_ALL_SUBSCRIPTIONGROUP_CONFIG).await;
        let log_end = self.master_log_end(master).await?;
        let positions = Positions { consumer_offsets, delay_offsets, log_end };
        Ok(Fetched { topics, groups, positions })
    }

    /// Returns what went wrong.
    async fn take_configs(
        &mut self,
        topics: Result<Bytes, SyncError>,
        groups: Result<Bytes, SyncError>,
    ) -> String {
        let is_first = self.is_first;
        let taking = self.blocking(move |broker| {
            let topics = take_topics(broker, topics, is_first);
            let groups = take_groups(broker, groups, is_first);
            save(broker);
            troubles([("topics", topics), ("groups", groups)])
        });
        let trouble = taking.await;
        self.is_first &= !trouble.is_empty();
        trouble
    }

    /// Returns what went wrong.
    async fn take_positions(&mut self, master: &str, positions: Positions) -> String {
        let Positions { consumer_offsets, delay_offsets, .. } = positions;
        let taking = self.blocking(move |broker| {
            troubles([("delay offsets", take_delay_offsets(broker, delay_offsets))])
        });
        let trouble = taking.await;
        let taken = match consumer_offsets {
            Ok(ConsumerPositions::Ours(rows)) => self.exchange(master, rows).await,
            Ok(ConsumerPositions::Plain(body)) => self.take_plain(master, &body).await,
            Err(error) => Err(error),
        };
        trouble + &troubles([("consumer offsets", taken)])
    }

    /// Takes what is newer at the master, and tells it what is newer here.
    async fn exchange(&self, master: &str, rows: Vec<PositionRow>) -> Result<(), SyncError> {
        let told = rows.clone();
        self.blocking(move |broker| {
            positions::take(broker, rows);
            String::new()
        })
        .await;
        Ok(positions::tell_newer(&self.broker, master, &told).await?)
    }

    /// H-054; except where a group went on here since the last round, and the master's position did not go back: that
    /// is told to the master.
    async fn take_plain(&mut self, master: &str, body: &[u8]) -> Result<(), SyncError> {
        let own = &self.broker.store.tables().consumer_offsets;
        let mut gone_on = Vec::new();
        for ((topic, group), queues) in offsets::parse_consumer_offsets(body)? {
            for (queue_id, theirs) in queues {
                let key = PositionKey { topic: topic.clone(), group: group.clone(), queue_id };
                let here = own.query(topic.as_str(), group.as_str(), queue_id);
                let synced = self.synced.get(&key).copied();
                match (here, synced) {
                    (Some(here), Some(synced)) if here > theirs.max(synced) && theirs >= synced => {
                        gone_on.push((key, here));
                    }
                    _ => {
                        own.take(topic.as_str(), group.as_str(), queue_id, theirs);
                        self.synced.insert(key, theirs);
                    }
                }
            }
        }
        for (key, here) in gone_on {
            let request = Command::request(request::UPDATE_CONSUMER_OFFSET)
                .with_field("consumerGroup", key.group.as_str())
                .with_field("topic", key.topic.as_str())
                .with_field("queueId", key.queue_id)
                .with_field("commitOffset", here);
            let answer = self.client.call(master, request, CALL_TIMEOUT).await?;
            if answer.code == response::SUCCESS {
                self.synced.insert(key, here);
            }
        }
        Ok(())
    }

    /// Asks the VIP port, as 4.9.4 does, and the usual one if there is none (H-052, S-07).
    async fn topics(&self, master: &str) -> Result<Bytes, SyncError> {
        if let Some(vip) = vip_address(master) {
            match self.ask(&vip, request::GET_ALL_TOPIC_CONFIG).await {
                Err(SyncError::Call(error)) => tracing::debug!(%error, "no VIP port"),
                answer => return answer,
            }
        }
        self.ask(master, request::GET_ALL_TOPIC_CONFIG).await
    }

    async fn master_log_end(&self, master: &str) -> Result<PhysicalOffset, SyncError> {
        let body = self.ask(master, request::GET_BROKER_RUNTIME_INFO).await?;
        let info = json::parse(&body)?;
        let end = info.get("table").number("commitLogMaxOffset")?;
        let missing = || DecodeError("JSON: `commitLogMaxOffset` is missing".to_owned());
        Ok(PhysicalOffset(end.ok_or_else(missing)?))
    }

    async fn ask(&self, address: &str, code: i32) -> Result<Bytes, SyncError> {
        let answer = self.client.call(address, Command::request(code), CALL_TIMEOUT).await?;
        if answer.code != response::SUCCESS {
            let remark = acl::advised(shown(&answer.remark.unwrap_or_default()));
            return Err(SyncError::Refused { code: answer.code, remark });
        }
        Ok(answer.body)
    }

    /// Runs what may take long or wait for the disk.
    async fn blocking(&self, work: impl FnOnce(&Broker) -> String + Send + 'static) -> String {
        let broker = Arc::clone(&self.broker);
        // It fails only if it panics, which is reported.
        task::spawn_blocking("metadata sync", move || work(&broker)).await.unwrap_or_default()
    }

    fn log_end(&self) -> PhysicalOffset {
        self.broker.store.log_range().1
    }

    /// Says what is wrong, once, and when nothing is any more.
    fn tell(&mut self, trouble: &str) {
        if trouble == self.trouble {
            return;
        }
        if trouble.is_empty() {
            tracing::info!("the master's tables are copied again");
        } else {
            tracing::warn!(trouble, "not all of the master's tables is copied");
        }
        trouble.clone_into(&mut self.trouble);
    }
}

/// Two below.
fn vip_address(address: &str) -> Option<String> {
    let (host, port) = address.rsplit_once(':')?;
    let vip = port.parse::<u16>().ok()?.checked_sub(2).filter(|port| *port > 0)?;
    Some(format!("{host}:{vip}"))
}

fn troubles<const N: usize>(results: [(&str, Result<(), SyncError>); N]) -> String {
    let failed = results.into_iter().filter_map(|(what, result)| Some((what, result.err()?)));
    failed.map(|(what, error)| format!("{what}: {error}; ")).collect()
}

/// H-053.
fn take_topics(
    broker: &Broker,
    body: Result<Bytes, SyncError>,
    is_first: bool,
) -> Result<(), SyncError> {
    let (version, topics) = parse_topic_table(&body?)?;
    let table = &broker.store.tables().topics;
    if is_first || table.version() != version {
        tracing::info!(count = topics.len(), "the master's topics are taken");
        table.replace_all(version, topics);
    }
    Ok(())
}

/// H-056.
fn take_groups(
    broker: &Broker,
    body: Result<Bytes, SyncError>,
    is_first: bool,
) -> Result<(), SyncError> {
    let (version, groups) = parse_all_groups(&body?)?;
    let table = &broker.store.tables().groups;
    if is_first || table.version() != version {
        tracing::info!(count = groups.len(), "the master's groups are taken");
        table.replace_all(version, groups);
    }
    Ok(())
}

/// H-055.
fn take_delay_offsets(broker: &Broker, body: Result<Bytes, SyncError>) -> Result<(), SyncError> {
    let table = offsets::parse_delay_offsets(&body?)?;
    broker.store.tables().delay_offsets.replace_all(table);
    Ok(())
}

pub(super) fn save(broker: &Broker) {
    if let Err(error) = broker.store.tables().save_configs() {
        tracing::error!(%error, "the master's topics and groups cannot be saved now");
    }
}

#[cfg(test)]
#[path = "metadata_sync_tests.rs"]
mod tests;
