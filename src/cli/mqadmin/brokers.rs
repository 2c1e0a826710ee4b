//! Brokers: M-020, M-022 to M-026.

use std::collections::BTreeMap;

use super::groups::cluster_of;
use super::run::{Done, Run};
use crate::admin::{Admin, AdminError};

/// `brokerStatus` (M-020).
pub(super) async fn status(run: &mut Run) -> Done {
    if let Some(address) = run.given.get('b').map(str::to_owned) {
        for (key, value) in run.admin.runtime_info(&address).await? {
            run.line(format_args!("{key:<32}: {value}"))?;
        }
        return Ok(());
    }
    let cluster = cluster_of(run)?;
    for address in run.brokers(&cluster).await? {
        match run.admin.runtime_info(&address).await {
            Ok(info) => {
                run.did();
                for (key, value) in info {
                    run.line(format_args!("{address:<24} {key:<32}: {value}"))?;
                }
            }
            Err(error) => run.failed(&error)?,
        }
    }
    Ok(())
}

/// `getBrokerConfig` (M-022).
pub(super) async fn config(run: &mut Run) -> Done {
    if let Some(address) = run.given.get('b').map(str::to_owned) {
        let settings = run.admin.broker_settings(&address).await?;
        return show_config(run, &address, &settings);
    }
    let cluster = cluster_of(run)?;
    let info = run.admin.cluster_info().await?;
    let Some(names) = info.clusters.get(&cluster) else {
        return run.no_cluster(&cluster, info.clusters.keys());
    };
    for group in info.brokers.iter().filter(|group| names.contains(&group.broker_name)) {
        let master = group.master().unwrap_or("null");
        for (id, address) in &group.addresses {
            let head = match id {
                0 => format!("Master: {address}"),
                _ => format!("My Master: {master}=====Slave: {address}"),
            };
            match run.admin.broker_settings(address).await {
                Ok(settings) => {
                    run.did();
                    show_config(run, &head, &settings)?;
                }
                Err(error) => run.failed(&error)?,
            }
        }
    }
    Ok(())
}

fn show_config(run: &mut Run, head: &str, settings: &BTreeMap<String, String>) -> Done {
    run.line(format_args!("============{head}============"))?;
    show_settings(run, settings)?;
    run.line(format_args!(""))
}

/// Settings, a line each.
pub(super) fn show_settings(run: &mut Run, settings: &BTreeMap<String, String>) -> Done {
    for (key, value) in settings {
        run.line(format_args!("{key:<50}=  {value}"))?;
    }
    Ok(())
}

/// `updateBrokerConfig` (M-023).
pub(super) async fn update_config(run: &mut Run) -> Done {
    let (key, value) = (run.given.must('k').to_owned(), run.given.must('v').to_owned());
    if let Some(address) = run.given.get('b').map(str::to_owned) {
        run.admin.set_broker_setting(&address, &key, &value).await?;
        return run.line(format_args!("update broker config success, {address}"));
    }
    let cluster = cluster_of(run)?;
    for address in run.masters(&cluster).await? {
        let done = run.admin.set_broker_setting(&address, &key, &value).await;
        run.part(done, format_args!("update broker config success, {address}"))?;
    }
    Ok(())
}

/// `cleanExpiredCQ` (M-024).
pub(super) async fn clean_queues(run: &mut Run) -> Done {
    clean(run, Admin::clean_queues).await
}

/// `deleteExpiredCommitLog` (M-025).
pub(super) async fn delete_expired_log(run: &mut Run) -> Done {
    clean(run, Admin::delete_expired_log).await
}

/// `cleanUnusedTopic` (M-026).
pub(super) async fn clean_unused_topics(run: &mut Run) -> Done {
    clean(run, Admin::clean_unused_topics).await
}

/// At a broker, at a cluster's, or at all; it says `success` if the last one did it.
async fn clean(
    run: &mut Run,
    action: impl AsyncFn(&Admin, &str) -> Result<(), AdminError>,
) -> Done {
    let addresses =
        match (run.given.get('b').map(str::to_owned), run.given.get('c').map(str::to_owned)) {
            (Some(address), _) => vec![address],
            (None, Some(cluster)) if !cluster.is_empty() => run.brokers(&cluster).await?,
            _ => {
                let info = run.admin.cluster_info().await?;
                info.brokers.iter().flat_map(|group| group.addresses.values().cloned()).collect()
            }
        };
    let mut is_done = false;
    for address in addresses {
        let done = action(&run.admin, &address).await;
        is_done = done.is_ok();
        match done {
            Ok(()) => run.did(),
            Err(error) => run.failed(&error)?,
        }
    }
    run.print(format_args!("{}", if is_done { "success" } else { "false" }))
}
