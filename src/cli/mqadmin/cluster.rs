//! Clusters: M-030.

use std::collections::BTreeMap;
use std::time::Duration;

use super::run::{Done, Run};
use crate::admin::AdminError;

const HOUR_MS: f64 = 3_600_000.0;

/// What a broker tells of itself; nothing if it does not answer.
type Info = BTreeMap<String, String>;

/// `clusterList` (M-030).
pub(super) async fn list(run: &mut Run) -> Done {
    let interval = match run.given.has('i') {
        true => Some(Duration::from_secs(run.given.number_or('i', 0)?)),
        false => None,
    };
    loop {
        if run.given.has('m') {
            more_stats(run).await?;
        } else {
            base_info(run).await?;
        }
        let Some(interval) = interval else { return Ok(()) };
        run.wait(interval).await?;
    }
}

/// A broker in the list.
struct Row {
    cluster: String,
    broker: String,
    id: i64,
    address: String,
    info: Info,
}

/// All brokers of all clusters; one that does not answer is told of, and has a line without values.
async fn rows(run: &mut Run) -> Result<Vec<Row>, super::run::Failure> {
    let info = run.admin.cluster_info().await?;
    let mut rows = Vec::new();
    for (cluster, names) in &info.clusters {
        for name in names {
            let Some(group) = info.brokers.iter().find(|group| group.broker_name == *name) else {
                continue;
            };
            for (id, address) in &group.addresses {
                let info = match run.admin.runtime_info(address).await {
                    Ok(info) => {
                        run.did();
                        info
                    }
                    Err(error) => {
                        run.failed(&error)?;
                        Info::new()
                    }
                };
                let (cluster, broker) = (cluster.clone(), name.clone());
                rows.push(Row { cluster, broker, id: *id, address: address.clone(), info });
            }
        }
    }
    if rows.is_empty() {
        let text = format!("no broker is registered with {}", run.admin.name_servers().join(", "));
        run.failed(&AdminError::NotFound(text))?;
    }
    Ok(rows)
}

async fn base_info(run: &mut Run) -> Done {
    let rows = rows(run).await?;
    let head = [
        "#Cluster Name",
        "#Broker Name",
        "#BID",
        "#Addr",
        "#Version",
        "#InTPS(LOAD)",
        "#OutTPS(LOAD)",
        "#PCWait(ms)",
        "#Hour",
        "#SPACE",
    ];
    base_line(run, head.map(str::to_owned))?;
    let now_ms = run.clock.now_ms();
    for Row { cluster, broker, id, address, info } in rows {
        let text = |key: &str| info.get(key).cloned().unwrap_or_default();
        let number = |key: &str| -> f64 {
            text(key).split(' ').next().and_then(|word| word.parse().ok()).unwrap_or(0.0)
        };
        let load = |rate: &str, queue: &str, wait: &str| {
            format!("{:9.2}({},{}ms)", number(rate), text(queue), text(wait))
        };
        #[expect(clippy::cast_precision_loss, reason = "hours with two digits")]
        let age = text("earliestMessageTimeStamp")
            .parse()
            .map_or(0.0, |first: i64| now_ms.saturating_sub(first) as f64);
        base_line(
            run,
            [
                cluster,
                broker,
                id.to_string(),
                address,
                text("brokerVersionDesc"),
                load("putTps", "sendThreadPoolQueueSize", "sendThreadPoolQueueHeadWaitTimeMills"),
                load(
                    "getTransferedTps",
                    "pullThreadPoolQueueSize",
                    "pullThreadPoolQueueHeadWaitTimeMills",
                ),
                text("pageCacheLockTimeMills"),
                format!("{:.2}", age / HOUR_MS),
                format!("{:.4}", number("commitLogDiskRatio")),
            ],
        )?;
    }
    Ok(())
}

fn base_line(run: &mut Run, cells: [String; 10]) -> Done {
    let [cluster, broker, id, address, version, put, get, wait, hour, space] = cells;
    run.line(format_args!(
        "{cluster:<16}  {broker:<22}  {id:<4}  {address:<22} {version:<16} {put:>19} {get:>19} {wait:>10} {hour:>5} {space:>6}"
    ))
}

async fn more_stats(run: &mut Run) -> Done {
    let rows = rows(run).await?;
    run.line(format_args!(
        "{:<16}  {:<32} {:>14} {:>14} {:>14} {:>14}",
        "#Cluster Name",
        "#Broker Name",
        "#InTotalYest",
        "#OutTotalYest",
        "#InTotalToday",
        "#OutTotalToday"
    ))?;
    for Row { cluster, broker, info, .. } in rows {
        let number = |key: &str| info.get(key).and_then(|text| text.parse().ok()).unwrap_or(0i64);
        let between = |from: &str, to: &str| number(to).saturating_sub(number(from));
        let of = |what: &str| {
            let [yesterday, today, now] = ["YesterdayMorning", "TodayMorning", "TodayNow"]
                .map(|when| format!("msg{what}Total{when}"));
            (between(&yesterday, &today), between(&today, &now))
        };
        let ((in_yesterday, in_today), (out_yesterday, out_today)) = (of("Put"), of("Get"));
        run.line(format_args!(
            "{cluster:<16}  {broker:<32} {in_yesterday:>14} {out_yesterday:>14} {in_today:>14} {out_today:>14}"
        ))?;
    }
    Ok(())
}
