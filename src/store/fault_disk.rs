//! A disk for tests that fails when told to, and that knows what of a group's folder would outlive a power cut.
//!
//! Durable is: a file's bytes as of its last flush, a folder's entries as of its last flush, a database as of its last
//! flush, and what is replaced by renaming. Before and after every step a copy of the folder can be taken: as a
//! killed process leaves it, and as a power cut does.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use nix::errno::Errno;

use super::disk::{Disk, SystemDisk};
use crate::kv::faults::{self, Moment};

/// What is taken copies of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Views {
    None,
    /// As a killed process leaves it: all that was written.
    Killed,
    /// As a power cut leaves it: all that was flushed.
    PowerCut,
    /// As a power cut leaves it that finds the log's newest pages on the disk and not those before.
    Scrambled,
}

/// A copy of a group's folder at a step.
#[derive(Debug)]
pub(super) struct Copy {
    pub(super) dir: PathBuf,
    /// The step, in words.
    pub(super) step: String,
    /// What [`FaultDisk::mark`] said last.
    pub(super) mark: usize,
}

/// When and how the disk fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// From this step on there is no space: what needs some fails, a write halfway.
    Full(usize),
    /// This flush fails.
    Flush(usize),
}

#[derive(Debug, Default)]
struct State {
    steps: usize,
    mark: usize,
    fault: Option<Fault>,
    /// What failed to be flushed.
    failed: Vec<PathBuf>,
    /// The bytes of files as of their last flush.
    files: HashMap<u64, Vec<u8>>,
    /// Open, so that no number is used again.
    pins: Vec<File>,
    dirs: HashMap<PathBuf, BTreeMap<OsString, u64>>,
    databases: BTreeSet<PathBuf>,
    copies: Vec<Copy>,
    copied: usize,
    used_percent: f64,
}

/// The disk.
#[derive(Debug)]
pub(crate) struct FaultDisk {
    group: PathBuf,
    /// Where copies are.
    aside: tempfile::TempDir,
    views: Views,
    state: Mutex<State>,
}

impl FaultDisk {
    /// A disk for the store in `group`, which may be there already: that is durable.
    pub(crate) fn new(group: &Path, views: Views) -> std::sync::Arc<Self> {
        let aside = tempfile::tempdir().unwrap();
        let state = Mutex::default();
        let disk = std::sync::Arc::new(Self { group: group.to_owned(), aside, views, state });
        disk.all_is_durable();
        let weak = std::sync::Arc::downgrade(&disk);
        faults::set(group, move |dir, moment| match weak.upgrade() {
            Some(disk) => disk.database_step(dir, moment),
            None => Ok(()),
        });
        disk
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn set_fault(&self, fault: Option<Fault>) {
        self.lock().fault = fault;
    }

    pub(super) fn set_used_percent(&self, used_percent: f64) {
        self.lock().used_percent = used_percent;
    }

    /// What copies that are taken from now on are marked with.
    pub(super) fn mark(&self, mark: usize) {
        self.lock().mark = mark;
    }

    pub(super) fn steps(&self) -> usize {
        self.lock().steps
    }

    pub(super) fn failed_flushes(&self) -> Vec<PathBuf> {
        self.lock().failed.clone()
    }

    /// The copies taken up to now.
    pub(super) fn take_copies(&self) -> Vec<Copy> {
        std::mem::take(&mut self.lock().copies)
    }

    fn all_is_durable(&self) {
        let mut state = self.lock();
        for dir in [self.group.clone(), self.group.join("commitlog")] {
            for (_, path) in files_of(&dir) {
                state.keep(&File::open(&path).unwrap());
            }
            let entries = entries_of(&dir);
            state.dirs.insert(dir, entries);
        }
        for database in databases_of(&self.group) {
            self.keep_database(&mut state, &database);
        }
    }

    fn keep_database(&self, state: &mut State, dir: &Path) {
        let kept = self.kept_database(dir);
        let _none = fs::remove_dir_all(&kept);
        copy_all(dir, &kept);
        state.databases.insert(dir.to_owned());
    }

    fn kept_database(&self, dir: &Path) -> PathBuf {
        self.aside.path().join("databases").join(dir.strip_prefix(&self.group).unwrap())
    }

    /// Begins a step; whether the disk is full.
    fn begin(&self, state: &mut State) -> bool {
        state.steps += 1;
        matches!(state.fault, Some(Fault::Full(from)) if state.steps >= from)
    }

    fn database_step(&self, dir: &Path, moment: Moment) -> io::Result<()> {
        let mut state = self.lock();
        match moment {
            Moment::Apply if self.begin(&mut state) => Err(Errno::ENOSPC.into()),
            Moment::Apply => Ok(()),
            Moment::Flushed => {
                if self.views != Views::None {
                    self.keep_database(&mut state, dir);
                }
                self.copy(&mut state, "database flushed", dir, true);
                Ok(())
            }
        }
    }

    /// Takes a copy; `is_durable` says that what changed is on the disk, else it is only written.
    fn copy(&self, state: &mut State, what: &str, path: &Path, is_durable: bool) {
        let is_wanted = match self.views {
            Views::None => false,
            Views::Killed => !is_durable,
            Views::PowerCut | Views::Scrambled => is_durable,
        };
        if !is_wanted {
            return;
        }
        let number = state.copied;
        state.copied += 1;
        let dir = self.aside.path().join(format!("copy-{number}")).join("broker-a");
        copy_all(&self.group, &dir);
        if self.views != Views::Killed {
            self.lose_power(state, &dir);
        }
        let path = path.strip_prefix(&self.group).unwrap_or(path).display();
        let step = format!("{:?} after {number}: {what} {path}", self.views);
        state.copies.push(Copy { dir, step, mark: state.mark });
    }

    /// Takes back what is not durable.
    fn lose_power(&self, state: &State, copy: &Path) {
        for (dir, entries) in &state.dirs {
            let in_copy = copy.join(dir.strip_prefix(&self.group).unwrap());
            for (name, path) in files_of(&in_copy) {
                if !entries.contains_key(&name) && !is_replaced_whole(&name) {
                    fs::remove_file(path).unwrap();
                }
            }
            for (name, number) in entries {
                let Some(bytes) = state.files.get(number) else { continue };
                let path = in_copy.join(name);
                let now = fs::read(&path).unwrap_or_default();
                fs::create_dir_all(&in_copy).unwrap();
                let scrambled = self.views == Views::Scrambled && dir.ends_with("commitlog");
                let bytes = if scrambled { scramble(bytes, now) } else { bytes.clone() };
                fs::write(path, bytes).unwrap();
            }
        }
        let is_listed = |name: &str| {
            state.dirs.get(&self.group).is_some_and(|all| all.keys().any(|entry| entry == name))
        };
        for dir in ["commitlog", "slices", "export", "tables"] {
            if !is_listed(dir) {
                let _none = fs::remove_dir_all(copy.join(dir));
            }
        }
        for database in &state.databases {
            let in_copy = copy.join(database.strip_prefix(&self.group).unwrap());
            if in_copy.is_dir() {
                fs::remove_dir_all(&in_copy).unwrap();
                copy_all(&self.kept_database(database), &in_copy);
            }
        }
    }
}

impl Drop for FaultDisk {
    fn drop(&mut self) {
        faults::clear(&self.group);
    }
}

impl State {
    fn keep(&mut self, file: &File) {
        let metadata = file.metadata().unwrap();
        if metadata.is_file() {
            let mut bytes = vec![0; usize::try_from(metadata.len()).unwrap()];
            file.read_exact_at(&mut bytes, 0).unwrap();
            if self.files.insert(metadata.ino(), bytes).is_none() {
                self.pins.push(file.try_clone().unwrap());
            }
        }
    }
}

impl Disk for FaultDisk {
    fn write(&self, file: &File, path: &Path, bytes: &[u8], at: u64) -> io::Result<()> {
        let mut state = self.lock();
        let is_full = self.begin(&mut state);
        let half = bytes.len() / 2;
        SystemDisk.write(file, path, &bytes[..half], at)?;
        self.copy(&mut state, "half written", path, false);
        if is_full {
            return Err(Errno::ENOSPC.into());
        }
        SystemDisk.write(file, path, &bytes[half..], at + half as u64)?;
        self.copy(&mut state, "written", path, false);
        Ok(())
    }

    fn flush(&self, file: &File, path: &Path) -> io::Result<()> {
        let mut state = self.lock();
        self.begin(&mut state);
        if matches!(state.fault, Some(Fault::Flush(at)) if state.steps >= at) {
            return Err(Errno::EIO.into());
        }
        if self.views != Views::None {
            state.keep(file);
        }
        self.copy(&mut state, "flushed", path, true);
        Ok(())
    }

    fn flush_dir(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.lock();
        self.begin(&mut state);
        self.copy(&mut state, "entries to be flushed", dir, false);
        if dir.starts_with(&self.group) {
            state.dirs.insert(dir.to_owned(), entries_of(dir));
        }
        self.copy(&mut state, "entries flushed", dir, true);
        Ok(())
    }

    fn allocate(&self, file: &File, at: u64, bytes: u64) -> io::Result<()> {
        let mut state = self.lock();
        if self.begin(&mut state) {
            return Err(Errno::ENOSPC.into());
        }
        SystemDisk.allocate(file, at, bytes)
    }

    fn used_percent(&self, _path: &Path) -> io::Result<f64> {
        Ok(self.lock().used_percent)
    }

    fn flush_failed(&self, path: &Path, _error: &io::Error) {
        self.lock().failed.push(path.to_owned());
    }
}

/// Files that are flushed and renamed, or that nothing relies on.
fn is_replaced_whole(name: &OsString) -> bool {
    name != "checkpoint" && name.to_string_lossy().parse::<u64>().is_err()
}

/// Of what changed since `flushed`, the first half is lost, on page boundaries of 512 bytes.
fn scramble(flushed: &[u8], mut now: Vec<u8>) -> Vec<u8> {
    let differs = |at: &usize| flushed.get(*at) != now.get(*at);
    let (first, last) = ((0..now.len()).find(differs), (0..now.len()).rev().find(differs));
    if let (Some(first), Some(last)) = (first, last) {
        let middle = (first + (last - first) / 2).next_multiple_of(512).min(now.len());
        for (at, byte) in now.iter_mut().enumerate().take(middle).skip(first) {
            *byte = flushed.get(at).copied().unwrap_or(0);
        }
    }
    now
}

fn entries_of(dir: &Path) -> BTreeMap<OsString, u64> {
    let entries = fs::read_dir(dir).into_iter().flatten().map(Result::unwrap);
    entries.filter_map(|entry| Some((entry.file_name(), entry.metadata().ok()?.ino()))).collect()
}

fn files_of(dir: &Path) -> Vec<(OsString, PathBuf)> {
    let entries = fs::read_dir(dir).into_iter().flatten().map(Result::unwrap);
    let files = entries.filter(|entry| entry.path().is_file());
    files.map(|entry| (entry.file_name(), entry.path())).collect()
}

fn databases_of(group: &Path) -> Vec<PathBuf> {
    let slices = fs::read_dir(group.join("slices")).into_iter().flatten().map(Result::unwrap);
    let dirs = slices.map(|entry| entry.path()).chain([group.join("tables")]);
    dirs.filter(|dir| dir.join("db").is_file()).collect()
}

/// Copies a folder; what goes away meanwhile is left out.
pub(super) fn copy_all(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).into_iter().flatten().flatten() {
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if from.is_dir() {
            copy_all(&from, &to);
        } else if let Err(error) = fs::copy(&from, &to) {
            assert_eq!(error.kind(), io::ErrorKind::NotFound, "{}", from.display());
        }
    }
}
