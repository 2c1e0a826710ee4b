//! Layers, origins and refusals, through [`super::load`].

use std::fs;

use super::*;

/// A folder with a main file and, if not empty, `conf.d/10.toml`.
struct Files {
    dir: tempfile::TempDir,
    sources: Sources,
}

impl Files {
    fn new(main: &str, part: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("rmq-node.toml");
        fs::write(&file, main).unwrap();
        if !part.is_empty() {
            fs::create_dir(dir.path().join("conf.d")).unwrap();
            fs::write(dir.path().join("conf.d/10.toml"), part).unwrap();
        }
        let sources = Sources { config_file: Some(file), ..Sources::default() };
        Self { dir, sources }
    }

    fn set(mut self, name: &str, value: &str) -> Self {
        self.sources.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    fn load(&self) -> Result<Loaded, String> {
        let folder = format!("{}/", self.dir.path().display());
        load(&self.sources).map_err(|error| error.to_string().replace(&folder, ""))
    }

    fn origin(&self, loaded: &Loaded, path: &str) -> String {
        let folder = format!("{}/", self.dir.path().display());
        loaded.origins[path].origin.replace(&folder, "")
    }
}

fn refused(main: &str) -> String {
    Files::new(main, "").load().unwrap_err()
}

/// A master with nothing but its group set.
fn master(group: &str) -> Broker {
    Broker {
        group: group.to_owned(),
        role: Role::Master,
        id: 0,
        port: 10911,
        flush: Flush::Async,
        replication: Replication::Async,
        in_sync_min: 1,
        start_without_slave_after_s: Some(30),
    }
}

#[test]
fn nothing_configured_is_standalone_on_loopback() {
    let loaded = Files::new("", "").load().unwrap();
    let config = &loaded.config;
    assert!(loaded.standalone);
    assert_eq!(config.cluster, "DefaultCluster");
    assert_eq!((config.listen, config.advertise), ([127, 0, 0, 1].into(), [127, 0, 0, 1].into()));
    assert_eq!(config.name_servers, ["127.0.0.1:9876"]);
    assert_eq!(config.name_server, Some(NameServer { port: 9876 }));
    assert_eq!(config.replication_advertise, config.advertise);
    assert_eq!(config.brokers, [master("broker-a")]);
    assert_eq!(config.data_dir, PathBuf::from("./rmq-node-data"));
    assert_eq!((config.store.segment_bytes, config.store.retention_hours), (1 << 30, 72));
    assert_eq!((config.limits.connections_max, config.limits.frame_bytes_max), (20_000, 16 << 20));
}

#[test]
fn later_layers_win_and_origins_are_kept() {
    let main = "cluster = \"one\"\n[store]\nretention_hours = 1\nflush_interval_ms = 10\n";
    let mut files = Files::new(main, "[store]\nretention_hours = 2\n")
        .set("RMQ_NODE_STORE__FLUSH_INTERVAL_MS", "20")
        .set("RMQ_NODE_LISTEN", "127.0.0.3")
        .set("STATE_DIRECTORY", "/var/lib/rmq-node:/other");
    files.sources.listen = Some([127, 0, 0, 2].into());
    let loaded = files.load().unwrap();
    let config = &loaded.config;
    assert_eq!(config.cluster, "one");
    assert_eq!((config.store.retention_hours, config.store.flush_interval_ms), (2, 20));
    assert_eq!((config.listen, config.advertise), ([127, 0, 0, 2].into(), [127, 0, 0, 2].into()));
    assert_eq!(config.data_dir, PathBuf::from("/var/lib/rmq-node"));
    for (path, origin) in [
        ("cluster", "rmq-node.toml:1:11"),
        ("store.retention_hours", "conf.d/10.toml:2:19"),
        ("store.flush_interval_ms", "environment RMQ_NODE_STORE__FLUSH_INTERVAL_MS"),
        ("store.segment_bytes", "default"),
        ("listen", "flag --listen"),
        ("advertise", "default: as listen"),
        ("data_dir", "environment STATE_DIRECTORY"),
        ("broker[0].port", "default"),
    ] {
        assert_eq!(files.origin(&loaded, path), origin, "{path}");
    }
    assert_eq!(loaded.origins["listen"].value, "\"127.0.0.2\"");
}

#[test]
fn a_later_list_of_brokers_replaces_an_earlier_one() {
    let main = "listen = \"127.0.0.1\"\n[name_server]\n[[broker]]\ngroup = \"a\"\n[[broker]]\ngroup = \"b\"\nport = 10921\n";
    let loaded = Files::new(main, "[[broker]]\ngroup = \"c\"\nflush = \"sync\"\n").load().unwrap();
    assert_eq!(loaded.config.brokers, [Broker { flush: Flush::Sync, ..master("c") }]);
    assert!(!loaded.standalone);
}

#[test]
fn a_host_with_brokers_runs_a_name_server_only_if_told() {
    let main =
        "advertise = \"10.0.0.1\"\nname_servers = [\"10.0.0.2:9876\"]\n[[broker]]\ngroup = \"a\"\n";
    let config = Files::new(main, "").load().unwrap().config;
    assert_eq!(config.name_server, None);
    assert!(config.listen.is_unspecified());
}

#[test]
fn a_host_may_run_a_name_server_only_but_not_nothing() {
    let main = "listen = \"127.0.0.1\"\nbroker = []\n";
    let config = Files::new(&format!("{main}[name_server]\n"), "").load().unwrap().config;
    assert_eq!((config.name_server, config.brokers.len()), (Some(NameServer { port: 9876 }), 0));
    let main = format!("name_servers = [\"127.0.0.1:9876\"]\n{main}");
    assert_eq!(
        refused(&main),
        "rmq-node.toml:3:10: nothing to run: write [name_server] or a [[broker]]"
    );
}

#[test]
fn variables_are_toml_or_plain_text_or_lists() {
    let files = Files::new("", "")
        .set("RMQ_NODE_CLUSTER", "7")
        .set("RMQ_NODE_NAME_SERVERS", "127.0.0.2:1; 127.0.0.2:2")
        .set("RMQ_NODE_STORE__DELETE_HOURS", "[3, 4]")
        .set("RMQ_NODE_LOG__LEVEL", "debug")
        .set("HOME", "/root");
    let config = files.load().unwrap().config;
    assert_eq!(config.cluster, "7");
    assert_eq!(config.name_servers, ["127.0.0.2:1", "127.0.0.2:2"]);
    assert_eq!(config.store.delete_hours, [3, 4]);
    assert_eq!(config.log.level, Level::Debug);
}

#[test]
fn wrong_variables_are_refused_all_at_once() {
    let files = Files::new("", "")
        .set("RMQ_NODE_CLUSTR", "c")
        .set("RMQ_NODE_STORE__RETENTION_HOURS", "long")
        .set("RMQ_NODE_BROKER__0__PORT", "1");
    assert_eq!(
        files.load().unwrap_err(),
        "environment RMQ_NODE_CLUSTR: unknown key `clustr`; did you mean `cluster`?\n\
         environment RMQ_NODE_STORE__RETENTION_HOURS: invalid type: string \"long\", expected a whole number from 0\n\
         environment RMQ_NODE_BROKER__0__PORT: brokers are set in a file only"
    );
}

#[test]
fn delay_levels_are_one_text_and_a_word_that_is_none_is_told_b270() {
    let levels = |value: &str| {
        let files = Files::new("", "").set("RMQ_NODE_STORE__DELAY_LEVELS", value);
        files.load().map(|loaded| loaded.config.store.delay_levels.to_string())
    };
    assert_eq!(levels("1s 90s"), Ok("1s 90s".to_owned()));
    for (text, expected) in [
        ("1s 5x", "`5x` is not a delay: write a number and a unit of s, m, h or d, such as `10s`"),
        ("", "there is no delay level: write delays with blanks between them, such as `1s 5m 2h`"),
    ] {
        let told = format!("environment RMQ_NODE_STORE__DELAY_LEVELS: {expected}");
        assert_eq!(levels(text), Err(told));
        let told = format!("rmq-node.toml:2:16: {expected}");
        assert_eq!(refused(&format!("[store]\ndelay_levels = \"{text}\"")), told);
    }
}

#[test]
fn a_file_that_was_named_must_be_there() {
    let sources = Sources { config_file: Some("/nowhere/x.toml".into()), ..Sources::default() };
    let expected = "/nowhere/x.toml: cannot be read: No such file or directory (os error 2)";
    assert_eq!(load(&sources).unwrap_err().to_string(), expected);
}

#[test]
fn numbers_that_cannot_work_are_refused() {
    for (main, expected) in [
        ("[store]\nsegment_bytes = 5", "rmq-node.toml:2:17: write at least 1048576"),
        (
            "[store]\ndelete_hours = [24]",
            "rmq-node.toml:2:16: write hours from 0 to 23, such as [4]",
        ),
        ("[store]\nretention_hours = 0", "rmq-node.toml:2:19: write at least 1"),
        (
            "[store]\ndisk_expire_percent = 99",
            "rmq-node.toml:2:23: disk percents are [99, 85, 90]: expire, force",
        ),
        ("[limits]\nin_flight_max = 0", "rmq-node.toml:2:17: write at least 1"),
        ("[limits]\nframe_bytes_max = 4194304", "rmq-node.toml:2:19: a frame must hold a message"),
        (
            "[acl]\nenabled = true",
            "rmq-node.toml:2:11: with accounts on, the node needs one of its own",
        ),
        (
            "[tls]\ncertificate_file = \"a\"",
            "rmq-node.toml:2:20: its private key is needed too: write tls.key_file",
        ),
        ("[tls]\nkey_file = \"a\"", "rmq-node.toml:2:12: without a certificate there is no TLS"),
        ("[tls]\nmode = \"enforcing\"", "rmq-node.toml:2:8: only encrypted connections are wanted"),
        (
            "[tls]\nmode = \"enforcing\"\ncertificate_file = \"a\"\nkey_file = \"b\"",
            "rmq-node.toml:2:8: the certificates of other nodes and of name servers must be checked",
        ),
        (
            "[tls]\nclient_certificates = \"optional\"\ncertificate_file = \"a\"\nkey_file = \"b\"",
            "rmq-node.toml:2:23: certificates of clients are checked by a CA",
        ),
        ("[store]\nmax_message_bytes = 1", "rmq-node.toml:2:21: write 1024 to 536870912"),
    ] {
        let error = refused(main);
        assert!(error.starts_with(expected), "{main}: {error}");
    }
}

#[test]
fn the_shipped_file_is_the_defaults() {
    let shipped = Files::new(REFERENCE, "").load().unwrap();
    let nothing = Files::new("", "").load().unwrap();
    assert_eq!(shipped.config, nothing.config);
    let defaults = layers::defaults();
    let uncommented = toml::to_string(&defaults.table).unwrap();
    assert_eq!(Files::new(&uncommented, "").load().unwrap().config, nothing.config);
}

#[test]
fn every_example_in_the_shipped_file_is_right() {
    let mut table = "";
    for line in REFERENCE.lines() {
        if line.starts_with('[') {
            table = line;
        }
        let Some(example) = line.strip_prefix("# ").filter(|line| line.contains(" = ")) else {
            continue;
        };
        if example
            .split(' ')
            .next()
            .is_some_and(|key| !key.contains(|c: char| !c.is_ascii_lowercase() && c != '_'))
        {
            toml::from_str::<settings::Settings>(&format!("{table}\n{example}")).unwrap();
        }
    }
}

#[test]
fn a_name_server_that_cannot_be_dialled_is_told_as_that() {
    for main in ["listen = \"0.0.0.0\"", "listen = \"0.0.0.0\"\nbroker = []\n[name_server]"] {
        let text = refused(main);
        assert!(text.starts_with("rmq-node.toml:1:10: advertise is missing: "), "{text}");
        assert_eq!(text.lines().count(), 1, "{text}");
    }
}

#[test]
fn what_follows_from_a_wrong_setting_is_not_told_too() {
    let text = refused("[name_server]\nport = 0");
    let expected = "rmq-node.toml:2:8: port 0 cannot be dialled: write a number from 1";
    assert_eq!(text, expected);
}

#[test]
fn an_empty_data_dir_is_refused() {
    let text = Files::new("", "").set("RMQ_NODE_DATA_DIR", "").load().unwrap_err();
    assert!(text.starts_with("environment RMQ_NODE_DATA_DIR: no folder is named: "), "{text}");
}

#[test]
fn addresses_are_refused_with_what_to_write() {
    for (entry, expected) in [
        ("a", "\"a\" has no port: write \"a:9876\""),
        ("a:0", "\"0\" is no port: write \"a:9876\""),
        ("a:99999", "\"99999\" is no port: write \"a:9876\""),
        (":1", "\":1\" has no host: write HOST:PORT"),
    ] {
        assert_eq!(check_address(entry, 9876).unwrap_err(), expected);
    }
    check_address("[::1]:9876", 9876).unwrap();
}

#[test]
fn keys_of_4_9_4_are_told_by_ours() {
    for (key, expected) in [
        ("brokerName", "`group` in [[broker]]"),
        ("brokerClusterName", "`cluster`"),
        ("listenPort", "`port` in [name_server] or `port` in [[broker]]"),
        ("brokerRole", "`role` in [[broker]] or `replication` in [[broker]]"),
        ("fileReservedTime", "`retention_hours` in [store]"),
        ("namesrvAddr", "`name_servers` or `name_servers` in [console]"),
        ("keyPath", "`key_file` in [tls]"),
    ] {
        let expected = format!("rmq-node.toml:1:1: unknown key `{key}`: here it is {expected}");
        assert_eq!(refused(&format!("{key} = 1")), expected);
    }
    assert!(refused("noSuchKey = 1").contains("; known here: "));
}

#[test]
fn tables_and_lists_of_the_wrong_form_are_told_by_theirs() {
    let text = refused("[broker]\ngroup = \"a\"");
    assert!(text.contains("write [[broker]] for tables"), "{text}");
    for (name, _) in layers::defaults().table.iter().filter(|(_, value)| value.is_table()) {
        let told = refused(&format!("{name} = 1"));
        assert!(told.ends_with(&format!("expected a table: [{name}]")), "{told}");
    }
}

#[test]
fn a_table_and_a_key_are_two_lines_apart_in_the_environment() {
    let set = |name: &str| Files::new("", "").set(name, "1").load().unwrap_err();
    let text = set("RMQ_NODE_STORE_RETENTION_HOURS");
    assert!(text.ends_with("after a table's name, RMQ_NODE_STORE__RETENTION_HOURS"), "{text}");
    let text = set("RMQ_NODE_TLS_KEY_FILE");
    assert!(text.ends_with("after a table's name, RMQ_NODE_TLS__KEY_FILE"), "{text}");
    let text = set("RMQ_NODE_STROE__RETENTION_HOURS");
    assert!(text.ends_with("did you mean `store`?"), "{text}");
}
