"""The exchanges with a name server and a broker whose answers are kept in captured.txt.

Each is handed to a `seen(name, connection, code, fields, body, binary, **more)`: `capture` writes them down, `compare`
holds another server's answers against them. Their order matters: later ones rely on what earlier ones did.
"""

import json
import os
import struct
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.realpath(__file__))), "interop"))
import accounts  # noqa: E402,F401
import sweep  # noqa: E402
from remoting import Answer, Connection, create_topic, pull_fields, send_fields  # noqa: E402
from servers import wait_until  # noqa: E402

TOPIC = "Golden"
REGISTER = (b'{"filterServerList":[],"topicConfigSerializeWrapper":{"dataVersion":{"counter":1,"timestamp":1650000000000},"topicConfigTable":'
            b'{"GoldenNames":{"order":false,"perm":6,"readQueueNums":4,"topicFilterType":"SINGLE_TAG","topicName":"GoldenNames","topicSysFlag":0,'
            b'"writeQueueNums":4}}}}')
HEARTBEAT = (b'{"clientID":"127.0.0.1@golden","consumerDataSet":[{"consumeFromWhere":"CONSUME_FROM_LAST_OFFSET","consumeType":"CONSUME_PASSIVELY",'
             b'"groupName":"GoldenGroup","messageModel":"CLUSTERING","subscriptionDataSet":[{"classFilterMode":false,"codeSet":[],'
             b'"expressionType":"TAG","subString":"*","subVersion":1650000000000,"tagsSet":[],"topic":"Golden"}],"unitMode":false}],'
             b'"producerDataSet":[{"groupName":"GoldenProducer"}]}')
LOCK = b'{"clientId":"127.0.0.1@golden","consumerGroup":"GoldenGroup","mqSet":[{"brokerName":"broker-a","queueId":0,"topic":"Golden"}]}'


def binary_frame(code, fields, body=b"", opaque=1):
    """A request with the ROCKETMQ header (R-020)."""
    extra = b"".join(struct.pack(">h", len(key)) + key.encode() + struct.pack(">i", len(value)) + value.encode() for key, value in fields.items())
    header = struct.pack(">hbhiiii", code, 0, 401, opaque, 0, 0, len(extra)) + extra
    return struct.pack(">ii", 4 + len(header) + len(body), 1 << 24 | len(header)) + header + body


def opaque_of(raw):
    """The opaque of a frame with either header."""
    if raw[4] == 1:
        return struct.unpack_from(">i", raw, 13)[0]
    return Answer(raw).opaque


# How the server of `transactions` checks them: none that is ended here, and soon those that say to be old.
CHECKS = (8000, 3, 2000)


def answer_frame(pushed, code, body=b""):
    """What a client answers to a request that the broker sent it."""
    header = json.dumps({"code": code, "flag": 1, "language": "JAVA", "opaque": opaque_of(pushed), "serializeTypeCurrentRPC": "JSON", "version": 401}).encode()
    return struct.pack(">ii", 4 + len(header) + len(body), len(header)) + header + body


def name_server(seen, names):
    master = {"brokerName": "golden-a", "brokerAddr": "127.0.0.1:7000", "clusterName": "GoldenCluster", "haServerAddr": "127.0.0.1:7001",
              "brokerId": 0, "compressed": False, "bodyCrc32": 0}
    slave = {**master, "brokerAddr": "127.0.0.1:7100", "haServerAddr": "127.0.0.1:7101", "brokerId": 1}
    version = {key: master[key] for key in ("brokerName", "brokerAddr", "clusterName", "brokerId")}
    seen("register-master", names, 103, master, REGISTER)
    seen("register-slave", names, 103, slave, REGISTER)
    seen("register-bad-crc", names, 103, {**master, "bodyCrc32": 1}, REGISTER)
    seen("data-version-same", names, 322, version, b'{"counter":1,"timestamp":1650000000000}')
    seen("data-version-changed", names, 322, version, b'{"counter":2,"timestamp":1650000000000}')
    seen("route-v401", names, 105, {"topic": "GoldenNames"})
    seen("route-v395", names, 105, {"topic": "GoldenNames"}, version=395)
    seen("route-v395-standard", names, 105, {"topic": "GoldenNames", "acceptStandardJsonOnly": True}, version=395)
    seen("route-binary", names, 105, {"topic": "GoldenNames"}, binary=True)
    seen("route-missing", names, 105, {"topic": "Missing"})
    seen("cluster-info", names, 106)
    seen("topics-of-cluster", names, 224, {"cluster": "GoldenCluster"})
    seen("topics-of-missing-cluster", names, 224, {"cluster": "Missing"})
    seen("kv-missing", names, 101, {"namespace": "golden", "key": "k"})
    seen("kv-put", names, 100, {"namespace": "golden", "key": "k", "value": "v"})
    seen("kv-get", names, 101, {"namespace": "golden", "key": "k"})
    seen("kv-list", names, 219, {"namespace": "golden"})
    seen("kv-delete", names, 102, {"namespace": "golden", "key": "k"})
    seen("wipe-write", names, 205, {"brokerName": "golden-a"})
    seen("add-write", names, 327, {"brokerName": "golden-a"})
    seen("delete-topic-in-names", names, 216, {"topic": "GoldenNames"})
    seen("unregister", names, 104, version)
    name_server_edges(seen, names, master, slave, version)


def broker(seen, connection):
    topic = {"topic": TOPIC, "defaultTopic": "TBW102", "readQueueNums": 4, "writeQueueNums": 4, "perm": 6, "topicFilterType": "SINGLE_TAG",
             "topicSysFlag": 0, "order": False}
    properties = "KEYS\x01golden-key\x02TAGS\x01A\x02UNIQ_KEY\x01GOLDEN0001\x02WAIT\x01true\x02x\x01y"
    seen("create-topic", connection, 17, topic)
    seen("create-topic-reserved", connection, 17, {**topic, "topic": "TBW102"})
    seen("send-v2", connection, 310, send_fields(TOPIC, 0, properties), b"hello")
    seen("send-v2-binary", connection, 310, {key: str(value).lower() if isinstance(value, bool) else str(value)
                                                         for key, value in send_fields(TOPIC, 0, properties).items()}, b"hello", binary=True)
    seen("send-v1", connection, 10, {"producerGroup": "P", "topic": TOPIC, "defaultTopic": "TBW102", "defaultTopicQueueNums": 4,
                                                 "queueId": 0, "sysFlag": 0, "bornTimestamp": 1650000000000, "flag": 0, "properties": properties,
                                                 "reconsumeTimes": 0, "unitMode": False, "batch": False}, b"hello")
    item = struct.pack(">iiiii", 25, 0, 0, 0, 3) + b"one" + struct.pack(">h", 0)
    seen("send-batch", connection, 320, {**send_fields(TOPIC, 1), "m": True}, item + item)
    seen("send-illegal-queue", connection, 310, send_fields(TOPIC, 99), b"hello")
    seen("send-illegal-topic", connection, 310, send_fields("bad topic!", 0), b"hello")
    seen("send-system-topic", connection, 310, send_fields("SCHEDULE_TOPIC_XXXX", 0), b"hello")
    seen("send-retry-without-group", connection, 310, send_fields("%RETRY%Missing", 0), b"hello")
    where = {"topic": TOPIC, "queueId": 0}
    wait_until("three messages filed", lambda: int(connection.call(30, where).fields["offset"]) == 3)
    wait_until("two messages filed", lambda: int(connection.call(30, {"topic": TOPIC, "queueId": 1}).fields["offset"]) == 2)
    seen("pull-found", connection, 11, pull_fields("GoldenPull", TOPIC, 0, 0, 2))
    seen("pull-no-new", connection, 11, pull_fields("GoldenPull", TOPIC, 0, 3))
    seen("pull-empty-queue", connection, 11, pull_fields("GoldenPull", TOPIC, 3, 0))
    seen("pull-beyond-end", connection, 11, pull_fields("GoldenPull", TOPIC, 0, 10))
    seen("pull-no-match", connection, 11, pull_fields("GoldenPull", TOPIC, 0, 0, expression="none"))
    seen("pull-missing-topic", connection, 11, pull_fields("GoldenPull", "Missing", 0, 0))
    seen("pull-illegal-queue", connection, 11, pull_fields("GoldenPull", TOPIC, 9, 0))
    seen("pull-group-not-online", connection, 11, {**pull_fields("GoldenPull", TOPIC, 0, 0), "sysFlag": 0})
    seen("max-offset", connection, 30, where)
    seen("min-offset", connection, 31, where)
    seen("search-offset", connection, 29, {**where, "timestamp": 0})
    seen("earliest-store-time", connection, 32, where)
    seen("view-message", connection, 33, {"offset": 0})
    seen("view-missing", connection, 33, {"offset": 99999999})
    by_key = {"topic": TOPIC, "key": "golden-key", "maxNum": 1, "beginTimestamp": 0, "endTimestamp": 9223372036854775807}
    seen("query-key", connection, 12, by_key)
    seen("query-missing", connection, 12, {**by_key, "key": "none"})
    seen("consumers-none", connection, 38, {"consumerGroup": "Nobody"})
    seen("heartbeat", connection, 34, None, HEARTBEAT)
    seen("consumers", connection, 38, {"consumerGroup": "GoldenGroup"})
    offset = {"consumerGroup": "GoldenGroup", "topic": TOPIC, "queueId": 0}
    seen("offset-unset", connection, 14, offset)
    seen("offset-update", connection, 15, {**offset, "commitOffset": 2})
    seen("offset-query", connection, 14, offset)
    seen("lock", connection, 41, None, LOCK)
    seen("unlock", connection, 42, None, LOCK)
    seen("send-back", connection, 36, {"offset": 0, "group": "GoldenGroup", "delayLevel": 0, "originMsgId": "x", "originTopic": TOPIC,
                                                   "unitMode": False, "maxReconsumeTimes": 16})
    seen("send-back-without-group", connection, 36, {"offset": 0, "group": "Missing", "delayLevel": 0})
    seen("group-update", connection, 200, None, b'{"brokerId":0,"consumeBroadcastEnable":true,"consumeEnable":true,"consumeFromMinEnable":'
                     b'true,"groupName":"GoldenConfigured","groupSysFlag":0,"notifyConsumerIdsChangedEnable":true,"retryMaxTimes":3,"retryQueueNums":1,'
                     b'"whichBrokerWhenConsumeSlowly":1}')
    seen("unregister-client", connection, 35, {"clientID": "127.0.0.1@golden", "consumerGroup": "GoldenGroup"})
    seen("unknown-code", connection, 999)
    topics(seen, connection, topic)
    sends(seen, connection)
    batches(seen, connection)
    delays(seen, connection)
    retries(seen, connection)
    pulls(seen, connection)
    offsets(seen, connection)
    lookups(seen, connection)
    clients(seen, connection)
    groups(seen, connection)
    locks(seen, connection)
    statistics(seen, connection)
    tools(seen, connection)
    through_clients(seen, connection)
    replies(seen, connection)
    binary(seen, connection)
    oneways(seen, connection)
    sweep.nowhere(seen, connection)
    sweep.bare_broker(seen, connection)
    seen("delete-topic", connection, 215, {"topic": TOPIC})
    deleted(seen, connection, topic)


def name_server_edges(seen, names, master, slave, version):
    old = b'{"dataVersion":{"counter":1,"timestamp":1650000000000},"topicConfigTable":{"GoldenOld":{"order":true,"perm":6,"readQueueNums":2,"topicFilterType":"MULTI_TAG","topicName":"GoldenOld","topicSysFlag":3,"writeQueueNums":2}}}'
    edge = {**master, "brokerName": "golden-b", "brokerAddr": "127.0.0.1:7200", "haServerAddr": "127.0.0.1:7201"}
    odd = (b'{"filterServerList":["127.0.0.1:7300"],"topicConfigSerializeWrapper":{"dataVersion":{"counter":7,"timestamp":1650000000000},"topicConfigTable":'
           b'{"GoldenZero":{"perm":6,"readQueueNums":0,"topicName":"GoldenZero","writeQueueNums":0,"topicSysFlag":0},'
           b'"GoldenDefaults":{"topicName":"GoldenDefaults"},"GoldenUnit":{"topicName":"GoldenUnit","topicSysFlag":1},'
           b'"GoldenUnitSub":{"topicName":"GoldenUnitSub","topicSysFlag":2},"GoldenBoth":{"topicName":"GoldenBoth","topicSysFlag":3}}}}')
    seen("register-old-client", names, 103, edge, old, version=30)
    seen("route-old-client-topic", names, 105, {"topic": "GoldenOld"})
    seen("register-odd-topics", names, 103, edge, odd)
    seen("route-zero-queues", names, 105, {"topic": "GoldenZero"})
    seen("route-default-topic-config", names, 105, {"topic": "GoldenDefaults"})
    seen("route-v0-json-only-false", names, 105, {"topic": "GoldenDefaults", "acceptStandardJsonOnly": False}, version=0)
    seen("unit-topics", names, 311)
    seen("unit-sub-topics", names, 312)
    seen("unit-sub-ununit-topics", names, 313)
    seen("register-empty-body", names, 103, {**edge, "brokerAddr": "127.0.0.1:7210", "brokerId": 1})
    seen("register-no-filter-list", names, 103, {**edge, "brokerAddr": "127.0.0.1:7220", "brokerId": 2}, b'{"topicConfigSerializeWrapper":{}}')
    seen("register-broken-body", names, 103, edge, b'{"filterServerList":')
    seen("data-version-unknown", names, 322, {**version, "brokerAddr": "127.0.0.1:7999"}, b'{"counter":1,"timestamp":1650000000000}')
    seen("wipe-write-unknown", names, 205, {"brokerName": "nobody"})
    seen("wipe-write-odd", names, 205, {"brokerName": "golden-b"})
    seen("route-wiped", names, 105, {"topic": "GoldenOld"})
    seen("add-write-odd", names, 327, {"brokerName": "golden-b"})
    seen("add-write-unknown", names, 327, {"brokerName": "nobody"})
    seen("delete-topic-other-cluster", names, 216, {"topic": "GoldenOld", "clusterName": "Missing"})
    seen("route-after-delete-in-other-cluster", names, 105, {"topic": "GoldenOld"})
    seen("delete-topic-in-cluster", names, 216, {"topic": "GoldenOld", "clusterName": "GoldenCluster"})
    seen("route-after-delete-in-cluster", names, 105, {"topic": "GoldenOld"})
    seen("delete-topic-never-there", names, 216, {"topic": "Never"})
    seen("kv-list-missing", names, 219, {"namespace": "nowhere"})
    seen("kv-delete-missing", names, 102, {"namespace": "nowhere", "key": "k"})
    seen("kv-put-no-key", names, 100, {"namespace": "golden", "value": "v"})
    seen("kv-put-no-value", names, 100, {"namespace": "golden", "key": "novalue"})
    seen("kv-get-no-value", names, 101, {"namespace": "golden", "key": "novalue"})
    seen("kv-list-no-value", names, 219, {"namespace": "golden"})
    seen("kv-put-order", names, 100, {"namespace": "ORDER_TOPIC_CONFIG", "key": "GoldenUnit", "value": "golden-b:4"})
    seen("register-with-order", names, 103, slave)
    seen("route-order-not-enabled", names, 105, {"topic": "GoldenUnit"})
    seen("kv-delete-order", names, 102, {"namespace": "ORDER_TOPIC_CONFIG", "key": "GoldenUnit"})
    seen("route-missing-binary", names, 105, {"topic": "Missing"}, binary=True)
    seen("kv-missing-binary", names, 101, {"namespace": "nowhere", "key": "k"}, binary=True)
    seen("unregister-unknown", names, 104, {**version, "brokerName": "nobody"})
    for number in ("7200", "7210", "7220"):
        seen(f"unregister-{number}", names, 104, {**version, "brokerName": "golden-b", "brokerAddr": f"127.0.0.1:{number}", "brokerId": {"7200": 0, "7210": 1, "7220": 2}[number]})
    seen("unregister-slave", names, 104, {**version, "brokerAddr": "127.0.0.1:7100", "brokerId": 1})
    seen("route-none-left", names, 105, {"topic": "GoldenZero"})
    seen("unknown-code-of-names", names, 999, answered=False)
    seen("oneway-wipe-write", names, 205, {"brokerName": "nobody"}, flag=2, answered=False)
    seen("missing-field-unregister", names, 104, {"brokerName": "x"})
    sweep.names_settings(seen, names, (edge, odd))
    sweep.odd_names(seen, names, master)
    sweep.nowhere_names(seen, names)
    sweep.bare_names(seen, names)


def topics(seen, connection, topic):
    odd = {**topic, "topic": "GoldenOdd"}
    for name, change in {
        "zero-queues": {"readQueueNums": 0, "writeQueueNums": 0}, "perm-zero": {"perm": 0}, "perm-16": {"perm": 16}, "multi-tag": {"topicFilterType": "MULTI_TAG"},
        "order": {"order": True}, "order-odd": {"order": "maybe"}, "no-sys-flag": {"topicSysFlag": None},
        "no-order": {"order": None}, "no-default-topic": {"defaultTopic": None}, "filter-odd": {"topicFilterType": "x"},
        "no-filter": {"topicFilterType": None}, "perm-odd": {"perm": "x"}, "queues-odd": {"readQueueNums": "x"}, "read-more": {"readQueueNums": 9},
        "name-empty": {"topic": ""}, "name-blank": {"topic": "  "}, "name-bad": {"topic": "a b"}, "name-127": {"topic": "n" * 127},
        "name-128": {"topic": "n" * 128}, "name-retry": {"topic": "%RETRY%GoldenTopicRetry"}, "name-cluster": {"topic": "DefaultCluster"},
        "name-broker": {"topic": "broker-a"}, "name-schedule": {"topic": "SCHEDULE_TOPIC_XXXX"}, "name-trans": {"topic": "RMQ_SYS_TRANS_HALF_TOPIC"},
        "name-sys-prefix": {"topic": "rmq_sys_golden"}, "name-reply": {"topic": "DefaultCluster_REPLY_TOPIC"}, "name-benchmark": {"topic": "BenchmarkTest"},
        "name-offset-moved": {"topic": "OFFSET_MOVED_EVENT"}, "name-self-test": {"topic": "SELF_TEST_TOPIC"},
    }.items():
        seen(f"topic-{name}", connection, 17, {**odd, **change})
    seen("topic-delete-missing", connection, 215, {"topic": "GoldenNever"})
    seen("topic-delete-system", connection, 215, {"topic": "TBW102"})
    seen("topic-delete-empty", connection, 215, {"topic": ""})
    seen("topic-delete-bad-name", connection, 215, {"topic": "a b"})
    seen("topic-delete-retry", connection, 215, {"topic": "%RETRY%GoldenTopicRetry"})
    for name in ("n" * 127, "rmq_sys_golden", "BenchmarkTest"):
        seen(f"topic-delete-{name[:9]}", connection, 215, {"topic": name})
    seen("topic-odd-last", connection, 17, odd)
    seen("topic-list", connection, 21)
    seen("topic-stats", connection, 202, {"topic": "GoldenOdd"})
    seen("topic-stats-missing", connection, 202, {"topic": "GoldenNever"})


def sends(seen, connection):
    for name, change in {
        "queue-minus-one": {"e": -1}, "queue-at-end": {"e": 4}, "flag-negative": {"f": 0, "h": -7}, "sys-flag-compressed": {"f": 1},
        "sys-flag-multi-tags": {"f": 2}, "no-properties": {"i": None}, "no-group": {"a": None}, "group-empty": {"a": ""}, "no-default-topic": {"c": None}, "reconsume-negative": {"j": -1},
        "no-reconsume": {"j": None}, "no-unit": {"k": None}, "unit": {"k": True}, "no-batch": {"m": None}, "batch-odd": {"m": "maybe"},
        "max-reconsume": {"l": 3}, "queue-odd": {"e": "x"}, "born-negative": {"g": -1}, "topic-empty": {"b": ""}, "topic-blank": {"b": " "},
        "topic-128": {"b": "n" * 128}, "topic-trace": {"b": "RMQ_SYS_TRACE_TOPIC"}, "topic-self-test": {"b": "SELF_TEST_TOPIC"},
        "topic-cluster": {"b": "DefaultCluster"}, "topic-broker": {"b": "broker-a"}, "topic-half": {"b": "RMQ_SYS_TRANS_HALF_TOPIC"},
        "topic-op": {"b": "RMQ_SYS_TRANS_OP_HALF_TOPIC"}, "topic-offset-moved": {"b": "OFFSET_MOVED_EVENT"}, "topic-tbw102": {"b": "TBW102"},
        "topic-reply": {"b": "DefaultCluster_REPLY_TOPIC"}, "topic-benchmark": {"b": "BenchmarkTest"},
    }.items():
        # Queue 2 is taken by nobody else; what goes to a random queue has a topic of its own.
        seen(f"send-{name}", connection, 310, {**send_fields(TOPIC, 2), **change} if name != "queue-minus-one" else send_fields("SELF_TEST_TOPIC", -1), b"x")
    seen("send-empty-body", connection, 310, send_fields(TOPIC, 2), b"")
    seen("send-auto-create", connection, 310, {**send_fields("GoldenAuto", 0), "d": 2}, b"x")
    seen("send-auto-create-many", connection, 310, {**send_fields("GoldenAutoMany", 0), "d": 99}, b"x")
    seen("send-auto-create-none", connection, 310, {**send_fields("GoldenAutoNone", 0), "d": 0}, b"x")
    seen("send-auto-create-negative", connection, 310, {**send_fields("GoldenAutoNegative", 0), "d": -3}, b"x")
    seen("send-auto-create-by-topic", connection, 310, {**send_fields("GoldenAutoBy", 0), "c": "GoldenOdd"}, b"x")
    seen("send-auto-create-by-missing", connection, 310, {**send_fields("GoldenAutoBy2", 0), "c": "GoldenNever"}, b"x")
    seen("send-auto-create-unit", connection, 310, {**send_fields("GoldenAutoUnit", 0), "k": True}, b"x")
    seen("send-auto-create-high-queue", connection, 310, {**send_fields("GoldenAutoHigh", 7), "d": 4}, b"x")
    for name, text in {
        "wait": "WAIT\x01true\x02", "wait-false": "WAIT\x01false\x02TAGS\x01B\x02", "blank-tag": "TAGS\x01 A \x02", "empty-tag": "TAGS\x01\x02", "two-tags": "TAGS\x01A || B\x02",
        "keys": "KEYS\x01k1 k2  k3\x02", "no-separator": "abc", "no-value": "abc\x01\x02d\x01e", "twice": "a\x01b\x02a\x01c\x02", "value-with-separator": "a\x01b\x01c\x02",
        "cluster": "CLUSTER\x01Other\x02", "origin": "ORIGIN_MESSAGE_ID\x01X\x02RECONSUME_TIME\x012\x02", "inner-batch": "INNER_BATCH\x01true\x02", "trans-false": "TRAN_MSG\x01false\x02",
        "unicode": "ключ\x01значение\x02", 
    }.items():
        seen(f"send-properties-{name}", connection, 310, send_fields(TOPIC, 2, text), b"p")
    wait_until("sends filed", lambda: int(connection.call(30, {"topic": TOPIC, "queueId": 2}).fields["offset"]) >= 20)
    pause()
    seen("pull-sends", connection, 11, pull_fields("GoldenPull", TOPIC, 2, 0, 64))
    seen("pull-sends-tags", connection, 11, pull_fields("GoldenPull", TOPIC, 2, 0, 64, "A||B"))
    seen("pull-sends-two-tags", connection, 11, pull_fields("GoldenPull", TOPIC, 2, 0, 64, "A || B"))


def pause():
    time.sleep(0.3)  # the queues are filled behind the answers, in 4.9.4 too


def item(body, properties="", flag=0):
    text = properties.encode()
    return struct.pack(">iiiii", 22 + len(body) + len(text), 0, 0, flag, len(body)) + body + struct.pack(">h", len(text)) + text


def batches(seen, connection):
    where = {**send_fields(TOPIC, 3), "m": True}
    seen("batch-properties", connection, 320, where, item(b"1", "KEYS\x01bk\x02WAIT\x01true\x02", 5) + item(b"2", "TAGS\x01A") + item(b"3", "UNIQ_KEY\x01U3\x02"))
    seen("batch-outer-properties", connection, 320, {**where, "i": "WAIT\x01true\x02TAGS\x01O\x02"}, item(b"4", "a\x01b"))
    seen("batch-wait-false", connection, 320, {**where, "i": "WAIT\x01false\x02"}, item(b"5", "a\x01b\x02"))
    seen("batch-by-310", connection, 310, where, item(b"6"))
    seen("batch-not-marked", connection, 320, send_fields(TOPIC, 3), item(b"7"))
    seen("batch-delay", connection, 320, {**where, "i": "DELAY\x011\x02"}, item(b"8"))
    seen("batch-item-delay", connection, 320, where, item(b"9", "DELAY\x011\x02"))
    seen("batch-retry", connection, 320, {**where, "b": "%RETRY%GoldenGroup"}, item(b"10"))
    seen("batch-auto-create", connection, 320, {**where, "b": "GoldenBatchAuto", "e": 0}, item(b"11"))
    seen("batch-illegal-queue", connection, 320, {**where, "e": 77}, item(b"12"))
    seen("batch-tran", connection, 320, {**where, "i": "TRAN_MSG\x01true\x02"}, item(b"13"))
    seen("batch-topic-127", connection, 320, {**where, "b": "m" * 127, "e": 0}, item(b"14"))
    seen("batch-topic-128", connection, 320, {**where, "b": "m" * 128, "e": 0}, item(b"14"))
    seen("topic-delete-m127", connection, 215, {"topic": "m" * 127})
    pause()
    seen("pull-batches", connection, 11, pull_fields("GoldenPull", TOPIC, 3, 0, 64))


def delays(seen, connection):
    for level in ("0", "-1", "18", "99", "abc", "", "2147483648"):
        seen(f"delay-{level or 'empty'}", connection, 310, send_fields("GoldenOdd", 1, f"DELAY\x01{level}\x02TAGS\x01D\x02"), b"d")
    seen("delay-in-v1", connection, 10, {"producerGroup": "P", "topic": "GoldenOdd", "defaultTopic": "TBW102", "defaultTopicQueueNums": 4, "queueId": 1, "sysFlag": 0,
                                         "bornTimestamp": 1650000000000, "flag": 0, "properties": "DELAY\x0118\x02", "reconsumeTimes": 0, "unitMode": False, "batch": False}, b"d")
    pause()
    seen("pull-delays", connection, 11, pull_fields("GoldenPull", "GoldenOdd", 1, 0, 64))
    seen("pull-delay-queue", connection, 11, pull_fields("GoldenPull", "SCHEDULE_TOPIC_XXXX", 17, 0, 64))


def retries(seen, connection):
    retry = {**send_fields("%RETRY%GoldenGroup", 0), "a": "GoldenGroup"}
    properties = "RETRY_TOPIC\x01Golden\x02ORIGIN_MESSAGE_ID\x01X\x02RECONSUME_TIME\x015\x02MAX_RECONSUME_TIMES\x015\x02TAGS\x01R\x02"
    seen("retry-send", connection, 310, {**retry, "j": 1, "l": 16, "i": properties + "DELAY\x0118\x02"}, b"r1")
    seen("retry-send-no-delay", connection, 310, {**retry, "j": 1, "l": 16, "i": properties}, b"r2")
    seen("retry-send-at-max", connection, 310, {**retry, "j": 5, "l": 5, "i": properties}, b"r3")
    seen("retry-send-at-max-delay", connection, 310, {**retry, "j": 5, "l": 5, "i": properties + "DELAY\x0118\x02"}, b"r4")
    seen("retry-send-max-zero", connection, 310, {**retry, "j": 0, "l": 0, "i": properties + "DELAY\x0118\x02"}, b"r5")
    seen("retry-send-group-max", connection, 310, {**retry, "j": 16, "i": properties}, b"r6")
    seen("retry-send-old-version", connection, 310, {**retry, "j": 5, "l": 5, "i": properties + "DELAY\x0118\x02"}, b"r7", version=100)
    seen("retry-send-queue-minus-one", connection, 310, {**retry, "e": -1, "j": 1, "l": 16, "i": properties}, b"r8")
    seen("dlq-send", connection, 310, send_fields("%DLQ%GoldenGroup", 0, "DELAY\x0118\x02"), b"d1")
    pause()
    seen("pull-retry", connection, 11, pull_fields("GoldenGroup", "%RETRY%GoldenGroup", 0, 0, 64))
    seen("pull-dlq", connection, 11, pull_fields("GoldenGroup", "%DLQ%GoldenGroup", 0, 0, 64))
    back = {"offset": 0, "group": "GoldenGroup", "delayLevel": 17, "originMsgId": "x", "originTopic": TOPIC, "unitMode": False, "maxReconsumeTimes": 16}
    for name, change in {
        "level-18": {"delayLevel": 18}, "level-minus": {"delayLevel": -1}, "level-99": {"delayLevel": 99}, "max-zero": {"maxReconsumeTimes": 0}, "max-negative": {"maxReconsumeTimes": -1},
        "max-none": {"maxReconsumeTimes": None, "delayLevel": 18}, "offset-missing": {"offset": 99999999}, "offset-negative": {"offset": -1}, "offset-inside": {"offset": 5},
        "no-group": {"group": None}, "group-empty": {"group": ""}, "no-origin": {"originMsgId": None, "originTopic": None, "delayLevel": 18}, "unit": {"unitMode": True, "delayLevel": 18},
        "no-level": {"delayLevel": None}, "level-odd": {"delayLevel": "x"},
    }.items():
        seen(f"send-back-{name}", connection, 36, {**back, **change})
    seen("send-back-old-version", connection, 36, {**back, "maxReconsumeTimes": 0, "delayLevel": 18}, version=100)
    pause()
    seen("pull-dlq-after-send-backs", connection, 11, pull_fields("GoldenGroup", "%DLQ%GoldenGroup", 0, 0, 64))
    seen("pull-delay-18-after-send-backs", connection, 11, pull_fields("GoldenGroup", "SCHEDULE_TOPIC_XXXX", 17, 0, 64))
    config = ('{"brokerId":0,"consumeBroadcastEnable":true,"consumeEnable":true,"consumeFromMinEnable":true,"groupName":"%s","groupSysFlag":0,'
              '"notifyConsumerIdsChangedEnable":true,"retryMaxTimes":%d,"retryQueueNums":%d,"whichBrokerWhenConsumeSlowly":1}')
    for name, times, queues in (("NoQueues", 16, 0), ("NegativeQueues", 16, -1), ("NoRetries", 0, 1), ("NegativeRetries", -1, 2)):
        seen(f"group-{name}", connection, 200, None, (config % (f"Golden{name}", times, queues)).encode())
        seen(f"send-back-{name}", connection, 36, {**back, "group": f"Golden{name}", "maxReconsumeTimes": None, "delayLevel": 18})
    pause()
    seen("pull-dlq-NoRetries", connection, 11, pull_fields("GoldenGroup", "%DLQ%GoldenNoRetries", 0, 0, 64))


def pulls(seen, connection):
    pull = pull_fields("GoldenPull", TOPIC, 0, 0, 2)
    for name, change in {
        "max-zero": {"maxMsgNums": 0}, "max-minus-one": {"maxMsgNums": -1}, "offset-minus-one": {"queueOffset": -1}, "offset-min": {"queueOffset": -9223372036854775808},
        "offset-max": {"queueOffset": 9223372036854775807}, "queue-minus-one": {"queueId": -1}, "queue-at-end": {"queueId": 4}, "no-subscription": {"subscription": None}, "subscription-empty": {"subscription": ""},
        "subscription-blank": {"subscription": " "}, "subscription-bars": {"subscription": "||"}, "subscription-tag-blanks": {"subscription": " A  ||  || B "}, "subscription-star-and": {"subscription": "* || A"},
        "type-null": {"expressionType": None}, "type-empty": {"expressionType": ""}, "type-lower": {"expressionType": "tag"}, "type-unknown": {"expressionType": "XX"},
        "class-filter": {"sysFlag": 12}, "no-sys-flag": {"sysFlag": 0}, "commit": {"sysFlag": 5, "commitOffset": 1}, "commit-negative": {"sysFlag": 5, "commitOffset": -5},
        "no-sub-version": {"subVersion": None}, "no-suspend": {"suspendTimeoutMillis": None}, "no-commit": {"commitOffset": None}, "group-empty": {"consumerGroup": ""}, "group-unknown": {"consumerGroup": "GoldenFresh"},
        "topic-empty": {"topic": ""}, "topic-bad": {"topic": "bad topic!"}, "topic-schedule": {"topic": "SCHEDULE_TOPIC_XXXX", "queueOffset": 999}, "topic-half": {"topic": "RMQ_SYS_TRANS_HALF_TOPIC"}, "retry-of-nobody": {"topic": "%RETRY%Nobody"},
        "sys-flag-negative": {"sysFlag": -1, "queueOffset": 0},
    }.items():
        seen(f"pull-{name}", connection, 11, {**pull, **change})
    seen("pull-old-client", connection, 11, {**pull, "expressionType": None}, version=0)
    seen("pull-lite", connection, 361, pull)
    config = ('{"brokerId":0,"consumeBroadcastEnable":false,"consumeEnable":%s,"consumeFromMinEnable":true,"groupName":"%s","groupSysFlag":0,'
              '"notifyConsumerIdsChangedEnable":true,"retryMaxTimes":16,"retryQueueNums":1,"whichBrokerWhenConsumeSlowly":1}')
    seen("group-disabled", connection, 200, None, (config % ("false", "GoldenDisabled")).encode())
    seen("pull-group-disabled", connection, 11, {**pull, "consumerGroup": "GoldenDisabled"})
    seen("group-no-broadcast", connection, 200, None, (config % ("true", "GoldenNoBroadcast")).encode())
    seen("topic-write-only", connection, 17, {"topic": "GoldenWriteOnly", "defaultTopic": "TBW102", "readQueueNums": 1, "writeQueueNums": 1, "perm": 2, "topicFilterType": "SINGLE_TAG", "topicSysFlag": 0, "order": False})
    seen("pull-write-only", connection, 11, {**pull, "topic": "GoldenWriteOnly"})
    seen("topic-read-only", connection, 17, {"topic": "GoldenReadOnly", "defaultTopic": "TBW102", "readQueueNums": 1, "writeQueueNums": 3, "perm": 4, "topicFilterType": "SINGLE_TAG", "topicSysFlag": 0, "order": False})
    seen("send-read-only", connection, 310, send_fields("GoldenReadOnly", 2), b"x")
    seen("pull-beyond-read-queues", connection, 11, {**pull, "topic": "GoldenReadOnly", "queueId": 2})
    seen("heartbeat-subscribed", connection, 34, None, HEARTBEAT.replace(b'"groupName":"GoldenGroup"', b'"groupName":"GoldenSubscribed"'))
    known = {**pull, "consumerGroup": "GoldenSubscribed", "sysFlag": 0, "subVersion": 1650000000000}
    seen("pull-subscribed", connection, 11, known)
    seen("pull-not-subscribed", connection, 11, {**known, "topic": "GoldenOdd"})
    seen("pull-newer-version", connection, 11, {**known, "subVersion": 1650000000001})
    seen("pull-other-expression", connection, 11, {**known, "subscription": "Z"})
    seen("pull-with-subscription-of-known", connection, 11, {**known, "sysFlag": 4, "subscription": "Z"})
    seen("heartbeat-sql", connection, 34, None, HEARTBEAT.replace(b'"groupName":"GoldenGroup"', b'"groupName":"GoldenSql"').replace(b'"TAG"', b'"SQL92"').replace(b'"subString":"*"', b'"subString":"a > "'))
    seen("pull-sql-broken-known", connection, 11, {**known, "consumerGroup": "GoldenSql", "expressionType": "SQL92"})
    seen("heartbeat-broadcast", connection, 34, None, HEARTBEAT.replace(b'"groupName":"GoldenGroup"', b'"groupName":"GoldenNoBroadcast"').replace(b"CLUSTERING", b"BROADCASTING"))
    seen("pull-broadcast-refused", connection, 11, {**known, "consumerGroup": "GoldenNoBroadcast"})
    for group in ("GoldenSubscribed", "GoldenSql", "GoldenNoBroadcast"):
        seen(f"unregister-{group}", connection, 35, {"clientID": "127.0.0.1@golden", "consumerGroup": group})


def offsets(seen, connection):
    where = {"consumerGroup": "GoldenOffsets", "topic": TOPIC, "queueId": 0}
    for name, change in {
        "missing-topic": {"topic": "GoldenNever"}, "queue-minus-one": {"queueId": -1}, "queue-beyond": {"queueId": 99}, "topic-empty": {"topic": ""}, "group-empty": {"consumerGroup": ""},
    }.items():
        seen(f"offset-query-{name}", connection, 14, {**where, **change})
    seen("offset-update-negative", connection, 15, {**where, "commitOffset": -3})
    seen("offset-query-negative", connection, 14, where)
    seen("offset-update-huge", connection, 15, {**where, "commitOffset": 9223372036854775807})
    seen("offset-query-huge", connection, 14, where)
    seen("offset-update-backwards", connection, 15, {**where, "commitOffset": 1})
    seen("offset-query-backwards", connection, 14, where)
    seen("offset-update-missing-topic", connection, 15, {**where, "topic": "GoldenNever", "commitOffset": 7})
    seen("offset-query-of-missing-topic", connection, 14, {**where, "topic": "GoldenNever"})
    seen("missing-field-offset-update", connection, 15, where)
    seen("missing-field-offset-queue", connection, 14, {"consumerGroup": "GoldenOffsets", "topic": TOPIC})
    for code, name in ((30, "max"), (31, "min"), (32, "earliest")):
        for case, change in {"missing-topic": {"topic": "GoldenNever"}, "queue-minus-one": {"queueId": -1}, "queue-beyond": {"queueId": 99}, "empty-queue": {"topic": "GoldenOdd", "queueId": 3}}.items():
            seen(f"{name}-{case}", connection, code, {"topic": TOPIC, "queueId": 0, **change})
    for name, change in {"far": {"timestamp": 9223372036854775807}, "negative": {"timestamp": -1}, "min": {"timestamp": -9223372036854775808}, "missing-topic": {"topic": "GoldenNever", "timestamp": 0}, "queue-beyond": {"queueId": 99, "timestamp": 0},
                         "empty-queue": {"topic": "GoldenOdd", "queueId": 3, "timestamp": 0}}.items():
        seen(f"search-{name}", connection, 29, {"topic": TOPIC, "queueId": 0, **change})
    times = [int(connection.call(32, {"topic": TOPIC, "queueId": 0}).fields["timestamp"])]
    for index in range(3):
        time.sleep(0.2)
        connection.must(310, send_fields("GoldenOdd", 0), b"t%d" % index)
    pause()
    body = connection.must(11, pull_fields("GoldenPull", "GoldenOdd", 0, 0, 32)).body
    times = []
    at = 0
    while at < len(body):
        times.append(struct.unpack_from(">q", body, at + 56)[0])
        at += struct.unpack_from(">i", body, at)[0]
    times = times[-3:]
    for name, when in {"exact-first": times[0], "exact-second": times[1], "exact-last": times[2], "near-first": times[0] + 20, "near-second": times[1] - 20, "middle-after": times[1] + 20, "past": times[2] + 1000, "before": times[0] - 1}.items():
        seen(f"search-time-{name}", connection, 29, {"topic": "GoldenOdd", "queueId": 0, "timestamp": when})


def lookups(seen, connection):
    # "Aa" and "BB" have one Java hash, so the keys of both are one to the index.
    connection.must(310, send_fields(TOPIC, 0, "KEYS\x01Aa\x02"), b"aa")
    connection.must(310, send_fields(TOPIC, 0, "KEYS\x01BB\x02UNIQ_KEY\x017F000001000000000000000000000001\x02"), b"bb")
    pause()
    key = {"topic": TOPIC, "key": "Aa", "maxNum": 32, "beginTimestamp": 0, "endTimestamp": 9223372036854775807}
    seen("key-collision", connection, 12, key)
    for name, change in {"max-zero": {"maxNum": 0}, "max-negative": {"maxNum": -1}, "range-reversed": {"beginTimestamp": 9223372036854775807, "endTimestamp": 0}, "range-past": {"endTimestamp": 1000}, "range-negative": {"beginTimestamp": -5},
                         "topic-missing": {"topic": "GoldenNever"}, "key-empty": {"key": ""}, "two-keys": {"key": "k1"}, "keys-third": {"key": "k3"}, "keys-joined": {"key": "k1 k2"}}.items():
        seen(f"key-{name}", connection, 12, {**key, **change})
    seen("unique-key", connection, 12, {**key, "key": "7F000001000000000000000000000001", "_UNIQUE_KEY_QUERY": "true"})
    seen("unique-key-of-key", connection, 12, {**key, "key": "golden-key", "_UNIQUE_KEY_QUERY": "true"})
    seen("batch-key", connection, 12, {**key, "key": "bk"})
    for name, offset in {"negative": -1, "inside": 7, "huge": 9223372036854775807}.items():
        seen(f"view-{name}", connection, 33, {"offset": offset})
    seen("missing-field-view", connection, 33, {})


def clients(seen, connection):
    beat = b'{"clientID":"%s","consumerDataSet":[%s],"producerDataSet":[%s]}'
    seen("heartbeat-bare", connection, 34, None, b'{"clientID":"bare"}')
    seen("heartbeat-nulls", connection, 34, None, b'{"clientID":"nulls","consumerDataSet":null,"producerDataSet":null}')
    seen("heartbeat-empty-object", connection, 34, None, b"{}")
    seen("heartbeat-no-body", connection, 34, None)
    seen("heartbeat-broken", connection, 34, None, b'{"clientID":')
    seen("heartbeat-ordinals", connection, 34, None, beat % (b"c1", b'{"consumeFromWhere":1,"consumeType":0,"groupName":"GoldenOrdinals","messageModel":1,"subscriptionDataSet":[{"subString":"A||B","subVersion":5,"topic":"Golden"}]}', b""))
    seen("consumers-ordinals", connection, 203, {"consumerGroup": "GoldenOrdinals"})
    seen("heartbeat-no-subscriptions", connection, 34, None, beat % (b"c2", b'{"consumeFromWhere":"CONSUME_FROM_FIRST_OFFSET","consumeType":"CONSUME_ACTIVELY","groupName":"GoldenNoSubs","messageModel":"CLUSTERING","subscriptionDataSet":[]}', b""))
    seen("consumers-no-subscriptions", connection, 203, {"consumerGroup": "GoldenNoSubs"})
    seen("heartbeat-null-subscriptions", connection, 34, None, beat % (b"c2", b'{"groupName":"GoldenNullSubs","consumeType":"CONSUME_PASSIVELY","messageModel":"CLUSTERING"}', b""))
    seen("heartbeat-no-enums", connection, 34, None, beat % (b"c2", b'{"groupName":"GoldenNoEnums","subscriptionDataSet":[]}', b""))
    seen("consumers-no-enums", connection, 203, {"consumerGroup": "GoldenNoEnums"})
    seen("heartbeat-odd-enum", connection, 34, None, beat % (b"c2", b'{"consumeType":"X","groupName":"GoldenOddEnum","messageModel":"Y","consumeFromWhere":"Z","subscriptionDataSet":[]}', b""))
    seen("consumers-odd-enum", connection, 203, {"consumerGroup": "GoldenOddEnum"})
    seen("heartbeat-producers", connection, 34, None, beat % (b"c3", b"", b'{"groupName":"GoldenP1"},{"groupName":"GoldenP2"}'))
    seen("producers", connection, 204, {"producerGroup": "GoldenP1"})
    seen("producers-missing", connection, 204, {"producerGroup": "Nobody"})
    seen("consumers-missing", connection, 203, {"consumerGroup": "Nobody"})
    seen("unregister-one-of-two", connection, 35, {"clientID": "c3", "producerGroup": "GoldenP1"})
    seen("producers-gone", connection, 204, {"producerGroup": "GoldenP1"})
    seen("producers-left", connection, 204, {"producerGroup": "GoldenP2"})
    seen("unregister-other-id", connection, 35, {"clientID": "other", "producerGroup": "GoldenP2"})
    seen("producers-after-other-id", connection, 204, {"producerGroup": "GoldenP2"})
    seen("unregister-nothing", connection, 35, {"clientID": "c3"})
    seen("unregister-unknown-group", connection, 35, {"clientID": "c3", "producerGroup": "Nobody"})
    seen("heartbeat-version", connection, 34, None, beat % (b"c4", b'{"consumeFromWhere":"CONSUME_FROM_TIMESTAMP","consumeType":"CONSUME_PASSIVELY","groupName":"GoldenVersion","messageModel":"BROADCASTING","subscriptionDataSet":[{"classFilterMode":false,"codeSet":[65],"expressionType":"TAG","subString":"A","subVersion":9,"tagsSet":["A"],"topic":"Golden"},{"classFilterMode":false,"codeSet":[],"expressionType":"TAG","subString":"*","subVersion":9,"tagsSet":[],"topic":"GoldenOdd"}],"unitMode":true}', b""), version=275, language="CPP")
    seen("consumers-version", connection, 203, {"consumerGroup": "GoldenVersion"})
    seen("consumer-ids-version", connection, 38, {"consumerGroup": "GoldenVersion"})
    seen("unregister-version", connection, 35, {"clientID": "c4", "consumerGroup": "GoldenVersion"})
    seen("consumers-after-unregister", connection, 203, {"consumerGroup": "GoldenVersion"})
    seen("consumer-ids-after-unregister", connection, 38, {"consumerGroup": "GoldenVersion"})
    seen("consumer-ids-empty-group", connection, 38, {"consumerGroup": ""})
    seen("missing-field-consumer-ids", connection, 38, {})
    for group in ("GoldenOrdinals", "GoldenNoSubs", "GoldenNoEnums", "GoldenOddEnum"):
        seen(f"unregister-{group}", connection, 35, {"clientID": {"GoldenOrdinals": "c1"}.get(group, "c2"), "consumerGroup": group})


def groups(seen, connection):
    seen("group-only-name", connection, 200, None, b'{"groupName":"GoldenOnlyName"}')
    seen("group-no-name", connection, 200, None, b"{}")
    seen("group-no-body", connection, 200, None)
    seen("group-name-bad", connection, 200, None, b'{"groupName":"bad name!"}')
    seen("group-list", connection, 201)
    seen("group-delete", connection, 207, {"groupName": "GoldenOnlyName"})
    seen("group-delete-again", connection, 207, {"groupName": "GoldenOnlyName"})
    seen("group-delete-bad", connection, 207, {"groupName": "bad name!"})
    seen("group-offset-keep", connection, 15, {"consumerGroup": "GoldenOffsets", "topic": TOPIC, "queueId": 0, "commitOffset": 2})
    seen("group-delete-keep", connection, 207, {"groupName": "GoldenOffsets", "removeOffset": False})
    seen("group-offset-kept", connection, 14, {"consumerGroup": "GoldenOffsets", "topic": TOPIC, "queueId": 0})
    seen("group-delete-offsets", connection, 207, {"groupName": "GoldenOffsets", "removeOffset": True})
    seen("group-offset-removed", connection, 14, {"consumerGroup": "GoldenOffsets", "topic": TOPIC, "queueId": 0})
    seen("missing-field-group-delete", connection, 207, {})


def locks(seen, connection):
    lock = '{"clientId":"%s","consumerGroup":"GoldenLocks","mqSet":[%s]}'
    queue = '{"brokerName":"broker-a","queueId":%d,"topic":"Golden"}'
    seen("lock-two", connection, 41, None, (lock % ("a", ",".join((queue % 0, queue % 1)))).encode())
    seen("lock-held-by-other", connection, 41, None, (lock % ("b", ",".join((queue % 1, queue % 2)))).encode())
    seen("unlock-of-other", connection, 42, None, (lock % ("b", queue % 0)).encode())
    seen("lock-still-held", connection, 41, None, (lock % ("b", queue % 0)).encode())
    seen("unlock-own", connection, 42, None, (lock % ("a", queue % 0)).encode())
    seen("lock-now-free", connection, 41, None, (lock % ("b", queue % 0)).encode())
    seen("lock-none", connection, 41, None, (lock % ("b", "")).encode())
    seen("lock-no-set", connection, 41, None, b'{"clientId":"a","consumerGroup":"GoldenLocks"}')
    seen("lock-empty-object", connection, 41, None, b"{}")
    seen("lock-no-body", connection, 41, None)
    seen("unlock-unknown-group", connection, 42, None, (lock % ("a", queue % 0)).replace("GoldenLocks", "Nobody").encode())
    seen("unlock-no-body", connection, 42, None)


def statistics(seen, connection):
    seen("stats-missing-name", connection, 315, {"statsName": "NOTHING", "statsKey": TOPIC})
    seen("stats-missing-key", connection, 315, {"statsName": "TOPIC_PUT_NUMS", "statsKey": "GoldenNever"})
    for name, key in (("TOPIC_PUT_NUMS", TOPIC), ("TOPIC_PUT_SIZE", TOPIC), ("GROUP_GET_NUMS", f"{TOPIC}@GoldenPull"), ("GROUP_GET_SIZE", f"{TOPIC}@GoldenPull"), ("SNDBCK_PUT_NUMS", f"{TOPIC}@GoldenGroup"), ("BROKER_PUT_NUMS", "DefaultCluster"),
                      ("BROKER_GET_NUMS", "DefaultCluster"), ("GROUP_GET_FALL_SIZE", f"0@{TOPIC}@GoldenPull"), ("GROUP_GET_FALL_TIME", f"0@{TOPIC}@GoldenPull"),
                      ("QUEUE_PUT_NUMS", f"{TOPIC}@0"), ("COMMERCIAL_SEND_TIMES", TOPIC), ("GROUP_GET_LATENCY", f"0@{TOPIC}@GoldenPull"), ("GROUP_GET_FROM_DISK_NUMS", f"{TOPIC}@GoldenPull"),
                      ("GROUP_GET_FROM_DISK_SIZE", f"{TOPIC}@GoldenPull"), ("BROKER_GET_FROM_DISK_NUMS", "DefaultCluster"), ("BROKER_GET_FROM_DISK_SIZE", "DefaultCluster"),
                      ("QUEUE_GET_NUMS", f"{TOPIC}@0@GoldenPull")):
        seen(f"stats-{name}", connection, 315, {"statsName": name, "statsKey": key})
    # Queues are counted only of what waits for its delay.
    for name in ("QUEUE_PUT_NUMS", "QUEUE_PUT_SIZE", "QUEUE_GET_NUMS", "QUEUE_GET_SIZE", "GROUP_GET_NUMS", "TOPIC_PUT_NUMS"):
        place = {"QUEUE_PUT": "@17", "QUEUE_GET": "@0@SCHEDULE_CONSUMER", "GROUP_GET": "@SCHEDULE_CONSUMER"}.get(name[:9], "")
        seen(f"stats-scheduled-{name}", connection, 315, {"statsName": name, "statsKey": "SCHEDULE_TOPIC_XXXX" + place})
    seen("runtime", connection, 28)


def tools(seen, connection):
    topic = "GoldenTools"
    group = {"consumerGroup": "GoldenToolsGroup"}
    connection.must(17, {"topic": topic, "defaultTopic": "TBW102", "readQueueNums": 3, "writeQueueNums": 2, "perm": 6, "topicFilterType": "SINGLE_TAG", "topicSysFlag": 0, "order": False})
    for text in (b"1", b"2", b"3"):
        connection.must(310, send_fields(topic, 0, "TAGS\x01a\x02"), text)
    pause()
    connection.must(15, {**group, "topic": topic, "queueId": 0, "commitOffset": 2})
    for name, change in {"topic": {"topic": topic}, "all": {}, "blank": {"topic": " "}, "missing-topic": {"topic": "GoldenNever"}, "missing-group": {"consumerGroup": "Nobody"}}.items():
        seen(f"progress-{name}", connection, 208, {**group, **change})
    seen("missing-field-progress", connection, 208, {"topic": topic})
    for name, order in {"all": False, "ordered": True}.items():
        seen(f"broker-progress-{name}", connection, 317, {"isOrder": order})
    seen("missing-field-broker-progress", connection, 317, {})
    for name, change in {"found": {}, "no-group": {"group": "Nobody"}, "missing-topic": {"topic": "GoldenNever"}}.items():
        seen(f"time-span-{name}", connection, 303, {"topic": topic, "group": "GoldenToolsGroup", **change})
    for name, asked in {"found": topic, "missing-topic": "GoldenNever"}.items():
        seen(f"readers-{name}", connection, 300, {"topic": asked})
    seen("system-topics", connection, 305)
    seen("clean-queues", connection, 306)
    seen("clean-topics", connection, 316)
    seen("delete-log", connection, 329)
    clone = {"srcGroup": "GoldenToolsGroup", "destGroup": "GoldenToolsClone", "topic": topic, "offline": True}
    seen("clone", connection, 314, clone)
    seen("clone-offset", connection, 14, {"consumerGroup": "GoldenToolsClone", "topic": topic, "queueId": 0})
    seen("clone-missing-topic", connection, 314, {**clone, "topic": "GoldenNever"})
    correct = {"filterGroups": "", "compareGroup": "GoldenToolsClone", "topic": topic}
    seen("correction", connection, 308, correct)
    seen("correction-missing-topic", connection, 308, {**correct, "topic": "GoldenNever"})
    part = {"topic": topic, "queueId": 0, "index": 0, "count": 2}
    for name, change in {"found": {}, "rest": {"index": 2, "count": 9}, "none": {"count": 0}, "end": {"index": 3}, "negative": {"index": -1}, "missing-topic": {"topic": "GoldenNever"}, "queue-beyond": {"queueId": 9},
                         "offline": {"consumerGroup": "Nobody"}}.items():
        seen(f"entries-{name}", connection, 321, {**part, **change})
    seen("every-producer", connection, 328)
    seen("filter-server", connection, 301, {"filterServerAddr": "127.0.0.1:1"})
    seen("config", connection, 26)
    seen("config-unknown-key", connection, 25, None, b"goldenUnknown=1\n")
    seen("config-update", connection, 25, None, b"fileReservedTime=48\n")
    seen("config-no-body", connection, 25, None, b"")
    seen("config-not-a-property", connection, 25, None, b"\\u12")
    seen("config-path", connection, 25, None, b"rocketmqHome=moved\n")
    seen("config-odd-value", connection, 25, None, b"fileReservedTime=soon\n")
    seen("config-reject-transactions", connection, 25, None, b"rejectTransactionMessage=true\n")
    half = send_fields("GoldenTools", 0, "TRAN_MSG\x01true\x02PGROUP\x01P\x02")
    seen("transaction-rejected", connection, 310, half, b"h")
    seen("transaction-batch-rejected", connection, 320, {**half, "m": True}, item(b"h"))
    seen("config-take-transactions", connection, 25, None, b"rejectTransactionMessage=false\n")
    seen("transaction-taken", connection, 310, half, b"h")


def through_clients(seen, connection):
    topic, group = "GoldenTools", "GoldenOnline"
    reset = {"topic": topic, "group": group, "timestamp": -1, "isForce": True}
    status = {"topic": topic, "group": group}
    info = {"consumerGroup": group, "clientId": "c9", "jstackEnable": False}
    record = connection.must(11, pull_fields("GoldenPull", topic, 0, 0, 1)).body
    direct = {"consumerGroup": group, "clientId": "c9", "msgId": "7F00000100002A9F%016X" % struct.unpack_from(">q", record, 28)[0], "brokerName": "x"}
    seen("reset-missing-topic", connection, 222, {**reset, "topic": "GoldenNever"})
    seen("reset-no-position", connection, 222, reset)
    for queue in (0, 1):
        connection.must(15, {"consumerGroup": group, "topic": topic, "queueId": queue, "commitOffset": 1 - queue})
    seen("reset-offline", connection, 222, reset)
    seen("status-offline", connection, 223, status)
    seen("info-offline", connection, 307, info)
    seen("direct-offline", connection, 309, direct)
    seen("missing-field-info", connection, 307, {"consumerGroup": group})
    beat = (b'{"clientID":"c9","consumerDataSet":[{"consumeFromWhere":"CONSUME_FROM_LAST_OFFSET","consumeType":"CONSUME_PASSIVELY","groupName":"GoldenOnline",'
            b'"messageModel":"CLUSTERING","subscriptionDataSet":[{"classFilterMode":false,"codeSet":[],"expressionType":"TAG","subString":"*","subVersion":1,'
            b'"tagsSet":[],"topic":"GoldenTools"}],"unitMode":false}],"producerDataSet":[]}')
    seen("online-old", connection, 34, None, beat, version=20)
    seen("reset-old-client", connection, 222, reset)
    seen("status-old-client", connection, 223, status)
    seen("info-old-client", connection, 307, info)
    seen("online-old-left", connection, 35, {"clientID": "c9", "consumerGroup": group})
    seen("online", connection, 34, None, beat)
    seen("reset-forced", connection, 222, reset)
    seen("reset-back", connection, 222, {**reset, "timestamp": 0, "isForce": False})
    seen("reset-forward", connection, 222, {**reset, "isForce": False})
    seen("reset-cpp", connection, 222, reset, language="CPP")
    seen("missing-field-reset", connection, 222, {"topic": topic, "group": group})
    table = b'{"consumerTable":{},"messageQueueTable":{{"brokerName":"broker-a","queueId":0,"topic":"GoldenTools"}:2}}'
    seen("status", connection, 223, status, reply=(0, table))
    seen("status-of-client", connection, 223, {**status, "clientAddr": "c9"}, reply=(0, table))
    seen("status-of-other", connection, 223, {**status, "clientAddr": "other"})
    seen("status-refused", connection, 223, status, reply=(1, b""))
    seen("info", connection, 307, info, reply=(0, b'{"jstack":"x"}'))
    seen("info-refused", connection, 307, info, reply=(1, b""))
    seen("info-other", connection, 307, {**info, "clientId": "other"})
    seen("direct", connection, 309, direct, reply=(0, b'{"consumeResult":"CR_SUCCESS"}'))
    seen("direct-no-client", connection, 309, {key: value for key, value in direct.items() if key != "clientId"})
    seen("direct-bad-id", connection, 309, {**direct, "msgId": "x"})
    seen("direct-no-message", connection, 309, {**direct, "msgId": "7F00000100002A9F00000000FFFFFFFF"})
    seen("entries-online", connection, 321, {"topic": topic, "queueId": 0, "index": 0, "count": 1, "consumerGroup": group})
    seen("progress-online", connection, 208, {"consumerGroup": group})
    seen("online-left", connection, 35, {"clientID": "c9", "consumerGroup": group})


def replies(seen, connection):
    reply = send_fields("DefaultCluster_REPLY_TOPIC", 0, "REPLY_TO_CLIENT\x01c7\x02CORRELATION_ID\x01q\x02")
    long = {"producerGroup": "P", "topic": "DefaultCluster_REPLY_TOPIC", "defaultTopic": "TBW102", "defaultTopicQueueNums": 4, "queueId": 0, "sysFlag": 0,
            "bornTimestamp": 1650000000000, "flag": 0, "properties": reply["i"], "reconsumeTimes": 0, "unitMode": False}
    seen("reply-nobody", connection, 325, reply, b"r")
    seen("reply-to-nobody-known", connection, 325, {**reply, "i": ""}, b"r")
    seen("reply-refused", connection, 325, {**reply, "b": "bad topic!"}, b"r")
    seen("requester", connection, 34, None, b'{"clientID":"c7","consumerDataSet":[],"producerDataSet":[{"groupName":"GoldenRequester"}]}')
    seen("reply-short", connection, 325, reply, b"r", reply=(0, b""))
    seen("reply-long", connection, 324, long, b"r", reply=(0, b""))
    seen("reply-not-taken", connection, 325, reply, b"r", reply=(1, b""))
    pause()
    seen("reply-stored", connection, 11, pull_fields("GoldenPull", "DefaultCluster_REPLY_TOPIC", 0, 0, 32))
    seen("requester-left", connection, 35, {"clientID": "c7", "producerGroup": "GoldenRequester"})


def binary(seen, connection):
    texts = lambda fields: {key: str(value).lower() if isinstance(value, bool) else str(value) for key, value in fields.items()}
    for name, code, fields, body in (
        ("pull-found", 11, pull_fields("GoldenPull", TOPIC, 0, 0, 1), b""), ("pull-no-new", 11, pull_fields("GoldenPull", TOPIC, 0, 999), b""), ("pull-missing", 11, pull_fields("GoldenPull", "GoldenNever", 0, 0), b""),
        ("max", 30, {"topic": TOPIC, "queueId": 0}, b""), ("offset", 14, {"consumerGroup": "GoldenPull", "topic": TOPIC, "queueId": 0}, b""), ("offset-update", 15, {"consumerGroup": "GoldenBinary", "topic": TOPIC, "queueId": 0, "commitOffset": 1}, b""),
        ("send-refused", 310, send_fields("bad topic!", 0), b"x"), ("send-back", 36, {"offset": 0, "group": "Missing", "delayLevel": 0}, b""), ("view", 33, {"offset": 0}, b""), ("key", 12, {"topic": TOPIC, "key": "Aa", "maxNum": 1, "beginTimestamp": 0, "endTimestamp": 9223372036854775807}, b""),
        ("heartbeat", 34, {}, b'{"clientID":"bin"}'), ("topic-list", 21, {}, b""), ("consumers-missing", 203, {"consumerGroup": "Nobody"}, b""), ("unknown-code", 999, {}, b""), ("lock", 41, {}, LOCK), ("batch", 320, {**send_fields(TOPIC, 1), "m": True}, item(b"b")),
        ("create-topic", 17, {"topic": "GoldenBinary", "defaultTopic": "TBW102", "readQueueNums": 1, "writeQueueNums": 1, "perm": 6, "topicFilterType": "SINGLE_TAG", "topicSysFlag": 0, "order": False}, b""),
        ("stats-missing", 315, {"statsName": "NOTHING", "statsKey": "x"}, b""),
    ):
        seen(f"{name}-binary", connection, code, texts(fields), body, binary=True)


def oneways(seen, connection):
    lock = LOCK.replace(b"GoldenGroup", b"GoldenOneway")
    for name, code, fields, body in (
        ("send", 310, send_fields(TOPIC, 1), b"o"), ("send-refused", 310, send_fields("bad topic!", 0), b"o"), ("pull-missing", 11, pull_fields("GoldenPull", "GoldenNever", 0, 0), b""),
        ("offset-update", 15, {"consumerGroup": "GoldenOneway", "topic": TOPIC, "queueId": 0, "commitOffset": 5}, b""), ("lock", 41, None, lock), ("unknown-code", 999, None, b""),
        ("send-back-refused", 36, {"offset": 99999999, "group": "GoldenGroup", "delayLevel": 0}, b""), ("heartbeat", 34, None, b'{"clientID":"oneway"}'),
    ):
        seen(f"oneway-{name}", connection, code, fields, body, flag=2, answered=False)
    pause()
    seen("oneway-offset", connection, 14, {"consumerGroup": "GoldenOneway", "topic": TOPIC, "queueId": 0})
    seen("oneway-lock-held", connection, 41, None, lock.replace(b"127.0.0.1@golden", b"other"))
    seen("oneway-sent", connection, 30, {"topic": TOPIC, "queueId": 1})
    seen("rpc-flags", connection, 30, {"topic": TOPIC, "queueId": 1}, flag=12)


def deleted(seen, connection, topic):
    seen("deleted-pull", connection, 11, pull_fields("GoldenPull", TOPIC, 0, 0))
    seen("deleted-max", connection, 30, {"topic": TOPIC, "queueId": 0})
    seen("deleted-stats", connection, 202, {"topic": TOPIC})
    seen("deleted-offset", connection, 14, {"consumerGroup": "GoldenGroup", "topic": TOPIC, "queueId": 0})
    seen("deleted-create", connection, 17, topic)
    seen("deleted-max-created", connection, 30, {"topic": TOPIC, "queueId": 0})
    seen("deleted-pull-created", connection, 11, pull_fields("GoldenPull", TOPIC, 0, 0))
    seen("deleted-send", connection, 310, send_fields(TOPIC, 0), b"again")
    # Last, because 4.9.4 looks at waiting pulls only every five seconds.
    pull = {**pull_fields("GoldenPull", "GoldenOdd", 2, 0), "sysFlag": 6}
    for name, wait in {"zero": 0, "short": 50, "negative": -1}.items():
        seen(f"pull-suspend-{name}", connection, 11, {**pull, "suspendTimeoutMillis": wait})


def half_end(sent):
    """What ends the half message of a send's answer: fields of 37, and where its record lies."""
    at = int(sent.fields["msgId"][16:], 16)
    return {"producerGroup": "GoldenProducer", "tranStateTableOffset": sent.fields["queueOffset"], "commitLogOffset": at, "commitOrRollback": 8,
            "fromTransactionCheck": False, "msgId": "GOLDENTX", "transactionId": "GOLDENTX"}, at


def transactions(seen, connection):
    """With a broker of its own, whose log begins here. Some calls are only to find out what others need, and are not kept."""
    other = Connection("{}:{}".format(*connection.socket.getpeername()))
    create_topic(other, TOPIC)
    text = "PGROUP\x01GoldenProducer\x02TRAN_MSG\x01true\x02TAGS\x01A\x02UNIQ_KEY\x01GOLDENTX\x02WAIT\x01true\x02x\x01y\x02"

    def half(age_ms=0, flag=7):
        return {**send_fields(TOPIC, 1, text), "f": 4, "h": flag, "g": int(time.time() * 1000) - age_ms}

    def bytes_at(at):
        return len(other.must(33, {"offset": at}).body)

    seen("half-send", connection, 310, half(), b"half")
    end, at = half_end(other.must(310, half(), b"half"))
    # The first one is over soon, so that it is not checked later.
    other.must(37, {**end, "tranStateTableOffset": int(end["tranStateTableOffset"]) - 1, "commitLogOffset": at - bytes_at(at), "commitOrRollback": 12})
    seen("half-view", connection, 33, {"offset": at})
    for name, change in {"wrong-group": {"producerGroup": "Nobody"}, "no-group": {"producerGroup": None}, "wrong-offset": {"tranStateTableOffset": 99},
                         "wrong-place": {"commitLogOffset": at + 1}, "far-place": {"commitLogOffset": 1 << 50}, "negative-place": {"commitLogOffset": -1},
                         "odd": {"commitOrRollback": 5}, "prepared": {"commitOrRollback": 4}, "none": {"commitOrRollback": None}}.items():
        seen(f"end-{name}", connection, 37, {**end, **change})
    seen("end-unknown", connection, 37, {**end, "commitOrRollback": 0}, answered=False)
    seen("end-commit", connection, 37, end)
    # After the half message lies the mark of the first one.
    committed = at + bytes_at(at)
    committed += bytes_at(committed)
    seen("committed-view", connection, 33, {"offset": committed})
    seen("mark-view", connection, 33, {"offset": committed + bytes_at(committed)})
    seen("end-commit-again", connection, 37, end)
    sent = other.must(310, half(), b"half")
    end, at = half_end(sent)
    seen("end-rollback", connection, 37, {**end, "commitOrRollback": 12, "fromTransactionCheck": True})
    seen("rollback-mark-view", connection, 33, {"offset": at + bytes_at(at)})
    connection.must(34, None, HEARTBEAT)
    # 4.9.4 loses the flag with a check.
    end, at = half_end(other.must(310, half(age_ms=60_000, flag=0), b"checked"))
    copy = at + bytes_at(at)
    wait_until("a check", lambda: other.call(33, {"offset": copy}).code == 0)
    pause()
    seen("check", connection, 30, {"topic": TOPIC, "queueId": 0})
    seen("check-view", connection, 33, {"offset": copy})
    seen("check-commit", connection, 37, {**end, "tranStateTableOffset": int(end["tranStateTableOffset"]) + 1, "commitLogOffset": copy, "fromTransactionCheck": True})
    seen("resume", connection, 323, {"msgId": sent.fields["msgId"]})
    for name, change in {"odd": "x", "none": None, "far": sent.fields["msgId"][:16] + "0004000000000000"}.items():
        seen(f"resume-{name}", connection, 323, {"msgId": change})
