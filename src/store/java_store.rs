//! The store folder of a stopped 4.9.4 broker, looked at and never written to (B-009, B-011, ST-006, ST-031, ST-100 to ST-103).
//!
//! Not what is made of it (`adopt`). Invariants: while a [`JavaStore`] lives, its broker cannot start, because `lock` is
//! held; what is not as 4.9.4 leaves it is refused, with what to do.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;

use super::OpenError;
use super::log::{name_of, start_of_name};
use super::tables::export::{
    CONSUMER_OFFSETS_FILE, DELAY_OFFSETS_FILE, GROUPS_FILE, ImportError,
    LIGHT_CONSUMER_OFFSETS_FILE, TOPICS_FILE, parse_consumer_offsets, parse_delay_offsets,
    parse_groups, parse_topics,
};
use crate::message::{RECORD_HEAD_BYTES, may_begin};
use crate::model::{PhysicalOffset, QueueId};

/// Size of an entry of a consume queue's file (ST-030).
const ENTRY_BYTES: u64 = 20;
/// What RocketMQ 5 makes beside the log, and 4.9 never.
const OF_VERSION_5: &str = "timerwheel";

/// A stopped broker's store.
#[derive(Debug)]
pub struct JavaStore {
    /// Keeps the broker from starting; `None` where there is no such file.
    _lock: Option<File>,
    /// The log's files that have something, oldest first.
    pub segments: Vec<JavaSegment>,
    /// Size of each of them in bytes; `None` if there is none.
    pub segment_bytes: Option<u64>,
    /// The tables' files, as far as there are any that can be read.
    pub tables: Vec<JavaTable>,
    /// The topics that it has.
    pub topics: BTreeSet<String>,
    /// Whether the broker stopped in order and its topics are whole: then a topic that only the log has was deleted.
    pub is_whole: bool,
    /// Queues that the log has nothing of any more.
    pub idle_queues: Vec<IdleQueue>,
}

/// Name and text of a table's file.
pub type JavaTable = (&'static str, String);

/// A file of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JavaSegment {
    /// The physical offset of its first byte.
    pub start: u64,
    /// Where it is.
    pub path: PathBuf,
}

/// A queue whose messages are all older than the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdleQueue {
    /// Its topic.
    pub topic: String,
    /// The queue.
    pub queue_id: QueueId,
    /// The offset that its next message gets.
    pub next: u64,
    /// Where its last message ended in the log.
    pub last_end: u64,
}

impl JavaStore {
    /// Looks at the store in `dir`, which is the broker's `storePathRootDir`, and keeps its broker from starting.
    ///
    /// # Errors
    /// [`OpenError`]: the broker runs, something is missing, or it is no store of 4.9.
    pub fn open(dir: &Path) -> Result<Self, OpenError> {
        check_layout(dir)?;
        let lock = hold_lock(&dir.join("lock"))?;
        let log_dir = dir.join("commitlog");
        let (segments, segment_bytes) = segments(&log_dir)?;
        let (tables, are_current) = tables(&dir.join("config"))?;
        let topics = topic_names(&tables);
        if topics.is_empty() {
            let text = format!(
                "{}: no topics are there, so messages would be without their queues; put the file back, or topics.json.bak in its place",
                dir.join("config").join(TOPICS_FILE).display()
            );
            return Err(OpenError(text));
        }
        let is_whole = are_current && !dir.join("abort").exists();
        let idle_queues = match segments.first() {
            Some(first) => {
                let queues = dir.join("consumequeue");
                idle_queues(&queues, &topics, first.start).map_err(at(&queues))?
            }
            // 4.9.4 forgets its queues then, too (ST-054).
            None => Vec::new(),
        };
        let _lock = lock;
        Ok(Self { _lock, segments, segment_bytes, tables, topics, is_whole, idle_queues })
    }
}

/// Refuses folders that are no store, or another kind of it.
fn check_layout(dir: &Path) -> Result<(), OpenError> {
    let shown = dir.display();
    let entries = fs::read_dir(dir).map_err(at(dir))?;
    for entry in entries {
        let name = entry.map_err(at(dir))?.file_name();
        let name = name.to_string_lossy();
        if name.starts_with("dledger-") {
            return Err(OpenError(format!(
                "{shown}: {name} is the log of a DLedger group, whose records lie elsewhere than their ids say: it \
                 cannot be adopted; begin with an empty group, and let consumers read the old one to its end"
            )));
        }
        if name == OF_VERSION_5 {
            return Err(OpenError(format!(
                "{shown}: {name} is RocketMQ 5's, whose timers would be lost: only stores of 4.x can be adopted"
            )));
        }
    }
    for folder in ["commitlog", "config"] {
        if !dir.join(folder).is_dir() {
            return Err(OpenError(format!(
                "{shown}: there is no folder {folder}: give the broker's storePathRootDir; where storePathCommitLog is \
                 elsewhere, make a folder with links named commitlog, config, consumequeue and lock to what they stand for"
            )));
        }
    }
    Ok(())
}

/// Locks the file for reading, which keeps a broker from locking it for writing; `None` if it is not there.
fn hold_lock(path: &Path) -> Result<Option<File>, OpenError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(at(path)(error)),
    };
    let narrow = |value: libc::c_int| i16::try_from(value).unwrap_or_default();
    let mut range = libc::flock {
        l_type: narrow(libc::F_RDLCK),
        l_whence: narrow(libc::SEEK_SET),
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    };
    match fcntl(&file, FcntlArg::F_OFD_SETLK(&range)) {
        Ok(_) => Ok(Some(file)),
        Err(Errno::EAGAIN | Errno::EACCES) => {
            // Asked as if to write, so that whoever holds it is told.
            range.l_type = narrow(libc::F_WRLCK);
            let asked = fcntl(&file, FcntlArg::F_OFD_GETLK(&mut range));
            let holder = match asked {
                Ok(_) if range.l_pid > 0 => format!("process {}", range.l_pid),
                _ => "another process".to_owned(),
            };
            Err(OpenError(format!(
                "{}: the broker of this store runs ({holder}): stop it, and see that nothing starts it again",
                path.display()
            )))
        }
        Err(error) => Err(at(path)(error.into())),
    }
}

/// The files of the log that have something, and their size.
fn segments(dir: &Path) -> Result<(Vec<JavaSegment>, Option<u64>), OpenError> {
    let mut found: Vec<(JavaSegment, u64)> = Vec::new();
    for entry in fs::read_dir(dir).map_err(at(dir))? {
        let entry = entry.map_err(at(dir))?;
        let Some(start) = entry.file_name().to_str().and_then(start_of_name) else { continue };
        let path = entry.path();
        // Behind a link, too.
        let bytes = fs::metadata(&path).map_err(at(&path))?.len();
        found.push((JavaSegment { start, path }, bytes));
    }
    found.sort_unstable_by_key(|(segment, _)| segment.start);
    // What was only made ready for later; the newest may not even have its size yet.
    while let Some((newest, bytes)) = found.last() {
        if *bytes >= RECORD_HEAD_BYTES as u64
            && head(newest).map_err(at(&newest.path))? != [0; RECORD_HEAD_BYTES]
        {
            break;
        }
        found.pop();
    }
    let Some((_, segment_bytes)) = found.first().cloned() else { return Ok((Vec::new(), None)) };
    for (index, (segment, bytes)) in found.iter().enumerate() {
        check_segment(segment, *bytes, segment_bytes)?;
        let before = index.checked_sub(1).and_then(|before| found.get(before));
        let expected = before.map_or(segment.start, |(before, _)| before.start + segment_bytes);
        if segment.start != expected {
            return Err(OpenError(format!(
                "{}: this file of the log is missing: put it back; with several folders in storePathCommitLog, make \
                 one with links to all files",
                dir.join(name_of(expected)).display()
            )));
        }
    }
    Ok((found.into_iter().map(|(segment, _)| segment).collect(), Some(segment_bytes)))
}

fn check_segment(segment: &JavaSegment, bytes: u64, expected: u64) -> Result<(), OpenError> {
    let shown = segment.path.display();
    if bytes != expected {
        return Err(OpenError(format!(
            "{shown}: {bytes} bytes, but the oldest file of the log has {expected}: all have one size; was it copied whole?"
        )));
    }
    if !segment.start.is_multiple_of(expected) {
        return Err(OpenError(format!(
            "{shown}: its name is no multiple of its size, {expected} bytes: this is no log of 4.9"
        )));
    }
    let head = head(segment).map_err(at(&segment.path))?;
    if !may_begin(&head, PhysicalOffset(segment.start)) {
        return Err(OpenError(format!(
            "{shown}: it does not begin with a message of 4.9 of that offset: it was written by another version, or \
             it is damaged"
        )));
    }
    Ok(())
}

fn head(segment: &JavaSegment) -> io::Result<[u8; RECORD_HEAD_BYTES]> {
    let mut head = [0; RECORD_HEAD_BYTES];
    File::open(&segment.path)?.read_exact_at(&mut head, 0)?;
    Ok(head)
}

/// Names and texts of the tables, and whether the topics are those of the file and not of the one before it.
fn tables(dir: &Path) -> Result<(Vec<JavaTable>, bool), OpenError> {
    type Check = fn(&str) -> Result<(), ImportError>;
    let files: [(&'static str, Check); 4] = [
        (TOPICS_FILE, |text| parse_topics(text).map(drop)),
        (GROUPS_FILE, |text| parse_groups(text).map(drop)),
        (CONSUMER_OFFSETS_FILE, |text| parse_consumer_offsets(text).map(drop)),
        (DELAY_OFFSETS_FILE, |text| parse_delay_offsets(text).map(drop)),
    ];
    let (mut tables, mut are_current) = (Vec::new(), false);
    for (name, check) in files {
        let source = if name == CONSUMER_OFFSETS_FILE { consumer_offsets(dir)? } else { name };
        let path = dir.join(source);
        // As 4.9.4 does: where the file cannot be used, the one before it.
        for (path, is_current) in [(path.clone(), true), (dir.join(format!("{source}.bak")), false)]
        {
            let text = match fs::read_to_string(&path) {
                Ok(text) => text,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) if error.kind() == io::ErrorKind::InvalidData => continue,
                Err(error) => return Err(at(&path)(error)),
            };
            if check(&text).is_ok() {
                are_current |= is_current && name == TOPICS_FILE;
                tables.push((name, text));
                break;
            }
        }
        let is_used = tables.last().is_some_and(|(last, _)| *last == name);
        if !is_used && path.exists() {
            let text = "neither it nor its .bak is a table as 4.9.4 writes it: mend it, or move it away to go without";
            return Err(OpenError(format!("{}: {text}", path.display())));
        }
    }
    Ok((tables, are_current))
}

/// The file that positions were written to last: light queues, while they were on, had another one for those of all groups.
fn consumer_offsets(dir: &Path) -> Result<&'static str, OpenError> {
    let written = |name| {
        let path = dir.join(name);
        match fs::metadata(&path).and_then(|metadata| metadata.modified()) {
            Ok(time) => Ok(Some(time)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(at(&path)(error)),
        }
    };
    let is_light = written(LIGHT_CONSUMER_OFFSETS_FILE)? > written(CONSUMER_OFFSETS_FILE)?;
    Ok(if is_light { LIGHT_CONSUMER_OFFSETS_FILE } else { CONSUMER_OFFSETS_FILE })
}

fn topic_names(tables: &[JavaTable]) -> BTreeSet<String> {
    let text = tables.iter().find(|(name, _)| *name == TOPICS_FILE).map(|(_, text)| text);
    let parsed = text.and_then(|text| parse_topics(text).ok());
    let topics = parsed.into_iter().flat_map(|(_, topics)| topics);
    topics.map(|topic| topic.name.as_str().to_owned()).collect()
}

/// The queues of known topics whose last entry lies below the log's start.
fn idle_queues(
    dir: &Path,
    topics: &BTreeSet<String>,
    log_start: u64,
) -> io::Result<Vec<IdleQueue>> {
    let mut idle = Vec::new();
    for topic in topics {
        for (name, folder) in entries(&dir.join(topic))? {
            let Ok(queue_id) = name.parse().map(QueueId) else { continue };
            if let Some((next, last_end)) = queue_end(&folder)?
                && last_end <= log_start
            {
                idle.push(IdleQueue { topic: topic.clone(), queue_id, next, last_end });
            }
        }
    }
    Ok(idle)
}

/// The offset behind a queue's last entry, and where the record of that one ends; `None` for a queue without any.
fn queue_end(folder: &Path) -> io::Result<Option<(u64, u64)>> {
    let mut files: Vec<(u64, PathBuf)> = Vec::new();
    for (name, path) in entries(folder)? {
        files.extend(start_of_name(&name).map(|start| (start, path)));
    }
    files.sort_unstable();
    for (start, path) in files.iter().rev() {
        let file = File::open(path)?;
        let entry = |index: u64| -> io::Result<(u64, u32)> {
            let mut bytes = [0; 12];
            file.read_exact_at(&mut bytes, index * ENTRY_BYTES)?;
            let (physical, size) = bytes.split_at(8);
            let physical = physical.try_into().map_or(0, u64::from_be_bytes);
            Ok((physical, size.try_into().map_or(0, u32::from_be_bytes)))
        };
        // Entries follow one another from the file's beginning on; behind them is nothing but zeros.
        let (mut low, mut high) = (0, file.metadata()?.len() / ENTRY_BYTES);
        while low < high {
            let middle = low + (high - low) / 2;
            if entry(middle)?.1 > 0 { low = middle + 1 } else { high = middle }
        }
        if let Some(last) = low.checked_sub(1) {
            let (physical, size) = entry(last)?;
            return Ok(Some((start / ENTRY_BYTES + low, physical.saturating_add(size.into()))));
        }
    }
    Ok(None)
}

/// Names and paths of what is in a folder; nothing, if it is not there.
fn entries(dir: &Path) -> io::Result<Vec<(String, PathBuf)>> {
    let found = match fs::read_dir(dir) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut entries = Vec::new();
    for entry in found {
        let entry = entry?;
        entries.extend(entry.file_name().into_string().ok().map(|name| (name, entry.path())));
    }
    Ok(entries)
}

fn at(path: &Path) -> impl Fn(io::Error) -> OpenError {
    let path = path.to_owned();
    move |error| {
        let hint = if error.kind() == io::ErrorKind::PermissionDenied {
            format!(
                ": this process runs as uid {}, run it as root or as who owns the store",
                nix::unistd::geteuid()
            )
        } else {
            String::new()
        };
        OpenError(format!("{}: {error}{hint}", path.display()))
    }
}
