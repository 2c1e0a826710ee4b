//! What tools are told about this broker (28; B-305, B-360 to B-362).
//!
//! Not the counting (`statistics`). Invariants: every key of 4.9.4 is there, because exporters and dashboards fail on
//! a missing one; all values are texts. What this broker has not (thread pools for pulls and queries, a transient pool)
//! is shown as 4.9.4 shows it when idle. Its queue of sends is what waits for the log; the lock of the page cache is held
//! by whoever writes it.

use std::io;
use std::path::Path;
use std::sync::Arc;

use nix::sys::statvfs::statvfs;

use super::Broker;
use super::answers::Answer;
use super::statistics::{Rates, Totals};
use crate::model::{QueueId, human_bytes, system};
use crate::remoting::json::{Form, Value};
use crate::remoting::{Command, VERSION_4_9_4, response};
use crate::transport::Connection;

/// Keys with 4.9.4's values of an idle broker with default settings.
const IDLE: [(&str, &str); 14] = [
    ("dispatchMaxBuffer", "0"),
    ("sendThreadPoolQueueCapacity", "10000"),
    ("pullThreadPoolQueueSize", "0"),
    ("pullThreadPoolQueueCapacity", "100000"),
    ("queryThreadPoolQueueSize", "0"),
    ("queryThreadPoolQueueCapacity", "20000"),
    ("EndTransactionQueueSize", "0"),
    ("EndTransactionThreadPoolQueueCapacity", "100000"),
    // Queues are followed within the append.
    ("dispatchBehindBytes", "0"),
    ("pullThreadPoolQueueHeadWaitTimeMills", "0"),
    ("queryThreadPoolQueueHeadWaitTimeMills", "0"),
    ("startAcceptSendRequestTimeStamp", "0"),
    ("remainTransientStoreBufferNumbs", "2147483647"),
    ("brokerVersionDesc", "V4_9_4"),
];

/// A key and its text.
type Entry = (String, String);

/// 28. Blocks.
pub(super) fn answer(broker: &Arc<Broker>, _: &Command, _: &Connection) -> Answer {
    let entries = entries(broker);
    let table = Value::map(entries.iter().map(|(key, value)| (key, value.into())));
    let body = Value::object([("table", table)]).to_bytes(Form::Dialect);
    Ok(Command::response(response::SUCCESS).with_body(body))
}

/// What 28 tells. Blocks.
pub(super) fn entries(broker: &Broker) -> Vec<Entry> {
    let mut entries: Vec<Entry> =
        IDLE.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    entries.push(entry("brokerVersion", VERSION_4_9_4));
    add_times(broker, &mut entries);
    add_counted(broker, &mut entries);
    add_store(broker, &mut entries);
    add_disk(&broker.store.options().dir, &mut entries);
    add_limits(broker, &mut entries);
    entries
}

fn entry(key: &str, value: impl std::fmt::Display) -> Entry {
    (key.to_owned(), value.to_string())
}

fn add_times(broker: &Broker, entries: &mut Vec<Entry>) {
    let seconds = broker.clock.now_ms().saturating_sub(broker.booted_ms) / 1000;
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    let seconds = seconds % 60;
    let runtime = format!("[ {days} days, {hours} hours, {minutes} minutes, {seconds} seconds ]");
    entries.extend([entry("bootTimestamp", broker.booted_ms), entry("runtime", runtime)]);
}

fn add_counted(broker: &Broker, entries: &mut Vec<Entry>) {
    let statistics = &broker.statistics;
    let Totals { stored, failed, found, .. } = statistics.totals();
    let mornings = statistics.mornings();
    // 4.9.4 shows one where there is none, to divide by it.
    let times = stored.messages.max(1);
    let latencies = &statistics.latencies;
    entries.extend([
        entry("putMessageTimesTotal", times),
        entry("putMessageFailedTimes", failed),
        entry("putMessageSizeTotal", stored.bytes),
        entry("putMessageDistributeTime", latencies.distribution()),
        entry("putMessageEntireTimeMax", latencies.longest_put_ms()),
        entry("getMessageEntireTimeMax", latencies.longest_get_ms()),
        entry("putLatency99", format!("{:.2}", latencies.percentile(990))),
        entry("putLatency999", format!("{:.2}", latencies.percentile(999))),
        entry("putMessageAverageSize", double(ratio(stored.bytes, times))),
        entry("putTps", rates(statistics.rates(|totals| totals.stored.messages))),
        entry("getFoundTps", rates(statistics.rates(|totals| totals.found.times))),
        entry("getMissTps", rates(statistics.rates(|totals| totals.missed))),
        entry("getTotalTps", rates(statistics.rates(|totals| totals.found.times + totals.missed))),
        entry("getTransferedTps", rates(statistics.rates(|totals| totals.found.messages))),
        entry("msgPutTotalYesterdayMorning", mornings.yesterday.stored.messages),
        entry("msgPutTotalTodayMorning", mornings.today.stored.messages),
        entry("msgPutTotalTodayNow", stored.messages),
        entry("msgGetTotalYesterdayMorning", mornings.yesterday.found.messages),
        entry("msgGetTotalTodayMorning", mornings.today.found.messages),
        entry("msgGetTotalTodayNow", found.messages),
    ]);
}

fn add_store(broker: &Broker, entries: &mut Vec<Entry>) {
    let store = &broker.store;
    let (min, max) = store.log_range();
    let unflushed = max.0.saturating_sub(store.flushed_to().0);
    let (waiting, writing_ms) = store.waiting_appends();
    // What waits came while the log was written: it waits no longer than that.
    let head_wait_ms = if waiting > 0 { writing_ms } else { 0 };
    entries.extend([
        entry("sendThreadPoolQueueSize", waiting),
        entry("sendThreadPoolQueueHeadWaitTimeMills", head_wait_ms),
        entry("pageCacheLockTimeMills", writing_ms),
        entry("commitLogMinOffset", min),
        entry("commitLogMaxOffset", max),
        entry("remainHowManyDataToFlush", human_bytes(unflushed)),
        entry("earliestMessageTimeStamp", store.earliest_store_time().unwrap_or(-1)),
    ]);
    for (level, offset) in store.tables().delay_offsets.snapshot() {
        let Ok(queue) = u32::try_from(level.saturating_sub(1)) else { continue };
        let next = store.max_offset(system::SCHEDULE_TOPIC, QueueId(queue));
        entries.push(entry(&format!("scheduleMessageOffset_{level}"), format!("{offset},{next}")));
    }
}

/// How often limits of this node kept something from a peer, beyond 4.9.4; nothing as long as none did.
fn add_limits(broker: &Broker, entries: &mut Vec<Entry>) {
    let reached = broker.limits().times_reached().into_iter();
    entries.extend(
        reached.map(|(limit, times)| entry(&format!("limitReached_{}", limit.setting()), times)),
    );
}

/// Size of a disk, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct DiskSpace {
    pub total: u64,
    /// Free for the superuser.
    free: u64,
    /// Free for this process.
    pub usable: u64,
}

impl DiskSpace {
    #[expect(
        clippy::useless_conversion,
        reason = "the types of a file system's numbers differ among systems"
    )]
    pub fn of(dir: &Path) -> io::Result<Self> {
        let space = statvfs(dir)?;
        let block = u64::from(space.fragment_size());
        let bytes = |blocks| u64::from(blocks).saturating_mul(block);
        Ok(Self {
            total: bytes(space.blocks()),
            free: bytes(space.blocks_free()),
            usable: bytes(space.blocks_available()),
        })
    }

    /// The used part, in hundredths, rounded up.
    pub fn used_ratio(self) -> f64 {
        let used = u128::from(self.total.saturating_sub(self.free));
        let entire = used + u128::from(self.usable);
        if entire == 0 {
            return -1.0;
        }
        let percent = (used * 100).div_ceil(entire);
        f64::from(u8::try_from(percent).unwrap_or(100)) / 100.0
    }
}

fn add_disk(dir: &Path, entries: &mut Vec<Entry>) {
    let space = DiskSpace::of(dir);
    let ratio = double(space.as_ref().map_or(-1.0, |space| space.used_ratio()));
    let log = dir.join("commitlog");
    entries.extend([
        entry("commitLogDiskRatio", &ratio),
        entry(&format!("commitLogDiskRatio_{}", log.display()), &ratio),
        entry("consumeQueueDiskRatio", &ratio),
    ]);
    if let Ok(DiskSpace { total, usable, .. }) = space {
        let capacity = format!("Total : {}, Free : {}.", human_bytes(total), human_bytes(usable));
        entries.push(entry("commitLogDirCapacity", capacity));
    }
}

/// Three numbers, each empty as long as it is not known.
fn rates(rates: Rates) -> String {
    rates.map(|rate| rate.map(double).unwrap_or_default()).join(" ")
}

/// As Java writes it.
fn double(number: f64) -> String {
    Value::double(number).as_str().unwrap_or_default().to_owned()
}

#[expect(clippy::cast_precision_loss, reason = "an average needs no more digits than it has")]
fn ratio(bytes: u64, times: u64) -> f64 {
    bytes as f64 / times as f64
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::broker::clients::tests::World;
    use crate::remoting::json;

    /// All keys of B-360 and B-361, but those that depend on settings that are off.
    const KEYS: &str = "bootTimestamp runtime putMessageEntireTimeMax putMessageTimesTotal putMessageFailedTimes \
        putMessageSizeTotal putMessageDistributeTime putMessageAverageSize dispatchMaxBuffer getMessageEntireTimeMax \
        putTps getFoundTps getMissTps getTotalTps getTransferedTps putLatency99 putLatency999 commitLogMaxOffset \
        commitLogMinOffset commitLogDiskRatio consumeQueueDiskRatio scheduleMessageOffset_3 brokerVersionDesc \
        brokerVersion msgPutTotalYesterdayMorning msgPutTotalTodayMorning msgPutTotalTodayNow \
        msgGetTotalYesterdayMorning msgGetTotalTodayMorning msgGetTotalTodayNow sendThreadPoolQueueSize \
        sendThreadPoolQueueCapacity pullThreadPoolQueueSize pullThreadPoolQueueCapacity queryThreadPoolQueueSize \
        queryThreadPoolQueueCapacity EndTransactionQueueSize EndTransactionThreadPoolQueueCapacity \
        dispatchBehindBytes pageCacheLockTimeMills sendThreadPoolQueueHeadWaitTimeMills \
        pullThreadPoolQueueHeadWaitTimeMills queryThreadPoolQueueHeadWaitTimeMills earliestMessageTimeStamp \
        startAcceptSendRequestTimeStamp remainTransientStoreBufferNumbs remainHowManyDataToFlush \
        commitLogDirCapacity";

    #[tokio::test]
    async fn every_key_of_b360_and_b361_is_there_and_counts() {
        let world = World::new();
        world.broker.store.tables().delay_offsets.set(3, 7);
        world.broker.statistics.messages_in("T", 4, 100);
        world.broker.statistics.messages_out("G", "T", 3, 75);
        world.clock.advance(Duration::from_secs(2 * 86_400 + 3 * 3600 + 4 * 60 + 5));
        let answer = world.peer().await.answer(Command::request(28)).await;
        assert_eq!((answer.code, &answer.fields), (0, &None));
        let body = json::parse(&answer.body).unwrap();
        let table = body.get("table");
        for key in KEYS.split_whitespace() {
            assert!(matches!(table.get(key), Value::Text(_)), "{key}");
        }
        let log = world.broker.store.options().dir.join("commitlog");
        assert!(table.text(&format!("commitLogDiskRatio_{}", log.display())).is_some());
        let text = |key| table.text(key).unwrap();
        assert!(text("runtime").starts_with("[ 2 days, 3 hours, 4 minutes, "));
        assert_eq!((text("putMessageTimesTotal"), text("putMessageAverageSize")), ("4", "25.0"));
        assert_eq!((text("msgPutTotalTodayNow"), text("msgGetTotalTodayNow")), ("4", "3"));
        assert_eq!(text("scheduleMessageOffset_3"), "7,0");
        assert_eq!((text("brokerVersionDesc"), text("brokerVersion")), ("V4_9_4", "401"));
        assert_eq!((text("earliestMessageTimeStamp"), text("putTps")), ("-1", "  "));
        assert!(text("putMessageDistributeTime").starts_with("[<=0ms]:0 [0~10ms]:0 "));
        assert!(text("commitLogDirCapacity").starts_with("Total : "));
        assert_eq!((text("commitLogMaxOffset"), text("remainHowManyDataToFlush")), ("0", "0 B"));
    }

    #[test]
    fn the_used_part_of_a_disk_is_rounded_up() {
        let space = |total, free, usable| DiskSpace { total, free, usable }.used_ratio();
        assert!((space(1000, 500, 400) - 0.56).abs() < 1e-9);
        assert!((space(100, 100, 90) - 0.0).abs() < 1e-9);
        assert!((space(0, 0, 0) + 1.0).abs() < 1e-9);
    }

    #[test]
    fn unknown_rates_are_empty() {
        assert_eq!(rates([Some(12.5), None, None]), "12.5  ");
        assert_eq!(rates([Some(0.0), Some(1.0), Some(2.0)]), "0.0 1.0 2.0");
    }
}
