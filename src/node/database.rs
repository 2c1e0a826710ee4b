//! The node's own database, `node/kv` in the data directory: what belongs to no role: the console's users, and its history.
//!
//! Not messages or anything of a broker. Invariant: one that is damaged is put aside and told of, and a new one begins.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::Arc;

use crate::kv::{self, Database, OpenError, SledDatabase};

const FOLDER: &str = "node";
const NAME: &str = "kv";
const IDENTITY: &[u8] = b"node 1";
/// Nobody else reads hashes of passwords.
const DIR_MODE: u32 = 0o700;

/// Opens it, or makes it. Blocks.
///
/// # Errors
/// What the system says.
pub fn open(data_dir: &Path) -> io::Result<Arc<dyn Database>> {
    let folder = data_dir.join(FOLDER);
    DirBuilder::new().recursive(true).mode(DIR_MODE).create(&folder)?;
    let path = folder.join(NAME);
    let opened = match SledDatabase::open(&path, IDENTITY) {
        Err(OpenError::Missing) => {
            // What a start that was killed left of it.
            remove(&path)?;
            SledDatabase::create(&path, IDENTITY)
        }
        Err(OpenError::Condemned(reason)) => {
            tracing::error!(
                "the database of the console's users is damaged ({reason}), it is in {}.damaged now: a new one begins",
                path.display()
            );
            kv::set_aside(&path)?;
            SledDatabase::create(&path, IDENTITY)
        }
        opened => opened,
    };
    Ok(Arc::new(opened?))
}

fn remove(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kv::Batch;

    #[test]
    fn it_is_there_again_and_a_damaged_one_is_put_aside() {
        let dir = tempfile::tempdir().unwrap();
        let database = open(dir.path()).unwrap();
        let mut batch = Batch::default();
        batch.insert("a", "1");
        database.apply("tree", batch).unwrap();
        database.flush().unwrap();
        drop(database);
        let database = open(dir.path()).unwrap();
        assert_eq!(database.get("tree", b"a").unwrap().as_deref(), Some(b"1".as_slice()));
        drop(database);
        // Two openings that never ended condemn it.
        fs::write(dir.path().join("node/kv/opening"), "xx").unwrap();
        let database = open(dir.path()).unwrap();
        assert_eq!(database.get("tree", b"a").unwrap(), None);
        assert!(dir.path().join("node/kv.damaged").is_dir());
    }
}
