//! The small tables of a broker: topics, groups, consumer offsets, delay offsets; and their saving.
//!
//! | file | what |
//! | --- | --- |
//! | `topics`, `groups` | their configurations |
//! | `consumer_offsets`, `delay_offsets` | how far groups and delay levels are |
//! | `rows` | the tables in the database |
//! | `export` | the tables as 4.9.4's files |
//!
//! Everything is in memory; `tables/` (a sled database) and `export/` (4.9.4's JSON files, a mirror) are
//! written behind. A mirror is written whole, so that many changes one after another share one
//! ([`Tables::commit_configs`]): else each costs more the more topics there are. Not the log's business: who calls says when. Invariants: positions are saved only
//! after the log that they point to ([`Tables::note_positions`] before its flush, [`Tables::save_positions`]
//! after); `tables/` can be thrown away, then `export/` is read, and what that lacks is in the log or in
//! the newest slice's `begin`.

mod consumer_offsets;
mod delay_offsets;
pub mod export;
mod groups;
mod rows;
mod topics;

pub use consumer_offsets::{ConsumerOffsets, Position, PositionKey};
pub use delay_offsets::DelayOffsets;
pub use groups::Groups;
pub use topics::{StartTopics, TopicHook, TopicRow, Topics};

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::clock::Clock;
use crate::files;
use crate::kv::{self, Batch, Database, KvError, OpenError, SledDatabase};
use crate::store::schema::tables as schema;

use export::{CONSUMER_OFFSETS_FILE, DELAY_OFFSETS_FILE, GROUPS_FILE, ImportError, TOPICS_FILE};

/// How many changes are made at once.
const BATCH_ROWS: usize = 1000;
/// How soon after another the mirror of topics and groups is written when only [`Tables::commit_configs`] asks.
const MIRROR_PERIOD: Duration = Duration::from_secs(1);

/// Where a table's content came from at the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// From the database.
    Database,
    /// The database was missing or damaged: from the exported files, as far as there are any. Topic ids are
    /// then new ones until `Topics::restore_ids`.
    Export,
}

/// The tables of a group.
#[derive(Debug)]
pub struct Tables {
    /// Topics.
    pub topics: Topics,
    /// Consumer groups.
    pub groups: Groups,
    /// How far the groups are.
    pub consumer_offsets: ConsumerOffsets,
    /// How far delayed delivery is.
    pub delay_offsets: DelayOffsets,
    /// Held while saving: one saves at a time.
    saving: Mutex<Saving>,
    export_dir: PathBuf,
    clock: Clock,
}

/// Where the tables are saved, and what of it is in the database only.
#[derive(Debug)]
struct Saving {
    database: Box<dyn Database>,
    /// Topics were saved since they were exported.
    stale_topics: bool,
    /// Groups were saved since they were exported.
    stale_groups: bool,
    /// When topics or groups were exported last, or when that was tried.
    mirrored_at: Option<Instant>,
}

/// Positions as they were at a moment, to be saved when the log is on the disk up to there.
#[derive(Debug)]
pub struct NotedPositions {
    consumer_offsets: Vec<(PositionKey, Position)>,
    delay_offsets: Option<BTreeMap<i32, i64>>,
}

impl NotedPositions {
    /// Whether nothing changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.consumer_offsets.is_empty() && self.delay_offsets.is_none()
    }
}

impl Tables {
    /// Opens the tables in a group's folder; what cannot be opened, or was not saved up to the checkpoint, is set
    /// aside and made again from the exported files. `identity` says whose they are.
    ///
    /// # Errors
    /// What the system says; nothing is thrown away because of it.
    pub fn open(
        group_dir: &Path,
        identity: &str,
        clock: &Clock,
        checkpoint: Option<u64>,
    ) -> io::Result<(Self, Source)> {
        let (dir, export_dir) = (group_dir.join("tables"), group_dir.join("export"));
        fs::create_dir_all(&export_dir)?;
        match SledDatabase::open(&dir, identity.as_bytes()) {
            Ok(database) => {
                let tables = Self::new(Box::new(database), export_dir.clone(), clock);
                match tables.load() {
                    // sled goes back silently to what it had before something damaged.
                    Ok(saved_to) if saved_to < checkpoint => {
                        tracing::error!(
                            saved_to,
                            checkpoint,
                            "the tables lost what was saved and are made again"
                        );
                    }
                    Ok(_) => {
                        tables.doubt_mirror();
                        return Ok((tables, Source::Database));
                    }
                    Err(KvError::Io(error)) => return Err(error),
                    Err(error) => tracing::error!(%error, "the tables are made again"),
                }
            }
            Err(OpenError::Io(error)) => return Err(error),
            Err(OpenError::Missing) => {}
            Err(error @ OpenError::Condemned(_)) => {
                tracing::error!(%error, dir = %dir.display(), "the tables are made again");
            }
        }
        kv::set_aside(&dir)?;
        let database = SledDatabase::create(&dir, identity.as_bytes())?;
        let tables = Self::new(Box::new(database), export_dir, clock);
        tables.import()?;
        Ok((tables, Source::Export))
    }

    /// Tables over any database, empty but for what is there from the start.
    #[must_use]
    pub fn new(database: Box<dyn Database>, export_dir: PathBuf, clock: &Clock) -> Self {
        Self {
            topics: Topics::new(clock.clone()),
            groups: Groups::new(clock.clone()),
            consumer_offsets: ConsumerOffsets::default(),
            delay_offsets: DelayOffsets::default(),
            saving: Mutex::new(Saving {
                database,
                stale_topics: false,
                stale_groups: false,
                mirrored_at: None,
            }),
            export_dir,
            clock: clock.clone(),
        }
    }

    /// Whoever wrote the mirror may have ended before its last changes were in it.
    fn doubt_mirror(&self) {
        let mut saving = self.saving();
        (saving.stale_topics, saving.stale_groups) = (true, true);
    }

    fn saving(&self) -> MutexGuard<'_, Saving> {
        self.saving.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Saves topics and groups that changed, and exports their tables. Blocks.
    ///
    /// # Errors
    /// What the database or the system says; what was not saved is tried again the next time.
    pub fn save_configs(&self) -> Result<(), KvError> {
        let saving = &mut *self.saving();
        self.save_changes(saving)?;
        self.mirror(saving)
    }

    /// As [`Self::save_configs`], but exports only if that was not done within the last second; who calls sees to it
    /// that it is called again after [`Self::mirror_wait`]. Blocks.
    ///
    /// # Errors
    /// As there.
    pub fn commit_configs(&self) -> Result<(), KvError> {
        let saving = &mut *self.saving();
        self.save_changes(saving)?;
        if self.wait_of(saving).is_some_and(|wait| wait.is_zero()) {
            self.mirror(saving)?;
        }
        Ok(())
    }

    /// How long until what [`Self::commit_configs`] left out is exported; `None` if it left out nothing.
    #[must_use]
    pub fn mirror_wait(&self) -> Option<Duration> {
        self.wait_of(&self.saving())
    }

    fn wait_of(&self, saving: &Saving) -> Option<Duration> {
        let is_stale = saving.stale_topics || saving.stale_groups;
        let since =
            saving.mirrored_at.map(|at| self.clock.monotonic().saturating_duration_since(at));
        let wait = since.map_or(Duration::ZERO, |since| MIRROR_PERIOD.saturating_sub(since));
        is_stale.then_some(wait)
    }

    /// Saves what changed in the database. Positions that were deleted go before: a topic's successor must not be
    /// found with them.
    fn save_changes(&self, saving: &mut Saving) -> Result<(), KvError> {
        let database = &*saving.database;
        let deleted = self.consumer_offsets.take_unsaved_deletions();
        let saved = self.save_consumer_offsets(database, deleted.iter());
        saved.inspect_err(|_| self.consumer_offsets.not_saved(&deleted))?;
        if let Some(unsaved) = self.topics.take_unsaved() {
            let saved = save_topics(database, &unsaved);
            saved.inspect_err(|_| self.topics.not_saved(&unsaved))?;
            saving.stale_topics = true;
        }
        if let Some(unsaved) = self.groups.take_unsaved() {
            let saved = save_groups(database, &unsaved);
            saved.inspect_err(|_| self.groups.not_saved(&unsaved))?;
            saving.stale_groups = true;
        }
        Ok(())
    }

    /// Exports topics and groups if they were saved since.
    fn mirror(&self, saving: &mut Saving) -> Result<(), KvError> {
        if saving.stale_topics || saving.stale_groups {
            saving.mirrored_at = Some(self.clock.monotonic());
        }
        if saving.stale_topics {
            let (version, topics) = self.topics.snapshot();
            self.export(TOPICS_FILE, &export::topics_text(version, &topics))?;
            saving.stale_topics = false;
        }
        if saving.stale_groups {
            let (version, groups) = self.groups.snapshot();
            self.export(GROUPS_FILE, &export::groups_text(version, &groups))?;
            saving.stale_groups = false;
        }
        Ok(())
    }

    /// The positions that changed since they were noted last. They are saved by [`Self::save_positions`],
    /// after the log was flushed.
    #[must_use]
    pub fn note_positions(&self) -> NotedPositions {
        NotedPositions {
            consumer_offsets: self.consumer_offsets.take_unsaved(),
            delay_offsets: self.delay_offsets.take_unsaved(),
        }
    }

    /// Saves noted positions and exports their tables; `log_end` is where the log ended when they were noted. Blocks.
    ///
    /// # Errors
    /// What the database or the system says; what was not saved is noted again the next time.
    pub fn save_positions(&self, noted: &NotedPositions, log_end: u64) -> Result<(), KvError> {
        self.try_save_positions(noted, log_end).inspect_err(|_| self.positions_not_saved(noted))
    }

    /// Puts back positions that were noted and cannot be saved now: they are noted again the next time.
    pub fn positions_not_saved(&self, noted: &NotedPositions) {
        self.consumer_offsets.not_saved(&noted.consumer_offsets);
        if noted.delay_offsets.is_some() {
            self.delay_offsets.not_saved();
        }
    }

    fn try_save_positions(&self, noted: &NotedPositions, log_end: u64) -> Result<(), KvError> {
        let database = &*self.saving().database;
        let NotedPositions { consumer_offsets, delay_offsets } = noted;
        for (level, offset) in delay_offsets.iter().flatten() {
            let mut row = Batch::default();
            row.insert(level.to_be_bytes(), offset.to_be_bytes());
            database.apply(schema::DELAY_OFFSETS, row)?;
        }
        let positions =
            consumer_offsets.iter().filter(|noted| self.consumer_offsets.is_current(noted));
        self.save_consumer_offsets(database, positions)?;
        let mut mark = Batch::default();
        mark.insert(schema::SAVED_TO, log_end.to_be_bytes());
        database.apply(schema::META, mark)?;
        database.flush()?;
        if let Some(offsets) = delay_offsets {
            self.export(DELAY_OFFSETS_FILE, &export::delay_offsets_text(offsets))?;
        }
        Ok(())
    }

    fn save_consumer_offsets<'a>(
        &self,
        database: &dyn Database,
        positions: impl Iterator<Item = &'a (PositionKey, Position)>,
    ) -> Result<(), KvError> {
        let mut positions = positions.peekable();
        if positions.peek().is_none() {
            return Ok(());
        }
        let rows = positions.map(|(key, position)| {
            (rows::position_key(key), Some(rows::position_value(*position)))
        });
        apply(database, schema::CONSUMER_OFFSETS, rows)?;
        database.flush()?;
        // The mirror is what is in the database now, not what was committed since it was noted.
        let mut table = rows::load_positions(database)?;
        table.retain(|(_, position)| position.offset.is_some());
        let text = export::consumer_offsets_text(&export_table(table));
        self.export(CONSUMER_OFFSETS_FILE, &text)
    }

    fn export(&self, name: &str, text: &str) -> Result<(), KvError> {
        Ok(files::replace(&self.export_dir.join(name), text)?)
    }

    /// Fills the tables; returns up to where the log was when they were saved.
    fn load(&self) -> Result<Option<u64>, KvError> {
        let database = &*self.saving().database;
        let topics = rows::load_topics(database)?;
        let next_id = match database.get(schema::META, schema::NEXT_TOPIC_ID)? {
            Some(value) => rows::parse_u32(&value)?,
            None => 0,
        };
        let version = rows::load_version(database, schema::TOPICS_VERSION)?;
        self.topics.load(topics, version, next_id);
        let version = rows::load_version(database, schema::GROUPS_VERSION)?;
        self.groups.load(rows::load_groups(database)?, version);
        self.consumer_offsets.load(rows::load_positions(database)?);
        self.delay_offsets.load(rows::load_delay_offsets(database)?);
        let saved_to = database.get(schema::META, schema::SAVED_TO)?;
        Ok(saved_to.and_then(|mark| mark.try_into().ok()).map(u64::from_be_bytes))
    }

    /// Reads what the exported files have; everything read is saved again the next time.
    fn import(&self) -> io::Result<()> {
        let dir = &self.export_dir;
        if let Some((version, topics)) = read_export(dir, TOPICS_FILE, export::parse_topics)? {
            self.topics.replace_all(version, topics);
        }
        if let Some((version, groups)) = read_export(dir, GROUPS_FILE, export::parse_groups)? {
            self.groups.replace_all(version, groups);
        }
        let offsets = read_export(dir, CONSUMER_OFFSETS_FILE, export::parse_consumer_offsets)?;
        for ((topic, group), queues) in offsets.into_iter().flatten() {
            for (queue_id, offset) in queues {
                self.consumer_offsets.commit(topic.as_str(), group.as_str(), queue_id, offset);
            }
        }
        if let Some(offsets) = read_export(dir, DELAY_OFFSETS_FILE, export::parse_delay_offsets)? {
            self.delay_offsets.replace_all(offsets);
        }
        Ok(())
    }
}

fn save_topics(database: &dyn Database, unsaved: &topics::UnsavedTopics) -> Result<(), KvError> {
    let rows = unsaved.rows.iter();
    let rows = rows.map(|(name, row)| (name.as_str().into(), Some(rows::topic_value(row))));
    apply(database, schema::TOPICS, rows)?;
    let mut meta = Batch::default();
    meta.insert(schema::TOPICS_VERSION, rows::version_value(unsaved.version));
    meta.insert(schema::NEXT_TOPIC_ID, unsaved.next_id.to_be_bytes());
    database.apply(schema::META, meta)?;
    database.flush()
}

fn save_groups(database: &dyn Database, unsaved: &groups::UnsavedGroups) -> Result<(), KvError> {
    let rows = unsaved
        .rows
        .iter()
        .map(|(name, config)| (name.as_str().into(), config.as_deref().map(rows::group_value)));
    apply(database, schema::GROUPS, rows)?;
    let mut meta = Batch::default();
    meta.insert(schema::GROUPS_VERSION, rows::version_value(unsaved.version));
    database.apply(schema::META, meta)?;
    database.flush()
}

fn export_table(positions: Vec<(PositionKey, Position)>) -> export::ConsumerOffsetTable {
    let mut table = export::ConsumerOffsetTable::new();
    for (key, position) in positions {
        if let Some(offset) = position.offset {
            table.entry((key.topic, key.group)).or_default().insert(key.queue_id, offset);
        }
    }
    table
}

/// Makes changes to a tree, not too many at once.
fn apply(
    database: &dyn Database,
    tree: &'static str,
    rows: impl Iterator<Item = (Vec<u8>, Option<Vec<u8>>)>,
) -> Result<(), KvError> {
    let mut batch = Batch::default();
    for (key, value) in rows {
        match value {
            Some(value) => batch.insert(key, value),
            None => batch.remove(key),
        }
        if batch.len() == BATCH_ROWS {
            database.apply(tree, std::mem::take(&mut batch))?;
        }
    }
    if batch.is_empty() { Ok(()) } else { database.apply(tree, batch) }
}

/// What an exported file says; `None` if there is none, or if it cannot be used.
fn read_export<T>(
    dir: &Path,
    name: &str,
    parse: impl Fn(&str) -> Result<T, ImportError>,
) -> io::Result<Option<T>> {
    let text = match fs::read_to_string(dir.join(name)) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    match parse(&text) {
        Ok(table) => Ok(Some(table)),
        Err(error) => {
            tracing::error!(name, %error, "an exported table cannot be used");
            Ok(None)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{GroupName, PhysicalOffset, QueueId, SubscriptionGroupConfig};
    use crate::model::{TopicConfig, TopicName};

    fn open(dir: &Path) -> (Tables, Source) {
        Tables::open(dir, "broker-a", &Clock::system(), None).unwrap()
    }

    fn fill(tables: &Tables) {
        tables.topics.ensure_start_topics(&StartTopics::new("C", "broker-a"));
        tables.topics.put(TopicConfig { order: true, ..TopicConfig::new(TopicName::new("T"), 5) });
        tables.topics.put(TopicConfig::new(TopicName::new("gone"), 5));
        tables.topics.remove("gone", PhysicalOffset(77));
        let mut group = SubscriptionGroupConfig::new(GroupName::new("G"));
        group.retry_max_times = 3;
        tables.groups.put(group);
        tables.consumer_offsets.commit("T", "G", QueueId(1), 9);
        tables.consumer_offsets.commit("T", "G", QueueId(1), 5);
        tables.consumer_offsets.commit("T", "H", QueueId(0), -1);
        tables.consumer_offsets.remove_group("H");
        tables.delay_offsets.set(3, 2);
        tables.save_configs().unwrap();
        let noted = tables.note_positions();
        tables.save_positions(&noted, 0).unwrap();
    }

    #[test]
    fn many_changes_share_a_mirror() {
        let dir = tempfile::tempdir().unwrap();
        let clock = Clock::system();
        let (tables, _) = Tables::open(dir.path(), "broker-a", &clock, None).unwrap();
        let put = |name| {
            tables.topics.put(TopicConfig::new(TopicName::new(name), 1));
            tables.groups.put(SubscriptionGroupConfig::new(GroupName::new(name)));
            tables.commit_configs().unwrap();
        };
        let mirrored = |name: &str| {
            let has = |file| {
                let text = fs::read_to_string(dir.path().join("export").join(file)).unwrap();
                text.contains(&format!("{name:?}"))
            };
            (has(TOPICS_FILE), has(GROUPS_FILE))
        };
        put("first");
        assert_eq!((mirrored("first"), tables.mirror_wait()), ((true, true), None));
        // As if the mirror were written this instant: no time passes between the two.
        tables.saving().mirrored_at = Some(clock.monotonic() + Duration::from_secs(3600));
        put("second");
        assert_eq!(
            (mirrored("second"), tables.mirror_wait()),
            ((false, false), Some(MIRROR_PERIOD))
        );
        let saved = rows::load_topics(&*tables.saving().database).unwrap();
        assert!(saved.iter().any(|(name, _)| name.as_str() == "second"), "{saved:?}");
        clock.advance(Duration::from_secs(3600) + MIRROR_PERIOD);
        assert_eq!(tables.mirror_wait(), Some(Duration::ZERO));
        tables.commit_configs().unwrap();
        assert_eq!((mirrored("second"), tables.mirror_wait()), ((true, true), None));
        tables.saving().mirrored_at = Some(clock.monotonic() + Duration::from_secs(3600));
        put("third");
        tables.save_configs().unwrap();
        assert_eq!((mirrored("third"), tables.mirror_wait()), ((true, true), None), "at once");
        tables.saving().mirrored_at = Some(clock.monotonic() + Duration::from_secs(3600));
        put("fourth");
        // As after a kill: nobody saves everything once more.
        drop(tables);
        let (tables, _) = Tables::open(dir.path(), "broker-a", &clock, None).unwrap();
        assert_eq!(mirrored("fourth"), (false, false));
        tables.save_configs().unwrap();
        assert_eq!((mirrored("fourth"), tables.mirror_wait()), ((true, true), None));
    }

    #[test]
    fn a_position_that_is_deleted_while_it_is_being_saved_stays_deleted() {
        let dir = tempfile::tempdir().unwrap();
        let (tables, _) = open(dir.path());
        tables.consumer_offsets.commit("T", "G", QueueId(0), 5);
        tables.consumer_offsets.commit("T", "G", QueueId(1), 6);
        let noted = tables.note_positions();
        tables.consumer_offsets.remove_topic("T");
        tables.save_configs().unwrap();
        tables.consumer_offsets.commit("T", "G", QueueId(1), 1);
        tables.save_positions(&noted, 9).unwrap();
        let saved = |dir| {
            let (tables, _) = open(dir);
            [QueueId(0), QueueId(1)].map(|queue| tables.consumer_offsets.query("T", "G", queue))
        };
        drop(tables);
        assert_eq!(saved(dir.path()), [None, None], "6 was before the deletion");
    }

    #[test]
    fn tables_that_were_not_saved_up_to_the_checkpoint_are_made_again() {
        let dir = tempfile::tempdir().unwrap();
        let (tables, _) = open(dir.path());
        tables.save_configs().unwrap();
        tables.save_positions(&tables.note_positions(), 100).unwrap();
        drop(tables);
        for (checkpoint, expected) in [(100, Source::Database), (101, Source::Export)] {
            let opened = Tables::open(dir.path(), "broker-a", &Clock::system(), Some(checkpoint));
            assert_eq!(opened.unwrap().1, expected);
        }
    }

    #[test]
    fn everything_is_there_after_reopening() {
        let dir = tempfile::tempdir().unwrap();
        let (tables, source) = open(dir.path());
        assert_eq!(source, Source::Export);
        fill(&tables);
        let (topics, groups) = (tables.topics.rows(), tables.groups.snapshot());
        let (version, positions) = (tables.topics.version(), tables.consumer_offsets.positions());
        drop(tables);
        let (tables, source) = open(dir.path());
        assert_eq!((source, tables.topics.rows()), (Source::Database, topics));
        assert_eq!((tables.topics.version(), tables.groups.snapshot()), (version, groups));
        assert_eq!(tables.consumer_offsets.positions(), positions);
        assert_eq!(tables.delay_offsets.get(3), Some(2));
        // The retired id is not used again.
        tables.topics.put(TopicConfig::new(TopicName::new("new"), 1));
        let mut ids: Vec<u32> = tables.topics.rows().iter().map(|(_, row)| row.id).collect();
        let count = ids.len();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), count);
    }

    #[test]
    fn a_lost_or_damaged_database_is_made_again_from_the_exports() {
        let dir = tempfile::tempdir().unwrap();
        let (tables, _) = open(dir.path());
        fill(&tables);
        let (version, topics) = tables.topics.snapshot();
        drop(tables);
        fs::write(dir.path().join("tables/db"), b"").unwrap();
        for _ in 0..2 {
            let (tables, source) = open(dir.path());
            assert_eq!(source, Source::Export);
            assert_eq!(tables.topics.snapshot(), (version, topics.clone()));
            assert_eq!(tables.groups.get("G").unwrap().retry_max_times, 3);
            assert_eq!(tables.consumer_offsets.query("T", "G", QueueId(1)), Some(5));
            assert_eq!(tables.consumer_offsets.query("T", "H", QueueId(0)), None);
            assert_eq!(tables.delay_offsets.get(3), Some(2));
            drop(tables);
            fs::remove_dir_all(dir.path().join("tables")).unwrap();
        }
        assert!(dir.path().join("tables.damaged").exists());
    }

    #[test]
    fn a_damaged_export_is_as_none() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("export")).unwrap();
        fs::write(dir.path().join("export/topics.json"), b"{\"topicConfigTable\"").unwrap();
        let (tables, source) = open(dir.path());
        assert_eq!((source, tables.topics.count()), (Source::Export, 0));
    }

    #[test]
    fn positions_committed_after_they_were_noted_are_not_saved_with_them() {
        let dir = tempfile::tempdir().unwrap();
        let (tables, _) = open(dir.path());
        tables.consumer_offsets.commit("T", "G", QueueId(0), 1);
        let noted = tables.note_positions();
        tables.consumer_offsets.commit("T", "G", QueueId(0), 2);
        tables.save_positions(&noted, 0).unwrap();
        let text = fs::read_to_string(dir.path().join("export/consumerOffset.json")).unwrap();
        assert!(text.contains("\"T@G\":{0:1}"), "{text}");
        drop(tables);
        let (tables, _) = open(dir.path());
        assert_eq!(tables.consumer_offsets.query("T", "G", QueueId(0)), Some(1));
    }
}
