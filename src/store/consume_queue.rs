//! The consume queues: which records of the log are in which queue, at which position (ST-030 to ST-035).
//!
//! The newest entries are in memory, all others in the slices' pages, of which some that were read lately are kept. Not how
//! they get there: that is `derived`'s. Invariants: dispatching and asking for the next offset never touch the disk; a read that must
//! not block says so instead; nothing is computed from a slice that is condemned (a consumer would jump over
//! its backlog), the reader is told to come again.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use super::dispatch::Dispatch;
use super::light;
use super::queue_tail::{Pushed, QueueTail};
use super::schema::slices as schema;
pub use super::slice_rows::Entry;
use super::slice_rows::{Page, QueueKey, QueueState, decode_page, page_key};
use super::slices::Slices;
use super::tables::{Tables, TopicRow};
use crate::kv::Database;
use crate::model::{PhysicalOffset, QueueId, QueueOffset, TopicName};

/// How many pages are kept that were read lately, of 3 KiB each: who catches up asks for each of them several times.
const KEPT_PAGES_MAX: usize = 256;

/// A page that was read.
#[derive(Debug)]
struct KeptPage {
    queue: QueueKey,
    /// Which life of the queue it is of.
    life: u32,
    page: Arc<Page>,
}

/// Why a queue cannot be read now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// The disk would have to be read, and the caller must not block: ask again from a thread that may.
    #[error("the disk would have to be read")]
    WouldBlock,
    /// A part of the queues is being made again, or the disk fails: come again later.
    #[error("a part of the log or of its queues is not available now")]
    Unavailable,
}

/// One queue.
#[derive(Debug)]
pub(super) struct Queue {
    pub(super) key: QueueKey,
    tail: Mutex<QueueTail>,
    /// Whether the queue is listed for writing.
    is_listed: AtomicBool,
    /// Whether it is known since the start that the topic's row covers this queue.
    is_checked: AtomicBool,
}

impl Queue {
    fn new(key: QueueKey, tail: QueueTail, is_checked: bool) -> Self {
        let tail = Mutex::new(tail);
        let is_checked = AtomicBool::new(is_checked);
        Self { key, tail, is_listed: AtomicBool::new(false), is_checked }
    }

    pub(super) fn tail(&self) -> MutexGuard<'_, QueueTail> {
        self.tail.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug)]
struct TopicQueues {
    id: u32,
    floor: u64,
    queues: BTreeMap<QueueId, Arc<Queue>>,
}

/// All consume queues of a group.
#[derive(Debug)]
pub struct ConsumeQueues {
    tables: Arc<Tables>,
    slices: Arc<Slices>,
    topics: RwLock<HashMap<TopicName, TopicQueues>>,
    /// How many of them are light queues'.
    light_count: AtomicUsize,
    /// Queues with entries that are not written, or with written entries in memory.
    listed: Mutex<Vec<Arc<Queue>>>,
    /// What was read last is in front.
    kept_pages: Mutex<VecDeque<KeptPage>>,
    log_start: AtomicU64,
}

/// A queue as it was saved, with its topic's name.
pub(super) type SavedQueue = (TopicName, QueueKey, QueueState);

impl ConsumeQueues {
    pub(super) fn new(
        tables: Arc<Tables>,
        slices: Arc<Slices>,
        saved: Vec<SavedQueue>,
        checkpoint: u64,
        log_start: u64,
    ) -> Self {
        let rows: HashMap<TopicName, TopicRow> = tables.topics.rows().into_iter().collect();
        let mut topics: HashMap<TopicName, TopicQueues> = HashMap::new();
        for (name, key, state) in saved {
            let Some(row) = rows.get(&name).filter(|row| row.id == key.topic_id) else { continue };
            let topic = topics.entry(name).or_insert_with(|| TopicQueues {
                id: row.id,
                floor: row.floor.0,
                queues: BTreeMap::new(),
            });
            let queue = Queue::new(key, QueueTail::restored(state, checkpoint), false);
            topic.queues.insert(key.queue_id, Arc::new(queue));
        }
        let light_count = topics.keys().filter(|name| light::is_light(name.as_str())).count();
        Self {
            tables,
            slices,
            topics: RwLock::new(topics),
            light_count: AtomicUsize::new(light_count),
            listed: Mutex::default(),
            kept_pages: Mutex::default(),
            log_start: AtomicU64::new(log_start),
        }
    }

    fn queue(&self, topic: &str, queue_id: QueueId) -> Option<Arc<Queue>> {
        let topics = self.topics.read().unwrap_or_else(PoisonError::into_inner);
        topics.get(topic)?.queues.get(&queue_id).cloned()
    }

    /// The offset that the next record of a queue gets; 0 for a queue that was never written. Never blocks.
    #[must_use]
    pub fn next_offset(&self, topic: &str, queue_id: QueueId) -> QueueOffset {
        let topics = self.topics.read().unwrap_or_else(PoisonError::into_inner);
        let queue = topics.get(topic).and_then(|topic| topic.queues.get(&queue_id));
        QueueOffset(queue.map_or(0, |queue| queue.tail().state().next))
    }

    /// The next offsets of all of a topic's queues, summed up. Never blocks.
    #[must_use]
    pub fn next_offsets(&self, topic: &str) -> u64 {
        let topics = self.topics.read().unwrap_or_else(PoisonError::into_inner);
        let queues = topics.get(topic).into_iter().flat_map(|topic| topic.queues.values());
        queues.map(|queue| queue.tail().state().next).fold(0, u64::saturating_add)
    }

    /// The ids of a topic's queues that have or had records.
    #[must_use]
    pub fn queue_ids(&self, topic: &str) -> Vec<QueueId> {
        let topics = self.topics.read().unwrap_or_else(PoisonError::into_inner);
        topics.get(topic).map_or_else(Vec::new, |topic| topic.queues.keys().copied().collect())
    }

    /// Takes a record into its queue; what the queue has is left as it is. Never blocks.
    pub(super) fn dispatch(&self, dispatch: &Dispatch<'_>) {
        if !dispatch.in_queue {
            return;
        }
        let physical = dispatch.physical_offset.0;
        {
            let topics = self.topics.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(topic) = topics.get(dispatch.topic)
                && let Some(queue) = topic.queues.get(&dispatch.queue_id)
                && queue.is_checked.load(Ordering::Relaxed)
            {
                if physical >= topic.floor {
                    self.push(queue, dispatch);
                }
                return;
            }
        }
        let (topic, queue_id) = (dispatch.topic, dispatch.queue_id);
        // Before the row is read: its id is retired, if the queues are forgotten.
        let mut topics = self.topics.write().unwrap_or_else(PoisonError::into_inner);
        let row = self.tables.topics.row_for_record(topic, queue_id, dispatch.physical_offset);
        if physical < row.floor.0 {
            return;
        }
        let new = || {
            self.light_count.fetch_add(usize::from(light::is_light(topic)), Ordering::Relaxed);
            TopicQueues { id: row.id, floor: row.floor.0, queues: BTreeMap::new() }
        };
        let topic = topics.entry(TopicName::new(topic)).or_insert_with(new);
        let key = QueueKey { topic_id: topic.id, queue_id };
        let queue = topic
            .queues
            .entry(queue_id)
            .or_insert_with(|| Arc::new(Queue::new(key, QueueTail::default(), true)));
        queue.is_checked.store(true, Ordering::Relaxed);
        self.push(queue, dispatch);
    }

    fn push(&self, queue: &Arc<Queue>, dispatch: &Dispatch<'_>) {
        let slice = self.slices.number_of(dispatch.physical_offset.0);
        if queue.tail().push(dispatch, slice) == Pushed::Added
            && !queue.is_listed.swap(true, Ordering::AcqRel)
        {
            self.list(Arc::clone(queue));
        }
    }

    fn list(&self, queue: Arc<Queue>) {
        self.listed.lock().unwrap_or_else(PoisonError::into_inner).push(queue);
    }

    /// Takes the list of queues that have something in memory.
    pub(super) fn take_listed(&self) -> Vec<Arc<Queue>> {
        std::mem::take(&mut *self.listed.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts a queue back on the list; with `is_idle`, its entries are forgotten instead if all are written.
    pub(super) fn list_again(&self, queue: Arc<Queue>, is_idle: bool) {
        let mut tail = queue.tail();
        if is_idle && !tail.has_unwritten() {
            tail.forget_written();
            queue.is_listed.store(false, Ordering::Release);
            return;
        }
        drop(tail);
        self.list(queue);
    }

    /// Forgets a topic's queues: its records below `log_end` are of a deleted topic. To be called while no
    /// record is appended.
    pub(super) fn remove_topic(&self, topic: &str, log_end: PhysicalOffset) -> bool {
        let mut topics = self.topics.write().unwrap_or_else(PoisonError::into_inner);
        if topics.remove(topic).is_some() && light::is_light(topic) {
            self.light_count.fetch_sub(1, Ordering::Relaxed);
        }
        self.tables.topics.remove(topic, log_end)
    }

    /// All topics with id and floor, and all queues, for a slice that begins now.
    pub(super) fn snapshot(&self) -> Snapshot {
        // First, so that the ids are those of the queues.
        let topics = self.topics.read().unwrap_or_else(PoisonError::into_inner);
        let rows = self.tables.topics.rows();
        let ids = rows.into_iter().map(|(name, row)| (name, row.id, row.floor)).collect();
        let queues = topics.values().flat_map(|topic| topic.queues.values());
        let mut queues: Vec<_> = queues.map(|queue| (queue.key, queue.tail().state())).collect();
        queues.sort_unstable_by_key(|(key, _)| *key);
        Snapshot { topics: ids, queues }
    }

    /// Whether a queue was saved with records that the log did not give again.
    pub(super) fn lack_records(&self) -> bool {
        let topics = self.topics.read().unwrap_or_else(PoisonError::into_inner);
        topics.values().flat_map(|t| t.queues.values()).any(|queue| queue.tail().lacks_records())
    }

    /// How many light queues there are.
    #[must_use]
    pub fn light_count(&self) -> usize {
        self.light_count.load(Ordering::Relaxed)
    }

    /// Notes that the log begins at `log_start` now (ST-035). Light queues without messages are forgotten, as there may
    /// be one for each client that ever was: as in 4.9.4 they begin at 0 again. What slices and kept pages have of them is
    /// of a retired id then.
    pub(super) fn expire_below(&self, log_start: u64) {
        if self.log_start.fetch_max(log_start, Ordering::AcqRel) >= log_start {
            return;
        }
        let is_empty = |queue: &Arc<Queue>| {
            let tail = queue.tail();
            tail.state().last_end <= log_start && !tail.has_unwritten()
        };
        let mut topics = self.topics.write().unwrap_or_else(PoisonError::into_inner);
        topics.retain(|name, topic| {
            let is_over = light::is_light(name.as_str())
                && topic.queues.values().all(is_empty)
                && self.tables.topics.get(name.as_str()).is_none();
            if is_over {
                self.light_count.fetch_sub(1, Ordering::Relaxed);
                self.tables.topics.forget_queues(name, PhysicalOffset(log_start));
            }
            !is_over
        });
    }

    /// A queue's first offset and the one behind its last; both 0 for an unknown queue (S-20). The first is
    /// that of the first record at or above the log's start, else the next offset.
    ///
    /// # Errors
    /// [`ReadError`]
    pub fn range(
        &self,
        topic: &str,
        queue_id: QueueId,
        may_block: bool,
    ) -> Result<(QueueOffset, QueueOffset), ReadError> {
        let Some(queue) = self.queue(topic, queue_id) else { return Ok(Default::default()) };
        let (first, next) = self.range_of(&queue, may_block)?;
        Ok((QueueOffset(first), QueueOffset(next)))
    }

    fn range_of(&self, queue: &Queue, may_block: bool) -> Result<(u64, u64), ReadError> {
        let log_start = self.log_start.load(Ordering::Acquire);
        let (state, life, memory_from) = {
            let tail = queue.tail();
            (tail.state(), tail.life(), tail.memory_from())
        };
        let QueueState { next, last_end, first_offset, first_physical, .. } = state;
        if next == first_offset || first_physical >= log_start {
            return Ok((first_offset, next));
        }
        if last_end <= log_start {
            return Ok((next, next));
        }
        // The first entry at or above the log's start is in memory, in the slice that the start is in, or else
        // it is the first one of the slice after it.
        let in_memory = queue.tail().read(memory_from, 1).and_then(|found| found.first().copied());
        let is_above = |entry: &Entry| entry.physical_offset.0 >= log_start;
        let (low, high) = if in_memory.is_some_and(|entry| !is_above(&entry)) {
            (memory_from, next)
        } else if may_block {
            let (low, high) = self.slice_range(queue, state, self.slices.number_of(log_start))?;
            (low.max(first_offset), high.min(memory_from))
        } else {
            return Err(ReadError::WouldBlock);
        };
        let (mut low, mut high) = (low.min(high), high);
        while low < high {
            let middle = low + (high - low) / 2;
            let found = self.read(queue, middle, 1, may_block)?;
            if found.first().is_none_or(is_above) { high = middle } else { low = middle + 1 }
        }
        let found = self.read(queue, low, 1, may_block)?;
        if let Some(first) = found.first() {
            queue.tail().set_first(life, low, first.physical_offset.0);
        }
        Ok((low, next))
    }

    /// The queue offsets of a slice's entries: from, and to without. If there is no such slice, from and to are
    /// the first offset of the next one.
    fn slice_range(
        &self,
        queue: &Queue,
        state: QueueState,
        number: u64,
    ) -> Result<(u64, u64), ReadError> {
        let numbers = self.slices.numbers();
        let at = numbers.partition_point(|other| *other < number);
        let begin = |index: usize| match numbers.get(index) {
            Some(number) => self.at_begin(queue, state, *number),
            None => Ok(state.next),
        };
        let from = begin(at)?;
        let to = if numbers.get(at) == Some(&number) { begin(at + 1)? } else { from };
        Ok((from, to.max(from)))
    }

    /// A queue's next offset when a slice began.
    fn at_begin(&self, queue: &Queue, state: QueueState, number: u64) -> Result<u64, ReadError> {
        let at_begin = self.slices.queue_at_begin(number, queue.key, state.floor)?;
        Ok(at_begin.next.min(state.next))
    }

    /// Entries from `from` on: at least one and at most `count_max`, none from the queue's end on. Where
    /// records were lost or expired there are holes.
    ///
    /// # Errors
    /// [`ReadError`]
    pub fn entries(
        &self,
        topic: &str,
        queue_id: QueueId,
        from: QueueOffset,
        count_max: usize,
        may_block: bool,
    ) -> Result<Vec<Entry>, ReadError> {
        let Some(queue) = self.queue(topic, queue_id) else { return Ok(Vec::new()) };
        self.read(&queue, from.0, count_max, may_block)
    }

    fn read(
        &self,
        queue: &Queue,
        from: u64,
        count_max: usize,
        may_block: bool,
    ) -> Result<Vec<Entry>, ReadError> {
        let mut found: Vec<Entry> = Vec::new();
        while found.len() < count_max {
            let at = from + found.len() as u64;
            let left = count_max - found.len();
            let (state, life, memory_from) = {
                let tail = queue.tail();
                if let Some(mut newest) = tail.read(at, left) {
                    found.append(&mut newest);
                    return Ok(found);
                }
                (tail.state(), tail.life(), tail.memory_from())
            };
            if at < state.first_offset {
                let gone = usize::try_from(state.first_offset - at).unwrap_or(usize::MAX);
                let hole = Entry::hole(PhysicalOffset(state.first_physical));
                found.extend(std::iter::repeat_n(hole, gone.min(left)));
                continue;
            }
            let on_disk = usize::try_from(memory_from - at).unwrap_or(usize::MAX);
            let page = match self.page(queue, state, life, at, may_block) {
                Ok(page) => page,
                Err(_) if !found.is_empty() => return Ok(found),
                Err(error) => return Err(error),
            };
            let entries = page.from(at).unwrap_or_default();
            found.extend_from_slice(&entries[..entries.len().min(left).min(on_disk)]);
        }
        Ok(found)
    }

    /// The page that has a queue offset, which is not in memory: a kept one, or else one from the disk.
    fn page(
        &self,
        queue: &Queue,
        state: QueueState,
        life: u32,
        at: u64,
        may_block: bool,
    ) -> Result<Arc<Page>, ReadError> {
        if let Some(kept) = self.kept_page(queue.key, life, at) {
            return Ok(kept);
        }
        if !may_block {
            return Err(ReadError::WouldBlock);
        }
        let page = Arc::new(self.read_page(queue, state, life, at)?);
        let first = page.from(at).and_then(<[Entry]>::first);
        // What is gone may come back when its slice is made again.
        if first.is_some_and(|entry| !entry.is_hole()) {
            self.keep(KeptPage { queue: queue.key, life, page: Arc::clone(&page) });
        }
        Ok(page)
    }

    /// A page with a queue offset that was read before.
    fn kept_page(&self, queue: QueueKey, life: u32, at: u64) -> Option<Arc<Page>> {
        let mut kept = self.kept_pages.lock().unwrap_or_else(PoisonError::into_inner);
        let has =
            |one: &KeptPage| (one.queue, one.life) == (queue, life) && one.page.from(at).is_some();
        let found = kept.iter().position(has).and_then(|index| kept.remove(index))?;
        let page = Arc::clone(&found.page);
        kept.push_front(found);
        Some(page)
    }

    fn keep(&self, page: KeptPage) {
        let mut kept = self.kept_pages.lock().unwrap_or_else(PoisonError::into_inner);
        kept.truncate(KEPT_PAGES_MAX - 1);
        kept.push_front(page);
    }

    /// As if nothing had been read yet.
    #[cfg(test)]
    pub(super) fn forget_kept_pages(&self) {
        self.kept_pages.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// The page on the disk that has a queue offset, which is not in memory. Blocks.
    fn read_page(
        &self,
        queue: &Queue,
        state: QueueState,
        life: u32,
        at: u64,
    ) -> Result<Page, ReadError> {
        let Some(number) = self.slice_of(queue, state, at)? else {
            return Ok(hole_page(at, state.first_physical));
        };
        let (page_number, _) = Page::place(at);
        let key = page_key(queue.key, page_number);
        let database = self.slices.database(number)?;
        let value = database
            .get(schema::PAGES, &key)
            .map_err(|error| self.slices.failed(number, &error))?;
        let page = value.as_deref().and_then(|value| decode_page(&key, value));
        let is_damaged = value.is_some() && page.is_none();
        if let Some(page) = page.filter(|page| page.from(at).is_some()) {
            return Ok(page);
        }
        if queue.tail().life() != life {
            return Err(ReadError::Unavailable);
        }
        if !is_damaged && self.slices.start_of(number) < self.log_start.load(Ordering::Acquire) {
            // The slice was rebuilt when a part of its log had expired.
            return Ok(hole_page(at, state.first_physical));
        }
        if self.slices.is_given_up(number) {
            tracing::error!(slice = number, queue = ?queue.key, offset = at, "a queue entry is lost");
            return Ok(hole_page(at, state.first_physical));
        }
        self.slices.condemn(number, "a page is missing or damaged");
        Err(ReadError::Unavailable)
    }

    /// The slice that has a queue offset; `None` if it is in one that expired.
    fn slice_of(
        &self,
        queue: &Queue,
        state: QueueState,
        at: u64,
    ) -> Result<Option<u64>, ReadError> {
        let numbers = self.slices.numbers();
        let (mut low, mut high) = (0, numbers.len());
        while low < high {
            let middle = low + (high - low) / 2;
            if self.at_begin(queue, state, numbers[middle])? <= at {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Ok(low.checked_sub(1).map(|index| numbers[index]))
    }

    /// Where to look for the entry nearest to a time (B-306): offsets from, and to without. All entries
    /// before are older than the time, all behind are newer.
    ///
    /// # Errors
    /// [`ReadError`]
    pub fn range_around(
        &self,
        topic: &str,
        queue_id: QueueId,
        time: i64,
        may_block: bool,
    ) -> Result<(QueueOffset, QueueOffset), ReadError> {
        let Some(queue) = self.queue(topic, queue_id) else { return Ok(Default::default()) };
        let (first, next) = self.range_of(&queue, may_block)?;
        let (state, memory_from, times) = {
            let tail = queue.tail();
            (tail.state(), tail.memory_from(), tail.page_times())
        };
        let newer = times.partition_point(|(_, page_time)| *page_time < time);
        if newer > 0 {
            let from = times[newer - 1].0.max(first);
            let to = times.get(newer).map_or(next, |(start, _)| *start);
            return Ok((QueueOffset(from), QueueOffset((to + 1).min(next))));
        }
        if first >= memory_from {
            return Ok((QueueOffset(first), QueueOffset((first + 1).min(next))));
        }
        if !may_block {
            return Err(ReadError::WouldBlock);
        }
        let (low, high) = self.slice_around(&queue, state, time)?;
        let (mut low, mut high) = (low.max(first), high.min(memory_from).max(first));
        // Narrowed to the pages around the time by the store times that pages begin with.
        while Page::place(low).0 + 1 < Page::place(high).0 {
            let middle = low + (high - low) / 2;
            let middle = (middle - middle % u64::from(schema::PAGE_ENTRIES)).max(low + 1);
            let (state, life) = {
                let tail = queue.tail();
                (tail.state(), tail.life())
            };
            let page = self.read_page(&queue, state, life, middle)?;
            if page.first_store_time < time { low = page.start() } else { high = page.start() }
        }
        let low = low.saturating_sub(1).max(first);
        Ok((QueueOffset(low), QueueOffset((high + 1).min(next))))
    }

    /// The offsets of the slice in which a time lies.
    fn slice_around(
        &self,
        queue: &Queue,
        state: QueueState,
        time: i64,
    ) -> Result<(u64, u64), ReadError> {
        let numbers = self.slices.numbers();
        let (mut low, mut high) = (0, numbers.len());
        while low < high {
            let middle = low + (high - low) / 2;
            if self.slices.begin(numbers[middle])?.start_time() < time {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        match numbers.get(low.saturating_sub(1)) {
            Some(number) => self.slice_range(queue, state, *number),
            None => Ok((state.first_offset, state.next)),
        }
    }
}

/// What a new slice's `begin` file says of topics and queues.
#[derive(Debug, Default)]
pub(super) struct Snapshot {
    pub(super) topics: Vec<(TopicName, u32, PhysicalOffset)>,
    pub(super) queues: Vec<(QueueKey, QueueState)>,
}

/// Stands for one entry that is gone.
fn hole_page(at: u64, physical: u64) -> Page {
    let (number, first_slot) = Page::place(at);
    let entries = vec![Entry::hole(PhysicalOffset(physical))];
    Page { number, first_slot, first_store_time: 0, entries }
}
