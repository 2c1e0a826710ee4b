//! Files of a 4.9.4 broker whose store is taken over: whatever stands in them, no panic; a table that was read is read the
//! same from what we write of it. The first byte says which file it is.

use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock};

use rmq_node::store::java_store::JavaStore;
use rmq_node::store::tables::export::{
    CONSUMER_OFFSETS_FILE, DELAY_OFFSETS_FILE, GROUPS_FILE, TOPICS_FILE, consumer_offsets_text,
    delay_offsets_text, groups_text, parse_consumer_offsets, parse_delay_offsets, parse_groups,
    parse_topics, topics_text,
};

/// The names of the tables' files, in the order of the first bytes that stand for them.
const TABLES: [&str; 4] = [TOPICS_FILE, GROUPS_FILE, CONSUMER_OFFSETS_FILE, DELAY_OFFSETS_FILE];
/// A broker's topics, where they are not what is looked at.
const TOPICS: &str = r#"{"topicConfigTable":{"T":{"topicName":"T"}}}"#;

/// The store; its files are written for each input, and `run` removes the folder.
static DIR: LazyLock<PathBuf> = LazyLock::new(|| {
    let dir = tempfile::tempdir().expect("a folder").keep();
    for folder in ["commitlog", "config", "consumequeue/T/0"] {
        fs::create_dir_all(dir.join(folder)).expect("a folder");
    }
    dir
});

pub fn run(bytes: &[u8]) {
    let Some((which, content)) = bytes.split_first() else { return };
    match which % 8 {
        6 => files(content),
        7 => {
            let table = TABLES[usize::from(which / 8) % TABLES.len()];
            with_table(table, content);
        }
        table => tables(table % 4, &String::from_utf8_lossy(content)),
    }
}

fn tables(which: u8, text: &str) {
    match which {
        0 => {
            let Ok((version, topics)) = parse_topics(text) else { return };
            let all: Vec<_> = topics.iter().cloned().map(Arc::new).collect();
            let again = parse_topics(&topics_text(version, &all)).expect("our own table");
            assert_eq!(again, (version, topics));
        }
        1 => {
            let Ok((version, groups)) = parse_groups(text) else { return };
            let all: Vec<_> = groups.iter().cloned().map(Arc::new).collect();
            let again = parse_groups(&groups_text(version, &all)).expect("our own table");
            assert_eq!(again, (version, groups));
        }
        2 => {
            let Ok(table) = parse_consumer_offsets(text) else { return };
            let again = parse_consumer_offsets(&consumer_offsets_text(&table));
            assert_eq!(again.expect("our own table"), table);
        }
        _ => {
            let Ok(table) = parse_delay_offsets(text) else { return };
            let again = parse_delay_offsets(&delay_offsets_text(&table));
            assert_eq!(again.expect("our own table"), table);
        }
    }
}

/// A store with these bytes as one of its tables.
fn with_table(name: &str, content: &[u8]) {
    for table in TABLES {
        let _any = fs::remove_file(DIR.join("config").join(table));
    }
    write("config/topics.json", TOPICS.as_bytes());
    write(&format!("config/{name}"), content);
    open();
}

/// A store whose log and queue begin with these bytes: of the log as many as the first byte says, times 16.
fn files(content: &[u8]) {
    let Some((log_bytes, content)) = content.split_first() else { return };
    let (log, queue) = content.split_at((usize::from(*log_bytes) * 16).min(content.len()));
    write("config/topics.json", TOPICS.as_bytes());
    // The second file of a log whose first one is expired.
    for entry in fs::read_dir(DIR.join("commitlog")).expect("a folder") {
        fs::remove_file(entry.expect("a file").path()).expect("a file");
    }
    let mut log = log.to_vec();
    let start = log.len() as u64;
    if let Some(offset) = log.get_mut(28..36) {
        offset.copy_from_slice(&start.to_be_bytes());
    }
    write(&format!("commitlog/{start:020}"), &log);
    write("consumequeue/T/0/00000000000000000000", queue);
    open();
}

fn write(name: &str, content: &[u8]) {
    fs::write(DIR.join(name), content).expect("a file");
}

fn open() {
    match JavaStore::open(&DIR) {
        Ok(store) => assert!(store.topics.contains("T") || !store.topics.is_empty()),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}
