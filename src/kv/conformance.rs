//! What every database must do; run by sled and by its twin, and sled's seatbelts under damage.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};

use proptest::prelude::*;
use std::collections::BTreeMap;

use super::{
    Batch, Database, KvError, MemoryDatabase, OpenError, SledDatabase, VALUE_BYTES_MAX, faults,
};
use nix::sys::resource::{RLIM_INFINITY, Resource, setrlimit};

const TREE: &str = "tree";
const IDENTITY: &[u8] = b"me";

fn create(dir: &Path) -> SledDatabase {
    SledDatabase::create(dir, IDENTITY).unwrap()
}

/// Runs a check on an empty database of each kind.
fn on_both(check: impl Fn(&dyn Database)) {
    check(&MemoryDatabase::default());
    let dir = tempfile::tempdir().unwrap();
    check(&create(&dir.path().join("kv")));
}

fn insert(database: &dyn Database, key: &[u8], value: &[u8]) {
    let mut batch = Batch::default();
    batch.insert(key, value);
    database.apply(TREE, batch).unwrap();
}

#[test]
fn trees_are_apart_and_a_later_change_of_a_batch_wins() {
    on_both(|database| {
        let mut batch = Batch::default();
        batch.insert(*b"a", *b"1");
        batch.remove(*b"a");
        batch.insert(*b"b", *b"1");
        batch.insert(*b"b", *b"2");
        assert_eq!(batch.len(), 4);
        database.apply(TREE, batch).unwrap();
        assert_eq!(database.get(TREE, b"a").unwrap(), None);
        assert_eq!(database.get(TREE, b"b").unwrap().unwrap(), b"2");
        assert_eq!(database.get("other", b"b").unwrap(), None);
        database.flush().unwrap();
    });
}

#[test]
fn a_batch_with_a_too_large_value_changes_nothing() {
    on_both(|database| {
        let mut batch = Batch::default();
        batch.insert(*b"a", vec![0; VALUE_BYTES_MAX]);
        batch.insert(*b"b", vec![0; VALUE_BYTES_MAX + 1]);
        assert!(matches!(database.apply(TREE, batch), Err(KvError::TooLarge(4097))));
        assert_eq!(database.get(TREE, b"a").unwrap(), None);
        insert(database, b"a", &[0; VALUE_BYTES_MAX]);
    });
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, ..ProptestConfig::default() })]
    #[test]
    fn both_behave_as_an_ordered_map(
        steps in prop::collection::vec((prop::collection::vec(0u8..4, 0..4), any::<Option<u8>>()), 0..60),
        asked in prop::collection::vec(prop::collection::vec(0u8..4, 0..4), 1..10),
    ) {
        let mut model = BTreeMap::new();
        for (key, value) in &steps {
            match value {
                Some(value) => model.insert(key.clone(), vec![*value]),
                None => model.remove(key),
            };
        }
        on_both(|database| {
            for (key, value) in &steps {
                let mut batch = Batch::default();
                match value {
                    Some(value) => batch.insert(key.clone(), vec![*value]),
                    None => batch.remove(key.clone()),
                }
                database.apply(TREE, batch).unwrap();
            }
            for key in &asked {
                assert_eq!(database.get(TREE, key).unwrap().as_ref(), model.get(key));
                let last = model.range(..=key.clone()).next_back();
                let last = last.map(|(key, value)| (key.clone(), value.clone()));
                assert_eq!(database.last_up_to(TREE, key).unwrap(), last);
                let mut rows = Vec::new();
                let mut visit = |key: &[u8], value: &[u8]| {
                    rows.push((key.to_vec(), value.to_vec()));
                    rows.len() < 5
                };
                database.scan(TREE, key, &mut visit).unwrap();
                let from = model.range(key.clone()..).take(5);
                let expected: Vec<_> = from.map(|(k, v)| (k.clone(), v.clone())).collect();
                assert_eq!(rows, expected);
            }
        });
    }
}

/// A database with many rows, closed.
fn closed_database(dir: &Path) {
    let database = create(dir);
    for part in 0..20u32 {
        let mut batch = Batch::default();
        for row in 0..1000u32 {
            batch.insert((part * 1000 + row).to_be_bytes(), row.to_be_bytes().repeat(20));
        }
        database.apply(TREE, batch).unwrap();
    }
    database.flush().unwrap();
}

#[test]
fn a_database_is_as_it_was_after_reopening_and_knows_whose_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("kv");
    assert!(matches!(SledDatabase::open(&path, IDENTITY), Err(OpenError::Missing)));
    closed_database(&path);
    {
        let database = SledDatabase::open(&path, IDENTITY).unwrap();
        assert!(database.get(TREE, &19_999u32.to_be_bytes()).unwrap().is_some());
        assert!(!path.join("opening").exists());
    }
    assert!(matches!(SledDatabase::open(&path, b"you"), Err(OpenError::Condemned(_))));
    assert!(matches!(SledDatabase::create(&path, IDENTITY), Err(OpenError::Io(_))));
}

#[test]
fn a_torn_snapshot_is_deleted_and_every_row_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("kv");
    closed_database(&path);
    let torn = path.join("snap.FFFFFFFFFFFFFF00.generating");
    fs::write(&torn, b"torn").unwrap();
    let database = SledDatabase::open(&path, IDENTITY).unwrap();
    assert!(!torn.exists());
    let mut rows = 0;
    let mut count = |_: &[u8], _: &[u8]| {
        rows += 1;
        true
    };
    database.scan(TREE, &[], &mut count).unwrap();
    assert_eq!(rows, 20_000);
}

#[test]
fn a_half_deleted_database_is_missing_or_condemned_never_empty() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("kv");
    closed_database(&path);
    fs::remove_file(path.join("db")).unwrap();
    assert!(matches!(SledDatabase::open(&path, IDENTITY), Err(OpenError::Missing)));
    fs::write(path.join("db"), b"").unwrap();
    assert!(matches!(SledDatabase::open(&path, IDENTITY), Err(OpenError::Condemned(_))));
}

#[test]
fn a_database_whose_opening_never_ends_is_condemned_at_the_third_try() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("kv");
    closed_database(&path);
    // One opening that the process did not survive is no reason yet.
    fs::write(path.join("opening"), b"x").unwrap();
    drop(SledDatabase::open(&path, IDENTITY).unwrap());
    assert!(!path.join("opening").exists());
    fs::write(path.join("opening"), b"xx").unwrap();
    let condemned = SledDatabase::open(&path, IDENTITY);
    assert!(matches!(condemned, Err(OpenError::Condemned(why)) if why.contains("never ended")));
}

#[test]
fn a_database_that_panics_when_opened_is_condemned_at_the_third_try() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("kv");
    closed_database(&path);
    for marks in 1..=2 {
        let panicking = || {
            let opened = SledDatabase::open_by(&path, IDENTITY, |_| panic!("as sled does"));
            drop(opened);
        };
        assert!(std::panic::catch_unwind(panicking).is_err());
        assert_eq!(fs::read(path.join("opening")).unwrap().len(), marks);
    }
    assert!(matches!(SledDatabase::open(&path, IDENTITY), Err(OpenError::Condemned(_))));
}

#[test]
fn an_opening_that_fails_without_panic_leaves_no_mark() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("kv");
    closed_database(&path);
    let full = |_: &Path| Err(OpenError::Io(std::io::ErrorKind::StorageFull.into()));
    for _ in 0..3 {
        assert!(matches!(SledDatabase::open_by(&path, IDENTITY, full), Err(OpenError::Io(_))));
    }
    assert!(SledDatabase::open(&path, IDENTITY).is_ok());
}

/// Set for a child of these tests: the folder that it works in.
const CHILD_DIR: &str = "RMQ_NODE_TEST_CHILD_DIR";

/// Runs one of these tests again, in a process of its own that may not write files beyond `blocks` of 512 bytes.
fn run_child(test: &str, dir: &Path, blocks: u32) -> ExitStatus {
    let script = format!("trap '' XFSZ; ulimit -S -f {blocks}; exec \"$0\" \"$@\"");
    let mut command = Command::new("sh");
    command.args(["-c", &script]).arg(std::env::current_exe().unwrap());
    command.args(["--exact", &format!("kv::conformance::{test}"), "--ignored"]);
    command.env(CHILD_DIR, dir).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().unwrap()
}

fn rows(round: u32) -> Batch {
    let mut batch = Batch::default();
    for row in 0..50u32 {
        batch.insert([round.to_be_bytes(), row.to_be_bytes()].concat(), vec![7; 4000]);
    }
    batch
}

#[test]
fn after_an_io_error_a_database_is_opened_again_and_has_all_that_was_flushed() {
    let dir = tempfile::tempdir().unwrap();
    let status = run_child("child_on_a_full_disk", dir.path(), 6000);
    assert!(status.success(), "{status}");
}

#[test]
#[ignore = "a child of the test above"]
fn child_on_a_full_disk() {
    let Ok(dir) = std::env::var(CHILD_DIR) else { return };
    let database = SledDatabase::create(&Path::new(&dir).join("kv"), IDENTITY).unwrap();
    let mut flushed = 0;
    let error = loop {
        let written = database.apply("t", rows(flushed)).and_then(|()| database.flush());
        match written {
            Ok(()) => flushed += 1,
            Err(error) => break error,
        }
        assert!(flushed < 1000, "the limit is reached");
    };
    assert!(matches!(error, KvError::Io(_)), "{error}");
    assert!(flushed > 3, "{flushed}");
    for _ in 0..3 {
        // Opening it again may have made room for one more.
        match database.apply("t", rows(flushed)).and_then(|()| database.flush()) {
            Ok(()) => flushed += 1,
            Err(error) => assert!(matches!(error, KvError::Io(_)), "{error}"),
        }
    }
    setrlimit(Resource::RLIMIT_FSIZE, RLIM_INFINITY, RLIM_INFINITY).unwrap();
    let written = database.apply("t", rows(flushed)).and_then(|()| database.flush());
    written.unwrap();
    let mut count = 0;
    database
        .scan("t", &[], &mut |_, value| {
            count += u32::from(value == vec![7; 4000]);
            true
        })
        .unwrap();
    assert_eq!(count, 50 * (flushed + 1));
}

#[test]
fn what_another_users_error_took_away_is_told_at_the_flush() {
    let dir = tempfile::tempdir().unwrap();
    let database = SledDatabase::create(&dir.path().join("kv"), IDENTITY).unwrap();
    database.apply("t", rows(0)).unwrap();
    // Someone reads, and the disk fails.
    database.break_by_an_io_error();
    let lost = database.flush();
    assert!(matches!(lost, Err(KvError::Io(_))), "{lost:?}");
    database.apply("t", rows(0)).and_then(|()| database.flush()).unwrap();
    database.break_by_an_io_error();
    database.flush().unwrap();
    let first = [0u32.to_be_bytes(), 49u32.to_be_bytes()].concat();
    assert!(database.get("t", &first).unwrap().is_some());
}

#[test]
fn the_error_of_one_user_hides_no_change_of_another() {
    let dir = tempfile::tempdir().unwrap();
    let database = SledDatabase::create(&dir.path().join("kv"), IDENTITY).unwrap();
    let failing = |work: &dyn Fn() -> Result<(), KvError>| {
        faults::set(dir.path(), |_, moment| match moment {
            faults::Moment::Apply => Err(std::io::Error::other("the disk fails")),
            faults::Moment::Flushed => Ok(()),
        });
        assert!(matches!(work(), Err(KvError::Io(_))));
        faults::clear(dir.path());
    };
    database.apply("t", rows(0)).unwrap();
    failing(&|| database.apply_flushed("other", rows(0)));
    let lost = database.flush();
    assert!(matches!(lost, Err(KvError::Io(_))), "{lost:?}");
    database.apply("t", rows(0)).unwrap();
    database.apply_flushed("other", rows(0)).unwrap();
    failing(&|| database.apply("t", rows(1)));
    let first = [0u32.to_be_bytes(), 0u32.to_be_bytes()].concat();
    assert!(database.get("other", &first).unwrap().is_some());
}

#[test]
fn a_failed_flush_ends_the_process() {
    let dir = tempfile::tempdir().unwrap();
    let status = run_child("child_whose_flush_fails", dir.path(), 1 << 20);
    assert_eq!(status.signal(), Some(6), "aborted: {status}");
}

#[test]
#[ignore = "a child of the test above"]
fn child_whose_flush_fails() {
    let Ok(dir) = std::env::var(CHILD_DIR) else { return };
    let database = SledDatabase::create(&Path::new(&dir).join("kv"), IDENTITY).unwrap();
    faults::set(Path::new(&dir), |_, moment| match moment {
        faults::Moment::Flushed => Err(std::io::Error::other("as the kernel says")),
        faults::Moment::Apply => Ok(()),
    });
    database.apply("t", rows(0)).unwrap();
    let _not_reached = database.flush();
}
