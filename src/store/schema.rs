//! Every tree of every sled database: keys, values, sizes. All integers are big-endian.
//!
//! `tables/` and `timers/` (one a group, [`tables`], [`timers`]), `slices/%020d/` (one per 8 GiB of log, [`slices`]).
//! Invariants: no value exceeds 4 KiB; what is here can be made again from the log, the `begin` files and `export/`.

/// `tables/`
pub mod tables {
    /// name -> `id u32 | floor u64 | flags u8 | read queues u32 | write queues u32 | permission u32 | sys flag u32`
    pub const TOPICS: &str = "topics";
    /// Bytes of a topic's value.
    pub const TOPIC_VALUE_BYTES: usize = 4 + 8 + 1 + 4 + 4 + 4 + 4;
    /// name -> `flags u8 | retry queues i32 | retry times i32 | broker id i64 | broker id when slow i64`
    pub const GROUPS: &str = "groups";
    /// Bytes of a group's value.
    pub const GROUP_VALUE_BYTES: usize = 1 + 4 + 4 + 8 + 8;
    /// `topic length u32 | topic | group | queue id u32` -> `flags u8 | generation u64 | offset i64`
    pub const CONSUMER_OFFSETS: &str = "consumer-offsets";
    /// Bytes of a position's value.
    pub const POSITION_VALUE_BYTES: usize = 1 + 8 + 8;
    /// `level i32` -> `offset i64`
    pub const DELAY_OFFSETS: &str = "delay-offsets";
    /// The keys below.
    pub const META: &str = "meta";
    /// `timestamp i64 | counter i64`
    pub const TOPICS_VERSION: &[u8] = b"topics-version";
    /// `timestamp i64 | counter i64`
    pub const GROUPS_VERSION: &[u8] = b"groups-version";
    /// `id u32` that the next new topic gets.
    pub const NEXT_TOPIC_ID: &[u8] = b"next-topic-id";
    /// Where the log ended when positions were last saved: `physical offset u64`.
    pub const SAVED_TO: &[u8] = b"saved-to";
}

/// `timers/`, made when something waits first; values are coded in `timer_rows`.
pub mod timers {
    use crate::kv::VALUE_BYTES_MAX;

    /// Milliseconds of a bucket: the messages of a row are due in the same one.
    pub const BUCKET_MS: i64 = 1000;
    /// `due i64 | physical offset u64` of its first message -> `crc u32 | messages`, each `milliseconds within the
    /// bucket u16 | physical offset u64`; sorted by time, then offset. A message may be in more than one row.
    pub const BUCKETS: &str = "buckets";
    /// Bytes of a row's key.
    pub const KEY_BYTES: usize = 8 + 8;
    /// Bytes of a message.
    pub const TIMER_BYTES: usize = 2 + 8;
    /// Messages of a row.
    pub const ROW_TIMERS: usize = 400;
    /// The key below.
    pub const META: &str = "meta";
    /// Up to where the log is in it: `physical offset u64`.
    pub const WRITTEN_TO: &[u8] = b"written-to";

    const _: () = assert!(4 + ROW_TIMERS * TIMER_BYTES <= VALUE_BYTES_MAX, "a row fits a value");
}

/// `slices/%020d/`; values are coded in `slice_rows`.
pub mod slices {
    use crate::kv::VALUE_BYTES_MAX;

    /// Bytes of a consume-queue entry (ST-030): `physical offset u64 | size u32 | tags code i64`.
    pub const ENTRY_BYTES: usize = 8 + 4 + 8;
    /// Entries of a page: those of queue offsets `page * 128` to `page * 128 + 127`.
    pub const PAGE_ENTRIES: u8 = 128;

    /// `topic id u32 | queue id u32 | page u64` -> `first store time u64 | first slot u8 | count u8 | crc u32 | entries`
    ///
    /// A page may begin in its middle: the queue began there, or the part before is in an older slice. The
    /// CRC covers key and value without itself.
    pub const PAGES: &str = "pages";
    /// Bytes of a page's key.
    pub const PAGE_KEY_BYTES: usize = 4 + 4 + 8;
    /// Bytes of a page's value before the entries.
    pub const PAGE_HEAD_BYTES: usize = 8 + 1 + 1 + 4;

    /// Bytes of a key-index entry: `hash u32 | physical offset u64`.
    pub const KEY_ENTRY_BYTES: usize = 4 + 8;
    /// Entries of a chunk of a run.
    pub const CHUNK_ENTRIES: usize = 340;
    /// Keys of a run, about.
    pub const RUN_ENTRIES: usize = 1 << 16;

    /// `run's first offset u64 | first hash u32 | first physical offset u64` -> `crc u32 | entries`, sorted; and a row
    /// for the run itself, whose hash and physical offset are all ones (no key's hash is), behind its chunks:
    /// -> `crc u32 | last offset u64 | first store time u64 | last store time u64 | count u32`
    pub const RUNS: &str = "runs";
    /// Bytes of the key of a chunk or run.
    pub const RUN_KEY_BYTES: usize = 8 + 4 + 8;

    /// `topic id u32 | queue id u32` -> `next offset u64 | last end u64 | floor u64 | first offset u64 | first
    /// physical offset u64 | crc u32`, of the queues that got entries in this slice.
    pub const TAILS: &str = "tails";
    /// Bytes of a tail.
    pub const TAIL_BYTES: usize = 5 * 8 + 4;

    /// The key below.
    pub const META: &str = "meta";
    /// Up to where the log is in the slice: `physical offset u64`.
    pub const WRITTEN_TO: &[u8] = b"written-to";

    const _: () = assert!(
        PAGE_HEAD_BYTES + ENTRY_BYTES * PAGE_ENTRIES as usize <= VALUE_BYTES_MAX,
        "a page fits a value"
    );
    const _: () =
        assert!(4 + CHUNK_ENTRIES * KEY_ENTRY_BYTES <= VALUE_BYTES_MAX, "a chunk fits a value");
}
