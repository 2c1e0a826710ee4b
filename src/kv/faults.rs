//! Where tests put faults into databases: what is asked before a change and after a flush, by folder.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// When a test is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    /// Before a change; an error is taken for sled's.
    Apply,
    /// After a flush; an error is taken for the flush's.
    Flushed,
}

type Hook = Arc<dyn Fn(&Path, Moment) -> io::Result<()> + Send + Sync>;

static HOOKS: Mutex<Vec<(PathBuf, Hook)>> = Mutex::new(Vec::new());

/// Sets what is asked for the databases below a folder, in place of what was set before.
pub(crate) fn set(
    dir: &Path,
    hook: impl Fn(&Path, Moment) -> io::Result<()> + Send + Sync + 'static,
) {
    clear(dir);
    HOOKS.lock().unwrap_or_else(PoisonError::into_inner).push((dir.to_owned(), Arc::new(hook)));
}

/// Nothing is asked any more for the databases below a folder.
pub(crate) fn clear(dir: &Path) {
    HOOKS.lock().unwrap_or_else(PoisonError::into_inner).retain(|(below, _)| below != dir);
}

pub(super) fn ask(dir: &Path, moment: Moment) -> io::Result<()> {
    let hook = {
        let hooks = HOOKS.lock().unwrap_or_else(PoisonError::into_inner);
        hooks.iter().find(|(below, _)| dir.starts_with(below)).map(|(_, hook)| Arc::clone(hook))
    };
    hook.map_or(Ok(()), |hook| hook(dir, moment))
}
