//! Stores of 4.9.4, built here file by file, and what becomes of them: everything keeps its place, and nothing of the
//! old store changes.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;

use super::adopt::{Adopted, Adoption};
use super::fault_tests::messages;
use super::java_store::JavaStore;
use super::store_tests::{World, message};
use super::tables::export;
use super::{PullStatus, StartTopics};
use crate::message::Record;
use crate::model::{PhysicalOffset, QueueId, QueueOffset, TopicConfig, TopicName, system};

/// Entries in a file of a consume queue here; 4.9.4 has 300 000 (ST-031).
const ENTRIES: usize = 10;
/// What fills a segment of 64 KiB with 15 messages.
const BODY_BYTES: usize = 4000;

/// The folder of a broker of 4.9.4.
struct Java {
    dir: PathBuf,
    /// The store whose log it has; it holds the folder.
    origin: World,
}

impl Java {
    /// A broker that had some messages and positions, and stopped in order.
    fn new() -> Self {
        let mut origin = World::new();
        let topics = &origin.store().tables().topics;
        for topic in ["Old", "T"] {
            topics.put(TopicConfig::new(TopicName::new(topic), 2));
        }
        for number in 0..23 {
            origin.append("Old", 1, &body("old", number));
        }
        for number in 0..60 {
            origin.append("T", number % 2, &body("new", number));
        }
        origin.append(system::SCHEDULE_TOPIC, 2, "delayed");
        let tables = origin.store().tables();
        tables.consumer_offsets.commit("T", "G", QueueId(0), 7);
        tables.consumer_offsets.commit("Old", "G", QueueId(1), 23);
        tables.delay_offsets.replace_all(BTreeMap::from([(3, 0)]));
        let queues = [("Old", 1), ("T", 0), ("T", 1)]
            .map(|(topic, queue)| (topic, queue, entries(&origin, topic, queue)));
        assert!(origin.store().stop());
        origin.kill();
        let dir = origin.group_dir().with_file_name("store");
        for folder in ["commitlog", "config", "index"] {
            fs::create_dir_all(dir.join(folder)).unwrap();
        }
        for (from, to) in [("commitlog", "commitlog"), ("export", "config")] {
            for entry in fs::read_dir(origin.group_dir().join(from)).unwrap() {
                let path = entry.unwrap().path();
                fs::copy(&path, dir.join(to).join(path.file_name().unwrap())).unwrap();
            }
        }
        for (topic, queue, entries) in queues {
            write_queue(&dir.join("consumequeue").join(topic).join(queue.to_string()), &entries);
        }
        fs::write(dir.join("checkpoint"), [0; 4096]).unwrap();
        File::create(dir.join("lock")).unwrap().set_len(1).unwrap();
        Self { dir, origin }
    }

    fn open(&self) -> Result<JavaStore, String> {
        JavaStore::open(&self.dir).map_err(|error| error.to_string())
    }

    fn refused(&self) -> String {
        self.open().unwrap_err()
    }

    fn segment(&self, number: u64) -> PathBuf {
        let start = number * self.origin.options.segment_bytes;
        self.dir.join("commitlog").join(format!("{start:020}"))
    }

    /// Every file with its content, and what a rename or a write would change.
    fn files(&self) -> BTreeMap<PathBuf, (Vec<u8>, u64, i64)> {
        let (mut found, mut folders) = (BTreeMap::new(), vec![self.dir.clone()]);
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                let file = fs::metadata(&path).unwrap();
                if file.is_dir() {
                    folders.push(path);
                } else {
                    found.insert(
                        path.clone(),
                        (fs::read(&path).unwrap(), file.ino(), file.mtime_nsec()),
                    );
                }
            }
        }
        found
    }

    /// Adopts it into a new store, which is then open.
    fn adopt(&self, copy: bool) -> (World, Adopted) {
        let mut world = World::closed(|_| {});
        fs::create_dir(world.group_dir()).unwrap();
        let before = self.files();
        let (source, start) = (self.open().unwrap(), StartTopics::new("C", "broker-a"));
        let owner_uid = fs::metadata(&self.dir).unwrap().uid();
        let adoption = Adoption { source: &source, options: &world.options, owner_uid, copy };
        let adopted = adoption.run(&start, &world.clock, &|_| {}).unwrap();
        assert_eq!(self.files(), before, "nothing of the source changes");
        world.open().unwrap();
        (world, adopted)
    }

    /// Takes topics out of `topics.json`.
    fn forget_topic(&self, name: &str) {
        let path = self.dir.join("config").join(export::TOPICS_FILE);
        let (version, topics) = export::parse_topics(&fs::read_to_string(&path).unwrap()).unwrap();
        let kept = topics.into_iter().filter(|topic| topic.name.as_str() != name);
        let kept: Vec<_> = kept.map(std::sync::Arc::new).collect();
        fs::write(path, export::topics_text(version, &kept)).unwrap();
    }
}

fn body(word: &str, number: u32) -> String {
    format!("{word}-{number}-{}", "x".repeat(BODY_BYTES))
}

/// Physical offset and size of each message of a queue.
fn entries(world: &World, topic: &str, queue: u32) -> Vec<(u64, u32)> {
    let (mut found, mut offset) = (Vec::new(), 0);
    loop {
        let pulled = world.pull(topic, queue, offset);
        if pulled.status != PullStatus::Found {
            return found;
        }
        let mut rest = pulled.body.as_ref();
        while !rest.is_empty() {
            let record = Record::parse(rest).unwrap();
            let size = u32::try_from(record.bytes().len()).unwrap();
            found.push((record.physical_offset().0, size));
            rest = &rest[record.bytes().len()..];
        }
        offset = pulled.next_offset.to_wire();
    }
}

/// The files of a consume queue, the newest one filled in part (ST-030, ST-031).
fn write_queue(folder: &Path, entries: &[(u64, u32)]) {
    fs::create_dir_all(folder).unwrap();
    for (number, part) in entries.chunks(ENTRIES).enumerate() {
        let file = File::create(folder.join(format!("{:020}", number * ENTRIES * 20))).unwrap();
        file.set_len(ENTRIES as u64 * 20).unwrap();
        for (at, (physical, size)) in (0..).zip(part) {
            let entry = [&physical.to_be_bytes()[..], &size.to_be_bytes(), &[0; 8]].concat();
            file.write_all_at(&entry, at * 20).unwrap();
        }
    }
}

fn next_offsets(world: &World) -> [u64; 3] {
    [("Old", 1), ("T", 0), ("T", 1)]
        .map(|(topic, queue)| world.store().max_offset(topic, QueueId(queue)).0)
}

#[test]
fn everything_keeps_its_place() {
    let mut java = Java::new();
    for copy in [false, true] {
        let (world, adopted) = java.adopt(copy);
        let segments = usize::try_from(adopted.log.1 / world.options.segment_bytes).unwrap();
        let linked = if copy { 0 } else { segments };
        assert_eq!((adopted.linked, adopted.copied), (linked, segments + 1 - linked));
        assert_eq!((adopted.positions, adopted.damaged, adopted.is_cut), (2, 0, false));
        java.origin.reopen();
        assert_eq!(world.store().log_range(), java.origin.store().log_range());
        for (topic, queue) in [("Old", 1), ("T", 0), ("T", 1)] {
            assert_eq!(messages(&world, topic, queue), messages(&java.origin, topic, queue));
        }
        for world in [&world, &java.origin] {
            let found = world.store().query(
                "T",
                &format!("key-{}", &body("new", 9)[..20]),
                9,
                0..=i64::MAX,
            );
            assert_eq!(found.unwrap().records.len(), 1, "by key");
            let offsets = &world.store().tables().consumer_offsets;
            assert_eq!(offsets.query("T", "G", QueueId(0)), Some(7));
            assert_eq!(world.store().tables().topics.get("T").unwrap().write_queues, 2);
            assert_eq!(world.pull(system::SCHEDULE_TOPIC, 2, 0).count, 1);
        }
        java.origin.kill();
    }
}

#[test]
fn a_queue_whose_messages_are_gone_goes_on_where_it_was() {
    let java = Java::new();
    for number in 0..2 {
        fs::remove_file(java.segment(number)).unwrap();
    }
    let source = java.open().unwrap();
    let idle: Vec<_> =
        source.idle_queues.iter().map(|queue| (queue.topic.as_str(), queue.next)).collect();
    assert_eq!(idle, [("Old", 23)]);
    drop(source);
    let (mut world, _) = java.adopt(false);
    for _ in 0..2 {
        assert_eq!(next_offsets(&world), [23, 30, 30]);
        let position = world.store().tables().consumer_offsets.query("Old", "G", QueueId(1));
        assert_eq!(position, Some(23), "it is not ahead of its queue");
        let pulled = world.pull("Old", 1, 23);
        assert_eq!((pulled.min_offset, pulled.max_offset), (QueueOffset(23), QueueOffset(23)));
        world.reopen();
    }
    assert_eq!(world.append("Old", 1, "next").queue_offset, QueueOffset(23));
    world.reopen();
    assert_eq!(world.bodies("Old", 1), ["next"]);
}

#[test]
fn a_deleted_topic_stays_deleted_unless_the_broker_was_killed() {
    let java = Java::new();
    java.forget_topic("Old");
    let (world, adopted) = java.adopt(false);
    assert_eq!(adopted.deleted_topics, ["Old"]);
    assert_eq!(next_offsets(&world), [0, 30, 30]);
    fs::write(java.dir.join("abort"), "").unwrap();
    let (world, adopted) = java.adopt(false);
    assert!(adopted.deleted_topics.is_empty(), "its configuration may not have reached the disk");
    assert_eq!(next_offsets(&world), [23, 30, 30]);
}

#[test]
fn a_torn_tail_is_kept_aside_and_what_is_only_made_ready_is_left() {
    let java = Java::new();
    let newest = java.open().unwrap().segments.last().unwrap().clone();
    let end = java.adopt(false).1.log.1;
    let file = File::options().write(true).open(&newest.path).unwrap();
    let torn = message("T", 0, "torn");
    file.write_all_at(&crate::message::encode(&torn).unwrap()[..60], end - newest.start).unwrap();
    let next = newest.start / java.origin.options.segment_bytes + 1;
    File::create(java.segment(next)).unwrap().set_len(java.origin.options.segment_bytes).unwrap();
    File::create(java.segment(next + 1)).unwrap();
    let (world, adopted) = java.adopt(false);
    assert!(adopted.is_cut);
    assert_eq!(adopted.log.1, end);
    assert!(world.group_dir().join(format!("cut-{end:020}")).exists());
    assert_eq!(world.append("T", 0, "x").physical_offset, PhysicalOffset(end));
}

#[test]
fn a_shared_file_becomes_a_copy_before_it_is_written_to() {
    let java = Java::new();
    let (mut world, adopted) = java.adopt(false);
    let slice = world.options.slice_bytes;
    let segment = adopted.log.1 / slice * slice / world.options.segment_bytes;
    assert!(
        adopted.log.1 > (segment + 1) * world.options.segment_bytes,
        "the log ends in a later one"
    );
    let at = entries(&world, "T", 0).into_iter().map(|(at, _)| at);
    let at = at.filter(|at| *at > segment * world.options.segment_bytes).min().unwrap();
    let shared = world.file_of(at).0;
    assert_eq!(fs::metadata(&shared).unwrap().nlink(), 2);
    let before = java.files();
    world.store().cut_at_next_open(PhysicalOffset(at)).unwrap();
    world.reopen();
    assert_eq!(world.store().log_range().1, PhysicalOffset(at));
    assert_eq!(fs::metadata(&shared).unwrap().nlink(), 1);
    world.append("T", 0, "other");
    assert_eq!(java.files(), before);
}

#[test]
fn a_running_broker_is_refused_and_a_stopped_one_kept_from_starting_b011() {
    let java = Java::new();
    let lock = File::options().write(true).open(java.dir.join("lock")).unwrap();
    let narrow = |value: libc::c_int| i16::try_from(value).unwrap();
    let set = |kind| {
        // As 4.9.4 does, the first byte.
        let (l_type, l_whence) = (narrow(kind), narrow(libc::SEEK_SET));
        let range = libc::flock { l_type, l_whence, l_start: 0, l_len: 1, l_pid: 0 };
        fcntl(&lock, FcntlArg::F_OFD_SETLK(&range))
    };
    set(libc::F_WRLCK).unwrap();
    let refused = java.refused();
    assert!(refused.contains("lock: the broker of this store runs (another process)"), "{refused}");
    set(libc::F_UNLCK).unwrap();
    let held = java.open().unwrap();
    set(libc::F_WRLCK).unwrap_err();
    drop(held);
    set(libc::F_WRLCK).unwrap();
}

#[test]
fn another_layout_is_refused_with_what_to_do() {
    let java = Java::new();
    let says = |text: &str| {
        let refused = java.refused();
        assert!(refused.contains(text), "{refused}");
    };
    for (folder, text) in
        [("dledger-n0", "the log of a DLedger group"), ("timerwheel", "is RocketMQ 5's")]
    {
        fs::create_dir(java.dir.join(folder)).unwrap();
        says(text);
        fs::remove_dir(java.dir.join(folder)).unwrap();
    }
    let aside = java.dir.join("aside");
    for (path, text) in [
        (java.dir.join("config"), "there is no folder config: give the broker's storePathRootDir"),
        (java.dir.join("commitlog"), "there is no folder commitlog"),
        (java.segment(2), "00000000000000131072: this file of the log is missing"),
        (java.dir.join("config/topics.json"), "topics.json: no topics are there"),
    ] {
        fs::rename(&path, &aside).unwrap();
        says(text);
        fs::rename(&aside, &path).unwrap();
    }
    let file = File::options().read(true).write(true).open(java.segment(1)).unwrap();
    let bytes = file.metadata().unwrap().len();
    file.set_len(bytes / 2).unwrap();
    says("32768 bytes, but the oldest file of the log has 65536");
    file.set_len(bytes).unwrap();
    // The magic of RocketMQ 5's records with long topics.
    file.write_all_at(&0xDAA3_20AB_u32.to_be_bytes(), 4).unwrap();
    says("it does not begin with a message of 4.9 of that offset");
}

#[test]
fn the_table_before_is_taken_where_one_cannot_be_read() {
    let java = Java::new();
    let path = java.dir.join("config").join(export::CONSUMER_OFFSETS_FILE);
    fs::copy(&path, path.with_extension("json.bak")).unwrap();
    fs::write(&path, "{\"offsetTable\":{\"T@G").unwrap();
    assert_eq!(java.adopt(false).1.positions, 2);
    assert!(java.open().unwrap().is_whole);
    fs::remove_file(path.with_extension("json.bak")).unwrap();
    let refused = java.refused();
    assert!(
        refused.contains("consumerOffset.json: neither it nor its .bak is a table"),
        "{refused}"
    );
    fs::remove_file(path).unwrap();
    assert_eq!(java.adopt(false).1.positions, 0);
}

#[test]
fn positions_are_taken_from_where_light_queues_had_them() {
    let java = Java::new();
    let config = java.dir.join("config");
    let light = config.join(export::LIGHT_CONSUMER_OFFSETS_FILE);
    let text = "{\"lmqOffsetTable\":{\"%LMQ%a@%LMQ%g\":7},\"offsetTable\":{\"T@G\":{0:1,1:2}}}";
    fs::write(&light, text).unwrap();
    let other =
        File::options().write(true).open(config.join(export::CONSUMER_OFFSETS_FILE)).unwrap();
    let now = fs::metadata(&light).unwrap().modified().unwrap();
    let second = std::time::Duration::from_secs(1);
    other.set_modified(now - second).unwrap();
    assert_eq!(java.adopt(false).1.positions, 3);
    other.set_modified(now + second).unwrap();
    assert_eq!(java.adopt(false).1.positions, 2, "light queues were switched off since");
}

#[test]
fn a_copy_has_the_holes_of_its_source() {
    let dir = tempfile::tempdir().unwrap();
    let [from, to] = ["from", "to"].map(|name| dir.path().join(name));
    let file = File::create(&from).unwrap();
    file.set_len(64 << 20).unwrap();
    file.write_all_at(b"first", 0).unwrap();
    file.write_all_at(b"middle", 40 << 20).unwrap();
    super::adopt::copy(&from, &to, 64 << 20, &|_| {}).unwrap();
    assert!(fs::read(&from).unwrap() == fs::read(&to).unwrap());
    assert!(fs::metadata(&to).unwrap().blocks() * 512 < 8 << 20, "the holes stay holes");
    super::adopt::copy(&from, &to, 64 << 20, &|_| {}).unwrap_err();
}
