//! The old commands of mqadmin: their help beside what 4.9.4's own tool printed, their tables on a node of ours, and
//! their exit codes. What they print beside the tool of a whole cluster is `tests/interop/mqadmin`'s.

use std::net::Ipv4Addr;
use std::os::unix::fs::symlink;
use std::process::Command;

use crate::support::{Node, free_address, rmq_node};

/// What 4.9.4's tool printed: without an argument, and below `== NAME` of `help NAME`.
const HELP: &str = include_str!("../golden/mqadmin_help.txt");

/// Exit code, standard output and standard error.
fn run(command: &mut Command) -> (Option<i32>, String, String) {
    let output = command.env_remove("ROCKETMQ_HOME").env("TZ", "UTC").output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// Runs an old command for the node on `address`.
fn old(address: Ipv4Addr, line: &str) -> (Option<i32>, String, String) {
    let words: Vec<&str> = line.split(' ').collect();
    let mut command = rmq_node(&["admin"]);
    run(command.args(words).args(["-n", &format!("{address}:9876")]))
}

#[test]
fn help_is_4_9_4s_by_its_name_and_behind_admin() {
    let dir = tempfile::tempdir().unwrap();
    let tool = dir.path().join("mqadmin");
    symlink(env!("CARGO_BIN_EXE_rmq-node"), &tool).unwrap();
    let (list, pages) = HELP.split_once("== ").unwrap();
    let printed = |words: &[&str]| run(Command::new(&tool).args(words));
    assert_eq!(printed(&[]), (Some(0), list.to_owned(), String::new()));
    let mut count = 0;
    for page in pages.split("== ") {
        let (name, help) = page.split_once('\n').unwrap();
        let expected = (Some(0), help.to_owned(), String::new());
        assert_eq!(printed(&["help", name]), expected, "{name}");
        assert_eq!(run(&mut rmq_node(&["admin", &name.to_uppercase(), "-h"])), expected, "{name}");
        count += 1;
    }
    assert_eq!(count, 57);
    for help in ["help", "-h", "--help"] {
        assert_eq!(printed(&[help]), (Some(0), list.to_owned(), String::new()), "{help}");
    }
    let (code, output, error) = printed(&["nothing"]);
    assert_eq!((code, output.as_str()), (Some(2), "The sub command nothing not exist.\n"));
    assert!(error.starts_with("error: there is no command nothing."), "{error}");
}

#[test]
fn tables_are_those_that_scripts_read() {
    let (address, dir) = (free_address(), tempfile::tempdir().unwrap());
    let _node = Node::start(address, dir.path());
    let done = |line: &str| {
        let (code, output, error) = old(address, line);
        assert_eq!((code, error.as_str()), (Some(0), ""), "{line}: {output}");
        output.replace(&address.to_string(), "HOST")
    };
    assert_eq!(
        done("updateTopic -c DefaultCluster -t Hello -r 2 -w 2"),
        "create topic to HOST:10911 success.\nTopicConfig [topicName=Hello, readQueueNums=2, writeQueueNums=2, \
         perm=RW-, topicFilterType=SINGLE_TAG, topicSysFlag=0, order=false]"
    );
    let status = done("topicStatus -t Hello");
    let columns: Vec<Vec<&str>> =
        status.lines().skip(1).map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(columns, [["broker-a", "0", "0", "0"], ["broker-a", "1", "0", "0"]]);
    let head = format!(
        "{:<32}  {:<4}  {:<20}  {:<20}    #Last Updated",
        "#Broker Name", "#QID", "#Min Offset", "#Max Offset"
    );
    assert_eq!(status.lines().next(), Some(head.as_str()));
    let route = done("topicRoute -t Hello -l");
    assert!(
        route.ends_with(&format!(
            "{:<45} {:<32} {:<50} {:<10} {:<11} {:<5}\n",
            "Total:", 1, "", 2, 2, ""
        )),
        "{route}"
    );
    assert!(
        done("topicRoute -t Hello").starts_with(
            "{\n\t\"brokerDatas\":[\n\t\t{\n\t\t\t\"brokerAddrs\":{0:\"HOST:10911\"\n"
        )
    );
    assert!(done("topicList").lines().any(|line| line == "Hello"));
    let clusters = done("clusterList");
    assert!(
        clusters
            .lines()
            .nth(1)
            .unwrap()
            .starts_with("DefaultCluster    broker-a                0     "),
        "{clusters}"
    );
    let (broker, folder) = (format!("{address}:10911"), dir.path().join("export"));
    done(&format!("exportMetadata -b {broker} -t true -f {}", folder.display()));
    let exported = std::fs::read_to_string(folder.join("topic.json")).unwrap();
    assert!(exported.starts_with("{\n\t\"dataVersion\":{\n\t\t\"counter\":"), "{exported}");
    let group = done("updateSubGroup -c DefaultCluster -g G");
    assert!(group.contains("consumeFromMinEnable=false, consumeBroadcastEnable=false"), "{group}");
    assert!(done("getConsumerConfig -g G").contains(&format!("{:<40}=  16\n", "retryMaxTimes")));
    assert_eq!(
        done("deleteTopic -c DefaultCluster -t Hello"),
        "delete topic [Hello] from cluster [DefaultCluster] success.\ndelete topic [Hello] from NameServer success.\n"
    );
}

#[test]
fn messages_are_sent_read_and_found() {
    let (address, dir) = (free_address(), tempfile::tempdir().unwrap());
    let _node = Node::start(address, dir.path());
    let done = |line: &str| {
        let (code, output, error) = old(address, line);
        assert_eq!((code, error.as_str()), (Some(0), ""), "{line}: {output}");
        output
    };
    done("updateTopic -c DefaultCluster -t Hello -r 1 -w 1");
    for (key, tag) in [("k1", "red"), ("k2", "blue"), ("k3", "red")] {
        let sent = done(&format!("sendMessage -t Hello -p body-of-{key} -k {key} -c {tag}"));
        let row: Vec<&str> = sent.lines().nth(1).unwrap().split_whitespace().collect();
        assert_eq!(row[..3], ["broker-a", "0", "SEND_OK"], "{sent}");
    }
    let bodies = |line: &str| -> Vec<String> {
        let printed = done(line);
        printed.lines().filter_map(|line| Some(line.split_once(" BODY: ")?.1.to_owned())).collect()
    };
    assert_eq!(bodies("printMsg -t Hello"), ["body-of-k1", "body-of-k2", "body-of-k3"]);
    assert_eq!(bodies("printMsg -t Hello -s blue"), ["body-of-k2"]);
    assert_eq!(bodies("consumeMessage -t Hello -b broker-a -i 0 -o 2"), ["body-of-k3"]);
    let counted = done("printMsgByQueue -t Hello -a broker-a -i 0 -f true");
    assert_eq!(counted, format!("Tag: {:<30} Count: 2\nTag: {:<30} Count: 1\n", "red", "blue"));
    let found = done("queryMsgByKey -t Hello -k k2");
    let row: Vec<&str> = found.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!(row[1..], ["0", "1"], "{found}");
    let shown = done(&format!("queryMsgByUniqueKey -t Hello -i {}", row[0]));
    assert!(shown.contains(&format!("{:<20} [blue]\n", "Tags:")), "{shown}");
    let shown = done("queryMsgByOffset -t Hello -b broker-a -i 0 -o 1");
    let id = shown.lines().find_map(|line| line.strip_prefix("OffsetID:")).unwrap().trim();
    // Nobody is connected: each of two fails by itself, and an id of either kind is found.
    let (_, _, both) = old(address, &format!("queryMsgById -i {id},{id} -g G -d nobody"));
    let (_, _, one) = old(address, &format!("queryMsgByUniqueKey -t Hello -i {id} -g G -d nobody"));
    assert_eq!(both, one.repeat(2));
    assert!(one.contains("nobody"), "{one}");
    let (code, _, error) = old(address, "queryMsgByOffset -t Hello -b broker-a -i 0 -o 9");
    assert_eq!(code, Some(4), "{error}");
    assert!(error.contains("it has 0 to 3"), "{error}");
}

#[test]
fn what_fails_is_a_line_and_an_exit_code() {
    let (address, dir) = (free_address(), tempfile::tempdir().unwrap());
    let _node = Node::start(address, dir.path());
    for (line, code, text) in [
        ("topicRoute", 2, "-t is missing"),
        ("updateTopic -t T", 2, "-b or -c is missing"),
        ("updateTopic -c DefaultCluster -t T -r x", 2, "-r: \"x\""),
        ("topicRoute -t Missing", 4, "Missing"),
        ("consumerProgress -g Missing", 4, "consumer group \"Missing\""),
        ("updateTopic -c Missing -t T", 4, "no cluster \"Missing\"; there is: DefaultCluster"),
        ("brokerStatus -b 127.0.0.1:1", 3, "rmq-node run"),
        ("brokerStatus -b broker-a", 2, "`clusterList` shows the address"),
        ("updateTopic -c DefaultCluster -t a.b", 1, "illegal characters"),
        (
            "updateTopic -c DefaultCluster -t T --credentials /nonexistent/tools.yml",
            2,
            "/nonexistent/tools.yml",
        ),
    ] {
        let (given, _, error) = old(address, line);
        assert_eq!(given, Some(code), "{line}: {error}");
        assert!(error.starts_with("error: ") && error.contains(text), "{line}: {error}");
        assert_eq!(error.lines().count(), 1, "{line}: {error}");
    }
    let (code, output, error) =
        run(rmq_node(&["admin", "topicList"]).env("NAMESRV_ADDR", "127.0.0.1:1"));
    assert_eq!((code, output.as_str()), (Some(3), ""), "{error}");
}
