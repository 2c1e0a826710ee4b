//! The topics of a broker: configurations, ids and floors (B-050 to B-062).
//!
//! Not the rules of auto-creation (B-055 to B-058): they are the broker's. Invariants: an id is never
//! used again, so that pages of a deleted topic are never taken for those of its successor; a row stays
//! when its topic is deleted, because its floor says which records of the log are of the deleted one.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::clock::Clock;
use crate::model::{
    DataVersion, Permission, PhysicalOffset, QueueId, TopicConfig, TopicName, system,
};
use crate::store::light::is_light;

/// What is called after a topic changed. It may be called while the log is held: it only signals.
pub type TopicHook = Box<dyn Fn(&TopicName) + Send + Sync>;

/// What is known of a topic's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicRow {
    /// What its pages are filed under.
    pub id: u32,
    /// Records of this topic below it belong to a deleted topic of the same name.
    pub floor: PhysicalOffset,
    /// Its configuration; `None` if it was deleted, or never had one (B-051).
    pub config: Option<Arc<TopicConfig>>,
    /// Whether the configuration was lost and guessed from records: more queues are added as they are seen.
    pub is_guessed: bool,
}

/// What decides which topics exist from the start (B-050).
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a setting of 4.9.4")]
pub struct StartTopics {
    /// The cluster's name, which is a topic too.
    pub cluster: String,
    /// The group's name (4.x `brokerName`), which is a topic too.
    pub broker_name: String,
    /// Queues of the template topic.
    pub default_topic_queues: u32,
    /// `autoCreateTopicEnable`
    pub auto_create_topic: bool,
    /// `clusterTopicEnable`
    pub cluster_topic: bool,
    /// `brokerTopicEnable`
    pub broker_topic: bool,
    /// `traceTopicEnable`
    pub trace_topic: bool,
}

impl StartTopics {
    /// 4.9.4's defaults.
    #[must_use]
    pub fn new(cluster: &str, broker_name: &str) -> Self {
        Self {
            cluster: cluster.to_owned(),
            broker_name: broker_name.to_owned(),
            default_topic_queues: 8,
            auto_create_topic: true,
            cluster_topic: true,
            broker_topic: true,
            trace_topic: false,
        }
    }

    fn configs(&self) -> Vec<TopicConfig> {
        let topic = |name: &str, queues, permission| TopicConfig {
            permission,
            ..TopicConfig::new(TopicName::new(name), queues)
        };
        let template = |enabled| if enabled { Permission::ALL } else { Permission::INHERIT };
        let usual = Permission::READ_WRITE;
        let mut configs = vec![
            topic(system::SELF_TEST_TOPIC, 1, usual),
            topic(system::BENCHMARK_TOPIC, 1024, usual),
            topic(&self.cluster, 16, template(self.cluster_topic)),
            topic(&self.broker_name, 1, template(self.broker_topic)),
            topic(system::OFFSET_MOVED_TOPIC, 1, usual),
            topic(system::SCHEDULE_TOPIC, 18, usual),
            topic(&format!("{}_REPLY_TOPIC", self.cluster), 1, usual),
        ];
        if self.auto_create_topic {
            let queues = self.default_topic_queues;
            configs.push(topic(system::AUTO_CREATE_TOPIC, queues, Permission::ALL));
        }
        if self.trace_topic {
            configs.push(topic(system::TRACE_TOPIC, 1, usual));
        }
        configs
    }
}

/// Whether a topic is 4.9.4's own whatever the cluster is called (B-052).
fn is_system_topic(name: &str) -> bool {
    system::TOPICS.contains(&name) || name.starts_with(system::TOPIC_PREFIX)
}

#[derive(Debug, Default)]
struct State {
    rows: BTreeMap<TopicName, TopicRow>,
    version: DataVersion,
    next_id: u32,
    /// Rows that were not saved since they changed.
    unsaved: BTreeSet<TopicName>,
    /// Rows with a configuration: asked whenever a client wants a topic.
    configured: usize,
    /// Rows of light queues' names: whoever sends may make as many as he likes.
    light: usize,
}

impl State {
    /// Gives a row a configuration, or takes it.
    fn configure(
        &mut self,
        name: &TopicName,
        config: Option<Arc<TopicConfig>>,
        is_guessed: bool,
    ) -> &mut TopicRow {
        self.configured += usize::from(config.is_some());
        let row = self.rows.get(name);
        self.configured -= usize::from(row.is_some_and(|row| row.config.is_some()));
        let row = self.row(name);
        row.config = config;
        row.is_guessed = is_guessed;
        row
    }

    /// Gives a row another id: what is filed under the old one, and its records below `floor`, are never again taken for
    /// those of the name.
    fn retire_id(&mut self, name: &TopicName, floor: PhysicalOffset) {
        let id = self.next_id;
        self.next_id += 1;
        let row = self.row(name);
        (row.id, row.floor) = (id, row.floor.max(floor));
    }

    fn row(&mut self, name: &TopicName) -> &mut TopicRow {
        let Self { rows, next_id, unsaved, light, .. } = self;
        unsaved.insert(name.clone());
        rows.entry(name.clone()).or_insert_with(|| {
            let id = *next_id;
            *next_id += 1;
            *light += usize::from(is_light(name.as_str()));
            TopicRow { id, floor: PhysicalOffset(0), config: None, is_guessed: false }
        })
    }
}

/// The topic table; its methods never block on the disk.
pub struct Topics {
    state: RwLock<State>,
    hooks: RwLock<Vec<TopicHook>>,
    clock: Clock,
}

impl fmt::Debug for Topics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Topics").field("state", &self.state).finish_non_exhaustive()
    }
}

/// The rows that changed, and what is saved with them.
#[derive(Debug)]
pub(super) struct UnsavedTopics {
    pub(super) rows: Vec<(TopicName, TopicRow)>,
    pub(super) version: DataVersion,
    pub(super) next_id: u32,
}

impl Topics {
    /// An empty table.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        Self { state: RwLock::default(), hooks: RwLock::default(), clock }
    }

    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds what is called after each change of a topic's configuration.
    pub fn add_hook(&self, hook: TopicHook) {
        self.hooks.write().unwrap_or_else(PoisonError::into_inner).push(hook);
    }

    fn tell(&self, name: &TopicName) {
        for hook in &*self.hooks.read().unwrap_or_else(PoisonError::into_inner) {
            hook(name);
        }
    }

    /// A topic's configuration.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Arc<TopicConfig>> {
        self.read().rows.get(name)?.config.clone()
    }

    /// How many topics have a configuration.
    #[must_use]
    pub fn count(&self) -> usize {
        self.read().configured
    }

    /// How many names are remembered, those of deleted topics too, which keep their floors; not those of light queues,
    /// which stay when their messages are gone, and would leave no room for topics one day.
    #[must_use]
    pub fn names_count(&self) -> usize {
        let state = self.read();
        state.rows.len() - state.light
    }

    /// The table's version (B-060).
    #[must_use]
    pub fn version(&self) -> DataVersion {
        self.read().version
    }

    /// All configurations, by name, with the version that they are.
    #[must_use]
    pub fn snapshot(&self) -> (DataVersion, Vec<Arc<TopicConfig>>) {
        let state = self.read();
        (state.version, state.rows.values().filter_map(|row| row.config.clone()).collect())
    }

    /// Creates or replaces a topic's configuration; returns the table's new version.
    pub fn put(&self, config: TopicConfig) -> DataVersion {
        let name = config.name.clone();
        let version = {
            let mut state = self.write();
            state.configure(&name, Some(Arc::new(config)), false);
            state.version = state.version.next(self.clock.now_ms());
            state.version
        };
        self.tell(&name);
        version
    }

    /// Gives the table a new version and its configurations a new place, so that they are all told again.
    pub fn renew(&self) {
        let mut state = self.write();
        for config in state.rows.values_mut().filter_map(|row| row.config.as_mut()) {
            *config = Arc::new(TopicConfig::clone(config));
        }
        state.version = state.version.next(self.clock.now_ms());
    }

    /// Creates a topic unless it exists; returns its configuration, and whether it is new.
    pub fn put_if_absent(&self, config: TopicConfig) -> (Arc<TopicConfig>, bool) {
        let name = config.name.clone();
        let created = {
            let mut state = self.write();
            if let Some(existing) = state.rows.get(&name).and_then(|row| row.config.as_ref()) {
                return (Arc::clone(existing), false);
            }
            let created = Arc::new(config);
            state.configure(&name, Some(Arc::clone(&created)), false);
            state.version = state.version.next(self.clock.now_ms());
            created
        };
        self.tell(&name);
        (created, true)
    }

    /// Says whether a topic is ordered; returns whether that is new. A topic that is not there is not made.
    pub fn set_order(&self, name: &TopicName, order: bool) -> bool {
        {
            let mut state = self.write();
            let config = state.rows.get(name).and_then(|row| row.config.as_ref());
            let Some(config) = config.filter(|config| config.order != order) else { return false };
            let config = TopicConfig { order, ..TopicConfig::clone(config) };
            state.row(name).config = Some(Arc::new(config));
            state.version = state.version.next(self.clock.now_ms());
        }
        self.tell(name);
        true
    }

    /// Whether a topic was deleted after the record there was written, and not made again. A topic whose configuration
    /// was lost is none of these: its floor is below its records.
    #[must_use]
    pub fn is_deleted_since(&self, name: &str, record: PhysicalOffset) -> bool {
        let state = self.read();
        let row = state.rows.get(name);
        row.is_some_and(|row| row.config.is_none() && record < row.floor)
    }

    /// Creates the topics that exist from the start, where they are not there; the version stays (B-050).
    pub fn ensure_start_topics(&self, start: &StartTopics) {
        let mut state = self.write();
        for config in start.configs() {
            let is_absent = state.rows.get(&config.name).is_none_or(|row| row.config.is_none());
            if is_absent {
                let name = config.name.clone();
                state.configure(&name, Some(Arc::new(config)), false);
            }
        }
    }

    /// Deletes a topic: its records below `log_end` are never again taken for a topic of this name, and its
    /// id is retired. Returns whether it had a configuration (B-062, S-46).
    pub fn remove(&self, name: &str, log_end: PhysicalOffset) -> bool {
        let name = TopicName::new(name);
        let was_there = {
            let mut state = self.write();
            let Some(row) = state.rows.get(&name) else { return false };
            let was_there = row.config.is_some();
            state.configure(&name, None, false);
            state.retire_id(&name, log_end);
            state.version = state.version.next(self.clock.now_ms());
            was_there
        };
        self.tell(&name);
        was_there
    }

    /// Retires the id of a name without configuration whose queues are forgotten, as all of its records are below
    /// `log_start`.
    pub(in crate::store) fn forget_queues(&self, name: &TopicName, log_start: PhysicalOffset) {
        self.write().retire_id(name, log_start);
    }

    /// Takes over another broker's table: topics it does not have lose their configuration, ids and floors stay.
    pub fn replace_all(&self, version: DataVersion, configs: Vec<TopicConfig>) {
        let mut changed = Vec::new();
        {
            let mut state = self.write();
            let mut left: BTreeSet<TopicName> = state
                .rows
                .iter()
                .filter_map(|(name, row)| row.config.as_ref().map(|_| name.clone()))
                .collect();
            for config in configs {
                let name = config.name.clone();
                left.remove(&name);
                let is_same = state
                    .rows
                    .get(&name)
                    .is_some_and(|row| row.config.as_deref() == Some(&config) && !row.is_guessed);
                if !is_same {
                    state.configure(&name, Some(Arc::new(config)), false);
                    changed.push(name);
                }
            }
            for name in left {
                state.configure(&name, None, false);
                changed.push(name);
            }
            state.version = version;
        }
        for name in &changed {
            self.tell(name);
        }
    }

    /// What the queues need to know of a record's topic; a row is made for an unknown one. A topic that is not
    /// 4.9.4's own and has no configuration has lost it: one is guessed.
    pub(in crate::store) fn row_for_record(
        &self,
        name: &str,
        queue_id: QueueId,
        at: PhysicalOffset,
    ) -> TopicRow {
        if let Some(row) = self.read().rows.get(name)
            && (is_known(name, row, queue_id) || at < row.floor)
        {
            return row.clone();
        }
        let name = TopicName::new(name);
        let row = {
            let mut state = self.write();
            let row = state.row(&name);
            if !is_known(name.as_str(), row, queue_id) && at >= row.floor {
                tracing::warn!(topic = name.as_str(), queue = %queue_id, "a record of a topic without configuration: one is made");
                let queues = queue_id.0.saturating_add(1);
                let queues = row.config.as_ref().map_or(queues, |c| c.write_queues.max(queues));
                let config = Arc::new(TopicConfig::new(name.clone(), queues));
                let row = state.configure(&name, Some(config), true).clone();
                state.version = state.version.next(self.clock.now_ms());
                row
            } else {
                return row.clone();
            }
        };
        self.tell(&name);
        row
    }

    /// Lowers floors above the log's end, which it lost: what is appended there is of no deleted topic. Returns
    /// whether there were any: they are to be saved before anything is appended.
    pub(in crate::store) fn lower_floors(&self, log_end: PhysicalOffset) -> bool {
        let mut state = self.write();
        let is_above = |(_, row): &(&TopicName, &TopicRow)| row.floor > log_end;
        let names: Vec<_> =
            state.rows.iter().filter(is_above).map(|(name, _)| name.clone()).collect();
        for name in &names {
            state.row(name).floor = log_end;
        }
        !names.is_empty()
    }

    /// All names with their rows.
    pub(in crate::store) fn rows(&self) -> Vec<(TopicName, TopicRow)> {
        self.read().rows.iter().map(|(name, row)| (name.clone(), row.clone())).collect()
    }

    /// Takes over ids and floors that were written down elsewhere, where this table lost them.
    pub(in crate::store) fn restore_ids(&self, ids: &[(TopicName, u32, PhysicalOffset)]) {
        let mut state = self.write();
        let next_id = ids.iter().map(|(_, id, _)| id + 1).max().unwrap_or(0);
        let taken: BTreeSet<u32> = ids.iter().map(|(_, id, _)| *id).collect();
        state.next_id = state.next_id.max(next_id);
        for (name, id, floor) in ids {
            let row = state.row(name);
            (row.id, row.floor) = (*id, row.floor.max(*floor));
        }
        // What else has one of these ids gets a new one.
        let named: BTreeSet<&TopicName> = ids.iter().map(|(name, ..)| name).collect();
        let others: Vec<TopicName> = state
            .rows
            .iter()
            .filter(|(name, row)| !named.contains(name) && taken.contains(&row.id))
            .map(|(name, _)| name.clone())
            .collect();
        for name in others {
            let id = state.next_id;
            state.next_id += 1;
            state.row(&name).id = id;
        }
    }

    /// Fills an empty table with what was saved.
    pub(super) fn load(
        &self,
        rows: Vec<(TopicName, TopicRow)>,
        version: DataVersion,
        next_id: u32,
    ) {
        let mut state = self.write();
        let next_id = rows.iter().map(|(_, row)| row.id + 1).max().unwrap_or(0).max(next_id);
        let rows: BTreeMap<_, _> = rows.into_iter().collect();
        let configured = rows.values().filter(|row| row.config.is_some()).count();
        let light = rows.keys().filter(|name| is_light(name.as_str())).count();
        *state = State { rows, version, next_id, unsaved: BTreeSet::new(), configured, light };
    }

    /// What changed since the last call; `None` if nothing did.
    pub(super) fn take_unsaved(&self) -> Option<UnsavedTopics> {
        let mut state = self.write();
        if state.unsaved.is_empty() {
            return None;
        }
        let names = std::mem::take(&mut state.unsaved);
        let rows = names.into_iter().filter_map(|name| {
            let row = state.rows.get(&name)?.clone();
            Some((name, row))
        });
        Some(UnsavedTopics { rows: rows.collect(), version: state.version, next_id: state.next_id })
    }

    /// Puts back what could not be saved.
    pub(super) fn not_saved(&self, unsaved: &UnsavedTopics) {
        self.write().unsaved.extend(unsaved.rows.iter().map(|(name, _)| name.clone()));
    }
}

/// Whether nothing has to be guessed for a record of this queue.
fn is_known(name: &str, row: &TopicRow, queue_id: QueueId) -> bool {
    match &row.config {
        Some(config) => !row.is_guessed || queue_id.0 < config.write_queues,
        None => is_system_topic(name) || is_light(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    fn topics() -> Topics {
        Topics::new(Clock::system())
    }

    fn config(name: &str, queues: u32) -> TopicConfig {
        TopicConfig::new(TopicName::new(name), queues)
    }

    #[test]
    fn the_start_topics_are_those_of_b050() {
        let topics = topics();
        topics.put(config("broker-a", 3));
        let version = topics.version();
        topics.ensure_start_topics(&StartTopics::new("C", "broker-a"));
        assert_eq!(topics.version(), version);
        let found: Vec<(String, u32, u32)> = topics
            .snapshot()
            .1
            .iter()
            .map(|c| (c.name.to_string(), c.write_queues, c.permission.0))
            .collect();
        let expected = [
            ("BenchmarkTest", 1024, 6),
            ("C", 16, 7),
            ("C_REPLY_TOPIC", 1, 6),
            ("OFFSET_MOVED_EVENT", 1, 6),
            ("SCHEDULE_TOPIC_XXXX", 18, 6),
            ("SELF_TEST_TOPIC", 1, 6),
            ("TBW102", 8, 7),
            ("broker-a", 3, 6),
        ];
        assert_eq!(found, expected.map(|(name, queues, perm)| (name.to_owned(), queues, perm)));
        let none = StartTopics {
            auto_create_topic: false,
            cluster_topic: false,
            trace_topic: true,
            ..StartTopics::new("C", "b")
        };
        let names: Vec<_> =
            none.configs().iter().map(|c| (c.name.to_string(), c.permission.0)).collect();
        assert!(
            names.contains(&("C".to_owned(), 1))
                && names.contains(&("RMQ_SYS_TRACE_TOPIC".to_owned(), 6))
        );
        assert!(!names.iter().any(|(name, _)| name == "TBW102"));
    }

    #[test]
    fn every_change_raises_the_version_and_is_told_b060() {
        let topics = topics();
        let told = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&told);
        topics.add_hook(Box::new(move |name| seen.lock().unwrap().push(name.to_string())));
        assert_eq!(topics.put(config("A", 1)).counter, 1);
        assert!(topics.put_if_absent(config("B", 2)).1);
        let (existing, is_new) = topics.put_if_absent(config("A", 9));
        assert_eq!((existing.write_queues, is_new), (1, false));
        assert_eq!(topics.version().counter, 2);
        assert!(topics.remove("A", PhysicalOffset(10)));
        assert!(!topics.remove("A", PhysicalOffset(20)));
        assert!(!topics.remove("never there", PhysicalOffset(20)));
        assert_eq!((topics.get("A"), topics.count()), (None, 1));
        assert_eq!(*told.lock().unwrap(), ["A", "B", "A", "A"]);
    }

    #[test]
    fn an_order_flag_changes_nothing_else_and_makes_no_topic() {
        let topics = topics();
        topics.put(config("A", 1));
        let name = TopicName::new("A");
        assert!(topics.set_order(&name, true) && !topics.set_order(&name, true));
        assert_eq!(*topics.get("A").unwrap(), TopicConfig { order: true, ..config("A", 1) });
        assert_eq!(topics.version().counter, 2);
        let is_deleted = |name, at| topics.is_deleted_since(name, PhysicalOffset(at));
        assert!(!is_deleted("A", 9) && !is_deleted("never there", 9));
        topics.remove("A", PhysicalOffset(10));
        assert!(!topics.set_order(&name, true));
        assert_eq!((topics.get("A"), is_deleted("A", 9), is_deleted("A", 10)), (None, true, false));
    }

    #[test]
    fn topics_with_a_configuration_are_counted_through_every_change() {
        let topics = topics();
        let counted =
            |topics: &Topics| topics.rows().iter().filter(|(_, r)| r.config.is_some()).count();
        let before = topics.count();
        topics.put(config("A", 1));
        topics.put(config("A", 2));
        topics.put_if_absent(config("A", 3));
        topics.put_if_absent(config("B", 3));
        let _ = topics.row_for_record("guessed", QueueId(1), PhysicalOffset(0));
        assert_eq!(topics.count(), before + 3);
        topics.remove("A", PhysicalOffset(1));
        topics.remove("A", PhysicalOffset(2));
        topics.remove("never", PhysicalOffset(2));
        assert_eq!((topics.count(), topics.count()), (before + 2, counted(&topics)));
        assert_eq!(topics.names_count(), topics.count() + 1, "A keeps its floor");
        topics.replace_all(
            DataVersion { timestamp: 1, counter: 1 },
            vec![config("A", 1), config("C", 1)],
        );
        assert_eq!((topics.count(), counted(&topics)), (2, 2));
        let again = Topics::new(Clock::system());
        again.load(topics.rows(), topics.version(), 9);
        assert_eq!(again.count(), 2);
    }

    #[test]
    fn light_queues_that_ever_were_are_no_names_that_are_counted() {
        let topics = topics();
        topics.put(config("A", 1));
        for number in 0..21 {
            let name = TopicName::new(&format!("%LMQ%{number}"));
            topics.row_for_record(name.as_str(), QueueId(0), PhysicalOffset(0));
            topics.forget_queues(&name, PhysicalOffset(9));
        }
        assert_eq!((topics.names_count(), topics.rows().len()), (1, 22));
        let again = Topics::new(Clock::system());
        again.load(topics.rows(), topics.version(), 99);
        assert_eq!(again.names_count(), 1);
    }

    #[test]
    fn a_topic_made_again_has_a_new_id_and_the_floor_of_its_deletion() {
        let topics = topics();
        topics.put(config("A", 1));
        topics.put(config("B", 1));
        let old = topics.row_for_record("A", QueueId(0), PhysicalOffset(0)).id;
        topics.remove("A", PhysicalOffset(500));
        topics.put(config("A", 1));
        let row = topics.row_for_record("A", QueueId(0), PhysicalOffset(499));
        assert_eq!(row.floor, PhysicalOffset(500));
        assert_ne!(row.id, old);
        let ids: BTreeSet<u32> = topics.rows().iter().map(|(_, row)| row.id).collect();
        assert_eq!(ids.len(), 2);
    }

    #[test]
    fn a_lost_configuration_is_guessed_from_records_above_the_floor_only() {
        let topics = topics();
        topics.put(config("gone", 4));
        topics.remove("gone", PhysicalOffset(100));
        assert_eq!(topics.row_for_record("gone", QueueId(3), PhysicalOffset(99)).config, None);
        for (queue, queues) in [(2, 3), (5, 6), (1, 6)] {
            let row = topics.row_for_record("lost", QueueId(queue), PhysicalOffset(0));
            let config = row.config.unwrap();
            assert_eq!((config.write_queues, config.read_queues), (queues, queues));
            assert_eq!(config.permission, Permission::READ_WRITE);
        }
        // What is set by hand is not guessed at any more, and system topics never are (B-051).
        topics.put(config("lost", 2));
        let row = topics.row_for_record("lost", QueueId(7), PhysicalOffset(0));
        assert_eq!(row.config.unwrap().write_queues, 2);
        let row = topics.row_for_record(system::OP_HALF_TOPIC, QueueId(0), PhysicalOffset(0));
        assert_eq!(row.config, None);
    }

    #[test]
    fn another_table_is_taken_over_but_ids_and_floors_stay() {
        let topics = topics();
        topics.put(config("A", 1));
        topics.put(config("B", 1));
        let before = topics.rows();
        let version = DataVersion { timestamp: 9, counter: 40 };
        topics.replace_all(version, vec![config("B", 5), config("C", 1)]);
        assert_eq!((topics.version(), topics.get("A")), (version, None));
        assert_eq!(topics.get("B").unwrap().write_queues, 5);
        let after = topics.rows();
        assert_eq!((after[0].1.id, after[1].1.id), (before[0].1.id, before[1].1.id));
    }

    #[test]
    fn lost_ids_are_restored_and_never_shared() {
        let topics = topics();
        for name in ["A", "B", "C"] {
            topics.put(config(name, 1));
        }
        let ids = [
            (TopicName::new("A"), 2, PhysicalOffset(7)),
            (TopicName::new("D"), 9, PhysicalOffset(0)),
        ];
        topics.restore_ids(&ids);
        let rows: BTreeMap<_, _> = topics.rows().into_iter().collect();
        assert_eq!((rows["A"].id, rows["A"].floor, rows["D"].id), (2, PhysicalOffset(7), 9));
        let distinct: BTreeSet<u32> = rows.values().map(|row| row.id).collect();
        assert_eq!(distinct.len(), 4);
        topics.put(config("E", 1));
        let distinct: BTreeSet<u32> = topics.rows().iter().map(|(_, row)| row.id).collect();
        assert_eq!(distinct.len(), 5);
    }
}
