//! Bodies of requests and answers, in fastjson's dialect and between our own nodes: whatever the bytes, no panic; what
//! was read is read the same from what we write of it. The first byte says which body it is.

use std::fmt::Debug;
use std::io::Write as _;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::ZlibEncoder;
use rmq_node::remoting::DecodeError;
use rmq_node::remoting::bodies::client_calls::{ConsumerStatus, consumer_statuses};
use rmq_node::remoting::bodies::dial_back::{
    DialBack, PORTS_MAX, dial_back_request, parse_dial_back_request,
};
use rmq_node::remoting::bodies::extension::{
    self, AccountsOffer, CancelTimer, EpochRow, Hello, Positions,
};
use rmq_node::remoting::bodies::heartbeat::{Heartbeat, SubscriptionData};
use rmq_node::remoting::bodies::offsets::{
    consumer_offsets, delay_offsets, parse_consumer_offsets, parse_delay_offsets,
};
use rmq_node::remoting::bodies::order_locks::LockBatchBody;
use rmq_node::remoting::bodies::registration::{RegisterBody, registration};
use rmq_node::remoting::bodies::route::{ClusterInfo, TopicRoute};
use rmq_node::remoting::bodies::topic_stats::{parse_topic_stats, topic_stats};
use rmq_node::remoting::bodies::{groups, topics};
use rmq_node::remoting::json::{Form, parse};
use rmq_node::replication::history::{Log, Relation, relation};
use rmq_node::replication::past::log_of;

/// The version of a broker that says whether it has filter servers, and of one that does not.
const VERSIONS: [i32; 2] = [401, 0];

/// Each body with the letter that stands for it; so do the bytes that differ from it by a multiple of their number.
const BODIES: [fn(&[u8]); 20] = [
    /* a */ heartbeat,
    /* b */ client_config,
    /* c */ locks,
    /* d */ register,
    /* e */ register_compressed,
    /* f */ register_to_be_compressed,
    /* g */ topic_table,
    /* h */ topic_list,
    /* i */ group,
    /* j */ group_table,
    /* k */ offset_table,
    /* l */ delay_table,
    /* m */ stats,
    /* n */ route,
    /* o */ cluster,
    /* p */ consumer_status,
    /* q */ dial_back,
    /* r */ hello,
    /* s */ accounts,
    /* t */ positions,
];

pub fn run(bytes: &[u8]) {
    if let Some((which, body)) = bytes.split_first() {
        BODIES[usize::from(which.wrapping_sub(b'a')) % BODIES.len()](body);
    }
}

/// Reads; what was read is written and read once more.
fn again<T: Debug + PartialEq>(
    body: &[u8],
    parse: impl Fn(&[u8]) -> Result<T, DecodeError>,
    write: impl Fn(&T) -> Bytes,
) -> Option<T> {
    let read = parse(body).ok()?;
    let written = write(&read);
    let reread = parse(&written);
    assert_eq!(reread.as_ref().ok(), Some(&read), "{reread:?} of {written:?}");
    Some(read)
}

fn heartbeat(body: &[u8]) {
    again(body, Heartbeat::parse, Heartbeat::to_bytes);
}

fn client_config(body: &[u8]) {
    let _any = SubscriptionData::parse_check(body).is_ok();
}

fn locks(body: &[u8]) {
    if let Ok(locks) = LockBatchBody::parse(body) {
        assert!(locks.queues.is_sorted());
    }
}

fn register(body: &[u8]) {
    for version in VERSIONS {
        let Ok(read) = RegisterBody::parse(body, version) else { continue };
        let Ok(again) = RegisterBody::parse(&registration(read.version, &read.topics), VERSIONS[0])
        else {
            panic!("our own registration is not read: {read:?}")
        };
        assert_eq!((again.version, again.topics), (read.version, read.topics));
    }
}

fn register_compressed(body: &[u8]) {
    let _any = RegisterBody::parse_compressed(body).is_ok();
}

/// The compressed form, past its checksums.
fn register_to_be_compressed(body: &[u8]) {
    let mut zlib = ZlibEncoder::new(Vec::new(), Compression::none());
    zlib.write_all(body).expect("a vector takes all");
    let _any = RegisterBody::parse_compressed(&zlib.finish().expect("a vector takes all")).is_ok();
}

fn topic_table(body: &[u8]) {
    again(body, topics::parse_topic_table, |(version, all)| topics::topic_table(*version, all));
    let _any = topics::parse_version(body).is_ok();
}

fn topic_list(body: &[u8]) {
    again(body, topics::parse_topic_list, |all| topics::topic_list(None, all));
}

fn group(body: &[u8]) {
    again(body, groups::parse_group, |read| {
        read.as_ref().map_or(Bytes::from_static(b"null"), groups::group)
    });
}

fn group_table(body: &[u8]) {
    again(body, groups::parse_all_groups, |(version, all)| {
        let all: Vec<_> = all.iter().cloned().map(Into::into).collect();
        groups::all_groups(*version, &all)
    });
}

fn offset_table(body: &[u8]) {
    again(body, parse_consumer_offsets, consumer_offsets);
}

fn delay_table(body: &[u8]) {
    again(body, parse_delay_offsets, delay_offsets);
}

fn stats(body: &[u8]) {
    again(body, parse_topic_stats, |all| topic_stats(all));
}

fn route(body: &[u8]) {
    for form in [Form::Standard, Form::Dialect] {
        again(body, TopicRoute::parse, |route| route.to_bytes(form));
    }
}

fn cluster(body: &[u8]) {
    again(body, ClusterInfo::parse, ClusterInfo::to_bytes);
}

fn consumer_status(body: &[u8]) {
    let status = |body: Bytes| ConsumerStatus { client_id: "c".to_owned(), body };
    let told = consumer_statuses(&[status(Bytes::copy_from_slice(body))]);
    assert!(parse(&told).is_ok(), "{told:?}");
}

fn dial_back(body: &[u8]) {
    if let Some(ports) = again(body, parse_dial_back_request, |ports| dial_back_request(ports)) {
        assert!(ports.len() <= PORTS_MAX);
    }
    again(body, DialBack::parse, DialBack::to_bytes);
}

/// A node's word about itself, and what a slave makes of it.
fn hello(body: &[u8]) {
    let Some(hello) = again(body, extension::parse::<Hello>, extension::to_bytes) else { return };
    // The same log without its last epoch, and without the end that it may have written.
    let shorter = Hello {
        history: hello.history[..hello.history.len().saturating_sub(1)].to_vec(),
        max_offset: hello.max_offset / 2,
        ..hello.clone()
    };
    let own = Hello { history: vec![EpochRow::default()], ..hello.clone() };
    let logs: Vec<Log> = [hello, shorter, own].iter().filter_map(|one| log_of(one).ok()).collect();
    for (ours, theirs) in logs.iter().flat_map(|ours| logs.iter().map(move |theirs| (ours, theirs)))
    {
        assert_eq!(relation(theirs, ours), mirrored(relation(ours, theirs)), "{ours:?} {theirs:?}");
    }
}

/// How theirs relates to ours if ours relates to theirs so.
fn mirrored(relation: Relation) -> Relation {
    match relation {
        Relation::Behind => Relation::Ahead,
        Relation::Ahead => Relation::Behind,
        other => other,
    }
}

fn accounts(body: &[u8]) {
    again(body, extension::parse::<AccountsOffer>, extension::to_bytes);
    again(body, extension::parse::<CancelTimer>, extension::to_bytes);
}

fn positions(body: &[u8]) {
    again(body, extension::parse::<Positions>, extension::to_bytes);
}
