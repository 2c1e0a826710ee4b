//! Positions of consumer groups with their generations, between our own nodes: a slave and its master tell one another
//! theirs, and the newer one counts; and what a master that starts takes of a slave's tables.
//!
//! Towards a peer of 4.9.4, which knows no generations: `metadata_sync`. Invariants: a stale copy undoes no reset, no
//! deletion and no re-creation, because these raise the generation; a slave takes positions only once its log has
//! what they point to.

use std::collections::HashMap;
use std::sync::Arc;

use super::Broker;
use super::answers::Answer;
use super::metadata_sync::save;
use super::start_step::is_ours;
use crate::metrics::Limit;
use crate::model::{GroupName, QueueId, TopicName};
use crate::remoting::bodies::extension::{self, PositionRow, Positions};
use crate::remoting::bodies::groups::parse_all_groups;
use crate::remoting::bodies::offsets;
use crate::remoting::bodies::topics::parse_topic_table;
use crate::remoting::{Command, DecodeError, request, response};
use crate::replication::peers::PeerError;
use crate::store::tables::{ConsumerOffsets, Position, PositionKey};
use crate::task;
use crate::transport::Connection;

/// How many positions are told at once: some megabytes, well below the largest frame.
const POSITIONS_A_PART: usize = 20_000;
/// How many positions are taken from a peer: as many as a broker keeps.
const POSITIONS_MAX: usize = 2_000_000;

/// 9004: a part of all positions with their generations. A master takes those of the request that are newer; a slave
/// takes none, because its log may not have yet what they point to. Blocks, because there may be many.
pub(super) fn answer(broker: &Arc<Broker>, request: &Command, _: &Connection) -> Answer {
    let theirs: Positions = extension::parse(&request.body)?;
    let own = &broker.store.tables().consumer_offsets;
    // Whoever may ask may say anything: no more is kept than of those that commit (15).
    let max = broker.limits().numbers().positions_max;
    if !broker.is_slave() && !merge(broker, theirs.rows, max) {
        broker.limits().reached(Limit::Positions);
    }
    let part = theirs.part;
    let all = own.positions();
    let begin = part.saturating_mul(POSITIONS_A_PART).min(all.len());
    let end = begin.saturating_add(POSITIONS_A_PART).min(all.len());
    let answer = Positions {
        group: broker.options.group.clone(),
        log_end: broker.store.log_range().1.0,
        rows: all[begin..end].iter().map(row).collect(),
        part: if end < all.len() { part + 1 } else { 0 },
    };
    Ok(Command::response(response::SUCCESS).with_body(extension::to_bytes(&answer)))
}

/// Takes what the master said, once the log has what it points to.
pub(super) fn take(broker: &Broker, rows: Vec<PositionRow>) {
    merge(broker, rows, usize::MAX);
}

/// A position as it is told.
fn row((key, position): &(PositionKey, Position)) -> PositionRow {
    PositionRow {
        t: key.topic.as_str().to_owned(),
        g: key.group.as_str().to_owned(),
        q: key.queue_id.0,
        n: position.generation,
        o: position.offset,
    }
}

/// A position as it was told.
fn position(row: &PositionRow) -> (PositionKey, Position) {
    let key = PositionKey {
        topic: TopicName::new(&row.t),
        group: GroupName::new(&row.g),
        queue_id: QueueId(row.q),
    };
    (key, Position { generation: row.n, offset: row.o })
}

/// Takes what is newer, and points to nothing beyond the queue's end: another message may come to lie there. False if
/// there would be more than `max`.
fn merge(broker: &Broker, rows: Vec<PositionRow>, max: usize) -> bool {
    let own = &broker.store.tables().consumer_offsets;
    let mut has_room = true;
    for PositionRow { t, g, q, n, o } in rows {
        let end = broker.store.max_offset(&t, QueueId(q)).to_wire();
        if o.is_none_or(|offset| offset <= end) {
            let theirs = Position { generation: n, offset: o };
            has_room &= own.merge(&t, &g, QueueId(q), theirs, max);
        }
    }
    has_room
}

/// What a master that starts takes of the tables of a slave that has all of its log: topics and groups if its own are
/// lost or older, and positions that are newer.
pub(super) async fn take_from_slave(
    broker: &Arc<Broker>,
    slave: &str,
    is_lost: bool,
) -> Result<(), PeerError> {
    let ask = |code| broker.member.ask(slave, Command::request(code));
    let topics = ask(request::GET_ALL_TOPIC_CONFIG).await?;
    let groups = ask(request::GET_ALL_SUBSCRIPTIONGROUP_CONFIG).await?;
    let delays = ask(request::GET_ALL_DELAY_OFFSET).await?;
    let rows = if is_ours(broker, slave).await? {
        Ok(positions_of(broker, slave).await?)
    } else {
        Err(ask(request::GET_ALL_CONSUMER_OFFSET).await?)
    };
    let broker = Arc::clone(broker);
    let taking = task::spawn_blocking("tables of a slave", move || {
        let tables = broker.store.tables();
        let (version, table) = parse_topic_table(&topics)?;
        if is_lost || version.counter > tables.topics.version().counter {
            tracing::info!(count = table.len(), "the slave's topics are taken");
            tables.topics.replace_all(version, table);
        }
        let (version, table) = parse_all_groups(&groups)?;
        if is_lost || version.counter > tables.groups.version().counter {
            tracing::info!(count = table.len(), "the slave's groups are taken");
            tables.groups.replace_all(version, table);
        }
        for (level, theirs) in offsets::parse_delay_offsets(&delays)? {
            if tables.delay_offsets.get(level).is_none_or(|own| own < theirs) {
                tables.delay_offsets.set(level, theirs);
            }
        }
        match rows {
            Ok(rows) => take(&broker, rows),
            Err(body) => take_greater(&tables.consumer_offsets, &body)?,
        }
        save(&broker);
        Ok(())
    });
    // It fails only if it panics, which is reported.
    taking.await.unwrap_or(Ok(()))
}

/// Positions of a plain slave have no generation: the greater one counts.
fn take_greater(own: &ConsumerOffsets, body: &[u8]) -> Result<(), DecodeError> {
    for ((topic, group), queues) in offsets::parse_consumer_offsets(body)? {
        let (topic, group) = (topic.as_str(), group.as_str());
        for (queue_id, theirs) in queues {
            if own.query(topic, group, queue_id).is_none_or(|own| own < theirs) {
                own.commit(topic, group, queue_id, theirs);
            }
        }
    }
    Ok(())
}

/// All positions of one of ours with their generations.
pub(super) async fn positions_of(
    broker: &Arc<Broker>,
    address: &str,
) -> Result<Vec<PositionRow>, PeerError> {
    let (mut all, mut part) = (Vec::new(), 0);
    loop {
        let group = broker.options.group.clone();
        let asked = Positions { group, part, ..Positions::default() };
        let request = Command::request(request::EXTENSION_POSITIONS);
        let request = request.with_body(extension::to_bytes(&asked));
        let body = broker.member.ask(address, request).await?;
        let answer: Positions = extension::parse(&body)?;
        all.extend(answer.rows);
        // Each part is asked for once, whatever the peer says.
        if answer.part <= part || all.len() > POSITIONS_MAX {
            return Ok(all);
        }
        part = answer.part;
    }
}

/// Tells the master what is newer here than what it said.
pub(super) async fn tell_newer(
    broker: &Arc<Broker>,
    master: &str,
    theirs: &[PositionRow],
) -> Result<(), PeerError> {
    let known: HashMap<PositionKey, Position> = theirs.iter().map(position).collect();
    let mut newer = broker.store.tables().consumer_offsets.positions();
    newer.retain(|(key, own)| known.get(key).is_none_or(|theirs| theirs < own));
    for rows in newer.chunks(POSITIONS_A_PART) {
        let told = Positions {
            group: broker.options.group.clone(),
            log_end: broker.store.log_range().1.0,
            rows: rows.iter().map(row).collect(),
            // None is asked for.
            part: usize::MAX,
        };
        let request = Command::request(request::EXTENSION_POSITIONS);
        broker.member.ask(master, request.with_body(extension::to_bytes(&told))).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::tests_support::{TestBroker, limit, times_reached};
    use super::*;

    fn offset(broker: &TestBroker) -> Option<i64> {
        broker.broker.store.tables().consumer_offsets.query("T", "G", QueueId(0))
    }

    async fn told(broker: &TestBroker, generation: u64, offset: Option<i64>) {
        let (t, g) = ("T".to_owned(), "G".to_owned());
        let rows = vec![PositionRow { t, g, q: 0, n: generation, o: offset }];
        let body = extension::to_bytes(&Positions { rows, ..Positions::default() });
        let request = Command::request(request::EXTENSION_POSITIONS).with_body(body);
        assert_eq!(broker.call(request).await.code, response::SUCCESS);
    }

    #[tokio::test]
    async fn a_stale_copy_undoes_no_reset_no_deletion_and_no_re_creation() {
        let broker = TestBroker::new();
        for body in 0..10 {
            broker.store("T", &body.to_string()).await;
        }
        let own = &broker.broker.store.tables().consumer_offsets;
        own.commit("T", "G", QueueId(0), 8);
        told(&broker, 0, Some(9)).await;
        assert_eq!(offset(&broker), Some(9), "the copy is further");
        own.reset("T", "G", QueueId(0), 2);
        told(&broker, 0, Some(9)).await;
        assert_eq!(offset(&broker), Some(2));
        own.remove_group("G");
        told(&broker, 1, Some(9)).await;
        assert_eq!(offset(&broker), None);
        own.commit("T", "G", QueueId(0), 1);
        told(&broker, 1, Some(9)).await;
        assert_eq!(offset(&broker), Some(1));
        told(&broker, 3, None).await;
        assert_eq!(offset(&broker), None, "deleted there, later");
    }

    #[tokio::test]
    async fn whatever_is_told_nothing_overflows_and_the_limit_holds() {
        let broker = TestBroker::new();
        broker.store("T", "only").await;
        let own = &broker.broker.store.tables().consumer_offsets;
        limit(&broker.broker, |limits| limits.positions_max = 0);
        told(&broker, 7, None).await;
        assert_eq!(
            (own.positions().len(), times_reached(&broker.broker, Limit::Positions)),
            (0, 1)
        );
        limit(&broker.broker, |limits| limits.positions_max = 100);
        told(&broker, u64::MAX, Some(1)).await;
        own.commit("T", "G", QueueId(0), 0);
        assert_eq!(offset(&broker), Some(0));
        own.reset("T", "G", QueueId(0), 1);
        own.remove_group("G");
        assert_eq!(offset(&broker), None);
    }

    #[tokio::test]
    async fn what_points_beyond_the_queues_end_is_not_taken() {
        let broker = TestBroker::new();
        broker.store("T", "only").await;
        told(&broker, 0, Some(2)).await;
        assert_eq!(offset(&broker), None);
        told(&broker, 0, Some(1)).await;
        assert_eq!(offset(&broker), Some(1));
    }

    #[tokio::test]
    async fn all_positions_are_told_in_parts_with_those_that_were_deleted() {
        let broker = TestBroker::new();
        let own = &broker.broker.store.tables().consumer_offsets;
        for queue in (0..).take(POSITIONS_A_PART + 1) {
            own.commit("T", "G", QueueId(queue), 0);
        }
        own.commit("T", "H", QueueId(0), 0);
        own.remove_group("H");
        let rows = positions_of(&broker.broker, &broker.address).await.unwrap();
        assert_eq!(rows.len(), POSITIONS_A_PART + 2);
        let gone = rows.iter().find(|row| row.g == "H").unwrap();
        assert_eq!((gone.n, gone.o), (1, None));
    }
}
