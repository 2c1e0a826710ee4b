//! Bits of a stored message's `sysFlag` (ST-010).

/// The body is compressed.
pub const COMPRESSED: i32 = 0x1;
/// The topic's filter type is `MULTI_TAG`.
pub const MULTI_TAGS: i32 = 0x2;
/// Both transaction bits; 0 is an ordinary message.
pub const TRANSACTION_MASK: i32 = 0xC;
/// A prepared (half) transactional message.
pub const TRANSACTION_PREPARED: i32 = 0x4;
/// A committed transactional message.
pub const TRANSACTION_COMMIT: i32 = 0x8;
/// A rolled-back transactional message.
pub const TRANSACTION_ROLLBACK: i32 = 0xC;
/// The born host is an IPv6 address.
pub const BORN_HOST_V6: i32 = 0x10;
/// The store host is an IPv6 address.
pub const STORE_HOST_V6: i32 = 0x20;
