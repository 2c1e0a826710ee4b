//! The twin of the sled database that keeps everything in memory, for tests and simulation.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{Batch, Database, KvError, Row};

type Trees = HashMap<&'static str, BTreeMap<Vec<u8>, Vec<u8>>>;

/// A database that is gone with its last handle.
#[derive(Debug, Default)]
pub struct MemoryDatabase {
    trees: Mutex<Trees>,
}

impl MemoryDatabase {
    fn lock(&self) -> MutexGuard<'_, Trees> {
        self.trees.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Database for MemoryDatabase {
    fn get(&self, tree: &'static str, key: &[u8]) -> Result<Option<Vec<u8>>, KvError> {
        Ok(self.lock().get(tree).and_then(|rows| rows.get(key)).cloned())
    }

    fn last_up_to(&self, tree: &'static str, key: &[u8]) -> Result<Option<Row>, KvError> {
        let trees = self.lock();
        let up_to = (Bound::Unbounded, Bound::Included(key));
        let last = trees.get(tree).and_then(|rows| rows.range::<[u8], _>(up_to).next_back());
        Ok(last.map(|(key, value)| (key.clone(), value.clone())))
    }

    fn scan(
        &self,
        tree: &'static str,
        from: &[u8],
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), KvError> {
        let trees = self.lock();
        if let Some(rows) = trees.get(tree) {
            let from = (Bound::Included(from), Bound::Unbounded);
            let _ended_early = rows.range::<[u8], _>(from).all(|(key, value)| visit(key, value));
        }
        Ok(())
    }

    fn apply(&self, tree: &'static str, batch: Batch) -> Result<(), KvError> {
        batch.check()?;
        let mut trees = self.lock();
        let rows = trees.entry(tree).or_default();
        for (key, value) in batch.changes {
            match value {
                Some(value) => rows.insert(key, value),
                None => rows.remove(&key),
            };
        }
        Ok(())
    }

    fn apply_flushed(&self, tree: &'static str, batch: Batch) -> Result<(), KvError> {
        self.apply(tree, batch)
    }

    fn flush(&self) -> Result<(), KvError> {
        Ok(())
    }
}
