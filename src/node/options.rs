//! What each role is told, made of the settings: the one place that knows both.
//!
//! Nothing is opened or bound here. Where a role keeps its files is decided here.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::acl::{Acl, AclOptions};
use crate::broker::{BrokerOptions, TransactionOptions};
use crate::config::{self, Config, Flush, Overrides, Replication, Role};
use crate::model::BrokerId;
use crate::nameserver::NameServerOptions;
use crate::store::options::{FlushMode, StoreRole};
use crate::store::{Retention, SharedRetention, StoreOptions};
use crate::transport::{Credentials, Limits, Signer, Tls};

/// The folder of the name server in the data directory.
pub const NAME_SERVER_FOLDER: &str = "nameserver";

/// The folder of the accounts in the data directory.
const ACL_FOLDER: &str = "acl";

/// Where the accounts are; `None` if they are off.
pub fn acl(config: &Config, data_dir: &Path) -> Option<AclOptions> {
    let settings = &config.acl;
    settings.enabled.then(|| AclOptions {
        folder: settings.accounts_dir.clone(),
        file: data_dir.join(ACL_FOLDER).join("plain_acl.yml"),
        node_account: settings.node_account.clone(),
    })
}

pub fn name_server(
    server: &config::NameServer,
    data_dir: &Path,
    acl: Option<&Arc<Acl>>,
    limits: &Arc<Limits>,
) -> NameServerOptions {
    NameServerOptions {
        limits: Arc::clone(limits),
        acl: acl.cloned(),
        kv_config_file: data_dir.join(NAME_SERVER_FOLDER).join("kvConfig.json"),
        port: server.port,
    }
}

/// What every store here keeps.
pub fn retention(settings: &config::Store) -> Retention {
    Retention {
        hours: settings.retention_hours,
        delete_hours: settings.delete_hours.clone(),
        disk_expire_percent: settings.disk_expire_percent,
        disk_force_percent: settings.disk_force_percent,
        disk_read_only_percent: settings.disk_read_only_percent,
    }
}

pub fn store(
    config: &Config,
    broker: &config::Broker,
    data_dir: &Path,
    retention: &SharedRetention,
) -> StoreOptions {
    let settings = &config.store;
    StoreOptions {
        segment_bytes: settings.segment_bytes,
        role: match broker.role {
            Role::Master => StoreRole::Master,
            Role::Slave => StoreRole::Slave,
        },
        in_sync_min: match broker.replication {
            Replication::Async => 0,
            Replication::Sync => usize::try_from(broker.in_sync_min).unwrap_or(usize::MAX),
        },
        flush: match broker.flush {
            Flush::Async => FlushMode::Async,
            Flush::Sync => FlushMode::Sync,
        },
        flush_interval_ms: settings.flush_interval_ms,
        sync_flush_timeout_ms: settings.sync_flush_timeout_ms,
        busy_after_ms: settings.busy_after_ms,
        max_message_bytes: settings.max_message_bytes,
        delay_levels: settings.delay_levels.clone(),
        retention: retention.clone(),
        light_queues: settings.light_queues,
        ..StoreOptions::new(data_dir.join(&broker.group))
    }
}

pub fn broker(
    config: &Config,
    broker: &config::Broker,
    acl: Option<&Arc<Acl>>,
    (limits, tls): (&Arc<Limits>, &Tls),
    overrides: &Arc<Overrides>,
) -> BrokerOptions {
    let transactions = &config.transactions;
    BrokerOptions {
        cluster: config.cluster.clone(),
        group: broker.group.clone(),
        id: BrokerId(broker.id),
        address: SocketAddr::new(config.advertise, broker.port),
        ha_address: SocketAddr::new(config.replication_advertise, broker.port + 1),
        name_servers: config.name_servers.clone(),
        auto_create: config.auto_create,
        reads_from_slaves: config.store.read_from_slaves,
        transactions: TransactionOptions {
            timeout_ms: i64::try_from(transactions.timeout_ms).unwrap_or(i64::MAX),
            checks_max: i32::try_from(transactions.checks_max).unwrap_or(i32::MAX),
            check_interval_ms: i64::try_from(transactions.check_interval_ms).unwrap_or(i64::MAX),
            reject: transactions.reject,
        },
        acl: acl.cloned(),
        credentials: Credentials { signer: acl.map(signer).unwrap_or_default(), tls: tls.clone() },
        limits: Arc::clone(limits),
        overrides: Arc::clone(overrides),
    }
}

/// Signs as the node.
pub fn signer(acl: &Arc<Acl>) -> Signer {
    let acl = Arc::clone(acl);
    Signer::new(move |request| acl.sign(request))
}

/// How long a master that may have lost something waits for its slaves; `None`: for ever.
pub fn start_without_slave_after(broker: &config::Broker) -> Option<Duration> {
    broker.start_without_slave_after_s.map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{AutoCreate, Sources, load};

    #[test]
    fn every_setting_reaches_its_role() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a.toml");
        let text = r#"
            cluster = "C"
            listen = "0.0.0.0"
            advertise = "192.168.1.1"
            replication_advertise = "10.0.0.1"
            name_servers = ["192.168.1.1:9876", "192.168.1.2:9876"]
            [[broker]]
            group = "g"
            port = 20000
            flush = "sync"
            [store]
            segment_bytes = 2097152
            retention_hours = 1
            delete_hours = [2, 3]
            disk_expire_percent = 11
            disk_force_percent = 12
            disk_read_only_percent = 13
            flush_interval_ms = 14
            sync_flush_timeout_ms = 15
            busy_after_ms = 20
            max_message_bytes = 16000
            delay_levels = "1s 1m"
            light_queues = true
            read_from_slaves = true
            [auto_create]
            topics = false
            groups = false
            [transactions]
            timeout_ms = 17
            checks_max = 18
            check_interval_ms = 19
            reject = true
        "#;
        std::fs::write(&file, text).unwrap();
        let sources = Sources { config_file: Some(file), ..Sources::default() };
        let config = load(&sources).unwrap().config;
        let shared = SharedRetention::from(retention(&config.store));
        let store = store(&config, &config.brokers[0], Path::new("/data"), &shared);
        assert_eq!((store.dir.to_str(), store.flush), (Some("/data/g"), FlushMode::Sync));
        let kept = store.retention.get();
        assert_eq!((store.segment_bytes, kept.hours), (2_097_152, 1));
        assert_eq!(
            (kept.delete_hours.as_slice(), kept.disk_expire_percent),
            ([2, 3].as_slice(), 11)
        );
        assert_eq!((kept.disk_force_percent, kept.disk_read_only_percent), (12, 13));
        assert_eq!((store.flush_interval_ms, store.sync_flush_timeout_ms), (14, 15));
        assert_eq!(store.busy_after_ms, 20);
        assert_eq!(store.max_message_bytes, 16_000);
        assert_eq!(store.delay_levels.to_string(), "1s 1m");
        assert!(store.light_queues);
        let shared = (&Arc::default(), &Tls::default());
        let broker = broker(&config, &config.brokers[0], None, shared, &Arc::default());
        assert_eq!((broker.cluster.as_str(), broker.group.as_str(), broker.id.0), ("C", "g", 0));
        assert_eq!(broker.address.to_string(), "192.168.1.1:20000");
        assert_eq!(broker.ha_address.to_string(), "10.0.0.1:20001");
        assert_eq!(broker.name_servers.len(), 2);
        let checks = TransactionOptions {
            timeout_ms: 17,
            checks_max: 18,
            check_interval_ms: 19,
            reject: true,
        };
        assert_eq!(broker.transactions, checks);
        assert_eq!(broker.auto_create, AutoCreate { topics: false, groups: false });
        assert!(broker.reads_from_slaves);
    }

    #[test]
    fn what_is_not_set_is_what_each_role_has_by_itself() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("empty.toml");
        std::fs::write(&file, "").unwrap();
        let sources = Sources { config_file: Some(file), ..Sources::default() };
        let config = load(&sources).unwrap().config;
        let shared = SharedRetention::from(retention(&config.store));
        let mapped = store(&config, &config.brokers[0], Path::new("/data"), &shared);
        let own = StoreOptions::new("/data/broker-a");
        assert_eq!(format!("{mapped:?}"), format!("{own:?}"));
        let shared = (&Arc::default(), &Tls::default());
        let own = broker(&config, &config.brokers[0], None, shared, &Arc::default());
        assert_eq!(own.transactions, TransactionOptions::default());
        assert_eq!(own.auto_create, AutoCreate::default());
        assert!(!own.reads_from_slaves);
    }
}
