//! rmq-node: RocketMQ 4.9 as one process. This page is the map of the crate.
//!
//! Layers, lowest first; a module uses only modules of lower layers (`tests/it/tidy.rs` holds the
//! graph as a table and fails when it is broken).
//!
//! | level | module | what it does |
//! | --- | --- | --- |
//! | 0 | [`clock`] | time behind a handle, so that tests can move it, and the host's time zone |
//! | 0 | [`files`] | replacing a file as a whole |
//! | 0 | [`metrics`] | the registry and every metric's name |
//! | 0 | [`model`] | the nouns: topics, queues, offsets, permissions |
//! | 0 | [`proto`] | the admin plane's messages and services, generated |
//! | 0 | [`systemd`] | readiness, status and watchdog |
//! | 1 | [`config`] | files, environment and flags into one checked value |
//! | 1 | [`message`] | a message exactly as it lies in the log and in a pull answer |
//! | 1 | [`remoting`] | 4.9 commands: bytes in, values out, no I/O |
//! | 1 | [`task`] | spawning, and what a task's end means |
//! | 2 | [`acl`] | who signed a command and what they may do |
//! | 2 | [`filter`] | does a message match a subscription |
//! | 2 | [`kv`] | sled behind one small trait; nothing else names sled |
//! | 2 | [`transport`] | moves commands over TCP, both ways, with limits |
//! | 3 | [`admin`] | every operator action on a cluster |
//! | 3 | [`bench`](mod@bench) | the load generator |
//! | 3 | [`nameserver`] | which brokers serve which topics |
//! | 3 | [`store`] | commit log, consume queues, key index, offsets, tables |
//! | 4 | [`console`] | web pages over the admin facade, and `/metrics` |
//! | 4 | [`replication`] | copies a master's log to its slaves |
//! | 5 | [`broker`] | answers producers, consumers and tools |
//! | 6 | [`node`] | builds all roles, starts and stops them in a listed order |
//! | 7 | [`demo`] | a pair on this machine, killed under load, with a count |
//! | 8 | [`cli`] | arguments and output |
//!
//! # The way of a message
//!
//! 1. A socket is read by its connection's task: `transport/driver.rs`.
//! 2. The frame becomes a command: `remoting/command.rs`, its header by `remoting/header_json.rs` or
//!    `remoting/header_binary.rs`.
//! 3. The broker finds who answers the request's code, checks it and hands the message to the store:
//!    `broker/requests.rs`, `broker/send.rs`.
//! 4. The message becomes a record (`message/record.rs`), which is appended to the log together with whatever
//!    else waits: `store/log/append.rs`. With `flush = "sync"` the answer waits for the disk:
//!    `store/log/flush.rs`; with `replication = "sync"` for slaves: `store/log/replicas.rs`.
//! 5. Followers of the log put it into its consume queue and the key index: `store/dispatch.rs`,
//!    `store/consume_queue.rs`, `store/key_index.rs`.
//! 6. A pull finds the queue's entries and gets the bytes of the log as they lie there: `broker/pull.rs`,
//!    `store/reading.rs`. One that finds nothing waits in `broker/long_polling.rs`.
//!
//! Who knows which broker has a topic is in `nameserver/route_table.rs`. Everything is put together, and taken
//! down, in `node/mod.rs`, which is two numbered lists.
//!
//! # Where something new goes
//!
//! | what | where, besides its code |
//! | --- | --- |
//! | a setting | `config/settings.rs`; `conf/rmq-node.toml`, with its default; `config/changes.rs`, if a reload takes it |
//! | a request code | `broker/requests.rs` or `nameserver/requests.rs`; `acl/needs.rs`; `tests/it/codes.rs` |
//! | a command of operators, a method of the admin API | `admin/mod.rs` has the steps |
//! | a word of a console page | `console/text_zh.rs` |
//! | a metric | `metrics/names.rs` or `metrics/figures.rs` |
//! | a help text | `rmq-node generate packaging` makes man pages, completions and lists anew |
//!
//! Tests fail where a row, a word or a page was forgotten.
//!
//! # Numbers in comments
//!
//! `B-176`, `ST-051`, `contract 3.14` and the like number what was found out about 4.9.4, in its source and from its
//! processes, before this was written. The list is not part of the repository: what a number stands for is said
//! beside it, and `tests/golden` has the bytes. Numbers alone, as in "sends (10, 310)", are request codes.

pub mod acl;
pub mod admin;
pub mod bench;
pub mod broker;
pub mod cli;
pub mod clock;
pub mod config;
pub mod console;
pub mod demo;
pub mod files;
pub mod filter;
pub mod kv;
pub mod message;
pub mod metrics;
pub mod model;
pub mod nameserver;
pub mod node;
pub mod proto;
pub mod remoting;
pub mod replication;
pub mod store;
pub mod systemd;
pub mod task;
pub mod transport;
