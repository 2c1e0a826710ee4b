//! The slices of a group: one sled database per 8 GiB of log, with a `begin` and a `keys` file each.
//!
//! Not what is in them. The newest slice is written, older ones are sealed: opened when someone reads them, a
//! few at a time, closed when idle. Invariants: a slice's database is opened once at a time; a condemned one is
//! not read again until it is rebuilt; what leaves is deleted when its last reader has left.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, Weak};
use std::time::{Duration, Instant};

use super::consume_queue::ReadError;
use super::schema::slices as schema;
use super::slice_begin::{Begin, BeginContent};
use super::slice_keys::{self, KeyFilter};
use super::slice_rows::{
    KeyEntry, QueueKey, QueueState, decode_chunk, decode_run_info, parse_run_key,
};
use crate::clock::Clock;
use crate::kv::{Database, KvError, OpenError, SledDatabase};

/// How many sealed slices are open at once, about: as many groups may lag in different ones before each read costs an
/// opening. One takes some 6 MB, and 20 MB when it is read much.
pub(super) const OPEN_MAX: usize = 8;
/// How long a sealed slice stays open that no one reads.
const IDLE: Duration = Duration::from_secs(30);
/// After how many rows read or written a database is closed and opened again, which takes some 10 ms: sled keeps
/// about the last 16 000 pages that it looked at, whatever its cache's size.
const USES_MAX: usize = 1000;
/// How often a slice is rebuilt before what it lacks is taken for lost.
const REBUILDS_MAX: u32 = 2;

/// Where slices are, and how large.
#[derive(Clone, Debug)]
pub struct SliceOptions {
    /// The folder `slices`.
    pub dir: PathBuf,
    /// Bytes of log that a slice covers.
    pub slice_bytes: u64,
    /// Whose slices they are: the group's name.
    pub identity: String,
}

#[derive(Debug)]
struct Handle {
    open: Option<Arc<SledDatabase>>,
    /// Readers may still hold what is not open any more.
    left: Weak<SledDatabase>,
    last_used: Instant,
    /// Rows read and written since it was opened.
    uses: usize,
}

impl Handle {
    /// Closes a database that was used so much that it holds much memory, unless someone reads it.
    fn close_if_worn(&mut self) {
        if self.uses >= USES_MAX && self.left.strong_count() == 1 {
            self.open = None;
        }
        if self.open.is_none() {
            self.uses = 0;
        }
    }
}

/// One slice.
#[derive(Debug)]
pub(super) struct Slice {
    number: u64,
    begin: RwLock<Option<Arc<Begin>>>,
    handle: Mutex<Handle>,
    is_condemned: AtomicBool,
    rebuilds: AtomicU32,
}

#[derive(Debug, Default)]
struct State {
    slices: BTreeMap<u64, Arc<Slice>>,
    /// Slices that are below the log's minimum and that readers may still hold.
    leaving: Vec<(u64, Weak<SledDatabase>)>,
}

/// All slices of a group.
#[derive(Debug)]
pub(super) struct Slices {
    options: SliceOptions,
    clock: Clock,
    state: Mutex<State>,
}

impl Slices {
    /// Finds the slices that are there, without opening a database, and removes what deletions and rebuilds left.
    pub(super) fn open(options: SliceOptions, clock: &Clock) -> io::Result<Self> {
        fs::create_dir_all(&options.dir)?;
        let slices = Self { options, clock: clock.clone(), state: Mutex::default() };
        let mut numbers = Vec::new();
        for entry in fs::read_dir(&slices.options.dir)? {
            let path = entry?.path();
            let Some(name) = path.file_name().map(|name| name.to_string_lossy().into_owned())
            else {
                continue;
            };
            let (stem, extension) = name.split_once('.').unwrap_or((&name, ""));
            match (stem.parse::<u64>(), extension) {
                (Ok(start), "" | "begin") if start.is_multiple_of(slices.options.slice_bytes) => {
                    numbers.push(start / slices.options.slice_bytes);
                }
                (Ok(_), "deleting" | "rebuilding") => fs::remove_dir_all(&path)?,
                (Ok(_), "begin.tmp" | "keys.tmp" | "keys-new") => fs::remove_file(&path)?,
                _ => {}
            }
        }
        for number in numbers {
            slices.add(number)?;
        }
        Ok(slices)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a slice whose files may be there or not; what is not there is to be rebuilt.
    pub(super) fn add(&self, number: u64) -> io::Result<()> {
        let begin = match Begin::open(&self.path(number, "begin"), number) {
            Ok(begin) => Some(Arc::new(begin)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                tracing::error!(slice = number, %error, "a slice's begin file is made again");
                None
            }
            Err(error) => return Err(error),
        };
        let is_condemned = begin.is_none() || !self.path(number, "").join("db").is_file();
        let slice = Slice {
            number,
            begin: RwLock::new(begin),
            handle: Mutex::new(Handle {
                open: None,
                left: Weak::new(),
                last_used: self.clock.monotonic(),
                uses: 0,
            }),
            is_condemned: AtomicBool::new(is_condemned),
            rebuilds: AtomicU32::new(0),
        };
        self.lock().slices.entry(number).or_insert_with(|| Arc::new(slice));
        Ok(())
    }

    /// The path of a slice's database (extension "") or of one of its files.
    pub(super) fn path(&self, number: u64, extension: &str) -> PathBuf {
        let start = number.saturating_mul(self.options.slice_bytes);
        let dot = if extension.is_empty() { "" } else { "." };
        self.options.dir.join(format!("{start:020}{dot}{extension}"))
    }

    /// The slice that a record belongs to: where it begins counts.
    pub(super) fn number_of(&self, physical_offset: u64) -> u64 {
        physical_offset / self.options.slice_bytes
    }

    /// Where a slice begins in the log.
    pub(super) fn start_of(&self, number: u64) -> u64 {
        number.saturating_mul(self.options.slice_bytes)
    }

    /// The numbers of all slices, ascending.
    pub(super) fn numbers(&self) -> Vec<u64> {
        self.lock().slices.keys().copied().collect()
    }

    /// How many slices there are, and how many of their databases are open.
    pub(super) fn counts(&self) -> (usize, usize) {
        let state = self.lock();
        // Whoever holds one's handle opens it or reads it.
        let is_open = |slice: &&Arc<Slice>| {
            slice.handle.try_lock().map_or(true, |handle| handle.open.is_some())
        };
        (state.slices.len(), state.slices.values().filter(is_open).count())
    }

    fn get(&self, number: u64) -> Option<Arc<Slice>> {
        self.lock().slices.get(&number).cloned()
    }

    /// A slice's `begin` file.
    pub(super) fn begin(&self, number: u64) -> Result<Arc<Begin>, ReadError> {
        let slice = self.get(number).ok_or(ReadError::Unavailable)?;
        let begin = slice.begin.read().unwrap_or_else(PoisonError::into_inner).clone();
        begin.ok_or(ReadError::Unavailable)
    }

    /// How far a queue was when a slice began; nothing if the queue was not there, or began anew later.
    pub(super) fn queue_at_begin(
        &self,
        number: u64,
        queue: QueueKey,
        floor: u64,
    ) -> Result<QueueState, ReadError> {
        if self.start_of(number) < floor {
            return Ok(QueueState::default());
        }
        let found = self.begin(number)?.queue(queue).map_err(|error| {
            tracing::error!(slice = number, %error, "a slice's begin file cannot be read");
            ReadError::Unavailable
        })?;
        Ok(found.unwrap_or_default())
    }

    /// Makes a new slice: first its `begin` file, then an empty database. What was there of it is removed.
    pub(super) fn create(&self, content: &BeginContent) -> Result<Arc<SledDatabase>, KvError> {
        let number = content.slice;
        self.remove_files(number, true)?;
        content.write(&self.path(number, "begin"))?;
        self.create_database(number)
    }

    /// Makes a slice's database anew; its `begin` file stays.
    pub(super) fn create_database(&self, number: u64) -> Result<Arc<SledDatabase>, KvError> {
        self.remove_files(number, false)?;
        let database = SledDatabase::create(&self.path(number, ""), &self.identity(number));
        let database = Arc::new(database.map_err(into_kv_error)?);
        self.lock().slices.remove(&number);
        self.add(number)?;
        if let Some(slice) = self.get(number) {
            let mut handle = slice.handle.lock().unwrap_or_else(PoisonError::into_inner);
            handle.open = Some(Arc::clone(&database));
            handle.left = Arc::downgrade(&database);
        }
        Ok(database)
    }

    /// Whose database it is, and from which offset on.
    pub(super) fn identity(&self, number: u64) -> Vec<u8> {
        format!("{} {}", self.options.identity, self.start_of(number)).into_bytes()
    }

    fn remove_files(&self, number: u64, with_begin: bool) -> io::Result<()> {
        let dir = self.path(number, "");
        if dir.exists() {
            let aside = self.path(number, "deleting");
            if aside.exists() {
                fs::remove_dir_all(&aside)?;
            }
            fs::rename(&dir, &aside)?;
            fs::remove_dir_all(&aside)?;
        }
        let begin = with_begin.then_some("begin");
        for extension in ["keys"].into_iter().chain(begin) {
            match fs::remove_file(self.path(number, extension)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    /// Removes a slice with all its files.
    pub(super) fn remove(&self, number: u64) -> io::Result<()> {
        self.lock().slices.remove(&number);
        self.remove_files(number, true)
    }

    /// A slice's database, opened if need be. Blocks, up to seconds.
    pub(super) fn database(&self, number: u64) -> Result<Arc<SledDatabase>, ReadError> {
        let slice = self.get(number).ok_or(ReadError::Unavailable)?;
        let mut handle = slice.handle.lock().unwrap_or_else(PoisonError::into_inner);
        handle.last_used = self.clock.monotonic();
        handle.close_if_worn();
        handle.uses += 1;
        if slice.is_condemned.load(Ordering::Acquire) {
            return Err(ReadError::Unavailable);
        }
        if let Some(open) = &handle.open {
            return Ok(Arc::clone(open));
        }
        if let Some(open) = handle.left.upgrade() {
            handle.open = Some(Arc::clone(&open));
            return Ok(open);
        }
        self.close_surplus(number);
        match SledDatabase::open(&self.path(number, ""), &self.identity(number)) {
            Ok(database) => {
                let database = Arc::new(database);
                handle.open = Some(Arc::clone(&database));
                handle.left = Arc::downgrade(&database);
                Ok(database)
            }
            Err(OpenError::Io(error)) => {
                tracing::error!(slice = number, %error, "a slice cannot be opened now");
                Err(ReadError::Unavailable)
            }
            Err(error) => {
                tracing::error!(slice = number, %error, "a slice is condemned and will be rebuilt");
                slice.is_condemned.store(true, Ordering::Release);
                Err(ReadError::Unavailable)
            }
        }
    }

    /// Notes that many rows of a slice were written or read at once.
    pub(super) fn used(&self, number: u64, rows: usize) {
        if let Some(slice) = self.get(number) {
            slice.handle.lock().unwrap_or_else(PoisonError::into_inner).uses += rows;
        }
    }

    /// Closes the sealed slice that was not read for longest, if there are too many open.
    fn close_surplus(&self, opening: u64) {
        let state = self.lock();
        let newest = state.slices.keys().next_back().copied();
        let sealed =
            state.slices.values().filter(|s| s.number != opening && Some(s.number) != newest);
        // Whoever opens or rebuilds a slice holds its handle: that one stays.
        let open: Vec<_> = sealed
            .filter_map(|slice| slice.handle.try_lock().ok())
            .filter(|handle| handle.open.is_some())
            .collect();
        if open.len() >= OPEN_MAX
            && let Some(mut oldest) = open.into_iter().min_by_key(|handle| handle.last_used)
        {
            oldest.open = None;
        }
    }

    /// Closes sealed slices that no one reads, and deletes what has left.
    pub(super) fn tidy(&self) -> io::Result<()> {
        let now = self.clock.monotonic();
        let gone: Vec<u64> = {
            let mut state = self.lock();
            let newest = state.slices.keys().next_back().copied();
            for slice in state.slices.values().filter(|slice| Some(slice.number) != newest) {
                if let Ok(mut handle) = slice.handle.try_lock()
                    && now.duration_since(handle.last_used) >= IDLE
                {
                    handle.open = None;
                }
            }
            let is_gone = |(_, left): &(u64, Weak<SledDatabase>)| left.strong_count() == 0;
            let gone = state.leaving.extract_if(.., |leaving| is_gone(leaving));
            gone.map(|(number, _)| number).collect()
        };
        gone.into_iter().try_for_each(|number| self.remove_files(number, true))
    }

    /// Takes slices that are wholly below the log's start from new readers; [`Self::tidy`] deletes them. The newest one
    /// stays: it is being written, and says where the queues end.
    pub(super) fn expire_below(&self, log_start: u64) {
        let expired = {
            let mut state = self.lock();
            let newest = state.slices.keys().next_back().copied().unwrap_or_default();
            let kept = state.slices.split_off(&self.number_of(log_start).min(newest));
            std::mem::replace(&mut state.slices, kept)
        };
        // Who opens a slice holds its handle and then asks for the state: so not the other way round here.
        for (number, slice) in expired {
            let mut handle = slice.handle.lock().unwrap_or_else(PoisonError::into_inner);
            handle.open = None;
            let leaving = (number, handle.left.clone());
            drop(handle);
            self.lock().leaving.push(leaving);
        }
    }

    /// Notes that a slice is damaged: it is not read again until it is rebuilt.
    pub(super) fn condemn(&self, number: u64, why: &str) {
        if let Some(slice) = self.get(number)
            && !slice.is_condemned.swap(true, Ordering::AcqRel)
        {
            tracing::error!(slice = number, why, "a slice is condemned and will be rebuilt");
            slice.handle.lock().unwrap_or_else(PoisonError::into_inner).open = None;
        }
    }

    pub(super) fn is_condemned(&self, number: u64) -> bool {
        self.get(number).is_some_and(|slice| slice.is_condemned.load(Ordering::Acquire))
    }

    /// Whether a slice was rebuilt so often that what it lacks is lost.
    pub(super) fn is_given_up(&self, number: u64) -> bool {
        let rebuilds = |slice: Arc<Slice>| slice.rebuilds.load(Ordering::Relaxed);
        self.get(number).map_or(0, rebuilds) >= REBUILDS_MAX
    }

    /// Whether a slice's database is open.
    #[cfg(test)]
    pub(super) fn is_open(&self, number: u64) -> bool {
        let handle = |slice: Arc<Slice>| {
            slice.handle.lock().unwrap_or_else(PoisonError::into_inner).left.strong_count() > 0
        };
        self.get(number).is_some_and(handle)
    }

    /// The condemned slices, ascending.
    pub(super) fn condemned(&self) -> Vec<u64> {
        self.numbers().into_iter().filter(|number| self.is_condemned(*number)).collect()
    }

    /// Turns a database's error into what a reader is told, and condemns the slice if that is what it says.
    pub(super) fn failed(&self, number: u64, error: &KvError) -> ReadError {
        match error {
            KvError::Io(error) => {
                tracing::error!(slice = number, %error, "a slice cannot be read now");
            }
            error => self.condemn(number, &error.to_string()),
        }
        ReadError::Unavailable
    }

    /// Puts a rebuilt database (in `*.rebuilding`, closed) in the place of the condemned one.
    pub(super) fn replace(&self, number: u64, begin: Option<&BeginContent>) -> io::Result<()> {
        let Some(slice) = self.get(number) else {
            return fs::remove_dir_all(self.path(number, "rebuilding"));
        };
        let mut handle = slice.handle.lock().unwrap_or_else(PoisonError::into_inner);
        handle.open = None;
        handle.left = Weak::new();
        self.remove_files(number, false)?;
        if let Some(begin) = begin {
            begin.write(&self.path(number, "begin"))?;
            let begin = Begin::open(&self.path(number, "begin"), number)?;
            *slice.begin.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(begin));
        }
        fs::rename(self.path(number, "rebuilding"), self.path(number, ""))?;
        super::disk::flush_dir(&self.options.dir)?;
        slice.rebuilds.fetch_add(1, Ordering::Relaxed);
        slice.is_condemned.store(false, Ordering::Release);
        Ok(())
    }

    /// Seals a slice that nothing is written to any more: writes its `keys` file, and opens it once more, which
    /// makes sled write the snapshot that later openings are fast with.
    pub(super) fn seal(&self, number: u64) -> Result<(), KvError> {
        if let Ok(database) = self.database(number) {
            write_keys(&*database, &self.path(number, "keys"))?;
        }
        let Some(slice) = self.get(number) else { return Ok(()) };
        let mut handle = slice.handle.lock().unwrap_or_else(PoisonError::into_inner);
        handle.open = None;
        if handle.left.strong_count() == 0 {
            let opened = SledDatabase::open(&self.path(number, ""), &self.identity(number));
            if let Err(error) = opened {
                tracing::warn!(slice = number, %error, "a sealed slice could not be opened again");
            }
        }
        Ok(())
    }

    /// Whether a slice may have keys of this hash within these times.
    pub(super) fn may_have_key(&self, number: u64, hash: u32, times: (i64, i64)) -> bool {
        slice_keys::may_have(&self.path(number, "keys"), hash, times)
    }

    /// Takes the `keys` file away: the slice is written again.
    pub(super) fn unseal(&self, number: u64) -> io::Result<()> {
        match fs::remove_file(self.path(number, "keys")) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

fn into_kv_error(error: OpenError) -> KvError {
    match error {
        OpenError::Io(error) => KvError::Io(error),
        other => KvError::Corrupt(other.to_string()),
    }
}

/// Writes which keys a slice has.
pub(super) fn write_keys(database: &dyn Database, path: &Path) -> Result<(), KvError> {
    let mut span: Option<(u64, i64, i64)> = None;
    let mut is_damaged = false;
    let mut rows = |add: &mut dyn FnMut(&[u8], &[u8]) -> bool| {
        database.scan(schema::RUNS, &[], &mut |key, value| {
            is_damaged |= !add(key, value);
            !is_damaged
        })
    };
    rows(&mut |key, value| match parse_run_key(key) {
        Some((_, None)) => decode_run_info(key, value).is_some_and(|info| {
            let (count, first, last) =
                span.unwrap_or((0, info.first_store_time, info.last_store_time));
            let (first, last) = (first.min(info.first_store_time), last.max(info.last_store_time));
            span = Some((count + u64::from(info.count), first, last));
            true
        }),
        entry => entry.is_some(),
    })?;
    // Without keys, no time is within the span.
    let (count, first, last) = span.unwrap_or((0, i64::MAX, i64::MIN));
    let mut filter = KeyFilter::new(count, first, last);
    rows(&mut |key, value| match parse_run_key(key) {
        Some((_, Some(_))) => decode_chunk(key, value).is_some_and(|entries| {
            entries.iter().for_each(|KeyEntry { hash, .. }| filter.add(*hash));
            true
        }),
        other => other.is_some(),
    })?;
    if is_damaged {
        return Err(KvError::Corrupt("a run cannot be read".to_owned()));
    }
    Ok(filter.write(path)?)
}
