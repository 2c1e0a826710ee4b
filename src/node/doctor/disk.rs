//! The data directory: who owns it, how much room there is, and what kind of file system it is on.
//!
//! Not what lies in it. Invariant: nothing is made or opened there; owners are looked at two levels deep, because a
//! store that was copied as another user is foreign from its top.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::sys::statvfs::statvfs;
use nix::unistd::{User, getegid, geteuid};

use super::unit::Unit;
use super::{Context, Finding};
use crate::config::Config;
use crate::store;

/// Free inodes below which files may soon not be made.
const INODES_MIN: u64 = 10_000;
/// Segments that should fit for each broker beside those that are there.
const SEGMENTS_MIN: u64 = 2;

/// Who a node runs as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Runner {
    pub name: String,
    pub uid: u32,
    pub gid: u32,
}

/// Owner and mode of something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owned {
    pub path: PathBuf,
    pub uid: u32,
    pub gid: u32,
    pub mode: u32,
    pub is_dir: bool,
}

/// Size of a file system.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Space {
    pub total: u64,
    pub used: u64,
    /// Bytes that this process may use: less than what is not used where some are kept for root.
    pub usable: u64,
    /// 0 where a file system has no fixed number.
    pub inodes: u64,
    pub inodes_free: u64,
}

/// Where something is mounted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    pub point: String,
    pub kind: String,
    pub read_only: bool,
}

/// The facts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataDirectory {
    /// Absolute where that can be told.
    pub path: PathBuf,
    pub runner: Runner,
    /// The directory, or the nearest one above it that is there.
    pub nearest: Option<Owned>,
    /// What in it belongs to somebody else than the runner, a few at most.
    pub foreign: Vec<Owned>,
    pub space: Option<Space>,
    pub mount: Option<Mount>,
}

impl DataDirectory {
    /// Looks at it as it is now.
    pub fn look(config: &Config, unit: Option<&Unit>) -> Self {
        // What a unit starts in is /, whatever this process was started in.
        let path = match unit {
            Some(_) => config.data_dir.clone(),
            None => std::path::absolute(&config.data_dir).unwrap_or(config.data_dir.clone()),
        };
        let runner = runner(unit);
        let nearest = path.ancestors().find_map(owned);
        let foreign = match &nearest {
            Some(found) if found.path == path => foreign(&path, runner.uid),
            _ => Vec::new(),
        };
        let at = nearest.as_ref().map(|found| found.path.clone());
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        let real = at.as_ref().and_then(|at| at.canonicalize().ok());
        Self {
            runner,
            foreign,
            space: at.as_deref().and_then(space_at),
            mount: real.and_then(|at| mount_of(&at, &mounts)),
            nearest,
            path,
        }
    }
}

fn runner(unit: Option<&Unit>) -> Runner {
    let Some(unit) = unit else {
        let uid = geteuid().as_raw();
        return Runner { name: name_of(uid), uid, gid: getegid().as_raw() };
    };
    let user = unit.user.as_deref().and_then(|name| User::from_name(name).ok().flatten());
    // A unit without a user runs as root; that one does not exist is another finding.
    user.map_or(Runner { name: "root".to_owned(), uid: 0, gid: 0 }, |user| Runner {
        name: user.name,
        uid: user.uid.as_raw(),
        gid: user.gid.as_raw(),
    })
}

fn name_of(uid: u32) -> String {
    let user = User::from_uid(uid.into()).ok().flatten();
    user.map_or_else(|| format!("uid {uid}"), |user| user.name)
}

/// Owner and mode, if it is there.
pub fn owned(path: &Path) -> Option<Owned> {
    let found = fs::metadata(path).ok()?;
    Some(Owned {
        path: path.to_owned(),
        uid: found.uid(),
        gid: found.gid(),
        mode: found.mode(),
        is_dir: found.is_dir(),
    })
}

/// Entries of `folder` and of its folders that are not `uid`'s.
fn foreign(folder: &Path, uid: u32) -> Vec<Owned> {
    const SHOWN_MAX: usize = 3;
    let entries = |folder: &Path| fs::read_dir(folder).into_iter().flatten().flatten();
    let below = entries(folder).flat_map(|entry| {
        let path = entry.path();
        let inner: Vec<PathBuf> = entries(&path).map(|inner| inner.path()).collect();
        std::iter::once(path).chain(inner)
    });
    below.filter_map(|path| owned(&path)).filter(|found| found.uid != uid).take(SHOWN_MAX).collect()
}

#[expect(clippy::useless_conversion, reason = "the types of these numbers differ among systems")]
fn space_at(path: &Path) -> Option<Space> {
    let found = statvfs(path).ok()?;
    let block = u64::from(found.fragment_size());
    let bytes = |blocks| u64::from(blocks).saturating_mul(block);
    Some(Space {
        total: bytes(found.blocks()),
        used: bytes(found.blocks().saturating_sub(found.blocks_free())),
        usable: bytes(found.blocks_available()),
        inodes: u64::from(found.files()),
        inodes_free: u64::from(found.files_available()),
    })
}

/// The mount that `path`, an absolute one without links, is on.
fn mount_of(path: &Path, mounts: &str) -> Option<Mount> {
    let read = |line: &str| {
        let mut words = line.split(' ');
        let (_, point, kind, options) =
            (words.next()?, words.next()?, words.next()?, words.next()?);
        let read_only = options.split(',').any(|option| option == "ro");
        let point = point.replace("\\040", " ");
        Some(Mount { point, kind: kind.to_owned(), read_only })
    };
    let found = mounts.lines().filter_map(read).filter(|mount| path.starts_with(&mount.point));
    // Of two mounts on one place the later one is seen.
    found.max_by_key(|mount| Path::new(&mount.point).components().count())
}

/// What a node needs of a file.
pub const READ: u32 = 0o4;
const WRITE_AND_ENTER: u32 = 0o3;

/// Whether the node may do so with it.
pub fn may(found: &Owned, runner: &Runner, what: u32) -> bool {
    let shift = match found {
        _ if runner.uid == 0 => return true,
        found if found.uid == runner.uid => 6,
        found if found.gid == runner.gid => 3,
        _ => 0,
    };
    (found.mode >> shift) & what == what
}

/// The node can write there, and others cannot.
pub fn permissions(context: &Context<'_>) -> Vec<Finding> {
    let Some(data) = &context.host.data else { return Vec::new() };
    let (path, runner) = (data.path.display(), &data.runner);
    let Some(nearest) = &data.nearest else { return Vec::new() };
    let is_there = nearest.path == data.path;
    // systemd makes it and gives it to the unit's user, with all that is in it.
    let is_given = context.unit.as_ref().is_some_and(|unit| {
        unit.state_directory.as_ref().is_some_and(|state| data.path.starts_with(state))
    });
    if !nearest.is_dir {
        return vec![Finding::error(
            format!("{} is in the way: it is a file", nearest.path.display()),
            "the data directory cannot be made, so the node does not start",
            "move it away, or write another data_dir",
        )];
    }
    let mut found = Vec::new();
    let chown = format!("chown -R {0}: {path}", runner.name);
    if !may(nearest, runner, WRITE_AND_ENTER) && !is_given {
        let what = format!(
            "{} belongs to {} (mode {:o}), and {} may not write there",
            nearest.path.display(),
            name_of(nearest.uid),
            nearest.mode & 0o7777,
            runner.name
        );
        let make = format!("install -d -m 750 -o {0} {path}", runner.name);
        let fix = if is_there { chown.clone() } else { make };
        found.push(Finding::error(
            what,
            "the node cannot lock or make its data directory and does not start",
            fix,
        ));
    }
    // It looks at the owner of the whole only.
    let is_given = is_given && (nearest.uid, nearest.gid) != (runner.uid, runner.gid);
    if let (Some(first), false) = (data.foreign.first(), runner.uid == 0) {
        let what = format!(
            "{} belongs to {}, not to {}",
            first.path.display(),
            name_of(first.uid),
            runner.name
        );
        found.push(if is_given {
            Finding::note(
                what,
                "systemd gives all of it to the unit's user at the start, which takes long with millions of files",
                format!("once, before the start: {chown}"),
            )
        } else {
            Finding::error(what, "the node cannot open it: the broker whose it is stays down", chown)
        });
    }
    if is_there && nearest.mode & 0o2 != 0 {
        found.push(Finding::warning(
            format!("{path} may be written to by everybody (mode {:o})", nearest.mode & 0o7777),
            "any program on this host can change or delete messages",
            format!("chmod -R o-rwx {path}"),
        ));
    }
    if found.is_empty() {
        let state = if is_there {
            format!("belongs to {}", name_of(nearest.uid))
        } else {
            "will be made".to_owned()
        };
        found.push(Finding::ok(format!("{path} {state}")));
    }
    found
}

/// There is room for the log, by the store's own measure.
pub fn space(context: &Context<'_>) -> Vec<Finding> {
    let (Some(data), Some(config)) = (&context.host.data, context.config()) else {
        return Vec::new();
    };
    let Some(space) = data.space.filter(|space| space.total > 0) else { return Vec::new() };
    let path = data.path.display();
    let store = &config.store;
    let used = store::used_percent(space.used, space.usable);
    let free = shown_bytes(space.usable);
    let mut found = Vec::new();
    let room = "make room there, or write data_dir with a larger disk";
    let kept =
        format!("{room}; less is kept with store.retention_hours below {}", store.retention_hours);
    let what = format!("{used:.1} % of the disk under {path} are used, {free} are free");
    if used > f64::from(store.disk_read_only_percent) {
        let why = format!("beyond {} % every send is refused", store.disk_read_only_percent);
        found.push(Finding::error(what, why, kept));
    } else if used > f64::from(store.disk_force_percent) {
        let why = format!(
            "beyond {} % the oldest files of the log are deleted, read or not",
            store.disk_force_percent
        );
        found.push(Finding::warning(what, why, kept));
    } else if used > f64::from(store.disk_expire_percent) {
        let why = format!(
            "beyond {} % expired files are deleted at any hour, beyond {} % the oldest ones, read or not",
            store.disk_expire_percent, store.disk_force_percent
        );
        found.push(Finding::note(what, why, kept));
    }
    let brokers = u64::try_from(config.brokers.len()).unwrap_or(u64::MAX);
    let needed = store.segment_bytes.saturating_mul(SEGMENTS_MIN).saturating_mul(brokers);
    if space.usable < needed {
        found.push(Finding::warning(
            format!(
                "{free} are free under {path}, {} segments for each broker here need {}",
                SEGMENTS_MIN,
                shown_bytes(needed)
            ),
            "the disk is full before the first old segment can be deleted",
            format!(
                "{room}; or write store.segment_bytes below {}, for stores that are still empty",
                store.segment_bytes
            ),
        ));
    }
    if space.inodes > 0 && space.inodes_free < INODES_MIN {
        found.push(Finding::warning(
            format!("{} of {} inodes are free under {path}", space.inodes_free, space.inodes),
            "without one no segment or database file can be made, however many bytes are free",
            "delete small files there (`df -i` shows the numbers)",
        ));
    }
    if found.is_empty() {
        found.push(Finding::ok(format!("{free} of {} are free", shown_bytes(space.total))));
    }
    found
}

/// The file system keeps what it is told to keep.
pub fn filesystem(context: &Context<'_>) -> Vec<Finding> {
    let Some(data) = &context.host.data else { return Vec::new() };
    let Some(Mount { point, kind, read_only }) = &data.mount else { return Vec::new() };
    let path = data.path.display();
    if *read_only {
        return vec![Finding::error(
            format!("{path} is on {point}, which is mounted read-only"),
            "the node cannot write there and does not start",
            format!(
                "mount -o remount,rw {point} (after a look at `dmesg`: a failing disk is mounted so)"
            ),
        )];
    }
    let local = "write data_dir with a folder on a local ext4 or xfs disk";
    vec![match kind.as_str() {
        "tmpfs" | "ramfs" => Finding::warning(
            format!("{path} is on {kind}, which is memory"),
            "all messages are gone with the next boot",
            local,
        ),
        "overlay" | "overlayfs" | "aufs" => Finding::warning(
            format!("{path} is on {kind}, a container's own layer"),
            "all messages are gone when the container is removed, and each first write to a file copies it",
            "mount a volume there (docker run -v /var/lib/rmq-node:/var/lib/rmq-node)",
        ),
        "nfs" | "nfs4" | "cifs" | "smb3" | "9p" | "ceph" | "glusterfs" | "fuse.glusterfs"
        | "fuse.sshfs" => Finding::warning(
            format!("{path} is on {kind}, a network file system"),
            "locks and flushes depend on the network: two nodes may hold one folder, and a stalled server stalls every send",
            local,
        ),
        _ => Finding::ok(format!("{kind}, mounted on {point}")),
    }]
}

fn shown_bytes(bytes: u64) -> String {
    const UNITS: [(u64, &str); 3] = [(1 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB")];
    let fits = UNITS.iter().find(|(unit, _)| bytes >= 10 * unit);
    fits.map_or_else(|| format!("{bytes} bytes"), |(unit, name)| format!("{} {name}", bytes / unit))
}
