//! What a copy of a group's log knows of its past, in `epochs.json` of the group's folder.
//!
//! ```json
//! {"format":1,"node":"0f..","role":"master",
//!  "epochs":[{"number":{"promotions":0,"restarts":1},"node":"0f..","start":0,"nonce":7,"sync":false}],
//!  "peers":[{"address":"192.168.1.162:10921","id":1,"node":"1e.."}],"ours":["192.168.1.162:10921"],
//!  "isWhole":true,"bootId":"8a..","stoppedAt":null}
//! ```
//!
//! Not what follows from it (`history`). The node's number belongs to the folder, not to the host: whoever replaces
//! the folder has another past. Invariants: what a change says is on the disk when it returns; a file that cannot be
//! read stops the role, because without it two histories look alike.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use super::history::{Epoch, EpochNumber, History, Log, NodeId};
use crate::files;
use crate::remoting::bodies::extension::{EpochRow, Hello};

/// The format that this version writes.
const FORMAT: u32 = 1;
/// Says that the folder is to be set aside.
const RESYNC_FILE: &str = "resync";
/// How many peers are remembered.
const PEERS_MAX: usize = 256;

/// What a broker was when it ran last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// It took messages.
    Master,
    /// It copied.
    Slave,
}

/// A broker that copied from here, or was copied here: it may have what is not here any more.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Neighbour {
    /// Its broker port, as `host:port`.
    pub address: String,
    /// Its number in the group.
    pub id: u32,
    /// Which copy it has; `None` of 4.9.4.
    pub node: Option<NodeId>,
}

/// The file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Content {
    format: u32,
    node: NodeId,
    #[serde(default)]
    role: Option<Role>,
    #[serde(default)]
    epochs: History,
    #[serde(default)]
    peers: BTreeSet<Neighbour>,
    #[serde(default)]
    ours: BTreeSet<String>,
    /// False from a start at which the log's end may have been lost, until it is known to be there.
    #[serde(default)]
    is_whole: bool,
    /// Of which start of the machine this was; empty if unknown.
    #[serde(default)]
    boot_id: String,
    /// Where the log ended when it was brought to the disk and closed; nothing while it is open.
    #[serde(default)]
    stopped_at: Option<u64>,
}

/// The past of one copy of a group's log.
#[derive(Debug)]
pub struct Past {
    path: PathBuf,
    node: NodeId,
    content: Mutex<Content>,
}

impl Past {
    /// Reads the file in a group's folder whose log ends at `end`, or begins one: then the copy is a new one. Blocks.
    ///
    /// # Errors
    /// What the system says, or that the file is damaged or too new.
    pub fn open(dir: &Path, end: u64) -> io::Result<Self> {
        Self::open_at_boot(dir, end, &boot_id())
    }

    fn open_at_boot(dir: &Path, end: u64, boot_id: &str) -> io::Result<Self> {
        let path = dir.join("epochs.json");
        let invalid = |why: String| io::Error::new(io::ErrorKind::InvalidData, why);
        match fs::read(&path) {
            Ok(bytes) => {
                let content: Content = serde_json::from_slice(&bytes)
                    .map_err(|error| invalid(format!("{}: {error}", path.display())))?;
                if content.format > FORMAT {
                    let why = "written by a newer rmq-node: start that one";
                    return Err(invalid(format!("{}: {why}", path.display())));
                }
                // While the machine runs on, the kernel has all that was written.
                let is_same_boot = !boot_id.is_empty() && content.boot_id == boot_id;
                let nothing_lost = is_same_boot || content.stopped_at == Some(end);
                let content = Content {
                    is_whole: content.is_whole && nothing_lost,
                    boot_id: boot_id.to_owned(),
                    stopped_at: None,
                    ..content
                };
                write(&path, &content)?;
                Ok(Self { path, node: content.node, content: Mutex::new(content) })
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let node = NodeId(u64::from_be_bytes(random()?));
                let content = Content {
                    format: FORMAT,
                    node,
                    role: None,
                    epochs: History::default(),
                    peers: BTreeSet::new(),
                    ours: BTreeSet::new(),
                    is_whole: true,
                    boot_id: boot_id.to_owned(),
                    stopped_at: None,
                };
                write(&path, &content)?;
                Ok(Self { path, node, content: Mutex::new(content) })
            }
            Err(error) => Err(error),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Content> {
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Which copy this is.
    #[must_use]
    pub fn node(&self) -> NodeId {
        self.node
    }

    /// The epochs of its log.
    #[must_use]
    pub fn history(&self) -> History {
        self.lock().epochs.clone()
    }

    /// What the broker was when it ran last; `None` before its first epoch.
    #[must_use]
    pub fn role(&self) -> Option<Role> {
        self.lock().role
    }

    /// The brokers that copied when it ran last, or that it copied.
    #[must_use]
    pub fn peers(&self) -> Vec<Neighbour> {
        self.lock().peers.iter().cloned().collect()
    }

    /// Whether nothing that was written here can be missing.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.lock().is_whole
    }

    /// Whether the peer at this address once showed that it is one of ours.
    #[must_use]
    pub fn is_ours(&self, address: &str) -> bool {
        self.lock().ours.contains(address)
    }

    /// Sets the history, which holds from now on in this role. A master that begins an epoch has looked for all that
    /// was written: the log is whole. Blocks.
    ///
    /// # Errors
    /// What the system says; nothing is changed then.
    pub fn set_history(&self, history: &History, role: Role) -> io::Result<()> {
        self.change(|content| {
            content.epochs = history.clone();
            content.role = Some(role);
            content.is_whole |= role == Role::Master;
        })
    }

    /// Takes over a part of a peer's history before its bytes, and stays in the role. Blocks.
    ///
    /// # Errors
    /// What the system says; nothing is changed then.
    pub fn adopt(&self, history: &History) -> io::Result<()> {
        self.change(|content| content.epochs = history.clone())
    }

    /// Notes that all that was written is here. Blocks.
    ///
    /// # Errors
    /// What the system says.
    pub fn set_whole(&self) -> io::Result<()> {
        self.change(|content| content.is_whole = true)
    }

    /// Notes that the log ends at `end`, all of it on the disk, and is closed. Blocks.
    ///
    /// # Errors
    /// What the system says.
    pub fn note_stopped(&self, end: u64) -> io::Result<()> {
        self.change(|content| content.stopped_at = Some(end))
    }

    /// Notes that the peer at this address is one of ours. Blocks.
    ///
    /// # Errors
    /// What the system says.
    pub fn note_ours(&self, address: &str) -> io::Result<()> {
        self.change(|content| {
            if content.ours.len() < PEERS_MAX {
                content.ours.insert(address.to_owned());
            }
        })
    }

    /// Notes a broker that copies from now on, or that is copied. Blocks.
    ///
    /// # Errors
    /// What the system says.
    pub fn note_peer(&self, peer: &Neighbour) -> io::Result<()> {
        self.change(|content| {
            content.peers.retain(|known| known.address != peer.address);
            if content.peers.len() < PEERS_MAX {
                content.peers.insert(peer.clone());
            }
        })
    }

    /// Forgets a broker that has nothing that is not on the disk here. Blocks.
    ///
    /// # Errors
    /// What the system says.
    pub fn forget_peer(&self, address: &str) -> io::Result<()> {
        self.change(|content| content.peers.retain(|known| known.address != address))
    }

    /// Writes what is changed, if anything is.
    fn change(&self, change: impl FnOnce(&mut Content)) -> io::Result<()> {
        let mut content = self.lock();
        let mut new = content.clone();
        change(&mut new);
        if new != *content {
            write(&self.path, &new)?;
            *content = new;
        }
        Ok(())
    }
}

fn write(path: &Path, content: &Content) -> io::Result<()> {
    files::replace(path, format!("{}\n", serde_json::to_string(content)?))
}

/// Notes that the group's folder is to be set aside when it is opened next. Blocks.
///
/// # Errors
/// What the system says.
pub fn ask_to_set_aside(dir: &Path) -> io::Result<()> {
    File::create(dir.join(RESYNC_FILE))?.sync_all()?;
    File::open(dir)?.sync_all()
}

/// Renames a group's folder that is to be set aside: nothing of it is lost, and the copy begins anew. Blocks.
///
/// # Errors
/// What the system says.
pub fn set_aside_if_asked(dir: &Path) -> io::Result<()> {
    let mark = dir.join(RESYNC_FILE);
    if !mark.exists() {
        return Ok(());
    }
    let stamp = fs::metadata(&mark)?.modified()?.duration_since(SystemTime::UNIX_EPOCH);
    let seconds = stamp.map_or(0, |stamp| stamp.as_secs());
    let name = dir.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let aside = dir.with_file_name(format!("{name}.set-aside-{seconds}"));
    fs::rename(dir, &aside)?;
    fs::remove_file(aside.join(RESYNC_FILE))?;
    if let Some(parent) = dir.parent() {
        File::open(parent)?.sync_all()?;
    }
    tracing::warn!(folder = %aside.display(), "the copy begins anew; what was here is set aside: delete it when nobody needs it");
    Ok(())
}

/// Which start of the machine this is; empty if the kernel does not say.
fn boot_id() -> String {
    let text = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    text.trim().to_owned()
}

/// Bytes that nobody can guess.
fn random<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// A number for a new epoch.
///
/// # Errors
/// The system gives none.
pub fn new_nonce() -> io::Result<u32> {
    random().map(u32::from_be_bytes)
}

/// A history as a peer is told it.
#[must_use]
pub fn rows_of(history: &History) -> Vec<EpochRow> {
    let row = |epoch: &Epoch| EpochRow {
        promotions: epoch.number.promotions,
        restarts: epoch.number.restarts,
        node: epoch.node.to_string(),
        start: epoch.start,
        nonce: epoch.nonce,
        sync: epoch.sync,
    };
    history.epochs().iter().map(row).collect()
}

/// What a peer says of its log.
///
/// # Errors
/// Its history is none.
pub fn log_of(hello: &Hello) -> Result<Log, String> {
    let epoch = |row: &EpochRow| {
        let number = EpochNumber { promotions: row.promotions, restarts: row.restarts };
        let node = row.node.parse()?;
        Ok(Epoch { number, node, start: row.start, nonce: row.nonce, sync: row.sync })
    };
    let epochs: Result<Vec<Epoch>, String> = hello.history.iter().map(epoch).collect();
    let history = History::new(epochs?).map_err(|error| error.to_string())?;
    Ok(Log { history, start: hello.min_offset, end: hello.max_offset })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_is_noted_comes_back_and_a_new_folder_is_a_new_copy() {
        let dir = tempfile::tempdir().unwrap();
        let past = Past::open(dir.path(), 0).unwrap();
        assert_eq!((past.role(), past.history(), past.peers()), (None, History::default(), vec![]));
        let number = EpochNumber { promotions: 1, restarts: 2 };
        let epoch = Epoch { number, node: past.node(), start: 7, nonce: 3, sync: true };
        let history = History::default().begin(epoch).unwrap();
        past.set_history(&history, Role::Master).unwrap();
        let peer = |id| Neighbour { address: "h:1".into(), id, node: Some(past.node()) };
        past.note_peer(&peer(1)).unwrap();
        past.note_peer(&peer(2)).unwrap();
        past.note_ours("h:1").unwrap();
        let again = Past::open(dir.path(), 0).unwrap();
        assert_eq!((again.node(), again.role()), (past.node(), Some(Role::Master)));
        assert_eq!((again.history(), again.peers()), (history, vec![peer(2)]));
        assert!(again.is_ours("h:1") && !again.is_ours("h:2"));
        again.forget_peer("h:1").unwrap();
        assert_eq!(Past::open(dir.path(), 0).unwrap().peers(), []);
        let other = tempfile::tempdir().unwrap();
        assert_ne!(Past::open(other.path(), 0).unwrap().node(), past.node());
    }

    #[test]
    fn a_log_is_whole_until_the_machine_starts_again_over_an_open_one() {
        let dir = tempfile::tempdir().unwrap();
        let open = |end, boot| Past::open_at_boot(dir.path(), end, boot).unwrap();
        assert!(open(0, "one").is_whole(), "a new one");
        let past = open(90, "one");
        assert!(past.is_whole(), "killed, but the kernel had it");
        past.note_stopped(90).unwrap();
        assert!(open(90, "two").is_whole(), "closed in order");
        assert!(!open(90, "three").is_whole());
        assert!(!open(90, "three").is_whole(), "until it is looked for");
        open(90, "three").set_whole().unwrap();
        open(90, "three").note_stopped(90).unwrap();
        assert!(!open(80, "four").is_whole(), "it has lost something since");
        let past = open(80, "four");
        past.set_history(&History::default(), Role::Slave).unwrap();
        assert!(!past.is_whole());
        past.set_history(&History::default(), Role::Master).unwrap();
        assert!(past.is_whole());
    }

    #[test]
    fn what_cannot_be_read_is_no_new_beginning() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("epochs.json");
        Past::open(dir.path(), 0).unwrap();
        let good = fs::read_to_string(&path).unwrap();
        let newer = good.replace("\"format\":1", "\"format\":2");
        for bad in [&good[..20], "", &newer] {
            fs::write(&path, bad).unwrap();
            let error = Past::open(dir.path(), 0).unwrap_err().to_string();
            assert!(error.contains("epochs.json"), "{error}");
            assert_eq!(fs::read_to_string(&path).unwrap(), bad);
        }
    }

    #[test]
    fn a_history_is_told_and_understood() {
        let number = EpochNumber { promotions: 0, restarts: 1 };
        let epoch = Epoch { number, node: NodeId(5), start: 9, nonce: 3, sync: false };
        let history = History::default().begin(epoch).unwrap();
        let hello = Hello { history: rows_of(&history), max_offset: 20, ..Hello::default() };
        assert_eq!(log_of(&hello), Ok(Log { history, start: 0, end: 20 }));
        let twice = vec![hello.history[0].clone(); 2];
        assert!(log_of(&Hello { history: twice, ..Hello::default() }).is_err());
    }
}
