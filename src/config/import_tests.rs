//! Imports: the tutorial's files, 4.9.4's own, and files with everything that can be wrong in them.

use proptest::prelude::*;

use super::*;

/// One of the tutorial's files; all four differ in three values.
fn tutorial(group: &str, role: &str, host: u8) -> String {
    let id = u8::from(role == "SLAVE");
    format!(
        "brokerClusterName=DefaultCluster\nbrokerName={group}\nbrokerId={id}\ndeleteWhen=04\nfileReservedTime=48\n\
         brokerRole={role}\nflushDiskType=ASYNC_FLUSH\nnamesrvAddr=192.168.1.161:9876;192.168.1.162:9876\n\
         brokerIP1=192.168.1.{host}\n"
    )
}

fn all(files: &[(&str, &str)]) -> Vec<Import> {
    let owned = |(name, text): &(&str, &str)| ((*name).to_owned(), (*text).to_owned());
    import(&files.iter().map(owned).collect::<Vec<_>>(), None)
}

fn one(text: &str) -> Import {
    all(&[("a", text)]).remove(0)
}

/// Outcome and text of the only line.
fn fate(text: &str) -> (Outcome, String) {
    let mut lines = one(text).lines;
    assert_eq!(lines.len(), 1);
    let line = lines.remove(0);
    (line.outcome, line.text)
}

/// A broker that is right, with more lines.
fn broker(more: &str) -> String {
    format!(
        "brokerName=a\nbrokerIP1=10.0.0.1\nbrokerIP2=10.0.0.1\nnamesrvAddr=10.0.0.1:9876\n{more}"
    )
}

/// What it was found to be wrong with it.
fn mistakes(more: &str) -> Vec<String> {
    one(&broker(more)).mistakes
}

#[test]
fn whose_broker_made_the_topic_of_traces_is_told_what_makes_it() {
    let (outcome, text) = fate("traceTopicEnable=true");
    assert_eq!(outcome, Outcome::NotTaken);
    assert!(text.contains("the first trace that a client sends makes the topic"), "{text}");
    assert!(!text.contains("topics create"), "brokers refuse it: {text}");
}

#[test]
fn a_file_of_tls_belongs_to_no_role_and_its_keys_are_taken() {
    let tls = "tls.test.mode.enable=false\ntls.server.need.client.auth=require\ntls.server.certPath=/etc/a.crt\n\
               tls.server.keyPath=/etc/a.key\ntls.server.keyPassword=\ntls.server.trustCertPath=/etc/ca.crt\n\
               tls.client.authServer=true\ntls.client.trustCertPath=/etc/other.crt\n";
    let imported = all(&[("broker.conf", &broker("")), ("tls.properties", tls)]).remove(0);
    assert_eq!(imported.result, Ok(()), "{}", imported.toml);
    assert!(imported.toml.contains(
        "[tls]\nca_file = \"/etc/ca.crt\"\ncertificate_file = \"/etc/a.crt\"\nclient_certificates = \"required\"\n\
         key_file = \"/etc/a.key\"\n"
    ), "{}", imported.toml);
    let lost: Vec<_> =
        imported.lines.iter().filter(|line| line.outcome == Outcome::NotTaken).collect();
    assert!(lost.len() == 1 && lost[0].entry.contains("tls.client.trustCertPath"), "{lost:?}");
    assert_eq!(fate("tls.server.keyPassword=secret").0, Outcome::NotTaken);
}

#[test]
fn the_files_of_the_tutorial_are_one_of_ours_and_their_mistakes_are_told() {
    let master = tutorial("broker-a", "ASYNC_MASTER", 161);
    let slave = tutorial("broker-b", "SLAVE", 161);
    let mut hosts = all(&[("broker-a.properties", &master), ("broker-b-s.properties", &slave)]);
    assert_eq!(hosts.len(), 1);
    let imported = hosts.remove(0);
    let expected = "# Made by rmq-node config import of 4.9.4's property files.\n\n\
                    advertise = \"192.168.1.161\"\ncluster = \"DefaultCluster\"\n\
                    name_servers = [\"192.168.1.161:9876\", \"192.168.1.162:9876\"]\n\n\
                    [name_server]\nport = 9876\n\n\
                    [[broker]]\ngroup = \"broker-a\"\nrole = \"master\"\nport = 10911\nreplication = \"async\"\nflush = \"async\"\n\n\
                    [[broker]]\ngroup = \"broker-b\"\nrole = \"slave\"\nid = 1\nport = 10921\nflush = \"async\"\n\n\
                    [store]\ndelete_hours = [4]\nretention_hours = 48\n";
    assert_eq!(imported.toml, expected);
    assert_eq!(imported.result, Ok(()));
    assert_eq!(
        imported.mistakes,
        [
            "broker-a.properties: brokerIP2 is not written, so that 4.9.4 tells slaves to copy broker-a from the first \
             address that it finds, in a container one that no other host can dial; written: nothing, slaves dial \
             advertise",
            "broker-b-s.properties: listenPort is not written, so that the slave of broker-b announces port 10911 of \
             192.168.1.161, which is that of the master of broker-a (broker-a.properties): behind a port mapping too, \
             clients that are sent to the one reach the other; written: port = 10921",
        ]
    );
    let of = |outcome| imported.lines.iter().filter(|line| line.outcome == outcome).count();
    assert_eq!((of(Outcome::Taken), of(Outcome::NotNeeded), imported.lines.len()), (17, 1, 18));
}

#[test]
fn it_is_the_pair_that_is_shipped() {
    use crate::config::check_text;
    let shipped =
        check_text("a", include_str!("../../conf/2m-2s-async/192.168.1.162.toml")).unwrap().config;
    let files = [
        ("a-s", tutorial("broker-a", "SLAVE", 162)),
        ("b", tutorial("broker-b", "ASYNC_MASTER", 162)),
    ];
    let files = files.map(|(name, text)| (name.to_owned(), text));
    let mut imported = check_text("a", &import(&files, None).remove(0).toml).unwrap().config;
    assert_eq!(imported.store.retention_hours, 48);
    imported.store.retention_hours = shipped.store.retention_hours;
    assert_eq!(imported, shipped);
}

#[test]
fn files_of_several_hosts_are_told_apart() {
    let files = [
        ("a", tutorial("broker-a", "ASYNC_MASTER", 161)),
        ("a-s", tutorial("broker-a", "SLAVE", 162)),
        ("b", tutorial("broker-b", "ASYNC_MASTER", 162)),
        ("b-s", tutorial("broker-b", "SLAVE", 161)),
    ];
    let files = files.map(|(name, text)| (name.to_owned(), text));
    let hosts = import(&files, None);
    assert_eq!(hosts.len(), 2);
    assert_eq!(
        (&hosts[0].files, hosts[0].mistakes.len()),
        (&vec!["a".to_owned(), "b-s".to_owned()], 2)
    );
    assert_eq!(
        (&hosts[1].files, hosts[1].mistakes.len()),
        (&vec!["a-s".to_owned(), "b".to_owned()], 2)
    );
}

#[test]
fn four_nine_fours_own_files_lack_what_only_an_operator_knows() {
    let text = "brokerClusterName = DefaultCluster\nbrokerName = broker-a\nbrokerId = 0\ndeleteWhen = 04\n\
                fileReservedTime = 48\nbrokerRole = ASYNC_MASTER\nflushDiskType = ASYNC_FLUSH\n";
    let imported = one(text);
    assert_eq!(
        imported.mistakes,
        [
            "brokerIP1 is not written, and 4.9.4 announces the first address that it finds, in a container one that no \
             other host can dial; to be written: advertise",
            "a: brokerIP2 is not written, so that 4.9.4 tells slaves to copy broker-a from the first address that it \
             finds, in a container one that no other host can dial; written: nothing, slaves dial advertise",
            "namesrvAddr is not written: 4.9.4 takes it from -n or NAMESRV_ADDR; to be written: name_servers",
        ]
    );
    let wrong = imported.result.unwrap_err().to_string();
    assert!(
        wrong.contains("advertise is missing") && wrong.contains("nobody could find"),
        "{wrong}"
    );
}

#[test]
fn a_name_server_with_a_file_keeps_its_port() {
    let master = broker("");
    let mut hosts = all(&[("a", &master), ("namesrv", "listenPort=9999\n")]);
    // The list has another port, which is told.
    let imported = hosts.remove(0);
    assert!(imported.toml.contains("[name_server]\nport = 9999\n"), "{}", imported.toml);
    assert!(imported.result.unwrap_err().to_string().contains("whose name server has port 9999"));
    let again =
        all(&[("a", &master), ("n", "kvConfigPath=/x"), ("m", "clusterTest=false")]).remove(0);
    assert!(again.toml.contains("[name_server]\nport = 9876\n"));
    assert_eq!(
        again.mistakes,
        ["m: a host has one name server, and another file has it; not written"]
    );
    let elsewhere = one(&broker("namesrvAddr=10.0.0.2:9876"));
    assert!(!elsewhere.toml.contains("[name_server]"));
}

#[test]
fn a_host_with_a_name_server_only_runs_no_broker() {
    let imported = one("listenPort=9876\nserverWorkerThreads=8\n");
    assert!(
        imported.toml.ends_with("\n\nbroker = []\n\n[name_server]\nport = 9876\n"),
        "{}",
        imported.toml
    );
    assert!(imported.mistakes.is_empty(), "{:?}", imported.mistakes);
    let missing = imported.result.unwrap_err().to_string();
    assert!(missing.contains("advertise is missing: with listen = \"0.0.0.0\""), "{missing}");
    let written = format!("advertise = \"10.0.0.1\"\n{}", imported.toml);
    let config = crate::config::check_text("a", &written).unwrap().config;
    assert!(config.brokers.is_empty() && config.name_server.is_some());
}

#[test]
fn each_fate_is_told() {
    use Outcome::{NotNeeded, NotTaken, Taken, Unknown};
    for (text, outcome, expected) in [
        ("brokerName=x", Taken, "group = \"x\""),
        ("listenPort=9876", Taken, "[name_server] port = 9876"),
        ("brokerRole=SYNC_MASTER", Taken, "role = \"master\", replication = \"sync\""),
        ("flushDiskType=SYNC_FLUSH", Taken, "flush = \"sync\""),
        ("mappedFileSizeCommitLog=1048576", Taken, "store.segment_bytes = 1048576"),
        ("diskMaxUsedSpaceRatio=95", Taken, "store.disk_expire_percent = 85"),
        ("transactionCheckMax=3", Taken, "transactions.checks_max = 3"),
        ("rejectTransactionMessage=TRUE", Taken, "transactions.reject = true"),
        ("slaveReadEnable=true", Taken, "store.read_from_slaves = true"),
        ("deleteWhen=04;16", Taken, "store.delete_hours = [4, 16]"),
        ("brokerIP2=10.0.0.1", Taken, "replication_advertise = \"10.0.0.1\""),
        ("brokerIP1=host", NotTaken, "it is an IP address here, because message ids carry it"),
        ("brokerId=3", NotNeeded, "a master's id is 0, in 4.9.4 too whatever its file says"),
        (
            "haListenPort=1",
            NotNeeded,
            "it is always the port + 1, in 4.9.4 too whatever its file says",
        ),
        ("sendMessageThreadPoolNums=16", NotNeeded, "there are no thread pools"),
        (
            "longPollingEnable=TRUE",
            NotNeeded,
            "it is so here: a pull always waits until there is a message",
        ),
        ("longPollingEnable=false", NotTaken, "a pull always waits until there is a message"),
        (
            "brokerPermission=4",
            NotTaken,
            "a master is readable and writable unless `rmq-node admin brokers config set brokerPermission VALUE`, which is \
             kept, says otherwise",
        ),
        (
            "traceOn=false",
            NotTaken,
            "answers to senders say that traces are on unless `rmq-node admin brokers config set traceOn VALUE`, which is \
             kept, says otherwise",
        ),
        (
            "enableLmq=true",
            NotNeeded,
            "it is so here: there are no light queues unless enableLmq and enableMultiDispatch are true",
        ),
        ("autoCreateTopicEnable=TRUE", Taken, "auto_create.topics = true"),
        ("autoCreateTopicEnable=false", Taken, "auto_create.topics = false"),
        ("autoCreateSubscriptionGroup=false", Taken, "auto_create.groups = false"),
        (
            "fileReservedTime=48h",
            NotTaken,
            "it is not a whole number; 4.9.4 ignored it and took its default",
        ),
        ("listenPort=x", NotTaken, "it is not a port; 4.9.4 ignored it and took its default"),
        (
            "brokerRole=LEADER",
            NotTaken,
            "it is not ASYNC_MASTER, SYNC_MASTER or SLAVE; 4.9.4 ignored it and took its default",
        ),
        ("brokername=x", Unknown, "4.9.4 ignored it; did you mean `brokerName`?"),
        ("fileReserveTime=48", Unknown, "4.9.4 ignored it; did you mean `fileReservedTime`?"),
        (
            "storePathConsumeQueue=/x",
            Unknown,
            "4.9.4 ignored it: its path follows storePathRootDir",
        ),
        ("somethingElse=1", Unknown, "4.9.4 ignored it"),
    ] {
        assert_eq!(fate(text), (outcome, expected.to_owned()), "{text}");
    }
}

#[test]
fn delay_levels_are_taken_as_they_are_b270() {
    let imported = one(&broker("messageDelayLevel=1s 90s 2h \n"));
    let line = "delay_levels = \"1s 90s 2h\"";
    assert!(imported.toml.lines().any(|one| one == line), "{}", imported.toml);
    assert_eq!((imported.result, imported.mistakes), (Ok(()), Vec::new()));
    let (outcome, text) = fate("messageDelayLevel=1s 5x");
    assert_eq!(
        (outcome, text.starts_with("`5x` is not a delay: ")),
        (Outcome::NotTaken, true),
        "{text}"
    );
}

#[test]
fn of_a_key_that_is_said_twice_the_last_line_counts() {
    let twice = one("brokerName=x\nbrokerName=y\n");
    assert_eq!(twice.lines[0].entry, "a:1: brokerName=x");
    assert_eq!(
        (twice.lines[0].outcome, twice.lines[0].text.as_str()),
        (Outcome::NotNeeded, "line 2 says it again")
    );
    assert!(twice.toml.contains("group = \"y\""));
}

#[test]
fn what_4_9_4_swallowed_is_told() {
    let cases = [
        (
            "fileReservedTime=48 \n",
            "a:5: a blank follows the value, and 4.9.4 ignored the line; written without",
        ),
        (
            "brokerClusterName=C\t\n",
            "a:5: a blank follows the value, and 4.9.4 took it as a part of it; written without",
        ),
        (
            "brokerRole=sync_master\n",
            "a:5: 4.9.4 knows no sync_master and took ASYNC_MASTER in silence; written as if it were SYNC_MASTER",
        ),
        (
            "flushDiskType=sync_flush\n",
            "a:5: 4.9.4 knows no sync_flush and took ASYNC_FLUSH in silence; written as if it were SYNC_FLUSH",
        ),
        (
            "brokerRole=SLAVE\n",
            "a: a slave with brokerId 0 does not start in 4.9.4; written: id = 1",
        ),
        (
            "brokerName=\n",
            "a: brokerName is not written, and 4.9.4 takes the host's name; to be written",
        ),
    ];
    for (more, expected) in cases {
        assert_eq!(mistakes(more), [expected], "{more}");
    }
}

#[test]
fn a_list_of_name_servers_with_a_missing_port_is_mended() {
    let imported = one(&broker("namesrvAddr=192.168.1.161;192.168.1.162:9876\n"));
    assert_eq!(imported.mistakes, ["a:5: 192.168.1.161 has no port; written: 192.168.1.161:9876"]);
    assert!(
        imported.toml.contains("name_servers = [\"192.168.1.161:9876\", \"192.168.1.162:9876\"]")
    );
    let commas = mistakes("namesrvAddr=10.0.0.1:9876,10.0.0.2:9876\n");
    assert_eq!(
        commas,
        [
            "a:5: name servers have ; between them in 4.9.4, which did not start with this; written as if it were ;"
        ]
    );
}

#[test]
fn brokers_of_a_host_agree_and_share_no_port() {
    let other = broker("brokerName=b\nlistenPort=10914\nfileReservedTime=24\n");
    let mut hosts = all(&[("a", &broker("fileReservedTime=48\n")), ("b", &other)]);
    let imported = hosts.remove(0);
    assert_eq!(
        imported.mistakes,
        [
            "b: listenPort is 10914, and port - 2 to port + 1 of the master of b meet those of the master of a (a): the \
             second does not start; written: port = 10921"
        ]
    );
    let line = imported.lines.iter().find(|line| line.outcome == Outcome::NotTaken).unwrap();
    assert_eq!(line.entry, "b:7: fileReservedTime=24");
    assert_eq!(
        line.text,
        "a:5 says 48, and a host has one store.retention_hours for all its brokers"
    );
    assert_eq!(imported.result, Ok(()));
}

proptest! {
    #[test]
    fn every_line_is_reported_once_and_the_result_is_toml(
        keys in proptest::collection::vec((0_usize..200, "[ -~]{0,12}"), 0..12),
        files in 1_usize..4,
    ) {
        let known: Vec<&str> = import_keys::all().map(|(key, _)| *key).collect();
        let mut texts = vec![String::new(); files];
        for (at, (key, value)) in keys.iter().enumerate() {
            let key = known.get(*key).unwrap_or(&"other");
            // A backslash at the end would join it with the next.
            texts[at % files].push_str(&format!("{key}={}\n", value.replace('\\', "/")));
        }
        let named: Vec<_> = texts.into_iter().enumerate().map(|(at, text)| (format!("{at}"), text)).collect();
        let hosts = import(&named, None);
        prop_assert_eq!(hosts.iter().map(|host| host.lines.len()).sum::<usize>(), keys.len());
        for host in hosts {
            prop_assert!(toml::from_str::<toml::Table>(&host.toml).is_ok(), "{}", host.toml);
        }
    }
}

#[test]
fn accounts_are_on_with_an_account_of_the_nodes_own() {
    let with = |account| {
        let files = [("a".to_owned(), broker("aclEnable=true\n"))];
        import(&files, account).remove(0)
    };
    let imported = with(Some("rocketmq2"));
    assert!(
        imported.toml.ends_with("[acl]\nenabled = true\nnode_account = \"rocketmq2\"\n"),
        "{}",
        imported.toml
    );
    assert_eq!(imported.result, Ok(()));
    let without = with(None).result.unwrap_err().to_string();
    assert!(without.contains("the node needs one of its own"), "{without}");
    assert_eq!(fate("aclEnable=true").0, Outcome::Taken);
    assert_eq!(fate("aclEnable=false").0, Outcome::NotNeeded);
}

#[test]
fn light_queues_are_on_where_they_were() {
    let text = "enableLmq=true\nenableMultiDispatch=true\nmaxLmqConsumeQueueNum=5\n";
    let imported = import(&[("a".to_owned(), broker(text))], None).remove(0);
    for line in ["light_queues = true", "light_queues_max = 5"] {
        assert!(imported.toml.lines().any(|one| one == line), "{}", imported.toml);
    }
    assert_eq!(imported.result, Ok(()));
    assert_eq!(fate("enableLmq=false").0, Outcome::NotNeeded);
    let half = one(&broker("enableLmq=true\nenableMultiDispatch=false\n"));
    assert!(!half.toml.contains("light_queues"), "{}", half.toml);
}
