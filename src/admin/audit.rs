//! The audit log: a line of JSON for each change that was asked of this node, whatever became of it.
//!
//! Not who may ask (the socket's mode; over TCP and in the console `service::roles`). Invariants: lines are only appended;
//! a file that is full is put aside under the next number, and the oldest goes. What cannot be written is told in the node's
//! own log, and does not stop the change.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;
use serde_json::Value;
use tokio::task::JoinHandle;

use crate::proto::v1::AuditRecord;
use crate::task;

/// Its name in the data directory.
const FILE: &str = "audit.jsonl";
/// A file that has this many bytes is full.
const FILE_BYTES_MAX: u64 = 16 << 20;
/// Full files that are kept.
const OLD_FILES: u32 = 4;
/// The owner writes, the group reads.
const MODE: u32 = 0o640;

/// Where changes are written down.
#[derive(Debug)]
pub struct AuditLog {
    path: PathBuf,
    bytes_max: u64,
    /// Held while a line is written, so that files change between lines.
    writing: Mutex<()>,
}

impl AuditLog {
    /// The log in this data directory, which need not have one yet.
    #[must_use]
    pub fn new(data_dir: &Path) -> Self {
        Self::with_size(data_dir, FILE_BYTES_MAX)
    }

    fn with_size(data_dir: &Path, bytes_max: u64) -> Self {
        Self { path: data_dir.join(FILE), bytes_max, writing: Mutex::default() }
    }

    /// A message as records hold it.
    ///
    /// # Panics
    /// It has keys that are no texts, as no message has.
    #[must_use]
    pub fn json(message: &impl Serialize) -> String {
        serde_json::to_string(message).expect("messages have text for keys")
    }

    /// Writes a record, or tells in the node's own log that it is not here. Who waits for it knows that it was tried.
    pub fn write(self: Arc<Self>, record: AuditRecord) -> JoinHandle<()> {
        task::spawn_blocking("audit log", move || {
            if let Err(error) = self.append(&record) {
                let AuditRecord { who, method, arguments, code, .. } = &record;
                tracing::error!(%error, who, method, arguments, code, "not in the audit log");
            }
        })
    }

    /// Appends a record. Blocks.
    ///
    /// # Errors
    /// What the system says.
    fn append(&self, record: &AuditRecord) -> io::Result<()> {
        let line = format!("{}\n", to_json(record));
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut file = self.open()?;
        if file.metadata()?.len() >= self.bytes_max {
            self.rotate()?;
            file = self.open()?;
        }
        // One write: who reads meanwhile sees all of a line or nothing.
        file.write_all(line.as_bytes())
    }

    fn open(&self) -> io::Result<File> {
        OpenOptions::new().append(true).create(true).mode(MODE).open(&self.path)
    }

    fn rotate(&self) -> io::Result<()> {
        for number in (1..OLD_FILES).rev() {
            match fs::rename(self.old(number), self.old(number + 1)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        fs::rename(&self.path, self.old(1))
    }

    /// The file that was put aside `number` files ago.
    fn old(&self, number: u32) -> PathBuf {
        self.path.with_extension(format!("jsonl.{number}"))
    }

    /// The last records, at most `limit`, oldest first. Blocks.
    ///
    /// # Errors
    /// What the system says.
    pub fn last(&self, limit: usize) -> io::Result<Vec<AuditRecord>> {
        let mut records = Vec::new();
        let files = std::iter::once(self.path.clone()).chain((1..=OLD_FILES).map(|n| self.old(n)));
        for path in files {
            let missing = limit - records.len();
            if missing == 0 {
                break;
            }
            let mut of_file = match File::open(&path) {
                Ok(file) => read(file, missing)?,
                Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
                Err(error) => return Err(error),
            };
            of_file.append(&mut records);
            records = of_file;
        }
        Ok(records)
    }
}

/// The last records of a file; a line that is none, such as one that a full disk cut, is passed over.
fn read(file: File, limit: usize) -> io::Result<Vec<AuditRecord>> {
    let mut last = std::collections::VecDeque::with_capacity(limit.min(1024));
    for line in BufReader::new(file).split(b'\n') {
        let line = line?;
        if last.len() == limit {
            last.pop_front();
        }
        last.push_back(line);
    }
    Ok(last.iter().filter_map(|line| from_json(line)).collect())
}

fn to_json(record: &AuditRecord) -> Value {
    serde_json::json!({
        "time_ms": record.time_ms,
        "who": record.who,
        "method": record.method,
        "arguments": as_value(&record.arguments),
        "code": record.code,
        "result": as_value(&record.result),
    })
}

/// A text that is JSON, as such.
fn as_value(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| text.into())
}

fn from_json(line: &[u8]) -> Option<AuditRecord> {
    let value: Value = serde_json::from_slice(line).ok()?;
    let text = |key: &str| match value.get(key) {
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => String::new(),
    };
    Some(AuditRecord {
        time_ms: value.get("time_ms")?.as_i64()?,
        who: text("who"),
        method: text("method"),
        arguments: text("arguments"),
        code: text("code"),
        result: text("result"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(time_ms: i64) -> AuditRecord {
        AuditRecord {
            time_ms,
            who: "uid 0 (root), process 1".to_owned(),
            method: "Topics/Create".to_owned(),
            arguments: r#"{"topic":"T"}"#.to_owned(),
            code: "NOT_FOUND".to_owned(),
            result: "there is none\nof it".to_owned(),
        }
    }

    #[test]
    fn records_come_back_over_files_and_the_oldest_go() {
        let dir = tempfile::tempdir().unwrap();
        let log = AuditLog::with_size(dir.path(), 1);
        assert_eq!(log.last(10).unwrap(), []);
        for time in 0..7 {
            log.append(&record(time)).unwrap();
        }
        let times =
            |limit| log.last(limit).unwrap().iter().map(|one| one.time_ms).collect::<Vec<_>>();
        assert_eq!(times(100), [2, 3, 4, 5, 6]);
        assert_eq!(times(2), [5, 6]);
        assert_eq!(log.last(1).unwrap(), [record(6)]);
        let files = fs::read_dir(dir.path()).unwrap().count();
        assert_eq!(files, 5);
    }

    #[test]
    fn a_torn_line_hides_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let log = AuditLog::new(dir.path());
        log.append(&record(1)).unwrap();
        let mut file = log.open().unwrap();
        file.write_all(b"{\"time_ms\":2,\"wh\n").unwrap();
        log.append(&record(3)).unwrap();
        assert_eq!(log.last(10).unwrap(), [record(1), record(3)]);
    }
}
