//! Every tree of every sled database: keys, values, sizes. All integers are big-endian.
//!
//! `tables/` (one a group, [`tables`]) and `slices/%020d/` (one per 8 GiB of log, [`slices`]). Invariants:
//! no value exceeds 4 KiB; what is here can be made again from the log, the `begin` files and `export/`.

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
}
