//! The names of what is read when somebody asks, and of the limits that are counted.
//!
//! Not what they are read from. Invariant: `ALL` has every value, so that the list of families has every name.

/// A bound on what peers can make the node hold; `transport::Limits` has the table of what happens at each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the settings say what they are")]
pub enum Limit {
    Connections,
    ConnectionInFlight,
    InFlight,
    InFlightBytes,
    FrameBytes,
    HalfReadBytes,
    ConnectionUnsentBytes,
    UnsentBytes,
    Topics,
    Groups,
    WaitingPulls,
    ClientMemberships,
    SubscriptionBytes,
    Positions,
    OrderLocks,
    RegisteredBrokers,
    RegisteredTopics,
    KvConfigBytes,
    LightQueues,
}

impl Limit {
    /// All there are.
    pub const ALL: [Self; 19] = [
        Self::Connections,
        Self::ConnectionInFlight,
        Self::InFlight,
        Self::InFlightBytes,
        Self::FrameBytes,
        Self::HalfReadBytes,
        Self::ConnectionUnsentBytes,
        Self::UnsentBytes,
        Self::Topics,
        Self::Groups,
        Self::WaitingPulls,
        Self::ClientMemberships,
        Self::SubscriptionBytes,
        Self::Positions,
        Self::OrderLocks,
        Self::RegisteredBrokers,
        Self::RegisteredTopics,
        Self::KvConfigBytes,
        Self::LightQueues,
    ];

    /// Its key in `[limits]`, which is the metric's label too.
    #[must_use]
    pub fn setting(self) -> &'static str {
        match self {
            Self::Connections => "connections_max",
            Self::ConnectionInFlight => "connection_in_flight_max",
            Self::InFlight => "in_flight_max",
            Self::InFlightBytes => "in_flight_bytes_max",
            Self::FrameBytes => "frame_bytes_max",
            Self::HalfReadBytes => "half_read_bytes_max",
            Self::ConnectionUnsentBytes => "connection_unsent_bytes_max",
            Self::UnsentBytes => "unsent_bytes_max",
            Self::Topics => "topics_max",
            Self::Groups => "groups_max",
            Self::WaitingPulls => "waiting_pulls_max",
            Self::ClientMemberships => "client_memberships_max",
            Self::SubscriptionBytes => "subscription_bytes_max",
            Self::Positions => "positions_max",
            Self::OrderLocks => "order_locks_max",
            Self::RegisteredBrokers => "registered_brokers_max",
            Self::RegisteredTopics => "registered_topics_max",
            Self::KvConfigBytes => "kv_config_bytes_max",
            Self::LightQueues => "light_queues_max",
        }
    }
}

/// What is read when somebody asks; the names are `rmq_` and this.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gauge {
    /// Open connections of all ports.
    Connections,
    /// Requests without an answer yet.
    RequestsInFlight,
    /// Bytes of frames that have not arrived in full.
    HalfReadBytes,
    /// Bytes of answers that peers have not read.
    UnsentBytes,
    /// Pulls that wait for a message.
    WaitingPulls,
    /// Account files that are wrong, so that what they said before counts.
    BrokenAccountFiles,
    /// When the node's certificate ends, in seconds since 1970.
    CertificateNotAfterSeconds,
    /// Peers that have other accounts under the same counter.
    DifferentAccounts,
}

impl Gauge {
    /// All there are.
    pub const ALL: [Self; 8] = [
        Self::Connections,
        Self::RequestsInFlight,
        Self::HalfReadBytes,
        Self::UnsentBytes,
        Self::WaitingPulls,
        Self::BrokenAccountFiles,
        Self::CertificateNotAfterSeconds,
        Self::DifferentAccounts,
    ];
}

/// What is read of each broker of the node when somebody asks; the names are `rmq_` and this, the label is `group`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupGauge {
    /// 1 if its data cannot be used, else 0.
    Down,
    /// 1 if it stores nothing because the disk is full, else 0.
    ReadOnly,
    /// Places of its log that were found damaged since the start, and are stepped over.
    DamagedPlaces,
    /// Slaves that copy its log.
    Slaves,
    /// What the slave furthest behind has not acknowledged.
    SlaveBehindBytes,
    /// For how long the most silent slave has acknowledged nothing.
    SlaveSilentSeconds,
    /// Of a slave: 1 if it has what its master had a moment ago, else 0.
    InSync,
    /// Of a slave: how much older its log is than its master's at most, as far as that is known.
    BehindSeconds,
    /// Of a slave: bytes that are no records in its master's log, and were copied as they are.
    CopiedHoleBytes,
    /// Of a master: messages with a time of their own that are due within seconds, and those that are late.
    TimersDueSoon,
    /// Of a master: how late the next of these is, in seconds; 0 if it is not.
    TimersLateSeconds,
}

impl GroupGauge {
    /// All there are.
    pub const ALL: [Self; 11] = [
        Self::Down,
        Self::ReadOnly,
        Self::DamagedPlaces,
        Self::Slaves,
        Self::SlaveBehindBytes,
        Self::SlaveSilentSeconds,
        Self::InSync,
        Self::BehindSeconds,
        Self::CopiedHoleBytes,
        Self::TimersDueSoon,
        Self::TimersLateSeconds,
    ];

    pub(super) fn name_and_help(self) -> (&'static str, &'static str) {
        match self {
            Self::Down => ("broker_down", "1 if the broker's data cannot be used: see the log"),
            Self::ReadOnly => ("store_read_only", "1 if the disk is too full to store messages"),
            Self::DamagedPlaces => (
                "log_damaged_places",
                "Places of the log found damaged since the start: what lay there is lost here",
            ),
            Self::Slaves => ("slaves", "Slaves that copy the log"),
            Self::SlaveBehindBytes => (
                "slave_behind_bytes",
                "Bytes of log that the slave furthest behind has not acknowledged",
            ),
            Self::SlaveSilentSeconds => (
                "slave_silent_seconds",
                "For how long the most silent connected slave has acknowledged nothing",
            ),
            Self::InSync => ("copy_in_sync", "1 if this slave's log is as its master's"),
            Self::BehindSeconds => (
                "copy_behind_seconds",
                "How much older this slave's log is than its master's at most",
            ),
            Self::CopiedHoleBytes => (
                "copied_hole_bytes",
                "Bytes that are no records in the master's log, copied as holes since the start",
            ),
            Self::TimersDueSoon => (
                "timers_due_soon",
                "Messages with a time of their own that are due within seconds or late",
            ),
            Self::TimersLateSeconds => (
                "timers_late_seconds",
                "How late the next message with a time of its own is; 0 if it is not",
            ),
        }
    }
}

impl Gauge {
    pub(super) fn name_and_help(self) -> (&'static str, &'static str) {
        match self {
            Self::Connections => ("connections", "Open connections of all ports"),
            Self::RequestsInFlight => ("requests_in_flight", "Requests without an answer yet"),
            Self::HalfReadBytes => ("half_read_bytes", "Bytes of frames not arrived in full"),
            Self::UnsentBytes => ("unsent_bytes", "Bytes of answers that peers have not read"),
            Self::WaitingPulls => ("waiting_pulls", "Pulls that wait for a message"),
            Self::CertificateNotAfterSeconds => (
                "certificate_not_after_seconds",
                "When the node's certificate ends, in seconds since 1970",
            ),
            Self::DifferentAccounts => (
                "acl_drift",
                "Peers with other accounts under the same counter: make the right change once more",
            ),
            Self::BrokenAccountFiles => {
                ("acl_broken_files", "Account files that are wrong: what they said before counts")
            }
        }
    }
}

/// What is reckoned of each broker now and then; the names are `rmq_` and this, the label is `group`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Figure {
    /// 1 if it is the master of its group, else 0.
    Master,
    /// Topics.
    Topics,
    /// Consumer groups.
    Groups,
    /// Light queues.
    LightQueues,
    /// The offset of the first byte of its log.
    LogStartBytes,
    /// The offset behind the last byte of its log.
    LogEndBytes,
    /// What of its log is not on the disk.
    UnflushedBytes,
    /// How old its oldest message is.
    OldestMessageSeconds,
    /// Size of the disk that it is on.
    DiskBytes,
    /// Room on that disk for this process.
    DiskFreeBytes,
    /// The used part of the disk, as `df` says it.
    DiskUsedRatio,
    /// Files of its databases: queues, index and tables.
    SledBytes,
    /// Databases of queues and index.
    SledSlices,
    /// What of these are open.
    SledSlicesOpen,
    /// How long it took to reckon these figures.
    FiguresSeconds,
}

impl Figure {
    /// All there are.
    pub const ALL: [Self; 15] = [
        Self::Master,
        Self::Topics,
        Self::Groups,
        Self::LightQueues,
        Self::LogStartBytes,
        Self::LogEndBytes,
        Self::UnflushedBytes,
        Self::OldestMessageSeconds,
        Self::DiskBytes,
        Self::DiskFreeBytes,
        Self::DiskUsedRatio,
        Self::SledBytes,
        Self::SledSlices,
        Self::SledSlicesOpen,
        Self::FiguresSeconds,
    ];

    pub(super) fn name_and_help(self) -> (&'static str, &'static str) {
        match self {
            Self::Master => ("broker_master", "1 if the broker is the master of its group, else 0"),
            Self::Topics => ("topics", "Topics of the broker"),
            Self::Groups => ("consumer_groups", "Consumer groups of the broker"),
            Self::LightQueues => ("light_queues", "Light queues of the broker"),
            Self::LogStartBytes => ("log_start_bytes", "Offset of the first byte of the log"),
            Self::LogEndBytes => ("log_end_bytes", "Offset behind the last byte of the log"),
            Self::UnflushedBytes => ("log_unflushed_bytes", "Bytes of the log not on the disk yet"),
            Self::OldestMessageSeconds => {
                ("oldest_message_age_seconds", "How old the oldest message of the log is")
            }
            Self::DiskBytes => ("disk_size_bytes", "Size of the disk that the store is on"),
            Self::DiskFreeBytes => ("disk_free_bytes", "Room on the disk for this process"),
            Self::DiskUsedRatio => ("disk_used_ratio", "Used part of the disk, from 0 to 1"),
            Self::SledBytes => ("sled_bytes", "Files of the databases: queues, index and tables"),
            Self::SledSlices => ("sled_slices", "Databases of queues and index"),
            Self::SledSlicesOpen => {
                ("sled_slices_open", "Databases of queues and index that are open")
            }
            Self::FiguresSeconds => {
                ("figures_duration_seconds", "How long it took to reckon the figures of the broker")
            }
        }
    }
}
