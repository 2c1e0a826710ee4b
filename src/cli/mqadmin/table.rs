//! The 57 commands of 4.9.4's mqadmin with their flags, in the order in which it lists them (M-001).
//!
//! Not what they do. Invariant: names, flags and texts are 4.9.4's; `tests/golden/mqadmin_help.txt` holds what its own
//! tool prints of each.

/// A command.
#[derive(Debug)]
pub(super) struct OldCommand {
    /// Its name, which any case may write (M-002).
    pub name: &'static str,
    /// Another name for it.
    pub alias: Option<&'static str>,
    /// What the list of commands says.
    pub about: &'static str,
    /// Its flags, without those that all have.
    pub flags: &'static [Flag],
}

/// A flag of a command.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flag {
    /// `-t`.
    pub short: char,
    /// `--topic`; some end in a blank or have one inside, so that nobody can write them (M-003).
    pub long: &'static str,
    /// What the help says.
    pub about: &'static str,
    /// Whether it must be there, and has a value.
    pub kind: Kind,
}

/// See [`Flag`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// With a value, and needed.
    Must,
    /// With a value; exactly one of the command's flags of this kind is needed.
    Either,
    /// With a value.
    May,
    /// Without a value.
    Switch,
}

impl Flag {
    /// Whether a value follows.
    pub(super) fn has_value(&self) -> bool {
        self.kind != Kind::Switch
    }
}

impl OldCommand {
    /// Every flag that it takes: where it has one of its own under the letter of one that all have, its own.
    pub(super) fn all_flags(&self) -> impl Iterator<Item = &Flag> {
        let own = |flag: &&Flag| self.flags.iter().any(|one| one.short == flag.short);
        self.flags.iter().chain(COMMON.iter().filter(move |flag| !own(flag)))
    }
}

/// The command of a name or an alias.
pub(super) fn find(name: &str) -> Option<&'static OldCommand> {
    let is_named = |command: &&OldCommand| {
        let names = [Some(command.name), command.alias];
        names.into_iter().flatten().any(|one| one.eq_ignore_ascii_case(name))
    };
    COMMANDS.iter().find(is_named)
}

/// The flags of all commands.
const COMMON: &[Flag] = &[
    switch('h', "help", "Print help"),
    may('n', "namesrvAddr", "Name server address list, eg: '192.168.0.1:9876;192.168.0.2:9876'"),
];

const fn command(name: &'static str, about: &'static str, flags: &'static [Flag]) -> OldCommand {
    OldCommand { name, alias: None, about, flags }
}

impl OldCommand {
    const fn also(self, alias: &'static str) -> Self {
        Self { alias: Some(alias), ..self }
    }
}

const fn must(short: char, long: &'static str, about: &'static str) -> Flag {
    Flag { short, long, about, kind: Kind::Must }
}

const fn either(short: char, long: &'static str, about: &'static str) -> Flag {
    Flag { short, long, about, kind: Kind::Either }
}

const fn may(short: char, long: &'static str, about: &'static str) -> Flag {
    Flag { short, long, about, kind: Kind::May }
}

const fn switch(short: char, long: &'static str, about: &'static str) -> Flag {
    Flag { short, long, about, kind: Kind::Switch }
}

/// The commands.
pub(super) const COMMANDS: &[OldCommand] = &[
    command(
        "updateTopic",
        "Update or create topic",
        &[
            either('b', "brokerAddr", "create topic to which broker"),
            either('c', "clusterName", "create topic to which cluster"),
            must('t', "topic", "topic name"),
            may('r', "readQueueNums", "set read queue nums"),
            may('w', "writeQueueNums", "set write queue nums"),
            may('p', "perm", "set topic's permission(2|4|6), intro[2:W 4:R; 6:RW]"),
            may('o', "order", "set topic's order(true|false)"),
            may('u', "unit", "is unit topic (true|false)"),
            may('s', "hasUnitSub", "has unit sub (true|false)"),
        ],
    ),
    command(
        "deleteTopic",
        "Delete topic from broker and NameServer.",
        &[
            must('t', "topic", "topic name"),
            must('c', "clusterName", "delete topic from which cluster"),
        ],
    ),
    command(
        "updateSubGroup",
        "Update or create subscription group",
        &[
            may('b', "brokerAddr", "create subscription group to which broker"),
            may('c', "clusterName", "create subscription group to which cluster"),
            must('g', "groupName", "consumer group name"),
            may('s', "consumeEnable", "consume enable"),
            may('m', "consumeFromMinEnable", "from min offset"),
            may('d', "consumeBroadcastEnable", "broadcast"),
            may('q', "retryQueueNums", "retry queue nums"),
            may('r', "retryMaxTimes", "retry max times"),
            may('i', "brokerId", "consumer from which broker id"),
            may('w', "whichBrokerWhenConsumeSlowly", "which broker id when consume slowly"),
            may('a', "notifyConsumerIdsChanged", "notify consumerId changed"),
        ],
    ),
    command(
        "deleteSubGroup",
        "Delete subscription group from broker.",
        &[
            may('b', "brokerAddr", "delete subscription group from which broker"),
            may('c', "clusterName", "delete subscription group from which cluster"),
            must('g', "groupName", "subscription group name"),
            may('r', "removeOffset", "remove offset"),
        ],
    ),
    command(
        "updateBrokerConfig",
        "Update broker's config",
        &[
            may('b', "brokerAddr", "update which broker"),
            may('c', "clusterName", "update which cluster"),
            must('k', "key", "config key"),
            must('v', "value", "config value"),
        ],
    ),
    command(
        "updateTopicPerm",
        "Update topic perm",
        &[
            may('b', "brokerAddr", "create topic to which broker"),
            may('c', "clusterName", "create topic to which cluster"),
            must('t', "topic", "topic name"),
            must('p', "perm", "set topic's permission(2|4|6), intro[2:W; 4:R; 6:RW]"),
        ],
    ),
    command(
        "topicRoute",
        "Examine topic route info",
        &[must('t', "topic", "topic name"), switch('l', "list", "Use list format to print data")],
    ),
    command("topicStatus", "Examine topic Status info", &[must('t', "topic", "topic name")]),
    command("topicClusterList", "get cluster info for topic", &[must('t', "topic", "topic name")]),
    command(
        "brokerStatus",
        "Fetch broker runtime status data",
        &[may('b', "brokerAddr", "Broker address"), may('c', "clusterName", "which cluster")],
    ),
    command(
        "queryMsgById",
        "Query Message by Id",
        &[
            must('i', "msgId", "Message Id"),
            may('g', "consumerGroup", "consumer group name"),
            may('d', "clientId", "The consumer's client id"),
            may('s', "sendMessage", "resend message"),
            may('u', "unitName", "unit name"),
        ],
    ),
    command(
        "queryMsgByKey",
        "Query Message by Key",
        &[must('t', "topic", "topic name"), must('k', "msgKey", "Message Key")],
    ),
    command(
        "queryMsgByUniqueKey",
        "Query Message by Unique key",
        &[
            must('i', "msgId", "Message Id"),
            may('g', "consumerGroup", "consumer group name"),
            may('d', "clientId", "The consumer's client id"),
            must('t', "topic", "The topic of msg"),
            switch('a', "showAll", "Print all message, the limit is 32"),
        ],
    ),
    command(
        "queryMsgByOffset",
        "Query Message by offset",
        &[
            must('t', "topic", "topic name"),
            must('b', "brokerName", "Broker Name"),
            must('i', "queueId", "Queue Id"),
            must('o', "offset", "Queue Offset"),
        ],
    ),
    command(
        "queryMsgTraceById",
        "query a message trace",
        &[
            must('i', "msgId", "Message Id"),
            may('t', "traceTopic", "The name value of message trace topic"),
        ],
    )
    .also("QueryMsgTraceById"),
    command(
        "printMsg",
        "Print Message Detail",
        &[
            must('t', "topic", "topic name"),
            may('c', "charsetName ", "CharsetName(eg: UTF-8,GBK)"),
            may('s', "subExpression ", "Subscribe Expression(eg: TagA || TagB)"),
            may(
                'b',
                "beginTimestamp ",
                "Begin timestamp[currentTimeMillis|yyyy-MM-dd#HH:mm:ss:SSS]",
            ),
            may('e', "endTimestamp ", "End timestamp[currentTimeMillis|yyyy-MM-dd#HH:mm:ss:SSS]"),
            may('d', "printBody ", "print body"),
        ],
    ),
    command(
        "printMsgByQueue",
        "Print Message Detail",
        &[
            must('t', "topic", "topic name"),
            must('a', "brokerName ", "broker name"),
            must('i', "queueId ", "queue id"),
            may('c', "charsetName ", "CharsetName(eg: UTF-8,GBK)"),
            may('s', "subExpression ", "Subscribe Expression(eg: TagA || TagB)"),
            may(
                'b',
                "beginTimestamp ",
                "Begin timestamp[currentTimeMillis|yyyy-MM-dd#HH:mm:ss:SSS]",
            ),
            may('e', "endTimestamp ", "End timestamp[currentTimeMillis|yyyy-MM-dd#HH:mm:ss:SSS]"),
            may('p', "print msg", "print msg. eg: true | false(default)"),
            may('d', "printBody ", "print body. eg: true | false(default)"),
            may('f', "calculate", "calculate by tag. eg: true | false(default)"),
        ],
    ),
    command(
        "sendMsgStatus",
        "send msg to broker.",
        &[
            must('b', "brokerName", "Broker Name"),
            may('s', "messageSize", "Message Size, Default: 128"),
            may('c', "count", "send message count, Default: 50"),
        ],
    ),
    command(
        "brokerConsumeStats",
        "Fetch broker consume stats data",
        &[
            must('b', "brokerAddr", "Broker address"),
            may('t', "timeoutMillis", "request timeout Millis"),
            may('l', "level", "threshold of print diff"),
            may('o', "order", "order topic"),
        ],
    ),
    command(
        "producerConnection",
        "Query producer's socket connection and client version",
        &[must('g', "producerGroup", "producer group name"), must('t', "topic", "topic name")],
    ),
    command(
        "consumerConnection",
        "Query consumer's socket connection, client version and subscription",
        &[
            must('g', "consumerGroup", "consumer group name"),
            may('b', "brokerAddr", "broker address"),
        ],
    ),
    command(
        "consumerProgress",
        "Query consumers's progress, speed",
        &[
            may('g', "groupName", "consumer group name"),
            may('s', "showClientIP", "Show Client IP per Queue"),
        ],
    ),
    command(
        "consumerStatus",
        "Query consumer's internal data structure",
        &[
            must('g', "consumerGroup", "consumer group name"),
            may('i', "clientId", "The consumer's client id"),
            may('b', "brokerAddr", "broker address"),
            switch('s', "jstack", "Run jstack command in the consumer progress"),
        ],
    ),
    command(
        "cloneGroupOffset",
        "clone offset from other group.",
        &[
            must('s', "srcGroup", "set source consumer group"),
            must('d', "destGroup", "set destination consumer group"),
            must('t', "topic", "set the topic"),
            may('o', "offline", "the group or the topic is offline"),
        ],
    ),
    command(
        "producer",
        "Query producer's instances, connection, status, etc.",
        &[must('b', "broker", "broker address")],
    ),
    command(
        "clusterList",
        "List all of clusters",
        &[
            switch('m', "moreStats", "Print more stats"),
            may('i', "interval", "specify intervals numbers, it is in seconds"),
        ],
    ),
    command(
        "topicList",
        "Fetch all topic list from name server",
        &[switch('c', "clusterModel", "clusterModel")],
    ),
    command(
        "updateKvConfig",
        "Create or update KV config.",
        &[
            must('s', "namespace", "set the namespace"),
            must('k', "key", "set the key name"),
            must('v', "value", "set the key value"),
        ],
    ),
    command(
        "deleteKvConfig",
        "Delete KV config.",
        &[must('s', "namespace", "set the namespace"), must('k', "key", "set the key name")],
    ),
    command(
        "wipeWritePerm",
        "Wipe write perm of broker in all name server you defined in the -n param",
        &[must('b', "brokerName", "broker name")],
    ),
    command(
        "addWritePerm",
        "Add write perm of broker in all name server you defined in the -n param",
        &[must('b', "brokerName", "broker name")],
    ),
    command(
        "resetOffsetByTime",
        "Reset consumer offset by timestamp(without client restart).",
        &[
            must('g', "group", "set the consumer group"),
            must('t', "topic", "set the topic"),
            must(
                's',
                "timestamp",
                "set the timestamp[now|currentTimeMillis|yyyy-MM-dd#HH:mm:ss:SSS]",
            ),
            may('f', "force", "set the force rollback by timestamp switch[true|false]"),
            switch('c', "cplus", "reset c++ client offset"),
        ],
    ),
    command(
        "skipAccumulatedMessage",
        "Skip all messages that are accumulated (not consumed) currently",
        &[
            must('g', "group", "set the consumer group"),
            must('t', "topic", "set the topic"),
            may('f', "force", "set the force rollback by timestamp switch[true|false]"),
        ],
    ),
    command(
        "updateOrderConf",
        "Create or update or delete order conf",
        &[
            must('t', "topic", "topic name"),
            may('v', "orderConf", "set order conf [eg. brokerName1:num;brokerName2:num]"),
            must('m', "method", "option type [eg. put|get|delete"),
        ],
    ),
    command(
        "cleanExpiredCQ",
        "Clean expired ConsumeQueue on broker.",
        &[may('b', "brokerAddr", "Broker address"), may('c', "cluster", "clustername")],
    ),
    command(
        "deleteExpiredCommitLog",
        "Delete expired CommitLog files",
        &[
            may('n', "namesrvAddr", "Name server address"),
            may('b', "brokerAddr", "Broker address"),
            may('c', "cluster", "clustername"),
        ],
    ),
    command(
        "cleanUnusedTopic",
        "Clean unused topic on broker.",
        &[may('b', "brokerAddr", "Broker address"), may('c', "cluster", "cluster name")],
    ),
    command("startMonitoring", "Start Monitoring", &[]),
    command(
        "statsAll",
        "Topic and Consumer tps stats",
        &[
            switch('a', "activeTopic", "print active topic only"),
            may('t', "topic", "print select topic only"),
        ],
    ),
    command(
        "allocateMQ",
        "Allocate MQ",
        &[must('t', "topic", "topic name"), must('i', "ipList", "ipList")],
    ),
    command(
        "checkMsgSendRT",
        "check message send response time",
        &[
            must('t', "topic", "topic name"),
            may('a', "amount", "message amount | default 100"),
            may('s', "size", "message size | default 128 Byte"),
        ],
    ),
    command(
        "clusterRT",
        "List All clusters Message Send RT",
        &[
            may('a', "amount", "message amount | default 100"),
            may('s', "size", "message size | default 128 Byte"),
            may('c', "cluster", "cluster name | default display all cluster"),
            may('p', "print log", "print as tlog | default false"),
            may('m', "machine room", "machine room name | default noname"),
            may('i', "interval", "print interval | default 10 seconds"),
        ],
    ),
    command("getNamesrvConfig", "Get configs of name server.", &[]),
    command(
        "updateNamesrvConfig",
        "Update configs of name server.",
        &[must('k', "key", "config key"), must('v', "value", "config value")],
    ),
    command(
        "getBrokerConfig",
        "Get broker config by cluster or special broker!",
        &[may('b', "brokerAddr", "get which broker"), may('c', "clusterName", "get which cluster")],
    ),
    command(
        "getConsumerConfig",
        "Get consumer config by subscription group name!",
        &[must('g', "groupName", "subscription group name")],
    ),
    command(
        "queryCq",
        "Query cq command.",
        &[
            must('t', "topic", "topic name"),
            must('q', "queue", "queue num, ie. 1"),
            must('i', "index", "start queue index."),
            may('c', "count", "how many."),
            may('b', "broker", "broker addr."),
            may('g', "consumer", "consumer group."),
        ],
    ),
    command(
        "sendMessage",
        "Send a message",
        &[
            must('t', "topic", "Topic name"),
            must('p', "body", "UTF-8 string format of the message body"),
            may('k', "key", "Message keys"),
            may('c', "tags", "Message tags"),
            may('b', "broker", "Send message to target broker"),
            may('i', "qid", "Send message to target queue"),
            may('m', "msgTraceEnable", "Message Trace Enable, Default: false"),
        ],
    ),
    command(
        "consumeMessage",
        "Consume message",
        &[
            must('t', "topic", "Topic name"),
            may('b', "brokerName", "Broker name"),
            may('i', "queueId", "Queue Id"),
            may('o', "offset", "Queue offset"),
            may('g', "consumerGroup", "Consumer group name"),
            may(
                's',
                "beginTimestamp ",
                "Begin timestamp[currentTimeMillis|yyyy-MM-dd#HH:mm:ss:SSS]",
            ),
            may('e', "endTimestamp ", "End timestamp[currentTimeMillis|yyyy-MM-dd#HH:mm:ss:SSS]"),
            may('c', "MessageNumber", "Number of message to be consumed"),
        ],
    ),
    command(
        "updateAclConfig",
        "Update acl config yaml file in broker",
        &[
            either('b', "brokerAddr", "update acl config file to which broker"),
            either('c', "clusterName", "update acl config file to which cluster"),
            must('a', "accessKey", "set accessKey in acl config file"),
            may('s', "secretKey", "set secretKey in acl config file"),
            may('w', "whiteRemoteAddress", "set white ip Address for account in acl config file"),
            may('i', "defaultTopicPerm", "set default topicPerm in acl config file"),
            may('u', "defaultGroupPerm", "set default GroupPerm in acl config file"),
            may('t', "topicPerms", "set topicPerms list,eg: topicA=DENY,topicD=SUB"),
            may('g', "groupPerms", "set groupPerms list,eg: groupD=DENY,groupD=SUB"),
            may('m', "admin", "set admin flag in acl config file"),
        ],
    ),
    command(
        "deleteAclConfig",
        "Delete Acl Config Account in broker",
        &[
            either('b', "brokerAddr", "delete acl config account from which broker"),
            either('c', "clusterName", "delete acl config account from which cluster"),
            must('a', "accessKey", "set accessKey in acl config file for deleting which account"),
        ],
    )
    .also("deleteAccessConfig"),
    command(
        "clusterAclConfigVersion",
        "List all of acl config version information in cluster",
        &[
            either('b', "brokerAddr", "query acl config version for which broker"),
            either('c', "clusterName", "query acl config version for specified cluster"),
        ],
    ),
    command(
        "updateGlobalWhiteAddr",
        "Update global white address for acl Config File in broker",
        &[
            either('b', "brokerAddr", "update global white address to which broker"),
            either('c', "clusterName", "update global white address to which cluster"),
            must(
                'g',
                "globalWhiteRemoteAddresses",
                "set globalWhiteRemoteAddress list,eg: 10.10.103.*,192.168.0.*",
            ),
            may(
                'p',
                "aclFileFullPath",
                "update global white address of specified acl file,eg: /xxx/plain_test.yml",
            ),
        ],
    ),
    command(
        "getAclConfig",
        "List all of acl config information in cluster",
        &[
            either('b', "brokerAddr", "query acl config version for which broker"),
            either('c', "clusterName", "query acl config version for specified cluster"),
        ],
    )
    .also("getAccessConfigSubCommand"),
    command(
        "exportMetadata",
        "export metadata",
        &[
            may('c', "clusterName", "choose a cluster to export"),
            may('b', "brokerAddr", "choose a broker to export"),
            may('f', "filePath", "export metadata.json path | default /tmp/rocketmq/export"),
            switch('t', "topic", "only export topic metadata"),
            switch('g', "subscriptionGroup", "only export subscriptionGroup metadata"),
            switch('s', "specialTopic", "need retryTopic and dlqTopic"),
        ],
    ),
    command(
        "exportConfigs",
        "export configs",
        &[
            must('c', "clusterName", "choose a cluster to export"),
            may('f', "filePath", "export configs.json path | default /tmp/rocketmq/export"),
        ],
    ),
    command(
        "exportMetrics",
        "export metrics",
        &[
            must('c', "clusterName", "choose a cluster to export"),
            may('f', "filePath", "export metrics.json path | default /tmp/rocketmq/export"),
        ],
    ),
];
