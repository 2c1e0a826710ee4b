//! What the broker says of itself, its topics and its groups: reckoned now and then, for metrics and alerts (9009).
//!
//! Not the names it is shown under (`metrics`). Nobody's request waits for it: the node asks for it on a thread of its own.
//! Invariants: whatever the number of topics, the log is read for at most [`LOOKED_UP_MAX`] queues a time, and not again for
//! a group that has not moved; asking changes nothing.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwapOption;

use super::Broker;
use super::answers::Answer;
use super::runtime_info::{self, DiskSpace};
use crate::metrics::{BrokerFigures, Figure, READERS_MAX, ReaderFigures, TopicFigures};
use crate::model::{GroupName, QueueId, QueueOffset, TopicName};
use crate::remoting::bodies::extension::{self, Figures, ReaderRow};
use crate::remoting::{Command, response};
use crate::store::Store;
use crate::transport::Connection;

/// Queues whose oldest message that was not got is looked up at a time.
const LOOKED_UP_MAX: usize = 2_000;

/// What was reckoned last.
#[derive(Debug, Default)]
pub(super) struct Reckoned {
    last: ArcSwapOption<BrokerFigures>,
    /// Whether the node looks for what is wrong, and has somebody to tell.
    sends_alerts: AtomicBool,
    /// When the messages were stored that groups stand at; held while reckoning.
    stored: Mutex<HashMap<Place, (u64, i64)>>,
}

/// A group in a queue.
type Place = (TopicName, GroupName, QueueId);

impl Broker {
    /// What was reckoned last.
    #[must_use]
    pub fn figures(&self) -> Option<Arc<BrokerFigures>> {
        self.reckoned.last.load_full()
    }

    /// Reckons, and keeps the result; with the lag of each queue if it is asked for. Peers are told whether the node
    /// `sends_alerts`. Blocks.
    pub fn reckon(&self, with_queues: bool, sends_alerts: bool) {
        self.reckoned.sends_alerts.store(sends_alerts, Ordering::Relaxed);
        let begun = self.clock.monotonic();
        let mut figures = BrokerFigures {
            cluster: self.options.cluster.clone(),
            group: self.options.group.clone(),
            address: self.options.address.to_string(),
            is_slave: self.is_slave(),
            at_ms: self.clock.now_ms(),
            values: self.values(),
            runtime: runtime_info::entries(self).into_iter().collect(),
            ..BrokerFigures::default()
        };
        // Of the rest a slave has copies that nobody counts.
        if !self.is_slave() {
            (figures.in_per_s, figures.out_per_s) = self.statistics.broker_minute();
            figures.slaves = self.slave_figures();
            figures.topics = self.topic_figures();
            (figures.readers, figures.readers_left_out) = self.reader_figures(with_queues);
            (figures.consumers, figures.producers) = self.clients.figures();
        }
        let took = self.clock.monotonic().saturating_duration_since(begun);
        figures.values.push((Figure::FiguresSeconds, took.as_secs_f64()));
        self.reckoned.last.store(Some(Arc::new(figures)));
    }

    fn values(&self) -> Vec<(Figure, f64)> {
        let store = &self.store;
        let (start, end) = store.log_range();
        let tables = store.tables();
        let databases = store.databases();
        let mut values = vec![
            (Figure::Master, f64::from(u8::from(!self.is_slave()))),
            (Figure::Topics, tables.topics.count() as f64),
            (Figure::Groups, tables.groups.count() as f64),
            (Figure::LightQueues, store.light_queues() as f64),
            (Figure::LogStartBytes, start.0 as f64),
            (Figure::LogEndBytes, end.0 as f64),
            (Figure::UnflushedBytes, end.0.saturating_sub(store.flushed_to().0) as f64),
            (Figure::SledBytes, databases.bytes as f64),
            (Figure::SledSlices, databases.slices as f64),
            (Figure::SledSlicesOpen, databases.open as f64),
        ];
        if let Some(oldest) = store.earliest_store_time() {
            let age_ms = self.clock.now_ms().saturating_sub(oldest).max(0);
            values.push((Figure::OldestMessageSeconds, age_ms as f64 / 1000.0));
        }
        values.extend(disk(&store.options().dir));
        values
    }

    fn slave_figures(&self) -> Vec<(String, u64)> {
        let slave = |slave: crate::replication::SlaveState| {
            let address = slave.address.unwrap_or_else(|| slave.peer.to_string());
            (address, slave.behind_bytes)
        };
        self.member.slaves().into_iter().map(slave).collect()
    }

    fn topic_figures(&self) -> Vec<TopicFigures> {
        let topics = self.store.tables().topics.snapshot().1;
        let figures = topics.iter().map(|config| {
            let topic = config.name.as_str();
            let (all, minute) = self.statistics.of_topic(topic);
            TopicFigures {
                topic: topic.to_owned(),
                messages_in: all.messages,
                bytes_in: all.bytes,
                in_per_s: minute.per_s(|counted| counted.messages),
                bytes_in_per_s: minute.per_s(|counted| counted.bytes),
                // Nothing bounds how many queues it is said to have (B-300).
                next_offsets: self.store.next_offsets(topic),
            }
        });
        figures.collect()
    }

    /// Who reads, the furthest behind first, and how many were left out.
    fn reader_figures(&self, with_queues: bool) -> (Vec<ReaderFigures>, usize) {
        let mut readers = self.readers();
        readers.sort_by_key(|reader| Reverse(reader.lag));
        let left_out = readers.len().saturating_sub(READERS_MAX);
        readers.truncate(READERS_MAX);
        let mut known = self.reckoned.stored.lock().unwrap_or_else(PoisonError::into_inner);
        let mut times = StoreTimes {
            store: &self.store,
            known: std::mem::take(&mut *known),
            found: HashMap::new(),
            room: LOOKED_UP_MAX,
        };
        let figures = readers.into_iter().map(|reader| {
            let oldest = reader.behind.iter().filter_map(|queue| times.of(&reader, queue)).min();
            self.figures_of(reader, oldest, with_queues)
        });
        let figures = figures.collect();
        *known = times.found;
        (figures, left_out)
    }

    /// Whoever has positions in a topic that is there, but for those who are known to read others only.
    fn readers(&self) -> Vec<Reader> {
        let tables = self.store.tables();
        let mut readers = Vec::new();
        for ((topic, group), positions) in tables.consumer_offsets.snapshot() {
            let name = topic.as_str();
            let is_there = tables.topics.get(name).is_some();
            if !is_there || self.clients.reads_others_only(group.as_str(), name) {
                continue;
            }
            let positions = positions.iter().map(|(id, at)| (*id, u64::try_from(*at).unwrap_or(0)));
            // Clients commit what they like.
            let offsets = positions.clone().map(|(_, at)| at).fold(0, u64::saturating_add);
            let behind = positions.filter_map(|(id, offset)| {
                let lag = self.store.max_offset(name, id).0.saturating_sub(offset);
                (lag > 0).then_some(Behind { id, offset, lag })
            });
            let behind: Vec<_> = behind.collect();
            let lag = behind.iter().map(|queue| queue.lag).sum();
            readers.push(Reader { topic, group, behind, lag, offsets });
        }
        readers
    }

    /// A reader, and when the oldest message that it has not got was stored, if that is known.
    fn figures_of(&self, reader: Reader, oldest: Option<i64>, with_queues: bool) -> ReaderFigures {
        let Reader { topic, group, behind, lag, offsets } = reader;
        let (all, minute) = self.statistics.of_reader(group.as_str(), topic.as_str());
        let now_ms = self.clock.now_ms();
        let age_ms = |time: i64| u64::try_from(now_ms.saturating_sub(time)).unwrap_or(0);
        let queues = behind.iter().map(|queue| (queue.id.0, queue.lag));
        ReaderFigures {
            messages_out: all.messages,
            bytes_out: all.bytes,
            out_per_s: minute.per_s(|counted| counted.messages),
            bytes_out_per_s: minute.per_s(|counted| counted.bytes),
            sent_back: self.statistics.sent_back_in_minute(group.as_str(), topic.as_str()),
            offsets,
            lag,
            behind_ms: oldest.map(age_ms),
            queues: if with_queues { queues.collect() } else { Vec::new() },
            group: group.to_string(),
            topic: topic.to_string(),
        }
    }
}

/// A group in a topic.
struct Reader {
    topic: TopicName,
    group: GroupName,
    /// Queues with messages that it has not got.
    behind: Vec<Behind>,
    /// How many these are.
    lag: u64,
    /// Its positions in all queues, summed up.
    offsets: u64,
}

/// A queue with messages that a group has not got.
struct Behind {
    id: QueueId,
    /// Of the first of them.
    offset: u64,
    lag: u64,
}

/// When the messages were stored that groups stand at.
struct StoreTimes<'a> {
    store: &'a Store,
    /// What was found the last time.
    known: HashMap<Place, (u64, i64)>,
    /// What is to be known the next time.
    found: HashMap<Place, (u64, i64)>,
    /// How many may still be looked up.
    room: usize,
}

impl StoreTimes<'_> {
    fn of(&mut self, reader: &Reader, queue: &Behind) -> Option<i64> {
        let place = (reader.topic.clone(), reader.group.clone(), queue.id);
        let time = match self.known.get(&place) {
            Some((at, time)) if *at == queue.offset => *time,
            _ => {
                self.room = self.room.checked_sub(1)?;
                let (topic, offset) = (reader.topic.as_str(), QueueOffset(queue.offset));
                self.store.store_time_of(topic, queue.id, offset).ok().flatten()?
            }
        };
        self.found.insert(place, (queue.offset, time));
        Some(time)
    }
}

fn disk(dir: &Path) -> Vec<(Figure, f64)> {
    let Ok(space) = DiskSpace::of(dir) else { return Vec::new() };
    vec![
        (Figure::DiskBytes, space.total as f64),
        (Figure::DiskFreeBytes, space.usable as f64),
        (Figure::DiskUsedRatio, space.used_ratio()),
    ]
}

/// 9009: what was reckoned last, for alerts. Without it being asked for by a node, nothing was.
pub(super) fn answer(broker: &Arc<Broker>, _: &Command, _: &Connection) -> Answer {
    let figures = broker.figures().map(|figures| to_body(&figures)).unwrap_or_default();
    let figures = Figures {
        now_ms: broker.clock.now_ms(),
        sends_alerts: broker.reckoned.sends_alerts.load(Ordering::Relaxed),
        disk_read_only_percent: broker.store.retention().disk_read_only_percent,
        ..figures
    };
    Ok(Command::response(response::SUCCESS).with_body(extension::to_bytes(&figures)))
}

fn to_body(figures: &BrokerFigures) -> Figures {
    let readers = figures.readers.iter().map(|one| ReaderRow {
        group: one.group.clone(),
        topic: one.topic.clone(),
        lag: one.lag,
        behind_ms: one.behind_ms,
    });
    let differ =
        figures.consumers.iter().filter_map(|one| Some((one.group.clone(), one.differ.clone()?)));
    let dead = figures.topics.iter().filter_map(|one| {
        let group = one.topic.strip_prefix(crate::model::DLQ_PREFIX)?;
        Some((group.to_owned(), one.next_offsets))
    });
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a float becomes the nearest number that there is"
    )]
    let whole = |figure, times: f64| {
        let found = figures.values.iter().find(|(one, _)| *one == figure);
        found.map_or(0, |(_, value)| (value * times) as u64)
    };
    Figures {
        at_ms: figures.at_ms,
        readers: readers.collect(),
        members: figures
            .consumers
            .iter()
            .map(|one| (one.group.clone(), one.members as u64))
            .collect(),
        differ: differ.collect(),
        dead_letters: dead.collect(),
        disk_bytes: whole(Figure::DiskBytes, 1.0),
        disk_free_bytes: whole(Figure::DiskFreeBytes, 1.0),
        disk_used_ppm: whole(Figure::DiskUsedRatio, 1e6),
        ..Figures::default()
    }
}

#[cfg(test)]
mod tests {
    use super::super::clients::tests::Peer;
    use super::super::tests_support::TestBroker;
    use super::*;
    use crate::model::TopicConfig;
    use crate::remoting::request;

    async fn reckoned(broker: &TestBroker) -> Arc<BrokerFigures> {
        let reckoning = Arc::clone(&broker.broker);
        crate::task::spawn_blocking("figures", move || reckoning.reckon(true, true)).await.unwrap();
        broker.broker.figures().unwrap()
    }

    /// Three messages in queue 0 of `T`, and a group that got one of them.
    async fn broker() -> TestBroker {
        let broker = TestBroker::new();
        let tables = broker.broker.store.tables();
        tables.topics.put(TopicConfig::new(TopicName::new("T"), 2));
        for body in ["1", "2", "3"] {
            broker.send("T", "", body).await;
        }
        tables.consumer_offsets.commit("T", "G", QueueId(0), 1);
        broker
    }

    #[tokio::test]
    async fn what_a_group_has_not_got_is_told_with_its_age() {
        let broker = broker().await;
        assert_eq!(broker.broker.figures(), None);
        broker.clock.advance(std::time::Duration::from_secs(5));
        let figures = reckoned(&broker).await;
        let topic = figures.topics.iter().find(|one| one.topic == "T").unwrap();
        assert_eq!((topic.messages_in, topic.next_offsets), (3, 3));
        let [reader] = &figures.readers[..] else { panic!("{:?}", figures.readers) };
        assert_eq!((reader.group.as_str(), reader.topic.as_str()), ("G", "T"));
        assert_eq!((reader.lag, reader.offsets, &reader.queues[..]), (2, 1, &[(0, 2)][..]));
        assert!(reader.behind_ms.is_some_and(|behind| behind >= 5000), "{reader:?}");
        let disk = figures.values.iter().find(|(figure, _)| *figure == Figure::DiskUsedRatio);
        assert!(disk.is_some_and(|(_, used)| (0.0..=1.0).contains(used)), "{disk:?}");
        // It has not moved: its message is not looked up again, and is older.
        broker.clock.advance(std::time::Duration::from_secs(5));
        let later = reckoned(&broker).await.readers[0].behind_ms;
        assert!(later.is_some_and(|behind| behind >= 10_000), "{later:?}");
        broker.broker.store.tables().consumer_offsets.commit("T", "G", QueueId(0), 3);
        let reader = &reckoned(&broker).await.readers[0];
        assert_eq!((reader.lag, reader.behind_ms, reader.queues.len()), (0, None, 0));
        let answer = broker.call(Command::request(request::EXTENSION_FIGURES)).await;
        let told: Figures = extension::parse(&answer.body).unwrap();
        assert_eq!((told.readers[0].group.as_str(), told.readers[0].lag), ("G", 0));
        assert!(
            told.sends_alerts && told.disk_bytes >= told.disk_free_bytes && told.disk_bytes > 0
        );
        assert!(told.at_ms > 0 && told.now_ms >= told.at_ms, "{told:?}");
    }

    #[tokio::test]
    async fn topics_and_positions_of_any_size_are_reckoned() {
        let broker = broker().await;
        let tables = broker.broker.store.tables();
        tables.topics.put(TopicConfig::new(TopicName::new("T"), u32::MAX));
        for queue in 0..3 {
            tables.consumer_offsets.commit("T", "G", QueueId(queue), i64::MAX);
        }
        let figures = reckoned(&broker).await;
        let topic = figures.topics.iter().find(|one| one.topic == "T").unwrap();
        assert_eq!((topic.next_offsets, figures.readers[0].offsets), (3, u64::MAX));
    }

    #[tokio::test]
    async fn members_that_subscribe_otherwise_are_named() {
        let broker = broker().await;
        let member = async |client: &str, tags: &str| {
            let body = format!(
                r#"{{"clientID":"{client}","consumerDataSet":[{{"groupName":"G","subscriptionDataSet":[{{"subString":"{tags}","topic":"T"}},{{"subString":"*","topic":"%RETRY%G"}}]}}]}}"#
            );
            let mut peer = Peer::connect(&broker.address).await;
            let heartbeat = Command::request(request::HEART_BEAT).with_body(body);
            let (_, answer) = peer.call(heartbeat).await;
            assert_eq!(answer.code, 0);
            peer
        };
        let _same = [member("a", "*").await, member("b", "*").await];
        let group = reckoned(&broker).await.consumers[0].clone();
        assert_eq!((group.group.as_str(), group.members, group.differ), ("G", 2, None));
        let _other = member("c", "x").await;
        let group = reckoned(&broker).await.consumers[0].clone();
        assert_eq!(group.differ.as_deref(), Some("c"));
        let answer = broker.call(Command::request(request::EXTENSION_FIGURES)).await;
        let told: Figures = extension::parse(&answer.body).unwrap();
        assert_eq!((told.members, told.differ.len()), (vec![("G".to_owned(), 3)], 1));
    }
}
